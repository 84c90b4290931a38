#include "model/value.h"

#include "base/assert.h"
#include "base/codec.h"
#include "model/value_private.h"

static const char *const type_names[VALUE_TYPE_COUNT] = {
    "", "NULL", "BOOL", "N", "S", "B", "SS", "NS", "BS", "L", "M",
};

const char *value_type_name(enum value_type type)
{
    return (unsigned)type < VALUE_TYPE_COUNT ? type_names[type] : "";
}

/* ---- Reading trusted bytes ---- */

bool value_bool(struct value v)
{
    ASSERT(value_type(v) == VALUE_BOOL);
    return v.at[1] != 0;
}

struct bytes value_bytes(struct value v)
{
    ASSERT(value_type(v) == VALUE_S || value_type(v) == VALUE_B);
    return scalar_content(v.at);
}

struct bytes value_number_encoded(struct value v)
{
    ASSERT(value_type(v) == VALUE_N);
    return scalar_content(v.at);
}

void value_number(struct value v, struct number *number)
{
    enum status status = number_decode(value_number_encoded(v), number);
    ASSERT(status == STATUS_OK);
}

uint32_t value_count(struct value v)
{
    ASSERT(is_container(value_type(v)));
    return get_u32(v.at + CONTAINER_COUNT_AT);
}

void value_cursor_init(struct value_cursor *cursor, struct value container)
{
    ASSERT(is_container(value_type(container)));
    cursor->at = container.at + CONTAINER_HEAD_BYTES;
    cursor->end = container.at + container.bytes;
    cursor->named = value_type(container) == VALUE_M;
}

bool value_next(struct value_cursor *cursor, struct bytes *name, struct value *element)
{
    const uint8_t *at = cursor->at;
    if (at == cursor->end)
        return false;
    struct bytes own_name = {0};
    if (cursor->named) {
        uint32_t count;
        at = get_varint(at, &count);
        own_name = bytes_of(at, count);
        at += count;
    }
    if (name != NULL)
        *name = own_name;
    *element = value_of(at);
    cursor->at = at + element->bytes;
    return true;
}

bool value_at(struct value list, uint32_t index, struct value *out)
{
    ASSERT(value_type(list) == VALUE_L);
    if (index >= value_count(list))
        return false;
    const uint8_t *at = list.at + CONTAINER_HEAD_BYTES;
    for (uint32_t i = 0; i < index; i++)
        at = value_end(at);
    *out = value_of(at);
    return true;
}

bool value_find(struct value map, struct bytes name, struct value *out)
{
    ASSERT(value_type(map) == VALUE_M);
    const uint8_t *at = map.at + CONTAINER_HEAD_BYTES;
    const uint8_t *end = map.at + map.bytes;
    while (at < end) {
        uint32_t count;
        at = get_varint(at, &count);
        int order = bytes_compare(bytes_of(at, count), name);
        at += count;
        if (order == 0) {
            *out = value_of(at);
            return true;
        }
        if (order > 0)
            return false; /* the names are sorted */
        at = value_end(at);
    }
    return false;
}

bool value_equal(struct value a, struct value b)
{
    return bytes_equal(bytes_of(a.at, a.bytes), bytes_of(b.at, b.bytes));
}

int value_compare(struct value a, struct value b)
{
    enum value_type type = value_type(a);
    ASSERT(type == value_type(b));
    ASSERT(type == VALUE_S || type == VALUE_N || type == VALUE_B);
    return bytes_compare(scalar_content(a.at), scalar_content(b.at));
}

bool value_contains(struct value container, struct value element)
{
    enum value_type type = value_type(container);
    ASSERT(is_set(type) || type == VALUE_L);
    if (is_set(type) && value_type(element) != element_type(type))
        return false;
    struct value_cursor cursor;
    struct value own;
    value_cursor_init(&cursor, container);
    while (value_next(&cursor, NULL, &own)) {
        if (value_equal(own, element))
            return true;
    }
    return false;
}

uint32_t value_levels(struct value v)
{
    if (value_type(v) != VALUE_L && value_type(v) != VALUE_M)
        return 1;
    uint32_t below = 0;
    struct value_cursor cursor;
    struct value element;
    value_cursor_init(&cursor, v);
    while (value_next(&cursor, NULL, &element)) {
        uint32_t levels = value_levels(element);
        below = MAX(below, levels);
    }
    return 1 + below;
}

/* ---- Sizes ---- */

/* The size of the value that begins at `at`, and where it ends, in one pass. */
static uint32_t size_at(const uint8_t *at, const uint8_t **end)
{
    uint32_t count;
    switch ((enum value_type)at[0]) {
    case VALUE_NULL:
        *end = at + 1;
        return 1;
    case VALUE_BOOL:
        *end = at + 2;
        return 1;
    case VALUE_N:
        *end = at + 2 + at[1];
        return number_encoded_size(bytes_of(at + 2, at[1]));
    case VALUE_S:
    case VALUE_B:
        at = get_varint(at + 1, &count);
        *end = at + count;
        return count;
    default:
        *end = value_end(at);
        return value_size((struct value){at, (uint32_t)(*end - at)});
    }
}

/* Of the elements of a container: `each` for one, its name, its size. */
static uint32_t elements_size(struct value container, uint32_t each)
{
    const uint8_t *at = container.at + CONTAINER_HEAD_BYTES;
    const uint8_t *end = container.at + container.bytes;
    bool named = value_type(container) == VALUE_M;
    uint32_t total = 0, count;
    while (at < end) {
        if (named) {
            at = get_varint(at, &count);
            at += count;
            total += count;
        }
        total += each + size_at(at, &at);
    }
    return total;
}

