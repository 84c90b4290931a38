#include "base/date.h"

/* Both conversions count years from March, so that the leap day is the last of a year: Howard
 * Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days and days_from_civil. */
#define DAYS_PER_ERA 146097u /* of 400 years */
#define DAYS_TO_1970 719468u /* from 0000-03-01 */

struct date date_from_seconds(uint64_t seconds)
{
    uint64_t shifted = seconds / 86400 + DAYS_TO_1970;
    uint64_t era = shifted / DAYS_PER_ERA;
    unsigned day_of_era = (unsigned)(shifted - era * DAYS_PER_ERA);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month = (5 * day_of_year + 2) / 153; /* 0 = March */
    struct date date;
    date.day = day_of_year - (153 * month + 2) / 5 + 1;
    date.month = month < 10 ? month + 3 : month - 9;
    date.year = (unsigned)(year_of_era + era * 400) + (date.month <= 2);
    unsigned of_day = (unsigned)(seconds % 86400);
    date.hour = of_day / 3600;
    date.minute = of_day / 60 % 60;
    date.second = of_day % 60;
    return date;
}

static uint64_t seconds_of(const struct date *date)
{
    unsigned year = date->year - (date->month <= 2);
    unsigned era = year / 400;
    unsigned year_of_era = year - era * 400;
    unsigned month = date->month > 2 ? date->month - 3 : date->month + 9;
    unsigned day_of_year = (153 * month + 2) / 5 + date->day - 1;
    unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    uint64_t days = (uint64_t)era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
    return days * 86400 + date->hour * 3600u + date->minute * 60u + date->second;
}

char *date_put_digits(char *to, unsigned value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        to[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return to + count;
}

void date_format_basic(uint64_t seconds, char to[DATE_BASIC_BYTES])
{
    struct date date = date_from_seconds(seconds);
    char *next = date_put_digits(to, date.year, 4);
    next = date_put_digits(next, date.month, 2);
    next = date_put_digits(next, date.day, 2);
    *next++ = 'T';
    next = date_put_digits(next, date.hour, 2);
    next = date_put_digits(next, date.minute, 2);
    next = date_put_digits(next, date.second, 2);
    *next = 'Z';
}

static bool read_digits(const uint8_t *at, int count, unsigned *value)
{
    *value = 0;
    for (int i = 0; i < count; i++) {
        if (at[i] < '0' || at[i] > '9')
            return false;
        *value = *value * 10 + (at[i] - '0');
    }
    return true;
}

bool date_parse_basic(struct bytes text, uint64_t *seconds)
{
    const uint8_t *at = text.at;
    struct date d;
    if (text.count != DATE_BASIC_BYTES || at[8] != 'T' || at[15] != 'Z' ||
        !read_digits(at, 4, &d.year) || !read_digits(at + 4, 2, &d.month) ||
        !read_digits(at + 6, 2, &d.day) || !read_digits(at + 9, 2, &d.hour) ||
        !read_digits(at + 11, 2, &d.minute) || !read_digits(at + 13, 2, &d.second))
        return false;
    if (d.year < 1970 || d.month < 1 || d.month > 12 || d.day < 1 || d.day > 31 || d.hour > 23 ||
        d.minute > 59 || d.second > 60)
        return false;
    *seconds = seconds_of(&d);
    return true;
}
