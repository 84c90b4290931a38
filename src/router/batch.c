/* batch.c - many items at once: checked together, then written partition by partition, side by
 * side. */
#include "admission/units.h"
#include "base/assert.h"
#include "base/codec.h"
#include "router/router_private.h"

#define DUPLICATES "Provided list of item keys contains duplicates"

/* A key of a batch, for finding duplicates. */
struct batch_key {
    uint64_t table_id;
    uint64_t head;    /* its first bytes, the hash of the partition key: few others have the same */
    struct bytes key; /* in the arena */
};

static enum status add_key(struct batch_key *keys, uint32_t count, uint64_t table_id,
                           const struct key *key, struct arena *arena, struct error *error)
{
    uint64_t head = get_u64(key->at);
    for (uint32_t i = 0; i < count; i++) {
        if (keys[i].head == head && keys[i].table_id == table_id &&
            bytes_equal(keys[i].key, key_bytes(key)))
            return error_set(error, ERROR_VALIDATION, DUPLICATES);
    }
    keys[count] = (struct batch_key){table_id, head, arena_copy(arena, key_bytes(key))};
    return keys[count].key.at != NULL ? STATUS_OK : error_internal(error, STATUS_NO_MEMORY);
}

enum status router_check_gets(struct context *ctx, struct router *router,
                              struct get_request *requests, uint32_t count, struct error *error)
{
    struct batch_key keys[BATCH_GET_MAX];
    struct replica_point points[BATCH_GET_MAX];
    ASSERT(count <= BATCH_GET_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const struct table *table;
        struct key key;
        TRY(router_table(router, requests[i].table, &table, error));
        TRY(keys_encode(table, requests[i].key, &ctx->arena, &key, error));
        TRY(add_key(keys, i, table->id, &key, &ctx->arena, error));
        points[i] =
            (struct replica_point){table_partition(table, keys[i].key)->group_id, keys[i].key};
        requests[i].encoded = keys[i].key;
        requests[i].encoded_for = table->id;
    }
    router->service->prefetch(router->service, points, count);
    return STATUS_OK;
}

/* Does `item` have a key attribute of the right type?  A batch is told of a put without one as of a
 * key that does not match, unlike PutItem. */
static bool has_attribute(struct value item, const struct key_attribute *attribute)
{
    struct value found;
    return attribute->type == VALUE_NONE ||
           (value_find(item, attribute->name, &found) && value_type(found) == attribute->type);
}

static enum status encode_write(struct context *ctx, const struct table *table,
                                const struct write_request *request, struct key *key,
                                struct error *error)
{
    if (request->kind == WRITE_DELETE)
        return keys_encode(table, request->item, &ctx->arena, key, error);
    if (!has_attribute(request->item, &table->schema.partition) ||
        !has_attribute(request->item, &table->schema.sort))
        return error_set(error, ERROR_VALIDATION, KEY_MISMATCH);
    return keys_encode_item(table, request->item, &ctx->arena, key, error);
}

enum status router_check_writes(struct context *ctx, struct router *router,
                                const struct write_request *requests, uint32_t count,
                                struct error *error)
{
    struct batch_key keys[BATCH_WRITE_MAX];
    struct pause pause = context_pause(ctx);
    struct pause_meter meter = {.pause = &pause};
    ASSERT(count <= BATCH_WRITE_MAX);
    for (uint32_t i = 0; i < count; i++) {
        const struct table *table;
        struct key key;
        TRY(router_table(router, requests[i].table, &table, error));
        TRY(encode_write(ctx, table, &requests[i], &key, error));
        TRY(add_key(keys, i, table->id, &key, &ctx->arena, error));
        pause_after(&meter, requests[i].item.bytes);
    }
    return STATUS_OK;
}

/* ---- Writing ---- */

/* The writes of a batch that go to one partition: one call, on a fiber of its own. */
struct batch_part {
    struct batch *batch;
    struct context *ctx; /* of its fiber, while it runs on one */
    struct replica_target target;
    uint32_t count;
    uint32_t indexes[BATCH_WRITE_MAX]; /* in the batch */
};

