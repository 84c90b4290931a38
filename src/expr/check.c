/* What the service checks of operands before it looks at an item: their types as far as the values
 * tell, their number, and that they differ. */
#include "expr/expr_private.h"

bool operand_same_path(const struct compiler *c, const struct operand *a, const struct operand *b)
{
    if (a->what != OPERAND_PATH || b->what != OPERAND_PATH || a->elements != b->elements)
        return false;
    for (uint32_t i = 0; i < a->elements; i++) {
        const struct path_element *x = &c->elements[a->first + i], *y = &c->elements[b->first + i];
        bool equal = x->name.at == NULL || y->name.at == NULL
                         ? x->name.at == y->name.at && x->a == y->a
                         : bytes_equal(x->name, y->name);
        if (!equal)
            return false;
    }
    return true;
}

struct bytes path_format(struct compiler *c, const struct path_element *elements, uint32_t count)
{
    struct bytes text = arena_format(c->arena, "%s", "");
    for (uint32_t i = 0; i < count && text.at != NULL; i++) {
        const struct path_element *e = &elements[i];
        const char *comma = i > 0 ? ", " : "";
        if (e->name.at == NULL)
            text = arena_format(c->arena, "%.*s%s[%u]", BYTES_ARGS(text), comma, e->a);
        else
            text =
                arena_format(c->arena, "%.*s%s%.*s", BYTES_ARGS(text), comma, BYTES_ARGS(e->name));
    }
    if (text.at == NULL)
        c->no_memory = true;
    return text;
}

void check_not_boolean(struct compiler *c, const struct operand *operand)
{
    if (operand->what == OPERAND_FUNCTION && operand->function <= FUNCTION_CONTAINS)
        SEMANTIC(c,
                 "The function is not allowed to be used this way in an expression; function: %s",
                 function_name(operand->function));
}

void check_distinct(struct compiler *c, const char *name, const struct operand *first,
                    const struct operand *other)
{
    if (c->semantic.at != NULL || !operand_same_path(c, first, other))
        return;
    struct bytes path = path_format(c, &c->elements[first->first], first->elements);
    SEMANTIC(c,
             "The first operand must be distinct from the remaining operands for this operator or "
             "function; operator: %s, first operand: [%.*s]",
             name, BYTES_ARGS(path));
}

void check_operand_type(struct compiler *c, const char *name, enum value_type type,
                        uint32_t allowed)
{
    if (type != VALUE_NONE && (allowed & TYPE_BIT(type)) == 0)
        SEMANTIC(
            c,
            "Incorrect operand type for operator or function; operator or function: %s, operand "
            "type: %s",
            name, value_type_name(type));
}

void check_comparison(struct compiler *c, enum op op, const struct operand *operands,
                      uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        check_not_boolean(c, &operands[i]);
    for (uint32_t i = 1; i < count; i++)
        check_distinct(c, op_name(op), &operands[0], &operands[i]);
    if (op == OP_EQ || op == OP_NE || op == OP_IN)
        return;
    for (uint32_t i = 0; i < count; i++)
        check_operand_type(c, op_name(op), operands[i].type, TYPES_ORDERED);
}

/* ---- BETWEEN ---- */

static struct bytes base64(struct arena *arena, struct bytes b)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t bytes = (b.count + 2) / 3 * 4;
    uint8_t *text = arena_alloc(arena, bytes + 1);
    if (text == NULL)
        return (struct bytes){0};
    size_t to = 0;
    for (size_t i = 0; i < b.count; i += 3) {
        uint32_t left = (uint32_t)MIN(b.count - i, 3u);
        uint32_t group = (uint32_t)b.at[i] << 16;
        group |= left > 1 ? (uint32_t)b.at[i + 1] << 8 : 0;
        group |= left > 2 ? b.at[i + 2] : 0;
        for (uint32_t d = 0; d < 4; d++)
            text[to++] = (uint8_t)(d <= left ? digits[(group >> (18 - 6 * d)) & 63] : '=');
    }
    return bytes_of(text, to);
}

/* "AttributeValue: {N:5}" of an S, N or B. */
static struct bytes value_format(struct compiler *c, struct value value)
{
    char number_text[NUMBER_TEXT_BYTES_MAX];
    struct number number;
    struct bytes text;
    switch (value_type(value)) {
    case VALUE_N:
        value_number(value, &number);
        text = bytes_of(number_text, number_format(&number, number_text));
        break;
    case VALUE_B:
        text = base64(c->arena, value_bytes(value));
        break;
    default:
        text = value_bytes(value);
        break;
    }
    text = arena_format(c->arena, "AttributeValue: {%s:%.*s}", value_type_name(value_type(value)),
                        BYTES_ARGS(text));
    if (text.at == NULL)
        c->no_memory = true;
    return text;
}

