/* http_server.c - the listener, the wheel of deadlines, spare buffers, draining. */
#include <string.h>

#include "base/assert.h"
#include "wire/http_private.h"
#include "wire/tls_private.h"

struct http_server_options http_server_options_default(void)
{
    return (struct http_server_options){
        .host = "127.0.0.1",
        .port = 8000,
        .connections_max = 20000,
        .header_bytes_max = 16u << 10,
        .body_bytes_max = 16u << 20,
        .arena_bytes_max = 256u << 20,
        .response_bytes_max = 128u << 20,
        .header_timeout_ns = UINT64_C(20000000000),
        .body_timeout_ns = UINT64_C(30000000000),
        .idle_timeout_ns = UINT64_C(300000000000),
        .request_timeout_ns = UINT64_C(60000000000),
        .drain_timeout_ns = UINT64_C(10000000000),
        .content_type = BYTES("application/x-amz-json-1.0"),
        .service_headers = true,
        .cors = true,
    };
}

/* ---- The wheel ---- */

static uint64_t tick_of(uint64_t ns)
{
    return ns / HTTP_TICK_NS;
}

/* Into the slot at which its deadline is looked at: one tick after it, at most a turn of the wheel
 * from now. */
static void put_in_slot(struct http_server *server, struct http_connection *connection)
{
    uint64_t furthest = server->tick + HTTP_WHEEL_SLOTS - 1;
    uint64_t due =
        connection->deadline_ns == UINT64_MAX ? furthest : tick_of(connection->deadline_ns) + 1;
    connection->wheel_tick = MAX(MIN(due, furthest), server->tick + 1);
    list_remove(&connection->link);
    list_push_back(&server->slots[connection->wheel_tick % HTTP_WHEEL_SLOTS], &connection->link);
}

static void arm_wheel(struct http_server *server)
{
    uint64_t now_ns = env_now_ns(server->env);
    uint64_t next_ns = (tick_of(now_ns) + 1) * HTTP_TICK_NS;
    env_timer_start(server->env, &server->wheel_timer, next_ns - now_ns);
}

static void look_at_slot(struct http_server *server, struct list *slot, uint64_t now_ns)
{
    struct list due;
    list_init(&due);
    list_append_all(&due, slot);
    for (struct list *node = list_pop_front(&due); node != NULL; node = list_pop_front(&due)) {
        struct http_connection *connection = LIST_ITEM(node, struct http_connection, link);
        bool expired = connection->deadline_ns <= now_ns;
        if (expired)
            connection->deadline_ns = UINT64_MAX;
        put_in_slot(server, connection);
        if (expired)
            http_connection_timeout(connection);
    }
}

static void turn_wheel(struct env_timer *timer)
{
    struct http_server *server = CONTAINER_OF(timer, struct http_server, wheel_timer);
    server->wheel_runs = false;
    uint64_t now_ns = env_now_ns(server->env);
    uint64_t now_tick = tick_of(now_ns);
    /* After a long sleep every slot is looked at once. */
    if (now_tick - server->tick > HTTP_WHEEL_SLOTS)
        server->tick = now_tick - HTTP_WHEEL_SLOTS;
    while (server->tick < now_tick) {
        server->tick++;
        look_at_slot(server, &server->slots[server->tick % HTTP_WHEEL_SLOTS], now_ns);
    }
    if (server->connection_count > 0) {
        server->wheel_runs = true;
        arm_wheel(server);
    }
}

void http_server_watch(struct http_connection *connection, uint64_t deadline_ns)
{
    struct http_server *server = connection->server;
    connection->deadline_ns = deadline_ns;
    if (!server->wheel_runs) {
        server->wheel_runs = true;
        server->tick = tick_of(env_now_ns(server->env));
        arm_wheel(server);
    }
    if (list_empty(&connection->link) || tick_of(deadline_ns) + 1 < connection->wheel_tick)
        put_in_slot(server, connection);
}

/* ---- Bounds and buffers ---- */

enum status http_server_take_buffer(struct http_server *server, struct buffer *buffer)
{
    struct budget *budget = server->options.budget;
    if (server->spare_count > 0) {
        *buffer = server->spare[--server->spare_count];
        buffer->budget = budget;
        if (budget_draw(budget, buffer->capacity))
            return STATUS_OK;
        server->spare_count++;
    }
    buffer_init(buffer, server->env->heap, server->options.response_bytes_max);
    buffer->budget = budget;
    return buffer_reserve(buffer, 1) != NULL ? STATUS_OK : STATUS_BUSY;
}

