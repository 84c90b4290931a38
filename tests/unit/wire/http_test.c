/* The HTTP server: what it takes for a request, and how it answers. */
#include "unit/cmocka_headers.h"

#include <stdio.h>

#include <libdeflate.h>

#include "unit/wire/http_fixture.h"

static void answers_a_request(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    assert_int_equal(http_server_port(f.server), 8123);
    struct env_stream *c = wire_connect(&f.world);
    send_text(c, SIMPLE);
    expect_in(c, "HTTP/1.1 200 OK\r\n");
    expect_in(c, "\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n");
    expect_in(c, "\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: 19\r\n");
    expect_in(c, "\r\n\r\nPOST|/||3|T.Op|2|{}");
    expect_not_in(c, "Connection:");
    const char *id = strstr(c->received, "x-amzn-RequestId: ");
    assert_non_null(id);
    assert_int_equal(strspn(id + 18, "0123456789ABCDEFGHIJKLMNOPQRSTUV"), 52);
    assert_int_equal(f.served, 1);
    close_all(&f);
}

static void checks_body_by_crc(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    struct env_stream *c = wire_connect(&f.world);
    send_text(c, SIMPLE);
    const char *body = strstr(c->received, "\r\n\r\n") + 4;
    unsigned crc = 0;
    assert_int_equal(sscanf(strstr(c->received, "x-amz-crc32: "), "x-amz-crc32: %u", &crc), 1);
    assert_int_equal(crc, libdeflate_crc32(0, body, strlen(body)));
    close_all(&f);
}

static void keeps_the_connection(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    struct env_stream *c = wire_connect(&f.world);
    for (int i = 0; i < 3; i++) {
        wire_look_away(c);
        send_text(c, SIMPLE);
        expect_in(c, "POST|/|");
    }
    assert_false(c->closing);
    wire_look_away(c);
    send_text(c, "GET /x?a=b&c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    expect_in(c, "GET|/x|a=b&c|2||0|");
    expect_in(c, "\r\nConnection: close\r\n");
    assert_true(c->closed);
    close_all(&f);
}

static void speaks_http_1_0(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    struct env_stream *c = wire_connect(&f.world);
    send_text(c, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    expect_in(c, "\r\nConnection: keep-alive\r\n");
    assert_false(c->closing);
    wire_look_away(c);
    send_text(c, "GET / HTTP/1.0\r\n\r\n");
    expect_in(c, "\r\nConnection: close\r\n");
    assert_true(c->closed);
    close_all(&f);
}

/* The table by length knows every name; near misses are other fields. */
static void knows_each_header_by_name(void **state)
{
    (void)state;
    static const char *const names[] = {
#define NAME(name, text) text,
        HTTP_HEADER_MAP(NAME)
#undef NAME
    };
    struct heap heap;
    heap_init(&heap, false);
    struct http_server_options limits = http_server_options_default();
    for (unsigned id = 0; id < HTTP_HEADER_COUNT; id++) {
        for (int change = 0; change < 3; change++) {
            char name[40], text[100];
            strcpy(name, names[id]);
            if (change == 1)
                for (char *at = name; *at != '\0'; at++)
                    *at = (char)(*at >= 'a' && *at <= 'z' && (at - name) % 2 == 0 ? *at - 32 : *at);
            if (change == 2)
                name[strlen(name) / 2] = '9';
            bool number = id == HTTP_HEADER_EXPECT;
            snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s: %s\r\n\r\n", name,
                     number ? "100-Continue" : "v");
            struct http_parse parse;
            struct http_header header;
            struct http_request request;
            http_parse_init(&parse, &heap, &limits);
            assert_int_equal(http_parse_run(&parse, bytes_of_text(text)), HTTP_PARSE_DONE);
            http_parse_fill(&parse, (const uint8_t *)text, &header, &request);
            assert_int_equal(header.id, change == 2 ? HTTP_HEADER_OTHER : id);
            assert_int_equal(request.known[id].at != NULL, change != 2);
        }
    }
}

/* Each split of a stream of requests gives the same answers as the whole. */
static void takes_any_split(void **state)
{
    (void)state;
    static const char requests[] =
        "\r\nPOST /a HTTP/1.1\r\nHost: h\r\nX-Amz-Target:  T.A \t\r\nContent-Length: 5\r\n\r\nhello"
        "GET /b?q HTTP/1.1\r\nHost: h\r\nEmpty:\r\n\r\n"
        "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        "3;ext=1\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: t\r\n\r\n"
        "POST /d HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nZ";
    size_t count = sizeof(requests) - 1;
    for (size_t piece = 1; piece <= count; piece++) {
        for (size_t first = 0; first < (piece == count ? count : 1); first++) {
            struct fixture f;
            open_default(&f);
            struct env_stream *c = wire_connect(&f.world);
            wire_send(c, requests, first, SIZE_MAX);
            wire_send(c, requests + first, count - first, piece);
            assert_int_equal(count_of(c->received, "HTTP/1.1 200 OK"), 4);
            const char *a = strstr(c->received, "POST|/a||3|T.A|5|hello");
            const char *b = strstr(c->received, "GET|/b|q|2||0|");
            const char *d = strstr(c->received, "POST|/c||2||19|abc0123456789abcdef");
            const char *e = strstr(c->received, "POST|/d||2||1|Z");
            assert_true(a != NULL && a < b && b < d && d < e);
            assert_int_equal(f.budget.used_bytes, 0);
            close_all(&f);
        }
    }
}

static void answers_pipelined_requests_in_order(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    struct env_stream *c = wire_connect(&f.world);
    char text[8192] = "";
    for (int i = 0; i < 50; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text),
                 "GET /%s%d HTTP/1.1\r\nHost: h\r\n\r\n", i == 7 ? "wait?" : "", i);
    wire_push(c, text, strlen(text));
    assert_int_equal(count_of(c->received, "200 OK"), 7); /* the eighth waits */
    wire_push(c, "GET /last HTTP/1.1\r\n\r\n", 22);
    assert_true(c->paused);
    wait_queue_wake_all(&f.gate);
    tiny_settle(&f.world.tiny);
    assert_false(c->paused);
    assert_int_equal(count_of(c->received, "200 OK"), 51);
    const char *at = c->received;
    for (int i = 0; i < 50; i++) {
        char expected[40];
        if (i == 7)
            snprintf(expected, sizeof(expected), "OK:GET|/wait|7|");
        else
            snprintf(expected, sizeof(expected), "GET|/%d|", i);
        at = strstr(at, expected);
        assert_non_null(at);
    }
    assert_non_null(strstr(at, "GET|/last|"));
    close_all(&f);
}

