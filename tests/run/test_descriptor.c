#include "run/descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include "run/loop.h"
#include "support/unit.h"

static void write_one(void *argument)
{
    fiber_sleep_until(loop_now() + 2 * MILLISECOND);
    assert_int_equal(write(*(int *)argument, "x", 1), 1);
}

static void wait_for_a_pipe(void *argument)
{
    (void)argument;
    int ends[2];
    char c;
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    assert_status(descriptor_wait_readable(ends[0], loop_now() + 2 * MILLISECOND), TIMEOUT);
    assert_ok(scope_start(loop_scope(loop_current()), write_one, &ends[1]));
    assert_ok(descriptor_wait_readable(ends[0], NEVER));
    assert_ok(descriptor_wait_readable(ends[0], NEVER)); /* it still can be read */
    assert_int_equal(read(ends[0], &c, 1), 1);
    close(ends[1]);
    assert_ok(descriptor_wait_readable(ends[0], NEVER)); /* the end */
    close(ends[0]);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    assert_status(descriptor_wait_readable(file, NEVER), IO_ERROR);
    close(file);
}

static void a_pipe_can_be_waited_for(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, wait_for_a_pipe, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pipe_can_be_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
