#include "unit/cmocka_headers.h"

#include "node/entry.h"

static size_t build(uint8_t *payload, bool with_before)
{
    struct entry_header header = {.origin_region = 3,
                                  .mutation_count = 2,
                                  .hlc = 0x1122334455667788,
                                  .table_id = 7,
                                  .schema_version = 9,
                                  .request_id = {1, 2},
                                  .item_bytes = -5};
    struct mutation put = {.kind = MUTATION_PUT, .key = BYTES("key-1"), .row = BYTES("row")};
    struct mutation delete = {.kind = MUTATION_DELETE, .key = BYTES("key-2")};
    if (with_before) {
        delete.has_before = true;
        delete.before = BYTES("before");
    }
    entry_header_write(payload, &header);
    uint8_t *end = mutation_write(payload + ENTRY_HEADER_BYTES, &put);
    end = mutation_write(end, &delete);
    return (size_t)(end - payload);
}

static void reads_what_it_wrote(void **state)
{
    (void)state;
    uint8_t payload[256];
    size_t bytes = build(payload, true);
    struct entry_header header;
    assert_int_equal(entry_read(bytes_of(payload, bytes), &header), STATUS_OK);
    assert_int_equal(header.mutation_count, 2);
    assert_int_equal(header.origin_region, 3);
    assert_true(header.hlc == 0x1122334455667788 && header.table_id == 7);
    assert_true(header.schema_version == 9 && header.request_id[1] == 2);
    assert_int_equal(header.item_bytes, -5);

    struct reader r = reader_of(bytes_of(payload + ENTRY_HEADER_BYTES, bytes - ENTRY_HEADER_BYTES));
    struct mutation mutation;
    assert_true(mutation_next(&r, &mutation));
    assert_int_equal(mutation.kind, MUTATION_PUT);
    assert_true(bytes_equal(mutation.row, BYTES("row")) && !mutation.has_before);
    assert_true(mutation_next(&r, &mutation));
    assert_int_equal(mutation.kind, MUTATION_DELETE);
    assert_true(bytes_equal(mutation.key, BYTES("key-2")));
    assert_true(mutation.has_before && bytes_equal(mutation.before, BYTES("before")));
    assert_false(mutation_next(&r, &mutation));
    assert_false(r.failed);
}

static void refuses_every_shorter_payload(void **state)
{
    (void)state;
    uint8_t payload[256];
    size_t bytes = build(payload, true);
    struct entry_header header;
    for (size_t cut = 0; cut < bytes; cut++)
        assert_int_equal(entry_read(bytes_of(payload, cut), &header), STATUS_CORRUPT);
    payload[bytes] = 0;
    assert_int_equal(entry_read(bytes_of(payload, bytes + 1), &header), STATUS_CORRUPT);
}

static void refuses_what_it_does_not_know(void **state)
{
    (void)state;
    uint8_t payload[256];
    struct entry_header header;
    size_t bytes = build(payload, false);
    payload[0] = ENTRY_FORMAT + 1;
    assert_int_equal(entry_read(bytes_of(payload, bytes), &header), STATUS_VERSION);
    bytes = build(payload, false);
    payload[ENTRY_HEADER_BYTES] = 3; /* a kind of mutation */
    assert_int_equal(entry_read(bytes_of(payload, bytes), &header), STATUS_CORRUPT);
    bytes = build(payload, false);
    payload[ENTRY_HEADER_BYTES + 1] = 2; /* a flag */
    assert_int_equal(entry_read(bytes_of(payload, bytes), &header), STATUS_CORRUPT);
    bytes = build(payload, false);
    put_u32(payload + 4, 3); /* the count */
    assert_int_equal(entry_read(bytes_of(payload, bytes), &header), STATUS_CORRUPT);
    bytes = build(payload, false);
    put_u64(payload + 48, UINT64_MAX - 400000000); /* what the sizes change by */
    assert_int_equal(entry_read(bytes_of(payload, bytes), &header), STATUS_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_wrote),
        cmocka_unit_test(refuses_every_shorter_payload),
        cmocka_unit_test(refuses_what_it_does_not_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
