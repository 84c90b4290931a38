/* model_check.c - the texts of violated constraints. */
#include "api/model.h"

#include <string.h>

#include "base/buffer.h"
#include "base/compiler.h"
#include "wire/json.h"

/* DESIGN
 *
 * The constraints of the model are checked against the body itself: the scanner is a small struct,
 * so a copy of it is a bookmark.  Each structure first notes where its members are, then goes
 * through them in the order of the table, which is the order of the service's texts.
 */

#define FAULTS_MAX           10u     /* listed in one text */
#define VALUE_TEXT_BYTES_MAX 65536u  /* of the echo of one value */
#define TEXT_BYTES_MAX       262144u /* of the whole text */
#define MEMBERS_MAX          64u

/* Where a value is: "keySchema.1.member.keyType". */
struct path {
    const struct path *parent;
    struct bytes name;
    uint32_t index; /* of an element of a list, from 1; 0: the value is called `name` */
    bool of_map;    /* an element of a map: the name as it is */
};

struct checker {
    struct arena *arena;
    struct error *error;
    struct buffer text;
    uint32_t faults;
};

bool model_name_matches(struct bytes name)
{
    for (size_t i = 0; i < name.count; i++) {
        uint8_t c = name.at[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '.' || c == '-';
        if (!ok)
            return false;
    }
    return name.count > 0;
}

uint64_t model_text_length(struct bytes text)
{
    uint64_t units = 0;
    for (size_t i = 0; i < text.count; i++)
        units += (text.at[i] & 0xc0) != 0x80 ? (text.at[i] >= 0xf0 ? 2u : 1u) : 0u;
    return units;
}

/* ---- Texts ---- */

/* A member's name as the service's texts have it: its first letter small. */
static void append_name(struct buffer *to, struct bytes name)
{
    uint8_t first = name.at[0];
    buffer_append_u8(to, first >= 'A' && first <= 'Z' ? (uint8_t)(first + 32) : first);
    buffer_append_bytes(to, bytes_after(name, 1));
}

static void append_path(struct buffer *to, const struct path *path)
{
    if (path->parent != NULL) {
        append_path(to, path->parent);
        buffer_append_u8(to, '.');
    }
    if (path->index > 0)
        buffer_append_format(to, "%u.member", path->index);
    else if (path->of_map)
        buffer_append_format(to, "%.*s.member", BYTES_ARGS(path->name));
    else
        append_name(to, path->name);
}

static void render(const struct model_shape *shape, struct json_scanner *json, struct buffer *to);

/* Attribute values look like the class that the service holds them in. */
static void render_attribute_value(struct json_scanner *json, struct buffer *to)
{
    static const struct {
        const char *name, *shown;
    } members[] = {{"S", "s"},      {"N", "n"},     {"B", "b"},         {"", "iNT"},
                   {"", "dECIMAL"}, {"", "dOUBLE"}, {"SS", "sS"},       {"NS", "nS"},
                   {"BS", "bS"},    {"", "iNTSET"}, {"", "dECIMALSET"}, {"", "dOUBLESET"},
                   {"M", "m"},      {"L", "l"},     {"NULL", "nULL"},   {"BOOL", "bOOL"}};
    struct json_scanner at[ARRAY_COUNT(members)];
    bool given[ARRAY_COUNT(members)] = {false};
    struct bytes name;
    json_object_begin(json);
    while (json_object_next(json, &name)) {
        for (size_t i = 0; i < ARRAY_COUNT(members); i++) {
            if (name.count > 0 && bytes_equal(name, bytes_of_text(members[i].name))) {
                at[i] = *json;
                given[i] = true;
            }
        }
        json_skip(json);
    }
    buffer_append_bytes(to, BYTES("AttributeValue("));
    for (size_t i = 0; i < ARRAY_COUNT(members); i++) {
        buffer_append_format(to, "%s%s=", i > 0 ? ", " : "", members[i].shown);
        if (given[i])
            render(NULL, &at[i], to);
        else
            buffer_append_bytes(to, BYTES("null"));
    }
    buffer_append_u8(to, ')');
}

static void render_object(const struct model_shape *element, struct json_scanner *json,
                          struct buffer *to)
{
    struct bytes name;
    const char *between = "";
    buffer_append_u8(to, '{');
    json_object_begin(json);
    while (json_object_next(json, &name)) {
        buffer_append_format(to, "%s%.*s=", between, BYTES_ARGS(name));
        render(element, json, to);
        between = ", ";
    }
    buffer_append_u8(to, '}');
}

static void render_structure(const struct model_shape *shape, struct json_scanner *json,
                             struct buffer *to)
{
    struct json_scanner at[MEMBERS_MAX];
    uint64_t given = 0;
    struct bytes name;
    json_object_begin(json);
    while (json_object_next(json, &name)) {
        for (uint32_t i = 0; i < shape->member_count; i++) {
            if (bytes_equal(name, bytes_of_text(shape->members[i].name))) {
                at[i] = *json;
                given |= UINT64_C(1) << i;
            }
        }
        json_skip(json);
    }
    buffer_append_format(to, "%s(", shape->name);
    for (uint32_t i = 0; i < shape->member_count; i++) {
        if (i > 0)
            buffer_append_bytes(to, BYTES(", "));
        append_name(to, bytes_of_text(shape->members[i].name));
        buffer_append_u8(to, '=');
        if (given >> i & 1)
            render(shape->members[i].shape, &at[i], to);
        else
            buffer_append_bytes(to, BYTES("null"));
    }
    buffer_append_u8(to, ')');
}

/* Take a value and append it as the service shows it; shape NULL: by its JSON type. */
static void render(const struct model_shape *shape, struct json_scanner *json, struct buffer *to)
{
    const struct model_shape *element = shape != NULL ? shape->element : NULL;
    static const struct model_shape attribute = {.name = "AttributeValue", .kind = MODEL_VALUE};
    switch (json_peek(json)) {
    case JSON_OBJECT:
        if (shape != NULL && shape->kind == MODEL_STRUCTURE)
            render_structure(shape, json, to);
        else if (shape != NULL && shape->kind == MODEL_VALUE)
            render_attribute_value(json, to);
        else if (shape != NULL && (shape->kind == MODEL_ITEM || shape->kind == MODEL_VARIABLES))
            render_object(&attribute, json, to);
        else
            render_object(element, json, to);
        return;
    case JSON_ARRAY: {
        const char *between = "";
        buffer_append_u8(to, '[');
        json_array_begin(json);
        while (json_array_next(json)) {
            buffer_append(to, between, strlen(between));
            render(element, json, to);
            between = ", ";
        }
        buffer_append_u8(to, ']');
        return;
    }
    case JSON_STRING:
        buffer_append_bytes(to, json_string(json));
        return;
    case JSON_NUMBER:
        buffer_append_bytes(to, json_number(json));
        return;
    case JSON_TRUE:
    case JSON_FALSE: {
        bool value = json_boolean(json);
        buffer_append(to, value ? "true" : "false", value ? 4 : 5);
        return;
    }
    case JSON_NULL:
        json_null(json);
        buffer_append_bytes(to, BYTES("null"));
        return;
    case JSON_END:
        return;
    }
}

/* The constraints of a shape as texts list them: "Member must have length ...". */
static void append_bound(struct buffer *to, const struct model_shape *shape, bool upper)
{
    bool of_value = shape->kind == MODEL_INTEGER || shape->kind == MODEL_LONG;
    buffer_append_format(to, "Member must have %s %s than or equal to %lld",
                         of_value ? "value" : "length", upper ? "less" : "greater",
                         (long long)(upper ? shape->max : shape->min));
}

static void append_enumeration(struct buffer *to, const struct model_shape *shape)
{
    buffer_append_bytes(to, BYTES("Member must satisfy enum value set: ["));
    for (uint32_t i = 0; i < shape->value_count; i++)
        buffer_append_format(to, "%s%s", i > 0 ? ", " : "", shape->values[i]);
    buffer_append_u8(to, ']');
}

/* All constraints of the shape of elements or keys, in brackets. */
static void append_constraints(struct buffer *to, const struct model_shape *shape)
{
    const char *between = "";
    buffer_append_u8(to, '[');
    if (shape->kind == MODEL_ENUM) {
        append_enumeration(to, shape);
        between = ", ";
    }
    if (shape->max != MODEL_NO_MAX) {
        append_bound(to, shape, true);
        between = ", ";
    }
    if (shape->min != MODEL_NO_MIN) {
        buffer_append(to, between, strlen(between));
        append_bound(to, shape, false);
        between = ", ";
    }
    if (shape->pattern != NULL)
        buffer_append_format(to, "%sMember must satisfy regular expression pattern: %s", between,
                             shape->pattern);
    buffer_append_u8(to, ']');
}

/* ---- Faults ---- */

/* Begin the text of one fault: all up to the constraint.  `value`: a bookmark; NULL: not given. */
static bool fault_begin(struct checker *c, const struct model_shape *shape,
                        const struct json_scanner *value, const struct path *path)
{
    if (c->faults == FAULTS_MAX)
        return false;
    if (c->faults++ > 0)
        buffer_append_bytes(&c->text, BYTES("; "));
    if (value == NULL) {
        buffer_append_bytes(&c->text, BYTES("Value null"));
    } else {
        struct json_scanner at = *value;
        struct buffer shown;
        buffer_init(&shown, c->text.heap, VALUE_TEXT_BYTES_MAX);
        render(shape, &at, &shown);
        buffer_append_format(&c->text, "Value '%.*s'", BYTES_ARGS(buffer_bytes(&shown)));
        buffer_release(&shown);
    }
    buffer_append_bytes(&c->text, BYTES(" at '"));
    append_path(&c->text, path);
    buffer_append_bytes(&c->text, BYTES("' failed to satisfy constraint: "));
    return true;
}

/* Does a value of a simple shape, or the length of a collection, keep its bounds? */
static bool in_bounds(const struct model_shape *shape, int64_t size)
{
    return size >= shape->min && size <= shape->max;
}

static bool enumeration_has(const struct model_shape *shape, struct bytes text)
{
    for (uint32_t i = 0; i < shape->value_count; i++) {
        if (bytes_equal(text, bytes_of_text(shape->values[i])))
            return true;
    }
    return false;
}

/* A number that model_decode has taken: whole and in range. */
static int64_t number_value(struct bytes text)
{
    int64_t value = 0;
    bool negative = text.at[0] == '-';
    for (size_t i = negative ? 1 : 0; i < text.count; i++)
        value = negative ? value * 10 - (text.at[i] - '0') : value * 10 + (text.at[i] - '0');
    return value;
}

static bool has_pattern(const struct model_shape *shape)
{
    return shape->pattern != NULL && strcmp(shape->pattern, MODEL_NAME_PATTERN) == 0;
}

/* Is the value of a simple shape right as an element or key of a collection? */
static bool simple_is_right(const struct model_shape *shape, struct bytes text)
{
    if (shape->kind == MODEL_ENUM)
        return enumeration_has(shape, text);
    if (has_pattern(shape) && !model_name_matches(text))
        return false;
    return in_bounds(shape, (int64_t)model_text_length(text));
}

static void check_bounds(struct checker *c, const struct model_shape *shape,
                         const struct json_scanner *value, const struct path *path, int64_t size)
{
    if (!in_bounds(shape, size) && fault_begin(c, shape, value, path))
        append_bound(&c->text, shape, size > shape->max);
}

static void check_any(struct checker *c, const struct model_shape *shape, struct json_scanner *json,
                      const struct path *path);

/* ---- The shapes ---- */

static bool is_text(const struct model_shape *shape)
{
    return shape->kind == MODEL_STRING || shape->kind == MODEL_ENUM;
}

static void check_text(struct checker *c, const struct model_shape *shape,
                       struct json_scanner *json, const struct path *path)
{
    struct json_scanner value = *json;
    struct bytes text = json_string(json);
    if (shape->kind == MODEL_ENUM) {
        if (!enumeration_has(shape, text) && fault_begin(c, shape, &value, path))
            append_enumeration(&c->text, shape);
        return;
    }
    if (text.count > PAUSE_BYTES)
        pause_run(json->pause);
    if (has_pattern(shape) && !model_name_matches(text) && fault_begin(c, shape, &value, path))
        buffer_append_format(&c->text, "Member must satisfy regular expression pattern: %s",
                             shape->pattern);
    if (text.count > PAUSE_BYTES)
        pause_run(json->pause); /* what follows is one more pass over it */
    check_bounds(c, shape, &value, path, (int64_t)model_text_length(text));
}

static void check_list(struct checker *c, const struct model_shape *shape,
                       struct json_scanner *json, const struct path *path)
{
    struct json_scanner value = *json;
    bool texts = is_text(shape->element);
    bool right = true;
    uint32_t count = 0;
    json_array_begin(json);
    while (json_array_next(json)) {
        struct path element = {.parent = path, .index = ++count};
        if (texts)
            right &= simple_is_right(shape->element, json_string(json));
        else
            check_any(c, shape->element, json, &element);
    }
    if (!right && fault_begin(c, shape, &value, path)) {
        buffer_append_bytes(&c->text, BYTES("Member must satisfy constraint: "));
        append_constraints(&c->text, shape->element);
    }
    check_bounds(c, shape, &value, path, count);
}

/* The elements of a list that is the value of a map: their count is the map's own constraint. */
static uint32_t check_listed(struct checker *c, const struct model_shape *shape,
                             struct json_scanner *json, const struct path *path)
{
    uint32_t count = 0;
    json_array_begin(json);
    while (json_array_next(json)) {
        struct path element = {.parent = path, .index = ++count};
        check_any(c, shape->element, json, &element);
    }
    return count;
}

static void check_map(struct checker *c, const struct model_shape *shape, struct json_scanner *json,
                      const struct path *path)
{
    struct json_scanner value = *json;
    bool keys_right = true, values_right = true;
    uint32_t count = 0;
    struct bytes key;
    json_object_begin(json);
    while (json_object_next(json, &key)) {
        struct path element = {.parent = path, .name = key, .of_map = true};
        count++;
        keys_right &= simple_is_right(shape->map_key, key);
        if (shape->element->kind == MODEL_LIST)
            values_right &=
                in_bounds(shape->element, check_listed(c, shape->element, json, &element));
        else
            check_any(c, shape->element, json, &element);
    }
    if (!keys_right && fault_begin(c, shape, &value, path)) {
        buffer_append_bytes(&c->text, BYTES("Map keys must satisfy constraint: "));
        append_constraints(&c->text, shape->map_key);
    }
    if (!values_right && fault_begin(c, shape, &value, path)) {
        buffer_append_bytes(&c->text, BYTES("Map value must satisfy constraint: "));
        append_constraints(&c->text, shape->element);
    }
    check_bounds(c, shape, &value, path, count);
}

static void check_structure(struct checker *c, const struct model_shape *shape,
                            struct json_scanner *json, const struct path *path)
{
    struct json_scanner at[MEMBERS_MAX];
    uint64_t given = 0;
    struct bytes name;
    json_object_begin(json);
    while (json_object_next(json, &name)) {
        bool is_null = json_peek(json) == JSON_NULL;
        for (uint32_t i = 0; i < shape->member_count; i++) {
            if (bytes_equal(name, bytes_of_text(shape->members[i].name))) {
                at[i] = *json;
                given &= ~(UINT64_C(1) << i);
                given |= (uint64_t)!is_null << i;
            }
        }
        json_skip(json);
    }
    for (uint32_t i = 0; i < shape->member_count; i++) {
        const struct model_member *member = &shape->members[i];
        struct path its = {.parent = path, .name = bytes_of_text(member->name)};
        if (given >> i & 1)
            check_any(c, member->shape, &at[i], &its);
        else if (member->flags & MODEL_PARAMETER && c->error->code == ERROR_NONE)
            error_format(c->error, c->arena, ERROR_VALIDATION,
                         "The parameter '%s' is required but was not present in the request",
                         member->name);
        else if (member->flags & MODEL_REQUIRED && fault_begin(c, member->shape, NULL, &its))
            buffer_append_bytes(&c->text, BYTES("Member must not be null"));
    }
}

/* Take a value, and report what it violates. */
static void check_any(struct checker *c, const struct model_shape *shape, struct json_scanner *json,
                      const struct path *path)
{
    switch (shape->kind) {
    case MODEL_STRING:
    case MODEL_ENUM:
        check_text(c, shape, json, path);
        return;
    case MODEL_INTEGER:
    case MODEL_LONG: {
        struct json_scanner value = *json;
        check_bounds(c, shape, &value, path, number_value(json_number(json)));
        return;
    }
    case MODEL_STRUCTURE:
        check_structure(c, shape, json, path);
        return;
    case MODEL_LIST:
        check_list(c, shape, json, path);
        return;
    case MODEL_MAP:
        check_map(c, shape, json, path);
        return;
    default:
        json_skip(json);
        return;
    }
}

enum status model_check(const struct model_shape *shape, struct bytes body, struct arena *arena,
                        const struct pause *pause, struct error *error)
{
    struct checker c = {.arena = arena, .error = error};
    struct json_scanner json;
    *error = (struct error){0};
    buffer_init(&c.text, arena->heap, TEXT_BYTES_MAX);
    json_scanner_init(&json, body, arena);
    json_scanner_pause(&json, pause);
    check_structure(&c, shape, &json, NULL);
    enum status status = STATUS_OK;
    if (error->code != ERROR_NONE)
        status = STATUS_INVALID;
    else if (c.faults > 0)
        status =
            error_format(error, arena, ERROR_VALIDATION, "%u validation error%s detected: %.*s",
                         c.faults, c.faults > 1 ? "s" : "", BYTES_ARGS(buffer_bytes(&c.text)));
    buffer_release(&c.text);
    return status;
}

/* ---- Legacy parameters beside expressions ---- */

static void append_given(struct buffer *to, const struct model_input *input, unsigned flag)
{
    const char *between = "";
    for (uint32_t i = 0; i < input->mixed->member_count; i++) {
        const struct model_member *member = &input->mixed->members[i];
        if ((input->mixed_given >> i & 1) && (member->flags & flag)) {
            buffer_append_format(to, "%s%s", between, member->name);
            between = ", ";
        }
    }
}

enum status model_mixed(const struct model_input *input, struct arena *arena, struct error *error)
{
    struct buffer text;
    buffer_init(&text, arena->heap, TEXT_BYTES_MAX);
    buffer_append_bytes(&text, BYTES("Can not use both expression and non-expression parameters in "
                                     "the same request: Non-expression parameters: {"));
    append_given(&text, input, MODEL_LEGACY);
    buffer_append_bytes(&text, BYTES("} Expression parameters: {"));
    append_given(&text, input, MODEL_EXPRESSION);
    buffer_append_u8(&text, '}');
    enum status status =
        error_format(error, arena, ERROR_VALIDATION, "%.*s", BYTES_ARGS(buffer_bytes(&text)));
    buffer_release(&text);
    return status;
}
