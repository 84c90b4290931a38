#include "txn/participant.h"

#include "base/assert.h"

uint64_t txn_item_timestamp(const struct txn_group *group, const struct txn_item *item)
{
    return item->present ? item->timestamp : group->absent_timestamp;
}

uint64_t txn_item_version(const struct txn_group *group, const struct txn_item *item)
{
    return item->present ? item->version : group->absent_version;
}

static bool has_intent_of(const struct txn_item *item, struct txn_id id)
{
    return item->has_intent && txn_id_equal(item->intent_id, id);
}

enum txn_prepare txn_may_prepare(const struct txn_group *group, const struct txn_item *item,
                                 struct txn_id id, uint64_t timestamp)
{
    if (has_intent_of(item, id))
        return TXN_PREPARE_ALREADY;
    /* ATC'23, 3.2: accepted only if "there is no other transaction that has been accepted but not
     * finished" on the item .. */
    if (item->has_intent)
        return TXN_PREPARE_CONFLICT;
    /* .. and its timestamp is above the item's; for one that is not there, above the partition's
     * highest delete.  So a message of a transaction that is over is refused, however late. */
    if (timestamp <= txn_item_timestamp(group, item))
        return TXN_PREPARE_TOO_OLD;
    return TXN_PREPARE_OK;
}

void txn_write(const struct txn_item *item, enum txn_kind kind, uint64_t timestamp,
               struct txn_effect *effect)
{
    *effect = (struct txn_effect){.timestamp = timestamp};
    switch (kind) {
    case TXN_PUT:
        effect->put_image = true;
        break;
    case TXN_DELETE:
        effect->delete_item = item->present;
        effect->raise_absent = true;
        break;
    case TXN_CHECK:
        effect->stamp_item = item->present;
        effect->raise_absent = !item->present;
        break;
    }
}

enum status txn_commit(const struct txn_item *item, struct txn_id id, struct txn_effect *effect)
{
    *effect = (struct txn_effect){0};
    if (!has_intent_of(item, id))
        return STATUS_OK; /* committed before */
    if (item->version != item->intent_of_version ||
        (item->present && item->timestamp >= item->intent_timestamp))
        return STATUS_CORRUPT;
    txn_write(item, item->intent_kind, item->intent_timestamp, effect);
    effect->remove_intent = true;
    return STATUS_OK;
}

void txn_cancel(const struct txn_item *item, struct txn_id id, struct txn_effect *effect)
{
    *effect = (struct txn_effect){.remove_intent = has_intent_of(item, id)};
}

void txn_group_apply(struct txn_group *group, const struct txn_effect *effect, uint64_t slot)
{
    if (effect->raise_absent && effect->timestamp > group->absent_timestamp)
        group->absent_timestamp = effect->timestamp;
    if (effect->delete_item) {
        ASSERT(slot >= group->absent_version); /* an entry may delete several */
        group->absent_version = slot;
    }
}

uint64_t txn_write_timestamp(const struct txn_group *group, const struct txn_item *item,
                             uint64_t hlc)
{
    uint64_t above = item->present && item->timestamp > group->absent_timestamp
                         ? item->timestamp
                         : group->absent_timestamp;
    return hlc > above ? hlc : above + 1;
}
