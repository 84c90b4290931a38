/* replica.c - a replica's life: from its blob to a struct in the node's map, and out of it again.
 */
#include "base/assert.h"
#include "node/node_private.h"

/* The blob, little-endian:
 *   u8 format: 2 | u64 table id | u64 HLC | ballot: u64 round, u64 added, u32 node
 *   | counts: for each collection of local indexes u64 rows, u64 bytes | u64 further rows
 *     | u64 rows that say when items expire, u64 slot, u64 rows before, u64 rows since
 *     | u64 absent timestamp | u64 absent version
 *   | change records: u64 trimmed slot, u8 marks, u8 streams, for each mark u64 consumer, u64 slot,
 *     for each stream u8 number, u64 first, u64 last slot,
 *     u64 and u16 the last one trimmed
 *   | u16 bytes, low | u16 bytes, high | u16 bytes, the encoded configuration
 *   | the items with intents (intents.h)
 *
 * What comes before the bounds, marks as long as they are as many, stands where it can be written
 * over: replica_save. */
#define BLOB_FORMAT    2u
#define BLOB_HLC_AT    9u
#define BLOB_BALLOT_AT 17u
#define BLOB_COUNTS_AT (BLOB_BALLOT_AT + BALLOT_BYTES)

#define BALLOT_BYTES     20u
#define COUNTS_BYTES     (LOCAL_INDEXES_MAX * 16u + 56u)
#define BLOB_CHANGES_AT  (BLOB_COUNTS_AT + COUNTS_BYTES)
#define CHANGES_BYTES    (8u + 2u)
#define MARK_BYTES       16u
#define SPAN_BYTES       27u
#define NO_INTENTS_BYTES 4u /* of their count */
#define CHANGES_BYTES_MAX                                                                          \
    (CHANGES_BYTES + CHANGES_MARKS_MAX * MARK_BYTES + CHANGES_SPANS_MAX * SPAN_BYTES)

_Static_assert(BLOB_CHANGES_AT + CHANGES_BYTES_MAX + 2 + KEY_ITEM_BYTES_MAX + 2 +
                       KEY_ITEM_BYTES_MAX + PAXOS_CONFIGURATION_BYTES_MAX + 2 +
                       INTENTS_KEY_BYTES_MAX + INTENTS_MAX * 2 + NO_INTENTS_BYTES <=
                   FOREST_ROW_BLOB_BYTES_MAX,
               "a blob fits in the directory");

static void put_ballot(uint8_t *to, struct ballot ballot)
{
    put_u64(to, ballot.round);
    put_u64(to + 8, ballot.replica.added);
    put_u32(to + 16, ballot.replica.node);
}

static void put_counts(uint8_t *to, const struct replica_counts *counts,
                       const struct txn_group *txn)
{
    for (uint32_t i = 0; i < LOCAL_INDEXES_MAX; i++) {
        put_u64(to + i * 16, counts->indexes[i].count);
        put_u64(to + i * 16 + 8, counts->indexes[i].bytes);
    }
    put_u64(to + LOCAL_INDEXES_MAX * 16, counts->others);
    to += LOCAL_INDEXES_MAX * 16 + 8;
    put_u64(to, counts->ttl);
    put_u64(to + 8, counts->ttl_slot);
    put_u64(to + 16, counts->rows_before);
    put_u64(to + 24, counts->rows_since);
    put_u64(to + 32, txn->absent_timestamp);
    put_u64(to + 40, txn->absent_version);
}

static void read_counts(struct reader *r, struct replica_counts *counts, struct txn_group *txn)
{
    for (uint32_t i = 0; i < LOCAL_INDEXES_MAX; i++) {
        counts->indexes[i].count = read_u64(r);
        counts->indexes[i].bytes = read_u64(r);
    }
    counts->others = read_u64(r);
    counts->ttl = read_u64(r);
    counts->ttl_slot = read_u64(r);
    counts->rows_before = read_u64(r);
    counts->rows_since = read_u64(r);
    txn->absent_timestamp = read_u64(r);
    txn->absent_version = read_u64(r);
}

static uint32_t mark_count(const struct changes_marks *marks)
{
    return marks == NULL ? 0 : marks->count;
}

static uint32_t span_count(const struct changes_marks *marks)
{
    return marks == NULL ? 0 : marks->span_count;
}

