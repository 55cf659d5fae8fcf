#include "base/metrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct metric_family requests = {.name = "weir_requests_total",
    .help = "Requests,\nand a \\.",
    .kind = METRIC_COUNTER,
    .labels = {"route", "code"}};
static const struct metric_family durations = {.name = "weir_duration_seconds",
    .help = "How long.",
    .kind = METRIC_HISTOGRAM,
    .labels = {"route"}};
static const struct metric_family open_now = {
    .name = "weir_open", .help = "Open now.", .kind = METRIC_GAUGE};

static const struct metric_family zones = {
    .name = "weir_zones", .help = "Zones.", .kind = METRIC_GAUGE};
static const struct metric_family wide = {
    .name = "weir_wide", .help = "Wide.", .labels = {"a", "b", "c", "d", "e", "f"}};

struct world {
    struct metrics *metrics;
    struct metrics_shard *shard;
    struct text text;
};

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    assert_int_equal(metrics_new(0, &world->metrics), OK);
    assert_int_equal(metrics_shard_new(world->metrics, &world->shard), OK);
    world->text = text_growing(0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    text_release(&world->text);
    metrics_free(world->metrics);
    free(world);
    return 0;
}

/* The export as a C string. */
static const char *export_text(struct world *world)
{
    text_clear(&world->text);
    metrics_export(world->metrics, &world->text);
    text_add_char(&world->text, '\0');
    assert_false(world->text.failed);
    return world->text.data;
}

static void assert_has(const char *text, const char *line)
{
    if (!strstr(text, line))
        fail_msg("no %s in:\n%s", line, text);
}

static void test_the_same_labels_are_the_same_series(void **state)
{
    struct world *world = *state;
    const struct slice a[] = {SLICE_INIT("/a"), SLICE_INIT("200")};
    const struct slice b[] = {SLICE_INIT("/a"), SLICE_INIT("404")};
    uint32_t one = metrics_series(world->metrics, &requests, a);
    assert_int_not_equal(one, METRIC_OVERFLOW);
    assert_int_equal(one, metrics_series(world->metrics, &requests, a));
    assert_int_not_equal(one, metrics_series(world->metrics, &requests, b));
    assert_int_not_equal(one, metrics_series(world->metrics, &durations, a));
}

static void test_shards_are_summed(void **state)
{
    struct world *world = *state;
    struct metrics_shard *other;
    assert_int_equal(metrics_shard_new(world->metrics, &other), OK);
    uint32_t gauge = metrics_series(world->metrics, &open_now, NULL);
    const struct slice labels[] = {SLICE_INIT("/"), SLICE_INIT("200")};
    uint32_t counter = metrics_series(world->metrics, &requests, labels);
    metric_add(world->shard, counter, 3);
    metric_add(other, counter, 4);
    metric_set(world->shard, gauge, 2);
    metric_set(other, gauge, -5);
    assert_int_equal(metrics_value(world->metrics, counter), 7);
    assert_int_equal((int64_t)metrics_value(world->metrics, gauge), -3);
    assert_has(export_text(world), "weir_open -3\n");
}

static void test_export_is_sorted_and_escaped(void **state)
{
    struct world *world = *state;
    const struct slice z[] = {SLICE_INIT("/z"), SLICE_INIT("200")};
    const struct slice odd[] = {SLICE_INIT("/\"a\\b\n\xFF\xC3\xA4"), SLICE_INIT("")};
    metric_add(world->shard, metrics_series(world->metrics, &requests, z), 1);
    metric_add(world->shard, metrics_series(world->metrics, &requests, odd), 2);
    metric_set(world->shard, metrics_series(world->metrics, &open_now, NULL), 1);
    assert_string_equal(export_text(world),
        "# HELP weir_open Open now.\n"
        "# TYPE weir_open gauge\n"
        "weir_open 1\n"
        "# HELP weir_requests_total Requests,\\nand a \\\\.\n"
        "# TYPE weir_requests_total counter\n"
        "weir_requests_total{route=\"/\\\"a\\\\b\\n\xEF\xBF\xBD\xC3\xA4\",code=\"\"} 2\n"
        "weir_requests_total{route=\"/z\",code=\"200\"} 1\n"
        "# HELP weir_metrics_dropped_series_total "
        "Times that a series could not be made because there are too many.\n"
        "# TYPE weir_metrics_dropped_series_total counter\n"
        "weir_metrics_dropped_series_total 0\n");
}

