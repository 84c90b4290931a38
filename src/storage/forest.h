/* forest.h - one file, one pager, one checkpoint per node; in it one B+tree for each replica.
 *
 * A *directory tree* maps each replica id to its row: the tree's root, the slot up to which the
 * group's log is applied in it, and what the owner wants to keep with it (log start,
 * configuration). So installing a copy swaps one row, and dropping a table unlinks a row and frees
 * its pages in the background.  The tree operations are in storage/tree.h.
 *
 * Pages are never changed where a superblock refers to them: the first change of a page in an
 * *epoch* gives it a new number, and its parent with it.  A checkpoint ends the epoch, writes its
 * pages in page order, syncs, and writes the superblock of the two that is older; readers and
 * appliers go on meanwhile.  Either superblock can be opened: what the older one refers to is not
 * used again before it is overwritten.  A reference to a page is (number, epoch written), a pair
 * that is never used twice, and the page must say the same.
 *
 * A forest in memory (`in_memory`) is the same trees without a file: its pages are in frames and
 * nowhere else, each once, and are changed where they are.  There is nothing to read, to verify or
 * to write: a checkpoint says what the log may forget, and ends the epoch only when pages wait for
 * that.  A snapshot ends it as well; what it refers to is copied before it is changed.
 *
 * Cold pages are read and verified in the read lane, checkpoints written in the background lane.
 * All functions are called on the loop's thread; those that take a context may wait and must run on
 * its fiber, all others never wait.
 *
 * Invariants (the numbers are used in the .c and in the tests):
 *   (1) nothing that an openable superblock or an open snapshot refers to is written to
 *   (2) a page's content is given to a reader only after its checksum, tree, number and epoch were
 *       found to be those that its parent names
 *   (3) (number, epoch) of a page is written once
 *   (4) dirty pages are in frames; pinned, dirty and loading frames are not evicted
 *   (5) every page of the file (in memory: every number below the page count) is exactly one of:
 *       used by the current trees, free, waiting for its epoch (pending), taken by an operation in
 *       flight
 */
#ifndef STORAGE_FOREST_H
#define STORAGE_FOREST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/metrics.h"
#include "base/status.h"
#include "env/env.h"
#include "env/fiber.h"
#include "storage/log_types.h"

#define FOREST_PAGE_BYTES         8192u
#define FOREST_CACHE_BYTES_MIN    (256u * FOREST_PAGE_BYTES) /* 2 MiB */
#define FOREST_CACHE_BYTES_MAX    (UINT64_C(1) << 40)
#define FOREST_ROW_BLOB_BYTES_MAX (320u * 1024u) /* what the owner keeps with a tree */

struct forest;
struct tree;

/* Zero in a number means the default named beside it. */
struct forest_options {
    const char *path;        /* the file; its directory exists and is synced in its parent.  Not
                              * used in memory */
    uint64_t cluster_id;     /* stored when made, must be the same when opened; 0 = do not check */
    uint32_t node_id;        /* the same; 0 = do not check */
    uint64_t log_id;         /* of the node's write-ahead log: the same; 0 = do not check, and
                              * choose one for a new file, unless forest_name_log is told it */
    bool create;             /* make the file when there is none; otherwise STATUS_NOT_FOUND */
    bool log_named_later;    /* the owner makes the log between forest_open and forest_name_log; it
                              * syncs the directory (wal_open in the same one does) */
    bool in_memory;          /* no file: all is gone when the forest is closed */
    uint64_t cache_bytes;    /* frames, rounded down to pages; 128 MiB.  Taken as they are used.  In
                              * memory: what all pages may take; FOREST_CACHE_BYTES_MAX.  At it
                              * puts answer STATUS_NO_SPACE */
    uint32_t reserve_pages;  /* kept free on disk for deletes and one checkpoint; 128 */
    uint64_t snapshot_bytes; /* what all snapshots together may keep from reuse; 1 GiB */
    uint64_t drop_pages_per_s; /* pace at which dropped trees give their pages back; 20,000.  In
                                * memory each turn of the loop gives back a few */
};

/* Open the file, or make it; the newer of the two superblocks that verify counts.  If it was there,
 * it is written again and synced, as it may be in the page cache only; one that is damaged is
 * replaced by a copy of it.  A file whose making was cut short is made anew.
 *   STATUS_NOT_FOUND  no file and `create` is false
 *   STATUS_INVALID    not a forest file, or of another cluster, node or log, or a bad option
 *   STATUS_VERSION    a format that this program does not know
 *   STATUS_CORRUPT    no superblock verifies, the file is shorter than it says, or a page that
 *                     opening reads fails its check; a log line says which
 *   STATUS_LOCKED     another process has it open
 *   STATUS_IO, STATUS_NO_SPACE, STATUS_DENIED, STATUS_NO_MEMORY, STATUS_BUSY
 * On any error nothing is open. */
