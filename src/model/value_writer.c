/* value_writer.c - values written as a stream; a set or map is sorted when it is closed. */
#include "base/assert.h"
#include "model/value.h"
#include "model/value_private.h"

void value_writer_init(struct value_writer *w, struct buffer *to)
{
    w->to = to;
    w->start = to->count;
    w->bytes_max = VALUE_BYTES_MAX;
    w->meter = (struct pause_meter){0};
    w->depth = 0;
    w->status = STATUS_OK;
}

static void fail(struct value_writer *w, enum status status)
{
    if (w->status == STATUS_OK)
        w->status = status;
}

/* Room for an element, whose value may lie at this place; NULL when there is none. */
static uint8_t *reserve_element(struct value_writer *w, enum value_type type, size_t bytes)
{
    if (UNLIKELY(w->status != STATUS_OK))
        return NULL;
    if (w->depth > 0) {
        enum value_type outer = w->open[w->depth - 1].type;
        if (is_set(outer)) {
            if (UNLIKELY(type != element_type(outer))) {
                fail(w, STATUS_INVALID);
                return NULL;
            }
        } else if (UNLIKELY(w->depth > VALUE_DEPTH_MAX)) {
            fail(w, STATUS_TOO_LARGE);
            return NULL;
        }
        w->open[w->depth - 1].count++;
    }
    uint8_t *to = buffer_reserve(w->to, bytes);
    if (UNLIKELY(to == NULL))
        fail(w, STATUS_NO_MEMORY);
    return to;
}

void value_write_null(struct value_writer *w)
{
    uint8_t *to = reserve_element(w, VALUE_NULL, 1);
    if (to == NULL)
        return;
    to[0] = VALUE_NULL;
    buffer_commit(w->to, 1);
}

void value_write_bool(struct value_writer *w, bool value)
{
    uint8_t *to = reserve_element(w, VALUE_BOOL, 2);
    if (to == NULL)
        return;
    to[0] = VALUE_BOOL;
    to[1] = value;
    buffer_commit(w->to, 2);
}

/* Copy what may be long. */
static void copy_run(struct value_writer *w, uint8_t *to, struct bytes content)
{
    if (LIKELY(content.count <= PAUSE_BYTES)) {
        memcpy(to, content.at, content.count);
        return;
    }
    pause_copy(&w->meter, to, content.at, content.count);
}

static void write_run(struct value_writer *w, enum value_type type, struct bytes content)
{
    if (UNLIKELY(content.count > VALUE_BYTES_MAX)) {
        fail(w, STATUS_TOO_LARGE);
        return;
    }
    uint8_t *start = reserve_element(w, type, 1 + VARINT_BYTES_MAX + content.count);
    if (start == NULL)
        return;
    uint8_t *to = start;
    *to++ = (uint8_t)type;
    to = put_varint(to, (uint32_t)content.count);
    if (content.count > 0)
        copy_run(w, to, content);
    buffer_commit(w->to, (size_t)(to - start) + content.count);
}

void value_write_string(struct value_writer *w, struct bytes text)
{
    write_run(w, VALUE_S, text);
}

void value_write_binary(struct value_writer *w, struct bytes content)
{
    write_run(w, VALUE_B, content);
}

void value_write_number(struct value_writer *w, const struct number *number)
{
    uint8_t *to = reserve_element(w, VALUE_N, 2 + NUMBER_ENCODED_BYTES_MAX);
    if (to == NULL)
        return;
    size_t count = number_encode(number, to + 2);
    to[0] = VALUE_N;
    to[1] = (uint8_t)count;
    buffer_commit(w->to, 2 + count);
}

/* Does a whole value fit below the containers now open?  A value that is a value of some item does,
 * where items' values go; so only deeper copies are walked. */
static bool levels_fit(const struct value_writer *w, struct value value)
{
    enum value_type type = value_type(value);
    if (w->depth <= 1 || (type != VALUE_L && type != VALUE_M))
        return true;
    return w->depth - 1 + value_levels(value) <= VALUE_DEPTH_MAX;
}

void value_write_value(struct value_writer *w, struct value value)
{
    ASSERT(value.at != NULL);
    if (UNLIKELY(!levels_fit(w, value))) {
        fail(w, STATUS_TOO_LARGE);
        return;
    }
    uint8_t *to = reserve_element(w, value_type(value), value.bytes);
    if (to == NULL)
        return;
    copy_run(w, to, bytes_of(value.at, value.bytes));
    buffer_commit(w->to, value.bytes);
}

void value_write_begin(struct value_writer *w, enum value_type type)
{
    ASSERT(is_container(type));
    uint8_t *to = reserve_element(w, type, CONTAINER_HEAD_BYTES);
    if (to == NULL)
        return;
    ASSERT(w->depth < VALUE_WRITER_DEPTH_MAX);
    to[0] = (uint8_t)type;
    w->open[w->depth].at = w->to->count;
    w->open[w->depth].count = 0;
    w->open[w->depth].type = type;
    w->depth++;
    buffer_commit(w->to, CONTAINER_HEAD_BYTES);
}

