/* items.h - clients that write and read items of a few tables over HTTP, and keep their history.
 *
 * Each actor has a connection and does one request after the other: reads (strong and eventually
 * consistent), puts, updates and deletes with and without conditions, queries and scans with
 * paging, of the tables and through their indexes, and now and then delete and make the global one.
 * In the end, when nothing is written any more, each index must show exactly what the items are: a
 * local one at once, the global one after a while.
 *
 * An item's state is its `tok` (unique per write) and `n` (counted by updates); its `filler`
 * follows from tok, so that every byte read back is checked.
 */
#ifndef SIM_WORKLOAD_ITEMS_H
#define SIM_WORKLOAD_ITEMS_H

#include "env/sim/sim_env.h"
#include "sim/check/history.h"
#include "sim/workload/http_client.h"

struct items_options {
    uint16_t port;
    uint32_t tables;                    /* their key schemas differ */
    uint32_t partition_keys, sort_keys; /* of each table: so many values of each */
    uint32_t actors;
    uint64_t think_ns;      /* between requests, on average */
    uint64_t timeout_ns;    /* of a request */
    bool streams;           /* each table has one, which is followed in the end */
    bool batches;           /* BatchGetItem and BatchWriteItem too */
    bool global_indexes;    /* each table has one, most of the time */
    uint32_t mood_requests; /* so many requests long the actors prefer one kind of write */
    bool may_fail;          /* an item that cannot be read in the end is no violation */
    uint32_t pad_bytes;     /* of most items; some are much larger */
};

enum items_phase {
    ITEMS_SETUP, /* make the tables */
    ITEMS_RUN,
    ITEMS_STOP,   /* finish what waits */
    ITEMS_FINAL,  /* read every item once, then all through each index */
    ITEMS_FOLLOW, /* behind FINAL: read and judge the streams */
    ITEMS_DEPART, /* behind FOLLOW: delete the tables, and do the same again */
};

struct items_actor;
struct items_stream;

struct items {
    struct sim *sim;
    struct heap *heap;
    struct sim_node *node;
    struct items_options options;
    struct history history;
    enum items_phase phase;
    bool phase_done;   /* of SETUP, STOP, FINAL, FOLLOW and DEPART */
    uint64_t requests; /* answered */
    uint64_t lost;
    struct items_actor *actors;
    uint32_t tables_ready;       /* SETUP: seen ACTIVE */
    struct items_stream *stream; /* FOLLOW, DEPART */
    uint64_t final_ns;           /* when FINAL began */
    uint32_t final_next;         /* FINAL: the next step to be done */
    uint32_t final_done;
    uint32_t final_gets;          /* of them, reads of single items */
    struct register_state *final; /* what those have shown, by key */
};

/* Options for an ordinary seed. */
struct items_options items_options_from_seed(struct prng *prng, uint16_t port);

void items_init(struct items *items, struct sim *sim, struct heap *heap, struct sim_node *node,
                const struct items_options *options);
void items_release(struct items *items);

/* Begin `phase`; the actors go on by themselves.  phase_done is set when it is over. */
void items_begin(struct items *items, enum items_phase phase);

/* The node crashed. */
void items_crashed(struct items *items);

/* What an item's `filler` must be: `count` bytes that follow from the token. */
size_t items_pad_bytes(const struct items_options *options, uint64_t token);

#endif
