/* toy_server.c - a small key-value server with the same face, to test the harness itself.
 *
 * It keeps items in memory, appends one record per write to a log, syncs it, and answers.  At start
 * it reads the log up to the first record that does not verify, and writes what it read to a new
 * log.  It does one request at a time, on one fiber.  It knows just the requests of items.c.
 *
 * Record: length u32, checksum u64 of the payload, payload; the payload is what the request was.
 */
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/checksum.h"
#include "base/hash_map.h"
#include "env/bugs.h"
#include "env/fiber.h"
#include "sim/server_adapter.h"
#include "sim/workload/json.h"

#define LOG_BYTES_MAX ((size_t)256 << 20)
#define HEADER_BYTES  12u
#define ITEMS_MAX     100000u
#define ANSWER_MAX    ((size_t)16 << 20)

struct toy_item {
    struct toy_item *next; /* in order of insertion */
    char key[1200];
    uint32_t table;
    bool present;
    uint64_t token, count;
    struct bytes key_json; /* the members of the key, as they came */
    struct bytes pad;
};

struct toy_connection {
    struct list link; /* toy.connections */
    struct toy *toy;
    struct env_stream *stream;
    struct buffer in;
};

struct toy {
    struct env *env;
    struct server_settings settings;
    struct env_listener *listener;
    struct list connections;
    struct hash_map items;
    struct toy_item *first, *last;
    bool tables[16];
    struct env_file *log;
    uint64_t log_bytes;
    struct wait_queue work;
    bool stopping;
    struct buffer record;
    void (*on_started)(void *, enum status);
    void (*on_stopped)(void *);
    void *owner;
};

/* ---- The log ---- */

struct log_job {
    struct env_job job;
    struct toy *toy;
    struct buffer *content; /* RECOVER: what the log holds */
    uint8_t *space;
    size_t space_bytes;
    enum status status;
};

static enum status log_write(struct toy *toy, struct bytes bytes)
{
    TRY(env_file_write(toy->env, toy->log, toy->log_bytes, &bytes, 1));
    return env_file_sync(toy->env, toy->log);
}

static void run_append(struct env_job *env_job)
{
    struct log_job *job = CONTAINER_OF(env_job, struct log_job, job);
    job->status = log_write(job->toy, buffer_bytes(&job->toy->record));
}

static enum status open_log(struct log_job *job, const char *path)
{
    struct env *env = job->toy->env;
    enum status status = env_dir_create(env, job->toy->settings.data);
    if (status != STATUS_OK && status != STATUS_EXISTS)
        return status;
    TRY(env_dir_sync(env, "."));
    TRY(env_file_open(env, path, ENV_FILE_CREATE, &job->toy->log));
    TRY(env_dir_sync(env, job->toy->settings.data));
    uint64_t bytes;
    TRY(env_file_size(env, job->toy->log, &bytes));
    job->space_bytes = (size_t)bytes;
    return STATUS_OK;
}

static void run_open(struct env_job *env_job)
{
    struct log_job *job = CONTAINER_OF(env_job, struct log_job, job);
    char path[64];
    snprintf(path, sizeof(path), "%s/log", job->toy->settings.data);
    job->status = open_log(job, path);
}

static void run_read(struct env_job *env_job)
{
    struct log_job *job = CONTAINER_OF(env_job, struct log_job, job);
    job->status = env_file_read(job->toy->env, job->toy->log, 0, job->space, job->space_bytes);
}

/* Cut the torn tail, and make durable what the cache may hold and the disk may not. */
static void run_cut(struct env_job *env_job)
{
    struct log_job *job = CONTAINER_OF(env_job, struct log_job, job);
    struct env *env = job->toy->env;
    struct bytes whole = bytes_of(job->space, (size_t)job->toy->log_bytes);
    job->status = env_file_truncate(env, job->toy->log, job->toy->log_bytes);
    if (job->status == STATUS_OK && whole.count > 0)
        job->status = env_file_write(env, job->toy->log, 0, &whole, 1);
    if (job->status == STATUS_OK)
        job->status = env_file_sync(env, job->toy->log);
}

