#include "http/exchange.h"

#include <stdlib.h>

#include "base/json.h"
#include "support/on_loop.h"
#include "support/unit.h"

static int set_up(void **state)
{
    static struct exchange x;
    memset(&x, 0, sizeof x);
    arena_init(&x.arena, 0, 0);
    *state = &x;
    return 0;
}

static int tear_down(void **state)
{
    arena_release(&((struct exchange *)*state)->arena);
    return 0;
}

static struct slice body_of(struct exchange *x)
{
    bool last = false;
    struct slice bytes = body_peek(x->response.body, &last);
    assert_true(last);
    return bytes;
}

static void note_drop(struct body *body)
{
    body->length++;
}

static const struct body_ops noting = {.drop = note_drop};

static void an_answer_has_status_type_and_body(void **state)
{
    struct exchange *x = *state;
    assert_ok(exchange_respond(x, 201, SLICE("text/plain"), SLICE("made")));
    assert_int_equal(x->response.status, 201);
    assert_slice(fields_value(&x->response.fields, FIELD_CONTENT_TYPE), "text/plain");
    assert_int_equal(x->response.body->length, 4);
    assert_slice(body_of(x), "made");
    assert_ok(exchange_respond(x, 204, SLICE_NONE, SLICE_NONE));
    assert_int_equal(x->response.fields.count, 0);
    assert_true(body_is_empty(x->response.body));
}

static void one_on_behalf_of_another_knows_whose_it_is(void **state)
{
    struct exchange *x = *state, own;
    struct body answer = {.ops = &noting};
    int pinned;
    memset(&own, 'x', sizeof own);
    x->worker = 3;
    x->id_number = 77;
    x->pinned = &pinned;
    x->is_copy = true;
    x->deadline = 1;
    x->facts.listener = SLICE("front");
    x->facts.route = SLICE("orders");
    x->facts.service = SLICE("shop");
    assert_ok(address_parse(SLICE("192.0.2.1:1"), &x->peer));
    assert_ok(address_parse(SLICE("192.0.2.2:2"), &x->client));
    exchange_init_for(&own, x);
    assert_int_equal(own.worker, 3);
    assert_int_equal(own.id_number, 77);
    assert_ptr_equal(own.pinned, &pinned);
    assert_slice(own.facts.listener, "front");
    assert_slice(own.facts.route, "orders");
    assert_int_equal(own.facts.service.size, 0);
    assert_true(own.facts.started > 0);
    assert_true(own.deadline == NEVER);
    assert_false(own.is_copy);
    assert_true(address_equal(&own.peer, &x->peer));
    assert_true(address_equal(&own.client, &x->client));
    assert_ok(fields_add_known(&own.request.fields, FIELD_ETAG, SLICE("e")));
    assert_ok(fields_add_known(&own.response.fields, FIELD_ETAG, SLICE("e")));
    own.response.body = &answer;
    exchange_release(&own);
    assert_int_equal(answer.length, 1);
}

static void an_earlier_answer_is_given_up(void **state)
{
    struct exchange *x = *state;
    struct body old = {.ops = &noting};
    x->response.status = 200;
    x->response.body = &old;
    fields_init(&x->response.fields, &x->arena);
    fields_add_known(&x->response.fields, FIELD_ETAG, SLICE("\"x\""));
    exchange_respond_problem(x, UPSTREAM_TIMEOUT, SLICE_NONE);
    assert_int_equal(old.length, 1);
    assert_int_equal(x->response.status, 504);
    assert_false(fields_has(&x->response.fields, FIELD_ETAG));
}

static void a_problem_says_why(void **state)
{
    struct exchange *x = *state;
    x->request_id = SLICE("id-7");
    fields_init(&x->response.fields, &x->arena);
    fields_add_known(&x->response.fields, FIELD_RETRY_AFTER, SLICE("3"));
    exchange_respond_problem(x, LIMIT_EXCEEDED, SLICE("At most \"5\" a minute."));
    assert_int_equal(x->response.status, 429);
    assert_int_equal(x->facts.reason, LIMIT_EXCEEDED);
    assert_slice(fields_value(&x->response.fields, FIELD_RETRY_AFTER), "3");
    assert_slice(fields_value(&x->response.fields, FIELD_CONTENT_TYPE), "application/problem+json");
    assert_slice(
        fields_value(&x->response.fields, FIELD_PROXY_STATUS), "weir; error=http_request_denied");
    struct json_value *root;
    struct slice text;
    int64_t status;
    assert_ok(json_parse(&x->arena, body_of(x), NULL, &root, NULL));
    assert_true(json_get_text(root, SLICE("type"), &text));
    assert_slice(text, "about:blank");
    assert_true(json_get_text(root, SLICE("title"), &text));
    assert_slice(text, "Too Many Requests");
    assert_true(json_get_i64(root, SLICE("status"), &status));
    assert_int_equal(status, 429);
    assert_true(json_get_text(root, SLICE("reason"), &text));
    assert_slice(text, "limit-exceeded");
    assert_true(json_get_text(root, SLICE("detail"), &text));
    assert_slice(text, "At most \"5\" a minute.");
    assert_true(json_get_text(root, SLICE("request_id"), &text));
    assert_slice(text, "id-7");
}

static void every_reason_becomes_an_error(void **state)
{
    struct exchange *x = *state;
    for (enum status e = OK; e < STATUS_COUNT; e++) {
        x->response = (struct http_response){0};
        exchange_respond_problem(x, e, SLICE_NONE);
        assert_in_range(x->response.status, 400, 599);
        assert_int_equal(
            fields_has(&x->response.fields, FIELD_PROXY_STATUS), *status_proxy_error(e) != 0);
        assert_true(body_of(x).size > 40);
    }
}

