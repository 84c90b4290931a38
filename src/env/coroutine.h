/* coroutine.h - stacks of their own, and switching between them in user space.
 *
 * The machinery below fibers (env/fiber.h), and below the simulator's workers.  A switch saves the
 * stack pointer, the frame pointer and where to go on; the compiler itself saves what else is live,
 * because the switch is declared to change every other register.  No system call, no signal mask.
 * The floating-point control words are not switched: nothing changes them.
 *
 * AddressSanitizer is told of each switch.
 */
#ifndef ENV_COROUTINE_H
#define ENV_COROUTINE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"

/* A mapping of its own: one guard page, which no access survives, then `bytes` usable. */
struct stack {
    uint8_t *low; /* the lowest usable byte */
    size_t bytes; /* a multiple of the page size */
};

/* Map a stack of at least `bytes`; memory is taken as it is touched.  STATUS_NO_MEMORY */
MUST_USE enum status stack_map(struct stack *stack, size_t bytes);
void stack_unmap(struct stack *stack);

/* One line of control: where it goes on when it is switched to.  All fields are private. */
struct coroutine {
    void *stack_pointer; /* the assembly knows the first three by their offsets */
    void *frame_pointer;
    void *resume_at;
    void (*entry)(void *argument);
    void *argument;
    struct coroutine *switched_from; /* who switched here last */
    const void *stack_low;           /* what AddressSanitizer wants to know */
    size_t stack_bytes;
    void *fake_stack;
};

/* Prepare `coroutine` to call entry(argument) on the stack [low, low + bytes) when it is first
 * switched to.  `entry` must not return: it ends with coroutine_exit.  May be done again on the
 * same stack once what ran there has exited. */
void coroutine_prepare(struct coroutine *coroutine, void *low, size_t bytes,
                       void (*entry)(void *argument), void *argument);

/* Go on at `to`, which was prepared or has switched away; return when something switches to `from`.
 * `from` is filled in here: a line of control that was not prepared (the thread's own stack, or
 * whatever runs) needs no set-up, and may be a local variable of the caller set to zero. */
void coroutine_switch(struct coroutine *from, struct coroutine *to);

/* Go on at `to`, never to come back; the stack of `from` may be used again. */
NORETURN void coroutine_exit(struct coroutine *from, struct coroutine *to);

#endif
