/* Items between JSON and their binary form: round trips, and the service's words for what is wrong.
 */
#include "wire/item_json.h"

#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"

struct fixture {
    struct heap heap;
    struct arena arena;
    struct buffer binary;
    struct buffer json;
    struct json_scanner scanner;
    struct value_writer writer;
    struct item_json_fault fault;
};

static void setup(struct fixture *f)
{
    heap_init(&f->heap, false);
    arena_init(&f->arena, &f->heap, 1u << 24);
    buffer_init(&f->binary, &f->heap, 1u << 24);
    buffer_init(&f->json, &f->heap, 1u << 24);
}

static void teardown(struct fixture *f)
{
    arena_release(&f->arena);
    buffer_release(&f->binary);
    buffer_release(&f->json);
    assert_int_equal(f->heap.bytes_used, 0);
}

static enum status read_map(struct fixture *f, struct bytes json)
{
    buffer_clear(&f->binary);
    arena_reset(&f->arena);
    json_scanner_init(&f->scanner, json, &f->arena);
    value_writer_init(&f->writer, &f->binary);
    memset(&f->fault, 0, sizeof(f->fault));
    return item_json_read_map(&f->scanner, &f->writer, &f->arena, &f->fault);
}

/* Read `json`, which is right, and check that it comes back as `expected`. */
static void assert_round_trip(struct fixture *f, struct bytes json, struct bytes expected)
{
    struct value item, checked;
    if (read_map(f, json) != STATUS_OK)
        fail_msg("%.*s is refused: %.*s", BYTES_ARGS(json), BYTES_ARGS(f->fault.message));
    assert_int_equal(json_scanner_finish(&f->scanner), STATUS_OK);
    assert_int_equal(value_writer_finish(&f->writer, &item), STATUS_OK);
    if (value_check(bytes_of(item.at, item.bytes), &checked) != STATUS_OK)
        fail_msg("%.*s does not check", BYTES_ARGS(json));
    struct json_writer w;
    buffer_clear(&f->json);
    json_writer_init(&w, &f->json);
    item_json_write_map(&w, item);
    assert_false(f->json.failed);
    struct bytes got = buffer_bytes(&f->json);
    if (!bytes_equal(got, expected))
        fail_msg("got %.*s, expected %.*s", BYTES_ARGS(got), BYTES_ARGS(expected));
    assert_in_range(got.count, 0, item_json_bytes_max(item));
    assert_in_range(got.count, 0, (size_t)item.bytes * VALUE_TEXT_FACTOR);
}

/* The numbers that take the most text for their size. */
static void the_longest_text_is_bounded(void **state)
{
    (void)state;
    static const char *const numbers[] = {"1E-130", "-1E-130", "1E125", "-9.9E125", "0"};
    struct fixture f;
    setup(&f);
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        struct value item;
        struct json_writer w;
        buffer_clear(&f.json);
        buffer_append_format(&f.json, "{\"n\":{\"L\":[");
        for (int n = 0; n < 1000; n++)
            buffer_append_format(&f.json, "%s{\"N\":\"%s\"}", n > 0 ? "," : "", numbers[i]);
        buffer_append_format(&f.json, "]}}");
        assert_int_equal(read_map(&f, buffer_bytes(&f.json)), STATUS_OK);
        assert_int_equal(value_writer_finish(&f.writer, &item), STATUS_OK);
        buffer_clear(&f.json);
        json_writer_init(&w, &f.json);
        item_json_write_map(&w, item);
        assert_in_range(f.json.count, 0, item_json_bytes_max(item));
        assert_in_range(f.json.count, 0, (size_t)item.bytes * VALUE_TEXT_FACTOR);
    }
    teardown(&f);
}

