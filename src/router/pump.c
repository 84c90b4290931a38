/* pump.c - what a pump does in one turn: load, backfill, purge what was left over, propagate. */
#include "admission/units.h"
#include "base/assert.h"
#include "base/codec.h"
#include "env/buggify.h"
#include "env/bugs.h"
#include "model/index_row.h"
#include "router/propagator_private.h"

#define BATCH_ROWS      128u                 /* of a batch; a write's changes are not divided */
#define BATCH_BYTES     (512u << 10)         /* of the rows' items */
#define BACKFILL_ITEMS  128u                 /* of a page */
#define CALL_ROWS       64u                  /* sent to a partition of the index in one call */
#define FUTURE_NS       UINT64_C(1000000000) /* more than writes run ahead of the clock */
#define CURSOR_FORMAT   1u
#define CURSOR_ITEM_MAX (KEY_BYTES_MAX + 64u)
#define LATE_NS         UINT64_C(1000000000) /* that a pump may catch up in before writes suffer */

/* A put or a deletion of one row of the index. */
struct row_write {
    struct row_write *next;
    const struct partition *partition; /* of the index */
    struct bytes key;
    struct value item; /* VALUE_ABSENT: a deletion */
    uint64_t version;
    uint64_t changes_before; /* of the batch, below its version */
    bool free;               /* it consumes nobody's capacity */
    bool sent;
};

struct turn {
    struct follow_sink changes;
    struct item_sink items;
    struct context *ctx;
    struct propagator *p;
    struct pump *pump;
    const struct table *table; /* held */
    const struct table_index *index;
    const struct index_schema *schema;
    const struct partition *partition; /* of the table */
    struct key at; /* of the backfill: all items up to this key are in; none yet: empty */
    /* The batch, in the arena. */
    struct row_write *first, **last;
    uint32_t count, deletions;
    size_t bytes;
    uint64_t to_slot;   /* changes beyond it are not for this batch */
    uint64_t last_slot; /* of the last change that was taken */
    uint64_t first_hlc; /* of the first */
    uint64_t change_count;
    uint64_t changes_before; /* of slots below that of the last change */
    uint64_t wait_ns; /* until the first change that is too young is old enough; 0: none is */
    bool free;        /* so are the rows that are added now */
    enum throttle_limit limit; /* what throttled the row that was sent last */
};

static struct replica_target source_target(const struct turn *t)
{
    return router_partition_target(t->table, t->partition);
}

static struct replica_target index_target(const struct turn *t, const struct partition *partition,
                                          bool free)
{
    struct replica_target target = router_partition_target(t->table, partition);
    target.table_id = t->index->id;
    if (!free)
        router_index_rates(t->p->router, t->table, t->index, target.rates);
    return target;
}

static void batch_begin(struct turn *t)
{
    arena_reset(&t->ctx->arena);
    t->first = NULL;
    t->last = &t->first;
    t->count = t->deletions = 0;
    t->bytes = 0;
    t->last_slot = t->first_hlc = t->change_count = t->wait_ns = 0;
}

static enum status batch_add(struct turn *t, const struct key *key, struct value item,
                             uint64_t version)
{
    struct row_write *w = arena_alloc_zero(&t->ctx->arena, sizeof(*w));
    if (w == NULL)
        return STATUS_NO_MEMORY;
    struct bytes copy = arena_copy(&t->ctx->arena, bytes_of(item.at, item.bytes));
    *w = (struct row_write){.key = arena_copy(&t->ctx->arena, key_bytes(key)),
                            .item = {item.bytes > 0 ? copy.at : NULL, item.bytes},
                            .version = version,
                            .changes_before = t->changes_before,
                            .free = t->free};
    if (w->key.at == NULL || (item.bytes > 0 && copy.at == NULL))
        return STATUS_NO_MEMORY;
    w->partition = table_index_partition(t->index, w->key);
    *t->last = w;
    t->last = &w->next;
    t->count++;
    t->deletions += item.bytes == 0;
    t->bytes += item.bytes;
    return STATUS_OK;
}

/* ---- Rows of items ---- */

/* The row that the index has of an item: its key, and what it holds, which is in the scratch buffer
 * or the item.  False: none. */
