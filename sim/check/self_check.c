#include "sim/check/self_check.h"

#include "base/compiler.h"
#include "sim/check/history.h"

#define KEY 0u

static struct register_op put(uint64_t token)
{
    return (struct register_op){.effect = REGISTER_PUT, .token = token};
}

static struct register_op put_if_absent(uint64_t token)
{
    return (struct register_op){
        .effect = REGISTER_PUT, .token = token, .condition = REGISTER_ABSENT};
}

static struct register_op put_if(uint64_t expected, uint64_t token)
{
    return (struct register_op){
        .effect = REGISTER_PUT, .token = token, .condition = REGISTER_EQUALS, .expected = expected};
}

static struct register_op update(uint64_t token)
{
    return (struct register_op){.effect = REGISTER_UPDATE, .token = token};
}

static const struct register_op delete = {.effect = REGISTER_DELETE};
static const struct register_op get = {.effect = REGISTER_READ};

enum ending { BLIND, SAW, REFUSED, UNKNOWN, OPEN };

/* Add an operation from `begin` to `end_ns`; it saw (token, count). */
static void add(struct history *h, uint64_t begin_ns, uint64_t end_ns, struct register_op op,
                enum ending ending, uint64_t token, uint64_t count)
{
    struct register_state before = {.token = token, .count = count};
    size_t index = history_begin(h, 1, KEY, op, begin_ns);
    if (ending == BLIND)
        history_done(h, index, NULL, end_ns);
    else if (ending == SAW)
        history_done(h, index, &before, end_ns);
    else if (ending == REFUSED)
        history_refused(h, index, &before, end_ns);
    else if (ending == UNKNOWN)
        history_unknown(h, index);
}

/* ---- Good ones ---- */

static void in_order(struct history *h)
{
    add(h, 1, 2, get, SAW, 0, 0);
    add(h, 3, 4, put(10), BLIND, 0, 0);
    add(h, 5, 6, get, SAW, 10, 0);
    add(h, 7, 8, update(11), SAW, 10, 0);
    add(h, 9, 10, delete, SAW, 11, 1);
    add(h, 11, 12, put_if_absent(12), SAW, 0, 0);
    add(h, 13, 14, put_if(10, 13), REFUSED, 12, 0);
    add(h, 15, 16, get, SAW, 12, 0);
}

static void overlapping(struct history *h)
{
    add(h, 1, 20, put(10), BLIND, 0, 0);
    add(h, 2, 20, put(11), BLIND, 0, 0);
    add(h, 3, 5, get, SAW, 11, 0);
    add(h, 6, 8, get, SAW, 10, 0);
    add(h, 21, 22, get, SAW, 10, 0);
}

static void unknown_that_happened_late(struct history *h)
{
    add(h, 1, 2, put(10), BLIND, 0, 0);
    add(h, 3, 0, put(11), UNKNOWN, 0, 0);
    add(h, 5, 6, get, SAW, 10, 0);
    add(h, 7, 8, get, SAW, 11, 0);
}

static void unknown_that_did_not_happen(struct history *h)
{
    add(h, 1, 2, put(10), BLIND, 0, 0);
    add(h, 3, 0, delete, UNKNOWN, 0, 0);
    add(h, 4, 0, update(11), UNKNOWN, 0, 0);
    add(h, 5, 6, get, SAW, 10, 0);
}

static void unknown_update_seen_by_its_count(struct history *h)
{
    add(h, 1, 2, put(10), BLIND, 0, 0);
    add(h, 3, 0, update(11), UNKNOWN, 0, 0);
    add(h, 5, 6, update(12), BLIND, 0, 0);
    add(h, 7, 8, get, SAW, 12, 2);
}

/* ---- Bad ones ---- */

static void lost_write(struct history *h)
{
    add(h, 1, 2, put(10), BLIND, 0, 0);
    add(h, 3, 4, get, SAW, 0, 0);
}

static void lost_delete(struct history *h)
{
    add(h, 1, 2, put(10), BLIND, 0, 0);
    add(h, 3, 4, delete, BLIND, 0, 0);
    add(h, 5, 6, get, SAW, 10, 0);
}

static void stale_read(struct history *h)
{
    add(h, 1, 2, put(10), BLIND, 0, 0);
    add(h, 3, 4, put(11), BLIND, 0, 0);
    add(h, 5, 6, get, SAW, 10, 0);
}

static void read_goes_back(struct history *h)
{
    add(h, 1, 20, put(10), BLIND, 0, 0);
    add(h, 2, 5, get, SAW, 10, 0);
    add(h, 6, 8, get, SAW, 0, 0);
}

