/* api_private.h - one request being served, and what its operations share. */
#ifndef API_API_PRIVATE_H
#define API_API_PRIVATE_H

#include "admission/token_bucket.h"
#include "api/api.h"
#include "api/input.h"
#include "base/buffer.h"
#include "request/control.h"
#include "request/data.h"
#include "request/error.h"
#include "router/router.h"
#include "wire/item_json.h"
#include "wire/json.h"
#include "wire/sigv4.h"

/* The service's default quotas of throughput (Developer Guide, "Quotas in Amazon DynamoDB"). */
#define ACCOUNT_UNITS_MAX 80000u /* only shown */
#define TABLE_UNITS_MAX   40000u

struct api_call;

/* One operation of the service. */
struct api_operation {
    struct bytes name;
    const struct model_shape *input;
    /* Serve a request whose input is decoded and keeps the model's constraints: check what is the
     * operation's own, run it, and write the answer into call->json.  On another status than
     * STATUS_OK call->error is filled in.  NULL: not built. */
    enum status (*run)(struct api_call *call);
    /* It changes nothing and may answer much: the budget may refuse its answer.  Others answer
     * little, or reserve room before they change anything. */
    bool reads;
};

#define API_OPERATION_COUNT          66u
#define API_DYNAMODB_OPERATION_COUNT 62u /* the others are the streams service's */

/* By name within each service. */
extern const struct api_operation api_operations[API_OPERATION_COUNT];

/* Operations that the service lets be called only so often (API Reference). */
enum api_rate { API_RATE_TAG, API_RATE_LIST_TAGS, API_RATE_LIMITS, API_RATES };

struct api {
    struct env *env;
    struct api_options options;
    struct sigv4_verifier *verifier;
    struct buffer scratch; /* for one projected item at a time, within a stretch without waits */
    struct api_operation_stats *stats[API_OPERATION_COUNT]; /* NULL until first used */
    uint64_t unnamed;
    uint32_t large_answers;        /* of BatchGetItem, in the making */
    struct wait_queue large_queue; /* for making one, in order of arrival */
    struct list injects;           /* inject.c: what requests are to meet; in order */
    uint32_t inject_count;
    uint64_t inject_last_id;
    struct token_bucket rates[API_RATES]; /* a token is a call */
};

struct api_call {
    struct context *ctx;
    struct api *api;
    const struct api_operation *operation;
    const struct http_request *request;
    struct model_input input;
    struct json_writer json; /* writes the body of the answer */
    struct error error;
    uint64_t read_half_units; /* what the request consumed */
    uint64_t write_half_units;
    const struct injected *injected; /* inject.c: what some of the items are to meet; NULL: none */
};

static inline struct arena *call_arena(struct api_call *call)
{
    return &call->ctx->arena;
}

static inline struct router *call_router(const struct api_call *call)
{
    return call->api->options.router;
}

/* ---- inject.c ---- */

/* Let the call meet what is injected for it.
 *   STATUS_OK       nothing, or what its items meet one by one: call_injected()
 *   STATUS_INVALID  call->error is what was injected */
MUST_USE enum status call_inject(struct api_call *call);

/* An item that a statement of PartiQL is about. */
struct inject_item {
    struct bytes table;
    struct value item; /* it or its key; VALUE_ABSENT: no one item is known */
};

/* The same for a request of PartiQL, once its statements are understood: by rules that name a table
 * or a key. */
MUST_USE enum status call_inject_items(struct api_call *call, const struct inject_item *items,
                                       uint32_t count);

/* What the item (or its key) of a batch is to meet; NULL: nothing. */
const struct error *call_injected(const struct api_call *call, struct bytes table,
                                  struct value item);

/* ---- answer.c: refusals ---- */

/* Returns STATUS_INVALID, with a ValidationException. */
enum status call_invalid(struct api_call *call, const char *message);

/* Returns STATUS_NO_MEMORY, with its error. */
enum status call_no_memory(struct api_call *call);

/* ---- api.c ---- */

