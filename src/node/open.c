/* open.c - a node's start, from its two files to serving replicas, and its clean stop. */
#include <stdio.h>

#include "base/assert.h"
#include "node/node_private.h"

#define CHECKPOINT_BYTES_DEFAULT (UINT64_C(64) << 20)
#define CHECKPOINT_NS_DEFAULT    UINT64_C(60000000000)
#define SEGMENT_BYTES_MIN        (UINT64_C(1) << 20)
#define SEGMENT_BYTES_MAX        (UINT64_C(64) << 20)
#define MEMORY_CHECKPOINT_BYTES  (UINT64_C(1) << 20)
#define LIVE_BYTES_MIN           (UINT64_C(64) << 20)
#define PATH_BYTES_MAX           4096
#define BACKGROUND_ARENA_BYTES   (UINT64_C(16) << 20)

/* ---- Recovery: what the log says ---- */

/* The tree file names its log before anything is in the log (forest_name_log). */
static enum status tree_is_gone(const struct node *node)
{
    log_line(node->env->log, LOG_ERROR, "node",
             "%s has a log with records in it, but its tree file is gone, or cut off: put it back",
             node->options.dir);
    return STATUS_CORRUPT;
}

/* The intents that an entry puts. */
static enum status recover_intents(struct replica *replica, const struct log_entry *entry)
{
    struct mutation_walk walk = mutation_walk_of(entry->payload);
    struct mutation mutation;
    while (mutation_next(&walk, &mutation)) {
        struct key item;
        struct intent intent;
        if (mutation.kind != MUTATION_PUT || !intent_key_is(mutation.key, &item))
            continue;
        TRY(intent_read(mutation.row, &intent));
        TRY(replica_add_intent(replica, key_bytes(&item), &intent, 0));
    }
    return STATUS_OK;
}

static enum status recover_entry(struct node *node, const struct wal_record *record, struct lsn lsn)
{
    struct replica *replica = node_replica(node, record->replica.group);
    if (replica == NULL || !replica_equal(replica->id, record->replica))
        return STATUS_OK; /* of a replica that was removed since */
    if (ballot_compare(record->ballot, replica->promised) > 0)
        replica->promised = record->ballot;
    if (ballot_compare(record->ballot, replica->recovered_last_ballot) > 0)
        replica->recovered_last_ballot = record->ballot;
    struct entry_header header = {0};
    if (!paxos_is_barrier(record->payload))
        TRY(entry_read(record->payload, &header));
    replica->hlc = MAX(replica->hlc, header.hlc);
    if (record->slot <= replica->applied_slot || replica->recovered_gap)
        return STATUS_OK;
    if (record->slot != replica->recovered_last_slot + 1) {
        replica->recovered_gap = true;
        return STATUS_OK;
    }
    struct log_entry *entry = log_entry_new(node, record->payload.count, header.mutation_count);
    if (entry == NULL)
        return STATUS_NO_MEMORY;
    if (record->payload.count > 0)
        memcpy(log_entry_payload(entry), record->payload.at, record->payload.count);
    entry->slot = record->slot;
    entry->ballot = record->ballot;
    entry->lsn = lsn;
    enum status status = header.intents != 0 ? recover_intents(replica, entry) : STATUS_OK;
    if (status != STATUS_OK) {
        log_entry_free(node, entry);
        return status;
    }
    replica_accept(replica, entry);
    replica->recovered_last_slot = record->slot;
    return STATUS_OK;
}

static enum status recover_truncation(struct node *node, const struct wal_record *record)
{
    struct replica *replica = node_replica(node, record->replica.group);
    if (replica == NULL || !replica_equal(replica->id, record->replica))
        return STATUS_OK;
    /* Only a member that followed another leader cuts its log; a group of one never does. */
    log_line(node->env->log, LOG_ERROR, "node", "group %llu: its log was cut after slot %llu",
             (unsigned long long)replica->group_id, (unsigned long long)record->slot);
    return STATUS_VERSION;
}

static enum status recover_configuration(struct node *node, const struct wal_record *record,
                                         struct lsn lsn)
{
    if (lsn_before(lsn, node->log_from))
        return STATUS_OK; /* the forest has it, or it was removed again */
    if (node_replica(node, record->replica.group) != NULL)
        return STATUS_OK; /* the forest had it */
    struct replica *replica;
    return replica_open(node, record->replica, record->payload, &replica);
}

static void recover_removal(struct node *node, const struct wal_record *record, struct lsn lsn)
{
    struct replica *replica = node_replica(node, record->replica.group);
    if (replica == NULL || !replica_equal(replica->id, record->replica) ||
        lsn_before(lsn, node->log_from))
        return; /* done; a replica that is here was made anew */
    tree_drop(replica->tree);
    replica_free(replica);
}

