/* wal_recover.c - wal_open: what is on disk, verified, replayed, its tail written again.
 *
 * Each segment says where the log before it ends (`start`), and each batch where the batch before
 * it ends (`previous`), so the files are a chain: a segment counts up to the lowest start of the
 * segments after it, and must have intact batches exactly up to there.  That covers a segment that
 * was abandoned after a failed sync (what it may hold beyond is in the next one), a crash while the
 * tail was written again, and a cut log.
 *
 * In the last segment the log ends at the first place that holds no batch that continues it.  If an
 * intact batch anywhere behind says that the log was known synced beyond that place, it is damage;
 * otherwise it is the torn end of what was never acknowledged, or nothing at all.
 *
 * The last intact batch may be in the page cache only: it is written again to a new segment, with
 * an empty batch behind it, synced, and then that segment's header is written and synced.  If the
 * process ends before that last sync, the header may be in the page cache only, and with it all
 * that the segment holds: so a segment that has nothing but such early batches is written again
 * from its first one.  The empty batch's LSN leaves a gap greater than all that could have been
 * given out and lost, so that no LSN is used twice.
 *
 * When the log is known to be synced to its end, because the checkpoint's position is there, or
 * because it is new, then nothing is written again, and the new segment begins as any other does:
 * with the header and the empty batch in one write and one sync.
 *
 * On a disk so full that no segment can be made, the same bytes are written again to the place
 * where they are, and synced: whatever of them the disk has is only overwritten with itself.  The
 * log goes on behind them.
 */
#include <inttypes.h>
#include <string.h>

#include "base/log.h"
#include "env/bugs.h"
#include "storage/wal_recover_private.h"

#define FILES_MAX 65536u

/* ---- Damage ---- */

/* Damage at `offset` of a file: the log is lost from r->end up to at least `to`.  An error, unless
 * the operator accepts it. */
static enum status damaged(struct recovery *r, const struct found *found, uint64_t offset,
                           uint64_t to)
{
    char name[WAL_NAME_BYTES];
    const struct wal *wal = r->wal;

    wal_segment_name(found->sequence, name);
    log_line(wal->env->log, LOG_ERROR, "storage",
             "the log is damaged: %s/%s at offset %" PRIu64
             ": what was written from position %" PRIu64 " to at least %" PRIu64
             ", and all after it, is lost%s",
             wal->dir, name, offset, r->end, to, wal->options.accept_loss ? " (accepted)" : "");
    REACHED("damage in the log is found");
    if (!wal->options.accept_loss)
        return STATUS_CORRUPT;
    r->cut = true;
    return STATUS_OK;
}

/* A stretch of the log is not there at all. */
static enum status missing(struct recovery *r, const char *what, uint64_t from, uint64_t to)
{
    log_line(r->wal->env->log, LOG_ERROR, "storage",
             "the log in %s %s: positions %" PRIu64 " to %" PRIu64 " are lost%s", r->wal->dir, what,
             from, to, r->wal->options.accept_loss ? " (accepted)" : "");
    return r->wal->options.accept_loss ? STATUS_OK : STATUS_CORRUPT;
}

/* ---- Scanning ---- */

/* Give the records of an intact batch to the owner. */
static enum status replay(struct recovery *r, const struct wal_batch_header *header,
                          const uint8_t *batch)
{
    struct wal *wal = r->wal;
    struct bytes rest =
        bytes_of(batch + WAL_BATCH_HEADER_BYTES, header->length - WAL_BATCH_HEADER_BYTES);

    for (;;) {
        struct wal_record record;
        struct wal_keeping keeping = {0};
        uint64_t lsn = header->lsn + (uint64_t)(rest.at - batch);

        enum status status = wal_record_decode(&rest, wal->log_id, &record);
        if (status == STATUS_END)
            return STATUS_OK;
        if (status != STATUS_OK) {
            log_line(wal->env->log, LOG_ERROR, "storage",
                     "the log record at position %" PRIu64 " is in an intact batch, but %s", lsn,
                     status_text(status));
            return status;
        }
        if (record.type != WAL_ENTRY) {
            TRY(wal_keep_prepare(wal, &record, &keeping));
            wal_keep(wal, &record, lsn, keeping);
        }
        TRY(wal->options.events->on_record(r->ctx, wal->options.owner, &record, (struct lsn){lsn}));
        wal->stats.replayed++;
    }
}

