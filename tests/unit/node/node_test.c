/* A node on a simulated machine: what a write answers, what a read sees, what bounds do, what is
 * left after errors. */
#include "node_fixture.h"

#include "node/node_private.h" /* white box: the HLC of a replica, and the bound of its overlay */

/* ---- One item ---- */

static void one_item_body(struct context *ctx, struct fixture *f)
{
    struct bytes key = BYTES("key");
    uint64_t n;
    CHECK(f, get(ctx, f, GROUP, key, &n) == STATUS_OK && n == 0);
    CHECK(f, put(ctx, f, GROUP, key, 5, 0) == STATUS_OK);
    CHECK(f, get(ctx, f, GROUP, key, &n) == STATUS_OK && n == 5);
    struct write_request add = {.kind = WRITE_UPDATE,
                                .item = make_item(ctx, key, 0, 0),
                                .update = compile(ctx, EXPR_UPDATE, "ADD n :v", 3),
                                .return_values = RETURN_ALL_NEW};
    struct write_result result = {0};
    struct error error = {0};
    CHECK(f, send_write(ctx, f, GROUP, key, &add, &result, &error) == STATUS_OK);
    CHECK(f, item_number(result.attributes) == 8);
    add.condition = compile(ctx, EXPR_CONDITION, "n = :v", 7);
    add.return_on_failure = true;
    CHECK(f, send_write(ctx, f, GROUP, key, &add, &result, &error) == STATUS_CONDITION_FAILED);
    CHECK(f, error.code == ERROR_CONDITION_FAILED && item_number(error.item) == 8);
    CHECK(f, remove_item(ctx, f, GROUP, key) == STATUS_OK);
    CHECK(f, get(ctx, f, GROUP, key, &n) == STATUS_OK && n == 0);
    uint64_t proposals = node_stats(f->node)->proposals;
    CHECK(f, remove_item(ctx, f, GROUP, key) == STATUS_OK); /* changes nothing */
    CHECK(f, node_stats(f->node)->proposals == proposals);
    CHECK(f, get(ctx, f, GROUP + 1, key, &n) == STATUS_MOVED);
    CHECK(f, put(ctx, f, GROUP + 1, key, 1, 0) == STATUS_MOVED);
}

static void writes_conditions_and_reads(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(1);
    assert_true(fixture_run(f, one_item_body));
    fixture_close(f);
    fixture_free(f);
}

/* ---- Many flows on one key ---- */

#define FLOWS 24u

struct flow {
    struct fixture *f;
    uint64_t id;
    enum status status;
    uint32_t *running;
};

static void run_flows(struct fixture *f, void (*run)(struct context *, void *))
{
    struct flow flows[FLOWS];
    uint32_t running = 0;
    for (uint32_t i = 0; i < FLOWS; i++) {
        struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
        flows[i] = (struct flow){.f = f, .id = i, .running = &running};
        running++;
        assert_int_equal(fiber_spawn(sim_node_env(f->machine), &options, run, &flows[i]),
                         STATUS_OK);
    }
    uint64_t until_ns = sim_now_ns(f->sim) + 600 * SECOND;
    while (running > 0) {
        if (!sim_step(f->sim) || sim_now_ns(f->sim) > until_ns)
            fail_msg("%u flows wait for ever\n%s", running, f->log_text);
    }
    uint32_t ok = 0;
    for (uint32_t i = 0; i < FLOWS; i++)
        ok += flows[i].status == STATUS_OK ? 1 : 0;
    f->status = (enum status)ok;
    fixture_check(f);
}

static void claim_run(struct context *ctx, void *argument)
{
    struct flow *flow = argument;
    struct write_request request = {
        .kind = WRITE_PUT,
        .item = make_item(ctx, BYTES("one"), flow->id + 1, 100),
        .condition = compile(ctx, EXPR_CONDITION, "attribute_not_exists(n) OR n = :v", 0)};
    struct write_result result;
    struct error error;
    flow->status = send_write(ctx, flow->f, GROUP, BYTES("one"), &request, &result, &error);
    uint64_t n;
    CHECK(flow->f, flow->status == STATUS_OK || flow->status == STATUS_CONDITION_FAILED);
    /* Who was refused was refused by an item that a reader sees. */
    CHECK(flow->f, get(ctx, flow->f, GROUP, BYTES("one"), &n) == STATUS_OK && n > 0);
    (*flow->running)--;
}

