/* forest.c - opening, making and closing the file of a forest. */
#include "storage/forest.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "storage/forest_private.h"

#define CACHE_BYTES_DEFAULT    (UINT64_C(128) << 20)
#define RESERVE_PAGES_DEFAULT  128u
#define SNAPSHOT_BYTES_DEFAULT (UINT64_C(1) << 30)
#define DROP_PAGES_DEFAULT     20000u
#define PATH_BYTES_MAX         4096u
#define MEMORY_RESERVE_PAGES   4096u /* for deletes and for what is in the log already */
#define EPOCH_JUMP             (UINT64_C(1) << 32)
#define FREE_LIST_BYTES_MAX    (UINT64_C(1) << 32)
#define NEW_FILE_BYTES         ((uint64_t)PAGE_NUMBER_FIRST * PAGE_BYTES)

/* ---- Jobs of opening ---- */

struct open_job {
    struct env_job job;
    const char *path;
    char *dir;
    bool create;
    bool log_named_later;
    struct env_file *file;
    uint64_t file_bytes;
    uint8_t blocks[2][SUPERBLOCK_BYTES];
    enum status status;
};

static enum status read_file(struct env *env, struct open_job *open)
{
    TRY(env_file_size(env, open->file, &open->file_bytes));
    for (unsigned i = 0; i < 2; i++) {
        memset(open->blocks[i], 0, SUPERBLOCK_BYTES);
        uint64_t at = i * SUPERBLOCK_SPACING;
        if (open->file_bytes < at + SUPERBLOCK_BYTES)
            continue;
        TRY(env_file_read(env, open->file, at, open->blocks[i], SUPERBLOCK_BYTES));
    }
    return STATUS_OK;
}

static void open_run(struct env_job *job)
{
    struct open_job *open = CONTAINER_OF(job, struct open_job, job);
    unsigned flags = ENV_FILE_LOCK | (open->create ? ENV_FILE_CREATE : 0u);
    open->status = env_file_open(job->env, open->path, flags, &open->file);
    if (open->status != STATUS_OK)
        return;
    open->status = read_file(job->env, open);
    /* A name that was found may not be durable either. */
    if (open->status == STATUS_OK && !open->log_named_later)
        open->status = env_dir_sync(job->env, open->dir);
    if (open->status != STATUS_OK)
        env_file_close(job->env, open->file);
}

/* The first superblocks of a new file; see forest_name_log. */
struct first_job {
    struct env_job job;
    struct env_file *file;
    uint8_t blocks[2][SUPERBLOCK_BYTES];
    enum status status;
};

static void first_run(struct env_job *job)
{
    static const uint8_t zeros[SUPERBLOCK_BYTES];
    struct first_job *first = CONTAINER_OF(job, struct first_job, job);
    struct bytes last = bytes_of(zeros, SUPERBLOCK_BYTES);
    enum status status = STATUS_OK;
    for (unsigned i = 0; i < 2 && status == STATUS_OK; i++) {
        struct bytes block = bytes_of(first->blocks[i], SUPERBLOCK_BYTES);
        status = env_file_write(job->env, first->file, (uint64_t)i * SUPERBLOCK_SPACING, &block, 1);
    }
    if (status == STATUS_OK)
        status = env_file_write(job->env, first->file, NEW_FILE_BYTES - SUPERBLOCK_BYTES, &last, 1);
    if (status == STATUS_OK)
        status = env_file_sync(job->env, first->file);
    first->status = status;
}

struct close_job {
    struct env_job job;
    struct env_file *file;
};

static void close_run(struct env_job *job)
{
    env_file_close(job->env, CONTAINER_OF(job, struct close_job, job)->file);
}

/* ---- Reading a superblock's state ---- */

static void say(const struct forest *forest, enum log_level level, const char *text)
{
    log_line(forest->env->log, level, "storage", "%s", text);
}

