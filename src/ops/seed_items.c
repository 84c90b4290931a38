/* seed_items.c - lines of JSON become items of a table, 25 at a time, as BatchWriteItem makes them.
 */
#include "base/assert.h"
#include "ops/seed_private.h"
#include "wire/item_json.h"

#define BATCH_BYTES_MAX    (4u << 20)  /* of items that wait to be written */
#define ITEM_SCRATCH_BYTES (64u << 20) /* of one that is read; it is refused when it is too large */
#define RETRY_NS           UINT64_C(5000000)     /* before what was throttled is tried again */
#define PATIENCE_NS        UINT64_C(60000000000) /* for one item */

struct puts {
    struct seed *seed;
    struct bytes table;
    const char *path;
    struct write_request requests[BATCH_WRITE_MAX]; /* items are in the arena */
    uint64_t lines[BATCH_WRITE_MAX];
    uint32_t count;
    size_t bytes;
    struct buffer scratch; /* an item in the making */
};

static enum status line_fault(struct puts *puts, uint64_t line, enum status status,
                              struct bytes message)
{
    return seed_fault(puts->seed, status, "%s:%llu: %.*s", puts->path, (unsigned long long)line,
                      BYTES_ARGS(message));
}

static bool may_pass(enum error_code code)
{
    return code == ERROR_THROTTLING || code == ERROR_THROUGHPUT_EXCEEDED ||
           code == ERROR_UNAVAILABLE;
}

/* One item by itself, as patiently as an SDK. */
static enum status put_one(struct puts *puts, uint32_t i)
{
    struct context *ctx = puts->seed->ctx;
    uint64_t until_ns = env_now_ns(ctx->env) + PATIENCE_NS;
    for (;;) {
        struct write_result result;
        struct error error = {0};
        enum status status =
            router_write(ctx, puts->seed->options->router, &puts->requests[i], &result, &error);
        if (status == STATUS_OK)
            return STATUS_OK;
        if (!may_pass(error.code) || env_now_ns(ctx->env) >= until_ns)
            return line_fault(puts, puts->lines[i], status, error.message);
        TRY(context_sleep(ctx, RETRY_NS));
    }
}

/* Write what has gathered.  A batch that is refused has a key twice, or a wrong item: then each is
 * written by itself, in order, and the wrong one is named. */
static enum status flush(struct puts *puts)
{
    struct context *ctx = puts->seed->ctx;
    struct router *router = puts->seed->options->router;
    struct write_result results[BATCH_WRITE_MAX] = {0};
    bool done[BATCH_WRITE_MAX] = {0};
    struct error error = {0};
    enum status status = STATUS_OK;
    if (puts->count > 0 &&
        router_check_writes(ctx, router, puts->requests, puts->count, &error) == STATUS_OK &&
        router_write_batch(ctx, router, puts->requests, puts->count, results, done, &error) !=
            STATUS_OK)
        memset(done, 0, sizeof(done));
    for (uint32_t i = 0; status == STATUS_OK && i < puts->count; i++) {
        if (!done[i])
            status = put_one(puts, i);
    }
    puts->count = 0;
    puts->bytes = 0;
    arena_reset(&ctx->arena);
    return status == STATUS_OK && *puts->seed->options->stop ? STATUS_CANCELLED : status;
}

/* The line's item: the object, or what its first member holds when that is "Item". */
static enum status read_item(struct puts *puts, uint64_t number, struct bytes line,
                             struct value *item)
{
    struct context *ctx = puts->seed->ctx;
    struct item_json_fault fault = {0};
    struct json_scanner s;
    struct value_writer writer;
    struct bytes name;
    json_scanner_init(&s, line, &ctx->arena);
    bool wrapped = json_peek(&s) == JSON_OBJECT;
    if (wrapped) {
        json_object_begin(&s);
        wrapped = json_object_next(&s, &name) && bytes_equal(name, BYTES("Item"));
    }
    if (!wrapped)
        json_scanner_init(&s, line, &ctx->arena);
    if (json_peek(&s) != JSON_OBJECT)
        return line_fault(puts, number, STATUS_INVALID, BYTES("it is no item: not a JSON object"));
    buffer_clear(&puts->scratch);
    value_writer_init(&writer, &puts->scratch);
    enum status status = item_json_read_map(&s, &writer, &ctx->arena, &fault);
    while (status == STATUS_OK && wrapped && json_object_next(&s, &name))
        json_skip(&s);
    if (status == STATUS_OK)
        status = json_scanner_finish(&s);
    if (status == STATUS_OK)
        status = value_writer_finish(&writer, item);
    if (status == STATUS_OK)
        return STATUS_OK;
    if (fault.message.count == 0)
        fault.message =
            status == STATUS_INVALID ? BYTES("it is not JSON") : bytes_of_text(status_text(status));
    return line_fault(puts, number, status, fault.message);
}

static enum status add_line(struct puts *puts, uint64_t number, struct bytes line)
{
    struct value item;
    TRY(read_item(puts, number, line, &item));
    struct bytes copy = arena_copy(&puts->seed->ctx->arena, bytes_of(item.at, item.bytes));
    if (copy.at == NULL)
        return line_fault(puts, number, STATUS_NO_MEMORY, BYTES("out of memory"));
    puts->requests[puts->count] =
        (struct write_request){.kind = WRITE_PUT,
                               .table = puts->table,
                               .own = true,
                               .item = {.at = copy.at, .bytes = item.bytes}};
    puts->lines[puts->count++] = number;
    puts->bytes += copy.count;
    return puts->count == BATCH_WRITE_MAX || puts->bytes >= BATCH_BYTES_MAX ? flush(puts)
                                                                            : STATUS_OK;
}

enum status seed_put_lines(struct seed *seed, struct bytes table, struct seed_lines *lines,
                           uint64_t *items)
{
    struct heap *heap = seed->ctx->env->heap;
    struct puts *puts = heap_alloc_zero(heap, sizeof(*puts));
    if (puts == NULL)
        return seed_fault(seed, STATUS_NO_MEMORY, "%s: out of memory", lines->path);
    *puts = (struct puts){.seed = seed, .table = table, .path = lines->path};
    buffer_init(&puts->scratch, heap, ITEM_SCRATCH_BYTES);
    struct bytes line;
    enum status status;
    arena_reset(&seed->ctx->arena);
    while ((status = seed_next_line(lines, &line)) == STATUS_OK) {
        status = add_line(puts, lines->number, line);
        if (status != STATUS_OK)
            break;
        (*items)++;
    }
    if (status == STATUS_END)
        status = flush(puts);
    arena_reset(&seed->ctx->arena);
    buffer_release(&puts->scratch);
    heap_free(heap, puts, sizeof(*puts));
    return status;
}
