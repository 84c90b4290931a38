/* fiber.c - the pool of fibers of one env.
 *
 * A fiber's struct, its context included, lies at the top of its stack, so that what runs and
 * returns without much depth touches few pages.  Free fibers are a stack: the last to end is the
 * first to run again, while the caches still hold it; its arena keeps one chunk.
 *
 * Deadlines are one list in the order of time under one timer.  Nearly all waits have deadlines of
 * the same length, so a new one goes to the end; and nearly all are over before their deadline, so
 * that the timer is not touched by them: it fires now and then, and looks at the head of the list.
 *
 * Invariants
 *   (1) live <= fibers_max; a fiber is on the list of free ones if and only if its state is IDLE.
 *   (2) `waiting` is in the order of deadlines, and the timer runs no later than its head's.
 *   (3) `woken` is not empty only while the task waits or runs.
 */
#include "env/fiber.h"

#include "base/assert.h"
#include "env/stack.h"
#include "env/switch.h"

#ifdef WITH_ASAN
#define STACK_FACTOR 3u
#else
#define STACK_FACTOR 1u
#endif

/* A larger first chunk is given back when the fiber ends. */
#define ARENA_KEEP_BYTES ARENA_FREE_BYTES

enum fiber_state {
    FIBER_IDLE,    /* in the list of free ones */
    FIBER_RUNNING, /* runs, or spawned who runs */
    FIBER_WAITING, /* in a wait queue */
    FIBER_ASLEEP,  /* its own timer runs */
    FIBER_BLOCKED, /* waits for what cannot be interrupted */
    FIBER_WOKEN,   /* in `woken` */
};

struct fiber {
    struct context ctx;
    struct stack_switch self;
    struct stack_switch *resumed_by; /* where to go when it waits or ends */
    struct fiber_pool *pool;
    void (*function)(struct context *ctx, void *argument);
    void *argument;
    struct list link;          /* in a wait queue, in `woken` or in `idle` */
    struct list deadline_link; /* in `waiting`; empty when the wait has no deadline */
    enum fiber_state state;
    enum status woken_with;
    uint32_t no_wait_depth;
    struct env_timer sleep_timer;
    struct list pool_link;
    struct stack stack;
};

struct fiber_pool {
    struct env *env;
    uint32_t fibers_max;
    size_t stack_bytes;
    struct fiber *running; /* NULL outside fibers */
    struct list idle;      /* the last to end is first */
    struct list all;
    struct list woken; /* in the order in which they were woken */
    struct env_task run_woken;
    struct list waiting; /* those with a deadline, by deadline */
    struct env_timer deadline_timer;
    uint64_t timer_due_ns; /* UINT64_MAX: the timer does not run */
    struct fiber_pool_stats stats;
};

/* ---- Switching ---- */

/* Run `fiber` until it waits or ends. */
static void fiber_resume(struct fiber *fiber)
{
    struct fiber_pool *pool = fiber->pool;
    struct stack_switch here;
    switch_init_own(&here);
    struct fiber *outer = pool->running;
    pool->running = fiber;
    fiber->resumed_by = &here;
    fiber->state = FIBER_RUNNING;
    switch_to(&here, &fiber->self);
    pool->running = outer;
}

/* Leave the running fiber until something resumes it. */
static void fiber_suspend(struct fiber *fiber, enum fiber_state state)
{
    ASSERT(fiber->pool->running == fiber);
    ASSERT(fiber->no_wait_depth == 0);
    fiber->state = state;
    switch_to(&fiber->self, fiber->resumed_by);
}

static void fiber_wake(struct fiber *fiber, enum status status)
{
    struct fiber_pool *pool = fiber->pool;
    list_remove(&fiber->deadline_link);
    fiber->state = FIBER_WOKEN;
    fiber->woken_with = status;
    if (list_empty(&pool->woken))
        env_defer(pool->env, &pool->run_woken);
    list_push_back(&pool->woken, &fiber->link); /* (3) */
}