static uint32_t put_changes(uint8_t *to, uint64_t trimmed_slot, const struct changes_marks *marks)
{
    uint8_t *at = to + CHANGES_BYTES;
    put_u64(to, trimmed_slot);
    to[8] = (uint8_t)mark_count(marks);
    to[9] = (uint8_t)span_count(marks);
    for (uint32_t i = 0; i < mark_count(marks); i++, at += MARK_BYTES) {
        put_u64(at, marks->at[i].consumer);
        put_u64(at + 8, marks->at[i].slot);
    }
    for (uint32_t i = 0; i < span_count(marks); i++, at += SPAN_BYTES) {
        at[0] = marks->spans[i].stream;
        put_u64(at + 1, marks->spans[i].first_slot);
        put_u64(at + 9, marks->spans[i].last_slot);
        put_u64(at + 17, marks->spans[i].trimmed.slot);
        put_u16(at + 25, marks->spans[i].trimmed.number);
    }
    return (uint32_t)(at - to);
}

static void read_changes(struct reader *r, struct replica_blob *blob)
{
    blob->trimmed_slot = read_u64(r);
    blob->marks.count = read_u8(r);
    blob->marks.span_count = read_u8(r);
    if (blob->marks.count > CHANGES_MARKS_MAX || blob->marks.span_count > CHANGES_SPANS_MAX)
        r->failed = true;
    for (uint32_t i = 0; i < blob->marks.count && !r->failed; i++) {
        blob->marks.at[i].consumer = read_u64(r);
        blob->marks.at[i].slot = read_u64(r);
    }
    for (uint32_t i = 0; i < blob->marks.span_count && !r->failed; i++) {
        struct changes_span *span = &blob->marks.spans[i];
        span->stream = read_u8(r);
        span->first_slot = read_u64(r);
        span->last_slot = read_u64(r);
        span->trimmed.slot = read_u64(r);
        span->trimmed.number = read_u16(r);
    }
}

void replica_blob_write(const struct replica_blob *blob, struct buffer *to)
{
    uint8_t head[BLOB_CHANGES_AT + CHANGES_BYTES_MAX];
    head[0] = BLOB_FORMAT;
    put_u64(head + 1, blob->table_id);
    put_u64(head + BLOB_HLC_AT, blob->hlc);
    put_ballot(head + BLOB_BALLOT_AT, blob->ballot);
    put_counts(head + BLOB_COUNTS_AT, &blob->counts, &blob->txn);
    uint32_t changes = put_changes(head + BLOB_CHANGES_AT, blob->trimmed_slot, &blob->marks);
    buffer_append(to, head, BLOB_CHANGES_AT + changes);
    buffer_append_text(to, blob->low);
    buffer_append_text(to, blob->high);
    uint8_t configuration[PAXOS_CONFIGURATION_BYTES_MAX];
    uint32_t bytes = paxos_configuration_encode(&blob->configuration, configuration);
    buffer_append_text(to, bytes_of(configuration, bytes));
    buffer_append_u32(to, 0); /* NO_INTENTS_BYTES */
}

enum status replica_blob_read(struct bytes bytes, struct replica_blob *blob)
{
    struct reader r = reader_of(bytes);
    uint8_t format = read_u8(&r);
    if (!r.failed && format != BLOB_FORMAT)
        return STATUS_VERSION;
    blob->table_id = read_u64(&r);
    blob->hlc = read_u64(&r);
    blob->ballot.round = read_u64(&r);
    blob->ballot.replica.added = read_u64(&r);
    blob->ballot.replica.node = read_u32(&r);
    read_counts(&r, &blob->counts, &blob->txn);
    read_changes(&r, blob);
    blob->low = read_text(&r);
    blob->high = read_text(&r);
    struct bytes configuration = read_text(&r);
    if (r.failed)
        return STATUS_CORRUPT;
    TRY(intents_check_list(read_bytes(&r, reader_left(&r)), &blob->intent_count, &blob->intents));
    return paxos_configuration_decode(configuration, &blob->configuration);
}

struct replica *node_replica(const struct node *node, uint64_t group_id)
{
    return hash_map_find(&node->replicas, bytes_of(&group_id, sizeof(group_id)));
}

/* Take the bytes of a blob. */
static enum status take_blob(struct replica *replica, struct bytes bytes)
{
    struct heap *heap = replica->node->env->heap;
    uint8_t *copy = heap_alloc(heap, bytes.count);
    if (copy == NULL)
        return STATUS_NO_MEMORY;
    memcpy(copy, bytes.at, bytes.count);
    heap_free(heap, (void *)(uintptr_t)replica->blob.at, replica->blob.count);
    replica->blob = bytes_of(copy, bytes.count);
    return STATUS_OK;
}

