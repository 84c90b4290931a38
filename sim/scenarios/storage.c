/* storage.c - log and forest alone, through crashes, a bad disk and a full one, beside a model.
 *
 * The program (workload/storage_program.h) is started whenever it is down.  An adversary crashes
 * it, at a moment or in the middle of a change of the disk, stops it in good order now and then,
 * and lets the disk fail or be full for some time.  In the end the faults stop: the program must
 * start, show what the model says, stop in good order, leave nothing in memory, start again and
 * show the same. */
#include "base/assert.h"
#include "env/fiber.h"
#include "sim/server_adapter.h"
#include "sim/workload/storage_program.h"

#define MILLISECOND UINT64_C(1000000)
#define SECOND      UINT64_C(1000000000)
#define RUN_NS_MAX  (3600 * SECOND)
#define START_NS    (120 * SECOND) /* for a start or a stop without faults */
#define FIRST_NS    SECOND         /* a start is spared for so long, and then once */

static const struct sim_rates none;

struct run {
    struct sim *sim;
    struct heap heap;
    struct sim_node *node;
    struct storage_program program;
    struct scenario_result *result;
    struct sim_event adversary;
    struct sim_rates rates; /* while the disk is bad */
    uint64_t attack_ns;     /* between attacks at most, on average */
    uint64_t between;       /* operations between attacks, at most */
    uint64_t next_attack;   /* in operations */
    bool disk_fills, damage, crash_in_changes;
    uint32_t power_of_4; /* so many of 4 crashes are power losses */
    bool opening_attacked;
};

static bool failed(const struct run *run)
{
    return run->result->verdict != SCENARIO_PASSED;
}

static uint64_t faults(const struct run *run)
{
    uint64_t count = 0;
    for (int i = 0; i < SIM_FAULT_COUNT; i++)
        count += sim_fault_count(run->sim, (enum sim_fault)i);
    return count;
}

/* ---- The program's life ---- */

static void make_disk_good(struct run *run)
{
    sim_set_rates(run->sim, &none);
    sim_set_disk_bytes_max(run->sim, 0);
}

/* Everything is checked only where nothing fails: what cannot be read is not as it should be. */
static void start(struct run *run)
{
    if (run->program.check_all)
        make_disk_good(run);
    storage_program_start(&run->program, sim_node_start(run->node));
}

/* It has ended by itself: in good order, or because it could not go on. */
static void end(struct run *run)
{
    bool clean = run->program.state == STORAGE_STOPPED;
    if (clean)
        fiber_pool_close(sim_node_env(run->node));
    size_t bytes = sim_node_stop(run->node);
    storage_program_crashed(&run->program);
    if (clean && bytes > 0)
        scenario_fail(run->result, SCENARIO_WRONG, "the program ended and left %zu bytes", bytes);
}

static void crash(struct run *run, enum sim_crash crash)
{
    if (sim_node_env(run->node) != NULL)
        sim_node_crash(run->node, crash);
    storage_program_crashed(&run->program);
}

/* ---- The adversary ---- */

static enum sim_crash choose_crash(struct run *run)
{
    bool power = prng_below(sim_prng(run->sim), 4) < run->power_of_4;
    return power ? SIM_CRASH_POWER : SIM_CRASH_KILL;
}

static void make_disk_bad(struct run *run)
{
    struct prng *prng = sim_prng(run->sim);
    sim_set_rates(run->sim, prng_one_in(prng, 3) ? &none : &run->rates);
    bool full = run->disk_fills && prng_one_in(prng, 3);
    uint64_t room = prng_below(prng, UINT64_C(1) << 20);
    sim_set_disk_bytes_max(run->sim, full ? sim_disk_used(run->node) + room : 0);
}

/* A start is attacked once; then it has time. */
static bool spared(struct run *run)
{
    if (run->program.state != STORAGE_OPENING) {
        run->opening_attacked = false;
        return false;
    }
    bool spared = run->opening_attacked;
    run->opening_attacked = true;
    return spared;
}

