/* fake_service.h - replicas as one sorted array: what the router's tests call instead of a node. */
#ifndef TESTS_UNIT_ROUTER_FAKE_SERVICE_H
#define TESTS_UNIT_ROUTER_FAKE_SERVICE_H

#include "unit/cmocka_headers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "env/fiber.h"
#include "env/sim/sim_env.h"
#include "route/replica_service.h"
#include "router/router.h"

#define FAKE_ITEMS_MAX  4096u
#define FAKE_GROUPS_MAX 256u
#define ARENA_BYTES     ((size_t)64 << 20)

struct fake_item {
    uint64_t group_id;
    uint8_t *key, *item;
    uint32_t key_bytes, item_bytes;
};

struct fake {
    struct replica_service service;
    struct sim *sim;
    struct sim_node *machine;
    struct fake_item items[FAKE_ITEMS_MAX]; /* by group, then by key */
    uint32_t count;
    uint64_t groups[FAKE_GROUPS_MAX];
    uint32_t group_count;
    uint32_t calls, writes_at_once; /* calls of write; the most that waited at one time */
    uint32_t writing;
    uint64_t create_ns; /* that making a replica takes */
    uint32_t creating, creates_at_once;
    enum status fail;     /* of the next write; executed all the same when it is UNKNOWN_OUTCOME */
    uint64_t fail_group;  /* 0: of any */
    bool refuses_at_once; /* what a condition has seen is committed, though who wrote it waits */
    enum status retire_fails;
    uint32_t retired; /* replicas, each time that one is */
    bool tight;
    uint32_t tables_changed;
    struct replica_range range; /* the last one asked for; what it points to is the caller's */
    struct replica_write write; /* the last one, as well */
    struct router *router;
    const char *wrong;
    bool done;
    void (*body)(struct context *ctx, struct fake *f);
};

/* Noted on a fiber, asserted off it: a failing assertion jumps, which must not leave a stack. */
#define CHECK(f, x) ((x) ? (void)0 : (void)((f)->wrong = (f)->wrong == NULL ? #x : (f)->wrong))

static struct bytes fake_key(const struct fake_item *item)
{
    return bytes_of(item->key, item->key_bytes);
}

/* The first item at or behind (group, key). */
static uint32_t fake_position(const struct fake *f, uint64_t group, struct bytes key, bool *exact)
{
    uint32_t at = 0;
    while (at < f->count &&
           (f->items[at].group_id < group ||
            (f->items[at].group_id == group && bytes_compare(fake_key(&f->items[at]), key) < 0)))
        at++;
    *exact = at < f->count && f->items[at].group_id == group &&
             bytes_equal(fake_key(&f->items[at]), key);
    return at;
}

static bool fake_has_group(const struct fake *f, uint64_t group)
{
    for (uint32_t i = 0; i < f->group_count; i++)
        if (f->groups[i] == group)
            return true;
    return false;
}

static void fake_remove_at(struct fake *f, uint32_t at)
{
    free(f->items[at].key);
    free(f->items[at].item);
    memmove(&f->items[at], &f->items[at + 1], (--f->count - at) * sizeof(f->items[0]));
}

static void fake_set(struct fake *f, uint64_t group, struct bytes key, struct value item)
{
    bool exact;
    uint32_t at = fake_position(f, group, key, &exact);
    if (exact)
        fake_remove_at(f, at);
    if (value_type(item) == VALUE_NONE || f->count == FAKE_ITEMS_MAX)
        return;
    memmove(&f->items[at + 1], &f->items[at], (f->count++ - at) * sizeof(f->items[0]));
    struct fake_item *made = &f->items[at];
    *made = (struct fake_item){.group_id = group,
                               .key = malloc(key.count),
                               .item = malloc(item.bytes),
                               .key_bytes = (uint32_t)key.count,
                               .item_bytes = item.bytes};
    memcpy(made->key, key.at, key.count);
    memcpy(made->item, item.at, item.bytes);
}

static struct value fake_find(const struct fake *f, uint64_t group, struct bytes key)
{
    bool exact;
    uint32_t at = fake_position(f, group, key, &exact);
    if (!exact)
        return VALUE_ABSENT;
    return (struct value){f->items[at].item, f->items[at].item_bytes};
}

