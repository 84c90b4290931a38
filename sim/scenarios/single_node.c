/* single_node.c - one server that crashes, loses power and has a bad disk, while clients use it.
 *
 * A supervisor starts the server whenever it is down, after a while.  An adversary crashes it, at
 * a moment or in the middle of an operation on its disk, and now and then lets the disk and the
 * links fail for some time.  When enough has happened the faults end, the server is restarted, and
 * everything must work: every item is read, the server stops in good order, starts again, and
 * shows the same.  Then the history is judged.
 *
 * On a disk with damage that one node cannot survive, the server may refuse: to start, or to answer
 * for what it cannot read.  What it does answer must be right. */
#include "sim/scenarios/single_node.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "sim/workload/expiring.h"
#include "sim/workload/held.h"
#include "sim/workload/items.h"
#include "sim/workload/transact.h"

#define PORT           8000u
#define SECOND         UINT64_C(1000000000)
#define RUN_NS_MAX     (3600 * SECOND) /* of virtual time, until enough has happened */
#define QUIET_NS_MAX   (120 * SECOND)  /* for everything to work again */
#define SERVED_MIN     5u              /* requests between two attacks, if they come soon */
#define OPERATIONS_MAX 1500u

static const struct sim_rates none;

struct run {
    struct sim *sim;
    struct heap heap;
    struct sim_node *node;
    const struct server_adapter *adapter;
    enum single_node_damage damage;
    struct server_settings settings;
    struct scenario_result *result;
    bool transacts; /* the clients are those of transact, not of items */
    struct items items;
    struct expiring expiring;
    bool expires; /* that client is there */
    struct held held;
    bool holds; /* and that one */
    struct transact transact;
    void *server;
    bool serving;   /* the server has said that it serves */
    bool started;   /* set by on_started, for waiting */
    bool stopped;   /* the server has ended in good order */
    bool gave_up;   /* the server has ended by itself */
    bool quiet;     /* no more faults */
    bool found_out; /* the server refuses to go on because of damage that nobody survives */
    struct sim_event supervise, adversary;
    struct sim_rates rates;              /* while the disk and links are bad */
    uint64_t crash_ns;                   /* between attacks at most, on average */
    uint64_t requests_between;           /* attacks, at most */
    uint64_t next_attack;                /* in requests */
    uint64_t served_ns, served_requests; /* when it began to serve, and how many were then */
    bool recovery_attacked;              /* since the server served */
    bool crash_in_changes;               /* crashes fall in the middle of operations */
    bool disk_fills;                     /* it is full now and then */
    bool damage_at_rest;                 /* bits flip while the server is down */
    uint32_t power_of_4;                 /* so many of 4 crashes are power losses */
};

/* ---- The clients, of either kind ---- */

static uint64_t requests(const struct run *run)
{
    return run->transacts ? run->transact.requests : run->items.requests;
}

static const char *violation(const struct run *run)
{
    return run->transacts ? run->transact.serial.violation : run->items.history.violation;
}

static enum items_phase phase(const struct run *run)
{
    return run->transacts ? run->transact.phase : run->items.phase;
}

static const bool *phase_done(const struct run *run)
{
    return run->transacts ? &run->transact.phase_done : &run->items.phase_done;
}

static void begin_phase(struct run *run, enum items_phase next)
{
    if (run->transacts)
        transact_begin(&run->transact, next);
    else
        items_begin(&run->items, next);
}

static void clients_crashed(struct run *run)
{
    if (!run->transacts)
        items_crashed(&run->items);
}

/* The next attack comes after some requests, or some time. */
static void plan_attack(struct run *run)
{
    struct prng *prng = sim_prng(run->sim);
    run->next_attack = requests(run) + 1 + prng_below(prng, run->requests_between);
    sim_schedule(run->sim, &run->adversary, run->crash_ns / 4 + prng_below(prng, run->crash_ns));
}

/* ---- Damage of the disk ---- */

static bool damaged(const struct run *run)
{
    return sim_fault_count(run->sim, SIM_FAULT_FLIP) > 0 ||
           sim_fault_count(run->sim, SIM_FAULT_LOST_WRITE) > 0 ||
           sim_fault_count(run->sim, SIM_FAULT_MISDIRECTED) > 0;
}

#define LOG_FLIP_REQUESTS 500u

