/* Keys as bytes: their order, their limits, and the ranges that prefixes and shares cut. */
#include "model/key.h"

#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/checksum.h"
#include "base/codec.h"
#include "base/prng.h"

#define SEED UINT64_C(0x5eed)

struct fixture {
    struct heap heap;
    struct buffer buffer;
};

static void setup(struct fixture *f)
{
    heap_init(&f->heap, false);
    buffer_init(&f->buffer, &f->heap, 1u << 20);
}

static void teardown(struct fixture *f)
{
    buffer_release(&f->buffer);
    assert_int_equal(f->heap.bytes_used, 0);
}

static struct value finish(struct value_writer *w)
{
    struct value value;
    assert_int_equal(value_writer_finish(w, &value), STATUS_OK);
    return value;
}

/* A value in memory of its own: `into` holds it. */
static struct value run_value(enum value_type type, struct bytes content, uint8_t *into)
{
    struct heap heap;
    struct buffer b;
    struct value_writer w;
    heap_init(&heap, false);
    buffer_init(&b, &heap, 8192);
    value_writer_init(&w, &b);
    if (type == VALUE_S)
        value_write_string(&w, content);
    else
        value_write_binary(&w, content);
    struct value value = finish(&w);
    memcpy(into, value.at, value.bytes);
    value.at = into;
    buffer_release(&b);
    return value;
}

static struct value number_value(const char *text, uint8_t *into)
{
    struct number number;
    enum number_fault fault;
    assert_int_equal(number_parse(bytes_of_text(text), &number, &fault), STATUS_OK);
    into[0] = VALUE_N;
    into[1] = (uint8_t)number_encode(&number, into + 2);
    return (struct value){into, 2u + into[1]};
}

static void has_the_documented_layout(void **state)
{
    (void)state;
    uint8_t a[64], b[64];
    struct value pk = run_value(VALUE_S, BYTES("user"), a);
    struct value sk = run_value(VALUE_B, BYTES("\1\2"), b);
    struct key key;
    key_encode(&key, SEED, pk, sk);
    assert_int_equal(key.count, 8 + 2 + 4 + 1 + 2);
    assert_true(get_u64_be(key.at) == checksum64(BYTES("user"), SEED));
    assert_int_equal(get_u16_be(key.at + 8), 4);
    assert_memory_equal(key.at + 10, "user\0\1\2", 7);
    struct key alone;
    key_encode(&alone, SEED, pk, VALUE_ABSENT);
    assert_true(bytes_equal(key_bytes(&alone), bytes_of(key.at, 15)));
    struct key collection;
    key_encode_collection(&collection, SEED, pk);
    assert_true(bytes_equal(key_bytes(&alone), key_bytes(&collection)));
    key_encode(&alone, SEED + 1, pk, VALUE_ABSENT);
    assert_memory_not_equal(alone.at, key.at, 8);
}

static void sorts_by_the_sort_key(void **state)
{
    (void)state;
    static const char *const numbers[] = {"-1e125",  "-10", "-9.99",  "-9.9", "-1",
                                          "-1e-130", "0",   "1e-130", "0.5",  "1",
                                          "1.01",    "9.9", "10",     "1e125"};
    static const char *const texts[] = {"", "a", "a ", "aa", "b", "\x7f", "\xc3\xa9"};
    uint8_t pk_bytes[64], at[64];
    struct value pk = number_value("7", pk_bytes);
    struct key last, key;
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        key_encode(&key, SEED, pk, number_value(numbers[i], at));
        if (i > 0)
            assert_true(bytes_compare(key_bytes(&last), key_bytes(&key)) < 0);
        last = key;
    }
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        key_encode(&key, SEED, pk, run_value(VALUE_S, bytes_of_text(texts[i]), at));
        if (i > 0)
            assert_true(bytes_compare(key_bytes(&last), key_bytes(&key)) < 0);
        last = key;
    }
    /* Equal numbers are one key, however they were written. */
    struct key other;
    key_encode(&key, SEED, number_value("1.0", pk_bytes), number_value("10", at));
    key_encode(&other, SEED, number_value("1", pk_bytes), number_value("1e1", at));
    assert_true(bytes_equal(key_bytes(&key), key_bytes(&other)));
}

