/* assert.h - checks that stay on in production, and marks that show what a simulation reached.
 *
 *   ASSERT(x)      "we can argue that this is always true": cheap, no side effects, one condition;
 *                  aborts
 *   EXPECT(x)      believed, but handled when false: evaluates to x; aborts only in builds with
 *                  TRINE_DEBUG (tests and the simulator)
 *   SLOW_CHECK(x)  a whole-structure walk; only in those builds
 *   REACHED("..")  marks a rare branch; those builds count it, and the simulator says which marks
 *                  no seed reached
 *
 * Bytes from disk, network or clients are never asserted: they are validated.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

NORETURN COLD void assert_failed(const char *what, const char *file, int line);

#define ASSERT(x) (LIKELY(x) ? (void)0 : assert_failed(#x, __FILE__, __LINE__))

#ifdef TRINE_DEBUG

#define EXPECT(x)     (LIKELY(x) ? true : (assert_failed(#x, __FILE__, __LINE__), false))
#define SLOW_CHECK(x) ASSERT(x)

/* One per REACHED in the program, gathered by the linker; walked with REACHED_FOR_EACH. */
struct reached_mark {
    const char *why;
    const char *file;
    uint64_t count;
};

extern struct reached_mark __start_reached_marks[] __attribute__((weak));
extern struct reached_mark __stop_reached_marks[] __attribute__((weak));

#define REACHED(text)                                                                              \
    do {                                                                                           \
        static struct reached_mark reached_mark_                                                   \
            __attribute__((section("reached_marks"), used, aligned(8))) = {.why = (text),          \
                                                                           .file = __FILE__};      \
        reached_mark_.count++;                                                                     \
    } while (0)

#else

#define EXPECT(x)     (x)
#define SLOW_CHECK(x) ((void)0)
#define REACHED(text) ((void)0)

#endif

#endif
