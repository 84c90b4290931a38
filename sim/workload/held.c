#include "sim/workload/held.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "sim/workload/json.h"

#define SECOND       UINT64_C(1000000000)
#define TIMEOUT_NS   (2 * SECOND)
#define QUIET_RUN_NS (5 * SECOND)
#define CATCH_UP_NS  (100 * SECOND) /* is more than the index needs for what it was asked */
#define TABLE        "{\"TableName\":\"held\""
#define BODY_BYTES   (64u << 10)
#define PAD_MAX      8000u

static void wake_after(struct held *h, uint64_t mean_ns)
{
    sim_schedule(h->sim, &h->wake, prng_below(sim_prng(h->sim), 2 * mean_ns + 1));
}

/* ---- Asking ---- */

static void ask(struct held *h, const char *operation, uint32_t pad_bytes, const char *format, ...)
    PRINTF_LIKE(4, 5);

/* `pad_bytes` of an attribute more in front of what follows. */
static void ask(struct held *h, const char *operation, uint32_t pad_bytes, const char *format, ...)
{
    char text[1024];
    struct buffer body;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    buffer_init(&body, h->heap, BODY_BYTES);
    buffer_append_format(&body, TABLE ",");
    if (pad_bytes > 0) {
        buffer_append_format(&body, "\"Item\":{\"pad\":{\"S\":\"");
        for (uint32_t i = 0; i < pad_bytes; i++)
            buffer_append_u8(&body, 'x');
        buffer_append_format(&body, "\"},");
    }
    buffer_append_format(&body, "%s}", text);
    ASSERT(!body.failed);
    http_client_post(&h->http, operation, buffer_bytes(&body));
    buffer_release(&body);
}

/* Of two units a second, and an index of one: of 600 and 300 to begin with. */
static void ask_table(struct held *h)
{
    h->asked = HELD_ASK_TABLE;
    if (prng_one_in(sim_prng(h->sim), 2))
        ask(h, "DescribeTable", 0, "\"unknown\":1");
    else
        ask(h, "CreateTable", 0,
            "\"ProvisionedThroughput\":{\"ReadCapacityUnits\":100,\"WriteCapacityUnits\":2},"
            "\"KeySchema\":[{\"AttributeName\":\"pk\",\"KeyType\":\"HASH\"}],"
            "\"AttributeDefinitions\":[{\"AttributeName\":\"pk\",\"AttributeType\":\"S\"},"
            "{\"AttributeName\":\"g\",\"AttributeType\":\"S\"}],"
            "\"GlobalSecondaryIndexes\":[{\"IndexName\":\"by-g\","
            "\"KeySchema\":[{\"AttributeName\":\"g\",\"KeyType\":\"HASH\"}],"
            "\"Projection\":{\"ProjectionType\":\"ALL\"},"
            "\"ProvisionedThroughput\":{\"ReadCapacityUnits\":20,\"WriteCapacityUnits\":1}}]");
}

/* A put, in the index or not, of an item that moves there more often than not; or a deletion. */
static void ask_write(struct held *h)
{
    struct prng *prng = sim_prng(h->sim);
    h->asked = HELD_ASK_WRITE;
    h->key = (uint32_t)prng_below(prng, HELD_KEYS);
    bool deletes = prng_one_in(prng, 6);
    uint32_t token = ++h->write_count;
    h->writes[token - 1] =
        (struct held_write){.key = (uint8_t)h->key, .fate = HELD_UNKNOWN, .deletes = deletes};
    if (deletes) {
        ask(h, "DeleteItem", 0, "\"Key\":{\"pk\":{\"S\":\"key%u\"}}", h->key);
        return;
    }
    char group[48] = "";
    if (!prng_one_in(prng, 4))
        snprintf(group, sizeof(group), ",\"g\":{\"S\":\"g%u\"}", (unsigned)prng_below(prng, 3));
    uint32_t pad = 1 + (uint32_t)prng_below(prng, PAD_MAX);
    ask(h, "PutItem", pad, "\"pk\":{\"S\":\"key%u\"},\"token\":{\"N\":\"%u\"}%s}", h->key, token,
        group);
}

static void ask_get(struct held *h)
{
    h->asked = HELD_ASK_GET;
    h->key = (uint32_t)prng_below(sim_prng(h->sim), HELD_KEYS);
    ask(h, "GetItem", 0, "\"ConsistentRead\":true,\"Key\":{\"pk\":{\"S\":\"key%u\"}}", h->key);
}

