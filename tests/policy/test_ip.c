#include "support/unit.h"
#include "support/world.h"

extern const struct policy_type ip_policy;

static enum status outcome_for(struct world *world, const char *client)
{
    world_request(world, "GET", "/");
    world_client(world, client);
    return world_serve(world);
}

static int set_up(void **state)
{
    *state = world_new();
    return 0;
}

static int tear_down(void **state)
{
    world_free(*state);
    return 0;
}

static void an_allow_list_keeps_others_out(void **state)
{
    struct world *world = *state;
    world_policy(world, &ip_policy, "ip.office", "[10.0.0.0/8, 192.0.2.7, \"fd00::/8\"]");
    assert_ok(outcome_for(world, "10.1.2.3"));
    assert_int_equal(world->next.calls, 1);
    assert_ok(outcome_for(world, "192.0.2.7"));
    assert_ok(outcome_for(world, "fd12::1"));
    assert_ok(outcome_for(world, "::ffff:10.1.2.3"));
    assert_status(outcome_for(world, "192.0.2.8"), ADDRESS_DENIED);
    assert_int_equal(world->next.calls, 0);
    assert_status(outcome_for(world, "11.0.0.0"), ADDRESS_DENIED);
    assert_status(outcome_for(world, "9.255.255.255"), ADDRESS_DENIED);
    assert_status(outcome_for(world, "fe00::1"), ADDRESS_DENIED);
}

static void a_deny_list_lets_others_in(void **state)
{
    struct world *world = *state;
    world_policy(world, &ip_policy, "ip.x", "{deny: [10.0.0.0/8]}");
    assert_status(outcome_for(world, "10.0.0.0"), ADDRESS_DENIED);
    assert_status(outcome_for(world, "10.255.255.255"), ADDRESS_DENIED);
    assert_ok(outcome_for(world, "192.0.2.8"));
    assert_ok(outcome_for(world, "::1"));
}

static void deny_goes_before_allow(void **state)
{
    struct world *world = *state;
    world_policy(
        world, &ip_policy, "ip.x", "{allow: 10.0.0.0/8, deny: [10.66.0.0/16, 0.0.0.0/32]}");
    assert_ok(outcome_for(world, "10.1.0.1"));
    assert_status(outcome_for(world, "10.66.0.1"), ADDRESS_DENIED);
    assert_string_equal(world_explain(world), "refuses 10.66.0.1, which is on deny");
    assert_status(outcome_for(world, "192.0.2.1"), ADDRESS_DENIED);
    assert_string_equal(world_explain(world), "refuses 192.0.2.1, which is not on allow");
}

static void an_empty_allow_list_lets_nobody_in(void **state)
{
    struct world *world = *state;
    world_policy(world, &ip_policy, "ip.x", "{allow: []}");
    assert_status(outcome_for(world, "10.1.0.1"), ADDRESS_DENIED);
}

static void a_unix_socket_is_on_no_list(void **state)
{
    struct world *world = *state;
    world_policy(world, &ip_policy, "ip.x", "{deny: \"::/0\"}");
    assert_ok(outcome_for(world, "unix:/run/x.sock"));
    assert_status(outcome_for(world, "::1"), ADDRESS_DENIED);
    world_policy(world, &ip_policy, "ip.x", "\"::/0\"");
    assert_status(outcome_for(world, "unix:/run/x.sock"), ADDRESS_DENIED);
}

static void one_of_the_lists_has_to_be_there(void **state)
{
    struct world *world = *state;
    assert_non_null(
        strstr(world_complaints(world, ip_policy.options, "{}"), "\"allow\" or \"deny\""));
    world_complaints(world, ip_policy.options, "10.0.0.0/40");
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(an_allow_list_keeps_others_out),
        EACH(a_deny_list_lets_others_in),
        EACH(deny_goes_before_allow),
        EACH(an_empty_allow_list_lets_nobody_in),
        EACH(a_unix_socket_is_on_no_list),
        EACH(one_of_the_lists_has_to_be_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
