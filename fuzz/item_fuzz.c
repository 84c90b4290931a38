/* Items from any bytes: as the binary form (checked, then walked by every accessor) and as JSON
 * (read, written and read again: the same item).
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "wire/item_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t walk(struct value v)
{
    uint64_t sum = value_size(v);
    enum value_type type = value_type(v);
    if (type == VALUE_S || type == VALUE_B)
        sum += value_bytes(v).count;
    if (type < VALUE_SS)
        return sum;
    struct value_cursor cursor;
    struct value element;
    struct bytes name;
    uint32_t count = 0;
    value_cursor_init(&cursor, v);
    while (value_next(&cursor, &name, &element)) {
        struct value found;
        if (type == VALUE_M)
            ASSERT(value_find(v, name, &found) && found.at == element.at);
        if (type == VALUE_L && count < 100)
            ASSERT(value_at(v, count, &found) && found.at == element.at);
        sum += walk(element);
        count++;
    }
    ASSERT(count == value_count(v));
    return sum;
}

/* Bytes that check out are what a writer would have made of them. */
static void check_binary(struct bytes bytes, struct buffer *to)
{
    struct value value, copied;
    struct value_writer w;
    if (value_check(bytes, &value) != STATUS_OK)
        return;
    walk(value);
    ASSERT(value_levels(value) <= VALUE_DEPTH_MAX + 1);
    if (value_type(value) != VALUE_M)
        return;
    struct value_cursor cursor;
    struct value element;
    struct bytes name;
    value_writer_init(&w, to);
    value_write_begin(&w, VALUE_M);
    value_cursor_init(&cursor, value);
    while (value_next(&cursor, &name, &element)) {
        value_write_name(&w, name);
        value_write_value(&w, element);
    }
    value_write_end(&w);
    ASSERT(value_writer_finish(&w, &copied) == STATUS_OK);
    ASSERT(value_equal(value, copied));
}

static bool read_item(struct bytes json, struct arena *arena, struct buffer *to, struct value *item)
{
    struct json_scanner s;
    struct value_writer w;
    struct item_json_fault fault;
    json_scanner_init(&s, json, arena);
    value_writer_init(&w, to);
    enum status status = item_json_read_map(&s, &w, arena, &fault);
    if (status == STATUS_INVALID)
        ASSERT(fault.message.count > 0 || json_scanner_finish(&s) == STATUS_INVALID);
    return status == STATUS_OK && json_scanner_finish(&s) == STATUS_OK &&
           value_writer_finish(&w, item) == STATUS_OK;
}

static void check_json(struct bytes json, struct arena *arena, struct buffer *to,
                       struct buffer *text, struct buffer *again)
{
    struct value item, checked, reread;
    if (!read_item(json, arena, to, &item))
        return;
    ASSERT(value_check(bytes_of(item.at, item.bytes), &checked) == STATUS_OK);
    walk(item);
    struct json_writer w;
    json_writer_init(&w, text);
    item_json_write_map(&w, item);
    if (text->failed)
        return;
    ASSERT(read_item(buffer_bytes(text), arena, again, &reread));
    ASSERT(value_equal(item, reread));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heap heap;
    struct arena arena;
    struct buffer binary, text, again;
    heap_init(&heap, false);
    arena_init(&arena, &heap, 1u << 24);
    buffer_init(&binary, &heap, 1u << 24);
    buffer_init(&text, &heap, 1u << 24);
    buffer_init(&again, &heap, 1u << 24);
    check_binary(bytes_of(data, size), &binary);
    buffer_clear(&binary);
    check_json(bytes_of(data, size), &arena, &binary, &text, &again);
    buffer_release(&binary);
    buffer_release(&text);
    buffer_release(&again);
    arena_release(&arena);
    ASSERT(heap.bytes_used == 0);
    return 0;
}
