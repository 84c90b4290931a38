/* ttl.c - UpdateTimeToLive, DescribeTimeToLive. */
#include "api/api_private.h"

enum status api_update_time_to_live(struct api_call *call)
{
    const struct update_ttl_input *input = call->input.at;
    struct json_writer *json = &call->json;
    struct bytes name;
    bool enable = input->ttl->enabled == MODEL_TRUE;
    TRY(call_table_name(call, input->table, &name));
    TRY(router_update_ttl(call->ctx, call_router(call), name, enable, input->ttl->attribute,
                          &call->error));
    json_write_object_begin(json);
    write_name(json, "TimeToLiveSpecification");
    json_write_object_begin(json);
    write_name(json, "Enabled");
    json_write_bool(json, enable);
    write_text(json, "AttributeName", input->ttl->attribute);
    json_write_object_end(json);
    json_write_object_end(json);
    return STATUS_OK;
}

enum status api_describe_time_to_live(struct api_call *call)
{
    const struct table_input *input = call->input.at;
    struct json_writer *json = &call->json;
    const struct table *table;
    struct bytes name;
    TRY(call_table_name(call, input->table, &name));
    TRY(call_settle(call, name));
    TRY(router_describe_table(call->ctx, call_router(call), name, &table, &call->error));
    if (table->status == TABLE_CREATING || table->status == TABLE_DELETING)
        return error_format(
            &call->error, call_arena(call), ERROR_VALIDATION,
            "Cannot describe time to live while table is in %s state: Current table state is %s",
            table_status_name(table->status), table_status_name(table->status));
    json_write_object_begin(json);
    write_name(json, "TimeToLiveDescription");
    json_write_object_begin(json);
    write_text(json, "TimeToLiveStatus", bytes_of_text(ttl_status_name(table->ttl)));
    if (table->ttl != TTL_DISABLED)
        write_text(json, "AttributeName", table->ttl_attribute);
    json_write_object_end(json);
    json_write_object_end(json);
    return STATUS_OK;
}
