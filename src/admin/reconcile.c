#include "admin/reconcile.h"

#define ARENA_BYTES_MAX (UINT64_C(16) << 20)
#define RETRY_NS        UINT64_C(1000000000)

struct reconciler {
    struct env *env;
    struct context *ctx; /* of its fiber, while that runs */
    struct router *router;
    uint64_t status_delay_ns;
    struct wait_queue poked;
    struct wait_queue ended;
    bool due, closing, running;
};

/* Carry one table's change to its end. */
static enum status settle(struct context *ctx, struct reconciler *r, struct bytes name)
{
    const struct table *found;
    struct error error;
    if (r->status_delay_ns > 0)
        TRY(context_sleep(ctx, r->status_delay_ns));
    if (router_describe_table(ctx, r->router, name, &found, &error) != STATUS_OK)
        return STATUS_OK;
    struct table *table = (struct table *)(uintptr_t)found;
    table_hold(table);
    enum status status;
    if (table->status == TABLE_DELETING) {
        status = router_remove_partitions(ctx, r->router, table);
        if (status == STATUS_OK)
            status = router_forget_table(ctx, r->router, name);
    } else {
        status = router_create_partitions(ctx, r->router, table);
        if (status == STATUS_OK)
            status = router_settle_table(ctx, r->router, name);
    }
    if (status != STATUS_OK && status != STATUS_CANCELLED)
        log_line(ctx->env->log, LOG_ERROR, "admin", "table %.*s stays %s and is tried again: %s",
                 BYTES_ARGS(table->name), table_status_name(table->status), status_text(status));
    table_drop(table);
    return status;
}

/* One round over the tables that are not ACTIVE.  false: something is to be tried again. */
static bool reconcile(struct context *ctx, struct reconciler *r)
{
    bool all = router_refresh(ctx, r->router) == STATUS_OK;
    struct bytes name = {0};
    const struct table *table;
    while (!r->closing && (table = router_next_unsettled(r->router, name)) != NULL) {
        name = arena_copy(&ctx->arena, table->name);
        if (name.at == NULL || settle(ctx, r, name) != STATUS_OK)
            all = false;
        if (name.at == NULL)
            break;
    }
    arena_reset(&ctx->arena);
    return all;
}

static void run(struct context *ctx, void *argument)
{
    struct reconciler *r = argument;
    r->ctx = ctx;
    while (!r->closing) {
        if (!r->due) {
            if (wait_queue_wait(ctx, &r->poked) != STATUS_OK)
                break;
            continue;
        }
        r->due = false;
        if (!reconcile(ctx, r)) {
            r->due = true;
            if (context_sleep(ctx, RETRY_NS) != STATUS_OK)
                break;
        }
    }
    r->running = false;
    wait_queue_wake_all(&r->ended);
}

enum status reconciler_open(struct env *env, struct router *router, uint64_t status_delay_ns,
                            struct reconciler **opened)
{
    struct reconciler *r = heap_alloc_zero(env->heap, sizeof(*r));
    if (r == NULL)
        return STATUS_NO_MEMORY;
    *r = (struct reconciler){.env = env,
                             .router = router,
                             .status_delay_ns = status_delay_ns,
                             .due = true,
                             .running = true};
    wait_queue_init(&r->poked);
    wait_queue_init(&r->ended);
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES_MAX, .deadline_ns = UINT64_MAX};
    enum status status = fiber_spawn(env, &options, run, r);
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
    reconciler->due = true;
    wait_queue_wake_all(&reconciler->poked);
}

void reconciler_close(struct context *ctx, struct reconciler *reconciler)
{
    reconciler->closing = true;
    if (reconciler->running)
        context_cancel(reconciler->ctx);
    while (reconciler->running) {
        if (wait_queue_wait(ctx, &reconciler->ended) != STATUS_OK)
            context_yield(ctx);
    }
    heap_free(reconciler->env->heap, reconciler, sizeof(*reconciler));
}
