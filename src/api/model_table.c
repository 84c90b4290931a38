/* The model: operations on tables, tags and streams. */
#include "api/model_shapes.h"

#include "api/input.h"
#include "base/compiler.h"

LIST(AttributeDefinitions, AttributeDefinition, MODEL_NO_MIN, MODEL_NO_MAX);
LIST(GlobalSecondaryIndexList, GlobalSecondaryIndex, MODEL_NO_MIN, MODEL_NO_MAX);
LIST(GlobalSecondaryIndexUpdateList, GlobalSecondaryIndexUpdate, MODEL_NO_MIN, MODEL_NO_MAX);
LIST(KeySchema, KeySchemaElement, 1, MODEL_NO_MAX);
LIST(LocalSecondaryIndexList, LocalSecondaryIndex, MODEL_NO_MIN, MODEL_NO_MAX);
LIST(NonKeyAttributeNameList, NonKeyAttributeName, 1, 20);
LIST(SearchSchema, SearchSchemaElement, MODEL_NO_MIN, MODEL_NO_MAX);
LIST(TagKeyList, TagKeyString, MODEL_NO_MIN, MODEL_NO_MAX);
LIST(TagList, Tag, MODEL_NO_MIN, MODEL_NO_MAX);
LIST(VectorIndexList, VectorIndex, MODEL_NO_MIN, MODEL_NO_MAX);
LIST(VectorIndexUpdateList, VectorIndexUpdate, MODEL_NO_MIN, MODEL_NO_MAX);

#define INPUT struct create_table_input
STRUCTURE(CreateTableInput,
          STORED(AttributeDefinitions, AttributeDefinitions, attribute_definitions, MODEL_REQUIRED),
          STORED(TableName, TableArn, table, MODEL_PARAMETER),
          STORED(KeySchema, KeySchema, key_schema, MODEL_REQUIRED),
          STORED(LocalSecondaryIndexes, LocalSecondaryIndexList, local_indexes, 0),
          STORED(GlobalSecondaryIndexes, GlobalSecondaryIndexList, global_indexes, 0),
          STORED(BillingMode, BillingMode, billing_mode, 0),
          STORED(ProvisionedThroughput, ProvisionedThroughput, provisioned, 0),
          STORED(StreamSpecification, StreamSpecification, stream, 0),
          STORED(SSESpecification, SSESpecification, sse, 0), STORED(Tags, TagList, tags, 0),
          STORED(TableClass, TableClass, table_class, 0),
          STORED(DeletionProtectionEnabled, DeletionProtectionEnabled, deletion_protection, 0),
          STORED(WarmThroughput, WarmThroughput, warm, 0),
          STORED(ResourcePolicy, ResourcePolicy, policy, 0),
          STORED(OnDemandThroughput, OnDemandThroughput, on_demand, 0),
          UNBUILT(GlobalTableSourceArn, TableArn, 0),
          UNBUILT(GlobalTableSettingsReplicationMode, GlobalTableSettingsReplicationMode, 0),
          UNBUILT(VectorIndexes, VectorIndexList, 0));
#undef INPUT

#define INPUT struct update_table_input
STRUCTURE(UpdateTableInput, STORED(TableName, TableArn, table, MODEL_PARAMETER),
          STORED(AttributeDefinitions, AttributeDefinitions, attribute_definitions, 0),
          STORED(BillingMode, BillingMode, billing_mode, 0),
          STORED(ProvisionedThroughput, ProvisionedThroughput, provisioned, 0),
          STORED(GlobalSecondaryIndexUpdates, GlobalSecondaryIndexUpdateList, index_updates, 0),
          STORED(StreamSpecification, StreamSpecification, stream, 0),
          STORED(SSESpecification, SSESpecification, sse, 0),
          UNBUILT(ReplicaUpdates, ReplicationGroupUpdateList, 0),
          STORED(TableClass, TableClass, table_class, 0),
          STORED(DeletionProtectionEnabled, DeletionProtectionEnabled, deletion_protection, 0),
          UNBUILT(MultiRegionConsistency, MultiRegionConsistency, 0),
          UNBUILT(GlobalTableWitnessUpdates, GlobalTableWitnessGroupUpdateList, 0),
          STORED(OnDemandThroughput, OnDemandThroughput, on_demand, 0),
          STORED(WarmThroughput, WarmThroughput, warm, 0),
          UNBUILT(GlobalTableSettingsReplicationMode, GlobalTableSettingsReplicationMode, 0),
          UNBUILT(DisassociationProtectionEnabled, Boolean, 0),
          UNBUILT(VectorIndexUpdates, VectorIndexUpdateList, 0));
