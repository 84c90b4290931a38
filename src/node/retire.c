/* retire.c - the replica of a table that was deleted keeps its change records, and loses the rest.
 *
 * Of the log nothing says so: the catalog does, and whoever reads it retires the replica after each
 * start.  When everything that was committed is applied, an empty tree takes the place of the first
 * one, with the same applied slot: to the log, to checkpoints and to the second tree nothing has
 * happened.  A crash before the next checkpoint brings the items back, until the replica is retired
 * again.
 */
#include "node/node_private.h"

/* A transaction that was decided has its effect in the records: but not for ever. */
#define INTENTS_WAIT_NS UINT64_C(10000000000)
#define INTENTS_POLL_NS UINT64_C(10000000)
#define LOOK_NS         UINT64_C(1000000000) /* between two looks, when nothing wakes */

/* Nobody is in the replica but who reads records, and everything is applied. */
static bool is_idle(const struct replica *replica)
{
    return replica->users == replica->change_users && list_empty(&replica->entries);
}

/* What keeps the log from being applied, if it is more than time. */
static enum status check_applies(const struct replica *replica)
{
    if (replica_applies(replica) && replica->apply_status != STATUS_OK)
        return replica->apply_status;
    if (replica->node->stalled && !list_empty(&replica->entries))
        return STATUS_NO_SPACE;
    return replica->state == REPLICA_RETIRED ? STATUS_OK : STATUS_UNAVAILABLE;
}

static enum status wait_unused(struct context *ctx, struct replica *replica)
{
    uint64_t deadline_ns = ctx->deadline_ns;
    ctx->deadline_ns = MIN(deadline_ns, env_now_ns(ctx->env) + LOOK_NS);
    enum status status = wait_queue_wait(ctx, &replica->unused);
    ctx->deadline_ns = deadline_ns;
    if (status == STATUS_DEADLINE && env_now_ns(ctx->env) < deadline_ns)
        return STATUS_OK;
    return status;
}

/* Let nobody in but who reads records, and wait until the others have left. */
static enum status close_doors(struct context *ctx, struct replica *replica)
{
    if (replica->state != REPLICA_RETIRED) {
        TRY(replica->state == REPLICA_SERVING ? STATUS_OK : STATUS_UNAVAILABLE);
        replica_set_state(replica, REPLICA_RETIRED);
    }
    while (!is_idle(replica)) {
        TRY(check_applies(replica));
        TRY(wait_unused(ctx, replica));
    }
    return STATUS_OK;
}

/* As close_doors, when transactions have left as well, or have had the time for it. */
static enum status settle(struct context *ctx, struct replica *replica)
{
    uint64_t end_ns = env_now_ns(ctx->env) + INTENTS_WAIT_NS;
    for (;;) {
        while (intents_count(&replica->intents) > 0 && env_now_ns(ctx->env) < end_ns)
            TRY(context_sleep(ctx, INTENTS_POLL_NS));
        TRY(close_doors(ctx, replica));
        if (intents_count(&replica->intents) == 0 || env_now_ns(ctx->env) >= end_ns)
            return STATUS_OK;
        replica_set_state(replica, REPLICA_SERVING); /* one came through the door */
    }
}

/* Nothing waits in here. */
static enum status lose_items(struct replica *replica)
{
    if (tree_row(replica->tree).items > 0)
        TRY(tree_clear(replica->tree, &replica->tree));
    replica->counts = (struct replica_counts){0};
    replica->has_others = false;
    replica_forget_intents(replica);
    changes_forget_marks(replica);
    holds_release(replica);
    (void)!replica_save(replica); /* without memory, with the next checkpoint */
    return STATUS_OK;
}

static enum status retire(struct context *ctx, struct replica *replica)
{
    TRY(settle(ctx, replica));
    fiber_no_wait_begin(ctx);
    enum status status = lose_items(replica);
    fiber_no_wait_end(ctx);
    return status;
}

enum status node_retire_replica(struct context *ctx, struct replica_service *service,
                                uint64_t group_id)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    struct replica *replica = node_replica(node, group_id);
    if (replica == NULL || replica->state == REPLICA_CLOSING)
        return STATUS_NOT_FOUND;
    if (replica->removing)
        return STATUS_BUSY;
    bool was_retired = replica->state == REPLICA_RETIRED;
    replica->removing = true;
    enum status status = retire(ctx, replica);
    replica->removing = false;
    if (status != STATUS_OK && replica->state == REPLICA_RETIRED && !was_retired)
        replica_set_state(replica, REPLICA_SERVING);
    return status;
}
