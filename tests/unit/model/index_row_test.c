/* Keys of a global index's rows: their order is that of the index's key and then the item's, and
 * what is read back from them is what went in. */
#include "model/index_row.h"

#include "unit/cmocka_headers.h"

#include "base/codec.h"
#include "base/prng.h"

#define SEED UINT64_C(77)

static const struct key_schema with_sort = {.partition = {{(const uint8_t *)"p", 1}, VALUE_S},
                                            .sort = {{(const uint8_t *)"s", 1}, VALUE_N}};

/* Keys of `partition` and `sort` attributes: a, b, c, d are strings, e, f, g, h binary. */
static struct index_schema index_of(uint8_t partition, uint8_t sort)
{
    static const char names[] = "abcdefgh";
    struct index_schema index = {
        .kind = INDEX_GLOBAL, .partition_count = partition, .sort_count = sort};
    for (uint8_t i = 0; i < partition; i++)
        index.partition[i] = (struct key_attribute){bytes_of(&names[i], 1), VALUE_S};
    for (uint8_t i = 0; i < sort; i++)
        index.sort[i] = (struct key_attribute){bytes_of(&names[4 + i], 1), VALUE_B};
    return index;
}

/* The contents of an item's key attributes. */
struct contents {
    uint8_t at[10][64];
    uint8_t count[10];
};

static struct bytes content(const struct contents *c, unsigned i)
{
    return bytes_of(c->at[i], c->count[i]);
}

static struct value item_of(const struct index_schema *index, const struct contents *c,
                            struct buffer *buffer)
{
    struct value_writer w;
    struct value item;
    struct number number;
    buffer_clear(buffer);
    value_writer_init(&w, buffer);
    value_write_begin(&w, VALUE_M);
    value_write_name(&w, BYTES("p"));
    value_write_string(&w, content(c, 8));
    value_write_name(&w, BYTES("s"));
    number_from_u64(c->at[9][0], &number);
    value_write_number(&w, &number);
    for (uint8_t i = 0; i < index->partition_count; i++) {
        value_write_name(&w, index->partition[i].name);
        value_write_string(&w, content(c, i));
    }
    for (uint8_t i = 0; i < index->sort_count; i++) {
        value_write_name(&w, index->sort[i].name);
        value_write_binary(&w, content(c, 4u + i));
    }
    value_write_end(&w);
    assert_int_equal(value_writer_finish(&w, &item), STATUS_OK);
    return item;
}

static void random_contents(struct prng *prng, struct contents *c)
{
    for (unsigned i = 0; i < 10; i++) {
        c->count[i] = (uint8_t)(1 + prng_below(prng, prng_one_in(prng, 3) ? 18 : 2));
        for (unsigned at = 0; at < c->count[i]; at++) /* the names of UTF-8's one-byte characters */
            c->at[i][at] = (uint8_t)(prng_one_in(prng, 2) ? 0 : prng_below(prng, 0x80));
    }
}

/* Within one partition key: by the sort key's attributes, then the item's key. */
static int order_of(const struct index_schema *index, const struct contents *a,
                    const struct contents *b)
{
    int order = 0;
    for (uint8_t i = 0; order == 0 && i < index->sort_count; i++)
        order = bytes_compare(content(a, 4u + i), content(b, 4u + i));
    if (order == 0)
        order = bytes_compare(content(a, 8), content(b, 8));
    return order != 0 ? order : (int)a->at[9][0] - (int)b->at[9][0];
}

static int sign(int order)
{
    return (order > 0) - (order < 0);
}

