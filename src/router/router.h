/* router.h - the request router: resolves the table, checks keys against its schema, finds the
 * partition, calls its leader, follows moves, and gathers what spans several partitions.
 *
 * All functions run on the request's fiber and may wait.  On any status but STATUS_OK *error is
 * filled in whole, with the service's exception and text.
 */
#ifndef ROUTER_ROUTER_H
#define ROUTER_ROUTER_H

#include "admission/partition_tokens.h"
#include "env/fiber.h"
#include "metadata/table.h"
#include "request/control.h"
#include "request/data.h"
#include "request/error.h"
#include "route/replica_service.h"
#include "txn/txn.h"

struct router;

/* Who is held to what. */
enum throttling {
    THROTTLING_TABLES, /* provisioned tables to their throughput, on-demand tables to maximums that
                        * they were given */
    THROTTLING_NONE,
    THROTTLING_ALL, /* also partitions of on-demand tables to what the service's serve at most */
};

/* What is limited, as ThrottlingReasons names it. */
enum throttle_resource { THROTTLE_TABLE, THROTTLE_INDEX, THROTTLE_RESOURCES };

struct router_stats {
    /* Items and pages that were refused, also those that a batch's answer calls unprocessed. */
    uint64_t throttled[THROTTLE_RESOURCES][ADMISSION_KINDS][THROTTLE_LIMITS];
    uint64_t departed;       /* tables that were deleted, and their streams stayed */
    uint64_t departed_early; /* of which the streams went before their time */
};

/* Now. */
uint32_t router_departed_tables(const struct router *router);

struct router_options {
    struct replica_service *service; /* outlives the router */
    uint32_t
        on_demand_partitions; /* that a new on-demand table begins with; 1..TABLE_PARTITIONS_MAX */
    /* Decreases of a table's provisioned throughput in a day (UTC) of which each can follow the
     * other at once; after those, one an hour.  The service allows 4. */
    uint32_t decreases_at_once;
    enum throttling throttling;
    void (*on_tables_changed)(void *owner); /* the catalog asks for work: admin/ reconciles */
    void *owner;
};

/* Open the system table, or make it, and load the catalog.
 *   STATUS_CORRUPT, STATUS_VERSION, STATUS_NO_MEMORY, ... */
MUST_USE enum status router_open(struct context *ctx, const struct router_options *options,
                                 struct router **router);

/* Before the close, when no request is running any more: transactions that run end, or are left to
 * a recovery at the next start. */
void router_drain(struct context *ctx, struct router *router);
void router_close(struct router *router);

/* From now on. */
void router_set_throttling(struct router *router, enum throttling throttling);

const struct router_stats *router_stats(const struct router *router);

/* "TableReadProvisionedThroughputExceeded" */
const char *router_throttle_reason(enum throttle_resource resource, enum admission_kind kind,
                                   enum throttle_limit limit);

/* ---- Tables ---- */

/* The table for a data operation; ACTIVE or UPDATING, else ResourceNotFoundException "Requested
 * resource not found".  Valid until the calling fiber next waits, unless held. */
MUST_USE enum status router_table(struct router *router, struct bytes name,
                                  const struct table **table, struct error *error);

/* The table's index of that name, which can be read; NULL for an empty one.
 *   STATUS_INVALID  "The table does not have the specified index: ...", "Cannot read from
 *                   backfilling global secondary index: ..." */
MUST_USE enum status router_index(const struct table *table, struct bytes name, struct arena *arena,
                                  const struct index_schema **index, struct error *error);

/* ---- Data plane ---- */

/* Read one item; result->item is valid until the calling fiber next waits. */
MUST_USE enum status router_get(struct context *ctx, struct router *router,
                                const struct get_request *request, struct get_result *result,
                                struct error *error);

/* Write one item; the result is in the request's arena.
 *   STATUS_UNKNOWN_OUTCOME  it may or may not have happened */
MUST_USE enum status router_write(struct context *ctx, struct router *router,
                                  const struct write_request *request, struct write_result *result,
                                  struct error *error);

/* Evaluate a Query's or a Scan's range, partition by partition, into `sink`, up to its limit or
 * PAGE_BYTES_MAX. */
MUST_USE enum status router_range(struct context *ctx, struct router *router,
                                  const struct range_request *request, struct item_sink *sink,
                                  struct range_result *result, struct error *error);

/* Check the keys of a batch before any of it runs: each against its table, and that none comes
 * twice. For gets, also begin to fetch what they will read, and note the encoded keys in them.  At
 * most BATCH_GET_MAX, BATCH_WRITE_MAX. */
MUST_USE enum status router_check_gets(struct context *ctx, struct router *router,
                                       struct get_request *requests, uint32_t count,
                                       struct error *error);
MUST_USE enum status router_check_writes(struct context *ctx, struct router *router,
                                         const struct write_request *requests, uint32_t count,
                                         struct error *error);

/* Execute unconditional puts and deletes side by side: one commit wait for all that one partition
 * has.  done[i] says whether request i was executed; what was not (throttled, moved, unknown)
 * belongs into UnprocessedItems.
 *   STATUS_INVALID    a put would make an item collection outgrow its bound, which no second try
 *                     cures; the others were executed
 *   STATUS_THROTTLED  every one was throttled
 * On any other status nothing was executed. */
