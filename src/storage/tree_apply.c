/* tree_apply.c - apply: phase one, and the steps that large batches go in.
 *
 * A plan promises itself a share of the dirty frames, finds and pins the pages of as many mutations
 * as fit in it, and reserves frames and page numbers.  Then it makes them without waiting, and ends
 * early when a mutation is no longer ready, because those before it changed the tree: the rest goes
 * in a step of its own.
 */
#include <string.h>

#include "base/assert.h"
#include "storage/forest_private.h"

#define PLAN_FIXED_FRAMES 32u   /* neighbours, rests and first pages of values of one mutation */
#define STEPS_MAX         1000u /* without a mutation made */
#define PACE_NS           UINT64_C(2000000) /* the longest delay of a batch before the bound */

/* ---- Plans ---- */

static uint32_t mutation_pages(const struct tree_mutation *mutation)
{
    return mutation->kind == TREE_PUT && mutation->value.count > TREE_INLINE_VALUE_BYTES_MAX
               ? page_overflow_layout((uint32_t)mutation->value.count).pages
               : 0;
}

/* The frames that one mutation may touch or make, at most. */
static uint32_t mutation_frames(const struct tree *tree, const struct tree_mutation *mutation)
{
    return change_pages_max(tree) + tree->root.height + PLAN_FIXED_FRAMES +
           mutation_pages(mutation);
}

/* The share of dirty frames that a plan for these mutations asks for. */
static uint32_t wanted_frames(const struct tree *tree, const struct tree_mutation *mutations,
                              size_t count)
{
    const struct forest *forest = tree->forest;
    uint32_t quarter = forest->frames.frames_max / 4;
    uint32_t wanted = mutation_frames(tree, &mutations[0]);
    for (size_t i = 1; i < count && wanted < quarter; i++)
        wanted += tree->root.height + 3 + mutation_pages(&mutations[i]);
    return MIN(MAX(wanted, mutation_frames(tree, &mutations[0])), forest->dirty_max);
}

/* Are so many frames within the bound of dirty ones now? */
static bool fits(const struct forest *forest, uint32_t wanted)
{
    return forest->in_memory ||
           forest->frames.dirty_count + forest->dirty_promised + wanted <= forest->dirty_max;
}

bool tree_apply_fits(const struct tree *tree, const struct tree_mutation *mutations, size_t count)
{
    uint32_t wanted = 0;
    for (size_t i = 0; i < count; i++)
        wanted += mutation_frames(tree, &mutations[i]);
    return fits(tree->forest, wanted);
}

static enum status promise_frames(struct plan *plan, uint32_t wanted)
{
    struct forest *forest = plan->tree->forest;
    uint64_t failures = forest->checkpoint_failures;
    bool waited = false;
    if (forest->in_memory && !plan->urgent) {
        /* No checkpoint makes room here, only deletes do.  What was in the log before anybody knew
         * may take half of the reserve. */
        uint32_t most = forest->dirty_max + (forest->frames.frames_max - forest->dirty_max) / 2;
        if (forest->frames.dirty_count + forest->dirty_promised + wanted > most)
            return STATUS_NO_SPACE;
    }
    while (!plan->directory && !fits(forest, wanted)) {
        if (!waited)
            forest->apply_waits++;
        waited = true;
        forest_want_checkpoint(forest);
        TRY(wait_queue_wait(plan->ctx, &forest->budget));
        if (forest->write_status != STATUS_OK)
            return STATUS_UNAVAILABLE;
        if (forest->checkpoint_failures != failures)
            return forest->checkpoint_status;
    }
    plan->promised = wanted;
    forest->dirty_promised += wanted;
    return STATUS_OK;
}

static enum status plan_open(struct plan *plan, const struct tree_mutation *mutations, size_t count)
{
    struct forest *forest = plan->tree->forest;
    list_init(&plan->frames);
    uint32_t wanted = wanted_frames(plan->tree, mutations, count);
    plan->pins = heap_alloc(forest->env->heap, wanted * sizeof(struct frame *));
    if (plan->pins == NULL)
        return STATUS_NO_MEMORY;
    plan->pin_capacity = wanted;
    return promise_frames(plan, wanted);
}

