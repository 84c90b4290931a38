/* node_fixture.h - a whole storage node on a simulated machine, and short ways to write
 * and read. */
#ifndef TESTS_UNIT_NODE_NODE_FIXTURE_H
#define TESTS_UNIT_NODE_NODE_FIXTURE_H

#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>

#include "env/fiber.h"
#include "env/sim/sim_env.h"
#include "node/node.h"

#define SECOND      UINT64_C(1000000000)
#define GROUP       UINT64_C(7)
#define ARENA_BYTES ((size_t)64 << 20)

struct fixture {
    struct sim *sim;
    struct sim_node *machine;
    struct node_options options;
    struct node *node; /* NULL when it is not open, or its machine crashed */
    struct replica_service *service;
    struct log log;
    uint8_t keeps_changes, actor, stream; /* of the writes sent; the stream is 1 */
    enum status status;
    uint64_t starved_left; /* allocations that were still to succeed */
    bool done;
    void (*body)(struct context *ctx, struct fixture *f);
    const char *wrong;   /* the first check that failed on a fiber */
    char log_text[8192]; /* the last lines */
};

/* A failing assertion jumps, which must not leave a fiber's stack: there checks are noted, and
 * asserted when the fiber is done. */
#define CHECK(f, x) ((x) ? (void)0 : (void)((f)->wrong = (f)->wrong == NULL ? #x : (f)->wrong))

static void fixture_line(void *sink, enum log_level level, struct bytes line)
{
    struct fixture *f = sink;
    size_t used = strlen(f->log_text);
    (void)level;
    if (used + line.count + 2 > sizeof(f->log_text))
        f->log_text[used = 0] = '\0';
    if (line.count + 2 > sizeof(f->log_text))
        return;
    memcpy(f->log_text + used, line.at, line.count);
    memcpy(f->log_text + used + line.count, "\n", 2);
}

static void fixture_fiber(struct context *ctx, void *argument)
{
    struct fixture *f = argument;
    f->body(ctx, f);
    f->done = true;
}

static inline void fixture_check(struct fixture *f)
{
    if (f->wrong != NULL)
        fail_msg("%s\n%s", f->wrong, f->log_text);
}

/* Run `body` on a fiber until it ends; false when the machine crashed meanwhile. */
static inline bool fixture_run(struct fixture *f, void (*body)(struct context *, struct fixture *))
{
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    f->done = false;
    f->body = body;
    assert_int_equal(fiber_spawn(sim_node_env(f->machine), &options, fixture_fiber, f), STATUS_OK);
    uint64_t until_ns = sim_now_ns(f->sim) + 3600 * SECOND;
    while (!f->done && sim_node_env(f->machine) != NULL) {
        if (!sim_step(f->sim) || sim_now_ns(f->sim) > until_ns)
            fail_msg("a fiber waits for ever\n%s", f->log_text);
    }
    fixture_check(f);
    return f->done;
}

static inline void fixture_start(struct fixture *f)
{
    struct env *env = sim_node_start(f->machine);
    f->log = (struct log){.level_max = LOG_INFO, .write = fixture_line, .sink = f};
    env->log = &f->log;
    assert_int_equal(fiber_pool_open(env, 256, 256u << 10), STATUS_OK);
}

static void fixture_make_dir(struct env_job *job)
{
    enum status status = env_dir_create(job->env, "data");
    if (status == STATUS_OK)
        status = env_dir_sync(job->env, ".");
    (void)status;
}

static void dir_body(struct context *ctx, struct fixture *f)
{
    struct env_job job = {.lane = ENV_LANE_BACKGROUND, .run = fixture_make_dir};
    list_init(&job.link);
    CHECK(f, context_run_job(ctx, &job) == STATUS_OK);
}

static void open_body(struct context *ctx, struct fixture *f)
{
    f->status = node_open(ctx, &f->options, &f->node);
    f->service = f->status == STATUS_OK ? node_service(f->node) : NULL;
}

static void close_body(struct context *ctx, struct fixture *f)
{
    f->status = node_close(ctx, f->node);
    f->node = NULL;
}

static inline enum status create_replica(struct context *ctx, struct fixture *f, uint64_t group)
{
    struct replica_target target = {.group_id = group, .table_id = 70, .schema_version = 1};
    struct bytes all = {0};
    return f->service->create_replica(ctx, f->service, &target, all, all);
}

static void create_body(struct context *ctx, struct fixture *f)
{
    f->status = create_replica(ctx, f, GROUP);
}

/* A machine with a node and one replica; `options` of the world come from the seed. */
static inline struct fixture *fixture_create(uint64_t seed)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct sim_options options = sim_options_from_seed(seed);
    f->sim = sim_create(&options);
    f->machine = sim_node_create(f->sim, "n1");
    f->options = (struct node_options){.dir = "data",
                                       .node_id = 3,
                                       .cache_bytes = FOREST_CACHE_BYTES_MIN,
                                       .checkpoint_bytes = 256u << 10};
    f->stream = 1;
    fixture_start(f);
    assert_true(fixture_run(f, dir_body));
    return f;
}

static inline void fixture_open(struct fixture *f)
{
    assert_true(fixture_run(f, open_body));
    if (f->status != STATUS_OK)
        fail_msg("the node does not open: %s\n%s", status_name(f->status), f->log_text);
}

static inline struct fixture *fixture_create_open(uint64_t seed)
{
    struct fixture *f = fixture_create(seed);
    fixture_open(f);
    assert_true(fixture_run(f, create_body));
    assert_int_equal(f->status, STATUS_OK);
    return f;
}

