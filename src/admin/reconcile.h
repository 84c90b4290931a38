/* reconcile.h - make the catalog's wishes true: tables that are being created, updated or deleted.
 *
 * A dispatcher looks at the catalog when it is told to, and at start: so what a crash interrupted
 * goes on.  Each table that is not ACTIVE gets a change of its own: timed for itself, carried out
 * on a fiber of its own, RECONCILE_AT_ONCE of them at a time and the others in the order in which
 * they came, tried again after a time that doubles up to 8 s when it fails.  Each step can be done
 * twice; a table becomes ACTIVE, or is forgotten, only after its partitions are made or gone.  It
 * also has departed tables end in time, looking each second while there are any.
 */
#ifndef ADMIN_RECONCILE_H
#define ADMIN_RECONCILE_H

#include "env/fiber.h"
#include "router/router.h"

#define RECONCILE_AT_ONCE 16u

struct reconciler;

/* Start the dispatcher.  `router` outlives it.  status_delay_ns: how much longer than needed a
 * table stays CREATING, UPDATING or DELETING, for tests of clients.
 *   STATUS_NO_MEMORY, STATUS_BUSY */
MUST_USE enum status reconciler_open(struct env *env, struct router *router,
                                     uint64_t status_delay_ns, struct reconciler **reconciler);

/* The catalog changed: look again.  Harmless at any time; `reconciler` may be NULL (none
 * runs yet). */
void reconciler_poke(struct reconciler *reconciler);

/* Stop, wait until all fibers have ended, and free it. */
void reconciler_close(struct context *ctx, struct reconciler *reconciler);

#endif
