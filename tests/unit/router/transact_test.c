/* Transactions in one round: their tokens, and the marks beside their first items.  Nudges. */
#include "fake_service.h"

#include "router/ledger.h"

/* The partition's answers, and what it was told. */
static enum status answer;
static enum txn_state mark_state;
static uint32_t transacts, removes;

static enum status transact(struct context *ctx, struct replica_service *service,
                            const struct replica_target *target, const struct txn_id *mark,
                            const struct replica_write *writes, uint32_t count,
                            struct write_result *results, enum status *statuses,
                            struct error *errors)
{
    (void)service;
    (void)target;
    (void)mark;
    (void)writes;
    (void)errors;
    transacts++;
    context_yield(ctx);
    for (uint32_t i = 0; i < count; i++) {
        results[i] = (struct write_result){0};
        statuses[i] = STATUS_OK;
    }
    return answer;
}

static enum status mark_call(struct context *ctx, struct replica_service *service,
                             const struct replica_target *target, struct bytes key,
                             struct txn_id id, enum replica_mark_action action,
                             enum txn_state *state)
{
    (void)service;
    (void)target;
    (void)key;
    (void)id;
    context_yield(ctx);
    removes += action == MARK_REMOVE;
    *state = mark_state;
    return STATUS_OK;
}

static enum status put(struct context *ctx, struct fake *f, struct error *error)
{
    struct write_request write = {.kind = WRITE_PUT, .table = BYTES("items")};
    struct transact_request request = {.writes = &write, .count = 1, .token = BYTES("a token")};
    struct transact_result result;
    struct buffer text;
    struct value_writer w;
    buffer_init(&text, ctx->env->heap, 1024);
    value_writer_init(&w, &text);
    value_write_begin(&w, VALUE_M);
    value_write_name(&w, BYTES("p"));
    value_write_string(&w, BYTES("x"));
    value_write_end(&w);
    CHECK(f, value_writer_finish(&w, &write.item) == STATUS_OK);
    *error = (struct error){0};
    enum status status = router_transact_write(ctx, f->router, &request, &result, error);
    buffer_release(&text);
    return status;
}

/* Somebody has given it up by a mark: who comes next with the token finds the mark by it, and
 * takes it away. */
static void given_up_body(struct context *ctx, struct fake *f)
{
    struct create_table_request create = {.name = BYTES("items"),
                                          .schema = {.partition = {BYTES("p"), VALUE_S}},
                                          .billing = BILLING_ON_DEMAND};
    struct create_table_request ledger = create, tokens = create;
    struct error error;
    ledger.name = LEDGER_TABLE;
    ledger.schema.partition = (struct key_attribute){BYTES("id"), VALUE_B};
    tokens.name = TOKENS_TABLE;
    tokens.schema.partition = (struct key_attribute){BYTES("token"), VALUE_S};
    fake_create_table(ctx, f, &create);
    fake_create_table(ctx, f, &ledger);
    fake_create_table(ctx, f, &tokens);
    f->service.transact = transact;
    f->service.mark = mark_call;
    answer = STATUS_EXISTS;
    mark_state = TXN_STATE_CANCELLED;
    CHECK(f, put(ctx, f, &error) != STATUS_OK && error.code == ERROR_INTERNAL);
    CHECK(f, transacts == 1 && removes == 0);
    answer = STATUS_OK;
    CHECK(f, put(ctx, f, &error) == STATUS_OK);
    CHECK(f, transacts == 2 && removes == 1);
    router_drain(ctx, f->router);
}

static void a_mark_is_not_forgotten(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, given_up_body);
    fake_close(f);
}

static uint32_t cancels;

static enum status cancel(struct context *ctx, struct replica_service *service,
                          const struct replica_target *target, struct txn_id id,
                          const struct replica_write *writes, uint32_t count)
{
    (void)service;
    (void)target;
    (void)id;
    (void)writes;
    context_yield(ctx);
    cancels += count;
    return STATUS_OK;
}

/* An intent was found of which nobody knows anything: the tables of transactions have been deleted
 * with all others, by a tester.  They are made anew, for its transaction to be cancelled. */
static void nudged_body(struct context *ctx, struct fake *f)
{
    struct create_table_request create = {.name = BYTES("items"),
                                          .schema = {.partition = {BYTES("p"), VALUE_S}},
                                          .billing = BILLING_ON_DEMAND};
    uint8_t key[12] = {[9] = 1, [10] = 'x'};
    fake_create_table(ctx, f, &create);
    f->service.cancel = cancel;
    const struct table *table = NULL;
    struct error error;
    CHECK(f, router_table(f->router, create.name, &table, &error) == STATUS_OK);
    router_nudge(f->router, txn_id_make(ctx->env), table->id, bytes_of(key, sizeof(key)));
    for (uint32_t i = 0; i < 100 && cancels == 0; i++) {
        fake_settle(ctx, f);
        CHECK(f, context_sleep(ctx, 10000000) == STATUS_OK);
    }
    CHECK(f, cancels == 1);
    router_drain(ctx, f->router);
}

static void an_intent_without_a_ledger_goes(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, nudged_body);
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_is_not_forgotten),
        cmocka_unit_test(an_intent_without_a_ledger_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
