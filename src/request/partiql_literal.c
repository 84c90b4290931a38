/* Literals of PartiQL:
 *
 *   literal := 'text' | [+ | -] number | TRUE | FALSE | NULL | ?
 *            | [ literal {, literal} ] | { 'name': literal {, ...} } | << scalar {, scalar} >>
 *
 * There are none of binary values: those are parameters.
 */
#include "request/partiql_private.h"

/* Where in a literal a value stands, for messages: "root.x[1]".  Of the members of an INSERT's map
 * each is a root of its own. */
struct place {
    const struct place *up; /* NULL: this is the root */
    struct bytes name;      /* .at == NULL: an index */
    uint32_t index;
};

static struct bytes place_text(struct pq_parser *p, const struct place *place)
{
    if (place == NULL)
        return BYTES("root");
    struct bytes above = place_text(p, place->up);
    if (place->name.at == NULL)
        return arena_format(p->arena, "%.*s[%u]", BYTES_ARGS(above), place->index);
    return arena_format(p->arena, "%.*s.%.*s", BYTES_ARGS(above), BYTES_ARGS(place->name));
}

bool pq_at_literal(const struct pq_parser *p)
{
    switch (p->token.type) {
    case PQ_STRING:
    case PQ_NUMBER:
    case PQ_PARAMETER:
    case PQ_OPEN_LIST:
    case PQ_OPEN_MAP:
    case PQ_OPEN_SET:
        return true;
    case PQ_PLUS:
    case PQ_MINUS:
        return pq_token_next(p->text, p->token.at + p->token.count).type == PQ_NUMBER;
    default:
        return pq_word_is(p, "TRUE") || pq_word_is(p, "FALSE") || pq_word_is(p, "NULL");
    }
}

static void refuse_number(struct pq_parser *p, enum number_fault fault, const struct place *place)
{
    if (p->semantic.at != NULL)
        return;
    struct bytes text = number_fault_text(fault), under = place_text(p, place);
    PQ_SEMANTIC(p, "%.*s under %.*s", BYTES_ARGS(text), BYTES_ARGS(under));
}

static void write_number(struct pq_parser *p, struct value_writer *w, const struct place *place)
{
    bool negative = p->token.type == PQ_MINUS;
    if (p->token.type != PQ_NUMBER)
        pq_advance(p);
    struct number number;
    enum number_fault fault;
    if (number_parse(pq_text(p, p->token), &number, &fault) != STATUS_OK) {
        refuse_number(p, fault, place);
        number = (struct number){0};
    }
    number.negative = negative && number.digit_count > 0;
    value_write_number(w, &number);
    pq_advance(p);
}

static const uint8_t null_value[] = {VALUE_NULL}; /* value.h */

/* The next parameter; NULL when something is wrong with it, which is recorded. */
static struct value take_parameter(struct pq_parser *p)
{
    struct value value = VALUE_ABSENT;
    pq_advance(p);
    if (p->parameters_taken == p->parameter_count)
        PQ_SEMANTIC(p, "%s", "Number of parameters in request and statement don't match.");
    else
        value = p->parameters[p->parameters_taken++];
    if (value_type(value) != VALUE_NONE)
        return value;
    PQ_SEMANTIC(p, "%s",
                "Supplied AttributeValue is empty, must contain exactly one of the supported "
                "datatypes");
    return (struct value){null_value, sizeof(null_value)};
}

/* ---- Sets ---- */

/* The set that begins at `from` has an element twice; its elements are shown, as in "[x, x]". */
static void refuse_duplicates(struct pq_parser *p, struct pq_token from)
{
    struct buffer text;
    if (p->semantic.at != NULL)
        return;
    buffer_init(&text, p->arena->heap, 2 * p->text.count); /* a space behind each comma */
    struct pq_token token = pq_token_next(p->text, from.at + from.count);
    for (; token.type != PQ_CLOSE_SET && token.type != PQ_END;
         token = pq_token_next(p->text, token.at + token.count)) {
        if (token.type == PQ_COMMA)
            buffer_append_format(&text, ", ");
        else
            buffer_append_bytes(&text,
                                token.type == PQ_STRING ? pq_name(p, token) : pq_text(p, token));
    }
    if (text.failed)
        p->no_memory = true;
    else
        PQ_SEMANTIC(p,
                    "One or more parameter values were invalid: Input collection [%.*s] contains "
                    "duplicates.",
                    (int)text.count, (const char *)text.at);
    buffer_release(&text);
}

