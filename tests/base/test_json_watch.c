#include "base/json_watch.h"

#include "support/unit.h"

static const struct slice usage[] = {SLICE_INIT("usage"), SLICE_INIT("total")};
static const struct slice items[] = {SLICE_INIT("items")};
static const struct slice deep[] = {SLICE_INIT("a"), SLICE_INIT("b"), SLICE_INIT("c")};

static const struct json_path paths[] = {
    {SLICE_INIT("usage.total"), usage, 2},
    {SLICE_INIT("items"), items, 1},
    {SLICE_INIT("a.b.c"), deep, 3},
    {SLICE_INIT(""), NULL, 0},
};

#define NONE -1.0

static double found(const struct json_watch *watch, const char *name)
{
    double number;
    return json_watch_find(watch, slice_of_text(name), &number) ? number : NONE;
}

/* In pieces of so many bytes. */
static struct json_watch read_in(const char *text, size_t size)
{
    struct json_watch watch;
    struct slice rest = slice_of_text(text);
    json_watch_init(&watch, paths, sizeof paths / sizeof *paths);
    for (; rest.size; rest = slice_from(rest, size))
        json_watch_feed(&watch, slice_head(rest, size));
    json_watch_end(&watch);
    return watch;
}

/* The same however it is cut. */
static double number_of(const char *text, const char *name)
{
    struct json_watch whole = read_in(text, strlen(text));
    double number = found(&whole, name);
    for (size_t size = 1; size < 9; size++) {
        struct json_watch watch = read_in(text, size);
        assert_true(found(&watch, name) == number);
    }
    return number;
}

#define assert_number(text, name, expected) assert_true(number_of(text, name) == (expected))

static void a_number_is_found_at_its_path_alone(void **state)
{
    (void)state;
    assert_number("{\"usage\":{\"total\":42}}", "usage.total", 42);
    assert_number(" { \"id\" : [1,{\"usage\":{\"total\":1}}], \"usage\" : { \"x\":{\"total\":2},"
                  " \"total\" : -1.5e1 , \"y\":[] } } ",
        "usage.total", -15);
    assert_number("{\"total\":1}", "usage.total", NONE);
    assert_number("{\"usage\":[{\"total\":1}]}", "usage.total", NONE);
    assert_number("{\"x\":{\"usage\":{\"total\":1}}}", "usage.total", NONE);
    assert_number("[{\"usage\":{\"total\":1}}]", "usage.total", NONE);
    assert_number("{\"usage\":{\"total\":{\"total\":1}}}", "usage.total", NONE);
    assert_number(
        "{\"a\":{\"x\":{},\"b\":{\"b\":{\"c\":1},\"c\":7},\"c\":3},\"b\":{\"c\":4}}", "a.b.c", 7);
    assert_number("{\"a\":1,\"b\":{\"c\":4}}", "a.b.c", NONE);
    assert_number("{\"a\":{\"total\":7,\"b\":{\"total\":8}}}", "usage.total", NONE);
}

static void the_last_one_counts_and_what_is_none_changes_nothing(void **state)
{
    (void)state;
    assert_number("{\"usage\":{\"total\":1,\"total\":2}}", "usage.total", 2);
    assert_number(
        "{\"usage\":{\"total\":1}}\n{\"usage\":{\"total\":3}}\n{\"usage\":null}", "usage.total", 3);
    assert_number("{\"usage\":{\"total\":1}, \"usage\":{\"total\":null}}", "usage.total", 1);
    assert_number("{\"usage\":{\"total\":true}}", "usage.total", NONE);
    assert_number("{\"usage\":{\"total\":1e999}}", "usage.total", NONE);
}

static void a_number_in_quotes_is_one(void **state)
{
    (void)state;
    assert_number(
        "{\"usage\":{\"total\":\"9007199254740993\"}}", "usage.total", 9007199254740992.0);
    assert_number("{\"usage\":{\"total\":\"0x10\"}}", "usage.total", NONE);
    assert_number("{\"usage\":{\"total\":\" 7\"}}", "usage.total", NONE);
    assert_number("{\"usage\":{\"total\":\"\"}}", "usage.total", NONE);
}

