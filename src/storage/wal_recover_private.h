/* wal_recover_private.h - what the parts of wal_open share: the files that were found, what was
 * found out. */
#ifndef STORAGE_WAL_RECOVER_PRIVATE_H
#define STORAGE_WAL_RECOVER_PRIVATE_H

#include "storage/wal_private.h"

/* A segment file as it was found. */
struct found {
    uint64_t sequence;
    uint64_t bytes;
    enum wal_verdict verdict;
    struct wal_segment_header header; /* when `used` */
    bool used;                        /* the header is valid, and of this file */
    uint64_t limit;                   /* it counts below this LSN */
};

/* Blocking work of the recovery; one job at a time. */
struct recovery_job {
    struct env_job job;
    struct recovery *r;
    enum { JOB_COUNT, JOB_LIST, JOB_OPEN, JOB_READ, JOB_CLOSE, JOB_SPARE, JOB_AGAIN, JOB_LOSE } op;
    uint64_t sequence;
    uint64_t offset;
    size_t count;
    struct wal_segment *segment;
    enum status status;
};

struct recovery {
    struct wal *wal;
    struct context *ctx;
    struct found *found; /* by sequence */
    uint32_t found_count, found_capacity;
    struct recovery_job job;

    /* The file that is read, and the part of it that is in memory. */
    const struct found *reading;
    struct env_file *file;
    uint8_t *window;
    size_t window_bytes;
    uint64_t window_offset;
    size_t window_count;

    /* What was found out. */
    uint64_t end;         /* of the log so far */
    uint64_t lsn_highest; /* seen anywhere */
    uint64_t log_start;
    uint64_t begin; /* where the first segment read starts */
    const struct found *tail_file;
    uint64_t tail_offset;
    uint64_t tail_end;            /* the offset behind the last batch of tail_file */
    struct wal_batch_header tail; /* what is written again: the last intact batch, or the first of a
                                   * segment that has only early ones; length 0 = none */
    uint64_t lsn_next;            /* of the first batch after opening */
    bool names_synced;            /* the directory was synced with all the names that are in it */
    bool peeking;                 /* look at batches, give none to the owner */
    bool cut;                     /* at damage, as the operator asked: what is behind is lost */
};

/* ---- wal_recover_jobs.c ---- */

/* Run the job whose fields are set in the background lane, and wait for it. */
MUST_USE enum status recovery_run(struct recovery *r);

/* Open a file to be read, and close it; the one that is open stays so until another is
 * asked for. */
MUST_USE enum status recovery_open(struct recovery *r, const struct found *found);
MUST_USE enum status recovery_close(struct recovery *r);

/* The `count` bytes at `offset` of the open file; valid until the next call.
 *   STATUS_END  the file ends before */
MUST_USE enum status recovery_read(struct recovery *r, uint64_t offset, size_t count,
                                   const uint8_t **at);

/* ---- wal_recover_tail.c ---- */

/* With a cut log: a file that may hold something of what is behind the cut. */
bool recovery_is_lost(const struct recovery *r, const struct found *found);

/* The segments that the log consists of, and those that it does not need any more. */
MUST_USE enum status recovery_take_live(struct recovery *r);

/* Files that hold nothing of the log are spares, if they are of use and come after it. */
MUST_USE enum status recovery_take_spares(struct recovery *r, uint64_t last_used);

/* After it, all that was given to the owner is durable. */
MUST_USE enum status recovery_make_sure_of_tail(struct recovery *r);

#endif
