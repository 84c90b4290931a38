/* Values in their binary form: writing, reading, order, sizes, and bytes that are none. */
#include "model/value.h"

#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"

struct fixture {
    struct heap heap;
    struct buffer buffer;
    struct value_writer w;
};

static void setup(struct fixture *f)
{
    heap_init(&f->heap, false);
    buffer_init(&f->buffer, &f->heap, 1u << 24);
    value_writer_init(&f->w, &f->buffer);
}

static void teardown(struct fixture *f)
{
    buffer_release(&f->buffer);
    assert_int_equal(f->heap.bytes_used, 0);
}

static void restart(struct fixture *f)
{
    buffer_clear(&f->buffer);
    value_writer_init(&f->w, &f->buffer);
}

static struct value finish(struct fixture *f)
{
    struct value value, checked;
    assert_int_equal(value_writer_finish(&f->w, &value), STATUS_OK);
    assert_int_equal(value_check(bytes_of(value.at, value.bytes), &checked), STATUS_OK);
    assert_true(value_equal(value, checked));
    return value;
}

static enum status outcome(struct fixture *f)
{
    struct value value;
    return value_writer_finish(&f->w, &value);
}

static void write_number(struct value_writer *w, const char *text)
{
    struct number number;
    enum number_fault fault;
    assert_int_equal(number_parse(bytes_of_text(text), &number, &fault), STATUS_OK);
    value_write_number(w, &number);
}

static void write_attribute(struct value_writer *w, const char *name, const char *text)
{
    value_write_name(w, bytes_of_text(name));
    value_write_string(w, bytes_of_text(text));
}

/* One item with every type. */
static struct value write_every_type(struct fixture *f)
{
    struct value_writer *w = &f->w;
    value_write_begin(w, VALUE_M);
    value_write_name(w, BYTES("null"));
    value_write_null(w);
    value_write_name(w, BYTES("bool"));
    value_write_bool(w, true);
    value_write_name(w, BYTES("n"));
    write_number(w, "-12.5");
    value_write_name(w, BYTES("b"));
    value_write_binary(w, BYTES("\0\xff"));
    write_attribute(w, "s", "text");
    value_write_name(w, BYTES("ss"));
    value_write_begin(w, VALUE_SS);
    value_write_string(w, BYTES("y"));
    value_write_string(w, BYTES("x"));
    value_write_end(w);
    value_write_name(w, BYTES("ns"));
    value_write_begin(w, VALUE_NS);
    write_number(w, "10");
    write_number(w, "9");
    write_number(w, "-1");
    value_write_end(w);
    value_write_name(w, BYTES("bs"));
    value_write_begin(w, VALUE_BS);
    value_write_binary(w, BYTES("\1"));
    value_write_end(w);
    value_write_name(w, BYTES("l"));
    value_write_begin(w, VALUE_L);
    value_write_null(w);
    value_write_string(w, BYTES("in a list"));
    value_write_end(w);
    value_write_name(w, BYTES("m"));
    value_write_begin(w, VALUE_M);
    write_attribute(w, "k", "v");
    value_write_end(w);
    value_write_end(w);
    return finish(f);
}

static void reads_every_type(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct value item = write_every_type(&f), v, element;
    assert_int_equal(value_type(item), VALUE_M);
    assert_int_equal(value_count(item), 10);
    assert_true(value_find(item, BYTES("null"), &v));
    assert_int_equal(value_type(v), VALUE_NULL);
    assert_true(value_find(item, BYTES("bool"), &v));
    assert_true(value_bool(v));
    assert_true(value_find(item, BYTES("n"), &v));
    struct number number;
    value_number(v, &number);
    char text[NUMBER_TEXT_BYTES_MAX];
    assert_true(bytes_equal(bytes_of(text, number_format(&number, text)), BYTES("-12.5")));
    assert_true(value_find(item, BYTES("b"), &v));
    assert_true(bytes_equal(value_bytes(v), BYTES("\0\xff")));
    assert_true(value_find(item, BYTES("s"), &v));
    assert_true(bytes_equal(value_bytes(v), BYTES("text")));
    assert_true(value_find(item, BYTES("l"), &v));
    assert_int_equal(value_count(v), 2);
    assert_true(value_at(v, 1, &element));
    assert_true(bytes_equal(value_bytes(element), BYTES("in a list")));
    assert_false(value_at(v, 2, &element));
    assert_true(value_find(item, BYTES("m"), &v));
    assert_true(value_find(v, BYTES("k"), &element));
    assert_false(value_find(v, BYTES("j"), &element));
    assert_false(value_find(v, BYTES("l"), &element));
    assert_false(value_find(item, BYTES(""), &v));
    assert_false(value_find(item, BYTES("zzz"), &v));
    assert_int_equal(value_type(VALUE_ABSENT), VALUE_NONE);
    teardown(&f);
}

