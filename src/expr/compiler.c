/* The compiler's state, and what all grammars share: faults, names and values, paths, code and
 * pool. */
#include "base/assert.h"
#include "expr/expr_private.h"

static const char *const kind_names[] = {
    [EXPR_CONDITION] = "ConditionExpression",   [EXPR_FILTER] = "FilterExpression",
    [EXPR_PROJECTION] = "ProjectionExpression", [EXPR_KEY_CONDITION] = "KeyConditionExpression",
    [EXPR_UPDATE] = "UpdateExpression",
};

const char *expr_kind_name(enum expr_kind kind)
{
    return kind_names[kind];
}

const char *compiler_prefix(const struct compiler *c)
{
    static const char *const prefixes[] = {
        [EXPR_CONDITION] = "Invalid ConditionExpression: ",
        [EXPR_FILTER] = "Invalid FilterExpression: ",
        [EXPR_PROJECTION] = "Invalid ProjectionExpression: ",
        [EXPR_KEY_CONDITION] = "Invalid KeyConditionExpression: ",
        [EXPR_UPDATE] = "Invalid UpdateExpression: ",
    };
    return c->bare ? "" : prefixes[c->kind];
}

void compiler_record(struct compiler *c, struct bytes *slot, struct bytes message)
{
    if (message.at == NULL)
        c->no_memory = true;
    else
        *slot = message;
}

enum status compiler_refuse(struct compiler *c, struct bytes message)
{
    if (message.at == NULL)
        return STATUS_NO_MEMORY;
    c->fault->message = message;
    return STATUS_INVALID;
}

/* "near" is the text from the token before to the token after. */
enum status compiler_syntax(struct compiler *c)
{
    struct token bad = c->token;
    struct token before = {0}, token = token_next(c->text, 0);
    while (token.type != TOKEN_END && token.at < bad.at) {
        before = token;
        token = token_next(c->text, token.at + token.count);
    }
    uint32_t from = before.count > 0 ? before.at : bad.at;
    uint32_t to = bad.at + bad.count;
    if (bad.type == TOKEN_END) {
        to = before.at + before.count;
    } else {
        struct token after = token_next(c->text, to);
        if (after.type != TOKEN_END)
            to = after.at + after.count;
    }
    struct bytes name = bad.type == TOKEN_END ? BYTES("<EOF>") : compiler_text(c, bad);
    struct bytes near = bytes_of(c->text.at + from, to > from ? to - from : 0);
    return compiler_refuse(
        c, arena_format(c->arena, "Invalid %s: Syntax error; token: \"%.*s\", near: \"%.*s\"",
                        expr_kind_name(c->kind), BYTES_ARGS(name), BYTES_ARGS(near)));
}

enum status compiler_too_deep(struct compiler *c)
{
    return compiler_refuse(
        c, arena_format(c->arena,
                        "Invalid %s: The expression has too many nested functions; nesting "
                        "levels: %u",
                        expr_kind_name(c->kind), FUNCTION_DEPTH_MAX + 1));
}

/* ---- Code and pool ---- */

uint8_t *compiler_emit(struct compiler *c, uint32_t count)
{
    if (UNLIKELY(c->code_capacity - c->code_count < count)) {
        /* The capacity is reckoned from the text (compiler_open); should it be short, the
         * compilation fails, and what is emitted further overwrites itself. */
        c->no_memory = true;
        c->code_count = 0;
    }
    uint8_t *to = c->code + c->code_count;
    c->code_count += count;
    return to;
}

uint32_t compiler_pool(struct compiler *c, struct bytes bytes)
{
    if (UNLIKELY(c->pool_count == c->pool_capacity || c->pool_total + bytes.count > INT32_MAX)) {
        c->no_memory = true;
        return 0;
    }
    uint32_t at = (uint32_t)c->pool_total;
    c->pool[c->pool_count++] = bytes;
    c->pool_total += bytes.count;
    return at;
}

/* ---- Names, values, paths ---- */

