/* policies.c - resource policies: kept in the table's row, a revision for each. */
#include <stdio.h>

#include "router/router_private.h"

/* A revision's name is its number: the time it was made, in ms. */
static bool is_expected(const struct table *table, struct bytes expected)
{
    char revision[24];
    if (expected.count == 0)
        return true;
    if (table->policy.count == 0)
        return bytes_equal(expected, BYTES("NO_POLICY"));
    int count =
        snprintf(revision, sizeof(revision), "%llu", (unsigned long long)table->policy_revision);
    return bytes_equal(expected, bytes_of(revision, (size_t)count));
}

static enum status check(struct context *ctx, struct router *router, struct bytes name,
                         struct bytes expected, struct table **table, struct error *error)
{
    *table = catalog_find(&router->catalog, name);
    if (*table == NULL)
        return error_format(error, &ctx->arena, ERROR_RESOURCE_NOT_FOUND,
                            "Requested resource not found: Table: %.*s not found",
                            BYTES_ARGS(name));
    if ((*table)->status == TABLE_CREATING || (*table)->status == TABLE_DELETING)
        return error_format(error, &ctx->arena, ERROR_RESOURCE_IN_USE,
                            "Attempt to change a resource which is still in use: Table is being "
                            "%s: %.*s",
                            (*table)->status == TABLE_CREATING ? "created" : "deleted",
                            BYTES_ARGS(name));
    if (!is_expected(*table, expected))
        return error_format(error, &ctx->arena, ERROR_POLICY_NOT_FOUND,
                            "Resource-based policy not found for the provided ResourceArn: "
                            "Requested update for policy with revision id %.*s, but the policy "
                            "associated to target table %.*s did not match.",
                            BYTES_ARGS(expected), BYTES_ARGS(name));
    return STATUS_OK;
}

enum status router_set_policy(struct context *ctx, struct router *router, struct bytes name,
                              struct bytes policy, struct bytes expected, uint64_t *revision,
                              struct error *error)
{
    enum status status = STATUS_CONDITION_FAILED;
    for (uint32_t i = 0; router_is_overtaken(ctx, status, i); i++) {
        struct table *table;
        TRY(check(ctx, router, name, expected, &table, error));
        *revision = table->policy.count > 0 ? table->policy_revision : 0;
        if (bytes_equal(table->policy, policy))
            return STATUS_OK;
        struct table changed = *table;
        changed.policy = policy;
        changed.schema_version++;
        if (policy.count > 0) {
            uint64_t ms = wall_now_ns(router->env) / UINT64_C(1000000);
            *revision = changed.policy_revision = MAX(ms, table->policy_revision + 1);
        }
        table_hold(table); /* `changed` borrows its arrays, and the write waits */
        status = system_write_table(ctx, router, &changed, false);
        table_drop(table);
    }
    if (status == STATUS_CONDITION_FAILED)
        return error_format(error, &ctx->arena, ERROR_RESOURCE_IN_USE,
                            "Attempt to change a resource which is still in use: Table is being "
                            "updated: %.*s",
                            BYTES_ARGS(name));
    return status == STATUS_OK ? status : error_internal(error, status);
}
