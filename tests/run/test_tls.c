#include "run/tls.h"

#include <stdlib.h>

#include "run/loop.h"
#include "run/tls_core.h"
#include "support/meeting.h"
#include "support/on_loop.h"
#include "support/unit.h"

/* --- bytes */

static void talk(void *argument)
{
    struct meeting meeting;
    char room[100];
    size_t size = 0;
    (void)argument;
    meeting_init(&meeting);
    meeting.serve = serve_echo;
    assert_ok(meet(&meeting));
    struct iovec parts[] = {{"he", 2}, {"", 0}, {"llo", 3}};
    assert_ok(stream_writev(meeting.b, parts, 3, NEVER, &size));
    assert_int_equal(size, 5);
    assert_ok(stream_wait_readable(meeting.b, NEVER));
    assert_false(stream_is_quiet(meeting.b));
    assert_ok(stream_read(meeting.b, room, 2, NEVER, &size));
    assert_false(stream_is_quiet(meeting.b));
    assert_ok(stream_read(meeting.b, room + 2, sizeof room - 2, NEVER, &size));
    assert_memory_equal(room, "hello", 5);
    assert_true(stream_is_quiet(meeting.b));
    assert_status(stream_wait_readable(meeting.b, loop_now() + 2 * MILLISECOND), TIMEOUT);
    assert_ok(stream_shutdown(meeting.b));
    assert_status(stream_read(meeting.b, room, sizeof room, NEVER, &size), END);
    assert_status(stream_read(meeting.b, room, sizeof room, NEVER, &size), END);
    meeting_wait(&meeting);
    assert_ok(meeting.outcome);
    assert_int_equal(stream_release(meeting.b), -1);
    part(&meeting);
}

static void bytes_travel_and_end(void **state)
{
    (void)state;
    in_a_fiber(talk);
}

#define LONG ((size_t)3 * 1024 * 1024)

static char pattern(size_t at)
{
    return (char)(at * 7 % 251);
}

/* Parts of all sizes: joined, of one record, of many. */
static void send_long(struct meeting *meeting)
{
    enum { PARTS = 40 };
    char *data = malloc(LONG);
    struct iovec parts[PARTS];
    size_t at = 0, sent;
    for (size_t i = 0; i < LONG; i++)
        data[i] = pattern(i);
    for (size_t i = 0; i < PARTS; i++) {
        size_t size = i % 4 == 0 ? 1 : i % 4 == 1 ? 16384 : i % 4 == 2 ? 5000 : 100000;
        parts[i] = (struct iovec){data + at, size};
        at += size;
    }
    assert_ok(stream_writev(meeting->a, parts, PARTS, NEVER, &sent));
    assert_int_equal(sent, at);
    assert_ok(stream_write(meeting->a, data + at, LONG - at, NEVER, NULL));
    assert_ok(stream_shutdown(meeting->a));
    free(data);
}

static void receive_long(void *argument)
{
    struct meeting meeting;
    size_t size, total = 0;
    char *room = malloc(50000);
    enum status e;
    (void)argument;
    meeting_init(&meeting);
    meeting.serve = send_long;
    assert_ok(meet(&meeting));
    while ((e = stream_read(meeting.b, room, 50000, NEVER, &size)) == OK)
        for (size_t i = 0; i < size; i++)
            if (room[i] != pattern(total++))
                fail_msg("byte %zu is wrong", total - 1);
    assert_status(e, END);
    assert_int_equal(total, LONG);
    free(room);
    part(&meeting);
}

static void long_bodies_arrive_whole(void **state)
{
    (void)state;
    in_a_fiber(receive_long);
}

static void send_both(void *argument)
{
    struct meeting *meeting = argument;
    char data[8000] = "";
    for (int i = 0; i < 200; i++)
        assert_ok(stream_write(meeting->b, data, sizeof data, NEVER, NULL));
    assert_ok(stream_shutdown(meeting->b));
}

/* One fiber reads, another writes, and both wait for the other side. */
static void both_ways(void *argument)
{
    struct meeting meeting;
    struct scope scope;
    char room[3000];
    size_t size, total = 0;
    enum status e;
    (void)argument;
    meeting_init(&meeting);
    meeting.serve = serve_echo;
    assert_ok(meet(&meeting));
    scope_init(&scope);
    assert_ok(scope_start(&scope, send_both, &meeting));
    while ((e = stream_read(meeting.b, room, sizeof room, NEVER, &size)) == OK)
        total += size;
    assert_status(e, END);
    assert_int_equal(total, 200 * 8000);
    scope_end(&scope);
    part(&meeting);
}

static void two_fibers_share_a_stream(void **state)
{
    (void)state;
    in_a_fiber(both_ways);
}

/* The client changes its keys, and wants the server to change its own. */
static void renew_keys(void *argument)
{
    struct meeting meeting;
    char room[100];
    size_t size;
    (void)argument;
    meeting_init(&meeting);
    meeting.serve = serve_echo;
    assert_ok(meet(&meeting));
    for (int i = 0; i < 5; i++) {
        int kind = i % 2 ? SSL_KEY_UPDATE_NOT_REQUESTED : SSL_KEY_UPDATE_REQUESTED;
        assert_true(SSL_key_update(tls_of(meeting.b)->ssl, kind));
        assert_ok(stream_write(meeting.b, "hello", 5, NEVER, NULL));
        assert_ok(stream_read(meeting.b, room, sizeof room, NEVER, &size));
        assert_slice(slice_of(room, size), "hello");
    }
    part(&meeting);
}

static void keys_are_renewed(void **state)
{
    (void)state;
    in_a_fiber(renew_keys);
}

