/* wal_recover_tail.c - the segment that the log goes on in: its tail is written again, and synced,
 * before anything is appended. */
#include <string.h>

#include "base/assert.h"
#include "base/log.h"
#include "storage/wal_recover_private.h"

/* With a cut log: a file that may hold something of what is behind the cut. */
bool recovery_is_lost(const struct recovery *r, const struct found *found)
{
    return r->cut && found != r->tail_file && (!found->used || found->header.start >= r->end);
}

/* Files that hold nothing of the log are spares, if they are of use and come after it. */
enum status recovery_take_spares(struct recovery *r, uint64_t last_used)
{
    struct wal *wal = r->wal;

    for (uint32_t i = 0; i < r->found_count; i++) {
        const struct found *found = &r->found[i];
        bool spare = found->sequence > last_used && wal->spare_count < WAL_SPARES_MAX &&
                     found->bytes >= 2 * WAL_BLOCK_BYTES &&
                     found->bytes <= wal->options.segment_bytes_max;
        if (found->used || recovery_is_lost(r, found))
            continue;
        struct wal_segment *segment = wal_segment_new(wal, found->sequence, found->bytes);
        if (segment == NULL)
            return STATUS_NO_MEMORY;
        if (!spare) {
            list_push_back(&wal->retired, &segment->link);
            continue;
        }
        segment->filled = segment->bytes;
        wal_spare_add(wal, segment);
        r->job.op = JOB_SPARE;
        r->job.segment = segment;
        TRY(recovery_run(r));
    }
    return STATUS_OK;
}

static enum status make_spare(struct recovery *r, uint64_t bytes)
{
    struct wal *wal = r->wal;
    struct wal_segment *segment = wal_segment_new(wal, ++wal->sequence_last, bytes);

    if (segment == NULL)
        return STATUS_NO_MEMORY;
    r->job.op = JOB_SPARE;
    r->job.segment = segment;
    enum status status = recovery_run(r);
    if (status == STATUS_OK) {
        wal_spare_add(wal, segment);
        return STATUS_OK;
    }
    list_push_back(&wal->retired, &segment->link); /* what there is of it is removed */
    segment->given_up = true;
    return status;
}

/* The segments that the log consists of, and those that it does not need any more. */
enum status recovery_take_live(struct recovery *r)
{
    struct wal *wal = r->wal;

    for (uint32_t i = 0; i < r->found_count; i++) {
        const struct found *found = &r->found[i];
        if (!found->used || recovery_is_lost(r, found))
            continue;
        struct wal_segment *segment = wal_segment_new(wal, found->sequence, found->bytes);
        if (segment == NULL)
            return STATUS_NO_MEMORY;
        segment->start = found->header.start;
        list_push_back(&wal->live, &segment->link);
        wal->stats.live_segments++;
        wal->stats.live_bytes += segment->bytes;
    }
    return STATUS_OK;
}

/* Write a part of a segment's file again where it is. */
static enum status write_again(struct recovery *r, const struct found *found,
                               struct wal_segment *segment, uint64_t from, uint64_t to)
{
    const uint8_t *at;

    TRY(recovery_open(r, found));
    TRY(recovery_read(r, from, (size_t)(to - from), &at));
    r->job.op = JOB_AGAIN;
    r->job.segment = segment;
    r->job.offset = from;
    r->job.count = (size_t)(to - from);
    return recovery_run(r);
}

/* No segment can be made: make sure of the tail where it is, and go on behind it, in the last
 * segment.
 *   STATUS_NO_SPACE  there is none */
static enum status go_on_in_place(struct recovery *r)
{
    struct wal *wal = r->wal;
    const struct found *last = NULL;
    /* The header came with the first batch: it is no more certain than that. */
    uint64_t from = r->tail_offset == WAL_BLOCK_BYTES ? 0 : r->tail_offset;

