/* wal_recover_jobs.c - wal_open's blocking work, one job at a time, and the window through which
 * files are read. */
#include <stdlib.h>
#include <string.h>

#include "storage/wal_recover_private.h"

#define WINDOW_BYTES (256u << 10)

/* ---- Jobs ---- */

static void count_name(void *argument, const char *name)
{
    struct recovery *r = argument;
    r->found_capacity += wal_segment_sequence(name) != 0;
}

static void add_name(void *argument, const char *name)
{
    struct recovery *r = argument;
    uint64_t sequence = wal_segment_sequence(name);
    if (sequence != 0 && r->found_count < r->found_capacity)
        r->found[r->found_count++] = (struct found){.sequence = sequence};
}

static enum status classify(struct recovery *r, struct env *env, struct found *found)
{
    char path[WAL_PATH_BYTES];
    struct env_file *file;

    wal_path(r->wal, found->sequence, path);
    TRY(env_file_open(env, path, ENV_FILE_READ_ONLY, &file));
    enum status status = env_file_size(env, file, &found->bytes);
    found->verdict = WAL_BLANK;
    if (status == STATUS_OK && found->bytes >= WAL_BLOCK_BYTES) {
        status = env_file_read(env, file, 0, r->wal->block, WAL_BLOCK_BYTES);
        if (status == STATUS_OK)
            found->verdict = wal_segment_header_decode(r->wal->block, &found->header);
    }
    env_file_close(env, file);
    found->used = found->verdict == WAL_VALID && found->header.sequence == found->sequence;
    return status;
}

static int compare_found(const void *a, const void *b)
{
    const struct found *left = a, *right = b;
    return left->sequence < right->sequence ? -1 : left->sequence > right->sequence;
}

static enum status list_run(struct recovery *r, struct env *env)
{
    TRY(env_dir_list(env, r->wal->dir, add_name, r));
    qsort(r->found, r->found_count, sizeof(*r->found), compare_found);
    for (uint32_t i = 0; i < r->found_count; i++)
        TRY(classify(r, env, &r->found[i]));
    return STATUS_OK;
}

/* Open a spare's file, making it when it is not there.  A name that was found may not be durable
 * either: the first spare syncs all. */
static enum status spare_run(struct recovery *r, struct env *env, struct wal_segment *segment)
{
    char path[WAL_PATH_BYTES];

    wal_path(r->wal, segment->sequence, path);
    TRY(env_file_open(env, path, ENV_FILE_CREATE, &segment->file));
    if (segment->filled < segment->bytes) {
        TRY(wal_zero_fill(env, segment->file, segment->filled, segment->bytes - segment->filled));
        segment->filled = segment->bytes;
        r->names_synced = false;
    }
    if (!r->names_synced)
        TRY(env_dir_sync(env, r->wal->dir));
    r->names_synced = true;
    return STATUS_OK;
}

/* Write the window over the place that it was read from; the file stays open. */
static enum status again_run(struct recovery *r, struct env *env, struct wal_segment *segment,
                             uint64_t offset, size_t count)
{
    char path[WAL_PATH_BYTES];
    struct bytes bytes = bytes_of(r->window + (offset - r->window_offset), count);

    wal_path(r->wal, segment->sequence, path);
    TRY(env_file_open(env, path, 0, &segment->file));
    TRY(env_file_write(env, segment->file, offset, &bytes, 1));
    return env_file_sync(env, segment->file);
}

/* Put a lost segment aside under a name that is not the log's. */
static enum status lose_run(struct recovery *r, struct env *env, uint64_t sequence)
{
    char path[WAL_PATH_BYTES];
    char path_to[WAL_PATH_BYTES + 8];
    size_t dir_bytes = strlen(r->wal->dir) + 1;

    wal_path(r->wal, sequence, path);
    memcpy(path_to, path, dir_bytes);
    memcpy(path_to + dir_bytes, "lost-", 5);
    memcpy(path_to + dir_bytes + 5, path + dir_bytes, WAL_NAME_BYTES);
    TRY(env_file_rename(env, path, path_to));
    return env_dir_sync(env, r->wal->dir);
}

static void job_run(struct env_job *env_job)
{
    struct recovery_job *job = CONTAINER_OF(env_job, struct recovery_job, job);
    struct recovery *r = job->r;
    struct env *env = env_job->env;
    char path[WAL_PATH_BYTES];

    switch (job->op) {
    case JOB_COUNT:
        job->status = env_dir_list(env, r->wal->dir, count_name, r);
        break;
    case JOB_LIST:
        job->status = list_run(r, env);
        break;
    case JOB_OPEN:
        wal_path(r->wal, job->sequence, path);
        job->status = env_file_open(env, path, ENV_FILE_READ_ONLY, &r->file);
        break;
    case JOB_READ:
        job->status = env_file_read(env, r->file, job->offset, r->window, job->count);
        break;
    case JOB_CLOSE:
        env_file_close(env, r->file);
        job->status = STATUS_OK;
        break;
    case JOB_SPARE:
        job->status = spare_run(r, env, job->segment);
        break;
    case JOB_AGAIN:
        job->status = again_run(r, env, job->segment, job->offset, job->count);
        break;
    case JOB_LOSE:
        job->status = lose_run(r, env, job->sequence);
        break;
    }
}

/* Run the job whose fields are set, and wait for it. */
enum status recovery_run(struct recovery *r)
{
    r->job.r = r;
    r->job.job.lane = ENV_LANE_BACKGROUND;
    r->job.job.run = job_run;
    TRY(context_run_job(r->ctx, &r->job.job));
    return r->job.status;
}

/* ---- Reading ---- */

enum status recovery_close(struct recovery *r)
{
    if (r->file == NULL)
        return STATUS_OK;
    r->job.op = JOB_CLOSE;
    enum status status = recovery_run(r);
    r->file = NULL;
    r->reading = NULL;
    r->window_count = 0;
    return status;
}

enum status recovery_open(struct recovery *r, const struct found *found)
{
    if (r->reading == found)
        return STATUS_OK;
    TRY(recovery_close(r));
    r->job.op = JOB_OPEN;
    r->job.sequence = found->sequence;
    TRY(recovery_run(r));
    r->reading = found;
    return STATUS_OK;
}

static enum status window_grow(struct recovery *r, size_t count)
{
    size_t bytes = MAX(count, (size_t)WINDOW_BYTES);

    if (bytes <= r->window_bytes)
        return STATUS_OK;
    uint8_t *window = heap_alloc(r->wal->heap, bytes);
    if (window == NULL)
        return STATUS_NO_MEMORY;
    heap_free(r->wal->heap, r->window, r->window_bytes);
    r->window = window;
    r->window_bytes = bytes;
    r->window_count = 0;
    return STATUS_OK;
}

/* The `count` bytes at `offset` of the open file; valid until the next call.
 *   STATUS_END  the file ends before */
enum status recovery_read(struct recovery *r, uint64_t offset, size_t count, const uint8_t **at)
{
    uint64_t bytes = r->reading->bytes;

    if (offset > bytes || count > bytes - offset)
        return STATUS_END;
    if (offset < r->window_offset || offset + count > r->window_offset + r->window_count) {
        TRY(window_grow(r, count));
        r->job.op = JOB_READ;
        r->job.offset = offset;
        r->job.count = (size_t)MIN((uint64_t)r->window_bytes, bytes - offset);
        r->window_count = 0;
        TRY(recovery_run(r));
        r->window_offset = offset;
        r->window_count = r->job.count;
    }
    *at = r->window + (offset - r->window_offset);
    return STATUS_OK;
}
