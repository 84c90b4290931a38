/* Conditions and operands of PartiQL, loosest first:
 *
 *   condition  := condition OR condition | condition AND condition | NOT condition | comparison
 *   comparison := operand ( = | <> | != | < | <= | > | >= ) operand
 *               | operand [NOT] BETWEEN operand AND operand
 *               | operand [NOT] IN ( list | set | ( operand {, operand} ) | ? )
 *               | operand IS [NOT] ( MISSING | NULL | type ) | operand
 *   operand    := operand + operand | operand - operand | literal | path | function | ( condition )
 *   path       := name { . name | [ index ] | [ 'name' ] }
 *   function   := name ( [condition {, condition}] )
 *
 * A function that is a condition may be compared with TRUE and FALSE.
 */
#include "base/assert.h"
#include "base/compiler.h"
#include "request/partiql_private.h"

struct expr_term *pq_term(struct pq_parser *p, enum expr_term_kind kind)
{
    struct expr_term *term = arena_alloc_zero(p->arena, sizeof(*term));
    if (term == NULL) {
        p->no_memory = true;
        return NULL;
    }
    term->kind = kind;
    term->at = p->token.at;
    return term;
}

struct expr_term *pq_value_term(struct pq_parser *p, struct value value)
{
    struct expr_term *term = pq_term(p, TERM_VALUE);
    if (term != NULL)
        term->value = value;
    return term;
}

static struct expr_term *text_term(struct pq_parser *p, const char *text)
{
    uint8_t *at = arena_alloc(p->arena, 2 + strlen(text)); /* value.h */
    if (at == NULL) {
        p->no_memory = true;
        return NULL;
    }
    at[0] = VALUE_S;
    at[1] = (uint8_t)strlen(text);
    memcpy(at + 2, text, at[1]);
    return pq_value_term(p, (struct value){at, 2u + at[1]});
}

static bool is_condition(const struct expr_term *term)
{
    return term->kind >= TERM_EQ;
}

/* A term over `first` and, unless it is NULL, `second`. */
static enum status combine(struct pq_parser *p, enum expr_term_kind kind, struct expr_term *first,
                           struct expr_term *second, struct expr_term **term)
{
    struct expr_term *made = pq_term(p, kind);
    if (made == NULL || first == NULL)
        return STATUS_NO_MEMORY;
    made->at = first->at;
    made->first = first;
    first->next = second;
    *term = made;
    return STATUS_OK;
}

static enum status negate(struct pq_parser *p, struct expr_term **term)
{
    if ((*term)->kind == TERM_NOT) {
        *term = (*term)->first;
        return STATUS_OK;
    }
    return combine(p, TERM_NOT, *term, NULL, term);
}

/* After an infix operator something must stand. */
static enum status expect_right(struct pq_parser *p)
{
    if (p->token.type == PQ_END)
        return pq_malformed(p, "Missing right-hand side expression of infix operator");
    return STATUS_OK;
}

static enum status deeper(struct pq_parser *p)
{
    if (++p->depth > PQ_DEPTH_MAX)
        return error_format(p->error, p->arena, ERROR_VALIDATION,
                            "The statement has too many nested expressions; nesting levels: %u",
                            p->depth);
    return STATUS_OK;
}

/* ---- Paths ---- */

static enum status path_index(struct pq_parser *p, struct expr_step *step)
{
    struct bytes text = pq_text(p, p->token);
    if (p->token.type == PQ_STRING) {
        step->name = pq_name(p, p->token);
    } else if (p->token.type == PQ_NUMBER) {
        uint64_t index = 0;
        for (size_t i = 0; i < text.count && index <= INT32_MAX; i++) {
            bool digit = text.at[i] >= '0' && text.at[i] <= '9';
            index = digit ? index * 10 + (uint64_t)(text.at[i] - '0') : (uint64_t)INT32_MAX + 1;
        }
        if (index > INT32_MAX)
            PQ_SEMANTIC(p, "List index is not within the allowable range; index: [%.*s]",
                        BYTES_ARGS(text));
        step->index = (uint32_t)MIN(index, (uint64_t)INT32_MAX);
    } else {
        return pq_unexpected(p);
    }
    pq_advance(p);
    return pq_expect(p, PQ_CLOSE_LIST);
}

