/* Deleted tables of which the streams stay: they depart, over failures and restarts, and end in
 * time, or earlier when space is short. */
#include "unit/router/fake_service.h"

#include "admin/reconcile.h"

#define DAY_NS (INT64_C(86400) * 1000000000)

static struct reconciler *reconciler;

static const struct table *find(struct context *ctx, struct fake *f, const char *name)
{
    const struct table *table;
    struct error error;
    enum status found = router_describe_table(ctx, f->router, bytes_of_text(name), &table, &error);
    return found == STATUS_OK ? table : NULL;
}

static void open(struct context *ctx, struct fake *f)
{
    CHECK(f, reconciler_open(ctx->env, f->router, 0, &reconciler) == STATUS_OK);
}

static void wait(struct context *ctx, struct fake *f, uint64_t ms)
{
    reconciler_poke(reconciler);
    CHECK(f, context_sleep(ctx, ms * 1000000) == STATUS_OK);
}

/* Everything is closed, and read from the system table again. */
static void restart(struct context *ctx, struct fake *f)
{
    reconciler_close(ctx, reconciler);
    router_close(f->router);
    fake_open_router(ctx, f);
    open(ctx, f);
}

static void create(struct context *ctx, struct fake *f, const char *name)
{
    struct error error;
    struct create_table_request request = {.name = bytes_of_text(name),
                                           .schema = {.partition = {BYTES("p"), VALUE_S}},
                                           .billing = BILLING_ON_DEMAND,
                                           .stream_view = STREAM_NEW_IMAGE};
    CHECK(f, router_create_table(ctx, f->router, &request, &error) == STATUS_OK);
    wait(ctx, f, 50);
    const struct table *table = find(ctx, f, name);
    CHECK(f, table != NULL && table->status == TABLE_ACTIVE);
}

static void delete_table(struct context *ctx, struct fake *f, const char *name)
{
    struct error error;
    CHECK(f, router_delete_table(ctx, f->router, bytes_of_text(name), &error) == STATUS_OK);
}

static uint32_t shown(struct fake *f, const char *name)
{
    const struct table *table;
    uint32_t count = 0;
    for (uint64_t id = 0;; id = table->id, count++) {
        table = router_next_streamed(f->router, bytes_of_text(name), id);
        if (table == NULL || !bytes_equal(table_stream_name(table), bytes_of_text(name)))
            return count;
        CHECK(f, table->id > id);
    }
}

static void life_body(struct context *ctx, struct fake *f)
{
    open(ctx, f);
    create(ctx, f, "t");
    uint64_t label = table_stream(find(ctx, f, "t"))->created_ms;
    uint64_t id = find(ctx, f, "t")->id;
    delete_table(ctx, f, "t");
    CHECK(f, shown(f, "t") == 1); /* meanwhile, too */
    wait(ctx, f, 50);
    CHECK(f, find(ctx, f, "t") == NULL && router_departed_tables(f->router) == 1);
    CHECK(f, f->group_count == 6 && f->retired == 5 && shown(f, "t") == 1);
    const struct table *departed = router_next_departed(f->router, (struct bytes){0});
    CHECK(f, departed->id == id && departed->streams[0].created_ms == label);
    CHECK(f, departed->streams[0].ended_ms >= label && departed->status == TABLE_DEPARTED);

    /* The name is free; the clock went back. */
    ctx->env->wall_offset_ns -= 3600 * INT64_C(1000000000);
    create(ctx, f, "t");
    CHECK(f, table_stream(find(ctx, f, "t"))->created_ms == label + 1);
    CHECK(f, shown(f, "t") == 2 && shown(f, "s") == 0);
    ctx->env->wall_offset_ns = 0;

    /* A start retires again. */
    restart(ctx, f);
    wait(ctx, f, 50);
    CHECK(f, f->retired == 10 && router_departed_tables(f->router) == 1 && shown(f, "t") == 2);

    ctx->env->wall_offset_ns = DAY_NS - 5000000000;
    wait(ctx, f, 1500);
    CHECK(f, router_departed_tables(f->router) == 1);
    ctx->env->wall_offset_ns = DAY_NS + 5000000000;
    CHECK(f, context_sleep(ctx, 1500000000) == STATUS_OK); /* by itself */
    CHECK(f, router_departed_tables(f->router) == 0 && f->group_count == 6 && shown(f, "t") == 1);
    CHECK(f, router_stats(f->router)->departed_early == 0);
    restart(ctx, f);
    wait(ctx, f, 50);
    CHECK(f, router_departed_tables(f->router) == 0 && find(ctx, f, "t") != NULL);
    reconciler_close(ctx, reconciler);
}

