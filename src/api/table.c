/* table.c - CreateTable, UpdateTable, DescribeTable, DeleteTable, ListTables. */
#include "api/api_private.h"
#include "base/assert.h"

#define UNITS_BOUND         INT64_C(1000000000000) /* what the service calls out of bounds */
#define LIST_TABLES_DEFAULT 100u

/* What the member is when it is not given: PROVISIONED. */
static enum billing_mode billing_mode(uint8_t given)
{
    return given == BILLING_GIVEN_PAY_PER_REQUEST ? BILLING_ON_DEMAND : BILLING_PROVISIONED;
}

/* TableClass; not given it is STANDARD. */
static enum status read_class(struct api_call *call, struct bytes given, bool *is_given,
                              enum table_class *class)
{
    *is_given = given.at != NULL;
    *class = TABLE_CLASS_STANDARD;
    if (bytes_equal(given, BYTES("STANDARD_INFREQUENT_ACCESS")))
        *class = TABLE_CLASS_INFREQUENT_ACCESS;
    else if (*is_given && !bytes_equal(given, BYTES("STANDARD")))
        return call_invalid(call,
                            "Invalid table-class parameter provided. Please try again with a valid "
                            "table-class value: [STANDARD, STANDARD_INFREQUENT_ACCESS].");
    return STATUS_OK;
}

/* ---- Throughput ---- */

static enum status check_units(struct api_call *call, const char *member, int64_t units)
{
    if (units > UNITS_BOUND)
        return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                            "Given value %lld for %s is out of bounds", (long long)units, member);
    if (units <= TABLE_UNITS_MAX)
        return STATUS_OK;
    return error_format(
        &call->error, call_arena(call), ERROR_LIMIT_EXCEEDED,
        "The requested %s, %lld, is above the per table maximum for the account in %.*s. Per table "
        "maximum: %u. Refer to the Amazon DynamoDB Developer Guide for current limits and how to "
        "request higher limits.",
        member, (long long)units, BYTES_ARGS(call->api->options.region), TABLE_UNITS_MAX);
}

enum status call_read_provisioned(struct api_call *call, const struct provisioned_input *given,
                                  uint64_t *read, uint64_t *write)
{
    TRY(check_units(call, "ReadCapacityUnits", given->read.value));
    TRY(check_units(call, "WriteCapacityUnits", given->write.value));
    *read = (uint64_t)given->read.value;
    *write = (uint64_t)given->write.value;
    return STATUS_OK;
}

/* BillingMode and ProvisionedThroughput fit together; `billing` is what the table will have. */
static enum status check_billing(struct api_call *call, enum billing_mode billing,
                                 bool provisioned_given)
{
    if (billing == BILLING_PROVISIONED && !provisioned_given)
        return call_invalid(call, INVALID_VALUES
                            "ReadCapacityUnits and WriteCapacityUnits must both be specified when "
                            "BillingMode is PROVISIONED");
    if (billing == BILLING_ON_DEMAND && provisioned_given)
        return call_invalid(call, INVALID_VALUES
                            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified "
                            "when BillingMode is PAY_PER_REQUEST");
    return STATUS_OK;
}

/* One maximum of OnDemandThroughput; -1 takes away the one that there is. */
static enum status check_maximum(struct api_call *call, const char *member, const char *limit,
                                 const struct model_number *given, enum billing_mode billing,
                                 const struct throughput_of *of)
{
    bool table = of->index.count == 0;
    if (!given->given)
        return STATUS_OK;
    if (billing != BILLING_ON_DEMAND)
        return error_format(
            &call->error, call_arena(call), ERROR_VALIDATION,
            INVALID_VALUES "%s for OnDemandThroughput%s%.*s cannot be specified when %s", member,
            table      ? ""
            : of->made ? " for index: "
                       : " for index : ",
            BYTES_ARGS(of->index),
            of->made ? "table BillingMode is PROVISIONED."
                     : "the table BillingMode is PROVISIONED");
    const char *what = table ? "table" : "index : ";
    if (given->value < (of->made ? 1 : -1) || given->value == 0)
        return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                            INVALID_VALUES "Requested %s for OnDemandThroughput for %s%.*s is "
                                           "outside of valid range",
                            member, what, BYTES_ARGS(of->index));
    if (given->value <= TABLE_UNITS_MAX)
        return STATUS_OK;
    return error_format(&call->error, call_arena(call), ERROR_LIMIT_EXCEEDED,
                        "Subscriber limit exceeded: Requested %s for OnDemandThroughput for "
                        "%s%.*s exceeds %s of the account in region %.*s",
                        member, what, BYTES_ARGS(of->index), limit,
                        BYTES_ARGS(call->api->options.region));
}

