/* The model: operations on items. */
#include "api/model_shapes.h"

#include "api/input.h"
#include "base/compiler.h"

LIST(AttributeNameList, AttributeName, 1, MODEL_NO_MAX);
MAP(AttributeUpdates, AttributeName, AttributeValueUpdate, MODEL_NO_MIN, MODEL_NO_MAX);
LIST(AttributeValueList, AttributeValue, MODEL_NO_MIN, MODEL_NO_MAX);
MAP(BatchGetRequestMap, TableArn, KeysAndAttributes, MODEL_NO_MIN, 100);
MAP(BatchWriteItemRequestMap, TableArn, WriteRequests, MODEL_NO_MIN, 25);
MAP(ExpectedAttributeMap, AttributeName, ExpectedAttributeValue, MODEL_NO_MIN, MODEL_NO_MAX);
NAMES(ExpressionAttributeNameMap);
VARIABLES(ExpressionAttributeValueMap);
MAP(FilterConditionMap, AttributeName, Condition, MODEL_NO_MIN, MODEL_NO_MAX);
ITEM(Key);
MAP(KeyConditions, AttributeName, Condition, MODEL_NO_MIN, MODEL_NO_MAX);
LIST(KeyList, Key, 1, 100);
LIST(ParameterizedStatements, ParameterizedStatement, 1, 100);
LIST(PartiQLBatchRequest, BatchStatementRequest, 1, 25);
LIST(PreparedStatementParameters, AttributeValue, 1, MODEL_NO_MAX);
ITEM(PutItemInputAttributeMap);
LIST(SearchVectorList, AttributeValue, MODEL_NO_MIN, MODEL_NO_MAX);
LIST(StringList, String, MODEL_NO_MIN, MODEL_NO_MAX);
LIST(TransactGetItemList, TransactGetItem, 1, 100);
LIST(TransactWriteItemList, TransactWriteItem, 1, 100);
LIST(WriteRequests, WriteRequest, 1, 25);

#define INPUT struct get_item_input
STRUCTURE(GetItemInput,
          STORED(ReturnConsumedCapacity, ReturnConsumedCapacity, return_consumed_capacity, 0),
          STORED(TableName, TableArn, table, MODEL_REQUIRED), STORED(Key, Key, key, MODEL_REQUIRED),
          STORED(AttributesToGet, AttributeNameList, attributes_to_get, MODEL_LEGACY),
          STORED(ConsistentRead, ConsistentRead, consistent_read, 0),
          STORED(ProjectionExpression, ProjectionExpression, projection_expression,
                 MODEL_EXPRESSION),
          STORED(ExpressionAttributeNames, ExpressionAttributeNameMap, names, 0));
#undef INPUT

#define INPUT struct write_item_input
STRUCTURE(PutItemInput, STORED(ReturnValues, ReturnValue, return_values, 0),
          STORED(TableName, TableArn, table, MODEL_REQUIRED),
          STORED(Item, PutItemInputAttributeMap, item, MODEL_REQUIRED),
          STORED(ReturnConsumedCapacity, ReturnConsumedCapacity, return_consumed_capacity, 0),
          STORED(ReturnItemCollectionMetrics, ReturnItemCollectionMetrics,
                 return_item_collection_metrics, 0),
          STORED(ReturnValuesOnConditionCheckFailure, ReturnValuesOnConditionCheckFailure,
                 return_values_on_failure, 0),
          STORED(Expected, ExpectedAttributeMap, expected, MODEL_LEGACY),
          STORED(ConditionalOperator, ConditionalOperator, conditional_operator, MODEL_LEGACY),
          STORED(ConditionExpression, ConditionExpression, condition_expression, MODEL_EXPRESSION),
          STORED(ExpressionAttributeNames, ExpressionAttributeNameMap, names, 0),
          STORED(ExpressionAttributeValues, ExpressionAttributeValueMap, values, 0));
#undef INPUT

