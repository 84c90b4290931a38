/* transact.c - a transaction's items in this partition: the first phase of several, and the whole
 * of one that has no others. */
#include "admission/units.h"
#include "base/assert.h"
#include "env/bugs.h"
#include "node/several.h"

#define CHUNK_BYTES (4u << 20) /* of intents in one entry, about */

_Static_assert(CHUNK_BYTES + INTENT_HEADER_BYTES + ITEM_STORED_BYTES_MAX + ENTRY_HEADER_BYTES +
                       ENTRY_MUTATION_BYTES + KEY_BYTES_MAX <=
                   ENTRY_BYTES_MAX,
               "an intent more fits in an entry that is about full");

/* ---- Deciding on one item ---- */

static enum status conflict(struct writing *w)
{
    w->replica->node->stats.conflicts++;
    return error_set(w->error, ERROR_TRANSACTION_CONFLICT, TRANSACTION_ONGOING);
}

/* What the write comes to: the kind of its intent, and the image of a put. */
static enum status evaluate(struct context *ctx, struct writing *w, enum txn_kind *kind,
                            struct value *image)
{
    bool was = value_type(w->old.item) != VALUE_NONE;
    w->result->old_bytes = was ? item_size(w->old.item) : 0;
    enum status status = writing_check_condition(ctx, w, NULL);
    if (status == STATUS_CONDITION_FAILED)
        w->replica->node->stats.condition_failures++;
    TRY(status);
    TRY(writing_make_item(ctx, w, &w->replica->node->scratch, NULL, image));
    bool is = value_type(*image) != VALUE_NONE;
    w->result->new_bytes = is ? item_size(*image) : 0;
    bool same = was == is && (!is || (image->bytes == w->old.item.bytes &&
                                      memcmp(image->at, w->old.item.at, image->bytes) == 0));
    if (w->write->request->kind == WRITE_DELETE)
        *kind = TXN_DELETE;
    else
        *kind = same ? TXN_CHECK : TXN_PUT;
    return STATUS_OK;
}

/* The changes of the item and of what hangs on it. */
static enum status make_changes(struct context *ctx, struct writing *w, struct value image,
                                struct changes *changes)
{
    bool was = value_type(w->old.item) != VALUE_NONE, is = value_type(image) != VALUE_NONE;
    changes->count = 1;
    changes->at[0] = (struct change){
        .key = w->write->key,
        .item = image,
        .size_change = (int32_t)w->result->new_bytes - (int32_t)w->result->old_bytes,
        .is_delete = !is,
        .is_new = is && !was,
    };
    if (w->write->ttl.count > 0)
        TRY(writing_add_ttl(ctx, w, image, changes));
    return w->write->indexes.count > 0 ? writing_add_indexes(ctx, w, image, changes) : STATUS_OK;
}

/* Was the request refused, and not a failure of ours?  THROTTLED: for an index that is behind. */
static bool is_refusal(enum status status)
{
    return status == STATUS_CONDITION_FAILED || status == STATUS_INVALID ||
           status == STATUS_THROTTLED;
}

/* ---- prepare ---- */

struct prepare {
    struct several s;
    const struct replica_txn *txn;
    enum status *statuses;
    uint64_t *seen;
    struct entry_maker maker;
    bool refused;
    bool proposed; /* some intents are in the log */
};

static enum status may_prepare(struct prepare *p, struct item_op *op, bool *already)
{
    struct txn_item item = several_item(&p->s, op);
    const struct txn_group *group = &p->s.replica->txn;
    *already = false;
    switch (txn_may_prepare(group, &item, p->txn->id, p->txn->timestamp)) {
    case TXN_PREPARE_OK:
        return STATUS_OK;
    case TXN_PREPARE_ALREADY:
        *already = true;
        return STATUS_OK;
    case TXN_PREPARE_TOO_OLD:
        *p->seen = MAX(*p->seen, txn_item_timestamp(group, &item));
        break;
    case TXN_PREPARE_CONFLICT:
        break;
    }
    return conflict(&op->w);
}