static void plan_close(struct plan *plan)
{
    struct forest *forest = plan->tree->forest;
    for (uint32_t i = 0; i < plan->pin_count; i++) {
        plan->pins[i]->plan = NULL;
        frames_unpin(&forest->frames, plan->pins[i]);
    }
    struct list *node;
    while ((node = list_pop_front(&plan->frames)) != NULL)
        frames_give_empty(&forest->frames, LIST_ITEM(node, struct frame, link));
    heap_free(forest->env->heap, plan->pins, plan->pin_capacity * sizeof(struct frame *));
    forest->space.numbers_reserved -= plan->numbers;
    forest->dirty_promised -= plan->promised;
    if (plan->promised > 0)
        wait_queue_wake_all(&forest->budget);
    if (forest_checkpoint_is_due(forest))
        wait_queue_wake_all(&forest->checkpoint_due);
}

/* Find and pin the pages of the first mutations, as many as the plan has room for. */
static enum status find_pages(struct plan *plan, const struct tree_mutation *mutations,
                              size_t count, size_t *planned)
{
    struct tree *tree = plan->tree;
    struct tree_reader reader = reader_of_tree(plan->ctx, tree);
    enum status status = STATUS_OK;
    struct tree_finger finger;
    finger.key = (struct bytes){0};
    *planned = 0;
    while (*planned < count && status == STATUS_OK) {
        if (*planned > 0 && plan->pin_count + plan->pages_new + change_pages_max(tree) +
                                    mutation_frames(tree, &mutations[*planned]) >
                                plan->promised)
            break;
        struct page_ref missing;
        enum tree_found found = TREE_FOUND;
        if (!change_ready_at_edge(plan, &mutations[*planned]))
            found = change_ready(tree, &mutations[*planned], plan, &finger, &missing);
        if (found == TREE_FOUND) {
            ++*planned;
        } else if (found == TREE_DAMAGED) {
            status = reader_damaged(&reader, missing);
        } else {
            plan->waited = true;
            plan->edge_key = finger.key = (struct bytes){0};
            status = reader_bring(&reader, missing);
        }
    }
    reader_end(&reader);
    return status;
}

/* How many pinned pages must be copied, and how many must get a new name, to be changed. */
static void count_pins(const struct plan *plan, uint32_t *copies, uint32_t *names)
{
    const struct forest *forest = plan->tree->forest;
    *copies = *names = 0;
    for (uint32_t i = 0; i < plan->pin_count; i++) {
        const struct frame *frame = plan->pins[i];
        if (frame->ref.epoch == forest->epoch)
            continue;
        ++*names;
        if (frame_is_being_written(&forest->frames, frame) || frame->pins > 1 ||
            forest_keeps(forest, frame->ref))
            ++*copies;
    }
}

/* Reserve frames, numbers and room to note freed pages for what was found.  When it returns OK
 * nothing has waited since it was all there.  STATUS_BUSY with `now`: it would have to wait. */
static enum status reserve(struct plan *plan, bool now)
{
    struct forest *forest = plan->tree->forest;
    uint32_t more = plan->pages_new + change_pages_max(plan->tree);
    uint64_t failures = forest->checkpoint_failures;
    for (;;) {
        uint32_t copies;
        uint32_t names;
        count_pins(plan, &copies, &names);
        TRY(space_prepare_frees(&forest->space, forest->epoch,
                                plan->pin_count + plan->pages_freed + more));
        while (plan->frame_count < copies + more) {
            struct frame *frame = frames_take_empty(&forest->frames);
            if (frame == NULL)
                break;
            list_push_back(&plan->frames, &frame->link);
            plan->frame_count++;
        }
        if (plan->frame_count < copies + more) {
            REACHED("apply waits for frames");
            if (now)
                return STATUS_BUSY;
            if (forest->frames.count < forest->frames.frames_max)
                return STATUS_NO_MEMORY;
            if (forest->in_memory)
                return STATUS_NO_SPACE;
            forest_want_checkpoint(forest);
            plan->waited = true;
            TRY(wait_queue_wait(plan->ctx, &forest->frames.room));
            if (forest->checkpoint_failures != failures)
                return forest->checkpoint_status;
            continue;
        }
        if (plan->numbers >= names + more)
            return STATUS_OK;
        uint32_t missing = names + more - plan->numbers;
        if (now) {
            if (space_available(&forest->space) < missing)
                return STATUS_BUSY;
            forest->space.numbers_reserved += missing;
        } else {
            plan->waited = true;
            TRY(forest_reserve_numbers(plan->ctx, forest, missing, plan->urgent));
        }
        plan->numbers += missing;
    }
}

