/* entry.h - the payload of a log entry: self-contained, a bounded list of physical mutations.
 *
 * Whoever reads the log needs nothing but the entry.
 * Little-endian:
 *
 *   offset size  meaning
 *        0    1  format: 3
 *        1    1  actor: 0 a client's request, 1 the deletion of what has expired,
 *                2 a seed or a snapshot
 *        2    2  origin region
 *        4    2  count of mutations, at least 1
 *        6    1  flags: 1 = its changes are kept (changes.h), each mutation of an item that was
 *                there has its before-image; 2 = and they are for a stream
 *        7    1  with flag 2 the number of the stream, from 1; else 0
 *        8    8  HLC: grows strictly along a group's log
 *       16    8  table id
 *       24    8  schema version of the table when it was written
 *       32   16  request id
 *       48    8  absent timestamp: the group's becomes at least this; 0: no change
 *       56    4  intents: what the entry adds to their number, signed
 *       60    4  zero
 *       64    -  mutations, one after the other:
 *                  0    1  kind: 1 put, 2 delete, 3 a mark of changes.h: the key is the
 *                          consumer's id, u64 big-endian, the row the slot, u64, or empty: it goes
 *                  1    1  flags: 1 = a before-image follows, 2 = the row was not there (put),
 *                          4 = stamp: contents and version are as before (put)
 *                  2    2  bytes of the key
 *                  4    4  bytes of the row (put), 0 (delete)
 *                  8    4  bytes of the before-image, 0 without
 *                 12    4  what it adds to the sum of the sizes of its collection's rows, signed,
 *                          as the service counts them; at most ITEM_BYTES_MAX
 *                 16    -  key, row, before-image
 *
 * Valid if and only if the counts and lengths fit exactly, kinds and flags are known, no key is
 * empty.
 */
#ifndef NODE_ENTRY_H
#define NODE_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/codec.h"
#include "base/status.h"

#define ENTRY_FORMAT         3u
#define ENTRY_HEADER_BYTES   64u
#define ENTRY_MUTATION_BYTES 16u
#define ENTRY_BYTES_MAX      (8u * 1024u * 1024u)

enum mutation_kind { MUTATION_PUT = 1, MUTATION_DELETE = 2, MUTATION_MARK = 3 };

/* As in enum change_keeping of request/change.h. */
enum entry_flags { ENTRY_KEEPS_CHANGES = 1, ENTRY_FOR_STREAM = 2 };

struct entry_header {
    uint8_t actor;  /* enum write_actor */
    uint8_t flags;  /* enum entry_flags; ENTRY_FOR_STREAM only with ENTRY_KEEPS_CHANGES */
    uint8_t stream; /* number of the stream, with ENTRY_FOR_STREAM; else 0 */
    uint16_t origin_region;
    uint16_t mutation_count;
    uint64_t hlc;
    uint64_t table_id;
    uint64_t schema_version;
    uint64_t request_id[2];
    uint64_t absent_timestamp;
    int32_t intents;
};

struct mutation {
    enum mutation_kind kind;
    struct bytes key;
    struct bytes row; /* PUT: header and item, see model/value.h */
    bool has_before;
    bool is_new;         /* PUT: there was no such row */
    bool is_stamp;       /* PUT: only the timestamp differs from what was there */
    int32_t size_change; /* of its collection's rows */
    struct bytes before; /* the row that was there */
};

/* Write the header into ENTRY_HEADER_BYTES bytes. */
void entry_header_write(uint8_t *to, const struct entry_header *header);

/* Write one mutation: ENTRY_MUTATION_BYTES, key, row and before-image; returns where the next one
 * goes. */
uint8_t *mutation_write(uint8_t *to, const struct mutation *mutation);

/* The put at `mutation`, written without a row and a before-image, has a row of so many bytes: the
 * caller writes them where mutation_write returned, and the next mutation goes behind them. */
void mutation_set_row_bytes(uint8_t *mutation, size_t bytes);

/* Append the before-image of the mutation at `to`, whose end is `end`; returns the new end. */
uint8_t *mutation_append_before(uint8_t *to, uint8_t *end, struct bytes before);
/* The header of a payload that entry_read has checked, or entry_header_write has begun. */
void entry_header_read(struct bytes payload, struct entry_header *header);

/* Check a whole payload and read its header.
 *   STATUS_VERSION  a format this program does not know     STATUS_CORRUPT */
MUST_USE enum status entry_read(struct bytes payload, struct entry_header *header);

/* The flags of a payload that entry_read has checked. */
static inline uint8_t entry_flags(struct bytes payload)
{
    return payload.at[6];
}

/* A walk over the mutations of a payload that entry_read has checked. */
struct mutation_walk {
    struct reader reader;
};

struct mutation_walk mutation_walk_of(struct bytes payload);

/* The same over mutations alone, as mutation_write wrote them. */
struct mutation_walk mutation_walk_in(struct bytes mutations);
bool mutation_next(struct mutation_walk *walk, struct mutation *mutation);

#endif
