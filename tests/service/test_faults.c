/* Calls of a service whose endpoints misbehave in every way there is. After each fault the next
 * request must be served. */
#include "support/service_rig.h"

#include "run/loop.h"
#include "support/on_loop.h"

#include <unistd.h>

/* --- what goes wrong: each serve function misbehaves on the first connection, and behaves on later
 * ones */

static bool behaves(struct fake *fake, struct stream *stream, int number)
{
    if (number == 1)
        return false;
    serve_politely(fake, stream, number);
    return true;
}

static void close_at_once(struct fake *fake, struct stream *stream, int number)
{
    behaves(fake, stream, number);
}

static void close_after_request(struct fake *fake, struct stream *stream, int number)
{
    if (!behaves(fake, stream, number))
        fake_read(fake, stream);
}

/* What the test's context says, then closes. */
static void say_and_close(struct fake *fake, struct stream *stream, int number)
{
    if (!behaves(fake, stream, number) && fake_read(fake, stream))
        fake_write(stream, fake->context);
}

static void say_and_stay(struct fake *fake, struct stream *stream, int number)
{
    if (behaves(fake, stream, number) || !fake_read(fake, stream))
        return;
    fake_write(stream, fake->context);
    fake_read_head(fake, stream);
}

static void say_nothing(struct fake *fake, struct stream *stream, int number)
{
    if (!behaves(fake, stream, number))
        fake_read(fake, stream), fake_read(fake, stream);
}

struct fault {
    const char *name;
    void (*serve)(struct fake *fake, struct stream *stream, int number);
    const char *says;
    enum status outcome; /* of the call */
    enum status end;     /* of the body, when there is an answer */
};

static const struct fault faults[] = {
    {"closes at once", close_at_once, NULL, UPSTREAM_CLOSED, OK},
    {"closes after the request", close_after_request, NULL, UPSTREAM_CLOSED, OK},
    {"closes within the head", say_and_close, "HTTP/1.1 200 OK\r\nContent-Le", UPSTREAM_CLOSED, OK},
    {"closes after the head", say_and_close, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", OK,
        UPSTREAM_INCOMPLETE},
    {"closes within the body", say_and_close, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", OK,
        UPSTREAM_INCOMPLETE},
    {"closes within a chunk", say_and_close,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", OK, UPSTREAM_INCOMPLETE},
    {"closes before the last chunk", say_and_close,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", OK,
        UPSTREAM_INCOMPLETE},
    {"garbage", say_and_stay, "\x16\x03\x01 this is not HTTP\r\n\r\n", UPSTREAM_PROTOCOL, OK},
    {"a bad chunk", say_and_stay, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        OK, UPSTREAM_PROTOCOL},
    {"two lengths", say_and_stay,
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", UPSTREAM_PROTOCOL,
        OK},
    {"length and chunks", say_and_stay,
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        UPSTREAM_PROTOCOL, OK},
    {"switches protocols", say_and_stay, "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
        UPSTREAM_PROTOCOL, OK},
    {"says nothing", say_nothing, NULL, UPSTREAM_TIMEOUT, OK},
    {"stops within the head", say_and_stay, "HTTP/1.1 200 OK\r\n", UPSTREAM_TIMEOUT, OK},
    {"stops within the body", say_and_stay, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", OK,
        UPSTREAM_BODY_TIMEOUT},
    {"two answers", say_and_stay,
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: "
        "4\r\n\r\nevil",
        OK, END},
    {"more than its length", say_and_stay, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhellomore",
        OK, END},
};

static void check_fault(struct rig *rig, const struct fault *fault)
{
    struct fake *fake = rig_fake(rig, fault->serve, (void *)fault->says);
    rig_service(rig, "{at: %s, retry: off, timeout: {first-byte: 60ms, idle: 60ms}}", fake->text);
    enum status e = rig_get(rig, "/");
    if (e != fault->outcome)
        fail_msg("%s: %s", fault->name, status_word(e));
    struct slice body;
    if (!e)
        e = rig_read_body(rig, &body);
    if (fault->outcome == OK && e != fault->end)
        fail_msg("%s: the body ends with %s", fault->name, status_word(e));
    rig_expect(rig, "hello");
    assert_int_equal(fake->connections, 2);
}

static void test_faults(void **state)
{
    rig_free(*state);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct rig *rig = rig_new();
        check_fault(rig, &faults[i]);
        rig_free(rig);
    }
    *state = rig_new();
}