static void members_of_an_array_are_counted(void **state)
{
    (void)state;
    assert_number("{\"items\":[1,[2,3],{\"items\":[4]},\"]\",null]}", "items", 5);
    assert_number("{\"items\":[]}", "items", 0);
    assert_number("{\"items\":[1,2", "items", NONE);
    assert_number("[{},{},{}]", "", 3);
    assert_number("12", "", 12);
    assert_number("{}", "", NONE);
}

static void keys_may_be_escaped_and_strings_hold_anything(void **state)
{
    (void)state;
    assert_number("{\"us\\u0061ge\":{\"\\u0074otal\":5}}", "usage.total", 5);
    assert_number("{\"x\":\"\\\"},{\\\\\",\"usage\":{\"total\":6}}", "usage.total", 6);
    assert_number("{\"usage\\ud800\":{\"total\":5}}", "usage.total", NONE);
    assert_number("{\"usag\":{\"total\":5},\"usagee\":{\"total\":5},\"\":{\"total\":5}}",
        "usage.total", NONE);
}

static void what_is_no_json_is_left_until_the_next(void **state)
{
    (void)state;
    static const char *const wrong[] = {"[DONE]", "{\"a\" 1,", "{,", "[1 2]", "{\"a\":1]", "}", "]",
        "[}", "{\"a\":tru,", "{\"a\":01,", "{1:2,", "{\"a\":,"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct json_watch watch = read_in(wrong[i], 100);
        json_watch_feed(&watch, slice_of_text(wrong[i]));
        json_watch_feed(&watch, SLICE(" \"usage\":{\"total\":1}} {\"usage\":{\"total\":1}}"));
        assert_true(found(&watch, "usage.total") == NONE);
        json_watch_end(&watch);
        json_watch_feed(&watch, SLICE("{\"usage\":{\"total\":2}}"));
        assert_true(found(&watch, "usage.total") == 2);
    }
}

static void what_is_very_deep_or_long_takes_no_memory(void **state)
{
    (void)state;
    struct json_watch watch;
    json_watch_init(&watch, paths, 3);
    json_watch_feed(&watch, SLICE("{\"x\":\""));
    for (int i = 0; i < 100000; i++)
        json_watch_feed(&watch, SLICE("0123456789"));
    json_watch_feed(&watch, SLICE("\",\""));
    for (int i = 0; i < 1000; i++)
        json_watch_feed(&watch, SLICE("usage"));
    json_watch_feed(&watch, SLICE("\":1,\"usage\":{\"total\":1},\"x\":"));
    for (int i = 0; i < JSON_DEPTH_MAX - 1; i++)
        json_watch_feed(&watch, SLICE("["));
    for (int i = 0; i < JSON_DEPTH_MAX - 1; i++)
        json_watch_feed(&watch, SLICE("]"));
    json_watch_feed(&watch, SLICE(",\"usage\":{\"total\":2},\"x\":"));
    assert_true(found(&watch, "usage.total") == 2);
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        json_watch_feed(&watch, SLICE("["));
    for (int i = 0; i < JSON_DEPTH_MAX; i++)
        json_watch_feed(&watch, SLICE("]"));
    json_watch_feed(&watch, SLICE(",\"usage\":{\"total\":3}}"));
    assert_true(found(&watch, "usage.total") == 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_found_at_its_path_alone),
        cmocka_unit_test(the_last_one_counts_and_what_is_none_changes_nothing),
        cmocka_unit_test(a_number_in_quotes_is_one),
        cmocka_unit_test(members_of_an_array_are_counted),
        cmocka_unit_test(keys_may_be_escaped_and_strings_hold_anything),
        cmocka_unit_test(what_is_no_json_is_left_until_the_next),
        cmocka_unit_test(what_is_very_deep_or_long_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