/* One bit, in the tree, or later in the log: a server whose log is damaged does not start. */
static void flip_somewhere(struct run *run)
{
    struct prng *prng = sim_prng(run->sim);
    if (run->items.requests >= LOG_FLIP_REQUESTS && prng_one_in(prng, 8) &&
        run->adapter->damage_found != NULL &&
        run->adapter->damage_found(run->node, run->settings.data, prng)) {
        sim_trace(run->sim, "flipped a bit of the log");
        return;
    }
    const char *path = "data/tree";
    uint64_t bytes;
    if (sim_disk_size(run->node, path, &bytes) != STATUS_OK || bytes == 0)
        return;
    uint64_t at = prng_below(prng, bytes);
    uint8_t mask = (uint8_t)(1u << prng_below(prng, 8));
    if (sim_disk_flip(run->node, path, at, mask) == STATUS_OK)
        sim_trace(run->sim, "flipped a bit of the tree");
}

/* The node is down, and about to be started. */
static void damage_disk(struct run *run)
{
    struct prng *prng = sim_prng(run->sim);
    if (run->quiet || !run->damage_at_rest)
        return;
    if (run->damage == DAMAGE_FATAL && prng_one_in(prng, 3))
        flip_somewhere(run);
    else if (run->damage == DAMAGE_SURVIVABLE && run->adapter->damage != NULL &&
             run->adapter->damage(run->node, run->settings.data, prng))
        sim_trace(run->sim, "flipped a bit that it can do without");
}

/* ---- The server's life ---- */

static void on_started(void *owner, enum status status)
{
    struct run *run = owner;
    sim_trace(run->sim, "server: %s", status_name(status));
    sim_trace_fold(run->sim, (uint64_t)status);
    run->serving = status == STATUS_OK;
    run->gave_up = status != STATUS_OK;
    run->started = run->serving;
    run->served_ns = sim_now_ns(run->sim);
    run->served_requests = requests(run);
    if (run->serving)
        run->recovery_attacked = false;
    if (run->serving && !run->quiet)
        plan_attack(run);
    bool corrupt = status == STATUS_CORRUPT || status == STATUS_INVALID ||
                   status == STATUS_VERSION || status == STATUS_NOT_FOUND;
    run->found_out = corrupt && run->damage == DAMAGE_FATAL && damaged(run);
    bool excused = status == STATUS_OK || run->found_out || status == STATUS_IO ||
                   status == STATUS_NO_SPACE || status == STATUS_NO_MEMORY ||
                   status == STATUS_UNAVAILABLE;
    if (!excused || (run->quiet && status != STATUS_OK && !run->found_out))
        scenario_fail(run->result, SCENARIO_WRONG, "the server does not start: %s",
                      status_name(status));
}

static void start_server(struct run *run)
{
    run->serving = run->gave_up = run->started = run->stopped = false;
    struct env *env = sim_node_start(run->node);
    run->adapter->start(env, &run->settings, on_started, run, &run->server);
}

static void on_stopped(void *owner)
{
    struct run *run = owner;
    run->stopped = true;
}

/* A crash that came by itself, in the middle of a change of the disk, is noticed here. */
static void supervise(struct sim_event *event)
{
    struct run *run = CONTAINER_OF(event, struct run, supervise);
    if (run->gave_up && sim_node_env(run->node) != NULL) {
        clients_crashed(run);
        sim_node_stop(run->node);
        sim_set_rates(run->sim, &none); /* the disk gets better, or nothing ever starts */
        sim_set_disk_bytes_max(run->sim, 0);
    }
    if (sim_node_env(run->node) == NULL) {
        clients_crashed(run);
        damage_disk(run);
        start_server(run);
    }
    uint64_t pause_ns = 1000000 + prng_below(sim_prng(run->sim), 40000000);
    sim_schedule(run->sim, &run->supervise, pause_ns);
}

static void crash_now(struct run *run, enum sim_crash crash)
{
    if (sim_node_env(run->node) == NULL)
        return;
    run->serving = false;
    sim_node_crash(run->node, crash);
    clients_crashed(run);
}

/* ---- The adversary ---- */

static enum sim_crash choose_crash(struct run *run)
{
    bool power = prng_below(sim_prng(run->sim), 4) < run->power_of_4;
    return power ? SIM_CRASH_POWER : SIM_CRASH_KILL;
}

/* Now, or in the middle of a change of the disk. */
static void attack(struct run *run)
{
    struct prng *prng = sim_prng(run->sim);
    bool in_change = run->crash_in_changes && prng_one_in(prng, 2);
    enum sim_crash crash = choose_crash(run);
    if (in_change)
        sim_node_crash_at(run->node, crash, 1 + prng_below(prng, 60));
    else
        crash_now(run, crash);
}

