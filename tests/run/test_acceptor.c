#include "run/socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <unistd.h>

#include "run/loop.h"
#include "support/unit.h"

struct guests {
    struct stream *streams[64];
    size_t count;
    struct acceptor *acceptor;
    bool closes_itself;
};

static void welcome(void *argument, int descriptor, const struct address *peer)
{
    struct guests *guests = argument;
    assert_true(guests->count < 64);
    assert_ok(socket_adopt(descriptor, peer, &guests->streams[guests->count++]));
    if (guests->closes_itself)
        acceptor_free(guests->acceptor);
}

static void see_off(struct guests *guests)
{
    while (guests->count > 0)
        stream_close(guests->streams[--guests->count]);
}

static int listen_on(const char *text, struct address *ret_address)
{
    int descriptor;
    assert_ok(address_parse(slice_of_text(text), ret_address));
    assert_ok(socket_listen(ret_address, 128, &descriptor));
    ret_address->size = sizeof *ret_address - offsetof(struct address, any);
    assert_int_equal(getsockname(descriptor, &ret_address->any, &ret_address->size), 0);
    return descriptor;
}

static void wait_for_guests(struct guests *guests, size_t count)
{
    instant deadline = loop_now() + 5 * SECOND;
    while (guests->count < count && loop_now() < deadline)
        fiber_yield();
    assert_int_equal(guests->count, count);
}

static void visit(const char *text)
{
    struct address address;
    struct guests guests = {.count = 0};
    struct stream *client;
    char room[8];
    size_t size;
    int descriptor = listen_on(text, &address);
    assert_ok(acceptor_new(descriptor, welcome, &guests, &guests.acceptor));
    if (address_port(&address) && strcmp(text, ":0") == 0)
        assert_ok(address_parse_ip(SLICE("127.0.0.1"), address_port(&address), &address));
    assert_ok(socket_connect(&address, NULL, NEVER, &client));
    wait_for_guests(&guests, 1);
    assert_true(address_equal(stream_peer(client), &address));
    if (address.any.sa_family != AF_UNIX)
        assert_int_equal(
            address_port(stream_local(client)), address_port(stream_peer(guests.streams[0])));
    assert_ptr_equal(stream_peer(client), stream_peer(client));
    assert_ok(stream_write(client, "hello", 5, NEVER, NULL));
    assert_ok(stream_read(guests.streams[0], room, sizeof room, NEVER, &size));
    assert_int_equal(size, 5);
    stream_close(client);
    assert_status(stream_read(guests.streams[0], room, sizeof room, NEVER, &size), END);
    see_off(&guests);
    acceptor_free(guests.acceptor);
    close(descriptor);
}

static void visit_all(void *argument)
{
    (void)argument;
    visit("127.0.0.1:0");
    visit(":0");
    char path[64];
    snprintf(path, sizeof path, "unix:/tmp/weir-test-%d.sock", getpid());
    visit(path);
    visit(path); /* the file of the last visit is still there: nobody listens on it */
    unlink(path + 5);
    snprintf(path, sizeof path, "unix:@weir-test-%d", getpid());
    visit(path);
}

static void connections_are_accepted(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, visit_all, NULL));
}

static void listen_twice(void *argument)
{
    (void)argument;
    struct address address;
    int first = listen_on("127.0.0.1:0", &address), second = -1;
    assert_status(socket_listen(&address, 1, &second), EXISTS);
    close(first);
    char path[64];
    snprintf(path, sizeof path, "unix:/tmp/weir-test-%d.sock", getpid());
    first = listen_on(path, &address);
    assert_status(socket_listen(&address, 1, &second), EXISTS);
    assert_int_equal(second, -1);
    close(first);
    unlink(path + 5);
    struct stream *stream;
    assert_status(socket_connect(&address, NULL, NEVER, &stream), REFUSED);
}

static void an_address_in_use_is_told(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, listen_twice, NULL));
}

static bool waits_at(int descriptor, time_t seconds)
{
    struct timeval patience = {.tv_sec = seconds};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(descriptor, &set);
    return select(descriptor + 1, &set, NULL, NULL, &patience) == 1;
}

static int knock(const struct address *address)
{
    int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(client >= 0);
    assert_true(connect(client, &address->any, address->size) == 0 || errno == EINPROGRESS);
    return client;
}

