#include "jose/jws.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/base64.h"
#include "base/octets.h"
#include "base/json.h"
#include "base/text.h"
#include "jose/verifier.h"

static enum status decode(struct arena *arena, struct slice text, struct slice *ret_bytes)
{
    size_t size;
    char *bytes = arena_bytes(arena, base64_decoded_size(text.size) + 1);
    if (!bytes)
        return NO_MEMORY;
    if (!base64_decode(text, BASE64_URL | BASE64_UNPADDED, bytes, &size))
        return TOKEN_MALFORMED;
    *ret_bytes = slice_of(bytes, size);
    return OK;
}

/* A member that must be a string if it is there at all. */
static bool get_optional(const struct json_value *header, struct slice name, struct slice *ret_text)
{
    *ret_text = SLICE_NONE;
    return !json_get(header, name) || json_get_text(header, name, ret_text);
}

static enum status decode_header(
    struct arena *arena, struct slice text, const struct json_value **ret_header)
{
    const struct json_limits limits = {.depth = 8};
    struct slice bytes;
    struct json_value *header;
    enum status e = decode(arena, text, &bytes);
    if (!e)
        e = json_parse(arena, bytes, &limits, &header, NULL);
    if (e)
        return e == NO_MEMORY ? e : TOKEN_MALFORMED;
    *ret_header = header;
    return header->type == JSON_OBJECT ? OK : TOKEN_MALFORMED;
}

enum status jws_split(struct arena *arena, struct slice token, struct jws_parts *ret_parts)
{
    struct jws_parts parts;
    size_t header_size = slice_find(token, '.');
    struct slice rest = slice_from(token, header_size + 1);
    size_t payload_size = slice_find(rest, '.');
    if (token.size > JWS_SIZE_MAX || payload_size == rest.size)
        return TOKEN_MALFORMED;
    parts.input = slice_head(token, header_size + 1 + payload_size);
    enum status e = decode_header(arena, slice_head(token, header_size), &parts.header);
    if (!e)
        e = decode(arena, slice_head(rest, payload_size), &parts.payload);
    if (!e)
        e = decode(arena, slice_from(rest, payload_size + 1), &parts.signature);
    if (!e)
        *ret_parts = parts;
    return e;
}

enum status jws_of(const struct jws_parts *parts, struct jws *ret_jws)
{
    struct jws jws = {
        .input = parts->input, .payload = parts->payload, .signature = parts->signature};
    struct slice word;
    if (json_get(parts->header, SLICE("crit")) ||
        !json_get_text(parts->header, SLICE("alg"), &word) ||
        !get_optional(parts->header, SLICE("kid"), &jws.id) ||
        !get_optional(parts->header, SLICE("typ"), &jws.type))
        return TOKEN_MALFORMED;
    if (!jose_algorithm_find(word, &jws.algorithm))
        return TOKEN_ALGORITHM;
    *ret_jws = jws;
    return OK;
}

enum status jws_read(struct arena *arena, struct slice token, struct jws *ret_jws)
{
    struct jws_parts parts;
    enum status e = jws_split(arena, token, &parts);
    return e ? e : jws_of(&parts, ret_jws);
}

static enum status verify_hmac(
    const struct jws *jws, const struct jose_algorithm_facts *facts, const struct jose_key *key)
{
    unsigned char code[EVP_MAX_MD_SIZE];
    size_t size;
    if (!EVP_Q_mac(NULL, "HMAC", NULL, facts->digest, NULL, key->secret.data, key->secret.size,
            octets_of(jws->input), jws->input.size, code, sizeof code, &size))
        return NO_MEMORY;
    bool is_same =
        jws->signature.size == size && CRYPTO_memcmp(jws->signature.data, code, size) == 0;
    OPENSSL_cleanse(code, sizeof code);
    return is_same ? OK : TOKEN_SIGNATURE;
}