void http_server_give_buffer(struct http_server *server, struct buffer *buffer)
{
    if (server->spare_count < HTTP_SPARE_BUFFERS_MAX && buffer->capacity > 0 &&
        buffer->capacity <= HTTP_SPARE_BYTES_MAX) {
        budget_give(buffer->budget, buffer->capacity);
        buffer_clear(buffer);
        buffer->budget = NULL;
        buffer->owed = false;
        server->spare[server->spare_count++] = *buffer;
        buffer_init(buffer, server->env->heap, 0);
    } else {
        buffer_release(buffer);
    }
}

/* ---- Opening, draining, closing ---- */

static void on_accept(void *owner, struct env_stream *stream)
{
    http_connection_open(owner, stream);
}

static const struct env_listener_events listener_events = {.on_accept = on_accept};

static void report_drained(struct env_task *task)
{
    struct http_server *server = CONTAINER_OF(task, struct http_server, drained_task);
    server->on_drained(server->drain_argument);
}

static void close_the_rest(struct env_timer *timer)
{
    struct http_server *server = CONTAINER_OF(timer, struct http_server, drain_timer);
    for (size_t i = 0; i < HTTP_WHEEL_SLOTS; i++)
        LIST_FOR_EACH_SAFE (node, &server->slots[i])
            http_connection_close(LIST_ITEM(node, struct http_connection, link));
}

enum status http_server_open(struct env *env, const struct http_server_options *options,
                             struct http_server **server_out)
{
    ASSERT(options->handle != NULL && options->content_type.count <= 128);
    struct http_server *server = heap_alloc_zero(env->heap, sizeof(*server));
    if (server == NULL)
        return STATUS_NO_MEMORY;
    server->env = env;
    server->options = *options;
    for (size_t i = 0; i < HTTP_WHEEL_SLOTS; i++)
        list_init(&server->slots[i]);
    server->wheel_timer.fire = turn_wheel;
    server->drain_timer.fire = close_the_rest;
    server->drained_task.run = report_drained;
    list_init(&server->drained_task.link);
    prng_init(&server->prng, env_random_u64(env));
    server->date_s = UINT64_MAX;
    buffer_init(&server->tls_out, env->heap, SIZE_MAX);
    enum status status =
        env_listen(env, options->host, options->port, &listener_events, server, &server->listener);
    if (status != STATUS_OK) {
        heap_free(env->heap, server, sizeof(*server));
        return status;
    }
    server->port = env_listener_port(env, server->listener);
    *server_out = server;
    return STATUS_OK;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

const struct http_server_stats *http_server_stats(const struct http_server *server)
{
    return &server->stats;
}

void http_server_drain(struct http_server *server, void (*on_drained)(void *argument),
                       void *argument)
{
    ASSERT(!server->draining);
    server->draining = true;
    server->on_drained = on_drained;
    server->drain_argument = argument;
    env_listener_close(server->env, server->listener);
    server->listener = NULL;
    if (server->connection_count == 0) {
        env_defer(server->env, &server->drained_task);
        return;
    }
    env_timer_start(server->env, &server->drain_timer, server->options.drain_timeout_ns);
    for (size_t i = 0; i < HTTP_WHEEL_SLOTS; i++)
        LIST_FOR_EACH_SAFE (node, &server->slots[i])
            http_connection_drain(LIST_ITEM(node, struct http_connection, link));
}

void http_server_forget(struct http_server *server)
{
    ASSERT(server->connection_count > 0);
    server->connection_count--;
    if (!server->draining || server->connection_count > 0)
        return;
    env_timer_stop(server->env, &server->drain_timer);
    env_defer(server->env, &server->drained_task);
}

void http_server_close(struct http_server *server)
{
    ASSERT(server->connection_count == 0);
    if (server->listener != NULL)
        env_listener_close(server->env, server->listener);
    env_timer_stop(server->env, &server->wheel_timer);
    while (server->spare_count > 0)
        buffer_release(&server->spare[--server->spare_count]);
    buffer_release(&server->tls_out);
    heap_free(server->env->heap, server, sizeof(*server));
}
