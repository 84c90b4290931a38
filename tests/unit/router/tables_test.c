/* The catalog through the system table: two at once, unknown outcomes, bounds, restarts, keys,
 * batches. */
#include "fake_service.h"

static struct value make_key(struct context *ctx, unsigned number, const char *extra)
{
    char text[16];
    struct buffer buffer;
    buffer_init(&buffer, ctx->env->heap, 4096);
    struct value_writer w;
    value_writer_init(&w, &buffer);
    value_write_begin(&w, VALUE_M);
    snprintf(text, sizeof(text), "k%u", number);
    value_write_name(&w, BYTES("p"));
    value_write_string(&w, bytes_of_text(text));
    if (extra != NULL) {
        value_write_name(&w, bytes_of_text(extra));
        value_write_bool(&w, true);
    }
    value_write_end(&w);
    struct value item = VALUE_ABSENT;
    if (value_writer_finish(&w, &item) == STATUS_OK)
        item.at = arena_copy(&ctx->arena, bytes_of(item.at, item.bytes)).at;
    buffer_release(&buffer);
    return item;
}

static enum status create(struct context *ctx, struct fake *f, const char *name,
                          struct error *error)
{
    struct create_table_request request = {.name = bytes_of_text(name),
                                           .schema = {.partition = {BYTES("p"), VALUE_S}},
                                           .billing = BILLING_ON_DEMAND};
    return router_create_table(ctx, f->router, &request, error);
}

static const struct table *describe(struct context *ctx, struct fake *f, const char *name)
{
    const struct table *table = NULL;
    struct error error;
    if (router_describe_table(ctx, f->router, bytes_of_text(name), &table, &error) != STATUS_OK)
        return NULL;
    return table;
}

static bool has_status(struct context *ctx, struct fake *f, const char *name,
                       enum table_status status)
{
    const struct table *table = describe(ctx, f, name);
    return table != NULL && table->status == status;
}

/* ---- A stream of a table in the making ---- */

static enum status changes_status;

static enum status refused_changes(struct context *ctx, struct replica_service *service,
                                   const struct replica_target *target,
                                   const struct replica_changes *read, struct change_sink *sink,
                                   struct replica_changes_result *result)
{
    (void)ctx;
    (void)service;
    (void)target;
    (void)read;
    (void)sink;
    (void)result;
    return changes_status;
}

static enum status read_stream(struct context *ctx, struct fake *f, enum status answered)
{
    const struct table *table = describe(ctx, f, "t");
    struct replica_changes read = {.stream = 1, .none = true};
    struct replica_changes_result result;
    struct error error;
    changes_status = answered;
    return router_read_stream(ctx, f->router, table, &table->partitions[0], &read, NULL, &result,
                              &error);
}

static void stream_body(struct context *ctx, struct fake *f)
{
    struct error error;
    f->service.changes = refused_changes;
    CHECK(f, create(ctx, f, "t", &error) == STATUS_OK);
    CHECK(f, read_stream(ctx, f, STATUS_MOVED) == STATUS_OK);
    CHECK(f, read_stream(ctx, f, STATUS_UNAVAILABLE) == STATUS_OK); /* it starts */
    CHECK(f, read_stream(ctx, f, STATUS_CORRUPT) == STATUS_CORRUPT);
    fake_settle(ctx, f);
    CHECK(f, read_stream(ctx, f, STATUS_MOVED) == STATUS_MOVED);
    CHECK(f, read_stream(ctx, f, STATUS_UNAVAILABLE) == STATUS_UNAVAILABLE);
}

static void a_stream_of_a_table_in_the_making_is_empty(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, stream_body);
    fake_close(f);
}

/* ---- One after the other ---- */

