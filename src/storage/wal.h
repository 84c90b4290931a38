/* wal.h - the write-ahead log of one node, shared by all its replicas; one sync covers them all.
 *
 * Appended records gather in a batch; the batch goes to disk in one job of the log lane (write and
 * sync, one hop), one batch in flight at a time; what gathers meanwhile is the next one.  An append
 * to an idle log leaves at the end of the same turn of the loop.  When a batch is durable, the
 * owner hears it once, by `on_durable`.
 *
 * The log is a row of segment files, written with zeros ahead of need in the background lane and
 * recycled when nothing in them is needed (wal_release).  The newest promise and the newest
 * configuration of each replica are needed for ever: the log itself carries them forward before it
 * gives a segment up.  The format on disk is described in wal_format.h.
 *
 * What a node can know after a crash: each batch says up to where the log was known synced before
 * it was written.  Damage before the highest such position is corruption, and is reported; damage
 * at or after it is a torn tail that was never acknowledged, and is cut.  One thing cannot be found
 * out: a disk that confirms a sync and then loses the last batch.
 *
 * All functions are called on the loop's thread.  Not a replicated log: see paxos/paxos.h.
 *
 * Invariants (the numbers are used in the .c and in the tests):
 *   (1) on_durable(lsn) comes only after a completed sync that covers every record below `lsn`
 *   (2) LSNs of records grow strictly, over restarts too; none is given out twice
 *   (3) at most one batch is in flight; records become durable in the order of their LSNs
 *   (4) bytes gathered and in flight <= unsynced_bytes_max
 *   (5) a segment is recycled only after a durable batch has said that the log starts after it,
 *       and after what is carried forward from it is durable
 */
#ifndef STORAGE_WAL_H
#define STORAGE_WAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/metrics.h"
#include "base/status.h"
#include "env/env.h"
#include "env/fiber.h"
#include "storage/log_types.h"

#define WAL_PAYLOAD_BYTES_MAX  (16u << 20) /* of one record */
#define WAL_UNSYNCED_BYTES_MAX (1u << 30)  /* the largest wal_options.unsynced_bytes_max */
#define WAL_SEGMENT_BYTES_MIN  (32u << 10) /* the smallest wal_options.segment_bytes_min */

struct wal;

enum wal_record_type {
    WAL_ENTRY = 1,         /* replica accepted (slot, ballot) with this payload */
    WAL_PROMISE = 2,       /* replica promised `ballot`; slot 0, no payload */
    WAL_CONFIGURATION = 3, /* configuration in force from `slot`; the payload is its encoding */
    WAL_TRUNCATION = 4,    /* replica cut its log: entries after `slot` are void; no payload */
    WAL_REMOVAL = 5, /* replica is gone from this node: none of its records counts; no payload */
};

struct wal_record {
    enum wal_record_type type;
    bool carried; /* a copy of an older record, carried forward.  wal_append: must be false */
    bool urgent;  /* wal_append only, not stored: may use the reserve of a full disk and pass the
                   * bound live_bytes_max (deletes, promises, what frees space or ends what was
                   * begun).  What has a payload is refused all the same once the reserve is used
                   * up */
    struct replica_id replica;
    uint64_t slot;
    struct ballot ballot; /* its replica is of the same group; zero where there is none */
    struct bytes payload; /* borrowed during the call; at most WAL_PAYLOAD_BYTES_MAX */
};

enum wal_state {
    WAL_OK,
    WAL_NO_SPACE, /* the disk is full: appends wait for space; resumes by itself */
    WAL_FAILED, /* a write or sync failed for good: nothing more is acknowledged by this process */
};

/* All from the loop, never inside a call of this header; `owner` as given in the options. */
struct wal_events {
    /* Every record below `durable` is on disk.  Once per batch.  May append. */
    void (*on_durable)(void *owner, struct lsn durable);
    /* The state changed; wal_status says why.  On WAL_FAILED records that were appended and not
     * reported durable have an unknown outcome.  May be NULL. */
    void (*on_state)(void *owner, enum wal_state state);
    /* wal_open only, on its fiber: one record of the log, in the order of the log.  The payload is
     * borrowed until it returns; it may wait.  Any status but OK ends wal_open with it. */
    enum status (*on_record)(struct context *ctx, void *owner, const struct wal_record *record,
                             struct lsn lsn);
};

/* Zero in a number means the default named beside it. */
struct wal_options {
    const char *dir;   /* exists and is synced in its parent; only names "log-*" are used.  It is
                        * synced before wal_open writes what counts: names of other files that
                        * were made in it before are durable then */
    uint64_t log_id;   /* the log must be this one; 0 = whichever is there */
    bool create;       /* make a log when there is none; otherwise STATUS_NOT_FOUND */
    bool accept_loss;  /* the operator's flag: cut a damaged log at the damage */
    struct lsn needed; /* the checkpoint's position: the log must hold all from here on */
    uint64_t segment_bytes_min;  /* 1 MiB; each next one made is twice as large.  The very first may
                                  * be smaller, because wal_open waits for it */
    uint64_t segment_bytes_max;  /* 64 MiB */
    uint64_t unsynced_bytes_max; /* 32 MiB: gathered and in flight, headers included */
    uint64_t live_bytes_max;     /* segments in use; no bound.  At it appends answer BUSY */
    uint32_t replicas_max;       /* 65,536 with a promise or a configuration in the log */
    uint64_t seal_after_ns;      /* 100 ms: an idle log is sealed by an empty batch after this */
    const struct wal_events *events; /* outlives the log */
    void *owner;
};

