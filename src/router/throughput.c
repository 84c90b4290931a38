#include "router/throughput.h"

#include "admission/units.h"
#include "router/router_private.h"

/* ---- What partitions are held to ---- */

/* A table or an index of so many units in so many partitions. */
static void rates_of(enum throttling throttling, enum billing_mode billing, uint64_t read_units,
                     uint64_t write_units, uint32_t partitions,
                     struct partition_rate rates[ADMISSION_KINDS])
{
    if (billing == BILLING_ON_DEMAND) {
        if (throttling != THROTTLING_ALL)
            return;
        rates[ADMISSION_READ].maximum = 2 * PARTITION_READ_UNITS_MAX;
        rates[ADMISSION_WRITE].maximum = 2 * PARTITION_WRITE_UNITS_MAX;
        return;
    }
    rates[ADMISSION_READ] = partition_rate_of(ADMISSION_READ, read_units, partitions);
    rates[ADMISSION_WRITE] = partition_rate_of(ADMISSION_WRITE, write_units, partitions);
}

void router_rates(const struct router *router, const struct table *table,
                  struct partition_rate rates[ADMISSION_KINDS])
{
    enum throttling throttling = router->options.throttling;
    rates[ADMISSION_READ] = rates[ADMISSION_WRITE] = (struct partition_rate){0};
    if (LIKELY(table->billing == BILLING_ON_DEMAND && throttling != THROTTLING_ALL) ||
        throttling == THROTTLING_NONE || table->id == SYSTEM_TABLE_ID ||
        table_name_is_internal(table->name))
        return;
    rates_of(throttling, table->billing, table->read_units, table->write_units,
             table->partition_count, rates);
}

void router_index_rates(const struct router *router, const struct table *table,
                        const struct table_index *index,
                        struct partition_rate rates[ADMISSION_KINDS])
{
    rates[ADMISSION_READ] = rates[ADMISSION_WRITE] = (struct partition_rate){0};
    if (router->options.throttling != THROTTLING_NONE)
        rates_of(router->options.throttling, table->billing, index->read_units, index->write_units,
                 index->partition_count, rates);
}

/* ---- What tables and indexes are held to ---- */

struct table_budget {
    uint64_t id; /* of the table or index; its key in the map */
    int64_t maximum[ADMISSION_KINDS];
    struct token_bucket tokens[ADMISSION_KINDS];
};

void table_budgets_init(struct table_budgets *budgets, struct env *env)
{
    hash_map_init(&budgets->tables, env->heap, PARTITIONS_MAX, env_random_u64(env));
}

void table_budgets_release(struct table_budgets *budgets, struct env *env)
{
    uint32_t position = 0;
    struct table_budget *budget;
    while ((budget = hash_map_next(&budgets->tables, &position)) != NULL)
        heap_free(env->heap, budget, sizeof(*budget));
    hash_map_release(&budgets->tables);
}

static struct table_budget *find(const struct router *router, uint64_t id)
{
    return hash_map_find(&router->budgets.tables, bytes_of(&id, sizeof(id)));
}

void table_budgets_forget(struct router *router, uint64_t id)
{
    struct table_budget *budget =
        hash_map_remove(&router->budgets.tables, bytes_of(&id, sizeof(id)));
    heap_free(router->env->heap, budget, sizeof(*budget));
}

static enum status make(struct router *router, uint64_t id, struct table_budget **made)
{
    struct table_budget *budget = heap_alloc_zero(router->env->heap, sizeof(*budget));
    if (budget == NULL)
        return STATUS_NO_MEMORY;
    budget->id = id;
    enum status status =
        hash_map_insert(&router->budgets.tables, bytes_of(&budget->id, sizeof(uint64_t)), budget);
    if (status != STATUS_OK) {
        heap_free(router->env->heap, budget, sizeof(*budget));
        return status;
    }
    *made = budget;
    return STATUS_OK;
}

