/* link.c - byte streams: a connection is two ends, and a pipe towards each.
 *
 * A pipe holds what its sender has written: at most a window of it is under way, the rest is queued
 * at the sender.  Deliveries to an end come one at a time, each after a seeded time, each with a
 * seeded part of what is under way. */
#include <string.h>

#include "base/checksum.h"
#include "env/sim/sim_private.h"

#define LINK_BYTES_MAX ((size_t)256 << 20) /* written and not delivered, in one direction */

struct env_listener {
    struct list link;
    struct sim_node *node;
    uint16_t port;
    const struct env_listener_events *events;
    void *owner;
};

/* What flows towards one end. */
struct sim_pipe {
    struct buffer bytes; /* written and not delivered begin at `delivered` */
    size_t delivered;
    size_t window;      /* how much is under way at most */
    bool finished;      /* the sender sends no more */
    enum status broken; /* OK, or what on_end says once nothing more comes */
    bool ended;         /* on_end was called */
};

struct sim_connection;

struct env_stream {
    struct sim_connection *connection;
    struct env_stream *peer;
    struct sim_node *node; /* NULL: a client's end */
    const struct env_stream_events *events;
    void *owner;
    struct sim_pipe in;
    struct sim_item deliver; /* something for this end is due */
    struct sim_item drain;   /* on_drain or on_closed is due */
    bool started, paused, closed, gone;
    bool wants_drain;
    bool reset;                 /* a node's end: it knows that nobody takes what it writes */
    struct sim_item reset_item; /* it will know soon */
};

struct sim_connection {
    struct list link; /* sim.connections */
    struct sim *sim;
    uint64_t number;
    uint16_t port;
    struct sim_node *target; /* where the client connects to; NULL once that was tried */
    uint64_t incarnation;    /* of the target, when the client began to connect */
    struct sim_event connect;
    struct env_stream ends[2]; /* [0] the client's, [1] the node's */
};

/* ---- Items run in the node's loop, or for a client at once ---- */

static void client_item_due(struct sim_event *event)
{
    struct sim_item *item = CONTAINER_OF(event, struct sim_item, event);
    item->run(item);
}

static void end_schedule(struct env_stream *end, struct sim_item *item, uint64_t delay_ns,
                         void (*run)(struct sim_item *item))
{
    if (end->node != NULL) {
        sim_item_schedule(end->node, item, delay_ns, run);
        return;
    }
    item->run = run;
    item->event.run = client_item_due;
    sim_schedule(end->connection->sim, &item->event, delay_ns);
}

static void end_cancel_all(struct env_stream *end)
{
    struct sim *sim = end->connection->sim;
    sim_item_cancel(sim, &end->deliver);
    sim_item_cancel(sim, &end->drain);
    sim_item_cancel(sim, &end->reset_item);
}

static void connection_free_if_gone(struct sim_connection *connection)
{
    if (!connection->ends[0].gone || !connection->ends[1].gone)
        return;
    struct sim *sim = connection->sim;
    sim_cancel(sim, &connection->connect);
    for (int i = 0; i < 2; i++) {
        end_cancel_all(&connection->ends[i]);
        buffer_release(&connection->ends[i].in.bytes);
    }
    list_remove(&connection->link);
    heap_free(&sim->heap, connection, sizeof(*connection));
}

/* ---- Pipes ---- */

static size_t pipe_waiting(const struct sim_pipe *pipe)
{
    return pipe->bytes.count - pipe->delivered;
}

/* Bytes that the link has not taken yet: they wait at the sender. */
static size_t pipe_queued(const struct sim_pipe *pipe)
{
    size_t waiting = pipe_waiting(pipe);
    return waiting > pipe->window ? waiting - pipe->window : 0;
}

static void pipe_append(struct sim_pipe *pipe, struct bytes bytes)
{
    if (pipe->delivered > 0 && pipe->delivered * 2 >= pipe->bytes.count) {
        size_t waiting = pipe_waiting(pipe);
        if (waiting > 0)
            memmove(pipe->bytes.at, pipe->bytes.at + pipe->delivered, waiting);
        pipe->bytes.count = waiting;
        pipe->delivered = 0;
    }
    buffer_append_bytes(&pipe->bytes, bytes);
    ASSERT(!pipe->bytes.failed);
}

static void deliver(struct sim_item *item);

