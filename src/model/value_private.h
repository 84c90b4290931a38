/* value_private.h - the bytes of a value, for value.c and value_writer.c. */
#ifndef MODEL_VALUE_PRIVATE_H
#define MODEL_VALUE_PRIVATE_H

#include "base/codec.h"
#include "model/value.h"

#define CONTAINER_HEAD_BYTES 9u /* type, bytes of what follows the length, count */
#define CONTAINER_LENGTH_AT  1u
#define CONTAINER_COUNT_AT   5u
#define VARINT_BYTES_MAX     5u

static inline bool is_container(enum value_type type)
{
    return type >= VALUE_SS && type <= VALUE_M;
}

static inline bool is_set(enum value_type type)
{
    return type >= VALUE_SS && type <= VALUE_BS;
}

/* The type of a set's elements. */
static inline enum value_type element_type(enum value_type set)
{
    return set == VALUE_SS ? VALUE_S : set == VALUE_NS ? VALUE_N : VALUE_B;
}

static inline uint8_t *put_varint(uint8_t *to, uint32_t v)
{
    while (UNLIKELY(v >= 0x80)) {
        *to++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *to++ = (uint8_t)v;
    return to;
}

/* Trusted bytes: returns what follows the varint. */
static inline const uint8_t *get_varint(const uint8_t *at, uint32_t *v)
{
    uint32_t value = at[0];
    if (LIKELY(value < 0x80)) {
        *v = value;
        return at + 1;
    }
    value &= 0x7f;
    for (unsigned shift = 7;; shift += 7) {
        uint32_t byte = *++at;
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80)
            break;
    }
    *v = value;
    return at + 1;
}

/* The end of the trusted value that begins at `at`. */
static inline const uint8_t *value_end(const uint8_t *at)
{
    uint32_t count;
    switch ((enum value_type)at[0]) {
    case VALUE_NULL:
        return at + 1;
    case VALUE_BOOL:
        return at + 2;
    case VALUE_N:
        return at + 2 + at[1];
    case VALUE_S:
    case VALUE_B:
        at = get_varint(at + 1, &count);
        return at + count;
    default:
        return at + CONTAINER_COUNT_AT + get_u32(at + CONTAINER_LENGTH_AT);
    }
}

static inline struct value value_of(const uint8_t *at)
{
    return (struct value){at, (uint32_t)(value_end(at) - at)};
}

/* The content of an S, N or B value: what orders it. */
static inline struct bytes scalar_content(const uint8_t *at)
{
    uint32_t count = at[1];
    if (at[0] == VALUE_N)
        return bytes_of(at + 2, count);
    at = get_varint(at + 1, &count);
    return bytes_of(at, count);
}

#endif
