/* Limits over a store that the test plays. */
#include "policy/limit_shared.h"

#include <string.h>

#include "support/unit.h"
#include "support/on_loop.h"
#include "support/world.h"
#include "store/store_ops.h"

extern const struct policy_type limit_policy;

/* Answers as it is told, and notes what it was asked. */
struct fake_store {
    struct store store; /* first */
    enum status outcome;
    int64_t results[LIMIT_RESULTS];
    unsigned asked;
    char key[512];
    int64_t arguments[LIMIT_ARGUMENTS];
};

static enum status answer(struct store *store, struct store_question *question)
{
    struct fake_store *fake = (struct fake_store *)store;
    struct slice key = question->key;
    assert_int_equal(question->verb, STORE_RUN);
    assert_int_equal(strlen(question->program->sha), 40);
    assert_true(key.size < sizeof fake->key);
    memcpy(fake->key, key.data, key.size);
    fake->key[key.size] = '\0';
    fake->asked++;
    memcpy(fake->arguments, question->arguments, sizeof fake->arguments);
    if (!fake->outcome)
        memcpy(question->results, fake->results, sizeof fake->results);
    return fake->outcome;
}

static const struct store_ops fake_ops = {.ask = answer};

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

static int get(struct world *world)
{
    world_request(world, "GET", "/");
    enum status e = world_serve(world);
    return e ? -(int)e : world->x.response.status;
}

static void the_store_decides(void **state)
{
    struct world *world = *state;
    struct fake_store fake = {.store = {&fake_ops, 1}, .results = {1, 7, SECOND}};
    world->prepare.stores.shared = &fake.store;
    world_policy(world, &limit_policy, "limits.login", "{rate: 60/min, burst: 10}");
    assert_int_equal(get(world), 200);
    assert_string_equal(fake.key, "limits.login:192.0.2.1");
    assert_int_equal(fake.arguments[LIMIT_COST], 1);
    assert_int_equal(fake.arguments[LIMIT_AT], 0);
    assert_int_equal(fake.arguments[LIMIT_COUNT], 60);
    assert_int_equal(fake.arguments[LIMIT_PER], MINUTE);
    assert_int_equal(fake.arguments[LIMIT_BURST], 10);
    assert_string_equal(world_answer_field(world, "RateLimit"), "\"login\";r=7;t=1");
    fake.results[LIMIT_ALLOWED] = 0;
    fake.results[LIMIT_REMAINING] = 0;
    fake.results[LIMIT_WAIT] = SECOND / 2;
    assert_int_equal(get(world), 429);
    assert_string_equal(world_answer_field(world, "RateLimit"), "\"login\";r=0;t=1");
}

static void long_names_and_keys_are_digests(void **state)
{
    struct world *world = *state;
    struct fake_store fake = {.store = {&fake_ops, 1}, .results = {1}};
    char name[300], user[300];
    world->prepare.stores.shared = &fake.store;
    memset(name, 'n', sizeof name - 1), name[sizeof name - 1] = '\0';
    memset(user, 'u', sizeof user - 1), user[sizeof user - 1] = '\0';
    world_policy(world, &limit_policy, name, "{rate: 60/min, per: header.x-user}");
    world_request(world, "GET", "/");
    world_field(world, "X-User", user);
    assert_ok(world_serve(world));
    assert_int_equal(strlen(fake.key), 64 + 1 + 64);
    assert_int_equal(fake.key[64], '#');
}

static void without_the_store_it_counts_its_share(void **state)
{
    struct world *world = *state;
    struct fake_store fake = {.store = {&fake_ops, 3}, .outcome = STORE_UNAVAILABLE};
    world->prepare.stores.shared = &fake.store;
    world_policy(world, &limit_policy, "limits.x", "{rate: 10/h}");
    for (int i = 0; i < 4; i++) /* a third of ten, rounded up */
        assert_int_equal(get(world), 200);
    assert_int_equal(get(world), 429);
    assert_int_equal(fake.asked, 5);
}

static void without_the_store_it_may_pass_or_refuse(void **state)
{
    struct world *world = *state;
    struct fake_store fake = {.store = {&fake_ops, 1}, .outcome = TIMEOUT};
    world->prepare.stores.shared = &fake.store;
    world_policy(world, &limit_policy, "limits.x", "{rate: 1/h, if-unavailable: pass}");
    for (int i = 0; i < 3; i++)
        assert_int_equal(get(world), 200);
    world_policy(world, &limit_policy, "limits.y", "{rate: 1/h, if-unavailable: refuse}");
    assert_int_equal(get(world), -(int)STORE_UNAVAILABLE);
}

static void who_is_cancelled_ends(void **state)
{
    struct world *world = *state;
    struct fake_store fake = {.store = {&fake_ops, 1}, .outcome = CANCELLED};
    world->prepare.stores.shared = &fake.store;
    world_policy(world, &limit_policy, "limits.x", "{rate: 1/h, if-unavailable: pass}");
    assert_int_equal(get(world), -(int)CANCELLED);
    assert_int_equal(world->next.calls, 0);
}

static void one_that_is_not_shared_does_not_ask(void **state)
{
    struct world *world = *state;
    struct fake_store fake = {.store = {&fake_ops, 2}};
    world->prepare.stores.shared = &fake.store;
    world_policy(world, &limit_policy, "limits.x", "{rate: 2/h, shared: false}");
    assert_int_equal(get(world), 200);
    assert_int_equal(get(world), 200);
    assert_int_equal(get(world), 429);
    assert_int_equal(fake.asked, 0);
}

static void explaining_does_not_ask(void **state)
{
    struct world *world = *state;
    struct fake_store fake = {.store = {&fake_ops, 2}};
    world->prepare.stores.shared = &fake.store;
    world_policy(world, &limit_policy, "limits.x", "{rate: 2/h}");
    world_request(world, "GET", "/");
    assert_string_equal(world_explain(world), "asks the store for client.ip = \"192.0.2.1\"");
    assert_int_equal(fake.asked, 0);
}

static void shares_are_a_part_of_rate_and_burst(void **state)
{
    (void)state;
    const struct limit_rule rule = limit_rule_of(60, MINUTE, 10);
    struct limit_rule share = limit_share_of(limit_algorithms[0], &rule, 4);
    assert_int_equal(share.count, 60);
    assert_int_equal(share.per, 4 * MINUTE);
    assert_int_equal(share.burst, 3);
    const struct limit_rule slow = limit_rule_of(1, INT64_MAX / 2, 1);
    share = limit_share_of(limit_algorithms[0], &slow, 100);
    assert_true(share.per == INT64_MAX);
    assert_int_equal(share.burst, 1);
}

static int run_all(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_store_decides, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_names_and_keys_are_digests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_the_store_it_counts_its_share, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_the_store_it_may_pass_or_refuse, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_cancelled_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_is_not_shared_does_not_ask, set_up, tear_down),
        cmocka_unit_test_setup_teardown(explaining_does_not_ask, set_up, tear_down),
        cmocka_unit_test(shares_are_a_part_of_rate_and_burst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
