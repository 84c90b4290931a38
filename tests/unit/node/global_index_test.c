/* Rows of a global index: whatever comes late, again or in another order, each row is in the end
 * what the newest change made of it, over crashes too, and the counts say so. */
#include "unit/node/node_fixture.h"

#include "base/prng.h"
#include "model/index_row.h"
#include "node/node_private.h" /* how many rows there are beside those that are read */

#define ROWS     12u
#define VERSIONS 40u

static const struct key_schema table = {.partition = {{(const uint8_t *)"p", 1}, VALUE_S}};
static const struct index_schema schema = {
    .kind = INDEX_GLOBAL,
    .partition_count = 1,
    .partition = {{{(const uint8_t *)"g", 1}, VALUE_S}},
};

/* What the change of a version makes of a row: a put of so many bytes, or a deletion. */
struct change_of_row {
    bool is_put;
    uint32_t bytes;
    bool sent; /* once at least */
};

static struct change_of_row script[ROWS][VERSIONS + 1]; /* version 0: there is nothing */
static uint64_t newest[ROWS];                           /* that was sent */
static struct prng prng;

static struct value item_of(struct context *ctx, unsigned row, uint32_t bytes)
{
    struct buffer buffer;
    struct value_writer w;
    char name[2] = {(char)('a' + row), 0};
    uint8_t pad[512] = {0};
    buffer_init(&buffer, ctx->env->heap, 65536);
    value_writer_init(&w, &buffer);
    value_write_begin(&w, VALUE_M);
    value_write_name(&w, BYTES("p"));
    value_write_string(&w, bytes_of_text(name));
    value_write_name(&w, BYTES("g"));
    value_write_string(&w, row % 2 == 0 ? BYTES("even") : BYTES("odd"));
    value_write_name(&w, BYTES("pad"));
    value_write_binary(&w, bytes_of(pad, bytes));
    value_write_end(&w);
    struct value item = VALUE_ABSENT;
    if (value_writer_finish(&w, &item) == STATUS_OK)
        item.at = arena_copy(&ctx->arena, bytes_of(item.at, item.bytes)).at;
    buffer_release(&buffer);
    return item;
}

static void key_of(struct context *ctx, struct fixture *f, unsigned row, struct key *key)
{
    CHECK(f, index_row_key(&schema, &table, 5, item_of(ctx, row, 0), key));
}

static enum status deliver(struct context *ctx, struct fixture *f, unsigned row, uint64_t version,
                           bool purge)
{
    struct replica_target target = target_of(GROUP);
    const struct change_of_row *change = &script[row][version];
    struct write_request request = {.kind = change->is_put && !purge ? WRITE_PUT : WRITE_DELETE};
    struct write_result result;
    struct error error;
    struct key key, tombstone;
    key_of(ctx, f, row, &key);
    CHECK(f, index_row_tombstone(&tombstone, key_bytes(&key)) == STATUS_OK);
    if (request.kind == WRITE_PUT)
        request.item = item_of(ctx, row, change->bytes);
    struct replica_write write = {.key = purge ? key_bytes(&tombstone) : key_bytes(&key),
                                  .request = &request,
                                  .has_beside = true,
                                  .version = version};
    enum status status = STATUS_COUNT;
    f->service->write(ctx, f->service, &target, &write, 1, &result, &status, &error);
    return status;
}

/* The row is what the newest change made of it. */
static void check_row(struct context *ctx, struct fixture *f, unsigned row)
{
    struct replica_target target = target_of(GROUP);
    struct get_result result;
    struct key key;
    key_of(ctx, f, row, &key);
    struct replica_get get = {.key = key_bytes(&key), .consistent = true};
    CHECK(f, f->service->get(ctx, f->service, &target, &get, &result) == STATUS_OK);
    const struct change_of_row *change = &script[row][newest[row]];
    bool is = newest[row] > 0 && change->is_put;
    CHECK(f, is == (value_type(result.item) != VALUE_NONE));
    if (is)
        CHECK(f, value_equal(result.item, item_of(ctx, row, change->bytes)));
}

static void make_script(void)
{
    memset(script, 0, sizeof(script));
    memset(newest, 0, sizeof(newest));
    for (unsigned row = 0; row < ROWS; row++) {
        for (unsigned v = 1; v <= VERSIONS; v++)
            script[row][v] = (struct change_of_row){.is_put = !prng_one_in(&prng, 3),
                                                    .bytes = (uint32_t)prng_below(&prng, 300)};
    }
}

/* Any version of any row, in any order; until the machine crashes, if it does.  One that was on its
 * way then is sent again, as its sender would. */
static void deliver_body(struct context *ctx, struct fixture *f)
{
    for (unsigned i = 0; i < 120; i++) {
        unsigned row = (unsigned)prng_below(&prng, ROWS);
        uint64_t version = 1 + prng_below(&prng, VERSIONS);
        newest[row] = MAX(newest[row], version);
        CHECK(f, deliver(ctx, f, row, version, false) == STATUS_OK);
        check_row(ctx, f, row);
        arena_reset(&ctx->arena);
    }
}

