/* Bodies decoded by the model's table, and the texts of what they violate. */
#include "api/model.h"

#include "unit/cmocka_headers.h"

#include <stdio.h>

#include "api/input.h"
#include "api/model_shapes.h"

struct fixture {
    struct heap heap;
    struct arena arena;
    struct model_input input;
    struct error error;
};

static int setup(void **state)
{
    static struct fixture fixture;
    heap_init(&fixture.heap, false);
    arena_init(&fixture.arena, &fixture.heap, 16u << 20);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_release(&f->arena);
    assert_int_equal(f->heap.bytes_used, 0);
    return 0;
}

static enum status decode(struct fixture *f, const struct model_shape *shape, const char *body)
{
    arena_release(&f->arena);
    enum status status =
        model_decode(shape, bytes_of_text(body), &f->arena, NULL, &f->input, &f->error);
    if (status == STATUS_OK && f->input.doubtful)
        status = model_check(shape, bytes_of_text(body), &f->arena, NULL, &f->error);
    return status;
}

static void assert_text(struct bytes text, const char *expected)
{
    if (!bytes_equal(text, bytes_of_text(expected))) {
        fprintf(stderr, "got:      %.*s\nexpected: %s\n", BYTES_ARGS(text), expected);
        fail();
    }
}

static void *decoded(struct fixture *f, const struct model_shape *shape, const char *body)
{
    enum status status = decode(f, shape, body);
    if (status != STATUS_OK)
        fprintf(stderr, "%s: %.*s\n", body, BYTES_ARGS(f->error.message));
    assert_int_equal(status, STATUS_OK);
    return f->input.at;
}

static void refused(struct fixture *f, const struct model_shape *shape, const char *body,
                    const char *expected)
{
    assert_int_equal(decode(f, shape, body), STATUS_INVALID);
    assert_int_equal(f->error.code, ERROR_VALIDATION);
    assert_text(f->error.message, expected);
}

static void not_serialized(struct fixture *f, const struct model_shape *shape, const char *body,
                           const char *expected)
{
    assert_int_equal(decode(f, shape, body), STATUS_INVALID);
    assert_int_equal(f->error.code, ERROR_SERIALIZATION);
    if (expected == NULL)
        assert_null(f->error.message.at);
    else
        assert_text(f->error.message, expected);
}

/* ---- Decoding ---- */

static void puts_members_into_their_places(void **state)
{
    const struct get_item_input *input =
        decoded(*state, &shape_GetItemInput,
                "{\"TableName\":\"music\",\"Key\":{\"pk\":{\"S\":\"a\"}},\"ConsistentRead\":true,"
                "\"ProjectionExpression\":\"#a\",\"ExpressionAttributeNames\":{\"#a\":\"b\"},"
                "\"ReturnConsumedCapacity\":\"TOTAL\"}");
    struct value key;
    assert_text(input->table, "music");
    assert_int_equal(value_type(input->key), VALUE_M);
    assert_true(value_find(input->key, BYTES("pk"), &key));
    assert_text(value_bytes(key), "a");
    assert_int_equal(input->consistent_read, MODEL_TRUE);
    assert_int_equal(input->return_consumed_capacity, CAPACITY_TOTAL);
    assert_text(input->projection_expression, "#a");
    assert_true(input->names.given);
    assert_int_equal(input->names.count, 1);
    assert_text(input->names.at[0].placeholder, "#a");
    assert_text(input->names.at[0].name, "b");
}

static void what_is_not_given_is_empty(void **state)
{
    const struct get_item_input *input =
        decoded(*state, &shape_GetItemInput,
                "{\"Key\":{},\"TableName\":\"music\",\"ConsistentRead\":null,"
                "\"ProjectionExpression\":null}");
    assert_int_equal(input->consistent_read, MODEL_NOT_GIVEN);
    assert_null(input->projection_expression.at);
    assert_false(input->names.given);
    assert_int_equal(value_count(input->key), 0);
}

static void unknown_members_are_ignored(void **state)
{
    const struct table_input *input =
        decoded(*state, &shape_DescribeTableInput,
                "{\"Foo\":{\"a\":[1,2,{\"b\":null}]},\"TableName\":\"music\",\"tablename\":7}");
    assert_text(input->table, "music");
}

static void the_last_of_a_repeated_member_wins(void **state)
{
    struct fixture *f = *state;
    const struct get_item_input *input =
        decoded(f, &shape_GetItemInput,
                "{\"TableName\":\"one\",\"Key\":{\"a\":{\"S\":\"1\"}},\"ConsistentRead\":true,"
                "\"TableName\":\"two\",\"Key\":{\"b\":{\"S\":\"2\"}},\"ConsistentRead\":null}");
    struct value value;
    assert_text(input->table, "two");
    assert_true(value_find(input->key, BYTES("b"), &value));
    assert_false(value_find(input->key, BYTES("a"), &value));
    assert_int_equal(input->consistent_read, MODEL_NOT_GIVEN);
    refused(f, &shape_DescribeTableInput, "{\"TableName\":\"abc\",\"TableName\":null}",
            "The parameter 'TableName' is required but was not present in the request");
}

