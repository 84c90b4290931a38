/* http_fixture.h - an HTTP server over streams whose every read and write the test decides.
 *
 * Its handler answers with what it understood of a request; some paths make it wait, or answer in
 * another way. */
#ifndef TESTS_HTTP_FIXTURE_H
#define TESTS_HTTP_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "unit/wire/wire_env.h"
#include "wire/http.h"
#include "wire/http_private.h"

struct fixture {
    struct wire_env world;
    struct http_server *server;
    struct wait_queue gate; /* requests for /wait stand here */
    bool drained;
    uint32_t served;
    enum status last_wait; /* of /wait */
    struct budget budget;
};

/* Answers with what it understood, so that tests see the request through the answer. */
static inline void handle(struct context *ctx, void *owner, const struct http_request *request,
                          struct http_response *response)
{
    struct fixture *f = owner;
    f->served++;
    if (bytes_equal(request->path, BYTES("/wait"))) {
        enum status status = wait_queue_wait(ctx, &f->gate);
        f->last_wait = status;
        buffer_append_format(&response->body, "%s:", status_name(status));
    }
    if (bytes_equal(request->path, BYTES("/big"))) {
        for (int i = 0; i < 20000; i++)
            buffer_append_format(&response->body, "line %d;", i);
        return;
    }
    if (bytes_equal(request->path, BYTES("/huge"))) {
        while (!response->body.failed)
            buffer_append(&response->body, "0123456789abcdef", 16);
        return;
    }
    if (bytes_equal(request->path, BYTES("/owed")))
        response->body.owed = true;
    if (bytes_equal(request->path, BYTES("/close")))
        response->close = true;
    if (bytes_equal(request->path, BYTES("/text")))
        response->content_type = BYTES("text/plain");
    if (bytes_equal(request->path, BYTES("/missing")))
        response->status = 404;
    struct bytes target = request->known[HTTP_HEADER_X_AMZ_TARGET];
    buffer_append_format(&response->body, "%.*s|%.*s|%.*s|%u|%.*s|%zu|%.*s",
                         BYTES_ARGS(request->method), BYTES_ARGS(request->path),
                         BYTES_ARGS(request->query), request->header_count, BYTES_ARGS(target),
                         request->raw_body.count, BYTES_ARGS(request->body));
}

static inline struct http_server_options test_options(struct fixture *f)
{
    struct http_server_options options = http_server_options_default();
    options.handle = handle;
    options.owner = f;
    options.response_bytes_max = 8u << 20;
    budget_init(&f->budget, (size_t)256 << 20);
    options.budget = &f->budget;
    return options;
}

static inline void open_with(struct fixture *f, const struct http_server_options *options,
                             uint32_t fibers_max)
{
    wire_open(&f->world);
    wait_queue_init(&f->gate);
    f->drained = false;
    f->served = 0;
    assert_int_equal(fiber_pool_open(&f->world.tiny.env, fibers_max, 65536), STATUS_OK);
    assert_int_equal(http_server_open(&f->world.tiny.env, options, &f->server), STATUS_OK);
}

static inline void open_default(struct fixture *f)
{
    struct http_server_options options = test_options(f);
    open_with(f, &options, 16);
}

static inline void on_drained(void *argument)
{
    ((struct fixture *)argument)->drained = true;
}

/* Everything ends, and nothing is left in the heap. */
static inline void close_all(struct fixture *f)
{
    http_server_drain(f->server, on_drained, f);
    tiny_settle(&f->world.tiny);
    tiny_advance(&f->world.tiny, UINT64_C(11000000000));
    wait_queue_wake_all(&f->gate);
    tiny_advance(&f->world.tiny, UINT64_C(120000000000));
    assert_true(f->drained);
    assert_int_equal(f->budget.used_bytes, 0);
    assert_int_equal(http_server_stats(f->server)->connections, 0);
    assert_int_equal(http_server_stats(f->server)->in_flight, 0);
    http_server_close(f->server);
    fiber_pool_close(&f->world.tiny.env);
    assert_int_equal(f->world.tiny.heap.bytes_used, 0);
    wire_free_streams(&f->world);
}

static inline void send_text(struct env_stream *stream, const char *text)
{
    wire_send(stream, text, strlen(text), SIZE_MAX);
}

static inline void expect_in(struct env_stream *stream, const char *text)
{
    if (strstr(stream->received, text) == NULL)
        fail_msg("'%s' is not in: %s", text, stream->received);
}

static inline void expect_not_in(struct env_stream *stream, const char *text)
{
    if (strstr(stream->received, text) != NULL)
        fail_msg("'%s' is in: %s", text, stream->received);
}

static inline unsigned count_of(const char *where, const char *what)
{
    unsigned count = 0;
    for (; (where = strstr(where, what)) != NULL; where++)
        count++;
    return count;
}

#define SIMPLE "POST / HTTP/1.1\r\nHost: a\r\nX-Amz-Target: T.Op\r\nContent-Length: 2\r\n\r\n{}"

#endif
