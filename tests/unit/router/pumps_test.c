/* Which pumps there are. */
#include "fake_service.h"

#include "router/propagator.h"

static void make_table(struct context *ctx, struct fake *f)
{
    struct index_schema index = {.name = BYTES("by-at"),
                                 .kind = INDEX_GLOBAL,
                                 .partition_count = 1,
                                 .projection = PROJECT_ALL};
    struct index_throughput throughput = {0};
    struct create_table_request create = {.name = BYTES("items"),
                                          .schema = {.partition = {BYTES("p"), VALUE_S}},
                                          .indexes = &index,
                                          .index_count = 1,
                                          .globals = &throughput,
                                          .global_count = 1,
                                          .billing = BILLING_ON_DEMAND};
    index.partition[0] = (struct key_attribute){BYTES("at"), VALUE_S};
    fake_create_table(ctx, f, &create);
}

/* Each allocation fails once.  What is missing then is nothing half made. */
static void starving_body(struct context *ctx, struct fake *f)
{
    struct heap *heap = ctx->env->heap;
    uint32_t pumps = 0;
    make_table(ctx, f);
    for (uint64_t n = 1; n < 30; n++) {
        struct propagator *propagator;
        heap->fail_after = n;
        enum status status = propagator_open(ctx, f->router, 0, &propagator);
        heap->fail_after = 0;
        CHECK(f, status == STATUS_OK || n == 1);
        if (status != STATUS_OK)
            continue;
        pumps = propagator_stats(propagator)->pumps;
        propagator_close(ctx, propagator);
    }
    CHECK(f, pumps == 5);
}

static void opens_without_memory(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, starving_body);
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
