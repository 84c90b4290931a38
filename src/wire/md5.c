/* OpenSSL's MD5_* functions work on a context of the caller's and allocate nothing: see
 * sigv4_hash.c. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "wire/md5.h"

#include <openssl/md5.h>

_Static_assert(MD5_BYTES == MD5_DIGEST_LENGTH, "a hash is a hash");

void md5_hash(struct bytes bytes, uint8_t hash[MD5_BYTES])
{
    MD5_CTX context;
    MD5_Init(&context);
    MD5_Update(&context, bytes.at, bytes.count);
    MD5_Final(hash, &context);
}