MUST_USE enum status router_write_batch(struct context *ctx, struct router *router,
                                        const struct write_request *requests, uint32_t count,
                                        struct write_result *results, bool *done,
                                        struct error *error);

/* ---- Transactions (docs/transactions.md) ---- */

/* A TransactWriteItems, validated but for what needs tables and items. */
struct transact_request {
    const struct write_request *writes;
    uint32_t count;     /* 1 to TXN_ITEMS_MAX */
    struct bytes token; /* ClientRequestToken; empty: none */
};

struct transact_result {
    struct write_result *writes; /* of each; in the arena */
    bool replayed; /* it was done before, under its token: old_bytes are of the items as they are */
};

/* Do all of it, or nothing.  *error besides what the tables and keys are refused for:
 * TRANSACTION_CANCELED with reasons, TRANSACTION_IN_PROGRESS, IDEMPOTENT_MISMATCH, THROTTLING. */
MUST_USE enum status router_transact_write(struct context *ctx, struct router *router,
                                           const struct transact_request *request,
                                           struct transact_result *result, struct error *error);

/* Read all items as they are at one moment; items are in the arena.  At most TXN_ITEMS_MAX. */
MUST_USE enum status router_transact_get(struct context *ctx, struct router *router,
                                         struct get_request *requests, uint32_t count,
                                         struct get_result *results, struct error *error);

/* TransactionCanceledException with the reasons, which are copied; returns its status. */
enum status router_cancelled(struct error *error, struct arena *arena, const struct error *reasons,
                             uint32_t count);

/* The Code of a cancellation reason: "ConditionalCheckFailed", ... */
struct bytes router_reason_code(enum error_code code);

/* An intent has stayed too long: finish its transaction, if nobody does.  Does not wait; false,
 * and nothing is done, if there is too much to do: ask again. */
bool router_nudge(struct router *router, struct txn_id id, uint64_t table_id, struct bytes item);

struct transaction_stats {
    uint64_t running;   /* now, recoveries included */
    uint64_t one_round; /* committed by one partition alone */
    uint64_t two_phase; /* committed by several */
    uint64_t cancelled;
    uint64_t unknown;    /* answered without knowing */
    uint64_t replayed;   /* answered by their token */
    uint64_t recoveries; /* begun */
};

struct transaction_stats router_transaction_stats(const struct router *router);

/* ---- Control plane: writes the catalog; admin/ makes it so ---- */

/* Write down that the table is CREATING, UPDATING or DELETING, and what it is to be.  Requests are
 * validated, but for what needs the catalog: for that *error is a ResourceInUse-, ResourceNotFound-
 * or LimitExceededException, or a ValidationException.
 *   STATUS_UNKNOWN_OUTCOME  it may have been written: router_refresh finds out
 *   another status          nothing was written */
MUST_USE enum status router_create_table(struct context *ctx, struct router *router,
                                         const struct create_table_request *request,
                                         struct error *error);
MUST_USE enum status router_update_table(struct context *ctx, struct router *router,
                                         const struct update_table_request *request,
                                         struct error *error);
MUST_USE enum status router_delete_table(struct context *ctx, struct router *router,
                                         struct bytes name, struct error *error);

/* The table in whatever state, else ResourceNotFoundException "Requested resource not found: Table:
 * NAME not found". Valid until the calling fiber next waits. */
MUST_USE enum status router_describe_table(struct context *ctx, struct router *router,
                                           struct bytes name, const struct table **table,
                                           struct error *error);

/* What the table and its indexes hold, as counted by its partitions. */
struct table_size {
    struct collection_size items;
    struct collection_size indexes[INDEXES_MAX]; /* in the order of table->indexes */
};
struct table_size router_table_size(struct router *router, const struct table *table);

/* Table names in byte order, after `start` (empty: from the first), at most `limit`; names are in
 * the arena. *more says whether others follow. */
MUST_USE enum status router_list_tables(struct context *ctx, struct router *router,
                                        struct bytes start, uint32_t limit, struct bytes *names,
                                        uint32_t *count, bool *more, struct error *error);

/* The next table with streams, in the order of the name by which clients know these
 * (table_stream_name), and of one name in the order of ids: the first behind (name, id); from ("",
 * 0) on all of them.  Departed tables are among them, and those that are about to depart.  NULL
 * when there is none.  Valid until the calling fiber next waits, unless held. */
const struct table *router_next_streamed(const struct router *router, struct bytes name,
                                         uint64_t id);

/* Read the records of a stream in one partition; the table is held by the caller.  Of one
 * that is CREATING a partition may not be there or not serve yet, and then has none. */
MUST_USE enum status router_read_stream(struct context *ctx, struct router *router,
                                        const struct table *table,
                                        const struct partition *partition,
                                        const struct replica_changes *read,
                                        struct change_sink *sink,
                                        struct replica_changes_result *result, struct error *error);

/* Add or replace tags; remove tags. */
MUST_USE enum status router_tag_table(struct context *ctx, struct router *router, struct bytes name,
                                      const struct tag *tags, uint32_t count, struct error *error);
