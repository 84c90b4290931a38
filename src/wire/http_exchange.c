/* http_exchange.c - one request and its answer, on a fiber of its own. */
#include <libdeflate.h>

#include "base/assert.h"
#include "wire/gzip.h"
#include "wire/http_private.h"

/* One request and its answer; lives on the stack of its fiber. */
struct exchange {
    struct http_server *server;
    struct http_request request;
    struct http_response response;
    bool keep_alive_1_0;
    struct buffer block;       /* the request, when it came in pieces */
    struct buffer chunks;      /* its body, when it was chunked */
    struct gzip_block decoded; /* its body, when it was compressed */
    struct gzip_block encoded; /* of the answer */
    size_t drawn_bytes;        /* from the budget, for these two */
};

uint32_t http_crc32(struct bytes bytes)
{
    return bytes.count > 0 ? libdeflate_crc32(0, bytes.at, bytes.count) : 0;
}

/* ---- The request ---- */

/* Take over what the connection gathered, with what it has drawn from the budget. */
static void take_over(struct buffer *from, struct buffer *to)
{
    *to = *from;
    buffer_init(from, to->heap, to->bytes_max);
    from->budget = to->budget;
}

/* Before the first wait: the bytes of the request into memory of this fiber. */
static enum status take_request(struct context *ctx, struct exchange *x,
                                const struct http_incoming *incoming)
{
    struct http_parse *parse = incoming->parse;
    const uint8_t *base;
    if (incoming->block != NULL) {
        take_over(incoming->block, &x->block);
        base = x->block.at;
    } else {
        size_t count = parse->chunked ? parse->head_bytes : incoming->bytes.count;
        base = arena_copy(&ctx->arena, bytes_of(incoming->bytes.at, count)).at;
        if (base == NULL)
            return STATUS_NO_MEMORY;
    }
    if (parse->chunked)
        take_over(&parse->chunks, &x->chunks);
    struct http_header *headers =
        arena_alloc_array(&ctx->arena, MAX(parse->header_count, 1u), sizeof(struct http_header));
    if (headers == NULL)
        return STATUS_NO_MEMORY;
    http_parse_fill(parse, base, headers, &x->request);
    x->request.raw_body = parse->chunked ? buffer_bytes(&x->chunks)
                                         : bytes_of(base + parse->body.at, parse->body.count);
    x->request.body = x->request.raw_body;
    x->request.received_ns = incoming->received_ns;
    x->keep_alive_1_0 = parse->keep_alive && x->request.minor_version == 0;
    return STATUS_OK;
}

/* STATUS_INVALID: a coding that is not known, or damaged content. */
static enum status decode_body(struct context *ctx, struct exchange *x)
{
    struct bytes coding = x->request.known[HTTP_HEADER_CONTENT_ENCODING];
    enum gzip_format format;
    if (coding.count == 0 || http_name_equal(coding, BYTES("identity")) ||
        x->request.raw_body.count == 0)
        return STATUS_OK;
    if (http_name_equal(coding, BYTES("gzip")) || http_name_equal(coding, BYTES("x-gzip")))
        format = GZIP_FORMAT_GZIP;
    else if (http_name_equal(coding, BYTES("deflate")))
        format = GZIP_FORMAT_DEFLATE;
    else
        return STATUS_INVALID;
    /* Draw the most it can become, so that no number of bombs at once is more than the budget. */
    struct http_server *server = x->server;
    size_t bytes_max = server->options.body_bytes_max;
    if (!budget_draw(server->options.budget, bytes_max))
        return STATUS_BUSY;
    enum status status = gzip_decompress(ctx, format, x->request.raw_body, bytes_max, &x->decoded);
    size_t used = MIN(bytes_max, x->decoded.capacity);
    budget_give(server->options.budget, bytes_max - used);
    x->drawn_bytes += used;
    TRY(status);
    x->request.body = bytes_of(x->decoded.at, x->decoded.count);
    return STATUS_OK;
}

/* ---- The answer ---- */

/* True when one of the codings in an Accept-Encoding is gzip, and not with a weight of 0. */
static bool accepts_gzip(struct bytes value)
{
    while (value.count > 0) {
        const uint8_t *comma = memchr(value.at, ',', value.count);
        struct bytes one =
            bytes_of(value.at, comma != NULL ? (size_t)(comma - value.at) : value.count);
        value = comma != NULL ? bytes_after(value, one.count + 1) : (struct bytes){0};
        while (one.count > 0 && one.at[0] == ' ')
            one = bytes_after(one, 1);
        size_t name_count = 0;
        while (name_count < one.count && one.at[name_count] != ';' && one.at[name_count] != ' ')
            name_count++;
        if (!http_name_equal(bytes_of(one.at, name_count), BYTES("gzip")))
            continue;
        const uint8_t *weight = memmem(one.at, one.count, "q=", 2);
        if (weight == NULL)
            return true;
        for (const uint8_t *at = weight + 2; at < one.at + one.count; at++)
            if (*at >= '1' && *at <= '9')
                return true;
        return false;
    }
    return false;
}

