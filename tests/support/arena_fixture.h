/* An arena for each test of a program.
 *
 *     #define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)
 */
#pragma once

#include "base/arena.h"

extern struct arena arena;

int arena_setup(void **state);
int arena_teardown(void **state);
