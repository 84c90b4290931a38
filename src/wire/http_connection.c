/* http_connection.c - one connection: its bytes gathered into requests, answered one after the
 * other. */
#include "base/assert.h"
#include "wire/http_private.h"
#include "wire/tls_private.h"

/* ---- Life and death ---- */

static void release_parse(struct http_connection *connection)
{
    if (connection->parse == NULL)
        return;
    http_parse_release(connection->parse);
    heap_free(connection->server->env->heap, connection->parse, sizeof(*connection->parse));
    budget_give(connection->server->options.budget, sizeof(*connection->parse));
    connection->parse = NULL;
}

/* What waits in the connection's stream is now this much. */
static void set_waiting(struct http_connection *connection, size_t bytes)
{
    struct budget *budget = connection->server->options.budget;
    budget_give(budget, connection->waiting_bytes);
    budget_owe(budget, bytes);
    connection->waiting_bytes = bytes;
}

/* Forget all input that is not served. */
static void drop_input(struct http_connection *connection)
{
    release_parse(connection);
    buffer_release(&connection->gathered);
    connection->gathered_start = 0;
}

/* Free a connection that is closed, when neither a fiber nor the task queue refers to it. */
static void free_if_unused(struct http_connection *connection)
{
    if (connection->stream != NULL || connection->serving || !list_empty(&connection->resume.link))
        return;
    struct http_server *server = connection->server;
    drop_input(connection);
    if (connection->tls != NULL)
        tls_session_free(connection->tls);
    list_remove(&connection->link);
    server->stats.connections--;
    heap_free(server->env->heap, connection, sizeof(*connection));
    http_server_forget(server);
}

static enum status flush_tls(struct http_connection *connection, size_t *queued_bytes);

/* The client of the request in `handle` has gone: end its waits.  What it has proposed is committed
 * all the same. */
static void cancel_request(struct http_connection *connection)
{
    if (connection->request == NULL || connection->request->cancelled)
        return;
    connection->server->stats.requests_cancelled++;
    context_cancel(connection->request);
}

void http_connection_close(struct http_connection *connection)
{
    if (connection->state == HTTP_STATE_CLOSING)
        return;
    connection->state = HTTP_STATE_CLOSING;
    cancel_request(connection);
    connection->deadline_ns = UINT64_MAX;
    if (connection->tls != NULL) {
        size_t queued_bytes;
        tls_session_end(connection->tls, &connection->server->tls_out);
        (void)!flush_tls(connection, &queued_bytes); /* a courtesy: it is closed in any case */
    }
    env_stream_close(connection->server->env, connection->stream);
}

static void on_closed(void *owner)
{
    struct http_connection *connection = owner;
    connection->stream = NULL;
    set_waiting(connection, 0);
    free_if_unused(connection);
}

/* Nothing of a request has come. */
static bool at_rest(const struct http_connection *connection)
{
    return connection->parse == NULL && connection->gathered.count == connection->gathered_start;
}

/* ---- Sending ---- */

/* Send the ciphertext that waits in the server's buffer, which is empty after that.
 *   STATUS_NO_MEMORY, or what env_stream_write says: some of it is lost, the connection is of no
 *   use */
static enum status flush_tls(struct http_connection *connection, size_t *queued_bytes)
{
    struct buffer *out = &connection->server->tls_out;
    struct bytes bytes = buffer_bytes(out);
    enum status status = out->failed ? STATUS_NO_MEMORY : STATUS_OK;
    *queued_bytes = 0;
    if (status == STATUS_OK && bytes.count > 0)
        status =
            env_stream_write(connection->server->env, connection->stream, &bytes, 1, queued_bytes);
    if (status == STATUS_OK)
        connection->server->stats.bytes_sent += bytes.count;
    if (out->capacity > HTTP_SPARE_BYTES_MAX)
        buffer_release(out);
    else
        buffer_clear(out);
    return status;
}

