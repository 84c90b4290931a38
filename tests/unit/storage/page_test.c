/* Pages in memory: nodes against a sorted array, what page_check lets through, large values. */
#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"
#include "storage/page.h"

#define FOREST_ID UINT64_C(0x1234)

static const uint8_t *no_rest(void *owner, struct page_ref ref, uint32_t *bytes)
{
    (void)owner;
    (void)ref;
    (void)bytes;
    return NULL;
}

static const struct page_rests no_rests = {.find = no_rest};

static struct page_ref ref_of(uint32_t number)
{
    return (struct page_ref){.number = number, .epoch = 5};
}

struct entry {
    uint8_t key[40];
    size_t key_bytes;
    uint8_t value[300];
    size_t value_bytes;
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    return bytes_compare(bytes_of(x->key, x->key_bytes), bytes_of(y->key, y->key_bytes));
}

static void random_entry(struct prng *prng, unsigned common, struct entry *entry)
{
    entry->key_bytes = common + 1 + (size_t)prng_below(prng, sizeof(entry->key) - common - 1);
    memset(entry->key, 'p', common);
    for (size_t i = common; i < entry->key_bytes; i++)
        entry->key[i] = (uint8_t[]){0, 1, 'm', 255}[prng_below(prng, 4)];
    entry->value_bytes = (size_t)prng_below(prng, sizeof(entry->value) + 1);
    memset(entry->value, (int)prng_below(prng, 256), entry->value_bytes);
}

static void check_leaf(uint8_t *page, const struct entry *entries, unsigned count)
{
    assert_int_equal(page_check(page), STATUS_OK);
    assert_true(page_is_ordered(page));
    assert_int_equal(page_count(page), count);
    for (unsigned i = 0; i < count; i++) {
        struct page_cell cell;
        unsigned index;
        bool exact;
        struct page_ref missing;
        page_cell_get(page, i, &cell);
        assert_int_equal(cell.key.count, entries[i].key_bytes);
        assert_memory_equal(cell.key.at, entries[i].key, entries[i].key_bytes);
        assert_int_equal(cell.value.count, entries[i].value_bytes);
        if (cell.value.count > 0)
            assert_memory_equal(cell.value.at, entries[i].value, entries[i].value_bytes);
        assert_true(page_find(page, cell.key, &no_rests, &index, &exact, &missing));
        assert_true(exact);
        assert_int_equal(index, i);
    }
}

static void a_leaf_is_a_sorted_array(void **state)
{
    (void)state;
    static uint8_t page[PAGE_BYTES];
    static uint8_t scratch[PAGE_BYTES];
    static struct entry entries[400];
    uint8_t bytes[PAGE_CELL_BYTES_MAX];
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct prng prng;
        unsigned count = 0;
        unsigned common = (unsigned)(seed % 7) * 4;
        prng_init(&prng, seed);
        page_init(page, PAGE_LEAF, 0, 9, ref_of(20));
        for (unsigned step = 0; step < 600; step++) {
            struct entry entry;
            unsigned index;
            bool exact;
            struct page_ref missing;
            random_entry(&prng, prng_one_in(&prng, 50) ? 0 : common, &entry);
            struct bytes key = bytes_of(entry.key, entry.key_bytes);
            assert_true(page_find(page, key, &no_rests, &index, &exact, &missing));
            /* Where the array would have it. */
            unsigned at = 0;
            while (at < count && compare_entries(&entries[at], &entry) < 0)
                at++;
            assert_int_equal(index, at);
            assert_int_equal(exact, at < count && compare_entries(&entries[at], &entry) == 0);
            if (exact && prng_one_in(&prng, 2)) {
                struct entry *old = &entries[at];
                size_t value_bytes = prng_one_in(&prng, 2) ? entry.value_bytes : old->value_bytes;
                unsigned cell =
                    page_leaf_cell_put(bytes, key, (struct page_ref){0},
                                       bytes_of(entry.value, value_bytes), (struct page_ref){0});
                /* Lengths of the same number of bytes, and so a cell that fits. */
                bool same = value_bytes == old->value_bytes;
                assert_int_equal(page_overwrite(page, at, bytes_of(bytes, cell)), same);
                if (same)
                    memcpy(old->value, entry.value, value_bytes);
                check_leaf(page, entries, count);
                continue;
            }
            if (exact || (count > 0 && prng_one_in(&prng, 3))) {
                unsigned gone = exact ? at : (unsigned)prng_below(&prng, count);
                page_remove(page, gone);
                memmove(entries + gone, entries + gone + 1,
                        (count - gone - 1) * sizeof(entries[0]));
                count--;
                continue;
            }
            unsigned cell =
                page_leaf_cell_put(bytes, key, (struct page_ref){0},
                                   bytes_of(entry.value, entry.value_bytes), (struct page_ref){0});
            if (page_free(page) < cell + PAGE_SLOT_BYTES)
                continue;
            page_insert(page, at, bytes_of(bytes, cell), scratch);
            memmove(entries + at + 1, entries + at, (count - at) * sizeof(entries[0]));
            entries[at] = entry;
            count++;
            if (step % 20 == 0)
                check_leaf(page, entries, count);
        }
        check_leaf(page, entries, count);
    }
}

