#include "http/cookie.h"

#include "support/unit.h"

static void cookies_are_walked(void **state)
{
    (void)state;
    static const char *const want[][2] = {
        {"a", "1"}, {"b", "\"x\""}, {"", "y"}, {"c", ""}, {"d", "e=f"}};
    struct slice rest = SLICE("a=1;  b=\"x\" ;flag; =y;c=; d=e=f;"), name, value;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        assert_true(cookie_next(&rest, &name, &value));
        assert_slices(name, slice_of_text(want[i][0]));
        assert_slices(value, slice_of_text(want[i][1]));
    }
    assert_false(cookie_next(&rest, &name, &value));
}

static void a_cookie_is_found_by_its_exact_name(void **state)
{
    (void)state;
    struct arena arena;
    struct fields fields;
    arena_init(&arena, 0, 0);
    fields_init(&fields, &arena);
    assert_null(cookie_value(&fields, SLICE("session")).data);
    fields_add_known(&fields, FIELD_COOKIE, SLICE("Session=no; xsession=no"));
    fields_add_known(&fields, FIELD_COOKIE, SLICE("empty= ; session=yes; session=second"));
    assert_slice(cookie_value(&fields, SLICE("session")), "yes");
    struct slice empty = cookie_value(&fields, SLICE("empty"));
    assert_true(empty.data && empty.size == 0);
    assert_null(cookie_value(&fields, SLICE("sess")).data);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cookies_are_walked),
        cmocka_unit_test(a_cookie_is_found_by_its_exact_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
