/* propose.c - from a finished payload to a committed entry: the shell around one group's protocol
 * core. */
#include "base/assert.h"
#include "env/bugs.h"
#include "node/node_private.h"

static void replica_fail(struct replica *replica, enum status why);

/* ---- Entries ---- */

static size_t versions_bytes(uint32_t count)
{
    return count * sizeof(struct version);
}

struct log_entry *log_entry_new(struct node *node, size_t payload_bytes, uint32_t version_count)
{
    size_t bytes = sizeof(struct log_entry) + versions_bytes(version_count) + payload_bytes;
    struct log_entry *entry = heap_alloc(node->env->heap, bytes);
    if (entry == NULL)
        return NULL;
    *entry = (struct log_entry){.bytes = bytes, .version_count = version_count};
    entry->payload = bytes_of(log_entry_payload(entry), payload_bytes);
    list_init(&entry->link);
    list_init(&entry->unsynced.link);
    wait_queue_init(&entry->committed);
    return entry;
}

uint8_t *log_entry_payload(struct log_entry *entry)
{
    return (uint8_t *)entry->versions + versions_bytes(entry->version_count);
}

void log_entry_free(struct node *node, struct log_entry *entry)
{
    ASSERT(wait_queue_empty(&entry->committed));
    list_remove(&entry->unsynced.link);
    heap_free(node->env->heap, entry, entry->bytes);
}

/* What the entry changes of that which transactions go by.  Intents that it puts are in the index
 * already. */
static void note_transactions(struct replica *replica, const struct log_entry *entry)
{
    struct txn_effect effect = {.delete_item = entry->deletes_item,
                                .raise_absent = entry->absent_timestamp > 0,
                                .timestamp = entry->absent_timestamp};
    txn_group_apply(&replica->txn, &effect, entry->slot);
    if (LIKELY(!entry->has_intents))
        return;
    uint32_t before = intents_count(&replica->intents);
    for (uint32_t i = 0; i < entry->version_count; i++) {
        struct key item;
        if (entry->versions[i].row.at == NULL && intent_key_is(entry->versions[i].key, &item))
            intents_remove(&replica->intents, key_bytes(&item));
    }
    replica->node->stats.intents -= before - intents_count(&replica->intents);
}

void replica_accept(struct replica *replica, struct log_entry *entry)
{
    list_push_back(&replica->entries, &entry->link);
    replica->overlay_bytes += entry->bytes;
    replica->node->stats.overlay_bytes += entry->bytes;
    if (paxos_is_barrier(entry->payload))
        return;
    entry->flags = entry_flags(entry->payload);
    struct entry_header header;
    entry_header_read(entry->payload, &header);
    entry->absent_timestamp = header.absent_timestamp;
    entry->has_intents = header.intents != 0;
    struct mutation_walk walk = mutation_walk_of(entry->payload);
    struct mutation mutation;
    for (uint32_t i = 0; i < entry->version_count; i++) {
        bool found = mutation_next(&walk, &mutation);
        ASSERT(found);
        struct version *version = &entry->versions[i];
        *version = (struct version){
            .key = mutation.key, .slot = entry->slot, .size_change = mutation.size_change};
        if (UNLIKELY(mutation.kind == MUTATION_MARK)) {
            version->is_mark = entry->has_marks = true;
            continue;
        }
        if (mutation.kind == MUTATION_PUT)
            version->row = mutation.row;
        version->row_change = mutation.kind == MUTATION_DELETE ? -1 : (int8_t)mutation.is_new;
        overlay_insert(&replica->overlay, version);
        uint8_t collection = key_collection(mutation.key);
        replica->has_others |= collection >= KEY_COLLECTION_INTENT;
        entry->deletes_item |=
            mutation.kind == MUTATION_DELETE && collection == KEY_COLLECTION_ITEM;
    }
    note_transactions(replica, entry);
}

/* ---- Carrying out updates ---- */

