#include "policy/limit_table.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "support/unit.h"

static struct limit_table *table;
static struct limit_rule ten_a_second;

static int set_up(void **state)
{
    (void)state;
    ten_a_second = limit_rule_of(10, SECOND, 3);
    return limit_table_new(limit_algorithms[0], 1024, 1, &table) != OK;
}

static int tear_down(void **state)
{
    (void)state;
    limit_table_free(table);
    return 0;
}

static bool take(const char *key, const struct limit_rule *rule, instant now)
{
    return limit_table_take(table, slice_of_text(key), rule, 1, now).allowed;
}

static void test_a_burst_passes_then_one_at_a_time(void **state)
{
    (void)state;
    instant now = clock_now();
    for (int i = 0; i < 3; i++)
        assert_true(take("a", &ten_a_second, now));
    assert_false(take("a", &ten_a_second, now));
    assert_false(take("a", &ten_a_second, now + 99 * MILLISECOND));
    assert_true(take("a", &ten_a_second, now + 100 * MILLISECOND));
    assert_false(take("a", &ten_a_second, now + 199 * MILLISECOND));
    assert_true(take("a", &ten_a_second, now + 200 * MILLISECOND));
}

static void test_keys_are_counted_apart(void **state)
{
    (void)state;
    instant now = clock_now();
    const struct limit_rule one = limit_rule_of(1, HOUR, 1);
    assert_true(take("a", &one, now));
    assert_true(take("b", &one, now));
    assert_true(take("", &one, now));
    assert_false(take("a", &one, now));
    assert_false(take("", &one, now));
}

static void test_the_refused_are_not_counted(void **state)
{
    (void)state;
    instant now = clock_now();
    for (int i = 0; i < 1000; i++)
        take("a", &ten_a_second, now);
    assert_true(take("a", &ten_a_second, now + 100 * MILLISECOND));
}

static void test_a_rested_bucket_is_full_and_not_fuller(void **state)
{
    (void)state;
    instant now = clock_now();
    assert_true(take("a", &ten_a_second, now));
    now += DAY;
    for (int i = 0; i < 3; i++)
        assert_true(take("a", &ten_a_second, now));
    assert_false(take("a", &ten_a_second, now));
}

static void test_decisions_say_what_is_left_and_when_there_is_more(void **state)
{
    (void)state;
    instant now = clock_now();
    struct slice key = SLICE("a");
    struct limit_decision decision = limit_table_take(table, key, &ten_a_second, 1, now);
    assert_int_equal(decision.remaining, 2);
    assert_int_equal(decision.wait, 100 * MILLISECOND);
    limit_table_take(table, key, &ten_a_second, 1, now);
    decision = limit_table_take(table, key, &ten_a_second, 1, now + 30 * MILLISECOND);
    assert_true(decision.allowed);
    assert_int_equal(decision.remaining, 0);
    assert_int_equal(decision.wait, 70 * MILLISECOND);
    decision = limit_table_take(table, key, &ten_a_second, 1, now + 60 * MILLISECOND);
    assert_false(decision.allowed);
    assert_int_equal(decision.remaining, 0);
    assert_int_equal(decision.wait, 40 * MILLISECOND);
}

static void test_looking_takes_nothing(void **state)
{
    (void)state;
    instant now = clock_now();
    for (int i = 0; i < 10; i++) {
        struct limit_decision decision = limit_table_look(table, SLICE("a"), &ten_a_second, 1, now);
        assert_true(decision.allowed);
        assert_int_equal(decision.remaining, 3);
    }
    for (int i = 0; i < 3; i++) {
        assert_true(limit_table_look(table, SLICE("a"), &ten_a_second, 1, now).allowed);
        take("a", &ten_a_second, now);
    }
    assert_false(limit_table_look(table, SLICE("a"), &ten_a_second, 1, now).allowed);
}

static void test_extreme_rules_neither_overflow_nor_block(void **state)
{
    (void)state;
    instant now = clock_now();
    const struct limit_rule slow = limit_rule_of(1, INT64_MAX, INT64_MAX);
    const struct limit_rule fast = limit_rule_of(INT64_MAX, 1, 1);
    assert_true(take("slow", &slow, now));
    assert_true(take("slow", &slow, now));
    assert_true(take("fast", &fast, now));
    assert_true(take("fast", &fast, now + 1));
    assert_true(take("a", &ten_a_second, now));
    assert_true(
        take("a", &ten_a_second, now - MILLISECOND)); /* another worker's older idea of now */
    assert_true(take("b", &ten_a_second, now - 10 * DAY));
}

static void test_a_cost_is_taken_whole_or_not_at_all(void **state)
{
    (void)state;
    instant now = clock_now();
    const struct limit_rule rule = limit_rule_of(10, SECOND, 10);
    struct slice key = SLICE("a");
    assert_int_equal(limit_table_take(table, key, &rule, 7, now).remaining, 3);
    struct limit_decision decision = limit_table_take(table, key, &rule, 5, now);
    assert_false(decision.allowed);
    assert_int_equal(decision.remaining, 3);
    assert_int_equal(decision.wait, 200 * MILLISECOND);
    assert_true(limit_table_take(table, key, &rule, 0, now).allowed);
    assert_true(limit_table_take(table, key, &rule, 3, now).allowed);
    assert_true(limit_table_take(table, key, &rule, 0, now).allowed);
    decision = limit_table_take(table, key, &rule, 11, now + HOUR);
    assert_false(decision.allowed); /* nor ever */
    assert_false(limit_table_take(table, key, &rule, INT64_MAX, now + HOUR).allowed);
    assert_int_equal(limit_table_look(table, key, &rule, 1, now + HOUR).remaining, 10);
}