static enum status row_of(struct turn *t, struct value item, struct key *key, struct value *row)
{
    *row = VALUE_ABSENT;
    if (!index_row_key(t->schema, &t->table->schema, t->index->hash_seed, item, key))
        return STATUS_OK;
    return index_project(t->schema, &t->table->schema, item, &t->p->scratch, row);
}

static enum status add_change(struct turn *t, const struct replica_change *change)
{
    struct key old_key, new_key;
    struct value old_row, new_row;
    struct buffer *scratch = &t->p->scratch;
    buffer_clear(scratch);
    TRY(row_of(t, change->old, &old_key, &old_row));
    size_t at = scratch->count; /* the buffer may move when the second row is written */
    TRY(row_of(t, change->current, &new_key, &new_row));
    if (at > 0 && old_row.at != NULL)
        old_row.at = scratch->at;
    bool was = old_row.at != NULL, is = new_row.at != NULL;
    bool stays = was && is && bytes_equal(key_bytes(&old_key), key_bytes(&new_key));
    if (stays && old_row.bytes == new_row.bytes &&
        memcmp(old_row.at, new_row.at, old_row.bytes) == 0)
        return STATUS_OK;
    if (was && !stays)
        TRY(batch_add(t, &old_key, VALUE_ABSENT, change->slot));
    return is ? batch_add(t, &new_key, new_row, change->slot) : STATUS_OK;
}

/* How long the change has to wait until it is as old as changes must be.  One from the future was
 * written before a tester set the clock back: how old it is nobody can tell, and it waits for
 * nothing. */
static uint64_t delay_left_ns(const struct turn *t, const struct replica_change *change)
{
    uint64_t now_ns = wall_now_ns(t->p->env), delay_ns = t->p->delay_ns;
    if (delay_ns == 0 || change->hlc > now_ns + FUTURE_NS || now_ns >= change->hlc + delay_ns)
        return 0;
    return change->hlc + delay_ns - now_ns;
}

static enum status take_change(struct follow_sink *sink, const struct replica_change *change)
{
    struct turn *t = CONTAINER_OF(sink, struct turn, changes);
    bool full = t->count >= BATCH_ROWS || t->bytes >= BATCH_BYTES;
    if (change->slot > t->to_slot || (full && change->slot != t->last_slot))
        return STATUS_END;
    uint64_t left_ns = delay_left_ns(t, change);
    if (left_ns > 0 && change->slot > t->pump->done) {
        t->wait_ns = left_ns;
        return STATUS_END;
    }
    t->free = change->actor != WRITE_BY_CLIENT;
    if (change->slot != t->last_slot)
        t->changes_before = t->change_count;
    TRY(add_change(t, change));
    t->last_slot = change->slot;
    t->first_hlc = t->change_count == 0 ? change->hlc : t->first_hlc;
    t->change_count++;
    return STATUS_OK;
}

/* ---- Sending ---- */

/* A call to a partition of the index; in the arena. */
struct call {
    struct write_request requests[CALL_ROWS];
    struct replica_write writes[CALL_ROWS];
    struct write_result results[CALL_ROWS];
    struct error errors[CALL_ROWS];
    enum status statuses[CALL_ROWS];
    struct row_write *rows[CALL_ROWS];
    uint64_t budgets[CALL_ROWS]; /* of router_spend_row */
    uint32_t count;
};

static enum status add_to_call(struct turn *t, struct call *call, struct row_write *w, bool purge)
{
    struct bytes key = w->key;
    bool deletes = w->item.at == NULL;
    if (purge) {
        struct key tombstone;
        TRY(index_row_tombstone(&tombstone, key));
        key = arena_copy(&t->ctx->arena, key_bytes(&tombstone));
        if (key.at == NULL)
            return STATUS_NO_MEMORY;
    }
    uint32_t i = call->count++;
    call->requests[i] =
        (struct write_request){.kind = deletes ? WRITE_DELETE : WRITE_PUT, .item = w->item};
    call->writes[i] = (struct replica_write){
        .key = key, .request = &call->requests[i], .has_beside = true, .version = w->version};
    call->rows[i] = w;
    return STATUS_OK;
}

/* As many rows as fit in a call, all of the first one's partition, and which the whole index may
 * take. */
