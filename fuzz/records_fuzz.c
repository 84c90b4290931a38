/* Records that the node, the catalog and transactions keep: log entries, tables, intents, the
 * ledger's lists of items, marks, a replica's list of items with intents.  The first byte says
 * which. */
#include <stdint.h>
#include <stdlib.h>

#include "base/assert.h"
#include "metadata/table.h"
#include "node/entry.h"
#include "node/several.h"
#include "txn/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

/* An entry that reads is walked to its end. */
static void read_entry(struct bytes payload)
{
    struct entry_header header;
    if (entry_read(payload, &header) != STATUS_OK)
        return;
    struct mutation_walk walk = mutation_walk_of(payload);
    struct mutation mutation;
    uint32_t seen = 0;
    while (mutation_next(&walk, &mutation))
        seen++;
    ASSERT(seen == header.mutation_count && !walk.reader.failed);
}

/* A table that reads is written back as the same bytes, if they are of the newest format. */
static void read_table(struct bytes record)
{
    struct heap heap;
    heap_init(&heap, false);
    struct table *table;
    if (table_decode(record, &heap, &table) == STATUS_OK) {
        struct buffer again;
        buffer_init(&again, &heap, 16u << 20);
        table_encode(table, &again);
        ASSERT(record.at[0] != TABLE_FORMAT || bytes_equal(buffer_bytes(&again), record));
        (void)table_partition(table, record);
        buffer_release(&again);
        table_drop(table);
    }
    ASSERT(heap.bytes_used == 0);
}

/* An intent that reads is written back as the same bytes. */
static void read_intent(struct bytes row)
{
    struct intent intent;
    uint8_t header[INTENT_HEADER_BYTES];
    if (intent_read(row, &intent) != STATUS_OK)
        return;
    intent_write(header, &intent);
    ASSERT(memcmp(header, row.at, sizeof(header)) == 0);
    ASSERT(intent.image.count == row.count - sizeof(header));
}

/* So is a ledger's record; and what its keys are is asked without trust. */
static void read_ledger(struct bytes record)
{
    struct ledger_item items[TXN_ITEMS_MAX];
    struct reader walk;
    uint64_t begun_ns;
    uint32_t count, seen = 0;
    if (ledger_record_read(record, &begun_ns, &count, &walk) != STATUS_OK)
        return;
    while (seen < TXN_ITEMS_MAX && ledger_record_next(&walk, &items[seen])) {
        struct key intent, item;
        if (intent_key(items[seen].key, &intent) == STATUS_OK)
            ASSERT(intent_key_is(key_bytes(&intent), &item) &&
                   bytes_equal(key_bytes(&item), items[seen].key));
        seen++;
    }
    ASSERT(seen == count && reader_left(&walk) == 0);
    struct heap heap;
    struct buffer again;
    heap_init(&heap, false);
    buffer_init(&again, &heap, 16u << 20);
    ledger_record_write(&again, begun_ns, items, count);
    ASSERT(bytes_equal(buffer_bytes(&again), record));
    buffer_release(&again);
    ASSERT(heap.bytes_used == 0);
}

static void read_mark(struct bytes row)
{
    enum txn_state state;
    if (mark_read(row, &state) == STATUS_OK)
        ASSERT(state == TXN_STATE_COMMITTED || state == TXN_STATE_CANCELLED);
}

/* A list that was checked is taken whole, and each of its keys found. */
static void read_intents_list(struct bytes list)
{
    struct heap heap;
    struct intents intents;
    struct reader keys;
    uint32_t count;
    if (intents_check_list(list, &count, &keys) != STATUS_OK)
        return;
    heap_init(&heap, false);
    intents_init(&intents, &heap, 1);
    if (intents_read_list(&intents, keys, count) == STATUS_OK) {
        for (uint32_t i = 0; i < count; i++)
            ASSERT(intents_find(&intents, read_bytes(&keys, read_u16(&keys))) != NULL);
        ASSERT(reader_left(&keys) == 0 && intents_count(&intents) <= count);
    }
    intents_release(&intents);
    ASSERT(heap.bytes_used == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    if (count == 0)
        return 0;
    struct bytes rest = bytes_of(data + 1, count - 1);
    switch (data[0] % 6) {
    case 0:
        read_entry(rest);
        break;
    case 1:
        read_table(rest);
        break;
    case 2:
        read_intent(rest);
        break;
    case 4:
        read_mark(rest);
        break;
    case 5:
        read_intents_list(rest);
        break;
    default:
        read_ledger(rest);
        break;
    }
    return 0;
}
