/* sigv4_claim.c - what a request says about its signature, and the refusals of what it says badly.
 *
 * The texts are those that the service and its siblings behind the same front end have been seen to
 * send (public issue threads):
 *   "Authorization header requires ..."       aws/aws-sdk-js#4285, brendanhay/amazonka#316
 *   "... not a valid key=value pair ..."      awslabs/fhir-works-on-aws-deployment#379
 *   "Credential must have exactly 5 ..."      mhart/aws4#97, prometheus-community/
 *                                             yet-another-cloudwatch-exporter#169
 *   "Request is missing Authentication Token" awslabs/aws-sdk-ios-samples#111
 * For the presigned form and for dates no verbatim report was found; those texts follow the same
 * pattern and the terms of the IAM User Guide.
 */
#include <string.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "wire/sigv4_private.h"

enum status sigv4_deny(struct sigv4_result *result, enum sigv4_failure failure,
                       struct bytes message)
{
    if (message.at == NULL)
        return STATUS_NO_MEMORY;
    result->failure = failure;
    result->message = message;
    return STATUS_DENIED;
}

/* ---- Credential ---- */

static enum status split_credential(struct arena *arena, struct sigv4_claim *claim,
                                    struct sigv4_result *result)
{
    struct bytes *const elements[] = {&claim->access_key, &claim->scope_date, &claim->region,
                                      &claim->service, &claim->terminator};
    struct bytes rest = claim->credential;
    size_t count = 0;
    for (bool more = true; more; count++) {
        const uint8_t *slash = rest.count > 0 ? memchr(rest.at, '/', rest.count) : NULL;
        more = slash != NULL;
        struct bytes element = bytes_of(rest.at, more ? (size_t)(slash - rest.at) : rest.count);
        rest = bytes_after(rest, element.count + more);
        if (count < ARRAY_COUNT(elements))
            *elements[count] = element;
    }
    if (count != ARRAY_COUNT(elements))
        return sigv4_deny(
            result, SIGV4_INCOMPLETE,
            arena_format(arena,
                         "Credential must have exactly 5 slash-delimited elements, e.g. "
                         "keyid/date/region/service/term, got '%.*s'",
                         BYTES_ARGS(claim->credential)));
    claim->scope = bytes_after(claim->credential, claim->access_key.count + 1);
    return STATUS_OK;
}

/* ---- The header form ---- */

/* Take the next run without blanks and commas; empty at the end. */
static struct bytes take_token(struct bytes *text)
{
    while (text->count > 0 && (text->at[0] == ' ' || text->at[0] == ','))
        *text = bytes_after(*text, 1);
    struct bytes token = *text;
    for (size_t i = 0; i < 2 && token.count > 0; i++) {
        const uint8_t *end = memchr(token.at, ", "[i], token.count);
        if (end != NULL)
            token.count = (size_t)(end - token.at);
    }
    *text = bytes_after(*text, token.count);
    return token;
}

static enum status read_pairs(struct arena *arena, struct bytes authorization, struct bytes rest,
                              struct sigv4_claim *claim, struct sigv4_result *result)
{
    for (struct bytes token = take_token(&rest); token.count > 0; token = take_token(&rest)) {
        const uint8_t *equals = memchr(token.at, '=', token.count);
        if (equals == NULL)
            return sigv4_deny(
                result, SIGV4_INCOMPLETE,
                arena_format(arena,
                             "'%.*s' not a valid key=value pair (missing equal-sign) in "
                             "Authorization header: '%.*s'.",
                             BYTES_ARGS(token), BYTES_ARGS(authorization)));
        struct bytes name = bytes_of(token.at, (size_t)(equals - token.at));
        struct bytes value = bytes_after(token, name.count + 1);
        if (bytes_equal(name, BYTES("Credential")))
            claim->credential = value;
        else if (bytes_equal(name, BYTES("SignedHeaders")))
            claim->signed_headers = value;
        else if (bytes_equal(name, BYTES("Signature")))
            claim->signature = value;
    }
    return STATUS_OK;
}

