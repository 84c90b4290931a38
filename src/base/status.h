/* status.h - the one list of outcomes that functions return.
 *
 * Logs, metrics and tests use the same names.  STATUS_OK is 0.  On any other status the outputs and
 * the state of the callee are unchanged unless its header says otherwise.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include "base/compiler.h"

#define STATUS_MAP(X)                                                                              \
    X(OK, "ok")                                                                                    \
    X(INVALID, "invalid input")                                                                    \
    X(NOT_FOUND, "not found")                                                                      \
    X(EXISTS, "exists already")                                                                    \
    X(TOO_LARGE, "over a limit")                                                                   \
    X(NO_MEMORY, "out of memory")                                                                  \
    X(NO_SPACE, "no space left on the device")                                                     \
    X(BUSY, "at a bound, try later")                                                               \
    X(THROTTLED, "throttled")                                                                      \
    X(HOT, "one partition is asked for more than a partition serves")                              \
    X(CONDITION_FAILED, "a condition does not hold")                                               \
    X(CORRUPT, "stored or received bytes fail their check")                                        \
    X(IO, "input/output error")                                                                    \
    X(DENIED, "permission denied")                                                                 \
    X(LOCKED, "in use by another process")                                                         \
    X(VERSION, "of a version that this program does not know")                                     \
    X(DEADLINE, "the deadline has passed")                                                         \
    X(CANCELLED, "cancelled")                                                                      \
    X(UNAVAILABLE, "not serving")                                                                  \
    X(UNKNOWN_OUTCOME, "may or may not have happened")                                             \
    X(MOVED, "another replica or partition has it")                                                \
    X(CLOSED, "closed")                                                                            \
    X(END, "no more")

enum status {
#define STATUS_ENUM(name, text) STATUS_##name,
    STATUS_MAP(STATUS_ENUM)
#undef STATUS_ENUM
        STATUS_COUNT
};

/* The text of `status` for messages; never NULL. */
const char *status_text(enum status status);

/* The name of `status` ("NOT_FOUND") for metrics and traces; never NULL. */
const char *status_name(enum status status);

/* Return from the enclosing function when `expr` is not STATUS_OK; only where nothing is held. */
#define TRY(expr)                                                                                  \
    do {                                                                                           \
        enum status try_status_ = (expr);                                                          \
        if (UNLIKELY(try_status_ != STATUS_OK))                                                    \
            return try_status_;                                                                    \
    } while (0)

#endif
