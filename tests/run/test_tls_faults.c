/* What goes wrong with TLS: peers that cheat, break off, or are not what they should be. */
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/loop.h"
#include "run/socket.h"
#include "run/tls.h"
#include "support/meeting.h"
#include "support/on_loop.h"
#include "support/unit.h"

/* --- handshakes that fail */

/* A server that a test speaks to by hand: `peer` is the other end, a plain stream. */
struct lone {
    struct stream *stream, *peer;
    struct tls_server *server;
};

static void lone_begin(struct lone *lone)
{
    struct stream *below;
    struct tls_host host = {.identities = &pki->server_identity, .identity_count = 1};
    struct tls_server_options options = {.hosts = &host, .host_count = 1};
    assert_ok(tls_server_new(&options, &lone->server));
    assert_ok(socket_pair(&below, &lone->peer));
    assert_ok(tls_accept(below, lone->server, SLICE_NONE, &lone->stream));
}

static void lone_end(struct lone *lone)
{
    stream_close(lone->stream);
    stream_close(lone->peer);
    tls_server_unref(lone->server);
}

static void refuse(const void *bytes, size_t size, const char *trouble)
{
    struct lone lone;
    lone_begin(&lone);
    assert_ok(stream_write(lone.peer, bytes, size, NEVER, NULL));
    assert_status(tls_handshake(lone.stream, NEVER), TLS_PROTOCOL);
    assert_string_equal(tls_trouble(lone.stream), trouble);
    assert_int_equal(tls_alert(lone.stream), -1);
    lone_end(&lone);
}

static void meet_strangers(void *argument)
{
    static const char http[] = "GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n";
    static const char garbage[] = "\x16\x03\x01\x00\x10garbage garbage!";
    struct lone lone;
    (void)argument;
    refuse(http, sizeof http - 1, "http request");
    refuse("\0\1\2\3\4\5\6\7\b\t\n", 11, "wrong version number");
    refuse(garbage, sizeof garbage - 1, "unexpected message");
    lone_begin(&lone); /* it goes away in the middle */
    assert_ok(stream_write(lone.peer, garbage, 7, NEVER, NULL));
    assert_ok(stream_shutdown(lone.peer));
    assert_status(tls_handshake(lone.stream, NEVER), CLOSED);
    lone_end(&lone);
    lone_begin(&lone); /* or says nothing more */
    assert_ok(stream_write(lone.peer, garbage, 7, NEVER, NULL));
    assert_status(tls_handshake(lone.stream, loop_now() + 3 * MILLISECOND), TIMEOUT);
    lone_end(&lone);
}

static void strangers_are_refused(void **state)
{
    (void)state;
    in_a_fiber(meet_strangers);
}

static void shake(void *argument)
{
    struct lone *lone = argument;
    assert_status(tls_handshake(lone->stream, NEVER), CANCELLED);
}

static void cancel(void *argument)
{
    struct lone lone;
    struct scope scope;
    (void)argument;
    lone_begin(&lone);
    scope_init(&scope);
    assert_ok(scope_start(&scope, shake, &lone));
    fiber_yield();
    scope_end(&scope);
    lone_end(&lone);
}

static void a_handshake_can_be_cancelled(void **state)
{
    (void)state;
    in_a_fiber(cancel);
}

/* --- certificates */

static void expect_certificate_trouble(const struct certificate_recipe *recipe, const char *trouble)
{
    struct meeting meeting;
    struct certificate *certificate = certificate_make(recipe);
    struct tls_identity *identity = identity_of(certificate);
    meeting_init(&meeting);
    meeting.host.identities = &identity;
    assert_status(meet(&meeting), TLS_CERTIFICATE);
    assert_string_equal(tls_trouble(meeting.b), trouble);
    meeting_wait(&meeting);
    assert_status(meeting.outcome, TLS_ALERT);
    part(&meeting);
    tls_identity_unref(identity);
    certificate_free(certificate);
}

