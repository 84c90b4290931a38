/* partiql_batch.c - BatchExecuteStatement: up to 25 statements, all reads by key or all writes;
 * each ends on its own. */
#include "api/partiql_private.h"

#include "admission/units.h"
#include "base/compiler.h"

#define STATEMENTS_MAX 25u /* as the model says */

/* One statement, what it stands for, and how it ended. */
struct batch_statement {
    struct partiql_statement statement;
    struct write_request write; /* or */
    struct get_request get;
    struct bytes name;            /* of the table */
    struct value partition, sort; /* of the item; ABSENT: it is not known */
    struct error error;           /* code: how it ended before it ran; ERROR_NONE: it may run */
    bool parsed;
    struct consumed consumed;
};

struct statement_batch {
    const struct batch_execute_input *input;
    const struct batch_statement_input *inputs;
    struct batch_statement *statements;
    uint32_t count;
};

static bool is_read(const struct batch_statement *s)
{
    return s->statement.kind == PARTIQL_SELECT || s->statement.kind == PARTIQL_EXISTS;
}

/* Of the item; known once it is planned. */
static struct value key_of(const struct batch_statement *s)
{
    return is_read(s) ? s->get.key : s->write.item;
}

/* ---- Before anything runs ---- */

static enum status plan_read(struct api_call *call, const struct batch_statement_input *input,
                             struct batch_statement *s, const struct key_schema *schema)
{
    if (s->statement.kind == PARTIQL_EXISTS)
        return call_invalid(call, PARTIQL_EXISTS_ALONE);
    s->get =
        (struct get_request){.table = s->name, .consistent = input->consistent_read == MODEL_TRUE};
    enum status status =
        partiql_plan_get(call_arena(call), &s->statement, schema, &s->get.key, &call->error);
    return status != STATUS_NOT_FOUND
               ? status
               : call_invalid(call, "Select statements within BatchExecuteStatement must specify "
                                    "the primary key in the where clause.");
}

/* ReturnValuesOnConditionCheckFailure has no effect here, as observed of the service. */
static enum status plan_write(struct api_call *call, struct batch_statement *s,
                              const struct key_schema *schema)
{
    s->write = (struct write_request){.table = s->name};
    return partiql_plan_write(call_arena(call), &s->statement, schema, &s->write, &call->error);
}

static enum status prepare_one(struct api_call *call, const struct batch_statement_input *input,
                               struct batch_statement *s)
{
    struct partiql_target target;
    TRY(call_partiql(call, input->statement, &input->parameters, &s->statement));
    s->parsed = true;
    /* A read of an index is refused for its lack of a key. */
    struct partiql_statement of_table = s->statement;
    if (is_read(s))
        of_table.index = (struct bytes){0};
    TRY(call_partiql_target(call, &of_table, &target));
    struct error ignored;
    if (s->statement.index.at != NULL &&
        router_index(target.table, s->statement.index, call_arena(call), &target.index, &ignored) ==
            STATUS_OK)
        TRY(call_partiql_check_index(call, target.index));
    const struct key_schema *schema = &target.table->schema;
    s->name = target.name;
    s->consumed = (struct consumed){.shown = s->statement.table, .table = target.name};
    TRY(is_read(s) ? plan_read(call, input, s, schema) : plan_write(call, s, schema));
    struct value key = key_of(s);
    (void)value_find(key, schema->partition.name, &s->partition);
    if (schema->sort.type != VALUE_NONE)
        (void)value_find(key, schema->sort.name, &s->sort);
    return STATUS_OK;
}

/* Take the error of the call as that of the statement. */
static void keep_error(struct api_call *call, struct batch_statement *s, enum status status)
{
    if (call->error.code == ERROR_NONE)
        (void)error_internal(&call->error, status);
    s->error = call->error;
    call->error = (struct error){0};
}

static bool same_item(const struct batch_statement *a, const struct batch_statement *b)
{
    return value_type(a->partition) != VALUE_NONE && bytes_equal(a->name, b->name) &&
           value_equal(a->partition, b->partition) &&
           (value_type(a->sort) == VALUE_NONE ? value_type(b->sort) == VALUE_NONE
                                              : value_equal(a->sort, b->sort));
}

static enum status check_together(struct api_call *call, const struct statement_batch *batch)
{
    uint32_t reads = 0, writes = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct batch_statement *s = &batch->statements[i];
        reads += s->parsed && is_read(s);
        writes += s->parsed && !is_read(s);
        for (uint32_t j = 0; j < i && s->error.code == ERROR_NONE; j++) {
            if (batch->statements[j].error.code == ERROR_NONE &&
                same_item(&batch->statements[j], s))
                return call_invalid(call, "Provided list of item keys contains duplicates");
        }
    }
    if (reads > 0 && writes > 0)
        return call_invalid(call, "BatchExecuteStatement API does not support both read and write "
                                  "operations in the same request.");
    return STATUS_OK;
}

/* Statements for which an error is injected end with it. */
static enum status meet_injected(struct api_call *call, struct statement_batch *batch)
{
    struct inject_item items[STATEMENTS_MAX];
    if (LIKELY(call->api->inject_count == 0 && call->injected == NULL))
        return STATUS_OK;
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct batch_statement *s = &batch->statements[i];
        bool runs = s->error.code == ERROR_NONE;
        items[i] = (struct inject_item){s->name, runs ? key_of(s) : VALUE_ABSENT};
    }
    TRY(call_inject_items(call, items, batch->count));
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct error *error = call_injected(call, items[i].table, items[i].item);
        if (error != NULL && batch->statements[i].error.code == ERROR_NONE)
            batch->statements[i].error = *error;
    }
    return STATUS_OK;
}

