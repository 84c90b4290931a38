/* What a forest does with several trees and fibers: rows, staged trees, dropping, snapshots,
 * readers beside an applier, shrinking, want of memory. */
#include "forest_fixture.h"

#include "base/arena.h"

struct many {
    struct fixture fixture;
    struct forest *forest;
    struct prng prng;
    struct context *checkpointer;
    unsigned readers;
    bool stop;
    uint64_t version; /* of all values, when no batch is under way */
};

static void open_forest(struct context *ctx, void *argument)
{
    struct many *many = argument;
    assert_int_equal(forest_open(ctx, &many->fixture.options, &many->forest), STATUS_OK);
}

static void checkpoint(struct context *ctx, struct many *many)
{
    assert_int_equal(forest_checkpoint(ctx, many->forest, (struct lsn){1}), STATUS_OK);
}

static void put_many(struct context *ctx, struct tree *tree, unsigned from, unsigned count,
                     size_t value_bytes, uint8_t fill)
{
    uint8_t key[16];
    static uint8_t value[TREE_VALUE_BYTES_MAX];
    memset(value, fill, value_bytes);
    struct forest_row row = tree_row(tree);
    for (unsigned i = from; i < from + count; i++) {
        int bytes = snprintf((char *)key, sizeof(key), "%08u", i * 7919 % 1000003);
        struct tree_mutation put = {.kind = TREE_PUT,
                                    .key = bytes_of(key, (size_t)bytes),
                                    .value = bytes_of(value, value_bytes)};
        assert_int_equal(tree_apply(ctx, tree, &put, 1, row.replica.group == 0 ? 0 : ++row.applied),
                         STATUS_OK);
    }
}

static enum status get_one(struct context *ctx, struct tree *tree, unsigned i, struct bytes *value)
{
    uint8_t key[16];
    int bytes = snprintf((char *)key, sizeof(key), "%08u", i * 7919 % 1000003);
    return tree_get(ctx, tree, bytes_of(key, (size_t)bytes), value);
}

/* ---- Rows ---- */

static void rows(struct context *ctx, void *argument)
{
    struct many *many = argument;
    struct tree *trees[5];
    open_forest(ctx, many);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(
            tree_create(many->forest, fixture_replica(50 - i), BYTES("first"), &trees[i]),
            STATUS_OK);
        put_many(ctx, trees[i], 0, 20 * (i + 1), 100, (uint8_t)i);
    }
    struct tree *again;
    assert_int_equal(tree_create(many->forest, fixture_replica(50), BYTES(""), &again),
                     STATUS_EXISTS);
    static uint8_t blob[FOREST_ROW_BLOB_BYTES_MAX + 1];
    assert_int_equal(tree_set_blob(trees[0], bytes_of(blob, sizeof(blob))), STATUS_TOO_LARGE);
    assert_int_equal(tree_set_blob(trees[0], bytes_of(blob, sizeof(blob) - 1)), STATUS_OK);
    assert_int_equal(tree_applied_durable(trees[1]), 0);
    checkpoint(ctx, many);
    checkpoint(ctx, many);
    assert_int_equal(tree_applied_durable(trees[1]), 40);
    tree_drop(trees[4]);
    assert_null(forest_tree(many->forest, fixture_replica(46)));
    assert_int_equal(forest_close(ctx, many->forest, (struct lsn){2}), STATUS_OK);
    open_forest(ctx, many);
    struct forest_row row = {0};
    unsigned count = 0;
    while (forest_rows(many->forest, row.replica, &row)) {
        unsigned i = 50 - (unsigned)row.replica.group;
        assert_int_equal(row.replica.group, 47 + count);
        assert_int_equal(row.items, 20 * (i + 1));
        assert_int_equal(row.bytes, 20 * (i + 1) * 108);
        assert_int_equal(row.applied, 20 * (i + 1));
        assert_int_equal(row.log_start, 0);
        if (i == 0)
            assert_int_equal(row.blob.count, FOREST_ROW_BLOB_BYTES_MAX);
        else
            assert_bytes_equal(row.blob, BYTES("first"));
        count++;
    }
    assert_int_equal(count, 4);
    while (forest_stats(many->forest).trees_dropping > 0) {
        assert_int_equal(context_sleep(ctx, 10000000), STATUS_OK);
        checkpoint(ctx, many);
    }
    assert_int_equal(forest_verify(ctx, many->forest), STATUS_OK);
    assert_int_equal(forest_close(ctx, many->forest, (struct lsn){2}), STATUS_OK);
}

