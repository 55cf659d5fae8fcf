#include "http/uri.h"

#include "support/unit.h"

static int setup(void **state)
{
    static struct arena arena;
    arena_init(&arena, 0, 0);
    *state = &arena;
    return 0;
}

static int teardown(void **state)
{
    arena_release(*state);
    return 0;
}

struct path_case {
    const char *from, *to; /* NULL: BAD_PATH */
};

static void check_paths(
    struct arena *arena, enum encoded_slash slashes, const struct path_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct slice path = slice_of_text("untouched"), again;
        enum status e = uri_normalise_path(arena, slice_of_text(cases[i].from), slashes, &path);
        const char *want = cases[i].to ? cases[i].to : "untouched";
        if (e != (cases[i].to ? OK : BAD_PATH) || !slice_equal(path, slice_of_text(want)))
            fail_msg("%s: %s, %.*s", cases[i].from, status_word(e), SLICE_ARG(path));
        if (e)
            continue;
        assert_ok(uri_normalise_path(arena, path, slashes, &again));
        assert_true(slice_equal(path, again));
    }
}

#define CHECK_PATHS(arena, slashes, cases) \
    check_paths(arena, slashes, cases, sizeof cases / sizeof *cases)

static void paths_have_one_form(void **state)
{
    static const struct path_case cases[] = {
        {"/", "/"},
        {"/a/b.c/d", "/a/b.c/d"},
        {"/a//b///", "/a//b///"},
        {"/%61%2d%7E", "/a-~"},
        {"/%c3%a9%3f%23", "/%C3%A9%3F%23"},
        {"/a%20b", "/a%20b"},
        {"/a|b\"<>^`{}[]", "/a%7Cb%22%3C%3E%5E%60%7B%7D%5B%5D"},
        {"/a;p=1,2@:!$&'()*+,=", "/a;p=1,2@:!$&'()*+,="},
        {"/.", "/"},
        {"/a/.", "/a/"},
        {"/a/./b", "/a/b"},
        {"/./a", "/a"},
        {"/a/..", "/"},
        {"/a/b/..", "/a/"},
        {"/a/b/../c", "/a/c"},
        {"/a/b/../../c", "/c"},
        {"/a//../b", "/a/b"},
        {"/a/%2e%2E/b", "/b"},
        {"/a/.%2e/b/%2e", "/b/"},
        {"/...", "/..."},
        {"/.a/..b/c.", "/.a/..b/c."},
        {"/%252e%252e/%252F", "/%252e%252e/%252F"},
    };
    CHECK_PATHS(*state, ENCODED_SLASH_REFUSE, cases);
}

static void bad_paths_are_refused(void **state)
{
    static const struct path_case cases[] = {
        {"", NULL},
        {"a", NULL},
        {"*", NULL},
        {"/..", NULL},
        {"/../", NULL},
        {"/a/../..", NULL},
        {"/a/../../b", NULL},
        {"/%2e%2e", NULL},
        {"/%", NULL},
        {"/%4", NULL},
        {"/%4g", NULL},
        {"/%g4", NULL},
        {"/%%41", NULL},
        {"/%00", NULL},
        {"/%0d%0a", NULL},
        {"/%1F", NULL},
        {"/%7f", NULL},
        {"/a\\b", NULL},
        {"/a%5cb", NULL},
        {"/a%2fb", NULL},
        {"/a%2Fb", NULL},
        {"/a\tb", NULL},
        {"/a b", NULL},
        {"/\xc3\xa9", NULL},
        {"/a#b", NULL},
        {"/a?b", NULL},
        {"/..;/a", NULL},
        {"/a/..;x=1/b", NULL},
        {"/a/.;x", NULL},
        {"/a/%2e.;x", NULL},
    };
    CHECK_PATHS(*state, ENCODED_SLASH_REFUSE, cases);
    struct slice path;
    assert_status(uri_normalise_path(*state, SLICE("/a\0b"), ENCODED_SLASH_KEEP, &path), BAD_PATH);
}

static void encoded_slashes_follow_the_option(void **state)
{
    static const struct path_case kept[] = {
        {"/a%2fb", "/a%2Fb"},
        {"/a%2Fb/../c", "/c"},
        {"/..%2fa", NULL},
        {"/a%2f..", NULL},
        {"/a%2f%2e%2fb", NULL},
        {"/a%2f..;x", NULL},
        {"/a%2f...", "/a%2F..."},
        {"/a%2f%2f", "/a%2F%2F"},
    };
    static const struct path_case decoded[] = {
        {"/a%2fb", "/a/b"},
        {"/a%2f..%2fb", "/b"},
        {"/a/..%2f..%2fb", NULL},
        {"/%2f", "//"},
        {"/%252f", "/%252f"},
    };
    CHECK_PATHS(*state, ENCODED_SLASH_KEEP, kept);
    CHECK_PATHS(*state, ENCODED_SLASH_DECODE, decoded);
}

static void a_normal_path_is_not_copied(void **state)
{
    struct slice path = SLICE("/users/7/orders.json"), same;
    assert_ok(uri_normalise_path(*state, path, ENCODED_SLASH_REFUSE, &same));
    assert_ptr_equal(path.data, same.data);
}

