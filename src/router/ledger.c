#include "router/ledger.h"

#include "base/assert.h"
#include "base/codec.h"

#define ROW_BYTES_MAX  (512u * 1024u)
#define TABLE_POLL_NS  UINT64_C(2000000)
#define PROGRAMS_BYTES ((size_t)64 << 10)

/* ---- Ids ---- */

uint64_t txn_id_begun_ms(struct txn_id id)
{
    return get_u64_be(id.at) >> 16;
}

struct txn_id txn_id_make(struct env *env)
{
    struct txn_id id;
    env_random(env, id.at, sizeof(id.at));
    uint64_t ms = env_wall_ns(env) / UINT64_C(1000000);
    put_u64_be(id.at, ms << 16 | (get_u64_be(id.at) & 0xffff));
    return id;
}

/* ---- The tables ---- */

static bool is_there(struct router *router, struct bytes name)
{
    const struct table *table = catalog_find(&router->catalog, name);
    return table != NULL && table->status == TABLE_ACTIVE;
}

bool ledger_has_tables(struct router *router)
{
    return is_there(router, LEDGER_TABLE) && is_there(router, TOKENS_TABLE);
}

static enum status make_table(struct context *ctx, struct router *router, struct bytes name,
                              struct bytes key, enum value_type type, struct error *error)
{
    struct create_table_request request = {.name = name,
                                           .schema = {.partition = {key, type}},
                                           .billing = BILLING_ON_DEMAND,
                                           .on_demand_read_max = -1,
                                           .on_demand_write_max = -1};
    if (catalog_find(&router->catalog, name) != NULL)
        return STATUS_OK;
    enum status status = router_create_table(ctx, router, &request, error);
    bool there = status != STATUS_OK && error->code == ERROR_RESOURCE_IN_USE;
    if (there)
        *error = (struct error){0};
    return there ? STATUS_OK : status;
}

enum status ledger_open_tables(struct context *ctx, struct router *router, struct error *error)
{
    while (!ledger_has_tables(router)) {
        TRY(make_table(ctx, router, LEDGER_TABLE, BYTES("id"), VALUE_B, error));
        TRY(make_table(ctx, router, TOKENS_TABLE, BYTES("token"), VALUE_S, error));
        enum status status = context_sleep(ctx, TABLE_POLL_NS);
        if (status != STATUS_OK)
            return error_internal(error, status);
    }
    return STATUS_OK;
}

/* ---- Programs: compiled once, the first time ---- */

enum program {
    IF_NONE,
    IF_PREPARING,
    IF_OPEN, /* none, or PREPARING */
    IF_COMMITTING,
    IF_CANCELLING,
    IF_ENDED,
    IF_NO_TOKEN,
    SET_COMMITTING,
    SET_CANCELLING,
    SET_COMMITTED,
    SET_CANCELLED,
};
_Static_assert(SET_CANCELLED + 1 == LEDGER_PROGRAMS, "the router has room for them");

static const struct {
    enum expr_kind kind;
    const char *text;
} program_texts[LEDGER_PROGRAMS] = {
    [IF_NONE] = {EXPR_CONDITION, "attribute_not_exists(id)"},
    [IF_PREPARING] = {EXPR_CONDITION, "#s = :1"},
    [IF_OPEN] = {EXPR_CONDITION, "attribute_not_exists(id) OR #s = :1"},
    [IF_COMMITTING] = {EXPR_CONDITION, "#s = :2"},
    [IF_CANCELLING] = {EXPR_CONDITION, "#s = :3"},
    [IF_ENDED] = {EXPR_CONDITION, "#s = :4 OR #s = :5"},
    [IF_NO_TOKEN] = {EXPR_CONDITION, "attribute_not_exists(#t)"},
    [SET_COMMITTING] = {EXPR_UPDATE, "SET #s = :2"},
    [SET_CANCELLING] = {EXPR_UPDATE, "SET #s = :3"},
    [SET_COMMITTED] = {EXPR_UPDATE, "SET #s = :4 REMOVE #r"},
    [SET_CANCELLED] = {EXPR_UPDATE, "SET #s = :5 REMOVE #r"},
};

static void write_number(struct value_writer *w, uint64_t value)
{
    struct number number;
    number_from_u64(value, &number);
    value_write_number(w, &number);
}

