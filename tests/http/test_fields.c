#include "http/fields.h"

#include "base/text.h"
#include "support/unit.h"

#include <ctype.h>

static int setup(void **state)
{
    static struct arena arena;
    arena_init(&arena, 0, 0);
    *state = &arena;
    return 0;
}

static int teardown(void **state)
{
    arena_release(*state);
    return 0;
}

static struct slice text(const char *s)
{
    return slice_of_text(s);
}

static void every_name_has_its_id_in_any_spelling(void **state)
{
    (void)state;
    for (enum field_id id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
        char spelling[64];
        struct slice name = field_name(id);
        assert_int_equal(field_id_of(name), id);
        for (size_t i = 0; i < name.size; i++)
            spelling[i] = (char)(i % 2 ? name.data[i] : toupper(name.data[i]));
        assert_int_equal(field_id_of(slice_of(spelling, name.size)), id);
    }
}

/* One wrong byte, anywhere, with any value, is another name. */
static void nothing_else_has_an_id(void **state)
{
    (void)state;
    for (enum field_id id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
        struct slice name = field_name(id);
        for (size_t i = 0; i < name.size; i++)
            for (int c = 0; c < 256; c++) {
                char spelling[64];
                memcpy(spelling, name.data, name.size);
                spelling[i] = (char)c;
                struct slice other = slice_of(spelling, name.size);
                enum field_id got = field_id_of(other);
                if (got != FIELD_OTHER)
                    assert_true(slice_equal_nocase(other, field_name(got)));
            }
    }
    assert_int_equal(field_id_of(SLICE("")), FIELD_OTHER);
    assert_int_equal(field_id_of(SLICE("a")), FIELD_OTHER);
    assert_int_equal(field_id_of(SLICE("x-custom")), FIELD_OTHER);
    assert_int_equal(field_id_of(SLICE("hos")), FIELD_OTHER);
    assert_int_equal(
        field_id_of(SLICE("access-control-request-private-network-and-more")), FIELD_OTHER);
}

static void fields_are_found_by_id_and_by_name(void **state)
{
    struct fields fields;
    fields_init(&fields, *state);
    assert_ok(fields_add(&fields, FIELD_ACCEPT, SLICE("Accept"), SLICE("a")));
    assert_ok(fields_add(&fields, FIELD_OTHER, SLICE("X-One"), SLICE("1")));
    assert_ok(fields_add(&fields, FIELD_ACCEPT, SLICE("ACCEPT"), SLICE("b")));
    assert_true(fields_has(&fields, FIELD_ACCEPT));
    assert_false(fields_has(&fields, FIELD_HOST));
    assert_slice(fields_value(&fields, FIELD_ACCEPT), "a");
    assert_slice(fields_value_named(&fields, SLICE("x-ONE")), "1");
    const struct field *first = fields_find(&fields, FIELD_ACCEPT);
    const struct field *second = fields_next(&fields, FIELD_ACCEPT, first);
    assert_slice(second->value, "b");
    assert_null(fields_next(&fields, FIELD_ACCEPT, second));
    assert_ptr_equal(fields_next_named(&fields, SLICE("accept"), first), second);
    assert_null(fields_value(&fields, FIELD_HOST).data);
    assert_null(fields_value_named(&fields, SLICE("x-two")).data);
    assert_null(fields_value_named(&fields, SLICE("")).data);
}

static void removing_keeps_places(void **state)
{
    struct fields fields;
    fields_init(&fields, *state);
    fields_add_known(&fields, FIELD_HOST, SLICE("a"));
    fields_add(&fields, FIELD_OTHER, SLICE("X"), SLICE("1"));
    fields_add(&fields, FIELD_OTHER, SLICE("x"), SLICE("2"));
    fields_add_known(&fields, FIELD_VIA, SLICE("v"));
    fields_remove(&fields, SLICE("X"));
    fields_remove(&fields, SLICE("HOST"));
    assert_int_equal(fields.count, 4);
    assert_int_equal(fields.items[0].name.size, 0);
    assert_int_equal(fields.items[1].name.size, 0);
    assert_false(fields_has(&fields, FIELD_HOST));
    assert_null(fields_find(&fields, FIELD_HOST));
    assert_slice(fields.items[3].value, "v");
    assert_ok(fields_set_known(&fields, FIELD_VIA, SLICE("w")));
    assert_slice(fields_value(&fields, FIELD_VIA), "w");
    assert_ok(fields_set(&fields, SLICE("Via"), SLICE("x")));
    assert_slice(fields_find(&fields, FIELD_VIA)->name, "Via");
    assert_null(fields_next(&fields, FIELD_VIA, fields_find(&fields, FIELD_VIA)));
}

