/* What a replica is held to, as time goes by: reads, writes and ranges share one account each. */
#include "unit/node/node_fixture.h"

#define K(n) bytes_of(&"abcdefghijklmnop"[n], 1)

static struct replica_target held(uint64_t read_units, uint64_t write_units)
{
    struct replica_target target = target_of(GROUP);
    target.rates[ADMISSION_READ] = partition_rate_of(ADMISSION_READ, read_units, 1);
    target.rates[ADMISSION_WRITE] = partition_rate_of(ADMISSION_WRITE, write_units, 1);
    return target;
}

static enum status put_held(struct context *ctx, struct fixture *f, uint64_t units,
                            struct bytes key, size_t pad)
{
    struct replica_target target = held(units, units);
    struct write_request request = {.kind = WRITE_PUT, .item = make_item(ctx, key, 1, pad)};
    struct replica_write write = {.key = key, .key_attributes = request.item, .request = &request};
    struct write_result result = {0};
    struct error error;
    enum status status = STATUS_COUNT;
    f->service->write(ctx, f->service, &target, &write, 1, &result, &status, &error);
    return status;
}

static enum status get_held(struct context *ctx, struct fixture *f, uint64_t units,
                            struct bytes key, bool consistent)
{
    struct replica_target target = held(units, units);
    struct replica_get get = {.key = key, .consistent = consistent};
    struct get_result result;
    return f->service->get(ctx, f->service, &target, &get, &result);
}

static enum status take(struct item_sink *sink, struct value item)
{
    (void)sink;
    (void)item;
    return STATUS_OK;
}

static enum status range_held(struct context *ctx, struct fixture *f, uint64_t units)
{
    struct replica_target target = held(units, units);
    struct replica_range range = {.consistent = true, .bytes_max = PAGE_BYTES_MAX};
    struct replica_range_result result = {0};
    struct item_sink sink = {.take = take};
    return f->service->range(ctx, f->service, &target, &range, &sink, &result);
}

/* How often `call` succeeds before it is throttled. */
#define COUNT(count, call)                                                                         \
    do {                                                                                           \
        enum status status_ = STATUS_OK;                                                           \
        for ((count) = 0; (count) < 5000; (count)++) {                                             \
            status_ = (call);                                                                      \
            if (status_ != STATUS_OK)                                                              \
                break;                                                                             \
        }                                                                                          \
        CHECK(f, status_ == STATUS_THROTTLED);                                                     \
    } while (0)

static void wait_seconds(struct context *ctx, struct fixture *f, uint64_t seconds)
{
    CHECK(f, context_sleep(ctx, seconds * SECOND) == STATUS_OK);
}

static void writes_body(struct context *ctx, struct fixture *f)
{
    int count;
    COUNT(count, put_held(ctx, f, 2, K(0), 10 * 1024)); /* 11 units of 600, and what time gives */
    CHECK(f, count >= 55 && count <= 60);
    wait_seconds(ctx, f, 100); /* 200 units, less the debt */
    COUNT(count, put_held(ctx, f, 2, K(1), 10 * 1024));
    CHECK(f, count >= 17 && count <= 20);
    CHECK(f, get_held(ctx, f, 2, K(0), true) == STATUS_OK); /* another account */
}

static void writes_are_held_to_the_share(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(1);
    assert_true(fixture_run(f, writes_body));
    fixture_close(f);
    fixture_free(f);
}

static void reads_body(struct context *ctx, struct fixture *f)
{
    int count;
    CHECK(f, put(ctx, f, GROUP, K(0), 1, 38 * 1024) == STATUS_OK);
    COUNT(count, get_held(ctx, f, 1, K(0), true)); /* 10 units of 300 */
    CHECK(f, count >= 30 && count <= 32);
    wait_seconds(ctx, f, 1000);
    COUNT(count, get_held(ctx, f, 1, K(0), false)); /* 5 units */
    CHECK(f, count >= 60 && count <= 62);
    wait_seconds(ctx, f, 1000);
    COUNT(count, get_held(ctx, f, 1, K(1), true)); /* what is not there costs one */
    CHECK(f, count >= 300 && count <= 302);
    wait_seconds(ctx, f, 1000);
    COUNT(count, range_held(ctx, f, 1));
    CHECK(f, count >= 30 && count <= 32);
}

static void reads_and_ranges_are_held_to_the_share(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(2);
    assert_true(fixture_run(f, reads_body));
    fixture_close(f);
    fixture_free(f);
}

static void refused_body(struct context *ctx, struct fixture *f)
{
    struct replica_target target = held(1, 1);
    struct write_result result = {0};
    struct error error;
    enum status status = STATUS_OK;
    CHECK(f, put(ctx, f, GROUP, K(0), 1, 100 * 1024) == STATUS_OK);
    struct write_request request = {.kind = WRITE_PUT, .item = make_item(ctx, K(0), 2, 0)};
    request.condition = compile(ctx, EXPR_CONDITION, "n = :v", 7);
    struct replica_write write = {.key = K(0), .key_attributes = request.item, .request = &request};
    int count;
    for (count = 0; count < 10; count++) {
        f->service->write(ctx, f->service, &target, &write, 1, &result, &status, &error);
        if (status == STATUS_THROTTLED)
            break;
        CHECK(f, status == STATUS_CONDITION_FAILED);
    }
    CHECK(f, count == 3); /* 101 units of 300 */
    struct node_tokens levels = node_tokens(f->node);
    CHECK(f, levels.partition_least[ADMISSION_WRITE] <= 0);
    CHECK(f, levels.partition_least[ADMISSION_READ] == INT64_MAX); /* nobody has read */
    CHECK(f, levels.node[ADMISSION_WRITE] > 0);
}

static void a_failed_condition_costs_by_the_item(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(3);
    assert_true(fixture_run(f, refused_body));
    fixture_close(f);
    fixture_free(f);
}

static void many_body(struct context *ctx, struct fixture *f)
{
    struct replica_target target = held(1, 1);
    struct write_request request = {.kind = WRITE_PUT, .item = make_item(ctx, K(0), 1, 100 * 1024)};
    struct replica_write writes[8];
    struct write_result results[8] = {0};
    struct error errors[8];
    enum status statuses[8];
    for (int i = 0; i < 8; i++)
        writes[i] = (struct replica_write){
            .key = K(i), .key_attributes = request.item, .request = &request};
    f->service->write(ctx, f->service, &target, writes, 8, results, statuses, errors);
    for (int i = 0; i < 8; i++)
        CHECK(f, statuses[i] == (i < 3 ? STATUS_OK : STATUS_THROTTLED));
    uint64_t number;
    CHECK(f, get(ctx, f, GROUP, K(2), &number) == STATUS_OK && number == 1);
    CHECK(f, get(ctx, f, GROUP, K(3), &number) == STATUS_OK && number == 0);
}

static void a_batch_is_executed_as_far_as_it_goes(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(4);
    assert_true(fixture_run(f, many_body));
    fixture_close(f);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_are_held_to_the_share),
        cmocka_unit_test(reads_and_ranges_are_held_to_the_share),
        cmocka_unit_test(a_failed_condition_costs_by_the_item),
        cmocka_unit_test(a_batch_is_executed_as_far_as_it_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
