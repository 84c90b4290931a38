/* overlay.h - what a replica's log holds beyond its tree: rows proposed, and committed but not yet
 * applied.
 *
 * A skip list of versions, ordered by key and, for one key, newest slot first.  A reader gives the
 * slot up to which it may see: strong reads the commit slot, the leader that computes the next
 * image none (UINT64_MAX).
 *
 * Versions are embedded in their owners (log entries), which remove them when the tree has them.
 */
#ifndef NODE_OVERLAY_H
#define NODE_OVERLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/prng.h"

#define OVERLAY_LEVELS 8u

struct version {
    struct bytes key;
    struct bytes row; /* at is NULL: the key is deleted */
    uint64_t slot;
    int32_t size_change; /* of its collection's rows */
    int8_t row_change;   /* 1: a new row, -1: one less */
    bool is_mark;        /* no row: a mark of changes.h, which is in no overlay */
    struct version *next[OVERLAY_LEVELS];
};

struct overlay {
    struct version *head[OVERLAY_LEVELS];
    uint32_t count;
    uint64_t inserted; /* so far: a look that finds nothing need not be repeated before it grows */
    struct prng prng;  /* of the levels */
    /* Level by level, the links behind which belongs what was looked for or inserted last; NULL:
     * nothing yet.  Often the next is there too: a write looks for its item and then inserts it,
     * and keys come in ascending order. */
    struct version **place[OVERLAY_LEVELS];
};

void overlay_init(struct overlay *overlay, uint64_t seed);

/* Insert a version whose key, row and slot are set; no other has the same key and slot. */
void overlay_insert(struct overlay *overlay, struct version *version);
void overlay_remove(struct overlay *overlay, struct version *version);

/* The newest version of `key` at or below slot_max; NULL: the overlay says nothing of it. */
struct version *overlay_find(struct overlay *overlay, struct bytes key, uint64_t slot_max);

/* The newest visible version of the first key at (when inclusive) or after `key`; NULL: none. */
struct version *overlay_after(const struct overlay *overlay, struct bytes key, bool inclusive,
                              uint64_t slot_max);

/* The newest visible version of the last key at (when inclusive) or before `key`; an empty key
 * means from the end. */
struct version *overlay_before(const struct overlay *overlay, struct bytes key, bool inclusive,
                               uint64_t slot_max);

#endif