/* For some time there is hardly any room on the disk. */
static void fill_disk(struct run *run)
{
    struct prng *prng = sim_prng(run->sim);
    bool full = run->disk_fills && prng_one_in(prng, 3);
    uint64_t room = prng_below(prng, UINT64_C(3) << 20);
    sim_set_disk_bytes_max(run->sim, full ? sim_disk_used(run->node) + room : 0);
}

static void adversary(struct sim_event *event)
{
    struct run *run = CONTAINER_OF(event, struct run, adversary);
    struct prng *prng = sim_prng(run->sim);
    bool recovering = !run->serving && sim_node_env(run->node) != NULL;
    bool spare = recovering && (run->recovery_attacked || prng_one_in(prng, 2));
    if (run->serving && requests(run) < run->served_requests + SERVED_MIN &&
        sim_now_ns(run->sim) < run->served_ns + 2 * SECOND) {
        plan_attack(run); /* the clients have hardly noticed that it serves */
        return;
    }
    run->recovery_attacked = recovering;
    if (spare)
        sim_set_disk_bytes_max(run->sim, 0); /* a start may wait for room */
    else
        fill_disk(run);
    if (!spare)
        sim_set_rates(run->sim, prng_one_in(prng, 3) ? &none : &run->rates);
    if (!spare) /* a start is attacked once at most between two times of service */
        attack(run);
    plan_attack(run);
}

/* Once in so many; a quarter of the seeds spares each kind. */
static uint32_t choose_rate(struct prng *prng)
{
    return prng_one_in(prng, 4) ? 0 : 60u << prng_below(prng, 7);
}

static void choose_adversary(struct run *run)
{
    struct prng *prng = sim_prng(run->sim);
    uint64_t stall_ns_max = UINT64_C(1000000) << prng_below(prng, 11);
    run->rates = (struct sim_rates){
        .open_error = 8 * choose_rate(prng),
        .read_error = choose_rate(prng),
        .write_error = choose_rate(prng),
        .sync_error = choose_rate(prng),
        .no_space = choose_rate(prng),
        .stall = choose_rate(prng),
        .cut = 6 * choose_rate(prng),
        .link_stall = choose_rate(prng),
        .stall_ns_max = stall_ns_max,
    };
    if (prng_one_in(prng, 3)) /* a good disk: crashes alone */
        run->rates = (struct sim_rates){0};
    if (run->damage == DAMAGE_FATAL) {
        run->rates.lost_write = 4 * choose_rate(prng);
        run->rates.misdirected = 4 * choose_rate(prng);
        run->rates.damage_in = "/tree";
    }
    run->disk_fills = prng_one_in(prng, 4);
    run->damage_at_rest = prng_one_in(prng, 2);
    run->crash_ns = UINT64_C(100000000) << prng_below(prng, 6);
    run->requests_between = UINT64_C(5) << prng_below(prng, 6);
    run->next_attack = run->requests_between;
    run->crash_in_changes = prng_one_in(prng, 2);
    run->power_of_4 = (uint32_t)prng_below(prng, 5);
}

/* ---- The course of a run ---- */

static bool failed(const struct run *run)
{
    return run->result->verdict != SCENARIO_PASSED || violation(run)[0] != '\0';
}

static bool enough(const struct run *run, uint64_t wanted)
{
    uint64_t faults = 0;
    for (int i = 0; i < SIM_FAULT_COUNT; i++)
        faults += sim_fault_count(run->sim, (enum sim_fault)i);
    return requests(run) >= wanted && faults >= SCENARIO_FAULTS_MIN + 2;
}

static void rough_part(struct run *run)
{
    struct prng *prng = sim_prng(run->sim);
    uint64_t wanted =
        SCENARIO_OPERATIONS_MIN + prng_below(prng, OPERATIONS_MAX - SCENARIO_OPERATIONS_MIN);
    begin_phase(run, ITEMS_SETUP);
    while (!failed(run) && !run->found_out && sim_now_ns(run->sim) < RUN_NS_MAX &&
           sim_step(run->sim)) {
        if (phase(run) == ITEMS_SETUP && *phase_done(run))
            begin_phase(run, ITEMS_RUN);
        else if (phase(run) == ITEMS_RUN && enough(run, wanted))
            break;
        if (phase(run) == ITEMS_RUN && requests(run) >= run->next_attack) {
            run->next_attack = UINT64_MAX;
            sim_schedule(run->sim, &run->adversary, 0);
        }
    }
    if (!failed(run) && !run->found_out && !enough(run, wanted))
        scenario_fail(run->result, SCENARIO_STUCK, "only %llu requests in an hour",
                      (unsigned long long)requests(run));
}

