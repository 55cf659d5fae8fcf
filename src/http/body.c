#include "http/body.h"

static enum status read_nothing(struct body *body, instant deadline, struct slice *ret_bytes)
{
    (void)body, (void)deadline, (void)ret_bytes;
    return END;
}

static struct slice peek_nothing(struct body *body, bool *ret_last)
{
    (void)body;
    *ret_last = true;
    return SLICE_NONE;
}

static enum status rewind_nothing(struct body *body)
{
    (void)body;
    return OK;
}

void body_init_empty(struct body *body)
{
    static const struct body_ops ops = {
        .read = read_nothing, .peek = peek_nothing, .rewind = rewind_nothing};
    *body = (struct body){.ops = &ops};
}

static struct slice peek_slice(struct body *body, bool *ret_last)
{
    struct body_slice *self = (struct body_slice *)body;
    *ret_last = true;
    return self->done ? SLICE_NONE : self->bytes;
}

static enum status read_slice(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct body_slice *self = (struct body_slice *)body;
    (void)deadline;
    if (self->done || self->bytes.size == 0)
        return END;
    self->done = true;
    *ret_bytes = self->bytes;
    return OK;
}

static enum status rewind_slice(struct body *body)
{
    ((struct body_slice *)body)->done = false;
    return OK;
}

struct body *body_init_slice(struct body_slice *body, struct slice bytes)
{
    static const struct body_ops ops = {
        .read = read_slice, .peek = peek_slice, .rewind = rewind_slice};
    *body =
        (struct body_slice){.body = {.ops = &ops, .length = (int64_t)bytes.size}, .bytes = bytes};
    return &body->body;
}

enum status body_read_into(struct body *body, struct text *text, size_t limit, instant deadline)
{
    for (;;) {
        struct slice part;
        enum status e = body_read(body, deadline, &part);
        if (e)
            return e == END ? OK : e;
        if (part.size > limit - text->size)
            return TOO_LARGE;
        text_add(text, part);
        if (text->failed)
            return NO_MEMORY;
    }
}

/* What is known to come is put into the arena at once; what is not, into memory that grows first.
 */
enum status body_read_all(
    struct body *body, struct arena *arena, size_t limit, instant deadline, struct slice *ret_bytes)
{
    if (body->length != BODY_LENGTH_UNKNOWN) {
        if ((uint64_t)body->length > limit)
            return TOO_LARGE;
        char *memory = arena_bytes(arena, (size_t)body->length);
        if (!memory)
            return NO_MEMORY;
        struct text text = text_fixed(memory, (size_t)body->length);
        enum status e = body_read_into(body, &text, (size_t)body->length, deadline);
        if (e == OK)
            *ret_bytes = text_slice(&text);
        return e;
    }
    struct text text = text_growing(limit + 1);
    enum status e = body_read_into(body, &text, limit, deadline);
    struct slice copy = e ? SLICE_NONE : arena_copy(arena, text_slice(&text));
    text_release(&text);
    if (e)
        return e;
    if (!copy.data)
        return NO_MEMORY;
    *ret_bytes = copy;
    return OK;
}

enum status body_status_of_client(enum status e)
{
    if (e == TIMEOUT)
        return REQUEST_TIMEOUT;
    return e == INCOMPLETE || e == CLOSED || e == IO_ERROR ? CLIENT_CLOSED : e;
}

enum status body_status_of_upstream(enum status e)
{
    switch ((int)e) {
    case OK:
    case END:
    case FULL:
    case CANCELLED:
    case NO_MEMORY:
    case REQUEST_TIMEOUT: /* the client's own body did not come, or was wrong */
    case CLIENT_CLOSED:
    case BODY_TOO_LARGE:
        return e;
    case TIMEOUT:
        return UPSTREAM_BODY_TIMEOUT;
    case INCOMPLETE:
    case CLOSED:
    case IO_ERROR:
        return UPSTREAM_INCOMPLETE;
    default:
        return UPSTREAM_PROTOCOL;
    }
}
