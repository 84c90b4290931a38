/* inject.h - for tests: errors and delays that requests are to meet.
 *
 * A rule says which requests it is for, by operation, table and key, and at the how manieth of them
 * it begins; what it does not say, fits all.  A request meets the first rule, in the order in which
 * they were made, that has its turn; every rule that fits counts it.  What is injected comes in
 * place of the operation: after its signature, before anything of it is validated or done.
 *
 * Of a request over several items a rule fits when it fits one of them.  What the service then has
 * for that one item, only it meets: a throttle leaves it unprocessed in a batch, and fails the
 * batch when it hits all of it; a transaction is cancelled with its error as the reason at its
 * place; in BatchExecuteStatement it is in the statement's answer.  Other errors fail the whole
 * request.
 *
 * The table and the key of a PartiQL statement are known when it is understood: rules that name
 * either are met then, behind those that name neither.  A SELECT of ExecuteStatement has no key.
 */
#ifndef API_INJECT_H
#define API_INJECT_H

#include "api/api.h"
#include "model/value.h"

#define INJECT_RULES_MAX      64u
#define INJECT_DELAY_MS_MAX   60000u
#define INJECT_KEY_BYTES_MAX  8192u /* in binary form */
#define INJECT_TEXT_BYTES_MAX 1024u

struct inject_rule {
    uint64_t id;               /* from 1; set by api_inject */
    struct bytes operation;    /* empty: any */
    struct bytes table;        /* its name; empty: any */
    struct value key;          /* attributes that the item's key has; VALUE_ABSENT: any */
    enum error_code error;     /* ERROR_NONE: it only delays */
    struct bytes message;      /* empty: the usual one, where there is one */
    uint32_t nth;              /* of the requests that fit: the first that meets it; from 1 */
    uint32_t times;            /* how many meet it from there on; from 1 */
    uint32_t delay_ms;         /* before the error, or before the operation */
    uint64_t fitted, injected; /* requests so far; set by this module */
};

/* The exception of this name; ERROR_NONE: there is none. */
enum error_code inject_error_named(struct bytes name);

/* Add a copy of the rule.
 *   STATUS_NO_SPACE  there are INJECT_RULES_MAX that wait for their turn; one that has had all its
 *                    turns makes room
 *   STATUS_TOO_LARGE, STATUS_NO_MEMORY */
MUST_USE enum status api_inject(struct api *api, const struct inject_rule *rule, uint64_t *id);

/* The rule at `index`, in order; NULL: there are no more. */
const struct inject_rule *api_inject_at(const struct api *api, uint32_t index);

/* Remove one; false: there is none.  Remove all. */
bool api_inject_remove(struct api *api, uint64_t id);
void api_inject_clear(struct api *api);

#endif
