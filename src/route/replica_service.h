/* replica_service.h - what a replica of a partition does for the router: the calls that cross from
 * router to node.
 *
 * node/ implements it; router/ calls it, here in the same process, in a cluster by a message.  So
 * everything in a call is scalars and bytes.  A call names the group, and is answered STATUS_MOVED
 * when this node does not lead it.
 *
 * get, write and range may answer STATUS_THROTTLED (the partition has used up its share of the
 * table's throughput, or a write's result names an index that is behind) and STATUS_HOT (it serves
 * as much as one partition may): nothing was done.
 *
 * All functions run on the caller's fiber and may wait.  `error` is filled in when, and only when,
 * the fault is the client's: STATUS_INVALID and STATUS_CONDITION_FAILED.
 */
#ifndef ROUTE_REPLICA_SERVICE_H
#define ROUTE_REPLICA_SERVICE_H

#include "admission/partition_tokens.h"
#include "env/fiber.h"
#include "model/key.h"
#include "request/change.h"
#include "request/data.h"
#include "request/error.h"
#include "txn/txn.h"

/* Which replica, and what it needs to know of the table. */
struct replica_target {
    uint64_t group_id;
    uint64_t table_id;
    uint64_t schema_version;
    struct partition_rate rates[ADMISSION_KINDS]; /* that it is held to */
    uint8_t keeps_changes;                        /* enum change_keeping: of what is written */
    uint8_t stream; /* the number of the table's stream, with ..._FOR_STREAM; else 0 */
};

struct replica_get {
    struct bytes key; /* encoded */
    bool consistent;
};

/* One of many that will be read soon. */
struct replica_point {
    uint64_t group_id;
    struct bytes key; /* encoded */
};

struct replica_write {
    struct bytes key;            /* encoded */
    struct value key_attributes; /* UPDATE, DELETE: a map of just the key */
    const struct write_request *request;
    struct bytes ttl;         /* the attribute that says when items expire; empty: none does */
    struct bytes indexes;     /* of the table, encoded (model/index.h); empty: it has none */
    struct key_schema schema; /* of the table, when it has indexes */
    uint8_t actor;            /* enum write_actor */
    /* A row stands beside the item: the size of its item collection, when the table has local
     * indexes; the tombstone, of a global index. */
    bool has_beside;
    uint64_t version; /* of a row of a global index: that of the item that it is of, by which the
                       * write is done, or is old; 0: this is no such row */
    bool urgent; /* small, and it leads to space or ends what was begun: like a delete it may use
                  * what is kept of a full disk */
};

/* Of a transaction that is to be prepared. */
struct replica_txn {
    struct txn_id id;
    uint64_t timestamp;
};

/* What to do about the mark of a transaction in one round (docs/transactions.md). */
enum replica_mark_action {
    MARK_READ,
    MARK_CANCEL, /* put one that says CANCELLED, if there is none */
    MARK_REMOVE,
};

/* An item, and what says that it is still the same. */
struct version_result {
    struct value item;   /* as asked for; VALUE_ABSENT: there is none.  In the caller's arena */
    uint32_t item_bytes; /* as the service counts them; 0 when absent */
    uint64_t version;    /* equal only when nothing wrote the item in between */
    bool in_flight;      /* a transaction is prepared on it */
};

struct replica_range {
    struct bytes low;  /* of encoded keys, inclusive; empty: from the first */
    struct bytes high; /* exclusive; empty: to the last */
    bool backward;
    bool consistent;
    uint8_t collection; /* KEY_COLLECTION_ITEM, or that of a local index */
    bool versions;      /* the sink takes rows: take_row */
    bool mixed;         /* there are rows of other collections in the range, to be passed over */
    bool fetch;         /* evaluate the items that the rows of the index stand for, not the rows */
    struct key_attribute index_sort; /* fetch: the index's sort key */
    uint32_t limit;                  /* items to evaluate; 0 = no limit */
    uint64_t bytes_max; /* items evaluated end before they pass it; the first always counts */
    struct expr_program filter;
};

