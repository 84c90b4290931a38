/* transact_get.c - TransactGetItems: read all items with their versions, and then the versions
 * again (docs/transactions.md). */
#include "admission/units.h"
#include "base/assert.h"
#include "router/router_private.h"

#define READS_MAX 3u /* of all items, when a version changed in between */
#define ONGOING   "Transaction is ongoing for the item"

/* The items of one partition. */
struct part {
    struct replica_target target;
    uint32_t first, count; /* in `order` */
};

struct transact_get {
    struct context *ctx;
    struct router *router;
    const struct get_request *requests;
    uint32_t count;
    struct error *error;
    struct error *errors; /* of each item */
    uint64_t *tables;
    struct bytes *keys;
    struct bytes *sorted; /* keys, partition by partition */
    uint32_t *order;      /* of which items */
    struct part *parts;
    uint32_t part_count;
    uint64_t *budgets;                     /* of router_spend */
    struct version_result *first, *second; /* as sorted */
    uint32_t read;                         /* how many of `first` are there */
    uint64_t bytes;                        /* of these */
    bool too_large;                        /* with those of the next part */
};

static enum status no_memory(struct transact_get *t)
{
    return error_internal(t->error, STATUS_NO_MEMORY);
}

static bool allocate(struct transact_get *t)
{
    struct arena *arena = &t->ctx->arena;
    uint32_t n = t->count;
    t->errors = arena_alloc_zero(arena, n * sizeof(*t->errors));
    t->tables = arena_alloc_array(arena, n, sizeof(*t->tables));
    t->keys = arena_alloc_array(arena, n, sizeof(*t->keys));
    t->sorted = arena_alloc_array(arena, n, sizeof(*t->sorted));
    t->order = arena_alloc_array(arena, n, sizeof(*t->order));
    t->parts = arena_alloc_array(arena, n, sizeof(*t->parts));
    t->first = arena_alloc_zero(arena, n * sizeof(*t->first));
    t->second = arena_alloc_zero(arena, n * sizeof(*t->second));
    t->budgets = arena_alloc_zero(arena, n * sizeof(*t->budgets));
    return t->budgets != NULL && t->errors != NULL && t->tables != NULL && t->keys != NULL &&
           t->sorted != NULL && t->order != NULL && t->parts != NULL && t->first != NULL &&
           t->second != NULL;
}

/* ---- Keys ---- */

static enum status check_key(struct transact_get *t, uint32_t i, bool *refused)
{
    const struct table *table;
    struct key key;
    TRY(router_table(t->router, t->requests[i].table, &table, t->error));
    t->tables[i] = table->id;
    enum status status =
        keys_encode(table, t->requests[i].key, &t->ctx->arena, &key, &t->errors[i]);
    if (status != STATUS_OK) {
        *t->error = t->errors[i];
        *refused = true;
        return status == STATUS_INVALID && !router_refuses_request(t->error) ? STATUS_OK : status;
    }
    t->keys[i] = arena_copy(&t->ctx->arena, key_bytes(&key));
    return t->keys[i].at != NULL ? STATUS_OK : no_memory(t);
}

static enum status check(struct transact_get *t)
{
    bool refused = false;
    for (uint32_t i = 0; i < t->count; i++)
        TRY(check_key(t, i, &refused));
    if (refused)
        return router_cancelled(t->error, &t->ctx->arena, t->errors, t->count);
    for (uint32_t i = 0; i < t->count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (t->tables[i] == t->tables[j] && bytes_equal(t->keys[i], t->keys[j]))
                return error_set(t->error, ERROR_VALIDATION, MULTIPLE_OPERATIONS);
        }
    }
    return STATUS_OK;
}

/* Which partitions have them now. */
static enum status divide(struct transact_get *t)
{
    uint32_t filled = 0;
    bool done[TXN_ITEMS_MAX] = {false};
    t->part_count = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct table *table;
        if (done[i])
            continue;
        TRY(router_table(t->router, t->requests[i].table, &table, t->error));
        struct part *part = &t->parts[t->part_count++];
        *part = (struct part){.target = router_target(table, t->keys[i]), .first = filled};
        router_rates(t->router, table, part->target.rates);
        for (uint32_t j = i; j < t->count; j++) {
            if (done[j] || t->tables[j] != t->tables[i] ||
                router_target(table, t->keys[j]).group_id != part->target.group_id)
                continue;
            done[j] = true;
            t->order[filled] = j;
            t->sorted[filled++] = t->keys[j];
            part->count++;
        }
    }
    return STATUS_OK;
}

/* ---- Reading ---- */

static void note_throttle(struct transact_get *t, const struct part *part, enum status status)
{
    for (uint32_t i = part->first; i < part->first + part->count; i++)
        (void)router_throttled(t->router, t->requests[t->order[i]].table, ADMISSION_READ, status,
                               &t->errors[t->order[i]]);
}

static enum status read_part(struct transact_get *t, const struct part *part, bool want_items,
                             uint64_t bytes_max, struct version_result *results)
{
    struct replica_service *service = t->router->service;
    enum status status =
        service->read_version(t->ctx, service, &part->target, t->sorted + part->first, part->count,
                              want_items, bytes_max, results + part->first);
    if (UNLIKELY(status_is_throttle(status)))
        note_throttle(t, part, status);
    return status;
}

