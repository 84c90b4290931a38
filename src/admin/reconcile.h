/* reconcile.h - make the catalog's wishes true: tables that are being created, updated or deleted.
 *
 * One fiber.  It looks when it is told to, and at start: so what a crash interrupted goes on.  Each step can be done
 * twice; a table becomes ACTIVE, or is forgotten, only after its partitions are made or gone.
 */
#ifndef ADMIN_RECONCILE_H
#define ADMIN_RECONCILE_H

#include "env/fiber.h"
#include "router/router.h"

struct reconciler;

/* Start the fiber.  `router` outlives it.  status_delay_ns: how much longer than needed a table stays CREATING,
 * UPDATING or DELETING, for tests of clients.
 *   STATUS_NO_MEMORY, STATUS_BUSY */
MUST_USE enum status reconciler_open(struct env *env, struct router *router,
                                     uint64_t status_delay_ns, struct reconciler **reconciler);

/* The catalog changed: look again.  Harmless at any time; `reconciler` may be NULL (none runs yet). */
void reconciler_poke(struct reconciler *reconciler);

/* Stop the fiber, wait until it has ended, and free it. */
void reconciler_close(struct context *ctx, struct reconciler *reconciler);

#endif
