/* seed_export.c - exports as the service writes them: two manifests, and data files of gzipped
 * lines.
 *
 *   manifest-summary.json  one object: tableArn, itemCount, outputFormat, exportType, ...
 *   manifest-files.json    one object in a line: itemCount, md5Checksum (base64), dataFileS3Key
 *   data/NAME.json.gz      {"Item": {...}} in a line
 *   *.md5                  base64 of the MD5 of the manifest of that name
 */
#include <stdio.h>

#include "base/assert.h"
#include "ops/seed_private.h"
#include "wire/gzip.h"
#include "wire/json.h"

#define MANIFEST_BYTES_MAX (64u << 20)
#define NAME_BYTES_MAX     1024u

/* What one object of a manifest says; texts are in the arena or in the object itself. */
struct manifest {
    struct bytes table_arn, format, type, key, md5;
    uint64_t items;
    bool has_items;
};

static void read_member(struct json_scanner *s, struct bytes name, struct manifest *manifest)
{
    static const struct {
        const char *name;
        size_t offset;
    } texts[] = {
        {"tableArn", offsetof(struct manifest, table_arn)},
        {"outputFormat", offsetof(struct manifest, format)},
        {"exportType", offsetof(struct manifest, type)},
        {"dataFileS3Key", offsetof(struct manifest, key)},
        {"md5Checksum", offsetof(struct manifest, md5)},
    };
    enum json_type type = json_peek(s);
    for (size_t i = 0; type == JSON_STRING && i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (bytes_equal(name, bytes_of_text(texts[i].name))) {
            *(struct bytes *)(void *)((char *)manifest + texts[i].offset) = json_string(s);
            return;
        }
    }
    if (type != JSON_NUMBER || !bytes_equal(name, BYTES("itemCount"))) {
        json_skip(s);
        return;
    }
    struct bytes digits = json_number(s);
    manifest->has_items = digits.count > 0 && digits.count <= 18;
    for (size_t i = 0; i < digits.count; i++) {
        manifest->has_items &= digits.at[i] >= '0' && digits.at[i] <= '9';
        manifest->items = manifest->items * 10 + (uint64_t)(digits.at[i] - '0');
    }
}

static enum status read_manifest(struct seed *seed, const char *path, uint64_t line,
                                 struct bytes text, struct manifest *manifest)
{
    struct json_scanner s;
    struct bytes name;
    *manifest = (struct manifest){0};
    json_scanner_init(&s, text, &seed->ctx->arena);
    if (json_peek(&s) == JSON_OBJECT) {
        json_object_begin(&s);
        while (json_object_next(&s, &name))
            read_member(&s, name, manifest);
        if (json_scanner_finish(&s) == STATUS_OK)
            return STATUS_OK;
    }
    return seed_fault(seed, STATUS_INVALID, "%s:%llu: it is not a JSON object", path,
                      (unsigned long long)line);
}

/* A manifest, compared with the checksum beside it where there is one. */
static enum status read_checked(struct seed *seed, const char *dir, const char *name,
                                char path[SEED_PATH_BYTES], struct seed_content *content)
{
    char file[64], md5_path[SEED_PATH_BYTES];
    struct seed_content md5;
    snprintf(file, sizeof(file), "%s.json", name);
    TRY(seed_path(seed, dir, file, path));
    TRY(seed_read(seed, path, MANIFEST_BYTES_MAX, content));
    snprintf(file, sizeof(file), "%s.md5", name);
    enum status status = seed_path(seed, dir, file, md5_path);
    if (status == STATUS_OK) {
        status = seed_read(seed, md5_path, NAME_BYTES_MAX, &md5);
        if (status == STATUS_OK) {
            status = seed_check_md5(seed, path, content, bytes_of(md5.at, md5.count));
            seed_content_release(seed, &md5);
        } else if (status == STATUS_NOT_FOUND) {
            status = STATUS_OK;
        }
    }
    if (status != STATUS_OK)
        seed_content_release(seed, content);
    return status;
}

