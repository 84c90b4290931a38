/* The model: backups, export and import, global tables, scaling, insights, policies, bulk
 * operations.  Of them policies are built. */
#include "api/model_shapes.h"

#include "api/input.h"
#include "base/compiler.h"

LIST(CsvHeaderList, CsvHeader, 1, 255);
LIST(GlobalSecondaryIndexAutoScalingUpdateList, GlobalSecondaryIndexAutoScalingUpdate, 1,
     MODEL_NO_MAX);
LIST(GlobalTableGlobalSecondaryIndexSettingsUpdateList,
     GlobalTableGlobalSecondaryIndexSettingsUpdate, 1, 20);
LIST(GlobalTableWitnessGroupUpdateList, GlobalTableWitnessGroupUpdate, 1, 1);
LIST(ReplicaAutoScalingUpdateList, ReplicaAutoScalingUpdate, 1, MODEL_NO_MAX);
LIST(ReplicaGlobalSecondaryIndexAutoScalingUpdateList, ReplicaGlobalSecondaryIndexAutoScalingUpdate,
     MODEL_NO_MIN, MODEL_NO_MAX);
LIST(ReplicaGlobalSecondaryIndexList, ReplicaGlobalSecondaryIndex, 1, MODEL_NO_MAX);
LIST(ReplicaGlobalSecondaryIndexSettingsUpdateList, ReplicaGlobalSecondaryIndexSettingsUpdate, 1,
     20);
LIST(ReplicaList, Replica, MODEL_NO_MIN, MODEL_NO_MAX);
LIST(ReplicaSettingsUpdateList, ReplicaSettingsUpdate, 1, 50);
LIST(ReplicaUpdateList, ReplicaUpdate, MODEL_NO_MIN, MODEL_NO_MAX);
LIST(ReplicationGroupUpdateList, ReplicationGroupUpdate, 1, MODEL_NO_MAX);

UNSTORED_STRUCTURE(CancelBulkOperationInput, UNSTORED(BulkOperationArn, String, MODEL_REQUIRED));

UNSTORED_STRUCTURE(CreateBackupInput, UNSTORED(TableName, TableArn, MODEL_REQUIRED),
                   UNSTORED(BackupName, BackupName, MODEL_REQUIRED));

UNSTORED_STRUCTURE(CreateGlobalTableInput, UNSTORED(GlobalTableName, TableName, MODEL_REQUIRED),
                   UNSTORED(ReplicationGroup, ReplicaList, MODEL_REQUIRED));

UNSTORED_STRUCTURE(Replica, UNSTORED(RegionName, RegionName, 0));

UNSTORED_STRUCTURE(DeleteBackupInput, UNSTORED(BackupArn, BackupArn, MODEL_REQUIRED));

#define INPUT struct policy_input
STRUCTURE(DeleteResourcePolicyInput,
          STORED(ResourceArn, ResourceArnString, resource, MODEL_REQUIRED),
          STORED(ExpectedRevisionId, PolicyRevisionId, expected, 0));
#undef INPUT

UNSTORED_STRUCTURE(DescribeBackupInput, UNSTORED(BackupArn, BackupArn, MODEL_REQUIRED));

UNSTORED_STRUCTURE(DescribeBulkOperationInput, UNSTORED(BulkOperationArn, String, MODEL_REQUIRED));

UNSTORED_STRUCTURE(DescribeContributorInsightsInput, UNSTORED(TableName, TableArn, MODEL_REQUIRED),
                   UNSTORED(IndexName, IndexName, 0));

UNSTORED_STRUCTURE(DescribeExportInput, UNSTORED(ExportArn, ExportArn, MODEL_REQUIRED));

UNSTORED_STRUCTURE(DescribeGlobalTableInput, UNSTORED(GlobalTableName, TableName, MODEL_REQUIRED));

UNSTORED_STRUCTURE(DescribeGlobalTableSettingsInput,
                   UNSTORED(GlobalTableName, TableName, MODEL_REQUIRED));

UNSTORED_STRUCTURE(DescribeImportInput, UNSTORED(ImportArn, ImportArn, MODEL_REQUIRED));

