/* node_private.h - the node's state, for the files of this folder. */
#ifndef NODE_NODE_PRIVATE_H
#define NODE_NODE_PRIVATE_H

#include "admission/partition_tokens.h"
#include "base/buffer.h"
#include "base/hash_map.h"
#include "node/changes.h"
#include "node/entry.h"
#include "node/intents.h"
#include "node/node.h"
#include "node/overlay.h"
#include "paxos/paxos.h"
#include "storage/tree.h"

#define REPLICAS_MAX              20480u
#define REPLICA_OVERLAY_BYTES_MAX (8u * 1024u * 1024u) /* at it writes wait for the apply */
#define APPLIERS                  2u   /* fibers that apply; one group is on one at a time */
#define APPLY_ENTRIES_MAX         256u /* in one batch */
#define APPLY_BYTES_MAX           (512u * 1024u)
#define APPLY_RETRY_NS            UINT64_C(100000000)
/* Work of a walk in one turn of the loop: the bytes of what it reads, and for each row what it
 * costs beside them, in the same measure. */
#define TURN_WORK (64u * 1024u)
#define STEP_WORK 64u
/* How long a write waits for a full disk, at most twice. */
#define STALL_NS UINT64_C(1000000000)

/* Something of a replica that is in the write-ahead log and not yet known durable; in the order of
 * the log. */
struct unsynced {
    struct list link;
    struct lsn lsn;
    struct replica *replica;
    bool is_promise; /* else it is in a log_entry */
};

/* One entry of a group's log, from its append until it is applied.  One allocation: this, then the
 * versions, then the payload. */
struct log_entry {
    struct list link; /* replica.entries, in slot order */
    struct unsynced unsynced;
    uint64_t slot;
    struct ballot ballot;
    struct lsn lsn;
    uint64_t proposed_ns;
    struct wait_queue committed; /* who waits for its commit */
    size_t bytes;                /* of the allocation */
    struct bytes payload;        /* empty: a barrier */
    uint64_t absent_timestamp;   /* as its header says */
    bool has_intents;            /* it puts or removes some */
    bool deletes_item;
    uint32_t version_count;
    uint8_t flags; /* enum entry_flags, of its payload */
    bool has_marks;
    struct version versions[];
};

/* A replica is made or removed: the record is in the log, but what it says not yet in the forest; a
 * checkpoint must not count it as covered.  On the stack of the flow that does it. */
struct structural {
    struct list link;
    struct lsn lsn;
};

/* Rows of a tree that are not items. */
struct replica_counts {
    struct collection_size indexes[LOCAL_INDEXES_MAX]; /* by collection - 1 */
    uint64_t others;                                   /* rows of further collections */
    uint64_t ttl;                                      /* rows of KEY_COLLECTION_TTL, but for: */
    uint64_t
        ttl_slot; /* those of the batch up to here, which the tree may have in part; 0 = none */
    uint64_t rows_before; /* in the tree, all kinds, before that */
    uint64_t rows_since;  /* that were added since, modulo 2^64, of other kinds, and applied */
};

enum replica_state {
    REPLICA_STARTING, /* its promise and barrier are on the way */
    REPLICA_SERVING,
    REPLICA_FAILED,  /* its log cannot go on: no writes; reads of what is committed go on */
    REPLICA_RETIRED, /* it keeps its change records, and nothing but these (retire.c) */
    REPLICA_CLOSING, /* it is being removed */
};

