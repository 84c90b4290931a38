/* transact.c - TransactWriteItems: check the keys, mind the token, then one round or two phases. */
#include "admission/units.h"
#include "base/assert.h"
#include "base/checksum.h"
#include "router/transaction.h"

#define HASH_SEED UINT64_C(0x74786e2d68617368) /* of requests */
#define MISMATCH                                                                                   \
    "DynamoDB rejected the request because you retried a request with a different payload but "    \
    "with an idempotent token that was already used."
#define IN_PROGRESS "Transaction from previous request is still in progress"

struct transact {
    struct context *ctx;
    struct router *router;
    const struct transact_request *request;
    struct transact_result *result;
    struct error *error;
    /* Of each action: */
    struct bytes *keys;
    const struct table **tables; /* held */
    uint32_t held;
    enum status *statuses;
    struct error *errors;
    uint64_t *budgets;      /* of router_spend */
    struct token_row token; /* this request's */
};

/* ---- Refusals ---- */

struct bytes router_reason_code(enum error_code code)
{
    switch (code) {
    case ERROR_NONE:
        return BYTES("None");
    case ERROR_CONDITION_FAILED:
        return BYTES("ConditionalCheckFailed");
    case ERROR_DUPLICATE_ITEM:
        return BYTES("DuplicateItem");
    case ERROR_TRANSACTION_CONFLICT:
        return BYTES("TransactionConflict");
    case ERROR_COLLECTION_SIZE:
        return BYTES("ItemCollectionSizeLimitExceeded");
    case ERROR_THROUGHPUT_EXCEEDED:
        return BYTES("ProvisionedThroughputExceeded");
    case ERROR_THROTTLING:
        return BYTES("ThrottlingError");
    default:
        return BYTES("ValidationError");
    }
}

enum status router_cancelled(struct error *error, struct arena *arena, const struct error *reasons,
                             uint32_t count)
{
    struct buffer text;
    buffer_init(&text, arena->heap, 8192);
    buffer_append_bytes(&text, BYTES("Transaction cancelled, please refer cancellation reasons for "
                                     "specific reasons ["));
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            buffer_append_bytes(&text, BYTES(", "));
        buffer_append_bytes(&text, router_reason_code(reasons[i].code));
    }
    buffer_append_u8(&text, ']');
    struct error *kept = arena_alloc_array(arena, count, sizeof(*kept));
    struct bytes message = arena_copy(arena, buffer_bytes(&text));
    bool whole = !text.failed && kept != NULL && message.at != NULL;
    buffer_release(&text);
    if (!whole)
        return error_internal(error, STATUS_NO_MEMORY);
    memcpy(kept, reasons, count * sizeof(*kept));
    *error = (struct error){.code = ERROR_TRANSACTION_CANCELED,
                            .message = message,
                            .reasons = kept,
                            .reason_count = count};
    return STATUS_INVALID;
}

static bool any_refused(const struct transact *t)
{
    for (uint32_t i = 0; i < t->request->count; i++) {
        if (t->statuses[i] != STATUS_OK)
            return true;
    }
    return false;
}

static enum status refuse(struct transact *t)
{
    t->router->transactions.stats.cancelled++;
    return router_cancelled(t->error, &t->ctx->arena, t->errors, t->request->count);
}

/* ---- Before anything is sent ---- */

/* An empty key is no reason but a fault of the whole request, as the service has it. */
bool router_refuses_request(const struct error *error)
{
    return bytes_start_with(error->message, BYTES(NOT_VALID)) || error->code != ERROR_VALIDATION;
}

static enum status check_key(struct transact *t, uint32_t i)
{
    const struct table *table;
    struct key key;
    TRY(router_table(t->router, t->request->writes[i].table, &table, t->error));
    table_hold(table);
    t->tables[i] = table;
    t->held = i + 1;
    enum status status =
        router_check_write(table, &t->request->writes[i], &t->ctx->arena, &key, &t->errors[i]);
    if (status != STATUS_OK) {
        t->statuses[i] = status;
        *t->error = t->errors[i];
        return status == STATUS_INVALID && !router_refuses_request(t->error) ? STATUS_OK : status;
    }
    t->keys[i] = arena_copy(&t->ctx->arena, key_bytes(&key));
    return t->keys[i].at != NULL ? STATUS_OK : error_internal(t->error, STATUS_NO_MEMORY);
}