static void rows_are_in_the_order_of_their_keys(void **state)
{
    (void)state;
    struct heap heap;
    struct buffer buffer;
    struct prng prng;
    heap_init(&heap, false);
    buffer_init(&buffer, &heap, 65536);
    prng_init(&prng, 5);
    for (unsigned round = 0; round < 4000; round++) {
        struct index_schema index =
            index_of((uint8_t)(1 + prng_below(&prng, 4)), (uint8_t)prng_below(&prng, 5));
        struct contents contents[2];
        struct key keys[2];
        random_contents(&prng, &contents[0]);
        random_contents(&prng, &contents[1]);
        for (unsigned i = 0; i < 10; i++) { /* much is the same */
            if (i < 4 || !prng_one_in(&prng, 3)) {
                contents[1].count[i] = contents[0].count[i];
                memcpy(contents[1].at[i], contents[0].at[i], sizeof(contents[0].at[i]));
            }
        }
        for (unsigned i = 0; i < 2; i++)
            assert_true(index_row_key(&index, &with_sort, SEED,
                                      item_of(&index, &contents[i], &buffer), &keys[i]));
        assert_int_equal(sign(bytes_compare(key_bytes(&keys[0]), key_bytes(&keys[1]))),
                         sign(order_of(&index, &contents[0], &contents[1])));
    }
    buffer_release(&buffer);
}

static void a_key_says_what_it_was_made_of(void **state)
{
    (void)state;
    struct heap heap;
    struct buffer buffer, shown;
    struct prng prng;
    heap_init(&heap, false);
    buffer_init(&buffer, &heap, 65536);
    buffer_init(&shown, &heap, 65536);
    prng_init(&prng, 6);
    for (unsigned round = 0; round < 2000; round++) {
        struct index_schema index =
            index_of((uint8_t)(1 + prng_below(&prng, 4)), (uint8_t)prng_below(&prng, 5));
        struct contents contents;
        struct key key;
        struct value_writer w;
        struct value back;
        random_contents(&prng, &contents);
        struct value item = item_of(&index, &contents, &buffer);
        assert_true(index_row_key(&index, &with_sort, SEED, item, &key));
        buffer_clear(&shown);
        value_writer_init(&w, &shown);
        index_row_write_decoded(&w, &index, &with_sort, key_bytes(&key));
        assert_int_equal(value_writer_finish(&w, &back), STATUS_OK);
        assert_true(value_equal(back, item));
        /* What is cut off is refused, or another key. */
        size_t cut = prng_below(&prng, key.count);
        buffer_clear(&shown);
        value_writer_init(&w, &shown);
        index_row_write_decoded(&w, &index, &with_sort, bytes_of(key.at, cut));
        if (value_writer_finish(&w, &back) == STATUS_OK)
            assert_false(value_equal(back, item));
    }
    buffer_release(&shown);
    buffer_release(&buffer);
}

static void an_item_without_a_key_has_no_row(void **state)
{
    (void)state;
    struct heap heap;
    struct buffer buffer;
    struct key key;
    heap_init(&heap, false);
    buffer_init(&buffer, &heap, 65536);
    struct index_schema index = index_of(2, 2);
    struct contents contents = {.count = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}};
    struct value item = item_of(&index, &contents, &buffer);
    assert_true(index_row_key(&index, &with_sort, SEED, item, &key));
    assert_false(index_row_key(&index, &with_sort, SEED, VALUE_ABSENT, &key));
    index.sort_count = 3; /* it has no such attribute */
    index.sort[2] = (struct key_attribute){BYTES("g"), VALUE_B};
    assert_false(index_row_key(&index, &with_sort, SEED, item, &key));
    index.sort[2] = (struct key_attribute){BYTES("b"), VALUE_B}; /* not of this type */
    assert_false(index_row_key(&index, &with_sort, SEED, item, &key));
    index.sort_count = 2;
    contents.count[5] = 0; /* empty */
    assert_false(
        index_row_key(&index, &with_sort, SEED, item_of(&index, &contents, &buffer), &key));
    buffer_release(&buffer);
}

static struct value run_value(enum value_type type, const uint8_t *content, size_t count,
                              struct buffer *buffer)
{
    struct value_writer w;
    struct value value;
    buffer_clear(buffer);
    value_writer_init(&w, buffer);
    if (type == VALUE_S)
        value_write_string(&w, bytes_of(content, count));
    else
        value_write_binary(&w, bytes_of(content, count));
    assert_int_equal(value_writer_finish(&w, &value), STATUS_OK);
    return value;
}

