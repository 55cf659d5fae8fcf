#include "base/json_writer.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "support/unit.h"

static struct text text;
static struct json_writer writer;

static void begin(unsigned indent)
{
    text_clear(&text);
    json_writer_init(&writer, &text, indent);
}

static int set_up(void **state)
{
    (void)state;
    text = text_growing(0);
    begin(0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    text_release(&text);
    return 0;
}

static void write_sample(void)
{
    json_write_object(&writer);
    json_write_key(&writer, SLICE("list"));
    json_write_array(&writer);
    json_write_i64(&writer, INT64_MIN);
    json_write_u64(&writer, UINT64_MAX);
    json_write_object(&writer);
    json_write_object_end(&writer);
    json_write_bool(&writer, false);
    json_write_array_end(&writer);
    json_write_key(&writer, SLICE("te\"xt"));
    json_write_string(&writer, SLICE("a\n\x01\xff"));
    json_write_key(&writer, SLICE("raw"));
    json_write_raw(&writer, SLICE("[1]"));
    json_write_key(&writer, SLICE("none"));
    json_write_null(&writer);
    json_write_object_end(&writer);
}

static void members_have_keys(void **state)
{
    (void)state;
    json_write_object(&writer);
    json_put_text(&writer, "text", SLICE("a"));
    json_put_i64(&writer, "i64", -1);
    json_put_u64(&writer, "u64", UINT64_MAX);
    json_put_double(&writer, "double", 0.5);
    json_put_bool(&writer, "bool", true);
    json_put_null(&writer, "null");
    json_put_raw(&writer, "raw", SLICE("[1]"));
    json_put_time(&writer, "time", 784111777 * SECOND);
    json_put_array(&writer, "array");
    json_write_array_end(&writer);
    json_put_object(&writer, "object");
    json_write_object_end(&writer);
    json_write_object_end(&writer);
    assert_true(json_writer_is_done(&writer));
    assert_slice(text_slice(&text),
        "{\"text\":\"a\",\"i64\":-1,\"u64\":18446744073709551615,\"double\":0.5,\"bool\":true,"
        "\"null\":null,\"raw\":[1],\"time\":\"1994-11-06T08:49:37.000Z\",\"array\":[],\"object\":{}"
        "}");
}

static void commas_come_by_themselves(void **state)
{
    (void)state;
    write_sample();
    assert_true(json_writer_is_done(&writer));
    assert_slice(text_slice(&text),
        "{\"list\":[-9223372036854775808,18446744073709551615,{},false],"
        "\"te\\\"xt\":\"a\\n\\u0001\xef\xbf\xbd\",\"raw\":[1],\"none\":null}");
}

static void people_get_indentation(void **state)
{
    (void)state;
    begin(2);
    write_sample();
    assert_slice(text_slice(&text),
        "{\n  \"list\": [\n    -9223372036854775808,\n    18446744073709551615,\n    {},\n    "
        "false\n  ],\n"
        "  \"te\\\"xt\": \"a\\n\\u0001\xef\xbf\xbd\",\n  \"raw\": [1],\n  \"none\": null\n}");
}

static void doubles_read_back(void **state)
{
    (void)state;
    static const double samples[] = {
        0, 0.1, 1.0 / 3, 1e300, 5e-324, -2.5, 123456789012345680.0, 0.30000000000000004};
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) {
        begin(0);
        json_write_double(&writer, samples[i]);
        text_add_char(&text, '\0');
        assert_true(strtod(text.data, NULL) == samples[i]);
    }
    begin(0);
    json_write_double(&writer, 0.1);
    assert_slice(text_slice(&text), "0.1");
    begin(0);
    json_write_double(&writer, NAN);
    assert_slice(text_slice(&text), "null");
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    for (int deep = JSON_WRITER_DEPTH; deep <= JSON_WRITER_DEPTH + 2; deep++) {
        begin(0);
        for (int i = 0; i < deep; i++)
            json_write_array(&writer);
        json_write_u64(&writer, 1);
        for (int i = 0; i < deep; i++)
            json_write_array_end(&writer);
        assert_int_equal(json_writer_is_done(&writer), deep == JSON_WRITER_DEPTH);
    }
}

static void it_is_done_when_the_value_is_whole(void **state)
{
    (void)state;
    assert_false(json_writer_is_done(&writer));
    json_write_array(&writer);
    assert_false(json_writer_is_done(&writer));
    json_write_array_end(&writer);
    assert_true(json_writer_is_done(&writer));
}

static void what_does_not_fit_fails(void **state)
{
    (void)state;
    char small[4];
    struct text fixed = text_fixed(small, sizeof small);
    json_writer_init(&writer, &fixed, 0);
    write_sample();
    assert_false(json_writer_is_done(&writer));
}

static void value_without_key(void)
{
    json_write_object(&writer);
    json_write_u64(&writer, 1);
}

static void key_in_array(void)
{
    json_write_array(&writer);
    json_write_key(&writer, SLICE("k"));
}

static void two_keys(void)
{
    json_write_object(&writer);
    json_write_key(&writer, SLICE("k"));
    json_write_key(&writer, SLICE("k"));
}

static void key_without_value(void)
{
    json_write_object(&writer);
    json_write_key(&writer, SLICE("k"));
    json_write_object_end(&writer);
}

static void wrong_end(void)
{
    json_write_array(&writer);
    json_write_object_end(&writer);
}

static void end_without_begin(void)
{
    json_write_array_end(&writer);
}

static void two_values(void)
{
    json_write_null(&writer);
    json_write_null(&writer);
}

static void what_cannot_become_json_is_a_bug(void **state)
{
    (void)state;
    assert_aborts(value_without_key);
    assert_aborts(key_in_array);
    assert_aborts(two_keys);
    assert_aborts(key_without_value);
    assert_aborts(wrong_end);
    assert_aborts(end_without_begin);
    assert_aborts(two_values);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(members_have_keys),
        TEST(members_have_keys),
        TEST(commas_come_by_themselves),
        TEST(people_get_indentation),
        TEST(doubles_read_back),
        TEST(nesting_is_bounded),
        TEST(it_is_done_when_the_value_is_whole),
        TEST(what_does_not_fit_fails),
        TEST(what_cannot_become_json_is_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
