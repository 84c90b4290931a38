/* The program's own server on a simulated disk: what a start has made is there for ever. */
#include "unit/cmocka_headers.h"

#include <stdio.h>

#include "sim/server_adapter.h"

struct start {
    struct sim *sim;
    struct sim_node *node;
    void *server;
    bool ended;
    enum status status;
};

static void on_started(void *owner, enum status status)
{
    struct start *start = owner;
    start->ended = true;
    start->status = status;
}

/* Start the server; false when the node crashes meanwhile. */
static bool server_starts(struct start *start)
{
    static const struct server_settings settings = {
        .port = 8000, .data = "data", .on_demand_partitions = 1};
    start->ended = false;
    trine_adapter.start(sim_node_start(start->node), &settings, on_started, start, &start->server);
    while (!start->ended && sim_node_env(start->node) != NULL)
        assert_true(sim_step(start->sim));
    return start->ended;
}

static void a_killed_first_start_is_made_good_by_the_next(void **state)
{
    (void)state;
    bool finished = false;
    for (uint64_t at = 1; !finished; at++) {
        for (uint64_t seed = 0; seed < 4; seed++) {
            struct sim_options options = sim_options_from_seed(4 * at + seed);
            struct start start = {.sim = sim_create(&options)};
            uint64_t bytes;
            start.node = sim_node_create(start.sim, "server");
            sim_node_crash_at(start.node, SIM_CRASH_KILL, at);
            finished = server_starts(&start);
            if (!finished)
                assert_true(server_starts(&start));
            assert_int_equal(start.status, STATUS_OK);
            sim_node_crash(start.node, SIM_CRASH_POWER);
            assert_int_equal(sim_disk_size(start.node, "data/tree", &bytes), STATUS_OK);
            assert_true(server_starts(&start));
            assert_int_equal(start.status, STATUS_OK);
            sim_free(start.sim);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_first_start_is_made_good_by_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
