/* What HTTP and signatures cost: a signed GetItem of about 540 bytes from a stream that costs
 * nothing to an answer of 220 bytes that goes nowhere; and its signature verified with the signing
 * key known. Prints nanoseconds an operation, the best of many rounds.
 */
#include <stdio.h>
#include <time.h>

#include "unit/wire/wire_env.h"
#include "wire/http.h"
#include "wire/sigv4.h"

#define ROUNDS      30
#define REPETITIONS 20000

static const char request_text[] =
    "POST / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nAccept-Encoding: identity\r\n"
    "X-Amz-Target: DynamoDB_20120810.GetItem\r\nContent-Type: application/x-amz-json-1.0\r\n"
    "User-Agent: Boto3/1.26.27 Python/3.11.2 Linux/6.1 Botocore/1.29.27\r\n"
    "X-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 Credential="
    "AKIDEXAMPLE/20260101/eu-west-1/dynamodb/aws4_request, SignedHeaders=content-type;host;"
    "x-amz-date;x-amz-target, Signature="
    "9342c48695692353bfb02a9b1359b547c23aeaebaa6c29e673546708991be80a\r\n"
    "Content-Length: 39\r\n\r\n{\"TableName\":\"t\",\"Key\":{\"a\":{\"S\":\"x\"}}}";

struct bench {
    struct wire_env world;
    struct sigv4_verifier *verifier;
    unsigned verifications; /* of each request */
    unsigned refused;
};

static void handle(struct context *ctx, void *owner, const struct http_request *request,
                   struct http_response *response)
{
    struct bench *b = owner;
    static const char answer[220] = "{";
    for (unsigned i = 0; i < b->verifications; i++) {
        struct sigv4_result result;
        b->refused += sigv4_verify(b->verifier, &ctx->arena, request, env_wall_ns(ctx->env),
                                   &result) != STATUS_OK;
    }
    buffer_append(&response->body, answer, sizeof(answer));
}

static enum status drop(struct env *env, struct env_stream *stream, const struct bytes *runs,
                        size_t run_count, size_t *queued_bytes)
{
    (void)env;
    (void)stream;
    (void)runs;
    (void)run_count;
    *queued_bytes = 0;
    return STATUS_OK;
}

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double measure(struct bench *b, struct env_stream *stream, unsigned verifications)
{
    double best = 1e18;
    b->verifications = verifications;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (int i = 0; i < REPETITIONS; i++)
            stream->events->on_read(stream->owner,
                                    bytes_of(request_text, sizeof(request_text) - 1));
        double each = (now_ns() - start) / REPETITIONS;
        best = each < best ? each : best;
    }
    return best;
}

int main(void)
{
    static struct bench b;
    wire_open(&b.world);
    b.world.ops.stream_write = drop;
    struct env *env = &b.world.tiny.env;
    struct credentials credentials;
    uint32_t line;
    credentials_init(&credentials, env->heap, 1);
    struct http_server_options options = http_server_options_default();
    options.handle = handle;
    options.owner = &b;
    struct http_server *server;
    if (fiber_pool_open(env, 4, 65536) != STATUS_OK ||
        credentials_parse(&credentials,
                          BYTES("AKIDEXAMPLE wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                          &line) != STATUS_OK ||
        sigv4_verifier_open(env->heap, &credentials, 1, &b.verifier) != STATUS_OK ||
        http_server_open(env, &options, &server) != STATUS_OK)
        return 1;
    struct env_stream *stream = wire_connect(&b.world);
    double http = measure(&b, stream, 0);
    double five = measure(&b, stream, 5);
    printf("a request's HTTP   %6.0f ns\nits signature      %6.0f ns\n", http, (five - http) / 5);
    return b.refused == 0 ? 0 : 1;
}