struct batch {
    struct router *router;
    const struct write_request *requests;
    struct write_result *results;
    bool *done;
    struct bytes keys[BATCH_WRITE_MAX];
    const struct table *indexed[BATCH_WRITE_MAX]; /* held: that of router_has_derived, or NULL */
    uint64_t budgets[BATCH_WRITE_MAX];            /* of router_spend */
    uint32_t throttled; /* how many of them were, and this is what to say of it */
    struct error throttle;
    struct batch_part parts[BATCH_WRITE_MAX];
    uint32_t part_count;
    uint32_t running;
    uint64_t trace_id[2];
    struct arena *arena; /* of the request, which outlives the parts */
    struct wait_queue ended;
    uint32_t refused;     /* the first request that was at fault; BATCH_WRITE_MAX: none */
    struct error refusal; /* what with; its text is static, since a part's arena goes with it */
};

/* Take out of the part what its table may not spend now: it stays undone. */
static void spend(struct batch_part *part)
{
    struct batch *batch = part->batch;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < part->count; i++) {
        uint32_t index = part->indexes[i];
        struct bytes name = batch->requests[index].table;
        const struct table *table = catalog_find(&batch->router->catalog, name);
        enum status status = STATUS_OK;
        bool own = batch->requests[index].own;
        if (table != NULL && !own) /* else the replica knows that it is gone */
            status = router_spend(batch->router, name, table, ADMISSION_WRITE, UNITS_WRITE_LEAST,
                                  &batch->budgets[index], &batch->throttle);
        if (status == STATUS_OK)
            part->indexes[kept++] = index;
        batch->throttled += status == STATUS_THROTTLED;
    }
    part->count = kept;
}

/* The write has ended so. */
static void end_write(struct batch *batch, uint32_t index, enum status status,
                      const struct write_result *result, const struct error *error)
{
    batch->results[index] = *result;
    batch->done[index] = status == STATUS_OK;
    /* An item that a transaction is under way on is left for the client to try again. */
    bool ongoing = error->code == ERROR_TRANSACTION_CONFLICT;
    if (status == STATUS_INVALID && !ongoing && index < batch->refused) {
        batch->refused = index;
        batch->refusal = *error;
    }
    if (batch->budgets[index] != 0)
        router_spent(batch->router, batch->budgets[index], ADMISSION_WRITE,
                     units_write_rest(status, result));
    if (!status_is_throttle(status))
        return;
    batch->throttled++;
    (void)router_throttled_write(batch->router, batch->requests[index].table, status, result,
                                 batch->arena, &batch->throttle);
}

static void write_part(struct context *ctx, struct batch_part *part)
{
    struct batch *batch = part->batch;
    struct replica_write writes[BATCH_WRITE_MAX];
    struct write_result results[BATCH_WRITE_MAX] = {0};
    enum status statuses[BATCH_WRITE_MAX];
    struct error errors[BATCH_WRITE_MAX] = {0};
    spend(part);
    if (part->count == 0)
        return;
    for (uint32_t i = 0; i < part->count; i++) {
        const struct write_request *request = &batch->requests[part->indexes[i]];
        writes[i] =
            (struct replica_write){.key = batch->keys[part->indexes[i]],
                                   .key_attributes = request->item,
                                   .request = request,
                                   .actor = request->own ? WRITE_BY_SERVER : WRITE_BY_CLIENT};
        if (batch->indexed[part->indexes[i]] != NULL)
            router_write_indexed(batch->indexed[part->indexes[i]], &writes[i]);
    }
    struct replica_service *service = batch->router->service;
    service->write(ctx, service, &part->target, writes, part->count, results, statuses, errors);
    for (uint32_t i = 0; i < part->count; i++)
        end_write(batch, part->indexes[i], statuses[i], &results[i], &errors[i]);
}

static void part_run(struct context *ctx, void *argument)
{
    struct batch_part *part = argument;
    memcpy(ctx->trace_id, part->batch->trace_id, sizeof(ctx->trace_id));
    part->ctx = ctx;
    write_part(ctx, part);
    part->ctx = NULL;
    part->batch->running--;
    wait_queue_wake_all(&part->batch->ended);
}

