#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/codec.h"

#define CAPACITY_MIN 256u

void buffer_init(struct buffer *buffer, struct heap *heap, size_t bytes_max)
{
    *buffer = (struct buffer){.heap = heap, .bytes_max = bytes_max};
}

void buffer_release(struct buffer *buffer)
{
    struct budget *budget = buffer->budget;
    budget_give(budget, buffer->capacity);
    heap_free(buffer->heap, buffer->at, buffer->capacity);
    buffer_init(buffer, buffer->heap, buffer->bytes_max);
    buffer->budget = budget;
}

void buffer_clear(struct buffer *buffer)
{
    buffer->count = 0;
    buffer->failed = buffer->starved = false;
}

/* More memory; false: there is none. */
static bool grow(struct buffer *buffer, size_t need)
{
    size_t want = MAX(MAX(need, buffer->capacity * 2), (size_t)CAPACITY_MIN);
    size_t capacity = MIN(want, buffer->bytes_max);
    if (buffer->owed)
        budget_owe(buffer->budget, capacity);
    else if (!budget_draw(buffer->budget, capacity))
        return false;
    uint8_t *at = buffer->at != NULL
                      ? heap_grow(buffer->heap, buffer->at, buffer->capacity, capacity)
                      : heap_alloc(buffer->heap, capacity);
    if (at == NULL) {
        budget_give(buffer->budget, capacity);
        return false;
    }
    budget_give(buffer->budget, buffer->capacity);
    buffer->at = at;
    buffer->capacity = capacity;
    return true;
}

uint8_t *buffer_reserve_slow(struct buffer *buffer, size_t bytes)
{
    if (buffer->failed)
        return NULL;
    if (bytes > buffer->bytes_max - buffer->count) {
        buffer->failed = true;
        return NULL;
    }
    size_t need = buffer->count + bytes;
    if (need > buffer->capacity && !grow(buffer, need)) {
        buffer->failed = buffer->starved = true;
        return NULL;
    }
    return buffer->at + buffer->count;
}

void buffer_append_u32(struct buffer *buffer, uint32_t v)
{
    uint8_t bytes[4];
    put_u32(bytes, v);
    buffer_append(buffer, bytes, sizeof(bytes));
}

void buffer_append_u64(struct buffer *buffer, uint64_t v)
{
    uint8_t bytes[8];
    put_u64(bytes, v);
    buffer_append(buffer, bytes, sizeof(bytes));
}

void buffer_append_text(struct buffer *buffer, struct bytes text)
{
    uint8_t count[2];
    ASSERT(text.count <= UINT16_MAX);
    put_u16(count, (uint16_t)text.count);
    buffer_append(buffer, count, sizeof(count));
    buffer_append_bytes(buffer, text);
}

void buffer_append_format(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    uint8_t *to = length >= 0 ? buffer_reserve(buffer, (size_t)length + 1) : NULL;
    if (to != NULL) {
        vsnprintf((char *)to, (size_t)length + 1, format, again);
        buffer_commit(buffer, (size_t)length);
    }
    va_end(again);
}