static enum status fill_call(struct turn *t, struct row_write *from, bool purge, struct call *call)
{
    bool free = purge || from->free;
    for (struct row_write *w = from; w != NULL && call->count < CALL_ROWS; w = w->next) {
        bool deletes = w->item.at == NULL;
        if (w->sent || w->partition != from->partition || (purge && !deletes) ||
            (!purge && w->free != from->free))
            continue;
        if (!free && !router_spend_row(t->p->router, t->index, &call->budgets[call->count])) {
            t->limit = THROTTLE_ON_DEMAND_MAXIMUM;
            break;
        }
        TRY(add_to_call(t, call, w, purge));
    }
    return STATUS_OK;
}

/* Each row is sent, or not; the first thing that went wrong. */
static enum status end_call(struct turn *t, const struct call *call)
{
    enum status first = STATUS_OK;
    for (uint32_t i = 0; i < call->count; i++) {
        enum status status = call->statuses[i];
        router_spent(t->p->router, call->budgets[i], ADMISSION_WRITE,
                     units_write_rest(status, &call->results[i]));
        call->rows[i]->sent = status == STATUS_OK;
        if (status_is_throttle(status) && BUG(t->p->env, BUG_THROTTLED_AND_LOST)) {
            call->rows[i]->sent = true;
            continue;
        }
        if (status_is_throttle(status)) {
            t->limit = status == STATUS_HOT ? THROTTLE_KEY_RANGE : THROTTLE_PROVISIONED;
            status = STATUS_THROTTLED;
        }
        if (first == STATUS_OK || first == STATUS_THROTTLED)
            first = status == STATUS_OK ? first : status;
    }
    return first;
}

static enum status send_some(struct turn *t, struct row_write *from, bool purge)
{
    struct replica_service *service = t->p->router->service;
    struct call *call = arena_alloc_zero(&t->ctx->arena, sizeof(*call));
    if (call == NULL)
        return STATUS_NO_MEMORY;
    TRY(fill_call(t, from, purge, call));
    if (call->count == 0)
        return STATUS_THROTTLED;
    struct replica_target target = index_target(t, from->partition, purge || from->free);
    service->write(t->ctx, service, &target, call->writes, call->count, call->results,
                   call->statuses, call->errors);
    return end_call(t, call);
}

/* Send the batch's rows to the index; or, to purge, take away the tombstones that they have left.
 *   STATUS_THROTTLED  the index may not take those now that are not `sent` */
static enum status send(struct turn *t, bool purge)
{
    for (struct row_write *w = t->first; w != NULL; w = w->next)
        w->sent = false;
    for (struct row_write *w = t->first; w != NULL; w = w->next) {
        if (!w->sent && !(purge && w->item.at != NULL))
            TRY(send_some(t, w, purge));
    }
    return STATUS_OK;
}

/* ---- The cursor ---- */

/* A row of the partition of the table: {"cursor": B}, of which the content is
 *   u8 format: 1 | u8 backfilled | u64 slot, little-endian | the key that the backfill is at */

static enum status write_cursor(struct turn *t, bool backfilled)
{
    uint8_t content[10 + KEY_BYTES_MAX];
    struct context *ctx = t->ctx;
    struct replica_service *service = t->p->router->service;
    struct key key;
    struct buffer buffer;
    struct value_writer writer;
    content[0] = CURSOR_FORMAT;
    content[1] = backfilled;
    put_u64(content + 2, t->pump->done);
    size_t count = backfilled ? 0 : t->at.count;
    memcpy(content + 10, t->at.at, count);
    buffer_init(&buffer, ctx->env->heap, CURSOR_ITEM_MAX);
    value_writer_init(&writer, &buffer);
    value_write_begin(&writer, VALUE_M);
    value_write_name(&writer, BYTES("cursor"));
    value_write_binary(&writer, bytes_of(content, 10 + count));
    value_write_end(&writer);
    struct write_request request = {.kind = WRITE_PUT};
    enum status status = value_writer_finish(&writer, &request.item);
    if (status == STATUS_OK) {
        struct write_result result;
        struct error error = {0};
        index_cursor_key(&key, t->partition->low, t->index->id);
        struct replica_write write = {.key = key_bytes(&key), .request = &request};
        struct replica_target target = source_target(t);
        service->write(ctx, service, &target, &write, 1, &result, &status, &error);
    }
    buffer_release(&buffer);
    return status;
}

