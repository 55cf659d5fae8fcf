#include "run/socket.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/loop.h"
#include "support/unit.h"

static void in_a_fiber(fiber_function *run)
{
    assert_ok(loop_run_main(NULL, run, NULL));
}

static void send_hello(void *argument)
{
    fiber_yield();
    struct iovec parts[] = {{"hel", 3}, {"", 0}, {"lo", 2}};
    size_t sent = 0;
    assert_ok(stream_writev(argument, parts, 3, NEVER, &sent));
    assert_int_equal(sent, 5);
    assert_ok(stream_shutdown(argument));
}

static void exchange(void *argument)
{
    (void)argument;
    struct stream *a, *b;
    struct scope scope;
    char room[16];
    size_t size = 99;
    scope_init(&scope);
    assert_ok(socket_pair(&a, &b));
    assert_true(stream_is_quiet(b));
    assert_status(stream_read(b, room, sizeof room, loop_now() + MILLISECOND, &size), TIMEOUT);
    assert_int_equal(size, 99);
    assert_ok(scope_start(&scope, send_hello, a));
    assert_ok(stream_wait_readable(b, NEVER));
    assert_false(stream_is_quiet(b));
    assert_ok(stream_read(b, room, 2, NEVER, &size));
    assert_int_equal(size, 2);
    assert_ok(stream_read(b, room + 2, sizeof room - 2, NEVER, &size));
    assert_int_equal(size, 3);
    assert_memory_equal(room, "hello", 5);
    assert_status(stream_read(b, room, sizeof room, NEVER, &size), END);
    assert_status(stream_read(b, room, sizeof room, NEVER, &size), END);
    assert_ok(stream_write(b, "still", 5, NEVER, NULL));
    assert_ok(stream_read(a, room, sizeof room, NEVER, &size));
    assert_int_equal(size, 5);
    scope_end(&scope);
    stream_close(a);
    fiber_yield();
    assert_status(stream_write(b, "x", 1, NEVER, &size), CLOSED);
    assert_int_equal(size, 0);
    stream_close(b);
    stream_close(NULL);
}

static void bytes_travel_and_end(void **state)
{
    (void)state;
    in_a_fiber(exchange);
}

#define LONG ((size_t)5 * 1024 * 1024)

static void send_long(void *argument)
{
    enum { PARTS = 50 };
    char *data = malloc(LONG);
    size_t sent;
    struct iovec parts[PARTS];
    for (size_t i = 0; i < LONG; i++)
        data[i] = (char)(i % 251);
    for (size_t i = 0; i < PARTS; i++)
        parts[i] = (struct iovec){data + i * (LONG / PARTS), LONG / PARTS};
    assert_ok(stream_writev(argument, parts, PARTS, NEVER, &sent));
    assert_int_equal(sent, LONG / PARTS * PARTS);
    assert_ok(stream_write(argument, data + sent, LONG - sent, NEVER, NULL));
    assert_ok(stream_shutdown(argument));
    free(data);
}

static void receive_long(void *argument)
{
    (void)argument;
    struct stream *a, *b;
    struct scope scope;
    char *room = malloc(100000);
    size_t total = 0, size;
    scope_init(&scope);
    assert_ok(socket_pair(&a, &b));
    assert_ok(scope_start(&scope, send_long, a));
    enum status e;
    while ((e = stream_read(b, room, 100000, NEVER, &size)) == OK)
        for (size_t i = 0; i < size; i++, total++)
            if (room[i] != (char)(total % 251))
                fail_msg("byte %zu is wrong", total);
    assert_status(e, END);
    assert_int_equal(total, LONG);
    scope_end(&scope);
    stream_close(a);
    stream_close(b);
    free(room);
}

static void long_messages_wait_for_room(void **state)
{
    (void)state;
    in_a_fiber(receive_long);
}

static void write_into_the_void(void *argument)
{
    (void)argument;
    struct stream *a, *b;
    size_t sent = 0;
    char *data = calloc(1, LONG);
    assert_ok(socket_pair(&a, &b));
    assert_status(stream_write(a, data, LONG, loop_now() + 5 * MILLISECOND, &sent), TIMEOUT);
    assert_in_range(sent, 1, LONG - 1);
    stream_close(a);
    stream_close(b);
    free(data);
}

