#include "config/pattern.h"

#include <pthread.h>

#include "support/unit.h"

struct fixture {
    struct arena arena;
    struct pattern *pattern;
    struct slice groups[PATTERN_GROUPS_MAX];
};

static void begin(struct fixture *f, const char *text)
{
    const char *problem;
    size_t offset;
    arena_init(&f->arena, 0, 0);
    assert_ok(pattern_compile(&f->arena, slice_of_text(text), &f->pattern, &problem, &offset));
}

static void groups_are_found(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "/v([0-9]+)/(?<name>[a-z]*)(x)?");
    assert_slice(pattern_text(f.pattern), "/v([0-9]+)/(?<name>[a-z]*)(x)?");
    assert_ok(pattern_match(f.pattern, SLICE("at /v12/cart!"), false, f.groups));
    assert_slice(f.groups[0], "/v12/cart");
    assert_slice(f.groups[1], "12");
    assert_slice(f.groups[2], "cart");
    assert_null(f.groups[3].data);
    assert_null(f.groups[4].data);
    assert_status(pattern_match(f.pattern, SLICE("/w1/"), false, f.groups), NOT_FOUND);
    arena_release(&f.arena);
}

static void whole_means_all_of_it(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "a|ab");
    assert_ok(pattern_match(f.pattern, SLICE("ab"), true, f.groups));
    assert_slice(f.groups[0], "ab");
    assert_status(pattern_match(f.pattern, SLICE("ab\n"), true, f.groups), NOT_FOUND);
    assert_status(pattern_match(f.pattern, SLICE("xab"), true, f.groups), NOT_FOUND);
    assert_status(pattern_match(f.pattern, SLICE_NONE, true, f.groups), NOT_FOUND);
    arena_release(&f.arena);
}

static void characters_are_utf8(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "(?i)^.\xc3\xa4$");
    assert_ok(pattern_match(f.pattern, SLICE("\xc3\xb6\xc3\x84"), false, f.groups));
    assert_status(pattern_match(f.pattern, SLICE("\xff\xc3\xa4"), false, f.groups), NOT_FOUND);
    arena_release(&f.arena);
}

static void no_pattern_eats_a_worker(void **state)
{
    (void)state;
    static char subject[5000];
    memset(subject, 'a', sizeof subject);
    struct fixture f;
    begin(&f, "^(a+)+$");
    subject[sizeof subject - 1] = 'b';
    assert_status(
        pattern_match(f.pattern, slice_of(subject, sizeof subject), false, f.groups), TOO_LARGE);
    arena_release(&f.arena);
    begin(&f, "^(?:(a)|(b)(?1)?)*+c");
    enum status e = pattern_match(f.pattern, slice_of(subject, sizeof subject), false, f.groups);
    assert_true(e == NOT_FOUND || e == TOO_LARGE);
    arena_release(&f.arena);
}

static void matches_are_replaced(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *subject, *replacement;
        bool all;
        const char *result;
    } cases[] = {
        {"^/api/(.*)", "/api/users", "/$1", false, "/users"},
        {"a", "banana", "o", false, "bonana"},
        {"a", "banana", "o", true, "bonono"},
        {"(?<x>[a-z])([0-9])", "a1b2", "$2${x}", true, "1a2b"},
        {"x*", "abc", "-", true, "-a-b-c-"},
        {"x*", "\xc3\xa4", "-", true, "-\xc3\xa4-"},
        {"$", "abc", "$$1", false, "abc$1"},
        {"(a)|(b)", "b", "[$1$2]", true, "[b]"},
        {".+", "all", "", true, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        struct slice text, replacement = slice_of_text(cases[i].replacement);
        const char *problem;
        size_t offset;
        begin(&f, cases[i].pattern);
        assert_ok(pattern_check_replacement(f.pattern, replacement, &problem, &offset));
        assert_ok(pattern_replace(f.pattern, slice_of_text(cases[i].subject), replacement,
            cases[i].all, &f.arena, &text));
        assert_slices(text, slice_of_text(cases[i].result));
        arena_release(&f.arena);
    }
}

static void nothing_to_replace_is_said(void **state)
{
    (void)state;
    struct fixture f;
    struct slice text = SLICE("untouched");
    begin(&f, "x");
    assert_status(
        pattern_replace(f.pattern, SLICE("abc"), SLICE("y"), true, &f.arena, &text), NOT_FOUND);
    assert_slice(text, "untouched");
    arena_release(&f.arena);
}

static void wrong_replacements_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t offset;
    } cases[] = {{"a$2", 1}, {"$", 0}, {"ab$x", 2}, {"${none}", 0}, {"${open", 0}, {"$1$$${}", 4}};
    struct fixture f;
    begin(&f, "(a)");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *problem = NULL;
        size_t offset = 99;
        assert_status(
            pattern_check_replacement(f.pattern, slice_of_text(cases[i].text), &problem, &offset),
            INVALID);
        assert_int_equal(offset, cases[i].offset);
        assert_non_null(problem);
    }
    arena_release(&f.arena);
}

static void wrong_patterns_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t offset;
    } cases[] = {{"a(b", 3}, {"*a", 0}, {"[a", 2}, {"a\\", 2}, {"(?<1x>a)", 3}, {"a\\C", 3},
        {"\\1", 1}, {"a{2,1}", 5}, {"\xff", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena arena;
        struct pattern *pattern;
        const char *problem = NULL;
        size_t offset = 99;
        arena_init(&arena, 0, 0);
        assert_status(
            pattern_compile(&arena, slice_of_text(cases[i].text), &pattern, &problem, &offset),
            INVALID);
        assert_non_null(problem);
        if (offset != cases[i].offset)
            fail_msg("%s: at %zu, %s", cases[i].text, offset, problem);
        arena_release(&arena);
    }
}

static void *match_in_thread(void *argument)
{
    const struct pattern *pattern = argument;
    struct slice groups[PATTERN_GROUPS_MAX];
    size_t found = 0;
    for (int i = 0; i < 2000; i++)
        found += pattern_match(pattern, SLICE("key=value"), true, groups) == OK &&
                 slice_equal(groups[2], SLICE("value"));
    return (void *)found;
}

static void threads_match_at_once(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, "([a-z]+)=([a-z]+)");
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, match_in_thread, f.pattern), 0);
    for (int i = 0; i < 4; i++) {
        void *found;
        pthread_join(threads[i], &found);
        assert_int_equal((size_t)found, 2000);
    }
    arena_release(&f.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_are_found),
        cmocka_unit_test(whole_means_all_of_it),
        cmocka_unit_test(characters_are_utf8),
        cmocka_unit_test(no_pattern_eats_a_worker),
        cmocka_unit_test(matches_are_replaced),
        cmocka_unit_test(nothing_to_replace_is_said),
        cmocka_unit_test(wrong_replacements_are_refused),
        cmocka_unit_test(wrong_patterns_are_refused_with_their_place),
        cmocka_unit_test(threads_match_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