static void unknown_write_undone(struct history *h)
{
    add(h, 1, 2, put(10), BLIND, 0, 0);
    add(h, 3, 0, put(11), UNKNOWN, 0, 0);
    add(h, 5, 6, get, SAW, 11, 0);
    add(h, 7, 8, get, SAW, 10, 0);
}

static void two_winners_if_absent(struct history *h)
{
    add(h, 1, 5, put_if_absent(10), SAW, 0, 0);
    add(h, 2, 5, put_if_absent(11), SAW, 0, 0);
}

static void two_winners_if_equal(struct history *h)
{
    add(h, 1, 2, put(10), BLIND, 0, 0);
    add(h, 3, 9, put_if(10, 11), BLIND, 0, 0);
    add(h, 4, 9, put_if(10, 12), BLIND, 0, 0);
}

static void lost_update(struct history *h)
{
    add(h, 1, 2, put(10), BLIND, 0, 0);
    add(h, 3, 9, update(11), BLIND, 0, 0);
    add(h, 4, 9, update(12), BLIND, 0, 0);
    add(h, 10, 11, get, SAW, 12, 1);
}

static void update_done_twice(struct history *h)
{
    add(h, 1, 2, put(10), BLIND, 0, 0);
    add(h, 3, 4, update(11), BLIND, 0, 0);
    add(h, 5, 6, get, SAW, 11, 2);
}

static void new_image_counts_wrong(struct history *h)
{
    add(h, 1, 2, put(10), BLIND, 0, 0);
    add(h, 3, 4, update(11), BLIND, 0, 0);
    h->ops[1].op.counted = true;
    h->ops[1].op.count_after = 2;
}

static void refused_although_it_holds(struct history *h)
{
    add(h, 1, 2, put(10), BLIND, 0, 0);
    add(h, 3, 4, put_if(10, 11), REFUSED, 10, 0);
}

static void refused_and_yet_done(struct history *h)
{
    add(h, 1, 2, put(10), BLIND, 0, 0);
    add(h, 3, 4, put_if(9, 11), REFUSED, 10, 0);
    add(h, 5, 6, get, SAW, 11, 0);
}

static void out_of_thin_air(struct history *h)
{
    add(h, 1, 2, put(10), BLIND, 0, 0);
    add(h, 3, 4, get, SAW, 77, 0);
}

static void old_image_from_another_time(struct history *h)
{
    add(h, 1, 2, put(10), BLIND, 0, 0);
    add(h, 3, 4, put(11), BLIND, 0, 0);
    add(h, 5, 6, put(12), SAW, 10, 0);
}

static void weak_read_of_nothing_written(struct history *h)
{
    add(h, 1, 2, put(10), BLIND, 0, 0);
    add(h, 3, 4, get, SAW, 11, 0);
    h->ops[1].weak = true;
}

static void unknown_after_it_was_settled(struct history *h)
{
    add(h, 1, 0, put(10), UNKNOWN, 0, 0);
    history_settle(h, 3);
    add(h, 4, 5, get, SAW, 0, 0);
    add(h, 6, 7, get, SAW, 10, 0);
}

static const struct {
    const char *name;
    void (*make)(struct history *history);
    bool good;
} cases[] = {
    {"operations in order", in_order, true},
    {"overlapping writes, in either order", overlapping, true},
    {"an unknown write that happened late", unknown_that_happened_late, true},
    {"unknown writes that did not happen", unknown_that_did_not_happen, true},
    {"an unknown update that a count shows", unknown_update_seen_by_its_count, true},
    {"an acknowledged write is lost", lost_write, false},
    {"an acknowledged delete is lost", lost_delete, false},
    {"a read is stale", stale_read, false},
    {"a read goes back behind an earlier one", read_goes_back, false},
    {"an unknown write is seen and then undone", unknown_write_undone, false},
    {"two writers win on an absent item", two_winners_if_absent, false},
    {"two writers win on one token", two_winners_if_equal, false},
    {"an update is lost", lost_update, false},
    {"an update is done twice", update_done_twice, false},
    {"a new image counts wrong", new_image_counts_wrong, false},
    {"a write is refused although its condition holds", refused_although_it_holds, false},
    {"a refused write is done", refused_and_yet_done, false},
    {"a read shows what nobody wrote", out_of_thin_air, false},
    {"an old image is from another time", old_image_from_another_time, false},
    {"an eventually consistent read shows what nobody wrote", weak_read_of_nothing_written, false},
    {"an unknown write happens after its server died", unknown_after_it_was_settled, false},
};

bool self_check(struct heap *heap, size_t index, const char **name, bool *last)
{
    struct history history;
    history_init(&history, heap, 1);
    cases[index].make(&history);
    bool accepted = history_check(&history);
    history_release(&history);
    *name = cases[index].name;
    *last = index + 1 == ARRAY_COUNT(cases);
    return accepted == cases[index].good;
}