/* See that a delivery to `end` is on its way when there is something to deliver. */
static void want_delivery(struct env_stream *end)
{
    struct sim_pipe *pipe = &end->in;
    if (!end->started || end->paused || end->closed || end->gone || pipe->ended)
        return;
    if (sim_item_waits(&end->deliver))
        return;
    if (pipe_waiting(pipe) == 0 && !pipe->finished && pipe->broken == STATUS_OK)
        return;
    struct sim *sim = end->connection->sim;
    uint64_t delay_ns = sim_duration(sim, sim->options.link_ns);
    const struct sim_rates *rates = &sim->options.rates;
    if (rates->stall_ns_max > 0 && sim_chance(sim, rates->link_stall)) {
        sim_count_fault(sim, SIM_FAULT_LINK_STALL, "link");
        delay_ns += sim_below(sim, rates->stall_ns_max);
    }
    end_schedule(end, &end->deliver, delay_ns, deliver);
}

static void reset_due(struct sim_item *item)
{
    struct env_stream *end = CONTAINER_OF(item, struct env_stream, reset_item);
    end->reset = true;
    bool drains = end->wants_drain;
    end->wants_drain = false;
    if (drains) /* a queue that will never go counts as drained */
        end->events->on_drain(end->owner);
}

/* News that nobody takes what a node writes is on its way to it. */
static void reset_later(struct env_stream *end)
{
    if (end->node == NULL || !end->started || end->closed || end->gone || end->reset ||
        sim_item_waits(&end->reset_item))
        return;
    struct sim *sim = end->connection->sim;
    end_schedule(end, &end->reset_item, sim_duration(sim, sim->options.link_ns), reset_due);
}

/* Nothing more comes to `end` than its first `bytes` under way, then on_end(status). */
static void pipe_break(struct env_stream *end, size_t bytes, enum status status)
{
    struct sim_pipe *pipe = &end->in;
    if (pipe->broken != STATUS_OK || pipe->ended)
        return;
    pipe->bytes.count = pipe->delivered + MIN(bytes, pipe_waiting(pipe));
    pipe->broken = status;
    reset_later(end);
    want_delivery(end);
}

static void drain(struct sim_item *item)
{
    struct env_stream *end = CONTAINER_OF(item, struct env_stream, drain);
    if (end->closed) {
        struct sim_connection *connection = end->connection;
        end->events->on_closed(end->owner);
        end->gone = true;
        connection_free_if_gone(connection);
        return;
    }
    end->wants_drain = false;
    end->events->on_drain(end->owner);
}

/* Bytes left the sender's queue. */
static void check_drain(struct env_stream *sender)
{
    if (sender->wants_drain && !sender->closed && !sender->gone &&
        pipe_queued(&sender->peer->in) == 0 && !sim_item_waits(&sender->drain))
        end_schedule(sender, &sender->drain, 0, drain);
}

/* The connection breaks: what is under way may be lost in both directions. */
static void cut(struct sim_connection *connection)
{
    struct sim *sim = connection->sim;
    sim_count_fault(sim, SIM_FAULT_CUT, "link");
    for (int i = 0; i < 2; i++) {
        struct env_stream *end = &connection->ends[i];
        pipe_break(end, (size_t)sim_below(sim, pipe_waiting(&end->in) + 1), STATUS_IO);
    }
}

static size_t delivery_bytes(struct sim *sim, const struct sim_pipe *pipe)
{
    size_t available = MIN(pipe_waiting(pipe), pipe->window);
    available = MIN(available, (size_t)65536);
    switch (sim_below(sim, 4)) {
    case 0:
        return 1 + (size_t)sim_below(sim, available);
    case 1:
        return 1 + (size_t)sim_below(sim, MIN(available, (size_t)16));
    default:
        return available;
    }
}

static void deliver_end(struct env_stream *end)
{
    struct sim_pipe *pipe = &end->in;
    enum status status = pipe->broken != STATUS_OK ? pipe->broken : STATUS_END;
    pipe->ended = true;
    sim_fold(end->connection->sim, SIM_TRACE_BYTES, end->connection->number, (uint64_t)status);
    end->events->on_end(end->owner, status);
}

static void deliver(struct sim_item *item)
{
    struct env_stream *end = CONTAINER_OF(item, struct env_stream, deliver);
    struct sim_connection *connection = end->connection;
    struct sim *sim = connection->sim;
    struct sim_pipe *pipe = &end->in;
    if (end->paused || end->closed || pipe->ended)
        return;
    if (sim_chance(sim, sim->options.rates.cut))
        cut(connection);
    if (pipe_waiting(pipe) == 0) {
        if (pipe->finished || pipe->broken != STATUS_OK)
            deliver_end(end);
        return;
    }
    size_t count = delivery_bytes(sim, pipe);
    struct bytes bytes = bytes_of(pipe->bytes.at + pipe->delivered, count);
    sim_fold(sim, SIM_TRACE_BYTES, connection->number, checksum64(bytes, 0));

    /* The callee may write, which moves the buffer of the other pipe only. */
    end->events->on_read(end->owner, bytes);
    pipe->delivered += count;
    check_drain(end->peer);
    want_delivery(end);
}

