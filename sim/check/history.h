/* history.h - what clients asked and were told, per item, and the judgement of it.
 *
 * A workload begins an operation when it is sent and ends it when the answer is there, or when it
 * is known that none will come.  Items are independent of each other: each is a register of its
 * own (register.h).  A read of several items is a read of each.
 */
#ifndef SIM_CHECK_HISTORY_H
#define SIM_CHECK_HISTORY_H

#include <stdio.h>

#include "sim/check/register.h"

struct history_op {
    struct register_op op;
    uint32_t key;
    uint32_t client;
    bool open;    /* no answer yet */
    bool void_op; /* it has no effect and saw nothing: left out */
    bool weak;    /* an eventually consistent read: any state that ever was will do */
};

struct history {
    struct heap *heap;
    struct history_op *ops; /* in order of begin_ns */
    size_t count, capacity;
    uint32_t key_count;
    uint64_t undecided;  /* items whose history was too much for the search */
    char violation[512]; /* the first one found; empty = none */
};

void history_init(struct history *history, struct heap *heap, uint32_t key_count);
void history_release(struct history *history);

/* A new token, never 0. */
uint64_t history_token(const struct history *history);

/* An operation was sent.  Returns its index; op.begin_ns is set, op.end_ns not yet. */
size_t history_begin(struct history *history, uint32_t client, uint32_t key, struct register_op op,
                     uint64_t now_ns);

/* It was done, and saw *before (NULL: was not told). */
void history_done(struct history *history, size_t index, const struct register_state *before,
                  uint64_t now_ns);

/* It was refused because its condition does not hold in *before, which the answer shows. */
void history_refused(struct history *history, size_t index, const struct register_state *before,
                     uint64_t now_ns);

/* It certainly had no effect, and saw nothing. */
void history_void(struct history *history, size_t index, uint64_t now_ns);

/* Nobody knows: it may have been done, or may yet be. */
void history_unknown(struct history *history, size_t index);

/* The server died: operations that began before now and are not answered, or never will be, have
 * happened by now or not at all. */
void history_settle(struct history *history, uint64_t now_ns);

/* Note a violation that the workload saw itself; the first is kept. */
void history_violation(struct history *history, const char *format, ...) PRINTF_LIKE(2, 3);

/* Judge all items.  Returns true when nothing is wrong; else `violation` says what. */
MUST_USE bool history_check(struct history *history);

/* Print the operations on `key`, one a line. */
void history_print(const struct history *history, uint32_t key, FILE *to);

#endif