static enum status fake_get(struct context *ctx, struct replica_service *service,
                            const struct replica_target *target, const struct replica_get *get,
                            struct get_result *result)
{
    struct fake *f = CONTAINER_OF(service, struct fake, service);
    context_yield(ctx);
    if (!fake_has_group(f, target->group_id))
        return STATUS_MOVED;
    struct value item = fake_find(f, target->group_id, get->key);
    *result = (struct get_result){.item = item};
    result->item_bytes = item.at == NULL ? 0 : item_size(item);
    return STATUS_OK;
}

static void fake_prefetch(struct replica_service *service, const struct replica_point *points,
                          uint32_t count)
{
    struct fake *f = CONTAINER_OF(service, struct fake, service);
    for (uint32_t i = 0; i < count; i++)
        assert_true(fake_has_group(f, points[i].group_id) && points[i].key.count > 0);
}

static enum status fake_write_one(struct context *ctx, struct fake *f, uint64_t group,
                                  const struct replica_write *write, struct write_result *result)
{
    const struct write_request *request = write->request;
    struct value old = fake_find(f, group, write->key);
    struct expr_fault fault;
    *result = (struct write_result){0};
    f->write = *write;
    if (!expr_evaluate(&request->condition, old))
        return STATUS_CONDITION_FAILED;
    if (request->kind == WRITE_DELETE) {
        fake_set(f, group, write->key, VALUE_ABSENT);
        return STATUS_OK;
    }
    struct value item = request->item;
    struct buffer buffer;
    buffer_init(&buffer, ctx->env->heap, ITEM_BYTES_MAX * 2);
    enum status status = STATUS_OK;
    if (request->kind == WRITE_UPDATE) {
        struct value_writer writer;
        value_writer_init(&writer, &buffer);
        status =
            expr_update(&request->update, old, write->key_attributes, &writer, &ctx->arena, &fault);
        if (status == STATUS_OK)
            status = value_writer_finish(&writer, &item);
    }
    if (status == STATUS_OK) {
        fake_set(f, group, write->key, item);
        result->new_bytes = item_size(item);
        result->attributes =
            (struct value){arena_copy(&ctx->arena, bytes_of(item.at, item.bytes)).at, item.bytes};
    }
    buffer_release(&buffer);
    return status;
}

static void fake_write(struct context *ctx, struct replica_service *service,
                       const struct replica_target *target, const struct replica_write *writes,
                       uint32_t count, struct write_result *results, enum status *statuses,
                       struct error *errors)
{
    struct fake *f = CONTAINER_OF(service, struct fake, service);
    f->calls++;
    enum status fail = STATUS_OK;
    if (f->fail_group == 0 || f->fail_group == target->group_id) {
        fail = f->fail;
        f->fail = STATUS_OK;
    }
    if (!fake_has_group(f, target->group_id))
        fail = STATUS_MOVED;
    for (uint32_t i = 0; i < count; i++) {
        statuses[i] = fail;
        if (fail == STATUS_INVALID)
            (void)error_set(&errors[i], ERROR_COLLECTION_SIZE, "fake");
        if (fail == STATUS_OK || fail == STATUS_UNKNOWN_OUTCOME) {
            enum status status = fake_write_one(ctx, f, target->group_id, &writes[i], &results[i]);
            if (status == STATUS_CONDITION_FAILED && writes[i].request->return_on_failure) {
                struct value old = fake_find(f, target->group_id, writes[i].key);
                struct bytes copy = arena_copy(&ctx->arena, bytes_of(old.at, old.bytes));
                errors[i].item = old.at == NULL ? old : (struct value){copy.at, old.bytes};
            }
            statuses[i] = fail == STATUS_OK ? status : fail;
        }
    }
    if (f->refuses_at_once && statuses[0] == STATUS_CONDITION_FAILED)
        return;
    f->writing++;
    f->writes_at_once = MAX(f->writes_at_once, f->writing);
    context_yield(ctx); /* the commit */
    context_yield(ctx);
    f->writing--;
}

