/* json.h - read JSON into a tree: the client's own reader, which shares nothing with the server's.
 */
#ifndef SIM_WORKLOAD_JSON_H
#define SIM_WORKLOAD_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_type type;
    struct bytes name;  /* of a member of an object */
    struct bytes text;  /* of a string, decoded; of a number, as written */
    struct json *first; /* of an array or object */
    struct json *next;
};

/* The value that `text` holds, in `arena`; NULL when it is not one JSON value. */
const struct json *json_parse(struct arena *arena, struct bytes text);

/* The member `name`; NULL when `json` is no object or has none (json may be NULL). */
const struct json *json_member(const struct json *json, const char *name);

/* The text of the string or number at member `name`; empty when there is none. */
struct bytes json_text(const struct json *json, const char *name);

/* A decimal integer; 0 when it is none. */
uint64_t json_u64(struct bytes text);

#endif
