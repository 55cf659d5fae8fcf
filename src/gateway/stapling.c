#include "gateway/stapling.h"

#include <stdlib.h>

#include "gateway/responder.h"
#include "run/loop.h"
#include "run/resolver.h"
#include "service/errand.h"

#define PATIENCE    (20 * SECOND) /* for one question, from the name to the last byte */
#define ANSWER_MAX  ((size_t)64 * 1024)
#define RETRY_FIRST (30 * SECOND) /* after a failure; twice as long after each further one */
#define RETRY_MOST  HOUR
#define AGAIN_LEAST MINUTE /* after an answer, however short its life */
#define AGAIN_MOST  (12 * HOUR)

/* One question, with memory of its own: the certificate may go while it is asked. */
struct question {
    struct arena arena;
    struct fetch_place responder;
    struct slice bytes;
    instant deadline;
    int status;
    struct slice answer;
};

static enum status ask_by(struct question *q, struct fetch *fetch)
{
    const struct fetch_question question = {
        .method = "POST", .type = SLICE("application/ocsp-request"), .body = q->bytes};
    enum status e = fetch_ask(fetch, &question, &q->arena, q->deadline);
    if (e)
        return e;
    q->status = fetch->response.status;
    return fetch_read_all(fetch, ANSWER_MAX, q->deadline, &q->answer);
}

static enum status ask(struct question *q)
{
    struct resolver *resolver;
    struct fetch fetch;
    enum status e = resolver_new(&resolver);
    if (e)
        return e;
    fetch_init(&fetch, &q->responder, resolver, NULL);
    e = ask_by(q, &fetch);
    fetch_close(&fetch);
    resolver_free(resolver);
    return e;
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
