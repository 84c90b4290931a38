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

/* The links, level by level, behind which (key, slot) belongs: looked for from where the newest
 * version was inserted, when that is before it, else from the head. */
static void find_links(const struct overlay *overlay, struct bytes key, uint64_t slot,
                       struct version **links[OVERLAY_LEVELS])
{
    struct version **next = (struct version **)overlay->head; /* only overlay's owner changes it */
    const struct version *beyond = NULL;                      /* known not to be before it */
    bool from_newest = overlay->newest != NULL && before(overlay->newest, key, slot);
    for (int level = OVERLAY_LEVELS - 1; level >= 0; level--) {
        struct version **link = from_newest ? overlay->newest_links[level] : &next[level];
        while (*link != beyond && before(*link, key, slot)) {
            next = (*link)->next;
            link = &next[level];
            from_newest = false;
        }
        links[level] = link;
        beyond = *link;
    }
}

/* The first version at or behind (key, slot), and in *previous the one before it. */
static struct version *seek(const struct overlay *overlay, struct bytes key, uint64_t slot,
                            struct version **previous)
{
    struct version **links[OVERLAY_LEVELS];
    find_links(overlay, key, slot, links);
    bool first = links[0] == overlay->head;
    *previous = first ? NULL : CONTAINER_OF(links[0], struct version, next[0]);
    return *links[0];
}

void overlay_insert(struct overlay *overlay, struct version *version)
{
    struct version **links[OVERLAY_LEVELS];
    find_links(overlay, version->key, version->slot, links);
    uint32_t levels = 1;
    while (levels < OVERLAY_LEVELS && prng_one_in(&overlay->prng, 4))
        levels++;
    for (uint32_t level = 0; level < OVERLAY_LEVELS; level++) {
        version->next[level] = NULL;
        if (level < levels) {
            version->next[level] = *links[level];
            *links[level] = version;
        }
        overlay->newest_links[level] = level < levels ? &version->next[level] : links[level];
    }
    overlay->newest = version;
    overlay->count++;
    overlay->inserted++;
}

void overlay_remove(struct overlay *overlay, struct version *version)
{
    struct version **links[OVERLAY_LEVELS];
    find_links(overlay, version->key, version->slot, links);
    ASSERT(*links[0] == version);
    for (uint32_t level = 0; level < OVERLAY_LEVELS && *links[level] == version; level++)
        *links[level] = version->next[level];
    overlay->newest = NULL; /* its links may be this one's */
    overlay->count--;
}

struct version *overlay_find(const struct overlay *overlay, struct bytes key, uint64_t slot_max)
{
    if (overlay->count == 0)
        return NULL;
    struct version *previous;
    struct version *found = seek(overlay, key, slot_max, &previous);
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
        struct version *found = overlay_find(overlay, candidate, slot_max);
        if (found != NULL)
            return found;
        (void)seek(overlay, candidate, UINT64_MAX, &previous);
    }
    return NULL;
}
