#include "base/json_reader.h"

#include "support/arena_fixture.h"
#include "support/unit.h"

static struct json_reader reader;
static struct json_token token;

static void begin(struct slice text)
{
    json_reader_init(&reader, text, NULL);
}

static void assert_event(enum json_event event, struct slice raw, size_t offset)
{
    assert_ok(json_next(&reader, &token));
    assert_int_equal(token.event, event);
    assert_slices(token.raw, raw);
    assert_int_equal(token.offset, offset);
}

static void events_come_in_order(void **state)
{
    (void)state;
    begin(SLICE(" {\"k\" : [-1.5e3,true , false,null,\"a\\n\"],\"\":{}} "));
    assert_event(JSON_EVENT_OBJECT, SLICE("{"), 1);
    assert_event(JSON_EVENT_KEY, SLICE("k"), 2);
    assert_event(JSON_EVENT_ARRAY, SLICE("["), 8);
    assert_event(JSON_EVENT_NUMBER, SLICE("-1.5e3"), 9);
    assert_event(JSON_EVENT_TRUE, SLICE("true"), 16);
    assert_event(JSON_EVENT_FALSE, SLICE("false"), 23);
    assert_event(JSON_EVENT_NULL, SLICE("null"), 29);
    assert_event(JSON_EVENT_STRING, SLICE("a\\n"), 34);
    assert_true(token.has_escapes);
    assert_event(JSON_EVENT_ARRAY_END, SLICE("]"), 39);
    assert_event(JSON_EVENT_KEY, SLICE(""), 41);
    assert_false(token.has_escapes);
    assert_event(JSON_EVENT_OBJECT, SLICE("{"), 44);
    assert_event(JSON_EVENT_OBJECT_END, SLICE("}"), 45);
    assert_event(JSON_EVENT_OBJECT_END, SLICE("}"), 46);
    assert_status(json_next(&reader, &token), END);
    assert_status(json_next(&reader, &token), END);
}

static void an_error_is_for_good(void **state)
{
    (void)state;
    begin(SLICE("[1,]"));
    assert_ok(json_next(&reader, &token));
    assert_ok(json_next(&reader, &token));
    for (int i = 0; i < 2; i++) {
        assert_status(json_next(&reader, &token), INVALID);
        assert_int_equal(json_reader_position(&reader).column, 4);
        assert_non_null(reader.message);
    }
    assert_int_equal(token.event, JSON_EVENT_NUMBER);
}

static void pieces_are_put_together(void **state)
{
    (void)state;
    json_reader_init_pieces(&reader, NULL);
    assert_status(json_next(&reader, &token), INCOMPLETE);
    json_reader_feed(&reader, SLICE("[\n \"ab"), false);
    assert_event(JSON_EVENT_ARRAY, SLICE("["), 0);
    assert_status(json_next(&reader, &token), INCOMPLETE);
    assert_slice(json_reader_rest(&reader), "\"ab");
    json_reader_feed(&reader, SLICE("\"abc\", 12"), false);
    assert_event(JSON_EVENT_STRING, SLICE("abc"), 3);
    assert_status(json_next(&reader, &token), INCOMPLETE);
    json_reader_feed(&reader, SLICE("123 x"), true);
    assert_event(JSON_EVENT_NUMBER, SLICE("123"), 10);
    assert_status(json_next(&reader, &token), INVALID);
    struct json_position position = json_reader_position(&reader);
    assert_int_equal(position.offset, 14);
    assert_int_equal(position.line, 2);
    assert_int_equal(position.column, 13);
}

static void all_pieces_count_towards_the_limit(void **state)
{
    (void)state;
    json_reader_init_pieces(&reader, &(struct json_limits){.size = 6});
    json_reader_feed(&reader, SLICE("[1, "), false);
    assert_event(JSON_EVENT_ARRAY, SLICE("["), 0);
    assert_event(JSON_EVENT_NUMBER, SLICE("1"), 1);
    assert_status(json_next(&reader, &token), INCOMPLETE);
    assert_int_equal(json_reader_rest(&reader).size, 0);
    json_reader_feed(&reader, SLICE("22]"), true);
    assert_status(json_next(&reader, &token), TOO_LARGE);
}

