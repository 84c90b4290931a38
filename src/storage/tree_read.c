/* tree_read.c - walking down a tree, and point reads. */
#include <string.h>

#include "base/assert.h"
#include "storage/forest_private.h"

#define VALUE_PAGES_AHEAD 16u /* of a large value, read at the same time */
#define PREFETCH_STEP                                                                              \
    32u /* keys at a time, so that what comes first is not displaced by the last */

/* ---- Walking ---- */

static const uint8_t *find_rest(void *owner, struct page_ref ref, uint32_t *bytes)
{
    struct forest *forest = owner;
    struct frame *frame = frames_get(&forest->frames, ref, FRAME_FOREGROUND);
    if (frame == NULL || page_kind(frame->page) != PAGE_OVERFLOW)
        return NULL;
    struct bytes data = page_overflow_data(frame->page);
    *bytes = (uint32_t)data.count;
    return data.at;
}

struct page_rests forest_rests(struct forest *forest)
{
    return (struct page_rests){.find = find_rest, .owner = forest};
}

bool tree_cell_key(struct forest *forest, const struct page_cell *cell, uint8_t *to,
                   struct bytes *key)
{
    if (cell->key.count == cell->key_bytes) {
        *key = cell->key;
        return true;
    }
    uint32_t bytes;
    const uint8_t *rest = find_rest(forest, cell->key_rest, &bytes);
    if (rest == NULL || bytes != cell->key_bytes - cell->key.count)
        return false;
    memcpy(to, cell->key.at, cell->key.count);
    memcpy(to + cell->key.count, rest, bytes);
    *key = bytes_of(to, cell->key_bytes);
    return true;
}

/* A missing rest that is in a frame is not a rest. */
static enum tree_found missing_or_damaged(struct forest *forest, struct page_ref ref)
{
    return frames_get(&forest->frames, ref, FRAME_BACKGROUND) != NULL ? TREE_DAMAGED : TREE_MISSING;
}

enum tree_found tree_find(struct forest *forest, struct tree_root root, struct bytes key,
                          enum tree_find_mode mode, enum frame_use use, struct tree_path *path,
                          struct page_ref *missing)
{
    struct page_rests rests = forest_rests(forest);
    struct page_ref ref = root.page;
    path->exact = false;
    for (unsigned depth = 0;; depth++) {
        path->height = depth;
        const struct frames_slot *slot = frames_get_slot(&forest->frames, ref, use);
        *missing = ref;
        if (UNLIKELY(slot == NULL))
            return TREE_MISSING;
        unsigned level = root.height - 1 - depth;
        const uint8_t *page = slot->page;
        page_prefetch(page);
        if (UNLIKELY(slot->kind != (level == 0 ? PAGE_LEAF : PAGE_INNER) ||
                     page_level(page) != level))
            return TREE_DAMAGED;
        unsigned index;
        bool exact = false;
        if (mode == FIND_FIRST)
            index = 0;
        else if (mode == FIND_LAST)
            index = level == 0 ? page_count(page) : page_count(page) - 1;
        else if (UNLIKELY(!page_find(page, key, &rests, &index, &exact, missing)))
            return missing_or_damaged(forest, *missing);
        else if (level > 0 && !(exact && mode == FIND_AT))
            index--;
        path->at[depth].frame = slot->frame;
        path->at[depth].page = page;
        path->at[depth].index = index;
        if (level == 0) {
            path->height = root.height;
            path->exact = exact;
            return TREE_FOUND;
        }
        ref = page_child(page, index);
    }
}

/* ---- Reading operations ---- */

struct tree_reader reader_of_tree(struct context *ctx, struct tree *tree)
{
    return (struct tree_reader){.ctx = ctx, .forest = tree->forest, .tree = tree};
}

struct tree_reader reader_of_snapshot(struct context *ctx, struct snapshot *snapshot)
{
    return (struct tree_reader){.ctx = ctx, .forest = snapshot->forest, .snapshot = snapshot};
}

uint64_t reader_tree_id(const struct tree_reader *reader)
{
    return reader->snapshot != NULL ? reader->snapshot->tree_id : reader->tree->tree_id;
}

