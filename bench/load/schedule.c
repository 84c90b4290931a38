#include "load/schedule.h"

#include <math.h>

#define NS_PER_S 1000000000u

/* The exponential gap of a Poisson process, from a uniform number in (0, 1]. */
static double gap_ns(struct schedule *schedule)
{
    double uniform = ((double)(prng_u64(&schedule->prng) >> 11) + 1) * 0x1p-53;
    return -log(uniform) * NS_PER_S / (double)schedule->rate_per_s;
}

static uint64_t next_due_ns(struct schedule *schedule)
{
    if (schedule->poisson) {
        schedule->gaps_ns += gap_ns(schedule);
        return schedule->start_ns + (uint64_t)schedule->gaps_ns;
    }
    /* In two parts, so that the product fits: index / rate seconds, and the rest. */
    uint64_t seconds = schedule->index / schedule->rate_per_s;
    uint64_t rest = schedule->index % schedule->rate_per_s;
    return schedule->start_ns + seconds * NS_PER_S + rest * NS_PER_S / schedule->rate_per_s;
}

void schedule_init(struct schedule *schedule, uint64_t start_ns, uint64_t rate_per_s, bool poisson,
                   uint64_t seed)
{
    *schedule = (struct schedule){
        .start_ns = start_ns, .rate_per_s = rate_per_s, .due_ns = start_ns, .poisson = poisson};
    prng_init(&schedule->prng, seed);
}

bool schedule_take(struct schedule *schedule, uint64_t now_ns, uint64_t *due_ns)
{
    if (schedule->due_ns > now_ns)
        return false;
    *due_ns = schedule->due_ns;
    schedule->index++;
    schedule->due_ns = next_due_ns(schedule);
    return true;
}