/* Read the free list's pages, one after the other. */
static enum status read_free_list(struct context *ctx, struct forest *forest,
                                  struct buffer *encoded)
{
    const struct superblock *super = &forest->super;
    struct heap *heap = forest->env->heap;
    struct page_ref next = super->free_list;
    while (next.number != 0) {
        struct frame *frame;
        if (encoded->count > super->free_list_bytes || next.number >= super->page_count ||
            forest->free_list_count >= super->page_count) /* it may have pages without bytes */
            return STATUS_CORRUPT;
        TRY(frames_fetch(ctx, &forest->frames, TREE_ID_FOREST, next, FRAME_BACKGROUND, &frame));
        bool right = page_kind(frame->page) == PAGE_FREE_LIST;
        struct page_ref ref = next;
        if (right) {
            buffer_append_bytes(encoded, page_free_list_data(frame->page));
            next = page_free_list_next(frame->page);
        }
        frames_unpin(&forest->frames, frame);
        frames_forget(&forest->frames, ref.number);
        if (!right)
            return STATUS_CORRUPT;
        uint32_t capacity = forest->free_list_capacity;
        if (forest->free_list_count == capacity) {
            uint32_t more = capacity * 2 + 8;
            struct page_ref *list = heap_alloc(heap, more * sizeof(*list));
            if (list == NULL)
                return STATUS_NO_MEMORY;
            if (capacity > 0)
                memcpy(list, forest->free_list, capacity * sizeof(*list));
            heap_free(heap, forest->free_list, capacity * sizeof(*list));
            forest->free_list = list;
            forest->free_list_capacity = more;
        }
        forest->free_list[forest->free_list_count++] = ref;
    }
    if (encoded->failed)
        return STATUS_NO_MEMORY;
    return encoded->count == super->free_list_bytes ? STATUS_OK : STATUS_CORRUPT;
}

/* Is all there up to page number `end`? */
static enum status check_length(const struct forest *forest, uint32_t end, uint64_t pages_there)
{
    if (end <= pages_there)
        return STATUS_OK;
    log_line(forest->env->log, LOG_ERROR, "storage",
             "the tree file is cut off: it has %llu pages and needs %u or more",
             (unsigned long long)pages_there, end);
    return STATUS_CORRUPT;
}

static enum status load_state(struct context *ctx, struct forest *forest, uint64_t file_bytes)
{
    const struct superblock *super = &forest->super;
    struct buffer encoded;
    uint32_t used_end;
    uint64_t pages_there = file_bytes / PAGE_BYTES;
    if (super->free_list_bytes > FREE_LIST_BYTES_MAX || super->directory_height > TREE_HEIGHT_MAX ||
        (super->directory_height == 0) != (super->directory.number == 0))
        return STATUS_CORRUPT;
    if (super->free_list.number != 0)
        TRY(check_length(forest, super->free_list.number + 1, pages_there));
    buffer_init(&encoded, forest->env->heap, super->free_list_bytes + PAGE_BYTES);
    enum status status = read_free_list(ctx, forest, &encoded);
    if (status == STATUS_OK && super->free_list.number == 0)
        status = space_resize(&forest->space, super->page_count);
    else if (status == STATUS_OK)
        status = space_decode(&forest->space, super->page_count, buffer_bytes(&encoded),
                              super->epoch, &used_end);
    buffer_release(&encoded);
    TRY(status);
    if (super->free_list.number == 0) /* all are used, but in a new file */
        used_end = super->directory.number != 0 ? super->page_count : 0;
    TRY(check_length(forest, used_end, pages_there));
    forest->directory.root =
        (struct tree_root){.page = super->directory, .height = super->directory_height};
    return directory_load(ctx, forest);
}

/* Numbers of free pages beyond the file's end are of no use: they are there again when it grows. */
static enum status fit_file(struct forest *forest, uint64_t file_bytes)
{
    struct space *space = &forest->space;
    uint64_t pages_there = file_bytes / PAGE_BYTES;
    if (pages_there >= space->page_count)
        return STATUS_OK;
    uint32_t end = space->page_count;
    while (end > pages_there && space_is_free(space, end - 1))
        end--;
    return space_resize(space, end);
}