static void names_are_sorted_and_the_last_wins(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    value_write_begin(&f.w, VALUE_M);
    for (int i = 0; i < 100; i++) {
        char name[16], text[16];
        sprintf(name, "%02d", i * 37 % 50); /* each twice */
        sprintf(text, "%d", i);
        write_attribute(&f.w, name, text);
    }
    value_write_end(&f.w);
    struct value map = finish(&f), v;
    assert_int_equal(value_count(map), 50);
    for (int i = 50; i < 100; i++) {
        char name[16], text[16];
        sprintf(name, "%02d", i * 37 % 50);
        sprintf(text, "%d", i);
        assert_true(value_find(map, bytes_of_text(name), &v));
        assert_true(bytes_equal(value_bytes(v), bytes_of_text(text)));
    }
    struct value_cursor cursor;
    struct bytes name, last = {0};
    value_cursor_init(&cursor, map);
    while (value_next(&cursor, &name, &v)) {
        assert_true(bytes_compare(last, name) < 0);
        last = name;
    }
    teardown(&f);
}

/* Whatever the order of writing, the bytes are the same. */
static void equal_values_have_equal_bytes(void **state)
{
    (void)state;
    struct fixture f;
    struct prng prng;
    setup(&f);
    prng_init(&prng, 5);
    struct buffer first;
    buffer_init(&first, &f.heap, 1u << 20);
    for (uint32_t count = 1; count <= 300; count = count * 3 / 2 + 1) {
        uint32_t order[400];
        for (uint32_t i = 0; i < count; i++)
            order[i] = i;
        for (int round = 0; round < 6; round++) {
            restart(&f);
            value_write_begin(&f.w, VALUE_M);
            value_write_name(&f.w, BYTES("set"));
            value_write_begin(&f.w, VALUE_NS);
            for (uint32_t i = 0; i < count; i++) {
                struct number number;
                number_from_u64(order[i] * 7, &number);
                number.negative = order[i] % 3 == 1;
                value_write_number(&f.w, &number);
            }
            value_write_end(&f.w);
            for (uint32_t i = 0; i < count; i++) {
                char name[16];
                sprintf(name, "%u", order[i]);
                write_attribute(&f.w, name, name);
            }
            value_write_end(&f.w);
            struct value item = finish(&f);
            if (round == 0) {
                buffer_clear(&first);
                buffer_append(&first, item.at, item.bytes);
            }
            assert_true(bytes_equal(buffer_bytes(&first), bytes_of(item.at, item.bytes)));
            for (uint32_t i = count - 1; i > 0; i--) {
                uint32_t j = (uint32_t)prng_below(&prng, i + 1);
                uint32_t swapped = order[i];
                order[i] = order[j];
                order[j] = swapped;
            }
        }
    }
    buffer_release(&first);
    teardown(&f);
}

static void sets_have_no_duplicates(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    value_write_begin(&f.w, VALUE_NS);
    write_number(&f.w, "1");
    write_number(&f.w, "2");
    write_number(&f.w, "1.0");
    value_write_end(&f.w);
    assert_int_equal(outcome(&f), STATUS_EXISTS);
    restart(&f);
    value_write_begin(&f.w, VALUE_SS);
    value_write_string(&f.w, BYTES("a"));
    value_write_string(&f.w, BYTES("a"));
    value_write_end(&f.w);
    assert_int_equal(outcome(&f), STATUS_EXISTS);
    restart(&f);
    value_write_begin(&f.w, VALUE_SS);
    value_write_end(&f.w);
    assert_int_equal(outcome(&f), STATUS_INVALID);
    restart(&f);
    value_write_begin(&f.w, VALUE_SS);
    value_write_binary(&f.w, BYTES("a"));
    assert_int_equal(f.w.status, STATUS_INVALID);
    teardown(&f);
}

static void contains_looks_into_sets_and_lists(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct value item = write_every_type(&f), set, list, element, bool_value;
    assert_true(value_find(item, BYTES("ss"), &set));
    assert_true(value_find(item, BYTES("l"), &list));
    assert_true(value_find(item, BYTES("bool"), &bool_value));
    assert_true(value_find(item, BYTES("s"), &element));
    assert_false(value_contains(set, element));
    assert_false(value_contains(list, element));
    assert_false(value_contains(set, bool_value));
    struct value member;
    struct value_cursor cursor;
    value_cursor_init(&cursor, set);
    while (value_next(&cursor, NULL, &member))
        assert_true(value_contains(set, member));
    assert_true(value_at(list, 0, &member));
    assert_true(value_contains(list, member));
    teardown(&f);
}

