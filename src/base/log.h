/* log.h - one line per event for operators, to a sink that the owner gives.
 *
 * A line is "<level> <room>: <text>"; the sink adds the time.  Never a secret, never an item's
 * content.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/bytes.h"
#include "base/compiler.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

struct log {
    enum log_level level_max; /* less important lines are dropped */
    void (*write)(void *sink, enum log_level level,
                  struct bytes line); /* the line has no newline */
    void *sink;
};

/* "error", "warning", "info", "debug" */
const char *log_level_name(enum log_level level);

/* Write one line of at most 1,000 bytes, longer ones cut; `room` is the folder that speaks. */
void log_line(const struct log *log, enum log_level level, const char *room, const char *format,
              ...) PRINTF_LIKE(4, 5);

#endif