static void add_intent(struct prepare *p, const struct item_op *op, enum txn_kind kind,
                       struct value image)
{
    struct key key;
    struct intent intent = {.kind = kind,
                            .id = p->txn->id,
                            .timestamp = p->txn->timestamp,
                            .of_version = op->w.old.version,
                            .hlc = p->maker.hlc};
    if (kind == TXN_PUT)
        intent.image = bytes_of(image.at, image.bytes);
    enum status status = intent_key(op->w.write->key, &key);
    ASSERT(status == STATUS_OK);
    struct mutation mutation = {.kind = MUTATION_PUT, .key = key_bytes(&key), .is_new = true};
    size_t row_bytes = INTENT_HEADER_BYTES + intent.image.count;
    size_t bytes = ENTRY_MUTATION_BYTES + mutation.key.count + row_bytes;
    uint8_t *to = buffer_reserve(p->maker.to, bytes);
    if (to == NULL)
        return;
    uint8_t *row = mutation_write(to, &mutation);
    mutation_set_row_bytes(to, row_bytes);
    intent_write(row, &intent);
    if (intent.image.count > 0)
        memcpy(row + INTENT_HEADER_BYTES, intent.image.at, intent.image.count);
    buffer_commit(p->maker.to, bytes);
    p->maker.count++;
    p->maker.intents++;
}

/* Evaluate one item, and write its intent into the node's buffer. */
static enum status prepare_one(struct prepare *p, struct item_op *op)
{
    enum txn_kind kind;
    struct value image;
    struct changes changes;
    bool already;
    TRY(several_view(&p->s, op));
    *op->w.result = (struct write_result){0};
    TRY(may_prepare(p, op, &already));
    TRY(evaluate(p->s.ctx, &op->w, &kind, &image));
    op->w.decided = already;
    if (already) /* by an entry that may not be committed yet */
        p->s.slot = MAX(p->s.slot, p->s.replica->paxos.last_slot);
    if (op->w.write->indexes.count > 0 && kind != TXN_CHECK)
        TRY(make_changes(p->s.ctx, &op->w, image, &changes)); /* for its checks and its cost */
    bool passed_by = kind == TXN_CHECK && BUG(p->s.ctx->env, BUG_CHECK_UNLOCKED);
    if (!already && !passed_by)
        add_intent(p, op, kind, image);
    return STATUS_OK;
}

static enum status evaluate_all(struct prepare *p)
{
    struct several *s = &p->s;
    p->refused = false;
    *p->seen = 0;
    entry_begin(&p->maker, s);
    for (uint32_t i = 0; i < s->count; i++) {
        p->statuses[i] = prepare_one(p, &s->ops[i]);
        if (p->statuses[i] != STATUS_OK && !is_refusal(p->statuses[i]))
            return p->statuses[i];
        p->refused |= p->statuses[i] != STATUS_OK;
    }
    return p->maker.to->failed ? STATUS_NO_MEMORY : STATUS_OK;
}

/* Note the intents of `mutations` in the index, before they are proposed: after that it is too late
 * to find that there is no room.  *noted: so many, also when it failed. */
static enum status note_intents(struct replica *replica, struct bytes mutations, uint32_t *noted)
{
    struct mutation_walk walk = mutation_walk_in(mutations);
    struct mutation mutation;
    uint64_t nudge_ns = env_now_ns(replica->node->env) + TXN_STALE_NS;
    for (*noted = 0; mutation_next(&walk, &mutation); (*noted)++) {
        struct key item;
        struct intent intent;
        bool is_intent = intent_key_is(mutation.key, &item);
        ASSERT(is_intent);
        TRY(intent_read(mutation.row, &intent));
        TRY(replica_add_intent(replica, key_bytes(&item), &intent, nudge_ns));
    }
    return STATUS_OK;
}

static void forget_intents(struct replica *replica, struct bytes mutations, uint32_t noted)
{
    struct mutation_walk walk = mutation_walk_in(mutations);
    struct mutation mutation;
    while (noted-- > 0 && mutation_next(&walk, &mutation)) {
        struct key item;
        if (intent_key_is(mutation.key, &item))
            replica_take_back_intent(replica, key_bytes(&item));
    }
}

/* Some of the mutations that were made, as an entry. */
static enum status propose_chunk(struct prepare *p, struct bytes mutations, uint32_t count)
{
    struct several *s = &p->s;
    struct entry_maker chunk = p->maker;
    struct buffer view = {.at = (uint8_t *)(uintptr_t)mutations.at, .count = mutations.count};
    uint32_t noted;
    chunk.to = &view;
    chunk.count = count;
    chunk.intents = (int32_t)count;
    chunk.hlc = MAX(chunk.hlc, s->replica->hlc + 1);
    enum status status = note_intents(s->replica, mutations, &noted);
    if (status == STATUS_OK)
        status = entry_send(&chunk, s, false);
    if (status != STATUS_OK)
        forget_intents(s->replica, mutations, noted);
    p->proposed |= status == STATUS_OK;
    return status;
}

