/* Random appends, releases, faults and crashes against a model: nothing reported durable is ever
 * lost, nothing else is invented, no LSN is given out twice.  And: a crash at every single change
 * of the disk of one fixed run. */
#include "wal_fixture.h"

static uint64_t seed_running; /* printed after each test: the one that failed, if it did */

/* Seeds of each kind; TRINE_TEST_SEEDS asks for more. */
static uint64_t seeds(void)
{
    const char *wanted = getenv("TRINE_TEST_SEEDS");
    return wanted != NULL ? strtoull(wanted, NULL, 10) : 25;
}

static enum wal_record_type random_type(struct prng *prng)
{
    switch (prng_below(prng, 16)) {
    case 0:
    case 1:
        return WAL_PROMISE;
    case 2:
        return WAL_CONFIGURATION;
    case 3:
        return prng_one_in(prng, 4) ? WAL_REMOVAL : WAL_TRUNCATION;
    default:
        return WAL_ENTRY;
    }
}

static void append_some(struct fixture *f, struct prng *prng)
{
    uint32_t count = 1 + (uint32_t)prng_below(prng, 12);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bytes = (uint32_t)prng_below(prng, prng_one_in(prng, 10) ? 40000 : 700);
        if (prng_one_in(prng, 200))
            bytes = 200000;
        enum wal_record_type type = random_type(prng);
        uint32_t replica = 1 + (uint32_t)prng_below(prng, REPLICAS);
        if (type == WAL_CONFIGURATION)
            bytes %= 256;
        enum status status = append_record(f, type, replica, bytes, prng_one_in(prng, 8));
        assert_true(status == STATUS_OK || status == STATUS_BUSY || status == STATUS_NO_SPACE ||
                    status == STATUS_UNAVAILABLE);
    }
}

static void open_until_open(struct fixture *f, struct prng *prng)
{
    for (int attempt = 0; f->wal == NULL; attempt++) {
        assert_true(attempt < 60);
        if (attempt == 50) {
            struct sim_rates quiet = {0};
            sim_set_rates(f->sim, &quiet);
        }
        if (attempt < 40 && prng_one_in(prng, 4))
            sim_node_crash_at(f->node, prng_one_in(prng, 2) ? SIM_CRASH_POWER : SIM_CRASH_KILL,
                              1 + prng_below(prng, 8));
        if (!fixture_open(f)) {
            crash(f, SIM_CRASH_KILL);
            continue;
        }
        sim_node_crash_at(f->node, SIM_CRASH_KILL, 0);
        if (f->status != STATUS_OK && f->status != STATUS_IO && f->status != STATUS_NO_SPACE) {
            print_error("open: %s\n%s", status_name(f->status), f->log_text);
            fail();
        }
    }
}

/* The owner's checkpoint covers what is durable, or not: the position grows with every release. */
static void cover(struct fixture *f)
{
    if (f->options.needed.value > 0)
        f->options.needed = wal_durable(f->wal);
}

/* Settle the log, and cover all of it.  false: the node crashed meanwhile. */
static bool settle(struct fixture *f)
{
    if (!run_fiber(f, settle_on_fiber))
        return false;
    if (f->status == STATUS_OK)
        f->options.needed = wal_durable(f->wal);
    return true;
}

/* One life of the node, ended by a crash or a clean stop. */
static void live(struct fixture *f, struct prng *prng)
{
    uint32_t turns = (uint32_t)prng_below(prng, 60);
    if (prng_one_in(prng, 2))
        sim_node_crash_at(f->node, prng_one_in(prng, 2) ? SIM_CRASH_POWER : SIM_CRASH_KILL,
                          1 + prng_below(prng, 3 * turns + 1));
    for (uint32_t i = 0; i < turns; i++) {
        append_some(f, prng);
        uint64_t ns = prng_below(prng, prng_one_in(prng, 8) ? SECOND : 2000000);
        uint64_t until = sim_now_ns(f->sim) + ns;
        sim_run_until(f->sim, until);
        if (sim_node_env(f->node) == NULL) {
            crash(f, SIM_CRASH_KILL);
            return;
        }
        if (prng_one_in(prng, 6) && f->durable_count > f->released_count) {
            cover(f);
            release(f, f->released_count +
                           (uint32_t)prng_below(prng, f->durable_count - f->released_count + 1));
        }
        if (wal_state(f->wal) == WAL_FAILED && prng_one_in(prng, 3))
            break;
    }
    if (prng_one_in(prng, 4) && !settle(f)) {
        crash(f, SIM_CRASH_KILL);
        return;
    }
    if (prng_one_in(prng, 3)) {
        cover(f);
        if (prng_one_in(prng, 2))
            release(f, f->durable_count);
        if (!fixture_close(f)) {
            crash(f, SIM_CRASH_KILL);
            return;
        }
        if (f->status == STATUS_OK) {
            assert_int_equal(f->durable_count, f->model_count);
            assert_true(sim_node_env(f->node)->heap->bytes_used < 64u << 10); /* fibers apart */
        }
        sim_node_crash_at(f->node, SIM_CRASH_KILL, 0);
        crash(f, prng_one_in(prng, 2) ? SIM_CRASH_POWER : SIM_CRASH_KILL);
        return;
    }
    sim_node_crash_at(f->node, SIM_CRASH_KILL, 0);
    crash(f, prng_one_in(prng, 2) ? SIM_CRASH_POWER : SIM_CRASH_KILL);
}

