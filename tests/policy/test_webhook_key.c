/* What senders' own documents show as secret, message and signature is verified; anything else is
 * not. (Stripe and Shopify show none that is whole: theirs were computed elsewhere.) */
#include "policy/webhook_key.h"

#include <stdio.h>

#include "support/arena_fixture.h"
#include "support/unit.h"

struct vector {
    const char *form, *secret, *head, *body;
};

#define SLACK_BODY                                                                             \
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id="     \
    "G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-" \
    "collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%"         \
    "2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121."           \
    "803a0bc887a14d10d2c447fce8b6703c"
#define SPEC_HEAD \
    "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\nwebhook-timestamp: 1614265330\nwebhook-signature: "
#define SPEC_CODE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define ED25519 \
    "v1a,yoUrgEkc12aGqm0n4Sydmdz55xJfTz4AsAgieHFjmkR7LJtqVCZOQYzvvHjI5kAey+r4iaBGxTFRrl2iBQxtDQ=="
#define PUBLIC "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="

static const struct vector vectors[] = {
    {"standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SPEC_HEAD SPEC_CODE,
        "{\"test\": 2432232314}"},
    {"standard", PUBLIC, SPEC_HEAD ED25519, "{\"test\": 2432232314}"},
    {"standard", PUBLIC, SPEC_HEAD SPEC_CODE " " ED25519, "{\"test\": 2432232314}"},
    {"stripe", "whsec_test_secret",
        "Stripe-Signature: "
        "t=1492774577,v1=10b0a2815816a45e6b874658b928cae03296be10637343405aaf1e8306ddffdc",
        "{\"id\": \"evt_1\"}"},
    {"github", "It's a Secret to Everybody",
        "X-Hub-Signature-256: "
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        "Hello, World!"},
    {"slack", "8f742231b10e8888abcd99yyyzzz85a5",
        "X-Slack-Request-Timestamp: 1531420618\nX-Slack-Signature: "
        "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        SLACK_BODY},
    {"shopify", "hush-hush",
        "X-Shopify-Hmac-Sha256: u+yq3fzysWYIHbXcZKb+QX4cvNa6ZTK/0OEKMwqKsEU=", "{\"id\": 1}"},
};
#define VECTORS (sizeof vectors / sizeof *vectors)

static const struct webhook_form *form_of(const char *word)
{
    const struct webhook_form *form = webhook_forms;
    while (strcmp(form->word, word) != 0)
        form++;
    return form;
}

static struct webhook_claim claim_of(const struct vector *vector)
{
    struct fields fields;
    struct webhook_claim claim;
    struct slice rest = slice_of_text(vector->head), line;
    fields_init(&fields, &arena);
    while (slice_split(&rest, '\n', &line)) {
        size_t colon = slice_find(line, ':');
        assert_ok(fields_add(&fields, FIELD_OTHER, slice_head(line, colon),
            slice_trim(slice_from(line, colon + 1))));
    }
    assert_int_equal(webhook_claim_read(form_of(vector->form), &fields, &claim), WEBHOOK_GOOD);
    return claim;
}

static struct webhook_key key_of(const char *form, const char *secret)
{
    struct webhook_key key;
    const char *why = NULL;
    enum status e = webhook_key_read(form_of(form), slice_of_text(secret), &key, &why);
    if (e)
        fail_msg("%s", why);
    return key;
}

static enum status verify(const struct vector *vector, const char *secret, struct slice body)
{
    size_t which;
    struct webhook_claim claim = claim_of(vector);
    struct webhook_key key = key_of(vector->form, secret);
    enum status e = webhook_keys_verify(form_of(vector->form), &key, 1, &claim, body, &which);
    webhook_key_release(&key);
    return e;
}

static void published_signatures_are_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++)
        assert_ok(verify(&vectors[i], vectors[i].secret, slice_of_text(vectors[i].body)));
}

/* Any bit of the body, cut short or made longer. */
static void another_body_is_not_signed(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        char room[1024];
        size_t size = strlen(vectors[i].body);
        memcpy(room, vectors[i].body, size + 1);
        for (size_t bit = 0; bit<8 * size; bit += size> 100 ? 37 : 1) {
            room[bit / 8] ^= (char)(1 << bit % 8);
            assert_status(verify(&vectors[i], vectors[i].secret, slice_of(room, size)), NOT_FOUND);
            room[bit / 8] ^= (char)(1 << bit % 8);
        }
        assert_status(verify(&vectors[i], vectors[i].secret, slice_of(room, size - 1)), NOT_FOUND);
        assert_status(verify(&vectors[i], vectors[i].secret, slice_of(room, size + 1)), NOT_FOUND);
        assert_status(verify(&vectors[i], vectors[i].secret, SLICE("")), NOT_FOUND);
    }
}

