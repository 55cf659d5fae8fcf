#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/must.h"
#include "run/tls_core.h"

#define NAMES_MAX 100000
#define CHALLENGE SLICE("acme-tls/1")

/* --- what a ClientHello decides */

static struct slice extension_of(SSL *ssl, unsigned kind)
{
    const unsigned char *data;
    size_t size;
    if (!SSL_client_hello_get0_ext(ssl, kind, &data, &size))
        return SLICE_NONE;
    return slice_of((const char *)data, size);
}

/* The host that answers under a name: its own, the one of its wildcard, the first. */
static const struct tls_server_host *find_host(const struct tls_server *server, const char *text)
{
    struct slice name = slice_of_text(text);
    char wild[TLS_NAME_MAX + 2] = "*";
    const struct tls_server_host *host = table_get(&server->names, name);
    size_t dot = slice_find(name, '.');
    if (!host && dot < name.size) {
        struct slice rest = slice_from(name, dot);
        memcpy(wild + 1, rest.data, rest.size);
        host = table_get(&server->names, slice_of(wild, 1 + rest.size));
    }
    return host || server->is_strict ? host : &server->hosts[0];
}

/* Everything that depends on the name, sessions included: one that began under a host that asks for
 * no certificate must not go on under one that does. So this is done before OpenSSL looks for a
 * session to resume, and not where it offers to choose by name. */
static void become(SSL *ssl, const struct tls_server_host *host)
{
    SSL_CTX *context = host->context;
    if (SSL_get_SSL_CTX(ssl) == context)
        return;
    SSL_set_SSL_CTX(ssl, context);
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(context), NULL);
    SSL_set_session_id_context(ssl, host->session_context, sizeof host->session_context);
}

static int answer_challenge(struct tls *tls, const char *name, int *alert)
{
    const struct tls_server *server = tls->server;
    struct tls_identity *identity =
        server->challenge(server->challenge_argument, slice_of_text(name));
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    if (!identity)
        return SSL_CLIENT_HELLO_ERROR;
    tls->is_challenge =
        SSL_use_cert_and_key(tls->ssl, identity->leaf, identity->key, identity->chain, 1) == 1;
    tls_identity_unref(identity);
    SSL_set_verify(tls->ssl, SSL_VERIFY_NONE, NULL);
    return tls->is_challenge ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

static int on_hello(SSL *ssl, int *alert, void *argument)
{
    struct tls *tls = tls_of_ssl(ssl);
    char name[TLS_NAME_MAX + 1];
    (void)argument;
    tls_read_name(extension_of(ssl, TLSEXT_TYPE_server_name), name);
    free(tls->name);
    tls->name = name[0] ? strdup(name) : NULL;
    struct slice protocols = extension_of(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation);
    if (tls->server->challenge && tls_asks_only_for(protocols, CHALLENGE))
        return answer_challenge(tls, name, alert);
    const struct tls_server_host *host = find_host(tls->server, name);
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    if (!host)
        return SSL_CLIENT_HELLO_ERROR;
    become(ssl, host);
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* A client that speaks none of our protocols is refused (RFC 7301 §3.2), so that nobody makes it
 * talk to a service of another kind. */
static int choose_protocol(SSL *ssl, const unsigned char **ret_protocol, unsigned char *ret_size,
    const unsigned char *offered, unsigned offered_size, void *argument)
{
    struct tls *tls = tls_of_ssl(ssl);
    unsigned char *chosen;
    (void)argument;
    if (tls->is_challenge) {
        tls->protocol = CHALLENGE;
        *ret_protocol = (const unsigned char *)CHALLENGE.data;
        *ret_size = (unsigned char)CHALLENGE.size;
        return SSL_TLSEXT_ERR_OK;
    }
    if (tls->server->protocols_size == 0)
        return SSL_TLSEXT_ERR_NOACK;
    int found = SSL_select_next_proto(&chosen, ret_size, tls->server->protocols,
        tls->server->protocols_size, offered, offered_size);
    if (found != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_protocol = chosen;
    tls->protocol = slice_of((const char *)chosen, *ret_size);
    return SSL_TLSEXT_ERR_OK;
}

/* Of the identity whose certificate was chosen. */
static int show_staple(SSL *ssl, void *argument)
{
    const struct tls_server_host *host = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const X509 *leaf = SSL_get_certificate(ssl);
    unsigned char *copy = NULL;
    size_t size = 0;
    (void)argument;
    for (size_t i = 0; leaf && !copy && i < host->identity_count; i++)
        if (X509_cmp(host->identities[i]->leaf, leaf) == 0)
            copy = tls_copy_staple(host->identities[i], &size);
    if (!copy)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)size);
    return SSL_TLSEXT_ERR_OK;
}

/* A resumed session shows no certificate anew; it must have shown one when it began. */
bool tls_server_approves(const struct tls *tls)
{
    const struct tls_server_host *host = SSL_CTX_get_app_data(SSL_get_SSL_CTX(tls->ssl));
    return tls->is_challenge || host->client != TLS_REQUIRED ||
           SSL_get0_peer_certificate(tls->ssl) != NULL;
}

/* --- making one */

/* What distinguishes sessions: whose they are, and who may have them. */
static bool digest_host(const struct tls_host *from, struct tls_server_host *host)
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    unsigned char mode = (unsigned char)host->client;
    bool is_good = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) &&
                   EVP_DigestUpdate(digest, &mode, 1);
    if (is_good && host->client != TLS_NOT_ASKED)
        is_good =
            EVP_DigestUpdate(digest, from->authorities->digest, sizeof from->authorities->digest);
    for (size_t i = 0; is_good && i < host->name_count; i++)
        is_good = EVP_DigestUpdate(digest, host->names[i].data, host->names[i].size) &&
                  EVP_DigestUpdate(digest, "", 1);
    is_good = is_good && EVP_DigestFinal_ex(digest, host->session_context, NULL);
    EVP_MD_CTX_free(digest);
    return is_good;
}