bool call_on_demand_given(const struct on_demand_input *given)
{
    return given != NULL && (given->read.given || given->write.given);
}

enum status call_read_on_demand(struct api_call *call, const struct on_demand_input *given,
                                enum billing_mode billing, const struct throughput_of *of,
                                int64_t *read, int64_t *write)
{
    if (given->read.given)
        *read = given->read.value;
    if (given->write.given)
        *write = given->write.value;
    TRY(check_maximum(call, "MaxReadRequestUnits", "TableMaxReadCapacityUnits", &given->read,
                      billing, of));
    return check_maximum(call, "MaxWriteRequestUnits", "TableMaxWriteCapacityUnits", &given->write,
                         billing, of);
}

static enum status read_new_maximums(struct api_call *call, const struct on_demand_input *given,
                                     struct create_table_request *request)
{
    request->has_on_demand_maximum = call_on_demand_given(given);
    request->on_demand_read_max = request->on_demand_write_max = -1;
    if (!request->has_on_demand_maximum)
        return STATUS_OK;
    return call_read_on_demand(call, given, request->billing, &(struct throughput_of){.made = true},
                               &request->on_demand_read_max, &request->on_demand_write_max);
}

/* ---- Streams and encryption ---- */

/* *view: of the stream to be; 0: none. */
static enum status read_stream(struct api_call *call, const struct stream_input *stream,
                               bool creates, uint8_t *view)
{
    *view = 0;
    if (stream == NULL)
        return STATUS_OK;
    if (stream->enabled != MODEL_TRUE && stream->view_type != 0)
        return call_invalid(
            call, creates ? INVALID_VALUES "Table is being created with a stream disabled, "
                                           "UpdateViewType should not be specified"
                          : INVALID_VALUES "If stream is being disabled, then UpdateViewType must "
                                           "not be specified");
    if (stream->enabled == MODEL_TRUE && stream->view_type == 0)
        return call_invalid(
            call, creates ? INVALID_VALUES "Table is being created with a stream enabled, "
                                           "UpdateViewType is required"
                          : INVALID_VALUES "If stream is being enabled then UpdateViewType is "
                                           "required");
    *view = stream->view_type; /* in the order of enum stream_view */
    return STATUS_OK;
}

/* Data is not encrypted where it lies: whoever asks for a key is told so where he looks. */
static void log_sse(struct api_call *call, const struct sse_setting *sse, struct bytes table)
{
    if (sse->kms)
        log_line(call->api->env->log, LOG_WARNING, "api",
                 "table %.*s asks for encryption with %.*s: it is described so, but this server "
                 "does not encrypt what it stores",
                 BYTES_ARGS(table), BYTES_ARGS(sse->key_arn));
}

/* ---- CreateTable: the key ---- */

enum value_type call_attribute_type(uint8_t given)
{
    switch (given) {
    case ATTRIBUTE_B:
        return VALUE_B;
    case ATTRIBUTE_N:
        return VALUE_N;
    default:
        return VALUE_S;
    }
}

/* More key attributes than a table has: a constraint with the whole schema as its value. */
static enum status check_key_count(struct api_call *call)
{
    const struct create_table_input *input = call->input.at;
    const struct key_schema_input *keys = input->key_schema.at;
    struct buffer text;
    if (input->key_schema.count <= 2)
        return STATUS_OK;
    buffer_init(&text, call->ctx->env->heap, 65536);
    for (uint32_t i = 0; i < MIN(input->key_schema.count, MODEL_STORED_MAX); i++)
        buffer_append_format(&text, "%sKeySchemaElement(attributeName=%.*s, keyType=%s)",
                             i > 0 ? ", " : "", BYTES_ARGS(keys[i].name),
                             keys[i].type == KEY_TYPE_HASH ? "HASH" : "RANGE");
    enum status status =
        error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                     "1 validation error detected: Value '[%.*s]' at 'keySchema' failed to "
                     "satisfy constraint: Member must have length less than or equal to 2",
                     BYTES_ARGS(buffer_bytes(&text)));
    buffer_release(&text);
    return status;
}

