/* The token bucket beside a plain model of it: exact rational arithmetic in wide integers. */
#include "unit/cmocka_headers.h"

#include "admission/token_bucket.h"
#include "base/compiler.h"
#include "base/prng.h"

#define SECOND UINT64_C(1000000000)

static void begins_full_and_goes_into_debt(void **state)
{
    (void)state;
    struct token_bucket tb;
    token_bucket_init(&tb, 200, 10, 5 * SECOND); /* 2 a second, 10 at most */
    assert_int_equal(token_bucket_level(&tb, 5 * SECOND), 10);
    assert_true(token_bucket_open(&tb, 5 * SECOND));
    token_bucket_charge(&tb, 13);
    assert_false(token_bucket_open(&tb, 5 * SECOND));
    assert_int_equal(token_bucket_level(&tb, 5 * SECOND), -3);
    assert_false(token_bucket_open(&tb, 6 * SECOND));                    /* -1 */
    assert_false(token_bucket_open(&tb, 6 * SECOND + SECOND / 2));       /* 0 */
    assert_true(token_bucket_open(&tb, 6 * SECOND + SECOND / 2 + 1000)); /* a little */
    assert_int_equal(token_bucket_level(&tb, 7 * SECOND), 1);
    assert_int_equal(token_bucket_level(&tb, 100 * SECOND), 10);
}

static void gives_back_no_more_than_it_holds(void **state)
{
    (void)state;
    struct token_bucket tb;
    token_bucket_init(&tb, 100, 10, 0);
    token_bucket_charge(&tb, 4);
    token_bucket_charge(&tb, -2);
    assert_int_equal(token_bucket_level(&tb, 0), 8);
    token_bucket_charge(&tb, -20);
    assert_int_equal(token_bucket_level(&tb, 0), 10);
}

static void drains_to_nothing_but_not_below(void **state)
{
    (void)state;
    struct token_bucket tb;
    token_bucket_init(&tb, 100, 10, 0);
    token_bucket_drain(&tb, 25);
    assert_int_equal(token_bucket_level(&tb, 0), 0);
    assert_int_equal(token_bucket_level(&tb, SECOND), 1);
    token_bucket_charge(&tb, 30);
    token_bucket_forgive(&tb, 5);
    assert_int_equal(token_bucket_level(&tb, 0), -5);
}

static void a_fraction_of_a_token_is_not_lost(void **state)
{
    (void)state;
    struct token_bucket tb;
    token_bucket_init(&tb, 1, 10, 0); /* one in a hundred seconds */
    token_bucket_charge(&tb, 10);
    for (uint64_t i = 1; i <= 1000; i++)
        (void)token_bucket_open(&tb, i * SECOND / 10 + i); /* looked at often: nothing is rounded */
    assert_int_equal(token_bucket_level(&tb, 100 * SECOND + 1000), 1);
}

static void a_clock_that_jumps_gives_no_more_than_the_depth(void **state)
{
    (void)state;
    struct token_bucket tb;
    token_bucket_init(&tb, 100, 10, 1000 * SECOND);
    token_bucket_charge(&tb, 10);
    assert_false(token_bucket_open(&tb, 10 * SECOND)); /* back: no time at all */
    assert_int_equal(token_bucket_level(&tb, 11 * SECOND), 1);
    assert_true(token_bucket_open(&tb, UINT64_MAX));
    assert_int_equal(token_bucket_level(&tb, UINT64_MAX), 10);
}

static void a_change_keeps_the_tokens_that_fit(void **state)
{
    (void)state;
    struct token_bucket tb;
    token_bucket_init(&tb, 100, 100, 0);
    token_bucket_charge(&tb, 40);
    token_bucket_change(&tb, 1000, 1000, 0);
    assert_int_equal(token_bucket_level(&tb, 0), 60);
    assert_int_equal(token_bucket_level(&tb, SECOND), 70);
    token_bucket_change(&tb, 100, 20, SECOND);
    assert_int_equal(token_bucket_level(&tb, SECOND), 20);
}

static void bounds_are_kept(void **state)
{
    (void)state;
    struct token_bucket tb;
    token_bucket_init(&tb, UINT32_MAX, UINT32_MAX, 0);
    assert_int_equal(token_bucket_level(&tb, 0), TOKEN_DEPTH_MAX);
    for (int i = 0; i < 5; i++)
        token_bucket_charge(&tb, INT64_MAX);
    assert_int_equal(token_bucket_level(&tb, 0), -TOKEN_DEBT_MAX);
    for (int i = 0; i < 5; i++)
        token_bucket_charge(&tb, INT64_MIN);
    assert_int_equal(token_bucket_level(&tb, 0), TOKEN_DEPTH_MAX);
}

/* The model counts in double-wide steps: hundredths of tokens times nanoseconds, as one number. */
static void behaves_as_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct prng prng;
        prng_init(&prng, seed);
        uint32_t rate = (uint32_t)prng_below(&prng, 100000) + 1;
        uint32_t depth = (uint32_t)prng_below(&prng, 5000) + 1;
        int64_t level = (int64_t)depth * 100000000000; /* 1e-11 tokens */
        uint64_t now_ns = prng_below(&prng, SECOND);
        struct token_bucket tb;
        token_bucket_init(&tb, rate, depth, now_ns);
        for (int i = 0; i < 500; i++) {
            uint64_t step_ns =
                prng_below(&prng, 20) == 0 ? 100 * SECOND : prng_below(&prng, SECOND);
            now_ns += step_ns;
            int64_t most = (int64_t)depth * 100000000000;
            level = MIN(level + (int64_t)(step_ns * rate), most); /* fits: 1e11 * 1e5 */
            assert_true(token_bucket_open(&tb, now_ns) == (level > 0));
            if (level > 0) {
                int64_t cost = (int64_t)prng_below(&prng, 800);
                token_bucket_charge(&tb, cost);
                level -= cost * 100000000000;
            }
            assert_true(tb.level == level);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_full_and_goes_into_debt),
        cmocka_unit_test(gives_back_no_more_than_it_holds),
        cmocka_unit_test(drains_to_nothing_but_not_below),
        cmocka_unit_test(a_fraction_of_a_token_is_not_lost),
        cmocka_unit_test(a_clock_that_jumps_gives_no_more_than_the_depth),
        cmocka_unit_test(a_change_keeps_the_tokens_that_fit),
        cmocka_unit_test(bounds_are_kept),
        cmocka_unit_test(behaves_as_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