static enum status find_or_make(struct router *router, uint64_t id, enum admission_kind kind,
                                int64_t maximum, struct table_budget **found)
{
    struct table_budget *budget = find(router, id);
    if (budget == NULL)
        TRY(make(router, id, &budget));
    if (budget->maximum[kind] != maximum) {
        uint32_t tokens = maximum > 0 ? 2 * (uint32_t)MIN(maximum, INT64_C(50000)) : 0;
        token_bucket_init(&budget->tokens[kind], tokens * 100, tokens, wall_now_ns(router->env));
        budget->maximum[kind] = maximum;
    }
    *found = budget;
    return STATUS_OK;
}

/* Take `least` from the bucket of what has this maximum; *charged: its id, or 0: it has none.
 *   STATUS_THROTTLED  it has nothing left */
static enum status take(struct router *router, uint64_t id, enum admission_kind kind,
                        int64_t maximum, uint32_t least, uint64_t *charged)
{
    struct table_budget *budget;
    TRY(find_or_make(router, id, kind, maximum, &budget));
    if (maximum <= 0)
        return STATUS_OK;
    if (!token_bucket_open(&budget->tokens[kind], wall_now_ns(router->env)))
        return STATUS_THROTTLED;
    token_bucket_charge(&budget->tokens[kind], least);
    *charged = id;
    return STATUS_OK;
}

/* ---- What is said of it ---- */

#define THROTTLED_MAXIMUM                                                                          \
    "Throughput exceeds the maximum OnDemandThroughput configured on table or index"
#define THROTTLED_PROVISIONED                                                                      \
    "The level of configured provisioned throughput for the table was exceeded. Consider "         \
    "increasing your provisioning level with the UpdateTable API."
#define THROTTLED_INDEX                                                                            \
    "The level of configured provisioned throughput for one or more global secondary indexes of "  \
    "the table was exceeded. Consider increasing your provisioning level for the "                 \
    "under-provisioned global secondary indexes with the UpdateTable API"
#define THROTTLED_ON_DEMAND                                                                        \
    "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically "   \
    "scaling your table or index so please try again shortly. If exceptions persist, check if "    \
    "you have a hot key: "                                                                         \
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/"                            \
    "bp-partition-key-design.html"

#define REASONS(resource, kind)                                                                    \
    {                                                                                              \
        [THROTTLE_PROVISIONED] = resource kind "ProvisionedThroughputExceeded",                    \
        [THROTTLE_KEY_RANGE] = resource kind "KeyRangeThroughputExceeded",                         \
        [THROTTLE_ON_DEMAND_MAXIMUM] = resource kind "MaxOnDemandThroughputExceeded",              \
    }

static const char *const reasons[THROTTLE_RESOURCES][ADMISSION_KINDS][THROTTLE_LIMITS] = {
    [THROTTLE_TABLE] = {[ADMISSION_READ] = REASONS("Table", "Read"),
                        [ADMISSION_WRITE] = REASONS("Table", "Write")},
    [THROTTLE_INDEX] = {[ADMISSION_READ] = REASONS("Index", "Read"),
                        [ADMISSION_WRITE] = REASONS("Index", "Write")},
};

const char *router_throttle_reason(enum throttle_resource resource, enum admission_kind kind,
                                   enum throttle_limit limit)
{
    return reasons[resource][kind][limit];
}

/* The service tells of a provisioned table or index with an exception of its own. */
static void say(struct router *router, enum throttle_resource resource, struct bytes name,
                enum admission_kind kind, enum throttle_limit limit, bool provisioned,
                struct error *error)
{
    const char *of_provisioned =
        resource == THROTTLE_INDEX ? THROTTLED_INDEX : THROTTLED_PROVISIONED;
    router->stats.throttled[resource][kind][limit]++;
    (void)error_set(error, provisioned ? ERROR_THROUGHPUT_EXCEEDED : ERROR_THROTTLING,
                    provisioned                           ? of_provisioned
                    : limit == THROTTLE_ON_DEMAND_MAXIMUM ? THROTTLED_MAXIMUM
                                                          : THROTTLED_ON_DEMAND);
    error->throttle_reason = reasons[resource][kind][limit];
    error->throttled = name;
}

