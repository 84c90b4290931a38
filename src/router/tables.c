/* tables.c - the control plane's writes: the catalog says what is wanted, admin/ makes it so. */
#include "router/router_private.h"

#include "base/assert.h"
#include "base/date.h"

#define IN_USE "Attempt to change a resource which is still in use: "

/* How often a change that another one overtook is tried anew. */
#define CHANGES_MAX 8u

bool router_is_overtaken(struct context *ctx, enum status status, uint32_t tries)
{
    if (status != STATUS_CONDITION_FAILED || tries == CHANGES_MAX)
        return false;
    /* The other's row may be committed before it has published what it wrote. */
    if (tries > 0)
        context_yield(ctx);
    return true;
}

static void tables_changed(struct router *router)
{
    router->options.on_tables_changed(router->options.owner);
}

/* A change that was coming is in the catalog, or failed. */
static void change_came(struct router *router)
{
    router->changes_coming--;
    wait_queue_wake_all(&router->changed);
}

static uint64_t now_ms(const struct router *router)
{
    return wall_now_ns(router->env) / UINT64_C(1000000);
}

static enum status find_table(struct context *ctx, struct router *router, struct bytes name,
                              struct table **table, struct error *error)
{
    *table = catalog_find(&router->catalog, name);
    if (*table != NULL)
        return STATUS_OK;
    return error_format(error, &ctx->arena, ERROR_RESOURCE_NOT_FOUND,
                        "Requested resource not found: Table: %.*s not found", BYTES_ARGS(name));
}

enum status router_describe_table(struct context *ctx, struct router *router, struct bytes name,
                                  const struct table **table, struct error *error)
{
    struct table *found;
    TRY(find_table(ctx, router, name, &found, error));
    *table = found;
    return STATUS_OK;
}

struct table_size router_table_size(struct router *router, const struct table *table)
{
    struct table_size size = {0};
    for (uint32_t i = 0; i < table->partition_count; i++) {
        struct replica_size part;
        router->service->size(router->service, table->partitions[i].group_id, &part);
        size.items.count += part.items.count;
        size.items.bytes += part.items.bytes;
        for (uint32_t c = 0; c < LOCAL_INDEXES_MAX; c++) {
            size.indexes[c].count += part.indexes[c].count;
            size.indexes[c].bytes += part.indexes[c].bytes;
        }
    }
    struct collection_size *rows = &size.indexes[table->index_count - table->global_count];
    for (uint32_t g = 0; g < table->global_count; g++, rows++) {
        const struct table_index *global = &table->globals[g];
        for (uint32_t i = 0; i < global->partition_count; i++) {
            struct replica_size part;
            router->service->size(router->service, global->partitions[i].group_id, &part);
            rows->count += part.items.count;
            rows->bytes += part.items.bytes;
        }
    }
    return size;
}

enum status router_list_tables(struct context *ctx, struct router *router, struct bytes start,
                               uint32_t limit, struct bytes *names, uint32_t *count, bool *more,
                               struct error *error)
{
    const struct catalog *catalog = &router->catalog;
    uint32_t at = start.count == 0 ? 0 : catalog_position(catalog, start);
    if (at < catalog->count && start.count > 0 && bytes_equal(catalog->tables[at]->name, start))
        at++;
    *count = 0;
    /* Those that clients do not see come first. */
    while (at < catalog->count && table_name_is_internal(catalog->tables[at]->name))
        at++;
    while (at < catalog->count && *count < limit) {
        names[*count] = arena_copy(&ctx->arena, catalog->tables[at++]->name);
        if (names[(*count)++].at == NULL)
            return error_internal(error, STATUS_NO_MEMORY);
    }
    *more = at < catalog->count;
    return STATUS_OK;
}

/* ---- Changing ---- */

uint32_t router_partitions_for(const struct router *router, enum billing_mode billing,
                               uint64_t read_units, uint64_t write_units)
{
    if (billing == BILLING_ON_DEMAND)
        return router->options.on_demand_partitions;
    uint64_t thirds = MIN(read_units, UINT64_C(1) << 40) + 3 * MIN(write_units, UINT64_C(1) << 40);
    uint64_t count = (thirds + 2999) / 3000;
    return (uint32_t)MIN(MAX(count, UINT64_C(1)), TABLE_PARTITIONS_MAX);
}

