#include "wire/item_json.h"

#include "wire/base64.h"
#include "wire/json_fault.h"

/* Messages of ValidationException, as publicly reported of the service: zio-dynamodb #113 and
 * aws-sdk-net #3297 (empty sets), minidyn #50 and ExtendDB #100 (duplicates), dynoxide #110
 * (nesting), aws-dynamodb-encryption-java #12 (more than one type), paritysuite's
 * dynamodb-conformance tests/tier3/limits/emptyValues.test.ts (binary sets) and CHANGELOG
 * 2026-07-17 ({"NULL": false} is refused in every region again). */
#define INVALID_VALUES "One or more parameter values were invalid: "

#define EMPTY_VALUE                                                                                \
    BYTES("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")
#define SEVERAL_TYPES                                                                              \
    BYTES("Supplied AttributeValue has more than one datatypes set, must contain exactly one of "  \
          "the supported datatypes")
#define NULL_NOT_TRUE BYTES(INVALID_VALUES "Null attribute value types must have the value of true")
#define TOO_DEEP                                                                                   \
    BYTES("Nesting Levels have exceeded supported limits: Attributes in the item have nested "     \
          "levels beyond supported limit")

/* Of a number's text; a bound of ours, zeros before and behind it included. */
#define NUMBER_BYTES_MAX 65536u

#define EMPTY_NAME BYTES(INVALID_VALUES "Empty attribute name")
#define LONG_NAME                                                                                  \
    BYTES(INVALID_VALUES "Attribute name has exceeded the maximum size limit of 65535 bytes")

/* One value or map that is being read.  The first validation fault makes the writer refuse all that
 * follows, so that the JSON is still checked to its end while nothing more is built; a
 * serialization fault ends the scanner. */
struct reading {
    struct json_scanner *s;
    struct value_writer *w;
    struct arena *arena;
    struct item_json_fault *fault;
    bool refused;    /* a validation fault is in *fault */
    bool unreadable; /* a serialization fault is in *fault */
};

static void refuse(struct reading *r, struct bytes message)
{
    if (r->refused || r->unreadable || r->s->failed)
        return;
    if (message.at == NULL) {
        r->w->status = STATUS_NO_MEMORY;
        return;
    }
    r->refused = true;
    r->fault->kind = ITEM_JSON_VALIDATION;
    r->fault->message = message;
    r->w->status = STATUS_INVALID;
}

static void stop_reading(struct reading *r, struct bytes message)
{
    if (!r->unreadable && !r->s->failed) {
        r->unreadable = true;
        r->fault->kind = ITEM_JSON_SERIALIZATION;
        r->fault->message = message;
    }
    r->s->failed = true;
    r->s->at = r->s->end;
}

/* Close the container that was read.  What a failed scanner left is no whole container: a name may
 * stand there without its value. */
static void close_container(struct reading *r)
{
    if (UNLIKELY(r->s->failed) && r->w->status == STATUS_OK)
        r->w->status = STATUS_INVALID;
    value_write_end(r->w);
}

/* The value that comes next is not what `want` takes. */
static void mismatch(struct reading *r, enum json_want want)
{
    if (json_peek(r->s) == JSON_END)
        r->s->failed = true;
    stop_reading(r, json_fault_text(r->s, want, BYTES("AttributeValue"), r->arena));
}

/* ---- Reading scalars ---- */

static bool take_string(struct reading *r, enum json_want want, struct bytes *text)
{
    if (json_peek(r->s) != JSON_STRING) {
        mismatch(r, want);
        return false;
    }
    *text = json_string(r->s);
    return !r->s->failed;
}

static void read_string(struct reading *r)
{
    struct bytes text;
    if (take_string(r, JSON_WANT_STRING, &text))
        value_write_string(r->w, text);
}

static void read_number(struct reading *r)
{
    struct bytes text;
    struct number number;
    enum number_fault fault;
    if (!take_string(r, JSON_WANT_STRING, &text))
        return;
    if (UNLIKELY(text.count > NUMBER_BYTES_MAX)) {
        refuse(r, number_fault_text(NUMBER_FAULT_DIGITS));
        return;
    }
    if (LIKELY(number_parse(text, &number, &fault) == STATUS_OK)) {
        value_write_number(r->w, &number);
        return;
    }
    struct bytes message = number_fault_text(fault);
    if (fault == NUMBER_FAULT_SYNTAX && text.count > 0)
        message = arena_format(r->arena, "%.*s: %.*s", BYTES_ARGS(message), BYTES_ARGS(text));
    refuse(r, message);
}