static void a_write_tells_how_far_it_came(void **state)
{
    (void)state;
    in_a_fiber(write_into_the_void);
}

static void note_call(void *argument)
{
    assert_null(fiber_current());
    ++*(int *)argument;
}

static void park_it(void *argument)
{
    (void)argument;
    struct stream *a, *b;
    int calls = 0;
    char room[8];
    size_t size;
    assert_ok(socket_pair(&a, &b));
    stream_park(b, note_call, &calls);
    fiber_yield();
    assert_int_equal(calls, 0);
    assert_ok(stream_write(a, "x", 1, NEVER, NULL));
    assert_ok(fiber_sleep_until(loop_now() + 2 * MILLISECOND));
    assert_int_equal(calls, 1);
    /* Parked again with the byte unread: called from the next round. */
    stream_park(b, note_call, &calls);
    assert_int_equal(calls, 1);
    assert_ok(fiber_sleep_until(loop_now() + 2 * MILLISECOND));
    assert_int_equal(calls, 2);
    stream_park(b, note_call, &calls);
    stream_unpark(b);
    stream_unpark(b);
    assert_ok(fiber_sleep_until(loop_now() + 2 * MILLISECOND));
    assert_int_equal(calls, 2);
    assert_ok(stream_read(b, room, sizeof room, NEVER, &size));
    assert_true(stream_is_quiet(b));
    stream_park(b, note_call, &calls);
    stream_close(a); /* the peer goes */
    assert_ok(fiber_sleep_until(loop_now() + 2 * MILLISECOND));
    assert_int_equal(calls, 3);
    assert_status(stream_read(b, room, sizeof room, NEVER, &size), END);
    stream_park(b, note_call, &calls);
    stream_close(b); /* parked and due */
}

static void parked_streams_call_back(void **state)
{
    (void)state;
    in_a_fiber(park_it);
}

#define MANY 100

/* All become readable at once: no round calls all of them back, and each is called in its turn. */
static void park_many(void *argument)
{
    (void)argument;
    struct stream *a[MANY], *b[MANY];
    int calls[MANY] = {0}, total = 0, rounds = 0;
    for (int i = 0; i < MANY; i++) {
        assert_ok(socket_pair(&a[i], &b[i]));
        stream_park(b[i], note_call, &calls[i]);
    }
    for (int i = 0; i < MANY; i++)
        assert_ok(stream_write(a[i], "x", 1, NEVER, NULL));
    for (; total < MANY; rounds++) {
        bool is_late = false;
        fiber_yield();
        total = 0;
        for (int i = 0; i < MANY; i++) {
            assert_false(is_late && calls[i]); /* in the order in which they came */
            is_late = is_late || !calls[i];
            total += calls[i];
        }
    }
    assert_in_range(rounds, 2, MANY);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(calls[i], 1);
        stream_close(a[i]);
        stream_close(b[i]);
    }
}

static void a_round_calls_only_some_back(void **state)
{
    (void)state;
    in_a_fiber(park_many);
}

struct two {
    struct stream *mine, *other;
    int *calls;
};

static void close_both(void *argument)
{
    struct two *two = argument;
    ++*two->calls;
    stream_close(two->mine);
    stream_close(two->other);
}

/* Two parked streams become readable in one round; the first callback closes both. */
static void close_in_callback(void *argument)
{
    (void)argument;
    struct stream *a, *b, *c, *d;
    int calls = 0;
    assert_ok(socket_pair(&a, &b));
    assert_ok(socket_pair(&c, &d));
    struct two first = {b, d, &calls}, second = {d, b, &calls};
    stream_park(b, close_both, &first);
    stream_park(d, close_both, &second);
    assert_ok(stream_write(a, "x", 1, NEVER, NULL));
    assert_ok(stream_write(c, "x", 1, NEVER, NULL));
    assert_ok(fiber_sleep_until(loop_now() + 2 * MILLISECOND));
    assert_int_equal(calls, 1);
    stream_close(a);
    stream_close(c);
}

static void a_callback_may_close_any_stream(void **state)
{
    (void)state;
    in_a_fiber(close_in_callback);
}

static void read_for_ever(void *argument)
{
    char room[8];
    size_t size;
    assert_status(stream_read(argument, room, sizeof room, NEVER, &size), CANCELLED);
    assert_status(stream_write(argument, "x", 1, NEVER, &size), CANCELLED);
}

