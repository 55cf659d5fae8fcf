#include "http/whole_body.h"

#include "support/unit.h"

/* Bytes that come three at a time, with a trailer behind them. */
struct pieces {
    struct body body;
    struct slice rest;
    unsigned reads, drops;
    enum status end;
};

static const struct fields trailers;

static enum status read_piece(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct pieces *pieces = (struct pieces *)body;
    (void)deadline;
    pieces->reads++;
    body->trailers = &trailers;
    if (pieces->rest.size == 0)
        return pieces->end;
    *ret_bytes = slice_head(pieces->rest, 3);
    pieces->rest = slice_from(pieces->rest, 3);
    return OK;
}

static void drop_pieces(struct body *body)
{
    ((struct pieces *)body)->drops++;
}

static const struct body_ops piece_ops = {.read = read_piece, .drop = drop_pieces};

static void begin(struct exchange *x, struct pieces *pieces, const char *bytes, bool is_known)
{
    memset(x, 0, sizeof *x);
    arena_init(&x->arena, 0, 0);
    fields_init(&x->request.fields, &x->arena);
    x->deadline = NEVER;
    *pieces = (struct pieces){.body = {.ops = &piece_ops, .length = BODY_LENGTH_UNKNOWN},
        .rest = slice_of_text(bytes),
        .end = END};
    if (is_known)
        pieces->body.length = (int64_t)strlen(bytes);
    x->request.body = &pieces->body;
}

static void it_is_read_again_as_it_was(void **state)
{
    (void)state;
    struct exchange x;
    struct pieces pieces;
    struct slice all, bytes;
    bool is_last;
    for (int is_known = 0; is_known < 2; is_known++) {
        begin(&x, &pieces, "0123456789", is_known);
        x.expects_continue = true;
        assert_ok(fields_add_known(&x.request.fields, FIELD_EXPECT, SLICE("100-continue")));
        assert_ok(whole_body_take(&x, 10, &all));
        assert_slice(all, "0123456789");
        struct body *body = x.request.body;
        assert_int_equal(body->length, is_known ? 10 : BODY_LENGTH_UNKNOWN);
        assert_ptr_equal(body->trailers, &trailers);
        assert_false(x.expects_continue);
        assert_null(fields_find(&x.request.fields, FIELD_EXPECT));
        for (int again = 0; again < 2; again++) {
            assert_slice(body_peek(body, &is_last), "0123456789");
            assert_true(is_last);
            assert_ok(body_read(body, NEVER, &bytes));
            assert_slice(bytes, "0123456789");
            assert_status(body_read(body, NEVER, &bytes), END);
            assert_ok(body->ops->rewind(body));
        }
        body_drop(body);
        assert_int_equal(pieces.drops, 1);
        arena_release(&x.arena);
    }
}

static void it_is_taken_once(void **state)
{
    (void)state;
    struct exchange x;
    struct pieces pieces;
    struct slice first, second;
    begin(&x, &pieces, "0123456789", false);
    assert_ok(whole_body_take(&x, 100, &first));
    unsigned reads = pieces.reads;
    assert_ok(whole_body_take(&x, 10, &second));
    assert_ptr_equal(first.data, second.data);
    assert_int_equal(pieces.reads, reads);
    assert_status(whole_body_take(&x, 9, &second), BODY_TOO_LARGE);
    arena_release(&x.arena);
}

static void an_empty_one_is_empty(void **state)
{
    (void)state;
    struct exchange x;
    struct pieces pieces;
    struct slice all;
    begin(&x, &pieces, "", true);
    assert_ok(whole_body_take(&x, 10, &all));
    assert_slice(all, "");
    assert_true(body_is_empty(x.request.body));
    assert_status(body_read(x.request.body, NEVER, &all), END);
    arena_release(&x.arena);
}

static void what_is_too_much_is_not_read_to_its_end(void **state)
{
    (void)state;
    struct exchange x;
    struct pieces pieces;
    struct slice all;
    begin(&x, &pieces, "0123456789", true);
    assert_status(whole_body_take(&x, 9, &all), BODY_TOO_LARGE);
    assert_int_equal(pieces.reads, 0);
    arena_release(&x.arena);
    begin(&x, &pieces, "0123456789", false);
    assert_status(whole_body_take(&x, 5, &all), BODY_TOO_LARGE);
    assert_int_equal(pieces.reads, 2);
    arena_release(&x.arena);
}

static void the_client_is_to_blame(void **state)
{
    (void)state;
    static const struct {
        enum status end, verdict;
    } rows[] = {{INCOMPLETE, CLIENT_CLOSED}, {TIMEOUT, REQUEST_TIMEOUT}, {BAD_CHUNK, BAD_CHUNK},
        {CANCELLED, CANCELLED}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct exchange x;
        struct pieces pieces;
        struct slice all;
        begin(&x, &pieces, "0123", false);
        pieces.end = rows[i].end;
        assert_status(whole_body_take(&x, 10, &all), rows[i].verdict);
        assert_ptr_equal(x.request.body, &pieces.body);
        arena_release(&x.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_read_again_as_it_was),
        cmocka_unit_test(it_is_taken_once),
        cmocka_unit_test(an_empty_one_is_empty),
        cmocka_unit_test(what_is_too_much_is_not_read_to_its_end),
        cmocka_unit_test(the_client_is_to_blame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
