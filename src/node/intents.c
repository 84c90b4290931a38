#include "node/intents.h"

#include "base/assert.h"

#define COUNT_BYTES 4u
#define HEAD_BYTES  2u

struct stored_intent {
    struct bytes item; /* encoded key, behind this struct */
    uint64_t slot;     /* of the newest entry that puts it; 0: from the blob */
};

void intents_init(struct intents *intents, struct heap *heap, uint64_t seed)
{
    *intents = (struct intents){0};
    hash_map_init(&intents->by_item, heap, INTENTS_MAX, seed);
    hash_map_init(&intents->stored, heap, INTENTS_MAX, seed);
}

static void drop_held(struct intents *intents, struct held_intent *held)
{
    void *removed = hash_map_remove(&intents->by_item, held->item);
    ASSERT(removed == held);
    intents->key_bytes -= held->item.count;
    heap_free(intents->by_item.heap, held, sizeof(*held) + held->item.count);
}

static void drop_stored(struct intents *intents, struct stored_intent *stored)
{
    void *removed = hash_map_remove(&intents->stored, stored->item);
    ASSERT(removed == stored);
    intents->stored_key_bytes -= stored->item.count;
    heap_free(intents->stored.heap, stored, sizeof(*stored) + stored->item.count);
}

void intents_release(struct intents *intents)
{
    uint32_t position = 0;
    struct held_intent *held;
    struct stored_intent *stored;
    while ((held = hash_map_next(&intents->by_item, &position)) != NULL)
        drop_held(intents, held);
    position = 0;
    while ((stored = hash_map_next(&intents->stored, &position)) != NULL)
        drop_stored(intents, stored);
    hash_map_release(&intents->by_item);
    hash_map_release(&intents->stored);
}

struct held_intent *intents_find(const struct intents *intents, struct bytes item)
{
    return hash_map_find(&intents->by_item, item);
}

bool intents_fit(const struct intents *intents, uint32_t count, size_t key_bytes)
{
    return intents->by_item.live + count <= INTENTS_MAX &&
           intents->key_bytes + key_bytes <= INTENTS_KEY_BYTES_MAX; /* (1) */
}

/* A zeroed struct of `bytes` with the key behind it, at `item`, in the map. */
static enum status insert(struct hash_map *map, size_t bytes, struct bytes item, void **made,
                          struct bytes *copy)
{
    uint8_t *memory = heap_alloc_zero(map->heap, bytes + item.count);
    if (memory == NULL)
        return STATUS_NO_MEMORY;
    memcpy(memory + bytes, item.at, item.count);
    *copy = bytes_of(memory + bytes, item.count);
    enum status status = hash_map_insert(map, *copy, memory);
    if (status != STATUS_OK)
        heap_free(map->heap, memory, bytes + item.count);
    else
        *made = memory;
    return status;
}

static enum status hold(struct intents *intents, struct bytes item, struct held_intent **held)
{
    void *made;
    struct bytes copy;
    if (!intents_fit(intents, 1, item.count))
        return STATUS_BUSY;
    TRY(insert(&intents->by_item, sizeof(**held), item, &made, &copy));
    *held = made;
    (*held)->item = copy;
    intents->key_bytes += item.count;
    return STATUS_OK;
}

enum status intents_add(struct intents *intents, struct bytes item, const struct intent *intent,
                        uint64_t nudge_ns)
{
    struct held_intent *held = intents_find(intents, item);
    if (held == NULL)
        TRY(hold(intents, item, &held));
    held->is_read = true;
    held->id = intent->id;
    held->kind = intent->kind;
    held->timestamp = intent->timestamp;
    held->of_version = intent->of_version;
    held->nudge_ns = nudge_ns;
    return STATUS_OK;
}

void intents_remove(struct intents *intents, struct bytes item)
{
    struct held_intent *held = intents_find(intents, item);
    if (held != NULL)
        drop_held(intents, held);
}

/* ---- What the tree has ---- */

bool intents_may_store(const struct intents *intents, struct intents_batch *batch,
                       struct bytes item)
{
    if (hash_map_find(&intents->stored, item) != NULL)
        return true;
    batch->count++;
    batch->key_bytes += item.count;
    return intents->stored.live + batch->count <= INTENTS_MAX &&
           intents->stored_key_bytes + batch->key_bytes <= INTENTS_KEY_BYTES_MAX; /* (2) */
}

enum status intents_store(struct intents *intents, struct bytes item, uint64_t slot)
{
    void *made = hash_map_find(&intents->stored, item);
    if (made == NULL) {
        struct bytes copy;
        if (intents->stored_key_bytes + item.count > INTENTS_KEY_BYTES_MAX)
            return STATUS_BUSY;
        TRY(insert(&intents->stored, sizeof(struct stored_intent), item, &made, &copy));
        ((struct stored_intent *)made)->item = copy;
        intents->stored_key_bytes += item.count;
    }
    struct stored_intent *stored = made;
    stored->slot = MAX(stored->slot, slot);
    return STATUS_OK;
}

void intents_forget(struct intents *intents, struct bytes item, uint64_t slot)
{
    struct stored_intent *stored = hash_map_find(&intents->stored, item);
    if (stored != NULL && stored->slot < slot)
        drop_stored(intents, stored);
}

void intents_write_list(const struct intents *intents, struct buffer *to)
{
    uint8_t number[COUNT_BYTES];
    put_u32(number, intents->stored.live);
    buffer_append(to, number, COUNT_BYTES);
    uint32_t position = 0;
    const struct stored_intent *stored;
    while ((stored = hash_map_next(&intents->stored, &position)) != NULL) {
        put_u16(number, (uint16_t)stored->item.count);
        buffer_append(to, number, HEAD_BYTES);
        buffer_append_bytes(to, stored->item);
    }
}

enum status intents_check_list(struct bytes list, uint32_t *count, struct reader *keys)
{
    struct reader r = reader_of(list);
    *count = read_u32(&r);
    *keys = r;
    if (r.failed || *count > INTENTS_MAX ||
        reader_left(&r) > INTENTS_KEY_BYTES_MAX + *count * HEAD_BYTES)
        return STATUS_CORRUPT;
    for (uint32_t i = 0; i < *count; i++) {
        struct key key;
        struct bytes item = read_bytes(&r, read_u16(&r));
        if (r.failed || intent_key(item, &key) != STATUS_OK)
            return STATUS_CORRUPT;
    }
    return reader_left(&r) == 0 ? STATUS_OK : STATUS_CORRUPT;
}

enum status intents_read_list(struct intents *intents, struct reader keys, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct bytes item = read_bytes(&keys, read_u16(&keys));
        struct held_intent *held;
        TRY(intents_store(intents, item, 0));
        if (intents_find(intents, item) == NULL)
            TRY(hold(intents, item, &held));
    }
    return STATUS_OK;
}
