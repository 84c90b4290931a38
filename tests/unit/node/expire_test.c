/* Items whose time has come: whatever is written, whenever the node dies, a step deletes what has
 * expired and nothing else, and counts stay right. */
#include "unit/node/node_fixture.h"

#include "node/writing.h" /* a step is decided in this room */

#define KEYS    60u
#define LIFE    200u /* operations of one life */
#define TTL     BYTES("n")
#define FAR_S   UINT64_C(1) << 40
#define VERSION 5u

/* When each item expires; 0: never, it says 0; ABSENT: it is not there. */
#define ABSENT UINT64_MAX

static uint64_t model[KEYS];
static uint64_t now_s;
static uint64_t schema_version;
static bool noted; /* writes note when items expire */
static struct prng prng;

static struct bytes key_of(char text[16], unsigned i)
{
    return bytes_of(text, (size_t)snprintf(text, 16, "item-%05u", i));
}

static enum status send(struct context *ctx, struct fixture *f, unsigned i, uint64_t expires_s)
{
    char text[16];
    struct bytes key = key_of(text, i);
    struct write_request request = {.kind = expires_s == ABSENT ? WRITE_DELETE : WRITE_PUT,
                                    .item = make_item(ctx, key, expires_s == ABSENT ? 0 : expires_s,
                                                      (size_t)prng_below(&prng, 300))};
    struct replica_target target = {
        .group_id = GROUP, .table_id = 70, .schema_version = schema_version};
    struct replica_write write = {.key = key, .key_attributes = request.item, .request = &request};
    if (noted)
        write.ttl = TTL;
    struct write_result result;
    struct error error;
    enum status status = STATUS_COUNT;
    f->service->write(ctx, f->service, &target, &write, 1, &result, &status, &error);
    return status;
}

/* Steps until there is nothing more to look at; the items that were deleted. */
static uint64_t steps(struct context *ctx, struct fixture *f, enum expire_step step)
{
    struct replica_target target = {
        .group_id = GROUP, .table_id = 70, .schema_version = schema_version};
    struct replica_expire expire = {
        .step = step, .after_s = 1, .now_s = now_s, .limit = 1 + (uint32_t)prng_below(&prng, 20)};
    struct replica_expire_result result = {.more = true};
    uint64_t deleted = 0;
    if (step != EXPIRE_PURGE)
        expire.write.ttl = TTL;
    while (result.more) {
        CHECK(f, f->service->expire(ctx, f->service, &target, &expire, &result) == STATUS_OK);
        CHECK(f, result.looked_at <= expire.limit && result.deleted <= result.looked_at);
        deleted += result.deleted;
        expire.from = result.last_key;
    }
    return deleted;
}

/* Every item is there or not, as the model says. */
static void check_items(struct context *ctx, struct fixture *f)
{
    char text[16];
    struct replica_target target = target_of(GROUP);
    for (unsigned i = 0; i < KEYS; i++) {
        struct replica_get request = {.key = key_of(text, i), .consistent = true};
        struct get_result result;
        CHECK(f, f->service->get(ctx, f->service, &target, &request, &result) == STATUS_OK);
        bool is = value_type(result.item) != VALUE_NONE;
        CHECK(f, is == (model[i] != ABSENT));
        CHECK(f, !is || item_number(result.item) == model[i]);
    }
}

static enum status count_item(struct item_sink *sink, struct value item)
{
    (void)sink;
    (void)item;
    return STATUS_OK;
}

/* Walks see the items alone, in both directions; and when all is applied the count is that. */
static void check_counts(struct context *ctx, struct fixture *f)
{
    struct replica_target target = target_of(GROUP);
    struct item_sink sink = {.take = count_item};
    uint64_t count = 0;
    for (unsigned i = 0; i < KEYS; i++)
        count += model[i] != ABSENT;
    for (int backward = 0; backward < 2; backward++) {
        struct replica_range range = {
            .backward = backward != 0, .consistent = true, .bytes_max = PAGE_BYTES_MAX};
        struct replica_range_result result = {0};
        CHECK(f, f->service->range(ctx, f->service, &target, &range, &sink, &result) == STATUS_OK);
        CHECK(f, result.count == count && !result.more);
    }
    struct replica_size size;
    for (unsigned i = 0; i < 1000; i++) {
        f->service->size(f->service, GROUP, &size);
        if (size.items.count == count)
            break;
        CHECK(f, context_sleep(ctx, SECOND / 100) == STATUS_OK);
    }
    CHECK(f, size.items.count == count);
}

