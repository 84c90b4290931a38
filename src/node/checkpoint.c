/* checkpoint.c - when to make one: by the log since the last, by time, and when the forest asks;
 * and what the log may forget after it. */
#include "node/node_private.h"

/* How often the log's growth is looked at; in memory, where the log takes the place of data, more often
 * while it grows. */
#define LOOK_NS        UINT64_C(250000000)
#define MEMORY_LOOK_NS UINT64_C(20000000)

struct lsn node_covered(const struct node *node)
{
    struct lsn covered = wal_durable(node->wal);
    uint32_t position = 0;
    const struct replica *replica;
    while ((replica = hash_map_next(&node->replicas, &position)) != NULL) {
        if (list_empty(&replica->entries))
            continue;
        struct lsn first = LIST_ITEM(replica->entries.next, struct log_entry, link)->lsn;
        if (lsn_before(first, covered))
            covered = first;
    }
    return covered;
}

static uint64_t log_bytes(const struct node *node)
{
    return wal_stats(node->wal)->appended_bytes;
}

/* Wait until a checkpoint is due.  false: the node closes. */
static bool wait_due(struct context *ctx, struct node *node, uint64_t last_ns)
{
    uint64_t grown_before = 0;
    while (!node->closing) {
        uint64_t now_ns = env_now_ns(ctx->env);
        uint64_t grown = log_bytes(node) - node->log_bytes_at_checkpoint;
        bool soon = node->options.in_memory && grown != grown_before;
        grown_before = grown;
        if (grown >= node->options.checkpoint_bytes)
            return true;
        if (grown > 0 && now_ns - last_ns >= node->options.checkpoint_ns)
            return true;
        enum status status = forest_wait_checkpoint_due(ctx, node->forest,
                                                        now_ns + (soon ? MEMORY_LOOK_NS : LOOK_NS));
        if (status == STATUS_OK)
            return true;
        if (status == STATUS_CANCELLED)
            return false;
    }
    return false;
}

void checkpointer_run(struct context *ctx, void *argument)
{
    struct node *node = argument;
    enum status last = STATUS_OK;
    uint64_t last_ns = env_now_ns(ctx->env);
    while (wait_due(ctx, node, last_ns)) {
        last_ns = env_now_ns(ctx->env);
        uint64_t bytes = log_bytes(node);
        enum status status = forest_checkpoint(ctx, node->forest, node_covered(node));
        if (status == STATUS_OK) {
            node->log_bytes_at_checkpoint = bytes;
            wal_release(node->wal, forest_log_needed(node->forest));
        } else if (status != last) {
            log_line(ctx->env->log, LOG_ERROR, "node", "a checkpoint failed: %s",
                     status_text(status));
        }
        last = status;
        if (status != STATUS_OK && context_sleep(ctx, LOOK_NS) != STATUS_OK)
            break;
        arena_reset(&ctx->arena);
    }
    node->fibers--;
    wait_queue_wake_all(&node->fibers_ended);
}