static void round_trips(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{}", "{}"},
        {"{\"b\":{\"S\":\"\"},\"a\":{\"N\":\"1.0\"}}", "{\"a\":{\"N\":\"1\"},\"b\":{\"S\":\"\"}}"},
        {" { \"a\" : { \"BOOL\" : true } , \"b\" : { \"NULL\" : true } } ",
         "{\"a\":{\"BOOL\":true},\"b\":{\"NULL\":true}}"},
        {"{\"a\":{\"BOOL\":false}}", "{\"a\":{\"BOOL\":false}}"},
        {"{\"a\":{\"B\":\"\"},\"b\":{\"B\":\"AA==\"},\"c\":{\"B\":\"AAE=\"},\"d\":{\"B\":\"/"
         "+8A\"}}",
         "{\"a\":{\"B\":\"\"},\"b\":{\"B\":\"AA==\"},\"c\":{\"B\":\"AAE=\"},\"d\":{\"B\":\"/"
         "+8A\"}}"},
        {"{\"s\":{\"SS\":[\"b\",\"\",\"a\",\"ab\"]}}",
         "{\"s\":{\"SS\":[\"\",\"a\",\"ab\",\"b\"]}}"},
        {"{\"s\":{\"NS\":[\"3\",\"-1\",\"2.50\",\"0\"]}}",
         "{\"s\":{\"NS\":[\"-1\",\"0\",\"2.5\",\"3\"]}}"},
        {"{\"s\":{\"BS\":[\"Ag==\",\"AQ==\"]}}", "{\"s\":{\"BS\":[\"AQ==\",\"Ag==\"]}}"},
        {"{\"l\":{\"L\":[]},\"m\":{\"M\":{}}}", "{\"l\":{\"L\":[]},\"m\":{\"M\":{}}}"},
        {"{\"l\":{\"L\":[{\"S\":\"x\"},{\"L\":[{\"N\":\"1\"}]},{\"M\":{\"k\":{\"NULL\":true}}}]}}",
         "{\"l\":{\"L\":[{\"S\":\"x\"},{\"L\":[{\"N\":\"1\"}]},{\"M\":{\"k\":{\"NULL\":true}}}]}}"},
        {"{\"\\u0061\\n\":{\"S\":\"\\u00e9\\ud83d\\ude00\\/\\u0001\\\"\\\\\"}}",
         "{\"a\\n\":{\"S\":\"\xc3\xa9\xf0\x9f\x98\x80/\\u0001\\\"\\\\\"}}"},
        /* Of repeated members the last wins. */
        {"{\"a\":{\"S\":\"1\"},\"b\":{\"S\":\"x\"},\"a\":{\"S\":\"2\"}}",
         "{\"a\":{\"S\":\"2\"},\"b\":{\"S\":\"x\"}}"},
        {"{\"a\":{\"S\":\"1\",\"S\":\"2\"}}", "{\"a\":{\"S\":\"2\"}}"},
        {"{\"a\":{\"L\":[{\"S\":\"1\"}],\"L\":[]}}", "{\"a\":{\"L\":[]}}"},
        /* Null members are as if they were not there; unknown ones are ignored. */
        {"{\"a\":{\"N\":\"1\",\"N\":null,\"S\":\"x\"}}", "{\"a\":{\"S\":\"x\"}}"},
        {"{\"a\":{\"S\":\"1\",\"N\":null,\"X\":[{\"a\":1}],\"NUL\":1}}", "{\"a\":{\"S\":\"1\"}}"},
    };
    struct fixture f;
    setup(&f);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_round_trip(&f, bytes_of_text(cases[i][0]), bytes_of_text(cases[i][1]));
    teardown(&f);
}

struct wrong {
    const char *value; /* of the attribute "a" */
    const char *message;
};

