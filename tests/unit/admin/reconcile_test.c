/* The reconciler brings tables to what the catalog asks for, again after failures and restarts. */
#include "unit/router/fake_service.h"

#include "admin/reconcile.h"

static struct reconciler *reconciler;

static bool has_status(struct context *ctx, struct fake *f, const char *name,
                       enum table_status status)
{
    const struct table *table;
    struct error error;
    enum status found = router_describe_table(ctx, f->router, bytes_of_text(name), &table, &error);
    return found == STATUS_OK && table->status == status;
}

static enum status create(struct context *ctx, struct fake *f, const char *name)
{
    struct error error;
    struct create_table_request request = {.name = bytes_of_text(name),
                                           .schema = {.partition = {BYTES("p"), VALUE_S}},
                                           .billing = BILLING_ON_DEMAND};
    enum status status = router_create_table(ctx, f->router, &request, &error);
    reconciler_poke(reconciler);
    return status;
}

static enum status open(struct context *ctx, struct fake *f, uint64_t delay_ns)
{
    return reconciler_open(ctx->env, f->router, delay_ns, &reconciler);
}

static void wait(struct context *ctx, struct fake *f, uint64_t ms)
{
    CHECK(f, context_sleep(ctx, ms * 1000000) == STATUS_OK);
}

static void changes_body(struct context *ctx, struct fake *f)
{
    struct error error;
    reconciler = NULL;
    CHECK(f, create(ctx, f, "before") == STATUS_OK); /* while none runs: a restart in the middle */
    CHECK(f, open(ctx, f, 0) == STATUS_OK);
    wait(ctx, f, 50);
    CHECK(f, has_status(ctx, f, "before", TABLE_ACTIVE));
    CHECK(f, create(ctx, f, "a") == STATUS_OK && create(ctx, f, "b") == STATUS_OK);
    wait(ctx, f, 50);
    CHECK(f, has_status(ctx, f, "a", TABLE_ACTIVE) && has_status(ctx, f, "b", TABLE_ACTIVE));
    CHECK(f, f->group_count == 16);
    CHECK(f, router_delete_table(ctx, f->router, BYTES("a"), &error) == STATUS_OK);
    reconciler_poke(reconciler);
    wait(ctx, f, 50);
    CHECK(f, !has_status(ctx, f, "a", TABLE_DELETING) && f->group_count == 11);
    reconciler_close(ctx, reconciler);
}

static void makes_and_removes_what_is_asked_for(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, changes_body);
    fake_close(f);
}

static void failures_body(struct context *ctx, struct fake *f)
{
    reconciler = NULL;
    CHECK(f, create(ctx, f, "t") == STATUS_OK);
    f->fail = STATUS_NO_SPACE; /* of the row that says ACTIVE */
    CHECK(f, open(ctx, f, 0) == STATUS_OK);
    wait(ctx, f, 200);
    CHECK(f, has_status(ctx, f, "t", TABLE_CREATING));
    wait(ctx, f, 100);
    CHECK(f, has_status(ctx, f, "t", TABLE_ACTIVE));
    f->fail = STATUS_UNKNOWN_OUTCOME; /* of the ids: nothing comes of it */
    CHECK(f, create(ctx, f, "u") == STATUS_UNKNOWN_OUTCOME);
    CHECK(f, create(ctx, f, "u") == STATUS_OK);
    f->fail = STATUS_UNKNOWN_OUTCOME; /* of the row that says ACTIVE */
    wait(ctx, f, 2500);
    CHECK(f, has_status(ctx, f, "u", TABLE_ACTIVE));
    reconciler_close(ctx, reconciler);
}

static void tries_again_what_failed(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, failures_body);
    fake_close(f);
}

static void wait_until(struct context *ctx, struct fake *f, uint64_t ms)
{
    CHECK(f, context_sleep(ctx, ms * 1000000 - env_now_ns(ctx->env)) == STATUS_OK);
}

/* Each failure doubles the time to the next try, up to 8 s; others do not wait meanwhile. */
static void backoff_body(struct context *ctx, struct fake *f)
{
    reconciler = NULL;
    CHECK(f, open(ctx, f, 0) == STATUS_OK);
    CHECK(f, create(ctx, f, "t") == STATUS_OK);
    uint64_t due_ms = env_now_ns(ctx->env) / 1000000;
    for (unsigned i = 0; i < 9; i++) {
        f->fail = STATUS_NO_SPACE;
        wait_until(ctx, f, due_ms + 10);
        CHECK(f, f->fail == STATUS_OK && has_status(ctx, f, "t", TABLE_CREATING));
        due_ms += MIN(UINT64_C(250) << i, UINT64_C(8000));
        f->fail = STATUS_NO_SPACE;
        wait_until(ctx, f, due_ms - 10);
        CHECK(f, f->fail == STATUS_NO_SPACE); /* nobody has called */
    }
    f->fail = STATUS_OK;
    CHECK(f, create(ctx, f, "u") == STATUS_OK);
    wait(ctx, f, 50);
    CHECK(f, has_status(ctx, f, "u", TABLE_ACTIVE));
    wait(ctx, f, 8000);
    CHECK(f, has_status(ctx, f, "t", TABLE_ACTIVE));
    reconciler_close(ctx, reconciler);
}

