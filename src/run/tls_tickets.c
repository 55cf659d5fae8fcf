#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "run/tls_core.h"

static bool draw(struct tls_ticket_key *key)
{
    return RAND_bytes(key->name, sizeof key->name) == 1 &&
           RAND_priv_bytes(key->secret, sizeof key->secret) == 1 &&
           RAND_priv_bytes(key->proof, sizeof key->proof) == 1;
}

struct tls_tickets *tls_tickets_new(void)
{
    struct tls_tickets *tickets = calloc(1, sizeof *tickets);
    if (!tickets)
        return NULL;
    pthread_mutex_init(&tickets->mutex, NULL);
    if (tls_tickets_rotate(tickets)) {
        tls_tickets_free(tickets);
        return NULL;
    }
    return tickets;
}

void tls_tickets_free(struct tls_tickets *tickets)
{
    if (!tickets)
        return;
    pthread_mutex_destroy(&tickets->mutex);
    OPENSSL_cleanse(tickets, sizeof *tickets);
    free(tickets);
}

enum status tls_tickets_rotate(struct tls_tickets *tickets)
{
    struct tls_ticket_key key;
    if (!draw(&key))
        return IO_ERROR;
    pthread_mutex_lock(&tickets->mutex);
    struct tls_ticket_keys *keys = &tickets->keys;
    memmove(keys->keys + 1, keys->keys, sizeof keys->keys - sizeof keys->keys[0]);
    keys->keys[0] = key;
    if (keys->count < TLS_TICKET_KEYS)
        keys->count++;
    atomic_fetch_add_explicit(&tickets->generation, 1, memory_order_release);
    pthread_mutex_unlock(&tickets->mutex);
    OPENSSL_cleanse(&key, sizeof key);
    return OK;
}

_Static_assert(
    TLS_TICKET_KEYS * sizeof(struct tls_ticket_key) <= TLS_TICKETS_BYTES_MAX, "all keys fit");

size_t tls_tickets_save(struct tls_tickets *tickets, unsigned char ret_bytes[TLS_TICKETS_BYTES_MAX])
{
    pthread_mutex_lock(&tickets->mutex);
    size_t size = tickets->keys.count * sizeof tickets->keys.keys[0];
    memcpy(ret_bytes, tickets->keys.keys, size);
    pthread_mutex_unlock(&tickets->mutex);
    return size;
}

enum status tls_tickets_restore(struct tls_tickets *tickets, struct slice bytes)
{
    size_t count = bytes.size / sizeof(struct tls_ticket_key);
    if (count == 0 || count > TLS_TICKET_KEYS || bytes.size % sizeof(struct tls_ticket_key))
        return INVALID;
    pthread_mutex_lock(&tickets->mutex);
    memcpy(tickets->keys.keys, bytes.data, bytes.size);
    tickets->keys.count = (uint32_t)count;
    atomic_fetch_add_explicit(&tickets->generation, 1, memory_order_release);
    pthread_mutex_unlock(&tickets->mutex);
    return OK;
}

enum status tls_ticket_copy_init(struct tls_ticket_copy *copy, struct tls_tickets *source)
{
    *copy = (struct tls_ticket_copy){.source = source};
    if (!source)
        return OK;
    copy->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    return copy->cipher ? OK : NO_MEMORY;
}

void tls_ticket_copy_release(struct tls_ticket_copy *copy)
{
    EVP_CIPHER_free(copy->cipher);
    OPENSSL_cleanse(copy, sizeof *copy);
}

/* Takes the lock only after a rotation. */
static const struct tls_ticket_keys *present_keys(struct tls_ticket_copy *copy)
{
    struct tls_tickets *source = copy->source;
    if (atomic_load_explicit(&source->generation, memory_order_acquire) != copy->generation) {
        pthread_mutex_lock(&source->mutex);
        copy->keys = source->keys;
        copy->generation = atomic_load_explicit(&source->generation, memory_order_relaxed);
        pthread_mutex_unlock(&source->mutex);
    }
    return &copy->keys;
}

static bool set_proof(EVP_MAC_CTX *mac, const struct tls_ticket_key *key)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(
            OSSL_MAC_PARAM_KEY, (void *)key->proof, sizeof key->proof),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int find_key(const struct tls_ticket_keys *keys, const unsigned char name[16])
{
    for (int i = 0; i < (int)keys->count; i++)
        if (memcmp(keys->keys[i].name, name, sizeof keys->keys[i].name) == 0)
            return i;
    return -1;
}

/* OpenSSL's results: 0 no such key (a full handshake then), 1 done, 2 opened and to be sealed anew,
 * -1 failed. */
static int use_key(SSL *ssl, unsigned char name[16], unsigned char *start, EVP_CIPHER_CTX *cipher,
    EVP_MAC_CTX *mac, int seals)
{
    struct tls_ticket_copy *copy = &tls_of_ssl(ssl)->server->tickets;
    const struct tls_ticket_keys *keys = present_keys(copy);
    int found = seals ? 0 : find_key(keys, name);
    if (found < 0)
        return 0;
    const struct tls_ticket_key *key = &keys->keys[found];
    if (seals) {
        memcpy(name, key->name, sizeof key->name);
        if (RAND_bytes(start, EVP_CIPHER_get_iv_length(copy->cipher)) != 1)
            return -1;
    }
    if (!EVP_CipherInit_ex(cipher, copy->cipher, NULL, key->secret, start, seals) ||
        !set_proof(mac, key))
        return -1;
    /* Tickets of TLS 1.3 are for one use (RFC 8446 §C.4): who brings one gets another. */
    return found == 0 && SSL_version(ssl) != TLS1_3_VERSION ? 1 : 2;
}

/* A session goes on with the certificate that the client showed when it began, so it ends with
 * that: from then on the client must show another. */
static SSL_TICKET_RETURN judge_session(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
    size_t name_size, SSL_TICKET_STATUS status, void *argument)
{
    (void)ssl;
    (void)name;
    (void)name_size;
    (void)argument;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    const X509 *shown = SSL_SESSION_get0_peer(session);
    if (shown && X509_cmp_current_time(X509_get0_notAfter(shown)) <= 0)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

void tls_tickets_install(SSL_CTX *context)
{
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, use_key);
    SSL_CTX_set_session_ticket_cb(context, NULL, judge_session, NULL);
}