static const struct metric_family rooms = {.name = "weir_rooms",
    .help = "Rooms.",
    .kind = METRIC_GAUGE,
    .labels = {"floor"},
    .divisor = 1000};
static const struct metric_family windows = {.name = "weir_windows", .help = "Windows."};

static void say_rooms(
    void *argument, const struct metric_family *family, struct metric_lines *lines)
{
    const int64_t *count = argument;
    assert_ptr_equal(family, &rooms);
    for (int64_t i = 0; i < *count; i++) {
        const struct slice label[] = {i ? SLICE("\"up\"") : SLICE("down")};
        metric_say(lines, label, i - 1500);
    }
}

static void say_rooms_not(
    void *argument, const struct metric_family *family, struct metric_lines *lines)
{
    (void)argument;
    (void)lines;
    assert_ptr_equal(family, &windows);
}

static void test_what_is_not_kept_is_read(void **state)
{
    struct world *world = *state;
    int64_t count = 2, none = 0;
    metrics_series(world->metrics, &open_now, NULL);
    metrics_series(world->metrics, &zones, NULL);
    metrics_add_reader(world->metrics, &windows, say_rooms_not, &none);
    metrics_add_reader(world->metrics, &rooms, say_rooms, &count);
    const char *text = export_text(world);
    assert_has(text, "weir_open 0\n"
                     "# HELP weir_rooms Rooms.\n"
                     "# TYPE weir_rooms gauge\n"
                     "weir_rooms{floor=\"down\"} -1.5\n"
                     "weir_rooms{floor=\"\\\"up\\\"\"} -1.499\n"
                     "# HELP weir_zones");
    assert_null(strstr(text, "weir_windows"));
    count = 0;
    assert_null(strstr(export_text(world), "weir_rooms"));
}

static void test_families_keep_together(void **state)
{
    struct world *world = *state;
    const struct slice label[] = {SLICE_INIT("/"), SLICE_INIT("")};
    metrics_series(world->metrics, &zones, NULL);
    metrics_series(world->metrics, &requests, label);
    metrics_series(world->metrics, &open_now, NULL);
    const char *text = export_text(world);
    const char *first = strstr(text, "\nweir_open 0\n"), *last = strstr(text, "\nweir_zones 0\n");
    const char *middle = strstr(text, "\nweir_requests_total{");
    assert_true(first && middle && last && first < middle && middle < last);
}

static void test_a_family_may_have_all_labels(void **state)
{
    struct world *world = *state;
    const struct slice labels[] = {SLICE_INIT("1"), SLICE_INIT("2"), SLICE_INIT("3"),
        SLICE_INIT("4"), SLICE_INIT("5"), SLICE_INIT("6")};
    metric_add(world->shard, metrics_series(world->metrics, &wide, labels), 7);
    assert_has(
        export_text(world), "\nweir_wide{a=\"1\",b=\"2\",c=\"3\",d=\"4\",e=\"5\",f=\"6\"} 7\n");
}

static void test_histogram_buckets_are_cumulative(void **state)
{
    struct world *world = *state;
    const struct slice labels[] = {SLICE_INIT("/")};
    uint32_t series = metrics_series(world->metrics, &durations, labels);
    static const int64_t seen[] = {-1, 500000, 500001, 700000000, 60000000000, 60000000001};
    for (size_t i = 0; i < sizeof seen / sizeof seen[0]; i++)
        metric_observe(world->shard, series, seen[i]);
    const char *text = export_text(world);
    assert_has(text, "# TYPE weir_duration_seconds histogram\n");
    assert_has(text, "weir_duration_seconds_bucket{route=\"/\",le=\"0.0005\"} 2\n");
    assert_has(text, "weir_duration_seconds_bucket{route=\"/\",le=\"0.001\"} 3\n");
    assert_has(text, "weir_duration_seconds_bucket{route=\"/\",le=\"0.5\"} 3\n");
    assert_has(text, "weir_duration_seconds_bucket{route=\"/\",le=\"1\"} 4\n");
    assert_has(text, "weir_duration_seconds_bucket{route=\"/\",le=\"60\"} 5\n");
    assert_has(text, "weir_duration_seconds_bucket{route=\"/\",le=\"+Inf\"} 6\n");
    assert_has(text, "weir_duration_seconds_sum{route=\"/\"} 120.701000002\n");
    assert_has(text, "weir_duration_seconds_count{route=\"/\"} 6\n");
    assert_int_equal(metrics_value(world->metrics, series), 6);
}

