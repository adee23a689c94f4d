/* tests/support/cmocka.h - cmocka with the headers it wants in front of it. */
#ifndef ATTUNE_TESTS_SUPPORT_CMOCKA_H
#define ATTUNE_TESTS_SUPPORT_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
