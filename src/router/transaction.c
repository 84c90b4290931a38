#include "router/transaction.h"

#include "base/assert.h"

#define ARENA_BYTES      ((size_t)1 << 20) /* of keys and the record: 100 items */
#define CALL_ARENA_BYTES ((size_t)128 << 20)
#define CALL_NS          UINT64_C(2000000000)
/* Before a failure is told: what failed at once would be tried again at once. */
#define FAILURE_NS UINT64_C(50000000)

/* A call under way, and then what it was answered. */
struct call {
    struct list link; /* inbox */
    struct transaction *txn;
    struct txn_input input; /* type, participant, ledger number: set at first; the rest, at last */
    enum txn_ledger_action action;
    bool commits;
    bool is_prepare, is_token;
};

/* ---- Making one ---- */

enum status transaction_new(struct router *router, struct txn_id id, struct transaction **made)
{
    struct heap *heap = router->env->heap;
    if (router->transactions.count >= TRANSACTIONS_MAX)
        return STATUS_BUSY;
    struct transaction *txn = heap_alloc_zero(heap, sizeof(*txn));
    if (txn == NULL)
        return STATUS_NO_MEMORY;
    txn->router = router;
    txn->id = id;
    arena_init(&txn->arena, heap, ARENA_BYTES);
    list_init(&txn->inbox);
    wait_queue_init(&txn->inbox_filled);
    wait_queue_init(&txn->client);
    txn->items = arena_alloc_array(&txn->arena, TXN_ITEMS_MAX, sizeof(*txn->items));
    if (txn->items == NULL) {
        arena_release(&txn->arena);
        heap_free(heap, txn, sizeof(*txn));
        return STATUS_NO_MEMORY;
    }
    list_push_back(&router->transactions.all, &txn->link);
    router->transactions.count++;
    *made = txn;
    return STATUS_OK;
}

void transaction_free(struct transaction *txn)
{
    struct router *router = txn->router;
    for (uint32_t i = 0; i < txn->item_count; i++)
        table_drop(txn->items[i].table);
    list_remove(&txn->link);
    arena_release(&txn->arena);
    router->transactions.count--;
    heap_free(router->env->heap, txn, sizeof(*txn));
    wait_queue_wake_all(&router->transactions.ended);
}

enum status transaction_add(struct transaction *txn, const struct table *table, struct bytes key,
                            uint32_t index)
{
    ASSERT(txn->item_count < TXN_ITEMS_MAX);
    struct bytes copy = arena_copy(&txn->arena, key);
    if (copy.at == NULL)
        return STATUS_NO_MEMORY;
    table_hold(table);
    txn->items[txn->item_count++] = (struct transaction_item){copy, table, index};
    return STATUS_OK;
}

/* Group the items by partition, in the order in which partitions first come. */
static enum status group(struct transaction *txn)
{
    struct transaction_item *sorted =
        arena_alloc_array(&txn->arena, TXN_ITEMS_MAX, sizeof(*sorted));
    uint32_t filled = 0;
    if (sorted == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < txn->item_count; i++) {
        uint64_t group_id = router_target(txn->items[i].table, txn->items[i].key).group_id;
        uint32_t p = 0;
        while (p < txn->participant_count && txn->participants[p].group_id != group_id)
            p++;
        if (p == txn->participant_count)
            txn->participants[txn->participant_count++] =
                (struct participant){.group_id = group_id};
        txn->participants[p].count++;
    }
    for (uint32_t p = 0; p < txn->participant_count; p++) {
        txn->participants[p].first = filled;
        for (uint32_t i = 0; i < txn->item_count; i++) {
            const struct transaction_item *item = &txn->items[i];
            if (router_target(item->table, item->key).group_id == txn->participants[p].group_id)
                sorted[filled++] = *item;
        }
    }
    txn->items = sorted;
    return STATUS_OK;
}