static bool at_name(const struct pq_parser *p)
{
    return p->token.type == PQ_IDENTIFIER || p->token.type == PQ_QUOTED;
}

static enum status path_name(struct pq_parser *p, struct expr_step *step)
{
    if (!at_name(p))
        return pq_malformed(p, "Invalid path dot component");
    step->name = pq_name(p, p->token);
    if (step->name.count == 0)
        PQ_SEMANTIC(p, "%s", "Path component cannot be an empty string");
    pq_advance(p);
    return STATUS_OK;
}

/* How many steps the path that begins here has, at most. */
static uint32_t count_steps(const struct pq_parser *p)
{
    uint32_t count = 1;
    struct pq_token token = p->token;
    for (;;) {
        token = pq_token_next(p->text, token.at + token.count);
        switch (token.type) {
        case PQ_DOT:
        case PQ_OPEN_LIST:
            count++;
            break;
        case PQ_IDENTIFIER:
        case PQ_QUOTED:
        case PQ_STRING:
        case PQ_NUMBER:
        case PQ_CLOSE_LIST:
            break;
        default:
            return count;
        }
    }
}

enum status pq_path(struct pq_parser *p, struct expr_term **term)
{
    struct expr_term *path = pq_term(p, TERM_PATH);
    if (path == NULL)
        return STATUS_NO_MEMORY;
    if (!at_name(p))
        return pq_unexpected(p);
    path->steps = arena_alloc_zero(p->arena, count_steps(p) * sizeof(*path->steps));
    if (path->steps == NULL)
        return STATUS_NO_MEMORY;
    TRY(path_name(p, &path->steps[path->step_count++]));
    for (;;) {
        bool dot = p->token.type == PQ_DOT;
        if (!dot && p->token.type != PQ_OPEN_LIST)
            break;
        struct expr_step *step = &path->steps[path->step_count++];
        pq_advance(p);
        TRY(dot ? path_name(p, step) : path_index(p, step));
    }
    if (path->step_count > VALUE_DEPTH_MAX)
        PQ_SEMANTIC(p, "The document path has too many nesting elements; nesting levels: %u",
                    path->step_count);
    *term = path;
    return STATUS_OK;
}

/* ---- Functions ---- */

static const struct function {
    const char *name;
    enum expr_term_kind kind;
    uint32_t operands; /* when another number would make no term; 0: expr/ says what is wrong */
} functions[] = {
    {"attribute_exists", TERM_EXISTS, 0}, {"attribute_not_exists", TERM_NOT_EXISTS, 0},
    {"attribute_type", TERM_TYPE, 0},     {"begins_with", TERM_BEGINS_WITH, 0},
    {"contains", TERM_CONTAINS, 0},       {"size", TERM_SIZE, 1},
    {"list_append", TERM_LIST_APPEND, 2},
};

static const struct function *find_function(const struct pq_parser *p, struct bytes name)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        bool of_updates = functions[i].kind == TERM_LIST_APPEND;
        if (of_updates == p->in_set && word_is(name, functions[i].name))
            return &functions[i];
    }
    return NULL;
}

/* "Unrecognized function: exists at 1:30:6" */
static void refuse_function(struct pq_parser *p, struct pq_token name)
{
    if (p->semantic.at != NULL)
        return;
    struct bytes text = arena_copy(p->arena, pq_text(p, name)), place = pq_place(p, name);
    uint8_t *letters = (uint8_t *)(uintptr_t)text.at;
    for (size_t i = 0; letters != NULL && i < text.count; i++)
        letters[i] |= letters[i] >= 'A' && letters[i] <= 'Z' ? 0x20 : 0;
    PQ_SEMANTIC(p, "Unrecognized function: %.*s at %.*s", BYTES_ARGS(text), BYTES_ARGS(place));
}