static void members_come_in_any_order(void **state)
{
    const struct range_input *input =
        decoded(*state, &shape_ScanInput,
                "{\"TotalSegments\":4,\"Select\":\"COUNT\",\"Segment\":3,\"Limit\":7,"
                "\"ExclusiveStartKey\":{\"pk\":{\"N\":\"1\"}},\"TableName\":\"music\"}");
    assert_true(input->limit.given);
    assert_int_equal(input->limit.value, 7);
    assert_int_equal(input->segment.value, 3);
    assert_int_equal(input->total_segments.value, 4);
    assert_int_equal(input->select, SELECT_COUNT);
    assert_int_equal(value_type(input->exclusive_start_key), VALUE_M);
}

static void structures_and_lists_nest(void **state)
{
    const struct create_table_input *input = decoded(
        *state, &shape_CreateTableInput,
        "{\"TableName\":\"music\",\"KeySchema\":[{\"AttributeName\":\"a\",\"KeyType\":\"HASH\"},"
        "{\"AttributeName\":\"b\",\"KeyType\":\"RANGE\"}],\"AttributeDefinitions\":["
        "{\"AttributeName\":\"a\",\"AttributeType\":\"S\"},{\"AttributeType\":\"N\","
        "\"AttributeName\":\"b\"}],\"ProvisionedThroughput\":{\"ReadCapacityUnits\":5,"
        "\"WriteCapacityUnits\":6},\"Tags\":[{\"Key\":\"k\",\"Value\":\"\"}]}");
    const struct key_schema_input *keys = input->key_schema.at;
    const struct attribute_definition_input *definitions = input->attribute_definitions.at;
    const struct tag_input *tags = input->tags.at;
    assert_int_equal(input->key_schema.count, 2);
    assert_text(keys[1].name, "b");
    assert_int_equal(keys[0].type, KEY_TYPE_HASH);
    assert_int_equal(keys[1].type, KEY_TYPE_RANGE);
    assert_int_equal(definitions[1].type, ATTRIBUTE_N);
    assert_text(definitions[1].name, "b");
    assert_non_null(input->provisioned);
    assert_int_equal(input->provisioned->read.value, 5);
    assert_int_equal(input->provisioned->write.value, 6);
    assert_int_equal(input->tags.count, 1);
    assert_text(tags[0].value, "");
    assert_null(input->stream);
}

static void batches_are_maps_of_tables(void **state)
{
    const struct batch_write_input *input =
        decoded(*state, &shape_BatchWriteItemInput,
                "{\"RequestItems\":{\"one\":[{\"PutRequest\":{\"Item\":{\"a\":{\"S\":\"x\"}}}}],"
                "\"two\":[{\"DeleteRequest\":{\"Key\":{\"a\":{\"S\":\"y\"}}}},{\"PutRequest\":"
                "{\"Item\":{\"a\":{\"N\":\"-1.5\"}}}}]}}");
    const struct model_list *tables = input->request_items.values;
    const struct write_request_input *two = tables[1].at;
    struct value value;
    assert_int_equal(input->request_items.count, 2);
    assert_text(input->request_items.keys[1], "two");
    assert_int_equal(tables[0].count, 1);
    assert_int_equal(tables[1].count, 2);
    assert_non_null(two[0].delete);
    assert_null(two[0].put);
    assert_true(value_find(two[0].delete->key, BYTES("a"), &value));
    assert_text(value_bytes(value), "y");
    assert_true(value_find(two[1].put->item, BYTES("a"), &value));
    assert_int_equal(value_type(value), VALUE_N);
}

/* Values stay valid while others follow: none is moved by a growing buffer. */
static void many_small_keys_keep_their_values(void **state)
{
    char body[8192];
    int count = snprintf(body, sizeof(body), "{\"RequestItems\":{\"t\":{\"Keys\":[");
    for (int i = 0; i < 100; i++)
        count += snprintf(body + count, sizeof(body) - (size_t)count, "%s{\"k\":{\"S\":\"%d\"}}",
                          i > 0 ? "," : "", i);
    snprintf(body + count, sizeof(body) - (size_t)count, "]}}}");
    const struct batch_get_input *input = decoded(*state, &shape_BatchGetItemInput, body);
    const struct keys_and_attributes *table = input->request_items.values;
    const struct value *keys = table->keys.at;
    assert_int_equal(table->keys.count, 100);
    for (int i = 0; i < 100; i++) {
        char text[16];
        struct value value;
        snprintf(text, sizeof(text), "%d", i);
        assert_true(value_find(keys[i], BYTES("k"), &value));
        assert_text(value_bytes(value), text);
    }
}

