#include "run/socket.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/loop.h"
#include "support/on_loop.h"
#include "support/unit.h"

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

/* However many newcomers have something to say, who was here before is called back first. */
static void park_newcomers(void *argument)
{
    (void)argument;
    struct stream *a[MANY], *b[MANY];
    int calls[MANY] = {0}, old_calls = 0, total = 0;
    char room[4];
    size_t size;
    for (int i = 0; i < MANY; i++)
        assert_ok(socket_pair(&a[i], &b[i]));
    stream_park(b[0], note_call, &old_calls);
    assert_ok(stream_write(a[0], "x", 1, NEVER, NULL));
    while (!old_calls)
        fiber_yield();
    assert_ok(stream_read(b[0], room, sizeof room, NEVER, &size));
    for (int i = MANY - 1; i >= 0; i--) { /* all in this round: so many streams' writes would not */
        stream_park(b[i], note_call, i ? &calls[i] : &old_calls);
        assert_int_equal(write(socket_descriptor(a[i]), "x", 1), 1);
    }
    for (int rounds = 0; total < MANY - 1; rounds++) {
        assert_in_range(rounds, 0, MANY);
        fiber_yield();
        total = 0;
        for (int i = 1; i < MANY; i++)
            total += calls[i];
        assert_true(total == 0 || old_calls == 2);
    }
    for (int i = 0; i < MANY; i++) {
        stream_close(a[i]);
        stream_close(b[i]);
    }
}

static void newcomers_come_after_the_others(void **state)
{
    (void)state;
    in_a_fiber(park_newcomers);
}

/* And none of those who were here before keeps all newcomers out. */
struct regular {
    struct stream *mine, *other;
};

static void come_back(void *argument)
{
    struct regular *regular = argument;
    stream_park(regular->mine, come_back, regular); /* what came is still there */
}

static void keep_coming(void *argument)
{
    (void)argument;
    struct regular regulars[MANY];
    struct stream *a, *b;
    int calls = 0;
    for (int i = 0; i < MANY; i++) {
        assert_ok(socket_pair(&regulars[i].mine, &regulars[i].other));
        stream_park(regulars[i].mine, come_back, &regulars[i]);
        assert_ok(stream_write(regulars[i].other, "x", 1, NEVER, NULL));
    }
    assert_ok(fiber_sleep_until(loop_now() + 5 * MILLISECOND));
    assert_ok(socket_pair(&a, &b));
    stream_park(b, note_call, &calls);
    assert_ok(stream_write(a, "x", 1, NEVER, NULL));
    for (int rounds = 0; !calls; rounds++) {
        assert_in_range(rounds, 0, 5);
        fiber_yield();
    }
    for (int i = 0; i < MANY; i++) {
        stream_close(regulars[i].mine);
        stream_close(regulars[i].other);
    }
    stream_close(a);
    stream_close(b);
}

static void some_newcomers_come_in_each_round(void **state)
{
    (void)state;
    in_a_fiber(keep_coming);
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

/* A connection of TCP; to `*ret_address`. */
static void connect_two(
    struct stream **ret_client, struct stream **ret_server, struct address *ret_address)
{
    int listening, descriptor;
    assert_ok(address_parse(SLICE("127.0.0.1:0"), ret_address));
    assert_ok(socket_listen(ret_address, 1, &listening));
    assert_int_equal(getsockname(listening, &ret_address->any, &ret_address->size), 0);
    assert_ok(socket_connect(ret_address, NULL, NEVER, ret_client));
    descriptor = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_ok(socket_adopt(descriptor, NULL, ret_server));
    close(listening);
}

/* How many bytes the kernel takes for a peer that takes nothing. */
static size_t fill(struct stream *stream)
{
    static char data[64 * 1024];
    size_t total = 0, sent = sizeof data;
    while (sent == sizeof data && total < LONG) {
        (void)stream_write(stream, data, sizeof data, loop_now() + 20 * MILLISECOND, &sent);
        total += sent;
    }
    return total;
}

static void fill_both(void *argument)
{
    (void)argument;
    struct address address;
    struct stream *client, *server, *other, *bounded;
    connect_two(&client, &server, &address);
    connect_two(&other, &bounded, &address);
    stream_bound_unsent(bounded, 64 * 1024);
    size_t usual = fill(server), less = fill(bounded);
    assert_in_range(less, 64 * 1024, usual - 256 * 1024);
    stream_close(client);
    stream_close(server);
    stream_close(other);
    stream_close(bounded);
}

static void what_waits_unsent_can_be_bounded(void **state)
{
    (void)state;
    in_a_fiber(fill_both);
}

/* A peer that closes with bytes unread resets the connection. */
static void be_reset(void *argument)
{
    (void)argument;
    struct address address;
    struct stream *client, *server;
    char room[8];
    size_t size;
    connect_two(&client, &server, &address);
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
        cmocka_unit_test(newcomers_come_after_the_others),
        cmocka_unit_test(some_newcomers_come_in_each_round),
        cmocka_unit_test(a_callback_may_close_any_stream),
        cmocka_unit_test(waits_can_be_cancelled),
        cmocka_unit_test(nobody_starves),
        cmocka_unit_test(what_waits_unsent_can_be_bounded),
        cmocka_unit_test(a_broken_connection_is_closed),
        cmocka_unit_test(what_came_in_time_is_in_time),
        cmocka_unit_test(a_break_is_told),
        cmocka_unit_test(a_break_is_not_told_who_does_not_ask),
        cmocka_unit_test(a_descriptor_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