/* A seeded bug: give the owner what verifies of a torn batch. */
static enum status replay_torn(struct recovery *r, const struct wal_batch_header *header,
                               const uint8_t *batch)
{
    struct bytes rest =
        bytes_of(batch + WAL_BATCH_HEADER_BYTES, header->length - WAL_BATCH_HEADER_BYTES);

    while (rest.count >= WAL_RECORD_HEADER_BYTES) {
        struct wal_record record;
        struct lsn lsn = {header->lsn + (uint64_t)(rest.at - batch)};
        if (wal_record_decode(&rest, r->wal->log_id, &record) == STATUS_OK)
            TRY(r->wal->options.events->on_record(r->ctx, r->wal->options.owner, &record, lsn));
        else
            rest = bytes_after(rest, 8);
    }
    return STATUS_OK;
}

/* Read the batch at *offset, if it continues the log, replay it and step over it.
 *   STATUS_END  no intact batch that continues the log is there */
static enum status scan_batch(struct recovery *r, const struct found *found, uint64_t *offset)
{
    struct wal_batch_header header;
    const uint8_t *at;

    TRY(recovery_read(r, *offset, WAL_BATCH_HEADER_BYTES, &at));
    if (!wal_batch_header_decode(at, r->wal->log_id, &header))
        return STATUS_END;
    if (header.sequence != found->sequence || header.nonce != found->header.nonce ||
        header.previous != r->end)
        return STATUS_END;
    TRY(recovery_read(r, *offset, header.length, &at));
    if (!wal_batch_verify(&header, at)) {
        if (!r->peeking && BUG(r->wal->env, BUG_REPLAY_PAST_TORN))
            TRY(replay_torn(r, &header, at));
        return STATUS_END;
    }
    if (!r->peeking)
        TRY(replay(r, &header, at));
    r->end = wal_batch_end(&header);
    r->log_start = MAX(r->log_start, header.log_start);
    if (!header.early || *offset == WAL_BLOCK_BYTES) {
        r->tail = header;
        r->tail_file = found;
        r->tail_offset = *offset;
    }
    *offset += wal_padded(header.length);
    r->tail_end = *offset;
    return STATUS_OK;
}

/* Look at the blocks of the open file from `offset` on for intact batches of this file; the highest
 * position that one of them knew to be synced goes to *synced. */
static enum status scan_strays(struct recovery *r, const struct found *found, uint64_t offset,
                               bool first_only, uint64_t *synced)
{
    struct wal_batch_header header;
    const uint8_t *at;
    enum status status;

    while ((status = recovery_read(r, offset, WAL_BLOCK_BYTES, &at)) == STATUS_OK) {
        bool intact = wal_batch_header_decode(at, r->wal->log_id, &header) &&
                      header.sequence == found->sequence &&
                      (!found->used || header.nonce == found->header.nonce);
        if (intact) {
            r->lsn_highest = MAX(r->lsn_highest, wal_batch_end(&header));
            if (!header.early || found->used)
                *synced = MAX(*synced, header.synced);
        } else if (first_only) {
            return STATUS_OK;
        }
        first_only = false;
        offset += WAL_BLOCK_BYTES;
    }
    return status == STATUS_END ? STATUS_OK : status;
}

/* When no header tells the log's id, the first batch of the open file may. */
static enum status learn_log_id(struct recovery *r)
{
    struct wal_batch_header header;
    const uint8_t *at;

    if (r->wal->log_id != 0)
        return STATUS_OK;
    enum status status = recovery_read(r, WAL_BLOCK_BYTES, WAL_BATCH_HEADER_BYTES, &at);
    if (status != STATUS_OK)
        return status == STATUS_END ? STATUS_OK : status;
    if (wal_batch_header_decode(at, wal_batch_log_id(at), &header))
        r->wal->log_id = header.log_id;
    return STATUS_OK;
}

/* Files that are not part of the log: one whose header was lost shows it by its batches. */
static enum status check_unused(struct recovery *r)
{
    for (uint32_t i = 0; i < r->found_count; i++) {
        const struct found *found = &r->found[i];
        uint64_t synced = 0;

        if (found->used)
            continue;
        TRY(recovery_open(r, found));
        TRY(learn_log_id(r));
        TRY(scan_strays(r, found, WAL_BLOCK_BYTES, found->verdict != WAL_DAMAGED, &synced));
        if (synced > r->end && !r->cut)
            TRY(damaged(r, found, 0, synced));
    }
    return STATUS_OK;
}

