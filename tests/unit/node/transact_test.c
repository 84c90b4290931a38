/* Transactions at a partition: intents, their outcomes when they come twice, late or after crashes;
 * one round; versions; nudges. */
#include "node/node_private.h"
#include "unit/node/node_fixture.h"

#define ITEMS 4u

static struct bytes keys[ITEMS]; /* of items of one table: hash, length, "a".., collection 0 */
static uint8_t key_memory[ITEMS][16];

static void make_keys(void)
{
    for (uint32_t i = 0; i < ITEMS; i++) {
        uint8_t *at = key_memory[i];
        memset(at, 0, sizeof(key_memory[i]));
        at[0] = (uint8_t)(10 * i);
        at[9] = 1;
        at[10] = (uint8_t)('a' + i);
        keys[i] = bytes_of(at, 12);
    }
}

static struct txn_id id_of(uint8_t n)
{
    return (struct txn_id){{n, 1, 2, 3}};
}

struct call {
    struct write_request requests[ITEMS];
    struct replica_write writes[ITEMS];
    struct write_result results[ITEMS];
    enum status statuses[ITEMS];
    struct error errors[ITEMS];
    uint64_t seen;
    uint32_t count;
};

static void add(struct context *ctx, struct call *call, enum write_kind kind, uint32_t item,
                uint64_t number)
{
    uint32_t i = call->count++;
    struct bytes name = bytes_of(keys[item].at + 10, 1);
    call->requests[i] =
        (struct write_request){.kind = kind, .item = make_item(ctx, name, number, 0)};
    call->writes[i] = (struct replica_write){
        .key = keys[item], .key_attributes = call->requests[i].item, .request = &call->requests[i]};
}

static struct replica_target target_for(const struct fixture *f)
{
    struct replica_target target = target_of(GROUP);
    target.keeps_changes = f->keeps_changes;
    return target;
}

static enum status prepare(struct context *ctx, struct fixture *f, struct call *call, uint8_t id,
                           uint64_t timestamp)
{
    struct replica_target target = target_for(f);
    struct replica_txn txn = {id_of(id), timestamp};
    return f->service->prepare(ctx, f->service, &target, &txn, call->writes, call->count,
                               call->results, call->statuses, call->errors, &call->seen);
}

static enum status transact(struct context *ctx, struct fixture *f, struct call *call,
                            const struct txn_id *mark)
{
    struct replica_target target = target_for(f);
    return f->service->transact(ctx, f->service, &target, mark, call->writes, call->count,
                                call->results, call->statuses, call->errors);
}

static enum status end(struct context *ctx, struct fixture *f, struct call *call, uint8_t id,
                       bool commits)
{
    struct replica_target target = target_for(f);
    return (commits ? f->service->commit : f->service->cancel)(ctx, f->service, &target, id_of(id),
                                                               call->writes, call->count);
}

static uint64_t number_of(struct context *ctx, struct fixture *f, uint32_t item)
{
    uint64_t number = 0;
    CHECK(f, get(ctx, f, GROUP, keys[item], &number) == STATUS_OK);
    return number;
}

static struct version_result version_of(struct context *ctx, struct fixture *f, uint32_t item)
{
    struct replica_target target = target_for(f);
    struct version_result result = {0};
    CHECK(f, f->service->read_version(ctx, f->service, &target, &keys[item], 1, true, UINT64_MAX,
                                      &result) == STATUS_OK);
    return result;
}

static uint64_t later(struct fixture *f, uint64_t ns)
{
    return env_wall_ns(sim_node_env(f->machine)) + ns;
}

/* Puts on items 0 and 1, a check of 2, which is there, and of 3, which is not. */
static void all_kinds(struct context *ctx, struct call *call, uint64_t number)
{
    *call = (struct call){0};
    add(ctx, call, WRITE_PUT, 0, number);
    add(ctx, call, WRITE_DELETE, 1, 0);
    add(ctx, call, WRITE_CHECK, 2, 0);
    add(ctx, call, WRITE_CHECK, 3, 0);
}

