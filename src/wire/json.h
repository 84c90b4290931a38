/* json.h - a streaming scanner and a writer of JSON; no tree.
 *
 * The scanner walks a whole body in memory, strict (RFC 8259, strict UTF-8), with a bound on
 * nesting, and hands out views; strings are views when they hold no escape, else they are decoded
 * into the arena.
 */
#ifndef WIRE_JSON_H
#define WIRE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/pause.h"
#include "base/status.h"

#define JSON_DEPTH_MAX        128u
#define JSON_NUMBER_BYTES_MAX 65536u /* of a number's text */

enum json_type {
    JSON_END, /* the end of the body */
    JSON_OBJECT,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL,
};

struct json_scanner {
    const uint8_t *at;
    const uint8_t *end;
    struct arena *arena;  /* for strings with escapes */
    const uint8_t *limit; /* where to pause next, at most the end */
    const struct pause *pause;
    uint32_t depth;
    bool first;  /* the innermost object or array has had no member yet */
    bool taken;  /* a value was begun */
    bool failed; /* not JSON, or over a bound (depth, a number, the arena): every later call gives
                    END, false or the empty run */
};

void json_scanner_init(struct json_scanner *s, struct bytes body, struct arena *arena);

/* Pause after each PAUSE_BYTES of the body, in the midst of strings too; NULL: never, as after
 * json_scanner_init. */
void json_scanner_pause(struct json_scanner *s, const struct pause *pause);

/* The type of the value that comes next, without taking it. */
enum json_type json_peek(struct json_scanner *s);

/* Objects: json_object_begin, then json_object_next for each member (taking its value in between),
 * until false. Arrays alike.  The value of each member or element must be taken, by one of the
 * functions here or json_skip. */
void json_object_begin(struct json_scanner *s);
bool json_object_next(struct json_scanner *s, struct bytes *name);

/* A short cut for {"S":...: when json_peek has said JSON_OBJECT and the text goes on with a name of
 * one capital letter, without spaces, begin the object, take the name and return the letter.  0: it
 * does not, and nothing was taken. */
static inline uint8_t json_object_begin_letter(struct json_scanner *s)
{
    const uint8_t *at = s->at;
    bool fits = s->end - at >= 5 && at[0] == '{' && at[1] == '"' && at[3] == '"' && at[4] == ':';
    if (!fits || at[2] < 'A' || at[2] > 'Z' || s->depth >= JSON_DEPTH_MAX)
        return 0;
    s->at = at + 5;
    s->depth++;
    s->first = false;
    s->taken = true;
    return at[2];
}

void json_array_begin(struct json_scanner *s);
bool json_array_next(struct json_scanner *s);

struct bytes json_string(struct json_scanner *s); /* the decoded text */
struct bytes json_number(struct json_scanner *s); /* its text, under JSON_NUMBER_BYTES_MAX */
bool json_boolean(struct json_scanner *s);
void json_null(struct json_scanner *s);
void json_skip(struct json_scanner *s); /* any value */

/* After the last value: STATUS_OK when the body was exactly one JSON value, STATUS_INVALID
 * otherwise. */
MUST_USE enum status json_scanner_finish(struct json_scanner *s);

/* ---- Writing: into a buffer, without spaces; commas are the writer's ---- */

struct json_writer {
    struct buffer *to;
    bool comma; /* a comma is due before the next member or element */
};

void json_writer_init(struct json_writer *w, struct buffer *to);
void json_write_object_begin(struct json_writer *w);
void json_write_object_end(struct json_writer *w);
void json_write_array_begin(struct json_writer *w);
void json_write_array_end(struct json_writer *w);
void json_write_name(struct json_writer *w, struct bytes name); /* of a member; its value follows */
void json_write_string(struct json_writer *w, struct bytes text);
void json_write_base64(struct json_writer *w, struct bytes content);
/* No less than json_write_string and json_write_name append for `text`. */
size_t json_string_bytes_max(struct bytes text);
/* A number, null or other JSON, as it is. */
void json_write_raw(struct json_writer *w, struct bytes text);
void json_write_u64(struct json_writer *w, uint64_t value);
/* "0.5", "1.0", "1.363729002358E9": as the service prints capacity and times; what is not finite
 * becomes 0. */
void json_write_double(struct json_writer *w, double value);
void json_write_bool(struct json_writer *w, bool value);

#endif
