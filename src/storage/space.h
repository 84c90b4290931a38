/* space.h - which pages of a forest's file are used, free, or waiting until they may be used again.
 *
 * A page that is freed in epoch F is referred to by superblocks of epochs before F, at most.  It
 * waits ("pending") under F until both superblocks, and every snapshot, are of epoch F or later.  A
 * page that was made after `referred` is in no superblock, and never will be: it was made in this
 * epoch, or in one whose checkpoint failed before its superblock.  Such a page waits until the
 * epoch ends, so that (number, epoch) is never used twice.  The lowest free number is given out
 * first, so that the file's end empties.
 *
 * Pure: memory from a heap, no I/O.  What may fail (memory) is asked for ahead, by
 * space_prepare_frees, so that a change under way cannot fail.
 *
 * Encoded form (free list pages): two lists of runs, free and then pending, each a varint count of
 * runs, then for each run varint (start - end of the run before), varint length; ascending, no two
 * adjacent.
 *
 * Invariants: (1) free_count is the number of clear bits below page_count, (2) numbers_reserved <=
 * free_count, (3) a pending page's bit is set.
 */
#ifndef STORAGE_SPACE_H
#define STORAGE_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/compiler.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/status.h"

/* Pages freed in one epoch. */
struct space_bucket {
    struct list link; /* by epoch, oldest first */
    uint64_t epoch;
    uint32_t *numbers;
    uint32_t count, capacity;
};

struct space {
    struct heap *heap;
    uint64_t *bits; /* 1 = used or pending; bits at page_count and above are 1 */
    uint32_t words; /* capacity of bits */
    uint32_t page_count;
    uint32_t free_count;
    uint32_t numbers_reserved; /* of the free ones, promised to operations */
    uint32_t lowest_word;      /* no clear bit in words below */
    uint64_t pending_count;    /* in buckets */
    uint64_t referred; /* no superblock or snapshot, on disk or on its way, refers to pages of
                                * later epochs.  Set by the owner */
    struct list buckets;
    struct space_bucket *current; /* of this epoch: referred to by older superblocks */
    struct space_bucket *young;   /* made after `referred` */
};

void space_init(struct space *space, struct heap *heap);
void space_release(struct space *space);

/* The file has page_count pages from now on; new ones are free, ones cut off must be free.
 *   STATUS_NO_MEMORY  nothing changed */
MUST_USE enum status space_resize(struct space *space, uint32_t page_count);

/* Free numbers that are not promised to anyone. */
static inline uint32_t space_available(const struct space *space)
{
    return space->free_count - space->numbers_reserved;
}

/* Take the lowest free number; the caller has reserved it. */
uint32_t space_take(struct space *space);

bool space_is_free(const struct space *space, uint32_t number);

/* Make sure that `count` calls of space_give can be made in this epoch without further memory.
 *   STATUS_NO_MEMORY */
MUST_USE enum status space_prepare_frees(struct space *space, uint64_t epoch, uint32_t count);

/* Page `number`, made in epoch `made`, is no longer used as of `epoch`, the current one. */
void space_give(struct space *space, uint32_t number, uint64_t made, uint64_t epoch);

/* For the seeded bug REUSE_PAGE_EARLY alone: the number is free now, whatever still refers
 * to it. */
void space_give_at_once(struct space *space, uint32_t number);

/* The epoch ended: what was made after `referred` and freed is free. */
void space_end_epoch(struct space *space);

/* Free what waits under epochs up to `epoch`. */
void space_settle(struct space *space, uint64_t epoch);

/* How many pages wait under epochs in (after, up_to]. */
uint64_t space_pending(const struct space *space, uint64_t after, uint64_t up_to);

/* An upper bound of space_encode's size, if `more` numbers are given back before. */
size_t space_encoded_bytes_max(const struct space *space, uint32_t more);

/* Append the encoded form: pages waiting under epochs up to `settled` count as free, as do those
 * made after `referred`. */
void space_encode(const struct space *space, uint64_t settled, struct buffer *to);

/* Fill a space of page_count pages from its encoded form; what is pending waits under `epoch`.
 * *used_end is one more than the highest number that is neither free nor pending.
 *   STATUS_CORRUPT, STATUS_NO_MEMORY: *space is released */
MUST_USE enum status space_decode(struct space *space, uint32_t page_count, struct bytes encoded,
                                  uint64_t epoch, uint32_t *used_end);

#endif
