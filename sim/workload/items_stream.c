/* items_stream.c - in the end one client follows every stream from its beginning, and judges it;
 * and once more, to the ends of the shards, when it has deleted the tables.
 *
 * Each item's records are a chain without a hole from nothing to what the item is now, each write
 * is there once at most, what was acknowledged once, and nothing that nobody wrote.
 */
#include <string.h>

#include "base/assert.h"
#include "sim/workload/items_private.h"
#include "sim/workload/items_stream.h"

#define RETRY_NS     UINT64_C(200000000)
#define EMPTY_PAGES  3u /* one after the other: the shard has no more */
#define FAILURES_MAX 30u

enum stream_step { STEP_TABLE, STEP_DELETE, STEP_SHARDS, STEP_ITERATOR, STEP_RECORDS };

struct items_stream {
    struct items *items;
    struct http_client http;
    struct sim_event wake;
    bool done;
    bool departs; /* ITEMS_DEPART */
    enum stream_step step;
    uint32_t table, shard, shard_count, empty_pages, failures;
    char arn[256];
    char shards[64][40];
    char iterator[1024];
    uint64_t *last; /* the token that each key's newest record left; 0: no item */
    bool *seen;     /* by token */
    size_t tokens;
};

/* ---- Asking ---- */

static void ask(struct items_stream *s)
{
    struct buffer body;
    const char *target = "DescribeTable";
    buffer_init(&body, s->items->heap, BODY_BYTES_MAX);
    switch (s->step) {
    case STEP_TABLE:
        buffer_append_format(&body, "{\"TableName\":\"table%u\"}", s->table);
        break;
    case STEP_DELETE:
        target = "DeleteTable";
        buffer_append_format(&body, "{\"TableName\":\"table%u\"}", s->table);
        break;
    case STEP_SHARDS:
        target = "DynamoDBStreams_20120810.DescribeStream";
        buffer_append_format(&body, "{\"StreamArn\":\"%s\"}", s->arn);
        break;
    case STEP_ITERATOR:
        target = "DynamoDBStreams_20120810.GetShardIterator";
        buffer_append_format(&body,
                             "{\"StreamArn\":\"%s\",\"ShardId\":\"%s\",\"ShardIteratorType\":"
                             "\"TRIM_HORIZON\"}",
                             s->arn, s->shards[s->shard]);
        break;
    case STEP_RECORDS:
        target = "DynamoDBStreams_20120810.GetRecords";
        buffer_append_format(&body, "{\"ShardIterator\":\"%s\",\"Limit\":%u}", s->iterator,
                             1 + (unsigned)prng_below(sim_prng(s->items->sim), 200));
        break;
    }
    ASSERT(!body.failed);
    http_client_post(&s->http, target, buffer_bytes(&body));
    buffer_release(&body);
}

static void on_wake(struct sim_event *event)
{
    ask(CONTAINER_OF(event, struct items_stream, wake));
}

static void ask_later(struct items_stream *s, uint64_t delay_ns)
{
    sim_schedule(s->items->sim, &s->wake, delay_ns);
}

static bool copy_text(char *to, size_t bytes, struct bytes text)
{
    if (text.count == 0 || text.count >= bytes)
        return false;
    memcpy(to, text.at, text.count);
    to[text.count] = '\0';
    return true;
}

/* ---- Judging ---- */

static void judge_record(struct items_stream *s, const struct json *record)
{
    struct items *items = s->items;
    struct history *history = &items->history;
    const struct json *shown = json_member(record, "dynamodb");
    const struct json *keys = json_member(shown, "Keys");
    struct register_state old = items_state_of(items, json_member(shown, "OldImage"));
    struct register_state now = items_state_of(items, json_member(shown, "NewImage"));
    uint64_t token = now.token != 0 ? now.token : old.token;
    if (token == 0 || token > s->tokens) {
        history_violation(history, "a record of a write that nobody sent");
        return;
    }
    uint32_t key = history->ops[token - 1].key;
    bool right =
        key / keys_of_table(&items->options) == s->table && items_has_key(items, keys, key);
    if (!right)
        history_violation(history, "key %u: its record says that it is another's", key);
    else if (old.token != s->last[key] || old.token == now.token)
        history_violation(history, "key %u: a record from token %llu to %llu follows on %llu", key,
                          (unsigned long long)old.token, (unsigned long long)now.token,
                          (unsigned long long)s->last[key]);
    else if (now.token != 0 && s->seen[now.token])
        history_violation(history, "key %u: token %llu is in the stream twice", key,
                          (unsigned long long)now.token);
    struct bytes name = json_text(record, "eventName");
    struct bytes due = old.token == 0   ? BYTES("INSERT")
                       : now.token == 0 ? BYTES("REMOVE")
                                        : BYTES("MODIFY");
    if (!bytes_equal(name, due))
        history_violation(history, "key %u: a record %.*s has other images", key, BYTES_ARGS(name));
    s->seen[now.token] = true;
    s->last[key] = now.token;
}

