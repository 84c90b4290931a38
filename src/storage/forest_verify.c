/* forest_verify.c - read everything and check it against everything else. */
#include <string.h>

#include "base/assert.h"
#include "storage/forest_private.h"

struct verify {
    struct context *ctx;
    struct forest *forest;
    struct tree *tree;
    uint64_t *seen; /* pages that have a use */
    uint64_t items, bytes;
    uint64_t faults;
};

static void fault(struct verify *verify, struct page_ref ref, const char *what)
{
    verify->faults++;
    log_line(verify->forest->env->log, LOG_ERROR, "storage", "tree %llu, page %u, epoch %llu: %s",
             (unsigned long long)(verify->tree != NULL ? verify->tree->tree_id : TREE_ID_FOREST),
             ref.number, (unsigned long long)ref.epoch, what);
}

/* Note the use of a page, and copy it to `to`.  STATUS_END: it cannot be read, a fault. */
static enum status take(struct verify *verify, struct page_ref ref, uint8_t *to)
{
    struct forest *forest = verify->forest;
    struct frame *frame;
    if (ref.number < PAGE_NUMBER_FIRST || ref.number >= forest->space.page_count) {
        fault(verify, ref, "is outside the file");
        return STATUS_END;
    }
    uint64_t bit = UINT64_C(1) << (ref.number % 64);
    if (space_is_free(&forest->space, ref.number))
        fault(verify, ref, "is used and free");
    if ((verify->seen[ref.number / 64] & bit) != 0)
        fault(verify, ref, "is used twice");
    verify->seen[ref.number / 64] |= bit;
    enum status status = frames_fetch(verify->ctx, &forest->frames, verify->tree->tree_id, ref,
                                      FRAME_BACKGROUND, &frame);
    if (status == STATUS_CORRUPT || status == STATUS_VERSION || status == STATUS_IO) {
        fault(verify, ref, status_text(status));
        return STATUS_END;
    }
    TRY(status);
    memcpy(to, frame->page, PAGE_BYTES);
    frames_unpin(&forest->frames, frame);
    return STATUS_OK;
}

/* The whole key of a cell at `to`. */
static enum status verify_key(struct verify *verify, const struct page_cell *cell, uint8_t *page,
                              uint8_t *to, struct bytes *key)
{
    memcpy(to, cell->key.at, cell->key.count);
    *key = bytes_of(to, cell->key.count);
    if (cell->key_rest.number == 0)
        return STATUS_OK;
    enum status status = take(verify, cell->key_rest, page);
    if (status != STATUS_OK)
        return status == STATUS_END ? STATUS_OK : status;
    struct bytes rest = page_overflow_data(page);
    if (page_kind(page) != PAGE_OVERFLOW || rest.count != cell->key_bytes - cell->key.count) {
        fault(verify, cell->key_rest, "is not the rest of its key");
        return STATUS_OK;
    }
    memcpy(to + key->count, rest.at, rest.count);
    key->count = cell->key_bytes;
    return STATUS_OK;
}

static enum status verify_value(struct verify *verify, const struct page_cell *cell, uint8_t *page,
                                uint8_t *further)
{
    struct page_overflow_layout layout = page_overflow_layout(cell->value_bytes);
    enum status status = take(verify, cell->child, page);
    if (status != STATUS_OK)
        return status == STATUS_END ? STATUS_OK : status;
    if (page_kind(page) != PAGE_OVERFLOW || page_overflow_refs(page) != layout.pages - 1 ||
        page_overflow_data(page).count != layout.first_bytes) {
        fault(verify, cell->child, "is not the first page of its value");
        return STATUS_OK;
    }
    uint32_t left = cell->value_bytes - layout.first_bytes;
    for (unsigned i = 0; i < page_overflow_refs(page); i++) {
        struct page_ref ref = page_overflow_ref(page, i);
        status = take(verify, ref, further);
        if (status != STATUS_OK && status != STATUS_END)
            return status;
        unsigned expected = MIN(left, PAGE_OVERFLOW_BYTES);
        if (status == STATUS_OK &&
            (page_kind(further) != PAGE_OVERFLOW || page_overflow_data(further).count != expected))
            fault(verify, ref, "is not a part of its value");
        left -= expected;
    }
    return STATUS_OK;
}

/* Memory of one level of the walk. */
struct verify_level {
    uint8_t page[PAGE_BYTES], other[PAGE_BYTES], further[PAGE_BYTES];
    uint8_t key[2][TREE_KEY_BYTES_MAX]; /* of the cell before, and this one */
};

