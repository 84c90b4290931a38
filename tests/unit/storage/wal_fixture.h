/* wal_fixture.h - a log on a simulated node, and a model of what it must hold.
 *
 * The model is the list of all records appended to this log, in order.  After a crash the log must
 * hold a prefix of it that has at least every record that was reported durable; what is missing
 * from the front must have been released.
 */
#ifndef TESTS_UNIT_STORAGE_WAL_FIXTURE_H
#define TESTS_UNIT_STORAGE_WAL_FIXTURE_H

#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/checksum.h"
#include "env/fiber.h"
#include "env/sim/sim_env.h"
#include "storage/wal.h"
#include "storage/wal_format.h"

#define SECOND      UINT64_C(1000000000)
#define MODEL_MAX   60000u
#define REPLICAS    4u
#define PAYLOAD_MAX 300000u

struct model_record {
    enum wal_record_type type;
    uint32_t replica; /* its node id */
    uint64_t slot;
    uint64_t round;
    uint32_t payload_bytes;
    uint64_t lsn;
};

/* What the records so far say of one replica. */
struct model_replica {
    uint64_t promised;
    uint64_t configuration; /* slot of the newest */
    bool gone;
};

struct fixture {
    struct sim *sim;
    struct sim_node *node;
    struct wal_options options;
    struct wal *wal; /* NULL when it is not open, or its node crashed */
    enum status status;
    bool done;

    struct model_record *model; /* everything that the log may hold, from model_first */
    uint32_t model_count;
    uint32_t durable_count;  /* of the model: reported durable */
    uint32_t released_count; /* of the model: need not be there */
    uint64_t lsn_highest;    /* ever given out */
    uint64_t slots[REPLICAS + 1];
    uint64_t rounds[REPLICAS + 1];
    uint32_t durable_calls;
    uint32_t state_calls;
    enum wal_state state;

    /* Recovery. */
    uint32_t replayed; /* records */
    uint32_t expected; /* model index of the next record that is not carried; UINT32_MAX = any */
    uint64_t replay_lsn;
    struct model_replica seen[REPLICAS + 1];
    enum status replay_status; /* what on_record returns */
    bool damaged;              /* records may be missing: do not look at them */
    uint8_t *payload;          /* PAYLOAD_MAX */

    const char *wrong;    /* the first check that failed on a fiber */
    char log_text[16384]; /* the last lines */
};

/* A failing assertion jumps, which must not leave a fiber's stack: there checks are noted, and
 * asserted when the fiber is done. */
#define CHECK(f, x) ((x) ? (void)0 : (void)((f)->wrong = (f)->wrong == NULL ? #x : (f)->wrong))

/* ---- Payloads ---- */

/* The content follows from where the record is in the model. */
static void payload_fill(uint8_t *to, uint32_t count, uint64_t seed)
{
    for (uint32_t i = 0; i < count; i++)
        to[i] = (uint8_t)((seed * 31 + i) ^ (i >> 8));
}

/* ---- Callbacks ---- */

static void on_durable(void *owner, struct lsn durable)
{
    struct fixture *f = owner;
    f->durable_calls++;
    while (f->durable_count < f->model_count && f->model[f->durable_count].lsn < durable.value)
        f->durable_count++;
}

static void on_state(void *owner, enum wal_state state)
{
    struct fixture *f = owner;
    f->state = state;
    f->state_calls++;
}

static void replica_see(struct model_replica *seen, enum wal_record_type type, uint64_t slot,
                        uint64_t round)
{
    switch (type) {
    case WAL_PROMISE:
        seen->promised = round;
        seen->gone = false;
        break;
    case WAL_CONFIGURATION:
        if (slot > seen->configuration)
            seen->configuration = slot;
        seen->gone = false;
        break;
    case WAL_REMOVAL:
        *seen = (struct model_replica){.gone = true};
        break;
    case WAL_ENTRY:
    case WAL_TRUNCATION:
        break;
    }
}

static bool record_is(const struct fixture *f, const struct wal_record *record, uint32_t index)
{
    const struct model_record *model = &f->model[index];
    if (record->type != model->type || record->replica.node != model->replica ||
        record->slot != model->slot || record->ballot.round != model->round ||
        record->payload.count != model->payload_bytes)
        return false;
    payload_fill(f->payload, model->payload_bytes, index);
    return model->payload_bytes == 0 ||
           memcmp(f->payload, record->payload.at, model->payload_bytes) == 0;
}

