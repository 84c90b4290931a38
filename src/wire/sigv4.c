#include "wire/sigv4.h"

#include <string.h>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/date.h"
#include "wire/sigv4_private.h"

#define CACHE_WAYS 4u /* entries that one credential may be in */
#define CACHE_SETS (SIGV4_CACHE_ENTRIES / CACHE_WAYS)

_Static_assert((CACHE_SETS & (CACHE_SETS - 1)) == 0, "a set is picked by the hash's low bits");

/* The signing key of one credential: access key, day, region and service. */
struct cache_entry {
    uint64_t used; /* when last, by the verifier's count; 0: empty */
    size_t credential_count;
    uint8_t credential[SIGV4_CREDENTIAL_MAX];
    struct sigv4_key key;
};

struct sigv4_verifier {
    struct heap *heap;
    const struct credentials *credentials; /* NULL: any key is accepted */
    uint64_t seed;
    uint64_t uses;
    struct cache_entry *entries; /* NULL without credentials */
};

enum status sigv4_verifier_open(struct heap *heap, const struct credentials *credentials,
                                uint64_t seed, struct sigv4_verifier **verifier_out)
{
    struct sigv4_verifier *verifier = heap_alloc_zero(heap, sizeof(*verifier));
    if (verifier == NULL)
        return STATUS_NO_MEMORY;
    verifier->heap = heap;
    verifier->credentials = credentials;
    verifier->seed = seed;
    if (credentials != NULL) {
        verifier->entries = heap_alloc_zero(heap, SIGV4_CACHE_ENTRIES * sizeof(struct cache_entry));
        if (verifier->entries == NULL) {
            heap_free(heap, verifier, sizeof(*verifier));
            return STATUS_NO_MEMORY;
        }
    }
    *verifier_out = verifier;
    return STATUS_OK;
}

void sigv4_verifier_close(struct sigv4_verifier *verifier)
{
    if (verifier->entries != NULL) {
        OPENSSL_cleanse(verifier->entries, SIGV4_CACHE_ENTRIES * sizeof(struct cache_entry));
        heap_free(verifier->heap, verifier->entries,
                  SIGV4_CACHE_ENTRIES * sizeof(struct cache_entry));
    }
    heap_free(verifier->heap, verifier, sizeof(*verifier));
}

/* ---- The cache ---- */

static struct cache_entry *set_of(struct sigv4_verifier *verifier, struct bytes credential)
{
    uint64_t hash = checksum64(credential, verifier->seed);
    return &verifier->entries[(hash & (CACHE_SETS - 1)) * CACHE_WAYS];
}

static struct cache_entry *cache_find(struct sigv4_verifier *verifier, struct cache_entry *set,
                                      struct bytes credential)
{
    for (size_t i = 0; i < CACHE_WAYS; i++) {
        struct cache_entry *entry = &set[i];
        if (entry->used > 0 &&
            bytes_equal(bytes_of(entry->credential, entry->credential_count), credential)) {
            entry->used = ++verifier->uses;
            return entry;
        }
    }
    return NULL;
}

static void cache_put(struct sigv4_verifier *verifier, struct cache_entry *set,
                      struct bytes credential, const struct sigv4_key *key)
{
    struct cache_entry *oldest = &set[0];
    for (size_t i = 1; i < CACHE_WAYS; i++)
        if (set[i].used < oldest->used)
            oldest = &set[i];
    oldest->used = ++verifier->uses;
    oldest->credential_count = credential.count;
    memcpy(oldest->credential, credential.at, credential.count);
    oldest->key = *key;
}

/* ---- Refusals ---- */

/* IAM User Guide, "Troubleshoot Signature Version 4 signing", Credential scope errors; seen in
 * aws/aws-sdk-ruby#431 and JuliaCloud/AWS.jl#334 ("correct service"), arnemolland/sigv4#15
 * (DynamoDB). Every region is served: all of them see the same tables. */
static enum status check_scope(struct arena *arena, const struct sigv4_claim *claim,
                               struct sigv4_result *result)
{
    if (!bytes_equal(claim->terminator, BYTES("aws4_request")))
        return sigv4_deny(result, SIGV4_SCOPE,
                          arena_format(arena,
                                       "Credential should be scoped with a valid terminator: "
                                       "'aws4_request', not '%.*s'. ",
                                       BYTES_ARGS(claim->terminator)));
    if (!bytes_equal(claim->service, BYTES("dynamodb")))
        return sigv4_deny(result, SIGV4_SCOPE,
                          BYTES("Credential should be scoped to correct service: 'dynamodb'. "));
    if (claim->region.count == 0)
        return sigv4_deny(result, SIGV4_SCOPE,
                          BYTES("Credential should be scoped to a valid region, not ''. "));
    if (!bytes_equal(claim->scope_date, bytes_of(claim->timestamp.at, 8)))
        return sigv4_deny(
            result, SIGV4_SCOPE,
            arena_format(arena,
                         "Date in Credential scope does not match YYYYMMDD from ISO-8601 "
                         "version of date from HTTP: '%.*s' != '%.*s', from '%.*s'.",
                         BYTES_ARGS(claim->scope_date), 8, (const char *)claim->timestamp.at,
                         BYTES_ARGS(claim->timestamp)));
    return STATUS_OK;
}

