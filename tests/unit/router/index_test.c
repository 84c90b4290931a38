/* Local indexes in the router: which keys a condition asks for, against the condition itself; when
 * items are fetched; what goes with a write. */
#include "fake_service.h"

#include "base/prng.h"

#define CONTENT_MAX 12u

static struct index_schema index_of(enum projection projection)
{
    struct index_schema index = {.name = BYTES("by-at"),
                                 .collection = 1,
                                 .partition_count = 1,
                                 .sort_count = 1,
                                 .projection = projection};
    index.partition[0] = (struct key_attribute){BYTES("p"), VALUE_S};
    index.sort[0] = (struct key_attribute){BYTES("ik"), VALUE_B};
    return index;
}

static void make_table(struct context *ctx, struct fake *f, enum projection projection)
{
    struct index_schema index = index_of(projection);
    struct create_table_request create = {
        .name = BYTES("items"),
        .schema = {.partition = {BYTES("p"), VALUE_S}, .sort = {BYTES("s"), VALUE_S}},
        .indexes = &index,
        .index_count = 1,
        .billing = BILLING_ON_DEMAND};
    fake_create_table(ctx, f, &create);
}

/* {p: "a", s: "x", ik: content}, or with `is_values` {":p": "a", ":l": content, ":h": high}. */
static struct value make(struct context *ctx, bool is_values, struct bytes content,
                         struct bytes high)
{
    struct buffer buffer;
    struct value_writer w;
    buffer_init(&buffer, ctx->env->heap, 4096);
    value_writer_init(&w, &buffer);
    value_write_begin(&w, VALUE_M);
    value_write_name(&w, is_values ? BYTES(":p") : BYTES("p"));
    value_write_string(&w, BYTES("a"));
    if (!is_values) {
        value_write_name(&w, BYTES("s"));
        value_write_string(&w, BYTES("x"));
    }
    value_write_name(&w, is_values ? BYTES(":l") : BYTES("ik"));
    value_write_binary(&w, content);
    if (is_values) {
        value_write_name(&w, BYTES(":h"));
        value_write_binary(&w, high);
    }
    value_write_end(&w);
    struct value made = VALUE_ABSENT;
    if (value_writer_finish(&w, &made) == STATUS_OK)
        made.at = arena_copy(&ctx->arena, bytes_of(made.at, made.bytes)).at;
    buffer_release(&buffer);
    return made;
}

static struct expr_program compile(struct context *ctx, struct fake *f, enum expr_kind kind,
                                   const char *text, struct value values)
{
    struct expr_scope scope = {
        .arena = &ctx->arena, .values_given = value_type(values) != VALUE_NONE, .values = values};
    struct expr_program program = {0};
    struct expr_fault fault;
    CHECK(f, expr_scope_init(&scope, &ctx->arena, &fault) == STATUS_OK);
    CHECK(f, expr_compile(&scope, kind, bytes_of_text(text), &program, &fault) == STATUS_OK);
    return program;
}

static enum status take(struct item_sink *sink, struct value item)
{
    (void)sink;
    (void)item;
    return STATUS_OK;
}

static void ask(struct context *ctx, struct fake *f, const struct range_request *request)
{
    struct item_sink sink = {.take = take};
    struct range_result result;
    struct error error;
    CHECK(f, router_range(ctx, f->router, request, &sink, &result, &error) == STATUS_OK);
}

static bool holds(unsigned condition, struct bytes content, struct bytes low, struct bytes high)
{
    int to_low = bytes_compare(content, low), to_high = bytes_compare(content, high);
    switch (condition) {
    case 0:
        return to_low == 0;
    case 1:
        return to_low < 0;
    case 2:
        return to_low <= 0;
    case 3:
        return to_low > 0;
    case 4:
        return to_low >= 0;
    case 5:
        return to_low >= 0 && to_high <= 0;
    default:
        return bytes_start_with(content, low);
    }
}

static struct bytes random_content(struct prng *prng, uint8_t *to)
{
    static const uint8_t choices[] = {0, 1, 8, 9, 0xfe, 0xff};
    size_t count = 1 + prng_below(prng, CONTENT_MAX);
    for (size_t i = 0; i < count; i++)
        to[i] = choices[prng_below(prng, ARRAY_COUNT(choices))];
    if (prng_one_in(prng, 2))
        memset(to, prng_one_in(prng, 2) ? 0 : 0xff, count);
    return bytes_of(to, count);
}

