/* What became of one try at an endpoint, told once to everyone who learns from it: ejections, the
 * averages that balancers look at, metrics. Attempts of calls and dials of layer 4 come through
 * here; who wants to learn from them too adds a line to outcome.c. */
#pragma once

#include "service/service_state.h"

struct outcome {
    const struct service *service;
    struct view *view;  /* of the worker on which this is */
    uint32_t index;     /* the endpoint's place in it */
    enum status reason; /* OK: the endpoint answered; else the word for what happened instead */
    int status;         /* of the answer; 0: there is none, or layer 4 knows none */
    int64_t took;       /* nanoseconds to the answer's head, or to the failure; 0: nothing is learnt
                           of times: it is no try, or its head was reported already */
    bool is_connected;  /* there was a connection: the endpoint may have seen what was sent */
    bool is_lost;       /* nobody waited for it any more, for another one was faster: neither good
                           nor bad, but it took at least as long as it did */
    bool is_evidence;   /* it speaks for or against a version (trial.h) */
    bool is_late;       /* the answer's head was reported before; this is its body's failure */
};

/* On the view's worker. */
void outcome_report(const struct outcome *outcome);

/* True for failures that are the endpoint's. The client's, and our own limits, are not held against
 * it. */
bool outcome_is_failure(enum status reason);
