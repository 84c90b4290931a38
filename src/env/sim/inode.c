/* inode.c - the content of files: blocks as they are seen and as they are durable, and what a power
 * loss leaves of them. */
#include <string.h>

#include "env/sim/sim_private.h"

/* ---- Blocks ---- */

static uint8_t *block_alloc(struct sim_disk *disk)
{
    return sim_alloc(disk->sim, SIM_BLOCK_BYTES);
}

static void block_free(struct sim_disk *disk, uint8_t *at)
{
    heap_free(&disk->sim->heap, at, SIM_BLOCK_BYTES);
}

static void copy_or_zero(uint8_t *to, const uint8_t *from, size_t offset, size_t count)
{
    if (from != NULL)
        memcpy(to, from + offset, count);
    else
        memset(to, 0, count);
}

static bool block_dirty(const struct sim_block *block)
{
    return block->current != block->durable;
}

/* Replace the current content by `at` (owned from now on; NULL = zeros). */
static void block_set(struct sim_disk *disk, struct sim_block *block, uint8_t *at)
{
    if (block->current != NULL)
        disk->bytes_used -= SIM_BLOCK_BYTES;
    if (block_dirty(block))
        block_free(disk, block->current);
    block->current = at;
    if (at != NULL)
        disk->bytes_used += SIM_BLOCK_BYTES;
}

/* What is current is on the disk. */
static void block_settle(struct sim_disk *disk, struct sim_block *block)
{
    if (block_dirty(block))
        block_free(disk, block->durable);
    block->durable = block->current;
    block->abandoned = false;
}

/* The system writes back when it likes: some sectors of a dirty block reach the disk now, in the
 * state that they have. */
static void block_write_back(struct sim_disk *disk, struct sim_block *block)
{
    if (block->durable == NULL)
        block->durable = block_alloc(disk);
    uint64_t sectors = prng_u64(&disk->sim->choices);
    for (size_t i = 0; i < SIM_SECTORS; i++) {
        size_t at = i * SIM_SECTOR_BYTES;
        if ((sectors >> i & 1) != 0)
            copy_or_zero(block->durable + at, block->current == NULL ? NULL : block->current + at,
                         0, SIM_SECTOR_BYTES);
    }
}

static void blocks_reserve(struct sim_disk *disk, struct sim_inode *inode, size_t count)
{
    if (count > inode->block_capacity) {
        struct heap *heap = &disk->sim->heap;
        size_t capacity = MAX(count, 2 * inode->block_capacity);
        struct sim_block *blocks = sim_alloc(disk->sim, capacity * sizeof(*blocks));
        if (inode->block_count > 0)
            memcpy(blocks, inode->blocks, inode->block_count * sizeof(*blocks));
        heap_free(heap, inode->blocks, inode->block_capacity * sizeof(*blocks));
        inode->blocks = blocks;
        inode->block_capacity = capacity;
    }
    inode->block_count = MAX(inode->block_count, count);
}

/* Write within one block.  false: the disk is full. */
static bool block_write(struct sim_disk *disk, struct sim_inode *inode, size_t index, size_t at,
                        struct bytes bytes)
{
    struct sim *sim = disk->sim;
    blocks_reserve(disk, inode, index + 1);
    struct sim_block *block = &inode->blocks[index];
    uint64_t bytes_max = sim->options.disk_bytes_max;
    if (block->current == NULL && bytes_max > 0 && disk->bytes_used >= bytes_max)
        return false;
    if (block_dirty(block) && prng_one_in(&sim->choices, 8))
        block_write_back(disk, block);
    if (block->current == NULL || !block_dirty(block)) {
        uint8_t *copy = block_alloc(disk);
        copy_or_zero(copy, block->current, 0, SIM_BLOCK_BYTES);
        block_set(disk, block, copy);
    }
    memcpy(block->current + at, bytes.at, bytes.count);
    block->written = disk->write_sequence;
    block->abandoned = false;
    inode->dirty_low = MIN(inode->dirty_low, index);
    inode->dirty_end = MAX(inode->dirty_end, index + 1);
    return true;
}

/* ---- Content ---- */

void sim_inode_hold(struct sim_inode *inode)
{
    inode->references++;
}

void sim_inode_drop(struct sim_disk *disk, struct sim_inode *inode)
{
    ASSERT(inode->references > 0);
    if (--inode->references > 0)
        return;
    for (size_t i = 0; i < inode->block_count; i++) {
        block_set(disk, &inode->blocks[i], NULL);
        block_free(disk, inode->blocks[i].durable);
    }
    heap_free(&disk->sim->heap, inode->blocks, inode->block_capacity * sizeof(struct sim_block));
    heap_free(&disk->sim->heap, inode, sizeof(*inode));
}

