/* A crash at every write and sync, failing disks, full disks: what is opened afterwards is a
 * checkpoint that was made, whole, and the log's replay brings back the rest. */
#include "forest_fixture.h"

#include "base/arena.h"
#include "storage/superblock.h"

#define SLOTS      70u
#define BATCH      12u
#define KEYS       400u
#define VALUE_MAX  9000u
#define CHECKPOINT 5u /* slots between checkpoints */

struct crash {
    struct fixture fixture;
    struct forest *forest;
    struct tree *tree;
    uint64_t applied;  /* slots given to the tree */
    uint64_t durable;  /* covered by a checkpoint that was reported as done */
    uint64_t released; /* the log no longer has what is before: forest_log_needed once said so */
    uint64_t slot_end; /* of this run */
    bool batch_failed; /* a checkpoint may have a part of one */
    unsigned failures;
};

/* The batch of a slot is always the same: what a log would give. */
static size_t make_batch(uint64_t slot, struct tree_mutation *batch, uint8_t *keys, uint8_t *values)
{
    struct prng prng;
    prng_init(&prng, slot * 977);
    size_t count = 1 + (size_t)prng_below(&prng, BATCH);
    for (size_t i = 0; i < count; i++) {
        uint8_t *key = keys + i * 32;
        uint8_t *value = values + i * VALUE_MAX;
        int bytes =
            snprintf((char *)key, 32, "%04llu-key", (unsigned long long)prng_below(&prng, KEYS));
        bool delete = prng_one_in(&prng, 4);
        size_t value_bytes = (size_t)prng_below(&prng, prng_one_in(&prng, 8) ? VALUE_MAX : 700);
        memset(value, (int)(slot % 251), value_bytes);
        batch[i] = (struct tree_mutation){.kind = delete ? TREE_DELETE : TREE_PUT,
                                          .key = bytes_of(key, (size_t)bytes),
                                          .value = bytes_of(value, delete ? 0 : value_bytes)};
    }
    return count;
}

static struct model model_at(uint64_t slot)
{
    struct model model = {0};
    struct tree_mutation batch[BATCH];
    static uint8_t keys[BATCH * 32];
    static uint8_t values[BATCH * VALUE_MAX];
    for (uint64_t at = 1; at <= slot; at++) {
        size_t count = make_batch(at, batch, keys, values);
        for (size_t i = 0; i < count; i++)
            model_apply(&model, &batch[i]);
    }
    return model;
}

static enum status apply_slot(struct context *ctx, struct crash *crash, uint64_t slot)
{
    struct tree_mutation batch[BATCH];
    uint8_t *keys = arena_alloc(&ctx->arena, (size_t)BATCH * 32);
    uint8_t *values = arena_alloc(&ctx->arena, (size_t)BATCH * VALUE_MAX);
    size_t count = make_batch(slot, batch, keys, values);
    enum status status = tree_apply(ctx, crash->tree, batch, count, slot);
    if (status == STATUS_OK)
        crash->applied = slot;
    arena_reset(&ctx->arena);
    return status;
}

static void check_content(struct context *ctx, struct crash *crash)
{
    struct model model = model_at(tree_row(crash->tree).applied);
    model_check(ctx, &model, crash->tree, NULL, 0);
    model_release(&model);
    arena_reset(&ctx->arena);
    assert_int_equal(forest_verify(ctx, crash->forest), STATUS_OK);
}

static void release_log(struct crash *crash)
{
    crash->released = MAX(crash->released, forest_log_needed(crash->forest).value);
}

static void find_tree(struct crash *crash)
{
    crash->tree = forest_tree(crash->forest, fixture_replica(5));
    if (crash->tree == NULL)
        assert_int_equal(tree_create(crash->forest, fixture_replica(5), BYTES("c"), &crash->tree),
                         STATUS_OK);
    crash->applied = tree_row(crash->tree).applied;
    assert_true(forest_recovered(crash->forest).log_from.value >= crash->released);
    release_log(crash);
}

/* What the tree holds when it is opened.  A batch that failed may be in it in part, until the log
 * gives it once more. */
static void check_opened(struct context *ctx, struct crash *crash)
{
    if (crash->batch_failed)
        assert_int_equal(apply_slot(ctx, crash, crash->applied + 1), STATUS_OK);
    check_content(ctx, crash);
}

