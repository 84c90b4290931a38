/* http_head.c - the heads of answers, and the bodies of those that the server gives by itself. */
#include <string.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/date.h"
#include "wire/http_private.h"

/* What the server answers by itself: AWS API references, "Common Error Types". */
struct status_line {
    int status;
    const char *reason;
    const char *body;
};

#define ERROR_BODY(type, message)                                                                  \
    "{\"__type\":\"com.amazon.coral.service#" type "\",\"message\":\"" message "\"}"

static const struct status_line status_lines[] = {
    {100, "Continue", NULL},
    {200, "OK", NULL},
    {204, "No Content", NULL},
    {400, "Bad Request",
     ERROR_BODY("MalformedHttpRequestException", "Problems with the request at the HTTP level.")},
    {403, "Forbidden", NULL},
    {404, "Not Found", NULL},
    {405, "Method Not Allowed", NULL},
    {408, "Request Timeout",
     ERROR_BODY("RequestTimeoutException",
                "Problems with the request at the HTTP level. Reading the Request timed out.")},
    {409, "Conflict", NULL},
    {413, "Payload Too Large",
     ERROR_BODY("RequestEntityTooLargeException",
                "Problems with the request at the HTTP level. The request entity was too large.")},
    {417, "Expectation Failed",
     ERROR_BODY("MalformedHttpRequestException",
                "Problems with the request at the HTTP level. The expectation is not supported.")},
    {429, "Too Many Requests", NULL},
    {500, "Internal Server Error",
     ERROR_BODY("InternalFailure", "The request processing has failed because of an unknown error, "
                                   "exception or failure.")},
    {501, "Not Implemented", NULL},
    {503, "Service Unavailable",
     ERROR_BODY("ServiceUnavailable",
                "The request has failed due to a temporary failure of the server.")},
};

static const struct status_line *find_status(int status)
{
    for (size_t i = 0; i < ARRAY_COUNT(status_lines); i++)
        if (status_lines[i].status == status)
            return &status_lines[i];
    return NULL;
}

struct bytes http_error_body(int status)
{
    const struct status_line *line = find_status(status);
    ASSERT(line != NULL && line->body != NULL);
    return bytes_of_text(line->body);
}

/* ---- Writing ---- */

static uint8_t *put(uint8_t *to, struct bytes bytes)
{
    memcpy(to, bytes.at, bytes.count);
    return to + bytes.count;
}