static void authorities_are_divided(void **state)
{
    static const struct {
        const char *from, *host; /* host NULL: BAD_HOST */
        uint16_t port;
    } cases[] = {
        {"a", "a", 0},
        {"Example.COM:8080", "example.com", 8080},
        {"my_service-1.x.", "my_service-1.x.", 0},
        {"127.0.0.1:65535", "127.0.0.1", 65535},
        {"[::1]", "::1", 0},
        {"[2001:DB8:0:0::1]:443", "2001:db8::1", 443},
        {"[::ffff:1.2.3.4]:1", "::ffff:1.2.3.4", 1},
        {"", NULL, 0},
        {":80", NULL, 0},
        {"a:", NULL, 0},
        {"a:0", NULL, 0},
        {"a:65536", NULL, 0},
        {"a:000080", NULL, 0},
        {"a:+80", NULL, 0},
        {"a:80 ", NULL, 0},
        {"a:80:81", NULL, 0},
        {"a b", NULL, 0},
        {"a/b", NULL, 0},
        {"user@a", NULL, 0},
        {"user:pass@a", NULL, 0},
        {"a,b", NULL, 0},
        {"a%2eb", NULL, 0},
        {"\xc3\xa9", NULL, 0},
        {"a\tb", NULL, 0},
        {".a", NULL, 0},
        {"a..b", NULL, 0},
        {".", NULL, 0},
        {"[::1", NULL, 0},
        {"[]", NULL, 0},
        {"[1.2.3.4]", NULL, 0},
        {"[fe80::1%eth0]", NULL, 0},
        {"[::1]x", NULL, 0},
        {"[v1.x]", NULL, 0},
        {"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]", NULL, 0},
        {"::1", NULL, 0},
        {"a]", NULL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice host = SLICE("untouched");
        uint16_t port = 7;
        enum status e = uri_parse_authority(*state, slice_of_text(cases[i].from), &host, &port);
        const char *want = cases[i].host ? cases[i].host : "untouched";
        if (e != (cases[i].host ? OK : BAD_HOST) || !slice_equal(host, slice_of_text(want)) ||
            port != (cases[i].host ? cases[i].port : 7))
            fail_msg("%s: %s, %.*s, %u", cases[i].from, status_word(e), SLICE_ARG(host), port);
    }
    struct slice host;
    uint16_t port;
    assert_status(uri_parse_authority(*state, SLICE("a\0b"), &host, &port), BAD_HOST);
    assert_status(uri_parse_authority(*state, SLICE("[::1\0]"), &host, &port), BAD_HOST);
}

static void queries_are_walked(void **state)
{
    (void)state;
    struct slice rest = SLICE("a=1&&b&=x&c=2=3&"), name, value;
    static const char *const want[][2] = {{"a", "1"}, {"b", ""}, {"", "x"}, {"c", "2=3"}};
    for (size_t i = 0; i < 4; i++) {
        assert_true(uri_query_next(&rest, &name, &value));
        assert_true(slice_equal(name, slice_of_text(want[i][0])));
        assert_true(slice_equal(value, slice_of_text(want[i][1])));
    }
    assert_false(uri_query_next(&rest, &name, &value));
    rest = SLICE_NONE;
    assert_false(uri_query_next(&rest, &name, &value));
}

static void a_query_value_is_decoded(void **state)
{
    struct slice query = SLICE("a=1&p%61ge=x+y%26&empty&bad=%4&page=second");
    assert_true(slice_equal(uri_query_value(*state, query, SLICE("page")), SLICE("x y&")));
    struct slice empty = uri_query_value(*state, query, SLICE("empty"));
    assert_true(empty.data && empty.size == 0);
    assert_null(uri_query_value(*state, query, SLICE("none")).data);
    assert_null(uri_query_value(*state, query, SLICE("bad")).data);
    assert_null(uri_query_value(*state, SLICE_NONE, SLICE("a")).data);
}

static void parameters_are_left_out(void **state)
{
    static const struct {
        const char *query, *rest;
    } rows[] = {{"key=1", NULL}, {"a=1&key=2&b=3", "a=1&b=3"}, {"key&a&k%65y=x&", "a&"},
        {"keys=1&xkey=2", "keys=1&xkey=2"}, {"a=%zz&key=1&%zz", "a=%zz&%zz"}, {"", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slice rest;
        assert_ok(uri_query_without(*state, slice_of_text(rows[i].query), SLICE("key"), &rest));
        assert_slices(rest, slice_of_text(rows[i].rest));
    }
}

static void escapes_go_both_ways(void **state)
{
    struct slice got, plain = SLICE("plain+");
    assert_ok(uri_decode(*state, plain, false, &got));
    assert_ptr_equal(got.data, plain.data);
    assert_ok(uri_decode(*state, SLICE("a+b%2f%00"), true, &got));
    assert_true(slice_equal(got, SLICE("a b/\0")));
    assert_status(uri_decode(*state, SLICE("%zz"), false, &got), INVALID);
    assert_status(uri_decode(*state, SLICE("a%"), false, &got), INVALID);
    assert_true(slice_equal(uri_encode(*state, SLICE("a b\xff~")), SLICE("a%20b%FF~")));
    assert_true(slice_equal(uri_encode(*state, SLICE("a/b")), SLICE("a%2Fb")));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(paths_have_one_form),
        TEST(bad_paths_are_refused),
        TEST(encoded_slashes_follow_the_option),
        TEST(a_normal_path_is_not_copied),
        TEST(authorities_are_divided),
        TEST(queries_are_walked),
        TEST(a_query_value_is_decoded),
        TEST(escapes_go_both_ways),
        TEST(parameters_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