static void open_tree(struct context *ctx, struct crash *crash)
{
    assert_int_equal(forest_open(ctx, &crash->fixture.options, &crash->forest), STATUS_OK);
    find_tree(crash);
}

static void work(struct context *ctx, void *argument)
{
    struct crash *crash = argument;
    open_tree(ctx, crash);
    /* The log has everything from here on. */
    assert_true(crash->applied >= crash->durable);
    assert_true(forest_recovered(crash->forest).log_from.value <= crash->applied);
    check_opened(ctx, crash);
    for (uint64_t slot = crash->applied + 1; slot <= crash->slot_end; slot++) {
        assert_int_equal(apply_slot(ctx, crash, slot), STATUS_OK);
        if (slot % CHECKPOINT != 0)
            continue;
        assert_int_equal(forest_checkpoint(ctx, crash->forest, (struct lsn){slot}), STATUS_OK);
        crash->durable = slot;
        release_log(crash);
    }
    check_content(ctx, crash);
    assert_int_equal(forest_close(ctx, crash->forest, (struct lsn){crash->slot_end}), STATUS_OK);
    crash->durable = crash->slot_end;
}

static void restart(struct crash *crash)
{
    fixture_start(&crash->fixture);
    assert_true(fixture_run(&crash->fixture, work, crash));
}

static void survives_a_crash_at_every_change_of_the_file(void **state)
{
    (void)state;
    bool finished = false;
    for (uint64_t at = 1; !finished; at++) {
        struct crash crash = {.slot_end = SLOTS};
        fixture_open(&crash.fixture, 1000 + at);
        sim_node_crash_at(crash.fixture.node, at % 3 == 0 ? SIM_CRASH_KILL : SIM_CRASH_POWER, at);
        finished = fixture_run(&crash.fixture, work, &crash);
        assert_true(at < 2000);
        if (!finished) {
            /* A second crash, soon after the first. */
            fixture_start(&crash.fixture);
            sim_node_crash_at(crash.fixture.node, SIM_CRASH_POWER, at % 17 + 1);
            if (!fixture_run(&crash.fixture, work, &crash))
                restart(&crash);
        }
        fixture_close(&crash.fixture);
    }
}

enum target { NEWER, OLDER, FREE_LIST_OF_NEWER };

/* Damage one of two superblocks of two checkpoints, or what only the newer one refers to; false
 * when there are not two. */
static bool damage_superblock(struct crash *crash, enum target target)
{
    struct superblock supers[2];
    static uint8_t block[SUPERBLOCK_BYTES];
    for (uint32_t which = 0; which < 2; which++) {
        if (sim_disk_read(crash->fixture.node, FIXTURE_PATH, which * SUPERBLOCK_SPACING, block,
                          SUPERBLOCK_BYTES) != STATUS_OK ||
            superblock_decode(block, which, &supers[which]) != STATUS_OK)
            return false;
    }
    uint32_t newer = supers[1].epoch > supers[0].epoch ? 1 : 0;
    uint32_t which = target == OLDER ? 1 - newer : newer;
    uint64_t at = (uint64_t)which * SUPERBLOCK_SPACING + 60;
    if (target == FREE_LIST_OF_NEWER) {
        if (supers[0].epoch == supers[1].epoch)
            return false;
        at = (uint64_t)supers[newer].free_list.number * PAGE_BYTES + 100;
    }
    assert_int_equal(sim_disk_flip(crash->fixture.node, FIXTURE_PATH, at, 0x40), STATUS_OK);
    return true;
}

static void look(struct context *ctx, void *argument)
{
    struct crash *crash = argument;
    open_tree(ctx, crash);
    assert_true(forest_recovered(crash->forest).fell_back);
    assert_true(forest_recovered(crash->forest).log_from.value <= crash->applied);
    check_opened(ctx, crash);
    for (uint64_t slot = crash->applied + 1; slot <= crash->slot_end; slot++)
        assert_int_equal(apply_slot(ctx, crash, slot), STATUS_OK);
    check_content(ctx, crash);
    assert_int_equal(forest_checkpoint(ctx, crash->forest, (struct lsn){crash->slot_end}),
                     STATUS_OK);
}

