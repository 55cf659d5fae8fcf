#include "support/forger.h"

#include <openssl/ssl.h>
#include <stdlib.h>

#include "run/loop.h"
#include "support/unit.h"

/* The forger whose secret is told next: there is one at a time. */
static char secret_line[256];

static void note_secret(const SSL *ssl, const char *line)
{
    (void)ssl;
    if (strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0 && strlen(line) < sizeof secret_line)
        memcpy(secret_line, line, strlen(line) + 1);
}

static void take_secret(struct forger *forger, unsigned suite)
{
    long size;
    unsigned char *secret = OPENSSL_hexstr2buf(strrchr(secret_line, ' ') + 1, &size);
    assert_non_null(secret);
    forger->suites = record_suites_new();
    assert_non_null(forger->suites);
    assert_ok(record_half_init(&forger->out, forger->suites, suite,
        slice_of((const char *)secret, (size_t)size), 0, true));
    OPENSSL_free(secret);
}

void forger_begin_with(struct forger *forger, const char *cipher)
{
    struct tls_client *client;
    meeting_init(&forger->meeting);
    assert_ok(tls_client_new(&forger->meeting.client, &client));
    SSL_CTX_set_keylog_callback(client->context, note_secret);
    if (cipher)
        assert_true(SSL_CTX_set_ciphersuites(client->context, cipher));
    forger->meeting.same_client = client;
    assert_ok(meet(&forger->meeting));
    meeting_wait(&forger->meeting);
    assert_ok(forger->meeting.outcome);
    forger->server = forger->meeting.a;
    forger->client = forger->meeting.b;
    forger->wire = tls_below(forger->client);
    SSL *ssl = tls_of(forger->client)->ssl;
    take_secret(forger, SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl)));
    tls_client_unref(client);
}

void forger_begin(struct forger *forger)
{
    forger_begin_with(forger, NULL);
}

void forger_end(struct forger *forger)
{
    record_half_release(&forger->out);
    record_suites_free(forger->suites);
    part(&forger->meeting);
}

size_t forge(
    struct forger *forger, unsigned type, struct slice content, size_t padding, char *record)
{
    struct record_half *out = &forger->out;
    char *tail = calloc(1, padding + 1);
    tail[0] = (char)type;
    assert_true(record_seal_begin(out, content.size + padding, record));
    char *at = record + RECORD_HEADER;
    assert_true(!content.size || record_seal_piece(out, content, at));
    assert_true(!padding || record_seal_piece(out, slice_of(tail, padding), at + content.size));
    size_t size =
        record_seal_end(out, content.size + padding, padding ? 0 : (enum record_type)type, record);
    free(tail);
    return size;
}

void send_forged(struct forger *forger, unsigned type, struct slice content, size_t padding)
{
    char *record = malloc(content.size + padding + RECORD_EXTRA);
    size_t size = forge(forger, type, content, padding, record);
    assert_ok(stream_write(forger->wire, record, size, NEVER, NULL));
    free(record);
}

void send_data(struct forger *forger, struct slice data)
{
    send_forged(forger, RECORD_DATA, data, 0);
}

void update_keys(struct forger *forger, struct slice message)
{
    send_forged(forger, RECORD_HANDSHAKE, message, 0);
    assert_ok(record_half_update(&forger->out));
}

void check_hears(struct stream *stream, struct slice expected, const char *file, int line)
{
    char room[64];
    size_t done = 0, size;
    while (done < expected.size) {
        check_status(
            stream_read(stream, room + done, sizeof room - done, loop_now() + SECOND, &size), OK,
            file, line);
        done += size;
    }
    check_slice(slice_of(room, done), expected, file, line);
}

void answer(struct forger *forger, struct slice data)
{
    assert_ok(stream_write(forger->server, data.data, data.size, NEVER, NULL));
}

void check_refused(struct forger *forger, int alert, const char *file, int line)
{
    char room[64];
    size_t size;
    enum status e = stream_read(forger->server, room, sizeof room, loop_now() + SECOND, &size);
    check_status(e, CLOSED, file, line);
    check_status(stream_write(forger->server, "x", 1, NEVER, NULL), CLOSED, file, line);
    e = stream_read(forger->client, room, sizeof room, loop_now() + SECOND, &size);
    check_status(e, CLOSED, file, line);
    if (tls_alert(forger->client) != alert)
        print_error("alert %d, not %d\n", tls_alert(forger->client), alert);
    _assert_true(tls_alert(forger->client) == alert, "the alert", file, line);
}
