/* conformance_streams.h - promises on listeners and connections. */
#ifndef TESTS_CONFORMANCE_STREAMS_H
#define TESTS_CONFORMANCE_STREAMS_H

#include "unit/env/conformance_binding.h"

/* ---- Streams ---- */

/* A server with one connection at a time. */
struct server {
    struct conformance *c;
    struct env_listener *listener;
    uint16_t port;
    struct env_stream *stream; /* NULL before and after */
    bool accepted, ended, drained, closed;
    enum status end_status;
    bool refuse;     /* close what is accepted */
    bool close_read; /* close at the first bytes */
    bool echo;
    uint8_t *got; /* all that was read */
    size_t got_count, got_wanted;
    size_t queued_bytes;
    bool got_all; /* got_wanted bytes */
};

static inline void server_read(void *owner, struct bytes bytes)
{
    struct server *server = owner;
    assert_non_null(server->stream);
    assert_false(server->ended);
    assert_true(bytes.count > 0);
    server->got = realloc(server->got, server->got_count + bytes.count);
    assert_non_null(server->got);
    memcpy(server->got + server->got_count, bytes.at, bytes.count);
    server->got_count += bytes.count;
    server->got_all = server->got_count >= server->got_wanted;
    if (server->echo)
        assert_int_equal(
            env_stream_write(server->c->env, server->stream, &bytes, 1, &server->queued_bytes),
            STATUS_OK);
    if (server->close_read) {
        env_stream_close(server->c->env, server->stream);
        server->stream = NULL;
    }
}

static inline void server_end(void *owner, enum status status)
{
    struct server *server = owner;
    assert_non_null(server->stream);
    assert_false(server->ended);
    server->ended = true;
    server->end_status = status;
}

static inline void server_drain(void *owner)
{
    struct server *server = owner;
    assert_non_null(server->stream);
    server->queued_bytes = 0;
    server->drained = true;
}

static inline void server_closed(void *owner)
{
    struct server *server = owner;
    assert_null(server->stream);
    assert_false(server->closed);
    server->closed = true;
}

static const struct env_stream_events server_stream_events = {
    .on_read = server_read,
    .on_end = server_end,
    .on_drain = server_drain,
    .on_closed = server_closed,
};

static inline void server_accept(void *owner, struct env_stream *stream)
{
    struct server *server = owner;
    assert_null(server->stream);
    server->accepted = true;
    if (server->refuse) {
        env_stream_close(server->c->env, stream);
        return;
    }
    server->closed = server->ended = server->drained = false;
    server->stream = stream;
    env_stream_start(server->c->env, stream, &server_stream_events, server);
}

static const struct env_listener_events server_events = {.on_accept = server_accept};

static inline void server_open(struct server *server, struct conformance *c)
{
    *server = (struct server){.c = c, .got_wanted = 1};
    assert_int_equal(env_listen(c->env, "127.0.0.1", 0, &server_events, server, &server->listener),
                     STATUS_OK);
    server->port = env_listener_port(c->env, server->listener);
    assert_true(server->port != 0);
}

static inline struct conformance_peer *server_connect(struct server *server)
{
    server->accepted = false;
    struct conformance_peer *peer = server->c->peer_connect(server->c, server->port);
    assert_non_null(peer);
    run_until(server->c, &server->accepted);
    return peer;
}

static inline void server_stream_close(struct server *server)
{
    env_stream_close(server->c->env, server->stream);
    server->stream = NULL;
    assert_false(server->closed);
    run_until(server->c, &server->closed);
}

static inline void server_close(struct server *server)
{
    if (server->stream != NULL)
        server_stream_close(server);
    env_listener_close(server->c->env, server->listener);
    free(server->got);
}

static inline enum status server_write(struct server *server, const struct bytes *runs,
                                       size_t run_count)
{
    return env_stream_write(server->c->env, server->stream, runs, run_count, &server->queued_bytes);
}

struct received {
    struct conformance_peer *peer;
    size_t count;
};

static inline bool has_received(void *argument)
{
    struct received *received = argument;
    return received->peer->received_count >= received->count;
}

static inline void run_until_received(struct conformance *c, struct conformance_peer *peer,
                                      size_t count)
{
    struct received received = {peer, count};
    assert_true(c->run(c, has_received, &received));
    assert_int_equal(peer->received_count, count);
}

