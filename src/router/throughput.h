/* throughput.h - what tables and global indexes may spend: the maximums of those that are
 * on-demand, the rates that partitions are held to, and what is said to who goes beyond.
 *
 * A partition's buckets are with the replica that leads it (route/replica_service.h).  The bucket
 * of a whole table or index is here, and only those on-demand with an OnDemandThroughput have one.
 */
#ifndef ROUTER_THROUGHPUT_H
#define ROUTER_THROUGHPUT_H

#include "admission/partition_tokens.h"
#include "base/hash_map.h"
#include "metadata/table.h"
#include "request/data.h"
#include "request/error.h"
#include "router/router.h"

/* The buckets of the tables and indexes that have maximums, by id. */
struct table_budgets {
    struct hash_map tables; /* of struct table_budget */
};

void table_budgets_init(struct table_budgets *budgets, struct env *env);
void table_budgets_release(struct table_budgets *budgets, struct env *env);

/* The table or index is gone: what it had is forgotten. */
void table_budgets_forget(struct router *router, uint64_t id);

/* What the partitions of `table` are held to when clients ask; a target without rates is for what
 * the server does for itself. */
void router_rates(const struct router *router, const struct table *table,
                  struct partition_rate rates[ADMISSION_KINDS]);
void router_index_rates(const struct router *router, const struct table *table,
                        const struct table_index *index,
                        struct partition_rate rates[ADMISSION_KINDS]);

/* May a request spend units of the table, which it names so?  `name` lives as long as the request.
 *  It is charged `least` tokens (halves of units) if so.
 * *budget says what to charge the rest to; zero: the table has no maximum.
 *   STATUS_THROTTLED  *error is filled in
 *   STATUS_NO_MEMORY  likewise */
MUST_USE enum status router_spend(struct router *router, struct bytes name,
                                  const struct table *table, enum admission_kind kind,
                                  uint32_t least, uint64_t *budget, struct error *error);

/* The same of reading a global index of the table. */
MUST_USE enum status router_spend_index(struct context *ctx, struct router *router,
                                        struct bytes name, const struct table *table,
                                        const struct table_index *index, uint32_t least,
                                        uint64_t *budget, struct error *error);

/* The same of writing a row of the index, which nobody is told of: false: it may not now. */
bool router_spend_row(struct router *router, const struct table_index *index, uint64_t *budget);

/* What it has cost beyond that, if it was router_spend that let it in; negative: less. */
void router_spent(struct router *router, uint64_t budget, enum admission_kind kind, int64_t tokens);

static inline bool status_is_throttle(enum status status)
{
    return status == STATUS_THROTTLED || status == STATUS_HOT;
}

/* A replica has answered so: the error for the client.  `name` lives as long as the request.
 * Returns `status`. */
enum status router_throttled(struct router *router, struct bytes name, enum admission_kind kind,
                             enum status status, struct error *error);

/* The same of a partition of a global index that was to be read; what the error refers to is put
 * into the arena. */
enum status router_throttled_index(struct router *router, struct bytes name, struct bytes index,
                                   enum status status, struct arena *arena, struct error *error);

/* The same of a write, which may have been refused for an index that it changes. */
enum status router_throttled_write(struct router *router, struct bytes name, enum status status,
                                   const struct write_result *result, struct arena *arena,
                                   struct error *error);

#endif
