/* The operations of both services: 62 of DynamoDB, 4 of its streams; each by name within its
 * service. */
#include "api/api_private.h"
#include "api/model_shapes.h"

#define OPERATION(its_name, its_input, its_run, it_reads)                                          \
    {                                                                                              \
        .name = {(const uint8_t *)#its_name, sizeof(#its_name) - 1}, .input = &shape_##its_input,  \
        .run = its_run, .reads = it_reads                                                          \
    }
#define BUILT(name, input, run) OPERATION(name, input, run, false)
#define READS(name, input, run) OPERATION(name, input, run, true)
#define NOT_BUILT(name, input)  OPERATION(name, input, NULL, false)

const struct api_operation api_operations[API_OPERATION_COUNT] = {
    BUILT(BatchExecuteStatement, BatchExecuteStatementInput, api_batch_execute_statement),
    READS(BatchGetItem, BatchGetItemInput, api_batch_get_item),
    BUILT(BatchWriteItem, BatchWriteItemInput, api_batch_write_item),
    NOT_BUILT(CancelBulkOperation, CancelBulkOperationInput),
    NOT_BUILT(CreateBackup, CreateBackupInput),
    NOT_BUILT(CreateGlobalTable, CreateGlobalTableInput),
    BUILT(CreateTable, CreateTableInput, api_create_table),
    NOT_BUILT(DeleteBackup, DeleteBackupInput),
    BUILT(DeleteItem, DeleteItemInput, api_delete_item),
    BUILT(DeleteResourcePolicy, DeleteResourcePolicyInput, api_delete_resource_policy),
    BUILT(DeleteTable, DeleteTableInput, api_delete_table),
    NOT_BUILT(DescribeBackup, DescribeBackupInput),
    NOT_BUILT(DescribeBulkOperation, DescribeBulkOperationInput),
    BUILT(DescribeContinuousBackups, DescribeContinuousBackupsInput,
          api_describe_continuous_backups),
    NOT_BUILT(DescribeContributorInsights, DescribeContributorInsightsInput),
    BUILT(DescribeEndpoints, DescribeEndpointsRequest, api_describe_endpoints),
    NOT_BUILT(DescribeExport, DescribeExportInput),
    NOT_BUILT(DescribeGlobalTable, DescribeGlobalTableInput),
    NOT_BUILT(DescribeGlobalTableSettings, DescribeGlobalTableSettingsInput),
    NOT_BUILT(DescribeImport, DescribeImportInput),
    NOT_BUILT(DescribeKinesisStreamingDestination, DescribeKinesisStreamingDestinationInput),
    BUILT(DescribeLimits, DescribeLimitsInput, api_describe_limits),
    BUILT(DescribeTable, DescribeTableInput, api_describe_table),
    NOT_BUILT(DescribeTableReplicaAutoScaling, DescribeTableReplicaAutoScalingInput),
    BUILT(DescribeTimeToLive, DescribeTimeToLiveInput, api_describe_time_to_live),
    NOT_BUILT(DisableKinesisStreamingDestination, KinesisStreamingDestinationInput),
    NOT_BUILT(EnableKinesisStreamingDestination, KinesisStreamingDestinationInput),
    BUILT(ExecuteStatement, ExecuteStatementInput, api_execute_statement),
    BUILT(ExecuteTransaction, ExecuteTransactionInput, api_execute_transaction),
    NOT_BUILT(ExportTableToPointInTime, ExportTableToPointInTimeInput),
    READS(GetItem, GetItemInput, api_get_item),
    BUILT(GetResourcePolicy, GetResourcePolicyInput, api_get_resource_policy),
    NOT_BUILT(ImportTable, ImportTableInput),
    NOT_BUILT(ListBackups, ListBackupsInput),
    NOT_BUILT(ListBulkOperations, ListBulkOperationsInput),
    NOT_BUILT(ListContributorInsights, ListContributorInsightsInput),
    NOT_BUILT(ListExports, ListExportsInput),
    NOT_BUILT(ListGlobalTables, ListGlobalTablesInput),
    NOT_BUILT(ListImports, ListImportsInput),
    BUILT(ListTables, ListTablesInput, api_list_tables),
    BUILT(ListTagsOfResource, ListTagsOfResourceInput, api_list_tags_of_resource),
    BUILT(PutItem, PutItemInput, api_put_item),
    BUILT(PutResourcePolicy, PutResourcePolicyInput, api_put_resource_policy),
    READS(Query, QueryInput, api_query),
    NOT_BUILT(RestoreTableFromBackup, RestoreTableFromBackupInput),
    NOT_BUILT(RestoreTableToPointInTime, RestoreTableToPointInTimeInput),
    READS(Scan, ScanInput, api_scan),
    NOT_BUILT(SearchVectors, SearchVectorsInput),
    NOT_BUILT(StartBulkPutItems, StartBulkPutItemsInput),
    BUILT(TagResource, TagResourceInput, api_tag_resource),
    READS(TransactGetItems, TransactGetItemsInput, api_transact_get_items),
    BUILT(TransactWriteItems, TransactWriteItemsInput, api_transact_write_items),
    BUILT(UntagResource, UntagResourceInput, api_untag_resource),
    BUILT(UpdateContinuousBackups, UpdateContinuousBackupsInput, api_update_continuous_backups),
    NOT_BUILT(UpdateContributorInsights, UpdateContributorInsightsInput),
    NOT_BUILT(UpdateGlobalTable, UpdateGlobalTableInput),
    NOT_BUILT(UpdateGlobalTableSettings, UpdateGlobalTableSettingsInput),
    BUILT(UpdateItem, UpdateItemInput, api_update_item),
    NOT_BUILT(UpdateKinesisStreamingDestination, UpdateKinesisStreamingDestinationInput),
    BUILT(UpdateTable, UpdateTableInput, api_update_table),
    NOT_BUILT(UpdateTableReplicaAutoScaling, UpdateTableReplicaAutoScalingInput),
    BUILT(UpdateTimeToLive, UpdateTimeToLiveInput, api_update_time_to_live),
    /* The streams service. */
    BUILT(DescribeStream, DescribeStreamInput, api_describe_stream),
    READS(GetRecords, GetRecordsInput, api_get_records),
    BUILT(GetShardIterator, GetShardIteratorInput, api_get_shard_iterator),
    BUILT(ListStreams, ListStreamsInput, api_list_streams),
};
