/* model_shapes.h - the macros that the model's table is written in, and its shapes by name.
 *
 * Private to the table's own files: model_simple.c, model_*.c, operations.c.
 */
#ifndef API_MODEL_SHAPES_H
#define API_MODEL_SHAPES_H

#include "api/model.h"

/* ---- Simple shapes ---- */

#define PLAIN(shape, its_kind)                                                                     \
    const struct model_shape shape_##shape = {                                                     \
        .name = #shape, .kind = MODEL_##its_kind, .min = MODEL_NO_MIN, .max = MODEL_NO_MAX}
#define BOUNDED(shape, its_kind, low, high)                                                        \
    const struct model_shape shape_##shape = {                                                     \
        .name = #shape, .kind = MODEL_##its_kind, .min = low, .max = high}
#define PATTERNED(shape, low, high, its_pattern)                                                   \
    const struct model_shape shape_##shape = {                                                     \
        .name = #shape, .kind = MODEL_STRING, .min = low, .max = high, .pattern = its_pattern}
#define ENUMERATION(shape, ...)                                                                    \
    static const char *const values_##shape[] = {__VA_ARGS__};                                     \
    const struct model_shape shape_##shape = {.name = #shape,                                      \
                                              .kind = MODEL_ENUM,                                  \
                                              .value_count = ARRAY_COUNT(values_##shape),          \
                                              .min = MODEL_NO_MIN,                                 \
                                              .max = MODEL_NO_MAX,                                 \
                                              .values = values_##shape}

/* ---- Lists and maps ---- */

#define LIST(shape, its_element, low, high)                                                        \
    const struct model_shape shape_##shape = {.name = #shape,                                      \
                                              .kind = MODEL_LIST,                                  \
                                              .min = low,                                          \
                                              .max = high,                                         \
                                              .element = &shape_##its_element}
#define MAP(shape, its_key, its_element, low, high)                                                \
    const struct model_shape shape_##shape = {.name = #shape,                                      \
                                              .kind = MODEL_MAP,                                   \
                                              .min = low,                                          \
                                              .max = high,                                         \
                                              .element = &shape_##its_element,                     \
                                              .map_key = &shape_##its_key}
#define ITEM(shape)      PLAIN(shape, ITEM)
#define VARIABLES(shape) PLAIN(shape, VARIABLES)
#define NAMES(shape)     PLAIN(shape, NAMES)

/* ---- Structures ----
 *
 *   STRUCTURE(GetItemInput, struct get_item_input,
 *             STORED(TableName, TableArn, table, MODEL_REQUIRED), ...);
 *
 * INPUT names the C struct for STORED; so it is defined before and undefined after. */

struct model_unstored {
    char none;
};

#define STORED(member, its_shape, field, its_flags)                                                \
    {                                                                                              \
        .name = #member, .name_bytes = sizeof(#member) - 1, .flags = (its_flags),                  \
        .offset = (uint16_t)offsetof(INPUT, field), .shape = &shape_##its_shape                    \
    }
#define UNBUILT(member, its_shape, its_flags)                                                      \
    {                                                                                              \
        .name = #member, .name_bytes = sizeof(#member) - 1, .flags = (its_flags) | MODEL_UNBUILT,  \
        .shape = &shape_##its_shape                                                                \
    }
#define UNSTORED(member, its_shape, its_flags)                                                     \
    {                                                                                              \
        .name = #member, .name_bytes = sizeof(#member) - 1, .flags = (its_flags) | MODEL_UNSTORED, \
        .shape = &shape_##its_shape                                                                \
    }
#define STRUCTURE_OF(shape, its_bytes, ...)                                                        \
    static const struct model_member members_##shape[] = {__VA_ARGS__};                            \
    const struct model_shape shape_##shape = {.name = #shape,                                      \
                                              .kind = MODEL_STRUCTURE,                             \
                                              .member_count = ARRAY_COUNT(members_##shape),        \
                                              .bytes = (its_bytes),                                \
                                              .min = MODEL_NO_MIN,                                 \
                                              .max = MODEL_NO_MAX,                                 \
                                              .members = members_##shape}
#define STRUCTURE(shape, ...)          STRUCTURE_OF(shape, sizeof(INPUT), __VA_ARGS__)
#define UNSTORED_STRUCTURE(shape, ...) STRUCTURE_OF(shape, 0, __VA_ARGS__)
#define EMPTY_STRUCTURE(shape)         PLAIN(shape, STRUCTURE)

/* ---- All shapes, by name ---- */

#define SHAPE(name) extern const struct model_shape shape_##name

/* Simple */
SHAPE(AttributeValue);
SHAPE(ApproximateCreationDateTimePrecision);
SHAPE(AttributeAction);
SHAPE(AttributeName);
SHAPE(AutoScalingPolicyName);
SHAPE(AutoScalingRoleArn);
SHAPE(BackupArn);
SHAPE(BackupName);
SHAPE(BackupTypeFilter);
SHAPE(BackupsInputLimit);
SHAPE(BillingMode);
SHAPE(Blob);
SHAPE(Boolean);
SHAPE(BooleanObject);
SHAPE(ClientRequestToken);
SHAPE(ClientToken);
SHAPE(ComparisonOperator);
SHAPE(ConditionExpression);
SHAPE(ConditionalOperator);
SHAPE(ConfirmRemoveSelfResourceAccess);
SHAPE(ConsistentRead);
SHAPE(ContributorInsightsAction);
SHAPE(ContributorInsightsMode);
SHAPE(CsvDelimiter);
SHAPE(CsvHeader);
SHAPE(Date);
SHAPE(DeletionProtectionEnabled);
SHAPE(DoubleObject);
SHAPE(ExportArn);
SHAPE(ExportFormat);
SHAPE(ExportFromTime);
SHAPE(ExportNextToken);
SHAPE(ExportTime);
SHAPE(ExportToTime);
SHAPE(ExportType);
SHAPE(ExportViewType);
SHAPE(ExpressionAttributeNameVariable);
SHAPE(ExpressionAttributeValueVariable);
SHAPE(GlobalTableSettingsReplicationMode);
SHAPE(ImportArn);
SHAPE(ImportNextToken);
SHAPE(IndexName);
SHAPE(InputCompressionType);
SHAPE(InputFormat);
SHAPE(IntegerObject);
SHAPE(KMSMasterKeyId);
SHAPE(KeyExpression);
SHAPE(KeySchemaAttributeName);
SHAPE(KeyType);
SHAPE(ListContributorInsightsLimit);
SHAPE(ListExportsMaxLimit);
SHAPE(ListImportsMaxLimit);
SHAPE(ListTablesInputLimit);
SHAPE(Long);
SHAPE(LongObject);
SHAPE(MultiRegionConsistency);
SHAPE(NextTokenString);
SHAPE(NonKeyAttributeName);
SHAPE(PartiQLNextToken);
SHAPE(PartiQLStatement);
SHAPE(PolicyRevisionId);
SHAPE(PositiveIntegerObject);
SHAPE(PositiveLongObject);
SHAPE(ProjectionExpression);
SHAPE(ProjectionType);
SHAPE(RecoveryPeriodInDays);
SHAPE(RegionName);
SHAPE(ResourceArnString);
SHAPE(ResourcePolicy);
SHAPE(ReturnConsumedCapacity);
SHAPE(ReturnItemCollectionMetrics);
SHAPE(ReturnValue);
SHAPE(ReturnValuesOnConditionCheckFailure);
SHAPE(S3Bucket);
SHAPE(S3BucketOwner);
SHAPE(S3Prefix);
SHAPE(S3SseAlgorithm);
SHAPE(S3SseKmsKeyId);
SHAPE(SSEEnabled);
SHAPE(SSEType);
SHAPE(ScalarAttributeType);
SHAPE(ScanSegment);
SHAPE(ScanTotalSegments);
SHAPE(Select);
SHAPE(SequenceNumber);
SHAPE(ShardFilterType);
SHAPE(ShardId);
SHAPE(ShardIterator);
SHAPE(ShardIteratorType);
SHAPE(StreamArn);
SHAPE(StreamEnabled);
SHAPE(StreamViewType);
SHAPE(String);
SHAPE(TableArn);
SHAPE(TableClass);
SHAPE(TableName);
SHAPE(TagKeyString);
SHAPE(TagValueString);
SHAPE(TimeRangeLowerBound);
SHAPE(TimeRangeUpperBound);
SHAPE(TimeToLiveAttributeName);
SHAPE(TimeToLiveEnabled);
SHAPE(Timestamp);
SHAPE(UpdateExpression);

/* Lists and maps */
SHAPE(AttributeDefinitions);
SHAPE(AttributeNameList);
SHAPE(AttributeUpdates);
SHAPE(AttributeValueList);
SHAPE(BatchGetRequestMap);
SHAPE(BatchWriteItemRequestMap);
SHAPE(CsvHeaderList);
SHAPE(ExpectedAttributeMap);
SHAPE(ExpressionAttributeNameMap);
SHAPE(ExpressionAttributeValueMap);
SHAPE(FilterConditionMap);
SHAPE(GlobalSecondaryIndexAutoScalingUpdateList);
SHAPE(GlobalSecondaryIndexList);
SHAPE(GlobalSecondaryIndexUpdateList);
SHAPE(GlobalTableGlobalSecondaryIndexSettingsUpdateList);
SHAPE(GlobalTableWitnessGroupUpdateList);
SHAPE(Key);
SHAPE(KeyConditions);
SHAPE(KeyList);
SHAPE(KeySchema);
SHAPE(LocalSecondaryIndexList);
SHAPE(NonKeyAttributeNameList);
SHAPE(ParameterizedStatements);
SHAPE(PartiQLBatchRequest);
SHAPE(PreparedStatementParameters);
SHAPE(PutItemInputAttributeMap);
SHAPE(ReplicaAutoScalingUpdateList);
SHAPE(ReplicaGlobalSecondaryIndexAutoScalingUpdateList);
SHAPE(ReplicaGlobalSecondaryIndexList);
SHAPE(ReplicaGlobalSecondaryIndexSettingsUpdateList);
SHAPE(ReplicaList);
SHAPE(ReplicaSettingsUpdateList);
SHAPE(ReplicaUpdateList);
SHAPE(ReplicationGroupUpdateList);
SHAPE(SearchSchema);
SHAPE(SearchVectorList);
SHAPE(StringList);
SHAPE(TagKeyList);
SHAPE(TagList);
SHAPE(TransactGetItemList);
SHAPE(TransactWriteItemList);
SHAPE(VectorIndexList);
SHAPE(VectorIndexUpdateList);
SHAPE(WriteRequests);

/* Structures */
SHAPE(AttributeDefinition);
SHAPE(AttributeValueUpdate);
SHAPE(AutoScalingPolicyUpdate);
SHAPE(AutoScalingSettingsUpdate);
SHAPE(AutoScalingTargetTrackingScalingPolicyConfigurationUpdate);
SHAPE(BatchExecuteStatementInput);
SHAPE(BatchGetItemInput);
SHAPE(BatchStatementRequest);
SHAPE(BatchWriteItemInput);
SHAPE(CancelBulkOperationInput);
SHAPE(Condition);
SHAPE(ConditionCheck);
SHAPE(CreateBackupInput);
SHAPE(CreateGlobalSecondaryIndexAction);
SHAPE(CreateGlobalTableInput);
SHAPE(CreateGlobalTableWitnessGroupMemberAction);
SHAPE(CreateReplicaAction);
SHAPE(CreateReplicationGroupMemberAction);
SHAPE(CreateTableInput);
SHAPE(CreateVectorIndexAction);
SHAPE(CsvOptions);
SHAPE(Delete);
SHAPE(DeleteBackupInput);
SHAPE(DeleteGlobalSecondaryIndexAction);
SHAPE(DeleteGlobalTableWitnessGroupMemberAction);
SHAPE(DeleteItemInput);
SHAPE(DeleteReplicaAction);
SHAPE(DeleteReplicationGroupMemberAction);
SHAPE(DeleteRequest);
SHAPE(DeleteResourcePolicyInput);
SHAPE(DeleteTableInput);
SHAPE(DeleteVectorIndexAction);
SHAPE(DescribeBackupInput);
SHAPE(DescribeBulkOperationInput);
SHAPE(DescribeContinuousBackupsInput);
SHAPE(DescribeContributorInsightsInput);
SHAPE(DescribeEndpointsRequest);
SHAPE(DescribeExportInput);
SHAPE(DescribeGlobalTableInput);
SHAPE(DescribeGlobalTableSettingsInput);
SHAPE(DescribeImportInput);
SHAPE(DescribeKinesisStreamingDestinationInput);
SHAPE(DescribeLimitsInput);
SHAPE(DescribeStreamInput);
SHAPE(DescribeTableInput);
SHAPE(DescribeTableReplicaAutoScalingInput);
SHAPE(DescribeTimeToLiveInput);
SHAPE(DisassociateReplicationGroupMemberAction);
SHAPE(EnableKinesisStreamingConfiguration);
SHAPE(ExecuteStatementInput);
SHAPE(ExecuteTransactionInput);
SHAPE(ExpectedAttributeValue);
SHAPE(ExportTableToPointInTimeInput);
SHAPE(FilterSpecification);
SHAPE(Get);
SHAPE(GetItemInput);
SHAPE(GetRecordsInput);
SHAPE(GetResourcePolicyInput);
SHAPE(GetShardIteratorInput);
SHAPE(GlobalSecondaryIndex);
SHAPE(GlobalSecondaryIndexAutoScalingUpdate);
SHAPE(GlobalSecondaryIndexUpdate);
SHAPE(GlobalTableGlobalSecondaryIndexSettingsUpdate);
SHAPE(GlobalTableWitnessGroupUpdate);
SHAPE(ImportTableInput);
SHAPE(IncrementalExportSpecification);
SHAPE(InputFormatOptions);
SHAPE(InputS3Configuration);
SHAPE(KeySchemaElement);
SHAPE(KeysAndAttributes);
SHAPE(KinesisStreamingDestinationInput);
SHAPE(ListBackupsInput);
SHAPE(ListBulkOperationsInput);
SHAPE(ListContributorInsightsInput);
SHAPE(ListExportsInput);
SHAPE(ListGlobalTablesInput);
SHAPE(ListImportsInput);
SHAPE(ListStreamsInput);
SHAPE(ListTablesInput);
SHAPE(ListTagsOfResourceInput);
SHAPE(LocalSecondaryIndex);
SHAPE(OnDemandThroughput);
SHAPE(OnDemandThroughputOverride);
SHAPE(OutputS3Configuration);
SHAPE(ParameterizedStatement);
SHAPE(PointInTimeRecoverySpecification);
SHAPE(Projection);
SHAPE(ProvisionedThroughput);
SHAPE(ProvisionedThroughputOverride);
SHAPE(Put);
SHAPE(PutItemInput);
SHAPE(PutRequest);
SHAPE(PutResourcePolicyInput);
SHAPE(QueryInput);
SHAPE(Replica);
SHAPE(ReplicaAutoScalingUpdate);
SHAPE(ReplicaGlobalSecondaryIndex);
SHAPE(ReplicaGlobalSecondaryIndexAutoScalingUpdate);
SHAPE(ReplicaGlobalSecondaryIndexSettingsUpdate);
SHAPE(ReplicaSettingsUpdate);
SHAPE(ReplicaUpdate);
SHAPE(ReplicationGroupUpdate);
SHAPE(RestoreTableFromBackupInput);
SHAPE(RestoreTableToPointInTimeInput);
SHAPE(S3BucketSource);
SHAPE(SSESpecification);
SHAPE(ScanInput);
SHAPE(SearchSchemaElement);
SHAPE(SearchVectorsInput);
SHAPE(ShardFilter);
SHAPE(StartBulkPutItemsInput);
SHAPE(StreamSpecification);
SHAPE(TableCreationParameters);
SHAPE(Tag);
SHAPE(TagResourceInput);
SHAPE(TimeToLiveSpecification);
SHAPE(TransactGetItem);
SHAPE(TransactGetItemsInput);
SHAPE(TransactWriteItem);
SHAPE(TransactWriteItemsInput);
SHAPE(UntagResourceInput);
SHAPE(Update);
SHAPE(UpdateContinuousBackupsInput);
SHAPE(UpdateContributorInsightsInput);
SHAPE(UpdateGlobalSecondaryIndexAction);
SHAPE(UpdateGlobalTableInput);
SHAPE(UpdateGlobalTableSettingsInput);
SHAPE(UpdateItemInput);
SHAPE(UpdateKinesisStreamingConfiguration);
SHAPE(UpdateKinesisStreamingDestinationInput);
SHAPE(UpdateReplicationGroupMemberAction);
SHAPE(UpdateTableInput);
SHAPE(UpdateTableReplicaAutoScalingInput);
SHAPE(UpdateTimeToLiveInput);
SHAPE(VectorAttributeDefinition);
SHAPE(VectorIndex);
SHAPE(VectorIndexUpdate);
SHAPE(WarmThroughput);
SHAPE(WriteRequest);

#undef SHAPE

#endif
