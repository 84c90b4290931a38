/* batch.c - BatchGetItem and BatchWriteItem: many items of several tables in one request. */
#include "admission/units.h"
#include "api/api_private.h"
#include "base/assert.h"

/* Of the items that one BatchGetItem answers, by their size.  16 MB are 16,000,000 bytes here: "if
 * you ask to retrieve 100 items, but each individual item is 300 KB in size, the system returns 52
 * items" (API Reference, BatchGetItem). */
#define ANSWER_BYTES_MAX 16000000u

#define ANSWER_TEXT_MAX   (64u << 20)  /* of JSON; only items of the longest numbers come near it */
#define TURN_BYTES        (128u << 10) /* of items read in one turn of the loop */
#define LARGE_ANSWERS_MAX 8u           /* beyond TURN_BYTES, in the making at one time */

/* A failure that leaves an item unprocessed, when others were processed: it may pass. */
static bool may_pass(enum error_code code)
{
    return code == ERROR_THROUGHPUT_EXCEEDED || code == ERROR_THROTTLING ||
           code == ERROR_REQUEST_LIMIT || code == ERROR_UNAVAILABLE;
}

/* "ConsumedCapacity": [...], one entry for each table of the request. */
static void write_capacities(struct api_call *call, uint8_t asked, const struct model_map *tables,
                             const struct consumed *consumed)
{
    if (asked != CAPACITY_TOTAL && asked != CAPACITY_INDEXES)
        return;
    write_name(&call->json, "ConsumedCapacity");
    json_write_array_begin(&call->json);
    for (uint32_t t = 0; t < tables->count; t++)
        write_capacity_object(call, asked, &consumed[t]);
    json_write_array_end(&call->json);
}

/* ---- BatchGetItem ---- */

struct batch_get {
    const struct batch_get_input *input;
    const struct keys_and_attributes *tables; /* of the input, in its order */
    struct expr_program projections[BATCH_GET_MAX];
    struct get_request requests[BATCH_GET_MAX]; /* of all tables, one table after the other */
    struct consumed *consumed;                  /* by table */
    uint32_t count;                             /* of requests */
    uint32_t next;              /* requests before this one were tried; those from it on are not */
    uint32_t done;              /* how many were processed */
    bool missed[BATCH_GET_MAX]; /* tried, and throttled */
    struct error missed_for;    /* what the first of these was told */
    uint64_t bytes;             /* of the items in the answer */
    bool full;                  /* the next item does not fit, or may not be waited for */
    bool large;                 /* counted in api->large_answers */
};

/* The projection of one table of the batch. */
static enum status compile_table(struct api_call *call, const struct keys_and_attributes *table,
                                 struct expr_program *projection)
{
    struct call_expressions expressions;
    TRY(call_expressions_begin(call, &expressions, &table->names, VALUE_ABSENT,
                               table->projection_expression.at != NULL, false, NULL));
    TRY(call_compile(call, &expressions, EXPR_PROJECTION, table->projection_expression,
                     projection));
    TRY(call_expressions_end(call, &expressions));
    return table->attributes_to_get.given
               ? call_attributes_to_get(call, &table->attributes_to_get, projection)
               : STATUS_OK;
}

static enum status collect_gets(struct api_call *call, struct batch_get *batch)
{
    const struct model_map *items = &batch->input->request_items;
    uint64_t keys = 0;
    if (items->count == 0)
        return call_invalid(call, "The requestItems parameter is required for BatchGetItem");
    for (uint32_t t = 0; t < items->count; t++)
        keys += batch->tables[t].keys.count;
    if (keys > BATCH_GET_MAX)
        return call_invalid(call, "Too many items requested for the BatchGetItem call");
    batch->consumed = arena_alloc_zero(call_arena(call), items->count * sizeof(struct consumed));
    if (batch->consumed == NULL)
        return call_no_memory(call);
    for (uint32_t t = 0; t < items->count; t++) {
        const struct keys_and_attributes *table = &batch->tables[t];
        const struct value *values = table->keys.at;
        struct bytes name;
        TRY(call_table_name(call, items->keys[t], &name));
        TRY(compile_table(call, table, &batch->projections[t]));
        batch->consumed[t].shown = items->keys[t];
        batch->consumed[t].table = name;
        for (uint32_t k = 0; k < table->keys.count; k++)
            batch->requests[batch->count++] =
                (struct get_request){.table = name,
                                     .key = values[k],
                                     .consistent = table->consistent_read == MODEL_TRUE};
    }
    return STATUS_OK;
}

