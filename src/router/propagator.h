/* propagator.h - keeps global indexes up to date with their tables.
 *
 * For each partition of a table and each of its global indexes there is a *pump*: it takes the
 * changes of the partition's items, in the order of its log, makes of them puts and deletions of
 * rows, sends these to the index's partitions, and moves the index's mark in the partition, which
 * is replicated there, so that a restart goes on.  A pump has a fiber while there is something to
 * do, and PUMPS_AT_ONCE of them at a time; it holds a bounded batch in memory.
 *
 * Every row says of which version of its item it is (route/replica_service.h, replica_write), and
 * what is not newer than what the index has is not done: a change that is sent again, or late, does
 * no harm.  A deletion leaves a tombstone.  It goes when nothing older can be sent again: when a
 * row of the partition (the *cursor*) says that the batch was sent.  Only then goes the mark.
 *
 * An index that was added to a table is first given what the partitions hold (*backfill*), each
 * item under its version, while its changes are pumped too; until that has ended no tombstone goes.
 *
 * What changes put into an index consumes the index's write capacity, row by row, at its
 * partitions; what backfills, expiring items, seeds and snapshots do consumes nobody's.  A pump
 * whose rows may not be written now waits and tries again; no change is lost, or overtaken.  As
 * long as it waits for capacity, and also when it is more than INDEX_LAG_MAX_NS behind for any
 * other reason, it has the partition of the table refuse clients' writes that would change the
 * index (route/replica_service.h, hold_writes): so what waits is bounded by what had come until
 * then.
 *
 * Invariants:
 *   (1) all changes up to the mark are in the index, and none of them has a tombstone
 *   (2) all changes up to the cursor are in the index; a restart sends none of them again
 *   (3) while tombstones are gone above the mark, the cursor is at or beyond them
 */
#ifndef ROUTER_PROPAGATOR_H
#define ROUTER_PROPAGATOR_H

#include "base/metrics.h"
#include "router/router.h"

#define PUMPS_AT_ONCE           16u
#define PROPAGATOR_DELAY_MS_MAX UINT64_C(3600000)
#define INDEX_LAG_MAX_NS        UINT64_C(60000000000) /* beyond the delay that tests ask for */

struct propagator;

struct propagator_stats {
    uint64_t changes;        /* taken from tables */
    uint64_t rows;           /* puts and deletions sent to indexes */
    uint64_t backfilled;     /* items brought into new indexes */
    uint64_t failures;       /* turns of pumps that are tried again */
    uint64_t waits;          /* turns that ended because the index has no capacity left */
    uint32_t pumps, active;  /* now; and those that have something to do */
    uint32_t holding;        /* those for which writes of tables are refused */
    struct histogram lag_ns; /* from the write of a change until the index has it */
};

/* Begin to follow the tables of `router`, which outlives it.  delay_ns: how old a change must be
 * before an index has it, for tests; by wall_now_ns, whatever moves that.
 *   STATUS_NO_MEMORY */
MUST_USE enum status propagator_open(struct context *ctx, struct router *router, uint64_t delay_ns,
                                     struct propagator **propagator);

/* From now on; also for changes that wait. */
void propagator_set_delay(struct propagator *propagator, uint64_t delay_ns);
uint64_t propagator_delay_ns(const struct propagator *propagator);

/* wall_now_ns has leapt: look at what waits once more. */
void propagator_clock_moved(struct propagator *propagator);

const struct propagator_stats *propagator_stats(const struct propagator *propagator);

/* Stop, wait until all pumps have ended, and free it. */
void propagator_close(struct context *ctx, struct propagator *propagator);

#endif
