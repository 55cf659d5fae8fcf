/* A service as JSON, for status pages and people. */
#include "balance/latency.h"
#include "balance/sticky_table.h"
#include "base/json_writer.h"
#include "service/breakers.h"
#include "service/choice.h"
#include "service/hedging.h"
#include "service/mirror.h"
#include "service/reports.h"
#include "service/retry_budget.h"
#include "service/sticky.h"
#include "service/versions.h"
#include "service/service_state.h"
#include "service/finder.h"

#include <math.h>

static uint64_t read_number(const _Atomic uint32_t *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

static const char *state_of(const struct endpoint *endpoint)
{
    static const struct {
        uint32_t reasons;
        const char *word;
    } states[] = {{DOWN_MAINTENANCE, "maintenance"}, {DOWN_DRAINED | DOWN_TOLD_OUT, "drained"},
        {DOWN_CHECK | DOWN_TOLD_DOWN | DOWN_SOURCE, "down"}, {DOWN_EJECTED, "ejected"},
        {DOWN_BREAKER, "breaker open"}, {DOWN_ENOUGH, "overloaded"}};
    uint32_t down = endpoint_reasons(endpoint);
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (down & states[i].reasons)
            return states[i].word;
    return "up";
}

/* "down since 12:03:11: 3 × connection refused" */
static void write_since(struct json_writer *w, struct endpoint *endpoint, struct slice state)
{
    struct history_event event;
    char room[sizeof event.text + 32], time[ISO_TIME_SIZE];
    struct text text = text_fixed(room, sizeof room);
    if (!endpoint_is_down(endpoint) || !history_find(&endpoint->history, state, &event))
        return;
    struct slice what = slice_of_text(event.text);
    size_t colon = slice_find_slice(what, SLICE(": "));
    clock_iso_time(event.wall, time);
    text_format(&text, "%.*s since %.8s%.*s", SLICE_ARG(slice_head(what, colon)), time + 11,
        SLICE_ARG(slice_from(what, colon)));
    json_put_text(w, "since", slice_of(time, sizeof time));
    json_put_text(w, "history", text_slice(&text));
}

static uint64_t count_idle(const struct endpoint *endpoint)
{
    uint64_t idle = 0;
    for (unsigned i = 0; i < endpoint->plane->options.workers; i++)
        idle += read_number(&endpoint->pools[i].idle_count);
    return idle;
}

/* As configured; and what counts of it now, by its agent and while it starts. */
static void write_weight(struct json_writer *w, const struct service *service,
    const struct endpoint_set *set, uint32_t i)
{
    struct balance_settings settings = {.slow_start = service_rise_time(service->options),
        .aggression = service->options->slow_start.aggression};
    const struct candidate *candidate = &set->members[i].candidate;
    double share = candidate_share(candidate, &settings, clock_now());
    json_put_double(w, "weight", set->weights[i]);
    if (share < 1 || candidate->weight != set->weights[i])
        json_put_double(w, "weight_now", round(candidate->weight * share * 1000) / 1000);
    if (share < 1)
        json_put_double(w, "slow_start", share);
    if (candidate->limit)
        json_put_u64(w, "limit", candidate->limit);
    if (service->options->reports.is_on)
        json_put_double(w, "utilization", reports_utilization(set->endpoints[i]));
}

/* What is not usual: its tier and zone. */
static void write_standing(struct json_writer *w, const struct slate_member *member)
{
    if (member->standing.tier)
        json_put_u64(w, "tier", member->standing.tier);
    if (member->standing.region.size)
        json_put_text(w, "region", member->standing.region);
    if (member->standing.zone.size)
        json_put_text(w, "zone", member->standing.zone);
}

static void write_breaker(struct json_writer *w, const struct breaker *breaker)
{
    int64_t left = breaker_remaining(breaker, clock_now());
    json_put_text(w, "breaker", slice_of_text(breaker_word(breaker_state(breaker))));
    if (left)
        json_put_double(w, "breaker_open_for_seconds", (double)left / (double)SECOND);
}

static void write_endpoint(struct json_writer *w, const struct service *service,
    const struct endpoint_set *set, uint32_t i)
{
    struct endpoint *endpoint = set->endpoints[i];
    const struct load *load = &endpoint->load;
    json_write_object(w);
    json_put_text(w, "address", endpoint->text);
    json_put_text(w, "state", slice_of_text(state_of(endpoint)));
    write_since(w, endpoint, slice_of_text(state_of(endpoint)));
    write_weight(w, service, set, i);
    write_standing(w, &set->members[i]);
    if (breakers_are(service, BREAKER_PER_ENDPOINT))
        write_breaker(w, endpoint->breaker);
    json_put_u64(w, "in_flight", read_number(&load->in_flight));
    json_put_u64(w, "requests", atomic_load_explicit(&load->requests, memory_order_relaxed));
    json_put_u64(w, "failures", atomic_load_explicit(&load->failures, memory_order_relaxed));
    json_put_u64(w, "connections", read_number(&load->open));
    json_put_u64(w, "idle", count_idle(endpoint));
    json_put_double(w, "latency_seconds", latency_average(load, clock_now()) / (double)SECOND);
    json_put_double(w, "peak_seconds", latency_peak(load, clock_now()) / (double)SECOND);
    json_write_key(w, SLICE("events"));
    history_write(&endpoint->history, w);
    json_write_object_end(w);
}

/* By what else endpoints are chosen. */
static void write_choice(struct json_writer *w, const struct service *service)
{
    const struct service_options *options = service->options;
    if (options->balance.key)
        json_put_text(w, "key", expression_source(options->balance.key));
    if (options->subset.is_set)
        json_put_text(w, "subset", options->subset.label);
    if (options->zone.own.size)
        json_put_text(w, "zone", options->zone.own);
    if (!service->sticky)
        return;
    json_put_text(w, "sticky",
        options->sticky.by ? expression_source(options->sticky.by) : options->sticky.cookie);
    if (service->sticky->table)
        json_put_u64(w, "sessions",
            sticky_table_count(service->sticky->table, (uint32_t)(options->sticky.timeout / SECOND),
                sticky_seconds(clock_now())));
}

/* What is known of the service as a whole. */
static void write_guard(struct json_writer *w, const struct service *service)
{
    if (breakers_are(service, BREAKER_PER_SERVICE))
        write_breaker(w, &service->guard->breaker);
    if (service->options->concurrency.is_adaptive)
        json_put_u64(w, "concurrency_limit", read_number(&service->guard->gradient->limit));
    if (service->options->shed.is_set)
        json_put_double(w, "pressure",
            admission_pressure(service->guard->admission, &service->options->shed, clock_now()));
    json_put_u64(w, "waiting", read_number(&service->guard->queue.waiting));
    json_write_key(w, SLICE("events"));
    history_write(&service->guard->history, w);
}

/* What it does when something fails, and how much of the budget for that is used. */
static void write_retry(struct json_writer *w, const struct service *service)
{
    char room[256];
    struct text text = text_fixed(room, sizeof room);
    const struct retry_options *options = &service->options->retry;
    uint64_t requests, retries;
    retry_explain(&options->rule, &text);
    retry_budget_window(service->budget, clock_now(), &requests, &retries);
    json_put_object(w, "retry");
    json_put_text(w, "policy", text_slice(&text));
    json_put_double(w, "budget_share", options->budget.share);
    json_put_u64(w, "budget_least", (uint64_t)options->budget.least);
    json_put_u64(w, "requests", requests);
    json_put_u64(w, "retries", retries);
    json_put_u64(w, "running", read_number(&service->budget->running));
    json_write_object_end(w);
}

/* How much may be under way, and who waits; what nobody has written as well. */
static void write_limits(struct json_writer *w, const struct service_options *options)
{
    int64_t time = options->queue.time ? options->queue.time : options->timeout.connect;
    json_put_object(w, "limits");
    json_put_u64(w, "connections", (uint64_t)options->connections.max);
    if (options->speaks_http2)
        json_put_u64(w, "streams", (uint64_t)options->http2.streams);
    if (options->concurrency.max)
        json_put_u64(w, "requests", (uint64_t)options->concurrency.max);
    if (options->concurrency.endpoint)
        json_put_u64(w, "endpoint_requests", (uint64_t)options->concurrency.endpoint);
    json_put_u64(w, "queue", (uint64_t)options->queue.size);
    json_put_double(w, "queue_seconds", (double)time / (double)SECOND);
    json_write_object_end(w);
}

void service_explain_limits(const struct service *service, struct text *text)
{
    const struct service_options *options = service->options;
    int64_t time = options->queue.time ? options->queue.time : options->timeout.connect;
    if (service->versions)
        return;
    text_format(text, "%lld connections an endpoint", (long long)options->connections.max);
    if (options->speaks_http2)
        text_format(text, " of %lld streams", (long long)options->http2.streams);
    if (options->concurrency.is_adaptive)
        text_add_literal(text, ", as many requests as it does well with");
    if (options->concurrency.max)
        text_format(text, ", %lld requests", (long long)options->concurrency.max);
    if (options->concurrency.endpoint)
        text_format(text, ", %lld of each endpoint", (long long)options->concurrency.endpoint);
    if (options->queue.size)
        text_format(text, "; %lld wait, %gs at most", (long long)options->queue.size,
            (double)time / (double)SECOND);
    else
        text_add_literal(text, "; nobody waits");
}

void service_explain_settings(const struct service *service, struct text *text)
{
    written_print(&service->options->written, text);
}

static void describe_asking(const struct service *service, struct json_writer *w)
{
    const struct endpoint_set *set = roster_look(service->roster);
    json_write_object(w);
    json_put_text(w, "name", service->name);
    json_put_text(w, "balance", slice_of_text(service_balancer(service->options)->name));
    write_choice(w, service);
    json_write_key(w, SLICE("settings"));
    written_describe(&service->options->written, w);
    write_limits(w, service->options);
    if (service->mirror)
        mirror_describe(service->mirror, w);
    if (set->trouble) {
        json_put_text(w, "trouble", slice_of_text(status_sentence(set->trouble)));
    }
    finder_watch_describe(service->roster, w);
    write_guard(w, service);
    write_retry(w, service);
    hedging_describe(service, w);
    json_put_bool(w, "panics", service->roster->panics);
    json_put_array(w, "endpoints");
    for (uint32_t i = 0; i < set->count; i++)
        write_endpoint(w, service, set, i);
    json_write_array_end(w);
    json_write_object_end(w);
}

void service_describe(const struct service *service, struct json_writer *w)
{
    if (service->versions)
        versions_describe(service->versions, w);
    else
        describe_asking(service, w);
}

static void explain_sources(const struct service *service, struct text *text)
{
    const struct endpoint_options *items = service->options->at.items;
    for (size_t i = 0; i < service->options->at.count; i++)
        if (items[i].at.source)
            text_format(text, ", found by %.*s", SLICE_ARG(items[i].at.text));
}

/* The first of a rehearsal's picks by the control thread's own view: what a hash says, it says
 * again. */
static void explain_asking(const struct service *service, struct exchange *x, struct text *text)
{
    const struct balancer_type *type = service_balancer(service->options);
    struct choice choice = {0};
    text_format(text, ", %s", type->name);
    choice_begin(&choice, service, x);
    if (service->options->balance.key) {
        struct slice value = expression_text(service->options->balance.key, x);
        text_format(text, " %.*s = \"%.*s\"",
            SLICE_ARG(expression_source(service->options->balance.key)), SLICE_ARG(value));
    }
    if (service->options->subset.is_set) {
        struct slice value = expression_text(service->options->subset.by, x);
        text_format(text, ", subset %.*s = \"%.*s\"", SLICE_ARG(service->options->subset.label),
            SLICE_ARG(value));
    }
    explain_sources(service, text);
    if (service->sticky)
        text_add_literal(text, ", sticky");
    if (service->options->breaker.is_set)
        text_format(text, ", breaker per %s",
            breakers_are(service, BREAKER_PER_ENDPOINT) ? "endpoint" : "service");
    struct view *view = service->roster->current[service->plane->options.workers];
    uint32_t place = choice_pick(&choice, service, view);
    if (place != PICK_NONE)
        text_format(text, "%s%.*s", type->needs_hash ? ": " : ": perhaps ",
            SLICE_ARG(view->set->endpoints[place]->text));
    text_add_literal(text, "; retry ");
    retry_explain(x->retry ? x->retry : &service->options->retry.rule, text);
    const struct hedge_rule *hedge = x->hedge ? x->hedge : service->hedge;
    if (hedge) {
        text_add_literal(text, "; hedge ");
        hedge_explain(hedge, text);
    }
}

void service_explain(const struct service *service, struct exchange *x, struct text *text)
{
    if (service->mirror)
        mirror_explain(service->mirror, text);
    if (service->versions)
        versions_explain(service->versions, x, text);
    else
        explain_asking(service, x, text);
}