static void life_body(struct context *ctx, struct fake *f)
{
    struct error error;
    const struct table *table;
    CHECK(f, create(ctx, f, "t", &error) == STATUS_OK);
    CHECK(f, has_status(ctx, f, "t", TABLE_CREATING) && f->tables_changed == 1);
    CHECK(f, router_table(f->router, BYTES("t"), &table, &error) == STATUS_INVALID);
    CHECK(f, error.code == ERROR_RESOURCE_NOT_FOUND);
    CHECK(f, create(ctx, f, "t", &error) == STATUS_INVALID);
    CHECK(f, error.code == ERROR_RESOURCE_IN_USE);
    CHECK(f, router_delete_table(ctx, f->router, BYTES("t"), &error) == STATUS_INVALID);
    CHECK(f, error.code == ERROR_RESOURCE_IN_USE);
    fake_settle(ctx, f);
    CHECK(f, router_table(f->router, BYTES("t"), &table, &error) == STATUS_OK);
    CHECK(f, table->partition_count == 5 && f->group_count == 6);
    uint64_t id = table->id, last_group = table->partitions[4].group_id;
    CHECK(f, router_delete_table(ctx, f->router, BYTES("t"), &error) == STATUS_OK);
    CHECK(f, create(ctx, f, "t", &error) == STATUS_INVALID);
    fake_settle(ctx, f);
    CHECK(f, describe(ctx, f, "t") == NULL && f->group_count == 1);
    CHECK(f, create(ctx, f, "t", &error) == STATUS_OK); /* of the same name, with ids of its own */
    table = describe(ctx, f, "t");
    CHECK(f, table->id > id && table->partitions[0].group_id > last_group);
    fake_settle(ctx, f);
    router_close(f->router);
    fake_open_router(ctx, f); /* what the system table holds */
    CHECK(f, has_status(ctx, f, "t", TABLE_ACTIVE));
}

static void a_table_lives_and_its_name_is_used_again(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, life_body);
    fake_close(f);
}

/* ---- At once ---- */

#define FLOWS 12u

struct flow {
    struct fake *f;
    uint32_t id;
    enum status status;
    struct error error;
    uint32_t *running;
};

static void run_flows(struct context *ctx, struct fake *f, struct flow *flows,
                      void (*run)(struct context *, void *))
{
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    uint32_t running = FLOWS;
    for (uint32_t i = 0; i < FLOWS; i++) {
        flows[i] = (struct flow){.f = f, .id = i, .running = &running};
        CHECK(f, fiber_spawn(ctx->env, &options, run, &flows[i]) == STATUS_OK);
    }
    for (int turns = 0; running > 0 && turns < 10000; turns++)
        context_yield(ctx);
    CHECK(f, running == 0);
}

static void create_run(struct context *ctx, void *argument)
{
    struct flow *flow = argument;
    flow->status = create(ctx, flow->f, flow->id % 2 == 0 ? "one" : "two", &flow->error);
    (*flow->running)--;
}

static void tag_run(struct context *ctx, void *argument)
{
    struct flow *flow = argument;
    char key[16];
    snprintf(key, sizeof(key), "tag%u", flow->id % 6);
    struct tag tag = {.key = bytes_of_text(key), .value = BYTES("v")};
    flow->status = router_tag_table(ctx, flow->f->router, BYTES("one"), &tag, 1, &flow->error);
    (*flow->running)--;
}

static void delete_run(struct context *ctx, void *argument)
{
    struct flow *flow = argument;
    flow->status = router_delete_table(ctx, flow->f->router, BYTES("two"), &flow->error);
    (*flow->running)--;
}

static uint32_t count_ok(const struct flow *flows)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < FLOWS; i++)
        count += flows[i].status == STATUS_OK ? 1 : 0;
    return count;
}

