/* global_index.c - writes to the rows of a global index.
 *
 * They come from the partitions of the table, each change as often as it takes, maybe late and,
 * from different senders, in any order.  So each says of which version of the item it is: the slot
 * of the write of the item, which only grows.  What is not newer than what the index has is not
 * done, and a row that goes leaves a tombstone that remembers of which version that was, until its
 * sender knows that nothing older will come.
 */
#include "model/index_row.h"
#include "node/writing.h"

/* The tombstone goes, unless it is of a later version. */
static enum status decide_purge(struct context *ctx, struct writing *w)
{
    struct key key;
    struct changes changes = {.count = 0};
    if (!w->has_beside || w->beside > w->write->version)
        return STATUS_OK;
    TRY(index_row_tombstone(&key, w->write->key));
    TRY(writing_change_beside(ctx, w, &key, false, 0, &changes));
    return writing_propose(ctx, w, &changes);
}

enum status writing_decide_row(struct context *ctx, struct writing *w)
{
    const struct replica_write *write = w->write;
    bool was = value_type(w->old.item) != VALUE_NONE;
    bool is = write->request->kind == WRITE_PUT;
    if (key_collection(write->key) == KEY_COLLECTION_TOMBSTONE)
        return decide_purge(ctx, w);
    w->result->old_bytes = was ? item_size(w->old.item) : 0;
    if ((was && w->old.version >= write->version) ||
        (w->has_beside && w->beside >= write->version)) {
        w->result->new_bytes = w->result->old_bytes;
        w->result->was_newer = true;
        return STATUS_OK;
    }
    struct changes changes = {.count = 0};
    w->result->new_bytes = is ? item_size(write->request->item) : 0;
    if (was || is)
        changes.at[changes.count++] = (struct change){
            .key = write->key,
            .item = is ? write->request->item : VALUE_ABSENT,
            .size_change = (int32_t)w->result->new_bytes - (int32_t)w->result->old_bytes,
            .is_delete = !is,
            .is_new = is && !was,
        };
    struct key key;
    TRY(index_row_tombstone(&key, write->key));
    if (!is || w->has_beside)
        TRY(writing_change_beside(ctx, w, &key, !is, write->version, &changes));
    return writing_propose(ctx, w, &changes);
}
