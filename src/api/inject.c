#include "api/inject.h"

#include "api/api_private.h"
#include "wire/item_json.h"

#define DEPTH_MAX     16u /* of objects and lists around a key; those of the model have fewer */
#define SCRATCH_BYTES ((size_t)1 << 20)

/* A rule and the bytes that it refers to. */
struct inject {
    struct list link;
    struct inject_rule rule;
    size_t bytes; /* of the allocation */
    uint8_t at[];
};

enum error_code inject_error_named(struct bytes name)
{
    for (unsigned code = ERROR_NONE + 1; code < ERROR_CODE_COUNT; code++) {
        if (bytes_equal(name, bytes_of_text(error_form((enum error_code)code)->name)))
            return (enum error_code)code;
    }
    return ERROR_NONE;
}

/* ---- The rules ---- */

static void drop(struct api *api, struct inject *inject)
{
    list_remove(&inject->link);
    api->inject_count--;
    heap_free(api->env->heap, inject, inject->bytes);
}

void api_inject_clear(struct api *api)
{
    while (!list_empty(&api->injects))
        drop(api, LIST_ITEM(api->injects.next, struct inject, link));
}

bool api_inject_remove(struct api *api, uint64_t id)
{
    LIST_FOR_EACH (link, &api->injects) {
        struct inject *inject = LIST_ITEM(link, struct inject, link);
        if (inject->rule.id != id)
            continue;
        drop(api, inject);
        return true;
    }
    return false;
}

const struct inject_rule *api_inject_at(const struct api *api, uint32_t index)
{
    LIST_FOR_EACH (link, &api->injects) {
        if (index-- == 0)
            return &LIST_ITEM(link, struct inject, link)->rule;
    }
    return NULL;
}

/* Has it had all its turns? */
static bool is_spent(const struct inject_rule *rule)
{
    return rule->fitted >= (uint64_t)rule->nth - 1 + rule->times;
}

static bool make_room(struct api *api)
{
    LIST_FOR_EACH (link, &api->injects) {
        struct inject *inject = LIST_ITEM(link, struct inject, link);
        if (api->inject_count < INJECT_RULES_MAX)
            return true;
        if (is_spent(&inject->rule)) {
            drop(api, inject);
            return true;
        }
    }
    return api->inject_count < INJECT_RULES_MAX;
}

static struct bytes keep(uint8_t **to, struct bytes bytes)
{
    uint8_t *at = *to;
    if (bytes.count > 0)
        memcpy(at, bytes.at, bytes.count);
    *to += bytes.count;
    return bytes_of(at, bytes.count);
}

enum status api_inject(struct api *api, const struct inject_rule *rule, uint64_t *id)
{
    size_t key_bytes = value_type(rule->key) == VALUE_NONE ? 0 : rule->key.bytes;
    if (rule->operation.count > INJECT_TEXT_BYTES_MAX || key_bytes > INJECT_KEY_BYTES_MAX ||
        rule->table.count > INJECT_TEXT_BYTES_MAX || rule->message.count > INJECT_TEXT_BYTES_MAX)
        return STATUS_TOO_LARGE;
    if (!make_room(api))
        return STATUS_NO_SPACE;
    size_t bytes = sizeof(struct inject) + rule->operation.count + rule->table.count + key_bytes +
                   rule->message.count;
    struct inject *inject = heap_alloc_zero(api->env->heap, bytes);
    if (inject == NULL)
        return STATUS_NO_MEMORY;
    uint8_t *to = inject->at;
    inject->bytes = bytes;
    inject->rule = *rule;
    inject->rule.id = *id = ++api->inject_last_id;
    inject->rule.fitted = inject->rule.injected = 0;
    inject->rule.operation = keep(&to, rule->operation);
    inject->rule.table = keep(&to, rule->table);
    inject->rule.message = keep(&to, rule->message);
    if (key_bytes > 0)
        inject->rule.key.at = keep(&to, bytes_of(rule->key.at, key_bytes)).at;
    list_init(&inject->link);
    list_push_back(&api->injects, &inject->link);
    api->inject_count++;
    return STATUS_OK;
}