static void add_run(struct context *ctx, void *argument)
{
    struct flow *flow = argument;
    for (int i = 0; i < 20; i++) {
        struct write_request request = {.kind = WRITE_UPDATE,
                                        .item = make_item(ctx, BYTES("sum"), 0, 0),
                                        .update = compile(ctx, EXPR_UPDATE, "ADD n :v", 1)};
        struct write_result result;
        struct error error;
        flow->status = send_write(ctx, flow->f, GROUP, BYTES("sum"), &request, &result, &error);
        CHECK(flow->f, flow->status == STATUS_OK);
    }
    (*flow->running)--;
}

static void sum_body(struct context *ctx, struct fixture *f)
{
    uint64_t n;
    CHECK(f, get(ctx, f, GROUP, BYTES("sum"), &n) == STATUS_OK && n == 20 * FLOWS);
}

static void one_flow_wins_a_condition_and_no_update_is_lost(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct fixture *f = fixture_create_open(seed);
        run_flows(f, claim_run);
        assert_int_equal(f->status, 1);
        run_flows(f, add_run);
        assert_true(fixture_run(f, sum_body));
        fixture_close(f);
        fixture_free(f);
    }
}

/* ---- The clock goes back over a restart ---- */

static uint64_t wall_in_1970(struct env *env)
{
    (void)env;
    return 1000;
}

static void hlc_body(struct context *ctx, struct fixture *f)
{
    char name[24];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "key %d", i);
        CHECK(f, put(ctx, f, GROUP, bytes_of_text(name), 1, 10) == STATUS_OK);
    }
}

static void hlc_grows_over_a_restart_with_the_clock_set_back(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(3);
    assert_true(fixture_run(f, hlc_body));
    struct replica *replica = node_replica(f->node, GROUP);
    uint64_t hlc = replica->hlc;
    struct ballot ballot = replica->paxos.ballot;
    fixture_close(f); /* the log keeps no entry */
    fixture_crash(f, SIM_CRASH_POWER);
    static struct env_ops ops;
    ops = *sim_node_env(f->machine)->ops;
    ops.wall_ns = wall_in_1970;
    sim_node_env(f->machine)->ops = &ops;
    fixture_open(f);
    replica = node_replica(f->node, GROUP);
    assert_true(replica->hlc >= hlc);
    assert_true(ballot_equal(replica->recovered_last_ballot, ballot));
    assert_true(ballot_compare(replica->paxos.ballot, ballot) > 0);
    assert_true(fixture_run(f, hlc_body));
    assert_true(replica->hlc == hlc + 20);
    fixture_close(f);
    fixture_free(f);
}

/* ---- Removal ---- */

static void reader_run(struct context *ctx, void *argument)
{
    struct flow *flow = argument;
    char name[24];
    uint64_t n;
    for (uint64_t i = 0; flow->status == STATUS_OK; i++) {
        snprintf(name, sizeof(name), "key %u", (unsigned)(i % 40));
        if (flow->id % 2 == 0)
            flow->status = put(ctx, flow->f, GROUP, bytes_of_text(name), i + 1, 3000);
        else
            flow->status = get(ctx, flow->f, GROUP, bytes_of_text(name), &n);
        CHECK(flow->f, context_sleep(ctx, 1000000) == STATUS_OK);
        arena_reset(&ctx->arena);
    }
    CHECK(flow->f, flow->status == STATUS_MOVED || flow->status == STATUS_UNKNOWN_OUTCOME);
    (*flow->running)--;
}

static void remove_run(struct context *ctx, void *argument)
{
    struct flow *flow = argument;
    if (flow->id > 1) {
        flow->status = STATUS_OK;
        reader_run(ctx, argument);
        return;
    }
    CHECK(flow->f, context_sleep(ctx, SECOND / 2) == STATUS_OK);
    flow->status = flow->f->service->remove_replica(ctx, flow->f->service, GROUP);
    CHECK(flow->f, flow->status == STATUS_OK || flow->status == STATUS_BUSY);
    (*flow->running)--;
}

