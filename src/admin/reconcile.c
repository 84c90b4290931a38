#include "admin/reconcile.h"

#include "base/hash_map.h"
#include "metadata/catalog.h"

#define DISPATCHER_ARENA_BYTES (UINT64_C(16) << 20)
#define CHANGE_ARENA_BYTES     (UINT64_C(16) << 20)
/* After the first failure; twice that after the next, and so on: 8 s at most. */
#define RETRY_NS        UINT64_C(250000000)
#define RETRY_DOUBLINGS 5u

/* One table on its way to what the catalog asks for. */
struct change {
    struct list link; /* waiting: by due_ns; or running */
    struct reconciler *reconciler;
    struct context *ctx; /* while it runs */
    uint64_t table_id;   /* its key in `changes` */
    uint64_t due_ns;
    uint32_t failures;  /* one after the other */
    bool again;         /* it was asked for once more while it ran */
    enum status status; /* of the last try */
    uint32_t name_bytes;
    uint8_t name[];
};

struct reconciler {
    struct env *env;
    struct context *ctx; /* of the dispatcher, while that runs */
    struct router *router;
    uint64_t status_delay_ns;
    struct hash_map changes;
    struct list waiting; /* the next one first */
    struct list running;
    uint32_t running_count;
    uint64_t look_ns; /* when to look at the catalog; UINT64_MAX = when poked */
    uint32_t refresh_failures;
    struct wait_queue poked; /* also when a change ends */
    struct wait_queue ended;
    bool looked; /* since the start */
    bool closing, dispatching;
};

static struct bytes change_name(const struct change *change)
{
    return bytes_of(change->name, change->name_bytes);
}

static void change_free(struct change *change)
{
    struct reconciler *r = change->reconciler;
    hash_map_remove(&r->changes, bytes_of(&change->table_id, sizeof(change->table_id)));
    list_remove(&change->link);
    heap_free(r->env->heap, change, sizeof(*change) + change->name_bytes);
}

/* Into its place among those that wait; behind those that are due at the same time. */
static void change_wait(struct change *change, uint64_t due_ns)
{
    struct list *after = change->reconciler->waiting.prev;
    while (after != &change->reconciler->waiting &&
           LIST_ITEM(after, struct change, link)->due_ns > due_ns)
        after = after->prev;
    change->due_ns = due_ns;
    list_push_front(after, &change->link);
}

static uint64_t backoff_ns(uint32_t failures)
{
    return RETRY_NS << MIN(failures, RETRY_DOUBLINGS);
}

/* ---- One change ---- */

/* A table that is DELETING. */
static enum status delete_table(struct context *ctx, struct change *change,
                                const struct table *table)
{
    struct router *router = change->reconciler->router;
    if (router_departs(router, table))
        return router_depart(ctx, router, table);
    TRY(router_remove_partitions(ctx, router, table));
    TRY(router_forget_table(ctx, router, table->name));
    change->again |= table_is_departed(table); /* others wait for the room */
    return STATUS_OK;
}

/* Carry one table's change to its end, if it is still to be made. */
static enum status settle(struct context *ctx, struct change *change)
{
    struct router *router = change->reconciler->router;
    struct bytes name = change_name(change);
    const struct table *table;
    struct error error;
    if (router_describe_table(ctx, router, name, &table, &error) != STATUS_OK ||
        table->id != change->table_id ||
        (table_is_settled(table) && table->status != TABLE_DEPARTED))
        return STATUS_OK;
    table_hold(table);
    enum status status;
    if (table->status == TABLE_DELETING) {
        status = delete_table(ctx, change, table);
    } else if (table->status == TABLE_DEPARTED) {
        status = router_retire_partitions(ctx, router, table);
    } else {
        status = router_create_partitions(ctx, router, table);
        if (status == STATUS_OK)
            status = router_remove_indexes(ctx, router, table);
        if (status == STATUS_OK)
            status = router_settle_table(ctx, router, table);
    }
    if (status != STATUS_OK && status != STATUS_CANCELLED && status != change->status)
        log_line(ctx->env->log, LOG_ERROR, "admin", "table %.*s stays %s and is tried again: %s",
                 BYTES_ARGS(table->name), table_status_name(table->status), status_text(status));
    table_drop(table);
    return status;
}

static void change_run(struct context *ctx, void *argument)
{
    struct change *change = argument;
    struct reconciler *r = change->reconciler;
    change->ctx = ctx;
    change->again = false;
    enum status status = settle(ctx, change);
    change->ctx = NULL;
    list_remove(&change->link);
    r->running_count--;
    if (status == STATUS_OK || r->closing) {
        if (change->again)
            r->look_ns = 0; /* an index may be ready by now, or a departed table be gone */
        change_free(change);
    } else {
        change->status = status;
        change_wait(change, env_now_ns(r->env) + backoff_ns(change->failures));
        change->failures++;
        r->look_ns = MIN(r->look_ns, change->due_ns); /* the catalog may be in doubt */
    }
    wait_queue_wake_all(&r->poked);
    wait_queue_wake_all(&r->ended);
}

/* ---- All of them ---- */

static enum status add(struct reconciler *r, const struct table *table)
{
    struct bytes key = bytes_of(&table->id, sizeof(table->id));
    struct change *found = hash_map_find(&r->changes, key);
    if (found != NULL) {
        found->again = true;
        return STATUS_OK;
    }
    size_t bytes = sizeof(struct change) + table->name.count;
    struct change *change = heap_alloc_zero(r->env->heap, bytes);
    if (change == NULL)
        return STATUS_NO_MEMORY;
    change->reconciler = r;
    change->table_id = table->id;
    change->name_bytes = (uint32_t)table->name.count;
    memcpy(change->name, table->name.at, table->name.count);
    list_init(&change->link);
    key = bytes_of(&change->table_id, sizeof(change->table_id));
    enum status status = hash_map_insert(&r->changes, key, change);
    if (status != STATUS_OK) {
        heap_free(r->env->heap, change, bytes);
        return status;
    }
    change_wait(change, env_now_ns(r->env) + r->status_delay_ns);
    return STATUS_OK;
}

