/* read.c - point and range reads on a replica: tree + overlay up to the commit slot. */
#include "admission/units.h"
#include "base/assert.h"
#include "node/node_private.h"

/* The slot up to which a client's read may see.  A group of one has no followers: its eventually
 * consistent reads are those of the leader. */
static uint64_t visible_slot(const struct replica *replica)
{
    return replica->commit_slot;
}

static enum status version_row(const struct version *version, struct bytes *row, uint64_t *slot)
{
    *slot = version->slot;
    *row = version->row;
    return row->at == NULL ? STATUS_NOT_FOUND : STATUS_OK;
}

enum status replica_read(struct context *ctx, struct replica *replica, struct bytes key,
                         uint64_t slot_max, struct tree_place *place, struct bytes *row,
                         uint64_t *slot)
{
    const struct version *version = overlay_find(&replica->overlay, key, slot_max);
    if (version != NULL)
        return version_row(version, row, slot);
    uint64_t inserted = replica->overlay.inserted;
    enum status status = place != NULL ? tree_get_near(ctx, replica->tree, key, place, row)
                                       : tree_get(ctx, replica->tree, key, row);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        return status;
    /* The tree is as it is now; while it waited for a page a newer version may have come. */
    if (UNLIKELY(replica->overlay.inserted != inserted)) {
        version = overlay_find(&replica->overlay, key, slot_max);
        if (version != NULL)
            return version_row(version, row, slot);
    }
    *slot = 0;
    if (status == STATUS_NOT_FOUND)
        *row = (struct bytes){0};
    return status;
}

enum status node_get(struct context *ctx, struct replica_service *service,
                     const struct replica_target *target, const struct replica_get *get,
                     struct get_result *result)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    struct replica *replica;
    TRY(replica_enter(node, target->group_id, true, &replica));
    *result = (struct get_result){0};
    struct bytes stored;
    uint64_t slot;
    uint32_t least = units_read_least(get->consistent);
    enum status status = replica_admit(replica, target, ADMISSION_READ, least);
    if (status == STATUS_OK)
        status = replica_read(ctx, replica, get->key, visible_slot(replica), NULL, &stored, &slot);
    struct row row;
    if (status == STATUS_OK)
        status = row_read(stored, &row);
    if (status == STATUS_OK) {
        result->item = row.item;
        result->item_bytes = item_size(row.item);
        if (result->item_bytes > UNIT_READ_BYTES)
            replica_charge(
                replica, target, ADMISSION_READ,
                (int64_t)(units_read_halves(result->item_bytes, get->consistent) - least));
    }
    replica_leave(replica);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

void node_prefetch(struct replica_service *service, const struct replica_point *points,
                   uint32_t count)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    struct tree_point trees[BATCH_GET_MAX];
    ASSERT(count <= BATCH_GET_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct replica *replica = node_replica(node, points[i].group_id);
        bool serves = replica != NULL && replica_serves(replica) == STATUS_OK;
        trees[i] = (struct tree_point){serves ? replica->tree : NULL, points[i].key};
    }
    tree_prefetch_many(trees, count);
}

/* ---- Ranges ---- */

#define FILTER_WORK 4u /* of TURN_WORK, for each byte of the filter's program */

/* A filter whose work (expr_work_max) on one item may be more runs on a copy of it, with pauses. */
#define FILTER_WORK_MAX ((uint64_t)2 << 20)

/* A walk over tree and overlay together, in key order.  It waits to get the tree's next pair, and
 * to let others have their turn; until it asks for the one after, a pair that it holds
 * stays valid. */
struct walk {
    struct context *ctx;
    struct replica *replica;
    const struct replica_range *range;
    struct tree_cursor cursor;
    bool tree_ended;
    bool held;          /* the tree's next pair, not yet given out */
    uint64_t work;      /* in this turn of the loop */
    struct buffer copy; /* of an item whose filter may take long */
    struct bytes held_key;
    struct bytes held_row;
    struct bytes last;      /* the last key given out, deletions included; empty before the first */
    struct bytes evaluated; /* that of the last item that was evaluated */
    uint8_t *keys[2];       /* memory of those two: KEY_BYTES_MAX each */
};

