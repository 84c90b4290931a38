/* server_adapter.h - how a scenario starts and stops the server that it drives.
 *
 * A server runs in a node's env and is reached by its port.  After a crash there is nothing to
 * release: its memory is gone.
 */
#ifndef SIM_SERVER_ADAPTER_H
#define SIM_SERVER_ADAPTER_H

#include "env/sim/sim_env.h"

struct server_settings {
    uint16_t port;
    const char *data;          /* directory of its files */
    uint64_t cache_bytes;      /* for pages; 0 = its default */
    uint64_t checkpoint_bytes; /* of log between two checkpoints; 0 = its default */
    uint32_t on_demand_partitions;
    uint64_t ttl_sweep_ns; /* between two deletions of expired items */
};

struct server_adapter {
    const char *name;
    bool batches;   /* it knows BatchGetItem and BatchWriteItem, and global indexes */
    bool expires;   /* it knows UpdateTimeToLive */
    bool streams;   /* its tables have streams */
    bool throttles; /* tables and indexes are held to their throughput */
    bool frees_all; /* after on_stopped nothing of its memory is left */

    /* Start in `env`; on_started comes from the loop, or in the call: OK when the port is served;
     * else the server has given up, and all that it holds is for sim_node_stop to drop.  *server is
     * the handle for stop. */
    void (*start)(struct env *env, const struct server_settings *settings,
                  void (*on_started)(void *owner, enum status status), void *owner, void **server);

    /* Damage on a stopped node's disk what the server promises to survive the loss of; false: there
     * is nothing such now.  NULL: it promises nothing. */
    bool (*damage)(struct sim_node *node, const char *data, struct prng *prng);

    /* Damage what the server promises to find damaged; else as `damage`. */
    bool (*damage_found)(struct sim_node *node, const char *data, struct prng *prng);

    /* Finish what runs, write what is unwritten, free everything; then on_stopped, from the loop.
     */
    void (*stop)(struct env *env, void *server, void (*on_stopped)(void *owner), void *owner);
};

/* The program's own server. */
extern const struct server_adapter trine_adapter;

/* A small server of the simulator's own (toy/), which the harness is tested with. */
extern const struct server_adapter toy_adapter;

#endif
