/* answer.c - what several operations' answers share, and their refusals. */
#include "api/api_private.h"

void write_name(struct json_writer *json, const char *name)
{
    json_write_name(json, bytes_of_text(name));
}

void write_text(struct json_writer *json, const char *name, struct bytes text)
{
    write_name(json, name);
    json_write_string(json, text);
}

void write_u64(struct json_writer *json, const char *name, uint64_t value)
{
    write_name(json, name);
    json_write_u64(json, value);
}

void write_time(struct json_writer *json, const char *name, uint64_t time_ms)
{
    write_name(json, name);
    json_write_double(json, (double)time_ms / 1000.0);
}

static void write_units(struct json_writer *json, uint64_t half_units)
{
    write_name(json, "CapacityUnits");
    json_write_double(json, (double)half_units / 2.0);
}

void write_capacity_object(struct json_writer *json, uint8_t asked, struct bytes table,
                           uint64_t half_units)
{
    json_write_object_begin(json);
    write_text(json, "TableName", table);
    write_units(json, half_units);
    if (asked == CAPACITY_INDEXES) {
        write_name(json, "Table");
        json_write_object_begin(json);
        write_units(json, half_units);
        json_write_object_end(json);
    }
    json_write_object_end(json);
}

void write_capacity(struct api_call *call, uint8_t asked, struct bytes table, uint64_t half_units)
{
    if (asked != CAPACITY_TOTAL && asked != CAPACITY_INDEXES)
        return;
    write_name(&call->json, "ConsumedCapacity");
    write_capacity_object(&call->json, asked, table, half_units);
}

enum status write_item(struct api_call *call, const struct expr_program *projection,
                       struct value item)
{
    if (projection->code.count > 0) {
        struct value_writer writer;
        struct value projected;
        buffer_clear(&call->api->scratch);
        value_writer_init(&writer, &call->api->scratch);
        expr_project(projection, item, &writer);
        if (value_writer_finish(&writer, &projected) != STATUS_OK)
            return call_no_memory(call);
        item = projected;
    }
    item_json_write_map(&call->json, item);
    return STATUS_OK;
}

enum status call_invalid(struct api_call *call, const char *message)
{
    return error_set(&call->error, ERROR_VALIDATION, message);
}

enum status call_no_memory(struct api_call *call)
{
    return error_internal(&call->error, STATUS_NO_MEMORY);
}
