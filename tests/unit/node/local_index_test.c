/* Local indexes of a node's replica: after any writes, stops, kills and power losses each index
 * holds exactly what the items say, and so do the counts and the sizes of the item collections. */
#include "unit/node/node_fixture.h"

#include "model/index.h"

#define PARTITIONS 3u
#define ITEMS      8u /* of each partition key */
#define SEED_HASH  UINT64_C(99)

static const struct key_schema schema = {
    .partition = {{(const uint8_t *)"p", 1}, VALUE_S},
    .sort = {{(const uint8_t *)"s", 1}, VALUE_N},
};

/* What an item is: without `at` it has no row in an index. */
struct model {
    bool is, has_at;
    uint32_t at, kept, more;
};

static struct model items[PARTITIONS][ITEMS];
static uint64_t collection_bytes[PARTITIONS];
static struct index_schema indexes[3];
static uint8_t run_bytes[1024];
static struct bytes run;
static struct prng prng;

static void make_indexes(void)
{
    struct heap heap;
    struct buffer buffer;
    for (uint8_t i = 0; i < 3; i++) {
        indexes[i] = (struct index_schema){.name = BYTES("index"),
                                           .collection = (uint8_t)(i + 1),
                                           .partition_count = 1,
                                           .sort_count = 1,
                                           .projection = (enum projection)i};
        indexes[i].partition[0] = schema.partition;
        indexes[i].sort[0] = (struct key_attribute){BYTES("ik"), VALUE_N};
    }
    indexes[PROJECT_INCLUDE].non_key_count = 1;
    indexes[PROJECT_INCLUDE].non_key[0] = BYTES("kept");
    heap_init(&heap, false);
    buffer_init(&buffer, &heap, sizeof(run_bytes));
    index_encode(indexes, 3, &buffer);
    assert_false(buffer.failed);
    memcpy(run_bytes, buffer.at, buffer.count);
    run = bytes_of(run_bytes, buffer.count);
    buffer_release(&buffer);
}

static void write_number_as(struct value_writer *w, const char *name, uint64_t value)
{
    struct number number;
    number_from_u64(value, &number);
    value_write_name(w, bytes_of_text(name));
    value_write_number(w, &number);
}

/* The item of a model, or with NULL the map of its key; in the arena. */
static struct value item_of(struct context *ctx, unsigned p, unsigned s, const struct model *model)
{
    struct buffer buffer;
    struct value_writer w;
    char name[2] = {(char)('a' + p), 0};
    buffer_init(&buffer, ctx->env->heap, 65536);
    value_writer_init(&w, &buffer);
    value_write_begin(&w, VALUE_M);
    value_write_name(&w, BYTES("p"));
    value_write_string(&w, bytes_of_text(name));
    write_number_as(&w, "s", s);
    if (model != NULL && model->has_at)
        write_number_as(&w, "ik", model->at);
    if (model != NULL) {
        uint8_t pad[4096] = {0};
        write_number_as(&w, "kept", model->kept);
        value_write_name(&w, BYTES("more"));
        value_write_binary(&w, bytes_of(pad, model->more));
    }
    value_write_end(&w);
    struct value item = VALUE_ABSENT;
    if (value_writer_finish(&w, &item) == STATUS_OK)
        item.at = arena_copy(&ctx->arena, bytes_of(item.at, item.bytes)).at;
    buffer_release(&buffer);
    return item;
}

static void key_of(struct context *ctx, unsigned p, unsigned s, struct key *key)
{
    struct value partition = VALUE_ABSENT, sort = VALUE_ABSENT;
    struct value map = item_of(ctx, p, s, NULL);
    (void)value_find(map, BYTES("p"), &partition);
    (void)value_find(map, BYTES("s"), &sort);
    key_encode(key, SEED_HASH, partition, sort);
}

static enum status send_indexed(struct context *ctx, struct fixture *f, unsigned p, unsigned s,
                                const struct write_request *request, struct write_result *result,
                                struct error *error)
{
    struct replica_target target = target_of(GROUP);
    struct key key;
    key_of(ctx, p, s, &key);
    struct replica_write write = {.key = key_bytes(&key),
                                  .key_attributes = item_of(ctx, p, s, NULL),
                                  .request = request,
                                  .indexes = run,
                                  .has_beside = true,
                                  .schema = schema};
    enum status status = STATUS_COUNT;
    f->service->write(ctx, f->service, &target, &write, 1, result, &status, error);
    return status;
}