/* Forget what load_state has read; frames too, as they may hold what the older state does not. */
static enum status forget_state(struct context *ctx, struct forest *forest)
{
    while (forest->frames.loading_count > 0)
        context_yield(ctx);
    directory_release(forest);
    heap_free(forest->env->heap, forest->free_list,
              forest->free_list_capacity * sizeof(*forest->free_list));
    forest->free_list = NULL;
    forest->free_list_count = forest->free_list_capacity = 0;
    space_release(&forest->space);
    uint32_t frames_max = forest->frames.frames_max;
    frames_release(&forest->frames);
    TRY(frames_init(&forest->frames, forest->env, frames_max));
    forest->frames.file = forest->file;
    return STATUS_OK;
}

/* A file that was made, but never got its superblocks: its name is there, and no superblock yet. */
static bool is_unfinished(const struct open_job *open)
{
    struct superblock super;
    bool unfinished = open->create && open->file_bytes <= NEW_FILE_BYTES;
    for (unsigned i = 0; i < 2 && unfinished; i++)
        unfinished = superblock_decode(open->blocks[i], i, &super) != STATUS_OK &&
                     superblock_is_unfinished(open->blocks[i]);
    return unfinished;
}

/* Both superblocks say what they are; take the newer one, or the older if that fails its checks. */
static enum status open_state(struct context *ctx, struct forest *forest,
                              const struct open_job *open)
{
    struct superblock supers[2];
    enum status read[2];
    for (uint32_t i = 0; i < 2; i++)
        read[i] = superblock_decode(open->blocks[i], i, &supers[i]);
    if (read[0] == STATUS_VERSION || read[1] == STATUS_VERSION)
        return STATUS_VERSION;
    if (read[0] != STATUS_OK && read[1] != STATUS_OK) {
        say(forest, LOG_ERROR, "the tree file has no superblock that verifies");
        return read[0] == STATUS_CORRUPT || read[1] == STATUS_CORRUPT || open->file_bytes == 0
                   ? STATUS_CORRUPT
                   : STATUS_INVALID;
    }
    unsigned newer =
        read[1] == STATUS_OK && (read[0] != STATUS_OK || supers[1].epoch > supers[0].epoch) ? 1 : 0;
    enum status status = STATUS_CORRUPT;
    for (unsigned i = 0; i < 2 && status == STATUS_CORRUPT; i++) {
        unsigned which = i == 0 ? newer : 1 - newer;
        if (read[which] != STATUS_OK)
            break;
        if (i > 0)
            TRY(forget_state(ctx, forest));
        forest->super = supers[which];
        forest->slot = which;
        forest->frames.forest_id = supers[which].forest_id;
        status = load_state(ctx, forest, open->file_bytes);
        forest->recovered.fell_back = i > 0 || read[1 - which] != STATUS_OK;
        if (status == STATUS_CORRUPT)
            say(forest, LOG_ERROR, "what the tree file's superblock refers to is damaged");
    }
    TRY(status);
    if (forest->recovered.fell_back)
        say(forest, LOG_WARNING, "one superblock of the tree file is damaged, the other is used");
    unsigned other = 1 - forest->slot;
    uint64_t highest = MAX(forest->super.epoch, read[other] == STATUS_OK ? supers[other].epoch : 0);
    forest->epoch = highest + 1 + env_random_u64(forest->env) % EPOCH_JUMP;
    if (forest->recovered.fell_back)
        supers[other] = forest->super; /* see settle_supers */
    forest->space.referred = forest->super.epoch;
    forest->epoch_before = supers[other].epoch;
    forest->log_before.value = supers[other].log_from;
    return fit_file(forest, open->file_bytes);
}

/* What was read need not be on the disk: a process that died before its sync, or whose sync failed,
 * leaves a superblock in the page cache alone.  What it frees, of pages and of the log, may be used
 * only when it cannot be lost any more, so it is written again and synced.  One that was found
 * damaged is replaced before by a copy of the one that is open: what it refers to will be written
 * over, so it must not be read again, were it readable the next time; and there are two again. */
