/* partiql_transact.c - ExecuteTransaction: statements all of which happen or none, or reads by key
 * as of one moment. */
#include "api/partiql_private.h"
#include "api/transact_private.h"

struct transact_statements {
    const struct execute_transaction_input *input;
    const struct parameterized_statement_input *inputs;
    struct partiql_statement *statements;
    uint32_t count;
    struct transact_tables tables;
};

static enum status parse(struct api_call *call, struct transact_statements *t)
{
    uint32_t reads = 0, writes = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        struct partiql_statement *s = &t->statements[i];
        TRY(call_partiql(call, t->inputs[i].statement, &t->inputs[i].parameters, s));
        if (s->returned != RETURN_NONE)
            return call_invalid(call, "RETURNING is not supported in ExecuteTransaction");
        reads += s->kind == PARTIQL_SELECT;
        writes += s->kind != PARTIQL_SELECT;
    }
    if (reads > 0 && writes > 0)
        return call_invalid(call, "ExecuteTransaction API does not support both read and write "
                                  "operations in the same request.");
    return STATUS_OK;
}

/* The table of a statement, which names no index; `no_index` is what is wrong if it does. */
static enum status find_table(struct api_call *call, const struct partiql_statement *statement,
                              const char *no_index, struct partiql_target *target)
{
    struct partiql_statement of_table = *statement;
    of_table.index = (struct bytes){0};
    TRY(call_partiql_target(call, &of_table, target));
    return statement->index.at == NULL ? STATUS_OK : call_invalid(call, no_index);
}

/* "Responses": what each statement read; nothing of a write. */
static void write_responses(struct api_call *call, const struct transact_statements *t,
                            const struct get_result *results)
{
    write_name(&call->json, "Responses");
    json_write_array_begin(&call->json);
    for (uint32_t i = 0; i < t->count; i++) {
        json_write_object_begin(&call->json);
        if (results != NULL && value_type(results[i].item) != VALUE_NONE) {
            write_name(&call->json, "Item");
            write_partiql_item(&call->json, &t->statements[i], results[i].item);
        }
        json_write_object_end(&call->json);
    }
    json_write_array_end(&call->json);
}

/* ---- Reads ---- */

#define NO_READ_KEY                                                                                \
    "Select statements within ExecuteTransaction must specify the primary key in the where "       \
    "clause."

static enum status plan_read(struct api_call *call, const struct partiql_statement *statement,
                             struct get_request *request)
{
    struct partiql_target target;
    TRY(find_table(call, statement, NO_READ_KEY, &target));
    *request = (struct get_request){.table = target.name, .consistent = true};
    enum status status = partiql_plan_get(call_arena(call), statement, &target.table->schema,
                                          &request->key, &call->error);
    return status == STATUS_NOT_FOUND ? call_invalid(call, NO_READ_KEY) : status;
}

static enum status run_reads(struct api_call *call, struct transact_statements *t)
{
    struct get_request *requests = arena_alloc_zero(call_arena(call), t->count * sizeof(*requests));
    struct get_result *results = arena_alloc_zero(call_arena(call), t->count * sizeof(*results));
    if (requests == NULL || results == NULL)
        return call_no_memory(call);
    struct inject_item items[TXN_ITEMS_MAX];
    for (uint32_t i = 0; i < t->count; i++) {
        TRY(plan_read(call, &t->statements[i], &requests[i]));
        items[i] = (struct inject_item){requests[i].table, requests[i].key};
    }
    TRY(call_inject_items(call, items, t->count));
    TRY(router_transact_get(call->ctx, call_router(call), requests, t->count, results,
                            &call->error));
    for (uint32_t i = 0; i < t->count; i++)
        transact_consume_read(call, &t->tables, t->statements[i].table, &requests[i], &results[i]);
    call->json.to->owed = false; /* it changes nothing and may answer much */
    json_write_object_begin(&call->json);
    write_responses(call, t, results);
    transact_write_capacities(call, t->input->return_consumed_capacity, &t->tables);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

/* ---- Writes ---- */

/* The condition of an INSERT is that there is no such item. */
static enum status name_duplicates(struct api_call *call, const struct transact_statements *t)
{
    struct error *reasons = arena_alloc_array(call_arena(call), t->count, sizeof(*reasons));
    if (reasons == NULL)
        return call_no_memory(call);
    memcpy(reasons, call->error.reasons, t->count * sizeof(*reasons));
    for (uint32_t i = 0; i < t->count; i++) {
        struct error *reason = &reasons[i];
        if (reason->code != ERROR_CONDITION_FAILED || t->statements[i].kind != PARTIQL_INSERT)
            continue;
        reason->code = ERROR_DUPLICATE_ITEM;
        reason->message = BYTES("Duplicate primary key exists in table");
    }
    return router_cancelled(&call->error, call_arena(call), reasons, t->count);
}

static enum status plan_write(struct api_call *call, const struct transact_statements *t,
                              uint32_t i, struct write_request *request)
{
    struct partiql_target target;
    TRY(find_table(call, &t->statements[i], "This operation is not supported on an index",
                   &target));
    *request = (struct write_request){.table = target.name,
                                      .return_on_failure = t->inputs[i].return_values_on_failure ==
                                                           ON_FAILURE_ALL_OLD};
    return partiql_plan_write(call_arena(call), &t->statements[i], &target.table->schema, request,
                              &call->error);
}

static enum status run_writes(struct api_call *call, struct transact_statements *t)
{
    struct write_request *writes = arena_alloc_zero(call_arena(call), t->count * sizeof(*writes));
    if (writes == NULL)
        return call_no_memory(call);
    struct inject_item items[TXN_ITEMS_MAX];
    for (uint32_t i = 0; i < t->count; i++) {
        TRY(plan_write(call, t, i, &writes[i]));
        items[i] = (struct inject_item){writes[i].table, writes[i].item};
    }
    TRY(call_inject_items(call, items, t->count));
    struct transact_request request = {
        .writes = writes, .count = t->count, .token = t->input->token};
    struct transact_result result;
    enum status status =
        router_transact_write(call->ctx, call_router(call), &request, &result, &call->error);
    if (status != STATUS_OK)
        return call->error.reason_count == t->count ? name_duplicates(call, t) : status;
    for (uint32_t i = 0; i < t->count; i++)
        transact_consume_write(call, &t->tables, t->statements[i].table, &writes[i], &result, i);
    json_write_object_begin(&call->json);
    write_responses(call, t, NULL);
    transact_write_capacities(call, t->input->return_consumed_capacity, &t->tables);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

enum status api_execute_transaction(struct api_call *call)
{
    struct transact_statements *t = arena_alloc_zero(call_arena(call), sizeof(*t));
    if (t == NULL)
        return call_no_memory(call);
    t->input = call->input.at;
    t->inputs = t->input->statements.at;
    t->count = t->input->statements.count;
    t->statements = arena_alloc_zero(call_arena(call), t->count * sizeof(*t->statements));
    if (t->statements == NULL)
        return call_no_memory(call);
    TRY(parse(call, t));
    return t->statements[0].kind == PARTIQL_SELECT ? run_reads(call, t) : run_writes(call, t);
}
