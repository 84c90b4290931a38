#include "storage/wal_format.h"

#include <string.h>

#include "base/assert.h"
#include "base/checksum.h"
#include "base/codec.h"

#define SEED_SEGMENT UINT64_C(0x7472696e652e7365) /* "trine.se" */
#define SEED_BATCH   UINT64_C(0x7472696e652e6261) /* "trine.ba" */
#define SEED_BODY    UINT64_C(0x7472696e652e626f) /* "trine.bo" */
#define SEED_RECORD  UINT64_C(0x7472696e652e7265) /* "trine.re" */

#define FLAG_EARLY   1u
#define FLAG_CARRIED 1u

static const uint8_t segment_magic[8] = {'T', 'R', 'I', 'N', 'E', 'L', 'O', 'G'};
static const uint8_t batch_magic[4] = {'T', 'B', 'A', 'T'};

void wal_segment_header_encode(const struct wal_segment_header *header, uint8_t *block)
{
    memset(block, 0, WAL_BLOCK_BYTES);
    memcpy(block, segment_magic, sizeof(segment_magic));
    put_u16(block + 16, WAL_FORMAT_VERSION);
    put_u32(block + 20, WAL_BLOCK_BYTES);
    put_u64(block + 24, header->log_id);
    put_u64(block + 32, header->sequence);
    put_u64(block + 40, header->nonce);
    put_u64(block + 48, header->start);
    put_u64(block + 56, header->log_start);
    put_u64(block + 8, checksum64(bytes_of(block + 16, WAL_BLOCK_BYTES - 16), SEED_SEGMENT));
}

static bool all_zero(const uint8_t *at, size_t count)
{
    return at[0] == 0 && memcmp(at, at + 1, count - 1) == 0;
}

enum wal_verdict wal_segment_header_decode(const uint8_t *block, struct wal_segment_header *header)
{
    if (all_zero(block, WAL_BLOCK_BYTES))
        return WAL_BLANK;
    if (memcmp(block, segment_magic, sizeof(segment_magic)) != 0)
        return WAL_DAMAGED;
    if (get_u64(block + 8) != checksum64(bytes_of(block + 16, WAL_BLOCK_BYTES - 16), SEED_SEGMENT))
        return WAL_DAMAGED;
    if (get_u16(block + 16) > WAL_FORMAT_VERSION || get_u16(block + 18) != 0)
        return WAL_NEWER;
    if (get_u16(block + 16) != WAL_FORMAT_VERSION || get_u32(block + 20) != WAL_BLOCK_BYTES)
        return WAL_DAMAGED;
    *header = (struct wal_segment_header){
        .log_id = get_u64(block + 24),
        .sequence = get_u64(block + 32),
        .nonce = get_u64(block + 40),
        .start = get_u64(block + 48),
        .log_start = get_u64(block + 56),
    };
    if (header->start > WAL_LSN_MAX || header->log_start > WAL_LSN_MAX)
        return WAL_DAMAGED;
    return WAL_VALID;
}

void wal_batch_encode(const struct wal_batch_header *header, uint8_t *at)
{
    ASSERT(header->length >= WAL_BATCH_HEADER_BYTES);
    size_t body_bytes = header->length - WAL_BATCH_HEADER_BYTES;

    memset(at, 0, WAL_BATCH_HEADER_BYTES);
    memcpy(at, batch_magic, sizeof(batch_magic));
    put_u16(at + 4, WAL_FORMAT_VERSION);
    put_u64(at + 16, checksum64(bytes_of(at + WAL_BATCH_HEADER_BYTES, body_bytes),
                                SEED_BODY ^ header->log_id));
    put_u64(at + 24, header->log_id);
    put_u64(at + 32, header->sequence);
    put_u64(at + 40, header->nonce);
    put_u64(at + 48, header->lsn);
    put_u64(at + 56, header->previous);
    put_u64(at + 64, header->synced);
    put_u64(at + 72, header->log_start);
    put_u32(at + 80, header->length);
    put_u32(at + 84, header->records);
    put_u32(at + 88, header->early ? FLAG_EARLY : 0);
    put_u64(at + 8, checksum64(bytes_of(at + 16, WAL_BATCH_HEADER_BYTES - 16),
                               SEED_BATCH ^ header->log_id));
}

bool wal_batch_header_decode(const uint8_t *at, uint64_t log_id, struct wal_batch_header *header)
{
    if (memcmp(at, batch_magic, sizeof(batch_magic)) != 0)
        return false;
    if (get_u64(at + 8) !=
        checksum64(bytes_of(at + 16, WAL_BATCH_HEADER_BYTES - 16), SEED_BATCH ^ log_id))
        return false;
    *header = (struct wal_batch_header){
        .log_id = get_u64(at + 24),
        .sequence = get_u64(at + 32),
        .nonce = get_u64(at + 40),
        .lsn = get_u64(at + 48),
        .previous = get_u64(at + 56),
        .synced = get_u64(at + 64),
        .log_start = get_u64(at + 72),
        .length = get_u32(at + 80),
        .records = get_u32(at + 84),
        .early = (get_u32(at + 88) & FLAG_EARLY) != 0,
    };
    return get_u16(at + 4) == WAL_FORMAT_VERSION && get_u16(at + 6) == 0 &&
           header->log_id == log_id && header->length >= WAL_BATCH_HEADER_BYTES &&
           header->lsn >= header->previous && header->lsn <= WAL_LSN_MAX;
}

