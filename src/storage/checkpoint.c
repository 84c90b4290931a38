/* checkpoint.c - the end of an epoch: its pages, a sync, the older superblock, a sync.  In memory,
 * at the end of this file, there is nothing to write.
 *
 * Until the last moment everything may wait; then, without waiting, the directory is as the trees
 * are, the free list is encoded, all dirty frames become `writing`, and the next epoch begins.
 * Changes meet pages of an older epoch and copy them.  When anything fails the frames are dirty
 * again, under names of an epoch that may or may not be on disk; the next checkpoint gives them new
 * names first (move_unsaved).  Once the superblock was begun it may be there as well, so that what
 * it refers to stays as it is until two later ones are.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "storage/forest_private.h"

#define CHUNK_PAGES   64u  /* written by one job */
#define TURN_FRAMES   128u /* looked at before others run */
#define SUBMIT_TRIES  10000u
#define PENDING_SHARE 8u /* of the file's pages, waiting for the epoch's end: time for one */
/* So that a tree that fits in the cache is written once an epoch, however often it changes: what
 * waits is at most what changed. */
#define PENDING_PAGES 8192u
#define RESERVE_TRIES 100u

enum status forest_run_job(struct context *ctx, struct env_job *job)
{
    for (unsigned i = 0; i < SUBMIT_TRIES; i++) {
        enum status status = context_run_job(ctx, job);
        if (status != STATUS_BUSY)
            return status;
        context_yield(ctx);
    }
    return STATUS_BUSY;
}

/* ---- When ---- */

/* Do many pages wait for the epoch's end? */
static bool epoch_is_long(const struct forest *forest)
{
    const struct space *space = &forest->space;
    uint64_t waiting = (space->young != NULL ? space->young->count : 0) +
                       (space->current != NULL ? space->current->count : 0);
    return waiting > space->page_count / PENDING_SHARE + PENDING_PAGES;
}

bool forest_checkpoint_is_due(const struct forest *forest)
{
    bool dirty = !forest->in_memory && forest->frames.dirty_count >= forest->dirty_max / 2;
    return forest->checkpoint_wanted || dirty || epoch_is_long(forest);
}

void forest_want_checkpoint(struct forest *forest)
{
    forest->checkpoint_wanted = true;
    wait_queue_wake_all(&forest->checkpoint_due);
}

enum status forest_wait_checkpoint_due(struct context *ctx, struct forest *forest,
                                       uint64_t until_ns)
{
    uint64_t deadline_ns = ctx->deadline_ns;
    enum status status = STATUS_OK;
    ctx->deadline_ns = MIN(deadline_ns, until_ns);
    while (status == STATUS_OK && (forest->checkpointing || !forest_checkpoint_is_due(forest)))
        status = wait_queue_wait(ctx, &forest->checkpoint_due);
    ctx->deadline_ns = deadline_ns;
    return status;
}

/* In memory, frames that were kept for snapshots go when their numbers do. */
static void forget_settled(struct forest *forest, uint64_t limit)
{
    LIST_FOR_EACH (node, &forest->space.buckets) {
        const struct space_bucket *bucket = LIST_ITEM(node, struct space_bucket, link);
        if (bucket->epoch > limit)
            break;
        for (uint32_t i = 0; i < bucket->count; i++)
            frames_forget(&forest->frames, bucket->numbers[i]);
    }
}

void forest_settle(struct forest *forest)
{
    uint64_t limit = forest->epoch_before;
    uint64_t bytes_max = forest->snapshot_bytes;
    while (!list_empty(&forest->snapshots)) {
        struct snapshot *oldest = LIST_ITEM(forest->snapshots.next, struct snapshot, link);
        if (space_pending(&forest->space, oldest->epoch, limit) * PAGE_BYTES <= bytes_max) {
            limit = MIN(limit, oldest->epoch);
            break;
        }
        REACHED("a snapshot is taken away");
        oldest->epoch = 0;
        list_remove(&oldest->link);
    }
    if (forest->in_memory)
        forget_settled(forest, limit);
    space_settle(&forest->space, limit);
}