/* One item, read and written. */
static enum status get_one(struct api_call *call, struct batch_get *batch, uint32_t table)
{
    const struct get_request *request = &batch->requests[batch->next];
    const struct error *injected = call_injected(call, request->table, request->key);
    struct get_result result;
    if (UNLIKELY(injected != NULL)) {
        call->error = *injected;
        return STATUS_THROTTLED;
    }
    TRY(router_get(call->ctx, call_router(call), request, &result, &call->error));
    batch->bytes += result.item_bytes;
    batch->full = batch->bytes > ANSWER_BYTES_MAX;
    if (batch->full)
        return STATUS_OK;
    batch->next++;
    batch->done++;
    uint64_t half_units = units_read_halves(result.item_bytes, request->consistent);
    batch->consumed[table].half_units += half_units;
    call->read_half_units += half_units;
    if (value_type(result.item) != VALUE_NONE)
        TRY(write_item(call, &batch->projections[table], result.item));
    batch->full = call->json.to->count > ANSWER_TEXT_MAX;
    return call->json.to->failed ? call_no_memory(call) : STATUS_OK;
}

/* An answer that grows large waits for its turn: many at once would take turns at growing, and no
 * bound would hold what they take together. */
static enum status begin_large(struct api_call *call, struct batch_get *batch)
{
    struct api *api = call->api;
    if (api->large_answers < LARGE_ANSWERS_MAX)
        api->large_answers++;
    else
        TRY(wait_queue_wait(call->ctx, &api->large_queue)); /* the place of the one that ended */
    batch->large = true;
    return STATUS_OK;
}

static void end_large(struct api_call *call, const struct batch_get *batch)
{
    struct api *api = call->api;
    if (!batch->large)
        return;
    if (wait_queue_empty(&api->large_queue))
        api->large_answers--;
    else
        wait_queue_wake_one(&api->large_queue);
}

/* Read one item into the answer, if it fits; other flows have a turn after each TURN_BYTES. */
static enum status get_next(struct api_call *call, struct batch_get *batch, uint32_t table)
{
    uint64_t turn = batch->bytes / TURN_BYTES;
    TRY(get_one(call, batch, table));
    if (batch->bytes / TURN_BYTES == turn)
        return STATUS_OK;
    if (!batch->large && begin_large(call, batch) != STATUS_OK)
        batch->full = true; /* its time is over: what is left stays unprocessed */
    else
        context_yield(call->ctx);
    batch->full |= call->ctx->cancelled; /* nobody waits for the rest */
    return STATUS_OK;
}

/* The next request could not be served now.  One that was throttled is passed over, since others
 * may be of other partitions; another failure ends the answer when there is something in it.
 *   any status but STATUS_OK  the whole batch fails with it */
static enum status miss(struct api_call *call, struct batch_get *batch, enum status status)
{
    if (call->error.code == ERROR_THROUGHPUT_EXCEEDED || call->error.code == ERROR_THROTTLING) {
        if (batch->missed_for.code == ERROR_NONE)
            batch->missed_for = call->error;
        batch->missed[batch->next++] = true;
        return STATUS_OK;
    }
    if (batch->done == 0 || !may_pass(call->error.code))
        return status;
    batch->full = true;
    return STATUS_OK;
}

/* "Responses": as many items as fit and may be read now. */
static enum status write_responses(struct api_call *call, struct batch_get *batch)
{
    const struct model_map *items = &batch->input->request_items;
    write_name(&call->json, "Responses");
    json_write_object_begin(&call->json);
    for (uint32_t t = 0; t < items->count; t++) {
        json_write_name(&call->json, items->keys[t]);
        json_write_array_begin(&call->json);
        for (uint32_t k = 0; k < batch->tables[t].keys.count && !batch->full; k++) {
            enum status status = get_next(call, batch, t);
            if (status != STATUS_OK)
                TRY(miss(call, batch, status));
        }
        json_write_array_end(&call->json);
    }
    json_write_object_end(&call->json);
    call->error = (struct error){0};
    if (batch->done > 0 || batch->missed_for.code == ERROR_NONE)
        return STATUS_OK;
    call->error = batch->missed_for;
    return STATUS_THROTTLED;
}

