/* What surrounds every algorithm: slow start, bounded load, tiers and zones; and averages of
 * response times. */
#include "balance/latency.h"
#include "support/balance_rig.h"

#include <math.h>

static double part_of(struct balance_rig *rig, uint32_t place)
{
    uint64_t counts[16];
    balance_rig_count(rig, 40000, counts);
    return (double)counts[place] / 40000;
}

/* --- slow start */

static void check_slow_start(const char *type)
{
    struct balance_rig *rig = balance_rig_new(type, NULL, 4);
    rig->options.settings.slow_start = 10 * SECOND;
    balance_rig_build(rig);
    rig->loads[2].risen = 100 * SECOND;
    static const struct {
        int64_t after;
        double share;
    } steps[] = {{0, 0.1}, {3 * SECOND, 0.3}, {5 * SECOND, 0.5}, {10 * SECOND, 1}, {HOUR, 1}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        rig->pick.now = 100 * SECOND + steps[i].after;
        double expected = steps[i].share / (3 + steps[i].share), got = part_of(rig, 2);
        if (fabs(got - expected) > 0.25 * expected + 0.01)
            print_error("%s after %d s: %f\n", type, (int)(steps[i].after / SECOND), got);
        assert_true(fabs(got - expected) <= 0.25 * expected + 0.01);
    }
    balance_rig_free(rig);
}

static void test_slow_start(void **state)
{
    (void)state;
    check_slow_start("round-robin");
    check_slow_start("random");
    check_slow_start("least-requests");
    check_slow_start("least-connections");
    check_slow_start("rendezvous");
    check_slow_start("maglev");
}

static void test_slow_start_of_everybody(void **state)
{
    (void)state;
    struct balance_rig *rig = balance_rig_new("round-robin", NULL, 4);
    rig->options.settings.slow_start = 10 * SECOND;
    balance_rig_build(rig);
    for (int i = 0; i < 4; i++)
        rig->loads[i].risen = SECOND;
    rig->pick.now = SECOND;
    assert_true(fabs(part_of(rig, 1) - 0.25) < 0.02);
    balance_rig_free(rig);
}

/* --- limits */

static const char *const limited[] = {"round-robin", "weighted-round-robin", "random",
    "least-requests", "least-connections", "weighted-least-connections", "peak-ewma",
    "least-response-time", "ring-hash", "maglev", "rendezvous", "ip-hash"};

static void test_limits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof limited / sizeof *limited; i++) {
        struct balance_rig *rig = balance_rig_new(limited[i], NULL, 3);
        rig->members[1].candidate.limit = 4;
        balance_rig_build(rig);
        rig->loads[0].in_flight = rig->loads[2].in_flight = 100;
        rig->loads[1].in_flight = 4;
        assert_true(part_of(rig, 1) == 0);
        rig->loads[0].is_down = rig->loads[2].is_down = 1; /* a limit holds where nobody is left */
        assert_int_equal(balance_rig_pick(rig), PICK_NONE);
        rig->loads[1].in_flight = 3;
        assert_int_equal(balance_rig_pick(rig), 1);
        balance_rig_free(rig);
    }
}

/* By a hash each key moves once as the newcomer's share grows, and never back. */
static void test_slow_start_moves_keys_once(void **state)
{
    (void)state;
    struct balance_rig *rig = balance_rig_new("ring-hash", NULL, 4);
    rig->options.settings.slow_start = 10 * SECOND;
    balance_rig_build(rig);
    rig->loads[2].risen = SECOND;
    for (uint64_t key = 0; key < 1000; key++) {
        bool has_moved = false;
        for (int64_t after = 0; after <= 10; after++) {
            rig->pick.now = SECOND + after * SECOND;
            bool is_there = balance_rig_pick_key(rig, key) == 2;
            assert_true(is_there || !has_moved);
            has_moved = is_there;
        }
    }
    balance_rig_free(rig);
}

/* --- bounded load */