/* One page has all of them. */
static void ask_scan(struct held *h, bool index)
{
    h->asked = HELD_ASK_SCAN;
    h->scans_index = index;
    ask(h, "Scan", 0, "%s", index ? "\"IndexName\":\"by-g\"" : "\"ConsistentRead\":true");
}

static void run(struct held *h)
{
    struct prng *prng = sim_prng(h->sim);
    if (h->run_until_ns > 0 && sim_now_ns(h->sim) >= h->run_until_ns) {
        h->step = HELD_TABLE;
        ask_scan(h, false);
    } else if (prng_one_in(prng, 4) || h->write_count == HELD_WRITES) {
        if (prng_one_in(prng, 3))
            ask_scan(h, prng_one_in(prng, 2));
        else
            ask_get(h);
    } else {
        ask_write(h);
    }
}

static void on_wake(struct sim_event *event)
{
    struct held *h = CONTAINER_OF(event, struct held, wake);
    ASSERT(!h->http.busy);
    switch (h->step) {
    case HELD_CREATE:
        ask_table(h);
        break;
    case HELD_RUN:
        run(h);
        break;
    case HELD_TABLE:
        ask_scan(h, false);
        break;
    case HELD_INDEX:
        ask_scan(h, true);
        break;
    case HELD_LAST:
        h->write_count = MIN(h->write_count, HELD_WRITES - 1);
        ask_write(h);
        break;
    case HELD_ENDED:
        break;
    }
}

/* ---- What answers say ---- */

static void took_write(struct held *h, enum held_fate fate)
{
    struct held_write *write = &h->writes[h->write_count - 1];
    write->fate = (uint8_t)fate;
    if (fate == HELD_DONE)
        h->last[write->key] = h->write_count;
}

/* May the key have no item? */
static bool may_be_absent(const struct held *h, uint32_t key)
{
    if (h->last[key] == 0 || h->writes[h->last[key] - 1].deletes)
        return true;
    for (uint32_t i = 0; i < h->write_count; i++) {
        const struct held_write *write = &h->writes[i];
        if (write->key == key && write->deletes && write->fate == HELD_UNKNOWN)
            return true;
    }
    return false;
}

/* The item is that of the token; of an index, or of the table as it is now. */
static void saw(struct held *h, uint32_t key, uint32_t token, bool of_index)
{
    bool known = token >= 1 && token <= h->write_count;
    const struct held_write *write = &h->writes[known ? token - 1 : 0];
    if (!known || write->key != key || write->deletes)
        history_violation(h->history, "held item %u has token %u, which is none of its", key,
                          token);
    else if (write->fate == HELD_REFUSED)
        history_violation(h->history, "held item %u has token %u, which was throttled", key, token);
    else if (!of_index && write->fate == HELD_DONE && h->last[key] != token)
        history_violation(h->history, "held item %u has token %u, and %u came after it", key, token,
                          h->last[key]);
}

static void saw_absent(struct held *h, uint32_t key)
{
    if (!may_be_absent(h, key))
        history_violation(h->history, "held item %u is gone, and nobody deleted it", key);
}

/* The index has not what the table has; for how long may that be? */
static void saw_difference(struct held *h)
{
    h->step = HELD_TABLE;
    for (uint32_t key = 0; key < HELD_KEYS; key++) {
        if (h->shown[0][key] != h->shown[1][key] &&
            sim_now_ns(h->sim) > h->run_until_ns + CATCH_UP_NS)
            history_violation(h->history,
                              "held item %u has token %u in the table, and its index has %u", key,
                              h->shown[0][key], h->shown[1][key]);
    }
}

static uint32_t token_of(const struct json *item)
{
    return (uint32_t)json_u64(json_text(json_member(item, "token"), "N"));
}

static void took_get(struct held *h, const struct json *json)
{
    const struct json *item = json_member(json, "Item");
    if (item == NULL)
        saw_absent(h, h->key);
    else
        saw(h, h->key, token_of(item), false);
}