static void two_phases(struct context *ctx, struct fixture *f)
{
    struct call call, other = {0};
    CHECK(f, put(ctx, f, GROUP, keys[1], 5, 0) == STATUS_OK);
    CHECK(f, put(ctx, f, GROUP, keys[2], 6, 0) == STATUS_OK);
    uint64_t version = version_of(ctx, f, 2).version, timestamp = later(f, SECOND);
    all_kinds(ctx, &call, 9);
    CHECK(f, prepare(ctx, f, &call, 1, timestamp) == STATUS_OK);
    for (uint32_t i = 0; i < ITEMS; i++)
        CHECK(f, call.statuses[i] == STATUS_OK);
    CHECK(f, node_stats(f->node)->intents == ITEMS);
    CHECK(f, number_of(ctx, f, 0) == 0 && number_of(ctx, f, 1) == 5); /* nothing is to be seen */
    CHECK(f, version_of(ctx, f, 0).in_flight && version_of(ctx, f, 3).in_flight);
    CHECK(f, prepare(ctx, f, &call, 1, timestamp) == STATUS_OK); /* the message comes again */
    CHECK(f, call.statuses[0] == STATUS_OK && node_stats(f->node)->intents == ITEMS);

    add(ctx, &other, WRITE_PUT, 0, 10);
    CHECK(f, prepare(ctx, f, &other, 2, timestamp + 1) == STATUS_OK);
    CHECK(f, other.statuses[0] == STATUS_INVALID &&
                 other.errors[0].code == ERROR_TRANSACTION_CONFLICT);
    CHECK(f, transact(ctx, f, &other, NULL) == STATUS_OK);
    CHECK(f, other.errors[0].code == ERROR_TRANSACTION_CONFLICT);
    CHECK(f, put(ctx, f, GROUP, keys[0], 1, 0) == STATUS_INVALID);
    CHECK(f, end(ctx, f, &other, 2, true) == STATUS_OK); /* another's outcome changes nothing */
    CHECK(f, node_stats(f->node)->intents == ITEMS);

    CHECK(f, end(ctx, f, &call, 1, true) == STATUS_OK);
    CHECK(f, number_of(ctx, f, 0) == 9 && number_of(ctx, f, 1) == 0 && number_of(ctx, f, 2) == 6);
    CHECK(f, version_of(ctx, f, 2).version == version); /* a check writes nothing */
    CHECK(f, !version_of(ctx, f, 0).in_flight && node_stats(f->node)->intents == 0);
    CHECK(f, end(ctx, f, &call, 1, true) == STATUS_OK); /* again */
    CHECK(f, number_of(ctx, f, 0) == 9);
    CHECK(f, prepare(ctx, f, &call, 1, timestamp) == STATUS_OK); /* late: all have that timestamp */
    for (uint32_t i = 0; i < ITEMS; i++)
        CHECK(f, call.errors[i].code == ERROR_TRANSACTION_CONFLICT);
    CHECK(f, call.seen == timestamp);
}

static void commits_what_it_prepared(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 6; seed++) {
        struct fixture *f = fixture_create_open(seed);
        f->keeps_changes = seed % 2 == 0 ? KEEP_CHANGES : 0;
        assert_true(fixture_run(f, two_phases));
        fixture_close(f);
        fixture_free(f);
    }
}

/* The message comes again while its first copy's intents are in the log's memory only. */
struct first_copy {
    struct fixture *f;
    struct call call;
    uint64_t timestamp;
    bool sent, answered;
};

static void first_copy_run(struct context *ctx, void *argument)
{
    struct first_copy *first = argument;
    all_kinds(ctx, &first->call, 9);
    first->sent = true;
    CHECK(first->f, prepare(ctx, first->f, &first->call, 1, first->timestamp) == STATUS_OK);
    first->answered = true;
}

static void copies_body(struct context *ctx, struct fixture *f)
{
    struct call call;
    struct first_copy first = {.f = f, .timestamp = later(f, SECOND)};
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    struct replica *replica = node_replica(f->node, GROUP);
    CHECK(f, fiber_spawn(ctx->env, &options, first_copy_run, &first) == STATUS_OK);
    while (!first.sent || replica->intents.by_item.live == 0)
        context_yield(ctx);
    uint64_t slot = replica->paxos.last_slot;
    CHECK(f, replica->commit_slot < slot);
    all_kinds(ctx, &call, 9);
    CHECK(f, prepare(ctx, f, &call, 1, first.timestamp) == STATUS_OK);
    CHECK(f, replica->commit_slot >= slot);
    while (!first.answered)
        context_yield(ctx);
}

