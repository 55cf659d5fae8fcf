#include "jose/keys.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/text.h"
#include "support/unit.h"

static struct jose_keys *keys;
static const char *why;

static int set_up(void **state)
{
    (void)state;
    why = NULL;
    assert_ok(jose_keys_new(&keys));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    jose_keys_unref(keys);
    return 0;
}

#define BIT(name) (1u << JOSE_##name)
#define RSA_BITS  (BIT(RS256) | BIT(RS384) | BIT(RS512) | BIT(PS256) | BIT(PS384) | BIT(PS512))

/* RFC 7517 §A.1: a public key of each kind. */
#define EC_X "\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\""
#define EC_Y "\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\""
#define EC   "\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X "," EC_Y
#define RSA_N                                                                                 \
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_" \
    "BJECPeb"                                                                                 \
    "WKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_"       \
    "FDW2QvzqY368Q"                                                                           \
    "QMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-"                    \
    "bFTWhAI4vMQFh6WeZu0fM4lFd2"                                                              \
    "NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
#define RSA "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" RSA_N "\""
#define OKP \
    "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define OCT "\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\""

static void each_kind_has_its_algorithms(void **state)
{
    (void)state;
    static const struct {
        const char *jwk;
        unsigned algorithms;
    } rows[] = {
        {"{" EC "}", BIT(ES256)},
        {"{" EC ",\"alg\":\"ES256\",\"use\":\"sig\",\"key_ops\":[\"verify\"]}", BIT(ES256)},
        {"{" RSA "}", RSA_BITS},
        {"{" RSA ",\"alg\":\"PS384\"}", BIT(PS384)},
        {"{" OKP "}", BIT(EDDSA)},
        {"{" OCT "}", BIT(HS256)},
    };
    const struct jose_key *key = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_ok(jose_keys_add_json(keys, slice_of_text(rows[i].jwk), 0, &why));
        key = key ? key->next : jose_keys_first(keys);
        assert_int_equal(key->algorithms, rows[i].algorithms);
        assert_int_equal(jose_keys_count(keys), i + 1);
    }
    assert_null(key->next);
}

static void bad_keys_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *jwk, *why;
    } rows[] = {
        {"[]", "a key is a JSON object"},
        {"{\"keys\":{}}", "\"keys\" is not an array"},
        {"{\"keys\":[]}", "the set has no key that a signature can be verified with"},
        {"{\"keys\":[7]}", "a key is a JSON object"},
        {"{\"kty\":\"DSA\"}", "the kind of key (\"kty\") is not known here"},
        {"{\"kty\":7}", "the kind of key (\"kty\") is not known here"},
        {"{" EC ",\"use\":\"enc\"}", "the key is for something else than verifying"},
        {"{" EC ",\"use\":[\"sig\"]}", "the key is for something else than verifying"},
        {"{" EC ",\"key_ops\":[\"encrypt\"]}", "the key is for something else than verifying"},
        {"{" EC ",\"key_ops\":\"verify\"}", "the key is for something else than verifying"},
        {"{" EC ",\"kid\":5}", "a key's name (\"kid\") is a string"},
        {"{" EC ",\"alg\":\"ES384\"}", "the key's \"alg\" does not fit the key"},
        {"{" EC ",\"alg\":\"none\"}", "the key is for an algorithm that is not known here"},
        {"{" RSA ",\"alg\":\"HS256\"}", "the key's \"alg\" does not fit the key"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X "}", "a part of the key is missing"},
        {"{\"kty\":\"EC\",\"crv\":\"P-192\"," EC_X "," EC_Y "}", "the curve is not known here"},
        {"{\"kty\":\"EC\",\"crv\":\"P-384\"," EC_X "," EC_Y "}", "this is no point of the curve"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X ",\"y\":\"AA\"}",
            "this is no point of the curve"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X
         ",\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyA\"}",
            "this is no point of the curve"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X ",\"y\":\"4Etl+\"}",
            "a part of the key is not base64url"},
        {"{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"AQAB\"}", "an RSA key has 2048 to 8192 bits"},
        {"{\"kty\":\"RSA\",\"e\":\"AQ\",\"n\":\"" RSA_N "\"}", "these numbers are no RSA key"},
        {"{\"kty\":\"RSA\",\"e\":\"Ag\",\"n\":\"" RSA_N "\"}", "these numbers are no RSA key"},
        {"{\"kty\":\"RSA\",\"e\":\"\",\"n\":\"" RSA_N "\"}", "these numbers are no RSA key"},
        {"{\"kty\":\"RSA\",\"e\":\"AQABAQABAQABAQAB\",\"n\":\"" RSA_N "\"}",
            "these numbers are no RSA key"},
        {"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\"}", "the curve is not known here"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}", "this is no point of the curve"},
        {"{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg\"}",
            "a secret has at least 32 bytes"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        why = NULL;
        assert_status(jose_keys_add_json(keys, slice_of_text(rows[i].jwk), 0, &why), INVALID);
        assert_string_equal(why, rows[i].why);
    }
    assert_int_equal(jose_keys_count(keys), 0);
}