static enum status read_header_form(struct arena *arena, const struct http_request *request,
                                    struct sigv4_claim *claim, struct sigv4_result *result)
{
    struct bytes authorization = request->known[HTTP_HEADER_AUTHORIZATION];
    struct bytes rest = authorization;
    struct bytes algorithm = take_token(&rest);
    bool ours = bytes_equal(algorithm, BYTES("AWS4-HMAC-SHA256"));
    if (ours)
        TRY(read_pairs(arena, authorization, rest, claim, result));
    claim->timestamp = request->known[HTTP_HEADER_X_AMZ_DATE];
    if (claim->timestamp.at == NULL)
        claim->timestamp = request->known[HTTP_HEADER_DATE];
    if (claim->credential.at != NULL && claim->signature.at != NULL &&
        claim->signed_headers.at != NULL && claim->timestamp.at != NULL)
        return STATUS_OK;
    return sigv4_deny(
        result, SIGV4_INCOMPLETE,
        arena_format(
            arena, "%s%s%s%sAuthorization=%.*s",
            claim->credential.at != NULL ? ""
                                         : "Authorization header requires 'Credential' parameter. ",
            claim->signature.at != NULL ? ""
                                        : "Authorization header requires 'Signature' parameter. ",
            claim->signed_headers.at != NULL
                ? ""
                : "Authorization header requires 'SignedHeaders' parameter. ",
            claim->timestamp.at != NULL ? ""
                                        : "Authorization header requires existence of either a "
                                          "'X-Amz-Date' or a 'Date' header. ",
            BYTES_ARGS(authorization)));
}

/* ---- The presigned form ---- */

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Decode %XX and '+'; what is not an escape stays as it is. */
static struct bytes decode(uint8_t *to, struct bytes text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.count; i++) {
        uint8_t byte = text.at[i];
        if (byte == '+') {
            byte = ' ';
        } else if (byte == '%' && text.count - i > 2) {
            int high = hex_digit(text.at[i + 1]);
            int low = hex_digit(text.at[i + 2]);
            if (high >= 0 && low >= 0) {
                byte = (uint8_t)(high << 4 | low);
                i += 2;
            }
        }
        to[count++] = byte;
    }
    return bytes_of(to, count);
}

enum status sigv4_query_read(struct arena *arena, struct bytes query,
                             struct sigv4_parameter parameters[SIGV4_QUERY_MAX], uint32_t *count)
{
    *count = 0;
    for (struct bytes rest = query; rest.count > 0;) {
        const uint8_t *end = memchr(rest.at, '&', rest.count);
        struct bytes pair = bytes_of(rest.at, end != NULL ? (size_t)(end - rest.at) : rest.count);
        rest = bytes_after(rest, pair.count + (end != NULL));
        if (pair.count == 0)
            continue;
        if (*count == SIGV4_QUERY_MAX)
            return STATUS_TOO_LARGE;
        const uint8_t *equals = memchr(pair.at, '=', pair.count);
        struct bytes name =
            bytes_of(pair.at, equals != NULL ? (size_t)(equals - pair.at) : pair.count);
        struct bytes value = bytes_after(pair, name.count + (equals != NULL));
        uint8_t *to = arena_alloc(arena, pair.count);
        if (to == NULL)
            return STATUS_NO_MEMORY;
        parameters[*count].name = decode(to, name);
        parameters[*count].value = decode(to + name.count, value);
        ++*count;
    }
    return STATUS_OK;
}

static uint32_t parse_expires(struct bytes text)
{
    uint32_t value = 0;
    for (size_t i = 0; i < text.count; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || value > SIGV4_EXPIRES_MAX)
            return 0;
        value = value * 10 + (text.at[i] - '0');
    }
    return MIN(value, SIGV4_EXPIRES_MAX);
}