static enum status system_error(struct error *error, enum status status, struct bytes name,
                                struct arena *arena)
{
    if (status == STATUS_CONDITION_FAILED)
        return error_format(error, arena, ERROR_RESOURCE_IN_USE,
                            IN_USE "Table is being updated: %.*s", BYTES_ARGS(name));
    return error_internal(error, status);
}

bool router_may_change(const struct router *router)
{
    const struct catalog *catalog = &router->catalog;
    return catalog->unsettled - catalog->departed_deleting + router->changes_coming <
           CHANGES_AT_ONCE_MAX;
}

/* May one more table be created, updated or deleted now? */
static enum status check_changes(struct context *ctx, const struct router *router,
                                 struct error *error)
{
    if (router_may_change(router))
        return STATUS_OK;
    return error_format(
        error, &ctx->arena, ERROR_LIMIT_EXCEEDED,
        "Subscriber limit exceeded: Only %u tables can be created, updated, or deleted "
        "simultaneously",
        CHANGES_AT_ONCE_MAX);
}

static enum status refuse_partitions(struct context *ctx, struct error *error)
{
    return error_format(error, &ctx->arena, ERROR_LIMIT_EXCEEDED,
                        "Subscriber limit exceeded: There is a limit of %u partitions, of all "
                        "tables together, and of %u, of a table and its indexes",
                        PARTITIONS_MAX, TABLE_AND_INDEXES_PARTITIONS_MAX);
}

/* May a table be created that has so many partitions, with its indexes? */
static enum status check_tables(struct context *ctx, const struct router *router, struct bytes name,
                                uint32_t partitions, struct error *error)
{
    const struct catalog *catalog = &router->catalog;
    if (!table_name_is_internal(name) &&
        catalog->count - catalog->internal + router->tables_coming >= TABLES_MAX)
        return error_format(
            error, &ctx->arena, ERROR_LIMIT_EXCEEDED,
            "Subscriber limit exceeded: There is a limit of %u tables per subscriber", TABLES_MAX);
    if (catalog->partitions + router->partitions_coming + partitions > PARTITIONS_MAX ||
        partitions > TABLE_AND_INDEXES_PARTITIONS_MAX)
        return refuse_partitions(ctx, error);
    return check_changes(ctx, router, error);
}

/* Write the row of a table that is to be changed or deleted. */
static enum status write_change(struct context *ctx, struct router *router, struct table *changed,
                                const struct table *from, bool urgent)
{
    changed->schema_version++;
    table_hold(from); /* `changed` borrows its arrays, and the write waits */
    router->changes_coming++;
    enum status status = system_write_table(ctx, router, changed, urgent);
    change_came(router);
    table_drop(from);
    return status;
}

enum status router_divide(struct context *ctx, uint32_t count, uint64_t group_id,
                          struct partition **made)
{
    struct partition *partitions = arena_alloc_array(&ctx->arena, count, sizeof(*partitions));
    if (partitions == NULL)
        return STATUS_NO_MEMORY;
    struct bytes low = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct bytes high = {0};
        uint8_t share[8];
        if (i + 1 < count) {
            high = arena_copy(&ctx->arena, key_hash_share(i + 1, count, share));
            if (high.at == NULL)
                return STATUS_NO_MEMORY;
        }
        partitions[i] = (struct partition){.group_id = group_id + i, .low = low, .high = high};
        low = high;
    }
    *made = partitions;
    return STATUS_OK;
}

/* Write the row of a new table, with ids and partitions that it and its global indexes are given
 * here. */
