/* storage_program.c - a life of the storage program: opening, what the log says, closing. */
#include "sim/workload/storage_program.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "sim/workload/storage_private.h"

#define NODE_ID       1u
#define STACK_BYTES   ((size_t)256 << 10)
#define ARENA_BYTES   ((size_t)64 << 20)
#define READERS       2u
#define FIBERS_ALWAYS (STORAGE_TREES_MAX + READERS + 2)

bool storage_check(struct storage_program *program, bool right, const char *what,
                   const struct storage_tree *tree, uint64_t detail)
{
    if (!right)
        scenario_fail(
            program->result, SCENARIO_WRONG, "tree %" PRIu64 ".%" PRIu64 ": %s (%" PRIu64 ")",
            tree != NULL ? tree->id.group : 0, tree != NULL ? tree->id.added : 0, what, detail);
    return right;
}

bool storage_excused(enum status status)
{
    return status == STATUS_OK || status == STATUS_IO || status == STATUS_NO_SPACE ||
           status == STATUS_BUSY || status == STATUS_UNAVAILABLE;
}

bool storage_spawn(struct storage_program *program, void (*run)(struct context *, void *),
                   void *argument)
{
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    program->fibers++;
    if (fiber_spawn(program->env, &options, run, argument) == STATUS_OK)
        return true;
    program->fibers--;
    return false;
}

void storage_leave(struct storage_program *program)
{
    program->fibers--;
    wait_queue_wake_all(&program->changed);
}

void storage_pause(struct context *ctx, struct storage_program *program, uint64_t most_ns)
{
    (void)!context_sleep(ctx, prng_below(program->prng, most_ns + 1));
}

/* ---- What the log says ---- */

static void on_durable(void *owner, struct lsn durable)
{
    struct storage_program *program = owner;
    for (uint32_t i = 0; i < program->options.trees; i++) {
        struct storage_tree *tree = &program->trees[i];
        while (tree->durable < tree->model.slot_count &&
               lsn_before(tree->model.slots[tree->durable].lsn, durable))
            tree->durable++;
    }
    wait_queue_wake_all(&program->changed);
}

static void on_state(void *owner, enum wal_state state)
{
    struct storage_program *program = owner;
    if (state == WAL_FAILED) {
        program->state = STORAGE_GAVE_UP;
        program->status = wal_status(program->wal);
    }
    wait_queue_wake_all(&program->changed);
}

/* An entry of the tree that is being recovered. */
static void found_entry(struct context *ctx, struct storage_tree *tree,
                        const struct wal_record *record, struct lsn lsn)
{
    struct storage_program *program = tree->program;
    if (!tree->found || record->replica.added != tree->found_added)
        return; /* of one that was removed */
    if (record->replica.added == tree->id.added) {
        if (!storage_check(program, record->slot >= 1 && record->slot <= tree->model.slot_count,
                           "the log has a slot that was never appended", tree, record->slot))
            return;
        storage_check(program, tree->model.slots[record->slot - 1].lsn.value == lsn.value,
                      "a slot is at another position of the log", tree, record->slot);
        storage_check(program,
                      bytes_equal(record->payload, storage_payload(ctx, tree, record->slot)),
                      "the log has another entry than was appended", tree, record->slot);
        arena_reset(&ctx->arena);
    }
    if (record->slot <= tree->found_slot)
        return;
    tree->found_gap |= record->slot != tree->found_slot + 1;
    tree->found_slot = record->slot;
}

static enum status on_record(struct context *ctx, void *owner, const struct wal_record *record,
                             struct lsn lsn)
{
    struct storage_program *program = owner;
    uint64_t group = record->replica.group;
    if (!storage_check(program, group >= 1 && group <= program->options.trees,
                       "the log has a record of another", NULL, group))
        return STATUS_CORRUPT;
    struct storage_tree *tree = &program->trees[group - 1];
    bool old = lsn_before(lsn, program->log_from); /* the forest has what it did */
    if (record->type == WAL_ENTRY)
        found_entry(ctx, tree, record, lsn);
    if (record->type == WAL_CONFIGURATION && !old &&
        (!tree->found || tree->found_added < record->replica.added)) {
        tree->found = true;
        tree->found_added = record->replica.added;
        tree->found_slot = 0;
        tree->found_gap = false;
    }
    if (record->type == WAL_REMOVAL && !old && tree->found &&
        tree->found_added == record->replica.added)
        tree->found = false;
    return STATUS_OK;
}

static const struct wal_events events = {on_durable, on_state, on_record};

/* ---- Opening ---- */

struct make_dir {
    struct env_job job;
    enum status status;
};

static void make_dir(struct env_job *job)
{
    enum status status = env_dir_create(job->env, STORAGE_DIR);
    if (status == STATUS_OK || status == STATUS_EXISTS)
        status = env_dir_sync(job->env, ".");
    CONTAINER_OF(job, struct make_dir, job)->status = status;
}

