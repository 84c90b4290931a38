/* participant.h - what a partition decides about transactions, as functions of what it knows.
 *
 * The shell (node/) reads the item and looks for its intent, without waiting in between asks one of
 * these, and proposes an entry that says the same.  What they rest on is in the log: items, intents
 * and the group's two scalars; so a new leader decides as the old one would have.
 *
 * The rules are numbered as in docs/transactions.md, and each is taken away by a flag of
 * spec/transactions.pml.
 *
 * Pure: no clock, no allocation, no I/O.
 */
#ifndef TXN_PARTICIPANT_H
#define TXN_PARTICIPANT_H

#include "txn/txn.h"

/* Of a replication group; in its log and its replica's blob, copied to both halves of a split. */
struct txn_group {
    uint64_t absent_timestamp; /* the highest of deletes, and of committed checks of absent items */
    uint64_t absent_version;   /* slot of the last entry that deleted an item */
};

/* An item, as the leader sees it now: tree and overlay, committed or not. */
struct txn_item {
    bool present;
    uint64_t timestamp; /* write timestamp; 0 when absent */
    uint64_t version;   /* slot of the last write; 0 when absent */
    bool has_intent;
    struct txn_id intent_id;    /* whose */
    enum txn_kind intent_kind;  /* what it would do */
    uint64_t intent_timestamp;  /* of that transaction */
    uint64_t intent_of_version; /* the version that it was decided on */
};

/* What an absent item's next write has to be above, and a present one's. */
uint64_t txn_item_timestamp(const struct txn_group *group, const struct txn_item *item);

/* The version of an item, present or absent: equal only when nothing wrote it in between. */
uint64_t txn_item_version(const struct txn_group *group, const struct txn_item *item);

/* ---- The first phase ---- */

enum txn_prepare {
    TXN_PREPARE_OK,       /* evaluate the condition; if it holds, write the intent */
    TXN_PREPARE_ALREADY,  /* the intent is there: this message came twice; answer accepted */
    TXN_PREPARE_CONFLICT, /* another transaction is under way on it: TransactionConflict */
    TXN_PREPARE_TOO_OLD,  /* something newer happened to it: TransactionConflict; tell the
                             coordinator txn_item_timestamp */
};

/* May transaction `id` with `timestamp` prepare this item?  Conditions, sizes and limits are the
 * caller's to check, after this. */
enum txn_prepare txn_may_prepare(const struct txn_group *group, const struct txn_item *item,
                                 struct txn_id id, uint64_t timestamp);

/* ---- The second phase ---- */

/* What an entry is to say.  All false: the outcome was carried out already, answer yes. */
struct txn_effect {
    bool remove_intent;
    bool put_image;     /* the item becomes the intent's image; its version is the entry's slot */
    bool delete_item;   /* .. absent */
    bool stamp_item;    /* keeps contents and version, gets the timestamp: no change for streams,
                         * indexes and readers */
    bool raise_absent;  /* the group's absent_timestamp becomes at least the timestamp */
    uint64_t timestamp; /* the transaction's; 0 when nothing is to be done */
};

/*   STATUS_CORRUPT  the item changed under its intent: a fault of this program or its data; nothing
 *                   may be written */
MUST_USE enum status txn_commit(const struct txn_item *item, struct txn_id id,
                                struct txn_effect *effect);
void txn_cancel(const struct txn_item *item, struct txn_id id, struct txn_effect *effect);

/* Bring the group's scalars up to date with an entry at `slot` that has this effect. */
void txn_group_apply(struct txn_group *group, const struct txn_effect *effect, uint64_t slot);

/* ---- Single writes, one-round transactions ---- */

/* May a write that is no part of a transaction change the item?  If not, it gets a
 * TransactionConflictException. */
static inline bool txn_may_write(const struct txn_item *item)
{
    return !item->has_intent;
}

/* The timestamp of a write that the partition orders by itself: above whatever happened to the
 * item.  A transaction in one round takes the maximum over its items. */
uint64_t txn_write_timestamp(const struct txn_group *group, const struct txn_item *item,
                             uint64_t hlc);

/* The effect of such a write on an item: PUT, DELETE or, in a transaction, CHECK. */
void txn_write(const struct txn_item *item, enum txn_kind kind, uint64_t timestamp,
               struct txn_effect *effect);

/* ---- TransactGetItems ---- */

/* Refused where a write is in flight: at the first read to be quick about it, at the second because
 * an item may be old there while others are new already. */
static inline bool txn_may_read(const struct txn_item *item)
{
    return !item->has_intent;
}

/* Is what the first read saw still so? */
static inline bool txn_may_confirm(const struct txn_group *group, const struct txn_item *item,
                                   uint64_t version)
{
    return txn_may_read(item) && txn_item_version(group, item) == version;
}

#endif
