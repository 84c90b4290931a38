#include "model/key.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/codec.h"

bool key_schema_has(const struct key_schema *schema, struct bytes name)
{
    return bytes_equal(name, schema->partition.name) ||
           (schema->sort.type != VALUE_NONE && bytes_equal(name, schema->sort.name));
}

/* What a key holds of a value: S and B raw, N encoded. */
static struct bytes key_content(struct value v)
{
    return value_type(v) == VALUE_N ? value_number_encoded(v) : value_bytes(v);
}

void key_encode_collection(struct key *key, uint64_t hash_seed, struct value partition)
{
    struct bytes pk = key_content(partition);
    ASSERT(pk.count <= KEY_PARTITION_BYTES_MAX);
    uint8_t *to = key->at;
    put_u64_be(to, checksum64(pk, hash_seed));
    put_u16_be(to + 8, (uint16_t)pk.count);
    to += 10;
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

static void write_content(struct value_writer *w, const struct key_attribute *attribute,
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
    write_content(w, &schema->partition, bytes_of(key.at + 10, partition_bytes));
    if (schema->sort.type != VALUE_NONE)
        write_content(w, &schema->sort, bytes_after(key, 10 + partition_bytes + 1));
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
