#include "support/on_loop.h"

#include "run/loop.h"
#include "support/unit.h"

void in_a_fiber(fiber_function *run)
{
    assert_ok(loop_run_main(NULL, run, NULL));
}

struct run {
    int (*tests)(void);
    int failures;
};

static void run_them(void *argument)
{
    struct run *run = argument;
    run->failures = run->tests();
}

int run_tests_on_loop(int (*tests)(void))
{
    struct run run = {.tests = tests, .failures = -1};
    const struct loop_options options = {.stack_size = 512 * 1024};
    return loop_run_main(&options, run_them, &run) ? 1 : run.failures;
}
