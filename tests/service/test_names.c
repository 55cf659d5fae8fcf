/* Endpoints that are names: found through a DNS server of the test's own, whose answers change. */
#include "run/loop.h"
#include "run/resolver.h"
#include "service/plane.h"
#include "support/name_server.h"
#include "support/service_rig.h"
#include "support/on_loop.h"

#include <netinet/in.h>
#include <stdio.h>

struct fixture {
    struct rig *rig;
    struct name_server server;
    _Atomic uint32_t address; /* that every name has; host order; 0: no such name */
    _Atomic int questions;
};

static bool answer(void *context, struct name_reply *reply)
{
    struct fixture *f = context;
    uint32_t address = f->address;
    f->questions++;
    if (address == 0)
        *reply->code = NAME_MISSING;
    else if (reply->type == NAME_A)
        name_reply_add_address(reply, address);
    return true;
}

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    f->address = INADDR_LOOPBACK;
    f->server = (struct name_server){.answer = answer, .context = f};
    name_server_start(&f->server);
    f->rig = rig_new();
    assert_ok(resolver_use_servers(plane_resolver(f->rig->plane), slice_of_text(f->server.where)));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    rig_free(f->rig);
    name_server_stop(&f->server);
    test_free(f);
    return 0;
}

static const char *port_of(const struct fake *fake)
{
    return strchr(fake->text, ':') + 1;
}

/* Waits until a new question was asked and answered, which the TTL of a second lets happen. */
static void wait_for_question(struct fixture *f)
{
    int before = f->questions;
    rig_until(f->questions > before);
    fiber_sleep_until(loop_now() + 20 * MILLISECOND);
}

static void test_addresses_change(void **state)
{
    struct fixture *f = *state;
    struct rig *rig = f->rig;
    char where[64];
    struct fake *first = rig_fake(rig, serve_politely, NULL);
    snprintf(where, sizeof where, "127.0.0.2:%s", port_of(first));
    struct fake *second = rig_fake_at(rig, where, serve_politely, NULL);
    rig_service(rig, "shop.test:%s", port_of(first));
    rig_expect(rig, "hello"); /* waits for the first answer */
    assert_slices(rig->x.facts.endpoint, slice_of_text(first->text));
    assert_ok(rig_get(rig, "/")); /* not read to its end yet when the address changes */
    f->address = INADDR_LOOPBACK + 1;
    wait_for_question(f);
    assert_slice(rig_body(rig), "hello");
    rig_expect(rig, "hello");
    assert_slices(rig->x.facts.endpoint, slice_of_text(second->text));
    rig_until(first->open == 0);
    assert_null(strstr(rig_describe(rig), first->text));
}

static void test_last_addresses_stay_when_the_name_goes(void **state)
{
    struct fixture *f = *state;
    struct rig *rig = f->rig;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    rig_service(rig, "shop.test:%s", port_of(fake));
    rig_expect(rig, "hello");
    f->address = 0;
    wait_for_question(f);
    rig_expect(rig, "hello");
}

static void test_a_name_that_comes_later(void **state)
{
    struct fixture *f = *state;
    struct rig *rig = f->rig;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    f->address = 0;
    rig_service(rig, "shop.test:%s", port_of(fake));
    assert_status(rig_get(rig, "/"), UPSTREAM_DNS);
    f->address = INADDR_LOOPBACK;
    instant deadline = loop_now() + 4 * SECOND;
    while (rig_get(rig, "/") != OK && loop_now() < deadline)
        fiber_sleep_until(loop_now() + 50 * MILLISECOND);
    assert_slice(rig_body(rig), "hello");
}

static void test_a_reload_keeps_what_was_resolved(void **state)
{
    struct fixture *f = *state;
    struct rig *rig = f->rig;
    struct fake *fake = rig_fake(rig, serve_politely, NULL);
    rig_service(rig, "shop.test:%s", port_of(fake));
    rig_expect(rig, "hello");
    int questions = f->questions;
    rig_service(rig, "{at: \"shop.test:%s\", timeout: 3s}", port_of(fake));
    rig_expect(rig, "hello");
    assert_int_equal(f->questions, questions);
    assert_int_equal(fake->connections, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run_all(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_addresses_change),
        TEST(test_last_addresses_stay_when_the_name_goes),
        TEST(test_a_name_that_comes_later),
        TEST(test_a_reload_keeps_what_was_resolved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
