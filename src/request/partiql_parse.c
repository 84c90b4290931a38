/* Statements of PartiQL; the grammar is at the head of partiql.h. */
#include "base/assert.h"
#include "base/compiler.h"
#include "request/partiql_private.h"

#define COUNT_PATHS_MAX 2u /* table and index */

/* ---- Faults ---- */

#define MALFORMED "Statement wasn't well formed, can't be processed: "

enum status pq_malformed(struct pq_parser *p, const char *detail)
{
    return error_format(p->error, p->arena, ERROR_VALIDATION, MALFORMED "%s", detail);
}

enum status pq_unexpected(struct pq_parser *p)
{
    static const char *const operators[] = {"AND", "OR", "IN", "IS", "BETWEEN", "LIKE"};
    if (p->token.type >= PQ_STAR)
        return pq_malformed(p, "Unexpected operator");
    if (p->token.type != PQ_KEYWORD)
        return pq_malformed(p, "Unexpected term");
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        if (pq_word_is(p, operators[i]))
            return pq_malformed(p, "Unexpected operator");
    }
    return pq_malformed(p, "Unexpected keyword");
}

void pq_record(struct pq_parser *p, struct bytes message)
{
    if (message.at == NULL)
        p->no_memory = true;
    else
        p->semantic = message;
}

/* Characters of UTF-8. */
static uint32_t characters(struct bytes text)
{
    uint32_t count = 0;
    for (size_t i = 0; i < text.count; i++)
        count += (text.at[i] & 0xc0) != 0x80;
    return count;
}

struct bytes pq_place(struct pq_parser *p, struct pq_token token)
{
    uint32_t line = 1, begin = 0;
    for (uint32_t i = 0; i < token.at; i++) {
        if (p->text.at[i] == '\n') {
            line++;
            begin = i + 1;
        }
    }
    return arena_format(p->arena, "%u:%u:%u", line,
                        characters(bytes_of(p->text.at + begin, token.at - begin)) + 1,
                        characters(pq_text(p, token)));
}

/* ---- Tokens ---- */

bool pq_take_word(struct pq_parser *p, const char *keyword)
{
    bool is = pq_word_is(p, keyword);
    if (is)
        pq_advance(p);
    return is;
}

bool pq_take(struct pq_parser *p, enum pq_token_type type)
{
    bool is = p->token.type == type;
    if (is)
        pq_advance(p);
    return is;
}

enum status pq_expect(struct pq_parser *p, enum pq_token_type type)
{
    return pq_take(p, type) ? STATUS_OK : pq_unexpected(p);
}

struct bytes pq_name(struct pq_parser *p, struct pq_token token)
{
    struct bytes text = pq_text(p, token);
    if (token.type == PQ_IDENTIFIER)
        return text;
    uint8_t quote = text.at[0];
    text = bytes_of(text.at + 1, text.count - 2);
    if (text.count == 0 || memchr(text.at, quote, text.count) == NULL)
        return text;
    uint8_t *to = arena_alloc(p->arena, text.count);
    size_t count = 0;
    if (to == NULL) {
        p->no_memory = true;
        return text;
    }
    for (size_t i = 0; i < text.count; i++) {
        to[count++] = text.at[i];
        i += text.at[i] == quote; /* the other of the two */
    }
    return bytes_of(to, count);
}

static bool at_name(const struct pq_parser *p)
{
    return p->token.type == PQ_IDENTIFIER || p->token.type == PQ_QUOTED;
}

/* How many tokens of a type the rest of the statement has, and one more. */
static uint32_t count_tokens(const struct pq_parser *p, enum pq_token_type type)
{
    uint32_t count = 1;
    struct pq_token token = p->token;
    for (; token.type != PQ_END; token = pq_token_next(p->text, token.at + token.count))
        count += token.type == type;
    return count;
}

/* ---- Clauses ---- */

