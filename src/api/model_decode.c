/* model_decode.c - a body into the C struct of its operation's input. */
#include "api/model.h"

#include <stdint.h>
#include <string.h>

#include "base/checksum.h"
#include "base/compiler.h"
#include "request/data.h"
#include "wire/item_json.h"
#include "wire/json.h"
#include "wire/json_fault.h"

/* DESIGN
 *
 * One pass over the body.  Values go straight to their places in the C structs; attribute values
 * and items go to their binary form.  Constraints are only looked at here ("may be violated"), so
 * that the common case pays for neither texts nor order; model_check goes through the body again
 * when a look says so.  SerializationExceptions end the pass at once, as in the service; what is
 * wrong inside an attribute value is kept, because constraints are reported before it.
 */

/* What a value's binary form takes at most while it is written, for each byte of its JSON and for
 * the value itself: its bytes twice and eight for each element while a container is sorted (each
 * element takes three bytes of JSON or more), and what a write reserves before it knows its size.
 */
#define ITEM_BYTES_FACTOR 5u
#define ITEM_BYTES_SPARE  128u

/* No item that is stored takes more than this while it is written. */
#define ITEM_ROOM_MAX (ITEM_BYTES_FACTOR * ITEM_STORED_BYTES_MAX + ITEM_BYTES_SPARE)

struct decoder {
    struct json_scanner json;
    struct arena *arena;
    struct buffer items; /* in the arena, never grows: binary values stay where they are */
    struct model_input *input;
    unsigned ways;       /* MODEL_LEGACY and MODEL_EXPRESSION, as members of them were given */
    uint64_t ways_given; /* which, in any of the structures that have them: of one shape */
    struct error *error;
};

size_t model_shape_bytes(const struct model_shape *shape)
{
    switch (shape->kind) {
    case MODEL_STRING:
    case MODEL_BLOB:
        return sizeof(struct bytes);
    case MODEL_ENUM:
    case MODEL_BOOLEAN:
        return sizeof(uint8_t);
    case MODEL_INTEGER:
    case MODEL_LONG:
    case MODEL_DOUBLE:
    case MODEL_TIMESTAMP:
        return sizeof(struct model_number);
    case MODEL_STRUCTURE:
        return shape->bytes;
    case MODEL_LIST:
        return sizeof(struct model_list);
    case MODEL_MAP:
        return sizeof(struct model_map);
    case MODEL_VALUE:
    case MODEL_ITEM:
    case MODEL_VARIABLES:
        return sizeof(struct value);
    case MODEL_NAMES:
        return sizeof(struct model_names);
    }
    return 0;
}

static enum status no_memory(struct decoder *d)
{
    return error_internal(d->error, STATUS_NO_MEMORY);
}

/* ---- SerializationExceptions ---- */

static enum status not_json(struct decoder *d)
{
    *d->error = (struct error){.code = ERROR_SERIALIZATION};
    return STATUS_INVALID;
}

static enum json_want wanted(enum model_kind kind)
{
    switch (kind) {
    case MODEL_STRING:
    case MODEL_ENUM:
        return JSON_WANT_STRING;
    case MODEL_BOOLEAN:
        return JSON_WANT_BOOLEAN;
    case MODEL_INTEGER:
        return JSON_WANT_INTEGER;
    case MODEL_LONG:
        return JSON_WANT_LONG;
    case MODEL_DOUBLE:
        return JSON_WANT_DOUBLE;
    case MODEL_TIMESTAMP:
        return JSON_WANT_TIMESTAMP;
    case MODEL_BLOB:
        return JSON_WANT_BLOB;
    case MODEL_LIST:
        return JSON_WANT_LIST;
    case MODEL_STRUCTURE:
    case MODEL_VALUE:
        return JSON_WANT_STRUCTURE;
    case MODEL_MAP:
    case MODEL_ITEM:
    case MODEL_VARIABLES:
    case MODEL_NAMES:
        break;
    }
    return JSON_WANT_MAP;
}

