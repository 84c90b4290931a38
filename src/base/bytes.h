/* bytes.h - a borrowed run of bytes: pointer and length, never owned, never terminated by zero. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Who owns `at`, and how long it is valid, is said where a struct bytes is handed over.
 * The empty run may have a NULL pointer. */
struct bytes {
    const uint8_t *at;
    size_t count;
};

/* The bytes of a string literal, without its terminating zero. */
#define BYTES(literal) ((struct bytes){(const uint8_t *)(literal), sizeof(literal) - 1})

/* printf arguments for "%.*s". */
#define BYTES_ARGS(b) (int)(b).count, (const char *)((b).count > 0 ? (b).at : (const uint8_t *)"")

static inline struct bytes bytes_of(const void *at, size_t count)
{
    return (struct bytes){(const uint8_t *)at, count};
}

static inline struct bytes bytes_of_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.count == b.count && (a.count == 0 || memcmp(a.at, b.at, a.count) == 0);
}

/* < 0, 0, > 0 in unsigned byte order; a prefix sorts before what it begins. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t common = a.count < b.count ? a.count : b.count;
    int order = common > 0 ? memcmp(a.at, b.at, common) : 0;
    if (order != 0)
        return order;
    return a.count < b.count ? -1 : a.count > b.count;
}

static inline bool bytes_start_with(struct bytes whole, struct bytes prefix)
{
    return whole.count >= prefix.count &&
           (prefix.count == 0 || memcmp(whole.at, prefix.at, prefix.count) == 0);
}

/* `b` without its first `count` bytes; count <= b.count. */
static inline struct bytes bytes_after(struct bytes b, size_t count)
{
    return (struct bytes){b.at + count, b.count - count};
}

#endif
