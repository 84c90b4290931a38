#include "storage/page.h"

#include <string.h>

#include "base/assert.h"
#include "base/checksum.h"

#define KEY_WORD_BYTES       0x1fffu
#define KEY_WORD_VALUE_OUT   0x4000u
#define KEY_WORD_REST        0x8000u
#define PREFETCH_CELLS       16u  /* whose keys are fetched at once */
#define PREFETCH_KEY_BYTES   48u  /* of a short key and what is before it */
#define PREFETCH_VALUE_BYTES 256u /* of a cell: a small item */

/* ---- Header ---- */

void page_init(uint8_t *page, enum page_kind kind, unsigned level, uint64_t tree_id,
               struct page_ref ref)
{
    memset(page, 0, PAGE_BYTES);
    put_u64(page + 8, tree_id);
    put_u16(page + 28, PAGE_FORMAT);
    page[30] = (uint8_t)kind;
    page_rename(page, ref);
    if (kind == PAGE_LEAF || kind == PAGE_INNER) {
        put_u16(page + 66, PAGE_BYTES);
        page[72] = (uint8_t)level;
    }
}

void page_rename(uint8_t *page, struct page_ref ref)
{
    put_u64(page + 16, ref.epoch);
    put_u32(page + 24, ref.number);
}

void page_seal(uint8_t *page, uint64_t forest_id)
{
    put_u64(page, checksum64(bytes_of(page + 8, PAGE_BYTES - 8), forest_id));
}

enum status page_verify(const uint8_t *page, uint64_t forest_id, uint64_t tree_id,
                        struct page_ref ref)
{
    if (get_u64(page) != checksum64(bytes_of(page + 8, PAGE_BYTES - 8), forest_id) ||
        page_tree_id(page) != tree_id || page_number(page) != ref.number ||
        page_epoch(page) != ref.epoch)
        return STATUS_CORRUPT;
    if (get_u16(page + 28) != PAGE_FORMAT || page[31] != 0)
        return STATUS_VERSION;
    return STATUS_OK;
}

static bool ref_is_valid(const uint8_t *at)
{
    return get_u32(at) >= PAGE_NUMBER_FIRST;
}

/* The bytes of the cell at `offset`, or 0 when it is malformed or passes the end of the page. */
static unsigned cell_bytes_checked(const uint8_t *page, unsigned offset, bool leaf, bool first)
{
    unsigned left = PAGE_BYTES - offset;
    unsigned head = leaf ? 4 : 2 + PAGE_REF_BYTES;
    if (left < head)
        return 0;
    const uint8_t *at = page + offset;
    unsigned word = get_u16(at);
    unsigned key = word & KEY_WORD_BYTES;
    bool rest = (word & KEY_WORD_REST) != 0;
    bool out = (word & KEY_WORD_VALUE_OUT) != 0;
    if (key > TREE_KEY_BYTES_MAX || rest != (key > PAGE_KEY_BYTES_MAX) ||
        (key == 0 && (leaf || !first)) || (!leaf && (out || !ref_is_valid(at + 2))))
        return 0;
    uint32_t value = 0;
    if (leaf) {
        value = get_u16(at + 2);
        if (out) {
            head += 2 + PAGE_REF_BYTES;
            if (left < head)
                return 0;
            value = get_u32(at + 2);
        }
    }
    if (rest)
        head += PAGE_REF_BYTES;
    if (left < head)
        return 0;
    const uint8_t *refs = at + (leaf ? (out ? 6 : 4) : 2 + PAGE_REF_BYTES);
    if (rest && !ref_is_valid(refs))
        return 0;
    if (out) {
        if (!ref_is_valid(refs + (rest ? PAGE_REF_BYTES : 0)) || value > TREE_VALUE_BYTES_MAX ||
            value <= TREE_INLINE_VALUE_BYTES_MAX)
            return 0;
    } else if (value > TREE_INLINE_VALUE_BYTES_MAX) {
        return 0;
    }
    unsigned total = head + MIN(key, PAGE_KEY_BYTES_MAX) + (out ? 0 : value);
    return total <= left ? total : 0;
}

/* Note that [from, from + count) of the page is taken; false when some of it was. */
static bool take_bytes(uint64_t *taken, unsigned from, unsigned count)
{
    while (count > 0) {
        unsigned bit = from % 64;
        unsigned bits = MIN(64 - bit, count);
        uint64_t mask = (bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1) << bit;
        if ((taken[from / 64] & mask) != 0)
            return false;
        taken[from / 64] |= mask;
        from += bits;
        count -= bits;
    }
    return true;
}