static void what_is_not_json_has_a_reason(void **state)
{
    (void)state;
    assert_status(jose_keys_add_json(keys, SLICE("{\"keys\":["), 0, &why), INVALID);
    assert_non_null(why);
    assert_status(jose_keys_add_json(keys, SLICE("{" EC ",\"kty\":\"oct\"}"), 0, &why), INVALID);
}

static void a_set_passes_over_what_it_cannot_use(void **state)
{
    (void)state;
    assert_ok(jose_keys_add_json(keys,
        SLICE("{\"keys\":[{\"kty\":\"new\"},{\"kid\":\"b\"," EC "},{" RSA ",\"use\":\"enc\"}]}"), 0,
        &why));
    assert_int_equal(jose_keys_count(keys), 1);
    assert_int_equal(jose_keys_skipped(keys), 2);
    assert_slice(jose_keys_first(keys)->id, "b");
}

static void secrets_are_not_public(void **state)
{
    (void)state;
    assert_status(jose_keys_add_json(keys, SLICE("{" OCT "}"), JOSE_PUBLIC_ONLY, &why), INVALID);
    assert_string_equal(why, "a secret does not belong where anybody can read it");
    assert_ok(jose_keys_add_json(
        keys, SLICE("{\"keys\":[{" OCT "},{" OKP "}]}"), JOSE_PUBLIC_ONLY, &why));
    assert_int_equal(jose_keys_first(keys)->algorithms, BIT(EDDSA));
}

static void secrets_are_long(void **state)
{
    (void)state;
    static const char secret[64] = "this is a secret of sixty-four bytes, of which some are NUL";
    assert_status(jose_keys_add_secret(keys, slice_of(secret, 31), SLICE_NONE, &why), INVALID);
    assert_ok(jose_keys_add_secret(keys, slice_of(secret, 32), SLICE("a"), &why));
    assert_ok(jose_keys_add_secret(keys, slice_of(secret, 48), SLICE_NONE, &why));
    assert_ok(jose_keys_add_secret(keys, slice_of(secret, 64), SLICE_NONE, &why));
    const struct jose_key *key = jose_keys_first(keys);
    assert_int_equal(key->algorithms, BIT(HS256));
    assert_slice(key->id, "a");
    key = key->next;
    assert_int_equal(key->algorithms, BIT(HS256) | BIT(HS384));
    key = key->next;
    assert_int_equal(key->algorithms, BIT(HS256) | BIT(HS384) | BIT(HS512));
}

/* The public key of a new pair as PEM; freed with text_release. */
static struct text make_pem(EVP_PKEY *pair)
{
    char *data;
    struct text text = text_growing(0);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_true(pair && bio && PEM_write_bio_PUBKEY(bio, pair));
    long size = BIO_get_mem_data(bio, &data);
    text_add(&text, slice_of(data, (size_t)size));
    BIO_free(bio);
    EVP_PKEY_free(pair);
    return text;
}

static enum status add_pem(EVP_PKEY *pair)
{
    struct text pem = make_pem(pair);
    enum status e = jose_keys_add_pem(keys, slice_of(pem.data, pem.size), SLICE_NONE, &why);
    text_release(&pem);
    return e;
}

