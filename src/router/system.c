/* system.c - rows of the system table, read and written as any other item. */
#include "base/assert.h"
#include "router/propagator_private.h"

#define KIND_TABLE       BYTES("table")
#define KIND_ID          BYTES("id")
#define KIND_SEED        BYTES("seed")
#define RECORD_MAX       (384u * 1024u)
#define LOAD_ARENA_BYTES ((size_t)8 << 20)

/* What a system row's write needs; the memory is the request's. */
struct system_write {
    struct context *ctx;
    struct router *router;
    struct buffer item;
    struct value_writer writer;
    struct write_request request;
    bool urgent; /* as a replica_write's */
};

static struct replica_target system_target(void)
{
    return (struct replica_target){
        .group_id = SYSTEM_GROUP_ID, .table_id = SYSTEM_TABLE_ID, .schema_version = 1};
}

static void begin_item(struct system_write *w, struct context *ctx, struct router *router,
                       struct bytes kind, struct bytes name)
{
    *w = (struct system_write){.ctx = ctx, .router = router};
    buffer_init(&w->item, ctx->env->heap, RECORD_MAX + 1024);
    value_writer_init(&w->writer, &w->item);
    value_write_begin(&w->writer, VALUE_M);
    value_write_name(&w->writer, BYTES("kind"));
    value_write_string(&w->writer, kind);
    value_write_name(&w->writer, BYTES("name"));
    value_write_string(&w->writer, name);
}

static void write_number(struct value_writer *writer, uint64_t value)
{
    struct number number;
    number_from_u64(value, &number);
    value_write_number(writer, &number);
}

/* Compile `text` with :v = value. */
static enum status compile(struct system_write *w, enum expr_kind kind, const char *text,
                           uint64_t value, struct expr_program *program)
{
    struct buffer values;
    buffer_init(&values, w->ctx->env->heap, 256);
    struct value_writer writer;
    value_writer_init(&writer, &values);
    value_write_begin(&writer, VALUE_M);
    value_write_name(&writer, BYTES(":v"));
    write_number(&writer, value);
    value_write_end(&writer);
    struct expr_scope scope = {.arena = &w->ctx->arena, .values_given = true};
    struct expr_fault fault;
    enum status status = value_writer_finish(&writer, &scope.values);
    if (status == STATUS_OK)
        status = expr_scope_init(&scope, &w->ctx->arena, &fault);
    if (status == STATUS_OK)
        status = expr_compile(&scope, kind, bytes_of_text(text), program, &fault);
    ASSERT(status != STATUS_INVALID);
    buffer_release(&values);
    return status;
}

/* Send the write; releases what it holds. */
static enum status send(struct system_write *w, enum write_kind kind, struct write_result *result)
{
    value_write_end(&w->writer);
    enum status status = value_writer_finish(&w->writer, &w->request.item);
    if (status == STATUS_OK) {
        const struct table *table = w->router->catalog.system;
        struct key key;
        struct value name, row_kind;
        bool found = value_find(w->request.item, BYTES("kind"), &row_kind) &&
                     value_find(w->request.item, BYTES("name"), &name);
        ASSERT(found);
        key_encode(&key, table->hash_seed, row_kind, name);
        w->request.kind = kind;
        struct replica_write write = {.key = key_bytes(&key),
                                      .key_attributes = w->request.item,
                                      .request = &w->request,
                                      .urgent = w->urgent};
        struct replica_target target = system_target();
        struct error error = {0};
        struct replica_service *service = w->router->service;
        service->write(w->ctx, service, &target, &write, 1, result, &status, &error);
    }
    buffer_release(&w->item);
    return status;
}

/* ---- Tables ---- */

/* The row that was written, or read, is what the router goes by.  Takes the table. */
static enum status publish(struct router *router, struct table *table)
{
    table_hold(table); /* one that is older than what is there goes at once */
    enum status status = catalog_publish(&router->catalog, table);
    if (status == STATUS_OK) {
        propagator_follow(router->propagator, catalog_find(&router->catalog, table->name));
        wait_queue_wake_all(&router->changed);
    } else {
        table_drop(table);
    }
    table_drop(table);
    return status;
}

