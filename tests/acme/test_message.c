#include "acme/message.h"

#include "base/clock.h"
#include "support/arena_fixture.h"
#include "support/unit.h"

static void directories(void **state)
{
    (void)state;
    struct acme_directory directory;
    assert_ok(acme_read_directory(&arena,
        SLICE("{\"newNonce\":\"https://ca/n\",\"newAccount\":\"https://ca/a\",\"newOrder\":"
              "\"https://ca/o\",\"meta\":{\"externalAccountRequired\":true}}"),
        &directory));
    assert_slice(directory.new_nonce, "https://ca/n");
    assert_slice(directory.new_account, "https://ca/a");
    assert_slice(directory.new_order, "https://ca/o");
    assert_true(directory.needs_binding);
    assert_status(acme_read_directory(&arena, SLICE("{}"), &directory), INVALID);
    assert_status(acme_read_directory(&arena, SLICE("<html>"), &directory), INVALID);
    assert_status(acme_read_directory(&arena,
                      SLICE("{\"newNonce\":\"http://ca/n\",\"newAccount\":\"https://ca/a\","
                            "\"newOrder\":\"https://ca/o\"}"),
                      &directory),
        INVALID);
}

static void orders(void **state)
{
    (void)state;
    struct acme_order order;
    assert_ok(acme_read_order(&arena,
        SLICE("{\"status\":\"ready\",\"finalize\":\"https://ca/f\",\"authorizations\":"
              "[\"https://ca/1\",\"https://ca/2\"]}"),
        &order));
    assert_int_equal(order.state, ACME_READY);
    assert_int_equal(order.authorization_count, 2);
    assert_slice(order.authorizations[1], "https://ca/2");
    assert_int_equal(order.certificate.size, 0);
    assert_ok(acme_read_order(&arena,
        SLICE("{\"status\":\"expired\",\"finalize\":\"https://ca/f\",\"authorizations\":[],"
              "\"error\":{\"type\":\"urn:ietf:params:acme:error:caa\",\"detail\":\"no\\nway\"}}"),
        &order));
    assert_int_equal(order.state, ACME_INVALID);
    assert_slice(order.problem.type, "caa");
    assert_slice(order.problem.detail, "no way");
    static const char *const bad[] = {"[]", "{\"status\":\"ready\"}",
        "{\"finalize\":\"https://ca/f\",\"authorizations\":[1]}",
        "{\"finalize\":\"https://ca/f\",\"authorizations\":[\"https://ca/ x\"]}",
        "{\"finalize\":\"https://ca/f\",\"authorizations\":\"https://ca/1\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_status(acme_read_order(&arena, slice_of_text(bad[i]), &order), INVALID);
}

static void authorizations(void **state)
{
    (void)state;
    struct acme_authorization authorization;
    assert_ok(acme_read_authorization(&arena,
        SLICE("{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\",\"value\":\"a.example\"},"
              "\"challenges\":["
              "{\"type\":\"http-01\",\"url\":\"https://ca/c\",\"token\":\"aB-_9\",\"status\":"
              "\"pending\"},"
              "{\"type\":\"http-01\",\"url\":\"https://ca/c\",\"token\":\"../x\"},"
              "{\"type\":\"other\"}]}"),
        &authorization));
    assert_slice(authorization.name, "a.example");
    assert_int_equal(authorization.challenge_count, 1); /* others are of no use */
    assert_slice(authorization.challenges[0].token, "aB-_9");
    assert_int_equal(authorization.challenges[0].state, ACME_PENDING);
    assert_status(acme_read_authorization(&arena, SLICE("{}"), &authorization), INVALID);
}

static void problems(void **state)
{
    (void)state;
    struct acme_problem problem;
    acme_read_problem(&arena,
        SLICE("{\"type\":\"urn:ietf:params:acme:error:badNonce\",\"detail\":\"old\"}"), &problem);
    assert_slice(problem.type, "badNonce");
    assert_slice(problem.detail, "old");
    acme_read_problem(&arena, SLICE("\xff"), &problem);
    assert_int_equal(problem.type.size + problem.detail.size, 0);
}

static void times_to_wait(void **state)
{
    (void)state;
    int64_t now = 784111777 * SECOND; /* Sun, 06 Nov 1994 08:49:37 GMT */
    assert_int_equal(acme_read_retry_after(SLICE("30"), now), 30);
    assert_int_equal(acme_read_retry_after(SLICE("99999999"), now), 86400);
    assert_int_equal(acme_read_retry_after(SLICE("Sun, 06 Nov 1994 08:50:37 GMT"), now), 60);
    assert_int_equal(acme_read_retry_after(SLICE("Sun, 06 Nov 1994 08:48:37 GMT"), now), 0);
    assert_int_equal(acme_read_retry_after(SLICE_NONE, now), 0);
    assert_int_equal(acme_read_retry_after(SLICE("soon"), now), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_setup, arena_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(directories),
        TEST(orders),
        TEST(authorizations),
        TEST(problems),
        TEST(times_to_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