static void pem_is_read(void **state)
{
    (void)state;
    assert_ok(add_pem(EVP_EC_gen("P-521")));
    assert_ok(add_pem(EVP_PKEY_Q_keygen(NULL, NULL, "ED448")));
    const struct jose_key *key = jose_keys_first(keys);
    assert_int_equal(key->algorithms, BIT(ES512));
    assert_int_equal(key->next->algorithms, BIT(EDDSA));
    assert_status(add_pem(EVP_EC_gen("secp224r1")), INVALID);
    assert_string_equal(why, "there is no signature algorithm for this kind of key");
    assert_status(add_pem(EVP_PKEY_Q_keygen(NULL, NULL, "X25519")), INVALID);
    assert_status(add_pem(EVP_RSA_gen(1024)), INVALID);
    assert_string_equal(why, "an RSA key has 2048 to 8192 bits");
    assert_status(jose_keys_add_pem(keys, SLICE("nothing"), SLICE_NONE, &why), INVALID);
    assert_string_equal(why, "this is neither a public key nor a certificate in PEM");
}

static void sets_are_bounded(void **state)
{
    (void)state;
    static const char id[JOSE_KEY_ID_MAX + 1] = "";
    static const char secret[32] = "a secret that has thirty-two by";
    struct slice bytes = slice_of(secret, sizeof secret);
    assert_status(jose_keys_add_secret(keys, bytes, slice_of(id, sizeof id), &why), TOO_LARGE);
    for (int i = 0; i < JOSE_KEYS_MAX; i++)
        assert_ok(jose_keys_add_secret(keys, bytes, SLICE_NONE, &why));
    assert_status(jose_keys_add_secret(keys, bytes, SLICE_NONE, &why), TOO_LARGE);
    char *large = calloc(1, JOSE_SET_SIZE_MAX + 1);
    assert_non_null(large);
    memset(large, ' ', JOSE_SET_SIZE_MAX + 1);
    assert_status(
        jose_keys_add_json(keys, slice_of(large, JOSE_SET_SIZE_MAX + 1), 0, &why), TOO_LARGE);
    free(large);
}

static void a_set_dies_with_its_last_user(void **state)
{
    (void)state;
    assert_ok(jose_keys_add_json(keys, SLICE("{" EC "}"), 0, &why));
    assert_ptr_equal(jose_keys_ref(keys), keys);
    jose_keys_unref(keys);
    assert_int_equal(jose_keys_count(keys), 1);
    jose_keys_unref(NULL);
}

static void a_set_covers_another(void **state)
{
    struct jose_keys *others;
    (void)state;
    assert_ok(jose_keys_new(&others));
    assert_true(jose_keys_cover(keys, others));
    assert_ok(jose_keys_add_json(others, SLICE("{" EC "}"), 0, &why));
    assert_false(jose_keys_cover(keys, others));
    assert_ok(add_pem(EVP_EC_gen("P-256")));
    assert_false(jose_keys_cover(keys, others)); /* of the same kind, but another */
    assert_ok(jose_keys_add_json(keys, SLICE("{" EC ",\"kid\":\"1\"}"), 0, &why));
    assert_false(jose_keys_cover(keys, others)); /* under another name */
    assert_ok(jose_keys_add_json(keys, SLICE("{" EC "}"), 0, &why));
    assert_true(jose_keys_cover(keys, others));
    assert_false(jose_keys_cover(others, keys));
    static const char secret[32] = "a secret that has thirty-two by";
    assert_ok(jose_keys_add_secret(others, slice_of(secret, 32), SLICE_NONE, &why));
    assert_false(jose_keys_cover(keys, others));
    assert_ok(jose_keys_add_secret(keys, slice_of(secret, 32), SLICE_NONE, &why));
    assert_true(jose_keys_cover(keys, others));
    jose_keys_unref(others);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_kind_has_its_algorithms),
        TEST(bad_keys_are_refused),
        TEST(what_is_not_json_has_a_reason),
        TEST(a_set_passes_over_what_it_cannot_use),
        TEST(secrets_are_not_public),
        TEST(secrets_are_long),
        TEST(pem_is_read),
        TEST(sets_are_bounded),
        TEST(a_set_dies_with_its_last_user),
        TEST(a_set_covers_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