static enum status open_forest(struct context *ctx, struct storage_program *program)
{
    struct make_dir make = {.job = {.lane = ENV_LANE_BACKGROUND, .run = make_dir}};
    list_init(&make.job.link);
    TRY(context_run_job(ctx, &make.job));
    TRY(make.status);
    struct forest_options options = {
        .path = STORAGE_DIR "/tree",
        .node_id = NODE_ID,
        .create = true,
        .log_named_later = true,
        .cache_bytes = program->options.cache_bytes,
        .snapshot_bytes = program->options.snapshot_bytes,
        .reserve_pages = program->options.reserve_pages,
        .drop_pages_per_s = program->options.drop_pages_per_s,
    };
    TRY(forest_open(ctx, &options, &program->forest));
    if (program->check_all && forest_stats(program->forest).trees_dropping == 0)
        TRY(forest_verify(ctx, program->forest));
    struct forest_row row = {0};
    while (forest_rows(program->forest, row.replica, &row)) {
        uint64_t group = row.replica.group;
        if (!storage_check(program, group >= 1 && group <= program->options.trees,
                           "a row of another", NULL, group))
            return STATUS_CORRUPT;
        struct storage_tree *tree = &program->trees[group - 1];
        storage_check(program, bytes_equal(row.blob, STORAGE_BLOB), "a row has another blob", tree,
                      0);
        storage_check(program, row.log_start <= row.applied, "a log begins after its tree", tree,
                      row.log_start);
        tree->found = true;
        tree->found_added = row.replica.added;
        tree->found_slot = row.applied;
    }
    return STATUS_OK;
}

static enum status open_log(struct context *ctx, struct storage_program *program)
{
    struct forest_recovered recovered = forest_recovered(program->forest);
    struct wal_options options = {
        .dir = STORAGE_DIR,
        .log_id = recovered.log_id,
        .create = recovered.created,
        .needed = recovered.log_from,
        .segment_bytes_min = program->options.segment_bytes,
        .segment_bytes_max = program->options.segment_bytes,
        .live_bytes_max = program->options.live_bytes,
        .events = &events,
        .owner = program,
    };
    program->log_from = recovered.log_from;
    TRY(wal_open(ctx, &options, &program->wal));
    return forest_name_log(ctx, program->forest, wal_log_id(program->wal));
}

void storage_tree_is_gone(struct storage_tree *tree)
{
    struct tree_model_shape shape = tree->model.shape;
    tree_model_release(&tree->model);
    tree_model_init(&tree->model, tree->program->heap, &shape);
    tree->state = STORAGE_TREE_ABSENT;
    tree->id.added++;
    tree->durable = 0;
}

/* What was found is what the log confirmed, and at most what was appended after it. */
static void check_found(struct storage_tree *tree)
{
    struct storage_program *program = tree->program;
    bool found = tree->found && tree->found_added == tree->id.added;
    bool may_be_there = tree->state != STORAGE_TREE_ABSENT;
    bool may_be_gone = tree->state != STORAGE_TREE_PRESENT;
    storage_check(program, !tree->found || (found && may_be_there),
                  "a tree is there that was removed", tree, tree->found_added);
    storage_check(program, found || may_be_gone, "a tree is gone", tree, tree->state);
    storage_check(program, !found || !tree->found_gap, "the log lacks slots", tree,
                  tree->found_slot);
    storage_check(program, !found || tree->found_slot >= tree->durable, "confirmed slots are lost",
                  tree, tree->found_slot);
    if (found) {
        tree->state = STORAGE_TREE_PRESENT;
        tree_model_cut(&tree->model, tree->found_slot);
        tree->durable = tree->found_slot;
    } else if (tree->state != STORAGE_TREE_ABSENT) {
        storage_tree_is_gone(tree);
    }
}

/* The forest's trees become those that the log says. */
static enum status recover_trees(struct storage_program *program)
{
    struct forest_row row = {0};
    while (forest_rows(program->forest, row.replica, &row)) {
        const struct storage_tree *tree = &program->trees[row.replica.group - 1];
        if (tree->state != STORAGE_TREE_PRESENT || tree->id.added != row.replica.added)
            tree_drop(forest_tree(program->forest, row.replica));
    }
    for (uint32_t i = 0; i < program->options.trees; i++) {
        struct storage_tree *tree = &program->trees[i];
        if (tree->state != STORAGE_TREE_PRESENT)
            continue;
        tree->tree = forest_tree(program->forest, tree->id);
        if (tree->tree == NULL)
            TRY(tree_create(program->forest, tree->id, STORAGE_BLOB, &tree->tree));
        tree->applied = tree->applying = tree_row(tree->tree).applied;
    }
    return STATUS_OK;
}

