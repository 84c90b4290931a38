/* A disk that is full for good: what is refused, and quickly; what leads out of it; and starts on
 * it. */
#include "unit/node/node_fixture.h"

#define OTHER      (GROUP + 1)
#define THIRD      (GROUP + 2)
#define DISK_BYTES (UINT64_C(6) << 20)
#define VALUE_PAD  4000u
#define QUICKLY_NS (3 * SECOND)

static uint64_t filled; /* items 1..filled were acknowledged */

static struct bytes key_of(char name[24], uint64_t number)
{
    snprintf(name, 24, "k%06llu", (unsigned long long)number);
    return bytes_of_text(name);
}

static enum status put_number(struct context *ctx, struct fixture *f, uint64_t group,
                              uint64_t number)
{
    char name[24];
    uint64_t started_ns = env_now_ns(ctx->env);
    enum status status = put(ctx, f, group, key_of(name, number), number, VALUE_PAD);
    CHECK(f, env_now_ns(ctx->env) - started_ns < QUICKLY_NS);
    arena_reset(&ctx->arena);
    return status;
}

static enum status put_urgent(struct context *ctx, struct fixture *f, uint64_t group)
{
    struct write_request request = {.kind = WRITE_PUT, .item = make_item(ctx, BYTES("u"), 7, 100)};
    struct replica_target target = target_of(group);
    struct replica_write write = {
        .key = BYTES("u"), .key_attributes = request.item, .request = &request, .urgent = true};
    struct write_result result;
    struct error error;
    enum status status = STATUS_COUNT;
    f->service->write(ctx, f->service, &target, &write, 1, &result, &status, &error);
    return status;
}

static void other_body(struct context *ctx, struct fixture *f)
{
    CHECK(f, create_replica(ctx, f, OTHER) == STATUS_OK);
    CHECK(f, put_number(ctx, f, OTHER, 1) == STATUS_OK);
}

/* Until nothing has been taken for a while, in which the log could have found old segments
 * to use. */
static void fill_body(struct context *ctx, struct fixture *f)
{
    unsigned refused = 0;
    filled = 0;
    while (refused < 10 && filled < 5000) {
        enum status status = put_number(ctx, f, GROUP, filled + 1);
        CHECK(f, status == STATUS_OK || status == STATUS_NO_SPACE);
        filled += status == STATUS_OK;
        refused = status == STATUS_OK ? 0 : refused + 1;
        if (status != STATUS_OK)
            CHECK(f, context_sleep(ctx, SECOND) == STATUS_OK);
    }
    CHECK(f, filled > 100 && filled < 5000);
}

static void read_body(struct context *ctx, struct fixture *f)
{
    char name[24];
    for (uint64_t i = 1; i <= filled; i++) {
        uint64_t number;
        CHECK(f, get(ctx, f, GROUP, key_of(name, i), &number) == STATUS_OK && number == i);
        arena_reset(&ctx->arena);
    }
}

static void refuses_body(struct context *ctx, struct fixture *f)
{
    enum status status = put_number(ctx, f, GROUP, filled + 1);
    CHECK(f, status == STATUS_NO_SPACE || status == STATUS_UNAVAILABLE);
}

static void remove_body(struct context *ctx, struct fixture *f)
{
    CHECK(f, put_urgent(ctx, f, OTHER) == STATUS_OK);
    CHECK(f, f->service->remove_replica(ctx, f->service, GROUP) == STATUS_OK);
}

/* Until the log has no space. */
static void fill_log_body(struct context *ctx, struct fixture *f)
{
    enum status status = STATUS_OK;
    for (uint64_t i = 0; i < 2000 && status == STATUS_OK; i++)
        status = put_number(ctx, f, GROUP, 1);
    CHECK(f, status == STATUS_NO_SPACE && node_writable(f->node) == STATUS_NO_SPACE);
}