enum status call_check_key_types(struct api_call *call, const struct key_schema_input *keys,
                                 uint32_t count)
{
    if (keys[0].type != KEY_TYPE_HASH)
        return call_invalid(call,
                            "Invalid KeySchema: The first KeySchemaElement is not a HASH key type");
    if (count > 1 && keys[1].type != KEY_TYPE_RANGE)
        return call_invalid(
            call, "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type");
    return STATUS_OK;
}

const struct attribute_definition_input *call_find_definition(const struct model_list *list,
                                                              struct bytes name)
{
    const struct attribute_definition_input *definitions = list->at;
    for (uint32_t i = 0; i < MIN(list->count, MODEL_STORED_MAX); i++) {
        if (bytes_equal(definitions[i].name, name))
            return &definitions[i];
    }
    return NULL;
}

static enum status check_definitions_differ(struct api_call *call, const struct model_list *list)
{
    const struct attribute_definition_input *definitions = list->at;
    for (uint32_t i = 0; i < MIN(list->count, MODEL_STORED_MAX); i++) {
        if (call_find_definition(list, definitions[i].name) != &definitions[i])
            return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                                "Attribute Name is duplicated: %.*s",
                                BYTES_ARGS(definitions[i].name));
    }
    return STATUS_OK;
}

static enum status read_key(struct api_call *call, const struct create_table_input *input,
                            uint32_t index, struct key_attribute *attribute)
{
    const struct key_schema_input *keys = input->key_schema.at;
    const struct attribute_definition_input *definition =
        call_find_definition(&input->attribute_definitions, keys[index].name);
    if (definition == NULL)
        return call_invalid(call, "Invalid KeySchema: Some index key attribute have no definition");
    *attribute = (struct key_attribute){.name = keys[index].name,
                                        .type = call_attribute_type(definition->type)};
    return STATUS_OK;
}

static enum status read_schema(struct api_call *call, const struct create_table_input *input,
                               struct key_schema *schema)
{
    const struct key_schema_input *keys = input->key_schema.at;
    uint32_t count = input->key_schema.count;
    uint32_t defined = input->attribute_definitions.count;
    TRY(check_key_count(call));
    TRY(call_check_key_types(call, keys, count));
    TRY(check_definitions_differ(call, &input->attribute_definitions));
    *schema = (struct key_schema){0};
    TRY(read_key(call, input, 0, &schema->partition));
    if (count > 1)
        TRY(read_key(call, input, 1, &schema->sort));
    if (count > defined)
        return call_invalid(call, "Invalid KeySchema: Some index key attribute have no definition");
    if (count > 1 && bytes_equal(keys[0].name, keys[1].name))
        return call_invalid(call, "Both the Hash Key and the Range Key element in the KeySchema "
                                  "have the same name");
    bool indexed = input->local_indexes.given || input->global_indexes.given;
    if (defined > count && !indexed)
        return call_invalid(call, INVALID_VALUES
                            "Number of attributes in KeySchema does not exactly match number of "
                            "attributes defined in AttributeDefinitions");
    return STATUS_OK;
}

/* ---- CreateTable ---- */