/* ---- A second tree ---- */

static void second(struct context *ctx, void *argument)
{
    struct many *many = argument;
    struct tree *tree, *other, *beside, *again;
    struct bytes keys[50];
    many->fixture.options.cache_bytes = 8u << 20;
    open_forest(ctx, many);
    assert_int_equal(tree_create(many->forest, fixture_replica(1), BYTES("blob"), &tree),
                     STATUS_OK);
    assert_int_equal(tree_create(many->forest, fixture_replica(2), BYTES(""), &other), STATUS_OK);
    put_many(ctx, tree, 0, 30, 100, 'f');
    assert_null(tree_second(tree));
    assert_int_equal(tree_create_second(tree, &beside), STATUS_OK);
    assert_int_equal(tree_create_second(tree, &again), STATUS_EXISTS);
    assert_ptr_equal(tree_second(tree), beside);
    put_many(ctx, beside, 0, 200, 3000, 's');
    assert_int_equal(forest_close(ctx, many->forest, (struct lsn){2}), STATUS_OK);

    open_forest(ctx, many);
    struct forest_row row = {0};
    assert_true(forest_rows(many->forest, row.replica, &row) && row.items == 30);
    assert_true(forest_rows(many->forest, row.replica, &row) && row.items == 0);
    assert_false(forest_rows(many->forest, row.replica, &row));
    tree = forest_tree(many->forest, fixture_replica(1));
    beside = tree_second(tree);
    assert_non_null(beside);
    assert_null(tree_second(forest_tree(many->forest, fixture_replica(2))));
    assert_int_equal(tree_row(beside).items, 200);
    assert_int_equal(tree_row(beside).applied, 200);
    assert_int_equal(tree_row(tree).applied, 30);

    /* Keys only: no value, and no page of a large one. */
    struct tree_cursor cursor;
    struct bytes key, value;
    uint64_t misses = forest_stats(many->forest).misses;
    assert_int_equal(
        tree_cursor_open(ctx, beside, TREE_CURSOR_KEYS, (struct bytes){0}, true, &cursor),
        STATUS_OK);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(tree_cursor_next(&cursor, &key, &value), STATUS_OK);
        assert_int_equal(value.count, 0);
        if (i < 50)
            keys[i] = arena_copy(&ctx->arena, key);
    }
    assert_int_equal(tree_cursor_next(&cursor, &key, &value), STATUS_END);
    assert_true(forest_stats(many->forest).misses - misses < 100);

    /* Pruned: the applied slot stays. */
    assert_int_equal(tree_prune(ctx, beside, keys, 50), STATUS_OK);
    assert_int_equal(tree_prune(ctx, beside, keys, 50), STATUS_OK);
    assert_int_equal(tree_row(beside).items, 150);
    assert_int_equal(tree_row(beside).applied, 200);
    assert_int_equal(forest_verify(ctx, many->forest), STATUS_OK);

    /* It goes with the first one. */
    tree_drop(tree);
    assert_int_equal(forest_stats(many->forest).trees_dropping, 2);
    checkpoint(ctx, many);
    assert_int_equal(forest_close(ctx, many->forest, (struct lsn){2}), STATUS_OK);
    open_forest(ctx, many);
    assert_null(forest_tree(many->forest, fixture_replica(1)));
    while (forest_stats(many->forest).trees_dropping > 0) {
        assert_int_equal(context_sleep(ctx, 10000000), STATUS_OK);
        checkpoint(ctx, many);
    }
    assert_int_equal(forest_stats(many->forest).trees, 1);
    assert_int_equal(forest_verify(ctx, many->forest), STATUS_OK);
    assert_int_equal(forest_close(ctx, many->forest, (struct lsn){2}), STATUS_OK);
}

/* ---- An empty tree in the place of another ---- */

static void check_cleared(struct context *ctx, struct many *many, uint64_t items, uint64_t beside)
{
    struct tree *tree = forest_tree(many->forest, fixture_replica(1));
    struct bytes value;
    assert_non_null(tree);
    assert_non_null(tree_second(tree));
    struct forest_row row = tree_row(tree);
    assert_int_equal(row.items, items);
    assert_int_equal(row.applied, 300 + items);
    assert_int_equal(row.item_bytes, 0);
    assert_bytes_equal(row.blob, BYTES("blob"));
    assert_int_equal(get_one(ctx, tree, 7, &value), STATUS_NOT_FOUND);
    assert_int_equal(tree_row(tree_second(tree)).items, beside);
    assert_int_equal(tree_row(tree_second(tree)).applied, beside);
    assert_int_equal(get_one(ctx, tree_second(tree), 7, &value), STATUS_OK);
}