/* The name is next, and then a parenthesis. */
static enum status take_function(struct pq_parser *p, struct expr_term **term)
{
    struct pq_token name = p->token;
    const struct function *function = find_function(p, pq_text(p, name));
    struct expr_term *call = pq_term(p, function == NULL ? TERM_EXISTS : function->kind);
    if (call == NULL)
        return STATUS_NO_MEMORY;
    if (function == NULL)
        refuse_function(p, name);
    TRY(deeper(p));
    pq_advance(p);
    pq_advance(p);
    struct expr_term **next = &call->first;
    uint32_t count = 0;
    while (p->token.type != PQ_CLOSE) {
        if (count++ > 0)
            TRY(pq_expect(p, PQ_COMMA));
        if (function == NULL && pq_take(p, PQ_STAR)) /* COUNT(*), which is refused */
            continue;
        TRY(pq_condition(p, next));
        next = &(*next)->next;
    }
    pq_advance(p);
    p->depth--;
    if (function != NULL && function->operands > 0 && count != function->operands)
        PQ_SEMANTIC(p,
                    "Incorrect number of operands for operator or function; operator or function: "
                    "%s, number of operands: %u",
                    function->name, count);
    *term = call;
    return STATUS_OK;
}

/* ---- Operands ---- */

static bool at_function(const struct pq_parser *p)
{
    static const char *const operators[] = {"NOT", "AND", "OR", "IN", "IS", "BETWEEN", "LIKE"};
    if (p->token.type != PQ_IDENTIFIER && p->token.type != PQ_KEYWORD)
        return false;
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        if (pq_word_is(p, operators[i]))
            return false;
    }
    return pq_token_next(p->text, p->token.at + p->token.count).type == PQ_OPEN;
}

static enum status take_parenthesis(struct pq_parser *p, struct expr_term **term)
{
    pq_advance(p);
    TRY(deeper(p));
    TRY(pq_condition(p, term));
    p->depth--;
    return pq_expect(p, PQ_CLOSE);
}

static enum status primary(struct pq_parser *p, struct expr_term **term)
{
    if (p->token.type == PQ_OPEN)
        return take_parenthesis(p, term);
    if (at_function(p))
        return take_function(p, term);
    if (at_name(p))
        return pq_path(p, term);
    if (!pq_at_literal(p))
        return pq_unexpected(p);
    struct expr_term *value = pq_term(p, TERM_VALUE);
    if (value == NULL)
        return STATUS_NO_MEMORY;
    TRY(pq_literal(p, &value->value));
    *term = value;
    return STATUS_OK;
}

/* A sum of two numbers is one. */
static enum status fold(struct pq_parser *p, bool plus, struct expr_term *left,
                        struct expr_term *right)
{
    struct number a, b, sum;
    enum number_fault fault;
    value_number(left->value, &a);
    value_number(right->value, &b);
    enum status status =
        plus ? number_add(&a, &b, &sum, &fault) : number_subtract(&a, &b, &sum, &fault);
    if (status != STATUS_OK) {
        struct bytes text = number_fault_text(fault);
        PQ_SEMANTIC(p, "%.*s under root", BYTES_ARGS(text));
        return STATUS_OK;
    }
    uint8_t *at = arena_alloc(p->arena, 2 + NUMBER_ENCODED_BYTES_MAX); /* value.h */
    if (at == NULL)
        return STATUS_NO_MEMORY;
    at[0] = VALUE_N;
    at[1] = (uint8_t)number_encode(&sum, at + 2);
    left->value = (struct value){at, 2u + at[1]};
    return STATUS_OK;
}

static bool is_number(const struct expr_term *term)
{
    return term->kind == TERM_VALUE && value_type(term->value) == VALUE_N;
}

static bool is_sum(const struct expr_term *term)
{
    return term->kind == TERM_ADD || term->kind == TERM_SUBTRACT;
}

enum status pq_operand(struct pq_parser *p, struct expr_term **term)
{
    TRY(primary(p, term));
    while (p->token.type >= PQ_STAR && p->token.type <= PQ_OTHER_OPERATOR) {
        enum pq_token_type symbol = p->token.type;
        struct bytes text = pq_text(p, p->token);
        struct expr_term *right;
        pq_advance(p);
        TRY(expect_right(p));
        TRY(primary(p, &right));
        bool sum = symbol == PQ_PLUS || symbol == PQ_MINUS;
        if (sum && is_number(*term) && is_number(right)) {
            TRY(fold(p, symbol == PQ_PLUS, *term, right));
            continue;
        }
        if (!sum || !p->in_set)
            PQ_SEMANTIC(p, "Unsupported operation: %.*s", BYTES_ARGS(text));
        if (is_sum(*term) || is_sum(right)) { /* a program has one; so terms do not nest here */
            PQ_SEMANTIC(p, "Unsupported operation: %.*s", BYTES_ARGS(text));
            continue;
        }
        TRY(combine(p, symbol == PQ_MINUS ? TERM_SUBTRACT : TERM_ADD, *term, right, term));
    }
    return STATUS_OK;
}

