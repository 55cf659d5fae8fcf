/* What people are shown of what a file says of a service. */
#include "service/written.h"

#include "support/service_text.h"

#include <stdlib.h>

static void expect(const char *yaml, const char *shown)
{
    struct service_text r;
    struct text text = text_growing(0);
    service_text_read(&r, yaml);
    written_print(&r.options.written, &text);
    assert_slices(text_slice(&text), slice_of_text(shown));
    text_release(&text);
    config_end(&r.config);
}

static void test_phrases_maps_and_lists(void **state)
{
    (void)state;
    expect("10.0.0.1:80", "");
    expect("{at: 10.0.0.1:80}", "");
    expect("{at: 10.0.0.1:80, queue: 100 for 2s, health: {path: /ok, every: 5s}}",
        "queue: 100 for 2s; health: {path: /ok, every: 5s}");
    expect("{at: 10.0.0.1:80, fallback: {body: x, on: [busy, failed]}}",
        "fallback: {body: x, on: [busy, failed]}");
}

static void test_what_is_not_for_everybody(void **state)
{
    (void)state;
    expect(
        "{at: 10.0.0.1:80, sticky: {cookie: a, secret: s3cret}}", "sticky: {cookie: a, secret: …}");
    expect("{at: 10.0.0.1:80, health: {path: /ok, headers: {Authorization: x}}}",
        "health: {path: /ok, headers: …}");
    expect("{at: etcd://10.0.0.1:2379/a, user: u, password: p, queue: 5}", "queue: 5");
    assert_int_equal(setenv("WEIR_TEST_HOST", "inner.example", 1), 0);
    expect("{at: 10.0.0.1:80, host: \"${WEIR_TEST_HOST}\"}", "host: …");
}

/* What stands beside `versions` holds for each. */
static void test_versions(void **state)
{
    (void)state;
    struct service_text r;
    struct text text = text_growing(0);
    service_text_read(&r,
        "{queue: 5, versions: {v1: 10.0.0.1:80, v2: {at: 10.0.0.2:80, share: 10%, panic: 0%}}}");
    written_print(&r.options.release.versions[1].service->written, &text);
    text_add_char(&text, '\0');
    assert_non_null(strstr(text.data, "queue: 5"));
    assert_non_null(strstr(text.data, "panic: 0%"));
    assert_null(strstr(text.data, "share"));
    text_release(&text);
    config_end(&r.config);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_phrases_maps_and_lists),
        cmocka_unit_test(test_what_is_not_for_everybody),
        cmocka_unit_test(test_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
