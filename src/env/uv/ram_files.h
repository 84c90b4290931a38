/* ram_files.h - files that live in the process's memory: what the log of --in-memory is in.
 *
 * The file functions of env.h with the semantics of a file system that loses everything when the
 * process ends: names in directories, locks, a size bound that answers STATUS_NO_SPACE, removed
 * files that live until they are closed.  A file is chunks of 1 MiB, made when something other
 * than zero is written to them, so that holes and zeros written ahead of need take no memory; what
 * is cut off is freed.
 *
 * Thread-safe: the background lane and the loop use the same files.  A read and a write of the same
 * range at the same time see each other in part, as in a real file.
 */
#ifndef ENV_UV_RAM_FILES_H
#define ENV_UV_RAM_FILES_H

#include "env/env.h"

struct ram_files;

/* Files of at most bytes_max in all; 0 = no bound.  NULL: no memory. */
struct ram_files *ram_files_create(uint64_t bytes_max);

/* Free all; NULL is nothing. */
void ram_files_free(struct ram_files *ram);

/* What the chunks of all files hold now. */
uint64_t ram_files_bytes(struct ram_files *ram);

/* The functions of struct env_ops; the env is a struct env_uv. */
enum status ram_file_open(struct env *env, const char *path, unsigned flags,
                          struct env_file **file);
void ram_file_close(struct env *env, struct env_file *file);
enum status ram_file_size(struct env *env, struct env_file *file, uint64_t *bytes);
enum status ram_file_read(struct env *env, struct env_file *file, uint64_t offset, void *to,
                          size_t count);
enum status ram_file_write(struct env *env, struct env_file *file, uint64_t offset,
                           const struct bytes *runs, size_t run_count);
enum status ram_file_sync(struct env *env, struct env_file *file);
enum status ram_file_truncate(struct env *env, struct env_file *file, uint64_t bytes);
enum status ram_file_remove(struct env *env, const char *path);
enum status ram_file_rename(struct env *env, const char *from, const char *to);
enum status ram_dir_create(struct env *env, const char *path);
enum status ram_dir_sync(struct env *env, const char *path);
enum status ram_dir_list(struct env *env, const char *path,
                         void (*each)(void *argument, const char *name), void *argument);

#endif
