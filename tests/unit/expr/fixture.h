/* What the tests of expressions share: memory, and items written as short text.
 *
 *   value := 12.5 | "text" | <00ff> | true | false | null | [value ...] | {name=value ...}
 *          | ("a" "b") (a set of the type of its first element)
 *
 * value_text writes the same notation, maps and sets in their stored order.
 */
#ifndef TESTS_UNIT_EXPR_FIXTURE_H
#define TESTS_UNIT_EXPR_FIXTURE_H

#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>

#include "expr/expr.h"

struct fixture {
    struct heap heap;
    struct arena arena;
    struct buffer buffers[64];
    unsigned buffer_count;
    char text[1 << 16];
};

static inline void fixture_init(struct fixture *f)
{
    heap_init(&f->heap, false);
    arena_init(&f->arena, &f->heap, 64u << 20);
    f->buffer_count = 0;
}

static inline void fixture_reset(struct fixture *f)
{
    for (unsigned i = 0; i < f->buffer_count; i++)
        buffer_release(&f->buffers[i]);
    f->buffer_count = 0;
    arena_reset(&f->arena);
}

static inline void fixture_release(struct fixture *f)
{
    fixture_reset(f);
    arena_release(&f->arena);
    assert_int_equal(f->heap.bytes_used, 0);
}

static inline struct buffer *fixture_buffer(struct fixture *f)
{
    assert_true(f->buffer_count < 64);
    struct buffer *b = &f->buffers[f->buffer_count++];
    buffer_init(b, &f->heap, 8u << 20);
    return b;
}

/* ---- Text to value ---- */

static inline const char *skip_spaces(const char *p)
{
    while (*p == ' ')
        p++;
    return p;
}

static inline const char *write_text_value(struct value_writer *w, const char *p);

static inline const char *write_scalar(struct value_writer *w, const char *p)
{
    const char *end;
    if (*p == '"') {
        end = strchr(p + 1, '"');
        value_write_string(w, bytes_of(p + 1, (size_t)(end - p - 1)));
        return end + 1;
    }
    if (*p == '<') {
        uint8_t content[256];
        size_t count = 0;
        for (p++; *p != '>'; p += 2) {
            char pair[3] = {p[0], p[1], 0};
            content[count++] = (uint8_t)strtoul(pair, NULL, 16);
        }
        value_write_binary(w, bytes_of(content, count));
        return p + 1;
    }
    end = p + strcspn(p, " ]})");
    struct bytes word = bytes_of(p, (size_t)(end - p));
    if (bytes_equal(word, BYTES("true")) || bytes_equal(word, BYTES("false"))) {
        value_write_bool(w, *p == 't');
    } else if (bytes_equal(word, BYTES("null"))) {
        value_write_null(w);
    } else {
        struct number number;
        enum number_fault fault;
        assert_int_equal(number_parse(word, &number, &fault), STATUS_OK);
        value_write_number(w, &number);
    }
    return end;
}

static inline const char *write_text_value(struct value_writer *w, const char *p)
{
    p = skip_spaces(p);
    char close = *p == '[' ? ']' : *p == '{' ? '}' : *p == '(' ? ')' : 0;
    if (close == 0)
        return write_scalar(w, p);
    const char *first = skip_spaces(p + 1);
    enum value_type set = *first == '"' ? VALUE_SS : *first == '<' ? VALUE_BS : VALUE_NS;
    value_write_begin(w, close == ']' ? VALUE_L : close == '}' ? VALUE_M : set);
    for (p = first; *p != close; p = skip_spaces(p)) {
        if (close == '}') {
            const char *equals = strchr(p, '=');
            value_write_name(w, bytes_of(p, (size_t)(equals - p)));
            p = equals + 1;
        }
        p = write_text_value(w, p);
    }
    value_write_end(w);
    return p + 1;
}

/* NULL: VALUE_ABSENT. */
static inline struct value text_value(struct fixture *f, const char *text)
{
    if (text == NULL)
        return VALUE_ABSENT;
    struct value_writer w;
    struct value value;
    value_writer_init(&w, fixture_buffer(f));
    write_text_value(&w, text);
    assert_int_equal(value_writer_finish(&w, &value), STATUS_OK);
    return value;
}