static void values_are_skipped_whole(void **state)
{
    (void)state;
    begin(SLICE("{\"a\":{\"b\":[1,[2],{}]},\"c\":3,\"d\":[]}"));
    assert_event(JSON_EVENT_OBJECT, SLICE("{"), 0);
    assert_event(JSON_EVENT_KEY, SLICE("a"), 1);
    assert_ok(json_skip(&reader, &token));
    assert_event(JSON_EVENT_KEY, SLICE("c"), 22);
    assert_ok(json_skip(&reader, &token));
    assert_event(JSON_EVENT_KEY, SLICE("d"), 28);
    assert_event(JSON_EVENT_ARRAY, SLICE("["), 32);
    assert_ok(json_skip(&reader, &token));
    assert_event(JSON_EVENT_OBJECT_END, SLICE("}"), 34);
    assert_ok(json_skip(&reader, &token));
    assert_status(json_next(&reader, &token), END);
    begin(SLICE("[[1,]]"));
    assert_ok(json_next(&reader, &token));
    assert_status(json_skip(&reader, &token), INVALID);
}

static struct slice decoded(struct slice text)
{
    struct slice result = SLICE("not decoded");
    begin(text);
    assert_event(JSON_EVENT_STRING, slice_of(text.data + 1, text.size - 2), 0);
    assert_ok(json_text(&token, &arena, &result));
    assert_true(json_text_equal(&token, result));
    assert_false(json_text_equal(&token, slice_head(result, result.size - 1)));
    struct slice more[] = {result, SLICE("x")};
    assert_false(json_text_equal(&token, arena_join(&arena, more, 2)));
    return result;
}

