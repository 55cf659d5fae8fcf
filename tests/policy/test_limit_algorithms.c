/* The algorithms of limits by themselves: on one record, at times that the test makes up. */
#include "policy/limit_algorithm.h"

#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "support/unit.h"

/* 2026-11-21 12:00:00 UTC, a Saturday. */
#define NOON (INT64_C(1795262400) * SECOND)

/* One key under one rule. */
static struct one {
    const struct limit_algorithm *algorithm;
    struct limit_rule rule;
    int64_t *record; /* owned */
    int64_t noon;    /* by the algorithm's clock */
} one;

static void begin(const struct limit_algorithm *algorithm, struct limit_rule rule)
{
    free(one.record);
    one = (struct one){.algorithm = algorithm, .rule = rule};
    one.record = calloc(algorithm->words(&rule), sizeof *one.record);
    assert_non_null(one.record);
    one.noon = algorithm->is_by_calendar ? NOON : DAY / 2;
}

static int tear_down(void **state)
{
    (void)state;
    free(one.record);
    one.record = NULL;
    return 0;
}

static struct limit_decision take(int64_t cost, int64_t now)
{
    struct limit_decision decision;
    one.algorithm->take(&one.rule, one.record, cost, now, &decision);
    return decision;
}

static void settle(int64_t difference, int64_t at, int64_t now)
{
    one.algorithm->settle(&one.rule, one.record, difference, at, now);
}

/* --- each by its own laws */

static void a_leaky_bucket_lets_go_evenly(void **state)
{
    (void)state;
    begin(&limit_leaky_bucket, limit_rule_of(10, SECOND, 3));
    for (int i = 0; i < 4; i++) { /* one goes, three wait */
        struct limit_decision decision = take(1, SECOND);
        assert_true(decision.allowed);
        assert_int_equal(decision.delay, i * 100 * MILLISECOND);
        assert_int_equal(decision.remaining, 3 - i);
    }
    struct limit_decision decision = take(1, SECOND);
    assert_false(decision.allowed);
    assert_int_equal(decision.wait, 100 * MILLISECOND);
    decision = take(1, SECOND + 100 * MILLISECOND);
    assert_true(decision.allowed);
    assert_int_equal(decision.delay, 300 * MILLISECOND);
    assert_int_equal(take(0, SECOND + 100 * MILLISECOND).delay, 0);
    assert_int_equal(take(1, HOUR).delay, 0);
}

static void a_fixed_window_begins_on_the_full_minute(void **state)
{
    (void)state;
    begin(&limit_fixed_window, limit_rule_of(3, MINUTE, 3));
    int64_t now = NOON + 50 * SECOND;
    for (int i = 0; i < 3; i++)
        assert_int_equal(take(1, now).remaining, 2 - i);
    struct limit_decision decision = take(1, now);
    assert_false(decision.allowed);
    assert_int_equal(decision.wait, 10 * SECOND);
    assert_false(take(1, NOON + MINUTE - 1).allowed);
    assert_int_equal(take(1, NOON + MINUTE).remaining, 2);
    assert_int_equal(take(1, NOON + MINUTE - SECOND).remaining, 1); /* a clock set back */
    assert_int_equal(take(1, NOON + HOUR).remaining, 2);
    assert_int_equal(take(1, NOON - HOUR).remaining, 2); /* set back by far */
}

