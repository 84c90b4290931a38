/* The names and values that a request's expressions share. */
#include "base/compiler.h"
#include "expr/expr_private.h"

/* Service Quotas, "Expression parameters": one placeholder, and names and values together. */
#define PLACEHOLDER_BYTES_MAX 255u
#define SUBSTITUTES_BYTES_MAX (UINT64_C(2) << 20)

static enum status refuse(struct expr_fault *fault, struct bytes message)
{
    if (message.at == NULL)
        return STATUS_NO_MEMORY;
    fault->message = message;
    return STATUS_INVALID;
}

#define REFUSE(scope, fault, ...) refuse((fault), arena_format((scope)->arena, __VA_ARGS__))

static enum status check_useless(struct expr_scope *scope, struct expr_fault *fault)
{
    if (scope->names_given && scope->names_useless)
        return REFUSE(scope, fault, "%s",
                      "ExpressionAttributeNames can only be specified when using expressions");
    if (!scope->values_given || !scope->values_useless)
        return STATUS_OK;
    const char *note = scope->values_useless_note;
    return REFUSE(scope, fault,
                  "ExpressionAttributeValues can only be specified when using expressions%s%s",
                  note == NULL ? "" : ": ", note == NULL ? "" : note);
}

/* Is `placeholder` one, of the names ('#', `member` "ExpressionAttributeNames") or the values? */
static enum status check_placeholder(struct expr_scope *scope, const char *member,
                                     struct bytes placeholder, char sigil, struct expr_fault *fault)
{
    if (LIKELY(placeholder_valid(placeholder, sigil) && placeholder.count <= PLACEHOLDER_BYTES_MAX))
        return STATUS_OK;
    if (placeholder.count == 0)
        return REFUSE(scope, fault,
                      "%s contains invalid key: The expression attribute map contains an empty key",
                      member);
    if (placeholder.count > PLACEHOLDER_BYTES_MAX)
        return REFUSE(scope, fault,
                      "%s contains invalid key: The expression attribute map contains a key that "
                      "is too long",
                      member);
    return REFUSE(scope, fault, "%s contains invalid key: Syntax error; key: \"%.*s\"", member,
                  BYTES_ARGS(placeholder));
}

static enum status check_names(struct expr_scope *scope, struct expr_fault *fault)
{
    if (scope->names_given && scope->name_count == 0)
        return REFUSE(scope, fault, "%s", "ExpressionAttributeNames must not be empty");
    for (uint32_t i = 0; i < scope->name_count; i++) {
        struct bytes placeholder = scope->names[i].placeholder, name = scope->names[i].name;
        TRY(check_placeholder(scope, "ExpressionAttributeNames", placeholder, '#', fault));
        if (name.count == 0)
            return REFUSE(scope, fault,
                          "ExpressionAttributeNames contains invalid value: Empty attribute name "
                          "for key %.*s",
                          BYTES_ARGS(placeholder));
        if (name.count > VALUE_NAME_BYTES_MAX)
            return REFUSE(scope, fault,
                          "ExpressionAttributeNames contains invalid value: Attribute name has "
                          "exceeded the maximum size limit of %u bytes for key %.*s",
                          VALUE_NAME_BYTES_MAX, BYTES_ARGS(placeholder));
    }
    return STATUS_OK;
}

/* Names and values may have SUBSTITUTES_BYTES_MAX bytes, both together, placeholders included. */
static enum status check_sizes(struct expr_scope *scope, struct expr_fault *fault)
{
    uint64_t names = 0, values = 0;
    for (uint32_t i = 0; i < scope->name_count; i++)
        names += scope->names[i].placeholder.count + scope->names[i].name.count;
    /* A value counts for eight times its bytes at most, and is not counted in vain. */
    if (names <= SUBSTITUTES_BYTES_MAX && scope->values.bytes > (SUBSTITUTES_BYTES_MAX - names) / 8)
        for (uint32_t i = 0; i < scope->value_count; i++)
            values +=
                scope->value_list[i].placeholder.count + value_size(scope->value_list[i].value);
    if (LIKELY(names + values <= SUBSTITUTES_BYTES_MAX))
        return STATUS_OK;
    return REFUSE(scope, fault, "%s exceeds max size",
                  names > SUBSTITUTES_BYTES_MAX    ? "ExpressionAttributeNames"
                  : values > SUBSTITUTES_BYTES_MAX ? "ExpressionAttributeValues"
                                                   : "Combined size of ExpressionAttributeNames "
                                                     "and ExpressionAttributeValues");
}

