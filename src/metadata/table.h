/* table.h - one table as the catalog holds it: definition, state, partitions.
 *
 * A struct table is immutable once published: a change makes a new one and swaps the pointer in the
 * catalog.  So a flow that holds one across a wait still sees a whole, if older, table; it is freed
 * when nobody refers to it.
 */
#ifndef METADATA_TABLE_H
#define METADATA_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "model/index.h"
#include "model/key.h"
#include "request/control.h"

#define TABLE_FORMAT         2u
#define TABLE_PARTITIONS_MAX 1024u
/* So that the record of a table fits in an item. */
#define TABLE_AND_INDEXES_PARTITIONS_MAX 7000u
#define PARTITIONS_MAX                   16000u /* of all tables together, but the departed ones */

/* Of a table, and of a global index; DEPARTED of tables alone. */
enum table_status { TABLE_CREATING, TABLE_ACTIVE, TABLE_UPDATING, TABLE_DELETING, TABLE_DEPARTED };

/* Of the attribute that says when items expire. */
enum ttl_status {
    TTL_DISABLED,
    TTL_ENABLING, /* writes note it; of items that were there before it is being noted */
    TTL_ENABLED,
    TTL_DISABLING, /* what was noted is being removed */
    TTL_STATUS_COUNT
};

#define TTL_NAME_BYTES_MAX (3u * 255u) /* 255 characters */

#define BILLING_SWITCHES 4u /* to on-demand in 24 hours, as the service allows */
#define CLASS_CHANGES    2u /* of the table class in 30 days, likewise */

/* A byte range [low, high) of encoded keys, and the group that has it. */
struct partition {
    uint64_t group_id;
    struct bytes low;  /* empty: from the first key */
    struct bytes high; /* empty: to the last key */
};

#define TABLE_STREAMS_MAX   8u
#define STREAM_RETENTION_MS UINT64_C(86400000) /* that a stream outlives its end; 24 h */

/* A table that a client has deleted *departs*, when it has streams that can still be read: its
 * items and indexes go, and what its streams need stays under a name that no client can give,
 * "#streams#" the table's name "#" its id in 20 digits, until the last of them has had its time.
 * These names sort by the table's name, then by the id: of a name the older one is first.
 *
 * Beyond the first number of departed tables, or of partitions of theirs, the oldest goes; beyond
 * the second no other departs until that has happened: there is room for all that may be on
 * their way. */
#define DEPARTED_PREFIX          "#streams#"
#define DEPARTED_NAME_BYTES_MAX  (sizeof(DEPARTED_PREFIX) - 1 + TABLE_NAME_BYTES_MAX + 1 + 20)
#define DEPARTED_TABLES_MAX      500u
#define DEPARTED_TABLES_ROOM     1000u
#define DEPARTED_PARTITIONS_MAX  1000u
#define DEPARTED_PARTITIONS_ROOM 4000u

/* A stream of the table's changes: from its creation until it is disabled. */
struct table_stream {
    uint64_t created_ms; /* shown as its label; no two of a table have the same */
    uint64_t ended_ms;   /* 0: it is enabled, and the last of the table's */
    uint8_t number;      /* 1 to 255, then 1 again: in the entries of the log */
    uint8_t view;        /* enum stream_view */
};

/* What a global index has of its own beside its schema: it is a table inside, under an id that no
 * table has. */
struct table_index {
    uint64_t id;
    uint64_t hash_seed;
    enum table_status status;
    bool online;      /* it was added to a table: what that held then is brought in (backfill) */
    bool backfilling; /* CREATING, and its partitions serve */
    uint64_t read_units, write_units;
    uint64_t last_increase_ms, last_decrease_ms; /* 0 = never */
    uint32_t decreases_today;
    bool has_on_demand_maximum;
    int64_t on_demand_read_max, on_demand_write_max;
    struct warm_throughput warm;  /* the most that it has been; see index_warm */
    struct partition *partitions; /* as a table's */
    uint32_t partition_count;
};

