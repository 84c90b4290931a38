#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE_BYTES_MAX 1000

const char *log_level_name(enum log_level level)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    return names[level];
}

void log_line(const struct log *log, enum log_level level, const char *room, const char *format,
              ...)
{
    if (log == NULL || level > log->level_max)
        return;
    char line[LINE_BYTES_MAX];
    int head = snprintf(line, sizeof(line), "%s %s: ", log_level_name(level), room);
    va_list arguments;
    va_start(arguments, format);
    int tail = vsnprintf(line + head, sizeof(line) - (size_t)head, format, arguments);
    va_end(arguments);
    if (head < 0 || tail < 0)
        return;
    size_t count = MIN((size_t)(head + tail), sizeof(line) - 1);
    for (size_t i = 0; i < count; i++) {
        if ((unsigned char)line[i] < ' ')
            line[i] = ' '; /* one event, one line, whatever a client put into a name */
    }
    log->write(log->sink, level, bytes_of(line, count));
}