/* The part of one segment that counts. */
static enum status scan_segment(struct recovery *r, const struct found *found)
{
    uint64_t offset = WAL_BLOCK_BYTES;
    enum status status = STATUS_OK;

    TRY(recovery_open(r, found));
    while (r->end < found->limit && (status = scan_batch(r, found, &offset)) == STATUS_OK) {
    }
    if (status != STATUS_OK && status != STATUS_END)
        return status;
    r->lsn_highest = MAX(r->lsn_highest, r->end);
    if (r->end == found->limit)
        return STATUS_OK;
    if (found->limit != UINT64_MAX)
        return damaged(r, found, offset, found->limit);

    uint64_t synced = 0;
    TRY(scan_strays(r, found, offset, false, &synced));
    if (synced > r->end)
        return damaged(r, found, offset, synced);
    const uint8_t *at;
    struct wal_batch_header torn;
    status = recovery_read(r, offset, WAL_BLOCK_BYTES, &at);
    if (status == STATUS_OK && wal_batch_header_decode(at, r->wal->log_id, &torn) &&
        torn.previous == r->end && torn.nonce == found->header.nonce) {
        REACHED("a torn log tail is cut");
        r->wal->stats.torn_bytes = torn.length;
        log_line(r->wal->env->log, LOG_INFO, "storage",
                 "the log ended in a batch of %" PRIu32 " bytes that was not written whole; it was "
                 "not acknowledged, and is cut",
                 torn.length);
    }
    return status == STATUS_END ? STATUS_OK : status;
}

/* Each segment counts up to the lowest start of those after it. */
static const struct found *set_limits(struct recovery *r)
{
    const struct found *last = NULL;
    uint64_t limit = UINT64_MAX;

    for (uint32_t i = r->found_count; i-- > 0;) {
        struct found *found = &r->found[i];
        if (!found->used)
            continue;
        if (last == NULL)
            last = found;
        found->limit = limit;
        limit = MIN(limit, found->header.start);
    }
    return last;
}

static enum status check_identity(struct recovery *r)
{
    struct wal *wal = r->wal;
    char name[WAL_NAME_BYTES];

    wal->log_id = wal->options.log_id;
    for (uint32_t i = 0; i < r->found_count; i++) {
        const struct found *found = &r->found[i];
        wal_segment_name(found->sequence, name);
        if (found->verdict == WAL_NEWER) {
            log_line(wal->env->log, LOG_ERROR, "storage",
                     "%s/%s is of a newer format than this program knows", wal->dir, name);
            return STATUS_VERSION;
        }
        if (found->verdict == WAL_DAMAGED)
            log_line(wal->env->log, LOG_WARNING, "storage", "the header of %s/%s is damaged",
                     wal->dir, name);
        if (found->verdict != WAL_VALID)
            continue;
        if (wal->log_id == 0)
            wal->log_id = found->header.log_id;
        if (found->header.log_id != wal->log_id) {
            log_line(wal->env->log, LOG_ERROR, "storage",
                     "%s/%s belongs to another log (%016" PRIx64 ", not %016" PRIx64 ")", wal->dir,
                     name, found->header.log_id, wal->log_id);
            return STATUS_INVALID;
        }
    }
    return STATUS_OK;
}

/* Where the log starts is said by its last batches: look at them first, so that a missing beginning
 * is found before anything is given to the owner, and what is not needed is not read. */
static enum status peek_log_start(struct recovery *r, const struct found *last)
{
    uint64_t offset = WAL_BLOCK_BYTES;
    enum status status;

    r->log_start = last->header.log_start;
    r->end = last->header.start;
    r->peeking = true;
    TRY(recovery_open(r, last));
    while ((status = scan_batch(r, last, &offset)) == STATUS_OK) {
    }
    r->peeking = false;
    r->end = 0;
    r->tail = (struct wal_batch_header){0};
    return status == STATUS_END ? STATUS_OK : status;
}

/* Read the log from its first needed segment to its end. */
static enum status scan(struct recovery *r)
{
    const struct found *last = set_limits(r);
    const struct wal_options *options = &r->wal->options;
    bool begun = false;