static void answers_after_the_client_has_finished(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    struct env_stream *c = wire_connect(&f.world);
    send_text(c, "GET /wait HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /cut");
    wire_finish(c);
    assert_false(c->closing);
    wait_queue_wake_all(&f.gate);
    tiny_settle(&f.world.tiny);
    expect_in(c, "OK:GET|/wait|");
    expect_in(c, "GET|/b|");
    assert_true(c->closed);
    close_all(&f);
}

/* Half a request that comes between an answer and the turn in which the rest would be looked at. */
static void takes_half_a_request_before_it_goes_on(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    struct env_stream *c = wire_connect(&f.world);
    c->room = 10;
    wire_push(c, "GET /1 HTTP/1.1\r\n\r\nGET /2", 25);
    c->room = SIZE_MAX;
    c->queued_count = 0;
    c->events->on_drain(c->owner);
    wire_push(c, " HTTP/1.1\r\n", 11);
    tiny_settle(&f.world.tiny);
    send_text(c, "\r\n");
    expect_in(c, "GET|/2|");
    close_all(&f);
}

static void survives_a_connection_that_breaks_while_serving(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    struct env_stream *c = wire_connect(&f.world);
    send_text(c, "GET /wait HTTP/1.1\r\n\r\n");
    c->events->on_end(c->owner, STATUS_IO);
    tiny_settle(&f.world.tiny);
    assert_true(c->closed);
    assert_true(wait_queue_empty(&f.gate));
    assert_int_equal(f.last_wait, STATUS_CANCELLED);
    assert_int_equal(http_server_stats(f.server)->requests_cancelled, 1);
    assert_int_equal(http_server_stats(f.server)->connections, 0);
    assert_int_equal(http_server_stats(f.server)->in_flight, 0);
    assert_string_equal(c->received, "");
    close_all(&f);
}

/* A request that was woken already is not interrupted; its answer goes nowhere. */
static void survives_a_connection_that_breaks_after_the_wait(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    struct env_stream *c = wire_connect(&f.world);
    wire_push(c, "GET /wait HTTP/1.1\r\n\r\n", 23);
    wait_queue_wake_all(&f.gate);
    c->events->on_end(c->owner, STATUS_IO);
    tiny_settle(&f.world.tiny);
    assert_true(c->closed);
    assert_int_equal(f.last_wait, STATUS_OK);
    assert_int_equal(http_server_stats(f.server)->connections, 0);
    assert_string_equal(c->received, "");
    close_all(&f);
}

