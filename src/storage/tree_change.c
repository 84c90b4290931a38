/* tree_change.c - phase two of apply: one mutation, made without waiting and without failing.
 *
 * Pages on the path are first given names of the current epoch (change_own), so that the change
 * leads from the root down to where it happens.  A leaf that overflows shares with its neighbours
 * below the same parent when they have room, else they become one more page; so random insertion
 * fills leaves to more than four fifths.  At the tree's right edge a new leaf begins with the new
 * key alone, so that ascending insertion fills leaves wholly; and there each key of a batch is put
 * behind the one before it, without a walk.  Leaves that empty are merged with their neighbours.
 *
 * A parent that cannot take the new separators is split first, and the walk begins again; so each
 * step looks at one parent only.
 */
#include <string.h>

#include "base/assert.h"
#include "env/bugs.h"
#include "storage/forest_private.h"

#define SHARE_PERCENT  94u /* neighbours that are fuller than this on average become one more */
#define MERGE_PERCENT  85u /* fewer pages must not become fuller than this */
#define VALUE_REFS_MAX (TREE_VALUE_BYTES_MAX / (PAGE_OVERFLOW_BYTES - PAGE_REF_BYTES) + 1)

/* ---- Pages ---- */

static struct forest *plan_forest(const struct plan *plan)
{
    return plan->tree->forest;
}

static struct frame *take_frame(struct plan *plan)
{
    struct list *node = list_pop_front(&plan->frames);
    ASSERT(node != NULL);
    plan->frame_count--;
    return LIST_ITEM(node, struct frame, link);
}

static struct page_ref take_ref(struct plan *plan)
{
    ASSERT(plan->numbers > 0);
    struct forest *forest = plan_forest(plan);
    plan->numbers--;
    uint32_t number = space_take(&forest->space);
    frames_forget(&forest->frames, number);
    return (struct page_ref){.number = number, .epoch = forest->epoch};
}

static struct frame *make_page(struct plan *plan, enum page_kind kind, unsigned level)
{
    struct frame *frame = take_frame(plan);
    struct page_ref ref = take_ref(plan);
    page_init(frame->page, kind, level, plan->tree->tree_id, ref);
    frames_insert_dirty(&plan_forest(plan)->frames, frame, ref);
    return frame;
}

static void release_page(struct plan *plan, struct page_ref ref)
{
    struct forest *forest = plan_forest(plan);
    if (ref.number < PAGE_NUMBER_FIRST || ref.number >= forest->space.page_count ||
        space_is_free(&forest->space, ref.number)) {
        log_line(forest->env->log, LOG_ERROR, "storage",
                 "tree %llu refers to page %u, which is free",
                 (unsigned long long)plan->tree->tree_id, ref.number);
        forest->frames.corrupt_pages++;
        return;
    }
    if (!forest_keeps(forest, ref))
        frames_forget(&forest->frames, ref.number);
    space_give(&forest->space, ref.number, ref.epoch, forest->epoch);
}

struct frame *change_own(struct plan *plan, struct frame *frame)
{
    struct forest *forest = plan_forest(plan);
    struct page_ref old = frame->ref;
    if (old.epoch == forest->epoch)
        return frame;
    struct page_ref ref = take_ref(plan);
    uint32_t own_pins = frame->plan == plan ? 1 : 0;
    bool keeps = forest_keeps(forest, old);
    bool give_at_once = false;
    if (!frame_is_being_written(&forest->frames, frame) && frame->pins == own_pins && !keeps) {
        frames_rename_dirty(&forest->frames, frame, ref);
        give_at_once = BUG(forest->env, BUG_REUSE_PAGE_EARLY);
    } else {
        struct frame *copy = take_frame(plan);
        memcpy(copy->page, frame->page, PAGE_BYTES);
        frames_insert_dirty(&forest->frames, copy, ref);
        if (!keeps)
            frames_forget(&forest->frames, old.number);
        frame = copy;
    }
    page_rename(frame->page, ref);
    if (give_at_once)
        space_give_at_once(&forest->space, old.number);
    else
        space_give(&forest->space, old.number, old.epoch, forest->epoch);
    return frame;
}

/* Own the path down to `depth`. */
static void own_path(struct plan *plan, struct tree_path *path, unsigned depth)
{
    for (unsigned d = 0; d <= depth; d++) {
        struct frame *frame = change_own(plan, path->at[d].frame);
        path->at[d].frame = frame;
        if (d == 0)
            plan->tree->root.page = frame->ref;
        else
            page_set_child(path->at[d - 1].frame->page, path->at[d - 1].index, frame->ref);
    }
}

