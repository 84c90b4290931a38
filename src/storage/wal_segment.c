#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/log.h"
#include "storage/wal_private.h"

/* ---- Segments and their files ---- */

struct wal_segment *wal_segment_new(struct wal *wal, uint64_t sequence, uint64_t bytes)
{
    struct wal_segment *segment = heap_alloc_zero(wal->heap, sizeof(*segment));

    if (segment == NULL)
        return NULL;
    list_init(&segment->link);
    segment->sequence = sequence;
    segment->bytes = bytes;
    return segment;
}

/* Its file is closed by then. */
void wal_segment_free(struct wal *wal, struct wal_segment *segment)
{
    list_remove(&segment->link);
    heap_free(wal->heap, segment, sizeof(*segment));
}

void wal_path(const struct wal *wal, uint64_t sequence, char path[WAL_PATH_BYTES])
{
    size_t dir_bytes = strlen(wal->dir);

    ASSERT(dir_bytes + 1 + WAL_NAME_BYTES <= WAL_PATH_BYTES);
    memcpy(path, wal->dir, dir_bytes);
    path[dir_bytes] = '/';
    wal_segment_name(sequence, path + dir_bytes + 1);
}

/* Write zeros, so that later syncs find the blocks allocated and written. */
enum status wal_zero_fill(struct env *env, struct env_file *file, uint64_t offset, uint64_t count)
{
    static const uint8_t zeros[16u << 10];
    struct bytes runs[32];

    while (count > 0) {
        size_t run_count = 0;
        uint64_t bytes = 0;
        while (run_count < ARRAY_COUNT(runs) && bytes < count) {
            runs[run_count] = bytes_of(zeros, (size_t)MIN(sizeof(zeros), count - bytes));
            bytes += runs[run_count++].count;
        }
        TRY(env_file_write(env, file, offset, runs, run_count));
        offset += bytes;
        count -= bytes;
    }
    return STATUS_OK;
}

void wal_spare_add(struct wal *wal, struct wal_segment *segment)
{
    list_push_back(&wal->spares, &segment->link);
    wal->spare_count++;
}

void wal_spare_remove(struct wal *wal, struct wal_segment *segment)
{
    list_remove(&segment->link);
    wal->spare_count--;
}

struct wal_segment *wal_spare_take(struct wal *wal)
{
    if (list_empty(&wal->spares))
        return NULL;
    struct wal_segment *segment = LIST_ITEM(wal->spares.next, struct wal_segment, link);
    wal_spare_remove(wal, segment);
    return segment;
}

/* ---- The background: one job at a time ---- */

static enum status fill_run(struct wal_file_job *job, struct env *env, const char *path)
{
    struct wal_segment *segment = job->segment;

    if (segment->file == NULL)
        TRY(env_file_open(env, path, ENV_FILE_CREATE, &segment->file));
    uint64_t bytes = MIN((uint64_t)WAL_FILL_BYTES, segment->bytes - segment->filled);
    TRY(wal_zero_fill(env, segment->file, segment->filled, bytes));
    segment->filled += bytes;
    if (segment->filled < segment->bytes)
        return STATUS_OK;
    TRY(env_file_sync(env, segment->file));
    TRY(env_dir_sync(env, job->wal->dir));
    job->done_filling = true;
    return STATUS_OK;
}

static enum status recycle_run(struct wal_file_job *job, struct env *env, const char *path)
{
    char path_to[WAL_PATH_BYTES];

    wal_path(job->wal, job->sequence_to, path_to);
    TRY(env_file_rename(env, path, path_to));
    job->segment->sequence = job->sequence_to;
    TRY(env_file_open(env, path_to, 0, &job->segment->file));
    return env_dir_sync(env, job->wal->dir);
}