struct replica {
    struct node *node;
    uint64_t group_id; /* also its key in node.replicas */
    struct replica_id id;
    uint64_t table_id;
    struct bytes blob; /* what the forest keeps with the tree: table, range, configuration */
    enum replica_state state;
    struct paxos paxos;
    struct tree *tree;
    struct overlay overlay;
    size_t overlay_bytes;
    struct list entries; /* accepted and not yet applied */
    uint64_t commit_slot;
    uint64_t applied_slot;
    struct ballot applied_ballot; /* of the entry at applied_slot */
    uint64_t hlc;                 /* of its newest entry */
    uint64_t hlc_saved;           /* what the blob in the forest says */
    struct ballot ballot_saved;
    uint64_t schema_version;      /* writes that know an older one are refused */
    struct replica_counts counts; /* as of the applied slot */
    struct change_log changes;    /* the same */
    struct list holds;            /* hold.c: indexes that are behind */
    struct txn_group txn;         /* as of the newest entry */
    struct txn_group txn_applied; /* as of the applied slot */
    struct intents intents;       /* as of the newest entry */
    bool has_others;   /* since it was opened there have been rows of collections from 200 on */
    bool counts_saved; /* the blob in the forest says counts, txn_applied and intents as they are */
    struct unsynced promise;
    struct ballot promised; /* recovered; the highest in the log */
    uint64_t recovered_last_slot;
    struct ballot recovered_last_ballot;
    bool recovered_gap; /* slots are missing from its log: fine only if its removal follows */
    bool readable;      /* tree and overlay hold all that was committed before it started */
    bool removing;      /* a flow removes or retires it */
    bool persisted_due; /* on node.persisted: PAXOS_PERSISTED is to be stepped */
    struct list persisted_link;
    struct ballot persisted_ballot; /* of the last synced entry */
    uint64_t persisted_slot;
    bool apply_due; /* on node.apply_queue or node.apply_retries, or with an applier */
    struct list apply_link;
    uint64_t apply_failed_slot; /* the last slot of a batch to be tried again as it was; or 0 */
    enum status apply_status;   /* of the last batch */
    struct wait_queue room;     /* writers that wait for room in the overlay */
    struct wait_queue state_changed;
    struct partition_tokens tokens[ADMISSION_KINDS]; /* what its table is provisioned with */
    uint32_t users;           /* calls that are in it now; it is freed when there are none */
    uint32_t change_users;    /* of them, those that read change records alone */
    struct wait_queue unused; /* there are none, or, of a retired one, one less */
};

/* For an image, and for sorting it while it is made. */
#define NODE_SCRATCH_BYTES_MAX (8u * ITEM_STORED_BYTES_MAX)

/* For the mutations of a transaction's items in one partition: intents of 100 items whose binary
 * form is the longest for its size. */
#define NODE_CHANGES_BYTES_MAX (64u << 20)

/* For what all local indexes hold of an image before and one after. */
#define NODE_ROWS_BYTES_MAX ((2u * LOCAL_INDEXES_MAX + 2u) * ITEM_STORED_BYTES_MAX)

struct node {
    struct replica_service service; /* first: the router holds a pointer to it */
    struct env *env;
    struct forest *forest;
    struct wal *wal;
    struct node_options options;
    struct hash_map replicas;  /* by group id */
    struct list unsynced;      /* struct unsynced */
    struct list persisted;     /* replicas */
    struct list apply_queue;   /* replicas */
    struct list apply_retries; /* replicas whose batch failed, until apply_timer fires */
    struct env_timer apply_timer;
    struct env_timer changes_timer;
    bool changes_timer_runs;
    struct list structural; /* struct structural: replicas that are being made or removed */
    struct wait_queue apply_ready;
    struct wait_queue log_room; /* writers that wait for the log to take more */
    struct wait_queue fibers_ended;
    uint32_t fibers; /* appliers and the checkpointer, while they run */
    bool closing;
    uint64_t live_bytes_max;          /* of the log: writers wait at it */
    struct lsn log_from;              /* found at the start: the trees hold what is before it */
    uint64_t log_bytes_at_checkpoint; /* written to the log before the last checkpoint began */
    uint64_t changes;                 /* records that this node had appended */
    uint64_t changes_at_checkpoint;
    bool checkpoint_asked;         /* for the log's length, and not yet begun */
    bool checkpoint_again;         /* ask for one more after the next, for a log without space */
    enum status checkpoint_status; /* of the last one */
    struct env_timer stall_timer;  /* runs while the log has no space */
    bool stalled; /* what is in the log's memory has waited for space so long that nobody is to wait
                   * for it: outcomes are unknown */
    struct buffer scratch;        /* for images; used without waiting */
    struct buffer rows;           /* for the rows of indexes, in the same way */
    struct buffer several;        /* for the mutations of several items, in the same way */
    struct env_timer nudge_timer; /* runs while there are intents */
    bool nudge_set;
    struct node_nudger nudger;
    struct token_bucket tokens[ADMISSION_KINDS]; /* that all replicas together may use */
    struct node_stats stats;
};