/* Whatever bytes keys are made of, all items of a partition key lie between its collection and what
 * follows it, and no others. */
static void a_collection_is_one_range(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 8);
    for (int i = 0; i < 5000; i++) {
        uint8_t content[2][8], sort[8], a[64], b[64], c[64];
        size_t counts[2];
        for (int j = 0; j < 2; j++) {
            counts[j] = prng_below(&prng, 8);
            for (size_t k = 0; k < counts[j]; k++)
                content[j][k] = prng_one_in(&prng, 2) ? 0xff : 0;
        }
        size_t sort_count = prng_below(&prng, 8);
        memset(sort, prng_one_in(&prng, 2) ? 0xff : 0, sizeof(sort));
        struct value pk = run_value(VALUE_B, bytes_of(content[0], counts[0]), a);
        struct value other = run_value(VALUE_B, bytes_of(content[1], counts[1]), b);
        struct value sk = run_value(VALUE_B, bytes_of(sort, sort_count), c);
        struct key low, high, key;
        key_encode_collection(&low, SEED, pk);
        assert_true(key_after_prefix(&high, key_bytes(&low)));
        key_encode(&key, SEED, pk, sk);
        assert_true(bytes_compare(key_bytes(&low), key_bytes(&key)) <= 0);
        assert_true(bytes_compare(key_bytes(&key), key_bytes(&high)) < 0);
        if (value_equal(pk, other))
            continue;
        key_encode(&key, SEED, other, sk);
        assert_true(bytes_compare(key_bytes(&key), key_bytes(&low)) < 0 ||
                    bytes_compare(key_bytes(&key), key_bytes(&high)) >= 0);
    }
}

static void the_longest_keys_fit(void **state)
{
    (void)state;
    static uint8_t content[KEY_PARTITION_BYTES_MAX];
    uint8_t pk_bytes[KEY_PARTITION_BYTES_MAX + 8], sk_bytes[KEY_SORT_BYTES_MAX + 8];
    for (int fill = 0; fill <= 0xff; fill += 0xff) {
        memset(content, fill, sizeof(content));
        struct value pk = run_value(VALUE_B, bytes_of(content, KEY_PARTITION_BYTES_MAX), pk_bytes);
        struct value sk = run_value(VALUE_B, bytes_of(content, KEY_SORT_BYTES_MAX), sk_bytes);
        struct key key, after, shorter;
        key_encode(&key, SEED, pk, sk);
        assert_int_equal(key.count, KEY_ITEM_BYTES_MAX);
        assert_true(key_after_prefix(&after, key_bytes(&key)));
        assert_true(bytes_compare(key_bytes(&key), key_bytes(&after)) < 0);
        sk = run_value(VALUE_B, bytes_of(content, KEY_SORT_BYTES_MAX - 1), sk_bytes);
        key_encode(&shorter, SEED, pk, sk);
        assert_true(bytes_compare(key_bytes(&shorter), key_bytes(&key)) < 0);
    }
}

