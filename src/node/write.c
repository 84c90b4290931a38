/* write.c - the leader's side of a write: read the newest image, decide, propose; then wait for the
 * commit.
 *
 * From the last read of an item to its insertion in the overlay nothing waits, so no image is
 * computed from a stale one.  Expressions that may take long on a large item run before that, on a
 * copy, and give way; what they came to counts if the item has the same version still.  What a
 * condition saw may itself not be committed yet: then the answer waits for that too.
 */
#include "admission/units.h"
#include "base/assert.h"
#include "env/bugs.h"
#include "node/writing.h"

#define SCRATCH_BYTES_KEEP (64u << 10) /* what the scratch buffer keeps between writes */

/* Expressions whose work (expr_work_max) may be more are evaluated ahead, this often: who loses
 * against other writers each time evaluates in one piece, so that it comes to an end. */
#define AHEAD_WORK      ((uint64_t)2 << 20)
#define AHEAD_TRIES_MAX 3u

/* An update's work for each byte of the old item, in which sets may be merged. */
#define UPDATE_WORK 8u

_Static_assert(ROW_HEADER_BYTES + ITEM_STORED_BYTES_MAX <= TREE_VALUE_BYTES_MAX,
               "what is acknowledged can be applied");

_Static_assert((int)KEEP_CHANGES == (int)ENTRY_KEEPS_CHANGES &&
                   (int)KEEP_CHANGES_FOR_STREAM == (ENTRY_KEEPS_CHANGES | ENTRY_FOR_STREAM),
               "what a table keeps is what its entries say");

enum status replica_wait_for_room(struct context *ctx, struct replica *replica)
{
    for (;;) {
        TRY(replica_serves(replica));
        if (replica->overlay_bytes < REPLICA_OVERLAY_BYTES_MAX)
            return STATUS_OK;
        if (replica->apply_status == STATUS_NO_SPACE)
            return STATUS_NO_SPACE;
        replica->node->stats.overlay_waits++;
        TRY(wait_queue_wait(ctx, &replica->room));
    }
}

/* A result's value that outlives the next wait; room for it in the answer is reserved, since after
 * the proposal it is too late to find that there is none. */
static enum status keep(struct context *ctx, struct value value, struct value *kept)
{
    if (value_type(value) == VALUE_NONE) {
        *kept = VALUE_ABSENT;
        return STATUS_OK;
    }
    TRY(arena_reserve(&ctx->arena, (size_t)value.bytes * VALUE_TEXT_FACTOR));
    struct bytes copy = arena_copy(&ctx->arena, bytes_of(value.at, value.bytes));
    if (copy.at == NULL)
        return STATUS_NO_MEMORY;
    *kept = (struct value){copy.at, value.bytes};
    return STATUS_OK;
}

/* UPDATED_OLD, UPDATED_NEW: what the update's paths have in `item`. */
static enum status keep_updated(struct context *ctx, struct writing *w, struct value item)
{
    if (value_type(item) == VALUE_NONE || w->write->request->update.code.count == 0)
        return STATUS_OK;
    struct buffer projected;
    buffer_init(&projected, ctx->env->heap, NODE_SCRATCH_BYTES_MAX);
    struct value_writer writer;
    value_writer_init(&writer, &projected);
    expr_updated(&w->write->request->update, item, &writer);
    struct value value;
    enum status status = value_writer_finish(&writer, &value);
    if (status == STATUS_OK && value_count(value) > 0)
        status = keep(ctx, value, &w->result->attributes);
    buffer_release(&projected);
    return status;
}

static enum status keep_attributes(struct context *ctx, struct writing *w, struct value new_item)
{
    switch (w->write->request->return_values) {
    case RETURN_ALL_OLD:
        return keep(ctx, w->old.item, &w->result->attributes);
    case RETURN_ALL_NEW:
        return keep(ctx, new_item, &w->result->attributes);
    case RETURN_UPDATED_OLD:
        return keep_updated(ctx, w, w->old.item);
    case RETURN_UPDATED_NEW:
        return keep_updated(ctx, w, new_item);
    case RETURN_NONE:
        break;
    }
    return STATUS_OK;
}

