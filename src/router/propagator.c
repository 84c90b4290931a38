/* propagator.c - which pumps there are, and when they run. */
#include "router/propagator_private.h"

#include "base/assert.h"

#define SOURCES_MAX      PARTITIONS_MAX
#define PUMP_ARENA_BYTES (UINT64_C(64) << 20)
/* After the first failure; twice that after the next, and so on: 6.4 s at most. */
#define RETRY_NS        UINT64_C(50000000)
#define RETRY_DOUBLINGS 7u
/* Until the index is looked at again that had no capacity left: it keeps what it gains
 * meanwhile. */
#define CAPACITY_WAIT_NS UINT64_C(200000000)
#define SCRATCH_BYTES    (4u * ITEM_STORED_BYTES_MAX)

/* ---- When they run ---- */

/* Into its place among those that wait; behind those that are due at the same time. */
static void pump_wait(struct pump *pump, uint64_t due_ns)
{
    struct propagator *p = pump->source->propagator;
    struct list *after = p->waiting.prev;
    while (after != &p->waiting && LIST_ITEM(after, struct pump, link)->due_ns > due_ns)
        after = after->prev;
    pump->state = PUMP_WAITING;
    pump->due_ns = due_ns;
    list_push_front(after, &pump->link);
    p->stats.active++;
    env_defer(p->env, &p->task);
}

static void pump_unwait(struct pump *pump)
{
    list_remove(&pump->link);
    pump->state = PUMP_IDLE;
    pump->source->propagator->stats.active--;
}

/* There is something to do, at the latest now. */
static void pump_wake(struct pump *pump)
{
    struct propagator *p = pump->source->propagator;
    uint64_t now_ns = env_now_ns(p->env);
    if (pump->state == PUMP_RUNNING) {
        pump->again = true;
        return;
    }
    if (pump->state == PUMP_WAITING && (pump->due_ns <= now_ns || pump->waits_out))
        return;
    if (pump->state == PUMP_WAITING)
        pump_unwait(pump);
    pump_wait(pump, now_ns);
}

static void source_free(struct source *source)
{
    struct propagator *p = source->propagator;
    hash_map_remove(&p->sources, bytes_of(&source->group_id, sizeof(source->group_id)));
    heap_free(p->env->heap, source, sizeof(*source) + source->name.count);
}

static void pump_free(struct pump *pump)
{
    struct source *source = pump->source;
    struct propagator *p = source->propagator;
    ASSERT(pump->state != PUMP_RUNNING);
    if (pump->state == PUMP_WAITING)
        pump_unwait(pump);
    list_remove(&pump->source_link);
    p->stats.pumps--;
    p->stats.holding -= pump->holding ? 1u : 0u;
    heap_free(p->env->heap, pump, sizeof(*pump));
    if (list_empty(&source->pumps))
        source_free(source);
    wait_queue_wake_all(&p->ended);
}

static void pump_run(struct context *ctx, void *argument)
{
    struct pump *pump = argument;
    struct propagator *p = pump->source->propagator;
    uint64_t due_ns = UINT64_MAX;
    pump->ctx = ctx;
    pump->again = false;
    bool was_backfilled = pump->backfilled;
    enum status status = pump_turn(ctx, pump, &due_ns);
    pump->ctx = NULL;
    list_remove(&pump->link);
    pump->state = PUMP_IDLE;
    p->running_count--;
    p->stats.active--;
    bool backfilled = pump->backfilled && !was_backfilled;
    pump->waits_out = status != STATUS_OK && status != STATUS_NOT_FOUND;
    if (pump->dropped || p->closing) {
        pump_free(pump);
    } else if (status == STATUS_OK || status == STATUS_NOT_FOUND) {
        pump->failures = 0;
        if (pump->again)
            due_ns = 0;
        if (due_ns != UINT64_MAX)
            pump_wait(pump, due_ns);
    } else if (status == STATUS_THROTTLED) {
        p->stats.waits++;
        pump->failures = 0;
        pump_wait(pump, env_now_ns(p->env) + CAPACITY_WAIT_NS);
    } else {
        p->stats.failures++;
        pump->loaded = false;
        pump_wait(pump, env_now_ns(p->env) + (RETRY_NS << MIN(pump->failures, RETRY_DOUBLINGS)));
        pump->failures++;
    }
    wait_queue_wake_all(&p->ended);
    if (backfilled)
        p->router->options.on_tables_changed(p->router->options.owner);
    if (!p->closing && !list_empty(&p->waiting))
        env_defer(p->env, &p->task); /* here, the next would run on top of this one */
}