#define INPUT struct write_item_input
STRUCTURE(UpdateItemInput,
          STORED(ReturnConsumedCapacity, ReturnConsumedCapacity, return_consumed_capacity, 0),
          STORED(TableName, TableArn, table, MODEL_REQUIRED),
          STORED(Key, Key, item, MODEL_REQUIRED),
          STORED(ReturnItemCollectionMetrics, ReturnItemCollectionMetrics,
                 return_item_collection_metrics, 0),
          STORED(ReturnValues, ReturnValue, return_values, 0),
          STORED(ReturnValuesOnConditionCheckFailure, ReturnValuesOnConditionCheckFailure,
                 return_values_on_failure, 0),
          STORED(AttributeUpdates, AttributeUpdates, attribute_updates, MODEL_LEGACY),
          STORED(Expected, ExpectedAttributeMap, expected, MODEL_LEGACY),
          STORED(ConditionalOperator, ConditionalOperator, conditional_operator, MODEL_LEGACY),
          STORED(UpdateExpression, UpdateExpression, update_expression, MODEL_EXPRESSION),
          STORED(ConditionExpression, ConditionExpression, condition_expression, MODEL_EXPRESSION),
          STORED(ExpressionAttributeNames, ExpressionAttributeNameMap, names, 0),
          STORED(ExpressionAttributeValues, ExpressionAttributeValueMap, values, 0));
#undef INPUT

#define INPUT struct write_item_input
STRUCTURE(DeleteItemInput, STORED(ReturnValues, ReturnValue, return_values, 0),
          STORED(TableName, TableArn, table, MODEL_REQUIRED),
          STORED(Key, Key, item, MODEL_REQUIRED),
          STORED(ReturnConsumedCapacity, ReturnConsumedCapacity, return_consumed_capacity, 0),
          STORED(ReturnItemCollectionMetrics, ReturnItemCollectionMetrics,
                 return_item_collection_metrics, 0),
          STORED(ReturnValuesOnConditionCheckFailure, ReturnValuesOnConditionCheckFailure,
                 return_values_on_failure, 0),
          STORED(Expected, ExpectedAttributeMap, expected, MODEL_LEGACY),
          STORED(ConditionalOperator, ConditionalOperator, conditional_operator, MODEL_LEGACY),
          STORED(ConditionExpression, ConditionExpression, condition_expression, MODEL_EXPRESSION),
          STORED(ExpressionAttributeNames, ExpressionAttributeNameMap, names, 0),
          STORED(ExpressionAttributeValues, ExpressionAttributeValueMap, values, 0));
#undef INPUT

#define INPUT struct range_input
STRUCTURE(QueryInput,
          STORED(ReturnConsumedCapacity, ReturnConsumedCapacity, return_consumed_capacity, 0),
          STORED(Select, Select, select, 0), STORED(TableName, TableArn, table, MODEL_REQUIRED),
          STORED(Limit, PositiveIntegerObject, limit, 0), STORED(IndexName, IndexName, index, 0),
          STORED(AttributesToGet, AttributeNameList, attributes_to_get, MODEL_LEGACY),
          STORED(ConsistentRead, ConsistentRead, consistent_read, 0),
          STORED(KeyConditions, KeyConditions, key_conditions, MODEL_LEGACY | MODEL_OF_KEYS),
          STORED(QueryFilter, FilterConditionMap, filter, MODEL_LEGACY),
          STORED(ConditionalOperator, ConditionalOperator, conditional_operator, MODEL_LEGACY),
          STORED(ScanIndexForward, BooleanObject, scan_index_forward, 0),
          STORED(ExclusiveStartKey, Key, exclusive_start_key, 0),
          STORED(ProjectionExpression, ProjectionExpression, projection_expression,
                 MODEL_EXPRESSION),
          STORED(FilterExpression, ConditionExpression, filter_expression, MODEL_EXPRESSION),
          STORED(KeyConditionExpression, KeyExpression, key_condition_expression,
                 MODEL_EXPRESSION | MODEL_OF_KEYS),
          STORED(ExpressionAttributeNames, ExpressionAttributeNameMap, names, 0),
          STORED(ExpressionAttributeValues, ExpressionAttributeValueMap, values, 0));
