/* shrink.c - give back the end of the file at a clean stop.
 *
 * Copy-on-write leaves holes: pages of former epochs.  Two checkpoints free them; then every page
 * beyond what is needed is made dirty, which gives it and its parents low numbers; two more
 * checkpoints, and nothing that can be opened refers to the end of the file.  Each step is an
 * ordinary change, so that a crash between any two leaves an ordinary file.
 */
#include <string.h>

#include "base/assert.h"
#include "storage/forest_private.h"

#define SHRINK_SHARE     64u    /* of the pages in use: fewer holes are not worth it */
#define SHRINK_PAGES_MAX 65536u /* in use; a larger file stays as it is */
#define SHRINK_ROUNDS    3u
#define SHRINK_SLACK     32u /* pages for the last checkpoints */

struct truncate_job {
    struct env_job job;
    struct env_file *file;
    uint64_t bytes;
    enum status status;
};

static void truncate_run(struct env_job *job)
{
    struct truncate_job *truncate = CONTAINER_OF(job, struct truncate_job, job);
    truncate->status = env_file_truncate(job->env, truncate->file, truncate->bytes);
}

static uint32_t holes(const struct forest *forest)
{
    return forest->space.free_count + (uint32_t)forest->space.pending_count;
}

static bool path_is_beyond(const struct tree_path *path, uint32_t cut)
{
    for (unsigned depth = 0; depth < path->height; depth++) {
        if (path->at[depth].frame->ref.number >= cut)
            return true;
    }
    return false;
}

/* Does the item at the path's index have pages of its own beyond the cut? */
static bool item_is_beyond(struct forest *forest, const struct tree_path *path, uint32_t cut)
{
    const struct frame *leaf = path->at[path->height - 1].frame;
    struct page_cell cell;
    page_cell_get(leaf->page, path->at[path->height - 1].index, &cell);
    if (cell.key_rest.number >= cut || cell.child.number >= cut)
        return true;
    if (cell.child.number == 0)
        return false;
    const struct frame *first = frames_get(&forest->frames, cell.child, FRAME_BACKGROUND);
    for (unsigned i = 0; first != NULL && i < page_overflow_refs(first->page); i++) {
        if (page_overflow_ref(first->page, i).number >= cut)
            return true;
    }
    return false;
}

/* Put an item anew; for a long key that takes a delete before, because a put keeps the key's rest.
 * No checkpoint may come between the two. */
static enum status put_anew(struct context *ctx, struct tree *tree, struct bytes key,
                            struct bytes value)
{
    struct tree_mutation mutations[2] = {
        {.kind = TREE_DELETE, .key = key},
        {.kind = TREE_PUT, .key = key, .value = value},
    };
    size_t first = key.count > PAGE_KEY_BYTES_MAX ? 0 : 1;
    size_t count = 2 - first;
    size_t done = 0;
    if (!tree_apply_fits(tree, mutations + first, count))
        return STATUS_BUSY;
    enum status status = tree_apply_mutations(ctx, tree, mutations + first, count, true, &done);
    return status == STATUS_BUSY && done > 0 ? STATUS_UNAVAILABLE : status;
}

/* Move what the cursor stands at.  An item with pages of its own is put anew.
 *   STATUS_BUSY  only a checkpoint makes room, and no other flow makes one any more */
static enum status move_item(struct context *ctx, struct tree *tree, struct bytes key,
                             struct bytes value, uint32_t cut)
{
    struct forest *forest = tree->forest;
    struct tree_path path;
    struct page_ref missing;
    if (tree_find(forest, tree->root, key, FIND_AT, FRAME_BACKGROUND, &path, &missing) !=
            TREE_FOUND ||
        !path.exact)
        return STATUS_OK;
    if (item_is_beyond(forest, &path, cut)) {
        bool large = value.count > TREE_INLINE_VALUE_BYTES_MAX;
        uint8_t *copy = NULL; /* a small value lies in the page that will be changed */
        if (!large && value.count > 0) {
            copy = heap_alloc(ctx->env->heap, value.count);
            if (copy == NULL)
                return STATUS_NO_MEMORY;
            memcpy(copy, value.at, value.count);
        }
        enum status status =
            put_anew(ctx, tree, key, copy != NULL ? bytes_of(copy, value.count) : value);
        heap_free(ctx->env->heap, copy, value.count);
        return status;
    }
    if (!path_is_beyond(&path, cut))
        return STATUS_OK;
    struct tree_mutation move = {.kind = (enum tree_mutation_kind)TREE_MOVE_PATH, .key = key};
    size_t done;
    if (!tree_apply_fits(tree, &move, 1))
        return STATUS_BUSY;
    return tree_apply_mutations(ctx, tree, &move, 1, true, &done);
}

