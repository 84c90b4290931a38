/* The JSON scanner and writer: what is JSON and what is not, bounds, text, and a plain model. */
#include "wire/json.h"

#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"
#include "wire/base64.h"
#include "wire/json_fault.h"
#include "wire/json_text.h"

struct fixture {
    struct heap heap;
    struct arena arena;
    struct json_scanner scanner;
};

static void setup(struct fixture *f)
{
    heap_init(&f->heap, false);
    arena_init(&f->arena, &f->heap, 1u << 20);
}

static void teardown(struct fixture *f)
{
    arena_release(&f->arena);
    assert_int_equal(f->heap.bytes_used, 0);
}

/* Scan from memory of exactly the text's size, so that a read past its end is seen. */
static bool is_json(struct fixture *f, struct bytes text)
{
    uint8_t *exact = malloc(text.count > 0 ? text.count : 1);
    assert_non_null(exact);
    if (text.count > 0)
        memcpy(exact, text.at, text.count);
    json_scanner_init(&f->scanner, bytes_of(exact, text.count), &f->arena);
    json_skip(&f->scanner);
    bool whole = json_scanner_finish(&f->scanner) == STATUS_OK;
    free(exact);
    return whole;
}

static void takes_json(void **state)
{
    (void)state;
    static const char *const right[] = {
        "{}",
        "[]",
        "\"\"",
        "0",
        "-0",
        "true",
        "false",
        "null",
        " \t\r\n{ \"a\" : [ 1 , 2 ] } ",
        "[[],[[]],{}]",
        "{\"a\":{\"b\":{}},\"c\":[]}",
        "-12.5e+10",
        "1E-2",
        "0.0",
        "10",
        "1e0",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uD83D\\ude00\"",
        "\"\x7f\"",
        "\"\xc3\xa9\"",
        "\"\xe2\x82\xac\"",
        "\"\xf0\x9f\x98\x80\"",
        "\"\xed\x9f\xbf\xee\x80\x80\"",
        "\"\xf4\x8f\xbf\xbf\"",
        "{\"a\":1,\"a\":2}",
        "[1,[2,[3]],4]",
    };
    struct fixture f;
    setup(&f);
    for (size_t i = 0; i < ARRAY_COUNT(right); i++) {
        if (!is_json(&f, bytes_of_text(right[i])))
            fail_msg("%s is JSON", right[i]);
    }
    teardown(&f);
}

static void refuses_what_is_no_json(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "{]",
        "[}",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[,]",
        "[1 2]",
        "[1,,2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\":1 \"b\":2}",
        "{a:1}",
        "{'a':1}",
        "{1:2}",
        "{\"a\":1,,\"b\":2}",
        "{\"a\"::1}",
        "{\"a\":1}}",
        "[]]",
        "{} {}",
        "1 2",
        "1,",
        ",",
        ":",
        "01",
        "-",
        "-a",
        "1.",
        ".5",
        "1e",
        "1e+",
        "+1",
        "0x1",
        "1.e1",
        "00",
        "--1",
        "Infinity",
        "NaN",
        "tru",
        "truee",
        "True",
        "nul",
        "nulll",
        "fals",
        "false1",
        "t",
        "\"",
        "\"a",
        "\"\\",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u\"",
        "\"\\u123\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\ud800x\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud83d\\u\"",
        "\"\x01\"",
        "\"\n\"",
        "\"\x1f\"",
        "\"\x80\"",
        "\"\xc0\x80\"",
        "\"\xc1\xbf\"",
        "\"\xc3\"",
        "\"\xc3(\"",
        "\"\xe0\x80\x80\"",
        "\"\xe2\x82\"",
        "\"\xed\xa0\x80\"",
        "\"\xf0\x80\x80\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xf5\x80\x80\x80\"",
        "\"\xff\"",
        "\"\xf0\x9f\x98\"",
        "\"0123456789abcdef\xff\"",
        "\"0123456789abcdefg\\q\"",
        "\xef\xbb\xbf{}",
        "//\n1",
        "[1]//",
        "\"\\n\xff\"",
        "\"\\n",
        "\v1",
    };
    struct fixture f;
    setup(&f);
    for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
        if (is_json(&f, bytes_of_text(wrong[i])))
            fail_msg("%s is no JSON", wrong[i]);
    }
    assert_false(is_json(&f, BYTES("\"a\0b\"")));
    assert_false(is_json(&f, BYTES("\"\\\0\"")));
    teardown(&f);
}

