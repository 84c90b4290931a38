/* table_indexes.c - the global indexes of a table, as they are created, updated and deleted. */
#include "router/propagator_private.h"

#include "base/assert.h"

#define ONE_AT_A_TIME                                                                              \
    "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per " \
    "table"

/* ---- CreateTable ---- */

/* Arrays of the table's own, with room for one index more. */
static enum status own_arrays(struct context *ctx, struct table *table)
{
    struct index_schema *indexes =
        arena_alloc_array(&ctx->arena, table->index_count + 1u, sizeof(*indexes));
    struct table_index *globals =
        arena_alloc_array(&ctx->arena, table->global_count + 1u, sizeof(*globals));
    if (indexes == NULL || globals == NULL)
        return STATUS_NO_MEMORY;
    memcpy(indexes, table->indexes, table->index_count * sizeof(*indexes));
    memcpy(globals, table->globals, table->global_count * sizeof(*globals));
    table->indexes = indexes;
    table->globals = globals;
    return STATUS_OK;
}

static struct table_index new_global(const struct router *router, enum billing_mode billing,
                                     const struct index_throughput *given)
{
    return (struct table_index){
        .read_units = given->read_units,
        .write_units = given->write_units,
        .has_on_demand_maximum = given->has_on_demand_maximum,
        .on_demand_read_max = given->on_demand_read_max,
        .on_demand_write_max = given->on_demand_write_max,
        .warm =
            warm_most(given->warm, warm_by_itself(billing, given->read_units, given->write_units)),
        .partition_count =
            router_partitions_for(router, billing, given->read_units, given->write_units)};
}

uint32_t indexes_partitions(const struct router *router, const struct create_table_request *request)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < request->global_count; i++)
        count += router_partitions_for(router, request->billing, request->globals[i].read_units,
                                       request->globals[i].write_units);
    return count;
}

enum status indexes_create(struct context *ctx, const struct router *router,
                           const struct create_table_request *request, struct table *table)
{
    table->indexes = request->indexes;
    table->index_count = request->index_count;
    table->global_count = request->global_count;
    table->globals =
        arena_alloc_array(&ctx->arena, request->global_count + 1u, sizeof(*table->globals));
    if (table->globals == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < request->global_count; i++)
        table->globals[i] = new_global(router, request->billing, &request->globals[i]);
    return STATUS_OK;
}

static enum status number_global(struct context *ctx, struct router *router, uint64_t id,
                                 struct table_index *index)
{
    index->id = id;
    index->hash_seed = env_random_u64(router->env);
    index->status = TABLE_CREATING;
    index->online = index->backfilling = false;
    return router_divide(ctx, index->partition_count, id + 1, &index->partitions);
}

enum status indexes_number(struct context *ctx, struct router *router, uint64_t id,
                           struct table *table)
{
    if (table->global_count == 0)
        return STATUS_OK;
    TRY(own_arrays(ctx, table));
    for (uint32_t i = 0; i < table->global_count; i++) {
        TRY(number_global(ctx, router, id, &table->globals[i]));
        id += 1u + table->globals[i].partition_count;
    }
    return STATUS_OK;
}

/* ---- UpdateTable ---- */

static struct table_index *find_global(const struct table *table, struct bytes name)
{
    const struct index_schema *schema = table_index(table, name);
    return schema == NULL ? NULL : table_global(table, schema);
}

static void remove_global(struct table *table, uint32_t at)
{
    uint32_t schema = table->index_count - table->global_count + at;
    memmove(&table->indexes[schema], &table->indexes[schema + 1],
            (table->index_count - schema - 1) * sizeof(*table->indexes));
    memmove(&table->globals[at], &table->globals[at + 1],
            (table->global_count - at - 1) * sizeof(*table->globals));
    table->index_count--;
    table->global_count--;
}