enum status writing_check_condition(struct context *ctx, struct writing *w,
                                    const struct pause *pause)
{
    const struct write_request *request = w->write->request;
    if (request->condition.code.count == 0)
        return STATUS_OK;
    if (expr_evaluate_paused(&request->condition, w->old.item, pause))
        return STATUS_OK;
    (void)error_set(w->error, ERROR_CONDITION_FAILED, "The conditional request failed");
    if (request->return_on_failure)
        TRY(keep(ctx, w->old.item, &w->error->item));
    return STATUS_CONDITION_FAILED;
}

enum status writing_make_item(struct context *ctx, struct writing *w, struct buffer *scratch,
                              const struct pause *pause, struct value *item)
{
    const struct write_request *request = w->write->request;
    if (request->kind == WRITE_CHECK) {
        *item = w->old.item;
        return STATUS_OK;
    }
    if (request->kind == WRITE_PUT) {
        *item = request->item;
        return STATUS_OK;
    }
    if (request->kind == WRITE_DELETE) {
        *item = VALUE_ABSENT;
        return STATUS_OK;
    }
    if (value_type(w->old.item) == VALUE_NONE && expr_update_only_deletes(&request->update)) {
        *item = VALUE_ABSENT;
        return STATUS_OK;
    }
    buffer_clear(scratch);
    struct value_writer writer;
    value_writer_init(&writer, scratch);
    writer.bytes_max = ITEM_STORED_BYTES_MAX;
    writer.meter.pause = pause;
    struct expr_fault fault = {0};
    enum status status = expr_update(&request->update, w->old.item, w->write->key_attributes,
                                     &writer, &ctx->arena, &fault);
    if (status == STATUS_INVALID) {
        *w->error = (struct error){.code = ERROR_VALIDATION, .message = fault.message};
        return status;
    }
    if (status == STATUS_OK)
        status = value_writer_finish(&writer, item);
    else if (status != STATUS_NO_MEMORY || ctx->arena.refused)
        return status;
    bool too_large = status == STATUS_OK &&
                     (item->bytes > ITEM_STORED_BYTES_MAX || item_size(*item) > ITEM_BYTES_MAX);
    if (status == STATUS_NO_MEMORY && scratch->starved)
        return status;
    if (status == STATUS_NO_MEMORY || too_large)
        return error_set(w->error, ERROR_VALIDATION,
                         "Item size to update has exceeded the maximum allowed size");
    if (status == STATUS_TOO_LARGE)
        return error_set(w->error, ERROR_VALIDATION,
                         "Nesting Levels have exceeded supported limits");
    return status;
}

enum status writing_check_intent(struct writing *w)
{
    if (intents_find(&w->replica->intents, w->write->key) == NULL)
        return STATUS_OK;
    w->replica->node->stats.conflicts++;
    return error_set(w->error, ERROR_TRANSACTION_CONFLICT, TRANSACTION_ONGOING);
}

static size_t row_bytes(const struct change *change)
{
    return value_type(change->item) != VALUE_NONE ? ROW_HEADER_BYTES + change->item.bytes
                                                  : change->row.count;
}

size_t change_bytes(const struct change *change)
{
    return ENTRY_MUTATION_BYTES + change->key.count + row_bytes(change);
}

uint8_t *change_write(uint8_t *to, const struct change *change, const struct row *header,
                      struct bytes before)
{
    struct mutation mutation = {.kind = change->is_delete ? MUTATION_DELETE : MUTATION_PUT,
                                .key = change->key,
                                .row = change->row,
                                .is_new = change->is_new,
                                .is_stamp = change->is_stamp,
                                .size_change = change->size_change};
    uint8_t *row = mutation_write(to, &mutation);
    if (value_type(change->item) != VALUE_NONE) {
        mutation_set_row_bytes(to, row_bytes(change));
        row_header_write(row, header);
        memcpy(row + ROW_HEADER_BYTES, change->item.at, change->item.bytes);
        row += ROW_HEADER_BYTES + change->item.bytes;
    }
    return UNLIKELY(before.count > 0) ? mutation_append_before(to, row, before) : row;
}