UNSTORED_STRUCTURE(DescribeKinesisStreamingDestinationInput,
                   UNSTORED(TableName, TableArn, MODEL_REQUIRED));

UNSTORED_STRUCTURE(DescribeTableReplicaAutoScalingInput,
                   UNSTORED(TableName, TableArn, MODEL_REQUIRED));

UNSTORED_STRUCTURE(KinesisStreamingDestinationInput, UNSTORED(TableName, TableArn, MODEL_REQUIRED),
                   UNSTORED(StreamArn, StreamArn, MODEL_REQUIRED),
                   UNSTORED(EnableKinesisStreamingConfiguration,
                            EnableKinesisStreamingConfiguration, 0));

UNSTORED_STRUCTURE(EnableKinesisStreamingConfiguration,
                   UNSTORED(ApproximateCreationDateTimePrecision,
                            ApproximateCreationDateTimePrecision, 0));

UNSTORED_STRUCTURE(ExportTableToPointInTimeInput, UNSTORED(TableArn, TableArn, MODEL_REQUIRED),
                   UNSTORED(S3Bucket, S3Bucket, MODEL_REQUIRED),
                   UNSTORED(ExportTime, ExportTime, 0), UNSTORED(ClientToken, ClientToken, 0),
                   UNSTORED(S3BucketOwner, S3BucketOwner, 0), UNSTORED(S3Prefix, S3Prefix, 0),
                   UNSTORED(S3SseAlgorithm, S3SseAlgorithm, 0),
                   UNSTORED(S3SseKmsKeyId, S3SseKmsKeyId, 0),
                   UNSTORED(ExportFormat, ExportFormat, 0), UNSTORED(ExportType, ExportType, 0),
                   UNSTORED(IncrementalExportSpecification, IncrementalExportSpecification, 0),
                   UNSTORED(FilterSpecification, FilterSpecification, 0));

UNSTORED_STRUCTURE(IncrementalExportSpecification, UNSTORED(ExportFromTime, ExportFromTime, 0),
                   UNSTORED(ExportToTime, ExportToTime, 0),
                   UNSTORED(ExportViewType, ExportViewType, 0));

UNSTORED_STRUCTURE(FilterSpecification, UNSTORED(FilterExpression, String, MODEL_EXPRESSION),
                   UNSTORED(ProjectionExpression, String, MODEL_EXPRESSION),
                   UNSTORED(KeyConditionExpression, String, MODEL_EXPRESSION),
                   UNSTORED(ExpressionAttributeNames, ExpressionAttributeNameMap, 0),
                   UNSTORED(ExpressionAttributeValues, ExpressionAttributeValueMap, 0));

#define INPUT struct policy_input
STRUCTURE(GetResourcePolicyInput, STORED(ResourceArn, ResourceArnString, resource, MODEL_REQUIRED));
#undef INPUT

UNSTORED_STRUCTURE(ImportTableInput, UNSTORED(S3BucketSource, S3BucketSource, MODEL_REQUIRED),
                   UNSTORED(InputFormat, InputFormat, MODEL_REQUIRED),
                   UNSTORED(TableCreationParameters, TableCreationParameters, MODEL_REQUIRED),
                   UNSTORED(ClientToken, ClientToken, 0),
                   UNSTORED(InputFormatOptions, InputFormatOptions, 0),
                   UNSTORED(InputCompressionType, InputCompressionType, 0));

UNSTORED_STRUCTURE(S3BucketSource, UNSTORED(S3Bucket, S3Bucket, MODEL_REQUIRED),
                   UNSTORED(S3BucketOwner, S3BucketOwner, 0), UNSTORED(S3KeyPrefix, S3Prefix, 0));

UNSTORED_STRUCTURE(TableCreationParameters, UNSTORED(TableName, TableName, MODEL_REQUIRED),
                   UNSTORED(AttributeDefinitions, AttributeDefinitions, MODEL_REQUIRED),
                   UNSTORED(KeySchema, KeySchema, MODEL_REQUIRED),
                   UNSTORED(BillingMode, BillingMode, 0),
                   UNSTORED(ProvisionedThroughput, ProvisionedThroughput, 0),
                   UNSTORED(OnDemandThroughput, OnDemandThroughput, 0),
                   UNSTORED(SSESpecification, SSESpecification, 0),
                   UNSTORED(GlobalSecondaryIndexes, GlobalSecondaryIndexList, 0),
                   UNSTORED(VectorIndexes, VectorIndexList, 0));

