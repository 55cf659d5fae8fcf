#include "http/split_cookie.h"

#include "support/arena_fixture.h"
#include "support/unit.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

static const struct split_cookie cookie = {SLICE_INIT("s"), SLICE_INIT("; Path=/")};

static struct fields bring(const char *cookies)
{
    struct fields fields;
    fields_init(&fields, &arena);
    if (*cookies)
        assert_ok(fields_add_known(&fields, FIELD_COOKIE, slice_of_text(cookies)));
    return fields;
}

static void parts_are_joined(void **state)
{
    (void)state;
    static const struct {
        const char *cookies;
        enum status verdict;
        const char *value;
    } rows[] = {
        {"", NOT_FOUND, ""},
        {"t=1.x; s.1=x; sx=1.y", NOT_FOUND, ""},
        {"s=1.one", OK, "one"},
        {"s=1.one; s=1.two", OK, "one"},
        {"s=1.", OK, ""},
        {"s.2=c; s=3.a; s.1=b", OK, "abc"},
        {"s=2.a; s.1=b; s.2=old", OK, "ab"},
        {"s=2.a", INVALID, ""},
        {"s=2.a; s.1=", INVALID, ""},
        {"s=0.a", INVALID, ""},
        {"s=7.a", INVALID, ""},
        {"s=1a", INVALID, ""},
        {"s=1", INVALID, ""},
        {"s=", INVALID, ""},
        {"s=11.a", INVALID, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fields request = bring(rows[i].cookies);
        struct slice value = SLICE_NONE;
        enum status e = split_cookie_value(&cookie, &request, &arena, &value);
        if (e != rows[i].verdict || !slice_equal(value, slice_of_text(rows[i].value)))
            fail_msg("%s: %s, %.*s", rows[i].cookies, status_word(e), SLICE_ARG(value));
    }
}

/* The answer's cookies as a browser would bring them. */
static struct fields brought_back(const struct fields *answer)
{
    struct fields fields;
    const struct field *field = NULL;
    fields_init(&fields, &arena);
    while ((field = fields_next(answer, FIELD_SET_COOKIE, field)))
        if (slice_find_slice(field->value, SLICE("Max-Age=0;")) == field->value.size)
            assert_ok(fields_add_known(
                &fields, FIELD_COOKIE, slice_head(field->value, slice_find(field->value, ';'))));
    return fields;
}

static void any_size_comes_back(void **state)
{
    (void)state;
    char *bytes = arena_bytes(&arena, SPLIT_COOKIE_MAX + 1);
    for (size_t i = 0; i <= SPLIT_COOKIE_MAX; i++)
        bytes[i] = (char)('a' + i % 26);
    static const size_t sizes[] = {
        0, 1, SPLIT_COOKIE_PART, SPLIT_COOKIE_PART + 1, SPLIT_COOKIE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct fields none = bring(""), answer = bring(""), again;
        struct slice value;
        assert_ok(split_cookie_set(&cookie, &none, slice_of(bytes, sizes[i]), 60, &answer));
        again = brought_back(&answer);
        assert_ok(split_cookie_value(&cookie, &again, &arena, &value));
        assert_slices(value, slice_of(bytes, sizes[i]));
    }
    struct fields none = bring(""), answer = bring("");
    assert_status(
        split_cookie_set(&cookie, &none, slice_of(bytes, SPLIT_COOKIE_MAX + 1), 60, &answer),
        TOO_LARGE);
    assert_int_equal(answer.count, 0);
}

static void parts_that_are_left_over_go(void **state)
{
    (void)state;
    struct fields request = bring("s=3.a; s.1=b; x=y; s.2=c"), answer = bring("");
    assert_ok(split_cookie_set(&cookie, &request, SLICE("new"), 60, &answer));
    assert_int_equal(answer.count, 3);
    assert_slice(answer.items[0].value, "s=1.new; Max-Age=60; Path=/");
    assert_slice(answer.items[1].value, "s.1=; Max-Age=0; Path=/");
    assert_slice(answer.items[2].value, "s.2=; Max-Age=0; Path=/");
    struct fields other = bring("");
    assert_ok(split_cookie_forget(&cookie, &request, &other));
    assert_int_equal(other.count, 3);
    assert_slice(other.items[0].value, "s=; Max-Age=0; Path=/");
}

static void services_do_not_see_them(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"a=b", "a=b"},
        {"a=b;c=d", "a=b;c=d"},
        {"s=1.x", NULL},
        {" s=1.x ;s.1=y; s.login=z", NULL},
        {"a=b; s=1.x; c=d", "a=b; c=d"},
        {"s=1.x; flag;st=1;s.9=;u;v;w", "flag; st=1; u; v; w"},
        {"a;b;c;d;e;f;g;h;i;j;k;l;s=1.x", "a; b; c; d; e; f; g; h; i; j; k; l"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct fields request = bring(rows[i][0]);
        assert_ok(split_cookie_strip(&cookie, &request, &arena));
        struct slice left = fields_value(&request, FIELD_COOKIE);
        assert_slices(left, slice_of_text(rows[i][1]));
        assert_int_equal(request.items[0].name.size > 0, rows[i][1] != NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(parts_are_joined),
        TEST(any_size_comes_back),
        TEST(parts_that_are_left_over_go),
        TEST(services_do_not_see_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