static void strings_are_decoded(void **state)
{
    (void)state;
    assert_slice(decoded(SLICE("\"plain\"")), "plain");
    assert_slice(decoded(SLICE("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"")), "\"\\/\b\f\n\r\t");
    assert_slice(decoded(SLICE("\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\\u0000.\"")),
        "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\0.");
    assert_slice(decoded(SLICE("\"\\udbff\\udfff\"")), "\xf4\x8f\xbf\xbf");
    assert_slice(decoded(SLICE("\"\\ud800\\udc00\"")), "\xf0\x90\x80\x80");
    assert_slice(decoded(SLICE("\"\\ud7ff\\ue000\"")), "\xed\x9f\xbf\xee\x80\x80");
}

static void half_a_pair_is_refused(void **state)
{
    (void)state;
    static const char *const samples[] = {"\"\\ud800\"", "\"\\udc00\"", "\"\\udfff\\ud800\"",
        "\"\\ud800______\"", "\"\\ud800\\n____\"", "\"\\ud800_udc00\"", "\"\\ud800\\xdc00\"",
        "\"\\ud800\\ud800\"", "\"\\ud800\\ue000\"", "\"\\ud800\\udbff\"", "\"\\ud800\\uzzzz\""};
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        begin(slice_of_text(samples[i]));
        if (json_next(&reader, &token) != INVALID)
            fail_msg("accepted: %s", samples[i]);
    }
}

static void messages_tell_the_end_from_a_fault(void **state)
{
    (void)state;
    begin(SLICE("tru"));
    assert_status(json_next(&reader, &token), INVALID);
    assert_string_equal(reader.message, "the text ends in the middle of a value");
    begin(SLICE("trx"));
    assert_status(json_next(&reader, &token), INVALID);
    assert_string_equal(reader.message, "a value should stand here");
    begin(SLICE("+1"));
    assert_status(json_next(&reader, &token), INVALID);
    assert_string_equal(reader.message, "a value should stand here");
}

static void a_plain_string_takes_no_memory(void **state)
{
    (void)state;
    struct arena none;
    struct slice text;
    arena_init(&none, 0, 1);
    begin(SLICE("[\"plain\",\"\\n\"]"));
    assert_ok(json_next(&reader, &token));
    assert_ok(json_next(&reader, &token));
    assert_ok(json_text(&token, &none, &text));
    assert_ptr_equal(text.data, token.raw.data);
    assert_ok(json_next(&reader, &token));
    assert_status(json_text(&token, &none, &text), NO_MEMORY);
    arena_release(&none);
}

/* A special byte at each place of and behind the words that are looked at as a whole. */
static void special_bytes_are_seen_anywhere(void **state)
{
    (void)state;
    static const char bad[] = {0, 1, 0x1f, '\n', (char)0x80, (char)0xff};
    for (size_t size = 1; size < 40; size++)
        for (size_t at = 0; at < size; at++)
            for (size_t i = 0; i < sizeof bad; i++) {
                char text[44] = "\"";
                memset(text + 1, '~', size);
                memcpy(text + 1 + size, "\" ", 2);
                begin(slice_of(text, size + 2));
                assert_ok(json_next(&reader, &token));
                assert_int_equal(token.raw.size, size);
                text[1 + at] = bad[i];
                begin(slice_of(text, size + 2));
                assert_status(json_next(&reader, &token), INVALID);
                text[1 + at] = '"';
                begin(slice_of(text, size + 2));
                assert_ok(json_next(&reader, &token));
                assert_int_equal(token.raw.size, at);
            }
}

static void integers_are_exact(void **state)
{
    (void)state;
    int64_t value = 42;
    assert_status(json_to_i64(SLICE("9223372036854775808"), &value), TOO_LARGE);
    assert_status(json_to_i64(SLICE("-9223372036854775809"), &value), TOO_LARGE);
    assert_status(json_to_i64(SLICE("99999999999999999999999"), &value), TOO_LARGE);
    assert_status(json_to_i64(SLICE("1.0"), &value), INVALID);
    assert_status(json_to_i64(SLICE("1e2"), &value), INVALID);
    assert_status(json_to_i64(SLICE("-"), &value), INVALID);
    assert_status(json_to_i64(SLICE_NONE, &value), INVALID);
    assert_int_equal(value, 42);
    assert_ok(json_to_i64(SLICE("9223372036854775807"), &value));
    assert_int_equal(value, INT64_MAX);
    assert_ok(json_to_i64(SLICE("-9223372036854775808"), &value));
    assert_int_equal(value, INT64_MIN);
    assert_ok(json_to_i64(SLICE("-0"), &value));
    assert_int_equal(value, 0);
}

static void doubles_are_the_nearest(void **state)
{
    (void)state;
    double value = 42;
    assert_status(json_to_double(SLICE("1e309"), &value), TOO_LARGE);
    assert_status(json_to_double(SLICE("-1e99999"), &value), TOO_LARGE);
    assert_status(json_to_double(SLICE(""), &value), INVALID);
    assert_status(json_to_double(SLICE("1x"), &value), INVALID);
    assert_true(value == 42);
    assert_ok(json_to_double(SLICE("-2.5e-1"), &value));
    assert_true(value == -0.25);
    assert_ok(json_to_double(SLICE("1e-400"), &value));
    assert_true(value == 0);
    char digits[300];
    memset(digits, '3', sizeof digits);
    digits[1] = '.';
    assert_ok(json_to_double(slice_of(digits, sizeof digits), &value));
    assert_true(value == 10.0 / 3);
}

static void depth_has_a_highest_limit(void **state)
{
    (void)state;
    static char text[JSON_DEPTH_MAX + 1];
    memset(text, '[', sizeof text);
    json_reader_init(&reader, slice_of(text, sizeof text), &(struct json_limits){.depth = 1000000});
    for (size_t i = 0; i < JSON_DEPTH_MAX; i++)
        assert_ok(json_next(&reader, &token));
    assert_status(json_next(&reader, &token), TOO_LARGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(events_come_in_order),
        TEST(an_error_is_for_good),
        TEST(pieces_are_put_together),
        TEST(all_pieces_count_towards_the_limit),
        TEST(values_are_skipped_whole),
        TEST(strings_are_decoded),
        TEST(half_a_pair_is_refused),
        TEST(messages_tell_the_end_from_a_fault),
        TEST(a_plain_string_takes_no_memory),
        TEST(special_bytes_are_seen_anywhere),
        TEST(integers_are_exact),
        TEST(doubles_are_the_nearest),
        TEST(depth_has_a_highest_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
