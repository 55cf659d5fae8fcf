#include "gateway/h1_connection.h"

#include "run/loop.h"

#define FIRST_BLOCK  (4 * 1024)         /* of an exchange's arena, on its fiber's stack */
#define ARENA_LIMIT  ((size_t)16 << 20) /* what one exchange may take */
#define DISCARD_TIME (2 * SECOND)       /* for that */
#define DISCARD_MAX  (64 * 1024)        /* of an unread body, to keep the connection */

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
    enum status e = stream_write(connection->wire.stream, head.data, head.size, deadline, &written);
    connection->writes_interim = false;
    connection->is_torn = connection->is_torn || (e && written > 0);
    return e;
}

/* An interim answer (RFC 9110 §15.2): HTTP/1.0 clients do not know them. */
static enum status send_interim(struct exchange *x, const struct http_response *interim)
{
    struct connection *connection = x->connection; /* its carrier is its first part */
    const struct http_options *http =
        connection->carrier.server->ops->rules(connection->carrier.server)->http;
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
    return ((struct connection *)x->connection)->wire.stream;
}

static bool is_draining(const struct exchange *x)
{
    return ((const struct connection *)x->connection)->carrier.server->is_draining;
}

static const struct exchange_hooks hooks = {.send_interim = send_interim,
    .is_draining = is_draining,
    .leaves = serving_leaves,
    .doze = serving_doze,
    .stream = stream_of};

/* The client has reset its connection. */
static void broken(void *argument)
{
    struct connection *connection = argument;
    serving_break(&connection->carrier);
}

static struct h1_framing response_framing(const struct exchange *x, bool keep_alive)
{
    const struct body *body = x->response.body;
    struct h1_framing framing = {.kind = H1_LENGTH, .keep_alive = keep_alive};
    if (serving_is_tunnel(x)) {
        framing.kind = H1_NO_BODY;
        framing.is_upgrade = x->response.status == 101;
        framing.keep_alive = true;
    } else if (http_response_has_no_body(x->request.method, x->response.status)) {
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
    if (x->breaks_off) {
        connection->is_short = true;
        serving_sent(x, CLOSED, false);
        return CLOSED;
    }
    serving_finish_fields(x, rules);
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
    enum status e = h1_send(connection->wire.stream, text_slice(&head), x->response.body, &framing,
        rules->http->body_timeout, x->deadline, &x->facts.sent, &is_source);
    serving_sent(x, e, is_source);
    connection->is_short = e && framing.kind == H1_UNTIL_CLOSE;
    return e;
}

/* Whether the connection can carry another request, as far as can be said before the answer's head
 * is written. */
static bool may_go_on(const struct connection *connection, const struct exchange *x,
    const struct h1_body *body, const struct server_rules *rules)
{
    const struct h1_framing *framing = &body->framing;
    if (!framing->keep_alive || x->must_close || connection->carrier.server->is_draining)
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
    instant deadline = clock_sooner(x->deadline, loop_now() + DISCARD_TIME);
    struct slice bytes;
    enum status e;
    while (!(e = body_read(&body->body, deadline, &bytes)))
        continue;
    return e == END;
}

/* One request that was read: answers it. */
static enum served answer_request(struct connection *connection, struct exchange *x,
    const struct server_rules *rules, const struct h1_framing *framing)
{
    struct h1_body body;
    x->request.body = h1_body_init(
        &body, &connection->wire, &rules->limits, framing, &x->arena, rules->http->body_timeout);
    x->expects_continue = framing->expects_continue;
    body.before_wait = serving_ask_for_body;
    body.before_wait_argument = x;
    connection->requests++;
    stream_on_break(connection->wire.stream, broken, connection);
    serving_answer(x, rules);
    bool go_on = may_go_on(connection, x, &body, rules);
    enum status e = send_answer(connection, x, rules, &go_on);
    stream_on_break(connection->wire.stream, NULL, NULL);
    x->facts.received += body.received;
    body_drop(x->response.body);
    scope_end(&x->scope);
    bool is_whole = framing->kind == H1_NO_BODY || h1_body_is_complete(&body);
    if (!e && go_on && !is_whole)
        is_whole = discard_rest(x, &body);
    body_drop(x->request.body);
    if (!e && serving_is_tunnel(x))
        return SERVED_TUNNEL;
    if (!e && !is_whole)
        connection_linger(connection, false);
    go_on = go_on && !e && is_whole && !connection->carrier.is_broken;
    return go_on ? SERVED_ALL : SERVED_LAST;
}

/* A head that could not be read: says why and ends the connection. */
static void refuse_request(struct connection *connection, struct exchange *x,
    const struct server_rules *rules, enum status e)
{
    bool keep_alive = false;
    x->request.version = HTTP_1_1;
    serving_refuse(x, e);
    if (x->facts.reason != CLIENT_CLOSED && !send_answer(connection, x, rules, &keep_alive))
        connection_linger(connection, false);
    body_drop(x->response.body);
    scope_end(&x->scope);
}

/* True when a head was not read because not one byte of it came. */
static bool is_silence(const struct connection *connection, enum status e)
{
    if (e == END || e == TIMEOUT)
        return true;
    return (e == CLOSED || e == CANCELLED) && !wire_has_bytes(&connection->wire);
}

static enum served serve_one(struct connection *connection)
{
    _Alignas(max_align_t) char block[FIRST_BLOCK];
    struct exchange x;
    struct h1_framing framing;
    memset(&x, 0, offsetof(struct exchange, peer));
    arena_init(&x.arena, FIRST_BLOCK, ARENA_LIMIT);
    arena_lend(&x.arena, block, sizeof block);
    const struct server_rules *rules =
        serving_begin(&connection->carrier, &x, connection->wire.stream, &hooks);
    enum served served = SERVED_LAST;
    enum status e = h1_read_request(&connection->wire, &x.arena, &rules->limits,
        clock_after(loop_now(), rules->http->head_timeout), &x.request, &framing);
    bool is_silent = is_silence(connection, e);
    if (!e)
        served = answer_request(connection, &x, rules, &framing);
    else if (!is_silent)
        refuse_request(connection, &x, rules, e);
    if (served == SERVED_TUNNEL &&
        serving_leave_to_tunnel(&x, &connection->wire, connection_tunnel_ended))
        return SERVED_TUNNEL;
    serving_end(&x, is_silent);
    return served == SERVED_TUNNEL ? SERVED_LAST : served;
}

enum served h1_connection_serve(struct connection *connection)
{
    enum served served;
    do
        served = serve_one(connection);
    while (served == SERVED_ALL && wire_has_bytes(&connection->wire));
    return served;
}
