/* A partition's buckets: what is allowed, what was kept for bursts, what one partition
 * may serve. */
#include "unit/cmocka_headers.h"

#include "admission/partition_tokens.h"
#include "base/compiler.h"
#include "base/prng.h"

#define SECOND UINT64_C(1000000000)

struct node {
    struct token_bucket spare;
    struct partition_tokens tokens;
    struct partition_rate rate;
};

static struct node of_units(uint64_t read_units, uint32_t node_units)
{
    struct node n = {.rate = partition_rate_of(ADMISSION_READ, read_units, 1)};
    token_bucket_init(&n.spare, node_units * 200, node_units * 2, 0);
    return n;
}

/* Requests of `cost` tokens until one is refused, `most` at most; *why: with what. */
static uint32_t spend(struct node *n, uint32_t cost, uint32_t most, uint64_t now_ns,
                      enum status *why)
{
    uint32_t count = 0;
    for (*why = STATUS_OK; count < most; count++) {
        *why = partition_tokens_admit(&n->tokens, n->rate, &n->spare, 1, now_ns);
        if (*why != STATUS_OK)
            break;
        partition_tokens_charge(&n->tokens, n->rate, &n->spare, (int64_t)cost - 1);
    }
    return count;
}

static void shares_are_parts_of_the_tables_throughput(void **state)
{
    (void)state;
    struct partition_rate rate = partition_rate_of(ADMISSION_READ, 10, 1);
    assert_int_equal(rate.share, 2000); /* 20 halves of units */
    assert_int_equal(rate.maximum, 6000);
    rate = partition_rate_of(ADMISSION_WRITE, 10, 3);
    assert_int_equal(rate.share, 666);
    assert_int_equal(rate.maximum, 2000);
    rate = partition_rate_of(ADMISSION_WRITE, 1, 1024);
    assert_int_equal(rate.share, 1);
    /* A table that grew and has few partitions: each stands for several of the service's. */
    rate = partition_rate_of(ADMISSION_WRITE, 2500, 1);
    assert_int_equal(rate.share, 500000);
    assert_int_equal(rate.maximum, 6000);
    rate = partition_rate_of(ADMISSION_READ, UINT64_MAX, 1);
    assert_int_equal(rate.share, TOKEN_RATE_MAX);
}

static void three_hundred_seconds_are_kept(void **state)
{
    (void)state;
    enum status why;
    struct node n = of_units(5, 10000);
    assert_int_equal(spend(&n, 2, 10000, SECOND, &why), 1500); /* 300 s of 5 units */
    assert_int_equal(why, STATUS_THROTTLED);
    assert_int_equal(spend(&n, 2, 10000, 2 * SECOND, &why), 5);
    assert_int_equal(spend(&n, 2, 10000, 3 * SECOND, &why), 5);
    assert_int_equal(spend(&n, 2, 10000, 13 * SECOND, &why), 50);
    assert_int_equal(spend(&n, 2, 10000, 1000 * SECOND, &why), 1500);
}

static void a_large_request_leaves_a_debt(void **state)
{
    (void)state;
    enum status why;
    struct node n = of_units(1, 10000);
    assert_int_equal(spend(&n, 800, 1, 0, &why), 1); /* 400 units of 300 */
    assert_int_equal(spend(&n, 2, 10, 99 * SECOND, &why), 0);
    assert_int_equal(spend(&n, 2, 10, 101 * SECOND, &why), 1);
}

static void one_partition_serves_only_so_much(void **state)
{
    (void)state;
    enum status why;
    struct node n = of_units(3000, 100000);
    assert_int_equal(spend(&n, 2, 100000, 0, &why), 3000);
    assert_int_equal(why, STATUS_HOT);
    assert_int_equal(spend(&n, 2, 100000, SECOND, &why), 3000);
    /* Not held to a share, but to this. */
    n = of_units(1, 100000);
    n.rate = (struct partition_rate){.maximum = 2000};
    assert_int_equal(spend(&n, 2, 100000, 0, &why), 1000);
    assert_int_equal(why, STATUS_HOT);
}

