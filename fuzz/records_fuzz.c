/* Records that the node and the catalog keep: log entries, tables.  The first byte says which. */
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "metadata/table.h"
#include "node/entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

/* An entry that reads is walked to its end. */
static void read_entry(struct bytes payload)
{
    struct entry_header header;
    if (entry_read(payload, &header) != STATUS_OK)
        return;
    struct reader r = reader_of(bytes_after(payload, ENTRY_HEADER_BYTES));
    struct mutation mutation;
    uint32_t seen = 0;
    while (mutation_next(&r, &mutation))
        seen++;
    ASSERT(seen == header.mutation_count && !r.failed);
}

/* A table that reads is written back as the same bytes. */
static void read_table(struct bytes record)
{
    struct heap heap;
    heap_init(&heap, false);
    struct table *table;
    if (table_decode(record, &heap, &table) == STATUS_OK) {
        struct buffer again;
        buffer_init(&again, &heap, 16u << 20);
        table_encode(table, &again);
        ASSERT(bytes_equal(buffer_bytes(&again), record));
        (void)table_partition(table, record);
        buffer_release(&again);
        table_drop(table);
    }
    ASSERT(heap.bytes_used == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    if (count == 0)
        return 0;
    struct bytes rest = bytes_of(data + 1, count - 1);
    if (data[0] % 2 == 0)
        read_entry(rest);
    else
        read_table(rest);
    return 0;
}
