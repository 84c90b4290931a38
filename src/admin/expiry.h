/* expiry.h - items whose time has come go; and tables begin and cease to have such items.
 *
 * Two flows.  The sweeper deletes, at each interval, what has expired since: EXPIRY_STEP_ROWS items
 * of one partition, a pause, the next ones.  So it takes as many a second at most as step and pause
 * say, however many have expired at one time; what remains has its turn in the same sweep, as long
 * as that takes.  The changer takes tables from ENABLING to ENABLED and from DISABLING to DISABLED,
 * at such a pace as well; it looks at the catalog when that changes, and at start, so that what a
 * crash interrupted goes on, from the first partition.
 *
 * Documented exclusions: an item whose attribute is not a number, or says a second more than five
 * years in the past (Developer Guide, "Using time to live"), stays.
 */
#ifndef ADMIN_EXPIRY_H
#define ADMIN_EXPIRY_H

#include "env/fiber.h"
#include "router/router.h"

#define EXPIRY_STEP_ROWS   25u
#define EXPIRY_FILL_ROWS   500u
#define EXPIRY_PAUSE_NS    UINT64_C(10000000)
#define EXPIRY_PAST_S      UINT64_C(157680000) /* five years of 365 days */
#define EXPIRY_INTERVAL_NS UINT64_C(60000000000)

struct expiry;

/* Start both flows.  `router` outlives it.  interval_ns: between two sweeps; 0: EXPIRY_INTERVAL_NS.
 *   STATUS_NO_MEMORY, STATUS_BUSY */
MUST_USE enum status expiry_open(struct env *env, struct router *router, uint64_t interval_ns,
                                 struct expiry **expiry);

/* The catalog changed: look again.  Harmless at any time; `expiry` may be NULL. */
void expiry_poke(struct expiry *expiry);

/* Delete all that has expired, without pauses, and wait for it; *deleted counts the items.
 *   STATUS_OK, or why some of it is still there */
MUST_USE enum status expiry_sweep_now(struct context *ctx, struct expiry *expiry,
                                      uint64_t *deleted);

/* Stop, wait until both have ended, and free it. */
void expiry_close(struct context *ctx, struct expiry *expiry);

#endif
