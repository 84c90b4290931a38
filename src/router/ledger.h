/* ledger.h - the two internal tables of transactions: #ledger and #tokens (docs/transactions.md).
 *
 * Both are tables like others, whose names no client can give; made when a transaction first needs
 * them.  Every change is a conditional write by the ordinary way.
 */
#ifndef ROUTER_LEDGER_H
#define ROUTER_LEDGER_H

#include "router/router_private.h"
#include "txn/coordinator.h"
#include "txn/record.h"

#define LEDGER_TABLE BYTES("#ledger")
#define TOKENS_TABLE BYTES("#tokens")

/* Milliseconds since 1970 (env_wall_ns) at which a transaction began: ids begin with them. */
uint64_t txn_id_begun_ms(struct txn_id id);
struct txn_id txn_id_make(struct env *env);

/* Make the tables, if they are not there, and wait until they serve.
 *   STATUS_DEADLINE, ...  *error */
MUST_USE enum status ledger_open_tables(struct context *ctx, struct router *router,
                                        struct error *error);

/* Are they there? */
bool ledger_has_tables(struct router *router);

/* Carry out one of the coordinator's actions but READ.  `record`: of INSERT.
 *   STATUS_OK                done
 *   STATUS_CONDITION_FAILED  *found is what the row says
 *   others                   it may have been done */
MUST_USE enum status ledger_put(struct context *ctx, struct router *router, struct txn_id id,
                                enum txn_ledger_action action, bool commits, struct bytes record,
                                enum txn_state *found);

/* What the row says, strongly consistent; `record` (may be NULL) is in the arena, empty when it has
 * none. */
MUST_USE enum status ledger_read(struct context *ctx, struct router *router, struct txn_id id,
                                 enum txn_state *found, struct bytes *record);

/* A row of the ledger as a walk finds it; *record is in the row.
 *   STATUS_CORRUPT */
MUST_USE enum status ledger_view(struct value row, struct txn_id *id, enum txn_state *state,
                                 struct bytes *record);

/* Remove a completed row. */
MUST_USE enum status ledger_remove(struct context *ctx, struct router *router, struct txn_id id);

/* ---- Tokens ---- */

struct token_row {
    struct bytes token;
    struct txn_token judged; /* request_hash and created_ns; state is for the caller to find */
    struct txn_id id;
    uint64_t mark_table;   /* 0: none; else it is a transaction in one round, */
    struct bytes mark_key; /* whose mark is beside this item */
};

/* A row of the tokens, as a walk or a failed condition finds it; what *token points to is in there.
 *   STATUS_CORRUPT */
MUST_USE enum status token_view(struct value row, struct token_row *token);

/* Insert a token's row, if there is none.
 *   STATUS_CONDITION_FAILED  there is one: *found (in the arena); also when it is this one's
 *                            own, of an attempt before     others: it may have been done */
MUST_USE enum status token_insert(struct context *ctx, struct router *router,
                                  const struct token_row *row, struct token_row *found);

/* Put `row` in place of that of transaction `old`.
 *   STATUS_CONDITION_FAILED  another one is there by now */
MUST_USE enum status token_replace(struct context *ctx, struct router *router,
                                   const struct token_row *row, struct txn_id old);

/* Remove the row, if it is that of transaction `id`. */
MUST_USE enum status token_remove(struct context *ctx, struct router *router, struct bytes token,
                                  struct txn_id id);

#endif
