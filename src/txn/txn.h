/* txn.h - the words that the parts of the transaction protocol share: identity, time, states.
 *
 * The protocol is that of Idziorek et al., "Distributed Transactions at Scale in Amazon DynamoDB",
 * USENIX ATC 2023: two phases, ordered by timestamps.  docs/transactions.md says it whole.
 */
#ifndef TXN_TXN_H
#define TXN_TXN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "base/status.h"

#define TXN_ITEMS_MAX 100u                   /* of one transaction */
#define TXN_BYTES_MAX (4u * 1024u * 1024u)   /* of its items, as the service counts */
#define TXN_LIFE_NS   UINT64_C(10000000000)  /* a coordinator acts no longer */
#define TXN_STALE_NS  UINT64_C(15000000000)  /* then a recovery takes over */
#define TXN_TOKEN_NS  UINT64_C(600000000000) /* a token is good for ten minutes */
#define TXN_LEDGER_NS UINT64_C(900000000000) /* completed rows of the ledger stay */

_Static_assert(TXN_LIFE_NS < TXN_STALE_NS, "a recovery does not race a healthy coordinator");
_Static_assert(TXN_STALE_NS + TXN_TOKEN_NS < TXN_LEDGER_NS,
               "a row outlives whoever may still ask for it");

/* Never used twice: begins with the coordinator's wall clock, and ends with random bytes. */
struct txn_id {
    uint8_t at[16];
};

static inline bool txn_id_equal(struct txn_id a, struct txn_id b)
{
    return memcmp(a.at, b.at, sizeof(a.at)) == 0;
}

/* What a transaction does to an item.  Values are stored. */
enum txn_kind {
    TXN_PUT = 1,    /* the item becomes the intent's image: Put, Update */
    TXN_DELETE = 2, /* the item becomes absent */
    TXN_CHECK = 3,  /* the item stays: ConditionCheck, or a write that changes nothing */
};

/* What the ledger says of a transaction.  COMPLETED keeps its outcome, so it is two states here.
 * Values are stored. */
enum txn_state {
    TXN_STATE_NONE = 0, /* there is no row */
    TXN_STATE_PREPARING = 1,
    TXN_STATE_COMMITTING = 2,
    TXN_STATE_CANCELLING = 3,
    TXN_STATE_COMMITTED = 4, /* COMPLETED, and committed */
    TXN_STATE_CANCELLED = 5, /* COMPLETED, and cancelled */
};
#define TXN_STATE_COUNT 6u

/* May the ledger go from one state to the other?  The table of docs/transactions.md; every put is
 * conditional on it. */
bool txn_state_may_follow(enum txn_state from, enum txn_state to);

static inline bool txn_state_commits(enum txn_state state)
{
    return state == TXN_STATE_COMMITTING || state == TXN_STATE_COMMITTED;
}

static inline bool txn_state_cancels(enum txn_state state)
{
    return state == TXN_STATE_CANCELLING || state == TXN_STATE_CANCELLED;
}

/* Gives transactions their timestamps: HLC, nanoseconds since 1970, strictly growing.  No
 * correctness rests on it; a clock that is behind makes transactions conflict, and learns. */
struct txn_clock {
    uint64_t last;
};

/* The next timestamp. */
uint64_t txn_clock_next(struct txn_clock *clock, uint64_t wall_ns);

/* A participant refused a timestamp because its item has `seen` already: go on above it. */
void txn_clock_observe(struct txn_clock *clock, uint64_t seen);

/* ---- Idempotency tokens ---- */

/* A token's row as it was found when a request came with that token. */
struct txn_token {
    uint8_t request_hash[16]; /* of the request's parameters, in canonical form */
    uint64_t created_ns;      /* wall clock */
    enum txn_state state;     /* of the transaction that it names */
};

enum txn_token_verdict {
    TXN_TOKEN_ANEW,     /* the row is of no use any more: replace it and go on */
    TXN_TOKEN_REPLAY,   /* done already: answer success, change nothing */
    TXN_TOKEN_PENDING,  /* TransactionInProgressException */
    TXN_TOKEN_MISMATCH, /* IdempotentParameterMismatchException */
};

/* What to do about a request whose token is there already.  Only success is remembered: a
 * transaction that was cancelled may be tried again under its token, with other parameters too. */
enum txn_token_verdict txn_token_judge(const struct txn_token *found,
                                       const uint8_t request_hash[16], uint64_t wall_ns);

#endif
