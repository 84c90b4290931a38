/* policy_document.c - what a resource policy is, and the form in which it is given back.
 *
 * The grammar is that of IAM's policies as far as its elements go; actions and resources are not
 * looked at.  The form: no spaces, elements in one order, a list of one string as that string.
 */
#include "api/api_private.h"
#include "base/compiler.h"

#define NOT_A_POLICY INVALID_VALUES "Invalid policy document: "
#define INVALID_JSON "This policy contains invalid Json"

#define ACCOUNT_DIGITS 12u

/* Room to write in: the writer reserves more than it takes, and accounts become longer. */
#define ROOM_BYTES_MAX (16u * POLICY_BYTES_MAX)

/* The elements of a statement, in the order in which they are given back. */
enum element {
    ELEMENT_SID,
    ELEMENT_EFFECT,
    ELEMENT_PRINCIPAL,
    ELEMENT_NOT_PRINCIPAL,
    ELEMENT_ACTION,
    ELEMENT_NOT_ACTION,
    ELEMENT_RESOURCE,
    ELEMENT_NOT_RESOURCE,
    ELEMENT_CONDITION,
    ELEMENT_COUNT
};

static const char *const element_names[ELEMENT_COUNT] = {
    "Sid",       "Effect",   "Principal",   "NotPrincipal", "Action",
    "NotAction", "Resource", "NotResource", "Condition"};

struct sid {
    struct sid *next;
    struct bytes text;
};

struct document {
    struct api_call *call;
    struct bytes text;
    struct json_writer json;
    struct sid *sids;
    const char *fault;        /* the first; NULL: none */
    const uint8_t *syntax_at; /* where the syntax is wrong first; NULL: nowhere */
    bool unbounded;           /* a statement allows what it allows to everybody */
};

static void note(struct document *d, const char *fault)
{
    if (d->fault == NULL && d->syntax_at == NULL)
        d->fault = fault;
}

static void note_syntax(struct document *d, const uint8_t *at)
{
    if (d->fault == NULL && d->syntax_at == NULL)
        d->syntax_at = at;
}

/* The text of the value that comes next, which is taken. */
static struct bytes take_value(struct json_scanner *s)
{
    (void)json_peek(s); /* behind the spaces */
    const uint8_t *at = s->at;
    json_skip(s);
    return bytes_of(at, s->failed ? 0 : (size_t)(s->at - at));
}

static struct json_scanner scan(const struct document *d, struct bytes text)
{
    struct json_scanner s;
    json_scanner_init(&s, text, call_arena(d->call));
    return s;
}

/* The string that `text` is; the empty run when it is another value. */
static struct bytes string_of(const struct document *d, struct bytes text)
{
    struct json_scanner s = scan(d, text);
    return json_peek(&s) == JSON_STRING ? json_string(&s) : (struct bytes){0};
}

/* ---- Writing ---- */

/* An account stands for its root. */
static void write_principal(struct document *d, struct bytes text)
{
    bool account = text.count == ACCOUNT_DIGITS;
    for (size_t i = 0; account && i < text.count; i++)
        account = text.at[i] >= '0' && text.at[i] <= '9';
    if (account)
        text = arena_format(call_arena(d->call), "arn:aws:iam::%.*s:root", BYTES_ARGS(text));
    json_write_string(&d->json, text);
}

static void write_string(struct document *d, struct bytes text, bool principal)
{
    if (principal)
        write_principal(d, text);
    else
        json_write_string(&d->json, text);
}

static bool has_one_string(struct json_scanner s)
{
    json_array_begin(&s);
    if (!json_array_next(&s) || json_peek(&s) != JSON_STRING)
        return false;
    json_skip(&s);
    return !json_array_next(&s) && !s.failed;
}

static void write_value(struct document *d, struct json_scanner *s, bool principal);

static void write_array(struct document *d, struct json_scanner *s, bool principal)
{
    bool one = has_one_string(*s);
    if (!one)
        json_write_array_begin(&d->json);
    json_array_begin(s);
    while (json_array_next(s))
        write_value(d, s, principal);
    if (!one)
        json_write_array_end(&d->json);
}

/* Nested JSON_DEPTH_MAX deep at most. */
static void write_value(struct document *d, struct json_scanner *s, bool principal)
{
    struct bytes name;
    switch (json_peek(s)) {
    case JSON_OBJECT:
        json_write_object_begin(&d->json);
        json_object_begin(s);
        while (json_object_next(s, &name)) {
            json_write_name(&d->json, name);
            write_value(d, s, principal);
        }
        json_write_object_end(&d->json);
        return;
    case JSON_ARRAY:
        write_array(d, s, principal);
        return;
    case JSON_STRING:
        write_string(d, json_string(s), principal);
        return;
    default:
        json_write_raw(&d->json, take_value(s));
        return;
    }
}

static void write_element(struct document *d, enum element element, struct bytes text)
{
    struct json_scanner s = scan(d, text);
    bool principal = element == ELEMENT_PRINCIPAL || element == ELEMENT_NOT_PRINCIPAL;
    json_write_name(&d->json, bytes_of_text(element_names[element]));
    write_value(d, &s, principal);
}

