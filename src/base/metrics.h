/* metrics.h - counters and histograms that rooms keep in their own structs; ops/ prints them.
 *
 * A counter is a plain uint64_t.  A histogram counts nanoseconds in buckets whose bounds grow by
 * a quarter of a power of two, so that any quantile is known within a quarter; recording is a few
 * instructions and takes no memory.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 160u /* 4 per power of two: up to 2^40 ns, 18 minutes */

struct histogram {
    uint64_t count;
    uint64_t sum; /* of the recorded values */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline uint32_t histogram_bucket(uint64_t value)
{
    if (value < 4)
        return (uint32_t)value;
    uint32_t power = 63u - (uint32_t)__builtin_clzll(value);
    uint32_t bucket = (power - 1) * 4 + (uint32_t)((value >> (power - 2)) & 3);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static inline void histogram_record(struct histogram *h, uint64_t value)
{
    h->count++;
    h->sum += value;
    h->buckets[histogram_bucket(value)]++;
}

/* The lowest value above bucket `bucket`. */
uint64_t histogram_bound(uint32_t bucket);

#endif
