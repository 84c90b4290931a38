#include "txn/coordinator.h"

#include "base/assert.h"

#define RESENDS 8u /* of what got no clear answer, in the first phase */

/* ---- Sets ---- */

static struct txn_set set_of_all(uint32_t count)
{
    struct txn_set set = {{0}};
    for (uint32_t i = 0; i < count; i++)
        set.words[i / 64] |= UINT64_C(1) << (i % 64);
    return set;
}

static void set_add(struct txn_set *set, uint32_t index)
{
    set->words[index / 64] |= UINT64_C(1) << (index % 64);
}

static void set_remove(struct txn_set *set, uint32_t index)
{
    set->words[index / 64] &= ~(UINT64_C(1) << (index % 64));
}

/* ---- Ends ---- */

static void answer(struct txn_coordinator *txn, enum txn_answer what, struct txn_update *update)
{
    if (txn->answered || txn->options.recovery)
        return;
    txn->answered = true; /* (3) */
    if (what == TXN_ANSWER_CANCELLED && txn->token_taken)
        what = TXN_ANSWER_TOKEN_TAKEN;
    update->answer = what;
}

static void end(struct txn_coordinator *txn, struct txn_update *update)
{
    answer(txn, TXN_ANSWER_UNKNOWN, update);
    txn->phase = TXN_ENDED;
}

static void complete(struct txn_coordinator *txn, struct txn_update *update)
{
    ASSERT(txn_set_empty(txn->asked)); /* (4) */
    answer(txn, txn->commits ? TXN_ANSWER_COMMITTED : TXN_ANSWER_CANCELLED, update);
    if (txn->completed) {
        end(txn, update);
        return;
    }
    txn->phase = TXN_COMPLETING;
    update->ledger = TXN_LEDGER_COMPLETE;
    update->commits = txn->commits;
}

/* ---- The second phase ---- */

static void send_outcome(struct txn_coordinator *txn, struct txn_update *update)
{
    if (txn->commits)
        update->commit = txn->asked;
    else
        update->cancel = txn->asked;
}

/* The ledger has said so. */
static void carry_out(struct txn_coordinator *txn, enum txn_state said, struct txn_update *update)
{
    ASSERT(txn_state_commits(said) || txn_state_cancels(said)); /* (1) */
    txn->phase = TXN_CARRYING;
    txn->commits = txn_state_commits(said);
    txn->completed = said == TXN_STATE_COMMITTED || said == TXN_STATE_CANCELLED;
    txn->asked = txn->commits ? set_of_all(txn->options.participant_count) : txn->holding;
    send_outcome(txn, update);
    if (txn_set_empty(txn->asked))
        complete(txn, update);
}

/* ---- The decision ---- */

static void put(struct txn_coordinator *txn, enum txn_ledger_action what, struct txn_update *update)
{
    txn->phase = TXN_DECIDING;
    txn->put = what;
    update->ledger = what;
}

static void read_ledger(struct txn_coordinator *txn, struct txn_update *update)
{
    txn->phase = TXN_READING;
    update->ledger = TXN_LEDGER_READ;
}

/* Somebody's row was found: do what it says. */
static void follow(struct txn_coordinator *txn, enum txn_state found, struct txn_update *update)
{
    if (txn_state_commits(found) || txn_state_cancels(found)) {
        carry_out(txn, found, update);
    } else if (found == TXN_STATE_PREPARING || txn->options.recovery || txn->failed) {
        /* A recovery cannot know what the participants answered: it cancels.  Without a row too, so
         * that none can be inserted any more. */
        put(txn, txn->failed ? TXN_LEDGER_CANCEL : TXN_LEDGER_COMMIT, update);
    } else {
        end(txn, update); /* the row was purged while its coordinator lived */
    }
}

/* When everything has been answered, or nothing more is waited for. */
static void decide_if_ready(struct txn_coordinator *txn, struct txn_update *update)
{
    if (txn->row_asked || txn->token_asked || !txn_set_empty(txn->asked))
        return;
    ASSERT(txn->failed || txn->row_there); /* (2) */
    put(txn, txn->failed ? TXN_LEDGER_CANCEL : TXN_LEDGER_COMMIT, update);
}

/* ---- Answers ---- */

/* Ask again for what got no clear answer, if there is still a point. */
static bool may_resend(struct txn_coordinator *txn, uint64_t now_ns)
{
    if (txn->failed || txn->resends_left == 0 || now_ns >= txn->wait_ns)
        return false;
    txn->resends_left--;
    return true;
}

