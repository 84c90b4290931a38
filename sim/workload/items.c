#include "sim/workload/items.h"

#include <string.h>

#include "base/assert.h"
#include "sim/workload/json.h"

#define BODY_BYTES_MAX ((size_t)4 << 20)
#define LARGE_ONE_IN   24u
#define LARGE_BYTES    6000u
#define HUGE_ONE_IN    200u
#define HUGE_BYTES     90000u
#define LONG_KEY       1000u
#define MOOD_REQUESTS  150u /* so long the actors prefer one kind of write */

enum request_kind {
    REQUEST_CREATE_TABLE,
    REQUEST_DESCRIBE_TABLE,
    REQUEST_GET,
    REQUEST_PUT,
    REQUEST_UPDATE,
    REQUEST_DELETE,
    REQUEST_QUERY,
    REQUEST_SCAN,
};

enum old_values { OLD_NONE, OLD_ALL, OLD_ALL_NEW };

struct items_actor {
    struct items *items;
    uint32_t number;
    struct http_client http;
    struct sim_event wake;
    enum request_kind kind;
    enum old_values old;
    uint32_t table;
    uint32_t key;      /* the first, of a query or scan */
    size_t op;         /* its index in the history; those of a query or scan follow */
    uint32_t op_count; /* keys that a query or scan covers */
    uint64_t token;
    bool *seen;           /* of the keys of a query or scan */
    struct buffer resume; /* LastEvaluatedKey, as it came */
    uint32_t losses;      /* requests without an answer since the last one with */
    bool again;           /* FINAL: the key is to be read again */
    uint32_t limit;       /* of a query or scan; 0 = none */
};

/* ---- Names of things ---- */

static uint32_t keys_of_table(const struct items_options *o)
{
    return o->partition_keys * o->sort_keys;
}

/* Table t: 0 has (S, N) keys, 1 (N, S) with long sort keys, 2 a partition key alone; and again. */
static uint32_t schema_of(uint32_t table)
{
    return table % 3;
}

static void append_key(struct buffer *out, const struct items_options *o, uint32_t key)
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

static uint8_t pad_byte(uint64_t token, size_t i)
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

/* ---- Reading items out of answers ---- */

static struct bytes attribute(const struct json *item, const char *name, const char *type)
{
    return json_text(json_member(item, name), type);
}

/* The state that `item` shows; one that nobody can have written is a violation. */
static struct register_state state_of(struct items_actor *actor, const struct json *item)
{
    struct items *items = actor->items;
    struct register_state state = {0};
    if (item == NULL)
        return state;
    state.token = json_u64(attribute(item, "tok", "N"));
    state.count = json_u64(attribute(item, "n", "N"));
    struct bytes pad = attribute(item, "filler", "S");
    bool whole = state.token != 0 && pad.count == items_pad_bytes(&items->options, state.token);
    for (size_t i = 0; i < pad.count && whole; i++)
        whole = pad.at[i] == pad_byte(state.token, i);
    if (!whole)
        history_violation(&items->history, "an item with token %llu is not what was written",
                          (unsigned long long)state.token);
    return state;
}

static bool has_key(struct items_actor *actor, const struct json *item, uint32_t key)
{
    struct buffer text;
    struct arena arena;
    const struct items *items = actor->items;
    buffer_init(&text, items->heap, BODY_BYTES_MAX);
    arena_init(&arena, items->heap, BODY_BYTES_MAX);
    buffer_append_u8(&text, '{');
    append_key(&text, &items->options, key);
    buffer_append_u8(&text, '}');
    const struct json *wanted = json_parse(&arena, buffer_bytes(&text));
    ASSERT(wanted != NULL);
    bool same = true;
    for (const struct json *at = wanted->first; at != NULL; at = at->next) {
        const struct json *value = at->first;
        const struct json *found = NULL;
        const struct json *member = item != NULL ? item->first : NULL;
        for (; member != NULL; member = member->next)
            if (bytes_equal(member->name, at->name))
                found = member->first;
        same = same && found != NULL && bytes_equal(found->name, value->name) &&
               bytes_equal(found->text, value->text);
    }
    arena_release(&arena);
    buffer_release(&text);
    return same;
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

static void append_names_of_key(struct buffer *body, uint32_t table)
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
    buffer_append_format(body, ",\"AttributeDefinitions\":[%s]", types[schema_of(table)]);
}

