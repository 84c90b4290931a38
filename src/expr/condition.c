/* The grammar of conditions, filters and key conditions:
 *
 *   condition  := operand comparator operand | operand BETWEEN operand AND operand
 *               | operand IN ( operand {, operand} ) | function
 *               | condition AND condition | condition OR condition | NOT condition | ( condition )
 *   operand    := path | :value | size(operand) | ( operand )
 *
 * NOT binds tighter than AND, AND than OR.  The parser keeps its own stack of what is open, so that
 * no depth of parentheses uses the machine's.
 */
#include "base/assert.h"
#include "expr/expr_private.h"

#define OPEN_LOCAL 32u
#define IN_COUNTED                                                                                 \
    255u /* operands of one IN that the code holds; more than EXPR_IN_MAX are an error */

enum open_type { OPEN_PARENTHESIS, OPEN_OR, OPEN_AND, OPEN_NOT }; /* in the order of precedence */

struct open {
    enum open_type what;
    uint32_t jump; /* of AND and OR: where it is */
};

struct conditions {
    struct compiler *c;
    struct open *open;
    uint32_t open_count, open_capacity;
    uint32_t head;          /* where the instruction of `operand` begins */
    struct operand operand; /* what stands to the left, while `have` is OPERAND or FUNCTION */
    enum { HAVE_NOTHING, HAVE_OPERAND, HAVE_CONDITION } have;
    bool wrapped; /* what stands to the left is just a parenthesis */
    struct open local[OPEN_LOCAL];
};

static enum status push(struct conditions *s, enum open_type what)
{
    if (s->open_count == s->open_capacity) {
        ASSERT(s->open == s->local);
        uint32_t capacity = (uint32_t)s->c->text.count + 1;
        struct open *more = arena_alloc_array(s->c->arena, capacity, sizeof(*more));
        if (more == NULL)
            return STATUS_NO_MEMORY;
        memcpy(more, s->local, sizeof(s->local));
        s->open = more;
        s->open_capacity = capacity;
    }
    s->open[s->open_count++] = (struct open){.what = what};
    return STATUS_OK;
}

/* Close what binds tighter than `what`. */
static void reduce(struct conditions *s, enum open_type what)
{
    while (s->open_count > 0) {
        struct open *top = &s->open[s->open_count - 1];
        if (top->what <= what)
            return;
        struct compiler *c = s->c;
        if (top->what == OPEN_NOT)
            *compiler_emit(c, 1) = OP_NOT;
        else
            put_u32(c->code + top->jump + 1, c->code_count - top->jump - 5);
        s->open_count--;
        s->wrapped = false;
    }
}

/* An operand must be a condition from here on: only some functions are. */
static enum status make_condition(struct conditions *s)
{
    if (s->have == HAVE_CONDITION)
        return STATUS_OK;
    struct operand *operand = &s->operand;
    bool function = operand->what == OPERAND_FUNCTION || operand->function == FUNCTION_SIZE;
    if (!function)
        return compiler_syntax(s->c);
    if (operand->function == FUNCTION_SIZE)
        SEMANTIC(s->c,
                 "The function is not allowed to be used this way in an expression; function: %s",
                 "size");
    s->have = HAVE_CONDITION;
    return STATUS_OK;
}

static enum status take_operator(struct conditions *s)
{
    struct compiler *c = s->c;
    bool and = c->token.type == TOKEN_AND;
    TRY(make_condition(s));
    if (!and&&c->kind == EXPR_KEY_CONDITION)
        key_check_word(c, "OR");
    compiler_advance(c);
    c->operators++;
    reduce(s, and? OPEN_AND : OPEN_OR);
    TRY(push(s, and? OPEN_AND : OPEN_OR));
    s->open[s->open_count - 1].jump = c->code_count;
    uint8_t *to = compiler_emit(c, 5);
    to[0] = and? OP_JUMP_IF_FALSE : OP_JUMP_IF_TRUE;
    put_u32(to + 1, 0);
    s->have = HAVE_NOTHING;
    s->wrapped = false;
    return STATUS_OK;
}

static enum status take_close(struct conditions *s)
{
    struct compiler *c = s->c;
    if (s->have == HAVE_CONDITION)
        reduce(s, OPEN_PARENTHESIS);
    if (s->open_count == 0 || s->open[s->open_count - 1].what != OPEN_PARENTHESIS) {
        /* Left of it stands an operand, which closes nothing but its own parenthesis, or a function
         * that is a condition. */
        if (s->open_count == 0 || s->have != HAVE_OPERAND)
            return compiler_syntax(c);
        TRY(make_condition(s));
        return take_close(s);
    }
    c->redundant |= s->wrapped;
    s->wrapped = true;
    s->open_count--;
    compiler_advance(c);
    return STATUS_OK;
}