/* ---- Does a request fit? ---- */

/* The search for a table and a key in the body of a request. */
struct search {
    struct api_call *call;
    const struct inject_rule *rule;
    bool table_fits; /* so far, at least one table */
    bool found;      /* one item that fits wholly */
};

/* A name, or the ARN that ends with it or goes on behind it. */
static bool is_table(const struct inject_rule *rule, struct bytes text)
{
    static const char mark[] = ":table/";
    const uint8_t *at = text.count > 0 ? memmem(text.at, text.count, mark, sizeof(mark) - 1) : NULL;
    if (rule->table.count == 0)
        return true;
    if (at == NULL)
        return bytes_equal(text, rule->table);
    text = bytes_after(text, (size_t)(at - text.at) + sizeof(mark) - 1);
    at = text.count > 0 ? memchr(text.at, '/', text.count) : NULL;
    if (at != NULL)
        text.count = (size_t)(at - text.at);
    return bytes_equal(text, rule->table);
}

static bool has_key(const struct inject_rule *rule, struct value item)
{
    struct value wanted, found;
    struct value_cursor cursor;
    struct bytes name;
    value_cursor_init(&cursor, rule->key);
    while (value_next(&cursor, &name, &wanted)) {
        if (!value_find(item, name, &found) || !value_equal(found, wanted))
            return false;
    }
    return true;
}

/* An item, or its key, of a table that fits. */
static void look_at_item(struct search *search, struct json_scanner *s, bool table_fits)
{
    if (!table_fits || value_type(search->rule->key) == VALUE_NONE || json_peek(s) != JSON_OBJECT) {
        json_skip(s);
        return;
    }
    struct item_json_fault fault;
    struct buffer scratch;
    struct value_writer writer;
    struct value item;
    buffer_init(&scratch, search->call->api->env->heap, SCRATCH_BYTES);
    value_writer_init(&writer, &scratch);
    struct json_scanner again = *s;
    json_skip(s); /* whatever the item's faults are */
    if (item_json_read_map(&again, &writer, call_arena(search->call), &fault) == STATUS_OK &&
        value_writer_finish(&writer, &item) == STATUS_OK)
        search->found |= has_key(search->rule, item);
    buffer_release(&scratch);
}

static void look_into(struct search *search, struct json_scanner *s, bool table_fits,
                      uint32_t depth);

/* {"TABLE": [{"PutRequest": ...}, ...]} or {"TABLE": {"Keys": [...]}} */
static void look_into_tables(struct search *search, struct json_scanner *s, uint32_t depth)
{
    struct bytes name;
    if (json_peek(s) != JSON_OBJECT) {
        json_skip(s);
        return;
    }
    json_object_begin(s);
    while (json_object_next(s, &name)) {
        bool fits = is_table(search->rule, name);
        search->table_fits |= fits;
        look_into(search, s, fits, depth + 1);
    }
}

static void look_into_keys(struct search *search, struct json_scanner *s, bool table_fits)
{
    if (json_peek(s) != JSON_ARRAY) {
        json_skip(s);
        return;
    }
    json_array_begin(s);
    while (json_array_next(s))
        look_at_item(search, s, table_fits);
}

/* The table that an object names; false: it names none. */
static bool find_table(const struct json_scanner *from, struct bytes *table)
{
    struct json_scanner s = *from;
    struct bytes name;
    bool found = false;
    json_object_begin(&s);
    while (json_object_next(&s, &name)) {
        bool is_name =
            bytes_equal(name, BYTES("TableName")) || bytes_equal(name, BYTES("ResourceArn"));
        if (is_name && json_peek(&s) == JSON_STRING) {
            *table = json_string(&s);
            found = true;
        } else {
            json_skip(&s);
        }
    }
    return found;
}

