/* Fibers over the tiny env.  A plain program, because it is also run for aarch64 under an emulator,
 * where the test library is not to be had. */
#include "env/fiber.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "unit/env/tiny_env.h"

#define CHECK(x) ((x) ? (void)0 : check_failed(#x, __LINE__))

NORETURN static void check_failed(const char *what, int line)
{
    fprintf(stderr, "fiber_test.c:%d: %s does not hold\n", line, what);
    exit(1);
}

#define STACK_BYTES 16384u
#define FIBERS_MAX  2000u

static const struct fiber_options no_deadline = {.arena_bytes_max = 65536,
                                                 .deadline_ns = UINT64_MAX};

static void open_pool(struct tiny_env *tiny)
{
    tiny_open(tiny);
    CHECK(fiber_pool_open(&tiny->env, FIBERS_MAX, STACK_BYTES) == STATUS_OK);
}

static void close_pool(struct tiny_env *tiny)
{
    CHECK(fiber_pool_stats(&tiny->env).live == 0);
    fiber_pool_close(&tiny->env);
    CHECK(tiny->heap.bytes_used == 0);
    CHECK(tiny->timer_count == 0);
}

/* ---- A flow that waits and says how it went on ---- */

struct waiter {
    struct wait_queue *queue;
    struct context *ctx;
    enum status status;
    uint32_t number;
    uint32_t *order; /* where each writes its number when it goes on */
    uint32_t *order_count;
    bool over;
};

static void wait_once(struct context *ctx, void *argument)
{
    struct waiter *waiter = argument;
    waiter->ctx = ctx;
    waiter->status = wait_queue_wait(ctx, waiter->queue);
    if (waiter->order != NULL)
        waiter->order[(*waiter->order_count)++] = waiter->number;
    waiter->over = true;
}

static void runs_at_once_until_it_waits(void)
{
    struct tiny_env tiny;
    open_pool(&tiny);
    struct wait_queue queue;
    wait_queue_init(&queue);
    struct waiter waiter = {.queue = &queue};
    CHECK(wait_queue_empty(&queue));
    CHECK(fiber_spawn(&tiny.env, &no_deadline, wait_once, &waiter) == STATUS_OK);
    CHECK(waiter.ctx != NULL && !waiter.over && !wait_queue_empty(&queue));
    wait_queue_wake_one(&queue);
    CHECK(!waiter.over); /* it runs from the loop */
    tiny_settle(&tiny);
    CHECK(waiter.over && waiter.status == STATUS_OK);
    wait_queue_wake_one(&queue); /* nobody waits: harmless */
    close_pool(&tiny);
}

static void wakes_in_order_of_arrival(void)
{
    struct tiny_env tiny;
    open_pool(&tiny);
    struct wait_queue queue;
    wait_queue_init(&queue);
    struct waiter waiters[100] = {0};
    uint32_t order[100], count = 0;
    for (uint32_t i = 0; i < 100; i++) {
        waiters[i] =
            (struct waiter){.queue = &queue, .number = i, .order = order, .order_count = &count};
        CHECK(fiber_spawn(&tiny.env, &no_deadline, wait_once, &waiters[i]) == STATUS_OK);
    }
    wait_queue_wake_one(&queue);
    tiny_settle(&tiny);
    CHECK(count == 1 && order[0] == 0);
    wait_queue_wake_all(&queue);
    tiny_settle(&tiny);
    CHECK(count == 100);
    for (uint32_t i = 0; i < 100; i++)
        CHECK(order[i] == i);
    close_pool(&tiny);
}

/* ---- Many fibers, registers and stacks kept apart ---- */

struct worker {
    struct wait_queue *queue;
    uint64_t seed;
    uint32_t rounds;
    bool right;
};