/* Make the planned mutations, until one is not ready or the reserve is short.  No waiting. */
static size_t make(struct plan *plan, const struct tree_mutation *mutations, size_t planned)
{
    struct tree *tree = plan->tree;
    struct forest *forest = tree->forest;
    size_t made = 0;
    struct tree_finger finger;
    fiber_no_wait_begin(plan->ctx);
    plan->edge_key = finger.key = (struct bytes){0};
    for (; made < planned; made++) {
        const struct tree_mutation *mutation = &mutations[made];
        struct page_ref missing;
        if (change_make_at_edge(plan, mutation))
            continue;
        uint32_t most = change_pages_max(tree) + mutation_pages(mutation);
        if (made > 0 &&
            (plan->frame_count < most || plan->numbers < most ||
             space_prepare_frees(&forest->space, forest->epoch,
                                 most + mutation_frames(tree, mutation) +
                                     TREE_VALUE_BYTES_MAX / PAGE_OVERFLOW_BYTES + 2) != STATUS_OK))
            break;
        if ((made > 0 || plan->waited) &&
            change_ready(tree, mutation, NULL, &finger, &missing) != TREE_FOUND)
            break;
        change_make(plan, mutation, &finger);
        tree->row_dirty = true;
    }
    fiber_no_wait_end(plan->ctx);
    return made;
}

enum status tree_apply_mutations(struct context *ctx, struct tree *tree,
                                 const struct tree_mutation *mutations, size_t count, bool urgent,
                                 size_t *done)
{
    enum status status = STATUS_OK;
    unsigned idle = 0;
    size_t most = count; /* in one step */
    *done = 0;
    while (*done < count && status == STATUS_OK) {
        struct plan plan = {.ctx = ctx,
                            .tree = tree,
                            .urgent = urgent,
                            .directory = tree->tree_id == TREE_ID_DIRECTORY};
        size_t step = MIN(most, count - *done);
        size_t planned = 0;
        size_t made = 0;
        status = plan_open(&plan, mutations + *done, step);
        if (status == STATUS_OK)
            status = find_pages(&plan, mutations + *done, step, &planned);
        if (status == STATUS_OK)
            status = reserve(&plan, false);
        if (status == STATUS_OK && tree->closed && !tree->reaped)
            status = STATUS_CLOSED;
        if (status == STATUS_OK)
            made = make(&plan, mutations + *done, planned);
        plan_close(&plan);
        *done += made;
        idle = made > 0 ? 0 : idle + 1;
        if (status == STATUS_NO_SPACE && step > 1) {
            REACHED("what is left of a full disk is enough for smaller steps");
            most = step / 2;
            status = STATUS_OK;
        }
        if (idle > STEPS_MAX)
            status = STATUS_BUSY;
    }
    return status;
}

bool tree_apply_now(struct context *ctx, struct tree *tree, const struct tree_mutation *mutations,
                    size_t count)
{
    struct plan plan = {
        .ctx = ctx, .tree = tree, .urgent = true, .directory = tree->tree_id == TREE_ID_DIRECTORY};
    if (count == 0)
        return true;
    if (plan_open(&plan, mutations, count) != STATUS_OK)
        return false;
    size_t planned = 0;
    struct tree_finger finger;
    struct page_ref missing;
    finger.key = (struct bytes){0};
    while (planned < count &&
           change_ready(tree, &mutations[planned], &plan, &finger, &missing) == TREE_FOUND)
        planned++;
    bool ok = planned == count && reserve(&plan, true) == STATUS_OK;
    if (ok)
        ok = make(&plan, mutations, count) == count;
    plan_close(&plan);
    return ok;
}

