/* md5.h - MD5 (RFC 1321), for the checksums in the manifests of exports.  It guards against damage,
 * not against anybody. */
#ifndef WIRE_MD5_H
#define WIRE_MD5_H

#include <stdint.h>

#include "base/bytes.h"

#define MD5_BYTES 16u

/* Takes no memory; may be called in a job. */
void md5_hash(struct bytes bytes, uint8_t hash[MD5_BYTES]);

#endif
