/* Inquiries: a policy asks a service something by HTTP before it lets a request go on: who this is,
 * whether he may, for a token.
 *
 *     struct inquiry_target target;                          in the policy's options, a row each:
 *         {"token", OPTION_TEXT, offsetof(…, target.text), .place_offset = offsetof(…,
 * target.place)} e = inquiry_prepare(prepare, &target);                 once, when the policy is
 * prepared e = inquiry_ask(&target, x, &inquiry, &x->arena, &answer);
 *
 * The option is a URL ("https://id.example/introspect") or a service of the file and a path
 * ("id/introspect"). Either way it is a service that is called: with its pools, TLS, balancing,
 * health, breaker and retries. A URL's has the defaults of all of these; who wants others, or an
 * authority of his own for TLS, makes it a service.
 *
 * An inquiry waits on the exchange's fiber, on which it is cancelled, and until its own deadline.
 * It is a message of its own: nothing of the client's request goes with it but what the policy puts
 * there, and the request's id. */
#pragma once

#include "policy/policy.h"

#define INQUIRY_BODY_MAX ((size_t)64 * 1024) /* of an answer, unless the policy says otherwise */

struct inquiry_target {
    /* Read by the policy's option table. */
    struct slice text;
    struct place place;

    /* Found by inquiry_prepare; borrowed from the snapshot. */
    const struct service *service;
    struct slice authority;   /* for Host */
    struct slice path, query; /* the latter's data is NULL when there is none */
    struct metrics_shard *const *shards;
    uint32_t outcomes[5]; /* series: 2xx, 3xx, 4xx, 5xx, failed */
    uint32_t durations;
};

/* What is asked. */
struct inquiry {
    struct slice method;         /* empty: GET, or POST with a body */
    struct slice path;           /* instead of the target's; empty: that */
    struct slice query;          /* the same; null data: the target's */
    const struct fields *fields; /* borrowed; or NULL */
    struct slice body;           /* null data: none */
    struct slice type;           /* of the body */
    int64_t timeout; /* nanoseconds for all of it; 0: as long as the exchange may take */
    size_t body_max; /* bytes of the answer's; 0: INQUIRY_BODY_MAX */
};

/* All of it lies in the arena of inquiry_ask. */
struct inquiry_answer {
    int status;
    struct fields fields; /* but those that mean one connection */
    struct slice body;
};

/* Finds whom to ask. INVALID after a complaint, NO_MEMORY. */
enum status inquiry_prepare(struct prepare *prepare, struct inquiry_target *target);

/* Asks, for an exchange that is no rehearsal; `arena` may be another than the exchange's. OK with
 * any answer, whatever its status. Else why there is none: what service_call says, TOO_LARGE for
 * its body, NO_MEMORY, CANCELLED. */
enum status inquiry_ask(const struct inquiry_target *target, const struct exchange *x,
    const struct inquiry *inquiry, struct arena *arena, struct inquiry_answer *ret_answer);

/* Asks at a URL that is known only now, by a connection for this alone, instead of the target's
 * service; it counts as asking the target. */
struct resolver;
struct tls_client;
struct inquiry_elsewhere {
    struct slice url;
    struct resolver *resolver; /* borrowed: the worker's */
    struct tls_client *tls;    /* borrowed; NULL: http only */
};
enum status inquiry_ask_elsewhere(const struct inquiry_target *target, const struct exchange *x,
    const struct inquiry_elsewhere *elsewhere, const struct inquiry *inquiry, struct arena *arena,
    struct inquiry_answer *ret_answer);

/* Runs `run(argument, aside)` on a fiber of x's worker that may outlive x: for what is asked ahead
 * of time. `aside` stands for x in inquiry_ask; it has no deadline and no request. NO_MEMORY, or
 * CANCELLED when the worker ends: `run` is not called then. */
enum status inquiry_begin_aside(const struct inquiry_target *target, const struct exchange *x,
    void (*run)(void *argument, const struct exchange *aside), void *argument);

/* For the files of this module: counts a question that began then, and its answer's status, 0
 * without one. */
void inquiry_count(const struct inquiry_target *target, unsigned worker, instant began, int status);
