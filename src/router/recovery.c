/* recovery.c - who finishes what a coordinator left: nudges of participants, and a sweeper that
 * walks the two internal tables, recovers what is open, and removes what is old.
 *
 * The sweeper takes a share of the rows each second, so that a walk takes about WALK_S: the work is
 * even, and grows with the rows up to a bound.
 */
#include "base/assert.h"
#include "router/transaction.h"

#define FINDERS_MAX   256u /* nudges at one time; more come again */
#define FINDER_ARENA  ((size_t)4 << 20)
#define FINDER_NS     UINT64_C(5000000000)
#define STEP_NS       UINT64_C(1000000000)
#define WALK_S        60u
#define STEP_ROWS_MIN 64u
#define STEP_ROWS_MAX 4096u
#define SWEEPER_ARENA ((size_t)16 << 20)
#define NS_PER_MS     UINT64_C(1000000)

/* ---- One transaction ---- */

/* Add the items that the record names; those of tables that are gone have no intents any more. */
static enum status add_items(struct transaction *txn, struct bytes record)
{
    uint64_t begun_ns;
    uint32_t count;
    struct reader items;
    struct ledger_item item;
    TRY(ledger_record_read(record, &begun_ns, &count, &items));
    for (uint32_t i = 0; ledger_record_next(&items, &item); i++) {
        const struct table *table = router_table_by_id(txn->router, item.table_id);
        if (table != NULL)
            TRY(transaction_add(txn, table, item.key, i));
    }
    return STATUS_OK;
}

/* Nobody has it: its row says how it ends. */
static enum status complete_alone(struct context *ctx, struct router *router, struct txn_id id,
                                  enum txn_state state)
{
    enum status status = STATUS_OK;
    if (state == TXN_STATE_PREPARING)
        status = ledger_put(ctx, router, id, TXN_LEDGER_CANCEL, false, (struct bytes){0}, &state);
    if (status == STATUS_OK)
        status = ledger_put(ctx, router, id, TXN_LEDGER_COMPLETE, state == TXN_STATE_COMMITTING,
                            (struct bytes){0}, &state);
    return status == STATUS_CONDITION_FAILED ? STATUS_OK : status;
}

/* Begin the recovery of a transaction: of the items in its record, or, without one, of
 * this item. */
static enum status recover(struct context *ctx, struct router *router, struct txn_id id,
                           struct bytes record, enum txn_state state, const struct table *table,
                           struct bytes item)
{
    struct transaction *txn;
    if (transaction_is_running(router, id) || router->transactions.closing)
        return STATUS_OK;
    TRY(transaction_new(router, id, &txn));
    enum status status = STATUS_OK;
    if (record.count > 0)
        status = add_items(txn, record);
    else if (table != NULL)
        status = transaction_add(txn, table, item, 0);
    if (status != STATUS_OK || txn->item_count == 0) {
        transaction_free(txn);
        return status != STATUS_OK ? status : complete_alone(ctx, router, id, state);
    }
    status = transaction_divide(txn);
    if (status != STATUS_OK) {
        transaction_free(txn);
        return status;
    }
    router->transactions.stats.recoveries++;
    return transaction_recover(txn);
}

enum status recovery_of(struct context *ctx, struct router *router, struct txn_id id)
{
    enum txn_state state;
    struct bytes record;
    TRY(ledger_read(ctx, router, id, &state, &record));
    if (state == TXN_STATE_NONE) {
        TRY(ledger_put(ctx, router, id, TXN_LEDGER_CANCEL, false, record, &state));
        state = TXN_STATE_CANCELLING;
    }
    return recover(ctx, router, id, record, state, NULL, (struct bytes){0});
}

/* ---- Nudges ---- */

struct finder {
    struct router *router;
    struct txn_id id;
    uint64_t table_id;
    size_t item_bytes;
    uint8_t item[];
};

static void finder_run(struct context *ctx, void *argument)
{
    struct finder *finder = argument;
    struct router *router = finder->router;
    enum txn_state state;
    struct bytes record;
    struct error error;
    /* The tables are gone when a tester has deleted all; what they said of it nobody knows. */
    if (ledger_open_tables(ctx, router, &error) == STATUS_OK &&
        ledger_read(ctx, router, finder->id, &state, &record) == STATUS_OK) {
        const struct table *table = router_table_by_id(router, finder->table_id);
        recovery_begin(router);
        (void)!recover(ctx, router, finder->id, record, state, table,
                       bytes_of(finder->item, finder->item_bytes));
    }
    heap_free(router->env->heap, finder, sizeof(*finder) + finder->item_bytes);
    router->transactions.finders--;
    wait_queue_wake_all(&router->transactions.ended);
}

