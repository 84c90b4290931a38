/* Trees against a sorted array: random operations on small caches, with checkpoints and reopening
 * at random moments; and in memory. */
#include "forest_fixture.h"

#include "base/arena.h"

struct shape {
    uint64_t seed;
    unsigned rounds, batch_max;
    unsigned key_bytes_max;   /* of ordinary keys */
    unsigned value_bytes_max; /* of ordinary values */
    unsigned long_keys;       /* one in so many is long; 0 = none */
    unsigned large_values;
    unsigned deletes;   /* percent */
    unsigned key_space; /* different ordinary keys */
    unsigned ascending; /* percent of the batches: beyond all other keys, in order, some twice */
    unsigned sorted; /* percent of the others: of neighbours, in order, values often of one size */
    bool in_memory;  /* nothing is reopened then */
};

struct play {
    struct fixture fixture;
    struct shape shape;
    struct prng prng;
    struct forest *forest;
    struct tree *tree;
    struct model model;
    uint64_t slot;
    uint64_t next_ascending;
    uint8_t *key_memory, *value_memory; /* of one batch */
    struct context *checkpointer;       /* NULL: it has ended */
};

#define BATCH_MAX 40u

/* As the node's: makes a checkpoint whenever the forest asks for one. */
static void checkpointer(struct context *ctx, void *argument)
{
    struct play *play = argument;
    play->checkpointer = ctx;
    while (forest_wait_checkpoint_due(ctx, play->forest, UINT64_MAX) == STATUS_OK)
        assert_int_equal(forest_checkpoint(ctx, play->forest, (struct lsn){play->slot}), STATUS_OK);
    play->checkpointer = NULL;
}

static void play_close(struct context *ctx, struct play *play)
{
    context_cancel(play->checkpointer);
    while (play->checkpointer != NULL)
        context_yield(ctx);
    assert_int_equal(forest_close(ctx, play->forest, (struct lsn){play->slot}), STATUS_OK);
}

static void play_open(struct context *ctx, void *argument)
{
    struct play *play = argument;
    play->fixture.options.in_memory = play->shape.in_memory;
    if (play->shape.in_memory)
        play->fixture.options.cache_bytes = 0;
    assert_int_equal(forest_open(ctx, &play->fixture.options, &play->forest), STATUS_OK);
    play->tree = forest_tree(play->forest, fixture_replica(7));
    if (play->tree == NULL)
        assert_int_equal(tree_create(play->forest, fixture_replica(7), BYTES("blob"), &play->tree),
                         STATUS_OK);
    struct fiber_options options = {.arena_bytes_max = 4096, .deadline_ns = UINT64_MAX};
    assert_int_equal(fiber_spawn(ctx->env, &options, checkpointer, play), STATUS_OK);
}

static size_t random_key(struct play *play, uint8_t *to)
{
    struct prng *prng = &play->prng;
    const struct shape *shape = &play->shape;
    uint64_t number = prng_below(prng, shape->key_space);
    if (shape->long_keys != 0 && prng_one_in(prng, shape->long_keys)) {
        /* Long keys that differ late, or are all of one byte. */
        size_t bytes = TREE_KEY_BYTES_MAX - (size_t)prng_below(prng, 3);
        uint8_t fill = (uint8_t[]){0x00, 0xff, 'k', 'k'}[prng_below(prng, 4)];
        memset(to, fill, bytes);
        if (fill == 'k')
            memcpy(to + (prng_one_in(prng, 2) ? bytes - 8 : 1020), &number, 8);
        return bytes;
    }
    int count =
        snprintf((char *)to, 32, "%06llu", (unsigned long long)(number * 2654435761u % 1000000));
    size_t bytes = (size_t)count + number % shape->key_bytes_max;
    memset(to + count, 'x', bytes - (size_t)count);
    return bytes;
}

static size_t ascending_key(struct play *play, uint8_t *to)
{
    struct prng *prng = &play->prng;
    const struct shape *shape = &play->shape;
    play->next_ascending += prng_below(prng, 8) > 0 ? 1 : 0;
    int count = snprintf((char *)to, 32, "z%012llu", (unsigned long long)play->next_ascending);
    size_t bytes = (size_t)count + play->next_ascending * 2654435761u % shape->key_bytes_max;
    if (shape->long_keys != 0 && play->next_ascending % shape->long_keys == 0)
        bytes = TREE_KEY_BYTES_MAX;
    memset(to + count, 'x', bytes - (size_t)count);
    return bytes;
}

