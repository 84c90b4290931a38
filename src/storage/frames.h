/* frames.h - the pages of a forest that are in memory: a bounded pool, evicted by CLOCK.
 *
 * A frame holds one page.  A miss takes a frame, and a worker reads the page into it and verifies
 * it; fibers that want the page wait on the frame, and each of them has it pinned until it has run.
 * Dirty frames stay until a checkpoint has written them.  Memory is taken as frames are first used.
 *
 * A forest in memory has no file: its pages are in frames and nowhere else (`resident`).  There
 * every frame that holds a page is DIRTY, for as long as something refers to the page.
 *
 *   EMPTY -> LOADING -> CLEAN -> EMPTY (evicted)        a page that was read
 *            LOADING -> EMPTY                           it could not be read, or was freed
 *            meanwhile
 *   EMPTY -> DIRTY -> CLEAN                             a page that was made or changed, and
 *   written CLEAN -> DIRTY                                      it got a new name to be changed
 *   under
 *
 * A DIRTY frame is *being written* when its page's epoch has ended and a checkpoint runs: so all of
 * them are from one moment to the next, without a look at each.
 *
 * Invariants: (1) each number is in the table at most once, (2) only CLEAN frames without pins are
 * evicted, (3) dirty_count is the number of frames that are DIRTY, (4) a frame that is in no table
 * has number 0, (5) what is being written stays on `writing` until frames_end_writing.
 */
#ifndef STORAGE_FRAMES_H
#define STORAGE_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/metrics.h"
#include "base/status.h"
#include "env/env.h"
#include "env/fiber.h"
#include "storage/page.h"

enum frame_state { FRAME_EMPTY, FRAME_LOADING, FRAME_CLEAN, FRAME_DIRTY };

enum frame_use { FRAME_FOREGROUND, FRAME_BACKGROUND };

struct plan;

struct frame {
    uint8_t *page;
    struct page_ref ref;
    enum frame_state state;
    uint32_t pins;
    bool background; /* on the list of the private set */
    bool stale;      /* its page was freed: EMPTY as soon as that is possible */
    enum status load_status;
    const struct plan *plan; /* that has pinned it; NULL = none */
    struct list link;        /* on `empty`, `dirty`, `writing` or `background`; or on none */
    struct wait_queue loaded;
};

/* What a reader needs lies in the table itself: one line of the processor's cache less per page. */
struct frames_slot {
    uint32_t number; /* 0 = free */
    uint16_t kind;   /* of the page */
    bool referenced; /* CLOCK's bit */
    bool touched;    /* the same for the private set of background readers */
    uint64_t epoch;
    uint8_t *page; /* NULL: not ready */
    struct frame *frame;
};

struct frames {
    struct env *env;
    struct env_file *file;
    uint64_t forest_id;
    bool resident; /* there is no file: what has no frame is lost */
    uint32_t frames_max;
    uint32_t count; /* with memory */
    uint32_t dirty_count;
    uint32_t background_count, background_max;
    uint32_t loading_count;
    uint32_t hand;
    uint8_t **chunks; /* pages, then their frames: see frames.c */
    uint32_t chunk_count, chunk_capacity;
    uint32_t chunk_frames;     /* in each */
    struct frames_slot *table; /* open addressing, linear probing */
    uint32_t table_bits;       /* 2^table_bits slots */
    struct list empty, dirty, writing, background;
    uint64_t writing_epoch; /* dirty pages up to this epoch are being written; 0 = none are */
    struct wait_queue room; /* a frame may have become available, or a load has ended */
    struct page_ref bad,
        bad_found; /* the last page that failed its check, and what it said it is */
    uint64_t hits, misses, evictions, reads, read_failures, corrupt_pages;
    struct histogram read_ns;
};

/* STATUS_NO_MEMORY */
MUST_USE enum status frames_init(struct frames *frames, struct env *env, uint32_t frames_max);
/* Free everything; nothing is loading. */
void frames_release(struct frames *frames);