static enum status compile_all(struct arena *arena, struct value values,
                               struct expr_program *programs)
{
    struct expr_name names[] = {{.placeholder = BYTES("#s"), .name = BYTES("state")},
                                {.placeholder = BYTES("#r"), .name = BYTES("record")},
                                {.placeholder = BYTES("#t"), .name = BYTES("token")}};
    for (uint32_t i = 0; i < LEDGER_PROGRAMS; i++) {
        struct expr_scope scope = {.arena = arena,
                                   .names = names,
                                   .name_count = ARRAY_COUNT(names),
                                   .values = values,
                                   .names_given = true,
                                   .values_given = true};
        struct expr_fault fault;
        enum status status = expr_scope_init(&scope, arena, &fault);
        if (status == STATUS_OK)
            status = expr_compile(&scope, program_texts[i].kind,
                                  bytes_of_text(program_texts[i].text), &programs[i], &fault);
        ASSERT(status != STATUS_INVALID);
        TRY(status);
        for (uint32_t n = 0; n < ARRAY_COUNT(names); n++)
            names[n] = (struct expr_name){names[n].placeholder, names[n].name, false, 0, 0};
    }
    return STATUS_OK;
}

/* :1 to :5 are those numbers. */
static enum status have_programs(struct router *router)
{
    struct ledger *ledger = &router->ledger;
    if (LIKELY(ledger->compiled))
        return STATUS_OK;
    struct buffer text;
    struct value_writer w;
    struct value values;
    arena_init(&ledger->arena, router->env->heap, PROGRAMS_BYTES);
    buffer_init(&text, router->env->heap, 1024);
    value_writer_init(&w, &text);
    value_write_begin(&w, VALUE_M);
    for (uint8_t i = 1; i <= 5; i++) {
        uint8_t name[2] = {':', (uint8_t)('0' + i)};
        value_write_name(&w, bytes_of(name, sizeof(name)));
        write_number(&w, i);
    }
    value_write_end(&w);
    enum status status = value_writer_finish(&w, &values);
    if (status == STATUS_OK)
        status = compile_all(&ledger->arena, values, ledger->programs);
    buffer_release(&text);
    if (status != STATUS_OK)
        arena_release(&ledger->arena);
    ledger->compiled = status == STATUS_OK;
    return status;
}

void ledger_release(struct router *router)
{
    if (router->ledger.compiled)
        arena_release(&router->ledger.arena);
}

/* ---- One write ---- */

struct row_write {
    struct context *ctx;
    struct router *router;
    struct buffer item;
    struct value_writer w;
    struct write_request request;
    struct value found; /* when the condition failed: the row that is there */
};

static void begin(struct row_write *r, struct context *ctx, struct router *router,
                  struct bytes table)
{
    *r = (struct row_write){
        .ctx = ctx, .router = router, .request = {.table = table, .return_on_failure = true}};
    buffer_init(&r->item, ctx->env->heap, ROW_BYTES_MAX);
    value_writer_init(&r->w, &r->item);
    value_write_begin(&r->w, VALUE_M);
}

static enum status send(struct row_write *r, enum write_kind kind)
{
    struct write_result result = {0};
    struct error error = {0};
    value_write_end(&r->w);
    enum status status = value_writer_finish(&r->w, &r->request.item);
    r->request.kind = kind;
    if (status == STATUS_OK)
        status = router_write(r->ctx, r->router, &r->request, &result, &error);
    buffer_release(&r->item);
    r->found = error.item;
    return status;
}

static void write_id(struct value_writer *w, const char *name, struct txn_id id)
{
    value_write_name(w, bytes_of_text(name));
    value_write_binary(w, bytes_of(id.at, sizeof(id.at)));
}

/* ---- Reading rows ---- */

static bool find_u64(struct value row, struct bytes name, uint64_t *to)
{
    struct value value;
    struct number number;
    int64_t found;
    if (!value_find(row, name, &value) || value_type(value) != VALUE_N)
        return false;
    value_number(value, &number);
    if (number_to_i64(&number, &found) != STATUS_OK || found < 0)
        return false;
    *to = (uint64_t)found;
    return true;
}

static bool find_id(struct value row, struct txn_id *id)
{
    struct value value;
    if (!value_find(row, BYTES("id"), &value) || value_type(value) != VALUE_B ||
        value_bytes(value).count != sizeof(id->at))
        return false;
    memcpy(id->at, value_bytes(value).at, sizeof(id->at));
    return true;
}

