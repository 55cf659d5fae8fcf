#include "policy/login.h"

#include <stdio.h>

#include "base/base64.h"
#include "support/arena_fixture.h"
#include "support/unit.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)
#define ISSUER     "https://id.example"

/* As much of a login as sessions need. */
struct rig {
    struct login login;
    struct login_provider provider;
    struct login_provider *used[1];
    struct sealer sealer;
};

static void rig_init(struct rig *rig)
{
    const struct slice secret = SLICE("a secret of thirty-two bytes ...");
    const char *why;
    *rig = (struct rig){.provider = {.issuer = SLICE(ISSUER), .name = SLICE("one")}};
    rig->provider.client.id = SLICE("shop");
    assert_ok(sealer_init(&rig->sealer, &secret, 1, SLICE("test"), &why));
    rig->used[0] = &rig->provider;
    rig->login = (struct login){
        .used = rig->used, .count = 1, .sessions = &rig->sealer, .lifetime = HOUR, .idle = MINUTE};
}

/* A token whose signature nobody looks at any more. */
static struct slice id_token(const char *claims)
{
    char *room = arena_bytes(&arena, 1000);
    struct text text = text_fixed(room, 1000);
    char part[500];
    text_add_literal(&text, "eyJhbGciOiJFUzI1NiJ9.");
    text_add(&text,
        slice_of(part, base64_encode(slice_of_text(claims), BASE64_URL | BASE64_UNPADDED, part)));
    text_add_literal(&text, ".AAAA");
    return text_slice(&text);
}

static struct login_session session_of(const char *claims)
{
    return (struct login_session){.provider = SLICE("one"),
        .id = SLICE("id"),
        .number = 3,
        .begun = login_now() - 30,
        .used = login_now() - 20,
        .due = login_now() + 40,
        .fresh = login_now() + 50,
        .id_token = id_token(claims),
        .refresh_token = SLICE("refresh \"token\"")};
}

static void a_session_comes_back(void **state)
{
    (void)state;
    struct rig rig;
    struct login_session session =
                             session_of("{\"iss\":\"" ISSUER "\",\"aud\":\"shop\",\"sub\":\"u1\"}"),
                         back;
    struct slice text;
    rig_init(&rig);
    assert_ok(login_session_seal(&rig.login, &session, &arena, &text));
    assert_ok(login_session_open(&rig.login, &arena, text, &back));
    assert_slices(back.provider, session.provider);
    assert_slices(back.id, session.id);
    assert_slices(back.id_token, session.id_token);
    assert_slices(back.refresh_token, session.refresh_token);
    assert_true(back.number == 3 && back.begun == session.begun && back.used == session.used);
    assert_true(back.due == session.due && back.fresh == session.fresh && back.looked == 0);
    assert_slice(json_text_of(back.claims, "sub"), "u1");
    assert_true(login_session_end(&rig.login, &back) == session.used + 60);
}

static void others_are_none(void **state)
{
    (void)state;
    static const struct {
        const char *claims;
        int64_t begun, used; /* seconds ago */
        enum status verdict;
    } rows[] = {
        {"{\"iss\":\"" ISSUER "\",\"aud\":[\"x\",\"shop\"]}", 0, 0, OK},
        {"{\"iss\":\"" ISSUER "\",\"aud\":[\"x\",\"shop\"]}", 3590, 50, OK},
        {"{\"iss\":\"" ISSUER "\",\"aud\":[\"x\",\"shop\"]}", 3601, 0, INVALID},
        {"{\"iss\":\"" ISSUER "\",\"aud\":[\"x\",\"shop\"]}", 100, 61, INVALID},
        {"{\"iss\":\"https://other.example\",\"aud\":\"shop\"}", 0, 0, INVALID},
        {"{\"iss\":\"" ISSUER "\",\"aud\":\"other\"}", 0, 0, INVALID},
        {"{\"iss\":\"" ISSUER "\",\"aud\":[\"other\"]}", 0, 0, INVALID},
        {"{\"iss\":\"" ISSUER "\"}", 0, 0, INVALID},
        {"{}", 0, 0, INVALID},
        {"[]", 0, 0, INVALID},
        {"", 0, 0, INVALID},
    };
    struct rig rig;
    rig_init(&rig);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct login_session session = session_of(rows[i].claims), back;
        struct slice text;
        session.begun = login_now() - rows[i].begun;
        session.used = login_now() - rows[i].used;
        assert_ok(login_session_seal(&rig.login, &session, &arena, &text));
        assert_status(login_session_open(&rig.login, &arena, text, &back), rows[i].verdict);
    }
    struct login_session session = session_of("{\"iss\":\"" ISSUER "\",\"aud\":[\"x\",\"shop\"]}"),
                         back;
    struct slice text;
    assert_ok(login_session_seal(&rig.login, &session, &arena, &text));
    rig.provider.name = SLICE("two"); /* the one that it came from is not there any more */
    assert_status(login_session_open(&rig.login, &arena, text, &back), INVALID);
    assert_ok(seal(&rig.sealer, &arena, SLICE("{\"p\":\"two\"}"), &text));
    assert_status(login_session_open(&rig.login, &arena, text, &back), INVALID);
    assert_ok(seal(&rig.sealer, &arena, SLICE("nonsense"), &text));
    assert_status(login_session_open(&rig.login, &arena, text, &back), INVALID);
}

