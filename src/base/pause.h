/* pause.h - long computations let others run now and then, without knowing who that is.
 *
 * What takes a `const struct pause *` calls pause_run after each PAUSE_BYTES or so of its input,
 * and holds nothing then that others may change.  NULL: it does not pause.
 */
#ifndef BASE_PAUSE_H
#define BASE_PAUSE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

#define PAUSE_BYTES ((size_t)128 << 10)

struct pause {
    void (*run)(void *argument); /* returns when it is this computation's turn again */
    void *argument;
};

static inline void pause_run(const struct pause *pause)
{
    if (pause != NULL)
        pause->run(pause->argument);
}

/* What was done since the last pause, by work that is not one pass over its input: in bytes read or
 * written, and for each small step what it costs beside them. */
struct pause_meter {
    const struct pause *pause; /* NULL: never */
    size_t work;
};

#define PAUSE_STEP_WORK ((size_t)32) /* a comparison, an element, a call */

static inline void pause_after(struct pause_meter *meter, size_t work)
{
    meter->work += work;
    if (UNLIKELY(meter->work >= PAUSE_BYTES)) {
        meter->work = 0;
        pause_run(meter->pause);
    }
}

/* Copy `count` bytes that may be many; `from` and `to` do not overlap. */
static inline void pause_copy(struct pause_meter *meter, uint8_t *to, const uint8_t *from,
                              size_t count)
{
    while (count > 0) {
        size_t part = count < PAUSE_BYTES ? count : PAUSE_BYTES;
        memcpy(to, from, part);
        pause_after(meter, part);
        to += part;
        from += part;
        count -= part;
    }
}

#endif
