/* items_answer.c - what they are told, checked and put into the history. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "sim/workload/items_private.h"
#include "sim/workload/items_stream.h"
#include "sim/workload/json.h"

/* ---- Reading items out of answers ---- */

static struct bytes attribute(const struct json *item, const char *name, const char *type)
{
    return json_text(json_member(item, name), type);
}

struct register_state items_state_of(struct items *items, const struct json *item)
{
    struct register_state state = {0};
    if (item == NULL)
        return state;
    state.token = json_u64(attribute(item, "tok", "N"));
    state.count = json_u64(attribute(item, "n", "N"));
    struct bytes pad = attribute(item, "filler", "S");
    bool whole = state.token != 0 && pad.count == items_pad_bytes(&items->options, state.token);
    for (size_t i = 0; i < pad.count && whole; i++)
        whole = pad.at[i] == pad_byte(state.token, i);
    if (!whole)
        history_violation(&items->history, "an item with token %llu is not what was written",
                          (unsigned long long)state.token);
    return state;
}

bool items_has_key(const struct items *items, const struct json *item, uint32_t key)
{
    struct buffer text;
    struct arena arena;
    buffer_init(&text, items->heap, BODY_BYTES_MAX);
    arena_init(&arena, items->heap, BODY_BYTES_MAX);
    buffer_append_u8(&text, '{');
    append_key(&text, &items->options, key);
    buffer_append_u8(&text, '}');
    const struct json *wanted = json_parse(&arena, buffer_bytes(&text));
    ASSERT(wanted != NULL);
    bool same = true;
    for (const struct json *at = wanted->first; at != NULL; at = at->next) {
        const struct json *value = at->first;
        const struct json *found = NULL;
        const struct json *member = item != NULL ? item->first : NULL;
        for (; member != NULL; member = member->next)
            if (bytes_equal(member->name, at->name))
                found = member->first;
        same = same && found != NULL && bytes_equal(found->name, value->name) &&
               bytes_equal(found->text, value->text);
    }
    arena_release(&arena);
    buffer_release(&text);
    return same;
}

static struct register_state state_of(struct items_actor *actor, const struct json *item)
{
    return items_state_of(actor->items, item);
}

static bool has_key(struct items_actor *actor, const struct json *item, uint32_t key)
{
    return items_has_key(actor->items, item, key);
}

/* ---- Answers ---- */

/* An operation that has ended without being done, of which nothing is known but its outcome. */
static void end_ops(struct items_actor *actor, bool unknown)
{
    struct items *items = actor->items;
    for (uint32_t i = 0; i < actor->op_count; i++) {
        if (unknown)
            history_unknown(&items->history, actor->op + i);
        else
            history_void(&items->history, actor->op + i, sim_now_ns(items->sim));
    }
    actor->op_count = 0;
}

static void count_final(struct items *items)
{
    items->final_done++;
    items->phase_done = items->final_done == final_steps(&items->options);
}

static void count_final_get(struct items *items)
{
    items->final_gets++;
    count_final(items);
}

static void give_up_or_again(struct items_actor *actor)
{
    actor->again = !actor->items->options.may_fail || actor->http.connection == NULL;
    if (!actor->again)
        count_final(actor->items);
}

/* A key must be read in the final phase: again, when that failed. */
static void failed(struct items_actor *actor, bool unknown)
{
    struct items *items = actor->items;
    bool setup = actor->kind == REQUEST_CREATE_TABLE || actor->kind == REQUEST_DESCRIBE_TABLE ||
                 actor->kind == REQUEST_UPDATE_TABLE;
    if (!setup)
        end_ops(actor, unknown);
    if (items->phase == ITEMS_FINAL && actor->kind == REQUEST_GET) {
        sim_trace(items->sim, "client %u: the last read of key %u failed", actor->number,
                  actor->key);
        actor->again = !items->options.may_fail || actor->http.connection == NULL;
        if (!actor->again)
            count_final_get(items);
    }
    if (items->phase == ITEMS_FINAL && actor->kind == REQUEST_UPDATE_TABLE)
        give_up_or_again(actor);
}