static void look_into_object(struct search *search, struct json_scanner *s, bool table_fits,
                             uint32_t depth)
{
    struct bytes name, table;
    if (find_table(s, &table)) {
        table_fits = is_table(search->rule, table);
        search->table_fits |= table_fits;
    }
    json_object_begin(s);
    while (json_object_next(s, &name)) {
        if (bytes_equal(name, BYTES("Key")) || bytes_equal(name, BYTES("Item")))
            look_at_item(search, s, table_fits);
        else if (bytes_equal(name, BYTES("Keys")))
            look_into_keys(search, s, table_fits);
        else if (bytes_equal(name, BYTES("RequestItems")))
            look_into_tables(search, s, depth);
        else if (bytes_start_with(name, BYTES("Expression")) ||
                 bytes_equal(name, BYTES("Expected")))
            json_skip(s); /* of the user's own names */
        else
            look_into(search, s, table_fits, depth + 1);
    }
}

static void look_into(struct search *search, struct json_scanner *s, bool table_fits,
                      uint32_t depth)
{
    enum json_type type = json_peek(s);
    if (depth >= DEPTH_MAX || (type != JSON_OBJECT && type != JSON_ARRAY)) {
        json_skip(s);
    } else if (type == JSON_OBJECT) {
        look_into_object(search, s, table_fits, depth);
    } else {
        json_array_begin(s);
        while (json_array_next(s))
            look_into(search, s, table_fits, depth + 1);
    }
}

/* A request, or one action of a transaction. */
static bool value_fits(struct api_call *call, const struct inject_rule *rule,
                       struct json_scanner *s)
{
    struct search search = {.call = call, .rule = rule, .table_fits = rule->table.count == 0};
    look_into(&search, s, rule->table.count == 0, 0);
    return value_type(rule->key) == VALUE_NONE ? search.table_fits : search.found;
}

static bool fits(struct api_call *call, const struct inject_rule *rule)
{
    if (rule->operation.count > 0 && !bytes_equal(rule->operation, call->operation->name))
        return false;
    if (rule->table.count == 0 && value_type(rule->key) == VALUE_NONE)
        return true;
    struct json_scanner s;
    json_scanner_init(&s, call->request->body, call_arena(call)); /* does not pause: rules stay */
    return value_fits(call, rule, &s);
}

/* ---- Errors ---- */

/* What clients know the exception by, where the service has one text for it. */
static struct bytes usual_message(enum error_code code)
{
    switch (code) {
    case ERROR_THROUGHPUT_EXCEEDED:
        return BYTES("The level of configured provisioned throughput for the table was exceeded. "
                     "Consider increasing your provisioning level with the UpdateTable API.");
    case ERROR_REQUEST_LIMIT:
        return BYTES("Throughput exceeds the current throughput limit for your account. Please "
                     "contact AWS Support at https://aws.amazon.com/support request a limit "
                     "increase.");
    case ERROR_THROTTLING:
        return BYTES("Rate of requests exceeds the allowed throughput.");
    case ERROR_CONDITION_FAILED:
        return BYTES("The conditional request failed");
    case ERROR_TRANSACTION_CONFLICT:
        return BYTES("Transaction is ongoing for the item");
    case ERROR_COLLECTION_SIZE:
        return BYTES("Collection size exceeded.");
    case ERROR_DUPLICATE_ITEM:
        return BYTES("Duplicate primary key exists in table");
    case ERROR_INTERNAL:
        return BYTES("The request processing has failed because of an unknown error, exception or "
                     "failure.");
    case ERROR_UNAVAILABLE:
        return BYTES("The service is currently unavailable or busy.");
    default:
        return BYTES("injected");
    }
}

/* A throttle of a table that the rule names comes with a reason, as the service's do. */
static void add_reason(const struct api_call *call, struct bytes table, struct error *error)
{
    bool provisioned = error->code == ERROR_THROUGHPUT_EXCEEDED;
    if (table.count == 0 || (!provisioned && error->code != ERROR_THROTTLING))
        return;
    error->throttle_reason = router_throttle_reason(
        THROTTLE_TABLE, call->operation->reads ? ADMISSION_READ : ADMISSION_WRITE,
        provisioned ? THROTTLE_PROVISIONED : THROTTLE_KEY_RANGE);
    error->throttled = table;
}

/* ---- Requests over several items ---- */

