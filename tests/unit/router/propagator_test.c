/* What becomes of a table when its index cannot follow: writes that would change the index are
 * refused while it has no capacity left, or is too far behind; none is lost, and it ends. */
#include "unit/node/node_fixture.h"

#include "router/propagator.h"

#define BY_NUMBER BYTES("by-number")

static struct router *router;
static struct propagator *propagator;
static uint32_t partitions = 1;
static uint64_t stuck_table; /* whose partitions take no writes; 0: none */
static void (*node_write)(struct context *ctx, struct replica_service *service,
                          const struct replica_target *target, const struct replica_write *writes,
                          uint32_t count, struct write_result *results, enum status *statuses,
                          struct error *errors);

static void stuck_write(struct context *ctx, struct replica_service *service,
                        const struct replica_target *target, const struct replica_write *writes,
                        uint32_t count, struct write_result *results, enum status *statuses,
                        struct error *errors)
{
    if (target->table_id != stuck_table) {
        node_write(ctx, service, target, writes, count, results, statuses, errors);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        statuses[i] = STATUS_UNAVAILABLE;
}

static void tables_changed(void *owner)
{
    (void)owner;
}

/* What admin/ does. */
static void make_true(struct context *ctx, struct fixture *f)
{
    const struct table *table;
    while ((table = router_next_unsettled(router, (struct bytes){0})) != NULL && f->wrong == NULL) {
        table_hold(table);
        CHECK(f, router_create_partitions(ctx, router, table) == STATUS_OK);
        CHECK(f, router_settle_table(ctx, router, table) == STATUS_OK);
        table_drop(table);
    }
}

/* A table with an index of so many write units, or on-demand when it is 0. */
static void begin(struct context *ctx, struct fixture *f, uint64_t write_units)
{
    bool provisioned = write_units > 0;
    struct error error;
    struct index_schema schema = {.name = BY_NUMBER,
                                  .kind = INDEX_GLOBAL,
                                  .partition_count = 1,
                                  .partition = {{BYTES("n"), VALUE_N}},
                                  .projection = PROJECT_KEYS_ONLY};
    struct index_throughput throughput = {.read_units = 1000,
                                          .write_units = write_units,
                                          .on_demand_read_max = -1,
                                          .on_demand_write_max = -1};
    struct create_table_request create = {.name = BYTES("items"),
                                          .schema = {.partition = {BYTES("k"), VALUE_S}},
                                          .indexes = &schema,
                                          .index_count = 1,
                                          .globals = &throughput,
                                          .global_count = 1,
                                          .billing =
                                              provisioned ? BILLING_PROVISIONED : BILLING_ON_DEMAND,
                                          .read_units = provisioned ? 1000 : 0,
                                          .write_units = provisioned ? 500 : 0};
    struct router_options options = {.service = f->service,
                                     .on_demand_partitions = partitions,
                                     .on_tables_changed = tables_changed};
    node_write = f->service->write;
    f->service->write = stuck_write;
    stuck_table = 0;
    CHECK(f, router_open(ctx, &options, &router) == STATUS_OK);
    CHECK(f, propagator_open(ctx, router, 0, &propagator) == STATUS_OK);
    CHECK(f, router_create_table(ctx, router, &create, &error) == STATUS_OK);
    make_true(ctx, f);
}

static void end(struct context *ctx, struct fixture *f)
{
    if (propagator != NULL)
        propagator_close(ctx, propagator);
    router_close(router);
    f->service->write = node_write;
}

static enum status put_item(struct context *ctx, uint64_t key, uint64_t number, size_t pad,
                            struct error *error)
{
    char name[24];
    snprintf(name, sizeof(name), "k%llu", (unsigned long long)key);
    struct write_request request = {.kind = WRITE_PUT,
                                    .table = BYTES("items"),
                                    .item = make_item(ctx, bytes_of_text(name), number, pad)};
    struct write_result result;
    enum status status = router_write(ctx, router, &request, &result, error);
    if (status != STATUS_THROTTLED)
        arena_reset(&ctx->arena);
    return status;
}

static const struct table_index *the_index(struct fixture *f)
{
    const struct table *table = NULL;
    struct error error;
    CHECK(f, router_table(router, BYTES("items"), &table, &error) == STATUS_OK);
    return &table->globals[0];
}

static uint64_t rows(struct fixture *f)
{
    struct replica_size size;
    f->service->size(f->service, the_index(f)->partitions[0].group_id, &size);
    return size.items.count;
}

static bool refused_for(const struct error *error, const char *reason)
{
    return error->throttle_reason != NULL && strcmp(error->throttle_reason, reason) == 0 &&
           bytes_equal(error->throttled, BYTES("items/index/by-number"));
}

/* Puts until one is refused; a pump has its turn behind each. */
static uint64_t put_until_refused(struct context *ctx, struct fixture *f, uint64_t from,
                                  struct error *error)
{
    uint64_t key = from;
    *error = (struct error){0};
    while (key < from + 5000 && put_item(ctx, key, key, 0, error) == STATUS_OK) {
        CHECK(f, context_sleep(ctx, 5000000) == STATUS_OK);
        key++;
    }
    return key - from;
}

static void capacity_body(struct context *ctx, struct fixture *f)
{
    struct error error;
    begin(ctx, f, 5);
    uint64_t count = put_until_refused(ctx, f, 0, &error);
    /* 1,500 units, what 5 a second give meanwhile, and those that come before it is noticed. */
    CHECK(f, count >= 1500 && count <= 1600);
    CHECK(f, error.code == ERROR_THROUGHPUT_EXCEEDED);
    CHECK(f, refused_for(&error, "IndexWriteProvisionedThroughputExceeded"));
    CHECK(f, propagator_stats(propagator)->holding == 1);
    CHECK(f, propagator_stats(propagator)->waits >= 1);
    /* One that leaves the index as it is goes on; its table has capacity. */
    CHECK(f, put_item(ctx, 7, 7, 100, &error) == STATUS_OK);
    /* Over ten minutes no more than the index takes, and what it may keep is used up. */
    uint64_t until_ns = env_now_ns(ctx->env) + 600 * SECOND, later = 0;
    while (env_now_ns(ctx->env) < until_ns && f->wrong == NULL) {
        if (put_item(ctx, count + later, count + later, 0, &error) == STATUS_OK)
            later++;
        arena_reset(&ctx->arena);
        CHECK(f, context_sleep(ctx, 20000000) == STATUS_OK);
    }
    CHECK(f, later >= 2900 && later <= 3100);
    CHECK(f, context_sleep(ctx, 60 * SECOND) == STATUS_OK);
    CHECK(f, rows(f) == count + later);
    CHECK(f, propagator_stats(propagator)->holding == 0);
    CHECK(f, propagator_stats(propagator)->failures == 0);
    end(ctx, f);
}

static void large_body(struct context *ctx, struct fixture *f)
{
    struct error error;
    begin(ctx, f, 5);
    /* Batches that are cut short where the capacity ends lose nothing, nor do deletions. */
    for (uint64_t round = 0; round < 4; round++) {
        for (uint64_t key = 0; key < 600; key++) {
            while (put_item(ctx, key, key + round, 0, &error) == STATUS_THROTTLED) {
                arena_reset(&ctx->arena);
                CHECK(f, context_sleep(ctx, 100000000) == STATUS_OK);
            }
        }
    }
    CHECK(f, context_sleep(ctx, 600 * SECOND) == STATUS_OK);
    CHECK(f, rows(f) == 600);
    end(ctx, f);
}

static void lag_body(struct context *ctx, struct fixture *f)
{
    struct error error;
    begin(ctx, f, 0);
    CHECK(f, put_item(ctx, 0, 0, 0, &error) == STATUS_OK);
    CHECK(f, context_sleep(ctx, SECOND) == STATUS_OK);
    CHECK(f, rows(f) == 1);
    stuck_table = the_index(f)->id;
    uint64_t count = 1;
    for (uint64_t second = 0; second < 55; second++, count++) {
        CHECK(f, put_item(ctx, count, count, 0, &error) == STATUS_OK);
        CHECK(f, context_sleep(ctx, SECOND) == STATUS_OK);
    }
    CHECK(f, propagator_stats(propagator)->failures > 5);
    CHECK(f, context_sleep(ctx, 20 * SECOND) == STATUS_OK);
    for (uint64_t second = 0; second < 60; second++) {
        CHECK(f, put_item(ctx, count, count, 0, &error) == STATUS_THROTTLED);
        CHECK(f, error.code == ERROR_THROTTLING);
        CHECK(f, refused_for(&error, "IndexWriteKeyRangeThroughputExceeded"));
        CHECK(f, context_sleep(ctx, SECOND) == STATUS_OK);
    }
    CHECK(f, put_item(ctx, 0, 0, 50, &error) == STATUS_OK); /* not of the index */
    stuck_table = 0;
    CHECK(f, context_sleep(ctx, 8 * SECOND) == STATUS_OK); /* it tries again after 6.4 s */
    CHECK(f, rows(f) == count);
    CHECK(f, put_item(ctx, count, count, 0, &error) == STATUS_OK);
    CHECK(f, context_sleep(ctx, SECOND) == STATUS_OK);
    CHECK(f, rows(f) == count + 1);
    end(ctx, f);
}

/* Nobody is held longer than the pump says so. */
static void gone_body(struct context *ctx, struct fixture *f)
{
    struct error error;
    begin(ctx, f, 1);
    uint64_t count = put_until_refused(ctx, f, 0, &error);
    CHECK(f, refused_for(&error, "IndexWriteProvisionedThroughputExceeded"));
    propagator_close(ctx, propagator);
    propagator = NULL;
    CHECK(f, put_item(ctx, count, count, 0, &error) == STATUS_THROTTLED);
    CHECK(f, context_sleep(ctx, REPLICA_HOLD_NS) == STATUS_OK);
    CHECK(f, put_item(ctx, count, count, 0, &error) == STATUS_OK);
    /* The next one goes on where it was. */
    CHECK(f, propagator_open(ctx, router, 0, &propagator) == STATUS_OK);
    CHECK(f, context_sleep(ctx, 60 * SECOND) == STATUS_OK);
    CHECK(f, rows(f) == count + 1);
    end(ctx, f);
}

static void run_with(void (*body)(struct context *ctx, struct fixture *f))
{
    struct fixture *f = fixture_create_open(11);
    propagator = NULL;
    assert_true(fixture_run(f, body));
    fixture_close(f);
    fixture_free(f);
}

/* All pumps are to look, and none has anything to do. */
static void many_body(struct context *ctx, struct fixture *f)
{
    partitions = 100;
    begin(ctx, f, 0);
    partitions = 1;
    CHECK(f, propagator_stats(propagator)->pumps == 100);
    while (propagator_stats(propagator)->active > 0)
        CHECK(f, context_sleep(ctx, SECOND) == STATUS_OK);
    uint64_t spawned = fiber_pool_stats(ctx->env).spawned;
    propagator_clock_moved(propagator);
    CHECK(f, context_sleep(ctx, SECOND) == STATUS_OK);
    CHECK(f, fiber_pool_stats(ctx->env).spawned >= spawned + 100);
    CHECK(f, fiber_pool_stats(ctx->env).live_max_seen < 60);
    end(ctx, f);
}

static void pumps_do_not_run_inside_one_another(void **state)
{
    (void)state;
    run_with(many_body);
}

static void writes_are_refused_when_the_index_has_no_capacity(void **state)
{
    (void)state;
    run_with(capacity_body);
}

static void nothing_is_lost_where_batches_are_cut_short(void **state)
{
    (void)state;
    run_with(large_body);
}

static void an_index_is_never_far_behind(void **state)
{
    (void)state;
    run_with(lag_body);
}

static void writes_are_not_refused_for_a_pump_that_is_gone(void **state)
{
    (void)state;
    run_with(gone_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pumps_do_not_run_inside_one_another),
        cmocka_unit_test(writes_are_refused_when_the_index_has_no_capacity),
        cmocka_unit_test(nothing_is_lost_where_batches_are_cut_short),
        cmocka_unit_test(an_index_is_never_far_behind),
        cmocka_unit_test(writes_are_not_refused_for_a_pump_that_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
