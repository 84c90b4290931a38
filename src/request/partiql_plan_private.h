/* partiql_plan_private.h - what plans share: terms of a WHERE, and new ones.  What returns a term
 * returns NULL when the arena is full. */
#ifndef REQUEST_PARTIQL_PLAN_PRIVATE_H
#define REQUEST_PARTIQL_PLAN_PRIVATE_H

#include "base/buffer.h"
#include "request/partiql.h"

struct expr_term *plan_term(struct arena *arena, enum expr_term_kind kind, struct expr_term *first);
struct expr_term *plan_copy(struct arena *arena, const struct expr_term *term); /* alone */
struct expr_term *plan_attribute(struct arena *arena, const struct key_attribute *attribute);

bool plan_is_attribute(const struct expr_term *term, const struct key_attribute *attribute);

/* Does the condition say something of the attribute, and of values else? */
bool plan_compares(const struct expr_term *term, const struct key_attribute *attribute);

/* The conditions that all must hold, one by one; NULL: no more. */
const struct expr_term *plan_first_conjunct(const struct expr_term *where);
const struct expr_term *plan_next_conjunct(const struct expr_term *where,
                                           const struct expr_term *conjunct);

MUST_USE enum status plan_check_type(const struct key_attribute *attribute, struct value value,
                                     struct error *error);

/* The program of a term; `term` == NULL: the arena is full. */
MUST_USE enum status plan_build(struct arena *arena, enum expr_kind kind,
                                const struct expr_term *term, struct expr_program *program,
                                struct error *error);

#endif
