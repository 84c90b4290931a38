/* expr.h - condition, filter, projection, key-condition and update expressions.
 *
 * One lexer and parser for all five; each text is compiled once, into the arena, to a program: one
 * contiguous run of bytes without pointers, which holds the attribute names and values it needs, so
 * that it can be sent to the node that evaluates it.  Programs run on binary items and build no
 * trees.
 *
 * Errors are the service's ValidationException texts, whole, in expr_fault.message.
 */
#ifndef EXPR_EXPR_H
#define EXPR_EXPR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/pause.h"
#include "base/status.h"
#include "model/key.h"
#include "model/value.h"

#define EXPR_BYTES_MAX     4096u /* of one expression's text */
#define EXPR_OPERATORS_MAX 300u
#define EXPR_IN_MAX        100u

/* Which parameter a text is: chooses the grammar and the words of messages ("Invalid
 * ConditionExpression: ..."). */
enum expr_kind {
    EXPR_CONDITION,
    EXPR_FILTER,
    EXPR_PROJECTION,
    EXPR_KEY_CONDITION,
    EXPR_UPDATE,
};

/* "ConditionExpression", ... */
const char *expr_kind_name(enum expr_kind kind);

/* One name of ExpressionAttributeNames.  The caller sets `placeholder` and `name`, zero else. */
struct expr_name {
    struct bytes placeholder; /* "#n" */
    struct bytes name;
    bool used;
    uint32_t pooled_in, pooled_at; /* private: the compilation that holds a copy, and where */
};

/* One of ExpressionAttributeValues, found by expr_scope_init; private to this room. */
struct expr_value {
    struct bytes placeholder;
    struct value value;
    uint32_t pooled_in, pooled_at;
};

/* What the expressions of one request share: the names and values that they may refer to, and which
 * were used.  The caller sets the first group, zero else; `names` and the bytes of `values` live as
 * long as the scope. */
struct expr_scope {
    struct arena *arena;
    struct expr_name *names;
    uint32_t name_count;
    struct value
        values; /* ExpressionAttributeValues: a map value (":v" -> value), or VALUE_ABSENT */
    bool names_given, values_given; /* the members were present in the request (empty ones are
                                       errors of their own) */
    bool names_useless;  /* the request has no expression at all: names given are an error */
    bool values_useless; /* it has none that may refer to values (only a projection, or nothing) */
    const char *values_useless_note; /* NULL, or what ends that message: "ConditionExpression is
                                        null", "UpdateExpression is null", ... */

    bool *values_used;             /* by position in `value_list`; set by expr_scope_init */
    struct expr_value *value_list; /* sorted by placeholder */
    uint32_t *name_order;          /* positions in `names` sorted by placeholder */
    uint32_t value_count;
    uint32_t compilations;
};

struct expr_fault {
    struct bytes message; /* of a ValidationException; in the arena */
};

/* Check names and values as the service does (no expression to use them, empty maps, syntax of
 * placeholders) and prepare the scope.  Not needed for a request without expressions, names and
 * values.  STATUS_INVALID  *fault     STATUS_NO_MEMORY */
MUST_USE enum status expr_scope_init(struct expr_scope *scope, struct arena *arena,
                                     struct expr_fault *fault);

/* After all expressions are compiled: STATUS_INVALID when a name or value was not used ("Value
 * provided in ExpressionAttributeNames unused in expressions: keys: {#a, #b}"). */
MUST_USE enum status expr_scope_finish(const struct expr_scope *scope, struct expr_fault *fault);

/* A compiled expression; empty (count 0) = none was given. */
struct expr_program {
    struct bytes code;
};

/* Compile `text`; everything that the service finds wrong without an item.  The program's bytes are
 * in the arena and hold copies of all they need.
 *   STATUS_INVALID  *fault     STATUS_NO_MEMORY  the arena is full */
MUST_USE enum status expr_compile(struct expr_scope *scope, enum expr_kind kind, struct bytes text,
                                  struct expr_program *program, struct expr_fault *fault);

/* Check a program that came from another node: STATUS_CORRUPT when it is not one. */
MUST_USE enum status expr_program_check(struct bytes code, enum expr_kind kind);

/* Does a condition or filter hold for `item` (VALUE_ABSENT: there is no such item)?  An empty
 * program holds.  Builds nothing, and cannot fail. */
MUST_USE bool expr_evaluate(const struct expr_program *program, struct value item);

/* As expr_evaluate, with a pause now and then: `item` must be the caller's own. */
MUST_USE bool expr_evaluate_paused(const struct expr_program *program, struct value item,
                                   const struct pause *pause);

