/* table_indexes.c - the secondary indexes of CreateTable and UpdateTable. */
#include "api/api_private.h"
#include "base/assert.h"

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
static enum status refuse_undefined(struct api_call *call, const struct model_list *key_schema,
                                    const struct model_list *definitions)
{
    const struct key_schema_input *keys = key_schema->at;
    struct buffer text;
    buffer_init(&text, call->ctx->env->heap, 1u << 20);
    buffer_append_format(&text, INVALID_VALUES "Some index key attributes are not defined in "
                                               "AttributeDefinitions. Keys: [");
    for (uint32_t i = 0; i < key_schema->count; i++)
        buffer_append_format(&text, "%s%.*s", i > 0 ? ", " : "", BYTES_ARGS(keys[i].name));
    buffer_append_format(&text, "], AttributeDefinitions: [");
    append_names(&text, definitions->at, MIN(definitions->count, MODEL_STORED_MAX));
    enum status status = error_format(&call->error, call_arena(call), ERROR_VALIDATION, "%.*s]",
                                      BYTES_ARGS(buffer_bytes(&text)));
    return no_memory_or(call, &text, status);
}

static enum status refuse_unused(struct api_call *call, const struct model_list *definitions,
                                 const struct key_attribute *used, uint32_t count)
{
    struct buffer text;
    buffer_init(&text, call->ctx->env->heap, 1u << 20);
    buffer_append_format(&text, INVALID_VALUES "Some AttributeDefinitions are not used. "
                                               "AttributeDefinitions: [");
    append_names(&text, definitions->at, MIN(definitions->count, MODEL_STORED_MAX));
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
            return refuse_undefined(call, &given->key_schema, definitions);
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

/* By name, as the service describes them; they may be keys. */
static enum status read_non_key(struct api_call *call, const struct model_list *given,
                                struct index_schema *index)
{
    const struct bytes *names = given->at;
    ASSERT(given->count <= INDEX_NON_KEY_MAX); /* a constraint of the model */
    for (uint32_t i = 0; i < given->count; i++) {
        uint8_t at = 0;
        while (at < index->non_key_count && bytes_compare(index->non_key[at], names[i]) < 0)
            at++;
        if (at < index->non_key_count && bytes_equal(index->non_key[at], names[i]))
            return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                                INVALID_VALUES "Duplicate element in NonKeyAttributes: %.*s",
                                BYTES_ARGS(names[i]));
        memmove(&index->non_key[at + 1], &index->non_key[at],
                (size_t)(index->non_key_count - at) * sizeof(names[0]));
        index->non_key[at] = names[i];
        index->non_key_count++;
    }
    return STATUS_OK;
}

static enum status read_projection(struct api_call *call, const struct projection_input *given,
                                   struct index_schema *index)
{
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
        return read_non_key(call, &given->non_key, index);
    default:
        return call_invalid(call, INVALID_VALUES "Unknown ProjectionType: null");
    }
}

/* No index before has the name. */
static enum status check_new_name(struct api_call *call, const struct index_schema *before,
                                  uint32_t count, struct bytes name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (bytes_equal(before[i].name, name))
            return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                                INVALID_VALUES "Duplicate index name: %.*s", BYTES_ARGS(name));
    }
    return STATUS_OK;
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
    for (uint32_t i = 0; i < count; i++) {
        struct index_schema *index = &request->indexes[i];
        *index = (struct index_schema){.name = given[i].name, .collection = (uint8_t)(i + 1)};
        TRY(check_new_name(call, request->indexes, i, given[i].name));
        TRY(read_key(call, &given[i], &request->schema, index));
        TRY(read_projection(call, given[i].projection, index));
    }
    request->index_count = count;
    return STATUS_OK;
}

/* ---- Global indexes ---- */

/* The type of a key attribute: as it is defined, or as a key of the table has it already.
 * VALUE_NONE: it is not known. */
