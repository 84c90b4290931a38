#include "base/heap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/assert.h"

/* Precedes each allocation of a tracked heap; 32 bytes keep the alignment of 16. */
struct heap_block {
    struct list link;
    size_t bytes;
    size_t reserved;
};

_Static_assert(sizeof(struct heap_block) % 16 == 0, "what follows a block header is aligned");

void heap_init(struct heap *heap, bool tracked)
{
    *heap = (struct heap){.tracked = tracked};
    list_init(&heap->blocks);
}

static bool may_allocate(struct heap *heap, size_t bytes)
{
    if (heap->fail_after > 0 && --heap->fail_after == 0)
        return false;
    return heap->bytes_max == 0 ||
           bytes <= heap->bytes_max - MIN(heap->bytes_max, heap->bytes_used);
}

void *heap_alloc(struct heap *heap, size_t bytes)
{
    if (!may_allocate(heap, bytes))
        return NULL;
    void *at;
    if (heap->tracked) {
        struct heap_block *block = malloc(sizeof(*block) + bytes);
        if (block == NULL)
            return NULL;
        block->bytes = bytes;
        list_push_back(&heap->blocks, &block->link);
        at = block + 1;
    } else {
        at = malloc(bytes > 0 ? bytes : 1);
        if (at == NULL)
            return NULL;
    }
    heap->bytes_used += bytes;
    return at;
}

void *heap_alloc_zero(struct heap *heap, size_t bytes)
{
    void *at = heap_alloc(heap, bytes);
    if (at != NULL)
        memset(at, 0, bytes);
    return at;
}

void *heap_grow(struct heap *heap, void *at, size_t bytes_before, size_t bytes)
{
    ASSERT(at != NULL && bytes >= bytes_before && bytes > 0);
    if (heap->tracked) {
        void *moved = heap_alloc(heap, bytes);
        if (moved == NULL)
            return NULL;
        memcpy(moved, at, bytes_before);
        heap_free(heap, at, bytes_before);
        return moved;
    }
    if (!may_allocate(heap, bytes - bytes_before))
        return NULL;
    void *moved = realloc(at, bytes);
    if (moved != NULL)
        heap->bytes_used += bytes - bytes_before;
    return moved;
}

void heap_free(struct heap *heap, void *at, size_t bytes)
{
    if (at == NULL)
        return;
    ASSERT(heap->bytes_used >= bytes);
    heap->bytes_used -= bytes;
    if (!heap->tracked) {
        free(at);
        return;
    }
    struct heap_block *block = (struct heap_block *)at - 1;
    ASSERT(block->bytes == bytes);
    list_remove(&block->link);
    free(block);
}

void heap_expect_use(struct heap *heap, void *at, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    if (!heap->tracked)
        (void)madvise(at, bytes, MADV_HUGEPAGE);
#else
    (void)heap;
    (void)at;
    (void)bytes;
#endif
}

void heap_drop(struct heap *heap)
{
    ASSERT(heap->tracked);
    while (!list_empty(&heap->blocks)) {
        struct list *first = heap->blocks.next;
        list_remove(first);
        free(CONTAINER_OF(first, struct heap_block, link));
    }
    heap->bytes_used = 0;
}
