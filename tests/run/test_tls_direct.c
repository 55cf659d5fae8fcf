/* What a server makes of the records that a client may send once the handshake is over: honest
 * ones that are rare, and all kinds of others. They are made by hand, with the keys that the
 * client's OpenSSL agreed on; what the server answers is read by OpenSSL. */
#include <openssl/ssl.h>
#include <stdlib.h>

#include "run/loop.h"
#include "run/tls_core.h"
#include "support/forger.h"
#include "support/meeting.h"
#include "support/on_loop.h"
#include "support/unit.h"

static void refuse(unsigned type, struct slice content, size_t padding, int alert)
{
    struct forger forger;
    forger_begin(&forger);
    send_forged(&forger, type, content, padding);
    assert_refused(&forger, alert);
    forger_end(&forger);
}

/* --- records */

static void speak_every_suite(void *argument)
{
    static const char *const names[] = {
        "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"};
    (void)argument;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct forger forger;
        struct tls_facts facts;
        forger_begin_with(&forger, names[i]);
        assert_true(tls_facts(forger.server, &facts));
        assert_string_equal(facts.cipher, names[i]);
        assert_null(tls_of(forger.server)->ssl);
        for (int round = 0; round < 3; round++) {
            send_forged(&forger, RECORD_DATA, SLICE("hello"), (size_t)round * 1000);
            assert_hears(&forger, "hello");
            answer(&forger, SLICE("you too"));
            assert_told(&forger, "you too");
            update_keys(&forger, REQUEST);
        }
        forger_end(&forger);
    }
}

static void every_suite_is_spoken(void **state)
{
    (void)state;
    in_a_fiber(speak_every_suite);
}

/* The suites with a short proof, or slow in software, are not agreed on at all. */
static void offer_ccm_alone(void *argument)
{
    struct tls_client *client;
    struct meeting meeting;
    (void)argument;
    meeting_init(&meeting);
    assert_ok(tls_client_new(&meeting.client, &client));
    assert_true(SSL_CTX_set_ciphersuites(
        client->context, "TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256"));
    SSL_CTX_set_min_proto_version(client->context, TLS1_3_VERSION);
    meeting.same_client = client;
    assert_meeting(&meeting, TLS_ALERT, TLS_PROTOCOL);
    tls_client_unref(client);
}

static void ccm_is_not_spoken(void **state)
{
    (void)state;
    in_a_fiber(offer_ccm_alone);
}

static void pad(void *argument)
{
    struct forger forger;
    char *whole = calloc(1, RECORD_PLAIN_MAX + 1), *room = malloc(RECORD_PLAIN_MAX);
    size_t size, done = 0;
    (void)argument;
    forger_begin(&forger);
    for (size_t padding = 0; padding <= RECORD_PLAIN_MAX - 5; padding += 5 + padding) {
        send_forged(&forger, RECORD_DATA, SLICE("hello"), padding);
        assert_hears(&forger, "hello");
    }
    send_data(&forger, slice_of(whole, RECORD_PLAIN_MAX));
    for (; done < RECORD_PLAIN_MAX; done += size)
        assert_ok(stream_read(forger.server, room, RECORD_PLAIN_MAX, NEVER, &size));
    assert_int_equal(done, RECORD_PLAIN_MAX);
    forger_end(&forger);
    refuse(RECORD_DATA, slice_of(whole, RECORD_PLAIN_MAX), 1, ALERT_RECORD_OVERFLOW);
    refuse(RECORD_DATA, slice_of(whole, RECORD_PLAIN_MAX + 1), 0, ALERT_RECORD_OVERFLOW);
    refuse(RECORD_DATA, SLICE("x"), RECORD_PLAIN_MAX, ALERT_RECORD_OVERFLOW);
    refuse(0, SLICE_NONE, 0, ALERT_UNEXPECTED_MESSAGE);
    refuse(0, SLICE_NONE, 100, ALERT_UNEXPECTED_MESSAGE);
    free(whole);
    free(room);
}

static void padding_is_understood(void **state)
{
    (void)state;
    in_a_fiber(pad);
}

