/* value.h - attribute values and items in their binary form, read in place.
 *
 * A value is one run of bytes, self-delimiting, with its type first; `struct value` is a view of
 * it.  An item is a map value (type M).  Views are valid as long as the bytes below them. Accessors
 * trust the bytes: what comes from disk or a peer is checked once by value_check; what comes from a
 * client is built by a writer.
 *
 * Format: type u8 (enum value_type, 1..10), then by type
 *
 *   NULL        nothing
 *   BOOL        u8: 0 or 1
 *   S, B        varint length + bytes (S: UTF-8)
 *   N           u8 length + the encoded number (number.h)
 *   SS, NS, BS  u32 bytes of what follows + u32 count + elements: values of type S, N or B, in
 *               ascending order of their content, without duplicates, at least one
 *   L           the same head + elements: values
 *   M           the same head + elements: varint length + name + value, sorted by name, names
 *               unique
 *
 * Integers are little-endian, varints LEB128 of at most 5 bytes in their shortest form; order is
 * byte order (bytes_compare).  The form is canonical: equal values have equal bytes, whatever order
 * their names and set elements came in, so equality is memcmp.
 *
 * Sets come back in ascending order.  The service promises no order; that it sorts, and does not
 * keep the order of the request, is publicly reported (ananthakumaran/fake_dynamo #9,
 * aws/aws-sdk-php-laravel #46), so no client can rely on another one.
 *
 * Nesting: the values of an item are at level 1, the elements of a list or map one level below it;
 * the lowest level is VALUE_DEPTH_MAX.  So a scalar may lie in 31 lists and maps, as measured on
 * the service (nubo-db/dynoxide #110: "accept 31 map-wraps and reject 32").
 */
#ifndef MODEL_VALUE_H
#define MODEL_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/pause.h"
#include "base/status.h"
#include "model/number.h"

#define VALUE_DEPTH_MAX      32u        /* levels below an item */
#define VALUE_BYTES_MAX      (1u << 30) /* of one value in binary form */
#define VALUE_NAME_BYTES_MAX 65535u     /* of an attribute's name; here only a documented limit */

/* No byte of a binary form is more bytes than this in JSON: {"N":"0.000...1"}, and a comma, are 141
 * bytes for a number that takes 5. */
#define VALUE_TEXT_FACTOR 29u

enum value_type {
    VALUE_NONE, /* no value: a view with at == NULL */
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_N,
    VALUE_S,
    VALUE_B,
    VALUE_SS,
    VALUE_NS,
    VALUE_BS,
    VALUE_L,
    VALUE_M,
    VALUE_TYPE_COUNT
};

/* "S", "NULL", ... as on the wire; "" for VALUE_NONE. */
const char *value_type_name(enum value_type type);

struct value {
    const uint8_t *at; /* NULL: no value */
    uint32_t bytes;    /* the whole value, type included */
};

#define VALUE_ABSENT ((struct value){0})

static inline enum value_type value_type(struct value v)
{
    return v.at == NULL ? VALUE_NONE : (enum value_type)v.at[0];
}

/* Check untrusted bytes: exactly one well-formed value in canonical form, an item (or what nests no
 * deeper than one).  Whether text is UTF-8 is not looked at: that was checked where it came in.
 *   STATUS_CORRUPT  *value is unchanged */
MUST_USE enum status value_check(struct bytes bytes, struct value *value);

bool value_bool(struct value v);                          /* BOOL */
struct bytes value_bytes(struct value v);                 /* S, B: the content */
struct bytes value_number_encoded(struct value v);        /* N: sorts as the number does */
void value_number(struct value v, struct number *number); /* N */
uint32_t value_count(struct value v);                     /* sets, L, M: elements */
bool value_at(struct value list, uint32_t index, struct value *out); /* L; false: beyond the end */
bool value_find(struct value map, struct bytes name,
                struct value *out); /* M; false: no such name */

/* Walk the elements of a set, list or map; set elements are values of type S, N or B. */
struct value_cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool named;
};

void value_cursor_init(struct value_cursor *cursor, struct value container);
/* The next element; `name` (may be NULL) is empty but in maps.  false: no more. */
bool value_next(struct value_cursor *cursor, struct bytes *name, struct value *element);

/* How many levels a value takes: 1, and for a list or map with elements one more than the deepest
 * of them. */