static enum status check_duplicates(struct transact *t)
{
    for (uint32_t i = 0; i < t->request->count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (t->tables[i]->id == t->tables[j]->id && bytes_equal(t->keys[i], t->keys[j]))
                return error_set(t->error, ERROR_VALIDATION, MULTIPLE_OPERATIONS);
        }
    }
    return STATUS_OK;
}

static enum status check(struct transact *t)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < t->request->count; i++) {
        TRY(check_key(t, i));
        bytes += item_size(t->request->writes[i].item);
    }
    if (any_refused(t))
        return refuse(t);
    TRY(check_duplicates(t));
    if (bytes > TXN_BYTES_MAX)
        return error_set(t->error, ERROR_VALIDATION, TRANSACTION_TOO_LARGE);
    return STATUS_OK;
}

/* May the tables spend what all of it costs at least? */
static enum status spend(struct transact *t)
{
    for (uint32_t i = 0; i < t->request->count; i++) {
        t->statuses[i] =
            router_spend(t->router, t->request->writes[i].table, t->tables[i], ADMISSION_WRITE,
                         UNITS_WRITE_LEAST, &t->budgets[i], &t->errors[i]);
        if (t->statuses[i] == STATUS_NO_MEMORY)
            return error_internal(t->error, STATUS_NO_MEMORY);
    }
    return any_refused(t) ? refuse(t) : STATUS_OK;
}

/* What it has cost beyond that. */
static void spent(struct transact *t, enum status status)
{
    for (uint32_t i = 0; i < t->request->count; i++) {
        if (t->budgets[i] == 0)
            continue;
        bool failed = t->statuses[i] == STATUS_CONDITION_FAILED;
        bool done = (status == STATUS_OK && !t->result->replayed) || failed;
        int64_t cost = done ? units_transaction_halves(t->statuses[i], &t->result->writes[i]) : 0;
        router_spent(t->router, t->budgets[i], ADMISSION_WRITE, cost - (int64_t)UNITS_WRITE_LEAST);
    }
}

/* The parameters that matter, in canonical form, as 16 bytes. */
static enum status hash_request(struct transact *t)
{
    uint32_t count = t->request->count;
    uint64_t *parts = arena_alloc_array(&t->ctx->arena, count, 5 * sizeof(*parts));
    if (parts == NULL)
        return error_internal(t->error, STATUS_NO_MEMORY);
    for (uint32_t i = 0; i < count; i++) {
        const struct write_request *write = &t->request->writes[i];
        uint64_t *part = parts + (size_t)i * 5;
        part[0] = (uint64_t)write->kind << 1 | write->return_on_failure;
        part[1] = t->tables[i]->id;
        part[2] = checksum64(bytes_of(write->item.at, write->item.bytes), HASH_SEED);
        part[3] = checksum64(write->condition.code, HASH_SEED);
        part[4] = checksum64(write->update.code, HASH_SEED);
    }
    struct bytes all = bytes_of(parts, (size_t)count * 5 * sizeof(*parts));
    put_u64(t->token.judged.request_hash, checksum64(all, HASH_SEED));
    put_u64(t->token.judged.request_hash + 8, checksum64(all, ~HASH_SEED));
    return STATUS_OK;
}

/* ---- Tokens that were there before ---- */

/* What became of the transaction that has the token. */
static enum status find_state(struct transact *t, const struct token_row *found,
                              enum txn_state *state)
{
    struct router *router = t->router;
    if (found->mark_table == 0)
        return ledger_read(t->ctx, router, found->id, state, NULL);
    const struct table *table = router_table_by_id(router, found->mark_table);
    *state = TXN_STATE_CANCELLED; /* nothing is left of it */
    if (table == NULL)
        return STATUS_OK;
    struct replica_target target = router_target(table, found->mark_key);
    TRY(router->service->mark(t->ctx, router->service, &target, found->mark_key, found->id,
                              MARK_READ, state));
    if (*state == TXN_STATE_NONE)
        *state = TXN_STATE_PREPARING;
    return STATUS_OK;
}

