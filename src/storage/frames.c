#include "storage/frames.h"

#include <string.h>

#include "base/assert.h"
#include "env/bugs.h"

#define CHUNK_FRAMES_MAX 4096u /* 32 MiB of pages */
#define CHUNKS_FIRST     4u
#define STEP_FRAMES      32u  /* made at a time */
#define SMALL_FRAMES     512u /* 4 MiB of pages, before the system is asked for large ones */
#define TABLE_BITS_FIRST 8u

/* One read under way; owned by its frame until `done`. */
struct frame_load {
    struct env_job job;
    struct frames *frames;
    struct frame *frame;
    struct page_ref ref; /* what is read, also when the frame has let go of it */
    uint64_t tree_id;
    uint64_t started_ns;
    enum status status;
};

/* Pages and their frames come in chunks so large that every malloc has them mapped by the system,
 * which gives memory as it is first touched: what is not used yet costs nothing, and pages, which
 * live long, do not keep malloc's heap from shrinking. */
static size_t chunk_bytes(const struct frames *frames)
{
    return frames->chunk_frames * (PAGE_BYTES + sizeof(struct frame));
}

static uint8_t *page_at(const struct frames *frames, uint32_t index)
{
    return frames->chunks[index / frames->chunk_frames] +
           (size_t)(index % frames->chunk_frames) * PAGE_BYTES;
}

static struct frame *frame_at(const struct frames *frames, uint32_t index)
{
    uint8_t *chunk = frames->chunks[index / frames->chunk_frames];
    struct frame *in_chunk = (struct frame *)(chunk + (size_t)frames->chunk_frames * PAGE_BYTES);
    return in_chunk + index % frames->chunk_frames;
}

enum status frames_init(struct frames *frames, struct env *env, uint32_t frames_max)
{
    *frames = (struct frames){.env = env,
                              .frames_max = frames_max,
                              .background_max = MAX(32u, frames_max / 64),
                              .chunk_frames = MIN(frames_max, CHUNK_FRAMES_MAX),
                              .table_bits = TABLE_BITS_FIRST};
    list_init(&frames->empty);
    list_init(&frames->dirty);
    list_init(&frames->writing);
    list_init(&frames->background);
    wait_queue_init(&frames->room);
    frames->table = heap_alloc_zero(env->heap, sizeof(*frames->table) << TABLE_BITS_FIRST);
    return frames->table != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

void frames_release(struct frames *frames)
{
    ASSERT(frames->loading_count == 0);
    struct heap *heap = frames->env->heap;
    for (uint32_t i = 0; i < frames->chunk_count; i++)
        heap_free(heap, frames->chunks[i], chunk_bytes(frames));
    heap_free(heap, frames->chunks, frames->chunk_capacity * sizeof(*frames->chunks));
    heap_free(heap, frames->table, sizeof(*frames->table) << frames->table_bits);
    frames->chunks = NULL;
    frames->table = NULL;
    frames->count = frames->chunk_count = frames->chunk_capacity = 0;
}

/* ---- Table ---- */

static uint32_t table_home(const struct frames *frames, uint32_t number)
{
    return (number * 2654435769u) >> (32 - frames->table_bits);
}

static void table_put(struct frames *frames, struct frames_slot slot)
{
    uint32_t mask = (1u << frames->table_bits) - 1;
    uint32_t at = table_home(frames, slot.number);
    while (frames->table[at].number != 0) {
        ASSERT(frames->table[at].number != slot.number); /* (1) */
        at = (at + 1) & mask;
    }
    frames->table[at] = slot;
}

/* Enter the frame, with its page when that is ready. */
static void table_enter(struct frames *frames, struct frame *frame, bool referenced)
{
    bool ready = frame_is_ready(frame);
    table_put(frames, (struct frames_slot){.number = frame->ref.number,
                                           .kind = ready ? (uint16_t)page_kind(frame->page) : 0,
                                           .referenced = referenced,
                                           .epoch = frame->ref.epoch,
                                           .page = ready ? frame->page : NULL,
                                           .frame = frame});
}

/* Room for one more entry per frame that exists: done when frames are made, so that changes of the
 * table never need memory. */
static bool table_grow(struct frames *frames, uint32_t entries)
{
    uint32_t bits = frames->table_bits;
    while ((1u << bits) < entries * 2)
        bits++;
    if (bits == frames->table_bits)
        return true;
    struct heap *heap = frames->env->heap;
    struct frames_slot *table = heap_alloc_zero(heap, sizeof(*table) << bits);
    if (table == NULL)
        return false;
    struct frames_slot *old = frames->table;
    uint32_t old_bits = frames->table_bits;
    frames->table = table;
    frames->table_bits = bits;
    for (uint32_t i = 0; i < 1u << old_bits; i++) {
        if (old[i].number != 0)
            table_put(frames, old[i]);
    }
    heap_free(heap, old, sizeof(*old) << old_bits);
    return true;
}

static void table_remove(struct frames *frames, uint32_t number)
{
    uint32_t mask = (1u << frames->table_bits) - 1;
    uint32_t hole = table_home(frames, number);
    while (frames->table[hole].number != number) {
        ASSERT(frames->table[hole].number != 0);
        hole = (hole + 1) & mask;
    }
    /* Close the gap (Knuth 6.4, algorithm R): move back what may lie there. */
    for (uint32_t at = (hole + 1) & mask; frames->table[at].number != 0; at = (at + 1) & mask) {
        uint32_t home = table_home(frames, frames->table[at].number);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            frames->table[hole] = frames->table[at];
            hole = at;
        }
    }
    frames->table[hole] = (struct frames_slot){0};
}