static enum status ask_for_certificate(SSL_CTX *context, const struct tls_host *from)
{
    if (!from->authorities || from->client == TLS_NOT_ASKED)
        return OK;
    STACK_OF(X509_NAME) *list = SSL_dup_CA_list(from->authorities->list);
    if (from->authorities->list && !list)
        return NO_MEMORY;
    SSL_CTX_set_client_CA_list(context, list);
    SSL_CTX_set1_cert_store(context, from->authorities->store);
    int must_show = from->client == TLS_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | must_show, NULL);
    return OK;
}

static void set_sessions(const struct tls_server *server, const struct tls_server_host *host)
{
    SSL_CTX *context = host->context;
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(context, host->session_context, sizeof host->session_context);
    if (!server->tickets.source) {
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(context, 0);
        return;
    }
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_timeout(context, (long)(TLS_TICKET_KEYS * TLS_TICKET_ROTATE_EVERY / SECOND));
    tls_tickets_install(context);
}

static enum status show_identities(struct tls_server_host *host, const struct tls_host *from)
{
    host->identities = calloc(from->identity_count, sizeof(struct tls_identity *));
    if (!host->identities)
        return NO_MEMORY;
    enum status e = OK;
    for (size_t i = 0; !e && i < from->identity_count; i++) {
        host->identities[host->identity_count++] = tls_identity_ref(from->identities[i]);
        e = tls_context_show(host->context, from->identities[i]);
    }
    return e;
}

/* Names in lower case, for which there is room; the first host that wants one has it. */
static enum status add_names(struct tls_server *server, struct tls_server_host *host,
    const struct slice *names, size_t count)
{
    enum status e = OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        char room[TLS_NAME_MAX + 1];
        bool is_wild = slice_has_prefix(names[i], SLICE("*."));
        if (!tls_lower_name(is_wild ? slice_from(names[i], 2) : names[i], room))
            return INVALID;
        struct slice name = arena_format(&server->arena, "%s%s", is_wild ? "*." : "", room);
        if (!name.data)
            return NO_MEMORY;
        host->names[host->name_count++] = name;
        e = table_put(&server->names, name, host);
        if (e == EXISTS)
            e = OK;
    }
    return e;
}

