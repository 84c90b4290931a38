/* keys.c - primary keys against a table's schema, and the ranges of encoded keys that conditions
 * ask for. */
#include "base/assert.h"
#include "model/index_row.h"
#include "request/index_key.h"
#include "router/router_private.h"

static size_t content_bytes(struct value v)
{
    return value_type(v) == VALUE_N ? 0 : value_bytes(v).count; /* an encoded number is short */
}

/* Sizes of a key attribute's value, which has the right type. */
static enum status check_size(const struct table *table, const struct key_attribute *attribute,
                              struct value v, struct arena *arena, struct error *error)
{
    if (value_type(v) == VALUE_N)
        return STATUS_OK;
    if (content_bytes(v) == 0)
        return error_format(error, arena, ERROR_VALIDATION,
                            NOT_VALID "The AttributeValue for a key attribute cannot contain an "
                                      "empty %s value. Key: %.*s",
                            value_type(v) == VALUE_S ? "string" : "binary",
                            BYTES_ARGS(attribute->name));
    if (attribute == &table->schema.partition && content_bytes(v) > KEY_PARTITION_BYTES_MAX)
        return error_set(error, ERROR_VALIDATION,
                         INVALID_VALUES
                         "Size of hashkey has exceeded the maximum size limit of2048 bytes");
    if (attribute != &table->schema.partition && content_bytes(v) > KEY_SORT_BYTES_MAX)
        return error_set(error, ERROR_VALIDATION,
                         INVALID_VALUES "Aggregated size of all range keys has exceeded the size "
                                        "limit of 1024 bytes");
    return STATUS_OK;
}

static enum status find_in_key(const struct table *table, const struct key_attribute *attribute,
                               struct value key, struct arena *arena, struct value *found,
                               struct error *error)
{
    if (!value_find(key, attribute->name, found) || value_type(*found) != attribute->type)
        return error_set(error, ERROR_VALIDATION, KEY_MISMATCH);
    return check_size(table, attribute, *found, arena, error);
}

enum status keys_encode(const struct table *table, struct value key, struct arena *arena,
                        struct key *encoded, struct error *error)
{
    const struct key_schema *schema = &table->schema;
    bool has_sort = schema->sort.type != VALUE_NONE;
    struct value partition, sort = VALUE_ABSENT;
    if (value_count(key) != (has_sort ? 2 : 1))
        return error_set(error, ERROR_VALIDATION, KEY_MISMATCH);
    TRY(find_in_key(table, &schema->partition, key, arena, &partition, error));
    if (has_sort)
        TRY(find_in_key(table, &schema->sort, key, arena, &sort, error));
    key_encode(encoded, table->hash_seed, partition, sort);
    return STATUS_OK;
}

enum status keys_encode_index(const struct table *table, const struct index_schema *index,
                              struct value key, struct arena *arena, struct key *encoded,
                              struct error *error)
{
    const struct key_schema *schema = &table->schema;
    const struct key_attribute *own = &index->sort[0];
    struct value partition, sort, index_sort;
    struct key item;
    uint32_t count = key_schema_has(schema, own->name) ? 2 : 3;
    if (value_count(key) != count)
        return error_set(error, ERROR_VALIDATION, KEY_MISMATCH);
    TRY(find_in_key(table, &schema->partition, key, arena, &partition, error));
    TRY(find_in_key(table, &schema->sort, key, arena, &sort, error));
    TRY(find_in_key(table, own, key, arena, &index_sort, error));
    key_encode(&item, table->hash_seed, partition, sort);
    enum status status = key_encode_index(encoded, key_bytes(&item), index->collection, index_sort);
    return status == STATUS_OK ? status : error_internal(error, status);
}

/* Each attribute of the keys of a global index and its table once, and nothing else. */
static bool is_global_key(const struct table *table, const struct index_schema *index,
                          struct value key)
{
    uint32_t count = (uint32_t)index->partition_count + index->sort_count;
    count += !index_has_key(index, table->schema.partition.name);
    count +=
        table->schema.sort.type != VALUE_NONE && !index_has_key(index, table->schema.sort.name);
    return value_count(key) == count;
}

enum status keys_encode_global(const struct table *table, const struct index_schema *index,
                               struct value key, struct key *encoded, struct error *error)
{
    uint64_t seed = table_global(table, index)->hash_seed;
    if (!is_global_key(table, index, key) ||
        !index_row_key(index, &table->schema, seed, key, encoded))
        return error_set(error, ERROR_VALIDATION, KEY_MISMATCH);
    return STATUS_OK;
}