/* The name that texts have for a shape: of a map, its element's. */
static struct bytes wanted_name(const struct model_shape *shape)
{
    switch (shape->kind) {
    case MODEL_MAP:
        return bytes_of_text(shape->element->name);
    case MODEL_ITEM:
    case MODEL_VARIABLES:
        return BYTES("AttributeValue");
    case MODEL_NAMES:
        return BYTES("AttributeName");
    default:
        return bytes_of_text(shape->name);
    }
}

/* The value that comes next is not of the type that `shape` takes. */
static COLD enum status wrong_type(struct decoder *d, const struct model_shape *shape)
{
    *d->error = (struct error){
        .code = ERROR_SERIALIZATION,
        .message = json_fault_text(&d->json, wanted(shape->kind), wanted_name(shape), d->arena)};
    return STATUS_INVALID;
}

/* ---- Scalars ---- */

/* A look at the length: in bytes, which are at least the characters that the constraint counts and
 * at most four times as many. */
static void look_at_length(struct decoder *d, const struct model_shape *shape, size_t bytes)
{
    if (shape->min != MODEL_NO_MIN && bytes < (uint64_t)shape->min * 4)
        d->input->doubtful |= bytes < (uint64_t)shape->min || shape->min > 1;
    if (shape->max != MODEL_NO_MAX && bytes > (uint64_t)shape->max)
        d->input->doubtful = true;
}

static uint8_t enumeration_find(const struct model_shape *shape, struct bytes text)
{
    for (uint8_t i = 0; i < shape->value_count; i++) {
        if (bytes_equal(text, bytes_of_text(shape->values[i])))
            return (uint8_t)(i + 1);
    }
    return 0;
}

/* Whole numbers; a fraction of zero ("1.0") and an exponent are not what SDKs send. */
static bool whole_number(struct bytes text, int64_t *value)
{
    bool negative = text.count > 0 && text.at[0] == '-';
    uint64_t magnitude = 0;
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
    for (size_t i = negative ? 1 : 0; i < text.count; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(text.at[i] - '0');
        if (magnitude > (limit - digit) / 10)
            return false;
        magnitude = magnitude * 10 + digit;
    }
    *value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return text.count > (negative ? 1u : 0u);
}

static enum status decode_number(struct decoder *d, const struct model_shape *shape, void *to)
{
    struct bytes text = json_number(&d->json);
    struct model_number number = {.given = true};
    bool whole = whole_number(text, &number.value);
    if (shape->kind == MODEL_INTEGER || shape->kind == MODEL_LONG) {
        if (!whole || (shape->kind == MODEL_INTEGER &&
                       (number.value < INT32_MIN || number.value > INT32_MAX)))
            return error_format(d->error, d->arena, ERROR_SERIALIZATION,
                                "NUMBER_VALUE cannot be converted to %s",
                                shape->kind == MODEL_INTEGER ? "Integer" : "Long");
        if (number.value < shape->min || number.value > shape->max)
            d->input->doubtful = true;
    }
    if (to != NULL)
        *(struct model_number *)to = number;
    return STATUS_OK;
}

static enum status decode_scalar(struct decoder *d, const struct model_shape *shape,
                                 enum json_type type, void *to)
{
    switch (shape->kind) {
    case MODEL_STRING:
    case MODEL_BLOB: {
        if (type != JSON_STRING)
            return wrong_type(d, shape);
        struct bytes text = json_string(&d->json);
        look_at_length(d, shape, text.count);
        if (shape->pattern != NULL && !d->input->doubtful && !model_name_matches(text))
            d->input->doubtful = true;
        if (to != NULL)
            *(struct bytes *)to = text;
        return STATUS_OK;
    }
    case MODEL_ENUM: {
        if (type != JSON_STRING)
            return wrong_type(d, shape);
        uint8_t found = enumeration_find(shape, json_string(&d->json));
        if (found == 0)
            d->input->doubtful = true;
        if (to != NULL)
            *(uint8_t *)to = found;
        return STATUS_OK;
    }
    case MODEL_BOOLEAN:
        if (type != JSON_TRUE && type != JSON_FALSE)
            return wrong_type(d, shape);
        (void)json_boolean(&d->json);
        if (to != NULL)
            *(uint8_t *)to = type == JSON_TRUE ? MODEL_TRUE : MODEL_FALSE;
        return STATUS_OK;
    default:
        if (type != JSON_NUMBER)
            return wrong_type(d, shape);
        return decode_number(d, shape, to);
    }
}