/* A few records without content are no harm; a flood of them only keeps us busy. */
static void send_nothing(void *argument)
{
    struct forger forger;
    (void)argument;
    forger_begin(&forger);
    for (int i = 0; i < 5; i++) {
        for (size_t j = 0; j < 30; j++)
            send_forged(&forger, RECORD_DATA, SLICE_NONE, j * j);
        send_data(&forger, SLICE("still here"));
        assert_hears(&forger, "still here");
    }
    for (size_t j = 0; j < 33; j++)
        send_forged(&forger, RECORD_DATA, SLICE_NONE, j);
    assert_refused(&forger, ALERT_UNEXPECTED_MESSAGE);
    forger_end(&forger);
}

static void a_flood_of_nothing_is_refused(void **state)
{
    (void)state;
    in_a_fiber(send_nothing);
}

static void send_again(void *argument)
{
    struct forger forger;
    char one[100], two[100];
    (void)argument;
    forger_begin(&forger); /* the same record twice */
    size_t size = forge(&forger, RECORD_DATA, SLICE("once"), 0, one);
    assert_ok(stream_write(forger.wire, one, size, NEVER, NULL));
    assert_hears(&forger, "once");
    assert_ok(stream_write(forger.wire, one, size, NEVER, NULL));
    assert_refused(&forger, ALERT_BAD_RECORD_MAC);
    forger_end(&forger);
    forger_begin(&forger); /* two in the wrong order */
    size = forge(&forger, RECORD_DATA, SLICE("one"), 0, one);
    size_t second = forge(&forger, RECORD_DATA, SLICE("two"), 0, two);
    assert_ok(stream_write(forger.wire, two, second, NEVER, NULL));
    assert_ok(stream_write(forger.wire, one, size, NEVER, NULL));
    assert_refused(&forger, ALERT_BAD_RECORD_MAC);
    forger_end(&forger);
    forger_begin(&forger); /* one that is whole, and one that is cut */
    size = forge(&forger, RECORD_DATA, SLICE("one"), 0, one);
    second = forge(&forger, RECORD_DATA, SLICE("two"), 0, two);
    assert_ok(stream_write(forger.wire, one, size, NEVER, NULL));
    assert_ok(stream_write(forger.wire, two, second - 1, NEVER, NULL));
    assert_ok(stream_shutdown(forger.wire));
    assert_hears(&forger, "one");
    assert_status(stream_read(forger.server, one, sizeof one, NEVER, &size), CLOSED);
    forger_end(&forger);
}

static void records_come_once_and_in_order(void **state)
{
    (void)state;
    in_a_fiber(send_again);
}

/* One byte after the other, and many records at once. */
static void send_in_pieces(void *argument)
{
    struct forger forger;
    char record[100], many[4000], room[4000];
    size_t size, filled = 0, done;
    (void)argument;
    forger_begin(&forger);
    size = forge(&forger, RECORD_DATA, SLICE("slowly"), 11, record);
    for (size_t i = 0; i < size; i++) {
        assert_true(stream_is_quiet(forger.server));
        assert_ok(stream_write(forger.wire, record + i, 1, NEVER, NULL));
        fiber_yield();
    }
    assert_hears(&forger, "slowly");
    for (int i = 0; i < 100; i++)
        filled += forge(&forger, RECORD_DATA, SLICE("0123456789"), 0, many + filled);
    assert_ok(stream_write(forger.wire, many, filled, NEVER, NULL));
    for (done = 0; done < 1000; done += size)
        assert_ok(stream_read(forger.server, room + done, 7, NEVER, &size));
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(room[i], '0' + (char)(i % 10));
    forger_end(&forger);
}

static void records_come_in_any_pieces(void **state)
{
    (void)state;
    in_a_fiber(send_in_pieces);
}

/* --- messages of the handshake, and what was never one */