static void clear(struct context *ctx, void *argument)
{
    struct many *many = argument;
    struct tree *tree, *fresh, *beside;
    open_forest(ctx, many);
    assert_int_equal(tree_create(many->forest, fixture_replica(1), BYTES("blob"), &tree),
                     STATUS_OK);
    assert_int_equal(tree_create_second(tree, &beside), STATUS_OK);
    put_many(ctx, tree, 0, 300, 2000, 'f');
    tree_add_item_bytes(tree, 12345);
    put_many(ctx, beside, 0, 20, 100, 's');
    checkpoint(ctx, many);
    checkpoint(ctx, many);

    /* It is there at once, and the old one goes. */
    assert_int_equal(tree_clear(tree, &fresh), STATUS_OK);
    assert_ptr_equal(forest_tree(many->forest, fixture_replica(1)), fresh);
    assert_ptr_equal(tree_second(fresh), beside);
    assert_int_equal(forest_stats(many->forest).trees_dropping, 1);
    check_cleared(ctx, many, 0, 20);
    put_many(ctx, beside, 20, 10, 100, 's');
    checkpoint(ctx, many);
    assert_int_equal(forest_close(ctx, many->forest, (struct lsn){2}), STATUS_OK);

    open_forest(ctx, many);
    check_cleared(ctx, many, 0, 30);
    tree = forest_tree(many->forest, fixture_replica(1));
    put_many(ctx, tree, 500, 5, 100, 'n');
    check_cleared(ctx, many, 5, 30);
    while (forest_stats(many->forest).trees_dropping > 0) {
        assert_int_equal(context_sleep(ctx, 10000000), STATUS_OK);
        checkpoint(ctx, many);
    }
    checkpoint(ctx, many);
    assert_int_equal(forest_stats(many->forest).trees, 2);
    assert_true(forest_stats(many->forest).pages_free > 50);
    assert_int_equal(forest_verify(ctx, many->forest), STATUS_OK);

    /* Empty again, and it goes with its second tree as any other. */
    assert_int_equal(tree_clear(tree, &fresh), STATUS_OK);
    tree_drop(fresh);
    assert_null(forest_tree(many->forest, fixture_replica(1)));
    assert_int_equal(forest_stats(many->forest).trees_dropping, 3);
    assert_int_equal(forest_close(ctx, many->forest, (struct lsn){2}), STATUS_OK);
    open_forest(ctx, many);
    assert_null(forest_tree(many->forest, fixture_replica(1)));
    assert_int_equal(forest_close(ctx, many->forest, (struct lsn){2}), STATUS_OK);
}

static void install(struct context *ctx, void *argument)
{
    struct many *many = argument;
    struct tree *old;
    struct tree *copy;
    struct tree *lost;
    struct bytes value;
    many->fixture.options.cache_bytes = 8u << 20;
    open_forest(ctx, many);
    assert_int_equal(tree_create(many->forest, fixture_replica(1), BYTES("old"), &old), STATUS_OK);
    put_many(ctx, old, 0, 300, 500, 'o');
    assert_int_equal(tree_create_staged(many->forest, &copy), STATUS_OK);
    assert_int_equal(tree_create_staged(many->forest, &lost), STATUS_OK);
    put_many(ctx, copy, 0, 100, 5000, 'n');
    put_many(ctx, lost, 0, 200, 5000, 'l');
    checkpoint(ctx, many);
    assert_int_equal(tree_install(copy, fixture_replica(1), 77, 70, BYTES("new")), STATUS_OK);
    assert_ptr_equal(forest_tree(many->forest, fixture_replica(1)), copy);
    checkpoint(ctx, many);
    assert_int_equal(forest_close(ctx, many->forest, (struct lsn){2}), STATUS_OK);
    open_forest(ctx, many);
    struct tree *tree = forest_tree(many->forest, fixture_replica(1));
    assert_int_equal(tree_row(tree).applied, 77);
    assert_int_equal(tree_row(tree).items, 100);
    assert_int_equal(get_one(ctx, tree, 3, &value), STATUS_OK);
    assert_int_equal(value.count, 5000);
    assert_int_equal(value.at[0], 'n');
    /* The old tree and the one that was not installed give their pages back. */
    while (forest_stats(many->forest).trees_dropping > 0) {
        assert_int_equal(context_sleep(ctx, 10000000), STATUS_OK);
        checkpoint(ctx, many);
    }
    assert_int_equal(forest_verify(ctx, many->forest), STATUS_OK);
    checkpoint(ctx, many);
    checkpoint(ctx, many);
    struct forest_stats stats = forest_stats(many->forest);
    assert_true(stats.pages - stats.pages_free - stats.pages_pending < 130);
    assert_int_equal(forest_close(ctx, many->forest, (struct lsn){2}), STATUS_OK);
}