/* The tokens of what is in the index, or is to be in it, by key. */
static void took_scan(struct held *h, const struct json *json)
{
    uint32_t tokens[HELD_KEYS] = {0};
    bool seen[HELD_KEYS] = {false};
    const struct json *items = json_member(json, "Items");
    const struct json *item = items == NULL ? NULL : items->first;
    for (; item != NULL; item = item->next) {
        struct bytes name = json_text(json_member(item, "pk"), "S");
        uint64_t key = name.count > 3 ? json_u64(bytes_after(name, 3)) : HELD_KEYS;
        if (key >= HELD_KEYS) {
            history_violation(h->history, "held: an item of nobody's");
            return;
        }
        saw(h, (uint32_t)key, token_of(item), h->scans_index);
        seen[key] = true;
        if (json_member(item, "g") != NULL)
            tokens[key] = token_of(item);
    }
    for (uint32_t key = 0; key < HELD_KEYS && !h->scans_index; key++) {
        if (!seen[key])
            saw_absent(h, key);
    }
    memcpy(h->shown[h->scans_index], tokens, sizeof(tokens));
    if (h->step == HELD_TABLE)
        h->step = HELD_INDEX;
    else if (h->step == HELD_INDEX && memcmp(h->shown[0], h->shown[1], sizeof(tokens)) != 0)
        saw_difference(h);
    else if (h->step == HELD_INDEX)
        h->step = HELD_LAST;
}

static void took_refusal(struct held *h, uint32_t status, const struct json *json)
{
    struct bytes type = json_text(json, "__type");
    const struct json *reasons = json_member(json, "ThrottlingReasons");
    struct bytes reason = json_text(reasons == NULL ? NULL : reasons->first, "reason");
    bool throttled = status == 400 && reason.count > 0;
    if (h->asked == HELD_ASK_WRITE && throttled) {
        took_write(h, HELD_REFUSED);
        h->throttled[bytes_start_with(reason, BYTES("Index"))]++;
    }
    if (throttled || status == 500 || status == 503 || h->asked == HELD_ASK_TABLE)
        return;
    history_violation(h->history, "an unexpected answer %u to held request %d: %.*s", status,
                      (int)h->asked, BYTES_ARGS(type));
}

static bool is_active(const struct json *json)
{
    const struct json *table = json_member(json, "Table");
    const struct json *indexes = json_member(table, "GlobalSecondaryIndexes");
    return bytes_equal(json_text(table, "TableStatus"), BYTES("ACTIVE")) && indexes != NULL &&
           bytes_equal(json_text(indexes->first, "IndexStatus"), BYTES("ACTIVE"));
}

static void took_answer(struct held *h, const struct http_answer *answer)
{
    struct arena arena;
    arena_init(&arena, h->heap, (size_t)4 << 20);
    const struct json *json = json_parse(&arena, answer->body);
    if (json == NULL || answer->status != 200) {
        took_refusal(h, answer->status, json);
    } else if (h->asked == HELD_ASK_WRITE) {
        took_write(h, HELD_DONE);
        if (h->step == HELD_LAST)
            h->step = HELD_ENDED;
    } else if (h->asked == HELD_ASK_GET) {
        took_get(h, json);
    } else if (h->asked == HELD_ASK_SCAN) {
        took_scan(h, json);
    } else if (h->step == HELD_CREATE && is_active(json)) {
        h->step = HELD_RUN;
    }
    arena_release(&arena);
}

static void on_answer(struct http_client *http, const struct http_answer *answer)
{
    struct held *h = CONTAINER_OF(http, struct held, http);
    sim_trace_fold(h->sim, ((uint64_t)answer->outcome << 32) | answer->status);
    sim_trace(h->sim, "held: request %d on key%u: %u %.*s", (int)h->asked, h->key, answer->status,
              (int)MIN(answer->body.count, (size_t)120), (const char *)answer->body.at);
    if (answer->outcome == HTTP_ANSWERED)
        took_answer(h, answer);
    else if (answer->outcome == HTTP_BROKEN)
        history_violation(h->history, "a broken answer: %s", answer->text);
    h->done = h->step == HELD_ENDED;
    if (h->done)
        return;
    wake_after(h, h->step == HELD_RUN || h->step == HELD_CREATE ? SECOND / 50 : SECOND / 2);
}

/* ---- The whole ---- */

void held_init(struct held *h, struct sim *sim, struct heap *heap, struct sim_node *node,
               uint16_t port, struct history *history)
{
    *h = (struct held){.sim = sim, .heap = heap, .history = history};
    h->wake.run = on_wake;
    http_client_init(&h->http, sim, heap, node, port, TIMEOUT_NS, on_answer);
    wake_after(h, SECOND / 20);
}

void held_release(struct held *h)
{
    sim_cancel(h->sim, &h->wake);
    http_client_close(&h->http);
}

void held_finish(struct held *h)
{
    h->done = h->step == HELD_CREATE; /* the table never came to be */
    h->run_until_ns = sim_now_ns(h->sim) + QUIET_RUN_NS;
}
