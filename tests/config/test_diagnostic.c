#include "config/diagnostic.h"

#include "support/unit.h"

struct fixture {
    struct arena arena;
    struct diagnostics diagnostics;
    struct text text;
};

static void begin(struct fixture *f)
{
    arena_init(&f->arena, 0, 0);
    diagnostics_init(&f->diagnostics, &f->arena);
    f->text = text_growing(0);
}

static void end(struct fixture *f)
{
    text_release(&f->text);
    arena_release(&f->arena);
}

static void a_complaint_shows_its_line(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct source source = {SLICE("shop.yaml"),
        SLICE("services:\n  cart: {at: dns+srv://cart.internal, balence: hash cookie.session}\n")};
    assert_status(diagnostics_error(&f.diagnostics, (struct place){&source, 2, 39, 7},
                      SLICE("did you mean \"balance\"?"),
                      "unknown option \"%s\" for service \"cart\"", "balence"),
        INVALID);
    diagnostics_print(&f.diagnostics, false, &f.text);
    assert_slice(text_slice(&f.text),
        "shop.yaml:2:39: error: unknown option \"balence\" for service \"cart\"\n"
        "    2 |   cart: {at: dns+srv://cart.internal, balence: hash cookie.session}\n"
        "      |                                       ^^^^^^^ did you mean \"balance\"?\n");
    end(&f);
}

/* What is shown of a line, with the carets. */
static void check_excerpt(
    const char *line, uint32_t column, uint32_t length, const char *shown, const char *carets)
{
    struct fixture f;
    begin(&f);
    struct source source = {SLICE("x"), slice_of_text(line)};
    diagnostics_error(&f.diagnostics, (struct place){&source, 1, column, length}, SLICE_NONE, "m");
    diagnostics_print(&f.diagnostics, false, &f.text);
    struct slice wanted =
        arena_format(&f.arena, "x:1:%u: error: m\n    1 | %s\n      | %s\n", column, shown, carets);
    assert_slices(text_slice(&f.text), wanted);
    end(&f);
}

static void carets_stand_below_what_they_mean(void **state)
{
    (void)state;
    check_excerpt("abc", 2, 1, "abc", " ^");
    check_excerpt("abc", 4, 1, "abc", "   ^");
    check_excerpt("abc", 9, 1, "abc", "   ^");
    check_excerpt("abc", 2, 50, "abc", " ^^");
    check_excerpt("a\tbc", 3, 2, "a   bc", "    ^^");
    check_excerpt("\t\tb", 3, 1, "        b", "        ^");
    check_excerpt("\xc3\xa4\xc3\xb6 b", 4, 1, "\xc3\xa4\xc3\xb6 b", "   ^");
    check_excerpt("\xe6\x97\xa5\xe6\x9c\xac x", 4, 1, "\xe6\x97\xa5\xe6\x9c\xac x", "     ^");
    check_excerpt("\xe6\x97\xa5\xe6\x9c\xac x", 2, 1, "\xe6\x97\xa5\xe6\x9c\xac x", "  ^^");
    check_excerpt("e\xcc\x81x", 3, 1, "e\xcc\x81x", " ^");
    check_excerpt("\xff\x1b[31mx", 7, 1, "\xef\xbf\xbd\xef\xbf\xbd[31mx", "      ^");
    check_excerpt("abc\r\n", 1, 3, "abc", "^^^");
    check_excerpt("", 1, 1, "", "^");
}

static void long_lines_are_shown_in_part(void **state)
{
    (void)state;
    char line[2001];
    for (size_t i = 0; i < 2000; i++)
        line[i] = (char)('a' + i % 26);
    line[2000] = '\0';
    struct fixture f;
    begin(&f);
    struct source source = {SLICE("x"), slice_of_text(line)};
    diagnostics_error(&f.diagnostics, (struct place){&source, 1, 1000, 500}, SLICE("hint"), "m");
    diagnostics_error(&f.diagnostics, (struct place){&source, 1, 1, 1}, SLICE_NONE, "m");
    diagnostics_error(&f.diagnostics, (struct place){&source, 1, 2000, 1}, SLICE_NONE, "m");
    diagnostics_print(&f.diagnostics, false, &f.text);
    struct slice rest = text_slice(&f.text), text;
    for (size_t i = 0; slice_split(&rest, '\n', &text) && text.size; i++) {
        assert_true(text.size <= 118);
        /* The letter above the first caret is the one meant. */
        if (i % 3 == 1) {
            struct slice carets = slice_head(rest, slice_find(rest, '\n'));
            size_t at = slice_find(carets, '^');
            bool is_cut =
                slice_find(text, '\xe2') < 20; /* an ellipsis takes three bytes, one column */
            static const char wanted[] = {'a', 'l', 'x'};
            assert_int_equal(text.data[at + (is_cut ? 2 : 0)], wanted[i / 3]);
        }
    }
    end(&f);
}

static void complaints_are_sorted_and_related(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct source source = {SLICE("x"), SLICE("one\ntwo\n")};
    diagnostics_error(&f.diagnostics, (struct place){&source, 2, 2, 1}, SLICE_NONE, "third");
    diagnostics_warning(&f.diagnostics, (struct place){&source, 1, 2, 1}, SLICE_NONE, "first");
    diagnostics_error(&f.diagnostics, (struct place){&source, 2, 1, 3}, SLICE_NONE, "second");
    diagnostics_relate(&f.diagnostics, (struct place){&source, 1, 1, 3}, "because of this");
    assert_int_equal(f.diagnostics.errors, 2);
    diagnostics_print(&f.diagnostics, false, &f.text);
    assert_slice(text_slice(&f.text), "x:1:2: warning: first\n    1 | one\n      |  ^\n"
                                      "x:2:1: error: second\n    2 | two\n      | ^^^\n"
                                      "x:1:1: note: because of this\n    1 | one\n      | ^^^\n"
                                      "x:2:2: error: third\n    2 | two\n      |  ^\n");
    end(&f);
}