static struct page_ref make_rest(struct plan *plan, struct bytes key)
{
    if (key.count <= PAGE_KEY_BYTES_MAX)
        return (struct page_ref){0};
    struct frame *frame = make_page(plan, PAGE_OVERFLOW, 0);
    page_overflow_fill(frame->page, NULL, 0, bytes_after(key, PAGE_KEY_BYTES_MAX));
    return frame->ref;
}

static struct page_ref make_value(struct plan *plan, struct bytes value)
{
    struct page_ref refs[VALUE_REFS_MAX];
    struct page_overflow_layout layout = page_overflow_layout((uint32_t)value.count);
    ASSERT(layout.pages - 1 <= VALUE_REFS_MAX);
    struct frame *first = make_page(plan, PAGE_OVERFLOW, 0);
    struct bytes rest = bytes_after(value, layout.first_bytes);
    for (unsigned i = 0; i + 1 < layout.pages; i++) {
        struct frame *frame = make_page(plan, PAGE_OVERFLOW, 0);
        size_t bytes = MIN(rest.count, PAGE_OVERFLOW_BYTES);
        page_overflow_fill(frame->page, NULL, 0, bytes_of(rest.at, bytes));
        refs[i] = frame->ref;
        rest = bytes_after(rest, bytes);
    }
    page_overflow_fill(first->page, refs, layout.pages - 1, bytes_of(value.at, layout.first_bytes));
    return first->ref;
}

static void release_value(struct plan *plan, const struct page_cell *cell)
{
    if (cell->child.number == 0)
        return;
    if (page_overflow_layout(cell->value_bytes).pages > 1) {
        struct frame *first = frames_get(&plan_forest(plan)->frames, cell->child, FRAME_BACKGROUND);
        ASSERT(first != NULL);
        for (unsigned i = 0; i < page_overflow_refs(first->page); i++)
            release_page(plan, page_overflow_ref(first->page, i));
    }
    release_page(plan, cell->child);
}

static void release_rest(struct plan *plan, const struct page_cell *cell)
{
    if (cell->key_rest.number != 0)
        release_page(plan, cell->key_rest);
}

/* ---- Inner pages ---- */

static struct tree_scratch *scratch_of(const struct plan *plan)
{
    return plan_forest(plan)->scratch;
}

/* The root gets a parent, so that it can be split. */
static void grow_root(struct plan *plan)
{
    struct tree *tree = plan->tree;
    uint8_t cell[PAGE_SEPARATOR_BYTES_MAX];
    ASSERT(tree->root.height < TREE_HEIGHT_MAX);
    struct frame *frame = make_page(plan, PAGE_INNER, tree->root.height);
    unsigned bytes =
        page_inner_cell_put(cell, (struct bytes){0}, (struct page_ref){0}, tree->root.page);
    page_insert(frame->page, 0, bytes_of(cell, bytes), scratch_of(plan)->pages[0]);
    tree->root = (struct tree_root){.page = frame->ref, .height = tree->root.height + 1};
}

/* While the root is an inner page with one child, the child is the root. */
static void collapse_root(struct plan *plan)
{
    struct tree *tree = plan->tree;
    while (tree->root.height > 1) {
        struct frame *frame =
            frames_get(&plan_forest(plan)->frames, tree->root.page, FRAME_BACKGROUND);
        if (frame == NULL || page_count(frame->page) != 1)
            return;
        struct page_ref child = page_child(frame->page, 0);
        release_page(plan, tree->root.page);
        tree->root = (struct tree_root){.page = child, .height = tree->root.height - 1};
    }
}

/* Take the key away from cell 0 of an inner page: it now stands for what is below all. */
static void empty_first_key(struct plan *plan, uint8_t *page)
{
    struct page_cell cell;
    uint8_t bytes[PAGE_SEPARATOR_BYTES_MAX];
    page_cell_get(page, 0, &cell);
    release_rest(plan, &cell);
    unsigned count =
        page_inner_cell_put(bytes, (struct bytes){0}, (struct page_ref){0}, cell.child);
    page_remove(page, 0);
    page_insert(page, 0, bytes_of(bytes, count), scratch_of(plan)->pages[0]);
}

