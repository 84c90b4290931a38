/* file.c - the file functions of env.h: their time, their faults, and what a crash in
 * them leaves. */
#include <string.h>

#include "base/checksum.h"
#include "env/bugs.h"
#include "env/sim/sim_private.h"

/* What an operation is for the trace. */
enum file_call {
    CALL_OPEN = 1,
    CALL_SIZE,
    CALL_READ,
    CALL_WRITE,
    CALL_SYNC,
    CALL_TRUNCATE,
    CALL_REMOVE,
    CALL_RENAME,
    CALL_MAKE_DIR,
    CALL_SYNC_DIR,
    CALL_LIST
};

/* ---- Time, and the crash in the middle of it ---- */

static uint64_t operation_ns(struct sim *sim, uint64_t mean_ns)
{
    uint64_t duration = sim_duration(sim, mean_ns);
    const struct sim_rates *rates = &sim->options.rates;
    if (rates->stall_ns_max > 0 && sim_chance(sim, rates->stall)) {
        sim_count_fault(sim, SIM_FAULT_STALL, "disk");
        duration += sim_below(sim, rates->stall_ns_max);
    }
    return duration;
}

/* An operation that changes nothing. */
static struct sim_worker *pass(struct env *env, uint64_t mean_ns)
{
    struct sim_worker *worker = sim_worker_current(env);
    sim_worker_wait(worker, operation_ns(worker->node->sim, mean_ns));
    return worker;
}

/* An operation that changes the disk: one in which sim_node_crash_at may crash. */
static struct sim_worker *pass_change(struct env *env, uint64_t mean_ns,
                                      struct sim_operation operation)
{
    struct sim_worker *worker = sim_worker_current(env);
    struct sim_node *node = worker->node;
    uint64_t duration = operation_ns(node->sim, mean_ns);
    node->changes++;
    if (node->crash_in > 0 && --node->crash_in == 0)
        sim_schedule(node->sim, &node->crash_event, sim_below(node->sim, duration));
    worker->operation = operation;
    sim_worker_wait(worker, duration);
    worker->operation = (struct sim_operation){.kind = SIM_OPERATION_OTHER};
    return worker;
}

static void trace_call(struct sim_worker *worker, enum file_call call, uint64_t what,
                       enum status status)
{
    struct sim *sim = worker->node->sim;
    sim_fold(sim, SIM_TRACE_FILE, ((uint64_t)call << 32) | (uint64_t)status, what);
}

static uint64_t path_hash(const char *path)
{
    return checksum64(bytes_of_text(path), 0);
}

static uint64_t runs_hash(const struct bytes *runs, size_t run_count)
{
    uint64_t hash = run_count;
    for (size_t i = 0; i < run_count; i++)
        hash = checksum64(runs[i], hash);
    return hash;
}

static uint64_t disk_ns(struct env *env)
{
    return sim_node_of(env)->sim->options.disk_ns;
}

/* ---- Open files ---- */

static enum status open_inode(struct sim_node *node, const char *path, unsigned flags,
                              struct sim_inode **inode)
{
    struct sim *sim = node->sim;
    if (sim_chance(sim, sim->options.rates.open_error)) {
        sim_count_fault(sim, SIM_FAULT_OPEN_ERROR, path);
        return STATUS_IO;
    }
    const struct sim_name *name = sim_disk_find(&node->disk.current, path);
    if (name == NULL) {
        if ((flags & ENV_FILE_CREATE) == 0)
            return STATUS_NOT_FOUND;
        return sim_disk_make(&node->disk, path, false, inode);
    }
    if ((flags & ENV_FILE_CREATE) != 0 && (flags & ENV_FILE_EXCLUSIVE) != 0)
        return STATUS_EXISTS;
    if (name->inode->directory)
        return STATUS_DENIED;
    if ((flags & ENV_FILE_LOCK) != 0 && name->inode->lock != NULL)
        return STATUS_LOCKED;
    *inode = name->inode;
    return STATUS_OK;
}

