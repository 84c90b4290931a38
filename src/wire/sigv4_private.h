/* sigv4_private.h - the parts of signature verification; private to wire/.
 *
 * sigv4_claim.c reads what a request claims about itself; sigv4_hash.c computes what the signature
 * must be; sigv4.c decides; credentials.c knows the keys.
 */
#ifndef WIRE_SIGV4_PRIVATE_H
#define WIRE_SIGV4_PRIVATE_H

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include "wire/sigv4.h"

#define SIGV4_QUERY_MAX   64u     /* parameters of a query; with more no signature is right */
#define SIGV4_EXPIRES_MAX 604800u /* seconds that a presigned request can be valid */

/* ---- credentials.c ---- */

struct credential {
    uint8_t access_key[CREDENTIALS_KEY_MAX]; /* the map's key */
    uint8_t secret_key_count;
    uint8_t secret_key[CREDENTIALS_SECRET_MAX];
};

_Static_assert(CREDENTIALS_SECRET_MAX <= UINT8_MAX, "a length fits its field");

/* NULL: not known. */
const struct credential *credentials_find(const struct credentials *credentials,
                                          struct bytes access_key);

/* ---- sigv4_claim.c ---- */

/* What a request says about its signature; views into the request, or into the arena where the
 * query had to be decoded. */
struct sigv4_claim {
    bool presigned;
    struct bytes credential; /* the whole of it */
    struct bytes access_key; /* its five elements */
    struct bytes scope_date;
    struct bytes region;
    struct bytes service;
    struct bytes terminator;
    struct bytes scope;          /* its last four elements */
    struct bytes signed_headers; /* names, separated by ';' */
    struct bytes signature;
    struct bytes timestamp;
    uint32_t expires_s; /* of the presigned form; 0: not said */
};

/* Read the claim; only its form is checked.
 *   STATUS_OK         *claim is whole
 *   STATUS_DENIED     *result says why
 *   STATUS_NO_MEMORY */
MUST_USE enum status sigv4_claim_read(struct arena *arena, const struct http_request *request,
                                      struct sigv4_claim *claim, struct sigv4_result *result);

/* Refuse with this message; with STATUS_NO_MEMORY when its `at` is NULL. */
MUST_USE enum status sigv4_deny(struct sigv4_result *result, enum sigv4_failure failure,
                                struct bytes message);

/* One parameter of a query, decoded. */
struct sigv4_parameter {
    struct bytes name;
    struct bytes value;
};

/* Decode the parameters of `query` in the arena, in the order sent.
 *   STATUS_TOO_LARGE  more than SIGV4_QUERY_MAX; *count is that     STATUS_NO_MEMORY */
MUST_USE enum status sigv4_query_read(struct arena *arena, struct bytes query,
                                      struct sigv4_parameter parameters[SIGV4_QUERY_MAX],
                                      uint32_t *count);

/* ---- sigv4_hash.c ---- */

/* A key of HMAC-SHA-256 as the two states that it starts from: after the inner and the outer pad.
 */
struct sigv4_key {
    SHA256_CTX inner;
    SHA256_CTX outer;
};

#define SIGV4_HEX_BYTES 64u

/* A hash in lower-case hexadecimal digits. */
void sigv4_hex(const uint8_t hash[SHA256_DIGEST_LENGTH], uint8_t hex[SIGV4_HEX_BYTES]);

/* The signing key: HMAC(HMAC(HMAC(HMAC("AWS4" + secret, date), region), service), "aws4_request").
 */
void sigv4_key_derive(struct sigv4_key *key, struct bytes secret, const struct sigv4_claim *claim);

/* The hash of the body as it came; pauses. */
void sigv4_body_hash(const struct http_request *request, const struct pause *pause,
                     uint8_t hash[SHA256_DIGEST_LENGTH]);

/* What the signature of `request`, whose body has this hash, must be with `key`.
 *   STATUS_TOO_LARGE  the query has too many parameters     STATUS_NO_MEMORY */
MUST_USE enum status sigv4_sign(struct arena *arena, const struct sigv4_key *key,
                                const struct http_request *request,
                                const uint8_t body_hash[SHA256_DIGEST_LENGTH],
                                const struct sigv4_claim *claim,
                                uint8_t signature[SHA256_DIGEST_LENGTH]);

/* The same, signed or not: the hash of the canonical request. */
MUST_USE enum status sigv4_canonical_hash(struct arena *arena, const struct http_request *request,
                                          const uint8_t body_hash[SHA256_DIGEST_LENGTH],
                                          const struct sigv4_claim *claim,
                                          uint8_t hash[SHA256_DIGEST_LENGTH]);

#endif
