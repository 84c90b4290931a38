#include "wire/base64.h"

#include "wire/json_text.h"

/* A digit's value + 1; 0: not a digit. */
static const uint8_t digit_values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

/* Decode `count` digits, a multiple of 4; false: one is none. */
static bool decode_groups(const uint8_t *at, size_t count, uint8_t *to)
{
    uint32_t valid = 1;
    for (const uint8_t *end = at + count; at < end; at += 4, to += 3) {
        uint32_t a = digit_values[at[0]], b = digit_values[at[1]];
        uint32_t c = digit_values[at[2]], d = digit_values[at[3]];
        valid &= (a != 0) & (b != 0) & (c != 0) & (d != 0);
        uint32_t v = ((a - 1) << 18) + ((b - 1) << 12) + ((c - 1) << 6) + (d - 1);
        to[0] = (uint8_t)(v >> 16);
        to[1] = (uint8_t)(v >> 8);
        to[2] = (uint8_t)v;
    }
    return valid != 0;
}

/* Decode many; false: one is none, and *bad is the place of the part that holds it. */
static bool decode_all(const uint8_t *at, size_t count, uint8_t *to, const struct pause *pause,
                       size_t *bad)
{
    for (size_t done = 0; done < count;) {
        size_t part = MIN(count - done, PAUSE_BYTES);
        *bad = done;
        if (!decode_groups(at + done, part, to + done / 4 * 3))
            return false;
        done += part;
        if (done < count)
            pause_run(pause);
    }
    *bad = count;
    return true;
}

/* The last group, of 2 or 3 digits and padding: its unused bits must be zero. */
static bool decode_last(const uint8_t *at, size_t digits, uint8_t *to)
{
    uint32_t a = digit_values[at[0]], b = digit_values[at[1]];
    uint32_t c = digits == 3 ? digit_values[at[2]] : 1;
    if (a == 0 || b == 0 || c == 0)
        return false;
    uint32_t v = ((a - 1) << 18) + ((b - 1) << 12) + ((c - 1) << 6);
    to[0] = (uint8_t)(v >> 16);
    if (digits == 3)
        to[1] = (uint8_t)(v >> 8);
    return (v & (digits == 3 ? 0xffu : 0xffffu)) == 0;
}

/* Which of the digits at `at`, from `from` on, is none, or that the unused bits of the last are not
 * zero. */
static struct bytes explain(const uint8_t *at, size_t from, size_t digits, struct arena *arena)
{
    uint8_t last = digits > 0 ? digit_values[at[digits - 1]] : 0;
    uint32_t unused = digits % 4 == 2 ? 15 : digits % 4 == 3 ? 3 : 0;
    if (last != 0 && ((last - 1u) & unused) != 0)
        return BYTES("Invalid last non-pad Base64 character dectected");
    size_t i = from;
    while (i < digits && digit_values[at[i]] != 0)
        i++;
    const uint8_t *end = i < digits && at[i] >= 0x80 ? json_utf8_end(at + i, at + digits) : NULL;
    int length = end != NULL ? (int)(end - (at + i)) : 1;
    return arena_format(arena, "Invalid Base64 character: '%.*s'", length, (const char *)at + i);
}

enum status base64_decode(struct bytes text, struct arena *arena, struct bytes *content,
                          struct bytes *message)
{
    return base64_decode_paused(text, arena, NULL, content, message);
}

enum status base64_decode_paused(struct bytes text, struct arena *arena, const struct pause *pause,
                                 struct bytes *content, struct bytes *message)
{
    if (text.count % 4 != 0) {
        *message = arena_format(
            arena, "Base64 encoded length is expected a multiple of 4 bytes but found: %zu",
            text.count);
        return message->at != NULL ? STATUS_INVALID : STATUS_NO_MEMORY;
    }
    size_t digits = text.count;
    while (digits > 0 && text.count - digits < 2 && text.at[digits - 1] == '=')
        digits--;
    size_t whole = digits / 4 * 4;
    size_t rest = digits - whole;
    uint8_t *to = arena_alloc(arena, text.count / 4 * 3 + 1);
    if (to == NULL)
        return STATUS_NO_MEMORY;
    size_t bad;
    if (!decode_all(text.at, whole, to, pause, &bad) ||
        (rest > 0 && !decode_last(text.at + whole, rest, to + whole / 4 * 3))) {
        *message = explain(text.at, bad, digits, arena);
        return message->at != NULL ? STATUS_INVALID : STATUS_NO_MEMORY;
    }
    *content = bytes_of(to, whole / 4 * 3 + (rest > 0 ? rest - 1 : 0));
    return STATUS_OK;
}