static void done_one(struct items_actor *actor, const struct json *json)
{
    struct items *items = actor->items;
    uint64_t now_ns = sim_now_ns(items->sim);
    bool get = actor->kind == REQUEST_GET;
    const struct json *item = json_member(json, get ? "Item" : "Attributes");
    struct register_state state = state_of(actor, item);
    actor->op_count = 0;
    if (item != NULL && !has_key(actor, item, actor->key))
        history_violation(&items->history, "key %u: the answer shows another item", actor->key);
    if (!get && actor->old == OLD_ALL_NEW && state.token != actor->token)
        history_violation(&items->history, "key %u: ALL_NEW shows token %llu, not the new one",
                          actor->key, (unsigned long long)state.token);
    if (!get && actor->old == OLD_ALL_NEW) {
        items->history.ops[actor->op].op.counted = true;
        items->history.ops[actor->op].op.count_after = state.count;
    }
    bool observed = get || actor->old == OLD_ALL;
    history_done(&items->history, actor->op, observed ? &state : NULL, now_ns);
    if (items->phase == ITEMS_FINAL && get) {
        items->final[actor->key] = state;
        count_final_get(items);
    }
}

static void refused_one(struct items_actor *actor, const struct json *json)
{
    struct items *items = actor->items;
    struct register_state state = state_of(actor, json_member(json, "Item"));
    actor->op_count = 0;
    history_refused(&items->history, actor->op, &state, sim_now_ns(items->sim));
}

/* While items are written they move in the order that the actor reads: one may be met twice, or not
 * at all. */
static bool may_move(const struct items_actor *actor)
{
    return actor->index > 0 && is_range(actor) && actor->items->phase != ITEMS_FINAL;
}

static void see_item(struct items_actor *actor, const struct json *item)
{
    struct items *items = actor->items;
    for (uint32_t i = 0; i < actor->op_count; i++) {
        if (!has_key(actor, item, actor->key + i))
            continue;
        if (actor->seen[i] && !may_move(actor))
            history_violation(&items->history, "key %u: a query or scan shows it twice",
                              actor->key + i);
        else if (!actor->seen[i]) {
            struct register_state state = state_of(actor, item);
            history_done(&items->history, actor->op + i, &state, sim_now_ns(items->sim));
        }
        actor->seen[i] = true;
        return;
    }
    history_violation(&items->history, "a query or scan at key %u shows an item of elsewhere",
                      actor->key);
}

static void append_json(struct buffer *out, const struct json *json)
{
    /* Keys are objects of strings that need no escapes. */
    if (json->type == JSON_STRING) {
        buffer_append_format(out, "\"%.*s\"", BYTES_ARGS(json->text));
        return;
    }
    buffer_append_u8(out, '{');
    for (const struct json *at = json->first; at != NULL; at = at->next) {
        buffer_append_format(out, "%s\"%.*s\":", at == json->first ? "" : ",",
                             BYTES_ARGS(at->name));
        append_json(out, at);
    }
    buffer_append_u8(out, '}');
}

/* ---- The global index ---- */

/* An item that the index shows: whole, of this table, and in the end the one that there is. */
static void see_indexed(struct items_actor *actor, const struct json *item)
{
    struct items *items = actor->items;
    uint32_t keys = keys_of_table(&items->options);
    struct register_state state = state_of(actor, item);
    for (uint32_t i = 0; i < keys; i++) {
        if (!has_key(actor, item, actor->key + i))
            continue;
        const struct register_state *wanted = &items->final[actor->key + i];
        actor->behind |=
            actor->seen[i] || wanted->token != state.token || wanted->count != state.count;
        actor->seen[i] = true;
        return;
    }
    history_violation(&items->history, "the global index of table %u shows an item of elsewhere",
                      actor->table);
}

/* Returns whether another page was asked for. */
static bool done_global_page(struct items_actor *actor, const struct json *json)
{
    struct items *items = actor->items;
    uint32_t keys = keys_of_table(&items->options);
    const struct json *list = json_member(json, "Items");
    const struct json *item = list != NULL ? list->first : NULL;
    for (; item != NULL; item = item->next)
        see_indexed(actor, item);
    const struct json *last = json_member(json, "LastEvaluatedKey");
    buffer_clear(&actor->resume);
    if (last != NULL) {
        append_json(&actor->resume, last);
        ask_page(actor);
        return true;
    }
    if (items->phase != ITEMS_FINAL)
        return false;
    for (uint32_t i = 0; i < keys; i++)
        actor->behind |= !actor->seen[i] && items->final[actor->key + i].token != 0;
    actor->again = actor->behind && !items->options.may_fail;
    if (actor->behind)
        sim_trace(items->sim, "the global index of table %u is behind", actor->table);
    if (!actor->again)
        count_final(items);
    return false;
}

