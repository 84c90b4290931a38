/* storage_private.h - what the files of the storage program share. */
#ifndef SIM_WORKLOAD_STORAGE_PRIVATE_H
#define SIM_WORKLOAD_STORAGE_PRIVATE_H

#include "env/fiber.h"
#include "sim/workload/storage_program.h"
#include "storage/tree.h"

#define STORAGE_BLOB BYTES("configuration") /* what a row keeps for its owner */

/* Fail the run with `what` unless `right`; returns `right`. */
bool storage_check(struct storage_program *program, bool right, const char *what,
                   const struct storage_tree *tree, uint64_t detail);

/* Whether a fiber should go on. */
static inline bool storage_goes_on(const struct storage_program *program)
{
    return !program->stopping && program->result->verdict == SCENARIO_PASSED &&
           program->state != STORAGE_GAVE_UP;
}

/* Start a fiber, which storage_leave ends.  false: the pool is at its bound. */
bool storage_spawn(struct storage_program *program, void (*run)(struct context *, void *),
                   void *argument);
void storage_leave(struct storage_program *program);

/* Sleep for up to `most_ns`. */
void storage_pause(struct context *ctx, struct storage_program *program, uint64_t most_ns);

/* What may come of a disk that fails or is full; anything else is wrong. */
bool storage_excused(enum status status);

/* It was removed: the next one has an id of its own, and no slots. */
void storage_tree_is_gone(struct storage_tree *tree);

/* The fibers. */
void storage_writer(struct context *ctx, void *argument);       /* a tree's */
void storage_reader(struct context *ctx, void *argument);       /* the program's */
void storage_checkpointer(struct context *ctx, void *argument); /* the program's */

/* The position below which all that is in the log is in the forest. */
struct lsn storage_covered(const struct storage_program *program);

/* Apply what is logged up to `slot`. */
void storage_apply(struct context *ctx, struct storage_tree *tree, uint64_t slot);

/* A record's payload, in the arena. */
struct bytes storage_payload(struct context *ctx, const struct storage_tree *tree, uint64_t slot);

/* Compare the whole tree with the model, in both directions. */
void storage_compare(struct context *ctx, struct storage_tree *tree);

#endif