static enum status complete(struct conditions *s, enum op op, uint32_t count)
{
    struct compiler *c = s->c;
    if (!c->no_memory) {
        c->code[s->head] = (uint8_t)op;
        c->code[s->head + 1] = (uint8_t)count;
    }
    s->have = HAVE_CONDITION;
    s->wrapped = false;
    return STATUS_OK;
}

static enum status take_comparison(struct conditions *s)
{
    struct compiler *c = s->c;
    enum op op = OP_EQ + (c->token.type - TOKEN_EQ);
    struct operand operands[2] = {s->operand};
    compiler_advance(c);
    c->operators++;
    TRY(compile_operand(c, &operands[1]));
    check_comparison(c, op, operands, 2);
    if (c->kind == EXPR_KEY_CONDITION)
        key_check_operation(c, op, operands, 2);
    return complete(s, op, 2);
}

static enum status take_between(struct conditions *s)
{
    struct compiler *c = s->c;
    struct operand operands[3] = {s->operand};
    compiler_advance(c);
    c->operators++;
    TRY(compile_operand(c, &operands[1]));
    TRY(compiler_expect(c, TOKEN_AND));
    TRY(compile_operand(c, &operands[2]));
    check_comparison(c, OP_BETWEEN, operands, 3);
    check_between(c, &operands[1], &operands[2]);
    if (c->kind == EXPR_KEY_CONDITION)
        key_check_operation(c, OP_BETWEEN, operands, 3);
    return complete(s, OP_BETWEEN, 3);
}

static enum status take_in(struct conditions *s)
{
    struct compiler *c = s->c;
    struct operand first = s->operand, other;
    uint32_t count = 0;
    compiler_advance(c);
    c->operators++;
    if (c->kind == EXPR_KEY_CONDITION)
        key_check_word(c, "IN");
    TRY(compiler_expect(c, TOKEN_OPEN));
    check_not_boolean(c, &first);
    for (;;) {
        TRY(compile_operand(c, &other));
        check_in(c, &first, &other);
        count++;
        if (c->token.type != TOKEN_COMMA)
            break;
        compiler_advance(c);
    }
    TRY(compiler_expect(c, TOKEN_CLOSE));
    if (count > EXPR_IN_MAX)
        SEMANTIC(c, "The IN operator is provided with too many operands; number of operands: %u",
                 count);
    return complete(s, OP_IN, 1 + MIN(count, IN_COUNTED - 1));
}

static enum status take_term(struct conditions *s)
{
    struct compiler *c = s->c;
    s->wrapped = false;
    switch (c->token.type) {
    case TOKEN_NOT:
        compiler_advance(c);
        c->operators++;
        if (c->kind == EXPR_KEY_CONDITION)
            key_check_word(c, "NOT");
        return push(s, OPEN_NOT);
    case TOKEN_OPEN:
        compiler_advance(c);
        return push(s, OPEN_PARENTHESIS);
    default:
        break;
    }
    s->head = c->code_count;
    put_u16(compiler_emit(c, 2), 0);
    TRY(compile_term(c, s->head, &s->operand));
    s->have = HAVE_OPERAND;
    return STATUS_OK;
}

static enum status take_after_operand(struct conditions *s)
{
    struct compiler *c = s->c;
    switch (c->token.type) {
    case TOKEN_EQ:
    case TOKEN_NE:
    case TOKEN_LT:
    case TOKEN_LE:
    case TOKEN_GT:
    case TOKEN_GE:
        return take_comparison(s);
    case TOKEN_BETWEEN:
        return take_between(s);
    case TOKEN_IN:
        return take_in(s);
    default:
        return compiler_syntax(c);
    }
}

enum status compile_condition(struct compiler *c)
{
    struct conditions s;
    memset(&s, 0, offsetof(struct conditions, local));
    s.c = c;
    s.open = s.local;
    s.open_capacity = OPEN_LOCAL;
    while (c->token.type != TOKEN_END) {
        if (s.have == HAVE_NOTHING)
            TRY(take_term(&s));
        else if (c->token.type == TOKEN_AND || c->token.type == TOKEN_OR)
            TRY(take_operator(&s));
        else if (c->token.type == TOKEN_CLOSE)
            TRY(take_close(&s));
        else if (s.have == HAVE_OPERAND)
            TRY(take_after_operand(&s));
        else
            return compiler_syntax(c);
    }
    if (s.have == HAVE_NOTHING)
        return compiler_syntax(c);
    TRY(make_condition(&s));
    reduce(&s, OPEN_PARENTHESIS);
    return s.open_count > 0 ? compiler_syntax(c) : STATUS_OK;
}