/* The longest keys there can be fit, of all kinds of bytes; one byte more is no row. */
static void the_longest_key_fits(void **state)
{
    (void)state;
    struct heap heap;
    struct buffer buffer, parts;
    struct value_writer w;
    struct value item;
    struct key key, tombstone;
    static uint8_t bytes[KEY_PARTITION_BYTES_MAX];
    static const struct key_schema binary = {.partition = {{(const uint8_t *)"p", 1}, VALUE_B},
                                             .sort = {{(const uint8_t *)"s", 1}, VALUE_B}};
    heap_init(&heap, false);
    buffer_init(&buffer, &heap, 65536);
    buffer_init(&parts, &heap, 65536);
    struct index_schema index = {.kind = INDEX_GLOBAL, .partition_count = 4, .sort_count = 4};
    static const char names[] = "abcdefgh";
    for (uint8_t i = 0; i < 4; i++) {
        index.partition[i] = (struct key_attribute){bytes_of(&names[i], 1), VALUE_B};
        index.sort[i] = (struct key_attribute){bytes_of(&names[4 + i], 1), VALUE_B};
    }
    for (int fill = 0; fill <= 0xff; fill += 0xff) {
        for (unsigned more = 0; more < 3; more++) {
            memset(bytes, fill, sizeof(bytes));
            buffer_clear(&buffer);
            value_writer_init(&w, &buffer);
            value_write_begin(&w, VALUE_M);
            for (unsigned i = 0; i < 8; i++) {
                size_t count = (i < 4 ? KEY_PARTITION_BYTES_MAX : KEY_SORT_BYTES_MAX) / 4;
                count += (more == 1 && i == 2) || (more == 2 && i == 6);
                value_write_name(&w, bytes_of(&names[i], 1));
                value_write_value(&w, run_value(VALUE_B, bytes, count, &parts));
            }
            value_write_name(&w, BYTES("p"));
            value_write_value(&w, run_value(VALUE_B, bytes, KEY_PARTITION_BYTES_MAX, &parts));
            value_write_name(&w, BYTES("s"));
            value_write_value(&w, run_value(VALUE_B, bytes, KEY_SORT_BYTES_MAX, &parts));
            value_write_end(&w);
            assert_int_equal(value_writer_finish(&w, &item), STATUS_OK);
            assert_int_equal(index_row_key(&index, &binary, SEED, item, &key), more == 0);
        }
        assert_true(key.count <= KEY_BYTES_MAX);
        assert_int_equal(index_row_tombstone(&tombstone, key_bytes(&key)), STATUS_OK);
        assert_int_equal(tombstone.count, key.count);
        assert_int_equal(key_collection(key_bytes(&tombstone)), KEY_COLLECTION_TOMBSTONE);
        assert_int_equal(index_row_tombstone(&key, bytes_of(key.at, 10)), STATUS_CORRUPT);
    }
    buffer_release(&parts);
    buffer_release(&buffer);
}

static void a_cursor_lies_in_its_partition(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 7; i++) {
        uint8_t low[8], high[8];
        struct key key, other;
        struct bytes from = key_hash_share(i, 7, low);
        index_cursor_key(&key, from, 12);
        assert_true(bytes_compare(key_bytes(&key), from) >= 0);
        if (i + 1 < 7)
            assert_true(bytes_compare(key_bytes(&key), key_hash_share(i + 1, 7, high)) < 0);
        assert_int_equal(key_collection(key_bytes(&key)), KEY_COLLECTION_CURSOR);
        index_cursor_key(&other, from, 13);
        assert_false(bytes_equal(key_bytes(&key), key_bytes(&other)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_in_the_order_of_their_keys),
        cmocka_unit_test(a_key_says_what_it_was_made_of),
        cmocka_unit_test(an_item_without_a_key_has_no_row),
        cmocka_unit_test(the_longest_key_fits),
        cmocka_unit_test(a_cursor_lies_in_its_partition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