/* table [. index]; `detail` is the fault of a statement that has none. */
static enum status table_path(struct pq_parser *p, struct partiql_statement *s, const char *detail)
{
    uint32_t count = 0;
    do {
        if (!at_name(p))
            return count > 0        ? pq_malformed(p, "Invalid path dot component")
                   : detail == NULL ? pq_malformed(p, "Unexpected term")
                                    : pq_malformed(p, detail);
        struct bytes name = pq_name(p, p->token);
        if (name.count == 0)
            PQ_SEMANTIC(p, "%s", "Path component cannot be an empty string");
        if (count == 0)
            s->table = name;
        else
            s->index = name;
        pq_advance(p);
        count++;
    } while (pq_take(p, PQ_DOT));
    if (count > COUNT_PATHS_MAX)
        PQ_SEMANTIC(p, "%s", "A path may contain at most 2 components in the FROM clause");
    if (count > 1 && s->kind != PARTIQL_SELECT && s->kind != PARTIQL_EXISTS)
        PQ_SEMANTIC(p, "%s", "This operation is not supported on an index");
    return STATUS_OK;
}

/* An alias after a table or a column. */
static void skip_alias(struct pq_parser *p)
{
    bool as = pq_take_word(p, "AS");
    if (!as && !at_name(p))
        return;
    PQ_SEMANTIC(p, "%s", "Aliasing is not supported");
    if (at_name(p))
        pq_advance(p);
}

static enum status where(struct pq_parser *p, struct partiql_statement *s)
{
    if (!pq_take_word(p, "WHERE"))
        return STATUS_OK;
    struct expr_term *term;
    TRY(pq_condition(p, &term));
    s->where = term;
    return STATUS_OK;
}

/* RETURNING (ALL | MODIFIED) (OLD | NEW) * */
static enum status returning(struct pq_parser *p, struct partiql_statement *s)
{
    if (!pq_take_word(p, "RETURNING"))
        return STATUS_OK;
    bool all = pq_take_word(p, "ALL");
    if (!all && !pq_take_word(p, "MODIFIED"))
        return pq_malformed(p, "Expected ALL or MODIFIED");
    bool old = pq_take_word(p, "OLD");
    if (!old && !pq_take_word(p, "NEW"))
        return pq_malformed(p, "Expected OLD or NEW");
    if (!pq_take(p, PQ_STAR))
        return pq_malformed(p, "Expected *");
    if (s->kind == PARTIQL_INSERT)
        PQ_SEMANTIC(p, "%s", "RETURNING is not supported in INSERT");
    if (s->kind == PARTIQL_DELETE && !(all && old))
        PQ_SEMANTIC(p,
                    "Invalid returning clause: RETURNING %s %s *. Only RETURNING ALL OLD * is "
                    "allowed in DELETE statements.",
                    all ? "ALL" : "MODIFIED", old ? "OLD" : "NEW");
    s->returned = all ? (old ? RETURN_ALL_OLD : RETURN_ALL_NEW)
                      : (old ? RETURN_UPDATED_OLD : RETURN_UPDATED_NEW);
    return STATUS_OK;
}

/* ---- SELECT ---- */

/* What a column is called: its last name, with the indexes behind it. */
static struct bytes column_name(struct pq_parser *p, const struct expr_term *path)
{
    uint32_t last = path->step_count - 1;
    while (path->steps[last].name.at == NULL)
        last--;
    struct bytes name = path->steps[last].name;
    uint32_t end = MIN(path->step_count, VALUE_DEPTH_MAX); /* what has more is refused */
    for (uint32_t i = last + 1; i < end && name.at != NULL; i++)
        name = arena_format(p->arena, "%.*s[%u]", BYTES_ARGS(name), path->steps[i].index);
    if (name.at == NULL)
        p->no_memory = true;
    return name;
}

static void check_duplicate(struct pq_parser *p, const struct partiql_statement *s,
                            struct bytes name)
{
    for (uint32_t i = 0; i < s->column_count && p->semantic.at == NULL; i++) {
        if (bytes_equal(s->columns[i].name, name))
            PQ_SEMANTIC(p, "Duplicate identifiers in select clause: %.*s", BYTES_ARGS(name));
    }
}

