/* beside.c - a row that is read and written with an item, and says a number. */
#include "base/assert.h"
#include "model/index_row.h"
#include "node/writing.h"

#define BESIDE_FORMAT 1u

static enum status beside_key(const struct writing *w, struct key *key)
{
    struct bytes of = w->write->key;
    if (w->write->version == 0)
        return key_in_collection(key, of, KEY_COLLECTION_SIZE);
    return index_row_tombstone(key, of);
}

enum status writing_take_beside(struct writing *w, struct bytes row)
{
    w->has_beside = false;
    w->beside = 0;
    if (row.at == NULL)
        return STATUS_OK;
    if (row.count != BESIDE_BYTES)
        return STATUS_CORRUPT;
    if (row.at[0] != BESIDE_FORMAT)
        return STATUS_VERSION;
    w->has_beside = true;
    w->beside = get_u64(row.at + 1);
    return STATUS_OK;
}

enum status writing_read_beside(struct context *ctx, struct writing *w,
                                enum status (*read_item)(struct context *ctx, struct writing *w))
{
    struct replica *replica = w->replica;
    struct key key;
    TRY(beside_key(w, &key));
    for (;;) {
        struct bytes row;
        enum status status =
            replica_read(ctx, replica, key_bytes(&key), UINT64_MAX, NULL, &row, &w->beside_slot);
        if (status != STATUS_OK && status != STATUS_NOT_FOUND)
            return status;
        TRY(writing_take_beside(w, status == STATUS_OK ? row : (struct bytes){0}));
        uint64_t applied_slot = replica->applied_slot;
        if (key_collection(w->write->key) != KEY_COLLECTION_TOMBSTONE) /* else there is no item */
            TRY(read_item(ctx, w));
        /* While that waited for a page, the row beside it may have changed: in the overlay, which
         * is asked again, or in the tree too, which is read again. */
        const struct version *version =
            overlay_find(&replica->overlay, key_bytes(&key), UINT64_MAX);
        if (version != NULL) {
            w->beside_slot = version->slot;
            return writing_take_beside(w, version->row);
        }
        if (LIKELY(replica->applied_slot == applied_slot))
            return STATUS_OK;
    }
}

enum status writing_change_beside(struct context *ctx, const struct writing *w,
                                  const struct key *beside, bool is_there, uint64_t number,
                                  struct changes *changes)
{
    struct change *change = &changes->at[changes->count++];
    ASSERT(is_there || w->has_beside);
    *change = (struct change){.key = arena_copy(&ctx->arena, key_bytes(beside)),
                              .is_delete = !is_there,
                              .is_new = is_there && !w->has_beside};
    if (change->key.at == NULL)
        return STATUS_NO_MEMORY;
    if (!is_there)
        return STATUS_OK;
    changes->beside[0] = BESIDE_FORMAT;
    put_u64(changes->beside + 1, number);
    change->row = bytes_of(changes->beside, BESIDE_BYTES);
    return STATUS_OK;
}
