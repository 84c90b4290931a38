/* snapshot_items.c - all items of a table into memory, and back. */
#include "base/assert.h"
#include "base/codec.h"
#include "router/snapshot_private.h"

#define BLOCK_BYTES  ((size_t)256 << 10)
#define LENGTH_BYTES 4u
#define WRITES_MAX   1024u             /* with one wait for the commit of all */
#define RETRY_NS     UINT64_C(2000000) /* before what was refused for now is tried again */
#define RETRIES_MAX  5000u

/* ---- Pages of a table ---- */

/* Hand every item of the table to `sink`, a page at a time; after each page `done`, which may
 * wait. */
static enum status walk(struct context *ctx, struct router *router, const struct table *table,
                        struct item_sink *sink,
                        enum status (*done)(struct item_sink *sink, struct context *ctx),
                        struct error *error)
{
    struct value start = VALUE_ABSENT;
    struct buffer kept; /* the start key, beyond the arena's reset */
    buffer_init(&kept, ctx->env->heap, KEY_BYTES_MAX * 2 + 4096);
    enum status status;
    do {
        struct range_request request = {.kind = RANGE_SCAN,
                                        .table = table->name,
                                        .start_key = start,
                                        .consistent = true,
                                        .own = true};
        struct range_result result = {0};
        arena_reset(&ctx->arena);
        status = router_range(ctx, router, &request, sink, &result, error);
        start = VALUE_ABSENT;
        buffer_clear(&kept);
        if (status == STATUS_OK && value_type(result.last_key) != VALUE_NONE) {
            buffer_append(&kept, result.last_key.at, result.last_key.bytes);
            start = (struct value){.at = kept.at, .bytes = result.last_key.bytes};
            if (kept.failed)
                status = error_internal(error, STATUS_NO_MEMORY);
        }
        if (status == STATUS_OK)
            status = done(sink, ctx);
    } while (status == STATUS_OK && value_type(start) != VALUE_NONE);
    buffer_release(&kept);
    return status;
}

/* ---- Into memory ---- */

struct copy {
    struct item_sink sink;
    struct heap *heap;
    struct budget *budget;
    struct snapshot_table *to;
    bool full; /* the budget refused */
};

static enum status copy_take(struct item_sink *base, struct value item)
{
    struct copy *copy = CONTAINER_OF(base, struct copy, sink);
    struct list *blocks = &copy->to->blocks;
    size_t bytes = LENGTH_BYTES + item.bytes;
    struct snapshot_block *block =
        list_empty(blocks) ? NULL : LIST_ITEM(blocks->prev, struct snapshot_block, link);
    if (block == NULL || block->capacity - block->count < bytes) {
        size_t capacity = MAX(BLOCK_BYTES, sizeof(*block) + bytes) - sizeof(*block);
        copy->full = !budget_draw(copy->budget, sizeof(*block) + capacity);
        if (copy->full)
            return STATUS_NO_MEMORY;
        block = heap_alloc(copy->heap, sizeof(*block) + capacity);
        if (block == NULL) {
            budget_give(copy->budget, sizeof(*block) + capacity);
            return STATUS_NO_MEMORY;
        }
        block->capacity = capacity;
        block->count = 0;
        list_init(&block->link);
        list_push_back(blocks, &block->link);
    }
    put_u32(block->at + block->count, item.bytes);
    memcpy(block->at + block->count + LENGTH_BYTES, item.at, item.bytes);
    block->count += bytes;
    copy->to->items++;
    copy->to->bytes += bytes;
    return STATUS_OK;
}

static enum status copy_done(struct item_sink *sink, struct context *ctx)
{
    (void)sink;
    return context_check(ctx);
}

enum status snapshot_copy(struct context *ctx, struct router *router, struct budget *budget,
                          struct snapshot_table *to, struct error *error)
{
    struct copy copy = {
        .sink = {.take = copy_take}, .heap = ctx->env->heap, .budget = budget, .to = to};
    enum status status = walk(ctx, router, to->table, &copy.sink, copy_done, error);
    return copy.full ? STATUS_NO_SPACE : status;
}

void snapshot_release_blocks(struct heap *heap, struct budget *budget, struct snapshot_table *table)
{
    struct list *first;
    while ((first = list_pop_front(&table->blocks)) != NULL) {
        struct snapshot_block *block = LIST_ITEM(first, struct snapshot_block, link);
        size_t bytes = sizeof(*block) + block->capacity;
        heap_free(heap, block, bytes);
        budget_give(budget, bytes);
    }
    table->items = table->bytes = 0;
}

/* ---- And back ---- */

