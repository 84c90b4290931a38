/* replica.c - a replica's life: from its blob to a struct in the node's map, and out of it again.
 */
#include "base/assert.h"
#include "node/node_private.h"

/* The blob, little-endian:
 *   u8 format: 1 | u64 table id | u16 bytes, low | u16 bytes, high | the encoded configuration */
#define BLOB_FORMAT 1u

void replica_blob_write(const struct replica_blob *blob, struct buffer *to)
{
    uint8_t number[8];
    buffer_append_u8(to, BLOB_FORMAT);
    put_u64(number, blob->table_id);
    buffer_append(to, number, 8);
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
    if (!r.failed && format != BLOB_FORMAT)
        return STATUS_VERSION;
    blob->table_id = read_u64(&r);
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

enum status replica_enter(struct node *node, uint64_t group_id, struct replica **replica)
{
    struct replica *found = node_replica(node, group_id);
    if (found == NULL || found->state == REPLICA_CLOSING)
        return STATUS_MOVED;
    if (found->state != REPLICA_SERVING)
        return STATUS_UNAVAILABLE;
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
    uint8_t *copy = heap_alloc(heap, bytes.count);
    if (replica == NULL || copy == NULL) {
        heap_free(heap, replica, sizeof(*replica));
        heap_free(heap, copy, bytes.count);
        return STATUS_NO_MEMORY;
    }
    memcpy(copy, bytes.at, bytes.count);
    *replica = (struct replica){.node = node,
                                .group_id = id.group,
                                .id = id,
                                .table_id = blob.table_id,
                                .blob = bytes_of(copy, bytes.count),
                                .state = REPLICA_STARTING};
    replica->low = bytes_of(copy + (blob.low.at - bytes.at), blob.low.count);
    replica->high = bytes_of(copy + (blob.high.at - bytes.at), blob.high.count);
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
