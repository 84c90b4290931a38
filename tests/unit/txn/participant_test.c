/* A partition's decisions, each rule by itself; the bytes that are stored; the ledger's states and
 * the tokens. */
#include "txn/participant.h"

#include "unit/cmocka_headers.h"

#include "base/heap.h"
#include "base/prng.h"
#include "txn/record.h"

static const struct txn_id one = {{1}}, two = {{2}};
static const struct txn_group group = {.absent_timestamp = 50, .absent_version = 7};

static struct txn_item present_item(uint64_t timestamp, uint64_t version)
{
    return (struct txn_item){.present = true, .timestamp = timestamp, .version = version};
}

static struct txn_item with_intent(struct txn_item item, struct txn_id id, enum txn_kind kind,
                                   uint64_t timestamp)
{
    item.has_intent = true;
    item.intent_id = id;
    item.intent_kind = kind;
    item.intent_timestamp = timestamp;
    item.intent_of_version = item.version;
    return item;
}

static void a_prepare_must_be_newer_than_the_item(void **state)
{
    (void)state;
    struct txn_item item = present_item(20, 3);
    assert_int_equal(txn_may_prepare(&group, &item, one, 21), TXN_PREPARE_OK);
    assert_int_equal(txn_may_prepare(&group, &item, one, 20), TXN_PREPARE_TOO_OLD);
    assert_int_equal(txn_may_prepare(&group, &item, one, 19), TXN_PREPARE_TOO_OLD);
}

static void for_an_absent_item_newer_than_the_groups_deletes(void **state)
{
    (void)state;
    struct txn_item absent = {0};
    assert_int_equal(txn_may_prepare(&group, &absent, one, 51), TXN_PREPARE_OK);
    assert_int_equal(txn_may_prepare(&group, &absent, one, 50), TXN_PREPARE_TOO_OLD);
    assert_int_equal(txn_item_version(&group, &absent), 7);
}

static void one_transaction_at_a_time_and_a_repeated_prepare_is_accepted(void **state)
{
    (void)state;
    struct txn_item item = with_intent(present_item(20, 3), one, TXN_PUT, 30);
    assert_int_equal(txn_may_prepare(&group, &item, two, 40), TXN_PREPARE_CONFLICT);
    assert_int_equal(txn_may_prepare(&group, &item, one, 30), TXN_PREPARE_ALREADY);
    assert_false(txn_may_write(&item));
    assert_false(txn_may_read(&item));
    assert_false(txn_may_confirm(&group, &item, 3));
    item.has_intent = false;
    assert_true(txn_may_write(&item));
    assert_true(txn_may_confirm(&group, &item, 3));
    assert_false(txn_may_confirm(&group, &item, 2));
}

static void a_commit_does_what_its_intent_says(void **state)
{
    (void)state;
    struct txn_effect effect;
    struct txn_item item = with_intent(present_item(20, 3), one, TXN_PUT, 30);
    assert_int_equal(txn_commit(&item, one, &effect), STATUS_OK);
    assert_true(effect.put_image && effect.remove_intent);
    assert_false(effect.delete_item || effect.stamp_item || effect.raise_absent);
    assert_int_equal(effect.timestamp, 30);

    item.intent_kind = TXN_DELETE;
    assert_int_equal(txn_commit(&item, one, &effect), STATUS_OK);
    assert_true(effect.delete_item && effect.raise_absent && effect.remove_intent);

    item.intent_kind = TXN_CHECK;
    assert_int_equal(txn_commit(&item, one, &effect), STATUS_OK);
    assert_true(effect.stamp_item && effect.remove_intent);
    assert_false(effect.put_image || effect.raise_absent);

    item = with_intent((struct txn_item){0}, one, TXN_CHECK, 60);
    assert_int_equal(txn_commit(&item, one, &effect), STATUS_OK);
    assert_true(effect.raise_absent && !effect.stamp_item);
    item.intent_kind = TXN_DELETE;
    assert_int_equal(txn_commit(&item, one, &effect), STATUS_OK);
    assert_true(effect.raise_absent && !effect.delete_item); /* nothing is there to be deleted */
}