static enum status read_cursor(struct turn *t, struct value item)
{
    struct value cursor;
    if (!value_find(item, BYTES("cursor"), &cursor) || value_type(cursor) != VALUE_B)
        return STATUS_CORRUPT;
    struct reader r = reader_of(value_bytes(cursor));
    uint8_t format = read_u8(&r);
    uint8_t backfilled = read_u8(&r);
    uint64_t done = read_u64(&r);
    if (r.failed || reader_left(&r) > KEY_BYTES_MAX)
        return STATUS_CORRUPT;
    if (format != CURSOR_FORMAT)
        return STATUS_VERSION;
    t->pump->backfilled |= backfilled != 0;
    t->pump->done = MAX(t->pump->done, done);
    t->at.count = (uint16_t)reader_left(&r);
    memcpy(t->at.at, r.at, t->at.count);
    return STATUS_OK;
}

/* The mark of an index that has no cursor yet.  That of one which came with the table begins where
 * the table does.  For one that was added each change is recorded from the first mark on, and what
 * was written until then is for the backfill: the second mark is above it.  A record may be there
 * of some of it, since other consumers had it, or a crash has brought it back; it says nothing
 * without those that were not recorded. */
static enum status begin(struct turn *t, struct replica_mark *mark)
{
    struct pump *pump = t->pump;
    struct replica_service *service = t->p->router->service;
    struct replica_target target = source_target(t);
    for (uint32_t i = 0; i < 2 && (t->index->online || !mark->is_there); i++) {
        mark->slot = t->index->online ? mark->last_slot : 0;
        TRY(service->set_mark(t->ctx, service, &target, pump->index_id, mark->slot));
        TRY(service->find_mark(t->ctx, service, &target, pump->index_id, mark));
    }
    pump->mark = pump->done = mark->slot;
    return t->index->online ? write_cursor(t, false) : STATUS_OK;
}

static enum status load(struct turn *t)
{
    struct pump *pump = t->pump;
    struct replica_service *service = t->p->router->service;
    struct replica_target target = source_target(t);
    struct replica_mark mark;
    struct key key;
    struct get_result result;
    t->at.count = 0;
    pump->backfilled |= !t->index->online;
    TRY(service->find_mark(t->ctx, service, &target, pump->index_id, &mark));
    index_cursor_key(&key, t->partition->low, pump->index_id);
    struct replica_get get = {.key = key_bytes(&key), .consistent = true};
    TRY(service->get(t->ctx, service, &target, &get, &result));
    if (value_type(result.item) == VALUE_NONE) {
        TRY(begin(t, &mark));
    } else {
        pump->mark = pump->done = mark.slot;
        TRY(read_cursor(t, result.item));
    }
    pump->loaded = true;
    return STATUS_OK;
}

/* ---- The steps ---- */

/* The next batch of changes above `slot`, up to to_slot. */
static enum status gather(struct turn *t, uint64_t slot, uint64_t to_slot)
{
    struct replica_service *service = t->p->router->service;
    struct replica_target target = source_target(t);
    batch_begin(t);
    t->to_slot = to_slot;
    return service->follow(t->ctx, service, &target, slot, &t->changes);
}

static enum status move_mark(struct turn *t, uint64_t slot)
{
    struct replica_service *service = t->p->router->service;
    struct replica_target target = source_target(t);
    TRY(service->set_mark(t->ctx, service, &target, t->pump->index_id, slot));
    t->pump->mark = slot;
    return STATUS_OK;
}

/* Tombstones of changes between the mark and the cursor may be left over, from a backfill or from
 * before a restart. */
static enum status purge_rest(struct turn *t)
{
    struct pump *pump = t->pump;
    while (pump->mark < pump->done) {
        TRY(gather(t, pump->mark, pump->done));
        TRY(send(t, true));
        TRY(move_mark(t, t->change_count > 0 ? t->last_slot : pump->done));
    }
    return STATUS_OK;
}

