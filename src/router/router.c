/* router.c - single items: resolve the table, check the key, call the replica that leads it. */
#include "admission/units.h"
#include "router/router_private.h"

#include "base/assert.h"

#define NOT_FOUND "Requested resource not found"

enum status router_open(struct context *ctx, const struct router_options *options,
                        struct router **opened)
{
    ASSERT(options->on_demand_partitions >= 1);
    struct router *router = heap_alloc_zero(ctx->env->heap, sizeof(*router));
    if (router == NULL)
        return STATUS_NO_MEMORY;
    *router = (struct router){.env = ctx->env, .options = *options, .service = options->service};
    table_budgets_init(&router->budgets, ctx->env);
    wait_queue_init(&router->changed);
    list_init(&router->transactions.all);
    wait_queue_init(&router->transactions.ended);
    enum status status = catalog_open(&router->catalog, ctx->env->heap);
    if (status != STATUS_OK) {
        heap_free(ctx->env->heap, router, sizeof(*router));
        return status;
    }
    status = router_create_partitions(ctx, router, router->catalog.system);
    if (status == STATUS_OK)
        status = system_load(ctx, router);
    if (status != STATUS_OK) {
        router_close(router);
        return status;
    }
    recovery_begin(router);
    *opened = router;
    return STATUS_OK;
}

void router_drain(struct context *ctx, struct router *router)
{
    recovery_end(ctx, router);
}

void router_close(struct router *router)
{
    ASSERT(router->transactions.count == 0 && !router->transactions.sweeping);
    ledger_release(router);
    catalog_close(&router->catalog);
    table_budgets_release(&router->budgets, router->env);
    heap_free(router->env->heap, router, sizeof(*router));
}

void router_set_throttling(struct router *router, enum throttling throttling)
{
    router->options.throttling = throttling;
}

const struct router_stats *router_stats(const struct router *router)
{
    return &router->stats;
}

enum status router_table(struct router *router, struct bytes name, const struct table **table,
                         struct error *error)
{
    struct table *found = catalog_find(&router->catalog, name);
    if (found == NULL || (found->status != TABLE_ACTIVE && found->status != TABLE_UPDATING))
        return error_set(error, ERROR_RESOURCE_NOT_FOUND, NOT_FOUND);
    *table = found;
    return STATUS_OK;
}

struct replica_target router_partition_target(const struct table *table,
                                              const struct partition *partition)
{
    return (struct replica_target){.group_id = partition->group_id,
                                   .table_id = table->id,
                                   .schema_version = table->schema_version,
                                   .keeps_changes = table->keeps_changes,
                                   .stream = table->stream_number};
}

struct replica_target router_target(const struct table *table, struct bytes key)
{
    return router_partition_target(table, table_partition(table, key));
}

enum status router_replica_error(struct error *error, enum status status)
{
    if (status == STATUS_OK || status == STATUS_INVALID || status == STATUS_CONDITION_FAILED)
        return status;
    if (status == STATUS_MOVED) {
        (void)error_set(error, ERROR_RESOURCE_NOT_FOUND, NOT_FOUND);
        return status;
    }
    return error_internal(error, status);
}

static void spent_reading(struct router *router, uint64_t budget, enum status status,
                          uint32_t least, bool consistent, const struct get_result *result)
{
    uint64_t cost = status == STATUS_OK ? units_read_halves(result->item_bytes, consistent) : 0;
    router_spent(router, budget, ADMISSION_READ, (int64_t)cost - (int64_t)least);
}

enum status router_get(struct context *ctx, struct router *router,
                       const struct get_request *request, struct get_result *result,
                       struct error *error)
{
    enum status status = STATUS_MOVED;
    for (uint32_t moves = 0; status == STATUS_MOVED && moves < MOVES_MAX; moves++) {
        const struct table *table = NULL;
        struct key key;
        struct bytes encoded = request->encoded;
        TRY(router_table(router, request->table, &table, error));
        if (request->encoded_for != table->id) {
            TRY(keys_encode(table, request->key, &ctx->arena, &key, error));
            encoded = key_bytes(&key);
        }
        uint64_t budget;
        uint32_t least = units_read_least(request->consistent);
        TRY(router_spend(router, request->table, table, ADMISSION_READ, least, &budget, error));
        struct replica_target target = router_target(table, encoded);
        router_rates(router, table, target.rates);
        struct replica_get get = {.key = encoded, .consistent = request->consistent};
        status = router->service->get(ctx, router->service, &target, &get, result);
        if (UNLIKELY(budget != 0))
            spent_reading(router, budget, status, least, request->consistent, result);
    }
    if (UNLIKELY(status_is_throttle(status)))
        return router_throttled(router, request->table, ADMISSION_READ, status, error);
    return router_replica_error(error, status);
}

enum status router_check_write(const struct table *table, const struct write_request *request,
                               struct arena *arena, struct key *key, struct error *error)
{
    if (request->kind == WRITE_PUT)
        return keys_encode_item(table, request->item, arena, key, error);
    TRY(keys_encode(table, request->item, arena, key, error));
    return keys_check_update(table, &request->update, arena, error);
}

void router_write_indexed(const struct table *table, struct replica_write *write)
{
    if (table->index_count > 0)
        write->indexes = table->index_run;
    write->schema = table->schema;
    write->ttl = table_ttl(table);
    write->has_beside = table->index_count > table->global_count;
}

enum status router_write(struct context *ctx, struct router *router,
                         const struct write_request *request, struct write_result *result,
                         struct error *error)
{
    enum status status = STATUS_MOVED;
    for (uint32_t moves = 0; status == STATUS_MOVED && moves < MOVES_MAX; moves++) {
        const struct table *table = NULL;
        struct key key;
        TRY(router_table(router, request->table, &table, error));
        TRY(router_check_write(table, request, &ctx->arena, &key, error));
        uint64_t budget = 0;
        struct replica_target target = router_target(table, key_bytes(&key));
        if (LIKELY(!request->own)) {
            TRY(router_spend(router, request->table, table, ADMISSION_WRITE, UNITS_WRITE_LEAST,
                             &budget, error));
            router_rates(router, table, target.rates);
        }
        struct replica_write write = {.key = key_bytes(&key),
                                      .key_attributes = request->item,
                                      .request = request,
                                      .actor = request->own ? WRITE_BY_SERVER : WRITE_BY_CLIENT,
                                      .urgent = request->urgent};
        bool derived = router_has_derived(table);
        if (derived) {
            router_write_indexed(table, &write);
            table_hold(table); /* the write borrows its schema, and waits */
        }
        router->service->write(ctx, router->service, &target, &write, 1, result, &status, error);
        if (derived)
            table_drop(table);
        if (UNLIKELY(budget != 0))
            router_spent(router, budget, ADMISSION_WRITE, units_write_rest(status, result));
    }
    if (UNLIKELY(status_is_throttle(status)))
        return router_throttled_write(router, request->table, status, result, &ctx->arena, error);
    return router_replica_error(error, status);
}
