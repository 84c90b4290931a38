#include "main/server.h"

#include <stdio.h>

#include "admin/expiry.h"
#include "admin/reconcile.h"
#include "api/api.h"
#include "node/node.h"
#include "ops/ops.h"
#include "ops/seed.h"
#include "router/propagator.h"
#include "router/router.h"
#include "wire/sigv4.h"
#include "wire/tls.h"

#define NODE_ID           1u
#define DECREASES_AT_ONCE 4u
#define WHY_BYTES         512
#define LIFE_ARENA_BYTES  (UINT64_C(64) << 20)
#define ADMIN_CONNECTIONS 64u
#define METRICS_BYTES_MAX (UINT64_C(8) << 20)
#define REQUEST_BYTES     (UINT64_C(512) << 20)
#define ADMIN_BYTES       (UINT64_C(32) << 20) /* as much for the admin endpoint, of its own */
#define ADMIN_BODY_BYTES  (UINT64_C(64) << 10)

/* How long DescribeTable waits for a change under way: much less than clients wait before they ask
 * again. */
#define SETTLE_NS UINT64_C(1000000000)

struct server {
    struct env *env;
    struct server_options options;
    const struct server_events *events;
    void *owner;
    char why[WHY_BYTES];
    struct node *node;
    struct router *router;
    struct propagator *propagator;
    struct reconciler *reconciler;
    struct expiry *expiry;
    struct credentials credentials;
    bool credentials_set;
    struct tls_context *tls;
    struct api *api;
    struct budget budget; /* of requests from clients */
    struct budget admin_budget;
    struct http_server *http;
    struct http_server *admin;
    struct ops ops;
    struct testing testing;
    bool stopping;
    uint32_t draining;
    struct wait_queue stop;
    struct wait_queue drained;
};

struct server_options server_options_default(void)
{
    return (struct server_options){.region = BYTES("us-east-1"),
                                   .account = BYTES("000000000000"),
                                   .host = "127.0.0.1",
                                   .port = 8000,
                                   .data_dir = "./trine-data",
                                   .on_demand_partitions = 1};
}

/* ---- Starting ---- */

struct make_dir_job {
    struct env_job job;
    const char *path;
    bool ours;   /* it holds the tree or the log of a node */
    bool others; /* it holds what no node has made */
    enum status status;
};

static void look_at_name(void *argument, const char *name)
{
    struct make_dir_job *job = argument;
    if (strcmp(name, "tree") == 0 || strncmp(name, "log-", 4) == 0)
        job->ours = true;
    else if (name[0] != '.' && strcmp(name, "lost+found") != 0)
        job->others = true;
}

/* A directory that is somebody else's is left alone. */
static enum status look_at_dir(struct make_dir_job *job)
{
    enum status status = env_dir_list(job->job.env, job->path, look_at_name, job);
    if (status == STATUS_NOT_FOUND) /* it exists, but is no directory */
        return STATUS_INVALID;
    return status == STATUS_OK && job->others && !job->ours ? STATUS_INVALID : status;
}

static enum status sync_parent(struct env *env, const char *path)
{
    char parent[4096];
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length == 0)
        snprintf(parent, sizeof(parent), ".");
    else
        snprintf(parent, sizeof(parent), "%.*s", (int)length, path);
    return env_dir_sync(env, parent);
}

/* Create the directory and make that durable in its parent; also when it was found empty, as
 * whoever made it may have been killed before.  A parent that may not be read is the business of
 * another. */
static void make_dir_run(struct env_job *base)
{
    struct make_dir_job *job = CONTAINER_OF(base, struct make_dir_job, job);
    job->status = env_dir_create(base->env, job->path);
    bool found = job->status == STATUS_EXISTS;
    if (found)
        job->status = look_at_dir(job);
    if (job->status != STATUS_OK || job->ours)
        return;
    job->status = sync_parent(base->env, job->path);
    if (found && job->status == STATUS_DENIED)
        job->status = STATUS_OK;
}