/* Seen with DynamoDB in aws/aws-sdk-js#254 (expired) and aws/aws-sdk-js#2565 (not yet current). */
static enum status deny_time(struct arena *arena, const struct sigv4_claim *claim, bool expired,
                             uint64_t now_s, uint64_t window_s, struct sigv4_result *result)
{
    char now[DATE_BASIC_BYTES];
    char limit[DATE_BASIC_BYTES];
    date_format_basic(now_s, now);
    date_format_basic(expired ? now_s - MIN(now_s, window_s) : now_s + window_s, limit);
    return sigv4_deny(
        result, expired ? SIGV4_EXPIRED : SIGV4_NOT_YET_CURRENT,
        arena_format(arena, "Signature %s: %.*s is %s than %.*s (%.*s %c %u min.)",
                     expired ? "expired" : "not yet current", BYTES_ARGS(claim->timestamp),
                     expired ? "now earlier" : "still later", (int)sizeof(limit), limit,
                     (int)sizeof(now), now, expired ? '-' : '+', (unsigned)(window_s / 60)));
}

static enum status check_time(struct arena *arena, const struct sigv4_claim *claim,
                              uint64_t signed_s, uint64_t now_s, struct sigv4_result *result)
{
    uint64_t window_s = claim->expires_s > 0 ? claim->expires_s : SIGV4_SKEW_S;
    if (signed_s + window_s < now_s)
        return deny_time(arena, claim, true, now_s, window_s, result);
    if (signed_s > now_s + SIGV4_SKEW_S)
        return deny_time(arena, claim, false, now_s, SIGV4_SKEW_S, result);
    return STATUS_OK;
}

/* ---- The signature ---- */

/* "host" is one of the signed headers; the others are the client's choice. */
static bool signs_host(struct bytes signed_headers)
{
    for (struct bytes rest = signed_headers; rest.count > 0;) {
        const uint8_t *end = memchr(rest.at, ';', rest.count);
        struct bytes name = bytes_of(rest.at, end != NULL ? (size_t)(end - rest.at) : rest.count);
        if (bytes_equal(name, BYTES("host")))
            return true;
        rest = bytes_after(rest, name.count + (end != NULL));
    }
    return false;
}

static enum status check_signature(struct sigv4_verifier *verifier, struct arena *arena,
                                   const struct http_request *request, const struct pause *pause,
                                   const struct sigv4_claim *claim, struct sigv4_result *result)
{
    const struct credential *credential = NULL;
    if (claim->credential.count <= SIGV4_CREDENTIAL_MAX)
        credential = credentials_find(verifier->credentials, claim->access_key);
    if (credential == NULL)
        return sigv4_deny(result, SIGV4_UNKNOWN_KEY,
                          BYTES("The security token included in the request is invalid."));
    if (!signs_host(claim->signed_headers))
        return sigv4_deny(result, SIGV4_MISMATCH,
                          BYTES("'Host' or ':authority' must be a 'SignedHeader' in the AWS "
                                "Authorization."));
    /* Pauses: credentials stay as they are, the cache does not. */
    uint8_t body_hash[SHA256_DIGEST_LENGTH];
    sigv4_body_hash(request, pause, body_hash);
    struct cache_entry *set = set_of(verifier, claim->credential);
    const struct cache_entry *entry = cache_find(verifier, set, claim->credential);
    struct sigv4_key fresh;
    if (entry == NULL)
        sigv4_key_derive(&fresh, bytes_of(credential->secret_key, credential->secret_key_count),
                         claim);
    uint8_t expected[SHA256_DIGEST_LENGTH];
    uint8_t hex[SIGV4_HEX_BYTES];
    enum status status = sigv4_sign(arena, entry != NULL ? &entry->key : &fresh, request, body_hash,
                                    claim, expected);
    if (status == STATUS_OK)
        sigv4_hex(expected, hex);
    bool right = status == STATUS_OK && claim->signature.count == sizeof(hex) &&
                 CRYPTO_memcmp(claim->signature.at, hex, sizeof(hex)) == 0;
    if (entry == NULL && right)
        cache_put(verifier, set, claim->credential, &fresh);
    if (entry == NULL)
        OPENSSL_cleanse(&fresh, sizeof(fresh));
    if (status == STATUS_NO_MEMORY)
        return status;
    if (!right)
        return sigv4_deny(
            result, SIGV4_MISMATCH,
            BYTES("The request signature we calculated does not match the signature you "
                  "provided. Check your AWS Secret Access Key and signing method. Consult "
                  "the service documentation for details."));
    return STATUS_OK;
}

enum status sigv4_verify(struct sigv4_verifier *verifier, struct arena *arena,
                         const struct http_request *request, uint64_t wall_ns,
                         const struct pause *pause, struct sigv4_result *result)
{
    struct sigv4_claim claim;
    *result = (struct sigv4_result){0};
    TRY(sigv4_claim_read(arena, request, &claim, result));
    if (verifier->credentials != NULL) {
        uint64_t signed_s;
        if (!date_parse_basic(claim.timestamp, &signed_s))
            return sigv4_deny(
                result, SIGV4_INCOMPLETE,
                arena_format(arena,
                             "Date must be in ISO-8601 'basic format'. Got '%.*s'. See "
                             "http://en.wikipedia.org/wiki/ISO_8601",
                             BYTES_ARGS(claim.timestamp)));
        TRY(check_scope(arena, &claim, result));
        TRY(check_time(arena, &claim, signed_s, wall_ns / 1000000000u, result));
        TRY(check_signature(verifier, arena, request, pause, &claim, result));
    }
    result->access_key = claim.access_key;
    result->region = claim.region;
    return STATUS_OK;
}
