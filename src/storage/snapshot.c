/* snapshot.c - a tree as of the last checkpoint; in memory as it is.  While one is open, nothing
 * that was freed after its epoch is used again; see forest_settle. */
#include "base/assert.h"
#include "storage/forest_private.h"

enum status snapshot_open(struct tree *tree, struct snapshot **opened)
{
    struct forest *forest = tree->forest;
    if (tree->closed || (!tree->saved.valid && !forest->in_memory))
        return STATUS_NOT_FOUND;
    struct snapshot *snapshot = heap_alloc(forest->env->heap, sizeof(*snapshot));
    if (snapshot == NULL)
        return STATUS_NO_MEMORY;
    if (forest->in_memory)
        forest_end_epoch(forest);
    *snapshot = (struct snapshot){.forest = forest,
                                  .tree_id = tree->tree_id,
                                  .epoch = forest->super.epoch,
                                  .root = tree->saved.root,
                                  .applied = tree->saved.applied};
    list_push_back(&forest->snapshots, &snapshot->link);
    *opened = snapshot;
    return STATUS_OK;
}

void snapshot_close(struct snapshot *snapshot)
{
    struct forest *forest = snapshot->forest;
    if (snapshot->epoch != 0)
        list_remove(&snapshot->link);
    heap_free(forest->env->heap, snapshot, sizeof(*snapshot));
    forest_settle(forest);
}

uint64_t snapshot_applied(const struct snapshot *snapshot)
{
    return snapshot->applied;
}