/* The rows that a range has are those whose sort keys the condition holds for. */
static void conditions_body(struct context *ctx, struct fake *f)
{
    static const char *const conditions[] = {"p = :p AND ik = :l",
                                             "p = :p AND ik < :l",
                                             "p = :p AND ik <= :l",
                                             "p = :p AND ik > :l",
                                             "p = :p AND ik >= :l",
                                             "p = :p AND ik BETWEEN :l AND :h",
                                             "p = :p AND begins_with(ik, :l)"};
    struct prng prng;
    prng_init(&prng, 4);
    make_table(ctx, f, PROJECT_ALL);
    for (unsigned i = 0; i < 3000 && f->wrong == NULL; i++) {
        uint8_t bytes[3][CONTENT_MAX] = {{0}};
        struct bytes low = random_content(&prng, bytes[0]), high = random_content(&prng, bytes[1]);
        struct bytes content = random_content(&prng, bytes[2]);
        if (prng_one_in(&prng, 3)) { /* near the bound */
            memcpy(bytes[2], low.at, low.count);
            content = bytes_of(bytes[2], 1 + prng_below(&prng, CONTENT_MAX)); /* or beyond */
        }
        unsigned c = (unsigned)prng_below(&prng, ARRAY_COUNT(conditions));
        if (c == 5 && bytes_compare(low, high) > 0)
            continue;
        struct value values = make(ctx, true, low, high);
        struct range_request request = {
            .kind = RANGE_QUERY, .table = BYTES("items"), .index = BYTES("by-at")};
        request.key_condition = compile(ctx, f, EXPR_KEY_CONDITION, conditions[c], values);
        ask(ctx, f, &request);
        CHECK(f, f->range.collection == 1 && !f->range.mixed && !f->range.fetch);

        const struct table *table;
        struct error error;
        struct value item = make(ctx, false, content, content);
        struct value p = VALUE_ABSENT, s = VALUE_ABSENT, ik = VALUE_ABSENT;
        struct key key, row;
        CHECK(f, router_table(f->router, BYTES("items"), &table, &error) == STATUS_OK);
        CHECK(f, value_find(item, BYTES("p"), &p) && value_find(item, BYTES("s"), &s) &&
                     value_find(item, BYTES("ik"), &ik));
        key_encode(&key, table->hash_seed, p, s);
        CHECK(f, key_encode_index(&row, key_bytes(&key), 1, ik) == STATUS_OK);
        bool within =
            bytes_compare(key_bytes(&row), f->range.low) >= 0 &&
            (f->range.high.count == 0 || bytes_compare(key_bytes(&row), f->range.high) < 0);
        CHECK(f, within == holds(c, content, low, high));
        arena_reset(&ctx->arena);
    }
}

static void a_range_has_what_the_condition_holds_for(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, conditions_body);
    fake_close(f);
}

/* An index may come while a scan goes over the partitions, and leave rows of its own. */
static void scan_body(struct context *ctx, struct fake *f)
{
    struct create_table_request create = {.name = BYTES("plain"),
                                          .schema = {.partition = {BYTES("p"), VALUE_S}},
                                          .billing = BILLING_ON_DEMAND};
    struct range_request scan = {.kind = RANGE_SCAN, .table = create.name};
    fake_create_table(ctx, f, &create);
    ask(ctx, f, &scan);
    CHECK(f, f->range.mixed && f->range.collection == KEY_COLLECTION_ITEM);
}

static void a_scan_passes_over_what_is_no_item(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, scan_body);
    fake_close(f);
}

static void fetches_body(struct context *ctx, struct fake *f)
{
    make_table(ctx, f, PROJECT_KEYS_ONLY);
    struct value values = make(ctx, true, BYTES("x"), BYTES("y"));
    struct range_request scan = {
        .kind = RANGE_SCAN, .table = BYTES("items"), .index = BYTES("by-at")};
    ask(ctx, f, &scan);
    CHECK(f, f->range.mixed && !f->range.fetch && f->range.collection == 1);
    scan.all_attributes = true;
    ask(ctx, f, &scan);
    CHECK(f, f->range.fetch && bytes_equal(f->range.index_sort.name, BYTES("ik")));
    scan.all_attributes = false;
    scan.projection = compile(ctx, f, EXPR_PROJECTION, "p, s, ik", VALUE_ABSENT);
    ask(ctx, f, &scan);
    CHECK(f, !f->range.fetch);
    scan.filter = compile(ctx, f, EXPR_FILTER, "more = :l", values);
    ask(ctx, f, &scan);
    CHECK(f, f->range.fetch);
    scan.index = (struct bytes){0};
    ask(ctx, f, &scan);
    CHECK(f, f->range.mixed && !f->range.fetch && f->range.collection == KEY_COLLECTION_ITEM);
    scan.index = BYTES("by");
    struct item_sink sink = {.take = take};
    struct range_result result;
    struct error error;
    CHECK(f, router_range(ctx, f->router, &scan, &sink, &result, &error) == STATUS_INVALID);
    CHECK(f, bytes_equal(error.message, BYTES("The table does not have the specified index: by")));
}

static void items_are_fetched_for_what_the_index_lacks(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, fetches_body);
    fake_close(f);
}