static void write_attributes_to_get(struct json_writer *json, const struct model_list *list)
{
    const struct bytes *names = list->at;
    write_name(json, "AttributesToGet");
    json_write_array_begin(json);
    for (uint32_t i = 0; i < list->count; i++)
        json_write_string(json, names[i]);
    json_write_array_end(json);
}

static bool unprocessed(const struct batch_get *batch, uint32_t request)
{
    return request >= batch->next || batch->missed[request];
}

/* A table's part of the request, for the keys that were not processed; its first is request
 * `first`. */
static void write_unprocessed_keys(struct json_writer *json, const struct batch_get *batch,
                                   const struct keys_and_attributes *table, uint32_t first)
{
    const struct value *keys = table->keys.at;
    json_write_object_begin(json);
    write_name(json, "Keys");
    json_write_array_begin(json);
    for (uint32_t k = 0; k < table->keys.count; k++) {
        if (unprocessed(batch, first + k))
            item_json_write_map(json, keys[k]);
    }
    json_write_array_end(json);
    if (table->consistent_read != MODEL_NOT_GIVEN) {
        write_name(json, "ConsistentRead");
        json_write_bool(json, table->consistent_read == MODEL_TRUE);
    }
    if (table->projection_expression.at != NULL)
        write_text(json, "ProjectionExpression", table->projection_expression);
    if (table->attributes_to_get.given)
        write_attributes_to_get(json, &table->attributes_to_get);
    if (table->names.given) {
        write_name(json, "ExpressionAttributeNames");
        json_write_object_begin(json);
        for (uint32_t n = 0; n < table->names.count; n++) {
            json_write_name(json, table->names.at[n].placeholder);
            json_write_string(json, table->names.at[n].name);
        }
        json_write_object_end(json);
    }
    json_write_object_end(json);
}

static void write_unprocessed_gets(struct api_call *call, const struct batch_get *batch)
{
    const struct model_map *items = &batch->input->request_items;
    uint32_t before = 0; /* requests of the tables before */
    write_name(&call->json, "UnprocessedKeys");
    json_write_object_begin(&call->json);
    for (uint32_t t = 0; t < items->count; t++) {
        uint32_t count = batch->tables[t].keys.count;
        bool any = false;
        for (uint32_t k = 0; k < count && !any; k++)
            any = unprocessed(batch, before + k);
        if (any) {
            json_write_name(&call->json, items->keys[t]);
            write_unprocessed_keys(&call->json, batch, &batch->tables[t], before);
        }
        before += count;
    }
    json_write_object_end(&call->json);
}

