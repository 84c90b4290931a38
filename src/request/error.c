#include "request/error.h"

#include <stdarg.h>
#include <stdio.h>

static const struct error_form forms[] = {[ERROR_NONE] = {"", "", 200, "message"},
#define ERROR_FORM(code, name, prefix, http, member)                                               \
    [ERROR_##code] = {name, prefix name, http, member},
                                          ERROR_MAP(ERROR_FORM)
#undef ERROR_FORM
};

const struct error_form *error_form(enum error_code code)
{
    return &forms[(unsigned)code < ERROR_CODE_COUNT ? code : ERROR_INTERNAL];
}

enum status error_set(struct error *error, enum error_code code, const char *message)
{
    *error = (struct error){.code = code, .message = bytes_of_text(message)};
    return STATUS_INVALID;
}

enum status error_format(struct error *error, struct arena *arena, enum error_code code,
                         const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length >= 0 ? arena_alloc(arena, (size_t)length + 1) : NULL;
    *error = (struct error){.code = code};
    if (text != NULL) {
        vsnprintf(text, (size_t)length + 1, format, again);
        error->message = bytes_of(text, (size_t)length);
    }
    va_end(again);
    return STATUS_INVALID;
}

enum status error_internal(struct error *error, enum status status)
{
    switch (status) {
    case STATUS_BUSY:
    case STATUS_THROTTLED:
    case STATUS_HOT:
        error_set(error, ERROR_THROTTLING,
                  "Throughput exceeds the current capacity of the server.");
        break;
    case STATUS_UNAVAILABLE:
    case STATUS_NO_SPACE:
    case STATUS_CANCELLED:
    case STATUS_NO_MEMORY: /* the request could not begin to change anything */
        error_set(error, ERROR_UNAVAILABLE,
                  "The service is currently unavailable or busy. Please try again.");
        break;
    default:
        error_set(error, ERROR_INTERNAL,
                  "The request processing has failed because of an unknown "
                  "error, exception or failure.");
        break;
    }
    return status;
}
