/* conformance_files.h - promises on files and directories. */
#ifndef TESTS_CONFORMANCE_FILES_H
#define TESTS_CONFORMANCE_FILES_H

#include "unit/env/conformance_binding.h"

/* ---- Files; each body runs in a job ---- */

static inline char *path_in(struct conformance *c, char *to, size_t room, const char *name)
{
    int length = snprintf(to, room, "%s/%s", c->directory, name);
    JOB_CHECK(length > 0 && (size_t)length < room);
    return to;
}

#define PATH_ROOM  512
#define PATH(name) path_in(c, (char[PATH_ROOM]){0}, PATH_ROOM, name)

static inline enum status write_text(struct conformance *c, struct env_file *file, uint64_t offset,
                                     const char *text)
{
    struct bytes bytes = bytes_of_text(text);
    return env_file_write(c->env, file, offset, &bytes, 1);
}

static inline bool holds_text(struct conformance *c, struct env_file *file, uint64_t offset,
                              const char *text)
{
    char read[256];
    size_t count = strlen(text);
    return env_file_read(c->env, file, offset, read, count) == STATUS_OK &&
           memcmp(read, text, count) == 0;
}

static inline struct env_file *open_existing(struct conformance *c, const char *path)
{
    struct env_file *file = NULL;
    JOB_CHECK(env_file_open(c->env, path, 0, &file) == STATUS_OK);
    return file;
}

static inline struct env_file *create(struct conformance *c, const char *path)
{
    struct env_file *file = NULL;
    JOB_CHECK(env_file_open(c->env, path, ENV_FILE_CREATE, &file) == STATUS_OK);
    return file;
}

static inline void body_open(struct conformance *c)
{
    struct env_file *file = NULL;
    const char *path = PATH("file");
    JOB_CHECK(env_file_open(c->env, path, 0, &file) == STATUS_NOT_FOUND);
    JOB_CHECK(env_file_open(c->env, path, ENV_FILE_READ_ONLY, &file) == STATUS_NOT_FOUND);
    JOB_CHECK(env_file_open(c->env, PATH("no/file"), ENV_FILE_CREATE, &file) == STATUS_NOT_FOUND);
    JOB_CHECK(file == NULL);
    unsigned once = ENV_FILE_CREATE | ENV_FILE_EXCLUSIVE;
    JOB_CHECK(env_file_open(c->env, path, once, &file) == STATUS_OK);
    uint64_t bytes = 99;
    JOB_CHECK(env_file_size(c->env, file, &bytes) == STATUS_OK && bytes == 0);
    JOB_CHECK(write_text(c, file, 0, "content") == STATUS_OK);
    env_file_close(c->env, file);
    JOB_CHECK(env_file_open(c->env, path, once, &file) == STATUS_EXISTS);
    file = create(c, path); /* as it is */
    JOB_CHECK(holds_text(c, file, 0, "content"));
    env_file_close(c->env, file);
    JOB_CHECK(env_file_open(c->env, path, ENV_FILE_READ_ONLY, &file) == STATUS_OK);
    JOB_CHECK(holds_text(c, file, 0, "content"));
    JOB_CHECK(write_text(c, file, 0, "changed") == STATUS_DENIED);
    JOB_CHECK(env_file_truncate(c->env, file, 0) == STATUS_DENIED);
    JOB_CHECK(holds_text(c, file, 0, "content"));
    env_file_close(c->env, file);
}

static inline void body_content(struct conformance *c)
{
    struct env_file *file = create(c, PATH("file"));
    struct bytes runs[200];
    for (size_t i = 0; i < 200; i++)
        runs[i] = bytes_of("0123456789", i % 4 == 0 ? 0 : 10);
    JOB_CHECK(env_file_write(c->env, file, 3, runs, 200) == STATUS_OK);
    JOB_CHECK(env_file_write(c->env, file, 0, NULL, 0) == STATUS_OK);
    uint64_t bytes = 0;
    JOB_CHECK(env_file_size(c->env, file, &bytes) == STATUS_OK && bytes == 1503);
    JOB_CHECK(holds_text(c, file, 1493, "0123456789"));
    char one;
    JOB_CHECK(env_file_read(c->env, file, 0, &one, 1) == STATUS_OK && one == 0);
    JOB_CHECK(env_file_read(c->env, file, 1503, &one, 0) == STATUS_OK);
    JOB_CHECK(env_file_read(c->env, file, 1503, &one, 1) == STATUS_END);
    char ten[10];
    JOB_CHECK(env_file_read(c->env, file, 1494, ten, 10) == STATUS_END);
    JOB_CHECK(env_file_sync(c->env, file) == STATUS_OK);

    /* Cut and extended: zeros, not what was there. */
    JOB_CHECK(env_file_truncate(c->env, file, 5) == STATUS_OK);
    JOB_CHECK(env_file_truncate(c->env, file, 10) == STATUS_OK);
    JOB_CHECK(env_file_size(c->env, file, &bytes) == STATUS_OK && bytes == 10);
    JOB_CHECK(env_file_read(c->env, file, 0, ten, 10) == STATUS_OK);
    JOB_CHECK(memcmp(ten,
                     "\0\0\0"
                     "01"
                     "\0\0\0\0\0",
                     10) == 0);
    env_file_close(c->env, file);
}