static void waits_longer_after_each_failure(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, backoff_body);
    fake_close(f);
}

static void timed_body(struct context *ctx, struct fake *f)
{
    struct error error;
    char name[16];
    reconciler = NULL;
    CHECK(f, open(ctx, f, UINT64_C(1000000000)) == STATUS_OK);
    for (int i = 0; i < 20; i++) { /* one each 20 ms */
        snprintf(name, sizeof(name), "t%02d", 19 - i);
        CHECK(f, create(ctx, f, name) == STATUS_OK);
        wait(ctx, f, 20);
    }
    wait(ctx, f, 590);
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "t%02d", 19 - i);
        CHECK(f, has_status(ctx, f, name, TABLE_CREATING));
        wait(ctx, f, 20);
        CHECK(f, has_status(ctx, f, name, TABLE_ACTIVE));
    }
    CHECK(f, router_delete_table(ctx, f->router, BYTES("t07"), &error) == STATUS_OK);
    reconciler_poke(reconciler);
    wait(ctx, f, 990);
    CHECK(f, has_status(ctx, f, "t07", TABLE_DELETING));
    wait(ctx, f, 20);
    CHECK(f, !has_status(ctx, f, "t07", TABLE_DELETING));
    reconciler_close(ctx, reconciler);
}

static void each_table_is_timed_for_itself(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, timed_body);
    fake_close(f);
}

/* Forty at once: as many as the bound at one time, in the order in which they came. */
static void bound_body(struct context *ctx, struct fake *f)
{
    char name[16];
    unsigned active = 0;
    f->create_ns = 50000000; /* the five of a table side by side */
    reconciler = NULL;
    CHECK(f, open(ctx, f, 0) == STATUS_OK);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "t%02d", i);
        CHECK(f, create(ctx, f, name) == STATUS_OK);
    }
    wait(ctx, f, 75);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "t%02d", i);
        active += has_status(ctx, f, name, TABLE_ACTIVE);
        CHECK(f, has_status(ctx, f, name, i < 16 ? TABLE_ACTIVE : TABLE_CREATING));
    }
    CHECK(f, active == RECONCILE_AT_ONCE && f->creates_at_once == 5 * RECONCILE_AT_ONCE);
    wait(ctx, f, 100);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "t%02d", i);
        CHECK(f, has_status(ctx, f, name, TABLE_ACTIVE));
    }
    CHECK(f, f->creates_at_once == 5 * RECONCILE_AT_ONCE);
    CHECK(f, create(ctx, f, "z") == STATUS_OK);
    wait(ctx, f, 5);
    reconciler_close(ctx, reconciler); /* in the middle of one */
    CHECK(f, has_status(ctx, f, "z", TABLE_CREATING));
}

static void so_many_are_changed_at_once(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, bound_body);
    fake_close(f);
}

static void close_body(struct context *ctx, struct fake *f)
{
    reconciler = NULL;
    CHECK(f, open(ctx, f, UINT64_C(3600000000000)) == STATUS_OK);
    CHECK(f, create(ctx, f, "t") == STATUS_OK);
    wait(ctx, f, 50);
    reconciler_close(ctx, reconciler); /* does not wait for the delay */
    CHECK(f, has_status(ctx, f, "t", TABLE_CREATING));
}

static void stops_in_the_middle(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, close_body);
    fake_close(f);
}

/* Fibers that take the whole pool, until they are told to end. */
static void holder_run(struct context *ctx, void *argument)
{
    const bool *until = argument;
    while (!*until)
        (void)!context_sleep(ctx, 1000000);
}

static void no_fiber_body(struct context *ctx, struct fake *f)
{
    struct fiber_options options = {.arena_bytes_max = 65536, .deadline_ns = UINT64_MAX};
    bool until = false;
    reconciler = NULL;
    CHECK(f, open(ctx, f, 0) == STATUS_OK);
    wait(ctx, f, 10);
    while (fiber_spawn(ctx->env, &options, holder_run, &until) == STATUS_OK)
        ;
    CHECK(f, create(ctx, f, "t") == STATUS_OK);
    wait(ctx, f, 1000);
    CHECK(f, has_status(ctx, f, "t", TABLE_CREATING));
    until = true;
    wait(ctx, f, 1000);
    CHECK(f, has_status(ctx, f, "t", TABLE_ACTIVE));
    reconciler_close(ctx, reconciler);
}

static void waits_for_a_fiber(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, no_fiber_body);
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_and_removes_what_is_asked_for),
        cmocka_unit_test(tries_again_what_failed),
        cmocka_unit_test(waits_longer_after_each_failure),
        cmocka_unit_test(waits_for_a_fiber),
        cmocka_unit_test(each_table_is_timed_for_itself),
        cmocka_unit_test(so_many_are_changed_at_once),
        cmocka_unit_test(stops_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