/* Walks the table beside the snapshot, both in the order of keys, and gathers what differs. */
struct merge {
    struct item_sink sink;
    struct context *ctx;
    struct router *router;
    const struct snapshot_table *from;
    const struct table *table; /* held by the caller */
    struct snapshot_stats *stats;
    struct error *error;
    struct list *block; /* of the snapshot's next item */
    size_t at;
    bool have;         /* there is one */
    struct value item; /* in the snapshot */
    struct key key;
    struct buffer deletes;  /* keys of items to be deleted: u32 bytes, the key's map */
    struct list *put_block; /* of the first item that may have to be put ... */
    size_t put_at;
    struct buffer puts; /* ... one byte for each from there on: is it to be put? */
    struct write_request requests[WRITES_MAX];
    struct replica_write writes[WRITES_MAX];
    struct write_result results[WRITES_MAX];
    enum status statuses[WRITES_MAX];
    struct error errors[WRITES_MAX];
    struct bytes keys[WRITES_MAX];
    uint32_t count;
    uint64_t group_id; /* of those writes */
};

static void encode(const struct merge *merge, struct value item, struct key *key)
{
    const struct key_schema *schema = &merge->table->schema;
    struct value partition = VALUE_ABSENT, sort = VALUE_ABSENT;
    bool found = value_find(item, schema->partition.name, &partition);
    if (schema->sort.type != VALUE_NONE)
        found = value_find(item, schema->sort.name, &sort) && found;
    ASSERT(found); /* what is stored has its key */
    key_encode(key, merge->table->hash_seed, partition, sort);
}

/* The item at a place in the snapshot; false: that is its end.  The place moves behind it. */
static bool read_at(const struct snapshot_table *from, struct list **block, size_t *at,
                    struct value *item)
{
    while (*block != &from->blocks) {
        const struct snapshot_block *b = LIST_ITEM(*block, struct snapshot_block, link);
        if (*at < b->count) {
            item->bytes = get_u32(b->at + *at);
            item->at = b->at + *at + LENGTH_BYTES;
            *at += LENGTH_BYTES + item->bytes;
            return true;
        }
        *block = (*block)->next;
        *at = 0;
    }
    return false;
}

static void advance(struct merge *merge)
{
    merge->have = read_at(merge->from, &merge->block, &merge->at, &merge->item);
    if (merge->have)
        encode(merge, merge->item, &merge->key);
}

/* The snapshot's next item is to be put, or is as it is. */
static void pass(struct merge *merge, bool put)
{
    buffer_append_u8(&merge->puts, put ? 1 : 0);
    advance(merge);
}

static void add_delete(struct merge *merge, struct bytes key)
{
    uint8_t length[LENGTH_BYTES] = {0};
    size_t from = merge->deletes.count;
    struct value_writer writer;
    struct value value = VALUE_ABSENT;
    struct buffer map;
    buffer_init(&map, merge->deletes.heap, KEY_BYTES_MAX * 2 + 4096);
    value_writer_init(&writer, &map);
    key_write_decoded(&writer, &merge->table->schema, key);
    if (value_writer_finish(&writer, &value) != STATUS_OK)
        merge->deletes.failed = true;
    put_u32(length, value.bytes);
    buffer_append(&merge->deletes, length, sizeof(length));
    buffer_append(&merge->deletes, value.at, value.bytes);
    if (merge->deletes.failed)
        merge->deletes.count = from;
    buffer_release(&map);
}

static enum status merge_take(struct item_sink *base, struct value item)
{
    struct merge *merge = CONTAINER_OF(base, struct merge, sink);
    struct key key;
    encode(merge, item, &key);
    int order = 1;
    while (merge->have && (order = bytes_compare(key_bytes(&merge->key), key_bytes(&key))) < 0)
        pass(merge, true);
    if (merge->have && order == 0)
        pass(merge,
             merge->item.bytes != item.bytes || memcmp(merge->item.at, item.at, item.bytes) != 0);
    else
        add_delete(merge, key_bytes(&key));
    return merge->puts.failed || merge->deletes.failed ? STATUS_NO_MEMORY : STATUS_OK;
}

static bool may_pass(enum status status)
{
    return status == STATUS_THROTTLED || status == STATUS_BUSY || status == STATUS_MOVED ||
           status == STATUS_NO_SPACE;
}

