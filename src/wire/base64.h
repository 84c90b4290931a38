/* base64.h - strict decoding of base64 (RFC 4648, section 4), with the service's words for what is
 * wrong.
 *
 * Sources: "Base64 encoded length is expected a multiple of 4 bytes but found: 11" is the answer of
 * the service in scylladb #6487; the other two texts are those of the AWS SDK for Java's codec.
 */
#ifndef WIRE_BASE64_H
#define WIRE_BASE64_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/pause.h"
#include "base/status.h"

/* Decode `text` into the arena.
 *   STATUS_INVALID    *message says why, in the arena or constant
 *   STATUS_NO_MEMORY  the arena is full */
MUST_USE enum status base64_decode(struct bytes text, struct arena *arena, struct bytes *content,
                                   struct bytes *message);

/* The same of a text that may be long, with pauses. */
MUST_USE enum status base64_decode_paused(struct bytes text, struct arena *arena,
                                          const struct pause *pause, struct bytes *content,
                                          struct bytes *message);

#endif