static void at_once_body(struct context *ctx, struct fake *f)
{
    struct flow flows[FLOWS];
    run_flows(ctx, f, flows, create_run);
    CHECK(f, count_ok(flows) == 2);
    for (uint32_t i = 0; i < FLOWS; i++)
        CHECK(f, flows[i].status == STATUS_OK || flows[i].error.code == ERROR_RESOURCE_IN_USE);
    fake_settle(ctx, f);
    const struct table *one = describe(ctx, f, "one"), *two = describe(ctx, f, "two");
    CHECK(f, one != NULL && two != NULL);
    CHECK(f, one->id != two->id && one->partitions[0].group_id != two->partitions[0].group_id);
    run_flows(ctx, f, flows, tag_run); /* each waits for the others to be done, within reason */
    uint32_t tagged = count_ok(flows);
    one = describe(ctx, f, "one");
    CHECK(f, tagged >= 8 && one->tag_count >= tagged / 2 && one->tag_count <= 6);
    for (uint32_t i = 0; i < one->tag_count; i++)
        for (uint32_t k = 0; k < i; k++)
            CHECK(f, !bytes_equal(one->tags[i].key, one->tags[k].key));
    run_flows(ctx, f, flows, delete_run);
    CHECK(f, count_ok(flows) == 1);
    fake_settle(ctx, f);
    CHECK(f, describe(ctx, f, "two") == NULL && has_status(ctx, f, "one", TABLE_ACTIVE));
}

static void changes_at_once_are_made_one_after_the_other(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, at_once_body);
    fake_close(f);
}

/* Who is overtaken may know before the other one does. */
static void overtaken_body(struct context *ctx, struct fake *f)
{
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    uint32_t running = 2;
    struct flow flows[2] = {{.f = f, .id = 0, .running = &running},
                            {.f = f, .id = 1, .running = &running}};
    struct error error;
    CHECK(f, create(ctx, f, "one", &error) == STATUS_OK);
    fake_settle(ctx, f);
    f->refuses_at_once = true;
    for (uint32_t i = 0; i < 2; i++)
        CHECK(f, fiber_spawn(ctx->env, &options, tag_run, &flows[i]) == STATUS_OK);
    for (int turns = 0; running > 0 && turns < 100; turns++)
        context_yield(ctx);
    CHECK(f, running == 0 && flows[0].status == STATUS_OK && flows[1].status == STATUS_OK);
    CHECK(f, describe(ctx, f, "one")->tag_count == 2);
}

static void who_is_overtaken_waits_for_the_other(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, overtaken_body);
    fake_close(f);
}

/* ---- Unknown outcomes ---- */

static void unknown_body(struct context *ctx, struct fake *f)
{
    struct error error;
    CHECK(f, create(ctx, f, "t", &error) == STATUS_OK);
    fake_settle(ctx, f);
    f->fail = STATUS_UNKNOWN_OUTCOME; /* it happens, but nobody says so */
    CHECK(f, router_delete_table(ctx, f->router, BYTES("t"), &error) == STATUS_UNKNOWN_OUTCOME);
    CHECK(f, error.code == ERROR_INTERNAL);
    CHECK(f, has_status(ctx, f, "t", TABLE_ACTIVE)); /* as far as the cache knows */
    f->fail = STATUS_UNAVAILABLE;
    CHECK(f, router_refresh(ctx, f->router) == STATUS_UNAVAILABLE); /* not yet */
    CHECK(f, router_refresh(ctx, f->router) == STATUS_OK);
    CHECK(f, has_status(ctx, f, "t", TABLE_DELETING));
    fake_settle(ctx, f);
    CHECK(f, describe(ctx, f, "t") == NULL);
    f->fail = STATUS_NO_SPACE; /* it did not happen */
    CHECK(f, create(ctx, f, "u", &error) == STATUS_NO_SPACE);
    CHECK(f, error.code == ERROR_UNAVAILABLE && describe(ctx, f, "u") == NULL);
    CHECK(f, create(ctx, f, "u", &error) == STATUS_OK);
}

static void what_nobody_could_say_is_found_out(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, unknown_body);
    fake_close(f);
}

/* ---- Bounds ---- */

