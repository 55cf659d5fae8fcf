/* What one may write under `services:`, and what is said about what one may not. */
#include "service/service_options.h"

#include "service/service.h"
#include "support/service_text.h"

static const struct endpoint_options *endpoint(const struct service_text *r, size_t i)
{
    return (const struct endpoint_options *)r->options.at.items + i;
}

static const struct status_range *range(const struct service_text *r, size_t i)
{
    return (const struct status_range *)r->options.health.expect.items + i;
}

static void test_defaults(void **state)
{
    (void)state;
    struct service_text r;
    service_text_read(&r, "10.0.0.1:8080");
    assert_int_equal(r.options.at.count, 1);
    assert_slice(endpoint(&r, 0)->at.text, "10.0.0.1:8080");
    assert_int_equal(endpoint(&r, 0)->weight, 1);
    assert_string_equal(service_balancer(&r.options)->name, "least-requests");
    assert_int_equal(r.options.timeout.connect, 5 * SECOND);
    assert_int_equal(r.options.timeout.first_byte, 30 * SECOND);
    assert_int_equal(r.options.timeout.idle, 30 * SECOND);
    assert_int_equal(r.options.connections.max, 1024);
    assert_int_equal(r.options.connections.idle, 1024);
    assert_int_equal(r.options.connections.idle_timeout, 55 * SECOND);
    assert_int_equal(r.options.outlier.failures, 5);
    assert_int_equal(r.options.outlier.eject, 30 * SECOND);
    assert_true(r.options.outlier.share == 0.1);
    assert_int_equal(r.options.outlier.longest, 5 * MINUTE);
    assert_int_equal(r.options.outlier.hosts, 5);
    assert_int_equal(r.options.outlier.requests, 100);
    assert_true(r.options.outlier.deviation == 1.9);
    assert_true(r.options.panic == 0.5);
    assert_false(r.options.agent.is_set);
    assert_false(r.options.health.is_set);
    assert_int_equal(r.options.host.size, 0);
    config_end(&r.config);
}

static void test_endpoints(void **state)
{
    (void)state;
    struct service_text r;
    service_text_read(&r, "at: [\"[::1]:80\", \"http://user.internal:81/\", unix:/run/x.sock, "
                          "{address: cart-1:82, weight: 3}, http://10.0.0.1, \"http://[::1]\", "
                          "\"http://cart\"]");
    assert_int_equal(r.options.at.count, 7);
    assert_int_equal(endpoint(&r, 0)->at.address.any.sa_family, AF_INET6);
    assert_slice(endpoint(&r, 1)->at.name, "user.internal");
    assert_int_equal(endpoint(&r, 1)->at.port, 81);
    assert_int_equal(endpoint(&r, 2)->at.address.any.sa_family, AF_UNIX);
    assert_slice(endpoint(&r, 3)->at.name, "cart-1");
    assert_int_equal(endpoint(&r, 3)->weight, 3);
    assert_int_equal(address_port(&endpoint(&r, 4)->at.address), 80);
    assert_int_equal(address_port(&endpoint(&r, 5)->at.address), 80);
    assert_int_equal(endpoint(&r, 6)->at.port, 80);
    config_end(&r.config);
}

static void test_short_forms(void **state)
{
    (void)state;
    struct service_text r;
    service_text_read(&r, "[10.0.0.1:80, 10.0.0.2:80]");
    assert_int_equal(r.options.at.count, 2);
    config_end(&r.config);
    service_text_read(&r,
        "{at: 10.0.0.1:80, timeout: 3s, connections: 7, outlier: 2, "
        "health: HEAD /ok?a=b  every 250ms timeout 1s, balance: weighted-round-robin}");
    assert_int_equal(r.options.timeout.first_byte, 3 * SECOND);
    assert_int_equal(r.options.timeout.connect, 5 * SECOND);
    assert_int_equal(r.options.connections.max, 7);
    assert_int_equal(r.options.queue.size, 1024);
    assert_int_equal(r.options.outlier.failures, 2);
    assert_true(r.options.health.is_set);
    assert_int_equal(r.options.health.method, 1);
    assert_slice(r.options.health.path, "/ok?a=b");
    assert_int_equal(r.options.health.every, 250 * MILLISECOND);
    assert_int_equal(r.options.health.timeout, SECOND);
    assert_int_equal(r.options.health.rise, 2);
    assert_int_equal(r.options.health.fall, 3);
    assert_int_equal(range(&r, 0)->from, 200);
    assert_int_equal(range(&r, 0)->to, 399);
    assert_string_equal(service_balancer(&r.options)->name, "weighted-round-robin");
    config_end(&r.config);
}