/* What a model counts, in the index of that projection or (-1) as an item. */
static uint64_t size_of(struct context *ctx, unsigned p, unsigned s, const struct model *model,
                        int projection)
{
    struct value item = item_of(ctx, p, s, model), row = item;
    struct buffer buffer;
    buffer_init(&buffer, ctx->env->heap, 65536);
    enum status status = STATUS_OK;
    if (projection >= 0)
        status = index_project(&indexes[projection], &schema, item, &buffer, &row);
    uint64_t bytes = status == STATUS_OK && value_type(row) != VALUE_NONE ? item_size(row) : 0;
    buffer_release(&buffer);
    return bytes;
}

static uint64_t collection_size_of(struct context *ctx, unsigned p)
{
    uint64_t sum = 0;
    for (unsigned s = 0; s < ITEMS; s++) {
        for (int projection = -1; items[p][s].is && projection < 3; projection++)
            sum += size_of(ctx, p, s, &items[p][s], projection);
    }
    return sum;
}

static void write_one(struct context *ctx, struct fixture *f)
{
    unsigned p = (unsigned)prng_below(&prng, PARTITIONS), s = (unsigned)prng_below(&prng, ITEMS);
    struct model *model = &items[p][s];
    struct write_request request = {.kind = WRITE_DELETE, .item = item_of(ctx, p, s, NULL)};
    struct model next = *model;
    if (prng_one_in(&prng, 4)) {
        next.is = false;
    } else if (model->is && prng_one_in(&prng, 3)) {
        bool moves = prng_one_in(&prng, 2);
        uint32_t value = (uint32_t)prng_below(&prng, 4);
        request.kind = WRITE_UPDATE;
        request.update = compile(ctx, EXPR_UPDATE, moves ? "SET ik = :v" : "SET kept = :v", value);
        if (moves) {
            next.has_at = true;
            next.at = value;
        } else {
            next.kept = value;
        }
    } else {
        next = (struct model){.is = true,
                              .has_at = !prng_one_in(&prng, 4),
                              .at = (uint32_t)prng_below(&prng, 4),
                              .kept = (uint32_t)prng_below(&prng, 3),
                              .more = (uint32_t)prng_below(&prng, 4000)};
        request.kind = WRITE_PUT;
        request.item = item_of(ctx, p, s, &next);
    }
    struct write_result result;
    struct error error;
    CHECK(f, send_indexed(ctx, f, p, s, &request, &result, &error) == STATUS_OK);
    *model = next;
    CHECK(f, result.has_collection);
    collection_bytes[p] = collection_size_of(ctx, p);
    CHECK(f, result.collection_bytes == collection_bytes[p]);
    arena_reset(&ctx->arena);
}

static void write_body(struct context *ctx, struct fixture *f)
{
    for (unsigned i = 0; i < 60; i++)
        write_one(ctx, f);
}

/* Takes what a range yields, and compares it with the models. */
struct reading {
    struct item_sink sink;
    struct context *ctx;
    struct fixture *f;
    int projection; /* of the index; -1: the items themselves */
    bool whole;     /* the items are fetched */
    unsigned count;
    uint64_t at_last, s_last;
    unsigned p_last;
};

static uint64_t number_in(struct value item, const char *name)
{
    struct value found;
    struct number number;
    int64_t n = -1;
    if (!value_find(item, bytes_of_text(name), &found))
        return UINT64_MAX;
    value_number(found, &number);
    return number_to_i64(&number, &n) == STATUS_OK ? (uint64_t)n : UINT64_MAX;
}

static enum status take(struct item_sink *sink, struct value item)
{
    struct reading *reading = CONTAINER_OF(sink, struct reading, sink);
    struct fixture *f = reading->f;
    struct value name = VALUE_ABSENT;
    (void)value_find(item, BYTES("p"), &name);
    unsigned p = (unsigned)(value_bytes(name).at[0] - 'a');
    uint64_t s = number_in(item, "s");
    CHECK(f, p < PARTITIONS && s < ITEMS && items[p][s].is);
    struct value wanted = item_of(reading->ctx, p, (unsigned)s, &items[p][s]);
    struct buffer buffer;
    buffer_init(&buffer, reading->ctx->env->heap, 65536);
    if (reading->projection >= 0 && !reading->whole)
        CHECK(f, index_project(&indexes[reading->projection], &schema, wanted, &buffer, &wanted) ==
                     STATUS_OK);
    CHECK(f, value_type(wanted) != VALUE_NONE && value_equal(wanted, item));
    buffer_release(&buffer);
    if (reading->projection >= 0) {
        uint64_t at = number_in(item, "ik");
        bool later = reading->count == 0 || p != reading->p_last || at > reading->at_last ||
                     (at == reading->at_last && s > reading->s_last);
        CHECK(f, later);
        reading->at_last = at;
        reading->s_last = s;
        reading->p_last = p;
    }
    reading->count++;
    return STATUS_OK;
}