static void after_a_prefix_comes_the_next(void **state)
{
    (void)state;
    static const struct {
        struct bytes prefix, after;
        bool is;
    } cases[] = {
        {{(const uint8_t *)"", 0}, {(const uint8_t *)"", 0}, false},
        {{(const uint8_t *)"\xff\xff", 2}, {(const uint8_t *)"", 0}, false},
        {{(const uint8_t *)"a", 1}, {(const uint8_t *)"b", 1}, true},
        {{(const uint8_t *)"a\xff\xff", 3}, {(const uint8_t *)"b", 1}, true},
        {{(const uint8_t *)"\0\0", 2}, {(const uint8_t *)"\0\1", 2}, true},
        {{(const uint8_t *)"\xfe\xff", 2}, {(const uint8_t *)"\xff", 1}, true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct key key;
        assert_int_equal(key_after_prefix(&key, cases[i].prefix), cases[i].is);
        if (cases[i].is)
            assert_true(bytes_equal(key_bytes(&key), cases[i].after));
    }
    struct key key = {.count = 2, .at = "ab"};
    assert_true(key_after_prefix(&key, key_bytes(&key))); /* in place */
    assert_true(bytes_equal(key_bytes(&key), BYTES("ac")));
}

static void shares_cut_the_hash_space_evenly(void **state)
{
    (void)state;
    uint8_t to[8], next[8];
    assert_int_equal(key_hash_share(0, 1, to).count, 0);
    assert_int_equal(key_hash_share(0, 1000000, to).count, 0);
    assert_true(get_u64_be(key_hash_share(1, 2, to).at) == UINT64_C(1) << 63);
    assert_true(get_u64_be(key_hash_share(3, 4, to).at) == UINT64_C(3) << 62);
    static const uint32_t counts[] = {2, 3, 7, 1000, 1000000};
    for (size_t c = 0; c < ARRAY_COUNT(counts); c++) {
        uint64_t share = UINT64_MAX / counts[c];
        uint64_t low = 0;
        for (uint32_t i = 1; i < counts[c]; i += 1 + counts[c] / 1000) {
            struct bytes bound = key_hash_share(i, counts[c], to);
            assert_int_equal(bound.count, 8);
            uint64_t high = get_u64_be(bound.at);
            assert_true(high > low);
            if (i + 1 < counts[c]) {
                uint64_t width = get_u64_be(key_hash_share(i + 1, counts[c], next).at) - high;
                assert_true(width >= share && width <= share + 1);
            }
            low = high;
        }
    }
}

/* What key_write_decoded makes of an encoded key; in the fixture's buffer. */
static struct value shown(struct fixture *f, const struct key_schema *schema, const struct key *key)
{
    struct value_writer w;
    buffer_clear(&f->buffer);
    value_writer_init(&w, &f->buffer);
    key_write_decoded(&w, schema, key_bytes(key));
    return finish(&w);
}

static void shows_an_encoded_key(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    uint8_t pk_bytes[64], sk_bytes[64];
    struct value pk = run_value(VALUE_B, BYTES("p"), pk_bytes), sk = number_value("-1.5", sk_bytes);
    struct key_schema schema = {.partition = {BYTES("pk"), VALUE_B},
                                .sort = {BYTES("sk"), VALUE_N}};
    struct key key;
    key_encode(&key, SEED, pk, sk);
    struct value v, map = shown(&f, &schema, &key);
    assert_int_equal(value_count(map), 2);
    assert_true(value_find(map, BYTES("pk"), &v) && value_equal(v, pk));
    assert_true(value_find(map, BYTES("sk"), &v) && value_equal(v, sk));

    key_encode(&key, SEED, number_value("7", pk_bytes), VALUE_ABSENT);
    schema.partition.type = VALUE_N;
    schema.sort.type = VALUE_NONE;
    map = shown(&f, &schema, &key);
    assert_int_equal(value_count(map), 1);
    assert_true(value_find(map, BYTES("pk"), &v) && value_equal(v, number_value("7", pk_bytes)));

    /* Content that is no number, where the schema says one. */
    struct value_writer w;
    key_encode(&key, SEED, run_value(VALUE_S, BYTES("x"), pk_bytes), VALUE_ABSENT);
    buffer_clear(&f.buffer);
    value_writer_init(&w, &f.buffer);
    key_write_decoded(&w, &schema, key_bytes(&key));
    assert_int_equal(value_writer_finish(&w, &v), STATUS_CORRUPT);
    teardown(&f);
}

/* ---- Other collections ---- */

/* Content of a few bytes that differ little: most of it 0, 1, 0xfe or 0xff, around group bounds. */
static size_t random_content(struct prng *prng, uint8_t *to, size_t count_max)
{
    static const uint8_t bytes[] = {0, 0, 1, 8, 9, 0xfe, 0xff, 0xff};
    size_t count = prng_below(prng, count_max + 1);
    for (size_t i = 0; i < count; i++)
        to[i] = bytes[prng_below(prng, ARRAY_COUNT(bytes))];
    return count;
}

static int sign(int order)
{
    return (order > 0) - (order < 0);
}

/* Escaped contents sort as the contents do, are read back, and none begins another. */
static void escaped_contents_sort_as_they_are(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 11);
    for (int i = 0; i < 20000; i++) {
        uint8_t content[2][32];
        struct key key[2];
        struct bytes is[2];
        for (int j = 0; j < 2; j++) {
            size_t count = random_content(&prng, content[j], 26);
            if (j == 1 && prng_one_in(&prng, 3)) { /* one that begins the other */
                count = prng_below(&prng, is[0].count + 1);
                memcpy(content[1], content[0], count);
            }
            is[j] = bytes_of(content[j], count);
            key[j].count = 0;
            key_append_escaped_bytes(&key[j], is[j]);
            uint8_t back[KEY_SORT_BYTES_MAX];
            size_t back_count, taken;
            memcpy(key[j].at + key[j].count, "behind", 6);
            assert_int_equal(key_unescape(bytes_of(key[j].at, key[j].count + 6u), back,
                                          sizeof(back), &back_count, &taken),
                             STATUS_OK);
            assert_int_equal(taken, key[j].count);
            assert_true(bytes_equal(bytes_of(back, back_count), is[j]));
        }
        int order = bytes_compare(is[0], is[1]);
        assert_int_equal(sign(bytes_compare(key_bytes(&key[0]), key_bytes(&key[1]))), sign(order));
        if (order != 0) {
            size_t least = key[0].count < key[1].count ? key[0].count : key[1].count;
            assert_memory_not_equal(key[0].at, key[1].at, least);
        }
    }
}

