#include <openssl/evp.h>
#include <stdio.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/json.h"
#include "support/files.h"
#include "support/unit.h"
#include "support/world.h"

extern const struct policy_type auth_policy, allow_policy;

#define SECRET "a secret of thirty-two bytes ..."
#define JWT    "{issuer: \"https://id\", secret: \"" SECRET "\"}"

static int set_up(void **state)
{
    *state = world_new();
    ((struct world *)*state)->reader.has_claims = true;
    return 0;
}

static int tear_down(void **state)
{
    world_free(*state);
    return 0;
}

static void add_part(struct text *text, struct slice bytes)
{
    char room[1024];
    assert_true(base64_encoded_size(bytes.size) <= sizeof room);
    text_add(text, slice_of(room, base64_encode(bytes, BASE64_URL | BASE64_UNPADDED, room)));
}

/* "Bearer " and a token that `issuer` gives, signed with `secret` under the header's "kid" k, with
 * these claims besides "exp", in the world's arena. */
static const char *bearer_of(
    struct world *world, const char *issuer, const char *secret, const char *claims)
{
    char body[512], room[2048];
    unsigned char code[32];
    size_t size;
    struct text text = text_fixed(room, sizeof room);
    snprintf(body, sizeof body, "{\"iss\":\"%s\",\"exp\":%lld%s%s}", issuer,
        (long long)(clock_wall() / SECOND) + 1000, *claims ? "," : "", claims);
    add_part(&text, SLICE("{\"alg\":\"HS256\",\"kid\":\"k\"}"));
    text_add_char(&text, '.');
    add_part(&text, slice_of_text(body));
    assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret, strlen(secret),
        (const unsigned char *)text.data, text.size, code, sizeof code, &size));
    text_add_char(&text, '.');
    add_part(&text, slice_of((const char *)code, size));
    return arena_format(&world->arena, "Bearer %.*s", SLICE_ARG(text_slice(&text))).data;
}

static const char *bearer(struct world *world, const char *claims)
{
    return bearer_of(world, "https://id", SECRET, claims);
}

static enum status outcome_with(struct world *world, const char *authorization)
{
    world_request(world, "GET", "/");
    if (authorization)
        world_field(world, "Authorization", authorization);
    return world_serve(world);
}

static void a_good_token_passes(void **state)
{
    struct world *world = *state;
    world_policy(world, &auth_policy, "auth.shop", "{jwt: " JWT "}");
    assert_ok(outcome_with(world, bearer(world, "")));
    assert_int_equal(world->next.calls, 1);
    const char *again = bearer(world, "\"sub\":\"u\"");
    assert_ok(outcome_with(world, again));
    assert_ok(outcome_with(world, again)); /* remembered */
    assert_non_null(world->x.claims);
}

static void others_are_refused_with_a_challenge(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *authorization;
        enum status verdict;
        const char *challenge;
    } rows[] = {
        {NULL, CREDENTIALS_MISSING, "Bearer realm=\"shop\""},
        {"", CREDENTIALS_MISSING, "Bearer realm=\"shop\""},
        {"Bearer", CREDENTIALS_MISSING, "Bearer realm=\"shop\""},
        {"Bearer ", CREDENTIALS_MISSING, "Bearer realm=\"shop\""},
        {"Basic dTpw", CREDENTIALS_MISSING, "Bearer realm=\"shop\""},
        {"Bearer a.b.c", TOKEN_MALFORMED,
            "Bearer realm=\"shop\", error=\"invalid_token\", error_description=\"The token is "
            "malformed.\""},
        /* {"alg":"none"}, {"iss":"https://id"} */
        {"bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lkIn0.", TOKEN_ALGORITHM,
            "Bearer realm=\"shop\", error=\"invalid_token\", error_description=\"The token is "
            "signed with an algorithm that is not accepted.\""},
    };
    world_policy(world, &auth_policy, "auth.shop", "{jwt: " JWT ", realm: shop}");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_status(outcome_with(world, rows[i].authorization), rows[i].verdict);
        assert_int_equal(world->next.calls, 0);
        assert_string_equal(world_answer_field(world, "WWW-Authenticate"), rows[i].challenge);
    }
}

static void two_credentials_are_none(void **state)
{
    struct world *world = *state;
    world_policy(world, &auth_policy, "auth.shop", "{jwt: " JWT ", optional: true}");
    world_request(world, "GET", "/");
    world_field(world, "Authorization", bearer(world, ""));
    world_field(world, "Authorization", bearer(world, ""));
    assert_status(world_serve(world), TOKEN_MALFORMED);
}

