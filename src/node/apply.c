/* apply.c - committed entries go into the tree, in slot order, behind the answers.
 *
 * A few applier fibers share the replicas that have something to apply; one replica is with one of
 * them at a time.
 */
#include "base/assert.h"
#include "env/bugs.h"
#include "node/node_private.h"

#define BUG_BEHIND_NS UINT64_C(2000000)

/* A run of committed entries, as one batch for the tree. */
struct batch {
    struct tree_mutation *mutations; /* in the applier's arena */
    size_t count;
    uint64_t last_slot;
    int64_t item_bytes; /* of all entries */
    bool puts_intents;
    bool counted; /* rows that are not items change, or what transactions go by: */
    struct {
        int64_t count, bytes;
    } indexes[LOCAL_INDEXES_MAX];
    int64_t others;
    struct change_batch changes; /* of the entries that keep them */
    int64_t rows;                /* of all kinds but those that say when items expire */
    bool ttl;                    /* there are such */
};

static bool has_committed(const struct replica *replica)
{
    return replica->applied_slot < replica->commit_slot;
}

bool replica_applies(const struct replica *replica)
{
    return has_committed(replica) && replica->state != REPLICA_CLOSING;
}

static void enqueue(struct replica *replica)
{
    replica->apply_due = true;
    list_push_back(&replica->node->apply_queue, &replica->apply_link);
    wait_queue_wake_one(&replica->node->apply_ready);
}

void replica_apply_later(struct replica *replica)
{
    if (!replica->apply_due && (replica_applies(replica) || changes_trims(replica)))
        enqueue(replica);
}

/* Those whose batches failed are queued again, all at once. */
void apply_timer_fire(struct env_timer *timer)
{
    struct node *node = CONTAINER_OF(timer, struct node, apply_timer);
    struct list *first;
    while ((first = list_pop_front(&node->apply_retries)) != NULL)
        enqueue(LIST_ITEM(first, struct replica, apply_link));
}

static void retry_later(struct replica *replica)
{
    struct node *node = replica->node;
    if (list_empty(&node->apply_retries))
        env_timer_start(node->env, &node->apply_timer, APPLY_RETRY_NS);
    replica->apply_due = true;
    list_push_back(&node->apply_retries, &replica->apply_link);
}

/* The intent that a version puts beside `item`? */
static bool puts_intent(const struct version *version, struct key *item)
{
    return !version->is_mark && version->row.at != NULL && intent_key_is(version->key, item);
}

/* May the tree have the intents that the entry puts, beside those of the batch so far? */
static bool intents_may_come(const struct replica *replica, const struct log_entry *entry,
                             struct intents_batch *intents)
{
    bool fits = true;
    struct key item;
    for (uint32_t i = 0; entry->has_intents && i < entry->version_count; i++) {
        if (puts_intent(&entry->versions[i], &item))
            fits &= intents_may_store(&replica->intents, intents, key_bytes(&item));
    }
    return fits;
}

/* How many of the committed entries, up to slot_max, make the next batch, and the mutations in
 * them. */
static size_t measure(const struct replica *replica, uint64_t slot_max, struct batch *batch)
{
    size_t entries = 0, bytes = 0;
    struct intents_batch intents = {0};
    LIST_FOR_EACH (node, &replica->entries) {
        const struct log_entry *entry = LIST_ITEM(node, struct log_entry, link);
        bool room = intents_may_come(replica, entry, &intents);
        bool fits = entries == 0 || (room && entries < APPLY_ENTRIES_MAX &&
                                     bytes + entry->bytes <= APPLY_BYTES_MAX);
        if (entry->slot > slot_max || !fits)
            break;
        entries++;
        bytes += entry->bytes;
        batch->count += entry->version_count;
        if (UNLIKELY(entry->flags != 0 || entry->has_marks))
            batch->changes.capacity += entry->version_count;
        batch->last_slot = entry->slot;
    }
    return entries;
}

/* Rows of other collections than the items'. */
static void count_row(struct batch *batch, const struct version *version, uint8_t collection)
{
    batch->counted = true;
    if (collection == KEY_COLLECTION_TTL) {
        batch->ttl = true;
        return;
    }
    batch->rows += version->row_change;
    if (collection > LOCAL_INDEXES_MAX) {
        batch->others += version->row_change;
        batch->puts_intents |= collection == KEY_COLLECTION_INTENT && version->row.at != NULL;
    } else {
        batch->indexes[collection - 1].count += version->row_change;
        batch->indexes[collection - 1].bytes += version->size_change;
    }
}

