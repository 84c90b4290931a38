/* table_description.c - a table as DescribeTable and the operations that change it show it. */
#include <stdio.h>

#include "api/api_private.h"
#include "base/compiler.h"

static void write_attribute(struct json_writer *json, const struct key_attribute *attribute)
{
    json_write_object_begin(json);
    write_text(json, "AttributeName", attribute->name);
    write_text(json, "AttributeType", bytes_of_text(value_type_name(attribute->type)));
    json_write_object_end(json);
}

static void write_key(struct json_writer *json, const struct key_attribute *attribute,
                      const char *type)
{
    json_write_object_begin(json);
    write_text(json, "AttributeName", attribute->name);
    write_text(json, "KeyType", bytes_of_text(type));
    json_write_object_end(json);
}

void write_key_schema(struct json_writer *json, const struct key_attribute *partition,
                      const struct key_attribute *sort)
{
    write_name(json, "KeySchema");
    json_write_array_begin(json);
    write_key(json, partition, "HASH");
    if (sort->type != VALUE_NONE)
        write_key(json, sort, "RANGE");
    json_write_array_end(json);
}

/* Definitions by name, keys in their order. */
static enum status write_schema(struct api_call *call, const struct table *table)
{
    struct json_writer *json = &call->json;
    struct key_attribute *attributes;
    uint32_t count;
    TRY(call_key_attributes(call, &table->schema, table->indexes, table->index_count, &attributes,
                            &count));
    write_name(json, "AttributeDefinitions");
    json_write_array_begin(json);
    for (uint32_t i = 0; i < count; i++)
        write_attribute(json, &attributes[i]);
    json_write_array_end(json);
    write_key_schema(json, &table->schema.partition, &table->schema.sort);
    return STATUS_OK;
}

static void write_projection(struct json_writer *json, const struct index_schema *index)
{
    static const char *const names[] = {
        [PROJECT_ALL] = "ALL", [PROJECT_INCLUDE] = "INCLUDE", [PROJECT_KEYS_ONLY] = "KEYS_ONLY"};
    write_name(json, "Projection");
    json_write_object_begin(json);
    write_text(json, "ProjectionType", bytes_of_text(names[index->projection]));
    if (index->projection == PROJECT_INCLUDE) {
        write_name(json, "NonKeyAttributes");
        json_write_array_begin(json);
        for (uint8_t i = 0; i < index->non_key_count; i++)
            json_write_string(json, index->non_key[i]);
        json_write_array_end(json);
    }
    json_write_object_end(json);
}

static struct bytes format_arn(char *to, size_t bytes, const struct api_call *call,
                               const struct table *table, const struct index_schema *index)
{
    const struct api_options *options = &call->api->options;
    struct bytes name = index == NULL ? BYTES("") : index->name;
    int count = snprintf(to, bytes, "arn:aws:dynamodb:%.*s:%.*s:table/%.*s%s%.*s",
                         BYTES_ARGS(options->region), BYTES_ARGS(options->account),
                         BYTES_ARGS(table->name), index == NULL ? "" : "/index/", BYTES_ARGS(name));
    return bytes_of(to, MIN((size_t)count, bytes - 1));
}

static void write_local_indexes(struct api_call *call, const struct table *table,
                                const struct table_size *size)
{
    struct json_writer *json = &call->json;
    char arn[1024];
    uint32_t count = table->index_count - table->global_count;
    if (count == 0)
        return;
    write_name(json, "LocalSecondaryIndexes");
    json_write_array_begin(json);
    for (uint32_t i = 0; i < count; i++) {
        const struct index_schema *index = &table->indexes[i];
        const struct collection_size *rows = &size->indexes[i];
        json_write_object_begin(json);
        write_text(json, "IndexName", index->name);
        write_key_schema(json, &index->partition[0], &index->sort[0]);
        write_projection(json, index);
        write_u64(json, "IndexSizeBytes", rows->bytes);
        write_u64(json, "ItemCount", rows->count);
        write_text(json, "IndexArn", format_arn(arn, sizeof(arn), call, table, index));
        json_write_object_end(json);
    }
    json_write_array_end(json);
}

/* Of a table or an index. */
struct provisioned {
    uint64_t last_increase_ms, last_decrease_ms;
    uint32_t decreases_today;
    uint64_t read_units, write_units;
};

static void write_provisioned(struct json_writer *json, const struct provisioned *shown)
{
    write_name(json, "ProvisionedThroughput");
    json_write_object_begin(json);
    if (shown->last_increase_ms != 0)
        write_time(json, "LastIncreaseDateTime", shown->last_increase_ms);
    if (shown->last_decrease_ms != 0)
        write_time(json, "LastDecreaseDateTime", shown->last_decrease_ms);
    write_u64(json, "NumberOfDecreasesToday", shown->decreases_today);
    write_u64(json, "ReadCapacityUnits", shown->read_units);
    write_u64(json, "WriteCapacityUnits", shown->write_units);
    json_write_object_end(json);
}

