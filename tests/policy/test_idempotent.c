#include <stdio.h>
#include <stdlib.h>

#include "policy/idempotency_key.h"
#include "policy/idempotency_record.h"
#include "run/loop.h"
#include "support/on_loop.h"
#include "support/unit.h"
#include "support/world.h"

extern const struct policy_type idempotent_policy;

static int set_up(void **state)
{
    struct world *world = world_new();
    world_policy(world, &idempotent_policy, "idempotency.orders", "POST");
    world->next.status = 201;
    world->next.body = "{\"id\": 7}";
    world->next.reads_body = true;
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    world_free(*state);
    return 0;
}

static void request(struct world *world, const char *key, const char *body)
{
    world_request(world, "POST", "/orders?a=1");
    world->x.facts.route = SLICE("POST /orders");
    if (key)
        world_field(world, "Idempotency-Key", key);
    world_body(world, body, true);
}

/* The status that a request gets. */
static int post(struct world *world, const char *key, const char *body)
{
    request(world, key, body);
    assert_ok(world_serve(world));
    return world->x.response.status;
}

static void is_answered(struct world *world, bool is_replay)
{
    assert_int_equal(world->x.response.status, 201);
    assert_string_equal(world_answer_field(world, "Idempotent-Replayed"), is_replay ? "true" : "");
    assert_string_not_equal(world_answer_field(world, "Idempotency-Expires"), "");
    assert_string_equal(world_answer_field(world, "Content-Type"), "text/plain");
    assert_string_equal(world_answer_body(world), "{\"id\": 7}");
    assert_int_equal(world->next.calls, is_replay ? 0 : 1);
}

static void has_reason(struct world *world, int status, enum status reason)
{
    assert_int_equal(world->x.response.status, status);
    assert_status(world->x.facts.reason, reason);
    assert_string_equal(world_answer_field(world, "Content-Type"), "application/problem+json");
    assert_int_equal(world->next.calls, 0);
}

static uint64_t counted(struct world *world, const char *outcome)
{
    char line[128];
    struct text text = text_growing(0);
    metrics_export(world->metrics, &text);
    text_add_char(&text, '\0');
    snprintf(line, sizeof line,
        "weir_idempotency_requests_total{policy=\"idempotency.orders\",outcome=\"%s\"} ", outcome);
    const char *found = strstr(text.data, line);
    uint64_t value = found ? strtoull(found + strlen(line), NULL, 10) : 0;
    text_release(&text);
    return value;
}

static void the_second_gets_the_answer_of_the_first(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 3; i++) {
        post(world, "\"k1\"", "order");
        is_answered(world, i > 0);
    }
    post(world, "k1", "order"); /* the same without quotes */
    is_answered(world, true);
    post(world, "k2", "order");
    is_answered(world, false);
    assert_int_equal(counted(world, "kept"), 2);
    assert_int_equal(counted(world, "replayed"), 3);
}

static void the_request_behind_it_is_whole(void **state)
{
    struct world *world = *state;
    post(world, "k1", "order");
    assert_int_equal(world->next.received, 5);
    struct slice fence = fields_value_named(&world->x.request.fields, SLICE("Idempotency-Fence"));
    uint64_t token;
    assert_true(slice_to_u64(fence, &token));
    assert_true(token > 0);
}

static void a_fence_never_comes_from_a_client(void **state)
{
    struct world *world = *state;
    const char *const keys[] = {NULL, "k1"};
    for (int i = 0; i < 2; i++) {
        request(world, keys[i], "");
        world_field(world, "idempotency-fence", "99999999999999999999");
        assert_ok(world_serve(world));
        struct slice fence = fields_combined(&world->x.request.fields, SLICE("Idempotency-Fence"));
        assert_true(i == 0 ? !fence.data : fence.size == 16);
    }
}

static void failures_are_kept_too(void **state)
{
    struct world *world = *state;
    world->next.status = 503;
    assert_int_equal(post(world, "k1", "order"), 503);
    world->next.status = 201;
    assert_int_equal(post(world, "k1", "order"), 503);
    assert_string_equal(world_answer_field(world, "Idempotent-Replayed"), "true");
}

