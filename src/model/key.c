#include "model/key.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/codec.h"

bool key_schema_has(const struct key_schema *schema, struct bytes name)
{
    return bytes_equal(name, schema->partition.name) ||
           (schema->sort.type != VALUE_NONE && bytes_equal(name, schema->sort.name));
}

struct bytes key_content(struct value v)
{
    return value_type(v) == VALUE_N ? value_number_encoded(v) : value_bytes(v);
}

void key_put_hash(struct key *key, uint64_t hash_seed, struct bytes pk)
{
    uint64_t hash = checksum64(pk, hash_seed);
    put_u64_be(key->at, MIN(hash, UINT64_MAX - 1)); /* below KEY_BEYOND */
    put_u16_be(key->at + 8, (uint16_t)pk.count);
}

void key_encode_collection(struct key *key, uint64_t hash_seed, struct value partition)
{
    struct bytes pk = key_content(partition);
    ASSERT(pk.count <= KEY_PARTITION_BYTES_MAX);
    key_put_hash(key, hash_seed, pk);
    uint8_t *to = key->at + 10;
    if (pk.count > 0)
        memcpy(to, pk.at, pk.count);
    to += pk.count;
    *to++ = KEY_COLLECTION_ITEM;
    key->count = (uint16_t)(to - key->at);
}

void key_encode(struct key *key, uint64_t hash_seed, struct value partition, struct value sort)
{
    key_encode_collection(key, hash_seed, partition);
    if (sort.at == NULL)
        return;
    struct bytes content = key_content(sort);
    ASSERT(content.count <= KEY_SORT_BYTES_MAX);
    if (content.count > 0)
        memcpy(key->at + key->count, content.at, content.count);
    key->count = (uint16_t)(key->count + content.count);
}

/* ---- Other collections ---- */

#define GROUP_BYTES   8u
#define GROUP_GOES_ON 9u

_Static_assert(19u + KEY_ITEM_BYTES_MAX <= KEY_BYTES_MAX, "a row of an expiry has a key");

/* Bytes up to the collection byte; 0: `key` is too short to be one. */
static size_t prefix_bytes(struct bytes key)
{
    if (key.count < 11)
        return 0;
    size_t bytes = 10u + get_u16_be(key.at + 8);
    return bytes < key.count && bytes < KEY_PREFIX_BYTES_MAX ? bytes : 0;
}

uint8_t key_collection(struct bytes key)
{
    size_t prefix = prefix_bytes(key);
    return prefix == 0 ? KEY_COLLECTION_ITEM : key.at[prefix];
}

enum status key_in_collection(struct key *to, struct bytes key, uint8_t collection)
{
    size_t prefix = prefix_bytes(key);
    if (prefix == 0)
        return STATUS_CORRUPT;
    memcpy(to->at, key.at, prefix);
    to->at[prefix] = collection;
    to->count = (uint16_t)(prefix + 1);
    return STATUS_OK;
}

/* ---- Behind all items ---- */

#define TTL_PREFIX_BYTES 19u

void key_encode_ttl(struct key *key, uint64_t expires_s, struct bytes item)
{
    ASSERT(item.count <= KEY_ITEM_BYTES_MAX);
    memset(key->at, 0xff, 8);
    put_u16_be(key->at + 8, 8);
    put_u64_be(key->at + 10, expires_s);
    key->at[18] = KEY_COLLECTION_TTL;
    if (item.count > 0)
        memcpy(key->at + TTL_PREFIX_BYTES, item.at, item.count);
    key->count = (uint16_t)(TTL_PREFIX_BYTES + item.count);
}

enum status key_read_ttl(struct bytes key, uint64_t *expires_s, struct bytes *item)
{
    if (key.count <= TTL_PREFIX_BYTES || !bytes_start_with(key, KEY_BEYOND) ||
        get_u16_be(key.at + 8) != 8 || key.at[18] != KEY_COLLECTION_TTL ||
        key.count - TTL_PREFIX_BYTES > KEY_ITEM_BYTES_MAX)
        return STATUS_CORRUPT;
    *expires_s = get_u64_be(key.at + 10);
    *item = bytes_after(key, TTL_PREFIX_BYTES);
    return STATUS_OK;
}

void key_append_escaped_bytes(struct key *key, struct bytes content)
{
    ASSERT(content.count <= KEY_PARTITION_BYTES_MAX);
    ASSERT(key->count + KEY_ESCAPED(content.count, 1u) <= KEY_BYTES_MAX);
    uint8_t *to = key->at + key->count;
    size_t at = 0;
    do {
        size_t left = content.count - at;
        size_t taken = left < GROUP_BYTES ? left : GROUP_BYTES;
        memset(to, 0, GROUP_BYTES);
        if (taken > 0)
            memcpy(to, content.at + at, taken);
        to[GROUP_BYTES] = left > GROUP_BYTES ? GROUP_GOES_ON : (uint8_t)taken;
        to += GROUP_BYTES + 1;
        at += taken;
    } while (at < content.count);
    key->count = (uint16_t)(to - key->at);
}

void key_append_escaped(struct key *key, struct value sort)
{
    key_append_escaped_bytes(key, key_content(sort));
}

