/* superblock.h - the two blocks of a forest's file from which it is opened.
 *
 * Superblock 0 lies at offset 0, superblock 1 at 65,536: damage of one block of the device does not
 * reach both.  A checkpoint overwrites the older one; in a new file, and after one of them was
 * damaged, both say the same.  The first two are written, and synced, when the log that they name
 * is durable: a file that has one says that there was a log.  Little-endian; 4,096 bytes:
 *
 *   offset size  meaning
 *        0   16  "trine forest 1\r\n"; a later layout of this block has another number
 *       16    4  format of the file, 1
 *       20    4  page bytes, 8192
 *       24    4  which superblock this is, 0 or 1
 *       28    4  node id
 *       32    8  forest id: random, seeds the checksums of all pages
 *       40    8  cluster id
 *       48    8  log id
 *       56    8  epoch
 *       64   12  ref of the directory's root, number 0 = empty
 *       76    4  height of the directory
 *       80   12  ref of the free list's first page, number 0 = none
 *       92    4  pages of the file
 *       96    8  log position: records from here on must be applied again
 *      104    8  next tree id
 *      112    8  bytes of the encoded free list
 *      120    1  key id of encryption at rest, 0 = none
 *      121  ...  zero
 *     4088    8  checksum: XXH3-64 of bytes 0..4087
 *
 * Valid if and only if the magic, the checksum and "which" are right.
 */
#ifndef STORAGE_SUPERBLOCK_H
#define STORAGE_SUPERBLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/status.h"
#include "storage/page.h"

#define SUPERBLOCK_BYTES   4096u
#define SUPERBLOCK_SPACING 65536u

struct superblock {
    uint32_t which;
    uint32_t node_id;
    uint64_t forest_id;
    uint64_t cluster_id;
    uint64_t log_id;
    uint64_t epoch;
    struct page_ref directory;
    uint32_t directory_height;
    struct page_ref free_list;
    uint32_t page_count;
    uint64_t log_from;
    uint64_t tree_id_next;
    uint64_t free_list_bytes;
};

void superblock_encode(const struct superblock *super, uint8_t *to);

/* Read one back; `which` is where it was read.
 *   STATUS_INVALID  another kind of file
 *   STATUS_VERSION  of a newer format
 *   STATUS_CORRUPT  the rest does not verify */
MUST_USE enum status superblock_decode(const uint8_t *from, uint32_t which,
                                       struct superblock *super);

/* What does not verify is nothing, or the torn write of a first superblock, and nothing else. */
bool superblock_is_unfinished(const uint8_t *from);

#endif