/* ---- Apply ---- */

static enum status check_batch(const struct tree_mutation *mutations, size_t count, bool *deletes)
{
    *deletes = true;
    for (size_t i = 0; i < count; i++) {
        if (mutations[i].key.count == 0 ||
            (mutations[i].kind != TREE_PUT && mutations[i].kind != TREE_DELETE))
            return STATUS_INVALID;
        if (mutations[i].key.count > TREE_KEY_BYTES_MAX ||
            (mutations[i].kind == TREE_PUT && mutations[i].value.count > TREE_VALUE_BYTES_MAX))
            return STATUS_TOO_LARGE;
        *deletes &= mutations[i].kind == TREE_DELETE;
    }
    return STATUS_OK;
}

/* Slow down evenly between half the bound of dirty frames and the bound. */
static enum status pace(struct context *ctx, struct forest *forest)
{
    uint64_t half = forest->dirty_max / 2;
    uint64_t dirty = forest->frames.dirty_count;
    if (dirty <= half || forest->in_memory)
        return STATUS_OK;
    uint64_t over = MIN(dirty - half, half);
    forest->apply_waits++;
    return context_sleep(ctx, PACE_NS * over * over / (half * half));
}

/* One batch at a time. */
static enum status run_batch(struct context *ctx, struct tree *tree,
                             const struct tree_mutation *mutations, size_t count, bool deletes,
                             size_t *done)
{
    struct forest *forest = tree->forest;
    *done = 0;
    tree->applying = true;
    tree->users++;
    enum status status = count > 0 ? pace(ctx, forest) : STATUS_OK;
    if (status == STATUS_OK)
        status = tree->closed ? STATUS_CLOSED
                              : tree_apply_mutations(ctx, tree, mutations, count, deletes, done);
    tree->applying = false;
    if (--tree->users == 0 && tree->closed)
        reaper_wake(forest);
    return status;
}

enum status tree_apply(struct context *ctx, struct tree *tree,
                       const struct tree_mutation *mutations, size_t count, uint64_t slot)
{
    struct forest *forest = tree->forest;
    bool deletes;
    size_t done;
    if (tree->closed)
        return STATUS_CLOSED;
    if (slot != 0 && slot <= tree->applied)
        return STATUS_OK;
    TRY(check_batch(mutations, count, &deletes));
    if (forest->write_status != STATUS_OK || (slot == 0 && tree->live))
        return slot == 0 && tree->live ? STATUS_INVALID : STATUS_UNAVAILABLE;
    if (tree->applying || (tree->partial_slot != 0 && tree->partial_slot != slot))
        return STATUS_BUSY;
    enum status status = run_batch(ctx, tree, mutations, count, deletes, &done);
    if (status == STATUS_OK) {
        tree->partial_slot = 0;
        tree->applied = MAX(tree->applied, slot);
        tree->row_dirty = true;
    } else if (done > 0) {
        REACHED("a large batch was applied in part");
        tree->partial_slot = slot;
    }
    return status;
}

enum status tree_prune(struct context *ctx, struct tree *tree, const struct bytes *keys,
                       size_t count)
{
    struct heap *heap = tree->forest->env->heap;
    size_t done;
    if (tree->closed)
        return STATUS_CLOSED;
    if (tree->forest->write_status != STATUS_OK)
        return STATUS_UNAVAILABLE;
    if (tree->applying || tree->partial_slot != 0)
        return STATUS_BUSY;
    struct tree_mutation *mutations = heap_alloc(heap, MAX(count, (size_t)1) * sizeof(*mutations));
    if (mutations == NULL)
        return STATUS_NO_MEMORY;
    bool deletes = true;
    for (size_t i = 0; i < count; i++)
        mutations[i] = (struct tree_mutation){.kind = TREE_DELETE, .key = keys[i]};
    enum status status = check_batch(mutations, count, &deletes);
    if (status == STATUS_OK)
        status = run_batch(ctx, tree, mutations, count, deletes, &done);
    heap_free(heap, mutations, MAX(count, (size_t)1) * sizeof(*mutations));
    return status;
}