/* ---- Both ends ---- */

static void end_write(struct env_stream *end, struct bytes bytes)
{
    struct env_stream *peer = end->peer;
    if (peer->gone || peer->closed || peer->in.broken != STATUS_OK)
        return;
    pipe_append(&peer->in, bytes);
    want_delivery(peer);
}

static void end_resume(struct env_stream *end)
{
    end->paused = false;
    want_delivery(end);
}

static void end_close(struct env_stream *end)
{
    ASSERT(!end->closed);
    struct sim *sim = end->connection->sim;
    struct env_stream *peer = end->peer;
    size_t unread = pipe_waiting(&end->in);
    end->closed = true;
    sim_item_cancel(sim, &end->deliver);
    sim_item_cancel(sim, &end->reset_item);
    if (!peer->gone && !peer->closed) {
        struct sim_pipe *out = &peer->in;
        out->bytes.count -= pipe_queued(out); /* what had not left yet */
        out->finished = true;
        /* Bytes that nobody read make the system reset the connection, which may destroy what is
         * under way to the peer. */
        if (unread > 0 && !end->in.ended && sim_below(sim, 2) == 0)
            pipe_break(peer, (size_t)sim_below(sim, pipe_waiting(out) + 1), STATUS_IO);
        if (unread > 0)
            reset_later(peer);
        want_delivery(peer);
    }
    end_schedule(end, &end->drain, 1 + sim_below(sim, 1000), drain);
}

/* ---- Connecting ---- */

static struct env_listener *listener_at(struct sim_node *node, uint16_t port)
{
    LIST_FOR_EACH (at, &node->listeners) {
        struct env_listener *listener = LIST_ITEM(at, struct env_listener, link);
        if (listener->port == port)
            return listener;
    }
    return NULL;
}

static void refuse(struct sim_connection *connection)
{
    connection->ends[1].gone = true;
    pipe_break(&connection->ends[0], 0, STATUS_IO);
    connection_free_if_gone(connection);
}

/* In the node's loop: the listener may be gone by now. */
static void accept_due(struct sim_item *item)
{
    struct env_stream *end = CONTAINER_OF(item, struct env_stream, deliver);
    struct env_listener *listener = listener_at(end->node, end->connection->port);
    if (listener == NULL) {
        refuse(end->connection);
        return;
    }
    listener->events->on_accept(listener->owner, end);
}

static void connect_due(struct sim_event *event)
{
    struct sim_connection *connection = CONTAINER_OF(event, struct sim_connection, connect);
    struct sim_node *node = connection->target;
    connection->target = NULL;
    if (!node->running || node->incarnation != connection->incarnation ||
        listener_at(node, connection->port) == NULL) {
        refuse(connection);
        return;
    }
    struct env_stream *end = &connection->ends[1];
    end->node = node;
    sim_item_schedule(node, &end->deliver, 0, accept_due);
}

static void end_init(struct sim_connection *connection, int index)
{
    struct env_stream *end = &connection->ends[index];
    end->connection = connection;
    end->peer = &connection->ends[1 - index];
    end->in.window = connection->sim->options.link_window;
    buffer_init(&end->in.bytes, &connection->sim->heap, LINK_BYTES_MAX);
}

struct env_stream *sim_connect(struct sim *sim, struct sim_node *node, uint16_t port,
                               const struct env_stream_events *events, void *owner)
{
    struct sim_connection *connection = sim_alloc(sim, sizeof(*connection));
    connection->sim = sim;
    connection->number = ++sim->connection_count;
    connection->port = port;
    connection->target = node;
    connection->incarnation = node->incarnation;
    connection->connect.run = connect_due;
    end_init(connection, 0);
    end_init(connection, 1);
    struct env_stream *client = &connection->ends[0];
    client->events = events;
    client->owner = owner;
    client->started = true;
    list_push_back(&sim->connections, &connection->link);
    sim_schedule(sim, &connection->connect, sim_duration(sim, sim->options.link_ns));
    return client;
}

void sim_client_write(struct env_stream *stream, struct bytes bytes)
{
    ASSERT(stream->node == NULL && !stream->closed);
    end_write(stream, bytes);
}

void sim_client_pause(struct env_stream *stream)
{
    stream->paused = true;
}

void sim_client_resume(struct env_stream *stream)
{
    end_resume(stream);
}