/* ---- Attribute values ---- */

/* Room for the binary form of one more value, which the rest of the body bounds, or ITEM_ROOM_MAX
 * when it is `bounded`; with as much again for those that follow. */
static enum status make_item_room(struct decoder *d, bool bounded)
{
    size_t rest = (size_t)(d->json.end - d->json.at) * ITEM_BYTES_FACTOR + ITEM_BYTES_SPARE;
    size_t need = bounded ? MIN(rest, (size_t)ITEM_ROOM_MAX) : rest;
    if (d->items.at != NULL && d->items.capacity - d->items.count >= need)
        return STATUS_OK;
    size_t bytes = MIN(rest, 2 * need);
    uint8_t *at = arena_alloc(d->arena, bytes);
    if (at == NULL)
        return no_memory(d);
    d->items =
        (struct buffer){.heap = d->arena->heap, .at = at, .capacity = bytes, .bytes_max = bytes};
    return STATUS_OK;
}

/* Keep the first fault of an attribute value, or end the pass when it is one of serialization. */
static enum status value_fault(struct decoder *d, enum status status,
                               const struct item_json_fault *fault, struct bytes variable)
{
    bool too_large = status == STATUS_TOO_LARGE ||
                     (status == STATUS_NO_MEMORY && !d->arena->refused); /* over bytes_max */
    if (too_large) {
        if (d->input->value_fault.at == NULL)
            d->input->value_fault = BYTES("Item size has exceeded the maximum allowed size");
        return d->json.failed ? not_json(d) : STATUS_OK;
    }
    if (status != STATUS_INVALID)
        return no_memory(d);
    if (fault->message.count == 0)
        return not_json(d);
    if (fault->kind == ITEM_JSON_SERIALIZATION) {
        *d->error = (struct error){.code = ERROR_SERIALIZATION, .message = fault->message};
        return STATUS_INVALID;
    }
    if (d->input->value_fault.at != NULL)
        return STATUS_OK;
    struct bytes text = fault->message;
    if (variable.at != NULL)
        text = arena_format(d->arena,
                            "ExpressionAttributeValues contains invalid value: %.*s for key %.*s",
                            BYTES_ARGS(fault->message), BYTES_ARGS(variable));
    if (text.at == NULL)
        return no_memory(d);
    d->input->value_fault = text;
    return STATUS_OK;
}

static enum status finish_value(struct decoder *d, struct value_writer *writer, struct value *to)
{
    enum status status = value_writer_finish(writer, to);
    if (status == STATUS_OK || d->input->value_fault.at != NULL)
        return STATUS_OK;
    if (status == STATUS_TOO_LARGE) {
        d->input->value_fault =
            BYTES("Nesting Levels have exceeded supported limits: Attributes in the item have "
                  "nested levels beyond supported limit");
        return STATUS_OK;
    }
    return no_memory(d);
}

static enum status decode_value(struct decoder *d, const struct model_shape *shape,
                                enum json_type type, struct value *to)
{
    if (type != JSON_OBJECT)
        return wrong_type(d, shape);
    if (to == NULL) {
        json_skip(&d->json);
        return d->json.failed ? not_json(d) : STATUS_OK;
    }
    TRY(make_item_room(d, true));
    struct value_writer writer;
    struct item_json_fault fault = {0};
    value_writer_init(&writer, &d->items);
    writer.bytes_max = ITEM_STORED_BYTES_MAX;
    enum status status = shape->kind == MODEL_ITEM
                             ? item_json_read_map(&d->json, &writer, d->arena, &fault)
                             : item_json_read_value(&d->json, &writer, d->arena, &fault);
    if (status != STATUS_OK)
        return value_fault(d, status, &fault, (struct bytes){0});
    return finish_value(d, &writer, to);
}