static void who_brings_nothing_may_pass(void **state)
{
    struct world *world = *state;
    world_policy(world, &auth_policy, "auth.shop",
        "{jwt: " JWT ", optional: true, send: {X-User: claims.sub}}");
    world_request(world, "GET", "/");
    world_field(world, "X-User", "forged");
    assert_ok(world_serve(world));
    assert_null(world->x.claims);
    assert_null(fields_value_named(&world->x.request.fields, SLICE("X-User")).data);
    assert_status(outcome_with(world, "Bearer a.b.c"), TOKEN_MALFORMED);
}

static void claims_are_sent_and_cannot_be_forged(void **state)
{
    struct world *world = *state;
    world_policy(world, &auth_policy, "auth.shop",
        "{jwt: " JWT
        ", send: {X-User-Id: claims.sub, X-City: claims.address.city, X-Plan: claims.plan}}");
    world_request(world, "GET", "/");
    world_field(world, "Authorization",
        bearer(world, "\"sub\":\"u1\",\"address\":{\"city\":\"Oslo\"},\"plan\":\"a\\nb\""));
    world_field(world, "x-user-id", "forged");
    world_field(world, "X_User_ID", "forged");
    world_field(world, "X-User_Id", "forged");
    world_field(world, "X-Plan", "forged");
    world_field(world, "X-User-Idx", "kept");
    assert_ok(world_serve(world));
    const struct fields *fields = &world->x.request.fields;
    assert_slice(fields_combined(fields, SLICE("X-User-Id")), "u1");
    assert_slice(fields_value_named(fields, SLICE("X-City")), "Oslo");
    assert_slice(fields_value_named(fields, SLICE("X-User-Idx")), "kept");
    assert_null(fields_value_named(fields, SLICE("X_User_ID")).data);
    assert_null(fields_value_named(fields, SLICE("X-User_Id")).data);
    /* No field may have a line break. */
    assert_null(fields_value_named(fields, SLICE("X-Plan")).data);
}

static void a_token_comes_from_elsewhere(void **state)
{
    struct world *world = *state;
    char cookie[1024];
    world_policy(world, &auth_policy, "auth.shop",
        "{jwt: {issuer: \"https://id\", secret: \"" SECRET "\", from: cookie.session}}");
    world_request(world, "GET", "/");
    snprintf(cookie, sizeof cookie, "a=b; session=%s", bearer(world, "") + strlen("Bearer "));
    world_field(world, "Cookie", cookie);
    assert_ok(world_serve(world));
    assert_status(outcome_with(world, bearer(world, "")), CREDENTIALS_MISSING);
}

#define OTHER_SECRET "the other's are as many bytes ..."
#define KEYS_OF(secret64) \
    "keys: '{\"keys\": [{\"kty\": \"oct\", \"kid\": \"k\", \"k\": \"" secret64 "\"}]}'"

/* Both call their key "k". */
#define TWO_ISSUERS                                                                       \
    "{jwt: [{issuer: \"https://id\", " KEYS_OF(                                           \
        "YSBzZWNyZXQgb2YgdGhpcnR5LXR3byBieXRlcyAuLi4") "}, {issuer: [\"https://other\", " \
                                                       "\"https://another\"], " KEYS_OF(  \
                                                           "dGhlIG90"                     \
                                                           "aGVyJ3Mg"                     \
                                                           "YXJlIGFz"                     \
                                                           "IG1hbnkg"                     \
                                                           "Ynl0ZXMg"                     \
                                                           "Li4u") "}], optional: true}"

static void no_issuer_speaks_for_another(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *issuer, *secret;
        enum status verdict;
    } rows[] = {
        {"https://id", SECRET, OK},
        {"https://other", OTHER_SECRET, OK},
        {"https://another", OTHER_SECRET, OK},
        {"https://id", OTHER_SECRET, TOKEN_SIGNATURE},
        {"https://other", SECRET, TOKEN_SIGNATURE},
        {"https://third", SECRET, TOKEN_ISSUER},
    };
    world_policy(world, &auth_policy, "auth.shop", TWO_ISSUERS);
    for (size_t round = 0; round < 2; round++) /* then what was good is remembered */
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            assert_status(outcome_with(world,
                              bearer_of(world, rows[i].issuer, rows[i].secret, "\"sub\":\"u\"")),
                rows[i].verdict);
    assert_status(outcome_with(world, "Bearer opaque"), TOKEN_MALFORMED);
    assert_ok(outcome_with(world, NULL));
    assert_slice(world->x.challenge, "Bearer realm=\"weir\"");
}