static void step_prepare(struct txn_coordinator *txn, const struct txn_input *input,
                         struct txn_update *update)
{
    uint32_t from = input->participant;
    if (txn->phase == TXN_CARRYING && !txn->commits && input->result != TXN_RESULT_REFUSED) {
        /* It may have been prepared after it was told to cancel. */
        set_add(&txn->asked, from);
        set_add(&update->cancel, from);
        return;
    }
    if (txn->phase != TXN_ASKING || !txn_set_has(txn->asked, from))
        return;
    if (input->result == TXN_RESULT_UNKNOWN && may_resend(txn, input->now_ns)) {
        set_add(&update->prepare, from);
        set_add(&txn->unclear, from);
        return;
    }
    set_remove(&txn->asked, from);
    txn->failed |= input->result != TXN_RESULT_OK;
    if (input->result == TXN_RESULT_REFUSED && !txn_set_has(txn->unclear, from))
        set_remove(&txn->holding, from);
    decide_if_ready(txn, update);
}

static void step_token(struct txn_coordinator *txn, const struct txn_input *input,
                       struct txn_update *update)
{
    if (txn->phase != TXN_ASKING || !txn->token_asked)
        return;
    if (input->result == TXN_RESULT_UNKNOWN && may_resend(txn, input->now_ns)) {
        update->insert_token = true;
        return;
    }
    txn->token_asked = false;
    txn->token_taken = input->result == TXN_RESULT_REFUSED;
    txn->failed |= input->result != TXN_RESULT_OK;
    decide_if_ready(txn, update);
}

static void step_row(struct txn_coordinator *txn, const struct txn_input *input,
                     struct txn_update *update)
{
    if (!txn->row_asked)
        return;
    if (input->result == TXN_RESULT_UNKNOWN && may_resend(txn, input->now_ns)) {
        ASSERT(input->now_ns - txn->begun_ns < TXN_LIFE_NS); /* (5) */
        update->ledger = TXN_LEDGER_INSERT;
        return;
    }
    txn->row_asked = false;
    /* Refused, but there: the first attempt did it. */
    txn->row_there = input->result == TXN_RESULT_OK ||
                     (input->result == TXN_RESULT_REFUSED && input->found == TXN_STATE_PREPARING);
    txn->failed |= !txn->row_there; /* else a recovery was here first */
    decide_if_ready(txn, update);
}

static void step_ledger(struct txn_coordinator *txn, const struct txn_input *input,
                        struct txn_update *update)
{
    if (input->ledger_number != txn->ledger_number)
        return; /* late: something else was asked since */
    switch (txn->phase) {
    case TXN_ASKING:
        step_row(txn, input, update);
        break;
    case TXN_DECIDING:
        /* Only the ledger knows: no answer is not a no. */
        if (input->result == TXN_RESULT_UNKNOWN)
            read_ledger(txn, update);
        else if (input->result == TXN_RESULT_REFUSED)
            follow(txn, input->found, update);
        else
            carry_out(txn,
                      txn->put == TXN_LEDGER_COMMIT ? TXN_STATE_COMMITTING : TXN_STATE_CANCELLING,
                      update);
        break;
    case TXN_READING:
        if (input->result != TXN_RESULT_UNKNOWN)
            follow(txn, input->found, update);
        break; /* else wait, and read again */
    case TXN_COMPLETING:
        end(txn, update); /* if it is not put, a recovery does it again */
        break;
    default:
        break;
    }
}

static void step_outcome(struct txn_coordinator *txn, const struct txn_input *input,
                         struct txn_update *update)
{
    if (txn->phase != TXN_CARRYING || input->result != TXN_RESULT_OK ||
        input->is_cancel == txn->commits || !txn_set_has(txn->asked, input->participant))
        return;
    set_remove(&txn->asked, input->participant);
    if (txn_set_empty(txn->asked))
        complete(txn, update);
}

/* ---- Time ---- */

