/* items_ask.c - what the clients of items ask. */
#include "base/assert.h"
#include "sim/workload/items_private.h"

#define LARGE_ONE_IN 24u
#define LARGE_BYTES  6000u
#define HUGE_ONE_IN  200u
#define HUGE_BYTES   90000u
#define LONG_KEY     1000u

/* ---- Names of things ---- */

void append_key(struct buffer *out, const struct items_options *o, uint32_t key)
{
    uint32_t table = key / keys_of_table(o);
    uint32_t pk = key / o->sort_keys % o->partition_keys, sk = key % o->sort_keys;
    switch (schema_of(table)) {
    case 0:
        buffer_append_format(out, "\"pk\":{\"S\":\"p%u\"},\"sk\":{\"N\":\"%d\"}", pk,
                             (int)sk * 7 - 20);
        break;
    case 1:
        buffer_append_format(out, "\"pk\":{\"N\":\"%u\"},\"sk\":{\"S\":\"s%0*u\"}", pk * 1000,
                             (int)(sk * 53 % LONG_KEY) + 1, sk);
        break;
    default:
        buffer_append_format(out, "\"pk\":{\"S\":\"p%u.%u\"}", pk, sk);
        break;
    }
}

size_t items_pad_bytes(const struct items_options *o, uint64_t token)
{
    uint64_t mixed = token * UINT64_C(0x9e3779b97f4a7c15) >> 20;
    if (mixed % HUGE_ONE_IN == 0)
        return HUGE_BYTES + mixed % 1000;
    if (mixed % LARGE_ONE_IN == 0)
        return LARGE_BYTES + mixed % 5000;
    return o->pad_bytes > 0 ? (size_t)(mixed % (2 * o->pad_bytes)) : 0;
}

uint8_t pad_byte(uint64_t token, size_t i)
{
    return (uint8_t)('a' + (token * 7 + i + (i >> 5) * 3) % 26);
}

static void append_state(struct buffer *out, const struct items_options *o, uint64_t token,
                         const char *format_before)
{
    size_t count = items_pad_bytes(o, token);
    buffer_append_format(out, "%s{\"S\":\"", format_before);
    uint8_t *pad = buffer_reserve(out, count);
    ASSERT(pad != NULL || count == 0);
    for (size_t i = 0; i < count; i++)
        pad[i] = pad_byte(token, i);
    buffer_commit(out, count);
    buffer_append_bytes(out, BYTES("\"}"));
}

/* ---- Asking ---- */

static struct buffer body_begin(const struct items_actor *actor)
{
    struct buffer body;
    buffer_init(&body, actor->items->heap, BODY_BYTES_MAX);
    buffer_append_format(&body, "{\"TableName\":\"table%u\"", actor->table);
    return body;
}

static void send(struct items_actor *actor, const char *target, struct buffer *body)
{
    buffer_append_u8(body, '}');
    ASSERT(!body->failed);
    http_client_post(&actor->http, target, buffer_bytes(body));
    buffer_release(body);
}

static void append_indexes(struct buffer *body)
{
    buffer_append_bytes(
        body, BYTES(",\"LocalSecondaryIndexes\":[{\"IndexName\":\"by-tok\",\"Projection\":"
                    "{\"ProjectionType\":\"ALL\"},\"KeySchema\":[{\"AttributeName\":\"pk\","
                    "\"KeyType\":\"HASH\"},{\"AttributeName\":\"tok\",\"KeyType\":\"RANGE\"}]},"
                    "{\"IndexName\":\"by-n\",\"Projection\":{\"ProjectionType\":\"KEYS_ONLY\"},"
                    "\"KeySchema\":[{\"AttributeName\":\"pk\",\"KeyType\":\"HASH\"},"
                    "{\"AttributeName\":\"n\",\"KeyType\":\"RANGE\"}]}]"));
}

/* The global index, as CreateTable and UpdateTable make it. */
static void append_global_index(struct buffer *body, uint32_t table)
{
    buffer_append_bytes(
        body, BYTES("{\"IndexName\":\"global\",\"Projection\":{\"ProjectionType\":\"ALL\"},"
                    "\"KeySchema\":[{\"AttributeName\":\"n\",\"KeyType\":\"HASH\"},"
                    "{\"AttributeName\":\"tok\",\"KeyType\":\"RANGE\"}]"));
    if (table % 2 == 0)
        buffer_append_bytes(body, BYTES(",\"ProvisionedThroughput\":{\"ReadCapacityUnits\":3000,"
                                        "\"WriteCapacityUnits\":2000}"));
    buffer_append_u8(body, '}');
}

