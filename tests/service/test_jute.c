/* ZooKeeper's messages, byte by byte. */
#include "service/jute.h"

#include "base/clock.h"
#include "support/unit.h"

#define BYTES(literal) slice_of("" literal, sizeof(literal) - 1)

static void assert_bytes(struct text *text, struct slice wanted)
{
    assert_false(text->failed);
    assert_int_equal(text->size, wanted.size);
    assert_memory_equal(text->data, wanted.data, wanted.size);
    text_release(text);
}

static void test_questions(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    jute_add_question(&text, 7, JUTE_CHILDREN, SLICE("/a"));
    assert_bytes(&text, BYTES("\0\0\0\17\0\0\0\7\0\0\0\10\0\0\0\2/a\1"));
    text = text_growing(0);
    jute_add_ping(&text);
    assert_bytes(&text, BYTES("\0\0\0\10\377\377\377\376\0\0\0\13"));
    text = text_growing(0);
    jute_add_close(&text, 258);
    assert_bytes(&text, BYTES("\0\0\0\10\0\0\1\2\377\377\377\365"));
    text = text_growing(0);
    jute_add_auth(&text, SLICE("digest"), SLICE("u:p"));
    assert_bytes(
        &text, BYTES("\0\0\0\35\377\377\377\374\0\0\0\144\0\0\0\0\0\0\0\6digest\0\0\0\3u:p"));
}

static void test_sessions(void **state)
{
    (void)state;
    struct text text = text_growing(0);
    int64_t session = 0;
    jute_add_hello(&text, 10 * SECOND);
    assert_bytes(&text, BYTES("\0\0\0\55\0\0\0\0\0\0\0\0\0\0\0\0\0\0\47\20\0\0\0\0\0\0\0\0\0\0\0\20"
                              "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
    assert_ok(jute_read_hello(BYTES("\0\0\0\0\0\0\47\20\0\0\0\0\0\0\0\1\0\0\0\0"), &session));
    assert_int_equal(session, 10 * SECOND);
    assert_status(jute_read_hello(BYTES("\0\0\0\0\0\0\0\0"), &session), INVALID);
    assert_status(jute_read_hello(BYTES("\0\0\0\0\377\0\0\0"), &session), INVALID);
    assert_status(jute_read_hello(BYTES("\0\0\0\0\0\0\47"), &session), INVALID);
    assert_int_equal(session, 10 * SECOND);
}

static void test_lengths(void **state)
{
    (void)state;
    size_t length = 1;
    assert_ok(jute_read_length("\0\0\1\2", &length));
    assert_int_equal(length, 258);
    assert_ok(jute_read_length("\1\0\0\0", &length));
    assert_status(jute_read_length("\1\0\0\1", &length), INVALID);
    assert_status(jute_read_length("HTTP", &length), INVALID);
    assert_status(jute_read_length("\377\377\377\377", &length), INVALID);
    assert_int_equal(length, JUTE_MESSAGE_MAX);
}

static void test_answers(void **state)
{
    (void)state;
    struct jute_answer answer = {.number = 99};
    assert_ok(
        jute_read_answer(BYTES("\377\377\377\377\0\0\0\0\0\0\0\1\377\377\377\233xy"), &answer));
    assert_int_equal(answer.number, JUTE_OF_EVENT);
    assert_int_equal(answer.error, JUTE_NO_NODE);
    assert_slice(answer.body, "xy");
    assert_status(jute_read_answer(BYTES("\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0"), &answer), INVALID);
}

static void test_events(void **state)
{
    (void)state;
    struct jute_event event = {.type = 0};
    assert_ok(jute_read_event(BYTES("\0\0\0\4\0\0\0\3\0\0\0\2/a"), &event));
    assert_int_equal(event.type, JUTE_CHILDREN_CHANGED);
    assert_slice(event.path, "/a");
    assert_status(jute_read_event(BYTES("\0\0\0\4\0\0\0\3\0\0\0\3/a"), &event), INVALID);
    assert_status(jute_read_event(BYTES("\0\0\0\4"), &event), INVALID);
}

static void test_data(void **state)
{
    (void)state;
    struct slice data = SLICE("before");
    assert_status(jute_read_data(BYTES("\0\0\0\5data"), &data), INVALID);
    assert_status(jute_read_data(BYTES("\377\377\377\376data"), &data), INVALID);
    assert_slice(data, "before");
    assert_ok(jute_read_data(BYTES("\0\0\0\4datastat"), &data));
    assert_slice(data, "data");
    assert_ok(jute_read_data(BYTES("\377\377\377\377stat"), &data));
    assert_int_equal(data.size, 0);
}

static void test_children(void **state)
{
    (void)state;
    struct slice rest, name;
    size_t count = 0;
    assert_ok(jute_read_children(BYTES("\0\0\0\2\0\0\0\1a\0\0\0\2bc\0\0\0\0"), &count, &rest));
    assert_int_equal(count, 2);
    assert_ok(jute_read_child(&rest, &name));
    assert_slice(name, "a");
    assert_ok(jute_read_child(&rest, &name));
    assert_slice(name, "bc");
    assert_status(jute_read_child(&rest, &name), INVALID); /* no name is empty */
    assert_slice(name, "bc");
    assert_ok(jute_read_children(BYTES("\377\377\377\377"), &count, &rest));
    assert_int_equal(count, 0);
    assert_status(jute_read_children(BYTES("\377\377\377\0"), &count, &rest), INVALID);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_questions),
        cmocka_unit_test(test_sessions),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_data),
        cmocka_unit_test(test_children),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
