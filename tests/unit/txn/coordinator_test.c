/* The coordinator, one transaction at a time: each step of the protocol, each answer it may get. */
#include "txn/coordinator.h"

#include "unit/cmocka_headers.h"

#define SECOND UINT64_C(1000000000)

static struct txn_coordinator txn;
static struct txn_update update;
static uint64_t now_ns;

static void step(struct txn_input input)
{
    input.now_ns = now_ns;
    input.ledger_number = txn.ledger_number;
    txn_coordinator_step(&txn, &input, &update);
}

static void begin(uint32_t participants, bool with_token)
{
    now_ns = 100 * SECOND;
    struct txn_options options = {.participant_count = participants,
                                  .with_token = with_token,
                                  .deadline_ns = now_ns + 5 * SECOND};
    txn_coordinator_init(&txn, &options);
    step((struct txn_input){.type = TXN_BEGIN});
}

static void begin_recovery(uint32_t participants)
{
    now_ns = 100 * SECOND;
    struct txn_options options = {.participant_count = participants, .recovery = true};
    txn_coordinator_init(&txn, &options);
    step((struct txn_input){.type = TXN_BEGIN});
    assert_int_equal(update.ledger, TXN_LEDGER_READ);
    assert_true(txn_set_empty(update.prepare));
}

static void prepared(uint32_t participant, enum txn_result result)
{
    step((struct txn_input){
        .type = TXN_PREPARE_ANSWER, .participant = participant, .result = result});
}

static void ledger(enum txn_result result, enum txn_state found)
{
    step((struct txn_input){.type = TXN_LEDGER_ANSWER, .result = result, .found = found});
}

static void acknowledged(uint32_t participant)
{
    step((struct txn_input){
        .type = TXN_OUTCOME_ANSWER, .participant = participant, .is_cancel = !txn.commits});
}

static void timeout_after(uint64_t ns)
{
    now_ns += ns;
    step((struct txn_input){.type = TXN_TIMEOUT});
}

static void assert_set(struct txn_set set, uint64_t expected)
{
    assert_true(set.words[0] == expected);
    assert_true(set.words[1] == 0);
}

/* Two participants, all accepted: COMMITTING is being put. */
static void decided_to_commit(void)
{
    begin(2, false);
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    prepared(0, TXN_RESULT_OK);
    prepared(1, TXN_RESULT_OK);
    assert_int_equal(update.ledger, TXN_LEDGER_COMMIT);
}

static void all_is_asked_at_once_and_decided_when_all_have_answered(void **state)
{
    (void)state;
    begin(2, true);
    assert_int_equal(update.ledger, TXN_LEDGER_INSERT);
    assert_true(update.insert_token);
    assert_set(update.prepare, 3);
    prepared(1, TXN_RESULT_OK);
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    prepared(0, TXN_RESULT_OK);
    assert_int_equal(update.ledger, TXN_LEDGER_NOTHING); /* the token is still asked for */
    step((struct txn_input){.type = TXN_TOKEN_ANSWER});
    assert_int_equal(update.ledger, TXN_LEDGER_COMMIT);
    assert_set(update.commit, 0);
}

static void a_commit_is_answered_when_all_have_applied_it(void **state)
{
    (void)state;
    decided_to_commit();
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    assert_set(update.commit, 3);
    assert_set(update.cancel, 0);
    acknowledged(1);
    assert_int_equal(update.answer, TXN_ANSWER_NONE);
    acknowledged(0);
    assert_int_equal(update.answer, TXN_ANSWER_COMMITTED);
    assert_int_equal(update.ledger, TXN_LEDGER_COMPLETE);
    assert_true(update.commits);
    ledger(TXN_RESULT_UNKNOWN, TXN_STATE_NONE);
    assert_true(update.ended);
}

static void a_refusal_cancels_those_that_may_have_an_intent(void **state)
{
    (void)state;
    begin(3, false);
    prepared(0, TXN_RESULT_OK);
    prepared(1, TXN_RESULT_REFUSED);
    assert_int_equal(update.ledger, TXN_LEDGER_NOTHING); /* the reasons of all are wanted */
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    prepared(2, TXN_RESULT_OK);
    assert_int_equal(update.ledger, TXN_LEDGER_CANCEL);
    assert_set(update.cancel, 0);
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    assert_set(update.cancel, 5);
    acknowledged(0);
    acknowledged(2);
    assert_int_equal(update.answer, TXN_ANSWER_CANCELLED);
    assert_int_equal(update.ledger, TXN_LEDGER_COMPLETE);
    assert_false(update.commits);
}