static bool reader_is_closed(const struct tree_reader *reader)
{
    return reader->snapshot != NULL ? reader->snapshot->epoch == 0
                                    : reader->tree->closed && !reader->tree->reaped;
}

void reader_end(struct tree_reader *reader)
{
    if (reader->held != NULL)
        frames_unpin(&reader->forest->frames, reader->held);
    reader->held = NULL;
}

enum status reader_damaged(struct tree_reader *reader, struct page_ref ref)
{
    struct forest *forest = reader->forest;
    const struct frames *frames = &forest->frames;
    forest->frames.corrupt_pages++;
    if (page_ref_equal(forest->reported, ref))
        return STATUS_CORRUPT;
    forest->reported = ref;
    struct page_ref found = page_ref_equal(frames->bad, ref) ? frames->bad_found : ref;
    log_line(forest->env->log, LOG_ERROR, "storage",
             "page %u of tree %llu is corrupt: expected epoch %llu, found page %u of epoch %llu",
             ref.number, (unsigned long long)reader_tree_id(reader), (unsigned long long)ref.epoch,
             found.number, (unsigned long long)found.epoch);
    return STATUS_CORRUPT;
}

enum status reader_bring(struct tree_reader *reader, struct page_ref missing)
{
    struct forest *forest = reader->forest;
    reader_end(reader);
    if (++reader->steps > TREE_STEPS_MAX)
        return STATUS_BUSY;
    if (reader->tree != NULL)
        reader->tree->users++;
    enum status status = frames_fetch(reader->ctx, &forest->frames, reader_tree_id(reader), missing,
                                      reader->use, &reader->held);
    if (reader->tree != NULL && --reader->tree->users == 0 && reader->tree->closed)
        reaper_wake(forest);
    if (reader_is_closed(reader)) {
        reader_end(reader);
        return STATUS_CLOSED;
    }
    if (status != STATUS_CORRUPT && status != STATUS_VERSION)
        return status;
    /* While it was read the tree may have let it go.  If the tree still refers to it, it is bad. */
    if (!page_ref_equal(reader->failed, missing)) {
        reader->failed = missing;
        return STATUS_OK;
    }
    return status == STATUS_VERSION ? status : reader_damaged(reader, missing);
}

/* ---- Large values ---- */

static void read_ahead(struct tree_reader *reader, const struct tree_reader_value *value)
{
    struct frames *frames = &reader->forest->frames;
    unsigned ahead = MIN(VALUE_PAGES_AHEAD, frames->frames_max / 16);
    if (reader->use == FRAME_BACKGROUND)
        ahead = MIN(ahead, frames->background_max / 4);
    unsigned end = MIN(value->refs, value->next + ahead);
    for (unsigned i = value->next + 1; i < end; i++) {
        if (frames_load(frames, reader_tree_id(reader), value->ref[i], reader->use) != STATUS_OK)
            break;
    }
}

enum tree_found reader_copy_value(struct tree_reader *reader, const struct page_cell *cell,
                                  struct tree_reader_value *value, struct page_ref *missing)
{
    struct frames *frames = &reader->forest->frames;
    if (!page_ref_equal(value->first, cell->child)) { /* the value is another one by now */
        value->first = cell->child;
        value->bytes = cell->value_bytes;
        value->done = value->next = value->refs = 0;
    }
    while (value->done < value->bytes) {
        bool first = value->done == 0;
        *missing = first ? value->first : value->ref[value->next];
        struct frame *frame = frames_get(frames, *missing, reader->use);
        if (frame == NULL) {
            if (!first && !reader->forest->in_memory)
                read_ahead(reader, value);
            return TREE_MISSING;
        }
        if (page_kind(frame->page) != PAGE_OVERFLOW)
            return TREE_DAMAGED;
        struct bytes data = page_overflow_data(frame->page);
        unsigned refs = page_overflow_refs(frame->page);
        struct page_overflow_layout layout = page_overflow_layout(value->bytes);
        unsigned expected =
            first ? layout.first_bytes : MIN(PAGE_OVERFLOW_BYTES, value->bytes - value->done);
        if (data.count != expected || refs != (first ? layout.pages - 1 : 0))
            return TREE_DAMAGED;
        memcpy(value->to + value->done, data.at, data.count);
        value->done += (uint32_t)data.count;
        if (first) {
            value->refs = refs;
            for (unsigned i = 0; i < refs; i++)
                value->ref[i] = page_overflow_ref(frame->page, i);
        } else {
            value->next++;
        }
    }
    return TREE_FOUND;
}