static void third_body(struct context *ctx, struct fixture *f)
{
    uint64_t started_ns = env_now_ns(ctx->env);
    CHECK(f, create_replica(ctx, f, THIRD) == STATUS_OK);
    CHECK(f, env_now_ns(ctx->env) - started_ns < QUICKLY_NS);
}

static void third_kept_body(struct context *ctx, struct fixture *f)
{
    uint64_t number;
    CHECK(f, get(ctx, f, THIRD, BYTES("u"), &number) == STATUS_OK && number == 7);
}

static void third_takes_body(struct context *ctx, struct fixture *f)
{
    CHECK(f, put_urgent(ctx, f, THIRD) == STATUS_OK);
    third_kept_body(ctx, f);
}

/* The other replica takes at least half of what the removed one held. */
static void others_body(struct context *ctx, struct fixture *f)
{
    unsigned refused = 0;
    for (uint64_t i = 1; i <= filled / 2 && refused < 20;) {
        enum status status = put_number(ctx, f, OTHER, i);
        i += status == STATUS_OK;
        refused += status != STATUS_OK;
        if (status != STATUS_OK)
            CHECK(f, context_sleep(ctx, SECOND) == STATUS_OK);
    }
    CHECK(f, refused < 20);
}

static void delete_body(struct context *ctx, struct fixture *f)
{
    char name[24];
    for (uint64_t i = 1; i <= filled; i++) {
        enum status status = STATUS_NO_SPACE;
        for (int tries = 0; tries < 10 && status == STATUS_NO_SPACE; tries++) {
            uint64_t started_ns = env_now_ns(ctx->env);
            status = remove_item(ctx, f, GROUP, key_of(name, i));
            CHECK(f, env_now_ns(ctx->env) - started_ns < QUICKLY_NS);
            if (status != STATUS_OK)
                CHECK(f, context_sleep(ctx, SECOND) == STATUS_OK);
        }
        CHECK(f, status == STATUS_OK);
        arena_reset(&ctx->arena);
    }
}

static struct fixture *open_filled(uint64_t seed)
{
    struct fixture *f = fixture_create_open(seed);
    sim_set_disk_bytes_max(f->sim, DISK_BYTES);
    assert_true(fixture_run(f, other_body));
    assert_true(fixture_run(f, fill_body));
    assert_int_equal(node_writable(f->node), STATUS_NO_SPACE);
    return f;
}

static void close_with_space(struct fixture *f)
{
    sim_set_disk_bytes_max(f->sim, 0);
    fixture_close(f);
    fixture_free(f);
}

static void a_removed_replica_makes_space_for_others(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct fixture *f = open_filled(seed);
        assert_true(fixture_run(f, read_body));
        assert_true(fixture_run(f, remove_body));
        if (seed % 2 == 0) {
            fixture_crash(f, SIM_CRASH_KILL);
            fixture_open(f);
        }
        assert_true(fixture_run(f, others_body));
        close_with_space(f);
    }
}

/* A table that was accepted before the disk was full is made. */
static void a_replica_is_made_on_a_full_disk(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct fixture *f = fixture_create_open(seed);
        sim_set_disk_bytes_max(f->sim, sim_disk_used(f->machine));
        assert_true(fixture_run(f, fill_log_body));
        assert_true(fixture_run(f, third_body));
        assert_true(fixture_run(f, third_takes_body));
        fixture_crash(f, seed % 2 == 0 ? SIM_CRASH_KILL : SIM_CRASH_POWER);
        fixture_open(f);
        assert_true(fixture_run(f, third_kept_body));
        close_with_space(f);
    }
}

static void deletes_make_space(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        struct fixture *f = open_filled(seed);
        assert_true(fixture_run(f, delete_body));
        assert_true(fixture_run(f, others_body));
        close_with_space(f);
    }
}

