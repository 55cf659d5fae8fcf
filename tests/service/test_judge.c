/* The judge: his figures against tables, how rarely he errs about versions that are equal, and how
 * soon he finds one that is not. */
#include "service/judge.h"

#include "base/clock.h"
#include "base/random.h"
#include "support/unit.h"

#include <math.h>
#include <stdio.h>

static const struct judge_options usual = {.is_set = true,
    .errors = 0.01,
    .p99 = 0.25,
    .least = 5 * MILLISECOND,
    .volume = 100,
    .time = 10 * MINUTE};

/* --- figures */

static void test_deviate(void **state)
{
    (void)state;
    assert_float_equal(judge_deviate(0.025), 1.959964, 1e-5);
    assert_float_equal(judge_deviate(0.001), 3.090232, 1e-5);
    assert_float_equal(judge_deviate(1e-9), 5.997807, 1e-5);
}

/* Newcombe 1998, table II: 56/70 less 48/80 is 0.2, 95 % interval 0.0524 to 0.3339; 9/10 less 3/10
 * is 0.6, from 0.1705; 10/10 less 0/20 is 1, from 0.6791. */
static void test_difference(void **state)
{
    (void)state;
    struct judge_record old = {.all = 80, .failed = 48}, new = {.all = 70, .failed = 56};
    assert_float_equal(judge_difference(&old, &new, 1.959964), 0.0524, 1e-4);
    old = (struct judge_record){.all = 10, .failed = 3};
    new = (struct judge_record){.all = 10, .failed = 9};
    assert_float_equal(judge_difference(&old, &new, 1.959964), 0.1705, 1e-4);
    old = (struct judge_record){.all = 20};
    new = (struct judge_record){.all = 10, .failed = 10};
    assert_float_equal(judge_difference(&old, &new, 1.959964), 0.6791, 1e-4);
}

static void test_binomial(void **state)
{
    (void)state;
    assert_float_equal(judge_at_least(8, 10, 0.5), 56.0 / 1024, 1e-6);
    assert_float_equal(judge_at_most(2, 10, 0.5), 56.0 / 1024, 1e-6);
    assert_float_equal(judge_at_most(0, 300, 0.01), pow(0.99, 300), 1e-6);
    assert_float_equal(judge_at_least(10, 10, 0.1), 1e-10, 1e-15);
    assert_float_equal(judge_at_least(0, 10, 0.1), 1, 0);
    assert_float_equal(judge_at_most(10, 10, 0.1), 1, 0);
    assert_float_equal(judge_at_least(11, 10, 0.1), 0, 0);
    assert_float_equal(judge_at_least(101000, 10000000, 0.01), 7.5e-4, 2e-5); /* 3.178 deviations */
}

static void test_when_to_look(void **state)
{
    (void)state;
    struct judge_record old = {.all = 100}, new = {.all = 100};
    assert_true(judge_is_due(&usual, &old, &new, 100, false));
    assert_true(judge_is_due(&usual, &old, &new, 25, false));
    assert_false(judge_is_due(&usual, &old, &new, 24, false));
    assert_true(judge_is_due(&usual, &old, &new, 1, true));
    assert_false(judge_is_due(&usual, &old, &new, 0, true));
    new.all = 99;
    assert_false(judge_is_due(&usual, &old, &new, 99, true));
    new.all = 100;
    old.all = 99;
    assert_false(judge_is_due(&usual, &old, &new, 100, true));
}

/* --- lives of versions */

/* How many of n, each with probability p; by inversion, so that its tails are right. */
static uint32_t draw(struct random *random, uint32_t n, double p)
{
    double u = (double)(random_next(random) >> 11) * 0x1p-53;
    if (p >= 1)
        return n;
    if (n * p > 500) { /* where the first term would vanish */
        uint32_t half = n / 2;
        return draw(random, half, p) + draw(random, n - half, p);
    }
    double term = exp(n * log1p(-p));
    uint32_t k = 0;
    while (u > term && k < n) {
        u -= term;
        term *= (double)(n - k) / (k + 1) * p / (1 - p);
        k++;
    }
    return k;
}

#define KINDS 30

