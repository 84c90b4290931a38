/* http.h - an HTTP/1.1 server over the env's byte streams: one fiber per request in flight.
 *
 * The server accepts connections, parses requests, runs `handle` on a fiber for each, and writes
 * the answer.  It owns the framing: keep-alive, pipelining (answers in order, one request of a
 * connection in flight at a time), Expect: 100-continue, chunked and compressed request bodies,
 * compressed answers, limits, timeouts, CORS, request ids and checksums.  It knows nothing of
 * DynamoDB; the endpoint for clients and the admin endpoint are two servers with two handlers.
 *
 * How bytes move.  A request that arrives whole in one read (nearly all do) is parsed where the env
 * put it and copied once, head and body together, into its fiber's arena.  A request that arrives
 * in pieces is gathered in a block of its own, which the fiber takes over without a copy.  A
 * connection at rest holds its struct and nothing else.  The body of an answer is a buffer borrowed
 * from the server.
 *
 * Invariants
 *   (1) a connection has at most one request in flight, and answers leave in the order of requests;
 *   (2) at most connections_max connections are served, and at most HTTP_REFUSING_MAX beyond them
 *       wait to hear 503; requests that come in pieces, arenas, answers in the making and answers
 *       that clients have not taken draw on one budget, and what does not fit is answered with 503
 *       before `handle`, or refused to `handle`; an answer that `handle` has completed is never
 *       replaced;
 *   (3) every connection that waits for its client has a deadline;
 *   (4) a request whose head was answered with an error is never handed to `handle`.
 *
 * What the server answers by itself (body: JSON with __type and message)
 *   400 malformed, head over its limit, unknown or broken Content-Encoding     408 slow request
 *   413 body over its limit, as sent or decompressed     417 an expectation other than 100-continue
 *   500 the answer did not fit its limit or memory ran out   503 at a bound
 */
#ifndef WIRE_HTTP_H
#define WIRE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/compiler.h"
#include "base/status.h"
#include "env/env.h"
#include "env/fiber.h"

struct http_server;
struct tls_context; /* wire/tls.h */

#define HTTP_HEADERS_MAX      100u  /* header fields of one request; more is answered with 400 */
#define HTTP_REFUSING_MAX     64u   /* connections over the bound that are told 503 at one time */
#define HTTP_GZIP_BYTES_MIN   4096u /* answers larger than this are compressed when asked for */
#define HTTP_REQUEST_ID_BYTES 52u

/* The header fields that code asks for by name. */
#define HTTP_HEADER_MAP(X)                                                                         \
    X(ACCEPT_ENCODING, "accept-encoding")                                                          \
    X(ACCESS_CONTROL_REQUEST_HEADERS, "access-control-request-headers")                            \
    X(ACCESS_CONTROL_REQUEST_METHOD, "access-control-request-method")                              \
    X(AUTHORIZATION, "authorization")                                                              \
    X(CONTENT_ENCODING, "content-encoding")                                                        \
    X(CONTENT_TYPE, "content-type")                                                                \
    X(DATE, "date")                                                                                \
    X(EXPECT, "expect")                                                                            \
    X(HOST, "host")                                                                                \
    X(ORIGIN, "origin")                                                                            \
    X(USER_AGENT, "user-agent")                                                                    \
    X(X_AMZ_CONTENT_SHA256, "x-amz-content-sha256")                                                \
    X(X_AMZ_DATE, "x-amz-date")                                                                    \
    X(X_AMZ_SECURITY_TOKEN, "x-amz-security-token")                                                \
    X(X_AMZ_TARGET, "x-amz-target")

enum http_header_id {
#define HTTP_HEADER_ENUM(name, text) HTTP_HEADER_##name,
    HTTP_HEADER_MAP(HTTP_HEADER_ENUM)
#undef HTTP_HEADER_ENUM
        HTTP_HEADER_COUNT,
    HTTP_HEADER_OTHER = HTTP_HEADER_COUNT
};

struct http_header {
    struct bytes name;  /* as sent: any case */
    struct bytes value; /* without leading and trailing blanks; not unfolded */
    enum http_header_id id;
};

enum http_verb {
    HTTP_VERB_OTHER,
    HTTP_VERB_GET,
    HTTP_VERB_HEAD,
    HTTP_VERB_POST,
    HTTP_VERB_PUT,
    HTTP_VERB_DELETE,
    HTTP_VERB_OPTIONS,
};