/* ---- After a failure: new names for what may not be on disk ---- */

static uint32_t count_unsaved(const struct forest *forest)
{
    uint32_t count = 0;
    LIST_FOR_EACH (node, &forest->frames.dirty) {
        count += LIST_ITEM(node, struct frame, link)->ref.epoch < forest->epoch ? 1 : 0;
    }
    return count;
}

/* Give the page a new name when its frame is dirty under an old one; true if so. */
static bool rename_unsaved(struct forest *forest, struct page_ref *ref)
{
    struct frame *frame = frames_find(&forest->frames, ref->number);
    if (ref->epoch < forest->unsaved_since || ref->epoch == forest->epoch || frame == NULL ||
        frame->state != FRAME_DIRTY)
        return false;
    struct page_ref fresh = {.number = space_take(&forest->space), .epoch = forest->epoch};
    space_give(&forest->space, ref->number, ref->epoch, forest->epoch);
    frames_forget(&forest->frames, fresh.number); /* what a snapshot has read of it before */
    frames_rename_dirty(&forest->frames, frame, fresh);
    page_rename(frame->page, fresh);
    *ref = fresh;
    return true;
}

static void move_unsaved_value(struct forest *forest, uint8_t *leaf, unsigned index)
{
    struct page_cell cell;
    page_cell_get(leaf, index, &cell);
    if (cell.key_rest.number != 0 && rename_unsaved(forest, &cell.key_rest))
        page_set_rest_ref(leaf, index, cell.key_rest);
    if (page_kind(leaf) != PAGE_LEAF || cell.child.number == 0 ||
        cell.child.epoch < forest->unsaved_since)
        return;
    struct frame *first = frames_get(&forest->frames, cell.child, FRAME_BACKGROUND);
    if (first == NULL)
        return;
    for (unsigned i = 0; i < page_overflow_refs(first->page); i++) {
        struct page_ref ref = page_overflow_ref(first->page, i);
        if (rename_unsaved(forest, &ref))
            page_ref_put(first->page + PAGE_OVERFLOW_AT + i * PAGE_REF_BYTES, ref);
    }
    if (rename_unsaved(forest, &cell.child))
        page_set_value_ref(leaf, index, cell.child);
}

/* A page is never older than what it refers to, so old pages have nothing unsaved below. */
static void move_unsaved(struct forest *forest, struct page_ref *ref)
{
    if (ref->epoch < forest->unsaved_since)
        return;
    struct frame *frame = frames_get(&forest->frames, *ref, FRAME_BACKGROUND);
    if (frame == NULL)
        return;
    uint8_t *page = frame->page;
    for (unsigned i = 0; i < page_count(page); i++) {
        move_unsaved_value(forest, page, i);
        if (page_kind(page) != PAGE_INNER)
            continue;
        struct page_ref child = page_child(page, i);
        struct page_ref before = child;
        move_unsaved(forest, &child);
        if (!page_ref_equal(child, before))
            page_set_child(page, i, child);
    }
    (void)rename_unsaved(forest, ref);
}

static void move_unsaved_tree(struct forest *forest, struct tree *tree)
{
    if (tree->root.height == 0)
        return;
    struct page_ref before = tree->root.page;
    move_unsaved(forest, &tree->root.page);
    if (!page_ref_equal(before, tree->root.page))
        tree->row_dirty = true;
    tree->change++;
}