/* ---- Snapshots ---- */

static void snapshots(struct context *ctx, void *argument)
{
    struct many *many = argument;
    struct tree *tree;
    struct snapshot *first;
    struct snapshot *second;
    struct bytes value;
    many->fixture.options.snapshot_bytes = 2u << 20;
    open_forest(ctx, many);
    assert_int_equal(tree_create(many->forest, fixture_replica(1), BYTES(""), &tree), STATUS_OK);
    assert_int_equal(snapshot_open(tree, &first), STATUS_NOT_FOUND);
    put_many(ctx, tree, 0, 400, 300, 'a');
    checkpoint(ctx, many);
    assert_int_equal(snapshot_open(tree, &first), STATUS_OK);
    assert_int_equal(snapshot_applied(first), 400);
    for (unsigned round = 0; round < 6; round++) {
        put_many(ctx, tree, 0, 450, 300, (uint8_t)('b' + round));
        checkpoint(ctx, many);
        if (round == 2)
            assert_int_equal(snapshot_open(tree, &second), STATUS_OK);
        struct tree_cursor cursor;
        struct bytes key;
        unsigned count = 0;
        assert_int_equal(snapshot_cursor_open(ctx, first, TREE_CURSOR_BACKGROUND, (struct bytes){0},
                                              true, &cursor),
                         STATUS_OK);
        while (tree_cursor_next(&cursor, &key, &value) == STATUS_OK) {
            assert_int_equal(value.at[0], 'a');
            count++;
        }
        assert_int_equal(count, 400);
    }
    assert_int_equal(snapshot_get(ctx, second, BYTES("00000000"), &value), STATUS_OK);
    assert_int_equal(value.at[0], 'd');
    /* Over the budget the oldest goes first. */
    for (unsigned round = 0; round < 12; round++) {
        put_many(ctx, tree, 0, 450, 600, 'z');
        checkpoint(ctx, many);
    }
    assert_int_equal(snapshot_get(ctx, first, BYTES("00000000"), &value), STATUS_CLOSED);
    snapshot_close(first);
    snapshot_close(second);
    checkpoint(ctx, many);
    checkpoint(ctx, many);
    assert_int_equal(forest_verify(ctx, many->forest), STATUS_OK);
    assert_int_equal(forest_close(ctx, many->forest, (struct lsn){2}), STATUS_OK);
}

/* Write everything again, so that what the tree referred to is free, and used again. */
static void renew(struct context *ctx, struct many *many, struct tree *tree, unsigned rounds)
{
    for (unsigned round = 0; round < rounds; round++) {
        put_many(ctx, tree, 0, 300, 300, (uint8_t)round);
        checkpoint(ctx, many);
    }
}

static void read_then_reuse(struct context *ctx, void *argument)
{
    struct many *many = argument;
    struct tree *tree;
    struct snapshot *snapshot;
    open_forest(ctx, many);
    assert_int_equal(tree_create(many->forest, fixture_replica(1), BYTES(""), &tree), STATUS_OK);
    put_many(ctx, tree, 0, 300, 300, 'a');
    checkpoint(ctx, many);
    assert_int_equal(snapshot_open(tree, &snapshot), STATUS_OK);
    renew(ctx, many, tree, 1);
    struct tree_cursor cursor;
    struct bytes key;
    struct bytes value;
    assert_int_equal(snapshot_cursor_open(ctx, snapshot, 0, (struct bytes){0}, true, &cursor),
                     STATUS_OK);
    while (tree_cursor_next(&cursor, &key, &value) == STATUS_OK)
        assert_int_equal(value.at[0], 'a');
    snapshot_close(snapshot);
    renew(ctx, many, tree, 1);
    /* Their numbers are free now, and are what pages of a failed checkpoint get. */
    put_many(ctx, tree, 0, 1, 300, 'z');
    struct sim_rates bad = {.write_error = 1};
    struct sim_rates none = {0};
    sim_set_rates(many->fixture.sim, &bad);
    assert_int_equal(forest_checkpoint(ctx, many->forest, (struct lsn){1}), STATUS_IO);
    sim_set_rates(many->fixture.sim, &none);
    checkpoint(ctx, many);
    assert_int_equal(forest_verify(ctx, many->forest), STATUS_OK);
    assert_int_equal(forest_close(ctx, many->forest, (struct lsn){1}), STATUS_OK);
}