static void recreate_body(struct context *ctx, struct fixture *f)
{
    uint64_t n;
    CHECK(f, get(ctx, f, GROUP, BYTES("key 1"), &n) == STATUS_MOVED);
    CHECK(f, f->service->remove_replica(ctx, f->service, GROUP) == STATUS_OK); /* again: nothing */
    CHECK(f, create_replica(ctx, f, GROUP) == STATUS_OK);
    CHECK(f, create_replica(ctx, f, GROUP) == STATUS_OK);
    CHECK(f, get(ctx, f, GROUP, BYTES("key 1"), &n) == STATUS_OK && n == 0);
    CHECK(f, put(ctx, f, GROUP, BYTES("key 1"), 77, 0) == STATUS_OK);
}

static void after_recreation_body(struct context *ctx, struct fixture *f)
{
    uint64_t n;
    CHECK(f, get(ctx, f, GROUP, BYTES("key 1"), &n) == STATUS_OK && n == 77);
    CHECK(f, get(ctx, f, GROUP, BYTES("key 2"), &n) == STATUS_OK && n == 0);
    struct replica_size size;
    f->service->size(f->service, GROUP, &size);
    CHECK(f, size.items.count == 1 && size.items.bytes > 0);
}

static void a_replica_is_removed_under_calls_and_made_anew(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct fixture *f = fixture_create_open(seed);
        run_flows(f, remove_run);
        assert_int_equal(f->status, 1); /* one of the two that removed it */
        assert_true(fixture_run(f, recreate_body));
        fixture_crash(f, seed % 2 == 0 ? SIM_CRASH_POWER : SIM_CRASH_KILL);
        fixture_open(f);
        fixture_close(f);
        fixture_open(f);
        assert_true(fixture_run(f, after_recreation_body));
        fixture_close(f);
        fixture_free(f);
    }
}

/* A long-lived replica's configuration was carried forward past its older entries; then it is
 * removed: the log begins in the middle of what it once was. */
static void fill_body(struct context *ctx, struct fixture *f)
{
    char name[24];
    for (uint64_t i = 0; i < 1500; i++) {
        snprintf(name, sizeof(name), "key %u", (unsigned)(i % 20));
        CHECK(f, put(ctx, f, i % 10 == 0 ? GROUP : GROUP + 1, bytes_of_text(name), i + 1, 2000) ==
                     STATUS_OK);
        arena_reset(&ctx->arena);
    }
    CHECK(f, f->service->remove_replica(ctx, f->service, GROUP) == STATUS_OK);
    for (uint64_t i = 0; i < 100; i++) {
        CHECK(f, put(ctx, f, GROUP + 1, BYTES("last"), i + 1, 2000) == STATUS_OK);
        arena_reset(&ctx->arena);
    }
}

static void create_second_body(struct context *ctx, struct fixture *f)
{
    f->status = create_replica(ctx, f, GROUP + 1);
}

static void last_body(struct context *ctx, struct fixture *f)
{
    uint64_t n;
    CHECK(f, get(ctx, f, GROUP + 1, BYTES("last"), &n) == STATUS_OK && n == 100);
    CHECK(f, get(ctx, f, GROUP, BYTES("key 1"), &n) == STATUS_MOVED);
}

static void a_removed_replica_does_not_hinder_a_start(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct fixture *f = fixture_create_open(seed);
        assert_true(fixture_run(f, create_second_body));
        assert_true(fixture_run(f, fill_body));
        assert_true(node_forest_stats(f->node).checkpoints > 2);
        fixture_crash(f, SIM_CRASH_KILL);
        fixture_open(f);
        assert_true(fixture_run(f, last_body));
        fixture_close(f);
        fixture_free(f);
    }
}

/* ---- A disk that is full, or fails ---- */

static void written_body(struct context *ctx, struct fixture *f)
{
    uint64_t n;
    CHECK(f, get(ctx, f, GROUP, BYTES("a"), &n) == STATUS_OK && n == 1);
}

static void put_a_body(struct context *ctx, struct fixture *f)
{
    CHECK(f, put(ctx, f, GROUP, BYTES("a"), 1, 0) == STATUS_OK);
}

/* Write until it is refused; what was refused at once has not happened. */
static void until_refused_body(struct context *ctx, struct fixture *f)
{
    ctx->deadline_ns = env_now_ns(ctx->env) + 20 * SECOND;
    f->status = STATUS_OK;
    for (uint64_t i = 0; f->status == STATUS_OK && i < 3000; i++) {
        f->status = put(ctx, f, GROUP, BYTES("b"), i + 1, 4000);
        arena_reset(&ctx->arena);
    }
}

