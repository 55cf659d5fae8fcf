#include "config/tree.h"

#include <stdlib.h>
#include <string.h>

#include "support/config.h"

static void maps_lists_and_scalars_keep_their_places(void **state)
{
    (void)state;
    struct config c;
    assert_ok(config_begin(&c, SLICE("a: one\nlist: [x, 'y']\nmap:\n  b: \"two\"\n  c:\n")));
    config_check_clean(&c);
    assert_int_equal(c.root->kind, NODE_MAP);
    assert_int_equal(c.root->count, 3);
    const struct node *a = node_get(c.root, SLICE("a"));
    assert_slice(a->text, "one");
    assert_false(a->is_quoted);
    assert_int_equal(a->place.line, 1);
    assert_int_equal(a->place.column, 4);
    assert_int_equal(a->place.length, 3);
    const struct node *list = node_get(c.root, SLICE("list"));
    assert_int_equal(list->kind, NODE_LIST);
    assert_int_equal(list->place.length, 8);
    assert_true(list->items[1]->is_quoted);
    const struct node *map = node_get(c.root, SLICE("map"));
    assert_int_equal(map->entries[1].key_place.line, 5);
    assert_int_equal(map->entries[1].key_place.column, 3);
    assert_int_equal(map->entries[1].value->kind, NODE_NULL);
    assert_null(node_get(c.root, SLICE("nothing")));
    assert_null(node_get(a, SLICE("nothing")));
    config_end(&c);
}

static void an_empty_text_is_an_empty_map(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n\n", "# a comment\n", "---\n", "\xef\xbb\xbf", "~"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct config c;
        assert_ok(config_begin(&c, slice_of_text(texts[i])));
        config_check_clean(&c);
        assert_int_equal(c.root->kind, NODE_MAP);
        assert_int_equal(c.root->count, 0);
        config_end(&c);
    }
}

static void quotes_tell_text_from_nothing(void **state)
{
    (void)state;
    struct config c;
    assert_ok(config_begin(&c, SLICE("[~, null, '', 'null']")));
    static const enum node_kind kinds[] = {NODE_NULL, NODE_NULL, NODE_SCALAR, NODE_SCALAR};
    for (size_t i = 0; c.root && i < 4; i++)
        assert_int_equal(c.root->items[i]->kind, kinds[i]);
    config_end(&c);
}

static void a_byte_order_mark_and_windows_lines_do_not_matter(void **state)
{
    (void)state;
    struct config c;
    assert_ok(config_begin(&c, SLICE("\xef\xbb\xbf"
                                     "a: 1\r\nb: 2\r\n")));
    config_check_clean(&c);
    assert_slice(node_get(c.root, SLICE("a"))->text, "1");
    assert_int_equal(node_get(c.root, SLICE("b"))->place.line, 2);
    assert_slice(source_line(&c.source, 1), "a: 1");
    assert_int_equal(c.root->entries[0].key_place.column, 1);
    config_end(&c);
}

static void aliases_share_their_value(void **state)
{
    (void)state;
    struct config c;
    assert_ok(config_begin(&c, SLICE("a: &x {b: [1, 2]}\nc: *x\nd: [*x, *x]\n")));
    config_check_clean(&c);
    const struct node *a = node_get(c.root, SLICE("a"));
    assert_ptr_equal(a, node_get(c.root, SLICE("c")));
    assert_ptr_equal(a, node_get(c.root, SLICE("d"))->items[1]);
    config_end(&c);
}

static void the_environment_is_put_in(void **state)
{
    (void)state;
    setenv("WEIR_TEST_HOST", "example.net", 1);
    setenv("WEIR_TEST_TRICK", "${header.x}", 1);
    unsetenv("WEIR_TEST_NONE");
    struct config c;
    assert_ok(config_begin(&c, SLICE("a: ${WEIR_TEST_HOST}:80\nb: ${WEIR_TEST_NONE:-else}\nc: "
                                     "$${WEIR_TEST_HOST} $5 ${claims.sub}\n"
                                     "d: ${WEIR_TEST_TRICK}\ne: ${WEIR_TEST_NONE:-}\n")));
    config_check_clean(&c);
    assert_slice(node_get(c.root, SLICE("a"))->text, "example.net:80");
    assert_slice(node_get(c.root, SLICE("b"))->text, "else");
    assert_slice(node_get(c.root, SLICE("c"))->text, "${WEIR_TEST_HOST} $5 ${claims.sub}");
    assert_slice(node_get(c.root, SLICE("c"))->raw, "$${WEIR_TEST_HOST} $5 ${claims.sub}");
    assert_slice(node_get(c.root, SLICE("d"))->text, "${header.x}");
    assert_slice(node_get(c.root, SLICE("d"))->raw, "$${header.x}");
    assert_int_equal(node_get(c.root, SLICE("e"))->kind, NODE_SCALAR);
    config_end(&c);
}

