#include "env/uv/ram_files.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "env/uv/uv_env_private.h"

#define CHUNK_BYTES    (1u << 20)
#define FILE_BYTES_MAX (UINT64_C(1) << 44)

/* A file or directory, and its name while it has one. */
struct ram_node {
    struct list link; /* in `names`, by path; empty once removed */
    char *path;
    bool directory;
    bool locked;
    uint32_t open_count;
    uint64_t bytes;
    uint8_t **chunks; /* NULL: a hole */
    size_t chunk_count;
};

struct ram_files {
    uv_mutex_t mutex; /* over everything; held for a chunk at a time */
    struct list names;
    uint64_t bytes_used, bytes_max;
};

/* An open file. */
struct env_file {
    struct ram_node *node;
    bool read_only;
    bool holds_lock;
};

/* ---- The store ---- */

struct ram_files *ram_files_create(uint64_t bytes_max)
{
    struct ram_files *ram = calloc(1, sizeof(*ram));
    if (ram == NULL)
        return NULL;
    if (uv_mutex_init(&ram->mutex) != 0) {
        free(ram);
        return NULL;
    }
    list_init(&ram->names);
    ram->bytes_max = bytes_max;
    return ram;
}

/* Mapped, not from malloc, whose heap would keep what is freed below a chunk that lives long. */
static uint8_t *chunk_make(void)
{
    void *at = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at != MAP_FAILED ? at : NULL;
}

static void chunk_free(struct ram_files *ram, struct ram_node *node, size_t index)
{
    if (node->chunks[index] == NULL)
        return;
    munmap(node->chunks[index], CHUNK_BYTES);
    node->chunks[index] = NULL;
    ram->bytes_used -= CHUNK_BYTES;
}

static void node_free(struct ram_files *ram, struct ram_node *node)
{
    list_remove(&node->link);
    for (size_t i = 0; i < node->chunk_count; i++)
        chunk_free(ram, node, i);
    free(node->chunks);
    free(node->path);
    free(node);
}

void ram_files_free(struct ram_files *ram)
{
    if (ram == NULL)
        return;
    while (!list_empty(&ram->names))
        node_free(ram, LIST_ITEM(ram->names.next, struct ram_node, link));
    uv_mutex_destroy(&ram->mutex);
    free(ram);
}

uint64_t ram_files_bytes(struct ram_files *ram)
{
    uv_mutex_lock(&ram->mutex);
    uint64_t bytes = ram->bytes_used;
    uv_mutex_unlock(&ram->mutex);
    return bytes;
}

/* The store, its mutex held. */
static struct ram_files *enter(struct env *env)
{
    env_uv_assert_in_job(env);
    struct ram_files *ram = env_uv_of(env)->ram;
    uv_mutex_lock(&ram->mutex);
    return ram;
}

static enum status leave(struct ram_files *ram, enum status status)
{
    uv_mutex_unlock(&ram->mutex);
    return status;
}

/* ---- Names ---- */

static struct ram_node *node_find(struct ram_files *ram, const char *path)
{
    LIST_FOR_EACH (at, &ram->names) {
        struct ram_node *node = LIST_ITEM(at, struct ram_node, link);
        if (strcmp(node->path, path) == 0)
            return node;
    }
    return NULL;
}

/* The number of bytes of `path` before its last name: "a/b" has 1, "b" and "/b" have none. */
static size_t parent_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? (size_t)(slash - path) : 0;
}

/* Does the directory of which `path` has the first `length` bytes exist?  The one without a name
 * does. */
static bool directory_exists(struct ram_files *ram, const char *path, size_t length)
{
    if (length == 0 || (length == 1 && path[0] == '.'))
        return true;
    LIST_FOR_EACH (at, &ram->names) {
        struct ram_node *node = LIST_ITEM(at, struct ram_node, link);
        if (node->directory && strlen(node->path) == length &&
            memcmp(node->path, path, length) == 0)
            return true;
    }
    return false;
}

static void names_insert(struct ram_files *ram, struct ram_node *node)
{
    struct list *at = ram->names.next;
    while (at != &ram->names && strcmp(LIST_ITEM(at, struct ram_node, link)->path, node->path) < 0)
        at = at->next;
    list_insert_before(at, &node->link);
}

static enum status node_create(struct ram_files *ram, const char *path, bool directory,
                               struct ram_node **created)
{
    if (!directory_exists(ram, path, parent_length(path)))
        return STATUS_NOT_FOUND;
    struct ram_node *node = calloc(1, sizeof(*node));
    char *own_path = strdup(path);
    if (node == NULL || own_path == NULL) {
        free(node);
        free(own_path);
        return STATUS_NO_MEMORY;
    }
    node->path = own_path;
    node->directory = directory;
    names_insert(ram, node);
    *created = node;
    return STATUS_OK;
}

/* The name is gone; the file lives while it is open. */
static void node_unlink(struct ram_files *ram, struct ram_node *node)
{
    list_remove(&node->link);
    if (node->open_count == 0)
        node_free(ram, node);
}

