#include "jose/jwk.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>

#include "base/base64.h"

/* What a kind of key needs to become one. */
struct reading {
    struct arena *arena;
    const struct json_value *jwk;
    const char *why;
};

static enum status refuse(struct reading *reading, const char *why)
{
    reading->why = why;
    return INVALID;
}

/* A member's bytes: base64url without padding (RFC 7518 §2). */
static enum status read_bytes(struct reading *reading, struct slice name, struct slice *ret_bytes)
{
    struct slice text;
    size_t size;
    if (!json_get_text(reading->jwk, name, &text))
        return refuse(reading, "a part of the key is missing");
    char *bytes = arena_bytes(reading->arena, base64_decoded_size(text.size) + 1);
    if (!bytes)
        return NO_MEMORY;
    if (!base64_decode(text, BASE64_URL | BASE64_UNPADDED, bytes, &size))
        return refuse(reading, "a part of the key is not base64url");
    *ret_bytes = slice_of(bytes, size);
    return OK;
}

static unsigned bits_of(enum jose_family family, const char *curve)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < JOSE_ALGORITHM_COUNT; i++) {
        const struct jose_algorithm_facts *facts = jose_algorithm_facts((enum jose_algorithm)i);
        if (facts->family == family && (!curve || strcmp(facts->curve, curve) == 0))
            bits |= 1u << i;
    }
    return bits;
}

static unsigned bits_of_rsa(const EVP_PKEY *pair, const char **ret_why)
{
    int size = EVP_PKEY_get_bits(pair);
    if (size < JOSE_RSA_BITS_MIN || size > JOSE_RSA_BITS_MAX) {
        *ret_why = "an RSA key has 2048 to 8192 bits";
        return 0;
    }
    return EVP_PKEY_is_a(pair, "RSA-PSS")
               ? bits_of(JOSE_BY_RSA_PSS, NULL)
               : bits_of(JOSE_BY_RSA, NULL) | bits_of(JOSE_BY_RSA_PSS, NULL);
}

unsigned jwk_algorithms_of(const EVP_PKEY *pair, const char **ret_why)
{
    char group[64];
    size_t size;
    unsigned bits = 0;
    if (EVP_PKEY_is_a(pair, "RSA") || EVP_PKEY_is_a(pair, "RSA-PSS"))
        return bits_of_rsa(pair, ret_why);
    if (EVP_PKEY_is_a(pair, "ED25519") || EVP_PKEY_is_a(pair, "ED448"))
        bits = bits_of(JOSE_BY_EDDSA, NULL);
    else if (EVP_PKEY_is_a(pair, "EC") &&
             EVP_PKEY_get_group_name(pair, group, sizeof group, &size)) {
        const char *curve = EC_curve_nid2nist(OBJ_txt2nid(group));
        bits = curve ? bits_of(JOSE_BY_ECDSA, curve) : 0;
    }
    if (!bits)
        *ret_why = "there is no signature algorithm for this kind of key";
    return bits;
}

unsigned jwk_algorithms_of_secret(size_t size)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < JOSE_ALGORITHM_COUNT; i++) {
        const struct jose_algorithm_facts *facts = jose_algorithm_facts((enum jose_algorithm)i);
        if (facts->family == JOSE_BY_HMAC && size >= facts->digest_size)
            bits |= 1u << i;
    }
    return bits;
}

static enum status make_pair(const char *kind, OSSL_PARAM *parameters, EVP_PKEY **ret_pair)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    EVP_PKEY *pair = NULL;
    bool is_done = context && parameters && EVP_PKEY_fromdata_init(context) > 0 &&
                   EVP_PKEY_fromdata(context, &pair, EVP_PKEY_PUBLIC_KEY, parameters) > 0;
    EVP_PKEY_CTX_free(context);
    if (!is_done)
        return INVALID;
    *ret_pair = pair;
    return OK;
}