/* ---- Value to text ---- */

static inline char *print_value(char *to, struct value v)
{
    char number_text[NUMBER_TEXT_BYTES_MAX];
    struct number number;
    struct value_cursor cursor;
    struct bytes name;
    struct value element;
    const char *comma = "";
    switch (value_type(v)) {
    case VALUE_NONE:
        return to + sprintf(to, "absent");
    case VALUE_NULL:
        return to + sprintf(to, "null");
    case VALUE_BOOL:
        return to + sprintf(to, "%s", value_bool(v) ? "true" : "false");
    case VALUE_S:
        return to + sprintf(to, "\"%.*s\"", BYTES_ARGS(value_bytes(v)));
    case VALUE_N:
        value_number(v, &number);
        return to + sprintf(to, "%.*s", (int)number_format(&number, number_text), number_text);
    case VALUE_B:
        to += sprintf(to, "<");
        for (size_t i = 0; i < value_bytes(v).count; i++)
            to += sprintf(to, "%02x", value_bytes(v).at[i]);
        return to + sprintf(to, ">");
    default:
        break;
    }
    enum value_type type = value_type(v);
    to += sprintf(to, "%s", type == VALUE_L ? "[" : type == VALUE_M ? "{" : "(");
    value_cursor_init(&cursor, v);
    for (; value_next(&cursor, &name, &element); comma = " ") {
        to += sprintf(to, "%s", comma);
        if (type == VALUE_M)
            to += sprintf(to, "%.*s=", BYTES_ARGS(name));
        to = print_value(to, element);
    }
    return to + sprintf(to, "%s", type == VALUE_L ? "]" : type == VALUE_M ? "}" : ")");
}

static inline const char *value_text(struct fixture *f, struct value v)
{
    *print_value(f->text, v) = 0;
    return f->text;
}

/* ---- Expressions ---- */

/* A scope of names ("#a=name #b=other") and values ("{:v=1}"); NULL: not given. */
static inline void scope_of(struct fixture *f, const char *names, const char *values,
                            struct expr_scope *scope)
{
    *scope = (struct expr_scope){.arena = &f->arena};
    scope->names_given = names != NULL;
    scope->values_given = values != NULL;
    scope->values = text_value(f, values);
    if (names == NULL)
        return;
    scope->names = arena_alloc_zero(&f->arena, (strlen(names) + 1) * sizeof(*scope->names));
    for (const char *p = skip_spaces(names); *p != 0; p = skip_spaces(p)) {
        const char *equals = strchr(p, '='), *end = equals + strcspn(equals, " ");
        struct expr_name *name = &scope->names[scope->name_count++];
        name->placeholder = bytes_of(p, (size_t)(equals - p));
        name->name = bytes_of(equals + 1, (size_t)(end - equals - 1));
        p = end;
    }
}

/* Compile one expression, all of the scope used; NULL, or the message of what is wrong. */
static inline const char *try_compile(struct fixture *f, enum expr_kind kind, const char *text,
                                      const char *names, const char *values,
                                      struct expr_program *program)
{
    struct expr_scope scope;
    struct expr_fault fault = {0};
    scope_of(f, names, values, &scope);
    enum status status = expr_scope_init(&scope, &f->arena, &fault);
    if (status == STATUS_OK)
        status = expr_compile(&scope, kind, bytes_of_text(text), program, &fault);
    if (status == STATUS_OK)
        status = expr_scope_finish(&scope, &fault);
    if (status == STATUS_OK) {
        assert_int_equal(expr_program_check(program->code, kind), STATUS_OK);
        return NULL;
    }
    assert_int_equal(status, STATUS_INVALID);
    assert_non_null(fault.message.at);
    snprintf(f->text, sizeof(f->text), "%.*s", BYTES_ARGS(fault.message));
    return f->text;
}

static inline struct expr_program must_compile(struct fixture *f, enum expr_kind kind,
                                               const char *text, const char *names,
                                               const char *values)
{
    struct expr_program program = {0};
    const char *message = try_compile(f, kind, text, names, values, &program);
    if (message != NULL)
        fail_msg("%s: %s", text, message);
    return program;
}

#endif
