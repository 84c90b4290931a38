/* tree_ready.c - is what one mutation looks at and changes in frames?  It is pinned there, so that
 * the mutation (tree_change.c) is then made without waiting. */
#include "base/assert.h"
#include "storage/forest_private.h"

/* ---- Where it is ---- */

enum tree_found change_find_group(struct forest *forest, const struct tree_path *path,
                                  bool neighbours, struct leaf_group *group,
                                  struct page_ref *missing)
{
    unsigned depth = path->height - 2;
    const uint8_t *parent = path->at[depth].frame->page;
    unsigned index = path->at[depth].index;
    unsigned first = neighbours && index > 0 ? index - 1 : index;
    unsigned last = neighbours && index + 1 < page_count(parent) ? index + 1 : index;
    *group = (struct leaf_group){.first = first, .count = last - first + 1};
    for (unsigned i = first; i <= last; i++) {
        *missing = page_child(parent, i);
        struct frame *frame = frames_get(&forest->frames, *missing, FRAME_FOREGROUND);
        if (frame == NULL)
            return TREE_MISSING;
        if (page_kind(frame->page) != PAGE_LEAF)
            return TREE_DAMAGED;
        group->frames[i - first] = frame;
    }
    return TREE_FOUND;
}

bool change_is_right_edge(const struct tree_path *path)
{
    const struct frame *leaf = path->at[path->height - 1].frame;
    if (path->at[path->height - 1].index != page_count(leaf->page))
        return false;
    for (unsigned depth = 0; depth + 1 < path->height; depth++) {
        if (path->at[depth].index + 1 != page_count(path->at[depth].frame->page))
            return false;
    }
    return true;
}

unsigned change_put_bytes(const struct tree_mutation *mutation)
{
    bool out = mutation->value.count > TREE_INLINE_VALUE_BYTES_MAX;
    bool rest = mutation->key.count > PAGE_KEY_BYTES_MAX;
    return (unsigned)(PAGE_SLOT_BYTES + 2 + (out ? 4 + PAGE_REF_BYTES : 2 + mutation->value.count) +
                      (rest ? PAGE_REF_BYTES : 0) + MIN(mutation->key.count, PAGE_KEY_BYTES_MAX));
}

bool change_is_at_edge(const struct plan *plan, const struct tree_mutation *mutation)
{
    return plan->edge_key.count > 0 && mutation->kind == TREE_PUT &&
           mutation->key.count <= PAGE_KEY_BYTES_MAX &&
           mutation->value.count <= TREE_INLINE_VALUE_BYTES_MAX &&
           bytes_compare(mutation->key, plan->edge_key) > 0;
}

/* ---- What it needs ---- */

/* A node, and the rests of its long keys: a cell with a rest has PAGE_KEY_BYTES_MAX bytes of its
 * key in the page, and cells do not overlap (page_check). */
#define NODE_PINS_MAX (1 + PAGE_NODE_BYTES / PAGE_KEY_BYTES_MAX)

/* What one mutation needs: the nodes of its path and the leaves that share, with their rests, and
 * the first page of the value that was there. */
struct needs {
    struct frame *pins[(TREE_HEIGHT_MAX + FOREST_GROUP_MAX) * NODE_PINS_MAX + 1];
    unsigned pin_count;
    uint32_t pages_new, pages_freed;
};

static void need(struct needs *needs, struct frame *frame)
{
    ASSERT(needs->pin_count < ARRAY_COUNT(needs->pins));
    needs->pins[needs->pin_count++] = frame;
}

/* The rests of the long keys of a node must be there: separators are made of them, and a walk after
 * an inner page was cut compares with others than the walk before. */
