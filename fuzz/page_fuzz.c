/* Any bytes as what a forest reads from its file: a page (searched, changed and closed up again
 * when page_check lets it through), a free list, a superblock.  The first byte chooses. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "storage/page.h"
#include "storage/space.h"
#include "storage/superblock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *find_rest(void *owner, struct page_ref ref, uint32_t *bytes)
{
    static const uint8_t rest[3] = {0, 1, 2};
    (void)owner;
    *bytes = sizeof(rest);
    return ref.number % 2 == 0 ? rest : NULL;
}

static const struct page_rests rests = {.find = find_rest};

static void use_node(uint8_t *page, const uint8_t *data, size_t size)
{
    uint8_t scratch[PAGE_BYTES];
    uint8_t cell[PAGE_CELL_BYTES_MAX];
    unsigned index;
    bool exact;
    struct page_ref missing;
    struct bytes key = bytes_of(data, 1 + size % 2000 < size ? 1 + size % 2000 : size);
    bool leaf = page_kind(page) == PAGE_LEAF;
    (void)page_is_ordered(page);
    if (key.count == 0)
        return;
    bool found = page_find(page, key, &rests, &index, &exact, &missing);
    for (unsigned i = 0; i < page_count(page); i++) {
        struct page_cell got;
        page_cell_get(page, i, &got);
        ASSERT(page_cell_bytes(page, i).count <= PAGE_BYTES);
        if (found && got.key.count > 0)
            found = page_find(page, got.key, &rests, &index, &exact, &missing);
    }
    if (!found)
        return;
    struct page_ref none = {0};
    struct page_ref rest = {.number = key.count > PAGE_KEY_BYTES_MAX ? 20 : 0, .epoch = 1};
    unsigned bytes = leaf ? page_leaf_cell_put(cell, key, rest, bytes_of(data, size % 100), none)
                          : page_inner_cell_put(cell, key, rest, (struct page_ref){20, 1});
    unsigned at = leaf || index > 0 ? MIN(index, page_count(page)) : 1;
    if (page_free(page) >= bytes + PAGE_SLOT_BYTES) {
        page_insert(page, at, bytes_of(cell, bytes), scratch);
        ASSERT(page_check(page) == STATUS_OK);
    }
    while (page_count(page) > 1) {
        page_remove(page, page_count(page) - 1);
        ASSERT(page_check(page) == STATUS_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t page[PAGE_BYTES];
    if (size < 2)
        return 0;
    unsigned choice = data[0] % 3;
    data++;
    size--;
    if (choice == 0) {
        /* The input is the node's fields and slots, and then the page's end. */
        memset(page, 0, sizeof(page));
        size_t front = MIN(size / 2, PAGE_BYTES - 28);
        size_t back = MIN(size - front, PAGE_BYTES);
        memcpy(page + 28, data, front);
        memcpy(page + PAGE_BYTES - back, data + front, back);
        if (page_check(page) == STATUS_OK) {
            if (page_kind(page) == PAGE_LEAF || page_kind(page) == PAGE_INNER) {
                use_node(page, data, size);
            } else if (page_kind(page) == PAGE_OVERFLOW) {
                struct bytes all = page_overflow_data(page);
                ASSERT(all.at + all.count <= page + PAGE_BYTES);
            } else {
                struct bytes all = page_free_list_data(page);
                ASSERT(all.at + all.count <= page + PAGE_BYTES);
            }
        }
    } else if (choice == 1) {
        struct heap heap;
        struct space space;
        uint32_t used_end;
        heap_init(&heap, false);
        space_init(&space, &heap);
        if (space_decode(&space, 16 + (uint32_t)size * 8, bytes_of(data, size), 5, &used_end) ==
            STATUS_OK)
            ASSERT(used_end <= space.page_count);
        space_release(&space);
        ASSERT(heap.bytes_used == 0);
    } else {
        struct superblock super;
        static uint8_t block[SUPERBLOCK_BYTES];
        memset(block, 0, sizeof(block));
        memcpy(block, data, MIN(size, sizeof(block)));
        (void)superblock_decode(block, 0, &super);
    }
    return 0;
}
