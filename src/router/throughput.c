#include "router/throughput.h"

#include "router/router_private.h"

/* ---- What partitions are held to ---- */

void router_rates(const struct router *router, const struct table *table,
                  struct partition_rate rates[ADMISSION_KINDS])
{
    enum throttling throttling = router->options.throttling;
    rates[ADMISSION_READ] = rates[ADMISSION_WRITE] = (struct partition_rate){0};
    if (LIKELY(table->billing == BILLING_ON_DEMAND && throttling != THROTTLING_ALL) ||
        throttling == THROTTLING_NONE || table->id == SYSTEM_TABLE_ID ||
        table_name_is_internal(table->name))
        return;
    if (table->billing == BILLING_ON_DEMAND) {
        rates[ADMISSION_READ].maximum = 2 * PARTITION_READ_UNITS_MAX;
        rates[ADMISSION_WRITE].maximum = 2 * PARTITION_WRITE_UNITS_MAX;
        return;
    }
    rates[ADMISSION_READ] =
        partition_rate_of(ADMISSION_READ, table->read_units, table->partition_count);
    rates[ADMISSION_WRITE] =
        partition_rate_of(ADMISSION_WRITE, table->write_units, table->partition_count);
}

/* ---- What tables are held to ---- */

struct table_budget {
    uint64_t table_id; /* its key in the map */
    int64_t maximum[ADMISSION_KINDS];
    struct token_bucket tokens[ADMISSION_KINDS];
};

void table_budgets_init(struct table_budgets *budgets, struct env *env)
{
    hash_map_init(&budgets->tables, env->heap, TABLES_MAX, env_random_u64(env));
}

void table_budgets_release(struct table_budgets *budgets, struct env *env)
{
    uint32_t position = 0;
    struct table_budget *budget;
    while ((budget = hash_map_next(&budgets->tables, &position)) != NULL)
        heap_free(env->heap, budget, sizeof(*budget));
    hash_map_release(&budgets->tables);
}

static struct table_budget *find(const struct router *router, uint64_t table_id)
{
    return hash_map_find(&router->budgets.tables, bytes_of(&table_id, sizeof(table_id)));
}

void table_budgets_forget(struct router *router, uint64_t table_id)
{
    struct table_budget *budget =
        hash_map_remove(&router->budgets.tables, bytes_of(&table_id, sizeof(table_id)));
    heap_free(router->env->heap, budget, sizeof(*budget));
}

static enum status make(struct router *router, const struct table *table,
                        struct table_budget **made)
{
    struct table_budget *budget = heap_alloc_zero(router->env->heap, sizeof(*budget));
    if (budget == NULL)
        return STATUS_NO_MEMORY;
    budget->table_id = table->id;
    enum status status = hash_map_insert(&router->budgets.tables,
                                         bytes_of(&budget->table_id, sizeof(uint64_t)), budget);
    if (status != STATUS_OK) {
        heap_free(router->env->heap, budget, sizeof(*budget));
        return status;
    }
    *made = budget;
    return STATUS_OK;
}

#define THROTTLED_MAXIMUM                                                                          \
    "Throughput exceeds the maximum OnDemandThroughput configured on table or index"
#define THROTTLED_PROVISIONED                                                                      \
    "The level of configured provisioned throughput for the table was exceeded. Consider "         \
    "increasing your provisioning level with the UpdateTable API."
#define THROTTLED_ON_DEMAND                                                                        \
    "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically "   \
    "scaling your table or index so please try again shortly. If exceptions persist, check if "    \
    "you have a hot key: "                                                                         \
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/"                            \
    "bp-partition-key-design.html"

static const char *const reasons[ADMISSION_KINDS][THROTTLE_LIMITS] = {
    [ADMISSION_READ] = {[THROTTLE_PROVISIONED] = "TableReadProvisionedThroughputExceeded",
                        [THROTTLE_KEY_RANGE] = "TableReadKeyRangeThroughputExceeded",
                        [THROTTLE_ON_DEMAND_MAXIMUM] = "TableReadMaxOnDemandThroughputExceeded"},
    [ADMISSION_WRITE] = {[THROTTLE_PROVISIONED] = "TableWriteProvisionedThroughputExceeded",
                         [THROTTLE_KEY_RANGE] = "TableWriteKeyRangeThroughputExceeded",
                         [THROTTLE_ON_DEMAND_MAXIMUM] = "TableWriteMaxOnDemandThroughputExceeded"},
};

const char *router_throttle_reason(enum admission_kind kind, enum throttle_limit limit)
{
    return reasons[kind][limit];
}

/* The service tells of a provisioned table with an exception of its own. */
static void say(struct router *router, struct bytes name, enum admission_kind kind,
                enum throttle_limit limit, bool provisioned, struct error *error)
{
    router->stats.throttled[kind][limit]++;
    (void)error_set(error, provisioned ? ERROR_THROUGHPUT_EXCEEDED : ERROR_THROTTLING,
                    provisioned                           ? THROTTLED_PROVISIONED
                    : limit == THROTTLE_ON_DEMAND_MAXIMUM ? THROTTLED_MAXIMUM
                                                          : THROTTLED_ON_DEMAND);
    error->throttle_reason = reasons[kind][limit];
    error->throttled = name;
}

static enum status find_or_make(struct router *router, const struct table *table,
                                enum admission_kind kind, struct table_budget **found)
{
    struct table_budget *budget = find(router, table->id);
    int64_t maximum =
        kind == ADMISSION_READ ? table->on_demand_read_max : table->on_demand_write_max;
    if (budget == NULL)
        TRY(make(router, table, &budget));
    if (budget->maximum[kind] != maximum) {
        uint32_t tokens = maximum > 0 ? 2 * (uint32_t)MIN(maximum, INT64_C(50000)) : 0;
        token_bucket_init(&budget->tokens[kind], tokens * 100, tokens, wall_now_ns(router->env));
        budget->maximum[kind] = maximum;
    }
    *found = budget;
    return STATUS_OK;
}

enum status router_spend(struct router *router, struct bytes name, const struct table *table,
                         enum admission_kind kind, uint32_t least, uint64_t *id,
                         struct error *error)
{
    struct table_budget *budget;
    *id = 0;
    if (LIKELY(!table->has_on_demand_maximum) || router->options.throttling == THROTTLING_NONE)
        return STATUS_OK;
    enum status status = find_or_make(router, table, kind, &budget);
    if (status != STATUS_OK)
        return error_internal(error, status);
    if (budget->maximum[kind] <= 0)
        return STATUS_OK;
    if (!token_bucket_open(&budget->tokens[kind], wall_now_ns(router->env))) {
        say(router, name, kind, THROTTLE_ON_DEMAND_MAXIMUM, false, error);
        return STATUS_THROTTLED;
    }
    token_bucket_charge(&budget->tokens[kind], least);
    *id = table->id;
    return STATUS_OK;
}

void router_spent(struct router *router, uint64_t id, enum admission_kind kind, int64_t tokens)
{
    struct table_budget *budget = id != 0 ? find(router, id) : NULL;
    if (budget != NULL)
        token_bucket_charge(&budget->tokens[kind], tokens);
}

enum status router_throttled(struct router *router, struct bytes name, enum admission_kind kind,
                             enum status status, struct error *error)
{
    const struct table *table = catalog_find(&router->catalog, name);
    bool provisioned = table == NULL || table->billing == BILLING_PROVISIONED;
    say(router, name, kind, status == STATUS_HOT ? THROTTLE_KEY_RANGE : THROTTLE_PROVISIONED,
        provisioned, error);
    return status;
}