static size_t random_value(struct play *play, uint8_t *to)
{
    struct prng *prng = &play->prng;
    const struct shape *shape = &play->shape;
    size_t bytes = (size_t)prng_below(prng, shape->value_bytes_max + 1);
    if (shape->large_values != 0 && prng_one_in(prng, shape->large_values))
        bytes = prng_one_in(prng, 8) ? TREE_VALUE_BYTES_MAX - (size_t)prng_below(prng, 100000)
                                     : (size_t)prng_below(prng, 40000);
    uint64_t word = prng_u64(prng);
    for (size_t i = 0; i < bytes; i++)
        to[i] = (uint8_t)(word >> (i % 8 * 8));
    return bytes;
}

/* By key; those of one key in the order in which they were made. */
static int compare_mutations(const void *a, const void *b)
{
    const struct tree_mutation *x = a, *y = b;
    int order = bytes_compare(x->key, y->key);
    return order != 0 ? order : (x->key.at > y->key.at) - (x->key.at < y->key.at);
}

/* Keys of a few leaves. */
static size_t near_key(struct play *play, uint64_t first, uint8_t *to)
{
    int count = snprintf((char *)to, 32, "%06llu",
                         (unsigned long long)(first + prng_below(&play->prng, 60)));
    return (size_t)count;
}

static void play_batch(struct context *ctx, struct play *play)
{
    struct tree_mutation batch[BATCH_MAX];
    size_t count = 1 + (size_t)prng_below(&play->prng, MIN(play->shape.batch_max, BATCH_MAX));
    uint8_t *key = play->key_memory;
    uint8_t *value = play->value_memory;
    bool ascending = prng_below(&play->prng, 100) < play->shape.ascending;
    bool sorted = !ascending && prng_below(&play->prng, 100) < play->shape.sorted;
    uint64_t first = sorted ? prng_below(&play->prng, play->shape.key_space) : 0;
    for (size_t i = 0; i < count; i++) {
        size_t key_bytes = ascending                                  ? ascending_key(play, key)
                           : sorted && prng_below(&play->prng, 8) > 0 ? near_key(play, first, key)
                                                                      : random_key(play, key);
        bool delete = prng_below(&play->prng, 100) < play->shape.deletes;
        size_t value_bytes = delete ? 0 : random_value(play, value);
        if (sorted && value_bytes > 0 && prng_one_in(&play->prng, 2))
            value_bytes = MIN(value_bytes, (size_t)8);
        batch[i] = (struct tree_mutation){.kind = delete ? TREE_DELETE : TREE_PUT,
                                          .key = bytes_of(key, key_bytes),
                                          .value = bytes_of(value, value_bytes)};
        key += key_bytes;
        value += value_bytes;
    }
    if (sorted)
        qsort(batch, count, sizeof(batch[0]), compare_mutations);
    for (size_t i = 0; i < count; i++)
        model_apply(&play->model, &batch[i]);
    assert_int_equal(tree_apply(ctx, play->tree, batch, count, ++play->slot), STATUS_OK);
    assert_int_equal(tree_apply(ctx, play->tree, batch, count, play->slot), STATUS_OK);
}

/* Whatever it is asked to fetch, what is read is the same; pages that are missing come in. */
static void play_prefetch(struct play *play)
{
    struct tree_point points[BATCH_MAX];
    uint32_t count = 1 + (uint32_t)prng_below(&play->prng, BATCH_MAX);
    uint8_t *key = play->key_memory;
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes = random_key(play, key);
        struct tree *tree = prng_one_in(&play->prng, 10) ? NULL : play->tree;
        points[i] = (struct tree_point){tree, bytes_of(key, bytes)};
        key += bytes;
    }
    tree_prefetch_many(points, count);
}

/* Keys that are there and keys beside them, from near `at` on; changes in between. */
static void play_near_reads(struct context *ctx, struct play *play)
{
    struct tree_place place = {0};
    size_t at = (size_t)prng_below(&play->prng, play->model.count + 1);
    for (unsigned i = 0; i < 12 && play->model.count > 0; i++) {
        bool exact;
        struct bytes value, key;
        at = (at + (size_t)prng_below(&play->prng, 4)) % play->model.count;
        key = bytes_of(play->key_memory, play->model.items[at].key_bytes);
        memcpy(play->key_memory, play->model.items[at].key, key.count);
        if (prng_one_in(&play->prng, 3))
            play->key_memory[key.count - 1] ^= (uint8_t)(1 + prng_below(&play->prng, 3));
        size_t position = model_position(&play->model, key, &exact);
        assert_int_equal(tree_get_near(ctx, play->tree, key, &place, &value),
                         exact ? STATUS_OK : STATUS_NOT_FOUND);
        const struct model_item *item = &play->model.items[position];
        if (exact)
            assert_bytes_equal(value, bytes_of(item->value, item->value_bytes));
        if (prng_one_in(&play->prng, 20))
            play_batch(ctx, play);
    }
    arena_reset(&ctx->arena);
}

