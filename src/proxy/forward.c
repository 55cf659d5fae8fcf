#include "proxy/forward.h"

#include "http/h1.h"
#include "run/loop.h"

#define HEAD_ROOM     ((size_t)1024 * 1024)
#define CONTINUE_WAIT SECOND /* for "100 Continue" of a target that may not know it */
#define INTERIM_MAX   32

static const struct h1_limits limits = H1_LIMITS_DEFAULT;

/* In the exchange's arena. The request is sent by a fiber of its own, so that an early answer is
 * not missed. */
struct passage {
    struct exchange *x;
    const struct proxy *proxy;
    struct wire upstream; /* owned */
    struct scope sending; /* of the fiber that sends */
    struct slice head;    /* of the request, not sent yet */
    struct h1_framing asked, answered;
    struct http_response response;
    struct fiber *reader; /* waits for the head of the answer; NULL: nobody does */
    struct fiber *holder; /* the sender, while it waits for leave to send the body */
    enum status failure;  /* of sending: the reader gives up */
    bool is_sent, may_send;
    struct body body;     /* of the answer: `inner` in the words of a proxy */
    struct h1_body inner; /* begun when there is an answer */
};

static int64_t patience(const struct passage *passage)
{
    return passage->proxy->options->idle_timeout;
}

/* Before the exchange ends, and lets go of the configuration. */
static void release(struct passage *passage)
{
    scope_end(&passage->sending);
    wire_release(&passage->upstream);
    proxy_leave(passage->proxy, passage->x->worker);
}

/* --- the request's head */

/* The path as it was sent: a proxy passes it on unchanged (RFC 9110 §7.7). Of "http://host/path" or
 * "/path". */
static struct slice path_of(const struct http_request *request)
{
    struct slice target = request->target;
    size_t scheme = slice_find_slice(target, SLICE("://"));
    if (request->version != HTTP_2 && scheme < target.size) {
        target = slice_from(target, scheme + 3);
        size_t end = 0;
        while (end < target.size && target.data[end] != '/' && target.data[end] != '?')
            end++;
        target = slice_from(target, end);
    }
    return target;
}

static enum status write_head(struct passage *passage)
{
    struct http_request *request = &passage->x->request;
    struct http_request said = *request;
    struct slice path = path_of(request);
    bool has_path = path.size && path.data[0] == '/';
    said.query = SLICE_NONE;
    said.path = path;
    if (path.size == 0)
        said.path = request->method == METHOD_OPTIONS ? SLICE("*") : SLICE("/");
    else if (!has_path && !slice_equal(path, SLICE("*")))
        said.path = arena_join(&passage->x->arena, (struct slice[]){SLICE("/"), path}, 2);
    if (!said.path.data)
        return NO_MEMORY;
    struct text text = text_growing(HEAD_ROOM);
    h1_write_request_head(&text, &said, &passage->asked);
    if (!text.failed)
        passage->head = arena_copy(&passage->x->arena, text_slice(&text));
    text_release(&text);
    return passage->head.data ? OK : NO_MEMORY;
}

static bool announces_empty_body(enum http_method method)
{
    return method == METHOD_POST || method == METHOD_PUT || method == METHOD_PATCH;
}

static void plan(struct passage *passage)
{
    struct http_request *request = &passage->x->request;
    const struct body *body = request->body;
    passage->asked.kind = H1_CHUNKED;
    if (body->length != BODY_LENGTH_UNKNOWN) {
        passage->asked.kind = H1_LENGTH;
        passage->asked.length = (uint64_t)body->length;
    }
    if (body_is_empty(body) && !announces_empty_body(request->method))
        passage->asked.kind = H1_NO_BODY;
    passage->may_send = !passage->x->expects_continue;
    if (passage->may_send)
        fields_remove_known(&request->fields, FIELD_EXPECT);
}

/* --- sending */

static enum status wait_for_leave(struct passage *passage)
{
    instant until = loop_now() + CONTINUE_WAIT;
    passage->holder = fiber_current();
    enum status e = OK;
    while (!passage->may_send && !e)
        e = fiber_wait(until);
    passage->holder = NULL;
    return e == CANCELLED ? e : OK;
}

static enum status send_all(struct passage *passage, bool *ret_source_failed)
{
    struct stream *stream = passage->upstream.stream;
    uint64_t sent;
    if (!passage->may_send) {
        instant until = clock_after(loop_now(), patience(passage));
        enum status e = stream_write(stream, passage->head.data, passage->head.size, until, NULL);
        passage->head = SLICE_NONE;
        if (!e)
            e = wait_for_leave(passage);
        if (e)
            return e;
    }
    return h1_send(stream, passage->head, passage->x->request.body, &passage->asked,
        patience(passage), passage->x->deadline, &sent, ret_source_failed);
}

/* A target that takes no more may have answered: reading will tell. */
static void run_sender(void *argument)
{
    struct passage *passage = argument;
    bool source_failed = false;
    enum status e = send_all(passage, &source_failed);
    passage->is_sent = true;
    if (e && source_failed)
        passage->failure = body_status_of_client(e);
    else if (e == TIMEOUT)
        passage->failure = UPSTREAM_WRITE_TIMEOUT;
    else if (e == NO_MEMORY || e == CANCELLED)
        passage->failure = e;
    if (passage->reader && passage->failure)
        fiber_expire(passage->reader);
}

