/* Paths of updates and projections: sorted, checked against each other, and written as a tree of
 * nodes, so that an item is walked once, in its own order. */
#include "expr/expr_private.h"

/* Names before indexes; names in byte order, as maps hold them. */
static int compare_elements(const struct path_element *a, const struct path_element *b)
{
    bool a_index = a->name.at == NULL, b_index = b->name.at == NULL;
    if (a_index != b_index)
        return a_index ? 1 : -1;
    if (a_index)
        return a->a < b->a ? -1 : a->a > b->a;
    return a->a == b->a && a->b == b->b ? 0 : bytes_compare(a->name, b->name);
}

/* How many elements two paths have in common at their beginnings. */
static uint32_t common(const struct compiler *c, const struct action *a, const struct action *b)
{
    uint32_t count = MIN(a->elements, b->elements), i = 0;
    while (i < count &&
           compare_elements(&c->elements[a->first + i], &c->elements[b->first + i]) == 0)
        i++;
    return i;
}

static int compare_paths(const struct compiler *c, const struct action *a, const struct action *b)
{
    uint32_t same = common(c, a, b);
    if (same < a->elements && same < b->elements)
        return compare_elements(&c->elements[a->first + same], &c->elements[b->first + same]);
    if (a->elements != b->elements)
        return a->elements < b->elements ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

/* Bottom-up merges; a few actions in order already, as is usual, cost a comparison each. */
static enum status sort_actions(struct compiler *c, struct action *actions, uint32_t count)
{
    uint32_t sorted = 1;
    while (sorted < count && compare_paths(c, &actions[sorted - 1], &actions[sorted]) < 0)
        sorted++;
    if (sorted >= count)
        return STATUS_OK;
    struct action *other = arena_alloc_array(c->arena, count, sizeof(*other));
    if (other == NULL)
        return STATUS_NO_MEMORY;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            size_t a = start, middle = MIN(start + width, count), b = middle;
            size_t end = MIN(start + 2 * width, count);
            for (size_t to = start; to < end; to++) {
                bool first =
                    b == end || (a < middle && compare_paths(c, &actions[a], &actions[b]) < 0);
                other[to] = first ? actions[a++] : actions[b++];
            }
        }
        memcpy(actions, other, count * sizeof(*other));
    }
    return STATUS_OK;
}

/* Two paths that may not be in one expression: the one earlier in the text first. */
struct clash {
    const struct action *one, *two; /* two == NULL: there are none */
    bool overlap;                   /* else they take one thing for a map and for a list */
};

/* Sorted paths clash only if two neighbours do: what lies between a path and one that it begins, it
 * begins too, and under one parent names come before indexes. */
static bool any_clash(const struct compiler *c, const struct action *actions, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const struct action *before = &actions[i - 1], *path = &actions[i];
        uint32_t same = common(c, before, path);
        if (same == before->elements ||
            (same > 0 && (c->elements[before->first + same].name.at == NULL) !=
                             (c->elements[path->first + same].name.at == NULL)))
            return true;
    }
    return false;
}

/* Keep the pair that a reader of the text comes upon first. */
static void note_clash(struct clash *clash, const struct action *a, const struct action *b,
                       bool overlap)
{
    const struct action *one = a->order < b->order ? a : b, *two = a->order < b->order ? b : a;
    if (clash->two != NULL && (clash->two->order < two->order || (clash->two->order == two->order &&
                                                                  clash->one->order <= one->order)))
        return;
    *clash = (struct clash){one, two, overlap};
}

static const struct action *earliest(const struct action *actions, uint32_t low, uint32_t high)
{
    const struct action *first = &actions[low];
    for (uint32_t i = low + 1; i < high; i++)
        first = actions[i].order < first->order ? &actions[i] : first;
    return first;
}

static bool same_element(const struct compiler *c, const struct action *a, const struct action *b,
                         uint32_t level)
{
    return compare_elements(&c->elements[a->first + level], &c->elements[b->first + level]) == 0;
}

