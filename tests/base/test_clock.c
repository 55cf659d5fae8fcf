#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#include "support/unit.h"

static struct slice http_date(int64_t seconds)
{
    static char text[HTTP_DATE_SIZE];
    clock_http_date(seconds, text);
    return slice_of(text, sizeof text);
}

static struct slice iso_time(int64_t wall)
{
    static char text[ISO_TIME_SIZE];
    clock_iso_time(wall, text);
    return slice_of(text, sizeof text);
}

static void deadlines_do_not_overflow(void **state)
{
    (void)state;
    assert_int_equal(clock_after(100, 5), 105);
    assert_int_equal(clock_after(100, 0), NEVER);
    assert_int_equal(clock_after(100, -1), NEVER);
    assert_int_equal(clock_after(NEVER - 5, 10), NEVER);
    assert_int_equal(clock_after(100, NEVER), NEVER);
    assert_int_equal(clock_sooner(NEVER, 3), 3);
}

static void the_clocks_run(void **state)
{
    (void)state;
    instant before = clock_now();
    assert_true(clock_now() >= before);
    assert_in_range(clock_wall() / SECOND - time(NULL) + 2, 0, 4);
}

static void dates_are_written(void **state)
{
    (void)state;
    assert_slice(http_date(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_slice(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_slice(http_date(951782400), "Tue, 29 Feb 2000 00:00:00 GMT");
    assert_slice(http_date(4107542400), "Mon, 01 Mar 2100 00:00:00 GMT");
    assert_slice(iso_time(1763640000 * SECOND + 7 * MILLISECOND), "2025-11-20T12:00:00.007Z");
}

static void what_no_date_can_hold_is_bounded(void **state)
{
    (void)state;
    assert_slice(http_date(-1), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_slice(http_date(INT64_MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_slice(iso_time(INT64_MIN), "1970-01-01T00:00:00.000Z");
}

/* Every day from 1970 to 2500, against the C library. */
static void the_calendar_is_right(void **state)
{
    (void)state;
    for (int64_t seconds = 0; seconds < (int64_t)530 * 366 * 86400; seconds += 86400 - 13) {
        struct tm t;
        char expected[64];
        int64_t back;
        time_t when = (time_t)seconds;
        gmtime_r(&when, &t);
        strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &t);
        assert_slices(http_date(seconds), slice_of_text(expected));
        assert_true(clock_parse_http_date(http_date(seconds), &back));
        assert_int_equal(back, seconds);
    }
}

static int64_t parsed(struct slice text)
{
    int64_t seconds;
    if (!clock_parse_http_date(text, &seconds))
        fail_msg("not read: %.*s", SLICE_ARG(text));
    return seconds;
}

static void the_three_forms_are_read(void **state)
{
    (void)state;
    assert_int_equal(parsed(SLICE("Sun, 06 Nov 1994 08:49:37 GMT")), 784111777);
    assert_int_equal(parsed(SLICE("Sunday, 06-Nov-94 08:49:37 GMT")), 784111777);
    assert_int_equal(parsed(SLICE("Sun Nov  6 08:49:37 1994")), 784111777);
    assert_int_equal(parsed(SLICE("Wed Nov 16 08:49:37 1994")), 784975777);
    assert_int_equal(parsed(SLICE("Thu, 29 Feb 2024 00:00:00 GMT")), 1709164800);
    assert_int_equal(parsed(SLICE("Sat, 31 Dec 2016 23:59:60 GMT")), 1483228800);
    assert_int_equal(parsed(SLICE("Thu, 01 Jan 1601 00:00:00 GMT")), -11644473600);
    assert_int_equal(parsed(SLICE("Sat, 01 Jan 0000 00:00:00 GMT")), -62167219200);
}

static void what_is_no_date_is_refused(void **state)
{
    (void)state;
    static const char *const samples[] = {"", "0", "-1", "Sun", "Sun,", "now",
        "Sun, 31 Feb 2021 00:00:00 GMT", "Sun, 29 Feb 2023 00:00:00 GMT",
        "Sun, 29 Feb 2100 00:00:00 GMT", "Sun, 31 Apr 2021 00:00:00 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 32 Jan 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 gmt", "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000", "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun,  6 Nov 1994 08:49:37 GMT", "Xyz, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT", "Sun, 06-Nov-94 08:49:37 GMT",
        "Sun Nov   08:49:37 1994", ", 06 Nov 1994 08:49:37 GMT", " Nov  6 08:49:37 1994",
        "Sun Nov 6 08:49:37 1994", "Sun, 06 Nov 94 08:49:37 GMT", "Sun, 06 Nov 1994 8:49:37 GMT",
        "Sun, -6 Nov 1994 08:49:37 GMT"};
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        int64_t seconds = 42;
        if (clock_parse_http_date(slice_of_text(samples[i]), &seconds))
            fail_msg("taken for a date: %s", samples[i]);
        assert_int_equal(seconds, 42);
    }
}

/* Two digits mean the year from 49 years ago to 50 ahead that ends with them. */
static void short_years_lie_near(void **state)
{
    (void)state;
    time_t now = time(NULL);
    struct tm t;
    gmtime_r(&now, &t);
    int this_year = t.tm_year + 1900;
    for (int year = this_year - 49; year <= this_year + 50; year++) {
        char text[64];
        snprintf(text, sizeof text, "Monday, 15-Jun-%02d 12:00:00 GMT", year % 100);
        struct slice written = http_date(parsed(slice_of_text(text)));
        if (year < 1970)
            continue; /* not written */
        snprintf(text, sizeof text, "%04d", year);
        assert_slices(slice_head(slice_from(written, 12), 4), slice_of_text(text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_do_not_overflow),
        cmocka_unit_test(the_clocks_run),
        cmocka_unit_test(dates_are_written),
        cmocka_unit_test(what_no_date_can_hold_is_bounded),
        cmocka_unit_test(the_calendar_is_right),
        cmocka_unit_test(the_three_forms_are_read),
        cmocka_unit_test(what_is_no_date_is_refused),
        cmocka_unit_test(short_years_lie_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