/* ---- replica.c ---- */

/* The replica of a group; NULL when it is not here. */
struct replica *node_replica(const struct node *node, uint64_t group_id);

/* Does it take writes?
 *   STATUS_MOVED  it is being removed     STATUS_UNAVAILABLE  it does not serve (yet, or any more)
 *   */
MUST_USE enum status replica_serves(const struct replica *replica);

/* Begin and end a call that may wait in a replica.  A read is let in also after the log has failed,
 * and while a full disk keeps the log from being applied: what is committed is readable.
 *   STATUS_MOVED        it is not here     STATUS_UNAVAILABLE  it does not serve */
MUST_USE enum status replica_enter(struct node *node, uint64_t group_id, bool to_read,
                                   struct replica **replica);
void replica_leave(struct replica *replica);

/* The same for who reads change records alone: a retired replica has them. */
MUST_USE enum status replica_enter_changes(struct node *node, uint64_t group_id,
                                           struct replica **replica);
void replica_leave_changes(struct replica *replica);

/* Whoever waits for a change of it is woken; of one that failed or closes, all who wait. */
void replica_set_state(struct replica *replica, enum replica_state state);

/* ---- open.c ---- */

enum status node_create_replica(struct context *ctx, struct replica_service *service,
                                const struct replica_target *target, struct bytes low,
                                struct bytes high);
enum status node_remove_replica(struct context *ctx, struct replica_service *service,
                                uint64_t group_id);
void node_size(struct replica_service *service, uint64_t group_id, struct replica_size *size);

bool node_is_tight(struct replica_service *service);

/* ---- retire.c ---- */

enum status node_retire_replica(struct context *ctx, struct replica_service *service,
                                uint64_t group_id);

/* ---- replica.c, continued ---- */

/* What the forest and the log keep of a replica. */
struct replica_blob {
    uint64_t table_id;
    uint64_t hlc;         /* at least that of every entry applied when this was saved */
    struct ballot ballot; /* of the newest entry applied then; of the same group */
    struct bytes low, high;
    struct paxos_configuration configuration;
    struct replica_counts counts;
    uint64_t trimmed_slot; /* of its change records */
    struct changes_marks marks;
    struct txn_group txn;
    struct reader intents; /* for intents_read_list */
    uint32_t intent_count;
};

/* STATUS_CORRUPT, STATUS_VERSION */
MUST_USE enum status replica_blob_read(struct bytes bytes, struct replica_blob *blob);
void replica_blob_write(const struct replica_blob *blob, struct buffer *to);

/* Bring the forest's blob up to date, if it is not; durable with the next checkpoint.
 *   STATUS_NO_MEMORY */
MUST_USE enum status replica_save(struct replica *replica);

/* A replica in state STARTING on the tree of its id, which is made when there is none; it is in
 * node->replicas.
 *   STATUS_CORRUPT, STATUS_VERSION, STATUS_NO_MEMORY, STATUS_BUSY: there is no replica; a tree that
 *   was made for it stays */
MUST_USE enum status replica_open(struct node *node, struct replica_id id, struct bytes blob,
                                  struct replica **replica);

/* Free it, and the entries it holds; nobody may be in it. */
void replica_free(struct replica *replica);

/* ---- propose.c ---- */

/* An entry with room for `payload_bytes` and one version per mutation; NULL: no memory. */
struct log_entry *log_entry_new(struct node *node, size_t payload_bytes, uint32_t version_count);
void log_entry_free(struct node *node, struct log_entry *entry);
uint8_t *log_entry_payload(struct log_entry *entry);

/* Fill in the versions from the finished payload, insert them into the overlay, and put the entry
 * at the end of the replica's entries. */
void replica_accept(struct replica *replica, struct log_entry *entry);