static void opens_from_either_superblock_at_every_moment(void **state)
{
    (void)state;
    unsigned opened = 0;
    bool finished = false;
    for (uint64_t at = 1; !finished; at++) {
        struct crash crash = {.slot_end = SLOTS};
        fixture_open(&crash.fixture, 3000 + at);
        sim_node_crash_at(crash.fixture.node, SIM_CRASH_POWER, at);
        finished = fixture_run(&crash.fixture, work, &crash);
        if (finished)
            sim_node_crash(crash.fixture.node, SIM_CRASH_POWER);
        crash.durable = 0;
        if (damage_superblock(&crash, at % 3 == 0 ? FREE_LIST_OF_NEWER : NEWER)) {
            opened++;
            fixture_start(&crash.fixture);
            assert_true(fixture_run(&crash.fixture, look, &crash));
            sim_node_crash(crash.fixture.node, SIM_CRASH_POWER);
            crash.durable = crash.slot_end;
            restart(&crash);
        }
        fixture_close(&crash.fixture);
    }
    assert_true(opened > 50);
}

/* ---- Disks that fail ---- */

static void work_with_errors(struct context *ctx, void *argument)
{
    struct crash *crash = argument;
    struct sim_rates none = {0};
    struct sim_rates bad = {.write_error = 9, .sync_error = 9, .no_space = 9, .read_error = 30};
    open_tree(ctx, crash);
    sim_set_rates(crash->fixture.sim, &bad);
    unsigned tries = 0;
    while (crash->applied < crash->slot_end && tries++ < 2000) {
        enum status status = apply_slot(ctx, crash, crash->applied + 1);
        if (status != STATUS_OK)
            crash->failures++;
        if (tries % CHECKPOINT != 0)
            continue;
        status = forest_checkpoint(ctx, crash->forest, (struct lsn){crash->applied});
        if (status != STATUS_OK) {
            crash->failures++;
            continue;
        }
        crash->durable = crash->applied;
    }
    assert_int_equal(crash->applied, crash->slot_end);
    sim_set_rates(crash->fixture.sim, &none);
    check_content(ctx, crash);
    assert_int_equal(forest_checkpoint(ctx, crash->forest, (struct lsn){crash->applied}),
                     STATUS_OK);
    assert_int_equal(forest_stats(crash->forest).checkpoint_status, STATUS_OK);
    check_content(ctx, crash);
    crash->durable = crash->applied;
}

static void keeps_everything_when_writes_and_syncs_fail(void **state)
{
    (void)state;
    unsigned failures = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct crash crash = {.slot_end = 200};
        fixture_open(&crash.fixture, 5000 + seed);
        assert_true(fixture_run(&crash.fixture, work_with_errors, &crash));
        sim_node_crash(crash.fixture.node, SIM_CRASH_POWER);
        restart(&crash);
        failures += crash.failures;
        fixture_close(&crash.fixture);
    }
    assert_true(failures > 100);
}

static void fail_many_checkpoints(struct context *ctx, void *argument)
{
    struct crash *crash = argument;
    struct sim_rates bad = {.sync_error = 1};
    struct sim_rates none = {0};
    open_tree(ctx, crash);
    for (uint64_t slot = 1; slot <= 40; slot++)
        assert_int_equal(apply_slot(ctx, crash, slot), STATUS_OK);
    uint64_t pages = forest_stats(crash->forest).pages;
    sim_set_rates(crash->fixture.sim, &bad);
    for (unsigned i = 0; i < 50; i++)
        assert_int_equal(forest_checkpoint(ctx, crash->forest, (struct lsn){40}), STATUS_IO);
    sim_set_rates(crash->fixture.sim, &none);
    assert_true(forest_stats(crash->forest).pages <= 4 * pages);
    crash->slot_end = 40;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(forest_checkpoint(ctx, crash->forest, (struct lsn){40}), STATUS_OK);
    crash->durable = 40;
    check_content(ctx, crash);
}

/* What a checkpoint wrote that never came to its superblock is of no use to anybody. */
static void does_not_grow_while_checkpoints_fail(void **state)
{
    (void)state;
    struct crash crash = {0};
    fixture_open(&crash.fixture, 6001);
    assert_true(fixture_run(&crash.fixture, fail_many_checkpoints, &crash));
    sim_node_crash(crash.fixture.node, SIM_CRASH_POWER);
    restart(&crash);
    fixture_close(&crash.fixture);
}