static enum status open_all(struct context *ctx, struct storage_program *program)
{
    TRY(open_forest(ctx, program));
    TRY(open_log(ctx, program));
    for (uint32_t i = 0; i < program->options.trees; i++)
        check_found(&program->trees[i]);
    return program->result->verdict == SCENARIO_PASSED ? recover_trees(program) : STATUS_CORRUPT;
}

/* ---- Closing ---- */

/* As src/node does: both superblocks hold all, and the log nothing that is needed. */
static enum status close_all(struct context *ctx, struct storage_program *program)
{
    enum status status = wal_settle(ctx, program->wal);
    struct lsn covered = storage_covered(program);
    if (status == STATUS_OK)
        status = forest_checkpoint(ctx, program->forest, covered);
    if (status == STATUS_OK)
        status = forest_close(ctx, program->forest, covered);
    else
        forest_abandon(ctx, program->forest);
    if (status == STATUS_OK)
        wal_release(program->wal, covered);
    enum status log = wal_close(ctx, program->wal);
    return status != STATUS_OK ? status : log;
}

static void give_up(struct storage_program *program, enum status status)
{
    storage_check(program, storage_excused(status), status_name(status), NULL, 0);
    program->status = status;
    program->state = STORAGE_GAVE_UP;
}

static bool all_ready(const struct storage_program *program)
{
    for (uint32_t i = 0; i < program->options.trees; i++)
        if (!program->trees[i].ready)
            return false;
    return true;
}

/* Wait until what the log had is applied, then until it is time to stop. */
static void live(struct context *ctx, void *argument)
{
    struct storage_program *program = argument;
    enum status status = open_all(ctx, program);
    arena_reset(&ctx->arena);
    if (status != STATUS_OK) {
        give_up(program, status);
        return;
    }
    bool spawned = storage_spawn(program, storage_checkpointer, program);
    for (uint32_t i = 0; i < program->options.trees && spawned; i++)
        spawned = storage_spawn(program, storage_writer, &program->trees[i]);
    ASSERT(spawned);
    while (storage_goes_on(program) && !all_ready(program))
        (void)!wait_queue_wait(ctx, &program->changed);
    if (program->state == STORAGE_OPENING)
        program->state = STORAGE_OPEN;
    for (uint32_t i = 0; i < READERS && spawned; i++)
        spawned = storage_spawn(program, storage_reader, program);
    while (!program->stopping || program->fibers > 1)
        (void)!wait_queue_wait(ctx, &program->changed);
    /* What others waited for were checkpoints: now nobody does. */
    program->closing = true;
    forest_want_checkpoint(program->forest);
    while (program->fibers > 0)
        (void)!wait_queue_wait(ctx, &program->changed);
    if (program->state == STORAGE_GAVE_UP)
        return;
    status = close_all(ctx, program);
    if (status == STATUS_OK)
        program->state = STORAGE_STOPPED;
    else
        give_up(program, status);
}

/* ---- A life ---- */

void storage_program_init(struct storage_program *program, struct sim *sim, struct heap *heap,
                          const struct storage_options *options, struct scenario_result *result)
{
    *program = (struct storage_program){
        .sim = sim, .prng = sim_prng(sim), .heap = heap, .options = *options, .result = result};
    for (uint32_t i = 0; i < options->trees; i++) {
        struct storage_tree *tree = &program->trees[i];
        tree->program = program;
        tree->id = (struct replica_id){.group = i + 1, .added = 1, .node = NODE_ID};
        tree_model_init(&tree->model, heap, &options->shape);
    }
}

void storage_program_release(struct storage_program *program)
{
    for (uint32_t i = 0; i < program->options.trees; i++)
        tree_model_release(&program->trees[i].model);
}

void storage_program_crashed(struct storage_program *program)
{
    program->env = NULL;
    program->forest = NULL;
    program->wal = NULL;
    program->state = STORAGE_DOWN;
    program->fibers = 0;
    program->stopping = program->closing = false;
    for (uint32_t i = 0; i < program->options.trees; i++) {
        struct storage_tree *tree = &program->trees[i];
        tree->tree = NULL;
        tree->applied = tree->applying = 0;
        tree->ready = tree->found = tree->found_gap = false;
        tree->found_added = tree->found_slot = 0;
    }
}

void storage_program_start(struct storage_program *program, struct env *env)
{
    storage_program_crashed(program);
    program->env = env;
    program->state = STORAGE_OPENING;
    wait_queue_init(&program->changed);
    enum status status =
        fiber_pool_open(env, FIBERS_ALWAYS + program->options.fibers_max, STACK_BYTES);
    ASSERT(status == STATUS_OK);
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    status = fiber_spawn(env, &options, live, program);
    ASSERT(status == STATUS_OK);
}

void storage_program_stop(struct storage_program *program)
{
    program->stopping = true;
    wait_queue_wake_all(&program->changed);
}
