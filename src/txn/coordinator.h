/* coordinator.h - one transaction of several partitions, brought to its end, as a pure state
 * machine.
 *
 * The core takes one input and says what the shell must do: it reads no clock, allocates nothing,
 * does no I/O.  The shell (router/, a fiber) sends what the update says, all at once, and steps
 * each answer in as it comes.  The core knows partitions only by number: the shell has the items
 * of each, their results and the cancellation reasons.
 *
 * A first coordinator sends its ledger row, its token and its prepares together, decides when all
 * have been answered, and carries the decision out.  A recovery begins by reading the ledger.  Any
 * number of them may run for one transaction: what decides is the ledger's conditional put.
 *
 * Source: Idziorek et al., USENIX ATC 2023, section 3; docs/transactions.md.  The model is
 * spec/transactions.pml.
 *
 * Invariants (the numbers are used in the .c and in the tests):
 *   (1) commits are sent only after the ledger said COMMITTING or COMMITTED, cancels only after it
 *       said CANCELLING or CANCELLED; never both
 *   (2) COMMITTING is put only when every participant accepted, the row was inserted, and the
 *       token is this transaction's
 *   (3) one answer at most; COMMITTED only when every participant has applied it; CANCELLED and
 *       TOKEN_TAKEN only after the ledger says so
 *   (4) COMPLETED is put only when every participant has acknowledged the outcome
 *   (5) the row is inserted only in the first TXN_LIFE_NS
 */
#ifndef TXN_COORDINATOR_H
#define TXN_COORDINATOR_H

#include "txn/txn.h"

#define TXN_PREPARE_NS UINT64_C(2000000000) /* for all first answers; then it is cancelled */
#define TXN_RESEND_NS  UINT64_C(200000000)  /* between two attempts at what was not answered */

/* A set of participants. */
struct txn_set {
    uint64_t words[2];
};
_Static_assert(TXN_ITEMS_MAX <= 128, "each item may be a participant");

static inline bool txn_set_has(struct txn_set set, uint32_t index)
{
    return (set.words[index / 64] >> (index % 64) & 1) != 0;
}

static inline bool txn_set_empty(struct txn_set set)
{
    return (set.words[0] | set.words[1]) == 0;
}

/* ---- Inputs ---- */

enum txn_input_type {
    TXN_BEGIN,          /* the first input, and only once */
    TXN_PREPARE_ANSWER, /* of one participant */
    TXN_OUTCOME_ANSWER, /* .. to a commit or a cancel */
    TXN_LEDGER_ANSWER,  /* to a ledger action; only the last one's counts */
    TXN_TOKEN_ANSWER,   /* to insert_token */
    TXN_TIMEOUT,        /* the time of an update's timeout_ns has come */
};

enum txn_result {
    TXN_RESULT_OK,      /* prepared, applied, put, inserted */
    TXN_RESULT_REFUSED, /* a prepare: it wrote no intent.  The ledger: its condition does not
                           hold, `found` is what it says.  The token: another transaction has it */
    TXN_RESULT_UNKNOWN, /* no answer, or one that does not tell */
};

struct txn_input {
    uint64_t now_ns; /* monotonic, counts suspended time; never goes back */
    enum txn_input_type type;
    enum txn_result result;
    uint32_t participant;   /* PREPARE_ANSWER, OUTCOME_ANSWER */
    enum txn_state found;   /* LEDGER_ANSWER: REFUSED, and OK to TXN_LEDGER_READ */
    bool is_cancel;         /* OUTCOME_ANSWER: to which of the two */
    uint32_t ledger_number; /* LEDGER_ANSWER: to which update's */
};

/* ---- Updates ---- */

enum txn_ledger_action {
    TXN_LEDGER_NOTHING,
    TXN_LEDGER_INSERT,   /* PREPARING, if there is no row */
    TXN_LEDGER_COMMIT,   /* COMMITTING, if PREPARING */
    TXN_LEDGER_CANCEL,   /* CANCELLING, if PREPARING or there is no row */
    TXN_LEDGER_COMPLETE, /* COMMITTED, if COMMITTING; CANCELLED, if CANCELLING: see `commits` */
    TXN_LEDGER_READ,     /* strongly consistent */
};

enum txn_answer {
    TXN_ANSWER_NONE,
    TXN_ANSWER_COMMITTED,
    TXN_ANSWER_CANCELLED,   /* TransactionCanceledException, with the reasons that the shell has */
    TXN_ANSWER_TOKEN_TAKEN, /* this one did nothing: judge the token, txn_token_judge */
    TXN_ANSWER_UNKNOWN,     /* the deadline passed first: InternalServerError */
};

/* What to do after a step; all of it at once. */
struct txn_update {
    bool insert_token;
    enum txn_ledger_action ledger;
    bool commits;           /* with TXN_LEDGER_COMPLETE: the outcome */
    uint32_t ledger_number; /* of this ledger action, to come back with its answer */
    struct txn_set prepare, commit, cancel;
    enum txn_answer answer; /* to the client, now */
    uint64_t timeout_ns;    /* step TXN_TIMEOUT then, unless a later update says another time */
    bool ended;             /* nothing more is to be done, and no input changes anything */
};

/* ---- The coordinator ---- */

enum txn_phase {
    TXN_NEW,
    TXN_ASKING,     /* row, token, prepares are under way */
    TXN_DECIDING,   /* COMMITTING or CANCELLING is being put */
    TXN_READING,    /* what does the ledger say? */
    TXN_CARRYING,   /* the outcome is on its way to the participants */
    TXN_COMPLETING, /* COMPLETED is being put */
    TXN_ENDED,
};

struct txn_options {
    uint32_t participant_count; /* 1 to TXN_ITEMS_MAX */
    bool recovery;              /* somebody else began it; no client waits */
    bool with_token;
    uint64_t deadline_ns; /* the client's; monotonic.  Not for a recovery */
};

/* Embed by value in the owner.  Fields are read-only outside txn/. */
struct txn_coordinator {
    struct txn_options options;
    enum txn_phase phase;
    uint64_t begun_ns;
    uint64_t wait_ns;          /* in ASKING: then it is too late.  Else: then try again */
    bool row_asked, row_there; /* the ledger row's insertion */
    bool token_asked;
    bool token_taken;
    bool failed;    /* it cannot commit any more, as far as this coordinator is concerned */
    bool commits;   /* CARRYING, COMPLETING: the outcome */
    bool completed; /* somebody else put COMPLETED */
    bool answered;
    uint32_t ledger_number;     /* of the last action */
    enum txn_ledger_action put; /* DECIDING: which */
    struct txn_set asked;       /* prepares without an answer; outcomes not acknowledged */
    struct txn_set holding;     /* may have an intent */
    struct txn_set unclear; /* gave no clear answer once: may hold, though it refuses after that */
    uint32_t resends_left;  /* of prepares and of the row */
};

/* Set up in place; nothing to release later. */
void txn_coordinator_init(struct txn_coordinator *txn, const struct txn_options *options);

/* Step one input; *update is filled always.  What no longer fits is ignored. */
void txn_coordinator_step(struct txn_coordinator *txn, const struct txn_input *input,
                          struct txn_update *update);

#endif