static void read_binary(struct reading *r)
{
    struct bytes text, content, message;
    if (!take_string(r, JSON_WANT_BLOB, &text))
        return;
    enum status status = base64_decode_paused(text, r->arena, r->s->pause, &content, &message);
    if (LIKELY(status == STATUS_OK))
        value_write_binary(r->w, content);
    else if (status == STATUS_INVALID)
        stop_reading(r, message);
    else
        r->w->status = status;
}

static void read_boolean(struct reading *r)
{
    enum json_type type = json_peek(r->s);
    if (type == JSON_TRUE || type == JSON_FALSE)
        value_write_bool(r->w, json_boolean(r->s));
    else
        mismatch(r, JSON_WANT_BOOLEAN);
}

static void read_null(struct reading *r)
{
    switch (json_peek(r->s)) {
    case JSON_TRUE:
        json_boolean(r->s);
        value_write_null(r->w);
        break;
    case JSON_FALSE:
    case JSON_STRING:
        json_skip(r->s);
        refuse(r, NULL_NOT_TRUE);
        break;
    default:
        mismatch(r, JSON_WANT_BOOLEAN);
    }
}

/* ---- Reading sets ---- */

static struct bytes empty_set_text(enum value_type type)
{
    /* The service's two spaces and articles. */
    if (type == VALUE_SS)
        return BYTES(INVALID_VALUES "An string set  may not be empty");
    if (type == VALUE_NS)
        return BYTES(INVALID_VALUES "An number set  may not be empty");
    return BYTES(INVALID_VALUES "Binary sets should not be empty");
}

/* The service says no more for a null in a set than that it is one. */
static struct bytes null_member_text(enum value_type type)
{
    if (type == VALUE_SS)
        return BYTES(INVALID_VALUES "An string set may not have a null string as a member");
    if (type == VALUE_NS)
        return BYTES(INVALID_VALUES "An number set may not have a null string as a member");
    return BYTES(INVALID_VALUES "Binary sets may not contain null values");
}

/* Number sets have a text of their own (dynamoose #79, ExtendDB #100); the others show the members
 * as they came.  `members` stands behind the set's bracket. */
static struct bytes duplicates_text(struct reading *r, enum value_type type,
                                    struct json_scanner members)
{
    if (type == VALUE_NS)
        return BYTES("Input collection contains duplicates");
    struct buffer list;
    buffer_init(&list, r->w->to->heap, r->w->to->bytes_max);
    for (const char *comma = ""; json_array_next(&members); comma = ", ") {
        buffer_append_bytes(&list, bytes_of_text(comma));
        buffer_append_bytes(&list, json_string(&members));
    }
    struct bytes text = {0};
    if (!list.failed)
        text =
            arena_format(r->arena, INVALID_VALUES "Input collection [%.*s]%s contains duplicates.",
                         BYTES_ARGS(buffer_bytes(&list)), type == VALUE_BS ? "of type BS" : "");
    buffer_release(&list);
    return text;
}

static void read_member(struct reading *r, enum value_type type)
{
    if (json_peek(r->s) == JSON_NULL) {
        json_null(r->s);
        refuse(r, null_member_text(type));
    } else if (type == VALUE_SS) {
        read_string(r);
    } else if (type == VALUE_NS) {
        read_number(r);
    } else {
        read_binary(r);
    }
}

static void read_set(struct reading *r, enum value_type type)
{
    if (json_peek(r->s) != JSON_ARRAY) {
        mismatch(r, JSON_WANT_LIST);
        return;
    }
    json_array_begin(r->s);
    struct json_scanner members = *r->s;
    bool empty = true;
    value_write_begin(r->w, type);
    while (json_array_next(r->s)) {
        read_member(r, type);
        empty = false;
    }
    if (empty) {
        refuse(r, empty_set_text(type));
        return;
    }
    close_container(r);
    if (r->w->status == STATUS_EXISTS)
        refuse(r, duplicates_text(r, type, members));
}

/* ---- Reading values ---- */

static void read_value(struct reading *r, uint32_t level);

static void read_list(struct reading *r, uint32_t level)
{
    if (json_peek(r->s) != JSON_ARRAY) {
        mismatch(r, JSON_WANT_LIST);
        return;
    }
    json_array_begin(r->s);
    value_write_begin(r->w, VALUE_L);
    while (json_array_next(r->s))
        read_value(r, level + 1);
    close_container(r);
}

/* A map of attribute values, whose values are at `level`: 1 is an item. */
static void read_map(struct reading *r, uint32_t level)
{
    struct bytes name;
    if (json_peek(r->s) != JSON_OBJECT) {
        mismatch(r, JSON_WANT_MAP);
        return;
    }
    json_object_begin(r->s);
    value_write_begin(r->w, VALUE_M);
    while (json_object_next(r->s, &name)) {
        if (UNLIKELY(name.count > VALUE_NAME_BYTES_MAX || (name.count == 0 && level == 1)))
            refuse(r, name.count == 0 ? EMPTY_NAME : LONG_NAME);
        value_write_name(r->w, name);
        read_value(r, level);
    }
    close_container(r);
}

