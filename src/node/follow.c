/* follow.c - the changes of a replica for who follows them from outside: the calls of
 * the router. */
#include "node/node_private.h"

/* Ends between the changes of two writes when it has given as much as one call may. */
static enum status give(struct context *ctx, struct replica *replica, uint64_t slot,
                        struct follow_sink *sink)
{
    struct changes_walk walk;
    struct change_record record;
    uint64_t last_slot = slot;
    TRY(changes_open(ctx, replica, (struct change_position){.slot = slot + 1}, &walk));
    for (uint32_t rows = 0;; rows++) {
        TRY(changes_next(&walk, &record));
        bool full = rows >= CHANGES_CALL_ROWS_MAX || walk.bytes >= CHANGES_CALL_BYTES_MAX;
        if (full && rows > 0 && record.position.slot != last_slot)
            return STATUS_OK;
        last_slot = record.position.slot;
        struct replica_change change = {.slot = record.position.slot,
                                        .hlc = record.hlc,
                                        .actor = record.actor,
                                        .old = record.old,
                                        .current = record.current};
        fiber_no_wait_begin(ctx);
        enum status status = sink->take(sink, &change);
        fiber_no_wait_end(ctx);
        TRY(status);
    }
}

enum status node_follow(struct context *ctx, struct replica_service *service,
                        const struct replica_target *target, uint64_t slot,
                        struct follow_sink *sink)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    struct replica *replica;
    TRY(replica_enter(node, target->group_id, true, &replica));
    enum status status = give(ctx, replica, slot, sink);
    replica_leave(replica);
    return status == STATUS_END ? STATUS_OK : status;
}

enum status node_find_mark(struct context *ctx, struct replica_service *service,
                           const struct replica_target *target, uint64_t consumer,
                           struct replica_mark *mark)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    struct replica *replica;
    (void)ctx;
    TRY(replica_enter(node, target->group_id, true, &replica));
    *mark = (struct replica_mark){.last_slot = replica->paxos.last_slot};
    mark->is_there = changes_mark(replica, consumer, &mark->slot);
    replica_leave(replica);
    return STATUS_OK;
}

enum status node_set_mark(struct context *ctx, struct replica_service *service,
                          const struct replica_target *target, uint64_t consumer, uint64_t slot)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    struct replica *replica;
    TRY(replica_enter(node, target->group_id, false, &replica));
    if (slot == REPLICA_MARK_GOES)
        hold_forget(replica, consumer);
    enum status status = slot == REPLICA_MARK_GOES ? changes_mark_remove(ctx, replica, consumer)
                                                   : changes_mark_set(ctx, replica, consumer, slot);
    replica_leave(replica);
    return status;
}