static enum status send_runs(struct http_connection *connection, const struct bytes *runs,
                             size_t run_count, size_t *queued_bytes)
{
    struct http_server *server = connection->server;
    if (connection->tls != NULL) {
        enum status status = tls_session_send(connection->tls, runs, run_count, &server->tls_out);
        enum status flushed = flush_tls(connection, queued_bytes);
        return status != STATUS_OK ? status : flushed;
    }
    TRY(env_stream_write(server->env, connection->stream, runs, run_count, queued_bytes));
    for (size_t i = 0; i < run_count; i++)
        server->stats.bytes_sent += runs[i].count;
    return STATUS_OK;
}

static void set_paused(struct http_connection *connection, bool paused)
{
    if (connection->paused == paused)
        return;
    connection->paused = paused;
    if (paused)
        env_stream_pause(connection->server->env, connection->stream);
    else
        env_stream_resume(connection->server->env, connection->stream);
}

/* The answer has left (or lies in the system's buffers): what now? */
static void after_answer(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    uint64_t now_ns = env_now_ns(server->env);
    if (connection->close_after || (server->draining && at_rest(connection))) {
        bool unread =
            connection->linger_after || connection->gathered.count > connection->gathered_start;
        if (!unread || connection->peer_ended) {
            http_connection_close(connection);
            return;
        }
        connection->state = HTTP_STATE_LINGERING;
        if (!connection->advancing)
            drop_input(connection);
        set_paused(connection, false);
        http_server_watch(connection, now_ns + HTTP_LINGER_NS);
        return;
    }
    connection->state = HTTP_STATE_READING;
    http_server_watch(connection, now_ns + server->options.idle_timeout_ns);
    if (!connection->advancing &&
        (connection->paused || connection->peer_ended || !at_rest(connection)))
        env_defer(server->env, &connection->resume);
}

void http_connection_answer(struct http_connection *connection, const struct bytes *runs,
                            size_t run_count)
{
    if (connection->state == HTTP_STATE_CLOSING) {
        free_if_unused(connection);
        return;
    }
    struct http_server *server = connection->server;
    size_t queued_bytes = 0;
    if (send_runs(connection, runs, run_count, &queued_bytes) != STATUS_OK) {
        http_connection_close(connection);
        return;
    }
    if (queued_bytes == 0) {
        after_answer(connection);
        return;
    }
    connection->state = HTTP_STATE_WRITING;
    set_waiting(connection, queued_bytes);
    http_server_watch(connection, env_now_ns(server->env) + server->options.body_timeout_ns +
                                      queued_bytes * UINT64_C(1000000000) / HTTP_RATE_MIN);
}

void http_connection_answer_error(struct http_connection *connection, int status, bool linger)
{
    struct http_server *server = connection->server;
    if (status == 503)
        server->stats.requests_refused++;
    else
        server->stats.requests_malformed++;
    if (linger)
        connection->close_after = connection->linger_after = true;
    uint64_t trace_id[2] = {prng_u64(&server->prng), prng_u64(&server->prng)};
    struct bytes body = http_error_body(status);
    struct http_head head = {
        .status = status,
        .content_type = BYTES("application/x-amz-json-1.0"),
        .content_length = body.count,
        .service_headers = server->options.service_headers,
        .trace_id = trace_id,
        .crc32 = http_crc32(body),
        .cors = server->options.cors,
        .close = connection->close_after,
    };
    uint8_t bytes[HTTP_HEAD_BYTES_MAX];
    struct bytes runs[2] = {bytes_of(bytes, http_head_write(server, &head, bytes)), body};
    http_connection_answer(connection, runs, 2);
}

/* ---- Receiving ---- */

static enum status gather(struct http_connection *connection, struct bytes bytes)
{
    buffer_append_bytes(&connection->gathered, bytes);
    return connection->gathered.failed ? STATUS_NO_MEMORY : STATUS_OK;
}

/* A client that sends no more has mostly gone; one that has closed its half alone gets an answer
 * that comes soon. */
static void watch_patience(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    if (connection->state == HTTP_STATE_SERVING && connection->request != NULL)
        http_server_watch(connection, env_now_ns(server->env) + HTTP_PATIENCE_NS);
}

