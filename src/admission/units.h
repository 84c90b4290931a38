/* units.h - capacity units: what a request consumes (Developer Guide, "Capacity unit consumption").
 *
 * Kept in half units, so that sums are exact: an eventually consistent read of up to 4 KB is one
 * half.
 */
#ifndef ADMISSION_UNITS_H
#define ADMISSION_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "request/data.h"

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

#define UNITS_WRITE_LEAST 2u /* what any write costs, in half units */

static inline uint32_t units_read_least(bool consistent)
{
    return consistent ? 2u : 1u;
}

/* Half units that a write which ended with `status` has cost its table beyond UNITS_WRITE_LEAST;
 * negative: it was refused for what it asked and costs nothing.  Rows of local indexes lie in the
 * table's partition and are part of it; those of global ones are not. */
static inline int64_t units_write_rest(enum status status, const struct write_result *result)
{
    uint64_t cost = 0;
    if (status == STATUS_CONDITION_FAILED)
        cost = units_write_halves(result->old_bytes, 0);
    if (status == STATUS_OK && !result->was_newer) {
        cost = units_write_halves(result->old_bytes, result->new_bytes);
        for (uint32_t i = 0; i < result->local_index_count; i++)
            cost += result->index_half_units[i];
    }
    return (int64_t)cost - (int64_t)UNITS_WRITE_LEAST;
}

/* Half units that an action of a transaction has cost: twice those of a single write, but for the
 * rows of indexes (facts observed of the service: they cost as outside). */
static inline int64_t units_transaction_halves(enum status status,
                                               const struct write_result *result)
{
    int64_t cost = units_write_rest(status, result) + (int64_t)UNITS_WRITE_LEAST;
    if (status == STATUS_CONDITION_FAILED)
        cost *= 2;
    if (status == STATUS_OK)
        cost += (int64_t)units_write_halves(result->old_bytes, result->new_bytes);
    return cost;
}

#endif
