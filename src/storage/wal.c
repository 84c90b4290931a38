#include "storage/wal.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "storage/wal_private.h"

/* ---- Gathering ---- */

enum status wal_batch_reserve(struct wal *wal, struct wal_batch *batch, size_t count)
{
    size_t capacity = MAX(batch->capacity, (size_t)WAL_BUFFER_BYTES);

    if (LIKELY(count <= batch->capacity))
        return STATUS_OK;
    while (capacity < count)
        capacity *= 2;
    uint8_t *memory = heap_alloc(wal->heap, capacity + WAL_BLOCK_BYTES);
    if (memory == NULL)
        return STATUS_NO_MEMORY;
    uint8_t *at = memory + (WAL_BLOCK_BYTES - (uintptr_t)memory % WAL_BLOCK_BYTES);
    if (batch->at != NULL)
        memcpy(at, batch->at, batch->count);
    heap_free(wal->heap, batch->memory, batch->memory_bytes);
    batch->memory = memory;
    batch->memory_bytes = capacity + WAL_BLOCK_BYTES;
    batch->at = at;
    batch->capacity = capacity;
    return STATUS_OK;
}

void wal_batch_start(struct wal *wal, struct wal_batch *batch, uint64_t lsn)
{
    if (batch->capacity > WAL_BUFFER_KEPT) {
        heap_free(wal->heap, batch->memory, batch->memory_bytes);
        *batch = (struct wal_batch){0};
    }
    batch->count = WAL_BATCH_HEADER_BYTES;
    batch->records = 0;
    batch->lsn = lsn;
}

static uint64_t unsynced_bytes(const struct wal *wal)
{
    return wal->gathering->count + (wal->in_flight || wal->rewriting ? wal->flying->count : 0);
}

enum status wal_append_always(struct wal *wal, const struct wal_record *record, struct lsn *lsn)
{
    struct wal_batch *batch = wal->gathering;
    size_t bytes = (size_t)wal_record_bytes(record->payload.count);
    struct wal_keeping keeping = {0};

    TRY(wal_batch_reserve(wal, batch, batch->count + bytes));
    if (record->type != WAL_ENTRY)
        TRY(wal_keep_prepare(wal, record, &keeping));

    wal_record_encode(record, wal->log_id, batch->at + batch->count);
    lsn->value = batch->lsn + batch->count;
    if (record->type != WAL_ENTRY)
        wal_keep(wal, record, lsn->value, keeping);
    batch->count += bytes;
    batch->records++;
    wal->quiet = false;
    wal->stats.appends++;
    wal->stats.appended_bytes += bytes;
    wal->stats.unsynced_bytes = unsynced_bytes(wal);
    wal_flush_soon(wal);
    return STATUS_OK;
}

bool wal_stalled(const struct wal *wal)
{
    return wal->state == WAL_NO_SPACE && (wal->rewriting || wal->waits_for_spare);
}

/* Whether the log takes a record of this payload now. */
static enum status append_check(const struct wal *wal, const struct wal_record *record)
{
    if (wal->state == WAL_FAILED || wal->closing)
        return STATUS_UNAVAILABLE;
    if (record->payload.count > WAL_PAYLOAD_BYTES_MAX)
        return STATUS_TOO_LARGE;
    bool reserve_used = wal_stalled(wal) && record->payload.count > 0;
    if (wal->state == WAL_NO_SPACE && (!record->urgent || reserve_used))
        return STATUS_NO_SPACE;
    if (unsynced_bytes(wal) + wal_record_bytes(record->payload.count) >
        wal->options.unsynced_bytes_max)
        return STATUS_BUSY; /* (4) */
    if (!record->urgent && wal->options.live_bytes_max > 0 &&
        wal->stats.live_bytes > wal->options.live_bytes_max)
        return STATUS_BUSY;
    return STATUS_OK;
}

enum status wal_append(struct wal *wal, const struct wal_record *record, struct lsn *lsn)
{
    ASSERT(!record->carried);
    enum status status = append_check(wal, record);
    if (status == STATUS_OK)
        status = wal_append_always(wal, record, lsn);
    if (UNLIKELY(status != STATUS_OK))
        wal->stats.refused++;
    return status;
}

/* ---- Writing: in the job ---- */