enum status transaction_divide(struct transaction *txn)
{
    struct ledger_item items[TXN_ITEMS_MAX];
    struct buffer record;
    TRY(group(txn));
    for (uint32_t i = 0; i < txn->item_count; i++)
        items[i] = (struct ledger_item){txn->items[i].table->id, txn->items[i].key};
    buffer_init(&record, txn->router->env->heap, ARENA_BYTES);
    ledger_record_write(&record, wall_now_ns(txn->router->env), items, txn->item_count);
    if (!record.failed)
        txn->record = arena_copy(&txn->arena, buffer_bytes(&record));
    buffer_release(&record);
    return txn->record.at == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

bool transaction_is_running(const struct router *router, struct txn_id id)
{
    LIST_FOR_EACH (link, &router->transactions.all) {
        if (txn_id_equal(LIST_ITEM(link, struct transaction, link)->id, id))
            return true;
    }
    return false;
}

const struct table *router_table_by_id(struct router *router, uint64_t table_id)
{
    const struct catalog *catalog = &router->catalog;
    for (uint32_t i = 0; i < catalog->count; i++) {
        if (catalog->tables[i]->id == table_id && !table_is_departed(catalog->tables[i]))
            return catalog->tables[i];
    }
    return NULL;
}

/* ---- Calls to participants ---- */

/* The table as it is now; NULL: it is gone, or about to go, and its intents with it. */
static const struct table *table_now(struct router *router, const struct table *table)
{
    const struct table *now = catalog_find(&router->catalog, table->name);
    return now != NULL && now->id == table->id && now->status != TABLE_DELETING ? now : NULL;
}

/* The same for who ends the transaction: the records of a table that departs are to have it. */
static const struct table *table_to_tell(struct router *router, const struct table *table)
{
    const struct table *now = catalog_find(&router->catalog, table->name);
    bool departs = now != NULL && now->id == table->id && router_departs(router, now);
    return departs ? now : table_now(router, table);
}

/* The writes of a participant, as calls want them. */
static struct replica_write *make_writes(struct context *ctx, const struct transaction *txn,
                                         const struct participant *part)
{
    struct replica_write *writes = arena_alloc_zero(&ctx->arena, part->count * sizeof(*writes));
    for (uint32_t i = 0; writes != NULL && i < part->count; i++)
        writes[i].key = txn->items[part->first + i].key;
    return writes;
}

/* How many of the items from `i` on are in one partition now; they are told of the table what the
 * node needs.  It is to be held while the call lasts. */
static uint32_t run_of(const struct table *table, struct replica_write *writes, uint32_t i,
                       uint32_t count, struct replica_target *target)
{
    *target = router_target(table, writes[i].key);
    uint32_t end = i;
    while (end < count && router_target(table, writes[end].key).group_id == target->group_id) {
        if (router_has_derived(table))
            router_write_indexed(table, &writes[end]);
        end++;
    }
    return end - i;
}

/* Tell a participant how it ended.  A table that is gone has taken its intents along. */
static enum status tell(struct context *ctx, struct transaction *txn, uint32_t p, bool commits)
{
    const struct participant *part = &txn->participants[p];
    struct replica_service *service = txn->router->service;
    struct replica_write *writes = make_writes(ctx, txn, part);
    if (writes == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0, count; i < part->count; i += count) {
        struct replica_target target;
        const struct table *table = table_to_tell(txn->router, txn->items[part->first].table);
        if (table == NULL)
            return STATUS_OK;
        count = run_of(table, writes, i, part->count, &target);
        table_hold(table);
        enum status status = (commits ? service->commit : service->cancel)(
            ctx, service, &target, txn->id, writes + i, count);
        table_drop(table);
        TRY(status);
    }
    return STATUS_OK;
}

/* What errors of a call point to is in its arena: move it to the client's. */
static void keep_error(struct arena *arena, struct error *error)
{
    if (error->message.at != NULL) {
        struct bytes copy = arena_copy(arena, error->message);
        error->message = copy.at == NULL ? BYTES("") : copy;
    }
    if (value_type(error->item) == VALUE_NONE)
        return;
    struct bytes item = arena_copy(arena, bytes_of(error->item.at, error->item.bytes));
    error->item = item.at == NULL ? VALUE_ABSENT : (struct value){item.at, error->item.bytes};
}

struct prepared {
    struct replica_write *writes;
    struct write_result *results;
    enum status *statuses;
    struct error *errors;
};

static void take_prepared(struct transaction *txn, const struct participant *part,
                          const struct prepared *call, bool *refused)
{
    for (uint32_t i = 0; i < part->count; i++) {
        uint32_t index = txn->items[part->first + i].index;
        txn->asked.results[index] = call->results[i];
        txn->asked.statuses[index] = call->statuses[i];
        txn->asked.errors[index] = call->errors[i];
        if (call->statuses[i] == STATUS_OK)
            continue;
        if (call->statuses[i] == STATUS_THROTTLED && call->results[i].held_for.count > 0)
            (void)router_throttled_write(txn->router, txn->asked.requests[index].table,
                                         STATUS_THROTTLED, &call->results[i], txn->asked.arena,
                                         &txn->asked.errors[index]);
        keep_error(txn->asked.arena, &txn->asked.errors[index]);
        *refused = true;
    }
}

static enum status prepare_run(struct context *ctx, struct transaction *txn,
                               const struct participant *part, struct prepared *call)
{
    struct replica_service *service = txn->router->service;
    struct replica_txn replica_txn = {txn->id, txn->timestamp};
    for (uint32_t i = 0, count; i < part->count; i += count) {
        struct replica_target target;
        uint64_t seen = 0;
        const struct table *table = table_now(txn->router, txn->items[part->first].table);
        if (table == NULL)
            return STATUS_MOVED;
        count = run_of(table, call->writes, i, part->count, &target);
        router_rates(txn->router, table, target.rates);
        table_hold(table);
        enum status status =
            service->prepare(ctx, service, &target, &replica_txn, call->writes + i, count,
                             call->results + i, call->statuses + i, call->errors + i, &seen);
        table_drop(table);
        txn_clock_observe(&txn->router->transactions.clock, seen);
        if (status == STATUS_CORRUPT && i > 0)
            return STATUS_UNKNOWN_OUTCOME; /* what is before it has been prepared */
        TRY(status);
    }
    return STATUS_OK;
}

/* All of a participant's items are refused for what they would cost. */
static void throttle(struct transaction *txn, const struct participant *part, enum status status)
{
    for (uint32_t i = 0; i < part->count; i++) {
        uint32_t index = txn->items[part->first + i].index;
        txn->asked.statuses[index] = status;
        (void)router_throttled(txn->router, txn->asked.requests[index].table, ADMISSION_WRITE,
                               status, &txn->asked.errors[index]);
    }
}

static enum txn_result prepare(struct context *ctx, struct transaction *txn, uint32_t p)
{
    struct participant *part = &txn->participants[p];
    bool refused = false, again = part->asked;
    struct prepared call = {
        .writes = make_writes(ctx, txn, part),
        .results = arena_alloc_zero(&ctx->arena, part->count * sizeof(*call.results)),
        .statuses = arena_alloc_zero(&ctx->arena, part->count * sizeof(*call.statuses)),
        .errors = arena_alloc_zero(&ctx->arena, part->count * sizeof(*call.errors)),
    };
    enum status status = STATUS_NO_MEMORY;
    part->asked = true;
    if (call.writes != NULL && call.results != NULL && call.statuses != NULL &&
        call.errors != NULL) {
        for (uint32_t i = 0; i < part->count; i++) {
            const struct write_request *request =
                &txn->asked.requests[txn->items[part->first + i].index];
            call.writes[i].request = request;
            call.writes[i].key_attributes = request->item;
        }
        status = prepare_run(ctx, txn, part, &call);
    }
    if (status_is_throttle(status)) { /* before anything was done */
        throttle(txn, part, status);
        return TXN_RESULT_REFUSED;
    }
    if (status != STATUS_OK) {
        txn->failure = status;
        /* On damaged pages nothing was prepared.  To ask again would not help, and to cancel what
         * cannot be read would keep the client and its other items until the deadline. */
        return status == STATUS_CORRUPT && !again ? TXN_RESULT_REFUSED : TXN_RESULT_UNKNOWN;
    }
    take_prepared(txn, part, &call, &refused);
    return refused ? TXN_RESULT_REFUSED : TXN_RESULT_OK;
}

/* ---- Calls to the ledger ---- */

static void ask_ledger(struct context *ctx, struct call *call)
{
    struct transaction *txn = call->txn;
    enum txn_state found = TXN_STATE_NONE;
    enum status status;
    if (call->action == TXN_LEDGER_READ)
        status = ledger_read(ctx, txn->router, txn->id, &found, NULL);
    else
        status =
            ledger_put(ctx, txn->router, txn->id, call->action, call->commits, txn->record, &found);
    call->input.found = found;
    if (status == STATUS_OK)
        call->input.result = TXN_RESULT_OK;
    else if (status == STATUS_CONDITION_FAILED)
        call->input.result = TXN_RESULT_REFUSED;
    else
        call->input.result = TXN_RESULT_UNKNOWN;
}

static enum txn_result insert_token(struct context *ctx, struct transaction *txn)
{
    struct token_row found;
    enum status status = token_insert(ctx, txn->router, txn->asked.token, &found);
    if (status == STATUS_OK)
        return TXN_RESULT_OK;
    if (status != STATUS_CONDITION_FAILED)
        return TXN_RESULT_UNKNOWN;
    if (txn_id_equal(found.id, txn->id))
        return TXN_RESULT_OK; /* an attempt before did it */
    found.token = txn->asked.token->token;
    found.mark_key = arena_copy(txn->asked.arena, found.mark_key);
    if (found.mark_key.at == NULL)
        return TXN_RESULT_UNKNOWN;
    *txn->asked.taken = found;
    return TXN_RESULT_REFUSED;
}

/* ---- Calls, each on its fiber ---- */

static void call_run(struct context *ctx, void *argument)
{
    struct call *call = argument;
    struct transaction *txn = call->txn;
    memcpy(ctx->trace_id, txn->asked.trace_id, sizeof(ctx->trace_id));
    switch (call->input.type) {
    case TXN_PREPARE_ANSWER:
        call->input.result = prepare(ctx, txn, call->input.participant);
        break;
    case TXN_OUTCOME_ANSWER:
        call->input.result =
            tell(ctx, txn, call->input.participant, !call->input.is_cancel) == STATUS_OK
                ? TXN_RESULT_OK
                : TXN_RESULT_UNKNOWN;
        break;
    case TXN_LEDGER_ANSWER:
        ask_ledger(ctx, call);
        break;
    default:
        call->input.result = insert_token(ctx, txn);
        break;
    }
    if (call->input.result == TXN_RESULT_UNKNOWN)
        (void)!context_sleep(ctx, FAILURE_NS);
    list_push_back(&txn->inbox, &call->link);
    wait_queue_wake_all(&txn->inbox_filled);
}

static void send(struct transaction *txn, const struct call *said)
{
    struct env *env = txn->router->env;
    struct call *call = heap_alloc(env->heap, sizeof(*call));
    if (call == NULL)
        return; /* as if it was lost: the core asks again */
    *call = *said;
    call->txn = txn;
    list_init(&call->link);
    struct fiber_options options = {.arena_bytes_max = CALL_ARENA_BYTES,
                                    .deadline_ns = env_now_ns(env) + CALL_NS};
    bool uses_client = call->is_prepare || call->is_token;
    if (uses_client)
        options.budget = txn->asked.arena->budget;
    txn->running++;
    txn->preparing += uses_client;
    if (fiber_spawn(env, &options, call_run, call) == STATUS_OK)
        return;
    call->input.result = TXN_RESULT_UNKNOWN;
    list_push_back(&txn->inbox, &call->link);
    wait_queue_wake_all(&txn->inbox_filled);
}

static void send_to_all(struct transaction *txn, struct txn_set set, const struct call *said)
{
    for (uint32_t p = 0; p < txn->participant_count; p++) {
        struct call call = *said;
        call.input.participant = p;
        if (txn_set_has(set, p))
            send(txn, &call);
    }
}

static void carry_out(struct transaction *txn, const struct txn_update *update)
{
    struct call ledger = {
        .input = {.type = TXN_LEDGER_ANSWER, .ledger_number = update->ledger_number},
        .action = update->ledger,
        .commits = update->commits};
    struct call token = {.input = {.type = TXN_TOKEN_ANSWER}, .is_token = true};
    struct call prepare_call = {.input = {.type = TXN_PREPARE_ANSWER}, .is_prepare = true};
    struct call commit = {.input = {.type = TXN_OUTCOME_ANSWER}};
    struct call cancel = {.input = {.type = TXN_OUTCOME_ANSWER, .is_cancel = true}};
    if (update->answer != TXN_ANSWER_NONE) {
        txn->answer = update->answer;
        txn->answered = true;
        wait_queue_wake_all(&txn->client);
    }
    /* A client that was answered has taken its memory along, once its calls have ended. */
    bool client = !txn->answered;
    if (update->ledger != TXN_LEDGER_NOTHING)
        send(txn, &ledger);
    if (update->insert_token && client)
        send(txn, &token);
    if (client)
        send_to_all(txn, update->prepare, &prepare_call);
    send_to_all(txn, update->commit, &commit);
    send_to_all(txn, update->cancel, &cancel);
}

/* ---- The coordinator's fiber ---- */

static void step(struct transaction *txn, struct txn_input *input, struct txn_update *update)
{
    input->now_ns = env_now_ns(txn->router->env);
    txn_coordinator_step(&txn->core, input, update);
    carry_out(txn, update);
}

static void take_call(struct transaction *txn, struct txn_update *update)
{
    struct call *call = LIST_ITEM(list_pop_front(&txn->inbox), struct call, link);
    struct txn_input input = call->input;
    txn->running--;
    if (call->is_prepare || call->is_token) {
        txn->preparing--;
        wait_queue_wake_all(&txn->client);
    }
    heap_free(txn->router->env->heap, call, sizeof(*call));
    step(txn, &input, update);
}

/* Nobody waits for what is left to do, and the server stops: a recovery does it. */
static bool gives_up(const struct transaction *txn)
{
    return txn->router->transactions.closing && (txn->answered || txn->core.options.recovery);
}

static void coordinate(struct context *ctx, void *argument)
{
    struct transaction *txn = argument;
    struct txn_input input = {.type = TXN_BEGIN};
    struct txn_update update;
    step(txn, &input, &update);
    /* The client's fiber looks at it until it has its answer. */
    while (txn->running > 0 || txn->client_waits || (!update.ended && !gives_up(txn))) {
        if (!list_empty(&txn->inbox)) {
            take_call(txn, &update);
            continue;
        }
        bool over = update.ended || gives_up(txn);
        ctx->deadline_ns = over ? UINT64_MAX : update.timeout_ns;
        if (wait_queue_wait(ctx, &txn->inbox_filled) == STATUS_OK)
            continue;
        input = (struct txn_input){.type = TXN_TIMEOUT};
        step(txn, &input, &update);
    }
    transaction_free(txn);
}

static enum status start(struct transaction *txn, const struct txn_options *options)
{
    struct fiber_options fiber = {.arena_bytes_max = ARENA_BYTES, .deadline_ns = UINT64_MAX};
    txn_coordinator_init(&txn->core, options);
    return fiber_spawn(txn->router->env, &fiber, coordinate, txn);
}

enum status transaction_run(struct context *ctx, struct transaction *txn,
                            const struct transaction_request *request, enum txn_answer *answer,
                            enum status *failure)
{
    struct router *router = txn->router;
    struct txn_options options = {.participant_count = txn->participant_count,
                                  .with_token = request->token != NULL,
                                  .deadline_ns = ctx->deadline_ns};
    txn->asked = *request;
    txn->timestamp = txn_clock_next(&router->transactions.clock, env_wall_ns(router->env));
    txn->client_waits = true;
    enum status status = start(txn, &options);
    if (status != STATUS_OK) {
        transaction_free(txn);
        return status;
    }
    /* It is answered at the deadline, but not before its calls have ended. */
    while (!txn->answered || txn->preparing > 0)
        wait_queue_wait_out(ctx, &txn->client);
    *answer = txn->answer;
    *failure = txn->failure;
    txn->client_waits = false;
    wait_queue_wake_all(&txn->inbox_filled);
    return STATUS_OK;
}

enum status transaction_recover(struct transaction *txn)
{
    struct txn_options options = {.participant_count = txn->participant_count, .recovery = true};
    enum status status = start(txn, &options);
    if (status != STATUS_OK)
        transaction_free(txn);
    return status;
}
