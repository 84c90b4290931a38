/* hash_map.h - byte keys to pointers; seeded, and iterated in the order of insertion.
 *
 * Entries lie in one array in the order in which they were inserted, with an open-addressed index
 * over them, so that iteration depends neither on hashes nor on addresses.  Keys are borrowed: they
 * must live, unchanged, as long as their entry (a value usually holds its own key).  Not
 * thread-safe.
 *
 * Invariants: (1) live <= used <= capacity, (2) the index has at least twice as many slots as used
 * entries.
 */
#ifndef BASE_HASH_MAP_H
#define BASE_HASH_MAP_H

#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/heap.h"
#include "base/status.h"

struct hash_map_entry {
    struct bytes key;
    void *value; /* NULL: removed */
    uint64_t hash;
};

struct hash_map {
    struct heap *heap;
    struct hash_map_entry *entries;
    uint32_t *index;   /* entry number + 1; 0 = empty */
    uint32_t used;     /* entries written, removed ones included */
    uint32_t live;     /* entries with a value */
    uint32_t capacity; /* of `entries`; the index has 2 * capacity slots */
    uint32_t live_max; /* the bound */
    uint64_t seed;
};

/* An empty map of at most live_max entries; takes no memory until the first insertion.  `seed`
 * comes from the env's randomness, so that no client can choose colliding keys. */
void hash_map_init(struct hash_map *map, struct heap *heap, uint32_t live_max, uint64_t seed);
void hash_map_release(struct hash_map *map);

/* The value at `key`; NULL when there is none. */
void *hash_map_find(const struct hash_map *map, struct bytes key);

/* Insert `value` (not NULL) at `key`, which must not be there.
 *   STATUS_BUSY       the map holds live_max entries
 *   STATUS_NO_MEMORY  nothing changed */
MUST_USE enum status hash_map_insert(struct hash_map *map, struct bytes key, void *value);

/* Remove `key`, and return its value; NULL when it was not there. */
void *hash_map_remove(struct hash_map *map, struct bytes key);

/* Iterate: start with *position = 0; returns each value once in order of insertion, then NULL.
 * Entries may be removed on the way, not inserted. */
void *hash_map_next(const struct hash_map *map, uint32_t *position);

#endif
