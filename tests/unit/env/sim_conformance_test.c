/* The promises of env.h kept by env/sim: without faults the simulated world is a world. */
#include "unit/env/conformance.h"

#include "env/sim/sim_env.h"

#define GIVE_UP_NS UINT64_C(600000000000)

struct sim_peer {
    struct conformance_peer peer; /* first */
    struct env_stream *stream;
};

struct sim_binding {
    uint64_t seed; /* each test gets another */
    struct sim *sim;
    struct sim_node *node;
};

/* ---- The other end: a client of the simulated world ---- */

static void peer_read(void *owner, struct bytes bytes)
{
    struct sim_peer *peer = owner;
    conformance_peer_took(&peer->peer, bytes);
}

static void peer_end(void *owner, enum status status)
{
    struct sim_peer *peer = owner;
    (void)status;
    peer->peer.ended = true;
}

static void peer_drain(void *owner)
{
    (void)owner;
}

static void peer_free(void *owner)
{
    struct sim_peer *peer = owner;
    free(peer->peer.received);
    free(peer);
}

static const struct env_stream_events peer_events = {peer_read, peer_end, peer_drain, peer_free};

static struct conformance_peer *sim_peer_connect(struct conformance *c, uint16_t port)
{
    struct sim_binding *binding = c->binding;
    struct sim_peer *peer = calloc(1, sizeof(*peer));
    assert_non_null(peer);
    peer->stream = sim_connect(binding->sim, binding->node, port, &peer_events, peer);
    return &peer->peer;
}

static void sim_peer_send(struct conformance *c, struct conformance_peer *peer, struct bytes bytes)
{
    (void)c;
    sim_client_write(((struct sim_peer *)peer)->stream, bytes);
}

static void sim_peer_pause(struct conformance *c, struct conformance_peer *peer)
{
    (void)c;
    sim_client_pause(((struct sim_peer *)peer)->stream);
}

static void sim_peer_resume(struct conformance *c, struct conformance_peer *peer)
{
    (void)c;
    sim_client_resume(((struct sim_peer *)peer)->stream);
}

static void sim_peer_finish(struct conformance *c, struct conformance_peer *peer)
{
    (void)c;
    sim_client_finish(((struct sim_peer *)peer)->stream);
}

static void sim_peer_close(struct conformance *c, struct conformance_peer *peer)
{
    (void)c;
    sim_client_close(((struct sim_peer *)peer)->stream);
}

/* ---- The binding ---- */

static void create_directory(struct conformance *c)
{
    JOB_CHECK(env_dir_create(c->env, c->directory) == STATUS_OK);
}

static void sim_binding_open(struct conformance *c)
{
    struct sim_binding *binding = c->binding;
    struct sim_options options = sim_options_from_seed(++binding->seed);
    binding->sim = sim_create(&options);
    binding->node = sim_node_create(binding->sim, "node");
    c->env = sim_node_start(binding->node);
    c->directory = "files";
    run_in_job(c, ENV_LANE_BACKGROUND, create_directory);
}

static void sim_binding_close(struct conformance *c)
{
    struct sim_binding *binding = c->binding;
    sim_run_until(binding->sim, sim_now_ns(binding->sim) + UINT64_C(10000000000));
    assert_int_equal(sim_node_stop(binding->node), 0);
    sim_free(binding->sim);
}

static bool sim_binding_run(struct conformance *c, bool (*done)(void *argument), void *argument)
{
    struct sim_binding *binding = c->binding;
    uint64_t give_up_ns = sim_now_ns(binding->sim) + GIVE_UP_NS;
    while (!done(argument))
        if (sim_now_ns(binding->sim) > give_up_ns || !sim_step(binding->sim))
            return false;
    return true;
}

int main(void)
{
    struct sim_binding binding = {0};
    struct conformance c = {
        .open = sim_binding_open,
        .close = sim_binding_close,
        .run = sim_binding_run,
        .peer_connect = sim_peer_connect,
        .peer_send = sim_peer_send,
        .peer_pause = sim_peer_pause,
        .peer_resume = sim_peer_resume,
        .peer_finish = sim_peer_finish,
        .peer_close = sim_peer_close,
        .binding = &binding,
    };
    int failed = 0;
    for (int round = 0; round < 5; round++)
        failed += conformance_main(&c, "env/sim");
    return failed;
}