__attribute__((noinline)) static double wait_deep(struct context *ctx, struct worker *worker,
                                                  uint32_t depth, double carried)
{
    volatile uint8_t local[64];
    for (uint32_t i = 0; i < sizeof(local); i++)
        local[i] = (uint8_t)(worker->seed + depth + i);
    double below;
    if (depth > 0)
        below = wait_deep(ctx, worker, depth - 1, carried * 1.5);
    else
        below = wait_queue_wait(ctx, worker->queue) == STATUS_OK ? carried : 0;
    for (uint32_t i = 0; i < sizeof(local); i++)
        if (local[i] != (uint8_t)(worker->seed + depth + i))
            return 0;
    return below;
}

static void work(struct context *ctx, void *argument)
{
    struct worker *worker = argument;
    struct prng prng;
    prng_init(&prng, worker->seed);
    /* Values in as many registers as the compiler likes, across waits. */
    uint64_t a = prng_u64(&prng), b = prng_u64(&prng), c = prng_u64(&prng), d = prng_u64(&prng);
    double x = (double)(a % 1000) + 1, y = (double)(b % 1000) + 1;
    uint64_t sum = a + b + c + d;
    double product = x * y;
    worker->right = true;
    for (uint32_t i = 0; i < worker->rounds; i++) {
        double got = wait_deep(ctx, worker, (uint32_t)(worker->seed % 7), 1.0);
        double expected = 1; /* exact: a few powers of 3/2 */
        for (uint64_t depth = 0; depth < worker->seed % 7; depth++)
            expected *= 1.5;
        if (got < expected || got > expected)
            worker->right = false;
        if (a + b + c + d != sum || x * y < product || x * y > product)
            worker->right = false;
        void *memory = arena_alloc(&ctx->arena, 100);
        if (memory == NULL)
            worker->right = false;
    }
}

static void keeps_many_fibers_apart(void)
{
    struct tiny_env tiny;
    open_pool(&tiny);
    struct wait_queue queues[3];
    for (uint32_t i = 0; i < 3; i++)
        wait_queue_init(&queues[i]);
    static struct worker workers[FIBERS_MAX];
    for (uint32_t i = 0; i < FIBERS_MAX; i++) {
        workers[i] = (struct worker){.queue = &queues[i % 3], .seed = i, .rounds = 5};
        CHECK(fiber_spawn(&tiny.env, &no_deadline, work, &workers[i]) == STATUS_OK);
    }
    CHECK(fiber_pool_stats(&tiny.env).live == FIBERS_MAX);
    for (uint32_t turn = 0; turn < 20 && fiber_pool_stats(&tiny.env).live > 0; turn++) {
        wait_queue_wake_all(&queues[turn % 3]);
        tiny_settle(&tiny);
    }
    for (uint32_t i = 0; i < FIBERS_MAX; i++)
        CHECK(workers[i].right);
    close_pool(&tiny);
}

/* ---- The bound, and reuse ---- */

static void answers_busy_at_the_bound(void)
{
    struct tiny_env tiny;
    open_pool(&tiny);
    struct wait_queue queue;
    wait_queue_init(&queue);
    static struct waiter waiters[FIBERS_MAX];
    for (uint32_t i = 0; i < FIBERS_MAX; i++) {
        waiters[i] = (struct waiter){.queue = &queue};
        CHECK(fiber_spawn(&tiny.env, &no_deadline, wait_once, &waiters[i]) == STATUS_OK);
    }
    struct waiter refused = {.queue = &queue};
    CHECK(fiber_spawn(&tiny.env, &no_deadline, wait_once, &refused) == STATUS_BUSY);
    CHECK(refused.ctx == NULL);
    CHECK(fiber_pool_stats(&tiny.env).refused == 1);
    CHECK(fiber_pool_stats(&tiny.env).live_max_seen == FIBERS_MAX);
    wait_queue_wake_one(&queue);
    tiny_settle(&tiny);
    CHECK(fiber_spawn(&tiny.env, &no_deadline, wait_once, &refused) == STATUS_OK);
    wait_queue_wake_all(&queue);
    tiny_settle(&tiny);
    close_pool(&tiny);
}

static void note_address(struct context *ctx, void *argument)
{
    (void)ctx;
    *(uintptr_t *)argument = (uintptr_t)__builtin_frame_address(0);
}

