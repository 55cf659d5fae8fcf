#include "store/resp.h"

#include <stdlib.h>

#include "support/unit.h"

/* The first token of a reply that is whole. */
static struct resp_token read_whole(const char *text)
{
    struct slice rest = slice_of_text(text);
    struct resp_token token;
    size_t size;
    assert_ok(resp_size(rest, &size));
    assert_int_equal(size, rest.size);
    assert_ok(resp_read(&rest, &token));
    return token;
}

static void lines_are_read(void **state)
{
    (void)state;
    assert_slice(read_whole("+OK\r\n").text, "OK");
    assert_slice(read_whole("+\r\n").text, "");
    assert_int_equal(read_whole("-ERR no\r\n").kind, RESP_ERROR);
    assert_slice(read_whole("-ERR no\r\n").text, "ERR no");
    assert_int_equal(read_whole(":-42\r\n").number, -42);
    assert_int_equal(read_whole(":+7\r\n").number, 7);
    assert_true(read_whole(":-9223372036854775808\r\n").number == INT64_MIN);
    assert_true(read_whole(":9223372036854775807\r\n").number == INT64_MAX);
    assert_int_equal(read_whole("_\r\n").kind, RESP_NOTHING);
    assert_int_equal(read_whole("#t\r\n").number, 1);
    assert_int_equal(read_whole("#f\r\n").number, 0);
    assert_slice(read_whole(",1.5\r\n").text, "1.5");
    assert_slice(
        read_whole("(123456789012345678901234567890\r\n").text, "123456789012345678901234567890");
}

static void strings_hold_any_bytes(void **state)
{
    (void)state;
    assert_slice(read_whole("$5\r\na\r\nb\n\r\n").text, "a\r\nb\n");
    assert_slice(read_whole("$0\r\n\r\n").text, "");
    assert_int_equal(read_whole("$-1\r\n").kind, RESP_NOTHING);
    assert_slice(read_whole("=7\r\ntxt:abc\r\n").text, "abc");
    assert_int_equal(read_whole("!6\r\nERR no\r\n").kind, RESP_ERROR);
}

static void lists_say_how_many_values_follow(void **state)
{
    (void)state;
    assert_int_equal(read_whole("*2\r\n:1\r\n*1\r\n+a\r\n").number, 2);
    assert_int_equal(read_whole("*0\r\n").number, 0);
    assert_int_equal(read_whole("*-1\r\n").kind, RESP_NOTHING);
    assert_int_equal(read_whole("%1\r\n+a\r\n~1\r\n:2\r\n").number, 2);
    assert_int_equal(read_whole(">1\r\n+invalidate\r\n").kind, RESP_PUSH);
}

static void the_rest_is_left_for_the_next(void **state)
{
    (void)state;
    struct slice rest = SLICE("*1\r\n:1\r\n+next\r\n");
    size_t size;
    assert_ok(resp_size(rest, &size));
    assert_int_equal(size, 8);
}

static void what_is_not_whole_is_incomplete(void **state)
{
    (void)state;
    struct slice whole = SLICE("*3\r\n$3\r\nabc\r\n%1\r\n+k\r\n:1\r\n_\r\n");
    size_t size;
    for (size_t i = 0; i < whole.size; i++)
        assert_status(resp_size(slice_head(whole, i), &size), INCOMPLETE);
    assert_ok(resp_size(whole, &size));
}

static void what_is_no_reply_is_invalid(void **state)
{
    (void)state;
    static const char *const wrong[] = {"\r\n", "\n", "HTTP/1.1 200 OK\r\n", "+OK\n", ":\r\n",
        ":1x\r\n", ":9223372036854775808\r\n", ":-9223372036854775809\r\n", "$-2\r\n", "$x\r\n",
        "$3\r\nabcd\r\n", "$3\r\nabc\n\r", "*-2\r\n", "%-1\r\n", "#x\r\n", "_x\r\n",
        "=3\r\nabc\r\n", "|1\r\n+k\r\n+v\r\n", "$?\r\n", "*?\r\n", "*1\r\nx\r\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        size_t size;
        if (resp_size(slice_of_text(wrong[i]), &size) != INVALID)
            fail_msg("not refused: %s", wrong[i]);
    }
}

static void what_would_take_too_much_is_refused_before_it_comes(void **state)
{
    (void)state;
    static const char *const large[] = {"$16777217\r\n", "*1048576\r\n", "%600000\r\n"};
    size_t size;
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        assert_status(resp_size(slice_of_text(large[i]), &size), TOO_LARGE);
    char *line = malloc(RESP_LINE_MAX + 1);
    memset(line, '+', RESP_LINE_MAX + 1);
    assert_status(resp_size(slice_of(line, RESP_LINE_MAX - 1), &size), INCOMPLETE);
    assert_status(resp_size(slice_of(line, RESP_LINE_MAX), &size), TOO_LARGE);
    free(line);
}

static void deep_lists_need_no_stack(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    for (int i = 0; i < 1000000; i++)
        text_add_literal(&text, "*1\r\n");
    text_add_literal(&text, ":1\r\n");
    size_t size;
    assert_ok(resp_size(text_slice(&text), &size));
    assert_int_equal(size, text.size);
    text_release(&text);
}

static void commands_are_lists_of_strings(void **state)
{
    (void)state;
    char room[64];
    struct text text = text_fixed(room, sizeof room);
    resp_write(&text, (const struct slice[]){SLICE("SET"), SLICE("a\r\n"), SLICE("")}, 3);
    assert_slice(text_slice(&text), "*3\r\n$3\r\nSET\r\n$3\r\na\r\n\r\n$0\r\n\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_read),
        cmocka_unit_test(strings_hold_any_bytes),
        cmocka_unit_test(lists_say_how_many_values_follow),
        cmocka_unit_test(the_rest_is_left_for_the_next),
        cmocka_unit_test(what_is_not_whole_is_incomplete),
        cmocka_unit_test(what_is_no_reply_is_invalid),
        cmocka_unit_test(what_would_take_too_much_is_refused_before_it_comes),
        cmocka_unit_test(deep_lists_need_no_stack),
        cmocka_unit_test(commands_are_lists_of_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
