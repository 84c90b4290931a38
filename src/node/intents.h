/* intents.h - which items of a replica have an intent (docs/transactions.md), in memory.
 *
 * An intent is a row of the tree beside its item, collection 200.  Two indexes:
 *
 *   by_item  as of the replica's newest entry, committed or not: of which items there is one, and
 *            what writers and readers need of it, so they read no row more
 *   stored   of which items the tree has one, or may have after a part of a batch: keys alone; the
 *            replica's blob lists them, for the start
 *
 * Invariants (the numbers are used in the .c and in the tests):
 *   (1) neither has more than INTENTS_MAX, nor INTENTS_KEY_BYTES_MAX of keys
 *   (2) by_item is bounded at each entry when it is proposed; so is stored, if a batch that puts
 *       more than intents_may_store allows ends before the entry that would: recovery, too, comes
 *       by no more than there were
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
    struct txn_id id;
    enum txn_kind kind;
    uint64_t timestamp;
    uint64_t of_version;
    uint64_t nudge_ns; /* when to tell about it, monotonic */
};

struct intents {
    struct hash_map by_item; /* struct held_intent */
    struct hash_map stored;  /* struct stored_intent, private */
    size_t key_bytes, stored_key_bytes;
};

/* `seed` as of a hash_map. */
void intents_init(struct intents *intents, struct heap *heap, uint64_t seed);
void intents_release(struct intents *intents);

/* How many there are as of the newest entry. */
static inline uint32_t intents_count(const struct intents *intents)
{
    return intents->by_item.live;
}

/* The item's intent; NULL: there is none. */
struct held_intent *intents_find(const struct intents *intents, struct bytes item);

/* Is there room for so many more? */
bool intents_fit(const struct intents *intents, uint32_t count, size_t key_bytes);

/* Note an intent on an item, in place of one that was not read; nudge_ns is monotonic.
 *   STATUS_NO_MEMORY, STATUS_BUSY (the bounds) */
MUST_USE enum status intents_add(struct intents *intents, struct bytes item,
                                 const struct intent *intent, uint64_t nudge_ns);

/* An entry removes the item's intent, or its proposal failed; there may be none. */
void intents_remove(struct intents *intents, struct bytes item);

/* ---- What the tree has ---- */

/* What a batch puts into the tree beyond what is there; zero to begin with. */
struct intents_batch {
    uint32_t count;
    size_t key_bytes;
};

/* May the batch put this one too? */
bool intents_may_store(const struct intents *intents, struct intents_batch *batch,
                       struct bytes item);

/* The tree is about to have the row, put by the entry at `slot`.  May be said again.
 *   STATUS_NO_MEMORY, STATUS_BUSY (the bounds) */
MUST_USE enum status intents_store(struct intents *intents, struct bytes item, uint64_t slot);

/* The entry at `slot`, which removes the row, is applied; one that puts it again may be, too. */
void intents_forget(struct intents *intents, struct bytes item, uint64_t slot);

/* Append the keys of the rows that the tree may have: u32 count, then for each u16 bytes, key. */
void intents_write_list(const struct intents *intents, struct buffer *to);

/* Check a list; *keys is then for intents_read_list.
 *   STATUS_CORRUPT */
MUST_USE enum status intents_check_list(struct bytes list, uint32_t *count, struct reader *keys);

/* Add the keys of a list that was checked, not read yet.
 *   STATUS_NO_MEMORY, STATUS_BUSY */
MUST_USE enum status intents_read_list(struct intents *intents, struct reader keys, uint32_t count);

#endif