static void assert_refused(struct fixture *f, const struct wrong *wrong,
                           enum item_json_fault_kind kind)
{
    char json[1024];
    /* In an item, in a map, in a list, and followed by more. */
    static const char *const around[][2] = {
        {"{\"a\":", "}"},
        {"{\"z\":{\"S\":\"x\"},\"m\":{\"M\":{\"a\":",
         ",\"b\":{\"N\":\"1\"}}},\"c\":{\"N\":\"2\"}}"},
        {"{\"m\":{\"L\":[{\"S\":\"x\"},", ",{\"SS\":[\"x\"]}]}}"},
        {"{\"m\":{\"L\":[", ",{\"N\":\"later fault\"}]},\"n\":{}}"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(around); i++) {
        snprintf(json, sizeof(json), "%s%s%s", around[i][0], wrong->value, around[i][1]);
        if (read_map(f, bytes_of_text(json)) != STATUS_INVALID)
            fail_msg("%s is not refused", json);
        if (f->fault.kind != kind || !bytes_equal(f->fault.message, bytes_of_text(wrong->message)))
            fail_msg("%s: got %.*s, expected %s", json, BYTES_ARGS(f->fault.message),
                     wrong->message);
        if (kind == ITEM_JSON_VALIDATION)
            assert_int_equal(json_scanner_finish(&f->scanner), STATUS_OK);
    }
}

#define INVALID_VALUES "One or more parameter values were invalid: "
#define NOT_NUMERIC    "The parameter cannot be converted to a numeric value"

static void refuses_in_the_service_s_words(void **state)
{
    (void)state;
    static const struct wrong wrong[] = {
        {"{}", "Supplied AttributeValue is empty, must contain exactly one of the supported "
               "datatypes"},
        {"null", "Supplied AttributeValue is empty, must contain exactly one of the supported "
                 "datatypes"},
        {"{\"S\":null}", "Supplied AttributeValue is empty, must contain exactly one of the "
                         "supported datatypes"},
        {"{\"S\":\"x\",\"S\":null}", "Supplied AttributeValue is empty, must contain exactly one "
                                     "of the supported datatypes"},
        {"{\"X\":\"a\"}", "Supplied AttributeValue is empty, must contain exactly one of the "
                          "supported datatypes"},
        {"{\"S\":\"a\",\"N\":\"1\"}", "Supplied AttributeValue has more than one datatypes set, "
                                      "must contain exactly one of the supported datatypes"},
        {"{\"S\":\"a\",\"N\":\"b\"}", NOT_NUMERIC ": b"},
        {"{\"N\":\"\"}", NOT_NUMERIC},
        {"{\"N\":\"abc\"}", NOT_NUMERIC ": abc"},
        {"{\"NS\":[\"1\",\"\"]}", NOT_NUMERIC},
        {"{\"NS\":[\"1\",\"x\"]}", NOT_NUMERIC ": x"},
        {"{\"N\":\"123456789012345678901234567890123456789\"}",
         "Attempting to store more than 38 significant digits in a Number"},
        {"{\"N\":\"1e126\"}", "Number overflow. Attempting to store a number with magnitude larger "
                              "than supported range"},
        {"{\"N\":\"-1e-131\"}", "Number underflow. Attempting to store a number with magnitude "
                                "smaller than supported range"},
        {"{\"NULL\":false}",
         INVALID_VALUES "Null attribute value types must have the value of true"},
        {"{\"NULL\":\"no\"}",
         INVALID_VALUES "Null attribute value types must have the value of true"},
        {"{\"SS\":[]}", INVALID_VALUES "An string set  may not be empty"},
        {"{\"NS\":[]}", INVALID_VALUES "An number set  may not be empty"},
        {"{\"BS\":[]}", INVALID_VALUES "Binary sets should not be empty"},
        {"{\"SS\":[\"a\",\"b\",\"a\"]}",
         INVALID_VALUES "Input collection [a, b, a] contains duplicates."},
        {"{\"SS\":[\"\",\"\"]}", INVALID_VALUES "Input collection [, ] contains duplicates."},
        {"{\"NS\":[\"1\",\"1.0\"]}", "Input collection contains duplicates"},
        {"{\"BS\":[\"Yg==\",\"Yg==\"]}",
         INVALID_VALUES "Input collection [Yg==, Yg==]of type BS contains duplicates."},
        {"{\"SS\":[\"a\",null]}",
         INVALID_VALUES "An string set may not have a null string as a member"},
    };
    struct fixture f;
    setup(&f);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_refused(&f, &wrong[i], ITEM_JSON_VALIDATION);
    teardown(&f);
}

static void names_wrong_json_types_as_the_service_does(void **state)
{
    (void)state;
    static const struct wrong wrong[] = {
        {"\"x\"", "Unexpected value type in payload"},
        {"1", "Unexpected value type in payload"},
        {"true", "Unexpected value type in payload"},
        {"[]", "Unrecognized collection type class "
               "com.amazonaws.dynamodb.v20120810.AttributeValue"},
        {"{\"S\":1}", "NUMBER_VALUE cannot be converted to String"},
        {"{\"S\":1.5}", "DECIMAL_VALUE cannot be converted to String"},
        {"{\"N\":-1}", "NUMBER_VALUE cannot be converted to String"},
        {"{\"S\":true}", "TRUE_VALUE cannot be converted to String"},
        {"{\"S\":false}", "FALSE_VALUE cannot be converted to String"},
        {"{\"S\":[]}", "Unrecognized collection type class java.lang.String"},
        {"{\"S\":{}}", "Start of structure or map found where not expected"},
        {"{\"SS\":[1]}", "NUMBER_VALUE cannot be converted to String"},
        {"{\"SS\":\"a\"}", "Unexpected field type"},
        {"{\"L\":{}}", "Start of structure or map found where not expected"},
        {"{\"L\":[\"x\"]}", "Unexpected value type in payload"},
        {"{\"M\":[]}", "Unrecognized collection type java.util.Map<java.lang.String, "
                       "com.amazonaws.dynamodb.v20120810.AttributeValue>"},
        {"{\"M\":{\"k\":\"x\"}}", "Unexpected value type in payload"},
        {"{\"BOOL\":\"true\"}", "Unexpected token received from parser"},
        {"{\"BOOL\":1}", "NUMBER_VALUE cannot be converted to Boolean"},
        {"{\"BOOL\":[]}", "Unrecognized collection type class java.lang.Boolean"},
        {"{\"B\":1}", "only base-64-encoded strings are convertible to bytes"},
        {"{\"B\":[]}", "Unrecognized collection type class java.nio.ByteBuffer"},
        {"{\"B\":\"23456\"}",
         "Base64 encoded length is expected a multiple of 4 bytes but found: 5"},
        {"{\"B\":\"=+/=\"}", "Invalid last non-pad Base64 character dectected"},
        {"{\"B\":\"ab==\"}", "Invalid last non-pad Base64 character dectected"},
        {"{\"B\":\"abd=\"}", "Invalid last non-pad Base64 character dectected"},
        {"{\"B\":\"ab-_\"}", "Invalid Base64 character: '-'"},
        {"{\"B\":\"a===\"}", "Invalid Base64 character: '='"},
        {"{\"B\":\"====\"}", "Invalid Base64 character: '='"},
        {"{\"BS\":[\"AA==\",\"AA\"]}",
         "Base64 encoded length is expected a multiple of 4 bytes but found: 2"},
    };
    struct fixture f;
    setup(&f);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++)
        assert_refused(&f, &wrong[i], ITEM_JSON_SERIALIZATION);
    assert_int_equal(read_map(&f, BYTES("[]")), STATUS_INVALID);
    assert_true(bytes_start_with(f.fault.message, BYTES("Unrecognized collection type java.util")));
    assert_int_equal(read_map(&f, BYTES("\"x\"")), STATUS_INVALID);
    assert_true(bytes_start_with(f.fault.message, BYTES("class sun.reflect.generics")));
    teardown(&f);
}