static void a_foreign_token_is_for_the_next_way(void **state)
{
    struct world *world = *state;
    char path[TEST_PATH_SIZE];
    struct slice subject = SLICE_NONE;
    make_test_file(path,
        "{\"name\":\"acme\",\"sha256\":"
        "\"6d229884c1268bb0ab32d8da315d0fe52f9147228bd830a37bc9fb28a954940d\"}\n"); /* "opaque" */
    world_policy(world, &auth_policy, "auth.shop",
        arena_format(
            &world->arena, "{jwt: " JWT ", keys: {file: %s, scheme: Bearer}, optional: true}", path)
            .data);
    assert_ok(outcome_with(world, bearer(world, "\"sub\":\"u\"")));
    assert_true(json_get_text(world->x.claims, SLICE("sub"), &subject));
    assert_slice(subject, "u");
    assert_ok(outcome_with(world, "Bearer opaque"));
    assert_true(json_get_text(world->x.claims, SLICE("sub"), &subject));
    assert_slice(subject, "acme");
    /* Who takes it says what is wrong with it. */
    assert_status(outcome_with(world, "Bearer unknown"), API_KEY_UNKNOWN);
    assert_status(
        outcome_with(world, bearer_of(world, "https://third", SECRET, "")), API_KEY_UNKNOWN);
    /* What is jwt's own is nobody else's. */
    assert_status(
        outcome_with(world, bearer_of(world, "https://id", OTHER_SECRET, "")), TOKEN_SIGNATURE);
    assert_status(outcome_with(world, bearer(world, "\"nbf\":99999999999")), TOKEN_NOT_YET_VALID);
    assert_status(outcome_with(world, "Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lkIn0."),
        TOKEN_ALGORITHM);
    assert_int_equal(unlink(path), 0);
}

static void what_is_asked_must_hold(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *config, *claims;
        enum status verdict;
    } rows[] = {
        {"{jwt: " JWT ", audience: shop}", "\"aud\":[\"bank\"]", TOKEN_AUDIENCE},
        {"{jwt: " JWT ", audience: [shop, bank]}", "\"aud\":[\"bank\"]", OK},
        {"{jwt: {issuer: \"https://other\", secret: \"" SECRET "\"}}", "", TOKEN_ISSUER},
        {"{jwt: {issuer: \"https://id\", secret: \"another secret of many more bytes\"}}", "",
            TOKEN_SIGNATURE},
        {"{jwt: {issuer: \"https://id\", secret: \"" SECRET "\", algorithms: HS384}}", "",
            TOKEN_ALGORITHM},
        {"{jwt: {issuer: \"https://id\", secret: \"" SECRET "\", required: [sub]}}", "",
            TOKEN_CLAIM},
        {"{jwt: {issuer: \"https://id\", secret: \"" SECRET "\", max-age: 1h}}", "", TOKEN_CLAIM},
        {"{jwt: {issuer: \"https://id\", secret: \"" SECRET "\", max-age: 1h}}", "\"iat\":1000",
            TOKEN_EXPIRED},
        {"{jwt: " JWT "}", "\"nbf\":99999999999", TOKEN_NOT_YET_VALID},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world_policy(world, &auth_policy, "auth.shop", rows[i].config);
        assert_status(outcome_with(world, bearer(world, rows[i].claims)), rows[i].verdict);
    }
}

static void bad_options_have_reasons(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *config, *complaint;
    } rows[] = {
        {"{}", "an auth needs a way to say who somebody is"},
        {"{jwt: {keys: k.json}}", "issuer"},
        {"{jwt: {issuer: a, secret: b, algorithms: none}}", "tokens are not signed with \"none\""},
        {"{jwt: " JWT ", send: {Host: claims.sub}}", "the field \"Host\" cannot be sent"},
        {"{jwt: " JWT ", send: {X-User: \"claims\"}}", "there is no \"claims\" to ask for"},
        {"{jwt: " JWT ", realm: 'a\"b'}", "a realm is printable ASCII without quotes"},
        {"{jwt: " JWT ", jwr: keys.json}", "did you mean \"jwt\"?"},
        {"{jwt: {issuer: a, form: cookie.a}}", "did you mean \"from\"?"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *said = world_complaints(world, auth_policy.options, rows[i].config);
        if (!strstr(said, rows[i].complaint))
            fail_msg("%s: %s", rows[i].config, said);
    }
}