/* Maps take more bytes than their JSON when they are empty: room is made before each value. */
static void empty_maps_have_room(void **state)
{
    char body[4096];
    int count = snprintf(body, sizeof(body), "{\"RequestItems\":{\"t\":{\"Keys\":[{}");
    for (int i = 1; i < 100; i++)
        count += snprintf(body + count, sizeof(body) - (size_t)count, ",{}");
    snprintf(body + count, sizeof(body) - (size_t)count, "]}}}");
    const struct batch_get_input *input = decoded(*state, &shape_BatchGetItemInput, body);
    const struct keys_and_attributes *table = input->request_items.values;
    const struct value *keys = table->keys.at;
    for (int i = 0; i < 100; i++)
        assert_int_equal(value_count(keys[i]), 0);
}

/* Sorting the names of a map needs room beside the map. */
static void unsorted_items_have_room(void **state)
{
    static char body[400000];
    int count = snprintf(body, sizeof(body), "{\"TableName\":\"abc\",\"Item\":{");
    for (int i = 20000; i > 0; i--)
        count += snprintf(body + count, sizeof(body) - (size_t)count, "\"%x\":{\"N\":\"1\"},", i);
    snprintf(body + count, sizeof(body) - (size_t)count, "\"x\":{\"NULL\":true}}}");
    const struct write_item_input *input = decoded(*state, &shape_PutItemInput, body);
    struct value value;
    assert_int_equal(value_count(input->item), 20001);
    assert_true(value_find(input->item, BYTES("1f4"), &value));
}

static void lists_past_their_bound_are_counted(void **state)
{
    struct fixture *f = *state;
    char body[64 + 4 * 3000];
    int count = snprintf(body, sizeof(body), "{\"ResourceArn\":\"arn\",\"TagKeys\":[\"a\"");
    for (int i = 1; i < 3000; i++)
        count += snprintf(body + count, sizeof(body) - (size_t)count, ",\"a\"");
    snprintf(body + count, sizeof(body) - (size_t)count, "]}");
    const struct untag_resource_input *input = decoded(f, &shape_UntagResourceInput, body);
    const struct bytes *keys = input->keys.at;
    assert_int_equal(input->keys.count, 3000);
    assert_text(keys[MODEL_STORED_MAX - 1], "a");
}

/* ---- Serialization ---- */

static void broken_json_has_no_text(void **state)
{
    struct fixture *f = *state;
    not_serialized(f, &shape_GetItemInput, "", NULL);
    not_serialized(f, &shape_GetItemInput, "{", NULL);
    not_serialized(f, &shape_GetItemInput, "{\"TableName\":\"abc\"", NULL);
    not_serialized(f, &shape_GetItemInput, "{\"TableName\":\"abc\"} x", NULL);
    not_serialized(f, &shape_GetItemInput, "{\"TableName\":\"\xff\"}", NULL);
    not_serialized(f, &shape_GetItemInput, "{'TableName':'abc'}", NULL);
    not_serialized(f, &shape_GetItemInput, "{\"Key\":{\"a\":{\"S\":\"x\"}", NULL);
    not_serialized(f, &shape_GetItemInput, "{\"Foo\":[1,}", NULL);
}

static void wrong_types_are_named(void **state)
{
    struct fixture *f = *state;
    not_serialized(f, &shape_GetItemInput, "{\"TableName\":23}",
                   "NUMBER_VALUE cannot be converted to String");
    not_serialized(f, &shape_GetItemInput, "{\"TableName\":true}",
                   "TRUE_VALUE cannot be converted to String");
    not_serialized(f, &shape_GetItemInput, "{\"TableName\":{}}",
                   "Start of structure or map found where not expected");
    not_serialized(f, &shape_GetItemInput, "{\"TableName\":[]}",
                   "Unrecognized collection type class java.lang.String");
    not_serialized(f, &shape_GetItemInput, "{\"ConsistentRead\":\"x\"}",
                   "Unexpected token received from parser");
    not_serialized(f, &shape_ScanInput, "{\"Limit\":\"3\"}",
                   "STRING_VALUE cannot be converted to Integer");
    not_serialized(f, &shape_GetItemInput, "{\"Key\":[]}",
                   "Unrecognized collection type java.util.Map<java.lang.String, "
                   "com.amazonaws.dynamodb.v20120810.AttributeValue>");
    not_serialized(f, &shape_CreateTableInput, "{\"KeySchema\":\"a\"}", "Unexpected field type");
    not_serialized(f, &shape_CreateTableInput, "{\"ProvisionedThroughput\":[]}",
                   "Unrecognized collection type class "
                   "com.amazonaws.dynamodb.v20120810.ProvisionedThroughput");
    not_serialized(f, &shape_CreateTableInput,
                   "{\"ProvisionedThroughput\":{\"ReadCapacityUnits\":\"5\"}}",
                   "STRING_VALUE cannot be converted to Long");
    not_serialized(f, &shape_GetItemInput, "{\"Key\":{\"a\":{\"S\":5}}}",
                   "NUMBER_VALUE cannot be converted to String");
    not_serialized(f, &shape_GetItemInput, "{\"ExpressionAttributeNames\":{\"#a\":5}}",
                   "NUMBER_VALUE cannot be converted to String");
}