/* A bound of the work of running a program on `item`, in bytes looked at: each element of a path,
 * and each operand, may look at the whole item.  0 for an empty program. */
uint64_t expr_work_max(const struct expr_program *program, struct value item);

/* The names of top-level attributes, for checks such as "Filter Expression can only contain
 * non-primary key attributes" and "Cannot update attribute ... This attribute is part of the key":
 * of a condition, filter or projection all that it refers to, of an update those that it changes.
 * A name may come more than once.  Start with a zeroed walk; false: no more. */
struct expr_attributes {
    uint32_t position;
};
bool expr_next_attribute(const struct expr_program *program, struct expr_attributes *walk,
                         struct bytes *name);

/* Append to `w` the map with only what a projection names; merges paths ("a.b, a.c"), and list
 * elements move together ("l[2], l[0]" gives a list of two in index order), as in the service. */
void expr_project(const struct expr_program *program, struct value item, struct value_writer *w);

/* Apply an update, with pauses when the writer has one: append to `w` the new item.  `item` is the
 * old one, or VALUE_ABSENT; `key` is the map of the key attributes that a new item begins with.
 * All right-hand sides read the old item.  The caller checks the new item's size, and asks
 * value_writer_finish.  On an error `w` holds part of an item, to be dropped.
 *   STATUS_INVALID    *fault: types do not fit the operator, a document path is invalid, number
 *                     overflow, nesting, ...
 *   STATUS_NO_MEMORY  the arena is full */
MUST_USE enum status expr_update(const struct expr_program *program, struct value item,
                                 struct value key, struct value_writer *w, struct arena *arena,
                                 struct expr_fault *fault);

/* UPDATED_OLD / UPDATED_NEW: append the map of what the update's paths have in `item` (old or new).
 */
void expr_updated(const struct expr_program *program, struct value item, struct value_writer *w);

/* Does this update only take away, attributes or elements of sets?  Then it makes no new item:
 * "DELETE - Nothing happens; there is no attribute to delete" (Developer
 * Guide, AttributeUpdates). */
bool expr_update_only_deletes(const struct expr_program *program);

/* ---- Legacy parameters ----
 *
 * What expressions replaced makes the same programs.  Names are those of top-level attributes as
 * they are: a dot in one is a letter.  None given (count 0): *program stays empty. */

#define EXPR_LEGACY_MAX 1024u /* conditions, changes or names of one parameter; a bound of ours */

/* ComparisonOperator, in the order of the service's model. */
enum comparison {
    COMPARISON_IN = 1,
    COMPARISON_NULL,
    COMPARISON_BETWEEN,
    COMPARISON_LT,
    COMPARISON_NOT_CONTAINS,
    COMPARISON_EQ,
    COMPARISON_GT,
    COMPARISON_NOT_NULL,
    COMPARISON_NE,
    COMPARISON_LE,
    COMPARISON_BEGINS_WITH,
    COMPARISON_GE,
    COMPARISON_CONTAINS,
};

/* "EQ", ... */
const char *expr_comparison_name(enum comparison comparison);

/* One entry of Expected, QueryFilter, ScanFilter or KeyConditions. */
struct expr_condition {
    struct bytes name;
    enum comparison comparison;
    const struct value *values; /* AttributeValueList */
    uint32_t value_count;
};

/* Conditions into a program of `kind` (CONDITION, FILTER, KEY_CONDITION) that holds when all of
 * them do, or, with `any`, when one does.  Their names differ; at most EXPR_LEGACY_MAX.
 *   STATUS_INVALID  *fault     STATUS_NO_MEMORY  the arena is full */
MUST_USE enum status expr_compile_conditions(struct arena *arena, enum expr_kind kind,
                                             const struct expr_condition *conditions,
                                             uint32_t count, bool any, struct expr_program *program,
                                             struct expr_fault *fault);

/* AttributeAction, in the order of the service's model. */
enum change_action { CHANGE_ADD = 1, CHANGE_PUT, CHANGE_DELETE };

/* One entry of AttributeUpdates. */
struct expr_change {
    struct bytes name;
    enum change_action action;
    struct value value; /* VALUE_ABSENT: none was given */
};

/* Changes of attributes, whose names differ, into an update; as above. */
MUST_USE enum status expr_compile_changes(struct arena *arena, const struct expr_change *changes,
                                          uint32_t count, struct expr_program *program,
                                          struct expr_fault *fault);

