#include "load/workload.h"

#include "base/assert.h"

#define PK_FORMAT "user#%08u"
#define SK_FORMAT "order#%04u"
#define KEY_JSON  "{\"pk\":{\"S\":\"" PK_FORMAT "\"},\"sk\":{\"S\":\"" SK_FORMAT "\"}"
/* pk 2 + 13, sk 2 + 10, hits 4 + 3 (four digits), title 5 + 24, data 4 + the rest. */
#define TITLE_BYTES   24u
#define DATA_BYTES    (WORKLOAD_ITEM_BYTES - 15 - 12 - 7 - (5 + TITLE_BYTES) - 4)
#define HITS_MIN      1000u /* counters have four digits, also when they are raised a while */
#define HITS_HUNDREDS 50u

static const char *const names[] = {
#define WORKLOAD_TEXT(name, text) text,
    WORKLOAD_MAP(WORKLOAD_TEXT)
#undef WORKLOAD_TEXT
};

const char *workload_name(enum workload_operation operation)
{
    return names[operation];
}

const char *workload_target(enum workload_operation operation)
{
    static const char *const targets[] = {
#define WORKLOAD_TARGET(name, text) "DynamoDB_20120810." text,
        WORKLOAD_MAP(WORKLOAD_TARGET)
#undef WORKLOAD_TARGET
    };
    return operation == WORKLOAD_GET_RECORDS ? "DynamoDBStreams_20120810.GetRecords"
                                             : targets[operation];
}

enum workload_operation workload_find(const char *name)
{
    for (uint32_t i = 0; i < WORKLOAD_OPERATION_COUNT; i++)
        if (strcmp(names[i], name) == 0)
            return (enum workload_operation)i;
    return WORKLOAD_OPERATION_COUNT;
}

static void append_key(struct buffer *body, uint32_t item)
{
    buffer_append_format(body, KEY_JSON, item / WORKLOAD_GROUP, item % WORKLOAD_GROUP);
}

static void append_letters(struct workload *workload, struct buffer *body, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        buffer_append_u8(body, (uint8_t)('a' + prng_below(&workload->prng, 26)));
}

/* A number of four digits as its size counts: the last two are not both zero. */
static uint32_t random_hits(struct workload *workload)
{
    return HITS_MIN + 100 * (uint32_t)prng_below(&workload->prng, HITS_HUNDREDS) + 1 +
           (uint32_t)prng_below(&workload->prng, 99);
}

static void append_item(struct workload *workload, struct buffer *body, uint32_t item)
{
    append_key(body, item);
    buffer_append_format(body, ",\"hits\":{\"N\":\"%u\"},\"title\":{\"S\":\"",
                         random_hits(workload));
    append_letters(workload, body, TITLE_BYTES);
    buffer_append_format(body, "\"},\"data\":{\"S\":\"");
    append_letters(workload, body, DATA_BYTES);
    buffer_append_format(body, "\"}}");
}

/* WORKLOAD_BATCH different items: from a random one on, by a random stride that wraps. */
static uint32_t append_batch_get(struct workload *workload, struct buffer *body)
{
    uint32_t count = workload->item_count;
    uint32_t first = (uint32_t)prng_below(&workload->prng, count);
    uint32_t stride = 1 + (uint32_t)prng_below(&workload->prng, count / WORKLOAD_BATCH);
    buffer_append_format(body, "{\"RequestItems\":{\"%s\":{\"Keys\":[", workload->table);
    for (uint32_t i = 0; i < WORKLOAD_BATCH; i++) {
        if (i > 0)
            buffer_append_u8(body, ',');
        append_key(body, (first + i * stride) % count);
        buffer_append_u8(body, '}');
    }
    buffer_append_format(body, "]}}}");
    return first;
}

static void append_batch_write(struct workload *workload, uint32_t first, struct buffer *body)
{
    buffer_append_format(body, "{\"RequestItems\":{\"%s\":[", workload->table);
    for (uint32_t i = 0; i < WORKLOAD_BATCH && first + i < workload->item_count; i++) {
        buffer_append_format(body, "%s{\"PutRequest\":{\"Item\":", i > 0 ? "," : "");
        append_item(workload, body, first + i);
        buffer_append_format(body, "}}");
    }
    buffer_append_format(body, "]}}");
}