/* Propose an entry whose payload is finished; takes it.  Does not wait.  `urgent`: as a
 * wal_record's.
 *   STATUS_BUSY, STATUS_NO_SPACE, STATUS_UNAVAILABLE  nothing was proposed, the entry is freed */
MUST_USE enum status replica_propose(struct replica *replica, struct log_entry *entry, bool urgent);

/* Step an event and carry out what it asks for. */
void replica_step(struct replica *replica, const struct paxos_event *event);
void replica_start(struct replica *replica);
void replica_applied(struct replica *replica, uint64_t slot);

/* Wait until `slot`, which is in the log, is committed.
 *   STATUS_UNKNOWN_OUTCOME  the replica lost its place, or the deadline passed */
MUST_USE enum status replica_wait_commit(struct context *ctx, struct replica *replica,
                                         uint64_t slot);

/* The log has had no space for STALL_NS. */
void stall_timer_fire(struct env_timer *timer);

extern const struct wal_events node_wal_events; /* owner: the node; on_record is in open.c */
enum status node_on_record(struct context *ctx, void *owner, const struct wal_record *record,
                           struct lsn lsn);

/* ---- nudge.c: intents of a replica ---- */

/* As intents_add; the node looks after it. */
MUST_USE enum status replica_add_intent(struct replica *replica, struct bytes item,
                                        const struct intent *intent, uint64_t nudge_ns);

/* What replica_add_intent has just added was not proposed. */
void replica_take_back_intent(struct replica *replica, struct bytes item);

/* None of them counts any more. */
void replica_forget_intents(struct replica *replica);

/* At the start: read the rows of the intents that the blob listed. */
MUST_USE enum status replica_read_intents(struct context *ctx, struct replica *replica);

void nudge_timer_fire(struct env_timer *timer);

/* ---- apply.c ---- */

/* Put the replica before the appliers, when it has committed entries that are not applied. */
void replica_apply_later(struct replica *replica);
void applier_run(struct context *ctx, void *node);
void apply_timer_fire(struct env_timer *timer);

/* True when the replica has committed entries that the tree has not got, and may yet get. */
bool replica_applies(const struct replica *replica);

/* ---- checkpoint.c ---- */

void checkpointer_run(struct context *ctx, void *node);

/* Something was appended to the log: is a checkpoint due for its length? */
void node_log_grew(struct node *node);

/* The log refuses more: if that is for its length on disk, ask for a checkpoint, which shortens it.
 *   STATUS_NO_SPACE  the last one found the disk full: there is nothing to wait for */
enum status node_log_refused(struct node *node);

/* The log has no space: ask for the two checkpoints after which it has old segments to
 * use again. */
void node_log_is_full(struct node *node);

/* Save what the forest keeps of the replicas; *covered is the position up to which everything in
 * the log is in the forest, now.
 *   STATUS_NO_MEMORY */
MUST_USE enum status node_cover(struct node *node, struct lsn *covered);

/* ---- tokens.c: what a request costs, in tokens (admission/token_bucket.h) ---- */

/* What a node serves a second, unless its options say otherwise; bursts stay below it. */
#define NODE_READ_UNITS  45000u
#define NODE_WRITE_UNITS 45000u

void node_tokens_init(struct node *node);

/* May a request of this kind begin?  If so it has been charged `least`.
 *   STATUS_THROTTLED, STATUS_HOT  as partition_tokens_admit; nothing is to be charged */
MUST_USE enum status replica_admit(struct replica *replica, const struct replica_target *target,
                                   enum admission_kind kind, uint32_t least);

/* Charge what it has cost beyond that; negative: less. */
void replica_charge(struct replica *replica, const struct replica_target *target,
                    enum admission_kind kind, int64_t tokens);

/* A write that was admitted with UNITS_WRITE_LEAST ended so. */
void replica_charge_write(struct replica *replica, const struct replica_target *target,
                          enum status status, const struct write_result *result);

/* A range, over several partitions: each is charged what the result grows by there. */
MUST_USE enum status replica_admit_range(struct replica *replica,
                                         const struct replica_target *target,
                                         const struct replica_range *range,
                                         struct replica_range_result *result);