static enum status settle_supers(struct context *ctx, struct forest *forest)
{
    if (forest->recovered.fell_back) {
        struct superblock copy = forest->super;
        copy.which = 1 - forest->slot;
        TRY(forest_write_super(ctx, forest, &copy));
    }
    return forest_write_super(ctx, forest, &forest->super);
}

static enum status check_identity(const struct forest *forest, const struct forest_options *options)
{
    const struct superblock *super = &forest->super;
    if ((options->cluster_id != 0 && options->cluster_id != super->cluster_id) ||
        (options->node_id != 0 && options->node_id != super->node_id) ||
        (options->log_id != 0 && options->log_id != super->log_id)) {
        say(forest, LOG_ERROR, "the tree file belongs to another cluster, node or log");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

/* ---- Opening ---- */

static enum status make_forest(struct env *env, const struct forest_options *options,
                               struct forest **made)
{
    uint64_t cache_bytes = options->cache_bytes != 0 ? options->cache_bytes : CACHE_BYTES_DEFAULT;
    bool has_path = options->path != NULL && strlen(options->path) < PATH_BYTES_MAX;
    if (options->cache_bytes == 0 && options->in_memory)
        cache_bytes = FOREST_CACHE_BYTES_MAX;
    if ((!has_path && !options->in_memory) || cache_bytes < FOREST_CACHE_BYTES_MIN ||
        cache_bytes > FOREST_CACHE_BYTES_MAX)
        return STATUS_INVALID;
    struct forest *forest = heap_alloc_zero(env->heap, sizeof(*forest));
    if (forest == NULL)
        return STATUS_NO_MEMORY;
    forest->env = env;
    forest->in_memory = options->in_memory;
    forest->reserve_pages =
        options->reserve_pages != 0 ? options->reserve_pages : RESERVE_PAGES_DEFAULT;
    forest->snapshot_bytes =
        options->snapshot_bytes != 0 ? options->snapshot_bytes : SNAPSHOT_BYTES_DEFAULT;
    forest->drop_pages_per_s =
        options->drop_pages_per_s != 0 ? options->drop_pages_per_s : DROP_PAGES_DEFAULT;
    list_init(&forest->trees);
    list_init(&forest->dropped);
    list_init(&forest->snapshots);
    wait_queue_init(&forest->budget);
    wait_queue_init(&forest->grown);
    wait_queue_init(&forest->checkpoint_over);
    wait_queue_init(&forest->checkpoint_due);
    wait_queue_init(&forest->reaper);
    space_init(&forest->space, env->heap);
    forest->directory.forest = forest;
    forest->directory.tree_id = TREE_ID_DIRECTORY;
    forest->directory.change = 1;
    forest->tree_id_next = TREE_ID_FIRST;
    forest->scratch = heap_alloc(env->heap, sizeof(*forest->scratch));
    enum status status = frames_init(&forest->frames, env, (uint32_t)(cache_bytes / PAGE_BYTES));
    if (forest->scratch == NULL || status != STATUS_OK) {
        if (status == STATUS_OK)
            frames_release(&forest->frames);
        heap_free(env->heap, forest->scratch, sizeof(*forest->scratch));
        heap_free(env->heap, forest, sizeof(*forest));
        return STATUS_NO_MEMORY;
    }
    uint32_t frames_max = forest->frames.frames_max;
    forest->frames.resident = options->in_memory;
    forest->dirty_max = frames_max / 4 * 3;
    if (options->in_memory)
        forest->dirty_max = frames_max - MIN(frames_max / 4, MEMORY_RESERVE_PAGES);
    *made = forest;
    return STATUS_OK;
}

static void free_forest(struct context *ctx, struct forest *forest)
{
    struct heap *heap = forest->env->heap;
    while (forest->frames.loading_count > 0)
        context_yield(ctx);
    if (forest->file != NULL) {
        struct close_job job = {.job = {.lane = ENV_LANE_BACKGROUND, .run = close_run},
                                .file = forest->file};
        list_init(&job.job.link);
        if (forest_run_job(ctx, &job.job) != STATUS_OK)
            say(forest, LOG_ERROR, "the tree file was not closed");
    }
    directory_release(forest);
    heap_free(heap, forest->free_list, forest->free_list_capacity * sizeof(*forest->free_list));
    space_release(&forest->space);
    frames_release(&forest->frames);
    heap_free(heap, forest->scratch, sizeof(*forest->scratch));
    heap_free(heap, forest, sizeof(*forest));
}

/* The job that opens the file, with the name of its directory behind it in one piece of memory. */
static struct open_job *make_open_job(struct forest *forest, const struct forest_options *options,
                                      size_t *bytes)
{
    size_t path = strlen(options->path) + sizeof(".");
    *bytes = sizeof(struct open_job) + path;
    struct open_job *open = heap_alloc_zero(forest->env->heap, *bytes);
    if (open == NULL)
        return NULL;
    open->job = (struct env_job){.lane = ENV_LANE_BACKGROUND, .run = open_run};
    list_init(&open->job.link);
    open->path = options->path;
    open->dir = (char *)(open + 1);
    memcpy(open->dir, options->path, strlen(options->path));
    char *slash = strrchr(open->dir, '/');
    if (slash == NULL)
        memcpy(open->dir, ".", 2);
    else
        slash[slash == open->dir ? 1 : 0] = 0;
    open->create = options->create;
    open->log_named_later = options->log_named_later;
    return open;
}

/* Nothing is in it yet, and nothing of it on disk but its name. */
static enum status open_new(struct forest *forest, const struct forest_options *options)
{
    forest->super = (struct superblock){.cluster_id = options->cluster_id,
                                        .node_id = options->node_id,
                                        .forest_id = env_random_u64(forest->env),
                                        .log_id = options->log_id,
                                        .epoch = options->in_memory ? 0 : 1,
                                        .page_count = PAGE_NUMBER_FIRST,
                                        .tree_id_next = TREE_ID_FIRST};
    forest->frames.forest_id = forest->super.forest_id;
    forest->epoch = 1;
    if (!options->in_memory)
        forest->epoch += 1 + env_random_u64(forest->env) % EPOCH_JUMP;
    forest->space.referred = forest->epoch_before = forest->super.epoch;
    forest->recovered.created = true;
    forest->log_unnamed = !options->in_memory;
    return space_resize(&forest->space, PAGE_NUMBER_FIRST);
}

static enum status open_file(struct context *ctx, struct forest *forest,
                             const struct forest_options *options)
{
    size_t bytes;
    struct open_job *open = make_open_job(forest, options, &bytes);
    enum status status = open != NULL ? forest_run_job(ctx, &open->job) : STATUS_NO_MEMORY;
    if (status == STATUS_OK)
        status = open->status;
    if (status == STATUS_OK) {
        forest->file = forest->frames.file = open->file;
        if (is_unfinished(open))
            status = open_new(forest, options);
        else
            status = open_state(ctx, forest, open);
    }
    if (status == STATUS_OK && !forest->log_unnamed) {
        status = check_identity(forest, options);
        if (status == STATUS_OK)
            status = settle_supers(ctx, forest);
    }
    heap_free(ctx->env->heap, open, bytes);
    if (status == STATUS_OK && !options->log_named_later)
        status = forest_name_log(ctx, forest, options->log_id);
    return status;
}

enum status forest_name_log(struct context *ctx, struct forest *forest, uint64_t log_id)
{
    if (!forest->log_unnamed)
        return STATUS_OK;
    struct first_job *first = heap_alloc(forest->env->heap, sizeof(*first));
    if (first == NULL)
        return STATUS_NO_MEMORY;
    first->job = (struct env_job){.lane = ENV_LANE_BACKGROUND, .run = first_run};
    list_init(&first->job.link);
    first->file = forest->file;
    forest->super.log_id = log_id != 0 ? log_id : env_random_u64(forest->env) | 1;
    for (unsigned i = 2; i-- > 0;) {
        forest->super.which = i;
        superblock_encode(&forest->super, first->blocks[i]);
    }
    enum status status = forest_run_job(ctx, &first->job);
    if (status == STATUS_OK)
        status = first->status;
    heap_free(forest->env->heap, first, sizeof(*first));
    TRY(status);
    forest->log_unnamed = false;
    forest->recovered.log_id = forest->super.log_id;
    return STATUS_OK;
}

enum status forest_open(struct context *ctx, const struct forest_options *options,
                        struct forest **opened)
{
    struct forest *forest;
    TRY(make_forest(ctx->env, options, &forest));
    enum status status =
        options->in_memory ? open_new(forest, options) : open_file(ctx, forest, options);
    if (status != STATUS_OK) {
        free_forest(ctx, forest);
        return status;
    }
    forest->tree_id_next = forest->super.tree_id_next;
    forest->recovered.log_from.value = forest->super.log_from;
    forest->recovered.epoch = forest->super.epoch;
    forest->recovered.log_id = forest->super.log_id;
    reaper_wake(forest);
    *opened = forest;
    return STATUS_OK;
}

struct forest_recovered forest_recovered(const struct forest *forest)
{
    return forest->recovered;
}

/* ---- Closing ---- */

static void stop_fibers(struct context *ctx, struct forest *forest)
{
    forest->closing = true;
    wait_queue_wake_all(&forest->reaper);
    while (forest->reaping || forest->retrying)
        wait_queue_wait_out(ctx, &forest->reaper);
    ASSERT(list_empty(&forest->snapshots));
}

void forest_abandon(struct context *ctx, struct forest *forest)
{
    uint64_t deadline_ns = ctx->deadline_ns;
    ctx->deadline_ns = UINT64_MAX;
    stop_fibers(ctx, forest);
    ctx->deadline_ns = deadline_ns;
    free_forest(ctx, forest);
}

enum status forest_close(struct context *ctx, struct forest *forest, struct lsn covered)
{
    uint64_t deadline_ns = ctx->deadline_ns;
    ctx->deadline_ns = UINT64_MAX;
    stop_fibers(ctx, forest);
    enum status status = forest_checkpoint(ctx, forest, covered);
    if (status == STATUS_OK)
        status = forest_shrink(ctx, forest, covered);
    ctx->deadline_ns = deadline_ns;
    free_forest(ctx, forest);
    return status;
}

struct forest_stats forest_stats(const struct forest *forest)
{
    const struct frames *frames = &forest->frames;
    const struct space *space = &forest->space;
    struct forest_stats stats = {
        .frames_max = frames->frames_max,
        .frames = frames->count,
        .frames_dirty = frames->dirty_count,
        .hits = frames->hits,
        .misses = frames->misses,
        .evictions = frames->evictions,
        .reads = frames->reads,
        .read_failures = frames->read_failures,
        .corrupt_pages = frames->corrupt_pages,
        .pages_written = forest->pages_written,
        .checkpoints = forest->checkpoints,
        .checkpoint_failures = forest->checkpoint_failures,
        .checkpoint_status = forest->checkpoint_status,
        .epoch = forest->epoch,
        .pages = space->page_count,
        .pages_free = space->free_count,
        .pages_pending = space->pending_count,
        .apply_waits = forest->apply_waits,
        .checkpoint_ns = forest->checkpoint_ns,
        .read_ns = frames->read_ns,
    };
    LIST_FOR_EACH (node, &forest->snapshots) {
        stats.snapshots++;
    }
    LIST_FOR_EACH (node, &forest->trees) {
        const struct tree *tree = LIST_ITEM(node, struct tree, link);
        stats.trees += tree->live || tree->staged ? 1 : 0;
        stats.trees_dropping += tree->closed ? 1 : 0;
    }
    return stats;
}
