/* Forests in memory: each page once, snapshots that stay as they were, the bound, what is given
 * back. */
#include "forest_fixture.h"

#include "base/arena.h"
#include "storage/page.h"

#define SNAPSHOTS_MAX 3u
#define KEY_SPACE     600u

struct memory {
    struct fixture fixture;
    struct forest *forest;
    struct tree *tree;
    struct prng prng;
    struct model model;
    uint64_t slot;
    struct {
        struct snapshot *snapshot; /* NULL: none */
        struct model model;
    } taken[SNAPSHOTS_MAX];
};

static void open_tree(struct context *ctx, struct memory *memory)
{
    assert_int_equal(forest_open(ctx, &memory->fixture.options, &memory->forest), STATUS_OK);
    struct forest_recovered recovered = forest_recovered(memory->forest);
    assert_true(recovered.created);
    assert_false(recovered.fell_back);
    assert_int_equal(recovered.log_id, 13);
    assert_int_equal(tree_create(memory->forest, fixture_replica(1), BYTES("blob"), &memory->tree),
                     STATUS_OK);
}

static enum status apply_one(struct context *ctx, struct memory *memory, unsigned number,
                             size_t value_bytes, enum tree_mutation_kind kind)
{
    static uint8_t value[TREE_VALUE_BYTES_MAX];
    uint8_t key[16];
    int bytes = snprintf((char *)key, sizeof(key), "%08u", number * 7919 % 1000003);
    memset(value, (int)(number + memory->slot), value_bytes);
    struct tree_mutation mutation = {.kind = kind,
                                     .key = bytes_of(key, (size_t)bytes),
                                     .value = bytes_of(value, kind == TREE_PUT ? value_bytes : 0)};
    TRY(tree_apply(ctx, memory->tree, &mutation, 1, memory->slot + 1));
    memory->slot++;
    model_apply(&memory->model, &mutation);
    return STATUS_OK;
}

/* Every page that has a use is in one frame, and no other frame is held. */
static void check_frames(const struct memory *memory)
{
    struct forest_stats stats = forest_stats(memory->forest);
    uint64_t used = stats.pages - PAGE_NUMBER_FIRST - stats.pages_free - stats.pages_pending;
    assert_int_equal(stats.frames_dirty, used);
    assert_int_equal(stats.reads, 0);
    assert_int_equal(stats.pages_written, 0);
}

static void run(void (*body)(struct context *ctx, void *argument), uint64_t cache_bytes,
                uint64_t seed)
{
    struct memory memory = {0};
    prng_init(&memory.prng, seed);
    fixture_open(&memory.fixture, seed);
    memory.fixture.options.in_memory = true;
    memory.fixture.options.path = NULL;
    memory.fixture.options.cache_bytes = cache_bytes;
    assert_true(fixture_run(&memory.fixture, body, &memory));
    model_release(&memory.model);
    fixture_close(&memory.fixture);
}

/* ---- Snapshots ---- */

static void turn_snapshot(struct context *ctx, struct memory *memory)
{
    unsigned i = (unsigned)prng_below(&memory->prng, SNAPSHOTS_MAX);
    if (memory->taken[i].snapshot == NULL) {
        assert_int_equal(snapshot_open(memory->tree, &memory->taken[i].snapshot), STATUS_OK);
        assert_int_equal(snapshot_applied(memory->taken[i].snapshot), memory->slot);
        memory->taken[i].model = model_clone(&memory->model);
        return;
    }
    model_check(ctx, &memory->taken[i].model, NULL, memory->taken[i].snapshot, 0);
    snapshot_close(memory->taken[i].snapshot);
    memory->taken[i].snapshot = NULL;
    model_release(&memory->taken[i].model);
}

static void snapshots(struct context *ctx, void *argument)
{
    struct memory *memory = argument;
    open_tree(ctx, memory);
    for (unsigned i = 0; i < 4000; i++) {
        unsigned number = (unsigned)prng_below(&memory->prng, KEY_SPACE);
        bool large = prng_one_in(&memory->prng, 20);
        size_t bytes = (size_t)prng_below(&memory->prng, large ? 30000 : 400);
        /* Long stretches of deletes, so that leaves merge below snapshots. */
        bool delete = prng_below(&memory->prng, 100) < (i / 500 % 2 == 0 ? 20 : 70);
        assert_int_equal(apply_one(ctx, memory, number, bytes, delete ? TREE_DELETE : TREE_PUT),
                         STATUS_OK);
        if (prng_one_in(&memory->prng, 40))
            turn_snapshot(ctx, memory);
        if (prng_one_in(&memory->prng, 100))
            assert_int_equal(forest_checkpoint(ctx, memory->forest, (struct lsn){memory->slot}),
                             STATUS_OK);
        if (prng_one_in(&memory->prng, 400)) {
            model_check(ctx, &memory->model, memory->tree, NULL, 0);
            assert_int_equal(forest_verify(ctx, memory->forest), STATUS_OK);
        }
        arena_reset(&ctx->arena);
    }
    for (unsigned i = 0; i < SNAPSHOTS_MAX; i++) {
        if (memory->taken[i].snapshot == NULL)
            continue;
        model_check(ctx, &memory->taken[i].model, NULL, memory->taken[i].snapshot, 0);
        snapshot_close(memory->taken[i].snapshot);
        model_release(&memory->taken[i].model);
    }
    /* What only they referred to goes when the epoch ends in which it was freed. */
    struct snapshot *last;
    assert_int_equal(snapshot_open(memory->tree, &last), STATUS_OK);
    snapshot_close(last);
    model_check(ctx, &memory->model, memory->tree, NULL, 0);
    assert_int_equal(forest_verify(ctx, memory->forest), STATUS_OK);
    assert_int_equal(forest_stats(memory->forest).pages_pending, 0);
    check_frames(memory);
    assert_int_equal(forest_close(ctx, memory->forest, (struct lsn){memory->slot}), STATUS_OK);
}

