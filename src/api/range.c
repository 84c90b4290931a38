/* range.c - Query and Scan. */
#include "admission/units.h"
#include "api/api_private.h"
#include "base/assert.h"
#include "base/compiler.h"

/* Takes the items of the range into the answer. */
struct range_answer {
    struct item_sink sink;
    struct api_call *call;
    struct expr_program projection;
    bool count_only;
    const struct index_schema *cut; /* to what this index holds; NULL: nothing is cut */
    const struct key_schema *schema;
    struct buffer rows; /* for that */
};

static enum status take_item(struct item_sink *sink, struct value item)
{
    struct range_answer *answer = CONTAINER_OF(sink, struct range_answer, sink);
    if (answer->count_only)
        return STATUS_OK;
    if (answer->cut != NULL) {
        buffer_clear(&answer->rows);
        TRY(index_project(answer->cut, answer->schema, item, &answer->rows, &item));
    }
    TRY(write_item(answer->call, &answer->projection, item));
    return answer->call->json.to->failed ? STATUS_NO_MEMORY : STATUS_OK;
}

/* ---- Checks ---- */

/* Both a projection and a Select that is not for one. */
static enum status refuse_select(struct api_call *call, const char *what)
{
    const struct range_input *input = call->input.at;
    return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                        "Cannot specify the %s when choosing to get %s",
                        input->attributes_to_get.given ? "AttributesToGet" : "ProjectionExpression",
                        what);
}

static enum status check_select(struct api_call *call)
{
    const struct range_input *input = call->input.at;
    bool projected = input->projection_expression.at != NULL || input->attributes_to_get.given;
    switch (input->select) {
    case SELECT_SPECIFIC_ATTRIBUTES:
        if (!projected)
            return call_invalid(call, "Must specify the AttributesToGet or ProjectionExpression "
                                      "when choosing to get SPECIFIC_ATTRIBUTES");
        return STATUS_OK;
    case SELECT_COUNT:
        return projected ? refuse_select(call, "only the Count") : STATUS_OK;
    case SELECT_ALL_ATTRIBUTES:
        return projected ? refuse_select(call, "ALL_ATTRIBUTES") : STATUS_OK;
    case SELECT_ALL_PROJECTED_ATTRIBUTES:
        if (projected)
            return refuse_select(call, "ALL_PROJECTED_ATTRIBUTES");
        if (input->index.at != NULL)
            return STATUS_OK;
        return call_invalid(call, "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using "
                                  "an IndexName");
    default:
        return STATUS_OK;
    }
}

static enum status check_segments(struct api_call *call)
{
    const struct range_input *input = call->input.at;
    if (!input->segment.given && !input->total_segments.given)
        return STATUS_OK;
    if (!input->segment.given)
        return call_invalid(call, "The Segment parameter is required but was not present in the "
                                  "request when parameter TotalSegments is present");
    if (!input->total_segments.given)
        return call_invalid(call, "The TotalSegments parameter is required but was not present in "
                                  "the request when Segment parameter is present");
    if (input->segment.value < input->total_segments.value)
        return STATUS_OK;
    return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                        "The Segment parameter is zero-based and must be less than parameter "
                        "TotalSegments: Segment: %lld is not less than TotalSegments: %lld",
                        (long long)input->segment.value, (long long)input->total_segments.value);
}

/* A Query finds items by their key; its filter is for what the key condition cannot say. */
static enum status check_filter(struct api_call *call, const struct range_request *request,
                                const struct table *table, const struct index_schema *index)
{
    const struct range_input *input = call->input.at;
    struct expr_attributes walk = {0};
    struct bytes name;
    if (request->filter.code.count == 0)
        return STATUS_OK;
    while (expr_next_attribute(&request->filter, &walk, &name)) {
        if (index == NULL ? key_schema_has(&table->schema, name) : index_has_key(index, name))
            return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                                "%s can only contain non-primary key attributes: "
                                "Primary key attribute: %.*s",
                                input->filter.given ? "QueryFilter" : "Filter Expression",
                                BYTES_ARGS(name));
    }
    return STATUS_OK;
}

