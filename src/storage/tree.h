/* tree.h - one ordered map from byte keys to byte values in a forest: get, cursor, apply, snapshot.
 *
 * A B+tree of 8 KiB pages.  Keys sort as unsigned bytes.  What a leaf holds is read in place; a
 * value over TREE_INLINE_VALUE_BYTES_MAX lies in pages of its own and is verified and copied once.
 * Only tree_apply changes a tree, one batch at a time, in the order of the group's slots.
 *
 * How long what is read stays valid
 *   A key or value that is read in place is borrowed from a page: valid until the calling fiber
 * next waits, or calls a function that changes the forest, whichever comes first.  A large value is
 * in the context's arena, and valid as long as that.  Callers that cannot tell them apart treat
 * both as borrowed.
 */
#ifndef STORAGE_TREE_H
#define STORAGE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/status.h"
#include "env/fiber.h"
#include "storage/forest.h"

#define TREE_KEY_BYTES_MAX          7168u        /* 7 KiB; at least 1 */
#define TREE_VALUE_BYTES_MAX        (896u << 10) /* may be empty */
#define TREE_INLINE_VALUE_BYTES_MAX 2048u        /* a quarter of a page */

/* ---- Point reads ---- */

/* The value at `key`.  Does not wait, nor allocate, when all pages on the way are in frames.
 *   STATUS_NOT_FOUND  the tree has no such key
 *   STATUS_CORRUPT    a page on the way fails its check; logged once, counted, never served
 *   STATUS_NO_MEMORY  the arena has no room for a large value
 *   STATUS_DEADLINE, STATUS_CANCELLED, STATUS_CLOSED (dropped), STATUS_IO, STATUS_BUSY (all frames
 *   in use, or the read lane is full) */
MUST_USE enum status tree_get(struct context *ctx, struct tree *tree, struct bytes key,
                              struct bytes *value);

/* Where a read ended: one that follows need not look for its key from the root when it is in the
 * same leaf, and the tree is as it was.  All 0: nowhere. */
struct tree_place {
    uint32_t number;     /* of the leaf's page */
    uint32_t next_index; /* in it */
    uint64_t epoch, change;
};

/* As tree_get, of keys that are often next to each other: from *place on. */
MUST_USE enum status tree_get_near(struct context *ctx, struct tree *tree, struct bytes key,
                                   struct tree_place *place, struct bytes *value);

/* Begin to read the pages on the way to `key` that are not in frames, as far as that is possible
 * now; never waits, cannot fail.  For entries that will be applied soon. */
void tree_prefetch(struct tree *tree, struct bytes key);

/* A key, and the tree that may have it; NULL: none. */
struct tree_point {
    struct tree *tree;
    struct bytes key;
};

/* Begin to fetch what reads of these keys will need, all of them at once: pages that are not in
 * frames from the file, and what they will touch of those that are from memory.  Never waits,
 * cannot fail; for what is read without waiting after it. */
void tree_prefetch_many(const struct tree_point *points, uint32_t count);

/* ---- Cursors ---- */

enum tree_cursor_flags {
    TREE_CURSOR_BACKWARD = 1,
    /* A background reader: takes its pages from a small private set of frames, and a large value is
     * only valid until the cursor's next call (its memory is used again). */
    TREE_CURSOR_BACKGROUND = 2,
    /* Only keys are wanted: values come as empty bytes, and large ones are not read. */
    TREE_CURSOR_KEYS = 4,
};

struct snapshot;

/* Embed in the owner; fields are private.  Nothing to release: its memory is in the arena of the
 * context it was opened with, and it is used on that fiber only. */
struct tree_cursor {
    struct context *ctx;
    struct tree *tree;
    struct snapshot *snapshot; /* NULL: the live tree */
    unsigned flags;
    bool started, inclusive, ended;
    bool bound_set; /* `bound` limits the leaf on the side that the cursor goes to */
    uint8_t *key;   /* the last key returned, or the one sought; in the arena */
    uint8_t *bound; /* the separator beyond the current leaf; in the arena */
    uint8_t *value; /* TREE_CURSOR_BACKGROUND: memory of large values */
    uint32_t key_bytes, key_capacity;
    uint32_t bound_bytes, bound_capacity;
    uint32_t value_capacity;
    uint32_t leaf_number; /* the leaf that `next_slot` counts in; 0 = seek again */
    uint32_t next_slot;
    uint32_t leaves_ahead; /* to be read with one that is missing */
    uint64_t leaf_epoch;
    uint64_t leaf_change; /* the tree's change count when next_slot was true */
};

