/* testing.h - what `--admin-testing` opens on the admin endpoint, for those who test applications:
 * reset, snapshots, injected errors, how late indexes are, the clock.  docs/operations.md shows
 * each request.
 *
 *   POST   /testing/reset                   delete all tables
 *   GET    /testing/snapshots               list
 *   PUT    /testing/snapshots/NAME          take
 *   POST   /testing/snapshots/NAME/restore  bring back
 *   DELETE /testing/snapshots/NAME
 *   GET    /testing/errors                  list
 *   POST   /testing/errors                  inject
 *   DELETE /testing/errors[/ID]             one, or all
 *   GET    /testing/index-delay
 *   PUT    /testing/index-delay             of global indexes behind their tables
 *   DELETE /testing/index-delay             back to what the server was started with
 *   GET    /testing/clock
 *   PUT    /testing/clock                   set or advance
 *   DELETE /testing/clock                   back to the machine's
 *   POST   /testing/expire                  delete what has expired
 *
 * Answers are JSON; a refused request's is {"error": "..."}.  A request with an Origin field is
 * refused: no page that a browser shows is to reset a server on its machine.
 */
#ifndef OPS_TESTING_H
#define OPS_TESTING_H

#include "admin/expiry.h"
#include "api/api.h"
#include "router/propagator.h"
#include "router/snapshot.h"
#include "wire/http.h"

#define TESTING_PATH "/testing/"

struct testing {
    struct env *env;
    struct api *api; /* NULL: the server does not serve yet, or no longer */
    struct snapshots *snapshots;
    struct expiry *expiry;
    struct propagator *propagator;
    uint64_t index_delay_ns; /* that the server was started with */
    uint32_t running;        /* requests */
    struct wait_queue idle;
};

/* Refuse what is new, end what runs, drop all snapshots; the router and the API go after it. */
void testing_stop(struct context *ctx, struct testing *testing);

/* Serve one request whose path begins with TESTING_PATH.  `testing` is NULL when the server was not
 * started for this. */
void testing_handle(struct context *ctx, struct testing *testing,
                    const struct http_request *request, struct http_response *response);

#endif
