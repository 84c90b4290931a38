/* Tables: the catalog's record there and back, damaged ones, partitions by key, the catalog's
 * order. */
#include "unit/cmocka_headers.h"

#include "metadata/catalog.h"
#include "metadata/table.h"

static struct tag tags[2];
static struct partition partitions[3];
static struct index_schema indexes[3];
static struct partition index_partitions[2];
static struct table_index globals[1];

static int set_up(void **state)
{
    (void)state;
    tags[0] = (struct tag){BYTES("team"), BYTES("a")};
    tags[1] = (struct tag){BYTES("empty"), BYTES("")};
    partitions[0] = (struct partition){.group_id = 10, .high = BYTES("\x40")};
    partitions[1] =
        (struct partition){.group_id = 11, .low = BYTES("\x40"), .high = BYTES("\x80\x00")};
    partitions[2] = (struct partition){.group_id = 12, .low = BYTES("\x80\x00")};
    for (uint8_t i = 0; i < 2; i++) {
        indexes[i] = (struct index_schema){.name = i == 0 ? BYTES("by-date") : BYTES("by-rank"),
                                           .collection = (uint8_t)(i + 1),
                                           .partition_count = 1,
                                           .sort_count = 1,
                                           .projection = i == 0 ? PROJECT_ALL : PROJECT_INCLUDE,
                                           .non_key_count = i};
        indexes[i].partition[0] = (struct key_attribute){BYTES("pk"), VALUE_S};
        indexes[i].sort[0] = (struct key_attribute){BYTES("date"), VALUE_B};
    }
    indexes[1].non_key[0] = BYTES("more");
    indexes[2] = (struct index_schema){.name = BYTES("everywhere"),
                                       .kind = INDEX_GLOBAL,
                                       .partition_count = 1,
                                       .projection = PROJECT_KEYS_ONLY};
    indexes[2].partition[0] = (struct key_attribute){BYTES("artist"), VALUE_S};
    index_partitions[0] = (struct partition){.group_id = 20, .high = BYTES("\x90")};
    index_partitions[1] = (struct partition){.group_id = 21, .low = BYTES("\x90")};
    globals[0] = (struct table_index){.id = 43,
                                      .hash_seed = 98,
                                      .status = TABLE_CREATING,
                                      .online = true,
                                      .backfilling = true,
                                      .read_units = 7,
                                      .write_units = 8,
                                      .decreases_today = 1,
                                      .on_demand_read_max = -1,
                                      .warm = {9, 10},
                                      .partitions = index_partitions,
                                      .partition_count = 2};
    return 0;
}

static struct table example(struct bytes name)
{
    return (struct table){
        .id = 42,
        .schema_version = 3,
        .name = name,
        .uuid = {1, 2, 3},
        .hash_seed = 99,
        .schema = {.partition = {BYTES("pk"), VALUE_S}, .sort = {BYTES("sk"), VALUE_N}},
        .status = TABLE_UPDATING,
        .created_ms = 1234567,
        .billing = BILLING_PROVISIONED,
        .read_units = 5,
        .write_units = 6,
        .decreases_today = 2,
        .has_on_demand_maximum = true,
        .on_demand_read_max = -1,
        .on_demand_write_max = 100,
        .deletion_protection = true,
        .table_class = TABLE_CLASS_INFREQUENT_ACCESS,
        .tags = tags,
        .tag_count = 2,
        .partitions = partitions,
        .partition_count = 3,
        .indexes = indexes,
        .index_count = 3,
        .globals = globals,
        .global_count = 1,
        .ttl = TTL_ENABLING,
        .ttl_attribute = BYTES("expires"),
        .ttl_changed_ms = 77,
        .warm = {13000, 5000},
        .sse = {true, BYTES("arn:aws:kms:key")},
        .switched_ms = {9, 8, 7, 6},
        .class_changes_ms = {5, 4},
        .policy = BYTES("{}"),
        .policy_revision = 5};
}

static void encode(const struct table *table, struct buffer *record, struct heap *heap)
{
    buffer_init(record, heap, 65536);
    table_encode(table, record);
    assert_false(record->failed);
}

