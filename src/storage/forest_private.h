/* forest_private.h - what the files of the forest share: its structs, and how trees are walked.
 *
 * An operation walks a tree with what is in frames (tree_find), which never waits.  When a page is
 * missing it brings it in (reader_bring), which may, and walks again from the root: meanwhile the
 * tree may be another.
 */
#ifndef STORAGE_FOREST_PRIVATE_H
#define STORAGE_FOREST_PRIVATE_H

#include "env/env.h"
#include "env/fiber.h"
#include "storage/forest.h"
#include "storage/frames.h"
#include "storage/page.h"
#include "storage/space.h"
#include "storage/superblock.h"
#include "storage/tree.h"

#define TREE_HEIGHT_MAX    16u
#define TREE_ID_FOREST     0u /* the free list */
#define TREE_ID_DIRECTORY  1u
#define TREE_ID_FIRST      2u      /* of replicas */
#define TREE_STEPS_MAX     100000u /* walks from the root of one operation; beyond it BUSY */
#define FOREST_GROUP_MAX   3u      /* sibling leaves that share what they hold */
#define FOREST_ROW_KEY_MAX 24u

struct tree_root {
    struct page_ref page; /* number 0: the tree is empty */
    uint32_t height;      /* levels; 0 = empty, 1 = the root is a leaf */
};

/* What a checkpoint has of a tree. */
struct tree_saved {
    struct tree_root root;
    uint64_t applied;
    bool valid; /* the checkpoint has it */
};

struct tree {
    struct forest *forest;
    struct list link;      /* in forest->trees, but for the directory */
    struct list drop_link; /* in forest->dropped, until the reaper has all of it */
    uint64_t tree_id;
    struct replica_id replica; /* when `live` */
    struct tree *first;        /* when `live`, of a second tree: the one that it belongs to */
    struct tree *second;       /* when `live`: of changes, or NULL */
    bool live;                 /* has a row of `replica` */
    bool staged;               /* has no row yet */
    bool closed;               /* dropped: no longer the owner's */
    bool reaped;               /* closed, and nobody waits in it: the reaper's */
    bool stuck;                /* it could not be reaped: a page is damaged */
    bool applying;
    bool row_dirty;  /* the directory does not have its row as it is */
    bool row_stored; /* the directory has a row under `stored_key` */
    uint8_t stored_key_bytes;
    uint8_t stored_key[FOREST_ROW_KEY_MAX];
    uint32_t users; /* fibers that wait inside */
    struct tree_root root;
    uint64_t applied, log_start, items, bytes, item_bytes;
    uint64_t partial_slot; /* a large batch of this slot was applied in part; 0 = none */
    uint64_t change;       /* counts changes, from 1 */
    uint8_t *blob;
    uint32_t blob_bytes;
    /* The newest durable checkpoint, the one before it, and the one being written. */
    struct tree_saved saved, saved_before, saving;
};

struct snapshot {
    struct list link; /* in forest->snapshots, oldest first */
    struct forest *forest;
    uint64_t tree_id;
    uint64_t epoch; /* 0: taken away, over the budget */
    struct tree_root root;
    uint64_t applied;
};

/* Memory for a change, reserved once: changes cannot fail for want of it. */
struct tree_scratch {
    uint8_t pages[FOREST_GROUP_MAX + 1][PAGE_BYTES];
    uint8_t separators[FOREST_GROUP_MAX][TREE_KEY_BYTES_MAX];
    uint8_t key_a[TREE_KEY_BYTES_MAX], key_b[TREE_KEY_BYTES_MAX];
    struct bytes cells[(FOREST_GROUP_MAX + 1) * PAGE_NODE_BYTES / 8];
};

struct forest {
    struct env *env;
    bool in_memory;
    bool log_unnamed; /* a new file, without superblocks until forest_name_log */
    struct env_file *file;
    struct superblock super; /* identity; and the newest durable one's content */
    struct lsn log_before;   /* the log position of the older superblock */
    uint64_t epoch_before;   /* the epoch of the older superblock, 0 = none */
    uint32_t slot;           /* where the newest durable superblock lies */
    uint64_t epoch;          /* the current one: greater than any on disk */
    struct frames frames;
    struct space space;
    uint32_t reserve_pages;
    uint64_t snapshot_bytes, drop_pages_per_s;
    struct forest_recovered recovered;

