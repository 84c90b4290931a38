/* storage_readers.c - what the storage program reads: points, ranges, snapshots, each compared with
 * the model.
 *
 * A batch may go into a tree in steps, which readers, checkpoints and so snapshots fall between:
 * each key is as after the last slot or as after the one that is being applied. */
#include "base/assert.h"
#include "sim/workload/storage_private.h"

#define RANGE_KEYS_MAX    100u
#define PREFETCH_KEYS_MAX 400u
#define IDLE_PAUSES       300u
#define SNAPSHOT_REST     24u /* keys between two pauses */

/* A tree as a reader found it: which one, and what it must show at least. */
struct view {
    struct storage_tree *tree;
    struct tree *at;
    uint64_t added;
    uint64_t low;
};

static struct view view_of(struct storage_tree *tree)
{
    return (struct view){tree, tree->tree, tree->id.added, tree->applied};
}

/* Whether the tree is still that one. */
static bool same(const struct view *view)
{
    return view->tree->tree == view->at && view->tree->id.added == view->added;
}

/* What a read may end with, besides what was asked for. */
static bool read_ended(const struct view *view, enum status status)
{
    struct storage_program *program = view->tree->program;
    bool closed = status == STATUS_CLOSED && !same(view);
    return storage_check(program, storage_excused(status) || closed, "a read fails", view->tree,
                         (uint64_t)status);
}

/* All keys from `from` up to, not including, `to` are absent. */
static bool absent(const struct view *view, uint32_t from, uint32_t to, uint64_t low, uint64_t high)
{
    for (uint32_t key = from; key < to; key++)
        if (!storage_check(view->tree->program,
                           tree_model_had(&view->tree->model, key, low, high, NULL),
                           "a key is missing", view->tree, key))
            return false;
    return true;
}

/* ---- The live tree ---- */

static void read_point(struct context *ctx, struct storage_tree *tree)
{
    struct storage_program *program = tree->program;
    struct view view = view_of(tree);
    uint8_t bytes[TREE_MODEL_KEY_BYTES_MAX];
    struct bytes value;
    uint32_t key = (uint32_t)prng_below(program->prng, tree->model.shape.keys);
    enum status status = tree_get(ctx, view.at, tree_model_key(&tree->model, key, bytes), &value);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
        read_ended(&view, status);
        return;
    }
    if (same(&view))
        storage_check(program,
                      tree_model_had(&tree->model, key, view.low, tree->applying,
                                     status == STATUS_OK ? &value : NULL),
                      "a read shows another value", tree, key);
    program->operations++;
}

/* One step of a cursor; `next` is the key that is due at the earliest (or latest), and becomes that
 * of the step after it.  false: the end, or something is wrong. */
static bool step(struct tree_cursor *cursor, struct view *view, bool backward, uint32_t *next)
{
    struct storage_tree *tree = view->tree;
    struct storage_program *program = tree->program;
    struct bytes bytes;
    struct bytes value;
    uint32_t key;
    view->low = tree->applied;
    enum status status = tree_cursor_next(cursor, &bytes, &value);
    if (status != STATUS_OK && status != STATUS_END) {
        read_ended(view, status);
        return false;
    }
    if (!same(view))
        return false;
    if (status == STATUS_END) {
        uint32_t from = backward ? 0 : *next;
        absent(view, from, backward ? *next : tree->model.shape.keys, view->low, tree->applying);
        return false;
    }
    if (!storage_check(program, tree_model_number(&tree->model, bytes, &key),
                       "a cursor shows a key that is none", tree, bytes.count) ||
        !storage_check(program, backward ? key < *next : key >= *next,
                       "a cursor shows keys out of order", tree, key) ||
        !storage_check(program,
                       tree_model_had(&tree->model, key, view->low, tree->applying, &value),
                       "a cursor shows another value", tree, key) ||
        !absent(view, backward ? key + 1 : *next, backward ? *next : key, view->low,
                tree->applying))
        return false;
    *next = backward ? key : key + 1;
    return true;
}

/* At most `count` keys from `next` on. */
static void read_range(struct context *ctx, struct storage_tree *tree, unsigned flags,
                       uint32_t next, uint32_t count)
{
    struct view view = view_of(tree);
    struct tree_cursor cursor;
    uint8_t key[TREE_MODEL_KEY_BYTES_MAX];
    bool backward = (flags & TREE_CURSOR_BACKWARD) != 0;
    bool whole = next == (backward ? tree->model.shape.keys : 0);
    struct bytes from = whole ? (struct bytes){0} : tree_model_key(&tree->model, next, key);
    enum status status = tree_cursor_open(ctx, view.at, flags, from, !backward, &cursor);
    ASSERT(status == STATUS_OK);
    while (count > 0 && step(&cursor, &view, backward, &next))
        count--;
    tree->program->operations++;
    arena_reset(&ctx->arena);
}