static void refuses_what_is_not_escaped(void **state)
{
    (void)state;
    static const struct bytes wrong[] = {
        {(const uint8_t *)"", 0},
        {(const uint8_t *)"abc\0\0\0\0\0", 8},   /* no mark */
        {(const uint8_t *)"abc\0\0\0\0\0\2", 9}, /* what does not count is not zero */
        {(const uint8_t *)"abcdefgh\12", 9},     /* no such mark */
        {(const uint8_t *)"abcdefgh\11", 9},     /* goes on, and ends */
        {(const uint8_t *)"abcdefgh\11\0\0\0\0\0\0\0\0\0", 18}, /* not the only form */
    };
    uint8_t to[KEY_SORT_BYTES_MAX];
    size_t count, taken;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_int_equal(key_unescape(wrong[i], to, sizeof(to), &count, &taken), STATUS_CORRUPT);
    uint8_t longest[KEY_SORT_BYTES_MAX / 8 * 9 + 9];
    for (size_t i = 0; i < sizeof(longest); i++)
        longest[i] = i % 9 == 8 ? 9 : 'a';
    longest[sizeof(longest) - 1] = 1;
    memset(longest + sizeof(longest) - 8, 0, 7);
    assert_int_equal(
        key_unescape(bytes_of(longest, sizeof(longest)), to, sizeof(to), &count, &taken),
        STATUS_CORRUPT); /* longer than a sort key */
}

