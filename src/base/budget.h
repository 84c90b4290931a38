/* budget.h - how many bytes may be in use at one time, by all who draw on it.
 *
 * What a node's requests need together is unknown until they come, and each of them is bounded
 * alone; the budget bounds the sum.  Whoever takes memory for a request draws its bytes first and
 * gives them back with the memory.  A draw that does not fit is refused, and the request is
 * answered so, before it has changed anything.
 *
 * The last eighth is for small draws: requests that need much cannot keep out those that need
 * little.
 *
 * What is owed cannot be refused any more, such as the answer of a write that was made, or the
 * bytes of an answer that its client has not taken.  It is counted all the same, so that it keeps
 * out what is new.
 *
 * A budget of NULL has no bound and counts nothing.  Not thread-safe: owned by one loop.
 */
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/compiler.h"

/* A draw of at most so much may use the last eighth. */
#define BUDGET_SMALL_BYTES ((size_t)64 << 10)

struct budget {
    size_t used_bytes; /* may pass max_bytes by what is owed */
    size_t max_bytes;
    uint64_t refused; /* draws */
};

static inline void budget_init(struct budget *budget, size_t max_bytes)
{
    *budget = (struct budget){.max_bytes = max_bytes};
}

/* false: it does not fit, and nothing was drawn. */
MUST_USE static inline bool budget_draw(struct budget *budget, size_t bytes)
{
    if (budget == NULL)
        return true;
    size_t max = budget->max_bytes;
    if (bytes > BUDGET_SMALL_BYTES)
        max -= max / 8;
    if (UNLIKELY(budget->used_bytes > max || bytes > max - budget->used_bytes)) {
        budget->refused++;
        return false;
    }
    budget->used_bytes += bytes;
    return true;
}

/* Count bytes that are owed. */
static inline void budget_owe(struct budget *budget, size_t bytes)
{
    if (budget != NULL)
        budget->used_bytes += bytes;
}

static inline void budget_give(struct budget *budget, size_t bytes)
{
    if (budget == NULL)
        return;
    ASSERT(budget->used_bytes >= bytes);
    budget->used_bytes -= bytes;
}

#endif