/* ExpressionAttributeValues: read value by value, because its faults name the variable. */
static enum status decode_variables(struct decoder *d, const struct model_shape *shape,
                                    enum json_type type, struct value *to)
{
    if (type != JSON_OBJECT || to == NULL)
        return decode_value(d, shape, type, to);
    TRY(make_item_room(d, false));
    struct value_writer writer;
    value_writer_init(&writer, &d->items);
    value_write_begin(&writer, VALUE_M);
    struct bytes name;
    json_object_begin(&d->json);
    while (json_object_next(&d->json, &name)) {
        if (d->input->value_fault.at != NULL) {
            json_skip(&d->json);
            continue;
        }
        struct item_json_fault fault = {0};
        value_write_name(&writer, name);
        enum status status = item_json_read_value(&d->json, &writer, d->arena, &fault);
        if (status != STATUS_OK)
            TRY(value_fault(d, status, &fault, name));
    }
    if (d->json.failed)
        return not_json(d);
    if (d->input->value_fault.at != NULL)
        return STATUS_OK;
    value_write_end(&writer);
    return finish_value(d, &writer, to);
}

/* ---- Collections ---- */

static enum status decode_any(struct decoder *d, const struct model_shape *shape, uint32_t depth,
                              void *to);

/* An array in the arena that doubles, up to a limit; elements past it are only counted. */
struct growing {
    uint8_t *at;
    uint32_t count, capacity;
    uint32_t limit;
    size_t bytes; /* of one element; 0: all are only counted */
};

static uint32_t stored_limit(const struct model_shape *shape)
{
    return shape->max < MODEL_STORED_MAX ? (uint32_t)shape->max : MODEL_STORED_MAX;
}

/* Room for one more element, zeroed; *element is NULL when it is only counted. */
static enum status growing_add(struct decoder *d, struct growing *g, void **element)
{
    *element = NULL;
    if (g->bytes > 0 && g->count < g->limit) {
        if (g->count == g->capacity) {
            uint32_t capacity = g->capacity == 0 ? 4 : g->capacity * 2;
            uint8_t *at = arena_alloc_array(d->arena, capacity, g->bytes);
            if (at == NULL)
                return no_memory(d);
            if (g->count > 0)
                memcpy(at, g->at, g->count * g->bytes);
            g->at = at;
            g->capacity = capacity;
        }
        *element = g->at + g->count * g->bytes;
        memset(*element, 0, g->bytes);
    }
    g->count++;
    return STATUS_OK;
}

static void look_at_count(struct decoder *d, const struct model_shape *shape, uint32_t count)
{
    if (count < shape->min || count > shape->max)
        d->input->doubtful = true;
}

static enum status decode_list(struct decoder *d, const struct model_shape *shape,
                               enum json_type type, uint32_t depth, struct model_list *to)
{
    if (type != JSON_ARRAY)
        return wrong_type(d, shape);
    struct growing elements = {.bytes = to != NULL ? model_shape_bytes(shape->element) : 0,
                               .limit = stored_limit(shape)};
    json_array_begin(&d->json);
    while (json_array_next(&d->json)) {
        void *element;
        TRY(growing_add(d, &elements, &element));
        TRY(decode_any(d, shape->element, depth + 1, element));
    }
    look_at_count(d, shape, elements.count);
    if (to != NULL)
        *to = (struct model_list){.at = elements.at, .count = elements.count, .given = true};
    return d->json.failed ? not_json(d) : STATUS_OK;
}

/* The place of `key` among the stored keys so far; their count when it is new.  Once there are more
 * keys than are stored, the request is refused, and the search is saved.  Keys are told apart by
 * their hashes, since they may be long and much alike. */
static uint32_t map_find(const struct growing *keys, const struct growing *hashes, struct bytes key,
                         uint64_t hash)
{
    const struct bytes *at = (const struct bytes *)(const void *)keys->at;
    const uint64_t *hash_at = (const uint64_t *)(const void *)hashes->at;
    uint32_t stored = keys->bytes > 0 && keys->count <= keys->limit ? keys->count : 0;
    for (uint32_t i = 0; i < stored; i++) {
        if (hash_at[i] == hash && bytes_equal(at[i], key))
            return i;
    }
    return keys->count;
}

