#include "wire/http_parse.h"

#include <string.h>

#include "base/assert.h"
#include "base/codec.h"

/* ---- Spans from callbacks ---- */

static struct http_parse *parse_of(HTTP_SYNTAX_PARSER *syntax)
{
    return syntax->data;
}

static int refuse(struct http_parse *parse, int status)
{
    parse->status = status;
    return HTTP_SYNTAX_ABORT;
}

/* Extend `span`, or begin it; false when the piece does not follow what the span has. */
static bool add_piece(struct http_parse *parse, struct http_span *span, const char *at,
                      size_t count)
{
    size_t offset = (size_t)((const uint8_t *)at - parse->base);
    if (span->count == 0)
        span->at = (uint32_t)offset;
    else if (span->at + span->count != offset)
        return false;
    span->count += (uint32_t)count;
    parse->head_bytes = MAX(parse->head_bytes, offset + count);
    return true;
}

static int on_url(HTTP_SYNTAX_PARSER *syntax, const char *at, size_t count)
{
    struct http_parse *parse = parse_of(syntax);
    return add_piece(parse, &parse->target, at, count) ? HTTP_SYNTAX_GO_ON : refuse(parse, 400);
}

/* http_parser, as Debian builds it, takes blanks for part of a name; RFC 9112 section 5.1 has such
 * a request refused, because proxies disagree about it. */
static int on_header_field(HTTP_SYNTAX_PARSER *syntax, const char *at, size_t count)
{
    struct http_parse *parse = parse_of(syntax);
    if (parse->head_done) /* trailers of a chunked body say nothing here */
        return HTTP_SYNTAX_GO_ON;
    if (memchr(at, ' ', count) != NULL)
        return refuse(parse, 400);
    size_t offset = (size_t)((const uint8_t *)at - parse->base);
    bool goes_on = false;
    if (parse->header_count > 0 && !parse->after_value) {
        struct http_span *name = &parse->headers[parse->header_count - 1].name;
        goes_on = name->at + name->count == offset;
    }
    if (!goes_on) {
        if (parse->header_count == HTTP_HEADERS_MAX)
            return refuse(parse, 400);
        memset(&parse->headers[parse->header_count], 0, sizeof(parse->headers[0]));
        parse->header_count++;
    }
    parse->after_value = false;
    return add_piece(parse, &parse->headers[parse->header_count - 1].name, at, count)
               ? HTTP_SYNTAX_GO_ON
               : refuse(parse, 400);
}

/* A value in two places is folded over lines, which RFC 9112 section 5.2 lets a server refuse. */
static int on_header_value(HTTP_SYNTAX_PARSER *syntax, const char *at, size_t count)
{
    struct http_parse *parse = parse_of(syntax);
    if (parse->head_done)
        return HTTP_SYNTAX_GO_ON;
    if (parse->header_count == 0)
        return refuse(parse, 400);
    parse->after_value = true;
    return add_piece(parse, &parse->headers[parse->header_count - 1].value, at, count)
               ? HTTP_SYNTAX_GO_ON
               : refuse(parse, 400);
}

static struct bytes span_bytes(const uint8_t *base, struct http_span span)
{
    return bytes_of(base + span.at, span.count);
}

static struct bytes trim(struct bytes value)
{
    while (value.count > 0 && (value.at[0] == ' ' || value.at[0] == '\t'))
        value = bytes_after(value, 1);
    while (value.count > 0 &&
           (value.at[value.count - 1] == ' ' || value.at[value.count - 1] == '\t'))
        value.count--;
    return value;
}

/* The first value of `name`, trimmed; at is NULL when it was not sent. */
static struct bytes find_value(const struct http_parse *parse, struct bytes name)
{
    for (uint32_t i = 0; i < parse->header_count; i++)
        if (http_name_equal(span_bytes(parse->base, parse->headers[i].name), name))
            return trim(span_bytes(parse->base, parse->headers[i].value));
    return (struct bytes){0};
}