/* In the background lane; the segment and its file are the job's meanwhile. */
static void file_job_run(struct env_job *env_job)
{
    struct wal_file_job *job = CONTAINER_OF(env_job, struct wal_file_job, job);
    struct wal_segment *segment = job->segment;
    struct env *env = env_job->env;
    char path[WAL_PATH_BYTES];

    wal_path(job->wal, segment->sequence, path);
    if (job->op != WAL_FILE_FILL && segment->file != NULL) {
        env_file_close(env, segment->file);
        segment->file = NULL;
    }
    switch (job->op) {
    case WAL_FILE_CLOSE:
        job->status = STATUS_OK;
        break;
    case WAL_FILE_FILL:
        job->status = fill_run(job, env, path);
        break;
    case WAL_FILE_RECYCLE:
        job->status = recycle_run(job, env, path);
        break;
    case WAL_FILE_REMOVE:
        job->status = env_file_remove(env, path);
        if (job->status == STATUS_OK)
            job->status = env_dir_sync(env, job->wal->dir);
        break;
    }
    if (job->status != STATUS_OK && segment->file != NULL) {
        env_file_close(env, segment->file);
        segment->file = NULL;
        if (job->op == WAL_FILE_FILL) /* give the space back; another one is made instead */
            (void)!env_file_remove(env, path);
    }
}

static void fill_done(struct wal *wal, struct wal_file_job *job)
{
    struct wal_segment *segment = job->segment;

    if (job->status == STATUS_OK && !job->done_filling)
        return;
    wal->filling = NULL;
    if (job->status == STATUS_OK) {
        wal_spare_add(wal, segment);
        wal->filling_short = false;
        wal->segment_bytes_next = MIN(wal->options.segment_bytes_max, wal->segment_bytes_next * 2);
        wal_update_state(wal, STATUS_OK);
        return;
    }
    bool smaller =
        job->status == STATUS_NO_SPACE && wal->segment_bytes_next > wal->options.segment_bytes_min;
    if (!smaller && (!wal->filling_short || job->status != STATUS_NO_SPACE))
        log_line(wal->env->log, LOG_WARNING, "storage",
                 "making a log segment of %" PRIu64 " bytes failed: %s", segment->bytes,
                 status_text(job->status));
    wal_segment_free(wal, segment);
    if (smaller) { /* one may fit; else it is tried again every second */
        wal->segment_bytes_next =
            MAX(wal->options.segment_bytes_min, wal_padded(wal->segment_bytes_next / 2));
        return;
    }
    wal->filling_short = job->status == STATUS_NO_SPACE;
    wal->filling_paused = true;
    env_timer_start(wal->env, &wal->retry_timer, WAL_RETRY_NS);
    wal_update_state(wal, job->status);
}

static void file_job_done(struct env_job *env_job)
{
    struct wal_file_job *job = CONTAINER_OF(env_job, struct wal_file_job, job);
    struct wal *wal = job->wal;
    struct wal_segment *segment = job->segment;

    job->running = false;
    switch (job->op) {
    case WAL_FILE_CLOSE:
        break;
    case WAL_FILE_FILL:
        fill_done(wal, job);
        break;
    case WAL_FILE_RECYCLE:
    case WAL_FILE_REMOVE:
        if (job->status != STATUS_OK)
            log_line(wal->env->log, LOG_WARNING, "storage",
                     "giving up log segment %" PRIx64 " failed: %s", segment->sequence,
                     status_text(job->status));
        if (job->status == STATUS_OK && job->op == WAL_FILE_RECYCLE) {
            wal->stats.recycled++;
            wal_spare_add(wal, segment);
            wal_update_state(wal, STATUS_OK);
        } else {
            /* What could not be removed is below the log's start: the next opening removes it. */
            wal_segment_free(wal, segment);
        }
        break;
    }
    if (!list_empty(&wal->spares) && (wal->waits_for_spare || wal->rewriting))
        wal_resume(wal);
    wal_background(wal);
    wait_queue_wake_all(&wal->settled);
}

