/* Operands of conditions: paths, values, functions, and parentheses around them. */
#include "base/assert.h"
#include "expr/expr_private.h"

#define ARGUMENTS_KEPT 3u /* of a function; more are counted, and an error */

static uint8_t function_op(enum function function)
{
    switch (function) {
    case FUNCTION_ATTRIBUTE_EXISTS:
        return OP_EXISTS;
    case FUNCTION_ATTRIBUTE_NOT_EXISTS:
        return OP_NOT_EXISTS;
    case FUNCTION_ATTRIBUTE_TYPE:
        return OP_TYPE;
    case FUNCTION_BEGINS_WITH:
        return OP_BEGINS_WITH;
    default:
        return OP_CONTAINS;
    }
}

static void check_allowed(struct compiler *c, enum function function, struct bytes name)
{
    if (function == FUNCTION_NONE) {
        SEMANTIC(c, "Invalid function name; function: %.*s", BYTES_ARGS(name));
        return;
    }
    if (c->kind == EXPR_KEY_CONDITION) {
        if (function != FUNCTION_BEGINS_WITH)
            key_check_word(c, function_name(function));
        return;
    }
    bool of_updates = function == FUNCTION_IF_NOT_EXISTS || function == FUNCTION_LIST_APPEND;
    if (of_updates)
        SEMANTIC(c, "The function is not allowed in a %s expression; function: %s",
                 c->kind == EXPR_FILTER ? "filter" : "condition", function_name(function));
}

/* size(:v) is a constant; 2 + NUMBER_ENCODED_BYTES_MAX bytes hold any number's value. */
static void fold_size(struct compiler *c, uint32_t code_from, struct operand *operand)
{
    c->code_count = code_from;
    struct value size = {0};
    uint8_t *at = arena_alloc(c->arena, VALUE_NUMBER_BYTES_MAX);
    if (at == NULL)
        c->no_memory = true;
    else if (operand->value.at == NULL || !size_of(operand->value, at, &size))
        size = VALUE_ABSENT;
    if (size.at != NULL)
        emit_value(c, size, compiler_pool(c, bytes_of(size.at, size.bytes)));
    *operand = (struct operand){.what = OPERAND_VALUE, .type = VALUE_N, .value = size};
}

static void complete_size(struct compiler *c, uint32_t code_from, const struct operand *argument,
                          struct operand *operand)
{
    if (argument->what == OPERAND_PATH) {
        c->code[code_from] = OP_SIZE;
        *operand =
            (struct operand){.what = OPERAND_SIZE, .type = VALUE_N, .function = FUNCTION_SIZE};
        return;
    }
    *operand = *argument;
    fold_size(c, code_from, operand);
    operand->function = FUNCTION_SIZE;
}

/* "name ( arguments )", of which name and the parenthesis were taken. */
static enum status compile_function(struct compiler *c, struct token name, uint32_t head,
                                    struct operand *operand)
{
    enum function function = function_find(compiler_text(c, name));
    check_allowed(c, function, compiler_text(c, name));
    c->operators++;
    if (c->function_depth == FUNCTION_DEPTH_MAX)
        return compiler_too_deep(c);
    c->function_depth++;
    uint32_t code_from = c->code_count;
    if (function == FUNCTION_SIZE)
        *compiler_emit(c, 1) = 0;
    struct operand arguments[ARGUMENTS_KEPT] = {0};
    uint32_t count = 0;
    do {
        if (count > 0)
            compiler_advance(c);
        TRY(compile_operand(c, &arguments[MIN(count, ARGUMENTS_KEPT - 1)]));
        count++;
    } while (c->token.type == TOKEN_COMMA);
    TRY(compiler_expect(c, TOKEN_CLOSE));
    c->function_depth--;
    if (function < FUNCTION_NONE)
        check_function(c, function, arguments, count);
    if (function == FUNCTION_SIZE) {
        complete_size(c, code_from, &arguments[0], operand);
        return STATUS_OK;
    }
    if (c->kind == EXPR_KEY_CONDITION && function == FUNCTION_BEGINS_WITH)
        key_check_operation(c, OP_BEGINS_WITH, arguments, 2);
    *operand = (struct operand){.what = OPERAND_FUNCTION, .function = function};
    if (head != UINT32_MAX && !c->no_memory) {
        c->code[head] = function_op(function);
        c->code[head + 1] = (uint8_t)MIN(count, UINT8_MAX);
    }
    return STATUS_OK;
}

enum status compile_term(struct compiler *c, uint32_t head, struct operand *operand)
{
    struct token token = c->token;
    switch (token.type) {
    case TOKEN_WORD:
        compiler_advance(c);
        if (c->token.type == TOKEN_OPEN) {
            compiler_advance(c);
            return compile_function(c, token, head, operand);
        }
        break;
    case TOKEN_NAME:
        compiler_advance(c);
        break;
    case TOKEN_VALUE: {
        compiler_advance(c);
        uint32_t pool_at;
        struct value value = compile_value(c, token, &pool_at);
        *operand =
            (struct operand){.what = OPERAND_VALUE, .type = value_type(value), .value = value};
        emit_value(c, value, pool_at);
        return STATUS_OK;
    }
    default:
        return compiler_syntax(c);
    }
    TRY(compile_path_from(c, token, operand));
    emit_path(c, operand);
    return STATUS_OK;
}

enum status compile_operand(struct compiler *c, struct operand *operand)
{
    uint32_t open = 0;
    for (; c->token.type == TOKEN_OPEN; open++)
        compiler_advance(c);
    c->redundant |= open > 1;
    TRY(compile_term(c, UINT32_MAX, operand));
    for (; open > 0; open--)
        TRY(compiler_expect(c, TOKEN_CLOSE));
    return STATUS_OK;
}
