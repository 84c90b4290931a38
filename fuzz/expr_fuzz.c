/* Expressions from any text, of each kind, against a fixed scope and item; and programs from any
 * bytes.
 *
 * The first byte chooses: 0 to 4 a kind, whose text follows; 5 to 9 a kind, whose program follows.
 * A text that compiles makes a program that checks out; a program that checks out runs, and an
 * update makes an item that checks out or says why not.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "expr/expr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KINDS 5u

struct world {
    struct heap heap;
    struct arena arena;
    struct buffer item_bytes, scope_bytes, to;
    struct value item, values;
    struct expr_name names[3];
};

static void write_number(struct value_writer *w, const char *name, uint64_t value)
{
    struct number number;
    number_from_u64(value, &number);
    value_write_name(w, bytes_of_text(name));
    value_write_number(w, &number);
}

static void write_text(struct value_writer *w, const char *name, const char *text)
{
    value_write_name(w, bytes_of_text(name));
    value_write_string(w, bytes_of_text(text));
}

static void write_set(struct value_writer *w, const char *name, const char *element)
{
    value_write_name(w, bytes_of_text(name));
    value_write_begin(w, VALUE_SS);
    value_write_string(w, bytes_of_text(element));
    value_write_string(w, BYTES("both"));
    value_write_end(w);
}

static void write_list(struct value_writer *w, const char *name)
{
    value_write_name(w, bytes_of_text(name));
    value_write_begin(w, VALUE_L);
    value_write_bool(w, true);
    value_write_begin(w, VALUE_M);
    write_number(w, "x", 1);
    value_write_end(w);
    value_write_begin(w, VALUE_L);
    value_write_null(w);
    value_write_end(w);
    value_write_end(w);
}

static void world_open(struct world *world)
{
    struct value_writer w;
    heap_init(&world->heap, false);
    arena_init(&world->arena, &world->heap, 4u << 20);
    buffer_init(&world->item_bytes, &world->heap, 1u << 20);
    buffer_init(&world->scope_bytes, &world->heap, 1u << 20);
    buffer_init(&world->to, &world->heap, 1u << 20);
    value_writer_init(&w, &world->item_bytes);
    value_write_begin(&w, VALUE_M);
    write_text(&w, "a", "text");
    write_list(&w, "l");
    value_write_name(&w, BYTES("m"));
    value_write_begin(&w, VALUE_M);
    write_number(&w, "a", 3);
    write_list(&w, "l");
    value_write_end(&w);
    write_number(&w, "n", 5);
    write_set(&w, "s", "old");
    value_write_end(&w);
    ASSERT(value_writer_finish(&w, &world->item) == STATUS_OK);

    value_writer_init(&w, &world->scope_bytes);
    value_write_begin(&w, VALUE_M);
    write_list(&w, ":l");
    write_number(&w, ":n", 2);
    write_set(&w, ":s", "new");
    write_text(&w, ":t", "S");
    value_write_end(&w);
    ASSERT(value_writer_finish(&w, &world->values) == STATUS_OK);

    world->names[0] = (struct expr_name){.placeholder = BYTES("#a"), .name = BYTES("a")};
    world->names[1] = (struct expr_name){.placeholder = BYTES("#m"), .name = BYTES("m")};
    world->names[2] = (struct expr_name){.placeholder = BYTES("#e"), .name = BYTES("e")};
}

static void world_close(struct world *world)
{
    buffer_release(&world->to);
    buffer_release(&world->scope_bytes);
    buffer_release(&world->item_bytes);
    arena_release(&world->arena);
    ASSERT(world->heap.bytes_used == 0);
}

static void check_result(struct value_writer *w)
{
    struct value result, checked;
    ASSERT(value_writer_finish(w, &result) == STATUS_OK);
    ASSERT(value_check(bytes_of(result.at, result.bytes), &checked) == STATUS_OK);
}

static void run(struct world *world, enum expr_kind kind, const struct expr_program *program,
                struct value item)
{
    struct value_writer w;
    struct expr_fault fault = {0};
    struct expr_attributes walk = {0};
    struct bytes name;
    struct key_schema schema = {{BYTES("a"), VALUE_S}, {BYTES("n"), VALUE_N}};
    struct key_condition condition;
    buffer_clear(&world->to);
    value_writer_init(&w, &world->to);
    while (expr_next_attribute(program, &walk, &name))
        ASSERT(name.count <= program->code.count);
    switch (kind) {
    case EXPR_CONDITION:
    case EXPR_FILTER:
        (void)!expr_evaluate(program, item);
        break;
    case EXPR_PROJECTION:
        expr_project(program, item, &w);
        check_result(&w);
        break;
    case EXPR_KEY_CONDITION:
        if (expr_key_condition(program, &schema, &world->arena, &condition, &fault) != STATUS_OK)
            ASSERT(fault.message.count > 0);
        break;
    case EXPR_UPDATE:
        if (expr_update(program, item, world->item, &w, &world->arena, &fault) == STATUS_OK)
            check_result(&w);
        else
            ASSERT(fault.message.count > 0);
        break;
    }
}

static void run_text(struct world *world, enum expr_kind kind, struct bytes text)
{
    struct expr_scope scope = {.names = world->names,
                               .name_count = 3,
                               .values = world->values,
                               .names_given = true,
                               .values_given = true};
    struct expr_fault fault = {0};
    struct expr_program program;
    ASSERT(expr_scope_init(&scope, &world->arena, &fault) == STATUS_OK);
    enum status status = expr_compile(&scope, kind, text, &program, &fault);
    if (status != STATUS_OK) {
        ASSERT(status == STATUS_INVALID && fault.message.count > 0);
        return;
    }
    ASSERT(expr_program_check(program.code, kind) == STATUS_OK);
    run(world, kind, &program, world->item);
    run(world, kind, &program, VALUE_ABSENT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct world world;
    world_open(&world);
    struct bytes rest = bytes_of(data + 1, size - 1);
    enum expr_kind kind = (enum expr_kind)(data[0] % KINDS);
    if (data[0] % (2 * KINDS) < KINDS) {
        run_text(&world, kind, rest);
    } else if (expr_program_check(rest, kind) == STATUS_OK) {
        struct expr_program program = {rest};
        run(&world, kind, &program, world.item);
    }
    world_close(&world);
    return 0;
}