/* --- the answer's head */

static enum status pass_on_interim(struct passage *passage)
{
    struct exchange *x = passage->x;
    int status = passage->response.status;
    if (status == 101)
        return UPSTREAM_PROTOCOL;
    if (status == 100) {
        passage->may_send = true;
        if (passage->holder)
            fiber_wake(passage->holder);
        if (!x->expects_continue)
            return OK;
    }
    if (fields_strip_hop_by_hop(&passage->response.fields))
        return UPSTREAM_PROTOCOL;
    return x->hooks->send_interim(x, &passage->response) ? CLIENT_CLOSED : OK;
}

static enum status status_of_head(enum status e)
{
    if (e == END || e == CLOSED || e == IO_ERROR)
        return UPSTREAM_CLOSED;
    return e == TIMEOUT ? UPSTREAM_TIMEOUT : e;
}

/* The target's time begins when it has the whole request. */
static enum status wait_for_head(struct passage *passage)
{
    enum status e;
    passage->reader = fiber_current();
    do {
        instant until = clock_after(loop_now(), patience(passage));
        e = stream_wait_readable(
            passage->upstream.stream, clock_sooner(passage->x->deadline, until));
    } while (e == TIMEOUT && !passage->failure && !passage->is_sent &&
             loop_now() < passage->x->deadline);
    passage->reader = NULL;
    return e == TIMEOUT && passage->failure ? passage->failure : e;
}

static enum status read_head(struct passage *passage)
{
    struct exchange *x = passage->x;
    for (int i = 0; i < INTERIM_MAX; i++) {
        enum status e = wire_has_bytes(&passage->upstream) ? OK : wait_for_head(passage);
        instant until = clock_after(loop_now(), patience(passage));
        if (!e)
            e = h1_read_response(&passage->upstream, &x->arena, &limits, x->request.method,
                clock_sooner(x->deadline, until), &passage->response, &passage->answered);
        if (e)
            return status_of_head(e);
        if (passage->response.status >= 200)
            return OK;
        e = pass_on_interim(passage);
        if (e)
            return e;
    }
    return UPSTREAM_PROTOCOL;
}

/* --- the answer's body */

static struct passage *passage_of(struct body *body)
{
    return list_entry(body, struct passage, body);
}

static enum status read_body(struct body *body, instant deadline, struct slice *ret_bytes)
{
    struct passage *passage = passage_of(body);
    enum status e = body_read(&passage->inner.body, deadline, ret_bytes);
    body->trailers = passage->inner.body.trailers;
    return body_status_of_upstream(e);
}

static enum status wait_for_body(struct body *body, instant deadline)
{
    return body_wait(&passage_of(body)->inner.body, deadline);
}

static enum status splice_body(
    struct body *body, instant deadline, struct splice **ret_splice, size_t *ret_size)
{
    return body_status_of_upstream(
        body_splice(&passage_of(body)->inner.body, deadline, ret_splice, ret_size));
}

static struct slice peek_body(struct body *body, bool *ret_last)
{
    struct passage *passage = passage_of(body);
    struct slice bytes = body_peek(&passage->inner.body, ret_last);
    body->trailers = passage->inner.body.trailers;
    return bytes;
}

static void drop_body(struct body *body)
{
    struct passage *passage = passage_of(body);
    body_drop(&passage->inner.body);
    release(passage);
}

static enum status begin_answer(struct passage *passage)
{
    static const struct body_ops ops = {.read = read_body,
        .wait = wait_for_body,
        .splice = splice_body,
        .peek = peek_body,
        .drop = drop_body};
    struct exchange *x = passage->x;
    struct http_response *response = &passage->response;
    enum status e = fields_strip_hop_by_hop(&response->fields);
    if (!e) /* what policies have put there before stays */
        e = fields_append(&response->fields, &x->response.fields);
    if (e)
        return e == NO_MEMORY ? e : UPSTREAM_PROTOCOL;
    const struct body *inner = h1_body_init(&passage->inner, &passage->upstream, &limits,
        &passage->answered, &x->arena, patience(passage));
    passage->body = (struct body){.ops = &ops, .length = inner->length};
    x->response = *response;
    x->response.body = &passage->body;
    return OK;
}

/* --- the whole */

enum status proxy_forward(const struct proxy *proxy, struct exchange *x, struct stream *upstream)
{
    struct passage *passage = arena_alloc(&x->arena, sizeof *passage);
    if (!passage) {
        stream_close(upstream);
        proxy_leave(proxy, x->worker);
        return NO_MEMORY;
    }
    memset(passage, 0, offsetof(struct passage, inner));
    passage->x = x;
    passage->proxy = proxy;
    wire_init(&passage->upstream, upstream);
    scope_init(&passage->sending);
    plan(passage);
    enum status e = write_head(passage);
    if (!e)
        e = scope_start(&passage->sending, run_sender, passage);
    if (!e)
        e = read_head(passage);
    if (!e)
        e = begin_answer(passage);
    if (e)
        release(passage);
    return e;
}
