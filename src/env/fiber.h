/* fiber.h - request flows that read like blocking code, on the one thread of the loop.
 *
 * A fiber is a function on a pooled stack with a guard page below it, switched in user space.  It
 * runs until it waits or returns; nothing else runs meanwhile.  What serves one request, or one
 * background flow, is one fiber, and carries one `struct context`.
 *
 * Rules
 *   (1) Nothing that points into a shared structure is held across a call that can wait, unless it
 *       is pinned.
 *   (2) fiber_no_wait_begin/end bracket a stretch that must not wait; a wait inside aborts.
 *   (3) Every wait that takes a context can end with STATUS_DEADLINE or STATUS_CANCELLED, unless
 *       its comment says that it cannot be interrupted.
 *   (4) The pool has a bound; fiber_spawn answers STATUS_BUSY at it.
 */
#ifndef ENV_FIBER_H
#define ENV_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/list.h"
#include "base/pause.h"
#include "base/status.h"
#include "env/env.h"

struct fiber;

/* What a flow carries: from fiber_spawn until its function returns.  Passed first to every function
 * that may wait. */
struct context {
    struct env *env;
    struct fiber *fiber;
    struct arena arena;     /* the flow's memory; released when its function returns */
    uint64_t deadline_ns;   /* on the monotonic clock; UINT64_MAX = none */
    bool cancelled;         /* context_cancel was called */
    struct bytes principal; /* who asks: the access key; in the arena; empty for the node itself */
    uint64_t trace_id[2];   /* names the request in logs and answers */
};

struct fiber_options {
    size_t arena_bytes_max; /* the cap of the context's arena */
    uint64_t deadline_ns;   /* UINT64_MAX = none */
    struct budget *budget;  /* what the arena draws on until the fiber ends; NULL = no bound */
};

/* Make the env's pool: at most fibers_max fibers, each with `stack_bytes` of stack (rounded up to
 * pages; more under AddressSanitizer, whose frames are larger).  Stacks are made on first use and
 * kept.
 *   STATUS_NO_MEMORY */
MUST_USE enum status fiber_pool_open(struct env *env, uint32_t fibers_max, size_t stack_bytes);

/* Free the pool.  No fiber may be alive, but in a simulated crash, which drops them where they
 * wait: what they hold is freed with the heap, after this. */
void fiber_pool_close(struct env *env);

struct fiber_pool_stats {
    uint32_t live, live_max_seen, stacks;
    uint64_t spawned, refused;
};

struct fiber_pool_stats fiber_pool_stats(const struct env *env);

/* Run `function` on a new fiber, at once, until it first waits; then return.  The context is passed
 * to it and is gone when it returns.  May be called on a fiber or outside.
 *   STATUS_BUSY       the pool is at its bound; nothing ran
 *   STATUS_NO_MEMORY  nothing ran */
MUST_USE enum status fiber_spawn(struct env *env, const struct fiber_options *options,
                                 void (*function)(struct context *ctx, void *argument),
                                 void *argument);

/* ---- Waiting ---- */

/* What fibers wait on; embedded in its owner, which outlives its waiters. */
struct wait_queue {
    struct list waiters; /* in order of arrival */
};

void wait_queue_init(struct wait_queue *queue);

/* Wait until woken.  Always waits: check the condition before, and again after.
 *   STATUS_OK  woken     STATUS_DEADLINE, STATUS_CANCELLED  no longer in the queue */
MUST_USE enum status wait_queue_wait(struct context *ctx, struct wait_queue *queue);

/* Wait until woken, whatever becomes of `ctx` meanwhile: for those whose memory others
 * still use. */
void wait_queue_wait_out(struct context *ctx, struct wait_queue *queue);

/* Wake the first waiter, or all; they run from the loop, after what runs now.  A waiter that was
 * woken is no longer interrupted. */
void wait_queue_wake_one(struct wait_queue *queue);
void wait_queue_wake_all(struct wait_queue *queue);
static inline bool wait_queue_empty(const struct wait_queue *queue)
{
    return list_empty(&queue->waiters);
}

/* Submit `job` and wait until its `done`, which this call sets.  Cannot be interrupted.
 *   STATUS_BUSY  the lane is at its bound; nothing ran */
MUST_USE enum status context_run_job(struct context *ctx, struct env_job *job);

/* Wait for delay_ns. */
MUST_USE enum status context_sleep(struct context *ctx, uint64_t delay_ns);

/* Let the loop turn once: other events and fibers run before this returns.  It cannot be
 * interrupted. */
void context_yield(struct context *ctx);

/* What computations of `ctx` do that take a struct pause: yield. */
struct pause context_pause(struct context *ctx);

/* End the interruptible wait of `ctx` with STATUS_CANCELLED; from now on each such wait ends so at
 * once.  Called on any other fiber or outside. */
void context_cancel(struct context *ctx);

/* STATUS_OK, or why the flow should end: STATUS_DEADLINE, STATUS_CANCELLED. */
MUST_USE enum status context_check(struct context *ctx);

/* A stretch that must not wait; nests. */
void fiber_no_wait_begin(struct context *ctx);
void fiber_no_wait_end(struct context *ctx);

#endif
