#include "http/event_data.h"

#include "base/text.h"
#include "support/unit.h"

/* What comes out: data as it is, and "|" for the end of an event. */
static void add_piece(void *argument, struct slice bytes)
{
    assert_true(bytes.size > 0);
    text_add(argument, bytes);
}

static void add_end(void *argument)
{
    text_add_char(argument, '|');
}

static void check(const char *stream, const char *expected)
{
    for (size_t size = 1; size <= strlen(stream) + 1; size++) {
        char room[256];
        struct text text = text_fixed(room, sizeof room);
        struct event_data events;
        event_data_init(&events, add_piece, add_end, &text);
        for (struct slice rest = slice_of_text(stream); rest.size; rest = slice_from(rest, size))
            event_data_feed(&events, slice_head(rest, size));
        assert_slices(text_slice(&text), slice_of_text(expected));
    }
}

static void data_lines_are_joined_and_events_end_with_an_empty_one(void **state)
{
    (void)state;
    check("data: one\n\ndata:two\n\n", "one|two|");
    check("data: a\ndata:  b\ndata\ndata:\n\n", "a\n b\n\n|");
    check("data: a\r\ndata: b\r\n\r\ndata: c\r\r", "a\nb|c|");
    check("data: never ended", "never ended");
}

static void other_fields_are_left_out(void **state)
{
    (void)state;
    check("event: delta\nid: 7\n: a comment\ndata: x\nretry: 10\n\n", "x|");
    check("event: ping\n\n\n\n", "");
    check("dat: x\ndatas: y\n data: z\nDATA: z\ndata : z\n\n", "");
    check("id: data: x\n\n", "");
}

static void a_byte_order_mark_is_left_out_at_the_beginning_alone(void **state)
{
    (void)state;
    check("\xEF\xBB\xBF"
          "data: x\n\n",
        "x|");
    check("data: x\n\n\xEF\xBB\xBF"
          "data: y\n\n",
        "x|");
    check("\xEF\xBB"
          "data: y\n\ndata: x\n\n",
        "y|x|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_lines_are_joined_and_events_end_with_an_empty_one),
        cmocka_unit_test(other_fields_are_left_out),
        cmocka_unit_test(a_byte_order_mark_is_left_out_at_the_beginning_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