enum status writing_propose(struct context *ctx, struct writing *w, const struct changes *changes)
{
    struct replica *replica = w->replica;
    struct node *node = replica->node;
    bool urgent = changes->at[0].is_delete || w->write->urgent;
    if (UNLIKELY(!urgent && !forest_has_space(node->forest))) {
        wal_give_space(node->wal);
        return STATUS_NO_SPACE; /* it could not be applied; what is left is for deletes */
    }
    size_t bytes = ENTRY_HEADER_BYTES;
    for (uint32_t i = 0; i < changes->count; i++)
        bytes += change_bytes(&changes->at[i]);
    /* A consumer may have come after the write was sent. */
    uint8_t keeps = w->rows_only ? KEEP_NO_CHANGES : w->target->keeps_changes;
    const struct changes_marks *marks = replica->changes.marks;
    if (UNLIKELY(marks != NULL && marks->count > 0 && w->write->version == 0 && !w->rows_only))
        keeps |= KEEP_CHANGES;
    struct bytes before = keeps != 0 ? w->old_row : (struct bytes){0};
    bytes += before.count;
    ASSERT(bytes <= ENTRY_BYTES_MAX);
    struct log_entry *entry = log_entry_new(node, bytes, changes->count);
    if (entry == NULL)
        return STATUS_NO_MEMORY;

    uint64_t hlc = MAX(wall_now_ns(node->env), replica->hlc + 1);
    struct entry_header header = {
        .actor = w->write->actor,
        .flags = keeps,
        .stream = keeps != 0 ? w->target->stream : 0,
        .mutation_count = (uint16_t)changes->count,
        .hlc = hlc,
        .table_id = w->target->table_id,
        .schema_version = w->target->schema_version,
        .request_id = {ctx->trace_id[0], ctx->trace_id[1]},
    };
    uint64_t above = MAX(w->old.timestamp, replica->txn.absent_timestamp) + 1;
    struct row stored = {.version = w->write->version != 0 ? w->write->version
                                                           : replica->paxos.last_slot + 1,
                         .timestamp = MAX(hlc, above)};
    if (changes->at[0].is_delete)
        header.absent_timestamp = stored.timestamp;
    uint8_t *to = log_entry_payload(entry);
    entry_header_write(to, &header);
    to += ENTRY_HEADER_BYTES;
    for (uint32_t i = 0; i < changes->count; i++)
        to = change_write(to, &changes->at[i], &stored, i == 0 ? before : (struct bytes){0});
    /* Deletes may use the reserve of a full disk: it is how space comes back. */
    TRY(replica_propose(replica, entry, urgent && wal_state(node->wal) == WAL_NO_SPACE));
    ASSERT(entry->slot == replica->paxos.last_slot);
    replica->hlc = hlc;
    w->slot = entry->slot;
    return STATUS_OK;
}

/* What the write comes to on the old item. */
static enum status evaluate(struct context *ctx, struct writing *w, struct buffer *scratch,
                            const struct pause *pause, struct value *item)
{
    w->result->old_bytes = value_type(w->old.item) == VALUE_NONE ? 0 : item_size(w->old.item);
    TRY(writing_check_condition(ctx, w, pause));
    TRY(writing_make_item(ctx, w, scratch, pause, item));
    w->result->new_bytes = value_type(*item) == VALUE_NONE ? 0 : item_size(*item);
    return STATUS_OK;
}

/* May the expressions take so long that they are to be evaluated ahead, and again? */
static bool is_long(const struct writing *w)
{
    if (LIKELY(w->old.item.bytes < PAUSE_BYTES / 32) || w->ahead_tries == AHEAD_TRIES_MAX)
        return false;
    const struct write_request *request = w->write->request;
    uint64_t work = expr_work_max(&request->condition, w->old.item);
    if (request->update.code.count > 0)
        work += expr_work_max(&request->update, w->old.item) +
                (uint64_t)w->old.item.bytes * UPDATE_WORK;
    return work > AHEAD_WORK && !(w->ahead.known && w->ahead.version == w->old.version);
}