static void bursts_are_for_a_node_that_can_spare_them(void **state)
{
    (void)state;
    enum status why;
    struct node n = of_units(10, 50);
    /* The node spares 50 units, of which 10 are this partition's own. */
    assert_int_equal(spend(&n, 2, 10000, 0, &why), 50);
    assert_int_equal(why, STATUS_THROTTLED);
    /* Others take all that the node has: what is allowed remains. */
    token_bucket_charge(&n.spare, 1000000);
    assert_int_equal(spend(&n, 2, 10000, SECOND, &why), 10);
    /* The debt of long ago is forgotten. */
    assert_true(spend(&n, 2, 10000, 4 * SECOND, &why) > 30);
}

static void what_is_held_to_nothing_is_counted_at_the_node(void **state)
{
    (void)state;
    enum status why;
    struct node n = of_units(1, 50);
    n.rate = (struct partition_rate){0};
    assert_int_equal(spend(&n, 2, 1000, 0, &why), 1000);
    assert_int_equal(token_bucket_level(&n.spare, 0), -100 - 2); /* a second's debt, the last one */
}

/* What the server does for itself on a partition gives nobody else anything. */
static void others_leave_the_partitions_buckets_alone(void **state)
{
    (void)state;
    enum status why;
    struct node n = of_units(1, 100000);
    struct partition_rate rate = n.rate;
    assert_int_equal(spend(&n, 2, 100000, 0, &why), 300);
    n.rate = (struct partition_rate){0};
    assert_int_equal(spend(&n, 2, 1000, 0, &why), 1000);
    n.rate = rate;
    assert_int_equal(spend(&n, 2, 100000, 0, &why), 0);
    assert_int_equal(spend(&n, 2, 100000, 5 * SECOND, &why), 5);
}

static void a_new_share_keeps_what_there_is(void **state)
{
    (void)state;
    enum status why;
    struct node n = of_units(5, 100000);
    assert_int_equal(spend(&n, 2, 100000, 0, &why), 1500);
    n.rate = partition_rate_of(ADMISSION_READ, 100, 1);
    assert_int_equal(spend(&n, 2, 100000, 0, &why), 0);
    assert_int_equal(spend(&n, 2, 100000, SECOND, &why), 100);
    n.rate = partition_rate_of(ADMISSION_READ, 1, 1);
    assert_int_equal(spend(&n, 2, 100000, 1000 * SECOND, &why), 300);
}

/* Over any length of time no more than what was kept, the share, and the last request. */
static void consumption_is_bounded(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct prng prng;
        prng_init(&prng, seed);
        uint64_t units = prng_below(&prng, 2000) + 1;
        struct node n = of_units(units, 40000);
        uint64_t now_ns = 0, spent = 0;
        for (int i = 0; i < 2000; i++) {
            now_ns += prng_below(&prng, 2) == 0 ? 0 : prng_below(&prng, SECOND);
            uint32_t cost = (uint32_t)prng_below(&prng, 800) + 1;
            if (partition_tokens_admit(&n.tokens, n.rate, &n.spare, 1, now_ns) == STATUS_OK) {
                partition_tokens_charge(&n.tokens, n.rate, &n.spare, (int64_t)cost - 1);
                spent += cost;
            }
            assert_true((double)spent <=
                        (double)units * 2 * (300 + (double)now_ns / (double)SECOND) + 800);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_parts_of_the_tables_throughput),
        cmocka_unit_test(three_hundred_seconds_are_kept),
        cmocka_unit_test(a_large_request_leaves_a_debt),
        cmocka_unit_test(one_partition_serves_only_so_much),
        cmocka_unit_test(bursts_are_for_a_node_that_can_spare_them),
        cmocka_unit_test(what_is_held_to_nothing_is_counted_at_the_node),
        cmocka_unit_test(others_leave_the_partitions_buckets_alone),
        cmocka_unit_test(a_new_share_keeps_what_there_is),
        cmocka_unit_test(consumption_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
