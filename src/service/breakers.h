/* Breakers at work: that of a service, which lets calls pass or refuses them, and those of
 * endpoints, which take them out of the choice. They learn from what becomes of calls and tries,
 * and tell people: history, metrics.
 *
 * An open endpoint is down for a reason of its own that no panic forgives: a panic takes checks and
 * ejections for wrong when most of a service fails, and that is just what a breaker was asked to
 * act on; its times are bounded. When nobody but such endpoints is left, clients hear what they
 * hear of a service's own breaker. */
#pragma once

#include "service/outcome.h"

/* True when the service has one of that kind. */
static inline bool breakers_are(const struct service *service, enum breaker_per per)
{
    const struct breaker_options *options = &service->options->breaker;
    return options->is_set && options->per == (int)per;
}

/* OK, or BREAKER_OPEN. Before a call, on a worker. */
enum status breakers_admit_call(const struct service *service, unsigned worker);
static inline enum status breakers_admit(const struct service *service, unsigned worker)
{
    return breakers_are(service, BREAKER_PER_SERVICE) ? breakers_admit_call(service, worker) : OK;
}

/* True when the picked endpoint may be asked: a trial is one request's. On a worker. */
bool breakers_claim_endpoint(const struct service *service, struct endpoint *endpoint);
static inline bool breakers_claim(const struct service *service, struct endpoint *endpoint)
{
    return !breakers_are(service, BREAKER_PER_ENDPOINT) ||
           breakers_claim_endpoint(service, endpoint);
}

/* True when the endpoint may be asked by who will be nobody's trial. */
static inline bool breakers_is_closed(
    const struct service *service, const struct endpoint *endpoint)
{
    return !breakers_are(service, BREAKER_PER_ENDPOINT) ||
           breaker_state(endpoint->breaker) == BREAKER_IS_CLOSED;
}

/* What became of a whole call, or of a dial; of a try at an endpoint. On a worker. */
void breakers_learn_of_call_with(
    const struct service *service, unsigned worker, instant began, bool is_failure);
static inline void breakers_learn_of_call(
    const struct service *service, unsigned worker, instant began, bool is_failure)
{
    if (breakers_are(service, BREAKER_PER_SERVICE))
        breakers_learn_of_call_with(service, worker, began, is_failure);
}
void breakers_learn_of_try_with(const struct outcome *outcome, bool is_failure);
static inline void breakers_learn_of_try(const struct outcome *outcome, bool is_failure)
{
    if (breakers_are(outcome->service, BREAKER_PER_ENDPOINT))
        breakers_learn_of_try_with(outcome, is_failure);
}

/* How long until somebody may pass again, nanoseconds; 0: at once. */
int64_t breakers_wait(const struct service *service, const struct endpoint_set *set);

/* Moves them on with time, on the control thread; when to look again. */
instant breakers_look(struct roster *roster, instant now);

/* Once, by the plane. */
void breakers_add_metrics(struct service_plane *plane);