/* Those who are woken meanwhile wait for the next turn, so that a turn is bounded. */
static void run_woken(struct env_task *task)
{
    struct fiber_pool *pool = CONTAINER_OF(task, struct fiber_pool, run_woken);
    struct list batch;
    list_init(&batch);
    list_append_all(&batch, &pool->woken);
    for (struct list *node; (node = list_pop_front(&batch)) != NULL;)
        fiber_resume(LIST_ITEM(node, struct fiber, link));
}

/* ---- The life of a fiber ---- */

static void fiber_main(void *argument)
{
    struct fiber *fiber = argument;
    struct fiber_pool *pool = fiber->pool;
    fiber->function(&fiber->ctx, fiber->argument);
    ASSERT(fiber->no_wait_depth == 0);

    arena_reset(&fiber->ctx.arena);
    if (UNLIKELY(fiber->ctx.arena.bytes_used > ARENA_KEEP_BYTES))
        arena_release(&fiber->ctx.arena);
    fiber->ctx.arena.budget = NULL; /* which may be gone before the fiber runs again */
    fiber->state = FIBER_IDLE;
    list_push_front(&pool->idle, &fiber->link);
    pool->stats.live--;
    switch_leave(&fiber->self, fiber->resumed_by);
}

static struct fiber *fiber_make(struct fiber_pool *pool)
{
    struct stack stack;
    if (stack_map(&stack, pool->stack_bytes) != STATUS_OK)
        return NULL;
    size_t place = (stack.bytes - sizeof(struct fiber)) & ~(size_t)63;
    struct fiber *fiber = (struct fiber *)(void *)(stack.low + place);
    *fiber = (struct fiber){.pool = pool, .stack = stack};
    list_init(&fiber->deadline_link);
    arena_init(&fiber->ctx.arena, pool->env->heap, 0);
    list_push_back(&pool->all, &fiber->pool_link);
    pool->stats.stacks++;
    return fiber;
}

static struct fiber *fiber_take(struct fiber_pool *pool)
{
    if (UNLIKELY(pool->stats.live >= pool->fibers_max))
        return NULL;
    struct list *node = list_pop_front(&pool->idle);
    if (UNLIKELY(node == NULL))
        return fiber_make(pool);
    struct fiber *fiber = LIST_ITEM(node, struct fiber, link);
    ASSERT(fiber->state == FIBER_IDLE); /* (1) */
    return fiber;
}

enum status fiber_spawn(struct env *env, const struct fiber_options *options,
                        void (*function)(struct context *ctx, void *argument), void *argument)
{
    struct fiber_pool *pool = env->fibers;
    struct fiber *fiber = fiber_take(pool);
    if (UNLIKELY(fiber == NULL)) {
        pool->stats.refused++;
        return pool->stats.live >= pool->fibers_max ? STATUS_BUSY : STATUS_NO_MEMORY;
    }
    pool->stats.spawned++;
    if (++pool->stats.live > pool->stats.live_max_seen)
        pool->stats.live_max_seen = pool->stats.live;

    struct context *ctx = &fiber->ctx;
    if (UNLIKELY(ctx->arena.bytes_used > options->arena_bytes_max))
        arena_release(&ctx->arena);
    ctx->arena.bytes_max = options->arena_bytes_max;
    ctx->arena.budget = options->budget;
    ctx->env = env;
    ctx->fiber = fiber;
    ctx->deadline_ns = options->deadline_ns;
    ctx->cancelled = false;
    ctx->principal = (struct bytes){0};
    ctx->trace_id[0] = ctx->trace_id[1] = 0;
    fiber->function = function;
    fiber->argument = argument;
    switch_prepare(&fiber->self, fiber->stack.low, (size_t)((uint8_t *)fiber - fiber->stack.low),
                   fiber_main, fiber);
    fiber_resume(fiber);
    return STATUS_OK;
}

/* ---- The pool ---- */

static void deadlines_passed(struct env_timer *timer);

