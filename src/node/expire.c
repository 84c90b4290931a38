/* expire.c - items whose time has come: what says when, and the steps that the sweeper takes.
 *
 * A table may name an attribute that says when each item expires, in seconds since 1970.  For each
 * item whose attribute is such a number there is a row behind all items (KEY_BEYOND), in the order
 * of time; the entry that writes the item writes it too.  So what has expired in a partition is
 * found without looking at anything else.  The row says only where to look: an item is deleted when
 * it, as it is then, says the same second as the row; else the row is a left-over and goes.
 *
 * The rows are not in the partition's range of keys: who divides a partition sorts them by the
 * item's key that ends each of them.
 */
#include "base/assert.h"
#include "node/writing.h"

#define ROW_FORMAT         1u
#define SECONDS_DIGITS_MAX 18           /* beyond it no clock comes */
#define WALK_BYTES_MAX     (256u << 10) /* of rows that one step of FILL looks at */

/* When the item expires: a number of seconds above 0, its fraction dropped; false: never. */
static bool expiry_of(struct value item, struct bytes attribute, uint64_t *seconds)
{
    struct value found;
    struct number number;
    if (value_type(item) == VALUE_NONE || attribute.count == 0 ||
        !value_find(item, attribute, &found) || value_type(found) != VALUE_N)
        return false;
    value_number(found, &number);
    if (number.negative || number.exponent > SECONDS_DIGITS_MAX)
        return false;
    *seconds = 0;
    for (int i = 0; i < number.exponent; i++)
        *seconds = *seconds * 10 + (i < number.digit_count ? number.digits[i] : 0u);
    return *seconds > 0;
}