static enum status column(struct pq_parser *p, struct partiql_statement *s)
{
    struct pq_token first = p->token;
    struct expr_term *term;
    if (first.type == PQ_STAR) {
        PQ_SEMANTIC(p, "%s",
                    "Other attributes should not be present in the projection when '*' is used.");
        pq_advance(p);
        return STATUS_OK;
    }
    struct bytes before = p->semantic;
    TRY(pq_operand(p, &term));
    if (term->kind != TERM_PATH) {
        p->semantic = before; /* nor is it looked at whether there is such a function */
        if (before.at == NULL) {
            struct bytes place = pq_place(p, first);
            PQ_SEMANTIC(p, "Unexpected path component at %.*s", BYTES_ARGS(place));
        }
    } else {
        struct bytes name = column_name(p, term);
        check_duplicate(p, s, name);
        s->columns[s->column_count++] = (struct partiql_column){
            .steps = term->steps, .step_count = term->step_count, .name = name};
    }
    if (pq_word_is(p, "AS") || at_name(p))
        skip_alias(p);
    return STATUS_OK;
}

static enum status columns(struct pq_parser *p, struct partiql_statement *s)
{
    if (p->token.type == PQ_STAR) {
        pq_advance(p);
        if (p->token.type == PQ_COMMA)
            PQ_SEMANTIC(
                p, "%s",
                "Other attributes should not be present in the projection when '*' is used.");
        if (!pq_take(p, PQ_COMMA))
            return STATUS_OK;
    }
    s->columns = arena_alloc_array(p->arena, count_tokens(p, PQ_COMMA), sizeof(*s->columns));
    if (s->columns == NULL)
        return STATUS_NO_MEMORY;
    do {
        TRY(column(p, s));
    } while (pq_take(p, PQ_COMMA));
    return STATUS_OK;
}

static enum status order_by(struct pq_parser *p, struct partiql_statement *s)
{
    if (!pq_take_word(p, "ORDER"))
        return STATUS_OK;
    if (!pq_take_word(p, "BY"))
        return pq_malformed(p, "Expected BY");
    s->orders = arena_alloc_array(p->arena, count_tokens(p, PQ_COMMA), sizeof(*s->orders));
    if (s->orders == NULL)
        return STATUS_NO_MEMORY;
    do {
        struct expr_term *term;
        TRY(pq_path(p, &term));
        if (term->step_count > 1)
            PQ_SEMANTIC(p, "Attribute %.*s in ORDER BY clause must be part of the primary key",
                        BYTES_ARGS(term->steps[0].name));
        bool descending = pq_take_word(p, "DESC");
        if (!descending)
            (void)pq_take_word(p, "ASC");
        s->orders[s->order_count++] =
            (struct partiql_order){.name = term->steps[0].name, .descending = descending};
    } while (pq_take(p, PQ_COMMA));
    return STATUS_OK;
}

/* Clauses of SQL that DynamoDB has not. */
static enum status refuse_clause(struct pq_parser *p)
{
    static const char *const clauses[] = {"LIMIT",     "GROUP",  "HAVING", "UNION",
                                          "INTERSECT", "EXCEPT", "LET",    "JOIN"};
    for (size_t i = 0; i < sizeof(clauses) / sizeof(clauses[0]); i++) {
        if (pq_word_is(p, clauses[i]))
            return error_format(p->error, p->arena, ERROR_VALIDATION, "Unsupported clause: %s",
                                clauses[i]);
    }
    return STATUS_OK;
}

static enum status take_select(struct pq_parser *p, struct partiql_statement *s)
{
    pq_advance(p);
    if (pq_take_word(p, "DISTINCT"))
        PQ_SEMANTIC(p, "%s", "Unsupported clause: DISTINCT");
    TRY(columns(p, s));
    if (!pq_take_word(p, "FROM"))
        return pq_malformed(p, "Expected FROM");
    TRY(table_path(p, s, NULL));
    skip_alias(p);
    TRY(where(p, s));
    TRY(order_by(p, s));
    return refuse_clause(p);
}

static enum status take_exists(struct pq_parser *p, struct partiql_statement *s)
{
    pq_advance(p);
    TRY(pq_expect(p, PQ_OPEN));
    if (!pq_word_is(p, "SELECT"))
        return pq_unexpected(p);
    TRY(take_select(p, s));
    return pq_expect(p, PQ_CLOSE);
}

/* ---- INSERT ---- */

