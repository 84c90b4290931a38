/* The scenario's harness, on its own small server: correct seeds pass and repeat themselves, and a
 * server that is wrong is found out by what the checkers see. */
#include "unit/cmocka_headers.h"

#include <stdio.h>

#include "env/bugs.h"
#include "sim/scenario.h"

static struct scenario_result run(uint64_t seed, unsigned bugs)
{
    struct scenario_settings settings = {.seed = seed, .bugs = bugs};
    struct scenario_result result;
    scenario_toy.run(&settings, &result);
    return result;
}

static void correct_seeds_pass_and_count(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct scenario_result result = run(seed, 0);
        assert_string_equal(result.what, "");
        assert_int_equal(result.verdict, SCENARIO_PASSED);
        assert_true(result.operations >= SCENARIO_OPERATIONS_MIN);
        assert_true(scenario_faults(&result) >= SCENARIO_FAULTS_MIN);
    }
}

static void a_seed_repeats_itself(void **state)
{
    (void)state;
    struct scenario_result first = run(4, 0), second = run(4, 0), other = run(6, 0);
    assert_int_equal(first.trace_hash, second.trace_hash);
    assert_int_not_equal(first.trace_hash, other.trace_hash);
}

#ifdef TRINE_DEBUG
static void find(unsigned bug)
{
    bool found = false;
    for (uint64_t seed = 1; seed <= 5 && !found; seed++)
        found = run(seed, bug).verdict == SCENARIO_WRONG;
    assert_true(found);
}

static void a_server_that_does_not_sync_is_found(void **state)
{
    (void)state;
    find(BUG_SKIP_SYNC);
}

static void a_server_that_acknowledges_early_is_found(void **state)
{
    (void)state;
    find(BUG_ACK_BEFORE_COMMIT);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(correct_seeds_pass_and_count),
        cmocka_unit_test(a_seed_repeats_itself),
#ifdef TRINE_DEBUG
        cmocka_unit_test(a_server_that_does_not_sync_is_found),
        cmocka_unit_test(a_server_that_acknowledges_early_is_found),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
