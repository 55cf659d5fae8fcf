/* What holds for every balancer, whatever its algorithm. */
#include "balance/balancer.h"

#include "support/balance_rig.h"

static void each(void (*check)(const char *name))
{
    for (size_t i = 0; balancer_types[i]; i++)
        check(balancer_types[i]->name);
}

static void check_tried(const char *name)
{
    struct balance_rig *rig = balance_rig_new(name, NULL, 4);
    static const uint32_t tried[] = {0, 3, 2};
    rig->pick.tried = tried;
    rig->pick.tried_count = 2;
    for (int i = 0; i < 200; i++) {
        uint32_t place = balance_rig_pick(rig);
        assert_true(place == 1 || place == 2);
    }
    rig->pick.tried_count = 3;
    for (int i = 0; i < 20; i++)
        assert_int_equal(balance_rig_pick(rig), 1);
    rig->loads[1].is_down = DOWN_DRAINED;
    assert_int_equal(balance_rig_pick(rig), PICK_NONE);
    balance_rig_free(rig);
}

static void test_tried_ones_are_left_alone(void **state)
{
    (void)state;
    each(check_tried);
}

static void check_down(const char *name)
{
    struct balance_rig *rig = balance_rig_new(name, (uint32_t[]){3, 1, 0, 2, 5}, 5);
    uint64_t counts[5];
    rig->loads[0].is_down = DOWN_CHECK;
    rig->loads[4].is_down = DOWN_EJECTED;
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < 20000; i++) {
        uint32_t place = balance_rig_pick(rig);
        assert_true(place < 5);
        counts[place]++;
        rig->loads[place].in_flight++; /* and stay there */
    }
    assert_int_equal(counts[0] + counts[2] + counts[4], 0);
    assert_true(counts[1] > 4000 && counts[3] > 6000);
    rig->loads[1].is_down = rig->loads[3].is_down = DOWN_CHECK;
    assert_int_equal(balance_rig_pick(rig), PICK_NONE);
    balance_rig_free(rig);
}

static void test_who_is_down_is_never_picked(void **state)
{
    (void)state;
    each(check_down);
}

static void check_few(const char *name)
{
    struct balance_rig *rig = balance_rig_new(name, NULL, 0);
    assert_int_equal(balance_rig_pick(rig), PICK_NONE);
    balance_rig_free(rig);
    rig = balance_rig_new(name, NULL, 1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(balance_rig_pick(rig), 0);
    balance_rig_free(rig);
    rig = balance_rig_new(name, (uint32_t[]){0, 0}, 2);
    assert_int_equal(balance_rig_pick(rig), PICK_NONE);
    balance_rig_free(rig);
}

static void test_none_one_and_no_weight(void **state)
{
    (void)state;
    each(check_few);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(balancer_types[0]->name, "round-robin");
    assert_null(balancer_type_of(SLICE("round-robi")));
    for (size_t i = 0; balancer_types[i]; i++)
        assert_string_equal(balancer_names[i], balancer_types[i]->name);
    for (size_t i = 0; balancer_types[i]; i++)
        assert_ptr_equal(
            balancer_type_of(slice_of_text(balancer_types[i]->name)), balancer_types[i]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tried_ones_are_left_alone),
        cmocka_unit_test(test_who_is_down_is_never_picked),
        cmocka_unit_test(test_none_one_and_no_weight),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
