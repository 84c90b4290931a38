/* The HTTP server at its bounds: sizes, counts, time, memory, the end. */
#include "unit/cmocka_headers.h"

#include <stdio.h>

#include "unit/wire/http_fixture.h"

/* One turn of the loop serves a bounded number of a connection's requests. */
static void bounds_requests_of_one_turn(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    struct env_stream *c = wire_connect(&f.world);
    char text[8192] = "";
    for (int i = 0; i < 40; i++)
        strcat(text, "GET / HTTP/1.1\r\n\r\n");
    wire_push(c, text, strlen(text));
    assert_int_equal(f.served, HTTP_TURN_REQUESTS_MAX);
    tiny_settle(&f.world.tiny);
    assert_int_equal(f.served, 40);
    close_all(&f);
}

/* Of a pipeline whose reads all end within a request only what is not served is kept. */
static void keeps_no_more_of_a_pipeline_than_is_not_served(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    struct env_stream *c = wire_connect(&f.world);
    const size_t one = strlen(SIMPLE), piece = 5 * one + 7;
    char *text = malloc(700 * one);
    for (size_t i = 0; i < 700; i++)
        memcpy(text + i * one, SIMPLE, one);
    for (uint32_t round = 0; round < 2000; round++) {
        wire_push(c, text + round * piece % one, piece);
        tiny_settle(&f.world.tiny);
        assert_int_equal(f.served, (round + 1) * piece / one);
        assert_true(f.budget.used_bytes < 16384);
        wire_look_away(c);
    }
    free(text);
    close_all(&f);
}

static void bounds_the_head(void **state)
{
    (void)state;
    for (size_t piece = 1000; piece <= 100000; piece *= 100) {
        struct fixture f;
        open_default(&f);
        struct env_stream *c = wire_connect(&f.world);
        char *text = malloc(40000);
        /* 16 KiB to the byte pass, one more does not. */
        for (int over = 0; over <= 1; over++) {
            int head = snprintf(text, 40000, "GET / HTTP/1.1\r\nA: ");
            memset(text + head, 'x', 30000);
            strcpy(text + 16384 - 4 + over, "\r\n\r\n");
            wire_look_away(c);
            wire_send(c, text, strlen(text), piece);
            expect_in(c, over ? "HTTP/1.1 400 " : "HTTP/1.1 200 OK");
        }
        free(text);
        close_all(&f);
    }
    struct fixture f;
    open_default(&f);
    struct env_stream *c = wire_connect(&f.world);
    send_text(c, "GET / HTTP/1.1\r\n");
    for (unsigned i = 0; i <= HTTP_HEADERS_MAX; i++)
        send_text(c, "a: b\r\n");
    send_text(c, "\r\n");
    expect_in(c, "HTTP/1.1 400 ");
    close_all(&f);
}

static void bounds_the_body(void **state)
{
    (void)state;
    struct fixture f;
    struct http_server_options options = test_options(&f);
    options.body_bytes_max = 1000;
    open_with(&f, &options, 4);
    char body[1100];
    memset(body, 'x', sizeof(body));
    char text[2000];
    /* By Content-Length: at once, without reading the body. */
    struct env_stream *c = wire_connect(&f.world);
    send_text(c, "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n");
    expect_in(c, "HTTP/1.1 413 ");
    expect_in(c, "RequestEntityTooLargeException");
    expect_in(c, "\r\nConnection: close\r\n");
    expect_not_in(c, "100 Continue");
    /* What the client goes on sending is dropped for a while, so that it can read the answer. */
    assert_false(c->closing);
    wire_send(c, body, 1001, 100);
    assert_false(c->closing);
    tiny_advance(&f.world.tiny, UINT64_C(4000000000));
    assert_true(c->closed);
    /* Chunked: as soon as it is over. */
    for (int over = 0; over <= 1; over++) {
        c = wire_connect(&f.world);
        send_text(c, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 10; i++) {
            snprintf(text, sizeof(text), "64\r\n%.100s\r\n", body);
            send_text(c, text);
        }
        send_text(c, over ? "1\r\nx\r\n" : "0\r\n\r\n");
        expect_in(c, over ? "HTTP/1.1 413 " : "HTTP/1.1 200 OK");
    }
    /* The limit itself passes. */
    c = wire_connect(&f.world);
    int head = snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n");
    memcpy(text + head, body, 1000);
    wire_send(c, text, (size_t)head + 1000, 400);
    expect_in(c, "|1000|xxx");
    close_all(&f);
}