static void refused_body(struct context *ctx, struct fixture *f)
{
    ctx->deadline_ns = env_now_ns(ctx->env) + SECOND;
    f->status = put(ctx, f, GROUP, BYTES("c"), 1, 0);
}

static void resumed_body(struct context *ctx, struct fixture *f)
{
    enum status status = STATUS_NO_SPACE;
    for (int i = 0; i < 100 && status == STATUS_NO_SPACE; i++) {
        CHECK(f, context_sleep(ctx, SECOND) == STATUS_OK);
        status = put(ctx, f, GROUP, BYTES("d"), 9, 0);
    }
    CHECK(f, status == STATUS_OK);
}

static void a_full_disk_refuses_and_resumes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct fixture *f = fixture_create_open(seed);
        assert_true(fixture_run(f, put_a_body));
        struct sim_rates rates = {.no_space = 1};
        sim_set_rates(f->sim, &rates);
        assert_true(fixture_run(f, until_refused_body));
        assert_true(f->status == STATUS_NO_SPACE || f->status == STATUS_UNKNOWN_OUTCOME);
        assert_int_equal(node_writable(f->node), STATUS_NO_SPACE);
        assert_true(fixture_run(f, refused_body));
        assert_int_equal(f->status, STATUS_NO_SPACE);
        assert_true(fixture_run(f, written_body)); /* reads go on */
        sim_set_rates(f->sim, &(struct sim_rates){0});
        assert_true(fixture_run(f, resumed_body));
        assert_int_equal(node_writable(f->node), STATUS_OK);
        fixture_close(f);
        fixture_open(f);
        assert_true(fixture_run(f, written_body));
        fixture_close(f);
        fixture_free(f);
    }
}

static void a_failed_log_ends_writes_and_not_reads(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(5);
    assert_true(fixture_run(f, put_a_body));
    struct sim_rates rates = {.sync_error = 1};
    sim_set_rates(f->sim, &rates);
    assert_true(fixture_run(f, until_refused_body));
    assert_int_equal(f->status, STATUS_UNKNOWN_OUTCOME);
    assert_int_equal(node_writable(f->node), STATUS_IO);
    assert_true(fixture_run(f, refused_body));
    assert_int_equal(f->status, STATUS_UNAVAILABLE);
    assert_true(fixture_run(f, written_body)); /* what is committed stays readable */
    assert_true(fixture_run(f, close_body));   /* ends, whatever its status */
    assert_true(f->status != STATUS_OK);
    sim_set_rates(f->sim, &(struct sim_rates){0});
    fixture_open(f);
    assert_true(fixture_run(f, written_body));
    fixture_close(f);
    fixture_free(f);
}

/* The tree cannot grow, the log can: writes go on until the overlay is full.  Then a stop
 * must end. */
static void a_stop_ends_though_nothing_can_be_applied(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(6);
    assert_true(fixture_run(f, put_a_body));
    struct sim_rates rates = {.no_space = 1};
    sim_set_rates(f->sim, &rates);
    assert_true(fixture_run(f, until_refused_body));
    assert_true(fixture_run(f, close_body));
    sim_set_rates(f->sim, &(struct sim_rates){0});
    fixture_open(f);
    assert_true(fixture_run(f, written_body));
    fixture_close(f);
    fixture_free(f);
}

/* ---- The log's length, and idleness ---- */

/* One small record at a time: each takes a block of the log. */
static void small_writes_body(struct context *ctx, struct fixture *f)
{
    for (uint64_t i = 0; i < 3000; i++) {
        CHECK(f, put(ctx, f, GROUP, BYTES("k"), i + 1, 0) == STATUS_OK);
        arena_reset(&ctx->arena);
    }
}

static void checkpoints_follow_what_the_log_takes_on_disk(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(8);
    uint64_t before_ns = sim_now_ns(f->sim);
    assert_true(fixture_run(f, small_writes_body));
    assert_true(sim_now_ns(f->sim) - before_ns < 60 * SECOND); /* not by time */
    /* 3,000 blocks of 4 KiB are 46 times checkpoint_bytes. */
    assert_true(node_forest_stats(f->node).checkpoints > 20);
    assert_true(node_wal_stats(f->node)->live_bytes <= 8u << 20);
    assert_int_equal(node_wal_stats(f->node)->refused, 0);
    fixture_close(f);
    fixture_free(f);
}