static enum status run_job(struct context *ctx, struct log_job *job, void (*run)(struct env_job *))
{
    job->job = (struct env_job){.lane = ENV_LANE_LOG, .run = run};
    TRY(context_run_job(ctx, &job->job));
    return job->status;
}

/* ---- Items ---- */

static struct bytes heap_copy(struct toy *toy, struct bytes bytes)
{
    uint8_t *at = heap_alloc(toy->env->heap, bytes.count + 1);
    if (at == NULL)
        return (struct bytes){0};
    if (bytes.count > 0)
        memcpy(at, bytes.at, bytes.count);
    return bytes_of(at, bytes.count);
}

static void append_members(struct buffer *out, const struct json *object, bool key_only)
{
    bool first = true;
    for (const struct json *at = object->first; at != NULL; at = at->next) {
        bool key = bytes_equal(at->name, BYTES("pk")) || bytes_equal(at->name, BYTES("sk"));
        if (key_only && !key)
            continue;
        buffer_append_format(out, "%s\"%.*s\":{\"%.*s\":\"%.*s\"}", first ? "" : ",",
                             BYTES_ARGS(at->name), BYTES_ARGS(at->first->name),
                             BYTES_ARGS(at->first->text));
        first = false;
    }
}

static uint32_t table_of(const struct json *request)
{
    struct bytes name = json_text(request, "TableName");
    return name.count == 6 ? (uint32_t)(name.at[5] - '0') & 15 : 15;
}

/* The item at the request's key, made if there is none. */
static struct toy_item *item_at(struct toy *toy, const struct json *request)
{
    const struct json *key = json_member(request, "Key");
    struct buffer text;
    buffer_init(&text, toy->env->heap, 4096);
    append_members(&text, key != NULL ? key : json_member(request, "Item"), true);
    char name[1200];
    int count =
        snprintf(name, sizeof(name), "%u %.*s", table_of(request), BYTES_ARGS(buffer_bytes(&text)));
    struct toy_item *item = hash_map_find(&toy->items, bytes_of(name, (size_t)count));
    if (item == NULL) {
        item = heap_alloc_zero(toy->env->heap, sizeof(*item));
        memcpy(item->key, name, (size_t)count + 1);
        item->table = table_of(request);
        item->key_json = heap_copy(toy, buffer_bytes(&text));
        if (hash_map_insert(&toy->items, bytes_of(item->key, (size_t)count), item) != STATUS_OK)
            item = NULL; /* over ITEMS_MAX: no test gets there */
        else if (toy->last != NULL)
            toy->last->next = item;
        else
            toy->first = item;
        toy->last = item;
    }
    buffer_release(&text);
    return item;
}

static void append_item(struct buffer *out, const struct toy_item *item)
{
    buffer_append_format(out,
                         "{%.*s,\"tok\":{\"N\":\"%llu\"},\"n\":{\"N\":\"%llu\"},"
                         "\"filler\":{\"S\":\"",
                         BYTES_ARGS(item->key_json), (unsigned long long)item->token,
                         (unsigned long long)item->count);
    buffer_append_bytes(out, item->pad);
    buffer_append_bytes(out, BYTES("\"}}"));
}

static bool condition_holds(const struct json *request, const struct toy_item *item)
{
    struct bytes condition = json_text(request, "ConditionExpression");
    if (condition.count == 0)
        return true;
    if (bytes_equal(condition, BYTES("attribute_not_exists(pk)")))
        return !item->present;
    const struct json *values = json_member(request, "ExpressionAttributeValues");
    uint64_t expected = json_u64(json_text(json_member(values, ":e"), "N"));
    return item->present && item->token == expected;
}

