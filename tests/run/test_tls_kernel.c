/* Handing over to the kernel, as far as that can be seen without a kernel that does it: when it is
 * tried, what becomes of the bytes when it fails, and what a connection does that was handed over.
 * The last pretends: what "the kernel" would encrypt is then on the wire as it is.
 * tests/e2e/test_kernel_tls.py is the other half. */
#include "run/tls_kernel.h"

#include <stdlib.h>
#include <string.h>

#include "run/loop.h"
#include "run/socket.h"
#include "run/splice.h"
#include "support/forger.h"
#include "support/on_loop.h"
#include "support/unit.h"

#define MUCH (4 * TLS_KERNEL_LEAST)

/* --- keys */

static struct record_keys keys_of(unsigned suite, size_t size)
{
    struct record_keys keys = {
        .suite = suite, .key_size = size, .sequence = 0x0102030405060708, .nonce = "abcdefghijkl"};
    for (size_t i = 0; i < size; i++)
        keys.key[i] = (unsigned char)(100 + i);
    return keys;
}

static const unsigned char number[8] = {1, 2, 3, 4, 5, 6, 7, 8};

static void aes_has_its_nonce_in_two_parts(void **state)
{
    (void)state;
    struct record_keys small = keys_of(0x1301, 16), large = keys_of(0x1302, 32);
    union tls_kernel_keys theirs;
    assert_int_equal(tls_kernel_write_keys(&small, &theirs), sizeof theirs.aes_128);
    assert_int_equal(theirs.info.version, TLS_1_3_VERSION);
    assert_int_equal(theirs.info.cipher_type, TLS_CIPHER_AES_GCM_128);
    assert_memory_equal(theirs.aes_128.key, small.key, 16);
    assert_memory_equal(theirs.aes_128.salt, "abcd", 4);
    assert_memory_equal(theirs.aes_128.iv, "efghijkl", 8);
    assert_memory_equal(theirs.aes_128.rec_seq, number, 8);
    assert_int_equal(tls_kernel_write_keys(&large, &theirs), sizeof theirs.aes_256);
    assert_int_equal(theirs.info.cipher_type, TLS_CIPHER_AES_GCM_256);
    assert_memory_equal(theirs.aes_256.key, large.key, 32);
    assert_memory_equal(theirs.aes_256.salt, "abcd", 4);
    assert_memory_equal(theirs.aes_256.iv, "efghijkl", 8);
    assert_memory_equal(theirs.aes_256.rec_seq, number, 8);
}

static void chacha_has_it_in_one(void **state)
{
    (void)state;
    struct record_keys keys = keys_of(0x1303, 32);
    union tls_kernel_keys theirs;
    assert_int_equal(tls_kernel_write_keys(&keys, &theirs), sizeof theirs.chacha);
    assert_int_equal(theirs.info.cipher_type, TLS_CIPHER_CHACHA20_POLY1305);
    assert_memory_equal(theirs.chacha.key, keys.key, 32);
    assert_memory_equal(theirs.chacha.iv, "abcdefghijkl", 12);
    assert_memory_equal(theirs.chacha.rec_seq, number, 8);
}

static void other_suites_stay(void **state)
{
    (void)state;
    struct record_keys keys = keys_of(0x1304, 16);
    union tls_kernel_keys theirs;
    assert_int_equal(tls_kernel_write_keys(&keys, &theirs), 0);
}

/* --- when it is tried */

