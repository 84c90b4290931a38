/* transact.c - TransactWriteItems and TransactGetItems. */
#include "admission/units.h"
#include "api/transact_private.h"
#include "base/assert.h"

#define ONLY_ONE "TransactItems can only contain one of Check, Put, Update or Delete"

/* ---- What they share ---- */

static struct consumed *table_of(struct transact_tables *tables, struct bytes shown,
                                 struct bytes name, const char *units)
{
    for (uint32_t i = 0; i < tables->count; i++) {
        if (bytes_equal(tables->consumed[i].table, name))
            return &tables->consumed[i];
    }
    ASSERT(tables->count < TXN_ITEMS_MAX);
    struct consumed *added = &tables->consumed[tables->count++];
    *added = (struct consumed){.shown = shown, .table = name, .transactional = units};
    return added;
}

/* Twice what the plain operation costs for the table, checks too; the rows of indexes as outside.
 * A replay has read the items. */
void transact_consume_write(struct api_call *call, struct transact_tables *tables,
                            struct bytes shown, const struct write_request *request,
                            const struct transact_result *result, uint32_t i)
{
    const struct write_result *write = &result->writes[i];
    const char *units = result->replayed ? "ReadCapacityUnits" : "WriteCapacityUnits";
    struct consumed *consumed = table_of(tables, shown, request->table, units);
    if (result->replayed) {
        uint64_t half_units = 2 * units_read_halves(write->old_bytes, true);
        consumed->half_units += half_units;
        call->read_half_units += half_units;
        return;
    }
    uint64_t before = consumed_total(consumed);
    consume_write(consumed, write);
    consumed->half_units += units_write_halves(write->old_bytes, write->new_bytes);
    call->write_half_units += consumed_total(consumed) - before;
}

void transact_consume_read(struct api_call *call, struct transact_tables *tables,
                           struct bytes shown, const struct get_request *request,
                           const struct get_result *result)
{
    uint64_t half_units = 2 * units_read_halves(result->item_bytes, true);
    table_of(tables, shown, request->table, "ReadCapacityUnits")->half_units += half_units;
    call->read_half_units += half_units;
}

void transact_write_capacities(struct api_call *call, uint8_t asked,
                               const struct transact_tables *tables)
{
    if (asked != CAPACITY_TOTAL && asked != CAPACITY_INDEXES)
        return;
    write_name(&call->json, "ConsumedCapacity");
    json_write_array_begin(&call->json);
    for (uint32_t i = 0; i < tables->count; i++)
        write_capacity_object(call, asked, &tables->consumed[i]);
    json_write_array_end(&call->json);
}

/* ---- TransactWriteItems ---- */

struct transact_write {
    const struct transact_write_input *input;
    const struct transact_action_input **actions;
    struct write_request *requests;
    struct transact_tables tables;
};

static enum status choose_action(struct api_call *call,
                                 const struct transact_write_item_input *item,
                                 const struct transact_action_input **action, enum write_kind *kind)
{
    const struct transact_action_input *given[] = {
        [WRITE_PUT] = item->put,
        [WRITE_UPDATE] = item->update,
        [WRITE_DELETE] = item->delete,
        [WRITE_CHECK] = item->check,
    };
    *action = NULL;
    for (uint32_t i = 0; i < ARRAY_COUNT(given); i++) {
        if (given[i] == NULL)
            continue;
        if (*action != NULL)
            return call_invalid(call, ONLY_ONE);
        *action = given[i];
        *kind = (enum write_kind)i;
    }
    return *action == NULL ? call_invalid(call, ONLY_ONE) : STATUS_OK;
}

static enum status compile(struct api_call *call, const struct transact_action_input *action,
                           struct write_request *request)
{
    struct call_expressions expressions;
    bool any = action->update_expression.at != NULL || action->condition_expression.at != NULL;
    TRY(call_expressions_begin(call, &expressions, &action->names, action->values, any, any,
                               "ConditionExpression is null"));
    TRY(call_compile(call, &expressions, EXPR_UPDATE, action->update_expression, &request->update));
    TRY(call_compile(call, &expressions, EXPR_CONDITION, action->condition_expression,
                     &request->condition));
    return call_expressions_end(call, &expressions);
}

static enum status collect_writes(struct api_call *call, struct transact_write *t)
{
    const struct transact_write_item_input *items = t->input->items.at;
    for (uint32_t i = 0; i < t->input->items.count; i++) {
        struct write_request *request = &t->requests[i];
        const struct transact_action_input *action;
        TRY(choose_action(call, &items[i], &action, &request->kind));
        t->actions[i] = action;
        request->item = action->item;
        request->return_on_failure = action->return_values_on_failure == ON_FAILURE_ALL_OLD;
        TRY(call_table_name(call, action->table, &request->table));
        TRY(compile(call, action, request));
    }
    return STATUS_OK;
}

static void consume(struct api_call *call, struct transact_write *t,
                    const struct transact_result *result)
{
    for (uint32_t i = 0; i < t->input->items.count; i++)
        transact_consume_write(call, &t->tables, t->actions[i]->table, &t->requests[i], result, i);
}

static bool same_collection(const struct table *table, const struct write_request *a,
                            const struct write_request *b)
{
    struct value keys[2];
    struct bytes name = table->schema.partition.name;
    return bytes_equal(a->table, b->table) && value_find(a->item, name, &keys[0]) &&
           value_find(b->item, name, &keys[1]) && value_equal(keys[0], keys[1]);
}

