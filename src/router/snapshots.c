#include "base/assert.h"
#include "router/snapshot_private.h"

#define ARENA_BYTES ((size_t)32 << 20)

struct snapshots {
    struct env *env;
    struct router *router;
    struct budget budget;
    struct list list; /* struct snapshot, in the order in which they were taken */
    uint32_t count;
    bool busy;
    struct context *ctx; /* of what runs now */
};

enum status snapshots_open(struct env *env, struct router *router, struct snapshots **opened)
{
    struct snapshots *snapshots = heap_alloc_zero(env->heap, sizeof(*snapshots));
    if (snapshots == NULL)
        return STATUS_NO_MEMORY;
    *snapshots = (struct snapshots){.env = env, .router = router};
    /* Of a budget large draws, as all are here, have seven eighths. */
    budget_init(&snapshots->budget, SNAPSHOT_BYTES_MAX / 7 * 8);
    list_init(&snapshots->list);
    *opened = snapshots;
    return STATUS_OK;
}

static struct bytes name_of(const struct snapshot *snapshot)
{
    return bytes_of(snapshot->name, snapshot->name_bytes);
}

static void drop_table(struct snapshots *snapshots, struct snapshot_table *table)
{
    struct heap *heap = snapshots->env->heap;
    list_remove(&table->link);
    snapshot_release_blocks(heap, &snapshots->budget, table);
    table_drop(table->table);
    heap_free(heap, table, sizeof(*table));
}

static void snapshot_free(struct snapshots *snapshots, struct snapshot *snapshot)
{
    while (!list_empty(&snapshot->tables))
        drop_table(snapshots, LIST_ITEM(snapshot->tables.next, struct snapshot_table, link));
    list_remove(&snapshot->link);
    heap_free(snapshots->env->heap, snapshot, sizeof(*snapshot));
}

void snapshots_close(struct snapshots *snapshots)
{
    ASSERT(!snapshots->busy);
    while (!list_empty(&snapshots->list))
        snapshot_free(snapshots, LIST_ITEM(snapshots->list.next, struct snapshot, link));
    ASSERT(snapshots->budget.used_bytes == 0);
    heap_free(snapshots->env->heap, snapshots, sizeof(*snapshots));
}

void snapshots_cancel(struct snapshots *snapshots)
{
    if (snapshots->ctx != NULL)
        context_cancel(snapshots->ctx);
}

static struct snapshot *find(const struct snapshots *snapshots, struct bytes name)
{
    LIST_FOR_EACH (link, &snapshots->list) {
        struct snapshot *snapshot = LIST_ITEM(link, struct snapshot, link);
        if (bytes_equal(name_of(snapshot), name))
            return snapshot;
    }
    return NULL;
}

bool snapshot_at(const struct snapshots *snapshots, uint32_t index, struct bytes *name,
                 struct snapshot_stats *stats)
{
    LIST_FOR_EACH (link, &snapshots->list) {
        const struct snapshot *snapshot = LIST_ITEM(link, struct snapshot, link);
        if (index-- > 0)
            continue;
        *name = name_of(snapshot);
        *stats = snapshot->stats;
        return true;
    }
    return false;
}

enum status snapshot_drop(struct snapshots *snapshots, struct bytes name)
{
    struct snapshot *snapshot = find(snapshots, name);
    if (snapshots->busy)
        return STATUS_BUSY;
    if (snapshot == NULL)
        return STATUS_NOT_FOUND;
    snapshot_free(snapshots, snapshot);
    snapshots->count--;
    return STATUS_OK;
}

/* ---- A fiber of its own, whose arena is emptied as it goes ---- */

struct work {
    struct snapshots *snapshots;
    struct snapshot *snapshot;
    struct snapshot_stats *stats;
    struct error *error; /* of the fiber, while it runs; its text is then in `text` */
    char text[512];
    enum status (*run)(struct context *ctx, struct work *work);
    enum status status;
    bool ended;
    struct wait_queue end;
};

static void work_run(struct context *ctx, void *argument)
{
    struct work *work = argument;
    struct error error = {0};
    work->error = &error;
    work->snapshots->ctx = ctx;
    work->status = work->run(ctx, work);
    work->snapshots->ctx = NULL;
    if (error.message.count > 0)
        memcpy(work->text, error.message.at, MIN(error.message.count, sizeof(work->text) - 1));
    work->ended = true;
    wait_queue_wake_all(&work->end);
}

/* Run it; the error's text comes into the arena of the caller. */
static enum status do_work(struct context *ctx, struct work *work, struct error *error)
{
    struct fiber_options options = {.arena_bytes_max = ARENA_BYTES,
                                    .deadline_ns = ctx->deadline_ns};
    wait_queue_init(&work->end);
    work->snapshots->busy = true;
    enum status status = fiber_spawn(ctx->env, &options, work_run, work);
    while (status == STATUS_OK && !work->ended) {
        if (wait_queue_wait(ctx, &work->end) == STATUS_OK)
            continue;
        snapshots_cancel(work->snapshots); /* nobody waits for it any more */
        while (!work->ended)
            wait_queue_wait_out(ctx, &work->end);
    }
    work->snapshots->busy = false;
    if (status == STATUS_OK)
        status = work->status;
    (void)error_internal(error, status);
    if (work->text[0] != 0)
        error->message = arena_copy(&ctx->arena, bytes_of_text(work->text));
    return status;
}