/* Who closes the sending half alone gets an answer that comes within two seconds. */
static void a_half_closed_client_is_waited_for(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    struct env_stream *soon = wire_connect(&f.world), *late = wire_connect(&f.world);
    send_text(soon, "GET /wait HTTP/1.1\r\n\r\n");
    soon->events->on_end(soon->owner, STATUS_END);
    tiny_advance(&f.world.tiny, UINT64_C(1000000000));
    assert_int_equal(http_server_stats(f.server)->requests_cancelled, 0);
    wait_queue_wake_all(&f.gate);
    tiny_settle(&f.world.tiny);
    expect_in(soon, "OK:");
    assert_true(soon->closed);
    send_text(late, "GET /wait HTTP/1.1\r\n\r\nGET /wait HTTP/1.1\r\n\r\n");
    late->events->on_end(late->owner, STATUS_END);
    tiny_advance(&f.world.tiny, UINT64_C(4000000000));
    assert_int_equal(f.last_wait, STATUS_CANCELLED);
    assert_int_equal(http_server_stats(f.server)->requests_cancelled, 1);
    tiny_advance(&f.world.tiny, UINT64_C(4000000000)); /* the second one, likewise */
    assert_int_equal(http_server_stats(f.server)->requests_cancelled, 2);
    assert_true(late->closed);
    close_all(&f);
}

static void says_continue(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    struct env_stream *c = wire_connect(&f.world);
    send_text(c, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_string_equal(c->received, "HTTP/1.1 100 Continue\r\n\r\n");
    send_text(c, "a");
    send_text(c, "bc");
    assert_int_equal(count_of(c->received, "100 Continue"), 1);
    expect_in(c, "|3|abc");
    wire_look_away(c);
    send_text(c, "POST / HTTP/1.1\r\nExpect: 200-ok\r\nContent-Length: 3\r\n\r\n");
    expect_in(c, "HTTP/1.1 417 ");
    close_all(&f);
}

static void refuses_malformed_requests(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "NONSENSE / HTTP/1.1\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/1.1\r\nNo colon\r\n\r\n",
        "GET / HTTP/1.1\r\nBad name: x\r\n\r\n",
        "GET / HTTP/1.1\r\n: x\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "POST / HTTP/1.1\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello on a plain port",
    };
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        for (size_t piece = 1; piece < 200; piece += 99) {
            struct fixture f;
            open_default(&f);
            struct env_stream *c = wire_connect(&f.world);
            wire_send(c, bad[i], strlen(bad[i]), piece);
            if (strncmp(c->received, "HTTP/1.1 400 Bad Request\r\n", 26) != 0)
                fail_msg("request %zu was answered: %s", i, c->received);
            expect_in(c, "MalformedHttpRequestException");
            assert_int_equal(f.served, 0);
            assert_int_equal(http_server_stats(f.server)->requests_malformed, 1);
            assert_int_equal(f.budget.used_bytes, 0);
            close_all(&f);
        }
    }
}

static size_t compress_for_test(const char *format, const void *in, size_t in_count, void *out,
                                size_t room)
{
    struct libdeflate_compressor *compressor = libdeflate_alloc_compressor(6);
    size_t count = strcmp(format, "gzip") == 0
                       ? libdeflate_gzip_compress(compressor, in, in_count, out, room)
                   : strcmp(format, "zlib") == 0
                       ? libdeflate_zlib_compress(compressor, in, in_count, out, room)
                       : libdeflate_deflate_compress(compressor, in, in_count, out, room);
    libdeflate_free_compressor(compressor);
    assert_true(count > 0);
    return count;
}

static void send_encoded(struct env_stream *c, const char *coding, const void *body, size_t count,
                         size_t piece)
{
    char head[200];
    snprintf(head, sizeof(head),
             "POST / HTTP/1.1\r\nContent-Encoding: %s\r\nContent-Length: %zu\r\n\r\n", coding,
             count);
    char *text = malloc(strlen(head) + count);
    memcpy(text, head, strlen(head));
    memcpy(text + strlen(head), body, count);
    wire_send(c, text, strlen(head) + count, piece);
    free(text);
}

