#include "base/hash_map.h"

#include "base/assert.h"
#include "base/checksum.h"

#define CAPACITY_MIN 8u
#define NO_SLOT      UINT32_MAX

void hash_map_init(struct hash_map *map, struct heap *heap, uint32_t live_max, uint64_t seed)
{
    *map = (struct hash_map){.heap = heap, .live_max = live_max, .seed = seed};
}

static void free_tables(struct hash_map *map)
{
    heap_free(map->heap, map->entries, map->capacity * sizeof(*map->entries));
    heap_free(map->heap, map->index, map->capacity * 2 * sizeof(*map->index));
}

void hash_map_release(struct hash_map *map)
{
    free_tables(map);
    hash_map_init(map, map->heap, map->live_max, map->seed);
}

/* The index slot that holds `key`, or NO_SLOT. */
static uint32_t find_slot(const struct hash_map *map, struct bytes key, uint64_t hash)
{
    if (map->capacity == 0)
        return NO_SLOT;
    uint32_t mask = map->capacity * 2 - 1;
    for (uint32_t slot = (uint32_t)hash & mask; map->index[slot] != 0; slot = (slot + 1) & mask) {
        const struct hash_map_entry *entry = &map->entries[map->index[slot] - 1];
        if (entry->hash == hash && entry->value != NULL && bytes_equal(entry->key, key))
            return slot;
    }
    return NO_SLOT;
}

static void link_entry(struct hash_map *map, uint32_t entry_number)
{
    uint32_t mask = map->capacity * 2 - 1;
    uint32_t slot = (uint32_t)map->entries[entry_number].hash & mask;
    while (map->index[slot] != 0)
        slot = (slot + 1) & mask;
    map->index[slot] = entry_number + 1;
}

/* Room for one more entry: removed ones are dropped, and the tables double when they are half live.
 */
static enum status make_room(struct hash_map *map)
{
    uint32_t capacity = MAX(map->capacity, CAPACITY_MIN);
    if (map->live >= capacity / 2)
        capacity *= 2;
    struct hash_map bigger = *map;
    bigger.capacity = capacity;
    bigger.used = 0;
    bigger.entries = heap_alloc(map->heap, capacity * sizeof(*bigger.entries));
    bigger.index = heap_alloc_zero(map->heap, capacity * 2 * sizeof(*bigger.index));
    if (bigger.entries == NULL || bigger.index == NULL) {
        free_tables(&bigger);
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < map->used; i++) {
        if (map->entries[i].value == NULL)
            continue;
        bigger.entries[bigger.used] = map->entries[i];
        link_entry(&bigger, bigger.used++);
    }
    free_tables(map);
    *map = bigger;
    ASSERT(map->live == map->used && map->used < map->capacity); /* (1), (2) */
    return STATUS_OK;
}

void *hash_map_find(const struct hash_map *map, struct bytes key)
{
    uint32_t slot = find_slot(map, key, checksum64(key, map->seed));
    return slot == NO_SLOT ? NULL : map->entries[map->index[slot] - 1].value;
}

enum status hash_map_insert(struct hash_map *map, struct bytes key, void *value)
{
    ASSERT(value != NULL);
    if (map->live >= map->live_max)
        return STATUS_BUSY;
    if (map->used == map->capacity)
        TRY(make_room(map));
    uint64_t hash = checksum64(key, map->seed);
    ASSERT(find_slot(map, key, hash) == NO_SLOT);
    map->entries[map->used] = (struct hash_map_entry){.key = key, .value = value, .hash = hash};
    link_entry(map, map->used);
    map->used++;
    map->live++;
    return STATUS_OK;
}

void *hash_map_remove(struct hash_map *map, struct bytes key)
{
    uint32_t slot = find_slot(map, key, checksum64(key, map->seed));
    if (slot == NO_SLOT)
        return NULL;
    struct hash_map_entry *entry = &map->entries[map->index[slot] - 1];
    void *value = entry->value;
    entry->value = NULL; /* its slot stays taken until make_room */
    entry->key = (struct bytes){0};
    map->live--;
    return value;
}

void *hash_map_next(const struct hash_map *map, uint32_t *position)
{
    while (*position < map->used) {
        void *value = map->entries[(*position)++].value;
        if (value != NULL)
            return value;
    }
    return NULL;
}