/* What a start has to do about departed tables: a crash may have brought their items back. */
static enum status add_departed(struct reconciler *r)
{
    const struct table *table = NULL;
    struct bytes name = {0};
    while ((table = router_next_departed(r->router, name)) != NULL) {
        name = table->name;
        TRY(add(r, table));
    }
    r->looked = true;
    return STATUS_OK;
}

static enum status end_departed(struct context *ctx, struct reconciler *r)
{
    uint64_t look_ns;
    enum status status = router_end_departed(ctx, r->router, &look_ns);
    r->look_ns = MIN(r->look_ns, look_ns);
    return status;
}

/* Find what the catalog asks for.  What cannot be done now is looked for again later. */
static void look(struct context *ctx, struct reconciler *r)
{
    r->look_ns = UINT64_MAX;
    enum status status = router_refresh(ctx, r->router);
    const struct table *table = NULL;
    struct bytes name = {0};
    if (status == STATUS_OK)
        status = end_departed(ctx, r);
    if (status == STATUS_OK && !r->looked)
        status = add_departed(r);
    while ((table = router_next_unsettled(r->router, name)) != NULL) {
        name = table->name; /* nothing waits in here */
        enum status added = add(r, table);
        status = added == STATUS_OK ? status : added;
    }
    if (status == STATUS_OK) {
        r->refresh_failures = 0;
        return;
    }
    r->look_ns = MIN(r->look_ns, env_now_ns(r->env) + backoff_ns(r->refresh_failures));
    r->refresh_failures++;
}

/* Start what is due, as long as the bound lets it. */
static void start_due(struct reconciler *r)
{
    struct fiber_options options = {.arena_bytes_max = CHANGE_ARENA_BYTES,
                                    .deadline_ns = UINT64_MAX};
    uint64_t now_ns = env_now_ns(r->env);
    while (r->running_count < RECONCILE_AT_ONCE && !list_empty(&r->waiting) && !r->closing) {
        struct change *change = LIST_ITEM(r->waiting.next, struct change, link);
        if (change->due_ns > now_ns)
            return;
        list_remove(&change->link);
        list_push_back(&r->running, &change->link);
        r->running_count++;
        if (fiber_spawn(r->env, &options, change_run, change) == STATUS_OK)
            continue; /* it may have ended already */
        /* There is no fiber for it now. */
        list_remove(&change->link);
        r->running_count--;
        change_wait(change, now_ns + RETRY_NS);
    }
}

static uint64_t next_ns(const struct reconciler *r)
{
    if (r->running_count >= RECONCILE_AT_ONCE || list_empty(&r->waiting))
        return r->look_ns;
    return MIN(r->look_ns, LIST_ITEM(r->waiting.next, struct change, link)->due_ns);
}

static void dispatch(struct context *ctx, void *argument)
{
    struct reconciler *r = argument;
    r->ctx = ctx;
    while (!r->closing) {
        if (r->look_ns <= env_now_ns(ctx->env))
            look(ctx, r);
        arena_reset(&ctx->arena);
        start_due(r);
        ctx->deadline_ns = next_ns(r);
        enum status status = STATUS_OK;
        if (ctx->deadline_ns > env_now_ns(ctx->env))
            status = wait_queue_wait(ctx, &r->poked);
        ctx->deadline_ns = UINT64_MAX;
        if (status == STATUS_CANCELLED)
            break;
    }
    r->dispatching = false;
    wait_queue_wake_all(&r->ended);
}

enum status reconciler_open(struct env *env, struct router *router, uint64_t status_delay_ns,
                            struct reconciler **opened)
{
    struct reconciler *r = heap_alloc_zero(env->heap, sizeof(*r));
    if (r == NULL)
        return STATUS_NO_MEMORY;
    *r = (struct reconciler){
        .env = env, .router = router, .status_delay_ns = status_delay_ns, .dispatching = true};
    hash_map_init(&r->changes, env->heap, CATALOG_TABLES_MAX, env_random_u64(env));
    list_init(&r->waiting);
    list_init(&r->running);
    wait_queue_init(&r->poked);
    wait_queue_init(&r->ended);
    struct fiber_options options = {.arena_bytes_max = DISPATCHER_ARENA_BYTES,
                                    .deadline_ns = UINT64_MAX};
    enum status status = fiber_spawn(env, &options, dispatch, r);
    if (status != STATUS_OK) {
        heap_free(env->heap, r, sizeof(*r));
        return status;
    }
    *opened = r;
    return STATUS_OK;
}

void reconciler_poke(struct reconciler *reconciler)
{
    if (reconciler == NULL)
        return;
    reconciler->look_ns = 0;
    wait_queue_wake_all(&reconciler->poked);
}

void reconciler_close(struct context *ctx, struct reconciler *reconciler)
{
    reconciler->closing = true;
    if (reconciler->dispatching)
        context_cancel(reconciler->ctx);
    LIST_FOR_EACH (node, &reconciler->running)
        context_cancel(LIST_ITEM(node, struct change, link)->ctx);
    while (reconciler->dispatching || reconciler->running_count > 0)
        wait_queue_wait_out(ctx, &reconciler->ended);
    while (!list_empty(&reconciler->waiting))
        change_free(LIST_ITEM(reconciler->waiting.next, struct change, link));
    hash_map_release(&reconciler->changes);
    heap_free(reconciler->env->heap, reconciler, sizeof(*reconciler));
}