/* The parts refer to this stack: wait for all of them, whatever becomes of this request meanwhile.
 * They share its deadline, and are cancelled with it, so that this ends soon after it. */
static void wait_for_parts(struct context *ctx, struct batch *batch)
{
    while (batch->running > 0) {
        if (wait_queue_wait(ctx, &batch->ended) == STATUS_OK)
            continue;
        for (uint32_t p = 0; p < batch->part_count; p++)
            if (batch->parts[p].ctx != NULL)
                context_cancel(batch->parts[p].ctx);
        while (batch->running > 0)
            wait_queue_wait_out(ctx, &batch->ended);
    }
}

static enum status divide(struct context *ctx, struct batch *batch, uint32_t count,
                          struct error *error)
{
    struct pause pause = context_pause(ctx);
    struct pause_meter meter = {.pause = &pause};
    for (uint32_t i = 0; i < count; i++) {
        const struct table *table;
        struct key key;
        TRY(router_table(batch->router, batch->requests[i].table, &table, error));
        TRY(encode_write(ctx, table, &batch->requests[i], &key, error));
        batch->keys[i] = arena_copy(&ctx->arena, key_bytes(&key));
        if (batch->keys[i].at == NULL)
            return error_internal(error, STATUS_NO_MEMORY);
        if (router_has_derived(table)) {
            table_hold(table);
            batch->indexed[i] = table;
        }
        struct replica_target target = router_target(table, key_bytes(&key));
        if (LIKELY(!batch->requests[i].own))
            router_rates(batch->router, table, target.rates);
        uint32_t p = 0;
        while (p < batch->part_count && batch->parts[p].target.group_id != target.group_id)
            p++;
        if (p == batch->part_count) {
            batch->part_count++;
            batch->parts[p] = (struct batch_part){.batch = batch, .target = target};
        }
        struct batch_part *part = &batch->parts[p];
        part->indexes[part->count++] = i;
        pause_after(&meter, batch->requests[i].item.bytes);
    }
    return STATUS_OK;
}

static void run_parts(struct context *ctx, struct batch *batch)
{
    struct fiber_options options = {.arena_bytes_max = ctx->arena.bytes_max,
                                    .deadline_ns = ctx->deadline_ns,
                                    .budget = ctx->arena.budget};
    for (uint32_t p = 0; p + 1 < batch->part_count; p++) {
        batch->running++;
        if (fiber_spawn(ctx->env, &options, part_run, &batch->parts[p]) != STATUS_OK) {
            batch->running--;
            write_part(ctx, &batch->parts[p]);
        }
    }
    if (batch->part_count > 0)
        write_part(ctx, &batch->parts[batch->part_count - 1]);
    wait_for_parts(ctx, batch);
}

enum status router_write_batch(struct context *ctx, struct router *router,
                               const struct write_request *requests, uint32_t count,
                               struct write_result *results, bool *done, struct error *error)
{
    ASSERT(count <= BATCH_WRITE_MAX);
    struct batch *batch = arena_alloc_zero(&ctx->arena, sizeof(*batch));
    if (batch == NULL)
        return error_internal(error, STATUS_NO_MEMORY);
    *batch = (struct batch){.router = router,
                            .requests = requests,
                            .results = results,
                            .done = done,
                            .refused = BATCH_WRITE_MAX,
                            .arena = &ctx->arena,
                            .trace_id = {ctx->trace_id[0], ctx->trace_id[1]}};
    wait_queue_init(&batch->ended);
    enum status status = divide(ctx, batch, count, error);
    if (status == STATUS_OK)
        run_parts(ctx, batch);
    for (uint32_t i = 0; i < count; i++)
        table_drop(batch->indexed[i]);
    if (status == STATUS_OK && batch->refused < BATCH_WRITE_MAX) {
        *error = batch->refusal;
        status = STATUS_INVALID;
    }
    /* Of one that is not done for another reason the outcome may be unknown: nothing is refused. */
    if (status == STATUS_OK && count > 0 && batch->throttled == count) {
        *error = batch->throttle;
        status = STATUS_THROTTLED;
    }
    return status;
}