static void again_body(struct context *ctx, struct fixture *f)
{
    for (unsigned row = 0; row < ROWS; row++) {
        if (newest[row] > 0)
            CHECK(f, deliver(ctx, f, row, newest[row], false) == STATUS_OK);
        check_row(ctx, f, row);
    }
}

static void sizes_body(struct context *ctx, struct fixture *f)
{
    const struct replica *replica = node_replica(f->node, GROUP);
    struct replica_size size;
    uint64_t count = 0, bytes = 0;
    while (replica->applied_slot < replica->commit_slot)
        CHECK(f, context_sleep(ctx, 1000000) == STATUS_OK);
    f->service->size(f->service, GROUP, &size);
    for (unsigned row = 0; row < ROWS; row++) {
        const struct change_of_row *change = &script[row][newest[row]];
        if (newest[row] == 0 || !change->is_put)
            continue;
        count++;
        bytes += item_size(item_of(ctx, row, change->bytes));
    }
    CHECK(f, size.items.count == count && size.items.bytes == bytes);
}

static void a_late_change_undoes_no_newer_one(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct fixture *f = fixture_create_open(seed);
        prng_init(&prng, seed);
        make_script();
        for (unsigned life = 0; life < 3; life++) {
            if (prng_one_in(&prng, 2))
                sim_node_crash_at(f->machine, SIM_CRASH_POWER, 1 + prng_below(&prng, 80));
            if (!fixture_run(f, deliver_body)) {
                fixture_crash(f, SIM_CRASH_KILL);
                fixture_open(f);
            }
            sim_node_crash_at(f->machine, SIM_CRASH_KILL, 0);
            assert_true(fixture_run(f, again_body));
            assert_true(fixture_run(f, sizes_body));
        }
        fixture_close(f);
        fixture_open(f);
        assert_true(fixture_run(f, again_body));
        assert_true(fixture_run(f, sizes_body));
        fixture_close(f);
        fixture_free(f);
    }
}

/* ---- Tombstones ---- */

static uint64_t rows_in_tree(struct context *ctx, struct fixture *f)
{
    const struct replica *replica = node_replica(f->node, GROUP);
    while (replica->applied_slot < replica->commit_slot)
        CHECK(f, context_sleep(ctx, 1000000) == STATUS_OK);
    return tree_row(replica->tree).items;
}

static void tombstone_body(struct context *ctx, struct fixture *f)
{
    script[0][3].is_put = script[0][7].is_put = true;
    script[0][5].is_put = script[0][9].is_put = false;
    CHECK(f, deliver(ctx, f, 0, 3, false) == STATUS_OK && rows_in_tree(ctx, f) == 1);
    CHECK(f, deliver(ctx, f, 0, 5, false) == STATUS_OK && rows_in_tree(ctx, f) == 1); /* for it */
    CHECK(f, deliver(ctx, f, 0, 3, false) == STATUS_OK && rows_in_tree(ctx, f) == 1);
    newest[0] = 5;
    check_row(ctx, f, 0);
    CHECK(f, deliver(ctx, f, 0, 3, true) == STATUS_OK && rows_in_tree(ctx, f) == 1); /* newer */
    CHECK(f, deliver(ctx, f, 0, 5, true) == STATUS_OK && rows_in_tree(ctx, f) == 0);
    CHECK(f, deliver(ctx, f, 0, 5, true) == STATUS_OK && rows_in_tree(ctx, f) == 0);
    /* A row that comes back takes the place of its tombstone. */
    CHECK(f, deliver(ctx, f, 0, 5, false) == STATUS_OK && rows_in_tree(ctx, f) == 1);
    CHECK(f, deliver(ctx, f, 0, 7, false) == STATUS_OK && rows_in_tree(ctx, f) == 1);
    CHECK(f, deliver(ctx, f, 0, 5, true) == STATUS_OK && rows_in_tree(ctx, f) == 1);
    CHECK(f, deliver(ctx, f, 0, 5, false) == STATUS_OK && rows_in_tree(ctx, f) == 1);
    newest[0] = 7;
    check_row(ctx, f, 0);
    /* What was never there may be deleted before it comes. */
    CHECK(f, deliver(ctx, f, 0, 9, false) == STATUS_OK);
    newest[0] = 9;
    check_row(ctx, f, 0);
}

static void a_tombstone_stays_until_it_is_purged(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(3);
    prng_init(&prng, 3);
    make_script();
    assert_true(fixture_run(f, tombstone_body));
    fixture_close(f);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_late_change_undoes_no_newer_one),
        cmocka_unit_test(a_tombstone_stays_until_it_is_purged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