static void keys_that_cannot_be_used_have_reasons(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *config, *complaint;
    } rows[] = {
        {"{jwt: id}", "a token is verified with `keys` or a `secret`"},
        {"{jwt: {issuer: [https://a, https://b]}}",
            "the keys of one issuer can be found by discovery"},
        {"{jwt: http://id.example}",
            "keys cannot be fetched from \"http://id.example\": it is not https"},
        {"{jwt: \"https://id.example/?x\"}", "it has a query"},
        {"{jwt: {issuer: a, keys: \"https://id example/\"}}", "it is not a URL"},
        {"{jwt: {issuer: a, keys: \"https://id/\", ca: /nowhere/ca.pem}}", "/nowhere/ca.pem"},
        {"{jwt: {issuer: a, secret: short}}", "a secret has at least 32 bytes"},
        {"{jwt: {issuer: a, keys: /nowhere/keys.json}}",
            "the file \"/nowhere/keys.json\" cannot be read"},
        {"{jwt: {issuer: a, keys: '{\"kty\": \"x\"}'}}",
            "the kind of key (\"kty\") is not known here"},
        {"{jwt: {issuer: a, keys: '-----BEGIN NOTHING'}}",
            "neither a public key nor a certificate"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        void *config = world_read(world, auth_policy.options, rows[i].config);
        assert_status(auth_policy.prepare(&world->prepare, config), INVALID);
        struct text text = text_growing(0);
        diagnostics_print(&world->diagnostics, false, &text);
        if (slice_find_slice(text_slice(&text), slice_of_text(rows[i].complaint)) == text.size)
            fail_msg("%s: %.*s", rows[i].config, SLICE_ARG(text_slice(&text)));
        text_release(&text);
    }
}

static void claims_need_an_auth(void **state)
{
    struct world *world = *state;
    world->reader.has_claims = false;
    assert_non_null(strstr(world_complaints(world, allow_policy.options, "claims.roles has buyer"),
        "claims need an `auth` that brings them"));
}

/* Serves a request of which this much is known with an `allow`. */
static enum status allowed_with(struct world *world, const char *claims, const char *challenge)
{
    struct json_value *root = NULL;
    world_request(world, "GET", "/");
    if (claims)
        assert_ok(json_parse(&world->arena, slice_of_text(claims), NULL, &root, NULL));
    world->x.claims = root;
    world->x.challenge = slice_of_text(challenge);
    return world_serve(world);
}

static bool may_write(const struct world *world)
{
    json_each (scope, json_get(world->x.claims, SLICE("scopes")))
        if (slice_equal(scope->text, SLICE("write")))
            return true;
    return false;
}

static void scopes_are_a_list(void **state)
{
    struct world *world = *state;
    static const char *const good[] = {"\"scope\":\"read  write\"", "\"scp\":\"write\"",
        "\"scp\":[\"read\",\"write\"]", "\"scope\":\"a write\",\"scp\":\"b\"",
        "\"scope\":\"read\",\"scopes\":[\"write\"]"};
    static const char *const bad[] = {"\"scope\":\"read writes\"", "\"scope\":7",
        "\"scope\":\"read\",\"scp\":\"write\"", "\"scope\":\"\"", ""};
    world_policy(world, &auth_policy, "auth.shop", "{jwt: " JWT "}");
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_ok(outcome_with(world, bearer(world, good[i])));
        assert_true(may_write(world));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_ok(outcome_with(world, bearer(world, bad[i])));
        assert_false(may_write(world));
    }
}