static enum status prepare(struct api_call *call, struct statement_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        struct batch_statement *s = &batch->statements[i];
        enum status status = prepare_one(call, &batch->inputs[i], s);
        if (status != STATUS_OK)
            keep_error(call, s, status);
        if (call->ctx->arena.refused)
            return call_no_memory(call);
    }
    TRY(check_together(call, batch));
    return meet_injected(call, batch);
}

/* ---- Answers ---- */

/* Most are named as the reasons of a transaction are. */
static struct bytes error_name(enum error_code code)
{
    switch (code) {
    case ERROR_RESOURCE_NOT_FOUND:
        return BYTES("ResourceNotFound");
    case ERROR_REQUEST_LIMIT:
        return BYTES("RequestLimitExceeded");
    case ERROR_ACCESS_DENIED:
        return BYTES("AccessDenied");
    case ERROR_CONDITION_FAILED:
    case ERROR_DUPLICATE_ITEM:
    case ERROR_TRANSACTION_CONFLICT:
    case ERROR_COLLECTION_SIZE:
    case ERROR_THROUGHPUT_EXCEEDED:
    case ERROR_THROTTLING:
    case ERROR_VALIDATION:
        return router_reason_code(code);
    default:
        return BYTES("InternalServerError");
    }
}

static void write_error(struct json_writer *json, const struct error *error)
{
    write_name(json, "Error");
    json_write_object_begin(json);
    write_text(json, "Code", error_name(error->code));
    write_text(json, "Message", error->message);
    json_write_object_end(json);
}

/* A read; its item is written before the fiber waits again. */
static enum status run_read(struct api_call *call, struct batch_statement *s)
{
    struct get_result result;
    TRY(router_get(call->ctx, call_router(call), &s->get, &result, &call->error));
    s->consumed.half_units = units_read_halves(result.item_bytes, s->get.consistent);
    call->read_half_units += s->consumed.half_units;
    if (value_type(result.item) != VALUE_NONE) {
        write_name(&call->json, "Item");
        write_partiql_item(&call->json, &s->statement, result.item);
    }
    return STATUS_OK;
}

static enum status run_write(struct api_call *call, struct batch_statement *s)
{
    struct write_result result = {0};
    TRY(call_partiql_write(call, s->statement.kind, &s->write, &result, &s->consumed));
    if (partiql_returns(&result)) {
        write_name(&call->json, "Item");
        item_json_write_map(&call->json, result.attributes);
    }
    return STATUS_OK;
}

static void run_one(struct api_call *call, struct batch_statement *s)
{
    json_write_object_begin(&call->json);
    if (s->parsed)
        write_text(&call->json, "TableName", s->statement.table);
    if (s->error.code == ERROR_NONE) {
        enum status status = is_read(s) ? run_read(call, s) : run_write(call, s);
        if (status != STATUS_OK)
            keep_error(call, s, status);
    }
    if (s->error.code != ERROR_NONE)
        write_error(&call->json, &s->error);
    json_write_object_end(&call->json);
}

/* "ConsumedCapacity": [...], one entry for each table, in the order in which they came. */
static void write_capacities(struct api_call *call, struct statement_batch *batch)
{
    uint8_t asked = batch->input->return_consumed_capacity;
    if (asked != CAPACITY_TOTAL && asked != CAPACITY_INDEXES)
        return;
    write_name(&call->json, "ConsumedCapacity");
    json_write_array_begin(&call->json);
    for (uint32_t i = 0; i < batch->count; i++) {
        struct consumed *sum = &batch->statements[i].consumed;
        bool before = consumed_total(sum) == 0;
        for (uint32_t j = 0; j < i && !before; j++)
            before = consumed_total(&batch->statements[j].consumed) > 0 &&
                     bytes_equal(batch->statements[j].consumed.table, sum->table);
        if (before)
            continue;
        for (uint32_t j = i + 1; j < batch->count; j++) {
            const struct consumed *other = &batch->statements[j].consumed;
            if (bytes_equal(other->table, sum->table))
                consume_more(sum, other);
        }
        write_capacity_object(call, asked, sum);
    }
    json_write_array_end(&call->json);
}

enum status api_batch_execute_statement(struct api_call *call)
{
    const struct batch_execute_input *input = call->input.at;
    struct statement_batch batch = {.input = input, .inputs = input->statements.at};
    if (input->statements.count > STATEMENTS_MAX)
        return call_invalid(call, "Too many statements requested for the BatchExecuteStatement "
                                  "call");
    batch.count = input->statements.count;
    batch.statements = arena_alloc_zero(call_arena(call), batch.count * sizeof(*batch.statements));
    if (batch.statements == NULL)
        return call_no_memory(call);
    TRY(prepare(call, &batch));
    for (uint32_t i = 0; i < batch.count; i++) /* reads change nothing and may answer much */
        call->json.to->owed &= !(batch.statements[i].parsed && is_read(&batch.statements[i]));
    json_write_object_begin(&call->json);
    write_name(&call->json, "Responses");
    json_write_array_begin(&call->json);
    for (uint32_t i = 0; i < batch.count; i++) {
        run_one(call, &batch.statements[i]);
        context_yield(call->ctx);
    }
    json_write_array_end(&call->json);
    write_capacities(call, &batch);
    json_write_object_end(&call->json);
    return STATUS_OK;
}
