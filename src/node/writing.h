/* writing.h - one write on its way through the leader, and the changes that it comes to; for this
 * folder. */
#ifndef NODE_WRITING_H
#define NODE_WRITING_H

#include "node/node_private.h"

/* What a write on a large item comes to, evaluated ahead. */
struct outcome {
    bool known;
    uint64_t version; /* of the old item that it rests on */
    enum status status;
    uint32_t old_bytes, new_bytes;
    struct value item; /* the new one, in writing.made */
    struct error error;
};

struct writing {
    struct replica *replica;
    const struct replica_target *target;
    const struct replica_write *write;
    struct write_result *result;
    struct error *error;
    struct tree_place *place; /* of the writes of one call; NULL: it is alone */
    struct row old; /* .item is VALUE_ABSENT when there is none; borrowed until the next wait */
    struct bytes old_row;   /* the same, stored; empty when there is none */
    uint64_t observed_slot; /* of the image it was decided on; 0 = applied long ago */
    uint64_t slot;          /* to be committed before the answer: its own, or the one observed */
    enum expire_step step;  /* 0: a client's write, or one that it is as good as */
    uint64_t expires_s;     /* DELETE: what the row says */
    struct bytes ttl_key;   /* DELETE, PURGE: that row's */
    bool rows_only;         /* a step that leaves the item as it is */
    /* A row that is read and written with the item: the size of its item collection, of tables with
     * local indexes; the tombstone of a row of a global index. */
    bool has_beside;
    uint64_t beside;      /* what it says */
    uint64_t beside_slot; /* as observed_slot; 0 without such a row */
    uint32_t ahead_tries;
    struct outcome ahead;
    struct buffer made; /* the new item that was evaluated ahead */
    bool decided; /* it is a transaction's, which has prepared it: nothing refuses it any more */
};

#define BESIDE_BYTES 9u /* of such a row: u8 format: 1 | u64, little-endian */

/* One mutation to be. */
struct change {
    struct bytes key;
    struct value item; /* of a row with a header; else VALUE_ABSENT */
    struct bytes row;  /* of a row without one */
    int32_t size_change;
    bool is_delete, is_new, is_stamp;
};

/* The item, for each local index a row that goes and one that comes, the collection's size, and
 * what says when the item expires, before and after. */
#define CHANGES_MAX (1u + 2u * LOCAL_INDEXES_MAX + 1u + 2u)

struct changes {
    struct change at[CHANGES_MAX];
    uint32_t count;
    uint8_t beside[BESIDE_BYTES];
};

_Static_assert(ENTRY_HEADER_BYTES + (LOCAL_INDEXES_MAX + 2) * (size_t)ITEM_STORED_BYTES_MAX +
                       (CHANGES_MAX + 1) *
                           (ENTRY_MUTATION_BYTES + ROW_HEADER_BYTES + KEY_BYTES_MAX) <=
                   ENTRY_BYTES_MAX,
               "the item before and after, and its rows in all indexes, fit in an entry");

/* ---- write.c ---- */

#define TRANSACTION_ONGOING "Transaction is ongoing for the item"

/* Wait until the overlay takes more, unless that would be for a disk that is full.  Ends with the
 * replica serving. */
MUST_USE enum status replica_wait_for_room(struct context *ctx, struct replica *replica);

/* What became large in a stretch without waits is given back. */
void node_release_scratch(struct node *node);

/*   STATUS_INVALID  *error: a transaction is prepared on the item */
MUST_USE enum status writing_check_intent(struct writing *w);

/* Does the condition hold for the old image?
 *   STATUS_CONDITION_FAILED, STATUS_INVALID  *error */
MUST_USE enum status writing_check_condition(struct context *ctx, struct writing *w,
                                             const struct pause *pause);

/* The item after the write; VALUE_ABSENT for a delete.  In the request, the old image, or
 * `scratch`.
 *   STATUS_INVALID  *error */
MUST_USE enum status writing_make_item(struct context *ctx, struct writing *w,
                                       struct buffer *scratch, const struct pause *pause,
                                       struct value *item);

/* The bytes of the mutation, but for the image from before; and the mutation.  `header` is that of
 * rows with one; `before` the item's row from before, when it is kept. */
size_t change_bytes(const struct change *change);
uint8_t *change_write(uint8_t *to, const struct change *change, const struct row *header,
                      struct bytes before);

/* Everything up to the proposal; waits only before the image is read. */
MUST_USE enum status writing_execute(struct context *ctx, struct writing *w);

/* The entry that makes the changes, and its proposal; does not wait. */
MUST_USE enum status writing_propose(struct context *ctx, struct writing *w,
                                     const struct changes *changes);

/* ---- hold.c ---- */

/* May the write change the index of that name now?  Does not wait.
 *   STATUS_THROTTLED  w->result says that the index is behind */
MUST_USE enum status writing_check_hold(struct context *ctx, struct writing *w, struct bytes index);

/* ---- expire.c ---- */

/* Add what the write changes in the rows that say when items expire.  Does not wait.
 *   STATUS_NO_MEMORY */
MUST_USE enum status writing_add_ttl(struct context *ctx, const struct writing *w,
                                     struct value item, struct changes *changes);

/* As decide in write.c, for a step.  *ordinary: it is to be decided there, as a delete. */
MUST_USE enum status writing_decide_step(struct context *ctx, struct writing *w, bool *ordinary);

/* ---- beside.c ---- */

/* What the row beside the item says, as it was read; at NULL: there is none.
 *   STATUS_CORRUPT, STATUS_VERSION */
MUST_USE enum status writing_take_beside(struct writing *w, struct bytes row);

/* Read the item by `read_item`, and the row beside it, so that both are the newest when this
 * returns. */
MUST_USE enum status writing_read_beside(struct context *ctx, struct writing *w,
                                         enum status (*read_item)(struct context *ctx,
                                                                  struct writing *w));

/* Add what changes the row of key `beside` so that it says `number`, or is not there. */
MUST_USE enum status writing_change_beside(struct context *ctx, const struct writing *w,
                                           const struct key *beside, bool is_there, uint64_t number,
                                           struct changes *changes);

/* ---- global_index.c ---- */

/* Decide on a write to a row of a global index, by its version, and propose it.  Does not wait. */
MUST_USE enum status writing_decide_row(struct context *ctx, struct writing *w);

/* ---- local_index.c ---- */

/* Add what the write, which makes the old image into `item`, changes in the local indexes, and in
 * the size of the collection; and say in the result what that costs.  Does not wait.
 *   STATUS_INVALID  *error: an update gave an index's key a wrong value, or the collection would
 *                   outgrow its bound */
MUST_USE enum status writing_add_indexes(struct context *ctx, struct writing *w, struct value item,
                                         struct changes *changes);

#endif
