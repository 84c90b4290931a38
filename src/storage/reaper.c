/* reaper.c - the fiber that frees the pages of dropped trees, at a constant pace: by time; in
 * memory, where there is no disk to spare, by turns of the loop, so that tables that are made anew
 * again and again live in the memory of those before.
 *
 * A dropped tree loses its first leaf again and again, by changes like any other, so that a crash
 * at any moment leaves a smaller tree, and the next start goes on with it.  A leaf with long keys
 * or large values loses them first, one by one.
 */
#include <string.h>

#include "base/assert.h"
#include "storage/forest_private.h"

#define REAPER_ARENA_BYTES ((size_t)64 << 10)
#define REAPER_TURN_LEAVES 16u
#define REAPER_RETRY_NS    UINT64_C(500000000)
#define SECOND_NS          UINT64_C(1000000000)

static struct tree *next_tree(struct forest *forest)
{
    LIST_FOR_EACH_SAFE (node, &forest->dropped) {
        struct tree *tree = LIST_ITEM(node, struct tree, drop_link);
        if (tree->stuck || tree->users > 0)
            continue;
        tree->reaped = true;
        if (tree->root.height > 0)
            return tree;
        list_remove(&tree->drop_link);
    }
    return NULL;
}

/* The first key of the leaf that has pages of its own, if any: its whole key at `to`. */
static enum tree_found find_large(struct forest *forest, const uint8_t *leaf, uint8_t *to,
                                  struct bytes *key, struct page_ref *missing)
{
    *key = (struct bytes){0};
    for (unsigned i = 0; i < page_count(leaf); i++) {
        struct page_cell cell;
        struct bytes found;
        page_cell_get(leaf, i, &cell);
        if (cell.child.number == 0 && cell.key_rest.number == 0)
            continue;
        *missing = cell.key_rest;
        if (!tree_cell_key(forest, &cell, to, &found))
            return frames_get(&forest->frames, cell.key_rest, FRAME_BACKGROUND) != NULL
                       ? TREE_DAMAGED
                       : TREE_MISSING;
        memmove(to, found.at, found.count);
        *key = bytes_of(to, found.count);
        return TREE_FOUND;
    }
    return TREE_FOUND;
}

/* Take one leaf, or one large value, from the tree. */
static enum status reap_one(struct context *ctx, struct tree *tree, uint8_t *key_at)
{
    struct tree_reader reader = reader_of_tree(ctx, tree);
    reader.use = FRAME_BACKGROUND;
    struct bytes key = {0};
    enum status status = STATUS_OK;
    for (;;) {
        struct tree_path path;
        struct page_ref missing;
        enum tree_found found =
            tree_find(tree->forest, tree->root, key, FIND_FIRST, FRAME_BACKGROUND, &path, &missing);
        if (found == TREE_FOUND)
            found = find_large(tree->forest, path.at[path.height - 1].frame->page, key_at, &key,
                               &missing);
        if (found == TREE_FOUND)
            break;
        status = found == TREE_MISSING ? reader_bring(&reader, missing)
                                       : reader_damaged(&reader, missing);
        if (status != STATUS_OK)
            break;
    }
    reader_end(&reader);
    TRY(status);
    size_t done;
    struct tree_mutation mutation = {
        .kind = key.count > 0 ? TREE_DELETE : (enum tree_mutation_kind)TREE_TRIM_FIRST, .key = key};
    return tree_apply_mutations(ctx, tree, &mutation, 1, true, &done);
}

/* Wait, but for the forest's closing. */
static void rest(struct context *ctx, struct forest *forest, uint64_t delay_ns)
{
    uint64_t deadline_ns = ctx->deadline_ns;
    ctx->deadline_ns = env_now_ns(ctx->env) + delay_ns;
    while (!forest->closing && env_now_ns(ctx->env) < ctx->deadline_ns) {
        if (wait_queue_wait(ctx, &forest->reaper) != STATUS_OK)
            break;
    }
    ctx->deadline_ns = deadline_ns;
}

static void reap(struct context *ctx, void *argument)
{
    struct forest *forest = argument;
    struct heap *heap = forest->env->heap;
    uint8_t *key = heap_alloc(heap, TREE_KEY_BYTES_MAX);
    uint64_t turn_ns = REAPER_TURN_LEAVES * SECOND_NS / forest->drop_pages_per_s;
    struct tree *tree;
    while (key != NULL && !forest->closing && (tree = next_tree(forest)) != NULL) {
        enum status status = STATUS_OK;
        for (unsigned i = 0; i < REAPER_TURN_LEAVES && status == STATUS_OK; i++) {
            if (tree->root.height == 0)
                break;
            status = reap_one(ctx, tree, key);
        }
        tree->stuck = status == STATUS_CORRUPT || status == STATUS_VERSION;
        if (status != STATUS_OK)
            rest(ctx, forest, REAPER_RETRY_NS);
        else if (forest->in_memory)
            context_yield(ctx);
        else
            rest(ctx, forest, turn_ns);
    }
    heap_free(heap, key, TREE_KEY_BYTES_MAX);
    forest->reaping = false;
    wait_queue_wake_all(&forest->reaper);
}

void reaper_wake(struct forest *forest)
{
    if (forest->reaping || forest->closing)
        return;
    if (next_tree(forest) == NULL)
        return;
    struct fiber_options options = {.arena_bytes_max = REAPER_ARENA_BYTES,
                                    .deadline_ns = UINT64_MAX};
    forest->reaping = true;
    if (fiber_spawn(forest->env, &options, reap, forest) != STATUS_OK) {
        REACHED("no fiber for the reaper: the next drop or start asks again");
        forest->reaping = false;
    }
}
