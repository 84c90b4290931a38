/* catalog.h - the router's cache of the tables: every one of them, by name.
 *
 * The catalog itself is the system table (id 1), stored and replicated like any other: a row per
 * table under the partition key "table", sorted by name.  This cache holds a decoded copy of every
 * row; whoever writes a row publishes the new table here, and start-up fills it from the system
 * table.
 *
 *   kind (S, partition key)   name (S, sort key)   other attributes
 *   "table"                   the table's name     version (N): schema_version;
 *                                                  record (B): table_encode
 *   "id"                      "next"               taken (N): ids given out so far
 *   "seed"                    the table's name     none: its load from a seed is under way
 */
#ifndef METADATA_CATALOG_H
#define METADATA_CATALOG_H

#include "base/heap.h"
#include "metadata/table.h"

#define SYSTEM_TABLE_ID UINT64_C(1)
#define SYSTEM_GROUP_ID UINT64_C(1)

/* Those of clients, the two of transactions, and departed ones. */
#define CATALOG_TABLES_MAX (TABLES_MAX + 2u + DEPARTED_TABLES_ROOM)

struct catalog {
    struct heap *heap;
    struct table *system;  /* the system table's own definition; always there */
    struct table **tables; /* sorted by name; one reference each */
    uint32_t count;
    uint32_t internal;   /* of them, those that clients do not see, departed ones too */
    uint32_t partitions; /* of all tables and their global indexes, but departed ones */
    uint32_t departed, departed_partitions;
    uint32_t departed_deleting; /* of the departed ones, those whose time is over */
    uint32_t unsettled;         /* tables that are not, or of which an index is not, ACTIVE */
};

/* STATUS_NO_MEMORY */
MUST_USE enum status catalog_open(struct catalog *catalog, struct heap *heap);
void catalog_close(struct catalog *catalog);

/* The table, or NULL.  Valid until the calling fiber next waits, unless held. */
struct table *catalog_find(const struct catalog *catalog, struct bytes name);

/* The position of the first table whose name is not below `name`; catalog->count when there is
 * none. */
uint32_t catalog_position(const struct catalog *catalog, struct bytes name);

/* The first departed table whose name is not below `name`; NULL: there is none. */
struct table *catalog_departed(const struct catalog *catalog, struct bytes name);

/* Put `table` in place of what has its name; takes the caller's reference.  An older schema_version
 * than the one that is there is dropped: publications may come out of order.
 *   STATUS_BUSY  CATALOG_TABLES_MAX are there; the reference stays the caller's */
MUST_USE enum status catalog_publish(struct catalog *catalog, struct table *table);

/* Forget the table of this name; harmless when there is none. */
void catalog_remove(struct catalog *catalog, struct bytes name);

#endif
