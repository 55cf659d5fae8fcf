#include "config/unit.h"

#include "base/clock.h"
#include "support/unit.h"

static void durations_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {{"5s", 5 * SECOND}, {"250ms", 250 * MILLISECOND}, {"1m30s", 90 * SECOND},
        {"2h", 2 * HOUR}, {"1d12h", 36 * HOUR}, {"1.5s", 1500 * MILLISECOND}, {"0s", 0},
        {"7us", 7 * MICROSECOND}, {"3ns", 3}, {"1h0m1s", HOUR + SECOND}, {"0.25m", 15 * SECOND},
        {"106751d", 106751 * DAY}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value = -1;
        const char *problem;
        assert_ok(unit_parse_duration(slice_of_text(cases[i].text), &value, &problem));
        assert_int_equal(value, cases[i].value);
    }
}

static void sizes_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {{"512B", 512}, {"64KiB", 65536}, {"10MiB", 10 << 20}, {"1MB", 1000000},
        {"1kB", 1000}, {"1KB", 1000}, {"1.5KiB", 1536}, {"2GiB", (int64_t)2 << 30}, {"0B", 0},
        {"1 TiB", (int64_t)1 << 40}, {"8388607TiB", (int64_t)8388607 << 40}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value = -1;
        const char *problem;
        assert_ok(unit_parse_size(slice_of_text(cases[i].text), &value, &problem));
        assert_int_equal(value, cases[i].value);
    }
}

static void rates_and_shares_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct rate rate;
    } cases[] = {{"100/min", {100, MINUTE}}, {"5/s", {5, SECOND}}, {"1000/h", {1000, HOUR}},
        {"3/10s", {3, 10 * SECOND}}, {"0/day", {0, DAY}}, {"1/m", {1, MINUTE}},
        {"7/100ms", {7, 100 * MILLISECOND}}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct rate rate = {-1, -1};
        const char *problem;
        assert_ok(unit_parse_rate(slice_of_text(cases[i].text), &rate, &problem));
        assert_int_equal(rate.count, cases[i].rate.count);
        assert_int_equal(rate.per, cases[i].rate.per);
    }
    double share = -1;
    const char *problem;
    assert_ok(unit_parse_share(SLICE("20%"), &share, &problem));
    assert_true(share > 0.1999 && share < 0.2001);
    assert_ok(unit_parse_share(SLICE("0.5 %"), &share, &problem));
    assert_true(share > 0.00499 && share < 0.00501);
    assert_ok(unit_parse_share(SLICE("100%"), &share, &problem));
    assert_true(share > 0.9999 && share < 1.0001);
}

enum kind { DURATION, SIZE, RATE, SHARE };

static const struct {
    enum kind kind;
    const char *text, *says;
} wrong[] = {
    {DURATION, "", "a number and its unit"},
    {DURATION, "5", "needs a unit"},
    {DURATION, "0", "needs a unit"},
    {DURATION, "5 s", "needs a unit"},
    {DURATION, "s", "a number and its unit"},
    {DURATION, "-5s", "a number and its unit"},
    {DURATION, "5sec", "the units"},
    {DURATION, "5S", "the units"},
    {DURATION, "5s1m", "from large to small"},
    {DURATION, "5s5s", "from large to small"},
    {DURATION, "5.s", "a number and its unit"},
    {DURATION, "1.2.3s", "needs a unit"},
    {DURATION, "0.5ns", "whole nanoseconds"},
    {DURATION, "300000000000h", "292 years"},
    {DURATION, "99999999999999999999s", "a number and its unit"},
    {DURATION, "5s!", "a number and its unit"},
    {DURATION, "infinite", "a number and its unit"},
    {SIZE, "", "a number and its unit"},
    {SIZE, "10", "needs a unit"},
    {SIZE, "10M", "the units"},
    {SIZE, "10mb", "the units"},
    {SIZE, "10Mb", "the units"},
    {SIZE, "-1B", "a number and its unit"},
    {SIZE, "0.5B", "whole number of bytes"},
    {SIZE, "8388608TiB", "whole number of bytes"},
    {SIZE, "10MiB/s", "a number and its unit"},
    {RATE, "", "a number of times"},
    {RATE, "100", "needs a time"},
    {RATE, "100/", "the times of a rate"},
    {RATE, "100/fortnight", "the times of a rate"},
    {RATE, "/min", "a number of times"},
    {RATE, "many/min", "a number of times"},
    {RATE, "1.5/s", "a number of times"},
    {RATE, "5/0s", "longer than nothing"},
    {RATE, "5/10", "needs a unit"},
    {SHARE, "", "percent"},
    {SHARE, "20", "percent sign"},
    {SHARE, "0.2", "percent sign"},
    {SHARE, "101%", "at most 100%"},
    {SHARE, "-1%", "percent"},
    {SHARE, "20%%", "percent"},
    {SHARE, "half", "percent"},
};

static enum status parse(enum kind kind, struct slice text, const char **ret_problem)
{
    int64_t number;
    struct rate rate;
    double share;
    switch (kind) {
    case DURATION:
        return unit_parse_duration(text, &number, ret_problem);
    case SIZE:
        return unit_parse_size(text, &number, ret_problem);
    case RATE:
        return unit_parse_rate(text, &rate, ret_problem);
    case SHARE:
        break;
    }
    return unit_parse_share(text, &share, ret_problem);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const char *problem = "";
        enum status e = parse(wrong[i].kind, slice_of_text(wrong[i].text), &problem);
        if (e != INVALID || !strstr(problem, wrong[i].says))
            fail_msg("\"%s\": %s", wrong[i].text, problem);
    }
}

static void durations_are_written_shortly(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        const char *text;
    } cases[] = {{0, "0s"}, {90 * SECOND, "1m30s"}, {SECOND, "1s"}, {HOUR, "1h"},
        {1500 * MILLISECOND, "1s500ms"}, {36 * HOUR, "1d12h"}, {1, "1ns"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char room[100];
        struct text text = text_fixed(room, sizeof room);
        unit_format_duration(cases[i].value, &text);
        assert_slices(text_slice(&text), slice_of_text(cases[i].text));
        int64_t again;
        const char *problem;
        assert_ok(unit_parse_duration(text_slice(&text), &again, &problem));
        assert_int_equal(again, cases[i].value);
    }
}

static void sizes_rates_and_shares_are_written_shortly(void **state)
{
    (void)state;
    char room[200];
    struct text text = text_fixed(room, sizeof room);
    static const int64_t sizes[] = {0, 1, 1000, 1024, 10 << 20, 1000000, 1536, 1500, 123456789};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unit_format_size(sizes[i], &text);
        text_add_char(&text, ' ');
    }
    assert_slice(text_slice(&text), "0B 1B 1kB 1KiB 10MiB 1MB 1536B 1500B 123456789B ");
    text_clear(&text);
    unit_format_rate((struct rate){100, MINUTE}, &text);
    text_add_char(&text, ' ');
    unit_format_rate((struct rate){3, 10 * SECOND}, &text);
    text_add_char(&text, ' ');
    unit_format_share(0.2, &text);
    text_add_char(&text, ' ');
    unit_format_share(0.005, &text);
    text_add_char(&text, ' ');
    unit_format_share(0, &text);
    assert_slice(text_slice(&text), "100/min 3/10s 20% 0.5% 0%");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(rates_and_shares_are_read),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(durations_are_written_shortly),
        cmocka_unit_test(sizes_rates_and_shares_are_written_shortly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
