/* serial.h - is what clients saw of several items explained by some order of their transactions?
 *
 * An item is a list: a write appends its operation's token, so a read of the item shows in which
 * order it was written (Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from
 * Experimental Observations", 2020).  A delete ends the list; a later write begins another one.
 *
 * The operations are then nodes of a graph:  one that wrote comes before the one that wrote next,
 * and before those that saw what it wrote; one that saw a state comes before the one that wrote
 * next; one that ended before another began comes before it.  They can be put in one order, so that
 * all took place at once and each in its time, if and only if there is no cycle.
 *
 * A read that is no transaction does not wait for one that is being carried out, item by item.  So
 * what comes behind it in time counts only if it is on the same item: two such reads of two items,
 * one after the other, may see a transaction on the first and not yet on the second.
 *
 * Besides: no operation that was cancelled is ever seen, none is seen twice, and one that is seen
 * on one item is on all that it wrote.
 */
#ifndef SIM_CHECK_SERIAL_H
#define SIM_CHECK_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/heap.h"

#define SERIAL_ACCESSES_MAX 8u
#define SERIAL_KEYS_MAX     64u

enum serial_kind {
    SERIAL_READ,   /* saw the item: its list up to `seen`, or, 0, that it is absent */
    SERIAL_APPEND, /* if `seen` is given, on the condition that this is the last token */
    SERIAL_DELETE, /* on that condition always */
};

struct serial_access {
    uint32_t key;
    enum serial_kind kind;
    bool conditional; /* APPEND: `seen` is what it was on; 0: absent */
    uint64_t seen;
};

enum serial_outcome {
    SERIAL_OPEN,
    SERIAL_DONE,
    SERIAL_CANCELLED, /* it had no effect, and its accesses saw nothing */
    SERIAL_UNKNOWN,   /* it may have happened, or may yet */
};

struct serial_op {
    uint64_t begin_ns, end_ns;
    enum serial_outcome outcome;
    uint32_t access_count;
    struct serial_access accesses[SERIAL_ACCESSES_MAX];
    bool alone;     /* a read of one item that is no transaction */
    bool witnessed; /* its token was read */
};

/* One list of an item: from the write that made it to the one that deleted it. */
struct serial_list {
    uint32_t key;
    uint64_t *tokens;
    size_t count, capacity;
    uint64_t deleted_by; /* token; 0: nobody known */
};

struct serial {
    struct heap *heap;
    struct serial_op *ops; /* op of token t is ops[t - 1] */
    size_t count, capacity;
    struct serial_list *lists;
    size_t list_count, list_capacity;
    uint32_t key_count;
    bool deletes[SERIAL_KEYS_MAX]; /* the item may be deleted */
    char violation[512];           /* the first one found; empty = none */
};

void serial_init(struct serial *serial, struct heap *heap, uint32_t key_count);
void serial_release(struct serial *serial);

/* An operation was sent; returns its token. */
uint64_t serial_begin(struct serial *serial, const struct serial_op *op, uint64_t now_ns);

/* How it ended. */
void serial_end(struct serial *serial, uint64_t token, enum serial_outcome outcome,
                uint64_t now_ns);

/* A read showed that the item's list is these tokens (count 0: it is absent): to be called before
 * serial_end of the reading operation, whose access `index` it is. */
void serial_saw(struct serial *serial, uint64_t token, uint32_t index, const uint64_t *tokens,
                size_t count);

/* Note a violation that the workload saw itself; the first is kept. */
void serial_violation(struct serial *serial, const char *format, ...) PRINTF_LIKE(2, 3);

/* Judge all of it, when every item has been read after everything.  Returns true when nothing is
 * wrong; else `violation` says what. */
MUST_USE bool serial_check(struct serial *serial);

#endif