static enum status save_unsaved(struct context *ctx, struct forest *forest)
{
    uint32_t reserved = 0;
    uint32_t count;
    while ((count = count_unsaved(forest)) > reserved) {
        enum status status = forest_reserve_numbers(ctx, forest, count - reserved, true);
        if (status != STATUS_OK) {
            forest->space.numbers_reserved -= reserved;
            return status;
        }
        reserved = count;
    }
    enum status status = space_prepare_frees(&forest->space, forest->epoch, count);
    if (status == STATUS_OK) {
        REACHED("pages of a failed checkpoint get new names");
        uint32_t before = forest->space.numbers_reserved;
        LIST_FOR_EACH (node, &forest->trees) {
            move_unsaved_tree(forest, LIST_ITEM(node, struct tree, link));
        }
        move_unsaved_tree(forest, &forest->directory);
        reserved -= before - forest->space.numbers_reserved;
        forest->unsaved_since = 0;
        ASSERT(count_unsaved(forest) == 0);
    }
    forest->space.numbers_reserved -= reserved;
    return status;
}

/* ---- Writing ---- */

struct chunk_job {
    struct env_job job;
    struct forest *forest;
    uint8_t **pages;
    unsigned count;
    unsigned sort_count; /* of the pages from there on, to be put in order first */
    enum status status;
};

static int compare_pages(const void *a, const void *b)
{
    uint32_t x = page_number(*(uint8_t *const *)a);
    uint32_t y = page_number(*(uint8_t *const *)b);
    return x < y ? -1 : x > y;
}

static void chunk_run(struct env_job *job)
{
    struct chunk_job *chunk = CONTAINER_OF(job, struct chunk_job, job);
    struct bytes runs[CHUNK_PAGES];
    if (chunk->sort_count > 0)
        qsort(chunk->pages, chunk->sort_count, sizeof(*chunk->pages), compare_pages);
    chunk->status = STATUS_OK;
    for (unsigned at = 0; at < chunk->count && chunk->status == STATUS_OK;) {
        uint32_t first = page_number(chunk->pages[at]);
        unsigned count = 0;
        while (at + count < chunk->count &&
               page_number(chunk->pages[at + count]) == first + count) {
            page_seal(chunk->pages[at + count], chunk->forest->super.forest_id);
            runs[count] = bytes_of(chunk->pages[at + count], PAGE_BYTES);
            count++;
        }
        chunk->status = env_file_write(job->env, chunk->forest->file, (uint64_t)first * PAGE_BYTES,
                                       runs, count);
        at += count;
    }
}

struct sync_job {
    struct env_job job;
    struct env_file *file;
    const uint8_t *block; /* a superblock to write first, or NULL */
    uint64_t offset;
    enum status status;
};

static void sync_run(struct env_job *job)
{
    struct sync_job *sync = CONTAINER_OF(job, struct sync_job, job);
    struct bytes run = bytes_of(sync->block, SUPERBLOCK_BYTES);
    sync->status = STATUS_OK;
    if (sync->block != NULL)
        sync->status = env_file_write(job->env, sync->file, sync->offset, &run, 1);
    if (sync->status == STATUS_OK)
        sync->status = env_file_sync(job->env, sync->file);
}

/* What one checkpoint writes. */
struct batch {
    uint8_t **pages; /* of the writing frames and of the free list; the first job sorts them */
    uint32_t count, capacity;
    uint8_t *list_pages; /* memory of the free list's pages */
    struct page_ref *list;
    uint32_t list_count;
    struct superblock super;
    bool super_begun;         /* it may be on disk */
    uint64_t referred_before; /* space.referred before this checkpoint */
};

static void batch_release(struct forest *forest, struct batch *batch)
{
    struct heap *heap = forest->env->heap;
    heap_free(heap, batch->pages, batch->capacity * sizeof(*batch->pages));
    heap_free(heap, batch->list_pages, (size_t)batch->list_count * PAGE_BYTES);
}

enum status forest_write_super(struct context *ctx, struct forest *forest,
                               const struct superblock *super)
{
    uint8_t *block = heap_alloc(forest->env->heap, SUPERBLOCK_BYTES);
    if (block == NULL)
        return STATUS_NO_MEMORY;
    superblock_encode(super, block);
    struct sync_job sync = {.job = {.lane = ENV_LANE_BACKGROUND, .run = sync_run},
                            .file = forest->file,
                            .block = block,
                            .offset = (uint64_t)super->which * SUPERBLOCK_SPACING};
    list_init(&sync.job.link);
    enum status status = forest_run_job(ctx, &sync.job);
    heap_free(forest->env->heap, block, SUPERBLOCK_BYTES);
    TRY(status);
    return sync.status;
}

