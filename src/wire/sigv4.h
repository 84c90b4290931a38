/* sigv4.h - AWS Signature Version 4: who signed this request, and is the signature right?
 *
 * Verifies the header form (Authorization: AWS4-HMAC-SHA256 Credential=..., SignedHeaders=...,
 * Signature=...) and the presigned form (X-Amz-* in the query), over the bytes as sent.  Source:
 * AWS IAM User Guide, "Create a signed AWS API request" and "Troubleshoot Signature Version 4
 * signing". The texts of refusals are the service's own, as it words them for DynamoDB.
 *
 * With credentials, keys come from `struct credentials` and the signature is recomputed.  Without,
 * the form is checked and any key and signature is accepted; no cryptography runs.
 *
 * The signing key of (access key, day, region, service) costs four HMACs; a verifier caches it as
 * the two SHA-256 states that its HMAC starts from, in a table of SIGV4_CACHE_ENTRIES.  Only a
 * signature that verified puts a key there.
 *
 * Invariants: (1) a signature is compared in constant time; (2) verification allocates nothing but
 * the text of a refusal, in the arena.
 */
#ifndef WIRE_SIGV4_H
#define WIRE_SIGV4_H

#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/compiler.h"
#include "base/hash_map.h"
#include "base/heap.h"
#include "base/pause.h"
#include "base/status.h"
#include "wire/http.h"

#define SIGV4_SKEW_S           900u /* a request is valid so long before and after its date */
#define SIGV4_CACHE_ENTRIES    64u
#define SIGV4_CREDENTIAL_MAX   256u   /* bytes of Credential=; a longer one names no known key */
#define CREDENTIALS_MAX        10000u /* keys in one file */
#define CREDENTIALS_KEY_MAX    128u   /* bytes of an access key */
#define CREDENTIALS_SECRET_MAX 128u   /* bytes of a secret key */

/* ---- The keys that are known ---- */

struct credentials {
    struct heap *heap;
    struct hash_map by_access_key; /* of struct credential */
};

/* An empty set.  `seed`: from env_random_u64. */
void credentials_init(struct credentials *credentials, struct heap *heap, uint64_t seed);
void credentials_release(struct credentials *credentials);

/* Add the keys of a file's content: a line is "ACCESS_KEY SECRET_KEY", blanks between; empty lines
 * and lines that begin with '#' say nothing.  On failure *line is the number (from 1) of the line
 * at fault and nothing was added.
 *   STATUS_INVALID    not two words, a word too long, or with bytes that no key has
 *   STATUS_EXISTS     an access key occurs twice
 *   STATUS_TOO_LARGE  more than CREDENTIALS_MAX keys
 *   STATUS_NO_MEMORY */
MUST_USE enum status credentials_parse(struct credentials *credentials, struct bytes file,
                                       uint32_t *line);

uint32_t credentials_count(const struct credentials *credentials);

/* ---- Verification ---- */

/* Why a request is refused; SIGV4_MISMATCH and those after it are all InvalidSignatureException. */
enum sigv4_failure {
    SIGV4_NONE,
    SIGV4_MISSING_TOKEN,
    SIGV4_INCOMPLETE,
    SIGV4_UNKNOWN_KEY,
    SIGV4_MISMATCH,
    SIGV4_EXPIRED,
    SIGV4_NOT_YET_CURRENT,
    SIGV4_SCOPE,
    SIGV4_BOTH_FORMS,
};

struct sigv4_result {
    enum sigv4_failure failure;
    struct bytes message;    /* of the refusal; static or in the arena */
    struct bytes access_key; /* in the request's memory; empty unless the request was accepted */
    struct bytes region;     /* of the credential scope; likewise */
};

struct sigv4_verifier;

/* A verifier.  `credentials` (not owned, outlives it) NULL: accept any key.  Takes about 50 KiB for
 * its cache with credentials, nothing to speak of without.
 *   STATUS_NO_MEMORY */
MUST_USE enum status sigv4_verifier_open(struct heap *heap, const struct credentials *credentials,
                                         uint64_t seed, struct sigv4_verifier **verifier);
void sigv4_verifier_close(struct sigv4_verifier *verifier);

/* Check the signature of `request` at the time wall_ns (nanoseconds since 1970); pauses over long
 * bodies.  *result is always filled in.
 *   STATUS_OK         accepted
 *   STATUS_DENIED     refused; result says how
 *   STATUS_NO_MEMORY  the text of the refusal did not fit the arena */
MUST_USE enum status sigv4_verify(struct sigv4_verifier *verifier, struct arena *arena,
                                  const struct http_request *request, uint64_t wall_ns,
                                  const struct pause *pause, struct sigv4_result *result);

#endif
