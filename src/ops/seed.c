#include "ops/seed.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "ops/seed_private.h"
#include "wire/json.h"

#define DEFINITION      ".table.json"
#define ITEMS           ".jsonl"
#define ARENA_BYTES_MAX (UINT64_C(256) << 20)
#define POLL_NS         UINT64_C(1000000)
#define PATIENCE_NS     UINT64_C(300000000000) /* until a table is ACTIVE */

enum status seed_fault(struct seed *seed, enum status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(seed->why, seed->why_bytes, format, arguments);
    va_end(arguments);
    return status;
}

enum status seed_path(struct seed *seed, const char *dir, const char *name,
                      char path[SEED_PATH_BYTES])
{
    int length = snprintf(path, SEED_PATH_BYTES, "%s/%s", dir, name);
    if (length < 0 || length >= (int)SEED_PATH_BYTES)
        return seed_fault(seed, STATUS_TOO_LARGE, "%s: the path is too long", dir);
    return STATUS_OK;
}

static void say(const struct seed *seed, const char *text, const char *name)
{
    log_line(seed->ctx->env->log, LOG_INFO, "ops", "seed: %s %s", name, text);
}

/* Does `name` end with `suffix`, with something before it? */
static bool ends_with(const char *name, const char *suffix)
{
    size_t length = strlen(name), end = strlen(suffix);
    return length > end && strcmp(name + length - end, suffix) == 0;
}

/* ---- One table ---- */

static enum status read_name(struct seed *seed, const char *path, struct bytes text,
                             char name[TABLE_NAME_BYTES_MAX + 1])
{
    struct json_scanner s;
    struct bytes member, table = {0};
    json_scanner_init(&s, text, &seed->ctx->arena);
    bool is_object = json_peek(&s) == JSON_OBJECT;
    if (is_object)
        json_object_begin(&s);
    while (is_object && json_object_next(&s, &member)) {
        if (bytes_equal(member, BYTES("TableName")) && json_peek(&s) == JSON_STRING)
            table = json_string(&s);
        else
            json_skip(&s);
    }
    if (!is_object || json_scanner_finish(&s) != STATUS_OK)
        return seed_fault(seed, STATUS_INVALID, "%s: it is not a JSON object", path);
    if (table.count == 0 || table.count > TABLE_NAME_BYTES_MAX)
        return seed_fault(seed, STATUS_INVALID, "%s: it has no TableName, or too long a one", path);
    memcpy(name, table.at, table.count);
    name[table.count] = 0;
    return STATUS_OK;
}

static bool is_there(struct seed *seed, const char *name, bool *active)
{
    const struct table *table;
    struct error error;
    if (router_describe_table(seed->ctx, seed->options->router, bytes_of_text(name), &table,
                              &error) != STATUS_OK)
        return false;
    *active = table->status == TABLE_ACTIVE;
    return true;
}

static enum status create(struct seed *seed, const char *path, struct bytes definition)
{
    struct buffer answer;
    struct error error = {0};
    buffer_init(&answer, seed->ctx->env->heap, SEED_DEFINITION_BYTES_MAX * 2);
    enum status status = api_perform(seed->ctx, seed->options->api, BYTES("CreateTable"),
                                     definition, &answer, &error);
    buffer_release(&answer);
    if (status != STATUS_OK)
        status = seed_fault(seed, status, "%s: %s: %.*s", path, error_form(error.code)->name,
                            BYTES_ARGS(error.message));
    return status;
}

static enum status wait_active(struct seed *seed, const char *name)
{
    uint64_t until_ns = env_now_ns(seed->ctx->env) + PATIENCE_NS;
    bool active = false;
    while (is_there(seed, name, &active) && !active && env_now_ns(seed->ctx->env) < until_ns)
        TRY(context_sleep(seed->ctx, POLL_NS));
    if (!active)
        return seed_fault(seed, STATUS_DEADLINE, "table %s does not become ACTIVE", name);
    return STATUS_OK;
}

/* The items beside the definition, and those of exports of the table. */
static enum status put_items(struct seed *seed, const char *path, const char *name,
                             struct list *exports, uint64_t *items)
{
    char lines_path[SEED_PATH_BYTES];
    size_t stem = strlen(path) - strlen(DEFINITION);
    struct seed_lines lines;
    if (snprintf(lines_path, sizeof(lines_path), "%.*s" ITEMS, (int)stem, path) < 0)
        return STATUS_INVALID;
    enum status status = seed_lines_open(seed, lines_path, &lines);
    if (status == STATUS_OK) {
        status = seed_put_lines(seed, bytes_of_text(name), &lines, items);
        seed_lines_close(&lines);
    } else if (status == STATUS_NOT_FOUND) {
        status = STATUS_OK; /* an empty table */
    }
    LIST_FOR_EACH (link, exports) {
        const struct seed_export *export = LIST_ITEM(link, struct seed_export, link);
        if (status == STATUS_OK && strcmp(export->table, name) == 0)
            status = seed_put_export(seed, export, items);
    }
    return status;
}

static void use_exports(struct list *exports, const char *name)
{
    LIST_FOR_EACH (link, exports) {
        struct seed_export *export = LIST_ITEM(link, struct seed_export, link);
        export->used |= strcmp(export->table, name) == 0;
    }
}

static enum status note(struct seed *seed, const char *name, bool begins)
{
    enum status status =
        router_note_seed(seed->ctx, seed->options->router, bytes_of_text(name), begins);
    if (status != STATUS_OK)
        return seed_fault(seed, status, "table %s: %s", name, status_text(status));
    return STATUS_OK;
}