static void step_timeout(struct txn_coordinator *txn, uint64_t now_ns, struct txn_update *update)
{
    if (!txn->options.recovery && !txn->answered && txn->phase != TXN_ASKING &&
        now_ns >= txn->options.deadline_ns) {
        bool cancelled = txn->phase == TXN_CARRYING && !txn->commits;
        answer(txn, cancelled ? TXN_ANSWER_CANCELLED : TXN_ANSWER_UNKNOWN, update);
    }
    if (now_ns < txn->wait_ns)
        return;
    if (txn->phase != TXN_ASKING && now_ns - txn->begun_ns >= TXN_LIFE_NS) {
        end(txn, update); /* the rest is left to a recovery */
        return;
    }
    switch (txn->phase) {
    case TXN_ASKING: /* what was not answered by now may have an intent, and is cancelled too */
        txn->failed = true;
        txn->row_asked = txn->token_asked = false;
        txn->asked = (struct txn_set){{0}};
        decide_if_ready(txn, update);
        break;
    case TXN_DECIDING:
    case TXN_READING:
        read_ledger(txn, update);
        break;
    case TXN_CARRYING:
        send_outcome(txn, update);
        break;
    case TXN_COMPLETING:
        end(txn, update);
        break;
    default:
        break;
    }
}

static void step_begin(struct txn_coordinator *txn, uint64_t now_ns, struct txn_update *update)
{
    if (txn->phase != TXN_NEW)
        return;
    txn->begun_ns = now_ns;
    txn->holding = set_of_all(txn->options.participant_count);
    if (txn->options.recovery) {
        txn->failed = true; /* it can only cancel what is not yet decided */
        read_ledger(txn, update);
        return;
    }
    txn->phase = TXN_ASKING;
    txn->asked = txn->holding;
    txn->row_asked = true;
    txn->token_asked = txn->options.with_token;
    update->prepare = txn->asked;
    update->ledger = TXN_LEDGER_INSERT;
    update->insert_token = txn->token_asked;
    txn->wait_ns = now_ns + TXN_PREPARE_NS;
    if (txn->options.deadline_ns < txn->wait_ns)
        txn->wait_ns = txn->options.deadline_ns;
}

/* ---- The interface ---- */

void txn_coordinator_init(struct txn_coordinator *txn, const struct txn_options *options)
{
    ASSERT(options->participant_count > 0);
    ASSERT(options->participant_count <= TXN_ITEMS_MAX);
    *txn = (struct txn_coordinator){.options = *options, .resends_left = RESENDS};
}

/* When to look again: at what was not answered, and at the client's deadline. */
static uint64_t timeout_of(struct txn_coordinator *txn, uint64_t now_ns)
{
    if (txn->phase == TXN_ENDED)
        return UINT64_MAX;
    if (txn->phase != TXN_ASKING && txn->wait_ns <= now_ns)
        txn->wait_ns = now_ns + TXN_RESEND_NS;
    bool waits = !txn->options.recovery && !txn->answered && txn->phase != TXN_ASKING;
    if (waits && txn->options.deadline_ns < txn->wait_ns && txn->options.deadline_ns > now_ns)
        return txn->options.deadline_ns;
    return txn->wait_ns;
}

void txn_coordinator_step(struct txn_coordinator *txn, const struct txn_input *input,
                          struct txn_update *update)
{
    *update = (struct txn_update){0};
    enum txn_phase before = txn->phase;
    bool from_one = input->type == TXN_PREPARE_ANSWER || input->type == TXN_OUTCOME_ANSWER;
    ASSERT(!from_one || input->participant < txn->options.participant_count);
    if (txn->phase != TXN_NEW || input->type == TXN_BEGIN) {
        switch (input->type) {
        case TXN_BEGIN:
            step_begin(txn, input->now_ns, update);
            break;
        case TXN_PREPARE_ANSWER:
            step_prepare(txn, input, update);
            break;
        case TXN_OUTCOME_ANSWER:
            step_outcome(txn, input, update);
            break;
        case TXN_LEDGER_ANSWER:
            step_ledger(txn, input, update);
            break;
        case TXN_TOKEN_ANSWER:
            step_token(txn, input, update);
            break;
        case TXN_TIMEOUT:
            step_timeout(txn, input->now_ns, update);
            break;
        }
    }
    if (txn->phase != before && txn->phase != TXN_ASKING)
        txn->wait_ns = input->now_ns + TXN_RESEND_NS;
    if (update->ledger != TXN_LEDGER_NOTHING)
        update->ledger_number = ++txn->ledger_number;
    update->timeout_ns = timeout_of(txn, input->now_ns);
    update->ended = txn->phase == TXN_ENDED;
}