/* A node whose keys k are low <= k < high (when `bounded`). */
static enum status verify_node(struct verify *verify, struct page_ref ref, uint32_t level,
                               struct bytes low, struct bytes high, bool bounded)
{
    struct heap *heap = verify->forest->env->heap;
    struct verify_level *at = heap_alloc(heap, sizeof(*at));
    if (at == NULL)
        return STATUS_NO_MEMORY;
    enum status status = take(verify, ref, at->page);
    if (status != STATUS_OK) {
        heap_free(heap, at, sizeof(*at));
        return status == STATUS_END ? STATUS_OK : status;
    }
    bool leaf = level == 0;
    if (page_level(at->page) != level || page_kind(at->page) != (leaf ? PAGE_LEAF : PAGE_INNER) ||
        !page_is_ordered(at->page)) {
        fault(verify, ref, "is not the node that belongs there, or is out of order");
        heap_free(heap, at, sizeof(*at));
        return STATUS_OK;
    }
    struct bytes before = low;
    struct page_ref child = {0};
    for (unsigned i = 0; i < page_count(at->page) && status == STATUS_OK; i++) {
        struct page_cell cell;
        struct bytes key;
        page_cell_get(at->page, i, &cell);
        status = verify_key(verify, &cell, at->other, at->key[i % 2], &key);
        if (status != STATUS_OK)
            break;
        bool first = i == 0;
        if (!(first && !leaf)) {
            int order = bytes_compare(before, key);
            if (order > 0 || (order == 0 && !first) || (bounded && bytes_compare(key, high) >= 0))
                fault(verify, ref, "has a key outside its bounds");
        }
        if (leaf) {
            verify->items++;
            verify->bytes += cell.key_bytes + cell.value_bytes;
            if (cell.child.number != 0)
                status = verify_value(verify, &cell, at->other, at->further);
            before = key;
            continue;
        }
        if (!first)
            status = verify_node(verify, child, level - 1, before, key, true);
        child = cell.child;
        before = first ? low : key;
    }
    if (!leaf && status == STATUS_OK)
        status = verify_node(verify, child, level - 1, before, high, bounded);
    heap_free(heap, at, sizeof(*at));
    return status;
}

static enum status verify_tree(struct verify *verify, struct tree *tree)
{
    verify->tree = tree;
    verify->items = verify->bytes = 0;
    if (tree->root.height > 0)
        TRY(verify_node(verify, tree->root.page, tree->root.height - 1, (struct bytes){0},
                        (struct bytes){0}, false));
    if ((tree->live || tree->staged) &&
        (tree->items != verify->items || tree->bytes != verify->bytes))
        fault(verify, tree->root.page, "the tree's row counts other items or bytes");
    return STATUS_OK;
}

/* Each page of the file has one use: a tree's, the free list's, pending, or free. */
static void verify_uses(struct verify *verify)
{
    struct forest *forest = verify->forest;
    uint64_t used = 0;
    verify->tree = NULL;
    for (uint32_t i = 0; i < forest->free_list_count; i++) {
        uint32_t number = forest->free_list[i].number;
        if ((verify->seen[number / 64] & UINT64_C(1) << (number % 64)) != 0)
            fault(verify, forest->free_list[i], "is used and a page of the free list");
        verify->seen[number / 64] |= UINT64_C(1) << (number % 64);
    }
    for (uint32_t n = PAGE_NUMBER_FIRST; n < forest->space.page_count; n++)
        used += (verify->seen[n / 64] >> (n % 64)) & 1;
    uint64_t expected = forest->space.page_count - PAGE_NUMBER_FIRST - forest->space.free_count -
                        forest->space.pending_count;
    if (used != expected) {
        verify->faults++;
        log_line(forest->env->log, LOG_ERROR, "storage",
                 "%llu pages are used, and %llu are neither free nor pending",
                 (unsigned long long)used, (unsigned long long)expected);
    }
}

enum status forest_verify(struct context *ctx, struct forest *forest)
{
    size_t bytes = (forest->space.page_count / 64 + 1) * sizeof(uint64_t);
    struct verify verify = {
        .ctx = ctx, .forest = forest, .seen = heap_alloc_zero(forest->env->heap, bytes)};
    if (verify.seen == NULL)
        return STATUS_NO_MEMORY;
    enum status status = verify_tree(&verify, &forest->directory);
    LIST_FOR_EACH (node, &forest->trees) {
        if (status == STATUS_OK)
            status = verify_tree(&verify, LIST_ITEM(node, struct tree, link));
    }
    if (status == STATUS_OK)
        verify_uses(&verify);
    heap_free(forest->env->heap, verify.seen, bytes);
    if (status == STATUS_OK && verify.faults > 0)
        status = STATUS_CORRUPT;
    return status;
}