enum status system_write_table(struct context *ctx, struct router *router,
                               const struct table *table, bool urgent)
{
    struct buffer record;
    buffer_init(&record, ctx->env->heap, RECORD_MAX);
    table_encode(table, &record);
    struct table *published = NULL;
    enum status status = record.failed
                             ? STATUS_TOO_LARGE
                             : table_decode(buffer_bytes(&record), ctx->env->heap, &published);
    struct system_write w;
    begin_item(&w, ctx, router, KIND_TABLE, table->name);
    w.urgent = urgent;
    value_write_name(&w.writer, BYTES("version"));
    write_number(&w.writer, table->schema_version);
    value_write_name(&w.writer, BYTES("record"));
    value_write_binary(&w.writer, buffer_bytes(&record));
    if (status == STATUS_OK) {
        const char *condition = table->schema_version == 1
                                    ? "attribute_not_exists(version) OR version = :v"
                                    : "version = :v";
        status =
            compile(&w, EXPR_CONDITION, condition, table->schema_version - 1, &w.request.condition);
    }
    struct write_result result;
    if (status == STATUS_OK)
        status = send(&w, WRITE_PUT, &result);
    else
        buffer_release(&w.item);
    buffer_release(&record);
    if (status == STATUS_OK)
        status = publish(router, published);
    else
        table_drop(published);
    if (status == STATUS_UNKNOWN_OUTCOME) {
        router->doubtful = true;
        router->options.on_tables_changed(router->options.owner);
    }
    return status;
}

enum status system_delete_table(struct context *ctx, struct router *router, struct bytes name)
{
    struct system_write w;
    struct write_result result;
    begin_item(&w, ctx, router, KIND_TABLE, name);
    TRY(send(&w, WRITE_DELETE, &result));
    catalog_remove(&router->catalog, name);
    wait_queue_wake_all(&router->changed);
    return STATUS_OK;
}

/* ---- Ids ---- */

/* The system's own table and group have id 1; what is given out begins above. */
#define FIRST_ID UINT64_C(2)

enum status system_take_ids(struct context *ctx, struct router *router, uint64_t count,
                            uint64_t *first)
{
    struct system_write w;
    begin_item(&w, ctx, router, KIND_ID, BYTES("next"));
    w.request.return_values = RETURN_ALL_NEW;
    enum status status = compile(&w, EXPR_UPDATE, "ADD taken :v", count, &w.request.update);
    struct write_result result = {0};
    if (status == STATUS_OK)
        status = send(&w, WRITE_UPDATE, &result);
    else
        buffer_release(&w.item);
    TRY(status);
    struct value taken;
    struct number number;
    int64_t total;
    if (!value_find(result.attributes, BYTES("taken"), &taken) || value_type(taken) != VALUE_N)
        return STATUS_CORRUPT;
    value_number(taken, &number);
    TRY(number_to_i64(&number, &total));
    *first = FIRST_ID + (uint64_t)total - count;
    return STATUS_OK;
}

/* ---- Seeds ---- */

enum status router_note_seed(struct context *ctx, struct router *router, struct bytes name,
                             bool begins)
{
    struct system_write w;
    struct write_result result;
    begin_item(&w, ctx, router, KIND_SEED, name);
    return send(&w, begins ? WRITE_PUT : WRITE_DELETE, &result);
}

