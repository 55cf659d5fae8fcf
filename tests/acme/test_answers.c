#include "acme/answers.h"

#include <string.h>

#include "acme/certificate.h"
#include "support/unit.h"

static struct tls_identity *make_identity(void)
{
    struct acme_key *key;
    struct tls_identity *identity;
    const char *problem;
    struct text pem = text_growing(0);
    assert_ok(acme_key_new(&key));
    assert_ok(acme_key_write(key, &pem));
    assert_ok(acme_sign_self(key, SLICE("shop.example"), &pem));
    assert_ok(tls_identity_new(text_slice(&pem), text_slice(&pem), &identity, &problem));
    text_release(&pem);
    acme_key_free(key);
    return identity;
}

static void texts_and_certificates_are_found(void **state)
{
    (void)state;
    char text[ACME_ANSWER_MAX], long_text[ACME_ANSWER_MAX + 1];
    size_t size = 0;
    struct acme_answers *answers = acme_answers_new();
    struct tls_identity *identity = make_identity();
    assert_false(acme_answers_find(answers, SLICE("token"), text, &size));
    assert_ok(acme_answers_put(answers, SLICE("token"), SLICE("old")));
    assert_ok(acme_answers_put(answers, SLICE("token"), SLICE("token.print")));
    assert_true(acme_answers_find(answers, SLICE("token"), text, &size));
    assert_slices(slice_of(text, size), SLICE("token.print"));
    assert_null(acme_answers_identity(answers, SLICE("token")));

    assert_ok(acme_answers_show(answers, SLICE("shop.example"), identity));
    assert_false(acme_answers_find(answers, SLICE("shop.example"), text, &size));
    struct tls_identity *found = acme_answers_identity(answers, SLICE("shop.example"));
    assert_ptr_equal(found, identity);
    tls_identity_unref(found);
    assert_null(acme_answers_identity(answers, SLICE("other.example")));

    acme_answers_drop(answers, SLICE("token"));
    acme_answers_drop(answers, SLICE("token"));
    assert_false(acme_answers_find(answers, SLICE("token"), text, &size));
    memset(long_text, 'x', sizeof long_text);
    assert_status(
        acme_answers_put(answers, SLICE("t"), slice_of(long_text, sizeof long_text)), TOO_LARGE);
    acme_answers_free(answers);
    tls_identity_unref(identity);
    acme_answers_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts_and_certificates_are_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