void check_between(struct compiler *c, const struct operand *low, const struct operand *high)
{
    if (c->semantic.at != NULL || low->what != OPERAND_VALUE || high->what != OPERAND_VALUE ||
        low->value.at == NULL || high->value.at == NULL)
        return;
    bool same_type = low->type == high->type;
    if (same_type && value_compare(low->value, high->value) <= 0)
        return;
    struct bytes low_text = value_format(c, low->value), high_text = value_format(c, high->value);
    const char *rule =
        same_type ? "The BETWEEN operator requires upper bound to be greater than or equal to "
                    "lower bound"
                  : "The BETWEEN operator requires same data type for lower and upper bounds";
    SEMANTIC(c, "%s; lower bound operand: %.*s, upper bound operand: %.*s", rule,
             BYTES_ARGS(low_text), BYTES_ARGS(high_text));
}

void check_in(struct compiler *c, const struct operand *first, const struct operand *other)
{
    check_not_boolean(c, other);
    check_distinct(c, "IN", first, other);
}

/* ---- Functions ---- */

static void check_count(struct compiler *c, enum function function, uint32_t count)
{
    bool one = function == FUNCTION_ATTRIBUTE_EXISTS || function == FUNCTION_ATTRIBUTE_NOT_EXISTS ||
               function == FUNCTION_SIZE;
    if (count != (one ? 1 : 2))
        SEMANTIC(c,
                 "Incorrect number of operands for operator or function; operator or function: %s, "
                 "number of operands: %u",
                 function_name(function), count);
}

static void check_path(struct compiler *c, enum function function, const struct operand *operand)
{
    if (operand->what != OPERAND_PATH)
        SEMANTIC(c, "Operator or function requires a document path; operator or function: %s",
                 function_name(function));
}

static void check_attribute_type(struct compiler *c, const struct operand *type)
{
    check_operand_type(c, "attribute_type", type->type, TYPE_BIT(VALUE_S));
    if (c->semantic.at != NULL || type->what != OPERAND_VALUE)
        return;
    struct bytes name = value_bytes(type->value);
    for (enum value_type t = VALUE_NULL; t < VALUE_TYPE_COUNT; t++) {
        if (bytes_equal(name, bytes_of_text(value_type_name(t))))
            return;
    }
    SEMANTIC(c,
             "Invalid attribute type name found; type: %.*s, valid types: "
             "{B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
             BYTES_ARGS(name));
}

void check_function(struct compiler *c, enum function function, const struct operand *operands,
                    uint32_t count)
{
    static const uint32_t measured =
        TYPES_SETS | TYPE_BIT(VALUE_S) | TYPE_BIT(VALUE_B) | TYPE_BIT(VALUE_L) | TYPE_BIT(VALUE_M);
    static const uint32_t searched =
        TYPES_SETS | TYPE_BIT(VALUE_S) | TYPE_BIT(VALUE_B) | TYPE_BIT(VALUE_L);
    const char *name = function_name(function);
    check_count(c, function, count);
    if (c->semantic.at != NULL || c->no_memory) /* there may be fewer operands than it counts on */
        return;
    for (uint32_t i = 0; i < count; i++)
        check_not_boolean(c, &operands[i]);
    switch (function) {
    case FUNCTION_ATTRIBUTE_EXISTS:
    case FUNCTION_ATTRIBUTE_NOT_EXISTS:
    case FUNCTION_IF_NOT_EXISTS:
        check_path(c, function, &operands[0]);
        break;
    case FUNCTION_ATTRIBUTE_TYPE:
        check_path(c, function, &operands[0]);
        check_attribute_type(c, &operands[1]);
        break;
    case FUNCTION_BEGINS_WITH:
        check_distinct(c, name, &operands[0], &operands[1]);
        check_operand_type(c, name, operands[0].type, TYPE_BIT(VALUE_S) | TYPE_BIT(VALUE_B));
        check_operand_type(c, name, operands[1].type, TYPE_BIT(VALUE_S) | TYPE_BIT(VALUE_B));
        break;
    case FUNCTION_CONTAINS:
        check_distinct(c, name, &operands[0], &operands[1]);
        check_operand_type(c, name, operands[0].type, searched);
        break;
    case FUNCTION_SIZE:
        check_operand_type(c, name, operands[0].type, measured);
        break;
    case FUNCTION_LIST_APPEND:
        check_operand_type(c, name, operands[0].type, TYPE_BIT(VALUE_L));
        check_operand_type(c, name, operands[1].type, TYPE_BIT(VALUE_L));
        break;
    case FUNCTION_NONE:
        break;
    }
}