#undef INPUT

#define INPUT struct table_input
STRUCTURE(DescribeTableInput, STORED(TableName, TableArn, table, MODEL_PARAMETER));
#undef INPUT

#define INPUT struct table_input
STRUCTURE(DeleteTableInput, STORED(TableName, TableArn, table, MODEL_PARAMETER));
#undef INPUT

#define INPUT struct list_tables_input
STRUCTURE(ListTablesInput, STORED(ExclusiveStartTableName, TableName, exclusive_start, 0),
          STORED(Limit, ListTablesInputLimit, limit, 0));
#undef INPUT

#define INPUT struct attribute_definition_input
STRUCTURE(AttributeDefinition, STORED(AttributeName, KeySchemaAttributeName, name, MODEL_REQUIRED),
          STORED(AttributeType, ScalarAttributeType, type, MODEL_REQUIRED));
#undef INPUT

#define INPUT struct key_schema_input
STRUCTURE(KeySchemaElement, STORED(AttributeName, KeySchemaAttributeName, name, MODEL_REQUIRED),
          STORED(KeyType, KeyType, type, MODEL_REQUIRED));
#undef INPUT

#define INPUT struct provisioned_input
STRUCTURE(ProvisionedThroughput,
          STORED(WriteCapacityUnits, PositiveLongObject, write, MODEL_REQUIRED),
          STORED(ReadCapacityUnits, PositiveLongObject, read, MODEL_REQUIRED));
#undef INPUT

#define INPUT struct on_demand_input
STRUCTURE(OnDemandThroughput, STORED(MaxReadRequestUnits, LongObject, read, 0),
          STORED(MaxWriteRequestUnits, LongObject, write, 0));
#undef INPUT

#define INPUT struct warm_input
STRUCTURE(WarmThroughput, STORED(ReadUnitsPerSecond, LongObject, read, 0),
          STORED(WriteUnitsPerSecond, LongObject, write, 0));
#undef INPUT

#define INPUT struct stream_input
STRUCTURE(StreamSpecification, STORED(StreamEnabled, StreamEnabled, enabled, MODEL_REQUIRED),
          STORED(StreamViewType, StreamViewType, view_type, 0));
#undef INPUT

#define INPUT struct sse_input
STRUCTURE(SSESpecification, STORED(Enabled, SSEEnabled, enabled, 0),
          STORED(SSEType, SSEType, type, 0), STORED(KMSMasterKeyId, KMSMasterKeyId, key_id, 0));
#undef INPUT

#define INPUT struct local_index_input
STRUCTURE(LocalSecondaryIndex, STORED(IndexName, IndexName, name, MODEL_REQUIRED),
          STORED(KeySchema, KeySchema, key_schema, MODEL_REQUIRED),
          STORED(Projection, Projection, projection, MODEL_REQUIRED));
#undef INPUT

#define INPUT struct global_index_input
STRUCTURE(GlobalSecondaryIndex, STORED(IndexName, IndexName, name, MODEL_REQUIRED),
          STORED(KeySchema, KeySchema, key_schema, MODEL_REQUIRED),
          STORED(Projection, Projection, projection, MODEL_REQUIRED),
          STORED(ProvisionedThroughput, ProvisionedThroughput, provisioned, 0),
          STORED(OnDemandThroughput, OnDemandThroughput, on_demand, 0),
          STORED(WarmThroughput, WarmThroughput, warm, 0));