static void some_statuses_are_not_kept(void **state)
{
    struct world *world = *state;
    world_policy(world, &idempotent_policy, "idempotency.orders", "{except: [429, 5xx]}");
    world->next.status = 503;
    assert_int_equal(post(world, "k1", "order"), 503);
    assert_string_equal(world_answer_field(world, "Idempotency-Expires"), "");
    world->next.status = 500;
    assert_int_equal(post(world, "k1", "order"), 500);
    world->next.status = 404;
    assert_int_equal(post(world, "k1", "order"), 404);
    world->next.status = 201;
    assert_int_equal(post(world, "k1", "order"), 404);
    assert_int_equal(counted(world, "freed"), 2);
}

static void another_request_under_the_same_key_is_refused(void **state)
{
    struct world *world = *state;
    post(world, "k1", "order");
    post(world, "k1", "another");
    has_reason(world, 422, IDEMPOTENCY_KEY_REUSED);
    post(world, "k1", "order");
    is_answered(world, true);
    assert_int_equal(counted(world, "reused"), 1);
}

static void keys_are_refused_that_are_none(void **state)
{
    struct world *world = *state;
    post(world, "\"a\", \"b\"", "order");
    has_reason(world, 400, BAD_IDEMPOTENCY_KEY);
    post(world, "", "order");
    has_reason(world, 400, BAD_IDEMPOTENCY_KEY);
    assert_int_equal(counted(world, "malformed"), 2);
}

static void a_key_may_be_required(void **state)
{
    struct world *world = *state;
    assert_int_equal(post(world, NULL, "order"), 201);
    assert_int_equal(post(world, NULL, "order"), 201);
    assert_int_equal(world->next.calls, 1);
    assert_int_equal(counted(world, "without-key"), 2);
    world_policy(world, &idempotent_policy, "idempotency.orders",
        "{required: true, docs: \"https://shop.example/docs\"}");
    post(world, NULL, "order");
    has_reason(world, 400, IDEMPOTENCY_KEY_MISSING);
    assert_string_equal(
        world_answer_field(world, "Link"), "<https://shop.example/docs>; rel=\"help\"");
}

static void other_methods_pass(void **state)
{
    struct world *world = *state;
    world_policy(world, &idempotent_policy, "idempotency.orders",
        "{methods: [POST, PATCH], required: true}");
    for (int i = 0; i < 2; i++) {
        world_request(world, "GET", "/orders");
        world_field(world, "Idempotency-Key", "k1");
        assert_ok(world_serve(world));
        assert_int_equal(world->next.calls, 1);
    }
}

static void a_body_has_a_limit(void **state)
{
    struct world *world = *state;
    world_policy(world, &idempotent_policy, "idempotency.orders", "{request-body: 5B}");
    assert_int_equal(post(world, "k1", "12345"), 201);
    request(world, "k2", "123456");
    assert_status(world_serve(world), BODY_TOO_LARGE);
    request(world, "k3", "123456");
    world->x.request.body->length = BODY_LENGTH_UNKNOWN;
    assert_status(world_serve(world), BODY_TOO_LARGE);
}

static void of_a_large_answer_the_head_is_kept(void **state)
{
    struct world *world = *state;
    world_policy(world, &idempotent_policy, "idempotency.orders", "{answer-body: 8B}");
    world->next.fields[0].name = "Location";
    world->next.fields[0].value = "/orders/7";
    assert_int_equal(post(world, "k1", "order"), 201);
    assert_string_equal(world_answer_body(world), "{\"id\": 7}");
    post(world, "k1", "order");
    has_reason(world, 409, RESULT_TOO_LARGE);
    assert_string_equal(world_answer_field(world, "Location"), "/orders/7");
    assert_non_null(strstr(world_answer_body(world), "answered with 201"));
    assert_int_equal(counted(world, "head-kept"), 1);
    assert_int_equal(counted(world, "too-large"), 1);
}

static void what_did_not_begin_leaves_nothing(void **state)
{
    struct world *world = *state;
    request(world, "k1", "order");
    world->next.outcome = UPSTREAM_REFUSED;
    assert_status(world_serve(world), UPSTREAM_REFUSED);
    world->next.outcome = OK;
    post(world, "k1", "order");
    is_answered(world, false);
    assert_int_equal(counted(world, "freed"), 1);
}