static enum status file_open(struct env *env, const char *path, unsigned flags,
                             struct env_file **file)
{
    struct sim_node *node = sim_node_of(env);
    char clean[SIM_PATH_BYTES];
    if (!sim_path_clean(path, clean))
        return STATUS_INVALID;
    struct sim_operation operation = {.kind = SIM_OPERATION_OTHER};
    struct sim_worker *worker = (flags & ENV_FILE_CREATE) != 0
                                    ? pass_change(env, 2 * disk_ns(env), operation)
                                    : pass(env, disk_ns(env));
    struct sim_inode *inode = NULL;
    enum status status = open_inode(node, clean, flags, &inode);
    trace_call(worker, CALL_OPEN, path_hash(clean), status);
    if (status != STATUS_OK)
        return status;
    struct env_file *opened = sim_kernel_alloc(node, sizeof(*opened));
    opened->inode = inode;
    memcpy(opened->path, clean, strlen(clean) + 1);
    opened->read_only = (flags & ENV_FILE_READ_ONLY) != 0;
    sim_inode_hold(inode);
    if ((flags & ENV_FILE_LOCK) != 0)
        inode->lock = opened;
    list_push_back(&node->files, &opened->link);
    *file = opened;
    return STATUS_OK;
}

static void close_now(struct sim_node *node, struct env_file *file)
{
    if (file->inode->lock == file)
        file->inode->lock = NULL;
    sim_inode_drop(&node->disk, file->inode);
    list_remove(&file->link);
    heap_free(&node->kernel, file, sizeof(*file));
}

static void file_close(struct env *env, struct env_file *file)
{
    struct sim_worker *worker = sim_worker_current(env);
    close_now(worker->node, file);
}

void sim_files_close(struct sim_node *node)
{
    while (!list_empty(&node->files))
        close_now(node, LIST_ITEM(node->files.next, struct env_file, link));
}

static enum status file_size(struct env *env, struct env_file *file, uint64_t *bytes)
{
    struct sim_worker *worker = pass(env, disk_ns(env) / 2);
    *bytes = file->inode->bytes;
    trace_call(worker, CALL_SIZE, *bytes, STATUS_OK);
    return STATUS_OK;
}

/* ---- Read ---- */

static enum status file_read(struct env *env, struct env_file *file, uint64_t offset, void *to,
                             size_t count)
{
    if (count > 0)
        memset(to, 0xDB, count); /* who looks before the end sees it */
    struct sim_worker *worker = pass(env, 2 * disk_ns(env) + count / 4);
    struct sim *sim = worker->node->sim;
    const struct sim_inode *inode = file->inode;
    enum status status = STATUS_OK;
    if (sim_chance(sim, sim->options.rates.read_error)) {
        sim_count_fault(sim, SIM_FAULT_READ_ERROR, file->path);
        status = STATUS_IO;
    } else if (count > 0 && (offset > inode->bytes || count > inode->bytes - offset)) {
        status = STATUS_END;
    } else {
        sim_inode_read(inode, offset, to, count);
    }
    trace_call(worker, CALL_READ, offset ^ (uint64_t)count << 40, status);
    return status;
}

/* ---- Write ---- */

static size_t runs_bytes(const struct bytes *runs, size_t run_count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < run_count; i++)
        bytes += runs[i].count;
    return bytes;
}

/* Write the first `count` bytes of the runs at `offset`, as one: no border of a run shows. */
static enum status write_runs(struct sim_node *node, struct sim_inode *inode, uint64_t offset,
                              const struct bytes *runs, size_t run_count, size_t count)
{
    struct sim *sim = node->sim;
    uint8_t *whole = sim_alloc(sim, count);
    size_t gathered = 0;
    for (size_t i = 0; i < run_count && gathered < count; i++) {
        size_t part = MIN(runs[i].count, count - gathered);
        if (part > 0)
            memcpy(whole + gathered, runs[i].at, part);
        gathered += part;
    }
    size_t done;
    enum status status = sim_inode_write(&node->disk, inode, offset, bytes_of(whole, count), &done);
    heap_free(&sim->heap, whole, count);
    return status;
}

/* A part of a write that ends at the border of a block, or nothing, or the whole. */
static size_t write_part(struct sim *sim, uint64_t offset, size_t bytes)
{
    uint64_t end = offset + sim_below(sim, bytes + 1);
    uint64_t border = end - end % SIM_BLOCK_BYTES;
    if (sim_below(sim, 4) == 0)
        return bytes;
    return border > offset ? (size_t)(border - offset) : 0;
}