    if (last != NULL)
        TRY(peek_log_start(r, last));
    for (uint32_t i = 0; i < r->found_count && !r->cut; i++) {
        const struct found *found = &r->found[i];
        if (!found->used || found->limit <= r->log_start || found->limit <= found->header.start)
            continue;
        if (!begun) {
            r->begin = r->end = found->header.start;
            if (r->begin > r->log_start)
                TRY(missing(r, "lacks its first segments", r->log_start, r->begin));
        }
        begun = true;
        if (found->header.start != r->end)
            TRY(damaged(r, found, 0, found->header.start));
        else
            TRY(scan_segment(r, found));
    }
    TRY(check_unused(r));
    uint64_t needed = options->needed.value;
    if (needed > 0 && needed < r->begin)
        TRY(missing(r, "begins after the checkpoint", needed, r->begin));
    if (needed > r->end)
        TRY(missing(r, "ends before the checkpoint", r->end, needed));
    r->lsn_highest = MAX(r->lsn_highest, needed);
    for (uint32_t i = 0; r->cut && i < r->found_count; i++) { /* what lost segments may hold */
        const struct found *found = &r->found[i];
        if (found->used)
            r->lsn_highest =
                MAX(r->lsn_highest, found->header.start + found->bytes + 2 * WAL_LSN_GAP);
    }
    return STATUS_OK;
}
/* ---- wal_open ---- */

/* Say what is dropped behind the cut although it is intact: nobody knows of which groups entries
 * are lost. */
static enum status report_dropped(struct recovery *r)
{
    struct wal_batch_header header;
    const uint8_t *at;
    enum status status;
    uint64_t records = 0;
    for (uint32_t i = 0; r->cut && i < r->found_count; i++) {
        const struct found *found = &r->found[i];
        if (found != r->tail_file && !recovery_is_lost(r, found))
            continue;
        TRY(recovery_open(r, found));
        uint64_t offset = found == r->tail_file ? r->tail_end : WAL_BLOCK_BYTES;
        while ((status = recovery_read(r, offset, WAL_BLOCK_BYTES, &at)) == STATUS_OK) {
            bool intact = wal_batch_header_decode(at, r->wal->log_id, &header) &&
                          header.sequence == found->sequence &&
                          (!found->used || header.nonce == found->header.nonce) &&
                          recovery_read(r, offset, header.length, &at) == STATUS_OK &&
                          wal_batch_verify(&header, at);
            records += intact ? header.records : 0;
            offset += intact ? wal_padded(header.length) : WAL_BLOCK_BYTES;
        }
        if (status != STATUS_END)
            return status;
    }
    if (r->cut)
        log_line(
            r->wal->env->log, LOG_WARNING, "storage",
            "the log in %s goes on at position %" PRIu64 ": %" PRIu64
            " intact records behind the damage are dropped, since what they rest on may be lost",
            r->wal->dir, r->end, records);
    return recovery_close(r);
}

static enum status put_lost_aside(struct recovery *r)
{
    for (uint32_t i = 0; i < r->found_count; i++) {
        const struct found *found = &r->found[i];
        if (!recovery_is_lost(r, found))
            continue;
        r->job.op = JOB_LOSE;
        r->job.sequence = found->sequence;
        TRY(recovery_run(r));
    }
    return STATUS_OK;
}

static enum status recover(struct recovery *r)
{
    struct wal *wal = r->wal;

    r->job.op = JOB_COUNT;
    TRY(recovery_run(r));
    if (r->found_capacity > FILES_MAX) {
        log_line(wal->env->log, LOG_ERROR, "storage", "%s has %u log files, more than %u", wal->dir,
                 r->found_capacity, FILES_MAX);
        return STATUS_CORRUPT;
    }
    if (r->found_capacity > 0) {
        r->found = heap_alloc_zero(wal->heap, r->found_capacity * sizeof(*r->found));
        if (r->found == NULL)
            return STATUS_NO_MEMORY;
        r->job.op = JOB_LIST;
        TRY(recovery_run(r));
    }
    TRY(check_identity(r));
    TRY(scan(r));
    TRY(report_dropped(r));

