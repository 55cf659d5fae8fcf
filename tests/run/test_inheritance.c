#include "run/inheritance.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "run/socket.h"
#include "support/unit.h"

struct fixture {
    struct inheritance *inheritance;
    struct address address; /* where `descriptor` listens */
    int descriptor;
};

static struct address parse(const char *text)
{
    struct address address;
    assert_ok(address_parse(slice_of_text(text), &address));
    return address;
}

static int bind_datagrams(struct address *address)
{
    int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(descriptor >= 0);
    *address = parse("127.0.0.1:0");
    assert_int_equal(bind(descriptor, &address->any, address->size), 0);
    assert_int_equal(getsockname(descriptor, &address->any, &address->size), 0);
    return descriptor;
}

static int set_up(void **state)
{
    static struct fixture f;
    struct address any = parse("127.0.0.1:0");
    assert_ok(inheritance_new(&f.inheritance));
    assert_ok(socket_listen(&any, 8, &f.descriptor));
    f.address.size = sizeof f.address.local;
    assert_int_equal(getsockname(f.descriptor, &f.address.any, &f.address.size), 0);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    inheritance_free(f->inheritance);
    return 0;
}

static bool is_open(int descriptor)
{
    return fcntl(descriptor, F_GETFD) >= 0;
}

static void the_predecessors_is_given_away_once(void **state)
{
    struct fixture *f = *state;
    struct inherited_socket given;
    assert_ok(inheritance_add(f->inheritance, SLICE("127.0.0.1:0"), false, f->descriptor));
    assert_true(inheritance_take(f->inheritance, SOCK_STREAM, &f->address, SLICE("x"), &given));
    assert_int_equal(given.descriptor, f->descriptor);
    assert_false(given.is_managed);
    assert_true(inheritance_at(f->inheritance, 0)->is_taken);
    assert_false(inheritance_take(f->inheritance, SOCK_STREAM, &f->address, SLICE("x"), &given));
    inheritance_close_rest(f->inheritance);
    assert_true(is_open(given.descriptor));
    close(given.descriptor);
}

static void the_managers_stays(void **state)
{
    struct fixture *f = *state;
    struct inherited_socket one, two;
    assert_ok(inheritance_add(f->inheritance, SLICE_NONE, true, f->descriptor));
    assert_true(inheritance_take(f->inheritance, SOCK_STREAM, &f->address, SLICE("x"), &one));
    assert_true(inheritance_take(f->inheritance, SOCK_STREAM, &f->address, SLICE("x"), &two));
    assert_true(one.is_managed && one.descriptor != f->descriptor);
    assert_true(one.descriptor != two.descriptor);
    assert_int_equal(fcntl(one.descriptor, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(f->descriptor, F_GETFD), FD_CLOEXEC);
    close(one.descriptor);
    close(two.descriptor);
    inheritance_close_rest(f->inheritance);
    assert_true(is_open(f->descriptor));
}

static void any_port_is_found_by_name(void **state)
{
    struct fixture *f = *state;
    struct inherited_socket given;
    struct address any = parse("127.0.0.1:0");
    assert_ok(inheritance_add(f->inheritance, SLICE("127.0.0.1:0"), true, f->descriptor));
    assert_false(inheritance_take(f->inheritance, SOCK_STREAM, &any, SLICE("localhost"), &given));
    assert_true(inheritance_take(f->inheritance, SOCK_STREAM, &any, SLICE("127.0.0.1:0"), &given));
    close(given.descriptor);
    assert_false(inheritance_take(f->inheritance, SOCK_STREAM, &any, SLICE("127.0.0.1:0"), &given));
}

static void datagrams_are_told_from_streams(void **state)
{
    struct fixture *f = *state;
    struct inherited_socket given;
    struct address address;
    close(f->descriptor);
    int descriptor = bind_datagrams(&address);
    assert_ok(inheritance_add(f->inheritance, SLICE_NONE, false, descriptor));
    assert_false(inheritance_take(f->inheritance, SOCK_STREAM, &address, SLICE("x"), &given));
    assert_true(inheritance_take(f->inheritance, SOCK_DGRAM, &address, SLICE("x"), &given));
    assert_true(fcntl(given.descriptor, F_GETFL) & O_NONBLOCK);
    close(given.descriptor);
}

static void what_does_not_listen_is_refused(void **state)
{
    struct fixture *f = *state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_status(inheritance_add(f->inheritance, SLICE_NONE, false, pair[0]), INVALID);
    assert_false(is_open(pair[0]));
    int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_status(inheritance_add(f->inheritance, SLICE_NONE, false, file), INVALID);
    close(pair[1]);
    assert_int_equal(inheritance_count(f->inheritance), 0);
    close(f->descriptor);
}

static void what_nobody_took_is_closed(void **state)
{
    struct fixture *f = *state;
    struct inherited_socket given;
    assert_ok(inheritance_add(f->inheritance, SLICE("a"), false, f->descriptor));
    inheritance_close_rest(f->inheritance);
    assert_false(is_open(f->descriptor));
    assert_false(inheritance_at(f->inheritance, 0)->is_taken);
    assert_slice(inheritance_at(f->inheritance, 0)->name, "a");
    assert_false(inheritance_take(f->inheritance, SOCK_STREAM, &f->address, SLICE("a"), &given));
}

static void notes_are_found_by_name(void **state)
{
    struct fixture *f = *state;
    close(f->descriptor);
    assert_int_equal(inheritance_noted(f->inheritance, SLICE("keys")).size, 0);
    assert_ok(inheritance_note(f->inheritance, SLICE("keys"), SLICE("a\0b")));
    assert_ok(inheritance_note(f->inheritance, SLICE("others"), SLICE_NONE));
    assert_slice(inheritance_noted(f->inheritance, SLICE("keys")), "a\0b");
    assert_slice(inheritance_note_at(f->inheritance, 1)->name, "others");
    assert_null(inheritance_note_at(f->inheritance, 2));
    assert_int_equal(inheritance_noted(NULL, SLICE("keys")).size, 0);
}

static void nothing_can_be_inherited(void **state)
{
    struct fixture *f = *state;
    struct inherited_socket given;
    close(f->descriptor);
    assert_false(inheritance_take(NULL, SOCK_STREAM, &f->address, SLICE("a"), &given));
    assert_int_equal(inheritance_count(NULL), 0);
    inheritance_close_rest(NULL);
    inheritance_free(NULL);
}

static void what_was_passed_to_another_process_is_not_ours(void **state)
{
    struct fixture *f = *state;
    close(f->descriptor);
    setenv("LISTEN_FDS", "1", 1);
    setenv("LISTEN_PID", "1", 1);
    assert_ok(inheritance_add_passed(f->inheritance));
    assert_int_equal(inheritance_count(f->inheritance), 0);
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_PID");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_predecessors_is_given_away_once),
        TEST(the_managers_stays),
        TEST(any_port_is_found_by_name),
        TEST(datagrams_are_told_from_streams),
        TEST(what_does_not_listen_is_refused),
        TEST(what_nobody_took_is_closed),
        TEST(notes_are_found_by_name),
        TEST(nothing_can_be_inherited),
        TEST(what_was_passed_to_another_process_is_not_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