static void uses_stacks_again(void)
{
    struct tiny_env tiny;
    open_pool(&tiny);
    uintptr_t first = 0, next = 0;
    CHECK(fiber_spawn(&tiny.env, &no_deadline, note_address, &first) == STATUS_OK);
    for (uint32_t i = 0; i < 10000; i++) {
        CHECK(fiber_spawn(&tiny.env, &no_deadline, note_address, &next) == STATUS_OK);
        CHECK(next == first);
    }
    CHECK(fiber_pool_stats(&tiny.env).stacks == 1);
    CHECK(fiber_pool_stats(&tiny.env).spawned == 10001);
    close_pool(&tiny);
}

/* ---- Contexts ---- */

struct allocator {
    size_t bytes;
    bool got;
    struct env *env;
    struct allocator *inner;
    struct budget *budget; /* that the inner one draws on */
};

static void allocate(struct context *ctx, void *argument)
{
    struct allocator *allocator = argument;
    CHECK(ctx->env == allocator->env && ctx->principal.count == 0 && !ctx->cancelled);
    allocator->got = arena_alloc(&ctx->arena, allocator->bytes) != NULL;
    ctx->principal = BYTES("someone");
    if (allocator->inner != NULL) {
        struct fiber_options drawing = no_deadline;
        drawing.budget = allocator->budget;
        CHECK(fiber_spawn(ctx->env, &drawing, allocate, allocator->inner) == STATUS_OK);
        CHECK(allocator->inner->got && allocator->budget->used_bytes == 0); /* given back */
    }
}

static void releases_the_arena_at_the_end(void)
{
    struct tiny_env tiny;
    open_pool(&tiny);
    struct allocator inner = {.bytes = 20000, .env = &tiny.env};
    struct budget budget;
    budget_init(&budget, 1 << 20);
    struct allocator small = {.bytes = 100, .env = &tiny.env, .inner = &inner, .budget = &budget};
    CHECK(fiber_spawn(&tiny.env, &no_deadline, allocate, &small) == STATUS_OK);
    CHECK(small.got && inner.got);
    struct allocator large = {.bytes = 70000, .env = &tiny.env};
    CHECK(fiber_spawn(&tiny.env, &no_deadline, allocate, &large) == STATUS_OK);
    CHECK(!large.got); /* over the cap */
    /* What a larger cap left is not held against a smaller one. */
    struct fiber_options tight = {.arena_bytes_max = 1000, .deadline_ns = UINT64_MAX};
    struct allocator little = {.bytes = 500, .env = &tiny.env};
    CHECK(fiber_spawn(&tiny.env, &tight, allocate, &little) == STATUS_OK);
    CHECK(little.got);
    CHECK(tiny.heap.bytes_used < 65536); /* two fibers' kept chunks and the pool */
    close_pool(&tiny);
}

/* ---- Deadlines and cancellation ---- */

static void take_a_chunk(struct context *ctx, void *argument)
{
    CHECK(arena_alloc(&ctx->arena, *(const size_t *)argument) != NULL);
}

static void outlives_what_its_fibers_drew_on(void)
{
    struct tiny_env tiny;
    open_pool(&tiny);
    struct budget *budget = malloc(sizeof(*budget));
    budget_init(budget, 1 << 20);
    struct fiber_options drawing = no_deadline;
    drawing.budget = budget;
    for (size_t bytes = 100; bytes < 60000; bytes *= 20) {
        CHECK(fiber_spawn(&tiny.env, &drawing, take_a_chunk, &bytes) == STATUS_OK);
        tiny_settle(&tiny);
        CHECK(budget->used_bytes == 0);
    }
    free(budget);
    close_pool(&tiny);
}

