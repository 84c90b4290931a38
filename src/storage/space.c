#include "storage/space.h"

#include <string.h>

#include "base/assert.h"
#include "storage/page.h"

#define VARINT_BYTES_MAX 5u

void space_init(struct space *space, struct heap *heap)
{
    *space = (struct space){.heap = heap};
    list_init(&space->buckets);
}

static void bucket_free(struct space *space, struct space_bucket *bucket)
{
    heap_free(space->heap, bucket->numbers, bucket->capacity * sizeof(uint32_t));
    heap_free(space->heap, bucket, sizeof(*bucket));
}

void space_release(struct space *space)
{
    struct list *node;
    while ((node = list_pop_front(&space->buckets)) != NULL)
        bucket_free(space, LIST_ITEM(node, struct space_bucket, link));
    if (space->young != NULL)
        bucket_free(space, space->young);
    heap_free(space->heap, space->bits, space->words * sizeof(uint64_t));
    space_init(space, space->heap);
}

static void set_bit(struct space *space, uint32_t number)
{
    space->bits[number / 64] |= UINT64_C(1) << (number % 64);
}

static void clear_bit(struct space *space, uint32_t number)
{
    space->bits[number / 64] &= ~(UINT64_C(1) << (number % 64));
    if (number / 64 < space->lowest_word)
        space->lowest_word = number / 64;
    space->free_count++;
}

bool space_is_free(const struct space *space, uint32_t number)
{
    return number < space->page_count &&
           (space->bits[number / 64] & UINT64_C(1) << (number % 64)) == 0;
}

enum status space_resize(struct space *space, uint32_t page_count)
{
    uint32_t words = page_count / 64 + 1;
    if (words > space->words) {
        uint32_t more = MAX(words, space->words + space->words / 2);
        uint64_t *bits = heap_alloc(space->heap, more * sizeof(uint64_t));
        if (bits == NULL)
            return STATUS_NO_MEMORY;
        if (space->words > 0)
            memcpy(bits, space->bits, space->words * sizeof(uint64_t));
        memset(bits + space->words, 0xff, (more - space->words) * sizeof(uint64_t));
        heap_free(space->heap, space->bits, space->words * sizeof(uint64_t));
        space->bits = bits;
        space->words = more;
    }
    for (uint32_t n = page_count; n < space->page_count; n++) {
        ASSERT(space_is_free(space, n));
        set_bit(space, n);
        space->free_count--;
    }
    uint32_t from = MAX(space->page_count, PAGE_NUMBER_FIRST);
    space->page_count = page_count;
    for (uint32_t n = from; n < page_count; n++)
        clear_bit(space, n);
    ASSERT(space->numbers_reserved <= space->free_count); /* (2) */
    return STATUS_OK;
}

uint32_t space_take(struct space *space)
{
    ASSERT(space->numbers_reserved > 0);
    ASSERT(space->numbers_reserved <= space->free_count); /* (2) */
    uint32_t word = space->lowest_word;
    while (space->bits[word] == UINT64_MAX)
        word++;
    space->lowest_word = word;
    uint32_t number = word * 64 + (uint32_t)__builtin_ctzll(~space->bits[word]);
    ASSERT(number < space->page_count);
    set_bit(space, number);
    space->free_count--;
    space->numbers_reserved--;
    return number;
}

/* ---- Pending pages ---- */

static struct space_bucket *bucket_make(struct space *space, uint64_t epoch)
{
    struct space_bucket *bucket = heap_alloc_zero(space->heap, sizeof(*bucket));
    if (bucket == NULL)
        return NULL;
    list_init(&bucket->link);
    bucket->epoch = epoch;
    return bucket;
}

static bool bucket_grow(struct space *space, struct space_bucket *bucket, uint32_t count)
{
    if (bucket->capacity - bucket->count >= count)
        return true;
    uint32_t capacity = MAX(bucket->count + count, bucket->capacity * 2);
    uint32_t *numbers = heap_alloc(space->heap, capacity * sizeof(uint32_t));
    if (numbers == NULL)
        return false;
    if (bucket->count > 0)
        memcpy(numbers, bucket->numbers, bucket->count * sizeof(uint32_t));
    heap_free(space->heap, bucket->numbers, bucket->capacity * sizeof(uint32_t));
    bucket->numbers = numbers;
    bucket->capacity = capacity;
    return true;
}