/* Where to cut an inner page: in the middle, or near the end when it grows there. */
static unsigned split_index(const uint8_t *page, bool at_end)
{
    unsigned count = page_count(page);
    unsigned target = page_used(page) * (at_end ? 9 : 5) / 10;
    unsigned used = 0;
    unsigned index = 0;
    while (index < count && used < target)
        used += (unsigned)page_cell_bytes(page, index++).count + PAGE_SLOT_BYTES;
    return index < 1 ? 1 : MIN(index, count - 1);
}

/* Cut the inner page at path->at[depth] (owned) in two, or what is above it when that must be cut
 * first.  The path is void after it. */
static void split_inner(struct plan *plan, struct tree_path *path, unsigned depth)
{
    if (depth == 0) {
        grow_root(plan);
        return;
    }
    struct tree_scratch *scratch = scratch_of(plan);
    uint8_t *page = path->at[depth].frame->page;
    uint8_t *parent = path->at[depth - 1].frame->page;
    unsigned count = page_count(page);
    ASSERT(count > 1);
    bool at_end = path->at[depth].index + 1 == count;
    unsigned cut = split_index(page, at_end);
    unsigned separator_bytes = (unsigned)page_cell_bytes(page, cut).count;
    if (page_free(parent) < separator_bytes + PAGE_SLOT_BYTES) {
        split_inner(plan, path, depth - 1);
        return;
    }
    struct frame *right = make_page(plan, PAGE_INNER, page_level(page));
    uint8_t *copy = scratch->pages[0];
    memcpy(copy, page, PAGE_BYTES);
    for (unsigned i = 0; i < count; i++)
        scratch->cells[i] = page_cell_bytes(copy, i);
    /* The separator goes up; its child is the right page's first, below an empty key. */
    struct page_cell separator;
    page_cell_get(copy, cut, &separator);
    uint8_t cell[PAGE_SEPARATOR_BYTES_MAX];
    unsigned bytes =
        page_inner_cell_put(cell, (struct bytes){0}, (struct page_ref){0}, separator.child);
    struct bytes moved = scratch->cells[cut];
    scratch->cells[cut] = bytes_of(cell, bytes);
    page_fill(right->page, scratch->cells + cut, count - cut);
    page_init(page, PAGE_INNER, page_level(copy), plan->tree->tree_id, path->at[depth].frame->ref);
    page_fill(page, scratch->cells, cut);
    uint8_t up[PAGE_SEPARATOR_BYTES_MAX];
    memcpy(up, moved.at, moved.count);
    page_ref_put(up + 2, right->ref);
    page_insert(parent, path->at[depth - 1].index + 1, bytes_of(up, moved.count),
                scratch->pages[1]);
}

/* Remove child `index` of the inner page at path->at[depth] (owned); the child's page is gone. */
static void remove_child(struct plan *plan, struct tree_path *path, unsigned depth, unsigned index)
{
    uint8_t *page = path->at[depth].frame->page;
    if (page_count(page) == 1) {
        REACHED("an inner page lost its last child");
        release_page(plan, path->at[depth].frame->ref);
        if (depth == 0)
            plan->tree->root = (struct tree_root){0};
        else
            remove_child(plan, path, depth - 1, path->at[depth - 1].index);
        return;
    }
    struct page_cell cell;
    page_cell_get(page, index, &cell);
    release_rest(plan, &cell);
    page_remove(page, index);
    if (index == 0)
        empty_first_key(plan, page);
}

/* Merge the inner page at path->at[depth] (owned, as are those above) with a neighbour that is in
 * memory, if it is low and they fit; and so on upwards. */
