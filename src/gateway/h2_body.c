/* The body of a request. What comes is copied into pieces until it is read; when it has been read,
 * the client may send as much anew (RFC 9113 §5.2), so a consumer that is slow slows its client
 * down, and no other. */
#include <stdlib.h>

#include "gateway/h2_state.h"
#include "http/h1_chunk.h"
#include "run/loop.h"

#define PIECE_LEAST 2048 /* bytes that a piece has room for: frames may be tiny */
#define WHOLE_MAX \
    (64 * 1024) /* a body up to this size is kept in one piece: it can be sent again */

struct h2_piece {
    struct h2_piece *next;
    size_t begin, size, capacity; /* what lies before `begin` has been taken already */
    char data[];
};

static struct h2_body *self_of(struct body *body)
{
    return (struct h2_body *)body;
}

static bool is_whole(const struct h2_body *self)
{
    return self->has_ended || self->failure;
}

/* The client may send so much more, on this stream and on the connection. */
static void open_window(struct h2_body *self, size_t size)
{
    struct h2_stream *stream = self->stream;
    nghttp2_session *nghttp2 = stream->session->nghttp2;
    if (stream->is_open)
        nghttp2_session_consume(nghttp2, stream->id, size);
    else
        nghttp2_session_consume_connection(nghttp2, size);
}

static void free_piece(struct h2_body *self, struct h2_piece *piece)
{
    if (!piece)
        return;
    open_window(self, piece->size - piece->begin);
    free(piece);
}

static struct h2_piece *take_first(struct h2_body *self)
{
    struct h2_piece *piece = self->first;
    if (piece)
        self->first = piece->next;
    if (!self->first)
        self->last = NULL;
    return piece;
}

static enum status fail(struct h2_body *self, enum status e)
{
    if (!self->failure)
        self->failure = e;
    return e;
}

static enum status wait_for_more(struct h2_body *self, instant deadline)
{
    h2_output_push(self->stream->session); /* the window that reading has opened */
    if (!self->was_asked_for && self->received == 0)
        serving_ask_for_body(&self->stream->x);
    self->was_asked_for = true;
    instant until = clock_sooner(deadline, clock_after(loop_now(), self->idle));
    enum status e = OK;
    self->reader = fiber_current();
    while (!e && !self->first && !is_whole(self))
        e = fiber_wait(until);
    self->reader = NULL;
    return e == CANCELLED || !e ? e : fail(self, e);
}

static enum status read_body(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct h2_body *self = self_of(body);
    free_piece(self, self->lent);
    self->lent = NULL;
    for (;;) {
        self->lent = take_first(self);
        if (self->lent) {
            *ret_bytes = slice_of(self->lent->data, self->lent->size);
            return OK;
        }
        if (self->failure)
            return self->failure;
        if (self->has_ended)
            return END;
        enum status e = wait_for_more(self, deadline);
        if (e)
            return e;
    }
}

static struct slice peek_body(struct body *body, bool *ret_last)
{
    const struct h2_body *self = self_of(body);
    const struct h2_piece *first = self->first;
    *ret_last = self->has_ended && (!first || !first->next);
    return first ? slice_of(first->data, first->size) : SLICE_NONE;
}

static void drop_body(struct body *body)
{
    struct h2_body *self = self_of(body);
    free_piece(self, self->lent);
    self->lent = NULL;
    while (self->first)
        free_piece(self, take_first(self));
    self->is_dropped = true;
}

void h2_body_init(struct h2_body *self, struct h2_stream *stream, int64_t length, int64_t idle)
{
    static const struct body_ops ops = {.read = read_body, .peek = peek_body, .drop = drop_body};
    self->body.ops = &ops;
    self->body.length = length;
    self->stream = stream;
    self->idle = idle;
}

/* --- for a tunnel */

bool h2_body_has_news(const struct h2_body *self)
{
    return self->first || is_whole(self);
}

