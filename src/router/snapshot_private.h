/* snapshot_private.h - snapshots.c keeps them, snapshot_items.c copies and writes items. */
#ifndef ROUTER_SNAPSHOT_PRIVATE_H
#define ROUTER_SNAPSHOT_PRIVATE_H

#include "base/budget.h"
#include "router/router_private.h"
#include "router/snapshot.h"

/* A run of items with their keys (snapshot_items.c).  In one block of the heap. */
struct snapshot_block {
    struct list link;
    size_t capacity, count;
    uint8_t at[];
};

/* One table; its items in the order of their keys. */
struct snapshot_table {
    struct list link;
    const struct table *table; /* held */
    struct list blocks;
    uint64_t items, bytes;
};

struct snapshot {
    struct list link;
    struct list tables; /* in the order of their names */
    struct snapshot_stats stats;
    uint32_t name_bytes;
    uint8_t name[SNAPSHOT_NAME_BYTES_MAX];
};

/* ---- snapshot_items.c ---- */

/* Copy all items of to->table. */
MUST_USE enum status snapshot_copy(struct context *ctx, struct router *router,
                                   struct budget *budget, struct snapshot_table *to,
                                   struct error *error);
void snapshot_release_blocks(struct heap *heap, struct budget *budget,
                             struct snapshot_table *table);

/* Make the items of the table, which is the one in the catalog, those of the snapshot; adds to
 * stats->put and stats->deleted. */
MUST_USE enum status snapshot_write(struct context *ctx, struct router *router,
                                    const struct snapshot_table *from, struct snapshot_stats *stats,
                                    struct error *error);

#endif