static void cancel_reader(void *argument)
{
    (void)argument;
    struct stream *a, *b;
    struct scope scope;
    scope_init(&scope);
    assert_ok(socket_pair(&a, &b));
    assert_ok(scope_start(&scope, read_for_ever, b));
    fiber_yield();
    scope_end(&scope);
    stream_close(a);
    stream_close(b);
}

static void waits_can_be_cancelled(void **state)
{
    (void)state;
    in_a_fiber(cancel_reader);
}

static void count_turns(void *argument)
{
    for (;;) {
        if (fiber_sleep_until(loop_now() + MILLISECOND))
            return;
        ++*(int *)argument;
    }
}

/* A fiber that always finds something to read and room to write still lets the others live. */
static void be_greedy(void *argument)
{
    (void)argument;
    struct stream *a, *b;
    struct scope scope;
    int turns = 0;
    char room[1] = {0};
    size_t size;
    scope_init(&scope);
    assert_ok(socket_pair(&a, &b));
    assert_ok(scope_start(&scope, count_turns, &turns));
    instant end = clock_now() + 10 * SECOND;
    while (turns < 5 && clock_now() < end) {
        assert_ok(stream_write(b, room, 1, NEVER, NULL));
        assert_ok(stream_read(a, room, 1, NEVER, &size));
    }
    assert_int_equal(turns, 5);
    scope_end(&scope);
    stream_close(a);
    stream_close(b);
}

static void nobody_starves(void **state)
{
    (void)state;
    in_a_fiber(be_greedy);
}

enum { CROWD = 450 }; /* more than fit into one round */

struct crowd {
    struct stream *readers[CROWD];
    int peers[CROWD]; /* descriptors: writing to them takes no turns */
    instant deadline;
    unsigned begun, in_time;
};

static void read_in_time(void *argument)
{
    struct crowd *crowd = argument;
    struct stream *stream = crowd->readers[crowd->begun++];
    char room[1];
    size_t size;
    crowd->in_time += stream_read(stream, room, 1, crowd->deadline, &size) == OK;
}

/* The thread stands still until all deadlines have passed; meanwhile all the bytes have come. False
 * when the bytes themselves were late. */
static bool stand_still(struct crowd *crowd)
{
    struct scope scope;
    scope_init(&scope);
    crowd->begun = crowd->in_time = 0;
    crowd->deadline = clock_now() + 100 * MILLISECOND;
    for (size_t i = 0; i < CROWD; i++)
        assert_ok(scope_start(&scope, read_in_time, crowd));
    while (crowd->begun < CROWD)
        fiber_yield();
    for (size_t i = 0; i < CROWD; i++)
        assert_int_equal(write(crowd->peers[i], "x", 1), 1);
    bool is_fair = clock_now() < crowd->deadline && loop_now() < crowd->deadline;
    while (clock_now() < crowd->deadline + 5 * MILLISECOND)
        continue;
    assert_ok(scope_wait(&scope, NEVER));
    scope_end(&scope);
    return is_fair;
}

static void be_in_time(void *argument)
{
    (void)argument;
    struct crowd *crowd = calloc(1, sizeof *crowd);
    bool is_fair;
    do {
        for (size_t i = 0; i < CROWD; i++) {
            int pair[2];
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
            assert_ok(socket_adopt(pair[0], NULL, &crowd->readers[i]));
            crowd->peers[i] = pair[1];
        }
        is_fair = stand_still(crowd);
        for (size_t i = 0; i < CROWD; i++) {
            stream_close(crowd->readers[i]);
            close(crowd->peers[i]);
        }
    } while (!is_fair);
    assert_int_equal(crowd->in_time, CROWD);
    free(crowd);
}

static void what_came_in_time_is_in_time(void **state)
{
    (void)state;
    in_a_fiber(be_in_time);
}

