#include <openssl/evp.h>
#include <stdio.h>

#include "base/clock.h"
#include "support/on_loop.h"
#include "support/unit.h"
#include "support/world.h"

extern const struct policy_type webhook_policy;

#define SECRET "It's a Secret to Everybody"
#define CODE   "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
#define GITHUB "{form: github, secret: \"" SECRET "\"}"

static int set_up(void **state)
{
    struct world *world = world_new();
    world->next.reads_body = true;
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    world_free(*state);
    return 0;
}

static void post(struct world *world, const char *signature, const char *body)
{
    world_request(world, "POST", "/hooks");
    if (signature)
        world_field(world, "X-Hub-Signature-256", signature);
    world_body(world, body, false);
}

static uint64_t counted(struct world *world, const char *outcome)
{
    struct text text = text_growing(0);
    char line[128];
    uint64_t value = 0;
    metrics_export(world->metrics, &text);
    snprintf(line, sizeof line, "{webhook=\"webhooks.ci\",outcome=\"%s\"} ", outcome);
    struct slice all = text_slice(&text);
    struct slice rest = slice_from(all, slice_find_slice(all, slice_of_text(line)) + strlen(line));
    (void)slice_to_u64(slice_head(rest, slice_find(rest, '\n')), &value);
    text_release(&text);
    return value;
}

static void what_is_signed_passes_with_its_body(void **state)
{
    struct world *world = *state;
    world_policy(world, &webhook_policy, "webhooks.ci", GITHUB);
    post(world, CODE, "Hello, World!");
    assert_ok(world_serve(world));
    assert_int_equal(world->next.calls, 1);
    assert_int_equal(world->next.received, 13);
    assert_int_equal(counted(world, "accepted"), 1);
}

/* All hear the same; the log and the metric know. */
static void others_hear_no_reason(void **state)
{
    struct world *world = *state;
    static const struct {
        const char *signature, *body, *outcome, *trouble;
    } rows[] = {
        {NULL, "Hello, World!", "unsigned", "it brings no signature"},
        {"sha256=12", "Hello, World!", "malformed",
            "its signature, time or id is malformed, repeated or missing"},
        {CODE, "Hello, World?", "wrong-signature", "none of the secrets made its signature"},
    };
    world_policy(world, &webhook_policy, "webhooks.ci", GITHUB);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        post(world, rows[i].signature, rows[i].body);
        assert_status(world_serve(world), WEBHOOK_REFUSED);
        assert_int_equal(world->next.calls, 0);
        assert_string_equal(world_answer_field(world, "WWW-Authenticate"), "Webhook");
        assert_slices(world->x.facts.trouble, slice_of_text(rows[i].trouble));
        assert_int_equal(counted(world, rows[i].outcome), 1);
    }
}

static const char *stripe_signature(struct world *world, int64_t time)
{
    char text[64];
    unsigned char code[32];
    size_t size;
    struct text value = text_growing(0);
    snprintf(text, sizeof text, "%lld.{}", (long long)time);
    assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, SECRET, strlen(SECRET),
        (const unsigned char *)text, strlen(text), code, sizeof code, &size));
    text_format(&value, "t=%lld,v1=", (long long)time);
    for (size_t i = 0; i < size; i++)
        text_format(&value, "%02x", code[i]);
    const char *copy = arena_text(&world->x.arena, text_slice(&value));
    text_release(&value);
    return copy;
}

static void old_and_early_ones_are_not_read(void **state)
{
    struct world *world = *state;
    int64_t now = clock_wall() / SECOND;
    const struct {
        int64_t time;
        enum status verdict;
    } rows[] = {{now, OK}, {now - 290, OK}, {now + 290, OK}, {now - 310, WEBHOOK_REFUSED},
        {now + 310, WEBHOOK_REFUSED}};
    world_policy(world, &webhook_policy, "webhooks.ci", "{form: stripe, secret: \"" SECRET "\"}");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world_request(world, "POST", "/hooks");
        world_field(world, "Stripe-Signature", stripe_signature(world, rows[i].time));
        world_body(world, "{}", true);
        assert_status(world_serve(world), rows[i].verdict);
        assert_int_equal(world->body.done, rows[i].verdict == OK);
    }
    assert_int_equal(counted(world, "too-old"), 1);
    assert_int_equal(counted(world, "too-new"), 1);
}

static void a_large_body_is_too_large(void **state)
{
    struct world *world = *state;
    world_policy(
        world, &webhook_policy, "webhooks.ci", "{form: github, secret: \"" SECRET "\", body: 12B}");
    post(world, CODE, "Hello, World!");
    assert_status(world_serve(world), BODY_TOO_LARGE);
    assert_int_equal(world->next.calls, 0);
}

static void a_websocket_is_no_webhook(void **state)
{
    struct world *world = *state;
    world_policy(world, &webhook_policy, "webhooks.ci", GITHUB);
    post(world, CODE, "Hello, World!");
    world->x.is_websocket = true;
    assert_status(world_serve(world), WEBHOOK_REFUSED);
    assert_false(world->body.done); /* what follows is not read */
}

static void a_rehearsal_is_not_signed(void **state)
{
    struct world *world = *state;
    world_policy(world, &webhook_policy, "webhooks.ci", GITHUB);
    post(world, NULL, "");
    world->x.is_rehearsal = true;
    assert_ok(world_serve(world));
    assert_string_equal(world_explain(world), "wants a signature of GitHub in X-Hub-Signature-256");
}