static void wait_for_sync(struct replica *replica, struct unsynced *unsynced, struct lsn lsn)
{
    unsynced->lsn = lsn;
    unsynced->replica = replica;
    list_push_back(&replica->node->unsynced, &unsynced->link);
}

static enum status append_entry(struct replica *replica, struct log_entry *entry, bool urgent)
{
    struct wal_record record = {.type = WAL_ENTRY,
                                .urgent = urgent,
                                .replica = replica->id,
                                .slot = entry->slot,
                                .ballot = entry->ballot,
                                .payload = entry->payload};
    TRY(wal_append(replica->node->wal, &record, &entry->lsn));
    node_log_grew(replica->node);
    wait_for_sync(replica, &entry->unsynced, entry->lsn);
    replica->node->stats.proposals++;
    replica_accept(replica, entry);
    return STATUS_OK;
}

static enum status append_promise(struct replica *replica, struct ballot promised)
{
    struct wal_record record = {
        .type = WAL_PROMISE, .urgent = true, .replica = replica->id, .ballot = promised};
    struct lsn lsn;
    TRY(wal_append(replica->node->wal, &record, &lsn));
    node_log_grew(replica->node);
    replica->promise.is_promise = true;
    replica->promised = promised;
    wait_for_sync(replica, &replica->promise, lsn);
    return STATUS_OK;
}

/* The entry that the core appends by itself: a barrier. */
static enum status append_barrier(struct replica *replica, const struct paxos_entries *append)
{
    ASSERT(paxos_is_barrier(append->payload));
    struct log_entry *entry = log_entry_new(replica->node, 0, 0);
    if (entry == NULL)
        return STATUS_NO_MEMORY;
    entry->slot = append->first_slot;
    entry->ballot = append->ballot;
    entry->proposed_ns = env_now_ns(replica->node->env);
    enum status status = append_entry(replica, entry, true);
    if (status != STATUS_OK)
        log_entry_free(replica->node, entry);
    return status;
}

static void wake_committed(struct replica *replica, uint64_t commit_slot)
{
    uint64_t now_ns = env_now_ns(replica->node->env);
    /* What is committed already may be many entries that wait for the apply: begin behind them. */
    struct list *node = replica->entries.prev;
    while (node != &replica->entries &&
           LIST_ITEM(node, struct log_entry, link)->slot > replica->commit_slot)
        node = node->prev;
    for (node = node->next; node != &replica->entries; node = node->next) {
        struct log_entry *entry = LIST_ITEM(node, struct log_entry, link);
        if (entry->slot > commit_slot)
            break;
        if (entry->proposed_ns > 0)
            histogram_record(&replica->node->stats.commit_ns, now_ns - entry->proposed_ns);
        replica->node->stats.commits++;
        wait_queue_wake_all(&entry->committed);
    }
    replica->commit_slot = commit_slot;
    replica_apply_later(replica);
}

static void carry_out(struct replica *replica, const struct paxos_update *update)
{
    enum status status = STATUS_OK;
    if (update->persist_promise)
        status = append_promise(replica, update->promised);
    if (status == STATUS_OK && update->append.count > 0)
        status = append_barrier(replica, &update->append);
    if (status != STATUS_OK) {
        replica_fail(replica, status);
        return;
    }
    if (update->commit_slot > replica->commit_slot)
        wake_committed(replica, update->commit_slot);
    if (update->serving && replica->state == REPLICA_STARTING)
        replica_set_state(replica, REPLICA_SERVING);
}

void replica_step(struct replica *replica, const struct paxos_event *event)
{
    struct paxos_update update;
    enum status status = paxos_step(&replica->paxos, event, &update);
    if (status != STATUS_OK) {
        replica_fail(replica, status);
        return;
    }
    carry_out(replica, &update);
}

/* The log did not take the entry that was just proposed. */
static void take_back(struct replica *replica, uint64_t slot)
{
    struct paxos_event event = {
        .now_ns = env_now_ns(replica->node->env), .type = PAXOS_REFUSED, .refused = {.slot = slot}};
    struct paxos_update update;
    enum status status = paxos_step(&replica->paxos, &event, &update);
    ASSERT(status == STATUS_OK);
}

