/* codec.h - fixed-width integers to and from bytes, and a reader that never runs past its end.
 *
 * Formats on disk and wire are little-endian; what must sort as bytes is big-endian (the _be
 * forms).
 */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "stored integers are little-endian");

static inline uint16_t get_u16(const uint8_t *at)
{
    uint16_t v;
    memcpy(&v, at, sizeof(v));
    return v;
}

static inline uint32_t get_u32(const uint8_t *at)
{
    uint32_t v;
    memcpy(&v, at, sizeof(v));
    return v;
}

static inline uint64_t get_u64(const uint8_t *at)
{
    uint64_t v;
    memcpy(&v, at, sizeof(v));
    return v;
}

static inline void put_u16(uint8_t *at, uint16_t v)
{
    memcpy(at, &v, sizeof(v));
}

static inline void put_u32(uint8_t *at, uint32_t v)
{
    memcpy(at, &v, sizeof(v));
}

static inline void put_u64(uint8_t *at, uint64_t v)
{
    memcpy(at, &v, sizeof(v));
}

static inline uint16_t get_u16_be(const uint8_t *at)
{
    return __builtin_bswap16(get_u16(at));
}

static inline uint32_t get_u32_be(const uint8_t *at)
{
    return __builtin_bswap32(get_u32(at));
}

static inline uint64_t get_u64_be(const uint8_t *at)
{
    return __builtin_bswap64(get_u64(at));
}

static inline void put_u16_be(uint8_t *at, uint16_t v)
{
    put_u16(at, __builtin_bswap16(v));
}

static inline void put_u32_be(uint8_t *at, uint32_t v)
{
    put_u32(at, __builtin_bswap32(v));
}

static inline void put_u64_be(uint8_t *at, uint64_t v)
{
    put_u64(at, __builtin_bswap64(v));
}

/* Reads from left to right.  A read past the end sets `failed` and gives 0 or the empty run, as do
 * all that follow, so a decoder reads a whole record and asks once. */
struct reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline struct reader reader_of(struct bytes bytes)
{
    return (struct reader){bytes.at, bytes.at + bytes.count, false};
}

static inline size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

/* The next `count` bytes, borrowed from what is read. */
static inline struct bytes read_bytes(struct reader *r, size_t count)
{
    if (r->failed || count > reader_left(r)) {
        r->failed = true;
        return (struct bytes){0};
    }
    struct bytes taken = {r->at, count};
    r->at += count;
    return taken;
}

static inline uint8_t read_u8(struct reader *r)
{
    struct bytes b = read_bytes(r, 1);
    return r->failed ? 0 : b.at[0];
}

static inline uint16_t read_u16(struct reader *r)
{
    struct bytes b = read_bytes(r, 2);
    return r->failed ? 0 : get_u16(b.at);
}

static inline uint32_t read_u32(struct reader *r)
{
    struct bytes b = read_bytes(r, 4);
    return r->failed ? 0 : get_u32(b.at);
}

static inline uint64_t read_u64(struct reader *r)
{
    struct bytes b = read_bytes(r, 8);
    return r->failed ? 0 : get_u64(b.at);
}

/* A text: u16 bytes, then they. */
static inline struct bytes read_text(struct reader *r)
{
    return read_bytes(r, read_u16(r));
}

#endif
