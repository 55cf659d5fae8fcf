#include "base/histogram.h"

#include <pthread.h>
#include <stdbool.h>

#include "base/clock.h"
#include "support/unit.h"

static struct histogram histogram;

static int set_up(void **state)
{
    (void)state;
    histogram_init(&histogram);
    return 0;
}

static void assert_near(int64_t duration, int64_t expected)
{
    int64_t off = duration > expected ? duration - expected : expected - duration;
    if (off > expected / 25)
        fail_msg("%lld ns should be %lld ns", (long long)duration, (long long)expected);
}

static void an_empty_one_says_nothing(void **state)
{
    (void)state;
    assert_int_equal(histogram_count(&histogram), 0);
    assert_int_equal(histogram_sum(&histogram), 0);
    assert_int_equal(histogram_percentile(&histogram, 50), 0);
    assert_int_equal(histogram_count_within(&histogram, NEVER), 0);
}

/* From 1 µs to 1000 s, each duration alone comes back to within 4 %. */
static void a_duration_comes_back(void **state)
{
    (void)state;
    for (int64_t duration = 1100; duration < 1000 * SECOND; duration += duration / 7) {
        histogram_init(&histogram);
        histogram_record(&histogram, duration);
        assert_near(histogram_percentile(&histogram, 50), duration);
        assert_int_equal(histogram_sum(&histogram), duration);
    }
}

static void buckets_meet_without_gap(void **state)
{
    (void)state;
    unsigned last = 0;
    for (int64_t duration = 1; duration < 5000; duration++) {
        unsigned bucket = histogram_bucket(duration);
        assert_in_range(bucket, last, last + 1);
        last = bucket;
    }
    for (int log = 13; log < 40; log++) {
        int64_t edge = (int64_t)1 << log;
        assert_int_equal(histogram_bucket(edge - 1) + 1, histogram_bucket(edge));
    }
}

static void extremes_fall_into_the_outer_buckets(void **state)
{
    (void)state;
    assert_int_equal(histogram_bucket(INT64_MIN), 0);
    assert_int_equal(histogram_bucket(0), 0);
    assert_int_equal(histogram_bucket(INT64_MAX), HISTOGRAM_BUCKETS - 1);
    histogram_record(&histogram, -5);
    histogram_record(&histogram, 5000 * SECOND);
    assert_int_equal(histogram_sum(&histogram), 5000 * SECOND);
    assert_near(histogram_percentile(&histogram, 100), (int64_t)1 << HISTOGRAM_LAST_LOG);
}

static void percentiles_part_the_recorded(void **state)
{
    (void)state;
    for (int i = 1; i <= 1000; i++)
        histogram_record(&histogram, i * MILLISECOND);
    assert_int_equal(histogram_count(&histogram), 1000);
    assert_near(histogram_percentile(&histogram, 0), MILLISECOND);
    assert_near(histogram_percentile(&histogram, 50), 500 * MILLISECOND);
    assert_near(histogram_percentile(&histogram, 99), 990 * MILLISECOND);
    assert_near(histogram_percentile(&histogram, 99.9), 999 * MILLISECOND);
    assert_near(histogram_percentile(&histogram, 1000), SECOND);
}

static void counts_within_grow_with_the_duration(void **state)
{
    (void)state;
    uint64_t last = 0;
    for (int i = 1; i <= 1000; i++)
        histogram_record(&histogram, i * MILLISECOND);
    for (int64_t duration = 1; duration < 2 * SECOND; duration += 1 + duration / 10) {
        uint64_t within = histogram_count_within(&histogram, duration);
        assert_true(within >= last);
        assert_true(within <= (uint64_t)(duration / MILLISECOND));
        last = within;
    }
    assert_int_equal(last, 1000);
}

static void bounds_are_exact_at_the_edges(void **state)
{
    (void)state;
    const int64_t edge = (int64_t)1 << 20;
    histogram_record(&histogram, 0);
    histogram_record(&histogram, edge - 1);
    histogram_record(&histogram, edge);
    assert_int_equal(histogram_count_within(&histogram, 1022), 0);
    assert_int_equal(histogram_count_within(&histogram, 1023), 1);
    assert_int_equal(histogram_count_within(&histogram, edge - 2), 1);
    assert_int_equal(histogram_count_within(&histogram, edge - 1), 2);
    assert_int_equal(histogram_count_within(&histogram, edge), 2);
    assert_int_equal(histogram_count_within(&histogram, edge + edge / 16), 3);
    histogram_record(&histogram, ((int64_t)1 << 40) - 1);
    histogram_record(&histogram, (int64_t)1 << 40);
    assert_int_equal(histogram_count_within(&histogram, ((int64_t)1 << 40) - 1), 4);
    assert_int_equal(histogram_count_within(&histogram, NEVER), 4);
}

static void half_of_two_is_one(void **state)
{
    (void)state;
    histogram_record(&histogram, MILLISECOND);
    histogram_record(&histogram, SECOND);
    assert_near(histogram_percentile(&histogram, 50), MILLISECOND);
    assert_near(histogram_percentile(&histogram, 50.1), SECOND);
    assert_near(histogram_percentile(&histogram, -1), MILLISECOND);
}

static void adding_sums_up(void **state)
{
    (void)state;
    struct histogram other;
    histogram_init(&other);
    histogram_record(&histogram, MILLISECOND);
    histogram_record(&other, SECOND);
    histogram_record(&other, SECOND);
    histogram_add(&histogram, &other);
    assert_int_equal(histogram_count(&histogram), 3);
    assert_int_equal(histogram_sum(&histogram), MILLISECOND + 2 * SECOND);
    assert_near(histogram_percentile(&histogram, 50), SECOND);
    assert_int_equal(histogram_count(&other), 2);
}

#define RECORDED 200000

static void *record_many(void *argument)
{
    (void)argument;
    for (int i = 0; i < RECORDED; i++)
        histogram_record(&histogram, MILLISECOND);
    return NULL;
}

/* ThreadSanitizer looks on. */
static void others_may_read_meanwhile(void **state)
{
    (void)state;
    pthread_t writer;
    uint64_t last = 0;
    assert_int_equal(pthread_create(&writer, NULL, record_many, NULL), 0);
    while (last < RECORDED) {
        uint64_t now = histogram_count(&histogram);
        assert_true(now >= last);
        last = now;
    }
    pthread_join(writer, NULL);
    assert_int_equal(histogram_sum(&histogram), RECORDED * MILLISECOND);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_one_says_nothing),
        TEST(a_duration_comes_back),
        TEST(buckets_meet_without_gap),
        TEST(extremes_fall_into_the_outer_buckets),
        TEST(percentiles_part_the_recorded),
        TEST(counts_within_grow_with_the_duration),
        TEST(bounds_are_exact_at_the_edges),
        TEST(half_of_two_is_one),
        TEST(adding_sums_up),
        TEST(others_may_read_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
