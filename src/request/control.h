/* control.h - the control plane's typed requests: what a table is asked to be. */
#ifndef REQUEST_CONTROL_H
#define REQUEST_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "model/index.h"
#include "model/key.h"

#define TABLE_NAME_BYTES_MAX 255u
#define TABLES_MAX           2500u
#define CHANGES_AT_ONCE_MAX  500u /* tables being created, updated or deleted */
#define TAGS_MAX             50u

enum billing_mode { BILLING_PROVISIONED, BILLING_ON_DEMAND };
enum table_class { TABLE_CLASS_STANDARD, TABLE_CLASS_INFREQUENT_ACCESS };

/* What of an item's images its records show; 0: no stream. */
enum stream_view {
    STREAM_NEW_IMAGE = 1,
    STREAM_OLD_IMAGE,
    STREAM_NEW_AND_OLD_IMAGES,
    STREAM_KEYS_ONLY,
};

struct tag {
    struct bytes key;
    struct bytes value;
};

/* What a table is asked to be ready for at once, in units a second; 0: nothing was asked. */
struct warm_throughput {
    uint64_t read_units, write_units;
};

/* SSESpecification: with the service's own key, or with one of KMS. */
struct sse_setting {
    bool kms;
    struct bytes key_arn; /* of KMS */
};

#define POLICY_BYTES_MAX 20480u

/* What a global index is asked to take. */
struct index_throughput {
    uint64_t read_units, write_units; /* PROVISIONED */
    bool has_on_demand_maximum;
    int64_t on_demand_read_max, on_demand_write_max; /* -1 = none */
    struct warm_throughput warm;
};

/* CreateTable, validated but for what needs the catalog. */
struct create_table_request {
    struct bytes name;
    struct key_schema schema;     /* names and types */
    struct index_schema *indexes; /* local ones, then global ones, in the order given */
    uint32_t index_count;
    struct index_throughput *globals; /* of the last ones */
    uint32_t global_count;
    enum billing_mode billing;
    uint64_t read_units, write_units;                /* PROVISIONED */
    bool has_on_demand_maximum;                      /* OnDemandThroughput was given */
    int64_t on_demand_read_max, on_demand_write_max; /* -1 = none */
    bool deletion_protection;
    enum table_class table_class;
    bool table_class_given;
    uint8_t stream_view; /* enum stream_view; 0: no stream */
    struct warm_throughput warm;
    struct sse_setting sse;
    struct bytes policy; /* empty: none */
    struct tag *tags;
    uint32_t tag_count;
};

enum index_action { INDEX_CREATE, INDEX_UPDATE, INDEX_DELETE };

/* One of GlobalSecondaryIndexUpdates. */
struct index_update {
    enum index_action action;
    struct bytes name;
    struct index_schema schema; /* CREATE */
    bool throughput_given;      /* UPDATE: else the units stay */
    bool on_demand_maximum_given;
    struct index_throughput throughput; /* its warm part counts without saying so */
};

/* UpdateTable: each part is changed only when its `_given` is set. */
struct update_table_request {
    struct bytes name;
    bool billing_given;
    enum billing_mode billing;
    bool throughput_given;
    uint64_t read_units, write_units;
    bool on_demand_maximum_given;
    int64_t on_demand_read_max, on_demand_write_max;
    bool deletion_protection_given;
    bool deletion_protection;
    bool table_class_given;
    enum table_class table_class;
    bool stream_given;
    uint8_t stream_view; /* enum stream_view to enable one; 0 to disable it */
    struct warm_throughput warm;
    bool sse_given;
    struct sse_setting sse;
    struct index_update *index_updates; /* updates, or one that creates or deletes */
    uint32_t index_update_count;
};

#endif
