#include "node/overlay.h"

#include <stddef.h>

#include "base/assert.h"

void overlay_init(struct overlay *overlay, uint64_t seed)
{
    *overlay = (struct overlay){0};
    prng_init(&overlay->prng, seed);
}

/* Order of versions: by key, then the newer slot first. */
static bool before(const struct version *v, struct bytes key, uint64_t slot)
{
    int order = bytes_compare(v->key, key);
    return order != 0 ? order < 0 : v->slot > slot;
}

/* Does (key, slot) belong where the last one did? */
static bool is_same_place(const struct overlay *overlay, struct bytes key, uint64_t slot)
{
    struct version **link = overlay->place[0];
    if (link == NULL || (*link != NULL && before(*link, key, slot)))
        return false;
    return link == overlay->head || before(CONTAINER_OF(link, struct version, next[0]), key, slot);
}

/* Set overlay->place to where (key, slot) is, or would be. */
static void find_place(struct overlay *overlay, struct bytes key, uint64_t slot)
{
    if (is_same_place(overlay, key, slot))
        return;
    struct version **next = overlay->head;
    const struct version *beyond = NULL; /* known not to be before it */
    for (int level = OVERLAY_LEVELS - 1; level >= 0; level--) {
        while (next[level] != beyond && before(next[level], key, slot))
            next = next[level]->next;
        overlay->place[level] = &next[level];
        beyond = next[level];
    }
}

/* The first version at or behind (key, slot), and in *previous the one before it. */
static struct version *seek(const struct overlay *overlay, struct bytes key, uint64_t slot,
                            struct version **previous)
{
    struct version *const *next = overlay->head;
    const struct version *beyond = NULL;
    *previous = NULL;
    for (int level = OVERLAY_LEVELS - 1; level >= 0; level--) {
        while (next[level] != beyond && before(next[level], key, slot)) {
            *previous = next[level];
            next = next[level]->next;
        }
        beyond = next[level];
    }
    return next[0];
}

void overlay_insert(struct overlay *overlay, struct version *version)
{
    find_place(overlay, version->key, version->slot);
    uint32_t levels = 1;
    while (levels < OVERLAY_LEVELS && prng_one_in(&overlay->prng, 4))
        levels++;
    for (uint32_t level = 0; level < OVERLAY_LEVELS; level++) {
        version->next[level] = NULL;
        if (level < levels) {
            version->next[level] = *overlay->place[level];
            *overlay->place[level] = version;
            overlay->place[level] = &version->next[level];
        }
    }
    overlay->count++;
    overlay->inserted++;
}

/* The place is before the version then, so that none of its links is of one that is removed. */
void overlay_remove(struct overlay *overlay, struct version *version)
{
    find_place(overlay, version->key, version->slot);
    ASSERT(*overlay->place[0] == version);
    for (uint32_t level = 0; level < OVERLAY_LEVELS && *overlay->place[level] == version; level++)
        *overlay->place[level] = version->next[level];
    overlay->count--;
}

struct version *overlay_find(struct overlay *overlay, struct bytes key, uint64_t slot_max)
{
    if (overlay->count == 0)
        return NULL;
    find_place(overlay, key, slot_max);
    struct version *found = *overlay->place[0];
    return found != NULL && bytes_equal(found->key, key) ? found : NULL;
}

/* From `v` on, the first version that slot_max lets see; it is the newest visible of its key. */
static struct version *first_visible(struct version *v, uint64_t slot_max)
{
    while (v != NULL && v->slot > slot_max)
        v = v->next[0];
    return v;
}

struct version *overlay_after(const struct overlay *overlay, struct bytes key, bool inclusive,
                              uint64_t slot_max)
{
    if (overlay->count == 0)
        return NULL;
    /* Slot 0 sorts behind every version of the key. */
    struct version *previous;
    struct version *v = seek(overlay, key, inclusive ? UINT64_MAX : 0, &previous);
    return first_visible(v, slot_max);
}

struct version *overlay_before(const struct overlay *overlay, struct bytes key, bool inclusive,
                               uint64_t slot_max)
{
    if (overlay->count == 0)
        return NULL;
    struct version *previous;
    if (key.count == 0) {
        struct version *const *next = overlay->head;
        previous = NULL;
        for (int level = OVERLAY_LEVELS - 1; level >= 0; level--) {
            for (; next[level] != NULL; next = next[level]->next)
                previous = next[level];
        }
    } else {
        (void)seek(overlay, key, inclusive ? 0 : UINT64_MAX, &previous);
    }
    while (previous != NULL) {
        struct bytes candidate = previous->key;
        struct version *behind;
        struct version *found = seek(overlay, candidate, slot_max, &behind);
        if (found != NULL && bytes_equal(found->key, candidate))
            return found;
        (void)seek(overlay, candidate, UINT64_MAX, &previous);
    }
    return NULL;
}
