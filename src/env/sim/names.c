/* names.c - the simulated disk's names: what is seen, what is durable, and the changes between.
 *
 * The changes of one directory reach the disk in order (a journal); those of different directories
 * independently of each other.  A name whose directory is not there is not there either. */
#include <string.h>

#include "env/sim/sim_private.h"

struct sim_change {
    struct list link;
    enum sim_name_change kind;
    struct sim_inode *inode; /* of LINK */
    char path[SIM_PATH_BYTES];
    char to[SIM_PATH_BYTES]; /* of RENAME */
};

/* ---- Paths ---- */

bool sim_path_clean(const char *path, char clean[SIM_PATH_BYTES])
{
    size_t count = 0;
    while (*path != '\0') {
        size_t part = strcspn(path, "/");
        bool nothing = part == 0 || (part == 1 && path[0] == '.');
        if (!nothing) {
            if (count + 1 + part + 1 > SIM_PATH_BYTES)
                return false;
            if (count > 0)
                clean[count++] = '/';
            memcpy(clean + count, path, part);
            count += part;
        }
        path += part;
        path += *path == '/';
    }
    clean[count] = '\0';
    return true;
}

void sim_path_parent(const char *path, char parent[SIM_PATH_BYTES])
{
    const char *slash = strrchr(path, '/');
    size_t count = slash != NULL ? (size_t)(slash - path) : 0;
    memcpy(parent, path, count);
    parent[count] = '\0';
}

static bool within(const char *path, const char *directory)
{
    char parent[SIM_PATH_BYTES];
    sim_path_parent(path, parent);
    return strcmp(parent, directory) == 0;
}

/* ---- Lists of names, sorted by path ---- */

struct sim_name *sim_disk_find(const struct list *names, const char *path)
{
    LIST_FOR_EACH (at, names) {
        struct sim_name *name = LIST_ITEM(at, struct sim_name, link);
        if (strcmp(name->path, path) == 0)
            return name;
    }
    return NULL;
}

static void name_insert(struct sim_disk *disk, struct list *names, const char *path,
                        struct sim_inode *inode)
{
    struct sim_name *name = sim_alloc(disk->sim, sizeof(*name));
    memcpy(name->path, path, strlen(path) + 1);
    name->inode = inode;
    sim_inode_hold(inode);
    struct list *at = names->next;
    while (at != names && strcmp(LIST_ITEM(at, struct sim_name, link)->path, path) < 0)
        at = at->next;
    list_insert_before(at, &name->link);
}

static void name_remove(struct sim_disk *disk, struct sim_name *name)
{
    list_remove(&name->link);
    sim_inode_drop(disk, name->inode);
    heap_free(&disk->sim->heap, name, sizeof(*name));
}

/* ---- Changes ---- */

static void change_apply(struct sim_disk *disk, struct list *names, const struct sim_change *change)
{
    struct sim_name *name = sim_disk_find(names, change->path);
    if (change->kind == SIM_NAME_LINK) {
        name_insert(disk, names, change->path, change->inode);
        return;
    }
    if (name == NULL)
        return; /* its directory was lost and made again */
    if (change->kind == SIM_NAME_RENAME) {
        struct sim_name *replaced = sim_disk_find(names, change->to);
        if (replaced != NULL)
            name_remove(disk, replaced);
        name_insert(disk, names, change->to, name->inode);
    }
    name_remove(disk, name);
}

static void change_add(struct sim_disk *disk, enum sim_name_change kind, const char *path,
                       const char *to, struct sim_inode *inode)
{
    struct sim_change *change = sim_alloc(disk->sim, sizeof(*change));
    change->kind = kind;
    change->inode = inode;
    if (inode != NULL)
        sim_inode_hold(inode);
    memcpy(change->path, path, strlen(path) + 1);
    memcpy(change->to, to, strlen(to) + 1);
    list_push_back(&disk->changes, &change->link);
    change_apply(disk, &disk->current, change);
}

static void change_free(struct sim_disk *disk, struct sim_change *change)
{
    list_remove(&change->link);
    if (change->inode != NULL)
        sim_inode_drop(disk, change->inode);
    heap_free(&disk->sim->heap, change, sizeof(*change));
}

