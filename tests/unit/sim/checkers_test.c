/* The simulator's checkers reject bad histories of each kind, and accept whatever a correct
 * register answers, with crashes that leave outcomes unknown. */
#include "unit/cmocka_headers.h"

#include <stdio.h>

#include "base/prng.h"
#include "sim/check/history.h"
#include "sim/check/self_check.h"

static void judges_hand_made_histories(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap, false);
    bool last = false;
    for (size_t i = 0; !last; i++) {
        const char *name;
        bool right = self_check(&heap, i, &name, &last);
        if (!right)
            fail_msg("judged wrongly: %s", name);
    }
    assert_int_equal(heap.bytes_used, 0);
}

/* An answer shows the old image, the new one, or none; a read always shows it. */
static void tell(struct history *history, size_t index, const struct register_state *before,
                 const struct register_state *after, struct prng *prng, uint64_t t)
{
    struct register_op *op = &history->ops[index].op;
    bool blind = op->effect != REGISTER_READ && prng_one_in(prng, 3);
    history_done(history, index, blind ? NULL : before, t);
    if (blind && op->effect == REGISTER_UPDATE && prng_one_in(prng, 2)) {
        op->counted = true;
        op->count_after = after->count;
    }
}

/* A register that does each operation at one moment in its time; some answers are lost.  With
 * `wrong`, one write is forgotten. */
static bool run_register(uint64_t seed, bool wrong)
{
    struct heap heap;
    heap_init(&heap, false);
    struct history history;
    history_init(&history, &heap, 1);
    struct prng prng;
    prng_init(&prng, seed);
    struct {
        size_t index;
        bool busy, done;
        struct register_state before, after;
    } clients[6] = {{0}};
    struct register_state now = {0};
    uint64_t last_token = 0;
    for (uint64_t t = 1; t < 3000; t++) {
        if (prng_one_in(&prng, 200)) { /* a crash: who waits never hears */
            for (size_t i = 0; i < 6; i++)
                if (clients[i].busy)
                    history_unknown(&history, clients[i].index);
            memset(clients, 0, sizeof(clients));
            history_settle(&history, t);
        }
        size_t c = (size_t)prng_below(&prng, 6);
        if (!clients[c].busy) {
            struct register_op op = {.effect = (enum register_effect)prng_below(&prng, 4),
                                     .token = history_token(&history)};
            if (op.effect != REGISTER_READ && prng_one_in(&prng, 3)) {
                op.condition = (enum register_condition)(1 + prng_below(&prng, 2));
                op.expected = prng_one_in(&prng, 2) ? now.token : last_token;
            }
            clients[c].index = history_begin(&history, (uint32_t)c, 0, op, t);
            clients[c].busy = true;
            clients[c].done = false;
        } else if (!clients[c].done && !prng_one_in(&prng, 4)) {
            const struct register_op *op = &history.ops[clients[c].index].op;
            clients[c].before = now;
            clients[c].done = true;
            if (op->effect == REGISTER_READ || !register_condition_holds(op, now))
                continue;
            bool forget = wrong && t > 2000 && op->effect == REGISTER_PUT;
            wrong = wrong && !forget;
            if (forget)
                continue;
            last_token = now.token;
            now.count = op->effect == REGISTER_UPDATE ? now.count + 1 : 0;
            now.token = op->effect == REGISTER_DELETE ? 0 : op->token;
            clients[c].after = now;
        } else {
            size_t index = clients[c].index;
            clients[c].busy = false;
            if (prng_one_in(&prng, 15))
                history_unknown(&history, index);
            else if (!clients[c].done)
                history_void(&history, index, t);
            else if (!register_condition_holds(&history.ops[index].op, clients[c].before))
                history_refused(&history, index, &clients[c].before, t);
            else
                tell(&history, index, &clients[c].before, &clients[c].after, &prng, t);
        }
    }
    bool good = history_check(&history);
    assert_int_equal(history.undecided, 0);
    history_release(&history);
    assert_int_equal(heap.bytes_used, 0);
    return good;
}

static void accepts_what_a_register_does(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        assert_true(run_register(seed, false));
}

static void rejects_a_register_that_forgets_once(void **state)
{
    (void)state;
    int rejected = 0;
    for (uint64_t seed = 1; seed <= 40; seed++)
        rejected += !run_register(seed, true);
    assert_true(rejected >= 15); /* others were overwritten before anybody looked */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_hand_made_histories),
        cmocka_unit_test(accepts_what_a_register_does),
        cmocka_unit_test(rejects_a_register_that_forgets_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
