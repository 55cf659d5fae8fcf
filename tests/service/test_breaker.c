/* Circuit breakers under a clock of our own, and what one may write about them. */
#include "service/breaker.h"

#include "support/config.h"

struct rig {
    struct breaker breaker;
    struct breaker_options options;
    struct random random;
    instant now;
    struct breaker_change change; /* the newest */
    int64_t wait;
};

static struct rig rig_of(const char *phrase)
{
    struct rig rig = {.now = 1000 * SECOND};
    const char *problem = "";
    struct slice where;
    rig.options = (struct breaker_options){.share = 0.5,
        .volume = 20,
        .window = 10 * SECOND,
        .longest = 5 * MINUTE,
        .ramp = 10 * SECOND};
    random_init(&rig.random);
    assert_ok(breaker_phrase_parse(slice_of_text(phrase), &rig.options, &problem, &where));
    return rig;
}

static bool admit(struct rig *rig)
{
    return breaker_admit(
        &rig->breaker, &rig->options, rig->now, &rig->random, &rig->wait, &rig->change);
}

static void report_since(struct rig *rig, instant began, bool is_failure)
{
    struct breaker_result result = {began, rig->now, rig->now - began, is_failure};
    breaker_report(&rig->breaker, &rig->options, &result, &rig->change);
}

static void report(struct rig *rig, bool is_failure)
{
    report_since(rig, rig->now, is_failure);
}

static void answer_in(struct rig *rig, int64_t took)
{
    struct breaker_result result = {rig->now, rig->now + took, took, false};
    breaker_report(&rig->breaker, &rig->options, &result, &rig->change);
}

/* How many of 1000 pass. */
static int passing(struct rig *rig)
{
    int passed = 0;
    for (int i = 0; i < 1000; i++)
        passed += admit(rig);
    return passed;
}

static void fail_until_open(struct rig *rig, int most)
{
    for (int i = 0; i < most && breaker_state(&rig->breaker) != BREAKER_IS_OPEN; i++)
        report(rig, true);
    assert_int_equal(breaker_state(&rig->breaker), BREAKER_IS_OPEN);
}

static void test_a_share_needs_its_volume(void **state)
{
    (void)state;
    struct rig rig = rig_of("open 10s if 50% of 20 fail");
    for (int i = 0; i < 19; i++) {
        assert_true(admit(&rig));
        report(&rig, i % 2 == 0);
        assert_false(rig.change.has_changed);
    }
    report(&rig, true);
    assert_true(rig.change.has_changed);
    assert_int_equal(rig.change.to, BREAKER_IS_OPEN);
    assert_int_equal(rig.change.duration, 10 * SECOND);
    assert_string_equal(rig.change.why, "11 of 20 requests failed");
    assert_false(admit(&rig));
    assert_true(rig.wait > 9 * SECOND && rig.wait <= 10 * SECOND);
    assert_int_equal(breaker_remaining(&rig.breaker, rig.now) / MILLISECOND, 10000);
}

static void test_fewer_failures_than_the_share(void **state)
{
    (void)state;
    struct rig rig = rig_of("open 10s if 50% of 20 fail");
    for (int i = 0; i < 1000; i++)
        report(&rig, i % 5 < 2);
    assert_int_equal(breaker_state(&rig.breaker), BREAKER_IS_CLOSED);
}

static void test_old_failures_do_not_count(void **state)
{
    (void)state;
    struct rig rig = rig_of("open 10s if 50% of 20 fail within 5s");
    for (int i = 0; i < 200; i++) {
        report(&rig, true);
        rig.now += 300 * MILLISECOND; /* 17 in 5 s */
    }
    assert_int_equal(breaker_state(&rig.breaker), BREAKER_IS_CLOSED);
}

static void test_failures_in_a_row(void **state)
{
    (void)state;
    struct rig rig = rig_of("open 5s if 3 in a row fail");
    for (int i = 0; i < 51; i++)
        report(&rig, i % 3 != 0);
    assert_int_equal(breaker_state(&rig.breaker), BREAKER_IS_CLOSED);
    report(&rig, true);
    assert_string_equal(rig.change.why, "3 requests in a row failed");
}

static void test_slow_answers(void **state)
{
    (void)state;
    struct rig rig = rig_of("open 5s if p90 of 20 above 500ms");
    for (int i = 0; i < 200; i++) /* one of ten: nine of ten are faster */
        answer_in(&rig, i % 10 == 9 ? SECOND : MILLISECOND);
    assert_int_equal(breaker_state(&rig.breaker), BREAKER_IS_CLOSED);
    for (int i = 0; i < 100 && !rig.change.has_changed; i++)
        answer_in(&rig, i % 5 == 4 ? SECOND : MILLISECOND);
    assert_int_equal(breaker_state(&rig.breaker), BREAKER_IS_OPEN);
    assert_non_null(strstr(rig.change.why, "took more than 500 ms"));
}