static void accepts_again_what_is_committed_only(void **state)
{
    (void)state;
    for (uint64_t seed = 60; seed < 63; seed++) {
        struct fixture *f = fixture_create_open(seed);
        assert_true(fixture_run(f, copies_body));
        fixture_close(f);
        fixture_free(f);
    }
}

static void cancel_body(struct context *ctx, struct fixture *f)
{
    struct call call;
    CHECK(f, put(ctx, f, GROUP, keys[1], 5, 0) == STATUS_OK);
    CHECK(f, put(ctx, f, GROUP, keys[2], 6, 0) == STATUS_OK);
    all_kinds(ctx, &call, 9);
    CHECK(f, prepare(ctx, f, &call, 1, later(f, SECOND)) == STATUS_OK);
    CHECK(f, end(ctx, f, &call, 1, false) == STATUS_OK);
    CHECK(f, end(ctx, f, &call, 1, false) == STATUS_OK);
    CHECK(f, node_stats(f->node)->intents == 0);
    CHECK(f, number_of(ctx, f, 0) == 0 && number_of(ctx, f, 1) == 5);
    CHECK(f, put(ctx, f, GROUP, keys[0], 1, 0) == STATUS_OK);
}

static void cancels_what_it_prepared(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(7);
    assert_true(fixture_run(f, cancel_body));
    fixture_close(f);
    fixture_free(f);
}

/* ---- Crashes ---- */

static uint64_t prepared_at;

static void prepare_body(struct context *ctx, struct fixture *f)
{
    struct call call;
    CHECK(f, put(ctx, f, GROUP, keys[1], 5, 0) == STATUS_OK);
    CHECK(f, put(ctx, f, GROUP, keys[2], 6, 0) == STATUS_OK);
    all_kinds(ctx, &call, 9);
    prepared_at = later(f, SECOND);
    CHECK(f, prepare(ctx, f, &call, 1, prepared_at) == STATUS_OK);
}

static void found_body(struct context *ctx, struct fixture *f)
{
    struct call call;
    struct replica_size size;
    f->service->size(f->service, GROUP, &size);
    CHECK(f, size.items.count == 2); /* intents are no items */
    CHECK(f, node_stats(f->node)->intents == ITEMS);
    CHECK(f, version_of(ctx, f, 1).in_flight);
    CHECK(f, put(ctx, f, GROUP, keys[3], 1, 0) == STATUS_INVALID);
    all_kinds(ctx, &call, 9);
    CHECK(f, end(ctx, f, &call, 1, true) == STATUS_OK);
    CHECK(f, number_of(ctx, f, 0) == 9 && number_of(ctx, f, 1) == 0);
    CHECK(f, prepare(ctx, f, &call, 1, prepared_at) == STATUS_OK);
    CHECK(f, call.errors[3].code == ERROR_TRANSACTION_CONFLICT); /* absent, and stamped */
}

/* From the log alone, or from a checkpoint, whose blob lists them. */
static void finds_its_intents_after_a_stop(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 3; how++) {
        struct fixture *f = fixture_create_open(20 + how);
        assert_true(fixture_run(f, prepare_body));
        if (how == 0) {
            fixture_close(f);
            fiber_pool_close(sim_node_env(f->machine));
            sim_node_stop(f->machine);
            fixture_start(f);
        } else {
            fixture_crash(f, how == 1 ? SIM_CRASH_KILL : SIM_CRASH_POWER);
        }
        fixture_open(f);
        assert_true(fixture_run(f, found_body));
        fixture_crash(f, SIM_CRASH_POWER);
        fixture_open(f);
        assert_int_equal(node_stats(f->node)->intents, 0);
        fixture_close(f);
        fixture_free(f);
    }
}

/* ---- Many ---- */

#define NEARLY_ALL ((uint32_t)INTENTS_MAX - ITEMS)

/* Puts on the items of numbers n and up. */
struct many {
    struct call call;
    uint8_t keys[ITEMS][13];
};

static void put_many(struct context *ctx, struct many *many, uint32_t n)
{
    arena_reset(&ctx->arena);
    *many = (struct many){0};
    for (uint32_t i = 0; i < ITEMS; i++) {
        uint8_t *key = many->keys[i];
        key[9] = 2;
        key[10] = (uint8_t)((n + i) >> 8);
        key[11] = (uint8_t)(n + i);
        add(ctx, &many->call, WRITE_PUT, i, n + i);
        many->call.writes[i].key = bytes_of(key, sizeof(many->keys[i]));
    }
}

