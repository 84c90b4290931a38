/* disk.c - a node's disk from outside: power loss, and what a scenario may look at and damage. */
#include <string.h>

#include "env/sim/sim_private.h"

void sim_disk_power_loss(struct sim_disk *disk)
{
    sim_names_power_loss(disk);
    LIST_FOR_EACH (at, &disk->current) {
        struct sim_name *name = LIST_ITEM(at, struct sim_name, link);
        if (!name->inode->directory)
            sim_inode_power_loss(disk, name->inode, name->path);
    }
}

/* ---- From outside ---- */

static struct sim_inode *file_at(struct sim_node *node, const char *path)
{
    char clean[SIM_PATH_BYTES];
    if (!sim_path_clean(path, clean))
        return NULL;
    struct sim_name *name = sim_disk_find(&node->disk.current, clean);
    return name != NULL && !name->inode->directory ? name->inode : NULL;
}

enum status sim_disk_size(struct sim_node *node, const char *path, uint64_t *bytes)
{
    const struct sim_inode *inode = file_at(node, path);
    if (inode == NULL)
        return STATUS_NOT_FOUND;
    *bytes = inode->bytes;
    return STATUS_OK;
}

bool sim_disk_durable(struct sim_node *node, const char *path)
{
    const struct sim_inode *inode = file_at(node, path);
    return inode != NULL && sim_inode_durable(inode);
}

uint64_t sim_disk_used(const struct sim_node *node)
{
    return node->disk.bytes_used;
}

void sim_disk_list(struct sim_node *node, void (*each)(void *argument, const char *path),
                   void *argument)
{
    LIST_FOR_EACH (at, &node->disk.current) {
        const struct sim_name *name = LIST_ITEM(at, struct sim_name, link);
        if (!name->inode->directory)
            each(argument, name->path);
    }
}

enum status sim_disk_read(struct sim_node *node, const char *path, uint64_t offset, void *to,
                          size_t count)
{
    const struct sim_inode *inode = file_at(node, path);
    if (inode == NULL)
        return STATUS_NOT_FOUND;
    if (offset > inode->bytes || count > inode->bytes - offset)
        return STATUS_END;
    sim_inode_read(inode, offset, to, count);
    return STATUS_OK;
}

enum status sim_disk_flip(struct sim_node *node, const char *path, uint64_t offset, uint8_t mask)
{
    struct sim_inode *inode = file_at(node, path);
    if (inode == NULL)
        return STATUS_NOT_FOUND;
    if (offset >= inode->bytes)
        return STATUS_END;
    sim_inode_flip(&node->disk, inode, offset, mask);
    sim_count_fault(node->sim, SIM_FAULT_FLIP, path);
    return STATUS_OK;
}
