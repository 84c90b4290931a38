/* token_bucket.h - pace consumption to a rate, with a reserve for bursts and a memory of debt.
 *
 * A token is half a capacity unit (units.h).  The bucket gains `rate` tokens a second up to
 * `depth`; who wants to consume asks whether there is any token left, and is charged with what it
 * did consume.  That is often known only afterwards, so the level may fall below zero: a debt,
 * which has to be gained back before anybody is let in again.
 *
 * Pure: no clock, no allocation, no I/O.  `now_ns` is a wall clock that may jump: what it jumps
 * back counts as no time at all, what it jumps ahead fills the bucket at most.
 *
 * Invariants between calls
 *   (1) -TOKEN_DEBT_MAX <= level <= depth
 *   (2) while the clock does not jump and the debt stays below its bound, tokens charged over any
 *       span, less those of the requests that were let in last, are at most depth + rate * span
 */
#ifndef ADMISSION_TOKEN_BUCKET_H
#define ADMISSION_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

#define TOKEN_RATE_MAX  (UINT32_C(100000) * 100) /* hundredths of a token a second */
#define TOKEN_DEPTH_MAX UINT32_C(30000000)       /* 300 s of that rate */
#define TOKEN_DEBT_MAX  INT64_C(30000000)

/* Fields are read-only outside this module. */
struct token_bucket {
    uint64_t updated_ns; /* when `level` was true */
    int64_t level;       /* in 1e-11 tokens, so that what is gained is exact */
    uint32_t rate;       /* hundredths of a token gained per second */
    uint32_t depth;      /* tokens that it holds at most */
};

/* Set up a full bucket.  More than the bounds above is taken for the bound. */
void token_bucket_init(struct token_bucket *tb, uint32_t rate, uint32_t depth, uint64_t now_ns);

/* Change rate and depth; the level stays, but for what no longer fits. */
void token_bucket_change(struct token_bucket *tb, uint32_t rate, uint32_t depth, uint64_t now_ns);

/* Gain what is due; is there any token left? */
bool token_bucket_open(struct token_bucket *tb, uint64_t now_ns);

/* Take `tokens`, or give them back when negative. */
void token_bucket_charge(struct token_bucket *tb, int64_t tokens);

/* Forget what of the debt is beyond `tokens`. */
void token_bucket_forgive(struct token_bucket *tb, uint32_t tokens);

/* As token_bucket_charge, but never into debt: what the bucket does not have is not taken. */
void token_bucket_drain(struct token_bucket *tb, int64_t tokens);

/* Whole tokens at `now_ns`; negative: the debt. */
int64_t token_bucket_level(const struct token_bucket *tb, uint64_t now_ns);

#endif