/* A snapshot that is read from a slow disk while it is taken away. */
struct slow_reader {
    struct snapshot *snapshot;
    enum status status;
    bool done;
};

static void read_slowly(struct context *ctx, void *argument)
{
    struct slow_reader *reader = argument;
    struct bytes value;
    reader->status = snapshot_get(ctx, reader->snapshot, BYTES("00000000"), &value);
    reader->done = true;
}

static void reuse_while_read(struct context *ctx, void *argument)
{
    struct many *many = argument;
    struct slow_reader reader = {0};
    struct tree *tree;
    struct sim *sim = many->fixture.sim;
    many->fixture.options.snapshot_bytes = 1;
    open_forest(ctx, many);
    assert_int_equal(tree_create(many->forest, fixture_replica(1), BYTES(""), &tree), STATUS_OK);
    put_many(ctx, tree, 0, 300, 300, 'a');
    checkpoint(ctx, many);
    assert_int_equal(snapshot_open(tree, &reader.snapshot), STATUS_OK);
    put_many(ctx, tree, 0, 300, 300, 'b'); /* the snapshot's pages leave their frames */
    struct sim_rates slow = {.stall = 1, .stall_ns_max = UINT64_C(1000000000000)};
    struct sim_rates none = {0};
    sim_set_rates(sim, &slow);
    struct fiber_options options = {.arena_bytes_max = 1u << 20, .deadline_ns = UINT64_MAX};
    assert_int_equal(fiber_spawn(ctx->env, &options, read_slowly, &reader), STATUS_OK);
    while (sim_fault_count(sim, SIM_FAULT_STALL) == 0)
        assert_int_equal(context_sleep(ctx, 1000000), STATUS_OK);
    sim_set_rates(sim, &none);
    renew(ctx, many, tree, 6);
    assert_false(reader.done);
    while (!reader.done)
        assert_int_equal(context_sleep(ctx, UINT64_C(10000000000)), STATUS_OK);
    assert_int_equal(reader.status, STATUS_CLOSED);
    snapshot_close(reader.snapshot);
    assert_int_equal(forest_verify(ctx, many->forest), STATUS_OK);
    assert_int_equal(forest_close(ctx, many->forest, (struct lsn){1}), STATUS_OK);
}

/* ---- Fibers beside each other ---- */

#define SHARED_KEYS 3000u

static void reader(struct context *ctx, void *argument)
{
    struct many *many = argument;
    struct prng prng;
    many->readers++;
    prng_init(&prng, env_random_u64(ctx->env));
    struct tree *tree = forest_tree(many->forest, fixture_replica(1));
    while (!many->stop) {
        struct bytes value;
        unsigned i = (unsigned)prng_below(&prng, SHARED_KEYS);
        uint64_t before = many->version;
        enum status status = get_one(ctx, tree, i, &value);
        assert_int_equal(status, STATUS_OK);
        uint64_t version;
        memcpy(&version, value.at, sizeof(version));
        assert_true(version + 1 >= before);
        assert_true(version <= many->version + 1);
        assert_int_equal(value.count, i % 97 == 0 ? 30000 : 350);
        for (size_t at = 8; at < value.count; at += 999)
            assert_int_equal(value.at[at], (uint8_t)version);
        arena_reset(&ctx->arena);
        context_yield(ctx);
    }
    many->readers--;
}

