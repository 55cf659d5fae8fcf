#include "http/message.h"

#include "support/unit.h"

static void methods_are_told_apart(void **state)
{
    (void)state;
    for (enum http_method method = METHOD_GET; method < METHOD_COUNT; method++)
        assert_int_equal(http_method_of(http_method_name(method)), method);
    assert_int_equal(http_method_of(SLICE("get")), METHOD_OTHER);
    assert_int_equal(http_method_of(SLICE("GETS")), METHOD_OTHER);
    assert_int_equal(http_method_of(SLICE("")), METHOD_OTHER);
    assert_slice(http_method_name(METHOD_OTHER), "");
}

static void methods_promise_what_the_standard_says(void **state)
{
    (void)state;
    assert_true(http_method_is_safe(METHOD_GET) && http_method_is_safe(METHOD_HEAD));
    assert_true(http_method_is_safe(METHOD_OPTIONS) && http_method_is_safe(METHOD_TRACE));
    assert_false(http_method_is_safe(METHOD_PUT) || http_method_is_safe(METHOD_OTHER));
    assert_true(http_method_is_idempotent(METHOD_PUT) && http_method_is_idempotent(METHOD_DELETE));
    assert_true(http_method_is_idempotent(METHOD_GET));
    assert_false(http_method_is_idempotent(METHOD_POST) || http_method_is_idempotent(METHOD_PATCH));
    assert_false(http_method_is_idempotent(METHOD_CONNECT));
}

static void statuses_have_phrases(void **state)
{
    (void)state;
    assert_slice(http_reason_phrase(100), "Continue");
    assert_slice(http_reason_phrase(200), "OK");
    assert_slice(http_reason_phrase(226), "IM Used");
    assert_slice(http_reason_phrase(308), "Permanent Redirect");
    assert_slice(http_reason_phrase(429), "Too Many Requests");
    assert_slice(http_reason_phrase(511), "Network Authentication Required");
    static const int without[] = {
        -1, 0, 7, 99, 104, 227, 306, 309, 430, 500 + 99, 600, 999, 100000};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++)
        assert_slice(http_reason_phrase(without[i]), "");
}

static void some_responses_have_no_body(void **state)
{
    (void)state;
    assert_true(http_response_has_no_body(METHOD_HEAD, 200));
    assert_true(http_response_has_no_body(METHOD_GET, 103));
    assert_true(http_response_has_no_body(METHOD_GET, 204));
    assert_true(http_response_has_no_body(METHOD_GET, 304));
    assert_true(http_response_has_no_body(METHOD_CONNECT, 200));
    assert_false(http_response_has_no_body(METHOD_CONNECT, 403));
    assert_false(http_response_has_no_body(METHOD_GET, 200));
    assert_false(http_response_has_no_body(METHOD_POST, 205));
}

static void versions_have_names(void **state)
{
    (void)state;
    assert_slice(http_version_text(HTTP_1_0), "HTTP/1.0");
    assert_slice(http_version_text(HTTP_1_1), "HTTP/1.1");
    assert_slice(http_version_text(HTTP_2), "HTTP/2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(methods_are_told_apart),
        cmocka_unit_test(methods_promise_what_the_standard_says),
        cmocka_unit_test(statuses_have_phrases),
        cmocka_unit_test(some_responses_have_no_body),
        cmocka_unit_test(versions_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
