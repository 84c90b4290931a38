/* server_adapter.c - the program's own server, as `trine serve` starts it. */
#include "sim/server_adapter.h"

#include <stdio.h>

#include "base/assert.h"
#include "env/fiber.h"
#include "main/server.h"
#include "storage/superblock.h"

struct whole_server {
    struct env *env;
    struct server *server;
    struct server_options options;
    void (*on_started)(void *owner, enum status status);
    void (*on_stopped)(void *owner);
    void *owner;
};

static void on_ready(void *owner, struct server *server)
{
    struct whole_server *whole = owner;
    (void)server;
    whole->on_started(whole->owner, STATUS_OK);
}

/* It was asked to, or it did not come up. */
static void on_stopped(void *owner, enum status status, const char *why)
{
    struct whole_server whole = *(struct whole_server *)owner;
    log_line(whole.env->log, LOG_INFO, "sim", "the server has stopped: %s %s", status_name(status),
             why);
    heap_free(whole.env->heap, owner, sizeof(whole));
    if (whole.on_stopped != NULL)
        whole.on_stopped(whole.owner);
    else
        whole.on_started(whole.owner, status);
}

static const struct server_events events = {on_ready, on_stopped};

static void start(struct env *env, const struct server_settings *settings,
                  void (*on_started)(void *owner, enum status status), void *owner, void **server)
{
    struct whole_server *whole = heap_alloc_zero(env->heap, sizeof(*whole));
    ASSERT(whole != NULL);
    whole->env = env;
    whole->on_started = on_started;
    whole->owner = owner;
    whole->options = server_options_default();
    whole->options.port = settings->port;
    whole->options.data_dir = settings->data;
    whole->options.cache_bytes = settings->cache_bytes;
    whole->options.checkpoint_bytes = settings->checkpoint_bytes;
    whole->options.on_demand_partitions = settings->on_demand_partitions;
    whole->options.ttl_sweep_ns = settings->ttl_sweep_ns;
    *server = whole;
    enum status status = fiber_pool_open(env, SERVER_FIBERS_MAX, SERVER_STACK_BYTES);
    if (status == STATUS_OK)
        status = server_start(env, &whole->options, &events, whole, &whole->server);
    ASSERT(status == STATUS_OK); /* want of memory is not simulated */
}

static void stop(struct env *env, void *server, void (*on_stopped_by_owner)(void *owner),
                 void *owner)
{
    struct whole_server *whole = server;
    (void)env;
    whole->on_stopped = on_stopped_by_owner;
    whole->owner = owner;
    server_stop(whole->server);
}

/* Either superblock of the tree file may be lost, as long as the other is there, and on the disk.
 * */
static bool damage(struct sim_node *node, const char *data, struct prng *prng)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/tree", data);
    if (!sim_disk_durable(node, path))
        return false;
    struct superblock supers[2];
    for (uint32_t i = 0; i < 2; i++) {
        uint8_t block[SUPERBLOCK_BYTES];
        uint64_t at = (uint64_t)i * SUPERBLOCK_SPACING;
        if (sim_disk_read(node, path, at, block, sizeof(block)) != STATUS_OK ||
            superblock_decode(block, i, &supers[i]) != STATUS_OK)
            return false;
    }
    uint64_t newer = supers[1].epoch > supers[0].epoch ? 1 : 0;
    uint64_t which = prng_one_in(prng, 4) ? 1 - newer : newer;
    uint64_t at = which * SUPERBLOCK_SPACING + prng_below(prng, SUPERBLOCK_BYTES);
    return sim_disk_flip(node, path, at, (uint8_t)(1u << prng_below(prng, 8))) == STATUS_OK;
}

const struct server_adapter trine_adapter = {.name = "trine",
                                             .batches = true,
                                             .expires = true,
                                             .streams = true,
                                             .frees_all = true,
                                             .start = start,
                                             .damage = damage,
                                             .stop = stop};
