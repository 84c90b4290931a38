#include "admission/partition_tokens.h"

#include "base/compiler.h"

#define HUNDREDTHS     100u
#define TOKENS_OF_UNIT 2u

struct partition_rate partition_rate_of(enum admission_kind kind, uint64_t units,
                                        uint32_t partitions)
{
    uint32_t most = TOKENS_OF_UNIT *
                    (kind == ADMISSION_READ ? PARTITION_READ_UNITS_MAX : PARTITION_WRITE_UNITS_MAX);
    uint64_t tokens = MIN(units, TOKEN_RATE_MAX / HUNDREDTHS) * TOKENS_OF_UNIT;
    uint64_t share = MIN(tokens * HUNDREDTHS / partitions, TOKEN_RATE_MAX);
    uint64_t stands_for = (share + HUNDREDTHS * most - 1) / (HUNDREDTHS * most);
    return (struct partition_rate){.share = (uint32_t)MAX(share, UINT64_C(1)),
                                   .maximum = (uint32_t)MAX(stands_for, UINT64_C(1)) * most};
}

static bool is_held(struct partition_rate rate)
{
    return rate.share > 0 || rate.maximum > 0;
}

static void set_rate(struct partition_tokens *pt, struct partition_rate rate, uint64_t now_ns)
{
    /* Rounded up: a share of less than a token a second would hold none. */
    uint32_t share_tokens = (rate.share + HUNDREDTHS - 1) / HUNDREDTHS;
    uint32_t kept_tokens =
        (uint32_t)(((uint64_t)rate.share * BURST_SECONDS + HUNDREDTHS - 1) / HUNDREDTHS);
    if (pt->rate.share == 0) { /* it was not held to one before: it begins with all it may keep */
        token_bucket_init(&pt->kept, rate.share, kept_tokens, now_ns);
        token_bucket_init(&pt->allocated, rate.share, share_tokens, now_ns);
    } else {
        token_bucket_change(&pt->kept, rate.share, kept_tokens, now_ns);
        token_bucket_change(&pt->allocated, rate.share, share_tokens, now_ns);
    }
    if (pt->rate.maximum == 0)
        token_bucket_init(&pt->maximum, rate.maximum * HUNDREDTHS, rate.maximum, now_ns);
    else
        token_bucket_change(&pt->maximum, rate.maximum * HUNDREDTHS, rate.maximum, now_ns);
    pt->rate = rate;
}

/* Has the node anything to spare?  Its bucket is charged for all that it does, held to a share or
 * not; of a debt only what a second cures is held against anybody. */
static bool node_spares(struct token_bucket *node, uint64_t now_ns)
{
    bool spares = token_bucket_open(node, now_ns);
    token_bucket_forgive(node, node->depth);
    return spares;
}

enum status partition_tokens_admit(struct partition_tokens *pt, struct partition_rate rate,
                                   struct token_bucket *node, uint32_t least, uint64_t now_ns)
{
    bool spare = node_spares(node, now_ns);
    if (LIKELY(!is_held(rate))) {
        token_bucket_charge(node, least);
        return STATUS_OK;
    }
    if (rate.share != pt->rate.share || rate.maximum != pt->rate.maximum)
        set_rate(pt, rate, now_ns);
    if (rate.share > 0) {
        if (!token_bucket_open(&pt->kept, now_ns))
            return STATUS_THROTTLED;
        if (!token_bucket_open(&pt->allocated, now_ns) && !spare)
            return STATUS_THROTTLED;
    }
    if (rate.maximum > 0 && !token_bucket_open(&pt->maximum, now_ns))
        return STATUS_HOT;
    partition_tokens_charge(pt, rate, node, least);
    return STATUS_OK;
}

void partition_tokens_charge(struct partition_tokens *pt, struct partition_rate rate,
                             struct token_bucket *node, int64_t tokens)
{
    if (rate.share > 0) {
        token_bucket_charge(&pt->kept, tokens);
        token_bucket_drain(&pt->allocated, tokens);
    }
    if (rate.maximum > 0)
        token_bucket_charge(&pt->maximum, tokens);
    token_bucket_charge(node, tokens);
}
