/* tree_cursor.c - keys in order, without sibling pointers.
 *
 * While a cursor stays in one leaf, and the tree is as it was, it counts in the leaf's slots.  At
 * the leaf's end, and after any change, it walks from the root again: to the separator that bounded
 * the leaf, or beyond the last key that it gave.
 */
#include <string.h>

#include "base/assert.h"
#include "storage/forest_private.h"

#define CURSOR_LEAVES_AHEAD 4u /* read at the same time when a leaf is missing, at most */

static bool keep(struct arena *arena, struct bytes bytes, uint8_t **to, uint32_t *count,
                 uint32_t *capacity)
{
    if (bytes.count > *capacity) {
        uint32_t more = MIN(TREE_KEY_BYTES_MAX, MAX(128u, (uint32_t)bytes.count * 2));
        uint8_t *memory = arena_alloc(arena, more);
        if (memory == NULL)
            return false;
        *to = memory;
        *capacity = more;
    }
    if (bytes.count > 0)
        memmove(*to, bytes.at, bytes.count);
    *count = (uint32_t)bytes.count;
    return true;
}

static enum status cursor_open(struct context *ctx, unsigned flags, struct bytes key,
                               bool inclusive, struct tree_cursor *cursor)
{
    struct tree_cursor made = {.ctx = ctx, .flags = flags, .inclusive = inclusive};
    if (key.count > TREE_KEY_BYTES_MAX)
        return STATUS_TOO_LARGE;
    if (!keep(&ctx->arena, key, &made.key, &made.key_bytes, &made.key_capacity))
        return STATUS_NO_MEMORY;
    made.started = key.count > 0;
    made.tree = cursor->tree;
    made.snapshot = cursor->snapshot;
    *cursor = made;
    return STATUS_OK;
}

enum status tree_cursor_open(struct context *ctx, struct tree *tree, unsigned flags,
                             struct bytes key, bool inclusive, struct tree_cursor *cursor)
{
    if (tree->closed)
        return STATUS_CLOSED;
    *cursor = (struct tree_cursor){.tree = tree};
    return cursor_open(ctx, flags, key, inclusive, cursor);
}

enum status snapshot_cursor_open(struct context *ctx, struct snapshot *snapshot, unsigned flags,
                                 struct bytes key, bool inclusive, struct tree_cursor *cursor)
{
    if (snapshot->epoch == 0)
        return STATUS_CLOSED;
    *cursor = (struct tree_cursor){.snapshot = snapshot};
    return cursor_open(ctx, flags, key, inclusive, cursor);
}

static uint64_t change_count(const struct tree_cursor *cursor)
{
    return cursor->snapshot != NULL ? 1 : cursor->tree->change;
}

/* The leaf that the cursor counts in, if it is where it was; NULL: walk from the root. */
static struct frame *same_leaf(const struct tree_cursor *cursor, struct frames *frames)
{
    if (cursor->leaf_number == 0 || cursor->leaf_change != change_count(cursor))
        return NULL;
    return frames_get(frames, (struct page_ref){cursor->leaf_number, cursor->leaf_epoch},
                      FRAME_BACKGROUND);
}

/* The separator that bounds the leaf of `path` on the side that the cursor goes to becomes
 * cursor->bound.  TREE_MISSING: its rest must be loaded. */
static enum tree_found find_bound(struct tree_cursor *cursor, struct forest *forest,
                                  const struct tree_path *path, struct page_ref *missing,
                                  bool *no_memory)
{
    bool backward = (cursor->flags & TREE_CURSOR_BACKWARD) != 0;
    cursor->bound_set = false;
    for (unsigned depth = path->height - 1; depth-- > 0;) {
        const uint8_t *page = path->at[depth].frame->page;
        unsigned index = path->at[depth].index + (backward ? 0 : 1);
        if (index == 0 || index == page_count(page))
            continue;
        struct page_cell cell;
        struct bytes key;
        page_cell_get(page, index, &cell);
        if (!tree_cell_key(forest, &cell, forest->scratch->key_a, &key)) {
            *missing = cell.key_rest;
            return frames_get(&forest->frames, cell.key_rest, FRAME_BACKGROUND) != NULL
                       ? TREE_DAMAGED
                       : TREE_MISSING;
        }
        if (!keep(&cursor->ctx->arena, key, &cursor->bound, &cursor->bound_bytes,
                  &cursor->bound_capacity)) {
            *no_memory = true;
            return TREE_FOUND;
        }
        cursor->bound_set = true;
        return TREE_FOUND;
    }
    return TREE_FOUND;
}