static void adversary(struct sim_event *event)
{
    struct run *run = CONTAINER_OF(event, struct run, adversary);
    struct prng *prng = sim_prng(run->sim);
    run->next_attack = run->program.operations + 1 + prng_below(prng, run->between);
    sim_schedule(run->sim, event, run->attack_ns / 4 + prng_below(prng, run->attack_ns));
    if (spared(run)) {
        make_disk_good(run);
        sim_schedule(run->sim, event, run->attack_ns + FIRST_NS);
        return;
    }
    if (prng_one_in(prng, 8) && run->program.state == STORAGE_OPEN) {
        make_disk_good(run);
        storage_program_stop(&run->program);
        return;
    }
    if (!run->program.check_all || run->program.state != STORAGE_OPENING)
        make_disk_bad(run);
    if (prng_one_in(prng, 3))
        return; /* it goes on with that disk */
    bool in_change = run->crash_in_changes && prng_one_in(prng, 2);
    enum sim_crash how = choose_crash(run);
    if (in_change)
        sim_node_crash_at(run->node, how, 1 + prng_below(prng, 60));
    else
        crash(run, how);
}

/* After each event: what ended is started again. */
static void supervise(struct run *run)
{
    if (run->program.state == STORAGE_GAVE_UP || run->program.state == STORAGE_STOPPED) {
        end(run);
        make_disk_good(run);
    }
    if (sim_node_env(run->node) != NULL)
        return;
    storage_program_crashed(&run->program);
    if (run->damage && prng_one_in(sim_prng(run->sim), 3))
        (void)!trine_adapter.damage(run->node, STORAGE_DIR, sim_prng(run->sim));
    run->program.check_all = prng_one_in(sim_prng(run->sim), 3);
    start(run);
}

/* ---- What a seed is like ---- */

static uint32_t choose_rate(struct prng *prng)
{
    return prng_one_in(prng, 3) ? 0 : 60u << prng_below(prng, 7);
}

static void choose_adversary(struct run *run)
{
    struct prng *prng = sim_prng(run->sim);
    run->rates.open_error = choose_rate(prng);
    run->rates.read_error = choose_rate(prng);
    run->rates.write_error = choose_rate(prng);
    run->rates.sync_error = choose_rate(prng);
    run->rates.no_space = choose_rate(prng);
    run->rates.stall = choose_rate(prng);
    run->rates.stall_ns_max = MILLISECOND << prng_below(prng, 10);
    if (prng_one_in(prng, 4))
        run->rates = none;
    run->disk_fills = prng_one_in(prng, 2);
    run->damage = prng_one_in(prng, 2);
    run->crash_in_changes = prng_one_in(prng, 2);
    run->power_of_4 = (uint32_t)prng_below(prng, 5);
    run->attack_ns = 20 * MILLISECOND << prng_below(prng, 8);
    run->between = UINT64_C(16) << prng_below(prng, 6);
    run->next_attack = run->between;
}

static struct tree_model_shape choose_shape(struct prng *prng)
{
    struct tree_model_shape shape = {.shared_bytes = 20, .tail_bytes = 30, .value_bytes = 300};
    switch (prng_below(prng, 5)) {
    case 0: /* more than a small cache holds */
        shape.keys = 3000 + (uint32_t)prng_below(prng, 4000);
        shape.value_bytes = 2000;
        break;
    case 1: /* many small ones */
        shape.keys = 1000 + (uint32_t)prng_below(prng, 3000);
        break;
    case 2: /* long keys: few fit in an inner page */
        shape.keys = 100 + (uint32_t)prng_below(prng, 600);
        shape.shared_bytes = 6000;
        shape.tail_bytes = 1000;
        break;
    case 3:
        shape.keys = 300 + (uint32_t)prng_below(prng, 1500);
        shape.shared_bytes = 200 + (uint32_t)prng_below(prng, 1500);
        shape.tail_bytes = 200;
        break;
    default: /* large values */
        shape.keys = 50 + (uint32_t)prng_below(prng, 400);
        shape.value_bytes = 3000;
        shape.large_one_in = 8 + (uint32_t)prng_below(prng, 40);
        shape.large_bytes = TREE_MODEL_VALUE_BYTES_MAX;
    }
    return shape;
}

