/* What every unit test includes: cmocka with what it wants before it, and checks that know our
 * types. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/slice.h"
#include "base/status.h"

/* The slice has just these bytes. A failure shows both. */
#define assert_slice(s, literal) check_slice((s), SLICE(literal), __FILE__, __LINE__)
#define assert_slices(a, b)      check_slice((a), (b), __FILE__, __LINE__)

/* The outcome is just this one. A failure shows both words. */
#define assert_status(e, expected) check_status((e), (expected), __FILE__, __LINE__)
#define assert_ok(e)               assert_status((e), OK)

/* Calling it is a bug which must() catches. */
#define assert_aborts(call) check_aborts((call), __FILE__, __LINE__)

void check_slice(struct slice s, struct slice expected, const char *file, int line);
void check_status(enum status e, enum status expected, const char *file, int line);
void check_aborts(void (*call)(void), const char *file, int line);