#undef INPUT

#define INPUT struct projection_input
STRUCTURE(Projection, STORED(ProjectionType, ProjectionType, type, 0),
          STORED(NonKeyAttributes, NonKeyAttributeNameList, non_key, 0));
#undef INPUT

#define INPUT struct global_index_update_input
STRUCTURE(GlobalSecondaryIndexUpdate, STORED(Update, UpdateGlobalSecondaryIndexAction, update, 0),
          STORED(Create, CreateGlobalSecondaryIndexAction, create, 0),
          STORED(Delete, DeleteGlobalSecondaryIndexAction, delete, 0));
#undef INPUT

#define INPUT struct global_index_input
STRUCTURE(CreateGlobalSecondaryIndexAction, STORED(IndexName, IndexName, name, MODEL_REQUIRED),
          STORED(KeySchema, KeySchema, key_schema, MODEL_REQUIRED),
          STORED(Projection, Projection, projection, MODEL_REQUIRED),
          STORED(ProvisionedThroughput, ProvisionedThroughput, provisioned, 0),
          STORED(OnDemandThroughput, OnDemandThroughput, on_demand, 0),
          STORED(WarmThroughput, WarmThroughput, warm, 0));

STRUCTURE(UpdateGlobalSecondaryIndexAction, STORED(IndexName, IndexName, name, MODEL_REQUIRED),
          STORED(ProvisionedThroughput, ProvisionedThroughput, provisioned, 0),
          STORED(OnDemandThroughput, OnDemandThroughput, on_demand, 0),
          STORED(WarmThroughput, WarmThroughput, warm, 0));
#undef INPUT

#define INPUT struct index_name_input
STRUCTURE(DeleteGlobalSecondaryIndexAction, STORED(IndexName, IndexName, name, MODEL_REQUIRED));
#undef INPUT

UNSTORED_STRUCTURE(VectorIndex, UNSTORED(IndexName, String, MODEL_REQUIRED),
                   UNSTORED(VectorAttribute, VectorAttributeDefinition, MODEL_REQUIRED),
                   UNSTORED(Projection, Projection, MODEL_REQUIRED),
                   UNSTORED(Dimensions, Long, MODEL_REQUIRED),
                   UNSTORED(DistanceFunction, String, MODEL_REQUIRED),
                   UNSTORED(SearchSchema, SearchSchema, 0));

UNSTORED_STRUCTURE(VectorAttributeDefinition, UNSTORED(AttributeName, String, MODEL_REQUIRED));

UNSTORED_STRUCTURE(SearchSchemaElement, UNSTORED(AttributeName, String, MODEL_REQUIRED),
                   UNSTORED(SearchSchemaElementType, String, MODEL_REQUIRED));

UNSTORED_STRUCTURE(VectorIndexUpdate, UNSTORED(Create, CreateVectorIndexAction, 0),
                   UNSTORED(Delete, DeleteVectorIndexAction, 0));

UNSTORED_STRUCTURE(CreateVectorIndexAction, UNSTORED(IndexName, String, MODEL_REQUIRED),
                   UNSTORED(VectorAttribute, VectorAttributeDefinition, MODEL_REQUIRED),
                   UNSTORED(Projection, Projection, MODEL_REQUIRED),
                   UNSTORED(Dimensions, Long, MODEL_REQUIRED),
                   UNSTORED(DistanceFunction, String, MODEL_REQUIRED),
                   UNSTORED(SearchSchema, SearchSchema, 0));

UNSTORED_STRUCTURE(DeleteVectorIndexAction, UNSTORED(IndexName, String, MODEL_REQUIRED));

#define INPUT struct tag_input
STRUCTURE(Tag, STORED(Key, TagKeyString, key, 0), STORED(Value, TagValueString, value, 0));
#undef INPUT

#define INPUT struct tag_resource_input
STRUCTURE(TagResourceInput, STORED(ResourceArn, ResourceArnString, resource, MODEL_REQUIRED),
          STORED(Tags, TagList, tags, MODEL_REQUIRED));