static BIGNUM *number_of(struct slice bytes)
{
    return BN_bin2bn((const unsigned char *)bytes.data, (int)bytes.size, NULL);
}

static enum status make_rsa(struct slice modulus, struct slice exponent, EVP_PKEY **ret_pair)
{
    BIGNUM *n = number_of(modulus), *e = number_of(exponent);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    bool is_ready = n && e && build && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) &&
                    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e);
    OSSL_PARAM *parameters = is_ready ? OSSL_PARAM_BLD_to_param(build) : NULL;
    enum status result = make_pair("RSA", parameters, ret_pair);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(build);
    BN_free(n);
    BN_free(e);
    return result;
}

/* RFC 7518 §6.3.1. The bounds keep what verifying costs within reason; a modulus that is even, or
 * an exponent of 1, would make forging easy. */
static enum status read_rsa(struct reading *reading, struct jose_key *key)
{
    struct slice modulus, exponent;
    enum status e = read_bytes(reading, SLICE("n"), &modulus);
    if (!e)
        e = read_bytes(reading, SLICE("e"), &exponent);
    if (e)
        return e;
    if (modulus.size < JOSE_RSA_BITS_MIN / 8 || modulus.size > JOSE_RSA_BITS_MAX / 8)
        return refuse(reading, "an RSA key has 2048 to 8192 bits");
    bool is_odd = modulus.data[modulus.size - 1] & 1;
    if (!is_odd || exponent.size < 1 || exponent.size > 8 ||
        !(exponent.data[exponent.size - 1] & 1) || (exponent.size == 1 && exponent.data[0] == 1))
        return refuse(reading, "these numbers are no RSA key");
    return make_rsa(modulus, exponent, &key->pair) ? refuse(reading, "these numbers are no RSA key")
                                                   : OK;
}

static const struct curve {
    struct slice word;
    const char *group; /* OpenSSL's name */
    size_t size;       /* bytes of a coordinate */
} curves[] = {
    {SLICE_INIT("P-256"), "prime256v1", 32},
    {SLICE_INIT("P-384"), "secp384r1", 48},
    {SLICE_INIT("P-521"), "secp521r1", 66},
};

static enum status make_ec(
    const struct curve *curve, struct slice x, struct slice y, EVP_PKEY **ret_pair)
{
    unsigned char point[1 + 2 * 66] = {POINT_CONVERSION_UNCOMPRESSED};
    memcpy(point + 1, x.data, x.size);
    memcpy(point + 1 + x.size, y.data, y.size);
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)curve->group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + x.size + y.size),
        OSSL_PARAM_construct_end(),
    };
    return make_pair("EC", parameters, ret_pair);
}

/* RFC 7518 §6.2.1. OpenSSL refuses a point that does not lie on the curve. */
static enum status read_ec(struct reading *reading, struct jose_key *key)
{
    struct slice word = SLICE_NONE, x, y;
    const struct curve *curve = NULL;
    json_get_text(reading->jwk, SLICE("crv"), &word);
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++)
        if (slice_equal(curves[i].word, word))
            curve = &curves[i];
    if (!curve)
        return refuse(reading, "the curve is not known here");
    enum status e = read_bytes(reading, SLICE("x"), &x);
    if (!e)
        e = read_bytes(reading, SLICE("y"), &y);
    if (e)
        return e;
    if (x.size != curve->size || y.size != curve->size || make_ec(curve, x, y, &key->pair))
        return refuse(reading, "this is no point of the curve");
    return OK;
}

/* RFC 8037 §2. The keys for agreement (X25519, X448) sign nothing. */
static enum status read_okp(struct reading *reading, struct jose_key *key)
{
    struct slice word = SLICE_NONE, x;
    json_get_text(reading->jwk, SLICE("crv"), &word);
    int kind = slice_equal(word, SLICE("Ed25519")) ? EVP_PKEY_ED25519
               : slice_equal(word, SLICE("Ed448")) ? EVP_PKEY_ED448
                                                   : 0;
    if (!kind)
        return refuse(reading, "the curve is not known here");
    enum status e = read_bytes(reading, SLICE("x"), &x);
    if (e)
        return e;
    key->pair = EVP_PKEY_new_raw_public_key(kind, NULL, (const unsigned char *)x.data, x.size);
    return key->pair ? OK : refuse(reading, "this is no point of the curve");
}

