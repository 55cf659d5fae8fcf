#include "base/structured_field.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/utf8.h"
#include "support/files.h"
#include "support/arena_fixture.h"
#include "support/unit.h"

#define VECTORS "tests/data/structured-fields"

enum shape { ITEM, LIST, DICTIONARY };

/* A field of any shape; of an item `first` is the only one. */
struct field {
    enum shape shape;
    struct structured_member *first;
};

/* --- what a vector expects, as we would have parsed it */

static struct slice base32(struct slice text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    char *bytes = arena_bytes(&arena, text.size);
    size_t size = 0;
    unsigned bits = 0, count = 0;
    for (size_t i = 0; i < text.size && text.data[i] != '='; i++) {
        bits = bits << 5 | (unsigned)(strchr(letters, text.data[i]) - letters);
        count += 5;
        if (count >= 8) {
            count -= 8;
            bytes[size++] = (char)(bits >> count);
        }
    }
    return slice_of(bytes, size);
}

static struct structured_value typed_value(const struct json_value *json)
{
    struct structured_value value = {.number = 0};
    struct slice type = json_get(json, SLICE("__type"))->text;
    struct slice text = json_get(json, SLICE("value"))->text;
    if (slice_equal(type, SLICE("token"))) {
        value = structured_token(text);
    } else if (slice_equal(type, SLICE("binary"))) {
        value = (struct structured_value){STRUCTURED_BYTES, 0, base32(text)};
    } else if (slice_equal(type, SLICE("displaystring"))) {
        value = (struct structured_value){STRUCTURED_DISPLAY, 0, text};
    } else {
        assert_slice(type, "date");
        value.type = STRUCTURED_DATE;
        assert_ok(json_to_i64(text, &value.number));
    }
    return value;
}

static struct structured_value value_of(const struct json_value *json)
{
    double decimal;
    int64_t integer;
    switch (json->type) {
    case JSON_OBJECT:
        return typed_value(json);
    case JSON_STRING:
        return structured_string(json->text);
    case JSON_BOOLEAN:
        return structured_boolean(json->boolean);
    case JSON_NUMBER:
        if (!json_to_i64(json->text, &integer))
            return structured_integer(integer);
        assert_ok(json_to_double(json->text, &decimal));
        return structured_decimal(decimal);
    case JSON_NULL:
    case JSON_ARRAY:
        break;
    }
    fail_msg("the vectors have no such value");
    return structured_boolean(false);
}

static struct structured_parameter *parameters_of(const struct json_value *json)
{
    struct structured_parameter *first = NULL, **tail = &first;
    json_each (pair, json) {
        struct structured_parameter *parameter = arena_new(&arena, struct structured_parameter);
        parameter->key = json_at(pair, 0)->text;
        parameter->value = value_of(json_at(pair, 1));
        *tail = parameter;
        tail = &parameter->next;
    }
    return first;
}

/* [value, parameters], where the value of an inner list is an array of such. */
static struct structured_member *member_of(const struct json_value *json)
{
    struct structured_member *member = arena_new(&arena, struct structured_member);
    const struct json_value *value = json_at(json, 0);
    member->parameters = parameters_of(json_at(json, 1));
    if (value->type != JSON_ARRAY) {
        member->value = value_of(value);
        return member;
    }
    struct structured_member **tail = &member->items;
    member->value.type = STRUCTURED_INNER_LIST;
    json_each (item, value) {
        *tail = member_of(item);
        tail = &(*tail)->next;
    }
    return member;
}

static struct field field_of(enum shape shape, const struct json_value *json)
{
    struct field field = {.shape = shape};
    struct structured_member **tail = &field.first;
    if (shape == ITEM) {
        field.first = member_of(json);
        return field;
    }
    json_each (each, json) {
        *tail = member_of(shape == LIST ? each : json_at(each, 1));
        if (shape == DICTIONARY)
            (*tail)->key = json_at(each, 0)->text;
        tail = &(*tail)->next;
    }
    return field;
}

/* --- comparing */

static bool is_same_value(struct structured_value a, struct structured_value b)
{
    return a.type == b.type && a.number == b.number && slice_equal(a.text, b.text);
}

static bool is_same_parameters(
    const struct structured_parameter *a, const struct structured_parameter *b)
{
    for (; a && b; a = a->next, b = b->next)
        if (!slice_equal(a->key, b->key) || !is_same_value(a->value, b->value))
            return false;
    return !a && !b;
}

static bool is_same_members(const struct structured_member *a, const struct structured_member *b)
{
    for (; a && b; a = a->next, b = b->next)
        if (!slice_equal(a->key, b->key) || !is_same_value(a->value, b->value) ||
            !is_same_members(a->items, b->items) ||
            !is_same_parameters(a->parameters, b->parameters))
            return false;
    return !a && !b;
}

/* --- both directions */

static enum status parse(enum shape shape, struct slice text, struct field *ret_field)
{
    *ret_field = (struct field){.shape = shape};
    switch (shape) {
    case ITEM:
        ret_field->first = arena_new(&arena, struct structured_member);
        return structured_parse_item(&arena, text, ret_field->first);
    case LIST:
        return structured_parse_list(&arena, text, &ret_field->first);
    case DICTIONARY:
        return structured_parse_dictionary(&arena, text, &ret_field->first);
    }
    return INTERNAL;
}