/* Types are checked also where members are not built, and come before all constraints. */
static void serialization_comes_first(void **state)
{
    struct fixture *f = *state;
    not_serialized(f, &shape_PutItemInput, "{\"ReturnValues\":\"x\",\"Expected\":\"y\"}",
                   "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be "
                   "cast to class java.lang.Class "
                   "(sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and "
                   "java.lang.Class are in module java.base of loader 'bootstrap')");
    not_serialized(f, &shape_ScanInput, "{\"Limit\":12345678901}",
                   "NUMBER_VALUE cannot be converted to Integer");
    not_serialized(f, &shape_ScanInput, "{\"Limit\":1.5}",
                   "NUMBER_VALUE cannot be converted to Integer");
}

/* ---- Constraints ---- */

static void missing_members_are_null(void **state)
{
    struct fixture *f = *state;
    refused(f, &shape_PutItemInput, "{\"Item\":{}}",
            "1 validation error detected: Value null at 'tableName' failed to satisfy constraint: "
            "Member must not be null");
    refused(f, &shape_GetItemInput, "{}",
            "2 validation errors detected: Value null at 'tableName' failed to satisfy constraint: "
            "Member must not be null; Value null at 'key' failed to satisfy constraint: Member "
            "must not be null");
    refused(f, &shape_CreateTableInput, "{}",
            "The parameter 'TableName' is required but was not present in the request");
}

static void enumerations_list_their_values(void **state)
{
    struct fixture *f = *state;
    refused(f, &shape_PutItemInput,
            "{\"TableName\":\"abc\",\"Item\":{},\"ReturnConsumedCapacity\":\"INVALID\","
            "\"ReturnItemCollectionMetrics\":\"INVALID\",\"ReturnValues\":\"INVALID\"}",
            "3 validation errors detected: Value 'INVALID' at 'returnValues' failed to satisfy "
            "constraint: Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, "
            "UPDATED_NEW]; Value 'INVALID' at 'returnConsumedCapacity' failed to satisfy "
            "constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]; Value "
            "'INVALID' at 'returnItemCollectionMetrics' failed to satisfy constraint: Member must "
            "satisfy enum value set: [SIZE, NONE]");
    refused(f, &shape_PutItemInput, "{\"TableName\":\"\",\"Item\":{},\"ReturnValues\":\"INVALID\"}",
            "2 validation errors detected: Value 'INVALID' at 'returnValues' failed to satisfy "
            "constraint: Member must satisfy enum value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, "
            "UPDATED_NEW]; Value '' at 'tableName' failed to satisfy constraint: Member must have "
            "length greater than or equal to 1");
    refused(f, &shape_UpdateItemInput,
            "{\"TableName\":\"abc\",\"Key\":{},\"ReturnConsumedCapacity\":\"INVALID\","
            "\"ReturnValues\":\"INVALID\"}",
            "2 validation errors detected: Value 'INVALID' at 'returnConsumedCapacity' failed to "
            "satisfy constraint: Member must satisfy enum value set: [INDEXES, TOTAL, NONE]; Value "
            "'INVALID' at 'returnValues' failed to satisfy constraint: Member must satisfy enum "
            "value set: [ALL_NEW, UPDATED_OLD, ALL_OLD, NONE, UPDATED_NEW]");
    refused(f, &shape_QueryInput, "{\"TableName\":\"abc\",\"Select\":\"INVALID_VALUE\"}",
            "1 validation error detected: Value 'INVALID_VALUE' at 'select' failed to satisfy "
            "constraint: Member must satisfy enum value set: [SPECIFIC_ATTRIBUTES, COUNT, "
            "ALL_ATTRIBUTES, ALL_PROJECTED_ATTRIBUTES]");
}

