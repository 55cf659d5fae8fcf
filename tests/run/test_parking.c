#include "run/parking.h"

#include "run/loop.h"
#include "support/on_loop.h"
#include "support/unit.h"

static void count(void *argument)
{
    ++*(int *)argument;
}

static void stir(void *argument)
{
    struct parking parking;
    int calls = 0;
    (void)argument;
    parking_init(&parking);
    parking_stir(&parking); /* nobody to tell */
    parking_begin(&parking, count, &calls);
    parking_stir(&parking);
    parking_stir(&parking);
    assert_int_equal(calls, 0); /* not from here */
    assert_ok(fiber_sleep_until(loop_now() + 2 * MILLISECOND));
    assert_int_equal(calls, 1);
    parking_stir(&parking);
    assert_ok(fiber_sleep_until(loop_now() + 2 * MILLISECOND));
    assert_int_equal(calls, 1);
}

static void who_has_parked_is_called_once_from_the_loop(void **state)
{
    (void)state;
    in_a_fiber(stir);
}

static void end(void *argument)
{
    struct parking parking;
    int calls = 0;
    (void)argument;
    parking_init(&parking);
    parking_begin(&parking, count, &calls);
    parking_stir(&parking);
    parking_end(&parking);
    assert_ok(fiber_sleep_until(loop_now() + 2 * MILLISECOND));
    parking_call(&parking);
    assert_int_equal(calls, 0);
}

static void who_has_gone_is_not_called(void **state)
{
    (void)state;
    in_a_fiber(end);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_parked_is_called_once_from_the_loop),
        cmocka_unit_test(who_has_gone_is_not_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