/* All tables are read. */
static void judge_all(struct items_stream *s)
{
    struct history *history = &s->items->history;
    uint32_t keys = s->items->options.tables * keys_of_table(&s->items->options);
    for (size_t i = 0; i < s->tokens; i++) {
        const struct history_op *at = &history->ops[i];
        bool writes = at->op.effect == REGISTER_PUT || at->op.effect == REGISTER_UPDATE;
        if (writes && !at->open && !at->void_op && !at->op.maybe && !s->seen[at->op.token])
            history_violation(history, "key %u: token %llu was acknowledged and is in no record",
                              at->key, (unsigned long long)at->op.token);
    }
    /* The last strong read of each key, behind all writes. */
    bool *judged = heap_alloc_zero(s->items->heap, keys);
    ASSERT(judged != NULL);
    for (size_t i = s->tokens; i > 0; i--) {
        const struct history_op *at = &history->ops[i - 1];
        bool read = at->op.effect == REGISTER_READ && at->op.observed && !at->weak && !at->open &&
                    !at->void_op && !at->op.maybe;
        if (!read || judged[at->key] || at->op.begin_ns < s->items->final_ns)
            continue;
        judged[at->key] = true;
        if (at->op.before.token != s->last[at->key])
            history_violation(history, "key %u: it is at token %llu, its last record at %llu",
                              at->key, (unsigned long long)at->op.before.token,
                              (unsigned long long)s->last[at->key]);
    }
    heap_free(s->items->heap, judged, keys);
}

/* ---- Answers ---- */

static void finish(struct items_stream *s)
{
    s->done = true;
    s->items->phase_done = true;
}

static void next_table(struct items_stream *s)
{
    s->step = STEP_TABLE;
    if (++s->table < s->items->options.tables) {
        ask_later(s, 1000);
        return;
    }
    judge_all(s);
    finish(s);
}

static void next_shard(struct items_stream *s)
{
    s->step = STEP_ITERATOR;
    s->empty_pages = 0;
    if (++s->shard < s->shard_count)
        ask_later(s, 1000);
    else
        next_table(s);
}

static void take_records(struct items_stream *s, const struct json *json)
{
    const struct json *list = json_member(json, "Records");
    const struct json *record = list != NULL ? list->first : NULL;
    s->empty_pages = record == NULL ? s->empty_pages + 1 : 0;
    for (; record != NULL; record = record->next)
        judge_record(s, record);
    bool goes_on =
        copy_text(s->iterator, sizeof(s->iterator), json_text(json, "NextShardIterator"));
    if (!goes_on && !s->departs)
        history_violation(&s->items->history, "a stream that is enabled has a shard that ends");
    else if (!goes_on || (!s->departs && s->empty_pages == EMPTY_PAGES))
        next_shard(s);
    else
        ask_later(s, s->empty_pages > 0 ? RETRY_NS : 1000);
}

static void take(struct items_stream *s, const struct json *json)
{
    struct items *items = s->items;
    bool whole = true;
    switch (s->step) {
    case STEP_TABLE:
        whole = copy_text(s->arn, sizeof(s->arn),
                          json_text(json_member(json, "Table"), "LatestStreamArn"));
        s->step = s->departs ? STEP_DELETE : STEP_SHARDS;
        break;
    case STEP_DELETE:
        s->step = STEP_SHARDS;
        break;
    case STEP_SHARDS: {
        const struct json *list = json_member(json_member(json, "StreamDescription"), "Shards");
        const struct json *shard = list != NULL ? list->first : NULL;
        s->shard = s->shard_count = 0;
        for (; shard != NULL && s->shard_count < 64; shard = shard->next)
            whole =
                whole && copy_text(s->shards[s->shard_count++], 40, json_text(shard, "ShardId"));
        whole = whole && s->shard_count > 0;
        s->step = STEP_ITERATOR;
        break;
    }
    case STEP_ITERATOR:
        whole = copy_text(s->iterator, sizeof(s->iterator), json_text(json, "ShardIterator"));
        s->step = STEP_RECORDS;
        break;
    case STEP_RECORDS:
        take_records(s, json);
        return;
    }
    if (!whole)
        history_violation(&items->history, "table %u: what is said of its stream is not whole",
                          s->table);
    else
        ask_later(s, 1000);
}