/* Run until *done, for at most QUIET_NS_MAX. */
static bool wait_for(struct run *run, const bool *done, const char *what)
{
    uint64_t end_ns = sim_now_ns(run->sim) + QUIET_NS_MAX;
    while (!failed(run) && !run->found_out && !*done && sim_now_ns(run->sim) < end_ns)
        sim_step(run->sim);
    if (failed(run) || run->found_out || *done)
        return *done && !failed(run);
    scenario_fail(run->result, SCENARIO_STUCK, "without faults, still waiting for: %s", what);
    return false;
}

static bool read_everything(struct run *run)
{
    begin_phase(run, ITEMS_FINAL);
    if (!wait_for(run, phase_done(run), "the last reads"))
        return false;
    if (run->transacts)
        return true;
    begin_phase(run, ITEMS_FOLLOW);
    return wait_for(run, phase_done(run), "the streams");
}

static void run_until(struct run *run, uint64_t end_ns)
{
    while (!failed(run) && !*phase_done(run) && sim_now_ns(run->sim) < end_ns)
        sim_step(run->sim);
}

/* The tables are deleted, with crashes before and behind that: their streams stay. */
static void delete_tables(struct run *run)
{
    struct prng *prng = sim_prng(run->sim);
    if (run->transacts || run->damage == DAMAGE_FATAL)
        return;
    begin_phase(run, ITEMS_DEPART);
    for (uint64_t crashes = prng_below(prng, 4); crashes > 0; crashes--) {
        run_until(run, sim_now_ns(run->sim) + prng_below(prng, UINT64_C(1) << (17 + crashes * 4)));
        if (failed(run))
            return;
        crash_now(run, choose_crash(run));
        start_server(run);
        if (!wait_for(run, &run->started, "a start behind the deletion of tables"))
            return;
    }
    (void)wait_for(run, phase_done(run), "the streams of deleted tables");
}

static void stop_server(struct run *run)
{
    run->adapter->stop(sim_node_env(run->node), run->server, on_stopped, run);
    if (wait_for(run, &run->stopped, "the server's end")) {
        clients_crashed(run);
        size_t bytes = sim_node_stop(run->node);
        if (bytes > 0 && run->adapter->frees_all)
            scenario_fail(run->result, SCENARIO_WRONG, "the server ended and left %zu bytes",
                          bytes);
    }
}

static void quiet_part(struct run *run)
{
    run->quiet = true;
    sim_set_rates(run->sim, &none);
    sim_set_disk_bytes_max(run->sim, 0);
    sim_cancel(run->sim, &run->adversary);
    sim_cancel(run->sim, &run->supervise);
    sim_node_crash_at(run->node, SIM_CRASH_KILL, 0);
    crash_now(run, choose_crash(run));
    start_server(run);
    if (!wait_for(run, &run->started, "the server's start"))
        return;
    begin_phase(run, ITEMS_STOP);
    if (!wait_for(run, phase_done(run), "the last answers") || !read_everything(run))
        return;
    if (run->expires) {
        expiring_finish(&run->expiring);
        if (!wait_for(run, &run->expiring.done, "expired items to go"))
            return;
    }
    if (run->holds) {
        held_finish(&run->held);
        if (!wait_for(run, &run->held.done, "an index that has little capacity to catch up"))
            return;
        sim_trace(run->sim, "held: %u writes, throttled %u by the table, %u by the index",
                  run->held.write_count, run->held.throttled[0], run->held.throttled[1]);
    }
    stop_server(run);
    if (failed(run) || run->found_out)
        return;
    start_server(run);
    if (!wait_for(run, &run->started, "the server's second start") || !read_everything(run))
        return;
    delete_tables(run);
    if (!failed(run))
        stop_server(run);
}

static void judge(struct run *run, const struct scenario_settings *settings)
{
    struct scenario_result *result = run->result;
    struct history *history = &run->items.history;
    if (run->transacts) {
        if (result->verdict == SCENARIO_PASSED && !serial_check(&run->transact.serial))
            scenario_fail(result, SCENARIO_WRONG, "%s", violation(run));
        return;
    }
    if (result->verdict == SCENARIO_PASSED && !history_check(history))
        scenario_fail(result, SCENARIO_WRONG, "%s", history->violation);
    unsigned key;
    if (result->verdict == SCENARIO_WRONG && settings->report != NULL &&
        sscanf(result->what, "key %u", &key) == 1)
        history_print(history, key, settings->report);
}

