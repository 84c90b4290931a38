/* uv_streams.c - listeners and connections.
 *
 * All connections read into one buffer, because what is read is used up in its callback; so an idle
 * connection costs its struct.  A write goes to the system at once, and only what the system does
 * not take is copied and queued.
 */
#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "env/uv/uv_env_private.h"

#define BACKLOG         1024
#define SOCKETS_MAX     4u /* addresses of one name */
#define PORT_TRIES      8u /* when a name has several addresses and the system chooses the port */
#define RUNS_MAX        16u
#define ACCEPT_RETRY_NS UINT64_C(100000000) /* after there was no memory for a connection */

struct env_stream {
    uv_tcp_t tcp; /* first */
    struct env_uv *uv;
    const struct env_stream_events *events; /* NULL before stream_start */
    void *owner;
    size_t queued_bytes; /* in writes under way */
    bool ended;          /* on_end was called: nothing is read any more */
    bool broken;         /* a write failed: nothing is written any more */
    bool closing;
    struct list link; /* in uv->streams */
};

struct listener_socket {
    uv_tcp_t tcp; /* first */
    struct env_listener *listener;
    bool waits; /* a connection could not be accepted yet */
};

struct env_listener {
    struct env_uv *uv;
    const struct env_listener_events *events;
    void *owner;
    struct listener_socket sockets[SOCKETS_MAX];
    uint32_t socket_count;
    uint32_t open_count; /* sockets not yet closed */
    uint16_t port;
    bool closing;
    struct env_timer retry;
    struct list link; /* in uv->listeners */
};

/* What the system did not take at once. */
struct queued_write {
    uv_write_t request; /* first */
    struct env_stream *stream;
    size_t count;
    uint8_t bytes[];
};

/* ---- Reading ---- */

static void read_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct env_stream *stream = (struct env_stream *)handle;
    env_uv_turn_enter(stream->uv);
    *buffer = uv_buf_init(stream->uv->read_buffer, READ_BUFFER_BYTES);
}

static void read_came(uv_stream_t *handle, ssize_t count, const uv_buf_t *buffer)
{
    struct env_stream *stream = (struct env_stream *)handle;
    if (count > 0) {
        stream->events->on_read(stream->owner, bytes_of(buffer->base, (size_t)count));
    } else if (count < 0) {
        uv_read_stop(handle);
        stream->ended = true;
        stream->events->on_end(stream->owner, count == UV_EOF ? STATUS_END : STATUS_IO);
    }
}

static void read_begin(struct env_stream *stream)
{
    if (stream->ended || stream->closing)
        return;
    int result = uv_read_start((uv_stream_t *)&stream->tcp, read_buffer, read_came);
    ASSERT(result == 0 || result == UV_EALREADY);
}

void env_uv_stream_start(struct env *env, struct env_stream *stream,
                         const struct env_stream_events *events, void *owner)
{
    (void)env;
    ASSERT(stream->events == NULL);
    stream->events = events;
    stream->owner = owner;
    read_begin(stream);
}

void env_uv_stream_pause(struct env *env, struct env_stream *stream)
{
    (void)env;
    uv_read_stop((uv_stream_t *)&stream->tcp);
}

void env_uv_stream_resume(struct env *env, struct env_stream *stream)
{
    (void)env;
    read_begin(stream);
}

/* ---- Writing ---- */

static void write_over(uv_write_t *request, int result)
{
    struct queued_write *write = (struct queued_write *)request;
    struct env_stream *stream = write->stream;
    struct env_uv *uv = stream->uv;
    env_uv_turn_enter(uv);
    size_t count = write->count;
    heap_free(uv->env.heap, write, sizeof(*write) + count);
    if (stream->closing || stream->broken)
        return;
    stream->queued_bytes -= count;
    if (result < 0) {
        stream->broken = true;
        stream->queued_bytes = 0; /* none of it will go */
    }
    if (stream->queued_bytes == 0)
        stream->events->on_drain(stream->owner);
}