static void test_what_was_taken_can_be_settled(void **state)
{
    (void)state;
    instant now = clock_now();
    const struct limit_rule rule = limit_rule_of(10, SECOND, 10);
    struct slice key = SLICE("a");
    struct limit_decision decision = limit_table_take(table, key, &rule, 4, now);
    limit_table_settle(table, key, &rule, -3, decision.at, now);
    assert_int_equal(limit_table_look(table, key, &rule, 1, now).remaining, 9);
    limit_table_settle(table, key, &rule, 19, decision.at, now);
    decision = limit_table_take(table, key, &rule, 0, now);
    assert_false(decision.allowed); /* ten are owed */
    assert_int_equal(decision.wait, SECOND);
    assert_true(limit_table_take(table, key, &rule, 0, now + SECOND).allowed);
    limit_table_settle(table, key, &rule, -INT64_MAX, decision.at, now + SECOND);
    assert_int_equal(limit_table_look(table, key, &rule, 1, now + SECOND).remaining, 10);
    limit_table_settle(table, SLICE("unknown"), &rule, -1, decision.at, now);
    limit_table_settle(table, key, &rule, INT64_MAX, decision.at, now);
    limit_table_settle(table, key, &rule, INT64_MAX, decision.at, now);
    assert_false(limit_table_take(table, key, &rule, 1, now + DAY).allowed);
}

/* A million a second: an interval of no whole number of nanoseconds must not drift. */
static void test_a_fast_rate_is_exact_over_time(void **state)
{
    (void)state;
    const struct limit_rule rule = limit_rule_of(3000000, SECOND, 1000);
    instant now = clock_now();
    int64_t passed = 0;
    for (int ms = 0; ms < 1000; ms++)
        for (int i = 0; i < 4000; i++)
            passed += take("a", &rule, now + ms * MILLISECOND);
    assert_in_range(
        passed, 999 * 1000, 1000 * 1000); /* the bucket of 1000 bounds each millisecond */
}

/* More keys than entries: the table goes on, forgets the least, and a busy key keeps its count. */
static void test_a_full_table_forgets_what_matters_least(void **state)
{
    (void)state;
    instant now = clock_now();
    const struct limit_rule rule = limit_rule_of(1, MINUTE, 5);
    for (int i = 0; i < 5; i++)
        assert_true(take("busy", &rule, now));
    for (int i = 0; i < 100000; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        assert_true(take(key, &rule, now));
    }
    assert_false(take("busy", &rule, now));
}

static void test_keys_that_fit_are_all_remembered(void **state)
{
    (void)state;
    instant now = clock_now();
    const struct limit_rule rule = limit_rule_of(1, HOUR, 1);
    char key[16];
    unsigned forgotten = 0;
    for (int i = 0; i < 512; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_true(take(key, &rule, now));
    }
    for (int i = 0; i < 512; i++) {
        snprintf(key, sizeof key, "k%d", i);
        forgotten += take(key, &rule, now);
    }
    assert_in_range(forgotten, 0, 2); /* at half load two lines of four suffice but for bad luck */
}

enum { THREADS = 4, TRIES = 20000, KEYS = 40 };

struct race {
    const struct limit_rule *rule;
    instant begin;
    _Atomic int64_t passed[KEYS];
};

static void *race_thread(void *argument)
{
    struct race *race = argument;
    for (int i = 0; i < TRIES; i++) {
        char key[16];
        int k = i % KEYS;
        snprintf(key, sizeof key, "r%d", k);
        /* The time goes on as the tries do: one millisecond in 100 tries. */
        instant now = race->begin + i / 100 * MILLISECOND;
        if (take(key, race->rule, now))
            atomic_fetch_add(&race->passed[k], 1);
    }
    return NULL;
}

static void *crowd_thread(void *argument)
{
    struct race *race = argument;
    char key[16];
    for (int i = 0; i < TRIES; i++) {
        snprintf(key, sizeof key, "c%d", i % 500);
        take(key, race->rule, race->begin + i);
    }
    return NULL;
}

/* Far more keys than room: threads want the same entries at the same moment, and all come to an
 * end. */
static void test_threads_may_fight_for_entries(void **state)
{
    (void)state;
    struct race race = {.rule = &ten_a_second, .begin = clock_now()};
    pthread_t threads[THREADS];
    limit_table_free(table);
    assert_ok(limit_table_new(limit_algorithms[0], 0, 1, &table));
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_thread, &race), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(take("later", &ten_a_second, race.begin + HOUR));
}

static void test_threads_together_get_exactly_the_rate(void **state)
{
    (void)state;
    const struct limit_rule rule = limit_rule_of(100, SECOND, 20);
    struct race race = {.rule = &rule, .begin = clock_now()};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, race_thread, &race), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    /* 200 ms at 100/s and a burst of 20. The last try of each thread is at 199 ms, when the 20th of
     * the rate is not there. */
    for (int k = 0; k < KEYS; k++)
        assert_in_range(race.passed[k], 39, 40);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_a_burst_passes_then_one_at_a_time),
        EACH(test_keys_are_counted_apart),
        EACH(test_the_refused_are_not_counted),
        EACH(test_a_rested_bucket_is_full_and_not_fuller),
        EACH(test_decisions_say_what_is_left_and_when_there_is_more),
        EACH(test_looking_takes_nothing),
        EACH(test_extreme_rules_neither_overflow_nor_block),
        EACH(test_a_cost_is_taken_whole_or_not_at_all),
        EACH(test_what_was_taken_can_be_settled),
        EACH(test_a_fast_rate_is_exact_over_time),
        EACH(test_a_full_table_forgets_what_matters_least),
        EACH(test_keys_that_fit_are_all_remembered),
        EACH(test_threads_may_fight_for_entries),
        EACH(test_threads_together_get_exactly_the_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
