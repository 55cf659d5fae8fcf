/* How a million picks are distributed, against what mathematics expects: with weights, with some
 * that are down, and with endpoints that come and go. */
#include "support/balance_rig.h"

#include <math.h>
#include <stdlib.h>

#define PICKS 1000000

/* Chi-square of a million picks stays within what chance allows. */
static void check_parts(struct balance_rig *rig, const double *parts)
{
    uint64_t *counts = calloc(rig->count, sizeof *counts);
    uint32_t classes = 0;
    assert_non_null(counts);
    for (uint32_t i = 0; i < rig->count; i++)
        classes += parts[i] > 0;
    balance_rig_count(rig, PICKS, counts);
    double chi = balance_rig_chi(counts, parts, rig->count);
    if (chi > balance_rig_chi_most(classes - 1))
        print_error("%s: chi-square %f\n", rig->options.type->name, chi);
    assert_true(chi <= balance_rig_chi_most(classes - 1));
    free(counts);
}

/* Those that share in exact proportion, whatever the loads. */
static const char *const exact[] = {"random", "ip-hash", "rendezvous", "least-requests",
    "weighted-round-robin", "weighted-least-connections"};
/* Those that do not look at weights, or only where loads differ. */
static const char *const even[] = {"least-connections", "least-response-time", "peak-ewma"};

static void test_even(void **state)
{
    (void)state;
    double parts[20];
    for (int i = 0; i < 20; i++)
        parts[i] = 1;
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++) {
        struct balance_rig *rig = balance_rig_new(exact[i], NULL, 20);
        check_parts(rig, parts);
        balance_rig_free(rig);
    }
    for (size_t i = 0; i < sizeof even / sizeof *even; i++) {
        struct balance_rig *rig = balance_rig_new(even[i], NULL, 20);
        check_parts(rig, parts);
        balance_rig_free(rig);
    }
}

static void test_in_proportion_to_weights(void **state)
{
    (void)state;
    static const uint32_t weights[] = {1, 2, 3, 4, 10, 100, 0, 7, 7, 20};
    double parts[10];
    for (int i = 0; i < 10; i++)
        parts[i] = weights[i];
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++) {
        struct balance_rig *rig = balance_rig_new(exact[i], weights, 10);
        check_parts(rig, parts);
        balance_rig_free(rig);
    }
}

/* What those who are down would get is spread over the others in proportion, not to neighbours. */
/* Weights need not be whole: agents and load reports scale them. */
static void test_in_proportion_to_parts_of_weights(void **state)
{
    (void)state;
    static const double parts[] = {1, 0.75, 0.01, 2.5, 0.33};
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++) {
        struct balance_rig *rig = balance_rig_new(exact[i], NULL, 5);
        for (int k = 0; k < 5; k++)
            rig->members[k].candidate.weight = (float)parts[k];
        balance_rig_build(rig);
        check_parts(rig, parts);
        balance_rig_free(rig);
    }
}

static void test_with_some_that_are_down(void **state)
{
    (void)state;
    uint32_t weights[30];
    double parts[30];
    for (uint32_t i = 0; i < 30; i++)
        parts[i] = weights[i] = 1 + i % 3;
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++) {
        struct balance_rig *rig = balance_rig_new(exact[i], weights, 30);
        for (uint32_t down = 5; down < 12; down++) {
            rig->loads[down].is_down = DOWN_CHECK;
            parts[down] = 0;
        }
        check_parts(rig, parts);
        balance_rig_free(rig);
    }
}

/* Every slot of a Maglev table is given in turns: shares are exact to a slot or two. */
static void test_maglev_shares(void **state)
{
    (void)state;
    static const uint32_t weights[] = {1, 2, 3, 4, 5};
    double parts[5];
    for (int i = 0; i < 5; i++)
        parts[i] = weights[i];
    struct balance_rig *rig = balance_rig_new("maglev", weights, 5);
    check_parts(rig, parts);
    balance_rig_free(rig);
}

/* The arcs of a ring differ: with p points the deviation of a share is 1 / sqrt(p) of it. */
static void test_ring_shares(void **state)
{
    (void)state;
    enum { COUNT = 50 };
    uint64_t counts[COUNT];
    uint32_t weights[COUNT];
    double squares = 0;
    for (uint32_t i = 0; i < COUNT; i++)
        weights[i] = 1 + i % 2;
    struct balance_rig *rig = balance_rig_new("ring-hash", weights, COUNT);
    balance_rig_count(rig, PICKS, counts);
    for (uint32_t i = 0; i < COUNT; i++) {
        double expected = (double)PICKS * weights[i] / (COUNT * 1.5);
        double off = ((double)counts[i] - expected) / expected;
        assert_true(fabs(off) < 4.5 / sqrt(160.0 * weights[i]));
        squares += off * off * 160 * weights[i];
    }
    assert_true(squares / COUNT < 2);
    balance_rig_free(rig);
}

