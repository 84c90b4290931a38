#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void assert_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "trine: assertion failed: %s (%s:%d)\n", what, file, line);
    fflush(stderr);
    abort();
}