static struct bytes first_bound(const struct replica_range *range)
{
    return range->backward ? range->high : range->low;
}

static bool beyond_end(const struct replica_range *range, struct bytes key)
{
    if (range->backward)
        return range->low.count > 0 && bytes_compare(key, range->low) < 0;
    return range->high.count > 0 && bytes_compare(key, range->high) >= 0;
}

/* The overlay's next version beyond what was given out; it may be a deletion. */
static struct version *overlay_next(const struct walk *walk)
{
    const struct overlay *overlay = &walk->replica->overlay;
    if (overlay->count == 0)
        return NULL;
    uint64_t slot = visible_slot(walk->replica);
    bool fresh = walk->last.count == 0;
    struct bytes from = fresh ? first_bound(walk->range) : walk->last;
    struct version *version = walk->range->backward ? overlay_before(overlay, from, false, slot)
                                                    : overlay_after(overlay, from, fresh, slot);
    return version != NULL && beyond_end(walk->range, version->key) ? NULL : version;
}

/* Is `a` ahead of `b` in the walk's direction? */
static bool ahead(const struct walk *walk, struct bytes a, struct bytes b)
{
    int order = bytes_compare(a, b);
    return walk->range->backward ? order > 0 : order < 0;
}

/* `key` becomes the last one given out; the last evaluated one is kept. */
static enum status remember(struct walk *walk, struct bytes key)
{
    uint8_t *to = walk->keys[walk->evaluated.at == walk->keys[0] ? 1 : 0];
    if (UNLIKELY(key.count > KEY_BYTES_MAX))
        return STATUS_CORRUPT;
    memcpy(to, key.at, key.count);
    walk->last = bytes_of(to, key.count);
    return STATUS_OK;
}

/* Place the cursor behind what was given out. */
static enum status open_cursor(struct walk *walk)
{
    bool backward = walk->range->backward;
    bool fresh = walk->last.count == 0;
    return tree_cursor_open(walk->ctx, walk->replica->tree, backward ? TREE_CURSOR_BACKWARD : 0,
                            fresh ? first_bound(walk->range) : walk->last, fresh && !backward,
                            &walk->cursor);
}

static enum status hold_next(struct walk *walk)
{
    enum status status;
    for (;;) {
        uint64_t applied_slot = walk->replica->applied_slot;
        status = tree_cursor_next(&walk->cursor, &walk->held_key, &walk->held_row);
        if (LIKELY(walk->replica->applied_slot == applied_slot) ||
            (status != STATUS_OK && status != STATUS_END))
            break;
        /* While it waited for a page, versions went from the overlay into the tree, maybe to where
         * the cursor had looked already: look again. */
        TRY(open_cursor(walk));
    }
    if (status == STATUS_END || (status == STATUS_OK && beyond_end(walk->range, walk->held_key))) {
        walk->tree_ended = true;
        return STATUS_OK;
    }
    walk->held = status == STATUS_OK;
    return status;
}

/* After a wait: the pair that is held did not outlive it, and versions may have gone from the
 * overlay into the tree beyond its end.  The cursor goes back to what was given out. */
static enum status look_again(struct walk *walk)
{
    if (!walk->held && !walk->tree_ended)
        return STATUS_OK;
    walk->held = walk->tree_ended = false;
    return open_cursor(walk);
}

/* Others have their turn after TURN_WORK. */
static enum status give_way(struct walk *walk)
{
    if (LIKELY(walk->work < TURN_WORK))
        return STATUS_OK;
    walk->work = 0;
    TRY(context_check(walk->ctx));
    context_yield(walk->ctx);
    return look_again(walk);
}

/* The next row in the walk's direction, deletions left out; its key is walk->last.  Valid until the
 * next wait.
 *   STATUS_END  no more in the range */