static void apply(struct toy *toy, const struct json *request, struct bytes target)
{
    struct toy_item *item = item_at(toy, request);
    const struct json *state = json_member(request, "Item");
    const struct json *values = json_member(request, "ExpressionAttributeValues");
    if (bytes_equal(target, BYTES("DeleteItem"))) {
        item->present = false;
        item->count = 0;
        return;
    }
    bool put = bytes_equal(target, BYTES("PutItem"));
    struct bytes pad = put ? json_text(json_member(state, "filler"), "S")
                           : json_text(json_member(values, ":p"), "S");
    item->token = put ? json_u64(json_text(json_member(state, "tok"), "N"))
                      : json_u64(json_text(json_member(values, ":t"), "N"));
    item->count = put ? 0 : item->present ? item->count + 1 : 1;
    item->present = true;
    heap_free(toy->env->heap, (void *)(uintptr_t)item->pad.at, item->pad.count + 1);
    item->pad = heap_copy(toy, pad);
}

/* ---- Requests ---- */

struct toy_request {
    struct bytes target, body;
    size_t bytes; /* of the whole */
};

static enum status append_record(struct context *ctx, struct toy *toy, struct bytes target,
                                 struct bytes body)
{
    size_t count = target.count + 1 + body.count;
    buffer_clear(&toy->record);
    uint8_t *at = buffer_reserve(&toy->record, HEADER_BYTES + count);
    if (at == NULL)
        return STATUS_NO_MEMORY;
    memcpy(at + HEADER_BYTES, target.at, target.count);
    at[HEADER_BYTES + target.count] = ' ';
    memcpy(at + HEADER_BYTES + target.count + 1, body.at, body.count);
    uint32_t length = (uint32_t)count;
    uint64_t checksum = checksum64(bytes_of(at + HEADER_BYTES, count), 1);
    memcpy(at, &length, 4);
    memcpy(at + 4, &checksum, 8);
    buffer_commit(&toy->record, HEADER_BYTES + count);
    struct log_job job = {.toy = toy};
    TRY(run_job(ctx, &job, run_append));
    toy->log_bytes += HEADER_BYTES + count;
    return STATUS_OK;
}

static void answer(struct toy_connection *c, uint32_t status, struct bytes body)
{
    if (c->stream == NULL)
        return;
    char head[128];
    int count = snprintf(head, sizeof(head), "HTTP/1.1 %u X\r\nContent-Length: %zu\r\n\r\n", status,
                         body.count);
    struct bytes runs[2] = {bytes_of(head, (size_t)count), body};
    size_t queued;
    if (env_stream_write(c->toy->env, c->stream, runs, 2, &queued) != STATUS_OK)
        log_line(c->toy->env->log, LOG_DEBUG, "toy", "an answer goes nowhere");
}

static void answer_error(struct toy_connection *c, uint32_t status, const char *type)
{
    char body[128];
    int count = snprintf(body, sizeof(body), "{\"__type\":\"x#%s\"}", type);
    answer(c, status, bytes_of(body, (size_t)count));
}

static void do_write(struct context *ctx, struct toy_connection *c, const struct json *json,
                     const struct toy_request *request)
{
    struct toy *toy = c->toy;
    struct toy_item *item = item_at(toy, json);
    struct buffer out;
    buffer_init(&out, toy->env->heap, ANSWER_MAX);
    if (!condition_holds(json, item)) {
        buffer_append_bytes(&out, BYTES("{\"__type\":\"x#ConditionalCheckFailedException\""));
        if (item->present) {
            buffer_append_bytes(&out, BYTES(",\"Item\":"));
            append_item(&out, item);
        }
        buffer_append_bytes(&out, BYTES("}"));
        answer(c, 400, buffer_bytes(&out));
        buffer_release(&out);
        return;
    }
    struct bytes old = json_text(json, "ReturnValues");
    buffer_append_bytes(&out, BYTES("{"));
    if (bytes_equal(old, BYTES("ALL_OLD")) && item->present) {
        buffer_append_bytes(&out, BYTES("\"Attributes\":"));
        append_item(&out, item);
    }
    bool early = BUG(toy->env, BUG_ACK_BEFORE_COMMIT) && !bytes_equal(old, BYTES("ALL_NEW"));
    if (early) {
        buffer_append_bytes(&out, BYTES("}"));
        answer(c, 200, buffer_bytes(&out));
    }
    enum status status = append_record(ctx, toy, request->target, request->body);
    if (status != STATUS_OK) {
        toy->stopping = true; /* memory and disk may differ */
        if (!early)
            answer_error(c, 500, "InternalServerError");
        buffer_release(&out);
        return;
    }
    apply(toy, json, request->target);
    if (bytes_equal(old, BYTES("ALL_NEW"))) {
        buffer_append_bytes(&out, BYTES("\"Attributes\":"));
        append_item(&out, item);
    }
    buffer_append_bytes(&out, BYTES("}"));
    if (!early)
        answer(c, 200, buffer_bytes(&out));
    buffer_release(&out);
}