/* It is decided, and nobody here carries it out; or it has been under way for too long: somebody
 * has to end it. */
static void end_stale(struct transact *t, const struct token_row *found)
{
    struct router *router = t->router;
    enum txn_state state = found->judged.state;
    bool left = state == TXN_STATE_COMMITTING && !transaction_is_running(router, found->id);
    if (!left && wall_now_ns(router->env) < found->judged.created_ns + TXN_STALE_NS)
        return;
    if (found->mark_table == 0) {
        (void)!recovery_of(t->ctx, router, found->id);
        return;
    }
    const struct table *table = router_table_by_id(router, found->mark_table);
    if (table == NULL)
        return;
    struct replica_target target = router_target(table, found->mark_key);
    (void)!router->service->mark(t->ctx, router->service, &target, found->mark_key, found->id,
                                 MARK_CANCEL, &state);
}

/* Success again: nothing changes, and what the items take is read. */
static enum status replay(struct transact *t)
{
    struct replica_service *service = t->router->service;
    for (uint32_t i = 0; i < t->request->count; i++) {
        struct replica_target target = router_target(t->tables[i], t->keys[i]);
        struct version_result seen = {0};
        enum status status = service->read_version(t->ctx, service, &target, &t->keys[i], 1, false,
                                                   UINT64_MAX, &seen);
        if (status != STATUS_OK)
            return router_replica_error(t->error, status);
        t->result->writes[i] = (struct write_result){.old_bytes = seen.item_bytes};
    }
    t->result->replayed = true;
    t->router->transactions.stats.replayed++;
    return STATUS_OK;
}

/* The token was there.  *again: it is this request's now. */
static enum status judge(struct transact *t, struct token_row *found, bool *again)
{
    enum status status = find_state(t, found, &found->judged.state);
    if (status != STATUS_OK)
        return router_replica_error(t->error, status);
    switch (txn_token_judge(&found->judged, t->token.judged.request_hash,
                            wall_now_ns(t->router->env))) {
    case TXN_TOKEN_REPLAY:
        return replay(t);
    case TXN_TOKEN_MISMATCH:
        return error_set(t->error, ERROR_IDEMPOTENT_MISMATCH, MISMATCH);
    case TXN_TOKEN_PENDING:
        end_stale(t, found);
        return error_set(t->error, ERROR_TRANSACTION_IN_PROGRESS, IN_PROGRESS);
    case TXN_TOKEN_ANEW:
        break;
    }
    status = token_replace(t->ctx, t->router, &t->token, found->id);
    if (status == STATUS_CONDITION_FAILED)
        return error_set(t->error, ERROR_TRANSACTION_IN_PROGRESS, IN_PROGRESS);
    if (status != STATUS_OK)
        return router_replica_error(t->error, status);
    *again = true;
    return STATUS_OK;
}

/* ---- Two phases ---- */

static enum status make(struct transact *t, struct txn_id id, struct transaction **made)
{
    struct transaction *txn;
    TRY(transaction_new(t->router, id, &txn));
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < t->request->count; i++)
        status = transaction_add(txn, t->tables[i], t->keys[i], i);
    if (status == STATUS_OK)
        status = transaction_divide(txn);
    if (status != STATUS_OK)
        transaction_free(txn);
    else
        *made = txn;
    return status;
}

static enum status make_error(struct transact *t, enum status status)
{
    if (status == STATUS_BUSY)
        return error_set(t->error, ERROR_THROTTLING, "Too many transactions are under way");
    return router_replica_error(t->error, status);
}

/* Run it as `id`.  With `insert_token` the token is inserted beside the prepares; *taken is then
 * what may be there in its place, if *is_taken. */
