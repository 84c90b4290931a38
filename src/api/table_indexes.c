/* table_indexes.c - the secondary indexes of CreateTable. */
#include "api/api_private.h"
#include "base/assert.h"

#define INVALID_VALUES "One or more parameter values were invalid: "

static enum status no_memory_or(struct api_call *call, struct buffer *text, enum status status)
{
    bool failed = text->failed;
    buffer_release(text);
    return failed ? call_no_memory(call) : status;
}

static void append_names(struct buffer *text, const struct attribute_definition_input *definitions,
                         uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        buffer_append_format(text, "%s%.*s", i > 0 ? ", " : "", BYTES_ARGS(definitions[i].name));
}

/* "Keys: [a, b], AttributeDefinitions: [a]" */
static enum status refuse_undefined(struct api_call *call, const struct local_index_input *given)
{
    const struct create_table_input *input = call->input.at;
    const struct key_schema_input *keys = given->key_schema.at;
    struct buffer text;
    buffer_init(&text, call->ctx->env->heap, 1u << 20);
    buffer_append_format(&text, INVALID_VALUES "Some index key attributes are not defined in "
                                               "AttributeDefinitions. Keys: [");
    for (uint32_t i = 0; i < given->key_schema.count; i++)
        buffer_append_format(&text, "%s%.*s", i > 0 ? ", " : "", BYTES_ARGS(keys[i].name));
    buffer_append_format(&text, "], AttributeDefinitions: [");
    append_names(&text, input->attribute_definitions.at,
                 MIN(input->attribute_definitions.count, MODEL_STORED_MAX));
    enum status status = error_format(&call->error, call_arena(call), ERROR_VALIDATION, "%.*s]",
                                      BYTES_ARGS(buffer_bytes(&text)));
    return no_memory_or(call, &text, status);
}

static enum status refuse_unused(struct api_call *call, const struct key_attribute *used,
                                 uint32_t count)
{
    const struct create_table_input *input = call->input.at;
    struct buffer text;
    buffer_init(&text, call->ctx->env->heap, 1u << 20);
    buffer_append_format(&text, INVALID_VALUES "Some AttributeDefinitions are not used. "
                                               "AttributeDefinitions: [");
    append_names(&text, input->attribute_definitions.at,
                 MIN(input->attribute_definitions.count, MODEL_STORED_MAX));
    buffer_append_format(&text, "], keys used: [");
    for (uint32_t i = 0; i < count; i++)
        buffer_append_format(&text, "%s%.*s", i > 0 ? ", " : "", BYTES_ARGS(used[i].name));
    enum status status = error_format(&call->error, call_arena(call), ERROR_VALIDATION, "%.*s]",
                                      BYTES_ARGS(buffer_bytes(&text)));
    return no_memory_or(call, &text, status);
}

/* The key of a local index: the table's partition key, and a sort key of its own. */
static enum status read_key(struct api_call *call, const struct local_index_input *given,
                            const struct key_schema *table, struct index_schema *index)
{
    const struct create_table_input *input = call->input.at;
    const struct key_schema_input *keys = given->key_schema.at;
    const struct model_list *definitions = &input->attribute_definitions;
    uint32_t count = given->key_schema.count;
    if (count > 2)
        return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                            INVALID_VALUES "Index KeySchema has more than two elements for index: "
                                           "%.*s",
                            BYTES_ARGS(given->name));
    TRY(call_check_key_types(call, keys, count));
    for (uint32_t i = 0; i < count; i++) {
        if (call_find_definition(definitions, keys[i].name) == NULL)
            return refuse_undefined(call, given);
    }
    if (count > 1 && bytes_equal(keys[0].name, keys[1].name))
        return call_invalid(call, "Both the Hash Key and the Range Key element in the KeySchema "
                                  "have the same name");
    if (!bytes_equal(keys[0].name, table->partition.name))
        return error_format(
            &call->error, call_arena(call), ERROR_VALIDATION,
            INVALID_VALUES "Index KeySchema does not have the same leading hash key as table "
                           "KeySchema for index: %.*s. index hash key: %.*s, table hash key: %.*s",
            BYTES_ARGS(given->name), BYTES_ARGS(keys[0].name), BYTES_ARGS(table->partition.name));
    if (count < 2)
        return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                            INVALID_VALUES
                            "Index KeySchema does not have a range key for index: %.*s",
                            BYTES_ARGS(given->name));
    uint8_t type = call_find_definition(definitions, keys[1].name)->type;
    index->partition_count = index->sort_count = 1;
    index->partition[0] = table->partition;
    index->sort[0] = (struct key_attribute){keys[1].name, call_attribute_type(type)};
    return STATUS_OK;
}