    struct tree directory;
    struct tree **rows; /* live trees by replica id */
    uint32_t row_count, row_capacity;
    struct list trees; /* all but the directory */
    struct list dropped;
    uint64_t tree_id_next;
    struct list snapshots;

    /* Frames that may be dirty: what plans have promised themselves, and the bound. */
    uint32_t dirty_max, dirty_promised;
    struct wait_queue budget;
    bool growing;   /* the file is being made longer */
    bool disk_full; /* it could not be, the last time */
    bool retrying;  /* a fiber tries again; it waits on `reaper` */
    struct wait_queue grown;

    bool checkpointing;
    struct wait_queue checkpoint_over;
    struct wait_queue checkpoint_due;
    bool checkpoint_wanted;   /* a plan waits for one */
    enum status write_status; /* of the last checkpoint, when it was not OK or NO_SPACE */
    enum status checkpoint_status;
    uint64_t unsaved_since;     /* the first epoch that a failed checkpoint left; 0 = none */
    struct page_ref *free_list; /* the pages of the newest durable free list */
    uint32_t free_list_count, free_list_capacity;

    bool reaping, closing;
    struct wait_queue reaper;
    struct tree_scratch *scratch;

    struct page_ref reported; /* the last corrupt page that a log line named */
    uint64_t pages_written, checkpoints, checkpoint_failures, apply_waits;
    struct histogram checkpoint_ns;
};

/* ---- Walking (tree_read.c) ---- */

/* Where a walk passed; at[0] is the root, at[height - 1] the leaf. */
struct tree_path {
    unsigned height; /* of the tree; when the walk ended early, the levels that it passed */
    bool exact;      /* the leaf has the key, at the leaf's index */
    struct {
        struct frame *frame;
        const uint8_t *page; /* the frame's, when it was passed */
        unsigned index;      /* the child taken; in the leaf, the first cell not below the key */
    } at[TREE_HEIGHT_MAX];
};

enum tree_find_mode {
    FIND_AT,     /* the leaf that has or would have `key` */
    FIND_BEFORE, /* the leaf that has or would have what is next below `key` */
    FIND_FIRST,
    FIND_LAST,
};

enum tree_found { TREE_FOUND, TREE_MISSING, TREE_DAMAGED };

/* Walk down from `root` (not empty) by what is in frames.  TREE_MISSING: *missing must be brought
 * in first.  TREE_DAMAGED: *missing verifies and is not what belongs there. */
enum tree_found tree_find(struct forest *forest, struct tree_root root, struct bytes key,
                          enum tree_find_mode mode, enum frame_use use, struct tree_path *path,
                          struct page_ref *missing);

/* One operation that reads: what it walks, and the page that it keeps pinned while it
 * walks anew. */
struct tree_reader {
    struct context *ctx;
    struct forest *forest;
    struct tree *tree;         /* or */
    struct snapshot *snapshot; /* one of the two is NULL */
    enum frame_use use;
    struct frame *held;
    struct page_ref failed; /* a page that failed its check once: the tree may have changed */
    unsigned steps;
};

struct tree_reader_value { /* a large value on its way */
    struct page_ref first;
    uint32_t bytes, done; /* copied */
    unsigned next, refs;  /* of the further pages */
    struct page_ref *ref; /* theirs, in the arena */
    uint8_t *to;
};

struct tree_reader reader_of_tree(struct context *ctx, struct tree *tree);
struct tree_reader reader_of_snapshot(struct context *ctx, struct snapshot *snapshot);
static inline struct tree_root reader_root(const struct tree_reader *reader)
{
    return reader->snapshot != NULL ? reader->snapshot->root : reader->tree->root;
}

/* Bring a missing page in; then walk again from the root.  The status ends the operation. */
enum status reader_bring(struct tree_reader *reader, struct page_ref missing);

