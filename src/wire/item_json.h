/* item_json.h - attribute values and items between JSON and the binary form, without a tree in
 * between. */
#ifndef WIRE_ITEM_JSON_H
#define WIRE_ITEM_JSON_H

#include "base/arena.h"
#include "base/status.h"
#include "model/value.h"
#include "wire/json.h"

/* What is wrong with an attribute value; the message in the service's words, in the arena. */
struct item_json_fault {
    enum { ITEM_JSON_SERIALIZATION, ITEM_JSON_VALIDATION } kind; /* which exception it is */
    struct bytes message;
};

/* Read one attribute value ({"S": "..."}), or a map of them (an item, a key, expression attribute
 * values), from the scanner, and append it to the writer.  The errors are the service's: wrong JSON
 * types are serialization faults; an empty or double type, bad numbers, empty sets, duplicates,
 * nesting over 32 are validation faults.  Of several validation faults the first is reported; the
 * JSON is taken to its end all the same. STATUS_INVALID  *fault says why, or the scanner failed:
 * then fault->message is empty */
MUST_USE enum status item_json_read_value(struct json_scanner *s, struct value_writer *w,
                                          struct arena *arena, struct item_json_fault *fault);
MUST_USE enum status item_json_read_map(struct json_scanner *s, struct value_writer *w,
                                        struct arena *arena, struct item_json_fault *fault);

/* Write {"S":"..."}; and an item as {"name":{"S":"..."},...}. */
void item_json_write_value(struct json_writer *w, struct value value);
void item_json_write_map(struct json_writer *w, struct value map);

#endif