static enum status two_phases(struct transact *t, struct txn_id id, bool insert_token,
                              struct token_row *taken, bool *is_taken)
{
    struct transaction *txn;
    enum txn_answer answer = TXN_ANSWER_UNKNOWN;
    enum status failure = STATUS_OK;
    struct transaction_request request = {
        .requests = t->request->writes,
        .results = t->result->writes,
        .statuses = t->statuses,
        .errors = t->errors,
        .arena = &t->ctx->arena,
        .token = insert_token ? &t->token : NULL,
        .taken = taken,
        .trace_id = {t->ctx->trace_id[0], t->ctx->trace_id[1]},
    };
    enum status status = make(t, id, &txn);
    if (status == STATUS_OK)
        status = transaction_run(t->ctx, txn, &request, &answer, &failure);
    if (status != STATUS_OK)
        return make_error(t, status);
    switch (answer) {
    case TXN_ANSWER_COMMITTED:
        t->router->transactions.stats.two_phase++;
        return STATUS_OK;
    case TXN_ANSWER_TOKEN_TAKEN:
        *is_taken = true;
        return STATUS_OK;
    case TXN_ANSWER_CANCELLED:
        if (any_refused(t))
            return refuse(t);
        t->router->transactions.stats.cancelled++;
        return router_replica_error(t->error, failure == STATUS_OK ? STATUS_UNAVAILABLE : failure);
    default:
        t->router->transactions.stats.unknown++;
        return error_internal(t->error, STATUS_UNKNOWN_OUTCOME);
    }
}

/* ---- One round ---- */

/* Are all items in one partition? */
static bool is_in_one(const struct transact *t)
{
    uint64_t group_id = router_target(t->tables[0], t->keys[0]).group_id;
    for (uint32_t i = 1; i < t->request->count; i++) {
        if (router_target(t->tables[i], t->keys[i]).group_id != group_id)
            return false;
    }
    return true;
}

static enum status send_in_one(struct transact *t, const struct txn_id *mark)
{
    struct replica_service *service = t->router->service;
    uint32_t count = t->request->count;
    struct replica_write *writes = arena_alloc_zero(&t->ctx->arena, count * sizeof(*writes));
    if (writes == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        writes[i] = (struct replica_write){.key = t->keys[i],
                                           .key_attributes = t->request->writes[i].item,
                                           .request = &t->request->writes[i]};
        if (router_has_derived(t->tables[i]))
            router_write_indexed(t->tables[i], &writes[i]);
    }
    struct replica_target target = router_target(t->tables[0], t->keys[0]);
    router_rates(t->router, t->tables[0], target.rates);
    return service->transact(t->ctx, service, &target, mark, writes, count, t->result->writes,
                             t->statuses, t->errors);
}

/* *too_large: nothing was done, it takes two phases; which also look for the partitions anew. */
static enum status one_round(struct transact *t, bool with_token, bool *too_large)
{
    enum status status = send_in_one(t, with_token ? &t->token.id : NULL);
    if (status == STATUS_TOO_LARGE || status == STATUS_MOVED) {
        *too_large = true;
        return STATUS_OK;
    }
    if (status_is_throttle(status)) {
        for (uint32_t i = 0; i < t->request->count; i++) {
            t->statuses[i] = status;
            (void)router_throttled(t->router, t->request->writes[i].table, ADMISSION_WRITE, status,
                                   &t->errors[i]);
        }
        status = STATUS_OK;
    }
    for (uint32_t i = 0; status == STATUS_OK && i < t->request->count; i++) {
        if (t->statuses[i] == STATUS_THROTTLED && t->result->writes[i].held_for.count > 0)
            (void)router_throttled_write(t->router, t->request->writes[i].table, t->statuses[i],
                                         &t->result->writes[i], &t->ctx->arena, &t->errors[i]);
    }
    bool refused = status == STATUS_OK && any_refused(t);
    if (status == STATUS_OK && !refused) {
        t->router->transactions.stats.one_round++;
        return STATUS_OK;
    }
    if (status == STATUS_UNKNOWN_OUTCOME) {
        t->router->transactions.stats.unknown++;
        return error_internal(t->error, status);
    }
    /* Nothing came of it, and nothing will: the token is free at once.  But if somebody gave it up:
     * the mark that says so is found by the token. */
    if (with_token && status != STATUS_EXISTS)
        (void)!token_remove(t->ctx, t->router, t->token.token, t->token.id);
    return refused ? refuse(t) : router_replica_error(t->error, status);
}

