/* Questions of policies: whom they go to, what is said, what comes back, and when none comes. */
#include "policy/inquiry.h"

#include "run/loop.h"
#include "support/asker.h"
#include "support/on_loop.h"

#include <stdio.h>

static struct inquiry_target target;
static struct inquiry_answer answer;

static int setup(void **state)
{
    *state = asker_new();
    answer = (struct inquiry_answer){0};
    return 0;
}

static int teardown(void **state)
{
    asker_free(*state);
    return 0;
}

static enum status point(struct asker *asker, const char *text)
{
    asker_clear(asker);
    target = (struct inquiry_target){.text = slice_of_text(text)};
    return inquiry_prepare(&asker->prepare, &target);
}

static enum status ask(struct asker *asker, const struct inquiry *inquiry)
{
    return inquiry_ask(&target, &asker->rig->x, inquiry, &asker->arena, &answer);
}

static void begin(struct asker *asker, const struct fake *fake, const char *text)
{
    asker_begin(asker, fake);
    assert_ok(point(asker, text));
}

#define OUTCOME(word) \
    "weir_inquiries_total{policy=\"auth.shop\",service=\"demo\",outcome=\"" word "\"} "

static void serve_fields(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    while (fake_read(fake, stream))
        fake_write(stream, "HTTP/1.1 403 X\r\nConnection: x-hop\r\nX-Hop: 1\r\nSet-Cookie: a=b\r\n"
                           "Set-Cookie: c=d\r\nContent-Length: 3\r\n\r\nno.");
}

static void serve_nothing(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    (void)fake_read(fake, stream);
    (void)fake_read(fake, stream);
}

/* --- tests */

static void test_get(void **state)
{
    struct asker *asker = *state;
    struct fake *fake = rig_fake(asker->rig, serve_politely, NULL);
    char wanted[256];
    begin(asker, fake, "demo/who/is?a=1");
    asker->rig->x.request_id = SLICE("r-1");
    assert_ok(ask(asker, &(struct inquiry){0}));
    assert_int_equal(answer.status, 200);
    assert_slice(answer.body, "hello");
    snprintf(wanted, sizeof wanted,
        "GET /who/is?a=1 HTTP/1.1\r\nHost: %s\r\nx-request-id: r-1\r\n\r\n", fake->text);
    assert_string_equal(fake->last, wanted);
    assert_ok(ask(asker, &(struct inquiry){.path = SLICE("/b"), .query = SLICE("c")}));
    assert_non_null(strstr(fake->last, "GET /b?c HTTP/1.1\r\n"));
    assert_int_equal(fake->connections, 1);
    assert_int_equal(asker_metric(asker, OUTCOME("2xx")), 2);
    assert_null(asker->rig->x.response.body); /* the exchange itself knows nothing of it */
    assert_int_equal(asker->rig->x.facts.tries, 0);
}

static void test_post(void **state)
{
    struct asker *asker = *state;
    struct fake *fake = rig_fake(asker->rig, serve_fields, NULL);
    struct fields fields;
    begin(asker, fake, "https://id.example:8443/introspect");
    assert_string_equal(asker->address, "https://id.example:8443");
    fields_init(&fields, &asker->arena);
    assert_ok(fields_add_known(&fields, FIELD_AUTHORIZATION, SLICE("Basic x")));
    assert_ok(ask(asker, &(struct inquiry){.fields = &fields,
                             .type = SLICE("application/x-www-form-urlencoded"),
                             .body = SLICE("token=t")}));
    assert_string_equal(fake->last,
        "POST /introspect HTTP/1.1\r\nHost: id.example:8443\r\n"
        "content-type: application/x-www-form-urlencoded\r\nauthorization: Basic x\r\n"
        "Content-Length: 7\r\n\r\ntoken=t");
    assert_int_equal(answer.status, 403);
    assert_slice(answer.body, "no.");
    assert_slice(fields_combined(&answer.fields, SLICE("set-cookie")), "a=b, c=d");
    assert_null(fields_value_named(&answer.fields, SLICE("x-hop")).data);
    assert_int_equal(asker_metric(asker, OUTCOME("4xx")), 1);
}