    for (uint32_t i = 0; i < r->found_count; i++)
        last = r->found[i].used ? &r->found[i] : last;
    if (last == NULL || r->cut || r->tail_file == NULL)
        return STATUS_NO_SPACE;
    LIST_FOR_EACH (node, &wal->live) {
        struct wal_segment *segment = LIST_ITEM(node, struct wal_segment, link);
        if (segment->sequence == r->tail_file->sequence)
            TRY(write_again(r, r->tail_file, segment, from, r->tail_end));
        else if (segment->sequence == last->sequence) /* it has a header and nothing else */
            TRY(write_again(r, last, segment, 0, WAL_BLOCK_BYTES));
    }
    TRY(recovery_close(r));
    wal->current = LIST_ITEM(wal->live.prev, struct wal_segment, link);
    ASSERT(wal->current->sequence == last->sequence && wal->current->file != NULL);
    wal->current->nonce = last->header.nonce;
    wal->close_wanted = true;
    wal->position = last == r->tail_file ? r->tail_end : WAL_BLOCK_BYTES;
    wal->durable = r->end;
    r->lsn_next = MAX(r->lsn_highest, r->end) + WAL_LSN_GAP; /* (2) */
    log_line(wal->env->log, LOG_WARNING, "storage",
             "there is no space for a new log segment: the log goes on in the last one");
    REACHED("a log is opened on a disk without space for a segment");
    return STATUS_OK;
}

/* The bytes of the tail, when it is written `again`, and room for an empty batch, in the memory of
 * the gathering batch. */
static enum status gather_tail(struct recovery *r, bool again, size_t tail_bytes)
{
    struct wal *wal = r->wal;
    const uint8_t *at;

    TRY(wal_batch_reserve(wal, wal->gathering, tail_bytes + WAL_BLOCK_BYTES));
    memset(wal->gathering->at, 0, tail_bytes + WAL_BLOCK_BYTES);
    if (again) {
        TRY(recovery_open(r, r->tail_file));
        TRY(recovery_read(r, r->tail_offset, r->tail.length, &at));
        if (!wal_batch_verify(&r->tail, at))
            return STATUS_IO; /* it was intact when it was replayed */
        memcpy(wal->gathering->at, at, r->tail.length);
    }
    return recovery_close(r);
}

/* Write the tail and an empty batch to a new segment, which there is. */
static enum status write_tail(struct recovery *r)
{
    struct wal *wal = r->wal;
    struct wal_write *write = &wal->write;
    bool synced = !r->cut && wal->options.needed.value == r->end;
    bool again = r->tail.records > 0 && !synced;
    size_t tail_bytes = again ? (size_t)wal_padded(r->tail.length) : 0;
    uint64_t start = r->tail.length > 0 && !synced ? r->tail.previous : r->end;

    TRY(gather_tail(r, again, tail_bytes));

    struct wal_segment *segment = wal_spare_take(wal);
    wal_segment_begin(wal, segment, start, &write->segment);

    struct wal_batch_header header = {
        .log_id = wal->log_id,
        .sequence = segment->sequence,
        .nonce = segment->nonce,
        .lsn = r->tail.lsn,
        .previous = start,
        .synced = r->tail.lsn,
        .log_start = wal->log_start,
        .length = r->tail.length,
        .records = r->tail.records,
        .early = true,
    };
    write->batch_count = 0;
    if (again)
        write->batches[write->batch_count++] = header;
    header.previous = again ? wal_batch_end(&r->tail) : start;
    header.lsn = MAX(r->lsn_highest, r->end) + WAL_LSN_GAP; /* (2) */
    header.synced = synced ? start : header.lsn; /* by the time that the segment counts */
    header.early = !synced;
    header.length = WAL_BATCH_HEADER_BYTES;
    header.records = 0;
    write->batches[write->batch_count++] = header;

    write->mode = synced ? WAL_WRITE_BEGIN : WAL_WRITE_TAIL;
    write->file = segment->file;
    write->offset = WAL_BLOCK_BYTES;
    write->at = wal->gathering->at;
    write->padded = tail_bytes + WAL_BLOCK_BYTES;
    wal->durable = r->lsn_next = wal_batch_end(&header);
    wal->position += write->padded;

    void (*done)(struct env_job *) = write->job.done;
    enum status status = context_run_job(r->ctx, &write->job);
    write->job.done = done;
    TRY(status);
    TRY(write->status);
    wal->stats.syncs += write->syncs;
    return STATUS_OK;
}

/* After it, all that was given to the owner is durable. */
enum status recovery_make_sure_of_tail(struct recovery *r)
{
    struct wal *wal = r->wal;

    if (list_empty(&wal->spares)) {
        uint64_t tail_bytes = r->tail.records > 0 ? wal_padded(r->tail.length) : 0;
        enum status status =
            make_spare(r, MAX(MIN(wal->options.segment_bytes_min, (uint64_t)WAL_FIRST_BYTES),
                              2 * WAL_BLOCK_BYTES + tail_bytes));
        if (status == STATUS_NO_SPACE)
            return go_on_in_place(r);
        TRY(status);
    }
    return write_tail(r);
}
