#include "api/stream_iterator.h"

#include <stdio.h>

#include "base/checksum.h"
#include "base/codec.h"

#define FORMAT       1u
#define SUMMED_BYTES (STREAM_ITERATOR_BYTES - 8u)

/* ---- Sequence numbers ---- */

struct bytes sequence_number_write(struct change_position position, char to[SEQUENCE_BYTES + 1])
{
    snprintf(to, SEQUENCE_BYTES + 1, "1%020llu%05u", (unsigned long long)position.slot,
             (unsigned)position.number);
    return bytes_of(to, SEQUENCE_BYTES);
}

static bool parse_digits(struct bytes text, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < text.count; i++) {
        uint64_t digit = (uint64_t)text.at[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(*value, UINT64_C(10), value) ||
            __builtin_add_overflow(*value, digit, value))
            return false;
    }
    return true;
}

bool sequence_number_read(struct bytes text, struct change_position *position)
{
    uint64_t number;
    if (text.count != SEQUENCE_BYTES || text.at[0] != '1' ||
        !parse_digits(bytes_of(text.at + 1, 20), &position->slot) ||
        !parse_digits(bytes_of(text.at + 21, 5), &number) || number > UINT16_MAX ||
        position->slot == UINT64_MAX) /* there is one behind each */
        return false;
    position->number = (uint16_t)number;
    return true;
}

/* ---- Iterators ---- */

struct bytes stream_iterator_write(struct arena *arena, struct bytes arn,
                                   const struct stream_iterator *iterator, uint64_t seed)
{
    uint8_t raw[STREAM_ITERATOR_BYTES] = {FORMAT, iterator->from_oldest};
    char text[2 * STREAM_ITERATOR_BYTES];
    put_u16(raw + 2, iterator->position.number);
    put_u64(raw + 4, iterator->position.slot);
    put_u64(raw + 12, iterator->table_id);
    put_u64(raw + 20, iterator->group_id);
    put_u64(raw + 28, iterator->stream_ms);
    put_u64(raw + 36, iterator->given_ms);
    put_u64(raw + SUMMED_BYTES, checksum64(bytes_of(raw, SUMMED_BYTES), seed));
    for (size_t i = 0; i < STREAM_ITERATOR_BYTES; i++) {
        text[2 * i] = "0123456789abcdef"[raw[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[raw[i] & 15];
    }
    return arena_format(arena, "%.*s|1|%.*s", BYTES_ARGS(arn), (int)sizeof(text), text);
}

static int hexadecimal(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool stream_iterator_split(struct bytes text, struct bytes *arn, uint8_t raw[STREAM_ITERATOR_BYTES])
{
    size_t tail = 2 * (size_t)STREAM_ITERATOR_BYTES + 3;
    if (text.count <= tail)
        return false;
    *arn = bytes_of(text.at, text.count - tail);
    const uint8_t *at = text.at + arn->count;
    if (memcmp(at, "|1|", 3) != 0)
        return false;
    at += 3;
    for (uint32_t i = 0; i < STREAM_ITERATOR_BYTES; i++, at += 2) {
        int high = hexadecimal(at[0]), low = hexadecimal(at[1]);
        if (high < 0 || low < 0)
            return false;
        raw[i] = (uint8_t)(high << 4 | low);
    }
    return raw[0] == FORMAT && raw[1] <= 1;
}

bool stream_iterator_read(const uint8_t raw[STREAM_ITERATOR_BYTES], uint64_t seed,
                          struct stream_iterator *iterator)
{
    *iterator = (struct stream_iterator){
        .from_oldest = raw[1] != 0,
        .position = {.slot = get_u64(raw + 4), .number = get_u16(raw + 2)},
        .table_id = get_u64(raw + 12),
        .group_id = get_u64(raw + 20),
        .stream_ms = get_u64(raw + 28),
        .given_ms = get_u64(raw + 36),
    };
    return get_u64(raw + SUMMED_BYTES) == checksum64(bytes_of(raw, SUMMED_BYTES), seed);
}