static enum status make_dir(struct context *ctx, const char *path)
{
    struct make_dir_job job = {.job = {.lane = ENV_LANE_BACKGROUND, .run = make_dir_run},
                               .path = path};
    TRY(context_run_job(ctx, &job.job));
    return job.status;
}

static const char *data_fault(enum status status)
{
    switch (status) {
    case STATUS_LOCKED:
        return "another process uses it";
    case STATUS_DENIED:
        return "no permission to read and write it, or its file system is read-only";
    case STATUS_NO_SPACE:
        return "there is no space left on its disk";
    case STATUS_NOT_FOUND:
        return "its parent directory does not exist, or a file in it is missing";
    case STATUS_VERSION:
        return "it was written by another version of trine, in a format that this one does not "
               "know";
    case STATUS_INVALID:
        return "it is not a data directory of trine";
    case STATUS_CORRUPT:
        return "what it holds is damaged; see the log lines above";
    default:
        return status_text(status);
    }
}

static enum status open_node(struct context *ctx, struct server *s)
{
    enum status status = make_dir(ctx, s->options.data_dir);
    if (status == STATUS_OK) {
        struct node_options options = {.dir = s->options.data_dir,
                                       .node_id = NODE_ID,
                                       .in_memory = s->options.in_memory,
                                       .accept_loss = s->options.accept_loss,
                                       .cache_bytes = s->options.cache_bytes,
                                       .checkpoint_bytes = s->options.checkpoint_bytes};
        status = node_open(ctx, &options, &s->node);
    }
    if (status != STATUS_OK)
        snprintf(s->why, sizeof(s->why), "cannot open the data directory %s: %s",
                 s->options.data_dir, data_fault(status));
    return status;
}

static void on_tables_changed(void *owner)
{
    struct server *s = owner;
    reconciler_poke(s->reconciler);
    expiry_poke(s->expiry);
}

static bool on_nudge(void *owner, struct txn_id id, uint64_t table_id, struct bytes item)
{
    return router_nudge(owner, id, table_id, item);
}

static enum status open_router(struct context *ctx, struct server *s)
{
    struct router_options options = {.service = node_service(s->node),
                                     .on_demand_partitions = s->options.on_demand_partitions,
                                     .decreases_at_once = DECREASES_AT_ONCE,
                                     .throttling = THROTTLING_NONE, /* while seeds are loaded */
                                     .on_tables_changed = on_tables_changed,
                                     .owner = s};
    enum status status = router_open(ctx, &options, &s->router);
    if (status == STATUS_OK) {
        struct node_nudger nudger = {.nudge = on_nudge, .owner = s->router};
        node_set_nudger(s->node, &nudger);
    }
    if (status == STATUS_OK && s->options.admin_testing)
        status = snapshots_open(s->env, s->router, &s->testing.snapshots);
    if (status == STATUS_OK)
        status = propagator_open(ctx, s->router, s->options.index_delay_ns, &s->propagator);
    if (status == STATUS_OK)
        status = reconciler_open(s->env, s->router, s->options.status_delay_ns, &s->reconciler);
    if (status == STATUS_OK)
        status = expiry_open(s->env, s->router, s->options.ttl_sweep_ns, &s->expiry);
    if (status != STATUS_OK)
        snprintf(s->why, sizeof(s->why), "cannot load the catalog of tables: %s",
                 status_text(status));
    return status;
}

static enum status open_security(struct server *s)
{
    if (s->options.credentials.count > 0) {
        credentials_init(&s->credentials, s->env->heap, env_random_u64(s->env));
        s->credentials_set = true;
        uint32_t line = 0;
        enum status status = credentials_parse(&s->credentials, s->options.credentials, &line);
        if (status != STATUS_OK) {
            snprintf(
                s->why, sizeof(s->why),
                "the credentials file is at fault in line %u: %s (a line is ACCESS_KEY SECRET_KEY)",
                line, status_text(status));
            return status;
        }
    }
    if (s->options.certificate.count > 0) {
        struct bytes why = {0};
        enum status status = tls_context_open(s->env->heap, s->options.certificate,
                                              s->options.private_key, &s->tls, &why);
        if (status != STATUS_OK) {
            snprintf(s->why, sizeof(s->why), "TLS cannot be set up: %.*s", BYTES_ARGS(why));
            return status;
        }
    }
    return STATUS_OK;
}