static void scanner(struct context *ctx, void *argument)
{
    struct many *many = argument;
    many->readers++;
    struct tree *tree = forest_tree(many->forest, fixture_replica(1));
    while (!many->stop) {
        struct tree_cursor cursor;
        struct bytes key;
        struct bytes value;
        unsigned count = 0;
        unsigned flags = TREE_CURSOR_BACKGROUND | (prng_one_in(&many->prng, 2) ? 1u : 0u);
        assert_int_equal(tree_cursor_open(ctx, tree, flags, (struct bytes){0}, true, &cursor),
                         STATUS_OK);
        while (tree_cursor_next(&cursor, &key, &value) == STATUS_OK) {
            count++;
            if (count % 40 == 0)
                context_yield(ctx);
        }
        assert_int_equal(count, SHARED_KEYS);
        arena_reset(&ctx->arena);
    }
    many->readers--;
}

static void checkpointer(struct context *ctx, void *argument)
{
    struct many *many = argument;
    many->checkpointer = ctx;
    while (forest_wait_checkpoint_due(ctx, many->forest, UINT64_MAX) == STATUS_OK)
        checkpoint(ctx, many);
    many->checkpointer = NULL;
}

static void write_all(struct context *ctx, struct many *many, struct tree *tree)
{
    static uint8_t value[10][30000];
    uint8_t keys[10][16];
    struct tree_mutation batch[10];
    for (unsigned at = 0; at < SHARED_KEYS; at += 10) {
        for (unsigned i = 0; i < 10; i++) {
            uint64_t version = many->version + 1;
            size_t bytes = (at + i) % 97 == 0 ? 30000 : 350;
            int key_bytes = snprintf((char *)keys[i], 16, "%08u", (at + i) * 7919 % 1000003);
            memset(value[i], (int)(uint8_t)version, bytes);
            memcpy(value[i], &version, sizeof(version));
            batch[i] = (struct tree_mutation){.kind = TREE_PUT,
                                              .key = bytes_of(keys[i], (size_t)key_bytes),
                                              .value = bytes_of(value[i], bytes)};
        }
        assert_int_equal(tree_apply(ctx, tree, batch, 10, tree_row(tree).applied + 1), STATUS_OK);
    }
    many->version++;
}

static void together(struct context *ctx, void *argument)
{
    struct many *many = argument;
    struct tree *tree;
    struct fiber_options options = {.arena_bytes_max = 4u << 20, .deadline_ns = UINT64_MAX};
    open_forest(ctx, many);
    assert_int_equal(tree_create(many->forest, fixture_replica(1), BYTES(""), &tree), STATUS_OK);
    assert_int_equal(fiber_spawn(ctx->env, &options, checkpointer, many), STATUS_OK);
    write_all(ctx, many, tree);
    for (unsigned i = 0; i < 12; i++)
        assert_int_equal(fiber_spawn(ctx->env, &options, reader, many), STATUS_OK);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(fiber_spawn(ctx->env, &options, scanner, many), STATUS_OK);
    for (unsigned i = 0; i < 3; i++)
        write_all(ctx, many, tree);
    many->stop = true;
    while (many->readers > 0)
        context_yield(ctx);
    context_cancel(many->checkpointer);
    while (many->checkpointer != NULL)
        context_yield(ctx);
    struct forest_stats stats = forest_stats(many->forest);
    assert_true(stats.checkpoints > 10);
    assert_true(stats.evictions > 100);
    assert_true(stats.misses > 100);
    assert_int_equal(stats.corrupt_pages, 0);
    assert_int_equal(forest_verify(ctx, many->forest), STATUS_OK);
    assert_int_equal(forest_close(ctx, many->forest, (struct lsn){2}), STATUS_OK);
}

/* ---- Dropping under a reader ---- */

static void dropped_reader(struct context *ctx, void *argument)
{
    struct many *many = argument;
    struct bytes value;
    enum status status = STATUS_OK;
    struct tree *tree = forest_tree(many->forest, fixture_replica(1));
    many->readers++;
    for (unsigned i = 0; status == STATUS_OK; i++) {
        status = get_one(ctx, tree, i % 2000, &value);
        if (status == STATUS_OK && forest_tree(many->forest, fixture_replica(1)) == NULL)
            break;
        context_yield(ctx);
        if (forest_tree(many->forest, fixture_replica(1)) == NULL)
            break; /* `tree` is no longer ours */
    }
    assert_true(status == STATUS_OK || status == STATUS_CLOSED);
    many->readers--;
}