static void writes_body(struct context *ctx, struct fake *f)
{
    make_table(ctx, f, PROJECT_ALL);
    struct write_request put = {.kind = WRITE_PUT,
                                .table = BYTES("items"),
                                .item = make(ctx, false, BYTES("x"), BYTES(""))};
    struct write_result result;
    struct error error;
    const struct table *table;
    CHECK(f, router_write(ctx, f->router, &put, &result, &error) == STATUS_OK);
    CHECK(f, router_table(f->router, BYTES("items"), &table, &error) == STATUS_OK);
    CHECK(f, bytes_equal(f->write.indexes, table->index_run));
    CHECK(f, bytes_equal(f->write.schema.sort.name, BYTES("s")));
    uint32_t references = table->references;
    bool done = false;
    f->write = (struct replica_write){0};
    CHECK(f, router_write_batch(ctx, f->router, &put, 1, &result, &done, &error) == STATUS_OK);
    CHECK(f, done && bytes_equal(f->write.indexes, table->index_run));
    CHECK(f, table->references == references);
    put.item = make(ctx, false, BYTES(""), BYTES(""));
    CHECK(f, router_write(ctx, f->router, &put, &result, &error) == STATUS_INVALID);
    CHECK(f, router_check_writes(ctx, f->router, &put, 1, &error) == STATUS_INVALID);
}

static void a_write_takes_the_indexes_with_it(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, writes_body);
    fake_close(f);
}

/* The first of two writes is of a collection that is full: the other is executed, the client hears
 * of the fault and not that it may try again. */
static void full_body(struct context *ctx, struct fake *f)
{
    make_table(ctx, f, PROJECT_ALL);
    struct create_table_request other = {
        .name = BYTES("other"),
        .schema = {.partition = {BYTES("p"), VALUE_S}, .sort = {BYTES("s"), VALUE_S}},
        .billing = BILLING_ON_DEMAND};
    fake_create_table(ctx, f, &other);
    struct write_request puts[2];
    for (unsigned i = 0; i < 2; i++)
        puts[i] = (struct write_request){.kind = WRITE_PUT,
                                         .table = i == 0 ? BYTES("items") : BYTES("other"),
                                         .item = make(ctx, false, BYTES("x"), BYTES(""))};
    struct write_result results[2];
    bool done[2] = {0};
    const struct table *table;
    struct error error;
    struct key key;
    CHECK(f, router_table(f->router, BYTES("items"), &table, &error) == STATUS_OK);
    struct value p = VALUE_ABSENT, s = VALUE_ABSENT;
    CHECK(f, value_find(puts[0].item, BYTES("p"), &p) && value_find(puts[0].item, BYTES("s"), &s));
    key_encode(&key, table->hash_seed, p, s);
    f->fail = STATUS_INVALID;
    f->fail_group = table_partition(table, key_bytes(&key))->group_id;
    CHECK(f, router_write_batch(ctx, f->router, puts, 2, results, done, &error) == STATUS_INVALID);
    CHECK(f, error.code == ERROR_COLLECTION_SIZE && !done[0] && done[1]);
}

static void a_batch_says_that_a_collection_is_full(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, full_body);
    fake_close(f);
}

static void gone_body(struct context *ctx, struct fake *f)
{
    struct index_schema index = {.kind = INDEX_GLOBAL, .name = BYTES("by-k"), .partition_count = 1};
    struct index_throughput throughput = {.on_demand_read_max = -1, .on_demand_write_max = -1};
    index.partition[0] = (struct key_attribute){BYTES("ik"), VALUE_B};
    struct create_table_request create = {
        .name = BYTES("items"),
        .schema = {.partition = {BYTES("p"), VALUE_S}, .sort = {BYTES("s"), VALUE_S}},
        .indexes = &index,
        .index_count = 1,
        .globals = &throughput,
        .global_count = 1,
        .billing = BILLING_ON_DEMAND};
    fake_create_table(ctx, f, &create);
    const struct table *table;
    struct error error;
    CHECK(f, router_describe_table(ctx, f->router, create.name, &table, &error) == STATUS_OK);
    const struct table_index *global = &table->globals[0];
    for (uint32_t i = 0; i < global->partition_count; i++)
        CHECK(f, f->service.remove_replica(ctx, &f->service, global->partitions[i].group_id) ==
                     STATUS_OK);
    struct range_request scan = {.kind = RANGE_SCAN, .table = create.name, .index = index.name};
    struct item_sink sink = {.take = take};
    struct range_result result;
    CHECK(f, router_range(ctx, f->router, &scan, &sink, &result, &error) == STATUS_INVALID);
    CHECK(f, error.code == ERROR_VALIDATION &&
                 bytes_equal(error.message,
                             BYTES("The table does not have the specified index: by-k")));
}

static void an_index_that_goes_while_it_is_read_is_not_there(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, gone_body);
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_has_what_the_condition_holds_for),
        cmocka_unit_test(a_scan_passes_over_what_is_no_item),
        cmocka_unit_test(items_are_fetched_for_what_the_index_lacks),
        cmocka_unit_test(a_write_takes_the_indexes_with_it),
        cmocka_unit_test(a_batch_says_that_a_collection_is_full),
        cmocka_unit_test(an_index_that_goes_while_it_is_read_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