static enum status write_faulty(struct sim_node *node, const struct env_file *file, uint64_t offset,
                                const struct bytes *runs, size_t run_count)
{
    struct sim *sim = node->sim;
    struct sim_inode *inode = file->inode;
    const struct sim_rates *rates = &sim->options.rates;
    bool damage = rates->damage_in == NULL || strstr(file->path, rates->damage_in) != NULL;
    size_t bytes = runs_bytes(runs, run_count);
    enum status status = STATUS_OK;
    if (sim_chance(sim, rates->write_error)) {
        sim_count_fault(sim, SIM_FAULT_WRITE_ERROR, file->path);
        bytes = write_part(sim, offset, bytes);
        status = STATUS_IO;
    } else if (sim_chance(sim, rates->no_space)) {
        sim_count_fault(sim, SIM_FAULT_NO_SPACE, file->path);
        bytes = write_part(sim, offset, bytes);
        status = STATUS_NO_SPACE;
    } else if (damage && sim_chance(sim, rates->lost_write)) {
        sim_count_fault(sim, SIM_FAULT_LOST_WRITE, file->path);
        return STATUS_OK;
    } else if (damage && inode->bytes > bytes && sim_chance(sim, rates->misdirected)) {
        sim_count_fault(sim, SIM_FAULT_MISDIRECTED, file->path);
        uint64_t blocks = (inode->bytes - bytes) / SIM_BLOCK_BYTES + 1;
        offset = sim_below(sim, blocks) * SIM_BLOCK_BYTES;
    }
    enum status written = write_runs(node, inode, offset, runs, run_count, bytes);
    if (written == STATUS_NO_SPACE && status == STATUS_OK)
        sim_count_fault(sim, SIM_FAULT_NO_SPACE, "disk full");
    return status != STATUS_OK ? status : written;
}

static enum status file_write(struct env *env, struct env_file *file, uint64_t offset,
                              const struct bytes *runs, size_t run_count)
{
    uint64_t hash = runs_hash(runs, run_count);
    size_t bytes = runs_bytes(runs, run_count);
    struct sim_operation operation = {
        .kind = file->read_only ? SIM_OPERATION_OTHER : SIM_OPERATION_WRITE,
        .inode = file->inode,
        .offset = offset,
        .runs = runs,
        .run_count = run_count,
    };
    struct sim_worker *worker = pass_change(env, disk_ns(env) + bytes / 2, operation);
    ASSERT(runs_hash(runs, run_count) == hash); /* nobody changes what is being written */
    enum status status = STATUS_DENIED;
    if (!file->read_only)
        status = write_faulty(worker->node, file, offset, runs, run_count);
    trace_call(worker, CALL_WRITE, hash ^ offset, status);
    return status;
}

/* ---- Sync, truncate ---- */

static enum status file_sync(struct env *env, struct env_file *file)
{
    struct sim_disk *disk = &sim_node_of(env)->disk;
    struct sim_operation operation = {
        .kind = SIM_OPERATION_SYNC,
        .inode = file->inode,
        .write_sequence = disk->write_sequence,
    };
    struct sim_worker *worker = pass_change(env, 10 * disk_ns(env), operation);
    struct sim *sim = worker->node->sim;
    enum status status = STATUS_OK;
    if (BUG(env, BUG_SKIP_SYNC)) {
        /* Nothing was made durable. */
    } else if (sim_chance(sim, sim->options.rates.sync_error)) {
        sim_count_fault(sim, SIM_FAULT_SYNC_ERROR, file->path);
        sim_inode_sync_failed(disk, file->inode);
        status = STATUS_IO;
    } else {
        sim_inode_sync(disk, file->inode, operation.write_sequence);
    }
    trace_call(worker, CALL_SYNC, file->inode->number, status);
    return status;
}

static enum status file_truncate(struct env *env, struct env_file *file, uint64_t bytes)
{
    struct sim_operation operation = {.kind = SIM_OPERATION_OTHER};
    struct sim_worker *worker = pass_change(env, disk_ns(env), operation);
    enum status status = STATUS_DENIED;
    if (!file->read_only) {
        sim_inode_truncate(&worker->node->disk, file->inode, bytes);
        status = STATUS_OK;
    }
    trace_call(worker, CALL_TRUNCATE, bytes, status);
    return status;
}

/* What an operation in flight leaves when its process dies in it. */
static void operation_cut(struct sim_node *node, const struct sim_operation *operation,
                          enum sim_crash crash)
{
    struct sim *sim = node->sim;
    if (operation->kind == SIM_OPERATION_WRITE) {
        size_t bytes = runs_bytes(operation->runs, operation->run_count);
        size_t part = write_part(sim, operation->offset, bytes);
        enum status status = write_runs(node, operation->inode, operation->offset, operation->runs,
                                        operation->run_count, part);
        (void)status; /* a full disk takes less of it */
    } else if (operation->kind == SIM_OPERATION_SYNC && crash == SIM_CRASH_POWER) {
        if (sim_below(sim, 4) == 0)
            sim_inode_sync(&node->disk, operation->inode, operation->write_sequence);
    }
}

