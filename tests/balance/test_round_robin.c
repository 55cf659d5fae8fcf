/* Taking turns, with and without weights. */
#include "support/balance_rig.h"

#include <math.h>

#define COUNT 3

static void test_equal_weights_take_turns(void **state)
{
    (void)state;
    static const char *const types[] = {"round-robin", "least-requests"};
    for (size_t type = 0; type < 2; type++) {
        struct balance_rig *rig = balance_rig_new(types[type], (uint32_t[]){2, 2, 2}, COUNT);
        uint32_t first = balance_rig_pick(rig);
        for (uint32_t i = 1; i < 10; i++)
            assert_int_equal(balance_rig_pick(rig), (first + i) % COUNT);
        balance_rig_free(rig);
    }
}

/* Whose turn it is gives way to another who has less to do, and of two that is everybody else. */
static void test_who_has_more_to_do_is_passed_over(void **state)
{
    (void)state;
    struct balance_rig *rig = balance_rig_new("least-requests", NULL, 2);
    rig->loads[0].in_flight = 1;
    for (int i = 0; i < 10; i++)
        assert_int_equal(balance_rig_pick(rig), 1);
    balance_rig_free(rig);
}

static void test_workers_begin_apart(void **state)
{
    (void)state;
    struct balance_rig *rig = balance_rig_new("round-robin", NULL, 8);
    uint32_t met = 0;
    for (uint64_t seed = 0; seed < 64; seed++) {
        slate_begin(rig->slate, rig->state, seed);
        met |= 1u << balance_rig_pick(rig);
    }
    assert_int_equal(met, 0xff);
    balance_rig_free(rig);
}

static void test_who_is_left_shares_evenly(void **state)
{
    (void)state;
    uint64_t counts[COUNT];
    struct balance_rig *rig = balance_rig_new("round-robin", NULL, COUNT);
    rig->loads[1].is_down = DOWN_EJECTED;
    balance_rig_count(rig, 100, counts);
    assert_int_equal(counts[0], 50);
    assert_int_equal(counts[1], 0);
    rig->loads[1].is_down = 0;
    balance_rig_count(rig, 90, counts);
    assert_int_equal(counts[1], 30);
    balance_rig_free(rig);
}

/* ... even if others are down, who are drawn in vain. */
static void test_who_is_down_is_no_comparison(void **state)
{
    (void)state;
    static const char *const types[] = {"least-requests", "peak-ewma"};
    for (size_t type = 0; type < 2; type++) {
        struct balance_rig *rig = balance_rig_new(types[type], NULL, 8);
        rig->loads[0].in_flight = 5;
        for (int i = 2; i < 8; i++)
            rig->loads[i].is_down = DOWN_EJECTED;
        for (int i = 0; i < 1000; i++)
            assert_int_equal(balance_rig_pick(rig), 1);
        balance_rig_free(rig);
    }
}

/* Of 5:1:1 in seven picks five, one and one, and the five not in a block. */
static void test_weights_are_spread_smoothly(void **state)
{
    (void)state;
    static const char *const types[] = {"round-robin", "weighted-round-robin"};
    for (size_t i = 0; i < 2; i++) {
        struct balance_rig *rig = balance_rig_new(types[i], (uint32_t[]){5, 1, 1}, COUNT);
        int in_row = 0;
        for (int round = 0; round < 100; round++) {
            int counts[COUNT] = {0};
            for (int turn = 0; turn < 7; turn++) {
                uint32_t place = balance_rig_pick(rig);
                counts[place]++;
                in_row = place == 0 ? in_row + 1 : 0;
                assert_true(in_row <= 4);
            }
            assert_int_equal(counts[0], 5);
            assert_int_equal(counts[1], 1);
        }
        balance_rig_free(rig);
    }
}

/* Over a million picks nobody is off by more than a turn. */
static void test_weights_are_kept_exactly(void **state)
{
    (void)state;
    static const uint32_t weights[] = {1, 2, 3, 50, 1000, 7, 13};
    struct balance_rig *rig = balance_rig_new("weighted-round-robin", weights, 7);
    uint64_t counts[7];
    balance_rig_count(rig, 1000000, counts);
    for (int i = 0; i < 7; i++)
        assert_true(fabs((double)counts[i] - 1e6 * weights[i] / 1076) <= 2);
    balance_rig_free(rig);
}

static void test_weights_without_one(void **state)
{
    (void)state;
    uint64_t counts[COUNT];
    struct balance_rig *rig = balance_rig_new("weighted-round-robin", (uint32_t[]){5, 3, 1}, COUNT);
    rig->loads[0].is_down = DOWN_CHECK;
    balance_rig_count(rig, 400, counts);
    assert_int_equal(counts[0], 0);
    assert_true(counts[1] >= 299 && counts[1] <= 301);
    rig->loads[0].is_down = 0; /* it does not make up for what it has missed */
    balance_rig_count(rig, 90, counts);
    assert_true(counts[0] >= 47 && counts[0] <= 52);
    balance_rig_free(rig);
}

/* One heavy endpoint that is down costs the others nothing. */
static void test_a_heavy_one_is_down(void **state)
{
    (void)state;
    uint64_t counts[COUNT];
    struct balance_rig *rig = balance_rig_new("round-robin", (uint32_t[]){1000, 1, 1}, COUNT);
    rig->loads[0].is_down = DOWN_CHECK;
    balance_rig_count(rig, 1000, counts);
    assert_true(counts[1] >= 490 && counts[1] <= 510);
    balance_rig_free(rig);
}

static void test_weight_zero_is_never_picked(void **state)
{
    (void)state;
    uint64_t counts[COUNT];
    struct balance_rig *rig = balance_rig_new("round-robin", (uint32_t[]){0, 1, 1}, COUNT);
    balance_rig_count(rig, 100, counts);
    assert_int_equal(counts[0], 0);
    assert_true(counts[1] >= 49 && counts[1] <= 51);
    balance_rig_free(rig);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_weights_take_turns),
        cmocka_unit_test(test_who_has_more_to_do_is_passed_over),
        cmocka_unit_test(test_who_is_down_is_no_comparison),
        cmocka_unit_test(test_workers_begin_apart),
        cmocka_unit_test(test_who_is_left_shares_evenly),
        cmocka_unit_test(test_weights_are_spread_smoothly),
        cmocka_unit_test(test_weights_are_kept_exactly),
        cmocka_unit_test(test_weights_without_one),
        cmocka_unit_test(test_a_heavy_one_is_down),
        cmocka_unit_test(test_weight_zero_is_never_picked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