/* A set is its elements.  A list or map is 3, and for each element 1 and its size, and its name
 * (Developer Guide, "DynamoDB item sizes and formats": "requires 3 bytes of overhead ... plus 1
 * byte for each"). */
uint32_t value_size(struct value v)
{
    const uint8_t *end;
    enum value_type type = value_type(v);
    if (!is_container(type))
        return size_at(v.at, &end);
    return is_set(type) ? elements_size(v, 0) : 3 + elements_size(v, 1);
}

uint32_t item_size(struct value item)
{
    ASSERT(value_type(item) == VALUE_M);
    return elements_size(item, 0);
}

/* ---- Checking untrusted bytes ---- */

static uint32_t read_varint(struct reader *r)
{
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint32_t byte = read_u8(r);
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            bool shortest = byte != 0 || shift == 0;
            if (!shortest || (shift == 28 && byte > 0x0f))
                r->failed = true;
            return value;
        }
    }
    r->failed = true;
    return 0;
}

static void check_value(struct reader *r, uint32_t levels_left);

static void check_number(struct bytes encoded, struct reader *r)
{
    struct number number;
    if (number_decode(encoded, &number) != STATUS_OK)
        r->failed = true;
}

/* Elements of one type, in ascending order. */
static void check_set(struct reader *body, enum value_type type, uint32_t count)
{
    struct bytes last = {0};
    if (count == 0)
        body->failed = true;
    for (uint32_t i = 0; i < count && !body->failed; i++) {
        const uint8_t *at = body->at;
        check_value(body, 1);
        if (body->failed || at[0] != element_type(type)) {
            body->failed = true;
            return;
        }
        struct bytes content = scalar_content(at);
        if (i > 0 && bytes_compare(last, content) >= 0)
            body->failed = true;
        last = content;
    }
}

static void check_elements(struct reader *body, bool named, uint32_t count, uint32_t levels_left)
{
    struct bytes last = {0};
    for (uint32_t i = 0; i < count && !body->failed; i++) {
        if (named) {
            struct bytes name = read_bytes(body, read_varint(body));
            if (i > 0 && !body->failed && bytes_compare(last, name) >= 0)
                body->failed = true;
            last = name;
        }
        check_value(body, levels_left);
    }
}

static void check_container(struct reader *r, enum value_type type, uint32_t levels_left)
{
    struct bytes content = read_bytes(r, read_u32(r));
    if (r->failed)
        return;
    struct reader body = reader_of(content);
    uint32_t count = read_u32(&body);
    if (is_set(type))
        check_set(&body, type, count);
    else
        check_elements(&body, type == VALUE_M, count, levels_left - 1);
    if (body.failed || body.at != body.end)
        r->failed = true;
}

static void check_value(struct reader *r, uint32_t levels_left)
{
    if (levels_left == 0) {
        r->failed = true;
        return;
    }
    enum value_type type = (enum value_type)read_u8(r);
    switch (type) {
    case VALUE_NULL:
        break;
    case VALUE_BOOL:
        if (read_u8(r) > 1)
            r->failed = true;
        break;
    case VALUE_N:
        check_number(read_bytes(r, read_u8(r)), r);
        break;
    case VALUE_S:
    case VALUE_B:
        read_bytes(r, read_varint(r));
        break;
    case VALUE_SS:
    case VALUE_NS:
    case VALUE_BS:
    case VALUE_L:
    case VALUE_M:
        check_container(r, type, levels_left);
        break;
    default:
        r->failed = true;
    }
}

enum status value_check(struct bytes bytes, struct value *value)
{
    if (bytes.count == 0 || bytes.count > VALUE_BYTES_MAX)
        return STATUS_CORRUPT;
    struct reader r = reader_of(bytes);
    check_value(&r, VALUE_DEPTH_MAX + 1);
    if (r.failed || r.at != r.end)
        return STATUS_CORRUPT;
    *value = (struct value){bytes.at, (uint32_t)bytes.count};
    return STATUS_OK;
}

/* ---- The stored row ---- */

#define ROW_FORMAT 1

void row_header_write(uint8_t *to, const struct row *row)
{
    to[0] = ROW_FORMAT;
    to[1] = 0;
    put_u16(to + 2, row->origin_region);
    put_u64(to + 4, row->version);
    put_u64(to + 12, row->timestamp);
}

enum status row_read(struct bytes stored, struct row *row)
{
    if (stored.count < 1)
        return STATUS_CORRUPT;
    if (stored.at[0] != ROW_FORMAT)
        return STATUS_VERSION;
    if (stored.count < ROW_HEADER_BYTES + CONTAINER_HEAD_BYTES || stored.at[1] != 0)
        return STATUS_CORRUPT;
    struct bytes item = bytes_after(stored, ROW_HEADER_BYTES);
    if (item.at[0] != VALUE_M || item.count > VALUE_BYTES_MAX ||
        get_u32(item.at + CONTAINER_LENGTH_AT) != item.count - CONTAINER_COUNT_AT)
        return STATUS_CORRUPT;
    *row = (struct row){.origin_region = get_u16(stored.at + 2),
                        .version = get_u64(stored.at + 4),
                        .timestamp = get_u64(stored.at + 12),
                        .item = {item.at, (uint32_t)item.count}};
    return STATUS_OK;
}
