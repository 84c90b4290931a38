/* http_syntax.h - the parser library behind one shape: llhttp where the system has it, else its
 * ancestor http_parser.  Only http_parse.c includes it.
 *
 * A parser is run over the bytes of one request and stops by itself after its last byte, or at the
 * first byte that cannot be.  Callbacks return HTTP_SYNTAX_GO_ON or HTTP_SYNTAX_ABORT.
 */
#ifndef WIRE_HTTP_SYNTAX_H
#define WIRE_HTTP_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_SYNTAX_GO_ON 0
#define HTTP_SYNTAX_ABORT (-1)

#ifdef TRINE_LLHTTP
#include <llhttp.h>
#define HTTP_SYNTAX_PARSER   llhttp_t
#define HTTP_SYNTAX_SETTINGS llhttp_settings_t
#else
#include <http_parser.h>
#define HTTP_SYNTAX_PARSER   http_parser
#define HTTP_SYNTAX_SETTINGS http_parser_settings
#endif

static inline void http_syntax_init(HTTP_SYNTAX_PARSER *parser,
                                    const HTTP_SYNTAX_SETTINGS *settings)
{
#ifdef TRINE_LLHTTP
    llhttp_init(parser, HTTP_REQUEST, settings);
#else
    (void)settings;
    http_parser_init(parser, HTTP_REQUEST);
#endif
}

/* The return value of on_message_complete: take no byte of the next request. */
static inline int http_syntax_stop(HTTP_SYNTAX_PARSER *parser)
{
#ifdef TRINE_LLHTTP
    (void)parser;
    return HPE_PAUSED;
#else
    http_parser_pause(parser, 1);
    return 0;
#endif
}

/* Run over `count` (> 0) bytes; returns how many were taken.  *failed: what follows cannot be. */
static inline size_t http_syntax_run(HTTP_SYNTAX_PARSER *parser,
                                     const HTTP_SYNTAX_SETTINGS *settings, const uint8_t *at,
                                     size_t count, bool *failed)
{
#ifdef TRINE_LLHTTP
    (void)settings;
    enum llhttp_errno error = llhttp_execute(parser, (const char *)at, count);
    *failed = error != HPE_OK && error != HPE_PAUSED;
    return error == HPE_OK ? count : (size_t)((const uint8_t *)llhttp_get_error_pos(parser) - at);
#else
    size_t taken = http_parser_execute(parser, settings, (const char *)at, count);
    enum http_errno error = HTTP_PARSER_ERRNO(parser);
    *failed = error != HPE_OK && error != HPE_PAUSED;
    return taken;
#endif
}

static inline const char *http_syntax_method(const HTTP_SYNTAX_PARSER *parser)
{
#ifdef TRINE_LLHTTP
    return llhttp_method_name((llhttp_method_t)parser->method);
#else
    return http_method_str((enum http_method)parser->method);
#endif
}

static inline bool http_syntax_keep_alive(const HTTP_SYNTAX_PARSER *parser)
{
#ifdef TRINE_LLHTTP
    return llhttp_should_keep_alive(parser) != 0;
#else
    return http_should_keep_alive(parser) != 0;
#endif
}

static inline bool http_syntax_chunked(const HTTP_SYNTAX_PARSER *parser)
{
    return (parser->flags & F_CHUNKED) != 0;
}

/* UINT64_MAX: none was sent. */
static inline uint64_t http_syntax_content_length(const HTTP_SYNTAX_PARSER *parser)
{
#ifdef TRINE_LLHTTP
    return (parser->flags & F_CONTENT_LENGTH) != 0 ? parser->content_length : UINT64_MAX;
#else
    return parser->content_length;
#endif
}

#endif