/* Start what is due, as long as the bound lets it. */
static void start_due(struct propagator *p)
{
    struct fiber_options options = {.arena_bytes_max = PUMP_ARENA_BYTES, .deadline_ns = UINT64_MAX};
    uint64_t now_ns = env_now_ns(p->env);
    while (!p->closing && p->running_count < PUMPS_AT_ONCE && !list_empty(&p->waiting)) {
        struct pump *pump = LIST_ITEM(p->waiting.next, struct pump, link);
        if (pump->due_ns > now_ns) {
            env_timer_start(p->env, &p->timer, pump->due_ns - now_ns);
            return;
        }
        list_remove(&pump->link);
        list_push_back(&p->running, &pump->link);
        pump->state = PUMP_RUNNING;
        p->running_count++;
        if (fiber_spawn(p->env, &options, pump_run, pump) == STATUS_OK)
            continue; /* it may have ended already */
        /* There is no fiber for it now. */
        list_remove(&pump->link);
        p->running_count--;
        p->stats.active--;
        pump_wait(pump, now_ns + RETRY_NS);
    }
}

static void task_run(struct env_task *task)
{
    start_due(CONTAINER_OF(task, struct propagator, task));
}

static void timer_fire(struct env_timer *timer)
{
    start_due(CONTAINER_OF(timer, struct propagator, timer));
}

static struct source *find_source(const struct propagator *p, uint64_t group_id)
{
    return hash_map_find(&p->sources, bytes_of(&group_id, sizeof(group_id)));
}

static void on_changes(void *owner, uint64_t group_id)
{
    struct propagator *p = owner;
    struct source *source = find_source(p, group_id);
    if (source == NULL || p->closing)
        return;
    LIST_FOR_EACH (node, &source->pumps)
        pump_wake(LIST_ITEM(node, struct pump, source_link));
}

/* ---- Which there are ---- */

static struct pump *find_pump(const struct source *source, uint64_t index_id)
{
    LIST_FOR_EACH (node, &source->pumps) {
        struct pump *pump = LIST_ITEM(node, struct pump, source_link);
        if (pump->index_id == index_id && !pump->dropped)
            return pump;
    }
    return NULL;
}

static bool is_wanted(const struct table *table, const struct table_index *index)
{
    bool serves = table->status == TABLE_ACTIVE || table->status == TABLE_UPDATING;
    return serves && index != NULL &&
           (index->status == TABLE_ACTIVE || index->status == TABLE_UPDATING ||
            (index->status == TABLE_CREATING && index->backfilling));
}

static struct source *make_source(struct propagator *p, const struct table *table,
                                  uint64_t group_id)
{
    size_t bytes = sizeof(struct source) + table->name.count;
    struct source *source = heap_alloc(p->env->heap, bytes);
    if (source == NULL)
        return NULL;
    *source = (struct source){.propagator = p, .group_id = group_id, .table_id = table->id};
    memcpy(source + 1, table->name.at, table->name.count);
    source->name = bytes_of(source + 1, table->name.count);
    list_init(&source->pumps);
    if (hash_map_insert(&p->sources, bytes_of(&source->group_id, sizeof(source->group_id)),
                        source) == STATUS_OK)
        return source;
    heap_free(p->env->heap, source, bytes);
    return NULL;
}

static void drop_unwanted(struct source *source, const struct table *table)
{
    struct list *node = source->pumps.next;
    for (bool last = false; !last;) {
        struct pump *pump = LIST_ITEM(node, struct pump, source_link);
        node = node->next;
        last = node == &source->pumps; /* the source goes with its last pump */
        if (pump->dropped || is_wanted(table, table_global_of_id(table, pump->index_id)))
            continue;
        pump->dropped = true;
        if (pump->state != PUMP_RUNNING)
            pump_free(pump);
        else if (pump->ctx != NULL)
            context_cancel(pump->ctx);
    }
}

/* Without memory a pump is missing until the next publication of the table, or start; then its mark
 * is where it was. */
static void add_pump(struct propagator *p, const struct table *table, uint64_t group_id,
                     uint64_t index_id)
{
    struct source *source = find_source(p, group_id);
    if (source == NULL)
        source = make_source(p, table, group_id);
    if (source == NULL || find_pump(source, index_id) != NULL)
        return;
    struct pump *pump = heap_alloc_zero(p->env->heap, sizeof(*pump));
    if (pump == NULL && list_empty(&source->pumps))
        source_free(source);
    if (pump == NULL)
        return;
    *pump = (struct pump){.source = source, .index_id = index_id};
    list_init(&pump->link);
    list_push_back(&source->pumps, &pump->source_link);
    p->stats.pumps++;
    pump_wait(pump, 0);
}