/* ---- Empty frames ---- */

static bool make_chunk(struct frames *frames)
{
    struct heap *heap = frames->env->heap;
    uint32_t capacity = frames->chunk_capacity;
    if (frames->chunk_count == capacity) {
        uint32_t more = MAX(capacity * 2, CHUNKS_FIRST);
        uint8_t **chunks = heap_alloc(heap, more * sizeof(*chunks));
        if (chunks == NULL)
            return false;
        if (capacity > 0)
            memcpy(chunks, frames->chunks, capacity * sizeof(*chunks));
        heap_free(heap, frames->chunks, capacity * sizeof(*chunks));
        frames->chunks = chunks;
        frames->chunk_capacity = more;
    }
    uint8_t *chunk = heap_alloc(heap, chunk_bytes(frames));
    if (chunk == NULL)
        return false;
    frames->chunks[frames->chunk_count++] = chunk;
    return true;
}

/* Frames `count` and the next ones of its chunk are about to be used: where a large page of the
 * system begins among their pages, ask for it.  A point read touches a leaf twice or thrice at
 * random places; with small pages most of these also miss the processor's table of addresses.  The
 * first pages stay small, so that a server at rest is. */
static void expect_use(struct frames *frames, uint32_t more)
{
    if (frames->count < SMALL_FRAMES)
        return;
    uint8_t *from = page_at(frames, frames->count);
    uint8_t *end = page_at(frames, frames->count / frames->chunk_frames * frames->chunk_frames) +
                   (size_t)frames->chunk_frames * PAGE_BYTES;
    uint8_t *large = from + (-(uintptr_t)from & (HEAP_LARGE_BYTES - 1));
    if (large < from + (size_t)more * PAGE_BYTES && (size_t)(end - large) >= HEAP_LARGE_BYTES)
        heap_expect_use(frames->env->heap, large, HEAP_LARGE_BYTES);
}

