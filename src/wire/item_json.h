/* item_json.h - attribute values and items between JSON and the binary form, without a tree in
 * between. */
#ifndef WIRE_ITEM_JSON_H
#define WIRE_ITEM_JSON_H

#include "base/arena.h"
#include "base/status.h"
#include "model/value.h"
#include "wire/json.h"

/* Which exception a fault is. */
enum item_json_fault_kind {
    ITEM_JSON_SERIALIZATION,
    ITEM_JSON_VALIDATION,
};

/* What is wrong with an attribute value; the message in the service's words, in the arena. */
struct item_json_fault {
    enum item_json_fault_kind kind;
    struct bytes message;
};

/* Read one attribute value ({"S": "..."}), or a map of them (an item, a key, expression attribute
 * values), from the scanner, and append it to the writer.  The errors are the service's: wrong JSON
 * types and bad base64 are serialization faults, which end the scanner; an empty or double type,
 * bad numbers, empty sets, duplicates, nesting over 32 levels are validation faults.  Of several
 * validation faults the first is reported; the JSON is taken to its end all the same, and a
 * serialization fault in it comes before them.
 *   STATUS_INVALID    *fault says why; its message is empty when the body is no JSON.  The writer
 *                     has failed: drop what is in its buffer
 *   STATUS_NO_MEMORY  the arena or the writer's buffer is full
 *   STATUS_TOO_LARGE  a value over VALUE_BYTES_MAX */
MUST_USE enum status item_json_read_value(struct json_scanner *s, struct value_writer *w,
                                          struct arena *arena, struct item_json_fault *fault);
MUST_USE enum status item_json_read_map(struct json_scanner *s, struct value_writer *w,
                                        struct arena *arena, struct item_json_fault *fault);

/* Write {"S":"..."}; and an item as {"name":{"S":"..."},...}. */
void item_json_write_value(struct json_writer *w, struct value value);
void item_json_write_map(struct json_writer *w, struct value map);

/* No less than the bytes of JSON that item_json_write_value makes of `value`; more only for strings
 * with something to escape, and by a few bytes for each value. */
size_t item_json_bytes_max(struct value value);

#endif
