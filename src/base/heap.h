/* heap.h - where all memory of a node comes from, so that a simulated crash can drop it whole.
 *
 * The standard heap is malloc, with a count of the bytes in use.  A tracked heap also chains its
 * allocations, and heap_drop frees them all at once: the simulator gives each incarnation of a node
 * one. Not thread-safe: owned by one loop.  Code that runs in a worker uses memory handed to it.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"

#define HEAP_LARGE_BYTES ((size_t)2 << 20)

struct heap {
    size_t bytes_used;   /* asked for and not yet freed, headers left out */
    size_t bytes_max;    /* 0 = no bound; at the bound allocations fail */
    uint64_t fail_after; /* tests: the allocation that makes this reach 0 fails; 0 = never */
    bool tracked;        /* allocations are chained in `blocks` */
    struct list blocks;
};

void heap_init(struct heap *heap, bool tracked);

/* `bytes` of uninitialised memory aligned to 16; NULL when there is none or the bound is reached.
 */
MUST_USE void *heap_alloc(struct heap *heap, size_t bytes);

/* As heap_alloc, set to zero. */
MUST_USE void *heap_alloc_zero(struct heap *heap, size_t bytes);

/* More for what heap_alloc returned for `bytes_before`, which may move; its first `bytes_before`
 * stay as they are.  A large block grows without being copied where the system can do that.  NULL:
 * as heap_alloc, and nothing has changed. */
MUST_USE void *heap_grow(struct heap *heap, void *at, size_t bytes_before, size_t bytes);

/* Give back what heap_alloc returned for `bytes`; NULL is nothing. */
void heap_free(struct heap *heap, void *at, size_t bytes);

/* Say that these bytes, which were not touched yet, will all be used, and for long: the system may
 * back them with pages of HEAP_LARGE_BYTES where `at` is aligned to that.  A hint. */
void heap_expect_use(struct heap *heap, void *at, size_t bytes);

/* Free every allocation of a tracked heap. */
void heap_drop(struct heap *heap);

#endif
