/* arena.h - memory of one request: bump allocation with a hard cap, freed all at once.
 *
 * Chunks come from a heap and go back to it at arena_release.  Allocations are aligned to 8 unless
 * asked otherwise, never move, and live until arena_release or arena_reset.
 *
 * Chunks of more than ARENA_FREE_BYTES, and what is reserved, are drawn from a budget, when there
 * is one: so nearly all requests never look at it.
 *
 * Invariants: (1) bytes_used <= bytes_max.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/bytes.h"
#include "base/compiler.h"
#include "base/heap.h"
#include "base/status.h"

#define ARENA_FREE_BYTES ((size_t)16 << 10) /* chunks of at most so much are not drawn */

struct arena_chunk;

struct arena {
    struct heap *heap;
    struct arena_chunk *chunks; /* newest first */
    uint8_t *next;              /* the free part of the newest chunk */
    uint8_t *end;
    size_t bytes_used; /* in chunks */
    size_t bytes_max;  /* the hard cap */
    struct budget *budget;
    size_t reserved_bytes; /* drawn by arena_reserve */
    bool refused;          /* an allocation or a reservation was; until the release */
};

/* An empty arena without a budget; takes no memory until the first allocation. */
void arena_init(struct arena *arena, struct heap *heap, size_t bytes_max);

/* Give all memory back; the arena is as after arena_init. */
void arena_release(struct arena *arena);

/* As arena_release, but keeps one chunk for the next use. */
void arena_reset(struct arena *arena);

/* `bytes` of uninitialised memory, aligned to 8; NULL at the cap, or when the budget or the heap
 * has none. */
MUST_USE void *arena_alloc(struct arena *arena, size_t bytes);

/* As arena_alloc, set to zero. */
MUST_USE void *arena_alloc_zero(struct arena *arena, size_t bytes);

/* Memory for `count` elements of `bytes` each; NULL also when the product overflows. */
MUST_USE void *arena_alloc_array(struct arena *arena, size_t count, size_t bytes);

/* A copy of `bytes` in the arena; *copy.at is NULL only when there was no memory (an empty run has
 * a pointer). */
MUST_USE struct bytes arena_copy(struct arena *arena, struct bytes bytes);

/* A formatted text in the arena (not terminated); its `at` is NULL when there was no memory. */
MUST_USE struct bytes arena_format(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

/* Draw on the budget for memory that will be taken elsewhere, until the release.
 *   STATUS_NO_MEMORY  it does not fit */
MUST_USE enum status arena_reserve(struct arena *arena, size_t bytes);
#endif
