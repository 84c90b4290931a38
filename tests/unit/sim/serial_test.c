/* The checker of transactions rejects hand-made bad histories of each kind, and accepts what a
 * database does that does one after the other. */
#include "unit/cmocka_headers.h"

#include <string.h>

#include "base/prng.h"
#include "sim/check/serial.h"

struct made {
    struct heap heap;
    struct serial serial;
    uint64_t now;
};

static void set_up(struct made *m, uint32_t keys)
{
    heap_init(&m->heap, false);
    serial_init(&m->serial, &m->heap, keys);
    m->now = 1;
}

static uint64_t begin(struct made *m, uint32_t count, const struct serial_access *accesses)
{
    struct serial_op op = {.access_count = count};
    memcpy(op.accesses, accesses, count * sizeof(*accesses));
    return serial_begin(&m->serial, &op, m->now++);
}

static void done(struct made *m, uint64_t token)
{
    serial_end(&m->serial, token, SERIAL_DONE, m->now++);
}

#define APPEND(k)                                                                                  \
    {                                                                                              \
        .key = (k), .kind = SERIAL_APPEND                                                          \
    }
#define READ(k)                                                                                    \
    {                                                                                              \
        .key = (k), .kind = SERIAL_READ                                                            \
    }
#define ON(k, t)                                                                                   \
    {                                                                                              \
        .key = (k), .kind = SERIAL_APPEND, .conditional = true, .seen = (t)                        \
    }
#define WRITE(m, ...)                                                                              \
    begin((m), sizeof((struct serial_access[]){__VA_ARGS__}) / sizeof(struct serial_access),       \
          (struct serial_access[]){__VA_ARGS__})

static void saw(struct made *m, uint64_t token, uint32_t index, size_t count, const uint64_t *list)
{
    serial_saw(&m->serial, token, index, list, count);
}

/* A read of one item, begun and ended now. */
static void look(struct made *m, uint32_t key, size_t count, const uint64_t *list)
{
    uint64_t token = WRITE(m, READ(key));
    saw(m, token, 0, count, list);
    done(m, token);
}

static void judge(struct made *m, const char *wrong)
{
    bool good = serial_check(&m->serial);
    if (good != (wrong == NULL))
        fail_msg("judged wrongly: %s", good ? wrong : m->serial.violation);
    if (wrong != NULL && strstr(m->serial.violation, wrong) == NULL)
        fail_msg("not for %s: %s", wrong, m->serial.violation);
    serial_release(&m->serial);
    assert_int_equal(m->heap.bytes_used, 0);
}

static void accepts_what_is_right(void **state)
{
    (void)state;
    struct made m;
    set_up(&m, 2);
    uint64_t a = WRITE(&m, APPEND(0), APPEND(1));
    done(&m, a);
    uint64_t b = WRITE(&m, ON(0, a), APPEND(1)), c = WRITE(&m, APPEND(1));
    done(&m, c);
    done(&m, b);
    look(&m, 0, 2, (uint64_t[]){a, b});
    look(&m, 1, 3, (uint64_t[]){a, c, b});
    judge(&m, NULL);
}

static void misses_nothing_acknowledged(void **state)
{
    (void)state;
    struct made m;
    set_up(&m, 2);
    uint64_t a = WRITE(&m, APPEND(0), APPEND(1));
    done(&m, a);
    look(&m, 0, 1, &a);
    look(&m, 1, 0, NULL);
    judge(&m, "was acknowledged, but is not on key 1");
    set_up(&m, 2); /* of unknown outcome, and half of it is there */
    a = WRITE(&m, APPEND(0), APPEND(1));
    serial_end(&m.serial, a, SERIAL_UNKNOWN, m.now++);
    look(&m, 0, 1, &a);
    look(&m, 1, 0, NULL);
    judge(&m, "was seen, but is not on key 1");
}

static void sees_what_was_cancelled_or_doubled(void **state)
{
    (void)state;
    struct made m;
    set_up(&m, 1);
    uint64_t a = WRITE(&m, APPEND(0));
    serial_end(&m.serial, a, SERIAL_CANCELLED, m.now++);
    look(&m, 0, 1, &a);
    judge(&m, "was cancelled, and was seen");
    set_up(&m, 1);
    a = WRITE(&m, APPEND(0));
    done(&m, a);
    look(&m, 0, 2, (uint64_t[]){a, a});
    judge(&m, "twice");
    set_up(&m, 1);
    a = WRITE(&m, APPEND(0));
    uint64_t b = WRITE(&m, APPEND(0));
    done(&m, a);
    done(&m, b);
    look(&m, 0, 2, (uint64_t[]){a, b});
    look(&m, 0, 2, (uint64_t[]){b, a}); /* another list, with the same tokens */
    judge(&m, "twice");
}

static void sees_torn_reads(void **state)
{
    (void)state;
    struct made m;
    set_up(&m, 2);
    uint64_t a = WRITE(&m, APPEND(0), APPEND(1)), r = WRITE(&m, READ(0), READ(1));
    saw(&m, r, 0, 1, &a);
    saw(&m, r, 1, 0, NULL);
    done(&m, r);
    done(&m, a);
    look(&m, 1, 1, &a);
    judge(&m, "no order");
}

