/* From a text to a program: room for the compiler, the grammar, what was recorded, the assembly. */
#include "expr/expr_private.h"

/* Room in the compiler itself for the texts that are usual, else from the arena.  A token makes at
 * most 8 bytes of code for each of its characters and the separator that follows it, but for a few
 * at the start; two characters make at most one path element, and one entry in the pool. */
static enum status compiler_open(struct compiler *c)
{
    uint32_t count = (uint32_t)c->text.count;
    c->code = c->code_local;
    c->code_capacity = CODE_LOCAL;
    if (count * 8 + 64 > CODE_LOCAL) {
        c->code_capacity = count * 8 + 64;
        c->code = arena_alloc(c->arena, c->code_capacity);
    }
    c->pool = c->pool_local;
    c->pool_capacity = POOL_LOCAL;
    if (count / 2 + 2 > POOL_LOCAL) {
        c->pool_capacity = count / 2 + 2;
        c->pool = arena_alloc_array(c->arena, c->pool_capacity, sizeof(*c->pool));
    }
    c->elements = c->elements_local;
    c->element_capacity = ELEMENTS_LOCAL;
    if (count / 2 + 2 > ELEMENTS_LOCAL) {
        c->element_capacity = count / 2 + 2;
        c->elements = arena_alloc_array(c->arena, c->element_capacity, sizeof(*c->elements));
    }
    return c->code == NULL || c->pool == NULL || c->elements == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

enum status compiler_assemble(struct compiler *c, struct expr_program *program)
{
    size_t bytes = PROGRAM_HEAD_BYTES + c->code_count + c->pool_total;
    uint8_t *at = arena_alloc(c->arena, bytes);
    if (at == NULL)
        return STATUS_NO_MEMORY;
    at[0] = PROGRAM_FORMAT;
    at[1] = (uint8_t)((uint32_t)c->kind | (c->legacy ? PROGRAM_LEGACY : 0));
    put_u16(at + 2, (uint16_t)c->pushes);
    put_u32(at + 4, c->code_count);
    put_u32(at + 8, (uint32_t)c->pool_total);
    uint8_t *to = at + PROGRAM_HEAD_BYTES;
    memcpy(to, c->code, c->code_count);
    to += c->code_count;
    for (uint32_t i = 0; i < c->pool_count; i++) {
        if (c->pool[i].count > 0)
            memcpy(to, c->pool[i].at, c->pool[i].count);
        to += c->pool[i].count;
    }
    program->code = bytes_of(at, bytes);
    return STATUS_OK;
}

static enum status parse(struct compiler *c)
{
    c->token = token_next(c->text, 0);
    if (c->token.type == TOKEN_END)
        return compiler_refuse(c, arena_format(c->arena,
                                               "Invalid %s: The expression can not be empty;",
                                               expr_kind_name(c->kind)));
    switch (c->kind) {
    case EXPR_PROJECTION:
        return compile_projection(c);
    case EXPR_UPDATE:
        return compile_update(c);
    default:
        return compile_condition(c);
    }
}

/* What was recorded, the gravest first. */
static enum status recorded(struct compiler *c)
{
    if (c->no_memory)
        return STATUS_NO_MEMORY;
    const char *kind = expr_kind_name(c->kind);
    if (c->redundant)
        return compiler_refuse(
            c,
            arena_format(c->arena, "Invalid %s: The expression has redundant parentheses;", kind));
    if (c->operators > EXPR_OPERATORS_MAX)
        return compiler_refuse(
            c, arena_format(c->arena,
                            "Invalid %s: The expression contains too many operators; "
                            "operator count: %u",
                            kind, c->operators));
    if (c->semantic.at != NULL)
        return compiler_refuse(c, c->semantic);
    if (c->late.at != NULL)
        return compiler_refuse(c, c->late);
    return STATUS_OK;
}

enum status expr_compile(struct expr_scope *scope, enum expr_kind kind, struct bytes text,
                         struct expr_program *program, struct expr_fault *fault)
{
    struct compiler c;
    memset(&c, 0, offsetof(struct compiler, code_local));
    c.scope = scope;
    c.arena = scope->arena;
    c.fault = fault;
    c.kind = kind;
    c.text = text;
    c.compilation = ++scope->compilations;
    if (text.count > EXPR_BYTES_MAX)
        return compiler_refuse(
            &c, arena_format(c.arena,
                             "Invalid %s: Expression size has exceeded the maximum allowed "
                             "size; expression size: %zu",
                             expr_kind_name(kind), text.count));
    TRY(compiler_open(&c));
    TRY(parse(&c));
    TRY(recorded(&c));
    TRY(compiler_assemble(&c, program));
    if (kind == EXPR_KEY_CONDITION)
        key_check_duplicates(&c, program);
    return recorded(&c);
}
