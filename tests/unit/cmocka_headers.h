/* cmocka_headers.h - cmocka wants these before its own header. */
#ifndef TESTS_UNIT_CMOCKA_HEADERS_H
#define TESTS_UNIT_CMOCKA_HEADERS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#endif