static void ends_waits_at_their_deadline(void)
{
    struct tiny_env tiny;
    open_pool(&tiny);
    struct wait_queue queue;
    wait_queue_init(&queue);
    /* Started out of order; ends in the order of deadlines, equal ones in order of their start. */
    static const uint64_t after_ns[] = {50, 20, 90, 20, 70, 10};
    static const uint32_t expected[] = {5, 1, 3, 0, 4, 2};
    struct waiter waiters[6];
    uint32_t order[6], count = 0;
    for (uint32_t i = 0; i < 6; i++) {
        waiters[i] =
            (struct waiter){.queue = &queue, .number = i, .order = order, .order_count = &count};
        struct fiber_options options = {.arena_bytes_max = 1000,
                                        .deadline_ns = tiny.now_ns + after_ns[i]};
        CHECK(fiber_spawn(&tiny.env, &options, wait_once, &waiters[i]) == STATUS_OK);
    }
    tiny_advance(&tiny, 9);
    CHECK(count == 0);
    tiny_advance(&tiny, 1);
    CHECK(count == 1);
    tiny_advance(&tiny, 60);
    CHECK(count == 5);
    tiny_advance(&tiny, 60);
    CHECK(count == 6 && wait_queue_empty(&queue));
    for (uint32_t i = 0; i < 6; i++)
        CHECK(order[i] == expected[i] && waiters[i].status == STATUS_DEADLINE);
    close_pool(&tiny);
}

static void arms_a_timer_once_for_many_waits(void)
{
    struct tiny_env tiny;
    open_pool(&tiny);
    struct wait_queue queue;
    wait_queue_init(&queue);
    for (uint32_t i = 0; i < 1000; i++) {
        struct waiter waiter = {.queue = &queue};
        struct fiber_options options = {.arena_bytes_max = 1000,
                                        .deadline_ns = tiny.now_ns + 1000000};
        CHECK(fiber_spawn(&tiny.env, &options, wait_once, &waiter) == STATUS_OK);
        wait_queue_wake_all(&queue);
        tiny_advance(&tiny, 1);
        CHECK(waiter.over && waiter.status == STATUS_OK);
    }
    CHECK(tiny.timer_starts == 1);
    tiny_advance(&tiny, 2000000);
    close_pool(&tiny);
}

static void cancels_waits(void)
{
    struct tiny_env tiny;
    open_pool(&tiny);
    struct wait_queue queue;
    wait_queue_init(&queue);
    struct waiter waiter = {.queue = &queue};
    CHECK(fiber_spawn(&tiny.env, &no_deadline, wait_once, &waiter) == STATUS_OK);
    context_cancel(waiter.ctx);
    CHECK(wait_queue_empty(&queue) && !waiter.over);
    tiny_settle(&tiny);
    CHECK(waiter.over && waiter.status == STATUS_CANCELLED);

    /* Who was woken is no longer interrupted. */
    struct waiter woken = {.queue = &queue};
    CHECK(fiber_spawn(&tiny.env, &no_deadline, wait_once, &woken) == STATUS_OK);
    wait_queue_wake_one(&queue);
    context_cancel(woken.ctx);
    tiny_settle(&tiny);
    CHECK(woken.over && woken.status == STATUS_OK);
    close_pool(&tiny);
}

struct outwaiter {
    struct context *ctx;
    struct wait_queue *queue;
    bool over;
};

static void wait_out(struct context *ctx, void *argument)
{
    struct outwaiter *waiter = argument;
    waiter->ctx = ctx;
    wait_queue_wait_out(ctx, waiter->queue);
    waiter->over = true;
}

static void waits_out_what_may_not_be_left(void)
{
    struct tiny_env tiny;
    open_pool(&tiny);
    struct wait_queue queue;
    wait_queue_init(&queue);
    struct outwaiter waiter = {.queue = &queue};
    struct fiber_options options = {.arena_bytes_max = 1000, .deadline_ns = tiny.now_ns + 10};
    CHECK(fiber_spawn(&tiny.env, &options, wait_out, &waiter) == STATUS_OK);
    context_cancel(waiter.ctx);
    tiny_advance(&tiny, 100);
    CHECK(!waiter.over && !wait_queue_empty(&queue));
    wait_queue_wake_all(&queue);
    tiny_settle(&tiny);
    CHECK(waiter.over && wait_queue_empty(&queue));
    close_pool(&tiny);
}

struct sleeper {
    struct context *ctx;
    uint64_t delay_ns, woke_ns;
    enum status status, check;
    struct env_job job;
    bool job_ran, job_was_cancelled;
};

