#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "run/tls_core.h"

#define FACTS_MAX ((size_t)64 * 1024) /* of memory that a peer's certificate may take here */

struct tls_certificate_facts {
    struct tls_certificate certificate;
    struct arena arena;
};

static struct slice protocol_of(const struct tls *tls)
{
    const unsigned char *protocol;
    unsigned size;
    if (tls->server)
        return tls->protocol;
    SSL_get0_alpn_selected(tls->ssl, &protocol, &size);
    return slice_of((const char *)protocol, size);
}

static void ask_openssl(const struct tls *tls, struct tls_facts *facts)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(tls->ssl);
    facts->version = SSL_get_version(tls->ssl);
    facts->cipher = cipher ? SSL_CIPHER_standard_name(cipher) : "";
    facts->is_resumed = SSL_session_reused(tls->ssl) == 1;
    facts->has_certificate =
        SSL_get0_peer_certificate(tls->ssl) != NULL && SSL_get_verify_result(tls->ssl) == X509_V_OK;
}

bool tls_facts(const struct stream *stream, struct tls_facts *ret_facts)
{
    const struct tls *tls = tls_of(stream);
    if (!tls)
        return false;
    struct tls_facts facts = {.protocol = protocol_of(tls),
        .name = slice_of_text(tls->name),
        .is_challenge = tls->is_challenge};
    if (tls->direct) {
        facts.version = tls->direct->version;
        facts.cipher = tls->direct->cipher;
        facts.is_resumed = tls->direct->is_resumed;
        facts.has_certificate = tls->direct->is_verified;
    } else {
        ask_openssl(tls, &facts);
    }
    *ret_facts = facts;
    return true;
}

static struct slice take_bio(struct arena *arena, BIO *bio)
{
    char *data;
    long size = BIO_get_mem_data(bio, &data);
    return arena_copy(arena, slice_of(data, size > 0 ? (size_t)size : 0));
}

static struct slice write_name(struct arena *arena, const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct slice text = SLICE_NONE;
    unsigned long form = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
    if (bio && X509_NAME_print_ex(bio, name, 0, form) >= 0)
        text = take_bio(arena, bio);
    BIO_free(bio);
    return text;
}

static struct slice write_serial(struct arena *arena, const X509 *certificate)
{
    BIO *bio = BIO_new(BIO_s_mem());
    struct slice text = SLICE_NONE;
    if (bio && i2a_ASN1_INTEGER(bio, X509_get0_serialNumber(certificate)) > 0)
        text = take_bio(arena, bio);
    BIO_free(bio);
    return text;
}

static struct slice write_address(struct arena *arena, const ASN1_OCTET_STRING *bytes)
{
    struct address address = {.size = sizeof address.v6};
    const unsigned char *data = ASN1_STRING_get0_data(bytes);
    int size = ASN1_STRING_length(bytes);
    char room[ADDRESS_TEXT_MAX];
    struct text text = text_fixed(room, sizeof room);
    if (size == 4) {
        address.v4 = (struct sockaddr_in){.sin_family = AF_INET};
        memcpy(&address.v4.sin_addr, data, 4);
    } else if (size == 16) {
        address.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
        memcpy(&address.v6.sin6_addr, data, 16);
    } else {
        return SLICE_NONE;
    }
    address_format_ip(&address, &text);
    return arena_copy(arena, text_slice(&text));
}

/* Kinds that nobody compares with anything give none. */
static struct slice write_alternative(struct arena *arena, const GENERAL_NAME *name)
{
    if (name->type == GEN_IPADD)
        return write_address(arena, name->d.iPAddress);
    if (name->type != GEN_DNS && name->type != GEN_EMAIL && name->type != GEN_URI)
        return SLICE_NONE;
    const ASN1_STRING *text = name->d.ia5;
    return arena_copy(arena,
        slice_of((const char *)ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text)));
}

static void add_names(struct tls_certificate_facts *facts, const X509 *certificate)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int count = names ? sk_GENERAL_NAME_num(names) : 0;
    struct slice *list = arena_array(&facts->arena, (size_t)count + 1, sizeof *list);
    for (int i = 0; list && i < count; i++) {
        struct slice text = write_alternative(&facts->arena, sk_GENERAL_NAME_value(names, i));
        if (text.data)
            list[facts->certificate.name_count++] = text;
    }
    facts->certificate.names = list;
    GENERAL_NAMES_free(names);
}

static struct tls_certificate_facts *read_facts(const X509 *certificate)
{
    struct tls_certificate_facts *facts = calloc(1, sizeof *facts);
    char fingerprint[TLS_DIGEST_SIZE];
    if (!facts || !tls_fingerprint(certificate, fingerprint)) {
        free(facts);
        return NULL;
    }
    struct tls_certificate *c = &facts->certificate;
    struct arena *arena = &facts->arena;
    arena_init(arena, 1024, FACTS_MAX);
    c->subject = write_name(arena, X509_get_subject_name(certificate));
    c->issuer = write_name(arena, X509_get_issuer_name(certificate));
    c->serial = write_serial(arena, certificate);
    c->fingerprint = arena_copy(arena, slice_of_text(fingerprint));
    c->until = tls_seconds_of(X509_get0_notAfter(certificate));
    add_names(facts, certificate);
    if (c->subject.data && c->issuer.data && c->serial.data && c->fingerprint.data && c->names)
        return facts;
    tls_certificate_facts_free(facts);
    return NULL;
}

void tls_certificate_facts_free(struct tls_certificate_facts *facts)
{
    if (!facts)
        return;
    arena_release(&facts->arena);
    free(facts);
}

const struct tls_certificate *tls_certificate(struct stream *stream)
{
    struct tls *tls = tls_of(stream);
    if (!tls)
        return NULL;
    const X509 *certificate =
        tls->direct ? tls->direct->certificate : SSL_get0_peer_certificate(tls->ssl);
    if (!tls->certificate && certificate) {
        tls->certificate = read_facts(certificate);
        ERR_clear_error();
    }
    return tls->certificate ? &tls->certificate->certificate : NULL;
}
