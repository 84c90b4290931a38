#include "base/metrics.h"

uint64_t histogram_bound(uint32_t bucket)
{
    if (bucket < 4)
        return bucket + 1u;
    uint32_t power = bucket / 4 + 1;
    uint64_t quarter = UINT64_C(1) << (power - 2);
    return (UINT64_C(1) << power) + (bucket % 4 + 1) * quarter;
}