static void sleep_once(struct context *ctx, void *argument)
{
    struct sleeper *sleeper = argument;
    sleeper->ctx = ctx;
    sleeper->status = context_sleep(ctx, sleeper->delay_ns);
    sleeper->woke_ns = env_now_ns(ctx->env);
    sleeper->check = context_check(ctx);
}

static void sleeps(void)
{
    struct tiny_env tiny;
    open_pool(&tiny);
    uint64_t start_ns = tiny.now_ns;
    struct sleeper whole = {.delay_ns = 30}, cut = {.delay_ns = 30}, cancelled = {.delay_ns = 30};
    struct fiber_options soon = {.arena_bytes_max = 1000, .deadline_ns = start_ns + 20};
    CHECK(fiber_spawn(&tiny.env, &no_deadline, sleep_once, &whole) == STATUS_OK);
    CHECK(fiber_spawn(&tiny.env, &soon, sleep_once, &cut) == STATUS_OK);
    CHECK(fiber_spawn(&tiny.env, &no_deadline, sleep_once, &cancelled) == STATUS_OK);
    tiny_advance(&tiny, 10);
    context_cancel(cancelled.ctx);
    tiny_settle(&tiny);
    for (uint32_t i = 0; i < 5; i++)
        tiny_advance(&tiny, 10);
    CHECK(whole.status == STATUS_OK && whole.woke_ns == start_ns + 30 && whole.check == STATUS_OK);
    CHECK(cut.status == STATUS_DEADLINE && cut.woke_ns == start_ns + 20);
    CHECK(cut.check == STATUS_DEADLINE);
    CHECK(cancelled.status == STATUS_CANCELLED && cancelled.woke_ns == start_ns + 10);
    CHECK(cancelled.check == STATUS_CANCELLED);
    close_pool(&tiny);
}

/* ---- Jobs, yields and stretches without waits ---- */

static void job_run(struct env_job *job)
{
    CONTAINER_OF(job, struct sleeper, job)->job_ran = true;
}

static void run_a_job(struct context *ctx, void *argument)
{
    struct sleeper *sleeper = argument;
    sleeper->ctx = ctx;
    sleeper->job = (struct env_job){.lane = ENV_LANE_READ, .run = job_run};
    sleeper->status = context_run_job(ctx, &sleeper->job);
    sleeper->job_was_cancelled = ctx->cancelled;
    struct wait_queue queue;
    wait_queue_init(&queue);
    if (sleeper->status == STATUS_OK)
        sleeper->check = wait_queue_wait(ctx, &queue);
}

static void waits_for_jobs_without_interruption(void)
{
    struct tiny_env tiny;
    open_pool(&tiny);
    struct sleeper sleeper = {.status = STATUS_END};
    CHECK(fiber_spawn(&tiny.env, &no_deadline, run_a_job, &sleeper) == STATUS_OK);
    context_cancel(sleeper.ctx);
    CHECK(!sleeper.job_ran && sleeper.status == STATUS_END);
    tiny_settle(&tiny);
    CHECK(sleeper.job_ran && sleeper.status == STATUS_OK && sleeper.job_was_cancelled);
    CHECK(sleeper.check == STATUS_CANCELLED); /* the next wait that can be interrupted is */

    tiny.jobs_max = 0;
    struct sleeper refused = {.status = STATUS_END};
    CHECK(fiber_spawn(&tiny.env, &no_deadline, run_a_job, &refused) == STATUS_OK);
    CHECK(refused.status == STATUS_BUSY && !refused.job_ran);
    close_pool(&tiny);
}

static void yield_often(struct context *ctx, void *argument)
{
    for (uint32_t i = 0; i < 10; i++) {
        ++*(uint32_t *)argument;
        context_yield(ctx);
    }
}