enum status fiber_pool_open(struct env *env, uint32_t fibers_max, size_t stack_bytes)
{
    ASSERT(env->fibers == NULL && fibers_max > 0);
    struct fiber_pool *pool = heap_alloc_zero(env->heap, sizeof(*pool));
    if (pool == NULL)
        return STATUS_NO_MEMORY;
    pool->env = env;
    pool->fibers_max = fibers_max;
    pool->stack_bytes = stack_bytes * STACK_FACTOR + sizeof(struct fiber);
    pool->timer_due_ns = UINT64_MAX;
    pool->deadline_timer.fire = deadlines_passed;
    pool->run_woken.run = run_woken;
    list_init(&pool->run_woken.link);
    list_init(&pool->idle);
    list_init(&pool->all);
    list_init(&pool->woken);
    list_init(&pool->waiting);
    env->fibers = pool;
    return STATUS_OK;
}

void fiber_pool_close(struct env *env)
{
    struct fiber_pool *pool = env->fibers;
    if (pool == NULL)
        return;
    ASSERT(pool->running == NULL);
    ASSERT(pool->stats.live == 0 || env->simulated);
    list_remove(&pool->run_woken.link);
    env_timer_stop(env, &pool->deadline_timer);
    for (struct list *node; (node = list_pop_front(&pool->all)) != NULL;) {
        struct fiber *fiber = LIST_ITEM(node, struct fiber, pool_link);
        if (fiber->state == FIBER_IDLE)
            arena_release(&fiber->ctx.arena);
        if (fiber->state == FIBER_ASLEEP)
            env_timer_stop(env, &fiber->sleep_timer);
        struct stack stack = fiber->stack; /* the fiber lies in it */
        stack_unmap(&stack);
    }
    heap_free(env->heap, pool, sizeof(*pool));
    env->fibers = NULL;
}

struct fiber_pool_stats fiber_pool_stats(const struct env *env)
{
    return env->fibers->stats;
}

/* ---- Deadlines ---- */

static void timer_move(struct fiber_pool *pool, uint64_t due_ns)
{
    uint64_t now_ns = env_now_ns(pool->env);
    pool->timer_due_ns = due_ns;
    env_timer_start(pool->env, &pool->deadline_timer, due_ns > now_ns ? due_ns - now_ns : 0);
}

static void deadline_arm(struct fiber *fiber)
{
    uint64_t deadline_ns = fiber->ctx.deadline_ns;
    if (deadline_ns == UINT64_MAX)
        return;
    struct fiber_pool *pool = fiber->pool;
    struct list *after = pool->waiting.prev;
    while (after != &pool->waiting &&
           LIST_ITEM(after, struct fiber, deadline_link)->ctx.deadline_ns > deadline_ns)
        after = after->prev;
    list_push_front(after, &fiber->deadline_link);
    if (UNLIKELY(deadline_ns < pool->timer_due_ns))
        timer_move(pool, deadline_ns); /* (2) */
}

static void deadlines_passed(struct env_timer *timer)
{
    struct fiber_pool *pool = CONTAINER_OF(timer, struct fiber_pool, deadline_timer);
    uint64_t now_ns = env_now_ns(pool->env);
    pool->timer_due_ns = UINT64_MAX;
    while (!list_empty(&pool->waiting)) {
        struct fiber *fiber = LIST_ITEM(pool->waiting.next, struct fiber, deadline_link);
        if (fiber->ctx.deadline_ns > now_ns) {
            timer_move(pool, fiber->ctx.deadline_ns);
            break;
        }
        list_remove(&fiber->link);
        fiber_wake(fiber, STATUS_DEADLINE);
    }
}

/* ---- Waiting ---- */

void wait_queue_init(struct wait_queue *queue)
{
    list_init(&queue->waiters);
}

enum status wait_queue_wait(struct context *ctx, struct wait_queue *queue)
{
    struct fiber *fiber = ctx->fiber;
    ASSERT(fiber->no_wait_depth == 0);
    if (ctx->cancelled)
        return STATUS_CANCELLED;
    deadline_arm(fiber);
    list_push_back(&queue->waiters, &fiber->link);
    fiber_suspend(fiber, FIBER_WAITING);
    return fiber->woken_with;
}

