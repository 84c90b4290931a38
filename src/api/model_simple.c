/* The model: strings, numbers, booleans and enumerations, with their constraints.
 *
 * Enumerations list their values in the order in which the service's texts do, which is also the
 * order of the constants in input.h.
 */
#include "api/model_shapes.h"

#include "base/compiler.h"

PLAIN(AttributeValue, VALUE);
ENUMERATION(ApproximateCreationDateTimePrecision, "MILLISECOND", "MICROSECOND");
ENUMERATION(AttributeAction, "ADD", "PUT", "DELETE");
BOUNDED(AttributeName, STRING, MODEL_NO_MIN, 65535);
PATTERNED(AutoScalingPolicyName, 1, 256, "\\p{Print}+");
PATTERNED(AutoScalingRoleArn, 1, 1600,
          "[\\u0020-\\uD7FF\\uE000-\\uFFFD\\uD800\\uDC00-\\uDBFF\\uDFFF\\r\\n\\t]*");
BOUNDED(BackupArn, STRING, 37, 1024);
PATTERNED(BackupName, 3, 255, "[a-zA-Z0-9_.-]+");
ENUMERATION(BackupTypeFilter, "USER", "SYSTEM", "AWS_BACKUP", "ALL");
BOUNDED(BackupsInputLimit, INTEGER, 1, 100);
ENUMERATION(BillingMode, "PROVISIONED", "PAY_PER_REQUEST");
PLAIN(Blob, BLOB);
PLAIN(Boolean, BOOLEAN);
PLAIN(BooleanObject, BOOLEAN);
BOUNDED(ClientRequestToken, STRING, 1, 36);
PATTERNED(ClientToken, MODEL_NO_MIN, MODEL_NO_MAX, "^[^\\$]+$");
ENUMERATION(ComparisonOperator, "IN", "NULL", "BETWEEN", "LT", "NOT_CONTAINS", "EQ", "GT",
            "NOT_NULL", "NE", "LE", "BEGINS_WITH", "GE", "CONTAINS");