/* List the pages of the frames that are being written.  These stay on their list and as they are,
 * so others may run meanwhile. */
static void gather_pages(struct context *ctx, struct forest *forest, struct batch *batch)
{
    unsigned seen = 0;
    LIST_FOR_EACH (node, &forest->frames.writing) {
        ASSERT(batch->count < batch->capacity);
        batch->pages[batch->count++] = LIST_ITEM(node, struct frame, link)->page;
        if (++seen % TURN_FRAMES == 0)
            context_yield(ctx);
    }
}

static enum status write_batch(struct context *ctx, struct forest *forest, struct batch *batch)
{
    gather_pages(ctx, forest, batch);
    for (uint32_t at = 0; at < batch->count; at += CHUNK_PAGES) {
        struct chunk_job chunk = {.job = {.lane = ENV_LANE_BACKGROUND, .run = chunk_run},
                                  .forest = forest,
                                  .pages = batch->pages + at,
                                  .count = MIN(CHUNK_PAGES, batch->count - at),
                                  .sort_count = at == 0 ? batch->count : 0};
        list_init(&chunk.job.link);
        TRY(forest_run_job(ctx, &chunk.job));
        TRY(chunk.status);
        forest->pages_written += chunk.count;
    }
    struct sync_job sync = {.job = {.lane = ENV_LANE_BACKGROUND, .run = sync_run},
                            .file = forest->file};
    list_init(&sync.job.link);
    TRY(forest_run_job(ctx, &sync.job));
    TRY(sync.status);
    batch->super_begun = true;
    return forest_write_super(ctx, forest, &batch->super);
}

/* ---- The end of the epoch ---- */

/* Reserve the free list's page numbers and all memory; nothing has waited since the directory was
 * brought up to date when it returns OK. */
static enum status prepare(struct context *ctx, struct forest *forest, struct batch *batch)
{
    struct heap *heap = forest->env->heap;
    uint32_t reserved = 0;
    for (unsigned i = 0; i < RESERVE_TRIES; i++) {
        enum status status = directory_update(ctx, forest);
        uint32_t more = 2 * (forest->free_list_count + reserved) + 16;
        uint32_t pages =
            (uint32_t)(space_encoded_bytes_max(&forest->space, more) / PAGE_FREE_LIST_BYTES) + 1;
        if (status == STATUS_OK && reserved < pages) {
            uint32_t missing = pages - reserved;
            bool now = space_available(&forest->space) >= missing + forest->reserve_pages;
            status = forest_reserve_numbers(ctx, forest, missing, true);
            if (status == STATUS_OK)
                reserved = pages;
            if (status == STATUS_OK && !now)
                continue; /* it may have waited */
        }
        if (status == STATUS_OK)
            status = space_prepare_frees(&forest->space, forest->epoch, forest->free_list_count);
        if (status != STATUS_OK) {
            forest->space.numbers_reserved -= reserved;
            return status;
        }
        batch->list_count = reserved;
        batch->capacity = forest->frames.dirty_count + reserved;
        batch->pages = heap_alloc(heap, batch->capacity * sizeof(*batch->pages));
        batch->list_pages = heap_alloc(heap, (size_t)reserved * PAGE_BYTES);
        batch->list = heap_alloc(heap, reserved * sizeof(*batch->list));
        if (batch->pages != NULL && batch->list_pages != NULL && batch->list != NULL)
            return STATUS_OK;
        heap_free(heap, batch->list, reserved * sizeof(*batch->list));
        batch_release(forest, batch);
        forest->space.numbers_reserved -= reserved;
        return STATUS_NO_MEMORY;
    }
    forest->space.numbers_reserved -= reserved;
    return STATUS_BUSY;
}