static void test_the_ramp_is_even(void **state)
{
    (void)state;
    struct rig rig = rig_of("open 10s if 50% of 20 fail ramp 10s");
    fail_until_open(&rig, 20);
    rig.now += 9 * SECOND;
    assert_int_equal(passing(&rig), 0);
    rig.now += SECOND;
    assert_in_range(passing(&rig), 60, 140);
    assert_int_equal(breaker_state(&rig.breaker), BREAKER_IN_RAMP);
    rig.now += 3 * SECOND;
    assert_in_range(passing(&rig), 240, 360);
    rig.now += 5 * SECOND;
    assert_in_range(passing(&rig), 750, 850);
    assert_true(breaker_share(&rig.breaker, &rig.options, rig.now) > 0.79);
    report(&rig, false);
    rig.now += 2 * SECOND;
    assert_true(admit(&rig));
    assert_true(rig.change.has_changed);
    assert_int_equal(rig.change.to, BREAKER_IS_CLOSED);
}

/* Nobody has come: then nothing is known. */
static void test_a_ramp_without_answers_stays(void **state)
{
    (void)state;
    struct rig rig = rig_of("open 10s if 50% of 20 fail");
    fail_until_open(&rig, 20);
    rig.now += 10 * SECOND;
    (void)admit(&rig);
    rig.now += HOUR;
    assert_int_equal(passing(&rig), 1000);
    assert_int_equal(breaker_state(&rig.breaker), BREAKER_IN_RAMP);
    report(&rig, false);
    assert_int_equal(breaker_state(&rig.breaker), BREAKER_IS_CLOSED);
}

static void test_open_times_double_up_to_the_longest(void **state)
{
    (void)state;
    static const int64_t seconds[] = {10, 20, 40, 80, 160, 300, 300};
    struct rig rig = rig_of("open 10s if 50% of 20 fail");
    fail_until_open(&rig, 20);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(rig.change.duration, seconds[i] * SECOND);
        rig.now += seconds[i] * SECOND;
        (void)admit(&rig);
        assert_int_equal(breaker_state(&rig.breaker), BREAKER_IN_RAMP);
        fail_until_open(&rig, 3); /* three in a row */
    }
    rig.now += 300 * SECOND;
    (void)admit(&rig);
    report(&rig, false);
    rig.now += 11 * SECOND;
    report(&rig, false);
    assert_int_equal(breaker_state(&rig.breaker), BREAKER_IS_CLOSED);
    fail_until_open(&rig, 20);
    assert_int_equal(rig.change.duration, 10 * SECOND);
}

static void test_late_results_do_not_count(void **state)
{
    (void)state;
    struct rig rig = rig_of("open 10s if 3 in a row fail");
    instant before = rig.now - SECOND;
    fail_until_open(&rig, 3);
    report_since(&rig, before, false);
    assert_int_equal(breaker_state(&rig.breaker), BREAKER_IS_OPEN);
    rig.now += 10 * SECOND;
    (void)admit(&rig);
    for (int i = 0; i < 10; i++)
        report_since(&rig, before, true);
    assert_int_equal(breaker_state(&rig.breaker), BREAKER_IN_RAMP);
}

static void test_one_trial(void **state)
{
    (void)state;
    struct rig rig = rig_of("open 10s if 3 in a row fail trial");
    fail_until_open(&rig, 3);
    rig.now += 10 * SECOND;
    assert_int_equal(passing(&rig), 1);
    report_since(&rig, rig.now - 11 * SECOND, false); /* not the trial's */
    assert_int_equal(breaker_state(&rig.breaker), BREAKER_IN_TRIAL);
    report(&rig, true);
    assert_int_equal(breaker_state(&rig.breaker), BREAKER_IS_OPEN);
    assert_int_equal(rig.change.duration, 20 * SECOND);
    assert_string_equal(rig.change.why, "the trial failed");
    rig.now += 20 * SECOND;
    assert_true(admit(&rig));
    report(&rig, false);
    assert_int_equal(rig.change.to, BREAKER_IS_CLOSED);
    assert_int_equal(passing(&rig), 1000);
}

static void test_a_lost_trial_is_repeated(void **state)
{
    (void)state;
    struct rig rig = rig_of("open 10s if 3 in a row fail trial");
    fail_until_open(&rig, 3);
    rig.now += 10 * SECOND;
    assert_int_equal(passing(&rig), 1);
    rig.now += 9 * SECOND;
    assert_int_equal(passing(&rig), 0);
    rig.now += SECOND;
    assert_int_equal(passing(&rig), 1);
}