static enum value_type key_type(const struct model_list *definitions, const struct table *table,
                                struct bytes name)
{
    const struct attribute_definition_input *definition = call_find_definition(definitions, name);
    if (definition != NULL)
        return call_attribute_type(definition->type);
    if (table != NULL && bytes_equal(table->schema.partition.name, name))
        return table->schema.partition.type;
    if (table != NULL && table->schema.sort.type != VALUE_NONE &&
        bytes_equal(table->schema.sort.name, name))
        return table->schema.sort.type;
    return VALUE_NONE;
}

/* The order and number of key types: 1 to 4 HASH, then none to 4 RANGE. */
static enum status check_global_types(struct api_call *call, const struct global_index_input *given)
{
    const struct key_schema_input *keys = given->key_schema.at;
    uint32_t count = MIN(given->key_schema.count, MODEL_STORED_MAX), hashes = 0;
    if (keys[0].type != KEY_TYPE_HASH)
        return call_invalid(call,
                            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type");
    while (hashes < count && keys[hashes].type == KEY_TYPE_HASH)
        hashes++;
    for (uint32_t i = hashes; i < count; i++) {
        if (keys[i].type != KEY_TYPE_RANGE)
            return call_invalid(call, INVALID_VALUES "All HASH key attributes must precede RANGE "
                                                     "key attributes in the KeySchema");
    }
    if (hashes > INDEX_KEY_ATTRIBUTES_MAX)
        return call_invalid(call, INVALID_VALUES "The KeySchema exceeds the maximum allowed number "
                                                 "of HASH key attributes");
    if (count - hashes > INDEX_KEY_ATTRIBUTES_MAX)
        return call_invalid(call, INVALID_VALUES "The KeySchema exceeds the maximum allowed number "
                                                 "of RANGE key attributes");
    return STATUS_OK;
}

static enum status read_global_key(struct api_call *call, const struct global_index_input *given,
                                   const struct model_list *definitions, const struct table *table,
                                   struct index_schema *index)
{
    const struct key_schema_input *keys = given->key_schema.at;
    TRY(check_global_types(call, given));
    for (uint32_t i = 0; i < given->key_schema.count; i++) {
        struct key_attribute attribute = {keys[i].name, key_type(definitions, table, keys[i].name)};
        if (attribute.type == VALUE_NONE && table != NULL && definitions->count == 0)
            return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                                INVALID_VALUES
                                "AttributeDefinitions is not specified for index: %.*s",
                                BYTES_ARGS(given->name));
        if (attribute.type == VALUE_NONE)
            return refuse_undefined(call, &given->key_schema, definitions);
        if (index_has_key(index, keys[i].name))
            return call_invalid(
                call, "The KeySchema contains multiple key attributes with the same name");
        if (keys[i].type == KEY_TYPE_HASH)
            index->partition[index->partition_count++] = attribute;
        else
            index->sort[index->sort_count++] = attribute;
    }
    return STATUS_OK;
}

/* The maximums of an on-demand index; those that are not given are as in throughput. */
static enum status read_maximums(struct api_call *call, const struct global_index_input *given,
                                 enum billing_mode billing, const struct throughput_of *of,
                                 struct index_throughput *throughput)
{
    throughput->has_on_demand_maximum = call_on_demand_given(given->on_demand);
    if (!throughput->has_on_demand_maximum)
        return STATUS_OK;
    return call_read_on_demand(call, given->on_demand, billing, of, &throughput->on_demand_read_max,
                               &throughput->on_demand_write_max);
}

/* ProvisionedThroughput is missing, or is there on an on-demand table; each operation has texts of
 * its own for that. */
static enum status refuse_throughput(struct api_call *call, const struct global_index_input *given,
                                     enum billing_mode billing, const struct throughput_of *of)
{
    bool creates_table = call->operation->run == api_create_table;
    bool missing = billing == BILLING_PROVISIONED;
    const char *before, *behind = missing ? "" : " when BillingMode is PAY_PER_REQUEST";
    if (creates_table) {
        before = missing ? "ProvisionedThroughput is not specified for index: "
                         : "ProvisionedThroughput should not be specified for index: ";
    } else if (of->made) {
        before = missing ? "Both ReadCapacityUnits and WriteCapacityUnits must be specified for "
                           "index: "
                         : "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified for "
                           "index: ";
    } else {
        before = missing ? "ProvisionedThroughput must be specified for index: "
                         : "The only Updates for index: ";
        behind = missing ? ""
                         : " when TableThroughputMode is PAY_PER_REQUEST can be to "
                           "OnDemandThroughput, WarmThroughput";
    }
    return error_format(&call->error, call_arena(call), ERROR_VALIDATION, INVALID_VALUES "%s%.*s%s",
                        before, BYTES_ARGS(given->name), behind);
}