/* Encode the free list into its pages. */
static enum status encode_free_list(struct forest *forest, struct batch *batch)
{
    struct heap *heap = forest->env->heap;
    struct buffer encoded;
    for (uint32_t i = 0; i < batch->list_count; i++)
        batch->list[i] =
            (struct page_ref){.number = space_take(&forest->space), .epoch = forest->epoch};
    for (uint32_t i = 0; i < forest->free_list_count; i++)
        space_give(&forest->space, forest->free_list[i].number, forest->free_list[i].epoch,
                   forest->epoch);
    heap_free(heap, forest->free_list, forest->free_list_capacity * sizeof(*forest->free_list));
    forest->free_list = batch->list; /* given back by the next checkpoint, come what may */
    forest->free_list_count = forest->free_list_capacity = batch->list_count;
    size_t bytes_max = (size_t)batch->list_count * PAGE_FREE_LIST_BYTES;
    buffer_init(&encoded, heap, bytes_max);
    space_encode(&forest->space, forest->super.epoch, &encoded);
    enum status status = encoded.failed ? STATUS_NO_MEMORY : STATUS_OK;
    struct bytes rest = buffer_bytes(&encoded);
    batch->super.free_list_bytes = rest.count;
    for (uint32_t i = 0; i < batch->list_count && status == STATUS_OK; i++) {
        uint8_t *page = batch->list_pages + (size_t)i * PAGE_BYTES;
        size_t bytes = MIN(rest.count, PAGE_FREE_LIST_BYTES);
        struct page_ref next = {0};
        if (i + 1 < batch->list_count)
            next = batch->list[i + 1];
        page_init(page, PAGE_FREE_LIST, 0, TREE_ID_FOREST, batch->list[i]);
        page_free_list_fill(page, next, bytes_of(rest.at, bytes));
        rest = bytes_after(rest, bytes);
        batch->pages[batch->count++] = page;
    }
    buffer_release(&encoded);
    return status;
}

/* Everything is ready: end the epoch, without waiting. */
static enum status freeze(struct forest *forest, struct batch *batch, struct lsn covered)
{
    batch->super = forest->super;
    TRY(encode_free_list(forest, batch));
    batch->super.which = 1 - forest->slot;
    batch->super.epoch = forest->epoch;
    batch->super.directory = forest->directory.root.page;
    batch->super.directory_height = forest->directory.root.height;
    batch->super.free_list = batch->list[0];
    batch->super.page_count = forest->space.page_count;
    batch->super.log_from = MAX(forest->super.log_from, covered.value);
    batch->super.tree_id_next = forest->tree_id_next;
    LIST_FOR_EACH (node, &forest->trees) {
        struct tree *tree = LIST_ITEM(node, struct tree, link);
        tree->saving = (struct tree_saved){tree->root, tree->applied, tree->live};
    }
    frames_begin_writing(&forest->frames, forest->epoch);
    space_end_epoch(&forest->space);
    batch->referred_before = forest->space.referred;
    forest->space.referred = forest->epoch;
    forest->epoch++;
    forest->checkpoint_wanted = false;
    return STATUS_OK;
}

/* A failed one ends without waiting: nothing may meet its pages between two states.  Otherwise each
 * frame is clean, or still counts as being written, whoever looks. */
static void end_writing(struct context *ctx, struct frames *frames, bool ok)
{
    for (unsigned ended = 1; !list_empty(&frames->writing); ended++) {
        frames_end_writing(frames, LIST_ITEM(frames->writing.next, struct frame, link), ok);
        if (ok && ended % TURN_FRAMES == 0)
            context_yield(ctx);
    }
    frames_stop_writing(frames);
}

