#include "http/body.h"

#include "support/arena_fixture.h"
#include "support/unit.h"

/* A body of unknown length that comes in small parts, then ends or fails. */
struct parts {
    struct body body;
    const char *const *next;
    enum status end;
};

static enum status read_part(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct parts *parts = (struct parts *)body;
    (void)deadline;
    if (!*parts->next)
        return parts->end;
    *ret_bytes = slice_of_text(*parts->next++);
    return OK;
}

static struct body *parts_init(struct parts *parts, const char *const *texts, enum status end)
{
    static const struct body_ops ops = {.read = read_part};
    *parts = (struct parts){{&ops, BODY_LENGTH_UNKNOWN, NULL}, texts, end};
    return &parts->body;
}

static void the_empty_body_ends(void **state)
{
    (void)state;
    struct body body;
    struct slice bytes = SLICE("untouched");
    bool last = false;
    body_init_empty(&body);
    assert_true(body_is_empty(&body));
    assert_int_equal(body_peek(&body, &last).size, 0);
    assert_true(last);
    assert_status(body_read(&body, NEVER, &bytes), END);
    assert_slice(bytes, "untouched");
    assert_ok(body.ops->rewind(&body));
    body_drop(&body);
}

static void a_slice_is_read_once_and_again_after_a_rewind(void **state)
{
    (void)state;
    struct body_slice slice;
    struct body *body = body_init_slice(&slice, SLICE("hello"));
    struct slice bytes;
    assert_int_equal(body->length, 5);
    for (int time = 0; time < 2; time++) {
        bool last = false;
        assert_slice(body_peek(body, &last), "hello");
        assert_true(last);
        assert_ok(body_read(body, NEVER, &bytes));
        assert_slice(bytes, "hello");
        assert_int_equal(body_peek(body, &last).size, 0);
        assert_status(body_read(body, NEVER, &bytes), END);
        assert_status(body_read(body, NEVER, &bytes), END);
        assert_ok(body->ops->rewind(body));
    }
}

static void a_body_that_cannot_peek_says_nothing(void **state)
{
    (void)state;
    struct parts parts;
    static const char *const texts[] = {"a", NULL};
    bool last = true;
    assert_int_equal(body_peek(parts_init(&parts, texts, END), &last).size, 0);
    assert_false(last);
    body_drop(&parts.body);
}

static void all_of_it_is_gathered(void **state)
{
    (void)state;
    struct parts parts;
    struct body_slice slice;
    static const char *const texts[] = {"one ", "two ", "three", NULL};
    struct slice all;
    assert_ok(body_read_all(parts_init(&parts, texts, END), &arena, 13, NEVER, &all));
    assert_slice(all, "one two three");
    assert_ok(body_read_all(body_init_slice(&slice, SLICE("known")), &arena, 5, NEVER, &all));
    assert_slice(all, "known");
    assert_ok(body_read_all(body_init_slice(&slice, SLICE("")), &arena, 0, NEVER, &all));
    assert_int_equal(all.size, 0);
}

static void gathering_has_limits(void **state)
{
    (void)state;
    struct parts parts;
    struct body_slice slice;
    static const char *const texts[] = {"one ", "two ", "three", NULL};
    struct slice all = SLICE("untouched");
    assert_status(
        body_read_all(parts_init(&parts, texts, END), &arena, 12, NEVER, &all), TOO_LARGE);
    assert_status(
        body_read_all(parts_init(&parts, texts, TIMEOUT), &arena, 100, NEVER, &all), TIMEOUT);
    assert_status(
        body_read_all(body_init_slice(&slice, SLICE("known")), &arena, 4, NEVER, &all), TOO_LARGE);
    assert_slice(all, "untouched");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, arena_setup, arena_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_empty_body_ends),
        TEST(a_slice_is_read_once_and_again_after_a_rewind),
        TEST(a_body_that_cannot_peek_says_nothing),
        TEST(all_of_it_is_gathered),
        TEST(gathering_has_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