/* A serialization fault anywhere comes before every validation fault. */
static void the_whole_json_is_checked_first(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    assert_int_equal(read_map(&f, BYTES("{\"a\":{\"N\":\"x\"},\"b\":{\"S\":1}}")), STATUS_INVALID);
    assert_int_equal(f.fault.kind, ITEM_JSON_SERIALIZATION);
    assert_true(bytes_equal(f.fault.message, BYTES("NUMBER_VALUE cannot be converted to String")));
    /* No JSON: no message. */
    static const char *const broken[] = {
        "{\"a\":{\"N\":\"x\"},\"b\":{\"S\"}}",
        "{\"a\":{\"S\":\"x\"}",
        "{\"a\":{\"S\":\"x\",}}",
        "{\"a\":{\"S\":\"\xff\"}}",
        "{\"a\"}",
        "{\"a\":{\"SS\":[\"a\",]}}",
        "{\"a\":}",
        "{\"z\":{\"S\":\"\",\"N\":\"25\"S\":\"a\"},\"a\":1",
        "{\"z\":{\"S\":\"\"},\"m\":{\"M\":{\"b\":{\"S\":\"x\",\"N\":\"1\"x",
        "{\"z\":{\"S\":\"\"},\"m\":{\"M\":{\"y\":{\"S\":\"\"},\"b\":x",
        "{\"z\":{\"S\":\"\"},\"m\":{\"SS\":[",
        "{\"z\":{\"S\":\"\"},\"m\":{\"SS\":[\"b\",\"a\"",
        "",
    };
    for (size_t i = 0; i < ARRAY_COUNT(broken); i++) {
        assert_int_equal(read_map(&f, bytes_of_text(broken[i])), STATUS_INVALID);
        assert_int_equal(f.fault.kind, ITEM_JSON_SERIALIZATION);
        assert_int_equal(f.fault.message.count, 0);
        assert_int_equal(json_scanner_finish(&f.scanner), STATUS_INVALID);
    }
    teardown(&f);
}