static enum status on_record(struct context *ctx, void *owner, const struct wal_record *record,
                             struct lsn lsn)
{
    struct fixture *f = owner;
    f->replayed++;
    if (f->replayed % 64 == 0)
        context_yield(ctx);
    if (f->replay_status != STATUS_OK || f->damaged)
        return f->replay_status;
    CHECK(f, lsn.value > f->replay_lsn); /* (2) */
    f->replay_lsn = lsn.value;
    if (record->replica.node < 1 || record->replica.node > REPLICAS) {
        CHECK(f, record->replica.node <= REPLICAS);
        return STATUS_OK;
    }
    replica_see(&f->seen[record->replica.node], record->type, record->slot, record->ballot.round);
    if (record->carried) {
        CHECK(f, record->type == WAL_PROMISE || record->type == WAL_CONFIGURATION);
        return STATUS_OK;
    }
    if (f->expected == UINT32_MAX) { /* the first: anything up to what was released */
        for (f->expected = 0; f->expected < f->model_count; f->expected++)
            if (f->model[f->expected].lsn == lsn.value)
                break;
        CHECK(f, f->expected <= f->released_count);
    }
    if (f->expected >= f->model_count) {
        CHECK(f, f->expected < f->model_count);
        return STATUS_OK;
    }
    CHECK(f, f->model[f->expected].lsn == lsn.value);
    CHECK(f, record_is(f, record, f->expected));
    f->expected++;
    return STATUS_OK;
}

static const struct wal_events fixture_events = {
    .on_durable = on_durable, .on_state = on_state, .on_record = on_record};

/* ---- The world ---- */

static void keep_line(void *sink, enum log_level level, struct bytes line)
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

static struct log fixture_log;

static void node_start(struct fixture *f)
{
    struct env *env = sim_node_start(f->node);
    fixture_log = (struct log){.level_max = LOG_DEBUG, .write = keep_line, .sink = f};
    env->log = &fixture_log;
    assert_int_equal(fiber_pool_open(env, 8, 64u << 10), STATUS_OK);
}

static struct fixture *fixture_create(uint64_t seed)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct sim_options options = sim_options_from_seed(seed);
    f->sim = sim_create(&options);
    f->node = sim_node_create(f->sim, "n1");
    f->model = calloc(MODEL_MAX, sizeof(*f->model));
    f->payload = malloc(PAYLOAD_MAX);
    f->options = (struct wal_options){
        .dir = "log",
        .create = true,
        .segment_bytes_min = 32u << 10,
        .segment_bytes_max = 128u << 10,
        .unsynced_bytes_max = 4u << 20,
        .events = &fixture_events,
        .owner = f,
    };
    node_start(f);
    return f;
}

static void fixture_free(struct fixture *f)
{
    sim_free(f->sim);
    free(f->model);
    free(f->payload);
    free(f);
}

/* Run `function` on a fiber until it ends; false when the node crashed meanwhile. */
static bool run_fiber(struct fixture *f, void (*function)(struct context *, void *))
{
    struct fiber_options options = {.arena_bytes_max = 1u << 20, .deadline_ns = UINT64_MAX};
    struct env *env = sim_node_env(f->node);
    f->done = false;
    assert_int_equal(fiber_spawn(env, &options, function, f), STATUS_OK);
    while (!f->done && sim_node_env(f->node) == env && sim_step(f->sim)) {
    }
    if (f->wrong != NULL)
        fail_msg("%s (lsn %llu)\n%s", f->wrong, (unsigned long long)f->replay_lsn, f->log_text);
    if (sim_node_env(f->node) != env)
        return false;
    assert_true(f->done);
    return true;
}

struct make_dir {
    struct env_job job;
    enum status status;
};

static void make_dir(struct env_job *job)
{
    enum status status = env_dir_create(job->env, "log");
    if (status == STATUS_OK || status == STATUS_EXISTS)
        status = env_dir_sync(job->env, ".");
    CONTAINER_OF(job, struct make_dir, job)->status = status;
}

static void open_on_fiber(struct context *ctx, void *argument)
{
    struct fixture *f = argument;
    struct make_dir make = {.job = {.lane = ENV_LANE_BACKGROUND, .run = make_dir}};
    CHECK(f, context_run_job(ctx, &make.job) == STATUS_OK);
    f->status = make.status;
    if (f->status == STATUS_OK)
        f->status = wal_open(ctx, &f->options, &f->wal);
    f->done = true;
}

static void close_on_fiber(struct context *ctx, void *argument)
{
    struct fixture *f = argument;
    f->status = wal_close(ctx, f->wal);
    f->wal = NULL;
    f->done = true;
}

static void settle_on_fiber(struct context *ctx, void *argument)
{
    struct fixture *f = argument;
    f->status = wal_settle(ctx, f->wal);
    f->done = true;
}

/* After a successful opening: the model holds what the log holds. */
static void check_recovered(struct fixture *f)
{
    if (f->expected == UINT32_MAX)
        f->expected = f->released_count;
    assert_true(f->expected >= f->durable_count); /* nothing durable is lost */
    f->model_count = f->durable_count = f->expected;

    struct model_replica want[REPLICAS + 1] = {0};
    for (uint32_t i = 0; i < f->model_count; i++)
        replica_see(&want[f->model[i].replica], f->model[i].type, f->model[i].slot,
                    f->model[i].round);
    for (uint32_t i = 1; i <= REPLICAS; i++) {
        assert_int_equal(f->seen[i].promised, want[i].promised);
        assert_int_equal(f->seen[i].configuration, want[i].configuration);
    }
}

