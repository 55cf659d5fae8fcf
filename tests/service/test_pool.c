/* Connections: how many there may be, who waits for one, when they go, and what a reload keeps. */
#include "support/service_rig.h"

#include "run/loop.h"
#include "support/on_loop.h"

/* --- limits of connections */

static void serve_when_told(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    while (fake_read(fake, stream)) {
        while (!*(bool *)fake->context)
            if (fiber_sleep_until(loop_now() + MILLISECOND))
                return;
        fake_answer(stream, 200, "hello");
    }
}

struct second {
    struct rig *rig;
    struct exchange x;
    struct body no_body;
    enum status outcome;
    bool is_done;
};

/* A second request, on a fiber of its own. */
static void run_second(void *argument)
{
    struct second *second = argument;
    struct exchange *x = &second->x;
    arena_init(&x->arena, 0, 0);
    scope_init(&x->scope);
    body_init_empty(&second->no_body);
    x->request = second->rig->x.request;
    x->request.body = &second->no_body;
    x->deadline = NEVER;
    fields_init(&x->request.fields, &x->arena);
    second->outcome = service_call(second->rig->service, x);
    if (!second->outcome) {
        struct slice ignored;
        while (body_read(x->response.body, NEVER, &ignored) == OK)
            ;
        body_drop(x->response.body);
    }
    arena_release(&x->arena);
    second->is_done = true;
}

static void test_waits_for_a_connection(void **state)
{
    struct rig *rig = *state;
    bool told = true;
    struct fake *fake = rig_fake(rig, serve_when_told, &told);
    rig_service(rig, "{at: %s, connections: 1}", fake->text);
    assert_ok(rig_get(rig, "/")); /* its body is not read yet: it holds the only connection */
    struct second second = {.rig = rig};
    assert_ok(scope_start(&rig->scope, run_second, &second));
    fiber_sleep_until(loop_now() + 30 * MILLISECOND);
    assert_false(second.is_done);
    assert_slice(rig_body(rig), "hello");
    rig_until(second.is_done);
    assert_ok(second.outcome);
    assert_int_equal(fake->connections, 1);
}

static void test_waits_no_longer_than_it_may(void **state)
{
    struct rig *rig = *state;
    bool told = true;
    struct fake *fake = rig_fake(rig, serve_when_told, &told);
    rig_service(rig, "{at: %s, connections: 1, timeout: {connect: 30ms}}", fake->text);
    assert_ok(rig_get(rig, "/"));
    struct second second = {.rig = rig};
    assert_ok(scope_start(&rig->scope, run_second, &second));
    rig_until(second.is_done);
    assert_status(second.outcome, QUEUE_TIMEOUT);
    assert_slice(rig_body(rig), "hello");
    rig_expect(rig, "hello");
}

static void test_client_goes_while_waiting(void **state)
{
    struct rig *rig = *state;
    bool told = false;
    struct fake *fake = rig_fake(rig, serve_when_told, &told);
    rig_service(rig, "%s", fake->text);
    rig_request(rig, "GET", "/");
    struct scope scope;
    struct second second = {.rig = rig};
    scope_init(&scope);
    assert_ok(scope_start(&scope, run_second, &second));
    rig_until(fake->requests == 1);
    scope_end(&scope);
    assert_true(second.is_done);
    assert_status(second.outcome, CANCELLED);
    told = true;
    rig_expect(rig, "hello");
    assert_int_equal(fake->connections, 2);
}

static void test_dropped_body_closes(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    rig_service(rig, "%s", fake->text);
    assert_ok(rig_get(rig, "/"));
    rig_expect(rig, "hello");
    assert_int_equal(fake->connections, 2);
}

static void test_connection_limits(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    rig_service(rig, "{at: %s, connections: {requests: 2}}", fake->text);
    for (int i = 0; i < 4; i++)
        rig_expect(rig, "hello");
    assert_int_equal(fake->connections, 2);
    rig_service(rig, "{at: %s, connections: {idle-timeout: 20ms}}", fake->text);
    rig_expect(rig, "hello");
    assert_int_equal(fake->open, 1);
    rig_until(fake->open == 0);
    rig_service(rig, "{at: %s, connections: {idle: 0}}", fake->text);
    rig_expect(rig, "hello");
    rig_until(fake->open == 0);
}

/* --- reloads */

static void test_a_reload_keeps_connections(void **state)
{
    struct rig *rig = *state;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    rig_service(rig, "%s", fake->text);
    rig_expect(rig, "hello");
    rig_service(rig, "{at: %s, timeout: 3s}", fake->text);
    rig_expect(rig, "hello");
    assert_int_equal(fake->connections, 1);
    assert_non_null(strstr(rig_describe(rig), "\"requests\":2"));
}

static void test_an_endpoint_that_goes_loses_its_connections(void **state)
{
    struct rig *rig = *state;
    struct fake *first = rig_fake(rig, serve_politely, NULL);
    struct fake *second = rig_fake(rig, serve_politely, NULL);
    rig_service(rig, "%s", first->text);
    rig_expect(rig, "hello");
    rig_service(rig, "%s", second->text);
    rig_expect(rig, "hello");
    rig_until(first->open == 0);
    assert_int_equal(second->open, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

static int run_all(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_waits_for_a_connection),
        TEST(test_waits_no_longer_than_it_may),
        TEST(test_client_goes_while_waiting),
        TEST(test_dropped_body_closes),
        TEST(test_connection_limits),
        TEST(test_a_reload_keeps_connections),
        TEST(test_an_endpoint_that_goes_loses_its_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