enum status key_unescape(struct bytes from, uint8_t *to, size_t most, size_t *count, size_t *taken)
{
    size_t total = 0;
    for (size_t at = 0; from.count - at >= GROUP_BYTES + 1; at += GROUP_BYTES + 1) {
        const uint8_t *group = from.at + at;
        uint8_t mark = group[GROUP_BYTES];
        size_t used = mark == GROUP_GOES_ON ? GROUP_BYTES : mark;
        if (mark > GROUP_GOES_ON || (mark == 0 && at > 0) || total + used > most)
            return STATUS_CORRUPT;
        for (size_t i = used; i < GROUP_BYTES; i++) {
            if (group[i] != 0)
                return STATUS_CORRUPT;
        }
        memcpy(to + total, group, used);
        total += used;
        if (mark == GROUP_GOES_ON)
            continue;
        *count = total;
        *taken = at + GROUP_BYTES + 1;
        return STATUS_OK;
    }
    return STATUS_CORRUPT;
}

/* Append the sort part of an item's key. */
static enum status append_sort(struct key *to, struct bytes sort)
{
    if (sort.count > KEY_SORT_BYTES_MAX)
        return STATUS_CORRUPT;
    if (sort.count > 0)
        memcpy(to->at + to->count, sort.at, sort.count);
    to->count = (uint16_t)(to->count + sort.count);
    return STATUS_OK;
}

enum status key_encode_index(struct key *to, struct bytes item, uint8_t collection,
                             struct value sort)
{
    ASSERT(collection >= 1 && collection <= LOCAL_INDEXES_MAX);
    TRY(key_in_collection(to, item, collection));
    struct bytes item_sort = bytes_after(item, to->count);
    key_append_escaped(to, sort);
    return append_sort(to, item_sort);
}

/* The parts of an index row's key behind its prefix: the index's sort key into `content`, and the
 * item's sort part. */
static enum status split_index(struct bytes row, uint8_t *content, size_t *count,
                               struct bytes *item_sort)
{
    size_t prefix = prefix_bytes(row), taken;
    if (prefix == 0)
        return STATUS_CORRUPT;
    TRY(key_unescape(bytes_after(row, prefix + 1), content, KEY_SORT_BYTES_MAX, count, &taken));
    *item_sort = bytes_after(row, prefix + 1 + taken);
    return STATUS_OK;
}

enum status key_of_item(struct key *to, struct bytes row)
{
    uint8_t content[KEY_SORT_BYTES_MAX];
    size_t count;
    struct bytes item_sort;
    TRY(split_index(row, content, &count, &item_sort));
    TRY(key_in_collection(to, row, KEY_COLLECTION_ITEM));
    return append_sort(to, item_sort);
}

/* ---- Ranges ---- */

bool key_after_prefix(struct key *key, struct bytes prefix)
{
    ASSERT(prefix.count <= KEY_BYTES_MAX);
    size_t count = prefix.count;
    while (count > 0 && prefix.at[count - 1] == 0xff)
        count--;
    if (count == 0)
        return false;
    memmove(key->at, prefix.at, count);
    key->at[count - 1]++;
    key->count = (uint16_t)count;
    return true;
}

void key_write_content(struct value_writer *w, const struct key_attribute *attribute,
                       struct bytes content)
{
    struct number number;
    value_write_name(w, attribute->name);
    if (attribute->type == VALUE_S)
        value_write_string(w, content);
    else if (attribute->type == VALUE_B)
        value_write_binary(w, content);
    else if (number_decode(content, &number) == STATUS_OK)
        value_write_number(w, &number);
    else
        w->status = STATUS_CORRUPT;
}

void key_write_decoded(struct value_writer *w, const struct key_schema *schema, struct bytes key)
{
    size_t partition_bytes = get_u16_be(key.at + 8);
    ASSERT(key.count >= 10 + partition_bytes + 1);
    value_write_begin(w, VALUE_M);
    key_write_content(w, &schema->partition, bytes_of(key.at + 10, partition_bytes));
    if (schema->sort.type != VALUE_NONE)
        key_write_content(w, &schema->sort, bytes_after(key, 10 + partition_bytes + 1));
    value_write_end(w);
}

void key_write_decoded_index(struct value_writer *w, const struct key_schema *schema,
                             const struct key_attribute *sort, struct bytes key)
{
    uint8_t content[KEY_SORT_BYTES_MAX];
    size_t count;
    struct bytes item_sort;
    if (split_index(key, content, &count, &item_sort) != STATUS_OK) {
        w->status = STATUS_CORRUPT;
        return;
    }
    value_write_begin(w, VALUE_M);
    key_write_content(w, &schema->partition, bytes_of(key.at + 10, get_u16_be(key.at + 8)));
    if (schema->sort.type != VALUE_NONE)
        key_write_content(w, &schema->sort, item_sort);
    if (!key_schema_has(schema, sort->name))
        key_write_content(w, sort, bytes_of(content, count));
    value_write_end(w);
}

struct bytes key_hash_share(uint32_t index, uint32_t count, uint8_t to[8])
{
    __extension__ typedef unsigned __int128 wide;
    ASSERT(count > 0 && index < count);
    if (index == 0)
        return (struct bytes){0};
    put_u64_be(to, (uint64_t)(((wide)index << 64) / count));
    return bytes_of(to, 8);
}