#undef INPUT

#define INPUT struct range_input
STRUCTURE(ScanInput,
          STORED(ReturnConsumedCapacity, ReturnConsumedCapacity, return_consumed_capacity, 0),
          STORED(Select, Select, select, 0), STORED(TableName, TableArn, table, MODEL_REQUIRED),
          STORED(Limit, PositiveIntegerObject, limit, 0),
          STORED(TotalSegments, ScanTotalSegments, total_segments, 0),
          STORED(Segment, ScanSegment, segment, 0), STORED(IndexName, IndexName, index, 0),
          STORED(AttributesToGet, AttributeNameList, attributes_to_get, MODEL_LEGACY),
          STORED(ScanFilter, FilterConditionMap, filter, MODEL_LEGACY),
          STORED(ConditionalOperator, ConditionalOperator, conditional_operator, MODEL_LEGACY),
          STORED(ExclusiveStartKey, Key, exclusive_start_key, 0),
          STORED(ProjectionExpression, ProjectionExpression, projection_expression,
                 MODEL_EXPRESSION),
          STORED(FilterExpression, ConditionExpression, filter_expression, MODEL_EXPRESSION),
          STORED(ExpressionAttributeNames, ExpressionAttributeNameMap, names, 0),
          STORED(ExpressionAttributeValues, ExpressionAttributeValueMap, values, 0),
          STORED(ConsistentRead, ConsistentRead, consistent_read, 0));
#undef INPUT

#define INPUT struct batch_get_input
STRUCTURE(BatchGetItemInput,
          STORED(RequestItems, BatchGetRequestMap, request_items, MODEL_REQUIRED),
          STORED(ReturnConsumedCapacity, ReturnConsumedCapacity, return_consumed_capacity, 0));
#undef INPUT

#define INPUT struct keys_and_attributes
STRUCTURE(KeysAndAttributes, STORED(Keys, KeyList, keys, MODEL_REQUIRED),
          STORED(AttributesToGet, AttributeNameList, attributes_to_get, MODEL_LEGACY),
          STORED(ConsistentRead, ConsistentRead, consistent_read, 0),
          STORED(ProjectionExpression, ProjectionExpression, projection_expression,
                 MODEL_EXPRESSION),
          STORED(ExpressionAttributeNames, ExpressionAttributeNameMap, names, 0));
#undef INPUT

#define INPUT struct batch_write_input
STRUCTURE(BatchWriteItemInput,
          STORED(RequestItems, BatchWriteItemRequestMap, request_items, MODEL_REQUIRED),
          STORED(ReturnConsumedCapacity, ReturnConsumedCapacity, return_consumed_capacity, 0),
          STORED(ReturnItemCollectionMetrics, ReturnItemCollectionMetrics,
                 return_item_collection_metrics, 0));
#undef INPUT

#define INPUT struct write_request_input
STRUCTURE(WriteRequest, STORED(PutRequest, PutRequest, put, 0),
          STORED(DeleteRequest, DeleteRequest, delete, 0));
#undef INPUT

#define INPUT struct put_request_input
STRUCTURE(PutRequest, STORED(Item, PutItemInputAttributeMap, item, MODEL_REQUIRED));
#undef INPUT

#define INPUT struct delete_request_input
STRUCTURE(DeleteRequest, STORED(Key, Key, key, MODEL_REQUIRED));
#undef INPUT

#define INPUT struct expected_input
STRUCTURE(ExpectedAttributeValue, STORED(Value, AttributeValue, value, 0),
          STORED(Exists, BooleanObject, exists, 0),
          STORED(ComparisonOperator, ComparisonOperator, comparison, 0),
          STORED(AttributeValueList, AttributeValueList, values, 0));
#undef INPUT

#define INPUT struct update_input
STRUCTURE(AttributeValueUpdate, STORED(Value, AttributeValue, value, 0),
          STORED(Action, AttributeAction, action, 0));
