/* json_fault.h - the service's words when a JSON value is of another type than a member takes.
 *
 * They are the messages of SerializationException.  Sources, all reports of the real service:
 * "NUMBER_VALUE cannot be converted to String" (localstack #9412), "STRING_VALUE cannot be
 * converted to Integer" (many), "Unrecognized collection type class java.lang.String" (pynamodb
 * #945), "Unrecognized collection type java.util.Map<...>" (JuliaCloud/AWS.jl #246), "Start of
 * structure or map found where not expected" (aws-sdk-js-v3 #7102), "Unexpected value type in
 * payload" (a scalar where an attribute value is expected).
 */
#ifndef WIRE_JSON_FAULT_H
#define WIRE_JSON_FAULT_H

#include "base/arena.h"
#include "base/bytes.h"
#include "wire/json.h"

/* What a member takes. */
enum json_want {
    JSON_WANT_STRING,
    JSON_WANT_INTEGER,
    JSON_WANT_LONG,
    JSON_WANT_DOUBLE,
    JSON_WANT_BOOLEAN,
    JSON_WANT_BLOB,
    JSON_WANT_TIMESTAMP,
    JSON_WANT_LIST,
    JSON_WANT_MAP,
    JSON_WANT_STRUCTURE,
};

/* The message for the value that comes next in `s`, which is not what `want` takes; the value is
 * not taken.  `name` is the element type for a map and the type of a structure, as in the model
 * ("AttributeValue"); not used otherwise.  In the arena, or constant; empty when the scanner failed
 * (a body that is no JSON has no message). */
struct bytes json_fault_text(struct json_scanner *s, enum json_want want, struct bytes name,
                             struct arena *arena);

#endif