/* A version: how often it fails, and how long its answers take: so many parts take so long, the
 * rarest first. */
struct nature {
    double errors;
    double parts[KINDS];
    int64_t times[KINDS];
};

static void live(struct random *random, struct judge_record *record, const struct nature *nature,
    uint32_t requests)
{
    uint32_t failed = draw(random, requests, nature->errors), left = requests - failed;
    double rest = 1;
    record->all += requests;
    record->failed += failed;
    for (int i = 0; i < KINDS && left && nature->parts[i] > 0; i++) {
        uint32_t n = draw(random, left, nature->parts[i] / rest > 1 ? 1 : nature->parts[i] / rest);
        record->times[histogram_bucket(nature->times[i])] += n;
        left -= n;
        rest -= nature->parts[i];
    }
    assert_int_equal(left, 0);
}

struct life {
    enum judge_verdict verdict;
    uint32_t requests; /* of the new version until then */
};

/* One tenth of the requests is the new one's; a look whenever one is due, from the smallest volume
 * on: as often as they can be. */
static struct life judge_life(struct random *random, const struct judge_options *options,
    const struct nature *old_nature, const struct nature *new_nature, uint32_t requests)
{
    struct judge_record old = {.all = 0}, new = {.all = 0};
    char room[200];
    uint64_t k = 0;
    uint32_t more = (uint32_t)options->volume;
    while (new.all + more <= requests) {
        struct text why = text_fixed(room, sizeof room);
        live(random, &new, new_nature, more);
        live(random, &old, old_nature, 9 * more);
        assert_true(judge_is_due(options, &old, &new, more, false));
        enum judge_verdict verdict = judge_look(options, &old, &new, ++k, SLICE("v1"), &why);
        if (verdict)
            return (struct life){verdict, new.all};
        more = new.all / 3 + 1;
    }
    return (struct life){JUDGE_NOTHING, new.all};
}

static int count_verdicts(const struct judge_options *options, const struct nature *old,
    const struct nature *new, int lives, uint32_t requests)
{
    struct random random;
    int verdicts = 0;
    random_init(&random);
    for (int i = 0; i < lives; i++)
        verdicts += judge_life(&random, options, old, new, requests).verdict != JUDGE_NOTHING;
    return verdicts;
}

/* Long tails, two humps just beside the 99th percentile, and all the same. */
static const struct nature natures[] = {
    {0.001, {0.002, 0.004, 0.01, 0.03, 0.08, 0.2, 0.674},
        {2 * SECOND, SECOND, 500 * MILLISECOND, 250 * MILLISECOND, 120 * MILLISECOND,
            60 * MILLISECOND, 30 * MILLISECOND}},
    {0.01, {0.009, 0.991}, {SECOND, 10 * MILLISECOND}},
    {0.05, {0.011, 0.989}, {SECOND, 10 * MILLISECOND}},
    {0.3, {0.01, 0.99}, {SECOND, 10 * MILLISECOND}},
    {0, {1}, {10 * MILLISECOND}},
};

/* The promise is one in a thousand. 10,000 lives, of 5 natures; with the usual margins, and with
 * the smallest. With a risk of 0.001 more than 20 of 10,000 have a probability below 0.002. */
static void test_equals_are_not_condemned(void **state)
{
    (void)state;
    struct judge_options strict = usual;
    strict.errors = 0.0001;
    strict.p99 = 0.0001;
    strict.least = 0;
    strict.volume = 10;
    int usually = 0, strictly = 0;
    for (size_t i = 0; i < sizeof natures / sizeof *natures; i++) {
        usually += count_verdicts(&usual, &natures[i], &natures[i], 2000, 20000);
        strictly += count_verdicts(&strict, &natures[i], &natures[i], 2000, 20000);
    }
    print_message("false verdicts in 10,000: %d, with margins of 0.01%% %d\n", usually, strictly);
    assert_in_range(usually, 0, 20);
    assert_in_range(strictly, 0, 20);
}

