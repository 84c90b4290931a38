/* partiql.h - PartiQL statements: from a text to the typed requests of data.h.
 *
 * A statement is parsed once, into the request's arena: conditions and right-hand sides become the
 * trees that expr/ makes programs from (expr.h, "Trees"), literals and parameters become values.
 * What of it is a key, and so whether a SELECT is a Query or a Scan, depends on the table's schema:
 * partiql_plan_* are told it, and nothing else of the table.
 *
 *   statement := SELECT ( * | path {, path} ) FROM table [. index] [WHERE condition]
 *                  [ORDER BY key [ASC | DESC] {, ...}]
 *              | INSERT INTO table VALUE map
 *              | UPDATE table change {change} [WHERE condition] [RETURNING returned]
 *              | FROM table [WHERE condition] change {change} [RETURNING returned]
 *              | DELETE FROM table [WHERE condition] [RETURNING returned]
 *              | EXISTS ( select )
 *   change    := SET path = value {, path = value} | REMOVE path
 *   returned  := ( ALL | MODIFIED ) ( OLD | NEW ) *
 *
 * with a semicolon at the end, or none.  Conditions and values: partiql_condition.c,
 * partiql_literal.c.  Source: Developer Guide, "PartiQL - a SQL-compatible query language for
 * Amazon DynamoDB"; texts and the order of faults as measured on the service by
 * paritysuite/dynamodb-conformance.
 */
#ifndef REQUEST_PARTIQL_H
#define REQUEST_PARTIQL_H

#include "model/key.h"
#include "request/data.h"
#include "request/error.h"

#define PARTIQL_KEYS_MAX 50u /* values of one SELECT for the partition key */

enum partiql_kind {
    PARTIQL_SELECT,
    PARTIQL_EXISTS, /* a SELECT in EXISTS(), which only transactions know */
    PARTIQL_INSERT,
    PARTIQL_UPDATE,
    PARTIQL_DELETE,
};

/* A path of a SELECT, and what it is called in the items that come back. */
struct partiql_column {
    const struct expr_step *steps;
    uint32_t step_count;
    struct bytes name;
};

struct partiql_order {
    struct bytes name;
    bool descending;
};

/* All it points to is in the arena, or in the text and the parameters. */
struct partiql_statement {
    enum partiql_kind kind;
    struct bytes table;            /* as it is written: a name or an ARN */
    struct bytes index;            /* .at == NULL: none */
    const struct expr_term *where; /* NULL: none */

    struct partiql_column *columns; /* SELECT; NULL: all */
    uint32_t column_count;
    struct partiql_order *orders;
    uint32_t order_count;

    struct value item;                   /* INSERT */
    struct expr_assignment *assignments; /* UPDATE */
    uint32_t assignment_count;
    enum return_values returned; /* UPDATE, DELETE */
};

/* Parse a statement whose parameters are `parameters`; of what is too many the rest is not looked
 * at, as by the service.
 *   STATUS_INVALID    *error     STATUS_NO_MEMORY  *error: the arena is full */
MUST_USE enum status partiql_parse(struct arena *arena, struct bytes text,
                                   const struct value *parameters, uint32_t parameter_count,
                                   struct partiql_statement *statement, struct error *error);

/* ---- Plans: with the schema of the table (or of the index) ---- */

/* The write that an INSERT, UPDATE or DELETE is, the check that an EXISTS is; table and
 * return_on_failure are the caller's.  Of an INSERT a condition that fails means that the item is
 * there already.
 *   STATUS_INVALID  *error: no whole key, wrong types, ...     STATUS_NO_MEMORY */
MUST_USE enum status partiql_plan_write(struct arena *arena,
                                        const struct partiql_statement *statement,
                                        const struct key_schema *schema,
                                        struct write_request *request, struct error *error);

/* The key that a SELECT asks for by equality on all key attributes and nothing else; what such a
 * SELECT is in a batch.
 *   STATUS_NOT_FOUND  it does not: *key and *error are unchanged
 *   STATUS_INVALID    *error     STATUS_NO_MEMORY */
MUST_USE enum status partiql_plan_get(struct arena *arena,
                                      const struct partiql_statement *statement,
                                      const struct key_schema *schema, struct value *key,
                                      struct error *error);

/* A SELECT: a Scan, or one Query for each value of the partition key. */
struct partiql_select {
    bool scan;
    bool backward;                       /* of Queries */
    struct expr_program *key_conditions; /* of each Query, in their order */
    uint32_t query_count;
    struct expr_program filter; /* of all; empty: none */
};

/* As partiql_plan_write. */
MUST_USE enum status partiql_plan_select(struct arena *arena,
                                         const struct partiql_statement *statement,
                                         const struct key_schema *schema,
                                         struct partiql_select *plan, struct error *error);

#endif