static inline struct frames_slot *frames_slot_find(const struct frames *frames, uint32_t number)
{
    uint32_t mask = (1u << frames->table_bits) - 1;
    uint32_t at = (number * 2654435769u) >> (32 - frames->table_bits);
    while (frames->table[at].number != number) {
        if (frames->table[at].number == 0)
            return NULL;
        at = (at + 1) & mask;
    }
    return &frames->table[at];
}

/* The frame that the table has for this number, in any state; NULL when there is none. */
static inline struct frame *frames_find(const struct frames *frames, uint32_t number)
{
    const struct frames_slot *slot = frames_slot_find(frames, number);
    return slot != NULL ? slot->frame : NULL;
}

static inline bool frame_is_ready(const struct frame *frame)
{
    return frame->state >= FRAME_CLEAN;
}

static inline bool frame_is_being_written(const struct frames *frames, const struct frame *frame)
{
    return frame->state == FRAME_DIRTY && frame->ref.epoch <= frames->writing_epoch;
}

/* Where the page that `ref` names lies, when it can be read now; NULL otherwise.  A hit of the
 * foreground counts for CLOCK. */
static inline const struct frames_slot *frames_get_slot(struct frames *frames, struct page_ref ref,
                                                        enum frame_use use)
{
    struct frames_slot *slot = frames_slot_find(frames, ref.number);
    if (UNLIKELY(slot == NULL || slot->page == NULL || slot->epoch != ref.epoch))
        return NULL;
    frames->hits++;
    if (use == FRAME_FOREGROUND)
        slot->referenced = true;
    else
        slot->touched = true;
    return slot;
}

/* The same; its frame. */
static inline struct frame *frames_get(struct frames *frames, struct page_ref ref,
                                       enum frame_use use)
{
    const struct frames_slot *slot = frames_get_slot(frames, ref, use);
    return slot != NULL ? slot->frame : NULL;
}

/* Begin to read the page, unless it is there or on its way.
 *   STATUS_BUSY       all frames are in use, or the read lane is full
 *   STATUS_CORRUPT    resident, or under another epoch: there is no such page
 *   STATUS_NO_MEMORY */
MUST_USE enum status frames_load(struct frames *frames, uint64_t tree_id, struct page_ref ref,
                                 enum frame_use use);

/* Bring the page in, and pin it for the caller (frames_unpin).  May wait; *waited says whether it
 * did.  The caller holds no other pin.
 *   STATUS_CORRUPT, STATUS_VERSION, STATUS_IO, ...  it could not be read: nothing is pinned
 *   STATUS_BUSY, STATUS_NO_MEMORY, STATUS_DEADLINE, STATUS_CANCELLED */
MUST_USE enum status frames_fetch(struct context *ctx, struct frames *frames, uint64_t tree_id,
                                  struct page_ref ref, enum frame_use use, struct frame **frame);

static inline void frame_pin(struct frame *frame)
{
    frame->pins++;
}

void frames_unpin(struct frames *frames, struct frame *frame);

/* An empty frame, taken from the pool without waiting; NULL when none can be had. */
struct frame *frames_take_empty(struct frames *frames);
void frames_give_empty(struct frames *frames, struct frame *frame);

/* Make an empty frame the dirty one of `ref`; its page is set already. */
void frames_insert_dirty(struct frames *frames, struct frame *frame, struct page_ref ref);

/* A ready frame that nobody writes gets a new name, and is dirty under it. */
void frames_rename_dirty(struct frames *frames, struct frame *frame, struct page_ref ref);

/* The page of this number was freed: forget the frame, now or as soon as it is let go. */
void frames_forget(struct frames *frames, uint32_t number);

/* All dirty frames are being written from now on (on `writing`); their pages are of this epoch or
 * an older one, and pages that are made or changed from now on are of a newer one. */
void frames_begin_writing(struct frames *frames, uint64_t epoch);

/* This one was written, or (not ok) is dirty as before; then all others follow at once, and
 * frames_stop_writing. */
void frames_end_writing(struct frames *frames, struct frame *frame, bool ok);

/* `writing` is empty. */
void frames_stop_writing(struct frames *frames);

#endif
