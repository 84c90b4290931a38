#include "txn/record.h"

#include "base/assert.h"
#include "request/data.h"
#include "storage/tree.h"

_Static_assert(INTENT_HEADER_BYTES + ITEM_STORED_BYTES_MAX <= TREE_VALUE_BYTES_MAX,
               "an intent with the largest item can be applied");

/* ---- Intents ---- */

/* Where the collection byte is; 0 when the key is too short to have one. */
static size_t collection_at(struct bytes encoded)
{
    if (encoded.count < 10)
        return 0;
    size_t at = 10u + get_u16_be(encoded.at + 8);
    return at < encoded.count && encoded.count <= KEY_BYTES_MAX ? at : 0;
}

static bool translate(struct bytes encoded, uint8_t from, uint8_t to, struct key *key)
{
    size_t at = collection_at(encoded);
    if (at == 0 || encoded.at[at] != from)
        return false;
    key->count = (uint16_t)encoded.count;
    memcpy(key->at, encoded.at, encoded.count);
    key->at[at] = to;
    return true;
}

enum status intent_key(struct bytes item_key, struct key *key)
{
    return translate(item_key, KEY_COLLECTION_ITEM, KEY_COLLECTION_INTENT, key) ? STATUS_OK
                                                                                : STATUS_CORRUPT;
}

bool intent_key_is(struct bytes encoded, struct key *item_key)
{
    return translate(encoded, KEY_COLLECTION_INTENT, KEY_COLLECTION_ITEM, item_key);
}

void intent_write(uint8_t *to, const struct intent *intent)
{
    ASSERT((intent->kind == TXN_PUT) == (intent->image.count > 0));
    ASSERT(intent->timestamp > 0);
    memset(to, 0, INTENT_HEADER_BYTES);
    to[0] = INTENT_FORMAT;
    to[1] = (uint8_t)intent->kind;
    put_u32(to + 4, (uint32_t)intent->image.count);
    memcpy(to + 8, intent->id.at, sizeof(intent->id.at));
    put_u64(to + 24, intent->timestamp);
    put_u64(to + 32, intent->of_version);
    put_u64(to + 40, intent->hlc);
}

enum status intent_read(struct bytes row, struct intent *intent)
{
    if (row.count < 1)
        return STATUS_CORRUPT;
    if (row.at[0] != INTENT_FORMAT)
        return STATUS_VERSION;
    if (row.count < INTENT_HEADER_BYTES)
        return STATUS_CORRUPT;
    uint8_t kind = row.at[1];
    uint32_t image_bytes = get_u32(row.at + 4);
    if (kind < TXN_PUT || kind > TXN_CHECK || get_u16(row.at + 2) != 0 ||
        image_bytes != row.count - INTENT_HEADER_BYTES || (kind == TXN_PUT) != (image_bytes > 0) ||
        get_u64(row.at + 24) == 0)
        return STATUS_CORRUPT;
    *intent = (struct intent){.kind = (enum txn_kind)kind,
                              .timestamp = get_u64(row.at + 24),
                              .of_version = get_u64(row.at + 32),
                              .hlc = get_u64(row.at + 40),
                              .image = bytes_after(row, INTENT_HEADER_BYTES)};
    memcpy(intent->id.at, row.at + 8, sizeof(intent->id.at));
    return STATUS_OK;
}

/* ---- The ledger ---- */

#define LEDGER_ITEM_BYTES 10u /* before the key */

void ledger_record_write(struct buffer *to, uint64_t begun_ns, const struct ledger_item *items,
                         uint32_t count)
{
    ASSERT(count > 0 && count <= TXN_ITEMS_MAX);
    uint8_t header[LEDGER_RECORD_HEADER_BYTES] = {LEDGER_RECORD_FORMAT};
    put_u16(header + 2, (uint16_t)count);
    put_u64(header + 8, begun_ns);
    buffer_append(to, header, sizeof(header));
    for (uint32_t i = 0; i < count; i++) {
        uint8_t head[LEDGER_ITEM_BYTES];
        ASSERT(items[i].table_id != 0);
        ASSERT(items[i].key.count > 0 && items[i].key.count <= KEY_BYTES_MAX);
        put_u64(head, items[i].table_id);
        put_u16(head + 8, (uint16_t)items[i].key.count);
        buffer_append(to, head, sizeof(head));
        buffer_append_bytes(to, items[i].key);
    }
}

bool ledger_record_next(struct reader *items, struct ledger_item *item)
{
    if (reader_left(items) == 0)
        return false;
    uint64_t table_id = read_u64(items);
    uint16_t key_bytes = read_u16(items);
    struct bytes key = read_bytes(items, key_bytes);
    if (table_id == 0 || key.count == 0 || key.count > KEY_BYTES_MAX)
        items->failed = true;
    if (items->failed)
        return false;
    *item = (struct ledger_item){table_id, key};
    return true;
}

enum status ledger_record_read(struct bytes record, uint64_t *begun_ns, uint32_t *count,
                               struct reader *items)
{
    if (record.count < 1)
        return STATUS_CORRUPT;
    if (record.at[0] != LEDGER_RECORD_FORMAT)
        return STATUS_VERSION;
    if (record.count < LEDGER_RECORD_HEADER_BYTES)
        return STATUS_CORRUPT;
    uint16_t said = get_u16(record.at + 2);
    if (record.at[1] != 0 || get_u32(record.at + 4) != 0 || said == 0 || said > TXN_ITEMS_MAX)
        return STATUS_CORRUPT;
    struct reader walk = reader_of(bytes_after(record, LEDGER_RECORD_HEADER_BYTES));
    struct ledger_item item;
    uint32_t found = 0;
    while (ledger_record_next(&walk, &item))
        found++;
    if (reader_left(&walk) != 0 || walk.failed || found != said)
        return STATUS_CORRUPT;
    *begun_ns = get_u64(record.at + 8);
    *count = said;
    *items = reader_of(bytes_after(record, LEDGER_RECORD_HEADER_BYTES));
    return STATUS_OK;
}
