#include "config/document.h"

#include <stdlib.h>

#include "base/clock.h"
#include "support/config.h"

/* --- a table with short forms */

struct breaker {
    int64_t open, minimum;
    double share;
    struct slice note;
    int hidden;
};

struct service {
    struct option_list at;
    struct breaker breaker;
    int64_t timeout;
};

struct top {
    struct option_map services;
    struct option_list breakers;
    struct breaker default_breaker;
};

static enum status read_phrase(struct reader *reader, const struct node *node, void *value)
{
    struct breaker *breaker = value;
    (void)reader;
    if (node->kind == NODE_SCALAR && slice_equal(node->text, SLICE("something else"))) {
        breaker->hidden = 1; /* no option says so */
        return OK;
    }
    if (node->kind == NODE_SCALAR && slice_equal(node->text, SLICE("open 5s, if 20"))) {
        breaker->open = 5 * SECOND;
        breaker->minimum = 20;
        breaker->note = SLICE("a, b");
        return OK;
    }
    return NOT_FOUND;
}

static const struct option breaker_list[] = {
    {"open", OPTION_DURATION, offsetof(struct breaker, open), .fallback = "10s"},
    {"share", OPTION_SHARE, offsetof(struct breaker, share), .fallback = "50%"},
    {"minimum", OPTION_INTEGER, offsetof(struct breaker, minimum)},
    {"note", OPTION_TEXT, offsetof(struct breaker, note)}, {NULL}};
static const struct option_table breaker_table = {.name = "breaker",
    .options = breaker_list,
    .size = sizeof(struct breaker),
    .read_phrase = read_phrase};

static const struct option text_item = {.kind = OPTION_TEXT};
static const struct option service_list[] = {
    {"at", OPTION_LIST, offsetof(struct service, at), .item = &text_item,
        .item_size = sizeof(struct slice)},
    {"breaker", OPTION_STRUCT, offsetof(struct service, breaker), .table = &breaker_table},
    {"timeout", OPTION_DURATION, offsetof(struct service, timeout)}, {NULL}};
static const struct option_table service_table = {
    .name = "service", .options = service_list, .size = sizeof(struct service), .shorthand = "at"};

static const struct option top_list[] = {
    {"services", OPTION_MAP, offsetof(struct top, services), .table = &service_table},
    {"breakers", OPTION_LIST, offsetof(struct top, breakers), .table = &breaker_table},
    {"breaker", OPTION_STRUCT, offsetof(struct top, default_breaker), .table = &breaker_table},
    {NULL}};
static const struct option_table top_table = {
    .name = "configuration", .options = top_list, .size = sizeof(struct top)};

/* --- checks */

static enum status format(const char *before, bool long_form, struct text *after)
{
    struct arena arena;
    struct diagnostics diagnostics;
    struct source source = {SLICE("x.yaml"), slice_of_text(before)};
    arena_init(&arena, 0, 0);
    diagnostics_init(&diagnostics, &arena);
    enum status e = document_format(&source, &top_table, long_form, &diagnostics, after);
    arena_release(&arena);
    return e;
}

struct pair {
    const char *before, *after;
};

/* Each text becomes what is wanted, which stays as it is when it is formatted again. */
static void check_pairs(const struct pair *pairs, size_t count, bool long_form)
{
    int wrong = 0;
    for (size_t i = 0; i < count; i++) {
        struct text once = text_growing(0), twice = text_growing(0);
        enum status e = format(pairs[i].before, long_form, &once);
        struct slice wanted = slice_of_text(pairs[i].after);
        if (e || !slice_equal(text_slice(&once), wanted)) {
            print_error("%s: became\n%.*s\nnot\n%s\n", status_word(e), SLICE_ARG(text_slice(&once)),
                pairs[i].after);
            wrong++;
        } else {
            assert_ok(format(pairs[i].after, long_form, &twice));
            assert_slices(text_slice(&twice), wanted);
        }
        text_release(&once);
        text_release(&twice);
    }
    assert_int_equal(wrong, 0);
}

