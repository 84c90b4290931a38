/* sign.h - a client's side of Signature Version 4: whole HTTP requests, signed.
 *
 * The signing key is derived once and kept as the two SHA-256 states that its HMAC starts from, so
 * that a request costs three hashes.  Source: AWS IAM User Guide, "Create a signed AWS API
 * request". */
#ifndef LOAD_SIGN_H
#define LOAD_SIGN_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/date.h"
#include "base/status.h"

#define SIGN_HOST_MAX   256u
#define SIGN_KEY_MAX    128u /* bytes of an access key, of a secret key */
#define SIGN_REGION_MAX 64u
#define SIGN_STATE_MAX  160u /* at least a SHA256_CTX; asserted where OpenSSL is known */

/* Who signs, for which endpoint; texts are copied by signer_init. */
struct signer_options {
    const char *host; /* as the Host field says it: "127.0.0.1:8000" */
    const char *access_key;
    const char *secret_key;
    const char *region;
};

struct signer {
    char host[SIGN_HOST_MAX];
    char scope[SIGN_REGION_MAX + 40]; /* day/region/service/terminator */
    char access_key[SIGN_KEY_MAX];
    char date[DATE_BASIC_BYTES + 1];
    _Alignas(16) uint8_t inner[SIGN_STATE_MAX];
    _Alignas(16) uint8_t outer[SIGN_STATE_MAX];
};

/* Sign for the second `wall_s` since 1970; what is signed is valid for 15 minutes.
 *   STATUS_TOO_LARGE  a text is longer than its bound */
MUST_USE enum status signer_init(struct signer *signer, const struct signer_options *options,
                                 uint64_t wall_s);

/* Append the HTTP request that asks for `target` ("DynamoDB_20120810.GetItem") with `body`. */
void signer_append(const struct signer *signer, const char *target, struct bytes body,
                   struct buffer *to);

#endif
