/* What agents say. */
#include "service/agent_words.h"

#include "support/unit.h"

static struct agent_said said(const char *text)
{
    struct agent_said result = {0};
    assert_ok(agent_words_parse(slice_of_text(text), &result));
    return result;
}

static void test_words(void **state)
{
    (void)state;
    assert_int_equal(said("yes\n").overloaded, AGENT_YES);
    assert_int_equal(said("No").overloaded, AGENT_NO);
    assert_int_equal(said("0%\r\n").overloaded, AGENT_YES);
    assert_int_equal(said("75%\n").overloaded, AGENT_NO);
    assert_int_equal(said("drain").out, AGENT_YES);
    assert_int_equal(said("maint").out, AGENT_YES);
    assert_int_equal(said("ready").out, AGENT_NO);
    assert_int_equal(said("up").down, AGENT_NO);
    assert_int_equal(said("fail").down, AGENT_YES);
    assert_int_equal(said("maxconn:30").down, AGENT_SILENT);
    assert_true(said("75%").has_share && said("75%").share == 0.75);
    assert_false(said("0%").has_share);
    assert_true(said("maxconn:30").has_limit && !said("up").has_limit);
    assert_int_equal(said("maxconn:30").limit, 30);
}

static void test_together(void **state)
{
    (void)state;
    struct agent_said all = said("up ready,50%\tmaxconn:7 # all is well\nnothing of this");
    assert_int_equal(all.down, AGENT_NO);
    assert_int_equal(all.out, AGENT_NO);
    assert_int_equal(all.overloaded, AGENT_NO);
    assert_slice(all.why, "all is well");
    assert_slice(said("stopped #text").why, "text");
}

static void test_nonsense(void **state)
{
    (void)state;
    static const char *const lines[] = {"", "\n", "#why", "upp", "%", "-1%", "5 %",
        "maxconn:", "maxconn:x", "maxconn:4294967296", "1001%", "<html>", "up down?"};
    struct agent_said result;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_status(agent_words_parse(slice_of_text(lines[i]), &result), INVALID);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_words),
        cmocka_unit_test(test_together), cmocka_unit_test(test_nonsense)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