void propagator_follow(struct propagator *p, const struct table *table)
{
    if (p == NULL || p->closing || (table->global_count == 0 && p->sources.live == 0))
        return;
    for (uint32_t i = 0; i < table->partition_count; i++) {
        uint64_t group_id = table->partitions[i].group_id;
        struct source *source = find_source(p, group_id);
        if (source != NULL)
            drop_unwanted(source, table);
        for (uint32_t g = 0; g < table->global_count; g++) {
            if (is_wanted(table, &table->globals[g]))
                add_pump(p, table, group_id, table->globals[g].id);
        }
    }
}

bool propagator_backfilled(const struct propagator *p, const struct table *table, uint64_t index_id)
{
    if (p == NULL)
        return false;
    for (uint32_t i = 0; i < table->partition_count; i++) {
        const struct source *source = find_source(p, table->partitions[i].group_id);
        const struct pump *pump = source == NULL ? NULL : find_pump(source, index_id);
        if (pump == NULL || !pump->backfilled)
            return false;
    }
    return true;
}

static bool is_there(const struct propagator *p, const struct table *table, uint64_t index_id)
{
    for (uint32_t i = 0; i < table->partition_count; i++) {
        const struct source *source = find_source(p, table->partitions[i].group_id);
        if (source == NULL)
            continue;
        LIST_FOR_EACH (node, &source->pumps) {
            if (LIST_ITEM(node, struct pump, source_link)->index_id == index_id)
                return true;
        }
    }
    return false;
}

enum status propagator_wait_gone(struct context *ctx, struct propagator *p,
                                 const struct table *table, uint64_t index_id)
{
    while (p != NULL && is_there(p, table, index_id))
        TRY(wait_queue_wait(ctx, &p->ended));
    return STATUS_OK;
}

/* ---- Open and close ---- */

enum status propagator_open(struct context *ctx, struct router *router, uint64_t delay_ns,
                            struct propagator **opened)
{
    struct env *env = ctx->env;
    struct propagator *p = heap_alloc_zero(env->heap, sizeof(*p));
    if (p == NULL)
        return STATUS_NO_MEMORY;
    *p = (struct propagator){.env = env, .router = router, .delay_ns = delay_ns};
    hash_map_init(&p->sources, env->heap, SOURCES_MAX, env_random_u64(env));
    list_init(&p->waiting);
    list_init(&p->running);
    list_init(&p->task.link);
    p->task.run = task_run;
    p->timer.fire = timer_fire;
    wait_queue_init(&p->ended);
    buffer_init(&p->scratch, env->heap, SCRATCH_BYTES);
    router->propagator = p;
    router->service->on_changes = on_changes;
    router->service->on_changes_owner = p;
    for (uint32_t i = 0; i < router->catalog.count; i++)
        propagator_follow(p, router->catalog.tables[i]);
    *opened = p;
    return STATUS_OK;
}

void propagator_set_delay(struct propagator *p, uint64_t delay_ns)
{
    p->delay_ns = delay_ns;
    propagator_clock_moved(p);
}

uint64_t propagator_delay_ns(const struct propagator *propagator)
{
    return propagator->delay_ns;
}

void propagator_clock_moved(struct propagator *p)
{
    uint32_t position = 0;
    struct source *source;
    while ((source = hash_map_next(&p->sources, &position)) != NULL) {
        LIST_FOR_EACH (node, &source->pumps)
            pump_wake(LIST_ITEM(node, struct pump, source_link));
    }
}

const struct propagator_stats *propagator_stats(const struct propagator *propagator)
{
    return &propagator->stats;
}

void propagator_close(struct context *ctx, struct propagator *p)
{
    p->closing = true;
    p->router->propagator = NULL;
    p->router->service->on_changes = NULL;
    list_remove(&p->task.link);
    env_timer_stop(p->env, &p->timer);
    LIST_FOR_EACH (node, &p->running)
        context_cancel(LIST_ITEM(node, struct pump, link)->ctx);
    while (p->running_count > 0)
        wait_queue_wait_out(ctx, &p->ended);
    uint32_t position = 0;
    struct source *source;
    while ((source = hash_map_next(&p->sources, &position)) != NULL) {
        bool last;
        do { /* the source goes with its last pump */
            last = source->pumps.next == source->pumps.prev;
            pump_free(LIST_ITEM(source->pumps.next, struct pump, source_link));
        } while (!last);
    }
    hash_map_release(&p->sources);
    buffer_release(&p->scratch);
    heap_free(p->env->heap, p, sizeof(*p));
}
