/* snapshot.h - for tests: the tables and their items as they were, kept in memory under a name, and
 * brought back; and all tables deleted at once.
 *
 * A snapshot is a copy of all items, taken page by page: what clients write meanwhile is in it or
 * not, item by item.  To restore it, tables that are not in it are deleted; those that were deleted
 * or changed since are made anew with the same definition; and in all others only those items are
 * written that differ.  Each of these is the ordinary write, through the log, so that whatever
 * follows a table's log follows this as well.
 *
 * A restore is not atomic.  What a crash, or an error, leaves: each item is as it was before or as
 * in the snapshot, tables on their way go on to where they were going, and the snapshots, which are
 * in memory, are gone with the process.  The same restore once more ends it.
 *
 * One of these runs at a time.
 */
#ifndef ROUTER_SNAPSHOT_H
#define ROUTER_SNAPSHOT_H

#include "router/router.h"

#define SNAPSHOTS_MAX           16u
#define SNAPSHOT_BYTES_MAX      ((size_t)256 << 20) /* of all of them */
#define SNAPSHOT_NAME_BYTES_MAX 64u

struct snapshots;

struct snapshot_stats {
    uint64_t tables, items, bytes; /* that it holds */
    uint64_t put, deleted;         /* items that a restore wrote */
};

/* STATUS_NO_MEMORY */
MUST_USE enum status snapshots_open(struct env *env, struct router *router,
                                    struct snapshots **snapshots);

/* What runs ends soon, with STATUS_CANCELLED. */
void snapshots_cancel(struct snapshots *snapshots);

/* Nothing of it runs any more. */
void snapshots_close(struct snapshots *snapshots);

/* Take one; one of this name is replaced when the new one is whole.
 *   STATUS_BUSY      another call runs      STATUS_EXISTS  there are SNAPSHOTS_MAX
 *   STATUS_NO_SPACE  they would need more than SNAPSHOT_BYTES_MAX
 *   another          *error is filled in, as of the request that failed */
MUST_USE enum status snapshot_take(struct context *ctx, struct snapshots *snapshots,
                                   struct bytes name, struct snapshot_stats *stats,
                                   struct error *error);

/* STATUS_NOT_FOUND, STATUS_BUSY, or as above. */
MUST_USE enum status snapshot_restore(struct context *ctx, struct snapshots *snapshots,
                                      struct bytes name, struct snapshot_stats *stats,
                                      struct error *error);

/* STATUS_NOT_FOUND, STATUS_BUSY */
MUST_USE enum status snapshot_drop(struct snapshots *snapshots, struct bytes name);

/* The snapshot at `index`, in the order in which they were taken; false: there are no more. */
bool snapshot_at(const struct snapshots *snapshots, uint32_t index, struct bytes *name,
                 struct snapshot_stats *stats);

/* Delete all tables, also those that are protected against it, and wait until they are gone; sets
 * stats->tables.  As snapshot_take. */
MUST_USE enum status snapshots_reset(struct context *ctx, struct snapshots *snapshots,
                                     struct snapshot_stats *stats, struct error *error);

#endif