/* Sort `order`, which holds positions in `names`, by placeholder: bottom-up merges. */
static void sort_names(const struct expr_name *names, uint32_t *order, uint32_t *other,
                       uint32_t count)
{
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            size_t a = start, middle = MIN(start + width, count), b = middle;
            size_t end = MIN(start + 2 * width, count);
            for (size_t to = start; to < end; to++) {
                bool first =
                    b == end || (a < middle && bytes_compare(names[order[a]].placeholder,
                                                             names[order[b]].placeholder) <= 0);
                other[to] = first ? order[a++] : order[b++];
            }
        }
        memcpy(order, other, count * sizeof(*order));
    }
}

static enum status order_names(struct expr_scope *scope)
{
    uint32_t count = scope->name_count;
    uint32_t *order = arena_alloc_array(scope->arena, (size_t)count * 2, sizeof(*order));
    if (order == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    sort_names(scope->names, order, order + count, count);
    scope->name_order = order;
    return STATUS_OK;
}

static enum status list_values(struct expr_scope *scope, struct expr_fault *fault)
{
    uint32_t count = scope->values.at == NULL ? 0 : value_count(scope->values);
    if (scope->values_given && count == 0)
        return REFUSE(scope, fault, "%s", "ExpressionAttributeValues must not be empty");
    if (count == 0)
        return STATUS_OK;
    scope->value_list = arena_alloc_array(scope->arena, count, sizeof(*scope->value_list));
    scope->values_used = arena_alloc_zero(scope->arena, count * sizeof(bool));
    if (scope->value_list == NULL || scope->values_used == NULL)
        return STATUS_NO_MEMORY;
    struct value_cursor cursor;
    value_cursor_init(&cursor, scope->values);
    for (uint32_t i = 0; i < count; i++) {
        struct expr_value *v = &scope->value_list[i];
        *v = (struct expr_value){0};
        if (!value_next(&cursor, &v->placeholder, &v->value))
            return STATUS_INVALID;
        TRY(check_placeholder(scope, "ExpressionAttributeValues", v->placeholder, ':', fault));
    }
    scope->value_count = count;
    return STATUS_OK;
}

enum status expr_scope_init(struct expr_scope *scope, struct arena *arena, struct expr_fault *fault)
{
    scope->arena = arena;
    scope->value_count = 0;
    scope->compilations = 0;
    TRY(check_useless(scope, fault));
    TRY(check_names(scope, fault));
    if (scope->name_count > 0)
        TRY(order_names(scope));
    TRY(list_values(scope, fault));
    return check_sizes(scope, fault);
}

/* "{#a, #b}" of what was not used; .at == NULL: no memory. */
static struct bytes unused_keys(const struct expr_scope *scope, bool names)
{
    uint32_t count = names ? scope->name_count : scope->value_count;
    size_t bytes = 2;
    for (uint32_t i = 0; i < count; i++)
        bytes += 2 + (names ? scope->names[i].placeholder : scope->value_list[i].placeholder).count;
    uint8_t *text = arena_alloc(scope->arena, bytes);
    if (text == NULL)
        return (struct bytes){0};
    size_t at = 0;
    text[at++] = '{';
    for (uint32_t i = 0; i < count; i++) {
        if (names ? scope->names[i].used : scope->values_used[i])
            continue;
        if (at > 1) {
            text[at++] = ',';
            text[at++] = ' ';
        }
        struct bytes key = names ? scope->names[i].placeholder : scope->value_list[i].placeholder;
        memcpy(text + at, key.at, key.count);
        at += key.count;
    }
    text[at++] = '}';
    return bytes_of(text, at);
}

static enum status check_used(const struct expr_scope *scope, bool names, struct expr_fault *fault)
{
    uint32_t count = names ? scope->name_count : scope->value_count;
    for (uint32_t i = 0; i < count; i++) {
        if (names ? scope->names[i].used : scope->values_used[i])
            continue;
        struct bytes keys = unused_keys(scope, names);
        if (keys.at == NULL)
            return STATUS_NO_MEMORY;
        struct bytes message = arena_format(
            scope->arena,
            "Value provided in ExpressionAttribute%s unused in expressions: keys: %.*s",
            names ? "Names" : "Values", BYTES_ARGS(keys));
        if (message.at == NULL)
            return STATUS_NO_MEMORY;
        fault->message = message;
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

enum status expr_scope_finish(const struct expr_scope *scope, struct expr_fault *fault)
{
    TRY(check_used(scope, true, fault));
    return check_used(scope, false, fault);
}
