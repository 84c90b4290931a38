#include "sim/workload/transact.h"

#include <string.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "sim/workload/json.h"

#define BODY_BYTES_MAX ((size_t)4 << 20)
#define LIST_MAX       4096u
#define REPEATS_MAX    40u
#define ACTIONS_MAX    5u

enum ask { ASK_CREATE, ASK_DESCRIBE, ASK_WRITE, ASK_READ, ASK_SINGLE_WRITE, ASK_SINGLE_READ };

struct transact_actor {
    struct transact *t;
    uint32_t number;
    struct http_client http;
    struct sim_event wake;
    enum ask kind;
    struct serial_op op;
    uint64_t token; /* of the operation under way; 0: none */
    bool with_token;
    uint32_t repeats;
    struct buffer body; /* of the request, to be sent again */
    bool again;         /* FINAL */
};

static const char *const targets[] = {
    [ASK_CREATE] = "CreateTable",       [ASK_DESCRIBE] = "DescribeTable",
    [ASK_WRITE] = "TransactWriteItems", [ASK_READ] = "TransactGetItems",
    [ASK_SINGLE_WRITE] = "UpdateItem",  [ASK_SINGLE_READ] = "GetItem",
};

static uint64_t below(struct transact *t, uint64_t bound)
{
    return prng_below(sim_prng(t->sim), bound);
}

static bool one_in(struct transact *t, uint64_t n)
{
    return below(t, n) == 0;
}

static void wake_after(struct transact_actor *actor, uint64_t mean_ns)
{
    sim_schedule(actor->t->sim, &actor->wake, below(actor->t, 2 * mean_ns + 1));
}

/* ---- Bodies ---- */

/* Tables 1, 3, ... have a sort key and a local index. */
static bool is_sorted(uint32_t table)
{
    return table % 2 == 1;
}

static void append_place(const struct transact *t, struct buffer *out, uint32_t key)
{
    uint32_t table = key % t->tables, n = key / t->tables;
    if (is_sorted(table))
        buffer_append_format(out,
                             "\"TableName\":\"txn%u\",\"Key\":{\"pk\":{\"S\":\"p%u\"},"
                             "\"sk\":{\"N\":\"%u\"}}",
                             table, n / 3, n % 3);
    else
        buffer_append_format(out, "\"TableName\":\"txn%u\",\"Key\":{\"pk\":{\"S\":\"p%u\"}}", table,
                             n);
}

/* What must hold of the item: its last token, or that it is absent; and the values. */
static void append_condition(struct buffer *out, const struct serial_access *access, bool append,
                             uint64_t token)
{
    bool condition = access->conditional || access->kind != SERIAL_APPEND;
    if (condition)
        buffer_append_format(out, ",\"ConditionExpression\":\"%s\"",
                             access->seen == 0 ? "attribute_not_exists(pk)" : "tok = :x");
    if (!append && access->seen == 0)
        return;
    buffer_append_bytes(out, BYTES(",\"ExpressionAttributeValues\":{"));
    if (append)
        buffer_append_format(out,
                             "\":t\":{\"N\":\"%llu\"},\":e\":{\"L\":[]},"
                             "\":l\":{\"L\":[{\"N\":\"%llu\"}]}",
                             (unsigned long long)token, (unsigned long long)token);
    if (condition && access->seen != 0)
        buffer_append_format(out, "%s\":x\":{\"N\":\"%llu\"}", append ? "," : "",
                             (unsigned long long)access->seen);
    buffer_append_u8(out, '}');
}

#define APPEND                                                                                     \
    ",\"UpdateExpression\":\"SET tok = :t, toks = list_append(if_not_exists(toks, :e), :l)\""

static void append_action(const struct transact *t, struct buffer *out,
                          const struct serial_access *access, uint64_t token)
{
    static const char *const names[] = {
        [SERIAL_READ] = "ConditionCheck", [SERIAL_APPEND] = "Update", [SERIAL_DELETE] = "Delete"};
    bool append = access->kind == SERIAL_APPEND;
    buffer_append_format(out, "{\"%s\":{", names[access->kind]);
    append_place(t, out, access->key);
    if (append)
        buffer_append_bytes(out, BYTES(APPEND));
    append_condition(out, access, append, token);
    buffer_append_bytes(out, BYTES("}}"));
}