static void show_bad_certificates(void *argument)
{
    struct certificate_recipe recipe = {.issuer = pki->authority, .names = "DNS:shop.example"};
    struct meeting meeting;
    (void)argument;
    recipe.begins = -48;
    recipe.ends = -24;
    expect_certificate_trouble(&recipe, "certificate has expired");
    recipe.begins = 24;
    recipe.ends = 48;
    expect_certificate_trouble(&recipe, "certificate is not yet valid");
    recipe = (struct certificate_recipe){.names = "DNS:shop.example"};
    expect_certificate_trouble(&recipe, "self-signed certificate");
    recipe = (struct certificate_recipe){.issuer = pki->authority, .names = "DNS:*.example"};
    expect_certificate_trouble(&recipe, "hostname mismatch");
    meeting_init(&meeting);
    meeting.name = SLICE("127.0.0.2");
    assert_meeting(&meeting, TLS_CERTIFICATE, TLS_ALERT);
    meeting_init(&meeting);
    meeting.name = SLICE("127.0.0.1");
    assert_meeting(&meeting, OK, OK);
    meeting_init(&meeting);
    meeting.name = SLICE("elsewhere.example");
    meeting.client.trusts_anyone = true;
    assert_meeting(&meeting, OK, OK);
}

static void bad_certificates_are_refused(void **state)
{
    (void)state;
    in_a_fiber(show_bad_certificates);
}

static void ask_for_certificates(void *argument)
{
    struct meeting meeting;
    char byte;
    size_t size;
    (void)argument;
    for (int is_required = 0; is_required < 2; is_required++) {
        meeting_init(&meeting);
        meeting.host.client = is_required ? TLS_REQUIRED : TLS_ASKED;
        meeting.host.authorities = pki->authorities;
        assert_ok(meet(&meeting)); /* with TLS 1.3 the client is ready before it is judged */
        meeting_wait(&meeting);
        assert_status(meeting.outcome, is_required ? TLS_CERTIFICATE : OK);
        if (is_required) {
            assert_status(stream_read(meeting.b, &byte, 1, NEVER, &size), CLOSED);
            assert_int_equal(tls_alert(meeting.b), 116);
            assert_string_equal(tls_trouble(meeting.a), "peer did not return a certificate");
        }
        part(&meeting);
        meeting.client.identity = pki->client_identity;
        assert_ok(meet(&meeting));
        meeting_wait(&meeting);
        assert_ok(meeting.outcome);
        const struct tls_certificate *shown = tls_certificate(meeting.a);
        assert_non_null(shown);
        assert_slice(shown->subject, "CN=alice");
        assert_slice(shown->issuer, "CN=Test authority");
        assert_int_equal(shown->name_count, 4);
        assert_slice(shown->names[0], "alice.example");
        assert_slice(shown->names[1], "alice@shop.example");
        assert_slice(shown->names[2], "spiffe://shop/alice");
        assert_slice(shown->names[3], "::1");
        part(&meeting);
    }
    struct certificate *unknown = certificate_make(&(struct certificate_recipe){0});
    meeting.client.identity = identity_of(unknown);
    assert_ok(meet(&meeting));
    meeting_wait(&meeting);
    assert_status(meeting.outcome, TLS_CERTIFICATE);
    part(&meeting);
    tls_identity_unref(meeting.client.identity);
    certificate_free(unknown);
}

static void clients_show_certificates(void **state)
{
    (void)state;
    in_a_fiber(ask_for_certificates);
}

/* --- connections that break */

static void cut(void *argument)
{
    struct meeting meeting;
    char room[8];
    size_t size;
    (void)argument;
    meeting_init(&meeting);
    assert_ok(meet(&meeting));
    meeting_wait(&meeting);
    struct stream *below = tls_below(meeting.b);
    assert_ok(stream_write(meeting.b, "abc", 3, NEVER, NULL));
    assert_ok(stream_shutdown(below)); /* no close_notify */
    assert_ok(stream_read(meeting.a, room, sizeof room, NEVER, &size));
    assert_int_equal(size, 3);
    assert_status(stream_read(meeting.a, room, sizeof room, NEVER, &size), CLOSED);
    assert_status(stream_read(meeting.a, room, sizeof room, NEVER, &size), CLOSED);
    assert_false(stream_is_quiet(meeting.a));
    below = tls_below(meeting.a);
    assert_ok(stream_write(below, "\x17\x03\x03\x00\x03xxx", 8, NEVER, NULL));
    assert_status(stream_read(meeting.b, room, sizeof room, NEVER, &size), CLOSED);
    part(&meeting);
}