/* Make some more frames, as far as the bound and the last chunk go. */
static bool make_frames(struct frames *frames)
{
    if (frames->count == frames->chunk_count * frames->chunk_frames && !make_chunk(frames))
        return false;
    uint32_t in_chunk = frames->chunk_count * frames->chunk_frames - frames->count;
    uint32_t more = MIN(STEP_FRAMES, MIN(in_chunk, frames->frames_max - frames->count));
    if (!table_grow(frames, frames->count + more))
        return false;
    expect_use(frames, more);
    for (uint32_t i = frames->count; i < frames->count + more; i++) {
        struct frame *frame = frame_at(frames, i);
        *frame = (struct frame){.page = page_at(frames, i)};
        list_init(&frame->link);
        wait_queue_init(&frame->loaded);
        list_push_back(&frames->empty, &frame->link);
    }
    frames->count += more;
    return true;
}

/* Take the frame off the table and its list; it is nobody's. */
static void detach(struct frames *frames, struct frame *frame)
{
    if (frame->ref.number != 0)
        table_remove(frames, frame->ref.number);
    frame->ref = (struct page_ref){0};
    if (frame->background) {
        frame->background = false;
        frames->background_count--;
    }
    if (frame->state == FRAME_DIRTY)
        frames->dirty_count--;
    list_remove(&frame->link);
    frame->state = FRAME_EMPTY;
    frame->stale = false;
}

void frames_give_empty(struct frames *frames, struct frame *frame)
{
    ASSERT(frame->state == FRAME_EMPTY);
    ASSERT(frame->pins == 0);
    list_push_front(&frames->empty, &frame->link);
    wait_queue_wake_all(&frames->room);
}

static bool evictable(const struct frame *frame)
{
    return frame->state == FRAME_CLEAN && frame->pins == 0; /* (2) */
}

struct frame *frames_take_empty(struct frames *frames)
{
    if (list_empty(&frames->empty) && frames->count < frames->frames_max)
        (void)make_frames(frames);
    struct list *node = list_pop_front(&frames->empty);
    if (node != NULL)
        return LIST_ITEM(node, struct frame, link);
    if (frames->resident)
        return NULL;
    /* Twice around: the first pass may only clear reference bits. */
    for (uint32_t i = 0; i < 2 * frames->count; i++) {
        struct frame *frame = frame_at(frames, frames->hand);
        frames->hand = frames->hand + 1 < frames->count ? frames->hand + 1 : 0;
        if (!evictable(frame))
            continue;
        struct frames_slot *slot = frames_slot_find(frames, frame->ref.number);
        if (slot->referenced) {
            slot->referenced = false;
            continue;
        }
        frames->evictions++;
        detach(frames, frame);
        return frame;
    }
    return NULL;
}

/* A frame for a background reader: from its private set, once that is full.  Pages that are walked
 * over again and again stay, as with CLOCK; or a value of many pages would drive out its
 * own leaf. */
static struct frame *take_background(struct frames *frames)
{
    if (frames->background_count < frames->background_max)
        return frames_take_empty(frames);
    for (uint32_t i = 2 * frames->background_count; i > 0; i--) {
        struct list *node = list_pop_front(&frames->background);
        if (node == NULL)
            break;
        struct frame *frame = LIST_ITEM(node, struct frame, link);
        if (frame->ref.number == 0) { /* stale, and still being read */
            list_push_back(&frames->background, &frame->link);
            continue;
        }
        struct frames_slot *slot = frames_slot_find(frames, frame->ref.number);
        if (slot->referenced) { /* others read it too: no longer private */
            frame->background = false;
            frames->background_count--;
            continue;
        }
        list_push_back(&frames->background, &frame->link);
        if (!evictable(frame) || slot->touched) {
            slot->touched = false;
            continue;
        }
        frames->evictions++;
        detach(frames, frame);
        return frame;
    }
    return frames_take_empty(frames);
}

void frames_unpin(struct frames *frames, struct frame *frame)
{
    ASSERT(frame->pins > 0);
    if (--frame->pins > 0)
        return;
    if (frame->state == FRAME_EMPTY) {
        frames_give_empty(frames, frame);
    } else if (frame->stale && frame->state == FRAME_CLEAN) {
        detach(frames, frame);
        frames_give_empty(frames, frame);
    } else if (frame->state == FRAME_CLEAN && !wait_queue_empty(&frames->room)) {
        wait_queue_wake_all(&frames->room);
    }
}

