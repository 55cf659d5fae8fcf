#include "handler/files_condition.h"

#include "support/arena_fixture.h"
#include "support/unit.h"

#define SAME_TIME "Sun, 06 Nov 1994 08:49:37 GMT"
#define EARLIER   "Sun, 06 Nov 1994 08:49:36 GMT"
#define LATER     "Sun, 06 Nov 1994 08:49:38 GMT"

static const struct validators validators = {
    .etag = SLICE_INIT("\"abc\""), .last_modified = 784111777, .now = 784111999};

/* A request with up to two fields. */
static struct http_request request_with(enum http_method method, const char *name,
    const char *value, const char *name2, const char *value2)
{
    struct http_request request = {.method = method};
    fields_init(&request.fields, &arena);
    const char *const pairs[][2] = {{name, value}, {name2, value2}};
    for (int i = 0; i < 2; i++) {
        struct slice field = slice_of_text(pairs[i][0]);
        if (field.size)
            assert_ok(
                fields_add(&request.fields, field_id_of(field), field, slice_of_text(pairs[i][1])));
    }
    return request;
}

static enum condition_verdict verdict(enum http_method method, const char *name, const char *value,
    const char *name2, const char *value2)
{
    struct http_request request = request_with(method, name, value, name2, value2);
    return condition_evaluate(&request, &validators);
}

#define get(name, value) verdict(METHOD_GET, name, value, NULL, NULL)

static void nothing_asked_nothing_checked(void **state)
{
    (void)state;
    assert_int_equal(get(NULL, NULL), CONDITION_PROCEED);
}

static void if_match_compares_strongly(void **state)
{
    (void)state;
    assert_int_equal(get("If-Match", "\"abc\""), CONDITION_PROCEED);
    assert_int_equal(get("If-Match", "\"x\", \"abc\""), CONDITION_PROCEED);
    assert_int_equal(get("If-Match", "*"), CONDITION_PROCEED);
    assert_int_equal(get("If-Match", "W/\"abc\""), CONDITION_FAILED);
    assert_int_equal(get("If-Match", "\"x\""), CONDITION_FAILED);
    assert_int_equal(get("If-Match", "abc"), CONDITION_FAILED);
    assert_int_equal(get("If-Match", ""), CONDITION_FAILED);
}

static void if_none_match_compares_weakly(void **state)
{
    (void)state;
    assert_int_equal(get("If-None-Match", "\"abc\""), CONDITION_NOT_MODIFIED);
    assert_int_equal(get("If-None-Match", "W/\"abc\""), CONDITION_NOT_MODIFIED);
    assert_int_equal(get("If-None-Match", "\"a,b\" ,, \"x\",W/\"abc\""), CONDITION_NOT_MODIFIED);
    assert_int_equal(get("If-None-Match", "*"), CONDITION_NOT_MODIFIED);
    assert_int_equal(get("If-None-Match", "\"\", \"abc\""), CONDITION_NOT_MODIFIED);
    assert_int_equal(get("If-None-Match", "\"abc"), CONDITION_PROCEED);
    assert_int_equal(get("If-None-Match", "\"ab\""), CONDITION_PROCEED);
    assert_int_equal(get("If-None-Match", "w/\"abc\""), CONDITION_PROCEED);
    assert_int_equal(get("If-None-Match", "\"x, \"abc\""), CONDITION_PROCEED);
    assert_int_equal(
        verdict(METHOD_HEAD, "If-None-Match", "*", NULL, NULL), CONDITION_NOT_MODIFIED);
    assert_int_equal(verdict(METHOD_PUT, "If-None-Match", "*", NULL, NULL), CONDITION_FAILED);
}

static void a_list_may_be_split_over_fields(void **state)
{
    (void)state;
    assert_int_equal(verdict(METHOD_GET, "If-None-Match", "\"x\"", "If-None-Match", "\"abc\""),
        CONDITION_NOT_MODIFIED);
    assert_int_equal(
        verdict(METHOD_GET, "If-Match", "\"x\"", "If-Match", "\"abc\""), CONDITION_PROCEED);
}

static void times_are_compared_by_the_second(void **state)
{
    (void)state;
    assert_int_equal(get("If-Modified-Since", SAME_TIME), CONDITION_NOT_MODIFIED);
    assert_int_equal(get("If-Modified-Since", LATER), CONDITION_NOT_MODIFIED);
    assert_int_equal(get("If-Modified-Since", EARLIER), CONDITION_PROCEED);
    assert_int_equal(get("If-Modified-Since", "yesterday"), CONDITION_PROCEED);
    assert_int_equal(
        verdict(METHOD_PUT, "If-Modified-Since", LATER, NULL, NULL), CONDITION_PROCEED);
    assert_int_equal(get("If-Unmodified-Since", SAME_TIME), CONDITION_PROCEED);
    assert_int_equal(get("If-Unmodified-Since", LATER), CONDITION_PROCEED);
    assert_int_equal(get("If-Unmodified-Since", EARLIER), CONDITION_FAILED);
    assert_int_equal(get("If-Unmodified-Since", "yesterday"), CONDITION_PROCEED);
}

/* RFC 9110 §13.2.2 */
static void tags_go_before_times(void **state)
{
    (void)state;
    assert_int_equal(verdict(METHOD_GET, "If-Match", "\"abc\"", "If-Unmodified-Since", EARLIER),
        CONDITION_PROCEED);
    assert_int_equal(verdict(METHOD_GET, "If-None-Match", "\"x\"", "If-Modified-Since", LATER),
        CONDITION_PROCEED);
    assert_int_equal(
        verdict(METHOD_GET, "If-Match", "\"x\"", "If-None-Match", "\"abc\""), CONDITION_FAILED);
    assert_int_equal(verdict(METHOD_GET, "If-Match", "\"abc\"", "If-None-Match", "\"abc\""),
        CONDITION_NOT_MODIFIED);
    assert_int_equal(verdict(METHOD_GET, "If-Unmodified-Since", LATER, "If-None-Match", "\"abc\""),
        CONDITION_NOT_MODIFIED);
}

static bool if_range(const char *value)
{
    struct http_request request = request_with(METHOD_GET, "If-Range", value, NULL, NULL);
    return condition_if_range(&request, &validators);
}

static void if_range_wants_just_this_one(void **state)
{
    (void)state;
    struct http_request none = request_with(METHOD_GET, NULL, NULL, NULL, NULL);
    assert_true(condition_if_range(&none, &validators));
    assert_true(if_range("\"abc\""));
    assert_false(if_range("W/\"abc\""));
    assert_false(if_range("\"x\""));
    assert_false(if_range("\"abc\", \"abc\""));
    assert_true(if_range(SAME_TIME));
    assert_false(if_range(EARLIER));
    assert_false(if_range(LATER)); /* not "unmodified since": just this time */
    struct http_request request = request_with(METHOD_GET, "If-Range", SAME_TIME, NULL, NULL);
    struct validators fresh = validators;
    fresh.now = fresh.last_modified;
    assert_false(condition_if_range(&request, &fresh)); /* it may change in this second */
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, arena_setup, arena_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(nothing_asked_nothing_checked),
        EACH(if_match_compares_strongly),
        EACH(if_none_match_compares_weakly),
        EACH(a_list_may_be_split_over_fields),
        EACH(times_are_compared_by_the_second),
        EACH(tags_go_before_times),
        EACH(if_range_wants_just_this_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