void sim_operations_cut(struct sim_node *node, enum sim_crash crash)
{
    for (uint32_t i = 0; i < ENV_LANE_COUNT; i++) {
        const struct sim_lane *lane = &node->lanes[i];
        for (uint32_t w = 0; w < lane->worker_count; w++)
            operation_cut(node, &lane->workers[w]->operation, crash);
    }
}

/* ---- Names ---- */

static enum status file_remove(struct env *env, const char *path)
{
    char clean[SIM_PATH_BYTES];
    if (!sim_path_clean(path, clean))
        return STATUS_INVALID;
    struct sim_operation operation = {.kind = SIM_OPERATION_OTHER};
    struct sim_worker *worker = pass_change(env, disk_ns(env), operation);
    enum status status = sim_disk_remove(&worker->node->disk, clean);
    trace_call(worker, CALL_REMOVE, path_hash(clean), status);
    return status;
}

static enum status file_rename(struct env *env, const char *from, const char *to)
{
    char clean_from[SIM_PATH_BYTES], clean_to[SIM_PATH_BYTES];
    if (!sim_path_clean(from, clean_from) || !sim_path_clean(to, clean_to))
        return STATUS_INVALID;
    struct sim_operation operation = {.kind = SIM_OPERATION_OTHER};
    struct sim_worker *worker = pass_change(env, disk_ns(env), operation);
    enum status status = sim_disk_rename(&worker->node->disk, clean_from, clean_to);
    trace_call(worker, CALL_RENAME, path_hash(clean_from) ^ 3 * path_hash(clean_to), status);
    return status;
}

static enum status dir_create(struct env *env, const char *path)
{
    char clean[SIM_PATH_BYTES];
    if (!sim_path_clean(path, clean))
        return STATUS_INVALID;
    struct sim_operation operation = {.kind = SIM_OPERATION_OTHER};
    struct sim_worker *worker = pass_change(env, disk_ns(env), operation);
    enum status status = sim_disk_make(&worker->node->disk, clean, true, NULL);
    trace_call(worker, CALL_MAKE_DIR, path_hash(clean), status);
    return status;
}

static enum status dir_sync(struct env *env, const char *path)
{
    char clean[SIM_PATH_BYTES];
    if (!sim_path_clean(path, clean))
        return STATUS_INVALID;
    struct sim_operation operation = {.kind = SIM_OPERATION_OTHER};
    struct sim_worker *worker = pass_change(env, 10 * disk_ns(env), operation);
    struct sim *sim = worker->node->sim;
    enum status status;
    if (sim_chance(sim, sim->options.rates.sync_error)) {
        sim_count_fault(sim, SIM_FAULT_SYNC_ERROR, clean);
        status = STATUS_IO;
    } else {
        status = sim_disk_sync_dir(&worker->node->disk, clean);
    }
    trace_call(worker, CALL_SYNC_DIR, path_hash(clean), status);
    return status;
}

static enum status dir_list(struct env *env, const char *path,
                            void (*each)(void *argument, const char *name), void *argument)
{
    char clean[SIM_PATH_BYTES];
    if (!sim_path_clean(path, clean))
        return STATUS_INVALID;
    struct sim_worker *worker = pass(env, 2 * disk_ns(env));
    const struct sim_disk *disk = &worker->node->disk;
    enum status status = STATUS_NOT_FOUND;
    if (sim_disk_is_directory(disk, clean)) {
        status = STATUS_OK;
        LIST_FOR_EACH (at, &disk->current) {
            const char *name = LIST_ITEM(at, struct sim_name, link)->path;
            char parent[SIM_PATH_BYTES];
            sim_path_parent(name, parent);
            if (strcmp(parent, clean) == 0)
                each(argument, clean[0] == '\0' ? name : name + strlen(clean) + 1);
        }
    }
    trace_call(worker, CALL_LIST, path_hash(clean), status);
    return status;
}

void sim_file_ops(struct env_ops *ops)
{
    ops->file_open = file_open;
    ops->file_close = file_close;
    ops->file_size = file_size;
    ops->file_read = file_read;
    ops->file_write = file_write;
    ops->file_sync = file_sync;
    ops->file_truncate = file_truncate;
    ops->file_remove = file_remove;
    ops->file_rename = file_rename;
    ops->dir_create = dir_create;
    ops->dir_sync = dir_sync;
    ops->dir_list = dir_list;
}