static enum tree_found need_rests(struct forest *forest, const struct frame *node,
                                  struct needs *needs, struct page_ref *missing)
{
    for (unsigned i = 0; i < page_count(node->page); i++) {
        struct page_cell cell;
        page_cell_get(node->page, i, &cell);
        if (cell.key_rest.number == 0)
            continue;
        *missing = cell.key_rest;
        struct frame *rest = frames_get(&forest->frames, cell.key_rest, FRAME_FOREGROUND);
        if (rest == NULL)
            return TREE_MISSING;
        if (page_kind(rest->page) != PAGE_OVERFLOW ||
            page_overflow_data(rest->page).count != cell.key_bytes - cell.key.count)
            return TREE_DAMAGED;
        need(needs, rest);
    }
    return TREE_FOUND;
}

/* Of a value that will be freed, the page that names the others. */
static enum tree_found need_value(struct forest *forest, const struct page_cell *cell,
                                  struct needs *needs, struct page_ref *missing)
{
    if (cell->child.number == 0)
        return TREE_FOUND;
    unsigned pages = page_overflow_layout(cell->value_bytes).pages;
    needs->pages_freed += pages;
    if (pages == 1)
        return TREE_FOUND;
    *missing = cell->child;
    struct frame *first = frames_get(&forest->frames, cell->child, FRAME_FOREGROUND);
    if (first == NULL)
        return TREE_MISSING;
    if (page_kind(first->page) != PAGE_OVERFLOW || page_overflow_refs(first->page) != pages - 1)
        return TREE_DAMAGED;
    need(needs, first);
    return TREE_FOUND;
}

/* Is the key in the finger's leaf for certain: between the finger's key and the leaf's last? */
static bool is_at_finger(const struct tree_finger *finger, struct bytes key)
{
    if (finger->key.count == 0 || bytes_compare(key, finger->key) < 0)
        return false;
    const uint8_t *leaf = finger->path.at[finger->path.height - 1].frame->page;
    unsigned count = page_count(leaf);
    struct page_cell last;
    if (count == 0)
        return false;
    page_cell_get(leaf, count - 1, &last);
    return last.key_rest.number == 0 && bytes_compare(key, last.key) <= 0;
}

/* Walk to the mutation; no further than within its leaf when the finger is there. */
static enum tree_found find(struct tree *tree, const struct tree_mutation *mutation,
                            struct tree_finger *finger, struct page_ref *missing)
{
    struct forest *forest = tree->forest;
    struct tree_path *path = &finger->path;
    struct page_rests rests = forest_rests(forest);
    bool first = (int)mutation->kind == TREE_TRIM_FIRST;
    if (!first && is_at_finger(finger, mutation->key)) {
        unsigned at = path->height - 1;
        unsigned next = path->at[at].index + (path->exact ? 1 : 0);
        path->at[at].page = path->at[at].frame->page;
        path->at[at].index = next;
        path->exact = page_has_key(path->at[at].page, next, mutation->key);
        if (path->exact || page_find(path->at[at].page, mutation->key, &rests, &path->at[at].index,
                                     &path->exact, missing)) {
            finger->key = mutation->key;
            return TREE_FOUND;
        }
    }
    finger->key = (struct bytes){0};
    enum tree_found found =
        tree_find(forest, tree->root, mutation->key, first ? FIND_FIRST : FIND_AT, FRAME_FOREGROUND,
                  path, missing);
    if (found == TREE_FOUND && !first)
        finger->key = mutation->key;
    return found;
}