/* May an operation that is limited to calls a second be called once more?  Always, unless the
 * options say that it is limited.
 *   STATUS_THROTTLED  call->error: ThrottlingException */
MUST_USE enum status call_rate(struct api_call *call, enum api_rate rate);

/* ---- table.c ---- */

/* Wait while the table is created, changed or deleted, for settle_ns at most.  A client that waits
 * for that asks again after 20 s (boto3, the AWS CLI), so an answer just before the end of a few
 * milliseconds of work would cost it all of that. */
MUST_USE enum status call_settle(struct api_call *call, struct bytes name);

/* What throughput is of: the service words its refusals by that. */
struct throughput_of {
    struct bytes index; /* empty: the table */
    bool made;          /* by this request */
};

/* ProvisionedThroughput and OnDemandThroughput, of a table or an index. */
MUST_USE enum status call_read_provisioned(struct api_call *call,
                                           const struct provisioned_input *given, uint64_t *read,
                                           uint64_t *write);

/* False of one that is empty, too: as if it were not there. */
bool call_on_demand_given(const struct on_demand_input *given);

/* *read, *write: the maximums that are in force, -1: none; they stay where none is given. */
MUST_USE enum status call_read_on_demand(struct api_call *call, const struct on_demand_input *given,
                                         enum billing_mode billing, const struct throughput_of *of,
                                         int64_t *read, int64_t *write);

/* The type of an AttributeDefinition. */
enum value_type call_attribute_type(uint8_t given);

/* The definition of an attribute in AttributeDefinitions; NULL: there is none. */
const struct attribute_definition_input *call_find_definition(const struct model_list *list,
                                                              struct bytes name);

/* The order of key types in a KeySchema of `count` elements. */
MUST_USE enum status call_check_key_types(struct api_call *call,
                                          const struct key_schema_input *keys, uint32_t count);

/* ---- table_indexes.c ---- */

/* The secondary indexes of CreateTable, after its own key. */
MUST_USE enum status call_read_indexes(struct api_call *call, struct create_table_request *request);

/* GlobalSecondaryIndexUpdates, but for what depends on the table; and that, once it is known. */
MUST_USE enum status call_read_index_updates(struct api_call *call,
                                             struct update_table_request *request);
MUST_USE enum status call_check_index_updates(struct api_call *call,
                                              struct update_table_request *request,
                                              const struct table *table);

/* The attributes of a table's keys and of those of its indexes, by name, each once; in the arena.
 *   STATUS_NO_MEMORY  call->error */
MUST_USE enum status call_key_attributes(struct api_call *call, const struct key_schema *schema,
                                         const struct index_schema *indexes, uint32_t index_count,
                                         struct key_attribute **attributes, uint32_t *count);

/* ---- names.c: tables by name or ARN ---- */

/* The name of the table that `text` (the member TableName) names by itself or by its ARN; a view.
 * STATUS_INVALID  not a table's name, or another account's ARN */
MUST_USE enum status call_table_name(struct api_call *call, struct bytes text, struct bytes *name);

/* As above for the member ResourceArn, which is an ARN. */
MUST_USE enum status call_resource_name(struct api_call *call, struct bytes arn,
                                        struct bytes *name);

/* The parts of a stream's ARN, as views; false: it is none, or of another region.  Another
 * account's is refused.
 *   STATUS_INVALID  call->error */
MUST_USE enum status call_stream_name(struct api_call *call, struct bytes arn, struct bytes *table,
                                      struct bytes *label, bool *found);

/* The length and letters of a table's name: "N validation errors detected: ..." */
MUST_USE enum status call_check_table_name(struct api_call *call, struct bytes name);

/* ---- expressions.c ---- */

/* A fault of an expression, or of what stands for one, as the error of the call; returns
 * `status`. */
MUST_USE enum status call_expr_status(struct api_call *call, enum status status,
                                      const struct expr_fault *fault);

/* The expressions of a request, or of one table of a batch. */
struct call_expressions {
    struct expr_scope scope;
    struct expr_fault fault;
    bool none; /* there are neither expressions nor names nor values */
};

