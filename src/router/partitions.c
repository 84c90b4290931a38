/* partitions.c - making and removing the partitions of a table, several at one time. */
#include "router/router_private.h"

#include "base/assert.h"

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
    const struct table *table; /* held by the caller */
    enum status (*act)(struct context *ctx, struct router *router, const struct table *table,
                       const struct partition *partition);
    uint32_t next;
    uint32_t running;
    enum status status; /* the first that is not OK: nothing more begins */
    struct wait_queue ended;
    struct lane lanes[AT_ONCE];
};

static void take_next(struct context *ctx, struct spread *spread)
{
    while (spread->status == STATUS_OK && spread->next < spread->table->partition_count) {
        const struct partition *partition = &spread->table->partitions[spread->next++];
        enum status status = spread->act(ctx, spread->router, spread->table, partition);
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
    uint32_t lanes = MIN(spread->table->partition_count, AT_ONCE);
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

static enum status create_one(struct context *ctx, struct router *router, const struct table *table,
                              const struct partition *partition)
{
    struct replica_target target = router_partition_target(table, partition);
    return router->service->create_replica(ctx, router->service, &target, partition->low,
                                           partition->high);
}

static enum status remove_one(struct context *ctx, struct router *router, const struct table *table,
                              const struct partition *partition)
{
    (void)table;
    return router->service->remove_replica(ctx, router->service, partition->group_id);
}

enum status router_create_partitions(struct context *ctx, struct router *router,
                                     const struct table *table)
{
    struct spread spread = {.router = router, .table = table, .act = create_one};
    return for_each(ctx, &spread);
}

enum status router_remove_partitions(struct context *ctx, struct router *router,
                                     const struct table *table)
{
    struct spread spread = {.router = router, .table = table, .act = remove_one};
    return for_each(ctx, &spread);
}