static enum tree_found look(struct tree *tree, const struct tree_mutation *mutation,
                            struct plan *plan, struct needs *needs, struct tree_finger *finger,
                            struct page_ref *missing)
{
    const struct tree_path *path = &finger->path;
    struct forest *forest = tree->forest;
    int kind = (int)mutation->kind;
    if (kind == TREE_PUT) {
        if (mutation->value.count > TREE_INLINE_VALUE_BYTES_MAX)
            needs->pages_new += page_overflow_layout((uint32_t)mutation->value.count).pages;
        needs->pages_new += mutation->key.count > PAGE_KEY_BYTES_MAX ? 1 : 0;
    }
    if (tree->root.height == 0) {
        finger->key = (struct bytes){0};
        return TREE_FOUND;
    }
    enum tree_found found = find(tree, mutation, finger, missing);
    if (found != TREE_FOUND)
        return found;
    for (unsigned depth = 0; depth < path->height; depth++)
        need(needs, path->at[depth].frame);
    if ((kind != TREE_PUT && kind != TREE_DELETE) || (kind == TREE_DELETE && !path->exact))
        return TREE_FOUND;
    const struct frame *leaf = path->at[path->height - 1].frame;
    unsigned old_bytes = 0;
    if (path->exact) {
        struct page_cell cell;
        unsigned index = path->at[path->height - 1].index;
        page_cell_get(leaf->page, index, &cell);
        old_bytes = (unsigned)page_cell_bytes(leaf->page, index).count + PAGE_SLOT_BYTES;
        found = need_value(forest, &cell, needs, missing);
        if (found != TREE_FOUND)
            return found;
    }
    bool shares = kind == TREE_PUT ? page_free(leaf->page) + old_bytes < change_put_bytes(mutation)
                                   : page_used(leaf->page) - old_bytes < LEAF_LOW_BYTES;
    bool edge = kind == TREE_PUT && !path->exact && change_is_right_edge(path);
    if (edge && plan != NULL) {
        plan->edge_key = mutation->key;
        plan->edge_free = (shares ? PAGE_NODE_BYTES : page_free(leaf->page)) -
                          MIN(change_put_bytes(mutation), PAGE_NODE_BYTES);
    }
    if (!shares)
        return TREE_FOUND;
    needs->pages_new += 2;
    for (unsigned depth = 0; depth + 1 < path->height && found == TREE_FOUND; depth++)
        found = need_rests(forest, path->at[depth].frame, needs, missing);
    if (found != TREE_FOUND)
        return found;
    if (path->height == 1)
        return need_rests(forest, leaf, needs, missing);
    struct leaf_group group;
    found = change_find_group(forest, path, !edge, &group, missing);
    for (unsigned i = 0; found == TREE_FOUND && i < group.count; i++) {
        need(needs, group.frames[i]);
        found = need_rests(forest, group.frames[i], needs, missing);
    }
    return found;
}

enum tree_found change_ready(struct tree *tree, const struct tree_mutation *mutation,
                             struct plan *plan, struct tree_finger *finger,
                             struct page_ref *missing)
{
    struct needs needs; /* most of it is never used */
    needs.pin_count = 0;
    needs.pages_new = needs.pages_freed = 0;
    if (plan != NULL)
        plan->edge_key = (struct bytes){0};
    enum tree_found found = look(tree, mutation, plan, &needs, finger, missing);
    if (plan == NULL)
        return found;
    /* What was found is pinned also when something is missing: it stays while that comes.  Of a
     * second mutation, or a later one, pins that the plan has no room for are left out; then it may
     * not be ready when its turn comes, and begins the next step. */
    for (unsigned i = 0; i < needs.pin_count; i++) {
        struct frame *frame = needs.pins[i];
        if (frame->plan == plan || plan->pin_count == plan->pin_capacity)
            continue;
        ASSERT(frame->plan == NULL);
        frame->plan = plan;
        frame_pin(frame);
        plan->pins[plan->pin_count++] = frame;
    }
    if (found == TREE_FOUND) {
        plan->pages_new += needs.pages_new;
        plan->pages_freed += needs.pages_freed;
    }
    return found;
}

bool change_ready_at_edge(struct plan *plan, const struct tree_mutation *mutation)
{
    if (!change_is_at_edge(plan, mutation))
        return false;
    unsigned bytes = change_put_bytes(mutation);
    if (plan->edge_free < bytes) { /* a leaf more, and perhaps what is above it */
        plan->edge_free = PAGE_NODE_BYTES;
        plan->pages_new += 2;
    }
    plan->edge_free -= bytes;
    plan->edge_key = mutation->key;
    return true;
}