static inline uint8_t *pattern_make(size_t count, uint64_t seed)
{
    uint8_t *bytes = malloc(count);
    assert_non_null(bytes);
    struct prng prng;
    prng_init(&prng, seed);
    for (size_t i = 0; i < count; i++)
        bytes[i] = (uint8_t)prng_u64(&prng);
    return bytes;
}

static inline void streams_carry_bytes_both_ways(void **state)
{
    struct conformance *c = *state;
    struct server server;
    server_open(&server, c);
    struct conformance_peer *peer = server_connect(&server);
    enum { COUNT = 300000 };
    uint8_t *there = pattern_make(COUNT, 1);
    server.echo = true;
    server.got_wanted = COUNT;
    c->peer_send(c, peer, bytes_of(there, 1000));
    c->peer_send(c, peer, bytes_of(there + 1000, COUNT - 1000));
    run_until(c, &server.got_all);
    assert_int_equal(server.got_count, COUNT);
    assert_memory_equal(server.got, there, COUNT);
    run_until_received(c, peer, COUNT);
    assert_memory_equal(peer->received, there, COUNT);

    /* Runs of all lengths, none included, arrive as one. */
    struct bytes runs[40];
    size_t at = 0;
    for (size_t i = 0; i < 40; i++) {
        runs[i] = bytes_of(there + at, i % 3 == 0 ? 0 : i * 7);
        at += runs[i].count;
    }
    assert_int_equal(server_write(&server, runs, 40), STATUS_OK);
    assert_int_equal(server_write(&server, runs, 1), STATUS_OK);
    assert_int_equal(server_write(&server, NULL, 0), STATUS_OK);
    run_until_received(c, peer, COUNT + at);
    assert_memory_equal(peer->received + COUNT, there, at);
    free(there);
    c->peer_close(c, peer);
    server_close(&server);
}

static inline void streams_queue_and_drain(void **state)
{
    struct conformance *c = *state;
    struct server server;
    server_open(&server, c);
    struct conformance_peer *peer = server_connect(&server);
    c->peer_pause(c, peer);
    enum { PIECE = 1 << 20, PIECES = 12 };
    uint8_t *bytes = pattern_make(PIECE, 2);
    for (int i = 0; i < PIECES; i++) {
        struct bytes runs[] = {{bytes, 100}, {bytes + 100, PIECE - 100}};
        size_t before = server.queued_bytes;
        assert_int_equal(server_write(&server, runs, 2), STATUS_OK);
        assert_true(server.queued_bytes <= before + PIECE);
    }
    assert_true(server.queued_bytes > 0);
    assert_false(server.drained);
    run_for(c, 2 * MS);
    assert_false(server.drained); /* nobody takes it */
    c->peer_resume(c, peer);
    run_until(c, &server.drained);
    run_until_received(c, peer, (size_t)PIECE * PIECES);
    for (int i = 0; i < PIECES; i++)
        assert_memory_equal(peer->received + (size_t)i * PIECE, bytes, PIECE);
    free(bytes);
    c->peer_close(c, peer);
    server_close(&server);
}

static inline void streams_pause(void **state)
{
    struct conformance *c = *state;
    struct server server;
    server_open(&server, c);
    struct conformance_peer *peer = server_connect(&server);
    env_stream_pause(c->env, server.stream);
    env_stream_pause(c->env, server.stream);
    c->peer_send(c, peer, BYTES("hello"));
    c->peer_finish(c, peer);
    run_for(c, 5 * MS);
    assert_int_equal(server.got_count, 0);
    assert_false(server.ended);
    env_stream_resume(c->env, server.stream);
    assert_int_equal(server.got_count, 0); /* never inside the call */
    run_until(c, &server.ended);
    assert_int_equal(server.got_count, 5);
    assert_int_equal(server.end_status, STATUS_END);
    env_stream_resume(c->env, server.stream); /* nothing comes any more */
    run_for(c, 2 * MS);
    c->peer_close(c, peer);
    server_close(&server);
}

static inline bool peer_ended(void *argument)
{
    return ((struct conformance_peer *)argument)->ended;
}