void sim_client_finish(struct env_stream *stream)
{
    stream->peer->in.finished = true;
    want_delivery(stream->peer);
}

void sim_client_close(struct env_stream *stream)
{
    end_close(stream);
}

void sim_client_reset(struct env_stream *stream)
{
    struct env_stream *peer = stream->peer;
    end_close(stream);
    if (!peer->gone && !peer->closed)
        pipe_break(peer, (size_t)sim_below(stream->connection->sim, pipe_waiting(&peer->in) + 1),
                   STATUS_IO);
}

/* ---- The node's functions ---- */

static enum status listen_on(struct env *env, const char *host, uint16_t port,
                             const struct env_listener_events *events, void *owner,
                             struct env_listener **listener)
{
    struct sim_node *node = sim_node_of(env);
    ASSERT(node->sim->worker == NULL);
    if (host == NULL || host[0] == '\0')
        return STATUS_INVALID;
    if (port == 0)
        for (port = 49152; listener_at(node, port) != NULL;)
            port++;
    if (listener_at(node, port) != NULL)
        return STATUS_EXISTS;
    struct env_listener *made = sim_kernel_alloc(node, sizeof(*made));
    made->node = node;
    made->port = port;
    made->events = events;
    made->owner = owner;
    list_push_back(&node->listeners, &made->link);
    *listener = made;
    return STATUS_OK;
}

static uint16_t listener_port(struct env *env, struct env_listener *listener)
{
    (void)env;
    return listener->port;
}

static void listener_close(struct env *env, struct env_listener *listener)
{
    list_remove(&listener->link);
    heap_free(&sim_node_of(env)->kernel, listener, sizeof(*listener));
}

static void stream_start(struct env *env, struct env_stream *stream,
                         const struct env_stream_events *events, void *owner)
{
    (void)env;
    ASSERT(!stream->started);
    stream->events = events;
    stream->owner = owner;
    stream->started = true;
    want_delivery(stream);
}

static void stream_pause(struct env *env, struct env_stream *stream)
{
    (void)env;
    stream->paused = true;
    sim_item_cancel(stream->connection->sim, &stream->deliver);
}

static void stream_resume(struct env *env, struct env_stream *stream)
{
    (void)env;
    end_resume(stream);
}

static enum status stream_write(struct env *env, struct env_stream *stream,
                                const struct bytes *runs, size_t run_count, size_t *queued_bytes)
{
    (void)env;
    ASSERT(!stream->closed);
    *queued_bytes = 0;
    if (stream->reset || (stream->in.broken != STATUS_OK && stream->in.ended))
        return STATUS_CLOSED;
    for (size_t i = 0; i < run_count; i++)
        end_write(stream, runs[i]);
    if (stream->peer->gone || stream->peer->closed) {
        reset_later(stream); /* it goes nowhere, and that shows later */
        return STATUS_OK;
    }
    *queued_bytes = pipe_queued(&stream->peer->in);
    stream->wants_drain = stream->wants_drain || *queued_bytes > 0;
    return STATUS_OK;
}

static void closed_unstarted(void *owner)
{
    (void)owner;
}

static void stream_close(struct env *env, struct env_stream *stream)
{
    static const struct env_stream_events none = {.on_closed = closed_unstarted};
    (void)env;
    if (!stream->started)
        stream->events = &none;
    end_close(stream);
}

void sim_link_ops(struct env_ops *ops)
{
    ops->listen = listen_on;
    ops->listener_port = listener_port;
    ops->listener_close = listener_close;
    ops->stream_start = stream_start;
    ops->stream_pause = stream_pause;
    ops->stream_resume = stream_resume;
    ops->stream_write = stream_write;
    ops->stream_close = stream_close;
}

void sim_links_drop(struct sim_node *node, enum sim_crash crash)
{
    struct sim *sim = node->sim;
    LIST_FOR_EACH_SAFE (at, &sim->connections) {
        struct sim_connection *connection = LIST_ITEM(at, struct sim_connection, link);
        struct env_stream *end = &connection->ends[1];
        if (end->node != node || end->gone)
            continue;
        end_cancel_all(end);
        end->gone = true;
        struct env_stream *client = &connection->ends[0];
        if (!client->gone && !client->closed) {
            size_t under_way = pipe_waiting(&client->in) - pipe_queued(&client->in);
            if (crash == SIM_CRASH_POWER || sim_below(sim, 2) == 0)
                under_way = (size_t)sim_below(sim, under_way + 1);
            pipe_break(client, under_way, STATUS_IO);
        }
        connection_free_if_gone(connection);
    }
}
