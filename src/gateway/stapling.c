#include "gateway/stapling.h"

#include <stdlib.h>

#include "gateway/responder.h"
#include "http/h1.h"
#include "run/loop.h"
#include "run/resolver.h"
#include "run/socket.h"
#include "service/errand.h"

#define PATIENCE    (20 * SECOND) /* for one question, from the name to the last byte */
#define ANSWER_MAX  ((size_t)64 * 1024)
#define RETRY_FIRST (30 * SECOND) /* after a failure; twice as long after each further one */
#define RETRY_MOST  HOUR
#define AGAIN_LEAST MINUTE /* after an answer, however short its life */
#define AGAIN_MOST  (12 * HOUR)

static const struct h1_limits limits = H1_LIMITS_DEFAULT;

/* One question, with memory of its own: the certificate may go while it is asked. */
struct question {
    struct arena arena;
    struct responder responder;
    struct slice bytes;
    instant deadline;
    int status;
    struct slice answer;
};

static enum status write_question(struct question *q, struct stream *stream)
{
    char room[2048];
    struct text head = text_fixed(room, sizeof room);
    struct http_request request = {.method = METHOD_POST,
        .method_text = SLICE("POST"),
        .version = HTTP_1_1,
        .authority = q->responder.authority,
        .path = q->responder.path};
    struct h1_framing framing = {.kind = H1_LENGTH, .length = q->bytes.size};
    fields_init(&request.fields, &q->arena);
    (void)fields_add_known(&request.fields, FIELD_CONTENT_TYPE, SLICE("application/ocsp-request"));
    (void)fields_add_known(&request.fields, FIELD_USER_AGENT, SLICE("weir"));
    h1_write_request_head(&head, &request, &framing);
    if (head.failed)
        return TOO_LARGE;
    enum status e = stream_write(stream, head.data, head.size, q->deadline, NULL);
    return e ? e : stream_write(stream, q->bytes.data, q->bytes.size, q->deadline, NULL);
}

static enum status read_answer(struct question *q, struct wire *connection)
{
    struct http_response response = {0};
    struct h1_framing framing;
    struct h1_body body;
    enum status e;
    do
        e = h1_read_response(
            connection, &q->arena, &limits, METHOD_POST, q->deadline, &response, &framing);
    while (!e && response.status < 200);
    if (e)
        return e;
    q->status = response.status;
    struct body *reader = h1_body_init(&body, connection, &limits, &framing, &q->arena, PATIENCE);
    e = body_read_all(reader, &q->arena, ANSWER_MAX, q->deadline, &q->answer);
    body_drop(reader);
    return e;
}

static enum status ask_at(struct question *q, const struct address *address)
{
    struct stream *stream;
    struct wire connection;
    enum status e = socket_connect(address, NULL, q->deadline, &stream);
    if (e)
        return e;
    wire_init(&connection, stream);
    e = write_question(q, stream);
    if (!e)
        e = read_answer(q, &connection);
    wire_release(&connection);
    return e;
}

static enum status resolve(struct question *q, struct resolved *ret_resolved)
{
    struct resolver *resolver;
    enum status e = resolver_new(&resolver);
    if (e)
        return e;
    e = resolver_resolve(
        resolver, q->responder.host, q->responder.port, &q->arena, q->deadline, ret_resolved);
    resolver_free(resolver);
    return e;
}

static enum status ask(struct question *q)
{
    struct resolved resolved;
    enum status e = resolve(q, &resolved);
    for (size_t i = 0; !e && i < resolved.count; i++) {
        e = ask_at(q, &resolved.addresses[i]);
        if (!e)
            return OK;
        if (e == CANCELLED || i + 1 == resolved.count)
            return e;
        e = OK;
    }
    return e ? e : NOT_FOUND;
}

/* The question about a certificate, copied. */
static enum status prepare(struct question *q, const struct tls_identity *identity)
{
    char *bytes;
    size_t size;
    *q = (struct question){.deadline = loop_now() + PATIENCE};
    arena_init(&q->arena, 0, 4 * ANSWER_MAX);
    struct slice url = arena_copy(&q->arena, tls_identity_responder(identity));
    enum status e = url.data ? responder_parse(&q->arena, url, &q->responder) : NO_MEMORY;
    if (!e)
        e = tls_identity_question(identity, &bytes, &size);
    if (e)
        return e;
    q->bytes = arena_copy(&q->arena, slice_of(bytes, size));
    free(bytes);
    return q->bytes.data ? OK : NO_MEMORY;
}

static enum status take_answer(struct certificate *certificate, const struct question *q)
{
    struct staple *staple = &certificate->staple;
    int64_t until;
    if (q->status != 200) {
        staple->problem = "the responder's answer is not 200";
        return INVALID;
    }
    enum status e = tls_identity_staple(certificate->identity, q->answer, &until);
    if (e)
        staple->problem = "the responder does not say that the certificate is good";
    else
        staple->until = until * SECOND;
    return e;
}

/* CANCELLED: the certificate may have gone. */
static enum status fetch(struct certificate *certificate)
{
    struct question q;
    struct staple *staple = &certificate->staple;
    enum status e = prepare(&q, certificate->identity);
    if (e)
        staple->problem = "the certificate does not say whom to ask, or its issuer is missing";
    if (!e && (e = ask(&q)) && !errand_is_stopped())
        staple->problem = "the responder cannot be reached";
    if (errand_is_stopped())
        e = CANCELLED;
    else if (!e)
        e = take_answer(certificate, &q);
    arena_release(&q.arena);
    if (e == CANCELLED)
        return e;
    staple->tried = clock_wall();
    staple->problem = e ? staple->problem : NULL;
    staple->fetched += !e;
    staple->failed += e != OK;
    return e;
}

/* What is too old is no longer shown: clients would refuse it. */
static void drop_old(struct certificate *certificate)
{
    struct staple *staple = &certificate->staple;
    if (!staple->until || staple->until > clock_wall())
        return;
    staple->until = 0;
    (void)tls_identity_staple(certificate->identity, SLICE_NONE, NULL);
}

static int64_t between(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* Somewhat sooner or later, so that many gateways do not ask at once. */
static int64_t jittered(int64_t pause)
{
    return pause - pause / 8 + (int64_t)random_below(loop_random(), (uint64_t)(pause / 4) + 1);
}

static void keep_fresh(void *owner)
{
    struct certificate *certificate = owner;
    int64_t pause = RETRY_FIRST / 2;
    for (;;) {
        enum status e = fetch(certificate);
        if (e == CANCELLED)
            return;
        drop_old(certificate);
        pause = e ? between(2 * pause, RETRY_FIRST, RETRY_MOST) : RETRY_FIRST / 2;
        int64_t half = (certificate->staple.until - clock_wall()) / 2;
        int64_t next = e ? pause : between(half, AGAIN_LEAST, AGAIN_MOST);
        if (certificate->staple.until)
            next = between(certificate->staple.until - clock_wall(), 0, next);
        if (fiber_sleep_until(loop_now() + jittered(next)) || errand_is_stopped())
            return;
    }
}

void stapling_follow(const struct tls_plan *plan, struct loop *loop)
{
    for (size_t i = 0; i < plan->count; i++) {
        struct certificate *certificate = plan->certificates[i].certificate;
        bool can_ask = tls_identity_responder(certificate->identity).size > 0;
        if (plan->certificates[i].fetches && can_ask)
            errand_start(loop, keep_fresh, certificate, &certificate->staple.errand);
        else
            errand_stop(&certificate->staple.errand);
    }
}