/* {"a":{"M":{"k":{"L":[ ... `depth` maps and lists around `inner` */
static void append_nested(struct buffer *to, int depth, const char *inner)
{
    buffer_append_bytes(to, BYTES("{\"a\":"));
    for (int i = 0; i < depth; i++)
        buffer_append_bytes(to, i % 2 == 0 ? BYTES("{\"M\":{\"k\":") : BYTES("{\"L\":["));
    buffer_append_bytes(to, bytes_of_text(inner));
    for (int i = depth; i-- > 0;)
        buffer_append_bytes(to, i % 2 == 0 ? BYTES("}}") : BYTES("]}"));
    buffer_append_bytes(to, BYTES("}"));
}

static void nests_32_levels(void **state)
{
    (void)state;
    static const struct {
        int depth;
        const char *inner;
        bool fits;
    } cases[] = {
        {31, "{\"S\":\"x\"}", true},  {31, "{\"SS\":[\"x\",\"y\"]}", true},
        {31, "{\"M\":{}}", true},     {31, "{\"L\":[]}", true},
        {32, "{\"S\":\"x\"}", false}, {32, "{\"SS\":[\"x\"]}", false},
        {40, "{\"S\":\"x\"}", false}, {50, "{\"N\":\"1\"}", false},
    };
    struct fixture f;
    struct buffer json;
    setup(&f);
    buffer_init(&json, &f.heap, 1u << 20);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        buffer_clear(&json);
        append_nested(&json, cases[i].depth, cases[i].inner);
        if (cases[i].fits) {
            assert_round_trip(&f, buffer_bytes(&json), buffer_bytes(&json));
            continue;
        }
        assert_int_equal(read_map(&f, buffer_bytes(&json)), STATUS_INVALID);
        assert_int_equal(f.fault.kind, ITEM_JSON_VALIDATION);
        assert_true(bytes_equal(f.fault.message,
                                BYTES("Nesting Levels have exceeded supported limits: Attributes "
                                      "in the item have nested levels beyond supported limit")));
        assert_int_equal(json_scanner_finish(&f.scanner), STATUS_OK);
    }
    /* Past the scanner's own bound it is no JSON any more. */
    buffer_clear(&json);
    append_nested(&json, 2000, "{\"S\":\"x\"}");
    assert_int_equal(read_map(&f, buffer_bytes(&json)), STATUS_INVALID);
    assert_int_equal(f.fault.kind, ITEM_JSON_SERIALIZATION);
    assert_int_equal(f.fault.message.count, 0);
    buffer_release(&json);
    teardown(&f);
}

static void bounds_are_answers(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct bytes json = BYTES("{\"a\":{\"S\":\"0123456789012345678901234567890123456789\"}}");
    f.binary.bytes_max = 32;
    assert_int_equal(read_map(&f, json), STATUS_NO_MEMORY);
    f.binary.bytes_max = 1u << 24;
    f.binary.failed = false;
    f.arena.bytes_max = 0;
    assert_int_equal(read_map(&f, BYTES("{\"a\":{\"B\":\"AAAA\"}}")), STATUS_NO_MEMORY);
    assert_int_equal(read_map(&f, BYTES("{\"a\":{\"N\":\"x\"}}")), STATUS_NO_MEMORY);
    f.arena.bytes_max = 1u << 24;
    assert_round_trip(&f, json, json);
    teardown(&f);
}