static void outcomes_come_twice_and_late_without_harm(void **state)
{
    (void)state;
    struct txn_effect effect;
    struct txn_item item = present_item(30, 4);
    assert_int_equal(txn_commit(&item, one, &effect), STATUS_OK);
    assert_false(effect.remove_intent || effect.put_image);
    txn_cancel(&item, one, &effect);
    assert_false(effect.remove_intent);
    item = with_intent(item, two, TXN_PUT, 40);
    assert_int_equal(txn_commit(&item, one, &effect), STATUS_OK);
    assert_false(effect.remove_intent || effect.put_image);
    txn_cancel(&item, one, &effect);
    assert_false(effect.remove_intent);
    txn_cancel(&item, two, &effect);
    assert_true(effect.remove_intent);
}

static void an_item_that_changed_under_its_intent_is_reported(void **state)
{
    (void)state;
    struct txn_effect effect;
    struct txn_item item = with_intent(present_item(20, 3), one, TXN_PUT, 30);
    item.version = 4;
    assert_int_equal(txn_commit(&item, one, &effect), STATUS_CORRUPT);
    assert_false(effect.put_image || effect.remove_intent);
    item = with_intent(present_item(30, 3), one, TXN_PUT, 30);
    assert_int_equal(txn_commit(&item, one, &effect), STATUS_CORRUPT);
}

static void a_write_is_ordered_behind_all_before_it(void **state)
{
    (void)state;
    struct txn_item item = present_item(20, 3);
    assert_int_equal(txn_write_timestamp(&group, &item, 99), 99);
    assert_int_equal(txn_write_timestamp(&group, &item, 40), 51);
    item.timestamp = 120;
    assert_int_equal(txn_write_timestamp(&group, &item, 99), 121);
    item = (struct txn_item){0};
    assert_int_equal(txn_write_timestamp(&group, &item, 50), 51);
}

static void deletes_move_the_groups_scalars_forward_only(void **state)
{
    (void)state;
    struct txn_group here = group;
    struct txn_effect effect = {.delete_item = true, .raise_absent = true, .timestamp = 40};
    txn_group_apply(&here, &effect, 9);
    assert_int_equal(here.absent_timestamp, 50);
    assert_int_equal(here.absent_version, 9);
    effect = (struct txn_effect){.raise_absent = true, .timestamp = 60};
    txn_group_apply(&here, &effect, 10);
    assert_int_equal(here.absent_timestamp, 60);
    assert_int_equal(here.absent_version, 9); /* nothing was deleted */
}

/* ---- Bytes ---- */

static void an_intent_lies_beside_its_item(void **state)
{
    (void)state;
    struct key item, intent, back;
    struct heap heap;
    heap_init(&heap, false);
    struct buffer buffer;
    buffer_init(&buffer, &heap, 4096);
    struct value_writer writer;
    struct value value;
    value_writer_init(&writer, &buffer);
    value_write_string(&writer, BYTES("customer"));
    assert_int_equal(value_writer_finish(&writer, &value), STATUS_OK);
    key_encode(&item, 5, value, VALUE_ABSENT);
    assert_int_equal(intent_key(key_bytes(&item), &intent), STATUS_OK);
    assert_true(bytes_compare(key_bytes(&intent), key_bytes(&item)) > 0);
    assert_true(intent_key_is(key_bytes(&intent), &back));
    assert_true(bytes_equal(key_bytes(&back), key_bytes(&item)));
    assert_false(intent_key_is(key_bytes(&item), &back));
    assert_int_equal(intent_key(key_bytes(&intent), &back), STATUS_CORRUPT);
    for (size_t count = 0; count < item.count; count++)
        assert_int_equal(intent_key(bytes_of(item.at, count), &back), STATUS_CORRUPT);
    buffer_release(&buffer);
    assert_int_equal(heap.bytes_used, 0);
}

