/* wal_private.h - the parts of the write-ahead log; see wal.h, and wal_format.h for the bytes.
 *
 *   wal.c           append, group commit, what a failed write leads to
 *   wal_segment.c   the background: segments made ahead, carried forward from, recycled, removed
 *   wal_recover.c   wal_open: what is on disk, verified, replayed, its tail written again
 *   wal_close.c     wal_close: everything written, the log made small
 *
 * A segment's way: spare (zero-filled or recycled, its header does not verify) -> live (the last of
 * the live ones is `current`) -> retired (no longer part of the log) -> spare again, or removed.
 */
#ifndef STORAGE_WAL_PRIVATE_H
#define STORAGE_WAL_PRIVATE_H

#include "base/hash_map.h"
#include "base/list.h"
#include "storage/wal.h"
#include "storage/wal_format.h"

#define WAL_RESERVE      2u /* spare segments that are kept ready: the reserve of a full disk */
#define WAL_SPARES_MAX   4u /* above the reserve only what was recycled is kept */
#define WAL_PATH_BYTES   1024u
#define WAL_LSN_GAP      (UINT64_C(1) << 32) /* left free at each opening, see wal_recover.c */
#define WAL_RETRY_NS     UINT64_C(1000000000)
#define WAL_FILL_BYTES   (4u << 20)   /* zeros written in one job */
#define WAL_FIRST_BYTES  (128u << 10) /* of a segment that an opening must make: it waits for it */
#define WAL_START_BYTES  (16u << 10)  /* of a new log's segment: what a first start writes */
#define WAL_CLOSED_BYTES (1u << 20)   /* a log whose one segment is so small is closed as it is */
#define WAL_BUFFER_BYTES (16u << 10)  /* of a batch buffer at first */
#define WAL_BUFFER_KEPT  (1u << 20)   /* a batch buffer that grew beyond this is given back */

_Static_assert(WAL_LSN_GAP > 2 * (uint64_t)WAL_UNSYNCED_BYTES_MAX, "what was not synced is passed");

/* The bytes of one batch: header (filled when it is written) and records. */
struct wal_batch {
    uint8_t *memory; /* from the heap */
    size_t memory_bytes;
    uint8_t *at;     /* in `memory`, aligned to a block */
    size_t capacity; /* from `at`; whole blocks */
    size_t count;    /* bytes used, header included */
    uint32_t records;
    uint64_t lsn;
};

struct wal_segment {
    struct list link;
    uint64_t sequence;
    uint64_t bytes;  /* of the file */
    uint64_t filled; /* while it is made: zeros written */
    uint64_t start;  /* the LSN at which it begins; not for spares */
    uint64_t nonce;
    bool given_up;         /* to be removed, not recycled */
    struct env_file *file; /* NULL = not open */
};

/* What the log keeps for ever of one replica: its newest promise and its two newest configurations
 * (the newest may not be committed, and be cut again). */
struct wal_kept {
    struct list link; /* in wal.kept, by LSN */
    struct wal_record record;
    uint64_t lsn;
};

enum { KEPT_PROMISE, KEPT_CONFIGURATION, KEPT_CONFIGURATION_BEFORE, KEPT_COUNT };

#define WAL_KEY_BYTES 20u

struct wal_replica {
    uint8_t key[WAL_KEY_BYTES];
    struct wal_kept *kept[KEPT_COUNT];
};

enum wal_write_mode {
    WAL_WRITE_ON,    /* behind the last batch of the current segment */
    WAL_WRITE_BEGIN, /* the first batch of a segment, with its header, in one write and one sync:
                      * all before the segment is known synced */
    WAL_WRITE_TAIL,  /* the same, but the batch may hold what an earlier segment holds too: synced
                      * before the header is written, so that the segment counts only with it */
};

/* A job of the log lane. */
struct wal_write {
    struct env_job job;
    struct wal *wal;
    enum wal_write_mode mode;
    struct env_file *file;
    uint64_t offset;
    uint8_t *block;                     /* room for the segment's header */
    struct wal_segment_header segment;  /* not with WAL_WRITE_ON */
    struct wal_batch_header batches[2]; /* consecutive from `at`, each padded */
    uint32_t batch_count;
    uint8_t *at;
    size_t padded; /* of all batches */
    uint64_t submitted_ns;
    uint32_t syncs;
    enum status status;
};

enum wal_file_op {
    WAL_FILE_CLOSE,
    WAL_FILE_FILL,    /* create, write zeros; once more until it is filled; then sync it */
    WAL_FILE_RECYCLE, /* rename to sequence_to and open */
    WAL_FILE_REMOVE,
};

/* A job of the background lane; one at a time. */
struct wal_file_job {
    struct env_job job;
    struct wal *wal;
    enum wal_file_op op;
    struct wal_segment *segment;
    uint64_t sequence_to;
    bool running;
    bool done_filling;
    enum status status;
};

struct wal {
    struct env *env;
    struct heap *heap;
    struct wal_options options;
    char dir[WAL_PATH_BYTES];
    uint64_t log_id;
    bool is_new; /* made by this opening */
    enum wal_state state;
    enum status status; /* why the state is not WAL_OK */
    bool closing;       /* wal_close runs */
    bool stopped;       /* it is about to free the log: nothing new begins */

