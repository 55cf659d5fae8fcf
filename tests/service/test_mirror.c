/* Copies of requests: who gets them, what the original sees of it, and what is compared. */
#include "support/service_rig.h"

#include "run/loop.h"
#include "service/plane.h"
#include "support/on_loop.h"

#include <stdio.h>
#include <stdlib.h>

static const struct service *find(void *argument, struct slice name)
{
    const struct service *service = argument;
    for (size_t i = 0; i < service_version_count(service); i++)
        if (slice_equal(service_name(service_version(service, i)), name))
            return service_version(service, i);
    return NULL;
}

/* v1 gets everything, v2 is its mirror, as `mirror` says. */
static void make(struct rig *rig, const struct fake *one, const struct fake *two, const char *more)
{
    rig_service(rig,
        "{stay: none, versions: {v1: \"%s\", v2: {at: \"%s\", share: 0%%}}, mirror: "
        "{to: demo.v2%s}}",
        one->text, two->text, more);
    struct reader reader = {.arena = &rig->snapshot, .diagnostics = &rig->diagnostics};
    service_link(rig->service, &reader, find, (void *)rig->service);
    assert_int_equal(rig->diagnostics.errors, 0);
}

static uint64_t value(struct rig *rig, const char *line)
{
    struct text text = text_growing(0);
    metrics_export(rig->metrics, &text);
    text_add_char(&text, '\0');
    const char *found = strstr(text.data, line);
    uint64_t number = found ? strtoull(found + strlen(line), NULL, 10) : 0;
    text_release(&text);
    return number;
}

#define REQUESTS(result) \
    "weir_mirror_requests_total{service=\"demo\",to=\"demo.v2\",result=\"" result "\"} "
#define BODIES(result) \
    "weir_mirror_bodies_total{service=\"demo\",to=\"demo.v2\",result=\"" result "\"} "
#define DROPPED(reason) \
    "weir_mirror_dropped_total{service=\"demo\",to=\"demo.v2\",reason=\"" reason "\"} "

static void serve_otherwise(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    while (fake_read(fake, stream))
        fake_answer(stream, 200, "other");
}

static void serve_never(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    fake_read(fake, stream);
    fake_read(fake, stream);
}

static void serve_failure(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    while (fake_read(fake, stream))
        fake_answer(stream, 500, "hello");
}

static void test_copy(void **state)
{
    struct rig *rig = *state;
    struct fake *one = rig_fake(rig, serve_politely, NULL);
    struct fake *two = rig_fake(rig, serve_politely, NULL);
    make(rig, one, two, ", compare: body");
    rig_request(rig, "GET", "/a");
    rig->x.request.query = SLICE("b=c");
    assert_ok(fields_add(&rig->x.request.fields, FIELD_OTHER, SLICE("x-mine"), SLICE("1")));
    assert_ok(rig_call(rig));
    assert_slice(rig_body(rig), "hello");
    assert_slice(rig->x.facts.service, "demo.v1");
    rig_request(rig, "GET", "/end-of-the-first"); /* which drops its answer */
    rig_until(value(rig, REQUESTS("same-status")) == 1);
    assert_string_equal(two->last, "GET /a?b=c HTTP/1.1\r\nHost: shop.example\r\nx-mine: 1\r\n"
                                   "X-Weir-Mirror: demo\r\n\r\n");
    assert_null(strstr(one->last, "X-Weir-Mirror"));
    assert_int_equal(value(rig, BODIES("same")), 1);
    assert_non_null(strstr(rig_describe(rig), "\"running\":0"));
}

static void test_differences(void **state)
{
    struct rig *rig = *state;
    struct fake *one = rig_fake(rig, serve_politely, NULL);
    struct fake *two = rig_fake(rig, serve_otherwise, NULL);
    struct fake *three = rig_fake(rig, serve_failure, NULL);
    make(rig, one, two, ", compare: body");
    rig_expect(rig, "hello");
    rig_request(rig, "GET", "/");
    rig_until(value(rig, BODIES("different")) == 1);
    make(rig, one, three, "");
    rig_expect(rig, "hello");
    rig_until(value(rig, REQUESTS("other-status")) == 1);
    make(rig, three, two, "");
    assert_ok(rig_get(rig, "/"));
    assert_int_equal(rig->x.response.status, 500);
    rig_until(value(rig, REQUESTS("other-status")) == 2);
}

