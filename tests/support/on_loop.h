/* Running tests, or one of them, on a loop of their own. */
#pragma once

#include "run/fiber.h"

/* Runs `run` on the first fiber of a new loop, until everything ended. */
void in_a_fiber(fiber_function *run);

/* Runs a test program's tests on a loop, which some of what they test asks for the time and for
 * buffers. */
int run_tests_on_loop(int (*tests)(void));
