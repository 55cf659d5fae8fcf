#include "handler/files_range.h"

#include "support/unit.h"

static struct byte_ranges read_ok(const char *value, int64_t size)
{
    struct byte_ranges ranges;
    assert_ok(byte_ranges_read(slice_of_text(value), size, &ranges));
    return ranges;
}

#define assert_range(range, first_, last_) \
    (assert_int_equal((range).first, first_), assert_int_equal((range).last, last_))

static void one_range(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        int64_t first, last;
    } cases[] = {
        {"bytes=0-499", 0, 499},
        {"bytes=500-999", 500, 999},
        {"bytes=500-", 500, 999},
        {"bytes=-500", 500, 999},
        {"bytes=-1", 999, 999},
        {"bytes=-5000", 0, 999},
        {"bytes=0-0", 0, 0},
        {"bytes=999-999", 999, 999},
        {"bytes=0-99999999999999999999999999", 0, 999},
        {"bytes=-99999999999999999999999999", 0, 999},
        {"BYTES=1-2", 1, 2},
        {"bytes= 1-2 ", 1, 2},
        {"bytes=1000-,1-2", 1, 2},
        {"bytes=, 1-2,,", 1, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct byte_ranges ranges = read_ok(cases[i].value, 1000);
        assert_int_equal(ranges.count, 1);
        assert_range(ranges.items[0], cases[i].first, cases[i].last);
    }
}

static void several_ranges_keep_their_order(void **state)
{
    (void)state;
    struct byte_ranges ranges = read_ok("bytes=500-599, 0-9,-1", 1000);
    assert_int_equal(ranges.count, 3);
    assert_range(ranges.items[0], 500, 599);
    assert_range(ranges.items[1], 0, 9);
    assert_range(ranges.items[2], 999, 999);
    assert_int_equal(read_ok("bytes=500-999,0-499", 1000).count, 2); /* all of it, but no more */
}

static void a_range_behind_the_end_is_not_satisfiable(void **state)
{
    (void)state;
    struct byte_ranges ranges = {.count = 77};
    static const char *const values[] = {"bytes=1000-", "bytes=1000-1001", "bytes=-0",
        "bytes=99999999999999999999999-", "bytes=1000-,2000-"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        assert_status(
            byte_ranges_read(slice_of_text(values[i]), 1000, &ranges), RANGE_NOT_SATISFIABLE);
    assert_int_equal(ranges.count, 77);
}

static void others_are_ignored(void **state)
{
    (void)state;
    struct byte_ranges ranges;
    static const char *const values[] = {"", "bytes", "bytes=", "bytes=,", "bytes=-", "bytes=1",
        "bytes=2-1", "bytes=a-b", "bytes=1-2x", "bytes=1-2;3-4", "bytes=0x1-2", "bytes=+1-2",
        "bytes=1--2", "bytes=--2", "items=1-2", "bytes =1-2", "bytes=0-1,5", "bytes=0-999,0-999",
        "bytes=0-,0-", "bytes=0-499,499-999", "bytes=1 - 2",
        "bytes=0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9,10-10,11-11,12-12,13-13,14-14,15-15,16-16"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (byte_ranges_read(slice_of_text(values[i]), 1000, &ranges) != INVALID)
            fail_msg("%s", values[i]);
    assert_status(byte_ranges_read(SLICE("bytes=0-"), 0, &ranges), INVALID);
    assert_status(byte_ranges_read(SLICE("bytes=-1"), 0, &ranges), INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_range),
        cmocka_unit_test(several_ranges_keep_their_order),
        cmocka_unit_test(a_range_behind_the_end_is_not_satisfiable),
        cmocka_unit_test(others_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