static int on_headers_complete(HTTP_SYNTAX_PARSER *syntax)
{
    struct http_parse *parse = parse_of(syntax);
    parse->head_done = true;
    parse->keep_alive = http_syntax_keep_alive(syntax);
    parse->chunked = http_syntax_chunked(syntax);
    syntax->upgrade = 0; /* no other protocol is spoken here: the request is served as it is */
    if (syntax->http_major != 1)
        return refuse(parse, 400);
    for (uint32_t i = 0; i < parse->header_count; i++)
        if (parse->headers[i].name.count == 0) /* llhttp lets it pass */
            return refuse(parse, 400);
    uint64_t length = http_syntax_content_length(syntax);
    if (!parse->chunked && length != UINT64_MAX && length > parse->body_bytes_max)
        return refuse(parse, 413);
    struct bytes expect = find_value(parse, BYTES("expect"));
    if (expect.at != NULL && syntax->http_minor > 0) {
        if (!http_name_equal(expect, BYTES("100-continue")))
            return refuse(parse, 417);
        parse->expect_continue = true;
    }
    return HTTP_SYNTAX_GO_ON;
}

static int on_body(HTTP_SYNTAX_PARSER *syntax, const char *at, size_t count)
{
    struct http_parse *parse = parse_of(syntax);
    if (!parse->chunked) {
        size_t head_bytes = parse->head_bytes;
        bool follows = add_piece(parse, &parse->body, at, count);
        parse->head_bytes = head_bytes;
        return follows ? HTTP_SYNTAX_GO_ON : refuse(parse, 400);
    }
    if (count > parse->body_bytes_max - parse->chunks.count)
        return refuse(parse, 413);
    buffer_append(&parse->chunks, at, count);
    return parse->chunks.failed ? refuse(parse, 503) : HTTP_SYNTAX_GO_ON;
}

static int on_message_complete(HTTP_SYNTAX_PARSER *syntax)
{
    parse_of(syntax)->done = true;
    return http_syntax_stop(syntax);
}

static const HTTP_SYNTAX_SETTINGS settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

/* ---- Running ---- */

void http_parse_init(struct http_parse *parse, struct heap *heap,
                     const struct http_server_options *limits)
{
    /* The table of headers is filled as they come: clearing it would cost more than the request. */
    memset(parse, 0, offsetof(struct http_parse, headers));
    http_syntax_init(&parse->syntax, &settings);
    parse->header_bytes_max = limits->header_bytes_max;
    parse->body_bytes_max = limits->body_bytes_max;
    buffer_init(&parse->chunks, heap, limits->body_bytes_max);
    parse->chunks.budget = limits->budget;
}

void http_parse_release(struct http_parse *parse)
{
    buffer_release(&parse->chunks);
}

enum http_parse_result http_parse_run(struct http_parse *parse, struct bytes request)
{
    ASSERT(request.count > parse->consumed && !parse->done);
    parse->base = request.at;
    parse->syntax.data = parse;
    bool failed = false;
    parse->consumed += http_syntax_run(&parse->syntax, &settings, request.at + parse->consumed,
                                       request.count - parse->consumed, &failed);
    /* The last value is followed by two line ends. */
    size_t head_bytes = parse->head_done ? parse->head_bytes + 4 : parse->consumed;
    parse->base = NULL;
    if (head_bytes > parse->header_bytes_max)
        parse->status = 400;
    else if (failed && parse->status == 0)
        parse->status = 400;
    if (parse->status != 0)
        return HTTP_PARSE_FAILED;
    return parse->done ? HTTP_PARSE_DONE : HTTP_PARSE_MORE;
}

/* ---- The request ---- */

static const struct bytes known_names[HTTP_HEADER_COUNT] = {
#define KNOWN_NAME(name, text) {(const uint8_t *)(text), sizeof(text) - 1},
    HTTP_HEADER_MAP(KNOWN_NAME)
#undef KNOWN_NAME
};

/* Nothing but the case of letters may differ: `lower` has lower-case letters, digits and '-', and
 * of these only letters have the bit 0x40. */
static bool differ64(const uint8_t *name, const uint8_t *lower)
{
    uint64_t l = get_u64(lower);
    return ((get_u64(name) ^ l) & ~((l & UINT64_C(0x4040404040404040)) >> 1)) != 0;
}

static bool differ32(const uint8_t *name, const uint8_t *lower)
{
    uint32_t l = get_u32(lower);
    return ((get_u32(name) ^ l) & ~((l & 0x40404040u) >> 1)) != 0;
}