static enum status write_new(struct context *ctx, struct router *router, struct table *table)
{
    uint64_t ids = 1 + (uint64_t)table_partitions(table) + table->global_count;
    uint32_t partitions = table->partition_count;
    TRY(system_take_ids(ctx, router, ids, &table->id));
    table->schema_version = 1;
    table->status = TABLE_CREATING;
    env_random(router->env, table->uuid, sizeof(table->uuid));
    table->uuid[6] = (uint8_t)((table->uuid[6] & 0x0f) | 0x40); /* version 4 */
    table->uuid[8] = (uint8_t)((table->uuid[8] & 0x3f) | 0x80);
    TRY(router_divide(ctx, partitions, table->id + 1, &table->partitions));
    TRY(indexes_number(ctx, router, table->id + 1 + partitions, table));
    return system_write_table(ctx, router, table, false);
}

static enum status create(struct context *ctx, struct router *router,
                          const struct create_table_request *request, uint32_t partitions)
{
    uint64_t ms = now_ms(router);
    struct table table = {
        .name = request->name,
        .hash_seed = env_random_u64(router->env),
        .schema = request->schema,
        .created_ms = ms,
        .billing = request->billing,
        .billing_changed_ms = request->billing == BILLING_ON_DEMAND ? ms : 0,
        .read_units = request->read_units,
        .write_units = request->write_units,
        .has_on_demand_maximum = request->has_on_demand_maximum,
        .on_demand_read_max = request->on_demand_read_max,
        .on_demand_write_max = request->on_demand_write_max,
        .deletion_protection = request->deletion_protection,
        .table_class = request->table_class,
        .table_class_changed_ms = request->table_class_given ? ms : 0,
        .warm = warm_most(request->warm, warm_by_itself(request->billing, request->read_units,
                                                        request->write_units)),
        .sse = request->sse,
        .policy = request->policy,
        .policy_revision = request->policy.count > 0 ? ms : 0,
        .tags = request->tags,
        .tag_count = request->tag_count,
        .partition_count = partitions,
    };
    if (request->stream_view != 0)
        table_stream_begin(&table, request->stream_view, router_stream_time(router, table.name));
    TRY(indexes_create(ctx, router, request, &table));
    return write_new(ctx, router, &table);
}

enum status router_create_table(struct context *ctx, struct router *router,
                                const struct create_table_request *request, struct error *error)
{
    const struct table *there = catalog_find(&router->catalog, request->name);
    if (there != NULL)
        return error_format(error, &ctx->arena, ERROR_RESOURCE_IN_USE, "%s: %.*s",
                            there->status == TABLE_CREATING
                                ? "Attempt to change a resource which is still in use: Table is "
                                  "being created"
                                : "Table already exists",
                            BYTES_ARGS(request->name));
    uint32_t partitions =
        router_partitions_for(router, request->billing, request->read_units, request->write_units);
    uint32_t all = partitions + indexes_partitions(router, request);
    TRY(check_tables(ctx, router, request->name, all, error));
    router->changes_coming++;
    router->tables_coming++;
    router->partitions_coming += all;
    enum status status = create(ctx, router, request, partitions);
    change_came(router);
    router->tables_coming--;
    router->partitions_coming -= all;
    if (status == STATUS_CONDITION_FAILED)
        return error_format(error, &ctx->arena, ERROR_RESOURCE_IN_USE, "Table already exists: %.*s",
                            BYTES_ARGS(request->name));
    if (status != STATUS_OK)
        return system_error(error, status, request->name, &ctx->arena);
    tables_changed(router);
    return STATUS_OK;
}

enum status router_recreate_table(struct context *ctx, struct router *router,
                                  const struct table *model, struct error *error)
{
    struct table table = *model; /* its seed too: items keep their order */
    uint32_t partitions = table_partitions(model);
    TRY(check_tables(ctx, router, model->name, partitions, error));
    table.created_ms = now_ms(router);
    const struct table_stream *stream = table_stream(model);
    table.stream_count = 0; /* a new table begins a new one */
    if (stream != NULL)
        table_stream_begin(&table, stream->view, router_stream_time(router, table.name));
    router->changes_coming++;
    router->tables_coming++;
    router->partitions_coming += partitions;
    enum status status = write_new(ctx, router, &table);
    change_came(router);
    router->tables_coming--;
    router->partitions_coming -= partitions;
    if (status != STATUS_OK)
        return system_error(error, status, table.name, &ctx->arena);
    tables_changed(router);
    return STATUS_OK;
}