void replica_charge_range(struct replica *replica, const struct replica_target *target,
                          const struct replica_range *range, struct replica_range_result *result);

/* ---- read.c, write.c ---- */

void node_prefetch(struct replica_service *service, const struct replica_point *points,
                   uint32_t count);
enum status node_get(struct context *ctx, struct replica_service *service,
                     const struct replica_target *target, const struct replica_get *get,
                     struct get_result *result);
enum status node_range(struct context *ctx, struct replica_service *service,
                       const struct replica_target *target, const struct replica_range *range,
                       struct item_sink *sink, struct replica_range_result *result);
void node_write(struct context *ctx, struct replica_service *service,
                const struct replica_target *target, const struct replica_write *writes,
                uint32_t count, struct write_result *results, enum status *statuses,
                struct error *errors);

enum status node_expire(struct context *ctx, struct replica_service *service,
                        const struct replica_target *target, const struct replica_expire *expire,
                        struct replica_expire_result *result);

/* Hand the committed rows of [low, high) to `take`, in order, until it returns false; it must not
 * wait.  May wait between them. */
MUST_USE enum status replica_walk(struct context *ctx, struct replica *replica, struct bytes low,
                                  struct bytes high,
                                  bool (*take)(void *argument, struct bytes key, struct bytes row),
                                  void *argument);
/* ---- transact.c, transact_commit.c, transact_read.c: as replica_service.h says ---- */

enum status node_prepare(struct context *ctx, struct replica_service *service,
                         const struct replica_target *target, const struct replica_txn *txn,
                         const struct replica_write *writes, uint32_t count,
                         struct write_result *results, enum status *statuses, struct error *errors,
                         uint64_t *seen);
enum status node_transact(struct context *ctx, struct replica_service *service,
                          const struct replica_target *target, const struct txn_id *mark,
                          const struct replica_write *writes, uint32_t count,
                          struct write_result *results, enum status *statuses,
                          struct error *errors);
enum status node_commit(struct context *ctx, struct replica_service *service,
                        const struct replica_target *target, struct txn_id id,
                        const struct replica_write *writes, uint32_t count);
enum status node_cancel(struct context *ctx, struct replica_service *service,
                        const struct replica_target *target, struct txn_id id,
                        const struct replica_write *writes, uint32_t count);
enum status node_mark(struct context *ctx, struct replica_service *service,
                      const struct replica_target *target, struct bytes key, struct txn_id id,
                      enum replica_mark_action action, enum txn_state *state);
enum status node_read_version(struct context *ctx, struct replica_service *service,
                              const struct replica_target *target, const struct bytes *keys,
                              uint32_t count, bool want_items, uint64_t bytes_max,
                              struct version_result *results);

/* ---- follow.c ---- */

enum status node_follow(struct context *ctx, struct replica_service *service,
                        const struct replica_target *target, uint64_t slot,
                        struct follow_sink *sink);
enum status node_find_mark(struct context *ctx, struct replica_service *service,
                           const struct replica_target *target, uint64_t consumer,
                           struct replica_mark *mark);
enum status node_set_mark(struct context *ctx, struct replica_service *service,
                          const struct replica_target *target, uint64_t consumer, uint64_t slot);

/* ---- hold.c ---- */

enum status node_hold_writes(struct context *ctx, struct replica_service *service,
                             const struct replica_target *target, const struct replica_hold *hold);

/* The consumer is gone, or all are. */
void hold_forget(struct replica *replica, uint64_t consumer);
void holds_release(struct replica *replica);

/* ---- read.c, continued ---- */

/* The row of `key` that a reader up to slot_max sees; may wait.  *slot: of the overlay's version, 0
 * when it is from the tree.  The row is valid until the fiber next waits.  `place` is of reads of
 * keys that are often next to each other (tree_get_near), or NULL.
 *   STATUS_NOT_FOUND  there is none; *row is empty, *slot is set too */
MUST_USE enum status replica_read(struct context *ctx, struct replica *replica, struct bytes key,
                                  uint64_t slot_max, struct tree_place *place, struct bytes *row,
                                  uint64_t *slot);

#endif