/* --- churn */

static const char *const consistent[] = {"ring-hash", "maglev", "rendezvous"};

#define KEYS 100000

static void look_up(struct balance_rig *rig, uint32_t *places)
{
    for (uint64_t key = 0; key < KEYS; key++)
        places[key] = balance_rig_pick_key(rig, key);
}

/* Adds the last of `count` endpoints: which part of the keys moves. */
static double part_moved(const char *type, uint32_t count)
{
    static uint32_t before[KEYS], after[KEYS];
    struct balance_rig *rig = balance_rig_new(type, NULL, count);
    uint32_t moved = 0;
    rig->count = count - 1;
    balance_rig_build(rig);
    look_up(rig, before);
    rig->count = count;
    balance_rig_build(rig);
    look_up(rig, after);
    for (uint32_t i = 0; i < KEYS; i++)
        moved += before[i] != after[i];
    balance_rig_free(rig);
    return (double)moved / KEYS;
}

/* One of N more moves at most 1/N of the keys and 10 %. */
static void test_few_keys_move(void **state)
{
    (void)state;
    static const uint32_t counts[] = {2, 3, 5, 10, 20, 50, 200, 1000};
    for (size_t t = 0; t < sizeof consistent / sizeof *consistent; t++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            double moved = part_moved(consistent[t], counts[i]);
            print_message("%s: the last of %u moves %.2f %%, ideal %.2f %%\n", consistent[t],
                counts[i], 100 * moved, 100.0 / counts[i]);
            assert_true(moved <= 1.0 / counts[i] + 0.1);
            assert_true(moved >= 0.6 / counts[i]);
        }
}

/* Only its own keys leave an endpoint that dies, they go to many, and come back. */
static void test_death_moves_its_keys_alone(void **state)
{
    (void)state;
    static uint32_t before[KEYS], after[KEYS];
    static const char *const types[] = {"ring-hash", "maglev", "rendezvous", "ip-hash"};
    for (size_t t = 0; t < 4; t++) {
        uint32_t counts[20] = {0}, lost = 0;
        struct balance_rig *rig = balance_rig_new(types[t], NULL, 20);
        look_up(rig, before);
        rig->loads[7].is_down = DOWN_CHECK;
        look_up(rig, after);
        for (uint32_t i = 0; i < KEYS; i++) {
            if (before[i] != 7)
                assert_int_equal(before[i], after[i]);
            else
                counts[after[i]]++, lost++;
        }
        assert_int_equal(counts[7], 0);
        for (uint32_t i = 0; i < 20; i++)
            assert_true(i == 7 || (counts[i] > lost / 19 / 2 && counts[i] < lost / 19 * 2));
        rig->loads[7].is_down = 0;
        look_up(rig, after);
        assert_memory_equal(before, after, sizeof before);
        balance_rig_free(rig);
    }
}

/* In whatever order a configuration names them, every gateway finds the same. */
static void test_order_does_not_matter(void **state)
{
    (void)state;
    static uint32_t before[KEYS], after[KEYS];
    for (size_t t = 0; t < sizeof consistent / sizeof *consistent; t++) {
        struct balance_rig *rig = balance_rig_new(consistent[t], NULL, 30);
        look_up(rig, before);
        struct slate_member first = rig->members[0];
        memmove(rig->members, rig->members + 1, 29 * sizeof *rig->members);
        rig->members[29] = first; /* they keep their places */
        balance_rig_build(rig);
        look_up(rig, after);
        assert_memory_equal(before, after, sizeof before);
        balance_rig_free(rig);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_even),
        cmocka_unit_test(test_in_proportion_to_weights),
        cmocka_unit_test(test_in_proportion_to_parts_of_weights),
        cmocka_unit_test(test_with_some_that_are_down),
        cmocka_unit_test(test_maglev_shares),
        cmocka_unit_test(test_ring_shares),
        cmocka_unit_test(test_few_keys_move),
        cmocka_unit_test(test_death_moves_its_keys_alone),
        cmocka_unit_test(test_order_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