/* Place a cursor so that the first tree_cursor_next gives the first key in its direction at or
 * beyond `key` (beyond it, when not `inclusive`); an empty key means the end it starts from.  Reads
 * nothing yet; `key` is copied.
 *   STATUS_NO_MEMORY  the arena has no room */
MUST_USE enum status tree_cursor_open(struct context *ctx, struct tree *tree, unsigned flags,
                                      struct bytes key, bool inclusive, struct tree_cursor *cursor);

/* The next key and value.  Sees what was applied before the call: after a wait or a change of the
 * tree it goes on beyond the last key that it returned.
 *   STATUS_END  no more     others as tree_get; the cursor stays where it is */
MUST_USE enum status tree_cursor_next(struct tree_cursor *cursor, struct bytes *key,
                                      struct bytes *value);

/* ---- Apply ---- */

enum tree_mutation_kind { TREE_PUT = 1, TREE_DELETE = 2 };

struct tree_mutation {
    enum tree_mutation_kind kind;
    struct bytes key;
    struct bytes value; /* TREE_PUT */
};

/* Apply the mutations, in order, as slot `slot` of the group's log; a slot at or below the applied
 * one was applied before, and nothing happens.  Slot 0 is for staged trees: always applied, the
 * applied slot stays.  Deleting a key that is not there is nothing.
 *
 * Two phases: first every page is found, loaded and pinned, every frame and page number reserved,
 * and large values are written out (this may wait); then all is changed without waiting.  A batch
 * that needs more than a quarter of the frames goes in steps of that kind; between them readers may
 * see a part of it, and if a later step fails, the same batch must be applied again before any
 * other: until then the applied slot stays, and other batches are refused.
 *
 * One call at a time for one tree.  May be slowed when many frames are dirty.
 *   STATUS_INVALID      an empty key, or slot 0 for a tree that has a row
 *   STATUS_TOO_LARGE    a key or value over its limit
 *   STATUS_NO_SPACE     the file cannot grow; puts may use half of the reserve, deletes all of it;
 *                       or frames are needed, and a checkpoint found the disk full
 *   STATUS_BUSY         another batch is being applied, or a lane is full
 *   STATUS_UNAVAILABLE  a checkpoint failed with an I/O error and none succeeded since
 *   STATUS_CORRUPT, STATUS_IO, STATUS_NO_MEMORY, STATUS_DEADLINE, STATUS_CANCELLED, STATUS_CLOSED
 * On an error nothing was changed, but as said for large batches. */
MUST_USE enum status tree_apply(struct context *ctx, struct tree *tree,
                                const struct tree_mutation *mutations, size_t count, uint64_t slot);

/* Delete keys outside the group's log: what each replica may do by itself, and again, since nobody
 * reads them any more.  The applied slot stays.  The same rules and statuses as tree_apply; on an
 * error some of the keys may be gone. */
MUST_USE enum status tree_prune(struct context *ctx, struct tree *tree, const struct bytes *keys,
                                size_t count);

/* ---- Snapshots ---- */

/* The tree as of the last checkpoint, kept from reuse while it is open; O(1).  All snapshots
 * together may keep forest_options.snapshot_bytes; beyond it the oldest is taken away: its readers
 * get STATUS_CLOSED, open a new one and go on at their last key, and the log closes the gap.
 *   STATUS_NOT_FOUND  no checkpoint has this tree yet: make one     STATUS_NO_MEMORY */
MUST_USE enum status snapshot_open(struct tree *tree, struct snapshot **snapshot);
void snapshot_close(struct snapshot *snapshot);

/* The slot up to which the snapshot has the log applied. */
uint64_t snapshot_applied(const struct snapshot *snapshot);

/* As tree_get and tree_cursor_open, in the snapshot; and STATUS_CLOSED as said above. */
MUST_USE enum status snapshot_get(struct context *ctx, struct snapshot *snapshot, struct bytes key,
                                  struct bytes *value);
MUST_USE enum status snapshot_cursor_open(struct context *ctx, struct snapshot *snapshot,
                                          unsigned flags, struct bytes key, bool inclusive,
                                          struct tree_cursor *cursor);

#endif