/* The intents in as many entries as they need. */
static enum status propose_intents(struct prepare *p)
{
    struct bytes all = buffer_bytes(p->maker.to);
    struct mutation_walk walk = mutation_walk_in(all);
    struct mutation mutation;
    size_t from = 0, key_bytes = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->s.count; i++)
        key_bytes += p->s.ops[i].w.write->key.count;
    if (!intents_fit(&p->s.replica->intents, p->maker.count, key_bytes))
        return STATUS_THROTTLED;
    while (mutation_next(&walk, &mutation)) {
        size_t end = (size_t)(walk.reader.at - all.at);
        count++;
        if (end - from < CHUNK_BYTES && end < all.count)
            continue;
        TRY(propose_chunk(p, bytes_of(all.at + from, end - from), count));
        from = end;
        count = 0;
    }
    return STATUS_OK;
}

static enum status throttle_all(struct prepare *p)
{
    for (uint32_t i = 0; i < p->s.count; i++)
        p->statuses[i] = error_set(p->s.ops[i].w.error, ERROR_THROTTLING,
                                   "Too many transactions are under way in one partition");
    return STATUS_OK;
}

static enum status prepare_now(void *argument)
{
    struct prepare *p = argument;
    TRY(evaluate_all(p));
    if (p->refused)
        return STATUS_OK;
    enum status status = propose_intents(p);
    if (status == STATUS_THROTTLED)
        return throttle_all(p);
    return status;
}

enum status node_prepare(struct context *ctx, struct replica_service *service,
                         const struct replica_target *target, const struct replica_txn *txn,
                         const struct replica_write *writes, uint32_t count,
                         struct write_result *results, enum status *statuses, struct error *errors,
                         uint64_t *seen)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    struct prepare p = {.txn = txn, .statuses = statuses, .seen = seen};
    struct replica *replica;
    TRY(replica_enter(node, target->group_id, false, &replica));
    enum status status = replica_admit(replica, target, ADMISSION_WRITE, UNITS_WRITE_LEAST);
    if (status == STATUS_OK)
        status = several_init(&p.s, ctx, replica, target, writes, count, results, errors);
    if (status == STATUS_OK)
        status = several_run(&p.s, prepare_now, &p, &p.proposed);
    if (status == STATUS_OK)
        several_charge(&p.s, statuses);
    if (status == STATUS_OK)
        status = several_wait_commit(&p.s);
    else if (p.proposed)
        status = STATUS_UNKNOWN_OUTCOME;
    replica_leave(replica);
    return status;
}

/* ---- A transaction in one round ---- */

struct transact {
    struct several s;
    const struct txn_id *mark;
    struct bytes mark_key;
    enum status *statuses;
    struct entry_maker maker;
    uint64_t timestamp;
    bool refused, proposed;
};

/* An earlier item of the entry has changed the size of the same item collection: go on from
 * there. */
static void join_collection(struct several *s, struct item_op *op)
{
    for (struct item_op *before = op; op->size.wanted && before-- > s->ops;) {
        if (!bytes_equal(before->size.key, op->size.key) || !before->w.result->has_collection)
            continue;
        op->w.beside = before->w.result->collection_bytes;
        return;
    }
}

/* The row of the collection's size is held back: a later item of the collection may have another,
 * and a key comes once in an entry. */
static void hold_size_row(struct several *s, struct item_op *op, struct changes *changes)
{
    const struct change *last = &changes->at[changes->count - 1];
    if (!op->size.wanted || !bytes_equal(last->key, op->size.key))
        return;
    for (struct item_op *before = s->ops; before < op; before++) {
        if (before->has_size_row && bytes_equal(before->size.key, op->size.key))
            before->has_size_row = false;
    }
    op->has_size_row = true;
    op->size_row = *last;
    if (last->row.count > 0) {
        ASSERT(last->row.count == sizeof(op->size_bytes));
        memcpy(op->size_bytes, last->row.at, sizeof(op->size_bytes));
        op->size_row.row = bytes_of(op->size_bytes, sizeof(op->size_bytes));
    }
    changes->count--;
}

