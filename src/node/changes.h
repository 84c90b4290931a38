/* changes.h - change records: what a replica keeps of each change of an item, for streams, global
 * secondary indexes and whoever else follows a table's changes.
 *
 * An entry whose header says so (ENTRY_KEEPS_CHANGES) carries the images from before.  When it is
 * applied, one record for each item that it changed goes into the replica's second tree
 * (storage/forest.h), before the items go into the first: a checkpoint has the records of all that
 * it has applied, and what recovery applies again puts the same rows again.  A write that leaves an
 * item as it was makes no record, nor do rows that are not items.  Nothing but the entry is needed.
 *
 * Who reads: a walk gives the records from a position on, up to what is applied, in the order of
 * the log.  Within one item that is the order of its changes.
 *
 * What goes: a record that is for a stream is kept for CHANGES_RETENTION_NS.  A *mark* says up to
 * which slot a consumer (an index) needs nothing any more; it is replicated in the group's log and
 * kept with the tree.  What no mark and no retention holds is trimmed at a constant pace: behind
 * each batch twice as many as it added, and some each second.
 *
 * Positions are (slot, number in the entry).  They grow along a group's log for ever: over
 * restarts, and over splits, whose children go on with the parent's slots.
 *
 * Invariants (the numbers are used in the .c and in the tests):
 *   (1) the second tree has, of every applied entry that keeps changes, all records that are not
 *       trimmed
 *   (2) no record above the applied slot is given to a reader
 *   (3) nothing at or above the lowest mark is trimmed, and nothing for a stream within its time
 *   (4) trimmed_slot never decreases; every record above it is there
 *
 * A row of the second tree:
 *   key: slot u64 | number u16 | HLC u64 | number of the stream u8, 0: none | part u8, big-endian
 *   part 0: format u8: 1 | kind u8 | actor u8 | u8: 1 = images are in parts of their own
 *           | u32 bytes of the key | u32 bytes of the old image | u32 bytes of the new image
 *           | key | old image | new image
 *   part 1, 2: the old and the new image, when both do not fit in one row
 * An image is the item's binary form, 0 bytes when there is none; integers are little-endian.
 */
#ifndef NODE_CHANGES_H
#define NODE_CHANGES_H

#include "node/entry.h"
#include "request/change.h"
#include "route/replica_service.h"
#include "storage/tree.h"

#define CHANGE_ROWS_MAX      3u                       /* that one record takes */
#define CHANGES_MARKS_MAX    32u                      /* consumers of one replica */
#define CHANGES_SPANS_MAX    8u                       /* streams of a table, one after the other */
#define CHANGES_RETENTION_NS UINT64_C(86400000000000) /* 24 h, of what is for a stream */

struct replica;
struct changes_span;

/* ---- Reading ---- */

/* Embed in the reader; fields are private.  Nothing to release; it is used on one fiber, which is
 * in the replica (replica_enter). */
struct changes_walk {
    struct replica *replica;
    struct tree_cursor cursor;
    struct context *ctx;
    bool empty;   /* there is no second tree */
    size_t work;  /* since others had their turn */
    size_t bytes; /* of the records so far, which the context's arena may hold */
};

/* What one call of the router reads, or a little more. */
#define CHANGES_CALL_ROWS_MAX  10000u
#define CHANGES_CALL_BYTES_MAX ((size_t)8 << 20)

/* The first changes_next gives the first record at or beyond `from`.  Reads nothing yet.
 *   STATUS_NO_MEMORY */
MUST_USE enum status changes_open(struct context *ctx, struct replica *replica,
                                  struct change_position from, struct changes_walk *walk);

/* The next record.  What it points to is valid until the fiber next waits; large images are in the
 * context's arena, which the caller bounds by resetting it between two walks.  Others have their
 * turn now and then.
 *   STATUS_END      no more now: everything that is applied was given; open another walk later
 *   STATUS_CORRUPT, STATUS_IO, ... as tree_cursor_next     STATUS_DEADLINE, STATUS_CANCELLED */
MUST_USE enum status changes_next(struct changes_walk *walk, struct change_record *record);

/* Wait until a record beyond `after` is applied; at once when there is one.
 *   STATUS_MOVED, STATUS_UNAVAILABLE  the replica does not serve any more
 *   STATUS_DEADLINE, STATUS_CANCELLED, STATUS_CORRUPT, ... */
MUST_USE enum status changes_wait(struct context *ctx, struct replica *replica,
                                  struct change_position after);

/* The highest slot of which a record was trimmed; 0: none was.  Who asks for what is at or below it
 * may have missed something. */
uint64_t changes_trimmed_slot(const struct replica *replica);