static void send_strange_messages(void *argument)
{
    (void)argument;
    refuse(RECORD_HANDSHAKE, SLICE_NONE, 0, ALERT_UNEXPECTED_MESSAGE);
    refuse(RECORD_HANDSHAKE, slice_of("\1\0\0\4abcd", 8), 0, ALERT_UNEXPECTED_MESSAGE);
    refuse(RECORD_HANDSHAKE, slice_of("\4\0\0\4abcd", 8), 0, ALERT_UNEXPECTED_MESSAGE);
    refuse(RECORD_HANDSHAKE, slice_of("\x0b\0\0\4\0\0\0\0", 8), 0, ALERT_UNEXPECTED_MESSAGE);
    refuse(RECORD_HANDSHAKE, slice_of("\x14\0\0\1x", 5), 0, ALERT_UNEXPECTED_MESSAGE);
    refuse(RECORD_HANDSHAKE, slice_of("\x18\0\0\2\0\0", 6), 0, ALERT_UNEXPECTED_MESSAGE);
    refuse(RECORD_HANDSHAKE, slice_of("\x18\0\0\0", 4), 0, ALERT_UNEXPECTED_MESSAGE);
    refuse(RECORD_HANDSHAKE, slice_of("\x18\0\0\1\2", 5), 0, ALERT_ILLEGAL_PARAMETER);
    /* Whatever follows a new key in the same record was sent under the old one. */
    refuse(RECORD_HANDSHAKE, slice_of("\x18\0\0\1\0\x18\0\0\1\0", 10), 0, ALERT_UNEXPECTED_MESSAGE);
    refuse(CHANGE_CIPHER, SLICE("\1"), 0, ALERT_UNEXPECTED_MESSAGE);
    refuse(UNKNOWN_TYPE, SLICE("abc"), 0, ALERT_UNEXPECTED_MESSAGE);
    struct forger forger;
    forger_begin(&forger); /* fine in a handshake, not behind it */
    assert_ok(stream_write(forger.wire, "\x14\3\3\0\1\1", 6, NEVER, NULL));
    assert_refused(&forger, ALERT_UNEXPECTED_MESSAGE);
    forger_end(&forger);
    forger_begin(&forger); /* nobody says anything in clear any more */
    assert_ok(stream_write(forger.wire, "\x15\3\3\0\2\1\0", 7, NEVER, NULL));
    assert_refused(&forger, ALERT_UNEXPECTED_MESSAGE);
    forger_end(&forger);
}

static void strange_messages_are_refused(void **state)
{
    (void)state;
    in_a_fiber(send_strange_messages);
}

/* --- keys */

static void renew(void *argument)
{
    struct forger forger;
    (void)argument;
    forger_begin(&forger);
    for (int i = 0; i < 100; i++) {
        update_keys(&forger, i % 3 == 0 ? REQUEST : UPDATE);
        send_data(&forger, SLICE("hello"));
        assert_hears(&forger, "hello");
        answer(&forger, SLICE("you too"));
        assert_told(&forger, "you too");
    }
    forger_end(&forger);
}

static void keys_are_renewed_again_and_again(void **state)
{
    (void)state;
    in_a_fiber(renew);
}

/* A message of a handshake may be spread over records; nothing else may come in between (RFC 8446
 * §5.1). */
static void renew_in_pieces(void *argument)
{
    struct forger forger;
    (void)argument;
    for (size_t cut = 1; cut < 5; cut++) {
        forger_begin(&forger);
        send_forged(&forger, RECORD_HANDSHAKE, slice_head(REQUEST, cut), 3);
        send_forged(&forger, RECORD_HANDSHAKE, slice_from(REQUEST, cut), 0);
        assert_ok(record_half_update(&forger.out));
        send_data(&forger, SLICE("hello"));
        assert_hears(&forger, "hello");
        answer(&forger, SLICE("you too"));
        assert_told(&forger, "you too");
        send_forged(&forger, RECORD_HANDSHAKE, slice_head(REQUEST, cut), 3);
        send_data(&forger, SLICE("hello"));
        assert_refused(&forger, ALERT_UNEXPECTED_MESSAGE);
        forger_end(&forger);
    }
    forger_begin(&forger);
    for (size_t i = 0; i < 5; i++)
        send_forged(&forger, RECORD_HANDSHAKE, slice_head(slice_from(UPDATE, i), 1), i);
    assert_ok(record_half_update(&forger.out));
    send_data(&forger, SLICE("hello"));
    assert_hears(&forger, "hello");
    forger_end(&forger);
    forger_begin(&forger);
    send_forged(&forger, RECORD_HANDSHAKE, slice_head(REQUEST, 4), 0);
    send_forged(&forger, RECORD_HANDSHAKE, SLICE("\1\x18"), 0);
    assert_refused(&forger, ALERT_UNEXPECTED_MESSAGE);
    forger_end(&forger);
}