static void conclude(struct context *ctx, struct forest *forest, const struct batch *batch, bool ok)
{
    if (!ok) {
        end_writing(ctx, &forest->frames, false);
        if (forest->unsaved_since == 0)
            forest->unsaved_since = batch->super.epoch;
        if (!batch->super_begun)
            forest->space.referred = batch->referred_before;
        return;
    }
    forest->log_before = (struct lsn){forest->super.log_from};
    forest->epoch_before = forest->super.epoch;
    forest->super = batch->super;
    forest->slot = batch->super.which;
    LIST_FOR_EACH (node, &forest->trees) {
        struct tree *tree = LIST_ITEM(node, struct tree, link);
        tree->saved_before = tree->saved;
        tree->saved = tree->saving;
        tree->saving.valid = false;
    }
    forest_settle(forest);
    end_writing(ctx, &forest->frames, true);
}

/* ---- In memory ---- */

static void save_trees(struct forest *forest)
{
    LIST_FOR_EACH (node, &forest->trees) {
        struct tree *tree = LIST_ITEM(node, struct tree, link);
        tree->saved = tree->saved_before =
            (struct tree_saved){tree->root, tree->applied, tree->live};
    }
}

void forest_end_epoch(struct forest *forest)
{
    ASSERT(forest->in_memory);
    save_trees(forest);
    forest->super.epoch = forest->epoch_before = forest->space.referred = forest->epoch;
    space_end_epoch(&forest->space);
    forest->epoch++;
    forest_settle(forest);
}

/* The directory is kept so that trees that are gone are freed. */
static enum status checkpoint_in_memory(struct context *ctx, struct forest *forest,
                                        struct lsn covered)
{
    TRY(directory_update(ctx, forest));
    forest->super.log_from = MAX(forest->super.log_from, covered.value);
    forest->log_before = (struct lsn){forest->super.log_from};
    forest->checkpoint_wanted = false;
    if (epoch_is_long(forest))
        forest_end_epoch(forest);
    else
        save_trees(forest);
    return STATUS_OK;
}

static enum status checkpoint(struct context *ctx, struct forest *forest, struct lsn covered)
{
    struct batch batch = {0};
    if (forest->in_memory)
        return checkpoint_in_memory(ctx, forest, covered);
    if (forest->unsaved_since != 0)
        TRY(save_unsaved(ctx, forest));
    TRY(prepare(ctx, forest, &batch));
    enum status status = freeze(forest, &batch, covered);
    if (status == STATUS_OK) {
        status = write_batch(ctx, forest, &batch);
        conclude(ctx, forest, &batch, status == STATUS_OK);
    }
    batch_release(forest, &batch);
    return status;
}

enum status forest_checkpoint(struct context *ctx, struct forest *forest, struct lsn covered)
{
    ASSERT(!forest->log_unnamed);
    while (forest->checkpointing)
        TRY(wait_queue_wait(ctx, &forest->checkpoint_over));
    forest->checkpointing = true;
    uint64_t started_ns = env_now_ns(forest->env);
    uint64_t deadline_ns = ctx->deadline_ns;
    ctx->deadline_ns = UINT64_MAX;
    enum status status = checkpoint(ctx, forest, covered);
    ctx->deadline_ns = deadline_ns;
    forest->checkpointing = false;
    if (status == STATUS_OK) {
        forest->checkpoints++;
        forest->write_status = STATUS_OK;
        histogram_record(&forest->checkpoint_ns, env_now_ns(forest->env) - started_ns);
    } else {
        forest->checkpoint_failures++;
        if (status != STATUS_NO_SPACE && status != STATUS_NO_MEMORY && status != STATUS_BUSY)
            forest->write_status = status;
        if (status != forest->checkpoint_status)
            log_line(forest->env->log, LOG_ERROR, "storage", "checkpoint failed: %s",
                     status_text(status));
    }
    forest->checkpoint_status = status;
    wait_queue_wake_all(&forest->checkpoint_over);
    wait_queue_wake_all(&forest->budget);
    wait_queue_wake_all(&forest->frames.room);
    wait_queue_wake_all(&forest->checkpoint_due);
    return status;
}

struct lsn forest_log_needed(const struct forest *forest)
{
    return (struct lsn){MIN(forest->log_before.value, forest->super.log_from)};
}