/* A read by itself may see one item of a transaction before another one misses the other; it may
 * not go back on its item, and none goes back once the transaction is acknowledged. */
static void lets_single_reads_come_between(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        struct made m;
        set_up(&m, 2);
        uint64_t a = WRITE(&m, APPEND(0), APPEND(1));
        if (how == 2)
            done(&m, a);
        uint64_t first = WRITE(&m, READ(0));
        m.serial.ops[first - 1].alone = true;
        saw(&m, first, 0, 1, &a);
        done(&m, first);
        uint64_t second = WRITE(&m, READ(how == 1 ? 0 : 1));
        m.serial.ops[second - 1].alone = true;
        saw(&m, second, 0, 0, NULL);
        done(&m, second);
        if (how != 2)
            done(&m, a);
        look(&m, 0, 1, &a);
        look(&m, 1, 1, &a);
        judge(&m, how == 0 ? NULL : "no order");
    }
}

static void sees_crossed_writes_and_skew(void **state)
{
    (void)state;
    struct made m;
    set_up(&m, 2); /* in another order on each item */
    uint64_t a = WRITE(&m, APPEND(0), APPEND(1)), b = WRITE(&m, APPEND(0), APPEND(1));
    done(&m, a);
    done(&m, b);
    look(&m, 0, 2, (uint64_t[]){a, b});
    look(&m, 1, 2, (uint64_t[]){b, a});
    judge(&m, "no order");
    set_up(&m, 2); /* each read what the other wrote over */
    a = WRITE(&m, READ(0), APPEND(1));
    b = WRITE(&m, READ(1), APPEND(0));
    done(&m, a);
    done(&m, b);
    look(&m, 0, 1, &b);
    look(&m, 1, 1, &a);
    judge(&m, "no order");
}

static void sees_the_past(void **state)
{
    (void)state;
    struct made m;
    set_up(&m, 1);
    uint64_t a = WRITE(&m, APPEND(0));
    done(&m, a);
    look(&m, 0, 0, NULL); /* begun after it was acknowledged */
    look(&m, 0, 1, &a);
    judge(&m, "no order");
}

static void sees_through_deletes(void **state)
{
    (void)state;
    struct made m;
    set_up(&m, 1);
    m.serial.deletes[0] = true;
    uint64_t a = WRITE(&m, APPEND(0));
    done(&m, a);
    uint64_t d = WRITE(&m, {.key = 0, .kind = SERIAL_DELETE, .conditional = true, .seen = a});
    done(&m, d);
    look(&m, 0, 1, &a); /* after it is gone */
    judge(&m, "no order");
    set_up(&m, 1);
    m.serial.deletes[0] = true;
    a = WRITE(&m, APPEND(0));
    done(&m, a);
    uint64_t b = WRITE(&m, APPEND(0));
    done(&m, b);
    d = WRITE(&m, {.key = 0, .kind = SERIAL_DELETE, .conditional = true, .seen = a});
    done(&m, d);
    look(&m, 0, 2, (uint64_t[]){a, b});
    judge(&m, "on which");
}

/* One after the other at a random moment of each operation's time; with `torn`, one takes its
 * second half later. */
static bool run_database(uint64_t seed, bool torn)
{
    struct made m;
    struct prng prng;
    uint64_t lists[3][400];
    size_t counts[3] = {0};
    set_up(&m, 3);
    prng_init(&prng, seed);
    uint64_t late = 0;
    for (uint32_t i = 0; i < 300; i++) {
        bool reads = prng_one_in(&prng, 2);
        uint32_t one = (uint32_t)prng_below(&prng, 3), other = (one + 1) % 3;
        uint64_t token =
            reads ? WRITE(&m, READ(one), READ(other)) : WRITE(&m, APPEND(one), APPEND(other));
        if (reads) {
            saw(&m, token, 0, counts[one], lists[one]);
            saw(&m, token, 1, counts[other], lists[other]);
        } else {
            lists[one][counts[one]++] = token;
            if (torn && i > 100 && late == 0 && one == 0)
                late = token;
            else
                lists[other][counts[other]++] = token;
        }
        done(&m, token);
        if (late != 0 && late != token && !reads) {
            lists[1][counts[1]++] = late;
            late = UINT64_MAX;
            torn = false;
        }
    }
    for (uint32_t key = 0; key < 3; key++)
        look(&m, key, counts[key], lists[key]);
    bool good = serial_check(&m.serial);
    serial_release(&m.serial);
    return good;
}

static void accepts_a_database_and_finds_a_torn_one(void **state)
{
    (void)state;
    uint32_t found = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        assert_true(run_database(seed, false));
        found += !run_database(seed, true);
    }
    assert_in_range(found, 15, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_is_right),
        cmocka_unit_test(misses_nothing_acknowledged),
        cmocka_unit_test(sees_what_was_cancelled_or_doubled),
        cmocka_unit_test(sees_torn_reads),
        cmocka_unit_test(lets_single_reads_come_between),
        cmocka_unit_test(sees_crossed_writes_and_skew),
        cmocka_unit_test(sees_the_past),
        cmocka_unit_test(sees_through_deletes),
        cmocka_unit_test(accepts_a_database_and_finds_a_torn_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