static void bounds_body(struct context *ctx, struct fake *f)
{
    struct error error;
    char name[16];
    struct create_table_request request = {.schema = {.partition = {BYTES("p"), VALUE_S}},
                                           .billing = BILLING_PROVISIONED,
                                           .read_units = 3001,
                                           .write_units = 1};
    snprintf(name, sizeof(name), "shares");
    request.name = bytes_of_text(name);
    CHECK(f, router_create_table(ctx, f->router, &request, &error) == STATUS_OK);
    CHECK(f, describe(ctx, f, name)->partition_count == 2);
    request.write_units = 10000000; /* as many partitions as one table may have */
    enum status status = STATUS_OK;
    for (unsigned i = 0; i < 20 && status == STATUS_OK; i++) {
        snprintf(name, sizeof(name), "large%u", i);
        request.name = bytes_of_text(name);
        status = router_create_table(ctx, f->router, &request, &error);
        CHECK(f, i < 16);
    }
    CHECK(f, error.code == ERROR_LIMIT_EXCEEDED && describe(ctx, f, "large14") != NULL);
    request.write_units = 1;
    snprintf(name, sizeof(name), "small");
    request.name = bytes_of_text(name);
    CHECK(f, router_create_table(ctx, f->router, &request, &error) == STATUS_OK);
}

/* Each would fit by itself. */
static const char *const widened[] = {"shares", "small"};
static enum status widened_status[2];
static uint32_t widening;

static void widen_run(struct context *ctx, void *argument)
{
    struct fake *f = argument;
    uint32_t i = widening++;
    struct error error;
    struct index_update create = {
        .action = INDEX_CREATE,
        .name = BYTES("wide"),
        .schema = {.name = BYTES("wide"), .kind = INDEX_GLOBAL, .partition_count = 1},
        .throughput_given = true,
        .throughput = {.read_units = 1, .write_units = 400000}};
    create.schema.partition[0] = (struct key_attribute){BYTES("w"), VALUE_S};
    struct update_table_request request = {
        .name = bytes_of_text(widened[i]), .index_updates = &create, .index_update_count = 1};
    widened_status[i] = router_update_table(ctx, f->router, &request, &error);
    CHECK(f, widened_status[i] == STATUS_OK || error.code == ERROR_LIMIT_EXCEEDED);
    widening--;
}

static void widen_body(struct context *ctx, struct fake *f)
{
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    bounds_body(ctx, f);
    for (unsigned i = 0; i < 2; i++)
        CHECK(f, fake_settle_one(ctx, f, bytes_of_text(widened[i])) == STATUS_OK);
    widening = 0;
    for (unsigned i = 0; i < 2; i++)
        CHECK(f, fiber_spawn(ctx->env, &options, widen_run, f) == STATUS_OK);
    while (widening > 0)
        CHECK(f, context_sleep(ctx, 1000000) == STATUS_OK);
    CHECK(f, widened_status[0] == STATUS_OK && widened_status[1] != STATUS_OK);
    CHECK(f, describe(ctx, f, "shares")->globals[0].partition_count == 401);
}

static void partitions_on_their_way_count(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, widen_body);
    fake_close(f);
}

static void partitions_of_all_tables_have_a_bound(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, bounds_body);
    fake_close(f);
}

/* A catalog with the longest records is loaded page by page. */
static void large_catalog_body(struct context *ctx, struct fake *f)
{
    static char texts[TAGS_MAX][256];
    struct tag tags[TAGS_MAX];
    for (uint32_t i = 0; i < TAGS_MAX; i++) {
        memset(texts[i], 'v', sizeof(texts[i]));
        snprintf(texts[i], 8, "key%u", i);
        tags[i] = (struct tag){.key = bytes_of(texts[i], 8), .value = bytes_of(texts[i], 256)};
    }
    char name[16];
    struct error error;
    struct create_table_request request = {.schema = {.partition = {BYTES("p"), VALUE_S}},
                                           .billing = BILLING_ON_DEMAND,
                                           .tags = tags,
                                           .tag_count = TAGS_MAX};
    for (unsigned i = 0; i < 900; i++) {
        snprintf(name, sizeof(name), "table%04u", i);
        request.name = bytes_of_text(name);
        CHECK(f, router_create_table(ctx, f->router, &request, &error) == STATUS_OK);
        CHECK(f, fake_settle_one(ctx, f, request.name) == STATUS_OK);
        arena_reset(&ctx->arena);
    }
    router_close(f->router);
    fake_open_router(ctx, f);
    for (unsigned i = 0; i < 900; i++) {
        snprintf(name, sizeof(name), "table%04u", i);
        const struct table *table = describe(ctx, f, name);
        CHECK(f, table != NULL && table->tag_count == TAGS_MAX);
    }
}