static void play_reads(struct context *ctx, struct play *play)
{
    struct bytes value;
    if (prng_one_in(&play->prng, 2))
        play_prefetch(play);
    if (prng_one_in(&play->prng, 8))
        play_near_reads(ctx, play);
    for (unsigned i = 0; i < 4; i++) {
        bool exact;
        size_t bytes = random_key(play, play->key_memory);
        struct bytes key = bytes_of(play->key_memory, bytes);
        size_t at = model_position(&play->model, key, &exact);
        enum status status = tree_get(ctx, play->tree, key, &value);
        assert_int_equal(status, exact ? STATUS_OK : STATUS_NOT_FOUND);
        if (exact)
            assert_bytes_equal(
                value, bytes_of(play->model.items[at].value, play->model.items[at].value_bytes));
        /* A short range from there. */
        struct tree_cursor cursor;
        struct bytes found;
        bool inclusive = prng_one_in(&play->prng, 2);
        bool backward = prng_one_in(&play->prng, 2);
        assert_int_equal(
            tree_cursor_open(ctx, play->tree,
                             TREE_CURSOR_BACKGROUND | (backward ? TREE_CURSOR_BACKWARD : 0), key,
                             inclusive, &cursor),
            STATUS_OK);
        size_t next = at + (!backward && exact && !inclusive ? 1 : 0) +
                      (backward && exact && inclusive ? 1 : 0);
        for (unsigned n = 0; n < 5; n++) {
            status = tree_cursor_next(&cursor, &found, &value);
            if (backward ? next == 0 : next == play->model.count) {
                assert_int_equal(status, STATUS_END);
                break;
            }
            assert_int_equal(status, STATUS_OK);
            const struct model_item *item = &play->model.items[backward ? --next : next++];
            assert_bytes_equal(found, bytes_of(item->key, item->key_bytes));
            assert_bytes_equal(value, bytes_of(item->value, item->value_bytes));
        }
    }
    arena_reset(&ctx->arena);
}

static void play_reopen(struct context *ctx, struct play *play)
{
    if (play->shape.in_memory)
        return;
    play_close(ctx, play);
    play_open(ctx, play);
    assert_int_equal(forest_recovered(play->forest).log_from.value, play->slot);
    assert_false(forest_recovered(play->forest).fell_back);
    struct forest_row row = tree_row(play->tree);
    assert_int_equal(row.applied, play->slot);
    assert_int_equal(row.items, play->model.count);
    assert_bytes_equal(row.blob, BYTES("blob"));
}

static void play_rounds(struct context *ctx, void *argument)
{
    struct play *play = argument;
    for (unsigned i = 0; i < play->shape.rounds; i++) {
        play_batch(ctx, play);
        play_reads(ctx, play);
        if (forest_stats(play->forest).frames_dirty > 60 || prng_one_in(&play->prng, 30))
            assert_int_equal(forest_checkpoint(ctx, play->forest, (struct lsn){play->slot}),
                             STATUS_OK);
        if (prng_one_in(&play->prng, 60)) {
            model_check(ctx, &play->model, play->tree, NULL, 0);
            assert_int_equal(forest_verify(ctx, play->forest), STATUS_OK);
            arena_reset(&ctx->arena);
        }
        if (prng_one_in(&play->prng, 100))
            play_reopen(ctx, play);
    }
    model_check(ctx, &play->model, play->tree, NULL, 0);
    assert_int_equal(forest_verify(ctx, play->forest), STATUS_OK);
    play_reopen(ctx, play);
    model_check(ctx, &play->model, play->tree, NULL, 0);
    assert_int_equal(forest_verify(ctx, play->forest), STATUS_OK);
    play_close(ctx, play);
}

static void play_shape(struct shape shape)
{
    struct play play = {.shape = shape};
    print_message("seed %llu\n", (unsigned long long)shape.seed);
    prng_init(&play.prng, shape.seed);
    play.key_memory = malloc((size_t)BATCH_MAX * TREE_KEY_BYTES_MAX);
    play.value_memory = malloc((size_t)BATCH_MAX * TREE_VALUE_BYTES_MAX);
    fixture_open(&play.fixture, shape.seed);
    assert_true(fixture_run(&play.fixture, play_open, &play));
    assert_true(fixture_run(&play.fixture, play_rounds, &play));
    model_release(&play.model);
    free(play.key_memory);
    free(play.value_memory);
    fixture_close(&play.fixture);
}

/* TRINE_TEST_SEEDS=100 runs that many of each shape. */
static uint64_t seeds(uint64_t usual)
{
    const char *text = getenv("TRINE_TEST_SEEDS");
    return text != NULL ? strtoull(text, NULL, 10) : usual;
}

