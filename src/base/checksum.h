/* checksum.h - XXH3-64: the checksum of pages, log records and messages, and the hash of partition
 * keys. */
#ifndef BASE_CHECKSUM_H
#define BASE_CHECKSUM_H

#include <stdint.h>

#include "base/bytes.h"

/* XXH3-64 of `bytes` with `seed`; the seed says what the bytes are for, so that the bytes of one
 * kind do not verify as another. */
uint64_t checksum64(struct bytes bytes, uint64_t seed);

#endif
