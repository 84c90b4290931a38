/* range.c - Query and Scan: from a condition to a byte range, and over the partitions that it
 * touches. */
#include "admission/units.h"
#include "base/codec.h"
#include "model/index_row.h"
#include "router/router_private.h"

#define OUTSIDE_QUERY                                                                              \
    "The provided starting key is outside query boundaries based on provided conditions"
#define OUTSIDE_SORT_KEY "The provided starting key does not match the range key predicate"
#define INVALID_START    "The provided starting key is invalid"

/* The schema that a key condition is of. */
static struct key_schema range_schema(const struct table *table, const struct index_schema *index)
{
    struct key_schema schema = table->schema;
    if (index != NULL)
        schema.sort = index->sort[0];
    return schema;
}

static bool is_global(const struct index_schema *index)
{
    return index != NULL && index->kind == INDEX_GLOBAL;
}

/* What is wrong with a key condition. */
static enum status condition_fault(enum status status, const struct expr_fault *fault,
                                   struct error *error)
{
    if (status == STATUS_INVALID)
        *error = (struct error){.code = ERROR_VALIDATION, .message = fault->message};
    else if (status != STATUS_OK)
        (void)error_internal(error, status);
    return status;
}

static enum status global_range(struct context *ctx, const struct table *table,
                                const struct index_schema *index,
                                const struct range_request *request, struct key_range *range,
                                struct error *error)
{
    struct index_condition condition;
    struct expr_fault fault = {0};
    enum status status =
        expr_index_condition(&request->key_condition, index, &ctx->arena, &condition, &fault);
    TRY(condition_fault(status, &fault, error));
    status = keys_global_range(index, table_global(table, index), &condition, &ctx->arena, range);
    return status == STATUS_OK ? status : error_internal(error, status);
}

/* The whole range of the request, before its start key. */
static enum status request_range(struct context *ctx, const struct table *table,
                                 const struct index_schema *index,
                                 const struct range_request *request, struct key_range *range,
                                 struct error *error)
{
    if (request->kind == RANGE_SCAN) {
        enum status status =
            keys_segment_range(request->segment, request->segment_count, &ctx->arena, range);
        return status == STATUS_OK ? status : error_internal(error, status);
    }
    if (is_global(index))
        return global_range(ctx, table, index, request, range, error);
    struct key_condition condition;
    struct expr_fault fault = {0};
    struct key_schema schema = range_schema(table, index);
    enum status status =
        expr_key_condition(&request->key_condition, &schema, &ctx->arena, &condition, &fault);
    TRY(condition_fault(status, &fault, error));
    status = keys_condition_range(table, index, &condition, &ctx->arena, range, error);
    return status == STATUS_OK || status == STATUS_INVALID ? status : error_internal(error, status);
}

static bool within(const struct key_range *range, struct bytes key)
{
    return bytes_compare(key, range->low) >= 0 &&
           (range->high.count == 0 || bytes_compare(key, range->high) < 0);
}

/* What is wrong with a start key that is none of the table.  Query does not say what, Scan does. */
static enum status refuse_start(struct context *ctx, const struct range_request *request,
                                const struct error *fault, struct error *error)
{
    if (request->kind == RANGE_QUERY && bytes_equal(fault->message, BYTES(KEY_MISMATCH)))
        return error_set(error, ERROR_VALIDATION, INVALID_START);
    return error_format(error, &ctx->arena, ERROR_VALIDATION, INVALID_START ": %.*s",
                        BYTES_ARGS(fault->message));
}

/* A start key that is out of the range: of another partition key, of a sort key that the condition
 * rules out, or of another segment. */
static enum status refuse_outside(struct context *ctx, const struct range_request *request,
                                  struct bytes start, const struct key_range *range,
                                  struct error *error)
{
    if (request->kind == RANGE_SCAN)
        return error_format(error, &ctx->arena, ERROR_VALIDATION,
                            INVALID_START
                            ": Invalid ExclusiveStartKey. Please use ExclusiveStartKey "
                            "with correct Segment. TotalSegments: %u Segment: %u",
                            request->segment_count, request->segment);
    size_t prefix = 8u + 2u + get_u16_be(start.at + 8) + 1u; /* of the same partition key */
    bool same = range->low.count >= prefix && memcmp(range->low.at, start.at, prefix) == 0;
    return error_set(error, ERROR_VALIDATION, same ? OUTSIDE_SORT_KEY : OUTSIDE_QUERY);
}

