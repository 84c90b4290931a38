/* storage_fibers.c - the writers of the storage program's trees, and its checkpointer. */
#include <string.h>

#include "base/assert.h"
#include "sim/workload/storage_private.h"

#define RETRY_NS        UINT64_C(20000000)
#define BATCH_SLOTS_MAX 4u
#define RUN_KEYS_MAX    48u
#define LARGE_KEYS_MAX  200u
#define COPY_KEYS       16u
#define PAYLOAD_CHANGE  12u

/* ---- What is written ---- */

struct bytes storage_payload(struct context *ctx, const struct storage_tree *tree, uint64_t slot)
{
    const struct tree_slot *batch = &tree->model.slots[slot - 1];
    uint8_t *payload = arena_alloc(&ctx->arena, (size_t)batch->count * PAYLOAD_CHANGE + 1);
    ASSERT(payload != NULL);
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct tree_change *change = &tree->model.changes[batch->first + i];
        memcpy(payload + (size_t)i * PAYLOAD_CHANGE, &change->key, 4);
        memcpy(payload + (size_t)i * PAYLOAD_CHANGE + 4, &change->token, 8);
    }
    return bytes_of(payload, (size_t)batch->count * PAYLOAD_CHANGE);
}

static void choose_change(struct storage_tree *tree, uint32_t key)
{
    struct storage_program *program = tree->program;
    bool delete = prng_one_in(program->prng, 8) != program->shrinking;
    tree_model_add(&tree->model, key, delete ? 0 : ++program->token);
}

/* A few keys anywhere, or nearly all keys of a stretch. */
static void choose_batch(struct storage_tree *tree)
{
    struct storage_program *program = tree->program;
    struct prng *prng = program->prng;
    uint32_t keys = tree->model.shape.keys;
    if (prng_one_in(prng, 60))
        program->shrinking = !program->shrinking;
    tree_model_begin(&tree->model);
    /* A new tree is filled from one end to the other, half of it. */
    uint32_t filled = (tree->model.slot_count - 1) * LARGE_KEYS_MAX;
    if (filled < keys / 2) {
        for (uint32_t key = filled; key < filled + LARGE_KEYS_MAX && key < keys; key++)
            tree_model_add(&tree->model, key, ++program->token);
        return;
    }
    if (!prng_one_in(prng, 3)) {
        for (uint64_t count = 1 + prng_below(prng, 10); count > 0; count--)
            choose_change(tree, (uint32_t)prng_below(prng, keys));
        return;
    }
    uint32_t first = (uint32_t)prng_below(prng, keys);
    uint64_t most = prng_one_in(prng, 30) ? LARGE_KEYS_MAX : RUN_KEYS_MAX;
    uint32_t end = first + 1 + (uint32_t)prng_below(prng, most);
    for (uint32_t key = first; key < end && key < keys; key++) {
        if (prng_one_in(prng, 8))
            choose_change(tree, key);
        else
            tree_model_add(&tree->model, key, program->shrinking ? 0 : ++program->token);
    }
}

/* The changes of a batch, from `first` on, as the tree takes them; in the arena. */
static struct tree_mutation *mutations_of(struct context *ctx, const struct storage_tree *tree,
                                          const struct tree_change *changes, uint32_t count)
{
    uint8_t *value = arena_alloc(&ctx->arena, TREE_MODEL_VALUE_BYTES_MAX);
    struct tree_mutation *mutations =
        arena_alloc(&ctx->arena, (count + 1) * sizeof(struct tree_mutation));
    uint8_t key[TREE_MODEL_KEY_BYTES_MAX];
    ASSERT(value != NULL && mutations != NULL);
    for (uint32_t i = 0; i < count; i++) {
        struct tree_mutation *to = &mutations[i];
        *to = (struct tree_mutation){.kind = TREE_DELETE};
        struct bytes bytes = tree_model_key(&tree->model, changes[i].key, key);
        to->key = arena_copy(&ctx->arena, bytes);
        ASSERT(to->key.at != NULL);
        if (changes[i].token == 0)
            continue;
        to->kind = TREE_PUT;
        bytes = tree_model_value(&tree->model, changes[i].token, value);
        to->value = arena_copy(&ctx->arena, bytes);
        ASSERT(to->value.at != NULL);
    }
    return mutations;
}

/* ---- Applying ---- */

