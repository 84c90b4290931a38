/* input.h - the inputs of the operations that are built, as C structs; model.h says how members are
 * held.  Filled in by model_decode; everything they point to is in the request's arena. */
#ifndef API_INPUT_H
#define API_INPUT_H

#include "api/model.h"

/* The values of enumerations, in the order of their shapes in model_simple.c. */
enum { CAPACITY_NOT_GIVEN, CAPACITY_INDEXES, CAPACITY_TOTAL, CAPACITY_NONE };
enum { METRICS_NOT_GIVEN, METRICS_SIZE, METRICS_NONE };
enum {
    VALUES_NOT_GIVEN,
    VALUES_ALL_NEW,
    VALUES_UPDATED_OLD,
    VALUES_ALL_OLD,
    VALUES_NONE,
    VALUES_UPDATED_NEW
};
enum { ON_FAILURE_NOT_GIVEN, ON_FAILURE_ALL_OLD, ON_FAILURE_NONE };
enum {
    SELECT_NOT_GIVEN,
    SELECT_SPECIFIC_ATTRIBUTES,
    SELECT_COUNT,
    SELECT_ALL_ATTRIBUTES,
    SELECT_ALL_PROJECTED_ATTRIBUTES
};
enum { BILLING_NOT_GIVEN, BILLING_GIVEN_PROVISIONED, BILLING_GIVEN_PAY_PER_REQUEST };
enum { KEY_TYPE_NOT_GIVEN, KEY_TYPE_HASH, KEY_TYPE_RANGE };
enum { PROJECTION_NOT_GIVEN, PROJECTION_ALL, PROJECTION_INCLUDE, PROJECTION_KEYS_ONLY };
enum { ATTRIBUTE_NOT_GIVEN, ATTRIBUTE_B, ATTRIBUTE_N, ATTRIBUTE_S };

enum { SSE_NOT_GIVEN, SSE_AES256, SSE_KMS };
enum { CONDITIONAL_NOT_GIVEN, CONDITIONAL_OR, CONDITIONAL_AND };

struct get_item_input {
    struct bytes table;
    struct value key;
    struct bytes projection_expression;
    struct model_names names;
    struct model_list attributes_to_get; /* of struct bytes */
    uint8_t consistent_read;
    uint8_t return_consumed_capacity;
};

struct expected_input {
    struct value value;
    struct model_list values; /* of struct value */
    uint8_t exists;
    uint8_t comparison; /* an enum comparison, 0: not given */
};

struct update_input {
    struct value value;
    uint8_t action; /* an enum change_action, 0: not given */
};

/* Of QueryFilter, ScanFilter, KeyConditions. */
struct condition_input {
    struct model_list values; /* of struct value */
    uint8_t comparison;       /* an enum comparison */
};

/* PutItem, UpdateItem, DeleteItem. */
struct write_item_input {
    struct bytes table;
    struct value item; /* PutItem: the item; else the key */
    struct bytes update_expression;
    struct bytes condition_expression;
    struct model_names names;
    struct value values;
    struct model_map expected;          /* of struct expected_input */
    struct model_map attribute_updates; /* of struct update_input */
    uint8_t conditional_operator;
    uint8_t return_values;
    uint8_t return_consumed_capacity;
    uint8_t return_item_collection_metrics;
    uint8_t return_values_on_failure;
};

/* Query, Scan. */
struct range_input {
    struct bytes table;
    struct bytes index;
    struct bytes key_condition_expression;
    struct bytes filter_expression;
    struct bytes projection_expression;
    struct model_names names;
    struct value values;
    struct value exclusive_start_key;
    struct model_list attributes_to_get; /* of struct bytes */
    struct model_map key_conditions;     /* of struct condition_input */
    struct model_map filter;             /* QueryFilter, ScanFilter: of struct condition_input */
    struct model_number limit;
    struct model_number segment;
    struct model_number total_segments;
    uint8_t conditional_operator;
    uint8_t select;
    uint8_t consistent_read;
    uint8_t scan_index_forward;
    uint8_t return_consumed_capacity;
};

struct keys_and_attributes {
    struct model_list keys; /* of struct value */
    struct bytes projection_expression;
    struct model_names names;
    struct model_list attributes_to_get; /* of struct bytes */
    uint8_t consistent_read;
};

struct batch_get_input {
    struct model_map request_items; /* of struct keys_and_attributes */
    uint8_t return_consumed_capacity;
};

struct put_request_input {
    struct value item;
};

struct delete_request_input {
    struct value key;
};

struct write_request_input {
    struct put_request_input *put;
    struct delete_request_input *delete;
};

struct batch_write_input {
    struct model_map request_items; /* of struct model_list of struct write_request_input */
    uint8_t return_consumed_capacity;
    uint8_t return_item_collection_metrics;
};

struct execute_statement_input {
    struct bytes statement;
    struct model_list parameters; /* of struct value */
    struct bytes next_token;
    struct model_number limit;
    uint8_t consistent_read;
    uint8_t return_consumed_capacity;
    uint8_t return_values_on_failure;
};

struct batch_statement_input {
    struct bytes statement;
    struct model_list parameters; /* of struct value */
    uint8_t consistent_read;
    uint8_t return_values_on_failure;
};

struct parameterized_statement_input {
    struct bytes statement;
    struct model_list parameters; /* of struct value */
    uint8_t return_values_on_failure;
};

struct execute_transaction_input {
    struct model_list statements; /* of struct parameterized_statement_input */
    struct bytes token;
    uint8_t return_consumed_capacity;
};

