/* item_write.c - PutItem, UpdateItem, DeleteItem. */
#include "admission/units.h"
#include "api/api_private.h"
#include "base/compiler.h"

static enum return_values returned(uint8_t given)
{
    switch (given) {
    case VALUES_ALL_OLD:
        return RETURN_ALL_OLD;
    case VALUES_UPDATED_OLD:
        return RETURN_UPDATED_OLD;
    case VALUES_ALL_NEW:
        return RETURN_ALL_NEW;
    case VALUES_UPDATED_NEW:
        return RETURN_UPDATED_NEW;
    default:
        return RETURN_NONE;
    }
}

/* PutItem and DeleteItem have no new values to return. */
static enum status check_return_values(struct api_call *call, uint8_t given)
{
    if (given == VALUES_NOT_GIVEN || given == VALUES_NONE || given == VALUES_ALL_OLD)
        return STATUS_OK;
    return call_invalid(call, "ReturnValues can only be ALL_OLD or NONE");
}

static enum status compile_legacy(struct api_call *call, struct write_request *request)
{
    const struct write_item_input *input = call->input.at;
    TRY(call_attribute_updates(call, &input->attribute_updates, &request->update));
    return call_expected(call, input, &request->condition);
}

/* The expressions of the request, or what they replaced, into its programs. */
static enum status compile(struct api_call *call, struct write_request *request)
{
    const struct write_item_input *input = call->input.at;
    struct call_expressions expressions;
    bool any = input->update_expression.at != NULL || input->condition_expression.at != NULL;
    const char *note = request->kind == WRITE_UPDATE
                           ? "UpdateExpression and ConditionExpression are null"
                           : "ConditionExpression is null";
    TRY(call_expressions_begin(call, &expressions, &input->names, input->values, any, any, note));
    TRY(call_compile(call, &expressions, EXPR_UPDATE, input->update_expression, &request->update));
    TRY(call_compile(call, &expressions, EXPR_CONDITION, input->condition_expression,
                     &request->condition));
    TRY(call_expressions_end(call, &expressions));
    return UNLIKELY(call->input.legacy) ? compile_legacy(call, request) : STATUS_OK;
}

static enum status write(struct api_call *call, enum write_kind kind)
{
    const struct write_item_input *input = call->input.at;
    struct write_request request = {
        .kind = kind,
        .item = input->item,
        .return_values = returned(input->return_values),
        .return_on_failure = input->return_values_on_failure == ON_FAILURE_ALL_OLD,
    };
    struct write_result result = {0};
    TRY(call_table_name(call, input->table, &request.table));
    if (kind != WRITE_UPDATE)
        TRY(check_return_values(call, input->return_values));
    TRY(compile(call, &request));
    enum status status =
        router_write(call->ctx, call_router(call), &request, &result, &call->error);
    /* A condition that fails has cost write units by the size of the item. */
    if (status != STATUS_OK) {
        if (call->error.code == ERROR_CONDITION_FAILED)
            call->write_half_units = units_write_halves(result.old_bytes, 0);
        return status;
    }

    struct consumed consumed = {.shown = input->table, .table = request.table};
    consume_write(&consumed, &result);
    call->write_half_units = consumed_total(&consumed);
    json_write_object_begin(&call->json);
    if (value_type(result.attributes) != VALUE_NONE) {
        write_name(&call->json, "Attributes");
        item_json_write_map(&call->json, result.attributes);
    }
    write_capacity(call, input->return_consumed_capacity, &consumed);
    if (result.has_collection && input->return_item_collection_metrics == METRICS_SIZE) {
        write_name(&call->json, "ItemCollectionMetrics");
        write_collection_metrics(call, request.table, input->item, &result);
    }
    json_write_object_end(&call->json);
    return STATUS_OK;
}

enum status api_put_item(struct api_call *call)
{
    return write(call, WRITE_PUT);
}

enum status api_update_item(struct api_call *call)
{
    return write(call, WRITE_UPDATE);
}

enum status api_delete_item(struct api_call *call)
{
    return write(call, WRITE_DELETE);
}
