/* testing_private.h - testing.c finds the request, testing_errors.c has those of injected
 * errors. */
#ifndef OPS_TESTING_PRIVATE_H
#define OPS_TESTING_PRIVATE_H

#include "ops/testing.h"
#include "wire/json.h"

/* One request on its way. */
struct testing_call {
    struct context *ctx;
    struct testing *testing;
    const struct http_request *request;
    struct http_response *response;
    struct json_writer json; /* writes the body */
};

/* Answer with an error; returns STATUS_INVALID. */
enum status testing_refuse(struct testing_call *call, int http_status, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* The body's members, one after the other; an empty body has none.  `take` returns false for a
 * member that it does not know or whose value is wrong: then the request is refused, with its
 * name.  `take` takes the value in either case; NULL knows none. */
MUST_USE enum status testing_read(struct testing_call *call, void *to,
                                  bool (*take)(struct testing_call *call, void *to,
                                               struct bytes name, struct json_scanner *s));

/* A JSON number that is whole and at most `max`; false: it is not. */
MUST_USE bool testing_number(struct json_scanner *s, uint64_t max, uint64_t *number);

/* ---- testing_errors.c ---- */

enum status testing_list_errors(struct testing_call *call);
enum status testing_add_error(struct testing_call *call);
enum status testing_remove_error(struct testing_call *call, struct bytes id);

#endif
