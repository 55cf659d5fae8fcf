#include "policy/cors_origin.h"

#include "support/unit.h"

static bool matches(const char *pattern, const char *origin)
{
    struct origin_pattern parsed;
    const char *problem = NULL;
    if (origin_pattern_parse(slice_of_text(pattern), &parsed, &problem))
        fail_msg("%s: %s", pattern, problem);
    return origin_matches(&parsed, slice_of_text(origin));
}

static void an_origin_is_just_itself(void **state)
{
    (void)state;
    assert_true(matches("https://shop.example", "https://shop.example"));
    assert_true(matches("https://shop.example:8443", "https://shop.example:8443"));
    assert_true(matches("https://[::1]:8080", "https://[::1]:8080"));
    assert_true(matches("chrome-extension://abcdef", "chrome-extension://abcdef"));
    static const char *const others[] = {"http://shop.example", "https://shop.example:8443",
        "https://shop.example.evil.example", "https://a.shop.example", "https://shop.example/",
        "https://SHOP.example", "https://shop.example ", "https://xshop.example", "null", "",
        "shop.example", "https://shop.example#", "https://user@shop.example",
        "https://shop.example:"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (matches("https://shop.example", others[i]))
            fail_msg("%s", others[i]);
}

static void a_star_is_any_name_below(void **state)
{
    (void)state;
    assert_true(matches("https://*.shop.example", "https://a.shop.example"));
    assert_true(matches("https://*.shop.example", "https://b.a.shop.example"));
    assert_true(matches("https://*.shop.example:*", "https://a.shop.example:81"));
    static const char *const others[] = {"https://shop.example", "https://.shop.example",
        "https://ashop.example", "http://a.shop.example", "https://a.shop.example:81",
        "https://evil.example/.shop.example", "https://evil.example#.shop.example",
        "https://evil.example?.shop.example", "https://evil.example\\.shop.example",
        "https://evil.example:80.shop.example", "https://a@b.shop.example",
        "https://a.shop.example."};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (matches("https://*.shop.example", others[i]))
            fail_msg("%s", others[i]);
}

static void a_star_is_any_port(void **state)
{
    (void)state;
    assert_true(matches("http://localhost:*", "http://localhost"));
    assert_true(matches("http://localhost:*", "http://localhost:3000"));
    assert_true(matches("http://[::1]:*", "http://[::1]:3000"));
    assert_false(matches("http://localhost:*", "http://localhost:"));
    assert_false(matches("http://localhost:*", "http://localhost:x"));
    assert_false(matches("http://localhost:*", "http://localhost:70000"));
    assert_false(matches("http://localhost:*", "http://localhost:3000.evil.example"));
}

static void null_is_null(void **state)
{
    (void)state;
    assert_true(matches("null", "null"));
    assert_false(matches("null", "https://null"));
}

static void what_is_no_origin_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "shop.example", "https://", "https://shop.example/",
        "https://shop.example/a", "https://Shop.example", "HTTPS://shop.example",
        "https://shop.example:443", "http://shop.example:80", "https://shop.example:0",
        "https://shop.example:99999", "https://shop.example:", "https://*shop.example",
        "https://a.*.example", "https://*", "*://shop.example", "https://[::1", "https://a b",
        "1http://a", "9http://a", "ht_tp://a", "https://*."};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct origin_pattern pattern;
        const char *problem = NULL;
        if (origin_pattern_parse(slice_of_text(wrong[i]), &pattern, &problem) != INVALID ||
            !problem)
            fail_msg("%s", wrong[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_origin_is_just_itself),
        cmocka_unit_test(a_star_is_any_name_below),
        cmocka_unit_test(a_star_is_any_port),
        cmocka_unit_test(null_is_null),
        cmocka_unit_test(what_is_no_origin_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