/* The process dies or power is lost while the disk fails. */
static void errors_then_crash(struct context *ctx, void *argument)
{
    struct crash *crash = argument;
    struct sim_rates bad = {.write_error = 20, .sync_error = 8, .no_space = 20};
    open_tree(ctx, crash);
    sim_set_rates(crash->fixture.sim, &bad);
    for (unsigned tries = 1; tries < 5000; tries++) {
        enum status status = apply_slot(ctx, crash, crash->applied + 1);
        crash->batch_failed |= status != STATUS_OK;
        if (status != STATUS_OK && tries % 3 != 0)
            continue;
        if (tries % 3 == 0 &&
            forest_checkpoint(ctx, crash->forest, (struct lsn){crash->applied}) == STATUS_OK)
            crash->durable = crash->applied;
        release_log(crash);
    }
    fail_msg("it should have crashed");
}

static void survives_power_loss_on_a_failing_disk(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 25; seed++) {
        struct sim_rates none = {0};
        struct crash crash = {.slot_end = 0};
        fixture_open(&crash.fixture, 7000 + seed);
        sim_node_crash_at(crash.fixture.node, SIM_CRASH_POWER, 20 + seed * 7);
        assert_false(fixture_run(&crash.fixture, errors_then_crash, &crash));
        sim_set_rates(crash.fixture.sim, &none);
        crash.slot_end = crash.applied + 5;
        restart(&crash);
        fixture_close(&crash.fixture);
    }
}

/* ---- What is read back after the process died may not be on the disk ---- */

/* Run until power is lost during change `changes`, or to the end; damage one superblock, when there
 * are two.  The other is enough. */
static bool either_is_enough(struct crash *crash, uint64_t changes, enum target target)
{
    fixture_start(&crash->fixture);
    sim_node_crash_at(crash->fixture.node, SIM_CRASH_POWER, changes);
    if (fixture_run(&crash->fixture, work, crash))
        sim_node_crash(crash->fixture.node, SIM_CRASH_POWER);
    sim_node_crash_at(crash->fixture.node, SIM_CRASH_POWER, 0);
    crash->durable = 0;
    bool damaged = damage_superblock(crash, target);
    fixture_start(&crash->fixture);
    assert_true(fixture_run(&crash->fixture, damaged ? look : work, crash));
    sim_node_crash(crash->fixture.node, SIM_CRASH_POWER);
    return damaged;
}

/* The name of a file that was just made, too. */
static void keeps_the_file_that_was_made_before_a_kill(void **state)
{
    (void)state;
    for (uint64_t at = 1; at <= 40; at++) {
        struct crash crash = {.slot_end = 12};
        fixture_open(&crash.fixture, 9000 + at);
        sim_node_crash_at(crash.fixture.node, SIM_CRASH_KILL, 1 + at % 10);
        assert_false(fixture_run(&crash.fixture, work, &crash));
        restart(&crash);
        assert_int_equal(crash.durable, crash.slot_end);
        sim_node_crash(crash.fixture.node, SIM_CRASH_POWER);
        restart(&crash);
        fixture_close(&crash.fixture);
    }
}

static void either_superblock_is_enough_after_a_kill_and_a_power_loss(void **state)
{
    (void)state;
    unsigned damaged = 0;
    bool finished = false;
    for (uint64_t at = 1; !finished; at++) {
        for (uint64_t changes = 1 + at % 6; changes < 20 && !finished; changes += 6) {
            struct crash crash = {.slot_end = 40};
            fixture_open(&crash.fixture, 11000 + at * 20 + changes);
            sim_node_crash_at(crash.fixture.node, SIM_CRASH_KILL, at);
            finished = fixture_run(&crash.fixture, work, &crash);
            if (!finished)
                damaged += either_is_enough(&crash, changes, (enum target)(at % 3)) ? 1 : 0;
            fixture_close(&crash.fixture);
        }
    }
    assert_true(damaged > 100);
}

/* The same after syncs that failed: the page cache may hold for good what the disk never gets. */
static void either_superblock_is_enough_after_failed_syncs_and_a_kill(void **state)
{
    (void)state;
    unsigned damaged = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct sim_rates none = {0};
        struct crash crash = {.slot_end = 0};
        fixture_open(&crash.fixture, 17000 + seed);
        sim_node_crash_at(crash.fixture.node, SIM_CRASH_KILL, 15 + seed);
        assert_false(fixture_run(&crash.fixture, errors_then_crash, &crash));
        sim_set_rates(crash.fixture.sim, &none);
        crash.slot_end = crash.applied + 12;
        damaged += either_is_enough(&crash, 1 + seed % 16, (enum target)(seed % 3)) ? 1 : 0;
        fixture_close(&crash.fixture);
    }
    assert_true(damaged > 50);
}

