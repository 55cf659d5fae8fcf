/* Running a request beside the lease on its key.
 *
 * The request runs on a fiber of its own, the exchange's own fiber sees to the lease meanwhile, and
 * waits on when the client has gone: what has begun is brought to its end, so that its result can
 * be kept. Only a gateway that stops, and has no more time, gives it up. */
#pragma once

#include "policy/idempotency_body.h"
#include "policy/idempotency_hold.h"
#include "policy/policy.h"

struct idempotency_run {
    struct exchange *x; /* borrowed, as what follows */
    const struct handler *next;
    struct idempotency_hold *hold;
    size_t answer_max; /* bytes of a body that is read to its end */
    int64_t patience;  /* nanoseconds that the store has for a renewal */
    struct metrics_shard *shard;
    uint32_t renewed, not_renewed; /* series */

    /* What became of it. */
    struct idempotency_download *download; /* with OK: the body of the answer; in the arena */
    enum status outcome;

    /* Its own. */
    struct scope scope;
    struct fiber *waiter; /* while it waits for the other one */
    bool has_ended, is_alone, is_given_up;
    instant renewal; /* when the next one is due */
};

/* Runs it. The caller is shielded, which it lifts while there is a client to be heard of. */
void idempotency_run(struct idempotency_run *run);
