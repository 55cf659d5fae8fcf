#include "service/call.h"

#include "run/loop.h"

#define MEMORY_MAX \
    ((size_t)64 * 1024) /* more is streamed: an endpoint may answer before it has read it all */
#define CONTINUE_WAIT SECOND /* for "100 Continue" of an endpoint that may not know it */
#define INTERIM_MAX   32     /* interim answers before one that is final */
#define HEAD_MAX      ((size_t)256 * 1024)

const struct h1_limits upstream_limits = H1_LIMITS_DEFAULT;

/* --- before */

/* These say that they have no body; of others that goes without saying (RFC 9110 §8.6). */
static bool announces_empty_body(enum http_method method)
{
    return method == METHOD_POST || method == METHOD_PUT || method == METHOD_PATCH;
}

void upload_plan(struct call *call)
{
    struct exchange *x = call->x;
    struct upload *upload = &call->upload;
    struct body *body = x->request.body;
    struct slice here = SLICE_NONE;
    bool is_last = false;
    upload->framing = (struct h1_framing){.kind = H1_CHUNKED, .keep_alive = true};
    if (body->length != BODY_LENGTH_UNKNOWN) {
        upload->framing.kind = H1_LENGTH;
        upload->framing.length = (uint64_t)body->length;
        here = body_peek(body, &is_last);
    }
    upload->kind = UPLOAD_STREAM;
    if (body_is_empty(body)) {
        upload->kind = UPLOAD_EMPTY;
        if (!announces_empty_body(x->request.method))
            upload->framing.kind = H1_NO_BODY;
    } else if (is_last && here.size <= MEMORY_MAX && here.size == upload->framing.length) {
        upload->kind = UPLOAD_MEMORY;
        body_init_slice(&upload->memory, here);
    }
    /* Who has the whole body waits for nobody's leave to send it. */
    if (upload->kind == UPLOAD_STREAM)
        upload->awaits_continue = x->expects_continue;
    else
        fields_remove_known(&x->request.fields, FIELD_EXPECT);
}

/* --- the head */

static struct slice host_to_send(const struct call *call)
{
    struct slice host = call->service->options->host;
    if (host.size == 0)
        return call->x->request.authority;
    if (!slice_equal(host, SLICE("endpoint")))
        return host;
    return call->endpoint->address.any.sa_family == AF_UNIX ? SLICE("localhost")
                                                            : call->endpoint->text;
}

static void write_head(struct call *call, struct text *text)
{
    struct http_request *request = &call->x->request;
    struct slice asked = request->authority;
    request->authority = host_to_send(call);
    h1_write_request_head(text, request, &call->upload.framing);
    request->authority = asked;
}

/* Into a buffer of the pool, or into the arena when it is longer. */
static enum status build_head(struct call *call, struct buffer **ret_buffer, struct slice *ret_head)
{
    struct buffer *buffer = buffer_take_small();
    if (!buffer)
        return NO_MEMORY;
    struct text text = text_fixed(buffer->data, buffer->capacity);
    write_head(call, &text);
    if (text.failed) {
        text = text_fixed(arena_bytes(&call->x->arena, HEAD_MAX), HEAD_MAX);
        if (text.data)
            write_head(call, &text);
    }
    if (!text.data || text.failed) {
        buffer_give(buffer);
        return text.data ? TOO_LARGE : NO_MEMORY;
    }
    *ret_buffer = buffer;
    *ret_head = text_slice(&text);
    return OK;
}

/* --- reading the answer's head */

static enum status status_of_head(const struct call *call, enum status e)
{
    switch ((int)e) {
    case END:
    case CLOSED:
    case IO_ERROR:
        return UPSTREAM_CLOSED;
    case TIMEOUT:
        return call->upload.is_cut ? UPSTREAM_CLOSED : UPSTREAM_TIMEOUT;
    default:
        return e;
    }
}

static void note(struct upload *upload)
{
    if (upload->waiter)
        fiber_wake(upload->waiter);
}