static void an_update_may_come_in_pieces(void **state)
{
    (void)state;
    in_a_fiber(renew_in_pieces);
}

static void update_without_end(void *argument)
{
    struct forger forger;
    (void)argument;
    forger_begin(&forger);
    for (int i = 0; i < 33; i++)
        update_keys(&forger, UPDATE);
    assert_refused(&forger, ALERT_UNEXPECTED_MESSAGE);
    forger_end(&forger);
}

static void a_flood_of_updates_is_refused(void **state)
{
    (void)state;
    in_a_fiber(update_without_end);
}

static void nobody_is_called(void *argument)
{
    (void)argument;
    fail();
}

/* Who asks again and again while we have nothing to say is answered once, right before we say
 * something: so it cannot make us keep answers that it does not read. */
static void ask_often(void *argument)
{
    struct forger forger;
    char room[64];
    size_t size;
    (void)argument;
    forger_begin(&forger);
    answer(&forger, SLICE("the ticket is out"));
    assert_told(&forger, "the ticket is out");
    for (int i = 0; i < 200; i++) {
        update_keys(&forger, REQUEST);
        send_data(&forger, SLICE("more"));
        assert_hears(&forger, "more");
    }
    stream_park(forger.server, nobody_is_called, NULL);
    stream_unpark(forger.server);
    assert_true(stream_is_quiet(forger.wire));
    assert_null(tls_of(forger.server)->unsent.data);
    answer(&forger, SLICE("x"));
    /* A message with five bytes, and one with one. */
    assert_ok(stream_read(forger.wire, room, sizeof room, NEVER, &size));
    assert_int_equal(size, 5 + RECORD_EXTRA + 1 + RECORD_EXTRA);
    forger_end(&forger);
}

static void many_requests_have_one_answer(void **state)
{
    (void)state;
    in_a_fiber(ask_often);
}

/* A client asks for new keys while a long answer is on its way: records sealed before and after. */
static void write_long(void *argument)
{
    struct forger *forger = argument;
    char *data = calloc(1, 4 << 20);
    assert_ok(stream_write(forger->server, data, 4 << 20, NEVER, NULL));
    assert_ok(stream_shutdown(forger->server));
    free(data);
}

static void read_messages(void *argument)
{
    struct forger *forger = argument;
    char room[64];
    size_t size;
    while (stream_read(forger->server, room, sizeof room, NEVER, &size) == OK)
        continue;
}

static void renew_in_the_middle(void *argument)
{
    struct forger forger;
    struct scope scope;
    char *room = malloc(100000);
    size_t size, total = 0, next = 0;
    enum status e;
    (void)argument;
    forger_begin(&forger);
    scope_init(&scope);
    assert_ok(scope_start(&scope, write_long, &forger));
    assert_ok(scope_start(&scope, read_messages, &forger));
    while ((e = stream_read(forger.client, room, 100000, NEVER, &size)) == OK) {
        total += size;
        if (total < next)
            continue;
        next = total + 300000;
        update_keys(&forger, REQUEST);
        fiber_yield();
    }
    assert_status(e, END);
    assert_int_equal(total, 4 << 20);
    assert_ok(stream_shutdown(forger.wire));
    scope_end(&scope);
    forger_end(&forger);
    free(room);
}

static void keys_are_renewed_in_the_middle(void **state)
{
    (void)state;
    in_a_fiber(renew_in_the_middle);
}

/* After so many records the server changes its keys unasked. */
static void wear_out(void *argument)
{
    struct forger forger;
    char room[200];
    size_t size, before;
    (void)argument;
    forger_begin(&forger);
    struct record_half *out = &tls_of(forger.server)->direct->out;
    answer(&forger, SLICE("the ticket is out"));
    assert_told(&forger, "the ticket is out");
    before = (size_t)out->sequence;
    answer(&forger, SLICE("x"));
    assert_int_equal(out->sequence, before + 1);
    assert_told(&forger, "x");
    /* As if all of them had gone: from here on the client only counts bytes. */
    out->sequence = (uint64_t)1 << 23;
    answer(&forger, SLICE("x"));
    assert_int_equal(out->sequence, 1);
    assert_ok(stream_read(forger.wire, room, sizeof room, NEVER, &size));
    assert_int_equal(size, 5 + RECORD_EXTRA + 1 + RECORD_EXTRA);
    forger_end(&forger);
}

