/* From a name to a connection: what a DNS server of the test's own says, now this and now that. */
#include "proxy/reach.h"

#include <netinet/in.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

#include "run/loop.h"
#include "run/resolver.h"
#include "support/name_server.h"
#include "support/service_rig.h"
#include "support/on_loop.h"

#define ANSWERS_MAX 4

struct fixture {
    struct rig *rig;
    struct name_server server;
    _Atomic uint32_t
        addresses[ANSWERS_MAX]; /* that every name has: up to the first 0, host order */
    _Atomic int questions;      /* for IPv4 */
    struct arena arena;
    struct proxy_own own;
    struct proxy_options options;
    struct proxy_load load;
    struct proxy proxy;
    struct exchange x;
};

static bool reply_with_all(void *context, struct name_reply *reply)
{
    struct fixture *f = context;
    bool is_for_v4 = reply->type == NAME_A;
    f->questions += is_for_v4;
    for (int i = 0; i < ANSWERS_MAX && f->addresses[i] && is_for_v4; i++)
        name_reply_add_address(reply, f->addresses[i]);
    return true;
}

static void answer(struct fixture *f, uint32_t first, uint32_t second)
{
    f->addresses[0] = first;
    f->addresses[1] = second;
    f->questions = 0;
}

static int setup(void **state)
{
    struct fixture *f = aligned_alloc(alignof(struct fixture), sizeof *f);
    assert_non_null(f);
    memset(f, 0, sizeof *f);
    f->server = (struct name_server){.answer = reply_with_all, .context = f};
    name_server_start(&f->server);
    f->rig = rig_new();
    struct resolver *resolver = service_plane_worker_resolver(f->rig->plane, 0);
    assert_ok(resolver_use_servers(resolver, slice_of_text(f->server.where)));
    arena_init(&f->arena, 0, 0);
    f->options.connect_timeout = 5 * SECOND;
    f->proxy = (struct proxy){.options = &f->options,
        .own = &f->own,
        .plane = f->rig->plane,
        .shards = f->rig->shards,
        .loads = &f->load};
    f->x.deadline = NEVER;
    arena_init(&f->x.arena, 0, 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_release(&f->x.arena);
    arena_release(&f->arena);
    rig_free(f->rig);
    name_server_stop(&f->server);
    free(f);
    return 0;
}

/* One pattern for names, one for addresses. */
static void allow(struct fixture *f, bool any_name, const char *network)
{
    struct proxy_pattern *patterns = arena_array(&f->arena, 2, sizeof *patterns);
    patterns[0] = (struct proxy_pattern){.kind = PROXY_ANY, .first_port = 1, .last_port = 65535};
    if (network) {
        struct network *one = arena_new(&f->arena, struct network);
        assert_ok(network_parse(slice_of_text(network), one));
        patterns[1] = (struct proxy_pattern){
            .kind = PROXY_NETWORKS, .networks = {one, 1}, .first_port = 1, .last_port = 65535};
    }
    f->options.to = (struct option_list){
        any_name ? patterns : patterns + 1, (size_t)any_name + (network != NULL)};
}

static uint16_t port_of(const struct fake *fake)
{
    uint64_t port = 0;
    assert_true(slice_to_u64(slice_of_text(strchr(fake->text, ':') + 1), &port));
    return (uint16_t)port;
}

static enum status reach(struct fixture *f, const char *host, uint16_t port)
{
    struct proxy_target target = {slice_of_text(host), port, true};
    struct stream *stream;
    enum status e = proxy_reach(&f->proxy, &f->x, &target, &stream);
    if (!e)
        stream_close(stream);
    return e;
}

static void stay(struct fake *fake, struct stream *stream, int number)
{
    (void)fake;
    (void)number;
    (void)stream_wait_readable(stream, loop_now() + 2 * SECOND);
}

static void a_name_that_leads_inside(void **state)
{
    struct fixture *f = *state;
    struct fake *fake = rig_fake(f->rig, stay, NULL);
    allow(f, true, NULL);
    answer(f, INADDR_LOOPBACK, 0);
    assert_status(reach(f, "evil.test", port_of(fake)), TARGET_ADDRESS_DENIED);
    answer(f, 0xa9fea9fe, 0);
    assert_status(reach(f, "metadata.test", 80), TARGET_ADDRESS_DENIED);
    assert_int_equal(fake->connections, 0);
    assert_int_equal(f->x.facts.tries, 0);
}

/* The name is asked once, and the address that was checked is connected to: what it says the next
 * time is checked anew. */
static void a_name_that_changes_its_mind(void **state)
{
    struct fixture *f = *state;
    char where[64];
    struct fake *inside = rig_fake(f->rig, stay, NULL);
    snprintf(where, sizeof where, "127.0.0.2:%d", port_of(inside));
    struct fake *outside = rig_fake_at(f->rig, where, stay, NULL);
    allow(f, true, "127.0.0.2");
    answer(f, INADDR_LOOPBACK + 1, 0);
    assert_ok(reach(f, "rebind.test", port_of(inside)));
    assert_int_equal(f->questions, 1);
    assert_slices(f->x.facts.endpoint, slice_of_text(outside->text));
    answer(f, INADDR_LOOPBACK, 0);
    assert_status(reach(f, "rebind.test", port_of(inside)), TARGET_ADDRESS_DENIED);
    assert_int_equal(f->questions, 1);
    assert_int_equal(inside->connections, 0);
    rig_until(outside->connections == 1);
}

static void only_those_that_may_be_are_tried(void **state)
{
    struct fixture *f = *state;
    char where[64];
    struct fake *inside = rig_fake(f->rig, stay, NULL);
    snprintf(where, sizeof where, "127.0.0.2:%d", port_of(inside));
    struct fake *outside = rig_fake_at(f->rig, where, stay, NULL);
    allow(f, true, "127.0.0.2");
    answer(f, INADDR_LOOPBACK, INADDR_LOOPBACK + 1);
    assert_ok(reach(f, "mixed.test", port_of(inside)));
    rig_until(outside->connections == 1);
    assert_int_equal(inside->connections, 0);
    assert_int_equal(f->x.facts.tries, 1);
}

static void the_next_when_one_refuses(void **state)
{
    struct fixture *f = *state;
    struct fake *fake = rig_fake(f->rig, stay, NULL);
    allow(f, false, "127.0.0.0/8");
    answer(f, INADDR_LOOPBACK + 2, INADDR_LOOPBACK);
    assert_ok(reach(f, "two.test", port_of(fake)));
    assert_int_equal(f->x.facts.tries, 2);
    assert_slices(f->x.facts.endpoint, slice_of_text(fake->text));
    rig_until(fake->connections == 1);
    fake_stop(fake);
    assert_status(reach(f, "two.test", port_of(fake)), UPSTREAM_REFUSED);
}

static void names_that_lead_nowhere(void **state)
{
    struct fixture *f = *state;
    allow(f, true, NULL);
    answer(f, 0, 0);
    assert_status(reach(f, "none.test", 443), UPSTREAM_DNS);
}

/* Who is let through by addresses alone learns nothing else. */
static void by_address_alone(void **state)
{
    struct fixture *f = *state;
    allow(f, false, "10.0.0.0/8");
    answer(f, INADDR_LOOPBACK, 0);
    assert_status(reach(f, "evil.test", 443), TARGET_DENIED);
    assert_status(reach(f, "127.0.0.1", 443), TARGET_DENIED);
}

static void the_gateways_own_listeners(void **state)
{
    struct fixture *f = *state;
    struct address own[2];
    char where[64];
    struct fake *fake = rig_fake(f->rig, stay, NULL);
    snprintf(where, sizeof where, "0.0.0.0:%d", port_of(fake));
    assert_ok(address_parse(slice_of_text(where), &own[0]));
    own[1] = own[0];
    address_set_port(&own[0], 1);
    f->own = (struct proxy_own){own, 2};
    allow(f, true, "127.0.0.0/8");
    assert_status(reach(f, "127.0.0.1", port_of(fake)), TARGET_ADDRESS_DENIED);
    assert_status(reach(f, "::ffff:127.0.0.1", port_of(fake)), TARGET_ADDRESS_DENIED);
    assert_status(reach(f, "127.9.9.9", port_of(fake)), TARGET_ADDRESS_DENIED);
    f->own.count = 1;
    assert_ok(reach(f, "127.0.0.1", port_of(fake)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run_all(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_name_that_leads_inside),
        TEST(a_name_that_changes_its_mind),
        TEST(only_those_that_may_be_are_tried),
        TEST(the_next_when_one_refuses),
        TEST(names_that_lead_nowhere),
        TEST(by_address_alone),
        TEST(the_gateways_own_listeners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