/* It neither waits for the copy nor hears of it. */
static void test_mirror_that_is_silent(void **state)
{
    struct rig *rig = *state;
    struct fake *one = rig_fake(rig, serve_politely, NULL);
    struct fake *two = rig_fake(rig, serve_never, NULL);
    make(rig, one, two, ", timeout: 50ms, copies: 2");
    for (int i = 0; i < 5; i++)
        rig_expect(rig, "hello");
    assert_int_equal(value(rig, DROPPED("busy")), 3);
    rig_until(value(rig, REQUESTS("no-answer")) == 2);
    fake_stop(two);
    rig_expect(rig, "hello");
    rig_until(value(rig, REQUESTS("no-answer")) == 3);
    assert_int_equal(two->requests, 2); /* and none was asked twice */
}

static void test_bodies(void **state)
{
    struct rig *rig = *state;
    struct fake *one = rig_fake(rig, serve_politely, NULL);
    struct fake *two = rig_fake(rig, serve_politely, NULL);
    make(rig, one, two, ", unsafe: true, body: 8B");
    rig_request(rig, "POST", "/");
    rig_request_body(rig, "12345678");
    assert_ok(rig_call(rig));
    assert_slice(rig_body(rig), "hello");
    rig_until(value(rig, REQUESTS("same-status")) == 1);
    assert_non_null(strstr(two->last, "\r\nContent-Length: 8\r\n\r\n12345678"));
    rig_request(rig, "POST", "/");
    rig_request_body(rig, "123456789");
    assert_ok(rig_call(rig));
    assert_slice(rig_body(rig), "hello");
    assert_int_equal(value(rig, DROPPED("too-large")), 1);
    rig_request(rig, "POST", "/");
    rig_request_body(rig, "123456789");
    rig->x.request.body->length = BODY_LENGTH_UNKNOWN;
    assert_ok(rig_call(rig));
    assert_slice(rig_body(rig), "hello");
    assert_int_equal(value(rig, DROPPED("too-large")), 2);
    assert_int_equal(two->requests, 1);
}

static void test_who_is_not_copied(void **state)
{
    struct rig *rig = *state;
    struct fake *one = rig_fake(rig, serve_politely, NULL);
    struct fake *two = rig_fake(rig, serve_politely, NULL);
    make(rig, one, two, "");
    rig_request(rig, "DELETE", "/");
    assert_ok(rig_call(rig));
    assert_slice(rig_body(rig), "hello");
    rig_request(rig, "GET", "/");
    assert_ok(fields_add(&rig->x.request.fields, FIELD_OTHER, SLICE("x-weir-mirror"), SLICE("a")));
    assert_ok(rig_call(rig));
    assert_slice(rig_body(rig), "hello");
    make(rig, one, two, ", share: 0%");
    rig_expect(rig, "hello");
    fiber_sleep_until(loop_now() + 20 * MILLISECOND);
    assert_int_equal(two->requests, 0);
}

static void test_share(void **state)
{
    struct rig *rig = *state;
    struct fake *one = rig_fake(rig, serve_politely, NULL);
    struct fake *two = rig_fake(rig, serve_politely, NULL);
    make(rig, one, two, ", share: 50%");
    for (int i = 0; i < 100; i++)
        rig_expect(rig, "hello");
    rig_until(strstr(rig_describe(rig), "\"running\":0"));
    assert_in_range(two->requests, 25, 75);
}

/* The worker ends, and with it the copies that are under way. Nobody holds the configuration for
 * them here, so they end before rig_free takes it away, and it finds nothing left. */
static void test_end(void **state)
{
    struct rig *rig = *state;
    struct fake *one = rig_fake(rig, serve_politely, NULL);
    struct fake *two = rig_fake(rig, serve_never, NULL);
    make(rig, one, two, ", timeout: 1h");
    rig_expect(rig, "hello");
    rig_until(two->requests == 1);
    scope_end(&rig->plane->asides[0]);
    assert_non_null(strstr(rig_describe(rig), "\"running\":0"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

static int run_all(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_copy),
        TEST(test_differences),
        TEST(test_mirror_that_is_silent),
        TEST(test_bodies),
        TEST(test_who_is_not_copied),
        TEST(test_share),
        TEST(test_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