enum status call_check_projected(struct api_call *call, const struct expr_program *program,
                                 const struct table *table, const struct index_schema *index)
{
    struct expr_attributes walk = {0};
    struct bytes name;
    struct buffer text;
    enum status status = STATUS_OK;
    buffer_init(&text, call->ctx->env->heap, 1u << 20);
    while (program->code.count > 0 && expr_next_attribute(program, &walk, &name)) {
        if (!index_projects(index, &table->schema, name))
            buffer_append_format(&text, "%s%.*s", text.count > 0 ? ", " : "", BYTES_ARGS(name));
    }
    if (text.failed)
        status = call_no_memory(call);
    else if (text.count > 0)
        status = error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                              INVALID_VALUES "Global secondary index %.*s does not project [%.*s]",
                              BYTES_ARGS(index->name), BYTES_ARGS(buffer_bytes(&text)));
    buffer_release(&text);
    return status;
}

/* A global index has what it holds and nothing else, and is read as it is by then. */
static enum status check_global(struct api_call *call, const struct range_request *request,
                                const struct expr_program *projection, const struct table *table,
                                const struct index_schema *index)
{
    const struct range_input *input = call->input.at;
    if (request->consistent)
        return call_invalid(call, GLOBAL_INDEX_CONSISTENT);
    if (input->select == SELECT_ALL_ATTRIBUTES && index->projection != PROJECT_ALL)
        return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                            INVALID_VALUES
                            "Select type ALL_ATTRIBUTES is not supported for global secondary "
                            "index %.*s because its projection type is not ALL",
                            BYTES_ARGS(index->name));
    TRY(call_check_projected(call, projection, table, index));
    return call_check_projected(call, &request->filter, table, index);
}

/* Of these, KeyConditions may be beside expressions. */
static enum status compile_legacy(struct api_call *call, struct range_request *request,
                                  struct expr_program *projection)
{
    const struct range_input *input = call->input.at;
    if (input->projection_expression.at == NULL)
        TRY(call_attributes_to_get(call, &input->attributes_to_get, projection));
    if (input->filter_expression.at == NULL)
        TRY(call_filter(call, input, &request->filter));
    return input->key_conditions.given
               ? call_key_conditions(call, &input->key_conditions, &request->key_condition)
               : STATUS_OK;
}

static enum status compile(struct api_call *call, struct range_request *request,
                           struct expr_program *projection)
{
    const struct range_input *input = call->input.at;
    struct call_expressions expressions;
    bool query = request->kind == RANGE_QUERY;
    bool valued = input->key_condition_expression.at != NULL || input->filter_expression.at != NULL;
    bool any = valued || input->projection_expression.at != NULL;
    TRY(call_expressions_begin(call, &expressions, &input->names, input->values, any, valued,
                               query ? "FilterExpression and KeyConditionExpression are null"
                                     : "FilterExpression is null"));
    if (query && input->key_condition_expression.at == NULL && !input->key_conditions.given)
        return call_invalid(call, "Either the KeyConditions or KeyConditionExpression parameter "
                                  "must be specified in the request.");
    TRY(call_compile(call, &expressions, EXPR_PROJECTION, input->projection_expression,
                     projection));
    TRY(call_compile(call, &expressions, EXPR_FILTER, input->filter_expression, &request->filter));
    TRY(call_compile(call, &expressions, EXPR_KEY_CONDITION, input->key_condition_expression,
                     &request->key_condition));
    TRY(call_expressions_end(call, &expressions));
    if (UNLIKELY(call->input.legacy))
        TRY(compile_legacy(call, request, projection));
    return STATUS_OK;
}

/* What depends on the table.  Nothing waits from here to the range's beginning, so that the answer
 * may refer to the table that the router then holds. */