/* Not all rows of the batch could be sent: the changes before the first that was not are in the
 * index.  Their tombstones go with the next turn. */
static enum status propagated_in_part(struct turn *t)
{
    struct pump *pump = t->pump;
    const struct row_write *w = t->first;
    while (w->sent)
        w = w->next;
    if (w->version - 1 <= pump->done)
        return STATUS_THROTTLED;
    REACHED("an index has capacity for a part of a batch");
    pump->done = w->version - 1;
    t->p->stats.changes += w->changes_before;
    for (const struct row_write *in = t->first; in->version < w->version; in = in->next)
        t->p->stats.rows++;
    if (t->deletions > 0 && pump->backfilled)
        TRY(write_cursor(t, true));
    return STATUS_THROTTLED;
}

/* One batch; *more says whether there was one.
 *   STATUS_THROTTLED  the index may not take all of it now */
static enum status propagate(struct turn *t, bool *more)
{
    struct pump *pump = t->pump;
    TRY(gather(t, pump->done, UINT64_MAX));
    *more = t->change_count > 0;
    if (!*more)
        return STATUS_OK;
    pump->oldest_hlc = t->first_hlc;
    enum status sent = send(t, false);
    if (sent == STATUS_THROTTLED)
        return propagated_in_part(t);
    TRY(sent);
    t->p->stats.changes += t->change_count;
    t->p->stats.rows += t->count;
    uint64_t now_ns = wall_now_ns(t->p->env);
    histogram_record(&t->p->stats.lag_ns, now_ns > t->first_hlc ? now_ns - t->first_hlc : 0);
    pump->done = t->last_slot;
    if (!pump->backfilled)
        return STATUS_OK; /* tombstones stay, and so does the mark */
    if (t->deletions > 0) {
        TRY(write_cursor(t, true));
        TRY(send(t, true));
    }
    return move_mark(t, pump->done);
}

static enum status take_item(struct item_sink *sink, struct bytes item_key, const struct row *row)
{
    struct turn *t = CONTAINER_OF(sink, struct turn, items);
    struct key key;
    struct value projected;
    (void)item_key;
    buffer_clear(&t->p->scratch);
    t->free = true;
    TRY(row_of(t, row->item, &key, &projected));
    return projected.at == NULL ? STATUS_OK : batch_add(t, &key, projected, row->version);
}

/* One page of what the partition holds; *more says whether there are others. */
static enum status backfill_page(struct turn *t, bool *more)
{
    struct context *ctx = t->ctx;
    struct replica_service *service = t->p->router->service;
    struct replica_target target = source_target(t);
    struct replica_range_result result = {0};
    uint8_t low[KEY_BYTES_MAX + 1];
    batch_begin(t);
    struct replica_range range = {.low = t->partition->low,
                                  .high = t->partition->high,
                                  .consistent = true,
                                  .versions = true,
                                  .mixed = true,
                                  .limit = BACKFILL_ITEMS,
                                  .bytes_max = BATCH_BYTES};
    if (t->at.count > 0) {
        memcpy(low, t->at.at, t->at.count);
        low[t->at.count] = 0; /* the smallest key above it */
        range.low = bytes_of(low, t->at.count + 1u);
    }
    TRY(service->range(ctx, service, &target, &range, &t->items, &result));
    TRY(send(t, false));
    t->p->stats.backfilled += t->count;
    *more = result.more;
    if (!*more)
        return STATUS_OK;
    if (result.last_key.count > KEY_BYTES_MAX)
        return STATUS_CORRUPT;
    memcpy(t->at.at, result.last_key.at, result.last_key.count);
    t->at.count = (uint16_t)result.last_key.count;
    return STATUS_OK;
}

/* ---- Holding writes back ---- */

static enum status hold(struct turn *t, bool ends, enum throttle_limit limit)
{
    struct pump *pump = t->pump;
    struct replica_service *service = t->p->router->service;
    struct replica_target target = source_target(t);
    struct replica_hold wanted = {
        .consumer = pump->index_id, .ends = ends, .index = t->schema->name, .limit = limit};
    if (ends && !pump->holding)
        return STATUS_OK;
    TRY(service->hold_writes(t->ctx, service, &target, &wanted));
    t->p->stats.holding -= pump->holding ? 1u : 0u;
    t->p->stats.holding += ends ? 0u : 1u;
    pump->holding = !ends;
    return STATUS_OK;
}

