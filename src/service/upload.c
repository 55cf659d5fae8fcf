#include "service/call.h"

#include "run/loop.h"

#define MEMORY_MAX \
    ((size_t)64 * 1024) /* more is streamed: an endpoint may answer before it has read it all */
#define CONTINUE_WAIT SECOND /* for "100 Continue" of an endpoint that may not know it */
#define INTERIM_MAX   32     /* interim answers before one that is final */

const struct h1_limits upstream_limits = H1_LIMITS_DEFAULT;

/* --- before */

/* These say that they have no body; of others that goes without saying (RFC 9110 §8.6). */
static bool announces_empty_body(enum http_method method)
{
    return method == METHOD_POST || method == METHOD_PUT || method == METHOD_PATCH;
}

/* All of the body, and little enough to be kept until it is sent. Trailers go with a stream. */
static bool is_whole(const struct call *call, struct slice here)
{
    const struct body *body = call->x->request.body;
    if (here.size == 0 || here.size > MEMORY_MAX)
        return false;
    if (body->length != BODY_LENGTH_UNKNOWN)
        return here.size == (size_t)body->length;
    return !body->trailers || body->trailers->count == 0;
}

void upload_plan(struct call *call)
{
    struct exchange *x = call->x;
    struct upload *upload = &call->upload;
    struct body *body = x->request.body;
    struct slice here;
    bool is_last = false;
    upload->framing = (struct h1_framing){.kind = H1_CHUNKED, .keep_alive = true};
    if (body->length != BODY_LENGTH_UNKNOWN) {
        upload->framing.kind = H1_LENGTH;
        upload->framing.length = (uint64_t)body->length;
    }
    here = body_peek(body, &is_last);
    upload->framing.is_upgrade = x->is_websocket;
    upload->kind = UPLOAD_STREAM;
    if (body_is_empty(body)) {
        upload->kind = UPLOAD_EMPTY;
        if (!announces_empty_body(x->request.method))
            upload->framing.kind = H1_NO_BODY;
    } else if (is_last && is_whole(call, here)) {
        upload->kind = UPLOAD_MEMORY;
        body_init_slice(&upload->memory, here);
    }
    /* Who has the whole body waits for nobody's leave to send it. */
    if (upload->kind == UPLOAD_STREAM)
        upload->awaits_continue = x->expects_continue;
    else
        fields_remove_known(&x->request.fields, FIELD_EXPECT);
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

/* The answer to who asked for a WebSocket. */
static bool is_switch(const struct call *call)
{
    return call->response.status == 101 && call->x->is_websocket;
}

static enum status read_head(struct call *call, instant deadline)
{
    for (int i = 0; i < INTERIM_MAX; i++) {
        enum status e = call->transport->read_head(call, deadline);
        if (e)
            return status_of_head(call, e);
        if (call->response.status >= 200 || is_switch(call))
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

static enum status send_at_once(struct call *call)
{
    struct upload *upload = &call->upload;
    struct body *body = &upload->memory.body;
    bool source_failed = false;
    if (upload->kind == UPLOAD_EMPTY)
        body_init_empty(body);
    enum status e = call->transport->send(call, body, &source_failed);
    upload->has_ended = true;
    upload->ended = loop_now();
    if (e == TIMEOUT)
        return UPSTREAM_WRITE_TIMEOUT;
    upload->is_cut = e != OK;
    return e == CANCELLED || e == NO_MEMORY ? e : OK;
}

static enum status exchange_at_once(struct call *call)
{
    enum status e = send_at_once(call);
    if (!e) {
        instant deadline = clock_after(loop_now(), call_patience(call));
        e = read_head(call, clock_sooner(call->x->deadline, deadline));
    }
    if (!e && call->upload.kind == UPLOAD_MEMORY)
        consume_request(call->x->request.body);
    return e;
}

/* --- streamed: one fiber sends, one reads the head, and the exchange's own waits for what happens
 * first */

enum status upload_status_of_source(enum status e)
{
    if (e == TIMEOUT)
        return REQUEST_TIMEOUT;
    return e == INCOMPLETE || e == CLOSED || e == IO_ERROR ? CLIENT_CLOSED : e;
}

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

static enum status pump_request(struct call *call, bool *ret_source_failed)
{
    struct upload *upload = &call->upload;
    if (upload->awaits_continue) {
        enum status e = call->transport->send_head(call);
        if (!e)
            e = wait_for_leave(upload);
        if (e)
            return e;
    }
    upload->has_begun = true;
    return call->transport->send(call, call->x->request.body, ret_source_failed);
}

static void run_pump(void *argument)
{
    struct call *call = argument;
    struct upload *upload = &call->upload;
    bool source_failed = false;
    enum status e = pump_request(call, &source_failed);
    upload->has_ended = true;
    upload->ended = loop_now();
    if (source_failed)
        upload->failure = upload_status_of_source(e);
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
    int64_t first_byte = call_patience(call);
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

static enum status exchange_streamed(struct call *call)
{
    struct upload *upload = &call->upload;
    upload->waiter = fiber_current();
    scope_init(&upload->scope);
    upload->has_scope = true;
    enum status e = scope_start(&upload->scope, run_pump, call);
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
    upload->has_ended = upload->is_cut = upload->head_is_here = false;
    upload->failure = OK;
    enum status e = call->transport->prepare ? call->transport->prepare(call) : OK;
    if (e)
        return e;
    return upload->kind == UPLOAD_STREAM ? exchange_streamed(call) : exchange_at_once(call);
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