/* Narrow the range to what lies beyond the start key. */
static enum status start_after(struct context *ctx, const struct table *table,
                               const struct index_schema *index,
                               const struct range_request *request, struct key_range *range,
                               struct error *error)
{
    if (value_type(request->start_key) == VALUE_NONE)
        return STATUS_OK;
    struct key start;
    struct error fault;
    enum status status;
    if (index == NULL)
        status = keys_encode(table, request->start_key, &ctx->arena, &start, &fault);
    else if (is_global(index))
        status = keys_encode_global(table, index, request->start_key, &start, &fault);
    else
        status = keys_encode_index(table, index, request->start_key, &ctx->arena, &start, &fault);
    if (status != STATUS_OK)
        return refuse_start(ctx, request, &fault, error);
    if (!within(range, key_bytes(&start)))
        return refuse_outside(ctx, request, key_bytes(&start), range, error);
    /* One zero byte behind a key makes the smallest key above it. */
    uint8_t *at = arena_alloc_zero(&ctx->arena, start.count + 1u);
    if (at == NULL)
        return error_internal(error, STATUS_NO_MEMORY);
    memcpy(at, start.at, start.count);
    if (request->backward)
        range->high = bytes_of(at, start.count);
    else
        range->low = bytes_of(at, start.count + 1u);
    return STATUS_OK;
}

/* The part of the range that a partition has; false: none. */
static bool clip(const struct partition *partition, const struct key_range *range,
                 struct key_range *part)
{
    *part = *range;
    if (bytes_compare(partition->low, part->low) > 0)
        part->low = partition->low;
    if (partition->high.count > 0 &&
        (part->high.count == 0 || bytes_compare(partition->high, part->high) < 0))
        part->high = partition->high;
    return part->high.count == 0 || bytes_compare(part->low, part->high) < 0;
}

/* Must whole items be read for the rows of an index: for all their attributes, or for one that the
 * index does not hold? */
static bool must_fetch(const struct table *table, const struct index_schema *index,
                       const struct range_request *request)
{
    if (index == NULL || is_global(index) || index->projection == PROJECT_ALL)
        return false;
    const struct expr_program *programs[] = {&request->projection, &request->filter};
    for (uint32_t i = 0; i < 2 && !request->all_attributes; i++) {
        struct expr_attributes walk = {0};
        struct bytes name;
        while (programs[i]->code.count > 0 && expr_next_attribute(programs[i], &walk, &name)) {
            if (!index_projects(index, &table->schema, name))
                return true;
        }
    }
    return request->all_attributes;
}

static enum status refuse_unknown(struct arena *arena, struct bytes name, struct error *error)
{
    return error_format(error, arena, ERROR_VALIDATION,
                        "The table does not have the specified index: %.*s", BYTES_ARGS(name));
}

/* A global index, or its table, was deleted while it was read: say what who comes now is told. */
static enum status refuse_gone(struct context *ctx, const struct router *router,
                               const struct table *table, const struct index_schema *index,
                               struct error *error)
{
    const struct table *now = catalog_find(&router->catalog, table->name);
    if (now == NULL || now->id != table->id || now->status == TABLE_DELETING)
        return router_replica_error(error, STATUS_MOVED);
    return refuse_unknown(&ctx->arena, index->name, error);
}

/* A partition may not be read now.  The page ends before it when there is anything in it. */
static enum status end_early(struct context *ctx, struct router *router,
                             const struct range_request *request, bool of_index, enum status status,
                             struct replica_range_result *gathered, struct error *error)
{
    gathered->more = gathered->last_key.count > 0;
    if (of_index)
        (void)router_throttled_index(router, request->table, request->index, status, &ctx->arena,
                                     error);
    else
        (void)router_throttled(router, request->table, ADMISSION_READ, status, error);
    return gathered->more ? STATUS_OK : status;
}

static enum status walk_partitions(struct context *ctx, struct router *router,
                                   const struct table *table, const struct index_schema *index,
                                   const struct range_request *request,
                                   const struct key_range *range, struct item_sink *sink,
                                   struct replica_range_result *gathered, struct error *error)
{
    struct replica_range call = {.backward = request->backward,
                                 .consistent = request->consistent,
                                 .mixed = request->kind == RANGE_SCAN,
                                 .fetch = must_fetch(table, index, request),
                                 .limit = request->limit,
                                 .bytes_max =
                                     request->bytes_max > 0 ? request->bytes_max : PAGE_BYTES_MAX,
                                 .filter = request->filter};
    const struct table_index *global = is_global(index) ? table_global(table, index) : NULL;
    if (index != NULL && global == NULL) {
        call.collection = index->collection;
        call.index_sort = index->sort[0];
    }
    uint32_t count = global != NULL ? global->partition_count : table->partition_count;
    for (uint32_t i = 0; i < count && !gathered->more; i++) {
        uint32_t at = request->backward ? count - 1 - i : i;
        const struct partition *partition =
            global != NULL ? &global->partitions[at] : &table->partitions[at];
        struct key_range part;
        if (!clip(partition, range, &part))
            continue;
        struct replica_target target = router_partition_target(table, partition);
        if (global != NULL)
            target.table_id = global->id;
        if (LIKELY(!request->own)) {
            if (global != NULL)
                router_index_rates(router, table, global, target.rates);
            else
                router_rates(router, table, target.rates);
        }
        call.low = part.low;
        call.high = part.high;
        enum status status =
            router->service->range(ctx, router->service, &target, &call, sink, gathered);
        if (status_is_throttle(status))
            return end_early(ctx, router, request, global != NULL, status, gathered, error);
        if (UNLIKELY(status == STATUS_MOVED && global != NULL))
            return refuse_gone(ctx, router, table, index, error);
        if (status != STATUS_OK)
            return router_replica_error(error, status);
    }
    return STATUS_OK;
}