static void merge_inner(struct plan *plan, struct tree_path *path, unsigned depth)
{
    struct frames *frames = &plan_forest(plan)->frames;
    for (; depth > 0; depth--) {
        if (page_used(path->at[depth].frame->page) >= LEAF_LOW_BYTES)
            return;
        uint8_t *parent = path->at[depth - 1].frame->page;
        unsigned index = path->at[depth - 1].index;
        if (page_count(parent) == 1)
            continue;
        unsigned left_index = index > 0 ? index - 1 : 0;
        struct frame *left = frames_get(frames, page_child(parent, left_index), FRAME_BACKGROUND);
        struct frame *right =
            frames_get(frames, page_child(parent, left_index + 1), FRAME_BACKGROUND);
        if (left == NULL || right == NULL || page_level(left->page) != page_level(right->page) ||
            page_kind(left->page) != PAGE_INNER || page_kind(right->page) != PAGE_INNER)
            return;
        struct page_cell separator;
        uint8_t down[PAGE_SEPARATOR_BYTES_MAX];
        struct bytes cell = page_cell_bytes(parent, left_index + 1);
        if ((page_used(left->page) + page_used(right->page) + cell.count) * 100 >
            PAGE_NODE_BYTES * MERGE_PERCENT)
            return;
        REACHED("two inner pages are merged");
        memcpy(down, cell.at, cell.count);
        page_cell_parse(down, false, &separator);
        page_ref_put(down + 2, page_child(right->page, 0));
        left = change_own(plan, left);
        page_set_child(parent, left_index, left->ref);
        uint8_t *scratch = scratch_of(plan)->pages[0];
        page_insert(left->page, page_count(left->page), bytes_of(down, cell.count), scratch);
        for (unsigned i = 1; i < page_count(right->page); i++)
            page_insert(left->page, page_count(left->page), page_cell_bytes(right->page, i),
                        scratch);
        release_page(plan, right->ref);
        page_remove(parent, left_index + 1);
        path->at[depth - 1].index = left_index;
    }
}

/* ---- Leaves that share ---- */

static unsigned cells_bytes(const struct bytes *cells, unsigned count)
{
    unsigned bytes = 0;
    for (unsigned i = 0; i < count; i++)
        bytes += (unsigned)cells[i].count + PAGE_SLOT_BYTES;
    return bytes;
}

/* Divide cells over `pages` pages as evenly as they go: ends[i] is one beyond the last of page i.
 * False: they do not fit in that way. */
static bool divide(const struct bytes *cells, unsigned count, unsigned pages, unsigned *ends)
{
    unsigned left = cells_bytes(cells, count);
    unsigned at = 0;
    for (unsigned p = 0; p < pages; p++) {
        unsigned target = left / (pages - p);
        unsigned used = 0;
        while (at < count) {
            unsigned next = (unsigned)cells[at].count + PAGE_SLOT_BYTES;
            bool last = p + 1 == pages;
            if (used > 0 && !last && (used + next / 2 > target || count - at < pages - p))
                break;
            if (used + next > PAGE_NODE_BYTES) {
                if (last)
                    return false;
                break;
            }
            used += next;
            at++;
        }
        if (used == 0)
            return false;
        left -= used;
        ends[p] = at;
    }
    return at == count;
}

/* The shortest key above a and not above b. */
static struct bytes shortest_separator(struct bytes a, struct bytes b, uint8_t *to)
{
    size_t common = 0;
    while (common < a.count && a.at[common] == b.at[common])
        common++;
    ASSERT(common < b.count);
    memcpy(to, b.at, common + 1);
    return bytes_of(to, common + 1);
}

static struct bytes separator_between(struct plan *plan, struct bytes below, struct bytes above,
                                      uint8_t *to)
{
    struct forest *forest = plan_forest(plan);
    struct tree_scratch *scratch = forest->scratch;
    struct page_cell a;
    struct page_cell b;
    struct bytes key_a;
    struct bytes key_b;
    page_cell_parse(below.at, true, &a);
    page_cell_parse(above.at, true, &b);
    bool have = tree_cell_key(forest, &a, scratch->key_a, &key_a);
    ASSERT(have);
    have = tree_cell_key(forest, &b, scratch->key_b, &key_b);
    ASSERT(have);
    return shortest_separator(key_a, key_b, to);
}

static unsigned separator_bytes(struct bytes key)
{
    return 2 + PAGE_REF_BYTES + (key.count > PAGE_KEY_BYTES_MAX ? PAGE_REF_BYTES : 0) +
           (unsigned)MIN(key.count, PAGE_KEY_BYTES_MAX) + PAGE_SLOT_BYTES;
}

/* The group's cells, and `more` among them, are in scratch->cells: write them to `pages` leaves,
 * ending at ends[].  False: the parent was split, walk again. */
