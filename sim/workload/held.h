/* held.h - one client of a table that is held to its throughput, and whose index has much less of
 * it: it puts and deletes items faster than both may take, and reads them, while the server
 * crashes.
 *
 * What it claims: a write that was refused with a throttle was not done; what was acknowledged is
 * there until the next write; and in the end, when nothing is written any more, the index catches
 * up with its table and writes go on.  Writes without a known outcome may have been done, at any
 * time.
 */
#ifndef SIM_WORKLOAD_HELD_H
#define SIM_WORKLOAD_HELD_H

#include "env/sim/sim_env.h"
#include "sim/check/history.h"
#include "sim/workload/http_client.h"

#define HELD_KEYS   12u
#define HELD_WRITES 4096u /* when it has asked for so many, it only reads */

enum held_fate { HELD_REFUSED, HELD_DONE, HELD_UNKNOWN };

/* A put, or a deletion, of a key. */
struct held_write {
    uint8_t key;
    uint8_t fate;
    bool deletes;
};

enum held_step {
    HELD_CREATE,
    HELD_RUN,
    HELD_TABLE, /* the end: read the table */
    HELD_INDEX, /* and its index, until both are the same */
    HELD_LAST,  /* until one more write is taken */
    HELD_ENDED,
};

struct held {
    struct sim *sim;
    struct heap *heap;
    struct history *history; /* takes the violations */
    struct http_client http;
    struct sim_event wake;
    enum held_step step;
    enum { HELD_ASK_TABLE, HELD_ASK_WRITE, HELD_ASK_GET, HELD_ASK_SCAN } asked;
    uint64_t run_until_ns; /* RUN, without faults; 0 = with them */
    uint32_t key;          /* of the request */
    uint32_t throttled[2]; /* writes refused for the table, and for the index */
    bool scans_index;
    bool done;
    uint32_t write_count;
    struct held_write writes[HELD_WRITES]; /* by token - 1 */
    uint32_t last[HELD_KEYS];              /* token of the last that was acknowledged; 0 = none */
    uint32_t shown[2][HELD_KEYS];          /* the end: tokens that table and index have */
};

void held_init(struct held *held, struct sim *sim, struct heap *heap, struct sim_node *node,
               uint16_t port, struct history *history);
void held_release(struct held *held);

/* No more faults: go on for a while, then compare; `done` is set. */
void held_finish(struct held *held);

#endif