static void every_prefix_is_no_json(void **state)
{
    (void)state;
    struct bytes text =
        BYTES("{\"name\":[\"v\\u00e9\xc3\xa9\\n\",-1.5e3,true,null,{}],\"x\":false}");
    struct fixture f;
    setup(&f);
    assert_true(is_json(&f, text));
    for (size_t count = 0; count < text.count; count++)
        assert_false(is_json(&f, bytes_of(text.at, count)));
    teardown(&f);
}

static void nests_to_its_bound(void **state)
{
    (void)state;
    struct fixture f;
    char text[1000];
    setup(&f);
    for (size_t depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(is_json(&f, bytes_of(text, 2 * depth)), depth <= JSON_DEPTH_MAX);
    }
    /* Depth is counted open, not in all. */
    char *to = text;
    *to++ = '[';
    for (int i = 0; i < 200; i++)
        to = stpcpy(to, i == 0 ? "[]" : ",[]");
    *to++ = ']';
    assert_true(is_json(&f, bytes_of(text, (size_t)(to - text))));
    memset(text, '[', sizeof(text));
    assert_false(is_json(&f, bytes_of(text, sizeof(text))));
    teardown(&f);
}

static struct bytes scan_string(struct fixture *f, const char *json)
{
    json_scanner_init(&f->scanner, bytes_of_text(json), &f->arena);
    assert_int_equal(json_peek(&f->scanner), JSON_STRING);
    return json_string(&f->scanner);
}

static void decodes_strings(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"\"plain\"", "plain"},
        {"\"\"", ""},
        {"\"\\n\"", "\n"},
        {"\"a\\tb\"", "a\tb"},
        {"\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\"0123456789abcdef0123456789abcdef\\\\\"", "0123456789abcdef0123456789abcdef\\"},
        {"\"\xc3\xa9\\n\xc3\xa9\"", "\xc3\xa9\n\xc3\xa9"},
    };
    struct fixture f;
    setup(&f);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        assert_true(bytes_equal(scan_string(&f, cases[i][0]), bytes_of_text(cases[i][1])));
        assert_int_equal(json_scanner_finish(&f.scanner), STATUS_OK);
    }
    assert_true(bytes_equal(scan_string(&f, "\"a\\u0000b\""), BYTES("a\0b")));
    /* Without escapes nothing is copied. */
    const char *text = "\"view\"";
    assert_ptr_equal(scan_string(&f, text).at, text + 1);
    /* No room for the decoded text. */
    f.arena.bytes_max = 16;
    arena_release(&f.arena);
    assert_int_equal(scan_string(&f, "\"needs\\nroom\"").count, 0);
    assert_true(f.scanner.failed);
    f.arena.bytes_max = 1u << 20;
    teardown(&f);
}

static void walks_objects_and_arrays(void **state)
{
    (void)state;
    struct fixture f;
    struct bytes name;
    setup(&f);
    struct json_scanner *s = &f.scanner;
    json_scanner_init(s, BYTES("{\"a\":[1,\"x\",true],\"b\":null,\"c\":{}}"), &f.arena);
    assert_int_equal(json_peek(s), JSON_OBJECT);
    json_object_begin(s);
    assert_true(json_object_next(s, &name));
    assert_true(bytes_equal(name, BYTES("a")));
    assert_int_equal(json_peek(s), JSON_ARRAY);
    json_array_begin(s);
    assert_true(json_array_next(s));
    assert_int_equal(json_peek(s), JSON_NUMBER);
    assert_true(bytes_equal(json_number(s), BYTES("1")));
    assert_true(json_array_next(s));
    assert_true(bytes_equal(json_string(s), BYTES("x")));
    assert_true(json_array_next(s));
    assert_true(json_boolean(s));
    assert_false(json_array_next(s));
    assert_true(json_object_next(s, &name));
    assert_int_equal(json_peek(s), JSON_NULL);
    json_null(s);
    assert_true(json_object_next(s, &name));
    json_skip(s);
    assert_false(json_object_next(s, &name));
    assert_int_equal(json_peek(s), JSON_END);
    assert_int_equal(json_scanner_finish(s), STATUS_OK);
    teardown(&f);
}

