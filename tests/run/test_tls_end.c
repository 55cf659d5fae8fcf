/* The end of TLS streams: whether the peer can tell that it has got everything. */
#include <limits.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "run/loop.h"
#include "run/socket.h"
#include "run/tls_core.h"
#include "support/meeting.h"
#include "support/on_loop.h"
#include "support/unit.h"

/* --- an end for which there is no room */

/* A server that writes records of one byte, and then ends. */
struct talker {
    struct stream *stream;
    int most; /* that it writes */
    int written;
    enum status (*end)(struct stream *stream);
};

static void talk(void *argument)
{
    struct talker *talker = argument;
    while (talker->written < talker->most) {
        assert_ok(stream_write(talker->stream, "x", 1, NEVER, NULL));
        talker->written++;
    }
    assert_ok(talker->end(talker->stream));
}

static enum status read_to_the_end(struct stream *stream, int *ret_size)
{
    char room[1000];
    size_t size;
    enum status e;
    *ret_size = 0;
    while ((e = stream_read(stream, room, sizeof room, loop_now() + SECOND, &size)) == OK)
        *ret_size += (int)size;
    return e;
}

static void meet_with(struct meeting *meeting, int version)
{
    struct tls_client *client;
    meeting_init(meeting);
    assert_ok(tls_client_new(&meeting->client, &client));
    assert_true(SSL_CTX_set_max_proto_version(client->context, version));
    meeting->same_client = client;
    assert_ok(meet(meeting));
    meeting_wait(meeting);
    assert_ok(meeting->outcome);
    tls_client_unref(client);
}

static void make_room_small(const struct meeting *meeting)
{
    int room = 4096;
    assert_int_equal(setsockopt(socket_descriptor(tls_below(meeting->a)), SOL_SOCKET, SO_SNDBUF,
                         &room, sizeof room),
        0);
}

/* How many records fit into the wire when nobody reads. */
static int find_room(int version)
{
    struct meeting meeting;
    struct scope scope;
    int before, heard;
    meet_with(&meeting, version);
    make_room_small(&meeting);
    struct talker talker = {.stream = meeting.a, .most = INT_MAX, .end = stream_shutdown};
    scope_init(&scope);
    assert_ok(scope_start(&scope, talk, &talker));
    do {
        before = talker.written;
        fiber_sleep_until(loop_now() + 2 * MILLISECOND);
    } while (talker.written != before);
    talker.most = before;
    assert_status(read_to_the_end(meeting.b, &heard), END);
    scope_end(&scope);
    part(&meeting);
    return before;
}

/* Writes as much as there is room for, so that none is left for the end. */
static void end_without_room(
    int version, enum status (*end)(struct stream *stream), enum status expected)
{
    struct meeting meeting;
    struct scope scope;
    int heard, room = find_room(version);
    meet_with(&meeting, version);
    make_room_small(&meeting);
    struct talker talker = {.stream = meeting.a, .most = room, .end = end};
    scope_init(&scope);
    assert_ok(scope_start(&scope, talk, &talker));
    while (talker.written < room)
        fiber_yield();
    fiber_yield();
    if (end != stream_shutdown)
        meeting.a = NULL;
    assert_status(read_to_the_end(meeting.b, &heard), expected);
    if (expected == END)
        assert_int_equal(heard, room);
    scope_end(&scope);
    part(&meeting);
}

static enum status close_it(struct stream *stream)
{
    stream_close(stream);
    return OK;
}

static enum status break_it_off(struct stream *stream)
{
    stream_break_off(stream);
    return OK;
}

static void wait_for_room(void *argument)
{
    (void)argument;
    end_without_room(TLS1_3_VERSION, stream_shutdown, END);
    end_without_room(TLS1_3_VERSION, close_it, END);
    end_without_room(TLS1_2_VERSION, stream_shutdown, END);
    end_without_room(TLS1_2_VERSION, close_it, END);
}

static void the_end_waits_for_room(void **state)
{
    (void)state;
    in_a_fiber(wait_for_room);
}

/* --- an end that is none */

static void break_off(void *argument)
{
    (void)argument;
    end_without_room(TLS1_3_VERSION, break_it_off, CLOSED);
    end_without_room(TLS1_2_VERSION, break_it_off, CLOSED);
}

static void what_is_broken_off_has_no_end(void **state)
{
    (void)state;
    in_a_fiber(break_off);
}

/* A client that does not read is not waited for when the loop ends. */
static void leave_without_room(void *argument)
{
    struct meeting meeting;
    int room = find_room(TLS1_3_VERSION);
    meet_with(&meeting, TLS1_3_VERSION);
    make_room_small(&meeting);
    struct talker talker = {.stream = meeting.a, .most = room, .end = close_it};
    talk(&talker);
    meeting.a = NULL;
    *(instant *)argument = loop_now();
    loop_stop(loop_current());
    part(&meeting);
}

static void nobody_waits_for_ever(void **state)
{
    instant began = 0;
    (void)state;
    assert_ok(loop_run_main(NULL, leave_without_room, &began));
    assert_true(clock_now() - began < 5 * SECOND);
}

/* --- whoever rests */

struct rest {
    int calls;
    struct fiber *fiber;
};

static void note_call(void *argument)
{
    struct rest *rest = argument;
    rest->calls++;
    fiber_wake(rest->fiber);
}

/* Data and the end come together: who reads the data and rests must be told of the end. */
static void rest_before_the_end(int version)
{
    struct meeting meeting;
    struct rest rest = {.fiber = fiber_current()};
    char room[8];
    size_t size;
    meet_with(&meeting, version);
    assert_ok(stream_write(meeting.b, "last", 4, NEVER, NULL));
    assert_true(SSL_shutdown(tls_of(meeting.b)->ssl) >= 0); /* and no end of the socket */
    assert_ok(stream_read(meeting.a, room, sizeof room, NEVER, &size));
    assert_int_equal(size, 4);
    assert_false(stream_is_quiet(meeting.a));
    stream_park(meeting.a, note_call, &rest);
    assert_ok(fiber_wait(loop_now() + SECOND));
    assert_int_equal(rest.calls, 1);
    assert_status(stream_read(meeting.a, room, sizeof room, NEVER, &size), END);
    assert_ok(stream_write(meeting.a, "hello", 5, NEVER, NULL));
    part(&meeting);
}

static void rest(void *argument)
{
    (void)argument;
    rest_before_the_end(TLS1_3_VERSION);
    rest_before_the_end(TLS1_2_VERSION);
}

static void who_rests_hears_of_the_end(void **state)
{
    (void)state;
    in_a_fiber(rest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_waits_for_room),
        cmocka_unit_test(what_is_broken_off_has_no_end),
        cmocka_unit_test(nobody_waits_for_ever),
        cmocka_unit_test(who_rests_hears_of_the_end),
    };
    return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