static void compares_in_the_order_of_keys(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    value_write_begin(&f.w, VALUE_L);
    static const char *const texts[] = {"", "a", "aa", "b", "\xc3\xa9"};
    static const char *const numbers[] = {"-10", "-9.5", "0", "1e-130", "0.5", "1", "1e125"};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        value_write_string(&f.w, bytes_of_text(texts[i]));
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++)
        write_number(&f.w, numbers[i]);
    value_write_end(&f.w);
    struct value list = finish(&f), a, b;
    for (uint32_t i = 0; i < value_count(list); i++) {
        for (uint32_t j = 0; j < value_count(list); j++) {
            assert_true(value_at(list, i, &a) && value_at(list, j, &b));
            if (value_type(a) != value_type(b))
                continue;
            int order = value_compare(a, b);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
    teardown(&f);
}

static void counts_sizes_as_documented(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct value item = write_every_type(&f), v;
    static const struct {
        const char *name;
        uint32_t size;
    } sizes[] = {
        {"null", 1},
        {"bool", 1},
        {"n", 4}, /* 1 + 1 for 12 + 1 for .5 + 1 for the sign */
        {"b", 2},
        {"s", 4},
        {"ss", 2},
        {"ns", 2 + 2 + 3},
        {"bs", 1},
        {"l", 3 + 1 + 1 + 1 + 9},
        {"m", 3 + 1 + 1 + 1},
    };
    uint32_t total = 0;
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        assert_true(value_find(item, bytes_of_text(sizes[i].name), &v));
        assert_int_equal(value_size(v), sizes[i].size);
        total += sizes[i].size + (uint32_t)strlen(sizes[i].name);
    }
    assert_int_equal(item_size(item), total);
    restart(&f);
    value_write_begin(&f.w, VALUE_M);
    value_write_end(&f.w);
    struct value empty = finish(&f);
    assert_int_equal(item_size(empty), 0);
    assert_int_equal(value_size(empty), 3);
    teardown(&f);
}

/* Open `depth` lists in an item and write a scalar in the innermost. */
static enum status nest(struct fixture *f, uint32_t depth, bool scalar)
{
    restart(f);
    value_write_begin(&f->w, VALUE_M);
    value_write_name(&f->w, BYTES("a"));
    for (uint32_t i = 0; i < depth; i++)
        value_write_begin(&f->w, VALUE_L);
    if (scalar)
        value_write_null(&f->w);
    for (uint32_t i = 0; i < depth + 1; i++)
        value_write_end(&f->w);
    return outcome(f);
}

static void nests_to_its_bound(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    assert_int_equal(nest(&f, 31, true), STATUS_OK);
    struct value deep = finish(&f), inner;
    assert_int_equal(value_levels(deep), 33);
    assert_int_equal(nest(&f, 32, true), STATUS_TOO_LARGE);
    assert_int_equal(nest(&f, 33, false), STATUS_TOO_LARGE);
    assert_int_equal(nest(&f, 32, false), STATUS_OK);
    finish(&f);

    /* A copy of a deep value fits where it was, and not one level below. */
    struct buffer copy;
    buffer_init(&copy, &f.heap, 1u << 20);
    assert_int_equal(nest(&f, 31, true), STATUS_OK);
    deep = finish(&f);
    assert_true(value_find(deep, BYTES("a"), &inner));
    for (int below = 0; below <= 1; below++) {
        struct value_writer w;
        struct value again;
        buffer_clear(&copy);
        value_writer_init(&w, &copy);
        value_write_begin(&w, VALUE_M);
        value_write_name(&w, BYTES("a"));
        if (below)
            value_write_begin(&w, VALUE_L);
        value_write_value(&w, inner);
        if (below)
            value_write_end(&w);
        value_write_end(&w);
        assert_int_equal(value_writer_finish(&w, &again), below ? STATUS_TOO_LARGE : STATUS_OK);
    }
    buffer_release(&copy);
    teardown(&f);
}