uint32_t value_levels(struct value v);

/* Deep equality as conditions see it: sets without regard to order, numbers by value. */
bool value_equal(struct value a, struct value b);

/* Order of two values of one type among S, N, B; other pairs are not comparable (aborts). */
int value_compare(struct value a, struct value b);

/* Is `element` (S, N, B) in `set`, or in `list` (any type)? */
bool value_contains(struct value container, struct value element);

/* Bytes that the service counts for a value, and for a whole item (names included): Developer
 * Guide, "DynamoDB item sizes and formats". */
uint32_t value_size(struct value v);
uint32_t item_size(struct value item);

/* ---- Writing ---- */

#define VALUE_WRITER_DEPTH_MAX (VALUE_DEPTH_MAX + 2)

/* Builds one value into a buffer, streaming; the buffer's cap bounds it (sorting a set or map takes
 * as much again for a moment, plus 4 bytes for each element).  Failures (no memory, depth) stick:
 * ask once at the end with value_writer_finish.  Several writers may not write to one buffer at
 * once. */
struct value_writer {
    struct buffer *to;
    size_t start;     /* offset in `to` at which this value begins */
    size_t bytes_max; /* of a container; a longer one fails as a full buffer does, unsorted */
    uint32_t depth;
    enum status status;
    struct pause_meter meter; /* long copies and sorts pause; without a pause unless it is set */
    struct {
        size_t at;      /* offset of the container's type byte */
        uint32_t count; /* elements so far */
        enum value_type type;
    } open[VALUE_WRITER_DEPTH_MAX];
};

void value_writer_init(struct value_writer *w, struct buffer *to); /* bytes_max: VALUE_BYTES_MAX */

/* Is what was written longer than bytes_max already? */
static inline bool value_writer_is_over(const struct value_writer *w)
{
    return w->to->count - w->start > w->bytes_max;
}

/* A place to come back to: value_writer_rewind drops what was written since the mark, which must be
 * of the same container, still open; a name written before the mark stays. */
struct value_mark {
    size_t count;
    uint32_t depth;
    uint32_t elements;
};
struct value_mark value_writer_mark(const struct value_writer *w);
void value_writer_rewind(struct value_writer *w, struct value_mark mark);

void value_write_null(struct value_writer *w);
void value_write_bool(struct value_writer *w, bool value);
void value_write_string(struct value_writer *w, struct bytes text);
void value_write_binary(struct value_writer *w, struct bytes content);
void value_write_number(struct value_writer *w, const struct number *number);
void value_write_value(struct value_writer *w, struct value value); /* a copy of a whole value */
/* Open a set, list or map; its elements are the writes until the matching end.  In a map each
 * element is preceded by value_write_name. */
void value_write_begin(struct value_writer *w, enum value_type type);
void value_write_name(struct value_writer *w, struct bytes name);
/* Close the innermost container: sorts a map's names, of a repeated name the last wins; sorts a
 * set.  A duplicate in a set makes the writer's status STATUS_EXISTS, an empty set STATUS_INVALID.
 */
void value_write_end(struct value_writer *w);

/* The finished value; valid as long as the buffer is not changed.
 *   STATUS_TOO_LARGE  nesting too deep, or over VALUE_BYTES_MAX
 *   STATUS_NO_MEMORY  the buffer is full
 *   STATUS_EXISTS     a set has duplicates
 *   STATUS_INVALID    a set is empty or of mixed types */
MUST_USE enum status value_writer_finish(struct value_writer *w, struct value *value);

/* ---- The stored row: header + item ---- */

/* offset size  meaning
 *      0    1  format: 1
 *      1    1  flags: 0
 *      2    2  origin region (little-endian)
 *      4    8  version: the log slot of the write
 *     12    8  write timestamp, HLC
 *     20    -  the item, a map value */
#define ROW_HEADER_BYTES 20u

struct row {
    uint16_t origin_region;
    uint64_t version;
    uint64_t timestamp;
    struct value item;
};

void row_header_write(uint8_t *to, const struct row *row);

/* View a stored row; trusts the item's bytes, which the page checksum covers.
 *   STATUS_VERSION  a format this program does not know     STATUS_CORRUPT  too short */
MUST_USE enum status row_read(struct bytes stored, struct row *row);

#endif
