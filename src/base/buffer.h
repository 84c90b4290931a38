/* buffer.h - a growing run of bytes with a hard cap, from a heap.
 *
 * An append that does not fit sets `failed` and changes nothing else; later appends do nothing.  So
 * a writer appends freely and asks once at the end.
 *
 * When it has a budget, its memory is drawn from that.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/bytes.h"
#include "base/compiler.h"
#include "base/heap.h"

struct buffer {
    struct heap *heap;
    uint8_t *at;
    size_t count;     /* bytes appended */
    size_t capacity;  /* bytes allocated */
    size_t bytes_max; /* the hard cap of `capacity` */
    struct budget *budget;
    bool owed;    /* the budget counts what it takes, and does not refuse it */
    bool failed;  /* an append did not fit */
    bool starved; /* with `failed`: for want of memory, not for the cap */
};

/* An empty buffer without a budget; takes no memory until the first append. */
void buffer_init(struct buffer *buffer, struct heap *heap, size_t bytes_max);

/* Give the memory back; the buffer is as after buffer_init, but that it keeps its budget. */
void buffer_release(struct buffer *buffer);

/* Forget the content and keep the memory. */
void buffer_clear(struct buffer *buffer);

/* Make room for `bytes` more and return where they go, without counting them yet; NULL (and
 * `failed`) when they do not fit.  Follow with buffer_commit. */
MUST_USE uint8_t *buffer_reserve_slow(struct buffer *buffer, size_t bytes);

static inline uint8_t *buffer_reserve(struct buffer *buffer, size_t bytes)
{
    if (LIKELY(!buffer->failed && buffer->capacity - buffer->count >= bytes))
        return buffer->at + buffer->count;
    return buffer_reserve_slow(buffer, bytes);
}

/* Count `bytes` that were written where buffer_reserve pointed. */
static inline void buffer_commit(struct buffer *buffer, size_t bytes)
{
    buffer->count += bytes;
}

static inline void buffer_append(struct buffer *buffer, const void *at, size_t count)
{
    if (count == 0)
        return;
    uint8_t *to = buffer_reserve(buffer, count);
    if (LIKELY(to != NULL)) {
        memcpy(to, at, count);
        buffer_commit(buffer, count);
    }
}

static inline void buffer_append_bytes(struct buffer *buffer, struct bytes bytes)
{
    buffer_append(buffer, bytes.at, bytes.count);
}

static inline void buffer_append_u8(struct buffer *buffer, uint8_t byte)
{
    buffer_append(buffer, &byte, 1);
}

/* Little-endian, as in codec.h. */
void buffer_append_u32(struct buffer *buffer, uint32_t v);
void buffer_append_u64(struct buffer *buffer, uint64_t v);

/* A text of at most 65,535 bytes: u16 bytes, then they. */
void buffer_append_text(struct buffer *buffer, struct bytes text);

void buffer_append_format(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);

/* What was appended; valid until the next append, clear or release. */
static inline struct bytes buffer_bytes(const struct buffer *buffer)
{
    return bytes_of(buffer->at, buffer->count);
}

#endif
