/* http_private.h - connections and exchanges of the HTTP server; private to wire/.
 *
 * http_server.c owns listening, the wheel of deadlines and draining; http_connection.c the life of
 * a connection; http_exchange.c one request and its answer, on a fiber; http_head.c the head of an
 * answer.
 *
 * A connection's states and the moves between them:
 *
 *   READING    a request, or nothing, has come in part         -> SERVING WRITING LINGERING CLOSING
 *   SERVING    a request is in `handle`                        -> READING WRITING LINGERING CLOSING
 *   WRITING    the client takes an answer slowly               -> READING LINGERING CLOSING
 *   LINGERING  the last answer is out; what still comes is dropped -> CLOSING
 *   CLOSING    the stream is being closed, or a request outlived it; then it is freed
 *
 * A client that still sends when the connection closes would get a reset, which can overtake the
 * answer: hence LINGERING.
 */
#ifndef WIRE_HTTP_PRIVATE_H
#define WIRE_HTTP_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/list.h"
#include "base/prng.h"
#include "env/env.h"
#include "env/fiber.h"
#include "wire/http.h"
#include "wire/http_parse.h"

struct tls_session;

#define HTTP_WHEEL_SLOTS       64u
#define HTTP_TICK_NS           UINT64_C(1000000000)
#define HTTP_LINGER_NS         UINT64_C(2000000000)
#define HTTP_PATIENCE_NS       UINT64_C(2000000000) /* for one who sends no more */
#define HTTP_RATE_MIN          16384u               /* bytes a second that a client must keep up */
#define HTTP_TURN_REQUESTS_MAX 16u    /* of one connection, served in one turn of the loop */
#define HTTP_SPARE_BUFFERS_MAX 8u     /* answer buffers kept for the next request */
#define HTTP_SPARE_BYTES_MAX   65536u /* none larger is kept */
#define HTTP_HEAD_BYTES_MAX    1024u  /* of an answer */
#define HTTP_DATE_BYTES        29u    /* "Sun, 06 Nov 1994 08:49:37 GMT" */

enum http_state {
    HTTP_STATE_READING,
    HTTP_STATE_SERVING,
    HTTP_STATE_WRITING,
    HTTP_STATE_LINGERING,
    HTTP_STATE_CLOSING,
};

struct http_server {
    struct env *env;
    struct http_server_options options;
    struct http_server_stats stats;
    struct env_listener *listener; /* NULL once draining */
    uint16_t port;

    /* The wheel: connections by the tick at which their deadline is looked at.  A deadline that
     * moved later is found out then; one that moved earlier moves the connection at once. */
    struct list slots[HTTP_WHEEL_SLOTS];
    uint64_t tick; /* the last one done: monotonic time / HTTP_TICK_NS */
    struct env_timer wheel_timer;
    bool wheel_runs;

    uint32_t connection_count; /* not yet freed */
    struct http_parse scratch; /* for requests that arrive whole */
    struct buffer spare[HTTP_SPARE_BUFFERS_MAX];
    uint32_t spare_count;
    struct buffer tls_out; /* ciphertext on its way to a stream; empty between calls */

    struct prng prng; /* trace ids */
    uint64_t date_s;  /* the second for which `date` is right */
    char date[HTTP_DATE_BYTES + 1];

    bool draining;
    struct env_timer drain_timer;
    struct env_task drained_task;
    void (*on_drained)(void *argument);
    void *drain_argument;
};

struct http_connection {
    struct http_server *server;
    struct env_stream *stream; /* NULL: on_closed has come */
    struct tls_session *tls;   /* NULL: plain */
    enum http_state state;
    bool refuse;             /* over the bound: the first request is answered with 503 */
    bool advancing;          /* http_connection_advance is on the stack */
    bool paused;             /* the stream is */
    bool peer_ended;         /* the client sends no more */
    bool close_after;        /* this answer is the last */
    bool sent_continue;      /* for the request that comes in */
    bool linger_after;       /* of a last answer: input is left unread */
    bool serving;            /* a fiber runs a request of it; it may outlive the stream */
    bool in_body;            /* since_ns is that of the body */
    struct context *request; /* of that fiber, until it answers; NULL: none */
    struct list link;        /* in a slot of the wheel */
    uint64_t wheel_tick;     /* of that slot */
    uint64_t deadline_ns;
    uint64_t since_ns;        /* when the head or the body that is awaited began */
    struct http_parse *parse; /* of a request that has come in part; NULL: none */
    struct buffer gathered;   /* bytes not served yet; none at rest */
    size_t gathered_start;    /* those before it have been served */
    size_t waiting_bytes;     /* of an answer, in the stream; owed to the budget */
    struct env_task resume;   /* go on with what is gathered */
};

/* A whole request on its way to its fiber, which takes what it needs before it first waits. */
struct http_incoming {
    struct http_connection *connection;
    struct http_parse *parse;
    struct bytes bytes;   /* the request as it came */
    struct buffer *block; /* when not NULL, `bytes` is all of it, and it may be taken over */
    uint64_t received_ns;
};

/* ---- http_connection.c ---- */

/* A connection came: serve it, or tell it 503. */
void http_connection_open(struct http_server *server, struct env_stream *stream);

/* Its deadline has passed. */
void http_connection_timeout(struct http_connection *connection);

/* Close it when it is at rest; otherwise after the request that it is at. */
void http_connection_drain(struct http_connection *connection);

/* Close at once; freed when nothing refers to it. */
void http_connection_close(struct http_connection *connection);

/* Send the runs of an answer and go on as `close_after` says.  From a fiber or from the loop. */
void http_connection_answer(struct http_connection *connection, const struct bytes *runs,
                            size_t run_count);

/* As http_connection_answer, with an error that the server answers by itself.  `linger`: input is
 * left unread, so close after it. */
void http_connection_answer_error(struct http_connection *connection, int status, bool linger);

/* ---- http_exchange.c ---- */

/* The function of a request's fiber; `argument` is a struct http_incoming. */
void http_exchange_run(struct context *ctx, void *argument);

/* CRC-32 (IEEE 802.3) of `bytes`. */
uint32_t http_crc32(struct bytes bytes);

/* ---- http_head.c ---- */

struct http_head {
    int status;
    struct bytes content_type;
    uint64_t content_length;
    bool service_headers;
    const uint64_t *trace_id; /* with service_headers */
    uint32_t crc32;           /* likewise */
    bool gzip;
    bool cors;
    struct bytes allow_headers; /* of a preflight's answer; at is NULL: not one */
    bool close;
    bool keep_alive_1_0; /* the client speaks HTTP/1.0 and wants to go on */
};

/* Write the head of an answer, blank line included; returns its length. */
size_t http_head_write(struct http_server *server, const struct http_head *head,
                       uint8_t to[HTTP_HEAD_BYTES_MAX]);

/* The JSON body and the exception that the server answers by itself. */
struct bytes http_error_body(int status);

/* ---- http_server.c ---- */

/* Set when the connection's deadline is; it may be in the wheel or not. */
void http_server_watch(struct http_connection *connection, uint64_t deadline_ns);

/* A buffer for an answer's body, and back.
 *   STATUS_BUSY  the budget has no room; *buffer is empty, and is given back too */
MUST_USE enum status http_server_take_buffer(struct http_server *server, struct buffer *buffer);
void http_server_give_buffer(struct http_server *server, struct buffer *buffer);

/* The connection is freed. */
void http_server_forget(struct http_server *server);

#endif