static void a_start_serves_reads_and_refuses_writes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct fixture *f = open_filled(seed);
        struct prng prng;
        prng_init(&prng, seed);
        fixture_crash(f, seed % 2 == 0 ? SIM_CRASH_KILL : SIM_CRASH_POWER);
        sim_set_disk_bytes_max(f->sim, sim_disk_used(f->machine)); /* others took what was left */
        for (int i = 0; i < 25; i++) { /* more than there are segments made ahead */
            uint64_t started_ns = sim_now_ns(f->sim);
            fixture_open(f);
            assert_true(sim_now_ns(f->sim) - started_ns < QUICKLY_NS);
            if (i % 5 == 0) {
                assert_true(fixture_run(f, read_body));
                assert_true(fixture_run(f, refuses_body));
            }
            fixture_crash(f, prng_one_in(&prng, 3) ? SIM_CRASH_POWER : SIM_CRASH_KILL);
        }
        fixture_open(f);
        assert_true(fixture_run(f, remove_body));
        assert_true(fixture_run(f, others_body));
        close_with_space(f);
    }
}

/* ---- Transactions ---- */

#define INTENTS 6u

/* A put of `number`, or the end of the transaction `number`, in OTHER. */
static enum status transact(struct context *ctx, struct fixture *f, uint64_t number, bool prepares,
                            bool commits)
{
    static uint8_t keys[INTENTS][12];
    uint8_t *at = keys[number % INTENTS];
    memset(at, 0, sizeof(keys[0])); /* the key of an item: hash, length, text, collection */
    at[9] = 1;
    at[10] = (uint8_t)('a' + number);
    struct bytes key = bytes_of(at, sizeof(keys[0]));
    struct write_request request = {.kind = WRITE_PUT,
                                    .item = make_item(ctx, BYTES("i"), number + 1, VALUE_PAD)};
    struct replica_write write = {.key = key, .key_attributes = request.item, .request = &request};
    struct replica_target target = target_of(OTHER);
    struct txn_id id = {{(uint8_t)(number + 1)}};
    if (!prepares)
        return (commits ? f->service->commit : f->service->cancel)(ctx, f->service, &target, id,
                                                                   &write, 1);
    struct replica_txn txn = {id, env_wall_ns(ctx->env) + SECOND};
    struct write_result result;
    enum status each = STATUS_OK;
    struct error error;
    uint64_t seen;
    enum status status = f->service->prepare(ctx, f->service, &target, &txn, &write, 1, &result,
                                             &each, &error, &seen);
    return status == STATUS_OK ? each : status;
}

static void prepare_body(struct context *ctx, struct fixture *f)
{
    for (uint64_t i = 0; i + 1 < INTENTS; i++)
        CHECK(f, transact(ctx, f, i, true, false) == STATUS_OK);
}

static void refuses_to_prepare_body(struct context *ctx, struct fixture *f)
{
    CHECK(f, transact(ctx, f, INTENTS - 1, true, false) == STATUS_NO_SPACE);
}

/* Every second is committed, the others are cancelled. */
static void end_body(struct context *ctx, struct fixture *f)
{
    for (uint64_t i = 0; i + 1 < INTENTS; i++)
        CHECK(f, transact(ctx, f, i, false, i % 2 == 0) == STATUS_OK);
    CHECK(f, node_stats(f->node)->intents == 0);
}

static void transactions_end_on_a_full_disk(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct fixture *f = fixture_create_open(seed);
        sim_set_disk_bytes_max(f->sim, DISK_BYTES);
        assert_true(fixture_run(f, other_body));
        assert_true(fixture_run(f, prepare_body));
        assert_true(fixture_run(f, fill_body));
        assert_true(fixture_run(f, refuses_to_prepare_body));
        if (seed % 2 == 0) {
            fixture_crash(f, SIM_CRASH_KILL);
            fixture_open(f);
        }
        assert_int_equal(node_stats(f->node)->intents, INTENTS - 1);
        assert_true(fixture_run(f, end_body));
        close_with_space(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_removed_replica_makes_space_for_others),
        cmocka_unit_test(a_replica_is_made_on_a_full_disk),
        cmocka_unit_test(deletes_make_space),
        cmocka_unit_test(a_start_serves_reads_and_refuses_writes),
        cmocka_unit_test(transactions_end_on_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
