/* pause.h - long computations let others run now and then, without knowing who that is.
 *
 * What takes a `const struct pause *` calls pause_run after each PAUSE_BYTES or so of its input,
 * and holds nothing then that others may change.  NULL: it does not pause.
 */
#ifndef BASE_PAUSE_H
#define BASE_PAUSE_H

#include <stddef.h>

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

#endif
