#include "gateway/connection.h"

#include <stdlib.h>

#include "http/forwarded.h"
#include "run/loop.h"

#define FIRST_BLOCK    (4 * 1024)         /* of an exchange's arena, on its fiber's stack */
#define ARENA_LIMIT    ((size_t)16 << 20) /* what one exchange may take */
#define DISCARD_MAX    (64 * 1024)        /* of an unread body, to keep the connection */
#define LINGER_TIME    (30 * SECOND) /* in all, for what a client goes on sending after its answer */
#define LINGER_IDLE    (2 * SECOND)  /* without a byte of it */

#define ID_NUMBER_BITS 48 /* of an exchange's number; those above say the worker */

static void run_connection(void *argument);

static void free_connection(struct connection *connection)
{
    struct server *server = connection->server;
    timer_cancel(&connection->timer);
    h1_release(&connection->h1);
    list_remove(&connection->node);
    server->connection_count--;
    free(connection);
    server->ops->closed(server);
}

void connection_close(struct connection *connection)
{
    stream_unpark(connection->h1.stream);
    free_connection(connection);
}

/* A parked connection has bytes to read, or its peer has gone. */
static void awake(void *argument)
{
    struct connection *connection = argument;
    timer_cancel(&connection->timer);
    if (scope_start(loop_scope(loop_current()), run_connection, connection))
        free_connection(connection);
}

/* What has come at the last moment, and is about to be dealt with, still counts. */
static void idle_too_long(struct timer *timer)
{
    struct connection *connection = list_entry(timer, struct connection, timer);
    if (stream_is_quiet(connection->h1.stream))
        connection_close(connection);
}

static void park(struct connection *connection)
{
    const struct http_options *http = connection->server->ops->rules(connection->server)->http;
    connection->fiber = NULL;
    stream_park(connection->h1.stream, awake, connection);
    timer_set(&connection->timer, clock_after(loop_now(), http->keep_alive));
}

void connection_begin(struct connection *connection)
{
    timer_init(&connection->timer, idle_too_long);
    park(connection);
}

/* Writes an interim answer's head. Two fibers may want to, the one that reads the service's answer
 * and the one that reads the client's body: in turn. One that has gone half ends the connection,
 * since whatever followed would be taken for a part of it. */
static enum status write_interim(struct connection *connection, struct slice head, instant deadline)
{
    size_t written = 0;
    while (connection->writes_interim) {
        enum status e = fiber_sleep_until(clock_sooner(deadline, loop_now() + MILLISECOND));
        if (e || loop_now() >= deadline)
            return e ? e : TIMEOUT;
    }
    connection->writes_interim = true;
    enum status e = stream_write(connection->h1.stream, head.data, head.size, deadline, &written);
    connection->writes_interim = false;
    connection->is_torn = connection->is_torn || (e && written > 0);
    return e;
}

/* An interim answer (RFC 9110 §15.2): HTTP/1.0 clients do not know them. */
static enum status send_interim(struct exchange *x, const struct http_response *interim)
{
    struct connection *connection = x->connection;
    const struct http_options *http = connection->server->ops->rules(connection->server)->http;
    if (x->request.version == HTTP_1_0)
        return OK;
    if (interim->status == 100)
        x->expects_continue = false;
    char head[8192];
    struct text text = text_fixed(head, sizeof head);
    struct h1_framing framing = {.kind = H1_NO_BODY, .keep_alive = true};
    h1_write_response_head(&text, interim, x->request.version, &framing);
    if (text.failed)
        return TOO_LARGE;
    instant until = clock_after(loop_now(), http->body_timeout);
    return write_interim(connection, text_slice(&text), clock_sooner(x->deadline, until));
}

static struct stream *stream_of(struct exchange *x)
{
    return ((struct connection *)x->connection)->h1.stream;
}

static const struct exchange_hooks hooks = {.send_interim = send_interim, .stream = stream_of};

/* Somebody wants the body of a client that waits to be asked for it. */
static void ask_for_body(void *argument)
{
    struct exchange *x = argument;
    if (!x->expects_continue)
        return;
    struct http_response interim = {.status = 100};
    fields_init(&interim.fields, &x->arena);
    (void)send_interim(
        x, &interim); /* a client that is gone shows itself in the read that follows */
}

static void begin_exchange(struct connection *connection, struct exchange *x)
{
    x->worker = connection->server->worker;
    x->id_number = (uint64_t)x->worker << ID_NUMBER_BITS | ++connection->server->id_number;
    x->connection = connection;
    x->hooks = &hooks;
    x->deadline = NEVER;
    address_copy(&x->peer, stream_peer(connection->h1.stream));
    address_copy(&x->client, &x->peer);
    x->entrance = connection->entrance;
    x->facts.listener = connection->entrance->name;
    x->facts.started = loop_now();
    x->request.scheme = SLICE("http");
    scope_init(&x->scope);
    fields_init(&x->request.fields, &x->arena);
    fields_init(&x->response.fields, &x->arena);
}

