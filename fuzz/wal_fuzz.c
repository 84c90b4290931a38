/* The log's decoders from any bytes.  The first byte chooses:
 *   0  the rest is records, and a configuration
 *   1  a log is written, its files are damaged (the rest: 4 bytes each: offset / 8, where in it,
 *      mask), and it is opened: what is replayed is a beginning of what was written, and a log that
 *      opens can be written to, closed and opened again
 *   2  a segment whose checksums are right but whose fields are the input's is opened
 * A segment's bytes come through the simulated disk, so that the whole of wal_open is run.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "env/fiber.h"
#include "env/sim/sim_env.h"
#include "paxos/paxos.h"
#include "storage/wal.h"
#include "storage/wal_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LOG_ID        7u
#define RECORDS       6u
#define SEGMENT_BYTES (32u << 10)

struct world {
    struct sim *sim;
    struct sim_node *node;
    struct wal *wal;
    struct bytes input;
    uint64_t replayed;
    uint64_t durable;
    uint64_t appended;
    bool check;
    bool done;
    enum status status;
};

static void on_durable(void *owner, struct lsn durable)
{
    struct world *w = owner;
    w->durable = durable.value;
}

static enum status on_record(struct context *ctx, void *owner, const struct wal_record *record,
                             struct lsn lsn)
{
    struct world *w = owner;
    (void)ctx;
    (void)lsn;
    w->replayed++;
    if (w->check) {
        ASSERT(record->slot == w->replayed);
        ASSERT(record->payload.count == w->replayed * 900);
    }
    return STATUS_OK;
}

static const struct wal_events events = {.on_durable = on_durable, .on_record = on_record};

static void make_dir(struct env_job *job)
{
    (void)!env_dir_create(job->env, "log");
    (void)!env_dir_sync(job->env, ".");
}

static void open_log(struct context *ctx, void *argument)
{
    struct world *w = argument;
    struct env_job job = {.lane = ENV_LANE_BACKGROUND, .run = make_dir};
    struct wal_options options = {.dir = "log",
                                  .log_id = LOG_ID,
                                  .create = true,
                                  .segment_bytes_min = SEGMENT_BYTES,
                                  .segment_bytes_max = SEGMENT_BYTES,
                                  .events = &events,
                                  .owner = w};
    (void)!context_run_job(ctx, &job);
    w->replayed = 0;
    w->status = wal_open(ctx, &options, &w->wal);
    w->done = true;
}

static void close_log(struct context *ctx, void *argument)
{
    struct world *w = argument;
    w->status = wal_close(ctx, w->wal);
    w->done = true;
}

/* Segment 1 with the input's fields, under right checksums. */
static void write_hostile(struct env_job *job);

struct hostile {
    struct env_job job;
    struct world *w;
};

static void put_hostile(struct context *ctx, void *argument)
{
    struct hostile hostile = {.job = {.lane = ENV_LANE_BACKGROUND, .run = write_hostile},
                              .w = argument};
    struct env_job job = {.lane = ENV_LANE_BACKGROUND, .run = make_dir};
    (void)!context_run_job(ctx, &job);
    (void)!context_run_job(ctx, &hostile.job);
    hostile.w->done = true;
}

static uint64_t small_or_any(struct reader *r)
{
    uint8_t kind = read_u8(r);
    return kind < 240 ? (uint64_t)kind * 16 : UINT64_C(1) << (kind - 240) * 4;
}

static void write_hostile(struct env_job *job)
{
    struct world *w = CONTAINER_OF(job, struct hostile, job)->w;
    struct reader r = reader_of(w->input);
    static const char path[] = "log/log-0000000000000001";
    uint8_t block[WAL_BLOCK_BYTES * 2];
    struct env_file *file;

    if (env_file_open(job->env, path, ENV_FILE_CREATE, &file) != STATUS_OK)
        return;
    struct wal_segment_header segment = {.log_id = LOG_ID,
                                         .sequence = 1,
                                         .nonce = 3,
                                         .start = small_or_any(&r),
                                         .log_start = small_or_any(&r)};
    wal_segment_header_encode(&segment, block);
    uint64_t offset = 0;
    struct bytes run = bytes_of(block, WAL_BLOCK_BYTES);
    while (env_file_write(job->env, file, offset, &run, 1) == STATUS_OK && reader_left(&r) > 0 &&
           offset < 20 * WAL_BLOCK_BYTES) {
        struct wal_batch_header batch = {.log_id = LOG_ID, .sequence = 1, .nonce = 3};
        batch.lsn = small_or_any(&r);
        batch.previous = small_or_any(&r);
        batch.synced = small_or_any(&r);
        batch.log_start = small_or_any(&r);
        batch.early = (read_u8(&r) & 1) != 0;
        uint8_t length = read_u8(&r);
        batch.length = WAL_BATCH_HEADER_BYTES + length % 200 * 8;
        batch.records = length % 3;
        memset(block, 0, sizeof(block));
        struct bytes body = read_bytes(&r, MIN(reader_left(&r), (size_t)64));
        if (body.count > 0)
            memcpy(block + WAL_BATCH_HEADER_BYTES, body.at, body.count);
        wal_batch_encode(&batch, block);
        offset += WAL_BLOCK_BYTES;
    }
    (void)!env_file_sync(job->env, file);
    env_file_close(job->env, file);
}

