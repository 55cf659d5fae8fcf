#include "base/json.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "support/files.h"
#include "support/arena_fixture.h"
#include "support/unit.h"

#define VECTORS "tests/data/json"

static struct json_value *parse(struct slice text)
{
    struct json_value *root = NULL;
    struct json_error error;
    if (json_parse(&arena, text, NULL, &root, &error))
        fail_msg("%zu:%zu: %s in %.*s", error.position.line, error.position.column, error.message,
            SLICE_ARG(text));
    return root;
}

/* Refused with `e`, at that place. */
static void assert_refused(struct slice text, enum status e, size_t line, size_t column)
{
    struct json_value untouched, *root = &untouched;
    struct json_error error = {.message = NULL};
    assert_status(json_parse(&arena, text, NULL, &root, &error), e);
    assert_ptr_equal(root, &untouched);
    assert_non_null(error.message);
    assert_int_equal(error.position.line, line);
    assert_int_equal(error.position.column, column);
}

/* Reads the text in two pieces cut at `cut`; what a whole reading says must come out. */
static enum status read_in_pieces(struct slice text, size_t cut, size_t *ret_events)
{
    struct json_reader reader;
    struct json_token token;
    *ret_events = 0;
    json_reader_init_pieces(&reader, &(struct json_limits){.depth = JSON_DEPTH_MAX});
    json_reader_feed(&reader, slice_head(text, cut), false);
    for (;;) {
        enum status e = json_next(&reader, &token);
        if (e == INCOMPLETE && !reader.is_last)
            json_reader_feed(&reader, slice_from(text, reader.before.offset + reader.at), true);
        else if (e)
            return e;
        else
            ++*ret_events;
    }
}

static void check_cuts(const char *name, struct slice text)
{
    size_t whole, events, step = text.size > 200 ? text.size / 7 : 1;
    enum status e = read_in_pieces(text, text.size, &whole);
    for (size_t cut = 0; cut < text.size; cut += step) {
        if (read_in_pieces(text, cut, &events) != e || (!e && events != whole))
            fail_msg("%s reads otherwise when cut at %zu", name, cut);
    }
}

static void vectors_are_judged_rightly(void **state)
{
    (void)state;
    size_t count = 0;
    DIR *folder = opendir(VECTORS);
    assert_non_null(folder);
    for (struct dirent *file; (file = readdir(folder));) {
        if (!strstr(file->d_name, ".json"))
            continue;
        char path[512];
        snprintf(path, sizeof path, VECTORS "/%s", file->d_name);
        struct slice text = read_test_file(path);
        struct json_value *root;
        struct json_limits limits = {.allow_duplicate_keys = true};
        enum status e = json_parse(&arena, text, &limits, &root, NULL);
        if ((file->d_name[0] == 'y' && e) || (file->d_name[0] == 'n' && !e))
            fail_msg("%s: %s", file->d_name, status_word(e));
        check_cuts(file->d_name, text);
        free((char *)text.data);
        count++;
    }
    closedir(folder);
    assert_int_equal(count, 318);
}

static void members_are_found(void **state)
{
    (void)state;
    struct json_value *root =
        parse(SLICE("{\"a\": {\"b\": [1, \"x\\u00e9\", true, null]}, \"n\": -5}"));
    const struct json_value *list = json_get(json_get(root, SLICE("a")), SLICE("b"));
    assert_int_equal(list->count, 4);
    assert_slice(json_at(list, 1)->text, "x\xc3\xa9");
    assert_true(json_at(list, 2)->boolean);
    assert_int_equal(json_at(list, 3)->type, JSON_NULL);
    assert_null(json_at(list, 4));
    assert_null(json_get(json_get(root, SLICE("none")), SLICE("b")));
    assert_null(json_get(list, SLICE("b")));
    assert_null(json_at(root, 0));
}

static void typed_lookups_check_the_type(void **state)
{
    (void)state;
    struct json_value *root = parse(SLICE("{\"t\": \"x\", \"n\": 7, \"b\": true, \"f\": 1.5}"));
    struct slice text = SLICE("before");
    int64_t number = 99;
    bool boolean = false;
    assert_true(json_get_text(root, SLICE("t"), &text));
    assert_slice(text, "x");
    assert_false(json_get_text(root, SLICE("n"), &text));
    assert_slice(text, "x");
    assert_true(json_get_i64(root, SLICE("n"), &number));
    assert_int_equal(number, 7);
    assert_false(json_get_i64(root, SLICE("f"), &number));
    assert_false(json_get_i64(root, SLICE("t"), &number));
    assert_int_equal(number, 7);
    assert_true(json_get_bool(root, SLICE("b"), &boolean));
    assert_true(boolean);
    assert_false(json_get_bool(root, SLICE("n"), &boolean));
}

static void lookups_need_not_find_anything(void **state)
{
    (void)state;
    const struct json_value *root =
        parse(SLICE("{\"t\": \"x\", \"n\": 7, \"a\": [1, 2], \"o\": {\"k\": 1}}"));
    int items = 0;
    assert_slice(json_text_of(root, "t"), "x");
    assert_int_equal(json_text_of(root, "n").size, 0);
    assert_int_equal(json_text_of(NULL, "t").size, 0);
    assert_int_equal(json_number_of(root, "n"), 7);
    assert_int_equal(json_number_of(root, "t"), 0);
    assert_null(json_array_of(root, "o"));
    assert_null(json_array_of(root, "none"));
    json_each (item, json_array_of(root, "a"))
        items += item != NULL;
    json_each (item, json_array_of(root, "none"))
        items += item != NULL;
    assert_int_equal(items, 2);
}

