/* How the gateway says who it is where tokens are given (RFC 6749 §2.3.1). */
#include "policy/oauth_client.h"

#include "acme/key.h"
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

/* What arrives. */
static const char *sent(struct asker *asker, struct oauth_client client)
{
    struct fake *fake = rig_fake(asker->rig, serve_politely, NULL);
    struct inquiry_target target = {.text = SLICE("demo/token")};
    struct inquiry_answer answer;
    struct text form = text_growing(0);
    asker_begin(asker, fake);
    assert_ok(inquiry_prepare(&asker->prepare, &target));
    assert_ok(oauth_client_prepare(&asker->prepare, &client));
    oauth_form_add(&form, "a", SLICE("b c&d=e+f%/~\xc3\xa9"));
    oauth_form_add(&form, "g", SLICE(""));
    assert_ok(oauth_ask(&client, &target, &asker->rig->x, &form, SECOND, &asker->arena, &answer));
    text_release(&form);
    return fake->last;
}

static void test_basic(void **state)
{
    const char *request = sent(*state,
        (struct oauth_client){SLICE("the gate:way"), SLICE("s&%"), OAUTH_CLIENT_BASIC, SLICE_NONE});
    /* the%20gate%3Away:s%26%25 */
    assert_non_null(strstr(request, "authorization: Basic dGhlJTIwZ2F0ZSUzQXdheTpzJTI2JTI1\r\n"));
    assert_non_null(strstr(request, "\r\n\r\na=b%20c%26d%3De%2Bf%25%2F~%C3%A9&g="));
    assert_null(strstr(request, "client_secret"));
}

static void test_post(void **state)
{
    const char *request = sent(*state,
        (struct oauth_client){SLICE("the gate:way"), SLICE("s&%"), OAUTH_CLIENT_POST, SLICE_NONE});
    assert_null(strstr(request, "authorization"));
    assert_non_null(strstr(request, "&g=&client_id=the%20gate%3Away&client_secret=s%26%25"));
}

static void test_nothing_but_a_name(void **state)
{
    const char *request =
        sent(*state, (struct oauth_client){.id = SLICE("app"), .method = OAUTH_CLIENT_NONE});
    assert_null(strstr(request, "authorization"));
    assert_non_null(strstr(request, "&g=&client_id=app"));
    assert_null(strstr(request, "client_secret"));
}

/* What it says is looked at by a provider in the end-to-end tests. */
static void test_a_private_key(void **state)
{
    struct acme_key *key;
    assert_ok(acme_key_new(&key));
    const char *request = sent(
        *state, (struct oauth_client){.id = SLICE("app"), .method = OAUTH_CLIENT_KEY, .key = key});
    assert_null(strstr(request, "authorization"));
    assert_non_null(strstr(request,
        "&client_id=app&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%"
        "3Ajwt-bearer&client_assertion=eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJhcHAiLCJzdWIiOiJhcHAi"));
    acme_key_free(key);
}

static bool is_taken(struct arena *arena, const char *text, const char *token)
{
    struct json_value *root;
    struct slice found;
    assert_ok(json_parse(arena, slice_of_text(text), NULL, &root, NULL));
    bool is = oauth_access_token(root, &found);
    if (is)
        assert_slices(found, slice_of_text(token));
    return is;
}

static void test_access_tokens(void **state)
{
    struct asker *asker = *state;
    static const char *const bad[] = {"{}", "{\"access_token\":\"\"}", "{\"access_token\":7}",
        "{\"access_token\":\"a b\"}", "{\"access_token\":\"a\\nb\"}",
        "{\"access_token\":\"a\\u00e9\"}", "{\"access_token\":\"a\",\"token_type\":\"DPoP\"}",
        "{\"access_token\":\"a\",\"token_type\":\"\"}", "[]", "null"};
    asker_begin(asker, rig_fake(asker->rig, serve_politely, NULL));
    assert_true(is_taken(&asker->arena, "{\"access_token\":\"a~!\"}", "a~!"));
    assert_true(is_taken(&asker->arena, "{\"token_type\":\"bearer\",\"access_token\":\"a\"}", "a"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(is_taken(&asker->arena, bad[i], ""));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int run(void)
{
    const struct CMUnitTest tests[] = {TEST(test_basic), TEST(test_post),
        TEST(test_nothing_but_a_name), TEST(test_a_private_key), TEST(test_access_tokens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run);
}