static void reads_what_it_wrote(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap, false);
    struct table table = example(BYTES("Music"));
    struct buffer record, again;
    encode(&table, &record, &heap);
    struct table *read;
    assert_int_equal(table_decode(buffer_bytes(&record), &heap, &read), STATUS_OK);
    assert_true(bytes_equal(read->name, BYTES("Music")));
    assert_true(bytes_equal(read->schema.sort.name, BYTES("sk")));
    assert_int_equal(read->on_demand_read_max, -1);
    assert_true(bytes_equal(read->tags[1].key, BYTES("empty")));
    const struct index_schema *index = table_index(read, BYTES("by-rank"));
    assert_non_null(index);
    assert_int_equal(index->collection, 2);
    assert_true(bytes_equal(index->sort[0].name, BYTES("date")));
    assert_true(bytes_equal(index->non_key[0], BYTES("more")));
    assert_null(table_index(read, BYTES("by-ran")));
    assert_int_equal(read->ttl, TTL_ENABLING);
    assert_true(bytes_equal(table_ttl(read), BYTES("expires")));
    assert_int_equal(read->ttl_changed_ms, 77);
    assert_int_equal(read->warm.write_units, 5000);
    assert_true(read->sse.kms && bytes_equal(read->sse.key_arn, BYTES("arn:aws:kms:key")));
    assert_int_equal(read->switched_ms[3], 6);
    assert_int_equal(read->class_changes_ms[1], 4);
    assert_true(bytes_equal(read->policy, BYTES("{}")));
    assert_int_equal(read->policy_revision, 5);
    struct reader r = reader_of(read->index_run);
    assert_int_equal(index_read_count(&r), 3);
    const struct index_schema *global = table_index(read, BYTES("everywhere"));
    const struct table_index *own = table_global(read, global);
    assert_null(table_global(read, index));
    assert_int_equal(own->id, 43);
    assert_true(own->online && own->backfilling && own->status == TABLE_CREATING);
    assert_int_equal(own->write_units, 8);
    assert_int_equal(own->on_demand_read_max, -1);
    assert_int_equal(own->warm.read_units, 9);
    assert_int_equal(own->warm.write_units, 10);
    assert_int_equal(table_index_partition(own, BYTES("\x8f"))->group_id, 20);
    assert_int_equal(table_index_partition(own, BYTES("\x90"))->group_id, 21);
    assert_ptr_equal(table_global_of_id(read, 43), own);
    assert_null(table_global_of_id(read, 42));
    assert_ptr_equal(table_global_schema(read, own), global);
    assert_int_equal(table_partitions(read), 5);
    assert_false(table_is_settled(read));
    encode(read, &again, &heap);
    assert_true(bytes_equal(buffer_bytes(&record), buffer_bytes(&again)));
    buffer_release(&again);
    buffer_release(&record);
    table_drop(read);
    assert_int_equal(heap.bytes_used, 0);
}

static void knows_its_streams(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap, false);
    struct table table = example(BYTES("Music"));
    assert_null(table_stream(&table));
    table_stream_begin(&table, STREAM_KEYS_ONLY, 1000);
    assert_int_equal(table_stream(&table)->number, 1);
    table_stream_end(&table, 900); /* the clock went back */
    assert_null(table_stream(&table));
    assert_int_equal(table.streams[0].ended_ms, 1000);
    assert_true(table_stream_lives(&table.streams[0], 1000 + STREAM_RETENTION_MS - 1));
    assert_false(table_stream_lives(&table.streams[0], 1000 + STREAM_RETENTION_MS));
    for (unsigned i = 0; i < 300; i++) {
        table_stream_begin(&table, STREAM_NEW_IMAGE, 1000);
        assert_true(table_stream(&table)->created_ms == 1001 + i); /* no two labels are the same */
        assert_int_equal(table_stream(&table)->number, (1 + i) % 255 + 1);
        if (i < 299)
            table_stream_end(&table, 1000);
    }
    assert_int_equal(table.stream_count, TABLE_STREAMS_MAX);

    struct buffer record;
    struct table *read;
    encode(&table, &record, &heap);
    assert_int_equal(table_decode(buffer_bytes(&record), &heap, &read), STATUS_OK);
    assert_int_equal(read->stream_count, TABLE_STREAMS_MAX);
    assert_memory_equal(read->streams, table.streams, sizeof(table.streams));
    assert_int_equal(read->stream_number, table_stream(&table)->number);
    assert_true(table_stream_lives(table_stream(read), UINT64_MAX));
    table_drop(read);
    record.at[record.count - 1] = STREAM_KEYS_ONLY + 1; /* its view */
    assert_int_equal(table_decode(buffer_bytes(&record), &heap, &read), STATUS_CORRUPT);
    record.at[record.count - 1] = STREAM_KEYS_ONLY;
    record.at[record.count - 2] = 0; /* its number */
    assert_int_equal(table_decode(buffer_bytes(&record), &heap, &read), STATUS_CORRUPT);
    buffer_release(&record);
    assert_int_equal(heap.bytes_used, 0);
}