enum status ledger_view(struct value row, struct txn_id *id, enum txn_state *state,
                        struct bytes *record)
{
    uint64_t number;
    struct value value;
    *record = (struct bytes){0};
    if (value_type(row) == VALUE_NONE) {
        *state = TXN_STATE_NONE;
        return STATUS_OK;
    }
    if (!find_id(row, id) || !find_u64(row, BYTES("state"), &number) || number <= TXN_STATE_NONE ||
        number >= TXN_STATE_COUNT)
        return STATUS_CORRUPT;
    if (value_find(row, BYTES("record"), &value) && value_type(value) == VALUE_B)
        *record = value_bytes(value);
    *state = (enum txn_state)number;
    return STATUS_OK;
}

/* ---- The ledger ---- */

struct ledger_change {
    enum program condition, update;
};

static enum status state_found(struct value row, enum txn_state *found)
{
    struct txn_id id;
    struct bytes record;
    return ledger_view(row, &id, found, &record);
}

enum status ledger_put(struct context *ctx, struct router *router, struct txn_id id,
                       enum txn_ledger_action action, bool commits, struct bytes record,
                       enum txn_state *found)
{
    struct row_write r;
    const struct expr_program *programs = router->ledger.programs;
    TRY(have_programs(router));
    begin(&r, ctx, router, LEDGER_TABLE);
    write_id(&r.w, "id", id);
    enum status status;
    if (action == TXN_LEDGER_INSERT) {
        value_write_name(&r.w, BYTES("state"));
        write_number(&r.w, TXN_STATE_PREPARING);
        value_write_name(&r.w, BYTES("record"));
        value_write_binary(&r.w, record);
        r.request.condition = programs[IF_NONE];
        status = send(&r, WRITE_PUT);
    } else {
        struct ledger_change change = {IF_PREPARING, SET_COMMITTING};
        if (action == TXN_LEDGER_CANCEL)
            change = (struct ledger_change){IF_OPEN, SET_CANCELLING};
        else if (action == TXN_LEDGER_COMPLETE && commits)
            change = (struct ledger_change){IF_COMMITTING, SET_COMMITTED};
        else if (action == TXN_LEDGER_COMPLETE)
            change = (struct ledger_change){IF_CANCELLING, SET_CANCELLED};
        r.request.condition = programs[change.condition];
        r.request.update = programs[change.update];
        r.request.urgent = true; /* intents wait for it, which take space */
        status = send(&r, WRITE_UPDATE);
    }
    if (status == STATUS_CONDITION_FAILED)
        TRY(state_found(r.found, found));
    return status;
}

/* The key of a row, as a map in the arena. */
static enum status make_key(struct context *ctx, struct bytes name, struct bytes content,
                            enum value_type type, struct value *key)
{
    struct buffer text;
    struct value_writer w;
    buffer_init(&text, ctx->env->heap, 4096);
    value_writer_init(&w, &text);
    value_write_begin(&w, VALUE_M);
    value_write_name(&w, name);
    if (type == VALUE_B)
        value_write_binary(&w, content);
    else
        value_write_string(&w, content);
    value_write_end(&w);
    enum status status = value_writer_finish(&w, key);
    if (status == STATUS_OK) {
        struct bytes copy = arena_copy(&ctx->arena, bytes_of(key->at, key->bytes));
        key->at = copy.at;
        status = copy.at == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    }
    buffer_release(&text);
    return status;
}