    /* Gathering and flying. */
    struct wal_batch batches[2];
    struct wal_batch *gathering;
    struct wal_batch *flying; /* the other one; holds the batch until it is durable */
    bool in_flight;           /* `write` is in its lane */
    bool rewriting;           /* `flying` failed to be written and goes to another segment */
    bool waits_for_spare;
    bool flush_pending; /* flush_task waits to run */
    bool batch_wanted;  /* write a batch even when nothing is gathered */
    bool switch_wanted; /* begin a segment with the next batch */
    bool sealed;        /* the last durable batch was empty */
    uint64_t durable;
    struct wal_write write;
    struct env_task flush_task;
    bool quiet; /* settled: nothing is written before the next append or wal_close */
    struct env_timer seal_timer;
    struct env_timer retry_timer;
    struct wait_queue settled; /* wal_close waits here */

    /* Segments. */
    struct list live; /* oldest first */
    struct wal_segment *current;
    uint64_t position;  /* in `current`: where the next batch goes */
    struct list spares; /* in the order of use */
    struct list retired;
    bool close_wanted; /* a live segment's file is open for no reason */
    uint32_t spare_count;
    uint64_t sequence_last;      /* the highest in use for any file */
    uint64_t segment_bytes_next; /* of the next one made */
    struct wal_segment *filling;
    bool filling_short;  /* the last one could not be made: no space */
    bool filling_paused; /* until the retry timer */
    struct wal_file_job file_job;

    /* What is needed. */
    uint64_t released;          /* by the owner */
    uint64_t log_start;         /* claimed by the batches from now on */
    uint64_t log_start_flying;  /* claimed by the batch in flight */
    uint64_t log_start_durable; /* claimed by a durable batch */
    uint64_t carry_to;          /* a move of log_start to here is under way; 0 = none */
    struct hash_map replicas;   /* struct wal_replica by key */
    struct list kept;

    struct wal_stats stats;
    uint8_t *block; /* for segment headers; in block_memory, aligned */
    uint8_t *block_memory;
};

/* ---- wal.c ---- */

/* Give the batch room for `count` bytes in all.  STATUS_NO_MEMORY */
MUST_USE enum status wal_batch_reserve(struct wal *wal, struct wal_batch *batch, size_t count);

/* Make the batch empty, at this LSN. */
void wal_batch_start(struct wal *wal, struct wal_batch *batch, uint64_t lsn);

/* Append without regard to the bounds, but that of memory. */
MUST_USE enum status wal_append_always(struct wal *wal, const struct wal_record *record,
                                       struct lsn *lsn);

/* Write the gathering batch if it is time for that; otherwise nothing. */
void wal_flush(struct wal *wal);
void wal_flush_soon(struct wal *wal);

/* A spare has come, or the retry timer fired: go on with what waited. */
void wal_resume(struct wal *wal);

/* Recompute the state from what is known, and tell the owner when it changed. */
void wal_update_state(struct wal *wal, enum status why);

/* The job's function of a struct wal_write. */
void wal_write_run(struct env_job *job);

/* Make `segment` (which is in no list) the last live one, beginning at `start`. */
void wal_segment_begin(struct wal *wal, struct wal_segment *segment, uint64_t start,
                       struct wal_segment_header *header);

void wal_timers_init(struct wal *wal);

/* ---- wal_close.c ---- */

/* Close the files and free the log, whose jobs have all ended. */
void wal_discard(struct context *ctx, struct wal *wal);

/* ---- wal_segment.c ---- */

/* Start the next job of the background, if there is something to do and none runs. */
void wal_background(struct wal *wal);

/* In and out of the list of spares, with its counts. */
void wal_spare_add(struct wal *wal, struct wal_segment *segment);
void wal_spare_remove(struct wal *wal, struct wal_segment *segment);

/* Take the next spare out of its list; NULL when there is none. */
struct wal_segment *wal_spare_take(struct wal *wal);

struct wal_segment *wal_segment_new(struct wal *wal, uint64_t sequence, uint64_t bytes);
void wal_segment_free(struct wal *wal, struct wal_segment *segment);

/* Claim a later start of the log, if what is released allows it, carrying forward what is kept. */
void wal_advance(struct wal *wal);

/* A batch that claimed log_start_durable is durable: retire what is before it. */
void wal_retire(struct wal *wal);

/* Carry forward every kept record below `to`.  STATUS_BUSY: only some, for want of room in the
 * gathering batch; STATUS_NO_MEMORY the same */
MUST_USE enum status wal_carry(struct wal *wal, uint64_t to);

/* Keep what must be kept of `record` at `lsn`; prepare first, so that the second cannot fail.
 *   STATUS_BUSY       replicas_max
 *   STATUS_NO_MEMORY */
struct wal_keeping {
    struct wal_replica *replica;
    struct wal_kept *kept;
};
MUST_USE enum status wal_keep_prepare(struct wal *wal, const struct wal_record *record,
                                      struct wal_keeping *keeping);
void wal_keep(struct wal *wal, const struct wal_record *record, uint64_t lsn,
              struct wal_keeping keeping);
void wal_kept_free_all(struct wal *wal);

/* The path of the segment file with this sequence. */
void wal_path(const struct wal *wal, uint64_t sequence, char path[WAL_PATH_BYTES]);

/* Block functions for jobs. */
MUST_USE enum status wal_zero_fill(struct env *env, struct env_file *file, uint64_t offset,
                                   uint64_t count);

#endif
