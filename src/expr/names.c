/* The names of functions and operations, in expressions and in messages. */
#include "expr/expr_private.h"

static const char *const function_names[] = {
    [FUNCTION_ATTRIBUTE_EXISTS] = "attribute_exists",
    [FUNCTION_ATTRIBUTE_NOT_EXISTS] = "attribute_not_exists",
    [FUNCTION_ATTRIBUTE_TYPE] = "attribute_type",
    [FUNCTION_BEGINS_WITH] = "begins_with",
    [FUNCTION_CONTAINS] = "contains",
    [FUNCTION_SIZE] = "size",
    [FUNCTION_IF_NOT_EXISTS] = "if_not_exists",
    [FUNCTION_LIST_APPEND] = "list_append",
};

const char *function_name(enum function function)
{
    return function_names[function];
}

enum function function_find(struct bytes name)
{
    for (enum function f = 0; f < FUNCTION_NONE; f++) {
        if (bytes_equal(name, bytes_of_text(function_names[f])))
            return f;
    }
    return FUNCTION_NONE;
}

const char *op_name(enum op op)
{
    switch (op) {
    case OP_EQ:
        return "=";
    case OP_NE:
        return "<>";
    case OP_LT:
        return "<";
    case OP_LE:
        return "<=";
    case OP_GT:
        return ">";
    case OP_GE:
        return ">=";
    case OP_BETWEEN:
        return "BETWEEN";
    case OP_IN:
        return "IN";
    case OP_EXISTS:
        return "attribute_exists";
    case OP_NOT_EXISTS:
        return "attribute_not_exists";
    case OP_TYPE:
        return "attribute_type";
    case OP_BEGINS_WITH:
        return "begins_with";
    default:
        return "contains";
    }
}
