#include "model/index_row.h"

#include "base/assert.h"
#include "base/codec.h"

_Static_assert(INDEX_KEY_ATTRIBUTES_MAX == KEY_ATTRIBUTES_MAX, "a key has room for them");

/* The values of `count` key attributes, all there and of their types, with contents of at most
 * `most` bytes together. */
static bool find_values(const struct key_attribute *attributes, uint8_t count, struct value item,
                        size_t most, struct value *values)
{
    size_t bytes = 0;
    for (uint8_t i = 0; i < count; i++) {
        if (!value_find(item, attributes[i].name, &values[i]) ||
            value_type(values[i]) != attributes[i].type)
            return false;
        size_t content = key_content(values[i]).count;
        if (content == 0)
            return false;
        bytes += content;
    }
    return bytes <= most;
}

void index_row_prefix(const struct index_schema *index, uint64_t hash_seed,
                      const struct value *partition, struct key *key)
{
    if (index->partition_count == 1) {
        key_encode_collection(key, hash_seed, partition[0]);
        return;
    }
    key->count = 10;
    for (uint8_t i = 0; i < index->partition_count; i++)
        key_append_escaped(key, partition[i]);
    key_put_hash(key, hash_seed, bytes_of(key->at + 10, key->count - 10u));
    key->at[key->count++] = KEY_COLLECTION_ITEM;
}

bool index_row_key(const struct index_schema *index, const struct key_schema *table,
                   uint64_t hash_seed, struct value item, struct key *key)
{
    struct value partition[INDEX_KEY_ATTRIBUTES_MAX], sort[INDEX_KEY_ATTRIBUTES_MAX];
    struct value item_partition, item_sort;
    if (value_type(item) == VALUE_NONE ||
        !find_values(index->partition, index->partition_count, item, KEY_PARTITION_BYTES_MAX,
                     partition) ||
        !find_values(index->sort, index->sort_count, item, KEY_SORT_BYTES_MAX, sort) ||
        !find_values(&table->partition, 1, item, KEY_PARTITION_BYTES_MAX, &item_partition) ||
        (table->sort.type != VALUE_NONE &&
         !find_values(&table->sort, 1, item, KEY_SORT_BYTES_MAX, &item_sort)))
        return false;
    index_row_prefix(index, hash_seed, partition, key);
    for (uint8_t i = 0; i < index->sort_count; i++)
        key_append_escaped(key, sort[i]);
    key_append_escaped(key, item_partition);
    if (table->sort.type == VALUE_NONE)
        return true;
    struct bytes content = key_content(item_sort);
    memcpy(key->at + key->count, content.at, content.count);
    key->count = (uint16_t)(key->count + content.count);
    return true;
}

/* ---- Back from the bytes ---- */

struct unescaping {
    struct value_writer *w;
    const struct index_schema *index;
    struct bytes left;
    bool failed;
};

/* The next escaped content is that of `attribute`. */
static void take_escaped(struct unescaping *u, const struct key_attribute *attribute, bool shown)
{
    uint8_t content[KEY_PARTITION_BYTES_MAX];
    size_t count, taken;
    if (u->failed || key_unescape(u->left, content, sizeof(content), &count, &taken) != STATUS_OK) {
        u->failed = true;
        return;
    }
    u->left = bytes_after(u->left, taken);
    if (shown)
        key_write_content(u->w, attribute, bytes_of(content, count));
}

static void take_partition(struct unescaping *u, struct bytes p)
{
    const struct index_schema *index = u->index;
    if (index->partition_count == 1) {
        key_write_content(u->w, &index->partition[0], p);
        return;
    }
    struct bytes behind = u->left;
    u->left = p;
    for (uint8_t i = 0; i < index->partition_count; i++)
        take_escaped(u, &index->partition[i], true);
    u->failed |= u->left.count > 0;
    u->left = behind;
}

void index_row_write_decoded(struct value_writer *w, const struct index_schema *index,
                             const struct key_schema *table, struct bytes key)
{
    struct unescaping u = {.w = w, .index = index};
    size_t p_bytes = key.count >= 11 ? get_u16_be(key.at + 8) : 0;
    if (key.count < 11 + p_bytes) {
        w->status = STATUS_CORRUPT;
        return;
    }
    u.left = bytes_after(key, 11 + p_bytes);
    value_write_begin(w, VALUE_M);
    take_partition(&u, bytes_of(key.at + 10, p_bytes));
    for (uint8_t i = 0; i < index->sort_count; i++)
        take_escaped(&u, &index->sort[i], true);
    take_escaped(&u, &table->partition, !index_has_key(index, table->partition.name));
    if (!u.failed && table->sort.type != VALUE_NONE && !index_has_key(index, table->sort.name))
        key_write_content(w, &table->sort, u.left);
    value_write_end(w);
    if (u.failed)
        w->status = STATUS_CORRUPT;
}

/* ---- What stands beside the rows ---- */

enum status index_row_tombstone(struct key *to, struct bytes row)
{
    TRY(key_in_collection(to, row, KEY_COLLECTION_TOMBSTONE));
    struct bytes behind = bytes_after(row, to->count);
    if (behind.count > KEY_BYTES_MAX - to->count)
        return STATUS_CORRUPT;
    memcpy(to->at + to->count, behind.at, behind.count);
    to->count = (uint16_t)(to->count + behind.count);
    return STATUS_OK;
}

void index_cursor_key(struct key *to, struct bytes low, uint64_t index_id)
{
    /* A range begins with a hash, or a key that begins with one: so does what is in it. */
    memset(to->at, 0, 11);
    if (low.count > 0)
        memcpy(to->at, low.at, low.count < 8 ? low.count : 8);
    to->count = 11;
    to->at[10] = KEY_COLLECTION_CURSOR;
    put_u64_be(to->at + to->count, index_id);
    to->count += 8;
}