static void a_cut_is_no_end(void **state)
{
    (void)state;
    in_a_fiber(cut);
}

/* What a client sends instead of a record; the server must say so and be done. */
static void expect_break(const void *bytes, size_t size, int alert)
{
    struct meeting meeting;
    char room[64];
    size_t got;
    meeting_init(&meeting);
    assert_ok(meet(&meeting));
    meeting_wait(&meeting);
    assert_ok(stream_write(tls_below(meeting.b), bytes, size, NEVER, NULL));
    assert_status(stream_read(meeting.a, room, sizeof room, NEVER, &got), CLOSED);
    assert_status(stream_write(meeting.a, "x", 1, NEVER, NULL), CLOSED);
    assert_status(stream_read(meeting.b, room, sizeof room, NEVER, &got), CLOSED);
    assert_int_equal(tls_alert(meeting.b), alert);
    part(&meeting);
}

static void send_bad_records(void *argument)
{
    static const char forged[5 + 40] = "\x17\x03\x03\x00\x28";
    (void)argument;
    expect_break(forged, sizeof forged, 20);
    expect_break("\x17\x03\x03\x41\x01", 5, 22);
    expect_break("\x17\x03\x03\x00\x10", 5, 10);
    expect_break("\x16\x03\x03\x00\x20", 5, 10);
    expect_break("\x17\x02\x03\x00\x20", 5, 10);
    expect_break("GET / HTTP/1.1\r\n", 16, 10);
}

static void bad_records_break_the_connection(void **state)
{
    (void)state;
    in_a_fiber(send_bad_records);
}

static void fill(void *argument)
{
    struct meeting *meeting = argument;
    static char data[1 << 20];
    assert_status(stream_write(meeting->b, data, sizeof data, NEVER, NULL), CANCELLED);
}

/* A client that gave up sending still hears the answer. */
static void give_up(void *argument)
{
    struct meeting meeting;
    struct scope scope;
    char room[8];
    size_t size;
    (void)argument;
    meeting_init(&meeting);
    assert_ok(meet(&meeting));
    meeting_wait(&meeting);
    scope_init(&scope);
    assert_ok(scope_start(&scope, fill, &meeting));
    fiber_yield();
    scope_end(&scope);
    assert_ok(stream_write(meeting.a, "stop", 4, NEVER, NULL));
    assert_ok(stream_read(meeting.b, room, sizeof room, NEVER, &size));
    assert_int_equal(size, 4);
    assert_status(stream_write(meeting.b, "x", 1, NEVER, &size), CLOSED);
    assert_int_equal(size, 0);
    part(&meeting);
}

static void reading_outlives_writing(void **state)
{
    (void)state;
    in_a_fiber(give_up);
}

static void write_too_long(void *argument)
{
    struct meeting meeting;
    char *data = calloc(1, 1 << 20);
    size_t size;
    (void)argument;
    meeting_init(&meeting);
    assert_ok(meet(&meeting));
    meeting_wait(&meeting);
    assert_status(
        stream_write(meeting.a, data, 1 << 20, loop_now() + 2 * MILLISECOND, &size), TIMEOUT);
    assert_true(size < 1 << 20);
    for (size_t heard = 0, more; heard < size; heard += more) { /* and the rest follows */
        (void)stream_write(meeting.a, "", 0, loop_now() + MILLISECOND, NULL);
        if (stream_read(meeting.b, data, 1 << 20, loop_now() + MILLISECOND, &more))
            more = 0;
    }
    part(&meeting);
    free(data);
}

static void a_write_that_is_out_of_time_can_go_on(void **state)
{
    (void)state;
    in_a_fiber(write_too_long);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers_are_refused),
        cmocka_unit_test(a_handshake_can_be_cancelled),
        cmocka_unit_test(bad_certificates_are_refused),
        cmocka_unit_test(clients_show_certificates),
        cmocka_unit_test(a_cut_is_no_end),
        cmocka_unit_test(bad_records_break_the_connection),
        cmocka_unit_test(reading_outlives_writing),
        cmocka_unit_test(a_write_that_is_out_of_time_can_go_on),
    };
    return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
