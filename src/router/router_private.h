/* router_private.h - the router's state, for the files of this folder. */
#ifndef ROUTER_ROUTER_PRIVATE_H
#define ROUTER_ROUTER_PRIVATE_H

#include "metadata/catalog.h"
#include "route/replica_service.h"
#include "router/router.h"
#include "router/throughput.h"
#include "txn/txn.h"

#define LEDGER_PROGRAMS 11u

/* ledger.h */
struct ledger {
    bool compiled;
    struct arena arena; /* of the programs */
    struct expr_program programs[LEDGER_PROGRAMS];
};

/* transaction.h, recovery.c */
struct transactions {
    struct list all; /* struct transaction */
    uint32_t count;
    uint32_t finders; /* fibers that look for one to be recovered */
    struct txn_clock clock;
    bool closing;
    bool sweeping; /* the sweeper's fiber runs */
    struct context *sweeper;
    struct wait_queue ended;
    struct transaction_stats stats;
};

#define MOVES_MAX 3u /* how often one call is tried anew after STATUS_MOVED */

struct router {
    struct env *env;
    struct router_options options;
    struct replica_service *service;
    struct catalog catalog;
    struct table_budgets budgets;
    struct router_stats stats;
    /* What CreateTable flows are about to add: they wait between the look at the bounds and the
     * row. */
    uint32_t tables_coming, partitions_coming;
    uint64_t tight_ns;                                    /* departed.c: when, for want of space, */
    uint32_t tight_left;                                  /* more than so many departed tables go */
    uint32_t departed_coming, departed_partitions_coming; /* the same of tables that depart */
    uint32_t changes_coming;   /* the same of all flows that are about to write a row */
    struct wait_queue changed; /* the catalog has, or what was coming has not come */
    struct ledger ledger;
    struct transactions transactions;
    bool doubtful; /* a row's write has an unknown outcome: the cache may be behind */
    struct propagator *propagator; /* NULL: none runs (yet, or any more) */
};

/* ---- keys.c: keys against a table's schema, with the service's texts ---- */

#define KEY_MISMATCH "The provided key element does not match the schema"

/* Encode the primary key that `key` (a map) is, whole and nothing else.
 *   STATUS_INVALID  *error */
MUST_USE enum status keys_encode(const struct table *table, struct value key, struct arena *arena,
                                 struct key *encoded, struct error *error);

/* The key of a row of a local index, from a map of just its attributes: the primary key and the
 * index's sort key.
 *   STATUS_INVALID  *error */
MUST_USE enum status keys_encode_index(const struct table *table, const struct index_schema *index,
                                       struct value key, struct arena *arena, struct key *encoded,
                                       struct error *error);

/* The key of a row of a global index, from a map of just the attributes of its key and the table's.
 *   STATUS_INVALID  *error */
MUST_USE enum status keys_encode_global(const struct table *table, const struct index_schema *index,
                                        struct value key, struct key *encoded, struct error *error);

/* Encode the primary key of an item to be put, which must not be too large. */
MUST_USE enum status keys_encode_item(const struct table *table, struct value item,
                                      struct arena *arena, struct key *encoded,
                                      struct error *error);

/* An update must not change the key's attributes. */
MUST_USE enum status keys_check_update(const struct table *table, const struct expr_program *update,
                                       struct arena *arena, struct error *error);

/* A range of encoded keys; in the arena. */
struct key_range {
    struct bytes low;  /* inclusive; empty: from the first */
    struct bytes high; /* exclusive; empty: to the last */
};

/* The keys that a key condition asks for, of the table (index NULL) or of a local index. */
MUST_USE enum status keys_condition_range(const struct table *table,
                                          const struct index_schema *index,
                                          const struct key_condition *condition,
                                          struct arena *arena, struct key_range *range,
                                          struct error *error);

/* The rows of a global index that a key condition asks for. */
MUST_USE enum status keys_global_range(const struct index_schema *index,
                                       const struct table_index *global,
                                       const struct index_condition *condition, struct arena *arena,
                                       struct key_range *range);

/* The keys of one segment of a scan. */
MUST_USE enum status keys_segment_range(uint32_t segment, uint32_t count, struct arena *arena,
                                        struct key_range *range);

/* ---- router.c ---- */

/* The replica that has a key, and that of a partition. */
struct replica_target router_target(const struct table *table, struct bytes key);
struct replica_target router_partition_target(const struct table *table,
                                              const struct partition *partition);

/* Do writes of the table change more rows than the item's: those of indexes, or what says when the
 * item expires? */
static inline bool router_has_derived(const struct table *table)
{
    return table->index_count > 0 || table_ttl(table).count > 0;
}

/* Give a write what the node needs of such a table; borrowed from it. */
void router_write_indexed(const struct table *table, struct replica_write *write);

/* What to tell the client of a call to a replica that ended with `status`; keeps *error when it is
 * the client's fault.  Returns `status`. */
enum status router_replica_error(struct error *error, enum status status);

/* ---- tables.c: for snapshots ---- */

/* May one more table be created, updated or deleted now? */
bool router_may_change(const struct router *router);

