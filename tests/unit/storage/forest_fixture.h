/* forest_fixture.h - a simulated node whose forest the tests use, and a sorted array as
 * its model. */
#ifndef TESTS_FOREST_FIXTURE_H
#define TESTS_FOREST_FIXTURE_H

#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/prng.h"
#include "env/fiber.h"
#include "env/sim/sim_env.h"
#include "storage/forest.h"
#include "storage/tree.h"

#define FIXTURE_PATH        "data/tree"
#define FIXTURE_ARENA_BYTES ((size_t)256 << 20)

struct fixture {
    struct sim *sim;
    struct sim_node *node;
    struct forest_options options;
    bool done;
    void (*body)(struct context *ctx, void *argument);
    void *argument;
};

static void fixture_fiber(struct context *ctx, void *argument)
{
    struct fixture *fixture = argument;
    fixture->body(ctx, fixture->argument);
    fixture->done = true;
}

/* Run `body` on a fiber of the node, until it returns or the node crashes (false). */
static inline bool fixture_run(struct fixture *fixture,
                               void (*body)(struct context *ctx, void *argument), void *argument)
{
    struct env *env = sim_node_env(fixture->node);
    struct fiber_options options = {.arena_bytes_max = FIXTURE_ARENA_BYTES,
                                    .deadline_ns = UINT64_MAX};
    fixture->done = false;
    fixture->body = body;
    fixture->argument = argument;
    assert_int_equal(fiber_spawn(env, &options, fixture_fiber, fixture), STATUS_OK);
    while (!fixture->done && sim_node_env(fixture->node) != NULL) {
        if (!sim_step(fixture->sim))
            fail_msg("the fiber waits for ever");
    }
    return fixture->done;
}

static void fixture_make_dir(struct env_job *job)
{
    enum status status = env_dir_create(job->env, "data");
    if (status == STATUS_OK)
        status = env_dir_sync(job->env, ".");
    (void)status;
}

static inline void fixture_dir(struct context *ctx, void *argument)
{
    struct env_job job = {.lane = ENV_LANE_BACKGROUND, .run = fixture_make_dir};
    (void)argument;
    list_init(&job.link);
    assert_int_equal(context_run_job(ctx, &job), STATUS_OK);
}

static inline void fixture_start(struct fixture *fixture)
{
    struct env *env = sim_node_start(fixture->node);
    assert_int_equal(fiber_pool_open(env, 64, 256u << 10), STATUS_OK);
}

static inline void fixture_open(struct fixture *fixture, uint64_t seed)
{
    struct sim_options options = sim_options_from_seed(seed);
    *fixture = (struct fixture){.sim = sim_create(&options)};
    fixture->node = sim_node_create(fixture->sim, "node");
    fixture->options = (struct forest_options){.path = FIXTURE_PATH,
                                               .cluster_id = 11,
                                               .node_id = 12,
                                               .log_id = 13,
                                               .create = true,
                                               .cache_bytes = FOREST_CACHE_BYTES_MIN,
                                               .reserve_pages = 64};
    fixture_start(fixture);
    assert_true(fixture_run(fixture, fixture_dir, NULL));
}

static inline void fixture_close(struct fixture *fixture)
{
    if (sim_node_env(fixture->node) != NULL) {
        fiber_pool_close(sim_node_env(fixture->node));
        assert_int_equal(sim_node_stop(fixture->node), 0);
    }
    sim_free(fixture->sim);
}

/* ---- The model: a sorted array ---- */

struct model_item {
    uint8_t *key, *value;
    size_t key_bytes, value_bytes;
};

struct model {
    struct model_item *items;
    size_t count, capacity;
};

static inline size_t model_position(const struct model *model, struct bytes key, bool *exact)
{
    size_t low = 0;
    size_t high = model->count;
    *exact = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct bytes at = bytes_of(model->items[middle].key, model->items[middle].key_bytes);
        int order = bytes_compare(at, key);
        if (order == 0) {
            *exact = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static inline uint8_t *model_copy(struct bytes bytes)
{
    uint8_t *copy = malloc(bytes.count + 1);
    assert_non_null(copy);
    if (bytes.count > 0)
        memcpy(copy, bytes.at, bytes.count);
    return copy;
}

static inline void model_apply(struct model *model, const struct tree_mutation *mutation)
{
    bool exact;
    size_t at = model_position(model, mutation->key, &exact);
    if (exact) {
        free(model->items[at].key);
        free(model->items[at].value);
        memmove(model->items + at, model->items + at + 1,
                (model->count - at - 1) * sizeof(*model->items));
        model->count--;
    }
    if (mutation->kind == TREE_DELETE)
        return;
    if (model->count == model->capacity) {
        model->capacity = model->capacity * 2 + 64;
        model->items = realloc(model->items, model->capacity * sizeof(*model->items));
        assert_non_null(model->items);
    }
    memmove(model->items + at + 1, model->items + at, (model->count - at) * sizeof(*model->items));
    model->items[at] = (struct model_item){model_copy(mutation->key), model_copy(mutation->value),
                                           mutation->key.count, mutation->value.count};
    model->count++;
}

static inline void model_release(struct model *model)
{
    for (size_t i = 0; i < model->count; i++) {
        free(model->items[i].key);
        free(model->items[i].value);
    }
    free(model->items);
    *model = (struct model){0};
}

static inline struct model model_clone(const struct model *model)
{
    struct model clone = {0};
    for (size_t i = 0; i < model->count; i++) {
        struct tree_mutation put = {
            .kind = TREE_PUT,
            .key = bytes_of(model->items[i].key, model->items[i].key_bytes),
            .value = bytes_of(model->items[i].value, model->items[i].value_bytes)};
        model_apply(&clone, &put);
    }
    return clone;
}

static inline void assert_bytes_equal(struct bytes a, struct bytes b)
{
    assert_int_equal(a.count, b.count);
    if (a.count > 0)
        assert_memory_equal(a.at, b.at, a.count);
}

/* The tree holds what the model holds, read by a cursor in both directions. */
static inline void model_check(struct context *ctx, const struct model *model, struct tree *tree,
                               struct snapshot *snapshot, unsigned flags)
{
    for (unsigned backward = 0; backward < 2; backward++) {
        struct tree_cursor cursor;
        struct bytes key;
        struct bytes value;
        unsigned all = flags | TREE_CURSOR_BACKGROUND | (backward ? TREE_CURSOR_BACKWARD : 0);
        if (snapshot != NULL)
            assert_int_equal(
                snapshot_cursor_open(ctx, snapshot, all, (struct bytes){0}, true, &cursor),
                STATUS_OK);
        else
            assert_int_equal(tree_cursor_open(ctx, tree, all, (struct bytes){0}, true, &cursor),
                             STATUS_OK);
        for (size_t i = 0; i < model->count; i++) {
            const struct model_item *item = &model->items[backward ? model->count - 1 - i : i];
            assert_int_equal(tree_cursor_next(&cursor, &key, &value), STATUS_OK);
            assert_bytes_equal(key, bytes_of(item->key, item->key_bytes));
            assert_bytes_equal(value, bytes_of(item->value, item->value_bytes));
        }
        assert_int_equal(tree_cursor_next(&cursor, &key, &value), STATUS_END);
    }
}

static inline struct replica_id fixture_replica(uint64_t group)
{
    return (struct replica_id){.group = group, .added = 3, .node = 12};
}

#endif
