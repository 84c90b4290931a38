/* data.h - the data plane's typed requests and results.
 *
 * api/ decodes and validates JSON into these, the router sends them to the partition that has the
 * key, the node executes them.  Everything they point to is in the request's arena and lives as
 * long as the request.
 */
#ifndef REQUEST_DATA_H
#define REQUEST_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/status.h"
#include "expr/expr.h"
#include "model/index.h"
#include "model/value.h"

#define ITEM_BYTES_MAX (400u * 1024u) /* as the service counts them */

/* Of the binary form, which what the service counts least is up to eleven times as long as: the
 * service counts {"SS":[""]} in a list as one byte.  A list or a set of numbers is twice as long at
 * most. */
#define ITEM_STORED_BYTES_MAX (895u * 1024u)
#define PAGE_BYTES_MAX        (1024u * 1024u) /* read by one Query or Scan, before filtering */
#define BATCH_GET_MAX         100u
#define BATCH_WRITE_MAX       25u

enum return_values {
    RETURN_NONE,
    RETURN_ALL_OLD,
    RETURN_UPDATED_OLD,
    RETURN_ALL_NEW,
    RETURN_UPDATED_NEW,
};

/* ---- One item ---- */

struct get_request {
    struct bytes table; /* its name */
    struct value key;   /* a map, as the client sent it */
    bool consistent;
    struct bytes encoded; /* the key, once a batch was checked; in the request's arena */
    uint64_t encoded_for; /* the id of the table that it was encoded for; 0 = not yet */
};

struct get_result {
    struct value item; /* VALUE_ABSENT: there is none.  Valid until the calling fiber next waits. */
    uint32_t item_bytes; /* as the service counts them; 0 when absent */
};

/* WRITE_CHECK is of transactions only: the item stays as it is. */
enum write_kind { WRITE_PUT, WRITE_UPDATE, WRITE_DELETE, WRITE_CHECK };

struct write_request {
    enum write_kind kind;
    struct bytes table;
    struct value item;             /* PUT: the whole item; else the key; a map */
    struct expr_program condition; /* empty: none */
    struct expr_program update;    /* UPDATE; may be empty */
    bool own;    /* the server's: not held to what its table and the indexes may consume */
    bool urgent; /* as a replica_write's */
    enum return_values return_values;
    bool return_on_failure; /* ReturnValuesOnConditionCheckFailure = ALL_OLD: error.item */
};

struct write_result {
    struct value attributes; /* what return_values asked for, in the arena; VALUE_ABSENT: nothing */
    uint32_t old_bytes; /* of the item before and after, as the service counts; 0 = there was none.
                    * Set also when the condition failed */
    uint32_t new_bytes;
    /* Of a table with indexes, in their order: what writing their rows costs. */
    uint8_t index_count, local_index_count; /* the local ones come first */
    uint32_t index_half_units[INDEXES_MAX];
    /* Of a table with local indexes: */
    bool has_collection;
    uint64_t collection_bytes; /* of the item collection after the write: items and index rows */
    /* With STATUS_THROTTLED: the global index that the write changes and that is behind, in the
     * arena, and by what (enum throttle_limit); empty: it was the partition's own share. */
    struct bytes held_for;
    uint8_t held_limit;
    bool was_newer; /* of a row of a global index: the write was old, and has cost nothing */
};

/* ---- Ranges: Query and Scan ---- */

enum range_kind { RANGE_QUERY, RANGE_SCAN };

struct range_request {
    enum range_kind kind;
    struct bytes table;
    struct bytes index;                /* its name; empty: the table itself */
    bool all_attributes;               /* of an index: whole items, not what it projects */
    struct expr_program projection;    /* what is asked for of the items; empty: all there is */
    struct expr_program key_condition; /* QUERY */
    struct expr_program filter;        /* empty: none */
    struct value start_key; /* ExclusiveStartKey, a map; VALUE_ABSENT: from the beginning */
    uint32_t limit;         /* items to evaluate; 0 = no limit */
    uint64_t bytes_max;     /* of items evaluated; 0 = PAGE_BYTES_MAX */
    bool backward;          /* QUERY: ScanIndexForward = false */
    bool own;               /* as in a write_request */
    bool consistent;
    uint32_t segment, segment_count; /* SCAN; count 0 = not parallel */
};

/* Takes what a range yields, item by item, in order. */
struct item_sink {
    /* `item` is valid for the call; the callee must not wait.
     *   STATUS_NO_MEMORY  the answer does not fit; the range ends with it */
    enum status (*take)(struct item_sink *sink, struct value item);
    /* In its place, for who asks for versions too; `key` is encoded. */
    enum status (*take_row)(struct item_sink *sink, struct bytes key, const struct row *row);
};

struct range_result {
    uint32_t count;         /* items given to the sink */
    uint32_t scanned_count; /* items evaluated */
    uint64_t
        scanned_bytes; /* of those, or of their rows in the index, as the service counts them */
    uint64_t fetched_half_units; /* of reading whole items for rows of the index */
    struct value
        last_key; /* LastEvaluatedKey, a map in the arena; VALUE_ABSENT: the end was reached */
};

#endif