/* Open the log; false when the node crashed.  f->status says how it went. */
static bool fixture_open(struct fixture *f)
{
    f->wal = NULL;
    f->replayed = 0;
    f->replay_lsn = 0;
    f->expected = UINT32_MAX;
    f->state = WAL_OK;
    memset(f->seen, 0, sizeof(f->seen));
    if (!run_fiber(f, open_on_fiber)) {
        f->wal = NULL;
        return false;
    }
    if (f->status == STATUS_OK)
        check_recovered(f);
    else
        f->wal = NULL;
    return true;
}

static bool fixture_close(struct fixture *f)
{
    bool survived = run_fiber(f, close_on_fiber);
    f->wal = NULL;
    return survived;
}

static void open_well(struct fixture *f)
{
    assert_true(fixture_open(f));
    if (f->status != STATUS_OK)
        print_error("open: %s\n%s", status_name(f->status), f->log_text);
    assert_int_equal(f->status, STATUS_OK);
}

static void close_well(struct fixture *f)
{
    assert_true(fixture_close(f));
    assert_int_equal(f->status, STATUS_OK);
}

static void crash(struct fixture *f, enum sim_crash crash)
{
    if (sim_node_env(f->node) != NULL)
        sim_node_crash(f->node, crash);
    f->wal = NULL;
    node_start(f);
}

static void run_for(struct fixture *f, uint64_t ns)
{
    sim_run_until(f->sim, sim_now_ns(f->sim) + ns);
}

/* ---- Appending ---- */

static enum status append_record(struct fixture *f, enum wal_record_type type, uint32_t replica,
                                 uint32_t payload_bytes, bool urgent)
{
    assert_true(f->model_count < MODEL_MAX);
    struct model_record *model = &f->model[f->model_count];
    *model = (struct model_record){.type = type, .replica = replica};
    if (type == WAL_ENTRY || type == WAL_CONFIGURATION) {
        model->slot = ++f->slots[replica];
        model->payload_bytes = payload_bytes;
    }
    if (type == WAL_TRUNCATION)
        model->slot = f->slots[replica]; /* cuts nothing */
    model->round = type == WAL_PROMISE ? ++f->rounds[replica] : f->rounds[replica];
    payload_fill(f->payload, model->payload_bytes, f->model_count);
    struct wal_record record = {
        .type = type,
        .urgent = urgent,
        .replica = {.group = 7, .added = 3, .node = replica},
        .slot = model->slot,
        .ballot = {.round = model->round, .replica = {.group = 7, .added = 3, .node = replica}},
        .payload = bytes_of(f->payload, model->payload_bytes),
    };
    struct lsn lsn;
    enum status status = wal_append(f->wal, &record, &lsn);
    if (status != STATUS_OK)
        return status;
    assert_true(lsn.value > f->lsn_highest); /* (2) */
    f->lsn_highest = model->lsn = lsn.value;
    f->model_count++;
    return STATUS_OK;
}

static inline void append_well(struct fixture *f, uint32_t payload_bytes)
{
    assert_int_equal(
        append_record(f, WAL_ENTRY, 1 + f->model_count % REPLICAS, payload_bytes, false),
        STATUS_OK);
}

/* Append `count` entries, each durable before the next. */
static inline void append_singly(struct fixture *f, uint32_t count, uint32_t payload_bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        append_well(f, payload_bytes);
        for (int step = 0; f->durable_count < f->model_count; step++) {
            assert_true(step < 100000);
            assert_true(sim_step(f->sim));
        }
    }
}

/* Release the first `count` records of the model; they are durable. */
static void release(struct fixture *f, uint32_t count)
{
    assert_true(count <= f->durable_count);
    f->released_count = count;
    struct lsn oldest = count < f->model_count && count < f->durable_count
                            ? (struct lsn){f->model[count].lsn}
                            : wal_durable(f->wal);
    wal_release(f->wal, oldest);
}

/* ---- Files ---- */

struct file_list {
    char paths[256][64];
    uint64_t bytes[256];
    uint32_t count;
    uint64_t total;
    struct fixture *f;
};

static void add_file(void *argument, const char *path)
{
    struct file_list *list = argument;
    assert_true(list->count < 256 && strlen(path) < 64);
    strcpy(list->paths[list->count], path);
    assert_int_equal(sim_disk_size(list->f->node, path, &list->bytes[list->count]), STATUS_OK);
    list->total += list->bytes[list->count++];
}

static inline struct file_list *files(struct fixture *f)
{
    struct file_list *list = calloc(1, sizeof(*list));
    list->f = f;
    sim_disk_list(f->node, add_file, list);
    return list;
}

#endif