static enum status take_insert(struct pq_parser *p, struct partiql_statement *s)
{
    pq_advance(p);
    if (!pq_take_word(p, "INTO"))
        return pq_malformed(p, "Expected INTO");
    TRY(table_path(p, s, "Expected identifier for simple path"));
    if (!pq_take_word(p, "VALUE"))
        return at_name(p) ? pq_malformed(p, "Unexpected token after expression") : pq_unexpected(p);
    TRY(pq_item(p, &s->item));
    return returning(p, s);
}

/* ---- UPDATE ---- */

static struct expr_assignment *next_assignment(struct partiql_statement *s)
{
    return &s->assignments[s->assignment_count++];
}

static bool same_path(const struct expr_term *a, const struct expr_term *b)
{
    if (a->kind != TERM_PATH || b->kind != TERM_PATH || a->step_count != b->step_count)
        return false;
    for (uint32_t i = 0; i < a->step_count; i++) {
        const struct expr_step *x = &a->steps[i], *y = &b->steps[i];
        if ((x->name.at == NULL) != (y->name.at == NULL) ||
            (x->name.at == NULL ? x->index != y->index : !bytes_equal(x->name, y->name)))
            return false;
    }
    return true;
}

/* Does set_add or set_delete begin here? */
static const char *set_function(const struct pq_parser *p)
{
    static const char *const names[] = {"SET_ADD", "SET_DELETE"};
    for (size_t i = 0; i < 2 && p->token.type == PQ_IDENTIFIER; i++) {
        if (word_is(pq_text(p, p->token), names[i]) &&
            pq_token_next(p->text, p->token.at + p->token.count).type == PQ_OPEN)
            return names[i];
    }
    return NULL;
}

/* path = set_add(path, set): what ADD does in an update expression; set_delete: what DELETE
 * does. */
static enum status change_set(struct pq_parser *p, struct expr_assignment *a, const char *name)
{
    struct pq_token function = p->token, first;
    struct expr_term *arguments[2] = {NULL, NULL}, *other;
    uint32_t count = 0;
    pq_advance(p);
    pq_advance(p);
    first = p->token;
    while (p->token.type != PQ_CLOSE) {
        if (count > 0)
            TRY(pq_expect(p, PQ_COMMA));
        TRY(pq_operand(p, count < 2 ? &arguments[count] : &other));
        count++;
    }
    pq_advance(p);
    struct bytes place = pq_place(p, function), first_place = pq_place(p, first);
    if (count != 2)
        PQ_SEMANTIC(p, "%s must have exactly two arguments at %.*s", name, BYTES_ARGS(place));
    else if (!same_path(arguments[0], a->path))
        PQ_SEMANTIC(p, "The first argument to %s must equal the assignment value at %.*s", name,
                    BYTES_ARGS(place));
    else if (arguments[1]->kind != TERM_VALUE || value_type(arguments[1]->value) < VALUE_SS ||
             value_type(arguments[1]->value) > VALUE_BS)
        PQ_SEMANTIC(p, "The second argument to %s must be a value with type SET at %.*s", name,
                    BYTES_ARGS(first_place));
    a->verb = name[4] == 'A' ? ASSIGN_ADD : ASSIGN_DELETE;
    a->value = arguments[1];
    return STATUS_OK;
}

static enum status set_path(struct pq_parser *p, struct partiql_statement *s)
{
    struct expr_assignment *a = next_assignment(s);
    struct expr_term *path, *value;
    TRY(pq_path(p, &path));
    *a = (struct expr_assignment){.verb = ASSIGN_SET, .path = path};
    TRY(pq_expect(p, PQ_EQ));
    const char *function = set_function(p);
    p->in_set = true;
    enum status status = function != NULL ? change_set(p, a, function) : pq_operand(p, &value);
    p->in_set = false;
    TRY(status);
    if (function == NULL)
        a->value = value;
    return STATUS_OK;
}