/* ---- Open and close ---- */

static enum status node_open(struct ram_files *ram, const char *path, unsigned flags,
                             struct ram_node **node)
{
    *node = node_find(ram, path);
    if (*node == NULL)
        return (flags & ENV_FILE_CREATE) != 0 ? node_create(ram, path, false, node)
                                              : STATUS_NOT_FOUND;
    if ((flags & ENV_FILE_CREATE) != 0 && (flags & ENV_FILE_EXCLUSIVE) != 0)
        return STATUS_EXISTS;
    if ((*node)->directory)
        return STATUS_DENIED;
    if ((flags & ENV_FILE_LOCK) != 0 && (*node)->locked)
        return STATUS_LOCKED;
    return STATUS_OK;
}

enum status ram_file_open(struct env *env, const char *path, unsigned flags, struct env_file **file)
{
    struct env_file *opened = malloc(sizeof(*opened));
    if (opened == NULL)
        return STATUS_NO_MEMORY;
    struct ram_files *ram = enter(env);
    struct ram_node *node;
    enum status status = node_open(ram, path, flags, &node);
    if (status != STATUS_OK) {
        free(opened);
        return leave(ram, status);
    }
    *opened = (struct env_file){.node = node,
                                .read_only = (flags & ENV_FILE_READ_ONLY) != 0,
                                .holds_lock = (flags & ENV_FILE_LOCK) != 0};
    node->open_count++;
    if (opened->holds_lock)
        node->locked = true;
    *file = opened;
    return leave(ram, STATUS_OK);
}

void ram_file_close(struct env *env, struct env_file *file)
{
    struct ram_files *ram = enter(env);
    struct ram_node *node = file->node;
    if (file->holds_lock)
        node->locked = false;
    ASSERT(node->open_count > 0);
    if (--node->open_count == 0 && list_empty(&node->link))
        node_free(ram, node);
    free(file);
    (void)leave(ram, STATUS_OK);
}

/* ---- Content ---- */

enum status ram_file_size(struct env *env, struct env_file *file, uint64_t *bytes)
{
    struct ram_files *ram = enter(env);
    *bytes = file->node->bytes;
    return leave(ram, STATUS_OK);
}

enum status ram_file_read(struct env *env, struct env_file *file, uint64_t offset, void *to,
                          size_t count)
{
    uint8_t *at = to;
    while (count > 0) {
        struct ram_files *ram = enter(env);
        struct ram_node *node = file->node;
        if (offset >= node->bytes || count > node->bytes - offset)
            return leave(ram, STATUS_END);
        size_t index = (size_t)(offset / CHUNK_BYTES), from = (size_t)(offset % CHUNK_BYTES);
        size_t piece = MIN(count, CHUNK_BYTES - from);
        const uint8_t *chunk = index < node->chunk_count ? node->chunks[index] : NULL;
        if (chunk != NULL)
            memcpy(at, chunk + from, piece);
        else
            memset(at, 0, piece);
        (void)leave(ram, STATUS_OK);
        at += piece;
        offset += piece;
        count -= piece;
    }
    return STATUS_OK;
}

static bool all_zero(const uint8_t *at, size_t count)
{
    return at[0] == 0 && memcmp(at, at + 1, count - 1) == 0;
}

static enum status chunks_reach(struct ram_node *node, size_t index)
{
    if (index < node->chunk_count)
        return STATUS_OK;
    size_t count = MAX(index + 1, node->chunk_count * 2);
    uint8_t **chunks = realloc(node->chunks, count * sizeof(*chunks));
    if (chunks == NULL)
        return STATUS_NO_MEMORY;
    memset(chunks + node->chunk_count, 0, (count - node->chunk_count) * sizeof(*chunks));
    node->chunks = chunks;
    node->chunk_count = count;
    return STATUS_OK;
}

/* Write what lies within one chunk; with the mutex. */
static enum status write_piece(struct ram_files *ram, struct ram_node *node, uint64_t offset,
                               const uint8_t *from, size_t count)
{
    size_t index = (size_t)(offset / CHUNK_BYTES);
    bool hole = index >= node->chunk_count || node->chunks[index] == NULL;
    if (!hole || !all_zero(from, count)) {
        if (hole) {
            if (ram->bytes_max > 0 && ram->bytes_max - ram->bytes_used < CHUNK_BYTES)
                return STATUS_NO_SPACE;
            TRY(chunks_reach(node, index));
            node->chunks[index] = chunk_make();
            if (node->chunks[index] == NULL)
                return STATUS_NO_SPACE;
            ram->bytes_used += CHUNK_BYTES;
        }
        memcpy(node->chunks[index] + offset % CHUNK_BYTES, from, count);
    }
    node->bytes = MAX(node->bytes, offset + count);
    return STATUS_OK;
}