enum status api_batch_get_item(struct api_call *call)
{
    const struct batch_get_input *input = call->input.at;
    struct batch_get *batch = arena_alloc_zero(call_arena(call), sizeof(*batch));
    if (batch == NULL)
        return call_no_memory(call);
    batch->input = input;
    batch->tables = input->request_items.values;
    TRY(collect_gets(call, batch));
    TRY(router_check_gets(call->ctx, call_router(call), batch->requests, batch->count,
                          &call->error));
    json_write_object_begin(&call->json);
    enum status status = write_responses(call, batch);
    end_large(call, batch);
    TRY(status);
    write_unprocessed_gets(call, batch);
    write_capacities(call, input->return_consumed_capacity, &input->request_items, batch->consumed);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

/* ---- BatchWriteItem ---- */

struct batch_write {
    const struct batch_write_input *input;
    struct write_request requests[BATCH_WRITE_MAX]; /* of all tables, one table after the other */
    struct write_result results[BATCH_WRITE_MAX];
    bool done[BATCH_WRITE_MAX];
    struct consumed consumed[BATCH_WRITE_MAX]; /* by table */
    uint32_t count;                            /* of requests */
};

static enum status collect_write(struct api_call *call, struct batch_write *batch,
                                 struct bytes table, const struct write_request_input *write)
{
    if (write->put != NULL && write->delete != NULL)
        return call_invalid(call, "Supplied WriteRequest has more than one of PutRequest and "
                                  "DeleteRequest set, must contain exactly one of them");
    if (write->put == NULL && write->delete == NULL)
        return call_invalid(call, "Supplied WriteRequest is empty, must contain exactly one of "
                                  "PutRequest and DeleteRequest");
    batch->requests[batch->count++] = (struct write_request){
        .kind = write->put != NULL ? WRITE_PUT : WRITE_DELETE,
        .table = table,
        .item = write->put != NULL ? write->put->item : write->delete->key,
    };
    return STATUS_OK;
}

static enum status collect_writes(struct api_call *call, struct batch_write *batch)
{
    const struct model_map *items = &batch->input->request_items;
    const struct model_list *tables = items->values;
    uint64_t writes = 0;
    if (items->count == 0)
        return call_invalid(call, "The requestItems parameter is required for BatchWriteItem");
    for (uint32_t t = 0; t < items->count; t++)
        writes += tables[t].count;
    if (writes > BATCH_WRITE_MAX)
        return call_invalid(call, "Too many items requested for the BatchWriteItem call");
    for (uint32_t t = 0; t < items->count; t++) {
        const struct write_request_input *list = tables[t].at;
        struct bytes name;
        TRY(call_table_name(call, items->keys[t], &name));
        batch->consumed[t].shown = items->keys[t];
        batch->consumed[t].table = name;
        for (uint32_t i = 0; i < tables[t].count; i++)
            TRY(collect_write(call, batch, name, &list[i]));
    }
    return STATUS_OK;
}

static void write_request(struct json_writer *json, const struct write_request *request)
{
    bool put = request->kind == WRITE_PUT;
    json_write_object_begin(json);
    write_name(json, put ? "PutRequest" : "DeleteRequest");
    json_write_object_begin(json);
    write_name(json, put ? "Item" : "Key");
    item_json_write_map(json, request->item);
    json_write_object_end(json);
    json_write_object_end(json);
}

/* "UnprocessedItems": the requests that were not executed, by table. */
static void write_unprocessed_writes(struct api_call *call, const struct batch_write *batch)
{
    const struct model_map *items = &batch->input->request_items;
    const struct model_list *tables = items->values;
    uint32_t next = 0;
    write_name(&call->json, "UnprocessedItems");
    json_write_object_begin(&call->json);
    for (uint32_t t = 0; t < items->count; t++) {
        bool open = false;
        for (uint32_t i = 0; i < tables[t].count; i++, next++) {
            if (batch->done[next])
                continue;
            if (!open) {
                json_write_name(&call->json, items->keys[t]);
                json_write_array_begin(&call->json);
                open = true;
            }
            write_request(&call->json, &batch->requests[next]);
        }
        if (open)
            json_write_array_end(&call->json);
    }
    json_write_object_end(&call->json);
}

static void count_writes(struct api_call *call, struct batch_write *batch)
{
    const struct model_map *items = &batch->input->request_items;
    const struct model_list *tables = items->values;
    uint32_t next = 0;
    for (uint32_t t = 0; t < items->count; t++) {
        for (uint32_t i = 0; i < tables[t].count; i++, next++) {
            if (batch->done[next])
                consume_write(&batch->consumed[t], &batch->results[next]);
        }
        call->write_half_units += consumed_total(&batch->consumed[t]);
    }
}

/* Do two writes of one table go to the same item collection? */
static bool same_collection(const struct table *table, const struct write_request *a,
                            const struct write_request *b)
{
    struct value keys[2];
    struct bytes name = table->schema.partition.name;
    return value_find(a->item, name, &keys[0]) && value_find(b->item, name, &keys[1]) &&
           value_equal(keys[0], keys[1]);
}

/* Has the batch, from `next` on, no other write to the collection of request `i` in this table? */
static bool is_last_of_collection(const struct table *table, const struct batch_write *batch,
                                  uint32_t i, uint32_t end)
{
    for (uint32_t later = i + 1; later < end; later++) {
        if (batch->done[later] &&
            same_collection(table, &batch->requests[i], &batch->requests[later]))
            return false;
    }
    return true;
}

/* "ItemCollectionMetrics": {table: [...]}: each item collection that was written to, once, as it
 * is after the last of its writes. */
static void write_metrics(struct api_call *call, const struct batch_write *batch)
{
    const struct model_map *items = &batch->input->request_items;
    const struct model_list *tables = items->values;
    uint32_t next = 0;
    if (batch->input->return_item_collection_metrics != METRICS_SIZE)
        return;
    write_name(&call->json, "ItemCollectionMetrics");
    json_write_object_begin(&call->json);
    for (uint32_t t = 0; t < items->count; t++) {
        uint32_t end = next + tables[t].count;
        const struct table *table;
        struct error ignored;
        bool open = false;
        bool found = router_table(call_router(call), batch->consumed[t].table, &table, &ignored) ==
                     STATUS_OK;
        for (; next < end; next++) {
            if (!found || !batch->done[next] || !batch->results[next].has_collection ||
                !is_last_of_collection(table, batch, next, end))
                continue;
            if (!open) {
                json_write_name(&call->json, items->keys[t]);
                json_write_array_begin(&call->json);
                open = true;
            }
            write_collection_metrics(call, batch->consumed[t].table, batch->requests[next].item,
                                     &batch->results[next]);
        }
        if (open)
            json_write_array_end(&call->json);
    }
    json_write_object_end(&call->json);
}

/* What is not executed is repeated in the answer: room for that, before anything is written. */
static enum status reserve_answer(struct api_call *call, const struct batch_write *batch)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct value item = batch->requests[i].item;
        bytes += item_json_bytes_max(item);
        if (item.bytes >= PAUSE_BYTES)
            context_yield(call->ctx);
    }
    if (bytes > call->json.to->bytes_max / 2 || arena_reserve(call_arena(call), bytes) != STATUS_OK)
        return call_no_memory(call);
    return STATUS_OK;
}