static enum status changes(struct pq_parser *p, struct partiql_statement *s)
{
    /* Each has an = or is a REMOVE. */
    uint32_t most = count_tokens(p, PQ_EQ) + count_tokens(p, PQ_KEYWORD);
    s->assignments = arena_alloc_array(p->arena, most, sizeof(*s->assignments));
    if (s->assignments == NULL)
        return STATUS_NO_MEMORY;
    for (;;) {
        if (pq_take_word(p, "SET")) {
            do {
                TRY(set_path(p, s));
            } while (pq_take(p, PQ_COMMA));
        } else if (pq_take_word(p, "REMOVE")) {
            struct expr_term *path;
            TRY(pq_path(p, &path));
            *next_assignment(s) = (struct expr_assignment){.verb = ASSIGN_REMOVE, .path = path};
        } else {
            break;
        }
    }
    return s->assignment_count > 0 ? STATUS_OK : pq_malformed(p, "Expected data manipulation");
}

static enum status take_update(struct pq_parser *p, struct partiql_statement *s)
{
    pq_advance(p);
    TRY(table_path(p, s, "Expected identifier for simple path"));
    skip_alias(p);
    TRY(changes(p, s));
    TRY(where(p, s));
    return returning(p, s);
}

static enum status take_from(struct pq_parser *p, struct partiql_statement *s)
{
    pq_advance(p);
    TRY(table_path(p, s, NULL));
    skip_alias(p);
    TRY(where(p, s));
    TRY(changes(p, s));
    return returning(p, s);
}

static enum status take_delete(struct pq_parser *p, struct partiql_statement *s)
{
    pq_advance(p);
    if (!pq_take_word(p, "FROM"))
        return pq_malformed(p, "Expected FROM");
    TRY(table_path(p, s, "Expected identifier for simple path"));
    skip_alias(p);
    TRY(where(p, s));
    return returning(p, s);
}

/* ---- The statement ---- */

static const struct statement_kind {
    const char *word;
    enum partiql_kind kind;
    enum status (*take)(struct pq_parser *p, struct partiql_statement *s);
} kinds[] = {
    {"SELECT", PARTIQL_SELECT, take_select}, {"EXISTS", PARTIQL_EXISTS, take_exists},
    {"INSERT", PARTIQL_INSERT, take_insert}, {"UPDATE", PARTIQL_UPDATE, take_update},
    {"FROM", PARTIQL_UPDATE, take_from},     {"DELETE", PARTIQL_DELETE, take_delete},
};

static enum status take_statement(struct pq_parser *p, struct partiql_statement *s)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (!pq_word_is(p, kinds[i].word))
            continue;
        s->kind = kinds[i].kind;
        TRY(kinds[i].take(p, s));
        (void)pq_take(p, PQ_SEMICOLON);
        return p->token.type == PQ_END ? STATUS_OK
                                       : pq_malformed(p, "Unexpected token after expression");
    }
    return p->token.type == PQ_END ? pq_malformed(p, "Unexpected term")
                                   : pq_malformed(p, "Expected data manipulation");
}

/* The service reads all tokens before it parses: what is none comes before all other faults. */
static enum status check_tokens(struct pq_parser *p)
{
    struct pq_token token = pq_token_next(p->text, 0);
    for (; token.type != PQ_END; token = pq_token_next(p->text, token.at + token.count)) {
        if (token.type == PQ_BAD)
            return pq_malformed(p, "");
    }
    return STATUS_OK;
}

static enum status parse(struct pq_parser *p, struct partiql_statement *s)
{
    TRY(check_tokens(p));
    p->token = pq_token_next(p->text, 0);
    TRY(take_statement(p, s));
    if (p->no_memory)
        return STATUS_NO_MEMORY;
    if (p->semantic.at != NULL) {
        *p->error = (struct error){.code = ERROR_VALIDATION, .message = p->semantic};
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

enum status partiql_parse(struct arena *arena, struct bytes text, const struct value *parameters,
                          uint32_t parameter_count, struct partiql_statement *statement,
                          struct error *error)
{
    struct pq_parser p = {.text = text,
                          .arena = arena,
                          .error = error,
                          .parameters = parameters,
                          .parameter_count = parameter_count};
    *statement = (struct partiql_statement){0};
    buffer_init(&p.scratch, arena->heap, arena->bytes_max);
    enum status status = parse(&p, statement);
    buffer_release(&p.scratch);
    if (status != STATUS_OK && status != STATUS_INVALID)
        (void)error_internal(error, status);
    return status;
}
