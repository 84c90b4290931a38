/* expiring.h - one client of a table whose items expire: it puts items with a time, past or to
 * come, and reads them, while the server crashes; somewhere on the way it has the time to live
 * enabled, so that some items were there before.
 *
 * What it claims: no item goes before its time, and in the end every one has gone whose time is
 * over, and none whose time is not.  Whose put has no known outcome may have either time.
 */
#ifndef SIM_WORKLOAD_EXPIRING_H
#define SIM_WORKLOAD_EXPIRING_H

#include "env/sim/sim_env.h"
#include "sim/check/history.h"
#include "sim/workload/http_client.h"

#define EXPIRING_KEYS         32u
#define EXPIRING_INTERVAL_MAX 5u /* seconds between two sweeps, at most, of the server */

struct expiring_key {
    bool put;              /* a put of it was acknowledged */
    uint64_t time_s;       /* of that put; UINT64_MAX = none */
    uint64_t unknown_s;    /* the earliest of the puts whose outcome is unknown; UINT64_MAX */
    bool unknown_timeless; /* one of them has no time */
};

enum expiring_step {
    EXPIRING_CREATE,
    EXPIRING_RUN,
    EXPIRING_WAIT,  /* the end: until the time to live is ENABLED, and all times are over */
    EXPIRING_CHECK, /* read each key once */
    EXPIRING_DONE,
};

struct expiring {
    struct sim *sim;
    struct heap *heap;
    struct history *history; /* takes the violations */
    struct http_client http;
    struct sim_event wake;
    enum expiring_step step;
    enum { ASK_TABLE, ASK_ENABLE, ASK_STATE, ASK_PUT, ASK_GET } asked;
    bool enabled;         /* a request for it was acknowledged */
    uint64_t enable_at;   /* in requests of this client */
    uint64_t requests;    /* asked */
    uint64_t run_until_s; /* RUN, without faults; 0 = with them */
    uint64_t settled_s;   /* WAIT: from when on all that is over has to be gone; 0 = not known */
    uint64_t last_s;      /* the latest time of an item */
    uint32_t key;         /* of the request; CHECK: the next one */
    uint64_t time_s;      /* of the put */
    bool done;
    struct expiring_key keys[EXPIRING_KEYS];
};

void expiring_init(struct expiring *expiring, struct sim *sim, struct heap *heap,
                   struct sim_node *node, uint16_t port, struct history *history);
void expiring_release(struct expiring *expiring);

/* No more faults: go on for a while, let all times pass, and look; `done` is set. */
void expiring_finish(struct expiring *expiring);

#endif
