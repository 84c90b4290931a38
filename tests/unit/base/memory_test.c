/* heap, arena and buffer: bounds, failure of any allocation, and nothing left behind. */
#include "unit/cmocka_headers.h"

#include "base/arena.h"
#include "base/buffer.h"
#include "base/heap.h"

static void a_dropped_heap_leaves_nothing(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap, true);
    for (size_t bytes = 0; bytes < 100; bytes++) {
        uint8_t *at = heap_alloc_zero(&heap, bytes);
        assert_non_null(at);
        assert_int_equal((uintptr_t)at % 16, 0);
        for (size_t i = 0; i < bytes; i++)
            assert_int_equal(at[i], 0);
        if (bytes % 3 == 0)
            heap_free(&heap, at, bytes);
    }
    heap_drop(&heap); /* the sanitizer reports what it forgets */
    assert_int_equal(heap.bytes_used, 0);
}

static void a_heap_keeps_its_bound(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap, false);
    heap.bytes_max = 100;
    void *first = heap_alloc(&heap, 60);
    assert_non_null(first);
    assert_null(heap_alloc(&heap, 41));
    assert_null(heap_alloc(&heap, SIZE_MAX));
    void *second = heap_alloc(&heap, 40);
    assert_non_null(second);
    heap_free(&heap, first, 60);
    heap_free(&heap, second, 40);
    assert_int_equal(heap.bytes_used, 0);
}

static void an_arena_keeps_its_cap(void **state)
{
    (void)state;
    struct heap heap;
    struct arena arena;
    heap_init(&heap, false);
    arena_init(&arena, &heap, 64 * 1024);
    assert_int_equal(heap.bytes_used, 0);
    assert_non_null(arena_alloc(&arena, 0));
    size_t total = 0;
    for (size_t bytes = 1;; bytes = bytes * 3 / 2 + 1) {
        uint8_t *at = arena_alloc(&arena, bytes);
        if (at == NULL)
            break;
        assert_int_equal((uintptr_t)at % 8, 0);
        memset(at, 0xaa, bytes);
        total += bytes;
        assert_true(arena.bytes_used <= 64 * 1024);
    }
    assert_true(total > 16 * 1024);
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc_array(&arena, SIZE_MAX / 2, 3));
    arena_reset(&arena);
    assert_true(heap.bytes_used > 0); /* one chunk is kept */
    struct bytes text = arena_format(&arena, "%d-%s", 42, "abc");
    assert_true(bytes_equal(text, BYTES("42-abc")));
    struct bytes empty = arena_copy(&arena, (struct bytes){0});
    assert_true(empty.at != NULL && empty.count == 0);
    arena_release(&arena);
    assert_int_equal(heap.bytes_used, 0);
}

static void an_arena_survives_the_failure_of_any_allocation(void **state)
{
    (void)state;
    for (uint64_t failing = 1; failing < 8; failing++) {
        struct heap heap;
        struct arena arena;
        heap_init(&heap, false);
        arena_init(&arena, &heap, 1 << 20);
        heap.fail_after = failing;
        for (int i = 0; i < 12; i++) {
            uint8_t *at = arena_alloc(&arena, 10000);
            if (at != NULL)
                memset(at, 1, 10000);
        }
        arena_release(&arena);
        assert_int_equal(heap.bytes_used, 0);
    }
}

static void blocks_grow_and_keep_what_they_hold(void **state)
{
    (void)state;
    for (int tracked = 0; tracked < 2; tracked++) {
        struct heap heap;
        heap_init(&heap, tracked != 0);
        size_t bytes = 100;
        uint8_t *at = heap_alloc(&heap, bytes);
        assert_non_null(at);
        for (size_t i = 0; i < bytes; i++)
            at[i] = (uint8_t)i;
        for (; bytes < 8u << 20; bytes *= 4) {
            at = heap_grow(&heap, at, bytes, bytes * 4);
            assert_non_null(at);
            assert_int_equal(heap.bytes_used, bytes * 4);
            for (size_t i = 0; i < 100; i++)
                assert_int_equal(at[i], i);
        }
        heap.fail_after = 1;
        assert_null(heap_grow(&heap, at, bytes, bytes + 1));
        heap.bytes_max = bytes + 10;
        assert_null(heap_grow(&heap, at, bytes, bytes + 11));
        assert_int_equal(heap.bytes_used, bytes);
        assert_int_equal(at[99], 99);
        heap_free(&heap, at, bytes);
        assert_int_equal(heap.bytes_used, 0);
    }
}