static void test_long_forms(void **state)
{
    (void)state;
    struct service_text r;
    service_text_read(&r,
        "at: 10.0.0.1:80\n"
        "host: endpoint\n"
        "timeout: {connect: 1s, first-byte: 2s, idle: 3s}\n"
        "connections: {max: 1, idle: 2, idle-timeout: 3s, lifetime: 1h, requests: 5}\n"
        "queue: 6 for 7s\n"
        "health: {path: /x, method: HEAD, every: 1s, rise: 4, fall: 5, expect: 204}\n"
        "outlier: {failures: 1, eject: 2s, share: 100%}\n");
    assert_slice(r.options.host, "endpoint");
    assert_int_equal(r.options.timeout.idle, 3 * SECOND);
    assert_int_equal(r.options.connections.lifetime, HOUR);
    assert_int_equal(r.options.connections.requests, 5);
    assert_int_equal(r.options.queue.size, 6);
    assert_int_equal(r.options.queue.time, 7 * SECOND);
    assert_true(r.options.health.is_set);
    assert_int_equal(r.options.health.rise, 4);
    assert_int_equal(range(&r, 0)->to, 204);
    assert_true(r.options.outlier.share == 1.0);
    config_end(&r.config);
}

static void test_checks(void **state)
{
    (void)state;
    struct service_text r;
    service_text_read(&r,
        "{at: 10.0.0.1:80, health: \"GET /h every 2s expect 200|204-206 body ready rise 1 fall 7 "
        "failing 100ms idle 0s\"}");
    assert_int_equal(r.options.health.expect.count, 2);
    assert_int_equal(range(&r, 1)->from, 204);
    assert_int_equal(range(&r, 1)->to, 206);
    assert_true(r.options.health.has_body);
    assert_slice(r.options.health.body.text, "ready");
    assert_int_equal(r.options.health.rise, 1);
    assert_int_equal(r.options.health.fall, 7);
    assert_int_equal(r.options.health.failing, 100 * MILLISECOND);
    assert_int_equal(r.options.health.idle, 0);
    config_end(&r.config);
    service_text_read(
        &r, "{at: 10.0.0.1:80, health: {path: /bin/true, method: command, arguments: [a, b]}}");
    assert_int_equal(r.options.health.method, HEALTH_COMMAND);
    assert_int_equal(r.options.health.arguments.count, 2);
    config_end(&r.config);
    service_text_read(&r, "{at: https://10.0.0.1, health: tls every 10s}");
    assert_int_equal(r.options.health.method, HEALTH_TLS);
    config_end(&r.config);
    service_text_read(&r,
        "{at: 10.0.0.1:80, health: {path: /h, expect: [200, 300-302], body: /^o.$/, "
        "headers: {X-Ready: yes, X-Any: \"\"}}}");
    assert_int_equal(r.options.health.expect.count, 2);
    assert_non_null(r.options.health.body.pattern);
    assert_int_equal(r.options.health.headers.count, 2);
    config_end(&r.config);
}

static void test_agents(void **state)
{
    (void)state;
    struct service_text r;
    service_text_read(&r, "{at: 10.0.0.1:80, agent: tcp 9000 every 1s expires 30s}");
    assert_true(r.options.agent.is_set);
    assert_int_equal(r.options.agent.method, AGENT_TCP);
    assert_int_equal(r.options.agent.port, 9000);
    assert_int_equal(r.options.agent.every, SECOND);
    assert_int_equal(r.options.agent.expires, 30 * SECOND);
    assert_int_equal(r.options.agent.overload.status, 503);
    assert_int_equal(r.options.agent.overload.retry_after, 5 * SECOND);
    config_end(&r.config);
    service_text_read(&r,
        "{at: 10.0.0.1:80, agent: {path: /load, port: 9000, overloaded: {status: 429, "
        "retry-after: 0s, body: later}}}");
    assert_int_equal(r.options.agent.method, AGENT_GET);
    assert_slice(r.options.agent.overload.body, "later");
    config_end(&r.config);
}