static enum status load_table(struct seed *seed, const char *path, struct list *exports)
{
    char name[TABLE_NAME_BYTES_MAX + 1];
    struct seed_content definition;
    bool active = false, begun = false;
    uint64_t items = 0;
    struct buffer taken;
    enum status status = seed_read(seed, path, SEED_DEFINITION_BYTES_MAX, &definition);
    if (status == STATUS_NOT_FOUND)
        return seed_fault(seed, status, "%s: it is not there", path);
    TRY(status);
    buffer_init(&taken, seed->ctx->env->heap, SEED_DEFINITION_BYTES_MAX * 2);
    struct bytes text = bytes_of(definition.at, definition.count);
    status = seed_take_description(seed, path, &text, &taken);
    if (status == STATUS_OK)
        status = read_name(seed, path, text, name);
    if (status == STATUS_OK) {
        use_exports(exports, name);
        status = router_seed_begun(seed->ctx, seed->options->router, bytes_of_text(name), &begun);
        if (status != STATUS_OK)
            status = seed_fault(seed, status, "table %s: %s", name, status_text(status));
    }
    bool there = status == STATUS_OK && is_there(seed, name, &active);
    if (status == STATUS_OK && there && !begun)
        say(seed, "is there already and is left alone", name);
    if (status == STATUS_OK && !there)
        status = note(seed, name, true);
    if (status == STATUS_OK && !there)
        status = create(seed, path, text);
    buffer_release(&taken);
    seed_content_release(seed, &definition);
    arena_reset(&seed->ctx->arena);
    if (status != STATUS_OK || (there && !begun))
        return status;
    if (there)
        say(seed, "is loaded again: its load was interrupted", name);
    TRY(wait_active(seed, name));
    TRY(put_items(seed, path, name, exports, &items));
    TRY(note(seed, name, false));
    log_line(seed->ctx->env->log, LOG_INFO, "ops", "seed: %s has been loaded: %llu items", name,
             (unsigned long long)items);
    return STATUS_OK;
}

/* ---- All of them ---- */

/* Is the definition of these items among the names? */
static bool has_definition(const struct seed_names *names, const char *items)
{
    size_t stem = strlen(items) - strlen(ITEMS);
    for (const char *name = seed_next_name(names, NULL); name != NULL;
         name = seed_next_name(names, name)) {
        if (ends_with(name, DEFINITION) && strlen(name) - strlen(DEFINITION) == stem &&
            memcmp(name, items, stem) == 0)
            return true;
    }
    return false;
}

static enum status load_names(struct seed *seed, const struct seed_names *names,
                              struct list *exports)
{
    const char *dir = seed->options->dir;
    char path[SEED_PATH_BYTES];
    for (const char *name = seed_next_name(names, NULL); name != NULL;
         name = seed_next_name(names, name)) {
        if (*seed->options->stop)
            return STATUS_CANCELLED;
        TRY(seed_path(seed, dir, name, path));
        if (ends_with(name, DEFINITION))
            TRY(load_table(seed, path, exports));
        else if (ends_with(name, ITEMS) && !has_definition(names, name))
            return seed_fault(seed, STATUS_NOT_FOUND,
                              "%s: there is no %.*s" DEFINITION
                              " beside it, which says how the table is defined",
                              path, (int)(strlen(name) - strlen(ITEMS)), name);
    }
    LIST_FOR_EACH (link, exports) {
        const struct seed_export *export = LIST_ITEM(link, struct seed_export, link);
        if (!export->used)
            return seed_fault(seed, STATUS_NOT_FOUND,
                              "%s: no *" DEFINITION " in %s says how its table %s is defined",
                              export->dir, dir, export->table);
    }
    return STATUS_OK;
}

static enum status load(struct seed *seed)
{
    struct seed_names names;
    struct list exports;
    list_init(&exports);
    enum status status = seed_list(seed, seed->options->dir, &names);
    if (status == STATUS_NOT_FOUND)
        return seed_fault(seed, status, "%s: there is no such directory", seed->options->dir);
    TRY(status);
    status = seed_find_exports(seed, seed->options->dir, &exports);
    if (status == STATUS_OK)
        status = load_names(seed, &names, &exports);
    seed_exports_release(seed, &exports);
    seed_names_release(seed, &names);
    return status;
}

/* ---- A fiber of its own, whose arena is emptied between batches ---- */

struct loading {
    struct seed seed;
    enum status status;
    bool ended;
    struct wait_queue end;
};

static void load_run(struct context *ctx, void *argument)
{
    struct loading *loading = argument;
    loading->seed.ctx = ctx;
    loading->status = load(&loading->seed);
    loading->ended = true;
    wait_queue_wake_all(&loading->end);
}

enum status seed_load(struct context *ctx, const struct seed_options *options, char *why,
                      size_t why_bytes)
{
    struct loading loading = {.seed = {.options = options, .why = why, .why_bytes = why_bytes}};
    struct fiber_options fiber = {.arena_bytes_max = ARENA_BYTES_MAX, .deadline_ns = UINT64_MAX};
    wait_queue_init(&loading.end);
    enum status status = fiber_spawn(ctx->env, &fiber, load_run, &loading);
    if (status != STATUS_OK)
        return seed_fault(&loading.seed, status, "the seed: %s", status_text(status));
    while (!loading.ended)
        wait_queue_wait_out(ctx, &loading.end);
    if (loading.status != STATUS_OK && loading.status != STATUS_CANCELLED && why[0] == 0)
        return seed_fault(&loading.seed, loading.status, "the seed: %s",
                          status_text(loading.status));
    return loading.status;
}