static enum status listen_on(struct server *s, const struct http_server_options *options,
                             struct http_server **http)
{
    enum status status = http_server_open(s->env, options, http);
    const char *why = status == STATUS_EXISTS    ? "the port is in use"
                      : status == STATUS_INVALID ? "there is no such host"
                      : status == STATUS_DENIED  ? "no permission to use this port"
                                                 : status_text(status);
    if (status != STATUS_OK)
        snprintf(s->why, sizeof(s->why), "cannot listen on %s:%u: %s", options->host, options->port,
                 why);
    return status;
}

static enum status open_admin(struct server *s)
{
    if (s->options.admin_host == NULL)
        return STATUS_OK;
    struct http_server_options options = http_server_options_default();
    options.host = s->options.admin_host;
    options.port = s->options.admin_port;
    options.connections_max = ADMIN_CONNECTIONS;
    options.response_bytes_max = METRICS_BYTES_MAX;
    options.body_bytes_max = ADMIN_BODY_BYTES;
    options.budget = &s->admin_budget;
    options.service_headers = false;
    options.cors = false;
    options.handle = ops_handle;
    options.owner = &s->ops;
    return listen_on(s, &options, &s->admin);
}

static enum status open_api(struct server *s)
{
    struct api_options api_options = {.region = s->options.region,
                                      .account = s->options.account,
                                      .credentials = s->credentials_set ? &s->credentials : NULL,
                                      .router = s->router,
                                      .rates_limited = s->options.throttling == THROTTLING_ALL,
                                      .settle_ns = s->options.status_delay_ns > 0 ? 0 : SETTLE_NS};
    return api_open(s->env, &api_options, &s->api);
}

/* Before a client can ask: what it finds is whole. */
static enum status load_seed(struct context *ctx, struct server *s)
{
    if (s->options.seed_dir == NULL)
        return STATUS_OK;
    struct seed_options options = {
        .dir = s->options.seed_dir, .api = s->api, .router = s->router, .stop = &s->stopping};
    enum status status = seed_load(ctx, &options, s->why, sizeof(s->why));
    return status == STATUS_CANCELLED && s->stopping ? STATUS_OK : status;
}

static enum status open_endpoint(struct server *s)
{
    struct http_server_options options = http_server_options_default();
    options.host = s->options.host;
    options.port = s->options.port;
    options.tls = s->tls;
    options.budget = &s->budget;
    options.handle = api_handle;
    options.owner = s->api;
    if (s->options.connections_max > 0)
        options.connections_max = s->options.connections_max;
    if (s->options.idle_timeout_ns > 0)
        options.idle_timeout_ns = s->options.idle_timeout_ns;
    return listen_on(s, &options, &s->http);
}

static enum status open_all(struct context *ctx, struct server *s)
{
    TRY(open_security(s));
    TRY(open_admin(s));
    TRY(open_node(ctx, s));
    s->ops.node = s->node;
    TRY(open_router(ctx, s));
    s->ops.router = s->router;
    TRY(open_api(s));
    TRY(load_seed(ctx, s));
    router_set_throttling(s->router, s->options.throttling);
    TRY(open_endpoint(s));
    s->ops.api = s->api;
    s->ops.propagator = s->testing.propagator = s->propagator;
    s->testing.index_delay_ns = s->options.index_delay_ns;
    s->ops.http = s->http;
    s->testing.api = s->api;
    s->testing.expiry = s->expiry;
    return STATUS_OK;
}

/* ---- Stopping ---- */

static void on_drained(void *argument)
{
    struct server *s = argument;
    s->draining--;
    wait_queue_wake_all(&s->drained);
}

static void drain(struct context *ctx, struct server *s, struct http_server *http)
{
    if (http == NULL)
        return;
    s->draining++;
    http_server_drain(http, on_drained, s);
    while (s->draining > 0)
        wait_queue_wait_out(ctx, &s->drained);
}