static void start(struct wal *wal, enum wal_file_op op, struct wal_segment *segment)
{
    struct wal_file_job *job = &wal->file_job;

    job->wal = wal;
    job->op = op;
    job->segment = segment;
    job->done_filling = false;
    job->job.lane = ENV_LANE_BACKGROUND;
    job->job.run = file_job_run;
    job->job.done = file_job_done;
    job->running = env_job_submit(wal->env, &job->job) == STATUS_OK;
    if (!job->running) /* the lane is full */
        env_timer_start(wal->env, &wal->retry_timer, WAL_RETRY_NS);
}

/* The first live segment whose file is open for no reason. */
static struct wal_segment *find_open(struct wal *wal)
{
    if (!wal->close_wanted)
        return NULL;
    LIST_FOR_EACH (node, &wal->live) {
        struct wal_segment *segment = LIST_ITEM(node, struct wal_segment, link);
        if (segment->file != NULL && segment != wal->current)
            return segment;
    }
    wal->close_wanted = false;
    return NULL;
}

static void start_retired(struct wal *wal)
{
    struct wal_segment *segment = LIST_ITEM(wal->retired.next, struct wal_segment, link);
    bool useful = !segment->given_up && wal->spare_count < WAL_SPARES_MAX &&
                  segment->bytes >= wal->segment_bytes_next / 2 &&
                  segment->bytes <= wal->options.segment_bytes_max;

    if (wal->closing || segment->given_up || (!useful && !wal->filling_short)) {
        start(wal, WAL_FILE_REMOVE, segment);
    } else {
        wal->file_job.sequence_to = wal->sequence_last + 1;
        start(wal, WAL_FILE_RECYCLE, segment);
        wal->sequence_last += wal->file_job.running;
    }
    if (wal->file_job.running)
        list_remove(&segment->link);
}

static struct wal_segment *largest_spare(const struct wal *wal)
{
    struct wal_segment *largest = LIST_ITEM(wal->spares.next, struct wal_segment, link);

    LIST_FOR_EACH (node, &wal->spares) {
        struct wal_segment *segment = LIST_ITEM(node, struct wal_segment, link);
        if (segment->bytes > largest->bytes)
            largest = segment;
    }
    return largest;
}

void wal_give_space(struct wal *wal)
{
    if (wal->closing)
        return;
    while (wal->spare_count > WAL_RESERVE) {
        struct wal_segment *segment = largest_spare(wal);
        wal_spare_remove(wal, segment);
        segment->given_up = true;
        list_push_back(&wal->retired, &segment->link);
    }
    wal_background(wal);
}

/* Nothing is made for a log that nobody writes to, nor once it closes but one small spare.  The
 * first start's few batches are not to stand behind the making of spares: they wait until the new
 * log is idle, or more is written. */
static bool wants_spare(const struct wal *wal)
{
    uint32_t wanted = wal->closing ? 1 : WAL_RESERVE;
    bool starting =
        wal->is_new && !wal->closing && !wal->sealed && wal->position <= WAL_START_BYTES;

    return wal->filling == NULL && !wal->filling_paused && wal->spare_count < wanted &&
           wal->state != WAL_FAILED &&
           ((wal->stats.appends > 0 && !starting) || wal->waits_for_spare);
}

void wal_background(struct wal *wal)
{
    if (wal->file_job.running || wal->stopped)
        return;
    struct wal_segment *open = find_open(wal);
    if (open != NULL) {
        start(wal, WAL_FILE_CLOSE, open);
    } else if (wal->filling != NULL) {
        /* Before any recycling: spares are used in the order of their sequences. */
        start(wal, WAL_FILE_FILL, wal->filling);
    } else if (!list_empty(&wal->retired)) {
        start_retired(wal);
    } else if (wants_spare(wal)) {
        wal->filling = wal_segment_new(wal, wal->sequence_last + 1, wal->segment_bytes_next);
        if (wal->filling == NULL) {
            wal->filling_paused = true;
            env_timer_start(wal->env, &wal->retry_timer, WAL_RETRY_NS);
            return;
        }
        wal->sequence_last++;
        start(wal, WAL_FILE_FILL, wal->filling);
    }
}