/* Evaluate on a copy of the old item; gives way to others. */
static enum status evaluate_ahead(struct context *ctx, struct writing *w)
{
    struct pause pause = context_pause(ctx);
    struct outcome *ahead = &w->ahead;
    struct buffer copy;
    w->ahead_tries++;
    *ahead = (struct outcome){.version = w->old.version};
    buffer_init(&copy, ctx->env->heap, NODE_SCRATCH_BYTES_MAX);
    copy.budget = ctx->arena.budget;
    buffer_append(&copy, w->old.item.at, w->old.item.bytes);
    if (copy.failed)
        return STATUS_NO_MEMORY;
    w->old.item.at = copy.at;
    *w->error = (struct error){0};
    ahead->status = evaluate(ctx, w, &w->made, &pause, &ahead->item);
    ahead->old_bytes = w->result->old_bytes;
    ahead->new_bytes = w->result->new_bytes;
    ahead->error = *w->error;
    ahead->known = true;
    w->old.item = VALUE_ABSENT;
    buffer_release(&copy);
    return context_check(ctx);
}

/* Take what was evaluated ahead, if it was on the image that is here now. */
static bool take_ahead(struct writing *w, struct value *item, enum status *status)
{
    const struct outcome *ahead = &w->ahead;
    if (LIKELY(!ahead->known) || value_type(w->old.item) == VALUE_NONE ||
        ahead->version != w->old.version)
        return false;
    w->result->old_bytes = ahead->old_bytes;
    w->result->new_bytes = ahead->new_bytes;
    *w->error = ahead->error;
    *item = ahead->item;
    *status = ahead->status;
    return true;
}

/* Decide on the image that was read, and propose.  Does not wait. */
static enum status decide(struct context *ctx, struct writing *w)
{
    struct value item;
    enum status status;
    if (UNLIKELY(w->step != 0)) {
        bool ordinary = false;
        status = writing_decide_step(ctx, w, &ordinary);
        if (!ordinary)
            return status;
    }
    if (UNLIKELY(intents_count(&w->replica->intents) > 0))
        TRY(writing_check_intent(w));
    if (LIKELY(!take_ahead(w, &item, &status)))
        status = evaluate(ctx, w, &w->replica->node->scratch, NULL, &item);
    if (status == STATUS_CONDITION_FAILED)
        w->replica->node->stats.condition_failures++;
    TRY(status);
    bool was = value_type(w->old.item) != VALUE_NONE;
    bool is = value_type(item) != VALUE_NONE;
    struct changes changes;
    changes.count = 1;
    changes.at[0] = (struct change){
        .key = w->write->key,
        .item = item,
        .size_change = (int32_t)w->result->new_bytes - (int32_t)w->result->old_bytes,
        .is_delete = !is,
        .is_new = is && !was,
    };
    if (UNLIKELY(w->write->indexes.count > 0))
        TRY(writing_add_indexes(ctx, w, item, &changes));
    if (UNLIKELY(w->write->ttl.count > 0))
        TRY(writing_add_ttl(ctx, w, item, &changes));
    TRY(keep_attributes(ctx, w, item));
    if (!is && !was)
        return STATUS_OK; /* deleting what is not there changes nothing */
    return writing_propose(ctx, w, &changes);
}

static enum status read_item(struct context *ctx, struct writing *w)
{
    w->old = (struct row){0};
    w->old_row = (struct bytes){0};
    enum status status = replica_read(ctx, w->replica, w->write->key, UINT64_MAX, w->place,
                                      &w->old_row, &w->observed_slot);
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    return row_read(w->old_row, &w->old);
}

static enum status read_image(struct context *ctx, struct writing *w)
{
    return LIKELY(!w->write->has_beside) ? read_item(ctx, w)
                                         : writing_read_beside(ctx, w, read_item);
}