static struct provisioned provisioned_of(const struct table *table)
{
    bool provisioned = table->billing == BILLING_PROVISIONED;
    return (struct provisioned){.last_increase_ms = table->last_increase_ms,
                                .last_decrease_ms = table->last_decrease_ms,
                                .decreases_today = table->decreases_today,
                                .read_units = provisioned ? table->read_units : 0,
                                .write_units = provisioned ? table->write_units : 0};
}

/* Absent for a table that has been provisioned all its life. */
static void write_billing(struct json_writer *json, const struct table *table)
{
    bool on_demand = table->billing == BILLING_ON_DEMAND;
    if (!on_demand && table->billing_changed_ms == 0)
        return;
    write_name(json, "BillingModeSummary");
    json_write_object_begin(json);
    write_text(json, "BillingMode", on_demand ? BYTES("PAY_PER_REQUEST") : BYTES("PROVISIONED"));
    if (table->billing_changed_ms != 0)
        write_time(json, "LastUpdateToPayPerRequestDateTime", table->billing_changed_ms);
    json_write_object_end(json);
}

static void write_i64(struct json_writer *json, const char *name, int64_t value)
{
    char text[24];
    int count = snprintf(text, sizeof(text), "%lld", (long long)value);
    write_name(json, name);
    json_write_raw(json, bytes_of(text, (size_t)count));
}

/* Of a table or an index. A maximum that was taken away is -1, and seen if `read_seen`,
 * `write_seen`. */
static void write_on_demand(struct json_writer *json, bool read_seen, int64_t read_max,
                            bool write_seen, int64_t write_max)
{
    bool read = read_max >= 0 || read_seen;
    bool write = write_max >= 0 || write_seen;
    if (!read && !write)
        return;
    write_name(json, "OnDemandThroughput");
    json_write_object_begin(json);
    if (read)
        write_i64(json, "MaxReadRequestUnits", read_max);
    if (write)
        write_i64(json, "MaxWriteRequestUnits", write_max);
    json_write_object_end(json);
}

/* The answer of UpdateTable shows a maximum that it took away; others do not. */
static void write_table_maximums(struct api_call *call, const struct table *table)
{
    const struct on_demand_input *asked = NULL;
    if (bytes_equal(call->operation->name, BYTES("UpdateTable"))) {
        const struct update_table_input *input = call->input.at;
        asked = input->on_demand;
    }
    write_on_demand(&call->json, asked != NULL && asked->read.given, table->on_demand_read_max,
                    asked != NULL && asked->write.given, table->on_demand_write_max);
}

/* Of a table or an index. */
static void write_warm(struct json_writer *json, enum table_status status,
                       struct warm_throughput warm)
{
    if (status != TABLE_ACTIVE && status != TABLE_UPDATING)
        return;
    write_name(json, "WarmThroughput");
    json_write_object_begin(json);
    write_u64(json, "ReadUnitsPerSecond", warm.read_units);
    write_u64(json, "WriteUnitsPerSecond", warm.write_units);
    write_text(json, "Status", bytes_of_text(table_status_name(status)));
    json_write_object_end(json);
}

static void write_index_keys(struct json_writer *json, const struct index_schema *schema)
{
    write_name(json, "KeySchema");
    json_write_array_begin(json);
    for (uint8_t i = 0; i < schema->partition_count; i++)
        write_key(json, &schema->partition[i], "HASH");
    for (uint8_t i = 0; i < schema->sort_count; i++)
        write_key(json, &schema->sort[i], "RANGE");
    json_write_array_end(json);
}

static void write_global(struct api_call *call, const struct table *table,
                         const struct table_index *index, const struct collection_size *rows)
{
    struct json_writer *json = &call->json;
    const struct index_schema *schema = table_global_schema(table, index);
    struct provisioned provisioned = {.last_increase_ms = index->last_increase_ms,
                                      .last_decrease_ms = index->last_decrease_ms,
                                      .decreases_today = index->decreases_today,
                                      .read_units = index->read_units,
                                      .write_units = index->write_units};
    char arn[1024];
    json_write_object_begin(json);
    write_text(json, "IndexName", schema->name);
    write_index_keys(json, schema);
    write_projection(json, schema);
    write_text(json, "IndexStatus", bytes_of_text(table_status_name(index->status)));
    if (index->online && index->status == TABLE_CREATING) {
        write_name(json, "Backfilling");
        json_write_bool(json, index->backfilling);
    }
    write_provisioned(json, &provisioned);
    write_u64(json, "IndexSizeBytes", rows->bytes);
    write_u64(json, "ItemCount", rows->count);
    write_text(json, "IndexArn", format_arn(arn, sizeof(arn), call, table, schema));
    if (table->billing == BILLING_ON_DEMAND && index->has_on_demand_maximum)
        write_on_demand(json, index->status == TABLE_UPDATING, index->on_demand_read_max,
                        index->status == TABLE_UPDATING, index->on_demand_write_max);
    write_warm(json, index->status, index_warm(table->billing, index));
    json_write_object_end(json);
}

