#include "storage/superblock.h"

#include <string.h>

#include "base/checksum.h"
#include "base/codec.h"

#define MAGIC         "trine forest 1\r\n"
#define MAGIC_BYTES   16u
#define MAGIC_KIND    13u  /* "trine forest " */
#define FIELDS_END    121u /* zeros from here to the checksum */
#define CHECKSUM_AT   (SUPERBLOCK_BYTES - 8)
#define CHECKSUM_SEED UINT64_C(0x7375706572626c6b) /* "superblk" */
#define FORMAT        1u

_Static_assert(sizeof(MAGIC) - 1 == MAGIC_BYTES, "the magic's size");

void superblock_encode(const struct superblock *super, uint8_t *to)
{
    memset(to, 0, SUPERBLOCK_BYTES);
    memcpy(to, MAGIC, MAGIC_BYTES);
    put_u32(to + 16, FORMAT);
    put_u32(to + 20, PAGE_BYTES);
    put_u32(to + 24, super->which);
    put_u32(to + 28, super->node_id);
    put_u64(to + 32, super->forest_id);
    put_u64(to + 40, super->cluster_id);
    put_u64(to + 48, super->log_id);
    put_u64(to + 56, super->epoch);
    page_ref_put(to + 64, super->directory);
    put_u32(to + 76, super->directory_height);
    page_ref_put(to + 80, super->free_list);
    put_u32(to + 92, super->page_count);
    put_u64(to + 96, super->log_from);
    put_u64(to + 104, super->tree_id_next);
    put_u64(to + 112, super->free_list_bytes);
    put_u64(to + CHECKSUM_AT, checksum64(bytes_of(to, CHECKSUM_AT), CHECKSUM_SEED));
}

enum status superblock_decode(const uint8_t *from, uint32_t which, struct superblock *super)
{
    if (memcmp(from, MAGIC, MAGIC_KIND) != 0)
        return STATUS_INVALID;
    if (get_u64(from + CHECKSUM_AT) != checksum64(bytes_of(from, CHECKSUM_AT), CHECKSUM_SEED))
        return STATUS_CORRUPT;
    if (memcmp(from, MAGIC, MAGIC_BYTES) != 0 || get_u32(from + 16) != FORMAT ||
        get_u32(from + 20) != PAGE_BYTES || from[120] != 0)
        return STATUS_VERSION;
    *super = (struct superblock){
        .which = get_u32(from + 24),
        .node_id = get_u32(from + 28),
        .forest_id = get_u64(from + 32),
        .cluster_id = get_u64(from + 40),
        .log_id = get_u64(from + 48),
        .epoch = get_u64(from + 56),
        .directory = page_ref_get(from + 64),
        .directory_height = get_u32(from + 76),
        .free_list = page_ref_get(from + 80),
        .page_count = get_u32(from + 92),
        .log_from = get_u64(from + 96),
        .tree_id_next = get_u64(from + 104),
        .free_list_bytes = get_u64(from + 112),
    };
    return super->which == which && super->epoch != 0 && super->page_count >= PAGE_NUMBER_FIRST
               ? STATUS_OK
               : STATUS_CORRUPT;
}

bool superblock_is_unfinished(const uint8_t *from)
{
    for (unsigned i = 0; i < MAGIC_BYTES; i++) {
        if (from[i] != 0 && from[i] != (uint8_t)MAGIC[i])
            return false;
    }
    for (unsigned i = FIELDS_END; i < CHECKSUM_AT; i++) {
        if (from[i] != 0)
            return false;
    }
    return true;
}