enum status replica_propose(struct replica *replica, struct log_entry *entry, bool urgent)
{
    struct node *node = replica->node;
    struct paxos_event event = {.now_ns = env_now_ns(node->env),
                                .type = PAXOS_PROPOSE,
                                .propose = {.payload = entry->payload}};
    struct paxos_update update;
    enum status status = paxos_step(&replica->paxos, &event, &update);
    if (status == STATUS_OK) {
        ASSERT(update.append.count == 1 && !update.persist_promise);
        entry->slot = update.append.first_slot;
        entry->ballot = update.append.ballot;
        entry->proposed_ns = event.now_ns;
        status = append_entry(replica, entry, urgent);
        if (status != STATUS_OK)
            take_back(replica, entry->slot);
    }
    if (status != STATUS_OK)
        log_entry_free(node, entry);
    return status;
}

void replica_start(struct replica *replica)
{
    /* When the tree holds all entries and the log none, the log still has the newest promise: in a
     * group of one each entry was accepted in a ballot that was promised then, and nobody compares
     * the last one. */
    if (replica->recovered_last_slot > 0 && replica->recovered_last_ballot.round == 0)
        replica->recovered_last_ballot = replica->promised;
    struct paxos_event event = {.now_ns = env_now_ns(replica->node->env),
                                .type = PAXOS_START,
                                .start = {.promised = replica->promised,
                                          .last_slot = replica->recovered_last_slot,
                                          .last_ballot = replica->recovered_last_ballot,
                                          .commit_slot = replica->applied_slot,
                                          .applied_slot = replica->applied_slot}};
    replica_step(replica, &event);
}

void replica_applied(struct replica *replica, uint64_t slot)
{
    replica->applied_slot = slot;
    struct paxos_event event = {
        .now_ns = env_now_ns(replica->node->env), .type = PAXOS_APPLIED, .applied = {.slot = slot}};
    replica_step(replica, &event);
}

/* ---- What the log says ---- */

/* Gather, for each replica, how far its log is synced now; one event per replica and batch. */
static void on_durable(void *owner, struct lsn durable)
{
    struct node *node = owner;
    while (!list_empty(&node->unsynced)) {
        struct unsynced *unsynced = LIST_ITEM(node->unsynced.next, struct unsynced, link);
        if (!lsn_before(unsynced->lsn, durable))
            break;
        list_remove(&unsynced->link);
        struct replica *replica = unsynced->replica;
        if (unsynced->is_promise) {
            struct paxos_event event = {.now_ns = env_now_ns(node->env),
                                        .type = PAXOS_PERSISTED,
                                        .persisted = {.ballot = replica->promised}};
            replica_step(replica, &event);
            continue;
        }
        struct log_entry *entry = CONTAINER_OF(unsynced, struct log_entry, unsynced);
        replica->persisted_slot = entry->slot;
        replica->persisted_ballot = entry->ballot;
        if (!replica->persisted_due) {
            replica->persisted_due = true;
            list_push_back(&node->persisted, &replica->persisted_link);
        }
    }
    struct list *first;
    while ((first = list_pop_front(&node->persisted)) != NULL) {
        struct replica *replica = LIST_ITEM(first, struct replica, persisted_link);
        replica->persisted_due = false;
        struct paxos_event event = {.now_ns = env_now_ns(node->env),
                                    .type = PAXOS_PERSISTED,
                                    .persisted = {.ballot = replica->paxos.ballot,
                                                  .last_slot = replica->persisted_slot,
                                                  .last_ballot = replica->persisted_ballot}};
        replica_step(replica, &event);
    }
    wait_queue_wake_all(&node->log_room);
}