enum status ledger_read(struct context *ctx, struct router *router, struct txn_id id,
                        enum txn_state *found, struct bytes *record)
{
    struct get_request get = {.table = LEDGER_TABLE, .consistent = true};
    struct get_result result = {0};
    struct error error = {0};
    struct bytes seen;
    TRY(make_key(ctx, BYTES("id"), bytes_of(id.at, sizeof(id.at)), VALUE_B, &get.key));
    TRY(router_get(ctx, router, &get, &result, &error));
    TRY(ledger_view(result.item, &id, found, &seen));
    if (record == NULL)
        return STATUS_OK;
    *record = arena_copy(&ctx->arena, seen);
    return record->at == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

enum status ledger_remove(struct context *ctx, struct router *router, struct txn_id id)
{
    struct row_write r;
    TRY(have_programs(router));
    begin(&r, ctx, router, LEDGER_TABLE);
    write_id(&r.w, "id", id);
    r.request.condition = router->ledger.programs[IF_ENDED];
    return send(&r, WRITE_DELETE);
}

/* ---- Tokens ---- */

enum status token_view(struct value row, struct token_row *token)
{
    struct value value, hash;
    uint64_t created_ms;
    *token = (struct token_row){0};
    if (!value_find(row, BYTES("token"), &value) || value_type(value) != VALUE_S ||
        !value_find(row, BYTES("hash"), &hash) || value_type(hash) != VALUE_B ||
        value_bytes(hash).count != sizeof(token->judged.request_hash) ||
        !find_id(row, &token->id) || !find_u64(row, BYTES("created"), &created_ms))
        return STATUS_CORRUPT;
    token->token = value_bytes(value);
    memcpy(token->judged.request_hash, value_bytes(hash).at, value_bytes(hash).count);
    token->judged.created_ns = created_ms * UINT64_C(1000000);
    if (!value_find(row, BYTES("mark"), &value))
        return STATUS_OK;
    if (value_type(value) != VALUE_B || value_bytes(value).count <= 8)
        return STATUS_CORRUPT;
    token->mark_table = get_u64(value_bytes(value).at);
    token->mark_key = bytes_after(value_bytes(value), 8);
    return STATUS_OK;
}

static void write_token(struct row_write *r, const struct token_row *row)
{
    uint8_t mark[8 + KEY_ITEM_BYTES_MAX];
    value_write_name(&r->w, BYTES("token"));
    value_write_string(&r->w, row->token);
    value_write_name(&r->w, BYTES("hash"));
    value_write_binary(&r->w, bytes_of(row->judged.request_hash, sizeof(row->judged.request_hash)));
    write_id(&r->w, "id", row->id);
    value_write_name(&r->w, BYTES("created"));
    write_number(&r->w, row->judged.created_ns / UINT64_C(1000000));
    if (row->mark_table == 0)
        return;
    ASSERT(row->mark_key.count <= KEY_ITEM_BYTES_MAX);
    put_u64(mark, row->mark_table);
    memcpy(mark + 8, row->mark_key.at, row->mark_key.count);
    value_write_name(&r->w, BYTES("mark"));
    value_write_binary(&r->w, bytes_of(mark, 8 + row->mark_key.count));
}

enum status token_insert(struct context *ctx, struct router *router, const struct token_row *row,
                         struct token_row *found)
{
    struct row_write r;
    TRY(have_programs(router));
    begin(&r, ctx, router, TOKENS_TABLE);
    write_token(&r, row);
    r.request.condition = router->ledger.programs[IF_NO_TOKEN];
    enum status status = send(&r, WRITE_PUT);
    if (status == STATUS_CONDITION_FAILED)
        TRY(token_view(r.found, found));
    return status;
}

/* The condition that the row is that of transaction `id`. */
static enum status compile_is_of(struct context *ctx, struct txn_id id,
                                 struct expr_program *program)
{
    struct buffer text;
    struct value_writer w;
    struct expr_fault fault;
    struct expr_scope scope = {.arena = &ctx->arena, .values_given = true};
    buffer_init(&text, ctx->env->heap, 256);
    value_writer_init(&w, &text);
    value_write_begin(&w, VALUE_M);
    write_id(&w, ":i", id);
    value_write_end(&w);
    enum status status = value_writer_finish(&w, &scope.values);
    if (status == STATUS_OK)
        status = expr_scope_init(&scope, &ctx->arena, &fault);
    if (status == STATUS_OK)
        status = expr_compile(&scope, EXPR_CONDITION, BYTES("id = :i"), program, &fault);
    ASSERT(status != STATUS_INVALID);
    buffer_release(&text);
    return status;
}

enum status token_replace(struct context *ctx, struct router *router, const struct token_row *row,
                          struct txn_id old)
{
    struct row_write r;
    struct expr_program condition;
    TRY(compile_is_of(ctx, old, &condition));
    begin(&r, ctx, router, TOKENS_TABLE);
    write_token(&r, row);
    r.request.condition = condition;
    return send(&r, WRITE_PUT);
}

enum status token_remove(struct context *ctx, struct router *router, struct bytes token,
                         struct txn_id id)
{
    struct row_write r;
    struct expr_program condition;
    TRY(compile_is_of(ctx, id, &condition));
    begin(&r, ctx, router, TOKENS_TABLE);
    value_write_name(&r.w, BYTES("token"));
    value_write_string(&r.w, token);
    r.request.condition = condition;
    return send(&r, WRITE_DELETE);
}
