#include "metadata/catalog.h"

#include "base/assert.h"

/* The system table's definition is part of the program: it is what the catalog is read with. */
static enum status make_system_table(struct catalog *catalog)
{
    struct partition whole = {.group_id = SYSTEM_GROUP_ID};
    struct table definition = {
        .id = SYSTEM_TABLE_ID,
        .schema_version = 1,
        .name = BYTES("trine.system"),
        .schema = {.partition = {BYTES("kind"), VALUE_S}, .sort = {BYTES("name"), VALUE_S}},
        .status = TABLE_ACTIVE,
        .billing = BILLING_ON_DEMAND,
        .partitions = &whole,
        .partition_count = 1,
    };
    struct buffer record;
    buffer_init(&record, catalog->heap, 4096);
    table_encode(&definition, &record);
    enum status status = STATUS_NO_MEMORY;
    if (!record.failed)
        status = table_decode(buffer_bytes(&record), catalog->heap, &catalog->system);
    buffer_release(&record);
    return status;
}

enum status catalog_open(struct catalog *catalog, struct heap *heap)
{
    *catalog = (struct catalog){.heap = heap};
    TRY(make_system_table(catalog));
    catalog->tables = heap_alloc(heap, CATALOG_TABLES_MAX * sizeof(struct table *));
    if (catalog->tables == NULL) {
        table_drop(catalog->system);
        return STATUS_NO_MEMORY;
    }
    return STATUS_OK;
}

void catalog_close(struct catalog *catalog)
{
    for (uint32_t i = 0; i < catalog->count; i++)
        table_drop(catalog->tables[i]);
    heap_free(catalog->heap, catalog->tables, CATALOG_TABLES_MAX * sizeof(struct table *));
    table_drop(catalog->system);
}

uint32_t catalog_position(const struct catalog *catalog, struct bytes name)
{
    uint32_t low = 0, high = catalog->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (bytes_compare(catalog->tables[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct table *catalog_find(const struct catalog *catalog, struct bytes name)
{
    uint32_t at = catalog_position(catalog, name);
    if (at < catalog->count && bytes_equal(catalog->tables[at]->name, name))
        return catalog->tables[at];
    return NULL;
}

struct table *catalog_departed(const struct catalog *catalog, struct bytes name)
{
    struct bytes first = BYTES(DEPARTED_PREFIX);
    uint32_t at = catalog_position(catalog, bytes_compare(name, first) < 0 ? first : name);
    return at < catalog->count && table_is_departed(catalog->tables[at]) ? catalog->tables[at]
                                                                         : NULL;
}

static void count(struct catalog *catalog, const struct table *table)
{
    bool departed = table_is_departed(table);
    *(departed ? &catalog->departed_partitions : &catalog->partitions) += table_partitions(table);
    catalog->departed += departed;
    catalog->departed_deleting += departed && table->status == TABLE_DELETING;
    catalog->unsettled += !table_is_settled(table);
    catalog->internal += table_name_is_internal(table->name);
}

static void uncount(struct catalog *catalog, const struct table *table)
{
    bool departed = table_is_departed(table);
    *(departed ? &catalog->departed_partitions : &catalog->partitions) -= table_partitions(table);
    catalog->departed -= departed;
    catalog->departed_deleting -= departed && table->status == TABLE_DELETING;
    catalog->unsettled -= !table_is_settled(table);
    catalog->internal -= table_name_is_internal(table->name);
}

enum status catalog_publish(struct catalog *catalog, struct table *table)
{
    uint32_t at = catalog_position(catalog, table->name);
    if (at < catalog->count && bytes_equal(catalog->tables[at]->name, table->name)) {
        struct table *old = catalog->tables[at];
        if (old->id > table->id ||
            (old->id == table->id && old->schema_version > table->schema_version)) {
            table_drop(table);
            return STATUS_OK;
        }
        catalog->tables[at] = table;
        uncount(catalog, old);
        count(catalog, table);
        table_drop(old);
        return STATUS_OK;
    }
    if (catalog->count == CATALOG_TABLES_MAX)
        return STATUS_BUSY;
    memmove(&catalog->tables[at + 1], &catalog->tables[at],
            (catalog->count - at) * sizeof(struct table *));
    catalog->tables[at] = table;
    count(catalog, table);
    catalog->count++;
    return STATUS_OK;
}

void catalog_remove(struct catalog *catalog, struct bytes name)
{
    struct table *table = catalog_find(catalog, name);
    if (table == NULL)
        return;
    uint32_t at = catalog_position(catalog, name);
    uncount(catalog, table);
    catalog->count--;
    memmove(&catalog->tables[at], &catalog->tables[at + 1],
            (catalog->count - at) * sizeof(struct table *));
    table_drop(table);
}
