/* stack.h - mapped stacks with a guard page, for flows that are switched in user space. */
#ifndef ENV_STACK_H
#define ENV_STACK_H

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

#endif
