/* Endpoints as files describe them. */
#include "service/instance.h"
#include "support/unit.h"

struct read {
    struct arena arena;
    struct findings findings;
    char room[300];
    struct text trouble;
};

static enum status read_text(struct read *r, bool is_json, const char *text)
{
    arena_init(&r->arena, 0, 0);
    r->findings = (struct findings){.arena = &r->arena};
    r->trouble = text_fixed(r->room, sizeof r->room - 1);
    struct source *source = arena_new(&r->arena, struct source);
    *source = (struct source){SLICE("test"), slice_of_text(text)};
    enum status e = instance_read_all(source, is_json, "the test", &r->findings, &r->trouble);
    r->room[r->trouble.size] = '\0';
    return e;
}

static void check_both(struct read *r)
{
    assert_int_equal(r->findings.count, 3);
    const struct finding *items = r->findings.items;
    assert_int_equal(address_port(&items[0].address), 8080);
    assert_int_equal(items[0].weight, 1);
    assert_int_equal(items[1].weight, 3);
    assert_int_equal(items[1].tier, 2);
    assert_slice(items[1].zone, "eu/a");
    assert_slice(items[1].name, "cart.test");
    assert_int_equal(items[1].label_count, 2);
    assert_slice(items[1].labels[0].key, "v");
    assert_slice(items[1].labels[0].value, "2");
    assert_slice(items[1].trouble, "the test says drain");
    assert_int_equal(items[2].address.any.sa_family, AF_UNIX);
    arena_release(&r->arena);
}

static void test_yaml_and_json_say_the_same(void **state)
{
    (void)state;
    struct read r;
    assert_ok(read_text(&r, false,
        "- 10.0.0.1:8080\n"
        "- {address: \"[::1]:81\", weight: 3, tier: 2, zone: eu/a, name: cart.test, state: drain,\n"
        "   labels: {v: 2, x: \"${HOME}\"}}\n"
        "- unix:/run/x.sock\n"));
    assert_slice(r.findings.items[1].labels[1].value, "${HOME}");
    check_both(&r);
    assert_ok(read_text(&r, true,
        "{\"endpoints\": [\"10.0.0.1:8080\",\n {\"address\": \"[::1]:81\", \"weight\": 3, "
        "\"tier\": 2, "
        "\"zone\": \"eu\\/a\", \"name\": \"cart.test\", \"state\": \"drain\", "
        "\"labels\": {\"v\": \"2\", \"x\": \"y\"}}, \"unix:/run/x.sock\"]}"));
    check_both(&r);
    assert_ok(read_text(&r, true, "[]"));
    assert_int_equal(r.findings.count, 0);
    arena_release(&r.arena);
}

static const struct {
    bool is_json;
    const char *text, *trouble;
} bad[] = {
    {true, "", "line 1, column 1: "},
    {true, "[\"10.0.0.1:80\",\n", "line 2, column 1: "},
    {true, "{\"endpoints\": 3}", "line 1, column 15: a list of endpoints is wanted, not text"},
    {true, "[\"10.0.0.1:80\",\n {\"address\": \"10.0.0.2\"}]",
        "line 2, column 14: this is no address"},
    {true, "[\"user.internal:80\"]", "line 1, column 2: this is no address"},
    {true, "[\"consul://user\"]", "line 1, column 2: this is no address"},
    {true, "[{\"weight\": 3}]", "line 1, column 2: endpoint needs \"address\""},
    {true, "[{\"address\": \"10.0.0.1:80\", \"wieght\": 3}]", "unknown option \"wieght\""},
    {true, "[{\"address\": \"10.0.0.1:80\", \"weight\": 1001}]", "line 1, column 39: "},
    {true, "[{\"address\": \"10.0.0.1:80\", \"state\": \"off\"}]", "line 1, column 38: "},
    {true, "[null]", "has no value"},
    {false, "- 10.0.0.1:80\n- [", "line "},
    {false, "- 10.0.0.1:80\n- {address: ", "line "},
    {false, "10.0.0.1:80", "a list of endpoints is wanted, not text"},
    {false, "- 10.0.0.1:0", "line 1, column 3: this is no address"},
};

static void test_malformed(void **state)
{
    (void)state;
    struct read r;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        enum status e = read_text(&r, bad[i].is_json, bad[i].text);
        if (e != INVALID || !strstr(r.room, bad[i].trouble))
            fail_msg("%s: %s: \"%s\"", bad[i].text, status_word(e), r.room);
        arena_release(&r.arena);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaml_and_json_say_the_same),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
