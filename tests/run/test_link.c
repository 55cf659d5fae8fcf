#include "run/link.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/loop.h"
#include "support/unit.h"

static struct link a, b;

static void open_pair(void)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    link_init(&a, pair[0]);
    link_init(&b, pair[1]);
}

static void close_pair(void)
{
    link_release(&a);
    link_release(&b);
}

static void expect(const char *text, int *ret_descriptor)
{
    struct slice message;
    assert_ok(link_receive(&b, loop_now() + SECOND, &message, ret_descriptor));
    assert_slices(message, slice_of_text(text));
}

static void messages_on_fiber(void *argument)
{
    (void)argument;
    int descriptor, ends[2];
    open_pair();
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_ok(link_send(&a, SLICE("first"), -1, NEVER));
    assert_ok(link_send(&a, SLICE("with one"), ends[1], NEVER));
    assert_ok(link_send(&a, SLICE_NONE, -1, NEVER));
    close(ends[1]);
    expect("first", &descriptor);
    assert_int_equal(descriptor, -1);
    expect("with one", &descriptor);
    assert_true(descriptor >= 0);
    assert_int_equal(fcntl(descriptor, F_GETFD), FD_CLOEXEC);
    assert_int_equal(write(descriptor, "x", 1), 1);
    char c = 0;
    assert_int_equal(read(ends[0], &c, 1), 1);
    assert_int_equal(c, 'x');
    close(descriptor);
    expect("", &descriptor);
    link_release(&a);
    struct slice message;
    assert_status(link_receive(&b, NEVER, &message, &descriptor), END);
    assert_status(link_send(&b, SLICE("?"), -1, NEVER), CLOSED);
    close(ends[0]);
    close_pair();
}

static void messages_and_descriptors_arrive(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, messages_on_fiber, NULL));
}

enum { MANY = 500 };

static void receive_many(void *argument)
{
    (void)argument;
    char expected[LINK_MESSAGE_MAX];
    for (int i = 0; i < MANY; i++) {
        struct slice message;
        int descriptor;
        memset(expected, i, sizeof expected);
        assert_ok(link_receive(&b, loop_now() + 10 * SECOND, &message, &descriptor));
        assert_slices(message, slice_of(expected, (size_t)(i * 8)));
        assert_int_equal(descriptor >= 0, i % 3 == 0);
        if (descriptor >= 0)
            close(descriptor);
    }
}

static void many_on_fiber(void *argument)
{
    (void)argument;
    char bytes[LINK_MESSAGE_MAX];
    open_pair();
    assert_ok(scope_start(loop_scope(loop_current()), receive_many, NULL));
    for (int i = 0; i < MANY; i++) {
        memset(bytes, i, sizeof bytes);
        assert_ok(link_send(&a, slice_of(bytes, (size_t)(i * 8)), i % 3 == 0 ? STDIN_FILENO : -1,
            loop_now() + 10 * SECOND));
    }
    assert_ok(fiber_sleep_until(loop_now() + 10 * MILLISECOND));
    close_pair();
}

/* More than the socket holds at a time: both sides wait for one another. */
static void many_are_kept_apart(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, many_on_fiber, NULL));
}

static void assert_refused(const void *bytes, size_t size, bool ends, enum status expected)
{
    struct slice message;
    int descriptor;
    open_pair();
    assert_int_equal(write(a.descriptor, bytes, size), size);
    if (ends)
        link_release(&a);
    assert_status(link_receive(&b, loop_now() + SECOND, &message, &descriptor), expected);
    close_pair();
}

static void refusals_on_fiber(void *argument)
{
    (void)argument;
    static const char too_large[] = {0, 0, 0x10, 1, 0};
    static const char no_descriptor[] = {0, 0, 0, 1, 1, 'x'};
    static const char cut[] = {0, 0, 0, 2, 0, 'x'};
    char large[LINK_MESSAGE_MAX + 1] = {0};
    assert_refused(too_large, sizeof too_large, false, INVALID);
    assert_refused(no_descriptor, sizeof no_descriptor, false, INVALID);
    assert_refused(cut, sizeof cut, true, INCOMPLETE);
    open_pair();
    assert_status(link_send(&a, slice_of(large, sizeof large), -1, NEVER), TOO_LARGE);
    assert_status(link_receive(&b, loop_now(), &(struct slice){0}, &(int){0}), TIMEOUT);
    close_pair();
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, refusals_on_fiber, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_and_descriptors_arrive),
        cmocka_unit_test(many_are_kept_apart),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