static void a_buffer_that_is_full_stays_as_it_was(void **state)
{
    (void)state;
    struct heap heap;
    struct buffer buffer;
    heap_init(&heap, false);
    buffer_init(&buffer, &heap, 300);
    buffer_append_format(&buffer, "%s", "hello");
    buffer_append(&buffer, "", 0);
    uint8_t big[300] = {0};
    buffer_append(&buffer, big, sizeof(big));
    assert_true(buffer.failed);
    assert_true(bytes_equal(buffer_bytes(&buffer), BYTES("hello")));
    buffer_append_u8(&buffer, '!');
    assert_true(bytes_equal(buffer_bytes(&buffer), BYTES("hello"))); /* it stays failed */
    buffer_clear(&buffer);
    buffer_append(&buffer, big, sizeof(big));
    assert_false(buffer.failed);
    assert_int_equal(buffer.count, 300);
    buffer_release(&buffer);
    assert_int_equal(heap.bytes_used, 0);
}

static void a_budget_bounds_the_sum_and_leaves_room_for_what_is_small(void **state)
{
    (void)state;
    struct budget budget;
    budget_init(&budget, 1 << 20);
    assert_false(budget_draw(&budget, (1 << 20) - (1 << 17) + 1));
    assert_true(budget_draw(&budget, (1 << 20) - (1 << 17)));
    assert_false(budget_draw(&budget, BUDGET_SMALL_BYTES + 1));
    assert_true(budget_draw(&budget, BUDGET_SMALL_BYTES));
    assert_true(budget_draw(&budget, BUDGET_SMALL_BYTES));
    assert_false(budget_draw(&budget, 1));
    assert_int_equal(budget.refused, 3);
    budget_owe(&budget, 1000); /* what cannot be refused keeps out what can */
    budget_give(&budget, 1000);
    assert_false(budget_draw(&budget, 1));
    budget_give(&budget, 1 << 20);
    assert_int_equal(budget.used_bytes, 0);
    assert_false(budget_draw(&budget, SIZE_MAX));
    assert_true(budget_draw(NULL, SIZE_MAX));
    budget_give(NULL, SIZE_MAX);
}

static void an_arena_draws_its_large_chunks(void **state)
{
    (void)state;
    struct heap heap;
    struct arena arena;
    struct budget budget;
    heap_init(&heap, false);
    budget_init(&budget, 1 << 20);
    arena_init(&arena, &heap, 64 << 20);
    arena.budget = &budget;
    assert_non_null(arena_alloc(&arena, 4000));
    assert_int_equal(budget.used_bytes, 0);
    assert_non_null(arena_alloc(&arena, 40000));
    assert_true(budget.used_bytes >= 40000);
    assert_int_equal(arena_reserve(&arena, 500000), STATUS_OK);
    assert_true(budget.used_bytes >= 540000);
    assert_false(arena.refused);
    assert_null(arena_alloc(&arena, 900000));
    assert_true(arena.refused);
    assert_int_equal(arena_reserve(&arena, 900000), STATUS_NO_MEMORY);
    assert_non_null(arena_alloc(&arena, 1000)); /* small ones go on */
    arena_reset(&arena);
    assert_int_equal(budget.used_bytes, 0);
    assert_false(arena.refused);
    heap.fail_after = 1;
    assert_null(arena_alloc(&arena, 40000));
    assert_int_equal(budget.used_bytes, 0);
    arena_release(&arena);
    assert_int_equal(heap.bytes_used, 0);
}

static void a_buffer_draws_what_it_takes(void **state)
{
    (void)state;
    struct heap heap;
    struct buffer buffer;
    struct budget budget;
    heap_init(&heap, false);
    budget_init(&budget, 1000);
    buffer_init(&buffer, &heap, 1 << 20);
    buffer.budget = &budget;
    uint8_t bytes[600] = {0};
    buffer_append(&buffer, bytes, sizeof(bytes));
    assert_int_equal(budget.used_bytes, buffer.capacity);
    buffer_append(&buffer, bytes, sizeof(bytes));
    assert_true(buffer.failed && buffer.count == 600 && budget.refused == 1);
    buffer_clear(&buffer);
    buffer.owed = true;
    buffer_append(&buffer, bytes, sizeof(bytes));
    buffer_append(&buffer, bytes, sizeof(bytes));
    assert_true(!buffer.failed && buffer.count == 1200 && budget.refused == 1);
    assert_int_equal(budget.used_bytes, buffer.capacity);
    heap.fail_after = 1;
    assert_null(buffer_reserve(&buffer, 10000));
    assert_int_equal(budget.used_bytes, buffer.capacity);
    buffer_release(&buffer);
    assert_int_equal(budget.used_bytes, 0);
    assert_ptr_equal(buffer.budget, &budget);
    assert_int_equal(heap.bytes_used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_budget_bounds_the_sum_and_leaves_room_for_what_is_small),
        cmocka_unit_test(an_arena_draws_its_large_chunks),
        cmocka_unit_test(a_buffer_draws_what_it_takes),
        cmocka_unit_test(a_dropped_heap_leaves_nothing),
        cmocka_unit_test(a_heap_keeps_its_bound),
        cmocka_unit_test(an_arena_keeps_its_cap),
        cmocka_unit_test(an_arena_survives_the_failure_of_any_allocation),
        cmocka_unit_test(blocks_grow_and_keep_what_they_hold),
        cmocka_unit_test(a_buffer_that_is_full_stays_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