static void holds_small_items(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= seeds(3); seed++)
        play_shape((struct shape){.seed = seed,
                                  .rounds = 400,
                                  .batch_max = 40,
                                  .key_bytes_max = 30,
                                  .value_bytes_max = 300,
                                  .deletes = 25,
                                  .key_space = 20000});
}

static void empties_and_fills_again(void **state)
{
    (void)state;
    for (uint64_t seed = 1001; seed <= 1000 + seeds(4); seed++)
        play_shape((struct shape){.seed = seed,
                                  .rounds = 500,
                                  .batch_max = 30,
                                  .key_bytes_max = 200,
                                  .value_bytes_max = 2048,
                                  .deletes = 52,
                                  .key_space = 700});
}

static void holds_long_keys_and_large_values(void **state)
{
    (void)state;
    for (uint64_t seed = 2001; seed <= 2000 + seeds(3); seed++)
        play_shape((struct shape){.seed = seed,
                                  .rounds = 300,
                                  .batch_max = 8,
                                  .key_bytes_max = 1500,
                                  .value_bytes_max = 2500,
                                  .long_keys = 3,
                                  .large_values = 10,
                                  .deletes = 35,
                                  .key_space = 500});
}

static void holds_what_comes_in_order(void **state)
{
    (void)state;
    for (uint64_t seed = 3001; seed <= 3000 + seeds(2); seed++)
        play_shape((struct shape){.seed = seed,
                                  .rounds = 300,
                                  .batch_max = 40,
                                  .key_bytes_max = 40,
                                  .value_bytes_max = 300,
                                  .deletes = 4,
                                  .key_space = 2000,
                                  .ascending = 85});
    for (uint64_t seed = 3501; seed <= 3500 + seeds(2); seed++)
        play_shape((struct shape){.seed = seed,
                                  .rounds = 200,
                                  .batch_max = 12,
                                  .key_bytes_max = 1500,
                                  .value_bytes_max = 2500,
                                  .long_keys = 4,
                                  .large_values = 12,
                                  .deletes = 8,
                                  .key_space = 300,
                                  .ascending = 60});
    play_shape((struct shape){.seed = 3901,
                              .rounds = 400,
                              .batch_max = 40,
                              .key_bytes_max = 60,
                              .value_bytes_max = 1000,
                              .deletes = 10,
                              .key_space = 3000,
                              .ascending = 60,
                              .in_memory = true});
}

/* A mutation is looked for where the one before it was. */
static void changes_what_lies_close(void **state)
{
    (void)state;
    for (uint64_t seed = 4001; seed <= 4000 + seeds(3); seed++)
        play_shape((struct shape){.seed = seed,
                                  .rounds = 400,
                                  .batch_max = 40,
                                  .key_bytes_max = 30,
                                  .value_bytes_max = 300,
                                  .large_values = 100,
                                  .deletes = (unsigned)seed % 3 * 22,
                                  .key_space = 3000,
                                  .sorted = 90,
                                  .in_memory = seed % 4 == 0});
    for (uint64_t seed = 4501; seed <= 4500 + seeds(2); seed++)
        play_shape((struct shape){.seed = seed,
                                  .rounds = 250,
                                  .batch_max = 12,
                                  .key_bytes_max = 1500,
                                  .value_bytes_max = 2500,
                                  .long_keys = 4,
                                  .large_values = 12,
                                  .deletes = 30,
                                  .key_space = 200,
                                  .sorted = 90});
}

static void holds_all_in_memory(void **state)
{
    (void)state;
    for (uint64_t seed = 31; seed <= 32; seed++)
        play_shape((struct shape){.seed = seed,
                                  .rounds = 500,
                                  .batch_max = 40,
                                  .key_bytes_max = 60,
                                  .value_bytes_max = 1000,
                                  .deletes = 40,
                                  .key_space = 3000,
                                  .in_memory = true});
    for (uint64_t seed = 33; seed <= 34; seed++)
        play_shape((struct shape){.seed = seed,
                                  .rounds = 300,
                                  .batch_max = 8,
                                  .key_bytes_max = 1500,
                                  .value_bytes_max = 2500,
                                  .long_keys = 3,
                                  .large_values = 10,
                                  .deletes = 35,
                                  .key_space = 500,
                                  .in_memory = true});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_small_items),
        cmocka_unit_test(empties_and_fills_again),
        cmocka_unit_test(holds_long_keys_and_large_values),
        cmocka_unit_test(holds_what_comes_in_order),
        cmocka_unit_test(changes_what_lies_close),
        cmocka_unit_test(holds_all_in_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