/* ---- What is kept for ever ---- */

static void replica_key(struct replica_id replica, uint8_t key[WAL_KEY_BYTES])
{
    put_u64(key, replica.group);
    put_u64(key + 8, replica.added);
    put_u32(key + 16, replica.node);
}

static void kept_free(struct wal *wal, struct wal_kept *kept)
{
    if (kept == NULL)
        return;
    list_remove(&kept->link);
    heap_free(wal->heap, kept, sizeof(*kept) + kept->record.payload.count);
}

static struct wal_replica *find_replica(struct wal *wal, struct replica_id id)
{
    uint8_t key[WAL_KEY_BYTES];

    replica_key(id, key);
    return hash_map_find(&wal->replicas, bytes_of(key, sizeof(key)));
}

static enum status make_replica(struct wal *wal, struct replica_id id, struct wal_replica **made)
{
    struct wal_replica *replica = heap_alloc_zero(wal->heap, sizeof(*replica));

    if (replica == NULL)
        return STATUS_NO_MEMORY;
    replica_key(id, replica->key);
    enum status status =
        hash_map_insert(&wal->replicas, bytes_of(replica->key, sizeof(replica->key)), replica);
    if (status != STATUS_OK) {
        heap_free(wal->heap, replica, sizeof(*replica));
        return status;
    }
    *made = replica;
    return STATUS_OK;
}

enum status wal_keep_prepare(struct wal *wal, const struct wal_record *record,
                             struct wal_keeping *keeping)
{
    keeping->replica = find_replica(wal, record->replica);
    keeping->kept = NULL;
    if (record->type != WAL_PROMISE && record->type != WAL_CONFIGURATION)
        return STATUS_OK;

    size_t bytes = sizeof(*keeping->kept) + record->payload.count;
    keeping->kept = heap_alloc(wal->heap, bytes);
    if (keeping->kept == NULL)
        return STATUS_NO_MEMORY;
    if (keeping->replica == NULL) {
        enum status status = make_replica(wal, record->replica, &keeping->replica);
        if (status != STATUS_OK) {
            heap_free(wal->heap, keeping->kept, bytes);
            return status;
        }
    }
    uint8_t *payload = (uint8_t *)(keeping->kept + 1);
    if (record->payload.count > 0)
        memcpy(payload, record->payload.at, record->payload.count);
    keeping->kept->record = *record;
    keeping->kept->record.payload.at = payload;
    list_init(&keeping->kept->link);
    return STATUS_OK;
}

static void forget_replica(struct wal *wal, struct wal_replica *replica)
{
    for (int i = 0; i < KEPT_COUNT; i++)
        kept_free(wal, replica->kept[i]);
    hash_map_remove(&wal->replicas, bytes_of(replica->key, sizeof(replica->key)));
    heap_free(wal->heap, replica, sizeof(*replica));
}

/* A cut log has the configurations that are left in it. */
static void cut_configurations(struct wal *wal, struct wal_replica *replica, uint64_t slot)
{
    struct wal_kept **newest = &replica->kept[KEPT_CONFIGURATION];

    if (*newest == NULL || (*newest)->record.slot <= slot)
        return;
    kept_free(wal, *newest);
    *newest = replica->kept[KEPT_CONFIGURATION_BEFORE];
    replica->kept[KEPT_CONFIGURATION_BEFORE] = NULL;
}