#undef INPUT

#define INPUT struct untag_resource_input
STRUCTURE(UntagResourceInput, STORED(ResourceArn, ResourceArnString, resource, MODEL_REQUIRED),
          STORED(TagKeys, TagKeyList, keys, MODEL_REQUIRED));
#undef INPUT

#define INPUT struct list_tags_input
STRUCTURE(ListTagsOfResourceInput, STORED(ResourceArn, ResourceArnString, resource, MODEL_REQUIRED),
          STORED(NextToken, NextTokenString, next_token, 0));
#undef INPUT

#define INPUT struct table_input
STRUCTURE(DescribeTimeToLiveInput, STORED(TableName, TableArn, table, MODEL_REQUIRED));
#undef INPUT

#define INPUT struct update_ttl_input
STRUCTURE(UpdateTimeToLiveInput, STORED(TableName, TableArn, table, MODEL_REQUIRED),
          STORED(TimeToLiveSpecification, TimeToLiveSpecification, ttl, MODEL_REQUIRED));
#undef INPUT

#define INPUT struct ttl_input
STRUCTURE(TimeToLiveSpecification,
          STORED(AttributeName, TimeToLiveAttributeName, attribute, MODEL_REQUIRED),
          STORED(Enabled, TimeToLiveEnabled, enabled, MODEL_REQUIRED));
#undef INPUT

#define INPUT struct table_input
STRUCTURE(DescribeContinuousBackupsInput, STORED(TableName, TableArn, table, MODEL_REQUIRED));
#undef INPUT

#define INPUT struct update_backups_input
STRUCTURE(UpdateContinuousBackupsInput, STORED(TableName, TableArn, table, MODEL_REQUIRED),
          STORED(PointInTimeRecoverySpecification, PointInTimeRecoverySpecification, recovery,
                 MODEL_REQUIRED));
#undef INPUT

#define INPUT struct recovery_input
STRUCTURE(PointInTimeRecoverySpecification,
          STORED(PointInTimeRecoveryEnabled, BooleanObject, enabled, MODEL_REQUIRED),
          STORED(RecoveryPeriodInDays, RecoveryPeriodInDays, days, 0));
#undef INPUT

EMPTY_STRUCTURE(DescribeLimitsInput);

EMPTY_STRUCTURE(DescribeEndpointsRequest);

#define INPUT struct list_streams_input
STRUCTURE(ListStreamsInput, STORED(TableName, TableName, table, 0),
          STORED(Limit, PositiveIntegerObject, limit, 0),
          STORED(ExclusiveStartStreamArn, StreamArn, exclusive_start, 0));
#undef INPUT

#define INPUT struct describe_stream_input
STRUCTURE(DescribeStreamInput, STORED(StreamArn, StreamArn, stream, MODEL_REQUIRED),
          STORED(Limit, PositiveIntegerObject, limit, 0),
          STORED(ExclusiveStartShardId, ShardId, exclusive_start, 0),
          STORED(ShardFilter, ShardFilter, filter, 0));
#undef INPUT

#define INPUT struct shard_filter_input
STRUCTURE(ShardFilter, STORED(Type, ShardFilterType, type, 0), STORED(ShardId, ShardId, shard, 0));
#undef INPUT

#define INPUT struct shard_iterator_input
STRUCTURE(GetShardIteratorInput, STORED(StreamArn, StreamArn, stream, MODEL_REQUIRED),
          STORED(ShardId, ShardId, shard, MODEL_REQUIRED),
          STORED(ShardIteratorType, ShardIteratorType, type, MODEL_REQUIRED),
          STORED(SequenceNumber, SequenceNumber, sequence_number, 0));
#undef INPUT

#define INPUT struct get_records_input
STRUCTURE(GetRecordsInput, STORED(ShardIterator, ShardIterator, iterator, MODEL_REQUIRED),
          STORED(Limit, PositiveIntegerObject, limit, 0));
#undef INPUT