static enum status decode_map(struct decoder *d, const struct model_shape *shape,
                              enum json_type type, uint32_t depth, struct model_map *to)
{
    if (type != JSON_OBJECT)
        return wrong_type(d, shape);
    struct growing keys = {.bytes = to != NULL ? sizeof(struct bytes) : 0,
                           .limit = stored_limit(shape)};
    struct growing hashes = {.bytes = to != NULL ? sizeof(uint64_t) : 0,
                             .limit = stored_limit(shape)};
    struct growing values = {.bytes = to != NULL ? model_shape_bytes(shape->element) : 0,
                             .limit = stored_limit(shape)};
    struct bytes key;
    json_object_begin(&d->json);
    while (json_object_next(&d->json, &key)) {
        look_at_length(d, shape->map_key, key.count);
        uint64_t hash = to != NULL ? checksum64(key, 0) : 0;
        uint32_t place = map_find(&keys, &hashes, key, hash);
        void *element = NULL;
        if (place == keys.count) {
            void *copy, *hash_copy;
            TRY(growing_add(d, &keys, &copy));
            TRY(growing_add(d, &hashes, &hash_copy));
            if (copy != NULL) {
                *(struct bytes *)copy = key;
                *(uint64_t *)hash_copy = hash;
            }
            TRY(growing_add(d, &values, &element));
        } else if (values.bytes > 0) {
            element = values.at + place * values.bytes;
            memset(element, 0, values.bytes);
        }
        TRY(decode_any(d, shape->element, depth + 1, element));
    }
    look_at_count(d, shape, keys.count);
    if (to != NULL)
        *to = (struct model_map){.keys = (struct bytes *)(void *)keys.at,
                                 .values = values.at,
                                 .count = keys.count,
                                 .given = true};
    return d->json.failed ? not_json(d) : STATUS_OK;
}

static enum status decode_names(struct decoder *d, const struct model_shape *shape,
                                enum json_type type, struct model_names *to)
{
    if (type != JSON_OBJECT)
        return wrong_type(d, shape);
    static const struct model_shape text = {
        .name = "AttributeName", .kind = MODEL_STRING, .min = MODEL_NO_MIN, .max = 65535};
    struct growing names = {.bytes = sizeof(struct expr_name), .limit = MODEL_NAMES_MAX};
    struct bytes placeholder;
    json_object_begin(&d->json);
    while (json_object_next(&d->json, &placeholder)) {
        void *place;
        TRY(growing_add(d, &names, &place));
        struct expr_name name = {.placeholder = placeholder};
        TRY(decode_scalar(d, &text, json_peek(&d->json), &name.name));
        if (place != NULL)
            *(struct expr_name *)place = name;
        else if (d->input->value_fault.at == NULL)
            d->input->value_fault = BYTES("ExpressionAttributeNames exceeds max size");
    }
    if (to != NULL)
        *to = (struct model_names){
            .at = (struct expr_name *)(void *)names.at, .count = names.count, .given = true};
    return d->json.failed ? not_json(d) : STATUS_OK;
}

/* ---- Structures ---- */

/* The member called `name`: bodies mostly list members in the order of the model or by name, so the
 * search goes on after the one before. */
static uint32_t find_member(const struct model_shape *shape, struct bytes name, uint32_t from)
{
    for (uint32_t n = 0, i = from; n < shape->member_count; n++, i++) {
        if (i >= shape->member_count)
            i -= shape->member_count;
        const struct model_member *member = &shape->members[i];
        if (member->name_bytes == name.count && memcmp(member->name, name.at, name.count) == 0)
            return i;
    }
    return shape->member_count;
}

/* What the members that were given say about the structure as a whole. */
static void look_at_structure(struct decoder *d, const struct model_shape *shape, uint64_t given)
{
    const unsigned both = MODEL_LEGACY | MODEL_EXPRESSION;
    unsigned ways = 0, of_keys = 0;
    uint64_t keys = 0;
    for (uint32_t i = 0; i < shape->member_count; i++) {
        unsigned flags = shape->members[i].flags;
        if ((given >> i & 1) == 0) {
            if (flags & (MODEL_REQUIRED | MODEL_PARAMETER))
                d->input->doubtful = true;
        } else if (flags & MODEL_OF_KEYS) {
            of_keys |= flags & both;
            keys |= 1ULL << i;
        } else {
            ways |= flags & both;
        }
    }
    if ((ways | of_keys) == 0)
        return;
    if ((ways | of_keys) & MODEL_LEGACY)
        d->input->legacy = true;
    if (of_keys == MODEL_LEGACY)
        given &= ~keys;
    else
        ways |= of_keys;
    d->ways |= ways;
    d->ways_given |= given;
    if (d->ways == both) {
        d->input->mixed = shape;
        d->input->mixed_given = d->ways_given;
    }
}