/* ---- Comparisons ---- */

/* Conditions are no operands but of = TRUE and the like; so terms do not nest here. */
static void refuse_operand(struct pq_parser *p, const struct expr_term *term)
{
    if (is_condition(term))
        PQ_SEMANTIC(p, "%s", "A condition can only be compared with TRUE and FALSE");
}

static enum expr_term_kind turned(enum expr_term_kind kind)
{
    switch (kind) {
    case TERM_LT:
        return TERM_GT;
    case TERM_LE:
        return TERM_GE;
    case TERM_GT:
        return TERM_LT;
    case TERM_GE:
        return TERM_LE;
    default:
        return kind;
    }
}

/* A condition that is compared with TRUE or FALSE is it, or its opposite. */
static enum status compare_condition(struct pq_parser *p, enum expr_term_kind kind,
                                     struct expr_term *condition, const struct expr_term *value,
                                     struct expr_term **term)
{
    *term = condition;
    if (value->kind != TERM_VALUE || value_type(value->value) != VALUE_BOOL ||
        (kind != TERM_EQ && kind != TERM_NE)) {
        PQ_SEMANTIC(p, "%s", "A condition can only be compared with TRUE and FALSE");
        return STATUS_OK;
    }
    return value_bool(value->value) == (kind == TERM_EQ) ? STATUS_OK : negate(p, term);
}

static enum status compare(struct pq_parser *p, struct expr_term **term)
{
    enum expr_term_kind kind = TERM_EQ + (p->token.type - PQ_EQ);
    struct expr_term *left = *term, *right;
    pq_advance(p);
    TRY(expect_right(p));
    TRY(pq_operand(p, &right));
    if (is_condition(left))
        return compare_condition(p, kind, left, right, term);
    if (is_condition(right))
        return compare_condition(p, kind, right, left, term);
    if (left->kind == TERM_VALUE && right->kind != TERM_VALUE)
        return combine(p, turned(kind), right, left, term);
    return combine(p, kind, left, right, term);
}

static enum status between(struct pq_parser *p, struct expr_term **term)
{
    struct expr_term *low, *high;
    refuse_operand(p, *term);
    pq_advance(p);
    TRY(expect_right(p));
    TRY(pq_operand(p, &low));
    if (!pq_take_word(p, "AND"))
        return pq_malformed(p, "Expected AND after BETWEEN");
    TRY(expect_right(p));
    TRY(pq_operand(p, &high));
    TRY(combine(p, TERM_BETWEEN, *term, low, term));
    low->next = high;
    return STATUS_OK;
}

/* The elements of a parameter as terms after `last`. */
static enum status in_parameter(struct pq_parser *p, struct expr_term *last)
{
    struct value list;
    struct value_cursor cursor;
    struct value element;
    TRY(pq_literal(p, &list));
    enum value_type type = value_type(list);
    if (type != VALUE_L && (type < VALUE_SS || type > VALUE_BS)) {
        PQ_SEMANTIC(p, "%s", "The right-hand side of IN must be a list");
        return STATUS_OK;
    }
    if (value_count(list) > EXPR_IN_MAX) {
        PQ_SEMANTIC(p, "The IN operator is provided with too many operands; number of operands: %u",
                    value_count(list));
        return STATUS_OK;
    }
    value_cursor_init(&cursor, list);
    while (value_next(&cursor, NULL, &element)) {
        last->next = pq_value_term(p, element);
        if (last->next == NULL)
            return STATUS_NO_MEMORY;
        last = last->next;
    }
    return STATUS_OK;
}

