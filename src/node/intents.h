/* intents.h - which items of a replica have an intent (docs/transactions.md), in memory.
 *
 * An intent is a row of the tree beside its item, collection 200.  This index says of which items
 * there is one, and what writers and readers need of it: so they read no row more.  It is as of the
 * replica's newest entry, committed or not.  One that an entry has removed stays, as gone, until
 * that entry is applied: so the keys here are at least those of the rows in the tree, and the
 * replica's blob lists them, for the start.
 */
#ifndef NODE_INTENTS_H
#define NODE_INTENTS_H

#include "base/buffer.h"
#include "base/hash_map.h"
#include "txn/record.h"

#define INTENTS_MAX           4096u /* of one replica */
#define INTENTS_KEY_BYTES_MAX (256u * 1024u)

struct held_intent {
    struct bytes item; /* encoded key, behind this struct */
    bool is_read;      /* false: from the blob, and the row was not looked at yet */
    bool is_gone;      /* removed by the entry at gone_slot, which is not applied */
    uint64_t gone_slot;
    struct txn_id id;
    enum txn_kind kind;
    uint64_t timestamp;
    uint64_t of_version;
    uint64_t nudge_ns; /* when to tell about it, monotonic */
};

struct intents {
    struct hash_map by_item;
    uint32_t live; /* that are not gone */
    uint32_t key_bytes;
};

void intents_init(struct intents *intents, struct heap *heap, uint64_t seed);
void intents_release(struct intents *intents);

/* The item's intent; NULL: there is none. */
struct held_intent *intents_find(const struct intents *intents, struct bytes item);

/* Is there room for so many more? */
bool intents_fit(const struct intents *intents, uint32_t count, size_t key_bytes);

/* Note an intent on an item, in place of one that is gone or was not read; nudge_ns is set.
 *   STATUS_NO_MEMORY, STATUS_BUSY (the bounds) */
MUST_USE enum status intents_add(struct intents *intents, struct bytes item,
                                 const struct intent *intent, uint64_t nudge_ns);

/* Take back what intents_add has just added. */
void intents_take_back(struct intents *intents, struct bytes item);

/* The entry at `slot` removes the item's intent, if there is one. */
void intents_remove(struct intents *intents, struct bytes item, uint64_t slot);

/* The entry at `slot`, which removed it, is applied. */
void intents_applied(struct intents *intents, struct bytes item, uint64_t slot);

/* Append the keys of all: u32 count, then for each u16 bytes, key. */
void intents_write_list(const struct intents *intents, struct buffer *to);

/* Check a list; *keys is then for intents_read_list.
 *   STATUS_CORRUPT */
MUST_USE enum status intents_check_list(struct bytes list, uint32_t *count, struct reader *keys);

/* Add the keys of a list that was checked, not read yet.
 *   STATUS_NO_MEMORY, STATUS_BUSY */
MUST_USE enum status intents_read_list(struct intents *intents, struct reader keys, uint32_t count);

#endif
