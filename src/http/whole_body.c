#include "http/whole_body.h"

struct whole_body {
    struct body_slice all;
    struct body *inner; /* borrowed: the request's */
    struct text text;   /* owned */
};

static struct whole_body *self_of(struct body *body)
{
    return (struct whole_body *)body;
}

static enum status read_whole(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct whole_body *whole = self_of(body);
    (void)deadline;
    if (whole->all.done || whole->all.bytes.size == 0)
        return END;
    whole->all.done = true;
    *ret_bytes = whole->all.bytes;
    return OK;
}

static struct slice peek_whole(struct body *body, bool *ret_last)
{
    struct whole_body *whole = self_of(body);
    *ret_last = true;
    return whole->all.done ? SLICE_NONE : whole->all.bytes;
}

static void drop_whole(struct body *body)
{
    body_drop(self_of(body)->inner);
}

static enum status rewind_whole(struct body *body)
{
    self_of(body)->all.done = false;
    return OK;
}

static const struct body_ops whole_ops = {
    .read = read_whole, .peek = peek_whole, .drop = drop_whole, .rewind = rewind_whole};

static void release(void *argument)
{
    text_release(&((struct whole_body *)argument)->text);
}

/* Nobody has to be asked for what is here. */
static void forget_expectation(struct exchange *x)
{
    x->expects_continue = false;
    fields_remove_known(&x->request.fields, FIELD_EXPECT);
}

static void put_in_place(struct exchange *x, struct whole_body *whole)
{
    struct body *inner = x->request.body;
    whole->inner = inner;
    whole->all.bytes = whole->text.size ? text_slice(&whole->text) : SLICE("");
    whole->all.body =
        (struct body){.ops = &whole_ops, .length = inner->length, .trailers = inner->trailers};
    x->request.body = &whole->all.body;
    forget_expectation(x);
}

enum status whole_body_take(struct exchange *x, size_t limit, struct slice *ret_bytes)
{
    struct body *body = x->request.body;
    if (body->length != BODY_LENGTH_UNKNOWN && (uint64_t)body->length > limit)
        return BODY_TOO_LARGE;
    if (body->ops == &whole_ops) {
        *ret_bytes = self_of(body)->all.bytes;
        return ret_bytes->size > limit ? BODY_TOO_LARGE : OK;
    }
    struct whole_body *whole = arena_new(&x->arena, struct whole_body);
    if (!whole || !arena_defer(&x->arena, release, whole))
        return NO_MEMORY;
    whole->text = text_growing(limit + 1);
    enum status e = body_read_into(body, &whole->text, limit, x->deadline);
    if (e)
        return e == TOO_LARGE ? BODY_TOO_LARGE : body_status_of_client(e);
    put_in_place(x, whole);
    *ret_bytes = whole->all.bytes;
    return OK;
}
