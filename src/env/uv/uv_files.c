/* uv_files.c - the system's files; every function blocks and runs in a lane's thread.
 *
 * Each call is repeated when a signal interrupts it and goes on where it stopped short.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/assert.h"
#include "env/uv/uv_env_private.h"

#define FILE_MODE 0600 /* other users of the machine are not to read a database's files */
#define DIR_MODE  0700
#define RUNS_MAX  64 /* runs in one system call */

struct env_file {
    int fd;
    bool read_only;
};

enum status env_uv_status_of_errno(int error)
{
    switch (error) {
    case 0:
        return STATUS_OK;
    case ENOENT:
    case ENOTDIR:
        return STATUS_NOT_FOUND;
    case EEXIST:
    case EADDRINUSE:
        return STATUS_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
    case EISDIR:
        return STATUS_DENIED;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return STATUS_NO_SPACE;
    case ENOMEM:
    case ENOBUFS:
        return STATUS_NO_MEMORY;
    case EMFILE:
    case ENFILE:
        return STATUS_BUSY;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        return STATUS_INVALID;
    default:
        return STATUS_IO;
    }
}

static enum status lock(int fd)
{
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return STATUS_LOCKED;
        if (errno != EINTR)
            return env_uv_status_of_errno(errno);
    }
    return STATUS_OK;
}

static int open_retrying(const char *path, int flags)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC | O_NONBLOCK, FILE_MODE); /* a FIFO would wait for ever */
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* STATUS_DENIED: it is a FIFO. */
static enum status check_kind(int fd)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        return env_uv_status_of_errno(errno);
    return S_ISFIFO(about.st_mode) ? STATUS_DENIED : STATUS_OK;
}

enum status env_uv_file_open(struct env *env, const char *path, unsigned flags,
                             struct env_file **file)
{
    env_uv_assert_in_job(env);
    bool read_only = (flags & ENV_FILE_READ_ONLY) != 0;
    int how = read_only ? O_RDONLY : O_RDWR;
    if ((flags & ENV_FILE_CREATE) != 0)
        how |= O_CREAT;
    if ((flags & ENV_FILE_EXCLUSIVE) != 0)
        how |= O_EXCL;
    struct env_file *opened = malloc(sizeof(*opened));
    if (opened == NULL)
        return STATUS_NO_MEMORY;
    int fd = open_retrying(path, how);
    enum status status = fd < 0 ? env_uv_status_of_errno(errno) : STATUS_OK;
    if (status == STATUS_OK)
        status = check_kind(fd);
    if (status == STATUS_OK && (flags & ENV_FILE_LOCK) != 0)
        status = lock(fd);
    if (status != STATUS_OK) {
        if (fd >= 0)
            close(fd);
        free(opened);
        return status;
    }
    *opened = (struct env_file){.fd = fd, .read_only = read_only};
    *file = opened;
    return STATUS_OK;
}

void env_uv_file_close(struct env *env, struct env_file *file)
{
    env_uv_assert_in_job(env);
    close(file->fd); /* what was to be durable has been synced; the answer says nothing more */
    free(file);
}

enum status env_uv_file_size(struct env *env, struct env_file *file, uint64_t *bytes)
{
    env_uv_assert_in_job(env);
    struct stat about;
    if (fstat(file->fd, &about) != 0)
        return env_uv_status_of_errno(errno);
    *bytes = (uint64_t)about.st_size;
    return STATUS_OK;
}