enum status space_prepare_frees(struct space *space, uint64_t epoch, uint32_t count)
{
    if (space->current == NULL || space->current->epoch != epoch) {
        struct space_bucket *bucket = bucket_make(space, epoch);
        if (bucket == NULL)
            return STATUS_NO_MEMORY;
        list_push_back(&space->buckets, &bucket->link);
        space->current = bucket;
    }
    if (space->young == NULL)
        space->young = bucket_make(space, 0);
    if (space->young == NULL || !bucket_grow(space, space->current, count) ||
        !bucket_grow(space, space->young, count))
        return STATUS_NO_MEMORY;
    return STATUS_OK;
}

void space_give(struct space *space, uint32_t number, uint64_t made, uint64_t epoch)
{
    ASSERT(number >= PAGE_NUMBER_FIRST);
    ASSERT(number < space->page_count);
    ASSERT(!space_is_free(space, number));
    struct space_bucket *bucket = made > space->referred ? space->young : space->current;
    ASSERT(bucket != NULL);
    ASSERT(bucket == space->young || bucket->epoch == epoch);
    ASSERT(bucket->count < bucket->capacity);
    bucket->numbers[bucket->count++] = number;
    space->pending_count++;
}

void space_give_at_once(struct space *space, uint32_t number)
{
    ASSERT(!space_is_free(space, number));
    clear_bit(space, number);
}

static void bucket_settle(struct space *space, struct space_bucket *bucket)
{
    for (uint32_t i = 0; i < bucket->count; i++)
        clear_bit(space, bucket->numbers[i]);
    space->pending_count -= bucket->count;
    bucket->count = 0;
}

void space_end_epoch(struct space *space)
{
    if (space->young == NULL)
        return;
    bucket_settle(space, space->young);
    bucket_free(space, space->young);
    space->young = NULL;
}

void space_settle(struct space *space, uint64_t epoch)
{
    LIST_FOR_EACH_SAFE (node, &space->buckets) {
        struct space_bucket *bucket = LIST_ITEM(node, struct space_bucket, link);
        if (bucket->epoch > epoch)
            break;
        bucket_settle(space, bucket);
        if (bucket == space->current)
            space->current = NULL;
        list_remove(&bucket->link);
        bucket_free(space, bucket);
    }
}

uint64_t space_pending(const struct space *space, uint64_t after, uint64_t up_to)
{
    uint64_t count = 0;
    LIST_FOR_EACH (node, &space->buckets) {
        const struct space_bucket *bucket = LIST_ITEM(node, struct space_bucket, link);
        if (bucket->epoch > after && bucket->epoch <= up_to)
            count += bucket->count;
    }
    return count;
}

/* ---- Encoded form ---- */

static void append_varint(struct buffer *to, uint32_t value)
{
    while (value >= 0x80) {
        buffer_append_u8(to, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    buffer_append_u8(to, (uint8_t)value);
}

static uint32_t read_varint(struct reader *r)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        uint8_t byte = read_u8(r);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            if (value > UINT32_MAX)
                r->failed = true;
            return (uint32_t)value;
        }
    }
    r->failed = true;
    return 0;
}

/* Bits of a set of numbers, made for one encoding. */
static uint64_t *make_set(const struct space *space)
{
    return heap_alloc_zero(space->heap, space->words * sizeof(uint64_t));
}

static void add_bucket(uint64_t *set, const struct space_bucket *bucket)
{
    for (uint32_t i = 0; i < bucket->count; i++)
        set[bucket->numbers[i] / 64] |= UINT64_C(1) << (bucket->numbers[i] % 64);
}

/* The next number from `from` on that is in the set (or not in it); page_count when none is. */
static uint32_t next_in(const struct space *space, const uint64_t *set, uint32_t from, bool in)
{
    while (from < space->page_count) {
        uint64_t word = in ? set[from / 64] : ~set[from / 64];
        word &= UINT64_MAX << (from % 64);
        if (word != 0) {
            uint32_t number = from / 64 * 64 + (uint32_t)__builtin_ctzll(word);
            return MIN(number, space->page_count);
        }
        from = from / 64 * 64 + 64;
    }
    return space->page_count;
}

static uint32_t count_runs(const struct space *space, const uint64_t *set)
{
    uint32_t runs = 0;
    uint32_t at = next_in(space, set, 0, true);
    while (at < space->page_count) {
        runs++;
        at = next_in(space, set, next_in(space, set, at, false), true);
    }
    return runs;
}