enum status router_seed_begun(struct context *ctx, struct router *router, struct bytes name,
                              bool *begun)
{
    struct system_write w; /* for the key's values */
    begin_item(&w, ctx, router, KIND_SEED, name);
    value_write_end(&w.writer);
    struct value item, kind, row_name;
    struct key key;
    enum status status = value_writer_finish(&w.writer, &item);
    if (status == STATUS_OK) {
        bool found =
            value_find(item, BYTES("kind"), &kind) && value_find(item, BYTES("name"), &row_name);
        ASSERT(found);
        key_encode(&key, router->catalog.system->hash_seed, kind, row_name);
        struct replica_target target = system_target();
        struct replica_get get = {.key = key_bytes(&key), .consistent = true};
        struct get_result result = {0};
        status = router->service->get(ctx, router->service, &target, &get, &result);
        *begun = status == STATUS_OK && value_type(result.item) == VALUE_M;
    }
    buffer_release(&w.item);
    return status;
}

/* ---- Loading ---- */

/* The catalog is read page by page on a fiber of its own, whose arena is emptied between
 * two pages. */
struct loading {
    struct item_sink sink;
    struct router *router;
    struct key_range range; /* all of the "table" rows that are not read yet */
    uint8_t low[KEY_BYTES_MAX + 1];
    enum status status;
    bool ended;
    struct wait_queue end;
};

static enum status load_row(struct item_sink *base, struct value item)
{
    struct loading *load = CONTAINER_OF(base, struct loading, sink);
    struct value record;
    if (!value_find(item, BYTES("record"), &record) || value_type(record) != VALUE_B)
        return STATUS_CORRUPT;
    struct table *table;
    TRY(table_decode(value_bytes(record), load->router->env->heap, &table));
    struct router *router = load->router;
    return publish(router, table);
}

static enum status load_page(struct context *ctx, struct loading *load, bool *more)
{
    struct replica_service *service = load->router->service;
    struct replica_target target = system_target();
    struct replica_range range = {.low = load->range.low,
                                  .high = load->range.high,
                                  .consistent = true,
                                  .bytes_max = PAGE_BYTES_MAX};
    struct replica_range_result result = {0};
    TRY(service->range(ctx, service, &target, &range, &load->sink, &result));
    *more = result.more;
    if (!*more)
        return STATUS_OK;
    if (result.last_key.count > KEY_BYTES_MAX)
        return STATUS_CORRUPT;
    memcpy(load->low, result.last_key.at, result.last_key.count);
    load->low[result.last_key.count] = 0; /* the smallest key above it */
    load->range.low = bytes_of(load->low, result.last_key.count + 1);
    arena_reset(&ctx->arena);
    return STATUS_OK;
}

static void load_run(struct context *ctx, void *argument)
{
    struct loading *load = argument;
    bool more = true;
    while (load->status == STATUS_OK && more)
        load->status = load_page(ctx, load, &more);
    load->ended = true;
    wait_queue_wake_all(&load->end);
}

static enum status load_all(struct context *ctx, struct loading *load)
{
    struct fiber_options options = {.arena_bytes_max = LOAD_ARENA_BYTES,
                                    .deadline_ns = ctx->deadline_ns};
    wait_queue_init(&load->end);
    TRY(fiber_spawn(ctx->env, &options, load_run, load));
    while (!load->ended) /* at the deadline, if not before */
        wait_queue_wait_out(ctx, &load->end);
    return load->status;
}

enum status system_load(struct context *ctx, struct router *router)
{
    const struct table *table = router->catalog.system;
    struct system_write w; /* for the partition key's value */
    begin_item(&w, ctx, router, KIND_TABLE, BYTES("-"));
    value_write_end(&w.writer);
    struct value item, kind;
    enum status status = value_writer_finish(&w.writer, &item);
    struct key low, high;
    if (status == STATUS_OK) {
        bool found = value_find(item, BYTES("kind"), &kind);
        ASSERT(found);
        key_encode_collection(&low, table->hash_seed, kind);
        found = key_after_prefix(&high, key_bytes(&low));
        ASSERT(found);
        struct loading load = {.sink = {.take = load_row},
                               .router = router,
                               .range = {key_bytes(&low), key_bytes(&high)}};
        status = load_all(ctx, &load);
    }
    buffer_release(&w.item);
    return status;
}