enum status h2_body_wait(struct h2_body *self, instant deadline)
{
    enum status e = OK;
    if (!h2_body_has_news(self))
        h2_output_push(self->stream->session); /* the window that taking has opened */
    self->reader = fiber_current();
    while (!e && !h2_body_has_news(self))
        e = fiber_wait(deadline);
    self->reader = NULL;
    return e;
}

enum status h2_body_take(struct h2_body *self, void *data, size_t capacity, size_t *ret_size)
{
    struct h2_piece *piece = self->first;
    if (!piece)
        return self->failure ? self->failure : END;
    struct slice bytes = slice_of(piece->data + piece->begin, piece->size - piece->begin);
    bytes = slice_head(bytes, capacity);
    memcpy(data, bytes.data, bytes.size);
    piece->begin += bytes.size;
    open_window(self, bytes.size);
    if (piece->begin == piece->size)
        free_piece(self, take_first(self));
    *ret_size = bytes.size;
    return OK;
}

/* --- what comes */

static void wake_reader(struct h2_body *self)
{
    if (self->reader)
        fiber_wake(self->reader);
    else if (self->stream->tunnel)
        h2_tunnel_stir(self->stream->tunnel);
}

static struct h2_piece *new_piece(const struct h2_body *self, size_t size)
{
    size_t capacity = size < PIECE_LEAST ? PIECE_LEAST : size;
    const struct h2_request_head *head = &self->stream->head;
    if (!self->received && head->has_length && head->length <= WHOLE_MAX && head->length > size)
        capacity = (size_t)head->length;
    struct h2_piece *piece = malloc(sizeof *piece + capacity);
    if (piece)
        *piece = (struct h2_piece){.capacity = capacity};
    return piece;
}

static enum status keep(struct h2_body *self, struct slice bytes)
{
    struct h2_piece *piece = self->last;
    if (!piece || piece->capacity - piece->size < bytes.size) {
        piece = new_piece(self, bytes.size);
        if (!piece)
            return NO_MEMORY;
        if (self->last)
            self->last->next = piece;
        else
            self->first = piece;
        self->last = piece;
    }
    memcpy(piece->data + piece->size, bytes.data, bytes.size);
    piece->size += bytes.size;
    return OK;
}

bool h2_body_put(struct h2_body *self, struct slice bytes)
{
    const struct h2_request_head *head = &self->stream->head;
    bool is_too_much = head->has_length && bytes.size > head->length - self->received;
    if (self->is_dropped || self->failure || is_too_much) {
        open_window(self, bytes.size);
    } else {
        enum status e = keep(self, bytes);
        if (e)
            fail(self, e);
    }
    if (is_too_much)
        fail(self, BAD_FRAMING);
    else
        self->received += bytes.size;
    wake_reader(self);
    return !is_too_much;
}

void h2_body_put_trailer(struct h2_body *self, struct slice name, struct slice value)
{
    struct fields *trailers = &self->trailers;
    if (self->trailer_failure)
        return;
    if (!trailers->arena) {
        fields_init(trailers, &self->stream->x.arena);
        const struct http_options *http = h2_options(self->stream->session);
        self->trailer_budget =
            (struct h2_budget){(size_t)http->trailers_max, (uint32_t)http->fields_max};
    }
    self->trailer_failure = h2_trailer_field(trailers, &self->trailer_budget, name, value);
}

bool h2_body_end(struct h2_body *self)
{
    const struct h2_request_head *head = &self->stream->head;
    enum status e = self->trailer_failure;
    if (!e && head->has_length && self->received != head->length)
        e = BAD_FRAMING;
    if (e)
        fail(self, e == FIELDS_TOO_LARGE ? TOO_LARGE : e);
    if (!e && self->trailers.arena) {
        h1_drop_forbidden_trailers(&self->trailers);
        self->body.trailers = &self->trailers;
    }
    self->has_ended = true;
    wake_reader(self);
    return !e;
}

void h2_body_fail(struct h2_body *self, enum status e)
{
    if (!is_whole(self))
        fail(self, e);
    wake_reader(self);
}