static enum status read_create(struct api_call *call, struct create_table_request *request)
{
    const struct create_table_input *input = call->input.at;
    *request = (struct create_table_request){
        .name = input->table,
        .billing = billing_mode(input->billing_mode),
        .deletion_protection = input->deletion_protection == MODEL_TRUE,
    };
    TRY(call_check_table_name(call, input->table));
    TRY(read_class(call, input->table_class, &request->table_class_given, &request->table_class));
    TRY(check_billing(call, request->billing, input->provisioned != NULL));
    if (input->provisioned != NULL)
        TRY(call_read_provisioned(call, input->provisioned, &request->read_units,
                                  &request->write_units));
    TRY(read_schema(call, input, &request->schema));
    TRY(call_read_indexes(call, request));
    TRY(read_stream(call, input->stream, true, &request->stream_view));
    TRY(call_read_sse(call, input->sse, &request->sse));
    TRY(call_read_warm(call, input->warm, request->billing,
                       warm_by_itself(request->billing, request->read_units, request->write_units),
                       &(struct throughput_of){.made = true}, &request->warm));
    if (input->policy.at != NULL)
        TRY(call_read_policy(call, input->policy, &request->policy));
    TRY(read_new_maximums(call, input->on_demand, request));
    return call_read_tags(call, &input->tags, &request->tags, &request->tag_count);
}

/* Answer with the table as it is now. */
static enum status answer_description(struct api_call *call, const char *member, struct bytes name)
{
    const struct table *table;
    TRY(router_describe_table(call->ctx, call_router(call), name, &table, &call->error));
    json_write_object_begin(&call->json);
    TRY(write_table_description(call, member, table));
    json_write_object_end(&call->json);
    return STATUS_OK;
}

enum status api_create_table(struct api_call *call)
{
    struct create_table_request request;
    TRY(read_create(call, &request));
    TRY(router_create_table(call->ctx, call_router(call), &request, &call->error));
    log_sse(call, &request.sse, request.name);
    if (request.policy.count > 0)
        call_log_policy(call, request.name);
    return answer_description(call, "TableDescription", request.name);
}

/* ---- UpdateTable ---- */

/* The same throughput again is refused, unless the billing mode changes to it. */
static enum status check_change(struct api_call *call, const struct update_table_request *request,
                                const struct table *table)
{
    bool switched = request->billing_given && request->billing != table->billing;
    if (!request->throughput_given || switched || request->read_units != table->read_units ||
        request->write_units != table->write_units)
        return STATUS_OK;
    return error_format(
        &call->error, call_arena(call), ERROR_VALIDATION,
        "The provisioned throughput for the table will not change. The requested value equals the "
        "current value. Current ReadCapacityUnits provisioned for the table: %llu. Requested "
        "ReadCapacityUnits: %llu. Current WriteCapacityUnits provisioned for the table: %llu. "
        "Requested WriteCapacityUnits: %llu. Refer to the Amazon DynamoDB Developer Guide for "
        "current limits and how to request higher limits.",
        (unsigned long long)table->read_units, (unsigned long long)request->read_units,
        (unsigned long long)table->write_units, (unsigned long long)request->write_units);
}

/* BillingMode of UpdateTable, and ProvisionedThroughput beside it. */
static enum status check_switch(struct api_call *call, enum billing_mode billing,
                                bool provisioned_given)
{
    if (billing == BILLING_PROVISIONED && !provisioned_given)
        return call_invalid(call, INVALID_VALUES "ProvisionedThroughput must be specified when "
                                                 "BillingMode is PROVISIONED");
    if (billing == BILLING_ON_DEMAND && provisioned_given)
        return call_invalid(call, INVALID_VALUES "ProvisionedThroughput cannot be specified when "
                                                 "BillingMode is PAY_PER_REQUEST");
    return STATUS_OK;
}

/* The parts of UpdateTable. */
enum update_part {
    PART_BILLING = 1,
    PART_THROUGHPUT = 2,
    PART_STREAM = 4,
    PART_SSE = 8,
    PART_PROTECTION = 16,
    PART_CLASS = 32,
    PART_WARM = 64,
    PART_ON_DEMAND = 128,
    PART_INDEXES = 256,      /* their throughput */
    PART_INDEX_CHANGES = 512 /* one is created or deleted */
};

static unsigned update_parts(const struct update_table_request *request, bool warm)
{
    unsigned parts = 0;
    parts |= request->billing_given ? PART_BILLING : 0u;
    parts |= request->throughput_given ? PART_THROUGHPUT : 0u;
    parts |= request->stream_given ? PART_STREAM : 0u;
    parts |= request->sse_given ? PART_SSE : 0u;
    parts |= request->deletion_protection_given ? PART_PROTECTION : 0u;
    parts |= request->table_class_given ? PART_CLASS : 0u;
    parts |= warm ? PART_WARM : 0u;
    parts |= request->on_demand_maximum_given ? PART_ON_DEMAND : 0u;
    for (uint32_t i = 0; i < request->index_update_count; i++)
        parts |=
            request->index_updates[i].action == INDEX_UPDATE ? PART_INDEXES : PART_INDEX_CHANGES;
    return parts;
}