void node_release_scratch(struct node *node)
{
    if (UNLIKELY(node->scratch.capacity > SCRATCH_BYTES_KEEP))
        buffer_release(&node->scratch);
    if (UNLIKELY(node->rows.capacity > SCRATCH_BYTES_KEEP))
        buffer_release(&node->rows);
    if (UNLIKELY(node->several.capacity > SCRATCH_BYTES_KEEP))
        buffer_release(&node->several);
}

enum status writing_execute(struct context *ctx, struct writing *w)
{
    for (;;) {
        TRY(replica_wait_for_room(ctx, w->replica));
        TRY(read_image(ctx, w));
        TRY(replica_serves(w->replica));
        if (UNLIKELY(w->replica->overlay_bytes >= REPLICA_OVERLAY_BYTES_MAX))
            continue; /* others came first while the page was read */
        if (UNLIKELY(w->target->schema_version < w->replica->schema_version))
            return STATUS_MOVED; /* the table has changed, and what was done for that is not to be
                                  * passed by */
        if (UNLIKELY(is_long(w))) {
            TRY(evaluate_ahead(ctx, w));
            continue;
        }
        *w->result = (struct write_result){0};
        w->slot = MAX(w->observed_slot, w->beside_slot);
        fiber_no_wait_begin(ctx);
        enum status status =
            LIKELY(w->write->version == 0) ? decide(ctx, w) : writing_decide_row(ctx, w);
        fiber_no_wait_end(ctx);
        node_release_scratch(w->replica->node);
        if (LIKELY(status != STATUS_BUSY))
            return status;
        TRY(node_log_refused(w->replica->node));
        TRY(wait_queue_wait(ctx, &w->replica->node->log_room));
    }
}

void node_write(struct context *ctx, struct replica_service *service,
                const struct replica_target *target, const struct replica_write *writes,
                uint32_t count, struct write_result *results, enum status *statuses,
                struct error *errors)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    struct replica *replica;
    enum status entered = replica_enter(node, target->group_id, false, &replica);
    if (entered != STATUS_OK) {
        for (uint32_t i = 0; i < count; i++)
            statuses[i] = entered;
        return;
    }
    uint64_t slot_max = 0;
    size_t work = 0; /* since others had their turn */
    struct tree_place place = {0};
    for (uint32_t i = 0; i < count; i++) {
        struct writing w = {.replica = replica,
                            .target = target,
                            .place = count > 1 ? &place : NULL,
                            .write = &writes[i],
                            .result = &results[i],
                            .error = &errors[i]};
        results[i] = (struct write_result){0};
        statuses[i] = replica_admit(replica, target, ADMISSION_WRITE, UNITS_WRITE_LEAST);
        if (UNLIKELY(statuses[i] != STATUS_OK))
            continue;
        buffer_init(&w.made, ctx->env->heap, NODE_SCRATCH_BYTES_MAX);
        w.made.budget = ctx->arena.budget;
        statuses[i] = LIKELY(!ctx->cancelled) ? writing_execute(ctx, &w) : STATUS_CANCELLED;
        buffer_release(&w.made);
        if (BUG(ctx->env, BUG_REFUSED_BUT_DONE) && results[i].held_for.count > 0)
            statuses[i] = STATUS_THROTTLED;
        replica_charge_write(replica, target, statuses[i], &results[i]);
        slot_max = MAX(slot_max, w.slot);
        work += results[i].old_bytes + results[i].new_bytes;
        if (UNLIKELY(work >= PAUSE_BYTES) && i + 1 < count) {
            work = 0;
            context_yield(ctx);
        }
    }
    /* Slots commit in order: one wait is enough for all.  What was refused rests on images that
     * must be committed too. */
    enum status committed = replica_wait_commit(ctx, replica, slot_max);
    for (uint32_t i = 0; i < count && committed != STATUS_OK; i++) {
        if (statuses[i] == STATUS_OK || statuses[i] == STATUS_CONDITION_FAILED ||
            statuses[i] == STATUS_INVALID)
            statuses[i] = committed;
    }
    replica_leave(replica);
}