/* The client has reset its connection: nobody will read the answer. */
static void broken(void *argument)
{
    struct connection *connection = argument;
    connection->is_broken = true;
    fiber_cancel(connection->fiber);
}

/* Cancelled is who is cut off by a stop, or whose client is gone. */
static bool is_cut_off(const struct exchange *x)
{
    const struct connection *connection = x->connection;
    return connection->server->is_draining && !connection->is_broken;
}

/* The statuses with which functions fail, as answers. */
static enum status reason_of(const struct exchange *x, enum status e)
{
    if (status_http(e))
        return e;
    if (e == TIMEOUT)
        return loop_now() >= x->deadline ? UPSTREAM_TIMEOUT : REQUEST_TIMEOUT;
    if (e == TOO_LARGE) /* trailers, or a head that has grown on its way */
        return FIELDS_TOO_LARGE;
    if (e == CANCELLED && is_cut_off(x))
        return SHUTTING_DOWN;
    if (e == CANCELLED || e == CLOSED || e == INCOMPLETE)
        return CLIENT_CLOSED;
    return INTERNAL;
}

struct h1_framing response_framing(const struct exchange *x, bool keep_alive)
{
    const struct body *body = x->response.body;
    struct h1_framing framing = {.kind = H1_LENGTH, .keep_alive = keep_alive};
    if (http_response_has_no_body(x->request.method, x->response.status)) {
        framing.kind = H1_NO_BODY;
        framing.length = body->length >= 0 ? (uint64_t)body->length : 0;
    } else if (body->length >= 0) {
        framing.length = (uint64_t)body->length;
    } else if (x->request.version == HTTP_1_0) {
        framing.kind = H1_UNTIL_CLOSE;
        framing.keep_alive = false;
    } else {
        framing.kind = H1_CHUNKED;
    }
    return framing;
}

static struct slice date_now(struct server *server)
{
    int64_t second = loop_wall() / SECOND;
    if (second != server->date_second) {
        clock_http_date(second, server->date);
        server->date_second = second;
    }
    return slice_of(server->date, HTTP_DATE_SIZE);
}

/* The fields that every answer has. Out of memory they are left out: the answer is whole without
 * them. */
static void finish_fields(
    struct server *server, struct exchange *x, const struct server_rules *rules)
{
    struct fields *fields = &x->response.fields;
    if (!fields_has(fields, FIELD_DATE))
        (void)fields_add_made(fields, FIELD_DATE, date_now(server));
    if (rules->http->via)
        (void)via_add(fields, HTTP_1_1);
    if (x->request_id.size)
        (void)fields_set_made(fields, FIELD_X_REQUEST_ID, x->request_id);
}

static struct text head_text(struct exchange *x)
{
    const struct fields *fields = &x->response.fields;
    size_t size = 256;
    for (uint32_t i = 0; i < fields->count; i++)
        size += fields->items[i].name.size + fields->items[i].value.size + 4;
    char *data = arena_bytes(&x->arena, size);
    return text_fixed(data, data ? size : 0);
}

static enum status send_answer(struct connection *connection, struct exchange *x,
    const struct server_rules *rules, bool *keep_alive)
{
    finish_fields(connection->server, x, rules);
    struct h1_framing framing = response_framing(x, *keep_alive);
    *keep_alive = framing.keep_alive;
    struct text head = head_text(x);
    h1_write_response_head(&head, &x->response, x->request.version, &framing);
    if (head.failed)
        return NO_MEMORY;
    if (connection->is_torn)
        return CLOSED;
    bool is_source = false;
    x->facts.first_byte_sent = loop_now();
    enum status e = h1_send(connection->h1.stream, text_slice(&head), x->response.body, &framing,
        rules->http->body_timeout, x->deadline, &x->facts.sent, &is_source);
    x->facts.ended = clock_now();
    if (e && x->facts.reason == OK)
        x->facts.reason = is_source || e == CANCELLED ? reason_of(x, e) : CLIENT_CLOSED;
    return e;
}

/* Whether the connection can carry another request, as far as can be said before the answer's head
 * is written. */
static bool may_go_on(const struct connection *connection, const struct exchange *x,
    const struct h1_body *body, const struct server_rules *rules)
{
    const struct h1_framing *framing = &body->framing;
    if (!framing->keep_alive || x->must_close || connection->server->is_draining)
        return false;
    if (rules->http->requests_max && connection->requests >= (uint64_t)rules->http->requests_max)
        return false;
    if (framing->kind == H1_NO_BODY || h1_body_is_complete(body))
        return true;
    if (body->failure)
        return false;
    /* What the client has yet to send must be read before its next request: only if it is little. A
     * client that still waits for 100 may send its body or not: nobody can tell what its next bytes
     * are. */
    return !x->expects_continue && framing->kind == H1_LENGTH &&
           framing->length - body->received <= DISCARD_MAX;
}

static bool discard_rest(struct exchange *x, struct h1_body *body)
{
    instant deadline = clock_sooner(x->deadline, loop_now() + LINGER_IDLE);
    struct slice bytes;
    enum status e;
    while (!(e = body_read(&body->body, deadline, &bytes)))
        continue;
    return e == END;
}

