#include "sim/workload/http_client.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "sim/workload/json.h"

#define ANSWER_BYTES_MAX ((size_t)64 << 20)
#define HEAD_BYTES_MAX   16384u

/* The server accepts any key here; the form must be right all the same. */
#define AUTHORIZATION                                                                              \
    "Authorization: AWS4-HMAC-SHA256 Credential=SIM/20260101/us-east-1/dynamodb/aws4_request, "    \
    "SignedHeaders=host;x-amz-date;x-amz-target, "                                                 \
    "Signature=0000000000000000000000000000000000000000000000000000000000000000\r\n"

struct http_connection {
    struct http_client *client; /* NULL once it let go */
    struct env_stream *stream;
    struct heap *heap;
    struct buffer in;
};

static void answer(struct http_client *client, const struct http_answer *what)
{
    client->busy = false;
    sim_cancel(client->sim, &client->timeout);
    client->on_answer(client, what);
}

/* ---- The checksum of an answer: CRC-32 of IEEE 802.3, bit by bit as it is defined ---- */

static uint32_t crc32(struct bytes bytes)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes.count; i++) {
        crc ^= bytes.at[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (UINT32_C(0xEDB88320) & (0 - (crc & 1)));
    }
    return ~crc;
}

/* ---- Reading an answer ---- */