static void run_seed(uint64_t seed, const struct sim_rates *rates)
{
    struct fixture *f = fixture_create(seed);
    struct prng prng;
    prng_init(&prng, seed * 7919);
    for (int life = 0; life < 12 && f->model_count < MODEL_MAX / 2; life++) {
        sim_set_rates(f->sim, rates);
        open_until_open(f, &prng);
        f->options.create = true;
        live(f, &prng);
    }
    struct sim_rates quiet = {0};
    sim_set_rates(f->sim, &quiet);
    open_until_open(f, &prng);
    close_well(f);
    fixture_free(f);
}

static void run_seeds(uint64_t first, const struct sim_rates *rates)
{
    for (uint64_t seed = first; seed < first + seeds(); seed++) {
        seed_running = seed;
        run_seed(seed, rates);
    }
}

static int print_seed(void **state)
{
    (void)state;
    print_message("last seed: %llu\n", (unsigned long long)seed_running);
    return 0;
}

static void holds_the_model_over_crashes(void **state)
{
    (void)state;
    struct sim_rates rates = {0};
    run_seeds(1, &rates);
}

static void holds_the_model_over_failed_writes_and_syncs(void **state)
{
    (void)state;
    struct sim_rates rates = {.write_error = 60, .sync_error = 60};
    run_seeds(100001, &rates);
}

static void holds_the_model_when_space_comes_and_goes(void **state)
{
    (void)state;
    struct sim_rates rates = {.no_space = 15, .stall = 50, .stall_ns_max = SECOND};
    run_seeds(200001, &rates);
}

static void holds_the_model_under_all_faults(void **state)
{
    (void)state;
    struct sim_rates rates = {.open_error = 200,
                              .read_error = 300,
                              .write_error = 150,
                              .sync_error = 150,
                              .no_space = 60};
    run_seeds(300001, &rates);
}

/* A fixed run that opens, fills several segments, releases, and stops cleanly, twice. */
static bool fixed_run(struct fixture *f)
{
    for (int round = 0; round < 2; round++) {
        if (!fixture_open(f))
            return false;
        assert_int_equal(f->status, STATUS_OK);
        for (uint32_t i = 0; i < 40; i++) {
            uint32_t replica = 1 + i % REPLICAS;
            enum wal_record_type type = i % 5 == 0   ? WAL_PROMISE
                                        : i % 7 == 0 ? WAL_CONFIGURATION
                                                     : WAL_ENTRY;
            assert_int_equal(append_record(f, type, replica, i % 6 == 0 ? 9000 : 300, false),
                             STATUS_OK);
            if (i % 2 == 0)
                run_for(f, 50000000);
            if (sim_node_env(f->node) == NULL)
                return false;
            if (i % 10 == 9)
                release(f, f->durable_count);
        }
        run_for(f, SECOND / 2);
        if (sim_node_env(f->node) == NULL)
            return false;
        release(f, f->durable_count);
        if (!fixture_close(f))
            return false;
        assert_int_equal(f->status, STATUS_OK);
        if (round == 0)
            crash(f, SIM_CRASH_POWER);
    }
    return true;
}

static void crash_at_every_change_of(uint64_t seed, enum sim_crash kind)
{
    for (uint64_t change = 1;; change++) {
        struct fixture *f = fixture_create(seed);
        sim_node_crash_at(f->node, kind, change);
        bool whole = fixed_run(f);
        if (!whole) {
            crash(f, kind);
            open_well(f);
            append_singly(f, 2, 100);
            crash(f, SIM_CRASH_POWER);
            open_well(f);
            close_well(f);
        }
        fixture_free(f);
        if (whole) {
            assert_true(change > 60); /* so many crashes there were */
            return;
        }
    }
}

static void crash_at_every_change(enum sim_crash kind)
{
    for (uint64_t seed = 1; seed <= 4; seed++)
        crash_at_every_change_of(seed, kind);
}

static void recovers_from_power_loss_at_every_change(void **state)
{
    (void)state;
    crash_at_every_change(SIM_CRASH_POWER);
}

static void recovers_from_a_kill_at_every_change(void **state)
{
    (void)state;
    crash_at_every_change(SIM_CRASH_KILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(holds_the_model_over_crashes, print_seed),
        cmocka_unit_test_teardown(holds_the_model_over_failed_writes_and_syncs, print_seed),
        cmocka_unit_test_teardown(holds_the_model_when_space_comes_and_goes, print_seed),
        cmocka_unit_test_teardown(holds_the_model_under_all_faults, print_seed),
        cmocka_unit_test(recovers_from_power_loss_at_every_change),
        cmocka_unit_test(recovers_from_a_kill_at_every_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
