/* api.h - the DynamoDB wire API: one HTTP request in, one answer out.
 *
 * api_handle is the handler that main/ gives to the HTTP server of the endpoint for clients.  It
 * checks the signature, finds the operation, decodes and validates the body by the model's table
 * (model.h), runs the operation on the router, and writes the answer or the error.
 *
 * Operations that are not built yet answer UnknownOperationException; members that are not built
 * yet are refused before anything changes (docs/compatibility.md lists both).
 *
 * Invariants
 *   (1) an answer's body is complete JSON or XML: nothing of a result is left when an error is
 *       answered;
 *   (2) every request that names an operation moves exactly one of its counters.
 */
#ifndef API_API_H
#define API_API_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/metrics.h"
#include "base/status.h"
#include "env/env.h"
#include "env/fiber.h"
#include "request/error.h"
#include "wire/http.h"

struct api;
struct credentials; /* wire/sigv4.h */
struct router;      /* router/router.h */

struct api_options {
    struct bytes region;                   /* "us-east-1": in ARNs; outlives the api */
    struct bytes account;                  /* "000000000000": 12 digits; in ARNs; likewise */
    const struct credentials *credentials; /* NULL: any key and signature; outlives the api */
    struct router *router;                 /* outlives the api */
    bool rates_limited; /* calls for tags and limits a second, as the service's */
    uint64_t
        settle_ns; /* how long DescribeTable waits for a change of the table that is under way */
};

/* How requests of one operation ended. */
enum api_result {
    API_OK,
    API_CONDITION_FAILED, /* ConditionalCheckFailedException */
    API_THROTTLED,        /* ProvisionedThroughputExceededException, ThrottlingException */
    API_USER_ERROR,       /* any other 4xx */
    API_SYSTEM_ERROR,     /* 5xx */
    API_CANCELLED,        /* 5xx, because the client has gone */
    API_RESULT_COUNT
};

/* "ok", "condition_failed", "throttled", "user_error", "system_error" */
const char *api_result_name(enum api_result result);

/* Counters of one operation; monotonic. */
struct api_operation_stats {
    uint64_t results[API_RESULT_COUNT];
    uint64_t read_half_units; /* consumed, in halves of capacity units */
    uint64_t write_half_units;
    struct histogram latency_ns; /* from the last byte of the request to its complete answer */
};

/* STATUS_NO_MEMORY */
MUST_USE enum status api_open(struct env *env, const struct api_options *options, struct api **api);
void api_close(struct api *api);

/* Serve one request; `api` is a struct api.  See struct http_server_options, handle. */
void api_handle(struct context *ctx, void *api, const struct http_request *request,
                struct http_response *response);

/* Run the operation of this name for the process itself: without a signature, a counter or an error
 * that a tester has injected.  What it answers is appended to `answer`.
 *   STATUS_OK   else *error is filled in */
MUST_USE enum status api_perform(struct context *ctx, struct api *api, struct bytes operation,
                                 struct bytes body, struct buffer *answer, struct error *error);

/* How many operations there are, and the name of each: "GetItem"; those of the streams service
 * follow those of the first. */
uint32_t api_operation_count(void);
struct bytes api_operation_name(uint32_t index);

/* The counters of operation `index`; NULL while no request has named it. */
const struct api_operation_stats *api_operation_stats(const struct api *api, uint32_t index);

/* Requests that name no operation: refused signatures, unknown targets, health checks. */
uint64_t api_unnamed_requests(const struct api *api);

#endif