static void test_limits(void **state)
{
    struct asker *asker = *state;
    struct fake *fake = rig_fake(asker->rig, serve_politely, NULL);
    begin(asker, fake, "demo");
    assert_status(ask(asker, &(struct inquiry){.body_max = 4}), TOO_LARGE);
    assert_ok(ask(asker, &(struct inquiry){.body_max = 5}));
    assert_non_null(strstr(fake->last, "GET / HTTP/1.1\r\n"));
    assert_int_equal(asker_metric(asker, OUTCOME("failed")), 1);
}

static void test_no_answer(void **state)
{
    struct asker *asker = *state;
    struct fake *fake = rig_fake(asker->rig, serve_nothing, NULL);
    begin(asker, fake, "demo");
    assert_status(ask(asker, &(struct inquiry){.timeout = 10 * MILLISECOND}), UPSTREAM_TIMEOUT);
    exchange_limit(&asker->rig->x, clock_after(loop_now(), 10 * MILLISECOND), ROUTE_TIMEOUT);
    assert_true(ask(asker, &(struct inquiry){.timeout = HOUR}) != OK);
    asker->rig->x.deadline = NEVER;
    fake_stop(fake);
    assert_status(ask(asker, &(struct inquiry){0}), UPSTREAM_REFUSED);
    assert_int_equal(asker_metric(asker, OUTCOME("failed")), 3);
}

static void run_ask(void *argument)
{
    struct asker *asker = argument;
    answer.status = (int)ask(asker, &(struct inquiry){0});
}

static void test_cancelled(void **state)
{
    struct asker *asker = *state;
    struct fake *fake = rig_fake(asker->rig, serve_nothing, NULL);
    begin(asker, fake, "demo");
    struct scope scope;
    scope_init(&scope);
    assert_ok(scope_start(&scope, run_ask, asker));
    rig_until(fake->requests == 1);
    scope_end(&scope);
    assert_int_equal(answer.status, CANCELLED);
    rig_until(fake->open == 0);
}

static void run_later(void *argument, const struct exchange *aside)
{
    struct asker *asker = argument;
    assert_ok(inquiry_ask(&target, aside, &(struct inquiry){0}, &asker->arena, &answer));
}

static void test_aside(void **state)
{
    struct asker *asker = *state;
    struct fake *fake = rig_fake(asker->rig, serve_politely, NULL);
    begin(asker, fake, "demo");
    assert_ok(inquiry_begin_aside(&target, &asker->rig->x, run_later, asker));
    rig_request(asker->rig, "GET", "/the-next"); /* the one before has ended */
    rig_until(answer.status == 200);
    assert_slice(answer.body, "hello");
}

static void test_complaints(void **state)
{
    struct asker *asker = *state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"", "there is no service \"\""},
        {"dmo/x", "there is no service \"dmo\""},
        {"demo/../..", "its path is malformed"},
        {"demo/a\nb", "its path is malformed"},
        {"demo?a b", "its path is malformed"},
        {"ftp://id.example/", "a URL begins with https://"},
        {"https://id.example/%zz", "its path is malformed"},
    };
    struct fake *fake = rig_fake(asker->rig, serve_politely, NULL);
    rig_service(asker->rig, "{at: \"%s\"}", fake->text);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_status(point(asker, cases[i].text), INVALID);
        char *message = arena_text(&asker->arena, asker->rig->diagnostics.items[0].message);
        if (!strstr(message, cases[i].says))
            fail_msg("%s: %s", cases[i].text, message);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run(void)
{
    const struct CMUnitTest tests[] = {TEST(test_get), TEST(test_post), TEST(test_limits),
        TEST(test_no_answer), TEST(test_cancelled), TEST(test_aside), TEST(test_complaints)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run);
}
