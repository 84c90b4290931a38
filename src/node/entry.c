#include "node/entry.h"

#include "base/assert.h"
#include "base/compiler.h"
#include "request/data.h"

#define FLAG_BEFORE 1u
#define FLAG_NEW    2u
#define FLAG_STAMP  4u
#define FLAGS_ALL   (FLAG_BEFORE | FLAG_NEW | FLAG_STAMP)

void entry_header_write(uint8_t *to, const struct entry_header *header)
{
    memset(to, 0, ENTRY_HEADER_BYTES);
    to[0] = ENTRY_FORMAT;
    to[1] = header->actor;
    put_u16(to + 2, header->origin_region);
    put_u16(to + 4, header->mutation_count);
    to[6] = header->flags;
    to[7] = header->stream;
    put_u64(to + 8, header->hlc);
    put_u64(to + 16, header->table_id);
    put_u64(to + 24, header->schema_version);
    put_u64(to + 32, header->request_id[0]);
    put_u64(to + 40, header->request_id[1]);
    put_u64(to + 48, header->absent_timestamp);
    put_u32(to + 56, (uint32_t)header->intents);
}

void mutation_set_row_bytes(uint8_t *mutation, size_t bytes)
{
    ASSERT(mutation[0] == MUTATION_PUT && get_u32(mutation + 4) == 0 && get_u32(mutation + 8) == 0);
    put_u32(mutation + 4, (uint32_t)bytes);
}

static uint8_t *append(uint8_t *to, struct bytes bytes)
{
    if (bytes.count > 0)
        memcpy(to, bytes.at, bytes.count);
    return to + bytes.count;
}

uint8_t *mutation_write(uint8_t *to, const struct mutation *mutation)
{
    to[0] = (uint8_t)mutation->kind;
    to[1] = (uint8_t)((mutation->has_before ? FLAG_BEFORE : 0) | (mutation->is_new ? FLAG_NEW : 0) |
                      (mutation->is_stamp ? FLAG_STAMP : 0));
    put_u16(to + 2, (uint16_t)mutation->key.count);
    put_u32(to + 4, (uint32_t)mutation->row.count);
    put_u32(to + 8, (uint32_t)mutation->before.count);
    put_u32(to + 12, (uint32_t)mutation->size_change);
    to = append(to + ENTRY_MUTATION_BYTES, mutation->key);
    to = append(to, mutation->row);
    return append(to, mutation->before);
}

uint8_t *mutation_append_before(uint8_t *to, uint8_t *end, struct bytes before)
{
    to[1] |= FLAG_BEFORE;
    put_u32(to + 8, (uint32_t)before.count);
    return append(end, before);
}

struct mutation_walk mutation_walk_of(struct bytes payload)
{
    return mutation_walk_in(bytes_after(payload, ENTRY_HEADER_BYTES));
}

struct mutation_walk mutation_walk_in(struct bytes mutations)
{
    return (struct mutation_walk){.reader = reader_of(mutations)};
}

bool mutation_next(struct mutation_walk *walk, struct mutation *mutation)
{
    struct reader *r = &walk->reader;
    if (r->failed || reader_left(r) == 0)
        return false;
    uint8_t kind = read_u8(r);
    uint8_t flags = read_u8(r);
    uint16_t key_bytes = read_u16(r);
    uint32_t row_bytes = read_u32(r);
    uint32_t before_bytes = read_u32(r);
    mutation->size_change = (int32_t)read_u32(r);
    mutation->kind = (enum mutation_kind)kind;
    mutation->key = read_bytes(r, key_bytes);
    mutation->row = read_bytes(r, row_bytes);
    mutation->has_before = (flags & FLAG_BEFORE) != 0;
    mutation->is_new = (flags & FLAG_NEW) != 0;
    mutation->is_stamp = (flags & FLAG_STAMP) != 0;
    mutation->before = read_bytes(r, before_bytes);
    bool mark = kind == MUTATION_MARK && key_bytes == 8 && (row_bytes == 0 || row_bytes == 8) &&
                flags == 0 && mutation->size_change == 0;
    bool sound =
        (kind == MUTATION_PUT || mark ||
         (kind == MUTATION_DELETE && row_bytes == 0 && !mutation->is_new && !mutation->is_stamp)) &&
        flags <= FLAGS_ALL && key_bytes > 0 && (before_bytes == 0 || mutation->has_before) &&
        mutation->size_change <= (int32_t)ITEM_BYTES_MAX &&
        mutation->size_change >= -(int32_t)ITEM_BYTES_MAX;
    if (!sound)
        r->failed = true;
    return !r->failed;
}

void entry_header_read(struct bytes payload, struct entry_header *header)
{
    const uint8_t *at = payload.at;
    *header = (struct entry_header){
        .actor = at[1],
        .origin_region = get_u16(at + 2),
        .mutation_count = get_u16(at + 4),
        .flags = at[6],
        .stream = at[7],
        .hlc = get_u64(at + 8),
        .table_id = get_u64(at + 16),
        .schema_version = get_u64(at + 24),
        .request_id = {get_u64(at + 32), get_u64(at + 40)},
        .absent_timestamp = get_u64(at + 48),
        .intents = (int32_t)get_u32(at + 56),
    };
}

enum status entry_read(struct bytes payload, struct entry_header *header)
{
    const uint8_t *at = payload.at;
    if (payload.count < ENTRY_HEADER_BYTES || payload.count > ENTRY_BYTES_MAX)
        return STATUS_CORRUPT;
    if (at[0] != ENTRY_FORMAT)
        return STATUS_VERSION;
    if (at[6] == ENTRY_FOR_STREAM || at[6] > (ENTRY_FOR_STREAM | ENTRY_KEEPS_CHANGES) ||
        (at[7] != 0) != ((at[6] & ENTRY_FOR_STREAM) != 0))
        return STATUS_CORRUPT;
    if (get_u32(at + 60) != 0)
        return STATUS_CORRUPT;
    entry_header_read(payload, header);
    struct mutation_walk walk = mutation_walk_of(payload);
    struct mutation mutation;
    uint32_t count = 0;
    while (mutation_next(&walk, &mutation))
        count++;
    if (walk.reader.failed || count == 0 || count != header->mutation_count)
        return STATUS_CORRUPT;
    return STATUS_OK;
}