/* The answer to an earlier request may be lost, and an index on its way. */
static bool is_refusal_of_delete(struct items_stream *s, const struct http_answer *answer)
{
    static const char gone[] = "ResourceNotFoundException", busy[] = "ResourceInUseException";
    struct bytes body = answer->body;
    if (s->step != STEP_DELETE || answer->outcome != HTTP_ANSWERED || answer->status != 400)
        return false;
    if (memmem(body.at, body.count, gone, sizeof(gone) - 1) != NULL)
        s->step = STEP_SHARDS;
    else if (memmem(body.at, body.count, busy, sizeof(busy) - 1) == NULL)
        return false;
    ask_later(s, RETRY_NS);
    return true;
}

static void on_answer(struct http_client *http, const struct http_answer *answer)
{
    struct items_stream *s = CONTAINER_OF(http, struct items_stream, http);
    struct items *items = s->items;
    struct arena arena;
    sim_trace_fold(items->sim, ((uint64_t)answer->outcome << 32) | answer->status);
    sim_trace(items->sim, "stream of table %u, step %d: %u %.*s", s->table, (int)s->step,
              answer->status, (int)MIN(answer->body.count, (size_t)120),
              (const char *)answer->body.at);
    if (is_refusal_of_delete(s, answer))
        return;
    bool served = answer->outcome == HTTP_ANSWERED && answer->status == 200;
    bool may =
        answer->outcome == HTTP_LOST || (answer->outcome == HTTP_ANSWERED && answer->status >= 500);
    if (!served && !may)
        history_violation(&items->history, "an unexpected answer %u about a stream: %.*s",
                          answer->status, (int)MIN(answer->body.count, (size_t)300),
                          (const char *)answer->body.at);
    if (!served) {
        /* What is damaged cannot be read: then there is nothing to judge. */
        if (!may || (items->options.may_fail && ++s->failures > FAILURES_MAX))
            finish(s);
        else
            ask_later(s, RETRY_NS);
        return;
    }
    arena_init(&arena, items->heap, (size_t)64 << 20);
    const struct json *json = json_parse(&arena, answer->body);
    if (json == NULL)
        history_violation(&items->history, "an answer about a stream is no JSON");
    else
        take(s, json);
    arena_release(&arena);
    if (items->history.violation[0] != '\0')
        finish(s);
}

/* ---- Life ---- */

struct items_stream *items_stream_begin(struct items *items)
{
    struct items_stream *s = heap_alloc_zero(items->heap, sizeof(*s));
    uint32_t keys = items->options.tables * keys_of_table(&items->options);
    ASSERT(s != NULL);
    *s = (struct items_stream){
        .items = items, .departs = items->phase == ITEMS_DEPART, .tokens = items->history.count};
    s->wake.run = on_wake;
    s->last = heap_alloc_zero(items->heap, keys * sizeof(*s->last));
    s->seen = heap_alloc_zero(items->heap, s->tokens + 1);
    ASSERT(s->last != NULL && s->seen != NULL);
    http_client_init(&s->http, items->sim, items->heap, items->node, items->options.port,
                     items->options.timeout_ns, on_answer);
    ask_later(s, RETRY_NS);
    return s;
}

void items_stream_end(struct items_stream *s)
{
    if (s == NULL)
        return;
    struct items *items = s->items;
    uint32_t keys = items->options.tables * keys_of_table(&items->options);
    sim_cancel(items->sim, &s->wake);
    http_client_close(&s->http);
    heap_free(items->heap, s->last, keys * sizeof(*s->last));
    heap_free(items->heap, s->seen, s->tokens + 1);
    heap_free(items->heap, s, sizeof(*s));
}