static void an_idle_node_stays_idle(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(9);
    assert_true(fixture_run(f, put_a_body));
    sim_run_until(f->sim, sim_now_ns(f->sim) + 200 * SECOND);
    uint64_t checkpoints = node_forest_stats(f->node).checkpoints;
    uint64_t changes = sim_node_changes(f->machine);
    assert_true(checkpoints > 0);
    sim_run_until(f->sim, sim_now_ns(f->sim) + 3600 * SECOND);
    assert_int_equal(node_forest_stats(f->node).checkpoints, checkpoints);
    assert_int_equal(sim_node_changes(f->machine), changes);
    fixture_close(f);
    fixture_free(f);
}

/* ---- The overlay's bound ---- */

static void large_run(struct context *ctx, void *argument)
{
    struct flow *flow = argument;
    char name[24];
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof(name), "%u-%d", (unsigned)flow->id, i % 3);
        flow->status =
            put(ctx, flow->f, GROUP, bytes_of_text(name), flow->id * 100 + (unsigned)i, 300000);
        CHECK(flow->f, flow->status == STATUS_OK);
        uint64_t bytes = node_stats(flow->f->node)->overlay_bytes;
        CHECK(flow->f, bytes < REPLICA_OVERLAY_BYTES_MAX + 400000);
        arena_reset(&ctx->arena);
    }
    (*flow->running)--;
}

static void the_overlay_is_bounded(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(10);
    run_flows(f, large_run);
    assert_int_equal(f->status, FLOWS);
    fixture_close(f);
    fixture_free(f);
}

/* ---- No memory ---- */

static void starved_open_body(struct context *ctx, struct fixture *f)
{
    f->status = node_open(ctx, &f->options, &f->node);
    f->starved_left = ctx->env->heap->fail_after; /* more than the start allocates */
    ctx->env->heap->fail_after = 0;
    if (f->status != STATUS_OK)
        return;
    f->service = node_service(f->node);
    CHECK(f, node_close(ctx, f->node) == STATUS_OK);
    f->node = NULL;
}

/* Each allocation of a start fails in turn: an error or a start, and nothing is left. */
static void a_start_without_memory_leaves_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(11);
    assert_true(fixture_run(f, put_a_body));
    fixture_crash(f, SIM_CRASH_KILL);
    bool opened = false;
    for (uint64_t n = 1; !opened; n += 1 + n / 10) {
        struct env *env = sim_node_env(f->machine);
        env->heap->fail_after = n;
        assert_true(fixture_run(f, starved_open_body));
        opened = f->starved_left > 0;
        if (f->status != STATUS_OK && f->status != STATUS_NO_MEMORY &&
            f->status != STATUS_UNAVAILABLE)
            fail_msg("allocation %u: %s\n%s", (unsigned)n, status_name(f->status), f->log_text);
        fiber_pool_close(env);
        assert_int_equal(sim_node_stop(f->machine), 0);
        fixture_start(f);
    }
    fixture_open(f);
    assert_true(fixture_run(f, written_body));
    fixture_close(f);
    fixture_free(f);
}

static enum status drop_item(struct item_sink *sink, struct value item)
{
    (void)sink;
    (void)item;
    return STATUS_OK;
}

static void starved_calls_body(struct context *ctx, struct fixture *f)
{
    struct heap *heap = ctx->env->heap;
    for (uint64_t n = 1; n < 12; n++) {
        uint64_t number;
        struct write_request add = {.kind = WRITE_UPDATE,
                                    .item = make_item(ctx, BYTES("m"), 0, 0),
                                    .update = compile(ctx, EXPR_UPDATE, "ADD n :v", 1),
                                    .return_values = RETURN_UPDATED_NEW};
        struct write_result result = {0};
        struct error error = {0};
        CHECK(f, get(ctx, f, GROUP, BYTES("m"), &number) == STATUS_OK);
        heap->fail_after = n;
        enum status status = send_write(ctx, f, GROUP, BYTES("m"), &add, &result, &error);
        heap->fail_after = 0;
        uint64_t after;
        CHECK(f, get(ctx, f, GROUP, BYTES("m"), &after) == STATUS_OK);
        CHECK(f, status == STATUS_OK ? after == number + 1 : after == number);
        CHECK(f, status == STATUS_OK || status == STATUS_NO_MEMORY);
        struct replica_target target = target_of(GROUP);
        struct replica_range range = {.bytes_max = PAGE_BYTES_MAX};
        struct replica_range_result found = {0};
        struct item_sink sink = {.take = drop_item};
        heap->fail_after = n;
        status = f->service->range(ctx, f->service, &target, &range, &sink, &found);
        heap->fail_after = 0;
        CHECK(f, status == STATUS_OK || status == STATUS_NO_MEMORY);
        arena_reset(&ctx->arena);
    }
}