UNSTORED_STRUCTURE(InputFormatOptions, UNSTORED(Csv, CsvOptions, 0));

UNSTORED_STRUCTURE(CsvOptions, UNSTORED(Delimiter, CsvDelimiter, 0),
                   UNSTORED(HeaderList, CsvHeaderList, 0));

UNSTORED_STRUCTURE(ListBackupsInput, UNSTORED(TableName, TableArn, 0),
                   UNSTORED(Limit, BackupsInputLimit, 0),
                   UNSTORED(TimeRangeLowerBound, TimeRangeLowerBound, 0),
                   UNSTORED(TimeRangeUpperBound, TimeRangeUpperBound, 0),
                   UNSTORED(ExclusiveStartBackupArn, BackupArn, 0),
                   UNSTORED(BackupType, BackupTypeFilter, 0));

UNSTORED_STRUCTURE(ListBulkOperationsInput, UNSTORED(MaxResults, Long, 0),
                   UNSTORED(NextToken, String, 0));

UNSTORED_STRUCTURE(ListContributorInsightsInput, UNSTORED(TableName, TableArn, 0),
                   UNSTORED(NextToken, NextTokenString, 0),
                   UNSTORED(MaxResults, ListContributorInsightsLimit, 0));

UNSTORED_STRUCTURE(ListExportsInput, UNSTORED(TableArn, TableArn, 0),
                   UNSTORED(MaxResults, ListExportsMaxLimit, 0),
                   UNSTORED(NextToken, ExportNextToken, 0));

UNSTORED_STRUCTURE(ListGlobalTablesInput, UNSTORED(ExclusiveStartGlobalTableName, TableName, 0),
                   UNSTORED(Limit, PositiveIntegerObject, 0), UNSTORED(RegionName, RegionName, 0));

UNSTORED_STRUCTURE(ListImportsInput, UNSTORED(TableArn, TableArn, 0),
                   UNSTORED(PageSize, ListImportsMaxLimit, 0),
                   UNSTORED(NextToken, ImportNextToken, 0));

#define INPUT struct put_policy_input
STRUCTURE(PutResourcePolicyInput, STORED(ResourceArn, ResourceArnString, resource, MODEL_REQUIRED),
          STORED(Policy, ResourcePolicy, policy, MODEL_REQUIRED),
          STORED(ExpectedRevisionId, PolicyRevisionId, expected, 0),
          STORED(ConfirmRemoveSelfResourceAccess, ConfirmRemoveSelfResourceAccess, confirm_removal,
                 0));
#undef INPUT

UNSTORED_STRUCTURE(RestoreTableFromBackupInput,
                   UNSTORED(TargetTableName, TableName, MODEL_REQUIRED),
                   UNSTORED(BackupArn, BackupArn, MODEL_REQUIRED),
                   UNSTORED(BillingModeOverride, BillingMode, 0),
                   UNSTORED(GlobalSecondaryIndexOverride, GlobalSecondaryIndexList, 0),
                   UNSTORED(LocalSecondaryIndexOverride, LocalSecondaryIndexList, 0),
                   UNSTORED(ProvisionedThroughputOverride, ProvisionedThroughput, 0),
                   UNSTORED(OnDemandThroughputOverride, OnDemandThroughput, 0),
                   UNSTORED(SSESpecificationOverride, SSESpecification, 0),
                   UNSTORED(VectorIndexOverride, VectorIndexList, 0));