struct batch_execute_input {
    struct model_list statements; /* of struct batch_statement_input */
    uint8_t return_consumed_capacity;
};

struct transact_get_one_input {
    struct bytes table;
    struct value key;
    struct bytes projection_expression;
    struct model_names names;
};

struct transact_get_item_input {
    struct transact_get_one_input *get;
};

struct transact_get_input {
    struct model_list items; /* of struct transact_get_item_input */
    uint8_t return_consumed_capacity;
};

/* ConditionCheck, Put, Delete, Update. */
struct transact_action_input {
    struct bytes table;
    struct value item; /* Put: the item; else the key */
    struct bytes update_expression;
    struct bytes condition_expression;
    struct model_names names;
    struct value values;
    uint8_t return_values_on_failure;
};

struct transact_write_item_input {
    struct transact_action_input *check, *put, *delete, *update;
};

struct transact_write_input {
    struct model_list items; /* of struct transact_write_item_input */
    struct bytes token;
    uint8_t return_consumed_capacity;
    uint8_t return_item_collection_metrics;
};

struct attribute_definition_input {
    struct bytes name;
    uint8_t type;
};

struct key_schema_input {
    struct bytes name;
    uint8_t type;
};

struct projection_input {
    uint8_t type;
    struct model_list non_key; /* of struct bytes */
};

struct local_index_input {
    struct bytes name;
    struct model_list key_schema; /* of struct key_schema_input */
    struct projection_input *projection;
};

struct provisioned_input {
    struct model_number read, write;
};

struct on_demand_input {
    struct model_number read, write;
};

/* Also of UpdateTable: one that is created, or, without key and projection, updated. */
struct global_index_input {
    struct bytes name;
    struct model_list key_schema; /* of struct key_schema_input */
    struct projection_input *projection;
    struct provisioned_input *provisioned;
    struct on_demand_input *on_demand;
    struct warm_input *warm;
};

struct index_name_input {
    struct bytes name;
};

struct global_index_update_input {
    struct global_index_input *create;
    struct global_index_input *update;
    struct index_name_input *delete;
};

struct stream_input {
    uint8_t enabled;
    uint8_t view_type;
};

struct sse_input {
    uint8_t enabled;
    uint8_t type;
    struct bytes key_id;
};

struct warm_input {
    struct model_number read, write;
};

struct put_policy_input {
    struct bytes resource;
    struct bytes policy;
    struct bytes expected;
    uint8_t confirm_removal;
};

struct policy_input {
    struct bytes resource;
    struct bytes expected; /* not of GetResourcePolicy */
};

struct recovery_input {
    uint8_t enabled;
    struct model_number days;
};

struct update_backups_input {
    struct bytes table;
    struct recovery_input *recovery;
};

struct tag_input {
    struct bytes key, value;
};

struct create_table_input {
    struct bytes table;
    struct model_list attribute_definitions; /* of struct attribute_definition_input */
    struct model_list key_schema;            /* of struct key_schema_input */
    struct model_list local_indexes;         /* of struct local_index_input */
    struct model_list global_indexes;        /* of struct global_index_input */
    struct provisioned_input *provisioned;
    struct on_demand_input *on_demand;
    struct stream_input *stream;
    struct sse_input *sse;
    struct model_list tags; /* of struct tag_input */
    struct bytes table_class;
    uint8_t billing_mode;
    uint8_t deletion_protection;
    struct warm_input *warm;
    struct bytes policy;
};

struct update_table_input {
    struct bytes table;
    struct model_list attribute_definitions; /* of struct attribute_definition_input */
    struct model_list index_updates;         /* of struct global_index_update_input */
    struct provisioned_input *provisioned;
    struct on_demand_input *on_demand;
    struct stream_input *stream;
    struct sse_input *sse;
    struct bytes table_class;
    uint8_t billing_mode;
    uint8_t deletion_protection;
    struct warm_input *warm;
};

/* DescribeTable, DeleteTable, DescribeTimeToLive, DescribeContinuousBackups. */
struct table_input {
    struct bytes table;
};

struct ttl_input {
    struct bytes attribute;
    uint8_t enabled;
};

struct update_ttl_input {
    struct bytes table;
    struct ttl_input *ttl;
};

struct list_streams_input {
    struct bytes table, exclusive_start;
    struct model_number limit;
};

struct shard_filter_input {
    uint8_t type; /* 1 CHILD_SHARDS */
    struct bytes shard;
};

struct describe_stream_input {
    struct bytes stream, exclusive_start;
    struct model_number limit;
    struct shard_filter_input *filter;
};

/* In the order of the model's values, from 1. */
enum shard_iterator_given {
    ITERATOR_TRIM_HORIZON = 1,
    ITERATOR_LATEST,
    ITERATOR_AT_SEQUENCE_NUMBER,
    ITERATOR_AFTER_SEQUENCE_NUMBER,
};

struct shard_iterator_input {
    struct bytes stream, shard, sequence_number;
    uint8_t type; /* enum shard_iterator_given */
};

struct get_records_input {
    struct bytes iterator;
    struct model_number limit;
};

struct list_tables_input {
    struct bytes exclusive_start;
    struct model_number limit;
};

struct tag_resource_input {
    struct bytes resource;
    struct model_list tags; /* of struct tag_input */
};

struct untag_resource_input {
    struct bytes resource;
    struct model_list keys; /* of struct bytes */
};

struct list_tags_input {
    struct bytes resource;
    struct bytes next_token;
};

#endif