static enum status write_literal(struct pq_parser *p, struct value_writer *w,
                                 const struct place *place, uint32_t level);

static enum status set_element(struct pq_parser *p, struct value_writer *w, enum value_type type,
                               const struct place *place, uint32_t level)
{
    bool string = p->token.type == PQ_STRING;
    if (!pq_at_literal(p))
        return pq_unexpected(p);
    if (p->token.type == PQ_PARAMETER || p->token.type == PQ_KEYWORD) {
        PQ_SEMANTIC(p, "%s", "Unsupported data type in Bag");
        value_write_null(w);
        pq_advance(p);
        return STATUS_OK;
    }
    if (p->token.type >= PQ_OPEN && p->token.type <= PQ_CLOSE_SET) {
        PQ_SEMANTIC(p, "%s", "Unsupported data type in Bag");
        return write_literal(p, w, place, level);
    }
    if ((string ? VALUE_SS : VALUE_NS) != type)
        PQ_SEMANTIC(p, "%s", "DynamoDB only supports either numbers or strings in bags");
    if (string) {
        value_write_string(w, pq_name(p, p->token));
        pq_advance(p);
    } else {
        write_number(p, w, place);
    }
    return STATUS_OK;
}

static enum status write_set(struct pq_parser *p, struct value_writer *w, const struct place *place,
                             uint32_t level)
{
    struct pq_token open = p->token;
    pq_advance(p);
    if (pq_take(p, PQ_CLOSE_SET)) {
        PQ_SEMANTIC(p, "%s", "Empty bags are not supported");
        value_write_null(w);
        return STATUS_OK;
    }
    enum value_type type = p->token.type == PQ_STRING ? VALUE_SS : VALUE_NS;
    enum status before = w->status;
    value_write_begin(w, type);
    do {
        TRY(set_element(p, w, type, place, level + 1));
    } while (pq_take(p, PQ_COMMA));
    TRY(pq_expect(p, PQ_CLOSE_SET));
    value_write_end(w);
    if (before == STATUS_OK && w->status == STATUS_EXISTS)
        refuse_duplicates(p, open);
    return STATUS_OK;
}

/* ---- Lists and maps; recursion is bounded by VALUE_DEPTH_MAX ---- */

static enum status write_list(struct pq_parser *p, struct value_writer *w,
                              const struct place *place, uint32_t level)
{
    struct place below = {.up = place};
    pq_advance(p);
    value_write_begin(w, VALUE_L);
    if (p->token.type != PQ_CLOSE_LIST) {
        do {
            TRY(write_literal(p, w, &below, level + 1));
            below.index++;
        } while (pq_take(p, PQ_COMMA));
    }
    TRY(pq_expect(p, PQ_CLOSE_LIST));
    value_write_end(w);
    return STATUS_OK;
}

/* The members of a map up to its end.  `roots`: they are the attributes of an item. */
static enum status write_map(struct pq_parser *p, struct value_writer *w, const struct place *place,
                             uint32_t level, bool roots)
{
    uint32_t members = 0;
    size_t at = w->to->count;
    pq_advance(p);
    value_write_begin(w, VALUE_M);
    while (p->token.type != PQ_CLOSE_MAP) {
        if (members > 0)
            TRY(pq_expect(p, PQ_COMMA));
        if (p->token.type != PQ_STRING)
            return pq_unexpected(p);
        struct place below = {.up = place, .name = pq_name(p, p->token)};
        if (roots && below.name.count == 0)
            PQ_SEMANTIC(p, "%s", "One or more parameter values were invalid: Empty attribute name");
        value_write_name(w, below.name);
        pq_advance(p);
        TRY(pq_expect(p, PQ_COLON));
        TRY(write_literal(p, w, roots ? NULL : &below, level + 1));
        members++;
    }
    pq_advance(p);
    value_write_end(w);
    if (w->status == STATUS_OK && !w->to->failed &&
        value_count((struct value){w->to->at + at, (uint32_t)(w->to->count - at)}) < members)
        PQ_SEMANTIC(p, "%s", "Duplicate keys in tuple");
    return STATUS_OK;
}

/* No literal stands here: a name or a function is one that is not supported, and is skipped; other
 * tokens are no term. */