static void test_the_number_of_series_is_bounded(void **state)
{
    (void)state;
    struct world small = {.text = text_growing(0)};
    assert_int_equal(metrics_new(2, &small.metrics), OK);
    assert_int_equal(metrics_shard_new(small.metrics, &small.shard), OK);
    const struct slice routes[] = {SLICE_INIT("/1"), SLICE_INIT("/2"), SLICE_INIT("/3")};
    uint32_t last = 0;
    for (int i = 0; i < 3; i++)
        last = metrics_series(small.metrics, &durations, &routes[i]);
    assert_int_equal(last, METRIC_OVERFLOW);
    metric_observe(small.shard, last, 1000000000);
    const char *text = export_text(&small);
    assert_has(text, "weir_metrics_dropped_series_total 1\n");
    assert_has(text, "weir_duration_seconds_count{route=\"/2\"} 0\n");
    assert_null(strstr(text, "/3"));
    assert_int_not_equal(metrics_series(small.metrics, &durations, &routes[1]), METRIC_OVERFLOW);
    text_release(&small.text);
    metrics_free(small.metrics);
}

static void test_every_bound_belongs_to_its_bucket(void **state)
{
    struct world *world = *state;
    static const double bounds[] = {
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        char text[128];
        struct slice label = slice_of(text, (size_t)snprintf(text, sizeof text, "%zu", i));
        uint32_t series = metrics_series(world->metrics, &durations, &label);
        int64_t bound = (int64_t)(bounds[i] * 1e9 + 0.5);
        metric_observe(world->shard, series, bound);
        metric_observe(world->shard, series, bound + 1);
        snprintf(text, sizeof text, "_bucket{route=\"%zu\",le=\"%g\"} 1\n", i, bounds[i]);
        assert_has(export_text(world), text);
    }
}

/* Many histograms: over several chunks, none astride two. */
static void test_many_series_keep_apart(void **state)
{
    struct world *world = *state;
    enum { MANY = 1000 };
    static uint32_t series[MANY];
    for (int i = 0; i < MANY; i++) {
        char name[16];
        struct slice label = slice_of(name, (size_t)snprintf(name, sizeof name, "/%d", i));
        series[i] = metrics_series(world->metrics, &durations, &label);
        for (int n = 0; n <= i % 7; n++)
            metric_observe(world->shard, series[i], 1000000 * i);
    }
    for (int i = 0; i < MANY; i++)
        assert_int_equal(metrics_value(world->metrics, series[i]), i % 7 + 1);
}

static void collect_open(void *argument, struct metrics *metrics)
{
    struct metrics_shard *shard = argument;
    metric_set(shard, metrics_series(metrics, &open_now, NULL), 42);
}

static void test_collectors_run_before_an_export(void **state)
{
    struct world *world = *state;
    metrics_add_collector(world->metrics, collect_open, world->shard);
    assert_has(export_text(world), "weir_open 42\n");
}

enum { THREADS = 4, ADDS = 20000 };

static void *write_many(void *argument)
{
    struct metrics *metrics = argument;
    struct metrics_shard *shard;
    assert_int_equal(metrics_shard_new(metrics, &shard), OK);
    for (int i = 0; i < ADDS; i++) {
        char name[16];
        struct slice label = slice_of(name, (size_t)snprintf(name, sizeof name, "/%d", i % 300));
        metric_observe(shard, metrics_series(metrics, &durations, &label), i);
    }
    return NULL;
}

static void test_threads_write_while_another_exports(void **state)
{
    struct world *world = *state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, world->metrics), 0);
    for (int i = 0; i < 20; i++)
        export_text(world);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    uint64_t sum = 0;
    for (int i = 0; i < 300; i++) {
        char name[16];
        struct slice label = slice_of(name, (size_t)snprintf(name, sizeof name, "/%d", i));
        sum += metrics_value(world->metrics, metrics_series(world->metrics, &durations, &label));
    }
    assert_int_equal(sum, THREADS * ADDS);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_the_same_labels_are_the_same_series),
        EACH(test_shards_are_summed),
        EACH(test_export_is_sorted_and_escaped),
        EACH(test_families_keep_together),
        EACH(test_what_is_not_kept_is_read),
        EACH(test_a_family_may_have_all_labels),
        EACH(test_histogram_buckets_are_cumulative),
        cmocka_unit_test(test_the_number_of_series_is_bounded),
        EACH(test_every_bound_belongs_to_its_bucket),
        EACH(test_many_series_keep_apart),
        EACH(test_collectors_run_before_an_export),
        EACH(test_threads_write_while_another_exports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
