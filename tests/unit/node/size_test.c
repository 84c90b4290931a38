/* The sum of the items' sizes follows every write, over stops, kills and power losses. */
#include "unit/node/node_fixture.h"

#define KEYS 40u

static uint32_t sizes[KEYS]; /* of what is there; 0: nothing */
static struct prng prng;

static struct bytes key_of(char name[24], unsigned number)
{
    snprintf(name, 24, "key-%u", number);
    return bytes_of_text(name);
}

/* The documented size: names and values, two bytes for this number. */
static uint32_t size_of(unsigned key, size_t pad)
{
    char name[24];
    return (uint32_t)(1 + key_of(name, key).count + 1 + 2 + (pad > 0 ? 3 + pad : 0));
}

static void write_one(struct context *ctx, struct fixture *f)
{
    char name[24];
    unsigned key = (unsigned)prng_below(&prng, KEYS);
    size_t pad = prng_one_in(&prng, 4) ? prng_below(&prng, 9000) : prng_below(&prng, 60);
    enum status status;
    if (prng_one_in(&prng, 3)) {
        status = remove_item(ctx, f, GROUP, key_of(name, key));
        sizes[key] = 0;
    } else if (sizes[key] > 0 && prng_one_in(&prng, 3)) {
        struct write_request request = {
            .kind = WRITE_UPDATE,
            .item = VALUE_ABSENT,
            .update = compile(ctx, EXPR_UPDATE, "SET added = :v", 7),
        };
        struct write_result result;
        struct error error;
        uint32_t before = sizes[key];
        status = send_write(ctx, f, GROUP, key_of(name, key), &request, &result, &error);
        CHECK(f, result.old_bytes == before);
        sizes[key] = result.new_bytes;
        CHECK(f, sizes[key] == before || sizes[key] == before + 5 + 2);
    } else {
        status = put(ctx, f, GROUP, key_of(name, key), 5, pad);
        sizes[key] = size_of(key, pad);
    }
    CHECK(f, status == STATUS_OK);
    arena_reset(&ctx->arena);
}

static void write_body(struct context *ctx, struct fixture *f)
{
    for (unsigned i = 0; i < 100; i++)
        write_one(ctx, f);
}

static void check_body(struct context *ctx, struct fixture *f)
{
    struct replica_size size;
    uint64_t count = 0, sum = 0;
    CHECK(f, context_sleep(ctx, SECOND) == STATUS_OK); /* all is applied by then */
    f->service->size(f->service, GROUP, &size);
    for (unsigned i = 0; i < KEYS; i++) {
        count += sizes[i] > 0;
        sum += sizes[i];
    }
    CHECK(f, size.items.count == count);
    CHECK(f, size.items.bytes == sum);
}

static void is_exact_over_restarts(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        prng_init(&prng, seed);
        memset(sizes, 0, sizeof(sizes));
        struct fixture *f = fixture_create_open(seed);
        for (unsigned life = 0; life < 12; life++) {
            assert_true(fixture_run(f, write_body));
            fixture_restart_or_not(f, &prng);
            assert_true(fixture_run(f, check_body));
        }
        fixture_close(f);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_exact_over_restarts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