static void send(struct transact_actor *actor)
{
    char target[64];
    snprintf(target, sizeof(target), "%s", targets[actor->kind]);
    ASSERT(!actor->body.failed);
    http_client_post(&actor->http, target, buffer_bytes(&actor->body));
}

/* ---- Tables ---- */

static void ask_table(struct transact_actor *actor, bool create)
{
    struct transact *t = actor->t;
    uint32_t table = t->tables_ready;
    struct buffer *body = &actor->body;
    buffer_clear(body);
    buffer_append_format(body, "{\"TableName\":\"txn%u\"", table);
    actor->kind = create ? ASK_CREATE : ASK_DESCRIBE;
    if (create && is_sorted(table))
        buffer_append_bytes(
            body, BYTES(",\"BillingMode\":\"PAY_PER_REQUEST\",\"AttributeDefinitions\":["
                        "{\"AttributeName\":\"pk\",\"AttributeType\":\"S\"},"
                        "{\"AttributeName\":\"sk\",\"AttributeType\":\"N\"},"
                        "{\"AttributeName\":\"tok\",\"AttributeType\":\"N\"}],\"KeySchema\":["
                        "{\"AttributeName\":\"pk\",\"KeyType\":\"HASH\"},"
                        "{\"AttributeName\":\"sk\",\"KeyType\":\"RANGE\"}],"
                        "\"LocalSecondaryIndexes\":[{\"IndexName\":\"by-tok\",\"Projection\":"
                        "{\"ProjectionType\":\"ALL\"},\"KeySchema\":["
                        "{\"AttributeName\":\"pk\",\"KeyType\":\"HASH\"},"
                        "{\"AttributeName\":\"tok\",\"KeyType\":\"RANGE\"}]}]"));
    else if (create)
        buffer_append_bytes(
            body, BYTES(",\"BillingMode\":\"PAY_PER_REQUEST\",\"AttributeDefinitions\":["
                        "{\"AttributeName\":\"pk\",\"AttributeType\":\"S\"}],\"KeySchema\":["
                        "{\"AttributeName\":\"pk\",\"KeyType\":\"HASH\"}]"));
    buffer_append_u8(body, '}');
    send(actor);
}

/* ---- What to ask ---- */

static bool has_key(const struct serial_op *op, uint32_t key)
{
    for (uint32_t i = 0; i < op->access_count; i++) {
        if (op->accesses[i].key == key)
            return true;
    }
    return false;
}

static void add_access(struct transact *t, struct serial_op *op, bool reads)
{
    uint32_t key = (uint32_t)below(t, t->keys);
    if (has_key(op, key))
        return;
    struct serial_access *access = &op->accesses[op->access_count++];
    *access = (struct serial_access){.key = key, .kind = SERIAL_READ};
    if (reads)
        return;
    access->seen = t->last[key];
    uint64_t dice = below(t, 10);
    if (dice < 6)
        access->kind = SERIAL_APPEND;
    else if (dice < 8 && t->serial.deletes[key] && access->seen != 0)
        access->kind = SERIAL_DELETE;
    access->conditional = access->kind != SERIAL_APPEND || one_in(t, 3);
    if (!access->conditional)
        access->seen = 0;
}

static void begin_op(struct transact_actor *actor)
{
    struct transact *t = actor->t;
    actor->token = serial_begin(&t->serial, &actor->op, sim_now_ns(t->sim));
    actor->repeats = 0;
}

static void ask_write(struct transact_actor *actor)
{
    struct transact *t = actor->t;
    struct buffer *body = &actor->body;
    actor->kind = ASK_WRITE;
    begin_op(actor);
    buffer_clear(body);
    buffer_append_bytes(body, BYTES("{\"TransactItems\":["));
    for (uint32_t i = 0; i < actor->op.access_count; i++) {
        if (i > 0)
            buffer_append_u8(body, ',');
        append_action(t, body, &actor->op.accesses[i], actor->token);
    }
    buffer_append_u8(body, ']');
    actor->with_token = one_in(t, 2);
    if (actor->with_token)
        buffer_append_format(body, ",\"ClientRequestToken\":\"t%llu\"",
                             (unsigned long long)actor->token);
    buffer_append_u8(body, '}');
    send(actor);
}

