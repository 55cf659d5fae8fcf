#include "service/breakers.h"

#include "run/loop.h"
#include "service/guard.h"

static const struct metric_family state_family = {"weir_breaker_state",
    "A circuit breaker: 0 closed, 1 open, 2 half-open. Without an endpoint, the service's own.",
    METRIC_GAUGE, {"service", "endpoint"}};
static const struct metric_family transition_family = {"weir_breaker_transitions_total",
    "How often a circuit breaker came into a state.", METRIC_COUNTER,
    {"service", "endpoint", "to"}};

/* --- telling */

/* Whose breaker it is. */
struct owner {
    struct service_plane *plane;
    struct slice service, endpoint;
    struct guard *guard;          /* or NULL */
    struct endpoint *of_endpoint; /* or NULL */
};

static struct owner owner_guard(struct guard *guard)
{
    return (struct owner){guard->plane, guard->name, SLICE(""), guard, NULL};
}

static struct owner owner_endpoint(struct endpoint *endpoint)
{
    return (struct owner){endpoint->plane, endpoint->service_name, endpoint->text, NULL, endpoint};
}

static void note(const struct owner *owner, const struct breaker_change *change)
{
    char text[128];
    struct text line = text_fixed(text, sizeof text - 1);
    text_format(&line, "breaker %s", breaker_word(change->to));
    if (change->to == BREAKER_IS_OPEN)
        text_format(
            &line, " for %lld ms: %s", (long long)(change->duration / MILLISECOND), change->why);
    text[line.size] = 0;
    if (owner->guard)
        guard_note(owner->guard, "%s", text);
    else
        endpoint_note(owner->of_endpoint, "%s", text);
}

/* Who has made a change tells of it: rare enough for a lock. */
static void tell(
    const struct owner *owner, struct metrics_shard *shard, const struct breaker_change *change)
{
    struct slice labels[] = {
        owner->service, owner->endpoint, slice_of_text(breaker_word(change->to))};
    struct metrics *metrics = owner->plane->options.metrics;
    note(owner, change);
    if (metrics)
        metric_add(shard, metrics_series(metrics, &transition_family, labels), 1);
}

static void follow(
    struct endpoint *endpoint, struct metrics_shard *shard, const struct breaker_change *change)
{
    struct owner owner = owner_endpoint(endpoint);
    tell(&owner, shard, change);
    (void)endpoint_set_down(endpoint, DOWN_BREAKER, breaker_is_out(endpoint->breaker));
}

static void follow_guard(
    struct guard *guard, struct metrics_shard *shard, const struct breaker_change *change)
{
    struct owner owner = owner_guard(guard);
    tell(&owner, shard, change);
    sweep_stir(guard->plane);
}

/* --- letting pass */

enum status breakers_admit_call(const struct service *service, unsigned worker)
{
    struct guard *guard = service->guard;
    struct breaker_change change;
    int64_t wait;
    bool may_pass = breaker_admit(
        &guard->breaker, &service->options->breaker, loop_now(), loop_random(), &wait, &change);
    if (change.has_changed)
        follow_guard(guard, plane_shard(service->plane, worker), &change);
    return may_pass ? OK : BREAKER_OPEN;
}

bool breakers_claim_endpoint(const struct service *service, struct endpoint *endpoint)
{
    if (breaker_state(endpoint->breaker) == BREAKER_IS_CLOSED)
        return true;
    bool is_mine = breaker_claim(endpoint->breaker, &service->options->breaker, loop_now());
    if (is_mine && breaker_is_out(endpoint->breaker)) /* a trial: nobody else is to come */
        (void)endpoint_set_down(endpoint, DOWN_BREAKER, true);
    return is_mine;
}

int64_t breakers_wait(const struct service *service, const struct endpoint_set *set)
{
    instant now = loop_now();
    int64_t wait = breaker_remaining(&service->guard->breaker, now);
    if (!breakers_are(service, BREAKER_PER_ENDPOINT))
        return wait;
    wait = INT64_MAX;
    for (uint32_t i = 0; i < set->count; i++) {
        int64_t its = breaker_remaining(set->endpoints[i]->breaker, now);
        wait = its < wait ? its : wait;
    }
    return set->count ? wait : 0;
}

/* --- learning */

