#include "config/secret.h"

#include <stdio.h>
#include <unistd.h>

#include "config/option_text.h"
#include "support/config.h"
#include "support/files.h"

struct chest {
    struct slice secret;
    struct option_list more; /* of struct slice */
};

static const struct option item = {.kind = OPTION_SECRET};
static const struct option rows[] = {{"secret", OPTION_SECRET, offsetof(struct chest, secret)},
    {"more", OPTION_LIST, offsetof(struct chest, more), .item = &item,
        .item_size = sizeof(struct slice)},
    {NULL}};
static const struct option_table table = {
    .name = "chest", .options = rows, .size = sizeof(struct chest)};

static const struct secret_file *files; /* of the last text */

static void read_clean(struct config *c, const char *text, struct chest *chest)
{
    *chest = (struct chest){.secret = SLICE_NONE};
    files = NULL;
    assert_ok(config_begin(c, slice_of_text(text)));
    c->reader.secrets = &files;
    assert_ok(option_read(&c->reader, &table, c->root, chest));
    config_check_clean(c);
}

static void a_secret_is_text_or_in_a_file(void **state)
{
    (void)state;
    static const struct {
        const char *content, *secret;
    } cases[] = {{"abc", "abc"}, {"abc\n", "abc"}, {"abc\r\n", "abc"}, {"abc\n\n", "abc\n"},
        {" a b ", " a b "}};
    char path[TEST_PATH_SIZE], text[200];
    struct chest chest;
    struct config c;
    read_clean(&c, "secret: plain\nmore: [a, b]\n", &chest);
    assert_slice(chest.secret, "plain");
    assert_int_equal(chest.more.count, 2);
    assert_null(files);
    config_end(&c);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make_test_file(path, cases[i].content);
        snprintf(text, sizeof text, "more: {file: %s}\n", path);
        read_clean(&c, text, &chest);
        assert_int_equal(chest.more.count, 1);
        assert_true(slice_equal(*(struct slice *)chest.more.items, slice_of_text(cases[i].secret)));
        assert_true(slice_equal(files->path, slice_of_text(path)));
        config_end(&c);
        assert_int_equal(unlink(path), 0);
    }
}

static void what_is_wrong_is_told(void **state)
{
    (void)state;
    static const struct malformed cases[] = {
        {"secret: {file: /nowhere/secret}", 1, 16, "\"/nowhere/secret\" cannot be read"},
        {"secret: {file: /dev/null}", 1, 16, "\"/dev/null\" is empty"},
        {"secret: {file: /dev/zero}", 1, 16, "\"/dev/zero\" cannot be read"},
        {"secret: {path: a}", 1, 9, "\"secret\" is text, or {file: path}, not a map",
            "{file: secret.txt}"},
        {"secret: {file: a, more: b}", 1, 9, "not a map"},
        {"secret: {file: }", 1, 9, "not a map"},
        {"secret: [a]", 1, 9, "not a list"},
        {"more: [a, {file: /nowhere/secret}]", 1, 18, "cannot be read"},
    };
    assert_malformed(&table, cases);
}

static void a_change_of_a_file_is_seen(void **state)
{
    (void)state;
    char path[TEST_PATH_SIZE], fresh[TEST_PATH_SIZE], text[200];
    struct chest chest;
    struct config c;
    make_test_file(path, "old");
    snprintf(text, sizeof text, "{secret: {file: %s}, more: [{file: %s}, x]}", path, path);
    read_clean(&c, text, &chest);
    assert_int_equal(secret_files_stamp(files), secret_files_stamp_read(files));
    make_test_file(fresh, "new");
    assert_int_equal(rename(fresh, path), 0);
    assert_int_not_equal(secret_files_stamp(files), secret_files_stamp_read(files));
    assert_int_equal(unlink(path), 0);
    assert_int_not_equal(secret_files_stamp(files), secret_files_stamp_read(files));
    config_end(&c);
}

/* `weir fmt --long` writes values of its own only of what may be seen. */
static void a_secret_is_never_written(void **state)
{
    (void)state;
    struct chest chest = {.secret = SLICE_INIT("s3cret")}, usual = {.secret = SLICE_NONE};
    struct text text = text_growing(0);
    assert_false(option_text_struct(&table, &chest, &usual, &text));
    assert_int_equal(slice_find_slice(text_slice(&text), SLICE("s3cret")), text.size);
    text_release(&text);
}

/* Also when the complaint outlives the file, as that of a reload does. */
static void no_complaint_shows_one(void **state)
{
    (void)state;
    struct chest chest = {.secret = SLICE_NONE};
    struct config c;
    assert_ok(config_begin(&c, SLICE("secret: hunter2  # mine\nmore: [\"hünter3\", {path: x}, "
                                     "hunter4]\n")));
    (void)option_read(&c.reader, &table, c.root, &chest);
    assert_int_equal(c.diagnostics.errors, 1);
    diagnostics_error(&c.diagnostics, c.root->entries[0].value->place, SLICE_NONE, "too short");
    assert_ok(diagnostics_keep_sources(&c.diagnostics));
    struct text text = text_growing(0);
    diagnostics_print(&c.diagnostics, false, &text);
    text_add_char(&text, '\0');
    assert_null(strstr(text.data, "nter"));
    assert_non_null(
        strstr(text.data, "    1 | secret: *******  # mine\n      |         ^^^^^^^\n"));
    assert_non_null(strstr(text.data, "    2 | more: [*********, {path: *}, *******]\n"));
    text_release(&text);
    config_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_text_or_in_a_file),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(a_change_of_a_file_is_seen),
        cmocka_unit_test(a_secret_is_never_written),
        cmocka_unit_test(no_complaint_shows_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