static enum status check_node(const uint8_t *page)
{
    uint64_t taken[PAGE_BYTES / 64] = {0}; /* cells that overlap would change with each other */
    bool leaf = page_kind(page) == PAGE_LEAF;
    unsigned count = page_count(page);
    unsigned start = page_start(page);
    if (leaf != (page_level(page) == 0) || start > PAGE_BYTES ||
        count > PAGE_NODE_BYTES / PAGE_SLOT_BYTES ||
        PAGE_SLOTS_AT + count * PAGE_SLOT_BYTES > start || (!leaf && count == 0))
        return STATUS_CORRUPT;
    unsigned total = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned offset = page_cell_offset(page, i);
        if (offset < start || offset >= PAGE_BYTES)
            return STATUS_CORRUPT;
        unsigned bytes = cell_bytes_checked(page, offset, leaf, i == 0);
        if (bytes == 0 || !take_bytes(taken, offset, bytes))
            return STATUS_CORRUPT;
        total += bytes;
        unsigned key = MIN(get_u16(page + offset) & KEY_WORD_BYTES, PAGE_KEY_BYTES_MAX);
        if (!leaf && i == 0) {
            if (key != 0)
                return STATUS_CORRUPT;
        } else if (key < page_prefix(page)) {
            return STATUS_CORRUPT;
        }
    }
    return total + page_holes(page) == PAGE_BYTES - start ? STATUS_OK : STATUS_CORRUPT;
}

static enum status check_overflow(const uint8_t *page)
{
    unsigned refs = page_overflow_refs(page);
    unsigned data = get_u16(page + 66);
    if (refs > PAGE_OVERFLOW_BYTES / PAGE_REF_BYTES ||
        refs * PAGE_REF_BYTES + data > PAGE_OVERFLOW_BYTES)
        return STATUS_CORRUPT;
    for (unsigned i = 0; i < refs; i++) {
        if (!ref_is_valid(page + PAGE_OVERFLOW_AT + i * PAGE_REF_BYTES))
            return STATUS_CORRUPT;
    }
    return STATUS_OK;
}

enum status page_check(const uint8_t *page)
{
    switch (page_kind(page)) {
    case PAGE_LEAF:
    case PAGE_INNER:
        return check_node(page);
    case PAGE_OVERFLOW:
        return check_overflow(page);
    case PAGE_FREE_LIST:
        return get_u16(page + 76) <= PAGE_FREE_LIST_BYTES ? STATUS_OK : STATUS_CORRUPT;
    }
    return STATUS_CORRUPT;
}

/* ---- Cells ---- */

static unsigned cell_bytes(const uint8_t *at, bool leaf)
{
    unsigned word = get_u16(at);
    unsigned bytes = MIN(word & KEY_WORD_BYTES, PAGE_KEY_BYTES_MAX);
    if ((word & KEY_WORD_REST) != 0)
        bytes += PAGE_REF_BYTES;
    if (!leaf)
        return bytes + 2 + PAGE_REF_BYTES;
    if ((word & KEY_WORD_VALUE_OUT) != 0)
        return bytes + 6 + PAGE_REF_BYTES;
    return bytes + 4 + get_u16(at + 2);
}

void page_cell_parse(const uint8_t *at, bool leaf, struct page_cell *cell)
{
    unsigned word = get_u16(at);
    *cell = (struct page_cell){.key_bytes = word & KEY_WORD_BYTES};
    at += 2;
    bool out = (word & KEY_WORD_VALUE_OUT) != 0;
    if (leaf) {
        cell->value_bytes = out ? get_u32(at) : get_u16(at);
        at += out ? 4 : 2;
    } else {
        cell->child = page_ref_get(at);
        at += PAGE_REF_BYTES;
    }
    if ((word & KEY_WORD_REST) != 0) {
        cell->key_rest = page_ref_get(at);
        at += PAGE_REF_BYTES;
    }
    if (out) {
        cell->child = page_ref_get(at);
        at += PAGE_REF_BYTES;
    }
    cell->key = bytes_of(at, MIN(cell->key_bytes, PAGE_KEY_BYTES_MAX));
    if (leaf && !out)
        cell->value = bytes_of(at + cell->key.count, cell->value_bytes);
}