/* 100 asks for the body; 102 and 103 are told the client as they are. 101 was not asked for. */
static enum status pass_on_interim(struct call *call)
{
    struct exchange *x = call->x;
    int status = call->response.status;
    if (status == 101)
        return UPSTREAM_PROTOCOL;
    if (status == 100) {
        call->upload.awaits_continue = false;
        if (call->upload.holder)
            fiber_wake(call->upload.holder);
        if (!x->expects_continue)
            return OK;
    }
    if (fields_strip_hop_by_hop(&call->response.fields))
        return UPSTREAM_PROTOCOL;
    if (x->hooks && x->hooks->send_interim && x->hooks->send_interim(x, &call->response))
        return CLIENT_CLOSED;
    if (status == 100)
        x->expects_continue = false;
    return OK;
}

static enum status read_head(struct call *call, instant deadline)
{
    for (int i = 0; i < INTERIM_MAX; i++) {
        enum status e = h1_read_response(&call->upstream->h1, &call->x->arena, &upstream_limits,
            call->x->request.method, deadline, &call->response, &call->framing);
        if (e)
            return status_of_head(call, e);
        if (call->response.status >= 200)
            return OK;
        e = pass_on_interim(call);
        if (e)
            return e;
    }
    return UPSTREAM_PROTOCOL;
}

/* --- at once */

/* Reads what was only looked at, so that the client's connection stands at its next request. */
static void consume_request(struct body *body)
{
    struct slice ignored;
    while (body_read(body, loop_now(), &ignored) == OK)
        ;
}

static enum status send_at_once(struct call *call, struct slice head)
{
    struct upload *upload = &call->upload;
    const struct timeout_options *timeout = &call->service->options->timeout;
    struct body empty;
    struct body *body = &upload->memory.body;
    uint64_t sent = 0;
    bool source_failed = false;
    body_init_empty(&empty);
    if (upload->kind == UPLOAD_EMPTY)
        body = &empty;
    enum status e = h1_send(call->upstream->h1.stream, head, body, &upload->framing, timeout->idle,
        call->x->deadline, &sent, &source_failed);
    upload->has_ended = true;
    upload->ended = loop_now();
    if (e == TIMEOUT)
        return UPSTREAM_WRITE_TIMEOUT;
    upload->is_cut = e != OK;
    return e == CANCELLED || e == NO_MEMORY ? e : OK;
}

static enum status exchange_at_once(struct call *call, struct slice head)
{
    enum status e = send_at_once(call, head);
    if (e)
        return e;
    instant deadline = clock_after(loop_now(), call->service->options->timeout.first_byte);
    return read_head(call, clock_sooner(call->x->deadline, deadline));
}

/* --- streamed: one fiber sends, one reads the head, and the exchange's own waits for what happens
 * first */

static enum status status_of_source(enum status e)
{
    if (e == TIMEOUT)
        return REQUEST_TIMEOUT;
    return e == INCOMPLETE || e == CLOSED || e == IO_ERROR ? CLIENT_CLOSED : e;
}

struct pump {
    struct call *call;
    struct slice head; /* not sent yet; lies in `buffer` or the arena */
    struct buffer *buffer;
};

/* CANCELLED when there is a final answer before: then nobody wants the body any more. */
static enum status wait_for_leave(struct upload *upload)
{
    instant until = loop_now() + CONTINUE_WAIT;
    upload->holder = fiber_current();
    enum status e = OK;
    while (upload->awaits_continue && e != CANCELLED && loop_now() < until)
        e = fiber_wait(until);
    upload->holder = NULL;
    upload->awaits_continue = false;
    return e == CANCELLED ? e : OK;
}

static enum status pump_request(struct pump *pump, bool *ret_source_failed)
{
    struct call *call = pump->call;
    struct upload *upload = &call->upload;
    struct stream *stream = call->upstream->h1.stream;
    int64_t idle = call->service->options->timeout.idle;
    uint64_t sent = 0;
    if (upload->awaits_continue) {
        enum status e = stream_write(
            stream, pump->head.data, pump->head.size, clock_after(loop_now(), idle), NULL);
        if (!e)
            e = wait_for_leave(upload);
        if (e)
            return e;
        pump->head = SLICE_NONE;
    }
    upload->has_begun = true;
    return h1_send(stream, pump->head, call->x->request.body, &upload->framing, idle,
        call->x->deadline, &sent, ret_source_failed);
}