/* Make the blob anew, for another number of marks. */
static enum status remake_blob(struct replica *replica)
{
    struct replica_blob blob;
    struct buffer bytes;
    TRY(replica_blob_read(replica->blob, &blob));
    if (replica->changes.marks != NULL)
        blob.marks = *replica->changes.marks;
    buffer_init(&bytes, replica->node->env->heap, FOREST_ROW_BLOB_BYTES_MAX);
    replica_blob_write(&blob, &bytes);
    enum status status = bytes.failed ? STATUS_NO_MEMORY : take_blob(replica, buffer_bytes(&bytes));
    buffer_release(&bytes);
    return status;
}

/* The blob as it is here, with a list of the intents. */
static enum status set_blob(struct replica *replica)
{
    if (LIKELY(replica->intents.stored.live == 0))
        return tree_set_blob(replica->tree, replica->blob);
    struct buffer whole;
    buffer_init(&whole, replica->node->env->heap, FOREST_ROW_BLOB_BYTES_MAX);
    buffer_append(&whole, replica->blob.at, replica->blob.count - NO_INTENTS_BYTES);
    intents_write_list(&replica->intents, &whole);
    enum status status =
        whole.failed ? STATUS_NO_MEMORY : tree_set_blob(replica->tree, buffer_bytes(&whole));
    buffer_release(&whole);
    return status;
}

enum status replica_save(struct replica *replica)
{
    if (replica->hlc == replica->hlc_saved &&
        ballot_equal(replica->applied_ballot, replica->ballot_saved) && replica->counts_saved)
        return STATUS_OK;
    const struct changes_marks *marks = replica->changes.marks;
    const uint8_t *counts = replica->blob.at + BLOB_CHANGES_AT + 8;
    if (counts[0] != mark_count(marks) || counts[1] != span_count(marks))
        TRY(remake_blob(replica));
    uint8_t *blob = (uint8_t *)(uintptr_t)replica->blob.at;
    (void)put_changes(blob + BLOB_CHANGES_AT, replica->changes.trimmed_slot, marks);
    put_u64(blob + BLOB_HLC_AT, replica->hlc);
    put_ballot(blob + BLOB_BALLOT_AT, replica->applied_ballot);
    put_counts(blob + BLOB_COUNTS_AT, &replica->counts, &replica->txn_applied);
    TRY(set_blob(replica));
    replica->hlc_saved = replica->hlc;
    replica->ballot_saved = replica->applied_ballot;
    replica->counts_saved = true;
    return STATUS_OK;
}

enum status replica_serves(const struct replica *replica)
{
    if (LIKELY(replica->state == REPLICA_SERVING))
        return STATUS_OK;
    return replica->state >= REPLICA_RETIRED ? STATUS_MOVED : STATUS_UNAVAILABLE;
}

enum status replica_enter(struct node *node, uint64_t group_id, bool to_read,
                          struct replica **replica)
{
    struct replica *found = node_replica(node, group_id);
    if (UNLIKELY(found == NULL))
        return STATUS_MOVED;
    if (!(to_read && found->readable && found->state < REPLICA_RETIRED))
        TRY(replica_serves(found));
    found->users++;
    *replica = found;
    return STATUS_OK;
}

void replica_leave(struct replica *replica)
{
    ASSERT(replica->users > 0);
    if (--replica->users == 0 || UNLIKELY(replica->state == REPLICA_RETIRED))
        wait_queue_wake_all(&replica->unused);
}

enum status replica_enter_changes(struct node *node, uint64_t group_id, struct replica **replica)
{
    struct replica *found = node_replica(node, group_id);
    if (found == NULL || found->state != REPLICA_RETIRED) {
        TRY(replica_enter(node, group_id, true, &found));
    } else {
        found->users++;
    }
    found->change_users++;
    *replica = found;
    return STATUS_OK;
}

void replica_leave_changes(struct replica *replica)
{
    ASSERT(replica->change_users > 0);
    replica->change_users--;
    replica_leave(replica);
}