/* ---- Reading ---- */

static void load_run(struct env_job *job)
{
    struct frame_load *load = CONTAINER_OF(job, struct frame_load, job);
    struct frames *frames = load->frames;
    struct frame *frame = load->frame;
    load->status = env_file_read(job->env, frames->file, (uint64_t)load->ref.number * PAGE_BYTES,
                                 frame->page, PAGE_BYTES);
    if (load->status == STATUS_END)
        load->status = STATUS_CORRUPT; /* the file is shorter than its pages */
    if (load->status == STATUS_OK && !BUG(job->env, BUG_IGNORE_CHECKSUM))
        load->status = page_verify(frame->page, frames->forest_id, load->tree_id, load->ref);
    if (load->status == STATUS_OK)
        load->status = page_check(frame->page);
}

static void load_done(struct env_job *job)
{
    struct frame_load *load = CONTAINER_OF(job, struct frame_load, job);
    struct frames *frames = load->frames;
    struct frame *frame = load->frame;
    frames->loading_count--;
    frames->reads++;
    histogram_record(&frames->read_ns, env_now_ns(frames->env) - load->started_ns);
    frame->load_status = load->status;
    if (load->status != STATUS_OK) {
        frames->read_failures++;
        frames->bad = load->ref;
        frames->bad_found = (struct page_ref){0};
        if (load->status != STATUS_IO)
            frames->bad_found = (struct page_ref){.number = page_number(frame->page),
                                                  .epoch = page_epoch(frame->page)};
    }
    if (load->status == STATUS_OK && !frame->stale) {
        frame->state = FRAME_CLEAN;
        table_remove(frames, frame->ref.number);
        table_enter(frames, frame, !frame->background);
    } else {
        REACHED("a page that was being read is not kept");
        detach(frames, frame);
        if (frame->pins == 0)
            frames_give_empty(frames, frame);
    }
    wait_queue_wake_all(&frame->loaded);
    wait_queue_wake_all(&frames->room);
    heap_free(frames->env->heap, load, sizeof(*load));
}

enum status frames_load(struct frames *frames, uint64_t tree_id, struct page_ref ref,
                        enum frame_use use)
{
    struct frame *frame = frames_find(frames, ref.number);
    if (frame != NULL)
        return frame->ref.epoch == ref.epoch ? STATUS_OK : STATUS_CORRUPT;
    if (frames->resident)
        return STATUS_CORRUPT;
    struct frame_load *load = heap_alloc(frames->env->heap, sizeof(*load));
    if (load == NULL)
        return STATUS_NO_MEMORY;
    frame = use == FRAME_BACKGROUND ? take_background(frames) : frames_take_empty(frames);
    if (frame == NULL) {
        heap_free(frames->env->heap, load, sizeof(*load));
        return frames->count < frames->frames_max ? STATUS_NO_MEMORY : STATUS_BUSY;
    }
    *load = (struct frame_load){.job = {.lane = ENV_LANE_READ, .run = load_run, .done = load_done},
                                .frames = frames,
                                .frame = frame,
                                .ref = ref,
                                .tree_id = tree_id,
                                .started_ns = env_now_ns(frames->env)};
    list_init(&load->job.link);
    frame->ref = ref;
    frame->state = FRAME_LOADING;
    table_enter(frames, frame, false);
    if (use == FRAME_BACKGROUND) {
        frame->background = true;
        frames->background_count++;
        list_push_back(&frames->background, &frame->link);
    }
    frames->loading_count++;
    frames->misses++;
    enum status status = env_job_submit(frames->env, &load->job);
    if (status != STATUS_OK) {
        frames->loading_count--;
        detach(frames, frame);
        frames_give_empty(frames, frame);
        heap_free(frames->env->heap, load, sizeof(*load));
    }
    return status;
}

