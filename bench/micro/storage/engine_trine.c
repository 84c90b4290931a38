/* engine_trine.c - ours, as the server uses it: workers are fibers of one loop; a change is a
 * record of the log, and goes into the tree when that is durable; a fiber makes the checkpoints. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/compiler.h"
#include "engine.h"
#include "env/fiber.h"
#include "env/uv/uv_env.h"
#include "storage/forest.h"
#include "storage/tree.h"
#include "storage/wal.h"

#define FIBERS_MAX   80u
#define STACK_BYTES  (256u << 10)
#define ARENA_BYTES  (64u << 20)
#define LOAD_BATCH   128u
#define PREFETCH     16u
#define RECORD_BYTES 1024u /* of a change in the log, at most */
#define REPLICA      ((struct replica_id){.group = 1, .node = 1})

struct engine {
    struct forest *forest;
    struct wal *wal;
    struct tree *tree;
    struct wait_queue durable;    /* the log got further */
    struct wait_queue ended;      /* the checkpointer has */
    struct context *checkpointer; /* NULL: none runs */
    struct lsn applied;           /* everything below it is in the tree */
    uint64_t slot;                /* of the last change */
    uint64_t log_bytes;           /* between two checkpoints */
    uint64_t log_at_checkpoint;   /* written bytes, when the last one began */
    uint8_t record[RECORD_BYTES];
};

struct session {
    struct engine *engine;
    struct context *ctx;
    struct tree_mutation mutations[ENGINE_GROUP_MAX];
    struct tree_point points[ENGINE_GROUP_MAX];
};

static void must(enum status status, const char *what)
{
    if (status != STATUS_OK)
        bench_fail(what, status_text(status));
}

static struct context *context_of(const struct worker *worker)
{
    return worker->place;
}

/* ---- Workers ---- */

struct started {
    struct worker worker;
    worker_body *body;
    void *argument;
    unsigned *running;
    struct wait_queue *ended;
};

static const struct fiber_options fiber_options = {.arena_bytes_max = ARENA_BYTES,
                                                   .deadline_ns = UINT64_MAX};

static void start_first(struct context *ctx, void *argument)
{
    struct started *started = argument;
    started->worker.place = ctx;
    started->body(&started->worker, started->argument);
    env_uv_stop(ctx->env);
}

static void log_write(void *sink, enum log_level level, struct bytes line)
{
    (void)sink;
    (void)level;
    fprintf(stderr, "%.*s\n", BYTES_ARGS(line));
}

static void run(const struct engine_type *type, worker_body *body, void *argument)
{
    struct log log = {.level_max = LOG_WARNING, .write = log_write};
    struct env_uv_options options = {.log = &log};
    struct started started = {.worker = {.type = type}, .body = body, .argument = argument};
    struct env *env;
    must(env_uv_open(&options, &env), "trine loop");
    must(fiber_pool_open(env, FIBERS_MAX, STACK_BYTES), "trine fibers");
    must(fiber_spawn(env, &fiber_options, start_first, &started), "trine fiber");
    env_uv_run(env);
    fiber_pool_close(env);
    env_uv_close(env);
}

static void start_further(struct context *ctx, void *argument)
{
    struct started *started = argument;
    started->worker.place = ctx;
    started->body(&started->worker, started->argument);
    if (--*started->running == 0)
        wait_queue_wake_all(started->ended);
}

static void fork_workers(struct worker *worker, worker_body *const *bodies, unsigned count,
                         void *argument)
{
    struct context *ctx = context_of(worker);
    struct started started[FIBERS_MAX];
    struct wait_queue ended;
    unsigned running = count;
    if (count > FIBERS_MAX)
        bench_fail("trine", "too many fibers");
    wait_queue_init(&ended);
    for (unsigned i = 0; i < count; i++) {
        started[i] = (struct started){.worker = {.type = worker->type},
                                      .body = bodies[i],
                                      .argument = argument,
                                      .running = &running,
                                      .ended = &ended};
        must(fiber_spawn(ctx->env, &fiber_options, start_further, &started[i]), "trine fiber");
    }
    while (running > 0)
        must(wait_queue_wait(ctx, &ended), "trine wait");
}

/* The loop turns also for one who is late, as for requests that have come: others run between. */
static void wait_until(struct worker *worker, uint64_t until_ns, bool asleep)
{
    struct context *ctx = context_of(worker);
    uint64_t now_ns = bench_now_ns();
    if (asleep && until_ns > now_ns)
        must(context_sleep(ctx, until_ns - now_ns), "trine sleep");
    else
        context_yield(ctx);
    while (!asleep && bench_now_ns() < until_ns)
        context_yield(ctx);
}