static void goes_back_to_a_mark(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    value_write_begin(&f.w, VALUE_M);
    value_write_name(&f.w, BYTES("a"));
    struct value_mark mark = value_writer_mark(&f.w);
    value_write_begin(&f.w, VALUE_L);
    value_write_string(&f.w, BYTES("dropped"));
    value_write_end(&f.w);
    value_writer_rewind(&f.w, mark);
    value_write_bool(&f.w, true);
    value_write_end(&f.w);
    struct value item = finish(&f), v;
    assert_int_equal(value_count(item), 1);
    assert_true(value_find(item, BYTES("a"), &v));
    assert_int_equal(value_type(v), VALUE_BOOL);
    teardown(&f);
}

static void a_full_buffer_is_an_answer(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    for (size_t room = 0; room < 400; room += 7) {
        buffer_release(&f.buffer);
        f.buffer.bytes_max = room;
        value_writer_init(&f.w, &f.buffer);
        value_write_begin(&f.w, VALUE_M);
        for (int i = 9; i >= 0; i--) {
            char name[16];
            sprintf(name, "%d", i);
            write_attribute(&f.w, name, "0123456789");
        }
        value_write_end(&f.w);
        enum status status = outcome(&f);
        assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
        assert_true(room > 100 || status == STATUS_NO_MEMORY);
    }
    teardown(&f);
}

/* Every accessor, so that the sanitizers see what they touch. */
static uint64_t walk(struct value v)
{
    uint64_t sum = value_size(v) + value_levels(v);
    struct number number;
    struct value_cursor cursor;
    struct value element;
    struct bytes name;
    switch (value_type(v)) {
    case VALUE_N:
        value_number(v, &number);
        sum += number.digit_count;
        break;
    case VALUE_S:
    case VALUE_B:
        sum += value_bytes(v).count;
        break;
    case VALUE_SS:
    case VALUE_NS:
    case VALUE_BS:
    case VALUE_L:
    case VALUE_M:
        value_cursor_init(&cursor, v);
        while (value_next(&cursor, &name, &element))
            sum += name.count + walk(element);
        break;
    default:
        break;
    }
    return sum;
}

static void checks_bytes_from_outside(void **state)
{
    (void)state;
    struct fixture f;
    struct prng prng;
    setup(&f);
    prng_init(&prng, 12);
    struct value item = write_every_type(&f), checked;
    uint8_t *bytes = malloc(item.bytes + 1u);
    assert_non_null(bytes);
    int accepted = 0;
    for (size_t count = 0; count < item.bytes; count++)
        assert_int_equal(value_check(bytes_of(item.at, count), &checked), STATUS_CORRUPT);
    memcpy(bytes, item.at, item.bytes);
    bytes[item.bytes] = 0;
    assert_int_equal(value_check(bytes_of(bytes, item.bytes + 1u), &checked), STATUS_CORRUPT);
    for (int i = 0; i < 50000; i++) {
        memcpy(bytes, item.at, item.bytes);
        for (uint64_t changes = 1 + prng_below(&prng, 3); changes > 0; changes--)
            bytes[prng_below(&prng, item.bytes)] =
                (uint8_t)prng_below(&prng, prng_one_in(&prng, 2) ? 256 : 16);
        if (value_check(bytes_of(bytes, item.bytes), &checked) == STATUS_OK) {
            accepted++;
            assert_true(walk(checked) > 0);
        }
    }
    assert_true(accepted > 100);
    free(bytes);
    teardown(&f);
}

static void accepts_one_form_only(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct bytes bytes;
    } wrong[] = {
        {"no type", {(const uint8_t *)"", 0}},
        {"unknown type", {(const uint8_t *)"\0", 1}},
        {"unknown type", {(const uint8_t *)"\x0b", 1}},
        {"a boolean of 2", {(const uint8_t *)"\2\2", 2}},
        {"a long varint", {(const uint8_t *)"\4\x81\0a", 4}},
        {"a varint over 32 bits", {(const uint8_t *)"\4\xff\xff\xff\xff\x1f", 6}},
        {"an empty set", {(const uint8_t *)"\6\4\0\0\0\0\0\0\0", 9}},
        {"a set of numbers and strings", {(const uint8_t *)"\6\6\0\0\0\1\0\0\0\5\0", 11}},
        {"a set out of order", {(const uint8_t *)"\6\n\0\0\0\2\0\0\0\4\1b\4\1a", 15}},
        {"a set with duplicates", {(const uint8_t *)"\6\n\0\0\0\2\0\0\0\4\1a\4\1a", 15}},
        {"names out of order", {(const uint8_t *)"\n\n\0\0\0\2\0\0\0\1b\1\1a\1", 15}},
        {"a name twice", {(const uint8_t *)"\n\n\0\0\0\2\0\0\0\1a\1\1a\1", 15}},
        {"too few elements", {(const uint8_t *)"\t\5\0\0\0\2\0\0\0\1", 10}},
        {"too many elements", {(const uint8_t *)"\t\6\0\0\0\1\0\0\0\1\1", 11}},
        {"a count without elements", {(const uint8_t *)"\t\4\0\0\0\xff\xff\xff\xff", 9}},
        {"a length past the end", {(const uint8_t *)"\t\xff\xff\xff\xff\0\0\0\0", 9}},
        {"a number that is none", {(const uint8_t *)"\3\2\xc0\x82", 4}},
    };
    struct value value;
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        if (value_check(wrong[i].bytes, &value) != STATUS_CORRUPT)
            fail_msg("%s is accepted", wrong[i].what);
    }
}