static enum status in(struct pq_parser *p, struct expr_term **term)
{
    static const uint8_t closing[] = {
        [PQ_OPEN] = PQ_CLOSE, [PQ_OPEN_LIST] = PQ_CLOSE_LIST, [PQ_OPEN_SET] = PQ_CLOSE_SET};
    struct expr_term *last = *term;
    refuse_operand(p, last);
    TRY(combine(p, TERM_IN, *term, NULL, term));
    pq_advance(p);
    TRY(expect_right(p));
    if (p->token.type == PQ_PARAMETER)
        return in_parameter(p, last);
    if (p->token.type != PQ_OPEN && p->token.type != PQ_OPEN_LIST && p->token.type != PQ_OPEN_SET)
        return pq_unexpected(p);
    enum pq_token_type close = (enum pq_token_type)closing[p->token.type];
    pq_advance(p);
    while (p->token.type != close) {
        if (last != (*term)->first)
            TRY(pq_expect(p, PQ_COMMA));
        TRY(pq_operand(p, &last->next));
        last = last->next;
    }
    pq_advance(p);
    return STATUS_OK;
}

/* ---- IS ---- */

static const struct type_name {
    const char *words[2];
    const char *type; /* NULL: DynamoDB has none such; "": sets, of which there are three */
} type_names[] = {
    {{"NULL", NULL}, "NULL"},
    {{"BOOL", NULL}, "BOOL"},
    {{"BOOLEAN", NULL}, "BOOL"},
    {{"SMALLINT", NULL}, "N"},
    {{"INTEGER", NULL}, "N"},
    {{"INT", NULL}, "N"},
    {{"INT2", NULL}, "N"},
    {{"INT4", NULL}, "N"},
    {{"INT8", NULL}, "N"},
    {{"BIGINT", NULL}, "N"},
    {{"FLOAT", NULL}, "N"},
    {{"REAL", NULL}, "N"},
    {{"DOUBLE", "PRECISION"}, "N"},
    {{"DECIMAL", NULL}, "N"},
    {{"NUMERIC", NULL}, "N"},
    {{"STRING", NULL}, "S"},
    {{"CHAR", NULL}, "S"},
    {{"CHARACTER", "VARYING"}, "S"},
    {{"CHARACTER", NULL}, "S"},
    {{"VARCHAR", NULL}, "S"},
    {{"BLOB", NULL}, "B"},
    {{"LIST", NULL}, "L"},
    {{"STRUCT", NULL}, "M"},
    {{"TUPLE", NULL}, "M"},
    {{"BAG", NULL}, ""},
    {{"SYMBOL", NULL}, NULL},
    {{"CLOB", NULL}, NULL},
    {{"SEXP", NULL}, NULL},
    {{"TIMESTAMP", NULL}, NULL},
    {{"DATE", NULL}, NULL},
    {{"TIME", NULL}, NULL},
    {{"ANY", NULL}, NULL},
};

/* The type that is next; NULL: none. */
static const struct type_name *take_type(struct pq_parser *p)
{
    if (p->token.type != PQ_KEYWORD && p->token.type != PQ_IDENTIFIER)
        return NULL;
    struct pq_token second = pq_token_next(p->text, p->token.at + p->token.count);
    for (size_t i = 0; i < sizeof(type_names) / sizeof(type_names[0]); i++) {
        const struct type_name *name = &type_names[i];
        if (!word_is(pq_text(p, p->token), name->words[0]) ||
            (name->words[1] != NULL && !word_is(pq_text(p, second), name->words[1])))
            continue;
        pq_advance(p);
        if (name->words[1] != NULL)
            pq_advance(p);
        return name;
    }
    return NULL;
}

/* Of any of the three types of sets.  The terms share the path, whose `next` differs. */
static enum status is_set(struct pq_parser *p, const struct expr_term *path,
                          struct expr_term **term)
{
    static const char *const types[] = {"SS", "NS", "BS"};
    struct expr_term *any = pq_term(p, TERM_OR);
    if (any == NULL)
        return STATUS_NO_MEMORY;
    struct expr_term **next = &any->first;
    for (unsigned i = 0; i < 3; i++) {
        struct expr_term *copy = pq_term(p, TERM_PATH), *type = text_term(p, types[i]);
        if (copy == NULL || type == NULL)
            return STATUS_NO_MEMORY;
        *copy = *path;
        TRY(combine(p, TERM_TYPE, copy, type, next));
        next = &(*next)->next;
    }
    *term = any;
    return STATUS_OK;
}