/* --- handlers that do other things than the world's */

static enum status break_off(const void *state, struct exchange *x)
{
    (void)state;
    x->may_be_done = true;
    return UPSTREAM_TIMEOUT;
}

static enum status serve_by(
    struct world *world, enum status (*serve)(const void *state, struct exchange *x))
{
    const struct handler next = {serve, world};
    return idempotent_policy.serve(world->config, &world->x, &next);
}

static void what_may_have_begun_stays_unknown(void **state)
{
    struct world *world = *state;
    request(world, "k1", "order");
    assert_status(serve_by(world, break_off), UPSTREAM_TIMEOUT);
    assert_int_equal(counted(world, "left-open"), 1);
    post(world, "k1", "order");
    has_reason(world, 409, STILL_RUNNING);
    long wait = strtol(world_answer_field(world, "Retry-After"), NULL, 10);
    assert_in_range(wait, 1, 30);
}

/* The store's record of k1, whose lease is over. */
static void let_lease_lapse(struct world *world)
{
    struct slice name = SLICE_NONE, bytes;
    struct idempotency_record record;
    struct store *store = world->prepare.stores.memory;
    assert_ok(
        idempotency_name(&world->x, SLICE("idempotency.orders"), SLICE_NONE, SLICE("k1"), &name));
    assert_ok(store_get(store, 0, name, NEVER, &world->arena, &bytes));
    assert_ok(idempotency_record_parse(bytes, &record));
    record.begun = record.until = 0;
    struct text text = text_growing(0);
    idempotency_record_write(&record, &text);
    assert_ok(store_set(store, 0, name, text_slice(&text), HOUR, NEVER));
    text_release(&text);
}

static void what_is_unknown_is_refused_when_the_lease_is_over(void **state)
{
    struct world *world = *state;
    request(world, "k1", "order");
    assert_status(serve_by(world, break_off), UPSTREAM_TIMEOUT);
    let_lease_lapse(world);
    for (int i = 0; i < 2; i++) {
        post(world, "k1", "order");
        has_reason(world, 500, OUTCOME_UNKNOWN);
    }
    assert_int_equal(counted(world, "unknown"), 2);
}

static uint64_t fence_of(struct world *world)
{
    uint64_t token = 0;
    assert_true(slice_to_u64(
        fields_value_named(&world->x.request.fields, SLICE("Idempotency-Fence")), &token));
    return token;
}

static void or_it_is_done_again_with_a_newer_token(void **state)
{
    struct world *world = *state;
    world_policy(world, &idempotent_policy, "idempotency.orders", "{unknown: retry}");
    request(world, "k1", "order");
    assert_status(serve_by(world, break_off), UPSTREAM_TIMEOUT);
    uint64_t first = fence_of(world);
    let_lease_lapse(world);
    post(world, "k1", "order");
    is_answered(world, false);
    assert_true(fence_of(world) > first);
    post(world, "k1", "order");
    is_answered(world, true);
}

/* A second request while the first runs, from the same store. */
struct meanwhile {
    struct world *first, *second;
    int status;
};

static enum status ask_meanwhile(const void *state, struct exchange *x)
{
    struct meanwhile *meanwhile = (struct meanwhile *)(uintptr_t)state;
    meanwhile->status = post(meanwhile->second, "k1", "order");
    x->may_be_done = true;
    return exchange_respond(x, 202, SLICE_NONE, SLICE("slow"));
}

static void while_the_first_runs_the_second_is_told_to_wait(void **state)
{
    struct meanwhile meanwhile = {.first = *state, .second = world_new()};
    meanwhile.second->prepare.stores = meanwhile.first->prepare.stores;
    world_policy(meanwhile.second, &idempotent_policy, "idempotency.orders", "POST");
    request(meanwhile.first, "k1", "order");
    const struct handler next = {ask_meanwhile, &meanwhile};
    struct world *first = meanwhile.first;
    assert_ok(idempotent_policy.serve(first->config, &first->x, &next));
    assert_int_equal(first->x.response.status, 202);
    assert_int_equal(meanwhile.status, 409);
    has_reason(meanwhile.second, 409, STILL_RUNNING);
    assert_string_equal(world_answer_field(meanwhile.second, "Retry-After"), "1");
    assert_int_equal(post(meanwhile.second, "k1", "order"), 202);
    assert_string_equal(world_answer_body(meanwhile.second), "slow");
    world_free(meanwhile.second);
}

