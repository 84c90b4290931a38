/* policy.c - PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy.
 *
 * A policy is kept and given back.  Nobody is refused anything by it yet.
 */
#include <stdio.h>

#include "api/api_private.h"

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
    struct bytes name, policy;
    uint64_t revision;
    TRY(call_resource_name(call, input->resource, &name));
    TRY(call_read_policy(call, input->policy, &policy));
    TRY(router_set_policy(call->ctx, call_router(call), name, policy, input->expected, &revision,
                          &call->error));
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
