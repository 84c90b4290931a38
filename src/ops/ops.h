/* ops.h - what operators see: metrics in Prometheus' text format, liveness and readiness, on the
 * admin endpoint.
 *
 *   GET /metrics  every counter of this process       GET /live   200 while the loop turns
 *   GET /ready    200 "ready", or 503 with the reason: recovering, draining, or why it cannot write
 *   /testing/...  with --admin-testing: see testing.h
 *
 * The admin endpoint is an HTTP server of its own.  It is not authenticated: it listens on loopback
 * unless told otherwise, and shows no item and no secret; what is for testing apart.
 */
#ifndef OPS_OPS_H
#define OPS_OPS_H

#include "api/api.h"
#include "env/fiber.h"
#include "node/node.h"
#include "ops/testing.h"
#include "router/propagator.h"
#include "router/router.h"
#include "wire/http.h"

/* What there is to show; a part is NULL while it is not there. */
struct ops {
    struct env *env;
    uint64_t started_ns; /* monotonic */
    const struct api *api;
    const struct node *node;
    const struct router *router;
    const struct propagator *propagator;
    const struct http_server *http;
    const struct budget *budget; /* of requests */
    struct testing *testing;     /* NULL: not started for that */
    bool draining;
};

/* The handler of the admin endpoint; `ops` is a struct ops. */
void ops_handle(struct context *ctx, void *ops, const struct http_request *request,
                struct http_response *response);

/* Append all metrics. */
void ops_write_metrics(const struct ops *ops, struct buffer *to);

#endif