/* Somebody has taken the key over before the first is done. */
static enum status lose_the_key(const void *state, struct exchange *x)
{
    struct meanwhile *meanwhile = (struct meanwhile *)(uintptr_t)state;
    request(meanwhile->second, "k1", "order");
    let_lease_lapse(meanwhile->second);
    meanwhile->status = post(meanwhile->second, "k1", "order");
    x->may_be_done = true;
    return exchange_respond(x, 202, SLICE_NONE, SLICE("stale"));
}

static void a_stale_owner_never_overwrites_a_newer_result(void **state)
{
    struct meanwhile meanwhile = {.first = *state, .second = world_new()};
    struct world *first = meanwhile.first, *second = meanwhile.second;
    second->prepare.stores = first->prepare.stores;
    world_policy(second, &idempotent_policy, "idempotency.orders", "{unknown: retry}");
    second->next.status = 200;
    second->next.body = "newer";
    request(first, "k1", "order");
    const struct handler next = {lose_the_key, &meanwhile};
    assert_ok(idempotent_policy.serve(first->config, &first->x, &next));
    assert_int_equal(meanwhile.status, 200);
    assert_int_equal(counted(first, "lost"), 1);
    assert_int_equal(post(first, "k1", "order"), 200);
    assert_string_equal(world_answer_body(first), "newer");
    world_free(second);
}

static enum status find_lease(const void *state, struct exchange *x)
{
    struct world *world = (struct world *)(uintptr_t)state;
    struct slice name = SLICE_NONE, there;
    assert_ok(idempotency_name(x, SLICE("idempotency.orders"), SLICE_NONE, SLICE("k1"), &name));
    struct slice lease = arena_format(
        &world->arena, "%.*s:%llu", SLICE_ARG(name), (unsigned long long)fence_of(world));
    instant until = clock_now() + 20 * SECOND;
    enum status e = NOT_FOUND;
    while (e == NOT_FOUND && clock_now() < until && !fiber_sleep_until(loop_now() + MILLISECOND))
        e = store_get(world->prepare.stores.memory, 0, lease, NEVER, &world->arena, &there);
    assert_ok(e);
    x->may_be_done = true;
    return UPSTREAM_TIMEOUT;
}

static void a_lease_is_renewed_while_the_request_runs(void **state)
{
    struct world *world = *state;
    world_policy(world, &idempotent_policy, "idempotency.orders", "{lease: 1s}");
    request(world, "k1", "order");
    assert_status(serve_by(world, find_lease), UPSTREAM_TIMEOUT);
}

static enum status wait_for_end(const void *state, struct exchange *x)
{
    bool *has_run = (bool *)(uintptr_t)state;
    enum status e = fiber_sleep_until(loop_now() + 5 * MILLISECOND);
    x->may_be_done = true;
    *has_run = !e;
    return e ? e : exchange_respond(x, 201, SLICE("text/plain"), SLICE("{\"id\": 7}"));
}

static void serve_and_cancel(void *argument)
{
    struct world *world = argument;
    bool has_run = false;
    const struct handler next = {wait_for_end, &has_run};
    assert_ok(idempotent_policy.serve(world->config, &world->x, &next));
    assert_true(has_run);
}

static void a_client_that_goes_loses_no_result(void **state)
{
    struct world *world = *state;
    struct scope scope;
    scope_init(&scope);
    request(world, "k1", "order");
    assert_ok(scope_start(&scope, serve_and_cancel, world));
    fiber_yield();
    scope_cancel(&scope);
    assert_ok(scope_wait(&scope, NEVER));
    post(world, "k1", "order");
    assert_int_equal(world->next.calls, 0);
    assert_string_equal(world_answer_body(world), "{\"id\": 7}");
}

/* --- the store */

