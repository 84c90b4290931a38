/* seed_files.c - the operator's files: lists, contents, lines.  A worker reads; what it reads into
 * is ready before. */
#include <stdio.h>

#include "base/assert.h"
#include "ops/seed_private.h"
#include "wire/base64.h"
#include "wire/md5.h"

#define NAMES_BYTES (1u << 20)
#define CHUNK_BYTES ((size_t)256 << 10)

enum file_verb { FILE_LIST, FILE_OPEN, FILE_READ, FILE_CLOSE, FILE_MD5 };

/* One piece of work on the operator's files. */
struct file_job {
    struct env_job job;
    enum file_verb verb;
    const char *path;
    struct env_file *file;
    uint64_t offset;
    uint64_t bytes; /* of the file, after OPEN */
    void *to;
    size_t count;
    struct seed_names *names;
    bool too_many;
    uint8_t hash[MD5_BYTES];
    enum status status;
};

static void add_name(void *argument, const char *name)
{
    struct file_job *job = argument;
    size_t bytes = strlen(name) + 1;
    if (job->names->count == SEED_NAMES_MAX || bytes > NAMES_BYTES - job->names->bytes) {
        job->too_many = true;
        return;
    }
    memcpy(job->names->at + job->names->bytes, name, bytes);
    job->names->bytes += bytes;
    job->names->count++;
}

static enum status open_file(struct env *env, struct file_job *job)
{
    const struct env_ops *outside = env->outside;
    TRY(outside->file_open(env, job->path, ENV_FILE_READ_ONLY, &job->file));
    enum status status = outside->file_size(env, job->file, &job->bytes);
    if (status != STATUS_OK)
        outside->file_close(env, job->file);
    return status;
}

static void file_job_run(struct env_job *base)
{
    struct file_job *job = CONTAINER_OF(base, struct file_job, job);
    const struct env_ops *outside = base->env->outside;
    job->status = STATUS_OK;
    switch (job->verb) {
    case FILE_LIST:
        job->status = outside->dir_list(base->env, job->path, add_name, job);
        break;
    case FILE_OPEN:
        job->status = open_file(base->env, job);
        break;
    case FILE_READ:
        job->status = outside->file_read(base->env, job->file, job->offset, job->to, job->count);
        break;
    case FILE_CLOSE:
        outside->file_close(base->env, job->file);
        break;
    case FILE_MD5:
        md5_hash(bytes_of(job->to, job->count), job->hash);
        break;
    }
}

static enum status run(struct seed *seed, struct file_job *job)
{
    job->job = (struct env_job){.lane = ENV_LANE_BACKGROUND, .run = file_job_run};
    TRY(context_run_job(seed->ctx, &job->job));
    return job->status;
}

static enum status file_fault(struct seed *seed, const char *path, enum status status)
{
    return seed_fault(seed, status, "%s: cannot be read: %s", path,
                      status == STATUS_DENIED ? "no permission, or it is no file"
                                              : status_text(status));
}

/* ---- Lists ---- */

enum status seed_list(struct seed *seed, const char *dir, struct seed_names *names)
{
    struct heap *heap = seed->ctx->env->heap;
    *names = (struct seed_names){.at = heap_alloc(heap, NAMES_BYTES)};
    if (names->at == NULL)
        return seed_fault(seed, STATUS_NO_MEMORY, "%s: out of memory", dir);
    struct file_job job = {.verb = FILE_LIST, .path = dir, .names = names};
    enum status status = run(seed, &job);
    if (status == STATUS_OK && job.too_many)
        status = seed_fault(seed, STATUS_TOO_LARGE, "%s: it has more than %u names", dir,
                            SEED_NAMES_MAX);
    else if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        status = file_fault(seed, dir, status);
    if (status != STATUS_OK)
        seed_names_release(seed, names);
    return status;
}

void seed_names_release(struct seed *seed, struct seed_names *names)
{
    heap_free(seed->ctx->env->heap, names->at, NAMES_BYTES);
    *names = (struct seed_names){0};
}

const char *seed_next_name(const struct seed_names *names, const char *name)
{
    const char *next = name == NULL ? names->at : name + strlen(name) + 1;
    return (size_t)(next - names->at) < names->bytes ? next : NULL;
}

/* ---- Whole files ---- */

static void close_file(struct seed *seed, struct env_file *file)
{
    struct file_job job = {.verb = FILE_CLOSE, .file = file};
    while (run(seed, &job) == STATUS_BUSY)
        context_yield(seed->ctx); /* the lane is full now */
}

enum status seed_read(struct seed *seed, const char *path, size_t bytes_max,
                      struct seed_content *content)
{
    struct file_job open = {.verb = FILE_OPEN, .path = path};
    *content = (struct seed_content){0};
    enum status status = run(seed, &open);
    if (status == STATUS_NOT_FOUND)
        return status;
    if (status != STATUS_OK)
        return file_fault(seed, path, status);
    if (open.bytes > bytes_max) {
        status =
            seed_fault(seed, STATUS_TOO_LARGE, "%s: it has more than %zu bytes", path, bytes_max);
    } else if (open.bytes > 0) {
        content->count = (size_t)open.bytes;
        content->at = heap_alloc(seed->ctx->env->heap, content->count);
        if (content->at == NULL) {
            content->count = 0;
            status = seed_fault(seed, STATUS_NO_MEMORY, "%s: out of memory", path);
        }
    }
    if (content->at != NULL) {
        struct file_job read = {
            .verb = FILE_READ, .file = open.file, .to = content->at, .count = content->count};
        status = run(seed, &read);
        if (status != STATUS_OK) {
            status = file_fault(seed, path, status);
            seed_content_release(seed, content);
        }
    }
    close_file(seed, open.file);
    return status;
}

