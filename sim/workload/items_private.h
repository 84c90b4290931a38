/* items_private.h - the inside of the workload of items: an actor, and what its parts share.
 *
 * items.c        the actors' life and phases       items_ask.c  requests, and the operations they
 * are items_answer.c what answers say of the operations
 */
#ifndef SIM_WORKLOAD_ITEMS_PRIVATE_H
#define SIM_WORKLOAD_ITEMS_PRIVATE_H

#include "base/buffer.h"
#include "sim/workload/items.h"

#define BODY_BYTES_MAX  ((size_t)4 << 20)
#define BATCH_WRITE_MAX 25u
#define BATCH_GET_MAX   100u
#define GLOBAL_INDEX    3u

enum request_kind {
    REQUEST_CREATE_TABLE,
    REQUEST_DESCRIBE_TABLE,
    REQUEST_UPDATE_TABLE,
    REQUEST_GET,
    REQUEST_PUT,
    REQUEST_UPDATE,
    REQUEST_DELETE,
    REQUEST_QUERY,
    REQUEST_SCAN,
    REQUEST_BATCH_GET,
    REQUEST_BATCH_WRITE,
};

enum old_values { OLD_NONE, OLD_ALL, OLD_ALL_NEW };

struct items_actor {
    struct items *items;
    uint32_t number;
    struct http_client http;
    struct sim_event wake;
    enum request_kind kind;
    enum old_values old;
    uint32_t table;
    uint32_t key;      /* the first, of a request for many */
    size_t op;         /* its index in the history; those of a request for many follow */
    uint32_t op_count; /* keys that it covers */
    uint64_t token;
    bool *seen;           /* of the keys of a request for many */
    struct buffer resume; /* LastEvaluatedKey, as it came */
    uint32_t losses;      /* requests without an answer since the last one with */
    bool again;           /* FINAL: the key is to be read again */
    uint32_t limit;       /* of a query or scan; 0 = none */
    uint32_t index;       /* that a query or scan goes through: 1, 2, GLOBAL_INDEX; 0 = none */
    uint32_t final_step;  /* FINAL: what the actor does */
    bool behind;          /* FINAL: the global index does not show yet what the items are */
    bool missing;         /* FINAL: there is no global index */
};

static inline uint32_t keys_of_table(const struct items_options *o)
{
    return o->partition_keys * o->sort_keys;
}

/* Table t: 0 has (S, N) keys, 1 (N, S) with long sort keys, 2 a partition key alone; and again. */
static inline uint32_t schema_of(uint32_t table)
{
    return table % 3;
}

/* Tables with a sort key have two local indexes, which hold all their items: by `tok`, whole, and
 * by `n`, the keys alone, so that the items are fetched. */
static inline bool has_indexes(uint32_t table)
{
    return schema_of(table) != 2;
}

/* Each table has a global index too, most of the time: by `n` and `tok`, whole items.  The toy has
 * none. */

/* FINAL: every key is read, then every table scanned through its local and its global indexes. */
static inline uint32_t final_steps(const struct items_options *o)
{
    uint32_t steps = o->tables * keys_of_table(o);
    for (uint32_t t = 0; t < o->tables; t++)
        steps += (has_indexes(t) ? 2u : 0u) + (o->global_indexes ? 1u : 0u);
    return steps;
}

/* It reads many items. */
static inline bool is_many(const struct items_actor *actor)
{
    return actor->kind == REQUEST_QUERY || actor->kind == REQUEST_SCAN ||
           actor->kind == REQUEST_BATCH_GET;
}

/* It reads them page by page. */
static inline bool is_range(const struct items_actor *actor)
{
    return actor->kind == REQUEST_QUERY || actor->kind == REQUEST_SCAN;
}

/* ---- items_ask.c ---- */

/* The members of the key, as JSON. */
void append_key(struct buffer *out, const struct items_options *o, uint32_t key);

/* The byte at `i` of what a token's filler must be. */
uint8_t pad_byte(uint64_t token, size_t i);

void ask_create_table(struct items_actor *actor);
void ask_describe_table(struct items_actor *actor);
void ask_get(struct items_actor *actor, bool strong);
void ask_page(struct items_actor *actor); /* the next one of a query or scan */
void ask_final_scan(struct items_actor *actor, uint32_t table, uint32_t index);
void ask_global_scan(struct items_actor *actor, uint32_t table);
void ask_update_table(struct items_actor *actor, bool makes); /* its global index, or delete it */
void ask_something(struct items_actor *actor);

/* ---- items_answer.c ---- */

/* Returns whether the actor has asked again. */
bool take_answer(struct items_actor *actor, const struct http_answer *answer);

/* No answer came. */
void take_loss(struct items_actor *actor);

#endif