void value_write_name(struct value_writer *w, struct bytes name)
{
    if (UNLIKELY(w->status != STATUS_OK))
        return;
    ASSERT(w->depth > 0 && w->open[w->depth - 1].type == VALUE_M);
    if (UNLIKELY(name.count > VALUE_BYTES_MAX)) {
        fail(w, STATUS_TOO_LARGE);
        return;
    }
    uint8_t *start = buffer_reserve(w->to, VARINT_BYTES_MAX + name.count);
    if (UNLIKELY(start == NULL)) {
        fail(w, STATUS_NO_MEMORY);
        return;
    }
    uint8_t *to = put_varint(start, (uint32_t)name.count);
    if (name.count > 0)
        memcpy(to, name.at, name.count);
    buffer_commit(w->to, (size_t)(to - start) + name.count);
}

/* ---- Sorting a container when it is closed ---- */

/* A container of fewer bytes is sorted without a pause: at most 4,000 elements. */
#define MANY_BYTES ((size_t)8 << 10)
#define SORT_WORK  (4 * PAUSE_STEP_WORK) /* for each of its elements */

/* The elements that are being sorted: each begins at base + its offset. */
struct elements {
    const uint8_t *base;
    bool named;
    struct pause_meter *meter;
};

static struct bytes sort_key(const struct elements *e, uint32_t offset)
{
    const uint8_t *at = e->base + offset;
    if (!e->named)
        return scalar_content(at);
    uint32_t count;
    at = get_varint(at, &count);
    return bytes_of(at, count);
}

static const uint8_t *element_end(const struct elements *e, uint32_t offset)
{
    const uint8_t *at = e->base + offset;
    if (e->named) {
        uint32_t count;
        at = get_varint(at, &count);
        at += count;
    }
    return value_end(at);
}

/* `many`, here and below, is constant where it is called: then the work is counted, because it may
 * be worth a pause. */
static ALWAYS_INLINE int compare(const struct elements *e, uint32_t a, uint32_t b, bool many)
{
    struct bytes left = sort_key(e, a), right = sort_key(e, b);
    if (many)
        pause_after(e->meter, PAUSE_STEP_WORK + MIN(left.count, right.count));
    return bytes_compare(left, right);
}

static ALWAYS_INLINE void insertion_sort(const struct elements *e, uint32_t *offsets,
                                         uint32_t count, bool many)
{
    for (uint32_t i = 1; i < count; i++) {
        uint32_t moved = offsets[i];
        uint32_t to = i;
        for (; to > 0 && compare(e, offsets[to - 1], moved, many) > 0; to--)
            offsets[to] = offsets[to - 1];
        offsets[to] = moved;
    }
}

static ALWAYS_INLINE void merge(const struct elements *e, const uint32_t *from, uint32_t middle,
                                uint32_t end, uint32_t *to, bool many)
{
    uint32_t a = 0, b = middle, i = 0;
    while (a < middle && b < end)
        to[i++] = compare(e, from[b], from[a], many) < 0 ? from[b++] : from[a++];
    while (a < middle)
        to[i++] = from[a++];
    while (b < end)
        to[i++] = from[b++];
}

/* Stable: runs of 16 by insertion, then merges back and forth between the two arrays.  Returns the
 * one that holds the result. */
static ALWAYS_INLINE uint32_t *merge_sort(const struct elements *e, uint32_t *offsets,
                                          uint32_t *other, uint32_t count, bool many)
{
    const uint32_t run = 16;
    for (uint32_t i = 0; i < count; i += run)
        insertion_sort(e, offsets + i, MIN(run, count - i), many);
    for (size_t width = run; width < count; width *= 2) {
        for (size_t i = 0; i < count; i += 2 * width) {
            uint32_t end = (uint32_t)MIN(2 * width, count - i);
            merge(e, offsets + i, MIN((uint32_t)width, end), end, other + i, many);
        }
        uint32_t *swapped = offsets;
        offsets = other;
        other = swapped;
    }
    return offsets;
}

/* Copy the elements in order to `to`; of equal ones only the last is kept.  Returns how many. */
static ALWAYS_INLINE uint32_t copy_sorted(const struct elements *e, const uint32_t *offsets,
                                          uint32_t count, uint8_t *to, size_t *bytes, bool many)
{
    uint32_t kept = 0;
    uint8_t *start = to;
    for (uint32_t i = 0; i < count; i++) {
        if (i + 1 < count && compare(e, offsets[i], offsets[i + 1], many) == 0)
            continue;
        size_t length = (size_t)(element_end(e, offsets[i]) - (e->base + offsets[i]));
        if (many)
            pause_copy(e->meter, to, e->base + offsets[i], length);
        else
            memcpy(to, e->base + offsets[i], length);
        to += length;
        kept++;
    }
    *bytes = (size_t)(to - start);
    return kept;
}