static void refuse(struct exchange *x, int status)
{
    if (status == 503)
        x->server->stats.requests_refused++;
    else if (status < 500)
        x->server->stats.requests_malformed++;
    x->response.status = status;
    x->response.content_type = BYTES("application/x-amz-json-1.0");
}

static void refuse_for(struct exchange *x, enum status status)
{
    switch (status) {
    case STATUS_TOO_LARGE:
        refuse(x, 413);
        return;
    case STATUS_BUSY:
    case STATUS_NO_MEMORY:
        refuse(x, 503);
        return;
    default:
        refuse(x, 400);
        return;
    }
}

/* The body as it is sent, and whether it is compressed. */
static struct bytes encode_body(struct context *ctx, struct exchange *x, bool refused, bool *gzip)
{
    *gzip = false;
    if (refused)
        return http_error_body(x->response.status);
    struct bytes body = buffer_bytes(&x->response.body);
    if (body.count <= HTTP_GZIP_BYTES_MIN ||
        !accepts_gzip(x->request.known[HTTP_HEADER_ACCEPT_ENCODING]))
        return body;
    if (!budget_draw(x->server->options.budget, body.count))
        return body; /* as it is: it takes no more memory */
    x->drawn_bytes += body.count;
    if (gzip_compress(ctx, body, &x->encoded) != STATUS_OK || x->encoded.count >= body.count)
        return body;
    *gzip = true;
    return bytes_of(x->encoded.at, x->encoded.count);
}

static void answer(struct context *ctx, struct exchange *x, struct http_connection *connection,
                   bool refused)
{
    struct http_server *server = x->server;
    if (!refused && x->response.body.failed) {
        refuse(x, 500);
        refused = true;
    }
    bool gzip;
    struct bytes body = encode_body(ctx, x, refused, &gzip);
    connection->close_after |= x->response.close || server->draining;
    bool preflight = server->options.cors && x->request.verb == HTTP_VERB_OPTIONS && !refused;
    struct bytes asked = x->request.known[HTTP_HEADER_ACCESS_CONTROL_REQUEST_HEADERS];
    struct http_head head = {
        .status = x->response.status,
        .content_type = x->response.content_type,
        .content_length = body.count,
        .service_headers = server->options.service_headers,
        .trace_id = ctx->trace_id,
        .crc32 = server->options.service_headers ? http_crc32(body) : 0,
        .gzip = gzip,
        .cors =
            server->options.cors && (preflight || x->request.known[HTTP_HEADER_ORIGIN].at != NULL),
        .close = connection->close_after,
        .keep_alive_1_0 = x->keep_alive_1_0,
    };
    if (preflight)
        head.allow_headers = asked.count > 0 && asked.count <= 256 ? asked : BYTES("*");
    uint8_t bytes[HTTP_HEAD_BYTES_MAX];
    struct bytes runs[2] = {bytes_of(bytes, http_head_write(server, &head, bytes)), body};
    bool no_body = x->request.verb == HTTP_VERB_HEAD || body.count == 0;
    connection->serving = false;
    connection->request = NULL;
    server->stats.in_flight--;
    http_connection_answer(connection, runs, no_body ? 1 : 2);
}

static void release(struct exchange *x)
{
    struct http_server *server = x->server;
    struct heap *heap = server->env->heap;
    http_server_give_buffer(server, &x->response.body);
    buffer_release(&x->block);
    buffer_release(&x->chunks);
    gzip_block_free(heap, &x->decoded);
    gzip_block_free(heap, &x->encoded);
    budget_give(server->options.budget, x->drawn_bytes);
}

void http_exchange_run(struct context *ctx, void *argument)
{
    const struct http_incoming *incoming = argument;
    struct http_connection *connection = incoming->connection;
    struct http_server *server = connection->server;
    struct heap *heap = server->env->heap;
    struct exchange x;
    x.server = server;
    x.response =
        (struct http_response){.status = 200, .content_type = server->options.content_type};
    x.keep_alive_1_0 = false;
    buffer_init(&x.block, heap, 0);
    buffer_init(&x.chunks, heap, 0);
    x.decoded = x.encoded = (struct gzip_block){0};
    x.drawn_bytes = 0;
    ctx->trace_id[0] = prng_u64(&server->prng);
    ctx->trace_id[1] = prng_u64(&server->prng);
    server->stats.in_flight++;
    connection->request = ctx;

    enum status status = take_request(ctx, &x, incoming);
    enum status taken = http_server_take_buffer(server, &x.response.body);
    if (status != STATUS_OK)
        memset(&x.request, 0, sizeof(x.request));
    else if (taken != STATUS_OK)
        status = taken;
    else
        status = decode_body(ctx, &x);
    if (status != STATUS_OK) {
        refuse_for(&x, status);
    } else if (server->options.cors && x.request.verb == HTTP_VERB_OPTIONS) {
        x.response.content_type = (struct bytes){0};
    } else {
        server->stats.requests++;
        server->options.handle(ctx, server->options.owner, &x.request, &x.response);
    }
    if (UNLIKELY(x.response.body.count > PAUSE_BYTES))
        context_yield(ctx); /* it has taken long enough to make it */
    answer(ctx, &x, connection, status != STATUS_OK);
    release(&x);
}
