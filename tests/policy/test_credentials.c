#include "policy/policy.h"
#include "support/unit.h"
#include "support/world.h"

extern const struct policy_type credentials_policy;

/* Tokens themselves are asked for in the end-to-end tests. */

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

static void either_a_url_or_an_issuer(void **state)
{
    static const struct world_wrong wrong[] = {
        {"{client: a, secret: b}", "either `token` or `issuer`"},
        {"{token: \"https://id.example/t\", issuer: \"https://id.example\", client: a, secret: b}",
            "either `token` or `issuer`"},
        {"{token: id/t, ca: ca.pem, client: a, secret: b}", "`ca` goes with `issuer` only"},
        {"{issuer: \"https://id.example\", client: a}", "secret"},
        {NULL, NULL},
    };
    struct world *world = *state;
    world_all_wrong(world, credentials_policy.options, wrong);
    assert_non_null(world_read(world, credentials_policy.options,
        "{issuer: \"https://id.example\", ca: ca.pem, client: a, secret: b}"));
    assert_non_null(
        world_read(world, credentials_policy.options, "{token: id/t, client: a, secret: b}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(either_a_url_or_an_issuer, set_up, tear_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
