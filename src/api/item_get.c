/* item_get.c - GetItem. */
#include "admission/units.h"
#include "api/api_private.h"

enum status api_get_item(struct api_call *call)
{
    const struct get_item_input *input = call->input.at;
    struct call_expressions expressions;
    struct expr_program projection = {0};
    struct get_request request = {.key = input->key,
                                  .consistent = input->consistent_read == MODEL_TRUE};
    struct get_result result;
    TRY(call_table_name(call, input->table, &request.table));
    TRY(call_expressions_begin(call, &expressions, &input->names, VALUE_ABSENT,
                               input->projection_expression.at != NULL, false, NULL));
    TRY(call_compile(call, &expressions, EXPR_PROJECTION, input->projection_expression,
                     &projection));
    TRY(call_expressions_end(call, &expressions));
    if (input->attributes_to_get.given)
        TRY(call_attributes_to_get(call, &input->attributes_to_get, &projection));
    TRY(router_get(call->ctx, call_router(call), &request, &result, &call->error));

    call->read_half_units = units_read_halves(result.item_bytes, request.consistent);
    json_write_object_begin(&call->json);
    if (value_type(result.item) != VALUE_NONE) {
        write_name(&call->json, "Item");
        TRY(write_item(call, &projection, result.item));
    }
    struct consumed consumed = {
        .shown = input->table, .table = request.table, .half_units = call->read_half_units};
    write_capacity(call, input->return_consumed_capacity, &consumed);
    json_write_object_end(&call->json);
    return STATUS_OK;
}