static bool is_provisioned(const struct router *router, struct bytes name)
{
    const struct table *table = catalog_find(&router->catalog, name);
    return table == NULL || table->billing == BILLING_PROVISIONED;
}

static void say_index(struct router *router, struct bytes table, struct bytes index,
                      enum admission_kind kind, enum throttle_limit limit, struct arena *arena,
                      struct error *error)
{
    struct bytes name =
        arena_format(arena, "%.*s/index/%.*s", BYTES_ARGS(table), BYTES_ARGS(index));
    say(router, THROTTLE_INDEX, name.at == NULL ? table : name, kind, limit,
        limit != THROTTLE_ON_DEMAND_MAXIMUM && is_provisioned(router, table), error);
}

enum status router_throttled(struct router *router, struct bytes name, enum admission_kind kind,
                             enum status status, struct error *error)
{
    say(router, THROTTLE_TABLE, name, kind,
        status == STATUS_HOT ? THROTTLE_KEY_RANGE : THROTTLE_PROVISIONED,
        is_provisioned(router, name), error);
    return status;
}

enum status router_throttled_index(struct router *router, struct bytes name, struct bytes index,
                                   enum status status, struct arena *arena, struct error *error)
{
    say_index(router, name, index, ADMISSION_READ,
              status == STATUS_HOT ? THROTTLE_KEY_RANGE : THROTTLE_PROVISIONED, arena, error);
    return status;
}

enum status router_throttled_write(struct router *router, struct bytes name, enum status status,
                                   const struct write_result *result, struct arena *arena,
                                   struct error *error)
{
    if (result->held_for.count == 0)
        return router_throttled(router, name, ADMISSION_WRITE, status, error);
    say_index(router, name, result->held_for, ADMISSION_WRITE,
              (enum throttle_limit)result->held_limit, arena, error);
    return status;
}

/* ---- Spending ---- */

enum status router_spend(struct router *router, struct bytes name, const struct table *table,
                         enum admission_kind kind, uint32_t least, uint64_t *budget,
                         struct error *error)
{
    *budget = 0;
    if (LIKELY(!table->has_on_demand_maximum) || router->options.throttling == THROTTLING_NONE)
        return STATUS_OK;
    int64_t maximum =
        kind == ADMISSION_READ ? table->on_demand_read_max : table->on_demand_write_max;
    enum status status = take(router, table->id, kind, maximum, least, budget);
    if (status == STATUS_THROTTLED)
        say(router, THROTTLE_TABLE, name, kind, THROTTLE_ON_DEMAND_MAXIMUM, false, error);
    else if (status != STATUS_OK)
        return error_internal(error, status);
    return status;
}

enum status router_spend_index(struct context *ctx, struct router *router, struct bytes name,
                               const struct table *table, const struct table_index *index,
                               uint32_t least, uint64_t *budget, struct error *error)
{
    *budget = 0;
    if (!index->has_on_demand_maximum || router->options.throttling == THROTTLING_NONE)
        return STATUS_OK;
    enum status status =
        take(router, index->id, ADMISSION_READ, index->on_demand_read_max, least, budget);
    if (status == STATUS_THROTTLED)
        say_index(router, name, table_global_schema(table, index)->name, ADMISSION_READ,
                  THROTTLE_ON_DEMAND_MAXIMUM, &ctx->arena, error);
    else if (status != STATUS_OK)
        return error_internal(error, status);
    return status;
}

bool router_spend_row(struct router *router, const struct table_index *index, uint64_t *budget)
{
    *budget = 0;
    if (!index->has_on_demand_maximum || router->options.throttling == THROTTLING_NONE)
        return true;
    return take(router, index->id, ADMISSION_WRITE, index->on_demand_write_max, UNITS_WRITE_LEAST,
                budget) == STATUS_OK;
}

void router_spent(struct router *router, uint64_t id, enum admission_kind kind, int64_t tokens)
{
    struct table_budget *budget = id != 0 ? find(router, id) : NULL;
    if (budget != NULL)
        token_bucket_charge(&budget->tokens[kind], tokens);
}