static void nested_members_have_paths(void **state)
{
    struct fixture *f = *state;
    refused(f, &shape_CreateTableInput,
            "{\"TableName\":\"abc\",\"AttributeDefinitions\":[{\"AttributeName\":\"pk\","
            "\"AttributeType\":\"S\"}],\"KeySchema\":[{\"AttributeName\":\"pk\",\"KeyType\":"
            "\"INVALID\"}]}",
            "1 validation error detected: Value 'INVALID' at 'keySchema.1.member.keyType' failed "
            "to satisfy constraint: Member must satisfy enum value set: [HASH, RANGE]");
    refused(f, &shape_CreateTableInput,
            "{\"TableName\":\"abc\",\"AttributeDefinitions\":[{\"AttributeName\":\"pk\","
            "\"AttributeType\":\"INVALID\"}],\"KeySchema\":[{\"AttributeName\":\"pk\","
            "\"KeyType\":\"HASH\"}]}",
            "1 validation error detected: Value 'INVALID' at "
            "'attributeDefinitions.1.member.attributeType' failed to satisfy constraint: Member "
            "must satisfy enum value set: [B, N, S]");
    refused(f, &shape_UpdateTableInput,
            "{\"TableName\":\"abc\",\"ProvisionedThroughput\":{\"ReadCapacityUnits\":0,"
            "\"WriteCapacityUnits\":0}}",
            "2 validation errors detected: Value '0' at 'provisionedThroughput.writeCapacityUnits' "
            "failed to satisfy constraint: Member must have value greater than or equal to 1; "
            "Value '0' at 'provisionedThroughput.readCapacityUnits' failed to satisfy constraint: "
            "Member must have value greater than or equal to 1");
    refused(f, &shape_BatchGetItemInput, "{\"RequestItems\":{\"abc\":{\"Keys\":[]}}}",
            "1 validation error detected: Value '[]' at 'requestItems.abc.member.keys' failed to "
            "satisfy constraint: Member must have length greater than or equal to 1");
}

static void numbers_have_bounds(void **state)
{
    struct fixture *f = *state;
    refused(f, &shape_ScanInput, "{\"TableName\":\"abc\",\"Limit\":0}",
            "1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: "
            "Member must have value greater than or equal to 1");
    refused(f, &shape_ListTablesInput, "{\"Limit\":101}",
            "1 validation error detected: Value '101' at 'limit' failed to satisfy constraint: "
            "Member must have value less than or equal to 100");
    refused(f, &shape_ScanInput, "{\"TableName\":\"abc\",\"Segment\":-1,\"TotalSegments\":1000001}",
            "2 validation errors detected: Value '1000001' at 'totalSegments' failed to satisfy "
            "constraint: Member must have value less than or equal to 1000000; Value '-1' at "
            "'segment' failed to satisfy constraint: Member must have value greater than or equal "
            "to 0");
}

static void names_have_a_pattern(void **state)
{
    refused(*state, &shape_ListTablesInput, "{\"ExclusiveStartTableName\":\"a;\"}",
            "2 validation errors detected: Value 'a;' at 'exclusiveStartTableName' failed to "
            "satisfy constraint: Member must satisfy regular expression pattern: "
            "[a-zA-Z0-9_.-]+; Value 'a;' at 'exclusiveStartTableName' failed to satisfy "
            "constraint: Member must have length greater than or equal to 3");
}

static void elements_and_keys_are_reported_with_their_collection(void **state)
{
    struct fixture *f = *state;
    refused(f, &shape_CreateTableInput,
            "{\"TableName\":\"abc\",\"AttributeDefinitions\":[],\"KeySchema\":[{\"AttributeName\":"
            "\"a\",\"KeyType\":\"HASH\"}],\"LocalSecondaryIndexes\":[{\"IndexName\":\"abc\","
            "\"KeySchema\":[{\"AttributeName\":\"a\",\"KeyType\":\"HASH\"}],\"Projection\":{"
            "\"NonKeyAttributes\":[\"a\",\"\"]}}]}",
            "1 validation error detected: Value '[a, ]' at 'localSecondaryIndexes.1.member."
            "projection.nonKeyAttributes' failed to satisfy constraint: Member must satisfy "
            "constraint: [Member must have length less than or equal to 255, Member must have "
            "length greater than or equal to 1]");
    refused(f, &shape_BatchWriteItemInput, "{\"RequestItems\":{\"\":[{}]}}",
            "1 validation error detected: Value '{=[WriteRequest(putRequest=null, "
            "deleteRequest=null)]}' at 'requestItems' failed to satisfy constraint: Map keys must "
            "satisfy constraint: [Member must have length less than or equal to 1024, Member must "
            "have length greater than or equal to 1]");
    refused(f, &shape_BatchWriteItemInput, "{\"RequestItems\":{\"abc\":[]}}",
            "1 validation error detected: Value '{abc=[]}' at 'requestItems' failed to satisfy "
            "constraint: Map value must satisfy constraint: [Member must have length less than or "
            "equal to 25, Member must have length greater than or equal to 1]");
}

static void values_are_shown_as_the_service_does(void **state)
{
    struct fixture *f = *state;
    char body[4096];
    int count = snprintf(body, sizeof(body), "{\"RequestItems\":{\"abc\":[");
    for (int i = 0; i < 26; i++)
        count += snprintf(body + count, sizeof(body) - (size_t)count,
                          "%s{\"PutRequest\":{\"Item\":{\"pk\":{\"S\":\"x\"}}}}", i > 0 ? "," : "");
    snprintf(body + count, sizeof(body) - (size_t)count, "]}}");
    assert_int_equal(decode(f, &shape_BatchWriteItemInput, body), STATUS_INVALID);
    struct bytes start = BYTES(
        "1 validation error detected: Value '{abc=[WriteRequest(putRequest=PutRequest(item={pk="
        "AttributeValue(s=x, n=null, b=null, iNT=null, dECIMAL=null, dOUBLE=null, sS=null, "
        "nS=null, bS=null, iNTSET=null, dECIMALSET=null, dOUBLESET=null, m=null, l=null, "
        "nULL=null, bOOL=null)}");
    assert_true(bytes_start_with(f->error.message, start));
}

