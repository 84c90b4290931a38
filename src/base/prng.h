/* prng.h - a small seeded generator (xoshiro256**, Blackman and Vigna 2018); not for secrets. */
#ifndef BASE_PRNG_H
#define BASE_PRNG_H

#include <stdbool.h>
#include <stdint.h>

struct prng {
    uint64_t state[4];
};

/* Seed by splitmix64, as its authors advise; any seed is good. */
static inline void prng_init(struct prng *prng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        seed += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        prng->state[i] = z ^ (z >> 31);
    }
}

static inline uint64_t prng_u64(struct prng *prng)
{
    uint64_t *s = prng->state;
    uint64_t m = s[1] * 5;
    uint64_t result = ((m << 7) | (m >> 57)) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = (s[3] << 45) | (s[3] >> 19);
    return result;
}

/* Uniform in [0, bound); bound > 0.  (Lemire's multiplication; the bias is below 2^-32 for bounds
 * below 2^32.) */
static inline uint64_t prng_below(struct prng *prng, uint64_t bound)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)(((wide)prng_u64(prng) * bound) >> 64);
}

/* True once in `n` on average. */
static inline bool prng_one_in(struct prng *prng, uint64_t n)
{
    return prng_below(prng, n) == 0;
}

#endif