/* Of a stream's records: where they are, or were; false: there never was one. */
bool changes_span(const struct replica *replica, uint8_t stream, struct changes_span *span);

/* Of the records now: rows and bytes of the second tree. */
void changes_size(const struct replica *replica, uint64_t *rows, uint64_t *bytes);

/* ---- Marks ---- */

/* Where a consumer stands; false: it has no mark.  As of the applied slot. */
bool changes_mark(const struct replica *replica, uint64_t consumer, uint64_t *slot);

/* Set a consumer's mark: it needs nothing at or below `slot` any more.  It holds back the trimming
 * from here on, and over restarts.  Returns when that is applied.  Marks may be set back.
 *   STATUS_NO_SPACE  CHANGES_MARKS_MAX others, or the disk is full
 *   STATUS_UNKNOWN_OUTCOME, STATUS_UNAVAILABLE, STATUS_NO_MEMORY, ... as a write */
MUST_USE enum status changes_mark_set(struct context *ctx, struct replica *replica,
                                      uint64_t consumer, uint64_t slot);

/* The consumer is gone. */
MUST_USE enum status changes_mark_remove(struct context *ctx, struct replica *replica,
                                         uint64_t consumer);

/* All consumers are gone, and nothing is written that they would follow: not in the log. */
void changes_forget_marks(struct replica *replica);

/* ---- The calls of the router ---- */

enum status node_changes(struct context *ctx, struct replica_service *service,
                         const struct replica_target *target, const struct replica_changes *read,
                         struct change_sink *sink, struct replica_changes_result *result);

/* ---- For the files of this folder ---- */

struct changes_mark {
    uint64_t consumer, slot;
};

/* Where a stream's records are, or were, in the log. */
struct changes_span {
    uint8_t stream; /* its number; 0: none */
    uint64_t first_slot, last_slot;
    struct change_position trimmed; /* the last record that is gone; zero: all are there */
};

/* Marks and streams as a replica keeps them: on the heap, and none for most. */
struct changes_marks {
    uint32_t count;
    uint32_t span_count;
    struct changes_mark at[CHANGES_MARKS_MAX];
    struct changes_span spans[CHANGES_SPANS_MAX]; /* the newest last */
};

/* What a replica knows of its records; embedded in it. */
struct change_log {
    struct tree *tree;             /* the second tree; NULL: nothing was ever kept */
    struct change_position newest; /* applied, when newest_known */
    bool newest_known;
    struct wait_queue newer;     /* who waits for a record, or for a mark to be applied */
    struct changes_marks *marks; /* NULL: none */
    uint64_t trimmed_slot;
    struct {
        bool known;
        bool none; /* there is no record */
        uint8_t stream;
        uint64_t slot, hlc;
    } oldest;
    uint32_t trim_credit; /* records that may be trimmed now */
    bool trim_due;        /* an applier is to trim */
};

/* What a batch of entries adds; in the applier's arena. */
struct change_batch {
    struct tree_mutation *mutations; /* of the second tree */
    size_t count, capacity;
    uint32_t records; /* that are not in the second tree already, by an attempt before */
    struct change_position newest; /* of all; zero: there is none */
    struct changes_mark *marks;    /* slot UINT64_MAX: it goes */
    uint32_t mark_count;
    uint32_t span_count;
    struct changes_span spans[CHANGES_SPANS_MAX]; /* of its records, again those of a replay */
};

struct log_entry;

void changes_init(struct replica *replica);

/* What the forest has of a replica whose trees are there.
 *   STATUS_NO_MEMORY */
MUST_USE enum status changes_restore(struct replica *replica, uint64_t trimmed_slot,
                                     const struct changes_marks *marks);
void changes_release(struct replica *replica);

/* Gather what an entry adds.  The batch has room for 3 mutations and a mark for each of its
 * mutations.
 *   STATUS_NO_MEMORY, STATUS_CORRUPT, STATUS_VERSION */
MUST_USE enum status changes_gather(struct context *ctx, const struct replica *replica,
                                    const struct log_entry *entry, struct change_batch *batch);

/* Put the batch's records into the second tree; before its items go into the first.
 *   as tree_apply */
MUST_USE enum status changes_apply(struct context *ctx, struct replica *replica,
                                   const struct change_batch *batch, uint64_t last_slot);

/* The batch is applied whole: take its marks, wake who waits, let as much be trimmed.  Does not
 * wait. */
void changes_applied(struct replica *replica, const struct change_batch *batch);

/* Does an applier have something to trim?  And its turn: a bounded number of records. */
bool changes_trims(const struct replica *replica);
void changes_trim(struct context *ctx, struct replica *replica);

/* Each second, while some replica has records. */
void changes_timer_fire(struct env_timer *timer);

#endif