static void refused_by_all_there_is_nothing_to_cancel(void **state)
{
    (void)state;
    begin(1, false);
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    prepared(0, TXN_RESULT_REFUSED);
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    assert_set(update.cancel, 0);
    assert_int_equal(update.answer, TXN_ANSWER_CANCELLED);
    assert_int_equal(update.ledger, TXN_LEDGER_COMPLETE);
}

static void an_unclear_prepare_is_sent_again_a_few_times(void **state)
{
    (void)state;
    begin(2, false);
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    prepared(0, TXN_RESULT_OK);
    uint32_t again = 0;
    for (; update.ledger == TXN_LEDGER_NOTHING; again++) {
        assert_in_range(again, 0, 100);
        prepared(1, TXN_RESULT_UNKNOWN);
        if (update.ledger == TXN_LEDGER_NOTHING)
            assert_set(update.prepare, 2);
    }
    assert_in_range(again, 2, 20);
    assert_int_equal(update.ledger, TXN_LEDGER_CANCEL);
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    assert_set(update.cancel, 3); /* the unclear one too */
}

static void who_does_not_answer_in_time_is_cancelled_with_the_others(void **state)
{
    (void)state;
    begin(2, true);
    prepared(0, TXN_RESULT_OK);
    timeout_after(TXN_PREPARE_NS - 1);
    assert_int_equal(update.ledger, TXN_LEDGER_NOTHING);
    timeout_after(1);
    assert_int_equal(update.ledger, TXN_LEDGER_CANCEL);
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    assert_set(update.cancel, 3);
    acknowledged(0);
    acknowledged(1);
    assert_int_equal(update.answer, TXN_ANSWER_CANCELLED);
}

/* What gave no clear answer at first may have written some intents. */
static void who_refuses_at_the_second_time_is_cancelled_too(void **state)
{
    (void)state;
    begin(3, false);
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    prepared(0, TXN_RESULT_UNKNOWN);
    assert_set(update.prepare, 1);
    prepared(1, TXN_RESULT_OK);
    prepared(0, TXN_RESULT_REFUSED);
    prepared(2, TXN_RESULT_REFUSED);
    assert_int_equal(update.ledger, TXN_LEDGER_CANCEL);
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    assert_set(update.cancel, 3);
}

static void a_prepare_that_is_answered_after_the_cancel_is_cancelled_again(void **state)
{
    (void)state;
    begin(2, false);
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    prepared(0, TXN_RESULT_OK);
    timeout_after(TXN_PREPARE_NS);
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    acknowledged(1);
    prepared(1, TXN_RESULT_OK);
    assert_set(update.cancel, 2);
    acknowledged(0);
    assert_int_equal(update.ledger, TXN_LEDGER_NOTHING);
    acknowledged(1);
    assert_int_equal(update.answer, TXN_ANSWER_CANCELLED);
}

static void a_row_that_a_recovery_inserted_cancels(void **state)
{
    (void)state;
    begin(1, false);
    prepared(0, TXN_RESULT_OK);
    ledger(TXN_RESULT_REFUSED, TXN_STATE_CANCELLING);
    assert_int_equal(update.ledger, TXN_LEDGER_CANCEL);
    ledger(TXN_RESULT_REFUSED, TXN_STATE_CANCELLED);
    assert_set(update.cancel, 1);
    acknowledged(0);
    assert_int_equal(update.answer, TXN_ANSWER_CANCELLED);
    assert_int_equal(update.ledger, TXN_LEDGER_NOTHING); /* it is COMPLETED already */
    assert_true(update.ended);
}

static void a_row_whose_insertion_was_unclear_is_its_own(void **state)
{
    (void)state;
    begin(1, false);
    prepared(0, TXN_RESULT_OK);
    ledger(TXN_RESULT_UNKNOWN, TXN_STATE_NONE);
    assert_int_equal(update.ledger, TXN_LEDGER_INSERT);
    ledger(TXN_RESULT_REFUSED, TXN_STATE_PREPARING);
    assert_int_equal(update.ledger, TXN_LEDGER_COMMIT);
}