static void refuses_damage(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap, false);
    struct table table = example(BYTES("Music"));
    struct buffer record;
    encode(&table, &record, &heap);
    struct table *read;
    for (size_t cut = 0; cut < record.count; cut++)
        assert_int_equal(table_decode(bytes_of(record.at, cut), &heap, &read), STATUS_CORRUPT);
    for (uint8_t format = 0; format < 4; format++) {
        record.at[0] = format;
        assert_int_equal(table_decode(buffer_bytes(&record), &heap, &read) == STATUS_VERSION,
                         format != TABLE_FORMAT);
        if (format == TABLE_FORMAT)
            table_drop(read);
    }
    buffer_release(&record);

    indexes[1].collection = 1; /* twice */
    encode(&table, &record, &heap);
    assert_int_equal(table_decode(buffer_bytes(&record), &heap, &read), STATUS_CORRUPT);
    buffer_release(&record);
    indexes[1].collection = 2;

    table.ttl_attribute = (struct bytes){0}; /* enabled, and of no attribute */
    encode(&table, &record, &heap);
    assert_int_equal(table_decode(buffer_bytes(&record), &heap, &read), STATUS_CORRUPT);
    buffer_release(&record);
    table.ttl_attribute = BYTES("expires");
    index_partitions[1].low = BYTES("\x91"); /* a gap */
    encode(&table, &record, &heap);
    assert_int_equal(table_decode(buffer_bytes(&record), &heap, &read), STATUS_CORRUPT);
    buffer_release(&record);
    index_partitions[1].low = BYTES("\x90");

    struct partition gap[] = {partitions[0], partitions[2]};
    table.partitions = gap;
    table.partition_count = 2;
    encode(&table, &record, &heap);
    assert_int_equal(table_decode(buffer_bytes(&record), &heap, &read), STATUS_CORRUPT);
    buffer_release(&record);
    assert_int_equal(heap.bytes_used, 0);
}

static enum status decode_again(const struct table *table, struct heap *heap, struct table **read)
{
    struct buffer record;
    encode(table, &record, heap);
    enum status status = table_decode(buffer_bytes(&record), heap, read);
    buffer_release(&record);
    return status;
}