void wait_queue_wait_out(struct context *ctx, struct wait_queue *queue)
{
    struct fiber *fiber = ctx->fiber;
    list_push_back(&queue->waiters, &fiber->link);
    fiber_suspend(fiber, FIBER_BLOCKED);
}

void wait_queue_wake_one(struct wait_queue *queue)
{
    struct list *node = list_pop_front(&queue->waiters);
    if (node != NULL)
        fiber_wake(LIST_ITEM(node, struct fiber, link), STATUS_OK);
}

void wait_queue_wake_all(struct wait_queue *queue)
{
    while (!list_empty(&queue->waiters))
        wait_queue_wake_one(queue);
}

static void job_done(struct env_job *job)
{
    fiber_wake(job->waiter, STATUS_OK);
}

enum status context_run_job(struct context *ctx, struct env_job *job)
{
    ASSERT(ctx->fiber->no_wait_depth == 0);
    job->done = job_done;
    job->waiter = ctx->fiber;
    TRY(env_job_submit(ctx->env, job));
    fiber_suspend(ctx->fiber, FIBER_BLOCKED);
    return STATUS_OK;
}

static void sleep_over(struct env_timer *timer)
{
    struct fiber *fiber = CONTAINER_OF(timer, struct fiber, sleep_timer);
    bool late = fiber->ctx.deadline_ns <= timer->due_ns;
    fiber_wake(fiber, late ? STATUS_DEADLINE : STATUS_OK);
}

enum status context_sleep(struct context *ctx, uint64_t delay_ns)
{
    struct fiber *fiber = ctx->fiber;
    ASSERT(fiber->no_wait_depth == 0);
    if (ctx->cancelled)
        return STATUS_CANCELLED;
    if (ctx->deadline_ns != UINT64_MAX) {
        uint64_t now_ns = env_now_ns(ctx->env);
        if (now_ns >= ctx->deadline_ns)
            return STATUS_DEADLINE;
        delay_ns = MIN(delay_ns, ctx->deadline_ns - now_ns);
    }
    fiber->sleep_timer.fire = sleep_over;
    env_timer_start(ctx->env, &fiber->sleep_timer, delay_ns);
    fiber_suspend(fiber, FIBER_ASLEEP);
    return fiber->woken_with;
}

void context_yield(struct context *ctx)
{
    struct fiber *fiber = ctx->fiber;
    ASSERT(fiber->no_wait_depth == 0);
    fiber_wake(fiber, STATUS_OK);
    fiber_suspend(fiber, FIBER_WOKEN);
}

static void yield_of(void *ctx)
{
    context_yield(ctx);
}

struct pause context_pause(struct context *ctx)
{
    return (struct pause){.run = yield_of, .argument = ctx};
}

void context_cancel(struct context *ctx)
{
    struct fiber *fiber = ctx->fiber;
    ctx->cancelled = true;
    if (fiber->state == FIBER_WAITING) {
        list_remove(&fiber->link);
        fiber_wake(fiber, STATUS_CANCELLED);
    } else if (fiber->state == FIBER_ASLEEP) {
        env_timer_stop(ctx->env, &fiber->sleep_timer);
        fiber_wake(fiber, STATUS_CANCELLED);
    }
}

enum status context_check(struct context *ctx)
{
    if (ctx->cancelled)
        return STATUS_CANCELLED;
    if (ctx->deadline_ns != UINT64_MAX && env_now_ns(ctx->env) >= ctx->deadline_ns)
        return STATUS_DEADLINE;
    return STATUS_OK;
}

void fiber_no_wait_begin(struct context *ctx)
{
    ctx->fiber->no_wait_depth++;
}

void fiber_no_wait_end(struct context *ctx)
{
    ASSERT(ctx->fiber->no_wait_depth > 0);
    ctx->fiber->no_wait_depth--;
}