#define GLOBAL_DEFINITIONS                                                                         \
    "{\"AttributeName\":\"tok\",\"AttributeType\":\"N\"},"                                         \
    "{\"AttributeName\":\"n\",\"AttributeType\":\"N\"}"

static void append_names_of_key(struct buffer *body, const struct items_options *o, uint32_t table)
{
    buffer_append_format(
        body, ",\"KeySchema\":[{\"AttributeName\":\"pk\",\"KeyType\":\"HASH\"}%s]",
        schema_of(table) == 2 ? "" : ",{\"AttributeName\":\"sk\",\"KeyType\":\"RANGE\"}");
    static const char *const types[3] = {
        "{\"AttributeName\":\"pk\",\"AttributeType\":\"S\"},"
        "{\"AttributeName\":\"sk\",\"AttributeType\":\"N\"}",
        "{\"AttributeName\":\"pk\",\"AttributeType\":\"N\"},"
        "{\"AttributeName\":\"sk\",\"AttributeType\":\"S\"}",
        "{\"AttributeName\":\"pk\",\"AttributeType\":\"S\"}",
    };
    buffer_append_format(body, ",\"AttributeDefinitions\":[%s%s]", types[schema_of(table)],
                         has_indexes(table) || o->global_indexes ? "," GLOBAL_DEFINITIONS : "");
    if (has_indexes(table))
        append_indexes(body);
    if (!o->global_indexes)
        return;
    buffer_append_bytes(body, BYTES(",\"GlobalSecondaryIndexes\":["));
    append_global_index(body, table);
    buffer_append_u8(body, ']');
}

void ask_update_table(struct items_actor *actor, bool makes)
{
    struct buffer body = body_begin(actor);
    buffer_append_bytes(&body, makes ? BYTES(",\"AttributeDefinitions\":[" GLOBAL_DEFINITIONS
                                             "],\"GlobalSecondaryIndexUpdates\":[{\"Create\":")
                                     : BYTES(",\"GlobalSecondaryIndexUpdates\":[{\"Delete\":{"
                                             "\"IndexName\":\"global\"}"));
    if (makes)
        append_global_index(&body, actor->table);
    buffer_append_bytes(&body, BYTES("}]"));
    actor->kind = REQUEST_UPDATE_TABLE;
    send(actor, "UpdateTable", &body);
}

/* Provisioned so that the table has several partitions. */
void ask_create_table(struct items_actor *actor)
{
    struct buffer body = body_begin(actor);
    append_names_of_key(&body, &actor->items->options, actor->table);
    if (actor->table % 2 == 0)
        buffer_append_bytes(&body, BYTES(",\"ProvisionedThroughput\":{\"ReadCapacityUnits\":6000,"
                                         "\"WriteCapacityUnits\":2000}"));
    else
        buffer_append_bytes(&body, BYTES(",\"BillingMode\":\"PAY_PER_REQUEST\""));
    if (actor->items->options.streams)
        buffer_append_bytes(&body, BYTES(",\"StreamSpecification\":{\"StreamEnabled\":true,"
                                         "\"StreamViewType\":\"NEW_AND_OLD_IMAGES\"}"));
    actor->kind = REQUEST_CREATE_TABLE;
    send(actor, "CreateTable", &body);
}

void ask_describe_table(struct items_actor *actor)
{
    struct buffer body = body_begin(actor);
    actor->kind = REQUEST_DESCRIBE_TABLE;
    send(actor, "DescribeTable", &body);
}

static void begin_op(struct items_actor *actor, struct register_op op)
{
    struct items *items = actor->items;
    actor->op_count = 1;
    actor->op =
        history_begin(&items->history, actor->number, actor->key, op, sim_now_ns(items->sim));
}

static void choose_key(struct items_actor *actor)
{
    const struct items_options *o = &actor->items->options;
    struct prng *prng = sim_prng(actor->items->sim);
    actor->key = (uint32_t)prng_below(prng, (uint64_t)o->tables * keys_of_table(o));
    actor->table = actor->key / keys_of_table(o);
}

void ask_get(struct items_actor *actor, bool strong)
{
    const struct items_options *o = &actor->items->options;
    begin_op(actor, (struct register_op){.effect = REGISTER_READ});
    actor->items->history.ops[actor->op].weak = !strong;
    struct buffer body = body_begin(actor);
    buffer_append_bytes(&body, BYTES(",\"Key\":{"));
    append_key(&body, o, actor->key);
    buffer_append_format(&body, "}%s", strong ? ",\"ConsistentRead\":true" : "");
    actor->kind = REQUEST_GET;
    send(actor, "GetItem", &body);
}