static void a_departed_table_has_its_streams_and_nothing_else(void **state)
{
    (void)state;
    struct heap heap;
    char name[DEPARTED_NAME_BYTES_MAX];
    struct table table = example(BYTES("Music")), *read;
    heap_init(&heap, false);
    assert_int_equal(table_streams_end_ms(&table), 0);
    table_stream_begin(&table, STREAM_KEYS_ONLY, 1000);
    table_stream_end(&table, 2000);
    table_stream_begin(&table, STREAM_NEW_IMAGE, 3000);
    assert_true(table_streams_end_ms(&table) == UINT64_MAX);
    table_stream_end(&table, 4000);
    assert_int_equal(table_streams_end_ms(&table), 4000 + STREAM_RETENTION_MS);
    assert_false(table_is_departed(&table));
    assert_true(bytes_equal(table_stream_name(&table), BYTES("Music")));

    struct table departed = table;
    table_depart(&departed, table_departed_name(table.name, table.id, name),
                 2000 + STREAM_RETENTION_MS); /* the first is over */
    assert_int_equal(decode_again(&departed, &heap, &read), STATUS_OK);
    assert_true(bytes_equal(read->name, BYTES("#streams#Music#00000000000000000042")));
    assert_true(table_is_departed(read) && table_is_settled(read));
    assert_true(table_name_is_internal(read->name));
    assert_true(bytes_equal(table_stream_name(read), BYTES("Music")));
    assert_int_equal(read->status, TABLE_DEPARTED);
    assert_int_equal(read->stream_count, 1);
    assert_int_equal(read->streams[0].created_ms, 3000);
    assert_int_equal(read->streams[0].number, 2);
    assert_int_equal(read->index_count + read->global_count + read->tag_count, 0);
    assert_int_equal(read->partition_count, 3);
    assert_int_equal(table_partitions(read), 3);
    assert_true(bytes_equal(read->schema.sort.name, BYTES("sk")));
    assert_int_equal(read->keeps_changes, 0);
    assert_int_equal(read->ttl, TTL_DISABLED);
    table_drop(read);

    departed.status = TABLE_DELETING; /* its time is over */
    assert_int_equal(decode_again(&departed, &heap, &read), STATUS_OK);
    assert_true(table_is_departed(read) && !table_is_settled(read));
    table_drop(read);

    /* Damaged in every way. */
    departed.status = TABLE_ACTIVE;
    assert_int_equal(decode_again(&departed, &heap, &read), STATUS_CORRUPT);
    departed.status = TABLE_DEPARTED;
    departed.id++;
    assert_int_equal(decode_again(&departed, &heap, &read), STATUS_CORRUPT);
    departed.id--;
    departed.streams[0].ended_ms = 0;
    assert_int_equal(decode_again(&departed, &heap, &read), STATUS_CORRUPT);
    departed.streams[0].ended_ms = 4000;
    departed.stream_count = 0;
    assert_int_equal(decode_again(&departed, &heap, &read), STATUS_CORRUPT);
    departed.stream_count = 1;
    departed.index_count = 1;
    assert_int_equal(decode_again(&departed, &heap, &read), STATUS_CORRUPT);
    departed.index_count = 0;
    departed.name = BYTES("#streams##00000000000000000042");
    assert_int_equal(decode_again(&departed, &heap, &read), STATUS_CORRUPT);
    departed.name = BYTES("Music");
    assert_int_equal(decode_again(&departed, &heap, &read), STATUS_CORRUPT);
    assert_int_equal(heap.bytes_used, 0);
}

static void finds_the_partition_of_a_key(void **state)
{
    (void)state;
    struct table table = example(BYTES("Music"));
    assert_int_equal(table_partition(&table, BYTES("\x00"))->group_id, 10);
    assert_int_equal(table_partition(&table, BYTES("\x3f\xff\xff"))->group_id, 10);
    assert_int_equal(table_partition(&table, BYTES("\x40"))->group_id, 11);
    assert_int_equal(table_partition(&table, BYTES("\x80"))->group_id, 11);
    assert_int_equal(table_partition(&table, BYTES("\x80\x00"))->group_id, 12);
    assert_int_equal(table_partition(&table, BYTES("\xff\xff"))->group_id, 12);
}

static void publish(struct catalog *catalog, struct bytes name, uint64_t id, uint64_t version)
{
    struct table table = example(name);
    table.id = id;
    table.schema_version = version;
    struct buffer record;
    encode(&table, &record, catalog->heap);
    struct table *made;
    assert_int_equal(table_decode(buffer_bytes(&record), catalog->heap, &made), STATUS_OK);
    buffer_release(&record);
    assert_int_equal(catalog_publish(catalog, made), STATUS_OK);
}

static void the_catalog_keeps_names_sorted_and_the_newest_version(void **state)
{
    (void)state;
    struct heap heap;
    heap_init(&heap, false);
    struct catalog catalog;
    assert_int_equal(catalog_open(&catalog, &heap), STATUS_OK);
    publish(&catalog, BYTES("b"), 2, 1);
    publish(&catalog, BYTES("c"), 3, 1);
    publish(&catalog, BYTES("a"), 4, 1);
    publish(&catalog, BYTES("b"), 2, 5);
    publish(&catalog, BYTES("b"), 2, 4); /* late */
    assert_int_equal(catalog.count, 3);
    assert_true(bytes_equal(catalog.tables[0]->name, BYTES("a")));
    assert_true(bytes_equal(catalog.tables[2]->name, BYTES("c")));
    assert_int_equal(catalog_find(&catalog, BYTES("b"))->schema_version, 5);
    publish(&catalog, BYTES("b"), 9, 1); /* a table that was made anew under the name */
    assert_int_equal(catalog_find(&catalog, BYTES("b"))->id, 9);
    assert_int_equal(catalog_position(&catalog, BYTES("bb")), 2);
    catalog_remove(&catalog, BYTES("b"));
    catalog_remove(&catalog, BYTES("b"));
    assert_null(catalog_find(&catalog, BYTES("b")));
    catalog_close(&catalog);
    assert_int_equal(heap.bytes_used, 0);
}

