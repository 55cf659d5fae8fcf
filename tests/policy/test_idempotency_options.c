#include "policy/idempotency_options.h"

#include <stdio.h>

#include "support/config.h"
#include "support/unit.h"

static struct config config;
static struct idempotency_options options;

static int tear_down(void **state)
{
    (void)state;
    config_end(&config);
    return 0;
}

static void read_clean(const char *text)
{
    config_read_clean(&config, text, &idempotency_table, &options);
}

static bool excepts(int status)
{
    return idempotency_has_status(&options.except, status);
}

static void a_class_has_all_of_its_statuses(void **state)
{
    (void)state;
    read_clean("{except: 2xx}");
    for (int status = 100; status < 700; status++)
        assert_int_equal(excepts(status), status / 100 == 2);
    config_end(&config);
    read_clean("{except: [404, 5xx, 200]}");
    for (int status = 100; status < 700; status++)
        assert_int_equal(excepts(status), status == 404 || status == 200 || status / 100 == 5);
}

static void each_status_is_one_of_its_own(void **state)
{
    (void)state;
    for (int status = IDEMPOTENCY_STATUS_FIRST; status <= IDEMPOTENCY_STATUS_LAST; status++) {
        char text[32];
        snprintf(text, sizeof text, "{except: %d}", status);
        read_clean(text);
        for (int other = IDEMPOTENCY_STATUS_FIRST; other <= IDEMPOTENCY_STATUS_LAST; other++)
            assert_int_equal(excepts(other), other == status);
        if (status < IDEMPOTENCY_STATUS_LAST)
            config_end(&config);
    }
}

static void by_default_it_is_posts_alone(void **state)
{
    (void)state;
    read_clean("{}");
    assert_true(idempotency_is_for(&options, METHOD_POST));
    assert_false(idempotency_is_for(&options, METHOD_PUT));
    assert_false(idempotency_is_for(&options, METHOD_GET));
    assert_false(options.is_retried);
    assert_false(excepts(500));
    config_end(&config);
    read_clean("{methods: [PATCH, DELETE], unknown: retry, docs: \"https://x.example/!~\"}");
    assert_true(idempotency_is_for(&options, METHOD_PATCH));
    assert_true(idempotency_is_for(&options, METHOD_DELETE));
    assert_false(idempotency_is_for(&options, METHOD_POST));
    assert_true(options.is_retried);
}

static void what_one_may_not_write(void **state)
{
    (void)state;
    static const struct malformed malformed[] = {{"{except: 199}", 1, 10, "no status"},
        {"{except: 600}", 1, 10, "no status"}, {"{except: 1xx}", 1, 10, "no status"},
        {"{except: 6xx}", 1, 10, "no status"}, {"{except: xxx}", 1, 10, "no status"},
        {"{except: 50x}", 1, 10, "no status"}, {"{except: [503, no]}", 1, 16, "no status"},
        {"{except: [[503]]}", 1, 11, "no status"},
        {"{fields: [x-a, \"a b\"]}", 1, 1, "\"a b\" is no name"},
        {"{docs: \"https://x.example/a b\"}", 1, 1, "no URL"},
        {"{docs: \"https://x.example/<a>\"}", 1, 1, "no URL"},
        {"{docs: \"https://x.example/\\x7f\"}", 1, 1, "no URL"},
        {"{methods: GET}", 1, 11, "cannot be", "POST"}};
    assert_malformed(&idempotency_table, malformed);
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_class_has_all_of_its_statuses),
        TEST(each_status_is_one_of_its_own),
        TEST(by_default_it_is_posts_alone),
        cmocka_unit_test(what_one_may_not_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
