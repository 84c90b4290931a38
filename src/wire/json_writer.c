/* json_writer.c - JSON written as a stream into a buffer. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/json.h"
#include "wire/json_text.h"

void json_writer_init(struct json_writer *w, struct buffer *to)
{
    *w = (struct json_writer){.to = to};
}

/* Room for `bytes` of a value, after its comma; NULL when there is none. */
static inline uint8_t *reserve_value(struct json_writer *w, size_t bytes)
{
    uint8_t *to = buffer_reserve(w->to, bytes + 1);
    if (UNLIKELY(to == NULL))
        return NULL;
    if (w->comma)
        *to++ = ',';
    w->comma = true;
    return to;
}

static inline void commit_to(struct json_writer *w, const uint8_t *end)
{
    buffer_commit(w->to, (size_t)(end - (w->to->at + w->to->count)));
}

static void write_byte(struct json_writer *w, uint8_t byte, bool comma)
{
    uint8_t *to = reserve_value(w, 1);
    if (to == NULL)
        return;
    *to++ = byte;
    commit_to(w, to);
    w->comma = comma;
}

static void write_close(struct json_writer *w, uint8_t byte)
{
    buffer_append_u8(w->to, byte);
    w->comma = true;
}

void json_write_object_begin(struct json_writer *w)
{
    write_byte(w, '{', false);
}

void json_write_object_end(struct json_writer *w)
{
    write_close(w, '}');
}

void json_write_array_begin(struct json_writer *w)
{
    write_byte(w, '[', false);
}

void json_write_array_end(struct json_writer *w)
{
    write_close(w, ']');
}

/* ---- Strings ---- */

#define ESCAPE_BYTES_MAX 6u /* \u001F */

static uint8_t *put_escape(uint8_t *to, uint8_t c)
{
    static const char named[] = "btnvfr"; /* from 8 on; \v is not JSON's */
    static const char hex[] = "0123456789ABCDEF";
    *to++ = '\\';
    if (c >= 0x20) {
        *to++ = c;
    } else if (c >= '\b' && c <= '\r' && c != '\v') {
        *to++ = (uint8_t)named[c - '\b'];
    } else {
        memcpy(to, "u00", 3);
        to[3] = (uint8_t)hex[c >> 4];
        to[4] = (uint8_t)hex[c & 15];
        to += 5;
    }
    return to;
}

/* The text from `at` on, which holds something to escape, and its quote, into room that is enough
 * for the worst. */
static COLD uint8_t *put_escaped(uint8_t *to, const uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        const uint8_t *stop = json_find_stop(at, end, false);
        memcpy(to, at, (size_t)(stop - at));
        to += stop - at;
        at = stop;
        if (at < end)
            to = put_escape(to, *at++);
    }
    return to;
}

size_t json_string_bytes_max(struct bytes text)
{
    const uint8_t *end = text.count > 0 ? text.at + text.count : text.at;
    bool clean = json_find_stop(text.at, end, false) == end;
    return (clean ? text.count : text.count * ESCAPE_BYTES_MAX) + 4; /* quotes, comma, colon */
}

/* A string and, after a name, its colon. */
static inline void write_string(struct json_writer *w, struct bytes text, bool name)
{
    const uint8_t *end = text.count > 0 ? text.at + text.count : text.at;
    const uint8_t *stop = json_find_stop(text.at, end, false);
    bool clean = stop == end;
    size_t room = clean ? text.count : text.count * ESCAPE_BYTES_MAX;
    uint8_t *to = reserve_value(w, room + 3);
    if (UNLIKELY(to == NULL))
        return;
    *to++ = '"';
    if (LIKELY(clean)) {
        if (text.count > 0)
            memcpy(to, text.at, text.count);
        to += text.count;
    } else {
        to = put_escaped(to, text.at, end);
    }
    *to++ = '"';
    if (name) {
        *to++ = ':';
        w->comma = false;
    }
    commit_to(w, to);
}