static void ask_read(struct transact_actor *actor)
{
    struct transact *t = actor->t;
    struct buffer *body = &actor->body;
    actor->kind = ASK_READ;
    actor->with_token = false;
    begin_op(actor);
    buffer_clear(body);
    buffer_append_bytes(body, BYTES("{\"TransactItems\":["));
    for (uint32_t i = 0; i < actor->op.access_count; i++) {
        buffer_append_bytes(body, i > 0 ? BYTES(",{\"Get\":{") : BYTES("{\"Get\":{"));
        append_place(t, body, actor->op.accesses[i].key);
        buffer_append_bytes(body, BYTES("}}"));
    }
    buffer_append_bytes(body, BYTES("]}"));
    send(actor);
}

static void ask_single(struct transact_actor *actor, bool reads)
{
    struct transact *t = actor->t;
    struct buffer *body = &actor->body;
    struct serial_access *access = &actor->op.accesses[0];
    if (!reads && access->kind != SERIAL_APPEND)
        *access = (struct serial_access){.key = access->key, .kind = SERIAL_APPEND};
    actor->kind = reads ? ASK_SINGLE_READ : ASK_SINGLE_WRITE;
    actor->op.alone = reads;
    actor->with_token = false;
    begin_op(actor);
    buffer_clear(body);
    buffer_append_u8(body, '{');
    append_place(t, body, access->key);
    if (reads) {
        buffer_append_bytes(body, BYTES(",\"ConsistentRead\":true"));
    } else {
        buffer_append_bytes(body, BYTES(APPEND));
        append_condition(body, access, true, actor->token);
    }
    buffer_append_u8(body, '}');
    send(actor);
}

static void ask_something(struct transact_actor *actor)
{
    struct transact *t = actor->t;
    uint64_t dice = below(t, 10);
    bool reads = dice == 4 || dice >= 8 || dice == 7;
    bool single = dice >= 5 && dice <= 7;
    actor->op = (struct serial_op){0};
    uint32_t wanted = single ? 1 : 1 + (uint32_t)below(t, ACTIONS_MAX);
    for (uint32_t i = 0; i < wanted; i++)
        add_access(t, &actor->op, reads);
    if (single)
        ask_single(actor, reads);
    else if (reads)
        ask_read(actor);
    else
        ask_write(actor);
}

/* Every item once, one by one, as a transaction: that says that nothing is under way any more. */
static void final_step(struct transact_actor *actor)
{
    struct transact *t = actor->t;
    if (!actor->again && t->final_next >= t->keys)
        return;
    if (!actor->again) {
        actor->op = (struct serial_op){.access_count = 1};
        actor->op.accesses[0] = (struct serial_access){.key = t->final_next++};
    }
    actor->again = false;
    ask_read(actor);
}

/* ---- Answers ---- */

static void see_item(struct transact_actor *actor, uint32_t index, const struct json *item)
{
    struct transact *t = actor->t;
    uint64_t tokens[LIST_MAX];
    size_t count = 0;
    uint32_t key = actor->op.accesses[index].key;
    const struct json *list = json_member(json_member(item, "toks"), "L");
    const struct json *at = list == NULL ? NULL : list->first;
    for (; at != NULL && count < LIST_MAX; at = at->next)
        tokens[count++] = json_u64(json_text(at, "N"));
    uint64_t last = json_u64(json_text(json_member(item, "tok"), "N"));
    if (item != NULL && (count == 0 || tokens[count - 1] != last))
        serial_violation(&t->serial, "key %u is not what was written", key);
    serial_saw(&t->serial, actor->token, index, tokens, count);
    t->last[key] = count == 0 ? 0 : last;
}

static void end_op(struct transact_actor *actor, enum serial_outcome outcome)
{
    struct transact *t = actor->t;
    serial_end(&t->serial, actor->token, outcome, sim_now_ns(t->sim));
    actor->token = 0;
    if (t->phase == ITEMS_FINAL && outcome == SERIAL_DONE) {
        t->final_done++;
        t->phase_done = t->final_done == t->keys;
    }
    if (t->phase == ITEMS_FINAL && outcome != SERIAL_DONE)
        actor->again = true;
}