static enum value_type type_of_letter(uint8_t letter)
{
    switch (letter) {
    case 'S':
        return VALUE_S;
    case 'N':
        return VALUE_N;
    case 'B':
        return VALUE_B;
    case 'L':
        return VALUE_L;
    case 'M':
        return VALUE_M;
    default:
        return VALUE_NONE;
    }
}

/* By length first: these are compared for every attribute. */
static enum value_type type_of_name(struct bytes name)
{
    if (name.count == 1)
        return type_of_letter(name.at[0]);
    if (name.count == 2 && name.at[1] == 'S') {
        enum value_type member = type_of_letter(name.at[0]);
        return member == VALUE_S   ? VALUE_SS
               : member == VALUE_N ? VALUE_NS
               : member == VALUE_B ? VALUE_BS
                                   : VALUE_NONE;
    }
    if (name.count == 4 && memcmp(name.at, "BOOL", 4) == 0)
        return VALUE_BOOL;
    if (name.count == 4 && memcmp(name.at, "NULL", 4) == 0)
        return VALUE_NULL;
    return VALUE_NONE;
}

static void read_content(struct reading *r, enum value_type type, uint32_t level)
{
    switch (type) {
    case VALUE_S:
        read_string(r);
        break;
    case VALUE_N:
        read_number(r);
        break;
    case VALUE_B:
        read_binary(r);
        break;
    case VALUE_BOOL:
        read_boolean(r);
        break;
    case VALUE_NULL:
        read_null(r);
        break;
    case VALUE_L:
        read_list(r, level);
        break;
    case VALUE_M:
        read_map(r, level + 1);
        break;
    default:
        read_set(r, type);
    }
}

/* One attribute value as its members are read. */
struct members {
    struct value_mark mark; /* before it */
    uint32_t level;
    uint32_t types; /* a bit for each type that was set */
};

/* The member whose name was taken: of a repeated one the last counts, a null one is as if it were
 * not there, one of no known type is ignored. */
static inline void read_one(struct reading *r, struct members *m, uint32_t type)
{
    if (UNLIKELY(type == VALUE_NONE)) {
        json_skip(r->s);
        return;
    }
    bool again = m->types == 1u << type;
    bool null = json_peek(r->s) == JSON_NULL;
    if (UNLIKELY(again || (m->types != 0 && !null)))
        value_writer_rewind(r->w, m->mark);
    if (UNLIKELY(again))
        m->types = 0;
    if (UNLIKELY(null)) {
        json_null(r->s);
        return;
    }
    m->types |= 1u << type;
    read_content(r, (enum value_type)type, m->level);
}

/* An attribute value at `level` below its item. */
static void read_value(struct reading *r, uint32_t level)
{
    struct bytes name;
    struct members m = {.mark = value_writer_mark(r->w), .level = level};
    enum json_type type = json_peek(r->s);
    if (UNLIKELY(type == JSON_NULL)) {
        json_null(r->s);
        refuse(r, EMPTY_VALUE);
        return;
    }
    if (UNLIKELY(type != JSON_OBJECT)) {
        mismatch(r, JSON_WANT_STRUCTURE);
        return;
    }
    if (UNLIKELY(level > VALUE_DEPTH_MAX))
        refuse(r, TOO_DEEP);
    uint8_t letter = json_object_begin_letter(r->s);
    if (LIKELY(letter != 0))
        read_one(r, &m, type_of_letter(letter));
    else
        json_object_begin(r->s);
    while (json_object_next(r->s, &name))
        read_one(r, &m, type_of_name(name));
    if (UNLIKELY(m.types == 0))
        refuse(r, EMPTY_VALUE);
    else if (UNLIKELY((m.types & (m.types - 1)) != 0))
        refuse(r, SEVERAL_TYPES);
}

static enum status outcome(const struct reading *r)
{
    if (UNLIKELY(r->unreadable))
        return r->fault->message.at != NULL ? STATUS_INVALID : STATUS_NO_MEMORY;
    if (UNLIKELY(r->s->failed)) {
        *r->fault = (struct item_json_fault){.kind = ITEM_JSON_SERIALIZATION};
        return STATUS_INVALID;
    }
    return r->w->status;
}

enum status item_json_read_value(struct json_scanner *s, struct value_writer *w,
                                 struct arena *arena, struct item_json_fault *fault)
{
    struct reading r = {.s = s, .w = w, .arena = arena, .fault = fault};
    w->meter.pause = s->pause;
    read_value(&r, 1);
    return outcome(&r);
}

