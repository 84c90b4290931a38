/* partitions.c - making and removing the partitions of a table, several at one time. */
#include "base/assert.h"
#include "model/index_row.h"
#include "router/propagator_private.h"

#define AT_ONCE     16u
#define ARENA_BYTES ((size_t)1 << 20)

struct spread;

/* One fiber that takes partition after partition. */
struct lane {
    struct spread *spread;
    struct context *ctx; /* while it runs */
};

struct spread {
    struct router *router;
    const struct table *table;       /* held by the caller */
    const struct table_index *index; /* one of its global ones; NULL: the table itself */
    const struct partition *partitions;
    uint32_t count;
    enum status (*act)(struct context *ctx, const struct spread *spread,
                       const struct partition *partition);
    uint32_t next;
    uint32_t running;
    enum status status; /* the first that is not OK: nothing more begins */
    struct wait_queue ended;
    struct lane lanes[AT_ONCE];
};

static void take_next(struct context *ctx, struct spread *spread)
{
    while (spread->status == STATUS_OK && spread->next < spread->count) {
        const struct partition *partition = &spread->partitions[spread->next++];
        enum status status = spread->act(ctx, spread, partition);
        if (spread->status == STATUS_OK)
            spread->status = status;
    }
}

static void lane_run(struct context *ctx, void *argument)
{
    struct lane *lane = argument;
    struct spread *spread = lane->spread;
    lane->ctx = ctx;
    take_next(ctx, spread);
    lane->ctx = NULL;
    spread->running--;
    wait_queue_wake_all(&spread->ended);
}

/* Nobody who is cancelled leaves before the lanes have ended: they use its memory. */
static void wait_for_lanes(struct context *ctx, struct spread *spread)
{
    while (spread->running > 0) {
        enum status status = wait_queue_wait(ctx, &spread->ended);
        if (status == STATUS_OK)
            continue;
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            if (spread->lanes[i].ctx != NULL)
                context_cancel(spread->lanes[i].ctx);
        }
        if (spread->status == STATUS_OK)
            spread->status = status;
        if (spread->running > 0)
            wait_queue_wait_out(ctx, &spread->ended);
    }
}

/* Act on every partition; after an error some may have been left out. */
static enum status for_each(struct context *ctx, struct spread *spread)
{
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES,
                                    .deadline_ns = ctx->deadline_ns};
    uint32_t lanes = MIN(spread->count, AT_ONCE);
    wait_queue_init(&spread->ended);
    for (uint32_t i = 0; i + 1 < lanes; i++) {
        spread->lanes[i].spread = spread;
        spread->running++;
        if (fiber_spawn(ctx->env, &options, lane_run, &spread->lanes[i]) != STATUS_OK) {
            spread->running--;
            break; /* fewer do it as well */
        }
    }
    take_next(ctx, spread);
    wait_for_lanes(ctx, spread);
    return spread->status;
}

static struct spread spread_over(struct router *router, const struct table *table,
                                 const struct table_index *index)
{
    return (struct spread){.router = router,
                           .table = table,
                           .index = index,
                           .partitions = index != NULL ? index->partitions : table->partitions,
                           .count =
                               index != NULL ? index->partition_count : table->partition_count};
}

static enum status create_one(struct context *ctx, const struct spread *spread,
                              const struct partition *partition)
{
    struct replica_service *service = spread->router->service;
    struct replica_target target = router_partition_target(spread->table, partition);
    if (spread->index != NULL)
        target.table_id = spread->index->id;
    return service->create_replica(ctx, service, &target, partition->low, partition->high);
}

static enum status remove_one(struct context *ctx, const struct spread *spread,
                              const struct partition *partition)
{
    struct replica_service *service = spread->router->service;
    return service->remove_replica(ctx, service, partition->group_id);
}

/* From here on each change of the table's items is recorded for the indexes that it is
 * born with. */