static bool rewrite_group(struct plan *plan, struct tree_path *path, const struct leaf_group *group,
                          unsigned pages, const unsigned *ends)
{
    struct tree_scratch *scratch = scratch_of(plan);
    unsigned depth = path->height - 2;
    uint8_t *parent = path->at[depth].frame->page;
    struct bytes separators[FOREST_GROUP_MAX];
    unsigned needed = 0;
    unsigned available = page_free(parent);
    for (unsigned i = 1; i < pages; i++) {
        separators[i - 1] =
            separator_between(plan, scratch->cells[ends[i - 1] - 1], scratch->cells[ends[i - 1]],
                              scratch->separators[i - 1]);
        needed += separator_bytes(separators[i - 1]);
    }
    for (unsigned i = 1; i < group->count; i++)
        available += (unsigned)page_cell_bytes(parent, group->first + i).count + PAGE_SLOT_BYTES;
    if (available < needed) {
        split_inner(plan, path, depth);
        return false;
    }
    /* Forget the old pages but the first, whose separator stays as it is. */
    struct frame *frames[FOREST_GROUP_MAX + 1] = {0};
    for (unsigned i = 0; i < group->count && i < pages; i++)
        frames[i] = change_own(plan, group->frames[i]);
    for (unsigned i = pages; i < group->count; i++)
        release_page(plan, group->frames[i]->ref);
    page_set_child(parent, group->first, frames[0]->ref);
    for (unsigned i = group->count; i-- > 1;) {
        struct page_cell old;
        page_cell_get(parent, group->first + i, &old);
        release_rest(plan, &old);
        page_remove(parent, group->first + i);
    }
    for (unsigned i = 0; i < pages; i++) {
        if (frames[i] == NULL)
            frames[i] = make_page(plan, PAGE_LEAF, 0);
        else
            page_init(frames[i]->page, PAGE_LEAF, 0, plan->tree->tree_id, frames[i]->ref);
        unsigned from = i > 0 ? ends[i - 1] : 0;
        page_fill(frames[i]->page, scratch->cells + from, ends[i] - from);
        if (i == 0)
            continue;
        uint8_t cell[PAGE_SEPARATOR_BYTES_MAX];
        struct bytes key = separators[i - 1];
        unsigned bytes = page_inner_cell_put(cell, key, make_rest(plan, key), frames[i]->ref);
        page_insert(parent, group->first + i, bytes_of(cell, bytes), scratch->pages[0]);
    }
    return true;
}

/* Copy the group's pages to the scratch, and list their cells, with `cell` (or none) inserted in
 * the path's leaf at the path's index.  Returns how many. */
static unsigned gather(struct plan *plan, const struct tree_path *path,
                       const struct leaf_group *group, struct bytes cell)
{
    struct tree_scratch *scratch = scratch_of(plan);
    const struct frame *leaf = path->at[path->height - 1].frame;
    unsigned index = path->at[path->height - 1].index;
    unsigned count = 0;
    for (unsigned g = 0; g < group->count; g++) {
        uint8_t *copy = scratch->pages[g + 1]; /* page 0 is page_insert's */
        memcpy(copy, group->frames[g]->page, PAGE_BYTES);
        for (unsigned i = 0; i < page_count(copy); i++) {
            if (group->frames[g] == leaf && i == index && cell.count > 0)
                scratch->cells[count++] = cell;
            scratch->cells[count++] = page_cell_bytes(copy, i);
        }
        if (group->frames[g] == leaf && index == page_count(copy) && cell.count > 0)
            scratch->cells[count++] = cell;
    }
    return count;
}

/* Begin a leaf with `cell`, behind the path's, which ends the tree.  False: walk again. */
static bool append_leaf(struct plan *plan, struct tree_path *path, struct bytes cell)
{
    struct tree_scratch *scratch = scratch_of(plan);
    unsigned depth = path->height - 2;
    uint8_t *parent = path->at[depth].frame->page;
    const uint8_t *last = path->at[depth + 1].frame->page;
    struct bytes key = separator_between(plan, page_cell_bytes(last, page_count(last) - 1), cell,
                                         scratch->separators[0]);
    if (page_free(parent) < separator_bytes(key)) {
        split_inner(plan, path, depth);
        return false;
    }
    struct frame *leaf = make_page(plan, PAGE_LEAF, 0);
    page_fill(leaf->page, &cell, 1);
    uint8_t up[PAGE_SEPARATOR_BYTES_MAX];
    unsigned bytes = page_inner_cell_put(up, key, make_rest(plan, key), leaf->ref);
    page_insert(parent, page_count(parent), bytes_of(up, bytes), scratch->pages[0]);
    return true;
}