void breakers_learn_of_call_with(
    const struct service *service, unsigned worker, instant began, bool is_failure)
{
    struct breaker_change change;
    struct breaker_result result = {began, loop_now(), loop_now() - began, is_failure};
    breaker_report(&service->guard->breaker, &service->options->breaker, &result, &change);
    if (change.has_changed)
        follow_guard(service->guard, plane_shard(service->plane, worker), &change);
}

void breakers_learn_of_try_with(const struct outcome *outcome, bool is_failure)
{
    struct breaker_change change;
    struct endpoint *endpoint = outcome->view->set->endpoints[outcome->index];
    instant now = loop_now();
    struct breaker_result result = {now - outcome->took, now, outcome->took, is_failure};
    breaker_report(endpoint->breaker, &outcome->service->options->breaker, &result, &change);
    if (change.has_changed)
        follow(endpoint, plane_shard(endpoint->plane, outcome->view->worker), &change);
}

/* --- time */

static instant look_at_endpoint(
    struct endpoint *endpoint, const struct breaker_options *options, instant now)
{
    struct breaker_change change;
    struct metrics_shard *shard = endpoint->plane->options.control_shard;
    breaker_turn(endpoint->breaker, options, now, &change);
    if (change.has_changed)
        follow(endpoint, shard, &change);
    /* Two who changed it at the same moment may have left the older mark. */
    (void)endpoint_set_down(endpoint, DOWN_BREAKER, breaker_is_out(endpoint->breaker));
    return breaker_due(endpoint->breaker, options);
}

static instant look_at_guard(
    struct guard *guard, const struct breaker_options *options, instant now)
{
    struct breaker_change change;
    struct owner owner = owner_guard(guard);
    atomic_store_explicit(&guard->has_breaker, true, memory_order_relaxed);
    breaker_turn(&guard->breaker, options, now, &change);
    if (change.has_changed)
        tell(&owner, guard->plane->options.control_shard, &change);
    return breaker_due(&guard->breaker, options);
}

/* Where a reload has taken a breaker away, nothing is kept of it. */
static void forget_endpoint(struct endpoint *endpoint)
{
    breaker_reset(endpoint->breaker);
    if (endpoint_reasons(endpoint) & DOWN_BREAKER)
        (void)endpoint_set_down(endpoint, DOWN_BREAKER, false);
}

instant breakers_look(struct roster *roster, instant now)
{
    const struct breaker_options *options = &roster->options->breaker;
    const struct endpoint_set *set = roster_look(roster);
    bool is_of_endpoints = options->is_set && options->per == BREAKER_PER_ENDPOINT;
    instant due = NEVER;
    if (options->is_set && !is_of_endpoints)
        due = look_at_guard(roster->guard, options, now);
    else
        breaker_reset(&roster->guard->breaker);
    for (uint32_t i = 0; i < set->count; i++)
        if (is_of_endpoints)
            due = clock_sooner(due, look_at_endpoint(set->endpoints[i], options, now));
        else if (set->endpoints[i]->breaker &&
                 breaker_state(set->endpoints[i]->breaker) != BREAKER_IS_CLOSED)
            forget_endpoint(set->endpoints[i]);
    return due;
}

static int64_t level_of(const struct breaker *breaker)
{
    enum breaker_state state = breaker_state(breaker);
    return state == BREAKER_IN_TRIAL ? BREAKER_IN_RAMP : state;
}

static void read_states(
    void *argument, const struct metric_family *family, struct metric_lines *lines)
{
    (void)family;
    struct service_plane *plane = argument;
    pthread_mutex_lock(&plane->mutex);
    list_each (node, &plane->guards) {
        const struct guard *guard = list_entry(node, struct guard, node);
        struct slice labels[] = {guard->name, SLICE("")};
        if (atomic_load_explicit(&guard->has_breaker, memory_order_relaxed))
            metric_say(lines, labels, level_of(&guard->breaker));
    }
    list_each (node, &plane->endpoints) {
        const struct endpoint *endpoint = list_entry(node, struct endpoint, node);
        struct slice labels[] = {endpoint->service_name, endpoint->text};
        if (endpoint->breaker)
            metric_say(lines, labels, level_of(endpoint->breaker));
    }
    pthread_mutex_unlock(&plane->mutex);
}

void breakers_add_metrics(struct service_plane *plane)
{
    metrics_add_reader(plane->options.metrics, &state_family, read_states, plane);
}
