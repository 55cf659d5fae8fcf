#include "support/unit.h"
#include "support/world.h"

extern const struct policy_type body_limit_policy;

static int set_up(void **state)
{
    struct world *world = world_new();
    world_policy(world, &body_limit_policy, "body-limit of POST /", "10B");
    world_request(world, "POST", "/");
    world->next.reads_body = true;
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    world_free(*state);
    return 0;
}

static void a_length_over_the_limit_is_refused_at_once(void **state)
{
    struct world *world = *state;
    world_body(world, "12345678901", true);
    assert_status(world_serve(world), BODY_TOO_LARGE);
    assert_int_equal(world->next.calls, 0);
}

static void a_length_at_the_limit_passes(void **state)
{
    struct world *world = *state;
    world_body(world, "1234567890", true);
    assert_ok(world_serve(world));
    assert_int_equal(world->next.received, 10);
}

static void no_body_passes(void **state)
{
    assert_ok(world_serve(*state));
}

static void an_unknown_length_is_counted_as_it_comes(void **state)
{
    struct world *world = *state;
    world_body(world, "1234567890", false);
    assert_ok(world_serve(world));
    assert_int_equal(world->next.received, 10);
    world_request(world, "POST", "/");
    world_body(world, "12345678901", false);
    assert_status(world_serve(world), BODY_TOO_LARGE);
    assert_int_equal(world->next.calls, 1);
    assert_int_equal(world->next.received, 0);
}

/* Bytes in pieces of six. */
struct pieces {
    struct body body;
    int left;
    unsigned drops;
};

static enum status read_piece(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct pieces *pieces = (struct pieces *)body;
    (void)deadline;
    if (pieces->left-- <= 0)
        return END;
    *ret_bytes = SLICE("abcdef");
    return OK;
}

static struct slice peek_piece(struct body *body, bool *ret_last)
{
    *ret_last = ((struct pieces *)body)->left == 1;
    return SLICE("abcdef");
}

static void drop_pieces(struct body *body)
{
    ((struct pieces *)body)->drops++;
}

static enum status rewind_pieces(struct body *body)
{
    ((struct pieces *)body)->left = 1;
    return OK;
}

static const struct body_ops piece_ops = {
    .read = read_piece, .peek = peek_piece, .drop = drop_pieces, .rewind = rewind_pieces};

static void what_is_too_much_stays_too_much(void **state)
{
    struct world *world = *state;
    struct pieces pieces = {.body = {.ops = &piece_ops, .length = BODY_LENGTH_UNKNOWN}, .left = 3};
    world->next.reads_body = false;
    world->x.request.body = &pieces.body;
    assert_ok(world_serve(world));
    struct body *body = world->x.request.body;
    struct slice bytes;
    bool is_last;
    assert_int_equal(body->length, BODY_LENGTH_UNKNOWN);
    assert_slice(body_peek(body, &is_last), "abcdef");
    assert_ok(body_read(body, NEVER, &bytes));
    assert_slice(bytes, "abcdef");
    assert_int_equal(body_peek(body, &is_last).size, 0); /* six more do not fit */
    assert_false(is_last);
    assert_status(body_read(body, NEVER, &bytes), BODY_TOO_LARGE);
    assert_status(body_read(body, NEVER, &bytes), BODY_TOO_LARGE);
    assert_ok(body->ops->rewind(body));
    assert_ok(body_read(body, NEVER, &bytes));
    assert_status(body_read(body, NEVER, &bytes), END);
    body_drop(body);
    assert_int_equal(pieces.drops, 1);
}

static void just_the_limit_is_not_too_much(void **state)
{
    struct world *world = *state;
    struct pieces pieces = {.body = {.ops = &piece_ops, .length = BODY_LENGTH_UNKNOWN}, .left = 2};
    world_policy(world, &body_limit_policy, "body-limit of POST /", "12B");
    world->next.reads_body = false;
    world->x.request.body = &pieces.body;
    assert_ok(world_serve(world));
    struct body *body = world->x.request.body;
    struct slice bytes;
    bool is_last;
    assert_ok(body_read(body, NEVER, &bytes));
    assert_slice(body_peek(body, &is_last), "abcdef");
    assert_true(is_last);
    assert_ok(body_read(body, NEVER, &bytes));
    assert_status(body_read(body, NEVER, &bytes), END);
}

static void a_size_needs_its_unit(void **state)
{
    world_complaints(*state, body_limit_policy.options, "10");
    world_complaints(*state, body_limit_policy.options, "{}");
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_length_over_the_limit_is_refused_at_once),
        EACH(a_length_at_the_limit_passes),
        EACH(no_body_passes),
        EACH(an_unknown_length_is_counted_as_it_comes),
        EACH(what_is_too_much_stays_too_much),
        EACH(just_the_limit_is_not_too_much),
        EACH(a_size_needs_its_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