/* ---- Statements ---- */

/* Whether it is "word", in letters of any size. */
static bool is_word(struct bytes text, const char *word)
{
    struct bytes expected = bytes_of_text(word);
    if (text.count != expected.count)
        return false;
    for (size_t i = 0; i < text.count; i++) {
        if ((text.at[i] | 0x20u) != (expected.at[i] | 0x20u))
            return false;
    }
    return true;
}

static void check_sid(struct document *d, struct bytes text)
{
    if (text.count == 0 || d->fault != NULL || d->syntax_at != NULL)
        return; /* so there are as many as whole statements fit */
    struct bytes sid = string_of(d, text);
    for (const struct sid *seen = d->sids; seen != NULL; seen = seen->next) {
        if (bytes_equal(seen->text, sid))
            note(d, "The Statement Ids in the policy are not unique");
    }
    struct sid *kept = arena_alloc(call_arena(d->call), sizeof(*kept));
    if (kept == NULL)
        return; /* the arena has refused: the call is */
    *kept = (struct sid){.next = d->sids, .text = sid};
    d->sids = kept;
}

/* "*", {"AWS": "*"} or a list with "*" in it. */
static bool is_everybody(const struct document *d, struct bytes text)
{
    struct json_scanner s = scan(d, text);
    struct bytes name;
    bool everybody = false;
    if (json_peek(&s) == JSON_STRING)
        return bytes_equal(json_string(&s), BYTES("*"));
    json_object_begin(&s);
    while (json_object_next(&s, &name)) {
        struct bytes value = take_value(&s);
        struct json_scanner inner = scan(d, value);
        if (!bytes_equal(name, BYTES("AWS")))
            continue;
        if (json_peek(&inner) != JSON_ARRAY) {
            everybody |= bytes_equal(string_of(d, value), BYTES("*"));
            continue;
        }
        json_array_begin(&inner);
        while (json_array_next(&inner))
            everybody |= bytes_equal(string_of(d, take_value(&inner)), BYTES("*"));
    }
    return everybody;
}

/* A string names nobody but everybody. */
static void check_principal(struct document *d, struct bytes text)
{
    if (text.count == 0 || text.at[0] == '{')
        return;
    if (!bytes_equal(string_of(d, text), BYTES("*")))
        note_syntax(d, text.at);
}

static void check_statement(struct document *d, const struct bytes elements[ELEMENT_COUNT])
{
    static const enum element pairs[][2] = {{ELEMENT_PRINCIPAL, ELEMENT_NOT_PRINCIPAL},
                                            {ELEMENT_ACTION, ELEMENT_NOT_ACTION},
                                            {ELEMENT_RESOURCE, ELEMENT_NOT_RESOURCE}};
    static const char *const missing[] = {"Missing required field Principal",
                                          "Missing required field Action",
                                          "Missing required field Resource"};
    struct bytes effect = elements[ELEMENT_EFFECT];
    bool allow = is_word(string_of(d, effect), "Allow");
    if (effect.count > 0 && !allow && !is_word(string_of(d, effect), "Deny"))
        note_syntax(d, effect.at);
    check_principal(d, elements[ELEMENT_PRINCIPAL]);
    check_principal(d, elements[ELEMENT_NOT_PRINCIPAL]);
    if (effect.count == 0)
        note(d, "Missing required field Effect");
    for (size_t i = 0; i < ARRAY_COUNT(pairs); i++) {
        if (elements[pairs[i][0]].count == 0 && elements[pairs[i][1]].count == 0)
            note(d, missing[i]);
    }
    check_sid(d, elements[ELEMENT_SID]);
    if (d->fault == NULL && d->syntax_at == NULL && allow &&
        elements[ELEMENT_PRINCIPAL].count > 0 && elements[ELEMENT_CONDITION].count == 0)
        d->unbounded |= is_everybody(d, elements[ELEMENT_PRINCIPAL]);
}

static void write_statement(struct document *d, const struct bytes elements[ELEMENT_COUNT])
{
    json_write_object_begin(&d->json);
    for (unsigned i = 0; i < ELEMENT_COUNT; i++) {
        if (elements[i].count == 0)
            continue;
        if (i == ELEMENT_EFFECT) {
            bool allow = is_word(string_of(d, elements[i]), "Allow");
            json_write_name(&d->json, BYTES("Effect"));
            json_write_string(&d->json, allow ? BYTES("Allow") : BYTES("Deny"));
        } else {
            write_element(d, (enum element)i, elements[i]);
        }
    }
    json_write_object_end(&d->json);
}