/* Execute what is not to meet an injected error; what is stays undone, and if that is all of a
 * batch that was throttled, it fails. */
static enum status write_rest(struct api_call *call, struct batch_write *batch)
{
    struct batch_write *rest = arena_alloc_zero(call_arena(call), sizeof(*rest));
    uint32_t at[BATCH_WRITE_MAX];
    const struct error *met = NULL;
    if (rest == NULL)
        return call_no_memory(call);
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct write_request *request = &batch->requests[i];
        const struct error *error = call_injected(call, request->table, request->item);
        if (error != NULL) {
            met = error;
            continue;
        }
        at[rest->count] = i;
        rest->requests[rest->count++] = *request;
    }
    if (rest->count == 0 && met->code != ERROR_TRANSACTION_CONFLICT) {
        call->error = *met;
        return STATUS_THROTTLED;
    }
    TRY(router_write_batch(call->ctx, call_router(call), rest->requests, rest->count, rest->results,
                           rest->done, &call->error));
    for (uint32_t i = 0; i < rest->count; i++) {
        batch->results[at[i]] = rest->results[i];
        batch->done[at[i]] = rest->done[i];
    }
    return STATUS_OK;
}

static enum status write_all(struct api_call *call, struct batch_write *batch)
{
    if (UNLIKELY(call->injected != NULL))
        return write_rest(call, batch);
    return router_write_batch(call->ctx, call_router(call), batch->requests, batch->count,
                              batch->results, batch->done, &call->error);
}

enum status api_batch_write_item(struct api_call *call)
{
    const struct batch_write_input *input = call->input.at;
    struct batch_write *batch = arena_alloc_zero(call_arena(call), sizeof(*batch));
    if (batch == NULL)
        return call_no_memory(call);
    batch->input = input;
    TRY(collect_writes(call, batch));
    TRY(router_check_writes(call->ctx, call_router(call), batch->requests, batch->count,
                            &call->error));
    TRY(reserve_answer(call, batch));
    TRY(write_all(call, batch));
    count_writes(call, batch);
    json_write_object_begin(&call->json);
    write_unprocessed_writes(call, batch);
    write_metrics(call, batch);
    write_capacities(call, input->return_consumed_capacity, &input->request_items, batch->consumed);
    json_write_object_end(&call->json);
    return STATUS_OK;
}
