/* self_check.h - the checkers, shown to accept good histories and to reject bad ones of each kind.
 */
#ifndef SIM_CHECK_SELF_CHECK_H
#define SIM_CHECK_SELF_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/heap.h"

/* Judge hand-made history `index`.  *name says what it shows.  Returns whether the checkers judged
 * it as they should; *last is set when there are no more. */
bool self_check(struct heap *heap, size_t index, const char **name, bool *last);

#endif