void page_cell_get(const uint8_t *page, unsigned index, struct page_cell *cell)
{
    page_cell_parse(page + page_cell_offset(page, index), page_level(page) == 0, cell);
}

struct bytes page_cell_bytes(const uint8_t *page, unsigned index)
{
    const uint8_t *at = page + page_cell_offset(page, index);
    return bytes_of(at, cell_bytes(at, page_kind(page) == PAGE_LEAF));
}

static struct bytes cell_key(const uint8_t *at, bool leaf)
{
    struct page_cell cell;
    page_cell_parse(at, leaf, &cell);
    return cell.key;
}

static struct bytes page_key(const uint8_t *page, unsigned index)
{
    return cell_key(page + page_cell_offset(page, index), page_level(page) == 0);
}

unsigned page_leaf_cell_put(uint8_t *to, struct bytes key, struct page_ref key_rest,
                            struct bytes value, struct page_ref value_out)
{
    uint8_t *at = to;
    bool rest = key.count > PAGE_KEY_BYTES_MAX;
    bool out = value_out.number != 0;
    put_u16(at,
            (uint16_t)(key.count | (rest ? KEY_WORD_REST : 0) | (out ? KEY_WORD_VALUE_OUT : 0)));
    at += 2;
    if (out)
        put_u32(at, (uint32_t)value.count);
    else
        put_u16(at, (uint16_t)value.count);
    at += out ? 4 : 2;
    if (rest) {
        page_ref_put(at, key_rest);
        at += PAGE_REF_BYTES;
    }
    if (out) {
        page_ref_put(at, value_out);
        at += PAGE_REF_BYTES;
    }
    size_t in_page = MIN(key.count, PAGE_KEY_BYTES_MAX);
    memcpy(at, key.at, in_page);
    at += in_page;
    if (!out && value.count > 0) {
        memcpy(at, value.at, value.count);
        at += value.count;
    }
    return (unsigned)(at - to);
}

unsigned page_inner_cell_put(uint8_t *to, struct bytes key, struct page_ref key_rest,
                             struct page_ref child)
{
    uint8_t *at = to;
    bool rest = key.count > PAGE_KEY_BYTES_MAX;
    put_u16(at, (uint16_t)(key.count | (rest ? KEY_WORD_REST : 0)));
    page_ref_put(at + 2, child);
    at += 2 + PAGE_REF_BYTES;
    if (rest) {
        page_ref_put(at, key_rest);
        at += PAGE_REF_BYTES;
    }
    size_t in_page = MIN(key.count, PAGE_KEY_BYTES_MAX);
    if (in_page > 0)
        memcpy(at, key.at, in_page);
    at += in_page;
    return (unsigned)(at - to);
}

/* ---- Search ---- */

static uint32_t key_head(struct bytes key, unsigned prefix)
{
    if (key.count >= prefix + 4u)
        return get_u32_be(key.at + prefix);
    uint32_t head = 0;
    for (unsigned i = 0; i < 4; i++) {
        head <<= 8;
        if (prefix + i < key.count)
            head |= key.at[prefix + i];
    }
    return head;
}

bool page_compare(struct bytes key, const struct page_cell *cell, const struct page_rests *rests,
                  int *order, struct page_ref *missing)
{
    if (LIKELY(cell->key_bytes == cell->key.count)) {
        *order = bytes_compare(key, cell->key);
        return true;
    }
    size_t common = MIN(key.count, cell->key.count);
    *order = common > 0 ? memcmp(key.at, cell->key.at, common) : 0;
    if (*order != 0)
        return true;
    if (key.count <= cell->key.count) {
        *order = -1;
        return true;
    }
    uint32_t bytes;
    const uint8_t *rest = rests->find(rests->owner, cell->key_rest, &bytes);
    if (rest == NULL) {
        *missing = cell->key_rest;
        return false;
    }
    *order = bytes_compare(bytes_after(key, common), bytes_of(rest, bytes));
    return true;
}

