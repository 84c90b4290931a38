/* hold.c - writes that are refused because a global index of the table is behind.
 *
 * A pump (router/propagator.h) that has to wait for its index says so to the partition whose
 * changes it takes, again and again while it waits; what is said is good for REPLICA_HOLD_NS and
 * is kept nowhere, so that nothing outlives a pump.  A client's write that would change the index
 * is then refused, when it is decided and before anything is proposed (in a transaction: when it is
 * prepared); one that leaves the index as it is goes on, and so does what the server writes for
 * itself.
 */
#include "env/buggify.h"
#include "env/bugs.h"
#include "node/writing.h"

struct hold {
    struct list link; /* replica->holds */
    uint64_t consumer;
    uint64_t until_ns; /* env_now_ns */
    uint8_t limit;
    uint8_t name_bytes;
    uint8_t name[INDEX_NAME_BYTES_MAX];
};

static void hold_end(struct replica *replica, struct hold *hold)
{
    list_remove(&hold->link);
    heap_free(replica->node->env->heap, hold, sizeof(*hold));
}

static struct hold *find_hold(const struct replica *replica, uint64_t consumer)
{
    LIST_FOR_EACH (node, &replica->holds) {
        struct hold *hold = LIST_ITEM(node, struct hold, link);
        if (hold->consumer == consumer)
            return hold;
    }
    return NULL;
}

void holds_release(struct replica *replica)
{
    while (!list_empty(&replica->holds))
        hold_end(replica, LIST_ITEM(replica->holds.next, struct hold, link));
}

void hold_forget(struct replica *replica, uint64_t consumer)
{
    struct hold *hold = find_hold(replica, consumer);
    if (hold != NULL)
        hold_end(replica, hold);
}

static enum status hold_begin(struct replica *replica, const struct replica_hold *wanted)
{
    uint64_t slot;
    struct hold *hold = find_hold(replica, wanted->consumer);
    if (wanted->index.count > INDEX_NAME_BYTES_MAX)
        return STATUS_INVALID;
    if (!changes_mark(replica, wanted->consumer, &slot))
        return STATUS_NOT_FOUND; /* and so there are no more holds than marks */
    if (hold == NULL) {
        hold = heap_alloc_zero(replica->node->env->heap, sizeof(*hold));
        if (hold == NULL)
            return STATUS_NO_MEMORY;
        list_push_back(&replica->holds, &hold->link);
    }
    hold->consumer = wanted->consumer;
    hold->until_ns = env_now_ns(replica->node->env) + REPLICA_HOLD_NS;
    hold->limit = (uint8_t)wanted->limit;
    hold->name_bytes = (uint8_t)wanted->index.count;
    memcpy(hold->name, wanted->index.at, wanted->index.count);
    return STATUS_OK;
}

enum status node_hold_writes(struct context *ctx, struct replica_service *service,
                             const struct replica_target *target, const struct replica_hold *hold)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    struct replica *replica;
    enum status status = STATUS_OK;
    TRY(replica_enter(node, target->group_id, false, &replica));
    (void)ctx;
    if (hold->ends)
        hold_forget(replica, hold->consumer);
    else
        status = hold_begin(replica, hold);
    replica_leave(replica);
    return status;
}

enum status writing_check_hold(struct context *ctx, struct writing *w, struct bytes index)
{
    uint64_t now_ns = env_now_ns(ctx->env);
    if (w->decided || w->step != 0 || w->write->request->own) /* what is decided has no request */
        return STATUS_OK;
    LIST_FOR_EACH (node, &w->replica->holds) {
        const struct hold *hold = LIST_ITEM(node, struct hold, link);
        if (hold->until_ns <= now_ns || !bytes_equal(bytes_of(hold->name, hold->name_bytes), index))
            continue;
        REACHED("a write is refused for an index that is behind");
        w->result->held_for = arena_copy(&ctx->arena, index);
        w->result->held_limit = hold->limit;
        if (BUG(ctx->env, BUG_REFUSED_BUT_DONE))
            return STATUS_OK;
        return w->result->held_for.at == NULL ? STATUS_NO_MEMORY : STATUS_THROTTLED;
    }
    return STATUS_OK;
}