static void expire_and_check(struct context *ctx, struct fixture *f)
{
    uint64_t wanted = 0;
    for (unsigned i = 0; i < KEYS && noted; i++) {
        if (model[i] != ABSENT && model[i] > 0 && model[i] < now_s) {
            model[i] = ABSENT;
            wanted++;
        }
    }
    CHECK(f, steps(ctx, f, EXPIRE_DELETE) == wanted);
    check_items(ctx, f);
}

static void write_some(struct context *ctx, struct fixture *f)
{
    for (unsigned n = 0; n < LIFE; n++) {
        unsigned i = (unsigned)prng_below(&prng, KEYS);
        uint64_t expires_s = prng_one_in(&prng, 4)   ? ABSENT
                             : prng_one_in(&prng, 6) ? 0
                                                     : now_s + prng_below(&prng, 100);
        enum status status = send(ctx, f, i, expires_s);
        CHECK(f, status == STATUS_OK);
        model[i] = expires_s;
        if (prng_one_in(&prng, 40)) {
            now_s += prng_below(&prng, 60);
            expire_and_check(ctx, f);
        }
        if (prng_one_in(&prng, 20))
            arena_reset(&ctx->arena);
    }
}

static void live_body(struct context *ctx, struct fixture *f)
{
    write_some(ctx, f);
    expire_and_check(ctx, f);
    check_counts(ctx, f);
}

static void check_body(struct context *ctx, struct fixture *f)
{
    check_items(ctx, f);
    check_counts(ctx, f);
}

/* Items that were written before it was noted when they expire; and a writer that does not know. */
static void fill_body(struct context *ctx, struct fixture *f)
{
    schema_version = VERSION;
    uint64_t deleted = steps(ctx, f, EXPIRE_FILL);
    CHECK(f, deleted == 0);
    schema_version = VERSION - 1;
    CHECK(f, send(ctx, f, 1, now_s + 1) == STATUS_MOVED);
    schema_version = VERSION;
    noted = true;
    CHECK(f, steps(ctx, f, EXPIRE_FILL) == 0); /* it can be done twice */
    now_s += 30;
    expire_and_check(ctx, f);
    check_counts(ctx, f);
}

/* A writer that did not know the attribute yet, and whose entry is not committed. */
static bool late_ended;

static void late_run(struct context *ctx, void *argument)
{
    struct fixture *f = argument;
    CHECK(f, send(ctx, f, 0, now_s + 1) == STATUS_OK);
    late_ended = true;
}

static void late_body(struct context *ctx, struct fixture *f)
{
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    CHECK(f, send(ctx, f, 0, ABSENT) == STATUS_OK); /* brings the page */
    schema_version = VERSION - 1;
    CHECK(f, fiber_spawn(ctx->env, &options, late_run, f) == STATUS_OK);
    CHECK(f, !late_ended);
    schema_version = VERSION;
    CHECK(f, steps(ctx, f, EXPIRE_FILL) == 0);
    while (!late_ended)
        CHECK(f, context_sleep(ctx, SECOND / 1000) == STATUS_OK);
    now_s += 30;
    CHECK(f, steps(ctx, f, EXPIRE_DELETE) == 1);
}

static void what_was_on_its_way_is_noted_too(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(1);
    prng_init(&prng, 1);
    now_s = 1000;
    noted = late_ended = false;
    assert_true(fixture_run(f, late_body));
    fixture_close(f);
    fixture_free(f);
}

/* The log was full when the row was a left-over; when it is not, the item goes, as any other. */
static void again_body(struct context *ctx, struct fixture *f)
{
    static const struct write_request request = {.kind = WRITE_DELETE};
    struct replica_target target = target_of(GROUP);
    struct replica_write write = {.key = BYTES("item"), .request = &request, .ttl = TTL};
    struct write_result result;
    struct error error;
    struct key row;
    key_encode_ttl(&row, 7, write.key);
    struct writing w = {.replica = node_replica(f->node, GROUP),
                        .target = &target,
                        .write = &write,
                        .result = &result,
                        .error = &error,
                        .step = EXPIRE_DELETE,
                        .expires_s = 7,
                        .ttl_key = key_bytes(&row)};
    bool ordinary = true;
    w.old.item = make_item(ctx, write.key, 8, 0);
    CHECK(f, writing_decide_step(ctx, &w, &ordinary) == STATUS_OK && !ordinary && w.rows_only);
    w.old.item = make_item(ctx, write.key, 7, 0);
    CHECK(f, writing_decide_step(ctx, &w, &ordinary) == STATUS_OK && ordinary && !w.rows_only);
    CHECK(f, replica_wait_commit(ctx, w.replica, w.slot) == STATUS_OK);
}