/* Provisioned so that the table has several partitions. */
static void ask_create_table(struct items_actor *actor)
{
    struct buffer body = body_begin(actor);
    append_names_of_key(&body, actor->table);
    if (actor->table % 2 == 0)
        buffer_append_bytes(&body, BYTES(",\"ProvisionedThroughput\":{\"ReadCapacityUnits\":6000,"
                                         "\"WriteCapacityUnits\":2000}"));
    else
        buffer_append_bytes(&body, BYTES(",\"BillingMode\":\"PAY_PER_REQUEST\""));
    actor->kind = REQUEST_CREATE_TABLE;
    send(actor, "CreateTable", &body);
}

static void ask_describe_table(struct items_actor *actor)
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

static void ask_get(struct items_actor *actor, bool strong)
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
    if (effect == REGISTER_PUT) {
        buffer_append_format(&body, ",\"tok\":{\"N\":\"%llu\"},\"n\":{\"N\":\"0\"}",
                             (unsigned long long)op.token);
        append_state(&body, &items->options, op.token, ",\"filler\":");
    }
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
static void ask_page(struct items_actor *actor)
{
    const struct items_options *o = &actor->items->options;
    struct buffer body = body_begin(actor);
    buffer_append_bytes(&body, BYTES(",\"ConsistentRead\":true"));
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

static void ask_many(struct items_actor *actor, enum request_kind kind)
{
    struct items *items = actor->items;
    const struct items_options *o = &items->options;
    struct prng *prng = sim_prng(items->sim);
    uint32_t count = kind == REQUEST_QUERY ? o->sort_keys : keys_of_table(o);
    actor->key -= actor->key % count;
    for (uint32_t i = 0; i < count; i++) {
        size_t index =
            history_begin(&items->history, actor->number, actor->key + i,
                          (struct register_op){.effect = REGISTER_READ}, sim_now_ns(items->sim));
        if (i == 0)
            actor->op = index;
        actor->seen[i] = false;
    }
    actor->op_count = count;
    actor->kind = kind;
    actor->limit = prng_one_in(prng, 2) ? 1 + (uint32_t)prng_below(prng, count) : 0;
    buffer_clear(&actor->resume);
    ask_page(actor);
}

static void ask_something(struct items_actor *actor)
{
    struct prng *prng = sim_prng(actor->items->sim);
    choose_key(actor);
    uint64_t dice = prng_below(prng, 100);
    /* Trees that grow and shrink do more than trees that stay. */
    uint64_t mood = actor->items->requests / MOOD_REQUESTS % 3;
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
    else
        ask_many(actor, REQUEST_SCAN);
}

/* ---- Phases ---- */

static void wake_after(struct items_actor *actor, uint64_t mean_ns)
{
    struct sim *sim = actor->items->sim;
    sim_schedule(sim, &actor->wake, prng_below(sim_prng(sim), 2 * mean_ns + 1));
}

static bool all_idle(const struct items *items)
{
    for (uint32_t i = 0; i < items->options.actors; i++)
        if (items->actors[i].http.busy)
            return false;
    return true;
}

static void final_step(struct items_actor *actor)
{
    struct items *items = actor->items;
    const struct items_options *o = &items->options;
    if (!actor->again && items->final_next >= o->tables * keys_of_table(o))
        return;
    if (!actor->again)
        actor->key = items->final_next++;
    actor->again = false;
    actor->table = actor->key / keys_of_table(o);
    ask_get(actor, true);
}

static void on_wake(struct sim_event *event)
{
    struct items_actor *actor = CONTAINER_OF(event, struct items_actor, wake);
    struct items *items = actor->items;
    ASSERT(!actor->http.busy);
    switch (items->phase) {
    case ITEMS_SETUP:
        actor->table = items->tables_ready;
        if (prng_one_in(sim_prng(items->sim), 2))
            ask_create_table(actor);
        else
            ask_describe_table(actor);
        break;
    case ITEMS_RUN:
        ask_something(actor);
        break;
    case ITEMS_STOP:
        items->phase_done = all_idle(items);
        break;
    case ITEMS_FINAL:
        final_step(actor);
        break;
    }
}

/* ---- Answers ---- */

/* An operation that has ended without being done, of which nothing is known but its outcome. */
static void end_ops(struct items_actor *actor, bool unknown)
{
    struct items *items = actor->items;
    for (uint32_t i = 0; i < actor->op_count; i++) {
        if (unknown)
            history_unknown(&items->history, actor->op + i);
        else
            history_void(&items->history, actor->op + i, sim_now_ns(items->sim));
    }
    actor->op_count = 0;
}

static void count_final(struct items *items)
{
    items->final_done++;
    items->phase_done = items->final_done == items->options.tables * keys_of_table(&items->options);
}

/* A key must be read in the final phase: again, when that failed. */
static void failed(struct items_actor *actor, bool unknown)
{
    struct items *items = actor->items;
    bool setup = actor->kind == REQUEST_CREATE_TABLE || actor->kind == REQUEST_DESCRIBE_TABLE;
    if (!setup)
        end_ops(actor, unknown);
    if (items->phase == ITEMS_FINAL && actor->kind == REQUEST_GET) {
        sim_trace(items->sim, "client %u: the last read of key %u failed", actor->number,
                  actor->key);
        actor->again = !items->options.may_fail || actor->http.connection == NULL;
        if (!actor->again)
            count_final(items);
    }
}

static void done_one(struct items_actor *actor, const struct json *json)
{
    struct items *items = actor->items;
    uint64_t now_ns = sim_now_ns(items->sim);
    bool get = actor->kind == REQUEST_GET;
    const struct json *item = json_member(json, get ? "Item" : "Attributes");
    struct register_state state = state_of(actor, item);
    actor->op_count = 0;
    if (item != NULL && !has_key(actor, item, actor->key))
        history_violation(&items->history, "key %u: the answer shows another item", actor->key);
    if (!get && actor->old == OLD_ALL_NEW && state.token != actor->token)
        history_violation(&items->history, "key %u: ALL_NEW shows token %llu, not the new one",
                          actor->key, (unsigned long long)state.token);
    if (!get && actor->old == OLD_ALL_NEW) {
        items->history.ops[actor->op].op.counted = true;
        items->history.ops[actor->op].op.count_after = state.count;
    }
    bool observed = get || actor->old == OLD_ALL;
    history_done(&items->history, actor->op, observed ? &state : NULL, now_ns);
    if (items->phase == ITEMS_FINAL && get)
        count_final(items);
}

static void refused_one(struct items_actor *actor, const struct json *json)
{
    struct items *items = actor->items;
    struct register_state state = state_of(actor, json_member(json, "Item"));
    actor->op_count = 0;
    history_refused(&items->history, actor->op, &state, sim_now_ns(items->sim));
}

static void see_item(struct items_actor *actor, const struct json *item)
{
    struct items *items = actor->items;
    for (uint32_t i = 0; i < actor->op_count; i++) {
        if (!has_key(actor, item, actor->key + i))
            continue;
        if (actor->seen[i])
            history_violation(&items->history, "key %u: a query or scan shows it twice",
                              actor->key + i);
        else {
            struct register_state state = state_of(actor, item);
            history_done(&items->history, actor->op + i, &state, sim_now_ns(items->sim));
        }
        actor->seen[i] = true;
        return;
    }
    history_violation(&items->history, "a query or scan at key %u shows an item of elsewhere",
                      actor->key);
}

static void append_json(struct buffer *out, const struct json *json)
{
    /* Keys are objects of strings that need no escapes. */
    if (json->type == JSON_STRING) {
        buffer_append_format(out, "\"%.*s\"", BYTES_ARGS(json->text));
        return;
    }
    buffer_append_u8(out, '{');
    for (const struct json *at = json->first; at != NULL; at = at->next) {
        buffer_append_format(out, "%s\"%.*s\":", at == json->first ? "" : ",",
                             BYTES_ARGS(at->name));
        append_json(out, at);
    }
    buffer_append_u8(out, '}');
}

/* Returns whether another page was asked for. */
static bool done_page(struct items_actor *actor, const struct json *json)
{
    struct items *items = actor->items;
    const struct json *list = json_member(json, "Items");
    uint64_t count = 0;
    const struct json *item = list != NULL ? list->first : NULL;
    for (; item != NULL; item = item->next, count++)
        see_item(actor, item);
    if (json_u64(json_text(json, "Count")) != count)
        history_violation(&items->history, "Count is not the number of items");
    const struct json *last = json_member(json, "LastEvaluatedKey");
    buffer_clear(&actor->resume);
    if (last != NULL) {
        append_json(&actor->resume, last);
        ask_page(actor);
        return true;
    }
    for (uint32_t i = 0; i < actor->op_count; i++) {
        static const struct register_state absent;
        if (!actor->seen[i])
            history_done(&items->history, actor->op + i, &absent, sim_now_ns(items->sim));
    }
    actor->op_count = 0;
    return false;
}

static void end_many(struct items_actor *actor)
{
    struct items *items = actor->items;
    for (uint32_t i = 0; i < actor->op_count; i++)
        if (!actor->seen[i])
            history_void(&items->history, actor->op + i, sim_now_ns(items->sim));
    actor->op_count = 0;
}

static void done_setup(struct items_actor *actor, const struct json *json)
{
    struct items *items = actor->items;
    const struct json *table = json_member(json, "Table");
    if (actor->kind == REQUEST_DESCRIBE_TABLE &&
        bytes_equal(json_text(table, "TableStatus"), BYTES("ACTIVE")))
        items->tables_ready++;
    items->phase_done = items->tables_ready == items->options.tables;
}

static bool is_many(const struct items_actor *actor)
{
    return actor->kind == REQUEST_QUERY || actor->kind == REQUEST_SCAN;
}

/* An answer that says no.  Returns false when it is one that no client should get. */
static bool explained(struct items_actor *actor, uint32_t status, const struct json *json)
{
    struct items *items = actor->items;
    struct bytes type = json_text(json, "__type");
    const uint8_t *hash = type.count > 0 ? memchr(type.at, '#', type.count) : NULL;
    if (hash != NULL)
        type = bytes_after(type, (size_t)(hash - type.at) + 1);
    bool setup = items->phase == ITEMS_SETUP;
    if (status == 500 || status == 503) {
        items->failures++;
        if (is_many(actor))
            end_many(actor);
        else
            failed(actor, true);
        return true;
    }
    if (status != 400)
        return false;
    if (bytes_equal(type, BYTES("ConditionalCheckFailedException")) && !is_many(actor) &&
        actor->kind != REQUEST_GET) {
        refused_one(actor, json);
        return true;
    }
    if (bytes_equal(type, BYTES("ProvisionedThroughputExceededException")) ||
        bytes_equal(type, BYTES("ThrottlingException"))) {
        if (is_many(actor))
            end_many(actor);
        else
            failed(actor, false);
        return true;
    }
    return setup && (bytes_equal(type, BYTES("ResourceInUseException")) ||
                     bytes_equal(type, BYTES("ResourceNotFoundException")));
}

/* Returns whether the actor has asked again. */
static bool answered(struct items_actor *actor, const struct http_answer *answer)
{
    struct items *items = actor->items;
    struct arena arena;
    arena_init(&arena, items->heap, (size_t)64 << 20);
    const struct json *json = json_parse(&arena, answer->body);
    bool again = false;
    items->requests++;
    if (json == NULL) {
        history_violation(&items->history, "an answer %u is no JSON: %.*s", answer->status,
                          (int)MIN(answer->body.count, (size_t)200), (const char *)answer->body.at);
    } else if (answer->status != 200) {
        if (!explained(actor, answer->status, json))
            history_violation(&items->history, "an unexpected answer %u to request %d: %.*s",
                              answer->status, (int)actor->kind,
                              (int)MIN(answer->body.count, (size_t)300),
                              (const char *)answer->body.at);
    } else if (items->phase == ITEMS_SETUP) {
        done_setup(actor, json);
    } else if (is_many(actor)) {
        again = done_page(actor, json);
    } else {
        done_one(actor, json);
    }
    arena_release(&arena);
    return again;
}

static void on_answer(struct http_client *http, const struct http_answer *answer)
{
    struct items_actor *actor = CONTAINER_OF(http, struct items_actor, http);
    struct items *items = actor->items;
    uint64_t pause_ns = items->options.think_ns;
    sim_trace_fold(items->sim, ((uint64_t)answer->outcome << 32) | answer->status);
    sim_trace(items->sim, "client %u: request %d on key %u: %u %.*s", actor->number,
              (int)actor->kind, actor->key, answer->status,
              (int)MIN(answer->body.count, (size_t)120), (const char *)answer->body.at);
    if (answer->outcome == HTTP_ANSWERED) {
        actor->losses = 0;
        if (answered(actor, answer))
            return;
    } else {
        if (answer->outcome == HTTP_BROKEN)
            history_violation(&items->history, "a broken answer: %s", answer->text);
        items->lost++;
        if (is_many(actor))
            end_many(actor);
        else
            failed(actor, true);
        pause_ns += UINT64_C(10000000) << MIN(actor->losses++, 3u);
    }
    if (items->phase == ITEMS_SETUP)
        pause_ns += 2000000;
    wake_after(actor, pause_ns);
}

/* ---- The whole ---- */

struct items_options items_options_from_seed(struct prng *prng, uint16_t port)
{
    struct items_options options = {
        .port = port,
        .tables = 1 + (uint32_t)prng_below(prng, 3),
        .partition_keys = 1 + (uint32_t)prng_below(prng, 6),
        .sort_keys = 4 + (uint32_t)prng_below(prng, 6),
        .actors = 1 + (uint32_t)prng_below(prng, 12),
        .think_ns = UINT64_C(1000) << prng_below(prng, 13),
        .timeout_ns = UINT64_C(500000000) << prng_below(prng, 6),
        .pad_bytes = 4u << prng_below(prng, 9),
    };
    if (prng_one_in(prng, 4)) { /* more than a small cache holds */
        options.sort_keys = 20 + (uint32_t)prng_below(prng, 40);
        options.pad_bytes = 1024u << prng_below(prng, 4);
    }
    return options;
}

void items_init(struct items *items, struct sim *sim, struct heap *heap, struct sim_node *node,
                const struct items_options *options)
{
    *items = (struct items){.sim = sim, .heap = heap, .node = node, .options = *options};
    uint32_t keys = options->tables * keys_of_table(options);
    history_init(&items->history, heap, keys);
    items->actors = heap_alloc_zero(heap, options->actors * sizeof(struct items_actor));
    ASSERT(items->actors != NULL);
    for (uint32_t i = 0; i < options->actors; i++) {
        struct items_actor *actor = &items->actors[i];
        actor->items = items;
        actor->number = i;
        actor->wake.run = on_wake;
        actor->seen = heap_alloc_zero(heap, keys);
        ASSERT(actor->seen != NULL);
        buffer_init(&actor->resume, heap, BODY_BYTES_MAX);
        http_client_init(&actor->http, sim, heap, node, options->port, options->timeout_ns,
                         on_answer);
    }
}

void items_release(struct items *items)
{
    for (uint32_t i = 0; i < items->options.actors; i++) {
        struct items_actor *actor = &items->actors[i];
        sim_cancel(items->sim, &actor->wake);
        http_client_close(&actor->http);
        heap_free(items->heap, actor->seen, items->options.tables * keys_of_table(&items->options));
        buffer_release(&actor->resume);
    }
    heap_free(items->heap, items->actors, items->options.actors * sizeof(struct items_actor));
    history_release(&items->history);
}

void items_begin(struct items *items, enum items_phase phase)
{
    items->phase = phase;
    items->phase_done = false;
    items->final_next = items->final_done = 0;
    for (uint32_t i = 0; i < items->options.actors; i++) {
        struct items_actor *actor = &items->actors[i];
        actor->again = false;
        if (!actor->http.busy && (phase != ITEMS_SETUP || i == 0))
            wake_after(actor, 1000);
    }
}

void items_crashed(struct items *items)
{
    history_settle(&items->history, sim_now_ns(items->sim));
}
