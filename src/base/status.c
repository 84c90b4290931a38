#include "base/status.h"

static const char *const status_texts[] = {
#define STATUS_TEXT(name, text) [STATUS_##name] = text,
    STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
};

static const char *const status_names[] = {
#define STATUS_NAME(name, text) [STATUS_##name] = #name,
    STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
};

const char *status_text(enum status status)
{
    return (unsigned)status < STATUS_COUNT ? status_texts[status] : "unknown status";
}

const char *status_name(enum status status)
{
    return (unsigned)status < STATUS_COUNT ? status_names[status] : "UNKNOWN_STATUS";
}
