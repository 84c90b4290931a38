/* date.h - seconds since 1970 to and from dates of the Gregorian calendar, UTC. */
#ifndef BASE_DATE_H
#define BASE_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#define DATE_BASIC_BYTES 16u /* "20260131T235959Z": ISO 8601, basic format */

struct date {
    unsigned year, month, day; /* month and day from 1 */
    unsigned hour, minute, second;
};

/* The date at `seconds` since 1970-01-01T00:00:00Z; before the year 10000. */
struct date date_from_seconds(uint64_t seconds);

/* Write `value` with `count` digits; returns what follows. */
char *date_put_digits(char *to, unsigned value, int count);

/* ISO 8601 basic format; not terminated. */
void date_format_basic(uint64_t seconds, char to[DATE_BASIC_BYTES]);

/* True when `text` is a date from 1970 on in that format; then *seconds is its time. */
bool date_parse_basic(struct bytes text, uint64_t *seconds);

#endif
