/* http_parse.h - one request, from bytes that come in pieces to spans of them; private to wire/.
 *
 * The parser remembers offsets from the first byte of the request, never addresses: the bytes may
 * move between two runs, as long as they are the same.  A chunked body is gathered in a buffer of
 * its own; any other is a span too.
 *
 * Invariants: (1) every span lies within [0, head_bytes), (2) consumed never decreases but by
 * http_parse_forget_chunks.
 */
#ifndef WIRE_HTTP_PARSE_H
#define WIRE_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "wire/http.h"
#include "wire/http_syntax.h"

struct http_span {
    uint32_t at; /* from the first byte of the request */
    uint32_t count;
};

enum http_parse_result {
    HTTP_PARSE_MORE,   /* not whole yet */
    HTTP_PARSE_DONE,   /* whole: `consumed` bytes */
    HTTP_PARSE_FAILED, /* `status` says what to answer */
};

struct http_parse {
    HTTP_SYNTAX_PARSER syntax;
    const uint8_t *base; /* during a run: the first byte of the request */
    size_t consumed;     /* bytes of the request seen so far */
    size_t head_bytes;   /* the end of the last span */
    size_t header_bytes_max;
    size_t body_bytes_max;
    struct buffer chunks; /* the body, when it is chunked */
    struct http_span target;
    struct http_span body; /* the body, when it is not */
    uint32_t header_count;
    int status;           /* of the answer to a request that failed */
    bool after_value;     /* the last span is a value */
    bool head_done;       /* the blank line was seen */
    bool done;            /* the last byte was seen */
    bool chunked;         /* valid once head_done */
    bool keep_alive;      /* likewise */
    bool expect_continue; /* likewise */
    struct {
        struct http_span name, value;
    } headers[HTTP_HEADERS_MAX];
};

/* Ready for the first byte of a request. */
void http_parse_init(struct http_parse *parse, struct heap *heap,
                     const struct http_server_options *limits);
void http_parse_release(struct http_parse *parse);

/* Go on with `request`: all its bytes so far, of which the first `consumed` were seen before; what
 * follows the request may follow in it. */
enum http_parse_result http_parse_run(struct http_parse *parse, struct bytes request);

/* After MORE, when the body is chunked: only the head need be kept, the first head_bytes bytes. */
static inline void http_parse_forget_chunks(struct http_parse *parse)
{
    parse->consumed = parse->head_bytes;
}

/* Fill in *request, but for `body` and `raw_body`, from the spans; `base` is where the request's
 * bytes are now, `headers` has room for header_count. */
void http_parse_fill(const struct http_parse *parse, const uint8_t *base,
                     struct http_header *headers, struct http_request *request);

#endif