static const struct malformed malformed[] = {
    {"{at: 10.0.0.1:80, health: tls}", 1, 1, "asked by TLS", "https://"},
    {"{at: 10.0.0.1:80, health: command check.sh}", 1, 35, "a check looks so", NULL},
    {"{at: 10.0.0.1:80, health: {path: check.sh, method: command}}", 1, 27, "whole path", NULL},
    {"{at: 10.0.0.1:80, health: {path: /h, arguments: [a]}}", 1, 27, "only a command", NULL},
    {"{at: 10.0.0.1:80, health: {path: /h, method: HEAD, body: a}}", 1, 27, "no body", NULL},
    {"{at: 10.0.0.1:80, health: {path: \"*\", method: tcp, body: a}}", 1, 27, "HTTP", NULL},
    {"{at: 10.0.0.1:80, health: {path: /h, body: /(/}}", 1, 44, "pattern is malformed", NULL},
    {"{at: 10.0.0.1:80, health: GET /h expect 2000}", 1, 27, "neither a status", NULL},
    {"{at: 10.0.0.1:80, health: GET /h fall 0}", 1, 39, "1 to 100", NULL},
    {"{at: 10.0.0.1:80, agent: tcp}", 1, 26, "an agent looks so", NULL},
    {"{at: 10.0.0.1:80, agent: tcp 70000}", 1, 30, "an agent looks so", NULL},
    {"{at: 10.0.0.1:80, agent: GET load}", 1, 30, "an agent looks so", NULL},
    {"{at: 10.0.0.1:80, agent: tcp 9000 each 2s}", 1, 35, "then may stand", NULL},
    {"{at: 10.0.0.1:80, agent: {method: tcp}}", 1, 26, "needs a port", NULL},
    {"{at: 10.0.0.1:80, agent: {port: 1}}", 1, 26, "begins with a slash", NULL},
    {"{at: 10.0.0.1:80, outlier: {eject: 1m, longest: 10s}}", 1, 28, "shorter", NULL},
    {"{}", 1, 1, "at", NULL},
    {"at: []", 1, 1, "at least one endpoint", NULL},
    {"at: 10.0.0.1", 1, 5, "", NULL},
    {"at: user.internal", 1, 5, "needs a port", NULL},
    {"at: user.internal:99999", 1, 5, "1 to 65535", NULL},
    {"at: 10.0.0.1:0", 1, 5, "1 to 65535", NULL},
    {"at: 10.0.0.300:80", 1, 5, "neither an address", NULL},
    {"at: \":80\"", 1, 5, "needs a host", NULL},
    {"at: ftp://user.internal", 1, 5, "only http://, https://, h2c:// and sources", NULL},
    {"at: [https://a, b:80]", 1, 17, "all of its endpoints", "https:// before each"},
    {"at: [https://a, http://b]", 1, 17, "all of its endpoints", NULL},
    {"{at: http://a, tls: {name: b}}", 1, 6, "all of its endpoints", NULL},
    {"{at: \"unix:/run/x\", tls: {verify: true}}", 1, 1, "has no name", "name: users"},
    {"{at: https://a, tls: {cert: a.pem}}", 1, 22, "needs its key", NULL},
    {"{at: https://a, tls: {ca: a.pem, verify: false}}", 1, 27, "nothing is verified", NULL},
    {"{at: https://a, tls: yes}", 1, 22, "", NULL},
    {"at: \"dns://\"", 1, 5, "something is missing behind the scheme", NULL},
    {"{at: 10.0.0.1:80, grace: 1m}", 1, 19, "option of sources, and the service has none", NULL},
    {"at: {address: 10.0.0.1:80, grace: 1m}", 1, 28, "option of sources, and this endpoint is none",
        NULL},
    {"{at: [user:80, cart:80], grace: 1m}", 1, 26, "write it beside that one", NULL},
    {"at: http://user.internal/api", 1, 5, "no path", NULL},
    {"at: [10.0.0.1:80, [x]]", 1, 19, "", NULL},
    {"at: [{address: 10.0.0.1:80, weight: -1}]", 1, 37, "", NULL},
    {"at: [{weight: 1}]", 1, 6, "address", NULL},
    {"{at: 10.0.0.1:80, balance: round-robbin}", 1, 28, "no balancer",
        "did you mean \"round-robin\"?"},
    {"{at: 10.0.0.1:80, balance: round-robin header.x}", 1, 40, "takes nothing", NULL},
    {"{at: 10.0.0.1:80, balance: [x]}", 1, 28, "is a map", NULL},
    {"{at: 10.0.0.1:80, balence: round-robin}", 1, 19, "unknown", "balance"},
    {"{at: 10.0.0.1:80, timeout: 3}", 1, 28, "unit", NULL},
    {"{at: 10.0.0.1:80, timeout: {first: 3s}}", 1, 29, "unknown", "first-byte"},
    {"{at: 10.0.0.1:80, health: POST /x}", 1, 27, "a check looks so", NULL},
    {"{at: 10.0.0.1:80, health: GET}", 1, 27, "a check looks so", NULL},
    {"{at: 10.0.0.1:80, health: GET x}", 1, 31, "a check looks so", NULL},
    {"{at: 10.0.0.1:80, health: GET /x every}", 1, 34, "a value is missing", NULL},
    {"{at: 10.0.0.1:80, health: GET /x every 5}", 1, 40, "unit", NULL},
    {"{at: 10.0.0.1:80, health: GET /x each 5s}", 1, 34, "after the path", NULL},
    {"{at: 10.0.0.1:80, health: {path: x}}", 1, 27, "begins with a slash", NULL},
    {"{at: 10.0.0.1:80, health: {every: 1s}}", 1, 27, "path", NULL},
    {"{at: 10.0.0.1:80, health: {path: /x, expect: 700}}", 1, 46, "neither a status", NULL},
    {"{at: 10.0.0.1:80, connections: 0}", 1, 32, "", NULL},
    {"{at: 10.0.0.1:80, outlier: {share: 2}}", 1, 36, "", NULL},
};

static void test_malformed(void **state)
{
    (void)state;
    assert_malformed(&service_table, malformed);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_short_forms),
        cmocka_unit_test(test_long_forms),
        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_agents),
        cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