static enum status walk_next(struct walk *walk, struct bytes *row)
{
    for (;;) {
        TRY(give_way(walk));
        walk->work += STEP_WORK;
        if (!walk->held && !walk->tree_ended)
            TRY(hold_next(walk));
        /* The overlay is asked after the tree, which may have waited. */
        const struct version *version = overlay_next(walk);
        if (version == NULL || (walk->held && ahead(walk, walk->held_key, version->key))) {
            if (!walk->held)
                return STATUS_END;
            walk->held = false;
            *row = walk->held_row;
            return remember(walk, walk->held_key);
        }
        if (walk->held && bytes_equal(walk->held_key, version->key))
            walk->held = false; /* the overlay's is newer */
        TRY(remember(walk, version->key));
        if (version->row.at != NULL) {
            *row = version->row;
            return STATUS_OK;
        }
    }
}

/* As walk_next, for the rows of the range's collection. */
static enum status walk_next_of_collection(struct walk *walk, struct bytes *row)
{
    for (;;) {
        TRY(walk_next(walk, row));
        bool mixed = walk->range->mixed || walk->replica->has_others;
        if (LIKELY(!mixed) || key_collection(walk->last) == walk->range->collection)
            return STATUS_OK;
    }
}

/* ---- Items that rows of an index stand for ---- */

/* Is the item's row in the index still the one at walk->last? */
static bool is_its_row(const struct walk *walk, struct bytes item_key, struct value item)
{
    const struct key_attribute *attribute = &walk->range->index_sort;
    struct value sort;
    struct key row;
    return value_find(item, attribute->name, &sort) && value_type(sort) == attribute->type &&
           key_encode_index(&row, item_key, walk->range->collection, sort) == STATUS_OK &&
           bytes_equal(key_bytes(&row), walk->last);
}

/* The item of the row at walk->last.  It may wait, and meanwhile the item may change: then its row
 * has gone, and the walk comes or came to the new one.
 *   STATUS_NOT_FOUND  the row stands for nothing any more */
static enum status fetch_item(struct walk *walk, struct value *item)
{
    struct key key;
    struct bytes stored;
    struct row row;
    uint64_t slot;
    TRY(key_of_item(&key, walk->last));
    enum status status = replica_read(walk->ctx, walk->replica, key_bytes(&key),
                                      visible_slot(walk->replica), NULL, &stored, &slot);
    TRY(look_again(walk));
    TRY(status);
    TRY(row_read(stored, &row));
    *item = row.item;
    return is_its_row(walk, key_bytes(&key), row.item) ? STATUS_OK : STATUS_NOT_FOUND;
}

/* result->last_key: that of the item that was evaluated last, here or in a partition before this
 * one. */
