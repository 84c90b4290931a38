#include "admin/expiry.h"

#define ARENA_BYTES (UINT64_C(16) << 20)
#define RETRY_NS    UINT64_C(1000000000)
#define SECOND_NS   UINT64_C(1000000000)

/* One of the two flows. */
struct flow {
    struct expiry *expiry;
    struct context *ctx; /* while it runs */
    bool runs;
};

struct expiry {
    struct env *env;
    struct router *router;
    uint64_t interval_ns;
    struct flow sweeper, changer;
    bool poked; /* the changer is to look */
    bool closing;
    uint32_t asked; /* sweeps that somebody waits for */
    struct wait_queue wake;
    struct wait_queue ended;
};

/* ---- Through one table ---- */

/* What is done to a table, and how fast. */
struct pass {
    struct expiry *expiry;
    enum expire_step step;
    uint64_t now_s;
    bool at_once; /* without pauses */
    uint64_t deleted;
};

/* One partition, step after step.  The table is held. */
static enum status pass_partition(struct context *ctx, struct pass *pass, const struct table *table,
                                  uint32_t partition)
{
    uint8_t from[KEY_BYTES_MAX];
    struct replica_expire expire = {
        .step = pass->step,
        .after_s = pass->now_s > EXPIRY_PAST_S ? pass->now_s - EXPIRY_PAST_S : 0,
        .now_s = pass->now_s,
        .limit = pass->step == EXPIRE_FILL ? EXPIRY_FILL_ROWS : EXPIRY_STEP_ROWS,
    };
    for (;;) {
        struct replica_expire_result result;
        TRY(router_expire(ctx, pass->expiry->router, table, partition, &expire, &result));
        pass->deleted += result.deleted;
        if (!result.more || result.last_key.count > sizeof(from))
            return STATUS_OK;
        memcpy(from, result.last_key.at, result.last_key.count);
        expire.from = bytes_of(from, result.last_key.count);
        arena_reset(&ctx->arena);
        if (!pass->at_once)
            TRY(context_sleep(ctx, EXPIRY_PAUSE_NS));
        TRY(pass->expiry->closing ? STATUS_CANCELLED : context_check(ctx));
    }
}

static enum status pass_table(struct context *ctx, struct pass *pass, const struct table *table)
{
    enum status status = STATUS_OK;
    table_hold(table);
    for (uint32_t i = 0; status == STATUS_OK && i < table->partition_count; i++)
        status = pass_partition(ctx, pass, table, i);
    if (status == STATUS_MOVED)
        status = STATUS_OK; /* it is being deleted */
    if (status == STATUS_OK && pass->step != EXPIRE_DELETE)
        status = router_settle_ttl(ctx, pass->expiry->router, table);
    table_drop(table);
    return status;
}

static enum expire_step step_of(const struct table *table)
{
    switch (table->ttl) {
    case TTL_ENABLING:
        return EXPIRE_FILL;
    case TTL_DISABLING:
        return EXPIRE_PURGE;
    default:
        return EXPIRE_DELETE;
    }
}

/* All tables that are to be swept, or all that are to be changed.  Returns the first failure; the
 * others have their turn all the same. */
static enum status pass_tables(struct context *ctx, struct pass *pass, bool sweeps)
{
    char name[TABLE_NAME_BYTES_MAX];
    struct bytes after = {0};
    enum status failure = STATUS_OK;
    const struct table *table;
    while ((table = router_next_ttl(pass->expiry->router, after)) != NULL) {
        memcpy(name, table->name.at, table->name.count);
        after = bytes_of(name, table->name.count);
        pass->step = step_of(table);
        if (sweeps != (pass->step == EXPIRE_DELETE))
            continue;
        enum status status = pass_table(ctx, pass, table);
        failure = failure == STATUS_OK ? status : failure;
        if (status == STATUS_CANCELLED || status == STATUS_DEADLINE)
            return status;
    }
    return failure;
}

static uint64_t now_s(const struct expiry *expiry)
{
    return wall_now_ns(expiry->env) / SECOND_NS;
}

/* A sweep that somebody waits for, on a fiber of its own, whose arena is emptied as it goes. */
struct asked {
    struct pass pass;
    struct context *ctx; /* while it runs */
    enum status status;
    bool ended;
    struct wait_queue end;
};

static void sweep_asked(struct context *ctx, void *argument)
{
    struct asked *asked = argument;
    asked->ctx = ctx;
    asked->status = pass_tables(ctx, &asked->pass, true);
    asked->ctx = NULL;
    asked->ended = true;
    wait_queue_wake_all(&asked->end);
}