static void intents_survive_their_bytes_and_wrong_bytes_are_refused(void **state)
{
    (void)state;
    uint8_t row[INTENT_HEADER_BYTES + 3];
    struct intent intent = {.kind = TXN_PUT,
                            .id = two,
                            .timestamp = 77,
                            .of_version = 6,
                            .hlc = 1234,
                            .image = BYTES("abc")};
    intent_write(row, &intent);
    memcpy(row + INTENT_HEADER_BYTES, "abc", 3);
    struct intent back;
    assert_int_equal(intent_read(bytes_of(row, sizeof(row)), &back), STATUS_OK);
    assert_int_equal(back.kind, TXN_PUT);
    assert_true(txn_id_equal(back.id, two));
    assert_int_equal(back.timestamp, 77);
    assert_int_equal(back.of_version, 6);
    assert_int_equal(back.hlc, 1234);
    assert_true(bytes_equal(back.image, BYTES("abc")));

    assert_int_equal(intent_read(bytes_of(row, sizeof(row) - 1), &back), STATUS_CORRUPT);
    assert_int_equal(intent_read(bytes_of(row, 0), &back), STATUS_CORRUPT);
    static const struct {
        uint8_t at, becomes;
        enum status status;
    } wrong[] = {{0, 2, STATUS_VERSION}, {1, 0, STATUS_CORRUPT}, {1, 4, STATUS_CORRUPT},
                 {1, 2, STATUS_CORRUPT}, {2, 1, STATUS_CORRUPT}, {4, 4, STATUS_CORRUPT},
                 {24, 0, STATUS_CORRUPT}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint8_t was = row[wrong[i].at];
        row[wrong[i].at] = wrong[i].becomes;
        assert_int_equal(intent_read(bytes_of(row, sizeof(row)), &back), wrong[i].status);
        row[wrong[i].at] = was;
    }
}

static void ledger_records_survive_and_mutated_ones_are_refused_or_whole(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap, false);
    struct buffer buffer;
    buffer_init(&buffer, &heap, 65536);
    struct ledger_item items[3] = {{4, BYTES("first")}, {9, BYTES("k")}, {4, BYTES("third key")}};
    ledger_record_write(&buffer, 987654321, items, 3);
    struct bytes record = buffer_bytes(&buffer);
    uint64_t begun_ns;
    uint32_t count;
    struct reader walk;
    assert_int_equal(ledger_record_read(record, &begun_ns, &count, &walk), STATUS_OK);
    assert_int_equal(begun_ns, 987654321);
    assert_int_equal(count, 3);
    struct ledger_item item;
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(ledger_record_next(&walk, &item));
        assert_int_equal(item.table_id, items[i].table_id);
        assert_true(bytes_equal(item.key, items[i].key));
    }
    assert_false(ledger_record_next(&walk, &item));

    for (size_t cut = 0; cut < record.count; cut++)
        assert_int_not_equal(ledger_record_read(bytes_of(record.at, cut), &begun_ns, &count, &walk),
                             STATUS_OK);
    /* What follows the items and is none: ten zeros. */
    uint8_t longer[128] = {0};
    memcpy(longer, record.at, record.count);
    assert_int_equal(
        ledger_record_read(bytes_of(longer, record.count + 10), &begun_ns, &count, &walk),
        STATUS_CORRUPT);
    struct prng prng;
    prng_init(&prng, 31);
    uint8_t bytes[128];
    assert_true(record.count <= sizeof(bytes));
    for (uint32_t round = 0; round < 20000; round++) {
        memcpy(bytes, record.at, record.count);
        bytes[prng_below(&prng, record.count)] ^= (uint8_t)(1u << prng_below(&prng, 8));
        bytes[prng_below(&prng, record.count)] = (uint8_t)prng_u64(&prng);
        if (ledger_record_read(bytes_of(bytes, record.count), &begun_ns, &count, &walk) !=
            STATUS_OK)
            continue;
        uint32_t found = 0;
        while (ledger_record_next(&walk, &item))
            found++;
        assert_int_equal(found, count);
    }
    buffer_release(&buffer);
    assert_int_equal(heap.bytes_used, 0);
}

/* ---- States, clocks, tokens ---- */

