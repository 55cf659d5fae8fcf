/* Calls of a service with versions: who gets which, and who stays. */
#include "support/service_rig.h"

#include "run/loop.h"
#include "support/on_loop.h"

#include <stdio.h>

static void serve_one(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    while (fake_read(fake, stream))
        fake_answer(stream, 200, "one");
}

static void serve_two(struct fake *fake, struct stream *stream, int number)
{
    (void)number;
    while (fake_read(fake, stream))
        fake_answer(stream, 200, "two");
}

/* Two versions; `format` has two places for them. */
static void make(struct rig *rig, const char *format)
{
    struct fake *one = rig_fake(rig, serve_one, NULL), *two = rig_fake(rig, serve_two, NULL);
    char text[1000];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(text, sizeof text, format, one->text, two->text);
#pragma GCC diagnostic pop
    rig_service(rig, "%s", text);
}

static void ask(struct rig *rig, const char *field, const char *value)
{
    rig_request(rig, "GET", "/");
    if (field)
        assert_ok(fields_add(&rig->x.request.fields, field_id_of(slice_of_text(field)),
            slice_of_text(field), slice_of_text(value)));
    assert_ok(rig_call(rig));
}

static void expect(struct rig *rig, const char *field, const char *value, const char *answer)
{
    ask(rig, field, value);
    assert_slices(rig_body(rig), slice_of_text(answer));
}

static void test_condition_comes_first(void **state)
{
    struct rig *rig = *state;
    make(rig, "{versions: {v1: \"%s\", v2: {at: \"%s\", when: header.x-canary}}}");
    for (int i = 0; i < 20; i++)
        expect(rig, NULL, NULL, "one");
    expect(rig, "x-canary", "1", "two");
    assert_slice(rig->x.facts.service, "demo.v2");
    assert_false(fields_has(&rig->x.response.fields, FIELD_SET_COOKIE));
    expect(rig, "x-canary", "0", "two");
    expect(rig, "x-other", "1", "one");
    assert_slice(rig->x.facts.service, "demo.v1");
}

/* The same user always comes to the same version; the users are divided. */
static void test_key(void **state)
{
    struct rig *rig = *state;
    make(rig, "{stay: header.x-user, versions: {v1: \"%s\", v2: {at: \"%s\", share: 50%%}}}");
    int twos = 0;
    for (int user = 0; user < 60; user++) {
        char name[20], first[4];
        snprintf(name, sizeof name, "user-%d", user);
        ask(rig, "x-user", name);
        struct slice body = rig_body(rig);
        assert_int_equal(body.size, 3);
        memcpy(first, body.data, 3);
        first[3] = 0;
        expect(rig, "x-user", name, first);
        assert_false(fields_has(&rig->x.response.fields, FIELD_SET_COOKIE));
        twos += first[0] == 't';
    }
    assert_in_range(twos, 10, 50);
}

static struct slice cookie_of(struct rig *rig)
{
    struct slice value = fields_value(&rig->x.response.fields, FIELD_SET_COOKIE);
    return slice_head(value, slice_find(value, ';'));
}

static void test_cookie(void **state)
{
    struct rig *rig = *state;
    make(rig, "{versions: {v1: \"%s\", v2: {at: \"%s\", share: 50%%}}}");
    int twos = 0;
    for (int user = 0; user < 40; user++) {
        char first[4] = "", cookie[100];
        ask(rig, NULL, NULL);
        struct slice text = cookie_of(rig);
        assert_true(slice_has_prefix(text, SLICE("weir-user=")));
        assert_int_equal(text.size, 10 + 16);
        snprintf(cookie, sizeof cookie, "a=b; %.*s", SLICE_ARG(text));
        memcpy(first, rig_body(rig).data, 3);
        for (int i = 0; i < 3; i++)
            expect(rig, "cookie", cookie, first);
        assert_false(fields_has(&rig->x.response.fields, FIELD_SET_COOKIE));
        twos += first[0] == 't';
    }
    assert_in_range(twos, 5, 35);
    ask(rig, "cookie", "weir-user=0123456789abcdeX"); /* none of ours */
    assert_true(fields_has(&rig->x.response.fields, FIELD_SET_COOKIE));
    assert_int_equal(rig_body(rig).size, 3);
}

static void test_nobody_stays(void **state)
{
    struct rig *rig = *state;
    make(rig, "{stay: none, versions: {v1: \"%s\", v2: {at: \"%s\", share: 50%%}}}");
    int twos = 0;
    for (int i = 0; i < 60; i++) {
        ask(rig, NULL, NULL);
        assert_false(fields_has(&rig->x.response.fields, FIELD_SET_COOKIE));
        twos += rig_body(rig).data[0] == 't';
    }
    assert_in_range(twos, 10, 50);
}

/* Nobody need be known while one has all. */
static void test_all(void **state)
{
    struct rig *rig = *state;
    make(rig, "{versions: {v1: {at: \"%s\", share: 0%%}, v2: \"%s\"}}");
    for (int i = 0; i < 10; i++)
        expect(rig, NULL, NULL, "two");
    assert_false(fields_has(&rig->x.response.fields, FIELD_SET_COOKIE));
}

static void test_description(void **state)
{
    struct rig *rig = *state;
    make(rig, "{stay: header.x-user, versions: {v1: \"%s\", v2: {at: \"%s\", share: 25%%, when: "
              "header.x}}}");
    const char *text = rig_describe(rig);
    assert_non_null(strstr(text, "\"service\":\"demo.v2\""));
    assert_non_null(strstr(text, "\"share\":0.25"));
    assert_non_null(strstr(text, "\"when\":\"header.x\""));
    assert_non_null(strstr(text, "\"stay\":\"header.x-user\""));
    struct text explained = text_growing(0);
    rig_request(rig, "GET", "/");
    rig->x.is_rehearsal = true;
    service_explain(rig->service, &rig->x, &explained);
    assert_slice(slice_head(text_slice(&explained), 29), ", version v1 perhaps, of 75%,");
    text_release(&explained);
}

static int run_all(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_condition_comes_first, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(test_key, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(test_cookie, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(test_nobody_stays, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(test_all, rig_setup, rig_teardown),
        cmocka_unit_test_setup_teardown(test_description, rig_setup, rig_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run_all);
}