static void days_and_months_are_the_calendars(void **state)
{
    (void)state;
    static const struct {
        int64_t per, now, wait; /* in seconds, since NOON */
    } cases[] = {
        {DAY / SECOND, 0, 43200},
        {DAY / SECOND, 43199, 1},
        {DAY / SECOND, 43200, 86400},
        {0, 0, 9 * 86400 + 43200}, /* to December */
        {0, 9 * 86400 + 43200, 31 * 86400},
        {0, (9 + 31) * 86400 + 43200, 31 * 86400},
        {0, (9 + 31 + 31) * 86400 + 43200, 28 * 86400},       /* February 2027 */
        {0, (9 + 31 + 31 + 365) * 86400 + 43200, 29 * 86400}, /* of 2028 */
        {0, (9 + 31 + 31 + 365 + 29) * 86400 + 43200 - 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t per = cases[i].per ? cases[i].per * SECOND : RATE_MONTH;
        begin(&limit_fixed_window, limit_rule_of(5, per, 5));
        struct limit_decision decision = take(5, NOON + cases[i].now * SECOND);
        assert_true(decision.allowed);
        assert_int_equal(decision.wait / SECOND, cases[i].wait);
        assert_false(take(1, NOON + (cases[i].now + cases[i].wait) * SECOND - 1).allowed);
        assert_true(take(1, NOON + (cases[i].now + cases[i].wait) * SECOND).allowed);
    }
}

static void another_plan_has_another_window(void **state)
{
    (void)state;
    begin(&limit_fixed_window, limit_rule_of(5, RATE_MONTH, 5));
    assert_true(take(5, NOON).allowed);
    one.rule = limit_rule_of(2, MINUTE, 2);
    assert_int_equal(take(1, NOON).remaining, 1);
    assert_true(take(1, NOON).allowed);
    one.rule = limit_rule_of(5, RATE_MONTH, 5);
    assert_int_equal(take(1, NOON).remaining, 4);
}

static void a_sliding_window_weighs_the_one_before(void **state)
{
    (void)state;
    begin(&limit_sliding_window, limit_rule_of(10, MINUTE, 10));
    int64_t now = 10 * MINUTE;
    assert_true(take(10, now + 30 * SECOND).allowed);
    assert_false(take(1, now + 59 * SECOND).allowed);
    struct limit_decision decision = take(1, now + MINUTE); /* all of the ten still count */
    assert_false(decision.allowed);
    assert_int_equal(decision.wait, 6 * SECOND);
    assert_false(take(1, now + 66 * SECOND - 1).allowed);
    assert_true(take(1, now + 66 * SECOND).allowed);
    decision = take(5, now + 90 * SECOND); /* half of ten, and one */
    assert_false(decision.allowed);
    assert_int_equal(decision.remaining, 4);
    assert_int_equal(decision.wait, 6 * SECOND);
    assert_true(take(4, now + 90 * SECOND).allowed);
    assert_int_equal(take(0, now + 4 * MINUTE).remaining, 10);
}

static void a_sliding_log_is_exact(void **state)
{
    (void)state;
    begin(&limit_sliding_log, limit_rule_of(3, MINUTE, 3));
    int64_t now = 10 * MINUTE;
    for (int i = 0; i < 3; i++)
        assert_true(take(1, now + i * SECOND).allowed);
    struct limit_decision decision = take(1, now + 10 * SECOND);
    assert_false(decision.allowed);
    assert_int_equal(decision.wait, 50 * SECOND);
    assert_int_equal(take(2, now + 10 * SECOND).wait, 51 * SECOND);
    assert_false(take(1, now + MINUTE - 1).allowed);
    assert_true(take(1, now + MINUTE).allowed);
    assert_false(take(1, now + MINUTE).allowed);
    assert_true(take(1, now + MINUTE + SECOND).allowed);
}

static void what_is_settled_belongs_to_its_time(void **state)
{
    (void)state;
    begin(&limit_fixed_window, limit_rule_of(10, MINUTE, 10));
    int64_t at = take(6, NOON).at;
    settle(-4, at, NOON);
    assert_int_equal(take(0, NOON).remaining, 8);
    settle(-2, at, NOON + MINUTE);
    assert_int_equal(take(0, NOON + MINUTE).remaining, 10);
    settle(5, at, NOON + MINUTE); /* the window that it belongs to is over */
    assert_int_equal(take(0, NOON + MINUTE).remaining, 10);

    begin(&limit_sliding_window, limit_rule_of(10, MINUTE, 10));
    at = take(6, NOON).at;
    settle(-2, at, NOON + MINUTE);
    assert_int_equal(take(0, NOON + MINUTE).remaining, 6);
    settle(-9, at, NOON + MINUTE);
    assert_int_equal(take(0, NOON + MINUTE).remaining, 10);

    begin(&limit_sliding_log, limit_rule_of(10, MINUTE, 10));
    at = take(6, NOON).at;
    (void)take(1, NOON + SECOND);
    settle(-2, at, NOON + SECOND);
    assert_int_equal(take(0, NOON + SECOND).remaining, 5);
    settle(7, at, NOON + SECOND);
    assert_false(take(0, NOON + SECOND).allowed);
    assert_int_equal(take(0, NOON + SECOND).wait, MINUTE - SECOND);
    assert_true(take(0, NOON + MINUTE).allowed);
}

/* --- all of them */

static struct limit_rule some_rule(struct random *random)
{
    static const int64_t times[] = {SECOND, MINUTE, 10 * SECOND, DAY, 7, RATE_MONTH};
    int64_t count = 1 + (int64_t)random_below(random, 40);
    return limit_rule_of(
        count, times[random_below(random, 6)], 1 + (int64_t)random_below(random, 2) * (count - 1));
}

/* Whatever comes when: what is refused changes nothing, what remains may indeed come, what is said
 * of waiting is true to the nanosecond, and what is given back at once is as if it had not been. */
static void what_is_said_is_true(void **state)
{
    (void)state;
    struct random random = {{20261121, 2, 3, 4}};
    for (int a = 0; limit_algorithms[a]; a++)
        for (int round = 0; round < 300; round++) {
            begin(limit_algorithms[a], some_rule(&random));
            size_t size = one.algorithm->words(&one.rule) * sizeof(int64_t);
            int64_t *copy = malloc(size), *other = malloc(size);
            assert_non_null(copy), assert_non_null(other);
            int64_t now = one.noon;
            for (int i = 0; i < 100; i++) {
                now += (int64_t)random_below(&random, (uint64_t)one.rule.per / 4 + 1);
                int64_t cost = (int64_t)random_below(&random, 4);
                (void)take(0, now);
                memcpy(copy, one.record, size);
                struct limit_decision before = take(0, now), decision = take(cost, now);
                assert_int_equal(decision.allowed, before.allowed && before.remaining >= cost);
                if (!decision.allowed) {
                    assert_memory_equal(copy, one.record, size);
                    assert_int_equal(decision.remaining, before.remaining);
                } else if (cost) {
                    assert_int_equal(decision.remaining, before.remaining - cost);
                    memcpy(other, one.record, size);
                    settle(-cost, decision.at, now);
                    assert_int_equal(take(0, now).remaining, before.remaining);
                    memcpy(one.record, other, size);
                }
                int64_t more = decision.allowed ? decision.remaining + 1 : cost;
                if (!decision.wait || more > one.rule.count || more > one.rule.burst)
                    continue;
                memcpy(other, one.record, size);
                assert_true(take(more, now + decision.wait).allowed);
                memcpy(one.record, other, size);
                if (decision.wait > 1)
                    assert_false(take(more, now + decision.wait - 1).allowed);
                memcpy(one.record, other, size);
            }
            free(copy), free(other);
        }
}

static void a_record_that_has_expired_says_nothing(void **state)
{
    (void)state;
    struct random random = {{5, 2, 3, 4}};
    for (int a = 0; limit_algorithms[a]; a++)
        for (int round = 0; round < 100; round++) {
            begin(limit_algorithms[a], some_rule(&random));
            int64_t most = take(0, one.noon).remaining;
            (void)take(1, one.noon);
            (void)take(1, one.noon + one.rule.per / 3);
            int64_t end = one.algorithm->expires(&one.rule, one.record);
            if (end != INT64_MAX)
                assert_int_equal(take(0, end > one.noon ? end : one.noon + 1).remaining, most);
        }
}

static void extremes_do_not_overflow(void **state)
{
    (void)state;
    static const int64_t amounts[] = {1, 2, INT64_MAX / 2, INT64_MAX - 1, INT64_MAX};
    enum { AMOUNTS = sizeof amounts / sizeof *amounts };
    for (int a = 0; limit_algorithms[a]; a++)
        for (int i = 0; i < AMOUNTS * AMOUNTS * AMOUNTS; i++) {
            int64_t count = amounts[i % AMOUNTS], per = amounts[i / AMOUNTS % AMOUNTS];
            int64_t cost = amounts[i / AMOUNTS / AMOUNTS];
            if (limit_algorithms[a] == &limit_sliding_log)
                count = count > 2 ? 2 : count;
            begin(limit_algorithms[a], limit_rule_of(count, per, amounts[i % AMOUNTS]));
            for (int64_t now = one.noon; now < one.noon + 3; now++) {
                int64_t at = take(cost, now).at;
                settle(cost, at, now);
                settle(-cost, at, now);
                settle(-INT64_MAX, at, now);
                settle(INT64_MAX, at, now);
                (void)take(0, now);
                (void)one.algorithm->expires(&one.rule, one.record);
                assert_true(one.algorithm->quota(&one.rule).count > 0);
            }
        }
}

#define EACH(test) cmocka_unit_test_teardown(test, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_leaky_bucket_lets_go_evenly),
        EACH(a_fixed_window_begins_on_the_full_minute),
        EACH(days_and_months_are_the_calendars),
        EACH(another_plan_has_another_window),
        EACH(a_sliding_window_weighs_the_one_before),
        EACH(a_sliding_log_is_exact),
        EACH(what_is_settled_belongs_to_its_time),
        EACH(what_is_said_is_true),
        EACH(a_record_that_has_expired_says_nothing),
        EACH(extremes_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
