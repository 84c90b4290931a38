/* units.h - capacity units: what a request consumes (Developer Guide, "Capacity unit consumption").
 *
 * Kept in half units, so that sums are exact: an eventually consistent read of up to 4 KB is one
 * half.
 */
#ifndef ADMISSION_UNITS_H
#define ADMISSION_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#define UNIT_READ_BYTES  4096u
#define UNIT_WRITE_BYTES 1024u

/* Half units of reading `bytes` (0: something absent, which costs as much as the smallest item). */
static inline uint64_t units_read_halves(uint64_t bytes, bool consistent)
{
    uint64_t units = bytes == 0 ? 1 : (bytes + UNIT_READ_BYTES - 1) / UNIT_READ_BYTES;
    return consistent ? units * 2 : units;
}

/* Half units of writing an item: the larger of its images before and after counts. */
static inline uint64_t units_write_halves(uint32_t old_bytes, uint32_t new_bytes)
{
    uint64_t bytes = old_bytes > new_bytes ? old_bytes : new_bytes;
    uint64_t units = bytes == 0 ? 1 : (bytes + UNIT_WRITE_BYTES - 1) / UNIT_WRITE_BYTES;
    return units * 2;
}

#endif