void seed_content_release(struct seed *seed, struct seed_content *content)
{
    heap_free(seed->ctx->env->heap, content->at, content->count);
    *content = (struct seed_content){0};
}

enum status seed_check_md5(struct seed *seed, const char *path, const struct seed_content *content,
                           struct bytes base64)
{
    struct bytes wanted, why;
    while (base64.count > 0 && base64.at[base64.count - 1] <= ' ')
        base64.count--; /* a line's end */
    if (base64_decode(base64, &seed->ctx->arena, &wanted, &why) != STATUS_OK ||
        wanted.count != MD5_BYTES)
        return seed_fault(seed, STATUS_INVALID, "%s: its MD5 in the manifest is none", path);
    struct file_job job = {.verb = FILE_MD5, .to = content->at, .count = content->count};
    enum status status = run(seed, &job);
    if (status != STATUS_OK)
        return file_fault(seed, path, status);
    if (memcmp(job.hash, wanted.at, MD5_BYTES) != 0)
        return seed_fault(seed, STATUS_CORRUPT, "%s: it is damaged: its MD5 is not the manifest's",
                          path);
    return STATUS_OK;
}

/* ---- Lines ---- */

enum status seed_lines_open(struct seed *seed, const char *path, struct seed_lines *lines)
{
    struct file_job open = {.verb = FILE_OPEN, .path = path};
    enum status status = run(seed, &open);
    if (status == STATUS_NOT_FOUND)
        return status;
    if (status != STATUS_OK)
        return file_fault(seed, path, status);
    *lines = (struct seed_lines){.seed = seed,
                                 .path = path,
                                 .file = open.file,
                                 .bytes = open.bytes,
                                 .at = heap_alloc(seed->ctx->env->heap, CHUNK_BYTES),
                                 .capacity = CHUNK_BYTES};
    if (lines->at != NULL)
        return STATUS_OK;
    close_file(seed, open.file);
    return seed_fault(seed, STATUS_NO_MEMORY, "%s: out of memory", path);
}

void seed_lines_of(struct seed *seed, const char *path, uint8_t *at, size_t count,
                   struct seed_lines *lines)
{
    *lines = (struct seed_lines){.seed = seed, .path = path, .at = at, .end = count};
}

void seed_lines_close(struct seed_lines *lines)
{
    if (lines->file != NULL)
        close_file(lines->seed, lines->file);
    if (lines->capacity > 0)
        heap_free(lines->seed->ctx->env->heap, lines->at, lines->capacity);
    *lines = (struct seed_lines){0};
}

/* Room behind what is not taken yet: moved to the front, or in a block of twice the size. */
static enum status make_room(struct seed_lines *lines)
{
    struct heap *heap = lines->seed->ctx->env->heap;
    size_t left = lines->end - lines->begin;
    if (lines->begin == 0 && left == lines->capacity) {
        if (lines->capacity >= SEED_LINE_BYTES_MAX)
            return seed_fault(lines->seed, STATUS_TOO_LARGE,
                              "%s:%llu: the line has more than %u bytes", lines->path,
                              (unsigned long long)lines->number + 1, SEED_LINE_BYTES_MAX);
        uint8_t *larger = heap_alloc(heap, lines->capacity * 2);
        if (larger == NULL)
            return seed_fault(lines->seed, STATUS_NO_MEMORY, "%s: out of memory", lines->path);
        memcpy(larger, lines->at, left);
        heap_free(heap, lines->at, lines->capacity);
        lines->at = larger;
        lines->capacity *= 2;
    } else if (left > 0) {
        memmove(lines->at, lines->at + lines->begin, left);
    }
    lines->begin = 0;
    lines->end = left;
    return STATUS_OK;
}

static enum status fill(struct seed_lines *lines)
{
    TRY(make_room(lines));
    struct file_job read = {.verb = FILE_READ,
                            .file = lines->file,
                            .offset = lines->offset,
                            .to = lines->at + lines->end};
    read.count = (size_t)MIN(lines->bytes - lines->offset, lines->capacity - lines->end);
    enum status status = run(lines->seed, &read);
    if (status != STATUS_OK)
        return file_fault(lines->seed, lines->path, status);
    lines->offset += read.count;
    lines->end += read.count;
    return STATUS_OK;
}

static bool is_blank(struct bytes line)
{
    for (size_t i = 0; i < line.count; i++) {
        if (line.at[i] != ' ' && line.at[i] != '\t' && line.at[i] != '\r')
            return false;
    }
    return true;
}

enum status seed_next_line(struct seed_lines *lines, struct bytes *line)
{
    size_t seen = 0;
    for (;;) {
        uint8_t *begin = lines->at + lines->begin;
        size_t left = lines->end - lines->begin;
        const uint8_t *found = left > seen ? memchr(begin + seen, '\n', left - seen) : NULL;
        bool more = lines->file != NULL && lines->offset < lines->bytes;
        if (found == NULL && more) {
            seen = left;
            TRY(fill(lines));
            continue;
        }
        if (left == 0)
            return STATUS_END;
        size_t count = found != NULL ? (size_t)(found - begin) : left;
        lines->begin += count + (found != NULL ? 1 : 0);
        lines->number++;
        seen = 0;
        *line = bytes_of(begin, count);
        if (!is_blank(*line))
            return STATUS_OK;
    }
}
