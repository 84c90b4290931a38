/* server.h - one whole server on an env: node, router, control plane, API, endpoints.
 *
 * The program runs it on env/uv, the simulator on env/sim; nothing in it differs.
 */
#ifndef MAIN_SERVER_H
#define MAIN_SERVER_H

#include "base/bytes.h"
#include "env/env.h"
#include "router/router.h"
#include "wire/http.h"

struct server;

struct server_options {
    struct bytes region;    /* in ARNs */
    struct bytes account;   /* in ARNs: 12 digits */
    const char *host;       /* of the endpoint for clients */
    uint16_t port;          /* 0: the system chooses */
    const char *admin_host; /* NULL: no admin endpoint */
    uint16_t admin_port;
    bool admin_testing;       /* the admin endpoint serves what is for tests (ops/testing.h) */
    const char *data_dir;     /* made when it is not there; its parent exists */
    const char *seed_dir;     /* tables and items to begin with (ops/seed.h); NULL: none */
    bool in_memory;           /* the env's files are in RAM */
    bool accept_loss;         /* start although the log has lost records */
    struct bytes credentials; /* a credentials file's content; count 0: any key is accepted */
    struct bytes certificate; /* PEM; count 0: plain HTTP */
    struct bytes private_key; /* PEM */
    uint64_t ttl_sweep_ns;    /* between two deletions of expired items; 0: the default */
    uint64_t index_delay_ns;  /* how old a change is before a global index has it */
    uint64_t status_delay_ns; /* tables stay CREATING, UPDATING, DELETING this much longer */
    uint32_t on_demand_partitions;
    enum throttling throttling;
    uint64_t cache_bytes;      /* 0: the default */
    uint32_t connections_max;  /* 0: the default */
    uint64_t idle_timeout_ns;  /* 0: the default */
    uint64_t checkpoint_bytes; /* 0: the default */
    uint64_t request_bytes;    /* of memory for all requests and answers; 0: the default */
};

/* What an operator gets when he says nothing. */
struct server_options server_options_default(void);

struct server_events {
    /* The server serves: from the loop, once. */
    void (*on_ready)(void *owner, struct server *server);
    /* The server has stopped, or never came up; `server` is gone.  STATUS_OK after a clean stop.
     * `why` is a sentence for the operator, empty after a clean stop; valid for the call. */
    void (*on_stopped)(void *owner, enum status status, const char *why);
};

/* Start a server.  `options` and `events` and what they point to outlive it.  The env has a fiber
 * pool.
 *   STATUS_NO_MEMORY, STATUS_BUSY: nothing runs and no event comes */
MUST_USE enum status server_start(struct env *env, const struct server_options *options,
                                  const struct server_events *events, void *owner,
                                  struct server **server);

/* Stop cleanly: refuse what is new, finish what runs, write a checkpoint; then on_stopped.  Also
 * while it starts.  A second call is harmless. */
void server_stop(struct server *server);

/* The ports it listens on, once ready; the admin's is 0 without one. */
uint16_t server_port(const struct server *server);
uint16_t server_admin_port(const struct server *server);

/* Fibers that a server's env should have room for, and the stack of each. */
#define SERVER_FIBERS_MAX 4096u
#ifdef TRINE_DEBUG
#define SERVER_STACK_BYTES (256u * 1024u)
#else
#define SERVER_STACK_BYTES (64u * 1024u)
#endif

#endif