static enum status run_in_one(struct transact *t, bool *too_large)
{
    struct token_row found;
    bool again = false;
    if (t->request->token.count == 0)
        return one_round(t, false, too_large);
    t->token.mark_table = t->tables[0]->id;
    t->token.mark_key = t->keys[0];
    enum status status = token_insert(t->ctx, t->router, &t->token, &found);
    if (status == STATUS_CONDITION_FAILED) {
        status = judge(t, &found, &again);
        if (status != STATUS_OK || !again)
            return status;
        if (found.mark_table != 0)
            (void)!recovery_remove_mark(t->ctx, t->router, &found);
    } else if (status != STATUS_OK) {
        return router_replica_error(t->error, status);
    }
    return one_round(t, true, too_large);
}

static enum status run_in_two(struct transact *t)
{
    struct token_row found = {0};
    bool with_token = t->request->token.count > 0, is_taken = false, again = false;
    t->token.mark_table = 0;
    TRY(two_phases(t, t->token.id, with_token, &found, &is_taken));
    if (!is_taken)
        return STATUS_OK;
    t->token.id = txn_id_make(t->router->env);
    TRY(judge(t, &found, &again));
    if (!again)
        return STATUS_OK;
    if (found.mark_table != 0)
        (void)!recovery_remove_mark(t->ctx, t->router, &found);
    memset(t->statuses, 0, t->request->count * sizeof(*t->statuses));
    memset(t->errors, 0, t->request->count * sizeof(*t->errors));
    return two_phases(t, t->token.id, false, &found, &is_taken);
}

static enum status run(struct transact *t)
{
    bool too_large = false, one = is_in_one(t);
    t->token.token = t->request->token;
    t->token.judged.created_ns = wall_now_ns(t->router->env);
    t->token.id = txn_id_make(t->router->env);
    if (t->request->token.count > 0)
        TRY(hash_request(t));
    if (!one || t->request->token.count > 0) {
        TRY(ledger_open_tables(t->ctx, t->router, t->error));
        recovery_begin(t->router);
    }
    if (one)
        TRY(run_in_one(t, &too_large));
    if (one && !too_large)
        return STATUS_OK;
    if (!one)
        return run_in_two(t);
    TRY(ledger_open_tables(t->ctx, t->router, t->error));
    if (t->request->token.count > 0) { /* the token says of it that it is in one round: anew */
        struct token_row row = t->token;
        row.mark_table = 0;
        row.id = txn_id_make(t->router->env);
        enum status status = token_replace(t->ctx, t->router, &row, t->token.id);
        if (status != STATUS_OK)
            return router_replica_error(
                t->error, status == STATUS_CONDITION_FAILED ? STATUS_UNAVAILABLE : status);
        t->token = row;
    }
    bool is_taken = false;
    return two_phases(t, t->token.id, false, NULL, &is_taken);
}

enum status router_transact_write(struct context *ctx, struct router *router,
                                  const struct transact_request *request,
                                  struct transact_result *result, struct error *error)
{
    ASSERT(request->count > 0 && request->count <= TXN_ITEMS_MAX);
    struct arena *arena = &ctx->arena;
    uint32_t count = request->count;
    struct transact t = {
        .ctx = ctx,
        .router = router,
        .request = request,
        .result = result,
        .error = error,
        .keys = arena_alloc_array(arena, count, sizeof(*t.keys)),
        .tables = arena_alloc_array(arena, count, sizeof(*t.tables)),
        .statuses = arena_alloc_zero(arena, count * sizeof(*t.statuses)),
        .errors = arena_alloc_zero(arena, count * sizeof(*t.errors)),
        .budgets = arena_alloc_zero(arena, count * sizeof(*t.budgets)),
    };
    *result = (struct transact_result){
        .writes = arena_alloc_zero(arena, count * sizeof(*result->writes))};
    if (t.keys == NULL || t.tables == NULL || t.statuses == NULL || t.errors == NULL ||
        t.budgets == NULL || result->writes == NULL)
        return error_internal(error, STATUS_NO_MEMORY);
    enum status status = check(&t);
    if (status == STATUS_OK)
        status = spend(&t);
    if (status == STATUS_OK)
        status = run(&t);
    spent(&t, status);
    for (uint32_t i = 0; i < t.held; i++)
        table_drop(t.tables[i]);
    return status;
}