/* Caches and logs that are much too small show what large ones hide. */
static struct server_settings choose_settings(struct prng *prng)
{
    struct server_settings settings = {.port = PORT, .data = "data"};
    settings.on_demand_partitions = 1 + (uint32_t)prng_below(prng, 4);
    settings.ttl_sweep_ns = (1 + prng_below(prng, EXPIRING_INTERVAL_MAX)) * SECOND;
    if (prng_one_in(prng, 2))
        settings.cache_bytes = UINT64_C(2097152) << prng_below(prng, 3);
    if (!prng_one_in(prng, 4))
        settings.checkpoint_bytes = UINT64_C(16384) << prng_below(prng, 9);
    return settings;
}

static void run_clients(const struct server_adapter *adapter, enum single_node_damage damage,
                        bool transacts, const struct scenario_settings *settings,
                        struct scenario_result *result)
{
    struct sim_options options = sim_options_from_seed(settings->seed);
    options.bugs = settings->bugs;
    options.trace = settings->trace;
    options.trace_sink = settings->trace_sink;
    struct sim *sim = sim_create(&options);
    struct run run = {.sim = sim, .adapter = adapter, .damage = damage, .result = result};
    *result = (struct scenario_result){.verdict = SCENARIO_PASSED};
    heap_init(&run.heap, true);
    run.node = sim_node_create(sim, "server");
    run.settings = choose_settings(sim_prng(sim));
    run.supervise.run = supervise;
    run.adversary.run = adversary;
    run.transacts = transacts;
    if (transacts) {
        transact_init(&run.transact, sim, &run.heap, run.node, PORT);
    } else {
        struct items_options items = items_options_from_seed(sim_prng(sim), PORT);
        items.batches = items.global_indexes = adapter->batches;
        items.streams = items.streams && adapter->streams;
        items.may_fail = damage == DAMAGE_FATAL;
        items_init(&run.items, sim, &run.heap, run.node, &items);
        run.expires = adapter->expires && damage != DAMAGE_FATAL && prng_one_in(sim_prng(sim), 2);
        run.holds = adapter->throttles && damage != DAMAGE_FATAL && prng_one_in(sim_prng(sim), 2);
    }
    if (run.expires)
        expiring_init(&run.expiring, sim, &run.heap, run.node, PORT, &run.items.history);
    if (run.holds)
        held_init(&run.held, sim, &run.heap, run.node, PORT, &run.items.history);
    choose_adversary(&run);
    start_server(&run);
    sim_schedule(sim, &run.supervise, SECOND / 10);
    sim_schedule(sim, &run.adversary, run.crash_ns);
    rough_part(&run);
    if (!failed(&run) && !run.found_out)
        quiet_part(&run);
    judge(&run, settings);
    result->operations = requests(&run);
    result->undecided = transacts ? 0 : run.items.history.undecided;
    scenario_finish(result, sim);
    if (run.expires)
        expiring_release(&run.expiring);
    if (run.holds)
        held_release(&run.held);
    if (transacts)
        transact_release(&run.transact);
    else
        items_release(&run.items);
    sim_free(sim);
    heap_drop(&run.heap);
}

void single_node_run(const struct server_adapter *adapter, enum single_node_damage damage,
                     const struct scenario_settings *settings, struct scenario_result *result)
{
    run_clients(adapter, damage, false, settings, result);
}

static void run_transactions(const struct scenario_settings *settings,
                             struct scenario_result *result)
{
    run_clients(&trine_adapter, DAMAGE_SURVIVABLE, true, settings, result);
}

const struct scenario scenario_transactions = {
    .name = "transactions",
    .text = "the same with clients of transactions, whose histories must be serializable",
    .run = run_transactions,
};

static void run_trine(const struct scenario_settings *settings, struct scenario_result *result)
{
    single_node_run(&trine_adapter, DAMAGE_SURVIVABLE, settings, result);
}

const struct scenario scenario_single_node = {
    .name = "single_node",
    .text = "the whole server, HTTP bytes in and out, through crashes and a bad disk",
    .run = run_trine,
};

static void run_damage(const struct scenario_settings *settings, struct scenario_result *result)
{
    single_node_run(&trine_adapter, DAMAGE_FATAL, settings, result);
}

const struct scenario scenario_damage = {
    .name = "damage",
    .text =
        "the same on a disk that flips bits, loses and misplaces writes: it may refuse, not lie",
    .run = run_damage,
};

static void run_toy(const struct scenario_settings *settings, struct scenario_result *result)
{
    single_node_run(&toy_adapter, DAMAGE_SURVIVABLE, settings, result);
}

const struct scenario scenario_toy = {
    .name = "toy",
    .text = "the harness's own small server through crashes: tests the harness",
    .run = run_toy,
};
