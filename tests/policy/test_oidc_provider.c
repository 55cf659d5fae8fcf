#include "policy/oidc_provider.h"

#include "support/arena_fixture.h"
#include "support/unit.h"

#define ISSUER "https://id.example"
#define KEYS   ",\"jwks_uri\":\"https://keys.example/jwks.json\""

static enum status read_as(
    const char *issuer, const char *text, struct oidc_provider *ret_provider, const char **ret_why)
{
    enum status e = oidc_provider_read(
        &arena, slice_of_text(text), slice_of_text(issuer), ret_provider, ret_why);
    if (e == OK) {
        struct oidc_provider copy;
        assert_ok(oidc_provider_copy(&arena, ret_provider, &copy));
        assert_true(slice_equal(copy.keys, ret_provider->keys));
        assert_true(slice_equal(copy.token_endpoint, ret_provider->token_endpoint));
        assert_true(slice_equal(copy.userinfo_endpoint, ret_provider->userinfo_endpoint));
        assert_ptr_not_equal(copy.keys.data, ret_provider->keys.data);
    }
    return e;
}

static void a_provider_says_where_things_are(void **state)
{
    struct oidc_provider provider;
    const char *why;
    (void)state;
    assert_ok(read_as(ISSUER,
        "{\"issuer\":\"" ISSUER "\"" KEYS
        ",\"authorization_endpoint\":\"https://id.example/a?x=1\","
        "\"token_endpoint\":\"https://id.example/t\",\"end_session_endpoint\":null,\"else\":[{}],"
        "\"userinfo_endpoint\":\"https://other.example/u\"}",
        &provider, &why));
    assert_slice(provider.issuer, ISSUER);
    assert_slice(provider.keys, "https://keys.example/jwks.json");
    assert_slice(provider.authorization_endpoint, "https://id.example/a?x=1");
    assert_slice(provider.token_endpoint, "https://id.example/t");
    assert_slice(provider.userinfo_endpoint, "https://other.example/u");
    assert_int_equal(provider.end_session_endpoint.size, 0);
}

static void nonsense_is_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "its document is not JSON"},
        {"{", "its document is not JSON"},
        {"[]", "its document is of another issuer"},
        {"{" KEYS "}", "its document is not JSON"},
        {"{\"issuer\":\"https://id.example/\"" KEYS "}", "its document is of another issuer"},
        {"{\"issuer\":\"https://ID.example\"" KEYS "}", "its document is of another issuer"},
        {"{\"issuer\":[\"https://id.example\"]" KEYS "}", "its document is of another issuer"},
        {"{\"issuer\":\"" ISSUER "\",\"issuer\":\"x\"" KEYS "}", "its document is not JSON"},
        {"{\"issuer\":\"" ISSUER "\"}", "its document does not say where its keys are"},
        {"{\"issuer\":\"" ISSUER "\",\"jwks_uri\":7}", "its \"jwks_uri\" is not a text"},
        {"{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"\"}", "its \"jwks_uri\" is not https"},
        {"{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"file:///etc/passwd\"}",
            "its \"jwks_uri\" is not https"},
        {"{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"unix:/run/x\"}",
            "its \"jwks_uri\" is not https"},
        {"{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"http://127.0.0.1/keys\"}",
            "its \"jwks_uri\" is not https"},
        {"{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"https://a b/\"}",
            "its \"jwks_uri\" is not a URL"},
        {"{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"https://u@h/\"}",
            "its \"jwks_uri\" is not a URL"},
        {"{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"https://h/a\\r\\nX: y\"}",
            "its \"jwks_uri\" is not a URL"},
        {"{\"issuer\":\"" ISSUER "\",\"jwks_uri\":\"https://h/#x\"}",
            "its \"jwks_uri\" has a fragment"},
        {"{\"issuer\":\"" ISSUER "\"" KEYS ",\"token_endpoint\":\"http://id.example/t\"}",
            "its \"token_endpoint\" is not https"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct oidc_provider provider;
        const char *why = "";
        assert_status(read_as(ISSUER, rows[i].text, &provider, &why), INVALID);
        assert_string_equal(why, rows[i].why);
    }
}

static void what_is_not_said_is_usual(void **state)
{
    static const struct {
        const char *methods;
        bool is_posted;
    } rows[] = {
        {"", false},
        {",\"token_endpoint_auth_methods_supported\":[]", false},
        {",\"token_endpoint_auth_methods_supported\":\"client_secret_post\"", false},
        {",\"token_endpoint_auth_methods_supported\":[1,\"client_secret_post\"]", true},
        {",\"token_endpoint_auth_methods_supported\":[\"client_secret_post\","
         "\"client_secret_basic\"]",
            false},
    };
    struct oidc_provider provider, copy;
    const char *why;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slice text =
            arena_format(&arena, "{\"issuer\":\"" ISSUER "\"" KEYS "%s}", rows[i].methods);
        assert_ok(read_as(ISSUER, text.data, &provider, &why));
        assert_int_equal(provider.wants_posted_secret, rows[i].is_posted);
        assert_false(provider.names_issuer);
    }
    assert_ok(read_as(ISSUER,
        "{\"issuer\":\"" ISSUER "\"" KEYS
        ",\"authorization_response_iss_parameter_supported\":true}",
        &provider, &why));
    assert_ok(oidc_provider_copy(&arena, &provider, &copy));
    assert_true(copy.names_issuer);
}

static void plain_http_is_for_this_machine(void **state)
{
    static const char *const good[] = {"http://127.0.0.1:8080", "http://127.9.9.9",
        "http://[::1]:1", "http://localhost/realms/shop"};
    static const char *const bad[] = {"http://id.example", "http://128.0.0.1", "http://[::2]",
        "http://localhost.example", "http://127.0.0.1.example", "HTTP://127.0.0.1",
        "ftp://127.0.0.1"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_null(oidc_url_problem(&arena, slice_of_text(good[i]), true));
        assert_non_null(oidc_url_problem(&arena, slice_of_text(good[i]), false));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_non_null(oidc_url_problem(&arena, slice_of_text(bad[i]), true));
    assert_null(oidc_url_problem(&arena, SLICE("https://id.example/x"), false));
    struct oidc_provider provider;
    const char *why;
    assert_ok(read_as("http://127.0.0.1:1",
        "{\"issuer\":\"http://127.0.0.1:1\",\"jwks_uri\":\"http://127.0.0.1:1/k\"}", &provider,
        &why));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_provider_says_where_things_are),
        TEST(nonsense_is_refused),
        TEST(what_is_not_said_is_usual),
        TEST(plain_http_is_for_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