static void snapshots_stay_as_they_were(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++)
        run(snapshots, 0, seed);
}

static void no_more_snapshots_than_budget(struct context *ctx, void *argument)
{
    struct memory *memory = argument;
    struct snapshot *snapshot;
    struct bytes value;
    memory->fixture.options.snapshot_bytes = 20 * PAGE_BYTES;
    open_tree(ctx, memory);
    for (unsigned i = 0; i < KEY_SPACE; i++)
        assert_int_equal(apply_one(ctx, memory, i, 400, TREE_PUT), STATUS_OK);
    assert_int_equal(snapshot_open(memory->tree, &snapshot), STATUS_OK);
    for (unsigned i = 0; i < KEY_SPACE; i++)
        assert_int_equal(apply_one(ctx, memory, i, 400, TREE_PUT), STATUS_OK);
    assert_true(forest_stats(memory->forest).pages_pending > 20);
    struct snapshot *next; /* ends the epoch: the first one's pages are counted */
    assert_int_equal(snapshot_open(memory->tree, &next), STATUS_OK);
    assert_int_equal(snapshot_get(ctx, snapshot, BYTES("0"), &value), STATUS_CLOSED);
    snapshot_close(snapshot);
    model_check(ctx, &memory->model, NULL, next, 0);
    snapshot_close(next);
    check_frames(memory);
    assert_int_equal(forest_close(ctx, memory->forest, (struct lsn){0}), STATUS_OK);
}

static void snapshots_have_a_budget(void **state)
{
    (void)state;
    run(no_more_snapshots_than_budget, 0, 5);
}

/* ---- The bound ---- */

static void fill_up(struct context *ctx, void *argument)
{
    struct memory *memory = argument;
    open_tree(ctx, memory);
    for (unsigned round = 0; round < 3; round++) {
        unsigned count = 0;
        enum status status = STATUS_OK;
        while (status == STATUS_OK && count < 10000) {
            status = apply_one(ctx, memory, count, 2000, TREE_PUT);
            count += status == STATUS_OK ? 1 : 0;
        }
        assert_int_equal(status, STATUS_NO_SPACE);
        assert_true(count > 200);
        model_check(ctx, &memory->model, memory->tree, NULL, 0);
        assert_int_equal(forest_checkpoint(ctx, memory->forest, (struct lsn){memory->slot}),
                         STATUS_OK);
        assert_int_equal(forest_log_needed(memory->forest).value, memory->slot);
        assert_int_equal(tree_applied_durable(memory->tree), memory->slot);
        for (unsigned i = 0; i < count; i++)
            assert_int_equal(apply_one(ctx, memory, i, 0, TREE_DELETE), STATUS_OK);
        assert_int_equal(tree_row(memory->tree).items, 0);
        check_frames(memory);
        arena_reset(&ctx->arena);
    }
    assert_int_equal(forest_close(ctx, memory->forest, (struct lsn){memory->slot}), STATUS_OK);
}

static void full_memory_takes_deletes(void **state)
{
    (void)state;
    run(fill_up, FOREST_CACHE_BYTES_MIN, 7);
}

static void drop(struct context *ctx, void *argument)
{
    struct memory *memory = argument;
    open_tree(ctx, memory);
    uint64_t frames = 0;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 2000; i++)
            assert_int_equal(apply_one(ctx, memory, i, 1000, TREE_PUT), STATUS_OK);
        struct forest_stats stats = forest_stats(memory->forest);
        if (round == 0)
            frames = stats.frames;
        assert_int_equal(stats.frames, frames); /* those of the tree before are used again */
        tree_drop(memory->tree);
        for (unsigned turn = 0; turn < 40; turn++) /* of the loop: no time need pass */
            context_yield(ctx);
        assert_true(forest_stats(memory->forest).frames_dirty < frames / 10);
        while (forest_stats(memory->forest).trees_dropping > 0) {
            assert_int_equal(context_sleep(ctx, 10000000), STATUS_OK);
            assert_int_equal(forest_checkpoint(ctx, memory->forest, (struct lsn){0}), STATUS_OK);
        }
        check_frames(memory);
        memory->slot = 0;
        assert_int_equal(
            tree_create(memory->forest, fixture_replica(2 + round), BYTES(""), &memory->tree),
            STATUS_OK);
    }
    assert_int_equal(forest_verify(ctx, memory->forest), STATUS_OK);
    assert_int_equal(forest_close(ctx, memory->forest, (struct lsn){0}), STATUS_OK);
}

static void dropped_trees_leave_their_frames(void **state)
{
    (void)state;
    run(drop, 0, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(snapshots_stay_as_they_were),
        cmocka_unit_test(snapshots_have_a_budget),
        cmocka_unit_test(full_memory_takes_deletes),
        cmocka_unit_test(dropped_trees_leave_their_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