static enum status sync_file(struct wal_write *write)
{
    write->syncs++;
#ifdef TRINE_SKIP_SYNC
    return STATUS_OK;
#else
    return env_file_sync(write->job.env, write->file);
#endif
}

/* Runs in the log lane: `write` and the batch's memory are the job's until it is done. */
void wal_write_run(struct env_job *job)
{
    struct wal_write *write = CONTAINER_OF(job, struct wal_write, job);
    struct bytes runs[2] = {bytes_of(write->block, WAL_BLOCK_BYTES),
                            bytes_of(write->at, write->padded)};
    uint8_t *at = write->at;

    for (uint32_t i = 0; i < write->batch_count; i++) {
        wal_batch_encode(&write->batches[i], at);
        at += wal_padded(write->batches[i].length);
    }
    if (write->mode != WAL_WRITE_ON)
        wal_segment_header_encode(&write->segment, write->block);

    if (write->mode == WAL_WRITE_BEGIN)
        write->status = env_file_write(job->env, write->file, 0, runs, 2);
    else
        write->status = env_file_write(job->env, write->file, write->offset, &runs[1], 1);
    if (write->status == STATUS_OK)
        write->status = sync_file(write);
    if (write->status == STATUS_OK && write->mode == WAL_WRITE_TAIL) {
        write->status = env_file_write(job->env, write->file, 0, &runs[0], 1);
        if (write->status == STATUS_OK)
            write->status = sync_file(write);
    }
}

/* ---- Writing: on the loop ---- */

static void on_written(struct env_job *job);

void wal_segment_begin(struct wal *wal, struct wal_segment *segment, uint64_t start,
                       struct wal_segment_header *header)
{
    ASSERT(wal->current == NULL || wal->current->sequence < segment->sequence);
    wal->close_wanted |= wal->current != NULL;
    segment->start = start;
    segment->nonce = env_random_u64(wal->env);
    list_push_back(&wal->live, &segment->link);
    wal->stats.live_segments++;
    wal->stats.live_bytes += segment->bytes;
    wal->current = segment;
    wal->position = WAL_BLOCK_BYTES;
    *header = (struct wal_segment_header){
        .log_id = wal->log_id,
        .sequence = segment->sequence,
        .nonce = segment->nonce,
        .start = start,
        .log_start =
            wal->log_start_durable, /* the header may last where its first batch does not */
    };
}

/* Send the flying batch to `position` of the current segment. */
static void submit(struct wal *wal, enum wal_write_mode mode)
{
    struct wal_batch *batch = wal->flying;
    struct wal_write *write = &wal->write;
    uint64_t padded = wal_padded(batch->count);

    memset(batch->at + batch->count, 0, (size_t)padded - batch->count);
    write->mode = mode;
    write->file = wal->current->file;
    write->offset = wal->position;
    write->batches[0] = (struct wal_batch_header){
        .log_id = wal->log_id,
        .sequence = wal->current->sequence,
        .nonce = wal->current->nonce,
        .lsn = batch->lsn,
        .previous = wal->durable,
        .synced = wal->durable,
        .log_start = wal->log_start_flying,
        .length = (uint32_t)batch->count,
        .records = batch->records,
        .early = mode == WAL_WRITE_TAIL,
    };
    write->batch_count = 1;
    write->at = batch->at;
    write->padded = (size_t)padded;
    write->syncs = 0;
    write->submitted_ns = env_now_ns(wal->env);
    ASSERT(!wal->in_flight); /* (3) */

    if (env_job_submit(wal->env, &write->job) == STATUS_OK) {
        wal->in_flight = true;
        return;
    }
    /* The lane is full of other work of this node.  The batch waits for the timer, and then goes
     * the way of a failed one. */
    wal->rewriting = true;
    env_timer_start(wal->env, &wal->retry_timer, WAL_RETRY_NS / 100);
}

static struct wal_segment *wait_for_spare(struct wal *wal)
{
    struct wal_segment *spare = wal_spare_take(wal);

    wal->waits_for_spare = spare == NULL;
    wal_background(wal);
    return spare;
}

