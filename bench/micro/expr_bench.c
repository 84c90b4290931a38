/* What an expression costs: a scope, one compilation, one run on an item of 200 bytes; ns a call,
 * best of rounds. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "expr/expr.h"

#define CALLS  100000
#define ROUNDS 9

struct bench {
    struct heap heap;
    struct arena arena;
    struct buffer items, values, to;
    struct value item, key, scope_values;
};

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void write_number(struct value_writer *w, const char *name, uint64_t value)
{
    struct number number;
    number_from_u64(value, &number);
    value_write_name(w, bytes_of_text(name));
    value_write_number(w, &number);
}

static void setup(struct bench *b)
{
    static const char filler[] = "0123456789012345678901234567890123456789";
    struct value_writer w;
    heap_init(&b->heap, false);
    arena_init(&b->arena, &b->heap, 1u << 20);
    buffer_init(&b->items, &b->heap, 1u << 20);
    buffer_init(&b->values, &b->heap, 1u << 20);
    buffer_init(&b->to, &b->heap, 1u << 20);
    value_writer_init(&w, &b->items);
    value_write_begin(&w, VALUE_M);
    for (char name[2] = "a"; name[0] < 'f'; name[0]++) {
        value_write_name(&w, bytes_of_text(name));
        value_write_string(&w, BYTES(filler));
    }
    write_number(&w, "count", 41);
    value_write_name(&w, BYTES("pk"));
    value_write_string(&w, BYTES("some key"));
    write_number(&w, "v", 7);
    value_write_end(&w);
    if (value_writer_finish(&w, &b->item) != STATUS_OK)
        return;
    b->key = b->item;
    value_writer_init(&w, &b->values);
    value_write_begin(&w, VALUE_M);
    write_number(&w, ":old", 7);
    value_write_end(&w);
    (void)!value_writer_finish(&w, &b->scope_values);
}

static void run(struct bench *b, enum expr_kind kind, struct bytes text, bool evaluate)
{
    struct expr_name name = {.placeholder = BYTES("#v"), .name = BYTES("v")};
    struct expr_scope scope = {.names = &name,
                               .name_count = 1,
                               .values = b->scope_values,
                               .names_given = true,
                               .values_given = true};
    struct expr_program program;
    struct expr_fault fault;
    if (kind == EXPR_PROJECTION) {
        scope.values = VALUE_ABSENT;
        scope.values_given = false;
    }
    if (expr_scope_init(&scope, &b->arena, &fault) != STATUS_OK ||
        expr_compile(&scope, kind, text, &program, &fault) != STATUS_OK ||
        expr_scope_finish(&scope, &fault) != STATUS_OK) {
        printf("%.*s\n", BYTES_ARGS(fault.message));
        return;
    }
    if (evaluate) {
        struct value_writer w;
        struct value result;
        buffer_clear(&b->to);
        value_writer_init(&w, &b->to);
        if (kind == EXPR_CONDITION) {
            (void)!expr_evaluate(&program, b->item);
        } else if (kind == EXPR_PROJECTION) {
            expr_project(&program, b->item, &w);
            (void)!value_writer_finish(&w, &result);
        } else {
            (void)!expr_update(&program, b->item, b->key, &w, &b->arena, &fault);
            (void)!value_writer_finish(&w, &result);
        }
    }
    arena_reset(&b->arena);
}

static double best(struct bench *b, enum expr_kind kind, struct bytes text, bool evaluate)
{
    double least = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (int i = 0; i < CALLS; i++)
            run(b, kind, text, evaluate);
        double each = (now_ns() - start) / CALLS;
        least = each < least ? each : least;
    }
    return least;
}

int main(void)
{
    static const struct {
        enum expr_kind kind;
        const char *text;
    } texts[] = {
        {EXPR_CONDITION, "attribute_not_exists(pk) AND #v = :old"},
        {EXPR_CONDITION, "#v = :old OR attribute_exists(pk)"},
        {EXPR_UPDATE, "SET #v = #v + :old"},
        {EXPR_UPDATE, "SET #v = :old, b = :old, e = if_not_exists(f, :old) REMOVE c"},
        {EXPR_PROJECTION, "pk, #v, a"},
    };
    static struct bench b;
    setup(&b);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        struct bytes text = bytes_of_text(texts[i].text);
        double compile = best(&b, texts[i].kind, text, false);
        double both = best(&b, texts[i].kind, text, true);
        printf("%6.0f ns compile  %6.0f ns run   %s\n", compile, both - compile, texts[i].text);
    }
    buffer_release(&b.items);
    buffer_release(&b.values);
    buffer_release(&b.to);
    arena_release(&b.arena);
    return 0;
}