/* A token that the item may have: one that was written to it lately. */
static uint64_t recent_token(const struct items *items, uint32_t key)
{
    const struct history *h = &items->history;
    for (size_t i = h->count; i > 0 && h->count - i < 2000; i--) {
        const struct history_op *at = &h->ops[i - 1];
        if (at->key == key && at->op.observed && at->op.effect == REGISTER_READ)
            return at->op.before.token;
        if (at->key == key && (at->op.effect == REGISTER_PUT || at->op.effect == REGISTER_UPDATE))
            return at->op.token;
    }
    return 0;
}

static void choose_condition(struct items_actor *actor, struct register_op *op)
{
    struct prng *prng = sim_prng(actor->items->sim);
    uint64_t token = recent_token(actor->items, actor->key);
    if (prng_one_in(prng, 3))
        op->condition = REGISTER_ABSENT;
    if (token == 0 || prng_one_in(prng, 2))
        return;
    op->condition = REGISTER_EQUALS;
    op->expected = token;
}

static void append_condition(struct buffer *body, const struct register_op *op)
{
    if (op->condition == REGISTER_ABSENT)
        buffer_append_bytes(body, BYTES(",\"ConditionExpression\":\"attribute_not_exists(pk)\""));
    else if (op->condition == REGISTER_EQUALS)
        buffer_append_bytes(body, BYTES(",\"ConditionExpression\":\"tok = :e\""));
    if (op->condition != REGISTER_ALWAYS)
        buffer_append_bytes(body, BYTES(",\"ReturnValuesOnConditionCheckFailure\":\"ALL_OLD\""));
}

static void append_values(struct buffer *body, const struct items_options *o,
                          const struct register_op *op)
{
    bool update = op->effect == REGISTER_UPDATE, equals = op->condition == REGISTER_EQUALS;
    if (!update && !equals)
        return;
    buffer_append_bytes(body, BYTES(",\"ExpressionAttributeValues\":{"));
    if (equals)
        buffer_append_format(body, "\":e\":{\"N\":\"%llu\"}%s", (unsigned long long)op->expected,
                             update ? "," : "");
    if (update) {
        buffer_append_format(body, "\":one\":{\"N\":\"1\"},\":t\":{\"N\":\"%llu\"}",
                             (unsigned long long)op->token);
        append_state(body, o, op->token, ",\":p\":");
    }
    buffer_append_u8(body, '}');
}

static void append_old(struct items_actor *actor, struct buffer *body, bool update)
{
    struct prng *prng = sim_prng(actor->items->sim);
    actor->old = prng_one_in(prng, 4) ? OLD_NONE : OLD_ALL;
    if (update && prng_one_in(prng, 4))
        actor->old = OLD_ALL_NEW;
    static const char *const texts[] = {"NONE", "ALL_OLD", "ALL_NEW"};
    buffer_append_format(body, ",\"ReturnValues\":\"%s\"", texts[actor->old]);
}

/* The attributes of a put, behind its key. */
static void append_new_state(struct buffer *body, const struct items_options *o, uint64_t token)
{
    buffer_append_format(body, ",\"tok\":{\"N\":\"%llu\"},\"n\":{\"N\":\"0\"}",
                         (unsigned long long)token);
    append_state(body, o, token, ",\"filler\":");
}

static void ask_write(struct items_actor *actor, enum register_effect effect, bool conditional)
{
    struct items *items = actor->items;
    struct register_op op = {.effect = effect, .token = history_token(&items->history)};
    if (effect == REGISTER_DELETE)
        op.token = 0;
    if (conditional)
        choose_condition(actor, &op);
    actor->token = op.token;
    begin_op(actor, op);
    struct buffer body = body_begin(actor);
    buffer_append_bytes(&body, effect == REGISTER_PUT ? BYTES(",\"Item\":{") : BYTES(",\"Key\":{"));
    append_key(&body, &items->options, actor->key);
    if (effect == REGISTER_PUT)
        append_new_state(&body, &items->options, op.token);
    buffer_append_u8(&body, '}');
    append_condition(&body, &op);
    append_values(&body, &items->options, &op);
    append_old(actor, &body, effect == REGISTER_UPDATE);
    if (effect == REGISTER_UPDATE)
        buffer_append_bytes(
            &body, BYTES(",\"UpdateExpression\":\"SET tok = :t, filler = :p ADD n :one\""));
    actor->kind = effect == REGISTER_PUT      ? REQUEST_PUT
                  : effect == REGISTER_UPDATE ? REQUEST_UPDATE
                                              : REQUEST_DELETE;
    send(actor,
         effect == REGISTER_PUT      ? "PutItem"
         : effect == REGISTER_UPDATE ? "UpdateItem"
                                     : "DeleteItem",
         &body);
}