static void a_long_detail_is_left_out(void **state)
{
    struct exchange *x = *state;
    static char detail[2000];
    struct json_value *root;
    struct slice text;
    memset(detail, 'x', sizeof detail);
    exchange_respond_problem(x, NO_ROUTE, slice_of(detail, sizeof detail));
    assert_ok(json_parse(&x->arena, body_of(x), NULL, &root, NULL));
    assert_true(json_get_text(root, SLICE("reason"), &text));
    assert_false(json_get_text(root, SLICE("detail"), &text));
}

static void a_problem_needs_no_memory(void **state)
{
    struct exchange *x = *state;
    arena_release(&x->arena);
    arena_init(&x->arena, 0, 1);
    assert_status(exchange_respond(x, 200, SLICE("text/plain"), SLICE("a")), NO_MEMORY);
    exchange_respond_problem(x, NO_MEMORY, SLICE_NONE);
    assert_int_equal(x->response.status, 503);
    assert_true(body_of(x).size > 10);
}

static void fill(struct exchange *x)
{
    struct http_request *request = &x->request;
    request->method = METHOD_GET;
    request->method_text = arena_copy(&x->arena, SLICE("GET"));
    request->path = arena_copy(&x->arena, SLICE("/room"));
    request->query = arena_copy(&x->arena, SLICE("x=1"));
    fields_init(&request->fields, &x->arena);
    struct slice agent = arena_copy(&x->arena, SLICE("test/1"));
    assert_ok(fields_add_known(&request->fields, FIELD_USER_AGENT, agent));
    assert_ok(fields_add_known(&request->fields, FIELD_COOKIE, SLICE("secret=1")));
    x->request_id = arena_copy(&x->arena, SLICE("id-7"));
    x->facts.endpoint = arena_copy(&x->arena, SLICE("10.0.0.1:80"));
    x->facts.route = SLICE("/**");
    x->response.status = 101;
    x->parameter_count = 3;
}

static void a_settled_exchange_stands_alone(void **state)
{
    struct exchange *x = *state;
    fill(x);
    struct slice route = x->facts.route;
    struct exchange *settled = exchange_settle(x);
    arena_release(&x->arena);
    memset(x, 0xee, sizeof *x);
    assert_slice(settled->request.method_text, "GET");
    assert_slice(settled->request.path, "/room");
    assert_slice(settled->request.query, "x=1");
    assert_slice(fields_value(&settled->request.fields, FIELD_USER_AGENT), "test/1");
    assert_false(fields_has(&settled->request.fields, FIELD_COOKIE));
    assert_false(fields_has(&settled->request.fields, FIELD_REFERER));
    assert_slice(settled->request_id, "id-7");
    assert_slice(settled->facts.endpoint, "10.0.0.1:80");
    assert_ptr_equal(settled->facts.route.data, route.data); /* known by where it is */
    assert_int_equal(settled->response.status, 101);
    assert_int_equal(settled->parameter_count, 0);
    arena_release(&settled->arena);
    free(settled);
    memset(x, 0, sizeof *x);
    arena_init(&x->arena, 0, 0);
}

/* --- the end */

static char ran[8];

struct noted_end {
    struct exchange_end end;
    char name;
};

static void note_end(struct exchange_end *end, struct exchange *x)
{
    (void)x;
    strncat(ran, &((struct noted_end *)end)->name, 1);
}

/* Adds another when it is run. */
static void add_one(struct exchange_end *end, struct exchange *x)
{
    static struct noted_end late = {.end.run = note_end, .name = 'l'};
    note_end(end, x);
    exchange_add_end(x, &late.end);
}

static void ends_run_once_the_newest_first(void **state)
{
    struct exchange *x = *state;
    struct noted_end ends[] = {{.end.run = note_end, .name = 'a'},
        {.end.run = add_one, .name = 'b'}, {.end.run = note_end, .name = 'c'}};
    ran[0] = '\0';
    exchange_run_ends(x);
    assert_string_equal(ran, "");
    for (int i = 0; i < 3; i++)
        exchange_add_end(x, &ends[i].end);
    exchange_run_ends(x);
    exchange_run_ends(x);
    assert_string_equal(ran, "cbla");
}

static void ends_are_those_of_the_settled(void **state)
{
    struct exchange *x = *state;
    struct noted_end end = {.end.run = note_end, .name = 'a'};
    ran[0] = '\0';
    fill(x);
    exchange_add_end(x, &end.end);
    struct exchange *settled = exchange_settle(x);
    assert_non_null(settled);
    arena_release(&x->arena);
    memset(x, 0xee, sizeof *x);
    exchange_run_ends(settled);
    assert_string_equal(ran, "a");
    arena_release(&settled->arena);
    free(settled);
    memset(x, 0, sizeof *x);
    arena_init(&x->arena, 0, 0);
}

static int all_tests(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_answer_has_status_type_and_body),
        TEST(one_on_behalf_of_another_knows_whose_it_is),
        TEST(an_earlier_answer_is_given_up),
        TEST(a_problem_says_why),
        TEST(every_reason_becomes_an_error),
        TEST(a_long_detail_is_left_out),
        TEST(a_problem_needs_no_memory),
        TEST(a_settled_exchange_stands_alone),
        TEST(ends_run_once_the_newest_first),
        TEST(ends_are_those_of_the_settled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(all_tests);
}
