/* index_key.h - what a write may give the key attributes of secondary indexes. */
#ifndef REQUEST_INDEX_KEY_H
#define REQUEST_INDEX_KEY_H

#include "base/arena.h"
#include "model/index.h"
#include "request/error.h"

/* Check the key attributes that `item` has of the indexes in `run` (their encoding, model/index.h):
 * each is of its type and not empty, and those of one kind (partition, sort) are not too long
 * together.  An item without one is fine, and VALUE_ABSENT.
 * Of several indexes at fault the first by name is reported.  `is_update`: the item comes from an
 * update expression.
 *   STATUS_INVALID  *error     STATUS_CORRUPT  `run` is none */
MUST_USE enum status index_key_check(struct bytes run, struct value item, bool is_update,
                                     struct arena *arena, struct error *error);

#endif