/* ---- Tables ---- */

/* Is time to live being enabled or disabled anywhere?  The end of that is one more change of the
 * table. */
static bool ttl_changes(const struct catalog *catalog)
{
    for (uint32_t i = 0; i < catalog->count; i++) {
        enum ttl_status ttl = catalog->tables[i]->ttl;
        if (ttl == TTL_ENABLING || ttl == TTL_DISABLING)
            return true;
    }
    return false;
}

/* Wait until no table is on its way to anywhere. */
static enum status wait_settled(struct context *ctx, struct router *router)
{
    const struct catalog *catalog = &router->catalog;
    while (catalog->unsettled + router->changes_coming > 0 || ttl_changes(catalog))
        TRY(wait_queue_wait(ctx, &router->changed));
    return STATUS_OK;
}

/* Can the table be brought to what the snapshot has by writing items alone? */
static bool is_same(const struct table *table, const struct table *wanted)
{
    return table->id == wanted->id && table->schema_version == wanted->schema_version;
}

static const struct snapshot_table *find_table(const struct snapshot *snapshot, struct bytes name)
{
    LIST_FOR_EACH (link, &snapshot->tables) {
        const struct snapshot_table *table = LIST_ITEM(link, struct snapshot_table, link);
        if (bytes_equal(table->table->name, name))
            return table;
    }
    return NULL;
}

/* Delete every table that is not as `snapshot` has it; of NULL, every one; and the streams of those
 * that were deleted before.  *deleted counts those that clients see. */
static enum status delete_others(struct context *ctx, struct router *router,
                                 const struct snapshot *snapshot, uint64_t *deleted,
                                 struct error *error)
{
    const struct catalog *catalog = &router->catalog;
    for (uint32_t at = 0; at < catalog->count;) {
        struct table *table = catalog->tables[at];
        const struct snapshot_table *wanted =
            snapshot == NULL ? NULL : find_table(snapshot, table->name);
        bool stays = wanted != NULL && is_same(table, wanted->table);
        if (stays || table_is_departed(table)) {
            at++;
            continue;
        }
        arena_reset(&ctx->arena);
        struct bytes name = arena_copy(&ctx->arena, table->name);
        if (name.at == NULL)
            return error_internal(error, STATUS_NO_MEMORY);
        /* One in the midst of a change, or beyond the bound of changes at one time, has its turn
         * when others have ended. */
        bool again = false;
        if (table->status == TABLE_ACTIVE && router_may_change(router)) {
            bool internal = table_name_is_internal(name);
            TRY(router_discard_table(ctx, router, name, error));
            *deleted += !internal;
        } else if (table->status != TABLE_DELETING) {
            TRY(wait_queue_wait(ctx, &router->changed));
            again = true;
        }
        at = catalog_position(catalog, name); /* others went meanwhile */
        if (!again && at < catalog->count && bytes_equal(catalog->tables[at]->name, name))
            at++;
    }
    TRY(wait_settled(ctx, router)); /* a client's that was DELETING has departed by now */
    TRY(router_end_all_departed(ctx, router));
    return wait_settled(ctx, router);
}

/* ---- Reset ---- */

static enum status reset_run(struct context *ctx, struct work *work)
{
    return delete_others(ctx, work->snapshots->router, NULL, &work->stats->tables, work->error);
}

enum status snapshots_reset(struct context *ctx, struct snapshots *snapshots,
                            struct snapshot_stats *stats, struct error *error)
{
    *stats = (struct snapshot_stats){0};
    if (snapshots->busy)
        return STATUS_BUSY;
    struct work work = {.snapshots = snapshots, .stats = stats, .run = reset_run};
    return do_work(ctx, &work, error);
}

/* ---- Taking ---- */

static enum status add_table(struct context *ctx, struct work *work, const struct table *table)
{
    struct snapshots *snapshots = work->snapshots;
    struct snapshot_table *added = heap_alloc_zero(snapshots->env->heap, sizeof(*added));
    if (added == NULL)
        return error_internal(work->error, STATUS_NO_MEMORY);
    table_hold(table);
    added->table = table;
    list_init(&added->blocks);
    list_push_back(&work->snapshot->tables, &added->link);
    return snapshot_copy(ctx, snapshots->router, &snapshots->budget, added, work->error);
}

/* The copy of the last table counts, or, when the table has changed meanwhile, is made anew. */
static void end_table(struct work *work, bool same)
{
    struct snapshot_table *added =
        LIST_ITEM(work->snapshot->tables.prev, struct snapshot_table, link);
    if (!same) {
        drop_table(work->snapshots, added);
        return;
    }
    if (table_name_is_internal(added->table->name))
        return; /* clients do not see it */
    work->stats->tables++;
    work->stats->items += added->items;
    work->stats->bytes += added->bytes;
}

