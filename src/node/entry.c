#include "node/entry.h"

#include "request/data.h"

#define FLAG_BEFORE 1u

void entry_header_write(uint8_t *to, const struct entry_header *header)
{
    memset(to, 0, ENTRY_HEADER_BYTES);
    to[0] = ENTRY_FORMAT;
    to[1] = header->actor;
    put_u16(to + 2, header->origin_region);
    put_u32(to + 4, header->mutation_count);
    put_u64(to + 8, header->hlc);
    put_u64(to + 16, header->table_id);
    put_u64(to + 24, header->schema_version);
    put_u64(to + 32, header->request_id[0]);
    put_u64(to + 40, header->request_id[1]);
    put_u64(to + 48, (uint64_t)header->item_bytes);
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
    to[1] = mutation->has_before ? FLAG_BEFORE : 0;
    put_u16(to + 2, (uint16_t)mutation->key.count);
    put_u32(to + 4, (uint32_t)mutation->row.count);
    put_u32(to + 8, (uint32_t)mutation->before.count);
    to = append(to + ENTRY_MUTATION_BYTES, mutation->key);
    to = append(to, mutation->row);
    return append(to, mutation->before);
}

bool mutation_next(struct reader *r, struct mutation *mutation)
{
    if (r->failed || reader_left(r) == 0)
        return false;
    uint8_t kind = read_u8(r);
    uint8_t flags = read_u8(r);
    uint16_t key_bytes = read_u16(r);
    uint32_t row_bytes = read_u32(r);
    uint32_t before_bytes = read_u32(r);
    mutation->kind = (enum mutation_kind)kind;
    mutation->key = read_bytes(r, key_bytes);
    mutation->row = read_bytes(r, row_bytes);
    mutation->has_before = (flags & FLAG_BEFORE) != 0;
    mutation->before = read_bytes(r, before_bytes);
    bool sound = (kind == MUTATION_PUT || (kind == MUTATION_DELETE && row_bytes == 0)) &&
                 flags <= FLAG_BEFORE && key_bytes > 0 &&
                 (before_bytes == 0 || mutation->has_before);
    if (!sound)
        r->failed = true;
    return !r->failed;
}

enum status entry_read(struct bytes payload, struct entry_header *header)
{
    if (payload.count < ENTRY_HEADER_BYTES || payload.count > ENTRY_BYTES_MAX)
        return STATUS_CORRUPT;
    const uint8_t *at = payload.at;
    if (at[0] != ENTRY_FORMAT)
        return STATUS_VERSION;
    *header = (struct entry_header){
        .actor = at[1],
        .origin_region = get_u16(at + 2),
        .mutation_count = get_u32(at + 4),
        .hlc = get_u64(at + 8),
        .table_id = get_u64(at + 16),
        .schema_version = get_u64(at + 24),
        .request_id = {get_u64(at + 32), get_u64(at + 40)},
        .item_bytes = (int64_t)get_u64(at + 48),
    };
    struct reader r = reader_of(bytes_after(payload, ENTRY_HEADER_BYTES));
    struct mutation mutation;
    uint32_t count = 0;
    while (mutation_next(&r, &mutation))
        count++;
    int64_t most = (int64_t)count * ITEM_BYTES_MAX;
    if (r.failed || count == 0 || count != header->mutation_count || header->item_bytes > most ||
        header->item_bytes < -most)
        return STATUS_CORRUPT;
    return STATUS_OK;
}