/* Delete the table also when it is protected against that. */
MUST_USE enum status router_discard_table(struct context *ctx, struct router *router,
                                          struct bytes name, struct error *error);

/* Create a table as `model` says, which is no longer in the catalog: its definition with new ids
 * and partitions. */
MUST_USE enum status router_recreate_table(struct context *ctx, struct router *router,
                                           const struct table *model, struct error *error);
/* Check a write of one item, but for what needs the item, and encode its key. */
MUST_USE enum status router_check_write(const struct table *table,
                                        const struct write_request *request, struct arena *arena,
                                        struct key *key, struct error *error);

/* ---- transact.c ---- */

/* Is a refusal of a key one of the whole request?  Else it is one action's reason. */
bool router_refuses_request(const struct error *error);

#define MULTIPLE_OPERATIONS   "Transaction request cannot include multiple operations on one item"
#define TRANSACTION_TOO_LARGE "Collective size of items in transaction exceeds the limit of 4 MB"

/* ---- ledger.c, recovery.c ---- */

void ledger_release(struct router *router);

/* The sweeper runs from the first transaction on, or from the start when there are the tables. */
void recovery_begin(struct router *router);

/* Nothing begins any more; returns when everything has ended. */
void recovery_end(struct context *ctx, struct router *router);

/* ---- tables.c ---- */

/* Has another change of the catalog's row come first, so that this one is to be tried anew on what
 * that has made of the table?  Begins with STATUS_CONDITION_FAILED and no tries; may wait. */
bool router_is_overtaken(struct context *ctx, enum status status, uint32_t tries);

/* Partitions of equal shares of the hash space, with ids from `group_id` on; in the arena.
 *   STATUS_NO_MEMORY */
MUST_USE enum status router_divide(struct context *ctx, uint32_t count, uint64_t group_id,
                                   struct partition **partitions);

/* One partition for each 1,000 write units and 3,000 read units, as the Developer Guide's
 * "Partitions and data distribution" divides provisioned throughput. */
uint32_t router_partitions_for(const struct router *router, enum billing_mode billing,
                               uint64_t read_units, uint64_t write_units);

/* May the throughput decrease now?  After the first few of a day (UTC) one an hour may.  Otherwise
 * counts it. */
MUST_USE enum status router_check_decrease(struct context *ctx, const struct router *router,
                                           uint64_t last_ms, uint32_t *decreases_today, uint64_t ms,
                                           struct error *error);

/* ---- table_indexes.c: the global indexes of tables that are created and updated ---- */

/* How many partitions the global indexes of CreateTable have. */
uint32_t indexes_partitions(const struct router *router,
                            const struct create_table_request *request);

/* Give the new table the indexes of the request; the global ones without ids. */
MUST_USE enum status indexes_create(struct context *ctx, const struct router *router,
                                    const struct create_table_request *request,
                                    struct table *table);

/* Make new global indexes of those that the table has, CREATING, with ids and partitions from `id`
 * on: one for each index and each of its partitions; in arrays in the arena. */
MUST_USE enum status indexes_number(struct context *ctx, struct router *router, uint64_t id,
                                    struct table *table);

/* Ids for an index that UpdateTable creates: its own, then those of its partitions. */
struct index_ids {
    uint64_t first;
    uint32_t partitions; /* 0: none is created */
};

/* Make the changes of UpdateTable in `table`, whose arrays are replaced by others in the arena. */
MUST_USE enum status indexes_change(struct context *ctx, struct router *router,
                                    const struct update_table_request *request,
                                    const struct index_ids *ids, uint64_t ms, struct table *table,
                                    struct error *error);

/* What router_settle_table makes of `table`'s indexes, when `dealt` was dealt with; arrays as
 * above.
 * *changed: anything. */
MUST_USE enum status indexes_settle(struct context *ctx, struct router *router,
                                    const struct table *dealt, struct table *table, bool *changed);

/* ---- streams.c ---- */

/* A time for the label of a stream of the table with that name: now, or later, if a departed table
 * of the name has a stream of that time. */
uint64_t router_stream_time(const struct router *router, struct bytes name);

/* ---- departed.c ---- */

/* Have every departed table removed, for tests; returns before they are. */
MUST_USE enum status router_end_all_departed(struct context *ctx, struct router *router);

/* ---- partitions.c ---- */

MUST_USE enum status router_remove_index_partitions(struct context *ctx, struct router *router,
                                                    const struct table *table);

/* ---- system.c: rows of the system table ---- */

MUST_USE enum status system_load(struct context *ctx, struct router *router);

/* Write the table's row: a new one (version 1), or in place of the version before it; then publish
 * it.  `urgent`: as a replica_write's.
 *   STATUS_CONDITION_FAILED  somebody else wrote it first */
MUST_USE enum status system_write_table(struct context *ctx, struct router *router,
                                        const struct table *table, bool urgent);
MUST_USE enum status system_delete_table(struct context *ctx, struct router *router,
                                         struct bytes name);

/* Take `count` ids that nobody had or will have; *first is the first of them. */
MUST_USE enum status system_take_ids(struct context *ctx, struct router *router, uint64_t count,
                                     uint64_t *first);

#endif
