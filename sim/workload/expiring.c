#include "sim/workload/expiring.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "sim/workload/json.h"

#define SECOND     UINT64_C(1000000000)
#define TIMEOUT_NS (2 * SECOND)
#define NEVER      UINT64_MAX
#define TABLE      "{\"TableName\":\"expiring\""
#define BODY_BYTES 4096u

#define QUIET_RUN_S 12u /* the faults are over, and it goes on */

/* The server's clock is ahead of this by less than that; it changes when the server starts. */
#define CLOCK_SLACK_S 3u

static uint64_t earliest_s(const struct expiring *e)
{
    return (SIM_WALL_BASE_NS + sim_now_ns(e->sim)) / SECOND;
}

static uint64_t latest_s(const struct expiring *e)
{
    return earliest_s(e) + CLOCK_SLACK_S;
}

static void wake_after(struct expiring *e, uint64_t mean_ns)
{
    sim_schedule(e->sim, &e->wake, prng_below(sim_prng(e->sim), 2 * mean_ns + 1));
}

/* ---- Asking ---- */

static void ask(struct expiring *e, const char *operation, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void ask(struct expiring *e, const char *operation, const char *format, ...)
{
    char text[512];
    struct buffer body;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    buffer_init(&body, e->heap, BODY_BYTES);
    buffer_append_format(&body, TABLE "%s}", text);
    ASSERT(!body.failed);
    e->requests++;
    http_client_post(&e->http, operation, buffer_bytes(&body));
    buffer_release(&body);
}

static void ask_table(struct expiring *e)
{
    e->asked = ASK_TABLE;
    if (prng_one_in(sim_prng(e->sim), 2))
        ask(e, "DescribeTable", "%s", "");
    else
        ask(e, "CreateTable", "%s",
            ",\"BillingMode\":\"PAY_PER_REQUEST\",\"KeySchema\":[{\"AttributeName\":\"pk\","
            "\"KeyType\":\"HASH\"}],\"AttributeDefinitions\":[{\"AttributeName\":\"pk\","
            "\"AttributeType\":\"S\"}]");
}

static void ask_put(struct expiring *e)
{
    struct prng *prng = sim_prng(e->sim);
    char time[64] = "";
    e->asked = ASK_PUT;
    e->key = (uint32_t)prng_below(prng, EXPIRING_KEYS);
    e->time_s = earliest_s(e);
    if (prng_one_in(prng, 4))
        e->time_s -= 1 + prng_below(prng, 30);
    else
        e->time_s += prng_below(prng, 20);
    if (prng_one_in(prng, 8))
        e->time_s = NEVER;
    else
        e->last_s = MAX(e->last_s, e->time_s);
    if (e->time_s != NEVER)
        snprintf(time, sizeof(time), ",\"time\":{\"N\":\"%llu.5\"}", (unsigned long long)e->time_s);
    ask(e, "PutItem", ",\"Item\":{\"pk\":{\"S\":\"key%u\"}%s}", e->key, time);
}

static void ask_get(struct expiring *e)
{
    e->asked = ASK_GET;
    ask(e, "GetItem", ",\"ConsistentRead\":true,\"Key\":{\"pk\":{\"S\":\"key%u\"}}", e->key);
}

static void ask_enable(struct expiring *e)
{
    e->asked = ASK_ENABLE;
    ask(e, "UpdateTimeToLive", "%s",
        ",\"TimeToLiveSpecification\":{\"Enabled\":true,\"AttributeName\":\"time\"}");
}

static void ask_state(struct expiring *e)
{
    e->asked = ASK_STATE;
    ask(e, "DescribeTimeToLive", "%s", "");
}

static void on_wake(struct sim_event *event)
{
    struct expiring *e = CONTAINER_OF(event, struct expiring, wake);
    struct prng *prng = sim_prng(e->sim);
    ASSERT(!e->http.busy);
    switch (e->step) {
    case EXPIRING_CREATE:
        ask_table(e);
        break;
    case EXPIRING_RUN:
        if (e->run_until_s > 0 && earliest_s(e) >= e->run_until_s)
            e->step = EXPIRING_WAIT;
        if (!e->enabled && e->requests >= e->enable_at && prng_one_in(prng, 2)) {
            ask_enable(e);
        } else if (prng_one_in(prng, 3)) {
            e->key = (uint32_t)prng_below(prng, EXPIRING_KEYS);
            ask_get(e);
        } else {
            ask_put(e);
        }
        break;
    case EXPIRING_WAIT:
        if (!e->enabled)
            ask_enable(e);
        else
            ask_state(e);
        break;
    case EXPIRING_CHECK:
        ask_get(e);
        break;
    case EXPIRING_DONE:
        break;
    }
}

/* ---- What answers say ---- */

static void took_put(struct expiring *e, bool known)
{
    struct expiring_key *key = &e->keys[e->key];
    if (known) {
        key->put = true;
        key->time_s = e->time_s;
    } else if (e->time_s == NEVER) {
        key->unknown_timeless = true;
    } else {
        key->unknown_s = MIN(key->unknown_s, e->time_s);
    }
}

/* An item is not there: was its time over, on any clock? */
static void saw_absent(struct expiring *e)
{
    const struct expiring_key *key = &e->keys[e->key];
    uint64_t first_s = MIN(key->time_s, key->unknown_s);
    if (key->put && first_s >= latest_s(e))
        history_violation(e->history, "expiring item %u has gone at %llu, before its time, %llu",
                          e->key, (unsigned long long)latest_s(e), (unsigned long long)first_s);
}

/* It is there, in the end: is it one whose time never comes? */
static void saw_present(struct expiring *e, const struct json *item)
{
    const struct expiring_key *key = &e->keys[e->key];
    bool has_time = json_member(item, "time") != NULL;
    bool may_be_timeless = key->unknown_timeless || (key->put && key->time_s == NEVER);
    if (e->step == EXPIRING_CHECK && (has_time || !may_be_timeless))
        history_violation(e->history, "expiring item %u is still there, long after its time",
                          e->key);
}

/* The table's time to live is ENABLED: what is over goes with the next sweep, or the one after. */
static void took_state(struct expiring *e, const struct json *json)
{
    const struct json *state = json_member(json, "TimeToLiveDescription");
    if (!bytes_equal(json_text(state, "TimeToLiveStatus"), BYTES("ENABLED")))
        return;
    if (e->settled_s == 0)
        e->settled_s = MAX(earliest_s(e), e->last_s) + CLOCK_SLACK_S + 3 * EXPIRING_INTERVAL_MAX;
    if (earliest_s(e) < e->settled_s)
        return;
    e->step = EXPIRING_CHECK;
    e->key = 0;
}

static void took_get(struct expiring *e, const struct json *json)
{
    const struct json *item = json_member(json, "Item");
    if (item == NULL)
        saw_absent(e);
    else
        saw_present(e, item);
    if (e->step != EXPIRING_CHECK || ++e->key < EXPIRING_KEYS)
        return;
    e->step = EXPIRING_DONE;
    e->done = true;
}

static void took_refusal(struct expiring *e, uint32_t status, const struct json *json)
{
    struct bytes message = json_text(json, "message");
    if (e->asked == ASK_PUT && status != 400)
        took_put(e, false);
    if (e->asked == ASK_ENABLE && bytes_equal(message, BYTES("TimeToLive is already enabled")))
        e->enabled = true;
    bool explained = status == 500 || status == 503 || e->asked == ASK_TABLE ||
                     (e->asked == ASK_ENABLE && e->enabled);
    if (!explained)
        history_violation(e->history, "an unexpected answer %u to request %d: %.*s", status,
                          (int)e->asked, BYTES_ARGS(message));
}

static void took_answer(struct expiring *e, const struct http_answer *answer)
{
    struct arena arena;
    arena_init(&arena, e->heap, (size_t)1 << 20);
    const struct json *json = json_parse(&arena, answer->body);
    if (json == NULL || answer->status != 200) {
        took_refusal(e, answer->status, json);
    } else if (e->asked == ASK_PUT) {
        took_put(e, true);
    } else if (e->asked == ASK_GET) {
        took_get(e, json);
    } else if (e->asked == ASK_ENABLE) {
        e->enabled = true;
    } else if (e->asked == ASK_STATE) {
        took_state(e, json);
    } else if (bytes_equal(json_text(json_member(json, "Table"), "TableStatus"), BYTES("ACTIVE")) &&
               e->step == EXPIRING_CREATE) {
        e->step = EXPIRING_RUN;
    }
    arena_release(&arena);
}

static void on_answer(struct http_client *http, const struct http_answer *answer)
{
    struct expiring *e = CONTAINER_OF(http, struct expiring, http);
    sim_trace_fold(e->sim, ((uint64_t)answer->outcome << 32) | answer->status);
    sim_trace(e->sim, "expiring: request %d on key%u: %u %.*s", (int)e->asked, e->key,
              answer->status, (int)MIN(answer->body.count, (size_t)120),
              (const char *)answer->body.at);
    if (answer->outcome == HTTP_ANSWERED)
        took_answer(e, answer);
    else if (answer->outcome == HTTP_BROKEN)
        history_violation(e->history, "a broken answer: %s", answer->text);
    else if (e->asked == ASK_PUT)
        took_put(e, false);
    if (e->step == EXPIRING_DONE)
        return;
    wake_after(e, e->step == EXPIRING_WAIT ? SECOND / 2 : SECOND / 50);
}

/* ---- The whole ---- */

void expiring_init(struct expiring *e, struct sim *sim, struct heap *heap, struct sim_node *node,
                   uint16_t port, struct history *history)
{
    *e = (struct expiring){.sim = sim, .heap = heap, .history = history};
    e->enable_at = prng_below(sim_prng(sim), 100);
    e->wake.run = on_wake;
    for (uint32_t i = 0; i < EXPIRING_KEYS; i++)
        e->keys[i].time_s = e->keys[i].unknown_s = NEVER;
    http_client_init(&e->http, sim, heap, node, port, TIMEOUT_NS, on_answer);
    wake_after(e, SECOND / 20);
}

void expiring_release(struct expiring *e)
{
    sim_cancel(e->sim, &e->wake);
    http_client_close(&e->http);
}

void expiring_finish(struct expiring *e)
{
    e->done = e->step == EXPIRING_CREATE; /* the table never came to be */
    e->run_until_s = earliest_s(e) + QUIET_RUN_S;
}