/* It is not there (any more), or not yet ready. */
static void refused_index(struct items_actor *actor, const struct json *json)
{
    struct bytes message = json_text(json, "message");
    struct items *items = actor->items;
    actor->missing = bytes_start_with(message, BYTES("The table does not have"));
    if (items->phase != ITEMS_FINAL)
        return;
    actor->again = !items->options.may_fail; /* what is damaged may keep it from being made */
    if (!actor->again)
        count_final(items);
}

static void done_update_table(struct items_actor *actor)
{
    actor->missing = false;
    if (actor->items->phase == ITEMS_FINAL)
        actor->again = true;
}

/* Returns whether another page was asked for. */
static bool done_page(struct items_actor *actor, const struct json *json)
{
    struct items *items = actor->items;
    const struct json *list = json_member(json, "Items");
    uint64_t count = 0;
    const struct json *item = list != NULL ? list->first : NULL;
    for (; item != NULL; item = item->next, count++)
        see_item(actor, item);
    if (json_u64(json_text(json, "Count")) != count)
        history_violation(&items->history, "Count is not the number of items");
    const struct json *last = json_member(json, "LastEvaluatedKey");
    buffer_clear(&actor->resume);
    if (last != NULL) {
        append_json(&actor->resume, last);
        ask_page(actor);
        return true;
    }
    for (uint32_t i = 0; i < actor->op_count; i++) {
        static const struct register_state absent;
        if (!actor->seen[i] && may_move(actor))
            history_void(&items->history, actor->op + i, sim_now_ns(items->sim));
        else if (!actor->seen[i])
            history_done(&items->history, actor->op + i, &absent, sim_now_ns(items->sim));
    }
    actor->op_count = 0;
    if (items->phase == ITEMS_FINAL)
        count_final(items);
    return false;
}

static void end_many(struct items_actor *actor)
{
    struct items *items = actor->items;
    for (uint32_t i = 0; i < actor->op_count; i++)
        if (!actor->seen[i])
            history_void(&items->history, actor->op + i, sim_now_ns(items->sim));
    actor->op_count = 0;
}

/* A request for many that was refused, or not answered: again, in the final phase. */
static void failed_many(struct items_actor *actor)
{
    struct items *items = actor->items;
    end_many(actor);
    if (items->phase != ITEMS_FINAL || !is_range(actor))
        return;
    actor->again = !items->options.may_fail || actor->http.connection == NULL;
    if (!actor->again)
        count_final(items);
}

static const struct json *of_table(const struct items_actor *actor, const struct json *json,
                                   const char *member)
{
    char name[32];
    snprintf(name, sizeof(name), "table%u", actor->table);
    return json_member(json_member(json, member), name);
}

static void done_batch_get(struct items_actor *actor, const struct json *json)
{
    struct items *items = actor->items;
    static const struct register_state absent;
    const struct json *list = of_table(actor, json, "Responses");
    const struct json *item = list != NULL ? list->first : NULL;
    for (; item != NULL; item = item->next)
        see_item(actor, item);
    bool all = of_table(actor, json, "UnprocessedKeys") == NULL;
    for (uint32_t i = 0; i < actor->op_count && all; i++) {
        if (!actor->seen[i])
            history_done(&items->history, actor->op + i, &absent, sim_now_ns(items->sim));
        actor->seen[i] = true;
    }
    end_many(actor);
}

/* What comes back unprocessed may be done all the same: the service names an internal failure as
 * one of the reasons, and a client is to send it again. */