/* Who waits for the commit of what the log holds in memory is told that its outcome is unknown. */
static void give_up_waiting(struct node *node)
{
    uint32_t position = 0;
    struct replica *replica;
    node->stalled = true;
    log_line(node->env->log, LOG_ERROR, "node",
             "the disk is full, the log's reserve too: what waits to be written may be lost");
    while ((replica = hash_map_next(&node->replicas, &position)) != NULL) {
        LIST_FOR_EACH (link, &replica->entries)
            wait_queue_wake_all(&LIST_ITEM(link, struct log_entry, link)->committed);
        wait_queue_wake_all(&replica->state_changed); /* a start ends */
    }
    wait_queue_wake_all(&node->log_room);
}

void stall_timer_fire(struct env_timer *timer)
{
    struct node *node = CONTAINER_OF(timer, struct node, stall_timer);
    if (!wal_stalled(node->wal))
        node->stalled = false;
    else if (!node->stalled)
        give_up_waiting(node);
    node_log_is_full(node);
    env_timer_start(node->env, &node->stall_timer, STALL_NS);
}

static void on_state(void *owner, enum wal_state state)
{
    struct node *node = owner;
    env_timer_stop(node->env, &node->stall_timer);
    node->stalled = false;
    if (state == WAL_NO_SPACE) {
        log_line(
            node->env->log, LOG_ERROR, "node",
            "the disk is full: writes are refused, but for deletes, until there is space again");
        env_timer_start(node->env, &node->stall_timer, STALL_NS);
        node_log_is_full(node);
        return;
    }
    wait_queue_wake_all(&node->log_room);
    if (state == WAL_OK) {
        log_line(node->env->log, LOG_INFO, "node", "the log takes writes again");
        return;
    }
    log_line(node->env->log, LOG_ERROR, "node",
             "the log failed (%s): no write is acknowledged by this process any more",
             status_text(wal_status(node->wal)));
    uint32_t position = 0;
    struct replica *replica;
    while ((replica = hash_map_next(&node->replicas, &position)) != NULL)
        replica_fail(replica, wal_status(node->wal));
}

const struct wal_events node_wal_events = {
    .on_durable = on_durable,
    .on_state = on_state,
    .on_record = node_on_record,
};

/* The replica gives up its place; whoever waits for a commit learns that the outcome is unknown. */
static void replica_fail(struct replica *replica, enum status why)
{
    if (replica->state == REPLICA_CLOSING)
        replica_set_state(replica, REPLICA_CLOSING); /* wakes who waits in it */
    if (replica->state == REPLICA_FAILED || replica->state == REPLICA_CLOSING)
        return;
    log_line(replica->node->env->log, LOG_ERROR, "node", "group %llu stops serving: %s",
             (unsigned long long)replica->group_id, status_text(why));
    replica_set_state(replica, REPLICA_FAILED);
    struct paxos_update update;
    struct paxos_event stop = {.now_ns = env_now_ns(replica->node->env), .type = PAXOS_STOP};
    (void)!paxos_step(&replica->paxos, &stop, &update);
}

enum status replica_wait_commit(struct context *ctx, struct replica *replica, uint64_t slot)
{
    while (replica->commit_slot < slot && !BUG(ctx->env, BUG_ACK_BEFORE_COMMIT)) {
        /* One that closes still commits what it has accepted. */
        bool lost = replica->state == REPLICA_FAILED || wal_state(replica->node->wal) == WAL_FAILED;
        if (lost || replica->node->stalled) {
            replica->node->stats.unknown_outcomes++;
            return STATUS_UNKNOWN_OUTCOME;
        }
        /* Entries above the commit slot stay in the list; the newest are at its end. */
        struct list *at = replica->entries.prev;
        while (at != &replica->entries && LIST_ITEM(at, struct log_entry, link)->slot > slot)
            at = at->prev;
        ASSERT(at != &replica->entries);
        struct log_entry *entry = LIST_ITEM(at, struct log_entry, link);
        ASSERT(entry->slot == slot);
        if (wait_queue_wait(ctx, &entry->committed) != STATUS_OK) {
            replica->node->stats.unknown_outcomes += !ctx->cancelled; /* nobody asks any more */
            return STATUS_UNKNOWN_OUTCOME;
        }
    }
    return STATUS_OK;
}