static void check_range(struct context *ctx, struct fixture *f, int projection, bool whole,
                        unsigned expected)
{
    struct replica_target target = target_of(GROUP);
    struct reading reading = {
        .sink = {.take = take}, .ctx = ctx, .f = f, .projection = projection, .whole = whole};
    struct replica_range range = {.consistent = true,
                                  .mixed = true,
                                  .collection = (uint8_t)(projection + 1),
                                  .fetch = whole,
                                  .bytes_max = PAGE_BYTES_MAX};
    range.index_sort = indexes[0].sort[0];
    struct replica_range_result result = {0};
    CHECK(f,
          f->service->range(ctx, f->service, &target, &range, &reading.sink, &result) == STATUS_OK);
    CHECK(f, !result.more && reading.count == expected && result.scanned_count == expected);
    CHECK(f, (result.fetched_bytes > 0) == (whole && expected > 0));
}

static void check_body(struct context *ctx, struct fixture *f)
{
    unsigned count = 0, indexed = 0;
    uint64_t bytes[4] = {0};
    for (unsigned p = 0; p < PARTITIONS; p++) {
        for (unsigned s = 0; s < ITEMS; s++) {
            const struct model *model = &items[p][s];
            count += model->is;
            indexed += model->is && model->has_at;
            for (int projection = -1; model->is && projection < 3; projection++)
                bytes[projection + 1] += size_of(ctx, p, s, model, projection);
        }
    }
    check_range(ctx, f, -1, false, count);
    for (int projection = 0; projection < 3; projection++) {
        check_range(ctx, f, projection, false, indexed);
        check_range(ctx, f, projection, true, indexed);
    }
    CHECK(f, context_sleep(ctx, SECOND) == STATUS_OK); /* all is applied by then */
    check_range(ctx, f, -1, false, count);
    check_range(ctx, f, PROJECT_KEYS_ONLY, true, indexed);
    struct replica_size size;
    f->service->size(f->service, GROUP, &size);
    CHECK(f, size.items.count == count && size.items.bytes == bytes[0]);
    for (unsigned i = 0; i < 3; i++)
        CHECK(f, size.indexes[i].count == indexed && size.indexes[i].bytes == bytes[i + 1]);
    CHECK(f, size.indexes[3].count == 0);
}

static void holds_what_the_items_say(void **state)
{
    (void)state;
    make_indexes();
    for (uint64_t seed = 1; seed <= 8; seed++) {
        prng_init(&prng, seed);
        memset(items, 0, sizeof(items));
        struct fixture *f = fixture_create_open(seed);
        for (unsigned life = 0; life < 8; life++) {
            assert_true(fixture_run(f, write_body));
            fixture_restart_or_not(f, &prng);
            assert_true(fixture_run(f, check_body));
        }
        fixture_close(f);
        fixture_free(f);
    }
}

/* ---- The bound of an item collection ---- */

static void bound_body(struct context *ctx, struct fixture *f)
{
    struct write_result result;
    struct error error = {0};
    enum status status = STATUS_OK;
    struct model model = {.is = true, .has_at = true, .more = 1000};
    struct write_request request = {.kind = WRITE_PUT};
    unsigned written = 0;
    for (unsigned s = 0; s < ITEMS && status == STATUS_OK; s++) {
        request.item = item_of(ctx, 0, s, &model);
        status = send_indexed(ctx, f, 0, s, &request, &result, &error);
        written += status == STATUS_OK;
    }
    /* An item and its three rows take a little over 2,000 bytes. */
    CHECK(f, written == 4 && status == STATUS_INVALID && error.code == ERROR_COLLECTION_SIZE);
    struct write_request copy = {.kind = WRITE_UPDATE, .item = item_of(ctx, 0, 1, NULL)};
    copy.update = compile(ctx, EXPR_UPDATE, "SET kept = more, v = :v", 1);
    CHECK(f, send_indexed(ctx, f, 0, 1, &copy, &result, &error) == STATUS_INVALID);
    CHECK(f, error.code == ERROR_COLLECTION_SIZE);
    /* What does not grow it may be written, in others too; and after a removal there is room. */
    request.item = item_of(ctx, 0, 1, &model);
    CHECK(f, send_indexed(ctx, f, 0, 1, &request, &result, &error) == STATUS_OK);
    request.item = item_of(ctx, 1, 1, &model);
    CHECK(f, send_indexed(ctx, f, 1, 1, &request, &result, &error) == STATUS_OK);
    struct write_request removal = {.kind = WRITE_DELETE, .item = item_of(ctx, 0, 0, NULL)};
    CHECK(f, send_indexed(ctx, f, 0, 0, &removal, &result, &error) == STATUS_OK);
    request.item = item_of(ctx, 0, 7, &model);
    CHECK(f, send_indexed(ctx, f, 0, 7, &request, &result, &error) == STATUS_OK);
}