enum status ram_file_write(struct env *env, struct env_file *file, uint64_t offset,
                           const struct bytes *runs, size_t run_count)
{
    if (file->read_only)
        return STATUS_DENIED;
    for (; run_count > 0; runs++, run_count--) {
        const uint8_t *from = runs->at;
        for (size_t left = runs->count; left > 0;) {
            if (offset >= FILE_BYTES_MAX)
                return STATUS_NO_SPACE;
            size_t piece = MIN(left, CHUNK_BYTES - (size_t)(offset % CHUNK_BYTES));
            struct ram_files *ram = enter(env);
            TRY(leave(ram, write_piece(ram, file->node, offset, from, piece)));
            from += piece;
            offset += piece;
            left -= piece;
        }
    }
    return STATUS_OK;
}

enum status ram_file_sync(struct env *env, struct env_file *file)
{
    (void)env;
    (void)file;
    return STATUS_OK; /* it lasts as long as the process, as promised */
}

enum status ram_file_truncate(struct env *env, struct env_file *file, uint64_t bytes)
{
    if (file->read_only)
        return STATUS_DENIED;
    if (bytes > FILE_BYTES_MAX)
        return STATUS_NO_SPACE;
    struct ram_files *ram = enter(env);
    struct ram_node *node = file->node;
    size_t keep = (size_t)((bytes + CHUNK_BYTES - 1) / CHUNK_BYTES);
    for (size_t i = keep; i < node->chunk_count; i++)
        chunk_free(ram, node, i);
    /* Who extends the file again is to find zeros. */
    size_t inside = (size_t)(bytes % CHUNK_BYTES), last = (size_t)(bytes / CHUNK_BYTES);
    if (inside > 0 && last < node->chunk_count && node->chunks[last] != NULL)
        memset(node->chunks[last] + inside, 0, CHUNK_BYTES - inside);
    node->bytes = bytes;
    return leave(ram, STATUS_OK);
}

/* ---- Directories ---- */

enum status ram_file_remove(struct env *env, const char *path)
{
    struct ram_files *ram = enter(env);
    struct ram_node *node = node_find(ram, path);
    if (node == NULL)
        return leave(ram, STATUS_NOT_FOUND);
    if (node->directory)
        return leave(ram, STATUS_DENIED);
    node_unlink(ram, node);
    return leave(ram, STATUS_OK);
}

enum status ram_file_rename(struct env *env, const char *from, const char *to)
{
    struct ram_files *ram = enter(env);
    struct ram_node *node = node_find(ram, from), *replaced = node_find(ram, to);
    if (node == NULL || !directory_exists(ram, to, parent_length(to)))
        return leave(ram, STATUS_NOT_FOUND);
    if (node->directory || (replaced != NULL && replaced->directory))
        return leave(ram, STATUS_DENIED);
    if (node == replaced)
        return leave(ram, STATUS_OK);
    char *path = strdup(to);
    if (path == NULL)
        return leave(ram, STATUS_NO_MEMORY);
    if (replaced != NULL)
        node_unlink(ram, replaced);
    list_remove(&node->link);
    free(node->path);
    node->path = path;
    names_insert(ram, node);
    return leave(ram, STATUS_OK);
}

enum status ram_dir_create(struct env *env, const char *path)
{
    struct ram_files *ram = enter(env);
    struct ram_node *node = node_find(ram, path);
    if (node != NULL)
        return leave(ram, STATUS_EXISTS);
    return leave(ram, node_create(ram, path, true, &node));
}

enum status ram_dir_sync(struct env *env, const char *path)
{
    struct ram_files *ram = enter(env);
    bool exists = directory_exists(ram, path, strlen(path));
    return leave(ram, exists ? STATUS_OK : STATUS_NOT_FOUND);
}

static bool directly_in(const char *path, const char *directory, size_t length)
{
    if (strchr(path, '/') == NULL)
        return length == 0;
    return parent_length(path) == length && memcmp(path, directory, length) == 0;
}

/* The names are copied first: `each` may take its time, and the file functions. */
enum status ram_dir_list(struct env *env, const char *path,
                         void (*each)(void *argument, const char *name), void *argument)
{
    struct ram_files *ram = enter(env);
    size_t length = strcmp(path, ".") == 0 ? 0 : strlen(path);
    if (!directory_exists(ram, path, length))
        return leave(ram, STATUS_NOT_FOUND);
    size_t bytes = 1;
    LIST_FOR_EACH (at, &ram->names)
        bytes += strlen(LIST_ITEM(at, struct ram_node, link)->path) + 1;
    char *names = malloc(bytes), *end = names;
    if (names == NULL)
        return leave(ram, STATUS_NO_MEMORY);
    LIST_FOR_EACH (at, &ram->names) {
        const char *name = LIST_ITEM(at, struct ram_node, link)->path;
        if (!directly_in(name, path, length))
            continue;
        const char *last = strrchr(name, '/');
        last = last != NULL ? last + 1 : name;
        end = stpcpy(end, last) + 1;
    }
    (void)leave(ram, STATUS_OK);
    for (const char *name = names; name != end; name += strlen(name) + 1)
        each(argument, name);
    free(names);
    return STATUS_OK;
}