/* Any bit of the signature; the time and the id where they are signed. */
static void another_signature_is_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        const struct webhook_form *form = form_of(vectors[i].form);
        struct webhook_claim claim = claim_of(&vectors[i]);
        struct webhook_key key = key_of(vectors[i].form, vectors[i].secret);
        struct slice body = slice_of_text(vectors[i].body);
        size_t which, last = claim.count - 1;
        for (size_t bit = 0; bit < 8 * claim.signatures[last].size; bit++) {
            claim.signatures[last].bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
            assert_status(webhook_keys_verify(form, &key, 1, &claim, body, &which), NOT_FOUND);
            claim.signatures[last].bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
        if (claim.time_text.size) {
            claim.time_text = SLICE("1614265331");
            assert_status(webhook_keys_verify(form, &key, 1, &claim, body, &which), NOT_FOUND);
        }
        webhook_key_release(&key);
    }
    struct webhook_claim claim = claim_of(&vectors[0]);
    struct webhook_key key = key_of("standard", vectors[0].secret);
    size_t which;
    claim.id = SLICE("msg_p5jXN8AQM9LWM0D4loKWxJel");
    assert_status(webhook_keys_verify(
                      form_of("standard"), &key, 1, &claim, slice_of_text(vectors[0].body), &which),
        NOT_FOUND);
    webhook_key_release(&key);
}

static void another_secret_signs_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        const char *secret = form_of(vectors[i].form)->secret == WEBHOOK_WHSEC
                                 ? "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx"
                                 : "another secret";
        assert_status(verify(&vectors[i], secret, slice_of_text(vectors[i].body)), NOT_FOUND);
    }
}

static void one_of_several_secrets_will_do(void **state)
{
    (void)state;
    struct webhook_key keys[] = {key_of("standard", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx"),
        key_of("standard", PUBLIC), key_of("standard", vectors[0].secret)};
    struct slice body = slice_of_text(vectors[0].body);
    struct webhook_claim claim = claim_of(&vectors[0]);
    size_t which = 9;
    assert_ok(webhook_keys_verify(form_of("standard"), keys, 3, &claim, body, &which));
    assert_int_equal(which, 2);
    claim = claim_of(&vectors[1]);
    assert_ok(webhook_keys_verify(form_of("standard"), keys, 3, &claim, body, &which));
    assert_int_equal(which, 1);
    assert_status(
        webhook_keys_verify(form_of("standard"), keys, 1, &claim, body, &which), NOT_FOUND);
    for (int i = 0; i < 3; i++)
        webhook_key_release(&keys[i]);
}

/* A code may not pass for a signature, nor a public key for a secret that anybody knows. */
static void kinds_are_not_confused(void **state)
{
    (void)state;
    struct webhook_claim claim = claim_of(&vectors[1]);
    struct slice body = slice_of_text(vectors[1].body);
    struct webhook_key secret = key_of("standard", vectors[0].secret),
                       public = key_of("standard", PUBLIC);
    size_t which;
    assert_status(
        webhook_keys_verify(form_of("standard"), &secret, 1, &claim, body, &which), NOT_FOUND);
    claim = claim_of(&vectors[0]);
    assert_status(
        webhook_keys_verify(form_of("standard"), &public, 1, &claim, body, &which), NOT_FOUND);
    webhook_key_release(&secret);
    webhook_key_release(&public);
}

static void secrets_that_are_none_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *form, *secret, *said;
    } rows[] = {
        {"github", "", "8 characters"},
        {"github", "1234567", "8 characters"},
        {"standard", "", "whsec_"},
        {"standard", "whsec_", "whsec_"},
        {"standard", "whsec_c2hvcnQ=", "24 to 64"},
        {"standard", "whsec_not base64, and not short either", "Base64"},
        {"standard",
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7"
            "PD0+P0A=",
            "24 to 64"},
        {"standard", "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "private"},
        {"standard", "whpk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "32 bytes"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct webhook_key key;
        const char *why = "";
        assert_status(
            webhook_key_read(form_of(rows[i].form), slice_of_text(rows[i].secret), &key, &why),
            INVALID);
        assert_non_null(strstr(why, rows[i].said));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(published_signatures_are_good),
        TEST(another_body_is_not_signed),
        TEST(another_signature_is_wrong),
        TEST(another_secret_signs_nothing),
        TEST(one_of_several_secrets_will_do),
        TEST(kinds_are_not_confused),
        TEST(secrets_that_are_none_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