/* AttributesToGet into a projection; as above. */
MUST_USE enum status expr_compile_names(struct arena *arena, const struct bytes *names,
                                        uint32_t count, struct expr_program *program,
                                        struct expr_fault *fault);

/* ---- Trees ----
 *
 * What is not written as an expression (PartiQL) makes the same programs from a tree of terms,
 * which its parser builds.  Messages are those of expressions, but do not begin with "Invalid
 * FilterExpression: ". */

#define EXPR_TERM_DEPTH_MAX 96u /* of a tree: what builds one sees to it */

enum expr_term_kind {
    TERM_PATH = 1,
    TERM_VALUE,
    TERM_SIZE, /* of one path */
    /* In updates: of two of these and the above. */
    TERM_LIST_APPEND,
    TERM_ADD, /* nothing else around it */
    TERM_SUBTRACT,
    /* Conditions: of two of the first three; BETWEEN of three, IN of more; EXISTS, NOT_EXISTS of a
     * path. */
    TERM_EQ,
    TERM_NE,
    TERM_LT,
    TERM_LE,
    TERM_GT,
    TERM_GE,
    TERM_BETWEEN,
    TERM_IN,
    TERM_EXISTS,
    TERM_NOT_EXISTS,
    TERM_TYPE,
    TERM_BEGINS_WITH,
    TERM_CONTAINS,
    /* Of one condition; of one or more. */
    TERM_NOT,
    TERM_AND,
    TERM_OR,
};

/* An element of a document path. */
struct expr_step {
    struct bytes name; /* .at == NULL: an index */
    uint32_t index;
};

struct expr_term {
    enum expr_term_kind kind;
    uint32_t at;             /* where its text begins; the builder's own */
    struct expr_term *first; /* operands */
    struct expr_term *next;  /* the operand after this one */
    struct value value;      /* VALUE */
    struct expr_step *steps; /* PATH */
    uint32_t step_count;
};

/* One change of an update. */
struct expr_assignment {
    enum { ASSIGN_SET, ASSIGN_REMOVE, ASSIGN_ADD, ASSIGN_DELETE } verb;
    const struct expr_term *path;
    const struct expr_term *value; /* ADD, DELETE: a VALUE; REMOVE: NULL */
};

/* A condition, filter or key condition.  A key condition is what expr_key_condition knows:
 * comparisons of one name with values, all of which hold.
 *   STATUS_INVALID  *fault     STATUS_NO_MEMORY  the arena is full */
MUST_USE enum status expr_build_condition(struct arena *arena, enum expr_kind kind,
                                          const struct expr_term *term,
                                          struct expr_program *program, struct expr_fault *fault);

/* An update; at least one assignment.  As above. */
MUST_USE enum status expr_build_update(struct arena *arena,
                                       const struct expr_assignment *assignments, uint32_t count,
                                       struct expr_program *program, struct expr_fault *fault);

/* What a path leads to in `item`; VALUE_ABSENT: nothing. */
struct value expr_find(const struct expr_step *steps, uint32_t count, struct value item);

/* ---- Key conditions ---- */

enum sort_operator {
    SORT_ANY,
    SORT_EQ,
    SORT_LT,
    SORT_LE,
    SORT_GT,
    SORT_GE,
    SORT_BETWEEN,
    SORT_BEGINS
};

struct key_condition {
    struct value partition; /* views into the program */
    enum sort_operator sort;
    struct value low, high; /* the operand; with BETWEEN both */
};

/* Match a compiled key condition with a schema.
 *   STATUS_INVALID  "Query condition missed key schema element: ...", "Query key condition not
 * supported", wrong types ("One or more parameter values were invalid: Condition parameter type
 * does not match schema type"), BETWEEN bounds out of order, ... */
MUST_USE enum status expr_key_condition(const struct expr_program *program,
                                        const struct key_schema *schema, struct arena *arena,
                                        struct key_condition *condition, struct expr_fault *fault);

struct index_schema;

/* A key condition of a global index: each attribute of the partition key has one value, the sort
 * key's have one from the first on, and of the next the operator and its operands. */
struct index_condition {
    struct value partition[KEY_ATTRIBUTES_MAX]; /* views into the program */
    struct value equal[KEY_ATTRIBUTES_MAX];
    uint8_t equal_count;
    enum sort_operator sort; /* of sort attribute equal_count; never SORT_EQ */
    struct value low, high;
};

/* As expr_key_condition, with a global index. */
MUST_USE enum status expr_index_condition(const struct expr_program *program,
                                          const struct index_schema *index, struct arena *arena,
                                          struct index_condition *condition,
                                          struct expr_fault *fault);

#endif
