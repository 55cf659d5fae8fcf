#include "jose/jws.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/json.h"
#include "support/arena_fixture.h"
#include "support/files.h"
#include "support/unit.h"

#define VECTORS "tests/data/jws.json"

static enum status verify(struct slice token, const struct jose_keys *keys, struct jws *ret_jws)
{
    enum status e = jws_read(&arena, token, ret_jws);
    return e ? e : jws_verify(ret_jws, keys);
}

/* Vectors that their source calls valid and that are refused here on purpose. */
static const struct {
    int64_t number;
    enum status verdict;
} stricter[] = {
    {346, TOKEN_ALGORITHM}, /* PS384 by a key whose "alg" is PS256 */
    {350, TOKEN_ALGORITHM},
    {347, TOKEN_KEY}, /* by a key whose "alg" is "ES521", which does not exist */
    {351, TOKEN_KEY},
    {372, TOKEN_MALFORMED}, /* a question mark within base64url */
    {373, TOKEN_MALFORMED},
};

static bool is_stricter(int64_t number, enum status verdict)
{
    for (size_t i = 0; i < sizeof stricter / sizeof *stricter; i++)
        if (stricter[i].number == number) {
            assert_status(verdict, stricter[i].verdict);
            return true;
        }
    return false;
}

/* The group's key alone in a set; a set that refuses it stays empty. */
static struct jose_keys *read_group_key(const struct json_value *group)
{
    struct jose_keys *keys;
    const char *why;
    struct text text = text_growing(0);
    struct json_writer writer;
    const struct json_value *key = json_get(group, SLICE("public"));
    json_writer_init(&writer, &text, 0);
    json_write_value(&writer, key ? key : json_get(group, SLICE("private")));
    assert_ok(jose_keys_new(&keys));
    jose_keys_add_json(keys, slice_of(text.data, text.size), 0, &why);
    text_release(&text);
    return keys;
}

static void check_vector(const struct json_value *vector, const struct jose_keys *keys)
{
    struct slice token = SLICE_NONE, result = SLICE_NONE;
    int64_t number = 0;
    struct jws jws;
    assert_true(json_get_i64(vector, SLICE("tcId"), &number));
    assert_true(json_get_text(vector, SLICE("jws"), &token));
    assert_true(json_get_text(vector, SLICE("result"), &result));
    enum status e = verify(token, keys, &jws);
    if (is_stricter(number, e) || slice_equal(result, SLICE("valid")) == (e == OK))
        return;
    fail_msg("vector %d: %s", (int)number, status_word(e));
}

static void vectors_are_judged_rightly(void **state)
{
    (void)state;
    struct json_value *root;
    size_t count = 0;
    struct slice text = read_test_file(VECTORS);
    assert_ok(json_parse(&arena, text, NULL, &root, NULL));
    json_each (group, json_get(root, SLICE("testGroups"))) {
        struct jose_keys *keys = read_group_key(group);
        json_each (vector, json_get(group, SLICE("tests"))) {
            check_vector(vector, keys);
            count++;
        }
        jose_keys_unref(keys);
    }
    assert_int_equal(count, 216);
    free((char *)text.data);
}

/* RFC 8037 §A.4. */
#define ED25519_KEY \
    "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define ED25519_TOKEN                                           \
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc." \
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"

static struct jose_keys *read_keys(struct slice text)
{
    struct jose_keys *keys;
    const char *why;
    assert_ok(jose_keys_new(&keys));
    assert_ok(jose_keys_add_json(keys, text, 0, &why));
    return keys;
}

static void ed25519_is_verified(void **state)
{
    (void)state;
    struct jws jws;
    struct jose_keys *keys = read_keys(SLICE("{" ED25519_KEY "}"));
    assert_ok(verify(SLICE(ED25519_TOKEN), keys, &jws));
    assert_slice(jws.payload, "Example of Ed25519 signing");
    char forged[] = ED25519_TOKEN;
    forged[25] ^= 1; /* within the payload */
    assert_status(verify(slice_of_text(forged), keys, &jws), TOKEN_SIGNATURE);
    jose_keys_unref(keys);
}

static struct slice encode(struct slice bytes)
{
    char *room = arena_bytes(&arena, base64_encoded_size(bytes.size) + 1);
    assert_non_null(room);
    return slice_of(room, base64_encode(bytes, BASE64_URL | BASE64_UNPADDED, room));
}