UNSTORED_STRUCTURE(RestoreTableToPointInTimeInput,
                   UNSTORED(TargetTableName, TableName, MODEL_REQUIRED),
                   UNSTORED(SourceTableArn, TableArn, 0), UNSTORED(SourceTableName, TableName, 0),
                   UNSTORED(UseLatestRestorableTime, BooleanObject, 0),
                   UNSTORED(RestoreDateTime, Date, 0),
                   UNSTORED(BillingModeOverride, BillingMode, 0),
                   UNSTORED(GlobalSecondaryIndexOverride, GlobalSecondaryIndexList, 0),
                   UNSTORED(LocalSecondaryIndexOverride, LocalSecondaryIndexList, 0),
                   UNSTORED(ProvisionedThroughputOverride, ProvisionedThroughput, 0),
                   UNSTORED(OnDemandThroughputOverride, OnDemandThroughput, 0),
                   UNSTORED(SSESpecificationOverride, SSESpecification, 0),
                   UNSTORED(VectorIndexOverride, VectorIndexList, 0));

UNSTORED_STRUCTURE(StartBulkPutItemsInput,
                   UNSTORED(InputS3Configuration, InputS3Configuration, MODEL_REQUIRED),
                   UNSTORED(OutputS3Configuration, OutputS3Configuration, MODEL_REQUIRED),
                   UNSTORED(TableName, String, MODEL_REQUIRED), UNSTORED(ClientToken, String, 0),
                   UNSTORED(MaxWriteRequestUnits, Long, 0), UNSTORED(PerformanceTier, String, 0));

UNSTORED_STRUCTURE(InputS3Configuration, UNSTORED(S3Bucket, String, MODEL_REQUIRED),
                   UNSTORED(InputFormat, String, MODEL_REQUIRED),
                   UNSTORED(S3BucketOwner, String, 0), UNSTORED(S3KeyPrefix, String, 0),
                   UNSTORED(InputCompressionType, String, 0));

UNSTORED_STRUCTURE(OutputS3Configuration, UNSTORED(OutputType, StringList, MODEL_REQUIRED),
                   UNSTORED(S3BucketOwner, String, 0), UNSTORED(S3Bucket, String, 0),
                   UNSTORED(S3KeyPrefix, String, 0), UNSTORED(S3SseAlgorithm, String, 0),
                   UNSTORED(S3SseKmsKeyId, String, 0));

UNSTORED_STRUCTURE(UpdateContributorInsightsInput, UNSTORED(TableName, TableArn, MODEL_REQUIRED),
                   UNSTORED(ContributorInsightsAction, ContributorInsightsAction, MODEL_REQUIRED),
                   UNSTORED(IndexName, IndexName, 0),
                   UNSTORED(ContributorInsightsMode, ContributorInsightsMode, 0));

UNSTORED_STRUCTURE(UpdateGlobalTableInput, UNSTORED(GlobalTableName, TableName, MODEL_REQUIRED),
                   UNSTORED(ReplicaUpdates, ReplicaUpdateList, MODEL_REQUIRED));

UNSTORED_STRUCTURE(ReplicaUpdate, UNSTORED(Create, CreateReplicaAction, 0),
                   UNSTORED(Delete, DeleteReplicaAction, 0));

UNSTORED_STRUCTURE(CreateReplicaAction, UNSTORED(RegionName, RegionName, MODEL_REQUIRED));

UNSTORED_STRUCTURE(DeleteReplicaAction, UNSTORED(RegionName, RegionName, MODEL_REQUIRED));

UNSTORED_STRUCTURE(UpdateGlobalTableSettingsInput,
                   UNSTORED(GlobalTableName, TableName, MODEL_REQUIRED),
                   UNSTORED(GlobalTableBillingMode, BillingMode, 0),
                   UNSTORED(GlobalTableProvisionedWriteCapacityUnits, PositiveLongObject, 0),
                   UNSTORED(GlobalTableProvisionedWriteCapacityAutoScalingSettingsUpdate,
                            AutoScalingSettingsUpdate, 0),
                   UNSTORED(GlobalTableGlobalSecondaryIndexSettingsUpdate,
                            GlobalTableGlobalSecondaryIndexSettingsUpdateList, 0),
                   UNSTORED(ReplicaSettingsUpdate, ReplicaSettingsUpdateList, 0));

