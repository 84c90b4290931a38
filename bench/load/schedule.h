/* schedule.h - when each request of an open loop is due, decided before any answer is seen.
 *
 * That is what keeps percentiles free of coordinated omission (Gil Tene's term): a stalled server
 * does not slow the arrivals, and the latency of a request counts from the time it was due.
 *
 * Invariants: (1) due times never decrease; (2) for even arrivals, request i is due at
 * start + i / rate, rounded down once: errors do not add up.
 */
#ifndef LOAD_SCHEDULE_H
#define LOAD_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"

#define SCHEDULE_RATE_MAX 10000000u /* requests a second */

struct schedule {
    uint64_t start_ns;
    uint64_t rate_per_s; /* 1..SCHEDULE_RATE_MAX */
    uint64_t index;      /* of the request that is due next */
    uint64_t due_ns;     /* when */
    bool poisson;        /* independent users instead of a metronome */
    double gaps_ns;      /* Poisson: the sum of the gaps so far */
    struct prng prng;
};

void schedule_init(struct schedule *schedule, uint64_t start_ns, uint64_t rate_per_s, bool poisson,
                   uint64_t seed);

/* Take the request that is due next, if its time has come: true, and *due_ns says when that was. */
bool schedule_take(struct schedule *schedule, uint64_t now_ns, uint64_t *due_ns);

#endif