static enum status take_is(struct pq_parser *p, struct expr_term **term)
{
    struct expr_term *path = *term;
    refuse_operand(p, path);
    pq_advance(p);
    bool negated = pq_take_word(p, "NOT");
    if (pq_take_word(p, "MISSING")) {
        TRY(combine(p, negated ? TERM_EXISTS : TERM_NOT_EXISTS, path, NULL, term));
        return STATUS_OK;
    }
    const struct type_name *name = take_type(p);
    if (name == NULL)
        return pq_malformed(p, "Expected type name");
    if (name->type == NULL || path->kind != TERM_PATH) {
        PQ_SEMANTIC(p, "%s", "Unsupported operation: IsType");
        return combine(p, TERM_EXISTS, path, NULL, term);
    }
    if (name->type[0] == 0)
        TRY(is_set(p, path, term));
    else
        TRY(combine(p, TERM_TYPE, path, text_term(p, name->type), term));
    if (p->no_memory)
        return STATUS_NO_MEMORY;
    return negated ? negate(p, term) : STATUS_OK;
}

static enum status like(struct pq_parser *p, struct expr_term **term)
{
    struct expr_term *pattern;
    pq_advance(p);
    TRY(expect_right(p));
    TRY(pq_operand(p, &pattern));
    PQ_SEMANTIC(p, "%s", "Unsupported operation: Like");
    return combine(p, TERM_EQ, *term, pattern, term);
}

/* NOT before IN, BETWEEN or LIKE */
static bool take_not(struct pq_parser *p)
{
    struct pq_parser ahead = *p;
    if (!pq_take_word(&ahead, "NOT"))
        return false;
    if (!pq_word_is(&ahead, "IN") && !pq_word_is(&ahead, "BETWEEN") && !pq_word_is(&ahead, "LIKE"))
        return false;
    p->token = ahead.token;
    return true;
}

static enum status comparison(struct pq_parser *p, struct expr_term **term)
{
    TRY(pq_operand(p, term));
    for (;;) {
        bool negated = take_not(p), infix = p->token.type >= PQ_EQ;
        if (!infix && p->token.type != PQ_KEYWORD)
            return STATUS_OK;
        if (infix)
            TRY(compare(p, term));
        else if (pq_word_is(p, "BETWEEN"))
            TRY(between(p, term));
        else if (pq_word_is(p, "IN"))
            TRY(in(p, term));
        else if (pq_word_is(p, "IS"))
            TRY(take_is(p, term));
        else if (pq_word_is(p, "LIKE"))
            TRY(like(p, term));
        else
            return STATUS_OK;
        if (negated)
            TRY(negate(p, term));
    }
}

/* ---- NOT, AND, OR ---- */

static enum status negation(struct pq_parser *p, struct expr_term **term)
{
    bool negated = false;
    while (pq_take_word(p, "NOT"))
        negated = !negated;
    TRY(comparison(p, term));
    return negated ? negate(p, term) : STATUS_OK;
}

/* Put `term` behind `*last`, or, when it is one of the same kind, what it is over. */
static void join(enum expr_term_kind kind, struct expr_term *term, struct expr_term **last)
{
    (*last)->next = term->kind == kind ? term->first : term;
    while ((*last)->next != NULL)
        *last = (*last)->next;
}

/* Terms between which `word` stands, as one term over all of them. */
static enum status junction(struct pq_parser *p, enum expr_term_kind kind, struct expr_term **term)
{
    bool conjunction = kind == TERM_AND;
    const char *word = conjunction ? "AND" : "OR";
    TRY(conjunction ? negation(p, term) : junction(p, TERM_AND, term));
    if (!pq_word_is(p, word))
        return STATUS_OK;
    struct expr_term *first = *term, *last = first;
    if (first->kind == kind) {
        for (last = first->first; last->next != NULL;)
            last = last->next;
    } else {
        TRY(combine(p, kind, first, NULL, term));
    }
    while (pq_take_word(p, word)) {
        struct expr_term *right;
        TRY(expect_right(p));
        TRY(conjunction ? negation(p, &right) : junction(p, TERM_AND, &right));
        join(kind, right, &last);
    }
    return STATUS_OK;
}

enum status pq_condition(struct pq_parser *p, struct expr_term **term)
{
    return junction(p, TERM_OR, term);
}