/* The next page of a query or scan. */
void ask_page(struct items_actor *actor)
{
    const struct items_options *o = &actor->items->options;
    struct buffer body = body_begin(actor);
    static const char *const indexes[] = {
        ",\"ConsistentRead\":true", ",\"ConsistentRead\":true,\"IndexName\":\"by-tok\"",
        ",\"ConsistentRead\":true,\"IndexName\":\"by-n\",\"Select\":\"ALL_ATTRIBUTES\"",
        ",\"IndexName\":\"global\""};
    buffer_append_format(&body, "%s", indexes[actor->index]);
    if (actor->limit > 0)
        buffer_append_format(&body, ",\"Limit\":%u", actor->limit);
    if (actor->resume.count > 0) {
        buffer_append_bytes(&body, BYTES(",\"ExclusiveStartKey\":"));
        buffer_append_bytes(&body, buffer_bytes(&actor->resume));
    }
    if (actor->kind == REQUEST_QUERY) {
        uint32_t pk = actor->key / o->sort_keys % o->partition_keys;
        buffer_append_bytes(&body, BYTES(",\"KeyConditionExpression\":\"pk = :k\""));
        buffer_append_format(&body,
                             schema_of(actor->table) == 0
                                 ? ",\"ExpressionAttributeValues\":{\":k\":{\"S\":\"p%u\"}}"
                                 : ",\"ExpressionAttributeValues\":{\":k\":{\"N\":\"%u\"}}",
                             schema_of(actor->table) == 0 ? pk : pk * 1000);
    }
    send(actor, actor->kind == REQUEST_QUERY ? "Query" : "Scan", &body);
}

/* How many keys a batch that begins at the actor's key has: all of one table. */
static uint32_t keys_from(const struct items_actor *actor, uint32_t count_max)
{
    uint32_t keys = keys_of_table(&actor->items->options);
    uint32_t left = keys - actor->key % keys;
    return 1 + (uint32_t)prng_below(sim_prng(actor->items->sim), MIN(left, count_max));
}

static struct buffer batch_begin(const struct items_actor *actor)
{
    struct buffer body;
    buffer_init(&body, actor->items->heap, BODY_BYTES_MAX);
    buffer_append_format(&body, "{\"RequestItems\":{\"table%u\":", actor->table);
    return body;
}

static void ask_batch_get(struct items_actor *actor)
{
    struct buffer body = batch_begin(actor);
    buffer_append_bytes(&body, BYTES("{\"ConsistentRead\":true,\"Keys\":["));
    for (uint32_t i = 0; i < actor->op_count; i++) {
        buffer_append_bytes(&body, i > 0 ? BYTES(",{") : BYTES("{"));
        append_key(&body, &actor->items->options, actor->key + i);
        buffer_append_u8(&body, '}');
    }
    buffer_append_bytes(&body, BYTES("]}}"));
    send(actor, "BatchGetItem", &body);
}

/* `puts_of_8` of eight writes are puts, the others deletes. */
static void ask_batch_write(struct items_actor *actor, uint32_t puts_of_8)
{
    struct items *items = actor->items;
    const struct items_options *o = &items->options;
    struct buffer body = batch_begin(actor);
    actor->op_count = keys_from(actor, BATCH_WRITE_MAX);
    actor->kind = REQUEST_BATCH_WRITE;
    for (uint32_t i = 0; i < actor->op_count; i++) {
        bool put = prng_below(sim_prng(items->sim), 8) < puts_of_8;
        uint64_t token = history_token(&items->history);
        struct register_op op = {.effect = put ? REGISTER_PUT : REGISTER_DELETE,
                                 .token = put ? token : 0};
        size_t index = history_begin(&items->history, actor->number, actor->key + i, op,
                                     sim_now_ns(items->sim));
        actor->op = i == 0 ? index : actor->op;
        buffer_append_format(&body, "%s{\"%s\":{", i == 0 ? "[" : ",",
                             put ? "PutRequest\":{\"Item" : "DeleteRequest\":{\"Key");
        append_key(&body, o, actor->key + i);
        if (put)
            append_new_state(&body, o, token);
        buffer_append_bytes(&body, BYTES("}}}"));
    }
    buffer_append_bytes(&body, BYTES("]}"));
    send(actor, "BatchWriteItem", &body);
}

