/* page.h - the bytes of one page of a forest: header, nodes (leaf and inner), overflow, free list.
 *
 * Pure functions on 8 KiB of memory: no I/O, no allocation.  All integers are little-endian.
 *
 *   offset size  header of every page
 *        0    8  checksum: XXH3-64 of bytes 8..8191, seeded with the forest's id
 *        8    8  tree id
 *       16    8  epoch in which it was written
 *       24    4  page number
 *       28    2  format, 1
 *       30    1  kind (enum page_kind)
 *       31    1  key id of encryption at rest, 0 = none
 *       32   12  room for a nonce, zero
 *       44   16  room for a tag, zero
 *       60    4  zero
 *
 *   offset size  node (leaf, inner)
 *       64    2  count of cells
 *       66    2  start: offset of the lowest cell
 *       68    2  holes: unused bytes between `start` and the end of the page
 *       70    2  prefix: bytes that the in-page keys have in common, at least (but for the empty
 *                first key of an inner page)
 *       72    1  level, 0 = leaf
 *       73    7  zero
 *       80  6*n  slots in order of keys: u32 head (the key's 4 bytes after the prefix, big-endian,
 *                padded with zeros), u16 offset of the cell
 *    start  ...  cells
 *
 *   leaf cell   u16 key word | u16 value bytes (u32 when the value is out) | [ref of the key's
 *   rest]
 *               | [ref of the value] | key, at most 1,024 bytes of it | value, unless it is out
 *   inner cell  u16 key word | ref of the child | [ref of the key's rest] | key, as above
 *   key word    bits 0..12 bytes of the whole key, bit 14 the value is out, bit 15 the key has a
 *   rest ref         u32 page number, u64 epoch
 *
 * Child i of an inner page holds keys k with key[i] <= k < key[i+1]; key[0] is empty and stands for
 * what is below all.
 *
 *   offset size  overflow
 *       64    2  count of refs of further pages (only in the first page of a value)
 *       66    2  data bytes in this page
 *       68    4  zero
 *       72 12*n  refs, then the data
 *
 *   offset size  free list
 *       64   12  ref of the next page, number 0 = none
 *       76    2  data bytes
 *       78    2  zero
 *       80  ...  data
 *
 * A page is valid if and only if page_verify and page_check find it so; only then may the other
 * functions be called on it.
 */
#ifndef STORAGE_PAGE_H
#define STORAGE_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/codec.h"
#include "base/compiler.h"
#include "base/status.h"
#include "storage/forest.h"
#include "storage/tree.h"

#define PAGE_BYTES           FOREST_PAGE_BYTES
#define PAGE_HEADER_BYTES    64u
#define PAGE_FORMAT          1u
#define PAGE_NUMBER_FIRST    16u /* pages below hold the superblocks */
#define PAGE_SLOTS_AT        80u
#define PAGE_SLOT_BYTES      6u
#define PAGE_REF_BYTES       12u
#define PAGE_NODE_BYTES      (PAGE_BYTES - PAGE_SLOTS_AT) /* for slots and cells */
#define PAGE_KEY_BYTES_MAX   1024u                        /* of one key, in the page */
#define PAGE_OVERFLOW_AT     72u
#define PAGE_OVERFLOW_BYTES  (PAGE_BYTES - PAGE_OVERFLOW_AT)
#define PAGE_FREE_LIST_AT    80u
#define PAGE_FREE_LIST_BYTES (PAGE_BYTES - PAGE_FREE_LIST_AT)
#define PAGE_CELL_BYTES_MAX                                                                        \
    (2u + 2u + PAGE_REF_BYTES + PAGE_KEY_BYTES_MAX + TREE_INLINE_VALUE_BYTES_MAX)
#define PAGE_SEPARATOR_BYTES_MAX (2u + 2u * PAGE_REF_BYTES + PAGE_KEY_BYTES_MAX + PAGE_SLOT_BYTES)

_Static_assert(2 * (PAGE_CELL_BYTES_MAX + PAGE_SLOT_BYTES) <= PAGE_NODE_BYTES, "two cells fit");
_Static_assert(TREE_KEY_BYTES_MAX - PAGE_KEY_BYTES_MAX <= PAGE_OVERFLOW_BYTES,
               "the rest of a key is one page");

enum page_kind { PAGE_LEAF = 1, PAGE_INNER = 2, PAGE_OVERFLOW = 3, PAGE_FREE_LIST = 4 };

/* The name of a page's content, for ever: where it is and when it was written.  Number 0: none. */
struct page_ref {
    uint32_t number;
    uint64_t epoch;
};