static void do_get(struct toy_connection *c, const struct json *json)
{
    const struct toy_item *item = item_at(c->toy, json);
    struct buffer out;
    buffer_init(&out, c->toy->env->heap, ANSWER_MAX);
    buffer_append_bytes(&out, BYTES("{"));
    if (item->present) {
        buffer_append_bytes(&out, BYTES("\"Item\":"));
        append_item(&out, item);
    }
    buffer_append_bytes(&out, BYTES("}"));
    answer(c, 200, buffer_bytes(&out));
    buffer_release(&out);
}

/* Query and Scan: all that match on one page. */
static void do_many(struct toy_connection *c, const struct json *json)
{
    struct toy *toy = c->toy;
    const struct json *value = json_member(json_member(json, "ExpressionAttributeValues"), ":k");
    char wanted[64] = "";
    if (value != NULL)
        snprintf(wanted, sizeof(wanted), "%u \"pk\":{\"%.*s\":\"%.*s\"}", table_of(json),
                 BYTES_ARGS(value->first->name), BYTES_ARGS(value->first->text));
    struct buffer out;
    buffer_init(&out, toy->env->heap, ANSWER_MAX);
    buffer_append_bytes(&out, BYTES("{\"Items\":["));
    uint32_t count = 0;
    for (const struct toy_item *item = toy->first; item != NULL; item = item->next) {
        if (item->table != table_of(json) || !item->present ||
            strncmp(item->key, wanted, strlen(wanted)) != 0)
            continue;
        buffer_append_bytes(&out, count++ > 0 ? BYTES(",") : BYTES(""));
        append_item(&out, item);
    }
    buffer_append_format(&out, "],\"Count\":%u}", count);
    answer(c, 200, buffer_bytes(&out));
    buffer_release(&out);
}

static void do_request(struct context *ctx, struct toy_connection *c,
                       const struct toy_request *request)
{
    struct toy *toy = c->toy;
    const struct json *json = json_parse(&ctx->arena, request->body);
    uint32_t table = table_of(json);
    struct bytes target = request->target;
    if (bytes_equal(target, BYTES("CreateTable"))) {
        if (toy->tables[table]) {
            answer_error(c, 400, "ResourceInUseException");
        } else if (append_record(ctx, toy, target, request->body) == STATUS_OK) {
            toy->tables[table] = true;
            answer(c, 200, BYTES("{}"));
        } else {
            toy->stopping = true;
            answer_error(c, 500, "InternalServerError");
        }
    } else if (!toy->tables[table]) {
        answer_error(c, 400, "ResourceNotFoundException");
    } else if (bytes_equal(target, BYTES("DescribeTable"))) {
        answer(c, 200, BYTES("{\"Table\":{\"TableStatus\":\"ACTIVE\"}}"));
    } else if (bytes_equal(target, BYTES("GetItem"))) {
        do_get(c, json);
    } else if (bytes_equal(target, BYTES("Query")) || bytes_equal(target, BYTES("Scan"))) {
        do_many(c, json);
    } else {
        do_write(ctx, c, json, request);
    }
}

/* ---- HTTP, as http_client.c speaks it ---- */