/* Lengths count UTF-16 units, and a look at the bytes decides only what it can. */
static void lengths_count_characters(void **state)
{
    struct fixture *f = *state;
    char body[1024];
    char key[600] = "";
    for (int i = 0; i < 255; i++)
        strcat(key, "\xc3\xa4");
    snprintf(body, sizeof(body),
             "{\"TableName\":\"abc\",\"TimeToLiveSpecification\":{\"Enabled\":true,"
             "\"AttributeName\":\"%s\"}}",
             key);
    (void)decoded(f, &shape_UpdateTimeToLiveInput, body);
    assert_int_equal(model_text_length(BYTES("a\xc3\xa4\xf0\x9f\x98\x80")), 4);
    refused(f, &shape_ListTablesInput, "{\"ExclusiveStartTableName\":\"ab\"}",
            "1 validation error detected: Value 'ab' at 'exclusiveStartTableName' failed to "
            "satisfy constraint: Member must have length greater than or equal to 3");
}

static void at_most_ten_faults_are_listed(void **state)
{
    struct fixture *f = *state;
    char body[2048];
    int count = snprintf(body, sizeof(body),
                         "{\"TableName\":\"abc\",\"AttributeDefinitions\":[],\"KeySchema\":[");
    for (int i = 0; i < 12; i++)
        count += snprintf(body + count, sizeof(body) - (size_t)count,
                          "%s{\"AttributeName\":\"a\",\"KeyType\":\"X\"}", i > 0 ? "," : "");
    snprintf(body + count, sizeof(body) - (size_t)count, "]}");
    assert_int_equal(decode(f, &shape_CreateTableInput, body), STATUS_INVALID);
    assert_true(bytes_start_with(f->error.message, BYTES("10 validation errors detected: ")));
}

/* ---- What decoding leaves to its caller ---- */

static void members_that_are_not_built_are_noticed(void **state)
{
    struct fixture *f = *state;
    (void)decoded(f, &shape_UpdateTableInput, "{\"TableName\":\"abc\",\"VectorIndexUpdates\":[]}");
    assert_non_null(f->input.unbuilt);
    assert_string_equal(f->input.unbuilt->name, "VectorIndexUpdates");
    (void)decoded(f, &shape_UpdateTableInput,
                  "{\"TableName\":\"abc\",\"VectorIndexUpdates\":null}");
    assert_null(f->input.unbuilt);
}

/* expr/ numbers operators and actions as the model lists them. */
static void legacy_enumerations_are_those_of_expr(void **state)
{
    (void)state;
    assert_int_equal(shape_ComparisonOperator.value_count, COMPARISON_CONTAINS);
    for (uint16_t i = 0; i < shape_ComparisonOperator.value_count; i++)
        assert_string_equal(shape_ComparisonOperator.values[i],
                            expr_comparison_name((enum comparison)(i + 1)));
    assert_string_equal(shape_AttributeAction.values[CHANGE_ADD - 1], "ADD");
    assert_string_equal(shape_AttributeAction.values[CHANGE_PUT - 1], "PUT");
    assert_string_equal(shape_AttributeAction.values[CHANGE_DELETE - 1], "DELETE");
    assert_string_equal(shape_ConditionalOperator.values[CONDITIONAL_OR - 1], "OR");
    assert_string_equal(shape_ConditionalOperator.values[CONDITIONAL_AND - 1], "AND");
}