static void decompresses_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *format, *coding;
    } cases[] = {{"gzip", "gzip"}, {"gzip", "x-gzip"}, {"zlib", "deflate"}, {"bare", "Deflate"}};
    struct fixture f;
    open_default(&f);
    struct env_stream *empty = wire_connect(&f.world);
    send_encoded(empty, "gzip", "", 0, SIZE_MAX); /* nothing is nothing in any coding */
    expect_in(empty, "POST|/||2||0|");
    static char plain[300000];
    static char packed[300000];
    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (char)('a' + i * i % 23);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (size_t count = 0; count <= sizeof(plain); count = count * 7 + 3) {
            size_t packed_count =
                compress_for_test(cases[i].format, plain, count, packed, sizeof(packed));
            struct env_stream *c = wire_connect(&f.world);
            send_encoded(c, cases[i].coding, packed, packed_count, 5000);
            char expected[64];
            int head = snprintf(expected, sizeof(expected), "POST|/||2||%zu|", packed_count);
            const char *at = strstr(c->received, expected);
            assert_non_null(at);
            assert_int_equal(strlen(at), (size_t)head + count);
            assert_memory_equal(at + head, plain, count);
        }
    }
    close_all(&f);
}

static void refuses_bombs_and_damage(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    size_t big = (16u << 20) + 1;
    char *zeros = calloc(1, big);
    char *packed = malloc(100000);
    static const char *const formats[] = {"gzip", "zlib", "bare"};
    for (size_t i = 0; i < ARRAY_COUNT(formats); i++) {
        const char *coding = i == 0 ? "gzip" : "deflate";
        size_t count = compress_for_test(formats[i], zeros, big, packed, 100000);
        struct env_stream *c = wire_connect(&f.world);
        send_encoded(c, coding, packed, count, SIZE_MAX);
        expect_in(c, "HTTP/1.1 413 ");
        assert_false(c->closing); /* all of it was read: the connection lives */
        if (i == 0) {
            /* A trailer that says less than there is. */
            memcpy(packed + count - 4, "\x10\0\0\0", 4);
            wire_look_away(c);
            send_encoded(c, coding, packed, count, SIZE_MAX);
            expect_in(c, "HTTP/1.1 400 ");
        }
        /* Cut short; followed by something; a flipped bit. */
        count = compress_for_test(formats[i], "some text, some text", 20, packed, 100000);
        wire_look_away(c);
        send_encoded(c, coding, packed, count - 1, SIZE_MAX);
        expect_in(c, "HTTP/1.1 4"); /* gzip ends with a length: 413 is as right */
        wire_look_away(c);
        packed[count] = 'x';
        send_encoded(c, coding, packed, count + 1, SIZE_MAX);
        expect_in(c, "HTTP/1.1 4");
    }
    assert_int_equal(f.served, 0);
    assert_int_equal(f.budget.used_bytes, 0);
    free(zeros);
    free(packed);
    close_all(&f);
}

static void compresses_large_answers(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    static const struct {
        const char *accept;
        bool compressed;
    } cases[] = {{"gzip", true},           {"deflate, gzip;q=0.5", true},
                 {"br;q=1.0, GZIP", true}, {"gzip;q=0", false},
                 {"gzip; q=0.000", false}, {"deflate", false},
                 {"identity", false},      {"", false}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct env_stream *c = wire_connect(&f.world);
        char text[200];
        snprintf(text, sizeof(text), "GET /big HTTP/1.1\r\nAccept-Encoding: %s\r\n\r\n",
                 cases[i].accept);
        send_text(c, text);
        const char *body = strstr(c->received, "\r\n\r\n") + 4;
        size_t count = c->received_count - (size_t)(body - c->received);
        size_t length = 0;
        unsigned crc = 0;
        sscanf(strstr(c->received, "Content-Length: "), "Content-Length: %zu", &length);
        sscanf(strstr(c->received, "x-amz-crc32: "), "x-amz-crc32: %u", &crc);
        assert_int_equal(length, count);
        assert_int_equal(crc, libdeflate_crc32(0, body, count)); /* of the bytes as sent */
        if (!cases[i].compressed) {
            expect_not_in(c, "Content-Encoding");
            assert_memory_equal(body, "line 0;line 1;", 14);
            continue;
        }
        expect_in(c, "\r\nContent-Encoding: gzip\r\n");
        struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
        char *plain = malloc(1 << 20);
        size_t plain_count = 0;
        assert_int_equal(libdeflate_gzip_decompress(d, body, count, plain, 1 << 20, &plain_count),
                         0);
        assert_memory_equal(plain, "line 0;line 1;", 14);
        free(plain);
        libdeflate_free_decompressor(d);
    }
    /* A small one is not worth it. */
    struct env_stream *c = wire_connect(&f.world);
    send_text(c, "GET /small HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n");
    expect_not_in(c, "Content-Encoding");
    close_all(&f);
}

