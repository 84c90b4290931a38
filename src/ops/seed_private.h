/* seed_private.h - the seed's parts: files (seed_files.c), definitions (seed_definition.c), items
 * (seed_items.c), exports (seed_export.c), tables (seed.c). */
#ifndef OPS_SEED_PRIVATE_H
#define OPS_SEED_PRIVATE_H

#include "ops/seed.h"

#define SEED_PATH_BYTES 4096

struct seed {
    struct context *ctx;
    const struct seed_options *options;
    char *why;
    size_t why_bytes;
};

/* Say why the seed cannot be loaded; returns `status`. */
enum status seed_fault(struct seed *seed, enum status status, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* "DIR/NAME".  STATUS_TOO_LARGE, with its fault. */
MUST_USE enum status seed_path(struct seed *seed, const char *dir, const char *name,
                               char path[SEED_PATH_BYTES]);

/* ---- seed_files.c ---- */

/* The names in a directory, sorted; in one block of the heap. */
struct seed_names {
    char *at; /* each ends with a zero byte */
    size_t bytes;
    uint32_t count;
};

/* STATUS_NOT_FOUND  there is no such directory; any other status has its fault */
MUST_USE enum status seed_list(struct seed *seed, const char *dir, struct seed_names *names);
void seed_names_release(struct seed *seed, struct seed_names *names);

/* The name after `name`, the first after NULL; NULL: no more. */
const char *seed_next_name(const struct seed_names *names, const char *name);

/* A whole file of at most bytes_max bytes, in a block of the heap. */
struct seed_content {
    uint8_t *at;
    size_t count;
};

/* STATUS_NOT_FOUND  there is no such file; any other status has its fault */
MUST_USE enum status seed_read(struct seed *seed, const char *path, size_t bytes_max,
                               struct seed_content *content);
void seed_content_release(struct seed *seed, struct seed_content *content);

/* Does the base64 text say the MD5 of the content?  Computed by a worker. */
MUST_USE enum status seed_check_md5(struct seed *seed, const char *path,
                                    const struct seed_content *content, struct bytes base64);

/* The lines of a file, or of a block that is in memory already. */
struct seed_lines {
    struct seed *seed;
    const char *path;       /* for faults */
    struct env_file *file;  /* NULL: everything is in `at` */
    uint64_t offset, bytes; /* of the file: read, in all */
    uint8_t *at;
    size_t capacity;   /* 0: the block is somebody else's */
    size_t begin, end; /* of what is not taken yet */
    uint64_t number;   /* of the line that was given out last; from 1 */
};

/* STATUS_NOT_FOUND  there is no such file; any other status has its fault */
MUST_USE enum status seed_lines_open(struct seed *seed, const char *path, struct seed_lines *lines);
void seed_lines_of(struct seed *seed, const char *path, uint8_t *at, size_t count,
                   struct seed_lines *lines);
void seed_lines_close(struct seed_lines *lines);

/* The next line that is not blank, without its end; valid until the next call.
 *   STATUS_END  no more; any other status has its fault */
MUST_USE enum status seed_next_line(struct seed_lines *lines, struct bytes *line);

/* ---- seed_definition.c ---- */

/* If the definition is a table's description ({"Table": {...}}), write what CreateTable takes of it
 * to `to`, which it then is; else it stays.  What is no JSON stays, too. */
MUST_USE enum status seed_take_description(struct seed *seed, const char *path,
                                           struct bytes *definition, struct buffer *to);

/* ---- seed_items.c ---- */

/* Put the items of all lines into the table; *items is added to. */
MUST_USE enum status seed_put_lines(struct seed *seed, struct bytes table, struct seed_lines *lines,
                                    uint64_t *items);

/* ---- seed_export.c ---- */

/* Where an export lies, and whose it is. */
struct seed_export {
    struct list link;
    char dir[SEED_PATH_BYTES];
    char table[TABLE_NAME_BYTES_MAX + 1];
    uint64_t items; /* that its manifest says */
    bool used;
};

/* Find the exports: `dir` itself, and its directories.  Adds to `exports`, from the heap. */
MUST_USE enum status seed_find_exports(struct seed *seed, const char *dir, struct list *exports);
void seed_exports_release(struct seed *seed, struct list *exports);

/* Put the items of all its data files into its table, and compare counts and checksums. */
MUST_USE enum status seed_put_export(struct seed *seed, const struct seed_export *export,
                                     uint64_t *items);

#endif