/* Memory for what the batch's entries keep of their changes. */
static enum status allocate_changes(struct context *ctx, struct change_batch *changes)
{
    changes->marks = arena_alloc_array(&ctx->arena, changes->capacity, sizeof(struct changes_mark));
    changes->capacity *= CHANGE_ROWS_MAX;
    changes->mutations =
        arena_alloc_array(&ctx->arena, changes->capacity, sizeof(struct tree_mutation));
    return changes->marks != NULL && changes->mutations != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status gather(struct context *ctx, const struct replica *replica, uint64_t slot_max,
                          struct batch *batch)
{
    *batch = (struct batch){0};
    size_t entries = measure(replica, slot_max, batch);
    ASSERT(entries > 0);
    batch->mutations =
        arena_alloc_array(&ctx->arena, MAX(batch->count, (size_t)1), sizeof(struct tree_mutation));
    if (batch->mutations == NULL)
        return STATUS_NO_MEMORY;
    if (UNLIKELY(batch->changes.capacity > 0))
        TRY(allocate_changes(ctx, &batch->changes));
    struct tree_mutation *to = batch->mutations;
    LIST_FOR_EACH (node, &replica->entries) {
        if (entries-- == 0)
            break;
        const struct log_entry *entry = LIST_ITEM(node, struct log_entry, link);
        batch->counted |= entry->deletes_item || entry->absent_timestamp > 0;
        for (uint32_t i = 0; i < entry->version_count; i++) {
            const struct version *version = &entry->versions[i];
            if (UNLIKELY(version->is_mark))
                continue;
            bool is_put = version->row.at != NULL;
            uint8_t collection = key_collection(version->key);
            if (LIKELY(collection == KEY_COLLECTION_ITEM)) {
                batch->item_bytes += version->size_change;
                batch->rows += version->row_change;
            } else {
                count_row(batch, version, collection);
            }
            *to++ = (struct tree_mutation){.kind = is_put ? TREE_PUT : TREE_DELETE,
                                           .key = version->key,
                                           .value = version->row};
        }
        if (UNLIKELY(entry->flags != 0 || entry->has_marks))
            TRY(changes_gather(ctx, replica, entry, &batch->changes));
    }
    batch->count = (size_t)(to - batch->mutations);
    return STATUS_OK;
}

static void add(uint64_t *to, int64_t change)
{
    uint64_t less = change < 0 ? (uint64_t)-change : 0;
    if (!EXPECT(less <= *to))
        less = *to;
    *to += (change > 0 ? (uint64_t)change : 0) - less;
}

/* What the batch changes in the counts; they are as of the applied slot, like the tree's row, in
 * which they lie with the blob. */
static void count_batch(struct replica *replica, const struct batch *batch)
{
    tree_add_item_bytes(replica->tree, batch->item_bytes);
    if (!batch->counted)
        return;
    struct replica_counts *counts = &replica->counts;
    for (uint32_t i = 0; i < LOCAL_INDEXES_MAX; i++) {
        add(&counts->indexes[i].count, batch->indexes[i].count);
        add(&counts->indexes[i].bytes, batch->indexes[i].bytes);
    }
    add(&counts->others, batch->others);
    replica->counts_saved = false;
}

/* Rows of expiries are put and removed without a look whether they are there; the tree has counted
 * them.  A checkpoint in the middle of a batch has a part of it in the tree: so where the count
 * began is in the blob before the batch is. */
static enum status begin_ttl(struct replica *replica, const struct batch *batch)
{
    struct replica_counts *counts = &replica->counts;
    if (counts->ttl_slot == 0) {
        counts->ttl_slot = batch->last_slot;
        counts->rows_before = tree_row(replica->tree).items;
        counts->rows_since = 0;
        replica->counts_saved = false;
    }
    return replica_save(replica);
}

/* After a start batches may end elsewhere: the one that was begun is over when its last slot is. */
static void count_ttl(struct replica *replica, const struct batch *batch)
{
    struct replica_counts *counts = &replica->counts;
    counts->rows_since += (uint64_t)batch->rows;
    replica->counts_saved = false;
    if (batch->last_slot < counts->ttl_slot)
        return;
    uint64_t rows = tree_row(replica->tree).items;
    add(&counts->ttl, (int64_t)(rows - counts->rows_before - counts->rows_since));
    counts->ttl_slot = counts->rows_before = counts->rows_since = 0;
}

static void forget_intents(struct replica *replica, const struct log_entry *entry)
{
    for (uint32_t i = 0; i < entry->version_count; i++) {
        struct key item;
        if (entry->versions[i].row.at == NULL && intent_key_is(entry->versions[i].key, &item))
            intents_forget(&replica->intents, key_bytes(&item), entry->slot);
    }
}

/* What transactions go by, as of one entry more. */
static void forget_transactions(struct replica *replica, const struct log_entry *entry)
{
    struct txn_effect effect = {.delete_item = entry->deletes_item,
                                .raise_absent = entry->absent_timestamp > 0,
                                .timestamp = entry->absent_timestamp};
    txn_group_apply(&replica->txn_applied, &effect, entry->slot);
    if (UNLIKELY(entry->has_intents))
        forget_intents(replica, entry);
}

/* The tree has everything up to `slot`: the overlay and the entries are no longer needed. */
static void forget(struct replica *replica, uint64_t slot)
{
    struct node *node = replica->node;
    while (!list_empty(&replica->entries)) {
        struct log_entry *entry = LIST_ITEM(replica->entries.next, struct log_entry, link);
        if (entry->slot > slot)
            break;
        for (uint32_t i = 0; i < entry->version_count; i++) {
            if (LIKELY(!entry->versions[i].is_mark))
                overlay_remove(&replica->overlay, &entry->versions[i]);
        }
        list_remove(&entry->link);
        forget_transactions(replica, entry);
        replica->applied_ballot = entry->ballot;
        replica->overlay_bytes -= entry->bytes;
        node->stats.overlay_bytes -= entry->bytes;
        node->stats.applied++;
        log_entry_free(node, entry);
    }
    if (replica->overlay_bytes < REPLICA_OVERLAY_BYTES_MAX)
        wait_queue_wake_all(&replica->room);
}

/* The tree is to have the intents that the batch puts: a start must find them, so they are listed
 * first. */
static enum status store_intents(struct replica *replica, uint64_t last_slot)
{
    LIST_FOR_EACH (node, &replica->entries) {
        const struct log_entry *entry = LIST_ITEM(node, struct log_entry, link);
        struct key item;
        if (entry->slot > last_slot)
            break;
        for (uint32_t i = 0; entry->has_intents && i < entry->version_count; i++) {
            if (puts_intent(&entry->versions[i], &item))
                TRY(intents_store(&replica->intents, key_bytes(&item), entry->slot));
        }
    }
    replica->counts_saved = false;
    return replica_save(replica);
}

/* A batch that failed may be in the tree in part: it is tried again as it was, by its last slot. */
static enum status apply_batch(struct context *ctx, struct replica *replica)
{
    struct batch batch;
    uint64_t slot_max =
        replica->apply_failed_slot != 0 ? replica->apply_failed_slot : replica->commit_slot;
    arena_reset(&ctx->arena);
    TRY(gather(ctx, replica, slot_max, &batch));
    replica->apply_failed_slot = batch.last_slot;
    if (UNLIKELY(batch.puts_intents))
        TRY(store_intents(replica, batch.last_slot));
    if (UNLIKELY(batch.ttl || replica->counts.ttl_slot > 0))
        TRY(begin_ttl(replica, &batch));
    if (BUG(ctx->env, BUG_CHANGES_BEHIND)) {
        TRY(tree_apply(ctx, replica->tree, batch.mutations, batch.count, batch.last_slot));
        count_batch(replica, &batch);
        batch.item_bytes = 0;
        batch.counted = false;
        TRY(context_sleep(ctx, BUG_BEHIND_NS));
    }
    if (UNLIKELY(batch.changes.capacity > 0))
        TRY(changes_apply(ctx, replica, &batch.changes, batch.last_slot));
    TRY(tree_apply(ctx, replica->tree, batch.mutations, batch.count, batch.last_slot));
    count_batch(replica, &batch);
    if (UNLIKELY(replica->counts.ttl_slot > 0))
        count_ttl(replica, &batch);
    replica->apply_failed_slot = 0;
    fiber_no_wait_begin(ctx);
    forget(replica, batch.last_slot);
    replica_applied(replica, batch.last_slot);
    if (UNLIKELY(batch.changes.capacity > 0))
        changes_applied(replica, &batch.changes);
    if (!replica->counts_saved)
        (void)!replica_save(replica); /* without memory, with a later one */
    fiber_no_wait_end(ctx);
    return STATUS_OK;
}

/* One batch of one replica.  A disk that is full or a lane that is busy passes; what else fails is
 * kept in memory and in the log, and tried again as well: reads of tree and overlay stay right, and
 * writers wait at the overlay's bound.  The others have their turn between two batches, and
 * meanwhile when one fails. */
static void apply_turn(struct context *ctx, struct replica *replica)
{
    enum status before = replica->apply_status;
    enum status status = apply_batch(ctx, replica);
    replica->apply_status = status;
    replica->apply_due = false;
    if (status == STATUS_OK) {
        if (before != STATUS_OK)
            (void)node_log_refused(replica->node); /* a checkpoint shortens it again */
        replica_apply_later(replica);
        return;
    }
    replica->node->stats.apply_failures++;
    if (status != before)
        log_line(ctx->env->log, LOG_ERROR, "node", "group %llu: applying its log fails: %s",
                 (unsigned long long)replica->group_id, status_text(status));
    if (replica->state == REPLICA_STARTING)
        wait_queue_wake_all(&replica->state_changed); /* its start may end with that */
    if (replica_applies(replica))
        retry_later(replica);
}

void applier_run(struct context *ctx, void *argument)
{
    struct node *node = argument;
    while (!node->closing) {
        struct list *first = list_pop_front(&node->apply_queue);
        if (first == NULL) {
            if (wait_queue_wait(ctx, &node->apply_ready) != STATUS_OK)
                break;
            continue;
        }
        struct replica *replica = LIST_ITEM(first, struct replica, apply_link);
        replica->users++;
        if (UNLIKELY(changes_trims(replica)))
            changes_trim(ctx, replica);
        if (replica_applies(replica)) {
            apply_turn(ctx, replica);
        } else {
            replica->apply_due = false;
            replica_apply_later(replica);
        }
        replica_leave(replica);
    }
    if (--node->fibers == 1)
        forest_want_checkpoint(node->forest); /* wakes the checkpointer, which ends */
    wait_queue_wake_all(&node->fibers_ended);
}
