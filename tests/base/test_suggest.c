#include "base/suggest.h"

#include "support/unit.h"

static const struct slice names[] = {SLICE_INIT("balance"), SLICE_INIT("breaker"), SLICE_INIT("at"),
    SLICE_INIT("health"), SLICE_INIT("timeout"), SLICE_INIT("timeouts"), SLICE_INIT("retry")};

static struct slice best(struct slice written)
{
    return suggest_among(written, names, sizeof names / sizeof *names);
}

static void each_kind_of_slip_is_seen(void **state)
{
    (void)state;
    assert_slice(best(SLICE("balence")), "balance");
    assert_slice(best(SLICE("balanc")), "balance");
    assert_slice(best(SLICE("ballance")), "balance");
    assert_slice(best(SLICE("blaance")), "balance");
    assert_slice(best(SLICE("alance")), "balance");
    assert_slice(best(SLICE("xbalance")), "balance");
    assert_slice(best(SLICE("abalnce")), "balance");
    assert_slice(best(SLICE("HEALTH")), "health");
    assert_slice(best(SLICE("ta")), "at");
    assert_slice(suggest_among(SLICE("AZ@"), (struct slice[]){SLICE("az@")}, 1), "az@");
    assert_slice(suggest_among(SLICE("@"), (struct slice[]){SLICE("`")}, 1), "");
}

static void what_is_far_off_is_not_suggested(void **state)
{
    (void)state;
    assert_int_equal(best(SLICE("cache")).size, 0);
    assert_int_equal(best(SLICE("xy")).size, 0);
    assert_int_equal(best(SLICE("x")).size, 0);
    assert_int_equal(best(SLICE("")).size, 0);
    assert_int_equal(best(SLICE("bxlxnxe")).size, 0);
}

static void the_nearest_wins_and_then_the_first(void **state)
{
    (void)state;
    assert_slice(best(SLICE("timeoutz")), "timeout");
    assert_slice(suggest_among(SLICE("abcdef"), (struct slice[]){SLICE("badcef")}, 1), "badcef");
    assert_slice(suggest_among(SLICE("abcdef"), (struct slice[]){SLICE("badcfe")}, 1), "");
    assert_slice(best(SLICE("timeouts")), "timeouts");
    assert_slice(
        suggest_among(SLICE("cat"), (struct slice[]){SLICE("bat"), SLICE("rat")}, 2), "bat");
}

static void monstrous_names_are_passed_over(void **state)
{
    (void)state;
    char long_name[1000];
    memset(long_name, 'a', sizeof long_name);
    struct slice all = slice_of(long_name, sizeof long_name);
    struct slice most = slice_head(all, SUGGEST_SIZE_MAX);
    assert_int_equal(suggest_among(all, &all, 1).size, 0);
    assert_slices(suggest_among(most, &most, 1), most);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_slip_is_seen),
        cmocka_unit_test(what_is_far_off_is_not_suggested),
        cmocka_unit_test(the_nearest_wins_and_then_the_first),
        cmocka_unit_test(monstrous_names_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