enum status node_on_record(struct context *ctx, void *owner, const struct wal_record *record,
                           struct lsn lsn)
{
    (void)ctx;
    struct node *node = owner;
    if (forest_recovered(node->forest).created)
        return tree_is_gone(node);
    switch (record->type) {
    case WAL_ENTRY:
        return recover_entry(node, record, lsn);
    case WAL_CONFIGURATION:
        return recover_configuration(node, record, lsn);
    case WAL_TRUNCATION:
        return recover_truncation(node, record);
    case WAL_REMOVAL:
        recover_removal(node, record, lsn);
        return STATUS_OK;
    case WAL_PROMISE: {
        struct replica *replica = node_replica(node, record->replica.group);
        if (replica != NULL && ballot_compare(record->ballot, replica->promised) > 0)
            replica->promised = record->ballot;
        return STATUS_OK;
    }
    }
    return STATUS_VERSION;
}

/* Every entry between tree and end of the log was there. */
static enum status check_recovered(const struct node *node)
{
    uint32_t position = 0;
    const struct replica *replica;
    while ((replica = hash_map_next(&node->replicas, &position)) != NULL) {
        if (!replica->recovered_gap)
            continue;
        log_line(
            node->env->log, LOG_ERROR, "node",
            "group %llu: the log does not have slot %llu, which is due after what its tree holds",
            (unsigned long long)replica->group_id,
            (unsigned long long)replica->recovered_last_slot + 1);
        return STATUS_CORRUPT;
    }
    return STATUS_OK;
}

/* ---- Opening ---- */

static enum status open_forest(struct context *ctx, struct node *node)
{
    char path[PATH_BYTES_MAX];
    if (snprintf(path, sizeof(path), "%s/tree", node->options.dir) >= (int)sizeof(path))
        return STATUS_INVALID;
    struct forest_options options = {.path = path,
                                     .node_id = node->options.node_id,
                                     .create = true,
                                     .log_named_later = true,
                                     .in_memory = node->options.in_memory,
                                     .cache_bytes = node->options.cache_bytes};
    TRY(forest_open(ctx, &options, &node->forest));
    struct forest_row row = {0};
    while (forest_rows(node->forest, row.replica, &row)) {
        struct replica *replica;
        if (node_replica(node, row.replica.group) != NULL) {
            log_line(node->env->log, LOG_ERROR, "node", "the tree file has two trees of group %llu",
                     (unsigned long long)row.replica.group);
            return STATUS_CORRUPT;
        }
        TRY(replica_open(node, row.replica, row.blob, &replica));
    }
    return STATUS_OK;
}

/* A tree file that names its log had one: without one, all is lost that no checkpoint has. */
static enum status log_is_gone(const struct node *node)
{
    log_line(node->env->log, LOG_ERROR, "node",
             "the log files (log-*) of %s are gone, and with them all that was written since the "
             "last checkpoint%s",
             node->options.dir, node->options.accept_loss ? " (accepted)" : "");
    return node->options.accept_loss ? STATUS_OK : STATUS_CORRUPT;
}

/* The log is made before the tree file names it, and both before anything is in the log. */
static enum status open_log(struct context *ctx, struct node *node)
{
    struct forest_recovered recovered = forest_recovered(node->forest);
    /* A few segments of what two checkpoints leave must be fewer bytes than the bound at which
     * writers wait for a checkpoint. */
    uint64_t step = MAX(node->options.checkpoint_bytes, SEGMENT_BYTES_MIN);
    uint64_t segment_bytes = MIN(step, SEGMENT_BYTES_MAX);
    node->live_bytes_max = MAX(step * 8, LIVE_BYTES_MIN);
    struct wal_options options = {
        .dir = node->options.dir,
        .log_id = recovered.log_id,
        .create = recovered.created,
        .accept_loss = node->options.accept_loss,
        .needed = recovered.log_from,
        .events = &node_wal_events,
        .owner = node,
        .segment_bytes_max = segment_bytes,
        .live_bytes_max = node->live_bytes_max,
    };
    node->log_from = recovered.log_from;
    enum status status = wal_open(ctx, &options, &node->wal);
    if (status == STATUS_NOT_FOUND) {
        TRY(log_is_gone(node));
        options.create = true;
        status = wal_open(ctx, &options, &node->wal);
    }
    TRY(status);
    TRY(forest_name_log(ctx, node->forest, wal_log_id(node->wal)));
    return check_recovered(node);
}

