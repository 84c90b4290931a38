/* The overlay against an array of all versions. */
#include "unit/cmocka_headers.h"

#include <stdlib.h>

#include "base/prng.h"
#include "node/overlay.h"

#define KEYS     12u
#define VERSIONS 64u

/* The model: all versions in one array, looked through from end to end. */
struct model {
    struct version versions[VERSIONS];
    bool live[VERSIONS];
    uint8_t keys[VERSIONS][2];
};

static const struct version *model_newest(const struct model *m, struct bytes key,
                                          uint64_t slot_max)
{
    const struct version *best = NULL;
    for (uint32_t i = 0; i < VERSIONS; i++) {
        const struct version *v = &m->versions[i];
        if (m->live[i] && bytes_equal(v->key, key) && v->slot <= slot_max &&
            (best == NULL || v->slot > best->slot))
            best = v;
    }
    return best;
}

/* The newest visible version of the nearest key in the direction. */
static const struct version *model_nearest(const struct model *m, struct bytes key, bool inclusive,
                                           bool after, uint64_t slot_max)
{
    const struct version *best = NULL;
    for (uint32_t i = 0; i < VERSIONS; i++) {
        const struct version *v = &m->versions[i];
        if (!m->live[i] || v->slot > slot_max)
            continue;
        int order = bytes_compare(v->key, key);
        bool fits = after ? order > 0 : order < 0 || key.count == 0;
        if (!fits && !(inclusive && order == 0))
            continue;
        int to_best = best == NULL ? 0 : bytes_compare(v->key, best->key);
        if (best == NULL || (after ? to_best < 0 : to_best > 0) ||
            (to_best == 0 && v->slot > best->slot))
            best = v;
    }
    return best;
}

static void check_all(const struct model *m, struct overlay *overlay, uint64_t slot_max)
{
    for (uint8_t k = 0; k < KEYS; k++) {
        uint8_t name[2] = {k, (uint8_t)(k * 7)};
        struct bytes key = bytes_of(name, 2);
        assert_ptr_equal(overlay_find(overlay, key, slot_max), model_newest(m, key, slot_max));
        for (int inclusive = 0; inclusive < 2; inclusive++) {
            assert_ptr_equal(overlay_after(overlay, key, inclusive, slot_max),
                             model_nearest(m, key, inclusive, true, slot_max));
            assert_ptr_equal(overlay_before(overlay, key, inclusive, slot_max),
                             model_nearest(m, key, inclusive, false, slot_max));
        }
    }
    struct bytes none = {0};
    assert_ptr_equal(overlay_before(overlay, none, false, slot_max),
                     model_nearest(m, none, false, false, slot_max));
}

static void agrees_with_an_array(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct prng prng;
        struct overlay overlay;
        struct model *m = calloc(1, sizeof(*m));
        assert_non_null(m);
        prng_init(&prng, seed);
        overlay_init(&overlay, seed);
        uint64_t slot = 0;
        for (uint32_t step = 0; step < 300; step++) {
            uint32_t i = (uint32_t)prng_below(&prng, VERSIONS);
            if (m->live[i]) {
                overlay_remove(&overlay, &m->versions[i]);
                m->live[i] = false;
            } else {
                uint8_t k = (uint8_t)prng_below(&prng, KEYS);
                m->keys[i][0] = k;
                m->keys[i][1] = (uint8_t)(k * 7);
                m->versions[i] = (struct version){.key = bytes_of(m->keys[i], 2), .slot = ++slot};
                overlay_insert(&overlay, &m->versions[i]);
                m->live[i] = true;
            }
            check_all(m, &overlay,
                      prng_one_in(&prng, 2) ? UINT64_MAX : prng_below(&prng, slot + 1));
        }
        free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_an_array)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
