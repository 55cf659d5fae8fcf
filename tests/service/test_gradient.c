/* Adaptive concurrency against a service that is simulated: so many of its workers do so much at a
 * time, and what is above waits there. */
#include "service/gradient.h"

#include "base/random.h"
#include "support/unit.h"

#include <stdlib.h>

#define REQUESTS_MAX 2000

struct job {
    instant began, done;
};

struct world {
    struct gradient gradient;
    struct gradient_options options;
    struct random random;
    instant now;
    int workers;          /* of the service */
    int64_t time;         /* that each takes for one request */
    instant free_at[256]; /* by worker */
    struct job jobs[REQUESTS_MAX];
    uint32_t count; /* under way */
    uint32_t most;  /* that were under way since it was set to 0 */
};

static struct world *world_new(int workers, int64_t time)
{
    struct world *world = calloc(1, sizeof *world);
    world->options = (struct gradient_options){.most = 1000,
        .least = 3,
        .samples = 50,
        .every = 60 * SECOND,
        .jitter = 0.15,
        .buffer = 0.25,
        .interval = 100 * MILLISECOND};
    random_init(&world->random);
    world->now = 1000 * SECOND;
    world->workers = workers;
    world->time = time;
    return world;
}

static bool begin_one(struct world *world)
{
    if (world->count >= gradient_limit(&world->gradient, &world->options, world->count + 1))
        return false;
    int first = 0;
    for (int i = 1; i < world->workers; i++)
        first = world->free_at[i] < world->free_at[first] ? i : first;
    instant start = world->free_at[first] > world->now ? world->free_at[first] : world->now;
    double noise = 0.9 + 0.2 * (double)random_below(&world->random, 1000) / 1000;
    world->free_at[first] = start + (int64_t)((double)world->time * noise);
    world->jobs[world->count++] = (struct job){world->now, world->free_at[first]};
    world->most = world->count > world->most ? world->count : world->most;
    return true;
}

static void end_those_done(struct world *world)
{
    for (uint32_t i = 0; i < world->count;)
        if (world->jobs[i].done <= world->now) {
            struct job job = world->jobs[i];
            world->jobs[i] = world->jobs[--world->count];
            gradient_answered(&world->gradient, &world->options, job.began, job.done,
                random_next(&world->random));
        } else {
            i++;
        }
}

/* `clients` ask again and again, each as soon as it has its answer and there is room. */
static void run(struct world *world, int64_t time, uint32_t clients)
{
    for (instant end = world->now + time; world->now < end; world->now += MILLISECOND / 2) {
        end_those_done(world);
        while (world->count < clients && begin_one(world))
            ;
    }
}

static uint32_t limit_of(struct world *world)
{
    return gradient_limit(&world->gradient, &world->options, 0);
}

static void test_finds_the_knee(void **state)
{
    (void)state;
    static const int workers[] = {5, 20, 100};
    for (int i = 0; i < 3; i++) {
        struct world *world = world_new(workers[i], 20 * MILLISECOND);
        run(world, 20 * SECOND, 1000);
        /* gradient · L + √L = L, with a gradient of 1.25 · workers / L */
        assert_in_range(limit_of(world), workers[i], workers[i] * 5 / 2);
        free(world);
    }
}

static void test_follows_a_service_that_shrinks_and_grows(void **state)
{
    (void)state;
    struct world *world = world_new(40, 20 * MILLISECOND);
    run(world, 10 * SECOND, 1000);
    assert_in_range(limit_of(world), 40, 90);
    world->workers = 10;
    run(world, 10 * SECOND, 1000);
    assert_in_range(limit_of(world), 10, 30);
    world->workers = 40;
    run(world, 10 * SECOND, 1000);
    assert_in_range(limit_of(world), 40, 90);
    free(world);
}

static void test_begins_with_few_and_measures_again(void **state)
{
    (void)state;
    struct world *world = world_new(50, 10 * MILLISECOND);
    run(world, 100 * MILLISECOND, 1000);
    assert_int_equal(world->most, 3);
    int64_t least = 0;
    run(world, 10 * SECOND, 1000);
    least = atomic_load(&world->gradient.least_time);
    assert_in_range(least, 9 * MILLISECOND, 11 * MILLISECOND);
    world->time = 30 * MILLISECOND; /* the service itself has become slower */
    run(world, 70 * SECOND, 1000);
    least = atomic_load(&world->gradient.least_time);
    assert_in_range(least, 27 * MILLISECOND, 33 * MILLISECOND);
    assert_in_range(limit_of(world), 50, 120);
    free(world);
}

static void test_does_not_grow_unused(void **state)
{
    (void)state;
    struct world *world = world_new(100, 10 * MILLISECOND);
    run(world, 20 * SECOND, 4);
    assert_in_range(limit_of(world), 3, 16);
    free(world);
}

static void test_is_bounded(void **state)
{
    (void)state;
    struct world *world = world_new(200, 10 * MILLISECOND);
    world->options.most = 30;
    run(world, 10 * SECOND, 1000);
    assert_int_equal(limit_of(world), 30);
    world->workers = 1;
    run(world, 20 * SECOND, 1000);
    assert_in_range(limit_of(world), 3, 5);
    free(world);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_finds_the_knee),
        cmocka_unit_test(test_follows_a_service_that_shrinks_and_grows),
        cmocka_unit_test(test_begins_with_few_and_measures_again),
        cmocka_unit_test(test_does_not_grow_unused), cmocka_unit_test(test_is_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