static enum status fake_range(struct context *ctx, struct replica_service *service,
                              const struct replica_target *target,
                              const struct replica_range *range, struct item_sink *sink,
                              struct replica_range_result *result)
{
    struct fake *f = CONTAINER_OF(service, struct fake, service);
    f->range = *range;
    context_yield(ctx);
    if (!fake_has_group(f, target->group_id))
        return STATUS_MOVED;
    for (uint32_t i = 0; i < f->count; i++) {
        const struct fake_item *item = &f->items[range->backward ? f->count - 1 - i : i];
        struct bytes key = fake_key(item);
        struct value value = {item->item, item->item_bytes};
        if (item->group_id != target->group_id || bytes_compare(key, range->low) < 0 ||
            (range->high.count > 0 && bytes_compare(key, range->high) >= 0))
            continue;
        uint32_t bytes = item_size(value);
        if (result->scanned_count > 0 && result->scanned_bytes + bytes > range->bytes_max) {
            result->more = true;
            return STATUS_OK;
        }
        result->scanned_count++;
        result->scanned_bytes += bytes;
        result->last_key = arena_copy(&ctx->arena, key);
        if (expr_evaluate(&range->filter, value)) {
            result->count++;
            TRY(range->versions ? sink->take_row(sink, key, &(struct row){.item = value})
                                : sink->take(sink, value));
        }
        if (range->limit > 0 && result->scanned_count >= range->limit) {
            result->more = true;
            return STATUS_OK;
        }
    }
    return STATUS_OK;
}

static void fake_size(struct replica_service *service, uint64_t group_id, struct replica_size *size)
{
    const struct fake *f = CONTAINER_OF(service, struct fake, service);
    *size = (struct replica_size){0};
    for (uint32_t i = 0; i < f->count; i++) {
        size->items.count += f->items[i].group_id == group_id;
        size->items.bytes += f->items[i].group_id == group_id ? f->items[i].item_bytes : 0;
    }
}

static enum status fake_create(struct context *ctx, struct replica_service *service,
                               const struct replica_target *target, struct bytes low,
                               struct bytes high)
{
    struct fake *f = CONTAINER_OF(service, struct fake, service);
    (void)low;
    (void)high;
    f->creating++;
    f->creates_at_once = MAX(f->creates_at_once, f->creating);
    context_yield(ctx);
    enum status slept = f->create_ns > 0 ? context_sleep(ctx, f->create_ns) : STATUS_OK;
    f->creating--;
    TRY(slept);
    if (!fake_has_group(f, target->group_id)) {
        if (f->group_count == FAKE_GROUPS_MAX)
            return STATUS_BUSY;
        f->groups[f->group_count++] = target->group_id;
    }
    return STATUS_OK;
}

static enum status fake_remove(struct context *ctx, struct replica_service *service,
                               uint64_t group_id)
{
    struct fake *f = CONTAINER_OF(service, struct fake, service);
    context_yield(ctx);
    for (uint32_t i = 0; i < f->group_count; i++)
        if (f->groups[i] == group_id)
            f->groups[i--] = f->groups[--f->group_count];
    for (uint32_t i = f->count; i-- > 0;)
        if (f->items[i].group_id == group_id)
            fake_remove_at(f, i);
    return STATUS_OK;
}

static enum status fake_retire(struct context *ctx, struct replica_service *service,
                               uint64_t group_id)
{
    struct fake *f = CONTAINER_OF(service, struct fake, service);
    context_yield(ctx);
    if (!fake_has_group(f, group_id))
        return STATUS_NOT_FOUND;
    if (f->retire_fails != STATUS_OK)
        return f->retire_fails;
    f->retired++;
    for (uint32_t i = f->count; i-- > 0;)
        if (f->items[i].group_id == group_id)
            fake_remove_at(f, i);
    return STATUS_OK;
}

static bool fake_is_tight(struct replica_service *service)
{
    return CONTAINER_OF(service, struct fake, service)->tight;
}

/* Nobody has a mark, and nothing changes. */
static enum status fake_find_mark(struct context *ctx, struct replica_service *service,
                                  const struct replica_target *target, uint64_t consumer,
                                  struct replica_mark *mark)
{
    (void)ctx;
    (void)service;
    (void)target;
    (void)consumer;
    *mark = (struct replica_mark){0};
    return STATUS_OK;
}