void sim_inode_read(const struct sim_inode *inode, uint64_t offset, uint8_t *to, size_t count)
{
    while (count > 0) {
        size_t index = (size_t)(offset / SIM_BLOCK_BYTES);
        size_t at = (size_t)(offset % SIM_BLOCK_BYTES);
        size_t part = MIN(count, SIM_BLOCK_BYTES - at);
        copy_or_zero(to, index < inode->block_count ? inode->blocks[index].current : NULL, at,
                     part);
        to += part;
        offset += part;
        count -= part;
    }
}

enum status sim_inode_write(struct sim_disk *disk, struct sim_inode *inode, uint64_t offset,
                            struct bytes bytes, size_t *done)
{
    disk->write_sequence++;
    *done = 0;
    while (*done < bytes.count) {
        size_t index = (size_t)(offset / SIM_BLOCK_BYTES);
        size_t at = (size_t)(offset % SIM_BLOCK_BYTES);
        size_t part = MIN(bytes.count - *done, SIM_BLOCK_BYTES - at);
        if (!block_write(disk, inode, index, at, bytes_of(bytes.at + *done, part)))
            return STATUS_NO_SPACE;
        offset += part;
        *done += part;
        inode->bytes = MAX(inode->bytes, offset);
    }
    return STATUS_OK;
}

void sim_inode_truncate(struct sim_disk *disk, struct sim_inode *inode, uint64_t bytes)
{
    disk->write_sequence++;
    size_t kept = (size_t)((bytes + SIM_BLOCK_BYTES - 1) / SIM_BLOCK_BYTES);
    for (size_t i = kept; i < inode->block_count; i++) {
        block_set(disk, &inode->blocks[i], NULL);
        inode->blocks[i].written = disk->write_sequence;
        inode->blocks[i].abandoned = false;
        inode->dirty_low = MIN(inode->dirty_low, i);
        inode->dirty_end = MAX(inode->dirty_end, i + 1);
    }
    size_t tail = (size_t)(bytes % SIM_BLOCK_BYTES);
    if (tail > 0 && kept <= inode->block_count && inode->blocks[kept - 1].current != NULL) {
        static const uint8_t zeros[SIM_BLOCK_BYTES];
        bool written =
            block_write(disk, inode, kept - 1, tail, bytes_of(zeros, SIM_BLOCK_BYTES - tail));
        ASSERT(written); /* the block is there: it needs no space */
    }
    inode->bytes = bytes;
}

void sim_inode_sync(struct sim_disk *disk, struct sim_inode *inode, uint64_t write_sequence)
{
    size_t low = SIZE_MAX, end = 0;
    for (size_t i = inode->dirty_low; i < inode->dirty_end; i++) {
        struct sim_block *block = &inode->blocks[i];
        if (block_dirty(block) && !block->abandoned && block->written <= write_sequence)
            block_settle(disk, block);
        if (block_dirty(block)) {
            low = MIN(low, i);
            end = i + 1;
        }
    }
    inode->dirty_low = low;
    inode->dirty_end = end;
    inode->bytes_durable = inode->bytes;
}

void sim_inode_sync_failed(struct sim_disk *disk, struct sim_inode *inode)
{
    for (size_t i = inode->dirty_low; i < inode->dirty_end; i++) {
        struct sim_block *block = &inode->blocks[i];
        if (!block_dirty(block))
            continue;
        switch (sim_below(disk->sim, 3)) {
        case 0:
            block_settle(disk, block);
            break;
        case 1:
            block->abandoned = true;
            break;
        default: /* forgotten by the cache: the old content comes back */
            if (block->durable != NULL)
                disk->bytes_used += SIM_BLOCK_BYTES;
            block_set(disk, block, NULL);
            block->current = block->durable;
            break;
        }
    }
}

bool sim_inode_durable(const struct sim_inode *inode)
{
    if (inode->bytes != inode->bytes_durable)
        return false;
    for (size_t i = inode->dirty_low; i < inode->dirty_end; i++)
        if (block_dirty(&inode->blocks[i]))
            return false;
    return true;
}

