#include "model/index.h"

#include "base/assert.h"

static void put_attributes(struct buffer *to, const struct key_attribute *attributes, uint8_t count)
{
    buffer_append_u8(to, count);
    for (uint8_t i = 0; i < count; i++) {
        buffer_append_text(to, attributes[i].name);
        buffer_append_u8(to, (uint8_t)attributes[i].type);
    }
}

void index_encode(const struct index_schema *indexes, uint32_t count, struct buffer *to)
{
    ASSERT(count <= INDEXES_MAX);
    buffer_append_u8(to, (uint8_t)count);
    for (uint32_t i = 0; i < count; i++) {
        const struct index_schema *index = &indexes[i];
        buffer_append_u8(to, (uint8_t)index->kind);
        buffer_append_u8(to, index->collection);
        buffer_append_text(to, index->name);
        put_attributes(to, index->partition, index->partition_count);
        put_attributes(to, index->sort, index->sort_count);
        buffer_append_u8(to, (uint8_t)index->projection);
        buffer_append_u8(to, index->non_key_count);
        for (uint8_t n = 0; n < index->non_key_count; n++)
            buffer_append_text(to, index->non_key[n]);
    }
}

static uint8_t read_at_most(struct reader *r, uint8_t most)
{
    uint8_t value = read_u8(r);
    if (value > most)
        r->failed = true;
    return r->failed ? 0 : value;
}

static uint8_t read_attributes(struct reader *r, struct key_attribute *attributes)
{
    uint8_t count = read_at_most(r, INDEX_KEY_ATTRIBUTES_MAX);
    for (uint8_t i = 0; i < count; i++) {
        attributes[i].name = read_text(r);
        attributes[i].type = (enum value_type)read_at_most(r, VALUE_B);
        if (attributes[i].type < VALUE_N)
            r->failed = true;
    }
    return count;
}

uint8_t index_read_count(struct reader *r)
{
    return read_at_most(r, INDEXES_MAX);
}

void index_read(struct reader *r, struct index_schema *index)
{
    *index = (struct index_schema){.kind = (enum index_kind)read_at_most(r, INDEX_GLOBAL)};
    index->collection = read_at_most(r, LOCAL_INDEXES_MAX);
    index->name = read_text(r);
    index->partition_count = read_attributes(r, index->partition);
    index->sort_count = read_attributes(r, index->sort);
    index->projection = (enum projection)read_at_most(r, PROJECT_KEYS_ONLY);
    index->non_key_count = read_at_most(r, INDEX_NON_KEY_MAX);
    for (uint8_t i = 0; i < index->non_key_count; i++)
        index->non_key[i] = read_text(r);
    bool local = index->kind == INDEX_LOCAL;
    if (local != (index->collection > 0) || index->partition_count == 0 ||
        (local && (index->partition_count != 1 || index->sort_count != 1)) ||
        (index->projection != PROJECT_INCLUDE && index->non_key_count > 0))
        r->failed = true;
}

static bool has_name(const struct key_attribute *attributes, uint8_t count, struct bytes name)
{
    for (uint8_t i = 0; i < count; i++) {
        if (bytes_equal(attributes[i].name, name))
            return true;
    }
    return false;
}

bool index_has_key(const struct index_schema *index, struct bytes name)
{
    return has_name(index->partition, index->partition_count, name) ||
           has_name(index->sort, index->sort_count, name);
}

bool index_projects(const struct index_schema *index, const struct key_schema *table,
                    struct bytes name)
{
    if (index->projection == PROJECT_ALL || key_schema_has(table, name) ||
        index_has_key(index, name))
        return true;
    for (uint8_t i = 0; i < index->non_key_count; i++) {
        if (bytes_equal(index->non_key[i], name))
            return true;
    }
    return false;
}

bool index_sort_key(const struct index_schema *index, struct value item, struct value *sort)
{
    return value_find(item, index->sort[0].name, sort) && value_type(*sort) == index->sort[0].type;
}

/* Has `item` all attributes, each of its type? */
static bool has_all(const struct key_attribute *attributes, uint8_t count, struct value item)
{
    struct value found;
    for (uint8_t i = 0; i < count; i++) {
        if (!value_find(item, attributes[i].name, &found) ||
            value_type(found) != attributes[i].type)
            return false;
    }
    return true;
}

enum status index_project(const struct index_schema *index, const struct key_schema *table,
                          struct value item, struct buffer *to, struct value *projected)
{
    *projected = VALUE_ABSENT;
    if (value_type(item) == VALUE_NONE || !has_all(index->sort, index->sort_count, item) ||
        (index->kind == INDEX_GLOBAL && !has_all(index->partition, index->partition_count, item)))
        return STATUS_OK;
    if (index->projection == PROJECT_ALL) {
        *projected = item;
        return STATUS_OK;
    }
    struct value_writer w;
    struct value_cursor cursor;
    struct bytes name;
    struct value element;
    value_writer_init(&w, to);
    value_write_begin(&w, VALUE_M);
    value_cursor_init(&cursor, item);
    while (value_next(&cursor, &name, &element)) {
        if (!index_projects(index, table, name))
            continue;
        value_write_name(&w, name);
        value_write_value(&w, element);
    }
    value_write_end(&w);
    return value_writer_finish(&w, projected);
}