static size_t member_bytes(const struct model_shape *shape)
{
    return shape->kind == MODEL_STRUCTURE ? sizeof(void *) : model_shape_bytes(shape);
}

/* A member of a structure: as any other value, but that a structure is held by a pointer. */
static enum status decode_member(struct decoder *d, const struct model_shape *shape, uint32_t depth,
                                 void *to)
{
    if (shape->kind != MODEL_STRUCTURE || shape->bytes == 0 || to == NULL)
        return decode_any(d, shape, depth, to);
    void *structure = arena_alloc_zero(d->arena, shape->bytes);
    if (structure == NULL)
        return no_memory(d);
    TRY(decode_any(d, shape, depth, structure));
    memcpy(to, &structure, sizeof(structure));
    return STATUS_OK;
}

static enum status decode_structure(struct decoder *d, const struct model_shape *shape,
                                    enum json_type type, uint32_t depth, uint8_t *to)
{
    if (type != JSON_OBJECT)
        return wrong_type(d, shape);
    uint64_t given = 0;
    uint32_t next = 0;
    struct bytes name;
    json_object_begin(&d->json);
    while (json_object_next(&d->json, &name)) {
        uint32_t i = find_member(shape, name, next);
        if (i == shape->member_count) {
            json_skip(&d->json);
            continue;
        }
        const struct model_member *member = &shape->members[i];
        next = i + 1;
        bool stored = to != NULL && (member->flags & (MODEL_UNBUILT | MODEL_UNSTORED)) == 0;
        void *place = stored ? to + member->offset : NULL;
        if (given >> i & 1) { /* the last of a repeated member wins */
            given &= ~(UINT64_C(1) << i);
            if (stored)
                memset(place, 0, member_bytes(member->shape));
        }
        if (json_peek(&d->json) == JSON_NULL) {
            json_null(&d->json);
            continue;
        }
        TRY(decode_member(d, member->shape, depth + 1, place));
        given |= UINT64_C(1) << i;
        if ((member->flags & MODEL_UNBUILT) && d->input->unbuilt == NULL)
            d->input->unbuilt = member;
    }
    if (d->json.failed)
        return not_json(d);
    look_at_structure(d, shape, given);
    if (depth == 0)
        d->input->given = given;
    return STATUS_OK;
}

static enum status decode_any(struct decoder *d, const struct model_shape *shape, uint32_t depth,
                              void *to)
{
    enum json_type type = json_peek(&d->json);
    switch (shape->kind) {
    case MODEL_STRUCTURE:
        return decode_structure(d, shape, type, depth, to);
    case MODEL_LIST:
        return decode_list(d, shape, type, depth, to);
    case MODEL_MAP:
        return decode_map(d, shape, type, depth, to);
    case MODEL_VALUE:
    case MODEL_ITEM:
        return decode_value(d, shape, type, to);
    case MODEL_VARIABLES:
        return decode_variables(d, shape, type, to);
    case MODEL_NAMES:
        return decode_names(d, shape, type, to);
    default:
        return decode_scalar(d, shape, type, to);
    }
}

enum status model_decode(const struct model_shape *shape, struct bytes body, struct arena *arena,
                         const struct pause *pause, struct model_input *input, struct error *error)
{
    struct decoder d = {.arena = arena, .input = input, .error = error};
    *input = (struct model_input){0};
    input->at = arena_alloc_zero(arena, shape->bytes > 0 ? shape->bytes : 1);
    if (input->at == NULL)
        return no_memory(&d);
    json_scanner_init(&d.json, body, arena);
    json_scanner_pause(&d.json, pause);
    TRY(decode_structure(&d, shape, json_peek(&d.json), 0, input->at));
    return json_scanner_finish(&d.json) == STATUS_OK ? STATUS_OK : not_json(&d);
}
