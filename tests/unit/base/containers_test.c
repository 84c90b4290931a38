/* hash map, list, reader, histogram, log lines, seeded generator, words. */
#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/codec.h"
#include "base/hash_map.h"
#include "base/list.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/prng.h"
#include "base/status.h"
#include "base/words.h"

#define ITEMS 200u

struct item {
    char key[8];
    bool live;
    uint64_t inserted; /* when: the order of iteration */
};

static struct bytes item_key(const struct item *item)
{
    return bytes_of_text(item->key);
}

static void check_order(const struct hash_map *map)
{
    uint32_t position = 0, seen = 0;
    uint64_t last = 0;
    const struct item *item;
    while ((item = hash_map_next(map, &position)) != NULL) {
        assert_true(item->live && item->inserted > last);
        last = item->inserted;
        seen++;
    }
    assert_int_equal(seen, map->live);
}

static void a_hash_map_agrees_with_an_array(void **state)
{
    (void)state;
    struct heap heap;
    struct hash_map map;
    struct prng prng;
    static struct item items[ITEMS];
    heap_init(&heap, false);
    prng_init(&prng, 7);
    hash_map_init(&map, &heap, ITEMS / 2, 1234);
    uint32_t live = 0;
    for (uint32_t i = 0; i < ITEMS; i++)
        snprintf(items[i].key, sizeof(items[i].key), "k%u", i);
    for (uint64_t step = 1; step <= 20000; step++) {
        struct item *item = &items[prng_below(&prng, ITEMS)];
        assert_ptr_equal(hash_map_find(&map, item_key(item)), item->live ? item : NULL);
        if (item->live) {
            assert_ptr_equal(hash_map_remove(&map, item_key(item)), item);
            item->live = false;
            live--;
        } else {
            enum status status = hash_map_insert(&map, item_key(item), item);
            assert_int_equal(status, live < ITEMS / 2 ? STATUS_OK : STATUS_BUSY);
            item->live = status == STATUS_OK;
            item->inserted = step;
            live += item->live;
        }
        if (step % 500 == 0)
            check_order(&map);
    }
    assert_null(hash_map_remove(&map, BYTES("none")));
    hash_map_release(&map);
    assert_int_equal(heap.bytes_used, 0);
}

static void a_hash_map_survives_the_failure_of_any_allocation(void **state)
{
    (void)state;
    static struct item items[32];
    for (uint64_t failing = 1; failing < 10; failing++) {
        struct heap heap;
        struct hash_map map;
        heap_init(&heap, false);
        hash_map_init(&map, &heap, 100, 1);
        heap.fail_after = failing;
        uint32_t inserted = 0;
        for (uint32_t i = 0; i < 32; i++) {
            snprintf(items[i].key, sizeof(items[i].key), "k%u", i);
            if (hash_map_insert(&map, item_key(&items[i]), &items[i]) == STATUS_OK)
                inserted++;
        }
        assert_int_equal(map.live, inserted);
        hash_map_release(&map);
        assert_int_equal(heap.bytes_used, 0);
    }
}

static void a_list_keeps_order(void **state)
{
    (void)state;
    struct node {
        struct list link;
        int number;
    } nodes[5];
    struct list list, other;
    list_init(&list);
    list_init(&other);
    assert_null(list_pop_front(&list));
    for (int i = 0; i < 5; i++) {
        nodes[i].number = i;
        list_push_back(i < 3 ? &list : &other, &nodes[i].link);
    }
    list_append_all(&list, &other);
    assert_true(list_empty(&other));
    int expected = 0;
    LIST_FOR_EACH (at, &list) {
        assert_int_equal(LIST_ITEM(at, struct node, link)->number, expected);
        expected++;
    }
    assert_int_equal(expected, 5);
    list_remove(&nodes[2].link);
    list_remove(&nodes[2].link); /* harmless */
    list_push_front(&list, &nodes[2].link);
    assert_ptr_equal(list_pop_front(&list), &nodes[2].link);
    assert_ptr_equal(list_pop_front(&list), &nodes[0].link);
}

static void a_reader_never_runs_past_its_end(void **state)
{
    (void)state;
    uint8_t bytes[15];
    for (uint8_t i = 0; i < 15; i++)
        bytes[i] = i;
    for (size_t count = 0; count < 15; count++) {
        struct reader r = reader_of(bytes_of(bytes, count));
        (void)read_u8(&r);
        (void)read_u16(&r);
        (void)read_u32(&r);
        (void)read_u64(&r);
        assert_true(r.failed);
        assert_int_equal(read_u8(&r), 0);
    }
    struct reader r = reader_of(bytes_of(bytes, 15));
    assert_int_equal(read_u8(&r), 0);
    assert_int_equal(read_u16(&r), 0x0201);
    assert_true(read_u32(&r) == 0x06050403 && read_u64(&r) == UINT64_C(0x0e0d0c0b0a090807));
    assert_false(r.failed);
    assert_int_equal(reader_left(&r), 0);
}