static enum status read_throughput(struct api_call *call, const struct global_index_input *given,
                                   enum billing_mode billing, const struct throughput_of *of,
                                   struct index_throughput *throughput)
{
    if ((billing == BILLING_PROVISIONED) != (given->provisioned != NULL))
        return refuse_throughput(call, given, billing, of);
    if (given->provisioned != NULL)
        TRY(call_read_provisioned(call, given->provisioned, &throughput->read_units,
                                  &throughput->write_units));
    return read_maximums(call, given, billing, of, throughput);
}

static enum status read_global(struct api_call *call, const struct global_index_input *given,
                               const struct model_list *definitions, const struct table *table,
                               enum billing_mode billing, struct index_schema *index,
                               struct index_throughput *throughput)
{
    *index = (struct index_schema){.name = given->name, .kind = INDEX_GLOBAL};
    TRY(read_global_key(call, given, definitions, table, index));
    TRY(read_projection(call, given->projection, index));
    *throughput = (struct index_throughput){.on_demand_read_max = -1, .on_demand_write_max = -1};
    const struct throughput_of of = {given->name, true};
    TRY(read_throughput(call, given, billing, &of, throughput));
    return call_read_warm(call, given->warm, billing,
                          warm_by_itself(billing, throughput->read_units, throughput->write_units),
                          &of, &throughput->warm);
}

static enum status check_non_key(struct api_call *call, const struct index_schema *indexes,
                                 uint32_t count)
{
    uint32_t total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += indexes[i].non_key_count;
    if (total <= INDEXES_NON_KEY_MAX)
        return STATUS_OK;
    return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                        INVALID_VALUES "The total number of NonKeyAttributes of all indexes "
                                       "exceeds the per-table limit of %u",
                        INDEXES_NON_KEY_MAX);
}

static enum status read_globals(struct api_call *call, struct create_table_request *request)
{
    const struct create_table_input *input = call->input.at;
    const struct global_index_input *given = input->global_indexes.at;
    uint32_t count = input->global_indexes.count;
    for (uint32_t i = 0; i < count; i++) {
        TRY(check_new_name(call, request->indexes, request->index_count, given[i].name));
        TRY(read_global(call, &given[i], &input->attribute_definitions, NULL, request->billing,
                        &request->indexes[request->index_count], &request->globals[i]));
        request->index_count++;
    }
    request->global_count = count;
    return check_non_key(call, request->indexes, request->index_count);
}

enum status call_read_indexes(struct api_call *call, struct create_table_request *request)
{
    const struct create_table_input *input = call->input.at;
    if (input->local_indexes.given && input->local_indexes.count == 0)
        return call_invalid(call, INVALID_VALUES "List of LocalSecondaryIndexes is empty");
    if (input->global_indexes.given && input->global_indexes.count == 0)
        return call_invalid(call, INVALID_VALUES "List of GlobalSecondaryIndexes is empty");
    if (input->global_indexes.count > GLOBAL_INDEXES_MAX)
        return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                            INVALID_VALUES
                            "GlobalSecondaryIndex count exceeds the per-table limit of %u",
                            GLOBAL_INDEXES_MAX);
    if (!input->local_indexes.given && !input->global_indexes.given)
        return STATUS_OK;
    request->indexes = arena_alloc_array(call_arena(call), INDEXES_MAX, sizeof(*request->indexes));
    request->globals =
        arena_alloc_array(call_arena(call), GLOBAL_INDEXES_MAX, sizeof(*request->globals));
    if (request->indexes == NULL || request->globals == NULL)
        return call_no_memory(call);
    if (input->local_indexes.given)
        TRY(read_local(call, request));
    TRY(read_globals(call, request));
    struct key_attribute *used;
    uint32_t count;
    TRY(call_key_attributes(call, &request->schema, request->indexes, request->index_count, &used,
                            &count));
    const struct model_list *definitions = &input->attribute_definitions;
    return count < definitions->count ? refuse_unused(call, definitions, used, count) : STATUS_OK;
}

