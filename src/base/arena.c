#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"

#define CHUNK_BYTES_MIN 4096u
#define CHUNK_BYTES_MAX ((size_t)1 << 20) /* of those that are not for one allocation */
#define ALIGNMENT       8u

struct arena_chunk {
    struct arena_chunk *next;
    size_t bytes; /* of the whole chunk, this header included */
};

void arena_init(struct arena *arena, struct heap *heap, size_t bytes_max)
{
    *arena = (struct arena){.heap = heap, .bytes_max = bytes_max};
}

static bool is_drawn(size_t chunk_bytes)
{
    return chunk_bytes > ARENA_FREE_BYTES;
}

static void free_chunks(struct arena *arena, struct arena_chunk *until)
{
    while (arena->chunks != until) {
        struct arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        arena->bytes_used -= chunk->bytes;
        if (is_drawn(chunk->bytes))
            budget_give(arena->budget, chunk->bytes);
        heap_free(arena->heap, chunk, chunk->bytes);
    }
}

static void forget_reserved(struct arena *arena)
{
    budget_give(arena->budget, arena->reserved_bytes);
    arena->reserved_bytes = 0;
    arena->refused = false;
}

void arena_release(struct arena *arena)
{
    forget_reserved(arena);
    free_chunks(arena, NULL);
    arena->next = arena->end = NULL;
}

void arena_reset(struct arena *arena)
{
    forget_reserved(arena);
    struct arena_chunk *first = arena->chunks;
    while (first != NULL && first->next != NULL)
        first = first->next;
    free_chunks(arena, first);
    if (first != NULL) {
        arena->next = (uint8_t *)(first + 1);
        arena->end = (uint8_t *)first + first->bytes;
    }
}

/* Chunks double up to a bound, so that a request of n bytes costs few heap calls and is not charged
 * with much that it does not use. */
static bool grow(struct arena *arena, size_t bytes)
{
    size_t room = arena->bytes_max - arena->bytes_used;
    size_t need = bytes + sizeof(struct arena_chunk);
    if (need > room)
        return false;
    size_t ahead = MAX(MIN(arena->bytes_used, CHUNK_BYTES_MAX), (size_t)CHUNK_BYTES_MIN);
    size_t chunk_bytes = MIN(MAX(need, ahead), room);
    if (is_drawn(chunk_bytes) && !budget_draw(arena->budget, chunk_bytes))
        return false;
    struct arena_chunk *chunk = heap_alloc(arena->heap, chunk_bytes);
    if (chunk == NULL) {
        if (is_drawn(chunk_bytes))
            budget_give(arena->budget, chunk_bytes);
        return false;
    }
    *chunk = (struct arena_chunk){.next = arena->chunks, .bytes = chunk_bytes};
    arena->chunks = chunk;
    arena->next = (uint8_t *)(chunk + 1);
    arena->end = (uint8_t *)chunk + chunk_bytes;
    arena->bytes_used += chunk_bytes;
    ASSERT(arena->bytes_used <= arena->bytes_max); /* (1) */
    return true;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    size_t rounded = (MAX(bytes, (size_t)1) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (UNLIKELY(bytes > arena->bytes_max) ||
        (UNLIKELY(rounded > (size_t)(arena->end - arena->next)) && !grow(arena, rounded))) {
        arena->refused = true;
        return NULL;
    }
    void *at = arena->next;
    arena->next += rounded;
    return at;
}

void *arena_alloc_zero(struct arena *arena, size_t bytes)
{
    void *at = arena_alloc(arena, bytes);
    if (at != NULL)
        memset(at, 0, bytes);
    return at;
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t bytes)
{
    size_t total;
    if (__builtin_mul_overflow(count, bytes, &total))
        return NULL;
    return arena_alloc(arena, total);
}

struct bytes arena_copy(struct arena *arena, struct bytes bytes)
{
    uint8_t *at = arena_alloc(arena, bytes.count);
    if (at == NULL)
        return (struct bytes){0};
    if (bytes.count > 0)
        memcpy(at, bytes.at, bytes.count);
    return bytes_of(at, bytes.count);
}

struct bytes arena_format(struct arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    struct bytes text = {0};
    char *at = length >= 0 ? arena_alloc(arena, (size_t)length + 1) : NULL;
    if (at != NULL) {
        vsnprintf(at, (size_t)length + 1, format, again);
        text = bytes_of(at, (size_t)length);
    }
    va_end(again);
    return text;
}

enum status arena_reserve(struct arena *arena, size_t bytes)
{
    if (!budget_draw(arena->budget, bytes)) {
        arena->refused = true;
        return STATUS_NO_MEMORY;
    }
    arena->reserved_bytes += bytes;
    return STATUS_OK;
}
