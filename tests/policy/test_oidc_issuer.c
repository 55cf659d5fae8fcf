/* Endpoints that an issuer names, at its own host. Those elsewhere are asked in the end-to-end
 * tests. */
#include "policy/oidc_issuer.h"

#include "policy/oauth_client.h"
#include "support/asker.h"
#include "support/on_loop.h"

static int setup(void **state)
{
    *state = asker_new();
    return 0;
}

static int teardown(void **state)
{
    asker_free(*state);
    return 0;
}

static enum status prepare(struct asker *asker, const char *url, struct oidc_issuer *issuer)
{
    const struct keyring_options options = {.issuer = slice_of_text(url), .cooldown = SECOND};
    return oidc_issuer_prepare(&asker->prepare, &options, issuer);
}

static void its_host_is_a_service(void **state)
{
    struct asker *asker = *state;
    struct oidc_issuer issuer = {.ring = NULL};
    asker_begin(asker, rig_fake(asker->rig, serve_politely, NULL));
    assert_ok(prepare(asker, "https://id.example:8443/realms/shop", &issuer));
    assert_string_equal(asker->address, "https://id.example:8443");
    assert_non_null(issuer.ring);
    assert_ok(prepare(asker, "https://id.example", &issuer));
    assert_string_equal(asker->address, "https://id.example");
}

static void an_endpoint_there_is_asked(void **state)
{
    struct asker *asker = *state;
    struct fake *fake = rig_fake(asker->rig, serve_politely, NULL);
    struct oauth_client client = {SLICE("gate"), SLICE("s"), OAUTH_CLIENT_POST, SLICE_NONE};
    struct oidc_issuer issuer = {.ring = NULL};
    struct inquiry_answer answer;
    struct text form = text_growing(0);
    asker_begin(asker, fake);
    assert_ok(prepare(asker, "https://id.example/realms/shop", &issuer));
    assert_ok(oauth_client_prepare(&asker->prepare, &client));
    oauth_form_add(&form, "a", SLICE("b"));
    assert_ok(oauth_ask_issuer(&client, &issuer, SLICE("https://id.example/t/o?x=1&y"),
        &asker->rig->x, &form, SECOND, &asker->arena, &answer));
    text_release(&form);
    assert_int_equal(answer.status, 200);
    assert_true(slice_has_prefix(slice_of_text(fake->last), SLICE("POST /t/o?x=1&y HTTP/1.1\r\n")));
    assert_non_null(strstr(fake->last, "\r\nHost: id.example\r\n"));
    assert_non_null(strstr(fake->last, "\r\n\r\na=b&client_id=gate&client_secret=s"));
}

static void only_https_is_an_issuer(void **state)
{
    static const char *const bad[] = {"http://id.example", "id.example", "https://id.example/?x",
        "https://id.example/#x", "ftp://127.0.0.1", ""};
    struct asker *asker = *state;
    struct oidc_issuer issuer = {.ring = NULL};
    asker_begin(asker, rig_fake(asker->rig, serve_politely, NULL));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_status(prepare(asker, bad[i], &issuer), INVALID);
    assert_ok(prepare(asker, "http://127.0.0.1:8080", &issuer));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run(void)
{
    const struct CMUnitTest tests[] = {TEST(its_host_is_a_service),
        TEST(an_endpoint_there_is_asked), TEST(only_https_is_an_issuer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run);
}