/* Is one being created or deleted, but the one named? */
static bool is_busy(const struct table *table, const struct table_index *but)
{
    for (uint32_t i = 0; i < table->global_count; i++) {
        const struct table_index *index = &table->globals[i];
        if (index != but && (index->status == TABLE_CREATING || index->status == TABLE_DELETING))
            return true;
    }
    return false;
}

static enum status create_one(struct context *ctx, struct router *router,
                              const struct index_update *update, const struct index_ids *ids,
                              struct table *table, struct error *error)
{
    if (table_index(table, update->name) != NULL)
        return error_format(error, &ctx->arena, ERROR_VALIDATION,
                            "Attempting to create an index which already exists");
    if (is_busy(table, NULL))
        return error_set(error, ERROR_LIMIT_EXCEEDED, ONE_AT_A_TIME);
    if (table->global_count >= GLOBAL_INDEXES_MAX)
        return error_set(error, ERROR_LIMIT_EXCEEDED,
                         "Subscriber limit exceeded: Number of global secondary indexes exceeds "
                         "per-table limit of 20");
    struct table_index *index = &table->globals[table->global_count];
    *index = new_global(router, table->billing, &update->throughput);
    index->partition_count = ids->partitions; /* the table may have changed since they were taken */
    enum status status = number_global(ctx, router, ids->first, index);
    if (status != STATUS_OK)
        return error_internal(error, status);
    index->online = true;
    table->indexes[table->index_count] = update->schema;
    table->index_count++;
    table->global_count++;
    return STATUS_OK;
}

/* There is no such global index; a local one is told apart. */
static enum status refuse_missing(struct context *ctx, const struct table *table, struct bytes name,
                                  const char *verb, struct error *error)
{
    if (table_index(table, name) != NULL)
        return error_format(error, &ctx->arena, ERROR_VALIDATION,
                            "Cannot %s an index that is not a GlobalSecondaryIndex: %.*s", verb,
                            BYTES_ARGS(name));
    return error_format(error, &ctx->arena, ERROR_RESOURCE_NOT_FOUND,
                        "Requested resource not found: Index %.*s for table %.*s", BYTES_ARGS(name),
                        BYTES_ARGS(table->name));
}

static enum status delete_one(struct context *ctx, const struct index_update *update,
                              struct table *table, struct error *error)
{
    struct table_index *index = find_global(table, update->name);
    if (index == NULL)
        return refuse_missing(ctx, table, update->name, "delete", error);
    if (is_busy(table, index) || index->status == TABLE_DELETING)
        return error_set(error, ERROR_LIMIT_EXCEEDED, ONE_AT_A_TIME);
    index->status = TABLE_DELETING;
    index->backfilling = false;
    return STATUS_OK;
}

static enum status update_one(struct context *ctx, struct router *router,
                              const struct index_update *update, uint64_t ms, struct table *table,
                              struct error *error)
{
    struct table_index *index = find_global(table, update->name);
    const struct index_throughput *given = &update->throughput;
    if (index == NULL)
        return refuse_missing(ctx, table, update->name, "update", error);
    if (index->status != TABLE_ACTIVE)
        return error_format(error, &ctx->arena, ERROR_RESOURCE_IN_USE,
                            "Attempt to change a resource which is still in use: Index is being "
                            "%s. Table: %.*s Index: %.*s",
                            index->status == TABLE_DELETING   ? "deleted"
                            : index->status == TABLE_CREATING ? "created"
                                                              : "updated",
                            BYTES_ARGS(table->name), BYTES_ARGS(update->name));
    if (update->throughput_given) {
        bool was_provisioned = index->read_units > 0;
        bool decreases =
            given->read_units < index->read_units || given->write_units < index->write_units;
        if (decreases && was_provisioned) {
            TRY(router_check_decrease(ctx, router, index->last_decrease_ms, &index->decreases_today,
                                      ms, error));
            index->last_decrease_ms = ms;
        }
        if (given->read_units > index->read_units || given->write_units > index->write_units)
            index->last_increase_ms = ms;
        index->read_units = given->read_units;
        index->write_units = given->write_units;
    }
    if (update->on_demand_maximum_given) {
        index->has_on_demand_maximum = true;
        index->on_demand_read_max = given->on_demand_read_max;
        index->on_demand_write_max = given->on_demand_write_max;
    }
    index->warm = warm_most(index->warm, given->warm);
    index->status = TABLE_UPDATING;
    return STATUS_OK;
}