static enum status spawn(struct node *node, void (*run)(struct context *, void *))
{
    struct fiber_options options = {.arena_bytes_max = BACKGROUND_ARENA_BYTES,
                                    .deadline_ns = UINT64_MAX};
    node->fibers++;
    enum status status = fiber_spawn(node->env, &options, run, node);
    if (status != STATUS_OK)
        node->fibers--;
    return status;
}

static enum status wait_serving(struct context *ctx, struct replica *replica)
{
    const struct node *node = replica->node;
    enum status status = STATUS_OK;
    replica->users++;
    while (status == STATUS_OK && replica->state == REPLICA_STARTING) {
        /* What its log is to be applied to is damaged: it would never serve. */
        if (replica->apply_status == STATUS_CORRUPT)
            status = STATUS_CORRUPT;
        else if (replica->apply_status == STATUS_NO_SPACE || node->stalled)
            status = STATUS_NO_SPACE;
        else
            status = wait_queue_wait(ctx, &replica->state_changed);
    }
    if (status == STATUS_OK)
        status = replica_serves(replica);
    replica_leave(replica);
    return status;
}

/* Start every replica that recovery found, all at once, and wait for all.  One whose log is
 * committed, but cannot be applied to a full disk, is read meanwhile: its overlay has what the tree
 * lacks. */