static void closes_slow_clients(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    const struct http_server_options *o = &f.server->options;
    uint64_t second = 1000000000;
    struct env_stream *idle = wire_connect(&f.world);
    struct env_stream *slow_head = wire_connect(&f.world);
    struct env_stream *slow_body = wire_connect(&f.world);
    struct env_stream *slow_reader = wire_connect(&f.world);
    struct env_stream *waiting = wire_connect(&f.world);
    send_text(slow_head, "GET /");
    send_text(slow_body, "POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n");
    slow_reader->room = 100;
    send_text(slow_reader, "GET /big HTTP/1.1\r\n\r\n");
    send_text(waiting, "GET /wait HTTP/1.1\r\n\r\n");
    /* Bytes that trickle in do not keep a connection. */
    for (uint64_t t = 0; t < o->header_timeout_ns / second - 1; t++) {
        tiny_advance(&f.world.tiny, second);
        send_text(slow_head, "T");
        send_text(slow_body, "b");
    }
    assert_false(slow_head->closing);
    tiny_advance(&f.world.tiny, 3 * second);
    expect_in(slow_head, "HTTP/1.1 408 ");
    assert_string_equal(slow_body->received, "");
    tiny_advance(&f.world.tiny, o->body_timeout_ns - o->header_timeout_ns + 2 * second);
    expect_in(slow_body, "HTTP/1.1 408 ");
    tiny_advance(&f.world.tiny, 40 * second);
    assert_true(slow_head->closed && slow_body->closed && slow_reader->closed);
    assert_false(idle->closing);
    assert_false(waiting->closing); /* its deadline is the fiber's */
    expect_in(waiting, "DEADLINE:");
    tiny_advance(&f.world.tiny, o->idle_timeout_ns);
    assert_true(idle->closed);
    assert_int_equal(http_server_stats(f.server)->connections_timeouts, 5);
    close_all(&f);
}

static void lets_a_fast_enough_body_take_its_time(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    struct env_stream *c = wire_connect(&f.world);
    send_text(c, "POST / HTTP/1.1\r\nContent-Length: 4000000\r\n\r\n");
    static char piece[20000];
    memset(piece, 'x', sizeof(piece));
    for (int i = 0; i < 200; i++) { /* 20,000 bytes a second */
        wire_send(c, piece, sizeof(piece), SIZE_MAX);
        tiny_advance(&f.world.tiny, 1000000000);
    }
    expect_in(c, "|4000000|xxx");
    close_all(&f);
}

static void waits_for_a_slow_reader(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    struct env_stream *c = wire_connect(&f.world);
    c->room = 10;
    send_text(c, "GET /1 HTTP/1.1\r\n\r\n");
    send_text(c, "GET /2 HTTP/1.1\r\n\r\n");
    assert_int_equal(f.served, 1); /* nothing more before the answer has gone */
    assert_true(c->paused);
    wire_drain(c);
    assert_int_equal(f.served, 2);
    expect_in(c, "GET|/2|");
    assert_false(c->paused);
    close_all(&f);
}

static void bounds_connections(void **state)
{
    (void)state;
    struct fixture f;
    struct http_server_options options = test_options(&f);
    options.connections_max = 2;
    open_with(&f, &options, 4);
    struct env_stream *a = wire_connect(&f.world);
    struct env_stream *b = wire_connect(&f.world);
    struct env_stream *c = wire_connect(&f.world);
    send_text(c, SIMPLE);
    expect_in(c, "HTTP/1.1 503 ");
    expect_in(c, "\r\nConnection: close\r\n");
    expect_in(c, "com.amazon.coral.service#ServiceUnavailable");
    send_text(a, SIMPLE);
    send_text(b, SIMPLE);
    expect_in(a, "200 OK");
    expect_in(b, "200 OK");
    for (unsigned i = 0; i < HTTP_REFUSING_MAX + 10; i++)
        wire_connect(&f.world);
    tiny_settle(&f.world.tiny);
    assert_int_equal(http_server_stats(f.server)->connections, 2 + HTTP_REFUSING_MAX);
    assert_int_equal(http_server_stats(f.server)->connections_refused, HTTP_REFUSING_MAX + 11);
    close_all(&f);
}