/* ---- Opening and closing ---- */

static void on_durable(void *owner, struct lsn durable)
{
    struct engine *engine = owner;
    (void)durable;
    wait_queue_wake_all(&engine->durable);
}

/* The log of a clean stop holds nothing that the tree has not. */
static enum status on_record(struct context *ctx, void *owner, const struct wal_record *record,
                             struct lsn lsn)
{
    (void)ctx;
    (void)owner;
    (void)record;
    (void)lsn;
    return STATUS_OK;
}

static const struct wal_events events = {.on_durable = on_durable, .on_record = on_record};

static uint64_t log_written(const struct engine *engine)
{
    return wal_stats(engine->wal)->written_bytes;
}

static void checkpoint(struct context *ctx, struct engine *engine)
{
    engine->log_at_checkpoint = log_written(engine);
    must(forest_checkpoint(ctx, engine->forest, engine->applied), "trine checkpoint");
    wal_release(engine->wal, forest_log_needed(engine->forest));
}

static void checkpointer(struct context *ctx, void *argument)
{
    struct engine *engine = argument;
    engine->checkpointer = ctx;
    while (forest_wait_checkpoint_due(ctx, engine->forest, UINT64_MAX) == STATUS_OK)
        checkpoint(ctx, engine);
    engine->checkpointer = NULL;
    wait_queue_wake_all(&engine->ended);
}

static struct engine *open_engine(struct worker *worker, const struct engine_options *options)
{
    struct context *ctx = context_of(worker);
    struct engine *engine = calloc(1, sizeof(*engine));
    char path[256];
    if (engine == NULL)
        bench_fail("trine", "no memory");
    wait_queue_init(&engine->durable);
    wait_queue_init(&engine->ended);
    engine->log_bytes = options->log_bytes;
    (void)snprintf(path, sizeof(path), "%s/tree", options->dir);
    struct forest_options forest = {
        .path = path, .create = true, .cache_bytes = options->cache_bytes};
    must(forest_open(ctx, &forest, &engine->forest), "trine forest");
    struct forest_recovered recovered = forest_recovered(engine->forest);
    struct wal_options log = {.dir = options->dir,
                              .log_id = recovered.log_id,
                              .create = recovered.log_from.value == 0,
                              .needed = recovered.log_from,
                              .events = &events,
                              .owner = engine,
                              .segment_bytes_max = options->log_bytes};
    must(wal_open(ctx, &log, &engine->wal), "trine log");
    engine->applied = wal_durable(engine->wal);
    engine->tree = forest_tree(engine->forest, REPLICA);
    if (engine->tree != NULL)
        engine->slot = tree_row(engine->tree).applied;
    must(fiber_spawn(ctx->env, &fiber_options, checkpointer, engine), "trine fiber");
    return engine;
}

/* As node_close: the log is settled, and both superblocks hold everything. */
static void close_engine(struct worker *worker, struct engine *engine)
{
    struct context *ctx = context_of(worker);
    context_cancel(engine->checkpointer);
    while (engine->checkpointer != NULL)
        must(wait_queue_wait(ctx, &engine->ended), "trine wait");
    must(wal_settle(ctx, engine->wal), "trine settle");
    engine->applied = wal_durable(engine->wal);
    must(forest_checkpoint(ctx, engine->forest, engine->applied), "trine checkpoint");
    must(forest_close(ctx, engine->forest, engine->applied), "trine close");
    wal_release(engine->wal, engine->applied);
    must(wal_close(ctx, engine->wal), "trine log");
    free(engine);
}

/* A staged tree, as the copy of a replica is loaded: in order, without the log, then installed. */
static void load(struct worker *worker, struct engine *engine, engine_source *source,
                 void *argument)
{
    struct context *ctx = context_of(worker);
    struct tree_mutation batch[LOAD_BATCH];
    uint8_t keys[LOAD_BATCH][RECORD_BYTES];
    struct tree *tree;
    size_t count = 0;
    bool more = true;
    must(tree_create_staged(engine->forest, &tree), "trine tree");
    while (more) {
        struct bytes key;
        struct bytes value;
        more = source(argument, &key, &value);
        if (more) {
            memcpy(keys[count], key.at, key.count); /* the source's, until its next call */
            batch[count] = (struct tree_mutation){
                .kind = TREE_PUT, .key = bytes_of(keys[count], key.count), .value = value};
            count++;
        }
        if (count == LOAD_BATCH || !more) {
            must(tree_apply(ctx, tree, batch, count, 0), "trine load");
            count = 0;
        }
    }
    must(tree_install(tree, REPLICA, 1, 1, BYTES("")), "trine install");
    checkpoint(ctx, engine);
    engine->tree = forest_tree(engine->forest, REPLICA);
    engine->slot = 1;
}

