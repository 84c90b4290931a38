/* transact_read.c - items and their versions, for transactions that only read. */
#include "admission/units.h"
#include "node/several.h"

struct version_read {
    struct several s;
    bool want_items;
    struct version_result *results;
    bool proposed;
};

static enum status view_one(struct version_read *r, struct item_op *op,
                            struct version_result *result)
{
    struct several *s = &r->s;
    TRY(several_view(s, op));
    struct txn_item item = several_item(s, op);
    *result = (struct version_result){.version = txn_item_version(&s->replica->txn, &item),
                                      .in_flight = !txn_may_read(&item)};
    if (!item.present)
        return STATUS_OK;
    result->item_bytes = item_size(op->w.old.item);
    if (!r->want_items)
        return STATUS_OK;
    struct bytes copy =
        arena_copy(&s->ctx->arena, bytes_of(op->w.old.item.at, op->w.old.item.bytes));
    if (copy.at == NULL)
        return STATUS_NO_MEMORY;
    result->item = (struct value){copy.at, op->w.old.item.bytes};
    return STATUS_OK;
}

/* What was seen may not be committed: an item as an entry leaves it that is only proposed, or one
 * that is absent for one.  The answer waits for it: the older state would be without the intent
 * that the same entry has removed. */
static enum status view_now(void *argument)
{
    struct version_read *r = argument;
    struct several *s = &r->s;
    for (uint32_t i = 0; i < s->count; i++)
        TRY(view_one(r, &s->ops[i], &r->results[i]));
    s->slot = MAX(s->slot, MIN(s->replica->txn.absent_version, s->replica->paxos.last_slot));
    return STATUS_OK;
}

/* Twice a strongly consistent read of each item; of those that were too large, of what was read of
 * them. */
static void charge(struct version_read *r, enum status status)
{
    uint64_t cost = 0;
    if (status == STATUS_TOO_LARGE)
        cost = 2 * units_read_halves(r->s.bytes_max, true);
    for (uint32_t i = 0; status == STATUS_OK && i < r->s.count; i++)
        cost += 2 * units_read_halves(r->results[i].item_bytes, true);
    replica_charge(r->s.replica, r->s.target, ADMISSION_READ,
                   (int64_t)cost - (int64_t)units_read_least(true));
}

enum status node_read_version(struct context *ctx, struct replica_service *service,
                              const struct replica_target *target, const struct bytes *keys,
                              uint32_t count, bool want_items, uint64_t bytes_max,
                              struct version_result *results)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    struct version_read r = {.want_items = want_items, .results = results};
    struct replica *replica;
    struct replica_write *writes =
        arena_alloc_zero(&ctx->arena, (count + (size_t)1) * sizeof(*writes));
    if (writes == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++)
        writes[i].key = keys[i];
    TRY(replica_enter(node, target->group_id, true, &replica));
    enum status status = STATUS_OK;
    if (want_items)
        status = replica_admit(replica, target, ADMISSION_READ, units_read_least(true));
    if (status == STATUS_OK)
        status = several_init(&r.s, ctx, replica, target, writes, count, NULL, NULL);
    r.s.only_reads = true;
    r.s.bytes_max = bytes_max;
    if (status == STATUS_OK)
        status = several_run(&r.s, view_now, &r, &r.proposed);
    if (status == STATUS_OK)
        status = several_wait_commit(&r.s);
    if ((status == STATUS_OK || status == STATUS_TOO_LARGE) && want_items)
        charge(&r, status);
    replica_leave(replica);
    return status;
}