static void a_large_catalog_is_loaded_in_pages(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, large_catalog_body);
    fake_close(f);
}

/* ---- Batches ---- */

static void batch_body(struct context *ctx, struct fake *f)
{
    struct error error;
    const struct table *table;
    struct write_request puts[BATCH_WRITE_MAX];
    struct write_result results[BATCH_WRITE_MAX] = {0};
    bool done[BATCH_WRITE_MAX] = {0};
    CHECK(f, create(ctx, f, "t", &error) == STATUS_OK);
    fake_settle(ctx, f);
    for (unsigned i = 0; i < BATCH_WRITE_MAX; i++)
        puts[i] = (struct write_request){
            .kind = WRITE_PUT, .table = BYTES("t"), .item = make_key(ctx, i, "more")};
    CHECK(f, router_check_writes(ctx, f->router, puts, BATCH_WRITE_MAX, &error) == STATUS_OK);
    f->calls = f->writes_at_once = 0;
    CHECK(f, router_write_batch(ctx, f->router, puts, BATCH_WRITE_MAX, results, done, &error) ==
                 STATUS_OK);
    CHECK(f,
          f->calls == 5 && f->writes_at_once == 5); /* one call for each partition, side by side */
    for (unsigned i = 0; i < BATCH_WRITE_MAX; i++) {
        struct get_request get = {.table = BYTES("t"), .key = make_key(ctx, i, NULL)};
        struct get_result got;
        CHECK(f, done[i]);
        CHECK(f, router_get(ctx, f->router, &get, &got, &error) == STATUS_OK);
        CHECK(f, value_equal(got.item, puts[i].item));
        puts[i] =
            (struct write_request){.kind = WRITE_DELETE, .table = BYTES("t"), .item = get.key};
    }
    /* One partition fails: what it has is not done, all else is. */
    CHECK(f, router_table(f->router, BYTES("t"), &table, &error) == STATUS_OK);
    f->fail_group = table->partitions[2].group_id;
    f->fail = STATUS_BUSY;
    CHECK(f, router_write_batch(ctx, f->router, puts, BATCH_WRITE_MAX, results, done, &error) ==
                 STATUS_OK);
    uint32_t left = 0;
    for (unsigned i = 0; i < BATCH_WRITE_MAX; i++) {
        struct get_request get = {.table = BYTES("t"), .key = puts[i].item};
        struct get_result got;
        CHECK(f, router_get(ctx, f->router, &get, &got, &error) == STATUS_OK);
        CHECK(f, done[i] == (value_type(got.item) == VALUE_NONE));
        left += !done[i];
    }
    struct replica_size size;
    f->service.size(&f->service, f->fail_group, &size);
    CHECK(f, left > 0 && left < BATCH_WRITE_MAX && size.items.count == left);
    puts[7] = puts[3];
    CHECK(f, router_check_writes(ctx, f->router, puts, BATCH_WRITE_MAX, &error) == STATUS_INVALID);
    CHECK(f, bytes_equal(error.message, BYTES("Provided list of item keys contains duplicates")));
}

static void batches_go_to_all_partitions_side_by_side(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, batch_body);
    fake_close(f);
}

/* ---- Keys ---- */

static struct value one_attribute(struct context *ctx, const char *name, size_t bytes)
{
    struct buffer buffer;
    buffer_init(&buffer, ctx->env->heap, 8192);
    struct value_writer w;
    value_writer_init(&w, &buffer);
    char *text = malloc(bytes + 1);
    memset(text, 'x', bytes + 1);
    value_write_begin(&w, VALUE_M);
    value_write_name(&w, bytes_of_text(name));
    value_write_string(&w, bytes_of(text, bytes));
    value_write_end(&w);
    free(text);
    struct value item = VALUE_ABSENT;
    if (value_writer_finish(&w, &item) == STATUS_OK)
        item.at = arena_copy(&ctx->arena, bytes_of(item.at, item.bytes)).at;
    buffer_release(&buffer);
    return item;
}