/* Rows of an index sort by its sort key, then by the item's; and lead back to the item. */
static void index_rows_sort_and_lead_to_their_items(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 12);
    uint8_t pk_bytes[64];
    struct value pk = run_value(VALUE_S, BYTES("p"), pk_bytes);
    for (int i = 0; i < 5000; i++) {
        uint8_t content[2][2][16], values[2][2][32];
        struct value is[2][2];
        struct key item[2], row[2], back;
        for (int j = 0; j < 2; j++) {
            for (int k = 0; k < 2; k++) {
                size_t count = random_content(&prng, content[j][k], 12);
                is[j][k] = run_value(VALUE_B, bytes_of(content[j][k], count), values[j][k]);
            }
            key_encode(&item[j], SEED, pk, is[j][1]);
            assert_int_equal(key_encode_index(&row[j], key_bytes(&item[j]), 3, is[j][0]),
                             STATUS_OK);
            assert_int_equal(key_collection(key_bytes(&row[j])), 3);
            assert_int_equal(key_of_item(&back, key_bytes(&row[j])), STATUS_OK);
            assert_true(bytes_equal(key_bytes(&back), key_bytes(&item[j])));
        }
        int order = bytes_compare(value_bytes(is[0][0]), value_bytes(is[1][0]));
        if (order == 0)
            order = bytes_compare(value_bytes(is[0][1]), value_bytes(is[1][1]));
        assert_int_equal(sign(bytes_compare(key_bytes(&row[0]), key_bytes(&row[1]))), sign(order));
    }
}

static void the_longest_index_rows_fit(void **state)
{
    (void)state;
    static uint8_t content[KEY_PARTITION_BYTES_MAX];
    uint8_t pk_bytes[KEY_PARTITION_BYTES_MAX + 8], sk_bytes[KEY_SORT_BYTES_MAX + 8];
    struct key before = {.count = 0};
    for (int fill = 0; fill <= 0xff; fill += 0xff) {
        memset(content, fill, sizeof(content));
        struct value pk = run_value(VALUE_B, bytes_of(content, KEY_PARTITION_BYTES_MAX), pk_bytes);
        struct value sk = run_value(VALUE_B, bytes_of(content, KEY_SORT_BYTES_MAX), sk_bytes);
        struct key item, row, back, size;
        key_encode(&item, SEED, pk, sk);
        for (uint8_t c = 1; c <= LOCAL_INDEXES_MAX; c++) {
            assert_int_equal(key_encode_index(&row, key_bytes(&item), c, sk), STATUS_OK);
            assert_int_equal(row.count, KEY_ITEM_BYTES_MAX + KEY_SORT_BYTES_MAX / 8 * 9);
            assert_int_equal(key_of_item(&back, key_bytes(&row)), STATUS_OK);
            assert_true(bytes_equal(key_bytes(&back), key_bytes(&item)));
            if (c > 1)
                assert_true(bytes_compare(key_bytes(&before), key_bytes(&row)) < 0);
            before = row;
        }
        assert_true(bytes_compare(key_bytes(&item), key_bytes(&row)) < 0);
        assert_int_equal(key_in_collection(&size, key_bytes(&item), KEY_COLLECTION_SIZE),
                         STATUS_OK);
        assert_int_equal(size.count, 8 + 2 + KEY_PARTITION_BYTES_MAX + 1);
        assert_true(bytes_compare(key_bytes(&row), key_bytes(&size)) < 0);
        row.count = (uint16_t)(row.count - KEY_SORT_BYTES_MAX - 1); /* cut into its escaped part */
        assert_int_equal(key_of_item(&back, key_bytes(&row)), STATUS_CORRUPT);
    }
    struct key to;
    assert_int_equal(key_in_collection(&to, BYTES("key-1"), 1), STATUS_CORRUPT);
    assert_int_equal(key_collection(BYTES("key-1")), KEY_COLLECTION_ITEM);
}