/* As endpoints use it: time turns it over, and who picks claims. */
static void test_claims(void **state)
{
    (void)state;
    struct rig rig = rig_of("open 10s if 3 in a row fail trial per endpoint");
    assert_true(breaker_claim(&rig.breaker, &rig.options, rig.now));
    fail_until_open(&rig, 3);
    assert_false(breaker_claim(&rig.breaker, &rig.options, rig.now));
    breaker_turn(&rig.breaker, &rig.options, rig.now + 9 * SECOND, &rig.change);
    assert_false(rig.change.has_changed);
    rig.now += 10 * SECOND;
    breaker_turn(&rig.breaker, &rig.options, rig.now, &rig.change);
    assert_true(rig.change.has_changed);
    assert_int_equal(rig.change.to, BREAKER_IN_TRIAL);
    assert_true(breaker_claim(&rig.breaker, &rig.options, rig.now));
    assert_false(breaker_claim(&rig.breaker, &rig.options, rig.now));
    rig.now += 10 * SECOND;
    breaker_turn(&rig.breaker, &rig.options, rig.now, &rig.change);
    assert_true(rig.change.has_changed);
    assert_true(breaker_claim(&rig.breaker, &rig.options, rig.now));
}

/* --- options */

struct read {
    struct config config;
    struct breaker_options options;
};

static void read_clean(struct read *r, const char *yaml)
{
    config_read_clean(&r->config, yaml, &breaker_table, &r->options);
}

static void test_phrase_and_map_say_the_same(void **state)
{
    (void)state;
    struct read phrase, map;
    read_clean(&phrase, "open 3s if 40% of 30 fail or 5 in a row fail or p99 of 30 above 2s "
                        "within 20s ramp 4s longest 1m trial per endpoint");
    read_clean(&map, "{open: 3s, share: 40%, volume: 30, in-a-row: 5, quantile: 99%, above: 2s, "
                     "window: 20s, ramp: 4s, longest: 1m, half-open: trial, per: endpoint}");
    assert_memory_equal(&phrase.options, &map.options, sizeof map.options);
    config_end(&phrase.config);
    config_end(&map.config);
    read_clean(&phrase, "open 5s");
    assert_true(phrase.options.share == 0.5 && phrase.options.volume == 20);
    config_end(&phrase.config);
    read_clean(&phrase, "open 5s if 3 in a row fail");
    assert_true(phrase.options.share == 0 && phrase.options.in_a_row == 3);
    config_end(&phrase.config);
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct malformed cases[] = {
        {"opened 10s", 1, 1, "a breaker looks so", NULL},
        {"open 10 if 50% of 20 fail", 1, 6, "unit", NULL},
        {"open 0s if 50% of 20 fail", 1, 6, "", NULL},
        {"open 10s when 50% of 20 fail", 1, 10, "stands a condition", NULL},
        {"open 10s if", 1, 1, "a condition is missing", NULL},
        {"open 10s if 50% of x fail", 1, 20, "50% of 20 fail", NULL},
        {"open 10s if 50% of 20 succeed", 1, 23, "50% of 20 fail", NULL},
        {"open 10s if 101% of 20 fail", 1, 13, "", NULL},
        {"open 10s if p100 of 20 above 1s", 1, 13, "a quantile looks so", NULL},
        {"open 10s if 0 in a row fail", 1, 13, "a condition looks so", NULL},
        {"open 10s if 3 in a row fail per route", 1, 33, "per service or per endpoint", NULL},
        {"open 10s if 3 in a row fail slowly", 1, 29, "then may stand", NULL},
        {"open 10s if 3 in a row fail ramp", 1, 1, "a time is missing", NULL},
        {"{share: 0%}", 1, 1, "never opens", "in-a-row"},
        {"{open: 10s, longest: 5s}", 1, 1, "shorter than `open`", NULL},
        {"{open: 10s, longets: 5m}", 1, 13, "unknown option", "longest"},
    };
    assert_malformed(&breaker_table, cases);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_share_needs_its_volume),
        cmocka_unit_test(test_fewer_failures_than_the_share),
        cmocka_unit_test(test_old_failures_do_not_count), cmocka_unit_test(test_failures_in_a_row),
        cmocka_unit_test(test_slow_answers), cmocka_unit_test(test_the_ramp_is_even),
        cmocka_unit_test(test_a_ramp_without_answers_stays),
        cmocka_unit_test(test_open_times_double_up_to_the_longest),
        cmocka_unit_test(test_late_results_do_not_count), cmocka_unit_test(test_one_trial),
        cmocka_unit_test(test_a_lost_trial_is_repeated), cmocka_unit_test(test_claims),
        cmocka_unit_test(test_phrase_and_map_say_the_same), cmocka_unit_test(test_malformed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