static void one_address_hands_over_to_all(void **state)
{
    (void)state;
    char text[32];
    struct address narrow, wide;
    int first = listen_on("127.0.0.1:0", &narrow), second;
    snprintf(text, sizeof text, "0.0.0.0:%u", address_port(&narrow));
    assert_ok(address_parse(slice_of_text(text), &wide));
    assert_int_equal(socket_listen(&wide, 8, &second), EXISTS);
    assert_int_equal(socket_listen_beside(&wide, 8, NULL, 0, &second), EXISTS);
    assert_ok(socket_listen_beside(&wide, 8, &first, 1, &second));

    int before = knock(&narrow), shared = 1;
    socklen_t size = sizeof shared;
    assert_true(waits_at(first, 5));
    assert_ok(socket_stop_listening(first));
    int after = knock(&narrow), taken = accept(first, NULL, NULL);
    assert_true(taken >= 0);
    assert_false(waits_at(first, 0));
    close(first);
    assert_true(waits_at(second, 5));
    assert_int_equal(getsockopt(second, SOL_SOCKET, SO_REUSEPORT, &shared, &size), 0);
    assert_int_equal(shared, 0);
    close(before);
    close(taken);
    close(after);
    close(second);
}

static void connect_in_vain(void *argument)
{
    (void)argument;
    struct address address;
    struct stream *stream, *queued[3];
    int descriptor = listen_on("127.0.0.1:0", &address);
    close(descriptor);
    assert_status(socket_connect(&address, NULL, NEVER, &stream), REFUSED);
    /* A unix socket with a full queue never begins to connect: the deadline ends it. */
    char path[64];
    snprintf(path, sizeof path, "unix:@weir-full-%d", getpid());
    assert_ok(address_parse(slice_of_text(path), &address));
    assert_ok(socket_listen(&address, 1, &descriptor));
    for (int i = 0; i < 2; i++)
        assert_ok(socket_connect(&address, NULL, NEVER, &queued[i]));
    assert_status(socket_connect(&address, NULL, loop_now() + 10 * MILLISECOND, &stream), TIMEOUT);
    for (int i = 0; i < 2; i++)
        stream_close(queued[i]);
    close(descriptor);
}

static void failing_connects_tell_why(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, connect_in_vain, NULL));
}

static void close_while_accepting(void *argument)
{
    (void)argument;
    struct address address;
    struct guests guests = {.closes_itself = true};
    struct stream *clients[3];
    int descriptor = listen_on("127.0.0.1:0", &address);
    for (int i = 0; i < 3; i++)
        assert_ok(socket_connect(&address, NULL, NEVER, &clients[i]));
    assert_ok(acceptor_new(descriptor, welcome, &guests, &guests.acceptor));
    wait_for_guests(&guests, 1);
    /* The others still wait in the queue, for whoever takes over. */
    guests.closes_itself = false;
    assert_ok(acceptor_new(descriptor, welcome, &guests, &guests.acceptor));
    acceptor_drain(guests.acceptor);
    assert_int_equal(guests.count, 3);
    acceptor_free(guests.acceptor);
    acceptor_free(NULL);
    see_off(&guests);
    for (int i = 0; i < 3; i++)
        stream_close(clients[i]);
    close(descriptor);
}

static void an_acceptor_can_be_freed_by_its_callback(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, close_while_accepting, NULL));
}

static uint64_t pauses(void)
{
    struct loop_counters counters;
    loop_read_counters(loop_current(), &counters);
    return counters.accept_pauses;
}

static void run_out_of_descriptors(void *argument)
{
    (void)argument;
    struct address address;
    struct guests guests = {.count = 0};
    struct rlimit old;
    struct stream *a, *b, *client;
    char room[4];
    size_t size;
    int descriptor = listen_on("127.0.0.1:0", &address);
    assert_ok(socket_pair(&a, &b));
    assert_ok(socket_connect(&address, NULL, NEVER, &client));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    struct rlimit few = {.rlim_cur = 3, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_ok(acceptor_new(descriptor, welcome, &guests, &guests.acceptor));
    instant began = loop_now();
    while (pauses() == 0 && loop_now() < began + 5 * SECOND)
        fiber_yield();
    assert_int_equal(pauses(), 1);
    assert_ok(stream_write(a, "x", 1, NEVER, NULL)); /* the others go on */
    assert_ok(stream_read(b, room, sizeof room, NEVER, &size));
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    wait_for_guests(&guests, 1);
    assert_true(loop_now() - began >= 90 * MILLISECOND);
    acceptor_free(guests.acceptor);
    see_off(&guests);
    stream_close(a);
    stream_close(b);
    stream_close(client);
    close(descriptor);
}

static void accepting_pauses_without_descriptors(void **state)
{
    (void)state;
    assert_ok(loop_run_main(NULL, run_out_of_descriptors, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_accepted),
        cmocka_unit_test(an_address_in_use_is_told),
        cmocka_unit_test(one_address_hands_over_to_all),
        cmocka_unit_test(failing_connects_tell_why),
        cmocka_unit_test(an_acceptor_can_be_freed_by_its_callback),
        cmocka_unit_test(accepting_pauses_without_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