/* However the keys fall, nobody gets above its bound; and a key that fits stays. */
static void check_bound(const char *type, double bound)
{
    enum { COUNT = 8, REQUESTS = 4000 };
    struct balance_rig *rig = balance_rig_new(type, NULL, COUNT);
    rig->options.settings.bound = bound;
    balance_rig_build(rig);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        uint32_t place = balance_rig_pick_key(rig, i % 3); /* three hot keys */
        rig->loads[place].in_flight++;
        double most = ceil(bound * (i + 1) / COUNT);
        assert_true(rig->loads[place].in_flight <= most + 1);
    }
    for (uint32_t i = 0; i < COUNT; i++)
        rig->loads[i].in_flight = 0;
    uint32_t home = balance_rig_pick_key(rig, 77);
    for (int i = 0; i < 10; i++)
        assert_int_equal(balance_rig_pick_key(rig, 77), home);
    balance_rig_free(rig);
}

static void test_bounded_load(void **state)
{
    (void)state;
    static const char *const types[] = {"ring-hash", "maglev", "rendezvous", "ip-hash"};
    for (int i = 0; i < 4; i++) {
        check_bound(types[i], 1.0);
        check_bound(types[i], 1.25);
        check_bound(types[i], 2.0);
    }
}

/* What overflows is spread over all others, not heaped on a neighbour. */
static void test_overflow_jumps(void **state)
{
    (void)state;
    enum { COUNT = 20 };
    struct balance_rig *rig = balance_rig_new("ring-hash", NULL, COUNT);
    uint32_t overflow[COUNT] = {0}, total = 0, most = 0;
    rig->options.settings.bound = 1.5;
    balance_rig_build(rig);
    for (uint32_t i = 0; i < COUNT; i++)
        rig->loads[i].in_flight = i == 3 ? 1000 : 10;
    for (uint64_t key = 0; key < 20000; key++) {
        rig->loads[3].in_flight = 0;
        for (uint32_t i = 0; i < COUNT / 8 + 1; i++) /* until the average is looked at anew */
            (void)balance_rig_pick_key(rig, key);
        uint32_t home = balance_rig_pick_key(rig, key);
        rig->loads[3].in_flight = 1000;
        if (home != 3)
            continue;
        for (uint32_t i = 0; i < COUNT / 8 + 1; i++)
            (void)balance_rig_pick_key(rig, key);
        overflow[balance_rig_pick_key(rig, key)]++;
        total++;
    }
    for (uint32_t i = 0; i < COUNT; i++)
        most = overflow[i] > most ? overflow[i] : most;
    assert_int_equal(overflow[3], 0);
    assert_true(total > 500 && most < total / 5);
    balance_rig_free(rig);
}

/* --- tiers and zones */

static void stand(
    struct balance_rig *rig, uint32_t place, uint32_t tier, const char *region, const char *zone)
{
    rig->members[place].standing =
        (struct standing){tier, slice_of_text(region), slice_of_text(zone)};
}

static void set_down(struct balance_rig *rig, uint32_t place, bool is_down)
{
    rig->loads[place].is_down = is_down ? DOWN_CHECK : 0;
    rig->change++;
}

static void test_tiers(void **state)
{
    (void)state;
    for (size_t t = 0; balancer_types[t]; t++) {
        struct balance_rig *rig = balance_rig_new(balancer_types[t]->name, NULL, 4);
        stand(rig, 0, 1, "", "");
        stand(rig, 3, 2, "", "");
        balance_rig_build(rig);
        assert_true(part_of(rig, 1) + part_of(rig, 2) > 0.99);
        set_down(rig, 1, true);
        assert_true(part_of(rig, 2) == 1);
        set_down(rig, 2, true);
        assert_true(part_of(rig, 0) == 1);
        set_down(rig, 0, true);
        assert_true(part_of(rig, 3) == 1);
        set_down(rig, 3, true);
        assert_int_equal(balance_rig_pick(rig), PICK_NONE);
        set_down(rig, 1, false);
        assert_true(part_of(rig, 1) == 1);
        balance_rig_free(rig);
    }
}