static inline void streams_end_and_close(void **state)
{
    struct conformance *c = *state;
    struct server server;
    server_open(&server, c);
    struct conformance_peer *peer = server_connect(&server);
    c->peer_send(c, peer, BYTES("last words"));
    c->peer_finish(c, peer);
    run_until(c, &server.ended);
    assert_int_equal(server.end_status, STATUS_END);
    assert_int_equal(server.got_count, 10);
    /* The other direction is still open. */
    struct bytes answer = BYTES("answer");
    assert_int_equal(server_write(&server, &answer, 1), STATUS_OK);
    run_until_received(c, peer, 6);
    assert_false(peer->ended);
    server_stream_close(&server);
    assert_true(c->run(c, peer_ended, peer));
    c->peer_close(c, peer);

    /* Closed where the bytes come in; only on_closed follows. */
    server.close_read = true;
    peer = server_connect(&server);
    c->peer_send(c, peer, BYTES("one"));
    run_until(c, &server.closed);
    assert_true(c->run(c, peer_ended, peer));
    c->peer_close(c, peer);

    /* Closed without being started: no callback at all. */
    server.refuse = true;
    server.closed = false;
    peer = server_connect(&server);
    assert_true(c->run(c, peer_ended, peer));
    assert_false(server.closed);
    c->peer_close(c, peer);
    server_close(&server);
}

struct breaking {
    struct server *server;
    enum status status;
    uint8_t block[100000];
};

static inline bool write_until_closed(void *argument)
{
    struct breaking *breaking = argument;
    struct bytes bytes = bytes_of(breaking->block, sizeof(breaking->block));
    if (breaking->server->queued_bytes == 0)
        breaking->status = server_write(breaking->server, &bytes, 1);
    return breaking->status != STATUS_OK;
}

static inline void streams_break(void **state)
{
    struct conformance *c = *state;
    struct server server;
    server_open(&server, c);
    struct conformance_peer *peer = server_connect(&server);
    c->peer_close(c, peer);
    run_until(c, &server.ended);
    static struct breaking breaking;
    breaking = (struct breaking){.server = &server};
    assert_true(c->run(c, write_until_closed, &breaking));
    assert_int_equal(breaking.status, STATUS_CLOSED);
    struct bytes more = BYTES("more");
    assert_int_equal(server_write(&server, &more, 1), STATUS_CLOSED);
    server_close(&server);

    /* A queue that will never go counts as drained. */
    server_open(&server, c);
    peer = server_connect(&server);
    c->peer_pause(c, peer);
    struct bytes block = bytes_of(breaking.block, sizeof(breaking.block));
    for (int i = 0; i < 200 && server.queued_bytes < 1000000; i++)
        assert_int_equal(server_write(&server, &block, 1), STATUS_OK);
    assert_true(server.queued_bytes >= 1000000);
    env_stream_pause(c->env, server.stream);
    c->peer_close(c, peer);
    run_until(c, &server.drained);
    assert_int_equal(server_write(&server, &more, 1), STATUS_CLOSED);
    server_close(&server);
}

static inline void listeners_hold_their_port(void **state)
{
    struct conformance *c = *state;
    struct server server;
    server_open(&server, c);
    struct env_listener *second = NULL;
    assert_int_equal(env_listen(c->env, "127.0.0.1", server.port, &server_events, &server, &second),
                     STATUS_EXISTS);
    assert_null(second);
    struct conformance_peer *peer = server_connect(&server);
    env_listener_close(c->env, server.listener);

    /* What was accepted lives on; nothing new comes in. */
    struct bytes hello = BYTES("hello");
    assert_int_equal(server_write(&server, &hello, 1), STATUS_OK);
    run_until_received(c, peer, 5);
    server.accepted = false;
    struct conformance_peer *late = c->peer_connect(c, server.port);
    assert_true(late == NULL || c->run(c, peer_ended, late));
    assert_false(server.accepted);
    if (late != NULL)
        c->peer_close(c, late);

    /* The port is free again, although a connection of its time lives. */
    assert_int_equal(
        env_listen(c->env, "127.0.0.1", server.port, &server_events, &server, &server.listener),
        STATUS_OK);
    assert_int_equal(env_listener_port(c->env, server.listener), server.port);
    server_stream_close(&server);
    c->peer_close(c, peer);
    peer = server_connect(&server);
    c->peer_close(c, peer);
    run_until(c, &server.ended);
    server_close(&server);
}

#endif