/* The table may be changed or deleted now. */
static enum status check_settled(struct context *ctx, const struct table *table,
                                 struct error *error)
{
    static const char *const doing[] = {
        [TABLE_CREATING] = "created", [TABLE_UPDATING] = "updated", [TABLE_DELETING] = "deleted"};
    if (table->status == TABLE_ACTIVE)
        return STATUS_OK;
    return error_format(error, &ctx->arena, ERROR_RESOURCE_IN_USE, IN_USE "Table is being %s: %.*s",
                        doing[table->status], BYTES_ARGS(table->name));
}

#define DAY_MS  UINT64_C(86400000)
#define HOUR_MS UINT64_C(3600000)

#define BILLING_SWITCH_DAYS 1u
#define CLASS_CHANGE_DAYS   30u

/* "Friday, October 9, 2026 at 1:21:34 AM Coordinated Universal Time" */
static struct bytes format_moment(struct arena *arena, uint64_t ms)
{
    static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};
    static const char *const months[] = {"January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December"};
    struct date date = date_from_seconds(ms / 1000);
    return arena_format(arena, "%s, %s %u, %u at %u:%02u:%02u %s Coordinated Universal Time",
                        days[(ms / DAY_MS + 4) % 7], months[date.month - 1], date.day, date.year,
                        (date.hour + 11) % 12 + 1, date.minute, date.second,
                        date.hour < 12 ? "AM" : "PM");
}

enum status router_check_decrease(struct context *ctx, const struct router *router,
                                  uint64_t last_ms, uint32_t *decreases_today, uint64_t ms,
                                  struct error *error)
{
    if (last_ms / DAY_MS != ms / DAY_MS)
        *decreases_today = 0;
    bool free = *decreases_today < router->options.decreases_at_once;
    if (last_ms == 0 || free || ms >= last_ms + HOUR_MS) {
        (*decreases_today)++;
        return STATUS_OK;
    }
    struct bytes last = format_moment(&ctx->arena, last_ms);
    struct bytes next = format_moment(&ctx->arena, last_ms + HOUR_MS);
    return error_format(
        error, &ctx->arena, ERROR_LIMIT_EXCEEDED,
        "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given "
        "UTC day. After the first %u decreases, each subsequent decrease in the same UTC day can "
        "be performed at most once every 3600 seconds. Number of decreases today: %u. Last "
        "decrease at %.*s. Next decrease can be made at %.*s",
        router->options.decreases_at_once, *decreases_today, BYTES_ARGS(last), BYTES_ARGS(next));
}

/* May `what` be done once more?  As often as there are `times`, the newest first, it may in any
 * `days`; notes it. */
static enum status check_often(struct context *ctx, const char *what, bool says_when,
                               uint64_t *times, uint32_t count, uint32_t days, uint64_t ms,
                               struct error *error)
{
    uint64_t oldest_ms = times[count - 1], span_ms = days * DAY_MS;
    if (oldest_ms > 0 && ms < oldest_ms + span_ms) {
        struct bytes last = format_moment(&ctx->arena, times[0]);
        struct bytes next = format_moment(&ctx->arena, oldest_ms + span_ms);
        struct bytes when =
            arena_format(&ctx->arena, " Last update at %.*s. Next update can be made at %.*s",
                         BYTES_ARGS(last), BYTES_ARGS(next));
        return error_format(error, &ctx->arena, ERROR_LIMIT_EXCEEDED,
                            "Subscriber limit exceeded: %s are limited to %u times in %u "
                            "day(s).%.*s",
                            what, count, days, BYTES_ARGS(says_when ? when : BYTES("")));
    }
    memmove(&times[1], &times[0], (count - 1) * sizeof(times[0]));
    times[0] = ms;
    return STATUS_OK;
}

