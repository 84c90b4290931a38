/* sigv4_fuzz.c - signature verification and the file of keys, fed with any bytes.
 *
 * The input is a request; its body is also read as a file of keys.  Checked: the sanitizers; that a
 * refusal has a text; that no request with a key that is not known is accepted. */
#include "base/assert.h"
#include "wire/http_parse.h"
#include "wire/sigv4_private.h"

#define NOW_NS (UINT64_C(1767225600) * 1000000000) /* 2026-01-01T00:00:00Z */

static void verify(struct heap *heap, const struct credentials *credentials,
                   const struct http_request *request)
{
    struct arena arena;
    struct sigv4_verifier *verifier;
    struct sigv4_result result;
    arena_init(&arena, heap, 1u << 20);
    ASSERT(sigv4_verifier_open(heap, credentials, 1, &verifier) == STATUS_OK);
    enum status status = sigv4_verify(verifier, &arena, request, NOW_NS, NULL, &result);
    ASSERT(status == STATUS_OK || status == STATUS_DENIED);
    if (status == STATUS_DENIED)
        ASSERT(result.failure != SIGV4_NONE && result.message.count > 0);
    else if (credentials != NULL)
        ASSERT(credentials_find(credentials, result.access_key) != NULL);
    sigv4_verifier_close(verifier);
    arena_release(&arena);
}

static void read_keys(struct heap *heap, struct bytes file)
{
    struct credentials credentials;
    uint32_t line = 0;
    credentials_init(&credentials, heap, 1);
    enum status status = credentials_parse(&credentials, file, &line);
    ASSERT(status == STATUS_OK || (line > 0 && credentials_count(&credentials) == 0));
    credentials_release(&credentials);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    struct heap heap;
    heap_init(&heap, false);
    struct http_server_options limits = http_server_options_default();
    struct http_parse parse;
    http_parse_init(&parse, &heap, &limits);
    if (count > 0 && http_parse_run(&parse, bytes_of(data, count)) == HTTP_PARSE_DONE) {
        struct http_header headers[HTTP_HEADERS_MAX];
        struct http_request request;
        http_parse_fill(&parse, data, headers, &request);
        request.raw_body = request.body = parse.chunked
                                              ? buffer_bytes(&parse.chunks)
                                              : bytes_of(data + parse.body.at, parse.body.count);
        struct credentials credentials;
        uint32_t line;
        credentials_init(&credentials, &heap, 1);
        ASSERT(credentials_parse(&credentials,
                                 BYTES("AKIDEXAMPLE wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                                 &line) == STATUS_OK);
        verify(&heap, &credentials, &request);
        verify(&heap, NULL, &request);
        credentials_release(&credentials);
        read_keys(&heap, request.body);
    }
    http_parse_release(&parse);
    ASSERT(heap.bytes_used == 0);
    return 0;
}