/* Copy the runs, of which the first lacks `skip` bytes, and have them sent later. */
static enum status write_later(struct env_stream *stream, const struct bytes *runs,
                               size_t run_count, size_t skip)
{
    size_t count = 0;
    for (size_t i = 0; i < run_count; i++)
        count += runs[i].count;
    count -= skip;
    if (count == 0)
        return STATUS_OK;
    struct queued_write *write = heap_alloc(stream->uv->env.heap, sizeof(*write) + count);
    if (write == NULL) {
        stream->broken = true;
        return STATUS_NO_MEMORY;
    }
    write->stream = stream;
    write->count = count;
    uint8_t *to = write->bytes;
    for (size_t i = 0; i < run_count; i++, skip = 0) {
        if (runs[i].count > skip)
            memcpy(to, runs[i].at + skip, runs[i].count - skip);
        to += runs[i].count - skip;
    }
    uv_buf_t buffer = {.base = (char *)write->bytes, .len = count};
    if (uv_write(&write->request, (uv_stream_t *)&stream->tcp, &buffer, 1, write_over) != 0) {
        heap_free(stream->uv->env.heap, write, sizeof(*write) + count);
        stream->broken = true;
        return STATUS_CLOSED;
    }
    stream->queued_bytes += count;
    return STATUS_OK;
}

/* Drop `sent` bytes from the front of what is left to send. */
static void runs_advance(const struct bytes **runs, size_t *run_count, size_t *skip, size_t sent)
{
    sent += *skip;
    while (*run_count > 0 && sent >= (*runs)->count) {
        sent -= (*runs)->count;
        ++*runs;
        --*run_count;
    }
    *skip = sent;
}

enum status env_uv_stream_write(struct env *env, struct env_stream *stream,
                                const struct bytes *runs, size_t run_count, size_t *queued_bytes)
{
    (void)env;
    ASSERT(!stream->closing);
    if (stream->broken)
        return STATUS_CLOSED;
    size_t skip = 0; /* bytes of the first run that are gone */
    runs_advance(&runs, &run_count, &skip, 0);
    while (run_count > 0 && stream->queued_bytes == 0) {
        uv_buf_t buffers[RUNS_MAX];
        size_t count = MIN(run_count, (size_t)RUNS_MAX), bytes = 0;
        for (size_t i = 0; i < count; i++) {
            size_t gone = i == 0 ? skip : 0;
            buffers[i].base = (char *)(uintptr_t)runs[i].at + gone;
            buffers[i].len = runs[i].count - gone;
            bytes += buffers[i].len;
        }
        int sent = uv_try_write((uv_stream_t *)&stream->tcp, buffers, (unsigned)count);
        if (sent == UV_EAGAIN)
            break;
        if (sent < 0) {
            stream->broken = true;
            return STATUS_CLOSED;
        }
        runs_advance(&runs, &run_count, &skip, (size_t)sent);
        if ((size_t)sent < bytes)
            break;
    }
    if (run_count > 0)
        TRY(write_later(stream, runs, run_count, skip));
    *queued_bytes = stream->queued_bytes;
    return STATUS_OK;
}

/* ---- Closing ---- */

static void stream_closed(uv_handle_t *handle)
{
    struct env_stream *stream = (struct env_stream *)handle;
    struct env_uv *uv = stream->uv;
    const struct env_stream_events *events = stream->events;
    void *owner = stream->owner;
    list_remove(&stream->link);
    uv->stream_count--;
    heap_free(uv->env.heap, stream, sizeof(*stream));
    if (events != NULL && !uv->closing)
        events->on_closed(owner);
}

void env_uv_stream_close(struct env *env, struct env_stream *stream)
{
    (void)env;
    ASSERT(!stream->closing);
    stream->closing = true;
    uv_close((uv_handle_t *)&stream->tcp, stream_closed);
}

/* ---- Listening ---- */

/* Accept the connection that waits at the socket; later, when there is no memory or no
 * place now. */
