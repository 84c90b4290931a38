/* Expressions that take long on a large item: others have their turn, and no update is lost.  And
 * writes whose client has gone. */
#include "node_fixture.h"

#include "node/node_private.h" /* white box: what is applied */

#define KEY       BYTES("large")
#define PAD       300000u
#define FLOWS     6u
#define ADDS      4u
#define OPERATORS 100u

/* ---- What the turns of the loop are counted by ---- */

struct turns {
    bool stop, ended;
    uint32_t count;
};

static void count_turns(struct context *ctx, void *argument)
{
    struct turns *turns = argument;
    for (; !turns->stop; turns->count++)
        context_yield(ctx);
    turns->ended = true;
}

static void turns_begin(struct context *ctx, struct fixture *f, struct turns *turns)
{
    struct fiber_options options = {.arena_bytes_max = 4096, .deadline_ns = UINT64_MAX};
    *turns = (struct turns){0};
    CHECK(f, fiber_spawn(ctx->env, &options, count_turns, turns) == STATUS_OK);
}

static uint32_t turns_end(struct context *ctx, struct turns *turns)
{
    uint32_t count = turns->count;
    turns->stop = true;
    while (!turns->ended)
        context_yield(ctx);
    return count;
}

/* Many times "k = :v", where k is a text and :v a number. */
static const char *long_condition(char *text, size_t bytes, const char *last)
{
    size_t used = 0;
    for (unsigned i = 0; i < OPERATORS; i++)
        used += (size_t)snprintf(text + used, bytes - used, "k = :v OR ");
    snprintf(text + used, bytes - used, "%s", last);
    return text;
}

static enum status put_if(struct context *ctx, struct fixture *f, const char *condition)
{
    struct write_request request = {.kind = WRITE_PUT,
                                    .item = make_item(ctx, KEY, 9, 0),
                                    .condition = compile(ctx, EXPR_CONDITION, condition, 7),
                                    .return_on_failure = true};
    struct write_result result = {0};
    struct error error = {0};
    enum status status = send_write(ctx, f, GROUP, KEY, &request, &result, &error);
    CHECK(f, status != STATUS_CONDITION_FAILED || item_number(error.item) == 1);
    return status;
}

static void condition_body(struct context *ctx, struct fixture *f)
{
    char text[4096];
    struct turns turns;
    struct replica *replica = node_replica(f->node, GROUP);
    CHECK(f, put(ctx, f, GROUP, KEY, 1, PAD) == STATUS_OK);
    while (replica->applied_slot < replica->commit_slot)
        CHECK(f, context_sleep(ctx, 1000000) == STATUS_OK);

    turns_begin(ctx, f, &turns);
    CHECK(f, compile(ctx, EXPR_CONDITION, "k = :v", 7).code.count > 0);
    CHECK(f, put_if(ctx, f, "k = :v") == STATUS_CONDITION_FAILED);
    CHECK(f, turns_end(ctx, &turns) < 10);

    turns_begin(ctx, f, &turns);
    CHECK(f,
          put_if(ctx, f, long_condition(text, sizeof(text), "n = :v")) == STATUS_CONDITION_FAILED);
    CHECK(f, turns_end(ctx, &turns) >= OPERATORS);
    CHECK(f, put_if(ctx, f, long_condition(text, sizeof(text), "n <> :v")) == STATUS_OK);
    CHECK(f, node_stats(f->node)->condition_failures == 2);
}

static void long_conditions_let_others_run(void **state)
{
    (void)state;
    struct fixture *f = fixture_create_open(31);
    assert_true(fixture_run(f, condition_body));
    fixture_close(f);
    fixture_free(f);
}

/* ---- Others change the item meanwhile ---- */

struct flow {
    struct fixture *f;
    uint32_t *running;
};

static void add_run(struct context *ctx, void *argument)
{
    struct flow *flow = argument;
    struct fixture *f = flow->f;
    char text[4096];
    for (unsigned i = 0; i < ADDS; i++) {
        struct write_request request = {
            .kind = WRITE_UPDATE,
            .item = make_item(ctx, KEY, 0, 0),
            .condition = compile(ctx, EXPR_CONDITION,
                                 long_condition(text, sizeof(text), "attribute_exists(n)"), 1),
            .update = compile(ctx, EXPR_UPDATE, "SET n = n + :v", 1)};
        struct write_result result = {0};
        struct error error = {0};
        CHECK(f, send_write(ctx, f, GROUP, KEY, &request, &result, &error) == STATUS_OK);
        CHECK(f, result.new_bytes > PAD && result.old_bytes > PAD);
    }
    --*flow->running;
}

static void adds_body(struct context *ctx, struct fixture *f)
{
    uint32_t running = FLOWS;
    struct flow flow = {f, &running};
    uint64_t n;
    CHECK(f, put(ctx, f, GROUP, KEY, 1, PAD) == STATUS_OK);
    for (unsigned i = 0; i < FLOWS; i++) {
        struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
        CHECK(f, fiber_spawn(ctx->env, &options, add_run, &flow) == STATUS_OK);
    }
    while (running > 0)
        CHECK(f, context_sleep(ctx, 1000000) == STATUS_OK);
    CHECK(f, get(ctx, f, GROUP, KEY, &n) == STATUS_OK && n == 1 + FLOWS * ADDS);
}

static void no_long_update_is_lost(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct fixture *f = fixture_create_open(seed);
        assert_true(fixture_run(f, adds_body));
        fixture_close(f);
        fixture_free(f);
    }
}

/* ---- Filters ---- */

#define ITEMS 8u