/* Wait for a frame, or for room in the read lane: something that loads, or is written, must end. */
static enum status wait_for_room(struct context *ctx, struct frames *frames)
{
    if (frames->loading_count == 0 && list_empty(&frames->writing))
        return STATUS_BUSY;
    return wait_queue_wait(ctx, &frames->room);
}

enum status frames_fetch(struct context *ctx, struct frames *frames, uint64_t tree_id,
                         struct page_ref ref, enum frame_use use, struct frame **found)
{
    for (;;) {
        struct frame *frame = frames_find(frames, ref.number);
        if (frame == NULL) {
            enum status status = frames_load(frames, tree_id, ref, use);
            if (status == STATUS_BUSY) {
                TRY(wait_for_room(ctx, frames));
                continue;
            }
            TRY(status);
            frame = frames_find(frames, ref.number);
        }
        if (frame->ref.epoch != ref.epoch)
            return STATUS_CORRUPT;
        frame_pin(frame);
        if (frame->state != FRAME_LOADING) {
            *found = frame;
            return STATUS_OK;
        }
        enum status status = wait_queue_wait(ctx, &frame->loaded);
        if (status == STATUS_OK && frame->state != FRAME_EMPTY) {
            *found = frame;
            return STATUS_OK;
        }
        if (status == STATUS_OK)
            status = frame->load_status == STATUS_OK ? STATUS_CORRUPT : frame->load_status;
        frames_unpin(frames, frame);
        return status;
    }
}

/* ---- Dirty frames ---- */

static void make_dirty(struct frames *frames, struct frame *frame, struct page_ref ref)
{
    frame->ref = ref;
    frame->state = FRAME_DIRTY;
    frame->stale = false;
    frames->dirty_count++;
    table_enter(frames, frame, true);
    list_push_back(&frames->dirty, &frame->link);
}

void frames_insert_dirty(struct frames *frames, struct frame *frame, struct page_ref ref)
{
    ASSERT(frame->state == FRAME_EMPTY);
    make_dirty(frames, frame, ref);
}

void frames_rename_dirty(struct frames *frames, struct frame *frame, struct page_ref ref)
{
    ASSERT(frame->state == FRAME_CLEAN || frame->state == FRAME_DIRTY);
    ASSERT(!frame_is_being_written(frames, frame)); /* (5) */
    detach(frames, frame);
    make_dirty(frames, frame, ref);
}

void frames_forget(struct frames *frames, uint32_t number)
{
    struct frame *frame = frames_find(frames, number);
    if (frame == NULL)
        return;
    if (frame->state == FRAME_LOADING || frame_is_being_written(frames, frame)) {
        frame->stale = true;
        if (frame->state == FRAME_LOADING) { /* its number may be used again before it is read */
            table_remove(frames, number);
            frame->ref = (struct page_ref){0};
        }
        return;
    }
    detach(frames, frame);
    if (frame->pins == 0)
        frames_give_empty(frames, frame);
}

void frames_begin_writing(struct frames *frames, uint64_t epoch)
{
    list_append_all(&frames->writing, &frames->dirty);
    frames->writing_epoch = epoch;
}

void frames_end_writing(struct frames *frames, struct frame *frame, bool ok)
{
    ASSERT(frame_is_being_written(frames, frame));
    if (!ok && !frame->stale) {
        list_remove(&frame->link);
        list_push_back(&frames->dirty, &frame->link);
        return;
    }
    if (frame->stale) {
        detach(frames, frame);
        if (frame->pins == 0)
            frames_give_empty(frames, frame);
        return;
    }
    list_remove(&frame->link);
    frame->state = FRAME_CLEAN;
    frames->dirty_count--;
}

void frames_stop_writing(struct frames *frames)
{
    ASSERT(list_empty(&frames->writing));
    frames->writing_epoch = 0;
}