/* Counts, and where it ended; added to by consecutive partitions of one request. */
struct replica_range_result {
    uint32_t count, scanned_count;
    uint64_t scanned_bytes;
    uint64_t fetched_bytes;      /* of the items fetched for rows of an index */
    uint64_t fetched_half_units; /* each rounded up by itself */
    uint64_t charged_half_units; /* that partitions have been charged for it */
    bool more;                   /* ended by limit or bytes_max, not at the bound of the range */
    struct bytes
        last_key; /* encoded, of the last item evaluated; in the arena; empty: there is none */
};

/* Rows of one kind, and what their sizes sum up to as the service counts them. */
struct collection_size {
    uint64_t count, bytes;
};

/* Records of one stream of the table. */
struct replica_changes {
    uint8_t stream;
    struct change_position from; /* inclusive */
    bool none;                   /* take no record: only say where the stream is */
};

struct replica_changes_result {
    struct change_position next; /* where to go on */
    bool at_end;                 /* everything that was committed was read */
    bool trimmed;                /* records at or beyond `from` are gone */
    uint64_t commit_slot;
    uint64_t first_slot, last_slot; /* of the stream's records, trimmed ones too; 0: none yet */
};

/* What a replica's tree holds. */
struct replica_size {
    struct collection_size items;
    struct collection_size indexes[LOCAL_INDEXES_MAX]; /* by collection - 1 */
};

enum expire_step {
    EXPIRE_DELETE = 1, /* delete items whose time has come */
    EXPIRE_FILL,       /* note when items expire that were there before anybody noted it */
    EXPIRE_PURGE,      /* forget when items expire */
};

/* One step through the rows that say when items expire. */
struct replica_expire {
    enum expire_step step;
    struct replica_write write; /* what a write of the table is to know; PURGE: without ttl */
    uint64_t after_s, now_s; /* DELETE: items that expire at the first or later, before the other */
    struct bytes from;       /* go on behind this key; empty: from the first */
    uint32_t limit;          /* rows to look at */
};

struct replica_expire_result {
    uint32_t looked_at, deleted; /* rows; items */
    bool more;
    struct bytes last_key; /* looked at; in the arena */
};

/* A change of an item, as its replica has recorded it. */
struct replica_change {
    uint64_t slot;             /* of the write in the group's log */
    uint64_t hlc;              /* its time: nanoseconds since 1970 */
    uint8_t actor;             /* enum write_actor: who wrote */
    struct value old, current; /* the item before and after; VALUE_ABSENT: there was, is none */
};

/* Takes changes in the order of the log. */
struct follow_sink {
    /* `change` is valid for the call; the callee must not wait.
     *   STATUS_END  enough: this one will be asked for again     else the walk ends with it */
    enum status (*take)(struct follow_sink *sink, const struct replica_change *change);
};

#define REPLICA_MARK_GOES UINT64_MAX

/* Where a consumer of changes stands. */
struct replica_mark {
    bool is_there;
    uint64_t slot;      /* up to which it needs nothing any more */
    uint64_t last_slot; /* of the partition's last write, recorded or not */
};

#define REPLICA_HOLD_NS UINT64_C(15000000000)

/* A consumer that is an index is behind: no client's write that changes the index is to make it
 * more. */
struct replica_hold {
    uint64_t consumer;         /* which has a mark */
    bool ends;                 /* it is behind no longer */
    struct bytes index;        /* its name in the table */
    enum throttle_limit limit; /* what has it behind: what clients are told */
};

struct replica_service {
    /* Called when changes of a group were recorded; must not wait.  NULL: nobody asks. */
    void (*on_changes)(void *owner, uint64_t group_id);
    void *on_changes_owner;