static enum status take_run(struct context *ctx, struct work *work)
{
    const struct catalog *catalog = &work->snapshots->router->catalog;
    TRY(wait_settled(ctx, work->snapshots->router));
    for (uint32_t at = 0; at < catalog->count; at++) {
        const struct table *table = catalog->tables[at];
        if (table_is_departed(table))
            continue;
        table_hold(table);
        enum status status = add_table(ctx, work, table);
        at = catalog_position(catalog, table->name); /* it waited */
        bool same = at < catalog->count && catalog->tables[at] == table;
        if (status == STATUS_OK)
            end_table(work, same);
        at -= same ? 0 : 1; /* the same place again; before the first that is the last number */
        table_drop(table);
        TRY(status);
    }
    return STATUS_OK;
}

enum status snapshot_take(struct context *ctx, struct snapshots *snapshots, struct bytes name,
                          struct snapshot_stats *stats, struct error *error)
{
    struct heap *heap = snapshots->env->heap;
    struct snapshot *before = find(snapshots, name);
    *stats = (struct snapshot_stats){0};
    if (snapshots->busy)
        return STATUS_BUSY;
    if (before == NULL && snapshots->count == SNAPSHOTS_MAX)
        return STATUS_EXISTS;
    struct snapshot *snapshot = heap_alloc_zero(heap, sizeof(*snapshot));
    if (snapshot == NULL)
        return error_internal(error, STATUS_NO_MEMORY);
    list_init(&snapshot->link);
    list_init(&snapshot->tables);
    snapshot->name_bytes = (uint32_t)MIN(name.count, sizeof(snapshot->name));
    memcpy(snapshot->name, name.at, snapshot->name_bytes);
    struct work work = {
        .snapshots = snapshots, .snapshot = snapshot, .stats = stats, .run = take_run};
    enum status status = do_work(ctx, &work, error);
    if (status != STATUS_OK) {
        snapshot_free(snapshots, snapshot);
        return status;
    }
    snapshot->stats = *stats;
    if (before != NULL)
        snapshot_free(snapshots, before);
    else
        snapshots->count++;
    list_push_back(&snapshots->list, &snapshot->link);
    return STATUS_OK;
}

/* ---- Restoring ---- */

/* Make anew the tables that are not there; the snapshot then knows them by their new ids. */
static enum status create_missing(struct context *ctx, struct router *router,
                                  struct snapshot *snapshot, struct error *error)
{
    LIST_FOR_EACH (link, &snapshot->tables) {
        const struct snapshot_table *wanted = LIST_ITEM(link, struct snapshot_table, link);
        if (catalog_find(&router->catalog, wanted->table->name) != NULL)
            continue;
        while (!router_may_change(router))
            TRY(wait_queue_wait(ctx, &router->changed));
        arena_reset(&ctx->arena);
        TRY(router_recreate_table(ctx, router, wanted->table, error));
    }
    TRY(wait_settled(ctx, router));
    LIST_FOR_EACH (link, &snapshot->tables) {
        struct snapshot_table *wanted = LIST_ITEM(link, struct snapshot_table, link);
        const struct table *table = catalog_find(&router->catalog, wanted->table->name);
        if (table == NULL)
            return error_internal(error, STATUS_NOT_FOUND); /* deleted by a client meanwhile */
        table_hold(table);
        table_drop(wanted->table);
        wanted->table = table;
    }
    return STATUS_OK;
}

static enum status restore_run(struct context *ctx, struct work *work)
{
    struct router *router = work->snapshots->router;
    uint64_t deleted = 0;
    TRY(wait_settled(ctx, router));
    TRY(delete_others(ctx, router, work->snapshot, &deleted, work->error));
    TRY(create_missing(ctx, router, work->snapshot, work->error));
    LIST_FOR_EACH (link, &work->snapshot->tables) {
        const struct snapshot_table *table = LIST_ITEM(link, struct snapshot_table, link);
        struct snapshot_stats unseen = {0};
        bool internal = table_name_is_internal(table->table->name);
        TRY(snapshot_write(ctx, router, table, internal ? &unseen : work->stats, work->error));
    }
    return STATUS_OK;
}

enum status snapshot_restore(struct context *ctx, struct snapshots *snapshots, struct bytes name,
                             struct snapshot_stats *stats, struct error *error)
{
    struct snapshot *snapshot = find(snapshots, name);
    *stats = (struct snapshot_stats){0};
    if (snapshots->busy)
        return STATUS_BUSY;
    if (snapshot == NULL)
        return STATUS_NOT_FOUND;
    struct work work = {
        .snapshots = snapshots, .snapshot = snapshot, .stats = stats, .run = restore_run};
    enum status status = do_work(ctx, &work, error);
    stats->tables = snapshot->stats.tables;
    stats->items = snapshot->stats.items;
    stats->bytes = snapshot->stats.bytes;
    return status;
}
