/* testing_errors.c - errors and delays that clients are to meet: /testing/errors. */
#include "api/inject.h"
#include "base/assert.h"
#include "ops/testing_private.h"
#include "wire/item_json.h"

static bool take_text(struct json_scanner *s, struct bytes *text)
{
    if (json_peek(s) != JSON_STRING) {
        json_skip(s);
        return false;
    }
    *text = json_string(s);
    return text->count > 0 && text->count <= INJECT_TEXT_BYTES_MAX;
}

static bool take_count(struct json_scanner *s, uint64_t min, uint64_t max, uint32_t *count)
{
    uint64_t number;
    if (!testing_number(s, max, &number) || number < min)
        return false;
    *count = (uint32_t)number;
    return true;
}

/* {"id": {"S": "1"}} */
static bool take_key(struct testing_call *call, struct json_scanner *s, struct value *key)
{
    struct json_scanner again = *s;
    struct item_json_fault fault;
    struct value_writer writer;
    struct buffer buffer;
    struct value read;
    json_skip(s); /* whatever is wrong with it */
    if (json_peek(&again) != JSON_OBJECT)
        return false;
    buffer_init(&buffer, call->testing->env->heap, INJECT_KEY_BYTES_MAX);
    value_writer_init(&writer, &buffer);
    bool fits = item_json_read_map(&again, &writer, &call->ctx->arena, &fault) == STATUS_OK &&
                value_writer_finish(&writer, &read) == STATUS_OK && value_count(read) > 0;
    if (fits) {
        struct bytes copy = arena_copy(&call->ctx->arena, bytes_of(read.at, read.bytes));
        *key = (struct value){.at = copy.at, .bytes = read.bytes};
        fits = copy.at != NULL;
    }
    buffer_release(&buffer);
    return fits;
}

static bool is_operation(struct bytes name)
{
    for (uint32_t i = 0; i < api_operation_count(); i++) {
        if (bytes_equal(name, api_operation_name(i)))
            return true;
    }
    return false;
}

static bool take_member(struct testing_call *call, void *to, struct bytes name,
                        struct json_scanner *s)
{
    struct inject_rule *rule = to;
    struct bytes text;
    if (bytes_equal(name, BYTES("Operation")))
        return take_text(s, &rule->operation) && is_operation(rule->operation);
    if (bytes_equal(name, BYTES("Table")))
        return take_text(s, &rule->table);
    if (bytes_equal(name, BYTES("Message")))
        return take_text(s, &rule->message);
    if (bytes_equal(name, BYTES("Key")))
        return take_key(call, s, &rule->key);
    if (bytes_equal(name, BYTES("Nth")))
        return take_count(s, 1, UINT32_MAX, &rule->nth);
    if (bytes_equal(name, BYTES("Times")))
        return take_count(s, 1, UINT32_MAX, &rule->times);
    if (bytes_equal(name, BYTES("DelayMs")))
        return take_count(s, 0, INJECT_DELAY_MS_MAX, &rule->delay_ms);
    if (bytes_equal(name, BYTES("Error"))) {
        rule->error = take_text(s, &text) ? inject_error_named(text) : ERROR_NONE;
        return rule->error != ERROR_NONE;
    }
    json_skip(s);
    return false;
}

enum status testing_add_error(struct testing_call *call)
{
    struct inject_rule rule = {.key = VALUE_ABSENT, .nth = 1, .times = 1};
    uint64_t id = 0;
    TRY(testing_read(call, &rule, take_member));
    if (rule.error == ERROR_NONE && rule.delay_ms == 0)
        return testing_refuse(call, 400, "give an Error, a DelayMs, or both");
    enum status status = api_inject(call->testing->api, &rule, &id);
    if (status == STATUS_NO_SPACE)
        return testing_refuse(call, 409, "there are %u that wait for their requests",
                              INJECT_RULES_MAX);
    if (status != STATUS_OK)
        return testing_refuse(call, 503, "%s", status_text(status));
    json_write_object_begin(&call->json);
    json_write_name(&call->json, BYTES("Id"));
    json_write_u64(&call->json, id);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

static void write_text(struct testing_call *call, const char *name, struct bytes text)
{
    if (text.count == 0)
        return;
    json_write_name(&call->json, bytes_of_text(name));
    json_write_string(&call->json, text);
}

static void write_count(struct testing_call *call, const char *name, uint64_t count)
{
    json_write_name(&call->json, bytes_of_text(name));
    json_write_u64(&call->json, count);
}

enum status testing_list_errors(struct testing_call *call)
{
    const struct inject_rule *rule;
    json_write_object_begin(&call->json);
    json_write_name(&call->json, BYTES("Errors"));
    json_write_array_begin(&call->json);
    for (uint32_t i = 0; (rule = api_inject_at(call->testing->api, i)) != NULL; i++) {
        json_write_object_begin(&call->json);
        write_count(call, "Id", rule->id);
        write_text(call, "Operation", rule->operation);
        write_text(call, "Table", rule->table);
        if (value_type(rule->key) != VALUE_NONE) {
            json_write_name(&call->json, BYTES("Key"));
            item_json_write_map(&call->json, rule->key);
        }
        if (rule->error != ERROR_NONE)
            write_text(call, "Error", bytes_of_text(error_form(rule->error)->name));
        write_text(call, "Message", rule->message);
        write_count(call, "Nth", rule->nth);
        write_count(call, "Times", rule->times);
        write_count(call, "DelayMs", rule->delay_ms);
        write_count(call, "Fitted", rule->fitted);
        write_count(call, "Injected", rule->injected);
        json_write_object_end(&call->json);
    }
    json_write_array_end(&call->json);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

enum status testing_remove_error(struct testing_call *call, struct bytes id)
{
    uint64_t number = 0;
    struct json_scanner s;
    TRY(testing_read(call, NULL, NULL));
    if (id.at == NULL) {
        api_inject_clear(call->testing->api);
    } else {
        json_scanner_init(&s, id, &call->ctx->arena);
        if (!testing_number(&s, UINT32_MAX, &number) ||
            !api_inject_remove(call->testing->api, number))
            return testing_refuse(call, 404, "there is none of this Id");
    }
    json_write_object_begin(&call->json);
    json_write_object_end(&call->json);
    return STATUS_OK;
}