uint64_t wal_batch_log_id(const uint8_t *at)
{
    return get_u64(at + 24);
}

bool wal_batch_verify(const struct wal_batch_header *header, const uint8_t *batch)
{
    struct bytes body =
        bytes_of(batch + WAL_BATCH_HEADER_BYTES, header->length - WAL_BATCH_HEADER_BYTES);
    return get_u64(batch + 16) == checksum64(body, SEED_BODY ^ header->log_id);
}

void wal_record_encode(const struct wal_record *record, uint64_t log_id, uint8_t *to)
{
    size_t length = WAL_RECORD_HEADER_BYTES + record->payload.count;

    put_u32(to + 8, (uint32_t)length);
    to[12] = (uint8_t)record->type;
    to[13] = record->carried ? FLAG_CARRIED : 0;
    put_u16(to + 14, 0);
    put_u64(to + 16, record->replica.group);
    put_u64(to + 24, record->replica.added);
    put_u32(to + 32, record->replica.node);
    put_u32(to + 36, record->ballot.replica.node);
    put_u64(to + 40, record->ballot.round);
    put_u64(to + 48, record->ballot.replica.added);
    put_u64(to + 56, record->slot);
    if (record->payload.count > 0)
        memcpy(to + WAL_RECORD_HEADER_BYTES, record->payload.at, record->payload.count);
    memset(to + length, 0, (size_t)wal_record_bytes(record->payload.count) - length);
    put_u64(to, checksum64(bytes_of(to + 8, length - 8), SEED_RECORD ^ log_id));
}

/* A ballot stored without its group, which is the record's; the zero ballot has none. */
static struct ballot ballot_decode(const uint8_t *at, uint64_t group)
{
    struct ballot ballot = {
        .round = get_u64(at + 40),
        .replica = {.group = group, .added = get_u64(at + 48), .node = get_u32(at + 36)},
    };
    return ballot.round == 0 && ballot.replica.node == 0 ? (struct ballot){0} : ballot;
}

enum status wal_record_decode(struct bytes *rest, uint64_t log_id, struct wal_record *record)
{
    const uint8_t *at = rest->at;

    if (rest->count == 0)
        return STATUS_END;
    if (rest->count < WAL_RECORD_HEADER_BYTES)
        return STATUS_CORRUPT;
    uint32_t length = get_u32(at + 8);
    if (length < WAL_RECORD_HEADER_BYTES || length > rest->count ||
        length - WAL_RECORD_HEADER_BYTES > WAL_PAYLOAD_BYTES_MAX)
        return STATUS_CORRUPT;
    uint64_t padded = wal_record_bytes(length - WAL_RECORD_HEADER_BYTES);
    if (padded > rest->count)
        return STATUS_CORRUPT;
    if (get_u64(at) != checksum64(bytes_of(at + 8, length - 8), SEED_RECORD ^ log_id))
        return STATUS_CORRUPT;
    if (at[12] < WAL_ENTRY || at[12] > WAL_REMOVAL || (at[13] & ~FLAG_CARRIED) != 0)
        return STATUS_VERSION;

    uint64_t group = get_u64(at + 16);
    *record = (struct wal_record){
        .type = (enum wal_record_type)at[12],
        .carried = (at[13] & FLAG_CARRIED) != 0,
        .replica = {.group = group, .added = get_u64(at + 24), .node = get_u32(at + 32)},
        .slot = get_u64(at + 56),
        .ballot = ballot_decode(at, group),
        .payload = bytes_of(at + WAL_RECORD_HEADER_BYTES, length - WAL_RECORD_HEADER_BYTES),
    };
    *rest = bytes_after(*rest, (size_t)padded);
    return STATUS_OK;
}

void wal_segment_name(uint64_t sequence, char name[WAL_NAME_BYTES])
{
    memcpy(name, "log-", 4);
    for (int i = 0; i < 16; i++)
        name[4 + i] = "0123456789abcdef"[(sequence >> (60 - 4 * i)) & 15];
    name[20] = '\0';
}

uint64_t wal_segment_sequence(const char *name)
{
    uint64_t sequence = 0;

    if (strlen(name) != WAL_NAME_BYTES - 1 || memcmp(name, "log-", 4) != 0)
        return 0;
    for (const char *at = name + 4; *at != '\0'; at++) {
        if (*at >= '0' && *at <= '9')
            sequence = sequence << 4 | (uint64_t)(*at - '0');
        else if (*at >= 'a' && *at <= 'f')
            sequence = sequence << 4 | (uint64_t)(*at - 'a' + 10);
        else
            return 0;
    }
    return sequence <= WAL_SEQUENCE_MAX ? sequence : 0;
}
