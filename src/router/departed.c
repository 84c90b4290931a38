/* departed.c - deleted tables of which the streams stay, for their 24 hours.
 *
 * A table that departs gets a new row in the catalog, under a name of its own; then its old row
 * goes.  After a crash in between both are there, and the table departs once more.  It ends as any
 * table does: its row says DELETING, and admin/ removes partitions and row.
 */
#include "router/router_private.h"

#define ENDING_AT_ONCE 16u                  /* so that clients' changes have their turn */
#define LOOK_NS        UINT64_C(1000000000) /* while there are any: is space short? */
#define NS_PER_MS      UINT64_C(1000000)

static uint64_t now_ms(const struct router *router)
{
    return wall_now_ns(router->env) / NS_PER_MS;
}

uint32_t router_departed_tables(const struct router *router)
{
    return router->catalog.departed;
}

const struct table *router_next_departed(const struct router *router, struct bytes after)
{
    const struct table *table = catalog_departed(&router->catalog, after);
    if (table == NULL || after.count == 0 || !bytes_equal(table->name, after))
        return table;
    char text[DEPARTED_NAME_BYTES_MAX];
    return catalog_departed(&router->catalog,
                            table_departed_name(table_stream_name(table), table->id + 1, text));
}

/* ---- Departing ---- */

bool router_departs(const struct router *router, const struct table *table)
{
    return table->status == TABLE_DELETING && !table_is_departed(table) &&
           now_ms(router) < table_streams_end_ms(table);
}

static bool has_room(const struct router *router, const struct table *table)
{
    const struct catalog *catalog = &router->catalog;
    return catalog->departed + router->departed_coming < DEPARTED_TABLES_ROOM &&
           catalog->departed_partitions + router->departed_partitions_coming +
                   table->partition_count <=
               DEPARTED_PARTITIONS_ROOM;
}

static enum status write_departed(struct context *ctx, struct router *router,
                                  const struct table *table)
{
    char name[DEPARTED_NAME_BYTES_MAX];
    struct table departed = *table;
    table_depart(&departed, table_departed_name(table->name, table->id, name), now_ms(router));
    if (departed.stream_count == 0)
        return STATUS_NOT_FOUND; /* their time has ended meanwhile */
    if (catalog_find(&router->catalog, departed.name) != NULL)
        return STATUS_OK; /* before a crash */
    if (!has_room(router, table))
        return STATUS_BUSY;
    departed.schema_version = 1;
    router->departed_coming++;
    router->departed_partitions_coming += table->partition_count;
    enum status status = system_write_table(ctx, router, &departed, true);
    router->departed_coming--;
    router->departed_partitions_coming -= table->partition_count;
    router->stats.departed += status == STATUS_OK;
    return status;
}

enum status router_depart(struct context *ctx, struct router *router, const struct table *table)
{
    TRY(router_remove_index_partitions(ctx, router, table));
    enum status status = router_retire_partitions(ctx, router, table);
    if (status == STATUS_OK)
        status = write_departed(ctx, router, table);
    if (status == STATUS_NOT_FOUND || status == STATUS_NO_SPACE || status == STATUS_CORRUPT) {
        log_line(router->env->log, LOG_WARNING, "router",
                 "the streams of the deleted table %.*s go with it: %s", BYTES_ARGS(table->name),
                 status_text(status));
        status = router_remove_partitions(ctx, router, table);
    }
    TRY(status);
    TRY(router_forget_table(ctx, router, table->name));
    router->options.on_tables_changed(router->options.owner); /* there may be one too many now */
    return STATUS_OK;
}

/* ---- The end ---- */

/* Can it be removed now?  Not while it is there under its old name, too. */
static bool may_end(const struct router *router, const struct table *table)
{
    const struct table *old = catalog_find(&router->catalog, table_stream_name(table));
    return table->status == TABLE_DEPARTED && (old == NULL || old->id != table->id);
}

/* STATUS_CONDITION_FAILED: another flow has it end */
static enum status end(struct context *ctx, struct router *router, const struct table *table)
{
    struct table changed = *table;
    changed.status = TABLE_DELETING;
    changed.schema_version++;
    bool early = now_ms(router) < table_streams_end_ms(table);
    table_hold(table); /* `changed` borrows its arrays, and the write waits */
    router->changes_coming++;
    enum status status = system_write_table(ctx, router, &changed, true);
    router->changes_coming--;
    wait_queue_wake_all(&router->changed);
    table_drop(table);
    TRY(status);
    router->stats.departed_early += early;
    router->options.on_tables_changed(router->options.owner);
    return STATUS_OK;
}

/* Of those that are not being removed. */
struct departed_now {
    const struct table *oldest; /* whose streams' time is over first; NULL: there is none */
    uint32_t tables, partitions;
};

static struct departed_now look(const struct router *router)
{
    const struct catalog *catalog = &router->catalog;
    struct departed_now now = {0};
    uint64_t oldest_ms = UINT64_MAX;
    for (uint32_t at = catalog_position(catalog, BYTES(DEPARTED_PREFIX)); at < catalog->count;
         at++) {
        const struct table *table = catalog->tables[at];
        if (!table_is_departed(table))
            break;
        if (table->status != TABLE_DEPARTED)
            continue;
        now.tables++;
        now.partitions += table->partition_count;
        uint64_t end_ms = table_streams_end_ms(table);
        if (end_ms >= oldest_ms || !may_end(router, table))
            continue;
        now.oldest = table;
        oldest_ms = end_ms;
    }
    return now;
}

/* When space is short some go, and a while later, if it still is, some more: pages are not free at
 * once. */
static bool goes_for_space(struct router *router)
{
    uint64_t now_ns = env_now_ns(router->env);
    if (!router->service->is_tight(router->service))
        return false;
    if (now_ns >= router->tight_ns) {
        router->tight_ns = now_ns + LOOK_NS;
        router->tight_left = ENDING_AT_ONCE;
    }
    return router->tight_left > 0;
}

enum status router_end_departed(struct context *ctx, struct router *router, uint64_t *look_ns)
{
    *look_ns = UINT64_MAX;
    while (router->catalog.departed > 0) {
        struct departed_now now = look(router);
        *look_ns = env_now_ns(router->env) + LOOK_NS;
        if (now.oldest == NULL || router->catalog.departed_deleting >= ENDING_AT_ONCE)
            return STATUS_OK;
        bool over = now_ms(router) >= table_streams_end_ms(now.oldest);
        bool many = now.tables > DEPARTED_TABLES_MAX || now.partitions > DEPARTED_PARTITIONS_MAX;
        bool tight = !over && !many && goes_for_space(router);
        if (!over && !many && !tight)
            return STATUS_OK;
        router->tight_left -= tight;
        enum status status = end(ctx, router, now.oldest);
        if (status != STATUS_OK)
            return status == STATUS_CONDITION_FAILED ? STATUS_OK : status;
    }
    return STATUS_OK;
}

enum status router_end_all_departed(struct context *ctx, struct router *router)
{
    char name[DEPARTED_NAME_BYTES_MAX];
    struct bytes after = {0};
    const struct table *table;
    while ((table = router_next_departed(router, after)) != NULL) {
        memcpy(name, table->name.at, table->name.count);
        after = bytes_of(name, table->name.count);
        enum status status = may_end(router, table) ? end(ctx, router, table) : STATUS_OK;
        if (status != STATUS_CONDITION_FAILED)
            TRY(status);
    }
    return STATUS_OK;
}
