/* seed_definition.c - a table's definition, out of what `aws dynamodb describe-table` shows of it:
 * what CreateTable takes of that, the rest says how the table is. */
#include "ops/seed_private.h"
#include "wire/json.h"

/* Which CreateTable has under the same names.  WarmThroughput is not of them: a table has it
 * without anybody's wish. */
static const char *const of_table[] = {
    "TableName",           "AttributeDefinitions",      "KeySchema",    "LocalSecondaryIndexes",
    "StreamSpecification", "DeletionProtectionEnabled", "VectorIndexes"};
static const char *const of_index[] = {"IndexName", "KeySchema", "Projection"};

/* The value of a member, as it is written; empty: the object has none, or is none. */
static struct bytes member(struct seed *seed, struct bytes object, const char *wanted)
{
    struct json_scanner s;
    struct bytes name, value = {0};
    json_scanner_init(&s, object, &seed->ctx->arena);
    if (json_peek(&s) != JSON_OBJECT)
        return value;
    json_object_begin(&s);
    while (json_object_next(&s, &name)) {
        (void)json_peek(&s); /* which comes to where it begins */
        const uint8_t *begin = s.at;
        json_skip(&s);
        if (bytes_equal(name, bytes_of_text(wanted)))
            value = bytes_of(begin, (size_t)(s.at - begin));
    }
    return json_scanner_finish(&s) == STATUS_OK ? value : (struct bytes){0};
}

static bool is_object(struct bytes value)
{
    return value.count > 0 && value.at[0] == '{';
}

static void write_member(struct json_writer *json, const char *name, struct bytes value)
{
    if (value.count == 0)
        return;
    json_write_name(json, bytes_of_text(name));
    json_write_raw(json, value);
}

/* Of a table or an index. */
static void write_throughput(struct seed *seed, struct json_writer *json, struct bytes object,
                             bool on_demand)
{
    const char *name = on_demand ? "OnDemandThroughput" : "ProvisionedThroughput";
    write_member(json, name, member(seed, object, name));
}

static void write_indexes(struct seed *seed, struct json_writer *json, struct bytes indexes,
                          bool on_demand)
{
    struct json_scanner s;
    json_scanner_init(&s, indexes, &seed->ctx->arena);
    if (json_peek(&s) != JSON_ARRAY)
        return;
    json_write_name(json, BYTES("GlobalSecondaryIndexes"));
    json_write_array_begin(json);
    json_array_begin(&s);
    while (json_array_next(&s)) {
        (void)json_peek(&s);
        const uint8_t *begin = s.at;
        json_skip(&s);
        struct bytes index = bytes_of(begin, (size_t)(s.at - begin));
        json_write_object_begin(json);
        for (size_t i = 0; i < ARRAY_COUNT(of_index); i++)
            write_member(json, of_index[i], member(seed, index, of_index[i]));
        write_throughput(seed, json, index, on_demand);
        json_write_object_end(json);
    }
    json_write_array_end(json);
}

static void write_definition(struct seed *seed, struct json_writer *json, struct bytes table)
{
    struct bytes billing = member(seed, member(seed, table, "BillingModeSummary"), "BillingMode");
    bool on_demand = bytes_equal(billing, BYTES("\"PAY_PER_REQUEST\""));
    json_write_object_begin(json);
    for (size_t i = 0; i < ARRAY_COUNT(of_table); i++)
        write_member(json, of_table[i], member(seed, table, of_table[i]));
    write_member(json, "BillingMode", billing);
    write_member(json, "TableClass",
                 member(seed, member(seed, table, "TableClassSummary"), "TableClass"));
    write_throughput(seed, json, table, on_demand);
    write_indexes(seed, json, member(seed, table, "GlobalSecondaryIndexes"), on_demand);
    json_write_object_end(json);
}

enum status seed_take_description(struct seed *seed, const char *path, struct bytes *definition,
                                  struct buffer *to)
{
    struct json_writer json;
    struct bytes table = member(seed, *definition, "Table");
    if (!is_object(table) || member(seed, *definition, "TableName").count > 0)
        return STATUS_OK;
    json_writer_init(&json, to);
    write_definition(seed, &json, table);
    if (to->failed)
        return seed_fault(seed, STATUS_NO_MEMORY, "%s: out of memory", path);
    *definition = buffer_bytes(to);
    return STATUS_OK;
}