static void calls_without_memory_change_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(12);
    assert_true(fixture_run(f, put_a_body));
    assert_true(fixture_run(f, starved_calls_body));
    fixture_close(f);
    fixture_free(f);
}

/* ---- A long walk lets others have their turn ---- */

#define LONG_VERSIONS 40000

struct turns {
    bool stop;
    uint32_t count;
};

static void count_turns(struct context *ctx, void *argument)
{
    for (struct turns *turns = argument; !turns->stop; turns->count++)
        context_yield(ctx);
}

struct ordered_sink {
    struct item_sink sink;
    uint64_t last;
    uint32_t count;
    bool wrong;
};

static enum status take_in_order(struct item_sink *sink, struct value item)
{
    struct ordered_sink *ordered = CONTAINER_OF(sink, struct ordered_sink, sink);
    uint64_t number = item_number(item);
    ordered->wrong |= number <= ordered->last;
    ordered->last = number;
    ordered->count++;
    return STATUS_OK;
}

/* A version for each key between "b" and "c", every second a deletion, that stays in
 * the overlay. */
static struct version *insert_versions(struct context *ctx, struct replica *replica)
{
    struct version *versions = calloc(LONG_VERSIONS, sizeof(*versions));
    for (uint32_t i = 0; i < LONG_VERSIONS; i++) {
        versions[i] = (struct version){.slot = replica->commit_slot};
        versions[i].key = arena_format(&ctx->arena, "b%06u", i);
        if (i % 2 == 0) {
            struct value item = make_item(ctx, versions[i].key, i + 2, 0);
            struct row row = {.version = replica->commit_slot, .item = item};
            uint8_t *at = arena_alloc(&ctx->arena, ROW_HEADER_BYTES + item.bytes);
            row_header_write(at, &row);
            memcpy(at + ROW_HEADER_BYTES, item.at, item.bytes);
            versions[i].row = bytes_of(at, ROW_HEADER_BYTES + item.bytes);
        }
        overlay_insert(&replica->overlay, &versions[i]);
    }
    return versions;
}

static void walk_all(struct context *ctx, struct fixture *f, struct ordered_sink *sink)
{
    struct replica_target target = target_of(GROUP);
    struct replica_range range = {.bytes_max = PAGE_BYTES_MAX};
    struct replica_range_result found = {0};
    *sink = (struct ordered_sink){.sink = {.take = take_in_order}};
    CHECK(f, f->service->range(ctx, f->service, &target, &range, &sink->sink, &found) == STATUS_OK);
    CHECK(f, !sink->wrong);
}

static void long_walk_body(struct context *ctx, struct fixture *f)
{
    struct replica *replica = node_replica(f->node, GROUP);
    CHECK(f, put(ctx, f, GROUP, BYTES("z"), LONG_VERSIONS + 1, 0) == STATUS_OK);
    while (replica->applied_slot < replica->commit_slot)
        context_yield(ctx);
    struct version *versions = insert_versions(ctx, replica);
    struct turns turns = {0};
    struct fiber_options options = {.arena_bytes_max = 4096, .deadline_ns = UINT64_MAX};
    CHECK(f, fiber_spawn(ctx->env, &options, count_turns, &turns) == STATUS_OK);
    struct ordered_sink sink;
    walk_all(ctx, f, &sink);
    CHECK(f, turns.count >= 6);
    CHECK(f, sink.count == LONG_VERSIONS / 2 + 1);
    CHECK(f, sink.last == LONG_VERSIONS + 1);
    turns.stop = true;
    context_yield(ctx);
    for (uint32_t i = 0; i < LONG_VERSIONS; i++)
        overlay_remove(&replica->overlay, &versions[i]);
    free(versions);
}

