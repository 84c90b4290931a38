/* answer.c - what several operations' answers share, and their refusals. */
#include <stdio.h>

#include "admission/units.h"
#include "api/api_private.h"

void write_name(struct json_writer *json, const char *name)
{
    json_write_name(json, bytes_of_text(name));
}

void write_table_arn(const struct api *api, struct json_writer *json, struct bytes name)
{
    const struct api_options *options = &api->options;
    char arn[1024];
    int count =
        snprintf(arn, sizeof(arn), "arn:aws:dynamodb:%.*s:%.*s:table/%.*s",
                 BYTES_ARGS(options->region), BYTES_ARGS(options->account), BYTES_ARGS(name));
    json_write_string(json, bytes_of(arn, MIN((size_t)count, sizeof(arn) - 1)));
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

uint64_t consumed_total(const struct consumed *consumed)
{
    uint64_t total = consumed->half_units;
    for (uint32_t i = 0; i < consumed->index_count; i++)
        total += consumed->index_half_units[i];
    return total;
}

void consume_more(struct consumed *consumed, const struct consumed *more)
{
    consumed->half_units += more->half_units;
    consumed->index_count = MAX(consumed->index_count, more->index_count);
    for (uint32_t i = 0; i < more->index_count; i++)
        consumed->index_half_units[i] += more->index_half_units[i];
}

void consume_write(struct consumed *consumed, const struct write_result *result)
{
    consumed->half_units += units_write_halves(result->old_bytes, result->new_bytes);
    consumed->index_count = MAX(consumed->index_count, result->index_count);
    for (uint32_t i = 0; i < result->index_count; i++)
        consumed->index_half_units[i] += result->index_half_units[i];
}

/* "WriteCapacityUnits" or "ReadCapacityUnits": transactions show them so too. */
static void write_named_units(struct json_writer *json, const struct consumed *consumed,
                              uint64_t half_units)
{
    if (consumed->transactional == NULL)
        return;
    write_name(json, consumed->transactional);
    json_write_double(json, (double)half_units / 2.0);
}

static void write_units_object(struct json_writer *json, const struct consumed *consumed,
                               uint64_t half_units)
{
    json_write_object_begin(json);
    write_units(json, half_units);
    write_named_units(json, consumed, half_units);
    json_write_object_end(json);
}

/* The table of a request that was served; NULL: it is gone by now. */
static const struct table *served_table(struct api_call *call, struct bytes name)
{
    const struct table *table = NULL;
    struct error ignored;
    return router_table(call_router(call), name, &table, &ignored) == STATUS_OK ? table : NULL;
}

/* "LocalSecondaryIndexes", "GlobalSecondaryIndexes": {...}: those that consumed anything. */
static void write_index_units(struct api_call *call, const struct consumed *consumed,
                              const char *name, enum index_kind kind)
{
    const struct table *table = served_table(call, consumed->table);
    bool open = false;
    uint32_t count = table == NULL ? 0 : MIN(table->index_count, consumed->index_count);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t half_units = consumed->index_half_units[i];
        if (table->indexes[i].kind != kind || (half_units == 0 && i + 1u != consumed->index_shown))
            continue;
        if (!open) {
            write_name(&call->json, name);
            json_write_object_begin(&call->json);
            open = true;
        }
        json_write_name(&call->json, table->indexes[i].name);
        write_units_object(&call->json, consumed, half_units);
    }
    if (open)
        json_write_object_end(&call->json);
}

void write_capacity_object(struct api_call *call, uint8_t asked, const struct consumed *consumed)
{
    struct json_writer *json = &call->json;
    json_write_object_begin(json);
    write_text(json, "TableName", consumed->shown);
    write_units(json, consumed_total(consumed));
    write_named_units(json, consumed, consumed_total(consumed));
    if (asked == CAPACITY_INDEXES) {
        write_name(json, "Table");
        write_units_object(json, consumed, consumed->half_units);
        write_index_units(call, consumed, "LocalSecondaryIndexes", INDEX_LOCAL);
        write_index_units(call, consumed, "GlobalSecondaryIndexes", INDEX_GLOBAL);
    }
    json_write_object_end(json);
}

void write_capacity(struct api_call *call, uint8_t asked, const struct consumed *consumed)
{
    if (asked != CAPACITY_TOTAL && asked != CAPACITY_INDEXES)
        return;
    write_name(&call->json, "ConsumedCapacity");
    write_capacity_object(call, asked, consumed);
}

#define COLLECTION_UNIT_BYTES (UINT64_C(1) << 30)

void write_collection_metrics(struct api_call *call, struct bytes name, struct value item,
                              const struct write_result *result)
{
    struct json_writer *json = &call->json;
    const struct table *table = served_table(call, name);
    struct value key;
    json_write_object_begin(json);
    if (table != NULL && value_find(item, table->schema.partition.name, &key)) {
        write_name(json, "ItemCollectionKey");
        json_write_object_begin(json);
        json_write_name(json, table->schema.partition.name);
        item_json_write_value(json, key);
        json_write_object_end(json);
    }
    double low = (double)(result->collection_bytes / COLLECTION_UNIT_BYTES);
    write_name(json, "SizeEstimateRangeGB");
    json_write_array_begin(json);
    json_write_double(json, low);
    json_write_double(json, low + 1.0);
    json_write_array_end(json);
    json_write_object_end(json);
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