/* A caller that asks for what is not there gets a failed scanner, and nothing else after. */
static void failure_sticks(void **state)
{
    (void)state;
    struct fixture f;
    struct bytes name;
    setup(&f);
    struct json_scanner *s = &f.scanner;
    json_scanner_init(s, BYTES("{\"a\":1,\"b\":2}"), &f.arena);
    json_object_begin(s);
    assert_true(json_object_next(s, &name));
    assert_int_equal(json_string(s).count, 0);
    assert_true(s->failed);
    assert_false(json_object_next(s, &name));
    assert_false(json_array_next(s));
    assert_int_equal(json_number(s).count, 0);
    assert_false(json_boolean(s));
    assert_int_equal(json_peek(s), JSON_END);
    assert_int_equal(json_scanner_finish(s), STATUS_INVALID);
    /* A value that was not taken is found out at the next member. */
    json_scanner_init(s, BYTES("{\"a\":1,\"b\":2}"), &f.arena);
    json_object_begin(s);
    assert_true(json_object_next(s, &name));
    assert_false(json_object_next(s, &name));
    assert_true(s->failed);
    teardown(&f);
}

static void finds_stops_like_the_plain_loop(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, 7);
    for (int i = 0; i < 20000; i++) {
        uint8_t text[64];
        size_t count = prng_below(&prng, sizeof(text));
        for (size_t j = 0; j < count; j++) {
            text[j] = (uint8_t)(0x20 + prng_below(&prng, 0x60));
            if (prng_one_in(&prng, 24))
                text[j] = (uint8_t)prng_u64(&prng);
        }
        for (int high = 0; high <= 1; high++) {
            const uint8_t *expected = text;
            while (expected < text + count && !json_stops(*expected, high))
                expected++;
            assert_ptr_equal(json_find_stop(text, text + count, high), expected);
        }
    }
}

/* ---- Writing ---- */

static void assert_written(struct buffer *b, const char *expected)
{
    assert_false(b->failed);
    if (!bytes_equal(buffer_bytes(b), bytes_of_text(expected)))
        fail_msg("got %.*s, expected %s", BYTES_ARGS(buffer_bytes(b)), expected);
    buffer_clear(b);
}

static void writes_json(void **state)
{
    (void)state;
    struct fixture f;
    struct buffer b;
    struct json_writer w;
    setup(&f);
    buffer_init(&b, &f.heap, 1u << 20);
    json_writer_init(&w, &b);
    json_write_object_begin(&w);
    json_write_name(&w, BYTES("a"));
    json_write_array_begin(&w);
    json_write_u64(&w, 0);
    json_write_u64(&w, UINT64_MAX);
    json_write_array_begin(&w);
    json_write_array_end(&w);
    json_write_object_begin(&w);
    json_write_object_end(&w);
    json_write_array_end(&w);
    json_write_name(&w, BYTES("b\""));
    json_write_raw(&w, BYTES("null"));
    json_write_name(&w, BYTES(""));
    json_write_bool(&w, false);
    json_write_name(&w, BYTES("r"));
    json_write_raw(&w, BYTES("1e5"));
    json_write_name(&w, BYTES("s"));
    json_write_string(&w, BYTES("a\0\x1f\b\t\n\v\f\r\"\\/\x7f\xc3\xa9"));
    json_write_object_end(&w);
    assert_written(&b, "{\"a\":[0,18446744073709551615,[],{}],\"b\\\"\":null,\"\":false,\"r\":1e5,"
                       "\"s\":\"a\\u0000\\u001F\\b\\t\\n\\u000B\\f\\r\\\"\\\\/\x7f\xc3\xa9\"}");
    buffer_release(&b);
    teardown(&f);
}

static void writes_doubles_as_java_does(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0.0"},
        {0.5, "0.5"},
        {1, "1.0"},
        {128.5, "128.5"},
        {-2, "-2.0"},
        {9999999.5, "9999999.5"},
        {0.1, "0.1"},
        {123.456, "123.456"},
        {0.001, "0.001"},
        {1e7, "1.0E7"},
        {1363729002.358, "1.363729002358E9"},
        {1.7e9, "1.7E9"},
        {0.0001, "1.0E-4"},
        {1e300 * 1e300, "0.0"},
    };
    struct fixture f;
    struct buffer b;
    setup(&f);
    buffer_init(&b, &f.heap, 1u << 20);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct json_writer w;
        json_writer_init(&w, &b);
        json_write_double(&w, cases[i].value);
        assert_written(&b, cases[i].text);
    }
    buffer_release(&b);
    teardown(&f);
}

