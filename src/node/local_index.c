/* local_index.c - what a write changes in the local indexes: rows are put and removed only where
 * what an index holds of the item changes.  What it will change in the global ones, whose rows are
 * elsewhere and follow later, is only counted, for what it costs.
 *
 * Beside them one row for each partition key keeps the size of its item collection: the items and
 * their rows in the indexes, as the service counts them.  It is read and written with each item, so
 * it is exact.
 */
#include "admission/units.h"
#include "base/assert.h"
#include "model/index_row.h"
#include "node/writing.h"
#include "request/index_key.h"

#define COLLECTION_BYTES_MAX UINT64_C(10737418240) /* 10 GB */

/* ---- The size of the collection ---- */

static enum status add_size(struct context *ctx, struct writing *w, struct changes *changes)
{
    int64_t change = 0;
    uint64_t most = w->replica->node->options.collection_bytes_max;
    for (uint32_t i = 0; i < changes->count; i++)
        change += changes->at[i].size_change;
    uint64_t less = change < 0 ? (uint64_t)-change : 0;
    if (!EXPECT(less <= w->beside))
        less = w->beside;
    uint64_t bytes = w->beside + (change > 0 ? (uint64_t)change : 0) - less;
    w->result->collection_bytes = bytes;
    if (!w->decided && change > 0 && bytes > (most == 0 ? COLLECTION_BYTES_MAX : most))
        return error_set(w->error, ERROR_COLLECTION_SIZE, "Collection size exceeded.");
    if (w->has_beside ? change == 0 : bytes == 0)
        return STATUS_OK;
    struct key key;
    TRY(key_in_collection(&key, w->write->key, KEY_COLLECTION_SIZE));
    return writing_change_beside(ctx, w, &key, bytes > 0, bytes, changes);
}

/* ---- The rows of the indexes ---- */

/* What an index holds of one image. */
struct image {
    struct value row;  /* VALUE_ABSENT: nothing */
    bool is_in_buffer; /* row.at is the start of the node's buffer, to which `at` is added */
    size_t at;
};

static enum status project(struct writing *w, const struct index_schema *index, struct value item,
                           struct image *image)
{
    struct buffer *rows = &w->replica->node->rows;
    *image = (struct image){.at = rows->count};
    TRY(index_project(index, &w->write->schema, item, rows, &image->row));
    image->is_in_buffer = rows->count > image->at;
    return STATUS_OK;
}

/* The buffer does not move any more. */
static void settle(const struct writing *w, struct image *image)
{
    if (image->is_in_buffer)
        image->row.at = w->replica->node->rows.at + image->at;
}

static enum status encode_key(struct context *ctx, const struct writing *w,
                              const struct index_schema *index, struct value row,
                              struct bytes *encoded)
{
    struct key key;
    struct value sort;
    *encoded = (struct bytes){0};
    if (value_type(row) == VALUE_NONE)
        return STATUS_OK;
    bool found = index_sort_key(index, row, &sort);
    ASSERT(found);
    TRY(key_encode_index(&key, w->write->key, index->collection, sort));
    *encoded = arena_copy(&ctx->arena, key_bytes(&key));
    return encoded->at == NULL ? STATUS_NO_MEMORY : STATUS_OK;
}

/* What the change of a row costs: nothing when it stays as it is, one write where it stays, and two
 * when it moves.  False: nothing. */
static bool charge(struct writing *w, uint8_t position, struct value old_row, struct value new_row,
                   bool stays)
{
    uint32_t *half_units = &w->result->index_half_units[position];
    bool was = value_type(old_row) != VALUE_NONE, is = value_type(new_row) != VALUE_NONE;
    uint32_t old_bytes = was ? item_size(old_row) : 0, new_bytes = is ? item_size(new_row) : 0;
    if (!was && !is)
        return false;
    if (stays && old_row.bytes == new_row.bytes &&
        memcmp(old_row.at, new_row.at, old_row.bytes) == 0)
        return false;
    if (was && !stays)
        *half_units += (uint32_t)units_write_halves(old_bytes, 0);
    if (is)
        *half_units += (uint32_t)units_write_halves(stays ? old_bytes : 0, new_bytes);
    return true;
}

