#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/random.h"
#include "run/address.h"
#include "run/tls_core.h"

/* The newest session takes the place of the one before. OpenSSL gives it to us for good. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls *tls = tls_of_ssl(ssl);
    if (!tls->session)
        return 0;
    tls_session_release(tls->session);
    tls->session->session = session;
    tls->session->of = tls->client->number;
    return 1;
}

void tls_session_release(struct tls_session *session)
{
    SSL_SESSION_free(session->session);
    *session = (struct tls_session){0};
}

void tls_session_leave(struct stream *stream)
{
    struct tls *tls = tls_of(stream);
    if (tls)
        tls->session = NULL;
}

static enum status set_protocols(SSL_CTX *context, const struct tls_client_options *options)
{
    struct arena arena;
    unsigned char *bytes = NULL;
    unsigned size = 0;
    if (options->protocol_count == 0)
        return OK;
    arena_init(&arena, 256, 0);
    enum status e =
        tls_write_protocols(&arena, options->protocols, options->protocol_count, &bytes, &size);
    if (!e && SSL_CTX_set_alpn_protos(context, bytes, size) != 0)
        e = NO_MEMORY;
    arena_release(&arena);
    return e;
}

static enum status fill(struct tls_client *client, const struct tls_client_options *options)
{
    client->method = tls_bio_method();
    client->context = tls_context_new(TLS_client_method(), TLS_1_2);
    if (!client->method || !client->context)
        return NO_MEMORY;
    SSL_CTX_set_session_cache_mode(
        client->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client->context, keep_session);
    if (!options->trusts_anyone) {
        SSL_CTX_set_verify(client->context, SSL_VERIFY_PEER, NULL);
        SSL_CTX_set1_cert_store(client->context, options->authorities->store);
    }
    enum status e = set_protocols(client->context, options);
    if (!e && options->identity)
        e = tls_context_show(client->context, options->identity);
    return e;
}

enum status tls_client_new(const struct tls_client_options *options, struct tls_client **ret_client)
{
    must(options->trusts_anyone || options->authorities);
    struct tls_client *client = calloc(1, sizeof *client);
    if (!client)
        return NO_MEMORY;
    client->users = 1;
    random_bytes(&client->number, sizeof client->number);
    enum status e = fill(client, options);
    ERR_clear_error();
    if (e)
        tls_client_unref(client);
    else
        *ret_client = client;
    return e;
}

struct tls_client *tls_client_ref(struct tls_client *client)
{
    atomic_fetch_add_explicit(&client->users, 1, memory_order_relaxed);
    return client;
}

void tls_client_unref(struct tls_client *client)
{
    if (!client || atomic_fetch_sub_explicit(&client->users, 1, memory_order_acq_rel) != 1)
        return;
    SSL_CTX_free(client->context);
    BIO_meth_free(client->method);
    free(client);
}

/* An address is not sent as SNI (RFC 6066 §3), and stands in the certificate as one. */
static bool name_peer(SSL *ssl, struct slice name)
{
    struct address address;
    char text[TLS_NAME_MAX + 1];
    if (name.size == 0 || name.size > TLS_NAME_MAX)
        return false;
    memcpy(text, name.data, name.size);
    text[name.size] = '\0';
    if (address_parse_ip(name, 0, &address) == OK)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), text) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, text) == 1 && SSL_set_tlsext_host_name(ssl, text) == 1;
}

enum status tls_connect(struct stream *below, struct tls_client *client, struct slice name,
    struct tls_session *session, struct stream **ret_stream)
{
    struct tls *tls;
    enum status e = tls_new(below, client->context, client->method, SLICE_NONE, &tls);
    if (e)
        return e;
    tls->client = tls_client_ref(client);
    tls->session = session;
    SSL_set_connect_state(tls->ssl);
    if (!name_peer(tls->ssl, name)) {
        tls_free(tls);
        ERR_clear_error();
        return INVALID;
    }
    if (session && session->session && session->of == client->number)
        SSL_set_session(tls->ssl, session->session);
    *ret_stream = &tls->stream;
    return OK;
}
