/* wal_format.h - the bytes of the write-ahead log.
 *
 * A log is a row of files `log-<sequence, 16 hexadecimal digits>`.  Integers are little-endian,
 * everything not named is zero.  Checksums are XXH3-64, seeded by what they are for (and, for
 * batches and records, by the log's id), so that the bytes of one thing or of another log never
 * verify as another.
 *
 * Segment header: the first 4,096 bytes of a file.  Offsets 0..31 mean the same in every version.
 *   offset size
 *        0    8  "TRINELOG"
 *        8    8  checksum of bytes 16..4095
 *       16    2  format version: 1
 *       18    2  key id of encryption at rest; 0 = none
 *       20    4  4096
 *       24    8  log id
 *       32    8  sequence: the one in the file's name
 *       40    8  nonce: random, chosen when the segment was begun; every batch in it repeats it
 *       48    8  start: the log before this segment ends exactly at this LSN
 *       56    8  log start: nothing below this LSN is needed, as a durable batch before it says
 *     64..4095   zero
 * Valid if and only if the checksum, the name's sequence and the log id agree.  A file without a
 * valid header is not part of the log: it is zero-filled or recycled, ready for use.
 *
 * Batch: begins on a multiple of 4,096, the first one at 4,096; padded with zeros to the next one.
 *   offset size
 *        0    4  "TBAT"
 *        4    2  format version: 1
 *        6    2  key id
 *        8    8  checksum of bytes 16..111
 *       16    8  checksum of bytes 112..length-1
 *       24    8  log id
 *       32    8  sequence of the segment
 *       40    8  nonce of the segment
 *       48    8  LSN of this batch; a record's LSN is this plus its offset in the batch
 *       56    8  previous: the LSN at which the batch before it ends (its LSN + length)
 *       64    8  synced: all of the log below this LSN was known synced when this was written
 *       72    8  log start: nothing below this LSN is needed
 *       80    4  length: of header and records, padding left out
 *       84    4  records
 *       88    4  flags: 1 = written before the header of its segment
 *       92   12  room for a nonce, 104 8 for a (shortened) tag, of encryption at rest
 * Valid in its place if and only if both checksums verify, log id, sequence and nonce are the
 * segment's, and `previous` is where the log ends so far.  An empty batch (a seal) has no records.
 *
 * Record: follows the batch header or another record; padded with zeros to a multiple of 8.
 *   offset size
 *        0    8  checksum of bytes 8..length-1
 *        8    4  length: of header and payload, padding left out
 *       12    1  type: enum wal_record_type
 *       13    1  flags: 1 = carried forward
 *       14    2  zero
 *       16    8  group
 *       24    8  replica: slot that added it
 *       32    4  replica: node
 *       36    4  ballot: node
 *       40    8  ballot: round
 *       48    8  ballot: slot that added its replica (its group is the record's)
 *       56    8  slot
 *       64       payload
 */
#ifndef STORAGE_WAL_FORMAT_H
#define STORAGE_WAL_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/compiler.h"
#include "base/status.h"
#include "storage/wal.h"

#define WAL_BLOCK_BYTES         4096u
#define WAL_BATCH_HEADER_BYTES  112u
#define WAL_RECORD_HEADER_BYTES 64u
#define WAL_FORMAT_VERSION      1u
#define WAL_LSN_MAX             (UINT64_C(1) << 62) /* no log comes near: a greater one is damage */
#define WAL_NAME_BYTES          21u                 /* "log-", 16 digits, the terminating zero */

struct wal_segment_header {
    uint64_t log_id;
    uint64_t sequence;
    uint64_t nonce;
    uint64_t start;
    uint64_t log_start;
};

enum wal_verdict {
    WAL_VALID,   /* a header of this format */
    WAL_BLANK,   /* all zero */
    WAL_DAMAGED, /* neither */
    WAL_NEWER,   /* intact, of a newer format */
};

struct wal_batch_header {
    uint64_t log_id;
    uint64_t sequence;
    uint64_t nonce;
    uint64_t lsn;
    uint64_t previous;
    uint64_t synced;
    uint64_t log_start;
    uint32_t length;
    uint32_t records;
    bool early; /* written before the header of its segment */
};

/* `count` rounded up to whole blocks. */
static inline uint64_t wal_padded(uint64_t count)
{
    return (count + WAL_BLOCK_BYTES - 1) & ~(uint64_t)(WAL_BLOCK_BYTES - 1);
}

/* Bytes that a record with this payload takes in a batch. */
static inline uint64_t wal_record_bytes(size_t payload_bytes)
{
    return ((uint64_t)WAL_RECORD_HEADER_BYTES + payload_bytes + 7) & ~UINT64_C(7);
}

/* The LSN at which the batch ends. */
static inline uint64_t wal_batch_end(const struct wal_batch_header *header)
{
    return header->lsn + header->length;
}

void wal_segment_header_encode(const struct wal_segment_header *header, uint8_t *block);

enum wal_verdict wal_segment_header_decode(const uint8_t *block, struct wal_segment_header *header);

/* Fill the header of the batch at `at`, whose records are in place behind it, and its checksums. */
void wal_batch_encode(const struct wal_batch_header *header, uint8_t *at);

/* Decode and verify the header alone, of a batch of log `log_id`, from WAL_BATCH_HEADER_BYTES. */
MUST_USE bool wal_batch_header_decode(const uint8_t *at, uint64_t log_id,
                                      struct wal_batch_header *header);

/* The log that the batch at `at` says to be of; not verified. */
uint64_t wal_batch_log_id(const uint8_t *at);

/* Verify the records of the batch whose header is intact; `batch` is at least its length. */
MUST_USE bool wal_batch_verify(const struct wal_batch_header *header, const uint8_t *batch);

/* Write `record` at `to`, which has wal_record_bytes of room. */
void wal_record_encode(const struct wal_record *record, uint64_t log_id, uint8_t *to);

/* Decode and verify the first record of *rest and step over it.  The payload is borrowed.
 *   STATUS_END      *rest is empty
 *   STATUS_CORRUPT  *rest does not begin with a whole, verified, well-formed record
 *   STATUS_VERSION  intact, of a type that this program does not know */
MUST_USE enum status wal_record_decode(struct bytes *rest, uint64_t log_id,
                                       struct wal_record *record);

/* The name of the segment with this sequence, with its terminating zero. */
void wal_segment_name(uint64_t sequence, char name[WAL_NAME_BYTES]);

#define WAL_SEQUENCE_MAX                                                                           \
    (UINT64_MAX / 2) /* no log comes to it: a file with a higher one is not the log's */

/* The sequence in `name`; 0 when it is not a segment's name. */
uint64_t wal_segment_sequence(const char *name);

#endif