/* A peer that closes with bytes unread resets the connection. */
static void be_reset(void *argument)
{
    (void)argument;
    struct address address;
    struct stream *client, *server;
    char room[8];
    size_t size;
    int listening, descriptor;
    assert_ok(address_parse(SLICE("127.0.0.1:0"), &address));
    assert_ok(socket_listen(&address, 1, &listening));
    assert_int_equal(getsockname(listening, &address.any, &address.size), 0);
    assert_ok(socket_connect(&address, NULL, NEVER, &client));
    descriptor = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_ok(socket_adopt(descriptor, NULL, &server));
    assert_ok(stream_write(client, "hello", 5, NEVER, NULL));
    assert_ok(stream_wait_readable(server, NEVER));
    const struct address local = *stream_local(client);
    stream_close(server);
    assert_status(stream_read(client, room, sizeof room, NEVER, &size), CLOSED);
    assert_status(stream_write(client, "x", 1, NEVER, &size), CLOSED);
    assert_false(stream_is_quiet(client));
    /* Who the peer was is still known. */
    assert_true(address_equal(stream_peer(client), &address));
    assert_int_equal(local.any.sa_family, AF_INET);
    stream_close(client);
    close(listening);
}

static void a_broken_connection_is_closed(void **state)
{
    (void)state;
    in_a_fiber(be_reset);
}

/* Lets the loop look at the descriptors. */
static void let_news_come(void)
{
    for (int i = 0; i < 3; i++)
        assert_ok(fiber_sleep_until(loop_now() + MILLISECOND));
}

static void count_break(void *argument)
{
    ++*(int *)argument;
}

static void hear_of_breaks(void *argument)
{
    (void)argument;
    struct stream *a, *b;
    char room[8];
    size_t size;
    int calls = 0;
    assert_ok(socket_pair(&a, &b));
    stream_on_break(b, count_break, &calls);
    assert_ok(stream_write(a, "hello", 5, NEVER, NULL));
    assert_ok(stream_shutdown(a));
    let_news_come();
    assert_int_equal(calls, 0);
    stream_close(a);
    let_news_come();
    assert_int_equal(calls, 1);
    /* Once known, it is told at once; what had come can be read still. */
    stream_on_break(b, count_break, &calls);
    assert_int_equal(calls, 2);
    assert_ok(stream_read(b, room, sizeof room, NEVER, &size));
    assert_int_equal(size, 5);
    stream_close(b);
}

static void a_break_is_told(void **state)
{
    (void)state;
    in_a_fiber(hear_of_breaks);
}

static void do_not_hear_of_breaks(void *argument)
{
    (void)argument;
    struct stream *a, *b, *c, *d;
    int breaks = 0, wakes = 0;
    assert_ok(socket_pair(&a, &b));
    assert_ok(socket_pair(&c, &d));
    stream_on_break(b, count_break, &breaks);
    stream_on_break(b, NULL, NULL);
    stream_on_break(d, count_break, &breaks);
    stream_park(d, note_call, &wakes);
    stream_close(a);
    stream_close(c);
    let_news_come();
    assert_int_equal(breaks, 0);
    assert_int_equal(wakes, 1);
    stream_close(b);
    stream_close(d);
}

static void a_break_is_not_told_who_does_not_ask(void **state)
{
    (void)state;
    in_a_fiber(do_not_hear_of_breaks);
}

static void give_up_descriptor(void *argument)
{
    (void)argument;
    struct stream *a, *b, *again;
    char room[4];
    size_t size;
    assert_ok(socket_pair(&a, &b));
    int descriptor = stream_release(a);
    assert_true(descriptor >= 0);
    assert_ok(stream_write(b, "x", 1, NEVER, NULL));
    assert_ok(socket_adopt(descriptor, NULL, &again));
    assert_ok(stream_read(again, room, sizeof room, NEVER, &size));
    assert_int_equal(size, 1);
    assert_int_equal(stream_peer(again)->any.sa_family, AF_UNIX);
    stream_close(again);
    stream_close(b);
}

static void a_descriptor_moves(void **state)
{
    (void)state;
    in_a_fiber(give_up_descriptor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_travel_and_end),
        cmocka_unit_test(long_messages_wait_for_room),
        cmocka_unit_test(a_write_tells_how_far_it_came),
        cmocka_unit_test(parked_streams_call_back),
        cmocka_unit_test(a_round_calls_only_some_back),
        cmocka_unit_test(a_callback_may_close_any_stream),
        cmocka_unit_test(waits_can_be_cancelled),
        cmocka_unit_test(nobody_starves),
        cmocka_unit_test(a_broken_connection_is_closed),
        cmocka_unit_test(what_came_in_time_is_in_time),
        cmocka_unit_test(a_break_is_told),
        cmocka_unit_test(a_break_is_not_told_who_does_not_ask),
        cmocka_unit_test(a_descriptor_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