static enum status fake_set_mark(struct context *ctx, struct replica_service *service,
                                 const struct replica_target *target, uint64_t consumer,
                                 uint64_t slot)
{
    (void)service;
    (void)target;
    (void)consumer;
    (void)slot;
    context_yield(ctx);
    return STATUS_OK;
}

static void fake_tables_changed(void *owner)
{
    struct fake *f = owner;
    f->tables_changed++;
}

static void fake_fiber(struct context *ctx, void *argument)
{
    struct fake *f = argument;
    f->body(ctx, f);
    f->done = true;
}

static inline void fake_run(struct fake *f, void (*body)(struct context *, struct fake *))
{
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    f->done = false;
    f->body = body;
    assert_int_equal(fiber_spawn(sim_node_env(f->machine), &options, fake_fiber, f), STATUS_OK);
    while (!f->done)
        assert_true(sim_step(f->sim));
    if (f->wrong != NULL)
        fail_msg("%s", f->wrong);
}

static void fake_open_router(struct context *ctx, struct fake *f)
{
    struct router_options options = {.service = &f->service,
                                     .on_demand_partitions = 5,
                                     .decreases_at_once = 2,
                                     .on_tables_changed = fake_tables_changed,
                                     .owner = f};
    CHECK(f, router_open(ctx, &options, &f->router) == STATUS_OK);
}

static inline struct fake *fake_open(void)
{
    struct fake *f = calloc(1, sizeof(*f));
    struct sim_options options = sim_options_from_seed(4);
    f->sim = sim_create(&options);
    f->machine = sim_node_create(f->sim, "n1");
    struct env *env = sim_node_start(f->machine);
    assert_int_equal(fiber_pool_open(env, 256, 256u << 10), STATUS_OK);
    f->service = (struct replica_service){.get = fake_get,
                                          .prefetch = fake_prefetch,
                                          .write = fake_write,
                                          .range = fake_range,
                                          .size = fake_size,
                                          .find_mark = fake_find_mark,
                                          .set_mark = fake_set_mark,
                                          .create_replica = fake_create,
                                          .remove_replica = fake_remove,
                                          .retire_replica = fake_retire,
                                          .is_tight = fake_is_tight};
    fake_run(f, fake_open_router);
    return f;
}

/* Nothing may be left on the heap. */
static inline void fake_close(struct fake *f)
{
    router_close(f->router);
    fiber_pool_close(sim_node_env(f->machine));
    assert_int_equal(sim_node_stop(f->machine), 0);
    sim_free(f->sim);
    while (f->count > 0)
        fake_remove_at(f, f->count - 1);
    free(f);
}

/* The end of what admin/ does to one table. */
static inline enum status fake_settle_one(struct context *ctx, struct fake *f, struct bytes name)
{
    const struct table *table;
    struct error error;
    TRY(router_describe_table(ctx, f->router, name, &table, &error));
    table_hold(table);
    enum status status = router_settle_table(ctx, f->router, table);
    table_drop(table);
    return status;
}

/* What admin/ does. */
static inline void fake_settle(struct context *ctx, struct fake *f)
{
    const struct table *table;
    while ((table = router_next_unsettled(f->router, (struct bytes){0})) != NULL) {
        struct table *held = (struct table *)(uintptr_t)table;
        table_hold(held);
        if (held->status == TABLE_DELETING) {
            CHECK(f, router_remove_partitions(ctx, f->router, held) == STATUS_OK);
            CHECK(f, router_forget_table(ctx, f->router, held->name) == STATUS_OK);
        } else {
            CHECK(f, router_create_partitions(ctx, f->router, held) == STATUS_OK);
            CHECK(f, router_settle_table(ctx, f->router, held) == STATUS_OK);
        }
        table_drop(held);
        if (f->wrong != NULL)
            break;
    }
}

/* A table that is there at once. */
static inline void fake_create_table(struct context *ctx, struct fake *f,
                                     const struct create_table_request *request)
{
    struct error error;
    CHECK(f, router_create_table(ctx, f->router, request, &error) == STATUS_OK);
    fake_settle(ctx, f);
}

#endif