static enum status set_last_key(struct walk *walk, struct replica_range_result *result)
{
    if (walk->evaluated.count == 0)
        return STATUS_OK;
    result->last_key = arena_copy(&walk->ctx->arena, walk->evaluated);
    return result->last_key.at == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

/* Evaluate one item: count it, filter it, give it to the sink.  A pause: it is the walk's own. */
static enum status evaluate(struct walk *walk, const struct row *row, uint32_t bytes,
                            const struct pause *pause, struct item_sink *sink,
                            struct replica_range_result *result)
{
    const struct expr_program *filter = &walk->range->filter;
    struct value item = row->item;
    result->scanned_count++;
    result->scanned_bytes += bytes;
    walk->evaluated = walk->last;
    if (filter->code.count > 0 && !expr_evaluate_paused(filter, item, pause))
        return STATUS_OK;
    result->count++;
    return UNLIKELY(walk->range->versions) ? sink->take_row(sink, walk->last, row)
                                           : sink->take(sink, item);
}

/* As evaluate, on a copy of the item, and others have their turn meanwhile. */
static enum status evaluate_long(struct walk *walk, const struct row *row, uint32_t bytes,
                                 struct item_sink *sink, struct replica_range_result *result)
{
    struct row copy = *row;
    struct pause pause = context_pause(walk->ctx);
    TRY(context_check(walk->ctx));
    buffer_clear(&walk->copy);
    buffer_append(&walk->copy, row->item.at, row->item.bytes);
    if (walk->copy.failed)
        return STATUS_NO_MEMORY;
    copy.item.at = walk->copy.at;
    TRY(evaluate(walk, &copy, bytes, &pause, sink, result));
    walk->work = 0;
    return look_again(walk);
}

/* The item to evaluate for the stored row; *bytes is what it counts on the page, *fetched of that
 * what is of the item and not of the row.
 *   STATUS_NOT_FOUND  the row is gone */
static enum status item_of(struct walk *walk, struct bytes stored, struct row *row, uint32_t *bytes,
                           uint32_t *fetched)
{
    TRY(row_read(stored, row));
    *bytes = item_size(row->item);
    *fetched = 0;
    if (LIKELY(!walk->range->fetch))
        return STATUS_OK;
    TRY(fetch_item(walk, &row->item));
    *fetched = item_size(row->item);
    return STATUS_OK;
}

static enum status run_walk(struct walk *walk, struct item_sink *sink,
                            struct replica_range_result *result)
{
    const struct replica_range *range = walk->range;
    TRY(open_cursor(walk));
    for (;;) {
        struct bytes stored;
        enum status status = walk_next_of_collection(walk, &stored);
        if (status == STATUS_END)
            return set_last_key(walk, result);
        TRY(status);
        struct row row;
        uint32_t bytes, fetched;
        status = item_of(walk, stored, &row, &bytes, &fetched);
        if (status == STATUS_NOT_FOUND)
            continue;
        TRY(status);
        if (result->scanned_count > 0 &&
            result->scanned_bytes + result->fetched_bytes + bytes + fetched > range->bytes_max) {
            result->more = true;
            return set_last_key(walk, result);
        }
        if (fetched > 0) {
            result->fetched_bytes += fetched;
            result->fetched_half_units += units_read_halves(fetched, range->consistent);
        }
        if (UNLIKELY(range->filter.code.count > 0 &&
                     expr_work_max(&range->filter, row.item) > FILTER_WORK_MAX)) {
            TRY(evaluate_long(walk, &row, bytes, sink, result));
        } else {
            fiber_no_wait_begin(walk->ctx);
            status = evaluate(walk, &row, bytes, NULL, sink, result);
            fiber_no_wait_end(walk->ctx);
            TRY(status);
        }
        if (range->limit > 0 && result->scanned_count >= range->limit) {
            result->more = true;
            return set_last_key(walk, result);
        }
        walk->work += bytes + fetched + (uint64_t)range->filter.code.count * FILTER_WORK;
    }
}

enum status replica_walk(struct context *ctx, struct replica *replica, struct bytes low,
                         struct bytes high,
                         bool (*take)(void *argument, struct bytes key, struct bytes row),
                         void *argument)
{
    uint8_t keys[2][KEY_BYTES_MAX];
    struct replica_range range = {.low = low, .high = high};
    struct walk walk = {
        .ctx = ctx, .replica = replica, .range = &range, .keys = {keys[0], keys[1]}};
    struct bytes row;
    TRY(open_cursor(&walk));
    for (;;) {
        enum status status = walk_next(&walk, &row);
        if (status == STATUS_END)
            return STATUS_OK;
        TRY(status);
        walk.work += row.count;
        if (!take(argument, walk.last, row))
            return STATUS_OK;
    }
}

enum status node_range(struct context *ctx, struct replica_service *service,
                       const struct replica_target *target, const struct replica_range *range,
                       struct item_sink *sink, struct replica_range_result *result)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    struct replica *replica;
    TRY(replica_enter(node, target->group_id, true, &replica));
    uint8_t keys[2][KEY_BYTES_MAX];
    struct replica_range of_items = *range;
    if (of_items.high.count == 0)
        of_items.high = KEY_BEYOND;
    struct walk walk = {
        .ctx = ctx, .replica = replica, .range = &of_items, .keys = {keys[0], keys[1]}};
    buffer_init(&walk.copy, ctx->env->heap, ITEM_STORED_BYTES_MAX);
    walk.copy.budget = ctx->arena.budget;
    enum status status = replica_admit_range(replica, target, range, result);
    if (status == STATUS_OK) {
        status = run_walk(&walk, sink, result);
        replica_charge_range(replica, target, range, result);
    }
    buffer_release(&walk.copy);
    replica_leave(replica);
    return status;
}
