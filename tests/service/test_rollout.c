/* What is said of versions at run time: how the rest is divided, what a reload and a successor keep
 * of it, and what is refused. */
#include "service/rollout.h"

#include "service/order.h"
#include "service/service_options.h"
#include "support/service_rig.h"
#include "support/on_loop.h"

#define THREE                                                                                     \
    "{versions: {a: 127.0.0.1:1, b: {at: 127.0.0.1:2, share: 20%%}, c: {at: 127.0.0.1:3, share: " \
    "10%%, when: header.x}}}"

static int setup(void **state)
{
    struct rig *rig = rig_new();
    *state = rig;
    rig_service(rig, THREE);
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

static void expect_shares(struct rig *rig, double a, double b, double c)
{
    const struct versions *versions = rig->service->versions;
    assert_float_equal(versions_share(versions, 0), a, 1e-6);
    assert_float_equal(versions_share(versions, 1), b, 1e-6);
    assert_float_equal(versions_share(versions, 2), c, 1e-6);
    uint32_t only = split_only(&versions->split);
    assert_int_equal(only, a == 1 ? 0 : b == 1 ? 1 : c == 1 ? 2 : SPLIT_MAX);
}

static enum status say(struct rig *rig, const char *one, double share, const char *other,
    double other_share, struct slice *ret_problem)
{
    struct shift_wish wish = {
        .shares = {{slice_of_text(one), share}, {slice_of_text(other ? other : ""), other_share}},
        .count = other ? 2 : 1,
        .who = SLICE("ada")};
    return service_shift(rig->service, &wish, &rig->snapshot, ret_problem);
}

static void shift(struct rig *rig, const char *version, double share)
{
    struct slice problem;
    assert_ok(say(rig, version, share, NULL, 0, &problem));
}

static void condemn(struct rig *rig, size_t i)
{
    rollout_condemn(rig->service->versions, i, "errors 50% of 100");
}

static void test_the_others_divide_the_rest(void **state)
{
    struct rig *rig = *state;
    expect_shares(rig, 0.7, 0.2, 0.1);
    shift(rig, "c", 0.55);
    expect_shares(rig, 0.35, 0.1, 0.55);
    shift(rig, "b", 0);
    expect_shares(rig, 0.35 / 0.9, 0, 0.55 / 0.9);
    shift(rig, "c", 1);
    expect_shares(rig, 0, 0, 1);
    shift(rig, "c", 0.1); /* nobody else had anything: as the file divides it */
    expect_shares(rig, 0.7, 0.2, 0.1);
}

static void test_back_to_the_file(void **state)
{
    struct rig *rig = *state;
    struct slice problem;
    shift(rig, "c", 1);
    condemn(rig, 1);
    const struct shift_wish wish = {.is_reset = true, .who = SLICE("ada")};
    assert_ok(service_shift(rig->service, &wish, &rig->snapshot, &problem));
    expect_shares(rig, 0.7, 0.2, 0.1);
}

static void expect_refusal(
    struct rig *rig, enum status e, struct slice problem, enum status wanted, const char *says)
{
    assert_int_equal(e, wanted);
    assert_true(slice_find_slice(problem, slice_of_text(says)) < problem.size);
    expect_shares(rig, 0.7, 0.2, 0.1);
}

static void test_refusals(void **state)
{
    struct rig *rig = *state;
    struct slice problem = SLICE_NONE;
    enum status e = say(rig, "d", 0.1, NULL, 0, &problem);
    expect_refusal(rig, e, problem, NOT_FOUND, "no version \"d\"");
    e = say(rig, "a", 0.6, "b", 0.6, &problem);
    expect_refusal(rig, e, problem, INVALID, "120% together");
    e = say(rig, "a", 0.1, "a", 0.1, &problem);
    expect_refusal(rig, e, problem, INVALID, "named twice");
    condemn(rig, 2);
    assert_int_equal(say(rig, "a", 0, "b", 0.5, &problem), INVALID); /* c is out */
    assert_true(slice_find_slice(problem, SLICE("left for the other 50%")) < problem.size);
}

static void test_verdict(void **state)
{
    struct rig *rig = *state;
    const struct versions *versions = rig->service->versions;
    condemn(rig, 2);
    expect_shares(rig, 0.7 / 0.9, 0.2 / 0.9, 0);
    assert_true(versions->items[2].is_out);
    shift(rig, "b", 0.5); /* of another one: it stays out */
    expect_shares(rig, 0.5, 0.5, 0);
    shift(rig, "c", 0.1);
    expect_shares(rig, 0.45, 0.45, 0.1);
    assert_false(versions->items[2].is_out);
    shift(rig, "c", 1);
    condemn(rig, 2); /* nobody else had anything */
    expect_shares(rig, 0.7 / 0.9, 0.2 / 0.9, 0);
}

static void reload(struct rig *rig, const char *yaml)
{
    rig_service(rig, "%s", yaml);
}

static void test_reloads(void **state)
{
    struct rig *rig = *state;
    shift(rig, "b", 1);
    condemn(rig, 2);
    reload(rig,
        "{versions: {c: {at: 127.0.0.1:3, share: 10%}, b: {at: 127.0.0.1:9, share: 20%}, a: "
        "127.0.0.1:1}}");
    assert_float_equal(versions_share(rig->service->versions, 1), 1, 1e-6);
    assert_true(rig->service->versions->items[0].is_out);
    reload(rig, "{versions: {a: 127.0.0.1:1, b: {at: 127.0.0.1:2, share: 20%}, c: {at: "
                "127.0.0.1:3, share: 11%}}}");
    expect_shares(rig, 0.69, 0.2, 0.11);
    assert_false(rig->service->versions->items[2].is_out);
    reload(rig, "{versions: {a: 127.0.0.1:1, b: {at: 127.0.0.1:2, share: 20%}, c: {at: "
                "127.0.0.1:3, share: 10%}}}");
    expect_shares(rig, 0.7, 0.2, 0.1);
}

/* --- a successor */

static struct rig *successor(struct rig *rig)
{
    struct text text = text_growing(0);
    orders_save(rig->plane, &text);
    struct rig *other = rig_new();
    orders_restore(other->plane, text_slice(&text));
    text_release(&text);
    return other;
}

static void test_successor(void **state)
{
    struct rig *rig = *state;
    shift(rig, "b", 0.5);
    condemn(rig, 2);
    struct rig *other = successor(rig);
    rig_service(other, THREE);
    expect_shares(other, 0.4375 / 0.9375, 0.5 / 0.9375, 0);
    assert_true(strstr(rig_describe(other), "\"by\":\"ada\"") != NULL);
    assert_true(strstr(rig_describe(other), "\"why\":\"errors 50% of 100\"") != NULL);
    rig_free(other);
    other = successor(rig);
    reload(other, "{versions: {a: 127.0.0.1:1, b: {at: 127.0.0.1:2, share: 20%}}}");
    assert_float_equal(versions_share(other->service->versions, 1), 0.2, 1e-6);
    rig_free(other);
}

static void test_orders_that_make_no_sense(void **state)
{
    (void)state;
    static const char *const lines[] = {"shift", "shift\tdemo", "shift\tdemo\t",
        "shift\tdemo\tzz\t1\ta", "shift\tdemo\t1\t-1\ta", "share\tdemo", "share\tdemo\t\t0.5\t0\t",
        "share\tdemo\tc\t7\t0\t", "share\tdemo\tc\tnan\t0\t", "share\tdemo\tc\t0.5",
        "share\tdemo\tc\t0.5\tx\ty", "\t\t\t"};
    struct rig *rig = rig_new();
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        orders_restore(rig->plane, slice_of_text(lines[i]));
        orders_restore(rig->plane, SLICE("\n"));
    }
    rig_service(rig, THREE);
    expect_shares(rig, 0.7, 0.2, 0.1);
    rig_free(rig);
}

static int run_all(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_others_divide_the_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_back_to_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_verdict, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reloads, setup, teardown),
        cmocka_unit_test_setup_teardown(test_successor, setup, teardown),
        cmocka_unit_test(test_orders_that_make_no_sense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