static enum status change_throughput(struct context *ctx, struct router *router,
                                     struct table *table, uint64_t read_units, uint64_t write_units,
                                     struct error *error)
{
    uint64_t ms = now_ms(router);
    bool decreases = read_units < table->read_units || write_units < table->write_units;
    if (decreases && table->billing == BILLING_PROVISIONED)
        TRY(router_check_decrease(ctx, router, table->last_decrease_ms, &table->decreases_today, ms,
                                  error));
    if (decreases)
        table->last_decrease_ms = ms;
    if (read_units > table->read_units || write_units > table->write_units)
        table->last_increase_ms = ms;
    table->read_units = read_units;
    table->write_units = write_units;
    return STATUS_OK;
}

static enum status change(struct context *ctx, struct router *router,
                          const struct update_table_request *request, const struct index_ids *ids,
                          struct table *table, struct error *error)
{
    uint64_t ms = now_ms(router);
    if (request->billing_given && request->billing == BILLING_ON_DEMAND) {
        if (table->billing != BILLING_ON_DEMAND) {
            TRY(check_often(ctx, "Update to PayPerRequest mode", true, table->switched_ms,
                            BILLING_SWITCHES, BILLING_SWITCH_DAYS, ms, error));
            table->billing_changed_ms = ms;
        }
        table->read_units = table->write_units = 0;
    }
    if (request->throughput_given)
        TRY(change_throughput(ctx, router, table, request->read_units, request->write_units,
                              error));
    if (request->billing_given)
        table->billing = request->billing;
    if (table->billing == BILLING_PROVISIONED)
        table->has_on_demand_maximum = false;
    if (request->on_demand_maximum_given) {
        table->has_on_demand_maximum = true;
        table->on_demand_read_max = request->on_demand_read_max;
        table->on_demand_write_max = request->on_demand_write_max;
    }
    if (request->deletion_protection_given)
        table->deletion_protection = request->deletion_protection;
    table->warm = warm_most(table_warm(table), request->warm);
    if (request->sse_given)
        table->sse = request->sse;
    if (request->table_class_given && request->table_class != table->table_class) {
        TRY(check_often(ctx, "Updates to TableClass", false, table->class_changes_ms, CLASS_CHANGES,
                        CLASS_CHANGE_DAYS, ms, error));
        table->table_class = request->table_class;
        table->table_class_changed_ms = ms;
    }
    return indexes_change(ctx, router, request, ids, ms, table, error);
}

/* Ids for an index that is to be created, if one is; its partitions are on their way from here
 * on. */
static enum status take_index_ids(struct context *ctx, struct router *router,
                                  const struct update_table_request *request, struct index_ids *ids,
                                  struct error *error)
{
    struct table *table;
    uint32_t at = 0;
    *ids = (struct index_ids){0};
    while (at < request->index_update_count && request->index_updates[at].action != INDEX_CREATE)
        at++;
    if (at == request->index_update_count)
        return STATUS_OK;
    const struct index_throughput *given = &request->index_updates[at].throughput;
    TRY(find_table(ctx, router, request->name, &table, error));
    enum billing_mode billing = request->billing_given ? request->billing : table->billing;
    uint32_t count = router_partitions_for(router, billing, given->read_units, given->write_units);
    const struct catalog *catalog = &router->catalog;
    if (catalog->partitions + router->partitions_coming + count > PARTITIONS_MAX ||
        table_partitions(table) + count > TABLE_AND_INDEXES_PARTITIONS_MAX)
        return refuse_partitions(ctx, error);
    ids->partitions = count;
    router->partitions_coming += count;
    enum status status = system_take_ids(ctx, router, 1 + (uint64_t)count, &ids->first);
    return status == STATUS_OK ? status : system_error(error, status, request->name, &ctx->arena);
}

/* Enable a stream, or disable the one that there is. */
static enum status change_stream(struct context *ctx, struct router *router, uint8_t view,
                                 struct table *table, struct error *error)
{
    bool enabled = table_stream(table) != NULL;
    if (view != 0 && enabled)
        return error_format(error, &ctx->arena, ERROR_VALIDATION,
                            "Table already has an enabled stream: TableName: %.*s",
                            BYTES_ARGS(table->name));
    if (view == 0 && !enabled)
        return error_format(error, &ctx->arena, ERROR_VALIDATION,
                            "Table has no stream to disable: TableName: %.*s",
                            BYTES_ARGS(table->name));
    if (view != 0)
        table_stream_begin(table, view, router_stream_time(router, table->name));
    else
        table_stream_end(table, now_ms(router));
    return STATUS_OK;
}