/* Open the log in options->dir: read it, give every record to on_record, cut a torn tail, write
 * what may not be durable again, and sync.  After it everything that on_record saw is durable.
 *   STATUS_NOT_FOUND  no log is there and `create` is false
 *   STATUS_INVALID    an option is out of range, or the log is another node's (log_id)
 *   STATUS_CORRUPT    damage before the known-synced position, a segment is missing, or the log
 *                     does not hold `needed`; a log line names file, offset and what is lost
 *   STATUS_VERSION    a format newer than this program
 *   STATUS_IO, STATUS_NO_SPACE, STATUS_DENIED, STATUS_NO_MEMORY, STATUS_BUSY (a lane)
 * On any error nothing is open, on_record may have seen a part of the log, and what is on disk can
 * be opened again.  With `accept_loss` the owner must expect that entries are missing. */
MUST_USE enum status wal_open(struct context *ctx, const struct wal_options *options,
                              struct wal **wal);

/* Write out what is gathered, wait for it, and seal.  After it wal_durable stays as it is until the
 * next append or wal_close: the owner's last checkpoint can cover all of the log, be released, and
 * wal_close makes the log small.
 *   others than STATUS_OK  as wal_status: not everything is durable */
MUST_USE enum status wal_settle(struct context *ctx, struct wal *wal);

/* Write out what is gathered, wait for it, carry forward what is needed into one small segment,
 * seal it, and give up all segments below the released position; then free the log.  No on_durable
 * comes after it returns.  The log is freed whatever the status is:
 *   STATUS_OK  everything appended is durable
 *   others     why it is not (as wal_status); the log on disk is as after a crash */
MUST_USE enum status wal_close(struct context *ctx, struct wal *wal);

/* Append one record to the gathering batch, copying the payload; *lsn is its position.  Never
 * waits.  The record is durable once wal_durable(wal) > *lsn, which on_durable announces.
 *   STATUS_BUSY         at the bound of unsynced bytes (wait for on_durable), or of live bytes
 *                       (wait for a checkpoint), or of replicas_max
 *   STATUS_NO_SPACE     the disk is full; try again when on_state says WAL_OK
 *   STATUS_UNAVAILABLE  the log has failed or is closing
 *   STATUS_TOO_LARGE    the payload is over WAL_PAYLOAD_BYTES_MAX
 *   STATUS_NO_MEMORY    nothing was appended */
MUST_USE enum status wal_append(struct wal *wal, const struct wal_record *record, struct lsn *lsn);

/* Every record below this position is durable.  A checkpoint's position (wal_options.needed) is at
 * most this: the lower of it and of the oldest entry that the checkpoint does not hold. */
struct lsn wal_durable(const struct wal *wal);

/* The owner needs no entry and no truncation below `oldest_needed` (its checkpoint holds them). May
 * repeat but not go back.  Segments are recycled in the background. */
void wal_release(struct wal *wal, struct lsn oldest_needed);

/* Others need the disk's space: remove the segments made ahead, but for the reserve. */
void wal_give_space(struct wal *wal);

/* The id of this log: random, chosen when it was made. */
uint64_t wal_log_id(const struct wal *wal);

enum wal_state wal_state(const struct wal *wal);

/* Is the disk so full that what was appended waits in memory?  It is written once there is space,
 * or the owner has released segments. */
bool wal_stalled(const struct wal *wal);

/* STATUS_OK, or what the last failure was: NO_SPACE, IO, ... */
enum status wal_status(const struct wal *wal);

struct wal_stats {
    uint64_t appends;               /* records */
    uint64_t appended_bytes;        /* of records, headers included */
    uint64_t refused;               /* appends that did not return OK */
    uint64_t batches;               /* made durable, seals included */
    uint64_t seals;                 /* empty batches among them */
    uint64_t syncs;                 /* completed, of batches and segment headers */
    uint64_t written_bytes;         /* to segments, padding included, zero-filling left out */
    uint64_t carried;               /* records carried forward */
    uint64_t abandoned;             /* segments given up after a failed write or sync */
    uint64_t recycled;              /* segments used again */
    uint64_t torn_bytes;            /* cut from the tail when it was opened */
    uint64_t replayed;              /* records read when it was opened */
    uint64_t unsynced_bytes;        /* now: gathered and in flight */
    uint64_t live_bytes;            /* now: of segments that hold the log */
    uint32_t live_segments;         /* now */
    struct histogram batch_records; /* records in a batch */
    struct histogram batch_bytes;   /* its bytes, header included */
    struct histogram sync_ns;       /* from submission of a batch's job to its completion */
};

const struct wal_stats *wal_stats(const struct wal *wal);

#endif