static uint8_t *put_decimal(uint8_t *to, uint64_t value)
{
    uint8_t digits[20];
    size_t count = 0;
    do {
        digits[sizeof(digits) - ++count] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return put(to, bytes_of(digits + sizeof(digits) - count, count));
}

static uint8_t *put_status_line(uint8_t *to, int status)
{
    if (LIKELY(status == 200))
        return put(to, BYTES("HTTP/1.1 200 OK\r\n"));
    to = put(to, BYTES("HTTP/1.1 "));
    to = put_decimal(to, (uint64_t)status);
    *to++ = ' ';
    const struct status_line *line = find_status(status);
    if (line != NULL)
        to = put(to, bytes_of_text(line->reason));
    return put(to, BYTES("\r\n"));
}

/* RFC 9110 section 5.6.7, IMF-fixdate. */
static void write_date(uint64_t seconds, char to[HTTP_DATE_BYTES + 1])
{
    static const char days[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct date date = date_from_seconds(seconds);
    memcpy(to, days + seconds / 86400 % 7 * 3, 3);
    memcpy(to + 3, ", ", 2);
    char *next = date_put_digits(to + 5, date.day, 2);
    *next++ = ' ';
    memcpy(next, months + (size_t)(date.month - 1) * 3, 3);
    next[3] = ' ';
    next = date_put_digits(next + 4, date.year, 4);
    *next++ = ' ';
    next = date_put_digits(next, date.hour, 2);
    *next++ = ':';
    next = date_put_digits(next, date.minute, 2);
    *next++ = ':';
    next = date_put_digits(next, date.second, 2);
    memcpy(next, " GMT", 5);
}

static struct bytes current_date(struct http_server *server)
{
    uint64_t seconds = env_wall_ns(server->env) / 1000000000u;
    if (seconds != server->date_s) {
        server->date_s = seconds;
        write_date(seconds, server->date);
    }
    return bytes_of(server->date, HTTP_DATE_BYTES);
}

/* Eight characters 0-9A-V of the low 40 bits of `word`: spread to eight lanes, then all at once. */
static void put_base32(char to[8], uint64_t word)
{
    uint64_t v = (word & 0xfffff) | ((word >> 20 & 0xfffff) << 32);
    v = (v & UINT64_C(0x000003ff000003ff)) | ((v >> 10 & UINT64_C(0x000003ff000003ff)) << 16);
    v = (v & UINT64_C(0x001f001f001f001f)) | ((v >> 5 & UINT64_C(0x001f001f001f001f)) << 8);
    uint64_t letters = (v + UINT64_C(0x7676767676767676)) >> 7 & UINT64_C(0x0101010101010101);
    v += UINT64_C(0x3030303030303030) + letters * ('A' - '9' - 1);
    put_u64((uint8_t *)to, v);
}

/* 52 characters take 260 bits: the 128 of the trace id, and what is mixed from them. */
void http_request_id(const uint64_t trace_id[2], char to[HTTP_REQUEST_ID_BYTES])
{
    uint64_t a = trace_id[0];
    uint64_t b = trace_id[1];
    uint64_t mixed = (a ^ b >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    uint64_t more = (mixed ^ b) * UINT64_C(0xbf58476d1ce4e5b9);
    put_base32(to, a);
    put_base32(to + 8, a >> 40 | b << 24);
    put_base32(to + 16, b >> 16);
    put_base32(to + 24, b >> 56 | mixed >> 24 << 8);
    put_base32(to + 32, more);
    uint64_t last = (more ^ more >> 29) * UINT64_C(0x94d049bb133111eb);
    put_base32(to + 40, last >> 24);
    put_base32(to + 44, last); /* four characters of the one before, four new ones */
}

static uint8_t *put_cors(uint8_t *to, const struct http_head *head)
{
    to = put(to, BYTES("\r\nAccess-Control-Allow-Origin: *"));
    if (head->allow_headers.at == NULL)
        return put(to, BYTES("\r\nAccess-Control-Expose-Headers: x-amzn-RequestId,x-amzn-ErrorType,"
                             "x-amzn-ErrorMessage,x-amz-crc32,Date"));
    to = put(to, BYTES("\r\nAccess-Control-Allow-Methods: POST,GET\r\nAccess-Control-Max-Age: "
                       "172800\r\nAccess-Control-Allow-Headers: "));
    return put(to, head->allow_headers);
}

static uint8_t *put_service_headers(uint8_t *to, const struct http_head *head)
{
    to = put(to, BYTES("\r\nx-amzn-RequestId: "));
    char id[HTTP_REQUEST_ID_BYTES];
    http_request_id(head->trace_id, id);
    to = put(to, bytes_of(id, sizeof(id)));
    to = put(to, BYTES("\r\nx-amz-crc32: "));
    return put_decimal(to, head->crc32);
}

/* All that is not of fixed length is bounded here, so that the head always fits. */
_Static_assert(HTTP_HEAD_BYTES_MAX >= 512 + 128 + 256,
               "fixed texts, content type, allowed headers");

size_t http_head_write(struct http_server *server, const struct http_head *head,
                       uint8_t to[HTTP_HEAD_BYTES_MAX])
{
    ASSERT(head->content_type.count <= 128 && head->allow_headers.count <= 256);
    uint8_t *next = put_status_line(to, head->status);
    next = put(next, BYTES("Server: Server\r\nDate: "));
    next = put(next, current_date(server));
    if (head->content_type.count > 0) {
        next = put(next, BYTES("\r\nContent-Type: "));
        next = put(next, head->content_type);
    }
    if (head->status != 204) {
        next = put(next, BYTES("\r\nContent-Length: "));
        next = put_decimal(next, head->content_length);
    }
    if (head->gzip)
        next = put(next, BYTES("\r\nContent-Encoding: gzip"));
    if (head->service_headers)
        next = put_service_headers(next, head);
    if (UNLIKELY(head->cors))
        next = put_cors(next, head);
    if (UNLIKELY(head->close))
        next = put(next, BYTES("\r\nConnection: close"));
    else if (UNLIKELY(head->keep_alive_1_0))
        next = put(next, BYTES("\r\nConnection: keep-alive"));
    next = put(next, BYTES("\r\n\r\n"));
    return (size_t)(next - to);
}
