/* partiql_private.h - what ExecuteStatement and BatchExecuteStatement share, and NextToken. */
#ifndef API_PARTIQL_PRIVATE_H
#define API_PARTIQL_PRIVATE_H

#include "api/api_private.h"
#include "request/partiql.h"

#define PARTIQL_INVALID_TOKEN "Invalid NextToken"
#define PARTIQL_TOKEN_SEED    UINT64_C(0x746f6b656e) /* "token": of a NextToken's checksum */
#define PARTIQL_EXISTS_ALONE  "EXISTS() is only supported in ExecuteTransaction"

/* ---- partiql.c ---- */

/* Parse a statement with its parameters, a list of struct value. */
MUST_USE enum status call_partiql(struct api_call *call, struct bytes text,
                                  const struct model_list *parameters,
                                  struct partiql_statement *statement);

/* What a statement is about. */
struct partiql_target {
    struct bytes name;                /* of the table */
    const struct table *table;        /* valid until the fiber next waits, as is the index */
    const struct index_schema *index; /* that a SELECT names; NULL: none */
};

MUST_USE enum status call_partiql_target(struct api_call *call,
                                         const struct partiql_statement *statement,
                                         struct partiql_target *target);

/* PartiQL reads no index whose keys are of several attributes. */
MUST_USE enum status call_partiql_check_index(struct api_call *call,
                                              const struct index_schema *index);

/* Execute the write that an INSERT, UPDATE or DELETE is; what it consumed, also when its condition
 * failed, is added to *consumed. */
MUST_USE enum status call_partiql_write(struct api_call *call, enum partiql_kind kind,
                                        const struct write_request *request,
                                        struct write_result *result, struct consumed *consumed);

/* Is there anything to return?  Of what a MODIFIED OLD finds nothing of, no item comes back. */
bool partiql_returns(const struct write_result *result);

/* The item, or the columns of it that a SELECT names. */
void write_partiql_item(struct json_writer *json, const struct partiql_statement *statement,
                        struct value item);

/* ---- partiql_token.c ---- */

/* Where a SELECT goes on. */
struct partiql_position {
    uint32_t query;        /* of the plan's; 0 of a Scan */
    struct value last_key; /* VALUE_ABSENT: from the beginning of that query */
};

/* What tells statements, with their parameters, apart. */
uint64_t partiql_fingerprint(struct bytes statement, const struct model_list *parameters);

/* "NextToken": "..." */
MUST_USE enum status partiql_token_write(struct api_call *call, uint64_t fingerprint,
                                         const struct partiql_position *position);

/* STATUS_INVALID  it is no token, or that of another statement */
MUST_USE enum status partiql_token_read(struct api_call *call, struct bytes text,
                                        uint64_t fingerprint, struct partiql_position *position);

#endif