static enum status update_table(struct context *ctx, struct router *router,
                                const struct update_table_request *request,
                                const struct index_ids *ids, struct error *error)
{
    enum status status = STATUS_CONDITION_FAILED;
    for (uint32_t i = 0; router_is_overtaken(ctx, status, i); i++) {
        struct table *table;
        TRY(find_table(ctx, router, request->name, &table, error));
        TRY(check_settled(ctx, table, error));
        TRY(check_changes(ctx, router, error));
        struct table changed = *table;
        TRY(change(ctx, router, request, ids, &changed, error));
        if (request->stream_given)
            TRY(change_stream(ctx, router, request->stream_view, &changed, error));
        changed.status = TABLE_UPDATING;
        status = write_change(ctx, router, &changed, table, false);
    }
    if (status != STATUS_OK)
        return system_error(error, status, request->name, &ctx->arena);
    tables_changed(router);
    return STATUS_OK;
}

enum status router_update_table(struct context *ctx, struct router *router,
                                const struct update_table_request *request, struct error *error)
{
    struct index_ids ids;
    enum status status = take_index_ids(ctx, router, request, &ids, error);
    if (status == STATUS_OK)
        status = update_table(ctx, router, request, &ids, error);
    router->partitions_coming -= ids.partitions;
    return status;
}

/* `by_client`: what protects a table is heeded, and what can be read of its streams stays. */
static enum status delete_table(struct context *ctx, struct router *router, struct bytes name,
                                bool by_client, struct error *error)
{
    enum status status = STATUS_CONDITION_FAILED;
    for (uint32_t i = 0; router_is_overtaken(ctx, status, i); i++) {
        struct table *table;
        TRY(find_table(ctx, router, name, &table, error));
        TRY(check_settled(ctx, table, error));
        if (table->deletion_protection && by_client)
            return error_set(
                error, ERROR_VALIDATION,
                "Resource cannot be deleted as it is currently protected against deletion. "
                "Disable deletion protection first.");
        if (!table_is_settled(table) && by_client) /* an index is in the making */
            return error_format(error, &ctx->arena, ERROR_RESOURCE_IN_USE,
                                IN_USE "Table is being updated: %.*s", BYTES_ARGS(name));
        TRY(check_changes(ctx, router, error));
        struct table changed = *table;
        changed.status = TABLE_DELETING;
        if (table_stream(table) != NULL)
            table_stream_end(&changed, now_ms(router));
        if (!by_client)
            changed.stream_count = 0;
        status = write_change(ctx, router, &changed, table, true);
    }
    if (status != STATUS_OK)
        return system_error(error, status, name, &ctx->arena);
    tables_changed(router);
    return STATUS_OK;
}

enum status router_delete_table(struct context *ctx, struct router *router, struct bytes name,
                                struct error *error)
{
    return delete_table(ctx, router, name, true, error);
}

enum status router_discard_table(struct context *ctx, struct router *router, struct bytes name,
                                 struct error *error)
{
    return delete_table(ctx, router, name, false, error);
}

/* ---- Tags ---- */

/* The table's tags after a change; a new array in the arena. */
struct tag_change {
    const struct tag *add;
    uint32_t add_count;
    const struct bytes *remove; /* keys */
    uint32_t remove_count;
};

static bool removes(const struct tag_change *change, struct bytes key)
{
    for (uint32_t i = 0; i < change->remove_count; i++) {
        if (bytes_equal(change->remove[i], key))
            return true;
    }
    return false;
}