/* The items, until they are known to be too large together. */
static enum status read_first(struct transact_get *t)
{
    t->read = 0;
    t->bytes = 0;
    for (uint32_t p = 0; p < t->part_count; p++) {
        const struct part *part = &t->parts[p];
        enum status status = read_part(t, part, true, TXN_BYTES_MAX - t->bytes, t->first);
        t->too_large = status == STATUS_TOO_LARGE;
        if (t->too_large)
            return error_set(t->error, ERROR_VALIDATION, TRANSACTION_TOO_LARGE);
        TRY(status);
        for (; t->read < part->first + part->count; t->read++)
            t->bytes += t->first[t->read].item_bytes;
    }
    return STATUS_OK;
}

static enum status read_second(struct transact_get *t)
{
    for (uint32_t p = 0; p < t->part_count; p++)
        TRY(read_part(t, &t->parts[p], false, UINT64_MAX, t->second));
    return STATUS_OK;
}

/* Note the items on which a transaction is under way. */
static bool any_in_flight(struct transact_get *t, const struct version_result *results)
{
    bool any = false;
    for (uint32_t i = 0; i < t->count; i++) {
        if (!results[i].in_flight)
            continue;
        (void)error_set(&t->errors[t->order[i]], ERROR_TRANSACTION_CONFLICT, ONGOING);
        any = true;
    }
    return any;
}

static bool any_changed(struct transact_get *t, bool note)
{
    bool any = false;
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->first[i].version == t->second[i].version)
            continue;
        if (note)
            (void)error_set(&t->errors[t->order[i]], ERROR_TRANSACTION_CONFLICT, ONGOING);
        any = true;
    }
    return any;
}

/* Equal versions and nothing in flight: every value stood from its first read to its second, so all
 * of them stood together in between.  What one partition has, it reads at one moment. */
static enum status read_twice(struct transact_get *t, bool last, bool *conflict, bool *again)
{
    TRY(divide(t));
    TRY(read_first(t));
    *again = false;
    *conflict = any_in_flight(t, t->first);
    if (*conflict || t->part_count == 1)
        return STATUS_OK;
    TRY(read_second(t));
    *conflict = any_in_flight(t, t->second);
    if (*conflict)
        return STATUS_OK;
    *again = any_changed(t, last);
    *conflict = *again && last;
    return STATUS_OK;
}

static enum status read_items(struct transact_get *t)
{
    bool conflict = false, again = true;
    for (uint32_t i = 0; again && !conflict && i < READS_MAX; i++) {
        enum status status = read_twice(t, i + 1 == READS_MAX, &conflict, &again);
        if (status == STATUS_MOVED) {
            again = true; /* look where they are now */
            continue;
        }
        if (status_is_throttle(status))
            return router_cancelled(t->error, &t->ctx->arena, t->errors, t->count);
        if (status != STATUS_OK)
            return t->error->code != ERROR_NONE ? status : router_replica_error(t->error, status);
    }
    if (conflict)
        return router_cancelled(t->error, &t->ctx->arena, t->errors, t->count);
    return again ? router_replica_error(t->error, STATUS_MOVED) : STATUS_OK;
}

/* What tables with a maximum spend: the least of all before it is read, the rest behind it. */
static enum status spend(struct transact_get *t)
{
    bool throttled = false;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct table *table;
        TRY(router_table(t->router, t->requests[i].table, &table, t->error));
        enum status status = router_spend(t->router, t->requests[i].table, table, ADMISSION_READ,
                                          units_read_least(true), &t->budgets[i], &t->errors[i]);
        if (status == STATUS_NO_MEMORY)
            return no_memory(t);
        throttled |= status != STATUS_OK;
    }
    return throttled ? router_cancelled(t->error, &t->ctx->arena, t->errors, t->count) : STATUS_OK;
}

/* What was read costs, also when the request is refused then; what was not, nothing.  Of items that
 * were too large, what was read of them is put down to the first. */
static void spent(struct transact_get *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        uint64_t cost = 0;
        if (i < t->read)
            cost = 2 * units_read_halves(t->first[i].item_bytes, true);
        else if (i == t->read && t->too_large)
            cost = 2 * units_read_halves(TXN_BYTES_MAX - t->bytes, true);
        router_spent(t->router, t->budgets[t->order[i]], ADMISSION_READ,
                     (int64_t)cost - (int64_t)units_read_least(true));
    }
}

enum status router_transact_get(struct context *ctx, struct router *router,
                                struct get_request *requests, uint32_t count,
                                struct get_result *results, struct error *error)
{
    struct transact_get t = {
        .ctx = ctx, .router = router, .requests = requests, .count = count, .error = error};
    ASSERT(count > 0 && count <= TXN_ITEMS_MAX);
    *error = (struct error){0};
    if (!allocate(&t))
        return no_memory(&t);
    TRY(check(&t));
    for (uint32_t i = 0; i < count; i++)
        t.order[i] = i; /* until they are divided */
    enum status status = spend(&t);
    if (status == STATUS_OK)
        status = read_items(&t);
    spent(&t);
    TRY(status);
    for (uint32_t i = 0; i < count; i++)
        results[t.order[i]] =
            (struct get_result){.item = t.first[i].item, .item_bytes = t.first[i].item_bytes};
    return STATUS_OK;
}
