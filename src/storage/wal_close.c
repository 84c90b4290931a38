/* wal_close.c - wal_close: everything that was appended made durable, the log made small. */
#include "base/assert.h"
#include "storage/wal_private.h"

/* What runs for the log cannot be interrupted, and so neither can waiting for it. */
static void wait_settled(struct context *ctx, struct wal *wal)
{
    wait_queue_wait_out(ctx, &wal->settled);
}

/* Until nothing is gathered or in flight, unless that would be for a disk that is full. */
static enum status write_out(struct context *ctx, struct wal *wal)
{
    for (;;) {
        if (wal->state == WAL_FAILED || wal_stalled(wal))
            return wal->status;
        bool waiting = wal->in_flight || wal->rewriting || wal->gathering->records > 0 ||
                       wal->batch_wanted || wal->carry_to != 0;
        if (!waiting)
            return STATUS_OK;
        wal_resume(wal);
        wait_settled(ctx, wal);
    }
}

static enum status seal(struct context *ctx, struct wal *wal)
{
    if (wal->sealed)
        return STATUS_OK;
    wal->batch_wanted = true;
    return write_out(ctx, wal);
}

/* Until the background has nothing to do. */
static void wait_background(struct context *ctx, struct wal *wal)
{
    for (;;) {
        wal_background(wal);
        if (!wal->file_job.running)
            return;
        wait_settled(ctx, wal);
    }
}

/* Give up spares that a closed log should not keep. */
static void retire_large_spares(struct wal *wal)
{
    uint64_t bytes_max = MAX((uint64_t)WAL_CLOSED_BYTES, wal->options.segment_bytes_min);

    LIST_FOR_EACH_SAFE (node, &wal->spares) {
        struct wal_segment *segment = LIST_ITEM(node, struct wal_segment, link);
        if (segment->bytes <= bytes_max && wal->spare_count <= WAL_RESERVE)
            continue;
        wal_spare_remove(wal, segment);
        list_push_back(&wal->retired, &segment->link);
    }
}

/* When the owner has released everything, begin one more, small segment: the log's start moves to
 * it, with what is carried forward, and all before it is removed. */
static enum status make_small(struct context *ctx, struct wal *wal)
{
    wal->segment_bytes_next = wal->options.segment_bytes_min;
    wait_background(ctx, wal);
    retire_large_spares(wal);
    wait_background(ctx, wal);

    /* Not further than what was released, though only the log's own batches be beyond it: the
     * owner's checkpoint says where it begins to read. */
    bool needed = wal->released < wal->durable;
    bool small = wal->stats.live_segments == 1 && wal->current->bytes <= WAL_CLOSED_BYTES;
    if (!small && !needed) {
        wal->switch_wanted = wal->batch_wanted = true;
        TRY(write_out(ctx, wal)); /* wal_advance does the rest */
    }
    return seal(ctx, wal);
}

enum status wal_settle(struct context *ctx, struct wal *wal)
{
    uint64_t deadline_ns = ctx->deadline_ns;

    ctx->deadline_ns = UINT64_MAX;
    enum status status = write_out(ctx, wal);
    if (status == STATUS_OK)
        status = seal(ctx, wal);
    wal->quiet = status == STATUS_OK;
    ctx->deadline_ns = deadline_ns;
    return status;
}

/* One job closes all files. */
struct close_job {
    struct env_job job;
    struct wal *wal;
};

static void close_all(struct env *env, struct list *segments)
{
    LIST_FOR_EACH (node, segments) {
        struct wal_segment *segment = LIST_ITEM(node, struct wal_segment, link);
        if (segment->file != NULL)
            env_file_close(env, segment->file);
        segment->file = NULL;
    }
}

static void close_run(struct env_job *job)
{
    struct wal *wal = CONTAINER_OF(job, struct close_job, job)->wal;

    close_all(job->env, &wal->live);
    close_all(job->env, &wal->spares);
    close_all(job->env, &wal->retired);
    if (wal->filling != NULL && wal->filling->file != NULL)
        env_file_close(job->env, wal->filling->file);
}

static void free_segments(struct wal *wal, struct list *segments)
{
    LIST_FOR_EACH_SAFE (node, segments) {
        wal_segment_free(wal, LIST_ITEM(node, struct wal_segment, link));
    }
}

void wal_discard(struct context *ctx, struct wal *wal)
{
    struct close_job close = {.job = {.lane = ENV_LANE_BACKGROUND, .run = close_run}, .wal = wal};

    ASSERT(!wal->in_flight && !wal->file_job.running);
    env_timer_stop(wal->env, &wal->seal_timer);
    env_timer_stop(wal->env, &wal->retry_timer);
    while (context_run_job(ctx, &close.job) != STATUS_OK)
        context_yield(ctx); /* the lane is full */
    if (wal->filling != NULL)
        wal_segment_free(wal, wal->filling);
    free_segments(wal, &wal->live);
    free_segments(wal, &wal->spares);
    free_segments(wal, &wal->retired);
    wal_kept_free_all(wal);
    for (size_t i = 0; i < ARRAY_COUNT(wal->batches); i++)
        heap_free(wal->heap, wal->batches[i].memory, wal->batches[i].memory_bytes);
    heap_free(wal->heap, wal->block_memory, 2 * WAL_BLOCK_BYTES);
    heap_free(wal->heap, wal, sizeof(*wal));
}

enum status wal_close(struct context *ctx, struct wal *wal)
{
    uint64_t deadline_ns = ctx->deadline_ns;

    ctx->deadline_ns = UINT64_MAX;
    wal->closing = true;
    env_timer_stop(wal->env, &wal->seal_timer);
    enum status status = write_out(ctx, wal);
    bool durable = status == STATUS_OK;
    if (durable)
        status = make_small(ctx, wal);
    if (durable && status == STATUS_NO_SPACE)
        status = STATUS_OK; /* it stays as it is, which is long, but whole */
    env_timer_stop(wal->env, &wal->retry_timer);
    wait_background(ctx, wal);
    wal->stopped = true;
    while (wal->in_flight || wal->file_job.running || wal->flush_pending) {
        if (wal->flush_pending)
            context_yield(ctx);
        else
            wait_settled(ctx, wal);
    }
    if (status == STATUS_OK && wal->state == WAL_FAILED)
        status = wal->status;
    wal_discard(ctx, wal);
    ctx->deadline_ns = deadline_ns;
    return status;
}