/* What the billing mode of the table, as it is now, means for its indexes. */
static enum status follow_billing(struct context *ctx, struct table *table, struct error *error)
{
    for (uint32_t i = 0; i < table->global_count; i++) {
        struct table_index *index = &table->globals[i];
        index->warm = index_warm(table->billing, index);
        if (table->billing == BILLING_ON_DEMAND) {
            index->read_units = index->write_units = 0;
            continue;
        }
        index->has_on_demand_maximum = false;
        struct bytes name = table_global_schema(table, index)->name;
        if (index->read_units == 0 && index->status != TABLE_DELETING)
            return error_format(error, &ctx->arena, ERROR_VALIDATION,
                                INVALID_VALUES
                                "ProvisionedThroughput must be specified for index: %.*s",
                                BYTES_ARGS(name));
    }
    return STATUS_OK;
}

enum status indexes_change(struct context *ctx, struct router *router,
                           const struct update_table_request *request, const struct index_ids *ids,
                           uint64_t ms, struct table *table, struct error *error)
{
    if (table->global_count == 0 && request->index_update_count == 0)
        return STATUS_OK;
    if (own_arrays(ctx, table) != STATUS_OK)
        return error_internal(error, STATUS_NO_MEMORY);
    for (uint32_t i = 0; i < request->index_update_count; i++) {
        const struct index_update *update = &request->index_updates[i];
        switch (update->action) {
        case INDEX_CREATE:
            TRY(create_one(ctx, router, update, ids, table, error));
            break;
        case INDEX_UPDATE:
            TRY(update_one(ctx, router, update, ms, table, error));
            break;
        case INDEX_DELETE:
            TRY(delete_one(ctx, update, table, error));
            break;
        }
    }
    return follow_billing(ctx, table, error);
}

/* ---- What admin/ has dealt with ---- */

/* The state that follows; false: the index is gone. */
static bool settle_one(const struct router *router, const struct table *dealt,
                       const struct table_index *was, struct table_index *index)
{
    switch (index->status) {
    case TABLE_DELETING:
        return was->status != TABLE_DELETING;
    case TABLE_CREATING:
        if (!index->online ||
            (index->backfilling && propagator_backfilled(router->propagator, dealt, index->id))) {
            index->status = TABLE_ACTIVE;
            index->backfilling = false;
        } else {
            index->backfilling = true;
        }
        return true;
    case TABLE_UPDATING:
        index->status = TABLE_ACTIVE;
        return true;
    case TABLE_ACTIVE:
    case TABLE_DEPARTED: /* no index is */
        break;
    }
    return true;
}

enum status indexes_settle(struct context *ctx, struct router *router, const struct table *dealt,
                           struct table *table, bool *changed)
{
    *changed = false;
    if (table->global_count == 0)
        return STATUS_OK;
    TRY(own_arrays(ctx, table));
    for (uint32_t i = 0; i < table->global_count;) {
        struct table_index *index = &table->globals[i];
        const struct table_index *was = table_global_of_id(dealt, index->id);
        struct table_index before = *index;
        if (was == NULL) { /* it came since */
            i++;
        } else if (!settle_one(router, dealt, was, index)) {
            table_budgets_forget(router, index->id);
            remove_global(table, i);
            *changed = true;
        } else {
            *changed |= index->status != before.status || index->backfilling != before.backfilling;
            i++;
        }
    }
    return STATUS_OK;
}