static void without_a_store_requests_are_refused(void **state)
{
    struct world *world = *state;
    world_policy(world, &idempotent_policy, "idempotency.orders", "POST");
    request(world, "k1", "order");
    struct slice name = SLICE_NONE;
    assert_ok(
        idempotency_name(&world->x, SLICE("idempotency.orders"), SLICE_NONE, SLICE("k1"), &name));
    assert_ok(store_set(world->prepare.stores.memory, 0, name, SLICE("no record"), HOUR, NEVER));
    assert_status(world_serve(world), STORE_UNAVAILABLE);
    assert_int_equal(world->next.calls, 0);
    assert_int_equal(counted(world, "unavailable"), 1);
    world_policy(world, &idempotent_policy, "idempotency.orders", "{if-unavailable: pass}");
    post(world, "k1", "order");
    assert_int_equal(world->next.calls, 1);
}

static void stores_must_be_there(void **state)
{
    struct world *world = *state;
    static const char *const wanted[][2] = {
        {"{store: disk}", "needs `state`"}, {"{store: redis}", "needs `redis`"}};
    for (int i = 0; i < 2; i++) {
        void *config = world_read(world, idempotent_policy.options, wanted[i][0]);
        assert_status(idempotent_policy.prepare(&world->prepare, config), INVALID);
        struct text text = text_growing(0);
        diagnostics_print(&world->diagnostics, false, &text);
        text_add_char(&text, '\0');
        assert_non_null(strstr(text.data, wanted[i][1]));
        text_release(&text);
    }
}

static void what_does_not_fit_is_said(void **state)
{
    struct world *world = *state;
    static const struct world_wrong wrong[] = {
        {"GET", "POST"},
        {"{keep: 0s}", "keep"},
        {"{except: [200, 7xx]}", "no status"},
        {"{except: 99}", "no status"},
        {"{fields: \"a b\"}", "no name of a field"},
        {"{docs: \"a b\"}", "no URL"},
        {"{store: file}", "auto"},
        {"{answer-body: 4MiB}", "answer-body"},
        {NULL, NULL},
    };
    world_all_wrong(world, idempotent_policy.options, wrong);
}

static void a_rehearsal_touches_nothing(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 2; i++) {
        request(world, "k1", "order");
        world->x.is_rehearsal = true;
        assert_ok(world_serve(world));
        assert_int_equal(world->next.calls, 1);
    }
}

static void explaining_says_what_would_be(void **state)
{
    struct world *world = *state;
    request(world, "\"k1\"", "");
    assert_string_equal(world_explain(world), "once for the key \"k1\"");
    request(world, NULL, "");
    assert_string_equal(world_explain(world), "passes, without an Idempotency-Key");
    request(world, "a b", "");
    assert_string_equal(world_explain(world), "refuses, the Idempotency-Key is malformed");
    world_request(world, "GET", "/");
    assert_string_equal(world_explain(world), "not for GET");
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        EACH(the_second_gets_the_answer_of_the_first),
        EACH(the_request_behind_it_is_whole),
        EACH(a_fence_never_comes_from_a_client),
        EACH(failures_are_kept_too),
        EACH(some_statuses_are_not_kept),
        EACH(another_request_under_the_same_key_is_refused),
        EACH(keys_are_refused_that_are_none),
        EACH(a_key_may_be_required),
        EACH(other_methods_pass),
        EACH(a_body_has_a_limit),
        EACH(of_a_large_answer_the_head_is_kept),
        EACH(what_did_not_begin_leaves_nothing),
        EACH(what_may_have_begun_stays_unknown),
        EACH(what_is_unknown_is_refused_when_the_lease_is_over),
        EACH(or_it_is_done_again_with_a_newer_token),
        EACH(while_the_first_runs_the_second_is_told_to_wait),
        EACH(a_stale_owner_never_overwrites_a_newer_result),
        EACH(a_lease_is_renewed_while_the_request_runs),
        EACH(a_client_that_goes_loses_no_result),
        EACH(without_a_store_requests_are_refused),
        EACH(stores_must_be_there),
        EACH(what_does_not_fit_is_said),
        EACH(a_rehearsal_touches_nothing),
        EACH(explaining_says_what_would_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run);
}