static void begin_many(struct items_actor *actor, uint32_t count)
{
    struct items *items = actor->items;
    for (uint32_t i = 0; i < count; i++) {
        size_t index =
            history_begin(&items->history, actor->number, actor->key + i,
                          (struct register_op){.effect = REGISTER_READ}, sim_now_ns(items->sim));
        if (i == 0)
            actor->op = index;
        actor->seen[i] = false;
    }
    actor->op_count = count;
    buffer_clear(&actor->resume);
}

/* No operations of the history: what the index shows while items are written was once so. */
void ask_global_scan(struct items_actor *actor, uint32_t table)
{
    uint32_t keys = keys_of_table(&actor->items->options);
    actor->table = table;
    actor->key = table * keys;
    actor->kind = REQUEST_SCAN;
    actor->limit = actor->items->phase == ITEMS_FINAL
                       ? 0
                       : (uint32_t)prng_below(sim_prng(actor->items->sim), 8);
    actor->index = GLOBAL_INDEX;
    actor->op_count = 0;
    actor->behind = false;
    memset(actor->seen, 0, keys);
    buffer_clear(&actor->resume);
    ask_page(actor);
}

void ask_final_scan(struct items_actor *actor, uint32_t table, uint32_t index)
{
    uint32_t keys = keys_of_table(&actor->items->options);
    actor->table = table;
    actor->key = table * keys;
    actor->kind = REQUEST_SCAN;
    actor->limit = 0;
    actor->index = index;
    begin_many(actor, keys);
    ask_page(actor);
}

static void ask_many(struct items_actor *actor, enum request_kind kind)
{
    struct items *items = actor->items;
    const struct items_options *o = &items->options;
    struct prng *prng = sim_prng(items->sim);
    uint32_t count = kind == REQUEST_QUERY ? o->sort_keys : keys_of_table(o);
    if (kind == REQUEST_BATCH_GET)
        count = keys_from(actor, BATCH_GET_MAX);
    else
        actor->key -= actor->key % count;
    begin_many(actor, count);
    actor->kind = kind;
    actor->limit = prng_one_in(prng, 2) ? 1 + (uint32_t)prng_below(prng, count) : 0;
    actor->index = 0;
    if (has_indexes(actor->table) && prng_one_in(prng, 2))
        actor->index = 1 + (uint32_t)prng_below(prng, 2);
    if (kind == REQUEST_BATCH_GET)
        ask_batch_get(actor);
    else
        ask_page(actor);
}

void ask_something(struct items_actor *actor)
{
    struct prng *prng = sim_prng(actor->items->sim);
    choose_key(actor);
    if (actor->items->options.global_indexes && prng_one_in(prng, 40)) {
        if (prng_one_in(prng, 8))
            ask_update_table(actor, prng_one_in(prng, 2));
        else
            ask_global_scan(actor, actor->table);
        return;
    }
    uint64_t dice = prng_below(prng, actor->items->options.batches ? 106 : 100);
    /* Trees that grow and shrink do more than trees that stay. */
    uint64_t mood = actor->items->requests / actor->items->options.mood_requests % 3;
    if (mood > 0 && actor->items->options.batches && prng_one_in(prng, 4)) {
        ask_batch_write(actor, mood == 1 ? 8 : 0);
        return;
    }
    if (mood > 0 && prng_one_in(prng, 2)) {
        ask_write(actor, mood == 1 ? REGISTER_PUT : REGISTER_DELETE, false);
        return;
    }
    if (dice < 22)
        ask_get(actor, true);
    else if (dice < 26)
        ask_get(actor, false);
    else if (dice < 50)
        ask_write(actor, REGISTER_PUT, dice >= 38);
    else if (dice < 78)
        ask_write(actor, REGISTER_UPDATE, dice >= 66);
    else if (dice < 90)
        ask_write(actor, REGISTER_DELETE, dice >= 84);
    else if (dice < 98 && schema_of(actor->table) != 2)
        ask_many(actor, REQUEST_QUERY);
    else if (dice < 100)
        ask_many(actor, REQUEST_SCAN);
    else if (dice < 103)
        ask_many(actor, REQUEST_BATCH_GET);
    else
        ask_batch_write(actor, 4);
}