/* A page verifies and is not what belongs there: report it. */
enum status reader_damaged(struct tree_reader *reader, struct page_ref ref);

/* Go on copying the large value of `cell` to value->to.  TREE_MISSING as in tree_find. */
enum tree_found reader_copy_value(struct tree_reader *reader, const struct page_cell *cell,
                                  struct tree_reader_value *value, struct page_ref *missing);

void reader_end(struct tree_reader *reader);

uint64_t reader_tree_id(const struct tree_reader *reader);

/* How page_find asks for rests; the owner is the forest. */
struct page_rests forest_rests(struct forest *forest);

/* The whole key of a cell, in `to` (TREE_KEY_BYTES_MAX) when it has a rest.  False: its rest is
 * missing or not what it should be (key_rest). */
bool tree_cell_key(struct forest *forest, const struct page_cell *cell, uint8_t *to,
                   struct bytes *key);

/* ---- Plans and changes (tree_apply.c, tree_ready.c, tree_change.c) ---- */

enum { TREE_MOVE_PATH = 100, TREE_TRIM_FIRST = 101 }; /* more kinds of tree_mutation */

/* What one step has pinned and reserved. */
struct plan {
    struct context *ctx;
    struct tree *tree;
    bool urgent;         /* may use the reserve of pages */
    bool directory;      /* a checkpoint's own: may pass the bound of dirty frames */
    struct frame **pins; /* in the heap */
    uint32_t pin_count, pin_capacity;
    struct list frames; /* empty ones, reserved */
    uint32_t frame_count;
    uint32_t numbers;     /* reserved */
    uint32_t promised;    /* of forest->dirty_max */
    uint32_t pages_new;   /* that the planned mutations may make */
    uint32_t pages_freed; /* that they may free, beside the pinned ones */
    bool waited;          /* since the first mutation was found ready */
    /* Keys in ascending order at the tree's end need no walk each: the last one that was found
     * ready, or made, ends the tree.  Nothing waits between it and the next. */
    struct bytes edge_key;   /* empty: not known */
    struct frame *edge_leaf; /* made: where it is */
    unsigned edge_free;      /* found ready: bytes left where it will be */
};

/* Where the last mutation of a batch is, so that the next one need not be looked for from the root
 * when it is in the same leaf.  Stays right as long as nothing waits. */
struct tree_finger {
    struct bytes key;      /* the mutation's; empty: not known */
    struct tree_path path; /* to the leaf that has or would have it */
};

/* The pages that one mutation may make at most, in a tree of this height (values apart). */
static inline uint32_t change_pages_max(const struct tree *tree)
{
    return 7 * (tree->root.height + 1) + 4;
}

#define LEAF_LOW_BYTES (PAGE_NODE_BYTES / 3) /* a page with less tries to merge */

/* Leaves that share. */
struct leaf_group {
    unsigned first, count; /* children of the parent */
    struct frame *frames[FOREST_GROUP_MAX];
};

/* The leaf of `path`, and with `neighbours` those beside it below the same parent. */
enum tree_found change_find_group(struct forest *forest, const struct tree_path *path,
                                  bool neighbours, struct leaf_group *group,
                                  struct page_ref *missing);

/* Does the leaf end the tree, so that a key after its last is the tree's last? */
bool change_is_right_edge(const struct tree_path *path);

/* What a put takes of its leaf, with its slot. */
unsigned change_put_bytes(const struct tree_mutation *mutation);

/* Does the mutation put a small item behind the plan's last one, which ends the tree? */
bool change_is_at_edge(const struct plan *plan, const struct tree_mutation *mutation);

/* Can the mutation be made with what is in frames?  TREE_MISSING: *missing must be loaded first.
 * Pins what it needs, when a plan is given, and adds to its counts.  The finger is then at the
 * mutation, if there is a leaf. */
enum tree_found change_ready(struct tree *tree, const struct tree_mutation *mutation,
                             struct plan *plan, struct tree_finger *finger,
                             struct page_ref *missing);

/* The next mutation appends to the tree where the plan's last one did: it is ready. */
bool change_ready_at_edge(struct plan *plan, const struct tree_mutation *mutation);