static enum status write(struct text *text, const struct field *field)
{
    switch (field->shape) {
    case ITEM:
        return structured_write_item(text, field->first);
    case LIST:
        return structured_write_list(text, field->first);
    case DICTIONARY:
        return structured_write_dictionary(text, field->first);
    }
    return INTERNAL;
}

/* --- the vectors */

static struct slice joined_lines(const struct json_value *lines)
{
    struct text text = text_growing(0);
    json_each (line, lines) {
        if (line != lines->first)
            text_add_literal(&text, ", ");
        text_add(&text, line->text);
    }
    struct slice joined = arena_copy(&arena, text_slice(&text));
    text_release(&text);
    return joined;
}

static void check_writing(
    struct slice name, const struct field *field, const struct json_value *canonical)
{
    struct text text = text_growing(0);
    assert_ok(write(&text, field));
    if (canonical && !slice_equal(text_slice(&text), joined_lines(canonical)))
        fail_msg("%.*s: wrote %.*s", SLICE_ARG(name), SLICE_ARG(text_slice(&text)));
    text_release(&text);
}

static void check_vector(const struct json_value *vector)
{
    struct slice name = json_get(vector, SLICE("name"))->text;
    struct slice header = json_get(vector, SLICE("header_type"))->text;
    const struct json_value *raw = json_get(vector, SLICE("raw"));
    const struct json_value *expected = json_get(vector, SLICE("expected"));
    const struct json_value *canonical = json_get(vector, SLICE("canonical"));
    enum shape shape = slice_equal(header, SLICE("item"))   ? ITEM
                       : slice_equal(header, SLICE("list")) ? LIST
                                                            : DICTIONARY;
    bool must_fail = json_get(vector, SLICE("must_fail"));
    struct text text = text_growing(0);
    struct field wanted = {.shape = shape}, field;
    if (expected)
        wanted = field_of(shape, expected);
    if (!raw) { /* for the writer alone */
        assert_int_equal(must_fail, write(&text, &wanted) != OK);
        assert_true(!must_fail || text.size == 0);
        if (!must_fail)
            check_writing(name, &wanted, canonical);
        text_release(&text);
        return;
    }
    enum status e = parse(shape, joined_lines(raw), &field);
    if (must_fail ? !e : e && !json_get(vector, SLICE("can_fail")))
        fail_msg("%.*s: %s", SLICE_ARG(name), status_word(e));
    if (!e && !is_same_members(field.first, wanted.first))
        fail_msg("%.*s: not what was expected", SLICE_ARG(name));
    if (!e)
        check_writing(name, &field, canonical ? canonical : raw);
    text_release(&text);
}

static size_t check_folder(const char *path)
{
    size_t count = 0;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *file; (file = readdir(folder));) {
        struct json_value *vectors;
        char file_path[512];
        if (!strstr(file->d_name, ".json"))
            continue;
        snprintf(file_path, sizeof file_path, "%s/%s", path, file->d_name);
        arena_init(&arena, 0, 0);
        struct slice text = read_test_file(file_path);
        assert_ok(json_parse(&arena, text, NULL, &vectors, NULL));
        json_each (vector, vectors) {
            check_vector(vector);
            count++;
        }
        free((char *)text.data);
        arena_release(&arena);
    }
    closedir(folder);
    return count;
}

static void vectors_are_read_and_written_rightly(void **state)
{
    (void)state;
    assert_int_equal(check_folder(VECTORS), 1591);
    assert_int_equal(check_folder(VECTORS "/serialisation-tests"), 544);
}

/* --- what the vectors leave out */

static void members_and_parameters_are_found(void **state)
{
    (void)state;
    struct structured_member *first;
    assert_ok(structured_parse_dictionary(&arena, SLICE("u=1;x;y=\"z\", i, u=2;y=tok"), &first));
    const struct structured_member *u = structured_get(first, SLICE("u"));
    assert_int_equal(u->value.number, 2);
    assert_slice(structured_get_parameter(u, SLICE("y"))->text, "tok");
    assert_null(structured_get_parameter(u, SLICE("x")));
    assert_int_equal(structured_get(first, SLICE("i"))->value.type, STRUCTURED_BOOLEAN);
    assert_null(structured_get(first, SLICE("z")));
    assert_null(structured_get(NULL, SLICE("z")));
}

static void a_failure_leaves_the_result_alone(void **state)
{
    (void)state;
    struct structured_member marker, *first = &marker;
    struct structured_member item = {.value.number = 42};
    assert_status(structured_parse_list(&arena, SLICE("a, b, "), &first), INVALID);
    assert_status(structured_parse_dictionary(&arena, SLICE("a=1 b=2"), &first), INVALID);
    assert_status(structured_parse_item(&arena, SLICE("1 2"), &item), INVALID);
    assert_status(structured_parse_item(&arena, SLICE("(1 2)"), &item), INVALID);
    assert_ptr_equal(first, &marker);
    assert_int_equal(item.value.number, 42);
}