static void a_long_walk_lets_others_run(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(13);
    assert_true(fixture_run(f, long_walk_body));
    fixture_close(f);
    fixture_free(f);
}

/* What another fiber's turn applies: the version goes from the overlay into the tree. */
struct applied {
    struct replica *replica;
    struct version *version;
    enum status status;
};

static void apply_one(struct context *ctx, void *argument)
{
    struct applied *applied = argument;
    struct tree *tree = applied->replica->tree;
    struct tree_mutation put = {
        .kind = TREE_PUT, .key = applied->version->key, .value = applied->version->row};
    context_yield(ctx);
    applied->status = tree_apply(ctx, tree, &put, 1, tree_row(tree).applied + 1);
    overlay_remove(&applied->replica->overlay, applied->version);
}

/* The walk has reached the end of the tree when the last item goes there from the overlay. */
static void applied_meanwhile_body(struct context *ctx, struct fixture *f)
{
    struct replica *replica = node_replica(f->node, GROUP);
    CHECK(f, put(ctx, f, GROUP, BYTES("a"), 1, 0) == STATUS_OK);
    while (replica->applied_slot < replica->commit_slot)
        context_yield(ctx);
    struct version *versions = insert_versions(ctx, replica);
    struct applied last = {replica, &versions[LONG_VERSIONS - 2], STATUS_END};
    struct fiber_options options = {.arena_bytes_max = 1u << 20, .deadline_ns = UINT64_MAX};
    CHECK(f, fiber_spawn(ctx->env, &options, apply_one, &last) == STATUS_OK);
    struct ordered_sink sink;
    walk_all(ctx, f, &sink);
    CHECK(f, last.status == STATUS_OK);
    CHECK(f, sink.count == LONG_VERSIONS / 2 + 1);
    for (uint32_t i = 0; i < LONG_VERSIONS; i++)
        if (&versions[i] != last.version)
            overlay_remove(&replica->overlay, &versions[i]);
    free(versions);
}

static void a_walk_sees_what_is_applied_meanwhile(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(23);
    assert_true(fixture_run(f, applied_meanwhile_body));
    fixture_close(f);
    fixture_free(f);
}

/* Write a second row of the group into the tree file, as only damage or an enemy would. */
static void second_row_body(struct context *ctx, struct fixture *f)
{
    struct forest_options options = {.path = "data/tree", .node_id = f->options.node_id};
    struct forest *forest;
    CHECK(f, forest_open(ctx, &options, &forest) == STATUS_OK);
    struct forest_row row;
    CHECK(f, forest_rows(forest, (struct replica_id){0}, &row) && row.replica.group == GROUP);
    struct replica_id other = {.group = GROUP, .node = f->options.node_id + 1};
    struct tree *tree;
    CHECK(f, tree_create(forest, other, row.blob, &tree) == STATUS_OK);
    CHECK(f, forest_close(ctx, forest, forest_recovered(forest).log_from) == STATUS_OK);
}

static void two_trees_of_one_group_are_damage(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(19);
    fixture_close(f);
    assert_true(fixture_run(f, second_row_body));
    assert_true(fixture_run(f, open_body));
    assert_int_equal(f->status, STATUS_CORRUPT);
    assert_non_null(strstr(f->log_text, "two trees of group 7"));
    fixture_free(f);
}

/* ---- A disk that fails for a second, while the log is applied to a small cache ---- */

struct bad_second {
    struct sim_event begin, end;
    struct sim *sim;
};

static void bad_begin(struct sim_event *event)
{
    struct bad_second *bad = CONTAINER_OF(event, struct bad_second, begin);
    sim_set_rates(bad->sim, &(struct sim_rates){.write_error = 1});
    sim_schedule(bad->sim, &bad->end, SECOND);
}

static void bad_end(struct sim_event *event)
{
    struct bad_second *bad = CONTAINER_OF(event, struct bad_second, end);
    sim_set_rates(bad->sim, &(struct sim_rates){0});
}