/* Among actions [low, high), whose paths have `level` elements in common: those that end there
 * overlap with all; those that go on with a name conflict with those that go on with an index. */
static void find_clash(const struct compiler *c, const struct action *actions, uint32_t low,
                       uint32_t high, uint32_t level, struct clash *clash)
{
    uint32_t from = low;
    while (from < high && actions[from].elements == level)
        from++;
    for (uint32_t i = low + 1; from > low && i < high; i++)
        note_clash(clash, &actions[low], &actions[i], true);
    uint32_t indexes = from;
    while (indexes < high && c->elements[actions[indexes].first + level].name.at != NULL)
        indexes++;
    if (indexes > from && indexes < high)
        note_clash(clash, earliest(actions, from, indexes), earliest(actions, indexes, high),
                   false);
    while (from < high) {
        uint32_t end = from + 1;
        while (end < high && same_element(c, &actions[from], &actions[end], level))
            end++;
        if (end - from > 1)
            find_clash(c, actions, from, end, level + 1, clash);
        from = end;
    }
}

static void report_clash(struct compiler *c, const struct clash *clash)
{
    struct bytes one = path_format(c, &c->elements[clash->one->first], clash->one->elements);
    struct bytes two = path_format(c, &c->elements[clash->two->first], clash->two->elements);
    SEMANTIC(
        c,
        "Two document paths %s with each other; must remove or rewrite one of these paths; path "
        "one: [%.*s], path two: [%.*s]",
        clash->overlap ? "overlap" : "conflict", BYTES_ARGS(one), BYTES_ARGS(two));
}

/* ---- Nodes ---- */

struct writer {
    struct compiler *c;
    const struct action *actions;
    const uint8_t *operands; /* the code that actions refer to */
};

static void write_nodes(struct writer *w, uint32_t low, uint32_t high, uint32_t level);

/* The node of actions [low, high), which have `level` + 1 elements in common. */
static void write_node(struct writer *w, uint32_t low, uint32_t high, uint32_t level)
{
    struct compiler *c = w->c;
    const struct action *action = &w->actions[low];
    const struct path_element *element = &c->elements[action->first + level];
    bool leaf = action->elements == level + 1;
    uint32_t node = c->code_count;
    uint8_t *to = compiler_emit(c, NODE_HEAD_BYTES);
    put_u32(to + 4, element->a);
    put_u32(to + 8, element->b);
    to[12] = leaf ? action->verb : VERB_INNER;
    if (!leaf)
        write_nodes(w, low, high, level + 1);
    else if (action->code_bytes > 0)
        memcpy(compiler_emit(c, action->code_bytes), w->operands + action->code_at,
               action->code_bytes);
    if (!c->no_memory)
        put_u32(c->code + node, c->code_count - node);
}

static void write_nodes(struct writer *w, uint32_t low, uint32_t high, uint32_t level)
{
    struct compiler *c = w->c;
    while (low < high && !c->no_memory) {
        const struct path_element *element = &c->elements[w->actions[low].first + level];
        uint32_t end = low + 1;
        while (end < high &&
               compare_elements(element, &c->elements[w->actions[end].first + level]) == 0)
            end++;
        write_node(w, low, end, level);
        low = end;
    }
}

enum status compile_tree(struct compiler *c, struct action *actions, uint32_t count)
{
    TRY(sort_actions(c, actions, count));
    if (c->semantic.at == NULL && any_clash(c, actions, count)) {
        struct clash clash = {0};
        find_clash(c, actions, 0, count, 0, &clash);
        report_clash(c, &clash);
    }
    if (c->semantic.at != NULL)
        return STATUS_OK;
    struct writer w = {c, actions, c->code};
    uint32_t operands = c->code_count;
    c->code_capacity = c->element_count * NODE_HEAD_BYTES + operands;
    c->code = arena_alloc(c->arena, c->code_capacity);
    if (c->code == NULL)
        return STATUS_NO_MEMORY;
    c->code_count = 0;
    write_nodes(&w, 0, count, 0);
    return STATUS_OK;
}