static void a_session_has_what_userinfo_said(void **state)
{
    (void)state;
    struct rig rig;
    struct login_session session =
        session_of("{\"iss\":\"" ISSUER "\",\"aud\":\"shop\",\"sub\":\"u1\"}");
    struct login_session back;
    struct slice text;
    rig_init(&rig);
    session.userinfo = SLICE("{\"name\":\"Ada\",\"groups\":[\"a\",\"b\"]}");
    assert_ok(login_session_seal(&rig.login, &session, &arena, &text));
    assert_ok(login_session_open(&rig.login, &arena, text, &back));
    assert_slice(json_text_of(back.claims, "name"), "Ada");
    assert_slice(json_text_of(back.claims, "sub"), "u1");
    assert_int_equal(json_array_of(back.claims, "groups")->count, 2);
    assert_int_equal(back.claims->count, 5);
    assert_slices(back.userinfo, session.userinfo);
    static const char *const bad[] = {"[]", "{}", "x", "{\"a\":"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        session.userinfo = slice_of_text(bad[i]);
        assert_ok(login_session_seal(&rig.login, &session, &arena, &text));
        assert_status(login_session_open(&rig.login, &arena, text, &back), INVALID);
    }
}

/* Cookies are small: it is there only if somebody is to have it. */
static void an_access_token_is_kept_where_it_is_wanted(void **state)
{
    (void)state;
    struct rig rig;
    struct login_session session =
        session_of("{\"iss\":\"" ISSUER "\",\"aud\":\"shop\",\"sub\":\"u1\"}");
    struct login_session back;
    struct slice text;
    rig_init(&rig);
    session.access_token = SLICE("access");
    static const int bearers[] = {LOGIN_BEARER_NONE, LOGIN_BEARER_ID, LOGIN_BEARER_ACCESS};
    for (size_t i = 0; i < sizeof bearers / sizeof *bearers; i++) {
        rig.login.bearer = bearers[i];
        assert_ok(login_session_seal(&rig.login, &session, &arena, &text));
        assert_ok(login_session_open(&rig.login, &arena, text, &back));
        assert_slices(back.access_token,
            bearers[i] == LOGIN_BEARER_ACCESS ? session.access_token : SLICE(""));
    }
}

static void only_paths_of_this_host_are_safe(void **state)
{
    (void)state;
    static const char *const good[] = {"/", "/a", "/a?b=c&d", "/a//b", "/%2F", "/a:b@c"},
                             *const bad[] = {"", "a", "//", "//evil.example", "/\\evil.example",
                                 "/a\\b", "/\t/evil", "/a b", "/a\r\nX: y", "/\x7f", "/\xc3\xa9",
                                 "https://evil.example", "javascript:x", "/<script>", "/\""};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_slices(login_safe_path(slice_of_text(good[i])), slice_of_text(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_slice(login_safe_path(slice_of_text(bad[i])), "/");
    char *long_one = arena_bytes(&arena, LOGIN_TEXT_MAX + 1);
    memset(long_one, '/', 1);
    memset(long_one + 1, 'a', LOGIN_TEXT_MAX);
    assert_int_equal(login_safe_path(slice_of(long_one, LOGIN_TEXT_MAX)).size, LOGIN_TEXT_MAX);
    assert_slice(login_safe_path(slice_of(long_one, LOGIN_TEXT_MAX + 1)), "/");
}

static void keys_of_notes_differ(void **state)
{
    (void)state;
    struct rig rig;
    rig_init(&rig);
    rig.login.name = SLICE("auth.web");
    struct slice key = login_note_key(&rig.login, &arena, "sid", SLICE("one"), SLICE("a"));
    assert_slices(key, login_note_key(&rig.login, &arena, "sid", SLICE("one"), SLICE("a")));
    assert_true(key.size < STORE_KEY_MAX);
    assert_false(
        slice_equal(key, login_note_key(&rig.login, &arena, "sub", SLICE("one"), SLICE("a"))));
    assert_false(
        slice_equal(key, login_note_key(&rig.login, &arena, "sid", SLICE("two"), SLICE("a"))));
    assert_false(
        slice_equal(key, login_note_key(&rig.login, &arena, "sid", SLICE("one"), SLICE("b"))));
    rig.login.name = SLICE("auth.app");
    assert_false(
        slice_equal(key, login_note_key(&rig.login, &arena, "sid", SLICE("one"), SLICE("a"))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_session_comes_back),
        TEST(others_are_none),
        TEST(a_session_has_what_userinfo_said),
        TEST(an_access_token_is_kept_where_it_is_wanted),
        TEST(only_paths_of_this_host_are_safe),
        TEST(keys_of_notes_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