static void run_pump(void *argument)
{
    struct pump *pump = argument;
    struct upload *upload = &pump->call->upload;
    bool source_failed = false;
    enum status e = pump_request(pump, &source_failed);
    buffer_give(pump->buffer);
    upload->has_ended = true;
    upload->ended = loop_now();
    if (source_failed)
        upload->failure = status_of_source(e);
    else if (e == TIMEOUT)
        upload->failure = UPSTREAM_WRITE_TIMEOUT;
    else if (e == CANCELLED || e == NO_MEMORY)
        upload->failure = e;
    upload->is_cut = e != OK;
    note(upload);
}

static void run_reader(void *argument)
{
    struct call *call = argument;
    call->upload.head_outcome = read_head(call, call->x->deadline);
    call->upload.head_is_here = true;
    note(&call->upload);
}

/* The endpoint's time for its answer begins when it has the whole request. */
static enum status wait_for_head(struct call *call)
{
    struct upload *upload = &call->upload;
    int64_t first_byte = call->service->options->timeout.first_byte;
    while (!upload->head_is_here) {
        if (upload->failure)
            return upload->failure;
        instant until = call->x->deadline;
        if (upload->has_ended)
            until = clock_sooner(until, clock_after(upload->ended, first_byte));
        enum status e = fiber_wait(until);
        if (e == CANCELLED)
            return e;
        if (loop_now() >= until && !upload->head_is_here)
            return status_of_head(call, TIMEOUT);
    }
    return upload->head_outcome;
}

static enum status exchange_streamed(struct call *call, struct slice head, struct buffer *buffer)
{
    struct upload *upload = &call->upload;
    struct pump *pump = arena_new(&call->x->arena, struct pump);
    if (!pump) {
        buffer_give(buffer);
        return NO_MEMORY;
    }
    *pump = (struct pump){call, head, buffer};
    upload->waiter = fiber_current();
    scope_init(&upload->scope);
    upload->has_scope = true;
    enum status e = scope_start(&upload->scope, run_pump, pump);
    if (e)
        buffer_give(buffer);
    if (!e)
        e = scope_start(&upload->scope, run_reader, call);
    if (!e)
        e = wait_for_head(call);
    upload->waiter = NULL;
    if (e || upload->holder)
        upload_stop(upload);
    return e;
}

enum status upload_exchange(struct call *call)
{
    struct upload *upload = &call->upload;
    struct buffer *buffer;
    struct slice head;
    upload->has_ended = upload->is_cut = upload->head_is_here = false;
    upload->failure = OK;
    enum status e = build_head(call, &buffer, &head);
    if (e)
        return e;
    if (upload->kind == UPLOAD_STREAM)
        return exchange_streamed(call, head, buffer);
    e = exchange_at_once(call, head);
    buffer_give(buffer);
    if (!e && upload->kind == UPLOAD_MEMORY)
        consume_request(call->x->request.body);
    return e;
}

/* --- after */

void upload_stop(struct upload *upload)
{
    if (upload->has_scope)
        scope_end(&upload->scope);
    upload->has_scope = false;
}

bool upload_is_complete(const struct upload *upload)
{
    return upload->has_ended && !upload->is_cut;
}

bool upload_left_nothing(const struct upload *upload)
{
    return upload->kind != UPLOAD_STREAM && upload->has_ended && upload->is_cut;
}

bool upload_rewind(struct call *call)
{
    struct upload *upload = &call->upload;
    struct body *body = call->x->request.body;
    if (upload->kind == UPLOAD_EMPTY || !upload->has_begun) {
        if (upload->kind == UPLOAD_MEMORY)
            body_init_slice(&upload->memory, upload->memory.bytes);
        return true;
    }
    return body->ops->rewind && body->ops->rewind(body) == OK;
}
