/* Running tests, or one of them, on a loop of their own. */
#pragma once

#include "run/fiber.h"
#include "run/loop.h"

/* Runs `run` on the first fiber of a new loop, until everything ended. */
void in_a_fiber(fiber_function *run);

/* Runs a test program's tests on a loop, which some of what they test asks for the time and for
 * buffers. */
int run_tests_on_loop(int (*tests)(void));

/* Lets the loop go on until it is so; fails the test when that takes longer than it can on the
 * busiest machine. */
#define rig_until(condition)                              \
    do {                                                  \
        instant rig_deadline = clock_now() + 20 * SECOND; \
        while (!(condition)) {                            \
            assert_true(clock_now() < rig_deadline);      \
            fiber_sleep_until(loop_now() + MILLISECOND);  \
        }                                                 \
    } while (0)