static void yields_for_one_turn(void)
{
    struct tiny_env tiny;
    open_pool(&tiny);
    uint32_t first = 0, second = 0;
    CHECK(fiber_spawn(&tiny.env, &no_deadline, yield_often, &first) == STATUS_OK);
    CHECK(fiber_spawn(&tiny.env, &no_deadline, yield_often, &second) == STATUS_OK);
    for (uint32_t turn = 1; turn <= 10; turn++) {
        CHECK(first == turn && second == turn);
        CHECK(tiny_turn(&tiny));
    }
    CHECK(!tiny_turn(&tiny));
    close_pool(&tiny);
}

static void yield_in_a_stretch(struct context *ctx, void *argument)
{
    (void)argument;
    fiber_no_wait_begin(ctx);
    fiber_no_wait_begin(ctx);
    fiber_no_wait_end(ctx);
    context_yield(ctx);
}

static void overflow(struct context *ctx, void *argument)
{
    volatile uint8_t frame[1024];
    frame[0] = *(uint8_t *)argument;
    if (frame[0] < 255) /* always */
        overflow(ctx, (void *)(uintptr_t)frame);
    frame[1] = 1;
}

/* How a child that runs `function` on a fiber ends: true when it dies by itself. */
static bool dies(void (*function)(struct context *ctx, void *argument))
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct rlimit no_core = {0};
        setrlimit(RLIMIT_CORE, &no_core);
        CHECK(freopen("/dev/null", "w", stderr) != NULL);
        static struct tiny_env tiny;
        open_pool(&tiny);
        uint8_t zero = 0;
        (void)!fiber_spawn(&tiny.env, &no_deadline, function, &zero);
        _exit(0);
    }
    int how = 0;
    CHECK(waitpid(child, &how, 0) == child);
    return !WIFEXITED(how) || WEXITSTATUS(how) != 0;
}

static void aborts_on_a_wait_in_a_stretch_without_waits(void)
{
    CHECK(dies(yield_in_a_stretch));
}

static void dies_at_the_guard_page(void)
{
    CHECK(dies(overflow));
}

/* ---- A crash ---- */

static void drops_everything_in_a_simulated_crash(void)
{
    struct tiny_env tiny;
    tiny_open(&tiny);
    heap_init(&tiny.heap, true);
    tiny.env.simulated = true;
    CHECK(fiber_pool_open(&tiny.env, 100, STACK_BYTES) == STATUS_OK);
    struct wait_queue queue;
    wait_queue_init(&queue);
    struct waiter waiters[10];
    struct sleeper sleepers[10];
    for (uint32_t i = 0; i < 10; i++) {
        waiters[i] = (struct waiter){.queue = &queue};
        sleepers[i] = (struct sleeper){.delay_ns = 100};
        struct fiber_options soon = {.arena_bytes_max = 1000, .deadline_ns = tiny.now_ns + 20 + i};
        CHECK(fiber_spawn(&tiny.env, &soon, wait_once, &waiters[i]) == STATUS_OK);
        CHECK(fiber_spawn(&tiny.env, &soon, sleep_once, &sleepers[i]) == STATUS_OK);
    }
    wait_queue_wake_one(&queue);
    fiber_pool_close(&tiny.env);
    heap_drop(&tiny.heap);
    CHECK(tiny.timer_count == 0);
    CHECK(!tiny_turn(&tiny)); /* nothing of it runs any more */
}

int main(void)
{
    static void (*const tests[])(void) = {
        runs_at_once_until_it_waits,
        wakes_in_order_of_arrival,
        keeps_many_fibers_apart,
        answers_busy_at_the_bound,
        uses_stacks_again,
        releases_the_arena_at_the_end,
        outlives_what_its_fibers_drew_on,
        ends_waits_at_their_deadline,
        arms_a_timer_once_for_many_waits,
        cancels_waits,
        waits_out_what_may_not_be_left,
        sleeps,
        waits_for_jobs_without_interruption,
        yields_for_one_turn,
        aborts_on_a_wait_in_a_stretch_without_waits,
        dies_at_the_guard_page,
        drops_everything_in_a_simulated_crash,
    };
    for (size_t i = 0; i < ARRAY_COUNT(tests); i++)
        tests[i]();
    printf("%zu tests passed\n", ARRAY_COUNT(tests));
    return 0;
}
