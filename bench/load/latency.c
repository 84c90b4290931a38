#include "load/latency.h"

#include <math.h>

#define SUB_BITS 7u

_Static_assert(1u << SUB_BITS == LATENCY_SUB, "the two say the same");

/* Values below LATENCY_SUB have a bucket each; above, the SUB_BITS bits after the highest count. */
static uint32_t bucket_of(uint64_t ns)
{
    if (ns < LATENCY_SUB)
        return (uint32_t)ns;
    uint32_t power = 63u - (uint32_t)__builtin_clzll(ns);
    uint32_t within = (uint32_t)(ns >> (power - SUB_BITS)) & (LATENCY_SUB - 1);
    return (power - SUB_BITS + 1) * LATENCY_SUB + within;
}

/* The highest value of a bucket. */
static uint64_t bound_of(uint32_t bucket)
{
    if (bucket < LATENCY_SUB)
        return bucket;
    uint32_t shift = bucket / LATENCY_SUB - 1;
    uint64_t within = bucket % LATENCY_SUB + LATENCY_SUB;
    return ((within + 1) << shift) - 1;
}

void latency_record(struct latency *latency, uint64_t ns)
{
    latency->count++;
    latency->sum_ns += ns;
    if (ns > latency->max_ns)
        latency->max_ns = ns;
    latency->buckets[bucket_of(ns)]++;
}

uint64_t latency_percentile(const struct latency *latency, double share)
{
    uint64_t wanted = (uint64_t)ceil(share * (double)latency->count);
    uint64_t seen = 0;
    for (uint32_t i = 0; i < LATENCY_BUCKETS && latency->count > 0; i++) {
        seen += latency->buckets[i];
        if (seen >= wanted && seen > 0)
            return bound_of(i) < latency->max_ns ? bound_of(i) : latency->max_ns;
    }
    return latency->max_ns;
}