static void run(void (*body)(struct context *, struct fake *))
{
    struct fake *f = fake_open();
    fake_run(f, body);
    fake_close(f);
}

static void they_live_for_a_day(void **state)
{
    (void)state;
    run(life_body);
}

/* Whatever becomes of the first write, and of the second; and wherever a restart comes. */
static void failures_body(struct context *ctx, struct fake *f)
{
    static const enum status failures[] = {STATUS_UNKNOWN_OUTCOME, STATUS_UNAVAILABLE};
    open(ctx, f);
    for (uint32_t i = 0; i < 2; i++) {
        create(ctx, f, "t");
        delete_table(ctx, f, "t");
        f->fail = failures[i];
        wait(ctx, f, 2000);
        CHECK(f, find(ctx, f, "t") == NULL && router_departed_tables(f->router) == i + 1);
        CHECK(f, shown(f, "t") == i + 1 && f->group_count == 1 + 5 * (i + 1));
    }
    for (uint32_t turns = 0; turns < 40; turns++) {
        create(ctx, f, "t");
        delete_table(ctx, f, "t");
        reconciler_poke(reconciler);
        for (uint32_t i = 0; i < turns; i++)
            context_yield(ctx);
        CHECK(f, shown(f, "t") == 3); /* not twice, while it is there under both names */
        restart(ctx, f);
        CHECK(f, shown(f, "t") == 3);
        wait(ctx, f, 50);
        CHECK(f, find(ctx, f, "t") == NULL && shown(f, "t") == 3 && f->group_count == 16);
        CHECK(f, router_departed_tables(f->router) == 3);
        ctx->env->wall_offset_ns += DAY_NS;
        wait(ctx, f, 50);
        CHECK(f, router_departed_tables(f->router) == 0 && f->group_count == 1);
        create(ctx, f, "t");
        delete_table(ctx, f, "t");
        wait(ctx, f, 50);
        create(ctx, f, "t");
        delete_table(ctx, f, "t");
        wait(ctx, f, 50);
    }
    reconciler_close(ctx, reconciler);
}

static void failures_and_restarts_lose_none(void **state)
{
    (void)state;
    run(failures_body);
}

static void space_body(struct context *ctx, struct fake *f)
{
    open(ctx, f);
    for (unsigned i = 0; i < 20; i++) {
        char name[8];
        snprintf(name, sizeof(name), "t%02u", i);
        create(ctx, f, name);
        delete_table(ctx, f, name);
        wait(ctx, f, 50);
    }
    CHECK(f, router_departed_tables(f->router) == 20);
    f->tight = true; /* some go, the oldest first, and a while later some more */
    wait(ctx, f, 500);
    CHECK(f, router_departed_tables(f->router) == 4 && shown(f, "t15") == 0);
    CHECK(f, shown(f, "t16") == 1);
    wait(ctx, f, 2000);
    CHECK(f, router_departed_tables(f->router) == 0 && f->group_count == 1);
    CHECK(f, router_stats(f->router)->departed_early == 20);
    f->tight = false;

    /* One that has no space for the rest of its log goes whole. */
    create(ctx, f, "t");
    f->retire_fails = STATUS_NO_SPACE;
    delete_table(ctx, f, "t");
    wait(ctx, f, 50);
    CHECK(f, find(ctx, f, "t") == NULL && shown(f, "t") == 0 && f->group_count == 1);
    CHECK(f, router_departed_tables(f->router) == 0);

    /* What passes is waited for. */
    create(ctx, f, "t");
    f->retire_fails = STATUS_UNAVAILABLE;
    delete_table(ctx, f, "t");
    wait(ctx, f, 1000);
    CHECK(f, find(ctx, f, "t") != NULL && shown(f, "t") == 1);
    f->retire_fails = STATUS_OK;
    wait(ctx, f, 2000);
    CHECK(f, find(ctx, f, "t") == NULL && shown(f, "t") == 1);
    reconciler_close(ctx, reconciler);
}

static void they_go_when_space_is_short(void **state)
{
    (void)state;
    run(space_body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_live_for_a_day),
        cmocka_unit_test(failures_and_restarts_lose_none),
        cmocka_unit_test(they_go_when_space_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