/* Memory for the value of `cell`, once per size. */
static enum status value_memory(struct arena *arena, const struct page_cell *cell,
                                struct tree_reader_value *value)
{
    if (value->to != NULL && value->bytes >= cell->value_bytes)
        return STATUS_OK;
    unsigned refs = page_overflow_layout(cell->value_bytes).pages;
    *value =
        (struct tree_reader_value){.ref = arena_alloc_array(arena, refs, sizeof(struct page_ref)),
                                   .to = arena_alloc(arena, cell->value_bytes)};
    return value->ref != NULL && value->to != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

/* ---- Point reads ---- */

/* Is the key in this leaf for certain: between its first and its last? */
static bool is_within(const uint8_t *leaf, struct bytes key)
{
    struct page_cell first, last;
    if (page_count(leaf) == 0)
        return false;
    page_cell_get(leaf, 0, &first);
    page_cell_get(leaf, page_count(leaf) - 1, &last);
    return first.key_rest.number == 0 && last.key_rest.number == 0 &&
           bytes_compare(key, first.key) >= 0 && bytes_compare(key, last.key) <= 0;
}

/* Find the key in the leaf at `place`, if it is there for certain.  The path has the leaf only. */
static bool find_at_place(struct tree_reader *reader, struct bytes key,
                          const struct tree_place *place, struct tree_path *path)
{
    struct forest *forest = reader->forest;
    struct page_ref ref = {.number = place->number, .epoch = place->epoch}, missing;
    struct page_rests rests = forest_rests(forest);
    if (place->number == 0 || place->change != reader->tree->change)
        return false;
    const struct frames_slot *slot = frames_get_slot(&forest->frames, ref, reader->use);
    if (slot == NULL || slot->kind != PAGE_LEAF)
        return false;
    path->height = 1;
    path->at[0].frame = slot->frame;
    path->at[0].page = slot->page;
    path->at[0].index = place->next_index;
    path->exact = page_has_key(slot->page, place->next_index, key);
    return path->exact ||
           (is_within(slot->page, key) &&
            page_find(slot->page, key, &rests, &path->at[0].index, &path->exact, &missing));
}

/* Walk to the key, and note where that was; `place` may be NULL. */
static enum tree_found find_near(struct tree_reader *reader, struct tree_root root,
                                 struct bytes key, struct tree_place *place, struct tree_path *path,
                                 struct page_ref *missing)
{
    enum tree_found found = TREE_FOUND;
    if (place == NULL || !find_at_place(reader, key, place, path))
        found = tree_find(reader->forest, root, key, FIND_AT, reader->use, path, missing);
    if (place != NULL && found == TREE_FOUND) {
        struct page_ref leaf = path->at[path->height - 1].frame->ref;
        unsigned next = path->at[path->height - 1].index + (path->exact ? 1 : 0);
        *place = (struct tree_place){leaf.number, next, leaf.epoch, reader->tree->change};
    }
    return found;
}

static enum status get(struct tree_reader *reader, struct bytes key, struct tree_place *place,
                       struct bytes *found)
{
    struct tree_reader_value value = {0};
    enum status status = STATUS_OK;
    while (status == STATUS_OK) {
        struct tree_root root = reader_root(reader);
        struct tree_path path;
        struct page_ref missing;
        if (root.height == 0) {
            status = STATUS_NOT_FOUND;
            break;
        }
        enum tree_found at = find_near(reader, root, key, place, &path, &missing);
        if (LIKELY(at == TREE_FOUND)) {
            if (!path.exact) {
                status = STATUS_NOT_FOUND;
                break;
            }
            struct page_cell cell;
            page_cell_get(path.at[path.height - 1].page, path.at[path.height - 1].index, &cell);
            if (LIKELY(cell.child.number == 0)) {
                *found = cell.value;
                break;
            }
            status = value_memory(&reader->ctx->arena, &cell, &value);
            if (status != STATUS_OK)
                break;
            at = reader_copy_value(reader, &cell, &value, &missing);
            if (at == TREE_FOUND) {
                *found = bytes_of(value.to, value.bytes);
                break;
            }
        }
        status =
            at == TREE_MISSING ? reader_bring(reader, missing) : reader_damaged(reader, missing);
    }
    reader_end(reader);
    return status;
}

enum status tree_get(struct context *ctx, struct tree *tree, struct bytes key, struct bytes *value)
{
    struct tree_reader reader = reader_of_tree(ctx, tree);
    return tree->closed ? STATUS_CLOSED : get(&reader, key, NULL, value);
}

enum status tree_get_near(struct context *ctx, struct tree *tree, struct bytes key,
                          struct tree_place *place, struct bytes *value)
{
    struct tree_reader reader = reader_of_tree(ctx, tree);
    return tree->closed ? STATUS_CLOSED : get(&reader, key, place, value);
}

enum status snapshot_get(struct context *ctx, struct snapshot *snapshot, struct bytes key,
                         struct bytes *value)
{
    struct tree_reader reader = reader_of_snapshot(ctx, snapshot);
    return snapshot->epoch == 0 ? STATUS_CLOSED : get(&reader, key, NULL, value);
}

void tree_prefetch(struct tree *tree, struct bytes key)
{
    struct forest *forest = tree->forest;
    struct tree_path path;
    struct page_ref missing;
    if (tree->closed || tree->root.height == 0 ||
        tree_find(forest, tree->root, key, FIND_AT, FRAME_FOREGROUND, &path, &missing) !=
            TREE_MISSING)
        return;
    if (frames_load(&forest->frames, tree->tree_id, missing, FRAME_FOREGROUND) != STATUS_OK)
        REACHED("a prefetch found no frame or no room in the lane");
}

/* The leaf that has or would have `key`, if the way to it is in frames; its first lines are on
 * their way to the processor, and nothing of it was looked at. */
static const uint8_t *prefetch_leaf(const struct tree_point *point)
{
    struct forest *forest = point->tree->forest;
    struct tree_root root = point->tree->root;
    struct page_rests rests = forest_rests(forest);
    struct page_ref ref = root.page;
    for (unsigned level = root.height - 1;; level--) {
        const struct frames_slot *slot = frames_get_slot(&forest->frames, ref, FRAME_FOREGROUND);
        if (slot == NULL || slot->kind != (level == 0 ? PAGE_LEAF : PAGE_INNER))
            return NULL;
        page_prefetch(slot->page);
        if (level == 0)
            return slot->page;
        unsigned index;
        bool exact;
        struct page_ref missing;
        if (page_level(slot->page) != level ||
            !page_find(slot->page, point->key, &rests, &index, &exact, &missing))
            return NULL;
        ref = page_child(slot->page, exact ? index : index - 1);
    }
}

/* The value of `key`, whose leaf and keys have been fetched. */
static void prefetch_value(const struct tree_point *point, const uint8_t *leaf)
{
    struct page_rests rests = forest_rests(point->tree->forest);
    struct page_ref missing;
    unsigned index;
    bool exact;
    if (page_level(leaf) == 0 && page_find(leaf, point->key, &rests, &index, &exact, &missing) &&
        exact)
        page_prefetch_value(leaf, index);
}

/* A step for all keys, then the next: while the memory of one is on its way, so is that of the
 * others.  One after the other each would wait for its leaf, its key and its value. */
void tree_prefetch_many(const struct tree_point *points, uint32_t count)
{
    const uint8_t *leaves[PREFETCH_STEP];
    for (uint32_t step; count > 0; points += step, count -= step) {
        step = MIN(count, PREFETCH_STEP);
        for (uint32_t i = 0; i < step; i++) {
            struct tree *tree = points[i].tree;
            bool any = tree != NULL && !tree->closed && tree->root.height > 0;
            leaves[i] = any ? prefetch_leaf(&points[i]) : NULL;
            if (any && leaves[i] == NULL)
                tree_prefetch(tree, points[i].key);
        }
        for (uint32_t i = 0; i < step; i++)
            if (leaves[i] != NULL)
                page_prefetch_keys(leaves[i], points[i].key);
        for (uint32_t i = 0; i < step; i++)
            if (leaves[i] != NULL)
                prefetch_value(&points[i], leaves[i]);
    }
}