/* Binary search among the slots [low, high), whose heads say nothing. */
static bool find_among(const uint8_t *page, struct bytes key, bool leaf, unsigned low,
                       unsigned high, const struct page_rests *rests, unsigned *index, bool *exact,
                       struct page_ref *missing)
{
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        struct page_cell cell;
        int order;
        page_cell_parse(page + page_cell_offset(page, middle), leaf, &cell);
        if (!page_compare(key, &cell, rests, &order, missing))
            return false;
        if (order == 0) {
            *index = middle;
            *exact = true;
            return true;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    *index = low;
    return true;
}

/* The head by which `key` is looked for: made of what the page would have of it. */
static uint32_t search_head(const uint8_t *page, struct bytes key)
{
    return key_head(bytes_of(key.at, MIN(key.count, PAGE_KEY_BYTES_MAX)), page_prefix(page));
}

/* The first slot of [low, high), not empty, whose head is not below, without branches that depend
 * on the data. */
static unsigned find_head(const uint8_t *page, uint32_t head, unsigned low, unsigned high)
{
    const uint8_t *slots = page_slot(page, 0);
    unsigned left = high - low;
    unsigned base = low;
    while (left > 1) {
        unsigned half = left / 2;
        base += get_u32(slots + (base + half - 1) * PAGE_SLOT_BYTES) < head ? half : 0;
        left -= half;
    }
    return base + (get_u32(slots + base * PAGE_SLOT_BYTES) < head ? 1 : 0);
}

/* Behind the slots from `base` on that have this head; they are few, or equal in all
 * that matters. */
static unsigned find_head_end(const uint8_t *page, uint32_t head, unsigned base, unsigned high)
{
    const uint8_t *slots = page_slot(page, 0);
    unsigned end = base;
    unsigned step = 1;
    while (end < high && get_u32(slots + end * PAGE_SLOT_BYTES) == head) {
        end = end + step < high ? end + step : high;
        step *= 2;
    }
    return end;
}

/* Begin to fetch the keys of some cells: their first lines.  Always inline: GCC takes a function
 * that does nothing but prefetch for one that does nothing, and leaves out calls of it. */
__attribute__((always_inline)) static inline void prefetch_keys(const uint8_t *page, unsigned low,
                                                                unsigned high)
{
    for (unsigned i = low; i < high && i < low + PREFETCH_CELLS; i++) {
        const uint8_t *cell = page + page_cell_offset(page, i);
        __builtin_prefetch(cell);
        __builtin_prefetch(cell + PREFETCH_KEY_BYTES);
    }
}

void page_prefetch_keys(const uint8_t *page, struct bytes key)
{
    unsigned count = page_count(page);
    if (page_level(page) != 0 || count == 0)
        return;
    uint32_t head = search_head(page, key);
    unsigned base = find_head(page, head, 0, count);
    prefetch_keys(page, base, find_head_end(page, head, base, count));
}

void page_prefetch_value(const uint8_t *page, unsigned index)
{
    const uint8_t *cell = page + page_cell_offset(page, index);
    for (unsigned at = 64; at <= PREFETCH_VALUE_BYTES; at += 64)
        __builtin_prefetch(cell + at);
}

bool page_find(const uint8_t *page, struct bytes key, const struct page_rests *rests,
               unsigned *index, bool *exact, struct page_ref *missing)
{
    bool leaf = page_level(page) == 0;
    unsigned low = leaf ? 0 : 1;
    unsigned high = page_count(page);
    unsigned prefix = page_prefix(page);
    *exact = false;
    *index = high;
    if (low >= high)
        return true;
    uint32_t head = search_head(page, key);
    unsigned base = find_head(page, head, low, high);
    unsigned end = find_head_end(page, head, base, high);
    if (end - base > 1)
        prefetch_keys(page, base, end);
    if (!find_among(page, key, leaf, base, end, rests, index, exact, missing))
        return false;
    if (*exact || prefix == 0)
        return true;
    /* All this holds for keys with the page's prefix; others are before or after all cells. */
    struct bytes any = page_key(page, base < high ? base : high - 1);
    int order = memcmp(key.at, any.at, MIN(key.count, prefix));
    if (order < 0 || (order == 0 && key.count < prefix))
        *index = low;
    else if (order > 0)
        *index = high;
    return true;
}

bool page_has_key(const uint8_t *page, unsigned index, struct bytes key)
{
    if (index >= page_count(page) || key.count > PAGE_KEY_BYTES_MAX)
        return false;
    return bytes_equal(page_key(page, index), key);
}

/* ---- Changes of nodes ---- */

static void set_head(uint8_t *page, unsigned index, unsigned prefix)
{
    put_u32(page + PAGE_SLOTS_AT + index * PAGE_SLOT_BYTES,
            key_head(page_key(page, index), prefix));
}

static void set_prefix(uint8_t *page, unsigned prefix)
{
    unsigned first = page_kind(page) == PAGE_LEAF ? 0 : 1;
    put_u16(page + 70, (uint16_t)prefix);
    for (unsigned i = first; i < page_count(page); i++)
        set_head(page, i, prefix);
}

static unsigned common_bytes(struct bytes a, struct bytes b)
{
    unsigned max = (unsigned)MIN(a.count, b.count);
    unsigned common = 0;
    while (common < max && a.at[common] == b.at[common])
        common++;
    return common;
}

/* Move all cells to the end of the page, so that no holes are left. */
static void close_holes(uint8_t *page, uint8_t *scratch)
{
    unsigned start = page_start(page);
    memcpy(scratch + start, page + start, PAGE_BYTES - start);
    bool leaf = page_kind(page) == PAGE_LEAF;
    unsigned to = PAGE_BYTES;
    for (unsigned i = 0; i < page_count(page); i++) {
        const uint8_t *cell = scratch + page_cell_offset(page, i);
        unsigned bytes = cell_bytes(cell, leaf);
        to -= bytes;
        memcpy(page + to, cell, bytes);
        put_u16(page + PAGE_SLOTS_AT + i * PAGE_SLOT_BYTES + 4, (uint16_t)to);
    }
    ASSERT(to == start + page_holes(page));
    memset(page + start, 0, to - start);
    put_u16(page + 66, (uint16_t)to);
    put_u16(page + 68, 0);
}

void page_insert(uint8_t *page, unsigned index, struct bytes cell, uint8_t *scratch)
{
    unsigned count = page_count(page);
    ASSERT(index <= count);
    ASSERT(page_free(page) >= cell.count + PAGE_SLOT_BYTES);
    bool leaf = page_kind(page) == PAGE_LEAF;
    unsigned slots_end = PAGE_SLOTS_AT + (count + 1) * PAGE_SLOT_BYTES;
    if (page_start(page) < slots_end + cell.count)
        close_holes(page, scratch);
    unsigned to = page_start(page) - (unsigned)cell.count;
    memcpy(page + to, cell.at, cell.count);
    put_u16(page + 66, (uint16_t)to);
    uint8_t *slot = page + PAGE_SLOTS_AT + index * PAGE_SLOT_BYTES;
    memmove(slot + PAGE_SLOT_BYTES, slot, (count - index) * PAGE_SLOT_BYTES);
    put_u32(slot, 0);
    put_u16(slot + 4, (uint16_t)to);
    put_u16(page + 64, (uint16_t)(count + 1));
    if (!leaf && index == 0)
        return; /* the empty key of an inner page: its head stays 0 */
    /* Any other key of the page shows the prefix. */
    struct bytes key = cell_key(page + to, leaf);
    unsigned first = leaf ? 0 : 1;
    unsigned other = index > first ? first : index + 1;
    unsigned prefix = page_prefix(page);
    if (prefix > 0 && other <= count) {
        unsigned common = common_bytes(key, page_key(page, other));
        if (common < prefix) {
            set_prefix(page, common);
            return;
        }
    } else if (prefix > 0) {
        set_prefix(page, 0);
        return;
    }
    set_head(page, index, prefix);
}

bool page_overwrite(uint8_t *page, unsigned index, struct bytes cell)
{
    struct bytes old = page_cell_bytes(page, index);
    if (old.count != cell.count)
        return false;
    memcpy(page + page_cell_offset(page, index), cell.at, cell.count);
    return true;
}

void page_remove(uint8_t *page, unsigned index)
{
    unsigned count = page_count(page);
    ASSERT(index < count);
    unsigned offset = page_cell_offset(page, index);
    unsigned bytes = (unsigned)page_cell_bytes(page, index).count;
    memset(page + offset, 0, bytes);
    if (offset == page_start(page))
        put_u16(page + 66, (uint16_t)(offset + bytes));
    else
        put_u16(page + 68, (uint16_t)(page_holes(page) + bytes));
    uint8_t *slot = page + PAGE_SLOTS_AT + index * PAGE_SLOT_BYTES;
    memmove(slot, slot + PAGE_SLOT_BYTES, (count - index - 1) * PAGE_SLOT_BYTES);
    memset(page + PAGE_SLOTS_AT + (count - 1) * PAGE_SLOT_BYTES, 0, PAGE_SLOT_BYTES);
    put_u16(page + 64, (uint16_t)(count - 1));
}

void page_set_child(uint8_t *page, unsigned index, struct page_ref child)
{
    ASSERT(page_kind(page) == PAGE_INNER);
    page_ref_put(page + page_cell_offset(page, index) + 2, child);
}

void page_set_value_ref(uint8_t *page, unsigned index, struct page_ref ref)
{
    uint8_t *at = page + page_cell_offset(page, index);
    unsigned word = get_u16(at);
    ASSERT((word & KEY_WORD_VALUE_OUT) != 0);
    page_ref_put(at + 6 + ((word & KEY_WORD_REST) != 0 ? PAGE_REF_BYTES : 0), ref);
}

void page_set_rest_ref(uint8_t *page, unsigned index, struct page_ref ref)
{
    uint8_t *at = page + page_cell_offset(page, index);
    unsigned word = get_u16(at);
    ASSERT((word & KEY_WORD_REST) != 0);
    bool leaf = page_kind(page) == PAGE_LEAF;
    bool out = (word & KEY_WORD_VALUE_OUT) != 0;
    page_ref_put(at + (leaf ? (out ? 6 : 4) : 2 + PAGE_REF_BYTES), ref);
}

void page_fill(uint8_t *page, const struct bytes *cells, unsigned count)
{
    bool leaf = page_kind(page) == PAGE_LEAF;
    unsigned to = PAGE_BYTES;
    for (unsigned i = 0; i < count; i++) {
        to -= (unsigned)cells[i].count;
        memcpy(page + to, cells[i].at, cells[i].count);
        put_u16(page + PAGE_SLOTS_AT + i * PAGE_SLOT_BYTES + 4, (uint16_t)to);
    }
    ASSERT(to >= PAGE_SLOTS_AT + count * PAGE_SLOT_BYTES);
    put_u16(page + 64, (uint16_t)count);
    put_u16(page + 66, (uint16_t)to);
    unsigned first = leaf ? 0 : 1;
    if (count > first)
        set_prefix(page, common_bytes(page_key(page, first), page_key(page, count - 1)));
}

bool page_is_ordered(const uint8_t *page)
{
    unsigned first = page_kind(page) == PAGE_LEAF ? 0 : 1;
    unsigned prefix = page_prefix(page);
    for (unsigned i = first; i < page_count(page); i++) {
        struct bytes key = page_key(page, i);
        if (get_u32(page_slot(page, i)) != key_head(key, prefix))
            return false;
        if (i == first)
            continue;
        struct bytes before = page_key(page, i - 1);
        int order = bytes_compare(before, key);
        if (order > 0 || (order == 0 && key.count < PAGE_KEY_BYTES_MAX) ||
            common_bytes(before, key) < prefix)
            return false;
    }
    return true;
}

/* ---- Overflow and free list ---- */

struct page_overflow_layout page_overflow_layout(uint32_t value_bytes)
{
    if (value_bytes <= PAGE_OVERFLOW_BYTES)
        return (struct page_overflow_layout){.pages = 1, .first_bytes = value_bytes};
    /* n further pages and the first, which also holds n refs. */
    unsigned n = (value_bytes - PAGE_OVERFLOW_BYTES + PAGE_OVERFLOW_BYTES - PAGE_REF_BYTES - 1) /
                 (PAGE_OVERFLOW_BYTES - PAGE_REF_BYTES);
    unsigned first = PAGE_OVERFLOW_BYTES - n * PAGE_REF_BYTES;
    return (struct page_overflow_layout){.pages = n + 1, .first_bytes = first};
}

void page_overflow_fill(uint8_t *page, const struct page_ref *refs, unsigned ref_count,
                        struct bytes data)
{
    ASSERT(ref_count * PAGE_REF_BYTES + data.count <= PAGE_OVERFLOW_BYTES);
    put_u16(page + 64, (uint16_t)ref_count);
    put_u16(page + 66, (uint16_t)data.count);
    for (unsigned i = 0; i < ref_count; i++)
        page_ref_put(page + PAGE_OVERFLOW_AT + i * PAGE_REF_BYTES, refs[i]);
    if (data.count > 0)
        memcpy(page + PAGE_OVERFLOW_AT + ref_count * PAGE_REF_BYTES, data.at, data.count);
}

void page_free_list_fill(uint8_t *page, struct page_ref next, struct bytes data)
{
    ASSERT(data.count <= PAGE_FREE_LIST_BYTES);
    page_ref_put(page + 64, next);
    put_u16(page + 76, (uint16_t)data.count);
    if (data.count > 0)
        memcpy(page + PAGE_FREE_LIST_AT, data.at, data.count);
}