/* Closing while the client still sends would reset the connection and may take the answer with it
 * (RFC 9112 §9.6): say that nothing more comes, then read a while. */
static void linger(struct connection *connection)
{
    struct h1_connection *h1 = &connection->h1;
    instant end = loop_now() + LINGER_TIME;
    size_t size;
    if (stream_shutdown(h1->stream))
        return;
    for (;;) {
        instant deadline = clock_sooner(end, loop_now() + LINGER_IDLE);
        if (stream_wait_readable(h1->stream, deadline))
            return;
        struct buffer *waste = buffer_take_small();
        if (!waste)
            return;
        enum status e = stream_read(h1->stream, waste->data, waste->capacity, deadline, &size);
        buffer_give(waste);
        if (e)
            return;
    }
}

static enum status answer(
    struct connection *connection, struct exchange *x, const struct server_rules *rules)
{
    x->deadline = clock_after(x->facts.started, rules->http->request_timeout);
    enum status e = x->request.method == METHOD_CONNECT ? NOT_IMPLEMENTED : OK;
    if (!e)
        e = forwarded_read(x, rules->trusted->items, rules->trusted->count);
    if (!e)
        e = connection->server->ops->serve(connection->server, x);
    return e;
}

/* One request that was read: answers it; true when the connection can go on. */
static bool answer_request(struct connection *connection, struct exchange *x,
    const struct server_rules *rules, const struct h1_framing *framing)
{
    struct h1_body body;
    x->request.body = h1_body_init(
        &body, &connection->h1, &rules->limits, framing, &x->arena, rules->http->body_timeout);
    x->expects_continue = framing->expects_continue;
    body.before_wait = ask_for_body;
    body.before_wait_argument = x;
    connection->requests++;
    stream_on_break(connection->h1.stream, broken, connection);
    enum status e = answer(connection, x, rules);
    if (e)
        exchange_respond_problem(x, reason_of(x, e), SLICE_NONE);
    bool go_on = may_go_on(connection, x, &body, rules);
    e = send_answer(connection, x, rules, &go_on);
    stream_on_break(connection->h1.stream, NULL, NULL);
    body_drop(x->response.body);
    scope_end(&x->scope);
    x->facts.received = body.received;
    bool is_whole = framing->kind == H1_NO_BODY || h1_body_is_complete(&body);
    if (!e && go_on && !is_whole)
        is_whole = discard_rest(x, &body);
    body_drop(x->request.body);
    if (!e && !is_whole)
        linger(connection);
    return !e && go_on && is_whole && !connection->is_broken;
}

/* A head that could not be read: says why and ends the connection. */
static void refuse_request(struct connection *connection, struct exchange *x,
    const struct server_rules *rules, enum status e)
{
    bool keep_alive = false;
    x->request.version = HTTP_1_1;
    exchange_respond_problem(x, reason_of(x, e), SLICE_NONE);
    if (x->facts.reason != CLIENT_CLOSED && !send_answer(connection, x, rules, &keep_alive))
        linger(connection);
    body_drop(x->response.body);
    scope_end(&x->scope);
}

/* True when a head was not read because not one byte of it came. */
static bool is_silence(const struct connection *connection, enum status e)
{
    if (e == END || e == TIMEOUT)
        return true;
    return (e == CLOSED || e == CANCELLED) && !h1_has_bytes(&connection->h1);
}

static bool serve_one(struct connection *connection)
{
    struct server *server = connection->server;
    _Alignas(max_align_t) char block[FIRST_BLOCK];
    struct exchange x;
    struct h1_framing framing;
    memset(&x, 0, offsetof(struct exchange, peer));
    arena_init(&x.arena, FIRST_BLOCK, ARENA_LIMIT);
    arena_lend(&x.arena, block, sizeof block);
    begin_exchange(connection, &x);
    const struct server_rules *rules = server->ops->begin(server, &x);
    server->exchange_count++;
    bool go_on = false;
    enum status e = h1_read_request(&connection->h1, &x.arena, &rules->limits,
        clock_after(loop_now(), rules->http->head_timeout), &x.request, &framing);
    bool is_silent = is_silence(connection, e);
    if (!e)
        go_on = answer_request(connection, &x, rules, &framing);
    else if (!is_silent)
        refuse_request(connection, &x, rules, e);
    if (!x.facts.ended) /* nothing could be sent */
        x.facts.ended = clock_now();
    if (is_silent)
        server->ops->abandon(server, &x);
    else
        server->ops->finish(server, &x);
    server->exchange_count--;
    arena_release(&x.arena);
    return go_on;
}

/* The fiber of a connection that has something to read. It ends when the connection is idle again,
 * or at its end. */
static void run_connection(void *argument)
{
    struct connection *connection = argument;
    connection->fiber = fiber_current();
    bool go_on;
    do
        go_on = serve_one(connection);
    while (go_on && h1_has_bytes(&connection->h1));
    if (go_on && !connection->server->is_draining)
        park(connection);
    else
        free_connection(connection);
}