PLAIN(ConditionExpression, STRING);
ENUMERATION(ConditionalOperator, "OR", "AND");
PLAIN(ConfirmRemoveSelfResourceAccess, BOOLEAN);
PLAIN(ConsistentRead, BOOLEAN);
ENUMERATION(ContributorInsightsAction, "ENABLE", "DISABLE");
ENUMERATION(ContributorInsightsMode, "ACCESSED_AND_THROTTLED_KEYS", "THROTTLED_KEYS");
PATTERNED(CsvDelimiter, 1, 1, "[,;:|\\t ]");
PATTERNED(CsvHeader, 1, 65536, "[\\x20-\\x21\\x23-\\x2B\\x2D-\\x7E]*");
PLAIN(Date, TIMESTAMP);
PLAIN(DeletionProtectionEnabled, BOOLEAN);
PLAIN(DoubleObject, DOUBLE);
BOUNDED(ExportArn, STRING, 37, 1024);
ENUMERATION(ExportFormat, "DYNAMODB_JSON", "ION");
PLAIN(ExportFromTime, TIMESTAMP);
PLAIN(ExportNextToken, STRING);
PLAIN(ExportTime, TIMESTAMP);
PLAIN(ExportToTime, TIMESTAMP);
ENUMERATION(ExportType, "FULL_EXPORT", "INCREMENTAL_EXPORT");
ENUMERATION(ExportViewType, "NEW_IMAGE", "NEW_AND_OLD_IMAGES");
PLAIN(ExpressionAttributeNameVariable, STRING);
PLAIN(ExpressionAttributeValueVariable, STRING);
ENUMERATION(GlobalTableSettingsReplicationMode, "ENABLED", "DISABLED", "ENABLED_WITH_OVERRIDES");
BOUNDED(ImportArn, STRING, 37, 1024);
PATTERNED(ImportNextToken, 112, 1024, "([0-9a-f]{16})+");
PATTERNED(IndexName, 3, 255, "[a-zA-Z0-9_.-]+");
ENUMERATION(InputCompressionType, "GZIP", "ZSTD", "NONE");
ENUMERATION(InputFormat, "DYNAMODB_JSON", "ION", "CSV");
PLAIN(IntegerObject, INTEGER);
PLAIN(KMSMasterKeyId, STRING);
PLAIN(KeyExpression, STRING);
BOUNDED(KeySchemaAttributeName, STRING, 1, 255);
ENUMERATION(KeyType, "HASH", "RANGE");
BOUNDED(ListContributorInsightsLimit, INTEGER, MODEL_NO_MIN, 100);
BOUNDED(ListExportsMaxLimit, INTEGER, 1, 25);
BOUNDED(ListImportsMaxLimit, INTEGER, 1, 25);
BOUNDED(ListTablesInputLimit, INTEGER, 1, 100);
PLAIN(Long, LONG);
PLAIN(LongObject, LONG);
ENUMERATION(MultiRegionConsistency, "EVENTUAL", "STRONG");
PLAIN(NextTokenString, STRING);
BOUNDED(NonKeyAttributeName, STRING, 1, 255);
BOUNDED(PartiQLNextToken, STRING, 1, 32768);
BOUNDED(PartiQLStatement, STRING, 1, 8192);
BOUNDED(PolicyRevisionId, STRING, 1, 255);
BOUNDED(PositiveIntegerObject, INTEGER, 1, MODEL_NO_MAX);
BOUNDED(PositiveLongObject, LONG, 1, MODEL_NO_MAX);
PLAIN(ProjectionExpression, STRING);
ENUMERATION(ProjectionType, "ALL", "INCLUDE", "KEYS_ONLY");
BOUNDED(RecoveryPeriodInDays, INTEGER, 1, 35);
PLAIN(RegionName, STRING);
BOUNDED(ResourceArnString, STRING, 1, 1283);
PLAIN(ResourcePolicy, STRING);
ENUMERATION(ReturnConsumedCapacity, "INDEXES", "TOTAL", "NONE");
ENUMERATION(ReturnItemCollectionMetrics, "SIZE", "NONE");
ENUMERATION(ReturnValue, "ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW");
ENUMERATION(ReturnValuesOnConditionCheckFailure, "ALL_OLD", "NONE");
PATTERNED(S3Bucket, MODEL_NO_MIN, 255, "^[a-z0-9A-Z]+[\\.\\-\\w]*[a-z0-9A-Z]+$");
PATTERNED(S3BucketOwner, MODEL_NO_MIN, MODEL_NO_MAX, "[0-9]{12}");
BOUNDED(S3Prefix, STRING, MODEL_NO_MIN, 1024);
ENUMERATION(S3SseAlgorithm, "AES256", "KMS");
BOUNDED(S3SseKmsKeyId, STRING, 1, 2048);
PLAIN(SSEEnabled, BOOLEAN);
ENUMERATION(SSEType, "AES256", "KMS");
ENUMERATION(ScalarAttributeType, "B", "N", "S");
BOUNDED(ScanSegment, INTEGER, 0, 999999);
BOUNDED(ScanTotalSegments, INTEGER, 1, 1000000);
ENUMERATION(Select, "SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES");
BOUNDED(SequenceNumber, STRING, 21, 40);
ENUMERATION(ShardFilterType, "CHILD_SHARDS");
BOUNDED(ShardId, STRING, 28, 65);
BOUNDED(ShardIterator, STRING, 1, 2048);
ENUMERATION(ShardIteratorType, "TRIM_HORIZON", "LATEST", "AT_SEQUENCE_NUMBER",
            "AFTER_SEQUENCE_NUMBER");
BOUNDED(StreamArn, STRING, 37, 1024);
PLAIN(StreamEnabled, BOOLEAN);
ENUMERATION(StreamViewType, "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY");
PLAIN(String, STRING);
BOUNDED(TableArn, STRING, 1, 1024);
PLAIN(TableClass, STRING); /* the service checks it itself, with a text of its own */
PATTERNED(TableName, 3, 255, "[a-zA-Z0-9_.-]+");
PLAIN(TagKeyString, STRING); /* tags are checked by themselves, in texts of their own */
PLAIN(TagValueString, STRING);
PLAIN(TimeRangeLowerBound, TIMESTAMP);
PLAIN(TimeRangeUpperBound, TIMESTAMP);
BOUNDED(TimeToLiveAttributeName, STRING, 1, 255);
PLAIN(TimeToLiveEnabled, BOOLEAN);
PLAIN(Timestamp, TIMESTAMP);
PLAIN(UpdateExpression, STRING);