static enum status read_projection(struct api_call *call, const struct projection_input *given,
                                   struct index_schema *index)
{
    const struct bytes *names = given->non_key.at;
    switch (given->type) {
    case PROJECTION_ALL:
        index->projection = PROJECT_ALL;
        if (given->non_key.given)
            return call_invalid(call, INVALID_VALUES
                                "ProjectionType is ALL, but NonKeyAttributes is specified");
        return STATUS_OK;
    case PROJECTION_KEYS_ONLY:
        index->projection = PROJECT_KEYS_ONLY;
        if (given->non_key.given)
            return call_invalid(call, INVALID_VALUES
                                "ProjectionType is KEYS_ONLY, but NonKeyAttributes is specified");
        return STATUS_OK;
    case PROJECTION_INCLUDE:
        index->projection = PROJECT_INCLUDE;
        if (!given->non_key.given)
            return call_invalid(call, INVALID_VALUES
                                "ProjectionType is INCLUDE, but NonKeyAttributes is not specified");
        ASSERT(given->non_key.count <= INDEX_NON_KEY_MAX); /* a constraint of the model */
        index->non_key_count = (uint8_t)given->non_key.count;
        for (uint8_t i = 0; i < index->non_key_count; i++)
            index->non_key[i] = names[i];
        return STATUS_OK;
    default:
        return call_invalid(call, INVALID_VALUES "Unknown ProjectionType: null");
    }
}

static enum status read_local(struct api_call *call, struct create_table_request *request)
{
    const struct create_table_input *input = call->input.at;
    const struct local_index_input *given = input->local_indexes.at;
    uint32_t count = input->local_indexes.count;
    if (request->schema.sort.type == VALUE_NONE)
        return call_invalid(call, INVALID_VALUES
                            "Table KeySchema does not have a range key, which is required when "
                            "specifying a LocalSecondaryIndex");
    if (count > LOCAL_INDEXES_MAX)
        return call_invalid(call, INVALID_VALUES
                            "Number of LocalSecondaryIndexes exceeds per-table limit of 5");
    request->indexes = arena_alloc_array(call_arena(call), count, sizeof(*request->indexes));
    if (request->indexes == NULL)
        return call_no_memory(call);
    for (uint32_t i = 0; i < count; i++) {
        struct index_schema *index = &request->indexes[i];
        *index = (struct index_schema){.name = given[i].name, .collection = (uint8_t)(i + 1)};
        for (uint32_t before = 0; before < i; before++) {
            if (bytes_equal(given[before].name, given[i].name))
                return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                                    INVALID_VALUES "Duplicate index name: %.*s",
                                    BYTES_ARGS(given[i].name));
        }
        TRY(read_key(call, &given[i], &request->schema, index));
        TRY(read_projection(call, given[i].projection, index));
    }
    request->index_count = count;
    return STATUS_OK;
}

enum status call_read_indexes(struct api_call *call, struct create_table_request *request)
{
    const struct create_table_input *input = call->input.at;
    if (input->local_indexes.given && input->local_indexes.count == 0)
        return call_invalid(call, INVALID_VALUES "List of LocalSecondaryIndexes is empty");
    if (input->global_indexes.given && input->global_indexes.count == 0)
        return call_invalid(call, INVALID_VALUES "List of GlobalSecondaryIndexes is empty");
    if (input->global_indexes.given)
        return call_invalid(call, INVALID_VALUES "GlobalSecondaryIndexes is not supported");
    if (!input->local_indexes.given)
        return STATUS_OK;
    TRY(read_local(call, request));
    struct key_attribute *used;
    uint32_t count;
    TRY(call_key_attributes(call, &request->schema, request->indexes, request->index_count, &used,
                            &count));
    return count < input->attribute_definitions.count ? refuse_unused(call, used, count)
                                                      : STATUS_OK;
}

/* ---- The attributes of all keys ---- */

static void insert(struct key_attribute *to, uint32_t *count, const struct key_attribute *attribute)
{
    uint32_t at = 0;
    while (at < *count && bytes_compare(to[at].name, attribute->name) < 0)
        at++;
    if (attribute->type == VALUE_NONE || (at < *count && bytes_equal(to[at].name, attribute->name)))
        return;
    memmove(&to[at + 1], &to[at], (*count - at) * sizeof(*to));
    to[at] = *attribute;
    (*count)++;
}

enum status call_key_attributes(struct api_call *call, const struct key_schema *schema,
                                const struct index_schema *indexes, uint32_t index_count,
                                struct key_attribute **attributes, uint32_t *count)
{
    size_t most = 2 + (size_t)index_count * 2 * INDEX_KEY_ATTRIBUTES_MAX;
    struct key_attribute *to = arena_alloc_array(call_arena(call), most, sizeof(*to));
    if (to == NULL)
        return call_no_memory(call);
    *count = 0;
    insert(to, count, &schema->partition);
    insert(to, count, &schema->sort);
    for (uint32_t i = 0; i < index_count; i++) {
        for (uint8_t k = 0; k < indexes[i].partition_count; k++)
            insert(to, count, &indexes[i].partition[k]);
        for (uint8_t k = 0; k < indexes[i].sort_count; k++)
            insert(to, count, &indexes[i].sort[k]);
    }
    *attributes = to;
    return STATUS_OK;
}
