/* latency.h - a histogram of latencies fine enough for tail percentiles.
 *
 * Buckets are linear within each power of two (LATENCY_SUB of them), as in HdrHistogram, so that a
 * percentile is known within 0.8 %; the maximum is exact.  base/metrics.h has a coarser one, meant
 * for a server's hot path.
 */
#ifndef LOAD_LATENCY_H
#define LOAD_LATENCY_H

#include <stdint.h>

#define LATENCY_SUB     128u                           /* buckets of one power of two */
#define LATENCY_BUCKETS ((64u - 7u + 1) * LATENCY_SUB) /* all of uint64_t */

struct latency {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t max_ns;
    uint32_t buckets[LATENCY_BUCKETS];
};

void latency_record(struct latency *latency, uint64_t ns);

/* The least bucket bound that at least `share` (0..1] of the recorded values do not pass, and never
 * more than the maximum; 0 when nothing was recorded. */
uint64_t latency_percentile(const struct latency *latency, double share);

#endif