static inline void body_names(struct conformance *c)
{
    struct env_file *file = create(c, PATH("a"));
    JOB_CHECK(write_text(c, file, 0, "first") == STATUS_OK);
    struct env_file *other = create(c, PATH("b"));
    JOB_CHECK(write_text(c, other, 0, "second") == STATUS_OK);
    JOB_CHECK(env_file_rename(c->env, PATH("none"), PATH("b")) == STATUS_NOT_FOUND);
    JOB_CHECK(env_file_rename(c->env, PATH("a"), PATH("no/b")) == STATUS_NOT_FOUND);
    JOB_CHECK(env_file_rename(c->env, PATH("a"), PATH("b")) == STATUS_OK);
    JOB_CHECK(holds_text(c, other, 0, "second")); /* open, without a name */
    JOB_CHECK(holds_text(c, file, 0, "first"));
    env_file_close(c->env, other);
    env_file_close(c->env, file);
    JOB_CHECK(env_file_open(c->env, PATH("a"), 0, &file) == STATUS_NOT_FOUND);
    file = open_existing(c, PATH("b"));
    JOB_CHECK(holds_text(c, file, 0, "first"));
    JOB_CHECK(env_file_remove(c->env, PATH("b")) == STATUS_OK);
    JOB_CHECK(env_file_remove(c->env, PATH("b")) == STATUS_NOT_FOUND);
    JOB_CHECK(write_text(c, file, 0, "still") == STATUS_OK && holds_text(c, file, 0, "still"));
    other = create(c, PATH("b")); /* a new one under the old name */
    uint64_t bytes = 99;
    JOB_CHECK(env_file_size(c->env, other, &bytes) == STATUS_OK && bytes == 0);
    env_file_close(c->env, other);
    env_file_close(c->env, file);
    JOB_CHECK(env_dir_sync(c->env, c->directory) == STATUS_OK);
}

struct names {
    char text[256];
};

static inline void names_add(void *argument, const char *name)
{
    struct names *names = argument;
    size_t length = strlen(names->text);
    snprintf(names->text + length, sizeof(names->text) - length, "%s,", name);
}

static inline void body_directories(struct conformance *c)
{
    struct names names = {{0}};
    JOB_CHECK(env_dir_list(c->env, c->directory, names_add, &names) == STATUS_OK);
    JOB_CHECK(strcmp(names.text, "") == 0);
    JOB_CHECK(env_dir_list(c->env, PATH("sub"), names_add, &names) == STATUS_NOT_FOUND);
    JOB_CHECK(env_dir_sync(c->env, PATH("sub")) == STATUS_NOT_FOUND);
    JOB_CHECK(env_dir_create(c->env, PATH("sub/deep")) == STATUS_NOT_FOUND);
    JOB_CHECK(env_dir_create(c->env, PATH("sub")) == STATUS_OK);
    JOB_CHECK(env_dir_create(c->env, PATH("sub")) == STATUS_EXISTS);
    JOB_CHECK(env_dir_create(c->env, PATH("sub/deep")) == STATUS_OK);
    static const char *const files[] = {"sub/z", "sub/a10",  "sub/a1", "sub/deep/x",
                                        "sub/B", "sub/\xff", "subway"};
    for (size_t i = 0; i < ARRAY_COUNT(files); i++)
        env_file_close(c->env, create(c, PATH(files[i])));
    JOB_CHECK(env_dir_list(c->env, PATH("sub"), names_add, &names) == STATUS_OK);
    JOB_CHECK(strcmp(names.text, "B,a1,a10,deep,z,\xff,") == 0);
    JOB_CHECK(env_dir_sync(c->env, PATH("sub")) == STATUS_OK);
    names.text[0] = 0;
    JOB_CHECK(env_dir_list(c->env, c->directory, names_add, &names) == STATUS_OK);
    JOB_CHECK(strcmp(names.text, "sub,subway,") == 0);
    JOB_CHECK(env_file_remove(c->env, PATH("sub/deep")) == STATUS_DENIED);
    struct env_file *file = NULL;
    JOB_CHECK(env_file_open(c->env, PATH("sub"), ENV_FILE_CREATE, &file) == STATUS_DENIED);
}