static void refuse_write(struct context *ctx, struct fake *f, enum write_kind kind,
                         struct value item, const char *message)
{
    struct write_request request = {.kind = kind, .table = BYTES("t"), .item = item};
    struct write_result result;
    struct error error = {0};
    CHECK(f, router_write(ctx, f->router, &request, &result, &error) == STATUS_INVALID);
    CHECK(f, error.code == ERROR_VALIDATION);
    if (!bytes_equal(error.message, bytes_of_text(message))) {
        print_error("%.*s\n", BYTES_ARGS(error.message));
        CHECK(f, false);
    }
}

static void keys_body(struct context *ctx, struct fake *f)
{
    struct error error;
    CHECK(f, create(ctx, f, "t", &error) == STATUS_OK);
    fake_settle(ctx, f);
    const char *mismatch = "The provided key element does not match the schema";
    refuse_write(ctx, f, WRITE_DELETE, make_key(ctx, 1, "more"), mismatch);
    refuse_write(ctx, f, WRITE_DELETE, one_attribute(ctx, "q", 3), mismatch);
    refuse_write(ctx, f, WRITE_PUT, one_attribute(ctx, "q", 3),
                 "One or more parameter values were invalid: Missing the key p in the item");
    refuse_write(
        ctx, f, WRITE_PUT, one_attribute(ctx, "p", 0),
        "One or more parameter values are not valid. The AttributeValue for a key attribute "
        "cannot contain an empty string value. Key: p");
    refuse_write(
        ctx, f, WRITE_PUT, one_attribute(ctx, "p", 2049),
        "One or more parameter values were invalid: Size of hashkey has exceeded the maximum "
        "size limit of2048 bytes");
    struct write_request longest = {
        .kind = WRITE_PUT, .table = BYTES("t"), .item = one_attribute(ctx, "p", 2048)};
    struct write_result result;
    CHECK(f, router_write(ctx, f->router, &longest, &result, &error) == STATUS_OK);
}

static void keys_are_checked_with_the_services_texts(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, keys_body);
    fake_close(f);
}

/* ---- As many at once as the service allows ---- */

static void many_body(struct context *ctx, struct fake *f)
{
    struct error error;
    char name[16];
    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "t%u", i);
        CHECK(f, create(ctx, f, name, &error) == STATUS_OK);
        arena_reset(&ctx->arena);
    }
    fake_settle(ctx, f);
    for (unsigned i = 20; i < 20 + CHANGES_AT_ONCE_MAX; i++) {
        snprintf(name, sizeof(name), "t%u", i);
        CHECK(f, create(ctx, f, name, &error) == STATUS_OK);
        arena_reset(&ctx->arena);
    }
    CHECK(f, create(ctx, f, "more", &error) == STATUS_INVALID);
    CHECK(f, error.code == ERROR_LIMIT_EXCEEDED);
    CHECK(f, bytes_equal(error.message, BYTES("Subscriber limit exceeded: Only 500 tables can be "
                                              "created, updated, or deleted simultaneously")));
    CHECK(f, router_delete_table(ctx, f->router, BYTES("t3"), &error) == STATUS_INVALID);
    CHECK(f, error.code == ERROR_LIMIT_EXCEEDED);
    struct update_table_request update = {
        .name = BYTES("t3"), .deletion_protection_given = true, .deletion_protection = true};
    CHECK(f, router_update_table(ctx, f->router, &update, &error) == STATUS_INVALID);
    CHECK(f, error.code == ERROR_LIMIT_EXCEEDED);
    CHECK(f, fake_settle_one(ctx, f, BYTES("t100")) == STATUS_OK);
    CHECK(f, router_delete_table(ctx, f->router, BYTES("t3"), &error) == STATUS_OK);
    CHECK(f, create(ctx, f, "more", &error) == STATUS_INVALID);
    CHECK(f, router_forget_table(ctx, f->router, BYTES("t3")) == STATUS_OK);
    CHECK(f, create(ctx, f, "more", &error) == STATUS_OK);
}