bool router_nudge(struct router *router, struct txn_id id, uint64_t table_id, struct bytes item)
{
    struct transactions *transactions = &router->transactions;
    struct fiber_options options = {.arena_bytes_max = FINDER_ARENA,
                                    .deadline_ns = env_now_ns(router->env) + FINDER_NS};
    if (transactions->closing || transaction_is_running(router, id))
        return true;
    if (transactions->finders >= FINDERS_MAX)
        return false;
    struct finder *finder = heap_alloc(router->env->heap, sizeof(*finder) + item.count);
    if (finder == NULL)
        return false;
    *finder =
        (struct finder){.router = router, .id = id, .table_id = table_id, .item_bytes = item.count};
    memcpy(finder->item, item.at, item.count);
    transactions->finders++;
    if (fiber_spawn(router->env, &options, finder_run, finder) == STATUS_OK)
        return true;
    transactions->finders--;
    heap_free(router->env->heap, finder, sizeof(*finder) + item.count);
    return false;
}

/* ---- The sweeper ---- */

/* Where the walk of a table is. */
struct walk {
    struct bytes name;
    uint32_t partition;
    uint16_t low_bytes; /* 0: the beginning of the partition */
    uint8_t low[KEY_BYTES_MAX + 1];
};

/* Rows of one step; copied, since acting on them waits. */
struct rows {
    struct item_sink sink;
    struct arena *arena;
    struct value *at;
    uint32_t count, capacity;
};

static enum status take_row(struct item_sink *sink, struct value item)
{
    struct rows *rows = CONTAINER_OF(sink, struct rows, sink);
    if (rows->count == rows->capacity)
        return STATUS_OK;
    struct bytes copy = arena_copy(rows->arena, bytes_of(item.at, item.bytes));
    if (copy.at == NULL)
        return STATUS_NO_MEMORY;
    rows->at[rows->count++] = (struct value){copy.at, item.bytes};
    return STATUS_OK;
}

static uint64_t age_ns(uint64_t now_ns, uint64_t begun_ns)
{
    return now_ns > begun_ns ? now_ns - begun_ns : 0;
}

static void sweep_ledger_row(struct context *ctx, struct router *router, struct value row)
{
    struct txn_id id;
    enum txn_state state;
    struct bytes record;
    if (ledger_view(row, &id, &state, &record) != STATUS_OK)
        return;
    uint64_t age = age_ns(env_wall_ns(router->env), txn_id_begun_ms(id) * NS_PER_MS);
    bool ended = state == TXN_STATE_COMMITTED || state == TXN_STATE_CANCELLED;
    if (ended && age >= TXN_LEDGER_NS)
        (void)!ledger_remove(ctx, router, id);
    else if (!ended && age >= TXN_STALE_NS)
        (void)!recover(ctx, router, id, record, state, NULL, (struct bytes){0});
}

enum status recovery_remove_mark(struct context *ctx, struct router *router,
                                 const struct token_row *token)
{
    const struct table *table = router_table_by_id(router, token->mark_table);
    enum txn_state state;
    if (token->mark_table == 0 || table == NULL)
        return STATUS_OK;
    struct replica_target target = router_target(table, token->mark_key);
    enum status status = router->service->mark(ctx, router->service, &target, token->mark_key,
                                               token->id, MARK_REMOVE, &state);
    return status == STATUS_MOVED ? STATUS_OK : status;
}

/* The mark first: what is left by a crash in between is found again by the token. */
static void sweep_token_row(struct context *ctx, struct router *router, struct value row)
{
    struct token_row token;
    if (token_view(row, &token) != STATUS_OK ||
        age_ns(wall_now_ns(router->env), token.judged.created_ns) < TXN_TOKEN_NS + TXN_STALE_NS)
        return;
    if (recovery_remove_mark(ctx, router, &token) == STATUS_OK)
        (void)!token_remove(ctx, router, token.token, token.id);
}

