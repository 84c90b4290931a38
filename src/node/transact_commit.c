/* transact_commit.c - the second phase of transactions: intents become items, or go; and marks. */
#include "base/assert.h"
#include "node/several.h"

#define CHUNK_BYTES (2u << 20) /* of mutations in one entry, about */

/* ---- Commit ---- */

struct ending {
    struct several s;
    struct txn_id id;
    struct entry_maker maker;
    bool commits;
    bool proposed;
};

/* The image that the intent's row has. */
static enum status read_image(const struct item_op *op, struct value *image)
{
    struct intent intent;
    *image = VALUE_ABSENT;
    if (!op->intent.wanted)
        return STATUS_UNAVAILABLE; /* it came after the look at what to read: next time */
    if (op->intent.row.at == NULL)
        return STATUS_CORRUPT;
    TRY(intent_read(op->intent.row, &intent));
    return intent.kind == TXN_PUT ? value_check(intent.image, image) : STATUS_OK;
}

static enum status propose_if_large(struct ending *o, size_t bytes)
{
    if (entry_bytes(&o->maker) < bytes && !o->maker.to->failed)
        return STATUS_OK;
    TRY(entry_propose(&o->maker, &o->s, true));
    o->proposed = true;
    return STATUS_OK;
}

/* What a put or a delete changes: as a single write's changes. */
static enum status add_changes(struct ending *o, struct item_op *op, struct value image,
                               uint64_t timestamp)
{
    struct writing *w = &op->w;
    struct write_result result = {0};
    struct changes changes;
    struct row header = {.version = o->s.replica->paxos.last_slot + 1, .timestamp = timestamp};
    bool was = value_type(w->old.item) != VALUE_NONE, is = value_type(image) != VALUE_NONE;
    w->result = &result;
    w->decided = true;
    changes.count = 1;
    changes.at[0] = (struct change){
        .key = w->write->key,
        .item = image,
        .size_change =
            (is ? (int32_t)item_size(image) : 0) - (was ? (int32_t)item_size(w->old.item) : 0),
        .is_delete = !is,
        .is_new = is && !was,
    };
    if (w->write->ttl.count > 0)
        TRY(writing_add_ttl(o->s.ctx, w, image, &changes));
    if (w->write->indexes.count > 0)
        TRY(writing_add_indexes(o->s.ctx, w, image, &changes));
    entry_add_item(&o->maker, w, &changes, &header);
    return STATUS_OK;
}

static enum status add_effect(struct ending *o, struct item_op *op, const struct txn_effect *effect)
{
    struct value image = VALUE_ABSENT;
    struct key intent;
    TRY(intent_key(op->w.write->key, &intent));
    if (effect->put_image)
        TRY(read_image(op, &image));
    if (effect->put_image || effect->delete_item)
        TRY(add_changes(o, op, image, effect->timestamp));
    if (effect->stamp_item) {
        struct change stamp = {.key = op->w.write->key, .item = op->w.old.item, .is_stamp = true};
        struct row header = {.version = op->w.old.version, .timestamp = effect->timestamp};
        entry_add(&o->maker, &stamp, &header, (struct bytes){0});
    }
    if (effect->raise_absent)
        o->maker.absent_timestamp = MAX(o->maker.absent_timestamp, effect->timestamp);
    entry_remove_intent(&o->maker, &intent);
    return STATUS_OK;
}

/* Items of tables with local indexes have an entry each, since those of one collection change one
 * row: each must see what the one before made of it. */
static enum status carry_out_one(struct ending *o, struct item_op *op)
{
    struct txn_effect effect;
    TRY(several_view(&o->s, op));
    struct txn_item item = several_item(&o->s, op);
    if (o->commits) {
        enum status status = txn_commit(&item, o->id, &effect);
        if (status != STATUS_OK) {
            log_line(o->s.ctx->env->log, LOG_ERROR, "node",
                     "group %llu: an item is not what its transaction was prepared on",
                     (unsigned long long)o->s.replica->group_id);
            return status;
        }
    } else {
        txn_cancel(&item, o->id, &effect);
    }
    if (!effect.remove_intent) { /* done before: by an entry that may not be committed yet */
        o->s.slot = MAX(o->s.slot, o->s.replica->paxos.last_slot);
        return STATUS_OK;
    }
    if (op->size.wanted)
        TRY(propose_if_large(o, ENTRY_HEADER_BYTES + 1));
    TRY(add_effect(o, op, &effect));
    return propose_if_large(o, op->size.wanted ? ENTRY_HEADER_BYTES + 1 : CHUNK_BYTES);
}

static enum status carry_out_now(void *argument)
{
    struct ending *o = argument;
    entry_begin(&o->maker, &o->s);
    for (uint32_t i = 0; i < o->s.count; i++)
        TRY(carry_out_one(o, &o->s.ops[i]));
    return propose_if_large(o, ENTRY_HEADER_BYTES + 1);
}