/* One of the two numbers of a signature as ASN.1, which has a sign and no zeros before it. */
static void add_number(struct text *asn1, const char *bytes, size_t size)
{
    for (; size > 1 && *bytes == 0; size--)
        bytes++;
    bool has_high_bit = *bytes & 0x80;
    text_add_char(asn1, 0x02);
    text_add_char(asn1, (char)(size + has_high_bit));
    if (has_high_bit)
        text_add_char(asn1, 0);
    text_add(asn1, slice_of(bytes, size));
}

/* JOSE joins the two numbers (RFC 7518 §3.4), OpenSSL wants them as ASN.1: a sequence, whose size
 * needs a byte more where it is over 127. */
#define ASN1_SIZE_MAX 160
#define ASN1_LONG     3
static struct slice write_asn1(struct slice joined, char room[ASN1_SIZE_MAX])
{
    struct text numbers = text_fixed(room + ASN1_LONG, ASN1_SIZE_MAX - ASN1_LONG);
    size_t half = joined.size / 2;
    add_number(&numbers, joined.data, half);
    add_number(&numbers, joined.data + half, half);
    size_t head = numbers.size > 0x7f ? ASN1_LONG : ASN1_LONG - 1;
    char *first = room + ASN1_LONG - head;
    first[0] = 0x30;
    first[1] = (char)0x81; /* one byte of size follows */
    room[ASN1_LONG - 1] = (char)numbers.size;
    return slice_of(first, head + numbers.size);
}

static enum status verify_ecdsa(const struct jws *jws, const struct jose_key *key)
{
    char asn1[ASN1_SIZE_MAX];
    size_t half = ((size_t)EVP_PKEY_get_bits(key->pair) + 7) / 8;
    if (!jws->signature.data || jws->signature.size != 2 * half)
        return TOKEN_SIGNATURE;
    return jose_verify(
        key->verifiers, key->pair, jws->algorithm, jws->input, write_asn1(jws->signature, asn1));
}

/* It takes the text itself instead of a digest, and all of it at once. */
static enum status verify_eddsa(const struct jws *jws, const struct jose_key *key)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    enum status e = NO_MEMORY;
    if (context && EVP_DigestVerifyInit_ex(context, NULL, NULL, NULL, NULL, key->pair, NULL) > 0)
        e = EVP_DigestVerify(context, octets_of(jws->signature), jws->signature.size,
                octets_of(jws->input), jws->input.size) == 1
                ? OK
                : TOKEN_SIGNATURE;
    EVP_MD_CTX_free(context);
    return e;
}

static enum status try_key(const struct jws *jws, const struct jose_key *key)
{
    const struct jose_algorithm_facts *facts = jose_algorithm_facts(jws->algorithm);
    switch (facts->family) {
    case JOSE_BY_HMAC:
        return verify_hmac(jws, facts, key);
    case JOSE_BY_ECDSA:
        return verify_ecdsa(jws, key);
    case JOSE_BY_EDDSA:
        return verify_eddsa(jws, key);
    case JOSE_BY_RSA:
    case JOSE_BY_RSA_PSS:
        break;
    }
    return jose_verify(key->verifiers, key->pair, jws->algorithm, jws->input, jws->signature);
}

/* A key that has no name of its own is meant for any token (a PEM in a file has none). */
static bool is_meant(const struct jws *jws, const struct jose_key *key)
{
    return jws->id.size == 0 || key->id.size == 0 || slice_equal(jws->id, key->id);
}

enum status jws_verify(const struct jws *jws, const struct jose_keys *keys)
{
    enum status e = TOKEN_KEY;
    unsigned tries = 0;
    for (const struct jose_key *key = jose_keys_first(keys); key; key = key->next) {
        if (!is_meant(jws, key))
            continue;
        if (!(key->algorithms >> jws->algorithm & 1)) {
            if (e == TOKEN_KEY && key->id.size > 0 && jws->id.size > 0)
                e = TOKEN_ALGORITHM;
            continue;
        }
        e = try_key(jws, key);
        if (e != TOKEN_SIGNATURE || ++tries == JWS_TRIES_MAX)
            break;
    }
    return e;
}