/* ---- Running ---- */

static void run(struct world *w, void (*function)(struct context *, void *))
{
    struct fiber_options options = {.arena_bytes_max = 1u << 16, .deadline_ns = UINT64_MAX};
    w->done = false;
    ASSERT(fiber_spawn(sim_node_env(w->node), &options, function, w) == STATUS_OK);
    ASSERT(sim_run_while(w->sim, &w->done, UINT64_MAX));
}

static void restart(struct world *w)
{
    if (sim_node_env(w->node) != NULL)
        sim_node_crash(w->node, SIM_CRASH_KILL);
    ASSERT(fiber_pool_open(sim_node_start(w->node), 4, 64u << 10) == STATUS_OK);
    w->wal = NULL;
}

static void append_one(struct world *w)
{
    uint8_t payload[900 * (RECORDS + 2)] = {0};
    struct wal_record record = {.type = WAL_ENTRY, .replica = {1, 0, 1}};
    struct lsn lsn;
    record.slot = w->replayed + w->appended + 1;
    record.payload = bytes_of(payload, MIN(record.slot * 900, sizeof(payload)));
    ASSERT(wal_append(w->wal, &record, &lsn) == STATUS_OK);
    w->appended++;
    while (w->durable <= lsn.value)
        ASSERT(sim_step(w->sim));
}

struct damage {
    struct world *w;
    struct bytes left;
};

/* Each damage goes to the file that it names, by order. */
static void damage_file(void *argument, const char *path)
{
    struct damage *damage = argument;
    while (damage->left.count >= 4) {
        const uint8_t *at = damage->left.at;
        damage->left = bytes_after(damage->left, 4);
        (void)!sim_disk_flip(damage->w->node, path, get_u16(at) * UINT64_C(8) + at[2] % 8, at[3]);
        if (at[2] >= 128)
            return; /* the next one is for the next file */
    }
}

/* A log that opens is a log. */
static void use(struct world *w)
{
    uint64_t replayed = w->replayed;
    w->appended = 0;
    append_one(w);
    run(w, close_log);
    ASSERT(w->status == STATUS_OK);
    restart(w);
    run(w, open_log);
    ASSERT(w->status == STATUS_OK);
    ASSERT(w->replayed == replayed + 1);
}

static bool is_refusal(enum status status)
{
    return status == STATUS_CORRUPT || status == STATUS_VERSION || status == STATUS_INVALID;
}

static void open_damaged(struct world *w)
{
    restart(w);
    w->check = true;
    run(w, open_log);
    ASSERT(w->status == STATUS_OK);
    for (uint32_t i = 0; i < RECORDS; i++)
        append_one(w);
    restart(w);
    struct damage damage = {w, w->input};
    sim_disk_list(w->node, damage_file, &damage);
    run(w, open_log);
    ASSERT(w->status == STATUS_OK || is_refusal(w->status));
    ASSERT(w->replayed <= RECORDS);
    if (w->status == STATUS_OK)
        use(w);
}

static void open_hostile(struct world *w)
{
    restart(w);
    run(w, put_hostile);
    run(w, open_log);
    ASSERT(w->status == STATUS_OK || is_refusal(w->status));
    if (w->status == STATUS_OK)
        use(w);
}

static void decode_records(struct bytes input)
{
    struct wal_record record;
    struct paxos_configuration configuration;
    while (wal_record_decode(&input, LOG_ID, &record) == STATUS_OK) {
    }
    (void)!paxos_configuration_decode(input, &configuration);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 1024)
        return 0;
    struct bytes input = bytes_of(data + 1, size - 1);
    if (data[0] % 3 == 0) {
        decode_records(input);
        return 0;
    }
    struct sim_options options = sim_options_from_seed(1);
    struct world w = {.sim = sim_create(&options), .input = input};
    w.node = sim_node_create(w.sim, "n");
    if (data[0] % 3 == 1)
        open_damaged(&w);
    else
        open_hostile(&w);
    sim_free(w.sim);
    return 0;
}