/* What the items of the call meet one by one: a copy of what a rule says of them. */
struct injected {
    struct inject_rule rule; /* its operation has fitted */
    struct error error;
};

static bool is_operation(const struct api_call *call, struct bytes name)
{
    return bytes_equal(call->operation->name, name);
}

static bool is_transaction(const struct api_call *call)
{
    return is_operation(call, BYTES("TransactWriteItems")) ||
           is_operation(call, BYTES("TransactGetItems")) ||
           is_operation(call, BYTES("ExecuteTransaction"));
}

/* Is the error one that the service has for an action of a transaction, as a reason to cancel it,
 * or for a statement of a batch? */
static bool is_of_one(enum error_code code)
{
    return code == ERROR_CONDITION_FAILED || code == ERROR_DUPLICATE_ITEM ||
           code == ERROR_TRANSACTION_CONFLICT || code == ERROR_COLLECTION_SIZE ||
           code == ERROR_THROUGHPUT_EXCEEDED || code == ERROR_THROTTLING;
}

/* Does the error leave items of a batch unprocessed, or show in the answers to its statements? */
static bool is_by_item(const struct api_call *call, enum error_code code)
{
    bool throttle = code == ERROR_THROUGHPUT_EXCEEDED || code == ERROR_THROTTLING;
    if (is_operation(call, BYTES("BatchExecuteStatement")))
        return is_of_one(code);
    if (is_operation(call, BYTES("BatchWriteItem")))
        return throttle || code == ERROR_TRANSACTION_CONFLICT;
    return throttle && is_operation(call, BYTES("BatchGetItem"));
}

static bool item_fits(const struct inject_rule *rule, struct bytes table, struct value item)
{
    if (rule->table.count > 0 && !bytes_equal(rule->table, table))
        return false;
    return value_type(rule->key) == VALUE_NONE ||
           (value_type(item) != VALUE_NONE && has_key(rule, item));
}

const struct error *call_injected(const struct api_call *call, struct bytes table,
                                  struct value item)
{
    const struct injected *injected = call->injected;
    if (LIKELY(injected == NULL) || !item_fits(&injected->rule, table, item))
        return NULL;
    return &injected->error;
}

/* Which of the actions of a transaction the rule fits, in the body. */
static uint32_t find_actions(struct api_call *call, const struct inject_rule *rule, bool *found)
{
    uint32_t count = 0;
    struct json_scanner s;
    struct bytes name;
    json_scanner_init(&s, call->request->body, call_arena(call));
    if (json_peek(&s) != JSON_OBJECT)
        return 0;
    json_object_begin(&s);
    while (json_object_next(&s, &name)) {
        bool actions = bytes_equal(name, BYTES("TransactItems")) ||
                       bytes_equal(name, BYTES("TransactStatements"));
        if (!actions || json_peek(&s) != JSON_ARRAY) {
            json_skip(&s);
            continue;
        }
        json_array_begin(&s);
        for (count = 0; json_array_next(&s) && count < TXN_ITEMS_MAX; count++)
            found[count] = value_fits(call, rule, &s);
        break;
    }
    return count;
}

/* A transaction is cancelled for the actions that the rule fits; one without actions is not. */
static enum status cancel(struct api_call *call, const struct inject_rule *rule,
                          const struct inject_item *items, uint32_t count, struct error *error)
{
    struct error *reasons = arena_alloc_array(call_arena(call), TXN_ITEMS_MAX, sizeof(*reasons));
    bool found[TXN_ITEMS_MAX];
    struct error reason = *error;
    if (reasons == NULL)
        return STATUS_NO_MEMORY;
    if (reason.code == ERROR_TRANSACTION_CANCELED)
        reason = (struct error){.code = ERROR_TRANSACTION_CONFLICT,
                                .message = usual_message(ERROR_TRANSACTION_CONFLICT)};
    if (items == NULL)
        count = find_actions(call, rule, found);
    for (uint32_t i = 0; i < count; i++) {
        bool fits = items == NULL ? found[i] : item_fits(rule, items[i].table, items[i].item);
        reasons[i] = fits ? reason : (struct error){0};
    }
    if (count == 0)
        return STATUS_OK;
    struct bytes message = error->message;
    bool whole = error->code == ERROR_TRANSACTION_CANCELED;
    (void)router_cancelled(error, call_arena(call), reasons, count);
    if (error->code != ERROR_TRANSACTION_CANCELED)
        return STATUS_NO_MEMORY;
    if (whole && rule->message.count > 0)
        error->message = message;
    return STATUS_OK;
}