static void drop(struct context *ctx, void *argument)
{
    struct many *many = argument;
    struct tree *tree;
    struct fiber_options options = {.arena_bytes_max = 4u << 20, .deadline_ns = UINT64_MAX};
    open_forest(ctx, many);
    assert_int_equal(tree_create(many->forest, fixture_replica(1), BYTES(""), &tree), STATUS_OK);
    assert_int_equal(fiber_spawn(ctx->env, &options, checkpointer, many), STATUS_OK);
    put_many(ctx, tree, 0, 2000, 1800, 'x');
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(fiber_spawn(ctx->env, &options, dropped_reader, many), STATUS_OK);
    assert_int_equal(context_sleep(ctx, 1000000), STATUS_OK);
    tree_drop(tree);
    while (many->readers > 0)
        context_yield(ctx);
    while (forest_stats(many->forest).trees_dropping > 0) {
        assert_int_equal(context_sleep(ctx, 5000000), STATUS_OK);
        checkpoint(ctx, many);
    }
    for (unsigned i = 0; i < 3; i++)
        checkpoint(ctx, many);
    struct forest_stats stats = forest_stats(many->forest);
    assert_true(stats.pages - stats.pages_free - stats.pages_pending < 32);
    context_cancel(many->checkpointer);
    while (many->checkpointer != NULL)
        context_yield(ctx);
    assert_int_equal(forest_close(ctx, many->forest, (struct lsn){2}), STATUS_OK);
}

/* ---- Size ---- */

static void size(struct context *ctx, void *argument)
{
    struct many *many = argument;
    struct tree *tree;
    struct fiber_options options = {.arena_bytes_max = 4u << 20, .deadline_ns = UINT64_MAX};
    open_forest(ctx, many);
    assert_int_equal(tree_create(many->forest, fixture_replica(1), BYTES(""), &tree), STATUS_OK);
    assert_int_equal(fiber_spawn(ctx->env, &options, checkpointer, many), STATUS_OK);
    put_many(ctx, tree, 0, 20000, 222, 'x');
    put_many(ctx, tree, 0, 5000, 222, 'y');
    context_cancel(many->checkpointer);
    while (many->checkpointer != NULL)
        context_yield(ctx);
    struct forest_row row = tree_row(tree);
    assert_int_equal(row.items, 20000);
    assert_int_equal(forest_close(ctx, many->forest, (struct lsn){2}), STATUS_OK);
    uint64_t bytes;
    assert_int_equal(sim_disk_size(many->fixture.node, FIXTURE_PATH, &bytes), STATUS_OK);
    assert_true(bytes < row.bytes * 16 / 10);
    open_forest(ctx, many);
    assert_int_equal(forest_verify(ctx, many->forest), STATUS_OK);
    assert_int_equal(forest_close(ctx, many->forest, (struct lsn){2}), STATUS_OK);
}

/* ---- Limits, and want of memory ---- */

static void limits(struct context *ctx, void *argument)
{
    struct many *many = argument;
    struct tree *tree;
    static uint8_t bytes[TREE_VALUE_BYTES_MAX + 1];
    open_forest(ctx, many);
    assert_int_equal(tree_create(many->forest, fixture_replica(1), BYTES(""), &tree), STATUS_OK);
    struct tree_mutation put = {.kind = TREE_PUT, .key = BYTES(""), .value = BYTES("v")};
    assert_int_equal(tree_apply(ctx, tree, &put, 1, 1), STATUS_INVALID);
    put.key = bytes_of(bytes, TREE_KEY_BYTES_MAX + 1);
    assert_int_equal(tree_apply(ctx, tree, &put, 1, 1), STATUS_TOO_LARGE);
    put.key = bytes_of(bytes, TREE_KEY_BYTES_MAX);
    put.value = bytes_of(bytes, sizeof(bytes));
    assert_int_equal(tree_apply(ctx, tree, &put, 1, 1), STATUS_TOO_LARGE);
    put.value.count--;
    assert_int_equal(tree_apply(ctx, tree, &put, 1, 0), STATUS_INVALID);
    assert_int_equal(tree_apply(ctx, tree, &put, 1, 1), STATUS_OK);
    assert_int_equal(tree_row(tree).items, 1);
    assert_int_equal(tree_apply(ctx, tree, NULL, 0, 2), STATUS_OK);
    assert_int_equal(tree_row(tree).applied, 2);
    assert_int_equal(forest_close(ctx, many->forest, (struct lsn){2}), STATUS_OK);
}