static void places_inside_scalars_are_found(void **state)
{
    (void)state;
    setenv("WEIR_TEST_HOST", "example.net", 1);
    static const struct {
        const char *yaml;
        size_t offset, size;
        uint32_t line, column, length;
    } cases[] = {
        {"a: hash cookie.x", 5, 8, 1, 9, 8},
        {"a: \"hash cookie.x\"", 5, 8, 1, 10, 8},
        {"a: '\xc3\xa4\xc3\xb6 word'", 5, 4, 1, 8, 4},
        {"a: \"\\x41b cd\"", 3, 2, 1, 11, 2},
        {"a: ${WEIR_TEST_HOST} word", 12, 4, 1, 22, 4},
        {"a: |\n  one\n  two words\n", 8, 5, 3, 7, 5},
        {"a: plain", 5, 9, 1, 9, 1},
        {"a: plain", 50, 1, 1, 4, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config c;
        assert_ok(config_begin(&c, slice_of_text(cases[i].yaml)));
        struct place place =
            node_place_at(c.root->entries[0].value, cases[i].offset, cases[i].size);
        assert_int_equal(place.line, cases[i].line);
        assert_int_equal(place.column, cases[i].column);
        assert_int_equal(place.length, cases[i].length);
        config_end(&c);
    }
}

/* One of each kind that the reader knows. */
static const struct malformed malformed[] = {
    {"a: 1\nb: 2\na: 3\n", 3, 1, "the key \"a\" occurs twice", NULL},
    {"a: {b: 1, c: 2, b: 3}", 1, 17, "the key \"b\" occurs twice", NULL},
    {"a:\n\tb: 1\n", 2, 1, "a tab", "blanks"},
    {"a: 1\n\tb: 1\n", 2, 1, "tab", NULL},
    {"a: b: c\n", 1, 5, "\":\" is not allowed", "quotes"},
    {"a: 'open\nb: 1\n", 1, 4, "this quote is never closed", NULL},
    {"a: \"open\n", 1, 4, "this quote is never closed", NULL},
    {"a: [1, 2\n", 1, 4, "this bracket is never closed", NULL},
    {"a: {b: 1\n", 1, 4, "this bracket is never closed", NULL},
    {"a: {b: [1, 2}\n", 1, 13, "\",\" or \"]\" is missing", NULL},
    {"a: {b: 1 ]\n", 1, 10, "\",\" or \"}\" is missing", NULL},
    {"a: [1 2, {]\n", 1, 11, "missing", NULL},
    {"a: \"\\q\"\n", 1, 5, "an unknown escape", "single quotes"},
    {"a: \"\\x4\"\n", 1, 7, "hexadecimal", NULL},
    {"a: \"\\ud800\"\n", 1, 7, "no character", NULL},
    {"a: *\n", 1, 4, "refers to the name", "quotes"},
    {"hosts: [*.example.com]\n", 1, 9, "refers to the name", "quotes"},
    {"a: *none\n", 1, 4, "no anchor \"&none\"", "quotes"},
    {"a: &x [*x]\n", 1, 8, "stands inside the value", NULL},
    {"a: &x 1\nb: &x 2\n", 2, 4, "the anchor \"&x\" occurs twice", NULL},
    {"a: & x\n", 1, 4, "gives the name", "quotes"},
    {"a: !!str x\n", 1, 4, "tags are not read", NULL},
    {"a: !thing {b: 1}\n", 1, 4, "tags are not read", NULL},
    {"a: !<x\n", 1, 4, "tags are not read", NULL},
    {"a: !e!x 1\n", 1, 4, "tags are not read", NULL},
    {"%TAG ! tag:x,2000:\n---\na: !x 1\n", 3, 4, "tags are not read", NULL},
    {"a: 1\n---\nb: 2\n", 2, 1, "a second document", NULL},
    {"<<: {a: 1}\n", 1, 1, "merge keys", NULL},
    {"x: &x {a: 1}\nb: {<<: *x}\n", 2, 5, "merge keys", NULL},
    {"[a, b]: 1\n", 1, 1, "a key is text", "quotes"},
    {"? {a: 1}\n: 2\n", 1, 3, "a key is text", "quotes"},
    {"a: 1\n b: 2\n", 2, 3, "\":\" is not allowed", NULL},
    {"a:\n  b: 1\n c: 2\n", 3, 2, "no key of the map", NULL},
    {"a:\n  - 1\n  b: 2\n", 3, 3, "no item of the list", NULL},
    {"a: - 1\n", 1, 4, "\"-\" is not allowed", NULL},
    {"a: 1\nfoo\nb: 2\n", 2, 1, "\":\" is missing", "key: value"},
    {"a: @home\n", 1, 4, "cannot begin with \"@\"", "quotes"},
    {"a: `x`\n", 1, 4, "cannot begin with \"`\"", "quotes"},
    {"a: %x\n", 1, 4, "cannot begin with \"%\"", "quotes"},
    {"%x\na: 1\n", 1, 1, "cannot begin with \"%\"", "quotes"},
    {"%YAML 1\n---\na: 1\n", 1, 1, "version of YAML", NULL},
    {"%YAML 3.0\n---\na: 1\n", 1, 1, "YAML 1.1 and 1.2", NULL},
    {"a: | x\n  y\n", 1, 6, "only a comment", NULL},
    {"a: |0\n  y\n", 1, 5, "1 to 9", NULL},
    {"a: ]\n", 1, 4, "a value is missing", NULL},
    {"a: ,\n", 1, 4, "a value is missing", NULL},
    {"a: 1\n]\n", 2, 1, "", NULL},
    {"a: \x01\n", 1, 4, "control character 0x01", NULL},
    {"a: \x1b[31m\n", 1, 4, "control character 0x1B", NULL},
    {"a: \x7f\n", 1, 4, "control character 0x7F", NULL},
    {"a: 1\rb: 2\n", 1, 5, "carriage return", NULL},
    {"a: caf\xe9\n", 1, 7, "0xE9 is not UTF-8", "UTF-8"},
    {"\xc3\xa4: \xff\n", 1, 4, "0xFF is not UTF-8", NULL},
    {"a: \xed\xa0\x80\n", 1, 4, "not UTF-8", NULL},
    {"a: \xc0\x80\n", 1, 4, "not UTF-8", NULL},
    {"a: \xe2\x82", 1, 4, "not UTF-8", NULL},
    {"a: x\xc2\x85y\n", 1, 5, "U+0085", "\\u"},
    {"a: x\xe2\x80\xa8y\n", 1, 5, "U+2028", NULL},
    {"a: 1\nb: \xef\xbb\xbf\n", 2, 4, "U+FEFF", NULL},
    {"a: \xef\xbf\xbf\n", 1, 4, "U+FFFF", NULL},
    {"\xff\xfe"
     "a",
        1, 1, "UTF-16", "UTF-8"},
    {"\xfe\xff", 1, 1, "UTF-16", "UTF-8"},
    {"a: ${WEIR_TEST_NONE}\n", 1, 4, "WEIR_TEST_NONE is not set", "default"},
    {"a: \"x ${WEIR_TEST_NONE}\"\n", 1, 7, "WEIR_TEST_NONE is not set", NULL},
    {"a: ${WEIR_TEST\n", 1, 4, "malformed environment", NULL},
    {"a: ${WEIR-TEST}\n", 1, 4, "malformed environment", NULL},
    {"a: ${WEIR:?x}\n", 1, 4, "malformed environment", NULL},
    {"{\n", 2, 1, "the text ends in the middle", "bracket"},
    {"\"", 1, 1, "never closed", NULL},
    {"- a\n-b\n", 2, 1, "", NULL},
};

static void each_malformed_text_is_complained_of_where_it_is(void **state)
{
    (void)state;
    unsetenv("WEIR_TEST_NONE");
    int wrong = 0;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        struct config c;
        config_begin(&c, slice_of_text(malformed[i].text));
        wrong += !config_complains(&c, &malformed[i]);
        config_end(&c);
    }
    assert_int_equal(wrong, 0);
}