static enum status find_in_item(const struct table *table, const struct key_attribute *attribute,
                                struct value item, struct arena *arena, struct value *found,
                                struct error *error)
{
    if (!value_find(item, attribute->name, found))
        return error_format(error, arena, ERROR_VALIDATION,
                            INVALID_VALUES "Missing the key %.*s in the item",
                            BYTES_ARGS(attribute->name));
    if (value_type(*found) != attribute->type)
        return error_format(error, arena, ERROR_VALIDATION,
                            INVALID_VALUES "Type mismatch for key %.*s expected: %s actual: %s",
                            BYTES_ARGS(attribute->name), value_type_name(attribute->type),
                            value_type_name(value_type(*found)));
    return check_size(table, attribute, *found, arena, error);
}

enum status keys_encode_item(const struct table *table, struct value item, struct arena *arena,
                             struct key *encoded, struct error *error)
{
    struct value partition, sort = VALUE_ABSENT;
    TRY(find_in_item(table, &table->schema.partition, item, arena, &partition, error));
    if (table->schema.sort.type != VALUE_NONE)
        TRY(find_in_item(table, &table->schema.sort, item, arena, &sort, error));
    if (item.bytes > ITEM_STORED_BYTES_MAX || item_size(item) > ITEM_BYTES_MAX)
        return error_set(error, ERROR_VALIDATION,
                         "Item size has exceeded the maximum allowed size");
    if (table->index_count > 0) {
        enum status status = index_key_check(table->index_run, item, false, arena, error);
        if (status != STATUS_OK)
            return status == STATUS_INVALID ? status : error_internal(error, status);
    }
    key_encode(encoded, table->hash_seed, partition, sort);
    return STATUS_OK;
}

enum status keys_check_update(const struct table *table, const struct expr_program *update,
                              struct arena *arena, struct error *error)
{
    if (update->code.count == 0)
        return STATUS_OK;
    struct expr_attributes walk = {0};
    struct bytes name;
    while (expr_next_attribute(update, &walk, &name)) {
        if (key_schema_has(&table->schema, name))
            return error_format(error, arena, ERROR_VALIDATION,
                                INVALID_VALUES "Cannot update attribute %.*s. This attribute is "
                                               "part of the key",
                                BYTES_ARGS(name));
    }
    return STATUS_OK;
}

/* ---- Ranges ---- */

/* `key` in the arena, with `extra` zero bytes behind it: with one, the smallest key above it. */
static enum status keep_key(struct arena *arena, const struct key *key, size_t extra,
                            struct bytes *kept)
{
    uint8_t *at = arena_alloc(arena, key->count + extra);
    if (at == NULL)
        return STATUS_NO_MEMORY;
    memcpy(at, key->at, key->count);
    memset(at + key->count, 0, extra);
    *kept = bytes_of(at, key->count + extra);
    return STATUS_OK;
}

static enum status keep_after(struct arena *arena, struct bytes prefix, struct bytes *kept)
{
    struct key after;
    *kept = (struct bytes){0};
    return key_after_prefix(&after, prefix) ? keep_key(arena, &after, 0, kept) : STATUS_OK;
}

/* Sizes of a key condition's operands. */
static enum status check_condition(const struct table *table, const struct key_attribute *sort,
                                   const struct key_condition *condition, struct arena *arena,
                                   struct error *error)
{
    TRY(check_size(table, &table->schema.partition, condition->partition, arena, error));
    if (value_type(condition->low) != VALUE_NONE && condition->sort != SORT_BEGINS)
        TRY(check_size(table, sort, condition->low, arena, error));
    if (value_type(condition->high) != VALUE_NONE)
        TRY(check_size(table, sort, condition->high, arena, error));
    if (condition->sort == SORT_BEGINS && content_bytes(condition->low) > KEY_SORT_BYTES_MAX)
        return check_size(table, sort, condition->low, arena, error);
    return STATUS_OK;
}