static void publish_departed(struct catalog *catalog, struct bytes name, uint64_t id,
                             enum table_status status)
{
    char text[DEPARTED_NAME_BYTES_MAX];
    struct table table = example(name), *made;
    table.id = id;
    table.schema_version = status == TABLE_DEPARTED ? 1 : 2;
    table_stream_begin(&table, STREAM_NEW_IMAGE, 1000);
    table_stream_end(&table, 1000);
    table_depart(&table, table_departed_name(name, id, text), 1000);
    table.status = status;
    assert_int_equal(decode_again(&table, catalog->heap, &made), STATUS_OK);
    assert_int_equal(catalog_publish(catalog, made), STATUS_OK);
}

static void departed_tables_are_counted_apart_and_sorted_by_their_former_names(void **state)
{
    (void)state;
    struct heap heap;
    struct catalog catalog;
    char text[DEPARTED_NAME_BYTES_MAX];
    static const struct {
        const char *name;
        uint64_t id;
    } sorted[] = {{"ab", 9}, {"ab", 10}, {"ab-", 5}, {"ab.c", 4}, {"ab0", 3}, {"abc", 2}};
    heap_init(&heap, false);
    assert_int_equal(catalog_open(&catalog, &heap), STATUS_OK);
    publish(&catalog, BYTES("ab"), 20, 1);
    publish(&catalog, BYTES("#ledger"), 21, 1);
    publish(&catalog, BYTES("#tokens"), 22, 1);
    assert_null(catalog_departed(&catalog, (struct bytes){0}));
    for (unsigned i = 0; i < 6; i++)
        publish_departed(&catalog, bytes_of_text(sorted[5 - i].name), sorted[5 - i].id,
                         TABLE_DEPARTED);
    assert_int_equal(catalog.count, 9);
    assert_int_equal(catalog.internal, 8);
    assert_int_equal(catalog.departed, 6);
    assert_int_equal(catalog.departed_partitions, 18);
    assert_int_equal(catalog.partitions, 15);
    assert_int_equal(catalog.unsettled, 3);
    struct bytes after = {0};
    for (unsigned i = 0; i < 6; i++) {
        const struct table *table = catalog_departed(&catalog, after);
        assert_true(bytes_equal(table_stream_name(table), bytes_of_text(sorted[i].name)));
        assert_int_equal(table->id, sorted[i].id);
        after = table_departed_name(table_stream_name(table), table->id + 1, text);
    }
    assert_null(catalog_departed(&catalog, after));
    publish_departed(&catalog, BYTES("ab"), 10, TABLE_DELETING);
    assert_int_equal(catalog.departed, 6);
    assert_int_equal(catalog.departed_deleting, 1);
    assert_int_equal(catalog.unsettled, 4);
    catalog_remove(&catalog, table_departed_name(BYTES("ab"), 10, text));
    assert_int_equal(catalog.departed, 5);
    assert_int_equal(catalog.departed_deleting, 0);
    assert_int_equal(catalog.departed_partitions, 15);
    assert_int_equal(catalog.unsettled, 3);
    catalog_close(&catalog);
    assert_int_equal(heap.bytes_used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_wrote),
        cmocka_unit_test(knows_its_streams),
        cmocka_unit_test(refuses_damage),
        cmocka_unit_test(finds_the_partition_of_a_key),
        cmocka_unit_test(the_catalog_keeps_names_sorted_and_the_newest_version),
        cmocka_unit_test(a_departed_table_has_its_streams_and_nothing_else),
        cmocka_unit_test(departed_tables_are_counted_apart_and_sorted_by_their_former_names),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
