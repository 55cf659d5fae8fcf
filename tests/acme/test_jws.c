#include "acme/jws.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/base64.h"
#include "base/json.h"
#include "support/unit.h"

struct fixture {
    struct arena arena;
    struct acme_key *key;
    struct text text;
};

static int set_up(void **state)
{
    static struct fixture f;
    arena_init(&f.arena, 0, 0);
    f.text = text_growing(0);
    assert_ok(acme_key_new(&f.key));
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    acme_key_free(f->key);
    text_release(&f->text);
    arena_release(&f->arena);
    return 0;
}

static struct slice part(struct fixture *f, const char *name)
{
    struct json_value *root;
    struct slice text;
    assert_ok(json_parse(&f->arena, text_slice(&f->text), NULL, &root, NULL));
    assert_true(json_get_text(root, slice_of_text(name), &text));
    return text;
}

static struct slice decode(struct fixture *f, struct slice text)
{
    size_t size;
    char *bytes = arena_bytes(&f->arena, base64_decoded_size(text.size) + 1);
    assert_true(base64_decode(text, BASE64_URL | BASE64_UNPADDED, bytes, &size));
    return slice_of(bytes, size);
}

static void requests_are_signed(void **state)
{
    struct fixture *f = *state;
    const struct acme_signing signing = {.key = f->key,
        .account = SLICE("https://ca/acct/1"),
        .nonce = SLICE("n0"),
        .url = SLICE("https://ca/new")};
    assert_ok(acme_sign(&signing, SLICE("{}"), &f->text));
    assert_slice(decode(f, part(f, "protected")),
        "{\"alg\":\"ES256\",\"kid\":\"https://ca/acct/1\",\"nonce\":\"n0\","
        "\"url\":\"https://ca/new\"}");
    assert_slice(decode(f, part(f, "payload")), "{}");
    assert_int_equal(decode(f, part(f, "signature")).size, ACME_SIGNATURE_SIZE);
}

/* Without an account the key stands there, and a request that only asks has no payload. */
static void the_first_request_shows_the_key(void **state)
{
    struct fixture *f = *state;
    const struct acme_signing signing = {
        .key = f->key, .nonce = SLICE("n"), .url = SLICE("https://ca/new")};
    assert_ok(acme_sign(&signing, SLICE_NONE, &f->text));
    assert_true(
        slice_has_prefix(decode(f, part(f, "protected")), SLICE("{\"alg\":\"ES256\",\"jwk\":{")));
    assert_slice(part(f, "payload"), "");
}

static void bindings_are_signed_with_the_secret(void **state)
{
    struct fixture *f = *state;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size;
    char jwk[256];
    struct text expected = text_fixed(jwk, sizeof jwk);
    assert_ok(
        acme_bind(f->key, SLICE("kid-1"), SLICE("c2VjcmV0"), SLICE("https://ca/new"), &f->text));
    assert_slice(decode(f, part(f, "protected")),
        "{\"alg\":\"HS256\",\"kid\":\"kid-1\",\"url\":\"https://ca/new\"}");
    assert_ok(acme_key_jwk(f->key, &expected));
    assert_slices(decode(f, part(f, "payload")), text_slice(&expected));
    struct slice input = arena_join(
        &f->arena, (struct slice[]){part(f, "protected"), SLICE("."), part(f, "payload")}, 3);
    assert_non_null(HMAC(
        EVP_sha256(), "secret", 6, (const unsigned char *)input.data, input.size, digest, &size));
    assert_slices(decode(f, part(f, "signature")), slice_of((const char *)digest, size));
    assert_status(
        acme_bind(f->key, SLICE("kid-1"), SLICE("not base64!"), SLICE("u"), &f->text), INVALID);
    assert_status(acme_bind(f->key, SLICE("kid-1"), SLICE(""), SLICE("u"), &f->text), INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_are_signed),
        TEST(the_first_request_shows_the_key),
        TEST(bindings_are_signed_with_the_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
