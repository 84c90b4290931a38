/* node.c - the life of a node: its incarnations, their end by a stop or a crash, and the world's
 * end. */
#include <string.h>

#include "env/fiber.h"
#include "env/sim/sim_private.h"

static void log_write(void *sink, enum log_level level, struct bytes line)
{
    struct sim_node *node = sink;
    (void)level;
    sim_trace(node->sim, "%s: %.*s", node->name, BYTES_ARGS(line));
}

/* ---- Life ---- */

static struct env_ops *node_ops(struct sim *sim)
{
    struct env_ops *ops = sim_alloc(sim, sizeof(*ops));
    ops->job_submit = sim_job_submit;
    sim_loop_ops(ops);
    sim_file_ops(ops);
    sim_link_ops(ops);
    return ops;
}

static void crash_due(struct sim_event *event)
{
    struct sim_node *node = CONTAINER_OF(event, struct sim_node, crash_event);
    sim_node_crash(node, node->crash_kind);
}

struct sim_node *sim_node_create(struct sim *sim, const char *name)
{
    struct sim_node *node = sim_alloc(sim, sizeof(*node));
    size_t count = strlen(name) + 1;
    char *copy = sim_alloc(sim, count);
    memcpy(copy, name, count);
    node->name = copy;
    node->sim = sim;
    node->env.ops = node_ops(sim);
    sim_disk_init(&node->disk, sim);
    list_push_back(&sim->nodes, &node->link);
    return node;
}

struct env *sim_node_start(struct sim_node *node)
{
    ASSERT(!node->running);
    struct sim *sim = node->sim;
    node->incarnation++;
    node->running = true;
    heap_init(&node->heap, true);
    heap_init(&node->kernel, true);
    sim_loop_init(node);
    node->crash_event = (struct sim_event){.node = node, .run = crash_due};
    list_init(&node->listeners);
    list_init(&node->files);
    node->log = (struct log){
        .level_max = sim->options.trace != NULL ? LOG_DEBUG : LOG_ERROR,
        .write = log_write,
        .sink = node,
    };
    node->env = (struct env){.ops = node->env.ops,
                             .outside = node->env.ops,
                             .heap = &node->heap,
                             .log = &node->log,
                             .simulated = true};
#ifdef TRINE_DEBUG
    node->env.bugs = sim->options.bugs;
#endif
    sim_workers_open(node);
    sim_trace(sim, "%s: starts (incarnation %llu)", node->name,
              (unsigned long long)node->incarnation);
    return &node->env;
}

struct env *sim_node_env(struct sim_node *node)
{
    return node->running ? &node->env : NULL;
}

/* What ends with the incarnation in every case; returns the bytes that were in use. */
static size_t incarnation_end(struct sim_node *node)
{
    sim_cancel_node(node->sim, node);
    sim_workers_close(node);
    sim_files_close(node);
    if (node->env.fibers != NULL)
        fiber_pool_close(&node->env);
    size_t bytes_used = node->heap.bytes_used;
    heap_drop(&node->heap);
    heap_drop(&node->kernel);
    node->running = false;
    node->crash_in = 0;
    return bytes_used;
}

void sim_node_crash(struct sim_node *node, enum sim_crash crash)
{
    ASSERT(node->running);
    sim_count_fault(node->sim, crash == SIM_CRASH_POWER ? SIM_FAULT_POWER_LOSS : SIM_FAULT_KILL,
                    node->name);
    sim_operations_cut(node, crash);
    sim_links_drop(node, crash);
    incarnation_end(node);
    if (crash == SIM_CRASH_POWER)
        sim_disk_power_loss(&node->disk);
}

void sim_node_crash_at(struct sim_node *node, enum sim_crash crash, uint64_t count)
{
    node->crash_in = count;
    node->crash_kind = crash;
}

uint64_t sim_node_changes(const struct sim_node *node)
{
    return node->changes;
}

size_t sim_node_stop(struct sim_node *node)
{
    ASSERT(node->running);
    sim_trace(node->sim, "%s: stops", node->name);
    sim_links_drop(node, SIM_CRASH_KILL);
    return incarnation_end(node);
}

void sim_free(struct sim *sim)
{
    LIST_FOR_EACH (at, &sim->nodes) {
        struct sim_node *node = LIST_ITEM(at, struct sim_node, link);
        if (node->running)
            sim_node_crash(node, SIM_CRASH_KILL);
    }
    struct heap heap;
    heap_init(&heap, true);
    list_append_all(&heap.blocks, &sim->heap.blocks);
    heap_drop(&heap);
}