struct table {
    uint32_t references;
    uint64_t id;             /* never used twice */
    uint64_t schema_version; /* grows with each change */
    struct bytes name;
    uint8_t uuid[16]; /* TableId */
    uint64_t hash_seed;
    struct key_schema schema;
    enum table_status status;
    uint64_t created_ms; /* since 1970 */
    enum billing_mode billing;
    uint64_t billing_changed_ms; /* LastUpdateToPayPerRequestDateTime; 0 = never */
    uint64_t read_units, write_units;
    uint64_t last_increase_ms, last_decrease_ms; /* 0 = never */
    uint32_t decreases_today;
    bool has_on_demand_maximum;
    int64_t on_demand_read_max, on_demand_write_max;
    bool deletion_protection;
    enum table_class table_class;
    uint64_t table_class_changed_ms; /* TableClassSummary's LastUpdateDateTime; 0 = never */
    uint64_t class_changes_ms[CLASS_CHANGES]; /* updates, newest first; 0 = never */
    struct warm_throughput warm;              /* the most that it has been; see table_warm */
    struct sse_setting sse;
    uint64_t switched_ms[BILLING_SWITCHES];         /* to on-demand, newest first; 0 = never */
    struct bytes policy;                            /* resource policy, JSON; empty: none */
    uint64_t policy_revision;                       /* of the last one that there was; 0 = never */
    struct table_stream streams[TABLE_STREAMS_MAX]; /* the newest last */
    uint32_t stream_count;
    uint8_t stream_number; /* of the one that is enabled, or 0; of a decoded table */
    uint8_t keeps_changes; /* enum change_keeping; of a decoded table */
    struct tag *tags;
    uint32_t tag_count;
    struct partition *partitions; /* in key order, gapless, at least one */
    uint32_t partition_count;
    /* The local ones, in the order of their collections: 1, 2, ...; then the global ones. */
    struct index_schema *indexes;
    uint32_t index_count;
    struct table_index *globals; /* of the last global_count of `indexes` */
    uint32_t global_count;
    struct bytes index_run; /* their encoding (model/index.h), for the node; of a decoded table */
    enum ttl_status ttl;
    struct bytes ttl_attribute; /* empty when DISABLED */
    uint64_t ttl_changed_ms;    /* when a client last changed it; 0 = never */
    struct heap *heap;          /* which the whole struct came from */
    size_t bytes;
};

/* Is it a table of the system's own, with a name that no client can give? */
static inline bool table_name_is_internal(struct bytes name)
{
    return name.count > 0 && name.at[0] == '#';
}

/* Has the table departed?  Its status is DEPARTED, or, when its streams' time is over, DELETING. */
bool table_is_departed(const struct table *table);

/* The name by which clients know the table's streams: its own; of a departed one that which it had
 * before. */
struct bytes table_stream_name(const struct table *table);

/* The name under which a table of that name and id departs; returns its bytes. */
struct bytes table_departed_name(struct bytes name, uint64_t id, char to[DEPARTED_NAME_BYTES_MAX]);

/* The partition whose range holds `key`. */
const struct partition *table_partition(const struct table *table, struct bytes key);
const struct partition *table_index_partition(const struct table_index *index, struct bytes key);

/* What the global index with this schema, one of table->indexes, has of its own; NULL for a local
 * one. */
struct table_index *table_global(const struct table *table, const struct index_schema *schema);
const struct index_schema *table_global_schema(const struct table *table,
                                               const struct table_index *index);

/* The global index of that id; NULL: there is none. */
struct table_index *table_global_of_id(const struct table *table, uint64_t id);

/* What a table or a global index is ready for without being asked. */
struct warm_throughput warm_by_itself(enum billing_mode billing, uint64_t read_units,
                                      uint64_t write_units);

struct warm_throughput warm_most(struct warm_throughput a, struct warm_throughput b);

/* What it is ready for: the most of that, of what was asked for, and of what it has been. */
struct warm_throughput table_warm(const struct table *table);
struct warm_throughput index_warm(enum billing_mode billing, const struct table_index *index);

/* Is all as it was asked to be: the table ACTIVE or DEPARTED, and each global index ACTIVE? */
bool table_is_settled(const struct table *table);

/* Its partitions and those of its global indexes. */
uint32_t table_partitions(const struct table *table);

/* The index of that name; NULL: there is none. */
const struct index_schema *table_index(const struct table *table, struct bytes name);

/* The stream that is enabled; NULL: none is. */
const struct table_stream *table_stream(const struct table *table);

/* Can the stream still be read, or is at least named? */
bool table_stream_lives(const struct table_stream *stream, uint64_t now_ms);

/* Begin a stream, whose label's time is now_ms or later, or end the one that is enabled.  Of too
 * many the oldest is forgotten. */
void table_stream_begin(struct table *table, uint8_t view, uint64_t now_ms);
void table_stream_end(struct table *table, uint64_t now_ms);

/* Until when one of its streams can be read; UINT64_MAX: one is enabled; 0: it has none. */
uint64_t table_streams_end_ms(const struct table *table);

/* Make of the definition of a table that of a departed one, under that name: of its streams those
 * that live. */
void table_depart(struct table *table, struct bytes name, uint64_t now_ms);

/* Append the catalog's record of the table. */
void table_encode(const struct table *table, struct buffer *to);

/* Decode a record into one allocation of `heap`, with one reference, which the caller owns.
 *   STATUS_CORRUPT, STATUS_VERSION, STATUS_NO_MEMORY */
MUST_USE enum status table_decode(struct bytes record, struct heap *heap, struct table **table);

/* Take one reference more; give one back, which frees the table at the last.  A count of references
 * is no change of the table. */
void table_hold(const struct table *table);
void table_drop(const struct table *table);

/* The attribute that says when items expire, as writes are to know it; empty: none does. */
static inline struct bytes table_ttl(const struct table *table)
{
    bool noted = table->ttl == TTL_ENABLING || table->ttl == TTL_ENABLED;
    return noted ? table->ttl_attribute : (struct bytes){0};
}

const char *ttl_status_name(enum ttl_status status);     /* "ENABLED" */
const char *table_status_name(enum table_status status); /* "ACTIVE" */

#endif
