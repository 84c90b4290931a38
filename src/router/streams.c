/* streams.c - the streams of tables, and their records, partition by partition. */
#include "router/router_private.h"

const struct table *router_next_table(const struct router *router, struct bytes after)
{
    const struct catalog *catalog = &router->catalog;
    uint32_t at = after.count == 0 ? 0 : catalog_position(catalog, after);
    if (at < catalog->count && after.count > 0 && bytes_equal(catalog->tables[at]->name, after))
        at++;
    return at < catalog->count ? catalog->tables[at] : NULL;
}

const struct table_stream *router_find_stream(const struct router *router, struct bytes table_name,
                                              uint64_t created_ms, const struct table **found)
{
    const struct table *table = catalog_find(&router->catalog, table_name);
    uint64_t now_ms = wall_now_ns(router->env) / UINT64_C(1000000);
    if (table == NULL || table->status == TABLE_DELETING)
        return NULL;
    for (uint32_t i = 0; i < table->stream_count; i++) {
        const struct table_stream *stream = &table->streams[i];
        if (stream->created_ms != created_ms || !table_stream_lives(stream, now_ms))
            continue;
        *found = table;
        return stream;
    }
    return NULL;
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