#undef INPUT

#define INPUT struct condition_input
STRUCTURE(Condition, STORED(ComparisonOperator, ComparisonOperator, comparison, MODEL_REQUIRED),
          STORED(AttributeValueList, AttributeValueList, values, 0));
#undef INPUT

#define INPUT struct transact_get_input
STRUCTURE(TransactGetItemsInput, STORED(TransactItems, TransactGetItemList, items, MODEL_REQUIRED),
          STORED(ReturnConsumedCapacity, ReturnConsumedCapacity, return_consumed_capacity, 0));
#undef INPUT

#define INPUT struct transact_get_item_input
STRUCTURE(TransactGetItem, STORED(Get, Get, get, MODEL_REQUIRED));
#undef INPUT

#define INPUT struct transact_get_one_input
STRUCTURE(Get, STORED(Key, Key, key, MODEL_REQUIRED),
          STORED(TableName, TableArn, table, MODEL_REQUIRED),
          STORED(ProjectionExpression, ProjectionExpression, projection_expression,
                 MODEL_EXPRESSION),
          STORED(ExpressionAttributeNames, ExpressionAttributeNameMap, names, 0));
#undef INPUT

#define INPUT struct transact_write_input
STRUCTURE(TransactWriteItemsInput,
          STORED(TransactItems, TransactWriteItemList, items, MODEL_REQUIRED),
          STORED(ReturnConsumedCapacity, ReturnConsumedCapacity, return_consumed_capacity, 0),
          STORED(ReturnItemCollectionMetrics, ReturnItemCollectionMetrics,
                 return_item_collection_metrics, 0),
          STORED(ClientRequestToken, ClientRequestToken, token, 0));
#undef INPUT

#define INPUT struct transact_write_item_input
STRUCTURE(TransactWriteItem, STORED(ConditionCheck, ConditionCheck, check, 0),
          STORED(Put, Put, put, 0), STORED(Delete, Delete, delete, 0),
          STORED(Update, Update, update, 0));
#undef INPUT

#define INPUT struct transact_action_input
STRUCTURE(ConditionCheck, STORED(Key, Key, item, MODEL_REQUIRED),
          STORED(TableName, TableArn, table, MODEL_REQUIRED),
          STORED(ConditionExpression, ConditionExpression, condition_expression,
                 MODEL_REQUIRED | MODEL_EXPRESSION),
          STORED(ExpressionAttributeNames, ExpressionAttributeNameMap, names, 0),
          STORED(ExpressionAttributeValues, ExpressionAttributeValueMap, values, 0),
          STORED(ReturnValuesOnConditionCheckFailure, ReturnValuesOnConditionCheckFailure,
                 return_values_on_failure, 0));
#undef INPUT

#define INPUT struct transact_action_input
STRUCTURE(Put, STORED(Item, PutItemInputAttributeMap, item, MODEL_REQUIRED),
          STORED(TableName, TableArn, table, MODEL_REQUIRED),
          STORED(ConditionExpression, ConditionExpression, condition_expression, MODEL_EXPRESSION),
          STORED(ExpressionAttributeNames, ExpressionAttributeNameMap, names, 0),
          STORED(ExpressionAttributeValues, ExpressionAttributeValueMap, values, 0),
          STORED(ReturnValuesOnConditionCheckFailure, ReturnValuesOnConditionCheckFailure,
                 return_values_on_failure, 0));
#undef INPUT

#define INPUT struct transact_action_input
STRUCTURE(Delete, STORED(Key, Key, item, MODEL_REQUIRED),
          STORED(TableName, TableArn, table, MODEL_REQUIRED),
          STORED(ConditionExpression, ConditionExpression, condition_expression, MODEL_EXPRESSION),
          STORED(ExpressionAttributeNames, ExpressionAttributeNameMap, names, 0),
          STORED(ExpressionAttributeValues, ExpressionAttributeValueMap, values, 0),
          STORED(ReturnValuesOnConditionCheckFailure, ReturnValuesOnConditionCheckFailure,
                 return_values_on_failure, 0));
