/* model.h - the service's model: every operation and member, their types and constraints, in one
 * table, and what is driven by it.
 *
 * The table has all shapes of the newest model (operations.c, model_*.c).  From it come
 *   - the decoding of a body into the C structs of input.h, in one pass without a tree
 *     (model_decode.c), with the service's SerializationException texts;
 *   - the texts of violated constraints, all of them, in the service's order (model_check.c);
 *   - the refusal of members that are known but not built.
 *
 * How a member of each kind is held in its C struct:
 *   string, blob          struct bytes; at == NULL: not given
 *   enumeration           uint8_t; 0: not given, else 1 + its place in the shape's values
 *   boolean               uint8_t, an enum model_boolean
 *   integer, long, time   struct model_number
 *   structure             a pointer; NULL: not given
 *   list, map             struct model_list, struct model_map, of the elements by value
 *   attribute value       struct value; VALUE_ABSENT: not given
 *   item, variables       struct value, a map from names to attribute values
 *   names                 struct model_names (ExpressionAttributeNames)
 * A member given as null counts as not given.
 */
#ifndef API_MODEL_H
#define API_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/pause.h"
#include "base/status.h"
#include "expr/expr.h"
#include "model/value.h"
#include "request/error.h"

enum model_kind {
    MODEL_STRING,
    MODEL_ENUM,
    MODEL_BOOLEAN,
    MODEL_INTEGER,
    MODEL_LONG,
    MODEL_DOUBLE,
    MODEL_TIMESTAMP,
    MODEL_BLOB,
    MODEL_STRUCTURE,
    MODEL_LIST,
    MODEL_MAP,
    MODEL_VALUE,
    MODEL_ITEM,
    MODEL_VARIABLES, /* ExpressionAttributeValues: an item whose faults name the variable */
    MODEL_NAMES,
};

enum model_boolean { MODEL_NOT_GIVEN, MODEL_FALSE, MODEL_TRUE };

struct model_number {
    int64_t value;
    bool given;
};

/* Of a list or map, at most this many elements are stored, or as many as its shape allows when that
 * is fewer; `count` counts all.  Every operation refuses more than are stored. */
#define MODEL_STORED_MAX 1024u
#define MODEL_NAMES_MAX  4096u /* more than a request's expressions can refer to */

struct model_list {
    void *at; /* the elements; NULL when their shape is not stored */
    uint32_t count;
    bool given;
};

struct model_map {
    struct bytes *keys; /* in the order of the body; a repeated key keeps its first place and its
                           last value */
    void *values;       /* as the elements of a list */
    uint32_t count;
    bool given;
};

struct model_names {
    struct expr_name *at;
    uint32_t count;
    bool given;
};

enum model_member_flags {
    MODEL_REQUIRED = 1,
    MODEL_PARAMETER = 2,  /* required, and reported before all other constraints */
    MODEL_LEGACY = 4,     /* one of the parameters that expressions replaced */
    MODEL_EXPRESSION = 8, /* an expression */
    MODEL_UNBUILT = 16,   /* known, not built: refused when given */
    MODEL_UNSTORED = 32,  /* its structure has no C struct */
    MODEL_OF_KEYS = 64,   /* legacy: mixed only beside the expression that is of keys too */
};

#define MODEL_NO_MIN INT64_MIN
#define MODEL_NO_MAX INT64_MAX

struct model_shape;

struct model_member {
    const char *name; /* "TableName"; in texts with a small first letter */
    uint8_t name_bytes;
    uint8_t flags;
    uint16_t offset; /* in the C struct */
    const struct model_shape *shape;
};

struct model_shape {
    const char *name; /* "TableArn" */
    enum model_kind kind;
    uint16_t member_count;
    uint16_t value_count;
    uint32_t bytes;   /* of the C struct of a structure; 0: not stored */
    int64_t min, max; /* of the length of strings, lists, maps; of the value of numbers */
    const char *pattern;
    const char *const *values; /* of an enumeration, in the order in which texts list them */
    const struct model_member *members; /* in the order in which texts list their faults */
    const struct model_shape *element;  /* of lists and maps */
    const struct model_shape *map_key;  /* of maps */
};

/* A decoded body; in the arena of the request. */
struct model_input {
    void *at;       /* the C struct of the operation's input; never NULL */
    uint64_t given; /* bit i: member i of the input is present */

    /* What decoding noticed and the caller decides upon, in this order. */
    bool doubtful;                      /* a constraint may be violated: see model_check */
    bool legacy;                        /* a parameter that expressions replaced is given */
    const struct model_shape *mixed;    /* structures with legacy and expression parameters */
    uint64_t mixed_given;               /* which members, in one of them or another */
    const struct model_member *unbuilt; /* the first member that is not built */
    struct bytes value_fault; /* what is wrong with an attribute value; at NULL: nothing */
};

/* Decode `body` into the struct that `shape`, a structure, describes; pauses where that takes long.
 *   STATUS_INVALID    *error: SerializationException
 *   STATUS_NO_MEMORY  *error: the arena is full */
MUST_USE enum status model_decode(const struct model_shape *shape, struct bytes body,
                                  struct arena *arena, const struct pause *pause,
                                  struct model_input *input, struct error *error);

/* Go through `body`, which model_decode has accepted, again and report the constraints that it
 * violates.
 *   STATUS_OK         none
 *   STATUS_INVALID    *error: "N validation errors detected: ..."
 *   STATUS_NO_MEMORY  *error: the arena is full */
MUST_USE enum status model_check(const struct model_shape *shape, struct bytes body,
                                 struct arena *arena, const struct pause *pause,
                                 struct error *error);

/* The error for legacy parameters beside expressions; returns STATUS_INVALID. */
enum status model_mixed(const struct model_input *input, struct arena *arena, struct error *error);

/* Bytes that an element of `shape` takes in a list or map; 0: it is not stored. */
size_t model_shape_bytes(const struct model_shape *shape);

/* The pattern of table and index names.  It is the only one that is checked: no operation that is
 * built has a member with another. */
#define MODEL_NAME_PATTERN "[a-zA-Z0-9_.-]+"
bool model_name_matches(struct bytes name);

/* The length of a text as constraints count it: in UTF-16 units. */
uint64_t model_text_length(struct bytes text);

#endif
