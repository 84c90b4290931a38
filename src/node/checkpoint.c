/* checkpoint.c - when to make one: by the log since the last, by time, and when the forest asks;
 * and what the log may forget after it. */
#include "node/node_private.h"

#define RETRY_NS UINT64_C(250000000) /* after a checkpoint that failed */

/* The position up to which everything in the log is in the forest. */
static struct lsn position(const struct node *node)
{
    struct lsn covered = wal_durable(node->wal);
    uint32_t at = 0;
    const struct replica *replica;
    while ((replica = hash_map_next(&node->replicas, &at)) != NULL) {
        if (list_empty(&replica->entries))
            continue;
        struct lsn first = LIST_ITEM(replica->entries.next, struct log_entry, link)->lsn;
        if (lsn_before(first, covered))
            covered = first;
    }
    LIST_FOR_EACH (link, &node->structural) {
        struct lsn lsn = LIST_ITEM(link, struct structural, link)->lsn;
        if (lsn_before(lsn, covered))
            covered = lsn;
    }
    return covered;
}

enum status node_cover(struct node *node, struct lsn *covered)
{
    uint32_t at = 0;
    struct replica *replica;
    while ((replica = hash_map_next(&node->replicas, &at)) != NULL)
        TRY(replica_save(replica));
    *covered = position(node);
    return STATUS_OK;
}

/* Blocks count whole: a lone small record takes one. */
static uint64_t log_bytes(const struct node *node)
{
    return wal_stats(node->wal)->written_bytes;
}

static bool log_is_long(const struct node *node)
{
    return node->changes > node->changes_at_checkpoint &&
           log_bytes(node) - node->log_bytes_at_checkpoint >= node->options.checkpoint_bytes;
}

void node_log_grew(struct node *node)
{
    node->changes++;
    if (UNLIKELY(log_is_long(node)) && !node->checkpoint_asked) {
        node->checkpoint_asked = true;
        forest_want_checkpoint(node->forest);
    }
}

enum status node_log_refused(struct node *node)
{
    if (wal_stats(node->wal)->live_bytes <= node->live_bytes_max)
        return STATUS_OK;
    forest_want_checkpoint(node->forest);
    return node->checkpoint_status == STATUS_NO_SPACE ? STATUS_NO_SPACE : STATUS_OK;
}

void node_log_is_full(struct node *node)
{
    if (wal_stats(node->wal)->live_segments <= 1 || node->closing)
        return;
    node->checkpoint_again = true;
    forest_want_checkpoint(node->forest);
}

/* The node closes and the appliers have ended: until then they may wait for what a checkpoint
 * gives. */
static bool is_last(const struct node *node)
{
    return node->closing && node->fibers == 1;
}

/* Wait until a checkpoint is due.  false: the node closes.  An idle node sleeps. */
static bool wait_due(struct context *ctx, struct node *node, uint64_t last_ns)
{
    while (!is_last(node)) {
        if (log_is_long(node))
            return true;
        uint64_t now_ns = env_now_ns(ctx->env);
        if (now_ns - last_ns >= node->options.checkpoint_ns) {
            if (node->changes > node->changes_at_checkpoint)
                return true;
            last_ns = now_ns;
        }
        enum status status =
            forest_wait_checkpoint_due(ctx, node->forest, last_ns + node->options.checkpoint_ns);
        if (status == STATUS_OK)
            return !is_last(node);
        if (status == STATUS_CANCELLED)
            return false;
    }
    return false;
}

static enum status checkpoint(struct context *ctx, struct node *node)
{
    uint64_t bytes = node->log_bytes_at_checkpoint;
    uint64_t changes = node->changes_at_checkpoint;
    struct lsn covered;
    TRY(node_cover(node, &covered));
    node->checkpoint_asked = false;
    node->log_bytes_at_checkpoint = log_bytes(node);
    node->changes_at_checkpoint = node->changes;
    enum status status = forest_checkpoint(ctx, node->forest, covered);
    if (status == STATUS_OK) {
        wal_release(node->wal, forest_log_needed(node->forest));
        if (node->checkpoint_again)
            forest_want_checkpoint(node->forest);
        node->checkpoint_again = false;
        return STATUS_OK;
    }
    node->log_bytes_at_checkpoint = bytes;
    node->changes_at_checkpoint = changes;
    return status;
}

void checkpointer_run(struct context *ctx, void *argument)
{
    struct node *node = argument;
    uint64_t last_ns = env_now_ns(ctx->env);
    /* After a failure the forest refuses what is to be applied until one succeeds: it is not waited
     * for until more is written, which may be never. */
    while (!is_last(node) &&
           (node->checkpoint_status != STATUS_OK || wait_due(ctx, node, last_ns))) {
        last_ns = env_now_ns(ctx->env);
        enum status status = checkpoint(ctx, node);
        if (status != STATUS_OK && status != node->checkpoint_status)
            log_line(ctx->env->log, LOG_ERROR, "node", "a checkpoint failed: %s",
                     status_text(status));
        node->checkpoint_status = status;
        if (status != STATUS_OK)
            wait_queue_wake_all(&node->log_room); /* who waits for it may learn why */
        arena_reset(&ctx->arena);
        if (status != STATUS_OK && !is_last(node) && context_sleep(ctx, RETRY_NS) != STATUS_OK)
            break;
    }
    node->fibers--;
    wait_queue_wake_all(&node->fibers_ended);
}