/* A token with this header and a signature of zeros. */
static struct slice make_token(const char *header)
{
    static const char zeros[64];
    struct slice first = encode(slice_of_text(header));
    struct slice last = encode(slice_of(zeros, sizeof zeros));
    return arena_format(&arena, "%.*s.e30.%.*s", SLICE_ARG(first), SLICE_ARG(last));
}

static void headers_are_read_strictly(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        enum status verdict;
    } rows[] = {
        {"{\"alg\":\"EdDSA\"}", OK},
        {"{\"alg\":\"EdDSA\",\"kid\":\"a\",\"typ\":\"JWT\"}", OK},
        {"{\"alg\":\"EdDSA\",\"jwk\":{\"kty\":\"oct\",\"k\":\"\"}}", OK}, /* not looked at */
        {"{\"alg\":\"none\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"None\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"\"}", TOKEN_ALGORITHM},
        {"{\"alg\":\"eddsa\"}", TOKEN_ALGORITHM},
        {"{\"alg\":1}", TOKEN_MALFORMED},
        {"{}", TOKEN_MALFORMED},
        {"[]", TOKEN_MALFORMED},
        {"\"alg\"", TOKEN_MALFORMED},
        {"", TOKEN_MALFORMED},
        {"{\"alg\":\"EdDSA\",\"alg\":\"HS256\"}", TOKEN_MALFORMED},
        {"{\"alg\":\"EdDSA\",\"kid\":7}", TOKEN_MALFORMED},
        {"{\"alg\":\"EdDSA\",\"typ\":[]}", TOKEN_MALFORMED},
        {"{\"alg\":\"EdDSA\",\"crit\":[\"b64\"],\"b64\":false}", TOKEN_MALFORMED},
        {"{\"alg\":\"EdDSA\",\"crit\":[]}", TOKEN_MALFORMED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct jws jws;
        assert_status(jws_read(&arena, make_token(rows[i].header), &jws), rows[i].verdict);
    }
}

static void forms_that_are_not_compact_are_refused(void **state)
{
    (void)state;
    static const char *const tokens[] = {"", ".", "..", "...", "a", "eyJhbGciOiJFZERTQSJ9",
        "eyJhbGciOiJFZERTQSJ9.e30", "eyJhbGciOiJFZERTQSJ9.e30.AA.AA", "eyJhbGciOiJFZERTQSJ9.e30.AB",
        "eyJhbGciOiJFZERTQSJ9.e30.AA==", "eyJhbGciOiJFZERTQSJ9.e30=.AA",
        "eyJhbGciOiJFZERTQSJ9.e3+.AA", " eyJhbGciOiJFZERTQSJ9.e30.AA",
        "eyJhbGciOiJFZERTQSJ9.e30.AA ", "{\"payload\":\"\"}"};
    struct jws jws;
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        assert_status(jws_read(&arena, slice_of_text(tokens[i]), &jws), TOKEN_MALFORMED);
    char *large = arena_bytes(&arena, JWS_SIZE_MAX + 64);
    memset(large, 'A', JWS_SIZE_MAX + 64);
    memcpy(large, "eyJhbGciOiJFZERTQSJ9.", 21);
    large[JWS_SIZE_MAX - 4] = '.';
    assert_ok(jws_read(&arena, slice_of(large, JWS_SIZE_MAX - 1), &jws));
    assert_status(jws_read(&arena, slice_of(large, JWS_SIZE_MAX + 1), &jws), TOKEN_MALFORMED);
}

static void no_memory_is_an_answer(void **state)
{
    (void)state;
    struct jws jws;
    struct arena small;
    arena_init(&small, 256, 1);
    assert_status(jws_read(&small, SLICE(ED25519_TOKEN), &jws), NO_MEMORY);
    arena_release(&small);
}

