/* tree_model.c - see tree_model.h.
 *
 * A key: its group (4 bytes), what the group shares, its place in the group (1 byte), a tail.  So
 * two neighbours in a group are told apart far behind, and two groups at once. */
#include "sim/check/tree_model.h"

#include <string.h>

#include "base/assert.h"
#include "base/prng.h"

void tree_model_init(struct tree_model *model, struct heap *heap,
                     const struct tree_model_shape *shape)
{
    *model = (struct tree_model){.heap = heap, .shape = *shape};
    model->newest = heap_alloc_zero(heap, shape->keys * sizeof(uint32_t));
    ASSERT(model->newest != NULL);
}

void tree_model_release(struct tree_model *model)
{
    heap_free(model->heap, model->changes, model->change_capacity * sizeof(struct tree_change));
    heap_free(model->heap, model->slots, model->slot_capacity * sizeof(struct tree_slot));
    heap_free(model->heap, model->newest, model->shape.keys * sizeof(uint32_t));
    *model = (struct tree_model){0};
}

/* Room for one more; returns the array. */
static void *grow(struct heap *heap, void *array, uint32_t count, uint32_t *capacity, size_t bytes)
{
    if (count < *capacity)
        return array;
    uint32_t more = *capacity * 2 + 256;
    uint8_t *larger = heap_alloc(heap, more * bytes);
    ASSERT(larger != NULL);
    if (count > 0)
        memcpy(larger, array, count * bytes);
    heap_free(heap, array, *capacity * bytes);
    *capacity = more;
    return larger;
}

void tree_model_begin(struct tree_model *model)
{
    model->slots = grow(model->heap, model->slots, model->slot_count, &model->slot_capacity,
                        sizeof(struct tree_slot));
    model->slots[model->slot_count++] =
        (struct tree_slot){.lsn = {UINT64_MAX}, .first = model->change_count};
}

void tree_model_add(struct tree_model *model, uint32_t key, uint64_t token)
{
    model->changes = grow(model->heap, model->changes, model->change_count, &model->change_capacity,
                          sizeof(struct tree_change));
    model->changes[model->change_count] = (struct tree_change){
        .key = key, .before = model->newest[key], .slot = model->slot_count, .token = token};
    model->newest[key] = ++model->change_count;
    model->slots[model->slot_count - 1].count++;
}

void tree_model_cut(struct tree_model *model, uint64_t slots)
{
    for (; model->slot_count > slots; model->slot_count--) {
        const struct tree_slot *last = &model->slots[model->slot_count - 1];
        while (model->change_count > last->first) {
            const struct tree_change *change = &model->changes[--model->change_count];
            model->newest[change->key] = change->before;
        }
    }
}

/* The change that `key` shows after `slot`; NULL: it was never there. */
static const struct tree_change *change_at(const struct tree_model *model, uint32_t key,
                                           uint64_t slot)
{
    uint32_t at = model->newest[key];
    while (at != 0 && model->changes[at - 1].slot > slot)
        at = model->changes[at - 1].before;
    return at == 0 ? NULL : &model->changes[at - 1];
}

uint64_t tree_model_at(const struct tree_model *model, uint32_t key, uint64_t slot)
{
    const struct tree_change *change = change_at(model, key, slot);
    return change == NULL ? 0 : change->token;
}

/* What a value looks like. */
static size_t value_shape(const struct tree_model *model, uint64_t token, struct prng *prng)
{
    const struct tree_model_shape *shape = &model->shape;
    prng_init(prng, token);
    bool large = shape->large_one_in > 0 && prng_one_in(prng, shape->large_one_in);
    return prng_below(prng, (large ? shape->large_bytes : shape->value_bytes) + 1);
}

struct bytes tree_model_value(const struct tree_model *model, uint64_t token, uint8_t *to)
{
    struct prng prng;
    size_t count = value_shape(model, token, &prng);
    uint64_t word = prng_u64(&prng);
    for (size_t i = 0; i < count; i += sizeof(word)) {
        uint64_t mixed = word + i * UINT64_C(0x9e3779b97f4a7c15);
        memcpy(to + i, &mixed, count - i < sizeof(mixed) ? count - i : sizeof(mixed));
    }
    return bytes_of(to, count);
}

static bool value_is(const struct tree_model *model, uint64_t token, const struct bytes *value)
{
    struct prng prng;
    if (token == 0 || value == NULL)
        return token == 0 && value == NULL;
    if (value_shape(model, token, &prng) != value->count)
        return false;
    uint64_t word = prng_u64(&prng);
    for (size_t i = 0; i < value->count; i += sizeof(word)) {
        uint64_t mixed = word + i * UINT64_C(0x9e3779b97f4a7c15);
        size_t rest = value->count - i;
        if (memcmp(value->at + i, &mixed, rest < sizeof(mixed) ? rest : sizeof(mixed)) != 0)
            return false;
    }
    return true;
}

bool tree_model_had(const struct tree_model *model, uint32_t key, uint64_t low, uint64_t high,
                    const struct bytes *value)
{
    const struct tree_change *change = change_at(model, key, high);
    for (;;) {
        if (value_is(model, change == NULL ? 0 : change->token, value))
            return true;
        if (change == NULL || change->slot <= low)
            return false;
        change = change->before == 0 ? NULL : &model->changes[change->before - 1];
    }
}

/* Most groups share little, others much: a page of separators holds many or few. */
static size_t shared_bytes(const struct tree_model_shape *shape, uint32_t group)
{
    struct prng prng;
    prng_init(&prng, group);
    uint64_t most = prng_one_in(&prng, 3) ? shape->shared_bytes : MIN(shape->shared_bytes, 20u);
    return prng_below(&prng, most + 1);
}

struct bytes tree_model_key(const struct tree_model *model, uint32_t key, uint8_t *to)
{
    const struct tree_model_shape *shape = &model->shape;
    struct prng prng;
    uint32_t group = key / TREE_MODEL_GROUP_KEYS;
    size_t count = 4;
    to[0] = (uint8_t)(group >> 24);
    to[1] = (uint8_t)(group >> 16);
    to[2] = (uint8_t)(group >> 8);
    to[3] = (uint8_t)group;
    size_t shared = shared_bytes(shape, group);
    memset(to + count, 'a' + (int)(group % 26), shared);
    count += shared;
    to[count++] = (uint8_t)(key % TREE_MODEL_GROUP_KEYS);
    prng_init(&prng, ~(uint64_t)key);
    size_t tail = prng_below(&prng, shape->tail_bytes + 1);
    memset(to + count, 'A' + (int)(key % 26), tail);
    return bytes_of(to, count + tail);
}

bool tree_model_number(const struct tree_model *model, struct bytes bytes, uint32_t *key)
{
    uint8_t expected[TREE_MODEL_KEY_BYTES_MAX];
    if (bytes.count < 5)
        return false;
    uint32_t group = (uint32_t)bytes.at[0] << 24 | (uint32_t)bytes.at[1] << 16 |
                     (uint32_t)bytes.at[2] << 8 | bytes.at[3];
    size_t place = 4 + shared_bytes(&model->shape, group);
    if (place >= bytes.count || group > model->shape.keys / TREE_MODEL_GROUP_KEYS)
        return false;
    *key = group * TREE_MODEL_GROUP_KEYS + bytes.at[place];
    return *key < model->shape.keys &&
           bytes_compare(bytes, tree_model_key(model, *key, expected)) == 0;
}