static void places_may_be_nowhere(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct source source = {SLICE("big.yaml"), SLICE_NONE};
    diagnostics_error(
        &f.diagnostics, (struct place){&source, 0, 0, 0}, SLICE("16 MiB at most"), "too large");
    diagnostics_error(
        &f.diagnostics, (struct place){NULL, 0, 0, 0}, SLICE_NONE, "out of %s", "luck");
    diagnostics_print(&f.diagnostics, false, &f.text);
    assert_slice(
        text_slice(&f.text), "big.yaml: error: too large: 16 MiB at most\nerror: out of luck\n");
    end(&f);
}

static void colours_are_for_terminals(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct source source = {SLICE("x"), SLICE("one")};
    diagnostics_error(&f.diagnostics, (struct place){&source, 1, 1, 3}, SLICE_NONE, "bad \x1b[2J");
    diagnostics_print(&f.diagnostics, true, &f.text);
    assert_slice(text_slice(&f.text),
        "\x1b[1mx:1:1: \x1b[1;31merror:\x1b[0m bad \xef\xbf\xbd[2J\n    1 | one\n"
        "      | \x1b[1;31m^^^\x1b[0m\n");
    end(&f);
}

static void machines_read_json(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct source source = {SLICE("x"), SLICE("one\n\"two\"\n")};
    diagnostics_error(
        &f.diagnostics, (struct place){&source, 2, 1, 5}, SLICE("say \"please\""), "bad");
    diagnostics_relate(&f.diagnostics, (struct place){&source, 1, 1, 3}, "see");
    diagnostics_warning(&f.diagnostics, (struct place){NULL, 0, 0, 0}, SLICE_NONE, "hm");
    diagnostics_print_json(&f.diagnostics, &f.text);
    assert_slice(text_slice(&f.text),
        "[{\"severity\":\"error\",\"file\":\"x\",\"line\":2,\"column\":1,\"length\":5,\"message\":"
        "\"bad\","
        "\"hint\":\"say \\\"please\\\"\",\"related\":{\"file\":\"x\",\"line\":1,\"column\":1,"
        "\"length\":3,\"message\":\"see\"}},"
        "{\"severity\":\"warning\",\"file\":\"\",\"line\":0,\"column\":0,\"length\":0,"
        "\"message\":\"hm\",\"hint\":\"\",\"related\":null}]");
    end(&f);
}

static void sources_can_be_kept(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct arena arena;
    arena_init(&arena, 0, 0);
    struct source *source = arena_new(&arena, struct source);
    *source =
        (struct source){arena_copy(&arena, SLICE("x")), arena_copy(&arena, SLICE("one\ntwo\n"))};
    diagnostics_error(&f.diagnostics, (struct place){source, 1, 1, 3}, SLICE_NONE, "first");
    diagnostics_error(&f.diagnostics, (struct place){NULL, 0, 0, 0}, SLICE_NONE, "nowhere");
    diagnostics_error(&f.diagnostics, (struct place){source, 2, 1, 3}, SLICE_NONE, "second");
    diagnostics_relate(&f.diagnostics, (struct place){source, 1, 1, 1}, "see");
    assert_ok(diagnostics_keep_sources(&f.diagnostics));
    memset(source, 0xff, sizeof *source);
    arena_release(&arena);
    assert_ptr_equal(f.diagnostics.items[0].place.source, f.diagnostics.items[2].related.source);
    diagnostics_print(&f.diagnostics, false, &f.text);
    assert_slice(text_slice(&f.text), "x:1:1: error: first\n    1 | one\n      | ^^^\n"
                                      "x:2:1: error: second\n    2 | two\n      | ^^^\n"
                                      "x:1:1: note: see\n    1 | one\n      | ^\n"
                                      "error: nowhere\n");
    end(&f);
}

static void too_many_are_only_counted(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    struct source source = {SLICE("x"), SLICE("one")};
    for (uint32_t i = 0; i < DIAGNOSTICS_MAX + 5; i++)
        diagnostics_error(&f.diagnostics, (struct place){&source, 1, 1, 1}, SLICE_NONE, "%u", i);
    assert_int_equal(f.diagnostics.count, DIAGNOSTICS_MAX);
    assert_int_equal(f.diagnostics.errors, DIAGNOSTICS_MAX + 5);
    assert_int_equal(f.diagnostics.dropped, 5);
    diagnostics_print(&f.diagnostics, false, &f.text);
    assert_true(slice_has_suffix(text_slice(&f.text), SLICE("\nand 5 more\n")));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_complaint_shows_its_line),
        cmocka_unit_test(carets_stand_below_what_they_mean),
        cmocka_unit_test(long_lines_are_shown_in_part),
        cmocka_unit_test(complaints_are_sorted_and_related),
        cmocka_unit_test(places_may_be_nowhere),
        cmocka_unit_test(colours_are_for_terminals),
        cmocka_unit_test(machines_read_json),
        cmocka_unit_test(sources_can_be_kept),
        cmocka_unit_test(too_many_are_only_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
