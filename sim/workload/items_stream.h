/* items_stream.h - a client that follows the streams of all tables, in the end, and judges them. */
#ifndef SIM_WORKLOAD_ITEMS_STREAM_H
#define SIM_WORKLOAD_ITEMS_STREAM_H

#include "sim/check/register.h"
#include "sim/workload/items.h"
#include "sim/workload/json.h"

struct items_stream;

/* It goes on by itself; items->phase_done is set when it is over. */
struct items_stream *items_stream_begin(struct items *items);

/* Whether it is over or not; NULL is nothing. */
void items_stream_end(struct items_stream *stream);

/* ---- items_answer.c, for both ---- */

/* The state that `item` shows; one that nobody can have written is a violation. */
struct register_state items_state_of(struct items *items, const struct json *item);

/* Does `item` have the key attributes of `key`? */
bool items_has_key(const struct items *items, const struct json *item, uint32_t key);

#endif