static void write_global_indexes(struct api_call *call, const struct table *table,
                                 const struct table_size *size)
{
    struct json_writer *json = &call->json;
    if (table->global_count == 0)
        return;
    write_name(json, "GlobalSecondaryIndexes");
    json_write_array_begin(json);
    for (uint32_t i = 0; i < table->global_count; i++)
        write_global(call, table, &table->globals[i],
                     &size->indexes[table->index_count - table->global_count + i]);
    json_write_array_end(json);
}

/* Absent for a table of the standard class that has never been of another. */
static void write_class(struct json_writer *json, const struct table *table)
{
    bool standard = table->table_class == TABLE_CLASS_STANDARD;
    if (standard && table->table_class_changed_ms == 0)
        return;
    write_name(json, "TableClassSummary");
    json_write_object_begin(json);
    write_text(json, "TableClass",
               standard ? BYTES("STANDARD") : BYTES("STANDARD_INFREQUENT_ACCESS"));
    if (table->table_class_changed_ms != 0)
        write_time(json, "LastUpdateDateTime", table->table_class_changed_ms);
    json_write_object_end(json);
}

static void write_identity(struct api_call *call, const struct table *table)
{
    const uint8_t *u = table->uuid;
    char id[40];
    int id_bytes = snprintf(id, sizeof(id),
                            "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                            u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10],
                            u[11], u[12], u[13], u[14], u[15]);
    write_name(&call->json, "TableArn");
    write_table_arn(call->api, &call->json, table->name);
    write_text(&call->json, "TableId", bytes_of(id, (size_t)id_bytes));
}

/* The newest stream, for as long as it can be read. */
static void write_stream(struct api_call *call, const struct table *table)
{
    struct json_writer *json = &call->json;
    char label[STREAM_LABEL_BYTES + 1];
    uint64_t now_ms = wall_now_ns(call->api->env) / UINT64_C(1000000);
    if (table->stream_count == 0)
        return;
    const struct table_stream *stream = &table->streams[table->stream_count - 1];
    if (!table_stream_lives(stream, now_ms))
        return;
    if (stream->ended_ms == 0) {
        write_name(json, "StreamSpecification");
        json_write_object_begin(json);
        write_name(json, "StreamEnabled");
        json_write_bool(json, true);
        write_text(json, "StreamViewType", bytes_of_text(stream_view_name(stream->view)));
        json_write_object_end(json);
    }
    stream_label(stream, label);
    write_text(json, "LatestStreamLabel", bytes_of_text(label));
    write_text(json, "LatestStreamArn", stream_arn(call, table, stream));
}

enum status write_table_description(struct api_call *call, const char *name,
                                    const struct table *table)
{
    struct json_writer *json = &call->json;
    struct table_size size = router_table_size(call_router(call), table);
    bool deleting = table->status == TABLE_DELETING; /* has lost its schema, as in the service */
    write_name(json, name);
    json_write_object_begin(json);
    if (!deleting)
        TRY(write_schema(call, table));
    write_text(json, "TableName", table->name);
    write_text(json, "TableStatus", bytes_of_text(table_status_name(table->status)));
    if (!deleting)
        write_time(json, "CreationDateTime", table->created_ms);
    struct provisioned provisioned = provisioned_of(table);
    write_provisioned(json, &provisioned);
    write_u64(json, "TableSizeBytes", size.items.bytes);
    write_u64(json, "ItemCount", size.items.count);
    write_identity(call, table);
    write_billing(json, table);
    write_class(json, table);
    write_sse(call, table);
    write_name(json, "DeletionProtectionEnabled");
    json_write_bool(json, table->deletion_protection);
    if (table->billing == BILLING_ON_DEMAND && table->has_on_demand_maximum)
        write_table_maximums(call, table);
    write_warm(json, table->status, table_warm(table));
    if (!deleting) {
        write_local_indexes(call, table, &size);
        write_global_indexes(call, table, &size);
        write_stream(call, table);
    }
    json_write_object_end(json);
    return STATUS_OK;
}
