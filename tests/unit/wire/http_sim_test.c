/* The HTTP server in the simulated world: bytes cut, delayed and connections broken by the seed. */
#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>

#include "env/fiber.h"
#include "env/sim/sim_env.h"
#include "wire/http.h"

#define CLIENTS  8
#define REQUESTS 40

struct client {
    struct sim *sim;
    struct env_stream *stream;
    char answers[REQUESTS * 600];
    size_t count;
    bool ended, closed;
};

static void handle(struct context *ctx, void *owner, const struct http_request *request,
                   struct http_response *response)
{
    (void)owner;
    if (request->body.count % 3 == 0)
        (void)!context_sleep(ctx, env_random_u64(ctx->env) % 3000000);
    buffer_append_format(&response->body, "[%.*s %zu]", BYTES_ARGS(request->path),
                         request->body.count);
}

static void on_read(void *owner, struct bytes bytes)
{
    struct client *c = owner;
    assert_true(c->count + bytes.count < sizeof(c->answers));
    memcpy(c->answers + c->count, bytes.at, bytes.count);
    c->count += bytes.count;
}

static void on_end(void *owner, enum status status)
{
    (void)status;
    ((struct client *)owner)->ended = true;
}

static void on_drain(void *owner)
{
    (void)owner;
}

static void on_closed(void *owner)
{
    ((struct client *)owner)->closed = true;
}

static const struct env_stream_events client_events = {on_read, on_end, on_drain, on_closed};

static void send_requests(struct client *c)
{
    for (int i = 0; i < REQUESTS; i++) {
        char text[3000];
        size_t body = (size_t)i * 37 % 2000;
        int head = snprintf(text, sizeof(text),
                            "POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", i, body);
        memset(text + head, 'x', body);
        sim_client_write(c->stream, bytes_of(text, (size_t)head + body));
    }
    sim_client_finish(c->stream);
}

/* Every answer that came is to the request at its place; without faults, all came. */
static void check_answers(const struct client *c, bool all)
{
    const char *at = c->answers;
    for (int i = 0; i < REQUESTS; i++) {
        char expected[40];
        snprintf(expected, sizeof(expected), "[/%d %zu]", i, (size_t)i * 37 % 2000);
        const char *open = strchr(at, '[');
        if (open == NULL || strlen(open) < strlen(expected)) {
            assert_false(all);
            return;
        }
        assert_memory_equal(open, expected, strlen(expected));
        at = open + 1;
    }
    assert_null(strchr(at, '['));
}

static void on_drained(void *argument)
{
    *(bool *)argument = true;
}

static uint64_t run(uint64_t seed, uint32_t cut)
{
    struct sim_options options = sim_options_from_seed(seed);
    options.rates.cut = cut;
    struct sim *sim = sim_create(&options);
    struct sim_node *node = sim_node_create(sim, "node");
    struct env *env = sim_node_start(node);
    struct http_server *server;
    struct http_server_options server_options = http_server_options_default();
    server_options.handle = handle;
    assert_int_equal(fiber_pool_open(env, CLIENTS, 65536), STATUS_OK);
    assert_int_equal(http_server_open(env, &server_options, &server), STATUS_OK);
    struct client *clients = calloc(CLIENTS, sizeof(*clients));
    for (int i = 0; i < CLIENTS; i++) {
        clients[i].stream =
            sim_connect(sim, node, http_server_port(server), &client_events, &clients[i]);
        send_requests(&clients[i]);
    }
    sim_run_until(sim, sim_now_ns(sim) + UINT64_C(400000000000));
    for (int i = 0; i < CLIENTS; i++) {
        assert_true(clients[i].ended);
        check_answers(&clients[i], cut == 0);
        sim_client_close(clients[i].stream);
    }
    bool drained = false;
    http_server_drain(server, on_drained, &drained);
    sim_run_while(sim, &drained, sim_now_ns(sim) + UINT64_C(60000000000));
    assert_true(drained);
    http_server_close(server);
    fiber_pool_close(env);
    assert_int_equal(sim_node_stop(node), 0);
    uint64_t hash = sim_trace_hash(sim);
    sim_free(sim);
    free(clients);
    return hash;
}

static void answers_in_order_whatever_the_link_does(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 15; seed++) {
        uint64_t hash = run(seed, seed % 3 == 0 ? 200 : 0);
        assert_true(hash == run(seed, seed % 3 == 0 ? 200 : 0));
    }
}

/* A crash drops connections, fibers and buffers where they are. */
static void is_dropped_whole_by_a_crash(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 110; seed++) {
        struct sim_options options = sim_options_from_seed(seed);
        struct sim *sim = sim_create(&options);
        struct sim_node *node = sim_node_create(sim, "node");
        struct client *client = calloc(1, sizeof(*client));
        for (int life = 0; life < 5; life++) {
            struct env *env = sim_node_start(node);
            struct http_server *server;
            struct http_server_options server_options = http_server_options_default();
            server_options.handle = handle;
            assert_int_equal(fiber_pool_open(env, CLIENTS, 65536), STATUS_OK);
            assert_int_equal(http_server_open(env, &server_options, &server), STATUS_OK);
            memset(client, 0, sizeof(*client));
            client->stream =
                sim_connect(sim, node, http_server_port(server), &client_events, client);
            send_requests(client);
            sim_run_until(sim, sim_now_ns(sim) + (seed - 99) * 1000000 * (uint64_t)(life + 1));
            sim_node_crash(node, SIM_CRASH_KILL);
            sim_run_until(sim, sim_now_ns(sim) + UINT64_C(1000000000));
            assert_true(client->ended);
            check_answers(client, false);
            sim_client_close(client->stream);
            sim_run_until(sim, sim_now_ns(sim) + UINT64_C(1000000000));
            assert_true(client->closed);
        }
        sim_free(sim);
        free(client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_in_order_whatever_the_link_does),
        cmocka_unit_test(is_dropped_whole_by_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