bool http_name_equal(struct bytes name, struct bytes lower)
{
    size_t count = name.count;
    if (count != lower.count)
        return false;
    if (count >= 8) {
        for (size_t i = 0; i + 8 <= count; i += 8)
            if (differ64(name.at + i, lower.at + i))
                return false;
        return !differ64(name.at + count - 8, lower.at + count - 8);
    }
    if (count >= 4)
        return !differ32(name.at, lower.at) && !differ32(name.at + count - 4, lower.at + count - 4);
    for (size_t i = 0; i < count; i++)
        if ((name.at[i] ^ lower.at[i]) & ~((lower.at[i] & 0x40) >> 1))
            return false;
    return true;
}

/* The ids of each length of a name, plus one; 0: none. */
#define NAME_BYTES_MAX 30u
#define ID(name)       (1 + HTTP_HEADER_##name)
static const uint8_t ids_by_length[NAME_BYTES_MAX + 1][2] = {
    [4] = {ID(HOST), ID(DATE)},
    [6] = {ID(ORIGIN), ID(EXPECT)},
    [10] = {ID(X_AMZ_DATE), ID(USER_AGENT)},
    [12] = {ID(X_AMZ_TARGET), ID(CONTENT_TYPE)},
    [13] = {ID(AUTHORIZATION)},
    [15] = {ID(ACCEPT_ENCODING)},
    [16] = {ID(CONTENT_ENCODING)},
    [20] = {ID(X_AMZ_CONTENT_SHA256), ID(X_AMZ_SECURITY_TOKEN)},
    [29] = {ID(ACCESS_CONTROL_REQUEST_METHOD)},
    [30] = {ID(ACCESS_CONTROL_REQUEST_HEADERS)},
};
#undef ID

static enum http_header_id find_id(struct bytes name)
{
    if (name.count > NAME_BYTES_MAX)
        return HTTP_HEADER_OTHER;
    for (size_t i = 0; i < 2 && ids_by_length[name.count][i] > 0; i++) {
        unsigned id = ids_by_length[name.count][i] - 1u;
        if (http_name_equal(name, known_names[id]))
            return (enum http_header_id)id;
    }
    return HTTP_HEADER_OTHER;
}

static enum http_verb verb_of(const HTTP_SYNTAX_PARSER *syntax)
{
    switch (syntax->method) {
    case HTTP_GET:
        return HTTP_VERB_GET;
    case HTTP_HEAD:
        return HTTP_VERB_HEAD;
    case HTTP_POST:
        return HTTP_VERB_POST;
    case HTTP_PUT:
        return HTTP_VERB_PUT;
    case HTTP_DELETE:
        return HTTP_VERB_DELETE;
    case HTTP_OPTIONS:
        return HTTP_VERB_OPTIONS;
    default:
        return HTTP_VERB_OTHER;
    }
}

/* Path and query of the request target; of the absolute form, what follows the authority. */
static void split_target(struct http_request *request)
{
    struct bytes rest = request->target;
    if (rest.count > 0 && rest.at[0] != '/' && rest.at[0] != '*') {
        const uint8_t *scheme_end = memmem(rest.at, rest.count, "://", 3);
        if (scheme_end != NULL) {
            rest = bytes_after(rest, (size_t)(scheme_end - rest.at) + 3);
            while (rest.count > 0 && rest.at[0] != '/' && rest.at[0] != '?')
                rest = bytes_after(rest, 1);
        }
    }
    const uint8_t *mark = rest.count > 0 ? memchr(rest.at, '?', rest.count) : NULL;
    request->path = rest;
    request->query = (struct bytes){0};
    if (mark != NULL) {
        request->path.count = (size_t)(mark - rest.at);
        request->query = bytes_after(rest, request->path.count + 1);
    }
    if (request->path.count == 0)
        request->path = BYTES("/");
}

void http_parse_fill(const struct http_parse *parse, const uint8_t *base,
                     struct http_header *headers, struct http_request *request)
{
    memset(request, 0, sizeof(*request));
    request->verb = verb_of(&parse->syntax);
    request->method = bytes_of_text(http_syntax_method(&parse->syntax));
    request->target = span_bytes(base, parse->target);
    request->minor_version = (uint8_t)parse->syntax.http_minor;
    split_target(request);
    for (uint32_t i = 0; i < parse->header_count; i++) {
        struct http_header *header = &headers[i];
        header->name = span_bytes(base, parse->headers[i].name);
        header->value = trim(span_bytes(base, parse->headers[i].value));
        header->id = find_id(header->name);
        if (header->id != HTTP_HEADER_OTHER && request->known[header->id].at == NULL)
            request->known[header->id] = header->value;
    }
    request->headers = headers;
    request->header_count = parse->header_count;
}