/* Of the table itself: a sort key ends its key, and one more byte makes the smallest key above. */
static enum status item_range(const struct table *table, const struct key_condition *condition,
                              struct arena *arena, struct key_range *range)
{
    struct key low, high;
    key_encode(&low, table->hash_seed, condition->partition, condition->low);
    switch (condition->sort) {
    case SORT_EQ:
        TRY(keep_key(arena, &low, 0, &range->low));
        return keep_key(arena, &low, 1, &range->high);
    case SORT_LT:
        return keep_key(arena, &low, 0, &range->high);
    case SORT_LE:
        return keep_key(arena, &low, 1, &range->high);
    case SORT_GT:
        return keep_key(arena, &low, 1, &range->low);
    case SORT_GE:
        return keep_key(arena, &low, 0, &range->low);
    case SORT_BEGINS:
        TRY(keep_key(arena, &low, 0, &range->low));
        return keep_after(arena, key_bytes(&low), &range->high);
    case SORT_BETWEEN:
        key_encode(&high, table->hash_seed, condition->partition, condition->high);
        TRY(keep_key(arena, &low, 0, &range->low));
        return keep_key(arena, &high, 1, &range->high);
    case SORT_ANY:
        break;
    }
    return STATUS_OK;
}

/* Of an index: its rows with one sort key begin with that, escaped. */
static enum status index_range(struct key *collection, const struct key_condition *condition,
                               struct arena *arena, struct key_range *range)
{
    struct key after;
    uint16_t prefix = collection->count;
    struct bytes above = range->high;
    key_append_escaped(collection, condition->low);
    struct bytes low = key_bytes(collection);
    switch (condition->sort) {
    case SORT_EQ:
        TRY(keep_key(arena, collection, 0, &range->low));
        return keep_after(arena, low, &range->high);
    case SORT_LT:
        return keep_key(arena, collection, 0, &range->high);
    case SORT_LE:
        return keep_after(arena, low, &range->high);
    case SORT_GT:
        return keep_after(arena, low, &range->low);
    case SORT_GE:
        return keep_key(arena, collection, 0, &range->low);
    case SORT_BEGINS:
        /* The smallest content above all that begin with it; none: the index's end. */
        TRY(keep_key(arena, collection, 0, &range->low));
        range->high = above;
        if (!key_after_prefix(&after, value_bytes(condition->low)))
            return STATUS_OK;
        collection->count = prefix;
        key_append_escaped_bytes(collection, key_bytes(&after));
        return keep_key(arena, collection, 0, &range->high);
    case SORT_BETWEEN:
        TRY(keep_key(arena, collection, 0, &range->low));
        collection->count = prefix;
        key_append_escaped(collection, condition->high);
        return keep_after(arena, key_bytes(collection), &range->high);
    case SORT_ANY:
        break;
    }
    return STATUS_OK;
}

enum status keys_condition_range(const struct table *table, const struct index_schema *index,
                                 const struct key_condition *condition, struct arena *arena,
                                 struct key_range *range, struct error *error)
{
    const struct key_attribute *sort = index == NULL ? &table->schema.sort : &index->sort[0];
    struct key whole;
    TRY(check_condition(table, sort, condition, arena, error));
    key_encode_collection(&whole, table->hash_seed, condition->partition);
    if (index != NULL)
        whole.at[whole.count - 1] = index->collection;
    TRY(keep_key(arena, &whole, 0, &range->low));
    TRY(keep_after(arena, key_bytes(&whole), &range->high));
    if (condition->sort == SORT_ANY)
        return STATUS_OK;
    return index == NULL ? item_range(table, condition, arena, range)
                         : index_range(&whole, condition, arena, range);
}

enum status keys_global_range(const struct index_schema *index, const struct table_index *global,
                              const struct index_condition *condition, struct arena *arena,
                              struct key_range *range)
{
    struct key whole;
    index_row_prefix(index, global->hash_seed, condition->partition, &whole);
    for (uint8_t i = 0; i < condition->equal_count; i++)
        key_append_escaped(&whole, condition->equal[i]);
    TRY(keep_key(arena, &whole, 0, &range->low));
    TRY(keep_after(arena, key_bytes(&whole), &range->high));
    if (condition->sort == SORT_ANY)
        return STATUS_OK;
    struct key_condition last = {
        .sort = condition->sort, .low = condition->low, .high = condition->high};
    return index_range(&whole, &last, arena, range);
}

enum status keys_segment_range(uint32_t segment, uint32_t count, struct arena *arena,
                               struct key_range *range)
{
    *range = (struct key_range){0};
    if (count <= 1)
        return STATUS_OK;
    uint8_t share[8];
    range->low = arena_copy(arena, key_hash_share(segment, count, share));
    if (segment + 1 < count)
        range->high = arena_copy(arena, key_hash_share(segment + 1, count, share));
    bool copied = range->low.at != NULL && (segment + 1 == count || range->high.at != NULL);
    return copied ? STATUS_OK : STATUS_NO_MEMORY;
}
