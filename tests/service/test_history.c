#include "service/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/json_writer.h"
#include "base/text.h"

static void note(struct history *history, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    history_note(history, format, arguments);
    va_end(arguments);
}

static void test_the_newest_are_kept(void **state)
{
    (void)state;
    struct history history;
    struct history_event event;
    assert_int_equal(history_init(&history), OK);
    assert_false(history_is_newest(&history, "event 1"));
    for (int i = 1; i <= HISTORY_EVENTS + 3; i++)
        note(&history, "event %d.", i);
    assert_true(history_is_newest(&history, "event 11."));
    assert_false(history_is_newest(&history, "event 10."));
    assert_true(history_find(&history, SLICE("event 4."), &event));
    assert_string_equal(event.text, "event 4.");
    assert_false(history_find(&history, SLICE("event 3."), &event));
    assert_true(history_find(&history, SLICE("event"), &event));
    assert_string_equal(event.text, "event 11.");
    history_release(&history);
}

static void test_it_is_written_from_the_newest_on(void **state)
{
    (void)state;
    struct history history;
    struct text text = text_growing(0);
    struct json_writer writer;
    assert_int_equal(history_init(&history), OK);
    json_writer_init(&writer, &text, 0);
    note(&history, "first");
    note(&history, "second");
    history_write(&history, &writer);
    text_add_char(&text, 0);
    const char *second = strstr(text.data, "second"), *first = strstr(text.data, "first");
    assert_true(second && first && second < first);
    text_release(&text);
    history_release(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_newest_are_kept),
        cmocka_unit_test(test_it_is_written_from_the_newest_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