static void done_batch_write(struct items_actor *actor, const struct json *json)
{
    struct items *items = actor->items;
    uint64_t now_ns = sim_now_ns(items->sim);
    const struct json *list = of_table(actor, json, "UnprocessedItems");
    for (uint32_t i = 0; i < actor->op_count; i++) {
        bool done = true;
        const struct json *one = list != NULL ? list->first : NULL;
        for (; one != NULL; one = one->next) {
            const struct json *put = json_member(json_member(one, "PutRequest"), "Item");
            const struct json *key = json_member(json_member(one, "DeleteRequest"), "Key");
            done = done && !has_key(actor, put != NULL ? put : key, actor->key + i);
        }
        if (done)
            history_done(&items->history, actor->op + i, NULL, now_ns);
        else
            history_unknown(&items->history, actor->op + i);
    }
    actor->op_count = 0;
}

static void done_setup(struct items_actor *actor, const struct json *json)
{
    struct items *items = actor->items;
    const struct json *table = json_member(json, "Table");
    if (actor->kind == REQUEST_DESCRIBE_TABLE &&
        bytes_equal(json_text(table, "TableStatus"), BYTES("ACTIVE")))
        items->tables_ready++;
    items->phase_done = items->tables_ready == items->options.tables;
}

/* An answer that says no.  Returns false when it is one that no client should get. */
static bool explained(struct items_actor *actor, uint32_t status, const struct json *json)
{
    struct items *items = actor->items;
    struct bytes type = json_text(json, "__type");
    const uint8_t *hash = type.count > 0 ? memchr(type.at, '#', type.count) : NULL;
    if (hash != NULL)
        type = bytes_after(type, (size_t)(hash - type.at) + 1);
    bool setup = items->phase == ITEMS_SETUP;
    if (status == 400 && actor->kind == REQUEST_UPDATE_TABLE) {
        done_update_table(actor); /* it is there, or in the making, or being deleted */
        return true;
    }
    if (status == 400 && is_range(actor) && actor->index == GLOBAL_INDEX &&
        bytes_equal(type, BYTES("ValidationException"))) {
        refused_index(actor, json);
        return true;
    }
    if (status == 500 || status == 503) {
        if (is_many(actor))
            failed_many(actor);
        else
            failed(actor, true);
        return true;
    }
    if (status != 400)
        return false;
    if (bytes_equal(type, BYTES("ConditionalCheckFailedException")) && !is_many(actor) &&
        actor->kind != REQUEST_GET) {
        refused_one(actor, json);
        return true;
    }
    if (bytes_equal(type, BYTES("ProvisionedThroughputExceededException")) ||
        bytes_equal(type, BYTES("ThrottlingException"))) {
        if (is_many(actor))
            failed_many(actor);
        else
            failed(actor, false);
        return true;
    }
    return setup && (bytes_equal(type, BYTES("ResourceInUseException")) ||
                     bytes_equal(type, BYTES("ResourceNotFoundException")));
}

bool take_answer(struct items_actor *actor, const struct http_answer *answer)
{
    struct items *items = actor->items;
    struct arena arena;
    arena_init(&arena, items->heap, (size_t)64 << 20);
    const struct json *json = json_parse(&arena, answer->body);
    bool again = false;
    items->requests++;
    if (json == NULL) {
        history_violation(&items->history, "an answer %u is no JSON: %.*s", answer->status,
                          (int)MIN(answer->body.count, (size_t)200), (const char *)answer->body.at);
    } else if (answer->status != 200) {
        if (!explained(actor, answer->status, json))
            history_violation(&items->history, "an unexpected answer %u to request %d: %.*s",
                              answer->status, (int)actor->kind,
                              (int)MIN(answer->body.count, (size_t)300),
                              (const char *)answer->body.at);
    } else if (items->phase == ITEMS_SETUP) {
        done_setup(actor, json);
    } else if (actor->kind == REQUEST_UPDATE_TABLE) {
        done_update_table(actor);
    } else if (is_range(actor) && actor->index == GLOBAL_INDEX) {
        again = done_global_page(actor, json);
    } else if (actor->kind == REQUEST_BATCH_GET) {
        done_batch_get(actor, json);
    } else if (actor->kind == REQUEST_BATCH_WRITE) {
        done_batch_write(actor, json);
    } else if (is_many(actor)) {
        again = done_page(actor, json);
    } else {
        done_one(actor, json);
    }
    arena_release(&arena);
    return again;
}

void take_loss(struct items_actor *actor)
{
    actor->items->lost++;
    if (is_many(actor))
        failed_many(actor);
    else
        failed(actor, true);
}