static void is_what_its_reference_says(void **state)
{
    (void)state;
    static uint8_t page[PAGE_BYTES];
    page_init(page, PAGE_OVERFLOW, 0, 9, ref_of(20));
    page_seal(page, FOREST_ID);
    assert_int_equal(page_verify(page, FOREST_ID, 9, ref_of(20)), STATUS_OK);
    assert_int_equal(page_verify(page, FOREST_ID + 1, 9, ref_of(20)), STATUS_CORRUPT);
    assert_int_equal(page_verify(page, FOREST_ID, 8, ref_of(20)), STATUS_CORRUPT);
    assert_int_equal(page_verify(page, FOREST_ID, 9, ref_of(21)), STATUS_CORRUPT);
    assert_int_equal(page_verify(page, FOREST_ID, 9, (struct page_ref){.number = 20, .epoch = 6}),
                     STATUS_CORRUPT);
    for (unsigned at = 0; at < PAGE_BYTES; at += 1 + at / 64) {
        page[at] ^= 0x10;
        assert_int_equal(page_verify(page, FOREST_ID, 9, ref_of(20)), STATUS_CORRUPT);
        page[at] ^= 0x10;
    }
    put_u16(page + 28, 2);
    page_seal(page, FOREST_ID);
    assert_int_equal(page_verify(page, FOREST_ID, 9, ref_of(20)), STATUS_VERSION);
}

static void malformed_nodes_are_refused(void **state)
{
    (void)state;
    static uint8_t page[PAGE_BYTES];
    static uint8_t scratch[PAGE_BYTES];
    uint8_t bytes[PAGE_CELL_BYTES_MAX];
    page_init(page, PAGE_LEAF, 0, 9, ref_of(20));
    unsigned cell = page_leaf_cell_put(bytes, BYTES("key"), (struct page_ref){0}, BYTES("value"),
                                       (struct page_ref){0});
    page_insert(page, 0, bytes_of(bytes, cell), scratch);
    assert_int_equal(page_check(page), STATUS_OK);
    static const struct {
        unsigned at;
        uint16_t value;
    } bad[] = {
        {64, 2},     /* a slot that leads nowhere */
        {64, 60000}, /* slots beyond the page */
        {66, 70},    /* cells below the slots */
        {66, 8193},
        {68, 1},
        {70, 4},
        {72, 1},
        {84, 79}, /* an offset below the cells */
        {84, 8191},
        {84, 8190},
        {8180, 0}, /* an empty key */
        {8180, 3 | 0x8000},
        {8180, 3 | 0x4000},
        {8182, 2049},
        {8182, 6},
    };
    assert_int_equal(page_start(page), 8180);
    for (unsigned i = 0; i < ARRAY_COUNT(bad); i++) {
        uint16_t before = get_u16(page + bad[i].at);
        put_u16(page + bad[i].at, bad[i].value);
        assert_int_equal(page_check(page), STATUS_CORRUPT);
        put_u16(page + bad[i].at, before);
    }
    assert_int_equal(page_check(page), STATUS_OK);
}

static void values_are_divided_over_pages(void **state)
{
    (void)state;
    for (uint32_t bytes = TREE_INLINE_VALUE_BYTES_MAX + 1; bytes <= TREE_VALUE_BYTES_MAX;
         bytes += 1 + bytes / 300) {
        struct page_overflow_layout layout = page_overflow_layout(bytes);
        uint32_t further = (layout.pages - 1) * PAGE_OVERFLOW_BYTES;
        assert_true(layout.first_bytes + (layout.pages - 1) * PAGE_REF_BYTES <=
                    PAGE_OVERFLOW_BYTES);
        assert_true(layout.first_bytes <= bytes);
        assert_true(layout.first_bytes + further >= bytes);
        assert_true(layout.pages == 1 ||
                    layout.first_bytes + further - bytes < PAGE_OVERFLOW_BYTES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leaf_is_a_sorted_array),
        cmocka_unit_test(is_what_its_reference_says),
        cmocka_unit_test(malformed_nodes_are_refused),
        cmocka_unit_test(values_are_divided_over_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
