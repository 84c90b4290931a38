/* The replica of a deleted table whose stream can still be read: its records stay, the rest goes,
 * over stops and crashes before and after a checkpoint. */
#include "node_fixture.h"

#include "base/prng.h"
#include "node/node_private.h" /* marks, and what the forest has */

#define WRITES 200u

struct counting {
    struct change_sink sink;
    uint32_t count;
    uint64_t last; /* number of the newest item */
};

static enum status take(struct change_sink *sink, const struct change_record *record)
{
    struct counting *counting = CONTAINER_OF(sink, struct counting, sink);
    counting->count++;
    counting->last = item_number(record->current);
    return STATUS_OK;
}

static enum status read_records(struct context *ctx, struct fixture *f, struct counting *counting)
{
    struct replica_target target = target_of(GROUP);
    struct replica_changes read = {.stream = 1};
    struct replica_changes_result result = {0};
    *counting = (struct counting){.sink = {.take = take}};
    while (!result.at_end) {
        enum status status =
            f->service->changes(ctx, f->service, &target, &read, &counting->sink, &result);
        if (status != STATUS_OK)
            return status;
        read.from = result.next;
    }
    return STATUS_OK;
}

static struct replica *here(const struct fixture *f)
{
    return node_replica(f->node, GROUP);
}

static void fill_body(struct context *ctx, struct fixture *f)
{
    f->keeps_changes = KEEP_CHANGES_FOR_STREAM;
    CHECK(f, changes_mark_set(ctx, here(f), 5, 0) == STATUS_OK);
    for (uint64_t i = 0; i < WRITES; i++) {
        char key[16];
        int bytes = snprintf(key, sizeof(key), "key%llu", (unsigned long long)i % 150);
        CHECK(f, put(ctx, f, GROUP, bytes_of(key, (size_t)bytes), i + 1, 1000) == STATUS_OK);
        arena_reset(&ctx->arena);
    }
}

static void check_retired(struct context *ctx, struct fixture *f)
{
    struct counting counting;
    uint64_t number, slot;
    CHECK(f, put(ctx, f, GROUP, BYTES("late"), 1, 0) == STATUS_MOVED);
    CHECK(f, get(ctx, f, GROUP, BYTES("key1"), &number) == STATUS_MOVED);
    CHECK(f, read_records(ctx, f, &counting) == STATUS_OK);
    CHECK(f, counting.count == WRITES && counting.last == WRITES);
    struct forest_row row = tree_row(here(f)->tree);
    CHECK(f, row.items == 0 && row.item_bytes == 0 && row.applied >= WRITES);
    CHECK(f, !changes_mark(here(f), 5, &slot));
}

static void retire_body(struct context *ctx, struct fixture *f)
{
    CHECK(f, f->service->retire_replica(ctx, f->service, GROUP) == STATUS_OK);
    check_retired(ctx, f);
    CHECK(f, f->service->retire_replica(ctx, f->service, GROUP) == STATUS_OK);
    check_retired(ctx, f);
}

static void checkpoint_body(struct context *ctx, struct fixture *f)
{
    struct lsn covered;
    CHECK(f, node_cover(f->node, &covered) == STATUS_OK);
    CHECK(f, forest_checkpoint(ctx, f->node->forest, covered) == STATUS_OK);
}

/* Before a checkpoint it is all there again; after one, nothing but the records. */
static void after_start_body(struct context *ctx, struct fixture *f)
{
    struct counting counting;
    uint64_t items = tree_row(here(f)->tree).items;
    CHECK(f, items == 0 || here(f)->applied_slot <= here(f)->commit_slot);
    CHECK(f, read_records(ctx, f, &counting) == STATUS_OK);
    CHECK(f, counting.count == WRITES && counting.last == WRITES);
    retire_body(ctx, f);
}

static void end_body(struct context *ctx, struct fixture *f)
{
    struct counting counting;
    CHECK(f, f->service->remove_replica(ctx, f->service, GROUP) == STATUS_OK);
    CHECK(f, f->service->retire_replica(ctx, f->service, GROUP) == STATUS_NOT_FOUND);
    CHECK(f, read_records(ctx, f, &counting) == STATUS_MOVED);
}