/* Run a request on a fiber; returns when it is answered, or waits. */
static void serve(struct http_connection *connection, struct http_parse *parse,
                  struct bytes request, bool borrowed)
{
    struct http_server *server = connection->server;
    uint64_t now_ns = env_now_ns(server->env);
    bool all_gathered =
        !borrowed && connection->gathered_start == 0 && request.count == connection->gathered.count;
    struct http_incoming incoming = {
        .connection = connection,
        .parse = parse,
        .bytes = request,
        .block = all_gathered ? &connection->gathered : NULL,
        .received_ns = now_ns,
    };
    uint64_t timeout_ns = server->options.request_timeout_ns;
    struct fiber_options options = {
        .arena_bytes_max = server->options.arena_bytes_max,
        .deadline_ns = timeout_ns == UINT64_MAX ? UINT64_MAX : now_ns + timeout_ns,
        .budget = server->options.budget,
    };
    connection->close_after = !parse->keep_alive;
    connection->sent_continue = false;
    connection->in_body = false;
    connection->state = HTTP_STATE_SERVING;
    connection->serving = true;
    connection->deadline_ns = UINT64_MAX;
    if (fiber_spawn(server->env, &options, http_exchange_run, &incoming) == STATUS_OK) {
        if (UNLIKELY(connection->peer_ended))
            watch_patience(connection);
        return;
    }
    connection->serving = false;
    http_connection_answer_error(connection, 503, false);
}

/* A request has come in part: keep what has come, and wait for the rest. */
static void keep_part(struct http_connection *connection, struct http_parse *parse, struct bytes in,
                      bool borrowed)
{
    struct http_server *server = connection->server;
    uint64_t now_ns = env_now_ns(server->env);
    enum status status = STATUS_OK;
    if (connection->parse == NULL) {
        if (budget_draw(server->options.budget, sizeof(*parse))) {
            connection->parse = heap_alloc(server->env->heap, sizeof(*parse));
            if (connection->parse == NULL)
                budget_give(server->options.budget, sizeof(*parse));
        }
        if (connection->parse == NULL) {
            http_connection_answer_error(connection, 503, true);
            return;
        }
        *connection->parse = *parse; /* with its chunks; the scratch begins anew */
        connection->since_ns = now_ns;
        connection->in_body = false;
        parse = connection->parse;
    }
    if (parse->head_done && parse->chunked) {
        in.count = parse->head_bytes;
        http_parse_forget_chunks(parse);
    }
    if (borrowed)
        status = gather(connection, in);
    else
        connection->gathered.count = connection->gathered_start + in.count;
    if (status != STATUS_OK) {
        http_connection_answer_error(connection, 503, true);
        return;
    }
    if (parse->head_done && !connection->in_body) {
        connection->in_body = true;
        connection->since_ns = now_ns;
    }
    if (parse->expect_continue && !connection->sent_continue) {
        connection->sent_continue = true;
        struct bytes go_on = BYTES("HTTP/1.1 100 Continue\r\n\r\n");
        size_t queued_bytes;
        if (send_runs(connection, &go_on, 1, &queued_bytes) != STATUS_OK) {
            http_connection_close(connection);
            return;
        }
    }
    uint64_t received = connection->gathered.count + parse->chunks.count;
    http_server_watch(connection,
                      connection->since_ns +
                          (connection->in_body ? server->options.body_timeout_ns +
                                                     received * UINT64_C(1000000000) / HTTP_RATE_MIN
                                               : server->options.header_timeout_ns));
}

/* Parse one request of `in` and serve it.  Returns how many bytes of `in` it took: none when the
 * request is not whole. */
static size_t advance_one(struct http_connection *connection, struct bytes in, bool borrowed)
{
    struct http_server *server = connection->server;
    struct http_parse *parse = connection->parse;
    if (parse == NULL) {
        parse = &server->scratch;
        http_parse_init(parse, server->env->heap, &server->options);
    }
    enum http_parse_result result = http_parse_run(parse, in);
    if (result == HTTP_PARSE_MORE) {
        keep_part(connection, parse, in, borrowed);
        return 0;
    }
    size_t taken = in.count;
    if (result == HTTP_PARSE_FAILED) {
        http_connection_answer_error(connection, parse->status, true);
    } else {
        taken = parse->consumed;
        serve(connection, parse, bytes_of(in.at, taken), borrowed);
    }
    if (parse == connection->parse)
        release_parse(connection);
    else
        http_parse_release(parse);
    return taken;
}