void wal_flush(struct wal *wal)
{
    struct wal_batch *batch = wal->gathering;

    if (wal->in_flight || wal->rewriting || wal->stopped || wal->state == WAL_FAILED)
        return;
    if (batch->records == 0 && !wal->batch_wanted)
        return;
    if (wal_batch_reserve(wal, batch, (size_t)wal_padded(batch->count)) != STATUS_OK) {
        env_timer_start(wal->env, &wal->retry_timer, WAL_RETRY_NS / 100);
        return;
    }

    enum wal_write_mode mode = WAL_WRITE_ON;
    if (wal->switch_wanted || wal->position + wal_padded(batch->count) > wal->current->bytes) {
        struct wal_segment *spare = wait_for_spare(wal);
        if (spare == NULL)
            return;
        mode = WAL_WRITE_BEGIN;
        wal->switch_wanted = false;
        wal_segment_begin(wal, spare, wal->durable, &wal->write.segment);
    }
    wal->batch_wanted = false;
    wal->log_start_flying = wal->log_start; /* what it needs is carried forward up to this batch */
    env_timer_stop(wal->env, &wal->seal_timer);
    wal->gathering = wal->flying;
    wal->flying = batch;
    wal_batch_start(wal, wal->gathering, batch->lsn + batch->count);
    submit(wal, mode);
}

static void on_flush(struct env_task *task)
{
    struct wal *wal = CONTAINER_OF(task, struct wal, flush_task);

    wal->flush_pending = false;
    wal_flush(wal);
}

/* At the end of this turn of the loop, so that all its appends go together. */
void wal_flush_soon(struct wal *wal)
{
    if (wal->flush_pending || wal->in_flight || wal->rewriting)
        return;
    wal->flush_pending = true;
    env_defer(wal->env, &wal->flush_task);
}

/* Send the flying batch, whose write failed, to another segment, which counts only once it holds
 * it.  A segment that never counted is tried again with another nonce. */
static void rewrite(struct wal *wal)
{
    struct wal_write *write = &wal->write;

    if (write->mode == WAL_WRITE_TAIL && wal->current->file == write->file) {
        wal->current->nonce = env_random_u64(wal->env);
        write->segment.nonce = wal->current->nonce;
    } else {
        struct wal_segment *spare = wait_for_spare(wal);
        if (spare == NULL)
            return;
        wal_segment_begin(wal, spare, wal->durable, &write->segment);
    }
    wal->rewriting = false;
    submit(wal, WAL_WRITE_TAIL);
}

void wal_resume(struct wal *wal)
{
    if (wal->state == WAL_FAILED || wal->in_flight || wal->stopped)
        return;
    if (wal->rewriting)
        rewrite(wal);
    else
        wal_flush(wal);
}

/* ---- Completion ---- */

static void batch_durable(struct wal *wal)
{
    struct wal_batch *batch = wal->flying;
    struct wal_write *write = &wal->write;
    struct wal_stats *stats = &wal->stats;

    wal->durable = batch->lsn + batch->count;
    wal->position += write->padded;
    if (wal->position > wal->current->bytes) { /* a batch larger than the segment */
        stats->live_bytes += wal->position - wal->current->bytes;
        wal->current->bytes = wal->position;
    }
    wal->sealed = batch->records == 0;
    stats->unsynced_bytes = wal->gathering->records > 0 ? wal->gathering->count : 0;
    stats->batches++;
    stats->seals += wal->sealed;
    stats->syncs += write->syncs;
    stats->written_bytes += write->padded;
    histogram_record(&stats->batch_records, batch->records);
    histogram_record(&stats->batch_bytes, batch->count);
    histogram_record(&stats->sync_ns, env_now_ns(wal->env) - write->submitted_ns);
    if (wal->log_start_flying > wal->log_start_durable) {
        wal->log_start_durable = wal->log_start_flying;
        wal_retire(wal);
    }
}