static void worn_keys_are_changed(void **state)
{
    (void)state;
    in_a_fiber(wear_out);
}

/* --- ends */

static void say_the_end(void *argument)
{
    struct forger forger;
    char room[64];
    size_t size;
    (void)argument;
    forger_begin(&forger);
    send_data(&forger, SLICE("last"));
    send_forged(&forger, RECORD_ALERT, slice_of("\1\x5a", 2), 0); /* user_canceled */
    send_forged(&forger, RECORD_ALERT, slice_of("\1\0", 2), 0);
    send_data(&forger, SLICE("too late"));
    assert_ok(stream_write(forger.wire, "garbage", 7, NEVER, NULL));
    assert_hears(&forger, "last");
    for (int i = 0; i < 3; i++)
        assert_status(stream_read(forger.server, room, sizeof room, NEVER, &size), END);
    answer(&forger, SLICE("still speaking")); /* its other half is open */
    assert_told(&forger, "still speaking");
    assert_ok(stream_shutdown(forger.server));
    assert_status(stream_read(forger.client, room, sizeof room, NEVER, &size), END);
    forger_end(&forger);
}

static void nothing_counts_behind_the_end(void **state)
{
    (void)state;
    in_a_fiber(say_the_end);
}

static void send_alert(struct slice alert, int expected)
{
    struct forger forger;
    char room[64];
    size_t size;
    forger_begin(&forger);
    send_forged(&forger, RECORD_ALERT, alert, 0);
    assert_status(stream_read(forger.server, room, sizeof room, NEVER, &size), CLOSED);
    assert_int_equal(tls_alert(forger.server), expected);
    assert_status(stream_write(forger.server, "x", 1, NEVER, NULL), CLOSED);
    forger_end(&forger);
}

static void send_alerts(void *argument)
{
    struct forger forger;
    (void)argument;
    send_alert(slice_of("\2\x14", 2), 20);
    send_alert(slice_of("\1\x14", 2), 20); /* levels mean nothing any more (RFC 8446 §6) */
    send_alert(slice_of("\2\xff", 2), 255);
    refuse(RECORD_ALERT, SLICE_NONE, 0, ALERT_UNEXPECTED_MESSAGE);
    refuse(RECORD_ALERT, SLICE("\1"), 0, ALERT_UNEXPECTED_MESSAGE);
    refuse(RECORD_ALERT, slice_of("\1\0\1\0", 4), 0, ALERT_UNEXPECTED_MESSAGE);
    forger_begin(&forger);
    for (int i = 0; i < 33; i++)
        send_forged(&forger, RECORD_ALERT, slice_of("\1\x5a", 2), 0);
    assert_refused(&forger, ALERT_UNEXPECTED_MESSAGE);
    forger_end(&forger);
}

static void alerts_are_obeyed(void **state)
{
    (void)state;
    in_a_fiber(send_alerts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_suite_is_spoken),
        cmocka_unit_test(ccm_is_not_spoken),
        cmocka_unit_test(padding_is_understood),
        cmocka_unit_test(a_flood_of_nothing_is_refused),
        cmocka_unit_test(records_come_once_and_in_order),
        cmocka_unit_test(records_come_in_any_pieces),
        cmocka_unit_test(strange_messages_are_refused),
        cmocka_unit_test(keys_are_renewed_again_and_again),
        cmocka_unit_test(an_update_may_come_in_pieces),
        cmocka_unit_test(a_flood_of_updates_is_refused),
        cmocka_unit_test(many_requests_have_one_answer),
        cmocka_unit_test(keys_are_renewed_in_the_middle),
        cmocka_unit_test(worn_keys_are_changed),
        cmocka_unit_test(nothing_counts_behind_the_end),
        cmocka_unit_test(alerts_are_obeyed),
    };
    return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
