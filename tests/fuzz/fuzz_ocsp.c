/* What is read of OCSP: the responder's address in a certificate, and what a responder says of one.
 * The first byte says which. */
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "base/must.h"
#include "gateway/responder.h"
#include "run/tls.h"

static struct slice take(BIO *bio)
{
    char *data;
    long size = BIO_get_mem_data(bio, &data);
    return slice_of(data, (size_t)size);
}

/* A certificate that signs itself, and so is its own issuer. */
static X509 *make_certificate(EVP_PKEY *key)
{
    X509 *made = X509_new();
    must(made && X509_set_version(made, 2) && X509_set_pubkey(made, key));
    must(ASN1_INTEGER_set(X509_get_serialNumber(made), 7));
    must(X509_gmtime_adj(X509_getm_notBefore(made), -3600));
    must(X509_gmtime_adj(X509_getm_notAfter(made), 3600));
    X509_NAME *name = X509_get_subject_name(made);
    must(X509_NAME_add_entry_by_txt(
        name, "CN", MBSTRING_ASC, (const unsigned char *)"a.example", -1, -1, 0));
    must(X509_set_issuer_name(made, name) && X509_sign(made, key, EVP_sha256()));
    return made;
}

static struct tls_identity *make_identity(void)
{
    struct tls_identity *identity;
    const char *problem;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *chain = BIO_new(BIO_s_mem()), *secret = BIO_new(BIO_s_mem());
    must(key && chain && secret);
    X509 *certificate = make_certificate(key);
    must(PEM_write_bio_X509(chain, certificate) && PEM_write_bio_X509(chain, certificate));
    must(PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL));
    must(tls_identity_new(take(chain), take(secret), &identity, &problem) == OK);
    BIO_free(chain);
    BIO_free(secret);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return identity;
}

/* Nobody here has signed a word of it. */
static void read_answer(struct slice answer)
{
    static struct tls_identity *identity; /* made once: keys take long */
    int64_t until = -1;
    if (!identity)
        identity = make_identity();
    enum status e = tls_identity_staple(identity, answer, &until);
    must((e == INVALID || answer.size == 0) && until == -1);
}

static void read_url(struct slice url)
{
    struct arena arena;
    struct fetch_place responder;
    arena_init(&arena, 0, 0);
    if (responder_parse(&arena, url, &responder) == OK) {
        must(slice_has_prefix(responder.path, SLICE("/")) && responder.host.size > 0);
        must(slice_find(responder.path, ' ') == responder.path.size);
        must(slice_find(responder.path, '\n') == responder.path.size);
        must(slice_find(responder.authority, '\n') == responder.authority.size);
    }
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice rest = slice_of((const char *)data + 1, size - 1);
    if (data[0] & 1)
        read_answer(rest);
    else
        read_url(rest);
    return 0;
}
