/* Page numbers: the lowest first, none too early, and the encoded form. */
#include "unit/cmocka_headers.h"

#include <stdlib.h>

#include "base/prng.h"
#include "storage/page.h"
#include "storage/space.h"

static uint32_t take(struct space *space)
{
    space->numbers_reserved++;
    return space_take(space);
}

static void gives_the_lowest_number_when_nothing_refers_to_it(void **state)
{
    (void)state;
    struct heap heap;
    struct space space;
    heap_init(&heap, false);
    space_init(&space, &heap);
    assert_int_equal(space_resize(&space, 100), STATUS_OK);
    assert_int_equal(space.free_count, 100 - PAGE_NUMBER_FIRST);
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(take(&space), PAGE_NUMBER_FIRST + i);
    space.referred = 6;
    /* Epoch 7: page 17 is of epoch 3, page 18 was made in this one. */
    assert_int_equal(space_prepare_frees(&space, 7, 2), STATUS_OK);
    space_give(&space, 17, 3, 7);
    space_give(&space, 18, 7, 7);
    assert_int_equal(take(&space), PAGE_NUMBER_FIRST + 10);
    space_end_epoch(&space);
    assert_int_equal(take(&space), 18);
    space_settle(&space, 6);
    assert_int_equal(take(&space), PAGE_NUMBER_FIRST + 11);
    assert_int_equal(space_pending(&space, 0, 7), 1);
    assert_int_equal(space_pending(&space, 7, 9), 0);
    space_settle(&space, 7);
    assert_int_equal(take(&space), 17);
    assert_int_equal(space.pending_count, 0);
    space_release(&space);
    assert_int_equal(heap.bytes_used, 0);
}

static void encodes_and_decodes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct prng prng;
        struct heap heap;
        struct space space;
        struct space again;
        struct buffer encoded;
        uint32_t pages = 50 + (uint32_t)(seed * 37 % 900);
        prng_init(&prng, seed);
        heap_init(&heap, false);
        space_init(&space, &heap);
        space_init(&again, &heap);
        space.referred = 9;
        assert_int_equal(space_resize(&space, pages), STATUS_OK);
        assert_int_equal(space_prepare_frees(&space, 10, pages), STATUS_OK);
        uint8_t *fate = calloc(pages, 1); /* 0 free, 1 used, 2 pending */
        for (uint32_t n = PAGE_NUMBER_FIRST; n < pages; n++)
            assert_int_equal(take(&space), n);
        for (uint32_t n = PAGE_NUMBER_FIRST; n < pages; n++) {
            fate[n] = 1;
            uint64_t choice = prng_below(&prng, 4);
            if (choice == 0) {
                space_give(&space, n, 10, 10); /* of this epoch: free when it ends */
                fate[n] = 0;
            } else if (choice == 1) {
                space_give(&space, n, 4, 10);
                fate[n] = 2;
            }
        }
        buffer_init(&encoded, &heap, 1u << 20);
        space_encode(&space, 9, &encoded);
        assert_false(encoded.failed);
        assert_true(encoded.count <= space_encoded_bytes_max(&space, 0));
        uint32_t used_end;
        assert_int_equal(space_decode(&again, pages, buffer_bytes(&encoded), 10, &used_end),
                         STATUS_OK);
        uint32_t expected_end = pages;
        while (expected_end > PAGE_NUMBER_FIRST && fate[expected_end - 1] != 1)
            expected_end--;
        assert_int_equal(used_end, expected_end);
        for (uint32_t n = PAGE_NUMBER_FIRST; n < pages; n++)
            assert_int_equal(space_is_free(&again, n), fate[n] == 0);
        space_settle(&again, 10);
        for (uint32_t n = PAGE_NUMBER_FIRST; n < pages; n++)
            assert_int_equal(space_is_free(&again, n), fate[n] != 1);
        space_release(&again);
        /* Any bytes are decoded or refused. */
        for (unsigned i = 0; i < 200; i++) {
            encoded.at[prng_below(&prng, encoded.count)] ^= (uint8_t)(1u << prng_below(&prng, 8));
            enum status status = space_decode(&again, pages, buffer_bytes(&encoded), 10, &used_end);
            assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
            space_release(&again);
        }
        buffer_release(&encoded);
        space_release(&space);
        free(fate);
        assert_int_equal(heap.bytes_used, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_lowest_number_when_nothing_refers_to_it),
        cmocka_unit_test(encodes_and_decodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