/* The same, when that was made and its leaf has room: make it. */
bool change_make_at_edge(struct plan *plan, const struct tree_mutation *mutation);

/* Make it; change_ready said TREE_FOUND, and the plan has change_pages_max and the value's pages
 * left.  The finger is at the mutation, or nowhere; afterwards it is there still, if the tree's
 * pages are the same.  Cannot fail and never waits. */
void change_make(struct plan *plan, const struct tree_mutation *mutation,
                 struct tree_finger *finger);

/* Give `frame` of `tree` a name of the current epoch, if it has an older one, copying it when it is
 * being written or read.  Returns the frame to change.  The parent must be told. */
struct frame *change_own(struct plan *plan, struct frame *frame);

/* Would tree_apply_mutations make all of these without waiting for a checkpoint, in however many
 * steps? */
bool tree_apply_fits(const struct tree *tree, const struct tree_mutation *mutations, size_t count);

/* As tree_apply without the slot's part; `urgent` as in struct plan.  *done: how many mutations
 * were made, all of them unless there was an error. */
MUST_USE enum status tree_apply_mutations(struct context *ctx, struct tree *tree,
                                          const struct tree_mutation *mutations, size_t count,
                                          bool urgent, size_t *done);

/* The same in one step that does not wait.  False: it cannot be done without waiting, nothing
 * happened. */
bool tree_apply_now(struct context *ctx, struct tree *tree, const struct tree_mutation *mutations,
                    size_t count);

/* Reserve `count` page numbers, making the file longer when it must be; may wait.
 *   STATUS_NO_SPACE */
MUST_USE enum status forest_reserve_numbers(struct context *ctx, struct forest *forest,
                                            uint32_t count, bool urgent);

/* ---- Checkpoint (checkpoint.c) ---- */

/* For the dirty frames, the pages that wait, or because somebody asked. */
bool forest_checkpoint_is_due(const struct forest *forest);

/* Run a job and wait for it, also for room in its lane. */
MUST_USE enum status forest_run_job(struct context *ctx, struct env_job *job);

/* Write a superblock where it belongs, and sync the file. */
MUST_USE enum status forest_write_super(struct context *ctx, struct forest *forest,
                                        const struct superblock *super);

/* Settle what waits for superblocks and snapshots. */
void forest_settle(struct forest *forest);

/* In memory: what the trees are now counts as saved, and no page of it is changed under
 * its name. */
void forest_end_epoch(struct forest *forest);

/* In memory an open snapshot may refer to this page, so that its frame must stay as it is. */
static inline bool forest_keeps(const struct forest *forest, struct page_ref ref)
{
    if (!forest->in_memory || list_empty(&forest->snapshots))
        return false;
    return LIST_ITEM(forest->snapshots.prev, struct snapshot, link)->epoch >= ref.epoch;
}

/* ---- Directory (directory.c) ---- */

/* Read all rows, and make the trees that they stand for.
 *   STATUS_CORRUPT, STATUS_VERSION, STATUS_NO_MEMORY, ...  directory_release frees what was made */
MUST_USE enum status directory_load(struct context *ctx, struct forest *forest);

/* Bring the directory up to date without waiting at its end: when it returns OK, every row is as
 * its tree is, and nothing has waited since. */
MUST_USE enum status directory_update(struct context *ctx, struct forest *forest);
void directory_release(struct forest *forest);

/* Free a dropped tree whose pages and row are gone. */
void tree_free(struct tree *tree);
MUST_USE struct tree *tree_make(struct forest *forest, uint64_t tree_id);

/* ---- Dropped trees (reaper.c) ---- */

/* Start the fiber that frees dropped trees, if it does not run and there are any. */
void reaper_wake(struct forest *forest);

/* ---- The end of the file (shrink.c) ---- */

/* Move pages from the end of the file to its holes, and cut it off; several checkpoints.  Nothing
 * else may run.  On another status than OK no checkpoint may follow: an item may be away. */
MUST_USE enum status forest_shrink(struct context *ctx, struct forest *forest, struct lsn covered);

#endif
