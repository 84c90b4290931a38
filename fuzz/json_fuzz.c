/* The JSON scanner on any bytes: what it takes, written again, is taken again and written the same.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void copy_value(struct json_scanner *s, struct json_writer *w)
{
    struct bytes name;
    switch (json_peek(s)) {
    case JSON_OBJECT:
        json_object_begin(s);
        json_write_object_begin(w);
        while (json_object_next(s, &name)) {
            json_write_name(w, name);
            copy_value(s, w);
        }
        json_write_object_end(w);
        break;
    case JSON_ARRAY:
        json_array_begin(s);
        json_write_array_begin(w);
        while (json_array_next(s))
            copy_value(s, w);
        json_write_array_end(w);
        break;
    case JSON_STRING:
        json_write_string(w, json_string(s));
        break;
    case JSON_NUMBER:
        json_write_raw(w, json_number(s));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        json_write_bool(w, json_boolean(s));
        break;
    case JSON_NULL:
        json_null(s);
        json_write_raw(w, BYTES("null"));
        break;
    case JSON_END:
        json_skip(s);
        break;
    }
}

/* Copy `text` to `to`; false: it is no JSON. */
static bool copy(struct bytes text, struct arena *arena, struct buffer *to)
{
    struct json_scanner s;
    struct json_writer w;
    json_scanner_init(&s, text, arena);
    json_writer_init(&w, to);
    copy_value(&s, &w);
    return json_scanner_finish(&s) == STATUS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heap heap;
    struct arena arena;
    struct buffer once, twice;
    struct json_scanner skipped;
    heap_init(&heap, false);
    arena_init(&arena, &heap, 1u << 22);
    buffer_init(&once, &heap, 1u << 22);
    buffer_init(&twice, &heap, 1u << 22);

    struct bytes text = bytes_of(data, size);
    json_scanner_init(&skipped, text, &arena);
    json_skip(&skipped);
    bool is_json = json_scanner_finish(&skipped) == STATUS_OK;
    ASSERT(copy(text, &arena, &once) == is_json);
    if (is_json && !once.failed) {
        ASSERT(copy(buffer_bytes(&once), &arena, &twice));
        ASSERT(bytes_equal(buffer_bytes(&once), buffer_bytes(&twice)));
    }
    buffer_release(&once);
    buffer_release(&twice);
    arena_release(&arena);
    ASSERT(heap.bytes_used == 0);
    return 0;
}