static void a_collection_does_not_outgrow_its_bound(void **state)
{
    (void)state;
    make_indexes();
    struct fixture *f = fixture_create(1);
    f->options.collection_bytes_max = 9000;
    fixture_open(f);
    assert_true(fixture_run(f, create_body));
    assert_true(fixture_run(f, bound_body));
    fixture_close(f);
    fixture_free(f);
}

/* ---- Writers side by side ---- */

#define WRITERS 6u

static unsigned writers_left;

static void writer_run(struct context *ctx, void *argument)
{
    struct fixture *f = argument;
    for (unsigned i = 0; i < 25; i++) {
        /* One collection, items of different writers: its size row is what they share. */
        unsigned s = (unsigned)prng_below(&prng, ITEMS);
        struct model model = {.is = true,
                              .has_at = prng_one_in(&prng, 2),
                              .at = (uint32_t)prng_below(&prng, 4),
                              .more = (uint32_t)prng_below(&prng, 3000)};
        struct write_request request = {.kind = WRITE_PUT, .item = item_of(ctx, 0, s, &model)};
        struct write_result result;
        struct error error;
        CHECK(f, send_indexed(ctx, f, 0, s, &request, &result, &error) == STATUS_OK);
        arena_reset(&ctx->arena);
    }
    writers_left--;
}

/* The models are what the items are, whoever wrote last. */
static enum status note(struct item_sink *sink, struct value item)
{
    (void)sink;
    struct value more = VALUE_ABSENT;
    (void)value_find(item, BYTES("more"), &more);
    struct model *model = &items[0][number_in(item, "s")];
    *model = (struct model){.is = true, .more = (uint32_t)value_bytes(more).count};
    uint64_t at = number_in(item, "ik");
    model->has_at = at != UINT64_MAX;
    model->at = model->has_at ? (uint32_t)at : 0;
    return STATUS_OK;
}

static void side_by_side_body(struct context *ctx, struct fixture *f)
{
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    writers_left = WRITERS;
    for (unsigned i = 0; i < WRITERS; i++)
        CHECK(f, fiber_spawn(ctx->env, &options, writer_run, f) == STATUS_OK);
    while (writers_left > 0)
        CHECK(f, context_sleep(ctx, SECOND / 100) == STATUS_OK);
    struct replica_target target = target_of(GROUP);
    struct item_sink sink = {.take = note};
    struct replica_range range = {.mixed = true, .consistent = true, .bytes_max = PAGE_BYTES_MAX};
    struct replica_range_result result = {0};
    struct error error;
    CHECK(f, f->service->range(ctx, f->service, &target, &range, &sink, &result) == STATUS_OK);
    struct write_request nothing = {.kind = WRITE_DELETE, .item = item_of(ctx, 0, ITEMS, NULL)};
    struct write_result written;
    CHECK(f, send_indexed(ctx, f, 0, ITEMS, &nothing, &written, &error) == STATUS_OK);
    CHECK(f, written.collection_bytes == collection_size_of(ctx, 0));
}

static void writers_of_one_collection_count_it_right(void **state)
{
    (void)state;
    make_indexes();
    for (uint64_t seed = 1; seed <= 6; seed++) {
        prng_init(&prng, seed);
        memset(items, 0, sizeof(items));
        struct fixture *f = fixture_create_open(seed);
        assert_true(fixture_run(f, side_by_side_body));
        assert_true(fixture_run(f, check_body));
        fixture_close(f);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_what_the_items_say),
        cmocka_unit_test(a_collection_does_not_outgrow_its_bound),
        cmocka_unit_test(writers_of_one_collection_count_it_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