static void decide(void *argument)
{
    (void)argument;
    struct forger forger;
    forger_begin(&forger);
    struct tls *tls = tls_of(forger.server);
    assert_false(splice_is_welcome(forger.server, MUCH)); /* nobody has asked for it */
    tls->server->uses_kernel = true;
    assert_true(splice_is_welcome(forger.server, MUCH));
    assert_true(splice_is_welcome(forger.server, TLS_KERNEL_LEAST));
    assert_false(splice_is_welcome(forger.server, TLS_KERNEL_LEAST - 1));
    assert_false(splice_is_welcome(forger.server, UINT64_MAX)); /* who knows how much comes */
    assert_false(splice_is_welcome(forger.client, MUCH));
    tls->direct->owes_update = true;
    assert_false(splice_is_welcome(forger.server, MUCH));
    tls->direct->owes_update = false;
    tls->direct->out.sequence = RECORDS_A_KEY - MUCH / RECORD_PLAIN_MAX;
    assert_false(splice_is_welcome(forger.server, MUCH)); /* it would wear the key out */
    tls->direct->out.sequence = 0;
    tls->direct->is_in_kernel = true;
    assert_true(splice_is_welcome(forger.server, 1)); /* it is there */
    tls->direct->is_in_kernel = false;
    forger_end(&forger);
}

static void only_long_bodies_are_handed_over(void **state)
{
    (void)state;
    in_a_fiber(decide);
}

/* --- a kernel that cannot; these connections are no TCP, so none can */

struct transfer {
    struct stream *to;
    struct stream *source, *from; /* bytes go into one and come out of the other */
    size_t total, timeouts;
};

static void feed(void *argument)
{
    struct transfer *transfer = argument;
    char block[10007];
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char)(i % 251);
    for (size_t done = 0; done < transfer->total; done += sizeof block)
        assert_ok(stream_write(transfer->source, block, sizeof block, NEVER, NULL));
}

/* A deadline that passes takes nothing away and gives nothing twice. */
static void move(void *argument)
{
    struct transfer *transfer = argument;
    for (size_t moved = 0; moved < transfer->total;) {
        struct splice *splice;
        size_t size, done;
        enum status e = OK;
        assert_ok(splice_read(transfer->from, transfer->total - moved, NEVER, &splice, &size));
        do {
            e = splice_write(transfer->to, splice, loop_now() + MILLISECOND, &done);
            moved += done;
            transfer->timeouts += e == TIMEOUT;
        } while (e == TIMEOUT);
        assert_ok(e);
        assert_int_equal(splice_size(splice), 0);
        splice_give(splice);
    }
    assert_ok(stream_shutdown(transfer->to));
}

static void copy_instead(void *argument)
{
    (void)argument;
    struct forger forger;
    struct scope scope;
    size_t done = 0, size;
    char room[5000];
    scope_init(&scope);
    forger_begin(&forger);
    struct tls *tls = tls_of(forger.server);
    tls->server->uses_kernel = true;
    struct transfer transfer = {.to = forger.server, .total = 300 * (size_t)10007};
    assert_ok(socket_pair(&transfer.source, &transfer.from));
    assert_ok(scope_start(&scope, feed, &transfer));
    assert_ok(scope_start(&scope, move, &transfer));
    assert_ok(fiber_sleep_until(loop_now() + 20 * MILLISECOND)); /* nobody reads yet */
    while (stream_read(forger.client, room, sizeof room, NEVER, &size) == OK)
        for (size_t i = 0; i < size; i++, done++)
            assert_int_equal(room[i], (char)(done % 10007 % 251));
    assert_int_equal(done, transfer.total);
    assert_true(transfer.timeouts > 0);
    assert_false(tls->direct->is_in_kernel);
    assert_false(splice_is_welcome(forger.server, MUCH)); /* it is not asked again */
    scope_end(&scope);
    stream_close(transfer.source);
    stream_close(transfer.from);
    forger_end(&forger);
}

static void what_it_does_not_take_is_copied(void **state)
{
    (void)state;
    in_a_fiber(copy_instead);
}

/* --- handed over */

static struct tls *pretend(struct forger *forger)
{
    forger_begin(forger);
    struct tls *tls = tls_of(forger->server);
    tls->direct->is_in_kernel = true;
    return tls;
}

static void see(const struct forger *forger, struct slice expected)
{
    char room[64];
    size_t size;
    assert_ok(stream_read(forger->wire, room, sizeof room, loop_now() + SECOND, &size));
    assert_slices(slice_of(room, size), expected);
}

static const char close_notify[] = {1, 0};

