#include "wire/json.h"

#include "base/assert.h"
#include "wire/json_text.h"

void json_scanner_init(struct json_scanner *s, struct bytes body, struct arena *arena)
{
    const uint8_t *at = body.count > 0 ? body.at : (const uint8_t *)"";
    *s = (struct json_scanner){
        .at = at, .end = at + body.count, .limit = at + body.count, .arena = arena};
}

void json_scanner_pause(struct json_scanner *s, const struct pause *pause)
{
    s->pause = pause;
    s->limit = pause != NULL ? s->at + MIN((size_t)(s->end - s->at), PAUSE_BYTES) : s->end;
}

/* `at` has reached the limit. */
static COLD void take_pause(struct json_scanner *s, const uint8_t *at)
{
    if (at >= s->end)
        return;
    s->limit = at + MIN((size_t)(s->end - at), PAUSE_BYTES);
    pause_run(s->pause);
}

/* After this nothing is left to read, so that every function ends up in its own way out. */
static COLD void fail(struct json_scanner *s)
{
    s->failed = true;
    s->at = s->end;
}

static inline void skip_space(struct json_scanner *s)
{
    const uint8_t *at = s->at;
    for (;;) {
        while (at < s->limit && *at <= ' ' &&
               (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
            at++;
        if (LIKELY(at < s->limit) || at >= s->end)
            break;
        take_pause(s, at);
    }
    s->at = at;
}

/* Take `c` after space; false: something else is there. */
static inline bool take(struct json_scanner *s, uint8_t c)
{
    skip_space(s);
    if (s->at < s->end && *s->at == c) {
        s->at++;
        return true;
    }
    return false;
}

enum json_type json_peek(struct json_scanner *s)
{
    skip_space(s);
    if (s->at == s->end)
        return JSON_END;
    switch (*s->at) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return JSON_NUMBER;
    default:
        fail(s);
        return JSON_END;
    }
}

/* ---- Objects and arrays ---- */

static void begin(struct json_scanner *s, uint8_t bracket)
{
    s->taken = true;
    if (!take(s, bracket) || s->depth == JSON_DEPTH_MAX) {
        fail(s);
        return;
    }
    s->depth++;
    s->first = true;
}

void json_object_begin(struct json_scanner *s)
{
    begin(s, '{');
}

void json_array_begin(struct json_scanner *s)
{
    begin(s, '[');
}

/* Is there another member before `bracket`?  Takes the comma before it, or the bracket. */
static inline bool more(struct json_scanner *s, uint8_t bracket)
{
    if (UNLIKELY(s->at >= s->limit))
        take_pause(s, s->at);
    bool first = s->first;
    s->first = false;
    if (take(s, bracket)) {
        s->depth--;
        return false;
    }
    if (!first && !take(s, ',')) {
        fail(s);
        return false;
    }
    return true;
}

bool json_object_next(struct json_scanner *s, struct bytes *name)
{
    if (!more(s, '}'))
        return false;
    *name = json_string(s);
    if (!take(s, ':'))
        fail(s);
    return !s->failed;
}

bool json_array_next(struct json_scanner *s)
{
    if (!more(s, ']'))
        return false;
    /* A value must follow, after a comma too. */
    if (json_peek(s) == JSON_END)
        fail(s);
    return !s->failed;
}

/* ---- Strings ---- */

static bool read_hex4(const uint8_t *at, const uint8_t *end, uint32_t *unit)
{
    uint32_t value = 0;
    if (end - at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        uint8_t c = at[i];
        uint8_t lower = c | 0x20;
        if (c >= '0' && c <= '9')
            value = value * 16 + (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            value = value * 16 + (uint32_t)(lower - 'a') + 10;
        else
            return false;
    }
    *unit = value;
    return true;
}

static uint8_t *put_utf8(uint8_t *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (uint8_t)c;
    } else if (c < 0x800) {
        *to++ = (uint8_t)(0xc0 | c >> 6);
        *to++ = (uint8_t)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *to++ = (uint8_t)(0xe0 | c >> 12);
        *to++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        *to++ = (uint8_t)(0x80 | (c & 0x3f));
    } else {
        *to++ = (uint8_t)(0xf0 | c >> 18);
        *to++ = (uint8_t)(0x80 | (c >> 12 & 0x3f));
        *to++ = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        *to++ = (uint8_t)(0x80 | (c & 0x3f));
    }
    return to;
}

/* The code point of the "\uXXXX" whose digits begin at *at, of a pair when it is the first half of
 * one.  A half alone is no text and is refused. */
static bool read_unicode(const uint8_t **at, const uint8_t *end, uint32_t *code)
{
    uint32_t high, low;
    if (!read_hex4(*at, end, &high))
        return false;
    *at += 4;
    *code = high;
    if (high < 0xd800 || high > 0xdfff)
        return true;
    const uint8_t *p = *at;
    if (high > 0xdbff || end - p < 6 || p[0] != '\\' || p[1] != 'u' || !read_hex4(p + 2, end, &low))
        return false;
    if (low < 0xdc00 || low > 0xdfff)
        return false;
    *at += 6;
    *code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

/* Decode the escape after the backslash at *at - 1 to *to. */
static bool decode_escape(const uint8_t **at, const uint8_t *end, uint8_t **to)
{
    static const char from[] = "\"\\/bfnrt";
    static const char meaning[] = "\"\\/\b\f\n\r\t";
    if (*at == end)
        return false;
    uint8_t c = *(*at)++;
    if (c == 'u') {
        uint32_t code;
        if (!read_unicode(at, end, &code))
            return false;
        *to = put_utf8(*to, code);
        return true;
    }
    const char *found = c != 0 ? strchr(from, c) : NULL;
    if (found == NULL)
        return false;
    *(*to)++ = (uint8_t)meaning[found - from];
    return true;
}

#define ESCAPE_WORK ((size_t)8) /* of one escape or letter, beside its bytes */

/* The quote that ends the string in which `at` is, or `end`. */
static const uint8_t *string_close(const uint8_t *at, const uint8_t *end, struct pause_meter *meter)
{
    while (at < end && *at != '"') {
        size_t step = *at == '\\' && end - at > 1 ? 2 : 1;
        at += step;
        pause_after(meter, step);
    }
    return at;
}

/* The rest of a string with escapes, from `at` in the text that began at `start`.  No escape is
 * shorter than what it means, so what is left of the body bounds it. */
static COLD struct bytes decode_string(struct json_scanner *s, const uint8_t *start,
                                       const uint8_t *at)
{
    struct pause_meter meter = {.pause = s->pause};
    const uint8_t *close = string_close(at, s->end, &meter);
    uint8_t *text = arena_alloc(s->arena, MAX((size_t)(close - start), (size_t)1));
    if (close >= s->end || text == NULL) {
        fail(s);
        return (struct bytes){0};
    }
    uint8_t *to = text;
    const uint8_t *run = start;
    for (;;) {
        const uint8_t *from = at;
        at = json_find_stop(at, at + MIN((size_t)(close - at), PAUSE_BYTES), true);
        pause_after(&meter, (size_t)(at - from) + ESCAPE_WORK);
        if (at < close && *at >= 0x80) {
            at = json_utf8_end(at, close);
            if (at == NULL)
                break;
            continue;
        }
        pause_copy(&meter, to, run, (size_t)(at - run));
        to += at - run;
        run = at;
        if (at == close) {
            s->at = close + 1;
            return bytes_of(text, (size_t)(to - text));
        }
        if (!json_stops(*at, true))
            continue;
        at++;
        if (at[-1] != '\\' || !decode_escape(&at, close, &to))
            break;
        run = at;
    }
    fail(s);
    return (struct bytes){0};
}

struct bytes json_string(struct json_scanner *s)
{
    s->taken = true;
    if (!take(s, '"')) {
        fail(s);
        return (struct bytes){0};
    }
    const uint8_t *start = s->at;
    const uint8_t *at = start;
    for (;;) {
        at = json_find_stop(at, s->limit, true);
        if (UNLIKELY(at >= s->limit)) {
            if (at >= s->end)
                break;
            take_pause(s, at);
            continue;
        }
        if (LIKELY(*at == '"')) {
            s->at = at + 1;
            return bytes_of(start, (size_t)(at - start));
        }
        if (*at == '\\')
            return decode_string(s, start, at);
        if (*at < 0x80 || (at = json_utf8_end(at, s->end)) == NULL)
            break;
    }
    fail(s);
    return (struct bytes){0};
}

/* ---- Numbers and words ---- */

static const uint8_t *skip_digits(const uint8_t *at, const uint8_t *end)
{
    while (at < end && (uint8_t)(*at - '0') <= 9)
        at++;
    return at;
}

/* The end of the number at `at`, NULL when it is none (RFC 8259, section 6). */
static const uint8_t *number_end(const uint8_t *at, const uint8_t *end)
{
    if (at < end && *at == '-')
        at++;
    const uint8_t *whole = at;
    at = skip_digits(at, end);
    if (at == whole || (*whole == '0' && at > whole + 1))
        return NULL;
    if (at < end && *at == '.') {
        const uint8_t *fraction = ++at;
        at = skip_digits(at, end);
        if (at == fraction)
            return NULL;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        const uint8_t *exponent = at;
        at = skip_digits(at, end);
        if (at == exponent)
            return NULL;
    }
    return at;
}

struct bytes json_number(struct json_scanner *s)
{
    s->taken = true;
    skip_space(s);
    const uint8_t *start = s->at;
    size_t rest = (size_t)(s->end - start);
    const uint8_t *end = number_end(start, start + MIN(rest, (size_t)JSON_NUMBER_BYTES_MAX));
    if (end == NULL || (size_t)(end - start) >= JSON_NUMBER_BYTES_MAX) {
        fail(s);
        return (struct bytes){0};
    }
    s->at = end;
    return bytes_of(start, (size_t)(end - start));
}

static inline bool take_word(struct json_scanner *s, struct bytes word)
{
    s->taken = true;
    skip_space(s);
    if (!bytes_start_with(bytes_of(s->at, (size_t)(s->end - s->at)), word))
        return false;
    s->at += word.count;
    return true;
}

bool json_boolean(struct json_scanner *s)
{
    if (take_word(s, BYTES("true")))
        return true;
    if (!take_word(s, BYTES("false")))
        fail(s);
    return false;
}

void json_null(struct json_scanner *s)
{
    if (!take_word(s, BYTES("null")))
        fail(s);
}

/* Recursion is bounded by JSON_DEPTH_MAX. */
void json_skip(struct json_scanner *s)
{
    struct bytes name;
    switch (json_peek(s)) {
    case JSON_OBJECT:
        json_object_begin(s);
        while (json_object_next(s, &name))
            json_skip(s);
        break;
    case JSON_ARRAY:
        json_array_begin(s);
        while (json_array_next(s))
            json_skip(s);
        break;
    case JSON_STRING:
        json_string(s);
        break;
    case JSON_NUMBER:
        json_number(s);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        json_boolean(s);
        break;
    case JSON_NULL:
        json_null(s);
        break;
    case JSON_END:
        fail(s);
        break;
    }
}

enum status json_scanner_finish(struct json_scanner *s)
{
    skip_space(s);
    bool whole = s->taken && s->depth == 0 && s->at == s->end && !s->failed;
    return whole ? STATUS_OK : STATUS_INVALID;
}
