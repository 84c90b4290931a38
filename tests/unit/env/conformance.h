/* conformance.h - what every binding of struct env promises, as tests that run against any of them.
 *
 * A test program includes this, fills a `struct conformance` (conformance_binding.h) for its
 * binding and calls conformance_main.  Each test gets an env of its own.
 */
#ifndef TESTS_CONFORMANCE_H
#define TESTS_CONFORMANCE_H

#include "unit/env/conformance_binding.h"
#include "unit/env/conformance_files.h"
#include "unit/env/conformance_loop.h"
#include "unit/env/conformance_streams.h"

static inline int conformance_setup(void **state)
{
    struct conformance *c = *state;
    c->open(c);
    return 0;
}

static inline int conformance_teardown(void **state)
{
    struct conformance *c = *state;
    c->close(c);
    return 0;
}

/* Run all tests against the binding; the number that failed. */
static inline int conformance_main(struct conformance *c, const char *name)
{
#define CONFORMANCE_TEST(test)                                                                     \
    cmocka_unit_test_prestate_setup_teardown(test, conformance_setup, conformance_teardown, c)
    const struct CMUnitTest tests[] = {
        CONFORMANCE_TEST(clock_never_goes_back),
        CONFORMANCE_TEST(wall_now_is_moved_by_its_offset),
        CONFORMANCE_TEST(random_differs),
        CONFORMANCE_TEST(tasks_run_once_in_order),
        CONFORMANCE_TEST(tasks_leave_room_for_events),
        CONFORMANCE_TEST(timers_fire_in_order),
        CONFORMANCE_TEST(timers_stop_and_move),
        CONFORMANCE_TEST(timers_obey_the_rule_at_random),
        CONFORMANCE_TEST(jobs_run_and_are_done),
        CONFORMANCE_TEST(files_open),
        CONFORMANCE_TEST(files_hold_their_content),
        CONFORMANCE_TEST(files_have_names),
        CONFORMANCE_TEST(directories_list_names),
        CONFORMANCE_TEST(files_lock_others_out),
        CONFORMANCE_TEST(files_equal_a_model),
        CONFORMANCE_TEST(streams_carry_bytes_both_ways),
        CONFORMANCE_TEST(streams_queue_and_drain),
        CONFORMANCE_TEST(streams_pause),
        CONFORMANCE_TEST(streams_end_and_close),
        CONFORMANCE_TEST(streams_break),
        CONFORMANCE_TEST(listeners_hold_their_port),
    };
#undef CONFORMANCE_TEST
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

#endif