static void read_some_range(struct context *ctx, struct storage_tree *tree)
{
    struct prng *prng = tree->program->prng;
    unsigned flags = prng_one_in(prng, 2) ? TREE_CURSOR_BACKWARD : 0;
    if (prng_one_in(prng, 2))
        flags |= TREE_CURSOR_BACKGROUND;
    uint32_t next = (uint32_t)prng_below(prng, tree->model.shape.keys);
    read_range(ctx, tree, flags, next, 1 + (uint32_t)prng_below(prng, RANGE_KEYS_MAX));
}

/* Many at once: more than there are frames for. */
static void prefetch(struct storage_tree *tree)
{
    struct prng *prng = tree->program->prng;
    uint8_t key[TREE_MODEL_KEY_BYTES_MAX];
    for (uint64_t count = prng_below(prng, PREFETCH_KEYS_MAX); count > 0; count--) {
        uint32_t number = (uint32_t)prng_below(prng, tree->model.shape.keys);
        tree_prefetch(tree->tree, tree_model_key(&tree->model, number, key));
    }
}

/* ---- Snapshots ---- */

/* Every key of the snapshot is as after `slot`, or the one behind it. */
static bool compare_snapshot(struct context *ctx, struct storage_tree *tree,
                             struct snapshot *snapshot, struct tree_cursor *cursor)
{
    struct storage_program *program = tree->program;
    struct view view = view_of(tree);
    uint64_t slot = snapshot_applied(snapshot);
    uint32_t next = 0;
    for (uint32_t count = 0; storage_goes_on(program); count++) {
        struct bytes bytes;
        struct bytes value;
        uint32_t key = tree->model.shape.keys;
        enum status status = tree_cursor_next(cursor, &bytes, &value);
        if (tree->id.added != view.added || status == STATUS_CLOSED)
            return true; /* removed, or taken away */
        if (status != STATUS_OK && status != STATUS_END)
            return read_ended(&view, status);
        if (status == STATUS_OK &&
            (!storage_check(program, tree_model_number(&tree->model, bytes, &key) && key >= next,
                            "a snapshot shows a key that is none", tree, next) ||
             !storage_check(program, tree_model_had(&tree->model, key, slot, slot + 1, &value),
                            "a snapshot shows another value", tree, key)))
            return false;
        if (!absent(&view, next, key, slot, slot + 1) || status == STATUS_END)
            break;
        next = key + 1;
        if (count % SNAPSHOT_REST == 0)
            storage_pause(ctx, program, program->options.pause_ns);
    }
    program->operations++;
    return true;
}

static void read_snapshot(struct context *ctx, struct storage_tree *tree)
{
    struct storage_program *program = tree->program;
    struct snapshot *snapshot;
    struct tree_cursor cursor;
    enum status status = snapshot_open(tree->tree, &snapshot);
    if (status == STATUS_NOT_FOUND)
        return;
    ASSERT(status == STATUS_OK);
    if (storage_check(program, snapshot_applied(snapshot) <= tree->applied,
                      "a snapshot is ahead of its tree", tree, snapshot_applied(snapshot))) {
        unsigned flags = prng_one_in(program->prng, 2) ? TREE_CURSOR_BACKGROUND : 0;
        status = snapshot_cursor_open(ctx, snapshot, flags, (struct bytes){0}, true, &cursor);
        ASSERT(status == STATUS_OK);
        compare_snapshot(ctx, tree, snapshot, &cursor);
    }
    snapshot_close(snapshot);
    arena_reset(&ctx->arena);
}

/* ---- Fibers ---- */

void storage_compare(struct context *ctx, struct storage_tree *tree)
{
    read_range(ctx, tree, TREE_CURSOR_BACKGROUND, 0, UINT32_MAX);
    read_range(ctx, tree, TREE_CURSOR_BACKGROUND | TREE_CURSOR_BACKWARD, tree->model.shape.keys,
               UINT32_MAX);
}

/* A flow that does nothing but be there. */
static void idle(struct context *ctx, void *argument)
{
    struct storage_program *program = argument;
    storage_pause(ctx, program, IDLE_PAUSES * program->options.pause_ns);
    storage_leave(program);
}

void storage_reader(struct context *ctx, void *argument)
{
    struct storage_program *program = argument;
    struct prng *prng = program->prng;
    while (storage_goes_on(program)) {
        struct storage_tree *tree = &program->trees[prng_below(prng, program->options.trees)];
        uint64_t dice = prng_below(prng, 64);
        if (dice == 0) { /* no fiber is left for anybody */
            while (storage_spawn(program, idle, program)) {
            }
        } else if (tree->tree == NULL || tree->state != STORAGE_TREE_PRESENT) {
            context_yield(ctx);
        } else if (dice < 4) {
            read_snapshot(ctx, tree);
        } else if (dice < 6) {
            prefetch(tree);
        } else if (dice < 20) {
            read_some_range(ctx, tree);
        } else {
            read_point(ctx, tree);
        }
        arena_reset(&ctx->arena);
        storage_pause(ctx, program, program->options.pause_ns);
    }
    storage_leave(program);
}
