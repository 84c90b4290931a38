/* snapshot_items.c - all items of a table into memory, and back. */
#include "base/assert.h"
#include "base/codec.h"
#include "router/snapshot_private.h"

#define BLOCK_BYTES ((size_t)256 << 10)
#define HEAD_BYTES  6u                /* of an item in a block: u32 bytes, u16 of its key */
#define WRITES_MAX  1024u             /* with one wait for the commit of all */
#define RETRY_NS    UINT64_C(2000000) /* before what was refused is sent again */
#define RETRIES_MAX 5000u

/* ---- Pages of a table ---- */

/* Hand every item of a partition, with its key, to `sink`, a page at a time; after each page
 * `done`, which may wait. */
static enum status walk_partition(struct context *ctx, struct router *router,
                                  const struct table *table, const struct partition *partition,
                                  struct item_sink *sink,
                                  enum status (*done)(struct item_sink *sink, struct context *ctx),
                                  struct error *error)
{
    struct replica_target target = router_partition_target(table, partition); /* held to no rate */
    struct replica_range range = {.low = partition->low,
                                  .high = partition->high,
                                  .consistent = true,
                                  .versions = true,
                                  .mixed = true,
                                  .bytes_max = PAGE_BYTES_MAX};
    uint8_t low[KEY_BYTES_MAX + 1];
    bool more;
    do {
        struct replica_range_result page = {0};
        arena_reset(&ctx->arena);
        enum status status =
            router->service->range(ctx, router->service, &target, &range, sink, &page);
        if (status != STATUS_OK)
            return router_replica_error(error, status);
        more = page.more;
        if (more) {
            memcpy(low, page.last_key.at, page.last_key.count);
            low[page.last_key.count] = 0; /* the smallest key above it */
            range.low = bytes_of(low, page.last_key.count + 1);
        }
        TRY(done(sink, ctx));
    } while (more);
    return STATUS_OK;
}

/* The same for the whole table, which is held. */
static enum status walk(struct context *ctx, struct router *router, const struct table *table,
                        struct item_sink *sink,
                        enum status (*done)(struct item_sink *sink, struct context *ctx),
                        struct error *error)
{
    for (uint32_t i = 0; i < table->partition_count; i++)
        TRY(walk_partition(ctx, router, table, &table->partitions[i], sink, done, error));
    return STATUS_OK;
}

/* ---- Into memory ---- */

/* An item as it is kept: u32 bytes of the item, u16 of its key, the key, the item. */
struct kept {
    struct bytes key; /* encoded */
    struct value item;
};

static void write_kept(uint8_t *to, struct bytes key, struct value item)
{
    put_u32(to, item.bytes);
    put_u16(to + 4, (uint16_t)key.count);
    memcpy(to + HEAD_BYTES, key.at, key.count);
    memcpy(to + HEAD_BYTES + key.count, item.at, item.bytes);
}

/* Returns where it ends. */
static size_t read_kept(const uint8_t *from, size_t at, struct kept *kept)
{
    uint32_t item_bytes = get_u32(from + at);
    kept->key = bytes_of(from + at + HEAD_BYTES, get_u16(from + at + 4));
    at += HEAD_BYTES + kept->key.count;
    kept->item = (struct value){.at = from + at, .bytes = item_bytes};
    return at + item_bytes;
}

struct copy {
    struct item_sink sink;
    struct heap *heap;
    struct budget *budget;
    struct snapshot_table *to;
    bool full; /* the budget refused */
};

static enum status copy_take(struct item_sink *base, struct bytes key, const struct row *row)
{
    struct copy *copy = CONTAINER_OF(base, struct copy, sink);
    struct list *blocks = &copy->to->blocks;
    struct value item = row->item;
    size_t bytes = HEAD_BYTES + key.count + item.bytes;
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
    write_kept(block->at + block->count, key, item);
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
        .sink = {.take_row = copy_take}, .heap = ctx->env->heap, .budget = budget, .to = to};
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
    bool have; /* there is one */
    struct kept next;
    struct buffer deletes;  /* what is to be deleted: as it is kept, with the key's map as item */
    struct list *put_block; /* of the first item that may have to be put ... */
    size_t put_at;
    struct buffer puts; /* ... one byte for each from there on: is it to be put? */
    struct write_request requests[WRITES_MAX];
    struct replica_write writes[WRITES_MAX];
    struct write_result results[WRITES_MAX];
    enum status statuses[WRITES_MAX];
    struct error errors[WRITES_MAX];
    uint32_t count;
    uint64_t group_id; /* of those writes */
};

