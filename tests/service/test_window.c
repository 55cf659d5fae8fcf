/* Sliding windows. */
#include "service/window.h"

#include "support/unit.h"

#define SPAN (10 * SECOND)

static void test_counts_what_is_recent(void **state)
{
    (void)state;
    struct window window = {0};
    instant now = 100 * SECOND;
    for (int i = 0; i < 10; i++)
        window_add(&window, SPAN, now + i * 100 * MILLISECOND, i % 2);
    struct window_sum sum = window_sum(&window, SPAN, now + SECOND);
    assert_int_equal(sum.all, 10);
    assert_int_equal(sum.hits, 5);
    assert_true(window_share(sum) == 0.5);
    assert_int_equal(window_sum(&window, SPAN, now + 9 * SECOND).all, 10);
    assert_int_equal(window_sum(&window, SPAN, now + 11 * SECOND).all, 0);
}

static void test_what_is_old_goes_step_by_step(void **state)
{
    (void)state;
    struct window window = {0};
    instant now = 1000 * SECOND;
    for (int i = 0; i < 100; i++)
        window_add(&window, SPAN, now + i * 100 * MILLISECOND, false);
    uint32_t before = window_sum(&window, SPAN, now + SPAN).all;
    assert_in_range(before, 90, 100);
    uint32_t half = window_sum(&window, SPAN, now + SPAN + SPAN / 2).all;
    assert_in_range(half, 40, 55);
}

/* The same slot, many rounds later. */
static void test_a_slot_forgets_its_last_round(void **state)
{
    (void)state;
    struct window window = {0};
    window_add(&window, SPAN, 5 * SECOND, true);
    window_add(&window, SPAN, 5 * SECOND + 70 * SPAN, false);
    struct window_sum sum = window_sum(&window, SPAN, 5 * SECOND + 70 * SPAN);
    assert_int_equal(sum.all, 1);
    assert_int_equal(sum.hits, 0);
}

static void test_a_full_slot_stays(void **state)
{
    (void)state;
    struct window window = {0};
    atomic_store(&window.slots[0], ((uint64_t)1 << 24) - 2);
    for (int i = 0; i < 5; i++)
        window_add(&window, SPAN, 0, false);
    assert_int_equal(window_sum(&window, SPAN, 0).all, (1 << 24) - 1);
    window_clear(&window);
    assert_int_equal(window_sum(&window, SPAN, 0).all, 0);
    assert_true(window_share(window_sum(&window, SPAN, 0)) == 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_counts_what_is_recent),
        cmocka_unit_test(test_what_is_old_goes_step_by_step),
        cmocka_unit_test(test_a_slot_forgets_its_last_round),
        cmocka_unit_test(test_a_full_slot_stays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