/* A cell taken apart; pointers are into the page. */
struct page_cell {
    struct bytes key;         /* what the page has of it */
    uint32_t key_bytes;       /* of the whole key */
    struct page_ref key_rest; /* when key_bytes > key.count */
    struct page_ref child;    /* inner: the child.  leaf: the value's first page, or none */
    struct bytes value;       /* leaf, in the page */
    uint32_t value_bytes;     /* leaf: of the whole value */
};

static inline bool page_ref_equal(struct page_ref a, struct page_ref b)
{
    return a.number == b.number && a.epoch == b.epoch;
}

static inline struct page_ref page_ref_get(const uint8_t *at)
{
    return (struct page_ref){.number = get_u32(at), .epoch = get_u64(at + 4)};
}

static inline void page_ref_put(uint8_t *at, struct page_ref ref)
{
    put_u32(at, ref.number);
    put_u64(at + 4, ref.epoch);
}

/* ---- Header ---- */

static inline uint64_t page_tree_id(const uint8_t *page)
{
    return get_u64(page + 8);
}

static inline uint64_t page_epoch(const uint8_t *page)
{
    return get_u64(page + 16);
}

static inline uint32_t page_number(const uint8_t *page)
{
    return get_u32(page + 24);
}

static inline enum page_kind page_kind(const uint8_t *page)
{
    return (enum page_kind)page[30];
}

/* Make an empty page of this kind; `level` is for nodes.  All bytes are set. */
void page_init(uint8_t *page, enum page_kind kind, unsigned level, uint64_t tree_id,
               struct page_ref ref);

/* Give the page another name; the content stays. */
void page_rename(uint8_t *page, struct page_ref ref);

/* Set the checksum: the last change before it is written. */
void page_seal(uint8_t *page, uint64_t forest_id);

/* Is this the page that `ref` of `tree_id` names, whole?
 *   STATUS_CORRUPT  the checksum, tree, number or epoch is another
 *   STATUS_VERSION  it verifies, but its format is newer */
MUST_USE enum status page_verify(const uint8_t *page, uint64_t forest_id, uint64_t tree_id,
                                 struct page_ref ref);

/* Is the content well-formed, so that every other function here stays within the page?
 *   STATUS_CORRUPT  no */
MUST_USE enum status page_check(const uint8_t *page);

/* ---- Nodes ---- */

static inline unsigned page_count(const uint8_t *page)
{
    return get_u16(page + 64);
}

static inline unsigned page_level(const uint8_t *page)
{
    return page[72];
}

static inline unsigned page_start(const uint8_t *page)
{
    return get_u16(page + 66);
}

static inline unsigned page_holes(const uint8_t *page)
{
    return get_u16(page + 68);
}

static inline unsigned page_prefix(const uint8_t *page)
{
    return get_u16(page + 70);
}

/* Begin to bring the lines that a search reads first into the processor's cache. */
static inline void page_prefetch(const uint8_t *page)
{
    __builtin_prefetch(page + 64);
    __builtin_prefetch(page + 128);
    __builtin_prefetch(page + 192);
    __builtin_prefetch(page + 256);
}

/* Bytes that further cells and their slots may take. */
static inline unsigned page_free(const uint8_t *page)
{
    return page_start(page) + page_holes(page) - PAGE_SLOTS_AT - page_count(page) * PAGE_SLOT_BYTES;
}

/* Bytes that cells and their slots take. */
static inline unsigned page_used(const uint8_t *page)
{
    return PAGE_NODE_BYTES - page_free(page);
}

static inline const uint8_t *page_slot(const uint8_t *page, unsigned index)
{
    return page + PAGE_SLOTS_AT + index * PAGE_SLOT_BYTES;
}

static inline unsigned page_cell_offset(const uint8_t *page, unsigned index)
{
    return get_u16(page_slot(page, index) + 4);
}

/* Take cell `index` apart; index < count. */
void page_cell_get(const uint8_t *page, unsigned index, struct page_cell *cell);

/* The same for the bytes of a cell, of a leaf or not. */
void page_cell_parse(const uint8_t *at, bool leaf, struct page_cell *cell);

/* The bytes of cell `index`, as they lie in the page. */
struct bytes page_cell_bytes(const uint8_t *page, unsigned index);

/* The child of cell `index` of an inner page. */
static inline struct page_ref page_child(const uint8_t *page, unsigned index)
{
    return page_ref_get(page + page_cell_offset(page, index) + 2);
}