/* What answers often take: σ is a half, in quarters of a deviation. */
static struct nature log_normal(int64_t median)
{
    struct nature nature = {.errors = 0.001};
    double above = 0;
    for (int i = 0; i < KINDS; i++) {
        double z = 3.5 - i * 0.25, all = i + 1 < KINDS ? erfc(z / sqrt(2)) / 2 : 1;
        nature.parts[i] = all - above;
        nature.times[i] = (int64_t)((double)median * exp(z / 2));
        above = all;
    }
    return nature;
}

static void expect_found(
    const struct nature *old, const struct nature *new, enum judge_verdict verdict, uint32_t most)
{
    struct random random;
    int found = 0;
    random_init(&random);
    for (int i = 0; i < 300; i++) {
        struct life life = judge_life(&random, &usual, old, new, most);
        found += life.verdict == verdict;
    }
    print_message("found within %u requests: %d of 300\n", most, found);
    assert_in_range(found, 270, 300); /* nine of ten; they find all but one or two of a hundred */
}

static void test_twice_as_bad_is_found(void **state)
{
    (void)state;
    struct nature old = natures[0], new = natures[0];
    old.errors = 0.05;
    new.errors = 0.1;
    expect_found(&old, &new, JUDGE_ERRORS, 4000);
    old.errors = 0.02;
    new.errors = 0.04;
    expect_found(&old, &new, JUDGE_ERRORS, 22000);
    old.errors = 0;
    new.errors = 0.5;
    expect_found(&old, &new, JUDGE_ERRORS, 150);
    old = log_normal(30 * MILLISECOND);
    new = log_normal(60 * MILLISECOND);
    expect_found(&old, &new, JUDGE_TIMES, 2000);
}

/* --- words */

static enum judge_verdict look_at(const struct judge_options *options,
    const struct judge_record *old, const struct judge_record *new, char *room, size_t size)
{
    struct text why = text_fixed(room, size - 1);
    enum judge_verdict verdict = judge_look(options, old, new, 1, SLICE("v1"), &why);
    room[why.size] = 0;
    return verdict;
}

static void test_words_and_margins(void **state)
{
    (void)state;
    char room[200];
    static struct judge_record old = {.all = 10000, .failed = 100},
                               new = {.all = 1000, .failed = 80};
    struct judge_options options = usual;
    old.times[histogram_bucket(10 * MILLISECOND)] = 9900;
    new.times[histogram_bucket(10 * MILLISECOND)] = 920;
    assert_int_equal(look_at(&options, &old, &new, room, sizeof room), JUDGE_ERRORS);
    assert_string_equal(room, "errors 8% of 1000, v1 1% of 10000");
    options.errors = 0.06; /* within the margin, as far as is known */
    assert_int_equal(look_at(&options, &old, &new, room, sizeof room), JUDGE_NOTHING);
    options.errors = 0; /* not looked at */
    assert_int_equal(look_at(&options, &old, &new, room, sizeof room), JUDGE_NOTHING);
    new.times[histogram_bucket(10 * MILLISECOND)] = 820;
    new.times[histogram_bucket(14 * MILLISECOND)] = 100;
    assert_int_equal(look_at(&options, &old, &new, room, sizeof room), JUDGE_NOTHING); /* 4 ms */
    new.times[histogram_bucket(14 * MILLISECOND)] = 0;
    new.times[histogram_bucket(20 * MILLISECOND)] = 100;
    assert_int_equal(look_at(&options, &old, &new, room, sizeof room), JUDGE_TIMES);
    assert_non_null(strstr(room, "p99 above 15"));
    assert_non_null(strstr(room, "of 920, v1 at most 10"));
    options.p99 = 0;
    assert_int_equal(look_at(&options, &old, &new, room, sizeof room), JUDGE_NOTHING);
    assert_int_equal(judge_quantile(&new, 0.99) / MILLISECOND, 19);
    old = (struct judge_record){.all = 0};
    assert_int_equal(judge_quantile(&old, 0.99), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deviate),
        cmocka_unit_test(test_difference),
        cmocka_unit_test(test_binomial),
        cmocka_unit_test(test_when_to_look),
        cmocka_unit_test(test_equals_are_not_condemned),
        cmocka_unit_test(test_twice_as_bad_is_found),
        cmocka_unit_test(test_words_and_margins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