static void rows_carry_their_header(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    uint8_t stored[256];
    struct value item = write_every_type(&f);
    struct row row = {.origin_region = 513, .version = UINT64_MAX - 1, .timestamp = 77}, read;
    row_header_write(stored, &row);
    assert_true(item.bytes + ROW_HEADER_BYTES <= sizeof(stored));
    memcpy(stored + ROW_HEADER_BYTES, item.at, item.bytes);
    size_t count = ROW_HEADER_BYTES + item.bytes;
    assert_int_equal(row_read(bytes_of(stored, count), &read), STATUS_OK);
    assert_int_equal(read.origin_region, 513);
    assert_true(read.version == UINT64_MAX - 1 && read.timestamp == 77);
    assert_true(value_equal(read.item, item));
    assert_int_equal(row_read(bytes_of(stored, count - 1), &read), STATUS_CORRUPT);
    assert_int_equal(row_read(bytes_of(stored, 10), &read), STATUS_CORRUPT);
    assert_int_equal(row_read(bytes_of(stored, 0), &read), STATUS_CORRUPT);
    stored[0] = 2;
    assert_int_equal(row_read(bytes_of(stored, count), &read), STATUS_VERSION);
    teardown(&f);
}

static void types_have_their_wire_names(void **state)
{
    (void)state;
    static const char *const names[] = {"",   "NULL", "BOOL", "N", "S", "B",
                                        "SS", "NS",   "BS",   "L", "M"};
    for (unsigned type = 0; type < VALUE_TYPE_COUNT; type++)
        assert_string_equal(value_type_name((enum value_type)type), names[type]);
}

static void count_pause(void *count)
{
    ++*(unsigned *)count;
}

/* 100,000 elements, sorted by a merge of log2(100000 / 16) = 13 passes: each comparison is work. */
static void sorting_many_elements_pauses(void **state)
{
    (void)state;
    const uint32_t elements = 100000;
    struct fixture f;
    setup(&f);
    unsigned pauses = 0;
    struct pause pause = {count_pause, &pauses};
    f.w.meter.pause = &pause;
    value_write_begin(&f.w, VALUE_SS);
    for (uint32_t i = 0; i < elements; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%06u", i * 7919 % elements);
        value_write_string(&f.w, bytes_of_text(text));
    }
    unsigned before = pauses;
    value_write_end(&f.w);
    assert_true(pauses - before >= elements * 13 / 2 * PAUSE_STEP_WORK / PAUSE_BYTES);
    assert_true(pauses - before >= 100);
    assert_int_equal(value_count(finish(&f)), elements);

    restart(&f);
    unsigned small = 0;
    struct pause small_pause = {count_pause, &small};
    f.w.meter.pause = &small_pause;
    value_write_begin(&f.w, VALUE_SS);
    value_write_string(&f.w, BYTES("b"));
    value_write_string(&f.w, BYTES("a"));
    value_write_end(&f.w);
    (void)finish(&f);
    assert_int_equal(small, 0);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_type),
        cmocka_unit_test(names_are_sorted_and_the_last_wins),
        cmocka_unit_test(equal_values_have_equal_bytes),
        cmocka_unit_test(sets_have_no_duplicates),
        cmocka_unit_test(contains_looks_into_sets_and_lists),
        cmocka_unit_test(compares_in_the_order_of_keys),
        cmocka_unit_test(counts_sizes_as_documented),
        cmocka_unit_test(nests_to_its_bound),
        cmocka_unit_test(goes_back_to_a_mark),
        cmocka_unit_test(a_full_buffer_is_an_answer),
        cmocka_unit_test(checks_bytes_from_outside),
        cmocka_unit_test(accepts_one_form_only),
        cmocka_unit_test(rows_carry_their_header),
        cmocka_unit_test(types_have_their_wire_names),
        cmocka_unit_test(sorting_many_elements_pauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