static enum status change_tags(struct context *ctx, const struct table *table,
                               const struct tag_change *change, struct tag **tags, uint32_t *count,
                               struct error *error)
{
    struct tag *made = arena_alloc_array(
        &ctx->arena, table->tag_count + (size_t)change->add_count + 1, sizeof(*made));
    if (made == NULL)
        return error_internal(error, STATUS_NO_MEMORY);
    uint32_t total = 0;
    for (uint32_t i = 0; i < table->tag_count; i++) {
        if (!removes(change, table->tags[i].key))
            made[total++] = table->tags[i];
    }
    for (uint32_t i = 0; i < change->add_count; i++) {
        uint32_t at = 0;
        while (at < total && !bytes_equal(made[at].key, change->add[i].key))
            at++;
        made[at] = change->add[i];
        total = MAX(total, at + 1);
    }
    if (total > TAGS_MAX)
        return error_set(error, ERROR_VALIDATION,
                         "Number of Tags exceed the current limit for the provided ResourceArn");
    *tags = made;
    *count = total;
    return STATUS_OK;
}

static enum status write_tags(struct context *ctx, struct router *router, struct bytes name,
                              const struct tag_change *change, struct error *error)
{
    enum status status = STATUS_CONDITION_FAILED;
    for (uint32_t i = 0; router_is_overtaken(ctx, status, i); i++) {
        struct table *table;
        TRY(find_table(ctx, router, name, &table, error));
        struct table changed = *table;
        TRY(change_tags(ctx, table, change, &changed.tags, &changed.tag_count, error));
        if (change->add_count == 0 && changed.tag_count == table->tag_count)
            return STATUS_OK;
        changed.schema_version++;
        table_hold(table);
        status = system_write_table(ctx, router, &changed, false);
        table_drop(table);
    }
    return status == STATUS_OK ? status : system_error(error, status, name, &ctx->arena);
}

enum status router_tag_table(struct context *ctx, struct router *router, struct bytes name,
                             const struct tag *tags, uint32_t count, struct error *error)
{
    struct tag_change change = {.add = tags, .add_count = count};
    return write_tags(ctx, router, name, &change, error);
}

enum status router_untag_table(struct context *ctx, struct router *router, struct bytes name,
                               const struct bytes *keys, uint32_t count, struct error *error)
{
    struct tag_change change = {.remove = keys, .remove_count = count};
    return write_tags(ctx, router, name, &change, error);
}

/* ---- Items that expire ---- */

/* "It can take up to one hour for the change to fully process.  Any additional UpdateTimeToLive
 * calls for the same table during this one hour duration result in a ValidationException" (API
 * Reference, UpdateTimeToLive). */
static enum status check_ttl(struct context *ctx, const struct router *router,
                             const struct table *table, bool enable, struct bytes attribute,
                             struct error *error)
{
    bool is_enabled = table_ttl(table).count > 0;
    uint64_t ms = now_ms(router), changed_ms = table->ttl_changed_ms;
    TRY(check_settled(ctx, table, error));
    if (is_enabled && !bytes_equal(attribute, table->ttl_attribute))
        return error_format(error, &ctx->arena, ERROR_VALIDATION,
                            "TimeToLive is active on a different AttributeName: current "
                            "AttributeName is %.*s",
                            BYTES_ARGS(table->ttl_attribute));
    if (is_enabled == enable)
        return error_set(error, ERROR_VALIDATION,
                         enable ? "TimeToLive is already enabled"
                                : "TimeToLive is already disabled");
    bool is_cooling = changed_ms > 0 && ms >= changed_ms && ms - changed_ms < HOUR_MS;
    if (is_cooling || table->ttl == TTL_ENABLING || table->ttl == TTL_DISABLING)
        return error_set(error, ERROR_VALIDATION,
                         "Time to live has been modified multiple times within a fixed interval");
    return STATUS_OK;
}

enum status router_update_ttl(struct context *ctx, struct router *router, struct bytes name,
                              bool enable, struct bytes attribute, struct error *error)
{
    enum status status = STATUS_CONDITION_FAILED;
    for (uint32_t i = 0; router_is_overtaken(ctx, status, i); i++) {
        struct table *table;
        TRY(find_table(ctx, router, name, &table, error));
        TRY(check_ttl(ctx, router, table, enable, attribute, error));
        TRY(check_changes(ctx, router, error));
        struct table changed = *table;
        changed.ttl = enable ? TTL_ENABLING : TTL_DISABLING;
        changed.ttl_attribute = attribute;
        changed.ttl_changed_ms = now_ms(router);
        status = write_change(ctx, router, &changed, table, false);
    }
    if (status != STATUS_OK)
        return system_error(error, status, name, &ctx->arena);
    tables_changed(router);
    return STATUS_OK;
}