static void accept_one(struct listener_socket *socket)
{
    struct env_listener *listener = socket->listener;
    struct env_uv *uv = listener->uv;
    struct env_stream *stream = NULL;
    if (uv->stream_count < uv->streams_max)
        stream = heap_alloc_zero(uv->env.heap, sizeof(*stream));
    socket->waits = stream == NULL;
    if (stream == NULL) {
        env_timer_start(&uv->env, &listener->retry, ACCEPT_RETRY_NS);
        return;
    }
    stream->uv = uv;
    list_push_back(&uv->streams, &stream->link);
    uv->stream_count++;
    uv_tcp_init(&uv->loop, &stream->tcp);
    if (uv_accept((uv_stream_t *)&socket->tcp, (uv_stream_t *)&stream->tcp) != 0) {
        env_uv_stream_close(&uv->env, stream);
        return;
    }
    uv_tcp_nodelay(&stream->tcp, 1);
    listener->events->on_accept(listener->owner, stream);
}

static void connection_came(uv_stream_t *handle, int result)
{
    struct listener_socket *socket = (struct listener_socket *)handle;
    struct env_listener *listener = socket->listener;
    env_uv_turn_enter(listener->uv);
    if (result == 0 && !listener->closing)
        accept_one(socket);
}

static void accept_again(struct env_timer *timer)
{
    struct env_listener *listener = CONTAINER_OF(timer, struct env_listener, retry);
    for (uint32_t i = 0; i < listener->socket_count && !listener->closing; i++)
        if (listener->sockets[i].waits)
            accept_one(&listener->sockets[i]);
}

static void listener_free(struct env_listener *listener)
{
    list_remove(&listener->link);
    heap_free(listener->uv->env.heap, listener, sizeof(*listener));
}

static void socket_closed(uv_handle_t *handle)
{
    struct env_listener *listener = ((struct listener_socket *)handle)->listener;
    if (--listener->open_count == 0)
        listener_free(listener);
}

void env_uv_listener_close(struct env *env, struct env_listener *listener)
{
    ASSERT(!listener->closing);
    listener->closing = true;
    env_timer_stop(env, &listener->retry);
    for (uint32_t i = 0; i < listener->socket_count; i++)
        uv_close((uv_handle_t *)&listener->sockets[i].tcp, socket_closed);
    if (listener->socket_count == 0)
        listener_free(listener);
}

static uint16_t socket_port(struct listener_socket *socket)
{
    struct sockaddr_storage address;
    int length = sizeof(address);
    if (uv_tcp_getsockname(&socket->tcp, (struct sockaddr *)&address, &length) != 0)
        return 0;
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)(void *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)(void *)&address)->sin_port);
}

uint16_t env_uv_listener_port(struct env *env, struct env_listener *listener)
{
    (void)env;
    return listener->port;
}

/* The addresses that a host's name stands for. */
struct addresses {
    struct sockaddr_storage at[SOCKETS_MAX];
    uint32_t count;
};

static void addresses_add(struct addresses *addresses, const struct sockaddr *address, size_t bytes)
{
    if (addresses->count < SOCKETS_MAX)
        memcpy(&addresses->at[addresses->count++], address, bytes);
}

/* "localhost" is what it is everywhere (RFC 6761); looking it up would load the system's name
 * services, which take more memory than the server does. */
static enum status addresses_find(struct env_uv *uv, const char *host, struct addresses *addresses)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    bool local = strcmp(host, "localhost") == 0;
    addresses->count = 0;
    if (uv_ip4_addr(local ? "127.0.0.1" : host, 0, &v4) == 0)
        addresses_add(addresses, (struct sockaddr *)&v4, sizeof(v4));
    if (uv_ip6_addr(local ? "::1" : host, 0, &v6) == 0)
        addresses_add(addresses, (struct sockaddr *)&v6, sizeof(v6));
    if (addresses->count > 0)
        return STATUS_OK;

    uv_getaddrinfo_t request;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    if (uv_getaddrinfo(&uv->loop, &request, NULL, host, NULL, &hints) != 0)
        return STATUS_INVALID;
    for (struct addrinfo *at = request.addrinfo; at != NULL; at = at->ai_next)
        if (at->ai_family == AF_INET || at->ai_family == AF_INET6)
            addresses_add(addresses, at->ai_addr, at->ai_addrlen);
    uv_freeaddrinfo(request.addrinfo);
    return addresses->count > 0 ? STATUS_OK : STATUS_INVALID;
}