/* Make a checkpoint, after which the cursor gives the same item once more. */
static enum status make_room(struct context *ctx, struct forest *forest, struct tree_cursor *cursor)
{
    struct lsn covered = {forest->super.log_from};
    enum status status = forest_checkpoint(ctx, forest, covered);
    cursor->inclusive = true;
    cursor->leaf_number = 0;
    return status;
}

static enum status move_tree(struct context *ctx, struct tree *tree, uint32_t cut)
{
    struct tree_cursor cursor;
    struct bytes key;
    struct bytes value;
    bool closed = tree->closed;
    bool again = false; /* a checkpoint has made what room there is for this item */
    if (tree->root.height == 0)
        return STATUS_OK;
    tree->closed = false; /* the pages of dropped trees count as well */
    enum status status =
        tree_cursor_open(ctx, tree, TREE_CURSOR_BACKGROUND, (struct bytes){0}, true, &cursor);
    while (status == STATUS_OK) {
        status = tree_cursor_next(&cursor, &key, &value);
        if (status != STATUS_OK)
            break;
        if (forest_checkpoint_is_due(tree->forest) && !again) {
            again = true;
            status = make_room(ctx, tree->forest, &cursor);
            continue;
        }
        status = move_item(ctx, tree, key, value, cut);
        if (status == STATUS_BUSY && !again) {
            again = true;
            status = make_room(ctx, tree->forest, &cursor);
            continue;
        }
        again = false;
        if (status == STATUS_BUSY)
            status = STATUS_OK; /* it stays where it is */
    }
    tree->closed = closed;
    return status == STATUS_END ? STATUS_OK : status;
}

static enum status move_all(struct context *ctx, struct forest *forest, uint32_t cut)
{
    LIST_FOR_EACH (node, &forest->trees) {
        TRY(move_tree(ctx, LIST_ITEM(node, struct tree, link), cut));
    }
    return move_tree(ctx, &forest->directory, cut);
}

/* One more than the last page that is used or waits. */
static uint32_t used_end(const struct forest *forest)
{
    uint32_t end = forest->space.page_count;
    while (end > PAGE_NUMBER_FIRST && space_is_free(&forest->space, end - 1))
        end--;
    return end;
}

static enum status checkpoints(struct context *ctx, struct forest *forest, struct lsn covered)
{
    TRY(forest_checkpoint(ctx, forest, covered));
    return forest_checkpoint(ctx, forest, covered);
}

enum status forest_shrink(struct context *ctx, struct forest *forest, struct lsn covered)
{
    uint32_t used = forest->space.page_count - PAGE_NUMBER_FIRST - holes(forest);
    uint32_t keep = forest->reserve_pages + SHRINK_SLACK + used / SHRINK_SHARE;
    if (forest->in_memory || holes(forest) <= keep || used > SHRINK_PAGES_MAX)
        return STATUS_OK;
    TRY(checkpoints(ctx, forest, covered));
    uint32_t wanted = PAGE_NUMBER_FIRST + used + keep;
    for (unsigned round = 0; round < SHRINK_ROUNDS && used_end(forest) > wanted; round++) {
        TRY(move_all(ctx, forest, wanted));
        TRY(checkpoints(ctx, forest, covered));
        TRY(forest_checkpoint(ctx, forest, covered));
    }
    uint32_t end =
        MAX(used_end(forest), PAGE_NUMBER_FIRST + used + forest->reserve_pages + SHRINK_SLACK);
    if (end >= forest->space.page_count)
        return STATUS_OK;
    TRY(space_resize(&forest->space, end));
    TRY(checkpoints(ctx, forest, covered));
    struct truncate_job truncate = {.job = {.lane = ENV_LANE_BACKGROUND, .run = truncate_run},
                                    .file = forest->file,
                                    .bytes = (uint64_t)forest->space.page_count * PAGE_BYTES};
    list_init(&truncate.job.link);
    TRY(forest_run_job(ctx, &truncate.job));
    return truncate.status;
}