static void no_memory(struct context *ctx, void *argument)
{
    struct many *many = argument;
    unsigned failures = 0;
    for (uint64_t after = 1; after < 400; after += 1 + after / 20) {
        uint8_t key[16];
        uint8_t value[1000] = {0};
        ctx->env->heap->fail_after = after;
        enum status status = forest_open(ctx, &many->fixture.options, &many->forest);
        if (status != STATUS_OK) {
            assert_int_equal(status, STATUS_NO_MEMORY);
            failures++;
            ctx->env->heap->fail_after = 0;
            open_forest(ctx, many);
        }
        struct tree *tree = forest_tree(many->forest, fixture_replica(1));
        if (tree == NULL)
            status = tree_create(many->forest, fixture_replica(1), BYTES("b"), &tree);
        if (status == STATUS_OK) {
            for (unsigned i = 0; i < 60; i++) {
                struct bytes found;
                int bytes = snprintf((char *)key, sizeof(key), "%05u", i * 31 + (unsigned)after);
                struct tree_mutation put = {.kind = TREE_PUT,
                                            .key = bytes_of(key, (size_t)bytes),
                                            .value = bytes_of(value, sizeof(value))};
                status = tree_apply(ctx, tree, &put, 1, tree_row(tree).applied + 1);
                failures += status != STATUS_OK ? 1 : 0;
                assert_true(status == STATUS_OK || status == STATUS_NO_MEMORY);
                enum status got = tree_get(ctx, tree, put.key, &found);
                assert_true(got == STATUS_OK || got == STATUS_NO_MEMORY ||
                            (got == STATUS_NOT_FOUND && status != STATUS_OK));
                if (i % 16 == 15)
                    failures += forest_checkpoint(ctx, many->forest, (struct lsn){1}) != STATUS_OK;
            }
        }
        ctx->env->heap->fail_after = 0;
        /* After a failed checkpoint, one that succeeds makes it whole. */
        checkpoint(ctx, many);
        assert_int_equal(forest_verify(ctx, many->forest), STATUS_OK);
        assert_int_equal(forest_close(ctx, many->forest, (struct lsn){2}), STATUS_OK);
    }
    assert_true(failures > 5);
}

static void run(void (*body)(struct context *ctx, void *argument), uint64_t seed)
{
    struct many many = {0};
    prng_init(&many.prng, seed);
    fixture_open(&many.fixture, seed);
    assert_true(fixture_run(&many.fixture, body, &many));
    fixture_close(&many.fixture);
}

static void keeps_rows(void **state)
{
    (void)state;
    run(rows, 41);
}

static void a_second_tree_lives_and_goes_with_the_first(void **state)
{
    (void)state;
    run(second, 41);
}

static void an_empty_tree_takes_the_place_of_another(void **state)
{
    (void)state;
    run(clear, 46);
}

static void installs_copies(void **state)
{
    (void)state;
    run(install, 42);
}

static void snapshots_stay_as_they_are(void **state)
{
    (void)state;
    run(snapshots, 43);
}

static void pages_that_a_snapshot_brought_in_are_used_again(void **state)
{
    (void)state;
    run(read_then_reuse, 44);
}

static void pages_are_used_again_while_a_reader_waits_for_what_they_were(void **state)
{
    (void)state;
    run(reuse_while_read, 45);
}

static void readers_scanners_and_an_applier_go_together(void **state)
{
    (void)state;
    for (uint64_t seed = 44; seed < 47; seed++)
        run(together, seed);
}

static void drops_a_tree_under_its_readers(void **state)
{
    (void)state;
    run(drop, 48);
}

static void gives_the_end_of_the_file_back(void **state)
{
    (void)state;
    run(size, 49);
}

static void has_limits(void **state)
{
    (void)state;
    run(limits, 50);
}

static void survives_want_of_memory(void **state)
{
    (void)state;
    run(no_memory, 51);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_rows),
        cmocka_unit_test(a_second_tree_lives_and_goes_with_the_first),
        cmocka_unit_test(an_empty_tree_takes_the_place_of_another),
        cmocka_unit_test(installs_copies),
        cmocka_unit_test(snapshots_stay_as_they_are),
        cmocka_unit_test(pages_that_a_snapshot_brought_in_are_used_again),
        cmocka_unit_test(pages_are_used_again_while_a_reader_waits_for_what_they_were),
        cmocka_unit_test(readers_scanners_and_an_applier_go_together),
        cmocka_unit_test(drops_a_tree_under_its_readers),
        cmocka_unit_test(gives_the_end_of_the_file_back),
        cmocka_unit_test(has_limits),
        cmocka_unit_test(survives_want_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