static void prepare_many(struct context *ctx, struct fixture *f, uint32_t from, uint32_t to)
{
    struct many many;
    for (uint32_t n = from; n < to && f->wrong == NULL; n += ITEMS) {
        put_many(ctx, &many, n);
        CHECK(f, prepare(ctx, f, &many.call, 1, later(f, SECOND)) == STATUS_OK);
        CHECK(f, many.call.statuses[0] == STATUS_OK);
    }
}

static void end_many(struct context *ctx, struct fixture *f, uint32_t from, uint32_t to,
                     bool commits)
{
    struct many many;
    for (uint32_t n = from; n < to && f->wrong == NULL; n += ITEMS) {
        put_many(ctx, &many, n);
        CHECK(f, end(ctx, f, &many.call, 1, commits) == STATUS_OK);
    }
}

/* More items than may have intents at a time: a few of them, or nearly all that may be. */
static void a_few_each_time(struct context *ctx, struct fixture *f)
{
    for (uint32_t n = 0; n < INTENTS_MAX + 100; n += ITEMS) {
        prepare_many(ctx, f, n, n + ITEMS);
        end_many(ctx, f, n, n + ITEMS, true);
    }
    prepare_body(ctx, f);
}

static void nearly_all_each_time(struct context *ctx, struct fixture *f)
{
    prepare_many(ctx, f, 0, NEARLY_ALL);
    for (uint32_t n = 0; n < NEARLY_ALL; n += ITEMS) {
        end_many(ctx, f, n, n + ITEMS, n % 8 == 0);
        prepare_many(ctx, f, NEARLY_ALL + n, NEARLY_ALL + n + ITEMS);
    }
    end_many(ctx, f, NEARLY_ALL, 2 * NEARLY_ALL, false);
    prepare_body(ctx, f);
}

static void recovers_a_log_with_many_transactions(void **state)
{
    (void)state;
    for (unsigned how = 0; how < 2; how++) {
        struct fixture *f = fixture_create(24 + how);
        f->options.checkpoint_bytes = UINT64_C(64) << 20;
        f->options.checkpoint_ns = 24 * 3600 * SECOND;
        fixture_open(f);
        assert_true(fixture_run(f, create_body));
        assert_true(fixture_run(f, how == 0 ? a_few_each_time : nearly_all_each_time));
        fixture_crash(f, SIM_CRASH_KILL);
        fixture_open(f);
        assert_int_equal(node_stats(f->node)->intents, ITEMS);
        fixture_close(f);
        fixture_free(f);
    }
}

/* ---- One round ---- */

static void one_round(struct context *ctx, struct fixture *f)
{
    struct call call, refused = {0};
    struct txn_id mark = id_of(3);
    struct replica_target target = target_for(f);
    enum txn_state state;
    struct replica_size size;
    CHECK(f, put(ctx, f, GROUP, keys[1], 5, 0) == STATUS_OK);
    CHECK(f, put(ctx, f, GROUP, keys[2], 6, 0) == STATUS_OK);
    uint64_t absent = version_of(ctx, f, 3).version;
    all_kinds(ctx, &call, 9);
    CHECK(f, transact(ctx, f, &call, &mark) == STATUS_OK);
    CHECK(f, number_of(ctx, f, 0) == 9 && number_of(ctx, f, 1) == 0 && number_of(ctx, f, 2) == 6);
    CHECK(f, version_of(ctx, f, 3).version > absent); /* an item was deleted */
    CHECK(f, f->service->mark(ctx, f->service, &target, keys[0], mark, MARK_READ, &state) ==
                     STATUS_OK &&
                 state == TXN_STATE_COMMITTED);
    CHECK(f, transact(ctx, f, &call, &mark) == STATUS_EXISTS);
    f->service->size(f->service, GROUP, &size);
    CHECK(f, size.items.count <= 3);

    add(ctx, &refused, WRITE_PUT, 1, 7);
    add(ctx, &refused, WRITE_CHECK, 0, 0);
    refused.requests[1].condition = compile(ctx, EXPR_CONDITION, "n = :v", 8);
    CHECK(f, transact(ctx, f, &refused, NULL) == STATUS_OK);
    CHECK(f, refused.statuses[0] == STATUS_OK && refused.statuses[1] == STATUS_CONDITION_FAILED);
    CHECK(f, number_of(ctx, f, 1) == 0);

    struct txn_id late = id_of(4);
    CHECK(f, f->service->mark(ctx, f->service, &target, keys[0], late, MARK_CANCEL, &state) ==
                     STATUS_OK &&
                 state == TXN_STATE_CANCELLED);
    CHECK(f, transact(ctx, f, &call, &late) == STATUS_EXISTS); /* it was given up */
    CHECK(f, f->service->mark(ctx, f->service, &target, keys[0], mark, MARK_REMOVE, &state) ==
                 STATUS_OK);
    CHECK(f, f->service->mark(ctx, f->service, &target, keys[0], mark, MARK_READ, &state) ==
                     STATUS_OK &&
                 state == TXN_STATE_NONE);
}