/* All bytes are in memory of the request's fiber and live until `handle` returns. */
struct http_request {
    enum http_verb verb;
    struct bytes method;   /* "POST" */
    struct bytes target;   /* the request target as sent */
    struct bytes path;     /* of the target, undecoded: up to '?' */
    struct bytes query;    /* of the target, undecoded: after '?'; at is NULL without one */
    uint8_t minor_version; /* of HTTP/1.x */
    uint32_t header_count; /* at most HTTP_HEADERS_MAX */
    const struct http_header *headers;     /* in the order sent */
    struct bytes known[HTTP_HEADER_COUNT]; /* value of the first such field; at is NULL: not sent */
    struct bytes body;                     /* without chunking and without Content-Encoding */
    struct bytes raw_body; /* without chunking, otherwise as sent: what signatures cover */
    uint64_t received_ns;  /* monotonic time at which the last byte came */
};

/* What `handle` fills in.  On entry: status 200, the content type of the options, an empty body. */
struct http_response {
    int status;                /* 100..599 */
    struct bytes content_type; /* static, or in the fiber's arena; empty: no such header */
    /* Append only; bounded by response_bytes_max and the budget.  Failed: 500 is sent.  A handler
     * that changes something sets `owed` before, so that the budget cannot refuse what it has to
     * say. */
    struct buffer body;
    bool close; /* close the connection after this answer */
};

struct http_server_options {
    const char *host;        /* address or name to listen on */
    uint16_t port;           /* 0: the system chooses; see http_server_port */
    struct tls_context *tls; /* NULL: plain HTTP.  Outlives the server */

    uint32_t connections_max; /* at it: 503 and close */
    size_t header_bytes_max;  /* request line and header fields */
    size_t body_bytes_max;    /* request body, as sent and decompressed */
    struct budget *budget;  /* of all requests and answers; NULL: no bound.  Outlives the server */
    size_t arena_bytes_max; /* of the fiber of one request */
    size_t response_bytes_max;   /* body of one answer, before compression */
    uint64_t header_timeout_ns;  /* from the first byte of a request to the end of its head; also
                                    for a TLS handshake */
    uint64_t body_timeout_ns;    /* for the body and for taking the answer, beside the time that the
                                    bytes take at 16 KiB/s */
    uint64_t idle_timeout_ns;    /* between requests */
    uint64_t request_timeout_ns; /* deadline of the fiber's context; UINT64_MAX: none */
    uint64_t drain_timeout_ns;   /* http_server_drain closes what is left after it */

    struct bytes content_type; /* of answers, unless the handler says otherwise; static */
    bool service_headers;      /* add x-amzn-RequestId and x-amz-crc32 */
    bool cors;                 /* answer OPTIONS preflights, and allow any origin */

    /* Serve one request: called on a fiber, returns when `response` is complete. */
    void (*handle)(struct context *ctx, void *owner, const struct http_request *request,
                   struct http_response *response);
    void *owner;
};

/* The limits and timeouts of the endpoint for clients: 127.0.0.1:8000, 16 KiB of head, 16 MiB of
 * body, 20,000 connections, x-amz-json-1.0, service headers and CORS.  Only `handle`, `owner`
 * and the budget are unset. */
struct http_server_options http_server_options_default(void);

/* Counters; monotonic but for the first two. */
struct http_server_stats {
    uint64_t connections; /* open now */
    uint64_t in_flight;   /* requests in `handle` now */
    uint64_t connections_accepted;
    uint64_t connections_refused;  /* over the bound */
    uint64_t connections_timeouts; /* closed for a slow or silent client */
    uint64_t requests;             /* handed to `handle` */
    uint64_t requests_malformed;   /* answered 4xx by the server itself */
    uint64_t requests_refused;     /* answered 503 by the server itself */
    uint64_t requests_cancelled;   /* their client went away while they were in `handle` */
    uint64_t handshakes_failed;    /* TLS */
    uint64_t bytes_received;
    uint64_t bytes_sent;
};

/* Open a listening server.  `options` are copied; the texts they point to outlive the server.
 *   STATUS_EXISTS   the port is in use     STATUS_INVALID  no such host     STATUS_DENIED
 *   STATUS_NO_MEMORY */
MUST_USE enum status http_server_open(struct env *env, const struct http_server_options *options,
                                      struct http_server **server);

/* The port it listens on. */
uint16_t http_server_port(const struct http_server *server);

const struct http_server_stats *http_server_stats(const struct http_server *server);

/* Accept nothing more, close connections at rest, let what runs finish (its answers say Connection:
 * close), and after drain_timeout_ns close what is left.  Then call on_drained, from the loop: no
 * connection and no request of this server exists any more.  Called once. */
void http_server_drain(struct http_server *server, void (*on_drained)(void *argument),
                       void *argument);

/* Free a server that has drained, or that never had a connection. */
void http_server_close(struct http_server *server);

/* The request id that belongs to a trace id: 52 characters 0-9A-V, as in x-amzn-RequestId. */
void http_request_id(const uint64_t trace_id[2], char to[HTTP_REQUEST_ID_BYTES]);

/* True when `name` is `lower`, which is of lower-case letters, digits and '-'. */
bool http_name_equal(struct bytes name, struct bytes lower);

#endif