static void a_histogram_knows_its_values_within_a_quarter(void **state)
{
    (void)state;
    struct histogram h = {0};
    for (uint64_t value = 0; value < 1000; value++)
        histogram_record(&h, value);
    assert_int_equal(h.count, 1000);
    assert_int_equal(h.sum, 499500);
    uint64_t seen = 0;
    for (uint32_t b = 0; b + 1 < HISTOGRAM_BUCKETS; b++) {
        assert_int_equal(histogram_bucket(histogram_bound(b) - 1), b);
        assert_int_equal(histogram_bucket(histogram_bound(b)), b + 1);
        assert_true(histogram_bound(b + 1) <= histogram_bound(b) + MAX(histogram_bound(b) / 4, 1u));
        seen += h.buckets[b];
        assert_int_equal(seen, MIN(histogram_bound(b), 1000u));
    }
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void keep_line(void *sink, enum log_level level, struct bytes line)
{
    (void)level;
    snprintf(sink, 1100, "%.*s", BYTES_ARGS(line));
}

static void a_log_line_is_one_line(void **state)
{
    (void)state;
    char line[1100] = "";
    struct log log = {.level_max = LOG_INFO, .write = keep_line, .sink = line};
    log_line(&log, LOG_DEBUG, "room", "too fine");
    assert_string_equal(line, "");
    log_line(&log, LOG_ERROR, "room", "table %s", "a\nb\x01");
    assert_string_equal(line, "error room: table a b ");
    char big[3000];
    memset(big, 'x', sizeof(big));
    big[sizeof(big) - 1] = 0;
    log_line(&log, LOG_INFO, "room", "%s", big);
    assert_int_equal(strlen(line), 999);
    log_line(NULL, LOG_ERROR, "room", "no sink");
}

static void every_status_has_a_name_and_a_text(void **state)
{
    (void)state;
    for (int s = 0; s < STATUS_COUNT; s++) {
        assert_non_null(status_name((enum status)s));
        assert_true(strlen(status_text((enum status)s)) > 0);
    }
    assert_string_equal(status_name(STATUS_NO_SPACE), "NO_SPACE");
    assert_string_equal(status_name(STATUS_COUNT), "UNKNOWN_STATUS");
}

static void the_generator_repeats_itself(void **state)
{
    (void)state;
    struct prng a, b, other;
    prng_init(&a, 5);
    prng_init(&b, 5);
    prng_init(&other, 6);
    uint64_t same = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t value = prng_u64(&a);
        assert_true(value == prng_u64(&b));
        same += value == prng_u64(&other);
        assert_true(prng_below(&a, 10) < 10);
        (void)prng_below(&b, 10);
    }
    assert_int_equal(same, 0);
}

static void words_are_found_in_any_case(void **state)
{
    (void)state;
    static const char words[][8] = {"AND", "ANY", "A_B", "BETWEEN", "X"};
    static const char *const none[] = {"", "A", "AN", "ANDY", "A-B", "BET", "BETWEENS", "\x01"};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        char lower[8] = {0};
        for (size_t c = 0; words[i][c] != 0; c++)
            lower[c] =
                (char)(words[i][c] >= 'A' && words[i][c] <= 'Z' ? words[i][c] + 32 : words[i][c]);
        struct bytes text = bytes_of_text(lower);
        assert_true(word_is_among(text, words[0], 8, ARRAY_COUNT(words)));
        assert_true(word_is_among(bytes_of_text(words[i]), words[0], 8, ARRAY_COUNT(words)));
        assert_true(word_is(text, words[i]) && word_is(bytes_of_text(words[i]), lower));
        for (size_t n = 0; n < ARRAY_COUNT(none); n++)
            assert_false(word_is(bytes_of_text(none[n]), words[i]));
    }
    for (size_t n = 0; n < ARRAY_COUNT(none); n++)
        assert_false(word_is_among(bytes_of_text(none[n]), words[0], 8, ARRAY_COUNT(words)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hash_map_agrees_with_an_array),
        cmocka_unit_test(a_hash_map_survives_the_failure_of_any_allocation),
        cmocka_unit_test(a_list_keeps_order),
        cmocka_unit_test(a_reader_never_runs_past_its_end),
        cmocka_unit_test(a_histogram_knows_its_values_within_a_quarter),
        cmocka_unit_test(a_log_line_is_one_line),
        cmocka_unit_test(every_status_has_a_name_and_a_text),
        cmocka_unit_test(the_generator_repeats_itself),
        cmocka_unit_test(words_are_found_in_any_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
