/* The grammars of updates and projections:
 *
 *   update     := clause {clause}, each at most once
 *   clause     := SET path = value {, path = value} | REMOVE path {, path}
 *               | ADD path :value {, path :value} | DELETE path :value {, path :value}
 *   value      := operand | operand + operand | operand - operand | ( value )
 *   operand    := path | :value | if_not_exists(path, operand) | list_append(operand, operand)
 *               | ( operand )
 *   projection := path {, path}
 *
 * The code of a value pushes operands and combines them: PATH and VALUE push; IF_EXISTS path pushes
 * what is there and skips the default that follows; APPEND, ADD and SUBTRACT take two and push one.
 */
#include "expr/expr_private.h"

#define PUSHES_MAX UINT16_MAX

struct updates {
    struct compiler *c;
    struct action *actions;
    uint32_t count, capacity;
    uint32_t pushes; /* of the action that is being parsed */
    bool seen[VERB_DELETE + 1];
};

static enum status actions_open(struct updates *u)
{
    u->capacity = (uint32_t)u->c->text.count / 2 + 1;
    u->actions = arena_alloc_array(u->c->arena, u->capacity, sizeof(*u->actions));
    return u->actions == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

/* A new action on the path that is next; its code begins here. */
static enum status action_begin(struct updates *u, enum verb verb)
{
    struct operand path;
    if (u->count == u->capacity)
        return STATUS_NO_MEMORY;
    TRY(compile_path(u->c, &path));
    u->actions[u->count] = (struct action){.first = path.first,
                                           .code_at = u->c->code_count,
                                           .order = (uint16_t)u->count,
                                           .elements = (uint8_t)path.elements,
                                           .verb = (uint8_t)verb};
    u->pushes = 0;
    return STATUS_OK;
}

static void action_end(struct updates *u)
{
    struct compiler *c = u->c;
    struct action *action = &u->actions[u->count++];
    action->code_bytes = c->no_memory ? 0 : c->code_count - action->code_at;
    c->pushes = MAX(c->pushes, u->pushes);
}

/* ---- SET ---- */

static enum status set_operand(struct updates *u, struct operand *operand);

static void check_update_function(struct compiler *c, enum function function, struct bytes name)
{
    if (function == FUNCTION_NONE)
        SEMANTIC(c, "Invalid function name; function: %.*s", BYTES_ARGS(name));
    else if (function != FUNCTION_IF_NOT_EXISTS && function != FUNCTION_LIST_APPEND)
        SEMANTIC(c, "The function is not allowed in an update expression; function: %s",
                 function_name(function));
}

/* The first argument of if_not_exists is not pushed, but tested: PATH becomes IF_EXISTS, PATH. */
static uint32_t test_path(struct updates *u, const struct operand *path, uint32_t code_from)
{
    struct compiler *c = u->c;
    c->code_count = code_from;
    uint8_t *to = compiler_emit(c, 5);
    to[0] = OP_IF_EXISTS;
    put_u32(to + 1, 0); /* set_function knows it later */
    emit_path(c, path);
    return c->code_count;
}

static enum status set_function(struct updates *u, struct token name, struct operand *operand)
{
    struct compiler *c = u->c;
    enum function function = function_find(compiler_text(c, name));
    check_update_function(c, function, compiler_text(c, name));
    c->operators++;
    if (c->function_depth == FUNCTION_DEPTH_MAX)
        return compiler_too_deep(c);
    c->function_depth++;
    struct operand arguments[3] = {0};
    uint32_t count = 0, code_from = c->code_count, default_from = 0;
    do {
        if (count > 0)
            compiler_advance(c);
        struct operand *argument = &arguments[MIN(count, 2u)];
        TRY(set_operand(u, argument));
        if (count == 0 && function == FUNCTION_IF_NOT_EXISTS && argument->what == OPERAND_PATH)
            default_from = test_path(u, argument, code_from);
        count++;
    } while (c->token.type == TOKEN_COMMA);
    TRY(compiler_expect(c, TOKEN_CLOSE));
    c->function_depth--;
    *operand = (struct operand){.what = OPERAND_FUNCTION, .function = function};
    if (function == FUNCTION_NONE)
        return STATUS_OK;
    check_function(c, function, arguments, count);
    if (c->no_memory)
        return STATUS_NO_MEMORY;
    if (function == FUNCTION_IF_NOT_EXISTS) {
        put_u32(c->code + code_from + 1, c->code_count - default_from);
    } else {
        *compiler_emit(c, 1) = OP_APPEND;
        operand->type = VALUE_L;
    }
    return STATUS_OK;
}

static enum status set_term(struct updates *u, struct operand *operand)
{
    struct compiler *c = u->c;
    struct token token = c->token;
    u->pushes++;
    if (token.type == TOKEN_WORD) {
        compiler_advance(c);
        if (c->token.type == TOKEN_OPEN) {
            compiler_advance(c);
            u->pushes--;
            return set_function(u, token, operand);
        }
        TRY(compile_path_from(c, token, operand));
        emit_path(c, operand);
        return STATUS_OK;
    }
    return compile_term(c, UINT32_MAX, operand);
}

static enum status set_operand(struct updates *u, struct operand *operand)
{
    struct compiler *c = u->c;
    uint32_t open = 0;
    for (; c->token.type == TOKEN_OPEN; open++)
        compiler_advance(c);
    c->redundant |= open > 1;
    TRY(set_term(u, operand));
    for (; open > 0; open--)
        TRY(compiler_expect(c, TOKEN_CLOSE));
    return STATUS_OK;
}

static enum status set_arithmetic(struct updates *u, const struct operand *left)
{
    struct compiler *c = u->c;
    bool plus = c->token.type == TOKEN_PLUS;
    struct operand right;
    compiler_advance(c);
    c->operators++;
    TRY(set_operand(u, &right));
    const char *name = plus ? "+" : "-";
    check_operand_type(c, name, left->type, TYPE_BIT(VALUE_N));
    check_operand_type(c, name, right.type, TYPE_BIT(VALUE_N));
    *compiler_emit(c, 1) = plus ? OP_ADD : OP_SUBTRACT;
    return STATUS_OK;
}

/* A parenthesis that is open may hold the left operand only, or the sum. */
static enum status set_value(struct updates *u)
{
    struct compiler *c = u->c;
    struct operand left;
    uint32_t open = 0, closed = 0;
    for (; c->token.type == TOKEN_OPEN; open++)
        compiler_advance(c);
    TRY(set_term(u, &left));
    for (; open > closed && c->token.type == TOKEN_CLOSE; closed++)
        compiler_advance(c);
    bool arithmetic = c->token.type == TOKEN_PLUS || c->token.type == TOKEN_MINUS;
    if (arithmetic)
        TRY(set_arithmetic(u, &left));
    c->redundant |= closed > 1 || open - closed > 1;
    for (; open > closed; closed++)
        TRY(compiler_expect(c, TOKEN_CLOSE));
    return STATUS_OK;
}

/* ---- Clauses ---- */

/* ADD and DELETE take a value and name its type in words of their own. */
static void check_clause_operand(struct compiler *c, enum verb verb, enum value_type type)
{
    static const char *const names[VALUE_TYPE_COUNT] = {
        [VALUE_NULL] = "NULL",     [VALUE_BOOL] = "BOOLEAN",  [VALUE_N] = "NUMBER",
        [VALUE_S] = "STRING",      [VALUE_B] = "BINARY",      [VALUE_SS] = "STRING_SET",
        [VALUE_NS] = "NUMBER_SET", [VALUE_BS] = "BINARY_SET", [VALUE_L] = "LIST",
        [VALUE_M] = "MAP",
    };
    uint32_t allowed = verb == VERB_ADD ? TYPES_SETS | TYPE_BIT(VALUE_N) : TYPES_SETS;
    if (type == VALUE_NONE || (allowed & TYPE_BIT(type)) != 0)
        return;
    const char *name = verb == VERB_ADD ? "ADD" : "DELETE";
    SEMANTIC(c,
             "Incorrect operand type for operator or function; operator: %s, operand type: %s, "
             "typeSet: ALLOWED_FOR_%s_OPERAND",
             name, names[type], name);
}

static enum status clause_action(struct updates *u, enum verb verb)
{
    struct compiler *c = u->c;
    TRY(action_begin(u, verb));
    if (verb == VERB_SET) {
        TRY(compiler_expect(c, TOKEN_EQ));
        TRY(set_value(u));
    } else if (verb == VERB_ADD || verb == VERB_DELETE) {
        if (c->token.type != TOKEN_VALUE)
            return compiler_syntax(c);
        struct operand operand;
        u->pushes++;
        TRY(compile_term(c, UINT32_MAX, &operand));
        check_clause_operand(c, verb, operand.type);
    }
    action_end(u);
    return STATUS_OK;
}

static enum verb clause_verb(const struct compiler *c)
{
    if (c->token.type != TOKEN_WORD)
        return VERB_INNER;
    struct bytes word = compiler_text(c, c->token);
    return word_is(word, "SET")      ? VERB_SET
           : word_is(word, "REMOVE") ? VERB_REMOVE
           : word_is(word, "ADD")    ? VERB_ADD
           : word_is(word, "DELETE") ? VERB_DELETE
                                     : VERB_INNER;
}

static const char *verb_name(enum verb verb)
{
    return verb == VERB_SET      ? "SET"
           : verb == VERB_REMOVE ? "REMOVE"
           : verb == VERB_ADD    ? "ADD"
                                 : "DELETE";
}

static enum status compile_clause(struct updates *u)
{
    struct compiler *c = u->c;
    enum verb verb = clause_verb(c);
    if (verb == VERB_INNER)
        return compiler_syntax(c);
    compiler_advance(c);
    if (u->seen[verb])
        SEMANTIC(c, "The \"%s\" section can only be used once in an update expression;",
                 verb_name(verb));
    u->seen[verb] = true;
    TRY(clause_action(u, verb));
    while (c->token.type == TOKEN_COMMA) {
        compiler_advance(c);
        TRY(clause_action(u, verb));
    }
    return STATUS_OK;
}

enum status compile_update(struct compiler *c)
{
    struct updates u = {.c = c};
    TRY(actions_open(&u));
    do {
        TRY(compile_clause(&u));
    } while (c->token.type != TOKEN_END);
    if (c->pushes > PUSHES_MAX || c->no_memory)
        return STATUS_NO_MEMORY;
    return compile_tree(c, u.actions, u.count);
}

enum status compile_projection(struct compiler *c)
{
    struct updates u = {.c = c};
    TRY(actions_open(&u));
    for (;;) {
        TRY(action_begin(&u, VERB_KEEP));
        action_end(&u);
        if (c->token.type == TOKEN_END)
            break;
        TRY(compiler_expect(c, TOKEN_COMMA));
    }
    return c->no_memory ? STATUS_NO_MEMORY : compile_tree(c, u.actions, u.count);
}