static void allow_asks_for_scopes(void **state)
{
    struct world *world = *state;
    world_policy(
        world, &allow_policy, "allow.buyers", "{scope: [read, write], if: claims.plan == pro}");
    assert_ok(allowed_with(world, "{\"plan\":\"pro\",\"scopes\":[\"write\",\"read\"]}", "Bearer"));
    assert_status(
        allowed_with(world, "{\"plan\":\"pro\",\"scopes\":[\"read\",7]}", "Bearer"), NOT_ALLOWED);
    assert_string_equal(world_answer_field(world, "WWW-Authenticate"),
        "Bearer, error=\"insufficient_scope\", scope=\"read write\"");
    assert_slice(world->x.facts.trouble, "it lacks the scope write");
    /* Of the expression nobody hears. */
    assert_status(allowed_with(world, "{\"scopes\":[\"read\",\"write\"]}", "Bearer"), NOT_ALLOWED);
    assert_string_equal(
        world_answer_field(world, "WWW-Authenticate"), "Bearer, error=\"insufficient_scope\"");
    assert_status(allowed_with(world, NULL, "Bearer"), CREDENTIALS_MISSING);
    assert_string_equal(world_answer_field(world, "WWW-Authenticate"), "Bearer");
    world_policy(world, &allow_policy, "allow.buyers", "{scope: write}");
    assert_ok(allowed_with(world, "{\"scopes\":\"write\"}", "Bearer"));
    assert_status(allowed_with(world, "{\"scopes\":\"read write\"}", "Bearer"), NOT_ALLOWED);
}

static void bad_rules_have_reasons(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *config, *complaint;
    } rows[] = {
        {"{}", "an allow needs an `if`, a `scope` or both"},
        {"{scope: []}", "an allow needs an `if`, a `scope` or both"},
        {"{scope: \"read write\"}", "a scope is printable ASCII without blanks"},
        {"{scope: [read, 'a\"b']}", "a scope is printable ASCII without blanks"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_non_null(strstr(
            world_complaints(world, allow_policy.options, rows[i].config), rows[i].complaint));
    world->reader.has_claims = false;
    assert_non_null(strstr(world_complaints(world, allow_policy.options, "{scope: read}"),
        "scopes need an `auth` that brings them"));
}

static void allow_asks_for_claims(void **state)
{
    struct world *world = *state;
    world_policy(world, &allow_policy, "allow.buyers", "claims.roles has buyer");
    assert_ok(allowed_with(world, "{\"roles\":[\"a\",\"buyer\"]}", "Bearer"));
    assert_ok(allowed_with(world, "{\"roles\":\"buyer\"}", NULL));
    assert_status(allowed_with(world, "{\"roles\":[\"buyers\"]}", "Bearer"), NOT_ALLOWED);
    assert_string_equal(
        world_answer_field(world, "WWW-Authenticate"), "Bearer, error=\"insufficient_scope\"");
    assert_status(allowed_with(world, "{\"roles\":[[\"buyer\"]]}", "Bearer"), NOT_ALLOWED);
    assert_status(allowed_with(world, "{\"roles\":null}", "Bearer"), NOT_ALLOWED);
    assert_status(allowed_with(world, NULL, "Bearer"), CREDENTIALS_MISSING);
    assert_string_equal(world_answer_field(world, "WWW-Authenticate"), "Bearer");
    assert_status(allowed_with(world, NULL, NULL), NOT_ALLOWED);
    assert_string_equal(world_answer_field(world, "WWW-Authenticate"), "");
    assert_int_equal(world->next.calls, 0);
}

static void claims_have_types(void **state)
{
    struct world *world = *state;
    static const char *const rules[] = {"claims.level > 3", "claims.is_admin",
        "claims.address.city == Oslo", "claims.scope has write", "not claims.nothing",
        "claims.level != \"x\""};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        world_policy(world, &allow_policy, "allow.x", rules[i]);
        assert_ok(allowed_with(world,
            "{\"level\":5,\"is_admin\":true,\"address\":{\"city\":\"Oslo\"},"
            "\"scope\":[\"read\",\"write\",3,null]}",
            NULL));
    }
    world_policy(world, &allow_policy, "allow.x", "claims.level.deeper == 5 or claims.address");
    assert_status(allowed_with(world, "{\"level\":5,\"address\":{}}", NULL), NOT_ALLOWED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_good_token_passes),
        TEST(others_are_refused_with_a_challenge),
        TEST(two_credentials_are_none),
        TEST(who_brings_nothing_may_pass),
        TEST(claims_are_sent_and_cannot_be_forged),
        TEST(a_token_comes_from_elsewhere),
        TEST(no_issuer_speaks_for_another),
        TEST(a_foreign_token_is_for_the_next_way),
        TEST(what_is_asked_must_hold),
        TEST(bad_options_have_reasons),
        TEST(keys_that_cannot_be_used_have_reasons),
        TEST(claims_need_an_auth),
        TEST(scopes_are_a_list),
        TEST(allow_asks_for_scopes),
        TEST(bad_rules_have_reasons),
        TEST(allow_asks_for_claims),
        TEST(claims_have_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
