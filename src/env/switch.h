/* switch.h - stacks switched in user space: what fibers and the simulator's workers are made of.
 *
 * A `struct stack_switch` is one flow of control: the loop itself (switch_init_own, the stack that
 * runs already) or a function on a stack of its own (switch_prepare).  Exactly one of them runs;
 * switch_to saves it and goes on with another where that was left.  A switch saves the stack
 * pointer, the frame pointer and where to go on; it is declared to change every other register, so
 * that the compiler saves what is live.  No signal mask, no system call; nor are the floating-point
 * control words switched: nothing changes them.  AddressSanitizer is told of each switch.
 *
 * A flow whose function has ended leaves with switch_leave and never runs again; a flow may also
 * just be dropped where it was left, and its stack prepared again.
 *
 * Not for use across threads.
 */
#ifndef ENV_SWITCH_H
#define ENV_SWITCH_H

#include <stddef.h>

#include "base/compiler.h"

/* Embedded in its owner; stays at one address from its preparation until it is left or dropped. */
struct stack_switch {
    void *stack_pointer; /* where the flow was left; the assembly knows these three */
    void *frame_pointer;
    void *resume_at;
    void (*function)(void *);  /* NULL for the loop's own */
    void *argument;            /* of `function` */
    struct stack_switch *from; /* who switched here last */
    const void *stack_low;     /* the lowest byte of the stack; for the sanitizer */
    size_t stack_bytes;
    void *shadow; /* the sanitizer's own */
};

/* The flow that runs now, on the stack that it has. */
void switch_init_own(struct stack_switch *own);

/* A flow that will run function(argument) on the stack [stack_low, stack_low + bytes) when first
 * switched to; bytes >= 4096.  The function must not return: it ends with switch_leave. */
void switch_prepare(struct stack_switch *flow, void *stack_low, size_t bytes,
                    void (*function)(void *argument), void *argument);

/* Leave `own`, which runs, and go on with `to`; returns when something switches to `own`. */
void switch_to(struct stack_switch *own, struct stack_switch *to);

/* As switch_to, for ever: `own` and its stack may be prepared again at once by the one that goes
 * on. */
NORETURN void switch_leave(struct stack_switch *own, struct stack_switch *to);

#endif