/* Until it is applied, or the fiber should end. */
static enum status apply_until(struct context *ctx, struct storage_tree *tree, struct tree *to,
                               const struct tree_change *changes, uint32_t count, uint64_t slot)
{
    struct storage_program *program = tree->program;
    struct tree_mutation *mutations = mutations_of(ctx, tree, changes, count);
    enum status status;
    while ((status = tree_apply(ctx, to, mutations, count, slot)) != STATUS_OK) {
        if (!storage_check(program, storage_excused(status), "a batch is not applied", tree,
                           (uint64_t)status) ||
            !storage_goes_on(program))
            break;
        storage_pause(ctx, program, RETRY_NS);
    }
    arena_reset(&ctx->arena);
    return status;
}

void storage_apply(struct context *ctx, struct storage_tree *tree, uint64_t slot)
{
    struct tree_model *model = &tree->model;
    while (tree->applied < slot && storage_goes_on(tree->program)) {
        uint64_t next = tree->applied + 1;
        const struct tree_slot *batch = &model->slots[next - 1];
        tree->applying = next;
        if (apply_until(ctx, tree, tree->tree, model->changes + batch->first, batch->count, next) !=
            STATUS_OK)
            return;
        tree->applied = next;
        tree->program->operations++;
    }
}

/* ---- The log ---- */

/* Append until the log takes it; false: the fiber should end. */
static bool append(struct context *ctx, struct storage_tree *tree, enum wal_record_type type,
                   uint64_t slot, struct lsn *lsn)
{
    struct storage_program *program = tree->program;
    struct wal_record record = {.type = type, .replica = tree->id, .slot = slot};
    if (type == WAL_ENTRY) {
        record.payload = storage_payload(ctx, tree, slot);
        record.ballot = (struct ballot){.round = 1, .replica = tree->id};
    }
    enum status status;
    while ((status = wal_append(program->wal, &record, lsn)) != STATUS_OK) {
        if (!storage_check(program, storage_excused(status), "the log refuses", tree,
                           (uint64_t)status) ||
            !storage_goes_on(program))
            break;
        forest_want_checkpoint(program->forest); /* it may be too long */
        storage_pause(ctx, program, RETRY_NS);
    }
    arena_reset(&ctx->arena);
    return status == STATUS_OK;
}

static bool wait_durable(struct context *ctx, struct storage_program *program, struct lsn lsn)
{
    while (!lsn_before(lsn, wal_durable(program->wal))) {
        if (!storage_goes_on(program))
            return false;
        (void)!wait_queue_wait(ctx, &program->changed);
    }
    return true;
}

static void write_some(struct context *ctx, struct storage_tree *tree)
{
    struct tree_model *model = &tree->model;
    uint64_t count = 1 + prng_below(tree->program->prng, BATCH_SLOTS_MAX);
    struct lsn lsn = {0};
    for (; count > 0; count--) {
        choose_batch(tree);
        if (!append(ctx, tree, WAL_ENTRY, model->slot_count, &lsn)) {
            tree_model_cut(model, model->slot_count - 1);
            return;
        }
        model->slots[model->slot_count - 1].lsn = lsn;
    }
    if (wait_durable(ctx, tree->program, lsn))
        storage_apply(ctx, tree, model->slot_count);
}

static void make_tree(struct context *ctx, struct storage_tree *tree)
{
    struct storage_program *program = tree->program;
    struct lsn lsn;
    if (!append(ctx, tree, WAL_CONFIGURATION, 0, &lsn))
        return;
    tree->structural = lsn;
    tree->state = STORAGE_TREE_CREATING;
    if (!wait_durable(ctx, program, lsn))
        return;
    enum status status = tree_create(program->forest, tree->id, STORAGE_BLOB, &tree->tree);
    if (storage_check(program, status == STATUS_OK, "a tree is not made", tree, (uint64_t)status))
        tree->state = STORAGE_TREE_PRESENT;
}

static void remove_tree(struct context *ctx, struct storage_tree *tree)
{
    struct lsn lsn;
    if (!append(ctx, tree, WAL_REMOVAL, 0, &lsn))
        return;
    tree->structural = lsn;
    tree->state = STORAGE_TREE_REMOVING;
    if (!wait_durable(ctx, tree->program, lsn))
        return;
    tree_drop(tree->tree);
    tree->tree = NULL;
    tree->applied = tree->applying = 0;
    storage_tree_is_gone(tree);
}

/* ---- Copies ---- */