static void answers_cors(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    struct env_stream *c = wire_connect(&f.world);
    send_text(c, "OPTIONS / HTTP/1.1\r\nOrigin: http://x\r\nAccess-Control-Request-Method: POST\r\n"
                 "Access-Control-Request-Headers: x-amz-target,authorization\r\n\r\n");
    expect_in(c, "HTTP/1.1 200 OK");
    expect_in(c, "\r\nAccess-Control-Allow-Origin: *\r\n");
    expect_in(c, "\r\nAccess-Control-Allow-Headers: x-amz-target,authorization\r\n");
    expect_in(c, "\r\nAccess-Control-Allow-Methods: POST,GET\r\n");
    expect_in(c, "\r\nContent-Length: 0\r\n");
    assert_int_equal(f.served, 0);
    wire_look_away(c);
    send_text(c, "GET / HTTP/1.1\r\nOrigin: http://x\r\n\r\n");
    expect_in(c, "\r\nAccess-Control-Allow-Origin: *\r\n");
    expect_in(c, "\r\nAccess-Control-Expose-Headers: x-amzn-RequestId,");
    close_all(&f);
}

static void frames_what_the_handler_says(void **state)
{
    (void)state;
    struct fixture f;
    open_default(&f);
    struct env_stream *c = wire_connect(&f.world);
    send_text(c, "HEAD /text HTTP/1.1\r\n\r\n");
    expect_in(c, "\r\nContent-Type: text/plain\r\n");
    expect_in(c, "\r\nContent-Length: 17\r\n");
    assert_string_equal(strstr(c->received, "\r\n\r\n"), "\r\n\r\n");
    wire_look_away(c);
    send_text(c, "GET http://host:80/missing?q=1 HTTP/1.1\r\n\r\n");
    expect_in(c, "HTTP/1.1 404 Not Found\r\n");
    expect_in(c, "GET|/missing|q=1|");
    wire_look_away(c);
    send_text(c, "GET /huge HTTP/1.1\r\n\r\n"); /* more than response_bytes_max */
    expect_in(c, "HTTP/1.1 500 Internal Server Error\r\n");
    expect_in(c, "InternalFailure");
    wire_look_away(c);
    send_text(c, "GET /close HTTP/1.1\r\n\r\n");
    expect_in(c, "\r\nConnection: close\r\n");
    assert_true(c->closed);
    close_all(&f);
}

static void says_why_it_cannot_open(void **state)
{
    (void)state;
    struct fixture f;
    struct http_server_options options = test_options(&f);
    options.port = 1;
    wire_open(&f.world);
    struct http_server *server = NULL;
    assert_int_equal(http_server_open(&f.world.tiny.env, &options, &server), STATUS_EXISTS);
    assert_null(server);
    assert_int_equal(f.world.tiny.heap.bytes_used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_a_request),
        cmocka_unit_test(checks_body_by_crc),
        cmocka_unit_test(keeps_the_connection),
        cmocka_unit_test(speaks_http_1_0),
        cmocka_unit_test(knows_each_header_by_name),
        cmocka_unit_test(takes_any_split),
        cmocka_unit_test(answers_pipelined_requests_in_order),
        cmocka_unit_test(answers_after_the_client_has_finished),
        cmocka_unit_test(takes_half_a_request_before_it_goes_on),
        cmocka_unit_test(survives_a_connection_that_breaks_while_serving),
        cmocka_unit_test(survives_a_connection_that_breaks_after_the_wait),
        cmocka_unit_test(a_half_closed_client_is_waited_for),
        cmocka_unit_test(says_continue),
        cmocka_unit_test(refuses_malformed_requests),
        cmocka_unit_test(decompresses_bodies),
        cmocka_unit_test(refuses_bombs_and_damage),
        cmocka_unit_test(compresses_large_answers),
        cmocka_unit_test(answers_cors),
        cmocka_unit_test(frames_what_the_handler_says),
        cmocka_unit_test(says_why_it_cannot_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