/* Give back the memory of what was served; keep the rest.  A client whose reads all end within a
 * request would make it grow for ever: so the rest moves to the front when it is the smaller part,
 * and each byte served pays for at most one that moves. */
static void settle_gathered(struct http_connection *connection)
{
    struct buffer *gathered = &connection->gathered;
    size_t rest = gathered->count - connection->gathered_start;
    if (rest == 0)
        buffer_release(gathered);
    else if (rest <= connection->gathered_start)
        memcpy(gathered->at, gathered->at + connection->gathered_start, rest);
    else
        return;
    gathered->count = rest;
    connection->gathered_start = 0;
}

/* Bytes of the request at the front that the parser has seen. */
static size_t seen_before(const struct http_connection *connection)
{
    return connection->parse != NULL ? connection->parse->consumed : 0;
}

/* Serve what has come: `fresh` (borrowed) after what is gathered. */
static void advance(struct http_connection *connection, struct bytes fresh)
{
    ASSERT(connection->state == HTTP_STATE_READING && !connection->advancing);
    bool borrowed = connection->gathered.count == connection->gathered_start;
    struct bytes in = fresh;
    if (!borrowed) {
        if (gather(connection, fresh) != STATUS_OK) {
            http_connection_answer_error(connection, 503, true);
            return;
        }
        in = bytes_after(buffer_bytes(&connection->gathered), connection->gathered_start);
    }
    connection->advancing = true;
    unsigned served = 0;
    while (connection->state == HTTP_STATE_READING && in.count > seen_before(connection)) {
        if (served++ == HTTP_TURN_REQUESTS_MAX) {
            env_defer(connection->server->env, &connection->resume);
            break;
        }
        size_t taken = advance_one(connection, in, borrowed);
        if (taken == 0) {
            in.count = 0;
            break;
        }
        in = bytes_after(in, taken);
        if (!borrowed)
            /* The fiber may have taken the whole block over. */
            connection->gathered_start =
                MIN(connection->gathered_start + taken, connection->gathered.count);
    }
    connection->advancing = false;
    if (connection->state == HTTP_STATE_CLOSING)
        return;
    if (connection->state == HTTP_STATE_LINGERING) {
        drop_input(connection);
        return;
    }
    if (borrowed && in.count > 0 && gather(connection, in) != STATUS_OK) {
        /* What follows the request in flight cannot be kept: answer that one, and no more. */
        connection->close_after = connection->linger_after = true;
        drop_input(connection);
    }
    if (!borrowed)
        settle_gathered(connection);
}

/* Plaintext has come. */
static void receive(struct http_connection *connection, struct bytes bytes)
{
    switch (connection->state) {
    case HTTP_STATE_READING:
        if (connection->refuse)
            http_connection_answer_error(connection, 503, true);
        else
            advance(connection, bytes);
        return;
    case HTTP_STATE_SERVING:
    case HTTP_STATE_WRITING:
        if (connection->linger_after)
            return;
        if (gather(connection, bytes) != STATUS_OK) {
            connection->close_after = connection->linger_after = true;
            drop_input(connection);
        } else {
            set_paused(connection, true);
        }
        return;
    case HTTP_STATE_LINGERING:
    case HTTP_STATE_CLOSING:
        return;
    }
}

/* The client sends no more. */
static void receive_end(struct http_connection *connection)
{
    connection->peer_ended = true;
    watch_patience(connection);
    bool waits_for_input =
        connection->state == HTTP_STATE_READING && list_empty(&connection->resume.link);
    if (waits_for_input || connection->state == HTTP_STATE_LINGERING)
        http_connection_close(connection);
}

static void go_on(struct env_task *task)
{
    struct http_connection *connection = CONTAINER_OF(task, struct http_connection, resume);
    if (connection->state == HTTP_STATE_CLOSING) {
        free_if_unused(connection);
        return;
    }
    if (connection->state != HTTP_STATE_READING)
        return;
    if (!at_rest(connection))
        advance(connection, (struct bytes){0});
    if (connection->state != HTTP_STATE_READING || !list_empty(&connection->resume.link))
        return;
    if (connection->peer_ended || (connection->server->draining && at_rest(connection)))
        http_connection_close(connection);
    else
        set_paused(connection, false);
}

/* ---- Events of the stream ---- */