/* `values_note`: what ends the text about values without an expression; may be NULL. */
MUST_USE enum status call_expressions_begin(struct api_call *call, struct call_expressions *e,
                                            const struct model_names *names, struct value values,
                                            bool have_any, bool have_valued,
                                            const char *values_note);

/* Compile `text` unless it was not given (then *program stays empty). */
MUST_USE enum status call_compile(struct api_call *call, struct call_expressions *e,
                                  enum expr_kind kind, struct bytes text,
                                  struct expr_program *program);

/* After the last: all names and values were used. */
MUST_USE enum status call_expressions_end(struct api_call *call, struct call_expressions *e);

/* ---- range.c ---- */

#define GLOBAL_INDEX_CONSISTENT "Consistent reads are not supported on global secondary indexes"

/* A global index holds all attributes that the program (which may be empty) names.
 *   STATUS_INVALID  call->error names those that it lacks */
MUST_USE enum status call_check_projected(struct api_call *call, const struct expr_program *program,
                                          const struct table *table,
                                          const struct index_schema *index);

/* ---- legacy.c: the parameters that expressions replaced; of those that are not given the program
 * stays empty ---- */

/* AttributesToGet. */
MUST_USE enum status call_attributes_to_get(struct api_call *call, const struct model_list *names,
                                            struct expr_program *projection);

/* Expected, with ConditionalOperator. */
MUST_USE enum status call_expected(struct api_call *call, const struct write_item_input *input,
                                   struct expr_program *condition);

/* AttributeUpdates. */
MUST_USE enum status call_attribute_updates(struct api_call *call, const struct model_map *given,
                                            struct expr_program *update);

/* QueryFilter, ScanFilter, with ConditionalOperator. */
MUST_USE enum status call_filter(struct api_call *call, const struct range_input *input,
                                 struct expr_program *filter);

/* KeyConditions. */
MUST_USE enum status call_key_conditions(struct api_call *call, const struct model_map *given,
                                         struct expr_program *key_condition);

/* ---- answer.c: parts of answers ---- */

void write_name(struct json_writer *json, const char *name);

/* The ARN of a table, or of what "NAME/..." names in it, as a string. */
void write_table_arn(const struct api *api, struct json_writer *json, struct bytes name);

void write_text(struct json_writer *json, const char *name, struct bytes text);
void write_u64(struct json_writer *json, const char *name, uint64_t value);

/* What a request consumed of one table. */
struct consumed {
    struct bytes shown; /* the table as the request names it */
    struct bytes table; /* its name */
    uint64_t half_units;
    uint8_t index_count;                    /* of those that follow */
    uint64_t index_half_units[INDEXES_MAX]; /* in the order of the table's indexes */
    uint8_t
        index_shown; /* one that is shown though it consumed nothing: its place, from 1; 0: none */
    const char *transactional; /* how transactions name the units besides; NULL: no transaction */
};

uint64_t consumed_total(const struct consumed *consumed);

/* "ConsumedCapacity": {...}, when it was asked for. */
void write_capacity(struct api_call *call, uint8_t asked, const struct consumed *consumed);

/* The object alone. */
void write_capacity_object(struct api_call *call, uint8_t asked, const struct consumed *consumed);

/* Add what another request consumed of the same table. */
void consume_more(struct consumed *consumed, const struct consumed *more);

/* What writing consumed. */
void consume_write(struct consumed *consumed, const struct write_result *result);

/* The metrics of the item collection that a write of `item` (its key at least) was to; nothing for
 * a table that is gone by now. */
void write_collection_metrics(struct api_call *call, struct bytes table, struct value item,
                              const struct write_result *result);

/* The item, or what the projection (unless it is empty) takes of it. */
MUST_USE enum status write_item(struct api_call *call, const struct expr_program *projection,
                                struct value item);

/* A time as the service writes it: seconds since 1970 with milliseconds. */
void write_time(struct json_writer *json, const char *name, uint64_t time_ms);

/* ---- tags.c ---- */