static enum status encode(struct context *ctx, uint64_t seconds, struct bytes item,
                          struct bytes *encoded)
{
    struct key key;
    key_encode_ttl(&key, seconds, item);
    *encoded = arena_copy(&ctx->arena, key_bytes(&key));
    return encoded->at == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

static enum status add_put(struct context *ctx, uint64_t seconds, struct bytes item,
                           struct changes *changes)
{
    static const uint8_t row[1] = {ROW_FORMAT};
    struct change *change = &changes->at[changes->count++];
    *change = (struct change){.row = bytes_of(row, sizeof(row))};
    return encode(ctx, seconds, item, &change->key);
}

enum status writing_add_ttl(struct context *ctx, const struct writing *w, struct value item,
                            struct changes *changes)
{
    uint64_t old_s = 0, new_s = 0;
    struct bytes attribute = w->write->ttl;
    bool was = expiry_of(w->old.item, attribute, &old_s), is = expiry_of(item, attribute, &new_s);
    if (was == is && old_s == new_s)
        return STATUS_OK;
    if (was) {
        struct change *change = &changes->at[changes->count++];
        *change = (struct change){.is_delete = true};
        TRY(encode(ctx, old_s, w->write->key, &change->key));
    }
    return is ? add_put(ctx, new_s, w->write->key, changes) : STATUS_OK;
}

enum status writing_decide_step(struct context *ctx, struct writing *w, bool *ordinary)
{
    uint64_t seconds;
    bool expires = expiry_of(w->old.item, w->write->ttl, &seconds);
    struct changes changes = {.count = 0};
    w->rows_only = false; /* it may have been decided otherwise, on another image */
    switch (w->step) {
    case EXPIRE_DELETE:
        *ordinary = expires && seconds == w->expires_s;
        if (*ordinary)
            return STATUS_OK;
        break;
    case EXPIRE_FILL:
        if (!expires)
            return STATUS_OK;
        TRY(add_put(ctx, seconds, w->write->key, &changes));
        w->rows_only = true;
        return writing_propose(ctx, w, &changes);
    case EXPIRE_PURGE:
        break;
    }
    w->rows_only = true;
    changes.at[changes.count++] = (struct change){.key = w->ttl_key, .is_delete = true};
    return writing_propose(ctx, w, &changes);
}

/* ---- One step of the sweeper ---- */

/* The keys that a step is about: found first, since what it does waits. */
struct stepping {
    struct context *ctx;
    const struct replica_expire *expire;
    struct replica_expire_result *result;
    struct bytes *keys; /* of items (FILL), or of the rows; at most expire->limit; in the arena */
    uint32_t count;
    size_t bytes; /* of what was looked at */
    enum status status;
};

static bool fill_wants(struct stepping *s, struct bytes row_bytes)
{
    uint64_t seconds;
    struct row row;
    s->status = row_read(row_bytes, &row);
    return s->status == STATUS_OK && expiry_of(row.item, s->expire->write.ttl, &seconds);
}

static bool take_key(void *argument, struct bytes key, struct bytes row)
{
    struct stepping *s = argument;
    bool fills = s->expire->step == EXPIRE_FILL;
    if (s->result->looked_at == s->expire->limit || (fills && s->bytes >= WALK_BYTES_MAX)) {
        s->result->more = true;
        return false;
    }
    struct bytes copy = arena_copy(&s->ctx->arena, key);
    if (copy.at == NULL) {
        s->status = STATUS_NO_MEMORY;
        return false;
    }
    s->result->looked_at++;
    s->result->last_key = copy;
    s->bytes += row.count;
    bool wanted = !fills || (key_collection(key) == KEY_COLLECTION_ITEM && fill_wants(s, row));
    if (wanted)
        s->keys[s->count++] = copy;
    return s->status == STATUS_OK;
}

/* Where the rows of the step begin and end. */
static enum status bounds(const struct stepping *s, struct bytes *low, struct bytes *high)
{
    const struct replica_expire *expire = s->expire;
    struct key key;
    *low = (struct bytes){0};
    *high = (struct bytes){0};
    if (expire->step == EXPIRE_DELETE) {
        key_encode_ttl(&key, expire->after_s, (struct bytes){0});
        *low = arena_copy(&s->ctx->arena, key_bytes(&key));
        key_encode_ttl(&key, expire->now_s, (struct bytes){0});
        *high = arena_copy(&s->ctx->arena, key_bytes(&key));
        if (low->at == NULL || high->at == NULL)
            return STATUS_NO_MEMORY;
    } else if (expire->step == EXPIRE_FILL) {
        *high = KEY_BEYOND;
    } else {
        *low = KEY_BEYOND;
    }
    if (expire->from.count == 0 || bytes_compare(expire->from, *low) < 0)
        return STATUS_OK;
    uint8_t *after = arena_alloc_zero(&s->ctx->arena, expire->from.count + 1); /* the next key */
    if (after == NULL)
        return STATUS_NO_MEMORY;
    memcpy(after, expire->from.at, expire->from.count);
    *low = bytes_of(after, expire->from.count + 1);
    return STATUS_OK;
}

/* One key.  An item that a transaction is at cannot be deleted: it has its turn later. */
static enum status act(struct stepping *s, struct replica *replica,
                       const struct replica_target *target, struct bytes key, uint64_t *slot)
{
    static const struct write_request delete = {.kind = WRITE_DELETE};
    const struct replica_expire *expire = s->expire;
    struct replica_write write = expire->write;
    write.key = key;
    write.request = &delete;
    write.actor = WRITE_BY_EXPIRY;
    struct write_result result = {0};
    struct error error = {0};
    struct writing w = {.replica = replica,
                        .target = target,
                        .write = &write,
                        .result = &result,
                        .error = &error,
                        .step = expire->step};
    if (expire->step != EXPIRE_FILL) {
        w.ttl_key = key;
        TRY(key_read_ttl(key, &w.expires_s, &write.key));
    }
    buffer_init(&w.made, s->ctx->env->heap, NODE_SCRATCH_BYTES_MAX);
    enum status status = writing_execute(s->ctx, &w);
    buffer_release(&w.made);
    *slot = MAX(*slot, w.slot);
    if (status == STATUS_INVALID || status == STATUS_CONDITION_FAILED)
        return STATUS_OK;
    TRY(status);
    if (expire->step == EXPIRE_DELETE && !w.rows_only) {
        s->result->deleted++;
        replica->node->stats.expired++;
    }
    return STATUS_OK;
}

static enum status step(struct stepping *s, struct replica *replica,
                        const struct replica_target *target)
{
    struct bytes low, high;
    uint64_t slot = 0;
    if (s->expire->step != EXPIRE_DELETE) {
        replica->schema_version = MAX(replica->schema_version, target->schema_version);
        /* The walk sees what is committed: what older writers have on its way is to be in it. */
        TRY(replica_wait_commit(s->ctx, replica, replica->paxos.last_slot));
    }
    s->keys = arena_alloc_array(&s->ctx->arena, s->expire->limit, sizeof(*s->keys));
    if (s->keys == NULL)
        return STATUS_NO_MEMORY;
    TRY(bounds(s, &low, &high));
    TRY(replica_walk(s->ctx, replica, low, high, take_key, s));
    TRY(s->status);
    replica->node->stats.expiries_seen += s->result->looked_at;
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < s->count; i++)
        status = act(s, replica, target, s->keys[i], &slot);
    enum status committed = replica_wait_commit(s->ctx, replica, slot);
    return status == STATUS_OK ? committed : status;
}

enum status node_expire(struct context *ctx, struct replica_service *service,
                        const struct replica_target *target, const struct replica_expire *expire,
                        struct replica_expire_result *result)
{
    struct node *node = CONTAINER_OF(service, struct node, service);
    struct stepping stepping = {.ctx = ctx, .expire = expire, .result = result};
    struct replica *replica;
    *result = (struct replica_expire_result){0};
    TRY(replica_enter(node, target->group_id, false, &replica));
    enum status status = step(&stepping, replica, target);
    replica_leave(replica);
    return status;
}
