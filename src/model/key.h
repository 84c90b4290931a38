/* key.h - primary keys as bytes of a replica's tree, and the ranges of them that queries and
 * partitions are.
 *
 *   hash64(pk) u64 BE | length of pk u16 BE | pk | collection u8 | sort part
 *
 * pk is the partition key's content: S and B raw, N encoded (order-preserving).  Collection 0 is
 * the item itself; its sort part is the sort key raw (S, B) or encoded (N), empty when the table
 * has none.  hash64 is XXH3-64 of pk with the table's seed; no code compares hashes to find a
 * partition: partitions are ranges of these bytes.
 */
#ifndef MODEL_KEY_H
#define MODEL_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/status.h"
#include "model/value.h"

#define KEY_PARTITION_BYTES_MAX 2048u /* of a partition key's content */
#define KEY_SORT_BYTES_MAX      1024u
#define KEY_BYTES_MAX           (8u + 2u + KEY_PARTITION_BYTES_MAX + 1u + KEY_SORT_BYTES_MAX)
#define KEY_COLLECTION_ITEM     0u

/* One key attribute of a table or index. */
struct key_attribute {
    struct bytes name;
    enum value_type type; /* S, N or B; VALUE_NONE: there is no such attribute */
};

struct key_schema {
    struct key_attribute partition;
    struct key_attribute sort; /* .type == VALUE_NONE: a table without a sort key */
};

/* Is `name` a key attribute? */
bool key_schema_has(const struct key_schema *schema, struct bytes name);

/* An encoded key, by value. */
struct key {
    uint16_t count;
    uint8_t at[KEY_BYTES_MAX];
};

static inline struct bytes key_bytes(const struct key *key)
{
    return bytes_of(key->at, key->count);
}

/* Encode the primary key.  `partition` and `sort` are values of type S, N or B whose sizes are
 * within the limits (checked by the caller with exact messages; asserted here); sort is
 * VALUE_ABSENT for a table without. */
void key_encode(struct key *key, uint64_t hash_seed, struct value partition, struct value sort);

/* The prefix that all items of one partition key share: up to and including the collection byte. */
void key_encode_collection(struct key *key, uint64_t hash_seed, struct value partition);

/* The smallest key above all that begin with `prefix`; false when there is none (all 0xff). */
bool key_after_prefix(struct key *key, struct bytes prefix);

/* Write the primary key attributes of an encoded key of collection 0, which the caller's tree has
 * verified, as a map value: what LastEvaluatedKey shows. */
void key_write_decoded(struct value_writer *w, const struct key_schema *schema, struct bytes key);

/* The low bound of part `index` of `count` equal shares of the hash space: 8 bytes; index 0 is the
 * empty run.  Used for the first partitions of a table and the segments of a parallel scan. */
struct bytes key_hash_share(uint32_t index, uint32_t count, uint8_t to[8]);

#endif