/* ---- Reading and writing ---- */

static struct session *session_open(struct worker *worker, struct engine *engine)
{
    struct session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        bench_fail("trine", "no memory");
    session->engine = engine;
    session->ctx = context_of(worker);
    return session;
}

static void session_close(struct session *session)
{
    free(session);
}

static bool get(struct session *session, struct bytes key, struct bytes *value)
{
    enum status status = tree_get(session->ctx, session->engine->tree, key, value);
    if (status == STATUS_NOT_FOUND)
        return false;
    must(status, "trine get");
    return true;
}

static unsigned range(struct session *session, struct bytes key, unsigned count,
                      void (*each)(void *argument, struct bytes key, struct bytes value),
                      void *argument)
{
    struct tree_cursor cursor;
    unsigned given = 0;
    arena_reset(&session->ctx->arena);
    must(tree_cursor_open(session->ctx, session->engine->tree, 0, key, true, &cursor),
         "trine cursor");
    for (; given < count; given++) {
        struct bytes k;
        struct bytes v;
        enum status status = tree_cursor_next(&cursor, &k, &v);
        if (status == STATUS_END)
            break;
        must(status, "trine range");
        each(argument, k, v);
    }
    return given;
}

static struct lsn append(struct engine *engine, const struct engine_change *change)
{
    struct lsn lsn;
    if (change->key.count + change->value.count + 2 > RECORD_BYTES)
        bench_fail("trine", "a change is too large");
    put_u16(engine->record, (uint16_t)change->key.count);
    memcpy(engine->record + 2, change->key.at, change->key.count);
    if (change->value.count > 0)
        memcpy(engine->record + 2 + change->key.count, change->value.at, change->value.count);
    struct wal_record record = {
        .type = WAL_ENTRY,
        .replica = REPLICA,
        .slot = ++engine->slot,
        .ballot = {.round = 1, .replica = REPLICA},
        .payload = bytes_of(engine->record, 2 + change->key.count + change->value.count)};
    must(wal_append(engine->wal, &record, &lsn), "trine append");
    return lsn;
}

/* Leaves that are not in frames come in during the sync; a few at a time, as the server's writers,
 * each of which reads its item first. */
static void prefetch(struct session *session, unsigned count)
{
    for (unsigned i = 0; i < count; i += PREFETCH) {
        tree_prefetch_many(session->points + i, MIN(PREFETCH, count - i));
        context_yield(session->ctx);
    }
}

static void group(struct session *session, const struct engine_change *changes, unsigned count)
{
    struct engine *engine = session->engine;
    struct lsn last = {0};
    for (unsigned i = 0; i < count; i++) {
        const struct engine_change *change = &changes[i];
        last = append(engine, change);
        session->mutations[i] =
            (struct tree_mutation){.kind = change->value.at != NULL ? TREE_PUT : TREE_DELETE,
                                   .key = change->key,
                                   .value = change->value};
        session->points[i] = (struct tree_point){.tree = engine->tree, .key = change->key};
    }
    prefetch(session, count);
    while (!lsn_before(last, wal_durable(engine->wal)))
        must(wait_queue_wait(session->ctx, &engine->durable), "trine wait");
    struct lsn durable = wal_durable(engine->wal); /* there is one writer: all below is its own */
    must(tree_apply(session->ctx, engine->tree, session->mutations, count, engine->slot),
         "trine apply");
    engine->applied = durable;
    if (log_written(engine) - engine->log_at_checkpoint >= engine->log_bytes) {
        engine->log_at_checkpoint = log_written(engine);
        forest_want_checkpoint(engine->forest);
    }
}

const struct engine_type engine_trine = {
    .name = "trine",
    .wait_readers = 16,
    .run = run,
    .fork = fork_workers,
    .wait = wait_until,
    .open = open_engine,
    .close = close_engine,
    .load = load,
    .session_open = session_open,
    .session_close = session_close,
    .get = get,
    .range = range,
    .group = group,
};