static enum status refuse_literal(struct pq_parser *p)
{
    struct pq_token token = p->token;
    if (token.type != PQ_IDENTIFIER && token.type != PQ_QUOTED)
        return pq_unexpected(p);
    if (p->semantic.at == NULL) {
        struct bytes name = pq_name(p, token), place = pq_place(p, token);
        PQ_SEMANTIC(p, "Unsupported data type: %.*s under key root at %.*s", BYTES_ARGS(name),
                    BYTES_ARGS(place));
    }
    pq_advance(p);
    if (p->token.type != PQ_OPEN)
        return STATUS_OK;
    uint32_t open = 0;
    do {
        if (p->token.type == PQ_END)
            return pq_unexpected(p);
        open += p->token.type == PQ_OPEN;
        open -= p->token.type == PQ_CLOSE;
        pq_advance(p);
    } while (open > 0);
    return STATUS_OK;
}

static enum status write_literal(struct pq_parser *p, struct value_writer *w,
                                 const struct place *place, uint32_t level)
{
    if (!pq_at_literal(p)) {
        TRY(refuse_literal(p));
        value_write_null(w);
        return STATUS_OK;
    }
    bool nests = p->token.type >= PQ_OPEN_LIST && p->token.type <= PQ_OPEN_SET;
    if (nests && level > VALUE_DEPTH_MAX) {
        error_set(p->error, ERROR_VALIDATION,
                  "Nesting Levels have exceeded supported limits: Attributes in the item have "
                  "nested levels beyond supported limit");
        return STATUS_INVALID;
    }
    switch (p->token.type) {
    case PQ_STRING:
        value_write_string(w, pq_name(p, p->token));
        pq_advance(p);
        break;
    case PQ_PARAMETER:
        value_write_value(w, take_parameter(p));
        break;
    case PQ_OPEN_LIST:
        return write_list(p, w, place, level);
    case PQ_OPEN_MAP:
        return write_map(p, w, place, level, false);
    case PQ_OPEN_SET:
        return write_set(p, w, place, level);
    case PQ_KEYWORD:
        if (pq_word_is(p, "NULL"))
            value_write_null(w);
        else
            value_write_bool(w, pq_word_is(p, "TRUE"));
        pq_advance(p);
        break;
    default:
        write_number(p, w, place);
        break;
    }
    return STATUS_OK;
}

/* ---- Values ---- */

/* What was written, in the arena; NULL when something was wrong with it, which is recorded. */
static void take_value(struct pq_parser *p, struct value_writer *w, struct value *value)
{
    struct value written;
    enum status status = value_writer_finish(w, &written);
    *value = (struct value){null_value, sizeof(null_value)};
    if (status == STATUS_OK) {
        struct bytes copy = arena_copy(p->arena, bytes_of(written.at, written.bytes));
        if (copy.at == NULL)
            p->no_memory = true;
        else
            *value = (struct value){copy.at, written.bytes};
    } else if (status == STATUS_TOO_LARGE) {
        PQ_SEMANTIC(p, "%s",
                    "Nesting Levels have exceeded supported limits: Attributes in the item have "
                    "nested levels beyond supported limit");
    } else if (status == STATUS_NO_MEMORY || p->semantic.at == NULL) {
        p->no_memory = true;
    }
}

enum status pq_literal(struct pq_parser *p, struct value *value)
{
    if (p->token.type == PQ_PARAMETER) {
        *value = take_parameter(p);
        return STATUS_OK;
    }
    struct value_writer w;
    buffer_clear(&p->scratch);
    value_writer_init(&w, &p->scratch);
    TRY(write_literal(p, &w, NULL, 1));
    take_value(p, &w, value);
    return STATUS_OK;
}

enum status pq_item(struct pq_parser *p, struct value *item)
{
    if (p->token.type != PQ_OPEN_MAP) {
        if (!pq_at_literal(p))
            return pq_unexpected(p);
        TRY(pq_literal(p, item));
    } else {
        struct value_writer w;
        buffer_clear(&p->scratch);
        value_writer_init(&w, &p->scratch);
        TRY(write_map(p, &w, NULL, 0, true));
        take_value(p, &w, item);
    }
    struct value_cursor cursor;
    struct bytes name;
    struct value first;
    if (value_type(*item) != VALUE_M) {
        PQ_SEMANTIC(p, "%s", "The VALUE of an INSERT must be a tuple");
        return STATUS_OK;
    }
    value_cursor_init(&cursor, *item);
    if (value_next(&cursor, &name, &first) && name.count == 0)
        PQ_SEMANTIC(p, "%s", "One or more parameter values were invalid: Empty attribute name");
    return STATUS_OK;
}