/* Which key is tried is the token's choice only among those that are for its algorithm. */
static void keys_are_chosen_by_name_and_algorithm(void **state)
{
    (void)state;
    static const struct {
        const char *header, *keys;
        enum status verdict;
    } rows[] = {
        {"{\"alg\":\"EdDSA\",\"kid\":\"a\"}", "{\"keys\":[{\"kid\":\"b\"," ED25519_KEY "}]}",
            TOKEN_KEY},
        {"{\"alg\":\"EdDSA\",\"kid\":\"a\"}", "{\"keys\":[{\"kid\":\"a\"," ED25519_KEY "}]}",
            TOKEN_SIGNATURE},
        {"{\"alg\":\"EdDSA\"}", "{\"keys\":[{\"kid\":\"a\"," ED25519_KEY "}]}", TOKEN_SIGNATURE},
        {"{\"alg\":\"EdDSA\",\"kid\":\"a\"}", "{\"keys\":[{" ED25519_KEY "}]}", TOKEN_SIGNATURE},
        {"{\"alg\":\"HS256\",\"kid\":\"a\"}", "{\"keys\":[{\"kid\":\"a\"," ED25519_KEY "}]}",
            TOKEN_ALGORITHM},
        {"{\"alg\":\"HS256\"}", "{\"keys\":[{\"kid\":\"a\"," ED25519_KEY "}]}", TOKEN_KEY},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct jws jws;
        struct jose_keys *keys = read_keys(slice_of_text(rows[i].keys));
        assert_status(verify(make_token(rows[i].header), keys, &jws), rows[i].verdict);
        jose_keys_unref(keys);
    }
}

/* The public key of a service is known to everybody: it must not do as a secret. */
static void a_public_key_is_no_secret(void **state)
{
    (void)state;
    struct jws jws;
    struct jose_keys *keys = read_keys(SLICE("{" ED25519_KEY "}"));
    struct slice head = encode(SLICE("{\"alg\":\"HS256\"}"));
    struct slice token = arena_format(
        &arena, "%.*s.e30.Y2hhbmdlZCB0byBITUFDIHdpdGggdGhlIHB1YmxpYw", SLICE_ARG(head));
    assert_status(verify(token, keys, &jws), TOKEN_KEY);
    jose_keys_unref(keys);
}

/* A token without a name makes us try, but not for ever. */
static void tries_are_bounded(void **state)
{
    (void)state;
    struct jws jws;
    struct jose_keys *keys;
    const char *why;
    static const char secret[32] = "another secret, thirty-two bytes";
    assert_ok(jose_keys_new(&keys));
    for (int i = 0; i < JWS_TRIES_MAX; i++)
        assert_ok(jose_keys_add_secret(keys, slice_of(secret, sizeof secret), SLICE_NONE, &why));
    assert_ok(jose_keys_add_json(keys,
        SLICE("{\"kty\":\"oct\",\"kid\":\"hs256-key\",\"k\":"
              "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}"),
        0, &why));
    /* HMAC-SHA-256 of "eyJhbGciOiJIUzI1NiJ9.e30" by the last key. */
    struct slice token = SLICE("eyJhbGciOiJIUzI1NiJ9.e30."
                               "CUR7dTRVDfvcPJVuQkvKXSNgviuym4azfOfKrl4dmFY");
    assert_status(verify(token, keys, &jws), TOKEN_SIGNATURE);
    jose_keys_unref(keys);
    keys =
        read_keys(SLICE("{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}"));
    assert_ok(verify(token, keys, &jws));
    jose_keys_unref(keys);
}

/* --- ECDSA's signatures are two numbers of a fixed size here and of any size for OpenSSL */

static const struct curve {
    const char *name, *header;
    const EVP_MD *(*digest)(void);
    size_t half;
} curves[] = {
    {"P-256", "{\"alg\":\"ES256\"}", EVP_sha256, 32},
    {"P-384", "{\"alg\":\"ES384\"}", EVP_sha384, 48},
    {"P-521", "{\"alg\":\"ES512\"}", EVP_sha512, 66},
};

static struct jose_keys *public_keys(EVP_PKEY *pair)
{
    struct jose_keys *keys;
    const char *why;
    char *pem;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_non_null(bio);
    assert_int_equal(PEM_write_bio_PUBKEY(bio, pair), 1);
    long size = BIO_get_mem_data(bio, &pem);
    assert_ok(jose_keys_new(&keys));
    assert_ok(jose_keys_add_pem(keys, slice_of(pem, (size_t)size), SLICE_NONE, &why));
    BIO_free(bio);
    return keys;
}

