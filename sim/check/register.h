/* register.h - is what clients saw of one item explained by some order of their operations?
 *
 * An item is a register whose state is (token, count): each write gives it a token of its own, an
 * update adds one to the count.  A history is linearizable if its operations can be put in one
 * order, each between its invocation and its end, such that every observation is the state that
 * the order gives.  An operation of unknown outcome may stand anywhere in that time, or not at all.
 *
 * The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993), with
 * Lowe's memory of (set of operations done, state) pairs.
 */
#ifndef SIM_CHECK_REGISTER_H
#define SIM_CHECK_REGISTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/heap.h"

#define REGISTER_OPS_MAX 8192u

struct register_state {
    uint64_t token; /* 0 = there is no item, and count is 0 */
    uint64_t count;
};

enum register_effect {
    REGISTER_READ,   /* none */
    REGISTER_PUT,    /* (token, 0) */
    REGISTER_DELETE, /* no item */
    REGISTER_UPDATE  /* (token, count + 1) */
};

enum register_condition {
    REGISTER_ALWAYS,
    REGISTER_ABSENT, /* there is no item */
    REGISTER_EQUALS  /* its token is `expected` */
};

struct register_op {
    uint64_t begin_ns;
    uint64_t end_ns; /* an unknown outcome: by when it happened, if it did */
    bool maybe;      /* of unknown outcome */
    bool observed;   /* `before` is what it saw */
    bool counted;    /* `count_after` is what it was told of the new count */
    enum register_effect effect;
    enum register_condition condition; /* holds where the operation has its effect */
    uint64_t token;                    /* what PUT and UPDATE write; unique in the history */
    uint64_t expected;
    struct register_state before;
    uint64_t count_after;
};

enum register_verdict { REGISTER_LINEARIZABLE, REGISTER_VIOLATED, REGISTER_UNDECIDED };

/* Judge `count` operations, sorted by begin_ns, on an item that is absent at first; count <=
 * REGISTER_OPS_MAX.  When not linearizable, *stuck is the index of the operation that no order
 * reached.  UNDECIDED: the search passed its bound. */
MUST_USE enum register_verdict register_check(struct heap *heap, const struct register_op *ops,
                                              size_t count, size_t *stuck);

/* Whether the operation's condition holds in `state`. */
bool register_condition_holds(const struct register_op *op, struct register_state state);

#endif