/* A key as a map, and as much again while its names are sorted. */
#define SHOWN_KEY_BYTES_MAX (2 * (KEY_BYTES_MAX + 1024))

/* LastEvaluatedKey: the attributes of an encoded key, in the arena. */
static enum status show_key(struct context *ctx, const struct table *table,
                            const struct index_schema *index, struct bytes key, struct value *shown)
{
    struct buffer buffer;
    buffer_init(&buffer, ctx->env->heap, SHOWN_KEY_BYTES_MAX);
    struct value_writer writer;
    value_writer_init(&writer, &buffer);
    if (index == NULL)
        key_write_decoded(&writer, &table->schema, key);
    else if (is_global(index))
        index_row_write_decoded(&writer, index, &table->schema, key);
    else
        key_write_decoded_index(&writer, &table->schema, &index->sort[0], key);
    struct value value;
    enum status status = value_writer_finish(&writer, &value);
    if (status == STATUS_OK) {
        struct bytes copy = arena_copy(&ctx->arena, bytes_of(value.at, value.bytes));
        *shown = (struct value){copy.at, value.bytes};
        status = copy.at == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    }
    buffer_release(&buffer);
    return status;
}

enum status router_index(const struct table *table, struct bytes name, struct arena *arena,
                         const struct index_schema **index, struct error *error)
{
    *index = NULL;
    if (name.count == 0)
        return STATUS_OK;
    *index = table_index(table, name);
    const struct table_index *global = *index == NULL ? NULL : table_global(table, *index);
    if (global != NULL && global->status == TABLE_CREATING)
        return error_format(error, arena, ERROR_VALIDATION,
                            "Cannot read from backfilling global secondary index: %.*s",
                            BYTES_ARGS(name));
    if (*index != NULL && (global == NULL || global->status != TABLE_DELETING))
        return STATUS_OK;
    return refuse_unknown(arena, name, error);
}

enum status router_range(struct context *ctx, struct router *router,
                         const struct range_request *request, struct item_sink *sink,
                         struct range_result *result, struct error *error)
{
    const struct table *table;
    const struct index_schema *index;
    struct key_range range;
    TRY(router_table(router, request->table, &table, error));
    TRY(router_index(table, request->index, &ctx->arena, &index, error));
    TRY(request_range(ctx, table, index, request, &range, error));
    TRY(start_after(ctx, table, index, request, &range, error));

    uint64_t budget = 0;
    uint32_t least = units_read_least(request->consistent);
    if (LIKELY(!request->own)) {
        if (is_global(index))
            TRY(router_spend_index(ctx, router, request->table, table, table_global(table, index),
                                   least, &budget, error));
        else
            TRY(router_spend(router, request->table, table, ADMISSION_READ, least, &budget, error));
    }

    table_hold(table); /* the walk waits */
    struct replica_range_result gathered = {0};
    struct value last_key = VALUE_ABSENT;
    enum status status =
        walk_partitions(ctx, router, table, index, request, &range, sink, &gathered, error);
    if (status == STATUS_OK && gathered.more) {
        status = show_key(ctx, table, index, gathered.last_key, &last_key);
        if (status != STATUS_OK)
            (void)error_internal(error, status);
    }
    table_drop(table);
    if (budget != 0)
        router_spent(router, budget, ADMISSION_READ,
                     (int64_t)gathered.charged_half_units - (int64_t)least);
    TRY(status);
    *result = (struct range_result){.count = gathered.count,
                                    .scanned_count = gathered.scanned_count,
                                    .scanned_bytes = gathered.scanned_bytes,
                                    .fetched_half_units = gathered.fetched_half_units,
                                    .last_key = last_key};
    return STATUS_OK;
}
