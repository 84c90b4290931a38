/* What tables may spend: the maximums of on-demand tables, and what partitions are held to. */
#include "fake_service.h"

#include "router/throughput.h"

static struct value make(struct context *ctx, const char *key, size_t pad)
{
    struct buffer buffer;
    buffer_init(&buffer, ctx->env->heap, 1u << 20);
    struct value_writer w;
    value_writer_init(&w, &buffer);
    value_write_begin(&w, VALUE_M);
    value_write_name(&w, BYTES("p"));
    value_write_string(&w, bytes_of_text(key));
    if (pad > 0) {
        uint8_t *bytes = calloc(1, pad);
        value_write_name(&w, BYTES("pad"));
        value_write_binary(&w, bytes_of(bytes, pad));
        free(bytes);
    }
    value_write_end(&w);
    struct value item = VALUE_ABSENT;
    if (value_writer_finish(&w, &item) == STATUS_OK)
        item.at = arena_copy(&ctx->arena, bytes_of(item.at, item.bytes)).at;
    buffer_release(&buffer);
    return item;
}

static void create(struct context *ctx, struct fake *f, const char *name, int64_t read_max,
                   int64_t write_max)
{
    struct create_table_request request = {.name = bytes_of_text(name),
                                           .schema = {.partition = {BYTES("p"), VALUE_S}},
                                           .billing = BILLING_ON_DEMAND,
                                           .has_on_demand_maximum = true,
                                           .on_demand_read_max = read_max,
                                           .on_demand_write_max = write_max};
    fake_create_table(ctx, f, &request);
}

static enum status put(struct context *ctx, struct fake *f, const char *table, size_t pad,
                       struct error *error)
{
    struct write_request request = {
        .kind = WRITE_PUT, .table = bytes_of_text(table), .item = make(ctx, "key", pad)};
    struct write_result result;
    return router_write(ctx, f->router, &request, &result, error);
}

static enum status get(struct context *ctx, struct fake *f, const char *table, struct error *error)
{
    struct get_request request = {.table = bytes_of_text(table), .key = make(ctx, "key", 0)};
    struct get_result result;
    return router_get(ctx, f->router, &request, &result, error);
}

static uint32_t spend(struct context *ctx, struct fake *f, bool reads, struct error *error)
{
    uint32_t count = 0;
    *error = (struct error){0};
    while (count < 1000 &&
           (reads ? get(ctx, f, "held", error) : put(ctx, f, "held", 0, error)) == STATUS_OK)
        count++;
    return count;
}

/* And what time gave meanwhile. */
static bool about(uint32_t count, uint32_t expected)
{
    return count >= expected && count <= expected + 2;
}

static void maximums_body(struct context *ctx, struct fake *f)
{
    struct error error;
    create(ctx, f, "held", 20, 10);
    create(ctx, f, "free", -1, -1);
    CHECK(f, about(spend(ctx, f, false, &error), 10));
    CHECK(f, error.code == ERROR_THROTTLING);
    CHECK(f, strcmp(error.throttle_reason, "TableWriteMaxOnDemandThroughputExceeded") == 0);
    CHECK(f, bytes_equal(error.throttled, BYTES("held")));
    CHECK(f, about(spend(ctx, f, true, &error), 40)); /* eventually consistent: halves */
    CHECK(f, strcmp(error.throttle_reason, "TableReadMaxOnDemandThroughputExceeded") == 0);
    for (int i = 0; i < 100; i++)
        CHECK(f, put(ctx, f, "free", 0, &error) == STATUS_OK);
    CHECK(f, context_sleep(ctx, UINT64_C(500000000)) == STATUS_OK);
    CHECK(f, about(spend(ctx, f, false, &error), 5));
    const struct router_stats *stats = router_stats(f->router);
    CHECK(f, stats->throttled[THROTTLE_TABLE][ADMISSION_WRITE][THROTTLE_ON_DEMAND_MAXIMUM] == 2);
    CHECK(f, stats->throttled[THROTTLE_TABLE][ADMISSION_READ][THROTTLE_ON_DEMAND_MAXIMUM] == 1);
    /* A batch is told when none of it could be done. */
    struct write_request requests[2] = {
        {.kind = WRITE_PUT, .table = BYTES("held"), .item = make(ctx, "a", 0)},
        {.kind = WRITE_PUT, .table = BYTES("free"), .item = make(ctx, "a", 0)}};
    struct write_result results[2];
    bool done[2] = {false, false};
    CHECK(f, router_write_batch(ctx, f->router, requests, 1, results, done, &error) ==
                 STATUS_THROTTLED);
    CHECK(f, error.code == ERROR_THROTTLING && error.throttle_reason != NULL);
    CHECK(f, router_write_batch(ctx, f->router, requests, 2, results, done, &error) == STATUS_OK);
    CHECK(f, !done[0] && done[1]);
    /* What may have been done is not refused, though the other one is throttled. */
    done[1] = false;
    f->fail = STATUS_UNKNOWN_OUTCOME;
    CHECK(f, router_write_batch(ctx, f->router, requests, 2, results, done, &error) == STATUS_OK);
    CHECK(f, !done[0] && !done[1]);
}

static void on_demand_tables_are_held_to_their_maximums(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, maximums_body);
    fake_close(f);
}

static void change_body(struct context *ctx, struct fake *f)
{
    struct error error;
    create(ctx, f, "held", -1, 10);
    CHECK(f, about(spend(ctx, f, false, &error), 10));
    struct update_table_request update = {.name = BYTES("held"),
                                          .on_demand_maximum_given = true,
                                          .on_demand_read_max = -1,
                                          .on_demand_write_max = 30};
    CHECK(f, router_update_table(ctx, f->router, &update, &error) == STATUS_OK);
    fake_settle(ctx, f);
    CHECK(f, about(spend(ctx, f, false, &error), 30));
    update.on_demand_write_max = -1;
    CHECK(f, router_update_table(ctx, f->router, &update, &error) == STATUS_OK);
    fake_settle(ctx, f);
    CHECK(f, spend(ctx, f, false, &error) == 1000);
    /* The next table of this name begins anew. */
    update.on_demand_write_max = 10;
    CHECK(f, router_update_table(ctx, f->router, &update, &error) == STATUS_OK);
    fake_settle(ctx, f);
    CHECK(f, about(spend(ctx, f, false, &error), 10));
    CHECK(f, router_delete_table(ctx, f->router, BYTES("held"), &error) == STATUS_OK);
    CHECK(f, router_forget_table(ctx, f->router, BYTES("held")) == STATUS_OK);
    create(ctx, f, "held", -1, 10);
    CHECK(f, about(spend(ctx, f, false, &error), 10));
    /* Large ones leave a debt. */
    CHECK(f, context_sleep(ctx, UINT64_C(1000000000)) == STATUS_OK);
    CHECK(f, put(ctx, f, "held", 39 * 1024, &error) == STATUS_OK);
    CHECK(f, context_sleep(ctx, UINT64_C(2000000000)) == STATUS_OK);
    CHECK(f, put(ctx, f, "held", 0, &error) == STATUS_THROTTLED);
    CHECK(f, context_sleep(ctx, UINT64_C(2000000000)) == STATUS_OK);
    CHECK(f, put(ctx, f, "held", 0, &error) == STATUS_OK);
}

static void a_change_of_the_maximum_counts_at_once(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, change_body);
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(on_demand_tables_are_held_to_their_maximums),
        cmocka_unit_test(a_change_of_the_maximum_counts_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