/* ---- UpdateTable ---- */

static enum status read_action(struct api_call *call, const struct global_index_update_input *given,
                               struct index_update *update)
{
    unsigned actions = (given->create != NULL ? 1u : 0u) + (given->update != NULL ? 1u : 0u) +
                       (given->delete != NULL ? 1u : 0u);
    if (actions == 0)
        return call_invalid(call, INVALID_VALUES "One of GlobalSecondaryIndexUpdate.Update, "
                                                 "GlobalSecondaryIndexUpdate.Create, "
                                                 "GlobalSecondaryIndexUpdate.Delete must not be "
                                                 "null");
    if (actions > 1)
        return call_invalid(call, INVALID_VALUES "Only one global secondary index action is "
                                                 "allowed per GlobalSecondaryIndexUpdate object");
    *update = (struct index_update){0};
    if (given->create != NULL) {
        update->action = INDEX_CREATE;
        update->name = given->create->name;
    } else if (given->update != NULL) {
        update->action = INDEX_UPDATE;
        update->name = given->update->name;
        if (given->update->warm != NULL && !call_warm_given(given->update->warm))
            return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                                INVALID_VALUES
                                "WarmThroughput must have at least one of ReadUnitsPerSecond or "
                                "WriteUnitsPerSecond specified for index: %.*s",
                                BYTES_ARGS(update->name));
    } else {
        update->action = INDEX_DELETE;
        update->name = given->delete->name;
    }
    return STATUS_OK;
}

enum status call_read_index_updates(struct api_call *call, struct update_table_request *request)
{
    const struct update_table_input *input = call->input.at;
    const struct global_index_update_input *given = input->index_updates.at;
    uint32_t count = input->index_updates.count, one_only = 0;
    if (count > GLOBAL_INDEXES_MAX)
        return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                            INVALID_VALUES
                            "GlobalSecondaryIndex count exceeds the per-table limit of %u",
                            GLOBAL_INDEXES_MAX);
    request->index_updates =
        arena_alloc_array(call_arena(call), count + 1u, sizeof(*request->index_updates));
    if (request->index_updates == NULL)
        return call_no_memory(call);
    for (uint32_t i = 0; i < count; i++) {
        struct index_update *update = &request->index_updates[i];
        TRY(read_action(call, &given[i], update));
        one_only += update->action != INDEX_UPDATE;
        for (uint32_t before = 0; before < i; before++) {
            if (bytes_equal(request->index_updates[before].name, update->name))
                return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                                    INVALID_VALUES
                                    "Only one global secondary index update per index is allowed "
                                    "simultaneously. Index: %.*s",
                                    BYTES_ARGS(update->name));
        }
    }
    if (one_only > 1)
        return error_set(&call->error, ERROR_LIMIT_EXCEEDED,
                         "Subscriber limit exceeded: Only 1 online index can be created or deleted "
                         "simultaneously per table");
    request->index_update_count = count;
    return STATUS_OK;
}

/* The attributes of an index that is created beside those of the table: none is defined in two
 * ways. What is defined for nothing is not looked at. */
