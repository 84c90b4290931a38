/* worker.c - the lanes: jobs on stacks of their own, which take virtual time. */
#include <string.h>

#include "env/sim/sim_private.h"

#define DISPATCH_NS 3000u /* from the submission to an idle worker, and back, on average */
#define GUARD_BYTES 64u   /* at the low end of each stack; checked whenever it is left */
#define GUARD_BYTE  0xA7

static const uint32_t fixed_workers[ENV_LANE_COUNT] = {
    [ENV_LANE_LOG] = 1, [ENV_LANE_READ] = 0, [ENV_LANE_BACKGROUND] = 1};

/* ---- Stacks ---- */

static struct sim_stack *stack_take(struct sim *sim)
{
    struct list *free = list_pop_front(&sim->stacks);
    if (free != NULL)
        return LIST_ITEM(free, struct sim_stack, link);
    struct sim_stack *stack = sim_alloc(sim, sizeof(*stack));
    list_init(&stack->link);
    stack->low = sim_alloc(sim, SIM_STACK_BYTES);
    memset(stack->low, GUARD_BYTE, GUARD_BYTES);
    return stack;
}

static void stack_check(const struct sim_stack *stack)
{
    const uint8_t *guard = stack->low;
    for (size_t i = 0; i < GUARD_BYTES; i++)
        ASSERT(guard[i] == GUARD_BYTE); /* else a job needs more than SIM_STACK_BYTES */
}

static void stack_give(struct sim *sim, struct sim_worker *worker)
{
    if (worker->stack == NULL)
        return;
    stack_check(worker->stack);
    list_push_back(&sim->stacks, &worker->stack->link);
    worker->stack = NULL;
}

/* ---- A job's way: waiting, begun, suspended in operations, finished, done ---- */

NORETURN static void job_main(void *argument)
{
    struct sim_worker *worker = argument;
    struct env_job *job = worker->job->job;
    job->run(job);
    worker->finished = true;
    switch_leave(&worker->flow, &worker->node->sim->loop);
}

static void job_done(struct sim_item *item)
{
    struct sim_job *sim_job = CONTAINER_OF(item, struct sim_job, done);
    struct env_job *job = sim_job->job;
    struct sim_node *node = sim_node_of(job->env);
    histogram_record(&node->env.stats.lane_ns[job->lane],
                     node->sim->now_ns - sim_job->submitted_ns);
    heap_free(&node->kernel, sim_job, sizeof(*sim_job));
    job->done(job);
}

static void lane_dispatch(struct sim_node *node, struct sim_lane *lane)
{
    for (uint32_t i = 0; i < lane->worker_count && !list_empty(&lane->waiting); i++) {
        struct sim_worker *worker = lane->workers[i];
        if (worker->job != NULL)
            continue;
        worker->job = LIST_ITEM(list_pop_front(&lane->waiting), struct sim_job, link);
        worker->finished = false;
        lane->waiting_count--;
        sim_schedule(node->sim, &worker->resume, sim_duration(node->sim, DISPATCH_NS));
    }
}

static void worker_resume(struct sim_event *event)
{
    struct sim_worker *worker = CONTAINER_OF(event, struct sim_worker, resume);
    struct sim_node *node = worker->node;
    struct sim *sim = node->sim;
    if (worker->stack == NULL) {
        worker->stack = stack_take(sim);
        switch_prepare(&worker->flow, (uint8_t *)worker->stack->low + GUARD_BYTES,
                       SIM_STACK_BYTES - GUARD_BYTES, job_main, worker);
        sim_fold(sim, SIM_TRACE_JOB, worker->lane, worker->job->submitted_ns);
    }
    sim->worker = worker;
    switch_to(&sim->loop, &worker->flow);
    sim->worker = NULL;
    stack_check(worker->stack);
    if (!worker->finished)
        return;
    stack_give(sim, worker);
    struct sim_lane *lane = &node->lanes[worker->lane];
    uint64_t done_ns = sim->now_ns + sim_duration(sim, DISPATCH_NS);
    if (lane->worker_count == 1) /* the jobs of one thread are done in order */
        done_ns = lane->done_ns = MAX(done_ns, lane->done_ns);
    sim_item_schedule(node, &worker->job->done, done_ns - sim->now_ns, job_done);
    worker->job = NULL;
    lane_dispatch(node, lane);
}

enum status sim_job_submit(struct env *env, struct env_job *job)
{
    struct sim_node *node = sim_node_of(env);
    ASSERT(node->sim->worker == NULL); /* a job submits no jobs */
    ASSERT(job->lane < ENV_LANE_COUNT);
    struct sim_lane *lane = &node->lanes[job->lane];
    if (lane->waiting_count == ENV_LANE_JOBS_MAX) {
        env->stats.lane_busy[job->lane]++;
        return STATUS_BUSY;
    }
    struct sim_job *sim_job = sim_kernel_alloc(node, sizeof(*sim_job));
    sim_job->job = job;
    sim_job->submitted_ns = node->sim->now_ns;
    job->env = env;
    list_push_back(&lane->waiting, &sim_job->link);
    lane->waiting_count++;
    lane_dispatch(node, lane);
    return STATUS_OK;
}

struct sim_worker *sim_worker_current(struct env *env)
{
    struct sim_node *node = sim_node_of(env);
    struct sim_worker *worker = node->sim->worker;
    ASSERT(worker != NULL && worker->node == node); /* file functions are called in jobs only */
    return worker;
}

void sim_worker_wait(struct sim_worker *worker, uint64_t delay_ns)
{
    struct sim *sim = worker->node->sim;
    sim_schedule(sim, &worker->resume, delay_ns);
    switch_to(&worker->flow, &sim->loop);
}

/* ---- With the incarnation ---- */

void sim_workers_open(struct sim_node *node)
{
    for (uint32_t i = 0; i < ENV_LANE_COUNT; i++) {
        struct sim_lane *lane = &node->lanes[i];
        *lane = (struct sim_lane){.worker_count = fixed_workers[i]};
        if (lane->worker_count == 0)
            lane->worker_count = node->sim->options.read_workers;
        list_init(&lane->waiting);
        for (uint32_t w = 0; w < lane->worker_count; w++) {
            struct sim_worker *worker = sim_kernel_alloc(node, sizeof(*worker));
            worker->node = node;
            worker->lane = (enum env_lane)i;
            worker->resume = (struct sim_event){.node = node, .run = worker_resume};
            lane->workers[w] = worker;
        }
    }
}

void sim_workers_close(struct sim_node *node)
{
    ASSERT(node->sim->worker == NULL);
    for (uint32_t i = 0; i < ENV_LANE_COUNT; i++) {
        struct sim_lane *lane = &node->lanes[i];
        for (uint32_t w = 0; w < lane->worker_count; w++)
            stack_give(node->sim, lane->workers[w]);
        lane->worker_count = 0;
    }
}