static void a_nul_byte_shows_that_it_is_no_text(void **state)
{
    (void)state;
    struct config c;
    assert_status(config_begin(&c, SLICE("a: b\n\177ELF\0\0")), INVALID);
    assert_int_equal(c.diagnostics.items[0].place.line, 2);
    config_end(&c);
    assert_status(config_begin(&c, SLICE("a: \0")), INVALID);
    assert_true(config_complains(&c, &(struct malformed){"a: NUL", 1, 4, "not a text file", NULL}));
    config_end(&c);
}

static void aliases_cannot_multiply_without_end(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    text_add_literal(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 10; i++) {
        text_format(&text, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            text_format(&text, "%s*a%d", j ? ", " : "", i - 1);
        text_add_literal(&text, "]\n");
    }
    struct config c;
    assert_status(config_begin(&c, text_slice(&text)), INVALID);
    assert_true(config_complains(
        &c, &(struct malformed){"the bomb", 6, 15, "aliases repeat more than", NULL}));
    config_end(&c);
    text_release(&text);
}

static void nesting_ends_somewhere(void **state)
{
    (void)state;
    char deep[200];
    memset(deep, '[', sizeof deep);
    struct config c;
    assert_status(config_begin(&c, slice_of(deep, sizeof deep)), INVALID);
    assert_true(config_complains(&c, &(struct malformed){"[[[", 1, 65, "more than 64 deep", NULL}));
    config_end(&c);
}

static void nesting_through_aliases_counts(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    text_add_literal(&text, "a0: &a0 [[[[x]]]]\n");
    for (int i = 1; i < 20; i++)
        text_format(&text, "a%d: &a%d [[[[*a%d]]]]\n", i, i, i - 1);
    struct config c;
    assert_status(config_begin(&c, text_slice(&text)), INVALID);
    assert_true(config_complains(
        &c, &(struct malformed){"deep", 16, 15, "nested more than 64 deep", NULL}));
    config_end(&c);
    text_release(&text);
}

static void limits_are_kept(void **state)
{
    (void)state;
    struct arena arena;
    struct diagnostics diagnostics;
    struct node *root = NULL;
    struct source source = {SLICE("x"), SLICE("[a, b, c, d]")};
    arena_init(&arena, 0, 0);
    diagnostics_init(&diagnostics, &arena);
    struct tree_limits few_nodes = {.nodes = 4}, few_bytes = {.bytes = 5};
    assert_status(tree_read(&arena, &source, &few_nodes, &diagnostics, &root), INVALID);
    assert_status(tree_read(&arena, &source, &few_bytes, &diagnostics, &root), INVALID);
    assert_null(root);
    assert_int_equal(diagnostics.errors, 2);
    arena_release(&arena);
}

static void duplicates_are_found_in_large_maps(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    for (int i = 0; i < 5000; i++)
        text_format(&text, "key-%d: %d\n", i, i);
    text_add_literal(&text, "key-17: again\n");
    struct config c;
    assert_ok(config_begin(&c, text_slice(&text)));
    assert_int_equal(c.diagnostics.errors, 1);
    assert_int_equal(c.diagnostics.items[0].place.line, 5001);
    assert_int_equal(c.diagnostics.items[0].related.line, 18);
    config_end(&c);
    text_release(&text);
}

static void running_out_of_memory_is_an_outcome(void **state)
{
    (void)state;
    struct source source = {SLICE("x"), SLICE("a: &x [b, c, {d: e}]\nf: *x\n")};
    for (size_t limit = 64; limit < 4096; limit += 64) {
        struct arena arena;
        struct diagnostics diagnostics;
        struct node *root = NULL;
        arena_init(&arena, 64, limit);
        diagnostics_init(&diagnostics, &arena);
        enum status e = tree_read(&arena, &source, NULL, &diagnostics, &root);
        assert_true(e == NO_MEMORY || (e == OK && root));
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_lists_and_scalars_keep_their_places),
        cmocka_unit_test(an_empty_text_is_an_empty_map),
        cmocka_unit_test(quotes_tell_text_from_nothing),
        cmocka_unit_test(a_byte_order_mark_and_windows_lines_do_not_matter),
        cmocka_unit_test(aliases_share_their_value),
        cmocka_unit_test(the_environment_is_put_in),
        cmocka_unit_test(places_inside_scalars_are_found),
        cmocka_unit_test(each_malformed_text_is_complained_of_where_it_is),
        cmocka_unit_test(a_nul_byte_shows_that_it_is_no_text),
        cmocka_unit_test(aliases_cannot_multiply_without_end),
        cmocka_unit_test(nesting_ends_somewhere),
        cmocka_unit_test(nesting_through_aliases_counts),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(duplicates_are_found_in_large_maps),
        cmocka_unit_test(running_out_of_memory_is_an_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