/* Has the oldest change that waits done so for too long, and is it getting no better? */
static bool is_late(struct turn *t)
{
    struct pump *pump = t->pump;
    uint64_t wall_ns = wall_now_ns(t->p->env), now_ns = env_now_ns(t->p->env);
    uint64_t in_time_hlc = pump->oldest_hlc + t->p->delay_ns + INDEX_LAG_MAX_NS;
    if (pump->oldest_hlc == 0 || wall_ns <= in_time_hlc) {
        pump->late_since_ns = 0;
        return false;
    }
    if (pump->late_since_ns == 0)
        pump->late_since_ns = now_ns;
    return now_ns - pump->late_since_ns >= LATE_NS;
}

/* The index has no capacity left, or is too far behind: nothing is to be added. */
static enum status hold_if_behind(struct turn *t, bool throttled)
{
    if (throttled)
        return hold(t, false, t->limit);
    return is_late(t) ? hold(t, false, THROTTLE_KEY_RANGE) : STATUS_OK;
}

static enum status caught_up(struct turn *t)
{
    t->pump->oldest_hlc = t->pump->late_since_ns = 0;
    return hold(t, true, THROTTLE_KEY_RANGE);
}

/* ---- A turn ---- */

/* Bring in what the partition holds, while changes go on; after a restart from the last page on. */
static enum status backfill(struct turn *t)
{
    bool more = true;
    while (more) {
        bool changed;
        TRY(context_check(t->ctx));
        TRY(backfill_page(t, &more));
        TRY(write_cursor(t, !more));
        if (!more)
            break;
        enum status status = propagate(t, &changed);
        if (status != STATUS_OK && status != STATUS_THROTTLED)
            return status;
        TRY(hold_if_behind(t, status == STATUS_THROTTLED));
    }
    t->pump->backfilled = true;
    return STATUS_OK;
}

static enum status run(struct turn *t)
{
    bool more = true;
    if (!t->pump->loaded)
        TRY(load(t));
    if (!t->pump->backfilled)
        TRY(backfill(t));
    while (more) {
        TRY(context_check(t->ctx));
        TRY(purge_rest(t));
        TRY(propagate(t, &more));
        TRY(hold_if_behind(t, false));
    }
    return caught_up(t);
}

/* A turn that failed is no reason to let more and more changes wait; whether that can be said now
 * makes no difference to how it ended. */
static enum status run_and_hold(struct turn *t)
{
    enum status status = run(t);
    if (status == STATUS_THROTTLED)
        TRY(hold_if_behind(t, true));
    else if (status != STATUS_OK)
        (void)hold_if_behind(t, false);
    return status;
}

enum status pump_turn(struct context *ctx, struct pump *pump, uint64_t *due_ns)
{
    struct source *source = pump->source;
    struct propagator *p = source->propagator;
    const struct table *table = catalog_find(&p->router->catalog, source->name);
    if (table == NULL || table->id != source->table_id)
        return STATUS_NOT_FOUND;
    const struct table_index *index = table_global_of_id(table, pump->index_id);
    if (index == NULL)
        return STATUS_NOT_FOUND;
    struct turn *t = heap_alloc(p->env->heap, sizeof(*t));
    if (t == NULL)
        return STATUS_NO_MEMORY;
    *t = (struct turn){.changes = {.take = take_change},
                       .items = {.take_row = take_item},
                       .ctx = ctx,
                       .p = p,
                       .pump = pump,
                       .table = table,
                       .index = index,
                       .schema = table_global_schema(table, index)};
    for (uint32_t i = 0; i < table->partition_count; i++) {
        if (table->partitions[i].group_id == source->group_id)
            t->partition = &table->partitions[i];
    }
    ASSERT(t->partition != NULL);
    table_hold(table);
    enum status status = run_and_hold(t);
    if (status == STATUS_OK && t->wait_ns > 0)
        *due_ns = env_now_ns(p->env) + t->wait_ns;
    table_drop(table);
    heap_free(p->env->heap, t, sizeof(*t));
    return status;
}