enum status item_json_read_map(struct json_scanner *s, struct value_writer *w, struct arena *arena,
                               struct item_json_fault *fault)
{
    struct reading r = {.s = s, .w = w, .arena = arena, .fault = fault};
    w->meter.pause = s->pause;
    read_map(&r, 1);
    return outcome(&r);
}

/* ---- Writing ---- */

/* {"<type>": before a value of each type. */
static const struct bytes openings[VALUE_TYPE_COUNT] = {
    [VALUE_NULL] = {(const uint8_t *)"{\"NULL\":", 8},
    [VALUE_BOOL] = {(const uint8_t *)"{\"BOOL\":", 8},
    [VALUE_N] = {(const uint8_t *)"{\"N\":", 5},
    [VALUE_S] = {(const uint8_t *)"{\"S\":", 5},
    [VALUE_B] = {(const uint8_t *)"{\"B\":", 5},
    [VALUE_SS] = {(const uint8_t *)"{\"SS\":", 6},
    [VALUE_NS] = {(const uint8_t *)"{\"NS\":", 6},
    [VALUE_BS] = {(const uint8_t *)"{\"BS\":", 6},
    [VALUE_L] = {(const uint8_t *)"{\"L\":", 5},
    [VALUE_M] = {(const uint8_t *)"{\"M\":", 5},
};

static void write_number(struct json_writer *w, struct value value)
{
    char text[NUMBER_TEXT_BYTES_MAX + 2];
    struct number number;
    value_number(value, &number);
    size_t count = number_format(&number, text + 1);
    text[0] = '"';
    text[count + 1] = '"';
    json_write_raw(w, bytes_of(text, count + 2));
}

/* A scalar as it is in its own value, and as a member of a set. */
static void write_scalar(struct json_writer *w, struct value value)
{
    switch (value_type(value)) {
    case VALUE_S:
        json_write_string(w, value_bytes(value));
        break;
    case VALUE_B:
        json_write_base64(w, value_bytes(value));
        break;
    case VALUE_BOOL:
        json_write_bool(w, value_bool(value));
        break;
    case VALUE_N:
        write_number(w, value);
        break;
    default:
        json_write_bool(w, true); /* {"NULL":true} */
    }
}

static void write_elements(struct json_writer *w, struct value container, bool set)
{
    struct value_cursor cursor;
    struct value element;
    value_cursor_init(&cursor, container);
    json_write_array_begin(w);
    while (value_next(&cursor, NULL, &element)) {
        if (set)
            write_scalar(w, element);
        else
            item_json_write_value(w, element);
    }
    json_write_array_end(w);
}

void item_json_write_value(struct json_writer *w, struct value value)
{
    enum value_type type = value_type(value);
    json_write_raw(w, openings[type]);
    w->comma = false;
    switch (type) {
    case VALUE_SS:
    case VALUE_NS:
    case VALUE_BS:
        write_elements(w, value, true);
        break;
    case VALUE_L:
        write_elements(w, value, false);
        break;
    case VALUE_M:
        item_json_write_map(w, value);
        break;
    default:
        write_scalar(w, value);
    }
    json_write_object_end(w);
}

void item_json_write_map(struct json_writer *w, struct value map)
{
    struct value_cursor cursor;
    struct bytes name;
    struct value value;
    value_cursor_init(&cursor, map);
    json_write_object_begin(w);
    while (value_next(&cursor, &name, &value)) {
        json_write_name(w, name);
        item_json_write_value(w, value);
    }
    json_write_object_end(w);
}

/* ---- How much that is ---- */

#define AROUND_BYTES 10u /* {"NULL":} and a comma */

size_t item_json_bytes_max(struct value value)
{
    switch (value_type(value)) {
    case VALUE_S:
        return json_string_bytes_max(value_bytes(value)) + AROUND_BYTES;
    case VALUE_B:
        return value_bytes(value).count / 3 * 4 + 8 + AROUND_BYTES;
    case VALUE_N:
        return number_text_bytes_max(value_number_encoded(value)) + 2 + AROUND_BYTES;
    case VALUE_SS:
    case VALUE_NS:
    case VALUE_BS:
    case VALUE_L:
    case VALUE_M: {
        struct value_cursor cursor;
        struct bytes name;
        struct value element;
        size_t bytes = 2 + AROUND_BYTES;
        value_cursor_init(&cursor, value);
        while (value_next(&cursor, &name, &element))
            bytes += json_string_bytes_max(name) + item_json_bytes_max(element);
        return bytes;
    }
    default:
        return 5 + AROUND_BYTES; /* true, false */
    }
}