static enum status mark_one(struct context *ctx, const struct spread *spread,
                            const struct partition *partition)
{
    struct replica_service *service = spread->router->service;
    struct replica_target target = router_partition_target(spread->table, partition);
    for (uint32_t i = 0; i < spread->table->global_count; i++) {
        struct replica_mark mark;
        uint64_t id = spread->table->globals[i].id;
        TRY(service->find_mark(ctx, service, &target, id, &mark));
        if (!mark.is_there)
            TRY(service->set_mark(ctx, service, &target, id, 0));
    }
    return STATUS_OK;
}

/* Nothing in a partition of the table is for the index any more. */
static enum status unmark_one(struct context *ctx, const struct spread *spread,
                              const struct partition *partition)
{
    struct replica_service *service = spread->router->service;
    struct replica_target target = router_partition_target(spread->table, partition);
    struct replica_mark mark;
    struct key key;
    TRY(service->find_mark(ctx, service, &target, spread->index->id, &mark));
    if (mark.is_there)
        TRY(service->set_mark(ctx, service, &target, spread->index->id, REPLICA_MARK_GOES));
    index_cursor_key(&key, partition->low, spread->index->id);
    struct write_request request = {.kind = WRITE_DELETE};
    struct replica_write write = {.key = key_bytes(&key), .request = &request, .urgent = true};
    struct write_result result;
    struct error error = {0};
    enum status status = STATUS_OK;
    service->write(ctx, service, &target, &write, 1, &result, &status, &error);
    return status;
}

static enum status create_all(struct context *ctx, struct router *router, const struct table *table,
                              const struct table_index *index)
{
    struct spread spread = spread_over(router, table, index);
    spread.act = create_one;
    return for_each(ctx, &spread);
}

static enum status retire_one(struct context *ctx, const struct spread *spread,
                              const struct partition *partition)
{
    struct replica_service *service = spread->router->service;
    return service->retire_replica(ctx, service, partition->group_id);
}

static enum status remove_all(struct context *ctx, struct router *router, const struct table *table,
                              const struct table_index *index)
{
    struct spread spread = spread_over(router, table, index);
    spread.act = remove_one;
    return for_each(ctx, &spread);
}

enum status router_create_partitions(struct context *ctx, struct router *router,
                                     const struct table *table)
{
    TRY(create_all(ctx, router, table, NULL));
    for (uint32_t i = 0; i < table->global_count; i++) {
        if (table->globals[i].status == TABLE_CREATING)
            TRY(create_all(ctx, router, table, &table->globals[i]));
    }
    if (table->status != TABLE_CREATING || table->global_count == 0)
        return STATUS_OK;
    struct spread spread = spread_over(router, table, NULL);
    spread.act = mark_one;
    return for_each(ctx, &spread);
}

enum status router_remove_index_partitions(struct context *ctx, struct router *router,
                                           const struct table *table)
{
    for (uint32_t i = 0; i < table->global_count; i++)
        TRY(remove_all(ctx, router, table, &table->globals[i]));
    return STATUS_OK;
}

enum status router_remove_partitions(struct context *ctx, struct router *router,
                                     const struct table *table)
{
    TRY(router_remove_index_partitions(ctx, router, table));
    return remove_all(ctx, router, table, NULL);
}

enum status router_retire_partitions(struct context *ctx, struct router *router,
                                     const struct table *table)
{
    struct spread spread = spread_over(router, table, NULL);
    spread.act = retire_one;
    return for_each(ctx, &spread);
}

enum status router_remove_indexes(struct context *ctx, struct router *router,
                                  const struct table *table)
{
    for (uint32_t i = 0; i < table->global_count; i++) {
        const struct table_index *index = &table->globals[i];
        if (index->status != TABLE_DELETING)
            continue;
        TRY(propagator_wait_gone(ctx, router->propagator, table, index->id));
        TRY(remove_all(ctx, router, table, index));
        struct spread spread = spread_over(router, table, index);
        spread.act = unmark_one;
        spread.partitions = table->partitions;
        spread.count = table->partition_count;
        TRY(for_each(ctx, &spread));
    }
    return STATUS_OK;
}