/* The value of a header of which `name` is the end and lower case; empty when there is none. */
static struct bytes header(struct bytes head, const char *name)
{
    size_t count = strlen(name);
    for (size_t i = 0; i + count < head.count; i++) {
        size_t k = 0;
        while (k < count && ((head.at[i + k] | 0x20) == (name[k] | 0x20)))
            k++;
        if (k == count) {
            struct bytes value = bytes_after(head, i + count);
            const uint8_t *end = memchr(value.at, '\r', value.count);
            value.count = end != NULL ? (size_t)(end - value.at) : value.count;
            return value;
        }
    }
    return (struct bytes){0};
}

/* Decode chunks in place.  Returns false when the last has not come. */
static bool take_chunks(struct bytes *left, uint8_t *to, size_t *count)
{
    *count = 0;
    for (;;) {
        const uint8_t *end = left->count > 0 ? memmem(left->at, left->count, "\r\n", 2) : NULL;
        if (end == NULL)
            return false;
        size_t size = 0;
        for (const uint8_t *at = left->at; at < end; at++)
            size = size * 16 + (size_t)(*at <= '9' ? *at - '0' : *at - 'a' + 10);
        size_t line = (size_t)(end - left->at) + 2;
        if (left->count < line + size + 2)
            return false;
        memmove(to + *count, left->at + line, size);
        *count += size;
        *left = bytes_after(*left, line + size + 2);
        if (size == 0)
            return true;
    }
}

static bool take_request(struct arena *arena, struct bytes in, struct toy_request *request)
{
    const uint8_t *end = in.count > 0 ? memmem(in.at, in.count, "\r\n\r\n", 4) : NULL;
    if (end == NULL)
        return false;
    struct bytes head = bytes_of(in.at, (size_t)(end - in.at) + 2);
    struct bytes left = bytes_after(in, head.count + 2);
    size_t count;
    uint8_t *body = arena_alloc(arena, left.count + 1);
    if (body == NULL)
        return false;
    if (header(head, "transfer-encoding: ").count > 0) {
        if (!take_chunks(&left, body, &count))
            return false;
    } else {
        count = (size_t)json_u64(header(head, "content-length: "));
        if (left.count < count)
            return false;
        memcpy(body, left.at, count);
        left = bytes_after(left, count);
    }
    struct bytes target = arena_copy(arena, header(head, "DynamoDB_20120810."));
    *request = (struct toy_request){target, bytes_of(body, count), in.count - left.count};
    return target.count > 0;
}

static void work(struct context *ctx, struct toy *toy)
{
    for (;;) {
        struct toy_connection *c = NULL;
        struct toy_request request;
        LIST_FOR_EACH (at, &toy->connections) {
            c = LIST_ITEM(at, struct toy_connection, link);
            if (take_request(&ctx->arena, buffer_bytes(&c->in), &request))
                break;
            c = NULL;
        }
        if (c == NULL || toy->stopping)
            return;
        size_t left = c->in.count - request.bytes;
        memmove(c->in.at, c->in.at + request.bytes, left);
        c->in.count = left;
        do_request(ctx, c, &request);
        arena_release(&ctx->arena);
    }
}

static void on_read(void *owner, struct bytes bytes)
{
    struct toy_connection *c = owner;
    buffer_append_bytes(&c->in, bytes);
    wait_queue_wake_all(&c->toy->work);
}

static void on_end(void *owner, enum status status)
{
    struct toy_connection *c = owner;
    (void)status;
    env_stream_close(c->toy->env, c->stream);
    c->stream = NULL;
}

static void on_drain(void *owner)
{
    (void)owner;
}

/* The connection stays in its list: the fiber may be about it. */
static void on_closed(void *owner)
{
    struct toy_connection *c = owner;
    buffer_release(&c->in);
}

static const struct env_stream_events stream_events = {on_read, on_end, on_drain, on_closed};

static void on_accept(void *owner, struct env_stream *stream)
{
    struct toy *toy = owner;
    struct toy_connection *c = heap_alloc_zero(toy->env->heap, sizeof(*c));
    if (c == NULL) {
        env_stream_close(toy->env, stream);
        return;
    }
    c->toy = toy;
    c->stream = stream;
    buffer_init(&c->in, toy->env->heap, ANSWER_MAX);
    list_push_back(&toy->connections, &c->link);
    env_stream_start(toy->env, stream, &stream_events, c);
}

