#include "admission/token_bucket.h"

#include "base/assert.h"
#include "base/compiler.h"

/* A rate of r hundredths of a token per second is exactly r of these per nanosecond. */
#define TOKEN INT64_C(100000000000)

_Static_assert(TOKEN_DEPTH_MAX <= INT64_MAX / 2 / TOKEN, "level, and the sum of two, fit");
_Static_assert(TOKEN_DEBT_MAX <= INT64_MAX / 2 / TOKEN, "level, and the sum of two, fit");

static int64_t full(const struct token_bucket *tb)
{
    return (int64_t)tb->depth * TOKEN;
}

/* The level at `now_ns`. */
static int64_t level_at(const struct token_bucket *tb, uint64_t now_ns)
{
    uint64_t elapsed_ns = now_ns > tb->updated_ns ? now_ns - tb->updated_ns : 0;
    uint64_t room = (uint64_t)(full(tb) - tb->level);
    /* By division: elapsed_ns * rate could overflow. */
    if (tb->rate > 0 && elapsed_ns > room / tb->rate)
        return full(tb);
    return tb->level + (int64_t)(elapsed_ns * tb->rate);
}

void token_bucket_init(struct token_bucket *tb, uint32_t rate, uint32_t depth, uint64_t now_ns)
{
    *tb = (struct token_bucket){.updated_ns = now_ns,
                                .rate = MIN(rate, TOKEN_RATE_MAX),
                                .depth = MIN(depth, TOKEN_DEPTH_MAX)};
    tb->level = full(tb);
}

void token_bucket_change(struct token_bucket *tb, uint32_t rate, uint32_t depth, uint64_t now_ns)
{
    tb->level = level_at(tb, now_ns);
    tb->updated_ns = now_ns;
    tb->rate = MIN(rate, TOKEN_RATE_MAX);
    tb->depth = MIN(depth, TOKEN_DEPTH_MAX);
    tb->level = MIN(tb->level, full(tb));
}

bool token_bucket_open(struct token_bucket *tb, uint64_t now_ns)
{
    tb->level = level_at(tb, now_ns);
    tb->updated_ns = now_ns;
    return tb->level > 0;
}

static int64_t bounded(int64_t tokens)
{
    return MIN(MAX(tokens, -TOKEN_DEBT_MAX), TOKEN_DEBT_MAX) * TOKEN;
}

void token_bucket_charge(struct token_bucket *tb, int64_t tokens)
{
    int64_t level = tb->level - bounded(tokens);
    tb->level = MIN(MAX(level, -TOKEN_DEBT_MAX * TOKEN), full(tb));
}

void token_bucket_forgive(struct token_bucket *tb, uint32_t tokens)
{
    int64_t most = (int64_t)MIN(tokens, TOKEN_DEPTH_MAX) * TOKEN;
    tb->level = MAX(tb->level, -most);
}

void token_bucket_drain(struct token_bucket *tb, int64_t tokens)
{
    int64_t level = tb->level - bounded(tokens);
    tb->level = MIN(MAX(level, 0), full(tb));
}

int64_t token_bucket_level(const struct token_bucket *tb, uint64_t now_ns)
{
    int64_t level = level_at(tb, now_ns);
    return level >= 0 ? level / TOKEN : -((-level + TOKEN - 1) / TOKEN);
}