/* ---- All of it, at random ---- */

#define LIVES 12u

struct lives {
    struct crash crash;
    struct prng prng;
    bool damaged; /* since it was opened last */
};

/* One life of the process, which may end by a crash anywhere. */
static void live(struct context *ctx, void *argument)
{
    struct lives *lives = argument;
    struct crash *crash = &lives->crash;
    struct prng *prng = &lives->prng;
    enum status status = forest_open(ctx, &crash->fixture.options, &crash->forest);
    if (status != STATUS_OK) {
        assert_true(status == STATUS_IO || status == STATUS_NO_SPACE);
        return;
    }
    lives->damaged = false;
    find_tree(crash);
    assert_true(crash->applied >= crash->durable);
    /* A batch may be in the tree in part; the log gives it once more. */
    if (apply_slot(ctx, crash, crash->applied + 1) == STATUS_OK)
        check_content(ctx, crash);
    uint64_t slots_max = 1 + prng_below(prng, 20);
    for (uint64_t turns = prng_below(prng, 20); turns > 0; turns--) {
        for (uint64_t i = prng_below(prng, slots_max); i > 0; i--)
            (void)!apply_slot(ctx, crash, crash->applied + 1);
        uint64_t covered = crash->applied;
        if (forest_checkpoint(ctx, crash->forest, (struct lsn){covered}) == STATUS_OK)
            crash->durable = covered;
        release_log(crash);
    }
    uint64_t covered = crash->applied;
    if (prng_one_in(prng, 3) &&
        forest_close(ctx, crash->forest, (struct lsn){covered}) == STATUS_OK)
        crash->durable = covered;
}

static void run_lives(uint64_t seed)
{
    struct lives lives = {0};
    struct crash *crash = &lives.crash;
    struct prng *prng = &lives.prng;
    prng_init(prng, seed);
    fixture_open(&crash->fixture, seed);
    for (unsigned life = 0; life < LIVES; life++) {
        struct sim_rates rates = {0};
        if (life + 1 < LIVES && prng_one_in(prng, 2))
            rates = (struct sim_rates){.write_error = 30, .sync_error = 15, .no_space = 60};
        sim_set_rates(crash->fixture.sim, &rates);
        if (sim_node_env(crash->fixture.node) == NULL)
            fixture_start(&crash->fixture);
        bool power = prng_one_in(prng, 2);
        uint64_t at = prng_one_in(prng, 3) ? 0 : 1 + prng_below(prng, 60);
        sim_node_crash_at(crash->fixture.node, power ? SIM_CRASH_POWER : SIM_CRASH_KILL, at);
        if (fixture_run(&crash->fixture, live, &lives))
            sim_node_crash(crash->fixture.node, power ? SIM_CRASH_POWER : SIM_CRASH_KILL);
        sim_node_crash_at(crash->fixture.node, SIM_CRASH_KILL, 0);
        if (!lives.damaged && prng_one_in(prng, 2) &&
            sim_disk_durable(crash->fixture.node, FIXTURE_PATH))
            lives.damaged = damage_superblock(crash, (enum target)prng_below(prng, 3));
        if (lives.damaged)
            crash->durable = 0; /* the log has it */
    }
    fixture_close(&crash->fixture);
}

/* TRINE_TEST_SEEDS asks for more seeds. */
static void opens_what_the_log_continues_life_after_life(void **state)
{
    (void)state;
    const char *wanted = getenv("TRINE_TEST_SEEDS");
    uint64_t seeds = wanted != NULL ? strtoull(wanted, NULL, 10) : 40;
    for (uint64_t seed = 1; seed <= seeds; seed++)
        run_lives(20000 + seed);
}

/* ---- Full disks ---- */

