/* propagator_private.h - pumps, for propagator.c, which runs them, and pump.c, which is what they
 * do. */
#ifndef ROUTER_PROPAGATOR_PRIVATE_H
#define ROUTER_PROPAGATOR_PRIVATE_H

#include "base/hash_map.h"
#include "model/key.h"
#include "router/propagator.h"
#include "router/router_private.h"

/* A partition of a table that has global indexes. */
struct source {
    struct propagator *propagator;
    uint64_t group_id; /* its key in propagator.sources */
    uint64_t table_id;
    struct list pumps; /* in the order in which they came; at least one */
    struct bytes name; /* of the table; behind this struct */
};

enum pump_state { PUMP_IDLE, PUMP_WAITING, PUMP_RUNNING };

struct pump {
    struct list source_link; /* source->pumps */
    struct list link;        /* of those in its state that are not idle */
    struct source *source;
    uint64_t index_id;
    enum pump_state state;
    struct context *ctx;    /* while it runs */
    uint64_t due_ns;        /* while it waits */
    uint32_t failures;      /* one after the other */
    bool waits_out;         /* while it waits: what comes meanwhile does not bring that forward */
    bool holding;           /* the partition was told to refuse writes */
    uint64_t oldest_hlc;    /* of the first change that is known to wait; 0: none is */
    uint64_t late_since_ns; /* that it was found too old and did not get any better; 0: it is not */
    bool again;             /* something came while it ran */
    bool dropped;           /* it ends with its turn */
    bool loaded;            /* what follows is what the partition says */
    bool backfilled;        /* stays so */
    uint64_t mark, done;    /* slots; see propagator.h: done is the cursor, or the mark beyond it */
};

struct propagator {
    struct env *env;
    struct router *router;
    uint64_t delay_ns;
    struct hash_map sources; /* by group id */
    struct list waiting;     /* pumps, the next one first */
    struct list running;     /* pumps */
    uint32_t running_count;
    struct env_task task;    /* starts pumps */
    struct env_timer timer;  /* when the first of those that wait is due */
    struct wait_queue ended; /* a pump has ended its turn, or is gone */
    bool closing;
    struct buffer scratch; /* for one row at a time, used without waiting */
    struct propagator_stats stats;
};

/* ---- pump.c ---- */

/* Bring the index up to what the partition has.  *due_ns: when there will be more to do;
 * UINT64_MAX: when the partition says so.
 *   STATUS_THROTTLED  the index has no capacity left: to be tried again a little later
 *   STATUS_NOT_FOUND  the table, or its index, is not what it was: there is nothing to do
 *   others            to be tried again, from what the partition says then */
MUST_USE enum status pump_turn(struct context *ctx, struct pump *pump, uint64_t *due_ns);

/* ---- propagator.c: for the files of this folder ---- */

/* A table was published, in whatever state. */
void propagator_follow(struct propagator *propagator, const struct table *table);

/* Is everything that the table held in the index?  Not while there is no propagator (NULL), which
 * would bring it there. */
bool propagator_backfilled(const struct propagator *propagator, const struct table *table,
                           uint64_t index_id);

/* Wait until no pump of the index is left: it is not wanted any more. */
MUST_USE enum status propagator_wait_gone(struct context *ctx, struct propagator *propagator,
                                          const struct table *table, uint64_t index_id);

#endif