static void pages_body(struct context *ctx, struct fixture *f)
{
    for (unsigned i = 0; i < 600; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%04u", i);
        CHECK(f, put(ctx, f, GROUP, bytes_of_text(key), i + 1, 8000) == STATUS_OK);
        arena_reset(&ctx->arena);
    }
}

static void pages_read_body(struct context *ctx, struct fixture *f)
{
    for (unsigned i = 0; i < 600; i++) {
        char key[16];
        uint64_t number;
        snprintf(key, sizeof(key), "%04u", i);
        CHECK(f, get(ctx, f, GROUP, bytes_of_text(key), &number) == STATUS_OK && number == i + 1);
        arena_reset(&ctx->arena);
    }
}

static void a_start_goes_on_after_checkpoints_that_failed(void **state)
{
    (void)state;
    unsigned started = 0;
    for (uint64_t at = 1; at <= 30; at++) {
        struct fixture *f = fixture_create(700 + at);
        f->options.cache_bytes = UINT64_C(64) << 20;
        f->options.checkpoint_bytes = UINT64_C(64) << 20;
        fixture_open(f);
        assert_true(fixture_run(f, create_body));
        assert_true(fixture_run(f, pages_body));
        fixture_crash(f, SIM_CRASH_KILL);
        f->options.cache_bytes = FOREST_CACHE_BYTES_MIN;
        struct bad_second bad = {.begin.run = bad_begin, .end.run = bad_end, .sim = f->sim};
        sim_schedule(f->sim, &bad.begin, at * 2000000);
        assert_true(fixture_run(f, open_body));
        bool opened = f->status == STATUS_OK;
        started += opened && sim_fault_count(f->sim, SIM_FAULT_WRITE_ERROR) > 0 ? 1 : 0;
        sim_run_until(f->sim, sim_now_ns(f->sim) + 2 * SECOND);
        if (!opened)
            fixture_open(f);
        fixture_close(f);
        fixture_free(f);
    }
    assert_true(started > 0);
}

/* Machines whose checkpoints fail leave a log of many intervals. */
static void a_start_takes_a_log_of_many_intervals(void **state)
{
    (void)state;
    struct fixture *f = fixture_create(31);
    f->options.cache_bytes = UINT64_C(64) << 20;
    f->options.checkpoint_bytes = UINT64_C(64) << 20;
    fixture_open(f);
    assert_true(fixture_run(f, create_body));
    assert_true(fixture_run(f, pages_body));
    assert_int_equal(node_forest_stats(f->node).checkpoints, 0);
    fixture_crash(f, SIM_CRASH_POWER);
    f->options.cache_bytes = FOREST_CACHE_BYTES_MIN;
    f->options.checkpoint_bytes = 256u << 10;
    fixture_open(f);
    assert_int_equal(node_stats(f->node)->overlay_bytes, 0); /* all is applied, and given back */
    assert_true(node_wal_stats(f->node)->replayed > 600);
    assert_true(node_forest_stats(f->node).checkpoints > 0);
    assert_true(fixture_run(f, pages_read_body));
    fixture_close(f);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_walk_lets_others_run),
        cmocka_unit_test(a_walk_sees_what_is_applied_meanwhile),
        cmocka_unit_test(writes_conditions_and_reads),
        cmocka_unit_test(one_flow_wins_a_condition_and_no_update_is_lost),
        cmocka_unit_test(hlc_grows_over_a_restart_with_the_clock_set_back),
        cmocka_unit_test(a_replica_is_removed_under_calls_and_made_anew),
        cmocka_unit_test(a_removed_replica_does_not_hinder_a_start),
        cmocka_unit_test(a_full_disk_refuses_and_resumes),
        cmocka_unit_test(a_failed_log_ends_writes_and_not_reads),
        cmocka_unit_test(a_stop_ends_though_nothing_can_be_applied),
        cmocka_unit_test(checkpoints_follow_what_the_log_takes_on_disk),
        cmocka_unit_test(an_idle_node_stays_idle),
        cmocka_unit_test(the_overlay_is_bounded),
        cmocka_unit_test(a_start_goes_on_after_checkpoints_that_failed),
        cmocka_unit_test(a_start_takes_a_log_of_many_intervals),
        cmocka_unit_test(two_trees_of_one_group_are_damage),
        cmocka_unit_test(a_start_without_memory_leaves_nothing),
        cmocka_unit_test(calls_without_memory_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
