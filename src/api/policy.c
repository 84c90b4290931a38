/* policy.c - PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy.
 *
 * A policy is kept and given back.  Nobody is refused anything by it yet.
 */
#include <stdio.h>

#include "api/api_private.h"

#define NOT_A_POLICY "Invalid resource-based policy: "

/* ---- What a policy is: JSON of the policy language, as far as its outline goes ---- */

/* The members of a statement that were seen. */
struct statement {
    bool effect, principal, action;
    bool fault; /* Effect is neither Allow nor Deny */
};

static void read_statement(struct json_scanner *s, struct statement *statement)
{
    struct bytes name;
    if (json_peek(s) != JSON_OBJECT) {
        statement->fault = true;
        json_skip(s);
        return;
    }
    json_object_begin(s);
    while (json_object_next(s, &name)) {
        statement->principal |=
            bytes_equal(name, BYTES("Principal")) || bytes_equal(name, BYTES("NotPrincipal"));
        statement->action |=
            bytes_equal(name, BYTES("Action")) || bytes_equal(name, BYTES("NotAction"));
        if (bytes_equal(name, BYTES("Effect")) && json_peek(s) == JSON_STRING) {
            struct bytes effect = json_string(s);
            statement->effect = true;
            statement->fault |=
                !bytes_equal(effect, BYTES("Allow")) && !bytes_equal(effect, BYTES("Deny"));
        } else {
            json_skip(s);
        }
    }
}

static bool is_whole(const struct statement *statement)
{
    return statement->effect && statement->principal && statement->action && !statement->fault;
}

/* Statement is one, or a list of some. */
static bool read_statements(struct json_scanner *s)
{
    struct statement one = {0};
    if (json_peek(s) != JSON_ARRAY) {
        read_statement(s, &one);
        return is_whole(&one);
    }
    bool whole = true, any = false;
    json_array_begin(s);
    while (json_array_next(s)) {
        struct statement statement = {0};
        read_statement(s, &statement);
        whole = whole && is_whole(&statement);
        any = true;
    }
    return whole && any;
}

static const char *policy_fault(struct api_call *call, struct bytes policy)
{
    struct json_scanner s;
    struct bytes name;
    bool statements = false, whole = true, version = true;
    json_scanner_init(&s, policy, call_arena(call));
    if (json_peek(&s) != JSON_OBJECT)
        return "it is not a JSON object";
    json_object_begin(&s);
    while (json_object_next(&s, &name)) {
        if (bytes_equal(name, BYTES("Statement"))) {
            statements = true;
            whole = read_statements(&s);
        } else if (bytes_equal(name, BYTES("Version")) && json_peek(&s) == JSON_STRING) {
            struct bytes text = json_string(&s);
            version =
                bytes_equal(text, BYTES("2012-10-17")) || bytes_equal(text, BYTES("2008-10-17"));
        } else {
            json_skip(&s);
        }
    }
    if (json_scanner_finish(&s) != STATUS_OK)
        return "it is not valid JSON";
    if (!version)
        return "Version is neither 2012-10-17 nor 2008-10-17";
    if (!statements)
        return "it has no Statement";
    return whole ? NULL : "a Statement needs Effect (Allow or Deny), Principal and Action";
}

enum status call_check_policy(struct api_call *call, struct bytes policy)
{
    if (policy.count > POLICY_BYTES_MAX)
        return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                            NOT_A_POLICY "it has %zu bytes, the maximum is %u", policy.count,
                            POLICY_BYTES_MAX);
    const char *fault = policy_fault(call, policy);
    if (call_arena(call)->refused)
        return call_no_memory(call);
    if (fault == NULL)
        return STATUS_OK;
    return error_format(&call->error, call_arena(call), ERROR_VALIDATION, NOT_A_POLICY "%s", fault);
}

void call_log_policy(struct api_call *call, struct bytes table)
{
    log_line(call->api->env->log, LOG_WARNING, "api",
             "the resource policy of table %.*s is kept, but %s", BYTES_ARGS(table),
             call->api->options.credentials == NULL
                 ? "without --credentials nobody is known by name, and nobody is refused by it"
                 : "requests are not authorised yet: nobody is refused by it");
}

/* ---- The operations ---- */

static void write_revision(struct json_writer *json, uint64_t revision)
{
    char text[24];
    int count = snprintf(text, sizeof(text), "%llu", (unsigned long long)revision);
    write_text(json, "RevisionId", bytes_of(text, (size_t)count));
}

static enum status no_policy(struct api_call *call, struct bytes resource)
{
    return error_format(&call->error, call_arena(call), ERROR_POLICY_NOT_FOUND,
                        "Resource-based policy not found for the provided ResourceArn: %.*s",
                        BYTES_ARGS(resource));
}

enum status api_put_resource_policy(struct api_call *call)
{
    const struct put_policy_input *input = call->input.at;
    struct bytes name;
    uint64_t revision;
    TRY(call_resource_name(call, input->resource, &name));
    TRY(call_check_policy(call, input->policy));
    TRY(router_set_policy(call->ctx, call_router(call), name, input->policy, input->expected,
                          &revision, &call->error));
    call_log_policy(call, name);
    json_write_object_begin(&call->json);
    write_revision(&call->json, revision);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

enum status api_get_resource_policy(struct api_call *call)
{
    const struct policy_input *input = call->input.at;
    const struct table *table;
    struct bytes name;
    TRY(call_resource_name(call, input->resource, &name));
    TRY(router_describe_table(call->ctx, call_router(call), name, &table, &call->error));
    if (table->policy.count == 0)
        return no_policy(call, input->resource);
    json_write_object_begin(&call->json);
    write_text(&call->json, "Policy", table->policy);
    write_revision(&call->json, table->policy_revision);
    json_write_object_end(&call->json);
    return STATUS_OK;
}

enum status api_delete_resource_policy(struct api_call *call)
{
    const struct policy_input *input = call->input.at;
    struct bytes name;
    uint64_t revision;
    TRY(call_resource_name(call, input->resource, &name));
    TRY(router_set_policy(call->ctx, call_router(call), name, (struct bytes){0}, input->expected,
                          &revision, &call->error));
    json_write_object_begin(&call->json);
    if (revision != 0)
        write_revision(&call->json, revision);
    json_write_object_end(&call->json);
    return STATUS_OK;
}
