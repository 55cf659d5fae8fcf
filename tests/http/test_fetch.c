/* The control thread's client: where it asks, what it sends, and when a connection is kept. */
#include "http/fetch.h"
#include "run/loop.h"
#include "support/service_rig.h"
#include "support/on_loop.h"

#include <stdio.h>

struct asking {
    struct arena arena;
    struct fetch_place place;
    struct fetch fetch;
};

static void begin(struct asking *a, const char *url)
{
    const char *problem;
    arena_init(&a->arena, 0, 0);
    assert_ok(fetch_place_parse(&a->arena, slice_of_text(url), &a->place, &problem));
    fetch_init(&a->fetch, &a->place, NULL, NULL);
}

static struct fake *begin_with(struct rig *rig,
    void (*serve)(struct fake *fake, struct stream *stream, int number), const char *path,
    struct asking *a)
{
    char url[100];
    struct fake *fake = rig_fake(rig, serve, NULL);
    snprintf(url, sizeof url, "http://%s%s", fake->text, path);
    begin(a, url);
    return fake;
}

static void end(struct asking *a)
{
    fetch_close(&a->fetch);
    arena_release(&a->arena);
}

static enum status get(struct asking *a, const char *target)
{
    const struct fetch_field fields[] = {{"X-Token", SLICE("secret")}, {"X-None", SLICE("")}};
    const struct fetch_question question = {
        .method = "GET", .target = slice_of_text(target), .fields = fields, .field_count = 2};
    return fetch_ask(&a->fetch, &question, &a->arena, loop_now() + SECOND);
}

static void expect(struct asking *a, const char *body)
{
    struct slice bytes;
    assert_ok(fetch_read_all(&a->fetch, 1000, loop_now() + SECOND, &bytes));
    assert_slices(bytes, slice_of_text(body));
    fetch_done(&a->fetch);
}

static void test_places(void **state)
{
    (void)state;
    struct asking a;
    begin(&a, "https://consul.internal/base?x=1");
    assert_slice(a.place.host, "consul.internal");
    assert_slice(a.place.path, "/base?x=1");
    assert_int_equal(a.place.port, 443);
    assert_true(a.place.is_tls);
    end(&a);
    begin(&a, "http://[::1]:8500");
    assert_slice(a.place.host, "::1");
    assert_int_equal(a.place.port, 8500);
    assert_int_equal(a.place.path.size, 0);
    end(&a);
    begin(&a, "unix:/run/x.sock");
    assert_true(a.place.is_local);
    end(&a);
}

static void test_bad_places(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "consul:8500", "ftp://x", "http://", "http:///x",
        "http://h:0", "http://h:x", "http://a b", "http://h/a b", "http://h/a\nb",
        "unix:", "http://user@h"};
    struct arena arena;
    arena_init(&arena, 0, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct fetch_place place;
        const char *problem = "";
        if (fetch_place_parse(&arena, slice_of_text(bad[i]), &place, &problem) != INVALID ||
            !*problem)
            fail_msg("%s was taken", bad[i]);
    }
    arena_release(&arena);
}

static void test_a_connection_is_kept(void **state)
{
    struct asking a;
    struct fake *fake = begin_with(*state, serve_politely, "/base", &a);
    assert_ok(get(&a, "/x?y=1"));
    assert_int_equal(a.fetch.response.status, 200);
    expect(&a, "hello");
    assert_non_null(strstr(fake->last, "GET /base/x?y=1 HTTP/1.1\r\n"));
    assert_non_null(strstr(fake->last, "X-Token: secret\r\n"));
    assert_null(strstr(fake->last, "X-None"));
    assert_ok(get(&a, "/again"));
    expect(&a, "hello");
    assert_int_equal(fake->connections, 1);
    assert_ok(get(&a, "/unread"));
    assert_ok(get(&a, "/anew")); /* what was not read is in the way */
    expect(&a, "hello");
    assert_int_equal(fake->connections, 2);
    end(&a);
}

static void serve_once(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    if (fake_read(fake, stream))
        fake_answer(stream, 200, "hello");
}

static void serve_badly(struct fake *fake, struct stream *stream, int number)
{
    if (fake_read(fake, stream) && number > 1)
        fake_write(stream, "nonsense\r\n\r\n");
}

static void test_a_connection_that_went(void **state)
{
    struct asking a;
    struct fake *fake = begin_with(*state, serve_once, "", &a);
    assert_ok(get(&a, "/"));
    expect(&a, "hello");
    rig_until(fake->open == 0);
    fiber_sleep_until(loop_now() + MILLISECOND);
    assert_ok(get(&a, "/"));
    expect(&a, "hello");
    assert_int_equal(fake->connections, 2);
    end(&a);
}

static void test_what_goes_wrong(void **state)
{
    struct asking a;
    struct fake *fake = begin_with(*state, serve_badly, "", &a);
    assert_status(get(&a, "/"), CLOSED);
    assert_string_equal(a.fetch.trouble, "it closed the connection");
    assert_status(get(&a, "/"), INVALID);
    assert_string_equal(a.fetch.trouble, "its answer is not HTTP");
    fake_stop(fake);
    assert_status(get(&a, "/"), REFUSED);
    assert_string_equal(a.fetch.trouble, "connection refused");
    end(&a);
    begin(&a, "http://nowhere.internal");
    assert_status(get(&a, "/"), NOT_FOUND);
    end(&a);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

static int run_all(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_bad_places),
        RIG_TEST(test_a_connection_is_kept),
        RIG_TEST(test_a_connection_that_went),
        RIG_TEST(test_what_goes_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