/* After so many records a client changes its keys unasked, too. */
static void wear_keys_out(void *argument)
{
    struct meeting meeting;
    char room[100];
    size_t size;
    (void)argument;
    meeting_init(&meeting);
    meeting.serve = serve_echo;
    assert_ok(meet(&meeting));
    for (int i = 0; i < 4; i++) {
        if (i == 2)
            tls_of(meeting.b)->written = RECORDS_A_KEY - 1;
        assert_ok(stream_write(meeting.b, "hello", 5, NEVER, NULL));
        assert_ok(stream_read(meeting.b, room, sizeof room, NEVER, &size));
        assert_slice(slice_of(room, size), "hello");
        assert_int_equal(tls_of(meeting.a)->direct->in.sequence, i % 2 + 1);
    }
    part(&meeting);
}

static void worn_keys_are_changed(void **state)
{
    (void)state;
    in_a_fiber(wear_keys_out);
}

/* --- resting */

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

static void rest_well(void *argument)
{
    struct meeting meeting;
    struct rest rest = {.fiber = fiber_current()};
    char room[10];
    size_t size;
    (void)argument;
    meeting_init(&meeting);
    assert_ok(meet(&meeting));
    /* The server's ticket is on its way, and no reason to be called. */
    stream_park(meeting.b, note_call, &rest);
    assert_status(fiber_wait(loop_now() + 5 * MILLISECOND), TIMEOUT);
    assert_int_equal(rest.calls, 0);
    assert_ok(stream_write(meeting.a, "abcdef", 6, NEVER, NULL));
    assert_ok(fiber_wait(NEVER));
    assert_int_equal(rest.calls, 1);
    assert_ok(stream_read(meeting.b, room, 3, NEVER, &size));
    /* The rest is here already, where the kernel does not see it. */
    stream_park(meeting.b, note_call, &rest);
    assert_int_equal(rest.calls, 1);
    assert_ok(fiber_wait(NEVER));
    assert_int_equal(rest.calls, 2);
    stream_park(meeting.b, note_call, &rest);
    stream_unpark(meeting.b);
    assert_ok(stream_read(meeting.b, room, 3, NEVER, &size));
    stream_park(meeting.b, note_call, &rest);
    assert_ok(stream_shutdown(meeting.a));
    assert_ok(fiber_wait(NEVER));
    assert_false(stream_is_quiet(meeting.b));
    assert_int_equal(rest.calls, 3);
    part(&meeting);
}

static void a_parked_stream_is_called_for_bytes_only(void **state)
{
    (void)state;
    in_a_fiber(rest_well);
}

/* --- what is agreed */

static void agree(void *argument)
{
    struct slice ours[] = {SLICE("h2"), SLICE("http/1.1")}, theirs[] = {SLICE("http/1.1")};
    struct meeting meeting;
    struct tls_facts facts;
    (void)argument;
    meeting_init(&meeting);
    meeting.server.protocols = ours;
    meeting.server.protocol_count = 2;
    meeting.client.protocols = theirs;
    meeting.client.protocol_count = 1;
    meeting.name = SLICE("WWW.Shop.Example");
    assert_ok(meet(&meeting));
    meeting_wait(&meeting);
    assert_true(tls_facts(meeting.a, &facts));
    assert_string_equal(facts.version, "TLSv1.3");
    assert_string_equal(facts.cipher, "TLS_AES_128_GCM_SHA256");
    assert_slice(facts.protocol, "http/1.1");
    assert_slice(facts.name, "www.shop.example");
    assert_false(facts.is_resumed);
    assert_false(facts.has_certificate);
    assert_null(tls_certificate(meeting.a));
    assert_true(tls_facts(meeting.b, &facts));
    assert_slice(facts.protocol, "http/1.1");
    assert_true(facts.has_certificate);
    assert_slices(tls_certificate(meeting.b)->fingerprint,
        slice_of_text(tls_identity_fingerprint(pki->server_identity)));
    part(&meeting);

    theirs[0] = SLICE("smtp");
    assert_meeting(&meeting, TLS_ALERT, TLS_PROTOCOL);
}

static void both_sides_know_what_was_agreed(void **state)
{
    (void)state;
    in_a_fiber(agree);
}

static bool is_resumed(struct meeting *meeting)
{
    struct tls_facts facts;
    char byte;
    size_t size;
    assert_ok(meet(meeting));
    meeting_wait(meeting);
    assert_ok(meeting->outcome);
    assert_ok(stream_write(meeting->a, "x", 1, NEVER, NULL)); /* behind the ticket */
    assert_ok(stream_read(meeting->b, &byte, 1, NEVER, &size));
    assert_true(tls_facts(meeting->a, &facts));
    part(meeting);
    return facts.is_resumed;
}

static void resume(void *argument)
{
    struct tls_session session = {0};
    struct meeting meeting;
    (void)argument;
    meeting_init(&meeting);
    meeting.session = &session;
    assert_false(is_resumed(&meeting));
    uint64_t of = session.of;
    assert_non_null(session.session);
    /* `meet` makes new contexts each time: as after a reload, but the client remembers. */
    assert_false(is_resumed(&meeting));
    assert_int_not_equal(session.of, of);
    tls_session_release(&session);
}

static void another_client_does_not_resume(void **state)
{
    (void)state;
    in_a_fiber(resume);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_travel_and_end),
        cmocka_unit_test(long_bodies_arrive_whole),
        cmocka_unit_test(two_fibers_share_a_stream),
        cmocka_unit_test(keys_are_renewed),
        cmocka_unit_test(worn_keys_are_changed),
        cmocka_unit_test(a_parked_stream_is_called_for_bytes_only),
        cmocka_unit_test(both_sides_know_what_was_agreed),
        cmocka_unit_test(another_client_does_not_resume),
    };
    return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