/* Make the first `count` changes of `directory` durable, and forget its others. */
static void changes_settle(struct sim_disk *disk, const char *directory, size_t count)
{
    LIST_FOR_EACH_SAFE (at, &disk->changes) {
        struct sim_change *change = LIST_ITEM(at, struct sim_change, link);
        if (!within(change->path, directory))
            continue;
        if (count > 0) {
            change_apply(disk, &disk->durable, change);
            count--;
        }
        change_free(disk, change);
    }
}

/* ---- Operations ---- */

void sim_disk_init(struct sim_disk *disk, struct sim *sim)
{
    *disk = (struct sim_disk){.sim = sim};
    list_init(&disk->current);
    list_init(&disk->durable);
    list_init(&disk->changes);
}

bool sim_disk_is_directory(const struct sim_disk *disk, const char *path)
{
    if (path[0] == '\0')
        return true;
    const struct sim_name *name = sim_disk_find(&disk->current, path);
    return name != NULL && name->inode->directory;
}

enum status sim_disk_make(struct sim_disk *disk, const char *path, bool directory,
                          struct sim_inode **inode)
{
    char parent[SIM_PATH_BYTES];
    sim_path_parent(path, parent);
    if (path[0] == '\0' || sim_disk_find(&disk->current, path) != NULL)
        return STATUS_EXISTS;
    if (!sim_disk_is_directory(disk, parent))
        return STATUS_NOT_FOUND;
    struct sim_inode *made = sim_alloc(disk->sim, sizeof(*made));
    made->number = ++disk->inode_count;
    made->directory = directory;
    made->dirty_low = SIZE_MAX;
    change_add(disk, SIM_NAME_LINK, path, "", made);
    if (inode != NULL)
        *inode = made;
    return STATUS_OK;
}

enum status sim_disk_remove(struct sim_disk *disk, const char *path)
{
    const struct sim_name *name = sim_disk_find(&disk->current, path);
    if (name == NULL)
        return STATUS_NOT_FOUND;
    if (name->inode->directory)
        return STATUS_DENIED;
    change_add(disk, SIM_NAME_UNLINK, path, "", NULL);
    return STATUS_OK;
}

enum status sim_disk_rename(struct sim_disk *disk, const char *from, const char *to)
{
    const struct sim_name *name = sim_disk_find(&disk->current, from);
    if (name == NULL)
        return STATUS_NOT_FOUND;
    char parent[SIM_PATH_BYTES], to_parent[SIM_PATH_BYTES];
    sim_path_parent(from, parent);
    sim_path_parent(to, to_parent);
    if (!sim_disk_is_directory(disk, to_parent))
        return STATUS_NOT_FOUND;
    /* The simulator knows renames of files within one directory only. */
    ASSERT(!name->inode->directory && strcmp(parent, to_parent) == 0);
    if (sim_disk_is_directory(disk, to))
        return STATUS_DENIED;
    if (strcmp(from, to) != 0)
        change_add(disk, SIM_NAME_RENAME, from, to, NULL);
    return STATUS_OK;
}

enum status sim_disk_sync_dir(struct sim_disk *disk, const char *path)
{
    if (!sim_disk_is_directory(disk, path))
        return STATUS_NOT_FOUND;
    changes_settle(disk, path, SIZE_MAX);
    return STATUS_OK;
}

void sim_names_power_loss(struct sim_disk *disk)
{
    struct sim *sim = disk->sim;
    while (!list_empty(&disk->changes)) {
        const struct sim_change *first = LIST_ITEM(disk->changes.next, struct sim_change, link);
        char directory[SIM_PATH_BYTES];
        sim_path_parent(first->path, directory);
        size_t count = 0;
        LIST_FOR_EACH (at, &disk->changes) {
            count += within(LIST_ITEM(at, struct sim_change, link)->path, directory);
        }
        size_t kept = (size_t)sim_below(sim, count + 1);
        if (kept < count)
            sim_count_fault(sim, SIM_FAULT_UNDONE_NAME, directory);
        changes_settle(disk, directory, kept);
    }
    while (!list_empty(&disk->current))
        name_remove(disk, LIST_ITEM(disk->current.next, struct sim_name, link));
    LIST_FOR_EACH_SAFE (at, &disk->durable) {
        struct sim_name *name = LIST_ITEM(at, struct sim_name, link);
        char parent[SIM_PATH_BYTES];
        sim_path_parent(name->path, parent);
        if (sim_disk_is_directory(disk, parent))
            name_insert(disk, &disk->current, name->path, name->inode);
        else
            name_remove(disk, name);
    }
}