void sim_inode_flip(struct sim_disk *disk, struct sim_inode *inode, uint64_t offset, uint8_t mask)
{
    size_t index = (size_t)(offset / SIM_BLOCK_BYTES), at = (size_t)(offset % SIM_BLOCK_BYTES);
    blocks_reserve(disk, inode, index + 1);
    struct sim_block *block = &inode->blocks[index];
    bool clean = !block_dirty(block);
    if (block->current == NULL)
        block_set(disk, block, block_alloc(disk));
    block->current[at] ^= mask;
    if (clean)
        block->durable = block->current;
    else if (block->durable != NULL)
        block->durable[at] ^= mask;
}

/* ---- What a power loss leaves of a file ---- */

enum loss {
    LOSS_ALL,
    LOSS_NONE,
    LOSS_BLOCKS,
    LOSS_SECTORS,
    LOSS_ONE,
    LOSS_ALL_BUT_ONE,
    LOSS_COUNT
};

struct loss_plan {
    enum loss loss;
    size_t special; /* the block that is treated otherwise */
    uint64_t keep_of_16;
};

/* Which sectors of dirty block `index` are kept: a bit each. */
static unsigned sectors_kept(struct sim *sim, const struct loss_plan *plan, size_t index)
{
    const unsigned all = (1u << SIM_SECTORS) - 1;
    unsigned kept = 0;
    switch (plan->loss) {
    case LOSS_ALL:
        return 0;
    case LOSS_NONE:
        return all;
    case LOSS_ONE:
        return index == plan->special ? 0 : all;
    case LOSS_ALL_BUT_ONE:
        return index == plan->special ? all : 0;
    case LOSS_BLOCKS:
        return sim_below(sim, 16) < plan->keep_of_16 ? all : 0;
    default:
        for (unsigned i = 0; i < SIM_SECTORS; i++)
            kept |= (sim_below(sim, 16) < plan->keep_of_16 ? 1u : 0u) << i;
        return kept;
    }
}

static void block_lose(struct sim_disk *disk, struct sim_block *block, unsigned kept)
{
    uint8_t *merged = block_alloc(disk);
    for (size_t i = 0; i < SIM_SECTORS; i++) {
        const uint8_t *from = (kept >> i & 1) != 0 ? block->current : block->durable;
        copy_or_zero(merged + i * SIM_SECTOR_BYTES, from, i * SIM_SECTOR_BYTES, SIM_SECTOR_BYTES);
    }
    block_set(disk, block, merged);
    block_settle(disk, block);
}

static uint64_t size_left(struct sim *sim, const struct sim_inode *inode)
{
    if (inode->bytes == inode->bytes_durable)
        return inode->bytes;
    uint64_t low = MIN(inode->bytes, inode->bytes_durable);
    uint64_t high = MAX(inode->bytes, inode->bytes_durable);
    switch (sim_below(sim, 3)) {
    case 0:
        return inode->bytes;
    case 1:
        return inode->bytes_durable;
    default:
        return low + sim_below(sim, high - low + 1);
    }
}

void sim_inode_power_loss(struct sim_disk *disk, struct sim_inode *inode, const char *path)
{
    struct sim *sim = disk->sim;
    size_t dirty = 0;
    for (size_t i = inode->dirty_low; i < inode->dirty_end; i++)
        dirty += block_dirty(&inode->blocks[i]);
    uint64_t bytes = size_left(sim, inode);
    struct loss_plan plan = {.loss = (enum loss)sim_below(sim, LOSS_COUNT)};
    plan.keep_of_16 = 1 + sim_below(sim, 15);
    uint64_t special = dirty > 0 ? sim_below(sim, dirty) : 0;
    size_t seen = 0;
    for (size_t i = inode->dirty_low; i < inode->dirty_end; i++)
        if (block_dirty(&inode->blocks[i]) && seen++ == special)
            plan.special = i;
    bool dropped = false, torn = false;
    for (size_t i = inode->dirty_low; i < inode->dirty_end; i++) {
        struct sim_block *block = &inode->blocks[i];
        if (!block_dirty(block))
            continue;
        unsigned kept = block->abandoned ? 0 : sectors_kept(sim, &plan, i);
        dropped |= kept == 0;
        torn |= kept != 0 && kept != (1u << SIM_SECTORS) - 1;
        block_lose(disk, block, kept);
    }
    sim_inode_truncate(disk, inode, bytes);
    for (size_t i = 0; i < inode->block_count; i++)
        block_settle(disk, &inode->blocks[i]);
    inode->bytes_durable = bytes;
    inode->dirty_low = SIZE_MAX;
    inode->dirty_end = 0;
    if (dropped)
        sim_count_fault(sim, SIM_FAULT_DROPPED, path);
    if (torn)
        sim_count_fault(sim, SIM_FAULT_TORN, path);
}