static const struct env_listener_events listener_events = {on_accept};

/* ---- Life ---- */

static void replay(struct context *ctx, struct toy *toy, struct bytes log)
{
    while (log.count >= HEADER_BYTES) {
        uint32_t length;
        uint64_t checksum;
        memcpy(&length, log.at, 4);
        memcpy(&checksum, log.at + 4, 8);
        if (length == 0 || length > log.count - HEADER_BYTES)
            return;
        struct bytes payload = bytes_of(log.at + HEADER_BYTES, length);
        if (checksum64(payload, 1) != checksum)
            return;
        const uint8_t *space = memchr(payload.at, ' ', payload.count);
        struct bytes target = bytes_of(payload.at, (size_t)(space - payload.at));
        const struct json *json = json_parse(&ctx->arena, bytes_after(payload, target.count + 1));
        if (bytes_equal(target, BYTES("CreateTable")))
            toy->tables[table_of(json)] = true;
        else
            apply(toy, json, target);
        arena_release(&ctx->arena);
        log = bytes_after(log, HEADER_BYTES + length);
        toy->log_bytes += HEADER_BYTES + length;
    }
}

static enum status recover(struct context *ctx, struct toy *toy)
{
    struct log_job job = {.toy = toy};
    TRY(run_job(ctx, &job, run_open));
    if (job.space_bytes > 0) {
        job.space = heap_alloc(toy->env->heap, job.space_bytes);
        if (job.space == NULL)
            return STATUS_NO_MEMORY;
        TRY(run_job(ctx, &job, run_read));
        replay(ctx, toy, bytes_of(job.space, job.space_bytes));
    }
    TRY(run_job(ctx, &job, run_cut));
    heap_free(toy->env->heap, job.space, job.space_bytes);
    return env_listen(toy->env, "127.0.0.1", toy->settings.port, &listener_events, toy,
                      &toy->listener);
}

static void toy_main(struct context *ctx, void *argument)
{
    struct toy *toy = argument;
    enum status status = recover(ctx, toy);
    toy->on_started(toy->owner, status);
    while (status == STATUS_OK && !toy->stopping) {
        work(ctx, toy);
        if (!toy->stopping && wait_queue_wait(ctx, &toy->work) != STATUS_OK)
            break;
    }
    if (toy->on_stopped != NULL)
        toy->on_stopped(toy->owner);
}

static void toy_start(struct env *env, const struct server_settings *settings,
                      void (*on_started)(void *owner, enum status status), void *owner,
                      void **server)
{
    struct toy *toy = heap_alloc_zero(env->heap, sizeof(*toy));
    struct fiber_options options = {.arena_bytes_max = (size_t)64 << 20, .deadline_ns = UINT64_MAX};
    if (toy == NULL || fiber_pool_open(env, 4, 65536) != STATUS_OK) {
        on_started(owner, STATUS_NO_MEMORY);
        return;
    }
    toy->env = env;
    toy->settings = *settings;
    toy->on_started = on_started;
    toy->owner = owner;
    list_init(&toy->connections);
    wait_queue_init(&toy->work);
    hash_map_init(&toy->items, env->heap, ITEMS_MAX, env_random_u64(env));
    buffer_init(&toy->record, env->heap, LOG_BYTES_MAX);
    *server = toy;
    if (fiber_spawn(env, &options, toy_main, toy) != STATUS_OK)
        on_started(owner, STATUS_NO_MEMORY);
}

/* It frees nothing of its own accord: its process ends. */
static void toy_stop(struct env *env, void *server, void (*on_stopped)(void *owner), void *owner)
{
    struct toy *toy = server;
    (void)env;
    toy->on_stopped = on_stopped;
    toy->owner = owner;
    if (toy->stopping) {
        on_stopped(owner);
        return;
    }
    toy->stopping = true;
    wait_queue_wake_all(&toy->work);
}

const struct server_adapter toy_adapter = {.name = "toy", .start = toy_start, .stop = toy_stop};
