#include "base/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t checksum64(struct bytes bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.at, bytes.count, seed);
}