static void sign(
    const struct curve *curve, EVP_PKEY *pair, struct slice input, unsigned char *ret_joined)
{
    unsigned char asn1[160];
    const unsigned char *at = asn1;
    size_t size = sizeof asn1;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(context, NULL, curve->digest(), NULL, pair), 1);
    assert_int_equal(EVP_DigestSign(context, asn1, &size, (const void *)input.data, input.size), 1);
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &at, (long)size);
    assert_non_null(signature);
    BN_bn2binpad(ECDSA_SIG_get0_r(signature), ret_joined, (int)curve->half);
    BN_bn2binpad(ECDSA_SIG_get0_s(signature), ret_joined + curve->half, (int)curve->half);
    ECDSA_SIG_free(signature);
    EVP_MD_CTX_free(context);
}

/* A signed token; `number` makes it another one. */
static struct slice make_signed(
    const struct curve *curve, EVP_PKEY *pair, int number, unsigned char joined[132])
{
    struct slice header = encode(slice_of_text(curve->header));
    struct slice claims = encode(arena_format(&arena, "{\"n\":%d}", number));
    struct slice input = arena_format(&arena, "%.*s.%.*s", SLICE_ARG(header), SLICE_ARG(claims));
    sign(curve, pair, input, joined);
    struct slice last = encode(slice_of((const char *)joined, 2 * curve->half));
    return arena_format(&arena, "%.*s.%.*s", SLICE_ARG(input), SLICE_ARG(last));
}

/* Many of them, until one of the numbers began with a byte of zeros. */
static void check_curve(const struct curve *curve)
{
    EVP_PKEY *pair = EVP_EC_gen(curve->name);
    assert_non_null(pair);
    struct jose_keys *keys = public_keys(pair);
    bool has_zeros = false;
    for (int i = 0; i < 20 || !has_zeros; i++) {
        unsigned char joined[132];
        struct jws jws;
        struct slice token = make_signed(curve, pair, i, joined);
        size_t first = curve->half == 66; /* of 521 bits only one is in the first byte */
        has_zeros = has_zeros || joined[first] == 0 || joined[curve->half + first] == 0;
        assert_ok(verify(token, keys, &jws));
        *(char *)jws.payload.data ^= 1; /* decoded: nothing that is signed */
        assert_ok(jws_verify(&jws, keys));
        *(char *)jws.signature.data ^= 1;
        assert_status(jws_verify(&jws, keys), TOKEN_SIGNATURE);
        memset((char *)jws.signature.data, 0, jws.signature.size);
        assert_status(jws_verify(&jws, keys), TOKEN_SIGNATURE);
        memset((char *)jws.signature.data, 0xff, jws.signature.size);
        assert_status(jws_verify(&jws, keys), TOKEN_SIGNATURE);
        jws.signature.size--;
        assert_status(jws_verify(&jws, keys), TOKEN_SIGNATURE);
        arena_teardown(NULL);
    }
    jose_keys_unref(keys);
    EVP_PKEY_free(pair);
}

static void ecdsa_is_verified_on_each_curve(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof curves / sizeof *curves; i++)
        check_curve(&curves[i]);
}

/* --- many threads with one key */

enum { THREADS = 12, TURNS = 40 };

static struct jws good, bad;
static struct jose_keys *shared;

static void *member(void *argument)
{
    for (int i = 0; i < TURNS; i++) {
        assert_ok(jws_verify(&good, shared));
        assert_status(jws_verify(&bad, shared), TOKEN_SIGNATURE);
    }
    return argument;
}

static void many_threads_may_verify_by_one_key(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    unsigned char joined[132];
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    assert_non_null(pair);
    assert_ok(jws_read(&arena, make_signed(&curves[0], pair, 1, joined), &good));
    assert_ok(jws_read(&arena, make_signed(&curves[0], pair, 2, joined), &bad));
    bad.input = good.input;
    shared = public_keys(pair);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, member, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    jose_keys_unref(shared);
    EVP_PKEY_free(pair);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(vectors_are_judged_rightly),
        TEST(ed25519_is_verified),
        TEST(headers_are_read_strictly),
        TEST(forms_that_are_not_compact_are_refused),
        TEST(no_memory_is_an_answer),
        TEST(keys_are_chosen_by_name_and_algorithm),
        TEST(a_public_key_is_no_secret),
        TEST(tries_are_bounded),
        TEST(ecdsa_is_verified_on_each_curve),
        TEST(many_threads_may_verify_by_one_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
