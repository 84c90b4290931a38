/* wire_env.h - tiny_env with byte streams whose every read and write the test decides. */
#ifndef TESTS_WIRE_ENV_H
#define TESTS_WIRE_ENV_H

#include <stdlib.h>

#include "env/fiber.h"
#include "unit/env/tiny_env.h"

struct env_listener {
    const struct env_listener_events *events;
    void *owner;
};

/* The server's end of a connection, and what the client sees of it. */
struct env_stream {
    struct wire_env *world;
    const struct env_stream_events *events;
    void *owner;
    char *received; /* by the client, and not yet looked at */
    size_t received_count;
    size_t room; /* bytes that the client's window takes at once */
    char *queued;
    size_t queued_count;
    bool paused, closing, closed;
    struct env_task closed_task;
    struct list link;
};

struct wire_env {
    struct tiny_env tiny; /* first */
    struct env_ops ops;
    struct env_listener *listener;
    struct list streams;
};

static inline struct wire_env *wire_of(struct env *env)
{
    return (struct wire_env *)env;
}

static inline enum status wire_listen(struct env *env, const char *host, uint16_t port,
                                      const struct env_listener_events *events, void *owner,
                                      struct env_listener **listener)
{
    (void)host;
    if (port == 1)
        return STATUS_EXISTS;
    *listener = malloc(sizeof(**listener));
    **listener = (struct env_listener){events, owner};
    wire_of(env)->listener = *listener;
    return STATUS_OK;
}

static inline uint16_t wire_listener_port(struct env *env, struct env_listener *listener)
{
    (void)env;
    (void)listener;
    return 8123;
}

static inline void wire_listener_close(struct env *env, struct env_listener *listener)
{
    wire_of(env)->listener = NULL;
    free(listener);
}

static inline void wire_stream_start(struct env *env, struct env_stream *stream,
                                     const struct env_stream_events *events, void *owner)
{
    (void)env;
    stream->events = events;
    stream->owner = owner;
}

static inline void wire_stream_pause(struct env *env, struct env_stream *stream)
{
    (void)env;
    ASSERT(!stream->paused && !stream->closing);
    stream->paused = true;
}

static inline void wire_stream_resume(struct env *env, struct env_stream *stream)
{
    (void)env;
    ASSERT(stream->paused && !stream->closing);
    stream->paused = false;
}

static inline void wire_append(char **to, size_t *count, const void *at, size_t more)
{
    *to = realloc(*to, *count + more + 1);
    memcpy(*to + *count, at, more);
    *count += more;
    (*to)[*count] = '\0';
}

static inline enum status wire_stream_write(struct env *env, struct env_stream *stream,
                                            const struct bytes *runs, size_t run_count,
                                            size_t *queued_bytes)
{
    (void)env;
    ASSERT(!stream->closing);
    for (size_t i = 0; i < run_count; i++) {
        size_t now = stream->queued_count > 0 ? 0 : MIN(runs[i].count, stream->room);
        if (now > 0)
            wire_append(&stream->received, &stream->received_count, runs[i].at, now);
        stream->room -= now;
        if (runs[i].count > now)
            wire_append(&stream->queued, &stream->queued_count, runs[i].at + now,
                        runs[i].count - now);
    }
    *queued_bytes = stream->queued_count;
    return STATUS_OK;
}

static inline void wire_run_closed(struct env_task *task)
{
    struct env_stream *stream = CONTAINER_OF(task, struct env_stream, closed_task);
    stream->closed = true;
    if (stream->events != NULL)
        stream->events->on_closed(stream->owner);
}

static inline void wire_stream_close(struct env *env, struct env_stream *stream)
{
    ASSERT(!stream->closing);
    stream->closing = true;
    env_defer(env, &stream->closed_task);
}

static inline void wire_open(struct wire_env *world)
{
    memset(world, 0, sizeof(*world));
    tiny_open(&world->tiny);
    world->tiny.now_ns = UINT64_C(1767225600) * 1000000000; /* 2026-01-01 */
    world->ops = *world->tiny.env.ops;
    world->ops.listen = wire_listen;
    world->ops.listener_port = wire_listener_port;
    world->ops.listener_close = wire_listener_close;
    world->ops.stream_start = wire_stream_start;
    world->ops.stream_pause = wire_stream_pause;
    world->ops.stream_resume = wire_stream_resume;
    world->ops.stream_write = wire_stream_write;
    world->ops.stream_close = wire_stream_close;
    world->tiny.env.ops = &world->ops;
    list_init(&world->streams);
}

/* ---- The client's side ---- */

static inline struct env_stream *wire_connect(struct wire_env *world)
{
    struct env_stream *stream = calloc(1, sizeof(*stream));
    stream->world = world;
    stream->room = SIZE_MAX;
    stream->received = calloc(1, 1);
    stream->closed_task.run = wire_run_closed;
    list_init(&stream->closed_task.link);
    list_push_back(&world->streams, &stream->link);
    ASSERT(world->listener != NULL);
    world->listener->events->on_accept(world->listener->owner, stream);
    return stream;
}

/* Give the server `count` bytes in one read, from memory that is gone right after the call. */
static inline void wire_push(struct env_stream *stream, const void *at, size_t count)
{
    ASSERT(!stream->paused);
    if (stream->closing)
        return;
    uint8_t *copy = malloc(count > 0 ? count : 1);
    memcpy(copy, at, count);
    stream->events->on_read(stream->owner, bytes_of(copy, count));
    free(copy);
}

/* Push in pieces of at most `piece` bytes, letting the loop run between them. */
static inline void wire_send(struct env_stream *stream, const void *at, size_t count, size_t piece)
{
    for (size_t sent = 0; sent < count && !stream->closing;) {
        size_t now = MIN(piece, count - sent);
        while (stream->paused)
            if (!tiny_turn(&stream->world->tiny))
                return;
        wire_push(stream, (const uint8_t *)at + sent, now);
        sent += now;
        tiny_settle(&stream->world->tiny);
    }
}

static inline void wire_finish(struct env_stream *stream)
{
    if (!stream->closing)
        stream->events->on_end(stream->owner, STATUS_END);
    tiny_settle(&stream->world->tiny);
}

/* The client's window opens: everything queued goes. */
static inline void wire_drain(struct env_stream *stream)
{
    stream->room = SIZE_MAX;
    if (stream->queued_count > 0 && !stream->closing) {
        wire_append(&stream->received, &stream->received_count, stream->queued,
                    stream->queued_count);
        stream->queued_count = 0;
        stream->events->on_drain(stream->owner);
    }
    tiny_settle(&stream->world->tiny);
}

/* Forget what was received. */
static inline void wire_look_away(struct env_stream *stream)
{
    stream->received_count = 0;
    stream->received[0] = '\0';
}

static inline void wire_free_streams(struct wire_env *world)
{
    for (struct list *node; (node = list_pop_front(&world->streams)) != NULL;) {
        struct env_stream *stream = LIST_ITEM(node, struct env_stream, link);
        free(stream->received);
        free(stream->queued);
        free(stream);
    }
}

#endif