/* The changes of one item into the entry. */
static enum status add_changes(struct transact *t, struct item_op *op, struct value image)
{
    struct changes changes;
    struct row header = {.version = t->s.replica->paxos.last_slot + 1, .timestamp = t->timestamp};
    join_collection(&t->s, op);
    TRY(make_changes(t->s.ctx, &op->w, image, &changes));
    hold_size_row(&t->s, op, &changes);
    entry_add_item(&t->maker, &op->w, &changes, &header);
    return STATUS_OK;
}

static enum status transact_one(struct transact *t, struct item_op *op)
{
    struct txn_item item = several_item(&t->s, op);
    struct txn_effect effect;
    enum txn_kind kind;
    struct value image;
    *op->w.result = (struct write_result){0};
    op->has_size_row = false;
    if (!txn_may_write(&item))
        return conflict(&op->w);
    TRY(evaluate(t->s.ctx, &op->w, &kind, &image));
    if (t->refused || entry_bytes(&t->maker) > ENTRY_BYTES_MAX)
        return STATUS_OK; /* nothing comes of it */
    txn_write(&item, kind, t->timestamp, &effect);
    if (effect.raise_absent)
        t->maker.absent_timestamp = t->timestamp;
    if (effect.put_image || effect.delete_item)
        return add_changes(t, op, image);
    if (effect.stamp_item) {
        struct change stamp = {.key = op->w.write->key, .item = op->w.old.item, .is_stamp = true};
        struct row header = {.version = op->w.old.version, .timestamp = t->timestamp};
        entry_add(&t->maker, &stamp, &header, (struct bytes){0});
    }
    return STATUS_OK;
}

/* Look at all items; the transaction's time is above whatever happened to them. */
static enum status view_all(struct transact *t)
{
    struct several *s = &t->s;
    t->timestamp = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        TRY(several_view(s, &s->ops[i]));
        struct txn_item item = several_item(s, &s->ops[i]);
        t->timestamp =
            MAX(t->timestamp, txn_write_timestamp(&s->replica->txn, &item, t->maker.hlc));
    }
    return STATUS_OK;
}

static enum status transact_now(void *argument)
{
    struct transact *t = argument;
    struct several *s = &t->s;
    if (t->mark != NULL && s->mark.row.at != NULL)
        return STATUS_EXISTS;
    t->refused = false;
    entry_begin(&t->maker, s);
    TRY(view_all(t));
    for (uint32_t i = 0; i < s->count; i++) {
        t->statuses[i] = transact_one(t, &s->ops[i]);
        if (t->statuses[i] != STATUS_OK && !is_refusal(t->statuses[i]))
            return t->statuses[i];
        t->refused |= t->statuses[i] != STATUS_OK;
    }
    if (t->refused)
        return STATUS_OK;
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->ops[i].has_size_row)
            entry_add(&t->maker, &s->ops[i].size_row, NULL, (struct bytes){0});
    }
    if (t->mark != NULL)
        mark_add(&t->maker, t->mark_key, TXN_STATE_COMMITTED, wall_now_ns(s->ctx->env));
    TRY(entry_propose(&t->maker, s, false));
    t->proposed = true;
    return STATUS_OK;
}

enum status node_transact(struct context *ctx, struct replica_service *service,
                          const struct replica_target *target, const struct txn_id *mark,
                          const struct replica_write *writes, uint32_t count,
                          struct write_result *results, enum status *statuses, struct error *errors)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    struct transact t = {.mark = mark, .statuses = statuses};
    struct replica *replica;
    TRY(replica_enter(node, target->group_id, false, &replica));
    enum status status = replica_admit(replica, target, ADMISSION_WRITE, UNITS_WRITE_LEAST);
    if (status == STATUS_OK)
        status = several_init(&t.s, ctx, replica, target, writes, count, results, errors);
    if (status == STATUS_OK && mark != NULL) {
        status = mark_key(&ctx->arena, writes[0].key, *mark, &t.mark_key);
        t.s.mark = (struct peek){.key = t.mark_key, .wanted = true};
    }
    if (status == STATUS_OK)
        status = several_run(&t.s, transact_now, &t, &t.proposed);
    if (status == STATUS_OK)
        several_charge(&t.s, statuses);
    if (status == STATUS_OK)
        status = several_wait_commit(&t.s);
    replica_leave(replica);
    return status;
}