/* The item at a place in the snapshot; false: that is its end.  The place moves behind it. */
static bool read_at(const struct snapshot_table *from, struct list **block, size_t *at,
                    struct kept *kept)
{
    while (*block != &from->blocks) {
        const struct snapshot_block *b = LIST_ITEM(*block, struct snapshot_block, link);
        if (*at < b->count) {
            *at = read_kept(b->at, *at, kept);
            return true;
        }
        *block = (*block)->next;
        *at = 0;
    }
    return false;
}

static void advance(struct merge *merge)
{
    merge->have = read_at(merge->from, &merge->block, &merge->at, &merge->next);
}

/* The snapshot's next item is to be put, or is as it is. */
static void pass(struct merge *merge, bool put)
{
    buffer_append_u8(&merge->puts, put ? 1 : 0);
    advance(merge);
}

static void add_delete(struct merge *merge, struct bytes key)
{
    struct value_writer writer;
    struct value value = VALUE_ABSENT;
    struct buffer map;
    buffer_init(&map, merge->deletes.heap, KEY_BYTES_MAX * 2 + 4096);
    value_writer_init(&writer, &map);
    key_write_decoded(&writer, &merge->table->schema, key);
    uint8_t *to = NULL;
    if (value_writer_finish(&writer, &value) == STATUS_OK)
        to = buffer_reserve(&merge->deletes, HEAD_BYTES + key.count + value.bytes);
    if (to != NULL) {
        write_kept(to, key, value);
        buffer_commit(&merge->deletes, HEAD_BYTES + key.count + value.bytes);
    } else {
        merge->deletes.failed = true;
    }
    buffer_release(&map);
}

static enum status merge_take(struct item_sink *base, struct bytes key, const struct row *row)
{
    struct merge *merge = CONTAINER_OF(base, struct merge, sink);
    struct value item = row->item;
    int order = 1;
    while (merge->have && (order = bytes_compare(merge->next.key, key)) < 0)
        pass(merge, true);
    if (merge->have && order == 0)
        pass(merge, merge->next.item.bytes != item.bytes ||
                        memcmp(merge->next.item.at, item.at, item.bytes) != 0);
    else
        add_delete(merge, key);
    return merge->puts.failed || merge->deletes.failed ? STATUS_NO_MEMORY : STATUS_OK;
}

static bool may_pass(enum status status)
{
    return status == STATUS_THROTTLED || status == STATUS_BUSY || status == STATUS_MOVED ||
           status == STATUS_NO_SPACE;
}

/* Send what has gathered, all to one partition, and what may pass later again. */
static enum status flush(struct merge *merge)
{
    struct router *router = merge->router;
    struct context *ctx = merge->ctx;
    for (uint32_t tries = 0; merge->count > 0; tries++) {
        struct replica_target target = router_target(merge->table, merge->writes[0].key);
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
                merge->requests[left] = merge->requests[i];
                merge->writes[left] = merge->writes[i];
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

static enum status add_write(struct merge *merge, enum write_kind kind, const struct kept *kept)
{
    uint64_t group_id = router_target(merge->table, kept->key).group_id;
    if (merge->count == WRITES_MAX || (merge->count > 0 && group_id != merge->group_id))
        TRY(flush(merge));
    uint32_t i = merge->count++;
    merge->group_id = group_id;
    /* What is not set here is 0 since the beginning. */
    merge->requests[i].kind = kind;
    merge->requests[i].table = merge->table->name;
    merge->requests[i].item = kept->item;
    merge->requests[i].own = true;
    merge->writes[i].key = kept->key;
    merge->writes[i].actor = WRITE_BY_SERVER;
    merge->writes[i].key_attributes = kept->item;
    merge->writes[i].request = &merge->requests[i];
    if (router_has_derived(merge->table))
        router_write_indexed(merge->table, &merge->writes[i]);
    merge->errors[i] = (struct error){0};
    return STATUS_OK;
}

/* Carry out what a page has shown. */
static enum status write_differences(struct merge *merge)
{
    struct kept kept;
    struct bytes puts = buffer_bytes(&merge->puts);
    for (size_t at = 0; at < merge->deletes.count;) {
        at = read_kept(merge->deletes.at, at, &kept);
        TRY(add_write(merge, WRITE_DELETE, &kept));
    }
    for (size_t i = 0; i < puts.count; i++) {
        bool found = read_at(merge->from, &merge->put_block, &merge->put_at, &kept);
        ASSERT(found);
        if (puts.at[i] != 0)
            TRY(add_write(merge, WRITE_PUT, &kept));
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
    merge->sink.take_row = merge_take;
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