static void let_go(void *argument)
{
    (void)argument;
    struct forger forger;
    char room[16];
    size_t size;
    pretend(&forger);
    answer(&forger, SLICE("as it is"));
    see(&forger, SLICE("as it is"));
    update_keys(&forger, UPDATE);
    send_data(&forger, SLICE("hello"));
    assert_hears(&forger, "hello");
    answer(&forger, SLICE("still"));
    see(&forger, SLICE("still"));
    update_keys(&forger, REQUEST);
    send_data(&forger, SLICE("hello"));
    assert_status(stream_read(forger.server, room, sizeof room, loop_now() + SECOND, &size), END);
    see(&forger, slice_of(close_notify, sizeof close_notify));
    assert_status(stream_write(forger.server, "x", 1, NEVER, NULL), CLOSED);
    forger_end(&forger);
}

static void a_client_that_wants_new_keys_is_let_go(void **state)
{
    (void)state;
    in_a_fiber(let_go);
}

static void wear_out(void *argument)
{
    (void)argument;
    struct forger forger;
    char room[16];
    size_t size;
    struct tls *tls = pretend(&forger);
    tls->direct->out.sequence = RECORDS_A_KEY - 2;
    answer(&forger, SLICE("a"));
    see(&forger, SLICE("a"));
    assert_true(stream_is_quiet(forger.server));
    answer(&forger, SLICE("b"));
    see(&forger, SLICE("b"));
    assert_false(stream_is_quiet(forger.server));
    assert_status(stream_read(forger.server, room, sizeof room, loop_now() + SECOND, &size), END);
    answer(&forger, SLICE("the rest")); /* what is under way goes on, up to a bound */
    see(&forger, SLICE("the rest"));
    tls->direct->out.sequence = TLS_KERNEL_RECORDS_MAX - 1;
    answer(&forger, SLICE("the last"));
    see(&forger, SLICE("the last"));
    assert_status(stream_write(forger.server, "x", 1, NEVER, NULL), CLOSED);
    forger_end(&forger);
}

static void a_worn_key_takes_no_more_requests(void **state)
{
    (void)state;
    in_a_fiber(wear_out);
}

static void end_one(void *argument)
{
    struct forger *forger = argument;
    assert_ok(stream_shutdown(forger->server));
}

/* As long as there is no room the end is not said, and nothing is shut down. */
static void end_when_there_is_room(void *argument)
{
    (void)argument;
    struct forger forger;
    struct scope scope;
    size_t size, sent = 0, seen = 0;
    char *block = calloc(1, 100000), last[2] = {0};
    scope_init(&scope);
    pretend(&forger);
    while (stream_write(forger.server, block, 100000, loop_now() + MILLISECOND, &size) == OK)
        sent += size;
    sent += size;
    assert_ok(scope_start(&scope, end_one, &forger));
    assert_ok(fiber_sleep_until(loop_now() + 5 * MILLISECOND));
    assert_true(tls_of(forger.server)->direct->owes_alert);
    while (stream_read(forger.wire, block, 100000, loop_now() + SECOND, &size) == OK) {
        seen += size;
        memcpy(last, block + size - (size < 2 ? size : 2), 2);
    }
    assert_int_equal(seen, sent + 2);
    assert_memory_equal(last, close_notify, 2);
    scope_end(&scope);
    free(block);
    forger_end(&forger);
}

static void the_end_waits_for_room(void **state)
{
    (void)state;
    in_a_fiber(end_when_there_is_room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aes_has_its_nonce_in_two_parts),
        cmocka_unit_test(chacha_has_it_in_one),
        cmocka_unit_test(other_suites_stay),
        cmocka_unit_test(only_long_bodies_are_handed_over),
        cmocka_unit_test(what_it_does_not_take_is_copied),
        cmocka_unit_test(a_client_that_wants_new_keys_is_let_go),
        cmocka_unit_test(a_worn_key_takes_no_more_requests),
        cmocka_unit_test(the_end_waits_for_room),
    };
    return cmocka_run_group_tests(tests, pki_setup, pki_teardown);
}