/* ---- Meeting a rule ---- */

static bool fits_items(const struct api_call *call, const struct inject_rule *rule,
                       const struct inject_item *items, uint32_t count)
{
    bool found = false;
    if (rule->operation.count > 0 && !is_operation(call, rule->operation))
        return false;
    if (rule->table.count == 0 && value_type(rule->key) == VALUE_NONE)
        return false; /* it has fitted the request before */
    for (uint32_t i = 0; i < count && !found; i++)
        found = item_fits(rule, items[i].table, items[i].item);
    return found;
}

/* The rule that the call meets, copied to its arena, id 0: none; all that fit count it.  items: of
 * a request of PartiQL, else NULL. */
static enum status find_rule(struct api_call *call, const struct inject_item *items, uint32_t count,
                             struct inject_rule *met)
{
    LIST_FOR_EACH (link, &call->api->injects) {
        struct inject_rule *rule = &LIST_ITEM(link, struct inject, link)->rule;
        if (items == NULL ? !fits(call, rule) : !fits_items(call, rule, items, count))
            continue;
        rule->fitted++;
        if (met->id != 0 || rule->fitted < rule->nth || rule->fitted - rule->nth >= rule->times)
            continue;
        rule->injected++;
        *met = *rule;
        met->message = arena_copy(call_arena(call), rule->message);
        met->table = arena_copy(call_arena(call), rule->table);
        if (value_type(rule->key) != VALUE_NONE) {
            met->key.at = arena_copy(call_arena(call), bytes_of(rule->key.at, rule->key.bytes)).at;
            if (met->key.at == NULL)
                return STATUS_NO_MEMORY;
        }
    }
    bool whole = met->message.at != NULL && met->table.at != NULL;
    return met->id == 0 || whole ? STATUS_OK : STATUS_NO_MEMORY;
}

static enum status meet(struct api_call *call, const struct inject_rule *met,
                        const struct inject_item *items, uint32_t count)
{
    struct error error = {.code = met->error, .message = usual_message(met->error)};
    if (met->message.count > 0)
        error.message = met->message;
    add_reason(call, met->table, &error);
    if (is_transaction(call) &&
        (is_of_one(met->error) || met->error == ERROR_TRANSACTION_CANCELED) &&
        cancel(call, met, items, count, &error) != STATUS_OK)
        return call_no_memory(call);
    if (!is_by_item(call, met->error)) {
        call->error = error;
        return STATUS_INVALID;
    }
    struct injected *injected = arena_alloc(call_arena(call), sizeof(*injected));
    if (injected == NULL)
        return call_no_memory(call);
    *injected = (struct injected){.rule = *met, .error = error};
    call->injected = injected;
    return STATUS_OK;
}

static enum status inject(struct api_call *call, const struct inject_item *items, uint32_t count)
{
    struct inject_rule met = {0};
    if (find_rule(call, items, count, &met) != STATUS_OK)
        return call_no_memory(call);
    if (met.id == 0)
        return STATUS_OK;
    if (met.delay_ms > 0)
        TRY(context_sleep(call->ctx, met.delay_ms * UINT64_C(1000000)));
    return met.error == ERROR_NONE ? STATUS_OK : meet(call, &met, items, count);
}

enum status call_inject(struct api_call *call)
{
    return inject(call, NULL, 0);
}

enum status call_inject_items(struct api_call *call, const struct inject_item *items,
                              uint32_t count)
{
    if (LIKELY(call->api->inject_count == 0) || call->injected != NULL)
        return STATUS_OK;
    return inject(call, items, count);
}
