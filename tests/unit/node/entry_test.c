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
                                  .absent_timestamp = 11,
                                  .intents = -3};
    struct mutation put = {.kind = MUTATION_PUT,
                           .key = BYTES("key-1"),
                           .row = BYTES("row"),
                           .is_new = true,
                           .size_change = 5};
    struct mutation delete = {
        .kind = MUTATION_DELETE, .key = BYTES("key-2"), .size_change = -400 * 1024};
    if (with_before) {
        delete.has_before = true;
        delete.before = BYTES("before");
    }
    entry_header_write(payload, &header);
    put.row = with_before ? (struct bytes){0} : BYTES("row");
    uint8_t *end = mutation_write(payload + ENTRY_HEADER_BYTES, &put);
    if (with_before) { /* its row comes after it */
        mutation_set_row_bytes(payload + ENTRY_HEADER_BYTES, 3);
        memcpy(end, "row", 3);
        end += 3;
    }
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
    assert_true(header.absent_timestamp == 11 && header.intents == -3);

    struct mutation_walk walk = mutation_walk_of(bytes_of(payload, bytes));
    struct mutation mutation;
    assert_true(mutation_next(&walk, &mutation));
    assert_int_equal(mutation.kind, MUTATION_PUT);
    assert_true(bytes_equal(mutation.row, BYTES("row")) && !mutation.has_before);
    assert_true(mutation.is_new);
    assert_int_equal(mutation.size_change, 5);
    assert_true(mutation_next(&walk, &mutation));
    assert_int_equal(mutation.kind, MUTATION_DELETE);
    assert_true(bytes_equal(mutation.key, BYTES("key-2")));
    assert_false(mutation.is_new);
    assert_int_equal(mutation.size_change, -400 * 1024);
    assert_true(mutation.has_before && bytes_equal(mutation.before, BYTES("before")));
    assert_false(mutation_next(&walk, &mutation));
    assert_false(walk.reader.failed);
}

static void reads_flags_and_marks(void **state)
{
    (void)state;
    uint8_t payload[128];
    struct entry_header header = {.actor = 1,
                                  .flags = ENTRY_KEEPS_CHANGES | ENTRY_FOR_STREAM,
                                  .stream = 9,
                                  .mutation_count = 2};
    struct mutation set = {
        .kind = MUTATION_MARK, .key = BYTES("consumer"), .row = BYTES("the slot")};
    struct mutation gone = {.kind = MUTATION_MARK, .key = BYTES("consumer")};
    entry_header_write(payload, &header);
    uint8_t *end = mutation_write(payload + ENTRY_HEADER_BYTES, &set);
    end = mutation_write(end, &gone);
    struct bytes whole = bytes_of(payload, (size_t)(end - payload));
    struct entry_header read;
    assert_int_equal(entry_read(whole, &read), STATUS_OK);
    assert_int_equal(read.actor, 1);
    assert_int_equal(read.flags, header.flags);
    assert_int_equal(entry_flags(whole), header.flags);
    assert_int_equal(read.stream, 9);
    for (unsigned flags = 0; flags < 256; flags++) {
        for (unsigned stream = 0; stream < 2; stream++) {
            payload[6] = (uint8_t)flags;
            payload[7] = (uint8_t)stream;
            bool known = stream == 0 ? flags == 0 || flags == 1 : flags == 3;
            assert_int_equal(entry_read(whole, &read), known ? STATUS_OK : STATUS_CORRUPT);
        }
    }
    payload[6] = payload[7] = 0;
    uint8_t *mark = payload + ENTRY_HEADER_BYTES;
    for (unsigned at = 1; at < ENTRY_MUTATION_BYTES; at++) { /* flags, lengths, size: one form */
        mark[at] ^= 1;
        assert_int_equal(entry_read(whole, &read), STATUS_CORRUPT);
        mark[at] ^= 1;
    }
    assert_int_equal(entry_read(whole, &read), STATUS_OK);
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
    for (uint8_t format = 0; format < 6; format++) {
        payload[0] = format;
        assert_int_equal(entry_read(bytes_of(payload, bytes), &header),
                         format == ENTRY_FORMAT ? STATUS_OK : STATUS_VERSION);
    }
    bytes = build(payload, false);
    payload[ENTRY_HEADER_BYTES] = 3; /* a kind of mutation */
    assert_int_equal(entry_read(bytes_of(payload, bytes), &header), STATUS_CORRUPT);
    bytes = build(payload, false);
    payload[ENTRY_HEADER_BYTES + 1] = 8; /* a flag */
    assert_int_equal(entry_read(bytes_of(payload, bytes), &header), STATUS_CORRUPT);
    bytes = build(payload, false);
    put_u32(payload + 4, 3); /* the count */
    assert_int_equal(entry_read(bytes_of(payload, bytes), &header), STATUS_CORRUPT);
    bytes = build(payload, false);
    put_u32(payload + ENTRY_HEADER_BYTES + 12, 400 * 1024 + 1); /* what the sizes change by */
    assert_int_equal(entry_read(bytes_of(payload, bytes), &header), STATUS_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_it_wrote),
        cmocka_unit_test(reads_flags_and_marks),
        cmocka_unit_test(refuses_every_shorter_payload),
        cmocka_unit_test(refuses_what_it_does_not_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