static enum status add_all_names(
    struct tls_server *server, struct tls_server_host *host, const struct tls_host *from)
{
    size_t count = from->name_count;
    for (size_t i = 0; i < from->identity_count; i++)
        count += from->identities[i]->name_count;
    host->names = arena_array(&server->arena, count + 1, sizeof(struct slice));
    if (!host->names)
        return NO_MEMORY;
    if (from->name_count)
        return add_names(server, host, from->names, from->name_count);
    enum status e = OK;
    for (size_t i = 0; !e && i < from->identity_count; i++)
        e = add_names(server, host, from->identities[i]->names, from->identities[i]->name_count);
    return e;
}

static enum status add_host(struct tls_server *server, const struct tls_server_options *options,
    const struct tls_host *from)
{
    struct tls_server_host *host = &server->hosts[server->host_count++];
    host->client = from->authorities ? from->client : TLS_NOT_ASKED;
    host->context = tls_context_new(TLS_server_method(), options->least);
    if (!host->context)
        return NO_MEMORY;
    SSL_CTX_set_app_data(host->context, host);
    SSL_CTX_set_client_hello_cb(host->context, on_hello, NULL);
    SSL_CTX_set_alpn_select_cb(host->context, choose_protocol, NULL);
    SSL_CTX_set_tlsext_status_cb(host->context, show_staple);
    tls_secrets_install(host->context);
    enum status e = add_all_names(server, host, from);
    if (!e)
        e = show_identities(host, from);
    if (!e)
        e = ask_for_certificate(host->context, from);
    if (!e && !digest_host(from, host))
        e = NO_MEMORY;
    set_sessions(server, host);
    return e;
}

static enum status fill(struct tls_server *server, const struct tls_server_options *options)
{
    server->method = tls_bio_method();
    server->hosts = calloc(options->host_count, sizeof *server->hosts);
    server->suites = record_suites_new();
    if (!server->method || !server->hosts || !server->suites)
        return NO_MEMORY;
    enum status e = tls_ticket_copy_init(&server->tickets, options->tickets);
    if (!e)
        e = tls_write_protocols(&server->arena, options->protocols, options->protocol_count,
            &server->protocols, &server->protocols_size);
    for (size_t i = 0; !e && i < options->host_count; i++)
        e = add_host(server, options, &options->hosts[i]);
    return e;
}

enum status tls_server_new(const struct tls_server_options *options, struct tls_server **ret_server)
{
    must(options->host_count > 0);
    struct tls_server *server = calloc(1, sizeof *server);
    if (!server)
        return NO_MEMORY;
    server->users = 1;
    server->is_strict = options->is_strict;
    server->uses_kernel = options->uses_kernel;
    server->challenge = options->challenge;
    server->challenge_argument = options->challenge_argument;
    arena_init(&server->arena, 0, 0);
    table_init(&server->names, NAMES_MAX);
    enum status e = fill(server, options);
    ERR_clear_error();
    if (e)
        tls_server_unref(server);
    else
        *ret_server = server;
    return e;
}

struct tls_server *tls_server_ref(struct tls_server *server)
{
    atomic_fetch_add_explicit(&server->users, 1, memory_order_relaxed);
    return server;
}

static void release_host(struct tls_server_host *host)
{
    SSL_CTX_free(host->context);
    for (size_t i = 0; i < host->identity_count; i++)
        tls_identity_unref(host->identities[i]);
    free(host->identities);
}

void tls_server_unref(struct tls_server *server)
{
    if (!server || atomic_fetch_sub_explicit(&server->users, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < server->host_count; i++)
        release_host(&server->hosts[i]);
    free(server->hosts);
    table_release(&server->names);
    arena_release(&server->arena);
    tls_ticket_copy_release(&server->tickets);
    record_suites_free(server->suites);
    BIO_meth_free(server->method);
    free(server);
}

enum status tls_accept(
    struct stream *below, struct tls_server *server, struct slice early, struct stream **ret_stream)
{
    struct tls *tls;
    enum status e = tls_new(below, server->hosts[0].context, server->method, early, &tls);
    if (e)
        return e;
    tls->server = tls_server_ref(server);
    SSL_set_accept_state(tls->ssl);
    *ret_stream = &tls->stream;
    return OK;
}