static void take_reads(struct transact_actor *actor, const struct json *json)
{
    const struct json *responses = json_member(json, "Responses");
    const struct json *at = responses == NULL ? NULL : responses->first;
    if (actor->kind == ASK_SINGLE_READ) {
        see_item(actor, 0, json_member(json, "Item"));
        return;
    }
    for (uint32_t i = 0; i < actor->op.access_count; i++) {
        if (at == NULL) {
            serial_violation(&actor->t->serial, "an answer of too few items");
            return;
        }
        see_item(actor, i, json_member(at, "Item"));
        at = at->next;
    }
}

static bool names(struct bytes type, const char *exception)
{
    size_t bytes = strlen(exception);
    return type.count >= bytes && memcmp(type.at + type.count - bytes, exception, bytes) == 0;
}

/* A transaction whose outcome is not known is asked for again by its token. */
static bool ask_again(struct transact_actor *actor)
{
    if (!actor->with_token || actor->t->phase != ITEMS_RUN || actor->repeats >= REPEATS_MAX)
        return false;
    actor->repeats++;
    return true;
}

/* Returns whether the actor goes on with the same operation. */
static bool take_refusal(struct transact_actor *actor, uint32_t status, const struct json *json)
{
    struct bytes type = json_text(json, "__type");
    bool known = names(type, "#TransactionCanceledException") ||
                 names(type, "#TransactionConflictException") ||
                 names(type, "#ConditionalCheckFailedException");
    if (names(type, "#IdempotentParameterMismatchException"))
        serial_violation(&actor->t->serial, "a repeated request is taken for another one");
    if (names(type, "#ValidationException"))
        serial_violation(&actor->t->serial, "a valid request is refused");
    bool reads = actor->kind == ASK_READ || actor->kind == ASK_SINGLE_READ;
    /* Once it was asked for before, only a cancellation says that nothing came of it. */
    bool repeated = actor->repeats > 0 && !names(type, "#TransactionCanceledException");
    if (repeated && ask_again(actor))
        return true;
    if (repeated) {
        end_op(actor, SERIAL_UNKNOWN);
        return false;
    }
    if (known || reads || (status < 500 && !names(type, "#TransactionInProgressException"))) {
        end_op(actor, SERIAL_CANCELLED);
        return false;
    }
    if (ask_again(actor))
        return true;
    end_op(actor, SERIAL_UNKNOWN);
    return false;
}

static bool take_answer(struct transact_actor *actor, const struct http_answer *answer)
{
    struct transact *t = actor->t;
    struct arena arena;
    bool goes_on = false;
    arena_init(&arena, t->heap, BODY_BYTES_MAX * 4);
    const struct json *json = json_parse(&arena, answer->body);
    if (json == NULL)
        serial_violation(&t->serial, "an answer that is no JSON");
    t->requests++;
    if (actor->kind == ASK_CREATE || actor->kind == ASK_DESCRIBE) {
        struct bytes status = json_text(json_member(json, "Table"), "TableStatus");
        if (bytes_equal(status, BYTES("ACTIVE")))
            t->tables_ready++;
        t->phase_done = t->tables_ready == t->tables;
    } else if (answer->status == 200) {
        if (actor->kind == ASK_READ || actor->kind == ASK_SINGLE_READ)
            take_reads(actor, json);
        end_op(actor, SERIAL_DONE);
    } else {
        goes_on = take_refusal(actor, answer->status, json);
    }
    arena_release(&arena);
    return goes_on;
}

static bool take_loss(struct transact_actor *actor)
{
    bool reads = actor->kind == ASK_READ || actor->kind == ASK_SINGLE_READ;
    if (actor->token == 0)
        return false;
    if (!reads && ask_again(actor))
        return true;
    end_op(actor, reads ? SERIAL_CANCELLED : SERIAL_UNKNOWN);
    return false;
}

/* ---- Actors ---- */

static bool all_idle(const struct transact *t)
{
    for (uint32_t i = 0; i < t->actor_count; i++)
        if (t->actors[i].http.busy || t->actors[i].token != 0)
            return false;
    return true;
}