const struct table *router_next_ttl(struct router *router, struct bytes after)
{
    const struct catalog *catalog = &router->catalog;
    for (uint32_t at = catalog_position(catalog, after); at < catalog->count; at++) {
        const struct table *table = catalog->tables[at];
        bool passed = after.count > 0 && bytes_equal(table->name, after);
        bool serves = table->status == TABLE_ACTIVE || table->status == TABLE_UPDATING;
        if (!passed && serves && table->ttl != TTL_DISABLED)
            return table;
    }
    return NULL;
}

enum status router_expire(struct context *ctx, struct router *router, const struct table *table,
                          uint32_t partition, struct replica_expire *expire,
                          struct replica_expire_result *result)
{
    struct replica_target target = router_partition_target(table, &table->partitions[partition]);
    expire->write = (struct replica_write){0};
    router_write_indexed(table, &expire->write);
    return router->service->expire(ctx, router->service, &target, expire, result);
}

enum status router_settle_ttl(struct context *ctx, struct router *router, const struct table *table)
{
    /* Tags may be written at the same time; who comes second begins anew. */
    enum status status = STATUS_CONDITION_FAILED;
    for (uint32_t i = 0; router_is_overtaken(ctx, status, i); i++) {
        struct table *now = catalog_find(&router->catalog, table->name);
        if (now == NULL || now->id != table->id || now->ttl != table->ttl)
            return STATUS_OK;
        struct table changed = *now;
        changed.ttl = now->ttl == TTL_ENABLING ? TTL_ENABLED : TTL_DISABLED;
        if (changed.ttl == TTL_DISABLED)
            changed.ttl_attribute = (struct bytes){0};
        status = write_change(ctx, router, &changed, now, true);
    }
    return status;
}

/* ---- For admin/ ---- */

enum status router_refresh(struct context *ctx, struct router *router)
{
    if (!router->doubtful)
        return STATUS_OK;
    /* Behind this write every one before it is committed, or never will be. */
    uint64_t unused;
    TRY(system_take_ids(ctx, router, 1, &unused));
    router->doubtful = false;
    enum status status = system_load(ctx, router);
    router->doubtful |= status != STATUS_OK;
    return status;
}

const struct table *router_next_unsettled(struct router *router, struct bytes after)
{
    const struct catalog *catalog = &router->catalog;
    for (uint32_t at = catalog_position(catalog, after); at < catalog->count; at++) {
        const struct table *table = catalog->tables[at];
        bool passed = after.count > 0 && bytes_equal(table->name, after);
        if (!passed && !table_is_settled(table))
            return table;
    }
    return NULL;
}

enum status router_settle_table(struct context *ctx, struct router *router,
                                const struct table *dealt)
{
    /* Tags may be written at the same time; who comes second begins anew. */
    enum status status = STATUS_CONDITION_FAILED;
    for (uint32_t i = 0; router_is_overtaken(ctx, status, i); i++) {
        bool indexes_changed;
        struct table *table = catalog_find(&router->catalog, dealt->name);
        if (table == NULL || table->id != dealt->id || table->status == TABLE_DELETING)
            return STATUS_OK;
        struct table changed = *table;
        TRY(indexes_settle(ctx, router, dealt, &changed, &indexes_changed));
        if (table->status == TABLE_ACTIVE && !indexes_changed)
            return STATUS_OK;
        changed.schema_version++;
        changed.status = TABLE_ACTIVE;
        table_hold(table);
        status = system_write_table(ctx, router, &changed, true);
        table_drop(table);
    }
    return status;
}

enum status router_forget_table(struct context *ctx, struct router *router, struct bytes name)
{
    const struct table *table = catalog_find(&router->catalog, name);
    if (table != NULL) {
        table_budgets_forget(router, table->id);
        for (uint32_t i = 0; i < table->global_count; i++)
            table_budgets_forget(router, table->globals[i].id);
    }
    return system_delete_table(ctx, router, name);
}
