/* Admission control under a clock of our own. */
#include "service/admission.h"

#include "base/random.h"
#include "support/unit.h"

#include <math.h>

#define HIGH   1
#define NORMAL 3
#define LOW    5

struct world {
    struct admission admission;
    struct admission_options options;
    struct random random;
    instant now;
    int passed[ADMISSION_RANKS], came[ADMISSION_RANKS];
};

static struct world world_new(void)
{
    struct world world = {.now = 1000 * SECOND};
    world.options = (struct admission_options){.is_set = true,
        .success = 0.95,
        .window = 30 * SECOND,
        .aggression = 1,
        .most = 0.8,
        .volume = 20};
    random_init(&world.random);
    return world;
}

/* One comes; of those that pass, so many in a hundred succeed. */
static void come(struct world *world, unsigned rank, unsigned percent)
{
    world->now += 10 * MILLISECOND;
    world->came[rank]++;
    if (!admission_passes(
            &world->admission, &world->options, rank, world->now, random_next(&world->random)))
        return;
    world->passed[rank]++;
    admission_learn(&world->admission, &world->options, world->now,
        random_below(&world->random, 100) < percent);
}

static double passing(const struct world *world, unsigned rank)
{
    return (double)world->passed[rank] / world->came[rank];
}

static void forget(struct world *world)
{
    memset(world->passed, 0, sizeof world->passed);
    memset(world->came, 0, sizeof world->came);
}

static void test_the_formula(void **state)
{
    (void)state;
    struct world world = world_new();
    for (int i = 0; i < 100; i++)
        admission_learn(&world.admission, &world.options, world.now, i < 50);
    double pressure = admission_pressure(&world.admission, &world.options, world.now);
    assert_true(fabs(pressure - (100 - 50 / 0.95) / 101) < 1e-9);
    world.options.aggression = 2;
    pressure = admission_pressure(&world.admission, &world.options, world.now);
    assert_true(fabs(pressure - sqrt((100 - 50 / 0.95) / 101)) < 1e-9);
    world.options.most = 0.3;
    assert_true(admission_pressure(&world.admission, &world.options, world.now) == 0.3);
    assert_true(admission_pressure(&world.admission, &world.options, world.now + 31 * SECOND) == 0);
}

static void test_a_healthy_service_gets_all(void **state)
{
    (void)state;
    struct world world = world_new();
    for (int i = 0; i < 5000; i++)
        come(&world, NORMAL, 97);
    assert_true(passing(&world, NORMAL) > 0.99);
}

static void test_few_failures_say_nothing(void **state)
{
    (void)state;
    struct world world = world_new();
    for (int i = 0; i < 19; i++)
        come(&world, NORMAL, 0);
    assert_int_equal(world.passed[NORMAL], 19);
}

static void test_what_fails_is_shed_up_to_the_most(void **state)
{
    (void)state;
    struct world world = world_new();
    for (int i = 0; i < 5000; i++)
        come(&world, NORMAL, 0);
    forget(&world);
    for (int i = 0; i < 5000; i++)
        come(&world, NORMAL, 0);
    assert_true(fabs(passing(&world, NORMAL) - 0.2) < 0.03);
    for (int i = 0; i < 5000; i++)
        come(&world, NORMAL, 100); /* well again */
    forget(&world);
    for (int i = 0; i < 1000; i++)
        come(&world, NORMAL, 100);
    assert_int_equal(world.passed[NORMAL], 1000);
}

/* Half of what comes matters little, a quarter much. */
static void test_the_low_go_first(void **state)
{
    (void)state;
    static const unsigned ranks[] = {LOW, NORMAL, LOW, HIGH};
    struct world world = world_new();
    for (int i = 0; i < 8000; i++)
        come(&world, ranks[i % 4], 70);
    forget(&world);
    for (int i = 0; i < 8000; i++)
        come(&world, ranks[i % 4], 70); /* P = 0.26 of all: half of the low */
    assert_true(fabs(passing(&world, LOW) - 0.48) < 0.07);
    assert_true(passing(&world, NORMAL) > 0.97);
    assert_int_equal(world.passed[HIGH], world.came[HIGH]);
    for (int i = 0; i < 8000; i++)
        come(&world, ranks[i % 4], 45);
    forget(&world);
    for (int i = 0; i < 8000; i++)
        come(&world, ranks[i % 4], 45); /* P = 0.53: the low and half of the rest */
    assert_true(fabs(passing(&world, LOW) - 0.2) < 0.05);
    assert_true(passing(&world, NORMAL) < 0.7);
    assert_true(passing(&world, HIGH) > 0.95);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_formula),
        cmocka_unit_test(test_a_healthy_service_gets_all),
        cmocka_unit_test(test_few_failures_say_nothing),
        cmocka_unit_test(test_what_fails_is_shed_up_to_the_most),
        cmocka_unit_test(test_the_low_go_first)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
