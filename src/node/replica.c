/* replica.c - a replica's life: from its blob to a struct in the node's map, and out of it again.
 */
#include "base/assert.h"
#include "node/node_private.h"

/* The blob, little-endian:
 *   u8 format: 2 | u64 table id | u64 HLC | ballot: u64 round, u64 added, u32 node
 *   | counts: for each collection of local indexes u64 rows, u64 bytes | u64 item collections
 *   | u16 bytes, low | u16 bytes, high | the encoded configuration
 *
 * HLC, ballot and counts stand where they can be written over: replica_save.  Format 1, which is
 * still read, has no counts: they are zero. */
#define BLOB_FORMAT           2u
#define FORMAT_WITHOUT_COUNTS 1u
#define BLOB_HLC_AT           9u
#define BLOB_BALLOT_AT        17u
#define BLOB_COUNTS_AT        (BLOB_BALLOT_AT + BALLOT_BYTES)

#define BALLOT_BYTES 20u
#define COUNTS_BYTES (LOCAL_INDEXES_MAX * 16u + 8u)

static void put_ballot(uint8_t *to, struct ballot ballot)
{
    put_u64(to, ballot.round);
    put_u64(to + 8, ballot.replica.added);
    put_u32(to + 16, ballot.replica.node);
}

static void put_counts(uint8_t *to, const struct replica_counts *counts)
{
    for (uint32_t i = 0; i < LOCAL_INDEXES_MAX; i++) {
        put_u64(to + i * 16, counts->indexes[i].count);
        put_u64(to + i * 16 + 8, counts->indexes[i].bytes);
    }
    put_u64(to + LOCAL_INDEXES_MAX * 16, counts->collections);
}

static void read_counts(struct reader *r, struct replica_counts *counts)
{
    for (uint32_t i = 0; i < LOCAL_INDEXES_MAX; i++) {
        counts->indexes[i].count = read_u64(r);
        counts->indexes[i].bytes = read_u64(r);
    }
    counts->collections = read_u64(r);
}

void replica_blob_write(const struct replica_blob *blob, struct buffer *to)
{
    uint8_t number[8];
    uint8_t head[BLOB_COUNTS_AT + COUNTS_BYTES];
    head[0] = BLOB_FORMAT;
    put_u64(head + 1, blob->table_id);
    put_u64(head + BLOB_HLC_AT, blob->hlc);
    put_ballot(head + BLOB_BALLOT_AT, blob->ballot);
    put_counts(head + BLOB_COUNTS_AT, &blob->counts);
    buffer_append(to, head, sizeof(head));
    put_u16(number, (uint16_t)blob->low.count);
    buffer_append(to, number, 2);
    buffer_append_bytes(to, blob->low);
    put_u16(number, (uint16_t)blob->high.count);
    buffer_append(to, number, 2);
    buffer_append_bytes(to, blob->high);
    uint8_t configuration[PAXOS_CONFIGURATION_BYTES_MAX];
    uint32_t bytes = paxos_configuration_encode(&blob->configuration, configuration);
    buffer_append(to, configuration, bytes);
}

enum status replica_blob_read(struct bytes bytes, struct replica_blob *blob)
{
    struct reader r = reader_of(bytes);
    uint8_t format = read_u8(&r);
    if (!r.failed && format != BLOB_FORMAT && format != FORMAT_WITHOUT_COUNTS)
        return STATUS_VERSION;
    blob->counts = (struct replica_counts){0};
    blob->table_id = read_u64(&r);
    blob->hlc = read_u64(&r);
    blob->ballot.round = read_u64(&r);
    blob->ballot.replica.added = read_u64(&r);
    blob->ballot.replica.node = read_u32(&r);
    if (format == BLOB_FORMAT)
        read_counts(&r, &blob->counts);
    blob->low = read_bytes(&r, read_u16(&r));
    blob->high = read_bytes(&r, read_u16(&r));
    if (r.failed)
        return STATUS_CORRUPT;
    return paxos_configuration_decode(read_bytes(&r, reader_left(&r)), &blob->configuration);
}

struct replica *node_replica(const struct node *node, uint64_t group_id)
{
    return hash_map_find(&node->replicas, bytes_of(&group_id, sizeof(group_id)));
}

