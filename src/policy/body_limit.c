#include "policy/policy.h"

/* Refuses request bodies that are too large: by their Content-Length before anything is read, and
 * without one as soon as they have come so far. Whoever reads the body (usually the service's call)
 * gets BODY_TOO_LARGE; if the answer's head has not been sent by then, it becomes a 413, else the
 * connection ends. */

struct body_limit {
    int64_t size;
};

static const struct option options[] = {
    {"size", OPTION_SIZE, offsetof(struct body_limit, size), .is_required = true, .minimum = 0,
        .maximum = INT64_MAX, .help = "The most bytes that a request's body may have."},
    {NULL},
};

static const struct option_table table = {
    .name = "body-limit",
    .help = "Refuses requests with a body over a size with 413.",
    .options = options,
    .size = sizeof(struct body_limit),
    .shorthand = "size",
    .example = "body-limit: 1MiB",
};

/* A body that counts what another one yields. */
struct counted_body {
    struct body body;
    struct body *inner; /* borrowed: the request's */
    int64_t limit, left;
};

static enum status read_counted(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct counted_body *counted = (struct counted_body *)body;
    if (counted->left < 0)
        return BODY_TOO_LARGE;
    struct slice bytes;
    enum status e = body_read(counted->inner, deadline, &bytes);
    body->trailers = counted->inner->trailers;
    if (e)
        return e;
    if ((int64_t)bytes.size > counted->left) {
        counted->left = -1;
        return BODY_TOO_LARGE;
    }
    counted->left -= (int64_t)bytes.size;
    *ret_bytes = bytes;
    return OK;
}

static struct slice peek_counted(struct body *body, bool *ret_last)
{
    struct counted_body *counted = (struct counted_body *)body;
    struct slice bytes = body_peek(counted->inner, ret_last);
    body->trailers = counted->inner->trailers;
    if ((int64_t)bytes.size <= counted->left)
        return bytes;
    *ret_last = false; /* reading will tell */
    return SLICE_NONE;
}

static void drop_counted(struct body *body)
{
    body_drop(((struct counted_body *)body)->inner);
}

static enum status rewind_counted(struct body *body)
{
    struct counted_body *counted = (struct counted_body *)body;
    const struct body_ops *ops = counted->inner->ops;
    enum status e = ops->rewind ? ops->rewind(counted->inner) : INVALID;
    if (!e)
        counted->left = counted->limit;
    return e;
}

static const struct body_ops counted_ops = {
    .read = read_counted, .peek = peek_counted, .drop = drop_counted, .rewind = rewind_counted};

static enum status serve(const void *config, struct exchange *x, const struct handler *next)
{
    const struct body_limit *limit = config;
    struct body *inner = x->request.body;
    if (inner->length != BODY_LENGTH_UNKNOWN)
        return inner->length > limit->size ? BODY_TOO_LARGE : handler_serve(next, x);
    struct counted_body *counted = arena_new(&x->arena, struct counted_body);
    if (!counted)
        return NO_MEMORY;
    counted->body.ops = &counted_ops;
    counted->body.length = BODY_LENGTH_UNKNOWN;
    counted->inner = inner;
    counted->limit = counted->left = limit->size;
    x->request.body = &counted->body;
    return handler_serve(next, x);
}

const struct policy_type body_limit_policy = {
    .name = "body-limit",
    .plural = "body-limits",
    .admits = true,
    .options = &table,
    .serve = serve,
};