static enum status check_created(struct api_call *call, const struct table *table,
                                 const struct index_schema *created)
{
    const struct update_table_input *input = call->input.at;
    const struct model_list *definitions = &input->attribute_definitions;
    const struct attribute_definition_input *defined = definitions->at;
    struct index_schema *all =
        arena_alloc_array(call_arena(call), table->index_count + 1u, sizeof(*all));
    struct key_attribute *used;
    uint32_t count;
    if (all == NULL)
        return call_no_memory(call);
    memcpy(all, table->indexes, table->index_count * sizeof(*all));
    all[table->index_count] = *created;
    TRY(check_non_key(call, all, table->index_count + 1u));
    TRY(call_key_attributes(call, &table->schema, all, table->index_count + 1u, &used, &count));
    for (uint32_t i = 0; i < MIN(definitions->count, MODEL_STORED_MAX); i++) {
        uint32_t at = 0;
        while (at < count && !bytes_equal(used[at].name, defined[i].name))
            at++;
        if (at < count && used[at].type != call_attribute_type(defined[i].type))
            return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                                INVALID_VALUES
                                "Attribute %.*s is a key of the table with another type",
                                BYTES_ARGS(defined[i].name));
    }
    return STATUS_OK;
}

static enum status refuse_same(struct api_call *call, const struct index_update *update,
                               const struct table_index *index)
{
    return error_format(
        &call->error, call_arena(call), ERROR_VALIDATION,
        "The provisioned throughput for the index %.*s will not change. The requested value equals "
        "the current value. Current ReadCapacityUnits provisioned for index %.*s: %llu. Requested "
        "ReadCapacityUnits: %llu. Current WriteCapacityUnits provisioned for index %.*s: %llu. "
        "Requested WriteCapacityUnits: %llu. Refer to the Amazon DynamoDB Developer Guide for "
        "current limits and how to request higher limits.",
        BYTES_ARGS(update->name), BYTES_ARGS(update->name), (unsigned long long)index->read_units,
        (unsigned long long)update->throughput.read_units, BYTES_ARGS(update->name),
        (unsigned long long)index->write_units, (unsigned long long)update->throughput.write_units);
}

static enum status check_updated(struct api_call *call, const struct table *table,
                                 enum billing_mode billing, const struct global_index_input *given,
                                 struct index_update *update)
{
    const struct index_schema *schema = table_index(table, update->name);
    const struct table_index *index = schema == NULL ? NULL : table_global(table, schema);
    bool any = given->provisioned != NULL || call_on_demand_given(given->on_demand) ||
               call_warm_given(given->warm);
    if (!any)
        return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                            INVALID_VALUES
                            "ProvisionedThroughput must be specified for index: %.*s",
                            BYTES_ARGS(update->name));
    bool had = index != NULL && index->has_on_demand_maximum;
    update->throughput = (struct index_throughput){
        .on_demand_read_max = had ? index->on_demand_read_max : -1,
        .on_demand_write_max = had ? index->on_demand_write_max : -1,
    };
    const struct throughput_of of = {.index = update->name};
    if (billing == BILLING_ON_DEMAND || given->provisioned != NULL)
        TRY(read_throughput(call, given, billing, &of, &update->throughput));
    else /* says what it has to say of maximums on a table that is provisioned */
        TRY(read_maximums(call, given, billing, &of, &update->throughput));
    if (index != NULL)
        TRY(call_read_warm(call, given->warm, billing, index_warm(table->billing, index), &of,
                           &update->throughput.warm));
    update->throughput_given = given->provisioned != NULL;
    update->on_demand_maximum_given = update->throughput.has_on_demand_maximum;
    bool same = index != NULL && update->throughput_given &&
                index->read_units == update->throughput.read_units &&
                index->write_units == update->throughput.write_units;
    return same ? refuse_same(call, update, index) : STATUS_OK;
}

enum status call_check_index_updates(struct api_call *call, struct update_table_request *request,
                                     const struct table *table)
{
    const struct update_table_input *input = call->input.at;
    const struct global_index_update_input *given = input->index_updates.at;
    enum billing_mode billing = request->billing_given ? request->billing : table->billing;
    for (uint32_t i = 0; i < request->index_update_count; i++) {
        struct index_update *update = &request->index_updates[i];
        if (update->action == INDEX_UPDATE)
            TRY(check_updated(call, table, billing, given[i].update, update));
        if (update->action != INDEX_CREATE)
            continue;
        TRY(read_global(call, given[i].create, &input->attribute_definitions, table, billing,
                        &update->schema, &update->throughput));
        TRY(check_created(call, table, &update->schema));
    }
    return STATUS_OK;
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
