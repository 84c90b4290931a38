#include "txn/txn.h"

#include "base/assert.h"

bool txn_state_may_follow(enum txn_state from, enum txn_state to)
{
    switch (to) {
    case TXN_STATE_PREPARING:
        return from == TXN_STATE_NONE;
    case TXN_STATE_COMMITTING:
        return from == TXN_STATE_PREPARING;
    case TXN_STATE_CANCELLING:
        /* "Recovery of an unknown transaction first inserts": else the first coordinator could
         * still insert its row, and commit what was taken away. */
        return from == TXN_STATE_NONE || from == TXN_STATE_PREPARING;
    case TXN_STATE_COMMITTED:
        return from == TXN_STATE_COMMITTING;
    case TXN_STATE_CANCELLED:
        return from == TXN_STATE_CANCELLING;
    case TXN_STATE_NONE: /* rows are purged when they are old */
        return from == TXN_STATE_COMMITTED || from == TXN_STATE_CANCELLED;
    }
    return false;
}

uint64_t txn_clock_next(struct txn_clock *clock, uint64_t wall_ns)
{
    clock->last = wall_ns > clock->last ? wall_ns : clock->last + 1;
    return clock->last;
}

void txn_clock_observe(struct txn_clock *clock, uint64_t seen)
{
    if (seen > clock->last)
        clock->last = seen;
}

enum txn_token_verdict txn_token_judge(const struct txn_token *found,
                                       const uint8_t request_hash[16], uint64_t wall_ns)
{
    if (txn_state_cancels(found->state))
        return TXN_TOKEN_ANEW;
    bool expired = wall_ns > found->created_ns && wall_ns - found->created_ns >= TXN_TOKEN_NS;
    if (expired && found->state != TXN_STATE_PREPARING && found->state != TXN_STATE_COMMITTING)
        return TXN_TOKEN_ANEW;
    if (memcmp(found->request_hash, request_hash, sizeof(found->request_hash)) != 0)
        return TXN_TOKEN_MISMATCH;
    return found->state == TXN_STATE_COMMITTED ? TXN_TOKEN_REPLAY : TXN_TOKEN_PENDING;
}