    /* STATUS_OK (result->item may be absent), STATUS_MOVED, STATUS_UNAVAILABLE, STATUS_CORRUPT,
     * STATUS_DEADLINE, ... */
    enum status (*get)(struct context *ctx, struct replica_service *service,
                       const struct replica_target *target, const struct replica_get *get,
                       struct get_result *result);

    /* These keys, at most BATCH_GET_MAX, will be read next: begin to fetch them, all at once.
     * Never waits, cannot fail. */
    void (*prefetch)(struct replica_service *service, const struct replica_point *points,
                     uint32_t count);

    /* Execute `count` writes in order, with one wait for the commit of all.  statuses[i] and
     * errors[i] say how each ended.
     *   STATUS_UNKNOWN_OUTCOME  in statuses: it may or may not have happened */
    void (*write)(struct context *ctx, struct replica_service *service,
                  const struct replica_target *target, const struct replica_write *writes,
                  uint32_t count, struct write_result *results, enum status *statuses,
                  struct error *errors);

    /* The calls of transactions (docs/transactions.md); each is for items of one group.  `writes`
     * are as for `write`, of any kind.
     *
     * prepare: evaluate all of `writes`, and write intents if none is refused.  It may come again.
     *   STATUS_OK  statuses[i] is STATUS_OK for all, and the intents are in the log; or for some it
     *              is STATUS_CONDITION_FAILED or STATUS_INVALID, errors[i] says why, and nothing
     *              was written.  *seen: a timestamp that refused one; 0: none did
     *   STATUS_UNKNOWN_OUTCOME and others  some intents may have been written */
    enum status (*prepare)(struct context *ctx, struct replica_service *service,
                           const struct replica_target *target, const struct replica_txn *txn,
                           const struct replica_write *writes, uint32_t count,
                           struct write_result *results, enum status *statuses,
                           struct error *errors, uint64_t *seen);

    /* Carry out what the transaction's intents on these items say, or remove them.  Only the keys,
     * indexes and schemas of `writes` are looked at.  They may come again.
     *   STATUS_OK       they have had their effect, which is committed
     *   STATUS_CORRUPT  an intent does not fit its item: nothing was done about that one */
    enum status (*commit)(struct context *ctx, struct replica_service *service,
                          const struct replica_target *target, struct txn_id id,
                          const struct replica_write *writes, uint32_t count);
    enum status (*cancel)(struct context *ctx, struct replica_service *service,
                          const struct replica_target *target, struct txn_id id,
                          const struct replica_write *writes, uint32_t count);

    /* A whole transaction, in one entry; with `mark` not NULL it leaves a mark with that id.
     *   STATUS_OK         as prepare: all of it was done, or nothing
     *   STATUS_TOO_LARGE  nothing was done: it does not fit in an entry
     *   STATUS_EXISTS     nothing was done: the mark is there
     *   STATUS_UNKNOWN_OUTCOME */
    enum status (*transact)(struct context *ctx, struct replica_service *service,
                            const struct replica_target *target, const struct txn_id *mark,
                            const struct replica_write *writes, uint32_t count,
                            struct write_result *results, enum status *statuses,
                            struct error *errors);

    /* The mark beside the item at `key`: *state is what it says now, TXN_STATE_NONE: there is none.
     *   STATUS_OK  that is committed     STATUS_UNKNOWN_OUTCOME, ... as a write */
    enum status (*mark)(struct context *ctx, struct replica_service *service,
                        const struct replica_target *target, struct bytes key, struct txn_id id,
                        enum replica_mark_action action, enum txn_state *state);

    /* Read items, at most TXN_ITEMS_MAX, all at one moment; strongly consistent.  Without
     * `want_items` only their versions, which nobody is charged for.
     *   STATUS_TOO_LARGE        they have more than bytes_max bytes together, as the service counts
     *   STATUS_UNKNOWN_OUTCOME  what was read may never be committed     others as get */
    enum status (*read_version)(struct context *ctx, struct replica_service *service,
                                const struct replica_target *target, const struct bytes *keys,
                                uint32_t count, bool want_items, uint64_t bytes_max,
                                struct version_result *results);

