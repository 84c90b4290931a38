/* transaction.h - a transaction of several partitions: the shell around txn/coordinator.h.
 *
 * It lives in memory of its own and runs on a fiber of its own, since it outlives the request that
 * began it: the client is answered before the ledger says COMPLETED.  Each call that it makes runs
 * on another fiber, which puts what was answered into the inbox.
 *
 * Until the client is answered and no prepare is under way any more, it uses the client's memory:
 * so long the client's fiber waits.
 */
#ifndef ROUTER_TRANSACTION_H
#define ROUTER_TRANSACTION_H

#include "router/ledger.h"

#define TRANSACTIONS_MAX 1024u /* at one time, recoveries included */

/* An item of it; in the order of participants. */
struct transaction_item {
    struct bytes key;          /* encoded */
    const struct table *table; /* held */
    uint32_t index;            /* in the request */
};

struct participant {
    uint64_t group_id; /* when it was divided; partitions may split */
    uint32_t first, count;
    bool asked; /* to prepare, once */
};

/* What only the client's request has. */
struct transaction_request {
    const struct write_request *requests;
    struct write_result *results;
    enum status *statuses;
    struct error *errors;
    struct arena *arena;           /* for what errors point to; its budget is the calls' too */
    const struct token_row *token; /* NULL: none */
    struct token_row *taken;       /* what is there in its place */
    uint64_t trace_id[2];
};

struct transaction {
    struct list link; /* router->transactions.all */
    struct router *router;
    struct arena arena; /* its own memory */
    struct txn_id id;
    uint64_t timestamp;
    struct transaction_item *items;
    uint32_t item_count;
    struct participant participants[TXN_ITEMS_MAX];
    uint32_t participant_count;
    struct bytes record; /* of the ledger's row */
    struct txn_coordinator core;
    struct transaction_request asked; /* not of a recovery */
    enum txn_answer answer;
    bool answered;
    uint32_t preparing;  /* calls that use the client's memory */
    uint32_t running;    /* calls */
    struct list inbox;   /* struct call */
    enum status failure; /* of a prepare that gave no clear answer */
    bool client_waits;   /* its fiber is in transaction_run */
    struct wait_queue inbox_filled;
    struct wait_queue client;
};

/* A transaction without items.
 *   STATUS_BUSY       TRANSACTIONS_MAX are there     STATUS_NO_MEMORY */
MUST_USE enum status transaction_new(struct router *router, struct txn_id id,
                                     struct transaction **made);

/* Only before it runs. */
void transaction_free(struct transaction *txn);

/* Add an item; holds the table.
 *   STATUS_NO_MEMORY */
MUST_USE enum status transaction_add(struct transaction *txn, const struct table *table,
                                     struct bytes key, uint32_t index);

/* Divide its items over participants and write its record. */
MUST_USE enum status transaction_divide(struct transaction *txn);

/* Run it, for a client: returns when that is to be answered, with txn->answer copied to *answer and
 * what failed to *failure; the transaction frees itself. */
MUST_USE enum status transaction_run(struct context *ctx, struct transaction *txn,
                                     const struct transaction_request *request,
                                     enum txn_answer *answer, enum status *failure);

/* Finish it, whoever began it; returns when its fiber runs. */
MUST_USE enum status transaction_recover(struct transaction *txn);

/* Begin the recovery of a transaction of which a token alone is known; if nobody knows it, it is
 * cancelled.  recovery.c.
 *   STATUS_CONDITION_FAILED  its row came meanwhile     others: not known */
MUST_USE enum status recovery_of(struct context *ctx, struct router *router, struct txn_id id);

/* Remove the mark that the token's row names, if any.  recovery.c. */
MUST_USE enum status recovery_remove_mark(struct context *ctx, struct router *router,
                                          const struct token_row *token);

/* Is a transaction of that id running here? */
bool transaction_is_running(const struct router *router, struct txn_id id);

/* The table with this id; NULL: there is none (any more). */
const struct table *router_table_by_id(struct router *router, uint64_t table_id);

#endif