static void append_create_table(const struct workload *workload, struct buffer *body)
{
    buffer_append_format(body,
                         "{\"TableName\":\"%s\",\"BillingMode\":\"PAY_PER_REQUEST\","
                         "\"AttributeDefinitions\":[{\"AttributeName\":\"pk\",\"AttributeType\":"
                         "\"S\"},{\"AttributeName\":\"sk\",\"AttributeType\":\"S\"}],"
                         "\"KeySchema\":[{\"AttributeName\":\"pk\",\"KeyType\":\"HASH\"},"
                         "{\"AttributeName\":\"sk\",\"KeyType\":\"RANGE\"}]}",
                         workload->table);
}

/* What adds one to an item's hits, behind its key; the condition holds: no item has fewer. */
static void append_update(struct workload *workload, struct buffer *body)
{
    buffer_append_format(body,
                         "},\"UpdateExpression\":\"SET hits = hits + :more\","
                         "\"ConditionExpression\":\"hits >= :least\","
                         "\"ExpressionAttributeValues\":{\":more\":{\"N\":\"1\"},"
                         "\":least\":{\"N\":\"%u\"}}}",
                         (uint32_t)prng_below(&workload->prng, HITS_MIN));
}

/* Of two items, neither the same: a put and an update with a condition. */
static void append_transact(struct workload *workload, struct buffer *body, uint32_t item)
{
    buffer_append_format(
        body, "{\"TransactItems\":[{\"Put\":{\"TableName\":\"%s\",\"Item\":", workload->table);
    append_item(workload, body, item);
    buffer_append_format(body, "}},{\"Update\":{\"TableName\":\"%s\",\"Key\":", workload->table);
    append_key(body, (item + WORKLOAD_GROUP) % workload->item_count);
    append_update(workload, body);
    buffer_append_format(body, "}]}");
}

struct workload_request workload_append(struct workload *workload,
                                        enum workload_operation operation, uint32_t first,
                                        struct buffer *body)
{
    const char *table = workload->table;
    uint32_t item = (uint32_t)prng_below(&workload->prng, workload->item_count);
    switch (operation) {
    case WORKLOAD_GET_ITEM:
        buffer_append_format(body, "{\"TableName\":\"%s\",\"Key\":", table);
        append_key(body, item);
        buffer_append_format(body, "}}");
        break;
    case WORKLOAD_PUT_ITEM:
        buffer_append_format(body, "{\"TableName\":\"%s\",\"Item\":", table);
        append_item(workload, body, item);
        buffer_append_u8(body, '}');
        break;
    case WORKLOAD_UPDATE_ITEM:
        buffer_append_format(body, "{\"TableName\":\"%s\",\"Key\":", table);
        append_key(body, item);
        append_update(workload, body);
        break;
    case WORKLOAD_TRANSACT:
        append_transact(workload, body, item);
        break;
    case WORKLOAD_QUERY:
        item -= item % WORKLOAD_GROUP;
        buffer_append_format(body,
                             "{\"TableName\":\"%s\",\"KeyConditionExpression\":\"pk = :pk\","
                             "\"ExpressionAttributeValues\":{\":pk\":{\"S\":\"" PK_FORMAT "\"}}}",
                             table, item / WORKLOAD_GROUP);
        break;
    case WORKLOAD_SELECT:
        item -= item % WORKLOAD_GROUP;
        buffer_append_format(body,
                             "{\"Statement\":\"SELECT * FROM \\\"%s\\\" WHERE pk = ?\","
                             "\"Parameters\":[{\"S\":\"" PK_FORMAT "\"}]}",
                             table, item / WORKLOAD_GROUP);
        break;
    case WORKLOAD_BATCH_GET:
        item = append_batch_get(workload, body);
        break;
    case WORKLOAD_BATCH_WRITE:
        item = first;
        append_batch_write(workload, first, body);
        break;
    case WORKLOAD_LIST_TABLES:
        buffer_append_format(body, "{}");
        break;
    case WORKLOAD_CREATE_TABLE:
        append_create_table(workload, body);
        break;
    case WORKLOAD_DESCRIBE_TABLE:
        buffer_append_format(body, "{\"TableName\":\"%s\"}", table);
        break;
    case WORKLOAD_GET_RECORDS:
        buffer_append_format(body, "{\"ShardIterator\":\"%s\",\"Limit\":%u}", workload->iterator,
                             WORKLOAD_RECORDS);
        break;
    case WORKLOAD_PLAIN_GET:
    case WORKLOAD_OPERATION_COUNT:
        break;
    }
    return (struct workload_request){.operation = operation, .item = item};
}
