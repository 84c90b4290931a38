/* Writes that are refused because a global index of the table is behind, and what goes on. */
#include "unit/node/node_fixture.h"

#define CONSUMER 7u

static const struct key_schema table = {.partition = {{(const uint8_t *)"k", 1}, VALUE_S}};
static const struct index_schema by_number = {
    .name = {(const uint8_t *)"by-n", 4},
    .kind = INDEX_GLOBAL,
    .partition_count = 1,
    .partition = {{{(const uint8_t *)"n", 1}, VALUE_N}},
};
static const uint8_t key[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 'a', 0};

static struct replica_write write_of(struct context *ctx, const struct write_request *request)
{
    struct buffer buffer;
    buffer_init(&buffer, ctx->env->heap, 1024);
    index_encode(&by_number, 1, &buffer);
    struct replica_write write = {.key = bytes_of(key, sizeof(key)),
                                  .request = request,
                                  .indexes = arena_copy(&ctx->arena, buffer_bytes(&buffer)),
                                  .schema = table};
    buffer_release(&buffer);
    return write;
}

static enum status hold(struct context *ctx, struct fixture *f, bool ends)
{
    struct replica_target target = target_of(GROUP);
    struct replica_hold wanted = {
        .consumer = CONSUMER, .ends = ends, .index = by_number.name, .limit = THROTTLE_KEY_RANGE};
    return f->service->hold_writes(ctx, f->service, &target, &wanted);
}

static enum status put_number(struct context *ctx, struct fixture *f, uint64_t number)
{
    struct replica_target target = target_of(GROUP);
    struct write_request request = {.kind = WRITE_PUT,
                                    .item = make_item(ctx, BYTES("a"), number, 0)};
    struct replica_write write = write_of(ctx, &request);
    struct write_result result;
    struct error error = {0};
    enum status status;
    f->service->write(ctx, f->service, &target, &write, 1, &result, &status, &error);
    CHECK(f, (status == STATUS_THROTTLED) == (result.held_for.count > 0));
    return status;
}

/* A transaction that was prepared before is carried out: by who knows nothing but its items' keys.
 * One that comes later is refused as a write is. */
static void transaction_body(struct context *ctx, struct fixture *f)
{
    struct replica_target target = target_of(GROUP);
    struct txn_id id = {{1}};
    struct replica_txn txn = {id, env_wall_ns(ctx->env) + SECOND};
    struct write_request request = {.kind = WRITE_PUT, .item = make_item(ctx, BYTES("a"), 2, 0)};
    struct replica_write write = write_of(ctx, &request), told = write_of(ctx, NULL);
    struct write_result result;
    struct error error = {0};
    enum status status;
    uint64_t seen, number;
    CHECK(f, put_number(ctx, f, 1) == STATUS_OK);
    CHECK(f, hold(ctx, f, false) == STATUS_NOT_FOUND);
    CHECK(f, f->service->set_mark(ctx, f->service, &target, CONSUMER, 0) == STATUS_OK);
    CHECK(f, f->service->prepare(ctx, f->service, &target, &txn, &write, 1, &result, &status,
                                 &error, &seen) == STATUS_OK);
    CHECK(f, status == STATUS_OK);
    CHECK(f, hold(ctx, f, false) == STATUS_OK);
    CHECK(f, f->service->commit(ctx, f->service, &target, id, &told, 1) == STATUS_OK);
    CHECK(f, get(ctx, f, GROUP, write.key, &number) == STATUS_OK && number == 2);

    CHECK(f, put_number(ctx, f, 3) == STATUS_THROTTLED);
    CHECK(f, put_number(ctx, f, 2) == STATUS_OK); /* the index stays as it is */
    txn.id.at[0] = 2;
    txn.timestamp += SECOND;
    request.item = make_item(ctx, BYTES("a"), 4, 0);
    CHECK(f, f->service->prepare(ctx, f->service, &target, &txn, &write, 1, &result, &status,
                                 &error, &seen) == STATUS_OK);
    CHECK(f, status == STATUS_THROTTLED && bytes_equal(result.held_for, by_number.name));
    CHECK(f, hold(ctx, f, true) == STATUS_OK);
    CHECK(f, put_number(ctx, f, 3) == STATUS_OK);
}

static void what_was_prepared_is_carried_out(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(3);
    assert_true(fixture_run(f, transaction_body));
    fixture_close(f);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_prepared_is_carried_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
