/* Connections of the caller's own to a service's endpoints. */
#include "service/dial.h"

#include "support/service_rig.h"
#include "support/on_loop.h"

#include "run/loop.h"
#include "run/scope.h"

static void begin(struct rig *rig, struct dial *dial)
{
    struct address client;
    assert_ok(address_parse(SLICE("192.0.2.7:1234"), &client));
    struct dial_caller caller = {&client, SLICE(":5432")};
    dial_begin(dial, rig->service, 0, &caller);
}

static void stay(struct fake *fake, struct stream *stream, int number)
{
    (void)fake;
    (void)number;
    (void)stream_wait_readable(stream, loop_now() + 2 * SECOND);
}

static void test_in_flight_until_the_end(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, stay, NULL);
    struct dial dial;
    struct stream *stream;
    rig_service(rig, "%s", fake->text);
    begin(rig, &dial);
    assert_ok(dial_connect(&dial, NEVER, &stream));
    assert_slices(dial_endpoint(&dial), slice_of_text(fake->text));
    assert_int_equal(dial.tries, 1);
    assert_non_null(strstr(rig_describe(rig), "\"in_flight\":1"));
    stream_close(stream);
    dial_end(&dial);
    dial_end(&dial);
    assert_non_null(strstr(rig_describe(rig), "\"in_flight\":0"));
    rig_until(fake->open == 0);
}

static void test_another_endpoint_when_one_refuses(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, stay, NULL);
    rig_service(rig, "{at: [\"127.0.0.1:1\", \"%s\"]}", fake->text);
    for (int i = 0; i < 4; i++) {
        struct dial dial;
        struct stream *stream;
        begin(rig, &dial);
        assert_ok(dial_connect(&dial, NEVER, &stream));
        assert_slices(dial_endpoint(&dial), slice_of_text(fake->text));
        assert_in_range(dial.tries, 1, 2);
        stream_close(stream);
        dial_end(&dial);
    }
    assert_int_equal(fake->connections, 4);
    rig_until(fake->open == 0);
}

static void test_nobody_is_left(void **state)
{
    struct rig *rig = *state;
    struct dial dial;
    struct stream *stream;
    rig_service(rig, "[\"127.0.0.1:1\", \"127.0.0.1:2\"]");
    begin(rig, &dial);
    assert_status(dial_connect(&dial, NEVER, &stream), UPSTREAM_REFUSED);
    assert_int_equal(dial.tries, 2);
    assert_true(dial_endpoint(&dial).size > 0);
    dial_end(&dial);
    assert_null(strstr(rig_describe(rig), "\"in_flight\":1"));
}

static void test_bound_of_connections(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, stay, NULL);
    struct dial first, second;
    struct stream *stream, *other;
    rig_service(rig, "{at: \"%s\", connections: 1, queue: 0}", fake->text);
    begin(rig, &first);
    assert_ok(dial_connect(&first, NEVER, &stream));
    begin(rig, &second);
    assert_status(dial_connect(&second, NEVER, &other), SERVICE_BUSY);
    dial_end(&second);
    stream_close(stream);
    dial_end(&first);
    begin(rig, &second);
    assert_ok(dial_connect(&second, NEVER, &other));
    stream_close(other);
    dial_end(&second);
    rig_until(fake->open == 0);
}

struct waiting {
    struct rig *rig;
    struct dial dial;
    struct stream *stream;
    enum status outcome;
    bool is_done;
};

static void wait_in_queue(void *argument)
{
    struct waiting *waiting = argument;
    waiting->outcome = dial_connect(&waiting->dial, NEVER, &waiting->stream);
    waiting->is_done = true;
}

/* The bound of the whole service, and of its endpoint. */
static void test_one_waits_until_another_ends(void **state)
{
    static const char *const caps[] = {"concurrency: 1", "concurrency: {endpoint: 1}"};
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, stay, NULL);
    for (size_t i = 0; i < 2; i++) {
        struct dial first;
        struct stream *stream;
        struct waiting waiting = {.rig = rig};
        rig_service(rig, "{at: \"%s\", %s, queue: 5 for 20s}", fake->text, caps[i]);
        begin(rig, &first);
        assert_ok(dial_connect(&first, NEVER, &stream));
        begin(rig, &waiting.dial);
        assert_ok(scope_start(loop_scope(loop_current()), wait_in_queue, &waiting));
        rig_until(strstr(rig_describe(rig), "\"waiting\":1"));
        assert_false(waiting.is_done);
        stream_close(stream);
        dial_end(&first);
        rig_until(waiting.is_done);
        assert_ok(waiting.outcome);
        stream_close(waiting.stream);
        dial_end(&waiting.dial);
        rig_until(fake->open == 0);
    }
}

/* Datagrams are not kept: choosing alone never waits. */
static void test_choosing_does_not_wait(void **state)
{
    struct rig *rig = *state;
    struct dial first, second;
    rig_service(rig, "{at: \"127.0.0.1:1\", concurrency: 1, queue: 5 for 20s}");
    begin(rig, &first);
    assert_ok(dial_choose(&first));
    begin(rig, &second);
    assert_status(dial_choose(&second), SERVICE_BUSY);
    dial_end(&first);
    assert_ok(dial_choose(&second));
    dial_end(&second);
}

static void test_failures_eject(void **state)
{
    struct rig *rig = *state;
    struct dial dial;
    rig_service(rig, "{at: [\"127.0.0.1:1\", \"127.0.0.1:2\"], outlier: 2}");
    for (int i = 0; i < 4; i++) {
        begin(rig, &dial);
        assert_ok(dial_choose(&dial));
        dial_failed(&dial, UPSTREAM_CLOSED);
        dial_end(&dial);
    }
    assert_non_null(strstr(rig_describe(rig), "ejected"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

static int run_all(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_in_flight_until_the_end),
        TEST(test_another_endpoint_when_one_refuses),
        TEST(test_nobody_is_left),
        TEST(test_bound_of_connections),
        TEST(test_one_waits_until_another_ends),
        TEST(test_choosing_does_not_wait),
        TEST(test_failures_eject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