static void test_huge_head(void **state)
{
    struct rig *rig = *state;
    static char head[60000] = "HTTP/1.1 200 OK\r\nX: ";
    memset(head + strlen(head), 'x', sizeof head - 1 - strlen(head));
    struct fake *fake = rig_fake(rig, say_and_stay, head);
    rig_service(rig, "%s", fake->text);
    assert_status(rig_get(rig, "/"), UPSTREAM_HEAD_TOO_LARGE);
    rig_expect(rig, "hello");
}

static void test_refused(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    rig_service(rig, "%s", fake->text);
    fake_stop(fake);
    assert_status(rig_get(rig, "/"), UPSTREAM_REFUSED);
    assert_int_equal(rig->x.facts.tries, 1);
    rig_service(rig, "unix:/nonexistent/weir.sock");
    assert_status(rig_get(rig, "/"), UPSTREAM_REFUSED);
}

static void test_another_endpoint_when_one_refuses(void **state)
{
    struct rig *rig = *state;
    struct fake *dead = rig_fake(rig, serve_politely, NULL);
    struct fake *alive = rig_fake(rig, serve_politely, NULL);
    fake_stop(dead);
    rig_service(rig, "{at: [%s, %s]}", dead->text, alive->text);
    for (int i = 0; i < 4; i++)
        rig_expect(rig, "hello");
    assert_int_equal(alive->requests, 4);
}

/* --- connections that die while they are idle */

static void serve_one(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    if (fake_read(fake, stream))
        fake_answer(stream, 200, "hello");
}

static void test_peer_closes_an_idle_connection(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_one, NULL);
    rig_service(rig, "%s", fake->text);
    for (int i = 1; i <= 3; i++) {
        rig_expect(rig, "hello");
        rig_until(fake->open == 0);
        fiber_yield();
    }
    assert_int_equal(fake->connections, 3);
}

/* The first connection takes one request, and closes when it sees the second. */
static void close_on_second(struct fake *fake, struct stream *stream, int number)
{
    if (number > 1) {
        serve_politely(fake, stream, number);
        return;
    }
    if (fake_read(fake, stream))
        fake_answer(stream, 200, "hello");
    fake_read(fake, stream);
}

static void test_safe_retry(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, close_on_second, NULL);
    rig_service(rig, "%s", fake->text);
    rig_expect(rig, "hello");
    rig_request(rig, "PUT", "/");
    rig_request_body(rig, "twice");
    assert_ok(rig_call(rig));
    assert_slice(rig_body(rig), "hello");
    assert_int_equal(rig->x.facts.tries, 2);
    assert_int_equal(fake->connections, 2);
    assert_non_null(strstr(fake->last, "twice"));
}

static void test_no_retry_of_what_may_have_happened(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, close_on_second, NULL);
    rig_service(rig, "%s", fake->text);
    rig_expect(rig, "hello");
    rig_request(rig, "POST", "/");
    rig_request_body(rig, "once");
    assert_status(rig_call(rig), UPSTREAM_CLOSED);
    assert_int_equal(rig->x.facts.tries, 1);
    assert_int_equal(fake->connections, 1);
    rig_expect(rig, "hello");
}

/* --- endpoints that accept nobody: the queue of their listening socket is full */

#define STUFFING 8

struct stuffed {
    struct fake *fake;
    int clients[STUFFING];
};

static void stuff(struct stuffed *stuffed, struct rig *rig)
{
    struct address address;
    stuffed->fake = rig_fake(rig, serve_politely, NULL);
    acceptor_free(stuffed->fake->acceptor);
    stuffed->fake->acceptor = NULL;
    assert_int_equal(listen(stuffed->fake->descriptor, 0), 0);
    assert_ok(address_parse(slice_of_text(stuffed->fake->text), &address));
    for (int i = 0; i < STUFFING; i++) {
        stuffed->clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(stuffed->clients[i], &address.any, address.size);
    }
}

static void unstuff(struct stuffed *stuffed)
{
    for (int i = 0; i < STUFFING; i++)
        close(stuffed->clients[i]);
    close(stuffed->fake->descriptor);
}

static void test_connecting_takes_too_long(void **state)
{
    struct rig *rig = *state;
    struct stuffed stuffed;
    stuff(&stuffed, rig);
    rig_service(rig, "{at: %s, timeout: {connect: 40ms}}", stuffed.fake->text);
    assert_status(rig_get(rig, "/"), UPSTREAM_CONNECT_TIMEOUT);
    unstuff(&stuffed);
}