/* The changes of one local index, and what they cost. */
static enum status add_rows(struct context *ctx, struct writing *w,
                            const struct index_schema *index, uint8_t position,
                            struct value old_row, struct value new_row, struct changes *changes)
{
    struct bytes old_key, new_key;
    bool was = value_type(old_row) != VALUE_NONE, is = value_type(new_row) != VALUE_NONE;
    TRY(encode_key(ctx, w, index, old_row, &old_key));
    TRY(encode_key(ctx, w, index, new_row, &new_key));
    uint32_t old_bytes = was ? item_size(old_row) : 0, new_bytes = is ? item_size(new_row) : 0;
    bool stays = was && is && bytes_equal(old_key, new_key);
    if (!charge(w, position, old_row, new_row, stays))
        return STATUS_OK;
    if (was && !stays)
        changes->at[changes->count++] =
            (struct change){.key = old_key, .size_change = -(int32_t)old_bytes, .is_delete = true};
    if (is) {
        if (!stays)
            old_bytes = 0;
        changes->at[changes->count++] =
            (struct change){.key = new_key,
                            .item = new_row,
                            .size_change = (int32_t)new_bytes - (int32_t)old_bytes,
                            .is_new = !stays};
    }
    return STATUS_OK;
}

/* What the write will change in a global index. */
static enum status charge_global(struct context *ctx, struct writing *w,
                                 const struct index_schema *index, uint8_t position,
                                 struct value item)
{
    struct image before = {0}, after = {0};
    struct key old_key, new_key;
    const struct key_schema *table = &w->write->schema;
    bool was = index_row_key(index, table, 0, w->old.item, &old_key);
    bool is = index_row_key(index, table, 0, item, &new_key);
    buffer_clear(&w->replica->node->rows);
    if (was)
        TRY(project(w, index, w->old.item, &before));
    if (is)
        TRY(project(w, index, item, &after));
    settle(w, &before);
    settle(w, &after);
    bool stays = was && is && bytes_equal(key_bytes(&old_key), key_bytes(&new_key));
    if (charge(w, position, before.row, after.row, stays) &&
        UNLIKELY(!list_empty(&w->replica->holds)))
        return writing_check_hold(ctx, w, index->name);
    return STATUS_OK;
}

static enum status charge_globals(struct context *ctx, struct writing *w, struct value item)
{
    struct index_schema index;
    struct reader r = reader_of(w->write->indexes);
    uint8_t count = index_read_count(&r);
    for (uint8_t i = 0; i < count; i++) {
        index_read(&r, &index);
        if (r.failed)
            return STATUS_CORRUPT;
        if (index.kind == INDEX_LOCAL)
            w->result->local_index_count++;
        else
            TRY(charge_global(ctx, w, &index, i, item));
    }
    return STATUS_OK;
}

static enum status add_local_indexes(struct context *ctx, struct writing *w, struct value item,
                                     struct changes *changes)
{
    struct index_schema index;
    struct image before[LOCAL_INDEXES_MAX] = {0}, after[LOCAL_INDEXES_MAX] = {0};
    buffer_clear(&w->replica->node->rows);
    struct reader r = reader_of(w->write->indexes);
    uint8_t count = index_read_count(&r);
    for (uint8_t i = 0; i < count; i++) {
        index_read(&r, &index);
        if (r.failed)
            return STATUS_CORRUPT;
        if (index.kind != INDEX_LOCAL)
            continue;
        TRY(project(w, &index, w->old.item, &before[index.collection - 1]));
        TRY(project(w, &index, item, &after[index.collection - 1]));
    }
    r = reader_of(w->write->indexes);
    count = index_read_count(&r);
    for (uint8_t i = 0; i < count; i++) {
        index_read(&r, &index);
        if (index.kind != INDEX_LOCAL)
            continue;
        struct image *old_image = &before[index.collection - 1];
        struct image *new_image = &after[index.collection - 1];
        settle(w, old_image);
        settle(w, new_image);
        TRY(add_rows(ctx, w, &index, i, old_image->row, new_image->row, changes));
    }
    return add_size(ctx, w, changes);
}

enum status writing_add_indexes(struct context *ctx, struct writing *w, struct value item,
                                struct changes *changes)
{
    if (!w->decided && w->write->request->kind == WRITE_UPDATE)
        TRY(index_key_check(w->write->indexes, item, true, &ctx->arena, w->error));
    w->result->index_count = w->write->indexes.at[0];
    TRY(charge_globals(ctx, w, item));
    if (!w->write->has_beside)
        return STATUS_OK;
    w->result->has_collection = true;
    return add_local_indexes(ctx, w, item, changes);
}
