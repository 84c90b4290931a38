/* index.h - what a secondary index is: its keys, what it projects, and how that is encoded.
 *
 * The catalog's record of a table holds the encoding of its indexes, and it goes to the node with
 * each write of such a table, which keeps the rows of the local ones.  Integers little-endian,
 * texts as u16 length + bytes:
 *
 *   u8 count | for each index:
 *     u8 kind | u8 collection | name
 *     | u8 count, partition key attributes: name, u8 type | u8 count, sort key attributes
 *     | u8 projection | u8 count, non-key attributes: name
 *
 * Valid if and only if all counts are within their limits, each local index has a collection of its
 * own in 1 to LOCAL_INDEXES_MAX, one partition and one sort key attribute, key types are S, N or B,
 * and only INCLUDE has non-key attributes.
 */
#ifndef MODEL_INDEX_H
#define MODEL_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/codec.h"
#include "base/status.h"
#include "model/key.h"
#include "model/value.h"

#define GLOBAL_INDEXES_MAX       20u
#define INDEX_NAME_BYTES_MAX     255u
#define INDEXES_MAX              (LOCAL_INDEXES_MAX + GLOBAL_INDEXES_MAX) /* of a table */
#define INDEX_KEY_ATTRIBUTES_MAX 4u   /* of each kind; a local index has one of each */
#define INDEX_NON_KEY_MAX        20u  /* of one index */
#define INDEXES_NON_KEY_MAX      100u /* of all indexes of a table */

enum index_kind { INDEX_LOCAL, INDEX_GLOBAL };
enum projection { PROJECT_ALL, PROJECT_INCLUDE, PROJECT_KEYS_ONLY };

/* All names are borrowed from where it was read or decoded. */
struct index_schema {
    struct bytes name;
    enum index_kind kind;
    uint8_t collection; /* of a local index's rows; else 0 */
    uint8_t partition_count, sort_count;
    struct key_attribute partition[INDEX_KEY_ATTRIBUTES_MAX];
    struct key_attribute sort[INDEX_KEY_ATTRIBUTES_MAX];
    enum projection projection;
    uint8_t non_key_count;
    struct bytes non_key[INDEX_NON_KEY_MAX];
};

/* Append the encoding of `count` indexes. */
void index_encode(const struct index_schema *indexes, uint32_t count, struct buffer *to);

/* Read the count, then as many indexes.  What is not valid makes the reader fail. */
uint8_t index_read_count(struct reader *r);
void index_read(struct reader *r, struct index_schema *index);

/* Is `name` a key attribute of the index? */
bool index_has_key(const struct index_schema *index, struct bytes name);

/* Does the index hold attribute `name` of the items of a table with this key? */
bool index_projects(const struct index_schema *index, const struct key_schema *table,
                    struct bytes name);

/* What an index holds of `item`: VALUE_ABSENT when the item has no row in it, because it lacks a
 * key attribute of the index or has it in another type (of a global index index_row_key is more
 * exact).  With PROJECT_ALL it is `item` itself, else it is written
 * to `to`, behind what that holds; valid as long as `to` is not changed.
 *   STATUS_NO_MEMORY */
MUST_USE enum status index_project(const struct index_schema *index, const struct key_schema *table,
                                   struct value item, struct buffer *to, struct value *projected);

/* A local index's sort key in `item`, of the right type; false: the item has no row in it. */
bool index_sort_key(const struct index_schema *index, struct value item, struct value *sort);

#endif