static void legacy_parameters_are_held(void **state)
{
    struct fixture *f = *state;
    const struct write_item_input *write = decoded(
        f, &shape_UpdateItemInput,
        "{\"TableName\":\"abc\",\"Key\":{},\"AttributeUpdates\":{\"a\":{\"Value\":{\"S\":\"b\"}},"
        "\"c\":{\"Action\":\"DELETE\"}},\"Expected\":{\"d\":{\"Exists\":false},\"e\":"
        "{\"ComparisonOperator\":\"IN\",\"AttributeValueList\":[{\"N\":\"1\"},{\"N\":\"2\"}]}},"
        "\"ConditionalOperator\":\"OR\"}");
    const struct update_input *updates = write->attribute_updates.values;
    const struct expected_input *expected = write->expected.values;
    assert_true(f->input.legacy);
    assert_int_equal(write->attribute_updates.count, 2);
    assert_text(write->attribute_updates.keys[0], "a");
    assert_int_equal(value_type(updates[0].value), VALUE_S);
    assert_int_equal(updates[0].action, 0);
    assert_int_equal(updates[1].action, CHANGE_DELETE);
    assert_int_equal(expected[0].exists, MODEL_FALSE);
    assert_int_equal(expected[1].comparison, COMPARISON_IN);
    assert_int_equal(expected[1].values.count, 2);
    assert_int_equal(write->conditional_operator, CONDITIONAL_OR);
    (void)decoded(f, &shape_UpdateItemInput, "{\"TableName\":\"abc\",\"Key\":{}}");
    assert_false(f->input.legacy);
    refused(f, &shape_QueryInput,
            "{\"TableName\":\"abc\",\"KeyConditions\":{\"pk\":{\"AttributeValueList\":[]}}}",
            "1 validation error detected: Value null at "
            "'keyConditions.pk.member.comparisonOperator' failed to satisfy constraint: Member "
            "must not be null");
}

static void legacy_beside_expressions_is_mixed(void **state)
{
    struct fixture *f = *state;
    (void)decoded(f, &shape_PutItemInput,
                  "{\"TableName\":\"abc\",\"Item\":{},\"Expected\":{\"pk\":{\"Exists\":false}},"
                  "\"ConditionExpression\":\"attribute_not_exists(pk)\"}");
    assert_non_null(f->input.mixed);
    assert_int_equal(model_mixed(&f->input, &f->arena, &f->error), STATUS_INVALID);
    assert_text(f->error.message,
                "Can not use both expression and non-expression parameters in the same request: "
                "Non-expression parameters: {Expected} Expression parameters: "
                "{ConditionExpression}");
    (void)decoded(f, &shape_PutItemInput,
                  "{\"TableName\":\"abc\",\"Item\":{},\"Expected\":{\"pk\":{\"Exists\":false}}}");
    assert_null(f->input.mixed);
}

static void key_conditions_are_mixed_beside_their_expression_only(void **state)
{
    struct fixture *f = *state;
    (void)decoded(f, &shape_QueryInput,
                  "{\"TableName\":\"abc\",\"KeyConditions\":{},\"FilterExpression\":\"a = b\"}");
    assert_true(f->input.legacy);
    assert_null(f->input.mixed);
    (void)decoded(
        f, &shape_QueryInput,
        "{\"TableName\":\"abc\",\"KeyConditions\":{},\"KeyConditionExpression\":\"a = b\"}");
    assert_non_null(f->input.mixed);
}

static void faults_of_attribute_values_are_kept(void **state)
{
    struct fixture *f = *state;
    (void)decoded(f, &shape_PutItemInput,
                  "{\"Item\":{\"a\":{\"SS\":[]},\"b\":{}},\"TableName\":\"abc\"}");
    assert_text(f->input.value_fault,
                "One or more parameter values were invalid: An string set  may not be empty");
    (void)decoded(f, &shape_PutItemInput,
                  "{\"TableName\":\"abc\",\"Item\":{},\"ExpressionAttributeValues\":{\":v\":{},"
                  "\":w\":{\"SS\":[]}}}");
    assert_text(f->input.value_fault,
                "ExpressionAttributeValues contains invalid value: Supplied AttributeValue is "
                "empty, must contain exactly one of the supported datatypes for key :v");
}

/* ---- The table itself ---- */

/* Within its bounds: member counts fit the masks and the path of a look. */
static void check_shape(const struct model_shape *shape, uint32_t depth)
{
    assert_non_null(shape);
    assert_true(depth < 12);
    assert_true(shape->member_count <= 64);
    if (shape->kind == MODEL_LIST || shape->kind == MODEL_MAP)
        check_shape(shape->element, depth + 1);
    if (shape->kind == MODEL_MAP)
        check_shape(shape->map_key, depth + 1);
    for (uint32_t i = 0; i < shape->member_count; i++) {
        const struct model_member *member = &shape->members[i];
        assert_int_equal(member->name_bytes, strlen(member->name));
        bool stored = (member->flags & (MODEL_UNBUILT | MODEL_UNSTORED)) == 0;
        assert_true(!stored || member->offset < shape->bytes);
        check_shape(member->shape, depth + 1);
    }
}

static void shapes_are_well_formed(void **state)
{
    (void)state;
    const struct model_shape *inputs[] = {&shape_CreateTableInput,
                                          &shape_UpdateTableInput,
                                          &shape_QueryInput,
                                          &shape_TransactWriteItemsInput,
                                          &shape_RestoreTableFromBackupInput,
                                          &shape_UpdateGlobalTableSettingsInput,
                                          &shape_UpdateTableReplicaAutoScalingInput,
                                          &shape_SearchVectorsInput,
                                          &shape_ImportTableInput,
                                          &shape_GetRecordsInput};
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++)
        check_shape(inputs[i], 0);
}