/* What goes together in one request; as observed of the service, in its order. */
static enum status check_together(struct api_call *call, unsigned parts)
{
    static const struct {
        unsigned part, beside; /* the part, and what else there may be */
        const char *text;
    } rules[] = {
        {PART_SSE, 0,
         INVALID_VALUES
         "Server-Side Encryption modification must be the only operation in the request"},
        {PART_PROTECTION, 0,
         INVALID_VALUES
         "DeletionProtection modification must be the only operation in the request"},
        {PART_CLASS, 0,
         INVALID_VALUES "TableClass modification must be the only operation in the request"},
        {PART_WARM, ~(unsigned)PART_INDEX_CHANGES,
         INVALID_VALUES
         "Create global secondary index cannot be specified when updating WarmThroughput"},
        {PART_ON_DEMAND, ~(unsigned)(PART_STREAM | PART_WARM),
         INVALID_VALUES
         "OnDemandThroughput can only be combined with BillingMode in an UpdateTable request"},
        {PART_WARM, PART_INDEXES,
         INVALID_VALUES "WarmThroughput must be the only operation in the request"},
        {PART_THROUGHPUT, ~(unsigned)PART_STREAM,
         INVALID_VALUES "You cannot modify stream status while updating table IOPS"},
        {PART_THROUGHPUT, ~(unsigned)PART_INDEX_CHANGES,
         INVALID_VALUES "You cannot create or delete index while updating table IOPS"},
        {PART_STREAM, ~(unsigned)PART_INDEX_CHANGES,
         INVALID_VALUES "You cannot create or delete index while changing stream status"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(rules); i++) {
        if ((parts & rules[i].part) != 0 && (parts & ~rules[i].part & ~rules[i].beside) != 0)
            return call_invalid(call, rules[i].text);
    }
    return STATUS_OK;
}

static enum status read_update(struct api_call *call, struct update_table_request *request)
{
    const struct update_table_input *input = call->input.at;
    *request = (struct update_table_request){
        .billing_given = input->billing_mode != BILLING_NOT_GIVEN,
        .billing = billing_mode(input->billing_mode),
        .throughput_given = input->provisioned != NULL,
        .on_demand_maximum_given = call_on_demand_given(input->on_demand),
        .deletion_protection_given = input->deletion_protection != MODEL_NOT_GIVEN,
        .deletion_protection = input->deletion_protection == MODEL_TRUE,
    };
    TRY(call_table_name(call, input->table, &request->name));
    TRY(read_class(call, input->table_class, &request->table_class_given, &request->table_class));
    request->stream_given = input->stream != NULL;
    TRY(read_stream(call, input->stream, false, &request->stream_view));
    TRY(call_read_sse(call, input->sse, &request->sse));
    request->sse_given = input->sse != NULL;
    bool any = request->billing_given || request->throughput_given ||
               request->on_demand_maximum_given || request->deletion_protection_given ||
               request->table_class_given || input->stream != NULL || input->sse != NULL ||
               call_warm_given(input->warm) || input->index_updates.count > 0;
    if (!any)
        return call_invalid(
            call, "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, "
                  "GlobalSecondaryIndexUpdates, SSESpecification, ReplicaUpdates, "
                  "MultiAccountReplicaReady, ReplicaTransitRoleArn, MultiRegionConsistency, "
                  "DeletionProtectionEnabled, OnDemandThroughput, WarmThroughput or TableClass is "
                  "required");
    TRY(call_read_index_updates(call, request));
    TRY(check_together(call, update_parts(request, call_warm_given(input->warm))));
    if (request->billing_given)
        TRY(check_switch(call, request->billing, request->throughput_given));
    if (request->throughput_given)
        TRY(call_read_provisioned(call, input->provisioned, &request->read_units,
                                  &request->write_units));
    return STATUS_OK;
}

/* What depends on the table as it is. */
static enum status check_update(struct api_call *call, struct update_table_request *request)
{
    const struct update_table_input *input = call->input.at;
    const struct table *table;
    TRY(router_describe_table(call->ctx, call_router(call), request->name, &table, &call->error));
    enum billing_mode billing = request->billing_given ? request->billing : table->billing;
    if (input->sse != NULL && !request->sse.kms && !table->sse.kms)
        return call_invalid(call, INVALID_VALUES "Table is already encrypted by default");
    if (input->sse != NULL && request->sse.kms && table->sse.kms &&
        bytes_equal(input->sse->key_id, table->sse.key_arn))
        return call_invalid(call, INVALID_VALUES
                            "Table is already encrypted with given KMSMasterKeyId. Use "
                            "KMSMasterKeyId parameter if you want to change Master Key");
    TRY(call_check_index_updates(call, request, table));
    if (request->throughput_given)
        TRY(check_billing(call, billing, true));
    bool had = table->has_on_demand_maximum;
    request->on_demand_read_max = had ? table->on_demand_read_max : -1;
    request->on_demand_write_max = had ? table->on_demand_write_max : -1;
    if (request->on_demand_maximum_given)
        TRY(call_read_on_demand(call, input->on_demand, billing, &(struct throughput_of){0},
                                &request->on_demand_read_max, &request->on_demand_write_max));
    TRY(call_read_warm(call, input->warm, billing, table_warm(table), &(struct throughput_of){0},
                       &request->warm));
    return check_change(call, request, table);
}

enum status api_update_table(struct api_call *call)
{
    struct update_table_request request;
    TRY(read_update(call, &request));
    TRY(check_update(call, &request));
    TRY(router_update_table(call->ctx, call_router(call), &request, &call->error));
    log_sse(call, &request.sse, request.name);
    return answer_description(call, "TableDescription", request.name);
}

/* ---- DescribeTable, DeleteTable, ListTables ---- */

#define SETTLE_POLL_NS UINT64_C(2000000)

enum status call_settle(struct api_call *call, struct bytes name)
{
    uint64_t until_ns = env_now_ns(call->api->env) + call->api->options.settle_ns;
    for (;;) {
        const struct table *table;
        TRY(router_describe_table(call->ctx, call_router(call), name, &table, &call->error));
        if (table_is_settled(table) || env_now_ns(call->api->env) >= until_ns ||
            context_sleep(call->ctx, SETTLE_POLL_NS) != STATUS_OK)
            return STATUS_OK;
    }
}

enum status api_describe_table(struct api_call *call)
{
    const struct table_input *input = call->input.at;
    struct bytes name;
    TRY(call_table_name(call, input->table, &name));
    TRY(call_settle(call, name));
    return answer_description(call, "Table", name);
}

enum status api_delete_table(struct api_call *call)
{
    const struct table_input *input = call->input.at;
    struct bytes name;
    TRY(call_table_name(call, input->table, &name));
    TRY(router_delete_table(call->ctx, call_router(call), name, &call->error));
    return answer_description(call, "TableDescription", name);
}

enum status api_list_tables(struct api_call *call)
{
    const struct list_tables_input *input = call->input.at;
    struct bytes names[LIST_TABLES_DEFAULT];
    uint32_t limit = input->limit.given ? (uint32_t)input->limit.value : LIST_TABLES_DEFAULT;
    uint32_t count = 0;
    bool more = false;
    ASSERT(limit <= LIST_TABLES_DEFAULT);
    TRY(router_list_tables(call->ctx, call_router(call), input->exclusive_start, limit, names,
                           &count, &more, &call->error));
    json_write_object_begin(&call->json);
    write_name(&call->json, "TableNames");
    json_write_array_begin(&call->json);
    for (uint32_t i = 0; i < count; i++)
        json_write_string(&call->json, names[i]);
    json_write_array_end(&call->json);
    if (more && count > 0)
        write_text(&call->json, "LastEvaluatedTableName", names[count - 1]);
    json_write_object_end(&call->json);
    return STATUS_OK;
}