/* Before anybody has noticed that a tier is down, the next one helps out. */
static void test_a_tier_that_was_tried(void **state)
{
    (void)state;
    struct balance_rig *rig = balance_rig_new("round-robin", NULL, 2);
    stand(rig, 1, 1, "", "");
    balance_rig_build(rig);
    rig->pick.tried = (const uint32_t[]){0};
    rig->pick.tried_count = 1;
    assert_int_equal(balance_rig_pick(rig), 1);
    balance_rig_free(rig);
}

static void test_zones(void **state)
{
    (void)state;
    struct balance_rig *rig = balance_rig_new("random", NULL, 8);
    for (uint32_t i = 0; i < 8; i++)
        stand(rig, i, 0, i < 6 ? "eu" : "us", i % 2 ? "a" : "b");
    rig->options.own = (struct standing){0, SLICE("eu"), SLICE("a")};
    rig->options.rules = (struct spread_rules){.zone_least = 0.5, .at_least = 6};
    balance_rig_build(rig);
    assert_true(fabs(part_of(rig, 1) - 1.0 / 3) < 0.02); /* 1, 3, 5 are at home */
    set_down(rig, 3, true); /* five are fewer than six: zones do not count any more */
    assert_true(fabs(part_of(rig, 0) - 0.2) < 0.02);
    rig->options.rules.at_least = 1;
    balance_rig_build(rig);
    assert_true(fabs(part_of(rig, 1) - 0.4) < 0.02); /* 2 of 5 where a half comes in: 80 % stay */
    assert_true(fabs(part_of(rig, 0) - 0.2 / 3) < 0.02);
    set_down(rig, 5, true); /* most of the zone is down: everybody alike */
    assert_true(fabs(part_of(rig, 1) - 0.25) < 0.02);
    for (uint32_t i = 0; i < 6; i++)
        set_down(rig, i, true);
    assert_true(fabs(part_of(rig, 7) - 0.5) < 0.02); /* the other region */
    balance_rig_free(rig);
}

/* The same key comes to the same zone and endpoint while nothing changes. */
static void test_keys_stay_in_their_zone(void **state)
{
    (void)state;
    struct balance_rig *rig = balance_rig_new("maglev", NULL, 6);
    for (uint32_t i = 0; i < 6; i++)
        stand(rig, i, 0, "", i == 0 ? "a" : "b");
    rig->options.own = (struct standing){0, SLICE(""), SLICE("a")};
    balance_rig_build(rig);
    for (uint64_t key = 0; key < 100; key++)
        assert_int_equal(balance_rig_pick_key(rig, key), balance_rig_pick_key(rig, key));
    balance_rig_free(rig);
}

static void check_spread(
    const struct spread_part *wanted, uint32_t count, const struct spread_rules *rules)
{
    struct spread_part parts[4];
    memcpy(parts, wanted, count * sizeof *parts);
    spread(parts, count, rules);
    for (uint32_t i = 0; i < count; i++)
        assert_true(fabs(parts[i].share - wanted[i].share) < 1e-9);
}

static void test_spread(void **state)
{
    (void)state;
    struct spread_rules rules = {.enough = 0.7};
    /* Half of a tier is up, 70 % would be enough: it takes 5/7. */
    check_spread(
        (struct spread_part[]){{0, 0, false, 10, 5, 5, 5 / 7.0}, {1, 0, false, 4, 4, 4, 2 / 7.0}},
        2, &rules);
    /* Nobody has enough: what they can take is scaled up. */
    check_spread(
        (struct spread_part[]){{0, 0, false, 10, 0, 0, 0}, {1, 0, false, 4, 1, 1, 1}}, 2, &rules);
    check_spread(
        (struct spread_part[]){{0, 0, false, 10, 0, 0, 0}, {1, 0, false, 4, 0, 0, 0}}, 2, &rules);
    /* The own zone has 20 % of the endpoints and half of the requests: it keeps 40 %. */
    rules = (struct spread_rules){.own_share = 0.5};
    check_spread((struct spread_part[]){{0, 0, true, 2, 2, 2, 0.4}, {0, 0, false, 4, 4, 4, 0.3},
                     {0, 0, false, 4, 4, 4, 0.3}},
        3, &rules);
}

