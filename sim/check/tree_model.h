/* tree_model.h - what one tree must hold after each slot of its group's log.
 *
 * Keys are numbers below the count that the model was made with, values are *tokens*; both have
 * bytes that follow from the number and the model's shape, and keys sort as their numbers do.
 * Every mutation is kept, chained to the one before it on the same key, so that any slot can be
 * looked at.
 *
 * Slots are consecutive from 1.  Pure memory; the heap is the scenario's, which outlives crashes.
 */
#ifndef SIM_CHECK_TREE_MODEL_H
#define SIM_CHECK_TREE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/heap.h"
#include "storage/log_types.h"

#define TREE_MODEL_KEY_BYTES_MAX   7168u
#define TREE_MODEL_VALUE_BYTES_MAX (160u << 10)
#define TREE_MODEL_GROUP_KEYS      32u /* keys in a row that share a long beginning */

/* What keys and values look like. */
struct tree_model_shape {
    uint32_t keys;         /* numbers below this */
    uint32_t shared_bytes; /* what keys of a group may share at most, up to 6 KiB */
    uint32_t tail_bytes;   /* what may follow at most, up to 1,000 */
    uint32_t value_bytes;  /* of most values at most */
    uint32_t large_one_in; /* a value in so many is up to large_bytes; 0 = none */
    uint32_t large_bytes;  /* up to TREE_MODEL_VALUE_BYTES_MAX */
};

struct tree_change {
    uint32_t key;
    uint32_t before; /* the change before it on this key: its position + 1; 0 = none */
    uint64_t slot;
    uint64_t token; /* 0 = deleted */
};

struct tree_slot {
    struct lsn lsn;        /* set by the owner; the largest there is until it is known */
    uint32_t first, count; /* in changes */
};

struct tree_model {
    struct heap *heap;
    struct tree_model_shape shape;
    struct tree_change *changes;
    uint32_t change_count, change_capacity;
    struct tree_slot *slots; /* slots[i] is slot i + 1 */
    uint32_t slot_count, slot_capacity;
    uint32_t *newest; /* per key: position + 1 */
};

void tree_model_init(struct tree_model *model, struct heap *heap,
                     const struct tree_model_shape *shape);
void tree_model_release(struct tree_model *model);

/* Begin the next slot, and add changes to it. */
void tree_model_begin(struct tree_model *model);
void tree_model_add(struct tree_model *model, uint32_t key, uint64_t token);

/* The log has no more than `slots`: forget what came after. */
void tree_model_cut(struct tree_model *model, uint64_t slots);

/* The token of `key` after `slot`; 0 = not there. */
uint64_t tree_model_at(const struct tree_model *model, uint32_t key, uint64_t slot);

/* Whether `key` had the value (absent: at == NULL) after one of the slots from `low` to `high`. */
bool tree_model_had(const struct tree_model *model, uint32_t key, uint64_t low, uint64_t high,
                    const struct bytes *value);

/* The bytes, written to `to`, which has room for the largest. */
struct bytes tree_model_key(const struct tree_model *model, uint32_t key, uint8_t *to);
struct bytes tree_model_value(const struct tree_model *model, uint64_t token, uint8_t *to);

/* The number in a key's bytes; false: no key of this model, byte for byte. */
bool tree_model_number(const struct tree_model *model, struct bytes bytes, uint32_t *key);

#endif