static void encode_set(const struct space *space, const uint64_t *set, struct buffer *to)
{
    append_varint(to, count_runs(space, set));
    uint32_t end = 0;
    uint32_t at = next_in(space, set, 0, true);
    while (at < space->page_count) {
        append_varint(to, at - end);
        end = next_in(space, set, at, false);
        append_varint(to, end - at);
        at = next_in(space, set, end, true);
    }
}

size_t space_encoded_bytes_max(const struct space *space, uint32_t more)
{
    size_t runs = 2; /* the two counts */
    bool before = false;
    for (uint32_t w = 0; w <= space->page_count / 64 && w < space->words; w++) {
        uint64_t clear = ~space->bits[w];
        runs += (size_t)__builtin_popcountll(clear & ~(clear << 1 | (before ? 1 : 0)));
        before = clear >> 63 != 0;
    }
    return (runs + space->pending_count + more) * 2 * VARINT_BYTES_MAX;
}

void space_encode(const struct space *space, uint64_t settled, struct buffer *to)
{
    uint64_t *free_set = make_set(space);
    uint64_t *pending = make_set(space);
    if (free_set == NULL || pending == NULL) {
        to->failed = true;
    } else {
        for (uint32_t w = 0; w < space->words; w++)
            free_set[w] = ~space->bits[w];
        if (space->young != NULL)
            add_bucket(free_set, space->young);
        LIST_FOR_EACH (node, &space->buckets) {
            const struct space_bucket *bucket = LIST_ITEM(node, struct space_bucket, link);
            add_bucket(bucket->epoch <= settled ? free_set : pending, bucket);
        }
        encode_set(space, free_set, to);
        encode_set(space, pending, to);
    }
    heap_free(space->heap, free_set, space->words * sizeof(uint64_t));
    heap_free(space->heap, pending, space->words * sizeof(uint64_t));
}

/* Read one list of runs; for each number, clear its bit or make it pending. */
static enum status decode_list(struct space *space, struct reader *r, uint64_t epoch, bool pending,
                               uint64_t *plain)
{
    uint32_t runs = read_varint(r);
    uint64_t at = 0;
    for (uint32_t i = 0; i < runs; i++) {
        at += read_varint(r);
        uint64_t length = read_varint(r);
        if (r->failed || length == 0 || at < PAGE_NUMBER_FIRST || at + length > space->page_count)
            return STATUS_CORRUPT;
        if (pending)
            TRY(space_prepare_frees(space, epoch, (uint32_t)length));
        for (uint64_t n = at; n < at + length; n++) {
            if ((plain[n / 64] & UINT64_C(1) << (n % 64)) != 0)
                return STATUS_CORRUPT;
            plain[n / 64] |= UINT64_C(1) << (n % 64);
            if (pending)
                space_give(space, (uint32_t)n, 0, epoch);
            else
                clear_bit(space, (uint32_t)n);
        }
        at += length;
    }
    return r->failed ? STATUS_CORRUPT : STATUS_OK;
}

enum status space_decode(struct space *space, uint32_t page_count, struct bytes encoded,
                         uint64_t epoch, uint32_t *used_end)
{
    enum status status = space_resize(space, page_count);
    uint64_t *seen = NULL;
    if (status != STATUS_OK)
        goto out;
    memset(space->bits, 0xff, space->words * sizeof(uint64_t));
    space->free_count = 0;
    seen = make_set(space);
    status = STATUS_NO_MEMORY;
    if (seen == NULL)
        goto out;
    struct reader r = reader_of(encoded);
    status = decode_list(space, &r, epoch, false, seen);
    if (status == STATUS_OK)
        status = decode_list(space, &r, epoch, true, seen);
    if (status == STATUS_OK && reader_left(&r) != 0)
        status = STATUS_CORRUPT;
    *used_end = page_count;
    while (status == STATUS_OK && *used_end > PAGE_NUMBER_FIRST &&
           (seen[(*used_end - 1) / 64] & UINT64_C(1) << ((*used_end - 1) % 64)) != 0)
        --*used_end;
out:
    heap_free(space->heap, seen, space->words * sizeof(uint64_t));
    if (status != STATUS_OK)
        space_release(space);
    return status;
}
