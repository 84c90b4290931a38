/* stream_iterator.h - sequence numbers and shard iterators, as texts and back.
 *
 * A sequence number is "1", the slot of the entry in 20 digits, and the record's number in that in
 * 5: all have the same length and grow along the shard, over restarts too.
 *
 * A shard iterator is the stream's ARN, "|1|", and in hexadecimal digits, little-endian:
 *   u8 format: 1 | u8 1 = from the oldest record that there is | u16 number | u64 slot
 *   | u64 table id | u64 group | u64 the stream's time | u64 when it was given, ms since 1970
 *   | u64 checksum, with a seed that only the server knows
 *
 * Pure.
 */
#ifndef API_STREAM_ITERATOR_H
#define API_STREAM_ITERATOR_H

#include "base/arena.h"
#include "request/change.h"

#define SEQUENCE_BYTES        26u
#define STREAM_ITERATOR_BYTES 52u

struct stream_iterator {
    bool from_oldest;
    struct change_position position;
    uint64_t table_id;
    uint64_t group_id;
    uint64_t stream_ms; /* the stream's time */
    uint64_t given_ms;
};

/* Write the text, ended by a zero, at `to`; returns it without that. */
struct bytes sequence_number_write(struct change_position position, char to[SEQUENCE_BYTES + 1]);

/* False: it is none. */
MUST_USE bool sequence_number_read(struct bytes text, struct change_position *position);

/* The whole text, in the arena; empty when that is full. */
struct bytes stream_iterator_write(struct arena *arena, struct bytes arn,
                                   const struct stream_iterator *iterator, uint64_t seed);

/* The ARN, which says which seed, and the bytes behind it.  False: it is no iterator. */
MUST_USE bool stream_iterator_split(struct bytes text, struct bytes *arn,
                                    uint8_t raw[STREAM_ITERATOR_BYTES]);

/* False: they are not what was given with that seed. */
MUST_USE bool stream_iterator_read(const uint8_t raw[STREAM_ITERATOR_BYTES], uint64_t seed,
                                   struct stream_iterator *iterator);

#endif