static void bounds_fibers(void **state)
{
    (void)state;
    struct fixture f;
    struct http_server_options options = test_options(&f);
    open_with(&f, &options, 1);
    struct env_stream *a = wire_connect(&f.world);
    struct env_stream *b = wire_connect(&f.world);
    send_text(a, "GET /wait HTTP/1.1\r\n\r\n");
    wire_send(b, SIMPLE SIMPLE, 2 * strlen(SIMPLE), 40);
    assert_int_equal(count_of(b->received, "HTTP/1.1 503 Service Unavailable"), 2);
    assert_false(b->closing);
    wait_queue_wake_all(&f.gate);
    tiny_settle(&f.world.tiny);
    send_text(b, SIMPLE);
    expect_in(b, "200 OK");
    assert_int_equal(http_server_stats(f.server)->requests_refused, 2);
    close_all(&f);
}

static void bounds_held_bytes(void **state)
{
    (void)state;
    struct fixture f;
    struct http_server_options options = test_options(&f);
    f.budget.max_bytes = 180000;
    open_with(&f, &options, 4);
    static char text[60000];
    int head = snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nContent-Length: 50000\r\n\r\n");
    memset(text + head, 'x', sizeof(text) - (size_t)head);
    struct env_stream *a = wire_connect(&f.world);
    struct env_stream *b = wire_connect(&f.world);
    wire_send(a, text, 40000, SIZE_MAX);
    wire_send(b, text, 40000, SIZE_MAX);
    assert_true(f.budget.used_bytes >= 80000);
    wire_send(a, text + 40000, 1000, SIZE_MAX); /* its block doubles: too much */
    expect_in(a, "HTTP/1.1 503 ");
    wire_send(b, text + 40000, (size_t)head + 50000 - 40000, SIZE_MAX);
    expect_in(b, "200 OK");
    assert_int_equal(f.budget.used_bytes, 0);
    close_all(&f);
}

static void bounds_answers_that_wait(void **state)
{
    (void)state;
    struct fixture f;
    struct http_server_options options = test_options(&f);
    f.budget.max_bytes = 190000;
    open_with(&f, &options, 4);
    static char text[60000];
    int head = snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nContent-Length: 50000\r\n\r\n");
    memset(text + head, 'x', sizeof(text) - (size_t)head);
    struct env_stream *clients[4]; /* the answer has the body that was sent */
    for (size_t i = 0; i < ARRAY_COUNT(clients); i++) {
        clients[i] = wire_connect(&f.world);
        clients[i]->room = 300;
    }
    wire_send(clients[0], text, (size_t)head + 50000, SIZE_MAX);
    assert_in_range(f.budget.used_bytes, 50000 - 300, 52000);
    wire_send(clients[1], text, (size_t)head + 50000, SIZE_MAX); /* its answer does not fit */
    expect_in(clients[1], "HTTP/1.1 500 ");
    send_text(clients[2], SIMPLE); /* a small one does */
    expect_in(clients[2], "200 OK");
    memcpy(text, "POST /owed", 10); /* and one that may not be refused */
    head = snprintf(text, sizeof(text), "POST /owed HTTP/1.1\r\nContent-Length: 50000\r\n\r\n");
    text[head] = 'x';
    wire_send(clients[3], text, (size_t)head + 50000, SIZE_MAX);
    expect_in(clients[3], "200 OK");
    wire_drain(clients[3]);
    for (size_t i = 0; i < ARRAY_COUNT(clients); i++)
        wire_drain(clients[i]);
    assert_int_equal(f.budget.used_bytes, 0);
    wire_send(clients[1], text, (size_t)head + 50000, SIZE_MAX);
    expect_in(clients[1], "200 OK");
    close_all(&f);
}