static uint32_t rows_of_step(struct router *router, const struct table *table)
{
    uint64_t rows = router_table_size(router, table).items.count / WALK_S;
    return (uint32_t)MIN(MAX(rows, (uint64_t)STEP_ROWS_MIN), (uint64_t)STEP_ROWS_MAX);
}

static enum status read_step(struct context *ctx, struct router *router, struct walk *walk,
                             struct rows *rows)
{
    const struct table *table = catalog_find(&router->catalog, walk->name);
    if (table == NULL || table->status != TABLE_ACTIVE)
        return STATUS_UNAVAILABLE;
    if (walk->partition >= table->partition_count)
        walk->partition = 0;
    struct replica_service *service = router->service;
    const struct partition *partition = &table->partitions[walk->partition];
    struct replica_target target = router_partition_target(table, partition);
    struct replica_range range = {.low = bytes_of(walk->low, walk->low_bytes),
                                  .consistent = true,
                                  .limit = rows->capacity,
                                  .bytes_max = PAGE_BYTES_MAX};
    struct replica_range_result result = {0};
    TRY(service->range(ctx, service, &target, &range, &rows->sink, &result));
    walk->low_bytes = 0;
    if (!result.more) {
        walk->partition++;
        return STATUS_OK;
    }
    memcpy(walk->low, result.last_key.at, result.last_key.count);
    walk->low[result.last_key.count] = 0; /* the smallest key above it */
    walk->low_bytes = (uint16_t)(result.last_key.count + 1);
    return STATUS_OK;
}

static void step(struct context *ctx, struct router *router, struct walk *walk,
                 void (*sweep)(struct context *, struct router *, struct value))
{
    const struct table *table = catalog_find(&router->catalog, walk->name);
    if (table == NULL)
        return;
    struct rows rows = {
        .sink = {.take = take_row}, .arena = &ctx->arena, .capacity = rows_of_step(router, table)};
    rows.at = arena_alloc_array(&ctx->arena, rows.capacity, sizeof(*rows.at));
    if (rows.at == NULL || read_step(ctx, router, walk, &rows) != STATUS_OK)
        return;
    for (uint32_t i = 0; i < rows.count && !router->transactions.closing; i++)
        sweep(ctx, router, rows.at[i]);
}

static void sweeper_run(struct context *ctx, void *argument)
{
    struct router *router = argument;
    struct walk ledger = {.name = LEDGER_TABLE}, tokens = {.name = TOKENS_TABLE};
    router->transactions.sweeper = ctx;
    while (!router->transactions.closing) {
        if (ledger_has_tables(router)) {
            step(ctx, router, &ledger, sweep_ledger_row);
            step(ctx, router, &tokens, sweep_token_row);
        }
        arena_reset(&ctx->arena);
        if (router->transactions.closing || context_sleep(ctx, STEP_NS) != STATUS_OK)
            break;
    }
    router->transactions.sweeper = NULL;
    router->transactions.sweeping = false;
    wait_queue_wake_all(&router->transactions.ended);
}

void recovery_begin(struct router *router)
{
    struct fiber_options options = {.arena_bytes_max = SWEEPER_ARENA, .deadline_ns = UINT64_MAX};
    struct transactions *transactions = &router->transactions;
    if (transactions->sweeping || transactions->closing ||
        catalog_find(&router->catalog, LEDGER_TABLE) == NULL)
        return;
    transactions->sweeping = true;
    if (fiber_spawn(router->env, &options, sweeper_run, router) != STATUS_OK)
        transactions->sweeping = false; /* the next transaction tries it again */
}

void recovery_end(struct context *ctx, struct router *router)
{
    struct transactions *transactions = &router->transactions;
    transactions->closing = true;
    if (transactions->sweeper != NULL)
        context_cancel(transactions->sweeper);
    LIST_FOR_EACH (link, &transactions->all)
        wait_queue_wake_all(&LIST_ITEM(link, struct transaction, link)->inbox_filled);
    while (transactions->count > 0 || transactions->finders > 0 || transactions->sweeping)
        wait_queue_wait_out(ctx, &transactions->ended);
}

struct transaction_stats router_transaction_stats(const struct router *router)
{
    struct transaction_stats stats = router->transactions.stats;
    stats.running = router->transactions.count;
    return stats;
}