static void the_ledger_goes_only_forward(void **state)
{
    (void)state;
    static const char *const may[TXN_STATE_COUNT] = {
        /* to:           NPCcCc (none, preparing, committing, cancelling, committed, cancelled) */
        [TXN_STATE_NONE] = ".x.x..",       [TXN_STATE_PREPARING] = "..xx..",
        [TXN_STATE_COMMITTING] = "....x.", [TXN_STATE_CANCELLING] = ".....x",
        [TXN_STATE_COMMITTED] = "x.....",  [TXN_STATE_CANCELLED] = "x.....",
    };
    for (unsigned from = 0; from < TXN_STATE_COUNT; from++)
        for (unsigned to = 0; to < TXN_STATE_COUNT; to++)
            assert_int_equal(txn_state_may_follow((enum txn_state)from, (enum txn_state)to),
                             may[from][to] == 'x');
}

static void timestamps_grow_and_learn(void **state)
{
    (void)state;
    struct txn_clock clock = {0};
    assert_int_equal(txn_clock_next(&clock, 100), 100);
    assert_int_equal(txn_clock_next(&clock, 100), 101);
    assert_int_equal(txn_clock_next(&clock, 50), 102);
    txn_clock_observe(&clock, 500);
    txn_clock_observe(&clock, 400);
    assert_int_equal(txn_clock_next(&clock, 103), 501);
    assert_int_equal(txn_clock_next(&clock, 600), 600);
}

static void a_token_remembers_success_for_ten_minutes(void **state)
{
    (void)state;
    static const uint8_t same[16] = {1}, other[16] = {2};
    struct txn_token token = {
        .request_hash = {1}, .created_ns = 1000, .state = TXN_STATE_COMMITTED};
    uint64_t end = 1000 + TXN_TOKEN_NS;
    assert_int_equal(txn_token_judge(&token, same, 1000), TXN_TOKEN_REPLAY);
    assert_int_equal(txn_token_judge(&token, same, 10), TXN_TOKEN_REPLAY); /* a clock went back */
    assert_int_equal(txn_token_judge(&token, same, end - 1), TXN_TOKEN_REPLAY);
    assert_int_equal(txn_token_judge(&token, other, end - 1), TXN_TOKEN_MISMATCH);
    assert_int_equal(txn_token_judge(&token, same, end), TXN_TOKEN_ANEW);
    assert_int_equal(txn_token_judge(&token, other, end), TXN_TOKEN_ANEW);
    static const enum txn_state under_way[] = {TXN_STATE_PREPARING, TXN_STATE_COMMITTING};
    for (size_t i = 0; i < 2; i++) {
        token.state = under_way[i];
        assert_int_equal(txn_token_judge(&token, same, 1001), TXN_TOKEN_PENDING);
        assert_int_equal(txn_token_judge(&token, other, 1001), TXN_TOKEN_MISMATCH);
        assert_int_equal(txn_token_judge(&token, same, end), TXN_TOKEN_PENDING);
    }
    token.state = TXN_STATE_NONE; /* its row is not there yet, or never will be */
    assert_int_equal(txn_token_judge(&token, same, 1001), TXN_TOKEN_PENDING);
    assert_int_equal(txn_token_judge(&token, same, end), TXN_TOKEN_ANEW);
    token.state = TXN_STATE_CANCELLED;
    assert_int_equal(txn_token_judge(&token, other, 1001), TXN_TOKEN_ANEW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prepare_must_be_newer_than_the_item),
        cmocka_unit_test(for_an_absent_item_newer_than_the_groups_deletes),
        cmocka_unit_test(one_transaction_at_a_time_and_a_repeated_prepare_is_accepted),
        cmocka_unit_test(a_commit_does_what_its_intent_says),
        cmocka_unit_test(outcomes_come_twice_and_late_without_harm),
        cmocka_unit_test(an_item_that_changed_under_its_intent_is_reported),
        cmocka_unit_test(a_write_is_ordered_behind_all_before_it),
        cmocka_unit_test(deletes_move_the_groups_scalars_forward_only),
        cmocka_unit_test(an_intent_lies_beside_its_item),
        cmocka_unit_test(intents_survive_their_bytes_and_wrong_bytes_are_refused),
        cmocka_unit_test(ledger_records_survive_and_mutated_ones_are_refused_or_whole),
        cmocka_unit_test(the_ledger_goes_only_forward),
        cmocka_unit_test(timestamps_grow_and_learn),
        cmocka_unit_test(a_token_remembers_success_for_ten_minutes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