enum status env_uv_file_read(struct env *env, struct env_file *file, uint64_t offset, void *to,
                             size_t count)
{
    env_uv_assert_in_job(env);
    uint8_t *at = to;
    while (count > 0) {
        ssize_t got = pread(file->fd, at, count, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return env_uv_status_of_errno(errno);
        if (got == 0)
            return STATUS_END;
        at += got;
        offset += (uint64_t)got;
        count -= (size_t)got;
    }
    return STATUS_OK;
}

/* Write all of `parts`, which is used up. */
static enum status write_parts(int fd, uint64_t offset, struct iovec *parts, int part_count)
{
    while (part_count > 0) {
        if (parts->iov_len == 0) {
            parts++;
            part_count--;
            continue;
        }
        ssize_t put = pwritev(fd, parts, part_count, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return env_uv_status_of_errno(errno);
        if (put == 0)
            return STATUS_IO;
        offset += (uint64_t)put;
        size_t left = (size_t)put;
        while (left > 0) {
            size_t taken = MIN(left, parts->iov_len);
            parts->iov_base = (uint8_t *)parts->iov_base + taken;
            parts->iov_len -= taken;
            left -= taken;
            if (parts->iov_len == 0) {
                parts++;
                part_count--;
            }
        }
    }
    return STATUS_OK;
}

enum status env_uv_file_write(struct env *env, struct env_file *file, uint64_t offset,
                              const struct bytes *runs, size_t run_count)
{
    env_uv_assert_in_job(env);
    if (file->read_only)
        return STATUS_DENIED;
    while (run_count > 0) {
        struct iovec parts[RUNS_MAX];
        size_t count = MIN(run_count, (size_t)RUNS_MAX), bytes = 0;
        for (size_t i = 0; i < count; i++) {
            parts[i] =
                (struct iovec){.iov_base = (void *)(uintptr_t)runs[i].at, .iov_len = runs[i].count};
            bytes += runs[i].count;
        }
        TRY(write_parts(file->fd, offset, parts, (int)count));
        offset += bytes;
        runs += count;
        run_count -= count;
    }
    return STATUS_OK;
}

enum status env_uv_file_sync(struct env *env, struct env_file *file)
{
    env_uv_assert_in_job(env);
#ifdef TRINE_SKIP_SYNC
    (void)file;
    return STATUS_OK;
#else
    int result;
    do
#ifdef F_FULLFSYNC
        result = fcntl(file->fd, F_FULLFSYNC); /* elsewhere a sync stops at the disk's cache */
#else
        result = fdatasync(file->fd);
#endif
    while (result != 0 && errno == EINTR);
    return result != 0 ? env_uv_status_of_errno(errno) : STATUS_OK;
#endif
}

enum status env_uv_file_truncate(struct env *env, struct env_file *file, uint64_t bytes)
{
    env_uv_assert_in_job(env);
    if (file->read_only)
        return STATUS_DENIED;
    int result;
    do
        result = ftruncate(file->fd, (off_t)bytes);
    while (result != 0 && errno == EINTR);
    return result != 0 ? env_uv_status_of_errno(errno) : STATUS_OK;
}

enum status env_uv_file_remove(struct env *env, const char *path)
{
    env_uv_assert_in_job(env);
    return unlink(path) != 0 ? env_uv_status_of_errno(errno) : STATUS_OK;
}

enum status env_uv_file_rename(struct env *env, const char *from, const char *to)
{
    env_uv_assert_in_job(env);
    return rename(from, to) != 0 ? env_uv_status_of_errno(errno) : STATUS_OK;
}

enum status env_uv_dir_create(struct env *env, const char *path)
{
    env_uv_assert_in_job(env);
    return mkdir(path, DIR_MODE) != 0 ? env_uv_status_of_errno(errno) : STATUS_OK;
}

enum status env_uv_dir_sync(struct env *env, const char *path)
{
    env_uv_assert_in_job(env);
    int fd = open_retrying(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return env_uv_status_of_errno(errno);
    int result;
    do
        result = fsync(fd);
    while (result != 0 && errno == EINTR);
    enum status status = result != 0 ? env_uv_status_of_errno(errno) : STATUS_OK;
    close(fd);
    return status;
}

static int is_name(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

enum status env_uv_dir_list(struct env *env, const char *path,
                            void (*each)(void *argument, const char *name), void *argument)
{
    env_uv_assert_in_job(env);
    struct dirent **entries;
    int count = scandir(path, &entries, is_name, compare_names);
    if (count < 0)
        return env_uv_status_of_errno(errno);
    for (int i = 0; i < count; i++) {
        each(argument, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return STATUS_OK;
}
