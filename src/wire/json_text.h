/* json_text.h - the inner loops over JSON text, 8 or 16 bytes at a time; for this folder. */
#ifndef WIRE_JSON_TEXT_H
#define WIRE_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/compiler.h"

/* A byte of a string that the loops stop at: the quote, the backslash, a control character, and
 * with `high` every byte above ASCII. */
static inline bool json_stops(uint8_t c, bool high)
{
    return c == '"' || c == '\\' || c < 0x20 || (high && c >= 0x80);
}

/* A high bit in each of the 8 bytes at `at` that stops; above the lowest one there may be false
 * ones, since borrows run upwards. */
static inline uint64_t json_stop_mask8(const uint8_t *at, bool high)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = UINT64_C(0x8080808080808080);
    uint64_t v;
    memcpy(&v, at, sizeof(v));
    uint64_t quote = v ^ (ones * '"');
    uint64_t slash = v ^ (ones * '\\');
    uint64_t stop =
        ((v - ones * 0x20) & ~v) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash);
    if (high)
        stop |= v;
    return stop & tops;
}

#ifdef __SSE2__

/* A bit for each of the 16 bytes at `at` that stops. */
static inline uint32_t json_stop_mask16(const uint8_t *at, bool high)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
    __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
    __m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
    __m128i stop = _mm_or_si128(_mm_or_si128(quote, slash), control);
    if (high)
        stop = _mm_or_si128(stop, v);
    return (uint32_t)_mm_movemask_epi8(stop);
}

#endif

/* The first byte in [at, end) that stops, or `end`. */
static inline const uint8_t *json_find_stop(const uint8_t *at, const uint8_t *end, bool high)
{
#ifdef __SSE2__
    for (; end - at >= 16; at += 16) {
        uint32_t mask = json_stop_mask16(at, high);
        if (mask != 0)
            return at + __builtin_ctz(mask);
    }
#endif
    for (; end - at >= 8; at += 8) {
        uint64_t mask = json_stop_mask8(at, high);
        if (mask != 0)
            return at + __builtin_ctzll(mask) / 8;
    }
    while (at < end && !json_stops(*at, high))
        at++;
    return at;
}

/* The end of the UTF-8 sequence of two to four bytes at `at`; NULL when it is none: cut short,
 * overlong, a surrogate, above U+10FFFF (Unicode 15, table 3-7). */
static inline const uint8_t *json_utf8_end(const uint8_t *at, const uint8_t *end)
{
    size_t left = (size_t)(end - at);
    uint8_t lead = at[0];
    size_t count = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || left < count)
        return NULL;
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high)
        return NULL;
    for (size_t i = 2; i < count; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return NULL;
    }
    return at + count;
}

#endif