static void fill_and_empty(struct context *ctx, void *argument)
{
    struct crash *crash = argument;
    uint8_t key[16];
    static uint8_t value[1500];
    uint64_t slot = 0;
    unsigned count = 0;
    struct bytes found;
    open_tree(ctx, crash);
    enum status status = STATUS_OK;
    while (status == STATUS_OK) {
        int bytes = snprintf((char *)key, sizeof(key), "%08u", count * 7919 % 100000);
        struct tree_mutation put = {.kind = TREE_PUT,
                                    .key = bytes_of(key, (size_t)bytes),
                                    .value = bytes_of(value, sizeof(value))};
        status = tree_apply(ctx, crash->tree, &put, 1, slot + 1);
        if (status == STATUS_OK) {
            slot++;
            count++;
        }
        if (count % 50 == 0)
            assert_int_equal(forest_checkpoint(ctx, crash->forest, (struct lsn){slot}), STATUS_OK);
    }
    assert_int_equal(status, STATUS_NO_SPACE);
    assert_false(forest_has_space(crash->forest));
    assert_true(count > 500);
    assert_int_equal(forest_checkpoint(ctx, crash->forest, (struct lsn){slot}), STATUS_OK);
    assert_int_equal(tree_get(ctx, crash->tree, BYTES("00000000"), &found), STATUS_OK);
    /* Deletes go through, with checkpoints among them, and make room. */
    for (unsigned i = 0; i < count / 2; i++) {
        int bytes = snprintf((char *)key, sizeof(key), "%08u", i * 7919 % 100000);
        struct tree_mutation delete = {.kind = TREE_DELETE, .key = bytes_of(key, (size_t)bytes)};
        status = tree_apply(ctx, crash->tree, &delete, 1, slot + 1);
        assert_int_equal(status, STATUS_OK);
        slot++;
        if (i % 8 == 7)
            assert_int_equal(forest_checkpoint(ctx, crash->forest, (struct lsn){slot}), STATUS_OK);
    }
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(forest_checkpoint(ctx, crash->forest, (struct lsn){slot}), STATUS_OK);
    assert_int_equal(context_sleep(ctx, UINT64_C(2000000000)), STATUS_OK);
    assert_true(forest_has_space(crash->forest));
    for (unsigned i = 0; i < count / 8; i++) {
        int bytes = snprintf((char *)key, sizeof(key), "%08u", i * 7919 % 100000);
        struct tree_mutation put = {
            .kind = TREE_PUT, .key = bytes_of(key, (size_t)bytes), .value = bytes_of(value, 200)};
        assert_int_equal(tree_apply(ctx, crash->tree, &put, 1, ++slot), STATUS_OK);
        if (i % 8 == 7)
            assert_int_equal(forest_checkpoint(ctx, crash->forest, (struct lsn){slot}), STATUS_OK);
    }
    assert_int_equal(forest_verify(ctx, crash->forest), STATUS_OK);
    assert_int_equal(forest_close(ctx, crash->forest, (struct lsn){slot}), STATUS_OK);
}

static void deletes_make_room_on_a_full_disk(void **state)
{
    (void)state;
    struct sim_options options = sim_options_from_seed(99);
    options.disk_bytes_max = 6u << 20;
    struct crash crash = {.fixture = {.sim = sim_create(&options)}};
    crash.fixture.node = sim_node_create(crash.fixture.sim, "node");
    crash.fixture.options = (struct forest_options){.path = FIXTURE_PATH,
                                                    .create = true,
                                                    .cache_bytes = FOREST_CACHE_BYTES_MIN * 2,
                                                    .reserve_pages = 128};
    fixture_start(&crash.fixture);
    assert_true(fixture_run(&crash.fixture, fixture_dir, NULL));
    assert_true(fixture_run(&crash.fixture, fill_and_empty, &crash));
    fixture_close(&crash.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(survives_a_crash_at_every_change_of_the_file),
        cmocka_unit_test(opens_from_either_superblock_at_every_moment),
        cmocka_unit_test(keeps_everything_when_writes_and_syncs_fail),
        cmocka_unit_test(does_not_grow_while_checkpoints_fail),
        cmocka_unit_test(survives_power_loss_on_a_failing_disk),
        cmocka_unit_test(keeps_the_file_that_was_made_before_a_kill),
        cmocka_unit_test(either_superblock_is_enough_after_a_kill_and_a_power_loss),
        cmocka_unit_test(either_superblock_is_enough_after_failed_syncs_and_a_kill),
        cmocka_unit_test(opens_what_the_log_continues_life_after_life),
        cmocka_unit_test(deletes_make_room_on_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