static inline void body_locks(struct conformance *c)
{
    struct env_file *first = NULL, *second = NULL, *plain = NULL;
    unsigned lock = ENV_FILE_CREATE | ENV_FILE_LOCK;
    JOB_CHECK(env_file_open(c->env, PATH("lock"), lock, &first) == STATUS_OK);
    JOB_CHECK(env_file_open(c->env, PATH("lock"), lock, &second) == STATUS_LOCKED);
    JOB_CHECK(second == NULL);
    JOB_CHECK(env_file_open(c->env, PATH("lock"), 0, &plain) == STATUS_OK); /* does not ask */
    env_file_close(c->env, plain);
    JOB_CHECK(env_file_open(c->env, PATH("lock"), ENV_FILE_LOCK, &second) == STATUS_LOCKED);
    env_file_close(c->env, first);
    JOB_CHECK(env_file_open(c->env, PATH("lock"), ENV_FILE_LOCK, &second) == STATUS_OK);
    env_file_close(c->env, second);
}

enum { MODEL_BYTES = 400000 };

static inline void model_step(struct conformance *c, struct env_file *file, struct prng *prng,
                              uint8_t *model, uint8_t *scratch, uint64_t *bytes)
{
    uint64_t offset = prng_below(prng, MODEL_BYTES);
    size_t count = (size_t)prng_below(prng, MIN(100000, MODEL_BYTES - offset) + 1);
    if (prng_one_in(prng, 3))
        count = MIN(count, (size_t)100);
    switch (prng_below(prng, 8)) {
    case 0: {
        JOB_CHECK(env_file_truncate(c->env, file, offset) == STATUS_OK);
        if (offset < *bytes)
            memset(model + offset, 0, *bytes - offset);
        *bytes = offset;
        break;
    }
    case 1:
    case 2:
    case 3: {
        uint8_t fill = (uint8_t)prng_below(prng, 4); /* zeros often: they may be holes */
        memset(scratch, fill, count);
        size_t cut = (size_t)prng_below(prng, count + 1);
        struct bytes runs[] = {{scratch, cut}, {scratch + cut, count - cut}};
        JOB_CHECK(env_file_write(c->env, file, offset, runs, 2) == STATUS_OK);
        memset(model + offset, fill, count);
        *bytes = count > 0 ? MAX(*bytes, offset + count) : *bytes;
        break;
    }
    default: {
        enum status expected = count > 0 && offset + count > *bytes ? STATUS_END : STATUS_OK;
        JOB_CHECK(env_file_read(c->env, file, offset, scratch, count) == expected);
        if (expected == STATUS_OK)
            JOB_CHECK(memcmp(scratch, model + offset, count) == 0);
        uint64_t size = 0;
        JOB_CHECK(env_file_size(c->env, file, &size) == STATUS_OK && size == *bytes);
        break;
    }
    }
}

/* Against an array of bytes. */
static inline void body_model(struct conformance *c)
{
    struct prng prng;
    prng_init(&prng, 5);
    uint8_t *model = calloc(1, MODEL_BYTES), *scratch = malloc(MODEL_BYTES);
    JOB_CHECK(model != NULL && scratch != NULL);
    uint64_t bytes = 0;
    struct env_file *file = create(c, PATH("model"));
    for (int i = 0; i < 600; i++)
        model_step(c, file, &prng, model, scratch, &bytes);
    env_file_close(c->env, file);
    free(model);
    free(scratch);
}

static inline void files_open(void **state)
{
    run_in_job(*state, ENV_LANE_BACKGROUND, body_open);
}

static inline void files_hold_their_content(void **state)
{
    run_in_job(*state, ENV_LANE_LOG, body_content);
}

static inline void files_have_names(void **state)
{
    run_in_job(*state, ENV_LANE_READ, body_names);
}

static inline void directories_list_names(void **state)
{
    run_in_job(*state, ENV_LANE_BACKGROUND, body_directories);
}

static inline void files_lock_others_out(void **state)
{
    run_in_job(*state, ENV_LANE_BACKGROUND, body_locks);
}

static inline void files_equal_a_model(void **state)
{
    run_in_job(*state, ENV_LANE_LOG, body_model);
}

#endif