MUST_USE enum status forest_open(struct context *ctx, const struct forest_options *options,
                                 struct forest **forest);

/* A new file gets its superblocks, which name the log `log_id` (0 = choose an id).  With
 * options.log_named_later the owner calls it when that log, with its name in the directory, is
 * durable, and before anything is appended to it and before the first checkpoint.  So a file that
 * has a superblock says that there was a log, and one that has none, that nothing was in it.  Does
 * nothing to a file that was there before.
 *   STATUS_IO, STATUS_NO_SPACE, STATUS_NO_MEMORY, STATUS_BUSY  it is not made; close it */
MUST_USE enum status forest_name_log(struct context *ctx, struct forest *forest, uint64_t log_id);

/* Stop cleanly (in memory: only free it): wait for what runs, write a last checkpoint that covers
 * `covered` (as forest_checkpoint), move pages from the end of the file to its holes and cut it
 * off.  No tree operation, cursor or snapshot may be in use.  The forest is freed whatever the
 * status is; on another status than OK the file is as after a crash, and the log has what is
 * missing. */
MUST_USE enum status forest_close(struct context *ctx, struct forest *forest, struct lsn covered);

/* Free the forest and write nothing: for a start that failed.  The file is as after a crash.  The
 * same is not in use as for forest_close. */
void forest_abandon(struct context *ctx, struct forest *forest);

/* What forest_open found. */
struct forest_recovered {
    bool created;        /* the file is new: there is nothing in it */
    bool fell_back;      /* the newer superblock was damaged; the older one was taken */
    struct lsn log_from; /* records from here on must be applied again; zero for a new file */
    uint64_t epoch;      /* of the superblock taken */
    uint64_t log_id;     /* of the log that belongs to the file; of a new one 0 until it is named,
                          * unless the options told it */
};

struct forest_recovered forest_recovered(const struct forest *forest);

/* ---- Checkpoints ---- */

/* Make everything that is applied now durable (in memory: as lasting as the forest).  `covered`:
 * every record below it is applied, or needs no replay; it becomes log_from of a recovery.  Waits
 * until done; only one runs at a time, others wait for it first.  It cannot be interrupted.
 *   STATUS_NO_SPACE, STATUS_NO_MEMORY, STATUS_BUSY (a lane)
 *                     nothing is lost: all is kept in memory, the next one writes it anew
 *   STATUS_IO, ...    the same; the forest counts it (forest_stats), and refuses writes
 *                     (UNAVAILABLE) until a checkpoint succeeds */
MUST_USE enum status forest_checkpoint(struct context *ctx, struct forest *forest,
                                       struct lsn covered);

/* Wait until a checkpoint should be made because of dirty frames or pages waiting for an epoch, or
 * until `until_ns` on the monotonic clock.  For the fiber that makes the checkpoints.
 *   STATUS_OK         make one now    STATUS_DEADLINE  the time came    STATUS_CANCELLED */
MUST_USE enum status forest_wait_checkpoint_due(struct context *ctx, struct forest *forest,
                                                uint64_t until_ns);

/* A checkpoint is due, until the next one begins: wakes forest_wait_checkpoint_due. */
void forest_want_checkpoint(struct forest *forest);

/* The log must keep everything from here on: the lower log position of the two superblocks, of
 * which either can be opened.  For wal_release. */
struct lsn forest_log_needed(const struct forest *forest);

/* False: the file cannot grow (in memory: the frames are at their bound), and only the reserve is
 * left.  What would make trees larger should be refused with NO_SPACE before it is in the log;
 * deletes still go through. */
bool forest_has_space(const struct forest *forest);

/* Little of the space is left: the file cannot grow, or (in memory) seven eighths of the frames are
 * in use. */
bool forest_is_tight(const struct forest *forest);

/* ---- The directory ---- */

/* A row of the directory; see forest_rows. */
struct forest_row {
    struct replica_id replica;
    uint64_t applied;    /* slot: entries up to here are in the tree */
    uint64_t log_start;  /* slot: the group's log on this node starts after it */
    uint64_t items;      /* keys in the tree */
    uint64_t bytes;      /* of their keys and values */
    uint64_t item_bytes; /* as the owner counts them: tree_add_item_bytes */
    struct bytes blob;   /* the owner's (configuration); borrowed from the forest until the row is
                         * changed */
};

/* Iterate over the rows in order of replica id: start with a zero `after`, then give the last
 * row's id.  False at the end. */
bool forest_rows(const struct forest *forest, struct replica_id after, struct forest_row *row);

