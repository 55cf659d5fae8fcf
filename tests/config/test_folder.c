#include "config/tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/config.h"

/* A folder for one test, with its files. */
struct folder {
    char path[64];
    struct config config;
};

static void begin(struct folder *f)
{
    assert_ok(config_begin(&f->config, SLICE("")));
    snprintf(f->path, sizeof f->path, "/tmp/weir-test-XXXXXX");
    assert_non_null(mkdtemp(f->path));
}

static void write_file(struct folder *f, const char *name, const char *content)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void end(struct folder *f)
{
    static const char *const names[] = {
        "a.yaml", "b.yml", "c.yaml", ".hidden.yaml", "note.txt", "d.yaml"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", f->path, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(f->path), 0);
    config_end(&f->config);
}

static enum status read_in(struct folder *f, const char *name, const struct tree_limits *limits)
{
    char path[128];
    snprintf(path, sizeof path, "%s%s%s", f->path, *name ? "/" : "", name);
    return tree_read_path(
        &f->config.arena, slice_of_text(path), limits, &f->config.diagnostics, &f->config.root);
}

static const char *first_message(const struct folder *f)
{
    return f->config.diagnostics.count ? f->config.diagnostics.items[0].message.data : "";
}

static void files_of_a_folder_are_one_map(void **state)
{
    (void)state;
    struct folder f;
    begin(&f);
    write_file(&f, "b.yml", "services: {b: 2}\ntests: [two]\n");
    write_file(&f, "a.yaml", "version: 1\nservices: {a: 1}\ntests: [one]\n");
    write_file(&f, "c.yaml", "# nothing\n");
    write_file(&f, ".hidden.yaml", "x: 1\n");
    write_file(&f, "note.txt", "not YAML: [\n");
    assert_ok(read_in(&f, "", NULL));
    config_check_clean(&f.config);
    assert_int_equal(f.config.root->count, 3);
    const struct node *services = node_get(f.config.root, SLICE("services"));
    assert_int_equal(services->count, 2);
    assert_slice(services->entries[0].key, "a");
    assert_true(slice_has_suffix(services->entries[1].key_place.source->name, SLICE("/b.yml")));
    const struct node *tests = node_get(f.config.root, SLICE("tests"));
    assert_int_equal(tests->count, 2);
    assert_slice(tests->items[0]->text, "one");
    end(&f);
}

static void a_key_in_two_files_names_both(void **state)
{
    (void)state;
    struct folder f;
    begin(&f);
    write_file(&f, "a.yaml", "services: {x: 1, y: 2}\nversion: 1\nhosts: [a]\n");
    write_file(&f, "c.yaml", "services:\n  z: 3\n  x: 4\nversion: 1\nhosts: b\n");
    assert_ok(read_in(&f, "", NULL));
    assert_int_equal(f.config.diagnostics.errors, 3);
    const struct diagnostic *first = &f.config.diagnostics.items[0];
    assert_slice(first->message, "the key \"x\" stands in two files");
    assert_int_equal(first->place.line, 3);
    assert_true(slice_has_suffix(first->place.source->name, SLICE("/c.yaml")));
    assert_true(slice_has_suffix(first->related.source->name, SLICE("/a.yaml")));
    assert_int_equal(node_get(f.config.root, SLICE("services"))->count, 3);
    end(&f);
}

static void the_errors_of_all_files_are_seen(void **state)
{
    (void)state;
    struct folder f;
    begin(&f);
    write_file(&f, "a.yaml", "a: [\n");
    write_file(&f, "b.yml", "- a list\n");
    write_file(&f, "c.yaml", "a: 1\na: 2\n");
    write_file(&f, "d.yaml", "b: 'open\n");
    assert_status(read_in(&f, "", NULL), INVALID);
    assert_int_equal(f.config.diagnostics.errors, 4);
    end(&f);
}

static void what_cannot_be_read_is_said(void **state)
{
    (void)state;
    struct folder f;
    begin(&f);
    assert_status(read_in(&f, "none.yaml", NULL), INVALID);
    assert_string_equal(first_message(&f), "there is no such file or folder");
    f.config.diagnostics.count = 0;
    assert_status(read_in(&f, "", NULL), INVALID);
    assert_string_equal(first_message(&f), "the folder has no *.yaml or *.yml file");
    f.config.diagnostics.count = 0;
    write_file(&f, "a.yaml", "a: 0123456789\n");
    static const struct tree_limits ten = {.bytes = 10};
    assert_status(read_in(&f, "a.yaml", &ten), INVALID);
    assert_string_equal(first_message(&f), "the file is too large for a configuration");
    f.config.diagnostics.count = 0;
    static const struct tree_limits enough = {.bytes = 14};
    assert_ok(read_in(&f, "a.yaml", &enough));
    end(&f);
}

static void monstrous_files_are_refused_at_once(void **state)
{
    (void)state;
    struct folder f;
    char path[128];
    begin(&f);
    write_file(&f, "a.yaml", "a: 1\n");
    snprintf(path, sizeof path, "%s/a.yaml", f.path);
    assert_int_equal(truncate(path, 50 << 20), 0);
    assert_status(read_in(&f, "a.yaml", NULL), INVALID);
    assert_string_equal(first_message(&f), "the file is too large for a configuration");
    end(&f);
}

static void lines_are_found(void **state)
{
    (void)state;
    struct source source = {SLICE("x"), SLICE("\xef\xbb\xbf"
                                              "one\r\n\ntw\xc3\xb6 and\nlast")};
    assert_slice(source_line(&source, 1), "one");
    assert_slice(source_line(&source, 2), "");
    assert_slice(source_line(&source, 4), "last");
    assert_null(source_line(&source, 5).data);
    assert_null(source_line(&source, 0).data);
    assert_slice(source_from(&(struct place){&source, 3, 4, 1}), " and");
    assert_slice(source_from(&(struct place){&source, 3, 1, 1}), "tw\xc3\xb6 and");
    assert_int_equal(source_from(&(struct place){&source, 3, 99, 1}).size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_a_folder_are_one_map),
        cmocka_unit_test(a_key_in_two_files_names_both),
        cmocka_unit_test(the_errors_of_all_files_are_seen),
        cmocka_unit_test(what_cannot_be_read_is_said),
        cmocka_unit_test(monstrous_files_are_refused_at_once),
        cmocka_unit_test(lines_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
