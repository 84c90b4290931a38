/* streams.c - the streams of tables, and their records, partition by partition. */
#include "router/router_private.h"

/* ---- Tables in the order of their streams' names ---- */

/* Can clients know streams of it?  Not of what is in the catalog only until it is removed. */
static bool shows_streams(const struct router *router, const struct table *table)
{
    char name[DEPARTED_NAME_BYTES_MAX];
    if (table->stream_count == 0 || (table_is_departed(table) && table->status == TABLE_DELETING))
        return false;
    if (table->status != TABLE_DELETING)
        return true;
    /* It is there twice for a moment. */
    return router_departs(router, table) &&
           catalog_find(&router->catalog, table_departed_name(table->name, table->id, name)) ==
               NULL;
}

static const struct table *next_departed(const struct router *router, struct bytes name,
                                         uint64_t id)
{
    char text[DEPARTED_NAME_BYTES_MAX];
    const struct catalog *catalog = &router->catalog;
    /* Ids are not given out to the last: the next one is a name, too. */
    const struct table *table = catalog_departed(catalog, table_departed_name(name, id + 1, text));
    while (table != NULL && !shows_streams(router, table))
        table = catalog_departed(
            catalog, table_departed_name(table_stream_name(table), table->id + 1, text));
    return table;
}

static const struct table *next_living(const struct router *router, struct bytes name, uint64_t id)
{
    const struct catalog *catalog = &router->catalog;
    uint32_t at = MAX(catalog_position(catalog, name), catalog->internal);
    if (at < catalog->count && bytes_equal(catalog->tables[at]->name, name) &&
        catalog->tables[at]->id <= id)
        at++;
    while (at < catalog->count && !shows_streams(router, catalog->tables[at]))
        at++;
    return at < catalog->count ? catalog->tables[at] : NULL;
}

const struct table *router_next_streamed(const struct router *router, struct bytes name,
                                         uint64_t id)
{
    const struct table *departed = next_departed(router, name, id);
    const struct table *living = next_living(router, name, id);
    if (departed == NULL || living == NULL)
        return departed == NULL ? living : departed;
    int order = bytes_compare(table_stream_name(departed), living->name);
    return order < 0 || (order == 0 && departed->id < living->id) ? departed : living;
}

/* ---- Streams ---- */

uint64_t router_stream_time(const struct router *router, struct bytes name)
{
    char text[DEPARTED_NAME_BYTES_MAX];
    uint64_t ms = wall_now_ns(router->env) / UINT64_C(1000000);
    const struct table *table = NULL;
    for (uint64_t id = 0;; id = table->id) {
        table = catalog_departed(&router->catalog, table_departed_name(name, id + 1, text));
        if (table == NULL || !bytes_equal(table_stream_name(table), name))
            return ms;
        ms = MAX(ms, table->streams[table->stream_count - 1].created_ms + 1);
    }
}

enum status router_read_stream(struct context *ctx, struct router *router,
                               const struct table *table, const struct partition *partition,
                               const struct replica_changes *read, struct change_sink *sink,
                               struct replica_changes_result *result, struct error *error)
{
    struct replica_target target = router_partition_target(table, partition);
    *result = (struct replica_changes_result){.next = read->from};
    enum status status =
        router->service->changes(ctx, router->service, &target, read, sink, result);
    /* A partition that is not made yet, or has not begun to serve, has no records. */
    bool coming = status == STATUS_MOVED || status == STATUS_UNAVAILABLE;
    if (coming && table->status == TABLE_CREATING)
        return STATUS_OK;
    return router_replica_error(error, status);
}
