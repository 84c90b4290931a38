/* describe.c - DescribeContinuousBackups, DescribeLimits, DescribeEndpoints. */
#include "api/api_private.h"

#define ENDPOINT_CACHE_MINUTES 1440u

static void begin(struct json_writer *json, const char *name)
{
    write_name(json, name);
    json_write_object_begin(json);
}

/* A table that is missing has an exception of its own here. */
static enum status find_table(struct api_call *call, struct bytes name)
{
    const struct table *table;
    enum status status =
        router_describe_table(call->ctx, call_router(call), name, &table, &call->error);
    if (status == STATUS_OK || call->error.code != ERROR_RESOURCE_NOT_FOUND)
        return status;
    return error_format(&call->error, call_arena(call), ERROR_TABLE_NOT_FOUND,
                        "Table not found: %.*s", BYTES_ARGS(name));
}

static enum status answer_continuous_backups(struct api_call *call)
{
    json_write_object_begin(&call->json);
    begin(&call->json, "ContinuousBackupsDescription");
    write_text(&call->json, "ContinuousBackupsStatus", BYTES("ENABLED"));
    begin(&call->json, "PointInTimeRecoveryDescription");
    write_text(&call->json, "PointInTimeRecoveryStatus", BYTES("DISABLED"));
    json_write_object_end(&call->json);
    json_write_object_end(&call->json);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

enum status api_describe_continuous_backups(struct api_call *call)
{
    const struct table_input *input = call->input.at;
    struct bytes name;
    TRY(call_table_name(call, input->table, &name));
    TRY(find_table(call, name));
    return answer_continuous_backups(call);
}

/* To disable what is disabled changes nothing; to enable it is not built. */
enum status api_update_continuous_backups(struct api_call *call)
{
    const struct update_backups_input *input = call->input.at;
    struct bytes name;
    TRY(call_table_name(call, input->table, &name));
    bool enabled = input->recovery->enabled == MODEL_TRUE;
    if (!enabled && input->recovery->days.given)
        return call_invalid(call, "Invalid Request: Cannot specify RecoveryPeriodInDays when "
                                  "disabling point-in-time recovery.");
    TRY(find_table(call, name));
    if (enabled)
        return call_invalid(call, INVALID_VALUES "PointInTimeRecoveryEnabled is not supported");
    return answer_continuous_backups(call);
}

enum status api_describe_limits(struct api_call *call)
{
    struct json_writer *json = &call->json;
    TRY(call_rate(call, API_RATE_LIMITS));
    json_write_object_begin(json);
    write_u64(json, "AccountMaxReadCapacityUnits", ACCOUNT_UNITS_MAX);
    write_u64(json, "AccountMaxWriteCapacityUnits", ACCOUNT_UNITS_MAX);
    write_u64(json, "TableMaxReadCapacityUnits", TABLE_UNITS_MAX);
    write_u64(json, "TableMaxWriteCapacityUnits", TABLE_UNITS_MAX);
    json_write_object_end(json);
    return STATUS_OK;
}

/* The endpoint is where the client is: clients that look endpoints up stay with this server. */
enum status api_describe_endpoints(struct api_call *call)
{
    struct json_writer *json = &call->json;
    json_write_object_begin(json);
    write_name(json, "Endpoints");
    json_write_array_begin(json);
    json_write_object_begin(json);
    write_text(json, "Address", call->request->known[HTTP_HEADER_HOST]);
    write_u64(json, "CachePeriodInMinutes", ENDPOINT_CACHE_MINUTES);
    json_write_object_end(json);
    json_write_array_end(json);
    json_write_object_end(json);
    return STATUS_OK;
}