static enum status deny_query(struct arena *arena, const struct sigv4_claim *claim,
                              bool has_algorithm, struct sigv4_result *result)
{
    const struct {
        bool present;
        const char *name;
    } parameters[] = {{has_algorithm, "X-Amz-Algorithm"},
                      {claim->credential.at != NULL, "X-Amz-Credential"},
                      {claim->signature.at != NULL, "X-Amz-Signature"},
                      {claim->signed_headers.at != NULL, "X-Amz-SignedHeaders"},
                      {claim->timestamp.at != NULL, "X-Amz-Date"}};
    struct buffer text;
    buffer_init(&text, arena->heap, 1024);
    for (size_t i = 0; i < ARRAY_COUNT(parameters); i++)
        if (!parameters[i].present)
            buffer_append_format(&text, "AWS query-string parameters must include '%s'. ",
                                 parameters[i].name);
    buffer_append_format(&text, "Re-examine the query-string parameters.");
    struct bytes message = text.failed ? (struct bytes){0} : arena_copy(arena, buffer_bytes(&text));
    buffer_release(&text);
    return sigv4_deny(result, SIGV4_INCOMPLETE, message);
}

static enum status read_query_form(struct arena *arena, const struct sigv4_parameter *parameters,
                                   uint32_t count, struct sigv4_claim *claim,
                                   struct sigv4_result *result)
{
    bool has_algorithm = false;
    for (uint32_t i = 0; i < count; i++) {
        struct bytes name = parameters[i].name;
        struct bytes value = parameters[i].value;
        if (bytes_equal(name, BYTES("X-Amz-Algorithm")))
            has_algorithm = bytes_equal(value, BYTES("AWS4-HMAC-SHA256"));
        else if (bytes_equal(name, BYTES("X-Amz-Credential")))
            claim->credential = value;
        else if (bytes_equal(name, BYTES("X-Amz-Signature")))
            claim->signature = value;
        else if (bytes_equal(name, BYTES("X-Amz-SignedHeaders")))
            claim->signed_headers = value;
        else if (bytes_equal(name, BYTES("X-Amz-Date")))
            claim->timestamp = value;
        else if (bytes_equal(name, BYTES("X-Amz-Expires")))
            claim->expires_s = parse_expires(value);
    }
    claim->presigned = true;
    if (has_algorithm && claim->credential.at != NULL && claim->signature.at != NULL &&
        claim->signed_headers.at != NULL && claim->timestamp.at != NULL)
        return STATUS_OK;
    return deny_query(arena, claim, has_algorithm, result);
}

/* ---- Both ---- */

static bool is_presigned(struct bytes query)
{
    return query.count > 0 &&
           memmem(query.at, query.count, "X-Amz-Algorithm", strlen("X-Amz-Algorithm")) != NULL;
}

enum status sigv4_claim_read(struct arena *arena, const struct http_request *request,
                             struct sigv4_claim *claim, struct sigv4_result *result)
{
    memset(claim, 0, sizeof(*claim));
    struct bytes authorization = request->known[HTTP_HEADER_AUTHORIZATION];
    bool presigned = is_presigned(request->query);
    if (presigned && authorization.at != NULL)
        return sigv4_deny(result, SIGV4_BOTH_FORMS,
                          BYTES("Found both 'X-Amz-Algorithm' as a query-string param and "
                                "'Authorization' as HTTP header."));
    /* Other schemes than those of AWS are no token at all to the service. */
    if (!presigned && !bytes_start_with(authorization, BYTES("AWS")))
        return sigv4_deny(result, SIGV4_MISSING_TOKEN,
                          BYTES("Request is missing Authentication Token"));
    if (presigned) {
        struct sigv4_parameter parameters[SIGV4_QUERY_MAX];
        uint32_t count;
        enum status status = sigv4_query_read(arena, request->query, parameters, &count);
        if (status == STATUS_NO_MEMORY)
            return status;
        TRY(read_query_form(arena, parameters, count, claim, result));
    } else {
        TRY(read_header_form(arena, request, claim, result));
    }
    return split_credential(arena, claim, result);
}
