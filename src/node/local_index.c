/* local_index.c - what a write changes in the local indexes: rows are put and removed only where
 * what an index holds of the item changes.
 *
 * Beside them one row for each partition key keeps the size of its item collection: the items and
 * their rows in the indexes, as the service counts them.  It is read and written with each item, so
 * it is exact.  The row: u8 format: 1 | u64 bytes, little-endian.
 */
#include "admission/units.h"
#include "base/assert.h"
#include "model/index.h"
#include "node/writing.h"
#include "request/index_key.h"

#define COLLECTION_BYTES_MAX UINT64_C(10737418240) /* 10 GB */
#define SIZE_FORMAT          1u
#define SIZE_BYTES           9u

/* ---- The size of the collection ---- */

static enum status read_size(struct bytes row, struct writing *w)
{
    if (row.count != SIZE_BYTES)
        return STATUS_CORRUPT;
    if (row.at[0] != SIZE_FORMAT)
        return STATUS_VERSION;
    w->has_size = true;
    w->collection_bytes = get_u64(row.at + 1);
    return STATUS_OK;
}

enum status writing_read_collection(struct context *ctx, struct writing *w,
                                    enum status (*read_item)(struct context *ctx,
                                                             struct writing *w))
{
    struct replica *replica = w->replica;
    struct key key;
    TRY(key_in_collection(&key, w->write->key, KEY_COLLECTION_SIZE));
    for (;;) {
        struct bytes row;
        uint64_t slot;
        w->has_size = false;
        w->collection_bytes = 0;
        enum status status = replica_read(ctx, replica, key_bytes(&key), UINT64_MAX, &row, &slot);
        if (status == STATUS_OK)
            status = read_size(row, w);
        if (status != STATUS_OK && status != STATUS_NOT_FOUND)
            return status;
        uint64_t applied_slot = replica->applied_slot;
        TRY(read_item(ctx, w));
        /* While that waited for a page, the collection may have changed: in the overlay, which is
         * asked again, or in the tree too, which is read again. */
        const struct version *version =
            overlay_find(&replica->overlay, key_bytes(&key), UINT64_MAX);
        if (version != NULL) {
            w->has_size = false;
            w->collection_bytes = 0;
            return version->row.at == NULL ? STATUS_OK : read_size(version->row, w);
        }
        if (LIKELY(replica->applied_slot == applied_slot))
            return STATUS_OK;
    }
}

static enum status add_size(struct context *ctx, struct writing *w, struct changes *changes)
{
    int64_t change = 0;
    uint64_t most = w->replica->node->options.collection_bytes_max;
    for (uint32_t i = 0; i < changes->count; i++)
        change += changes->at[i].size_change;
    uint64_t less = change < 0 ? (uint64_t)-change : 0;
    if (!EXPECT(less <= w->collection_bytes))
        less = w->collection_bytes;
    uint64_t bytes = w->collection_bytes + (change > 0 ? (uint64_t)change : 0) - less;
    w->result->collection_bytes = bytes;
    if (change > 0 && bytes > (most == 0 ? COLLECTION_BYTES_MAX : most))
        return error_set(w->error, ERROR_COLLECTION_SIZE, "Collection size exceeded.");
    if (change == 0 && w->has_size)
        return STATUS_OK;
    struct key key;
    TRY(key_in_collection(&key, w->write->key, KEY_COLLECTION_SIZE));
    struct change *size = &changes->at[changes->count++];
    *size = (struct change){.key = arena_copy(&ctx->arena, key_bytes(&key)),
                            .is_delete = bytes == 0,
                            .is_new = bytes > 0 && !w->has_size};
    if (size->key.at == NULL)
        return STATUS_NO_MEMORY;
    if (bytes > 0) {
        changes->size_row[0] = SIZE_FORMAT;
        put_u64(changes->size_row + 1, bytes);
        size->row = bytes_of(changes->size_row, SIZE_BYTES);
    }
    return STATUS_OK;
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

/* The changes of one index, and what they cost: a row that stays where it is, one write; one that
 * moves, two. */
static enum status add_rows(struct context *ctx, struct writing *w,
                            const struct index_schema *index, struct value old_row,
                            struct value new_row, struct changes *changes)
{
    struct bytes old_key, new_key;
    uint32_t *half_units = &w->result->index_half_units[index->collection - 1];
    bool was = value_type(old_row) != VALUE_NONE, is = value_type(new_row) != VALUE_NONE;
    if (!was && !is)
        return STATUS_OK;
    TRY(encode_key(ctx, w, index, old_row, &old_key));
    TRY(encode_key(ctx, w, index, new_row, &new_key));
    uint32_t old_bytes = was ? item_size(old_row) : 0, new_bytes = is ? item_size(new_row) : 0;
    bool stays = was && is && bytes_equal(old_key, new_key);
    if (stays && old_row.bytes == new_row.bytes &&
        memcmp(old_row.at, new_row.at, old_row.bytes) == 0)
        return STATUS_OK;
    if (was && !stays) {
        changes->at[changes->count++] =
            (struct change){.key = old_key, .size_change = -(int32_t)old_bytes, .is_delete = true};
        *half_units += (uint32_t)units_write_halves(old_bytes, 0);
    }
    if (is) {
        if (!stays)
            old_bytes = 0;
        changes->at[changes->count++] =
            (struct change){.key = new_key,
                            .item = new_row,
                            .size_change = (int32_t)new_bytes - (int32_t)old_bytes,
                            .is_new = !stays};
        *half_units += (uint32_t)units_write_halves(old_bytes, new_bytes);
    }
    return STATUS_OK;
}

enum status writing_add_indexes(struct context *ctx, struct writing *w, struct value item,
                                struct changes *changes)
{
    struct index_schema index;
    struct image before[LOCAL_INDEXES_MAX] = {0}, after[LOCAL_INDEXES_MAX] = {0};
    if (w->write->request->kind == WRITE_UPDATE)
        TRY(index_key_check(w->write->indexes, item, true, &ctx->arena, w->error));
    w->result->has_collection = true;
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
        TRY(add_rows(ctx, w, &index, old_image->row, new_image->row, changes));
    }
    return add_size(ctx, w, changes);
}