/* Of a commit that puts, the intent's row is read too. */
static enum status want_intents(struct ending *o)
{
    struct several *s = &o->s;
    for (uint32_t i = 0; i < s->count; i++) {
        struct item_op *op = &s->ops[i];
        struct held_intent *held = intents_find(&s->replica->intents, op->w.write->key);
        struct key key;
        bool is_ours = held != NULL && txn_id_equal(held->id, o->id);
        if (!is_ours || held->kind != TXN_PUT)
            continue;
        TRY(intent_key(op->w.write->key, &key));
        op->intent =
            (struct peek){.key = arena_copy(&s->ctx->arena, key_bytes(&key)), .wanted = true};
        if (op->intent.key.at == NULL)
            return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

static enum status carry_out(struct context *ctx, struct replica_service *service,
                             const struct replica_target *target, struct txn_id id, bool commits,
                             const struct replica_write *writes, uint32_t count)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    struct ending o = {.id = id, .commits = commits};
    struct replica *replica;
    TRY(replica_enter(node, target->group_id, false, &replica));
    enum status status = several_init(&o.s, ctx, replica, target, writes, count, NULL, NULL);
    if (status == STATUS_OK && commits)
        status = want_intents(&o);
    if (status == STATUS_OK)
        status = several_run(&o.s, carry_out_now, &o, &o.proposed);
    if (status == STATUS_OK)
        status = several_wait_commit(&o.s);
    replica_leave(replica);
    return status;
}

enum status node_commit(struct context *ctx, struct replica_service *service,
                        const struct replica_target *target, struct txn_id id,
                        const struct replica_write *writes, uint32_t count)
{
    return carry_out(ctx, service, target, id, true, writes, count);
}

enum status node_cancel(struct context *ctx, struct replica_service *service,
                        const struct replica_target *target, struct txn_id id,
                        const struct replica_write *writes, uint32_t count)
{
    return carry_out(ctx, service, target, id, false, writes, count);
}

/* ---- Marks ----
 *
 * offset size  meaning
 *      0    1  format: 1
 *      1    1  state: 4 committed, 5 cancelled (enum txn_state)
 *      2    6  zero
 *      8    8  created, wall clock in ns */
#define MARK_FORMAT 1u
#define MARK_BYTES  16u

enum status mark_key(struct arena *arena, struct bytes item, struct txn_id id, struct bytes *key)
{
    struct key at;
    TRY(key_in_collection(&at, item, KEY_COLLECTION_MARK));
    memcpy(at.at + at.count, id.at, sizeof(id.at));
    at.count = (uint16_t)(at.count + sizeof(id.at));
    *key = arena_copy(arena, key_bytes(&at));
    return key->at != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

void mark_add(struct entry_maker *maker, struct bytes key, enum txn_state state,
              uint64_t created_ns)
{
    uint8_t row[MARK_BYTES] = {MARK_FORMAT, (uint8_t)state};
    put_u64(row + 8, created_ns);
    struct change change = {.key = key, .row = bytes_of(row, sizeof(row)), .is_new = true};
    entry_add(maker, &change, NULL, (struct bytes){0});
}

enum status mark_read(struct bytes row, enum txn_state *state)
{
    if (row.count < 1)
        return STATUS_CORRUPT;
    if (row.at[0] != MARK_FORMAT)
        return STATUS_VERSION;
    if (row.count != MARK_BYTES ||
        (row.at[1] != TXN_STATE_COMMITTED && row.at[1] != TXN_STATE_CANCELLED))
        return STATUS_CORRUPT;
    *state = (enum txn_state)row.at[1];
    return STATUS_OK;
}

struct marking {
    struct several s;
    enum replica_mark_action action;
    enum txn_state state;
    bool proposed;
};

static enum status mark_now(void *argument)
{
    struct marking *m = argument;
    struct several *s = &m->s;
    struct entry_maker maker;
    entry_begin(&maker, s);
    m->state = TXN_STATE_NONE;
    s->slot = MAX(s->slot, s->mark.slot);
    if (s->mark.row.at != NULL)
        TRY(mark_read(s->mark.row, &m->state));
    if (m->state == TXN_STATE_NONE && m->action == MARK_CANCEL) {
        m->state = TXN_STATE_CANCELLED;
        mark_add(&maker, s->mark.key, m->state, wall_now_ns(s->ctx->env));
    } else if (m->state != TXN_STATE_NONE && m->action == MARK_REMOVE) {
        struct change change = {.key = s->mark.key, .is_delete = true};
        entry_add(&maker, &change, NULL, (struct bytes){0});
    }
    return entry_propose(&maker, s, true);
}

enum status node_mark(struct context *ctx, struct replica_service *service,
                      const struct replica_target *target, struct bytes key, struct txn_id id,
                      enum replica_mark_action action, enum txn_state *state)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    struct marking m = {.action = action};
    struct replica *replica;
    TRY(replica_enter(node, target->group_id, false, &replica));
    enum status status = several_init(&m.s, ctx, replica, target, NULL, 0, NULL, NULL);
    m.s.mark.wanted = true;
    if (status == STATUS_OK)
        status = mark_key(&ctx->arena, key, id, &m.s.mark.key);
    if (status == STATUS_OK)
        status = several_run(&m.s, mark_now, &m, &m.proposed);
    if (status == STATUS_OK)
        status = several_wait_commit(&m.s);
    replica_leave(replica);
    *state = m.state;
    return status;
}
