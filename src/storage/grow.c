/* grow.c - making the file longer, ahead of need, and what is left when that fails.
 *
 * Zeros are written after the file's end, so that the blocks are there when a checkpoint writes
 * pages.  When the disk is full, `reserve_pages` are still free: half of them for puts, which were
 * in the log before anybody knew, all of them for deletes and checkpoints.  Until the file grows
 * again, or enough pages are free, that is tried every second; checkpoints are asked for when they
 * would free enough.
 */
#include "base/assert.h"
#include "storage/forest_private.h"

#define GROW_PAGES_MIN   32u
#define GROW_PAGES_MAX   2048u
#define GROW_SHARE       16u /* of the file's pages */
#define GROW_RETRY_NS    UINT64_C(1000000000)
#define GROW_ARENA_BYTES 4096u

static const uint8_t zero_page[PAGE_BYTES];

struct grow_job {
    struct env_job job;
    struct env_file *file;
    uint64_t from, pages;
    enum status status;
};

static void grow_run(struct env_job *job)
{
    struct grow_job *grow = CONTAINER_OF(job, struct grow_job, job);
    struct bytes runs[GROW_PAGES_MIN];
    for (unsigned i = 0; i < GROW_PAGES_MIN; i++)
        runs[i] = bytes_of(zero_page, PAGE_BYTES);
    grow->status = STATUS_OK;
    while (grow->status == STATUS_OK && grow->pages > 0) {
        unsigned count = (unsigned)MIN(grow->pages, GROW_PAGES_MIN);
        grow->status = env_file_write(job->env, grow->file, grow->from * PAGE_BYTES, runs, count);
        grow->from += count;
        grow->pages -= count;
    }
}

/* In memory there are only more numbers. */
static enum status grow_file(struct context *ctx, struct forest *forest, uint32_t pages)
{
    uint32_t from = forest->space.page_count;
    if (pages > UINT32_MAX / 2 - from)
        return STATUS_NO_SPACE;
    if (forest->in_memory)
        return space_resize(&forest->space, from + pages);
    struct grow_job grow = {.job = {.lane = ENV_LANE_READ, .run = grow_run},
                            .file = forest->file,
                            .from = from,
                            .pages = pages};
    list_init(&grow.job.link);
    TRY(forest_run_job(ctx, &grow.job));
    TRY(grow.status);
    return space_resize(&forest->space, from + pages);
}

/* Grow so that `count` pages and the reserve are free; only one at a time. */
static enum status grow(struct context *ctx, struct forest *forest, uint32_t count)
{
    const struct space *space = &forest->space;
    uint32_t least = count + forest->reserve_pages - space_available(space);
    uint32_t more = MIN(MAX(space->page_count / GROW_SHARE, GROW_PAGES_MIN), GROW_PAGES_MAX);
    forest->growing = true;
    enum status status = grow_file(ctx, forest, MAX(least, more));
    if (status == STATUS_NO_SPACE && more > least)
        status = grow_file(ctx, forest, least);
    forest->growing = false;
    wait_queue_wake_all(&forest->grown);
    return status;
}

/* Pages that were freed are free when two checkpoints have been made: ask for one, if so many are
 * missing no more then. */
static void free_pending(struct forest *forest, uint32_t wanted)
{
    const struct space *space = &forest->space;
    uint32_t available = space_available(space);
    if (available < wanted && available + space->pending_count >= wanted)
        forest_want_checkpoint(forest);
}

/* Are enough pages free, though the file does not grow?  What waits to be free comes first, when it
 * is more: else writes would be taken and refused in turns. */
static bool has_enough(struct forest *forest)
{
    uint32_t available = space_available(&forest->space);
    uint64_t pending = forest->space.pending_count;
    if (pending >= forest->reserve_pages)
        forest_want_checkpoint(forest);
    return available >= forest->reserve_pages &&
           (pending < forest->reserve_pages || pending <= available);
}

static void retry(struct context *ctx, void *argument)
{
    struct forest *forest = argument;
    uint64_t deadline_ns = ctx->deadline_ns;
    while (!forest->closing && forest->disk_full) {
        ctx->deadline_ns = env_now_ns(ctx->env) + GROW_RETRY_NS;
        enum status status = wait_queue_wait(ctx, &forest->reaper);
        ctx->deadline_ns = deadline_ns;
        if (status == STATUS_CANCELLED)
            break;
        if (status == STATUS_OK || forest->closing || forest->growing)
            continue;
        if (has_enough(forest) || grow(ctx, forest, 0) == STATUS_OK)
            forest->disk_full = false;
        else
            free_pending(forest, forest->reserve_pages);
    }
    forest->retrying = false;
    wait_queue_wake_all(&forest->reaper);
}

static void disk_is_full(struct forest *forest)
{
    struct fiber_options options = {.arena_bytes_max = GROW_ARENA_BYTES, .deadline_ns = UINT64_MAX};
    if (!forest->disk_full)
        log_line(forest->env->log, LOG_WARNING, "storage",
                 "the disk is full: the tree file cannot grow");
    forest->disk_full = true;
    if (forest->retrying || forest->closing)
        return;
    forest->retrying = true;
    if (fiber_spawn(forest->env, &options, retry, forest) != STATUS_OK) {
        REACHED("no fiber to try again: the next operation that finds the disk full asks for one");
        forest->retrying = false;
    }
}

enum status forest_reserve_numbers(struct context *ctx, struct forest *forest, uint32_t count,
                                   bool urgent)
{
    struct space *space = &forest->space;
    for (;;) {
        uint32_t available = space_available(space);
        uint32_t kept = urgent ? 0 : forest->reserve_pages / 2;
        if (available >= count + forest->reserve_pages ||
            (forest->disk_full && available >= count + kept)) {
            space->numbers_reserved += count;
            return STATUS_OK;
        }
        if (forest->growing) {
            TRY(wait_queue_wait(ctx, &forest->grown));
            continue;
        }
        enum status status = grow(ctx, forest, count);
        if (status == STATUS_NO_SPACE) {
            disk_is_full(forest);
            if (space_available(space) >= count + kept)
                continue;
            free_pending(forest, count + kept);
        }
        TRY(status);
    }
}

bool forest_is_tight(const struct forest *forest)
{
    if (forest->in_memory)
        return forest->frames.dirty_count >= forest->dirty_max / 8 * 7;
    return forest->disk_full;
}

bool forest_has_space(const struct forest *forest)
{
    if (forest->in_memory)
        return forest->frames.dirty_count < forest->dirty_max;
    return !forest->disk_full || space_available(&forest->space) >= forest->reserve_pages;
}