MUST_USE enum status router_untag_table(struct context *ctx, struct router *router,
                                        struct bytes name, const struct bytes *keys, uint32_t count,
                                        struct error *error);

/* Give the table a resource policy (in the arena or longer), or take it away when it is empty.
 * `expected`: of which revision the policy has to be that is there; empty: of any, or none;
 * "NO_POLICY": there has to be none.  *revision: of the new policy, or of the one that was taken
 * away; 0: there was none.  The same policy again changes nothing.
 *   STATUS_INVALID  *error: PolicyNotFoundException for a revision that it is not, ... */
MUST_USE enum status router_set_policy(struct context *ctx, struct router *router,
                                       struct bytes name, struct bytes policy,
                                       struct bytes expected, uint64_t *revision,
                                       struct error *error);

/* ---- Items that expire ---- */

/* Name the attribute that says when items expire, or no longer. */
MUST_USE enum status router_update_ttl(struct context *ctx, struct router *router,
                                       struct bytes table, bool enable, struct bytes attribute,
                                       struct error *error);

/* The next ACTIVE table that has to do with expiring items, after the one named (empty: from the
 * first); NULL when there is none.  Valid until the calling fiber next waits. */
const struct table *router_next_ttl(struct router *router, struct bytes after);

/* Take one step through what expires in a partition.  `table` is held by the caller.
 *   step, after_s, now_s, from, limit: as in a replica_expire */
MUST_USE enum status router_expire(struct context *ctx, struct router *router,
                                   const struct table *table, uint32_t partition,
                                   struct replica_expire *expire,
                                   struct replica_expire_result *result);

/* ENABLING has become ENABLED, DISABLING DISABLED, if the table is so still. */
MUST_USE enum status router_settle_ttl(struct context *ctx, struct router *router,
                                       const struct table *table);

/* ---- For the seed: which tables it has begun to load ---- */

/* Note durably that the load of the table begins, or that it has ended. */
MUST_USE enum status router_note_seed(struct context *ctx, struct router *router, struct bytes name,
                                      bool begins);

/* Has a load of the table begun and not ended? */
MUST_USE enum status router_seed_begun(struct context *ctx, struct router *router,
                                       struct bytes name, bool *begun);

/* ---- For admin/: making the catalog's wishes true ---- */

/* Read the system table again, if a write of it had an unknown outcome: what was written is then in
 * the cache.  STATUS_OK, or why it could not be found out yet. */
MUST_USE enum status router_refresh(struct context *ctx, struct router *router);

/* The next table that is not settled (table_is_settled), after the one named (empty: from the
 * first); NULL when there is none. Valid until the calling fiber next waits. */
const struct table *router_next_unsettled(struct router *router, struct bytes after);

/* Create (or remove) the replicas of the table's partitions, and of those of its global indexes.
 * Done already is fine. */
MUST_USE enum status router_create_partitions(struct context *ctx, struct router *router,
                                              const struct table *table);
MUST_USE enum status router_remove_partitions(struct context *ctx, struct router *router,
                                              const struct table *table);

/* Remove what is left of the table's indexes that are DELETING: their partitions, and in those of
 * the table what was kept for them.  Done already is fine. */
MUST_USE enum status router_remove_indexes(struct context *ctx, struct router *router,
                                           const struct table *table);

/* The table, as router_create_partitions and router_remove_indexes have dealt with it, is what it
 * was asked to be: ACTIVE, and so are its indexes but those into which what the table held is still
 * to be brought, of which on_tables_changed tells when they are ready. */
MUST_USE enum status router_settle_table(struct context *ctx, struct router *router,
                                         const struct table *table);

/* The table that was DELETING has no partitions any more: it is gone. */
MUST_USE enum status router_forget_table(struct context *ctx, struct router *router,
                                         struct bytes name);

/* ---- Departed tables (metadata/table.h) ---- */

/* Is the table, which is DELETING, to depart: has it streams that can still be read? */
bool router_departs(const struct router *router, const struct table *table);

/* Carry that out: of its partitions the records stay, of its indexes nothing, and the name is free.
 * When a partition has no space for what it has to apply, or is damaged, the table goes whole, with
 * its streams.  To be repeated after a crash, and when it fails:
 *   STATUS_BUSY  there is no room for one more departed table, until the oldest is gone */
MUST_USE enum status router_depart(struct context *ctx, struct router *router,
                                   const struct table *table);

/* Retire the partitions of a departed table again: what a start is to do. */
MUST_USE enum status router_retire_partitions(struct context *ctx, struct router *router,
                                              const struct table *table);

/* The next departed table, after the one named (empty: from the first); NULL: there is none. */
const struct table *router_next_departed(const struct router *router, struct bytes after);

/* Have those removed (DELETING) whose streams' time is over, and the oldest beyond the bounds, or
 * when space is short; a few at a time.  *look_ns: when to call again, at the latest, on the
 * monotonic clock. */
MUST_USE enum status router_end_departed(struct context *ctx, struct router *router,
                                         uint64_t *look_ns);

#endif