/* ---- Finding ---- */

/* "arn:...:table/NAME": the name. */
static bool name_of_arn(struct bytes arn, char name[TABLE_NAME_BYTES_MAX + 1])
{
    size_t at = arn.count;
    while (at > 0 && arn.at[at - 1] != '/')
        at--;
    size_t count = arn.count - at;
    if (at == 0 || count == 0 || count > TABLE_NAME_BYTES_MAX)
        return false;
    memcpy(name, arn.at + at, count);
    name[count] = 0;
    return true;
}

static enum status read_summary(struct seed *seed, const char *path, struct bytes text,
                                struct seed_export *export)
{
    struct manifest manifest;
    TRY(read_manifest(seed, path, 1, text, &manifest));
    if (!name_of_arn(manifest.table_arn, export->table))
        return seed_fault(seed, STATUS_INVALID, "%s: it has no tableArn", path);
    if (!bytes_equal(manifest.format, BYTES("DYNAMODB_JSON")))
        return seed_fault(seed, STATUS_INVALID,
                          "%s: outputFormat is not DYNAMODB_JSON, the one that is read", path);
    if (manifest.type.count > 0 && !bytes_equal(manifest.type, BYTES("FULL_EXPORT")))
        return seed_fault(seed, STATUS_INVALID,
                          "%s: exportType is not FULL_EXPORT, the one that is read", path);
    if (!manifest.has_items)
        return seed_fault(seed, STATUS_INVALID, "%s: it has no itemCount", path);
    export->items = manifest.items;
    return STATUS_OK;
}

/* Add the export in `dir`, if it is one. */
static enum status add_export(struct seed *seed, const char *dir, struct list *exports)
{
    char path[SEED_PATH_BYTES];
    struct seed_content content;
    enum status status = read_checked(seed, dir, "manifest-summary", path, &content);
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    struct heap *heap = seed->ctx->env->heap;
    struct seed_export *export = heap_alloc_zero(heap, sizeof(*export));
    if (export == NULL) {
        seed_content_release(seed, &content);
        return seed_fault(seed, STATUS_NO_MEMORY, "%s: out of memory", path);
    }
    snprintf(export->dir, sizeof(export->dir), "%s", dir);
    status = read_summary(seed, path, bytes_of(content.at, content.count), export);
    seed_content_release(seed, &content);
    list_push_back(exports, &export->link);
    return status; /* on an error it is released with the others */
}

/* Those in the directories of `dir`. */
static enum status add_below(struct seed *seed, const char *dir, struct list *exports)
{
    struct seed_names names;
    char path[SEED_PATH_BYTES];
    enum status status = seed_list(seed, dir, &names);
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    for (const char *name = seed_next_name(&names, NULL); status == STATUS_OK && name != NULL;
         name = seed_next_name(&names, name)) {
        status = seed_path(seed, dir, name, path);
        if (status == STATUS_OK)
            status = add_export(seed, path, exports);
    }
    seed_names_release(seed, &names);
    return status;
}

enum status seed_find_exports(struct seed *seed, const char *dir, struct list *exports)
{
    char below[SEED_PATH_BYTES];
    TRY(add_export(seed, dir, exports));
    TRY(add_below(seed, dir, exports));
    TRY(seed_path(seed, dir, "AWSDynamoDB", below));
    return add_below(seed, below, exports);
}

void seed_exports_release(struct seed *seed, struct list *exports)
{
    struct list *first;
    while ((first = list_pop_front(exports)) != NULL) {
        struct seed_export *export = LIST_ITEM(first, struct seed_export, link);
        heap_free(seed->ctx->env->heap, export, sizeof(*export));
    }
}

/* ---- Loading ---- */

/* "PREFIX/data/NAME": the name; the export may lie elsewhere than it was written to. */
static bool name_of_key(struct bytes key, char name[NAME_BYTES_MAX])
{
    size_t at = key.count;
    while (at > 0 && key.at[at - 1] != '/')
        at--;
    size_t count = key.count - at;
    if (count == 0 || count >= NAME_BYTES_MAX || memchr(key.at + at, 0, count) != NULL)
        return false;
    memcpy(name, key.at + at, count);
    name[count] = 0;
    return true;
}