    /* Evaluate the rows of a range in order, give the sink those that the filter lets through, and
     * add up in *result, which goes on from the partitions before; may wait between two items.
     *   STATUS_OK  it came to the end of the range, or result->more     others as get, or what the
     *              sink said */
    enum status (*range)(struct context *ctx, struct replica_service *service,
                         const struct replica_target *target, const struct replica_range *range,
                         struct item_sink *sink, struct replica_range_result *result);

    /* Take one step.  FILL and PURGE: from the first on, writes that know an older version of the
     * table are answered STATUS_MOVED, so that none passes by what was done.
     *   STATUS_OK; else some of the step may have been done */
    enum status (*expire)(struct context *ctx, struct replica_service *service,
                          const struct replica_target *target, const struct replica_expire *expire,
                          struct replica_expire_result *result);

    /* Give the stream's records to the sink, until it is full (STATUS_END), the end, or a bound of
     * work.
     *   STATUS_OK  *result says where to go on     others as get */
    enum status (*changes)(struct context *ctx, struct replica_service *service,
                           const struct replica_target *target, const struct replica_changes *read,
                           struct change_sink *sink, struct replica_changes_result *result);

    /* What the replica's tree holds; zeros when it is not here. */
    void (*size)(struct replica_service *service, uint64_t group_id, struct replica_size *size);

    /* Give the sink the changes above `slot`, as far as they are recorded, or until a bound of
     * work: then at least those of one write, and all of each.
     *   STATUS_OK  also when the sink ended it with STATUS_END     others as get, or what the
     *              sink said */
    enum status (*follow)(struct context *ctx, struct replica_service *service,
                          const struct replica_target *target, uint64_t slot,
                          struct follow_sink *sink);

    /* Find, or set, a consumer's mark; from the first on, every change is recorded.
     *   STATUS_NO_SPACE  there are too many     others as a write */
    enum status (*find_mark)(struct context *ctx, struct replica_service *service,
                             const struct replica_target *target, uint64_t consumer,
                             struct replica_mark *mark);
    enum status (*set_mark)(struct context *ctx, struct replica_service *service,
                            const struct replica_target *target, uint64_t consumer, uint64_t slot);

    /* Refuse such writes with STATUS_THROTTLED, from now on for REPLICA_HOLD_NS, or until it ends.
     * Kept in memory by the leader, and by nobody else.
     *   STATUS_NOT_FOUND  the consumer has no mark     STATUS_MOVED, STATUS_UNAVAILABLE,
     *   STATUS_NO_MEMORY */
    enum status (*hold_writes)(struct context *ctx, struct replica_service *service,
                               const struct replica_target *target,
                               const struct replica_hold *hold);

    /* Make, or remove, this node's replica of a group; both are done already when they come twice.
     * Both may use what is kept of a full disk. */
    enum status (*create_replica)(struct context *ctx, struct replica_service *service,
                                  const struct replica_target *target, struct bytes low,
                                  struct bytes high);
    enum status (*remove_replica)(struct context *ctx, struct replica_service *service,
                                  uint64_t group_id);

    /* The table is deleted, but not the records of its changes: what the replica has beside these
     * goes now, marks too, and nothing but `changes` and remove_replica is done any more.  It is
     * known to this node until it stops: then to be said again, which is harmless.
     *   STATUS_NOT_FOUND  it is not here, or is being removed
     *   STATUS_NO_SPACE, STATUS_CORRUPT  not all of its log can be applied now: it is as it was
     *   STATUS_BUSY  another flow is at it     STATUS_UNAVAILABLE, STATUS_NO_MEMORY, ... */
    enum status (*retire_replica)(struct context *ctx, struct replica_service *service,
                                  uint64_t group_id);

    /* Is space so short that what need not be kept is to go? */
    bool (*is_tight)(struct replica_service *service);
};

#endif