/* The missing leaf below path->at[depth], and some beside it in the cursor's direction: none for
 * the first leaf, which is all that most ranges need, then more with each leaf that was passed. */
static void read_ahead(const struct tree_cursor *cursor, const struct tree_reader *reader,
                       const struct tree_path *path, unsigned depth)
{
    struct frames *frames = &reader->forest->frames;
    const struct frame *parent = path->at[depth].frame;
    unsigned index = path->at[depth].index;
    bool backward = (cursor->flags & TREE_CURSOR_BACKWARD) != 0;
    unsigned ahead = MIN(cursor->leaves_ahead, frames->frames_max / 64);
    for (unsigned i = 0; i <= ahead; i++) {
        if (frames_load(frames, reader_tree_id(reader), page_child(parent->page, index),
                        reader->use) != STATUS_OK)
            break;
        if (backward ? index == 0 : index + 1 == page_count(parent->page))
            break;
        index = backward ? index - 1 : index + 1;
    }
}

/* Walk from the root to where the cursor goes on.  Sets leaf and next_slot; the slot may be beyond
 * the leaf's end. */
static enum tree_found seek(struct tree_cursor *cursor, struct tree_reader *reader,
                            struct page_ref *missing, bool *no_memory)
{
    bool backward = (cursor->flags & TREE_CURSOR_BACKWARD) != 0;
    struct tree_root root = reader_root(reader);
    struct bytes key = bytes_of(cursor->key, cursor->key_bytes);
    enum tree_find_mode mode = FIND_AT;
    if (!cursor->started)
        mode = backward ? FIND_LAST : FIND_FIRST;
    else if (backward && !cursor->inclusive)
        mode = FIND_BEFORE;
    struct tree_path path;
    enum tree_found found = tree_find(reader->forest, root, key, mode, reader->use, &path, missing);
    if (found != TREE_FOUND) {
        if (found == TREE_MISSING && path.height > 0 && path.height + 1 == root.height &&
            !reader->forest->in_memory)
            read_ahead(cursor, reader, &path, path.height - 1);
        return found;
    }
    found = find_bound(cursor, reader->forest, &path, missing, no_memory);
    if (found != TREE_FOUND)
        return found;
    const struct frame *leaf = path.at[path.height - 1].frame;
    unsigned index = path.at[path.height - 1].index;
    if (!backward && path.exact && !cursor->inclusive)
        index++;
    if (backward && path.exact && cursor->inclusive)
        index++; /* slots are counted from the end: next_slot - 1 is the next */
    cursor->leaf_number = leaf->ref.number;
    cursor->leaf_epoch = leaf->ref.epoch;
    cursor->leaf_change = change_count(cursor);
    cursor->next_slot = index;
    return TREE_FOUND;
}