static enum status start_replicas(struct context *ctx, struct node *node)
{
    uint32_t position = 0;
    struct replica *replica;
    while ((replica = hash_map_next(&node->replicas, &position)) != NULL)
        TRY(replica_read_intents(ctx, replica));
    position = 0;
    while ((replica = hash_map_next(&node->replicas, &position)) != NULL)
        replica_start(replica);
    position = 0;
    while ((replica = hash_map_next(&node->replicas, &position)) != NULL) {
        enum status status = wait_serving(ctx, replica);
        if (status == STATUS_NO_SPACE && replica->commit_slot > replica->applied_slot)
            replica->readable = true;
        else if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status open_all(struct context *ctx, struct node *node)
{
    TRY(open_forest(ctx, node));
    TRY(open_log(ctx, node));
    for (uint32_t i = 0; i < APPLIERS; i++)
        TRY(spawn(node, applier_run));
    TRY(spawn(node, checkpointer_run));
    TRY(start_replicas(ctx, node));
    changes_timer_fire(&node->changes_timer); /* what was kept before may be due to go */
    return STATUS_OK;
}

static void stop_fibers(struct context *ctx, struct node *node)
{
    node->closing = true;
    env_timer_stop(node->env, &node->changes_timer); /* it looks into trees, which go first */
    wait_queue_wake_all(&node->apply_ready);
    while (node->fibers > 0)
        wait_queue_wait_out(ctx, &node->fibers_ended);
}

static void free_node(struct node *node)
{
    uint32_t position = 0;
    struct replica *replica;
    env_timer_stop(node->env, &node->apply_timer);
    env_timer_stop(node->env, &node->stall_timer);
    env_timer_stop(node->env, &node->nudge_timer);
    while ((replica = hash_map_next(&node->replicas, &position)) != NULL)
        replica_free(replica);
    hash_map_release(&node->replicas);
    buffer_release(&node->scratch);
    buffer_release(&node->rows);
    buffer_release(&node->several);
    heap_free(node->env->heap, node, sizeof(*node));
}

static void set_defaults(struct node_options *options)
{
    if (options->checkpoint_ns == 0)
        options->checkpoint_ns = CHECKPOINT_NS_DEFAULT;
    if (options->checkpoint_bytes == 0)
        options->checkpoint_bytes =
            options->in_memory ? MEMORY_CHECKPOINT_BYTES : CHECKPOINT_BYTES_DEFAULT;
}

enum status node_open(struct context *ctx, const struct node_options *options, struct node **opened)
{
    struct node *node = heap_alloc_zero(ctx->env->heap, sizeof(*node));
    if (node == NULL)
        return STATUS_NO_MEMORY;
    *node = (struct node){.service = {.get = node_get,
                                      .prefetch = node_prefetch,
                                      .write = node_write,
                                      .prepare = node_prepare,
                                      .commit = node_commit,
                                      .cancel = node_cancel,
                                      .transact = node_transact,
                                      .mark = node_mark,
                                      .read_version = node_read_version,
                                      .range = node_range,
                                      .expire = node_expire,
                                      .changes = node_changes,
                                      .size = node_size,
                                      .follow = node_follow,
                                      .find_mark = node_find_mark,
                                      .set_mark = node_set_mark,
                                      .hold_writes = node_hold_writes,
                                      .create_replica = node_create_replica,
                                      .remove_replica = node_remove_replica,
                                      .retire_replica = node_retire_replica,
                                      .is_tight = node_is_tight},
                          .env = ctx->env,
                          .options = *options};
    set_defaults(&node->options);
    node_tokens_init(node);
    hash_map_init(&node->replicas, ctx->env->heap, REPLICAS_MAX, env_random_u64(ctx->env));
    list_init(&node->unsynced);
    list_init(&node->persisted);
    list_init(&node->apply_queue);
    list_init(&node->apply_retries);
    list_init(&node->structural);
    node->apply_timer.fire = apply_timer_fire;
    node->changes_timer.fire = changes_timer_fire;
    node->stall_timer.fire = stall_timer_fire;
    node->nudge_timer.fire = nudge_timer_fire;
    wait_queue_init(&node->apply_ready);
    wait_queue_init(&node->log_room);
    wait_queue_init(&node->fibers_ended);
    buffer_init(&node->scratch, ctx->env->heap, NODE_SCRATCH_BYTES_MAX);
    buffer_init(&node->rows, ctx->env->heap, NODE_ROWS_BYTES_MAX);
    buffer_init(&node->several, ctx->env->heap, NODE_CHANGES_BYTES_MAX);

    enum status status = open_all(ctx, node);
    if (status != STATUS_OK) {
        stop_fibers(ctx, node);
        if (node->wal != NULL)
            (void)!wal_close(ctx, node->wal);
        env_timer_stop(node->env, &node->stall_timer); /* it looks at the log, which is gone */
        if (node->forest != NULL)
            forest_abandon(ctx, node->forest); /* a failed start changes no tree */
        free_node(node);
        return status;
    }
    *opened = node;
    return STATUS_OK;
}

/* Wait until everything committed is applied; writers are gone already.  What cannot be applied now
 * stays in the log. */
static enum status apply_rest(struct context *ctx, struct node *node)
{
    enum status status = STATUS_OK;
    uint32_t position = 0;
    struct replica *replica;
    apply_timer_fire(&node->apply_timer); /* what failed is tried once more */
    while ((replica = hash_map_next(&node->replicas, &position)) != NULL) {
        replica->apply_status = STATUS_OK;
        /* An applier leaves it after each batch. */
        while (replica_applies(replica) && replica->apply_status == STATUS_OK)
            TRY(wait_queue_wait(ctx, &replica->unused));
        if (replica->apply_status != STATUS_OK)
            status = replica->apply_status;
    }
    return status;
}

enum status node_close(struct context *ctx, struct node *node)
{
    enum status applied = apply_rest(ctx, node);
    stop_fibers(ctx, node);
    /* The second checkpoint is forest_close's: then both superblocks hold all, and the log nothing
     * that is needed, once it is settled. */
    if (applied == STATUS_OK)
        applied = wal_settle(ctx, node->wal);
    struct lsn covered;
    enum status first = node_cover(node, &covered);
    if (first == STATUS_OK)
        first = forest_checkpoint(ctx, node->forest, covered);
    enum status forest = first;
    if (first == STATUS_OK)
        forest = forest_close(ctx, node->forest, covered);
    else
        forest_abandon(ctx, node->forest);
    if (first == STATUS_OK && forest == STATUS_OK)
        wal_release(node->wal, covered);
    enum status log = wal_close(ctx, node->wal);
    free_node(node);
    if (applied != STATUS_OK)
        return applied;
    return forest != STATUS_OK ? forest : log;
}

struct replica_service *node_service(struct node *node)
{
    return &node->service;
}

enum status node_writable(const struct node *node)
{
    if (wal_state(node->wal) != WAL_OK)
        return wal_status(node->wal);
    return forest_has_space(node->forest) ? STATUS_OK : STATUS_NO_SPACE;
}

bool node_is_tight(struct replica_service *service)
{
    const struct node *node = CONTAINER_OF(service, struct node, service);
    return forest_is_tight(node->forest);
}

const struct node_stats *node_stats(const struct node *node)
{
    return &node->stats;
}

const struct wal_stats *node_wal_stats(const struct node *node)
{
    return wal_stats(node->wal);
}

struct forest_stats node_forest_stats(const struct node *node)
{
    return forest_stats(node->forest);
}

/* ---- Making and removing replicas ---- */

/* Have one record in the log, durable.  Until the caller has ended `structural`, no checkpoint
 * covers the record. */
static enum status log_durably(struct context *ctx, struct node *node,
                               const struct wal_record *record, struct structural *structural)
{
    struct lsn lsn;
    TRY(wal_append(node->wal, record, &lsn));
    node_log_grew(node);
    structural->lsn = lsn;
    list_push_back(&node->structural, &structural->link);
    while (!lsn_before(lsn, wal_durable(node->wal))) {
        if (wal_state(node->wal) == WAL_FAILED || node->stalled)
            return STATUS_UNKNOWN_OUTCOME;
        TRY(wait_queue_wait(ctx, &node->log_room));
    }
    return STATUS_OK;
}

/* Log the configuration, then make the replica.  It may use what is kept of a full disk, as the
 * removal may: the table was accepted, takes a few hundred bytes a replica, and cannot be deleted
 * before it is made. */
static enum status make_replica(struct context *ctx, struct node *node, struct replica_id id,
                                struct bytes blob, struct replica **replica)
{
    struct wal_record record = {.type = WAL_CONFIGURATION,
                                .urgent = wal_state(node->wal) == WAL_NO_SPACE,
                                .replica = id,
                                .payload = blob};
    struct structural structural;
    list_init(&structural.link);
    enum status status = log_durably(ctx, node, &record, &structural);
    if (status == STATUS_OK) {
        *replica = node_replica(node, id.group); /* made by another flow while this one waited */
        if (*replica == NULL)
            status = replica_open(node, id, blob, replica);
        if (status == STATUS_OK && !(*replica)->paxos.started)
            replica_start(*replica);
    }
    list_remove(&structural.link);
    return status;
}

enum status node_create_replica(struct context *ctx, struct replica_service *service,
                                const struct replica_target *target, struct bytes low,
                                struct bytes high)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    struct replica *replica = node_replica(node, target->group_id);
    if (replica != NULL)
        return wait_serving(ctx, replica);
    if (node->replicas.live >= REPLICAS_MAX)
        return STATUS_BUSY;

    struct replica_id id = {.group = target->group_id, .node = node->options.node_id};
    struct replica_blob blob = {
        .table_id = target->table_id,
        .low = low,
        .high = high,
        .configuration = {.member_count = 1, .members = {{.replica = id, .kind = PAXOS_STORAGE}}},
    };
    struct buffer bytes;
    buffer_init(&bytes, ctx->env->heap, FOREST_ROW_BLOB_BYTES_MAX);
    replica_blob_write(&blob, &bytes);
    enum status status = bytes.failed ? STATUS_TOO_LARGE : STATUS_OK;
    if (status == STATUS_OK)
        status = make_replica(ctx, node, id, buffer_bytes(&bytes), &replica);
    buffer_release(&bytes);
    TRY(status);
    return wait_serving(ctx, replica);
}

/* Nobody is in the replica, and nobody comes in any more. */
static enum status remove_unused(struct context *ctx, struct replica *replica)
{
    struct node *node = replica->node;
    struct wal_record record = {.type = WAL_REMOVAL, .urgent = true, .replica = replica->id};
    struct structural structural;
    list_init(&structural.link);
    enum status status = log_durably(ctx, node, &record, &structural);
    if (status == STATUS_OK) {
        tree_drop(replica->tree);
        replica_free(replica);
    }
    list_remove(&structural.link);
    return status;
}

enum status node_remove_replica(struct context *ctx, struct replica_service *service,
                                uint64_t group_id)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    struct replica *replica = node_replica(node, group_id);
    if (replica == NULL)
        return STATUS_OK;
    if (replica->removing)
        return STATUS_BUSY; /* another flow is at it */
    replica->removing = true;
    replica_set_state(replica, REPLICA_CLOSING);
    enum status status = STATUS_OK;
    while (status == STATUS_OK && replica->users > 0)
        status = wait_queue_wait(ctx, &replica->unused);
    if (status == STATUS_OK)
        status = remove_unused(ctx, replica);
    if (status != STATUS_OK)
        replica->removing = false; /* it stays closing, and is removed when this is called again */
    return status;
}

void node_size(struct replica_service *service, uint64_t group_id, struct replica_size *size)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    const struct replica *replica = node_replica(node, group_id);
    *size = (struct replica_size){0};
    if (replica == NULL)
        return;
    struct forest_row row = tree_row(replica->tree);
    uint64_t others = replica->counts.others + replica->counts.ttl;
    for (uint32_t i = 0; i < LOCAL_INDEXES_MAX; i++) {
        size->indexes[i] = replica->counts.indexes[i];
        others += replica->counts.indexes[i].count;
    }
    size->items.count = row.items > others ? row.items - others : 0;
    size->items.bytes = row.item_bytes;
}