static enum status socket_listen(struct env_listener *listener, struct sockaddr_storage *address,
                                 uint16_t port, bool alone)
{
    struct listener_socket *socket = &listener->sockets[listener->socket_count];
    unsigned flags = 0;
    if (address->ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons(port);
        flags = alone ? 0 : UV_TCP_IPV6ONLY;
    } else {
        ((struct sockaddr_in *)(void *)address)->sin_port = htons(port);
    }
    int result = uv_tcp_init(&listener->uv->loop, &socket->tcp);
    if (result != 0)
        return env_uv_status_of_errno(-result);
    socket->listener = listener;
    listener->socket_count++;
    listener->open_count++;
    result = uv_tcp_bind(&socket->tcp, (struct sockaddr *)address, flags);
    if (result == 0)
        result = uv_listen((uv_stream_t *)&socket->tcp, BACKLOG, connection_came);
    return result != 0 ? env_uv_status_of_errno(-result) : STATUS_OK;
}

/* Listen on all of the addresses, but for those of a family that the system is without. */
static enum status listen_on_all(struct env_listener *listener, struct addresses *addresses,
                                 uint16_t port)
{
    for (uint32_t i = 0; i < addresses->count; i++) {
        enum status status =
            socket_listen(listener, &addresses->at[i], port, addresses->count == 1);
        if (status == STATUS_INVALID)
            continue;
        TRY(status);
        if (port == 0)
            port = socket_port(&listener->sockets[listener->socket_count - 1]);
        listener->port = port;
    }
    return listener->port != 0 ? STATUS_OK : STATUS_INVALID;
}

static enum status try_listen(struct env_uv *uv, struct addresses *addresses, uint16_t port,
                              const struct env_listener_events *events, void *owner,
                              struct env_listener **listener)
{
    struct env_listener *made = heap_alloc_zero(uv->env.heap, sizeof(*made));
    if (made == NULL)
        return STATUS_NO_MEMORY;
    made->uv = uv;
    made->events = events;
    made->owner = owner;
    made->retry.fire = accept_again;
    list_push_back(&uv->listeners, &made->link);
    enum status status = listen_on_all(made, addresses, port);
    if (status == STATUS_OK)
        *listener = made;
    else
        env_uv_listener_close(&uv->env, made);
    return status;
}

enum status env_uv_listen(struct env *env, const char *host, uint16_t port,
                          const struct env_listener_events *events, void *owner,
                          struct env_listener **listener)
{
    struct env_uv *uv = env_uv_of(env);
    struct addresses addresses;
    TRY(addresses_find(uv, host, &addresses));
    uint32_t tries = port == 0 && addresses.count > 1 ? PORT_TRIES : 1;
    enum status status;
    do
        status = try_listen(uv, &addresses, port, events, owner, listener);
    while (status == STATUS_EXISTS && --tries > 0);
    return status;
}

void env_uv_streams_close_all(struct env_uv *uv)
{
    LIST_FOR_EACH (node, &uv->streams) {
        struct env_stream *stream = LIST_ITEM(node, struct env_stream, link);
        if (!stream->closing)
            env_uv_stream_close(&uv->env, stream);
    }
    LIST_FOR_EACH_SAFE (node, &uv->listeners) {
        struct env_listener *listener = LIST_ITEM(node, struct env_listener, link);
        if (!listener->closing)
            env_uv_listener_close(&uv->env, listener);
    }
}