/* Where a configuration goes: over the one of the same slot (a copy), or before the newest. */
static int configuration_place(struct wal *wal, struct wal_replica *replica, uint64_t slot)
{
    struct wal_kept *newest = replica->kept[KEPT_CONFIGURATION];

    if (newest == NULL || newest->record.slot == slot)
        return KEPT_CONFIGURATION;
    if (slot < newest->record.slot)
        return KEPT_CONFIGURATION_BEFORE;
    kept_free(wal, replica->kept[KEPT_CONFIGURATION_BEFORE]);
    replica->kept[KEPT_CONFIGURATION_BEFORE] = newest;
    replica->kept[KEPT_CONFIGURATION] = NULL;
    return KEPT_CONFIGURATION;
}

void wal_keep(struct wal *wal, const struct wal_record *record, uint64_t lsn,
              struct wal_keeping keeping)
{
    struct wal_replica *replica = keeping.replica;

    if (keeping.kept == NULL) {
        if (replica != NULL && record->type == WAL_TRUNCATION)
            cut_configurations(wal, replica, record->slot);
        if (replica != NULL && record->type == WAL_REMOVAL)
            forget_replica(wal, replica);
        return;
    }
    int place = record->type == WAL_PROMISE ? KEPT_PROMISE
                                            : configuration_place(wal, replica, record->slot);
    kept_free(wal, replica->kept[place]);
    replica->kept[place] = keeping.kept;
    keeping.kept->lsn = lsn;
    list_push_back(&wal->kept, &keeping.kept->link);
}

void wal_kept_free_all(struct wal *wal)
{
    struct wal_replica *replica;
    uint32_t position = 0;

    while ((replica = hash_map_next(&wal->replicas, &position)) != NULL)
        forget_replica(wal, replica);
    hash_map_release(&wal->replicas);
}

/* ---- Giving up the oldest segments ---- */

enum status wal_carry(struct wal *wal, uint64_t to)
{
    while (!list_empty(&wal->kept)) {
        struct wal_kept *kept = LIST_ITEM(wal->kept.next, struct wal_kept, link);
        struct wal_record record = kept->record;
        struct lsn lsn;

        if (kept->lsn >= to)
            return STATUS_OK;
        uint64_t bytes = wal->gathering->count + wal_record_bytes(record.payload.count);
        if (wal->gathering->records > 0 && bytes > wal->options.unsynced_bytes_max / 2)
            return STATUS_BUSY;
        record.carried = true;
        TRY(wal_append_always(wal, &record, &lsn)); /* moves it to the end of `kept` */
        wal->stats.carried++;
    }
    return STATUS_OK;
}

/* The start of the newest segment such that all before it is released; the current one is never
 * given up. */
static uint64_t start_allowed(const struct wal *wal)
{
    uint64_t start = wal->log_start;

    LIST_FOR_EACH (node, &wal->live) {
        const struct wal_segment *segment = LIST_ITEM(node, struct wal_segment, link);
        if (segment->start > wal->released)
            break;
        start = MAX(start, segment->start);
    }
    return start;
}

void wal_advance(struct wal *wal)
{
    if (wal->state == WAL_FAILED)
        return;
    if (wal->carry_to == 0) {
        uint64_t start = start_allowed(wal);
        if (start <= wal->log_start)
            return;
        wal->carry_to = start;
    }
    if (wal_carry(wal, wal->carry_to) != STATUS_OK)
        return; /* goes on after the next batch */
    wal->log_start = wal->carry_to;
    wal->carry_to = 0;
    wal->batch_wanted = true;
    wal_flush_soon(wal);
}

void wal_retire(struct wal *wal)
{
    for (;;) {
        struct wal_segment *segment = LIST_ITEM(wal->live.next, struct wal_segment, link);
        if (segment == wal->current)
            return;
        struct wal_segment *next = LIST_ITEM(segment->link.next, struct wal_segment, link);
        if (next->start > wal->log_start_durable)
            return; /* (5) */
        list_remove(&segment->link);
        list_push_back(&wal->retired, &segment->link);
        wal->stats.live_segments--;
        wal->stats.live_bytes -= segment->bytes;
    }
}
