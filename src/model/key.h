/* key.h - primary keys as bytes of a replica's tree, and the ranges of them that queries and
 * partitions are.
 *
 *   hash64(pk) u64 BE | length of pk u16 BE | pk | collection u8 | sort part
 *
 * pk is the partition key's content: S and B raw, N encoded (order-preserving).  Collection 0 is
 * the item itself; its sort part is the sort key raw (S, B) or encoded (N), empty when the table
 * has none.  hash64 is XXH3-64 of pk with the table's seed; no code compares hashes to find a
 * partition: partitions are ranges of these bytes.
 *
 * Collections 1 to 5 are the rows of the table's local indexes; their sort part is the escaped
 * index sort key, then the item's sort part.  Collection 202 is the size of the item collection,
 * kept for tables with local indexes; its sort part is empty.  200 and 203 are of
 * transactions.  Collections 204 and 205 belong to
 * global indexes (model/index_row.h): what was deleted from one, and how far a partition of the
 * table has brought one up to date.
 *
 * Escaped: groups of nine bytes, eight of content and one that says how many of them count: 9 when
 * all do and another group follows, else 0 to 8, and the others are zero.  So escaped contents sort
 * as the contents do, and none is the beginning of another.  Only the content of no bytes has a
 * group of none.
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
/* Of an item's key. */
#define KEY_ITEM_BYTES_MAX (8u + 2u + KEY_PARTITION_BYTES_MAX + 1u + KEY_SORT_BYTES_MAX)

#define KEY_ATTRIBUTES_MAX 4u /* of each kind, in a global index's key */

/* What `bytes` bytes of contents, in `count` attributes, are at most when they are escaped. */
#define KEY_ESCAPED(bytes, count) ((bytes) / 8u * 9u + (count)*9u)

/* The longest prefix and the longest key are those of global indexes (model/index_row.h). */
#define KEY_PREFIX_BYTES_MAX                                                                       \
    (8u + 2u + KEY_ESCAPED(KEY_PARTITION_BYTES_MAX, KEY_ATTRIBUTES_MAX) + 1u)
#define KEY_BYTES_MAX                                                                              \
    (KEY_PREFIX_BYTES_MAX + KEY_ESCAPED(KEY_SORT_BYTES_MAX, KEY_ATTRIBUTES_MAX) +                  \
     KEY_ESCAPED(KEY_PARTITION_BYTES_MAX, 1u) + KEY_SORT_BYTES_MAX)

#define KEY_COLLECTION_ITEM      0u   /* 1 to LOCAL_INDEXES_MAX: a local index */
#define KEY_COLLECTION_TTL       201u /* behind all items: see key_encode_ttl */
#define KEY_COLLECTION_SIZE      202u /* of the item collection */
#define KEY_COLLECTION_MARK      203u /* of transactions in one round, see node/ */
#define KEY_COLLECTION_TOMBSTONE 204u /* of a row of a global index */
#define KEY_COLLECTION_CURSOR    205u /* of the propagation into a global index */
#define LOCAL_INDEXES_MAX        5u

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

/* Write what stands before pk: its hash, and its length. */
void key_put_hash(struct key *key, uint64_t hash_seed, struct bytes pk);

/* What a key holds of a value: S and B raw, N encoded. */
struct bytes key_content(struct value v);

/* Write an attribute of a key, name and value, from its content; one that is no content of its type
 * makes the writer's status STATUS_CORRUPT. */
void key_write_content(struct value_writer *w, const struct key_attribute *attribute,
                       struct bytes content);

/* ---- Other collections ---- */

/* The collection of a key; KEY_COLLECTION_ITEM for bytes that are too short to be one. */
uint8_t key_collection(struct bytes key);

/* The key that `key`'s partition key has in another collection, up to and including the collection
 * byte.
 *   STATUS_CORRUPT  `key` is none */
MUST_USE enum status key_in_collection(struct key *to, struct bytes key, uint8_t collection);

/* Append an escaped sort key: S, B or N within the limits. */
void key_append_escaped(struct key *key, struct value sort);

/* As key_append_escaped, for bytes (which need not be a whole key), at most
 * KEY_PARTITION_BYTES_MAX. */
void key_append_escaped_bytes(struct key *key, struct bytes content);

/* Read one escaped content from the start of `from` into `to` (`most` bytes); *taken is what it
 * took there.
 *   STATUS_CORRUPT  it is not one, or not in its only form */
MUST_USE enum status key_unescape(struct bytes from, uint8_t *to, size_t most, size_t *count,
                                  size_t *taken);

/* The key of an item's row in local index `collection`: `item` is the item's key, `sort` the
 * index's sort key.
 *   STATUS_CORRUPT  `item` is no key of an item */
MUST_USE enum status key_encode_index(struct key *to, struct bytes item, uint8_t collection,
                                      struct value sort);

/* The key of the item that a row of a local index stands for.
 *   STATUS_CORRUPT  `row` is no key of such a row */
MUST_USE enum status key_of_item(struct key *to, struct bytes row);

/* ---- Behind all items ---- */

/* No key of an item, of an index's row or of what else lies with items begins with eight bytes
 * 0xff: their hash is below that.  Rows that are found by another order than that of the items
 * lie there, in the tree of the partition that has their items, outside of its range of keys. */
#define KEY_BEYOND BYTES("\xff\xff\xff\xff\xff\xff\xff\xff")

/* The key of the row that says when an item expires: eight bytes 0xff, u16 8, the second (u64,
 * big-endian), the collection, the item's key.  So the rows are in the order of time.  An empty
 * `item`: the first of that second. */
void key_encode_ttl(struct key *key, uint64_t expires_s, struct bytes item);

/* Read such a key; `item` is a view.
 *   STATUS_CORRUPT  it is none */
MUST_USE enum status key_read_ttl(struct bytes key, uint64_t *expires_s, struct bytes *item);

/* The smallest key above all that begin with `prefix`; false when there is none (all 0xff). */
bool key_after_prefix(struct key *key, struct bytes prefix);

/* Write the primary key attributes of an encoded key of collection 0, which the caller's tree has
 * verified, as a map value: what LastEvaluatedKey shows. */
void key_write_decoded(struct value_writer *w, const struct key_schema *schema, struct bytes key);

/* The same of a local index's row: the primary key and the index's sort key.  What is wrong with
 * `key` makes the writer's status STATUS_CORRUPT. */
void key_write_decoded_index(struct value_writer *w, const struct key_schema *schema,
                             const struct key_attribute *sort, struct bytes key);

/* The low bound of part `index` of `count` equal shares of the hash space: 8 bytes; index 0 is the
 * empty run.  Used for the first partitions of a table and the segments of a parallel scan. */
struct bytes key_hash_share(uint32_t index, uint32_t count, uint8_t to[8]);

#endif