static void base64_there_and_back(void **state)
{
    (void)state;
    struct fixture f;
    struct buffer b;
    struct prng prng;
    setup(&f);
    buffer_init(&b, &f.heap, 1u << 20);
    prng_init(&prng, 64);
    for (size_t count = 0; count < 100; count++) {
        uint8_t bytes[100];
        for (size_t i = 0; i < count; i++)
            bytes[i] = (uint8_t)prng_u64(&prng);
        struct json_writer w;
        json_writer_init(&w, &b);
        json_write_base64(&w, bytes_of(bytes, count));
        struct bytes text = bytes_of(b.at + 1, b.count - 2), content, message;
        assert_int_equal(text.count, (count + 2) / 3 * 4);
        assert_int_equal(base64_decode(text, &f.arena, &content, &message), STATUS_OK);
        assert_true(bytes_equal(content, bytes_of(bytes, count)));
        buffer_clear(&b);
    }
    buffer_release(&b);
    teardown(&f);
}

/* Any text comes back as it was, and a writer that runs out of room says so. */
static void strings_there_and_back(void **state)
{
    (void)state;
    struct fixture f;
    struct buffer b;
    struct prng prng;
    setup(&f);
    buffer_init(&b, &f.heap, 1u << 20);
    prng_init(&prng, 99);
    for (int i = 0; i < 5000; i++) {
        uint8_t text[128];
        size_t count = prng_below(&prng, sizeof(text) - 2);
        for (size_t j = 0; j < count; j++) {
            text[j] = (uint8_t)prng_below(&prng, 128);
            if (prng_one_in(&prng, 10) && j + 1 < count) {
                text[j++] = 0xc3;
                text[j] = (uint8_t)(0x80 + prng_below(&prng, 64));
            }
        }
        struct json_writer w;
        buffer_clear(&b);
        json_writer_init(&w, &b);
        json_write_string(&w, bytes_of(text, count));
        json_scanner_init(&f.scanner, buffer_bytes(&b), &f.arena);
        assert_true(bytes_equal(json_string(&f.scanner), bytes_of(text, count)));
        assert_int_equal(json_scanner_finish(&f.scanner), STATUS_OK);
        arena_reset(&f.arena);
    }
    buffer_release(&b);
    b.bytes_max = 8;
    struct json_writer w;
    json_writer_init(&w, &b);
    json_write_string(&w, BYTES("too long for it"));
    assert_true(b.failed);
    buffer_release(&b);
    teardown(&f);
}

static void names_what_a_member_does_not_take(void **state)
{
    (void)state;
    static const struct {
        enum json_want want;
        const char *json;
        const char *text;
    } cases[] = {
        {JSON_WANT_STRING, "12", "NUMBER_VALUE cannot be converted to String"},
        {JSON_WANT_INTEGER, "\"12\"", "STRING_VALUE cannot be converted to Integer"},
        {JSON_WANT_LONG, "true", "TRUE_VALUE cannot be converted to Long"},
        {JSON_WANT_INTEGER, "[]", "Unrecognized collection type class java.lang.Integer"},
        {JSON_WANT_BOOLEAN, "1.5", "DECIMAL_VALUE cannot be converted to Boolean"},
        {JSON_WANT_STRUCTURE, "[]",
         "Unrecognized collection type class "
         "com.amazonaws.dynamodb.v20120810.KeySchemaElement"},
        {JSON_WANT_LIST, "false", "Unexpected field type"},
        {JSON_WANT_LIST, "{}", "Start of structure or map found where not expected"},
        {JSON_WANT_STRING, "", ""},
    };
    struct fixture f;
    setup(&f);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        json_scanner_init(&f.scanner, bytes_of_text(cases[i].json), &f.arena);
        struct bytes text =
            json_fault_text(&f.scanner, cases[i].want, BYTES("KeySchemaElement"), &f.arena);
        assert_true(bytes_equal(text, bytes_of_text(cases[i].text)));
    }
    teardown(&f);
}

/* ---- Pauses ---- */

static void count_pause(void *count)
{
    ++*(unsigned *)count;
}

/* A string of `times` times `unit` between two quotes. */
static struct bytes repeated(const char *unit, size_t times)
{
    size_t length = strlen(unit);
    uint8_t *at = malloc(length * times + 2);
    assert_non_null(at);
    at[0] = at[length * times + 1] = '"';
    for (size_t i = 0; i < times; i++)
        memcpy(at + 1 + i * length, unit, length);
    return bytes_of(at, length * times + 2);
}

