#include "sim/check/self_check.h"

#include "base/compiler.h"
#include "sim/check/history.h"
#include "sim/check/serial.h"

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

/* ---- Of transactions ---- */

#define KEYS 2u

static uint64_t begin_op(struct serial *s, uint64_t begin_ns, struct serial_access one,
                         struct serial_access other)
{
    struct serial_op op = {.access_count = 2, .accesses = {one, other}};
    return serial_begin(s, &op, begin_ns);
}

static struct serial_access reads(uint32_t key)
{
    return (struct serial_access){.key = key, .kind = SERIAL_READ};
}

static struct serial_access appends(uint32_t key)
{
    return (struct serial_access){.key = key, .kind = SERIAL_APPEND};
}

/* A check that the last token is this. */
static struct serial_access checks(uint32_t key, uint64_t token)
{
    return (struct serial_access){.key = key, .kind = SERIAL_READ, .seen = token};
}

static void done(struct serial *s, uint64_t token, uint64_t end_ns)
{
    serial_end(s, token, SERIAL_DONE, end_ns);
}

/* Both items are read, with these lists. */
static void look(struct serial *s, uint64_t begin_ns, uint64_t end_ns, const uint64_t *zero,
                 size_t zero_count, const uint64_t *one, size_t one_count)
{
    uint64_t token = begin_op(s, begin_ns, reads(0), reads(1));
    serial_saw(s, token, 0, zero, zero_count);
    serial_saw(s, token, 1, one, one_count);
    done(s, token, end_ns);
}

/* Two that overlap write both items; `crossed`: one in another order than the other. */
static void write_both(struct serial *s, bool crossed)
{
    uint64_t a = begin_op(s, 1, appends(0), appends(1)), b = begin_op(s, 2, appends(0), appends(1));
    done(s, a, 5);
    done(s, b, 6);
    uint64_t lists[2][2] = {{a, b}, {a, b}};
    if (crossed) {
        lists[1][0] = b;
        lists[1][1] = a;
    }
    look(s, 7, 8, lists[0], 2, lists[1], 2);
}

static void transactions_in_order(struct serial *s)
{
    write_both(s, false);
}

static void writes_that_cross(struct serial *s)
{
    write_both(s, true);
}

/* Each checks what the other writes: both held on the state before, so neither can be first. */
static void checks_that_cross(struct serial *s)
{
    uint64_t first = begin_op(s, 1, appends(0), appends(1));
    done(s, first, 2);
    uint64_t a = begin_op(s, 3, checks(0, first), appends(1));
    uint64_t b = begin_op(s, 4, checks(1, first), appends(0));
    done(s, a, 5);
    done(s, b, 6);
    look(s, 7, 8, (uint64_t[]){first, b}, 2, (uint64_t[]){first, a}, 2);
}

static void read_between_two_writes(struct serial *s)
{
    uint64_t a = begin_op(s, 1, appends(0), appends(1));
    look(s, 2, 6, &a, 1, NULL, 0);
    done(s, a, 7);
    look(s, 8, 9, &a, 1, &a, 1);
}

/* It would be in order, were it not for the time. */
static void transaction_seen_and_then_not(struct serial *s)
{
    uint64_t a = begin_op(s, 1, appends(0), appends(1));
    look(s, 2, 3, &a, 1, &a, 1);
    look(s, 4, 5, NULL, 0, NULL, 0);
    done(s, a, 9);
    look(s, 10, 11, &a, 1, &a, 1);
}

static void half_of_one_of_unknown_outcome(struct serial *s)
{
    uint64_t a = begin_op(s, 1, appends(0), appends(1));
    serial_end(s, a, SERIAL_UNKNOWN, 2);
    look(s, 3, 4, &a, 1, NULL, 0);
}

static void one_that_was_cancelled(struct serial *s)
{
    uint64_t a = begin_op(s, 1, appends(0), appends(1));
    serial_end(s, a, SERIAL_CANCELLED, 2);
    look(s, 3, 4, &a, 1, &a, 1);
}

static const struct {
    const char *name;
    void (*make)(struct serial *serial);
    bool good;
} serial_cases[] = {
    {"transactions that overlap, one after the other", transactions_in_order, true},
    {"two transactions write two items in different orders", writes_that_cross, false},
    {"two transactions check what the other one writes", checks_that_cross, false},
    {"a transaction reads half of another", read_between_two_writes, false},
    {"a transaction is seen and later not", transaction_seen_and_then_not, false},
    {"half of a transaction of unknown outcome is there", half_of_one_of_unknown_outcome, false},
    {"a transaction that was cancelled is seen", one_that_was_cancelled, false},
};

static bool check_history(struct heap *heap, size_t index, const char **name)
{
    struct history history;
    history_init(&history, heap, 1);
    cases[index].make(&history);
    bool accepted = history_check(&history);
    history_release(&history);
    *name = cases[index].name;
    return accepted == cases[index].good;
}

static bool check_serial(struct heap *heap, size_t index, const char **name)
{
    struct serial serial;
    serial_init(&serial, heap, KEYS);
    serial_cases[index].make(&serial);
    bool accepted = serial_check(&serial);
    serial_release(&serial);
    *name = serial_cases[index].name;
    return accepted == serial_cases[index].good;
}

bool self_check(struct heap *heap, size_t index, const char **name, bool *last)
{
    size_t histories = ARRAY_COUNT(cases);
    *last = index + 1 == histories + ARRAY_COUNT(serial_cases);
    return index < histories ? check_history(heap, index, name)
                             : check_serial(heap, index - histories, name);
}