static bool same_name(struct bytes a, const char *name)
{
    for (size_t i = 0; i < a.count; i++) {
        char c = (char)a.at[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if (name[i] == '\0' || c != name[i])
            return false;
    }
    return name[a.count] == '\0';
}

struct head {
    uint32_t status;
    bool has_length, has_crc, close;
    uint64_t length, crc;
    size_t bytes; /* of the head, with its empty line */
};

static struct bytes take_line(struct bytes *left)
{
    const uint8_t *end = left->count > 1 ? memmem(left->at, left->count, "\r\n", 2) : NULL;
    ASSERT(end != NULL); /* the head is complete */
    struct bytes line = bytes_of(left->at, (size_t)(end - left->at));
    *left = bytes_after(*left, line.count + 2);
    return line;
}

static void read_header(struct head *head, struct bytes line)
{
    const uint8_t *colon = memchr(line.at, ':', line.count);
    if (colon == NULL)
        return;
    struct bytes name = bytes_of(line.at, (size_t)(colon - line.at));
    struct bytes value = bytes_after(line, name.count + 1);
    while (value.count > 0 && value.at[0] == ' ')
        value = bytes_after(value, 1);
    if (same_name(name, "content-length")) {
        head->has_length = true;
        head->length = json_u64(value);
    } else if (same_name(name, "x-amz-crc32")) {
        head->has_crc = true;
        head->crc = json_u64(value);
    } else if (same_name(name, "connection")) {
        head->close = same_name(value, "close");
    }
}

/* false: more bytes are needed.  *why is set when it is no answer. */
static bool read_head(struct bytes in, struct head *head, const char **why)
{
    const uint8_t *end = in.count > 0 ? memmem(in.at, in.count, "\r\n\r\n", 4) : NULL;
    if (end == NULL) {
        if (in.count > HEAD_BYTES_MAX)
            *why = "the head of an answer does not end";
        return false;
    }
    *head = (struct head){.bytes = (size_t)(end - in.at) + 4};
    struct bytes left = bytes_of(in.at, head->bytes - 2);
    struct bytes line = take_line(&left);
    if (line.count < 12 || !bytes_start_with(line, BYTES("HTTP/1.1 "))) {
        *why = "no status line of HTTP/1.1";
        return false;
    }
    head->status = (uint32_t)json_u64(bytes_of(line.at + 9, 3));
    while (left.count > 0)
        read_header(head, take_line(&left));
    if (!head->has_length && head->status != 100)
        *why = "an answer without Content-Length";
    return *why == NULL;
}

static void let_go(struct http_connection *connection)
{
    if (connection->client != NULL)
        connection->client->connection = NULL;
    connection->client = NULL;
}

static void connection_close(struct http_connection *connection)
{
    let_go(connection);
    sim_client_close(connection->stream);
}

static void broken(struct http_connection *connection, const char *why)
{
    struct http_client *client = connection->client;
    struct http_answer what = {.outcome = HTTP_BROKEN, .text = why};
    connection_close(connection);
    if (client->busy)
        answer(client, &what);
}

static void whole_answer(struct http_connection *connection, const struct head *head)
{
    struct http_client *client = connection->client;
    struct bytes body = bytes_of(connection->in.at + head->bytes, (size_t)head->length);
    if (head->has_crc && head->crc != crc32(body)) {
        broken(connection, "x-amz-crc32 does not fit the body");
        return;
    }
    struct http_answer what = {.outcome = HTTP_ANSWERED, .status = head->status, .body = body};
    struct buffer in = connection->in; /* the callee may send, or close the connection */
    buffer_init(&connection->in, connection->heap, ANSWER_BYTES_MAX);
    if (head->close)
        connection_close(connection);
    answer(client, &what);
    buffer_release(&in);
}

static void on_read(void *owner, struct bytes bytes)
{
    struct http_connection *connection = owner;
    if (connection->client == NULL)
        return;
    buffer_append_bytes(&connection->in, bytes);
    ASSERT(!connection->in.failed);
    struct head head;
    const char *why = NULL;
    while (read_head(buffer_bytes(&connection->in), &head, &why) && head.status == 100) {
        size_t left = connection->in.count - head.bytes;
        memmove(connection->in.at, connection->in.at + head.bytes, left);
        connection->in.count = left;
    }
    if (why == NULL && connection->in.count > 0 && !connection->client->busy)
        why = "bytes that nobody asked for";
    if (why != NULL) {
        broken(connection, why);
        return;
    }
    struct bytes in = buffer_bytes(&connection->in);
    if (!read_head(in, &head, &why) || in.count < head.bytes + head.length)
        return;
    if (in.count > head.bytes + head.length)
        broken(connection, "bytes behind an answer");
    else
        whole_answer(connection, &head);
}

static void on_end(void *owner, enum status status)
{
    struct http_connection *connection = owner;
    struct http_client *client = connection->client;
    (void)status;
    if (client == NULL)
        return;
    connection_close(connection);
    if (client->busy) {
        struct http_answer what = {.outcome = HTTP_LOST};
        answer(client, &what);
    }
}

static void on_drain(void *owner)
{
    (void)owner;
}

static void on_closed(void *owner)
{
    struct http_connection *connection = owner;
    buffer_release(&connection->in);
    heap_free(connection->heap, connection, sizeof(*connection));
}

static const struct env_stream_events stream_events = {on_read, on_end, on_drain, on_closed};

static void on_timeout(struct sim_event *event)
{
    struct http_client *client = CONTAINER_OF(event, struct http_client, timeout);
    struct http_connection *connection = client->connection;
    if (connection != NULL && prng_one_in(sim_prng(client->sim), 2)) {
        let_go(connection);
        sim_client_reset(connection->stream);
    } else if (connection != NULL) {
        connection_close(connection);
    }
    struct http_answer what = {.outcome = HTTP_LOST};
    answer(client, &what);
}

/* ---- Sending ---- */

void http_client_init(struct http_client *client, struct sim *sim, struct heap *heap,
                      struct sim_node *node, uint16_t port, uint64_t timeout_ns,
                      void (*on_answer)(struct http_client *, const struct http_answer *))
{
    *client = (struct http_client){
        .sim = sim,
        .heap = heap,
        .node = node,
        .port = port,
        .timeout_ns = timeout_ns,
        .on_answer = on_answer,
        .timeout.run = on_timeout,
    };
}

static void connect_now(struct http_client *client)
{
    struct http_connection *connection = heap_alloc_zero(client->heap, sizeof(*connection));
    ASSERT(connection != NULL);
    connection->client = client;
    connection->heap = client->heap;
    buffer_init(&connection->in, client->heap, ANSWER_BYTES_MAX);
    connection->stream =
        sim_connect(client->sim, client->node, client->port, &stream_events, connection);
    client->connection = connection;
}

static void append_chunks(struct buffer *out, struct bytes body, struct prng *prng)
{
    while (body.count > 0) {
        size_t count = 1 + (size_t)prng_below(prng, body.count);
        buffer_append_format(out, "%zx\r\n", count);
        buffer_append(out, body.at, count);
        buffer_append_bytes(out, BYTES("\r\n"));
        body = bytes_after(body, count);
    }
    buffer_append_bytes(out, BYTES("0\r\n\r\n"));
}

void http_client_post(struct http_client *client, const char *target, struct bytes body)
{
    ASSERT(!client->busy);
    struct prng *prng = sim_prng(client->sim);
    if (client->connection == NULL)
        connect_now(client);
    struct buffer out;
    buffer_init(&out, client->heap, ANSWER_BYTES_MAX);
    bool chunked = prng_one_in(prng, 8), lower = prng_one_in(prng, 2);
    buffer_append_format(&out,
                         "POST / HTTP/1.1\r\n%s: localhost:%u\r\n%s: %s%s\r\n"
                         "Content-Type: application/x-amz-json-1.0\r\n"
                         "X-Amz-Date: 20260101T000000Z\r\n" AUTHORIZATION,
                         lower ? "host" : "Host", client->port,
                         lower ? "x-amz-target" : "X-Amz-Target",
                         strchr(target, '.') == NULL ? "DynamoDB_20120810." : "", target);
    if (chunked) {
        buffer_append_bytes(&out, BYTES("Transfer-Encoding: chunked\r\n\r\n"));
        append_chunks(&out, body, prng);
    } else {
        buffer_append_format(&out, "Content-Length: %zu\r\n\r\n", body.count);
        buffer_append_bytes(&out, body);
    }
    ASSERT(!out.failed);
    sim_client_write(client->connection->stream, buffer_bytes(&out));
    buffer_release(&out);
    client->busy = true;
    uint64_t wait_ns = client->timeout_ns;
    if (client->patience_ns > 0 && prng_one_in(prng, 32))
        wait_ns = 1 + prng_below(prng, client->patience_ns);
    sim_schedule(client->sim, &client->timeout, wait_ns);
}

void http_client_close(struct http_client *client)
{
    client->busy = false;
    sim_cancel(client->sim, &client->timeout);
    if (client->connection != NULL)
        connection_close(client->connection);
}