static void read_statement(struct document *d, struct json_scanner *s)
{
    struct bytes elements[ELEMENT_COUNT] = {0};
    struct bytes name;
    if (json_peek(s) != JSON_OBJECT) {
        note_syntax(d, take_value(s).at);
        return;
    }
    json_object_begin(s);
    while (json_object_next(s, &name)) {
        unsigned i = 0;
        while (i < ELEMENT_COUNT && !bytes_equal(name, bytes_of_text(element_names[i])))
            i++;
        struct bytes value = take_value(s);
        if (i == ELEMENT_COUNT)
            note_syntax(d, value.at);
        else
            elements[i] = value;
    }
    check_statement(d, elements);
    if (d->fault == NULL && d->syntax_at == NULL)
        write_statement(d, elements);
}

/* Statement is one, or a list of some. */
static void read_statements(struct document *d, struct bytes text)
{
    struct json_scanner s = scan(d, text);
    bool any = false;
    json_write_array_begin(&d->json);
    if (json_peek(&s) == JSON_ARRAY) {
        json_array_begin(&s);
        for (; json_array_next(&s); any = true)
            read_statement(d, &s);
        if (!any)
            note(d, "Could not parse the policy: Statement is empty!");
    } else {
        read_statement(d, &s);
    }
    json_write_array_end(&d->json);
}

/* ---- The document ---- */

#define VERSION_NOT_GIVEN "\"2008-10-17\""

static void check_version(struct document *d, struct bytes text)
{
    struct bytes version = string_of(d, text);
    if (!bytes_equal(version, BYTES("2012-10-17")) && !bytes_equal(version, BYTES("2008-10-17")))
        note(d, "Version is neither 2012-10-17 nor 2008-10-17");
}

static void read_document(struct document *d)
{
    struct bytes version = BYTES(VERSION_NOT_GIVEN), id = {0}, statements = {0}, name;
    struct json_scanner s = scan(d, d->text);
    enum json_type type = json_peek(&s);
    if (type != JSON_OBJECT) {
        json_skip(&s);
        bool null = type == JSON_NULL && json_scanner_finish(&s) == STATUS_OK;
        note(d, null ? "This text appears not to be a policy" : INVALID_JSON);
        return;
    }
    json_object_begin(&s);
    while (json_object_next(&s, &name)) {
        struct bytes value = take_value(&s);
        if (bytes_equal(name, BYTES("Version")))
            version = value;
        else if (bytes_equal(name, BYTES("Id")))
            id = value;
        else if (bytes_equal(name, BYTES("Statement")))
            statements = value;
        else
            note_syntax(d, value.at);
    }
    const uint8_t *end = s.at;
    if (json_scanner_finish(&s) != STATUS_OK) {
        d->syntax_at = NULL;
        d->fault = INVALID_JSON;
        return;
    }
    check_version(d, version);
    json_write_object_begin(&d->json);
    json_write_name(&d->json, BYTES("Version"));
    json_write_string(&d->json, string_of(d, version));
    if (id.count > 0) {
        s = scan(d, id);
        json_write_name(&d->json, BYTES("Id"));
        write_value(d, &s, false);
    }
    json_write_name(&d->json, BYTES("Statement"));
    if (statements.count == 0)
        note_syntax(d, end);
    else
        read_statements(d, statements);
    json_write_object_end(&d->json);
}

/* Where in the document: line and column, from 1. */
static enum status refuse_syntax(struct document *d)
{
    unsigned line = 1, column = 1;
    for (const uint8_t *at = d->text.at; at < d->syntax_at; at++) {
        column = *at == '\n' ? 1 : column + 1;
        line += *at == '\n';
    }
    return error_format(&d->call->error, call_arena(d->call), ERROR_VALIDATION,
                        NOT_A_POLICY "Syntax error at position (%u,%u)", line, column);
}

static enum status refuse_size(struct api_call *call)
{
    return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                        INVALID_VALUES "Maximum policy size of %u bytes exceeded",
                        POLICY_BYTES_MAX);
}

static enum status answer_faults(struct document *d)
{
    struct api_call *call = d->call;
    if (call_arena(call)->refused || d->json.to->starved)
        return call_no_memory(call);
    if (d->syntax_at != NULL)
        return refuse_syntax(d);
    if (d->fault != NULL)
        return error_format(&call->error, call_arena(call), ERROR_VALIDATION, NOT_A_POLICY "%s",
                            d->fault);
    if (d->unbounded)
        return call_invalid(call,
                            "Resource-based policy grants unbounded access in one or more elements."
                            " Please revise the policy to ensure least-privilege form of access");
    bool fits = !d->json.to->failed && d->json.to->count <= POLICY_BYTES_MAX;
    return fits ? STATUS_OK : refuse_size(call);
}

enum status call_read_policy(struct api_call *call, struct bytes given, struct bytes *policy)
{
    struct buffer text;
    struct document d = {.call = call, .text = given};
    if (given.count > POLICY_BYTES_MAX)
        return refuse_size(call);
    buffer_init(&text, call->ctx->env->heap, ROOM_BYTES_MAX);
    json_writer_init(&d.json, &text);
    read_document(&d);
    enum status status = answer_faults(&d);
    if (status == STATUS_OK) {
        *policy = arena_copy(call_arena(call), buffer_bytes(&text));
        if (policy->at == NULL)
            status = call_no_memory(call);
    }
    buffer_release(&text);
    return status;
}