static struct expr_name *find_name(const struct compiler *c, struct bytes placeholder)
{
    const struct expr_scope *scope = c->scope;
    uint32_t low = 0, high = scope->name_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        struct expr_name *name = &scope->names[scope->name_order[middle]];
        int order = bytes_compare(placeholder, name->placeholder);
        if (order == 0)
            return name;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static void resolve_name(struct compiler *c, struct token token, struct path_element *element)
{
    struct bytes text = compiler_text(c, token);
    *element = (struct path_element){.name = text, .b = token.count};
    if (token.type == TOKEN_WORD) {
        if (word_reserved(text))
            SEMANTIC(c, "Attribute name is a reserved keyword; reserved keyword: %.*s",
                     BYTES_ARGS(text));
        element->a = compiler_pool(c, text);
        return;
    }
    struct expr_name *name = find_name(c, text);
    if (name == NULL) {
        SEMANTIC(c,
                 "An expression attribute name used in the document path is not defined; attribute "
                 "name: %.*s",
                 BYTES_ARGS(text));
        return;
    }
    name->used = true;
    if (name->pooled_in != c->compilation) {
        name->pooled_in = c->compilation;
        name->pooled_at = compiler_pool(c, name->name);
    }
    static const uint8_t nothing[1];
    element->name = bytes_of(name->name.count > 0 ? name->name.at : nothing, name->name.count);
    element->a = name->pooled_at;
    element->b = (uint32_t)name->name.count;
}

/* A place for the next element; paths that are too deep are an error all the same, and share the
 * last one. */
static struct path_element *next_element(struct compiler *c, struct operand *path)
{
    if (path->elements == PATH_ELEMENTS_MAX + 1)
        return &c->elements[c->element_count - 1];
    ASSERT(c->element_count < c->element_capacity);
    path->elements++;
    return &c->elements[c->element_count++];
}

static enum status path_index(struct compiler *c, struct operand *path)
{
    compiler_advance(c);
    struct token token = c->token;
    TRY(compiler_expect(c, TOKEN_NUMBER));
    uint64_t index = 0;
    for (uint32_t i = 0; i < token.count && index <= LIST_INDEX_MAX; i++)
        index = index * 10 + (uint64_t)(c->text.at[token.at + i] - '0');
    if (index > LIST_INDEX_MAX) {
        SEMANTIC(c, "List index is not within the allowable range; index: [%.*s]",
                 BYTES_ARGS(compiler_text(c, token)));
        index = 0;
    }
    *next_element(c, path) = (struct path_element){.a = (uint32_t)index, .b = ELEMENT_INDEX};
    return compiler_expect(c, TOKEN_CLOSE_INDEX);
}

enum status compile_path_from(struct compiler *c, struct token first, struct operand *path)
{
    *path = (struct operand){.what = OPERAND_PATH, .first = c->element_count};
    resolve_name(c, first, next_element(c, path));
    uint32_t levels = 1;
    for (;; levels++) {
        if (c->token.type == TOKEN_OPEN_INDEX) {
            TRY(path_index(c, path));
            continue;
        }
        if (c->token.type != TOKEN_DOT)
            break;
        compiler_advance(c);
        struct token token = c->token;
        if (token.type != TOKEN_WORD && token.type != TOKEN_NAME)
            return compiler_syntax(c);
        compiler_advance(c);
        resolve_name(c, token, next_element(c, path));
    }
    if (levels > PATH_ELEMENTS_MAX)
        SEMANTIC(c, "The document path has too many nesting elements; nesting levels: %u", levels);
    return STATUS_OK;
}

enum status compile_path(struct compiler *c, struct operand *path)
{
    struct token first = c->token;
    if (first.type != TOKEN_WORD && first.type != TOKEN_NAME)
        return compiler_syntax(c);
    compiler_advance(c);
    return compile_path_from(c, first, path);
}

void emit_path(struct compiler *c, const struct operand *path)
{
    uint8_t *to = compiler_emit(c, 2 + path->elements * ELEMENT_BYTES);
    *to++ = OP_PATH;
    *to++ = (uint8_t)path->elements;
    for (uint32_t i = 0; i < path->elements; i++, to += ELEMENT_BYTES) {
        put_u32(to, c->elements[path->first + i].a);
        put_u32(to + 4, c->elements[path->first + i].b);
    }
}

void emit_value(struct compiler *c, struct value value, uint32_t pool_at)
{
    uint8_t *to = compiler_emit(c, 9);
    to[0] = OP_VALUE;
    put_u32(to + 1, pool_at);
    put_u32(to + 5, value.bytes);
}

static struct expr_value *find_value(const struct compiler *c, struct bytes placeholder)
{
    const struct expr_scope *scope = c->scope;
    uint32_t low = 0, high = scope->value_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        struct expr_value *value = &scope->value_list[middle];
        int order = bytes_compare(placeholder, value->placeholder);
        if (order == 0)
            return value;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

struct value compile_value(struct compiler *c, struct token token, uint32_t *pool_at)
{
    struct bytes text = compiler_text(c, token);
    struct expr_value *value = find_value(c, text);
    *pool_at = 0;
    if (value == NULL) {
        SEMANTIC(
            c,
            "An expression attribute value used in expression is not defined; attribute value: "
            "%.*s",
            BYTES_ARGS(text));
        return VALUE_ABSENT;
    }
    c->scope->values_used[value - c->scope->value_list] = true;
    if (value->pooled_in != c->compilation) {
        value->pooled_in = c->compilation;
        value->pooled_at = compiler_pool(c, bytes_of(value->value.at, value->value.bytes));
    }
    *pool_at = value->pooled_at;
    return value->value;
}