/* Begin to bring the keys that page_find will compare with `key` into the processor's cache, if
 * this is a leaf; its slots should be there already (page_prefetch). */
void page_prefetch_keys(const uint8_t *page, struct bytes key);

/* The same for the rest of a cell, as much as a small item has. */
void page_prefetch_value(const uint8_t *page, unsigned index);

/* How page_find asks for the rest of a long key: its bytes, or NULL when they are not in memory. */
struct page_rests {
    const uint8_t *(*find)(void *owner, struct page_ref ref, uint32_t *bytes);
    void *owner;
};

/* The first cell of a node whose key is not below `key` (an inner page's empty first key is below
 * every key); *exact: it is equal.  Returns false when the rest of a key must be loaded first:
 * *missing says which. */
MUST_USE bool page_find(const uint8_t *page, struct bytes key, const struct page_rests *rests,
                        unsigned *index, bool *exact, struct page_ref *missing);

/* Is `key` that of cell `index`, and whole in the page?  There need not be such a cell. */
bool page_has_key(const uint8_t *page, unsigned index, struct bytes key);

/* < 0, 0, > 0 as `key` is to the cell's key; false: *missing must be loaded first. */
MUST_USE bool page_compare(struct bytes key, const struct page_cell *cell,
                           const struct page_rests *rests, int *order, struct page_ref *missing);

/* Write a leaf cell's bytes at `to` (PAGE_CELL_BYTES_MAX), and return how many.  `value_out` names
 * the value's first page, or none; `value` is then only its length. */
unsigned page_leaf_cell_put(uint8_t *to, struct bytes key, struct page_ref key_rest,
                            struct bytes value, struct page_ref value_out);

/* The same for an inner cell (PAGE_SEPARATOR_BYTES_MAX); `key` may be empty. */
unsigned page_inner_cell_put(uint8_t *to, struct bytes key, struct page_ref key_rest,
                             struct page_ref child);

/* Insert a cell before `index`; the caller knows that it belongs there and that page_free holds
 * it and its slot.  Closes the holes when it must, with `scratch` of a page's size. */
void page_insert(uint8_t *page, unsigned index, struct bytes cell, uint8_t *scratch);

/* Put a cell with the key of cell `index` in its place, if it has as many bytes; else nothing is
 * done. */
MUST_USE bool page_overwrite(uint8_t *page, unsigned index, struct bytes cell);

/* Remove cell `index`. */
void page_remove(uint8_t *page, unsigned index);

/* Set the child of cell `index` of an inner page. */
void page_set_child(uint8_t *page, unsigned index, struct page_ref child);

/* Set the reference to the value of leaf cell `index`, which is out; or to the rest of a key. */
void page_set_value_ref(uint8_t *page, unsigned index, struct page_ref ref);
void page_set_rest_ref(uint8_t *page, unsigned index, struct page_ref ref);

/* Fill an empty node with these cells, in order; they fit.  The first of an inner page has an empty
 * key. */
void page_fill(uint8_t *page, const struct bytes *cells, unsigned count);

/* Do the keys of the node, as far as they are in the page, ascend, and are heads and prefix right?
 * For forest_verify. */
bool page_is_ordered(const uint8_t *page);

/* ---- Overflow and free list ---- */

static inline unsigned page_overflow_refs(const uint8_t *page)
{
    return get_u16(page + 64);
}

static inline struct page_ref page_overflow_ref(const uint8_t *page, unsigned index)
{
    return page_ref_get(page + PAGE_OVERFLOW_AT + index * PAGE_REF_BYTES);
}

/* The data in this page. */
static inline struct bytes page_overflow_data(const uint8_t *page)
{
    return bytes_of(page + PAGE_OVERFLOW_AT + page_overflow_refs(page) * PAGE_REF_BYTES,
                    get_u16(page + 66));
}

/* How many pages a value of this size takes in all, and how much of it is in the first. */
struct page_overflow_layout {
    unsigned pages;
    unsigned first_bytes;
};

struct page_overflow_layout page_overflow_layout(uint32_t value_bytes);

/* Set refs and data of an empty overflow page. */
void page_overflow_fill(uint8_t *page, const struct page_ref *refs, unsigned ref_count,
                        struct bytes data);

static inline struct page_ref page_free_list_next(const uint8_t *page)
{
    return page_ref_get(page + 64);
}

static inline struct bytes page_free_list_data(const uint8_t *page)
{
    return bytes_of(page + PAGE_FREE_LIST_AT, get_u16(page + 76));
}

void page_free_list_fill(uint8_t *page, struct page_ref next, struct bytes data);

#endif