static void does_it_in_one_round(void **state)
{
    (void)state;
    for (uint64_t seed = 30; seed < 34; seed++) {
        struct fixture *f = fixture_create_open(seed);
        assert_true(fixture_run(f, one_round));
        fixture_close(f);
        fixture_free(f);
    }
}

/* ---- Items that expire ---- */

static void add_expiring(struct context *ctx, struct call *call, uint64_t expires_s)
{
    *call = (struct call){0};
    add(ctx, call, WRITE_PUT, 0, expires_s);
    call->writes[0].ttl = BYTES("n");
}

static struct replica_expire_result expire(struct context *ctx, struct fixture *f, uint64_t now_s)
{
    struct replica_target target = target_for(f);
    struct replica_expire_result result;
    struct replica_expire expire = {.step = EXPIRE_DELETE,
                                    .after_s = 1,
                                    .now_s = now_s,
                                    .limit = 10,
                                    .write = {.ttl = BYTES("n")}};
    CHECK(f, f->service->expire(ctx, f->service, &target, &expire, &result) == STATUS_OK);
    return result;
}

static void expire_body(struct context *ctx, struct fixture *f)
{
    struct call call;
    add_expiring(ctx, &call, 50);
    CHECK(f, transact(ctx, f, &call, NULL) == STATUS_OK);
    add_expiring(ctx, &call, 500);
    CHECK(f, prepare(ctx, f, &call, 1, later(f, SECOND)) == STATUS_OK);
    struct replica_expire_result result = expire(ctx, f, 100);
    CHECK(f, result.looked_at == 1 && result.deleted == 0 && number_of(ctx, f, 0) == 50);
    CHECK(f, end(ctx, f, &call, 1, true) == STATUS_OK);
    result = expire(ctx, f, 100); /* the row that said 50 went with the commit */
    CHECK(f, result.looked_at == 0 && number_of(ctx, f, 0) == 500);

    add_expiring(ctx, &call, 5000);
    CHECK(f, prepare(ctx, f, &call, 2, later(f, 2 * SECOND)) == STATUS_OK);
    CHECK(f, expire(ctx, f, 1000).deleted == 0 && number_of(ctx, f, 0) == 500);
    CHECK(f, end(ctx, f, &call, 2, false) == STATUS_OK);
    CHECK(f, expire(ctx, f, 1000).deleted == 1 && number_of(ctx, f, 0) == 0);
}

static void leaves_to_a_transaction_what_has_expired(void **state)
{
    (void)state;
    for (uint64_t seed = 50; seed < 53; seed++) {
        struct fixture *f = fixture_create_open(seed);
        assert_true(fixture_run(f, expire_body));
        fixture_close(f);
        fixture_free(f);
    }
}

/* ---- Nudges ---- */

static uint32_t nudges;
static uint32_t refusals; /* so many nudges are not taken */

static bool on_nudge(void *owner, struct txn_id id, uint64_t table_id, struct bytes item)
{
    (void)owner;
    assert_true(txn_id_equal(id, id_of(1)) && table_id == 70 && item.count == 12);
    if (refusals > 0) {
        refusals--;
        return false;
    }
    nudges++;
    return true;
}

static void sleep_body(struct context *ctx, struct fixture *f)
{
    CHECK(f, context_sleep(ctx, 60 * SECOND) == STATUS_OK);
}