/* The tree of `replica`; NULL when there is none.  Valid until it is dropped or the forest closes.
 */
struct tree *forest_tree(const struct forest *forest, struct replica_id replica);

/* Make an empty tree for `replica`, with `blob` as the owner's bytes (copied).  Durable with the
 * next checkpoint; until then the log must tell.
 *   STATUS_EXISTS     it has one
 *   STATUS_TOO_LARGE  blob is over FOREST_ROW_BLOB_BYTES_MAX     STATUS_NO_MEMORY */
MUST_USE enum status tree_create(struct forest *forest, struct replica_id replica,
                                 struct bytes blob, struct tree **tree);

/* A replica may have a second tree beside its own, for what it keeps of its changes.  It has a row
 * of its own on disk, but is no row of forest_rows: it is found by its first tree, and dropped with
 * it
 * (tree_drop, tree_install).  Each has its applied slot; a checkpoint has both as they are at one
 * moment. */

/* Make it, empty; durable with the next checkpoint.
 *   STATUS_EXISTS     there is one already     STATUS_NO_MEMORY */
MUST_USE enum status tree_create_second(struct tree *tree, struct tree **second);

/* NULL: there is none. */
struct tree *tree_second(const struct tree *tree);

/* Make an empty tree without a row, to load a copy into; gone after a restart unless installed.
 *   STATUS_NO_MEMORY */
MUST_USE enum status tree_create_staged(struct forest *forest, struct tree **tree);

/* Give the staged tree the row of `replica`, with these values; a tree that had the row is dropped.
 *   STATUS_TOO_LARGE, STATUS_NO_MEMORY: nothing changed */
MUST_USE enum status tree_install(struct tree *staged, struct replica_id replica, uint64_t applied,
                                  uint64_t log_start, struct bytes blob);

/* Put an empty tree in the place of this one, which is dropped: *fresh has its row, with all that
 * the row keeps but the items, and its second tree as it is.  Nothing of it is in the log: until
 * the next checkpoint a crash brings the items back.
 *   STATUS_NO_MEMORY: nothing changed */
MUST_USE enum status tree_clear(struct tree *tree, struct tree **fresh);

/* Unlink the tree; its pages are freed in the background, also over restarts.  Readers that wait
 * in it end with STATUS_CLOSED; `tree` is no longer valid for the caller. */
void tree_drop(struct tree *tree);

/* Change what the row keeps; durable with the next checkpoint.
 *   STATUS_TOO_LARGE, STATUS_NO_MEMORY: nothing changed */
MUST_USE enum status tree_set_blob(struct tree *tree, struct bytes blob);

/* The sizes of the items in the tree, as the owner counts them, change by so much.  Called for a
 * batch right behind its tree_apply, without a wait: then every checkpoint has both or neither. */
void tree_add_item_bytes(struct tree *tree, int64_t change);

struct forest_row tree_row(const struct tree *tree);

/* The applied slot in the older of the two superblocks: entries up to it need not be kept for
 * recovery; 0 when the tree is not in both. */
uint64_t tree_applied_durable(const struct tree *tree);

/* ---- Looking after it ---- */

/* Read everything and check it: every page against its reference, order of keys, fences, counts,
 * and that each page of the file has exactly one use.  Slow; reads with the private frames.
 * Nothing may be applied and no checkpoint made meanwhile (offline check, tests).
 *   STATUS_CORRUPT  log lines say what is wrong */
MUST_USE enum status forest_verify(struct context *ctx, struct forest *forest);

struct forest_stats {
    uint64_t frames_max, frames;   /* the bound; with memory */
    uint64_t frames_dirty;         /* frames that wait for a checkpoint or are written */
    uint64_t hits, misses;         /* page look-ups */
    uint64_t evictions;            /* frames taken from one page for another */
    uint64_t reads, read_failures; /* pages from the file */
    uint64_t corrupt_pages;        /* reads that failed their check */
    uint64_t pages_written;        /* by checkpoints, and of large values */
    uint64_t checkpoints;          /* completed */
    uint64_t checkpoint_failures;  /* voided */
    enum status checkpoint_status; /* of the last one */
    uint64_t epoch;                /* now */
    uint64_t pages, pages_free;    /* of the file */
    uint64_t pages_pending;        /* freed, waiting for their epoch */
    uint64_t snapshots;            /* open */
    uint64_t trees, trees_dropping;
    uint64_t apply_waits;           /* batches that were slowed or stopped by dirty frames */
    struct histogram checkpoint_ns; /* from its start to its end */
    struct histogram read_ns;       /* cold pages, from miss to arrival */
};

struct forest_stats forest_stats(const struct forest *forest);

#endif
