/* PartiQL statements of any text, with two parameters, against a schema of two key attributes.
 *
 * What parses makes a plan, or says why not; the programs of a plan check out and run; and a SELECT
 * takes an item as often as its whole WHERE does.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "request/partiql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_BYTES_MAX 8192u

struct world {
    struct heap heap;
    struct arena arena;
    struct buffer item_bytes, to;
    struct value item;
    struct value parameters[2];
    struct key_schema schema;
};

static void world_open(struct world *world)
{
    struct value_writer w;
    struct number one;
    heap_init(&world->heap, false);
    arena_init(&world->arena, &world->heap, 16u << 20);
    buffer_init(&world->item_bytes, &world->heap, 1u << 20);
    buffer_init(&world->to, &world->heap, 4u << 20);
    world->schema = (struct key_schema){{BYTES("a"), VALUE_S}, {BYTES("b"), VALUE_N}};
    number_from_u64(1, &one);
    value_writer_init(&w, &world->item_bytes);
    value_write_begin(&w, VALUE_M);
    value_write_name(&w, BYTES("a"));
    value_write_string(&w, BYTES("x"));
    value_write_name(&w, BYTES("b"));
    value_write_number(&w, &one);
    value_write_name(&w, BYTES("l"));
    value_write_begin(&w, VALUE_L);
    value_write_null(&w);
    value_write_end(&w);
    value_write_name(&w, BYTES("s"));
    value_write_begin(&w, VALUE_SS);
    value_write_string(&w, BYTES("x"));
    value_write_end(&w);
    value_write_end(&w);
    ASSERT(value_writer_finish(&w, &world->item) == STATUS_OK);
    ASSERT(value_find(world->item, BYTES("a"), &world->parameters[0]));
    ASSERT(value_find(world->item, BYTES("l"), &world->parameters[1]));
}

static void world_close(struct world *world)
{
    buffer_release(&world->to);
    buffer_release(&world->item_bytes);
    arena_release(&world->arena);
    ASSERT(world->heap.bytes_used == 0);
}

static bool holds(struct world *world, const struct expr_program *program, enum expr_kind kind)
{
    if (program->code.count > 0)
        ASSERT(expr_program_check(program->code, kind) == STATUS_OK);
    return expr_evaluate(program, world->item);
}

/* Is the item in the range of a key condition? As a filter the same code says so. */
static bool in_range(struct world *world, const struct expr_program *key_condition)
{
    struct key_condition condition;
    struct expr_fault fault = {0};
    ASSERT(expr_program_check(key_condition->code, EXPR_KEY_CONDITION) == STATUS_OK);
    if (expr_key_condition(key_condition, &world->schema, &world->arena, &condition, &fault) !=
        STATUS_OK)
        ASSERT(fault.message.count > 0); /* an empty key */
    struct bytes copy = arena_copy(&world->arena, key_condition->code);
    ASSERT(copy.at != NULL);
    ((uint8_t *)(uintptr_t)copy.at)[1] = EXPR_FILTER;
    return holds(world, &(struct expr_program){copy}, EXPR_FILTER);
}

static void run_select(struct world *world, const struct partiql_statement *statement)
{
    struct partiql_select plan;
    struct expr_program whole = {0};
    struct expr_fault fault = {0};
    struct error error = {0};
    enum status status =
        partiql_plan_select(&world->arena, statement, &world->schema, &plan, &error);
    if (status != STATUS_OK) {
        ASSERT(error.message.count > 0);
        return;
    }
    unsigned times = plan.scan && holds(world, &plan.filter, EXPR_FILTER);
    for (uint32_t i = 0; i < plan.query_count; i++)
        times +=
            in_range(world, &plan.key_conditions[i]) && holds(world, &plan.filter, EXPR_FILTER);
    if (statement->where == NULL) {
        ASSERT(times == 1);
        return;
    }
    if (expr_build_condition(&world->arena, EXPR_FILTER, statement->where, &whole, &fault) ==
        STATUS_OK)
        ASSERT(times == (unsigned)holds(world, &whole, EXPR_FILTER));
}

static void run_write(struct world *world, const struct partiql_statement *statement)
{
    struct write_request request = {0};
    struct value_writer w;
    struct value result, checked;
    struct expr_fault fault = {0};
    struct error error = {0};
    if (partiql_plan_write(&world->arena, statement, &world->schema, &request, &error) !=
        STATUS_OK) {
        ASSERT(error.message.count > 0);
        return;
    }
    ASSERT(value_type(request.item) == VALUE_M);
    ASSERT(value_check(bytes_of(request.item.at, request.item.bytes), &checked) == STATUS_OK);
    (void)holds(world, &request.condition, EXPR_CONDITION);
    if (request.kind != WRITE_UPDATE)
        return;
    ASSERT(expr_program_check(request.update.code, EXPR_UPDATE) == STATUS_OK);
    value_writer_init(&w, &world->to);
    if (expr_update(&request.update, world->item, request.item, &w, &world->arena, &fault) !=
        STATUS_OK) {
        ASSERT(fault.message.count > 0);
        return;
    }
    ASSERT(value_writer_finish(&w, &result) == STATUS_OK);
    ASSERT(value_check(bytes_of(result.at, result.bytes), &checked) == STATUS_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world;
    struct partiql_statement statement;
    struct error error = {0};
    if (size > TEXT_BYTES_MAX)
        return 0;
    world_open(&world);
    enum status status =
        partiql_parse(&world.arena, bytes_of(data, size), world.parameters, 2, &statement, &error);
    if (status != STATUS_OK)
        ASSERT(status == STATUS_INVALID && error.message.count > 0);
    else if (statement.kind == PARTIQL_SELECT)
        run_select(&world, &statement);
    else
        run_write(&world, &statement);
    world_close(&world);
    return 0;
}