static void on_written(struct env_job *job)
{
    struct wal_write *write = CONTAINER_OF(job, struct wal_write, job);
    struct wal *wal = write->wal;

    wal->in_flight = false;
    if (write->status == STATUS_OK) {
        batch_durable(wal);
        wal_update_state(wal, STATUS_OK);
        wal->options.events->on_durable(wal->options.owner, (struct lsn){wal->durable}); /* (1) */
        wal_advance(wal);
        if (wal->gathering->records > 0 || wal->batch_wanted)
            wal_flush_soon(wal);
        else if (!wal->sealed && !wal->closing)
            env_timer_start(wal->env, &wal->seal_timer, wal->options.seal_after_ns);
        wal_background(wal);
    } else {
        char name[WAL_NAME_BYTES];
        wal_segment_name(wal->current->sequence, name);
        log_line(wal->env->log, LOG_ERROR, "storage",
                 "log segment %s: writing %zu bytes at %" PRIu64 " failed: %s", name, write->padded,
                 write->offset, status_text(write->status));
        wal->rewriting = true;
        if (write->mode != WAL_WRITE_TAIL) {
            REACHED("a log segment is abandoned after a failed write or sync");
            wal->stats.abandoned++;
            rewrite(wal);
        } else {
            wal_update_state(wal, write->status);
            if (wal->state != WAL_FAILED)
                env_timer_start(wal->env, &wal->retry_timer, WAL_RETRY_NS);
        }
    }
    wait_queue_wake_all(&wal->settled);
}

/* `why`: of a write or of making a segment; OK when it went well.  Only "no space" is ever left
 * again: after any other failure memory and disk may differ. */
void wal_update_state(struct wal *wal, enum status why)
{
    enum wal_state state = wal->state;

    if (state == WAL_FAILED)
        return;
    if (why != STATUS_OK && why != STATUS_NO_SPACE)
        state = WAL_FAILED;
    else if ((wal->rewriting && why == STATUS_NO_SPACE) ||
             (wal->filling_short && wal->spare_count < WAL_RESERVE))
        state = WAL_NO_SPACE;
    else
        state = WAL_OK;
    if (state == wal->state)
        return;
    wal->state = state;
    wal->status = state == WAL_OK ? STATUS_OK : state == WAL_NO_SPACE ? STATUS_NO_SPACE : why;
    log_line(wal->env->log, state == WAL_OK ? LOG_INFO : LOG_ERROR, "storage", "the log %s",
             state == WAL_OK         ? "takes writes again"
             : state == WAL_NO_SPACE ? "has no space: writes are refused until there is some"
                                     : "has failed: nothing more is acknowledged until a restart");
    if (wal->options.events->on_state != NULL)
        wal->options.events->on_state(wal->options.owner, state);
}

/* ---- Timers ---- */

/* An idle log is sealed, so that damage to its last batch is found to be damage. */
static void on_seal(struct env_timer *timer)
{
    struct wal *wal = CONTAINER_OF(timer, struct wal, seal_timer);

    if (wal->sealed || wal->in_flight || wal->rewriting ||
        wal->position + WAL_BLOCK_BYTES > wal->current->bytes)
        return;
    wal->batch_wanted = true;
    wal_flush(wal);
}

static void on_retry(struct env_timer *timer)
{
    struct wal *wal = CONTAINER_OF(timer, struct wal, retry_timer);

    wal->filling_paused = false;
    wal_background(wal);
    wal_resume(wal);
}

void wal_timers_init(struct wal *wal)
{
    wal->flush_task.run = on_flush;
    list_init(&wal->flush_task.link);
    wal->seal_timer.fire = on_seal;
    wal->retry_timer.fire = on_retry;
    wal->write.wal = wal;
    wal->write.block = wal->block;
    wal->write.job.lane = ENV_LANE_LOG;
    wal->write.job.run = wal_write_run;
    wal->write.job.done = on_written;
    list_init(&wal->write.job.link);
    wal_batch_start(wal, wal->gathering, wal->durable);
}

/* ---- Small answers ---- */

struct lsn wal_durable(const struct wal *wal)
{
    return (struct lsn){wal->durable};
}

void wal_release(struct wal *wal, struct lsn oldest_needed)
{
    if (oldest_needed.value <= wal->released)
        return;
    wal->released = oldest_needed.value;
    if (!wal->quiet)
        wal_advance(wal);
}

uint64_t wal_log_id(const struct wal *wal)
{
    return wal->log_id;
}

enum wal_state wal_state(const struct wal *wal)
{
    return wal->state;
}

enum status wal_status(const struct wal *wal)
{
    return wal->status;
}

const struct wal_stats *wal_stats(const struct wal *wal)
{
    return &wal->stats;
}
