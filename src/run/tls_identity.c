#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "run/tls_core.h"

#define CHAIN_MAX 16

/* What PEM says about passwords is asked here: there is none, and nobody is to be asked for it on a
 * terminal. */
static int refuse_password(char *room, int size, int writes, void *was_asked)
{
    (void)writes;
    if (size > 0)
        room[0] = '\0';
    *(bool *)was_asked = true;
    return -1;
}

static BIO *open_bytes(struct slice bytes)
{
    return bytes.size > INT32_MAX ? NULL : BIO_new_mem_buf(bytes.data, (int)bytes.size);
}

static const char *read_chain(struct tls_identity *identity, struct slice pem)
{
    BIO *bio = open_bytes(pem);
    const char *problem = NULL;
    identity->chain = sk_X509_new_null();
    identity->leaf = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    if (!identity->leaf || !identity->chain)
        problem = "there is no certificate in it, or it is malformed";
    while (!problem) {
        X509 *next = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (!next) {
            if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
                problem = "a certificate of the chain is malformed";
            break;
        }
        if (sk_X509_num(identity->chain) == CHAIN_MAX || !sk_X509_push(identity->chain, next)) {
            X509_free(next);
            problem = "the chain is too long";
        }
    }
    BIO_free(bio);
    return problem;
}

static const char *read_key(struct tls_identity *identity, struct slice pem)
{
    bool was_asked = false;
    BIO *bio = open_bytes(pem);
    ERR_clear_error();
    if (bio)
        identity->key = PEM_read_bio_PrivateKey(bio, NULL, refuse_password, &was_asked);
    BIO_free(bio);
    if (was_asked)
        return "the key is encrypted; write it without a password";
    return identity->key ? NULL : "there is no private key in it, or it is malformed";
}

/* What OpenSSL would refuse when a client asks, said at once. */
static const char *check_key(const struct tls_identity *identity)
{
    if (X509_check_private_key(identity->leaf, identity->key) != 1)
        return "the key does not belong to the certificate";
    if (EVP_PKEY_is_a(identity->key, "RSA") && EVP_PKEY_get_bits(identity->key) < 2048)
        return "the RSA key has fewer than 2048 bits";
    return NULL;
}

int64_t tls_seconds_of(const ASN1_TIME *time)
{
    int days = 0, seconds = 0;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    if (!epoch || !ASN1_TIME_diff(&days, &seconds, epoch, time))
        days = seconds = 0;
    ASN1_TIME_free(epoch);
    return (int64_t)days * (DAY / SECOND) + seconds;
}

static void write_hexadecimal(const unsigned char digest[32], char ret_text[TLS_DIGEST_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < 32; i++) {
        ret_text[2 * i] = digits[digest[i] >> 4];
        ret_text[2 * i + 1] = digits[digest[i] & 15];
    }
    ret_text[64] = '\0';
}

bool tls_fingerprint(const X509 *certificate, char ret_text[TLS_DIGEST_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (!X509_digest(certificate, EVP_sha256(), digest, NULL))
        return false;
    write_hexadecimal(digest, ret_text);
    return true;
}

enum status tls_digest(struct slice bytes, char ret_text[TLS_DIGEST_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    if (!EVP_Digest(bytes.data, bytes.size, digest, NULL, EVP_sha256(), NULL))
        return NO_MEMORY;
    write_hexadecimal(digest, ret_text);
    return OK;
}

/* Names that no TLS client could ask for are left out. */
static bool add_name(struct tls_identity *identity, const GENERAL_NAME *name)
{
    char room[TLS_NAME_MAX + 1];
    if (name->type != GEN_DNS)
        return true;
    struct slice text = slice_of((const char *)ASN1_STRING_get0_data(name->d.dNSName),
        (size_t)ASN1_STRING_length(name->d.dNSName));
    bool is_wild = slice_has_prefix(text, SLICE("*."));
    if (!tls_lower_name(is_wild ? slice_from(text, 2) : text, room))
        return true;
    struct slice copy = arena_format(&identity->arena, "%s%s", is_wild ? "*." : "", room);
    identity->names[identity->name_count++] = copy;
    return copy.data != NULL;
}

static bool read_names(struct tls_identity *identity)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(identity->leaf, NID_subject_alt_name, NULL, NULL);
    int count = names ? sk_GENERAL_NAME_num(names) : 0;
    identity->names = arena_array(&identity->arena, (size_t)count + 1, sizeof *identity->names);
    bool is_good = identity->names != NULL;
    for (int i = 0; is_good && i < count; i++)
        is_good = add_name(identity, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
    return is_good;
}

static bool read_facts(struct tls_identity *identity)
{
    identity->from = tls_seconds_of(X509_get0_notBefore(identity->leaf));
    identity->until = tls_seconds_of(X509_get0_notAfter(identity->leaf));
    STACK_OF(OPENSSL_STRING) *places = X509_get1_ocsp(identity->leaf);
    bool is_good = true;
    if (places && sk_OPENSSL_STRING_num(places) > 0) {
        struct slice first = slice_of_text(sk_OPENSSL_STRING_value(places, 0));
        identity->responder = arena_copy(&identity->arena, first);
        is_good = identity->responder.data != NULL;
    }
    X509_email_free(places);
    return is_good && tls_fingerprint(identity->leaf, identity->fingerprint) &&
           read_names(identity);
}

enum status tls_identity_new(struct slice chain, struct slice key,
    struct tls_identity **ret_identity, const char **ret_problem)
{
    struct tls_identity *identity = calloc(1, sizeof *identity);
    if (!identity)
        return NO_MEMORY;
    identity->users = 1;
    pthread_mutex_init(&identity->mutex, NULL);
    arena_init(&identity->arena, 0, 0);
    const char *problem = read_chain(identity, chain);
    if (!problem)
        problem = read_key(identity, key);
    if (!problem)
        problem = check_key(identity);
    enum status e = problem ? INVALID : read_facts(identity) ? OK : NO_MEMORY;
    ERR_clear_error();
    if (problem)
        *ret_problem = problem;
    if (e)
        tls_identity_unref(identity);
    else
        *ret_identity = identity;
    return e;
}

struct tls_identity *tls_identity_ref(struct tls_identity *identity)
{
    atomic_fetch_add_explicit(&identity->users, 1, memory_order_relaxed);
    return identity;
}

void tls_identity_unref(struct tls_identity *identity)
{
    if (!identity || atomic_fetch_sub_explicit(&identity->users, 1, memory_order_acq_rel) != 1)
        return;
    X509_free(identity->leaf);
    sk_X509_pop_free(identity->chain, X509_free);
    EVP_PKEY_free(identity->key);
    arena_release(&identity->arena);
    pthread_mutex_destroy(&identity->mutex);
    free(identity->staple);
    free(identity);
}

const struct slice *tls_identity_names(const struct tls_identity *identity, size_t *ret_count)
{
    *ret_count = identity->name_count;
    return identity->names;
}

int64_t tls_identity_from(const struct tls_identity *identity)
{
    return identity->from;
}

int64_t tls_identity_until(const struct tls_identity *identity)
{
    return identity->until;
}

const char *tls_identity_fingerprint(const struct tls_identity *identity)
{
    return identity->fingerprint;
}

struct slice tls_identity_responder(const struct tls_identity *identity)
{
    return identity->responder;
}