static enum status check_table(struct api_call *call, struct range_request *request,
                               struct range_answer *answer, uint8_t *index_shown)
{
    const struct range_input *input = call->input.at;
    const struct table *table;
    const struct index_schema *index;
    *index_shown = 0;
    if (input->index.at == NULL && (request->kind == RANGE_SCAN || request->filter.code.count == 0))
        return STATUS_OK;
    TRY(router_table(call_router(call), request->table, &table, &call->error));
    TRY(router_index(table, input->index, call_arena(call), &index, &call->error));
    *index_shown = index == NULL ? 0 : (uint8_t)(index - table->indexes + 1);
    if (index != NULL && index->kind == INDEX_GLOBAL)
        TRY(check_global(call, request, &answer->projection, table, index));
    if (request->kind == RANGE_QUERY)
        TRY(check_filter(call, request, table, index));
    request->index = input->index;
    request->projection = answer->projection;
    request->all_attributes = input->select == SELECT_ALL_ATTRIBUTES;
    /* A filter may have whole items read: what is answered is what the index holds. */
    bool cut = index != NULL && index->kind == INDEX_LOCAL && request->filter.code.count > 0 &&
               !request->all_attributes && answer->projection.code.count == 0;
    if (cut) {
        answer->cut = index;
        answer->schema = &table->schema;
    }
    return STATUS_OK;
}

/* ---- The operations ---- */

static void write_result(struct api_call *call, const struct range_result *result,
                         const struct consumed *consumed)
{
    const struct range_input *input = call->input.at;
    struct json_writer *json = &call->json;
    write_u64(json, "Count", result->count);
    write_u64(json, "ScannedCount", result->scanned_count);
    if (value_type(result->last_key) != VALUE_NONE) {
        write_name(json, "LastEvaluatedKey");
        item_json_write_map(json, result->last_key);
    }
    write_capacity(call, input->return_consumed_capacity, consumed);
    json_write_object_end(json);
}

/* Reading an index consumes of the index, and whole items that it led to of the table. */
static struct consumed consume_range(struct api_call *call, const struct range_request *request,
                                     uint8_t index_shown, const struct range_result *result)
{
    const struct range_input *input = call->input.at;
    uint64_t half_units = units_read_halves(result->scanned_bytes, request->consistent);
    struct consumed consumed = {.shown = input->table,
                                .table = request->table,
                                .half_units = half_units,
                                .index_count = index_shown,
                                .index_shown = index_shown};
    if (index_shown > 0) {
        consumed.half_units = result->fetched_half_units;
        consumed.index_half_units[index_shown - 1] = half_units;
    }
    call->read_half_units = consumed_total(&consumed);
    return consumed;
}

static enum status range(struct api_call *call, enum range_kind kind)
{
    const struct range_input *input = call->input.at;
    struct range_answer answer = {
        .sink = {.take = take_item}, .call = call, .count_only = input->select == SELECT_COUNT};
    struct range_request request = {
        .kind = kind,
        .start_key = input->exclusive_start_key,
        .limit = input->limit.given ? (uint32_t)input->limit.value : 0,
        .backward = input->scan_index_forward == MODEL_FALSE,
        .consistent = input->consistent_read == MODEL_TRUE,
        .segment = (uint32_t)input->segment.value,
        .segment_count = (uint32_t)input->total_segments.value,
    };
    struct range_result result;
    TRY(call_table_name(call, input->table, &request.table));
    TRY(check_select(call));
    TRY(check_segments(call));
    TRY(compile(call, &request, &answer.projection));
    uint8_t index_shown;
    TRY(check_table(call, &request, &answer, &index_shown));

    json_write_object_begin(&call->json);
    if (!answer.count_only) {
        write_name(&call->json, "Items");
        json_write_array_begin(&call->json);
    }
    buffer_init(&answer.rows, call->ctx->env->heap, 2 * ITEM_STORED_BYTES_MAX);
    enum status status =
        router_range(call->ctx, call_router(call), &request, &answer.sink, &result, &call->error);
    buffer_release(&answer.rows);
    TRY(status);
    if (!answer.count_only)
        json_write_array_end(&call->json);
    struct consumed consumed = consume_range(call, &request, index_shown, &result);
    write_result(call, &result, &consumed);
    return STATUS_OK;
}

enum status api_query(struct api_call *call)
{
    return range(call, RANGE_QUERY);
}

enum status api_scan(struct api_call *call)
{
    return range(call, RANGE_SCAN);
}
