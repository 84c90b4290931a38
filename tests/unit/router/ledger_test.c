/* The ledger of transactions: which state may follow on which, and what a full disk takes. */
#include "fake_service.h"

#include "router/ledger.h"

static void open_tables(struct context *ctx, struct fake *f)
{
    struct create_table_request ledger = {.name = LEDGER_TABLE,
                                          .schema = {.partition = {BYTES("id"), VALUE_B}},
                                          .billing = BILLING_ON_DEMAND,
                                          .on_demand_read_max = -1,
                                          .on_demand_write_max = -1};
    struct create_table_request tokens = ledger;
    struct error error;
    tokens.name = TOKENS_TABLE;
    tokens.schema.partition = (struct key_attribute){BYTES("token"), VALUE_S};
    CHECK(f, router_create_table(ctx, f->router, &ledger, &error) == STATUS_OK);
    CHECK(f, router_create_table(ctx, f->router, &tokens, &error) == STATUS_OK);
    fake_settle(ctx, f);
    CHECK(f, ledger_has_tables(f->router));
}

/* What is put on top of each state, and which state that makes. */
static const struct {
    enum txn_ledger_action action;
    bool commits;
    enum txn_state from[2]; /* NONE: there is no row */
    uint32_t from_count;
    enum txn_state to;
} changes[] = {
    {TXN_LEDGER_INSERT, false, {TXN_STATE_NONE}, 1, TXN_STATE_PREPARING},
    {TXN_LEDGER_COMMIT, false, {TXN_STATE_PREPARING}, 1, TXN_STATE_COMMITTING},
    {TXN_LEDGER_CANCEL, false, {TXN_STATE_NONE, TXN_STATE_PREPARING}, 2, TXN_STATE_CANCELLING},
    {TXN_LEDGER_COMPLETE, true, {TXN_STATE_COMMITTING}, 1, TXN_STATE_COMMITTED},
    {TXN_LEDGER_COMPLETE, false, {TXN_STATE_CANCELLING}, 1, TXN_STATE_CANCELLED},
};

/* The puts that lead to a state, one after the other. */
static const struct {
    uint32_t count;
    size_t puts[3];
} ways[TXN_STATE_COUNT] = {
    [TXN_STATE_NONE] = {0, {0}},
    [TXN_STATE_PREPARING] = {1, {0}},
    [TXN_STATE_COMMITTING] = {2, {0, 1}},
    [TXN_STATE_CANCELLING] = {1, {2}},
    [TXN_STATE_COMMITTED] = {3, {0, 1, 3}},
    [TXN_STATE_CANCELLED] = {2, {2, 4}},
};

static enum status put(struct context *ctx, struct fake *f, struct txn_id id, size_t what,
                       enum txn_state *found)
{
    struct bytes record = BYTES("the items");
    return ledger_put(ctx, f->router, id, changes[what].action, changes[what].commits, record,
                      found);
}

static struct txn_id in_state(struct context *ctx, struct fake *f, enum txn_state state)
{
    struct txn_id id = txn_id_make(ctx->env);
    enum txn_state found;
    for (uint32_t i = 0; i < ways[state].count; i++)
        CHECK(f, put(ctx, f, id, ways[state].puts[i], &found) == STATUS_OK);
    return id;
}

static bool may_follow(size_t what, enum txn_state state)
{
    for (uint32_t i = 0; i < changes[what].from_count; i++) {
        if (changes[what].from[i] == state)
            return true;
    }
    return false;
}

static void states_body(struct context *ctx, struct fake *f)
{
    open_tables(ctx, f);
    for (int state = TXN_STATE_NONE; state < (int)TXN_STATE_COUNT; state++) {
        for (size_t what = 0; what < ARRAY_COUNT(changes); what++) {
            struct txn_id id = in_state(ctx, f, (enum txn_state)state);
            bool may = may_follow(what, (enum txn_state)state);
            enum txn_state now, found = TXN_STATE_COUNT;
            struct bytes record;
            CHECK(f, may == txn_state_may_follow((enum txn_state)state, changes[what].to));
            enum status status = put(ctx, f, id, what, &found);
            CHECK(f, status == (may ? STATUS_OK : STATUS_CONDITION_FAILED));
            CHECK(f, may || (int)found == state);
            CHECK(f, ledger_read(ctx, f->router, id, &now, &record) == STATUS_OK);
            CHECK(f, now == (may ? changes[what].to : (enum txn_state)state));
            bool ended = now == TXN_STATE_COMMITTED || now == TXN_STATE_CANCELLED;
            CHECK(f, !ended || record.count == 0);
            CHECK(f, now != TXN_STATE_PREPARING || bytes_equal(record, BYTES("the items")));
            CHECK(f, ledger_remove(ctx, f->router, id) ==
                         (ended ? STATUS_OK : STATUS_CONDITION_FAILED));
        }
    }
}

static void a_state_follows_on_those_it_may(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, states_body);
    fake_close(f);
}

/* A transaction is not begun on a full disk; one that is begun is ended: its intents take space. */
static void urgent_body(struct context *ctx, struct fake *f)
{
    open_tables(ctx, f);
    for (size_t what = 0; what < ARRAY_COUNT(changes); what++) {
        struct txn_id id = in_state(ctx, f, changes[what].from[0]);
        enum txn_state found;
        CHECK(f, put(ctx, f, id, what, &found) == STATUS_OK);
        CHECK(f, f->write.urgent == (changes[what].action != TXN_LEDGER_INSERT));
    }
}

static void what_ends_a_transaction_may_use_the_reserve(void **state)
{
    (void)state;
    struct fake *f = fake_open();
    fake_run(f, urgent_body);
    fake_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_follows_on_those_it_may),
        cmocka_unit_test(what_ends_a_transaction_may_use_the_reserve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