static void reads_one_value(void **state)
{
    (void)state;
    struct fixture f;
    struct value value;
    setup(&f);
    json_scanner_init(&f.scanner, BYTES("{\"L\":[{\"N\":\"7\"}]}"), &f.arena);
    value_writer_init(&f.writer, &f.binary);
    assert_int_equal(item_json_read_value(&f.scanner, &f.writer, &f.arena, &f.fault), STATUS_OK);
    assert_int_equal(json_scanner_finish(&f.scanner), STATUS_OK);
    assert_int_equal(value_writer_finish(&f.writer, &value), STATUS_OK);
    assert_int_equal(value_type(value), VALUE_L);
    struct json_writer w;
    json_writer_init(&w, &f.json);
    item_json_write_value(&w, value);
    assert_true(bytes_equal(buffer_bytes(&f.json), BYTES("{\"L\":[{\"N\":\"7\"}]}")));
    teardown(&f);
}

/* ---- Random items there and back ---- */

static void random_value(struct prng *prng, struct value_writer *w, int depth)
{
    uint8_t run[40];
    size_t count = prng_below(prng, 40);
    for (size_t i = 0; i < count; i++)
        run[i] = (uint8_t)prng_below(prng, 128);
    struct number number;
    switch (prng_below(prng, depth < 5 ? 8 : 5)) {
    case 0:
        value_write_null(w);
        break;
    case 1:
        value_write_bool(w, prng_one_in(prng, 2));
        break;
    case 2:
        number_from_u64(prng_u64(prng) >> prng_below(prng, 64), &number);
        value_write_number(w, &number);
        break;
    case 3:
        value_write_string(w, bytes_of(run, count));
        break;
    case 4:
        value_write_binary(w, bytes_of(run, count));
        break;
    case 5:
        value_write_begin(w, VALUE_BS);
        for (uint8_t i = 0; i < 1 + prng_below(prng, 40); i++)
            value_write_binary(w, bytes_of((uint8_t[]){(uint8_t)(i * 37)}, 1));
        value_write_end(w);
        break;
    case 6:
        value_write_begin(w, VALUE_L);
        for (uint64_t left = prng_below(prng, 5); left > 0; left--)
            random_value(prng, w, depth + 1);
        value_write_end(w);
        break;
    default:
        value_write_begin(w, VALUE_M);
        for (uint64_t left = prng_below(prng, 6); left > 0; left--) {
            value_write_name(w, bytes_of(run, prng_below(prng, count + 1)));
            random_value(prng, w, depth + 1);
        }
        value_write_end(w);
    }
}

static void random_items_come_back_the_same(void **state)
{
    (void)state;
    struct fixture f;
    struct prng prng;
    struct buffer original;
    setup(&f);
    buffer_init(&original, &f.heap, 1u << 20);
    prng_init(&prng, 42);
    for (int i = 0; i < 2000; i++) {
        struct value item, again;
        struct value_writer w;
        buffer_clear(&original);
        value_writer_init(&w, &original);
        value_write_begin(&w, VALUE_M);
        for (uint64_t left = prng_below(&prng, 8); left > 0; left--) {
            uint64_t name = prng_below(&prng, 1000);
            value_write_name(&w, bytes_of(&name, 2)); /* not UTF-8 in general: made so */
            original.at[original.count - 1] &= 0x7f;
            original.at[original.count - 2] &= 0x7f;
            random_value(&prng, &w, 0);
        }
        value_write_end(&w);
        assert_int_equal(value_writer_finish(&w, &item), STATUS_OK);
        assert_int_equal(value_check(bytes_of(item.at, item.bytes), &again), STATUS_OK);
        struct json_writer json;
        buffer_clear(&f.json);
        json_writer_init(&json, &f.json);
        item_json_write_map(&json, item);
        assert_in_range(f.json.count, 0, item_json_bytes_max(item));
        assert_in_range(f.json.count, 0, (size_t)item.bytes * VALUE_TEXT_FACTOR);
        assert_int_equal(read_map(&f, buffer_bytes(&f.json)), STATUS_OK);
        assert_int_equal(value_writer_finish(&f.writer, &again), STATUS_OK);
        assert_true(value_equal(item, again));
    }
    buffer_release(&original);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(the_longest_text_is_bounded),
        cmocka_unit_test(refuses_in_the_service_s_words),
        cmocka_unit_test(names_wrong_json_types_as_the_service_does),
        cmocka_unit_test(the_whole_json_is_checked_first),
        cmocka_unit_test(nests_32_levels),
        cmocka_unit_test(bounds_are_answers),
        cmocka_unit_test(reads_one_value),
        cmocka_unit_test(random_items_come_back_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
