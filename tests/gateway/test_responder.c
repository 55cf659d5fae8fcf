#include "gateway/responder.h"

#include "support/unit.h"

static void check(struct slice url, const char *authority, const char *path, unsigned port)
{
    struct arena arena;
    struct fetch_place responder;
    arena_init(&arena, 0, 0);
    assert_ok(responder_parse(&arena, url, &responder));
    assert_slices(responder.authority, slice_of_text(authority));
    assert_slices(responder.path, slice_of_text(path));
    assert_int_equal(responder.port, port);
    arena_release(&arena);
}

static void urls_are_read(void **state)
{
    (void)state;
    check(SLICE("http://ocsp.example"), "ocsp.example", "/", 80);
    check(SLICE("http://ocsp.example/"), "ocsp.example", "/", 80);
    check(SLICE("http://ocsp.example:8080/a/b?c"), "ocsp.example:8080", "/a/b?c", 8080);
    check(SLICE("http://127.0.0.1:81/ocsp"), "127.0.0.1:81", "/ocsp", 81);
}

static void refuse(struct slice url)
{
    struct arena arena;
    struct fetch_place responder;
    arena_init(&arena, 0, 0);
    assert_status(responder_parse(&arena, url, &responder), INVALID);
    arena_release(&arena);
}

/* A certificate's bytes must not become lines of a request. */
static void others_are_refused(void **state)
{
    (void)state;
    refuse(SLICE(""));
    refuse(SLICE("https://ocsp.example/"));
    refuse(SLICE("ldap://ocsp.example/"));
    refuse(SLICE("http:///path"));
    refuse(SLICE("http://ocsp.example/ HTTP/1.1\r\nX: y"));
    refuse(SLICE("http://ocsp.example/a\nb"));
    refuse(SLICE("http://ocsp.example/a b"));
    refuse(SLICE("http://ocsp.example/\0"));
    refuse(SLICE("http://ocsp.example/\xc3\xa4"));
    refuse(SLICE("http://user@ocsp.example/"));
    refuse(SLICE("http://ocsp.example:99999/"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_read),
        cmocka_unit_test(others_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