static void the_list_grows_until_memory_ends(void **state)
{
    struct arena small;
    struct fields fields;
    (void)state;
    arena_init(&small, 0, 16384);
    fields_init(&fields, &small);
    unsigned count = 0;
    while (fields_add(&fields, FIELD_OTHER, SLICE("name"), SLICE("value")) == OK)
        count++;
    assert_in_range(count, 100, 400);
    assert_int_equal(fields.count, count);
    assert_slice(fields.items[count - 1].value, "value");
    arena_release(&small);
}

static void what_would_break_a_head_is_not_added(void **state)
{
    struct fields fields;
    fields_init(&fields, *state);
    assert_status(fields_add(&fields, FIELD_OTHER, SLICE("X"), SLICE("a\r\nY: b")), INVALID);
    assert_status(fields_add(&fields, FIELD_OTHER, SLICE("X: 1\r\nY"), SLICE("a")), INVALID);
    assert_status(fields_add(&fields, FIELD_OTHER, SLICE(""), SLICE("a")), INVALID);
    assert_status(fields_add_known(&fields, FIELD_VIA, SLICE("a\0b")), INVALID);
    assert_status(fields_set_known(&fields, FIELD_VIA, SLICE("a\x7f")), INVALID);
    assert_int_equal(fields.count, 0);
    assert_ok(fields_add_known(&fields, FIELD_VIA, SLICE(" \tb c\t")));
    assert_slice(fields_value(&fields, FIELD_VIA), "b c");
    assert_ok(fields_set_known(&fields, FIELD_VIA, SLICE(" ")));
    assert_non_null(fields_value(&fields, FIELD_VIA).data);
    assert_ok(fields_add(&fields, FIELD_OTHER, SLICE("X"), SLICE_NONE));
    assert_non_null(fields_value_named(&fields, SLICE("x")).data);
}

static void fields_of_another_list_are_appended(void **state)
{
    struct fields from, to;
    char name[] = "X-Plan", value[] = "gold";
    fields_init(&from, *state);
    fields_init(&to, *state);
    fields_add_known(&from, FIELD_HOST, SLICE("gone"));
    fields_add(&from, FIELD_OTHER, slice_of_text(name), slice_of_text(value));
    fields_add_known(&from, FIELD_VIA, SLICE(""));
    fields_remove(&from, SLICE("Host"));
    fields_add_known(&to, FIELD_ETAG, SLICE("e"));
    assert_ok(fields_append(&to, &from));
    assert_int_equal(to.count, 3);
    assert_ptr_equal(to.items[1].name.data, name);
    assert_ptr_equal(to.items[1].value.data, value);
    assert_ok(fields_append_copies(&to, &from));
    assert_int_equal(to.count, 5);
    name[0] = value[0] = '?';
    assert_slice(to.items[3].name, "X-Plan");
    assert_slice(to.items[3].value, "gold");
    assert_slice(fields_next(&to, FIELD_VIA, fields_find(&to, FIELD_VIA))->value, "");
}

static void values_are_combined(void **state)
{
    struct fields fields;
    fields_init(&fields, *state);
    assert_null(fields_combined(&fields, SLICE("Accept")).data);
    fields_add(&fields, FIELD_ACCEPT, SLICE("Accept"), SLICE("a;q=1"));
    assert_ptr_equal(fields_combined(&fields, SLICE("accept")).data, fields.items[0].value.data);
    fields_add(&fields, FIELD_ACCEPT, SLICE("Accept"), SLICE(""));
    fields_add(&fields, FIELD_ACCEPT, SLICE("Accept"), SLICE("b"));
    assert_slice(fields_combined(&fields, SLICE("ACCEPT")), "a;q=1, , b");
}

static void members_come_off_lists(void **state)
{
    (void)state;
    struct slice rest = SLICE(" a ,, \t,\"b,\\\",c\" ;x, d"), member;
    assert_true(field_list_next(&rest, &member));
    assert_slice(member, "a");
    assert_true(field_list_next(&rest, &member));
    assert_slice(member, "\"b,\\\",c\" ;x");
    assert_true(field_list_next(&rest, &member));
    assert_slice(member, "d");
    assert_false(field_list_next(&rest, &member));
    rest = SLICE(" , ");
    assert_false(field_list_next(&rest, &member));
    rest = SLICE("\"open, \\");
    assert_true(field_list_next(&rest, &member));
    assert_slice(member, "\"open, \\");
    assert_false(field_list_next(&rest, &member));
}

static void tokens_are_found_in_lists(void **state)
{
    struct fields fields;
    fields_init(&fields, *state);
    assert_false(fields_list_has(&fields, FIELD_CONNECTION, SLICE("close")));
    fields_add_known(&fields, FIELD_CONNECTION, SLICE("keep-alive, upgrade"));
    fields_add_known(&fields, FIELD_CONNECTION, SLICE("closed,CLOSE"));
    assert_true(fields_list_has(&fields, FIELD_CONNECTION, SLICE("close")));
    assert_true(fields_list_has(&fields, FIELD_CONNECTION, SLICE("Upgrade")));
    assert_false(fields_list_has(&fields, FIELD_CONNECTION, SLICE("up")));
}