/* `piece` so often, joined by `separator`. */
static struct slice repeated(
    const char *begin, const char *piece, const char *separator, size_t count)
{
    struct text text = text_growing(0);
    text_format(&text, "%s", begin);
    for (size_t i = 0; i < count; i++)
        text_format(&text, "%s%s%zu", i ? separator : "", piece, i);
    struct slice copy = arena_copy(&arena, text_slice(&text));
    text_release(&text);
    return copy;
}

static void limits_hold(void **state)
{
    (void)state;
    struct structured_member *first;
    struct slice most = repeated("", "a", ",", STRUCTURED_MEMBERS_MAX);
    struct slice more = repeated("", "a", ",", STRUCTURED_MEMBERS_MAX + 1);
    assert_ok(structured_parse_list(&arena, most, &first));
    assert_ok(structured_parse_dictionary(&arena, most, &first));
    assert_status(structured_parse_list(&arena, more, &first), TOO_LARGE);
    assert_status(structured_parse_dictionary(&arena, more, &first), TOO_LARGE);
    most = repeated("x", ";a", "", STRUCTURED_PARAMETERS_MAX);
    more = repeated("x", ";a", "", STRUCTURED_PARAMETERS_MAX + 1);
    assert_ok(structured_parse_list(&arena, most, &first));
    assert_status(structured_parse_list(&arena, more, &first), TOO_LARGE);
    struct slice inner[] = {repeated("(", "a", " ", STRUCTURED_ITEMS_MAX), SLICE(")")};
    assert_ok(structured_parse_list(&arena, arena_join(&arena, inner, 2), &first));
    inner[0] = repeated("(", "a", " ", STRUCTURED_ITEMS_MAX + 1);
    assert_status(structured_parse_list(&arena, arena_join(&arena, inner, 2), &first), TOO_LARGE);
}

static void no_memory_is_an_answer(void **state)
{
    (void)state;
    struct structured_member *first, item;
    struct arena none;
    arena_init(&none, 0, 1);
    assert_status(structured_parse_list(&none, SLICE("a"), &first), NO_MEMORY);
    assert_status(structured_parse_item(&none, SLICE("a;b"), &item), NO_MEMORY);
    assert_status(structured_parse_item(&none, SLICE("\"\\\"\""), &item), NO_MEMORY);
    assert_status(structured_parse_item(&none, SLICE("::"), &item), NO_MEMORY);
    assert_status(structured_parse_item(&none, SLICE("%\"\""), &item), NO_MEMORY);
    arena_release(&none);
}

static void fields_are_written_piece_by_piece(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    assert_ok(structured_write_value(&text, structured_string(SLICE("burst"))));
    assert_ok(structured_write_parameter(&text, SLICE("q"), structured_integer(100)));
    assert_ok(structured_write_parameter(&text, SLICE("x"), structured_boolean(true)));
    assert_ok(structured_write_parameter(&text, SLICE("d"), structured_decimal(-0.25)));
    assert_slice(text_slice(&text), "\"burst\";q=100;x;d=-0.25");
    text_clear(&text);
    assert_status(structured_write_value(&text, structured_string(SLICE("\xc3\xa9"))), INVALID);
    assert_status(structured_write_value(&text, structured_string(SLICE("ab\n"))), INVALID);
    assert_status(
        structured_write_value(&text, (struct structured_value){STRUCTURED_INNER_LIST, 0, {0}}),
        INVALID);
    assert_status(structured_write_value(&text, structured_token(SLICE("a b"))), INVALID);
    assert_status(structured_write_value(&text, structured_token(SLICE(""))), INVALID);
    assert_status(structured_write_value(&text, structured_integer(1000000000000000)), INVALID);
    assert_status(structured_write_value(&text, structured_decimal(0.0 / 0.0)), INVALID);
    assert_status(structured_write_parameter(&text, SLICE("Q"), structured_integer(1)), INVALID);
    assert_status(
        structured_write_parameter(&text, SLICE("q"), structured_token(SLICE(""))), INVALID);
    assert_status(structured_write_key(&text, SLICE("")), INVALID);
    assert_int_equal(text.size, 0);
    text_release(&text);
}

static void any_text_can_be_displayed(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= 0xffff; code++) {
        char letters[4];
        if (code >= 0xd800 && code <= 0xdfff)
            continue;
        struct structured_value value = {.type = STRUCTURED_DISPLAY};
        value.text = slice_of(letters, utf8_encode(code, letters));
        struct text text = text_growing(0);
        struct structured_member item;
        assert_ok(structured_write_value(&text, value));
        assert_ok(structured_parse_item(&arena, text_slice(&text), &item));
        assert_true(is_same_value(item.value, value));
        text_release(&text);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_are_read_and_written_rightly),
        TEST(members_and_parameters_are_found),
        TEST(a_failure_leaves_the_result_alone),
        TEST(limits_hold),
        TEST(no_memory_is_an_answer),
        TEST(fields_are_written_piece_by_piece),
        TEST(any_text_can_be_displayed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