/* The tags of a request, checked; none is fine. */
MUST_USE enum status call_read_tags(struct api_call *call, const struct model_list *given,
                                    struct tag **tags, uint32_t *count);

/* ---- table_settings.c: parts of CreateTable and UpdateTable ---- */

/* WarmThroughput, which may not be less than `now`: what there is, or of what is made by this
 * request, what it would be without. */
MUST_USE enum status call_read_warm(struct api_call *call, const struct warm_input *given,
                                    enum billing_mode billing, struct warm_throughput now,
                                    const struct throughput_of *of, struct warm_throughput *warm);

/* False of one that is empty, too: as if it were not there. */
bool call_warm_given(const struct warm_input *given);

/* SSESpecification. */
MUST_USE enum status call_read_sse(struct api_call *call, const struct sse_input *given,
                                   struct sse_setting *sse);

void write_sse(struct api_call *call, const struct table *table);

/* ---- policy_document.c ---- */

/* The policy that is to be stored of `given`, in the form in which it is given back; in the call's
 * arena.
 *   STATUS_INVALID    it is none, too long, or allows something to everybody; call->error
 *   STATUS_NO_MEMORY  call->error */
MUST_USE enum status call_read_policy(struct api_call *call, struct bytes given,
                                      struct bytes *policy);

/* ---- policy.c ---- */

/* Say in the log what a policy that is stored does not do here. */
void call_log_policy(struct api_call *call, struct bytes table);

/* ---- Operations ---- */

enum status api_put_resource_policy(struct api_call *call);
enum status api_get_resource_policy(struct api_call *call);
enum status api_delete_resource_policy(struct api_call *call);
enum status api_update_continuous_backups(struct api_call *call);

enum status api_get_item(struct api_call *call);
enum status api_put_item(struct api_call *call);
enum status api_update_item(struct api_call *call);
enum status api_delete_item(struct api_call *call);
enum status api_query(struct api_call *call);
enum status api_scan(struct api_call *call);
enum status api_batch_get_item(struct api_call *call);
enum status api_batch_write_item(struct api_call *call);
enum status api_execute_statement(struct api_call *call);
enum status api_execute_transaction(struct api_call *call);
enum status api_batch_execute_statement(struct api_call *call);
enum status api_transact_get_items(struct api_call *call);
enum status api_transact_write_items(struct api_call *call);
enum status api_create_table(struct api_call *call);
enum status api_update_table(struct api_call *call);
enum status api_describe_table(struct api_call *call);
enum status api_delete_table(struct api_call *call);
enum status api_list_tables(struct api_call *call);
enum status api_tag_resource(struct api_call *call);
enum status api_untag_resource(struct api_call *call);
enum status api_list_tags_of_resource(struct api_call *call);
enum status api_describe_time_to_live(struct api_call *call);
enum status api_update_time_to_live(struct api_call *call);
enum status api_describe_continuous_backups(struct api_call *call);
enum status api_describe_limits(struct api_call *call);
enum status api_describe_endpoints(struct api_call *call);
enum status api_list_streams(struct api_call *call);
enum status api_describe_stream(struct api_call *call);
enum status api_get_shard_iterator(struct api_call *call);
enum status api_get_records(struct api_call *call);

/* ---- streams.c ---- */

#define STREAM_LABEL_BYTES 23u /* "2015-05-11T21:21:33.291" */

void stream_label(const struct table_stream *stream, char to[STREAM_LABEL_BYTES + 1]);

/* In the arena; at NULL: no memory. */
struct bytes stream_arn(struct api_call *call, const struct table *table,
                        const struct table_stream *stream);

/* "KEYS_ONLY", ... */
const char *stream_view_name(uint8_t view);

/* "KeySchema": [...] of a table or index. */
void write_key_schema(struct json_writer *json, const struct key_attribute *partition,
                      const struct key_attribute *sort);

/* Table descriptions (table_description.c), as several operations answer them. */
MUST_USE enum status write_table_description(struct api_call *call, const char *name,
                                             const struct table *table);

#endif