UNSTORED_STRUCTURE(AutoScalingSettingsUpdate, UNSTORED(MinimumUnits, PositiveLongObject, 0),
                   UNSTORED(MaximumUnits, PositiveLongObject, 0),
                   UNSTORED(AutoScalingDisabled, BooleanObject, 0),
                   UNSTORED(AutoScalingRoleArn, AutoScalingRoleArn, 0),
                   UNSTORED(ScalingPolicyUpdate, AutoScalingPolicyUpdate, 0));

UNSTORED_STRUCTURE(AutoScalingPolicyUpdate,
                   UNSTORED(TargetTrackingScalingPolicyConfiguration,
                            AutoScalingTargetTrackingScalingPolicyConfigurationUpdate,
                            MODEL_REQUIRED),
                   UNSTORED(PolicyName, AutoScalingPolicyName, 0));

UNSTORED_STRUCTURE(AutoScalingTargetTrackingScalingPolicyConfigurationUpdate,
                   UNSTORED(TargetValue, DoubleObject, MODEL_REQUIRED),
                   UNSTORED(DisableScaleIn, BooleanObject, 0),
                   UNSTORED(ScaleInCooldown, IntegerObject, 0),
                   UNSTORED(ScaleOutCooldown, IntegerObject, 0));

UNSTORED_STRUCTURE(GlobalTableGlobalSecondaryIndexSettingsUpdate,
                   UNSTORED(IndexName, IndexName, MODEL_REQUIRED),
                   UNSTORED(ProvisionedWriteCapacityUnits, PositiveLongObject, 0),
                   UNSTORED(ProvisionedWriteCapacityAutoScalingSettingsUpdate,
                            AutoScalingSettingsUpdate, 0));

UNSTORED_STRUCTURE(ReplicaSettingsUpdate, UNSTORED(RegionName, RegionName, MODEL_REQUIRED),
                   UNSTORED(ReplicaProvisionedReadCapacityUnits, PositiveLongObject, 0),
                   UNSTORED(ReplicaProvisionedReadCapacityAutoScalingSettingsUpdate,
                            AutoScalingSettingsUpdate, 0),
                   UNSTORED(ReplicaGlobalSecondaryIndexSettingsUpdate,
                            ReplicaGlobalSecondaryIndexSettingsUpdateList, 0),
                   UNSTORED(ReplicaTableClass, TableClass, 0));

UNSTORED_STRUCTURE(ReplicaGlobalSecondaryIndexSettingsUpdate,
                   UNSTORED(IndexName, IndexName, MODEL_REQUIRED),
                   UNSTORED(ProvisionedReadCapacityUnits, PositiveLongObject, 0),
                   UNSTORED(ProvisionedReadCapacityAutoScalingSettingsUpdate,
                            AutoScalingSettingsUpdate, 0));

UNSTORED_STRUCTURE(UpdateKinesisStreamingDestinationInput,
                   UNSTORED(TableName, TableArn, MODEL_REQUIRED),
                   UNSTORED(StreamArn, StreamArn, MODEL_REQUIRED),
                   UNSTORED(UpdateKinesisStreamingConfiguration,
                            UpdateKinesisStreamingConfiguration, 0));

UNSTORED_STRUCTURE(UpdateKinesisStreamingConfiguration,
                   UNSTORED(ApproximateCreationDateTimePrecision,
                            ApproximateCreationDateTimePrecision, 0));

UNSTORED_STRUCTURE(ReplicationGroupUpdate, UNSTORED(Create, CreateReplicationGroupMemberAction, 0),
                   UNSTORED(Update, UpdateReplicationGroupMemberAction, 0),
                   UNSTORED(Delete, DeleteReplicationGroupMemberAction, 0),
                   UNSTORED(Disassociate, DisassociateReplicationGroupMemberAction, 0));

UNSTORED_STRUCTURE(CreateReplicationGroupMemberAction,
                   UNSTORED(RegionName, RegionName, MODEL_REQUIRED),
                   UNSTORED(KMSMasterKeyId, KMSMasterKeyId, 0),
                   UNSTORED(ProvisionedThroughputOverride, ProvisionedThroughputOverride, 0),
                   UNSTORED(OnDemandThroughputOverride, OnDemandThroughputOverride, 0),
                   UNSTORED(GlobalSecondaryIndexes, ReplicaGlobalSecondaryIndexList, 0),
                   UNSTORED(TableClassOverride, TableClass, 0));

