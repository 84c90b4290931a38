/* loop.c - a node's loop: items that are ready, tasks, turns; and its clocks, randomness and
 * timers. */
#include <string.h>

#include "env/sim/sim_private.h"

#define TURN_NS_MAX   20000u
#define RARE_TURN     500u /* once in so many turns the loop is held up */
#define RARE_TURN_MAX 2000000u

/* ---- Items that are ready, then tasks ---- */

void *sim_kernel_alloc(struct sim_node *node, size_t bytes)
{
    void *at = heap_alloc_zero(&node->kernel, bytes);
    ASSERT(at != NULL);
    return at;
}

static void want_turn(struct sim_node *node)
{
    if (node->turn.position != 0)
        return;
    struct sim *sim = node->sim;
    uint64_t delay_ns = node->busy_until_ns > sim->now_ns ? node->busy_until_ns - sim->now_ns : 0;
    sim_schedule(sim, &node->turn, delay_ns);
}

static void item_due(struct sim_event *event)
{
    struct sim_item *item = CONTAINER_OF(event, struct sim_item, event);
    list_push_back(&event->node->ready, &item->ready);
    want_turn(event->node);
}

void sim_item_schedule(struct sim_node *node, struct sim_item *item, uint64_t delay_ns,
                       void (*run)(struct sim_item *item))
{
    sim_item_cancel(node->sim, item);
    list_init(&item->ready);
    item->run = run;
    item->event.node = node;
    item->event.run = item_due;
    sim_schedule(node->sim, &item->event, delay_ns);
}

bool sim_item_waits(const struct sim_item *item)
{
    return item->event.position != 0 || (item->ready.next != NULL && !list_empty(&item->ready));
}

void sim_item_cancel(struct sim *sim, struct sim_item *item)
{
    sim_cancel(sim, &item->event);
    if (item->ready.next != NULL)
        list_remove(&item->ready);
}

/* Tasks that are deferred meanwhile wait for the next turn, so that time passes. */
static void run_tasks(struct sim_node *node)
{
    struct list tasks;
    list_init(&tasks);
    list_append_all(&tasks, &node->tasks);
    struct list *first;
    while ((first = list_pop_front(&tasks)) != NULL) {
        struct env_task *task = LIST_ITEM(first, struct env_task, link);
        task->run(task);
    }
}

static void turn_run(struct sim_event *event)
{
    struct sim_node *node = CONTAINER_OF(event, struct sim_node, turn);
    struct sim *sim = node->sim;
    struct list ready;
    list_init(&ready);
    list_append_all(&ready, &node->ready);
    uint64_t cost_ns = 1 + sim_below(sim, TURN_NS_MAX);
    if (prng_one_in(&sim->choices, RARE_TURN))
        cost_ns += sim_below(sim, RARE_TURN_MAX);
    node->busy_until_ns = sim->now_ns + cost_ns;
    uint64_t ran = 0;
    struct list *first;
    while ((first = list_pop_front(&ready)) != NULL) {
        struct sim_item *item = LIST_ITEM(first, struct sim_item, ready);
        item->run(item);
        ran++;
        if (!list_empty(&node->tasks) && prng_one_in(&sim->choices, 2))
            run_tasks(node);
    }
    run_tasks(node);
    if (!list_empty(&node->tasks) || !list_empty(&node->ready))
        want_turn(node);
    histogram_record(&node->env.stats.turn_ns, cost_ns);
    sim_fold(sim, SIM_TRACE_TURN, ran, cost_ns);
}

/* ---- Clocks, randomness, timers, tasks ---- */

/* A job may call the file functions only. */
static struct sim_node *node_on_loop(struct env *env)
{
    struct sim_node *node = sim_node_of(env);
    ASSERT(node->running && node->sim->worker == NULL);
    return node;
}

static uint64_t now_ns(struct env *env)
{
    struct sim_node *node = node_on_loop(env);
    return node->sim->now_ns + node->clock_offset_ns;
}

static uint64_t wall_ns(struct env *env)
{
    struct sim_node *node = node_on_loop(env);
    return SIM_WALL_BASE_NS + node->sim->now_ns + node->wall_offset_ns;
}

static void random_bytes(struct env *env, void *to, size_t count)
{
    struct sim_node *node = node_on_loop(env);
    uint8_t *at = to;
    while (count > 0) {
        uint64_t value = prng_u64(&node->prng);
        size_t part = MIN(count, sizeof(value));
        memcpy(at, &value, part);
        at += part;
        count -= part;
        sim_fold(node->sim, SIM_TRACE_RANDOM, value, 0);
    }
}

static void timer_free(struct sim_timer *timer)
{
    sim_item_cancel(timer->node->sim, &timer->item);
    timer->timer->binding[0] = NULL;
    heap_free(&timer->node->kernel, timer, sizeof(*timer));
}

static void timer_due(struct sim_item *item)
{
    struct sim_timer *timer = CONTAINER_OF(item, struct sim_timer, item);
    struct env_timer *owner = timer->timer;
    timer_free(timer);
    owner->fire(owner);
}

static void timer_start(struct env *env, struct env_timer *owner, uint64_t delay_ns)
{
    struct sim_node *node = node_on_loop(env);
    struct sim_timer *timer = owner->binding[0];
    if (timer == NULL) {
        timer = sim_kernel_alloc(node, sizeof(*timer));
        timer->node = node;
        timer->timer = owner;
        owner->binding[0] = timer;
    }
    uint64_t now = now_ns(env);
    owner->due_ns = delay_ns > UINT64_MAX - now ? UINT64_MAX : now + delay_ns;
    sim_item_schedule(node, &timer->item, delay_ns, timer_due);
}

static void timer_stop(struct env *env, struct env_timer *owner)
{
    (void)env;
    struct sim_timer *timer = owner->binding[0];
    if (timer != NULL)
        timer_free(timer);
}

static void defer(struct env *env, struct env_task *task)
{
    struct sim_node *node = node_on_loop(env);
    if (!list_empty(&task->link))
        return;
    list_push_back(&node->tasks, &task->link);
    want_turn(node);
}

void sim_loop_ops(struct env_ops *ops)
{
    ops->now_ns = now_ns;
    ops->wall_ns = wall_ns;
    ops->random = random_bytes;
    ops->timer_start = timer_start;
    ops->timer_stop = timer_stop;
    ops->defer = defer;
}

void sim_loop_init(struct sim_node *node)
{
    struct sim *sim = node->sim;
    prng_init(&node->prng, prng_u64(&sim->choices));
    node->clock_offset_ns = sim_below(sim, UINT64_C(1) << 50);
    node->wall_offset_ns = sim_below(sim, UINT64_C(2000000000));
    node->busy_until_ns = sim->now_ns;
    node->turn = (struct sim_event){.node = node, .run = turn_run};
    list_init(&node->ready);
    list_init(&node->tasks);
}