/* Insert `cell` where the path's leaf has no room for it.  False: walk again. */
static bool insert_and_share(struct plan *plan, struct tree_path *path, struct bytes cell)
{
    if (path->height == 1) {
        grow_root(plan);
        return false;
    }
    struct tree_scratch *scratch = scratch_of(plan);
    struct leaf_group group;
    struct page_ref missing;
    unsigned ends[FOREST_GROUP_MAX + 1];
    if (change_is_right_edge(path) && page_count(path->at[path->height - 1].frame->page) > 0)
        return append_leaf(plan, path, cell);
    enum tree_found found = change_find_group(plan_forest(plan), path, true, &group, &missing);
    ASSERT(found == TREE_FOUND);
    unsigned count = gather(plan, path, &group, cell);
    unsigned pages = group.count;
    if (pages == 1 ||
        cells_bytes(scratch->cells, count) * 100 > pages * PAGE_NODE_BYTES * SHARE_PERCENT)
        pages++;
    if (divide(scratch->cells, count, pages, ends))
        return rewrite_group(plan, path, &group, pages, ends);
    REACHED("large cells do not divide over the neighbours: the leaf alone is cut");
    found = change_find_group(plan_forest(plan), path, false, &group, &missing);
    ASSERT(found == TREE_FOUND);
    count = gather(plan, path, &group, cell);
    bool fits = divide(scratch->cells, count, 2, ends);
    ASSERT(fits);
    return rewrite_group(plan, path, &group, 2, ends);
}

/* The path's leaf (owned) has become low: give its cells to its neighbours when they have room. */
static void merge_leaf(struct plan *plan, struct tree_path *path)
{
    struct tree_scratch *scratch = scratch_of(plan);
    struct leaf_group group;
    struct page_ref missing;
    unsigned ends[FOREST_GROUP_MAX + 1];
    if (change_find_group(plan_forest(plan), path, true, &group, &missing) != TREE_FOUND ||
        group.count == 1)
        return;
    unsigned count = gather(plan, path, &group, (struct bytes){0});
    unsigned pages = group.count - 1;
    if (cells_bytes(scratch->cells, count) * 100 > pages * PAGE_NODE_BYTES * MERGE_PERCENT ||
        !divide(scratch->cells, count, pages, ends))
        return;
    if (rewrite_group(plan, path, &group, pages, ends))
        merge_inner(plan, path, path->height - 2);
    else
        REACHED("merging leaves split their parent");
}

/* ---- The mutations ---- */

static void walk(struct plan *plan, struct bytes key, struct tree_path *path)
{
    struct page_ref missing;
    enum tree_found found = tree_find(plan_forest(plan), plan->tree->root, key, FIND_AT,
                                      FRAME_FOREGROUND, path, &missing);
    ASSERT(found == TREE_FOUND);
    own_path(plan, path, path->height - 1);
}

/* To where the mutation happens, on pages that may be changed. */
static void walk_finger(struct plan *plan, struct bytes key, struct tree_finger *finger)
{
    if (finger->key.count > 0)
        own_path(plan, &finger->path, finger->path.height - 1);
    else
        walk(plan, key, &finger->path);
    finger->key = key;
}

static void make_put(struct plan *plan, struct bytes key, struct bytes value,
                     struct tree_finger *finger)
{
    struct tree_path *path = &finger->path;
    struct tree *tree = plan->tree;
    struct tree_scratch *scratch = scratch_of(plan);
    struct page_ref rest = {0};
    struct page_ref value_out = {0};
    if (tree->root.height == 0) {
        struct frame *leaf = make_page(plan, PAGE_LEAF, 0);
        tree->root = (struct tree_root){.page = leaf->ref, .height = 1};
    }
    walk_finger(plan, key, finger);
    uint8_t *leaf = path->at[path->height - 1].frame->page;
    bool was = path->exact;
    if (was) {
        struct page_cell old;
        page_cell_get(leaf, path->at[path->height - 1].index, &old);
        tree->bytes -= old.value_bytes;
        rest = old.key_rest;
        release_value(plan, &old);
    } else {
        tree->items++;
        tree->bytes += key.count;
        rest = make_rest(plan, key);
    }
    tree->bytes += value.count;
    if (value.count > TREE_INLINE_VALUE_BYTES_MAX)
        value_out = make_value(plan, value);
    uint8_t cell[PAGE_CELL_BYTES_MAX];
    unsigned bytes = page_leaf_cell_put(cell, key, rest, value, value_out);
    if (was && page_overwrite(leaf, path->at[path->height - 1].index, bytes_of(cell, bytes)))
        return;
    if (was)
        page_remove(leaf, path->at[path->height - 1].index);
    for (;;) {
        leaf = path->at[path->height - 1].frame->page;
        if (page_free(leaf) >= bytes + PAGE_SLOT_BYTES) {
            if (!path->exact && change_is_right_edge(path)) {
                plan->edge_key = key;
                plan->edge_leaf = path->at[path->height - 1].frame;
            }
            page_insert(leaf, path->at[path->height - 1].index, bytes_of(cell, bytes),
                        scratch->pages[0]);
            return;
        }
        finger->key = (struct bytes){0};
        if (insert_and_share(plan, path, bytes_of(cell, bytes)))
            return;
        walk(plan, key, path);
    }
}

