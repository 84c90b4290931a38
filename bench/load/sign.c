/* sign.c - written apart from wire/sigv4, which it is there to exercise.
 *
 * The SHA256_* functions work on a context of the caller's; OpenSSL's EVP allocates per hash. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "load/sign.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

#define BLOCK_BYTES   64u /* of SHA-256 */
#define HEX_BYTES     (2u * SHA256_DIGEST_LENGTH)
#define DAY_BYTES     8u /* "20260131" */
#define SERVICE       "dynamodb"
#define TERMINATOR    "aws4_request"
#define CONTENT_TYPE  "application/x-amz-json-1.0"
#define SIGNED        "content-type;host;x-amz-date;x-amz-target"
#define CANONICAL_MAX 1024u

_Static_assert(sizeof(SHA256_CTX) <= SIGN_STATE_MAX, "a state fits the struct signer");

static void hex_of(const uint8_t hash[SHA256_DIGEST_LENGTH], char hex[HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++) {
        hex[2 * i] = digits[hash[i] >> 4];
        hex[2 * i + 1] = digits[hash[i] & 15];
    }
}

/* HMAC's two starting states for a key of at most a block; longer ones are hashed (RFC 2104). */
static void key_states(const uint8_t *key, size_t count, uint8_t inner[SIGN_STATE_MAX],
                       uint8_t outer[SIGN_STATE_MAX])
{
    uint8_t block[BLOCK_BYTES] = {0};
    if (count > sizeof(block))
        SHA256(key, count, block);
    else
        memcpy(block, key, count);
    SHA256_CTX state;
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= 0x36;
    SHA256_Init(&state);
    SHA256_Update(&state, block, sizeof(block));
    memcpy(inner, &state, sizeof(state));
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] ^= 0x36 ^ 0x5c;
    SHA256_Init(&state);
    SHA256_Update(&state, block, sizeof(block));
    memcpy(outer, &state, sizeof(state));
}

static void mac_of(const struct signer *signer, const char *text, size_t count,
                   uint8_t mac[SHA256_DIGEST_LENGTH])
{
    SHA256_CTX state;
    memcpy(&state, signer->inner, sizeof(state));
    SHA256_Update(&state, text, count);
    SHA256_Final(mac, &state);
    memcpy(&state, signer->outer, sizeof(state));
    SHA256_Update(&state, mac, SHA256_DIGEST_LENGTH);
    SHA256_Final(mac, &state);
}

static void derive_key(struct signer *signer, const char *secret_key, const char *region)
{
    char first[4 + SIGN_KEY_MAX + 1];
    int count = snprintf(first, sizeof(first), "AWS4%s", secret_key);
    key_states((const uint8_t *)first, (size_t)count, signer->inner, signer->outer);
    char day[DAY_BYTES + 1];
    snprintf(day, sizeof(day), "%.8s", signer->date);
    const char *const steps[] = {day, region, SERVICE, TERMINATOR};
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        uint8_t mac[SHA256_DIGEST_LENGTH];
        mac_of(signer, steps[i], strlen(steps[i]), mac);
        key_states(mac, sizeof(mac), signer->inner, signer->outer);
    }
}

enum status signer_init(struct signer *signer, const struct signer_options *options,
                        uint64_t wall_s)
{
    bool fits =
        strlen(options->host) < SIGN_HOST_MAX && strlen(options->access_key) < SIGN_KEY_MAX &&
        strlen(options->secret_key) < SIGN_KEY_MAX && strlen(options->region) < SIGN_REGION_MAX;
    if (!fits)
        return STATUS_TOO_LARGE;
    date_format_basic(wall_s, signer->date);
    signer->date[DATE_BASIC_BYTES] = 0;
    snprintf(signer->host, sizeof(signer->host), "%s", options->host);
    snprintf(signer->access_key, sizeof(signer->access_key), "%s", options->access_key);
    snprintf(signer->scope, sizeof(signer->scope), "%.8s/%s/" SERVICE "/" TERMINATOR, signer->date,
             options->region);
    derive_key(signer, options->secret_key, options->region);
    return STATUS_OK;
}

static void signature_of(const struct signer *signer, const char *target, struct bytes body,
                         char signature[HEX_BYTES])
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    char hex[HEX_BYTES];
    SHA256(body.at, body.count, hash);
    hex_of(hash, hex);
    char text[CANONICAL_MAX];
    int count = snprintf(text, sizeof(text),
                         "POST\n/\n\ncontent-type:" CONTENT_TYPE "\nhost:%s\nx-amz-date:%s\n"
                         "x-amz-target:%s\n\n" SIGNED "\n%.*s",
                         signer->host, signer->date, target, (int)sizeof(hex), hex);
    ASSERT(count > 0 && (size_t)count < sizeof(text));
    SHA256((const uint8_t *)text, (size_t)count, hash);
    hex_of(hash, hex);
    count = snprintf(text, sizeof(text), "AWS4-HMAC-SHA256\n%s\n%s\n%.*s", signer->date,
                     signer->scope, (int)sizeof(hex), hex);
    ASSERT(count > 0 && (size_t)count < sizeof(text));
    mac_of(signer, text, (size_t)count, hash);
    hex_of(hash, signature);
}

void signer_append(const struct signer *signer, const char *target, struct bytes body,
                   struct buffer *to)
{
    char signature[HEX_BYTES];
    signature_of(signer, target, body, signature);
    buffer_append_format(to,
                         "POST / HTTP/1.1\r\nHost: %s\r\nX-Amz-Target: %s\r\n"
                         "Content-Type: " CONTENT_TYPE "\r\nX-Amz-Date: %s\r\n"
                         "Authorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=" SIGNED
                         ", Signature=%.*s\r\nContent-Length: %zu\r\n\r\n",
                         signer->host, target, signer->date, signer->access_key, signer->scope,
                         (int)sizeof(signature), signature, body.count);
    buffer_append_bytes(to, body);
}