/* What the snapshot holds, into the staged tree. */
static enum status copy_snapshot(struct context *ctx, struct storage_tree *tree,
                                 struct snapshot *snapshot, struct tree *staged)
{
    struct storage_program *program = tree->program;
    const struct tree_model *model = &tree->model;
    uint64_t slot = snapshot_applied(snapshot);
    uint8_t bytes[TREE_MODEL_KEY_BYTES_MAX];
    for (uint32_t key = 0; key < model->shape.keys;) {
        struct tree_change changes[COPY_KEYS];
        uint32_t count = 0;
        for (; count < COPY_KEYS && key < model->shape.keys; key++) {
            struct bytes value;
            uint64_t token = tree_model_at(model, key, slot);
            if (token == 0)
                continue;
            enum status status =
                snapshot_get(ctx, snapshot, tree_model_key(model, key, bytes), &value);
            if (status != STATUS_OK && status != STATUS_NOT_FOUND)
                return status;
            bool right =
                tree_model_had(model, key, slot, slot + 1, status == STATUS_OK ? &value : NULL);
            if (!storage_check(program, right, "a snapshot shows another value", tree, key))
                return STATUS_CORRUPT;
            changes[count++] = (struct tree_change){.key = key, .token = token};
        }
        if (count > 0)
            TRY(apply_until(ctx, tree, staged, changes, count, 0));
    }
    return STATUS_OK;
}

/* A tree made from a snapshot and the slots after it takes the place of the tree. */
static enum status fill_staged(struct context *ctx, struct storage_tree *tree,
                               struct snapshot *snapshot, struct tree *staged)
{
    const struct tree_model *model = &tree->model;
    TRY(copy_snapshot(ctx, tree, snapshot, staged));
    for (uint64_t slot = snapshot_applied(snapshot) + 1; slot <= tree->applied; slot++) {
        const struct tree_slot *batch = &model->slots[slot - 1];
        TRY(apply_until(ctx, tree, staged, model->changes + batch->first, batch->count, 0));
    }
    return tree_install(staged, tree->id, tree->applied, tree->applied, STORAGE_BLOB);
}

static void install_copy(struct context *ctx, struct storage_tree *tree)
{
    struct storage_program *program = tree->program;
    struct snapshot *snapshot;
    struct tree *staged;
    if (snapshot_open(tree->tree, &snapshot) != STATUS_OK)
        return; /* no checkpoint has it yet */
    enum status status = tree_create_staged(program->forest, &staged);
    if (storage_check(program, status == STATUS_OK, "no staged tree", tree, (uint64_t)status)) {
        status = fill_staged(ctx, tree, snapshot, staged);
        if (status == STATUS_OK)
            tree->tree = staged;
        else
            tree_drop(staged);
        storage_check(program, storage_excused(status) || status == STATUS_CLOSED,
                      "a copy is not installed", tree, (uint64_t)status);
    }
    arena_reset(&ctx->arena);
    snapshot_close(snapshot);
}

/* ---- The fibers ---- */

void storage_writer(struct context *ctx, void *argument)
{
    struct storage_tree *tree = argument;
    struct storage_program *program = tree->program;
    if (tree->state == STORAGE_TREE_PRESENT) {
        storage_apply(ctx, tree, tree->model.slot_count);
        if (program->check_all && storage_goes_on(program))
            storage_compare(ctx, tree);
    }
    tree->ready = true;
    wait_queue_wake_all(&program->changed);
    while (storage_goes_on(program)) {
        if (tree->state == STORAGE_TREE_ABSENT)
            make_tree(ctx, tree);
        else if (prng_one_in(program->prng, 100))
            remove_tree(ctx, tree);
        else if (prng_one_in(program->prng, 50))
            install_copy(ctx, tree);
        else
            write_some(ctx, tree);
        storage_pause(ctx, program, program->options.pause_ns);
    }
    storage_leave(program);
}

struct lsn storage_covered(const struct storage_program *program)
{
    struct lsn covered = wal_durable(program->wal);
    for (uint32_t i = 0; i < program->options.trees; i++) {
        const struct storage_tree *tree = &program->trees[i];
        struct lsn first = covered;
        if (tree->state == STORAGE_TREE_CREATING || tree->state == STORAGE_TREE_REMOVING)
            first = tree->structural;
        else if (tree->applied < tree->model.slot_count)
            first = tree->model.slots[tree->applied].lsn;
        if (lsn_before(first, covered))
            covered = first;
    }
    return covered;
}

void storage_checkpointer(struct context *ctx, void *argument)
{
    struct storage_program *program = argument;
    while (!program->closing) {
        uint64_t until_ns =
            env_now_ns(ctx->env) + prng_below(program->prng, program->options.checkpoint_ns);
        (void)!forest_wait_checkpoint_due(ctx, program->forest, until_ns);
        if (program->closing)
            break;
        enum status status = forest_checkpoint(ctx, program->forest, storage_covered(program));
        if (status == STATUS_OK)
            wal_release(program->wal, forest_log_needed(program->forest));
        else if (storage_check(program, storage_excused(status), "a checkpoint fails", NULL,
                               (uint64_t)status))
            storage_pause(ctx, program, 5 * RETRY_NS);
    }
    storage_leave(program);
}