static void records_outlive_the_items(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct prng prng;
        prng_init(&prng, seed);
        struct fixture *f = fixture_create_open(seed);
        assert_true(fixture_run(f, fill_body));
        assert_true(fixture_run(f, retire_body));
        for (unsigned i = 0; i < 4; i++) {
            if (prng_one_in(&prng, 2))
                assert_true(fixture_run(f, checkpoint_body));
            fixture_restart_or_not(f, &prng);
            assert_true(fixture_run(f, after_start_body));
        }
        assert_true(fixture_run(f, end_body));
        fixture_close(f);
        fixture_free(f);
    }
}

/* ---- Under way ---- */

static uint32_t writers, acknowledged;
static uint64_t numbers;

static void write_run(struct context *ctx, void *argument)
{
    struct fixture *f = argument;
    for (;;) {
        enum status status = put(ctx, f, GROUP, BYTES("key"), ++numbers, 50);
        CHECK(f, status == STATUS_OK || status == STATUS_MOVED);
        arena_reset(&ctx->arena);
        if (status != STATUS_OK)
            break;
        acknowledged++;
    }
    writers--;
}

/* What was acknowledged before is in the records, whatever was under way. */
static void busy_body(struct context *ctx, struct fixture *f)
{
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    struct counting counting, again;
    f->keeps_changes = KEEP_CHANGES_FOR_STREAM;
    writers = 8;
    acknowledged = 0;
    for (unsigned i = 0; i < 8; i++)
        CHECK(f, fiber_spawn(ctx->env, &options, write_run, f) == STATUS_OK);
    CHECK(f, context_sleep(ctx, SECOND / 20) == STATUS_OK);
    CHECK(f, f->service->retire_replica(ctx, f->service, GROUP) == STATUS_OK);
    CHECK(f, read_records(ctx, f, &counting) == STATUS_OK);
    while (writers > 0)
        CHECK(f, context_sleep(ctx, 1000000) == STATUS_OK);
    CHECK(f, read_records(ctx, f, &again) == STATUS_OK);
    CHECK(f, again.count == counting.count && counting.count > 0);
    CHECK(f, counting.count >= acknowledged);
    CHECK(f, tree_row(here(f)->tree).items == 0);
}

static void nothing_comes_after_it(void **state)
{
    (void)state;
    for (uint64_t seed = 31; seed < 36; seed++) {
        struct fixture *f = fixture_create_open(seed);
        assert_true(fixture_run(f, busy_body));
        fixture_close(f);
        fixture_free(f);
    }
}

/* ---- A transaction's intent ---- */

static void intent_body(struct context *ctx, struct fixture *f)
{
    struct replica_target target = target_of(GROUP);
    struct write_request request = {.kind = WRITE_PUT, .item = make_item(ctx, BYTES("i"), 9, 10)};
    static const uint8_t key[12] = {[9] = 1, [10] = 'i'};
    struct replica_write write = {
        .key = bytes_of(key, 12), .key_attributes = request.item, .request = &request};
    struct replica_txn txn = {.id = {.at = {1, 2, 3}}, .timestamp = wall_now_ns(ctx->env)};
    struct write_result result;
    struct error error;
    enum status one;
    uint64_t seen;
    f->keeps_changes = target.keeps_changes = KEEP_CHANGES_FOR_STREAM;
    target.stream = 1;
    CHECK(f, f->service->prepare(ctx, f->service, &target, &txn, &write, 1, &result, &one, &error,
                                 &seen) == STATUS_OK);
    CHECK(f, one == STATUS_OK && node_stats(f->node)->intents == 1);
    uint64_t began_ns = env_now_ns(ctx->env);
    CHECK(f, f->service->retire_replica(ctx, f->service, GROUP) == STATUS_OK);
    CHECK(f, env_now_ns(ctx->env) - began_ns >= 10 * SECOND); /* it was given time */
    CHECK(f, node_stats(f->node)->intents == 0 && tree_row(here(f)->tree).items == 0);
    CHECK(f, f->service->commit(ctx, f->service, &target, txn.id, &write, 1) == STATUS_MOVED);
}

static void intents_that_stay_go_with_the_items(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(41);
    assert_true(fixture_run(f, intent_body));
    fixture_close(f);
    fixture_open(f);
    assert_int_equal(node_stats(f->node)->intents, 0);
    fixture_close(f);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_outlive_the_items),
        cmocka_unit_test(nothing_comes_after_it),
        cmocka_unit_test(intents_that_stay_go_with_the_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