void json_write_name(struct json_writer *w, struct bytes name)
{
    write_string(w, name, true);
}

void json_write_string(struct json_writer *w, struct bytes text)
{
    write_string(w, text, false);
}

/* ---- Base64 (RFC 4648, section 4) ---- */

static uint8_t *put_base64(uint8_t *to, const uint8_t *at, size_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (; count >= 3; count -= 3, at += 3, to += 4) {
        uint32_t v = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
        to[0] = (uint8_t)digits[v >> 18];
        to[1] = (uint8_t)digits[v >> 12 & 63];
        to[2] = (uint8_t)digits[v >> 6 & 63];
        to[3] = (uint8_t)digits[v & 63];
    }
    if (count == 0)
        return to;
    uint32_t v = (uint32_t)at[0] << 16 | (count == 2 ? (uint32_t)at[1] << 8 : 0);
    to[0] = (uint8_t)digits[v >> 18];
    to[1] = (uint8_t)digits[v >> 12 & 63];
    to[2] = count == 2 ? (uint8_t)digits[v >> 6 & 63] : '=';
    to[3] = '=';
    return to + 4;
}

void json_write_base64(struct json_writer *w, struct bytes content)
{
    uint8_t *to = reserve_value(w, (content.count + 2) / 3 * 4 + 2);
    if (to == NULL)
        return;
    *to++ = '"';
    to = put_base64(to, content.at, content.count);
    *to++ = '"';
    commit_to(w, to);
}

/* ---- The rest ---- */

void json_write_raw(struct json_writer *w, struct bytes text)
{
    uint8_t *to = reserve_value(w, text.count);
    if (to == NULL)
        return;
    if (text.count > 0)
        memcpy(to, text.at, text.count);
    commit_to(w, to + text.count);
}

void json_write_u64(struct json_writer *w, uint64_t value)
{
    uint8_t digits[20];
    size_t first = sizeof(digits);
    do {
        digits[--first] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    json_write_raw(w, bytes_of(digits + first, sizeof(digits) - first));
}

/* The shortest decimal digits that read back as `value`, "d.ddde+xx" as printf gives them. */
static void shortest_digits(double value, char *text, size_t room)
{
    for (int precision = 0; precision <= 16; precision++) {
        snprintf(text, room, "%.*e", precision, value);
        if (strtod(text, NULL) == value)
            return;
    }
}

/* As Java's Double.toString, which is what the service answers with: plain from 0.001 to 10^7 with
 * at least one digit after the point, else d.dddE<exponent>. */
void json_write_double(struct json_writer *w, double value)
{
    char text[48], digits[32];
    if (!isfinite(value))
        value = 0;
    double magnitude = fabs(value);
    bool plain = magnitude == 0 || (magnitude >= 1e-3 && magnitude < 1e7);
    if (plain && magnitude * 2 == (double)(uint64_t)(magnitude * 2)) {
        uint64_t halves = (uint64_t)(magnitude * 2);
        snprintf(text, sizeof(text), "%s%llu.%c", value < 0 ? "-" : "",
                 (unsigned long long)(halves / 2), halves % 2 ? '5' : '0');
        json_write_raw(w, bytes_of_text(text));
        return;
    }
    shortest_digits(value, digits, sizeof(digits));
    char *mark = strchr(digits, 'e');
    int exponent = atoi(mark + 1);
    *mark = '\0';
    size_t fraction = strchr(digits, '.') != NULL ? strlen(strchr(digits, '.') + 1) : 0;
    if (plain) {
        int places = (int)fraction - exponent;
        snprintf(text, sizeof(text), "%.*f", MAX(places, 1), value);
    } else {
        snprintf(text, sizeof(text), "%s%sE%d", digits, fraction > 0 ? "" : ".0", exponent);
    }
    json_write_raw(w, bytes_of_text(text));
}

void json_write_bool(struct json_writer *w, bool value)
{
    json_write_raw(w, value ? BYTES("true") : BYTES("false"));
}
