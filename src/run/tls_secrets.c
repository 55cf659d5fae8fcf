/* The secrets that the two directions of a connection begin with, as OpenSSL tells them to whoever
 * asks (the key log), and what else is to be known about the end of a handshake. */
#include <stdlib.h>

#include "run/tls_core.h"

/* The size stays 0 when it fails: then the secret is not known, and OpenSSL goes on. */
static void read_hexadecimal(const char *text, unsigned char *out, size_t most, size_t *ret_size)
{
    long size = 0;
    unsigned char *bytes = OPENSSL_hexstr2buf(text, &size);
    if (bytes && (size_t)size <= most) {
        memcpy(out, bytes, (size_t)size);
        *ret_size = (size_t)size;
    }
    OPENSSL_clear_free(bytes, (size_t)size);
}

/* "LABEL <client random> <secret>", all but the label in hexadecimal. */
static void note_secret(const SSL *ssl, const char *line)
{
    struct tls *tls = tls_of_ssl(ssl);
    struct slice text = slice_of_text(line);
    bool is_in = slice_has_prefix(text, SLICE("CLIENT_TRAFFIC_SECRET_0 "));
    bool is_out = slice_has_prefix(text, SLICE("SERVER_TRAFFIC_SECRET_0 "));
    const char *secret = strrchr(line, ' ');
    if (!secret || (!is_in && !is_out))
        return;
    SSL_CTX_set_keylog_callback(SSL_get_SSL_CTX(ssl), NULL);
    if (!tls->secrets)
        tls->secrets = calloc(1, sizeof *tls->secrets);
    struct tls_secrets *secrets = tls->secrets;
    if (secrets && is_in)
        read_hexadecimal(secret + 1, secrets->in, sizeof secrets->in, &secrets->in_size);
    else if (secrets)
        read_hexadecimal(secret + 1, secrets->out, sizeof secrets->out, &secrets->out_size);
}

/* Counts what is sent under the last keys: all of it comes after the client's Finished. The key log
 * costs some microseconds a line, so it is open only where the two lines come that are wanted: each
 * side's last secret is made right after its Finished. */
static void note_message(
    int is_written, int version, int type, const void *data, size_t size, SSL *ssl, void *argument)
{
    struct tls_secrets *secrets = tls_of_ssl(ssl)->secrets;
    bool is_finished =
        type == SSL3_RT_HANDSHAKE && size > 0 && *(const unsigned char *)data == SSL3_MT_FINISHED;
    (void)version;
    (void)argument;
    if (is_finished)
        SSL_CTX_set_keylog_callback(SSL_get_SSL_CTX(ssl), note_secret);
    if (secrets && is_finished && !is_written) {
        secrets->out_records = 0;
        tls_of_ssl(ssl)->is_corked = true;
    }
    if (secrets && is_written && type == SSL3_RT_HEADER)
        secrets->out_records++;
}

void tls_secrets_install(SSL_CTX *context)
{
    SSL_CTX_set_msg_callback(context, note_message);
}

void tls_secrets_free(struct tls_secrets *secrets)
{
    if (secrets)
        OPENSSL_cleanse(secrets, sizeof *secrets);
    free(secrets);
}
