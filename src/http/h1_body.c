#include "http/h1.h"

#include "base/must.h"
#include "http/h1_chunk.h"
#include "http/h1_parse.h"
#include "run/loop.h"
#include "run/splice.h"

/* Data of a chunk is moved to that of the chunk before it up to this size: beyond, moving costs
 * more than a system call. */
#define MOVE_MAX (32 * 1024)

static struct h1_body *self_of(struct body *body)
{
    return (struct h1_body *)body;
}

static size_t lesser(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

/* --- what the unread bytes yield, without waiting */

static void take_plain(struct h1_body *self)
{
    struct slice unread = wire_unread(self->connection);
    if (self->state == H1_BODY_LENGTH) {
        unread.size = lesser(self->remaining, unread.size);
        self->remaining -= unread.size;
        if (self->remaining == 0)
            self->state = H1_BODY_COMPLETE;
    }
    wire_consume(self->connection, unread.size);
    self->ready = unread;
}

/* Data of the present chunk, put behind what is ready. False: it must wait until that has been
 * read. */
static bool take_data(struct h1_body *self)
{
    struct slice unread = wire_unread(self->connection);
    size_t size = lesser(self->remaining, unread.size);
    if (self->ready.size == 0) {
        self->ready = slice_head(unread, size);
    } else {
        if (size > MOVE_MAX)
            return false;
        size_t at = (size_t)(self->ready.data - self->connection->buffer->data) + self->ready.size;
        memmove(self->connection->buffer->data + at, unread.data, size);
        self->ready.size += size;
    }
    wire_consume(self->connection, size);
    self->remaining -= size;
    if (self->remaining == 0)
        self->state = H1_CHUNK_DATA_CR;
    return true;
}

static void take_chunks(struct h1_body *self)
{
    while (!self->failure && self->state < H1_BODY_TRAILERS) {
        struct slice unread = wire_unread(self->connection);
        if (unread.size == 0)
            return;
        if (self->state == H1_CHUNK_DATA) {
            if (!take_data(self))
                return;
        } else {
            self->failure = h1_chunk_step(self, unread.data[0]);
            wire_consume(self->connection, 1);
        }
    }
}

static enum status begin_trailers(struct h1_body *self)
{
    self->parser = arena_alloc(self->arena, sizeof *self->parser);
    if (!self->parser)
        return NO_MEMORY;
    fields_init(&self->trailers, self->arena);
    h1_parser_init(self->parser, H1_TRAILERS, self->limits, &self->trailers);
    return OK;
}

static enum status parse_trailers(struct h1_body *self, struct slice unread)
{
    size_t size;
    enum status e = self->parser ? OK : begin_trailers(self);
    if (e == OK)
        e = h1_parse(self->parser, unread, &size);
    if (e)
        return e == FIELDS_TOO_LARGE ? TOO_LARGE : e;
    struct slice copy = arena_copy(self->arena, slice_head(unread, size));
    if (!copy.data)
        return NO_MEMORY;
    h1_parser_move(self->parser, copy.data);
    wire_consume(self->connection, size);
    h1_drop_forbidden_trailers(&self->trailers);
    self->body.trailers = &self->trailers;
    return OK;
}

static void take_trailers(struct h1_body *self)
{
    struct slice unread = wire_unread(self->connection);
    enum status e = INCOMPLETE;
    if (unread.size >= 2 && !self->parser && memcmp(unread.data, "\r\n", 2) == 0) {
        wire_consume(self->connection, 2);
        e = OK;
    } else if (unread.size) {
        e = parse_trailers(self, unread);
    }
    if (e == OK)
        self->state = H1_BODY_COMPLETE;
    else if (e != INCOMPLETE)
        self->failure = e;
}

static void take(struct h1_body *self)
{
    if (self->state == H1_BODY_COMPLETE || self->failure)
        return;
    if (self->framing.kind == H1_CHUNKED) {
        take_chunks(self);
        if (self->state == H1_BODY_TRAILERS && !self->failure)
            take_trailers(self);
    } else {
        take_plain(self);
    }
}

/* --- waiting */

static void ask_for_more(struct h1_body *self)
{
    void (*ask)(void *argument) = self->before_wait;
    self->before_wait = NULL;
    if (ask && self->received == 0)
        ask(self->before_wait_argument);
}

static enum status wait_for_more(struct h1_body *self, instant deadline)
{
    ask_for_more(self);
    deadline = clock_sooner(deadline, clock_after(loop_now(), self->idle));
    enum status e = wire_read_more(self->connection, SIZE_MAX, deadline);
    if (e != END)
        return e;
    if (self->state != H1_BODY_UNTIL_CLOSE)
        return INCOMPLETE;
    self->state = H1_BODY_COMPLETE;
    return OK;
}

static enum status read_body(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct h1_body *self = self_of(body);
    for (;;) {
        if (self->ready.size == 0)
            take(self);
        if (self->ready.size) {
            *ret_bytes = self->ready;
            self->received += self->ready.size;
            self->ready = SLICE_NONE;
            return OK;
        }
        if (self->failure)
            return self->failure;
        if (self->state == H1_BODY_COMPLETE)
            return END;
        enum status e = wait_for_more(self, deadline);
        if (e == CANCELLED)
            return e;
        self->failure = e;
    }
}

/* Only while nothing has been read ahead and the length says how much is the body's. */
static enum status splice_body(
    struct body *body, instant deadline, struct splice **ret_splice, size_t *ret_size)
{
    struct h1_body *self = self_of(body);
    if (self->failure || self->state != H1_BODY_LENGTH || self->ready.size ||
        wire_has_bytes(self->connection) || self->remaining < SPLICE_LEAST ||
        !self->connection->stream->ops->splice_in)
        return FULL;
    ask_for_more(self);
    wire_give_if_empty(self->connection);
    size_t most = self->remaining < SIZE_MAX ? (size_t)self->remaining : SIZE_MAX;
    enum status e = splice_read(self->connection->stream, most,
        clock_sooner(deadline, clock_after(loop_now(), self->idle)), ret_splice, ret_size);
    if (e == END)
        e = INCOMPLETE;
    if (e) {
        self->failure = e == FULL || e == CANCELLED ? OK : e;
        return e;
    }
    self->remaining -= *ret_size;
    self->received += *ret_size;
    if (self->remaining == 0)
        self->state = H1_BODY_COMPLETE;
    return OK;
}

/* With the head came only the first bytes. True when as many more as there are should be read now,
 * so that they leave in one piece; a long rest is spliced. */
static bool wants_more(const struct h1_body *self)
{
    const struct wire *connection = self->connection;
    size_t here = wire_unread(connection).size;
    if (self->received || here == 0 || self->state == H1_BODY_COMPLETE || self->failure)
        return false;
    if (self->state != H1_BODY_LENGTH)
        return true;
    if (self->remaining <= here)
        return false;
    return self->remaining - here < SPLICE_LEAST || !connection->stream->ops->splice_in;
}

static void take_first(struct h1_body *self)
{
    enum status e = wants_more(self) ? wire_read_arrived(self->connection) : OK;
    take(self);
    if (e == CLOSED || e == IO_ERROR) /* said only once, other than the end */
        self->failure = e;
}

static struct slice peek_body(struct body *body, bool *ret_last)
{
    struct h1_body *self = self_of(body);
    if (self->ready.size == 0)
        take_first(self);
    *ret_last = self->state == H1_BODY_COMPLETE;
    return self->ready;
}

/* Bytes that are no data yet may let it return before there are some. */
static enum status wait_body(struct body *body, instant deadline)
{
    struct h1_body *self = self_of(body);
    bool is_last;
    if (body_peek(body, &is_last).size || is_last || self->failure)
        return OK;
    wire_give_if_empty(self->connection);
    enum status e = stream_wait_readable(self->connection->stream, deadline);
    return e == TIMEOUT || e == CANCELLED ? e : OK;
}

/* The rest of a body that was not read would be taken for a message. */
static void drop_body(struct body *body)
{
    struct h1_body *self = self_of(body);
    if (self->state != H1_BODY_COMPLETE)
        wire_consume(self->connection, wire_unread(self->connection).size);
    self->ready = SLICE_NONE;
    wire_give_if_empty(self->connection);
}

/* --- the whole */

static enum h1_body_state first_state(const struct h1_framing *framing)
{
    switch (framing->kind) {
    case H1_NO_BODY:
        break;
    case H1_LENGTH:
        return framing->length ? H1_BODY_LENGTH : H1_BODY_COMPLETE;
    case H1_CHUNKED:
        return H1_CHUNK_BEGIN;
    case H1_UNTIL_CLOSE:
        return H1_BODY_UNTIL_CLOSE;
    }
    return H1_BODY_COMPLETE;
}

static int64_t known_length(const struct h1_framing *framing)
{
    if (framing->kind == H1_NO_BODY)
        return 0;
    return framing->kind == H1_LENGTH ? (int64_t)framing->length : BODY_LENGTH_UNKNOWN;
}

struct body *h1_body_init(struct h1_body *body, struct wire *connection,
    const struct h1_limits *limits, const struct h1_framing *framing, struct arena *arena,
    int64_t idle)
{
    static const struct body_ops ops = {.read = read_body,
        .peek = peek_body,
        .drop = drop_body,
        .wait = wait_body,
        .splice = splice_body};
    must(framing->length <= INT64_MAX);
    memset(body, 0, offsetof(struct h1_body, trailers));
    body->body.ops = &ops;
    body->body.length = known_length(framing);
    body->connection = connection;
    body->limits = limits;
    body->arena = arena;
    body->idle = idle;
    body->framing = *framing;
    body->remaining = framing->kind == H1_LENGTH ? framing->length : 0;
    body->state = first_state(framing);
    return &body->body;
}

bool h1_body_is_complete(const struct h1_body *body)
{
    return body->state == H1_BODY_COMPLETE && body->ready.size == 0;
}