static struct storage_options choose_options(struct prng *prng)
{
    struct storage_options options = {.trees = 1 + (uint32_t)prng_below(prng, STORAGE_TREES_MAX)};
    options.shape = choose_shape(prng);
    options.cache_bytes = (uint64_t)FOREST_CACHE_BYTES_MIN << prng_below(prng, 3);
    options.snapshot_bytes = UINT64_C(32768) << prng_below(prng, 8);
    options.reserve_pages = 64u << prng_below(prng, 3);
    options.drop_pages_per_s = 1000u << prng_below(prng, 6);
    options.segment_bytes = (uint64_t)WAL_SEGMENT_BYTES_MIN << prng_below(prng, 6);
    options.live_bytes = 8 * options.segment_bytes << prng_below(prng, 4);
    options.checkpoint_ns = 10 * MILLISECOND << prng_below(prng, 8);
    options.pause_ns = 10000u << prng_below(prng, 9);
    options.fibers_max = 4u << prng_below(prng, 4);
    return options;
}

/* ---- The course of a run ---- */

static void rough_part(struct run *run)
{
    uint64_t wanted = 3 * SCENARIO_OPERATIONS_MIN + prng_below(sim_prng(run->sim), 3000);
    while (!failed(run) && sim_now_ns(run->sim) < RUN_NS_MAX &&
           (run->program.operations < wanted || faults(run) < SCENARIO_FAULTS_MIN + 2)) {
        sim_step(run->sim);
        supervise(run);
        if (run->program.state == STORAGE_OPEN && run->program.operations >= run->next_attack) {
            run->next_attack = UINT64_MAX;
            sim_schedule(run->sim, &run->adversary, 0);
        }
    }
    if (sim_now_ns(run->sim) >= RUN_NS_MAX)
        scenario_fail(run->result, SCENARIO_STUCK, "only %llu operations in an hour",
                      (unsigned long long)run->program.operations);
}

/* Without faults, until `state` has come. */
static void wait_for(struct run *run, enum storage_state state, const char *what)
{
    uint64_t end_ns = sim_now_ns(run->sim) + START_NS;
    struct storage_program *program = &run->program;
    while (!failed(run) && program->state != state && program->state != STORAGE_GAVE_UP &&
           sim_now_ns(run->sim) < end_ns && sim_step(run->sim)) {
    }
    if (program->state == STORAGE_GAVE_UP)
        scenario_fail(run->result, SCENARIO_WRONG, "without faults, %s fails: %s", what,
                      status_name(program->status));
    else if (program->state != state)
        scenario_fail(run->result, SCENARIO_STUCK, "without faults, still waiting for %s", what);
}

static void quiet_part(struct run *run)
{
    make_disk_good(run);
    sim_cancel(run->sim, &run->adversary);
    sim_node_crash_at(run->node, SIM_CRASH_KILL, 0);
    crash(run, choose_crash(run));
    for (int i = 0; i < 2 && !failed(run); i++) {
        run->program.check_all = true;
        start(run);
        wait_for(run, STORAGE_OPEN, "the start");
        if (failed(run))
            return;
        sim_run_until(run->sim, sim_now_ns(run->sim) + prng_below(sim_prng(run->sim), SECOND / 4));
        storage_program_stop(&run->program);
        wait_for(run, STORAGE_STOPPED, "the stop");
        if (!failed(run))
            end(run);
    }
}

static void run_storage(const struct scenario_settings *settings, struct scenario_result *result)
{
    struct sim_options options = sim_options_from_seed(settings->seed);
    options.bugs = settings->bugs;
    options.trace = settings->trace;
    options.trace_sink = settings->trace_sink;
    struct sim *sim = sim_create(&options);
    struct run run = {.sim = sim, .result = result};
    *result = (struct scenario_result){.verdict = SCENARIO_PASSED};
    heap_init(&run.heap, true);
    run.node = sim_node_create(sim, "storage");
    struct storage_options storage = choose_options(sim_prng(sim));
    storage_program_init(&run.program, sim, &run.heap, &storage, result);
    choose_adversary(&run);
    run.adversary.run = adversary;
    start(&run);
    sim_schedule(sim, &run.adversary, FIRST_NS);
    rough_part(&run);
    if (!failed(&run))
        quiet_part(&run);
    result->operations = run.program.operations;
    scenario_finish(result, sim);
    sim_free(sim);
    storage_program_release(&run.program);
    heap_drop(&run.heap);
}

const struct scenario scenario_storage = {
    .name = "storage",
    .text = "log and forest alone beside a model: copies, snapshots, a full disk, crashes",
    .run = run_storage,
};