/* Send what has gathered, all to one partition; what is refused for now again. */
static enum status flush(struct merge *merge)
{
    struct router *router = merge->router;
    struct context *ctx = merge->ctx;
    for (uint32_t tries = 0; merge->count > 0; tries++) {
        struct replica_target target = router_target(merge->table, merge->keys[0]);
        router->service->write(ctx, router->service, &target, merge->writes, merge->count,
                               merge->results, merge->statuses, merge->errors);
        uint32_t left = 0;
        for (uint32_t i = 0; i < merge->count; i++) {
            enum status status = merge->statuses[i];
            if (status != STATUS_OK && (!may_pass(status) || tries == RETRIES_MAX)) {
                *merge->error = merge->errors[i];
                return router_replica_error(merge->error, status);
            }
            if (status != STATUS_OK) {
                merge->keys[left] = merge->keys[i];
                merge->requests[left] = merge->requests[i];
                merge->writes[left] = merge->writes[i];
                merge->writes[left].key = merge->keys[left];
                merge->writes[left].request = &merge->requests[left];
                left++;
            } else if (merge->requests[i].kind == WRITE_PUT) {
                merge->stats->put++;
            } else {
                merge->stats->deleted++;
            }
        }
        merge->count = left;
        if (left > 0)
            TRY(context_sleep(ctx, RETRY_NS));
    }
    arena_reset(&ctx->arena);
    return STATUS_OK;
}

static enum status add_write(struct merge *merge, enum write_kind kind, struct value item)
{
    struct key key;
    encode(merge, item, &key);
    uint64_t group_id = router_target(merge->table, key_bytes(&key)).group_id;
    if (merge->count == WRITES_MAX || (merge->count > 0 && group_id != merge->group_id))
        TRY(flush(merge));
    uint32_t i = merge->count;
    merge->group_id = group_id;
    merge->keys[i] = arena_copy(&merge->ctx->arena, key_bytes(&key));
    if (merge->keys[i].at == NULL)
        return error_internal(merge->error, STATUS_NO_MEMORY);
    merge->requests[i] =
        (struct write_request){.kind = kind, .table = merge->table->name, .item = item};
    merge->writes[i] = (struct replica_write){
        .key = merge->keys[i], .key_attributes = item, .request = &merge->requests[i]};
    if (router_has_derived(merge->table))
        router_write_indexed(merge->table, &merge->writes[i]);
    merge->errors[i] = (struct error){0};
    merge->count++;
    return STATUS_OK;
}

/* Carry out what a page has shown. */
static enum status write_differences(struct merge *merge)
{
    struct value item;
    struct bytes puts = buffer_bytes(&merge->puts);
    for (size_t at = 0; at < merge->deletes.count;) {
        item.bytes = get_u32(merge->deletes.at + at);
        item.at = merge->deletes.at + at + LENGTH_BYTES;
        at += LENGTH_BYTES + item.bytes;
        TRY(add_write(merge, WRITE_DELETE, item));
    }
    for (size_t i = 0; i < puts.count; i++) {
        bool found = read_at(merge->from, &merge->put_block, &merge->put_at, &item);
        ASSERT(found);
        if (puts.at[i] != 0)
            TRY(add_write(merge, WRITE_PUT, item));
    }
    TRY(flush(merge));
    buffer_clear(&merge->puts);
    buffer_clear(&merge->deletes);
    return context_check(merge->ctx);
}

static enum status merge_done(struct item_sink *base, struct context *ctx)
{
    (void)ctx;
    return write_differences(CONTAINER_OF(base, struct merge, sink));
}

/* What lies behind the table's last item; a page's worth at a time. */
static enum status write_rest(struct merge *merge)
{
    while (merge->have) {
        for (uint32_t i = 0; merge->have && i < WRITES_MAX; i++)
            pass(merge, true);
        if (merge->puts.failed)
            return error_internal(merge->error, STATUS_NO_MEMORY);
        TRY(write_differences(merge));
    }
    return STATUS_OK;
}

enum status snapshot_write(struct context *ctx, struct router *router,
                           const struct snapshot_table *from, struct snapshot_stats *stats,
                           struct error *error)
{
    struct heap *heap = ctx->env->heap;
    struct merge *merge = heap_alloc_zero(heap, sizeof(*merge));
    if (merge == NULL)
        return error_internal(error, STATUS_NO_MEMORY);
    merge->sink.take = merge_take;
    merge->ctx = ctx;
    merge->router = router;
    merge->from = from;
    merge->table = from->table;
    merge->stats = stats;
    merge->error = error;
    merge->block = merge->put_block = from->blocks.next;
    buffer_init(&merge->puts, heap, SNAPSHOT_BYTES_MAX);
    buffer_init(&merge->deletes, heap, SNAPSHOT_BYTES_MAX);
    advance(merge);
    enum status status = walk(ctx, router, from->table, &merge->sink, merge_done, error);
    if (status == STATUS_OK)
        status = write_rest(merge);
    buffer_release(&merge->puts);
    buffer_release(&merge->deletes);
    heap_free(heap, merge, sizeof(*merge));
    return status;
}
