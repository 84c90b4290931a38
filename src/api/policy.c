/* policy.c - PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy.
 *
 * A policy is kept and given back.  Nobody is refused anything by it yet.
 */
#include <stdio.h>

#include "api/api_private.h"

#define NOT_A_POLICY INVALID_VALUES "Invalid policy document: "

/* ---- What a policy is: JSON of the policy language, as far as its outline goes ---- */

#define INVALID_JSON "This policy contains invalid Json"

/* The members of a statement that were seen. */
struct statement {
    bool effect, principal, action, resource;
    bool fault; /* it is none, or Effect is neither Allow nor Deny */
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
        statement->resource |=
            bytes_equal(name, BYTES("Resource")) || bytes_equal(name, BYTES("NotResource"));
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

/* What is wrong with a statement; NULL: nothing. */
static const char *statement_fault(const struct statement *statement)
{
    if (statement->fault)
        return "Syntax error in a Statement";
    if (!statement->effect)
        return "Missing required field Effect";
    if (!statement->principal)
        return "Missing required field Principal";
    if (!statement->action)
        return "Missing required field Action";
    return statement->resource ? NULL : "Missing required field Resource";
}

/* Statement is one, or a list of some.  The first fault. */
static const char *read_statements(struct json_scanner *s)
{
    struct statement one = {0};
    if (json_peek(s) != JSON_ARRAY) {
        read_statement(s, &one);
        return statement_fault(&one);
    }
    const char *fault = NULL;
    bool any = false;
    json_array_begin(s);
    while (json_array_next(s)) {
        struct statement statement = {0};
        read_statement(s, &statement);
        fault = fault != NULL ? fault : statement_fault(&statement);
        any = true;
    }
    return any ? fault : "Could not parse the policy: Statement is empty!";
}

static const char *policy_fault(struct api_call *call, struct bytes policy)
{
    struct json_scanner s;
    struct bytes name;
    const char *fault = "Missing required field Statement";
    bool version = true;
    json_scanner_init(&s, policy, call_arena(call));
    if (json_peek(&s) != JSON_OBJECT)
        return INVALID_JSON;
    json_object_begin(&s);
    while (json_object_next(&s, &name)) {
        if (bytes_equal(name, BYTES("Statement"))) {
            fault = read_statements(&s);
        } else if (bytes_equal(name, BYTES("Version")) && json_peek(&s) == JSON_STRING) {
            struct bytes text = json_string(&s);
            version =
                bytes_equal(text, BYTES("2012-10-17")) || bytes_equal(text, BYTES("2008-10-17"));
        } else {
            json_skip(&s);
        }
    }
    if (json_scanner_finish(&s) != STATUS_OK)
        return INVALID_JSON;
    return version ? fault : "Version is neither 2012-10-17 nor 2008-10-17";
}

enum status call_check_policy(struct api_call *call, struct bytes policy)
{
    if (policy.count > POLICY_BYTES_MAX)
        return error_format(&call->error, call_arena(call), ERROR_VALIDATION,
                            INVALID_VALUES "Maximum policy size of %u bytes exceeded",
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
