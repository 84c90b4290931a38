#include "request/index_key.h"

enum fault { FAULT_NONE, FAULT_TYPE, FAULT_EMPTY, FAULT_LONG };

/* A fault, and where it is. */
struct found {
    enum fault fault;
    struct bytes index, attribute;
    enum value_type expected, actual;
    bool is_partition;
};

/* *left: so many bytes the attributes of its kind may still have. */
static enum fault check(const struct key_attribute *attribute, struct value v, size_t *left)
{
    if (value_type(v) != attribute->type)
        return FAULT_TYPE;
    size_t count = key_content(v).count;
    if (count == 0)
        return FAULT_EMPTY;
    if (count > *left)
        return FAULT_LONG;
    *left -= count;
    return FAULT_NONE;
}

static void check_attributes(const struct index_schema *index, bool is_partition, struct value item,
                             struct found *found)
{
    const struct key_attribute *attributes = is_partition ? index->partition : index->sort;
    uint8_t count = is_partition ? index->partition_count : index->sort_count;
    size_t left = is_partition ? KEY_PARTITION_BYTES_MAX : KEY_SORT_BYTES_MAX;
    for (uint8_t i = 0; i < count; i++) {
        struct value v;
        if (!value_find(item, attributes[i].name, &v))
            continue;
        enum fault fault = check(&attributes[i], v, &left);
        if (fault == FAULT_NONE ||
            (found->fault != FAULT_NONE && bytes_compare(found->index, index->name) <= 0))
            continue;
        *found = (struct found){.fault = fault,
                                .index = index->name,
                                .attribute = attributes[i].name,
                                .expected = attributes[i].type,
                                .actual = value_type(v),
                                .is_partition = is_partition};
    }
}

static enum status report(const struct found *found, bool is_update, struct arena *arena,
                          struct error *error)
{
    const char *what = found->expected == VALUE_S ? "string" : "binary";
    if (found->fault == FAULT_TYPE)
        return error_format(error, arena, ERROR_VALIDATION,
                            INVALID_VALUES "Type mismatch for Index Key %.*s Expected: %s Actual: "
                                           "%s IndexName: %.*s",
                            BYTES_ARGS(found->attribute), value_type_name(found->expected),
                            value_type_name(found->actual), BYTES_ARGS(found->index));
    if (found->fault == FAULT_EMPTY && is_update)
        return error_format(error, arena, ERROR_VALIDATION,
                            NOT_VALID "The update expression attempted to update a secondary index "
                                      "key to a value that is not supported. The AttributeValue "
                                      "for a key attribute cannot contain an empty %s value.",
                            what);
    if (found->fault == FAULT_EMPTY)
        return error_format(error, arena, ERROR_VALIDATION,
                            NOT_VALID "A value specified for a secondary index key is not "
                                      "supported. The AttributeValue for a key attribute cannot "
                                      "contain an empty %s value. IndexName: %.*s, IndexKey: %.*s",
                            what, BYTES_ARGS(found->index), BYTES_ARGS(found->attribute));
    if (found->is_partition)
        return error_set(error, ERROR_VALIDATION,
                         INVALID_VALUES
                         "Size of hashkey has exceeded the maximum size limit of2048 bytes");
    return error_set(error, ERROR_VALIDATION,
                     INVALID_VALUES "Aggregated size of all range keys has exceeded the size "
                                    "limit of 1024 bytes");
}

enum status index_key_check(struct bytes run, struct value item, bool is_update,
                            struct arena *arena, struct error *error)
{
    struct found found = {0};
    struct reader r = reader_of(run);
    if (value_type(item) == VALUE_NONE)
        return STATUS_OK;
    uint8_t count = index_read_count(&r);
    for (uint8_t i = 0; i < count; i++) {
        struct index_schema index;
        index_read(&r, &index);
        if (r.failed)
            return STATUS_CORRUPT;
        check_attributes(&index, true, item, &found);
        check_attributes(&index, false, item, &found);
    }
    return found.fault == FAULT_NONE ? STATUS_OK : report(&found, is_update, arena, error);
}