struct counting_sink {
    struct item_sink sink;
    uint64_t last;
    uint32_t count;
    bool wrong;
};

static enum status take_in_order(struct item_sink *sink, struct value item)
{
    struct counting_sink *counting = CONTAINER_OF(sink, struct counting_sink, sink);
    uint64_t number = item_number(item) % 100;
    counting->wrong |= number <= counting->last;
    counting->last = number;
    counting->count++;
    return STATUS_OK;
}

static void put_numbered(struct context *ctx, struct fixture *f, uint64_t number, uint64_t version)
{
    char name[24];
    snprintf(name, sizeof(name), "key %03u", (unsigned)number);
    CHECK(f, put(ctx, f, GROUP, bytes_of_text(name), version * 100 + number, PAD) == STATUS_OK);
    arena_reset(&ctx->arena);
}

/* Items go from the overlay into the tree, and new versions come, while the filter runs. */
static void rewrite_run(struct context *ctx, void *argument)
{
    struct flow *flow = argument;
    for (uint64_t i = 0; i < 3 * ITEMS; i++)
        put_numbered(ctx, flow->f, i * 5 % ITEMS + 1, i + 2);
    --*flow->running;
}

static void filter_body(struct context *ctx, struct fixture *f)
{
    char text[4096];
    uint32_t running = 1;
    struct flow flow = {f, &running};
    struct turns turns;
    for (uint64_t i = 1; i <= ITEMS; i++)
        put_numbered(ctx, f, i, 1);
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    CHECK(f, fiber_spawn(ctx->env, &options, rewrite_run, &flow) == STATUS_OK);
    struct replica_target target = target_of(GROUP);
    struct replica_range range = {
        .bytes_max = 100 * PAGE_BYTES_MAX,
        .filter = compile(ctx, EXPR_FILTER, long_condition(text, sizeof(text), "n <> :v"), 7)};
    struct replica_range_result found = {0};
    struct counting_sink sink = {.sink = {.take = take_in_order}};
    turns_begin(ctx, f, &turns);
    CHECK(f, f->service->range(ctx, f->service, &target, &range, &sink.sink, &found) == STATUS_OK);
    CHECK(f, turns_end(ctx, &turns) >= ITEMS * OPERATORS);
    CHECK(f, !sink.wrong && sink.count == ITEMS && found.scanned_count == ITEMS);
    while (running > 0)
        CHECK(f, context_sleep(ctx, 1000000) == STATUS_OK);
}

static void long_filters_let_others_run(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct fixture *f = fixture_create_open(40 + seed);
        assert_true(fixture_run(f, filter_body));
        fixture_close(f);
        fixture_free(f);
    }
}

/* ---- Who waits is cancelled ---- */

struct writer {
    struct fixture *f;
    struct context *ctx; /* NULL: it has ended */
    enum status status;
    uint64_t number;
};

static void write_one(struct context *ctx, void *argument)
{
    struct writer *writer = argument;
    writer->ctx = ctx;
    writer->status = put(ctx, writer->f, GROUP, KEY, writer->number, 100);
    writer->ctx = NULL;
}

/* What was proposed is committed, though nobody waits for it; what had not been is not done. */
static void cancel_body(struct context *ctx, struct fixture *f)
{
    struct replica *replica = node_replica(f->node, GROUP);
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    CHECK(f, put(ctx, f, GROUP, KEY, 1, 100) == STATUS_OK);
    struct writer writer = {.f = f, .number = 2};
    uint64_t last = replica->paxos.last_slot, n;
    CHECK(f, fiber_spawn(ctx->env, &options, write_one, &writer) == STATUS_OK);
    while (replica->paxos.last_slot == last)
        CHECK(f, context_sleep(ctx, 1000) == STATUS_OK);
    CHECK(f, writer.ctx != NULL);
    context_cancel(writer.ctx);
    context_yield(ctx);
    CHECK(f, writer.ctx == NULL && writer.status == STATUS_UNKNOWN_OUTCOME);
    CHECK(f, node_stats(f->node)->unknown_outcomes == 0);
    while (replica->commit_slot <= last)
        CHECK(f, context_sleep(ctx, 1000) == STATUS_OK);
    CHECK(f, get(ctx, f, GROUP, KEY, &n) == STATUS_OK && n == 2);

    size_t bytes = replica->overlay_bytes;
    replica->overlay_bytes += REPLICA_OVERLAY_BYTES_MAX; /* full, as far as writers see */
    writer.number = 3;
    CHECK(f, fiber_spawn(ctx->env, &options, write_one, &writer) == STATUS_OK);
    CHECK(f, writer.ctx != NULL && !wait_queue_empty(&replica->room));
    context_cancel(writer.ctx);
    context_yield(ctx);
    CHECK(f, writer.ctx == NULL && writer.status == STATUS_CANCELLED);
    CHECK(f, wait_queue_empty(&replica->room));
    replica->overlay_bytes -= REPLICA_OVERLAY_BYTES_MAX;
    CHECK(f, replica->overlay_bytes <= bytes);
    CHECK(f, get(ctx, f, GROUP, KEY, &n) == STATUS_OK && n == 2);
}

static void a_cancelled_write_is_whole_or_not_done(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct fixture *f = fixture_create_open(50 + seed);
        assert_true(fixture_run(f, cancel_body));
        fixture_close(f);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_conditions_let_others_run),
        cmocka_unit_test(no_long_update_is_lost),
        cmocka_unit_test(long_filters_let_others_run),
        cmocka_unit_test(a_cancelled_write_is_whole_or_not_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