static enum status unpack(struct seed *seed, const char *path, const struct seed_content *packed,
                          struct gzip_block *block)
{
    enum status status =
        gzip_decompress(seed->ctx, GZIP_FORMAT_GZIP, bytes_of(packed->at, packed->count),
                        SEED_DATA_BYTES_MAX, block);
    if (status == STATUS_TOO_LARGE)
        return seed_fault(seed, status, "%s: unpacked it has more than %u bytes", path,
                          SEED_DATA_BYTES_MAX);
    if (status != STATUS_OK)
        return seed_fault(seed, status, "%s: it cannot be unpacked: %s", path, status_text(status));
    return STATUS_OK;
}

/* One data file; its name and checksum are checked before the arena is used for items. */
static enum status put_file(struct seed *seed, const struct seed_export *export,
                            const struct manifest *manifest, const char *where, uint64_t *items)
{
    char name[NAME_BYTES_MAX], data[SEED_PATH_BYTES], path[SEED_PATH_BYTES];
    uint64_t wanted = manifest->items, count = 0;
    if (!name_of_key(manifest->key, name) || !manifest->has_items)
        return seed_fault(seed, STATUS_INVALID, "%s: it names no file, or no itemCount", where);
    TRY(seed_path(seed, export->dir, "data", data));
    TRY(seed_path(seed, data, name, path));
    struct seed_content packed;
    enum status status = seed_read(seed, path, SEED_PACKED_BYTES_MAX, &packed);
    if (status == STATUS_NOT_FOUND)
        return seed_fault(seed, status, "%s: the file %s is not there", where, path);
    TRY(status);
    struct gzip_block block = {0};
    struct seed_lines lines;
    status = seed_check_md5(seed, path, &packed, manifest->md5);
    if (status == STATUS_OK)
        status = unpack(seed, path, &packed, &block);
    seed_content_release(seed, &packed);
    if (status != STATUS_OK)
        return status;
    seed_lines_of(seed, path, block.at, block.count, &lines);
    status = seed_put_lines(seed, bytes_of_text(export->table), &lines, &count);
    gzip_block_free(seed->ctx->env->heap, &block);
    if (status == STATUS_OK && count != wanted)
        status = seed_fault(seed, STATUS_CORRUPT, "%s: it has %llu items, its manifest says %llu",
                            path, (unsigned long long)count, (unsigned long long)wanted);
    *items += count;
    return status;
}

enum status seed_put_export(struct seed *seed, const struct seed_export *export, uint64_t *items)
{
    char path[SEED_PATH_BYTES], where[SEED_PATH_BYTES + 24];
    struct seed_content content;
    struct seed_lines lines;
    struct bytes line;
    uint64_t count = 0;
    enum status status = read_checked(seed, export->dir, "manifest-files", path, &content);
    if (status == STATUS_NOT_FOUND)
        return seed_fault(seed, status, "%s: it is not there", path);
    TRY(status);
    seed_lines_of(seed, path, content.at, content.count, &lines);
    while (status == STATUS_OK && (status = seed_next_line(&lines, &line)) == STATUS_OK) {
        struct manifest manifest;
        snprintf(where, sizeof(where), "%s:%llu", path, (unsigned long long)lines.number);
        status = read_manifest(seed, path, lines.number, line, &manifest);
        if (status == STATUS_OK)
            status = put_file(seed, export, &manifest, where, &count);
    }
    seed_content_release(seed, &content);
    *items += count;
    if (status == STATUS_END && count != export->items)
        return seed_fault(seed, STATUS_CORRUPT,
                          "%s: its files have %llu items, manifest-summary.json says %llu", path,
                          (unsigned long long)count, (unsigned long long)export->items);
    return status == STATUS_END ? STATUS_OK : status;
}