static void tells_of_intents_that_stay(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(40);
    struct node_nudger nudger = {.nudge = on_nudge};
    node_set_nudger(f->node, &nudger);
    assert_true(fixture_run(f, prepare_body));
    assert_int_equal(nudges, 0);
    assert_true(fixture_run(f, sleep_body));
    assert_in_range(nudges, 2 * ITEMS, 4 * ITEMS); /* after 15 s, and each 15 s again */
    assert_true(fixture_run(f, found_body));
    nudges = 0;
    assert_true(fixture_run(f, sleep_body));
    assert_int_equal(nudges, 0);
    fixture_close(f);
    fixture_free(f);
}

static void moment_body(struct context *ctx, struct fixture *f)
{
    CHECK(f, context_sleep(ctx, SECOND / 100) == STATUS_OK);
}

static void tells_of_intents_found_at_the_start_at_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(41);
    struct node_nudger nudger = {.nudge = on_nudge};
    assert_true(fixture_run(f, prepare_body));
    fixture_crash(f, SIM_CRASH_KILL);
    fixture_open(f);
    nudges = 0;
    node_set_nudger(f->node, &nudger);
    assert_int_equal(nudges, 0);
    assert_true(fixture_run(f, moment_body));
    assert_int_equal(nudges, ITEMS);
    fixture_close(f);
    fixture_free(f);
}

static void second_body(struct context *ctx, struct fixture *f)
{
    CHECK(f, context_sleep(ctx, SECOND) == STATUS_OK);
}

static void tells_again_soon_of_what_was_not_taken(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(42);
    struct node_nudger nudger = {.nudge = on_nudge};
    assert_true(fixture_run(f, prepare_body));
    fixture_crash(f, SIM_CRASH_KILL);
    fixture_open(f);
    nudges = 0;
    refusals = 2 * ITEMS - 1; /* all of the first look, all but one of the second */
    node_set_nudger(f->node, &nudger);
    assert_true(fixture_run(f, second_body));
    assert_int_equal(refusals, 0);
    assert_int_equal(nudges, ITEMS); /* each once */
    fixture_close(f);
    fixture_free(f);
}

static void end_run(struct context *ctx, void *argument)
{
    struct call call;
    all_kinds(ctx, &call, 9);
    CHECK((struct fixture *)argument, end(ctx, argument, &call, 1, true) == STATUS_OK);
}

/* The end of the transaction comes in the call: a new fiber runs at once. */
static bool end_on_nudge(void *owner, struct txn_id id, uint64_t table_id, struct bytes item)
{
    struct fixture *f = owner;
    struct fiber_options options = {.arena_bytes_max = 1 << 20, .deadline_ns = UINT64_MAX};
    assert_true(on_nudge(NULL, id, table_id, item));
    assert_int_equal(fiber_spawn(sim_node_env(f->machine), &options, end_run, f), STATUS_OK);
    return true;
}

static void an_intent_may_go_while_it_is_told_of(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(43);
    struct node_nudger nudger = {.nudge = end_on_nudge, .owner = f};
    assert_true(fixture_run(f, prepare_body));
    fixture_crash(f, SIM_CRASH_KILL);
    fixture_open(f);
    nudges = 0;
    node_set_nudger(f->node, &nudger);
    assert_true(fixture_run(f, second_body));
    assert_in_range(nudges, 1, ITEMS);
    assert_int_equal(node_stats(f->node)->intents, 0);
    fixture_close(f);
    fixture_free(f);
}

int main(void)
{
    make_keys();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commits_what_it_prepared),
        cmocka_unit_test(accepts_again_what_is_committed_only),
        cmocka_unit_test(cancels_what_it_prepared),
        cmocka_unit_test(finds_its_intents_after_a_stop),
        cmocka_unit_test(recovers_a_log_with_many_transactions),
        cmocka_unit_test(does_it_in_one_round),
        cmocka_unit_test(leaves_to_a_transaction_what_has_expired),
        cmocka_unit_test(tells_of_intents_that_stay),
        cmocka_unit_test(tells_of_intents_found_at_the_start_at_once),
        cmocka_unit_test(tells_again_soon_of_what_was_not_taken),
        cmocka_unit_test(an_intent_may_go_while_it_is_told_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