static enum status close_all(struct context *ctx, struct server *s)
{
    s->ops.draining = true;
    drain(ctx, s, s->http);
    s->ops.http = NULL;
    s->testing.expiry = NULL;
    if (s->expiry != NULL)
        expiry_close(ctx, s->expiry);
    s->expiry = NULL;
    testing_stop(ctx, &s->testing);
    if (s->node != NULL)
        node_set_nudger(s->node, &(struct node_nudger){0});
    if (s->router != NULL)
        router_drain(ctx, s->router);
    if (s->reconciler != NULL)
        reconciler_close(ctx, s->reconciler);
    s->reconciler = NULL;
    s->ops.propagator = NULL;
    if (s->propagator != NULL)
        propagator_close(ctx, s->propagator);
    if (s->http != NULL)
        http_server_close(s->http);
    s->ops.api = NULL;
    s->ops.router = NULL;
    if (s->api != NULL)
        api_close(s->api);
    if (s->router != NULL)
        router_close(s->router);
    s->ops.node = NULL;
    enum status status = STATUS_OK;
    if (s->node != NULL)
        status = node_close(ctx, s->node);
    if (status != STATUS_OK)
        snprintf(s->why, sizeof(s->why),
                 "the stop was not clean (%s); the next start recovers from the log",
                 status_text(status));
    drain(ctx, s, s->admin);
    if (s->admin != NULL)
        http_server_close(s->admin);
    if (s->tls != NULL)
        tls_context_close(s->tls);
    if (s->credentials_set)
        credentials_release(&s->credentials);
    return status;
}

/* ---- The server's one fiber: start, wait, stop ---- */

static void live(struct context *ctx, void *argument)
{
    struct server *s = argument;
    enum status status = open_all(ctx, s);
    bool opened = status == STATUS_OK;
    if (opened && !s->stopping)
        s->events->on_ready(s->owner, s);
    while (opened && !s->stopping) {
        if (wait_queue_wait(ctx, &s->stop) != STATUS_OK)
            break;
    }
    enum status closed = close_all(ctx, s);
    if (status == STATUS_OK)
        status = closed;
    if (status != STATUS_OK && s->why[0] == 0)
        snprintf(s->why, sizeof(s->why), "%s", status_text(status));
    char why[WHY_BYTES];
    memcpy(why, s->why, sizeof(why));
    const struct server_events *events = s->events;
    void *owner = s->owner;
    heap_free(s->env->heap, s, sizeof(*s));
    events->on_stopped(owner, status, why);
}

enum status server_start(struct env *env, const struct server_options *options,
                         const struct server_events *events, void *owner, struct server **server)
{
    struct server *s = heap_alloc_zero(env->heap, sizeof(*s));
    if (s == NULL)
        return STATUS_NO_MEMORY;
    *s = (struct server){.env = env,
                         .options = *options,
                         .events = events,
                         .owner = owner,
                         .ops = {.env = env, .started_ns = env_now_ns(env)}};
    budget_init(&s->budget, options->request_bytes > 0 ? options->request_bytes : REQUEST_BYTES);
    budget_init(&s->admin_budget, ADMIN_BYTES);
    s->ops.budget = &s->budget;
    s->testing.env = env;
    wait_queue_init(&s->testing.idle);
    s->ops.testing = options->admin_testing ? &s->testing : NULL;
    wait_queue_init(&s->stop);
    wait_queue_init(&s->drained);
    *server = s;
    struct fiber_options fiber = {.arena_bytes_max = LIFE_ARENA_BYTES, .deadline_ns = UINT64_MAX};
    enum status status = fiber_spawn(env, &fiber, live, s);
    if (status != STATUS_OK)
        heap_free(env->heap, s, sizeof(*s));
    return status;
}

void server_stop(struct server *server)
{
    server->stopping = true;
    wait_queue_wake_all(&server->stop);
}

uint16_t server_port(const struct server *server)
{
    return http_server_port(server->http);
}

uint16_t server_admin_port(const struct server *server)
{
    return server->admin == NULL ? 0 : http_server_port(server->admin);
}