/* An object of `count` members k0, k1, …, the last of which is called `last`. */
static struct slice object_of(size_t count, const char *last)
{
    struct text text = text_growing(0);
    text_add_literal(&text, "{");
    for (size_t i = 0; i + 1 < count; i++)
        text_format(&text, "\"k%zu\":%zu,", i, i);
    text_format(&text, "\"%s\":-1}", last);
    struct slice copy = arena_copy(&arena, text_slice(&text));
    text_release(&text);
    return copy;
}

static void large_objects_are_searched(void **state)
{
    (void)state;
    struct json_value *root = parse(object_of(1000, "last"));
    for (int i = 0; i < 999; i++) {
        int64_t value;
        struct slice key = arena_format(&arena, "k%d", i);
        assert_true(json_get_i64(root, key, &value));
        assert_int_equal(value, i);
    }
    assert_null(json_get(root, SLICE("k999")));
    assert_null(json_get(root, SLICE("")));
    assert_null(json_get(root, SLICE("zzz")));
}

static void duplicate_keys_are_refused(void **state)
{
    (void)state;
    assert_refused(SLICE("{\"a\":1,\n \"\\u0061\":2}"), INVALID, 2, 2);
    assert_refused(object_of(5, "k2"), INVALID, 1, 30);
    assert_refused(object_of(100, "k50"), INVALID, 1, 873);
    parse(SLICE("[{\"a\":1},{\"a\":2}]"));
}

static void of_allowed_duplicates_the_last_counts(void **state)
{
    (void)state;
    struct json_limits limits = {.allow_duplicate_keys = true};
    for (size_t count = 5; count <= 50; count += 45) {
        struct json_value *root;
        int64_t value;
        assert_ok(json_parse(&arena, object_of(count, "k2"), &limits, &root, NULL));
        assert_true(json_get_i64(root, SLICE("k2"), &value));
        assert_int_equal(value, -1);
    }
}

static void errors_have_places(void **state)
{
    (void)state;
    assert_refused(SLICE(""), INVALID, 1, 1);
    assert_refused(SLICE("[1,\n 2,\n x]"), INVALID, 3, 2);
    assert_refused(SLICE("{\"\xc3\xa4\": tru}"), INVALID, 1, 7);
    assert_refused(SLICE("[1, 2"), INVALID, 1, 6);
    assert_refused(SLICE("[\"a\\q\"]"), INVALID, 1, 4);
    assert_refused(SLICE("{\"a\" 1}"), INVALID, 1, 6);
    assert_refused(SLICE("[1}"), INVALID, 1, 3);
    assert_refused(SLICE("1 2"), INVALID, 1, 3);
    assert_refused(SLICE("[1.]"), INVALID, 1, 4);
}

static void limits_hold(void **state)
{
    (void)state;
    struct json_value *root;
    struct json_limits limits = {.depth = 3, .size = 20};
    assert_ok(json_parse(&arena, SLICE("[[[1]]]"), &limits, &root, NULL));
    assert_status(json_parse(&arena, SLICE("[[[[1]]]]"), &limits, &root, NULL), TOO_LARGE);
    assert_status(
        json_parse(&arena, SLICE("[[1,2,3,4,5,6,7,8,9]]"), &limits, &root, NULL), TOO_LARGE);
}

static void no_memory_is_an_answer(void **state)
{
    (void)state;
    struct arena small;
    struct json_value *root;
    struct json_error error;
    arena_init(&small, 1024, 2048);
    assert_status(json_parse(&small, object_of(100, "x"), NULL, &root, &error), NO_MEMORY);
    assert_non_null(error.message);
    arena_release(&small);
}

static void a_tree_is_written_back(void **state)
{
    (void)state;
    struct slice text =
        SLICE("{\"a\":[1,2.50,{\"b\":{}},[]],\"c\":null,\"d\":\"\xc3\xa9\\n\",\"e\":true}");
    struct text out = text_growing(0);
    struct json_writer writer;
    struct json_value *root = parse(text);
    json_writer_init(&writer, &out, 0);
    json_write_value(&writer, root);
    assert_true(json_writer_is_done(&writer));
    assert_slices(text_slice(&out), text);
    text_clear(&out);
    json_writer_init(&writer, &out, 0);
    json_write_value(&writer, json_at(json_get(root, SLICE("a")), 2));
    assert_slice(text_slice(&out), "{\"b\":{}}");
    text_release(&out);
}

static void a_tree_too_deep_to_write_fails(void **state)
{
    (void)state;
    char text[2 * 80];
    memset(text, '[', 80);
    memset(text + 80, ']', 80);
    struct json_value *root;
    struct json_limits limits = {.depth = 100};
    assert_ok(json_parse(&arena, slice_of(text, sizeof text), &limits, &root, NULL));
    struct text out = text_growing(0);
    struct json_writer writer;
    json_writer_init(&writer, &out, 0);
    json_write_value(&writer, root);
    assert_false(json_writer_is_done(&writer));
    assert_int_equal(writer.depth, 0);
    text_release(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(vectors_are_judged_rightly),
        TEST(members_are_found),
        TEST(typed_lookups_check_the_type),
        TEST(lookups_need_not_find_anything),
        TEST(large_objects_are_searched),
        TEST(duplicate_keys_are_refused),
        TEST(of_allowed_duplicates_the_last_counts),
        TEST(errors_have_places),
        TEST(limits_hold),
        TEST(no_memory_is_an_answer),
        TEST(a_tree_is_written_back),
        TEST(a_tree_too_deep_to_write_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
