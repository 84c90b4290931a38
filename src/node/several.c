#include "node/several.h"

#include "admission/units.h"
#include "base/assert.h"

#define ROUNDS_MAX 256u /* of reading again what became old */

static enum status set_up(struct several *s, struct item_op *op, const struct replica_write *write)
{
    struct key key;
    op->item = (struct peek){.key = write->key, .wanted = true};
    if (!write->has_beside)
        return STATUS_OK;
    TRY(key_in_collection(&key, write->key, KEY_COLLECTION_SIZE));
    op->size = (struct peek){.key = arena_copy(&s->ctx->arena, key_bytes(&key)), .wanted = true};
    return op->size.key.at != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status several_init(struct several *s, struct context *ctx, struct replica *replica,
                         const struct replica_target *target, const struct replica_write *writes,
                         uint32_t count, struct write_result *results, struct error *errors)
{
    *s = (struct several){
        .ctx = ctx, .replica = replica, .target = target, .count = count, .bytes_max = UINT64_MAX};
    s->ops = arena_alloc_zero(&ctx->arena, (count + (size_t)1) * sizeof(*s->ops));
    if (s->ops == NULL)
        return STATUS_NO_MEMORY;
    for (uint32_t i = 0; i < count; i++) {
        struct item_op *op = &s->ops[i];
        op->w = (struct writing){.replica = replica,
                                 .target = target,
                                 .write = &writes[i],
                                 .result = results == NULL ? NULL : &results[i],
                                 .error = errors == NULL ? NULL : &errors[i]};
        TRY(set_up(s, op, &writes[i]));
    }
    return STATUS_OK;
}

/* ---- Reading ---- */

static enum status read_one(struct several *s, struct peek *peek)
{
    struct bytes row;
    struct arena *arena = &s->ctx->arena;
    enum status status =
        replica_read(s->ctx, s->replica, peek->key, UINT64_MAX, NULL, &row, &peek->slot);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        return status;
    peek->applied_slot = s->replica->applied_slot;
    peek->read = true;
    peek->row = (struct bytes){0};
    if (status == STATUS_OK) {
        peek->row = arena_copy(arena, row);
        if (peek->row.at == NULL)
            return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

/* Is it the newest now?  What the overlay has is taken from there. */
static bool is_newest(const struct several *s, struct peek *peek)
{
    const struct version *version;
    if (!peek->wanted)
        return true;
    if (!peek->read)
        return false;
    version = overlay_find(&s->replica->overlay, peek->key, UINT64_MAX);
    if (version == NULL)
        return peek->applied_slot == s->replica->applied_slot;
    peek->row = version->row;
    peek->slot = version->slot;
    return true;
}

static enum status refresh(struct several *s, struct peek *peek, bool *again)
{
    if (is_newest(s, peek))
        return STATUS_OK;
    *again = true;
    return read_one(s, peek);
}

/* Count the item into *bytes, if there is a bound of them. */
static enum status count_item(const struct several *s, const struct peek *item, uint64_t *bytes)
{
    struct row row;
    if (s->bytes_max == UINT64_MAX || item->row.at == NULL)
        return STATUS_OK;
    TRY(row_read(item->row, &row));
    if (value_type(row.item) != VALUE_NONE)
        *bytes += item_size(row.item);
    return *bytes <= s->bytes_max ? STATUS_OK : STATUS_TOO_LARGE;
}

static enum status read_all(struct several *s)
{
    bool again = true;
    for (uint32_t round = 0; again && round < ROUNDS_MAX; round++) {
        uint64_t bytes = 0;
        again = false;
        for (uint32_t i = 0; i < s->count; i++) {
            TRY(refresh(s, &s->ops[i].item, &again));
            TRY(count_item(s, &s->ops[i].item, &bytes));
            TRY(refresh(s, &s->ops[i].size, &again));
            TRY(refresh(s, &s->ops[i].intent, &again));
        }
        TRY(refresh(s, &s->mark, &again));
    }
    return again ? STATUS_BUSY : STATUS_OK;
}

enum status several_read(struct several *s)
{
    for (;;) {
        if (!s->only_reads)
            TRY(replica_wait_for_room(s->ctx, s->replica));
        enum status status = read_all(s);
        if (status == STATUS_BUSY) {
            TRY(context_check(s->ctx));
            context_yield(s->ctx);
            continue;
        }
        TRY(status);
        if (s->only_reads)
            return STATUS_OK;
        TRY(replica_serves(s->replica));
        if (LIKELY(s->replica->overlay_bytes < REPLICA_OVERLAY_BYTES_MAX))
            return STATUS_OK;
    }
}

enum status several_view(struct several *s, struct item_op *op)
{
    bool newest = is_newest(s, &op->item) && is_newest(s, &op->size);
    ASSERT(newest); /* nothing waited since several_read */
    op->w.old = (struct row){0};
    op->w.old_row = op->item.row;
    s->slot = MAX(s->slot, op->item.slot);
    if (op->item.row.at != NULL)
        TRY(row_read(op->item.row, &op->w.old));
    return op->size.wanted ? writing_take_beside(&op->w, op->size.row) : STATUS_OK;
}

struct txn_item several_item(const struct several *s, const struct item_op *op)
{
    struct txn_item item = {.present = value_type(op->w.old.item) != VALUE_NONE,
                            .timestamp = op->w.old.timestamp,
                            .version = op->w.old.version};
    const struct held_intent *held = intents_find(&s->replica->intents, op->w.write->key);
    if (held == NULL)
        return item;
    item.has_intent = true;
    item.intent_id = held->id;
    item.intent_kind = held->kind;
    item.intent_timestamp = held->timestamp;
    item.intent_of_version = held->of_version;
    return item;
}

/* ---- Entries ---- */

void entry_begin(struct entry_maker *maker, const struct several *s)
{
    struct replica *replica = s->replica;
    struct node *node = replica->node;
    *maker = (struct entry_maker){.to = &node->several,
                                  .hlc = MAX(wall_now_ns(node->env), replica->hlc + 1)};
    buffer_clear(maker->to);
}

void entry_add(struct entry_maker *maker, const struct change *change, const struct row *header,
               struct bytes before)
{
    size_t bytes = change_bytes(change) + before.count;
    uint8_t *to = buffer_reserve(maker->to, bytes);
    if (to == NULL)
        return;
    change_write(to, change, header, before);
    buffer_commit(maker->to, bytes);
    maker->count++;
}

void entry_remove_intent(struct entry_maker *maker, const struct key *intent)
{
    struct change change = {.key = key_bytes(intent), .is_delete = true};
    entry_add(maker, &change, NULL, (struct bytes){0});
    maker->intents--;
}

void entry_add_item(struct entry_maker *maker, const struct writing *w,
                    const struct changes *changes, const struct row *header)
{
    maker->actor = w->write->actor;
    /* A consumer may have come after the write was sent. */
    const struct changes_marks *marks = w->replica->changes.marks;
    maker->flags = w->target->keeps_changes;
    if (UNLIKELY(marks != NULL && marks->count > 0))
        maker->flags |= KEEP_CHANGES;
    maker->stream = maker->flags != 0 ? w->target->stream : 0;
    struct bytes before = maker->flags != 0 ? w->old_row : (struct bytes){0};
    for (uint32_t i = 0; i < changes->count; i++)
        entry_add(maker, &changes->at[i], header, i == 0 ? before : (struct bytes){0});
}

size_t entry_bytes(const struct entry_maker *maker)
{
    return ENTRY_HEADER_BYTES + maker->to->count;
}

enum status entry_send(const struct entry_maker *maker, struct several *s, bool urgent)
{
    struct replica *replica = s->replica;
    struct node *node = replica->node;
    if (maker->to->failed)
        return STATUS_NO_MEMORY;
    if (entry_bytes(maker) > ENTRY_BYTES_MAX)
        return STATUS_TOO_LARGE;
    if (UNLIKELY(!urgent && !forest_has_space(node->forest))) {
        wal_give_space(node->wal);
        return STATUS_NO_SPACE;
    }
    struct log_entry *entry = log_entry_new(node, entry_bytes(maker), maker->count);
    if (entry == NULL)
        return STATUS_NO_MEMORY;
    struct entry_header header = {
        .actor = maker->actor,
        .flags = maker->flags,
        .stream = maker->stream,
        .mutation_count = (uint16_t)maker->count,
        .hlc = maker->hlc,
        .table_id = s->target->table_id,
        .schema_version = s->target->schema_version,
        .request_id = {s->ctx->trace_id[0], s->ctx->trace_id[1]},
        .absent_timestamp = maker->absent_timestamp,
        .intents = maker->intents,
    };
    uint8_t *to = log_entry_payload(entry);
    entry_header_write(to, &header);
    memcpy(to + ENTRY_HEADER_BYTES, maker->to->at, maker->to->count);
    TRY(replica_propose(replica, entry, urgent && wal_state(node->wal) == WAL_NO_SPACE));
    replica->hlc = maker->hlc;
    s->slot = MAX(s->slot, entry->slot);
    return STATUS_OK;
}

enum status entry_propose(struct entry_maker *maker, struct several *s, bool urgent)
{
    if (maker->count == 0 && !maker->to->failed)
        return STATUS_OK;
    enum status status = entry_send(maker, s, urgent);
    entry_begin(maker, s);
    return status;
}

enum status several_wait_commit(struct several *s)
{
    return replica_wait_commit(s->ctx, s->replica, s->slot);
}

void several_charge(struct several *s, const enum status *statuses)
{
    int64_t tokens = -(int64_t)UNITS_WRITE_LEAST;
    for (uint32_t i = 0; i < s->count; i++)
        tokens += units_transaction_halves(statuses[i], s->ops[i].w.result);
    replica_charge(s->replica, s->target, ADMISSION_WRITE, tokens);
}

enum status several_run(struct several *s, enum status (*now)(void *), void *argument,
                        const bool *proposed)
{
    for (;;) {
        TRY(several_read(s));
        if (UNLIKELY(s->target->schema_version < s->replica->schema_version))
            return STATUS_MOVED; /* it does not know of all rows that hang on the items */
        s->slot = 0;
        fiber_no_wait_begin(s->ctx);
        enum status status = now(argument);
        fiber_no_wait_end(s->ctx);
        node_release_scratch(s->replica->node);
        if (LIKELY(status != STATUS_BUSY))
            return status;
        if (*proposed)
            return STATUS_UNKNOWN_OUTCOME; /* some of it */
        TRY(node_log_refused(s->replica->node));
        TRY(wait_queue_wait(s->ctx, &s->replica->node->log_room));
    }
}
