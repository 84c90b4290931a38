/* several.h - what is done to several items of a replica at one moment; for this folder.
 *
 * Rows are read one by one, and each read may wait.  So what was read is copied, with the slot that
 * was applied then; when all are there it is asked of each, without a wait, whether it is still the
 * newest, and what is not is read again.  Then all of them are decided upon, and the entry that
 * comes of it is proposed, before the fiber waits again.
 */
#ifndef NODE_SEVERAL_H
#define NODE_SEVERAL_H

#include "node/writing.h"

/* One row that is read. */
struct peek {
    struct bytes key;
    struct bytes row; /* at NULL: there is none */
    bool wanted;      /* false: not to be read */
    bool read;
    uint64_t applied_slot; /* of the replica when it was read */
    uint64_t slot;         /* of the entry that wrote it; 0: applied long ago */
};

/* One of several items. */
struct item_op {
    struct writing w;
    struct peek item;
    struct peek size;   /* of the item collection; of tables with local indexes */
    struct peek intent; /* its row; in the second phase */
    bool has_size_row;  /* of its collection, for the entry that is made: */
    struct change size_row;
    uint8_t size_bytes[BESIDE_BYTES];
};

struct several {
    struct context *ctx;
    struct replica *replica;
    const struct replica_target *target;
    struct item_op *ops;
    uint32_t count;
    struct peek mark;
    bool only_reads;    /* nothing comes of it that needs room */
    uint64_t bytes_max; /* of all items together, as the service counts; UINT64_MAX: any */
    uint64_t slot;      /* to be committed before the answer */
};

/* Set up for `writes`; everything is in the fiber's arena.  `results`, `errors` may be NULL.
 *   STATUS_NO_MEMORY, STATUS_CORRUPT (a key is none) */
MUST_USE enum status several_init(struct several *s, struct context *ctx, struct replica *replica,
                                  const struct replica_target *target,
                                  const struct replica_write *writes, uint32_t count,
                                  struct write_result *results, struct error *errors);

/* Wait for room in the overlay, and until all that is wanted is read; when this returns all of it
 * is the newest, until the fiber waits.
 *   STATUS_TOO_LARGE  it is over bytes_max: the rest is not read */
MUST_USE enum status several_read(struct several *s);

/* Charge a transaction's writes, of which replica_admit has charged UNITS_WRITE_LEAST: twice what a
 * single write of the item costs, for its rows in indexes once. */
void several_charge(struct several *s, const enum status *statuses);

/* Run `now` once all that is wanted is read, in a stretch without waits; again when the log took no
 * more (STATUS_BUSY), unless *proposed says that some of it is in the log.
 *   STATUS_UNKNOWN_OUTCOME  that     others: what `now` said */
MUST_USE enum status several_run(struct several *s, enum status (*now)(void *argument),
                                 void *argument, const bool *proposed);

/* The item's old image into op->w.old, what it counts of its collection, and its newest slot into
 * s->slot.
 *   STATUS_CORRUPT, STATUS_VERSION */
MUST_USE enum status several_view(struct several *s, struct item_op *op);

/* What transactions see of the item. */
struct txn_item several_item(const struct several *s, const struct item_op *op);

/* ---- Entries: mutations are gathered in the node's buffer, then proposed ---- */

struct entry_maker {
    struct buffer *to;
    uint32_t count;
    uint8_t actor, flags, stream; /* of its header */
    uint64_t hlc;
    uint64_t absent_timestamp;
    int32_t intents;
};

void entry_begin(struct entry_maker *maker, const struct several *s);
void entry_add(struct entry_maker *maker, const struct change *change, const struct row *header,
               struct bytes before);

/* The changes of one item; the first is the item's, and has its image from before if the table
 * keeps them. */
void entry_add_item(struct entry_maker *maker, const struct writing *w,
                    const struct changes *changes, const struct row *header);

/* The intent of an item is removed. */
void entry_remove_intent(struct entry_maker *maker, const struct key *intent);

/* Propose what the maker holds, at least one mutation; the maker stays as it is.
 *   STATUS_TOO_LARGE, STATUS_BUSY, STATUS_NO_SPACE, STATUS_NO_MEMORY  nothing was proposed */
MUST_USE enum status entry_send(const struct entry_maker *maker, struct several *s, bool urgent);

/* Propose the entry; then the maker is as after entry_begin.  Nothing to be said is fine.
 * `urgent`: as a replica_write's.
 *   STATUS_TOO_LARGE, STATUS_BUSY, STATUS_NO_SPACE, STATUS_NO_MEMORY  nothing was proposed */
MUST_USE enum status entry_propose(struct entry_maker *maker, struct several *s, bool urgent);

/* The bytes that the entry has so far. */
size_t entry_bytes(const struct entry_maker *maker);

/* ---- Marks: transact_commit.c ---- */

/* The mark of a transaction beside its first item (docs/transactions.md); in the arena. */
MUST_USE enum status mark_key(struct arena *arena, struct bytes item, struct txn_id id,
                              struct bytes *key);
void mark_add(struct entry_maker *maker, struct bytes key, enum txn_state state,
              uint64_t created_ns);

/* What a mark says.
 *   STATUS_VERSION, STATUS_CORRUPT */
MUST_USE enum status mark_read(struct bytes row, enum txn_state *state);

/* Wait until what was proposed, or seen, is committed. */
MUST_USE enum status several_wait_commit(struct several *s);

#endif