/* "use" and "key_ops" (RFC 7517 §4.2 and §4.3), where they are given. */
static bool is_for_verifying(const struct json_value *jwk)
{
    struct slice word;
    const struct json_value *use = json_get(jwk, SLICE("use"));
    const struct json_value *operations = json_get(jwk, SLICE("key_ops"));
    if (use && (!json_get_text(jwk, SLICE("use"), &word) || !slice_equal(word, SLICE("sig"))))
        return false;
    if (!operations)
        return true;
    if (operations->type == JSON_ARRAY)
        json_each (item, operations)
            if (item->type == JSON_STRING && slice_equal(item->text, SLICE("verify")))
                return true;
    return false;
}

/* A key's own "alg" leaves that one only. */
static enum status narrow(struct reading *reading, struct jose_key *key)
{
    struct slice word;
    enum jose_algorithm algorithm;
    if (!json_get(reading->jwk, SLICE("alg")))
        return OK;
    if (!json_get_text(reading->jwk, SLICE("alg"), &word) || !jose_algorithm_find(word, &algorithm))
        return refuse(reading, "the key is for an algorithm that is not known here");
    key->algorithms &= 1u << algorithm;
    return key->algorithms ? OK : refuse(reading, "the key's \"alg\" does not fit the key");
}

static enum status read_kind(struct reading *reading, unsigned options, struct jose_key *key)
{
    struct slice kind = SLICE_NONE;
    enum status e;
    json_get_text(reading->jwk, SLICE("kty"), &kind);
    if (slice_equal(kind, SLICE("oct"))) {
        if (options & JOSE_PUBLIC_ONLY)
            return refuse(reading, "a secret does not belong where anybody can read it");
        e = read_bytes(reading, SLICE("k"), &key->secret);
        key->algorithms = e ? 0 : jwk_algorithms_of_secret(key->secret.size);
        return e || key->algorithms ? e : refuse(reading, JWK_SHORT_SECRET);
    }
    if (slice_equal(kind, SLICE("RSA")))
        e = read_rsa(reading, key);
    else if (slice_equal(kind, SLICE("EC")))
        e = read_ec(reading, key);
    else if (slice_equal(kind, SLICE("OKP")))
        e = read_okp(reading, key);
    else
        return refuse(reading, "the kind of key (\"kty\") is not known here");
    if (!e)
        key->algorithms = jwk_algorithms_of(key->pair, &reading->why);
    return e || key->algorithms ? e : INVALID;
}

enum status jwk_read(struct arena *arena, const struct json_value *jwk, unsigned options,
    struct jose_key *ret_key, const char **ret_why)
{
    struct reading reading = {.arena = arena, .jwk = jwk};
    struct jose_key key = {0};
    enum status e = OK;
    if (!jwk || jwk->type != JSON_OBJECT)
        e = refuse(&reading, "a key is a JSON object");
    else if (!is_for_verifying(jwk))
        e = refuse(&reading, "the key is for something else than verifying");
    else if (json_get(jwk, SLICE("kid")) && !json_get_text(jwk, SLICE("kid"), &key.id))
        e = refuse(&reading, "a key's name (\"kid\") is a string");
    if (!e)
        e = read_kind(&reading, options, &key);
    if (!e)
        e = narrow(&reading, &key);
    if (e) {
        EVP_PKEY_free(key.pair);
        *ret_why = e == NO_MEMORY ? "out of memory" : reading.why;
        return e;
    }
    *ret_key = key;
    return OK;
}
