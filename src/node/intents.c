#include "node/intents.h"

#include "base/assert.h"

#define COUNT_BYTES 4u
#define HEAD_BYTES  2u

void intents_init(struct intents *intents, struct heap *heap, uint64_t seed)
{
    *intents = (struct intents){0};
    hash_map_init(&intents->by_item, heap, INTENTS_MAX, seed);
}

static size_t held_bytes(const struct held_intent *held)
{
    return sizeof(*held) + held->item.count;
}

static void drop(struct intents *intents, struct held_intent *held)
{
    void *removed = hash_map_remove(&intents->by_item, held->item);
    ASSERT(removed == held);
    intents->key_bytes -= (uint32_t)held->item.count;
    if (!held->is_gone)
        intents->live--;
    heap_free(intents->by_item.heap, held, held_bytes(held));
}

void intents_release(struct intents *intents)
{
    uint32_t position = 0;
    struct held_intent *held;
    while ((held = hash_map_next(&intents->by_item, &position)) != NULL)
        drop(intents, held);
    hash_map_release(&intents->by_item);
}

struct held_intent *intents_find(const struct intents *intents, struct bytes item)
{
    struct held_intent *held = hash_map_find(&intents->by_item, item);
    return held == NULL || held->is_gone ? NULL : held;
}

bool intents_fit(const struct intents *intents, uint32_t count, size_t key_bytes)
{
    return intents->by_item.live + count <= INTENTS_MAX &&
           intents->key_bytes + key_bytes <= INTENTS_KEY_BYTES_MAX;
}

static enum status make(struct intents *intents, struct bytes item, struct held_intent **made)
{
    if (!intents_fit(intents, 1, item.count))
        return STATUS_BUSY;
    struct heap *heap = intents->by_item.heap;
    struct held_intent *held = heap_alloc_zero(heap, sizeof(*held) + item.count);
    if (held == NULL)
        return STATUS_NO_MEMORY;
    uint8_t *key = (uint8_t *)(held + 1);
    memcpy(key, item.at, item.count);
    held->item = bytes_of(key, item.count);
    enum status status = hash_map_insert(&intents->by_item, held->item, held);
    if (status != STATUS_OK) {
        heap_free(heap, held, held_bytes(held));
        return status;
    }
    intents->key_bytes += (uint32_t)item.count;
    intents->live++;
    *made = held;
    return STATUS_OK;
}

enum status intents_add(struct intents *intents, struct bytes item, const struct intent *intent,
                        uint64_t nudge_ns)
{
    struct held_intent *held = hash_map_find(&intents->by_item, item);
    if (held == NULL)
        TRY(make(intents, item, &held));
    else if (held->is_gone)
        intents->live++;
    held->is_gone = false;
    held->is_read = true;
    held->id = intent->id;
    held->kind = intent->kind;
    held->timestamp = intent->timestamp;
    held->of_version = intent->of_version;
    held->nudge_ns = nudge_ns;
    return STATUS_OK;
}

void intents_take_back(struct intents *intents, struct bytes item)
{
    struct held_intent *held = intents_find(intents, item);
    ASSERT(held != NULL);
    if (held->gone_slot == 0) {
        drop(intents, held);
        return;
    }
    held->is_gone = true; /* as it was */
    intents->live--;
}

void intents_remove(struct intents *intents, struct bytes item, uint64_t slot)
{
    struct held_intent *held = hash_map_find(&intents->by_item, item);
    if (held == NULL)
        return;
    if (!held->is_gone)
        intents->live--;
    held->is_gone = true;
    held->gone_slot = slot;
}

void intents_applied(struct intents *intents, struct bytes item, uint64_t slot)
{
    struct held_intent *held = hash_map_find(&intents->by_item, item);
    if (held == NULL || held->gone_slot != slot)
        return;
    held->gone_slot = 0;
    if (held->is_gone)
        drop(intents, held);
}

void intents_write_list(const struct intents *intents, struct buffer *to)
{
    uint8_t number[COUNT_BYTES];
    put_u32(number, intents->by_item.live);
    buffer_append(to, number, COUNT_BYTES);
    uint32_t position = 0;
    const struct held_intent *held;
    while ((held = hash_map_next(&intents->by_item, &position)) != NULL) {
        put_u16(number, (uint16_t)held->item.count);
        buffer_append(to, number, HEAD_BYTES);
        buffer_append_bytes(to, held->item);
    }
}

enum status intents_check_list(struct bytes list, uint32_t *count, struct reader *keys)
{
    struct reader r = reader_of(list);
    *count = read_u32(&r);
    *keys = r;
    if (r.failed || *count > INTENTS_MAX || reader_left(&r) > INTENTS_KEY_BYTES_MAX + *count * 2)
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
        if (hash_map_find(&intents->by_item, item) == NULL)
            TRY(make(intents, item, &held));
    }
    return STATUS_OK;
}
