#include "sim/workload/json.h"

#include <string.h>

#define DEPTH_MAX 64

struct reader {
    struct arena *arena;
    struct bytes left;
    bool failed;
};

static void skip_space(struct reader *r)
{
    while (r->left.count > 0 && strchr(" \t\r\n", r->left.at[0]) != NULL && r->left.at[0] != 0)
        r->left = bytes_after(r->left, 1);
}

static bool take(struct reader *r, const char *text)
{
    struct bytes prefix = bytes_of_text(text);
    if (!bytes_start_with(r->left, prefix))
        return false;
    r->left = bytes_after(r->left, prefix.count);
    return true;
}

static void *alloc(struct reader *r, size_t bytes)
{
    void *at = arena_alloc_zero(r->arena, bytes > 0 ? bytes : 1);
    r->failed = r->failed || at == NULL;
    return at;
}

static uint32_t hex4(struct reader *r)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        const char *at =
            r->left.count > 0 && r->left.at[0] != 0 ? strchr(digits, r->left.at[0]) : NULL;
        if (at == NULL) {
            r->failed = true;
            return 0;
        }
        value = value << 4 | (uint32_t)((at - digits) & 15);
        r->left = bytes_after(r->left, 1);
    }
    return value;
}

static size_t put_utf8(uint8_t *to, uint32_t code)
{
    if (code < 0x80) {
        to[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (uint8_t)(0xC0 | code >> 6);
        to[1] = (uint8_t)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        to[0] = (uint8_t)(0xE0 | code >> 12);
        to[1] = (uint8_t)(0x80 | (code >> 6 & 63));
        to[2] = (uint8_t)(0x80 | (code & 63));
        return 3;
    }
    to[0] = (uint8_t)(0xF0 | code >> 18);
    to[1] = (uint8_t)(0x80 | (code >> 12 & 63));
    to[2] = (uint8_t)(0x80 | (code >> 6 & 63));
    to[3] = (uint8_t)(0x80 | (code & 63));
    return 4;
}

static size_t read_escape(struct reader *r, uint8_t *to)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (take(r, "u")) {
        uint32_t code = hex4(r);
        if (code >= 0xD800 && code < 0xDC00 && take(r, "\\u"))
            code = 0x10000 + ((code - 0xD800) << 10) + ((hex4(r) - 0xDC00) & 0x3FF);
        return put_utf8(to, code);
    }
    const char *at = r->left.count > 0 && r->left.at[0] != 0 ? strchr(names, r->left.at[0]) : NULL;
    if (at == NULL) {
        r->failed = true;
        return 0;
    }
    r->left = bytes_after(r->left, 1);
    *to = (uint8_t)values[at - names];
    return 1;
}

/* What follows the opening quote. */
static struct bytes read_string(struct reader *r)
{
    const uint8_t *end = memchr(r->left.at, '"', r->left.count);
    while (end != NULL && end > r->left.at && end[-1] == '\\') {
        /* Escaped or not, decoding tells; here only an upper bound of the length is wanted. */
        size_t from = (size_t)(end - r->left.at) + 1;
        end = memchr(r->left.at + from, '"', r->left.count - from);
    }
    size_t bound = end != NULL ? (size_t)(end - r->left.at) + 1 : r->left.count;
    uint8_t *text = alloc(r, bound + 4);
    size_t count = 0;
    while (!r->failed && r->left.count > 0 && r->left.at[0] != '"') {
        if (take(r, "\\")) {
            count += read_escape(r, text + count);
        } else {
            size_t run = 0;
            while (run < r->left.count && r->left.at[run] >= 0x20 && r->left.at[run] != '"' &&
                   r->left.at[run] != '\\')
                run++;
            r->failed = run == 0;
            memcpy(text + count, r->left.at, run);
            count += run;
            r->left = bytes_after(r->left, run);
        }
    }
    r->failed = r->failed || !take(r, "\"");
    return bytes_of(text, count);
}

static struct json *read_value(struct reader *r, int depth);

static struct json *read_member(struct reader *r, bool object, int depth)
{
    struct bytes name = {0};
    skip_space(r);
    if (object) {
        if (!take(r, "\"")) {
            r->failed = true;
            return NULL;
        }
        name = read_string(r);
        skip_space(r);
        r->failed = r->failed || !take(r, ":");
    }
    struct json *value = r->failed ? NULL : read_value(r, depth + 1);
    if (value != NULL)
        value->name = name;
    return value;
}

static void read_members(struct reader *r, struct json *json, const char *close, int depth)
{
    struct json **last = &json->first;
    skip_space(r);
    if (take(r, close))
        return;
    do {
        struct json *member = read_member(r, json->type == JSON_OBJECT, depth);
        if (r->failed || member == NULL)
            return;
        *last = member;
        last = &member->next;
        skip_space(r);
    } while (take(r, ","));
    r->failed = !take(r, close);
}

static void read_number(struct reader *r, struct json *json)
{
    size_t count = 0;
    while (count < r->left.count && r->left.at[count] != 0 &&
           strchr("+-.0123456789eE", r->left.at[count]) != NULL)
        count++;
    r->failed = count == 0;
    json->type = JSON_NUMBER;
    json->text = bytes_of(r->left.at, count);
    r->left = bytes_after(r->left, count);
}

static struct json *read_value(struct reader *r, int depth)
{
    struct json *json = alloc(r, sizeof(*json));
    if (json == NULL || depth > DEPTH_MAX) {
        r->failed = true;
        return NULL;
    }
    skip_space(r);
    if (take(r, "{")) {
        json->type = JSON_OBJECT;
        read_members(r, json, "}", depth);
    } else if (take(r, "[")) {
        json->type = JSON_ARRAY;
        read_members(r, json, "]", depth);
    } else if (take(r, "\"")) {
        json->type = JSON_STRING;
        json->text = read_string(r);
    } else if (take(r, "true") || take(r, "false")) {
        json->type = JSON_BOOL;
    } else if (take(r, "null")) {
        json->type = JSON_NULL;
    } else {
        read_number(r, json);
    }
    return r->failed ? NULL : json;
}

const struct json *json_parse(struct arena *arena, struct bytes text)
{
    struct reader reader = {.arena = arena, .left = text};
    const struct json *json = read_value(&reader, 0);
    skip_space(&reader);
    return reader.failed || reader.left.count > 0 ? NULL : json;
}

const struct json *json_member(const struct json *json, const char *name)
{
    if (json == NULL || json->type != JSON_OBJECT)
        return NULL;
    for (const struct json *at = json->first; at != NULL; at = at->next)
        if (bytes_equal(at->name, bytes_of_text(name)))
            return at;
    return NULL;
}

struct bytes json_text(const struct json *json, const char *name)
{
    const struct json *member = json_member(json, name);
    if (member == NULL || (member->type != JSON_STRING && member->type != JSON_NUMBER))
        return (struct bytes){0};
    return member->text;
}

uint64_t json_u64(struct bytes text)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.count; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || value > UINT64_MAX / 10 - 1)
            return 0;
        value = value * 10 + (uint64_t)(text.at[i] - '0');
    }
    return value;
}