enum status expiry_sweep_now(struct context *ctx, struct expiry *expiry, uint64_t *deleted)
{
    struct asked asked = {.pass = {.expiry = expiry, .now_s = now_s(expiry), .at_once = true}};
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES,
                                    .deadline_ns = ctx->deadline_ns};
    wait_queue_init(&asked.end);
    expiry->asked++;
    enum status spawned = fiber_spawn(expiry->env, &options, sweep_asked, &asked);
    while (spawned == STATUS_OK && !asked.ended) {
        if (wait_queue_wait(ctx, &asked.end) == STATUS_OK)
            continue;
        if (asked.ctx != NULL)
            context_cancel(asked.ctx); /* nobody waits for it any more */
        while (!asked.ended)
            wait_queue_wait_out(ctx, &asked.end);
    }
    expiry->asked--;
    wait_queue_wake_all(&expiry->ended);
    *deleted = asked.pass.deleted;
    return spawned == STATUS_OK ? asked.status : spawned;
}

/* ---- The flows ---- */

/* Wait until `due_ns`, or until the changer is poked; false: the flow is to end. */
static bool wait_until(struct context *ctx, struct flow *flow, uint64_t due_ns)
{
    struct expiry *expiry = flow->expiry;
    enum status status = STATUS_OK;
    arena_reset(&ctx->arena);
    while (!expiry->closing && env_now_ns(expiry->env) < due_ns &&
           !(flow == &expiry->changer && expiry->poked)) {
        ctx->deadline_ns = due_ns;
        status = wait_queue_wait(ctx, &expiry->wake);
        ctx->deadline_ns = UINT64_MAX;
        if (status == STATUS_CANCELLED)
            return false;
    }
    return !expiry->closing;
}

static void say(struct expiry *expiry, const char *what, enum status status)
{
    if (status != STATUS_OK && status != STATUS_CANCELLED)
        log_line(expiry->env->log, LOG_WARNING, "admin", "%s is tried again: %s", what,
                 status_text(status));
}

static void end(struct flow *flow)
{
    flow->ctx = NULL;
    flow->runs = false;
    wait_queue_wake_all(&flow->expiry->ended);
}

static void sweep(struct context *ctx, void *argument)
{
    struct flow *flow = argument;
    struct expiry *expiry = flow->expiry;
    uint64_t due_ns = env_now_ns(expiry->env) + expiry->interval_ns;
    flow->ctx = ctx;
    while (wait_until(ctx, flow, due_ns)) {
        due_ns = env_now_ns(expiry->env) + expiry->interval_ns;
        struct pass pass = {.expiry = expiry, .now_s = now_s(expiry)};
        say(expiry, "the deletion of expired items", pass_tables(ctx, &pass, true));
    }
    end(flow);
}

static void change(struct context *ctx, void *argument)
{
    struct flow *flow = argument;
    struct expiry *expiry = flow->expiry;
    uint64_t due_ns = UINT64_MAX;
    flow->ctx = ctx;
    while (wait_until(ctx, flow, due_ns)) {
        struct pass pass = {.expiry = expiry};
        expiry->poked = false;
        enum status status = pass_tables(ctx, &pass, false);
        say(expiry, "the change of a table's time to live", status);
        due_ns = status == STATUS_OK ? UINT64_MAX : env_now_ns(expiry->env) + RETRY_NS;
    }
    end(flow);
}

static enum status start(struct expiry *expiry, struct flow *flow,
                         void (*run)(struct context *ctx, void *argument))
{
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    *flow = (struct flow){.expiry = expiry, .runs = true};
    enum status status = fiber_spawn(expiry->env, &options, run, flow);
    if (status != STATUS_OK)
        flow->runs = false;
    return status;
}

static void stop(struct context *ctx, struct expiry *expiry)
{
    expiry->closing = true;
    if (expiry->sweeper.ctx != NULL)
        context_cancel(expiry->sweeper.ctx);
    if (expiry->changer.ctx != NULL)
        context_cancel(expiry->changer.ctx);
    while (expiry->sweeper.runs || expiry->changer.runs || expiry->asked > 0)
        wait_queue_wait_out(ctx, &expiry->ended);
}

enum status expiry_open(struct env *env, struct router *router, uint64_t interval_ns,
                        struct expiry **opened)
{
    struct expiry *expiry = heap_alloc_zero(env->heap, sizeof(*expiry));
    if (expiry == NULL)
        return STATUS_NO_MEMORY;
    *expiry = (struct expiry){.env = env,
                              .router = router,
                              .interval_ns = interval_ns > 0 ? interval_ns : EXPIRY_INTERVAL_NS,
                              .poked = true};
    wait_queue_init(&expiry->wake);
    wait_queue_init(&expiry->ended);
    *opened = expiry; /* to be closed also when only one of the flows runs */
    TRY(start(expiry, &expiry->sweeper, sweep));
    return start(expiry, &expiry->changer, change);
}

void expiry_poke(struct expiry *expiry)
{
    if (expiry == NULL)
        return;
    expiry->poked = true;
    wait_queue_wake_all(&expiry->wake);
}

void expiry_close(struct context *ctx, struct expiry *expiry)
{
    stop(ctx, expiry);
    heap_free(expiry->env->heap, expiry, sizeof(*expiry));
}