void replica_set_state(struct replica *replica, enum replica_state state)
{
    replica->state = state;
    replica->readable |= state == REPLICA_SERVING;
    wait_queue_wake_all(&replica->state_changed);
    wait_queue_wake_all(&replica->room);
    wait_queue_wake_all(&replica->changes.newer);
    wait_queue_wake_all(&replica->unused);
    if (state == REPLICA_FAILED || state == REPLICA_CLOSING) {
        LIST_FOR_EACH (node, &replica->entries)
            wait_queue_wake_all(&LIST_ITEM(node, struct log_entry, link)->committed);
    }
}

static enum status set_up(struct replica *replica, const struct replica_blob *blob)
{
    struct node *node = replica->node;
    TRY(paxos_init(&replica->paxos, replica->id, &blob->configuration));
    replica->tree = forest_tree(node->forest, replica->id);
    if (replica->tree == NULL)
        TRY(tree_create(node->forest, replica->id, replica->blob, &replica->tree));
    replica->applied_slot = replica->commit_slot = tree_row(replica->tree).applied;
    replica->recovered_last_slot = replica->applied_slot;
    replica->hlc = replica->hlc_saved = blob->hlc;
    replica->applied_ballot = blob->ballot;
    replica->applied_ballot.replica.group = blob->ballot.round > 0 ? replica->group_id : 0;
    replica->ballot_saved = replica->applied_ballot;
    replica->counts = blob->counts;
    TRY(changes_restore(replica, blob->trimmed_slot, &blob->marks));
    replica->counts_saved = true;
    replica->has_others = blob->counts.others > 0;
    replica->txn = replica->txn_applied = blob->txn;
    enum status listed = intents_read_list(&replica->intents, blob->intents, blob->intent_count);
    node->stats.intents += intents_count(&replica->intents);
    TRY(listed);
    if (replica->applied_slot > 0)
        replica->recovered_last_ballot = replica->applied_ballot;
    return hash_map_insert(&node->replicas, bytes_of(&replica->group_id, sizeof(uint64_t)),
                           replica);
}

enum status replica_open(struct node *node, struct replica_id id, struct bytes bytes,
                         struct replica **opened)
{
    struct replica_blob blob;
    TRY(replica_blob_read(bytes, &blob));
    struct heap *heap = node->env->heap;
    struct replica *replica = heap_alloc_zero(heap, sizeof(*replica));
    if (replica == NULL)
        return STATUS_NO_MEMORY;
    *replica = (struct replica){.node = node,
                                .group_id = id.group,
                                .id = id,
                                .table_id = blob.table_id,
                                .state = REPLICA_STARTING};
    changes_init(replica);
    overlay_init(&replica->overlay, env_random_u64(node->env));
    intents_init(&replica->intents, heap, env_random_u64(node->env));
    list_init(&replica->entries);
    list_init(&replica->holds);
    list_init(&replica->promise.link);
    list_init(&replica->persisted_link);
    list_init(&replica->apply_link);
    wait_queue_init(&replica->room);
    wait_queue_init(&replica->state_changed);
    wait_queue_init(&replica->unused);
    /* Without its intents: see set_blob. */
    struct buffer encoded;
    buffer_init(&encoded, heap, FOREST_ROW_BLOB_BYTES_MAX);
    replica_blob_write(&blob, &encoded);
    enum status status =
        encoded.failed ? STATUS_NO_MEMORY : take_blob(replica, buffer_bytes(&encoded));
    buffer_release(&encoded);
    if (status == STATUS_OK)
        status = set_up(replica, &blob);
    if (status != STATUS_OK) {
        replica_free(replica);
        return status;
    }
    node->stats.replicas++;
    *opened = replica;
    return STATUS_OK;
}

void replica_free(struct replica *replica)
{
    struct node *node = replica->node;
    if (hash_map_remove(&node->replicas, bytes_of(&replica->group_id, sizeof(uint64_t))) != NULL)
        node->stats.replicas--;
    struct list *first;
    while ((first = list_pop_front(&replica->entries)) != NULL) {
        struct log_entry *entry = LIST_ITEM(first, struct log_entry, link);
        node->stats.overlay_bytes -= entry->bytes;
        log_entry_free(node, entry);
    }
    node->stats.intents -= intents_count(&replica->intents);
    intents_release(&replica->intents);
    list_remove(&replica->promise.link);
    list_remove(&replica->persisted_link);
    list_remove(&replica->apply_link);
    changes_release(replica);
    holds_release(replica);
    struct heap *heap = node->env->heap;
    heap_free(heap, (void *)(uintptr_t)replica->blob.at, replica->blob.count);
    heap_free(heap, replica, sizeof(*replica));
}