#undef INPUT

#define INPUT struct transact_action_input
STRUCTURE(Update, STORED(Key, Key, item, MODEL_REQUIRED),
          STORED(UpdateExpression, UpdateExpression, update_expression,
                 MODEL_REQUIRED | MODEL_EXPRESSION),
          STORED(TableName, TableArn, table, MODEL_REQUIRED),
          STORED(ConditionExpression, ConditionExpression, condition_expression, MODEL_EXPRESSION),
          STORED(ExpressionAttributeNames, ExpressionAttributeNameMap, names, 0),
          STORED(ExpressionAttributeValues, ExpressionAttributeValueMap, values, 0),
          STORED(ReturnValuesOnConditionCheckFailure, ReturnValuesOnConditionCheckFailure,
                 return_values_on_failure, 0));
#undef INPUT

#define INPUT struct execute_statement_input
STRUCTURE(ExecuteStatementInput, STORED(Statement, PartiQLStatement, statement, MODEL_REQUIRED),
          STORED(Parameters, PreparedStatementParameters, parameters, 0),
          STORED(ConsistentRead, ConsistentRead, consistent_read, 0),
          STORED(NextToken, PartiQLNextToken, next_token, 0),
          STORED(ReturnConsumedCapacity, ReturnConsumedCapacity, return_consumed_capacity, 0),
          STORED(Limit, PositiveIntegerObject, limit, 0),
          STORED(ReturnValuesOnConditionCheckFailure, ReturnValuesOnConditionCheckFailure,
                 return_values_on_failure, 0));
#undef INPUT

#define INPUT struct batch_execute_input
STRUCTURE(BatchExecuteStatementInput,
          STORED(Statements, PartiQLBatchRequest, statements, MODEL_REQUIRED),
          STORED(ReturnConsumedCapacity, ReturnConsumedCapacity, return_consumed_capacity, 0));
#undef INPUT

#define INPUT struct batch_statement_input
STRUCTURE(BatchStatementRequest, STORED(Statement, PartiQLStatement, statement, MODEL_REQUIRED),
          STORED(Parameters, PreparedStatementParameters, parameters, 0),
          STORED(ConsistentRead, ConsistentRead, consistent_read, 0),
          STORED(ReturnValuesOnConditionCheckFailure, ReturnValuesOnConditionCheckFailure,
                 return_values_on_failure, 0));
#undef INPUT

#define INPUT struct execute_transaction_input
STRUCTURE(ExecuteTransactionInput,
          STORED(TransactStatements, ParameterizedStatements, statements, MODEL_REQUIRED),
          STORED(ClientRequestToken, ClientRequestToken, token, 0),
          STORED(ReturnConsumedCapacity, ReturnConsumedCapacity, return_consumed_capacity, 0));
#undef INPUT

#define INPUT struct parameterized_statement_input
STRUCTURE(ParameterizedStatement, STORED(Statement, PartiQLStatement, statement, MODEL_REQUIRED),
          STORED(Parameters, PreparedStatementParameters, parameters, 0),
          STORED(ReturnValuesOnConditionCheckFailure, ReturnValuesOnConditionCheckFailure,
                 return_values_on_failure, 0));
#undef INPUT

UNSTORED_STRUCTURE(SearchVectorsInput, UNSTORED(TableName, String, MODEL_REQUIRED),
                   UNSTORED(IndexName, String, MODEL_REQUIRED),
                   UNSTORED(SearchVector, SearchVectorList, MODEL_REQUIRED),
                   UNSTORED(TopK, Long, MODEL_REQUIRED),
                   UNSTORED(ReturnConsumedCapacity, String, 0),
                   UNSTORED(ExpressionAttributeNames, ExpressionAttributeNameMap, 0),
                   UNSTORED(ExpressionAttributeValues, ExpressionAttributeValueMap, 0),
                   UNSTORED(ProjectionExpression, String, MODEL_EXPRESSION),
                   UNSTORED(SearchConditionExpression, String, 0));