static ALWAYS_INLINE bool in_order(const struct elements *e, uint32_t count, bool many)
{
    uint32_t offset = 0;
    for (uint32_t i = 1; i < count; i++) {
        uint32_t next = (uint32_t)(element_end(e, offset) - e->base);
        if (compare(e, offset, next, many) >= 0)
            return false;
        offset = next;
    }
    return true;
}

/* Sort the `count` elements that follow the head at `at`, in the free part of the buffer; returns
 * how many are left. */
static ALWAYS_INLINE uint32_t sort_elements(struct value_writer *w, struct elements *e, size_t at,
                                            uint32_t count, bool many)
{
    size_t first = at + CONTAINER_HEAD_BYTES;
    size_t content = w->to->count - first;
    size_t index = count * sizeof(uint32_t);
    uint8_t *scratch = buffer_reserve(w->to, content + 2 * index + sizeof(uint32_t));
    if (scratch == NULL) {
        fail(w, STATUS_NO_MEMORY);
        return count;
    }
    uintptr_t misaligned = (uintptr_t)scratch % sizeof(uint32_t);
    uint8_t *aligned = scratch + (misaligned == 0 ? 0 : sizeof(uint32_t) - misaligned);
    uint32_t *offsets = (uint32_t *)(void *)aligned;
    uint32_t *other = offsets + count;
    e->base = w->to->at + first; /* the buffer may have moved */
    uint32_t offset = 0;
    for (uint32_t i = 0; i < count; i++) {
        offsets[i] = offset;
        offset = (uint32_t)(element_end(e, offset) - e->base);
        if (many)
            pause_after(e->meter, PAUSE_STEP_WORK);
    }
    uint32_t *sorted = merge_sort(e, offsets, other, count, many);
    uint8_t *copy = aligned + 2 * index;
    size_t bytes;
    uint32_t kept = copy_sorted(e, sorted, count, copy, &bytes, many);
    if (many)
        pause_copy(e->meter, w->to->at + first, copy, bytes);
    else
        memcpy(w->to->at + first, copy, bytes);
    w->to->count = first + bytes;
    return kept;
}

static uint32_t sort_few(struct value_writer *w, struct elements *e, size_t at, uint32_t count)
{
    pause_after(&w->meter, count * SORT_WORK);
    return sort_elements(w, e, at, count, false);
}

static uint32_t sort_many(struct value_writer *w, struct elements *e, size_t at, uint32_t count)
{
    return sort_elements(w, e, at, count, true);
}

void value_write_end(struct value_writer *w)
{
    if (UNLIKELY(w->status != STATUS_OK))
        return;
    ASSERT(w->depth > 0);
    w->depth--;
    size_t at = w->open[w->depth].at;
    uint32_t count = w->open[w->depth].count;
    enum value_type type = w->open[w->depth].type;
    if (is_set(type) && count == 0) {
        fail(w, STATUS_INVALID);
        return;
    }
    if (UNLIKELY(w->to->count - at > w->bytes_max)) {
        fail(w, w->bytes_max == VALUE_BYTES_MAX ? STATUS_TOO_LARGE : STATUS_NO_MEMORY);
        return;
    }
    if (type != VALUE_L && count > 1) {
        struct elements e = {.base = w->to->at + at + CONTAINER_HEAD_BYTES,
                             .named = type == VALUE_M,
                             .meter = &w->meter};
        bool many = w->to->count - at >= MANY_BYTES;
        if (UNLIKELY(many) ? !in_order(&e, count, true) : !in_order(&e, count, false)) {
            uint32_t kept = many ? sort_many(w, &e, at, count) : sort_few(w, &e, at, count);
            if (is_set(type) && kept < count)
                fail(w, STATUS_EXISTS);
            count = kept;
        }
    }
    uint8_t *head = w->to->at + at;
    put_u32(head + CONTAINER_LENGTH_AT, (uint32_t)(w->to->count - at) - CONTAINER_COUNT_AT);
    put_u32(head + CONTAINER_COUNT_AT, count);
}

struct value_mark value_writer_mark(const struct value_writer *w)
{
    uint32_t elements = w->depth > 0 ? w->open[w->depth - 1].count : 0;
    return (struct value_mark){w->to->count, w->depth, elements};
}

void value_writer_rewind(struct value_writer *w, struct value_mark mark)
{
    if (w->status != STATUS_OK)
        return;
    ASSERT(w->depth == mark.depth && w->to->count >= mark.count);
    w->to->count = mark.count;
    if (w->depth > 0)
        w->open[w->depth - 1].count = mark.elements;
}

enum status value_writer_finish(struct value_writer *w, struct value *value)
{
    TRY(w->status);
    ASSERT(w->depth == 0 && w->to->count > w->start);
    size_t bytes = w->to->count - w->start;
    if (bytes > VALUE_BYTES_MAX)
        return STATUS_TOO_LARGE;
    *value = (struct value){w->to->at + w->start, (uint32_t)bytes};
    return STATUS_OK;
}