bool change_make_at_edge(struct plan *plan, const struct tree_mutation *mutation)
{
    struct tree *tree = plan->tree;
    uint8_t cell[PAGE_CELL_BYTES_MAX];
    if (!change_is_at_edge(plan, mutation))
        return false;
    uint8_t *leaf = plan->edge_leaf->page;
    if (page_free(leaf) < change_put_bytes(mutation))
        return false;
    unsigned bytes = page_leaf_cell_put(cell, mutation->key, (struct page_ref){0}, mutation->value,
                                        (struct page_ref){0});
    page_insert(leaf, page_count(leaf), bytes_of(cell, bytes), scratch_of(plan)->pages[0]);
    plan->edge_key = mutation->key;
    tree->items++;
    tree->bytes += mutation->key.count + mutation->value.count;
    tree->change++;
    return true;
}

/* The path's leaf has become empty. */
static void remove_leaf(struct plan *plan, struct tree_path *path)
{
    release_page(plan, path->at[path->height - 1].frame->ref);
    if (path->height == 1)
        plan->tree->root = (struct tree_root){0};
    else
        remove_child(plan, path, path->height - 2, path->at[path->height - 2].index);
    collapse_root(plan);
}

static void make_delete(struct plan *plan, struct bytes key)
{
    struct tree *tree = plan->tree;
    struct tree_path path;
    struct page_ref missing;
    if (tree->root.height == 0 ||
        tree_find(tree->forest, tree->root, key, FIND_AT, FRAME_FOREGROUND, &path, &missing) !=
            TREE_FOUND ||
        !path.exact)
        return;
    own_path(plan, &path, path.height - 1);
    uint8_t *leaf = path.at[path.height - 1].frame->page;
    struct page_cell cell;
    page_cell_get(leaf, path.at[path.height - 1].index, &cell);
    tree->items--;
    tree->bytes -= cell.key_bytes + cell.value_bytes;
    release_value(plan, &cell);
    release_rest(plan, &cell);
    page_remove(leaf, path.at[path.height - 1].index);
    if (page_count(leaf) == 0) {
        remove_leaf(plan, &path);
    } else if (path.height > 1 && page_used(leaf) < LEAF_LOW_BYTES) {
        merge_leaf(plan, &path);
        collapse_root(plan);
    }
}

/* Remove the first leaf of a dropped tree, whatever it holds. */
static void make_trim(struct plan *plan)
{
    struct tree *tree = plan->tree;
    struct tree_path path;
    struct page_ref missing;
    enum tree_found found = tree_find(tree->forest, tree->root, (struct bytes){0}, FIND_FIRST,
                                      FRAME_BACKGROUND, &path, &missing);
    ASSERT(found == TREE_FOUND);
    if (path.height > 1)
        own_path(plan, &path, path.height - 2);
    remove_leaf(plan, &path);
}

void change_make(struct plan *plan, const struct tree_mutation *mutation,
                 struct tree_finger *finger)
{
    plan->edge_key = (struct bytes){0};
    switch ((int)mutation->kind) {
    case TREE_PUT:
        make_put(plan, mutation->key, mutation->value, finger);
        break;
    case TREE_DELETE:
        finger->key = (struct bytes){0};
        make_delete(plan, mutation->key);
        break;
    case TREE_MOVE_PATH:
        walk_finger(plan, mutation->key, finger);
        break;
    default:
        finger->key = (struct bytes){0};
        make_trim(plan);
        break;
    }
    plan->tree->change++;
}