static void a_step_is_decided_anew(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(2);
    assert_true(fixture_run(f, again_body));
    fixture_close(f);
    fixture_free(f);
}

/* Everything that was noted is forgotten; the items stay. */
static void purge_body(struct context *ctx, struct fixture *f)
{
    noted = false;
    schema_version++;
    CHECK(f, steps(ctx, f, EXPIRE_PURGE) == 0);
    uint64_t then_s = now_s;
    now_s = FAR_S;
    CHECK(f, steps(ctx, f, EXPIRE_DELETE) == 0);
    now_s = then_s;
    check_items(ctx, f);
    check_counts(ctx, f);
}

static void deletes_what_has_expired_and_nothing_else(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        prng_init(&prng, seed);
        now_s = 1000;
        schema_version = 1;
        noted = false;
        for (unsigned i = 0; i < KEYS; i++)
            model[i] = ABSENT;
        struct fixture *f = fixture_create_open(seed);
        assert_true(fixture_run(f, live_body)); /* nothing is noted, nothing goes */
        fixture_restart_or_not(f, &prng);
        assert_true(fixture_run(f, fill_body));
        for (unsigned life = 0; life < 5; life++) {
            fixture_restart_or_not(f, &prng);
            assert_true(fixture_run(f, check_body));
            assert_true(fixture_run(f, live_body));
        }
        assert_true(fixture_run(f, purge_body));
        fixture_restart_or_not(f, &prng);
        assert_true(fixture_run(f, check_body));
        fixture_close(f);
        fixture_free(f);
    }
}

/* ---- Beside writers ---- */

#define WRITERS 4u

static unsigned writers_left;

/* Each has items of its own, which it puts with times that are over, or not yet. */
static void writer_run(struct context *ctx, void *argument)
{
    struct fixture *f = argument;
    unsigned mine = writers_left++;
    for (unsigned n = 0; n < 60; n++) {
        unsigned i = mine + WRITERS * (unsigned)prng_below(&prng, KEYS / WRITERS);
        uint64_t expires_s =
            prng_one_in(&prng, 2) ? now_s - 1 - prng_below(&prng, 50) : now_s + 1000;
        CHECK(f, send(ctx, f, i, expires_s) == STATUS_OK);
        model[i] = expires_s;
        arena_reset(&ctx->arena);
    }
    writers_left--;
}

static void beside_writers_body(struct context *ctx, struct fixture *f)
{
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    writers_left = 0;
    for (unsigned i = 0; i < WRITERS; i++)
        CHECK(f, fiber_spawn(ctx->env, &options, writer_run, f) == STATUS_OK);
    while (writers_left > 0) {
        (void)steps(ctx, f, EXPIRE_DELETE);
        CHECK(f, context_sleep(ctx, SECOND / 1000) == STATUS_OK);
    }
    (void)steps(ctx, f, EXPIRE_DELETE);
    for (unsigned i = 0; i < KEYS; i++)
        model[i] = model[i] != ABSENT && model[i] < now_s ? ABSENT : model[i];
    check_items(ctx, f);
    check_counts(ctx, f);
}

static void sweeps_beside_writers(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        prng_init(&prng, seed);
        now_s = 5000;
        schema_version = 1;
        noted = true;
        for (unsigned i = 0; i < KEYS; i++)
            model[i] = ABSENT;
        struct fixture *f = fixture_create_open(seed);
        assert_true(fixture_run(f, beside_writers_body));
        fixture_close(f);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deletes_what_has_expired_and_nothing_else),
        cmocka_unit_test(sweeps_beside_writers),
        cmocka_unit_test(what_was_on_its_way_is_noted_too),
        cmocka_unit_test(a_step_is_decided_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