static bool on_plain(void *owner, struct bytes bytes)
{
    struct http_connection *connection = owner;
    receive(connection, bytes);
    return connection->state != HTTP_STATE_CLOSING;
}

static void on_read_tls(struct http_connection *connection, struct bytes bytes)
{
    struct http_server *server = connection->server;
    bool was_established = tls_session_established(connection->tls);
    enum status status =
        tls_session_receive(connection->tls, bytes, on_plain, connection, &server->tls_out);
    if (connection->state == HTTP_STATE_CLOSING)
        return;
    size_t queued_bytes;
    enum status flushed = flush_tls(connection, &queued_bytes);
    if (status == STATUS_END) {
        receive_end(connection);
    } else if (status != STATUS_OK || flushed != STATUS_OK) {
        server->stats.handshakes_failed += !was_established;
        http_connection_close(connection);
    } else if (!was_established && tls_session_established(connection->tls) &&
               connection->state == HTTP_STATE_READING && at_rest(connection)) {
        http_server_watch(connection, env_now_ns(server->env) + server->options.idle_timeout_ns);
    }
}

static void on_read(void *owner, struct bytes bytes)
{
    struct http_connection *connection = owner;
    connection->server->stats.bytes_received += bytes.count;
    if (bytes.count == 0 || connection->state == HTTP_STATE_CLOSING)
        return;
    if (connection->tls != NULL)
        on_read_tls(connection, bytes);
    else
        receive(connection, bytes);
}

static void on_end(void *owner, enum status status)
{
    struct http_connection *connection = owner;
    if (status != STATUS_END)
        http_connection_close(connection);
    else
        receive_end(connection);
}

static void on_drain(void *owner)
{
    struct http_connection *connection = owner;
    set_waiting(connection, 0);
    if (connection->state == HTTP_STATE_WRITING)
        after_answer(connection);
}

static const struct env_stream_events stream_events = {
    .on_read = on_read, .on_end = on_end, .on_drain = on_drain, .on_closed = on_closed};

/* ---- What the server asks of a connection ---- */

void http_connection_open(struct http_server *server, struct env_stream *stream)
{
    struct env *env = server->env;
    struct http_connection *connection = NULL;
    uint32_t max = server->options.connections_max;
    if (server->connection_count < max + HTTP_REFUSING_MAX)
        connection = heap_alloc_zero(env->heap, sizeof(*connection));
    if (connection != NULL && server->options.tls != NULL) {
        connection->tls = tls_session_open(server->options.tls, env->heap);
        if (connection->tls == NULL) {
            heap_free(env->heap, connection, sizeof(*connection));
            connection = NULL;
        }
    }
    if (connection == NULL) {
        server->stats.connections_refused++;
        env_stream_close(env, stream);
        return;
    }
    connection->server = server;
    connection->stream = stream;
    connection->state = HTTP_STATE_READING;
    connection->refuse = server->connection_count >= max;
    list_init(&connection->link);
    list_init(&connection->resume.link);
    connection->resume.run = go_on;
    buffer_init(&connection->gathered, env->heap, SIZE_MAX);
    connection->gathered.budget = server->options.budget;
    server->connection_count++;
    server->stats.connections++;
    if (connection->refuse)
        server->stats.connections_refused++;
    else
        server->stats.connections_accepted++;
    uint64_t timeout_ns = connection->tls != NULL || connection->refuse
                              ? server->options.header_timeout_ns
                              : server->options.idle_timeout_ns;
    http_server_watch(connection, env_now_ns(env) + timeout_ns);
    env_stream_start(env, stream, &stream_events, connection);
}

void http_connection_timeout(struct http_connection *connection)
{
    if (connection->state == HTTP_STATE_SERVING) {
        cancel_request(connection);
        return;
    }
    connection->server->stats.connections_timeouts += connection->state != HTTP_STATE_LINGERING;
    bool in_part = connection->state == HTTP_STATE_READING && !at_rest(connection);
    if (in_part)
        http_connection_answer_error(connection, 408, true);
    else
        http_connection_close(connection);
}

void http_connection_drain(struct http_connection *connection)
{
    if (connection->state == HTTP_STATE_READING && at_rest(connection))
        http_connection_close(connection);
}