enum status replica_save(struct replica *replica)
{
    if (replica->hlc == replica->hlc_saved &&
        ballot_equal(replica->applied_ballot, replica->ballot_saved) && replica->counts_saved)
        return STATUS_OK;
    uint8_t *blob = (uint8_t *)(uintptr_t)replica->blob.at;
    put_u64(blob + BLOB_HLC_AT, replica->hlc);
    put_ballot(blob + BLOB_BALLOT_AT, replica->applied_ballot);
    put_counts(blob + BLOB_COUNTS_AT, &replica->counts);
    TRY(tree_set_blob(replica->tree, replica->blob));
    replica->hlc_saved = replica->hlc;
    replica->ballot_saved = replica->applied_ballot;
    replica->counts_saved = true;
    return STATUS_OK;
}

enum status replica_serves(const struct replica *replica)
{
    if (LIKELY(replica->state == REPLICA_SERVING))
        return STATUS_OK;
    return replica->state == REPLICA_CLOSING ? STATUS_MOVED : STATUS_UNAVAILABLE;
}

enum status replica_enter(struct node *node, uint64_t group_id, bool to_read,
                          struct replica **replica)
{
    struct replica *found = node_replica(node, group_id);
    if (UNLIKELY(found == NULL))
        return STATUS_MOVED;
    if (!(to_read && found->readable && found->state != REPLICA_CLOSING))
        TRY(replica_serves(found));
    found->users++;
    *replica = found;
    return STATUS_OK;
}

void replica_leave(struct replica *replica)
{
    ASSERT(replica->users > 0);
    if (--replica->users == 0)
        wait_queue_wake_all(&replica->unused);
}

void replica_set_state(struct replica *replica, enum replica_state state)
{
    replica->state = state;
    replica->readable |= state == REPLICA_SERVING;
    wait_queue_wake_all(&replica->state_changed);
    wait_queue_wake_all(&replica->room);
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
    replica->counts_saved = true;
    if (replica->applied_slot > 0)
        replica->recovered_last_ballot = replica->applied_ballot;
    return hash_map_insert(&node->replicas, bytes_of(&replica->group_id, sizeof(uint64_t)),
                           replica);
}

enum status replica_open(struct node *node, struct replica_id id, struct bytes bytes,
                         struct replica **opened)
{
    struct replica_blob blob;
    struct buffer encoded; /* in the newest format, whatever it was read in */
    TRY(replica_blob_read(bytes, &blob));
    struct heap *heap = node->env->heap;
    buffer_init(&encoded, heap, bytes.count + BLOB_COUNTS_AT + COUNTS_BYTES);
    replica_blob_write(&blob, &encoded);
    struct replica *replica = heap_alloc_zero(heap, sizeof(*replica));
    uint8_t *copy = encoded.failed ? NULL : heap_alloc(heap, encoded.count);
    if (replica == NULL || copy == NULL) {
        heap_free(heap, replica, sizeof(*replica));
        heap_free(heap, copy, encoded.count);
        buffer_release(&encoded);
        return STATUS_NO_MEMORY;
    }
    memcpy(copy, encoded.at, encoded.count);
    *replica = (struct replica){.node = node,
                                .group_id = id.group,
                                .id = id,
                                .table_id = blob.table_id,
                                .blob = bytes_of(copy, encoded.count),
                                .state = REPLICA_STARTING};
    buffer_release(&encoded);
    struct bytes at = bytes_after(replica->blob, BLOB_COUNTS_AT + COUNTS_BYTES);
    replica->low = bytes_of(at.at + 2, blob.low.count);
    replica->high = bytes_of(at.at + 2 + blob.low.count + 2, blob.high.count);
    overlay_init(&replica->overlay, env_random_u64(node->env));
    list_init(&replica->entries);
    list_init(&replica->promise.link);
    list_init(&replica->persisted_link);
    list_init(&replica->apply_link);
    wait_queue_init(&replica->room);
    wait_queue_init(&replica->state_changed);
    wait_queue_init(&replica->unused);
    enum status status = set_up(replica, &blob);
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
    list_remove(&replica->promise.link);
    list_remove(&replica->persisted_link);
    list_remove(&replica->apply_link);
    struct heap *heap = node->env->heap;
    heap_free(heap, (void *)(uintptr_t)replica->blob.at, replica->blob.count);
    heap_free(heap, replica, sizeof(*replica));
}