static void tables_body(struct context *ctx, struct fake *f)
{
    struct error error;
    char name[16];
    for (unsigned i = 0; i < TABLES_MAX; i++) {
        snprintf(name, sizeof(name), "t%u", i);
        CHECK(f, create(ctx, f, name, &error) == STATUS_OK);
        CHECK(f, fake_settle_one(ctx, f, bytes_of_text(name)) == STATUS_OK);
        arena_reset(&ctx->arena);
    }
    CHECK(f, create(ctx, f, "more", &error) == STATUS_INVALID);
    CHECK(f, error.code == ERROR_LIMIT_EXCEEDED);
    CHECK(f, bytes_equal(error.message, BYTES("Subscriber limit exceeded: There is a limit of 2500 "
                                              "tables per subscriber")));
    CHECK(f, router_delete_table(ctx, f->router, BYTES("t7"), &error) == STATUS_OK);
    CHECK(f, create(ctx, f, "more", &error) == STATUS_INVALID); /* it is still there */
    CHECK(f, router_forget_table(ctx, f->router, BYTES("t7")) == STATUS_OK);
    CHECK(f, create(ctx, f, "more", &error) == STATUS_OK);
}

static void tables_have_a_bound(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, tables_body);
    fake_close(f);
}

static void so_many_tables_change_at_once(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, many_body);
    fake_close(f);
}

/* A checked batch has its keys encoded; for another table of the same name they are
 * encoded anew. */
static void checked_body(struct context *ctx, struct fake *f)
{
    struct error error;
    struct write_result written;
    struct get_result got;
    struct write_request put = {
        .kind = WRITE_PUT, .table = BYTES("t"), .item = make_key(ctx, 1, "more")};
    struct get_request get = {.table = BYTES("t"), .key = make_key(ctx, 1, NULL)};
    CHECK(f, create(ctx, f, "t", &error) == STATUS_OK);
    fake_settle(ctx, f);
    CHECK(f, router_write(ctx, f->router, &put, &written, &error) == STATUS_OK);
    CHECK(f, router_check_gets(ctx, f->router, &get, 1, &error) == STATUS_OK);
    CHECK(f, get.encoded.count > 0 && get.encoded_for == describe(ctx, f, "t")->id);
    CHECK(f, router_get(ctx, f->router, &get, &got, &error) == STATUS_OK);
    CHECK(f, value_equal(got.item, put.item));
    CHECK(f, router_delete_table(ctx, f->router, BYTES("t"), &error) == STATUS_OK);
    fake_settle(ctx, f);
    CHECK(f, create(ctx, f, "t", &error) == STATUS_OK);
    fake_settle(ctx, f);
    CHECK(f, router_get(ctx, f->router, &get, &got, &error) == STATUS_OK);
    CHECK(f, value_type(got.item) == VALUE_NONE);
    CHECK(f, router_write(ctx, f->router, &put, &written, &error) == STATUS_OK);
    CHECK(f, router_get(ctx, f->router, &get, &got, &error) == STATUS_OK);
    CHECK(f, value_equal(got.item, put.item));
}

static void encoded_keys_are_of_their_table(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, checked_body);
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_of_a_table_in_the_making_is_empty),
        cmocka_unit_test(a_table_lives_and_its_name_is_used_again),
        cmocka_unit_test(changes_at_once_are_made_one_after_the_other),
        cmocka_unit_test(who_is_overtaken_waits_for_the_other),
        cmocka_unit_test(what_nobody_could_say_is_found_out),
        cmocka_unit_test(partitions_of_all_tables_have_a_bound),
        cmocka_unit_test(partitions_on_their_way_count),
        cmocka_unit_test(tables_have_a_bound),
        cmocka_unit_test(so_many_tables_change_at_once),
        cmocka_unit_test(a_large_catalog_is_loaded_in_pages),
        cmocka_unit_test(encoded_keys_are_of_their_table),
        cmocka_unit_test(batches_go_to_all_partitions_side_by_side),
        cmocka_unit_test(keys_are_checked_with_the_services_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
