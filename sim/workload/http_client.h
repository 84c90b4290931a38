/* http_client.h - one keep-alive connection of a simulated client, one request at a time.
 *
 * It connects when it must.  Requests are framed in the legal ways, chosen by the seed (length or
 * chunks, the case of header names, one write or several).  An answer must be well formed: status
 * line, headers, Content-Length, and an x-amz-crc32 that fits; one that is not ends the request as
 * BROKEN.
 */
#ifndef SIM_WORKLOAD_HTTP_CLIENT_H
#define SIM_WORKLOAD_HTTP_CLIENT_H

#include "base/buffer.h"
#include "env/sim/sim_env.h"

enum http_outcome {
    HTTP_ANSWERED,
    HTTP_LOST,  /* the connection ended, or the time passed: nobody knows what was done */
    HTTP_BROKEN /* what came is no answer: `text` says why */
};

struct http_answer {
    enum http_outcome outcome;
    uint32_t status;   /* of ANSWERED */
    struct bytes body; /* of ANSWERED; borrowed for the call */
    const char *text;  /* of BROKEN */
};

struct http_connection;

struct http_client {
    struct sim *sim;
    struct heap *heap;
    struct sim_node *node;
    uint16_t port;
    uint64_t timeout_ns;
    uint64_t patience_ns; /* one request in 32 is given up within this; 0 = none is */
    void (*on_answer)(struct http_client *client, const struct http_answer *answer);
    struct http_connection *connection; /* NULL when there is none */
    struct sim_event timeout;
    bool busy;
};

void http_client_init(struct http_client *client, struct sim *sim, struct heap *heap,
                      struct sim_node *node, uint16_t port, uint64_t timeout_ns,
                      void (*on_answer)(struct http_client *, const struct http_answer *));

/* Send a request to an operation: "PutItem", or one of another service with that before it and a
 * dot; on_answer comes once, later.  The client is not busy. */
void http_client_post(struct http_client *client, const char *target, struct bytes body);

/* Close the connection; a request that waits is forgotten without an answer. */
void http_client_close(struct http_client *client);

#endif