static void on_wake(struct sim_event *event)
{
    struct transact_actor *actor = CONTAINER_OF(event, struct transact_actor, wake);
    struct transact *t = actor->t;
    ASSERT(!actor->http.busy);
    if (actor->token != 0 && t->phase == ITEMS_RUN) {
        send(actor); /* the same once more */
        return;
    }
    if (actor->token != 0)
        end_op(actor, SERIAL_UNKNOWN);
    switch (t->phase) {
    case ITEMS_SETUP:
        ask_table(actor, one_in(t, 2));
        break;
    case ITEMS_RUN:
        ask_something(actor);
        break;
    case ITEMS_STOP:
        t->phase_done = all_idle(t);
        break;
    case ITEMS_FINAL:
        final_step(actor);
        break;
    case ITEMS_FOLLOW: /* there are no streams */
    case ITEMS_DEPART:
        break;
    }
}

static void on_answer(struct http_client *http, const struct http_answer *answer)
{
    struct transact_actor *actor = CONTAINER_OF(http, struct transact_actor, http);
    struct transact *t = actor->t;
    uint64_t pause_ns = t->think_ns;
    bool goes_on;
    sim_trace_fold(t->sim, ((uint64_t)answer->outcome << 32) | answer->status);
    sim_trace(t->sim, "client %u: %s of %llu: %u %.*s", actor->number, targets[actor->kind],
              (unsigned long long)actor->token, answer->status,
              (int)MIN(answer->body.count, (size_t)200), (const char *)answer->body.at);
    if (answer->outcome == HTTP_ANSWERED) {
        goes_on = take_answer(actor, answer);
    } else {
        if (answer->outcome == HTTP_BROKEN)
            serial_violation(&t->serial, "a broken answer: %s", answer->text);
        goes_on = take_loss(actor);
        pause_ns += UINT64_C(10000000);
    }
    if (goes_on)
        pause_ns += UINT64_C(300000000);
    if (t->phase == ITEMS_SETUP)
        pause_ns += 2000000;
    if (actor->again)
        pause_ns += UINT64_C(200000000);
    wake_after(actor, pause_ns);
}

/* ---- The whole ---- */

void transact_init(struct transact *t, struct sim *sim, struct heap *heap, struct sim_node *node,
                   uint16_t port)
{
    struct prng *prng = sim_prng(sim);
    *t = (struct transact){.sim = sim,
                           .heap = heap,
                           .think_ns = UINT64_C(1000) << prng_below(prng, 13),
                           .tables = 1 + (uint32_t)prng_below(prng, 3),
                           .keys = 3 + (uint32_t)prng_below(prng, 14),
                           .actor_count = 2 + (uint32_t)prng_below(prng, 8)};
    uint64_t timeout_ns = UINT64_C(500000000) << prng_below(prng, 6);
    serial_init(&t->serial, heap, t->keys);
    for (uint32_t key = 0; key < t->keys; key++)
        t->serial.deletes[key] = prng_one_in(prng, 2);
    t->actors = heap_alloc_zero(heap, t->actor_count * sizeof(struct transact_actor));
    ASSERT(t->actors != NULL);
    for (uint32_t i = 0; i < t->actor_count; i++) {
        struct transact_actor *actor = &t->actors[i];
        actor->t = t;
        actor->number = i;
        actor->wake.run = on_wake;
        buffer_init(&actor->body, heap, BODY_BYTES_MAX);
        http_client_init(&actor->http, sim, heap, node, port, timeout_ns, on_answer);
    }
}

void transact_release(struct transact *t)
{
    for (uint32_t i = 0; i < t->actor_count; i++) {
        struct transact_actor *actor = &t->actors[i];
        sim_cancel(t->sim, &actor->wake);
        http_client_close(&actor->http);
        buffer_release(&actor->body);
    }
    heap_free(t->heap, t->actors, t->actor_count * sizeof(struct transact_actor));
    serial_release(&t->serial);
}

void transact_begin(struct transact *t, enum items_phase phase)
{
    t->phase = phase;
    t->phase_done = false;
    t->final_next = t->final_done = 0;
    for (uint32_t i = 0; i < t->actor_count; i++) {
        struct transact_actor *actor = &t->actors[i];
        actor->again = false;
        if (!actor->http.busy && (phase != ITEMS_SETUP || i == 0))
            wake_after(actor, 1000);
    }
}
