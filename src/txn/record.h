/* record.h - the stored bytes of the protocol: intent rows, and the items of a ledger row.
 *
 * Both are little-endian.  They are checked when they are read: a wrong one is reported, never
 * believed.
 */
#ifndef TXN_RECORD_H
#define TXN_RECORD_H

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/codec.h"
#include "model/key.h"
#include "txn/participant.h"

/* ---- Intents ---- */

/* An intent lies beside its item: the same key in collection 200.
 *
 * offset size  meaning
 *      0    1  format: 1
 *      1    1  kind: 1 put, 2 delete, 3 check (enum txn_kind)
 *      2    2  zero
 *      4    4  bytes of the image; 0 unless put
 *      8   16  transaction id
 *     24    8  timestamp of the transaction, above 0
 *     32    8  version of the item that it was decided on; 0: it was absent
 *     40    8  HLC of the entry that wrote it: how old it is
 *     48    -  image: the item that a commit writes, a map value
 *
 * Valid if and only if the lengths fit exactly, the kind is known, and only a put has an image. */
#define KEY_COLLECTION_INTENT 200u
#define INTENT_FORMAT         1u
#define INTENT_HEADER_BYTES   48u

struct intent {
    enum txn_kind kind;
    struct txn_id id;
    uint64_t timestamp;
    uint64_t of_version;
    uint64_t hlc;
    struct bytes image; /* borrowed from what was read */
};

/* The key of the intent beside the item with this encoded key.
 *   STATUS_CORRUPT  it is not the key of an item */
MUST_USE enum status intent_key(struct bytes item_key, struct key *key);

/* Is this the key of an intent?  Then *item_key is that of its item. */
bool intent_key_is(struct bytes encoded, struct key *item_key);

/* Write what is before the image into INTENT_HEADER_BYTES bytes. */
void intent_write(uint8_t *to, const struct intent *intent);

/*   STATUS_VERSION  a format this program does not know     STATUS_CORRUPT */
MUST_USE enum status intent_read(struct bytes row, struct intent *intent);

/* ---- The ledger ---- */

/* Which items a transaction has, in the order of the request: the attribute `record` of its row.
 * Tables and keys, not groups: partitions may split before a recovery reads it.
 *
 * offset size  meaning
 *      0    1  format: 1
 *      1    1  zero
 *      2    2  count of items, 1 to 100
 *      4    4  zero
 *      8    8  begun, wall clock in ns
 *     16    -  items: table id u64, length of the key u16, encoded key
 *
 * Valid if and only if the lengths fit exactly, no table id is 0, no key is empty or longer than
 * KEY_BYTES_MAX. */
#define LEDGER_RECORD_FORMAT       1u
#define LEDGER_RECORD_HEADER_BYTES 16u

struct ledger_item {
    uint64_t table_id;
    struct bytes key; /* encoded */
};

/* Append a record; the buffer's failure sticks. */
void ledger_record_write(struct buffer *to, uint64_t begun_ns, const struct ledger_item *items,
                         uint32_t count);

/* Check a whole record; then *items walks it with ledger_record_next.
 *   STATUS_VERSION, STATUS_CORRUPT */
MUST_USE enum status ledger_record_read(struct bytes record, uint64_t *begun_ns, uint32_t *count,
                                        struct reader *items);
/* The next item; false: no more.  In a record that was not checked, `items->failed` says that it
 * ends with something else. */
bool ledger_record_next(struct reader *items, struct ledger_item *item);

#endif