static inline void fixture_close(struct fixture *f)
{
    assert_true(fixture_run(f, close_body));
    assert_int_equal(f->status, STATUS_OK);
}

/* The process ends, and another one is started. */
static inline void fixture_crash(struct fixture *f, enum sim_crash crash)
{
    if (sim_node_env(f->machine) != NULL)
        sim_node_crash(f->machine, crash);
    f->node = NULL;
    fixture_start(f);
}

/* The process is killed, loses its power, stops, or goes on. */
static inline void fixture_restart_or_not(struct fixture *f, struct prng *prng)
{
    uint64_t how = prng_below(prng, 4);
    if (how < 2)
        fixture_crash(f, how == 0 ? SIM_CRASH_KILL : SIM_CRASH_POWER);
    else if (how == 2)
        fixture_close(f);
    if (how < 3)
        fixture_open(f);
}

/* Nothing may be left of a node that was closed. */
static inline void fixture_free(struct fixture *f)
{
    if (sim_node_env(f->machine) != NULL && f->node == NULL) {
        fiber_pool_close(sim_node_env(f->machine));
        assert_int_equal(sim_node_stop(f->machine), 0);
    }
    sim_free(f->sim);
    free(f);
}

/* ---- Items: {k: <key>, n: <number>, pad: <bytes>} ---- */

static inline struct value make_item(struct context *ctx, struct bytes key, uint64_t number,
                                     size_t pad)
{
    struct buffer buffer;
    buffer_init(&buffer, ctx->env->heap, ITEM_BYTES_MAX * 2);
    struct value_writer w;
    value_writer_init(&w, &buffer);
    value_write_begin(&w, VALUE_M);
    value_write_name(&w, BYTES("k"));
    value_write_string(&w, key);
    struct number n;
    number_from_u64(number, &n);
    value_write_name(&w, BYTES("n"));
    value_write_number(&w, &n);
    if (pad > 0) {
        uint8_t *bytes = malloc(pad);
        memset(bytes, (int)(number & 0xff), pad);
        value_write_name(&w, BYTES("pad"));
        value_write_binary(&w, bytes_of(bytes, pad));
        free(bytes);
    }
    value_write_end(&w);
    struct value item = VALUE_ABSENT;
    if (value_writer_finish(&w, &item) == STATUS_OK)
        item.at = arena_copy(&ctx->arena, bytes_of(item.at, item.bytes)).at;
    buffer_release(&buffer);
    return item;
}

static inline uint64_t item_number(struct value item)
{
    struct value found;
    struct number number;
    int64_t n = 0;
    if (value_type(item) == VALUE_NONE || !value_find(item, BYTES("n"), &found))
        return 0;
    value_number(found, &number);
    return number_to_i64(&number, &n) == STATUS_OK ? (uint64_t)n : UINT64_MAX;
}

static inline struct expr_program compile(struct context *ctx, enum expr_kind kind,
                                          const char *text, uint64_t value)
{
    struct buffer values;
    buffer_init(&values, ctx->env->heap, 256);
    struct value_writer w;
    value_writer_init(&w, &values);
    value_write_begin(&w, VALUE_M);
    value_write_name(&w, BYTES(":v"));
    struct number number;
    number_from_u64(value, &number);
    value_write_number(&w, &number);
    value_write_end(&w);
    struct expr_scope scope = {.arena = &ctx->arena, .values_given = true};
    struct expr_fault fault;
    struct expr_program program = {0};
    enum status status = value_writer_finish(&w, &scope.values);
    if (status == STATUS_OK)
        status = expr_scope_init(&scope, &ctx->arena, &fault);
    if (status == STATUS_OK)
        status = expr_compile(&scope, kind, bytes_of_text(text), &program, &fault);
    buffer_release(&values);
    return program;
}

static inline struct replica_target target_of(uint64_t group)
{
    return (struct replica_target){.group_id = group, .table_id = 70, .schema_version = 1};
}

static inline enum status send_write(struct context *ctx, struct fixture *f, uint64_t group,
                                     struct bytes key, const struct write_request *request,
                                     struct write_result *result, struct error *error)
{
    struct replica_target target = target_of(group);
    struct replica_write write = {
        .key = key, .key_attributes = request->item, .request = request, .actor = f->actor};
    target.keeps_changes = f->keeps_changes;
    target.stream = f->keeps_changes == KEEP_CHANGES_FOR_STREAM ? f->stream : 0;
    enum status status = STATUS_COUNT;
    f->service->write(ctx, f->service, &target, &write, 1, result, &status, error);
    return status;
}

static inline enum status put(struct context *ctx, struct fixture *f, uint64_t group,
                              struct bytes key, uint64_t number, size_t pad)
{
    struct write_request request = {.kind = WRITE_PUT, .item = make_item(ctx, key, number, pad)};
    struct write_result result;
    struct error error;
    return send_write(ctx, f, group, key, &request, &result, &error);
}

static inline enum status remove_item(struct context *ctx, struct fixture *f, uint64_t group,
                                      struct bytes key)
{
    struct write_request request = {.kind = WRITE_DELETE, .item = make_item(ctx, key, 0, 0)};
    struct write_result result;
    struct error error;
    return send_write(ctx, f, group, key, &request, &result, &error);
}

/* The number in the item at `key`; 0: there is none. */
static inline enum status get(struct context *ctx, struct fixture *f, uint64_t group,
                              struct bytes key, uint64_t *number)
{
    struct replica_target target = target_of(group);
    struct replica_get request = {.key = key, .consistent = true};
    struct get_result result;
    enum status status = f->service->get(ctx, f->service, &target, &request, &result);
    *number = status == STATUS_OK ? item_number(result.item) : 0;
    return status;
}

#endif