/* --- response times */

static void test_averages_fade(void **state)
{
    (void)state;
    struct load load = {0};
    assert_true(latency_peak(&load, SECOND) == 0);
    latency_answered(&load, 10 * MILLISECOND, SECOND);
    assert_true(latency_peak(&load, SECOND) == 10 * MILLISECOND);
    latency_answered(&load, 500 * MILLISECOND, 2 * SECOND); /* at once */
    assert_true(latency_peak(&load, 2 * SECOND) == 500 * MILLISECOND);
    assert_true(latency_average(&load, 2 * SECOND) < 80 * MILLISECOND);
    double after_10s = latency_peak(&load, 12 * SECOND);
    assert_true(after_10s > 180 * MILLISECOND && after_10s < 190 * MILLISECOND); /* 1/e */
    assert_true(latency_peak(&load, 62 * SECOND) < 10 * MILLISECOND);
    for (int i = 0; i < 100; i++) /* and down slowly while it is asked */
        latency_answered(&load, 10 * MILLISECOND, 2 * SECOND + (i + 1) * 100 * MILLISECOND);
    double down = latency_peak(&load, 12 * SECOND);
    assert_true(down > 180 * MILLISECOND && down < 210 * MILLISECOND);
}

static void test_failing_fast_looks_slow(void **state)
{
    (void)state;
    struct load load = {0};
    latency_answered(&load, 20 * MILLISECOND, SECOND);
    latency_failed(&load, 100, SECOND);
    assert_true(latency_peak(&load, SECOND) >= SECOND);
    assert_true(latency_average(&load, SECOND) > 100 * MILLISECOND);
    latency_failed(&load, 100, SECOND);
    assert_true(latency_peak(&load, SECOND) >= 2 * SECOND);
    for (int i = 0; i < 50; i++)
        latency_failed(&load, 100, SECOND);
    assert_true(latency_peak(&load, SECOND) <= 30.0 * SECOND);
}

/* A slow endpoint is left alone, and comes back when it was left alone for long enough. */
static void check_comes_back(const char *type)
{
    struct balance_rig *rig = balance_rig_new(type, NULL, 2);
    rig->pick.now = 1000 * SECOND;
    latency_answered(&rig->loads[0], 2 * SECOND, rig->pick.now);
    uint32_t picks = 0;
    for (int i = 0; i < 1500; i++) { /* ten requests a second */
        rig->pick.now += 100 * MILLISECOND;
        uint32_t place = balance_rig_pick(rig);
        picks += place == 0;
        latency_answered(&rig->loads[place], 20 * MILLISECOND, rig->pick.now);
    }
    if (picks <= 20)
        print_error("%s: only %u picks\n", type, picks);
    assert_true(picks > 20);
    balance_rig_free(rig);
}

static void test_who_was_slow_comes_back(void **state)
{
    (void)state;
    check_comes_back("peak-ewma");
    check_comes_back("least-response-time");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_start),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_slow_start_of_everybody),
        cmocka_unit_test(test_slow_start_moves_keys_once),
        cmocka_unit_test(test_bounded_load),
        cmocka_unit_test(test_overflow_jumps),
        cmocka_unit_test(test_tiers),
        cmocka_unit_test(test_a_tier_that_was_tried),
        cmocka_unit_test(test_zones),
        cmocka_unit_test(test_keys_stay_in_their_zone),
        cmocka_unit_test(test_spread),
        cmocka_unit_test(test_averages_fade),
        cmocka_unit_test(test_failing_fast_looks_slow),
        cmocka_unit_test(test_who_was_slow_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