static void shows_the_key_of_an_index_row(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    uint8_t pk_bytes[64], sk_bytes[64], index_bytes[64];
    struct value pk = run_value(VALUE_S, BYTES("p"), pk_bytes), sk = number_value("-1.5", sk_bytes);
    struct value index = run_value(VALUE_B, BYTES("\0nine bytes"), index_bytes);
    struct key_schema schema = {.partition = {BYTES("pk"), VALUE_S},
                                .sort = {BYTES("sk"), VALUE_N}};
    struct key_attribute sort = {BYTES("at"), VALUE_B};
    struct key item, row;
    key_encode(&item, SEED, pk, sk);
    assert_int_equal(key_encode_index(&row, key_bytes(&item), 1, index), STATUS_OK);
    struct value_writer w;
    struct value map, v;
    value_writer_init(&w, &f.buffer);
    key_write_decoded_index(&w, &schema, &sort, key_bytes(&row));
    map = finish(&w);
    assert_int_equal(value_count(map), 3);
    assert_true(value_find(map, BYTES("pk"), &v) && value_equal(v, pk));
    assert_true(value_find(map, BYTES("sk"), &v) && value_equal(v, sk));
    assert_true(value_find(map, BYTES("at"), &v) && value_equal(v, index));
    buffer_clear(&f.buffer);
    value_writer_init(&w, &f.buffer);
    key_write_decoded_index(&w, &schema, &sort, key_bytes(&item));
    assert_int_equal(value_writer_finish(&w, &map), STATUS_CORRUPT);
    teardown(&f);
}

static void rows_of_expiries_lie_behind_all_items_in_the_order_of_time(void **state)
{
    (void)state;
    struct key item = {.count = 12}, a, b, first;
    memset(item.at, 0xff, item.count);
    item.at[7] = 0xfe; /* the highest hash */
    key_encode_ttl(&a, 255, key_bytes(&item));
    key_encode_ttl(&b, 256, bytes_of("a", 1));
    key_encode_ttl(&first, 256, (struct bytes){0});
    assert_true(bytes_compare(key_bytes(&item), KEY_BEYOND) < 0);
    assert_true(bytes_compare(KEY_BEYOND, key_bytes(&a)) < 0);
    assert_true(bytes_compare(key_bytes(&a), key_bytes(&first)) < 0);
    assert_true(bytes_compare(key_bytes(&first), key_bytes(&b)) < 0);
    assert_int_equal(key_collection(key_bytes(&a)), KEY_COLLECTION_TTL);
    uint64_t expires_s;
    struct bytes found;
    assert_int_equal(key_read_ttl(key_bytes(&a), &expires_s, &found), STATUS_OK);
    assert_int_equal(expires_s, 255);
    assert_true(bytes_equal(found, key_bytes(&item)));
    for (uint16_t count = 0; count <= 19; count++)
        assert_int_equal(key_read_ttl(bytes_of(a.at, count), &expires_s, &found), STATUS_CORRUPT);
    assert_int_equal(key_read_ttl(key_bytes(&item), &expires_s, &found), STATUS_CORRUPT);
    a.at[18]++;
    assert_int_equal(key_read_ttl(key_bytes(&a), &expires_s, &found), STATUS_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_documented_layout),
        cmocka_unit_test(sorts_by_the_sort_key),
        cmocka_unit_test(a_collection_is_one_range),
        cmocka_unit_test(the_longest_keys_fit),
        cmocka_unit_test(after_a_prefix_comes_the_next),
        cmocka_unit_test(shares_cut_the_hash_space_evenly),
        cmocka_unit_test(shows_an_encoded_key),
        cmocka_unit_test(rows_of_expiries_lie_behind_all_items_in_the_order_of_time),
        cmocka_unit_test(escaped_contents_sort_as_they_are),
        cmocka_unit_test(refuses_what_is_not_escaped),
        cmocka_unit_test(index_rows_sort_and_lead_to_their_items),
        cmocka_unit_test(the_longest_index_rows_fit),
        cmocka_unit_test(shows_the_key_of_an_index_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