/* Was the item collection of action `i` written to by it, and by none behind it? */
static bool shows_collection(const struct table *table, const struct transact_write *t,
                             const struct transact_result *result, uint32_t i)
{
    if (!result->writes[i].has_collection)
        return false;
    for (uint32_t later = i + 1; later < t->input->items.count; later++) {
        if (result->writes[later].has_collection &&
            same_collection(table, &t->requests[i], &t->requests[later]))
            return false;
    }
    return true;
}

static void write_metrics(struct api_call *call, const struct transact_write *t,
                          const struct transact_result *result)
{
    if (t->input->return_item_collection_metrics != METRICS_SIZE)
        return;
    write_name(&call->json, "ItemCollectionMetrics");
    json_write_object_begin(&call->json);
    for (uint32_t c = 0; c < t->tables.count; c++) {
        const struct table *table;
        struct error ignored;
        bool open = false;
        struct bytes name = t->tables.consumed[c].table;
        if (router_table(call_router(call), name, &table, &ignored) != STATUS_OK)
            continue;
        for (uint32_t i = 0; i < t->input->items.count; i++) {
            if (!bytes_equal(t->requests[i].table, name) || !shows_collection(table, t, result, i))
                continue;
            if (!open) {
                json_write_name(&call->json, t->tables.consumed[c].shown);
                json_write_array_begin(&call->json);
                open = true;
            }
            write_collection_metrics(call, name, t->requests[i].item, &result->writes[i]);
        }
        if (open)
            json_write_array_end(&call->json);
    }
    json_write_object_end(&call->json);
}

enum status api_transact_write_items(struct api_call *call)
{
    struct arena *arena = call_arena(call);
    struct transact_write *t = arena_alloc(arena, sizeof(*t));
    if (t == NULL)
        return call_no_memory(call);
    t->input = call->input.at;
    t->tables.count = 0;
    uint32_t count = t->input->items.count;
    t->actions = arena_alloc_array(arena, count, sizeof(void *));
    t->requests = arena_alloc_zero(arena, count * sizeof(*t->requests));
    if (t->actions == NULL || t->requests == NULL)
        return call_no_memory(call);
    TRY(collect_writes(call, t));
    struct transact_request request = {
        .writes = t->requests, .count = count, .token = t->input->token};
    struct transact_result result;
    TRY(router_transact_write(call->ctx, call_router(call), &request, &result, &call->error));
    consume(call, t, &result);
    json_write_object_begin(&call->json);
    transact_write_capacities(call, t->input->return_consumed_capacity, &t->tables);
    write_metrics(call, t, &result);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

/* ---- TransactGetItems ---- */

struct transact_get {
    const struct transact_get_input *input;
    struct get_request *requests;
    struct get_result *results;
    struct expr_program *projections;
    struct transact_tables tables;
};

static enum status collect_gets(struct api_call *call, struct transact_get *t)
{
    const struct transact_get_item_input *items = t->input->items.at;
    for (uint32_t i = 0; i < t->input->items.count; i++) {
        const struct transact_get_one_input *get = items[i].get;
        struct call_expressions expressions;
        t->requests[i] = (struct get_request){.key = get->key, .consistent = true};
        TRY(call_table_name(call, get->table, &t->requests[i].table));
        TRY(call_expressions_begin(call, &expressions, &get->names, VALUE_ABSENT,
                                   get->projection_expression.at != NULL, false, NULL));
        TRY(call_compile(call, &expressions, EXPR_PROJECTION, get->projection_expression,
                         &t->projections[i]));
        TRY(call_expressions_end(call, &expressions));
    }
    return STATUS_OK;
}

static enum status write_responses(struct api_call *call, struct transact_get *t)
{
    const struct transact_get_item_input *items = t->input->items.at;
    write_name(&call->json, "Responses");
    json_write_array_begin(&call->json);
    for (uint32_t i = 0; i < t->input->items.count; i++) {
        transact_consume_read(call, &t->tables, items[i].get->table, &t->requests[i],
                              &t->results[i]);
        json_write_object_begin(&call->json);
        if (value_type(t->results[i].item) != VALUE_NONE) {
            write_name(&call->json, "Item");
            TRY(write_item(call, &t->projections[i], t->results[i].item));
        }
        json_write_object_end(&call->json);
    }
    json_write_array_end(&call->json);
    return STATUS_OK;
}

enum status api_transact_get_items(struct api_call *call)
{
    struct arena *arena = call_arena(call);
    struct transact_get *t = arena_alloc(arena, sizeof(*t));
    if (t == NULL)
        return call_no_memory(call);
    t->input = call->input.at;
    t->tables.count = 0;
    uint32_t count = t->input->items.count;
    t->requests = arena_alloc_zero(arena, count * sizeof(*t->requests));
    t->results = arena_alloc_zero(arena, count * sizeof(*t->results));
    t->projections = arena_alloc_zero(arena, count * sizeof(*t->projections));
    if (t->requests == NULL || t->results == NULL || t->projections == NULL)
        return call_no_memory(call);
    TRY(collect_gets(call, t));
    TRY(router_transact_get(call->ctx, call_router(call), t->requests, count, t->results,
                            &call->error));
    json_write_object_begin(&call->json);
    TRY(write_responses(call, t));
    transact_write_capacities(call, t->input->return_consumed_capacity, &t->tables);
    json_write_object_end(&call->json);
    return STATUS_OK;
}