static void mistakes_are_told(void **state)
{
    struct world *world = *state;
    world_complaints(world, webhook_policy.options, "{form: github}");
    world_complaints(world, webhook_policy.options, "{secret: \"" SECRET "\"}");
    world_complaints(world, webhook_policy.options, "{form: gitlab, secret: \"" SECRET "\"}");
    world_complaints(
        world, webhook_policy.options, "{form: stripe, secret: \"" SECRET "\", tolerance: 0s}");
    void *config =
        world_read(world, webhook_policy.options, "{form: github, secret: [" SECRET ", short]}");
    assert_status(webhook_policy.prepare(&world->prepare, config), INVALID);
    assert_int_equal(world->diagnostics.errors, 1);
    config = world_read(world, webhook_policy.options, "{form: github, secret: []}");
    assert_status(webhook_policy.prepare(&world->prepare, config), INVALID);
}

/* A message of GitHub's with this id. */
static enum status deliver(struct world *world, const char *id)
{
    post(world, CODE, "Hello, World!");
    if (id)
        world_field(world, "X-GitHub-Delivery", id);
    return world_serve(world);
}

static void what_was_taken_is_not_given_again(void **state)
{
    struct world *world = *state;
    world_policy(world, &webhook_policy, "webhooks.ci", GITHUB);
    world->next.status = 202;
    assert_ok(deliver(world, "d-1"));
    assert_int_equal(world->next.calls, 1);
    assert_ok(deliver(world, "d-1"));
    assert_int_equal(world->next.calls, 0);
    assert_int_equal(world->x.response.status, 200);
    assert_string_equal(world_answer_body(world), "");
    assert_int_equal(counted(world, "repeated"), 1);
    assert_ok(deliver(world, "d-2"));
    assert_int_equal(world->next.calls, 1);
    world_policy(world, &webhook_policy, "webhooks.ci",
        "{form: github, secret: \"" SECRET "\", duplicate: refuse}");
    assert_status(deliver(world, "d-2"), WEBHOOK_REPEATED);
    world_policy(world, &webhook_policy, "webhooks.other", GITHUB); /* ids of its own */
    assert_ok(deliver(world, "d-2"));
    assert_int_equal(world->next.calls, 1);
    world_policy(world, &webhook_policy, "webhooks.ci",
        "{form: github, secret: \"" SECRET "\", remember: 0s}");
    assert_ok(deliver(world, "d-2"));
    assert_int_equal(world->next.calls, 1);
}

static void what_was_not_taken_is(void **state)
{
    struct world *world = *state;
    static const struct {
        enum status outcome;
        int status;
    } rows[] = {{UPSTREAM_REFUSED, 0}, {OK, 500}, {OK, 503}, {OK, 404}, {OK, 302}, {OK, 429}};
    world_policy(world, &webhook_policy, "webhooks.ci", GITHUB);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        world->next.outcome = rows[i].outcome;
        world->next.status = rows[i].status;
        assert_status(deliver(world, "d-1"), rows[i].outcome);
        assert_int_equal(world->next.calls, 1);
    }
    assert_int_equal(counted(world, "not-taken"), 6);
    world->next.outcome = OK;
    world->next.status = 204;
    assert_ok(deliver(world, "d-1"));
    assert_int_equal(world->next.calls, 1);
    assert_ok(deliver(world, "d-1"));
    assert_int_equal(world->next.calls, 0);
}

/* Stands behind the policy and is asked the same once more while it is. */
struct twice {
    struct world *world;
    enum status second;
};

static enum status serve_twice(const void *state, struct exchange *x)
{
    struct twice *twice = (struct twice *)(uintptr_t)state;
    const struct handler next = {serve_twice, twice};
    assert_true(twice->second == OK);
    struct body_slice body;
    x->request.body = body_init_slice(&body, SLICE("Hello, World!"));
    twice->second = END; /* it must not come here again */
    twice->second = webhook_policy.serve(twice->world->config, x, &next);
    return exchange_respond(x, 200, SLICE_NONE, SLICE_NONE);
}

static void what_is_under_way_is_put_off(void **state)
{
    struct world *world = *state;
    struct twice twice = {.world = world};
    const struct handler next = {serve_twice, &twice};
    world_policy(world, &webhook_policy, "webhooks.ci", GITHUB);
    post(world, CODE, "Hello, World!");
    assert_ok(webhook_policy.serve(world->config, &world->x, &next));
    assert_status(twice.second, WEBHOOK_RUNNING);
    assert_int_equal(counted(world, "running"), 1);
}

static void ids_in_bodies_and_contents_are_ids_too(void **state)
{
    struct world *world = *state;
    world_policy(world, &webhook_policy, "webhooks.ci", GITHUB);
    assert_ok(deliver(world, NULL)); /* none: its content */
    assert_ok(deliver(world, NULL));
    assert_int_equal(world->next.calls, 0);
    assert_ok(deliver(world, "d-1"));
    assert_int_equal(world->next.calls, 1);
    world_policy(world, &webhook_policy, "webhooks.ci",
        "{form: github, secret: \"" SECRET "\", identity: content}");
    assert_ok(deliver(world, "d-2"));
    assert_int_equal(world->next.calls, 0);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static int run(void)
{
    const struct CMUnitTest tests[] = {
        EACH(what_is_signed_passes_with_its_body),
        EACH(others_hear_no_reason),
        EACH(old_and_early_ones_are_not_read),
        EACH(a_large_body_is_too_large),
        EACH(a_websocket_is_no_webhook),
        EACH(a_rehearsal_is_not_signed),
        EACH(mistakes_are_told),
        EACH(what_was_taken_is_not_given_again),
        EACH(what_was_not_taken_is),
        EACH(what_is_under_way_is_put_off),
        EACH(ids_in_bodies_and_contents_are_ids_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    return run_tests_on_loop(run);
}
