/* server_adapter.c - the program's own server, as `trine serve` starts it. */
#include "sim/server_adapter.h"

#include "base/assert.h"
#include "env/fiber.h"
#include "main/server.h"

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

const struct server_adapter trine_adapter = {
    .name = "trine", .start = start, .stop = stop, .frees_all = true};