    uint64_t last_used = 0;
    for (uint32_t i = 0; i < r->found_count; i++) {
        wal->sequence_last = MAX(wal->sequence_last, r->found[i].sequence);
        if (r->found[i].used)
            last_used = r->found[i].sequence;
    }
    if (last_used == 0 && !wal->options.create)
        return STATUS_NOT_FOUND;
    wal->is_new = last_used == 0;
    if (wal->log_id == 0)
        wal->log_id = env_random_u64(wal->env) | 1;
    wal->log_start = wal->log_start_durable = r->log_start;
    TRY(recovery_take_live(r));
    TRY(recovery_take_spares(r, last_used));
    TRY(recovery_make_sure_of_tail(r));
    return put_lost_aside(r);
}

static enum status options_check(struct wal_options *options)
{
    if (options->segment_bytes_min == 0)
        options->segment_bytes_min = options->segment_bytes_max == 0
                                         ? 1u << 20
                                         : MIN((uint64_t)1 << 20, options->segment_bytes_max);
    if (options->segment_bytes_max == 0)
        options->segment_bytes_max = MAX((uint64_t)64 << 20, options->segment_bytes_min);
    if (options->unsynced_bytes_max == 0)
        options->unsynced_bytes_max = 32u << 20;
    if (options->replicas_max == 0)
        options->replicas_max = 65536;
    if (options->seal_after_ns == 0)
        options->seal_after_ns = UINT64_C(100000000);
    options->segment_bytes_min = wal_padded(options->segment_bytes_min);
    options->segment_bytes_max &= ~(uint64_t)(WAL_BLOCK_BYTES - 1);
    if (options->segment_bytes_min < WAL_SEGMENT_BYTES_MIN ||
        options->segment_bytes_max < options->segment_bytes_min ||
        options->segment_bytes_max > UINT64_C(1) << 32 ||
        options->unsynced_bytes_max > WAL_UNSYNCED_BYTES_MAX ||
        options->unsynced_bytes_max < WAL_BLOCK_BYTES || options->needed.value > WAL_LSN_MAX ||
        strlen(options->dir) + 32 > WAL_PATH_BYTES)
        return STATUS_INVALID;
    return STATUS_OK;
}

static struct wal *wal_new(struct env *env, const struct wal_options *options)
{
    struct wal *wal = heap_alloc_zero(env->heap, sizeof(*wal));

    if (wal == NULL)
        return NULL;
    wal->block_memory = heap_alloc(env->heap, 2 * WAL_BLOCK_BYTES);
    if (wal->block_memory == NULL) {
        heap_free(env->heap, wal, sizeof(*wal));
        return NULL;
    }
    wal->block =
        wal->block_memory + (WAL_BLOCK_BYTES - (uintptr_t)wal->block_memory % WAL_BLOCK_BYTES);
    wal->env = env;
    wal->heap = env->heap;
    wal->options = *options;
    memcpy(wal->dir, options->dir, strlen(options->dir) + 1);
    wal->options.dir = wal->dir;
    wal->segment_bytes_next = options->segment_bytes_min;
    wal->gathering = &wal->batches[0];
    wal->flying = &wal->batches[1];
    wal->sealed = true;
    list_init(&wal->live);
    list_init(&wal->spares);
    list_init(&wal->retired);
    list_init(&wal->kept);
    wait_queue_init(&wal->settled);
    hash_map_init(&wal->replicas, wal->heap, options->replicas_max, env_random_u64(env));
    return wal;
}

enum status wal_open(struct context *ctx, const struct wal_options *given, struct wal **opened)
{
    struct wal_options options = *given;

    TRY(options_check(&options));
    struct wal *wal = wal_new(ctx->env, &options);
    if (wal == NULL)
        return STATUS_NO_MEMORY;
    wal_timers_init(wal);
    struct recovery r = {.wal = wal, .ctx = ctx};

    enum status status = recover(&r);
    enum status closed = recovery_close(&r);
    if (status == STATUS_OK)
        status = closed;
    heap_free(wal->heap, r.window, r.window_bytes);
    heap_free(wal->heap, r.found, r.found_capacity * sizeof(*r.found));
    if (status != STATUS_OK) {
        wal_discard(ctx, wal);
        return status;
    }
    wal_batch_start(wal, wal->gathering, r.lsn_next);
    wal_retire(wal);
    wal_background(wal);
    *opened = wal;
    return STATUS_OK;
}