static void a_taken_token_cancels_and_is_said(void **state)
{
    (void)state;
    begin(1, true);
    prepared(0, TXN_RESULT_OK);
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    step((struct txn_input){.type = TXN_TOKEN_ANSWER, .result = TXN_RESULT_REFUSED});
    assert_int_equal(update.ledger, TXN_LEDGER_CANCEL);
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    acknowledged(0);
    assert_int_equal(update.answer, TXN_ANSWER_TOKEN_TAKEN);
}

static void only_the_ledger_says_what_an_unclear_decision_was(void **state)
{
    (void)state;
    static const struct {
        enum txn_state found;
        uint64_t commit, cancel;
        enum txn_ledger_action put;
    } rows[] = {
        {TXN_STATE_COMMITTING, 3, 0, TXN_LEDGER_NOTHING},
        {TXN_STATE_COMMITTED, 3, 0, TXN_LEDGER_NOTHING},
        {TXN_STATE_CANCELLING, 0, 3, TXN_LEDGER_NOTHING},
        {TXN_STATE_CANCELLED, 0, 3, TXN_LEDGER_NOTHING},
        {TXN_STATE_PREPARING, 0, 0, TXN_LEDGER_COMMIT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        decided_to_commit();
        ledger(TXN_RESULT_UNKNOWN, TXN_STATE_NONE);
        assert_int_equal(update.ledger, TXN_LEDGER_READ);
        assert_set(update.cancel, 0);
        ledger(TXN_RESULT_OK, rows[i].found);
        assert_set(update.commit, rows[i].commit);
        assert_set(update.cancel, rows[i].cancel);
        assert_int_equal(update.ledger, rows[i].put);
    }
}

static void a_row_that_is_gone_ends_it_without_a_word_to_the_participants(void **state)
{
    (void)state;
    decided_to_commit();
    ledger(TXN_RESULT_REFUSED, TXN_STATE_NONE);
    assert_set(update.commit, 0);
    assert_set(update.cancel, 0);
    assert_int_equal(update.answer, TXN_ANSWER_UNKNOWN);
    assert_true(update.ended);
}

static void an_answer_to_an_older_ledger_action_does_not_count(void **state)
{
    (void)state;
    begin(1, false);
    uint32_t insertion = update.ledger_number;
    prepared(0, TXN_RESULT_OK);
    timeout_after(TXN_PREPARE_NS);
    assert_int_equal(update.ledger, TXN_LEDGER_CANCEL);
    struct txn_input late = {
        .now_ns = now_ns, .type = TXN_LEDGER_ANSWER, .ledger_number = insertion};
    txn_coordinator_step(&txn, &late, &update);
    assert_set(update.cancel, 0);
    assert_set(update.commit, 0);
}

static void an_outcome_is_sent_again_to_those_who_did_not_answer(void **state)
{
    (void)state;
    decided_to_commit();
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    acknowledged(0);
    step((struct txn_input){
        .type = TXN_OUTCOME_ANSWER, .participant = 1, .result = TXN_RESULT_UNKNOWN});
    assert_set(update.commit, 0); /* not at once */
    timeout_after(TXN_RESEND_NS);
    assert_set(update.commit, 2);
    acknowledged(1);
    assert_int_equal(update.answer, TXN_ANSWER_COMMITTED);
}

static void at_the_deadline_a_commit_is_unknown_and_a_cancel_is_known(void **state)
{
    (void)state;
    decided_to_commit();
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    timeout_after(5 * SECOND);
    assert_int_equal(update.answer, TXN_ANSWER_UNKNOWN);
    assert_set(update.commit, 3); /* and it goes on */
    acknowledged(0);
    acknowledged(1);
    assert_int_equal(update.answer, TXN_ANSWER_NONE); /* once */
    assert_int_equal(update.ledger, TXN_LEDGER_COMPLETE);

    begin(1, false);
    timeout_after(TXN_PREPARE_NS);
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    timeout_after(3 * SECOND);
    assert_int_equal(update.answer, TXN_ANSWER_CANCELLED);
}

static void its_life_over_a_coordinator_leaves_the_rest_to_recovery(void **state)
{
    (void)state;
    decided_to_commit();
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    for (uint32_t i = 0; !update.ended; i++) {
        assert_in_range(i, 0, 1000);
        assert_true(update.timeout_ns > now_ns);
        timeout_after(update.timeout_ns - now_ns);
        assert_int_equal(update.ledger, TXN_LEDGER_NOTHING);
    }
    assert_true(now_ns >= 110 * SECOND);
    assert_true(now_ns < 111 * SECOND);
}

static void a_recovery_cancels_what_is_not_decided(void **state)
{
    (void)state;
    static const enum txn_state undecided[] = {TXN_STATE_NONE, TXN_STATE_PREPARING};
    for (size_t i = 0; i < 2; i++) {
        begin_recovery(2);
        ledger(TXN_RESULT_OK, undecided[i]);
        assert_int_equal(update.ledger, TXN_LEDGER_CANCEL);
        assert_set(update.cancel, 0); /* not before the ledger says so */
        ledger(TXN_RESULT_OK, TXN_STATE_NONE);
        assert_set(update.cancel, 3);
        acknowledged(0);
        acknowledged(1);
        assert_int_equal(update.answer, TXN_ANSWER_NONE);
        assert_int_equal(update.ledger, TXN_LEDGER_COMPLETE);
    }
}

static void a_recovery_commits_what_was_decided(void **state)
{
    (void)state;
    begin_recovery(2);
    ledger(TXN_RESULT_OK, TXN_STATE_PREPARING);
    ledger(TXN_RESULT_REFUSED, TXN_STATE_COMMITTING); /* its coordinator was quicker */
    assert_set(update.commit, 3);
    acknowledged(0);
    acknowledged(1);
    assert_int_equal(update.ledger, TXN_LEDGER_COMPLETE);
    assert_true(update.commits);
}

static void a_hundred_participants(void **state)
{
    (void)state;
    begin(TXN_ITEMS_MAX, false);
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    for (uint32_t i = 0; i < TXN_ITEMS_MAX; i++) {
        assert_true(txn_set_has(txn.asked, i));
        prepared(i, TXN_RESULT_OK);
    }
    ledger(TXN_RESULT_OK, TXN_STATE_NONE);
    for (uint32_t i = TXN_ITEMS_MAX; i-- > 0;)
        acknowledged(i);
    assert_int_equal(update.answer, TXN_ANSWER_COMMITTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_asked_at_once_and_decided_when_all_have_answered),
        cmocka_unit_test(a_commit_is_answered_when_all_have_applied_it),
        cmocka_unit_test(a_refusal_cancels_those_that_may_have_an_intent),
        cmocka_unit_test(refused_by_all_there_is_nothing_to_cancel),
        cmocka_unit_test(an_unclear_prepare_is_sent_again_a_few_times),
        cmocka_unit_test(who_does_not_answer_in_time_is_cancelled_with_the_others),
        cmocka_unit_test(who_refuses_at_the_second_time_is_cancelled_too),
        cmocka_unit_test(a_prepare_that_is_answered_after_the_cancel_is_cancelled_again),
        cmocka_unit_test(a_row_that_a_recovery_inserted_cancels),
        cmocka_unit_test(a_row_whose_insertion_was_unclear_is_its_own),
        cmocka_unit_test(a_taken_token_cancels_and_is_said),
        cmocka_unit_test(only_the_ledger_says_what_an_unclear_decision_was),
        cmocka_unit_test(a_row_that_is_gone_ends_it_without_a_word_to_the_participants),
        cmocka_unit_test(an_answer_to_an_older_ledger_action_does_not_count),
        cmocka_unit_test(an_outcome_is_sent_again_to_those_who_did_not_answer),
        cmocka_unit_test(at_the_deadline_a_commit_is_unknown_and_a_cancel_is_known),
        cmocka_unit_test(its_life_over_a_coordinator_leaves_the_rest_to_recovery),
        cmocka_unit_test(a_recovery_cancels_what_is_not_decided),
        cmocka_unit_test(a_recovery_commits_what_was_decided),
        cmocka_unit_test(a_hundred_participants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