/* ---- Large bodies ---- */

static void count_pause(void *count)
{
    ++*(uint32_t *)count;
}

/* A body of many parts, decoded with pauses, in memory that is a small multiple of it. */
static void large_bodies_pause(void **state)
{
    struct fixture *f = *state;
    struct heap heap;
    struct buffer body;
    heap_init(&heap, false);
    buffer_init(&body, &heap, 16u << 20);
    buffer_append_format(&body, "{\"RequestItems\":{\"table\":{\"Keys\":[");
    for (int i = 0; i < 60000; i++)
        buffer_append_format(&body, "%s{\"pk\":{\"S\":\"%d\"}}", i > 0 ? "," : "", i);
    buffer_append_format(&body, "]}}}");
    arena_release(&f->arena);
    uint32_t pauses = 0;
    struct pause pause = {.run = count_pause, .argument = &pauses};
    assert_int_equal(model_decode(&shape_BatchGetItemInput, buffer_bytes(&body), &f->arena, &pause,
                                  &f->input, &f->error),
                     STATUS_OK);
    assert_in_range(pauses, body.count / PAUSE_BYTES - 1, body.count / PAUSE_BYTES + 1);
    assert_in_range(f->arena.bytes_used, 0, 12u << 20);
    pauses = 0;
    assert_int_equal(
        model_check(&shape_BatchGetItemInput, buffer_bytes(&body), &f->arena, &pause, &f->error),
        STATUS_INVALID);
    assert_true(pauses >= body.count / PAUSE_BYTES - 1);
    buffer_release(&body);
    arena_release(&f->arena);
}

/* An item that is far too long is not sorted and not kept, but its JSON is checked to the end. */
static void items_that_are_too_long_are_not_built(void **state)
{
    struct fixture *f = *state;
    struct heap heap;
    struct buffer body;
    heap_init(&heap, false);
    buffer_init(&body, &heap, 16u << 20);
    for (int broken = 0; broken < 2; broken++) {
        buffer_clear(&body);
        buffer_append_format(&body, "{\"TableName\":\"table\",\"Item\":{\"a\":{\"NS\":[");
        for (int i = 0; i < 200000; i++)
            buffer_append_format(&body, "%s\"%d\"", i > 0 ? "," : "", i ^ 0x155);
        buffer_append_format(&body, broken ? "]},\"b\":{\"S\":1}}}" : "]}}}");
        arena_release(&f->arena);
        enum status status = model_decode(&shape_PutItemInput, buffer_bytes(&body), &f->arena, NULL,
                                          &f->input, &f->error);
        assert_int_equal(status, broken ? STATUS_INVALID : STATUS_OK);
        if (broken)
            assert_int_equal(f->error.code, ERROR_SERIALIZATION);
        else
            assert_text(f->input.value_fault, "Item size has exceeded the maximum allowed size");
    }
    buffer_release(&body);
    arena_release(&f->arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_bodies_pause),
        cmocka_unit_test(items_that_are_too_long_are_not_built),
        cmocka_unit_test(puts_members_into_their_places),
        cmocka_unit_test(what_is_not_given_is_empty),
        cmocka_unit_test(unknown_members_are_ignored),
        cmocka_unit_test(the_last_of_a_repeated_member_wins),
        cmocka_unit_test(members_come_in_any_order),
        cmocka_unit_test(structures_and_lists_nest),
        cmocka_unit_test(batches_are_maps_of_tables),
        cmocka_unit_test(many_small_keys_keep_their_values),
        cmocka_unit_test(empty_maps_have_room),
        cmocka_unit_test(unsorted_items_have_room),
        cmocka_unit_test(lists_past_their_bound_are_counted),
        cmocka_unit_test(broken_json_has_no_text),
        cmocka_unit_test(wrong_types_are_named),
        cmocka_unit_test(serialization_comes_first),
        cmocka_unit_test(missing_members_are_null),
        cmocka_unit_test(enumerations_list_their_values),
        cmocka_unit_test(nested_members_have_paths),
        cmocka_unit_test(numbers_have_bounds),
        cmocka_unit_test(names_have_a_pattern),
        cmocka_unit_test(elements_and_keys_are_reported_with_their_collection),
        cmocka_unit_test(values_are_shown_as_the_service_does),
        cmocka_unit_test(lengths_count_characters),
        cmocka_unit_test(at_most_ten_faults_are_listed),
        cmocka_unit_test(members_that_are_not_built_are_noticed),
        cmocka_unit_test(legacy_enumerations_are_those_of_expr),
        cmocka_unit_test(legacy_parameters_are_held),
        cmocka_unit_test(legacy_beside_expressions_is_mixed),
        cmocka_unit_test(key_conditions_are_mixed_beside_their_expression_only),
        cmocka_unit_test(faults_of_attribute_values_are_kept),
        cmocka_unit_test(shapes_are_well_formed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