static void validity_follows_the_grammar(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        /* At each place of a vector and behind it. */
        for (size_t at = 0; at < 20; at++) {
            char name[20], value[24];
            memset(name, 'n', sizeof name);
            memset(value, 'v', sizeof value);
            name[at] = value[at + 1] = (char)c;
            bool is_token = c > 0x20 && c < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", c);
            bool is_value = (c >= 0x20 && c != 0x7f) || c == '\t';
            assert_int_equal(field_name_is_valid(slice_of(name, sizeof name)), is_token);
            assert_int_equal(field_value_is_valid(slice_of(value, sizeof value)), is_value);
        }
    }
    assert_false(field_name_is_valid(SLICE("")));
    assert_true(field_value_is_valid(SLICE("")));
    assert_false(field_value_is_valid(SLICE(" a")));
    assert_false(field_value_is_valid(SLICE("a\t")));
}

/* Long values take the widest path there is. */
static void a_control_byte_is_found_in_long_values(void **state)
{
    (void)state;
    static char value[300];
    for (size_t at = 0; at < sizeof value; at++)
        for (int c = 0; c < 2; c++) {
            memset(value, 0xe9, sizeof value);
            assert_true(field_value_is_valid(slice_of(value, sizeof value)));
            value[at] = c ? '\n' : '\x7f';
            assert_false(field_value_is_valid(slice_of(value, sizeof value)));
            assert_true(at == 0 || field_value_is_valid(slice_of(value, at)));
        }
}

static void stripping_leaves_what_is_end_to_end(void **state)
{
    struct fields fields;
    fields_init(&fields, *state);
    static const char *const sent[][2] = {{"Host", "a"}, {"Connection", "close, X-Hop, TE"},
        {"X-Hop", "1"}, {"Keep-Alive", "5"}, {"Proxy-Connection", "x"}, {"TE", "gzip, trailers"},
        {"Upgrade", "h2c"}, {"Transfer-Encoding", "chunked"},
        {"Connection", "Accept, Host, content-length"}, {"Accept", "x"}, {"x-hop", "2"},
        {"X-End", "e"}, {"Content-Length", "3"}};
    for (size_t i = 0; i < sizeof sent / sizeof *sent; i++)
        fields_add(&fields, field_id_of(text(sent[i][0])), text(sent[i][0]), text(sent[i][1]));
    assert_ok(fields_strip_hop_by_hop(&fields));
    struct text left = text_growing(0);
    for (uint32_t i = 0; i < fields.count; i++)
        if (fields.items[i].name.size)
            text_format(&left, "%.*s=%.*s ", SLICE_ARG(fields.items[i].name),
                SLICE_ARG(fields.items[i].value));
    assert_slice(text_slice(&left), "Host=a X-End=e Content-Length=3 te=trailers ");
    text_release(&left);
}

static void te_without_trailers_goes(void **state)
{
    struct fields fields;
    fields_init(&fields, *state);
    fields_add_known(&fields, FIELD_TE, SLICE("gzip"));
    assert_ok(fields_strip_hop_by_hop(&fields));
    assert_false(fields_has(&fields, FIELD_TE));
}

static void endless_connection_options_are_refused(void **state)
{
    struct fields fields;
    fields_init(&fields, *state);
    static char many[131];
    for (size_t i = 0; i < sizeof many; i++)
        many[i] = i % 2 ? ',' : 'a';
    fields_add_known(&fields, FIELD_CONNECTION, slice_of(many, 127));
    assert_ok(fields_strip_hop_by_hop(&fields));
    fields_add_known(&fields, FIELD_CONNECTION, slice_of(many, 129));
    assert_status(fields_strip_hop_by_hop(&fields), BAD_FIELD);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_name_has_its_id_in_any_spelling),
        TEST(nothing_else_has_an_id),
        TEST(fields_are_found_by_id_and_by_name),
        TEST(removing_keeps_places),
        TEST(the_list_grows_until_memory_ends),
        TEST(what_would_break_a_head_is_not_added),
        TEST(fields_of_another_list_are_appended),
        TEST(values_are_combined),
        TEST(members_come_off_lists),
        TEST(tokens_are_found_in_lists),
        TEST(validity_follows_the_grammar),
        TEST(a_control_byte_is_found_in_long_values),
        TEST(stripping_leaves_what_is_end_to_end),
        TEST(te_without_trailers_goes),
        TEST(endless_connection_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