/* Memory for a large value: of the arena, or the cursor's own that is used again. */
static enum status value_memory(struct tree_cursor *cursor, const struct page_cell *cell,
                                struct tree_reader_value *value)
{
    struct arena *arena = &cursor->ctx->arena;
    unsigned pages = page_overflow_layout(cell->value_bytes).pages;
    size_t refs_bytes = pages * sizeof(struct page_ref);
    if (value->to != NULL && value->bytes >= cell->value_bytes)
        return STATUS_OK;
    if ((cursor->flags & TREE_CURSOR_BACKGROUND) != 0) {
        size_t bytes = (cell->value_bytes + 7u) / 8 * 8 + refs_bytes;
        if (cursor->value_capacity < bytes) {
            size_t more = MAX(bytes, (size_t)cursor->value_capacity * 2);
            cursor->value = arena_alloc(arena, more);
            cursor->value_capacity = cursor->value != NULL ? (uint32_t)more : 0;
        }
        if (cursor->value == NULL)
            return STATUS_NO_MEMORY;
        *value = (struct tree_reader_value){.ref = (struct page_ref *)(void *)cursor->value,
                                            .to = cursor->value + refs_bytes};
        return STATUS_OK;
    }
    *value = (struct tree_reader_value){.ref = arena_alloc(arena, refs_bytes),
                                        .to = arena_alloc(arena, cell->value_bytes)};
    return value->ref != NULL && value->to != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

/* Step beyond the leaf: from its bound on.  False: there is none, the end. */
static bool pass_bound(struct tree_cursor *cursor)
{
    if (!cursor->bound_set)
        return false;
    uint8_t *key = cursor->key;
    uint32_t capacity = cursor->key_capacity;
    cursor->key = cursor->bound;
    cursor->key_bytes = cursor->bound_bytes;
    cursor->key_capacity = cursor->bound_capacity;
    cursor->bound = key;
    cursor->bound_capacity = capacity;
    cursor->bound_set = false;
    cursor->inclusive = (cursor->flags & TREE_CURSOR_BACKWARD) == 0;
    cursor->started = true;
    cursor->leaf_number = 0;
    cursor->leaves_ahead = MIN(2 * cursor->leaves_ahead + 1, CURSOR_LEAVES_AHEAD);
    return true;
}

/* What can be done without waiting: *status is the call's, unless a page is missing. */
static enum tree_found step(struct tree_cursor *cursor, struct tree_reader *reader,
                            struct tree_reader_value *value, struct bytes *key_found,
                            struct bytes *value_found, struct page_ref *missing,
                            enum status *status)
{
    struct forest *forest = reader->forest;
    bool backward = (cursor->flags & TREE_CURSOR_BACKWARD) != 0;
    bool no_memory = false;
    for (;;) {
        struct frame *leaf = same_leaf(cursor, &forest->frames);
        if (leaf == NULL) {
            *status = STATUS_END;
            if (reader_root(reader).height == 0)
                return TREE_FOUND;
            enum tree_found found = seek(cursor, reader, missing, &no_memory);
            if (found != TREE_FOUND)
                return found;
            *status = STATUS_NO_MEMORY;
            if (no_memory)
                return TREE_FOUND;
            continue;
        }
        if (backward ? cursor->next_slot == 0 : cursor->next_slot >= page_count(leaf->page)) {
            *status = STATUS_END;
            if (!pass_bound(cursor))
                return TREE_FOUND;
            continue;
        }
        unsigned index = backward ? cursor->next_slot - 1 : cursor->next_slot;
        struct page_cell cell;
        page_cell_get(leaf->page, index, &cell);
        bool keys_only = (cursor->flags & TREE_CURSOR_KEYS) != 0;
        *value_found = keys_only ? (struct bytes){0} : cell.value;
        if (cell.child.number != 0 && !keys_only) {
            *status = value_memory(cursor, &cell, value);
            if (*status != STATUS_OK)
                return TREE_FOUND;
            enum tree_found found = reader_copy_value(reader, &cell, value, missing);
            if (found != TREE_FOUND)
                return found;
            *value_found = bytes_of(value->to, value->bytes);
        }
        struct bytes key;
        if (!tree_cell_key(forest, &cell, forest->scratch->key_a, &key)) {
            *missing = cell.key_rest;
            return frames_get(&forest->frames, cell.key_rest, FRAME_BACKGROUND) != NULL
                       ? TREE_DAMAGED
                       : TREE_MISSING;
        }
        *status = STATUS_NO_MEMORY;
        if (!keep(&cursor->ctx->arena, key, &cursor->key, &cursor->key_bytes,
                  &cursor->key_capacity))
            return TREE_FOUND;
        cursor->started = true;
        cursor->inclusive = false;
        cursor->next_slot = backward ? index : index + 1;
        *key_found = bytes_of(cursor->key, cursor->key_bytes);
        *status = STATUS_OK;
        return TREE_FOUND;
    }
}

enum status tree_cursor_next(struct tree_cursor *cursor, struct bytes *key, struct bytes *value)
{
    struct tree_reader reader = cursor->snapshot != NULL
                                    ? reader_of_snapshot(cursor->ctx, cursor->snapshot)
                                    : reader_of_tree(cursor->ctx, cursor->tree);
    if ((cursor->flags & TREE_CURSOR_BACKGROUND) != 0)
        reader.use = FRAME_BACKGROUND;
    if (cursor->snapshot != NULL ? cursor->snapshot->epoch == 0 : cursor->tree->closed)
        return STATUS_CLOSED;
    struct tree_reader_value large = {0};
    enum status status = STATUS_OK;
    struct page_ref missing;
    for (;;) {
        enum tree_found found = step(cursor, &reader, &large, key, value, &missing, &status);
        if (found == TREE_FOUND)
            break;
        status = found == TREE_MISSING ? reader_bring(&reader, missing)
                                       : reader_damaged(&reader, missing);
        if (status != STATUS_OK)
            break;
    }
    reader_end(&reader);
    return status;
}