static const struct pair layouts[] = {
    {"", ""},
    {"a: 1", "a: 1\n"},
    {"\n\n\na: 1   \n\n\n\nb: 2\n\n\n", "a: 1\n\nb: 2\n"},
    {"a: 1\r\nb:\r\n    c: 2\r\n", "a: 1\nb:\n  c: 2\n"},
    {"\xef\xbb\xbf"
     "a: 1\n",
        "a: 1\n"},
    {"a:\n    b:\n        c: 1\n    d: 2\ne: 3\n", "a:\n  b:\n    c: 1\n  d: 2\ne: 3\n"},
    {"   a: 1\n   b: 2\n", "a: 1\nb: 2\n"},
    {"a:\n - x\n - y\n", "a:\n  - x\n  - y\n"},
    {"a:\n- x\n- y\nb: 1\n", "a:\n- x\n- y\nb: 1\n"},
    {"a:\n  -   b: 1\n      c: 2\n  -   - x\n      - y\n",
        "a:\n  - b: 1\n    c: 2\n  - - x\n    - y\n"},
    {"a:\n  -\n    b: 1\n", "a:\n  -\n    b: 1\n"},
    {"a:   1   # why\n", "a:   1   # why\n"},
    {"# top\n\n\n# more\na:\n# of b\n    b: 1\n    # the end of a\nc: 1\n# last\n",
        "# top\n\n# more\na:\n  # of b\n  b: 1\n  # the end of a\nc: 1\n# last\n"},
    {"a: [1,\n  2,   # two\n\n\n      3]\n", "a: [1,\n  2,   # two\n\n  3]\n"},
    {"a: {\n      b: {\n   c: 1\n  },\n   d: 2\n }\n",
        "a: {\n  b: {\n    c: 1\n  },\n  d: 2\n  }\n"},
    {"{\n    a: 1,\n    b: [\n  2\n ]\n    }\n", "{\n  a: 1,\n  b: [\n    2\n  ]\n}\n"},
    {"a: \"one\n         two  \n\n         three\"\n", "a: \"one\n  two  \n\n  three\"\n"},
    {"a:\n    b: one\n          two\n    c: 1\n", "a:\n  b: one\n    two\n  c: 1\n"},
    {"a: |\n     one\n       two\n\n     three  \n\n\n\nb: 1\n",
        "a: |\n  one\n    two\n\n  three  \n\nb: 1\n"},
    {"a: |+\n     one\n\n\nb: >-\n        x\n        y\n", "a: |+\n  one\n\n\nb: >-\n  x\n  y\n"},
    {"a:\n    b: |2\n          deep\n        shallow\n    c: 1\n",
        "a:\n  b: |2\n        deep\n      shallow\n  c: 1\n"},
    {"a:\n    -   |1\n        x\n    - 1\n", "a:\n  - |1\n      x\n  - 1\n"},
    {"---\n   a: 1\n...\n", "---\na: 1\n...\n"},
    {"%YAML 1.1\n---\na: 1\n", "%YAML 1.1\n---\na: 1\n"},
    {"a: ${WEIR_TEST_UNSET}\nb: $${x}\n", "a: ${WEIR_TEST_UNSET}\nb: $${x}\n"},
    {"a: &x\n    b: 1\nc: *x\n", "a: &x\n  b: 1\nc: *x\n"},
    {"a: &x\n    - b\n", "a: &x\n  - b\n"},
    {"'key with: colon':\n      \"x\": 1\n", "'key with: colon':\n  \"x\": 1\n"},
    {"?   a\n:   b\n", "? a\n: b\n"},
    {"routes:\n    POST /login:      {to: user}\n    /users/**:        user\n",
        "routes:\n  POST /login:      {to: user}\n  /users/**:        user\n"},
    {"a: 'x\n  # no comment\n  y'\n", "a: 'x\n  # no comment\n  y'\n"},
    {"a:\n  b: |\n    x\n  # after\n  c: 1\n", "a:\n  b: |\n    x\n  # after\n  c: 1\n"},
    {"- a\n-   b\n", "- a\n- b\n"},
    {"just text", "just text\n"},
    {"a:\n    # deep\n  b\n", "a:\n  # deep\n  b\n"},
    {"  ...#  \n\np", "...#  \n\n  p\n"},
};

static void texts_are_laid_out(void **state)
{
    (void)state;
    check_pairs(layouts, sizeof layouts / sizeof *layouts, false);
}

static const struct pair long_forms[] = {
    {"services:\n  user: consul://user  # main\n  cart: [a, b]\n",
        "services:\n  user:\n    at: consul://user  # main\n  cart:\n    at: [a, b]\n"},
    {"services: {user: consul://user, cart: [a, 'b']}\n",
        "services: {user: {at: consul://user}, cart: {at: [a, 'b']}}\n"},
    {"services:\n  pay:\n    - a\n    - b\n", "services:\n  pay:\n    at:\n    - a\n    - b\n"},
    {"services:\n  pay:\n  - a\n", "services:\n  pay:\n  - a\n"},
    {"services:\n  pay: {at: x, breaker: \"open 5s, if 20\"}\n",
        "services:\n  pay: {at: x, breaker: {open: 5s, minimum: 20, note: \"a, b\"}}\n"},
    {"breaker: open 5s, if 20\nbreakers:\n  - open 5s, if 20\n  - {open: 1s}\n",
        "breaker: {open: 5s, minimum: 20, note: \"a, b\"}\nbreakers:\n  - {open: 5s, minimum: 20, "
        "note: \"a, b\"}\n  - {open: 1s}\n"},
    {"services:\n  \xc3\xa4: &x \xc3\xb6\n  b: *x\n",
        "services:\n  \xc3\xa4:\n    at: &x \xc3\xb6\n  b: *x\n"},
    {"breaker: something else\n", "breaker: something else\n"},
    {"breaker: no phrase\n", "breaker: no phrase\n"},
};

static void short_forms_are_written_out(void **state)
{
    (void)state;
    check_pairs(long_forms, sizeof long_forms / sizeof *long_forms, true);
}

static void wrong_texts_are_complained_of(void **state)
{
    (void)state;
    struct arena arena;
    struct diagnostics diagnostics;
    struct source source = {SLICE("x.yaml"), SLICE("a: 1\na: 2\n")};
    struct text after = text_growing(0);
    arena_init(&arena, 0, 0);
    diagnostics_init(&diagnostics, &arena);
    assert_status(document_format(&source, &top_table, false, &diagnostics, &after), INVALID);
    assert_int_equal(diagnostics.errors, 1);
    assert_ptr_equal(diagnostics.items[0].place.source, &source);
    assert_int_equal(after.size, 0);
    arena_release(&arena);
    text_release(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_laid_out),
        cmocka_unit_test(short_forms_are_written_out),
        cmocka_unit_test(wrong_texts_are_complained_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