/* After each PAUSE_BYTES at the latest, and with the same outcome; a short body has none. */
static void pauses_within_one_value(void **state)
{
    (void)state;
    static const char *const units[] = {"a", "\xc3\xa9", "\\n", "\\u00e9", "aaaaaaaaaaa\\n"};
    struct heap heap;
    struct arena arena;
    heap_init(&heap, false);
    arena_init(&arena, &heap, 64u << 20);
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        struct bytes body = repeated(units[i], 8 * PAUSE_BYTES / strlen(units[i]));
        struct json_scanner plain, paused;
        unsigned count = 0;
        struct pause pause = {count_pause, &count};
        json_scanner_init(&plain, body, &arena);
        json_scanner_init(&paused, body, &arena);
        json_scanner_pause(&paused, &pause);
        struct bytes expected = json_string(&plain);
        struct bytes found = json_string(&paused);
        assert_true(count >= 7);
        assert_true(bytes_equal(expected, found));
        assert_int_equal(json_scanner_finish(&paused), STATUS_OK);
        free((void *)(uintptr_t)body.at);
        arena_reset(&arena);
    }
    struct bytes body = repeated(" ", 4 * PAUSE_BYTES);
    struct json_scanner scanner;
    unsigned count = 0;
    struct pause pause = {count_pause, &count};
    json_scanner_init(&scanner, bytes_of(body.at + 1, body.count - 2), &arena);
    json_scanner_pause(&scanner, &pause);
    assert_int_equal(json_peek(&scanner), JSON_END);
    assert_int_equal(count, 3);
    json_scanner_init(&scanner, BYTES("{\"a\": [1, \"b\"]}"), &arena);
    json_scanner_pause(&scanner, &pause);
    json_skip(&scanner);
    assert_int_equal(json_scanner_finish(&scanner), STATUS_OK);
    assert_int_equal(count, 3);
    free((void *)(uintptr_t)body.at);
    arena_release(&arena);
}

static void numbers_have_a_bound(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    struct bytes body = repeated("1", JSON_NUMBER_BYTES_MAX + 1);
    json_scanner_init(&f.scanner, bytes_of(body.at + 1, JSON_NUMBER_BYTES_MAX - 1), &f.arena);
    assert_int_equal(json_number(&f.scanner).count, JSON_NUMBER_BYTES_MAX - 1);
    json_scanner_init(&f.scanner, bytes_of(body.at + 1, JSON_NUMBER_BYTES_MAX), &f.arena);
    (void)json_number(&f.scanner);
    assert_true(f.scanner.failed);
    free((void *)(uintptr_t)body.at);
    teardown(&f);
}

static void base64_pauses(void **state)
{
    (void)state;
    struct heap heap;
    struct arena arena;
    heap_init(&heap, false);
    arena_init(&arena, &heap, 64u << 20);
    struct bytes body = repeated("QUJD", PAUSE_BYTES);
    struct bytes text = bytes_of(body.at + 1, body.count - 2), content, message;
    unsigned count = 0;
    struct pause pause = {count_pause, &count};
    assert_int_equal(base64_decode_paused(text, &arena, &pause, &content, &message), STATUS_OK);
    assert_int_equal(count, 3);
    assert_int_equal(content.count, 3 * PAUSE_BYTES);
    for (size_t i = 0; i < content.count; i++)
        assert_int_equal(content.at[i], 'A' + i % 3);
    ((uint8_t *)(uintptr_t)text.at)[3 * PAUSE_BYTES + 1] = '!';
    assert_int_equal(base64_decode_paused(text, &arena, &pause, &content, &message),
                     STATUS_INVALID);
    assert_true(bytes_equal(message, BYTES("Invalid Base64 character: '!'")));
    free((void *)(uintptr_t)body.at);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_json),
        cmocka_unit_test(refuses_what_is_no_json),
        cmocka_unit_test(every_prefix_is_no_json),
        cmocka_unit_test(nests_to_its_bound),
        cmocka_unit_test(decodes_strings),
        cmocka_unit_test(walks_objects_and_arrays),
        cmocka_unit_test(failure_sticks),
        cmocka_unit_test(finds_stops_like_the_plain_loop),
        cmocka_unit_test(writes_json),
        cmocka_unit_test(writes_doubles_as_java_does),
        cmocka_unit_test(base64_there_and_back),
        cmocka_unit_test(strings_there_and_back),
        cmocka_unit_test(names_what_a_member_does_not_take),
        cmocka_unit_test(pauses_within_one_value),
        cmocka_unit_test(numbers_have_a_bound),
        cmocka_unit_test(base64_pauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
