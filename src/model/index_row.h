/* index_row.h - keys of a global index's rows, and of what stands beside them.
 *
 * A global index is a table of its own: its rows lie in partitions of their own, by keys of the
 * form of key.h:
 *
 *   hash64(p) u64 BE | length of p u16 BE | p | 0 | the index's sort key | the item's key
 *
 * p is the content of the index's partition key: raw when it is one attribute, else the escaped
 * contents of its attributes one after the other.  The sort key is the escaped contents of its
 * attributes, none or up to four; the item's key is its escaped partition key and, raw, its sort
 * key.  So the rows of equal index keys are in the order of their items, and each key says what the
 * item's key is.
 *
 * A row that was deleted leaves a tombstone, the same key in collection 204, until no older change
 * of it can come any more.
 */
#ifndef MODEL_INDEX_ROW_H
#define MODEL_INDEX_ROW_H

#include "model/index.h"

/* The key of the row that a global index has of `item` (an item, or a map of just the attributes of
 * both keys); false: it has none, because a key attribute is missing, of another type, empty, or
 * the contents of one kind are longer together than those of a table's key. */
MUST_USE bool index_row_key(const struct index_schema *index, const struct key_schema *table,
                            uint64_t hash_seed, struct value item, struct key *key);

/* The prefix of all rows of one partition key, up to and including the collection byte, from its
 * attributes' values, which have been checked. */
void index_row_prefix(const struct index_schema *index, uint64_t hash_seed,
                      const struct value *partition, struct key *key);

/* Write the attributes of a row's key as a map value: what LastEvaluatedKey shows.  What is wrong
 * with `key` makes the writer's status STATUS_CORRUPT. */
void index_row_write_decoded(struct value_writer *w, const struct index_schema *index,
                             const struct key_schema *table, struct bytes key);

/* The key of the tombstone of a row.
 *   STATUS_CORRUPT  `row` is no key of one */
MUST_USE enum status index_row_tombstone(struct key *to, struct bytes row);

/* The key of the row that says how far the partition of the table whose range begins with `low` has
 * brought the index up to date; no item has such a key, and it is in the partition's range. */
void index_cursor_key(struct key *to, struct bytes low, uint64_t index_id);

#endif