/* Nothing is left: requests are refused before they are served, and so are those in pieces. */
static void refuses_when_the_budget_is_spent(void **state)
{
    (void)state;
    struct fixture f;
    struct http_server_options options = test_options(&f);
    open_with(&f, &options, 4);
    budget_owe(&f.budget, f.budget.max_bytes);
    struct env_stream *whole = wire_connect(&f.world);
    struct env_stream *pieces = wire_connect(&f.world);
    send_text(whole, SIMPLE);
    expect_in(whole, "HTTP/1.1 503 ");
    assert_false(whole->closing);
    send_text(pieces, "GET / HT");
    expect_in(pieces, "HTTP/1.1 503 ");
    assert_int_equal(f.served, 0);
    assert_int_equal(http_server_stats(f.server)->requests_refused, 2);
    budget_give(&f.budget, f.budget.max_bytes);
    send_text(whole, SIMPLE);
    expect_in(whole, "200 OK");
    close_all(&f);
}

/* What it costs to be connected: the promise of ten thousand idle clients. */
static void holds_little_at_rest(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    struct env_stream *c = wire_connect(&f.world);
    wire_send(c, SIMPLE, strlen(SIMPLE), 7);
    send_text(c, "GET /big HTTP/1.1\r\n\r\n");
    size_t before = f.world.tiny.heap.bytes_used;
    struct env_stream *d = wire_connect(&f.world);
    assert_true(f.world.tiny.heap.bytes_used - before < 512);
    wire_send(d, SIMPLE, strlen(SIMPLE), 7);
    send_text(d, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_true(f.world.tiny.heap.bytes_used - before < 512);
    close_all(&f);
}

static void drains(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    struct env_stream *idle = wire_connect(&f.world);
    struct env_stream *busy = wire_connect(&f.world);
    struct env_stream *half = wire_connect(&f.world);
    send_text(busy, "GET /wait HTTP/1.1\r\n\r\n");
    send_text(half, "GET /half HTTP/1.1\r\n");
    http_server_drain(f.server, on_drained, &f);
    tiny_settle(&f.world.tiny);
    assert_null(f.world.listener);
    assert_true(idle->closed);
    assert_false(busy->closing || half->closing || f.drained);
    send_text(half, "\r\n");
    expect_in(half, "GET|/half|");
    expect_in(half, "\r\nConnection: close\r\n");
    wait_queue_wake_all(&f.gate);
    tiny_settle(&f.world.tiny);
    expect_in(busy, "OK:GET|/wait|");
    expect_in(busy, "\r\nConnection: close\r\n");
    assert_true(busy->closed && half->closed && f.drained);
    http_server_close(f.server);
    fiber_pool_close(&f.world.tiny.env);
    assert_int_equal(f.world.tiny.heap.bytes_used, 0);
    wire_free_streams(&f.world);
}

static void drains_in_bounded_time(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    send_text(wire_connect(&f.world), "GET /wait HTTP/1.1\r\n\r\n");
    send_text(wire_connect(&f.world), "GET /half HTTP/1.1\r\n");
    close_all(&f); /* asserts that it drains, though neither client does anything */
}

/* Whatever allocation fails, the client gets an answer or a closed connection, and all is freed. */
static void survives_each_failed_allocation(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 60; n++) {
        for (size_t piece = 30; piece <= 10000; piece += 9970) {
            struct fixture f;
            open_default(&f);
            f.world.tiny.heap.fail_after = n;
            struct env_stream *c = wire_connect(&f.world);
            static const char text[] =
                SIMPLE "GET /big HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n"
                       "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "6\r\nabcdef\r\n0\r\n\r\n";
            wire_send(c, text, strlen(text), piece);
            f.world.tiny.heap.fail_after = 0;
            assert_true(c->closing || count_of(c->received, "Content-Length") > 0);
            close_all(&f);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_requests_of_one_turn),
        cmocka_unit_test(keeps_no_more_of_a_pipeline_than_is_not_served),
        cmocka_unit_test(bounds_the_head),
        cmocka_unit_test(bounds_the_body),
        cmocka_unit_test(closes_slow_clients),
        cmocka_unit_test(lets_a_fast_enough_body_take_its_time),
        cmocka_unit_test(waits_for_a_slow_reader),
        cmocka_unit_test(bounds_connections),
        cmocka_unit_test(bounds_fibers),
        cmocka_unit_test(bounds_held_bytes),
        cmocka_unit_test(bounds_answers_that_wait),
        cmocka_unit_test(refuses_when_the_budget_is_spent),
        cmocka_unit_test(holds_little_at_rest),
        cmocka_unit_test(drains),
        cmocka_unit_test(drains_in_bounded_time),
        cmocka_unit_test(survives_each_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