UNSTORED_STRUCTURE(ProvisionedThroughputOverride,
                   UNSTORED(ReadCapacityUnits, PositiveLongObject, 0));

UNSTORED_STRUCTURE(OnDemandThroughputOverride, UNSTORED(MaxReadRequestUnits, LongObject, 0));

UNSTORED_STRUCTURE(ReplicaGlobalSecondaryIndex, UNSTORED(IndexName, IndexName, MODEL_REQUIRED),
                   UNSTORED(ProvisionedThroughputOverride, ProvisionedThroughputOverride, 0),
                   UNSTORED(OnDemandThroughputOverride, OnDemandThroughputOverride, 0));

UNSTORED_STRUCTURE(UpdateReplicationGroupMemberAction,
                   UNSTORED(RegionName, RegionName, MODEL_REQUIRED),
                   UNSTORED(KMSMasterKeyId, KMSMasterKeyId, 0),
                   UNSTORED(ProvisionedThroughputOverride, ProvisionedThroughputOverride, 0),
                   UNSTORED(OnDemandThroughputOverride, OnDemandThroughputOverride, 0),
                   UNSTORED(GlobalSecondaryIndexes, ReplicaGlobalSecondaryIndexList, 0),
                   UNSTORED(TableClassOverride, TableClass, 0));

UNSTORED_STRUCTURE(DeleteReplicationGroupMemberAction,
                   UNSTORED(RegionName, RegionName, MODEL_REQUIRED));

UNSTORED_STRUCTURE(DisassociateReplicationGroupMemberAction,
                   UNSTORED(RegionName, String, MODEL_REQUIRED),
                   UNSTORED(DisassociationMode, String, MODEL_REQUIRED));

UNSTORED_STRUCTURE(GlobalTableWitnessGroupUpdate,
                   UNSTORED(Create, CreateGlobalTableWitnessGroupMemberAction, 0),
                   UNSTORED(Delete, DeleteGlobalTableWitnessGroupMemberAction, 0));

UNSTORED_STRUCTURE(CreateGlobalTableWitnessGroupMemberAction,
                   UNSTORED(RegionName, RegionName, MODEL_REQUIRED));

UNSTORED_STRUCTURE(DeleteGlobalTableWitnessGroupMemberAction,
                   UNSTORED(RegionName, RegionName, MODEL_REQUIRED));

UNSTORED_STRUCTURE(
    UpdateTableReplicaAutoScalingInput, UNSTORED(TableName, TableArn, MODEL_REQUIRED),
    UNSTORED(GlobalSecondaryIndexUpdates, GlobalSecondaryIndexAutoScalingUpdateList, 0),
    UNSTORED(ProvisionedWriteCapacityAutoScalingUpdate, AutoScalingSettingsUpdate, 0),
    UNSTORED(ReplicaUpdates, ReplicaAutoScalingUpdateList, 0));

UNSTORED_STRUCTURE(GlobalSecondaryIndexAutoScalingUpdate, UNSTORED(IndexName, IndexName, 0),
                   UNSTORED(ProvisionedWriteCapacityAutoScalingUpdate, AutoScalingSettingsUpdate,
                            0));

UNSTORED_STRUCTURE(ReplicaAutoScalingUpdate, UNSTORED(RegionName, RegionName, MODEL_REQUIRED),
                   UNSTORED(ReplicaGlobalSecondaryIndexUpdates,
                            ReplicaGlobalSecondaryIndexAutoScalingUpdateList, 0),
                   UNSTORED(ReplicaProvisionedReadCapacityAutoScalingUpdate,
                            AutoScalingSettingsUpdate, 0));

UNSTORED_STRUCTURE(ReplicaGlobalSecondaryIndexAutoScalingUpdate, UNSTORED(IndexName, IndexName, 0),
                   UNSTORED(ProvisionedReadCapacityAutoScalingUpdate, AutoScalingSettingsUpdate,
                            0));