/* --- clients that go, at every point: the fiber of their exchange is cancelled */

static void go_after_a_while(void *argument)
{
    if (fiber_sleep_until(loop_now() + 20 * MILLISECOND) == OK)
        fiber_cancel(argument);
}

struct leaving {
    struct rig *rig;
    enum status called, read;
    bool is_done;
};

static void call_and_read(void *argument)
{
    struct leaving *leaving = argument;
    struct slice ignored;
    struct scope timer;
    scope_init(&timer);
    (void)scope_start(&timer, go_after_a_while, fiber_current());
    leaving->called = rig_call(leaving->rig);
    while (!leaving->called && leaving->read == OK)
        leaving->read = body_read(leaving->rig->x.response.body, NEVER, &ignored);
    scope_end(&timer);
    leaving->is_done = true;
}

static void check_leaving(struct rig *rig, enum status called, enum status read)
{
    struct leaving leaving = {.rig = rig};
    assert_ok(scope_start(&rig->scope, call_and_read, &leaving));
    rig_until(leaving.is_done);
    assert_status(leaving.called, called);
    assert_status(leaving.read, read);
}

static void test_client_goes_before_the_head(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, say_nothing, NULL);
    rig_service(rig, "%s", fake->text);
    rig_request(rig, "GET", "/");
    check_leaving(rig, CANCELLED, OK);
    rig_expect(rig, "hello");
}

static void test_client_goes_within_the_head(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, say_and_stay, "HTTP/1.1 200 OK\r\nA: b");
    rig_service(rig, "%s", fake->text);
    rig_request(rig, "GET", "/");
    check_leaving(rig, CANCELLED, OK);
    rig_expect(rig, "hello");
}

static void test_client_goes_within_the_body(void **state)
{
    struct rig *rig = *state;
    struct fake *fake =
        rig_fake(rig, say_and_stay, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    rig_service(rig, "%s", fake->text);
    rig_request(rig, "GET", "/");
    check_leaving(rig, OK, CANCELLED);
    rig_expect(rig, "hello");
}

static void test_client_goes_while_we_connect(void **state)
{
    struct rig *rig = *state;
    struct stuffed stuffed;
    stuff(&stuffed, rig);
    rig_service(rig, "%s", stuffed.fake->text);
    rig_request(rig, "GET", "/");
    check_leaving(rig, CANCELLED, OK);
    unstuff(&stuffed);
}

static void test_client_goes_while_it_waits_for_a_connection(void **state)
{
    struct rig *rig = *state;
    struct stuffed stuffed;
    stuff(&stuffed, rig);
    rig_service(rig, "{at: %s, connections: 1}", stuffed.fake->text);
    rig_request(rig, "GET", "/");
    struct leaving first = {.rig = rig};
    assert_ok(scope_start(&rig->scope, call_and_read, &first));
    fiber_yield();
    check_leaving(rig, CANCELLED, OK);
    rig_until(first.is_done);
    unstuff(&stuffed);
}

static enum status read_never(struct body *body, instant deadline, struct slice *ret_bytes)
{
    (void)body, (void)ret_bytes;
    return fiber_wait(deadline) == CANCELLED ? CANCELLED : TIMEOUT;
}

static void test_client_goes_within_its_body(void **state)
{
    struct rig *rig = *state;
    static const struct body_ops ops = {.read = read_never};
    struct body body = {.ops = &ops, .length = 100};
    struct fake *fake = rig_fake(rig, say_nothing, NULL);
    rig_service(rig, "%s", fake->text);
    for (int expects = 0; expects < 2; expects++) {
        rig_request(rig, "POST", "/");
        rig->x.expects_continue = expects;
        rig->x.request.body = &body;
        check_leaving(rig, CANCELLED, OK);
    }
    rig_expect(rig, "hello");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

static int run_all(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_faults),
        TEST(test_huge_head),
        TEST(test_refused),
        TEST(test_another_endpoint_when_one_refuses),
        TEST(test_peer_closes_an_idle_connection),
        TEST(test_safe_retry),
        TEST(test_no_retry_of_what_may_have_happened),
        TEST(test_connecting_takes_too_long),
        TEST(test_client_goes_before_the_head),
        TEST(test_client_goes_within_the_head),
        TEST(test_client_goes_within_the_body),
        TEST(test_client_goes_while_we_connect),
        TEST(test_client_goes_while_it_waits_for_a_connection),
        TEST(test_client_goes_within_its_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
